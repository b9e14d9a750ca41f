/*
 * checkpointing.h - when a checkpoint begins, who has answered, and what becomes of it.
 *
 *             due                  the source sends barriers            all have answered
 *     idle ─────────► requested ──────────────────────────► collecting ──────────────────► idle
 *                         │  the source is at its end                    commit, or abandon
 *                         └──────────────────────────────► idle          when one declined
 *
 * Participants are the source and the workers; each answers once, in whatever order. A pending
 * checkpoint is ended only when all have, because their snapshots borrow from it. One checkpoint is
 * under way at a time.
 *
 * A checkpoint that fails costs nothing but time: the job goes on, the last complete one stays.
 * More failures in a row than are tolerable end the job, since it could not be restored any more
 * from where it is.
 *
 * Thread: shared; checkpointing_step() by the main thread only.
 */
#ifndef FLIGHTS_CHECKPOINTING_H
#define FLIGHTS_CHECKPOINTING_H

#include <stdatomic.h>

#include <tarn/checkpoint.h>
#include <tarn/config.h>

#include "monitor.h"

enum { DURATIONS_MAX = 4096 };

typedef enum checkpointing_phase {
    CHECKPOINTING_IDLE,
    CHECKPOINTING_REQUESTED,
    CHECKPOINTING_COLLECTING,
} checkpointing_phase;

typedef struct checkpointing {
    monitor *monitor; /* Its lock guards what follows. */
    tarn_checkpoint_store *store;
    uint32_t participant_count;
    uint64_t interval_ns; /* 0: no checkpoints by themselves. */
    uint32_t tolerable_count;

    atomic_bool is_requested; /* Phase is REQUESTED; read by the source for every record. */
    checkpointing_phase phase;
    bool has_source_ended;
    tarn_pending_checkpoint *pending;
    uint64_t id;
    uint32_t awaited_count;
    bool is_declined;
    tarn_error decline; /* The first one. */
    uint64_t due_ns;

    /* Figures, of the main thread only. */
    tarn_checkpoint_summary latest;
    uint64_t completed_count;
    uint64_t failed_count;
    uint32_t failed_in_a_row;
    uint64_t new_bytes;                   /* Of all checkpoints. */
    uint32_t durations_ms[DURATIONS_MAX]; /* The latest ones. */
} checkpointing;

/* What a step did. */
typedef enum checkpointing_event {
    CHECKPOINTING_NOTHING,
    CHECKPOINTING_COMPLETED, /* latest tells which: tell the workers. */
    CHECKPOINTING_FAILED,    /* The error tells why; tolerated. */
    CHECKPOINTING_HOPELESS,  /* Likewise; one too many. */
} checkpointing_event;

/*
 * Opens the store.
 *
 * config     Has the interval, how many failures are tolerable, and how many checkpoints are kept.
 * directory  Where the checkpoints of all jobs are. NULL: there will be none.
 */
tarn_status checkpointing_open(
    checkpointing *c,
    monitor *m,
    tarn_env *env,
    const tarn_config *config,
    const char *directory,
    uint32_t participant_count,
    tarn_error *error);

/* Gives up what is under way and closes the store. The other threads are gone. */
void checkpointing_close(checkpointing *c);

/* Begins a checkpoint when it is due, ends it when all have answered. */
checkpointing_event checkpointing_step(checkpointing *c, tarn_error *error);

/* The source: answers whether it has to send barriers and to answer. */
bool checkpointing_take_request(checkpointing *c);

/* The source: it is at its end, and takes no requests any more. */
void checkpointing_end_of_source(checkpointing *c);

/* A worker: the checkpoint that the barrier belongs to; valid until it answers. */
tarn_pending_checkpoint *checkpointing_pending(checkpointing *c);

/* An answer: the participant's part of the checkpoint, or why there is none. */
void checkpointing_acknowledge(checkpointing *c, tarn_bytes acknowledgement);
void checkpointing_decline(checkpointing *c, const tarn_error *error);

#endif
