/*
 * snapshot.h - a backend's snapshot, from the barrier to the acknowledgement.
 *
 *     task thread   begin: freeze, shut the gate ─► drain, a slice at a time ─┐        finish ─►ack
 *                                                                             │            ▲
 *     worker              flush and hard-link ◄───────────────────────────────┘            │
 *                           └─► open the gate ─► upload ─► done ───────────────────────────┘
 *
 * Between the barrier and the links the store takes nothing but what was there at the barrier: rows
 * of the working set that are frozen, drained by calls on the backend and by polls. Later writes to
 * the working set go on. A write that needs the store comes to the shut gate: it drains what is
 * left, and makes the links itself when no worker has begun to, as workers may be busy for long
 * with the uploads of others.
 *
 * For a canonical savepoint the rows of the barrier are held in the links' place, and the worker
 * writes them to files before the upload (canonical.h).
 *
 * Invariants
 *   - One snapshot of a backend is open at a time. One that was given up is left to the workers
 *     (snapshot_private.h), so each has a directory of its own below DIR/links.
 *   - Nothing later than the barrier is written between it and the links: the gate is shut in
 *     begin() and opened by whoever makes the links, or gives them up.
 *   - A call on the backend drains no more than a slice, unless it needs the store.
 *   - Only what belongs to a snapshot that was notified complete becomes the base of the next one.
 *
 * tarn/snapshot.h is the public face.
 */
#ifndef TARN_STATE_SNAPSHOT_H
#define TARN_STATE_SNAPSHOT_H

#include "tarn/snapshot.h"

#include "snapshot/local.h"

/* Snapshots that finished and wait for word of their checkpoint; more are forgotten, oldest first:
 * then the next upload shares less, which is never wrong. */
enum { TARN__BASE_CANDIDATES_MAX = 4 };

/* What a backend's uploads may build on. Lives in the backend; its bases are of the environment's
 * memory, as uploads that were given up read them longer than there is the backend. */
typedef struct tarn__bases {
    tarn__base *completed; /* Of the last checkpoint known to be complete. NULL: none. */
    struct {
        uint64_t checkpoint_id;
        tarn__base *base;
    } candidates[TARN__BASE_CANDIDATES_MAX];
    uint32_t candidate_count;
} tarn__bases;

void tarn__bases_clear(tarn__bases *bases);

/* Takes the base of a snapshot that may become complete. */
void tarn__bases_add(tarn__bases *bases, uint64_t checkpoint_id, tarn__base *base);

/*
 * Drains a slice and, when nothing is left, has a worker go on. A failure is the snapshot's, and
 * poisons the backend; the gate is open then. Thread: the backend's.
 */
TARN_NODISCARD tarn_status tarn__snapshot_advance(tarn_snapshot *snapshot, tarn_error *error);

/* Drains all that is left and has a worker go on. How it ended is the snapshot's to tell. */
void tarn__snapshot_drain(tarn_snapshot *snapshot);

/* Tells whether a snapshot, or NULL, reads rows of the database that it holds. */
bool tarn__snapshot_holds(const tarn_snapshot *snapshot);

/* Makes the links and opens the gate, unless somebody else has begun to. Thread: any. */
void tarn__snapshot_link(tarn_snapshot *snapshot);

#endif
