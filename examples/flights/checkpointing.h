/*
 * checkpointing.h - the job's checkpoints: the library's driver, and what the job keeps of it.
 *
 *     driver ── trigger ──► sources ── barriers through the channels ──► workers
 *       ▲                      │                                           │
 *       └──── acknowledge ─────┴───────────────────────────────────────────┘
 *       │
 *       └── hear ──► figures and failures, which the main thread reads
 *
 * A checkpoint that fails costs nothing but time: the job goes on, the last complete one stays.
 * More failures in a row than are tolerable end the job, since it could not be restored any more
 * from where it is.
 *
 * Thread: shared; checkpointing_step() by the main thread only.
 */
#ifndef FLIGHTS_CHECKPOINTING_H
#define FLIGHTS_CHECKPOINTING_H

#include <tarn/driver.h>

#include "monitor.h"

enum {
    DURATIONS_MAX = 4096,
    DEMAND_REQUEST = 1, /* Names the demand to the driver. */
    SAVE_REQUEST = 2,   /* Likewise the savepoint that the job goes on after. */
};

typedef struct checkpointing {
    monitor *monitor;    /* Its lock guards what follows. */
    tarn_driver *driver; /* NULL: no checkpoints are wanted. */

    char savepoint[4096]; /* The latest; empty: there is none. */
    bool has_stopped;     /* It is the one to stop the job with. */
    bool has_failed; /* The checkpoint that failure is of; until the main thread has said so. */
    bool is_hopeless;
    bool is_demand_answered;
    bool has_refused_to_stop; /* The savepoint that was to stop the job has failed. */
    tarn_error failure;

    /* Figures. */
    tarn_checkpoint_summary latest;
    uint64_t completed_count;
    uint64_t failed_count;
    uint32_t failed_in_a_row;
    uint64_t new_bytes;                   /* Of all checkpoints. */
    uint32_t durations_ms[DURATIONS_MAX]; /* The latest ones. */
} checkpointing;

/* One task of the job, as the driver knows it. */
typedef struct participant {
    checkpointing *checkpointing;
    uint32_t task;
    uint32_t attempt;
} participant;

/* What a step found. */
typedef enum checkpointing_event {
    CHECKPOINTING_NOTHING,
    CHECKPOINTING_FAILED,   /* The error tells why; tolerated. */
    CHECKPOINTING_HOPELESS, /* Likewise; one too many. */
} checkpointing_event;
/* What is checkpointed where, and what the job goes on from. */
typedef struct checkpointing_options {
    const char *directory;           /* NULL: no checkpoints are taken. */
    uint32_t source_count;           /* Source i is task i, */
    uint32_t worker_count;           /* worker i is task source_count + i. */
    const tarn_checkpoint *restored; /* Whose is to be said. NULL: none. */
    tarn_claim_mode claim_mode;      /* That. */
    const uint64_t *refused_ids;     /* Of the directory, that were passed over. */
    uint32_t refused_count;
} checkpointing_options;

/*
 * Opens the driver, with settings from the environment's configuration.
 *
 * options  Borrowed for the call.
 */
tarn_status checkpointing_open(
    checkpointing *c,
    monitor *m,
    tarn_env *env,
    const checkpointing_options *options,
    tarn_error *error);

/* Ends it; every participant has left. */
void checkpointing_close(checkpointing *c, tarn_status outcome);

/* All participants have joined: checkpoints by themselves from now on. */
tarn_status checkpointing_start(checkpointing *c, tarn_error *error);

/* Takes a savepoint, and the job goes on. */
tarn_status checkpointing_save(checkpointing *c, tarn_error *error);

/* Stops the job with a savepoint: sources end behind its barrier. */
tarn_status checkpointing_stop(checkpointing *c, tarn_error *error);

/* That savepoint has failed: the sources go on. */
bool checkpointing_has_refused_to_stop(checkpointing *c);

/* One checkpoint of this run is complete, or the one demanded has failed, or none is wanted. */
bool checkpointing_has_outcome(checkpointing *c);

/* Asks for a checkpoint now, whatever the interval; checkpoints are wanted. */
tarn_status checkpointing_demand(checkpointing *c, tarn_error *error);

/* The one demanded is complete, or has failed. */
bool checkpointing_has_answered(checkpointing *c);

/* Tells about the last failure, once. */
checkpointing_event checkpointing_step(checkpointing *c, tarn_error *error);

/* Participants do nothing when no checkpoints are wanted. callbacks.context: the task's. */
tarn_status participant_join(
    participant *p,
    checkpointing *c,
    uint32_t task,
    const tarn_driver_task *callbacks,
    tarn_error *error);
void participant_leave(participant *p, tarn_driver_task_end end);

/* An answer: the participant's part of the checkpoint, or why there is none. */
void participant_acknowledge(participant *p, uint64_t checkpoint_id, tarn_bytes part);
void participant_decline(
    participant *p,
    uint64_t checkpoint_id,
    tarn_checkpoint_failure reason,
    const tarn_error *cause);

#endif
