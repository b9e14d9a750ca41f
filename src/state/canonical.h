/*
 * canonical.h - the rows of a backend out of, and into, the files of a canonical savepoint.
 *
 *     begin (task thread)   plan: which states there are, and what is said of them
 *     links' place          hold: the rows of that moment; the stream goes on
 *     worker                write: DIR/links/00000.rows, .. one file per state, then uploaded as
 * any
 *
 *     open                  an empty database ◄── sorted runs ◄── frames of the own key groups
 *                                                                   ▲ one source subtask at a time
 *                                                             DIR/links ◄── download
 *
 * Files pass through the working directory, packed, so that transfers are those of every snapshot.
 * Memory is a frame of rows at a time.
 *
 * Thread: a plan is handed from the task thread to a worker and back.
 */
#ifndef TARN_STATE_CANONICAL_H
#define TARN_STATE_CANONICAL_H

#include <stdatomic.h>

#include "base/arena.h"
#include "codec/descriptor.h"
#include "state/backend.h"

#define TARN__CANONICAL_SUFFIX ".rows"

/* A state as it was at the barrier. */
typedef struct tarn__canonical_state {
    tarn__rocks_family *family;
    tarn_bytes descriptor; /* As it is stored; the plan's. */
    int64_t ttl_ms;        /* 0: its rows do not expire, or nobody has opened it. */
    int64_t now_ms;        /* By the state's clock. */
} tarn__canonical_state;

typedef struct tarn__canonical_plan {
    tarn_backend *backend;
    tarn__canonical_state *states; /* [count] */
    uint32_t count;
    uint64_t sequence;
    tarn__rocks_hold *hold; /* NULL before tarn__canonical_hold(), and when that failed. */
} tarn__canonical_plan;

/* Notes what is to be written. The backend's thread, when nothing is pending in memory. */
TARN_NODISCARD tarn_status tarn__canonical_prepare(
    tarn_backend *backend, tarn__arena *arena, tarn__canonical_plan *out, tarn_error *error);

/* Holds the rows; nobody writes meanwhile. */
TARN_NODISCARD tarn_status tarn__canonical_hold(tarn__canonical_plan *plan, tarn_error *error);

/*
 * Writes the files into a directory, which is made, and lets go of the rows, whatever the outcome.
 *
 * Errors: TARN_ABANDONED (cancelled), of reading, of writing.
 */
TARN_NODISCARD tarn_status tarn__canonical_write(
    tarn__canonical_plan *plan,
    const char *directory,
    const atomic_bool *is_cancelled,
    tarn_error *error);

/* Lets go of the rows. A plan that was never prepared is left alone. */
void tarn__canonical_release(tarn__canonical_plan *plan);

/* Tells whether a checkpoint's files are those of this page. */
bool tarn__canonical_is(const tarn_checkpoint *checkpoint);

/*
 * Fills an empty database with the rows of the backend's key groups, whatever the parallelism of
 * the savepoint. With moves_keys the maximum parallelism may differ too: then every row is read,
 * and goes to its key's new group.
 *
 * Errors: TARN_INCOMPATIBLE (no such operator, no keyed state, another maximum parallelism or key
 * hash), TARN_CORRUPTION with file and place, of downloading and writing.
 */
TARN_NODISCARD tarn_status tarn__canonical_restore(
    tarn_backend *backend, const tarn_checkpoint *checkpoint, bool moves_keys, tarn_error *error);

#endif
