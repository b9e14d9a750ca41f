/*
 * queue.h - a bounded queue of batches from the source to one worker.
 *
 *     source ── take ──► [fill] ── push ──► full ── pop ──► [worker] ── give back ──┐
 *        ▲                                                                          │
 *        └───────────────────────────── empty ◄─────────────────────────────────────┘
 *
 * All batches are allocated at open, from the network pool: the queue cannot grow, and a worker
 * that is slower than the source makes it wait (back-pressure). A batch may end with a mark, so
 * that a barrier reaches the worker after exactly the messages that were sent before it.
 *
 * Thread: shared, between one source and one worker; queue_interrupt() and queue_wake() by anybody.
 */
#ifndef FLIGHTS_QUEUE_H
#define FLIGHTS_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tarn/budget.h>
#include <tarn/driver.h>

#include "flight.h"

enum {
    BATCH_BYTES = 32 << 10, /* What Flink's exchanges use as well. */
    BATCH_MESSAGES = (BATCH_BYTES - 32) / sizeof(message),
    QUEUE_BATCHES = 4, /* Few: a barrier has to pass what is queued before it. */
    QUEUE_FOREVER = -1,
};

typedef enum mark {
    MARK_NONE,
    MARK_BARRIER, /* Take a snapshot now. */
    MARK_END,     /* The stream is over. */
} mark;

typedef struct batch {
    uint32_t count;
    mark mark;                   /* Stands after the messages. */
    tarn_driver_barrier barrier; /* Of MARK_BARRIER. */
    message messages[BATCH_MESSAGES];
} batch;

typedef enum queue_outcome {
    QUEUE_BATCH,       /* *out is set. */
    QUEUE_NOTHING_YET, /* The time passed, or somebody woke the worker. */
    QUEUE_INTERRUPTED, /* The job fails; give up. */
} queue_outcome;

typedef struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t has_full;
    pthread_cond_t has_empty;
    batch *full[QUEUE_BATCHES]; /* Ring. */
    uint32_t full_first;
    uint32_t full_count;
    batch *empty[QUEUE_BATCHES]; /* Stack. */
    uint32_t empty_count;
    batch *all[QUEUE_BATCHES];
    bool is_interrupted;
    bool is_woken;
    uint64_t source_wait_ns; /* Time without an empty batch. */
    uint64_t worker_wait_ns; /* Time without a full one. */
    tarn_owner *owner;       /* In the network pool. */
} queue;

/* Opens a queue. index names its owner. Errors: TARN_OVER_BUDGET, TARN_NO_MEMORY. */
tarn_status queue_open(queue *q, tarn_budget *budget, uint32_t index, tarn_error *error);

/* Closes an open queue; both threads are gone. A queue that was only zeroed is left alone. */
void queue_close(queue *q);

/* Waits for an empty batch. NULL: interrupted. */
batch *queue_take(queue *q);

/* Hands a taken batch to the worker; never waits. */
void queue_push(queue *q, batch *filled);

/* Waits for a full batch, wait_ms at most. */
queue_outcome queue_pop(queue *q, int wait_ms, batch **out);

/* Finds the first barrier among the full batches whose id is above after_id. False: there is none.
 */
bool queue_find_barrier(queue *q, uint64_t after_id, tarn_driver_barrier *out);

/*
 * Lists the full batches up to the barrier, itself included: what it overtakes. The worker's alone
 * until it pops them. Returns how many there are.
 */
uint32_t queue_list_before(queue *q, uint64_t barrier_id, const batch *out[QUEUE_BATCHES]);

/* Returns a popped batch, emptied. */
void queue_give_back(queue *q, batch *used);

/* Ends all waits, now and later. */
void queue_interrupt(queue *q);

/* Ends the worker's present wait. */
void queue_wake(queue *q);

/* Answers the time that both sides have waited so far. */
void queue_waits(queue *q, uint64_t *source_ns_out, uint64_t *worker_ns_out);

#endif
