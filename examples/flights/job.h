/*
 * job.h - the whole stream processor.
 *
 *     source 0 ──────┬──► gate ──► worker 0: backend, key groups 0 .. 63     (thread)
 *     (thread)     ╲╱ channels
 *     source 1 ────╱╲┴──► gate ──► worker 1: backend, key groups 64 .. 127   (thread)
 *     (thread)                        │
 *        ▲                            │
 *        └──── checkpointing ◄────────┘     main thread: checkpoints, progress
 */
#ifndef FLIGHTS_JOB_H
#define FLIGHTS_JOB_H

#include "checkpointing.h"
#include "gate.h"
#include "local_copies.h"
#include "options.h"
#include "origin.h"
#include "sorter.h"
#include "source.h"
#include "worker.h"

typedef struct job {
    const options *options;
    tarn_config *config;
    tarn_env *env;
    tarn_owner *owner; /* In the heap pool: of the job itself. */
    monitor monitor;
    checkpointing checkpointing;
    origin origin; /* What it goes on from. */
    local_copies copies;
    uint32_t max_parallelism; /* Key groups. */
    uint64_t record_count;    /* Of all rounds. */
    uint64_t restored_at;     /* Records that the restored checkpoint had seen. */
    uint64_t started_ns;

    division division;
    uint32_t source_count; /* That are to be cleared. */
    source sources[SOURCES_MAX];
    uint32_t open_count; /* Workers that are to be closed. */
    gate gates[WORKERS_MAX];
    sorter sorters[WORKERS_MAX];
    worker workers[WORKERS_MAX];

    uint32_t thread_count;
    pthread_t threads[SOURCES_MAX + WORKERS_MAX];
} job;

/* Runs the job to its end. */
tarn_status job_run(const options *o, tarn_error *error);

#endif
