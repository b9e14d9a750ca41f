/*
 * source.h - reads its part of the flights, replays the year, and partitions records by key group.
 *
 *     file   ▓▓▓▓░░░░▓▓▓▓░░░░ ...   blocks of records, dealt out to the sources in turn
 *            ▓ source 0 ──► channel 0 of every worker
 *            ░ source 1 ──► channel 1 of every worker
 *
 * Each reads the whole file and passes over the blocks of others. Its position is state like any
 * other: it is part of every checkpoint, and a restored job reads on from there. Event time is
 * followed by a watermark, the largest event time that the source has seen less a bound. It travels
 * behind the messages of each batch; workers combine those of all sources (watermarks.h).
 *
 * Where a checkpoint is to be taken, or the job to be killed or stopped, all sources stand still,
 * each behind its last record before that one: which records were emitted does not depend on how
 * fast each of them is.
 *
 * Thread: its own; the atomic figures may be read by any. The division is shared.
 */
#ifndef FLIGHTS_SOURCE_H
#define FLIGHTS_SOURCE_H

#include <stdatomic.h>

#include "checkpointing.h"
#include "gate.h"
#include "input.h"
#include "options.h"
#include "position.h"

enum {
    MAX_PARALLELISM = 128, /* Key groups of the job, unless the configuration says. */
    BLOCK_RECORDS = 256,
    BARRIERS_PENDING = 8,
};

/* Where all sources stand still together. */
typedef struct halt {
    uint64_t at; /* Records that all sources have emitted by then; 0: nowhere. */
    atomic_uint standing_count;
} halt;

/* What the sources of a job have in common. */
typedef struct division {
    const char *path; /* For messages. */
    int file;         /* -1: none yet. */
    tarn_budget *budget;
    const tarn_allocator *allocator; /* Of the heap pool. */
    gate *gates;                     /* One per worker. */
    uint32_t source_count;
    uint32_t worker_count;
    uint32_t max_parallelism;
    uint32_t round_count;
    int64_t watermark_bound_s;
    uint64_t round_size;   /* Records. */
    uint64_t savepoint_at; /* As halt.at, but nobody stands still. */
    halt checkpoint;       /* One more is taken there, and the job goes on. */
    halt kill;             /* The process kills itself there, after a checkpoint. */
    halt stop;             /* The job is stopped there, with a savepoint. */
} division;

typedef struct source {
    division *division;
    uint32_t index;
    participant participant;
    atomic_bool is_triggered; /* There is a barrier to send; read for every record. */
    pthread_mutex_t mutex;    /* Guards barriers. */
    tarn_driver_barrier barriers[BARRIERS_PENDING]; /* That the driver has asked for, in order. */
    uint32_t barrier_count;

    position position;
    bool is_stopped;                    /* The last barrier was sent. */
    bool has_paused;                    /* For the checkpoint. */
    bool has_stood;                     /* Where the job was to be stopped. */
    bool has_asked;                     /* For the savepoint. */
    batch *filling[WORKERS_MAX];        /* Per worker: taken and not pushed. */
    atomic_uint_fast64_t emitted_count; /* For the report; position.emitted is the source's own. */
} source;

void source_init(source *s, division *d, uint32_t index);
void source_clear(source *s);

/* Joins the job's checkpoints. */
tarn_status source_join(source *s, checkpointing *c, tarn_error *error);

/* Reads the position out of a checkpoint. Errors: TARN_CORRUPTION, TARN_INCOMPATIBLE. */
tarn_status source_restore(source *s, const tarn_checkpoint *checkpoint, tarn_error *error);

/* Answers how many records it has passed, its own and those of others. */
uint64_t source_passed(const source *s);

/* Emits everything and the end marks. Errors: TARN_ABANDONED when the job fails elsewhere. */
tarn_status source_run(source *s, tarn_error *error);

#endif
