/*
 * loop.h - the loop: events go to the coordinator, effects are performed, answers are events.
 *
 * Thread: the main thread's; the writer has its pipe, and the mailbox to answer into.
 */
#ifndef EVENT_LOOP_LOOP_H
#define EVENT_LOOP_LOOP_H

#include <limits.h>

#include <tarn.h>

#include "task.h"

enum { INTERVAL_MS = 50, TIMEOUT_MS = 60000, RETAINED = 2, PENDING_MAX = 4, EVENTS_MAX = 64 };

extern const char job_name[];

/* A checkpoint or savepoint under way. */
typedef struct pending {
    uint64_t id;                    /* 0: a free place. */
    tarn_pending_checkpoint *parts; /* NULL: the writer has them. */
    char path[PATH_MAX];
} pending;

/* What the writer is to commit. */
typedef struct write_order {
    uint64_t id;
    tarn_pending_checkpoint *parts;
} write_order;

/* A stop that did not come to pass is asked for again when a checkpoint shows that one can be. */
typedef enum stop_state {
    STOP_NOT_WANTED,
    STOP_DUE,     /* The loop asks at its next turn. */
    STOP_ASKED,   /* The coordinator has the request: to stop again would abort it. */
    STOP_PUT_OFF, /* Until a checkpoint is complete. */
} stop_state;

typedef struct loop {
    const char *directory;
    const char *from; /* A savepoint, until a checkpoint is complete. NULL: the latest one. */
    uint64_t crash_at;
    uint64_t stop_at;
    uint64_t timeout_ms;
    uint32_t tolerated;

    int epoll, timer, signals;
    int mail[2];
    int writes[2]; /* Orders, to the writer. */
    pthread_t writer;

    tarn_config *config;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_coordinator *coordinator;
    pending pending[PENDING_MAX];
    uint32_t write_count;                      /* Under way. */
    tarn_coordinator_event events[EVENTS_MAX]; /* That the coordinator has yet to hear. */
    uint32_t event_count;
    task tasks[TASK_COUNT];
    bool has_failed_task[TASK_COUNT];
    stop_state stop;
    bool has_stopped;
    bool has_failed;
} loop;

/* Ends the program with the library's sentence. */
void check(tarn_status status, const tarn_error *error);

/* ---- loop.c ---- */

/* Opens the latest checkpoint, or the savepoint to go on from. NULL: there is none yet. */
tarn_checkpoint *loop_open_latest(const loop *l);

/* Gives a task its state of a checkpoint, which may be NULL. */
void loop_restore_task(task *t, const tarn_checkpoint *checkpoint);

/* Runs until the job has stopped or failed. */
void loop_run(loop *l);

/* ---- effects.c ---- */

/* Does what an effect asks for; answers to it join the events. */
void effects_perform(loop *l, const tarn_coordinator_effect *effect);

/* Adds an event behind those that the coordinator has yet to hear. */
void effects_answer(loop *l, tarn_coordinator_event event);

/* id 0: a free place. NULL: there is none. */
pending *effects_find(loop *l, uint64_t id);

/* The writer's thread: commits what it is told to, until the end of the pipe. context: the loop. */
void *effects_write(void *context);

#endif
