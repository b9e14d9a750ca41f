/*
 * hot_store.h - how the working set of a backend comes to the store: by the task, or by workers
 * that write runs of rows (cache/runs.h).
 *
 *     run, sorted ──► many rows of a state ──► a table file that the store takes in
 *                 └─► few ──────────────────► batches, in order, through the memtable
 *
 * Thread: confined, with the backend, but for the functions that say "any".
 */
#ifndef TARN_STATE_HOT_STORE_H
#define TARN_STATE_HOT_STORE_H

#include "state/backend.h"

/* What is below the working set of a backend. */
tarn__workset_store tarn__hot_store(tarn_backend *backend);

/* Opens and closes the runs of a working set. close waits for those that were sent. */
TARN_NODISCARD tarn_status tarn__hot_open_runs(tarn_backend *backend, tarn_error *error);
void tarn__hot_close_runs(tarn_backend *backend);

/*
 * Before a drain: decides how its runs are written. What is more than half of a slot's part of what
 * memtables hold goes past them, as it would be written in files all the same, and wait for each.
 */
void tarn__hot_prepare_drain(tarn_backend *backend);

/*
 * Nobody streams beside the drain: what is left of it becomes table files, as many as are written
 * at once. A flush would write as many rows to a file again; while records stream, though, what
 * they write is flushed too, and a file more each time is one that all reads look at. What
 * memtables have is flushed from now on, as the first table file would wait for it.
 */
void tarn__hot_note_awaited(tarn_backend *backend);

/* Sends off the run that is being filled. */
void tarn__hot_send_runs(tarn_backend *backend);

/* Sends and waits; a failure poisons the backend. */
void tarn__hot_land(tarn_backend *backend);

/* Poisons the backend when the write of a run has failed. */
void tarn__hot_note_failure(tarn_backend *backend);

#endif
