/*
 * snapshot_private.h - a snapshot under way, for snapshot.c (the task) and snapshot_work.c (the
 * worker).
 *
 *     task      begin ─ drain ─► submit ─────────────── finish, or abandon = leave
 *                                  │                               ▲          ╷
 *     worker                       └► links ─► upload ─► copies ─► done       ╵
 *                                     \_ backend's _/  \_ its _/              └► errand: take back
 *
 * A worker has to do with the backend while it makes the links (or writes the rows of a canonical
 * savepoint) and while it keeps the second copy; in between, with the storage alone. So a snapshot
 * that is left needs its backend for something local at most, and the backend can go before it.
 *
 * Invariants
 *   - A snapshot is the environment's memory, and so is all that is read in the upload.
 *   - Who leaves a snapshot has seen to it that the gate is open, or that a worker is about to
 *     open it.
 *   - A left snapshot that a worker has come to is freed by an errand, and counted by the
 *     environment until then.
 */
#ifndef TARN_STATE_SNAPSHOT_PRIVATE_H
#define TARN_STATE_SNAPSHOT_PRIVATE_H

#include "cache/runs.h"
#include "snapshot/upload.h"
#include "state/backend.h"
#include "state/canonical.h"

struct tarn_snapshot {
    tarn_env *env;
    tarn_backend *backend; /* A worker uses it only while works_at_backend is set. */
    tarn__child child;
    uint64_t checkpoint_id;
    bool is_savepoint;
    bool is_canonical;
    tarn__canonical_plan canonical;
    atomic_bool is_cancelled;
    tarn__upload *upload;
    char *links;           /* Its own directory below the backend's DIR/links; owned, until done. */
    tarn__arena arena;     /* Of the backend's memory: for the two below. */
    tarn__subtask subtask; /* What is acknowledged; files come from the upload at the end. */
    uint32_t piece_capacity;
    tarn__base *base; /* What the upload builds on; shared with the backend. */
    tarn__runs *runs; /* The backend's when this began, kept until the links are made; or NULL. */
    uint64_t sync_ns;
    uint64_t next_slice_ns; /* Not before the stream has had its share of the time. */
    bool is_submitted;      /* A worker has it: all that it holds is in the store. */
    tarn__errand errand;    /* To free it, if it is left: */
    tarn__errands *errands; /* there, with what else of its store is deleted. */

    pthread_mutex_t mutex; /* For the six below; a leaf. */
    pthread_cond_t changed;
    bool is_linked;        /* The links are made, or will not be: linked says. */
    bool works_at_backend; /* A worker does, or is about to. */
    bool is_leaving;       /* The task is about to let go: no worker comes to the backend. */
    bool is_left;          /* It has: a worker frees it. */
    atomic_bool is_done;
    atomic_bool is_link_claimed; /* Somebody makes the links, or has. */
    tarn_status linked;          /* How that ended, in error: read once is_linked. */
    atomic_uint_least64_t link_ns;
    atomic_uint_least64_t upload_ns;
    tarn_status status; /* The worker's, as error: read once is_done. */
    tarn_error error;
};

/* Has a worker make the links and upload. */
void tarn__snapshot_submit_work(tarn_snapshot *snapshot);

/* Waits until the worker is done. */
void tarn__snapshot_await_work(tarn_snapshot *snapshot);

/* Has the links not be made, because of what error says, unless somebody makes them; false: so it
 * is. On true the caller opens the gate. */
bool tarn__snapshot_refuse_links(tarn_snapshot *snapshot, const tarn_error *error);

/* Leaves a snapshot to the workers: the backend knows nothing of it any more. */
void tarn__snapshot_leave(tarn_snapshot *snapshot);

/* Frees a snapshot that nobody else has. Asks the storage when something was uploaded that was not
 * kept. */
void tarn__snapshot_free(tarn_snapshot *snapshot);

#endif
