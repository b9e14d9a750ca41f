/*
 * task.h - the engine's side: tasks on threads of their own, which talk with the loop by pipes.
 *
 *     loop ── orders ──► task    barrier, aborted; the end of the pipe ends the task
 *     loop ◄── mail ──── task    what the coordinator is to hear, with the task's part
 *
 * A task counts: its state is how far it is, and the sum so far. Each can be told to misbehave at
 * one checkpoint.
 *
 * Thread: a task is the loop's but while its thread runs: then that has position and sum.
 */
#ifndef EVENT_LOOP_TASK_H
#define EVENT_LOOP_TASK_H

#include <pthread.h>

#include <tarn/bytes.h>
#include <tarn/coordinator.h>

enum { TASK_COUNT = 2 };

/* Small enough for a pipe to take it whole or not at all. part: whoever reads it clears it. */
typedef struct mail {
    tarn_coordinator_event event; /* Its time is the loop's to say. */
    tarn_buffer part;
} mail;

typedef struct order {
    bool is_barrier; /* Else: the checkpoint was given up. */
    bool is_last;    /* The barrier's: no record is to take effect behind it. */
    uint64_t checkpoint_id;
} order;

/* The checkpoint at which a task does so; 0: never. */
typedef struct mishaps {
    uint64_t decline;
    uint64_t fail; /* Its thread ends. */
    uint64_t late; /* Or the first after it: it acknowledges when that has been given up. */
} mishaps;

typedef struct task {
    uint32_t index;
    uint32_t attempt;
    mishaps mishaps;
    int mail_fd;
    uint64_t position; /* Numbers counted: 1, 2, .. */
    uint64_t sum;
    int orders[2];
    bool is_running;
    pthread_t thread;
    uint64_t late_id;
    tarn_buffer late_part; /* Of late_id. */
} task;

/* Ends the program with a sentence if a call of the system failed. */
void check_system(bool is_good, const char *what);

/* Starts the thread, at position and sum. */
void task_start(task *t);

void task_tell(task *t, order what);

/* Ends the thread, or waits for one that has ended. Nothing happens when none runs. */
void task_stop(task *t);

/* The state in a part of a checkpoint: position and sum, 8 bytes each. */
extern const char task_operator[], task_state[];
enum { TASK_STATE_BYTES = 16 };

#endif
