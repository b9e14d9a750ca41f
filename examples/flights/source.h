/*
 * source.h - reads the flights, replays the year, and partitions records by key group to workers.
 *
 * Its position is state like any other: it is part of every checkpoint, and a restored job reads on
 * from there. Event time is followed by a watermark, the largest event time seen less a bound;
 * what comes behind it is late, is counted as late, and counts all the same.
 *
 * Thread: its own; the atomic figures may be read by any.
 */
#ifndef FLIGHTS_SOURCE_H
#define FLIGHTS_SOURCE_H

#include <stdatomic.h>

#include <tarn/checkpoint.h>

#include "checkpointing.h"
#include "input.h"
#include "options.h"
#include "queue.h"

enum {
    MAX_PARALLELISM = 128,    /* Key groups of the job, unless the configuration says. */
    WATERMARK_BOUND_S = 3600, /* 7.7 % of the flights come later than that. */
};

/* What the checkpoint holds of the source. */
typedef struct position {
    uint64_t round;      /* The replay of the year, from 0. */
    uint64_t record;     /* Records of the round that were emitted. */
    uint64_t emitted;    /* Records of all rounds. */
    uint64_t event_time; /* The largest that was seen. Units: seconds since 1970 UTC. */
    uint64_t out_of_order_count;
    uint64_t late_count;       /* Behind the watermark. */
    uint64_t out_of_order_max; /* Units: seconds behind event_time. */
    uint64_t without_aircraft_count;
} position;

typedef struct source {
    const char *path;
    tarn_budget *budget;
    participant participant;
    atomic_bool is_triggered;    /* There is a barrier to send; read for every record. */
    pthread_mutex_t mutex;       /* Guards barrier. */
    tarn_driver_barrier barrier; /* The latest that the driver asked for. */
    queue *queues;               /* One per worker. */
    uint32_t worker_count;
    uint32_t max_parallelism;
    uint32_t round_count;
    uint64_t kill_at; /* The process kills itself after as many, and a checkpoint; 0: never. */
    uint64_t stop_at; /* The job is stopped with a savepoint after as many; 0: never. */

    position position;
    batch *filling[WORKERS_MAX];        /* Per worker: taken and not pushed. */
    atomic_uint_fast64_t emitted_count; /* For the report; position.emitted is the source's own. */
} source;

/* Joins the job's checkpoints. */
tarn_status source_join(source *s, checkpointing *c, tarn_error *error);

/* Reads the position out of a checkpoint. Errors: TARN_CORRUPTION, TARN_INCOMPATIBLE. */
tarn_status source_restore(source *s, const tarn_checkpoint *checkpoint, tarn_error *error);

/* Emits everything and the end marks. Errors: TARN_ABANDONED when the job fails elsewhere. */
tarn_status source_run(source *s, tarn_error *error);

#endif
