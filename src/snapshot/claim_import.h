/*
 * claim_import.h - shared files of another job's directory, made available in a store's own.
 *
 * Thread: as the store.
 */
#ifndef TARN_SNAPSHOT_CLAIM_IMPORT_H
#define TARN_SNAPSHOT_CLAIM_IMPORT_H

#include "snapshot/claim_record.h"
#include "snapshot/store_private.h"

/* Sets the contents of a claim: every shared object that a checkpoint names, once. */
TARN_NODISCARD tarn_status tarn__import_list(
    const tarn__metadata *metadata, tarn__arena *arena, tarn__claim *claim, tarn_error *error);

/* Fails with TARN_BUSY when a process writes to a job's directory, where that can be told. */
TARN_NODISCARD tarn_status tarn__import_check_idle(tarn_storage *storage, tarn_error *error);

/*
 * Makes every content of a claim available, by link where that is possible, else by copy; record
 * holds a reference for each that is, also when one fails.
 */
TARN_NODISCARD tarn_status tarn__import_all(
    tarn_checkpoint_store *store,
    tarn_storage *from,
    const tarn__claim *claim,
    tarn__retained *record,
    tarn_error *error);

#endif
