/*
 * worker.h - one subtask of the operator "flights": a gate, a backend, a thread.
 *
 *     gate ──► messages ──► states
 *          ──► watermark ──► watermarks: what is behind them from now on is late
 *          ──► barrier  ──► barriers ──► snapshotting: it begins; messages go on; when durable:
 *          │                             acknowledge
 *          ──► end      ──► of the last channel: snapshot ends; scan the states for the result
 *
 * Messages come from several sources, those of one source in its order. What states hold depends on
 * event time, never on which source was first. So a message that is late is counted as late, and
 * counts all the same.
 *
 * Thread: its own, from worker_run() on: backend, states and snapshot never leave it. The figures
 * are published under the worker's lock.
 */
#ifndef FLIGHTS_WORKER_H
#define FLIGHTS_WORKER_H

#include <limits.h>
#include <stdatomic.h>

#include "barriers.h"
#include "checkpointing.h"
#include "gate.h"
#include "result.h"
#include "snapshotting.h"
#include "states.h"
#include "watermarks.h"

/* What a worker tells of itself. */
typedef struct worker_figures {
    tarn_backend_stats stats; /* As of at most a second ago; in the end, before the scan. */
    state_size size;          /* In the end. */
    snapshot_figures snapshots;
    barrier_figures barriers;
    uint64_t late_count; /* Messages; as of when stats are. */
} worker_figures;

typedef struct worker {
    uint32_t index;
    uint32_t task; /* As the driver knows it. */
    uint32_t worker_count;
    uint32_t max_parallelism;
    tarn_env *env;
    tarn_checkpoint *restore; /* Until it is open. NULL: begin empty. */
    checkpointing *checkpointing;
    const tarn_allocator *allocator; /* Of the heap pool. */
    size_t in_flight_max;            /* Units: bytes. */
    gate *gate;
    sorter *lines; /* NULL: no result is wanted. */
    bool is_scan_wanted;
    char directory[PATH_MAX + 32];
    char copy_directory[PATH_MAX + 32];
    const char *copy; /* That, or NULL: no local copy is kept. */

    atomic_uint_fast64_t completed_id; /* The latest complete checkpoint. */
    atomic_uint_fast64_t aborted_id;   /* The latest one that was given up. */
    uint64_t notified_id;
    uint64_t given_up_id;

    tarn_backend *backend;
    states states;
    snapshotting snapshotting;
    barriers barriers;
    watermarks watermarks;
    uint32_t ended_count; /* Channels. */
    uint64_t measured_ns;

    pthread_mutex_t mutex; /* Guards what follows. */
    tarn_backend_stats stats;
    uint64_t late_count; /* Published; watermarks has the worker's own. */
    state_size size;
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
