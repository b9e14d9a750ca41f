/*
 * claim.h - checkpoints that a store was given, or must leave alone. tarn/claim.h is the public
 * face, claim_record.h what lies in the directory.
 *
 *     claim:    record (durable) ──► shared files linked or copied ──► retained, by its old id
 *     open:     records ──► retained again; files that are here are referenced
 *     subsume:  deleted where it lies, _metadata first ──► record removed ──► references given back
 *
 * The record comes first and goes last: whoever collects garbage sees by it that the files which
 * were taken over are named, although no checkpoint of this directory names them yet.
 *
 * Thread: claiming is shared; adopting is for opening alone, releasing for the cleaner.
 */
#ifndef TARN_SNAPSHOT_CLAIM_H
#define TARN_SNAPSHOT_CLAIM_H

#include "snapshot/claim_record.h"
#include "snapshot/store_private.h"

/* Takes in the records of the directory, when the store's own checkpoints are known. */
TARN_NODISCARD tarn_status tarn__claims_adopt(tarn_checkpoint_store *store, tarn_error *error);

/* Deletes a claimed checkpoint where it lies, then its record. What is gone already is no error. */
TARN_NODISCARD tarn_status
tarn__claim_release(tarn_checkpoint_store *store, const tarn__retained *record, tarn_error *error);

/* Removes the record of a checkpoint, if there is one. */
TARN_NODISCARD tarn_status
tarn__claim_forget(tarn_checkpoint_store *store, uint64_t id, tarn_error *error);

/*
 * Reads a record of a storage into an arena.
 *
 * Errors: TARN_MISSING, those of tarn__claim_decode() with its name, of reading.
 */
TARN_NODISCARD tarn_status tarn__claim_read(
    tarn_storage *storage,
    const char *name,
    tarn__arena *arena,
    tarn__claim *out,
    tarn_error *error);

#endif
