/*
 * worker.h - one subtask of the operator "flights": a queue, a backend, a thread.
 *
 *     queue ──► messages ──► states
 *           ──► barrier  ──► aligner: snapshot begins; messages go on; when durable: acknowledge
 *           ──► end      ──► snapshot ends; scan the states for the result; close
 *
 * A barrier that is unaligned overtakes the batches before it in the queue: they become part of the
 * snapshot, and are applied first after a restore.
 *
 * Thread: its own, from worker_run() on: backend, states and snapshot never leave it. The figures
 * are published under the worker's lock.
 */
#ifndef FLIGHTS_WORKER_H
#define FLIGHTS_WORKER_H

#include <limits.h>
#include <stdatomic.h>

#include <tarn/aligner.h>
#include <tarn/snapshot.h>

#include "checkpointing.h"
#include "queue.h"
#include "result.h"
#include "states.h"

/* What a worker tells of itself. */
typedef struct worker_figures {
    tarn_backend_stats stats;      /* As of at most a second ago; in the end, before the scan. */
    state_size size;               /* In the end. */
    uint64_t snapshot_sync_ns_max; /* Longest time that a barrier held the worker. */
    uint64_t reused_bytes;         /* By all snapshots: what was not uploaded again. */
    uint64_t uploaded_bytes;
    uint64_t kept_bytes;     /* In flight, in all snapshots. */
    uint64_t kept_bytes_max; /* In one of them. */
} worker_figures;

typedef struct worker {
    uint32_t index;
    uint32_t worker_count;
    uint32_t max_parallelism;
    tarn_env *env;
    tarn_checkpoint *restore; /* Until it is open. NULL: begin empty. */
    participant participant;
    checkpointing *checkpointing;
    queue *queue;
    sorter *lines; /* NULL: no result is wanted. */
    bool is_scan_wanted;
    char directory[PATH_MAX + 32];

    atomic_uint_fast64_t completed_id; /* The latest complete checkpoint. */
    atomic_uint_fast64_t aborted_id;   /* The latest one that was given up. */
    uint64_t notified_id;
    uint64_t given_up_id;

    tarn_backend *backend;
    states states;
    tarn_aligner *aligner;   /* Of one channel: the queue. */
    uint64_t arrived_id;     /* The latest barrier that was seen in the queue. */
    uint64_t reached_id;     /* The one that is being reached: nothing is before it. */
    tarn_snapshot *snapshot; /* Under way, or NULL. */
    uint64_t snapshot_id;
    tarn_checkpoint_kind kind; /* Of the latest barrier. */
    tarn_buffer kept;          /* Messages in flight, of the snapshot. */
    tarn_buffer acknowledgement;
    uint64_t measured_ns;

    pthread_mutex_t mutex; /* Guards figures. */
    worker_figures figures;
} worker;

void worker_init(worker *w);
void worker_clear(worker *w);

/* Opens backend and states, empty or restored, on the calling thread, which hands them over. */
tarn_status worker_open(worker *w, tarn_error *error);

/* Works until the end of the stream and scans. Errors: TARN_ABANDONED if the job fails elsewhere.
 */
tarn_status worker_run(worker *w, tarn_error *error);

/* Closes what is open, on whichever thread has the worker. */
tarn_status worker_close(worker *w, tarn_error *error);

/* Answers the figures. Any thread. */
worker_figures worker_measure(worker *w);

#endif
