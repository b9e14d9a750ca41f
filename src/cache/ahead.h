/*
 * ahead.h - rows of the working set whose values are still to come.
 *
 *     expect    the row is put in as pending, of a batch            (it was not here)
 *        │  any call that finds a pending row takes it out: it is a miss
 *        │  eviction, range removals: as for a clean row
 *     fulfil    the row gets its value, or is known to be absent    (it is still pending)
 *
 * What was read of the store meanwhile is the row's value as long as nothing was written; and
 * whatever is written, removed or read finds the row first, or removes it from here as it would a
 * clean one. So a row that is still pending, of the same batch, is as it was read.
 *
 * Of a row that is here, but not as a whole (a block, a partial), more may be read ahead: it is
 * marked as expected, and the mark goes as soon as something of it goes that the store may not have
 * had when it was read. What is here of an expected row is as the store has it, or newer.
 *
 * Thread: confined, with the working set. The reading itself may be done by any thread.
 */
#ifndef TARN_CACHE_AHEAD_H
#define TARN_CACHE_AHEAD_H

#include "cache/workset.h"

/* Finds a row, pending or not; *key is set in both cases. Counts and warms nothing. */
tarn__hot_row *tarn__workset_peek(
    tarn__workset *set, tarn__workset_family *family, tarn_bytes row, tarn__hot_key *key);

/* The same, for a row that is pending, of a batch, or expected; NULL for any other. */
tarn__hot_row *tarn__workset_peek_expected(
    tarn__workset *set,
    tarn__workset_family *family,
    tarn_bytes row,
    uint32_t batch,
    tarn__hot_key *key);

/* Counts what was read ahead of such a row, whether it was taken in or came to nothing. */
void tarn__workset_note_ahead(tarn__workset *set, bool is_taken);

/*
 * Puts a row in as pending, unless it is here already or finds no room; *is_pending tells. One that
 * the filter knows to be new is put in as absent, unless it is a block, and is not pending. The
 * store needs not be released for it.
 *
 * value_bytes  As many as its value is likely to have, so that it need not move.
 */
TARN_NODISCARD tarn_status tarn__workset_expect(
    tarn__workset *set,
    tarn__workset_family *family,
    tarn_bytes row,
    uint32_t batch,
    size_t value_bytes,
    bool *is_pending,
    tarn_error *error);

/*
 * Gives a row of a batch what the store was found to have: TARN__HOT_CLEAN with a value, or
 * TARN__HOT_ABSENT; TARN__HOT_FREE when it was not read: then it is not pending any more. Does
 * nothing to a row that is not pending. Counts what was taken and what was not.
 */
TARN_NODISCARD tarn_status tarn__workset_fulfil(
    tarn__workset *set,
    tarn__workset_family *family,
    tarn_bytes row,
    uint32_t batch,
    tarn__hot_state state,
    tarn_bytes value,
    tarn_error *error);

#endif
