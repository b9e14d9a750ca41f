/*
 * prefetch.h - rows of coming keys, read by sorted batches, one batch ahead.
 *
 *     task thread     expect rows ─► publish ─► [the records before] ─► read the rest ─► fulfil
 *     helper                            └─► sort, read, read, read ...        │
 *                                             chunks of 64, whoever is free   ┘
 *
 * A batch has a copy of its rows' bytes; values stay pinned where RocksDB has them until they are
 * copied into the working set. cache/ahead.h has why a row that was written meanwhile stays as it
 * was written.
 *
 * Invariants
 *   - At most one batch is under way; a batch ends before the database is closed or retuned, before
 *     a state is closed, and before the working set goes.
 *   - Its memory is bounded: rows by TARN_PREFETCH_ROWS_MAX and 1 MiB of bytes, values by 4 MiB and
 *     the two chunks that are being read.
 *
 * Thread: confined, with the backend; the helper has what is said under a mutex.
 */
#ifndef TARN_STATE_PREFETCH_H
#define TARN_STATE_PREFETCH_H

#include "tarn/prefetch.h"

#include "state/keyed.h"

typedef struct tarn__prefetch tarn__prefetch;

/* Waits for what is being read and forgets the batch. NULL does nothing. */
void tarn__prefetch_drop(tarn__prefetch *prefetch);

/* The same, and frees it with its thread. */
void tarn__prefetch_close(tarn__prefetch *prefetch);

#endif
