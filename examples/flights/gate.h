/*
 * gate.h - the input of one worker: a bounded channel of batches from each source.
 *
 *     source 0 ── take ──► [fill] ── push ──► channel 0 ──┐
 *        ▲                                               ├── pop ──► [worker] ── give back ──┐
 *     source 1 ── take ──► [fill] ── push ──► channel 1 ──┘                                  │
 *        ▲                                                                                   │
 *        └───────────────────── empty, each channel its own ◄────────────────────────────────┘
 *
 * All batches are allocated at open, from the network pool: a channel cannot grow, and a worker
 * that is slower than a source makes it wait (back-pressure). A batch may end with a mark, so that
 * a barrier reaches the worker after exactly the messages that were sent before it. A channel that
 * is blocked keeps its batches, and its source soon waits; the others go on.
 *
 * Thread: shared, between one source for each channel and one worker; gate_interrupt() and
 * gate_wake() by anybody.
 */
#ifndef FLIGHTS_GATE_H
#define FLIGHTS_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tarn/budget.h>
#include <tarn/driver.h>

#include "flight.h"
#include "options.h"

enum {
    BATCH_BYTES = 32 << 10, /* What Flink's exchanges use as well. */
    BATCH_MESSAGES = (BATCH_BYTES - 48) / sizeof(message),
    CHANNEL_BATCHES = 4, /* Few: a barrier has to pass what is queued before it. */
    GATE_FOREVER = -1,
};

typedef enum mark {
    MARK_NONE,
    MARK_BARRIER, /* Take a snapshot now. */
    MARK_END,     /* The source's part of the stream is over. */
} mark;

typedef struct batch {
    uint32_t count;
    mark mark;                   /* Stands after messages and watermark. */
    tarn_driver_barrier barrier; /* Of MARK_BARRIER. */
    uint64_t kept_id;            /* The worker's: the latest checkpoint that has kept it. */
    int64_t watermark;           /* Stands after the messages. Units: seconds since 1970 UTC. */
    message messages[BATCH_MESSAGES];
} batch;

typedef enum gate_outcome {
    GATE_BATCH,       /* The outputs are set. */
    GATE_NOTHING_YET, /* The time passed, or somebody woke the worker. */
    GATE_INTERRUPTED, /* The job fails; give up. */
} gate_outcome;

typedef struct gate_channel {
    pthread_cond_t has_empty;
    batch *full[CHANNEL_BATCHES]; /* Ring. */
    uint32_t full_first;
    uint32_t full_count;
    batch *empty[CHANNEL_BATCHES]; /* Stack. */
    uint32_t empty_count;
    bool is_blocked;
    uint64_t blocked_since_ns;
} gate_channel;

/* What a gate has waited for so far. */
typedef struct gate_waits {
    uint64_t source_ns;  /* Without an empty batch; of all sources. */
    uint64_t worker_ns;  /* Without a full one. */
    uint64_t blocked_ns; /* Channels that were blocked; of all channels. */
} gate_waits;

typedef struct gate {
    pthread_mutex_t mutex; /* Guards what follows, but not what is in full batches. */
    pthread_cond_t has_full;
    uint32_t channel_count;
    uint32_t next_channel; /* In turn, so that none starves. */
    bool is_interrupted;
    bool is_woken;
    gate_waits waits;
    gate_channel channels[SOURCES_MAX];
    batch *all[SOURCES_MAX * CHANNEL_BATCHES];
    uint32_t all_count;
    tarn_owner *owner; /* In the network pool. */
} gate;

/* Opens a gate. index names its owner. Errors: TARN_OVER_BUDGET, TARN_NO_MEMORY. */
tarn_status gate_open(
    gate *g, tarn_budget *budget, uint32_t index, uint32_t channel_count, tarn_error *error);

/* Answers how much its channels can hold at once. Units: bytes. */
uint32_t gate_capacity(const gate *g);

/* Closes an open gate; all threads are gone. A gate that was only zeroed is left alone. */
void gate_close(gate *g);

/* The sources' side. */

/* Waits for an empty batch. NULL: interrupted. */
batch *gate_take(gate *g, uint32_t channel);

/* Hands a taken batch to the worker; never waits. */
void gate_push(gate *g, uint32_t channel, batch *filled);

/* The worker's side. */

/* Waits for a full batch in any channel that is not blocked, wait_ms at most. */
gate_outcome gate_pop(gate *g, int wait_ms, uint32_t *channel_out, batch **batch_out);

/* Returns a popped batch, emptied. */
void gate_give_back(gate *g, uint32_t channel, batch *used);

/* Nothing is popped from a channel while it is blocked. */
void gate_set_blocked(gate *g, uint32_t channel, bool is_blocked);

/* Finds the first barrier among the full batches whose id is above after_id. False: none. */
bool gate_find_barrier(gate *g, uint32_t channel, uint64_t after_id, tarn_driver_barrier *out);

/*
 * Lists the full batches up to the barrier, itself included, or all when it is not there: what it
 * overtakes. They are the worker's alone until it pops them. Returns how many there are.
 */
uint32_t gate_list_before(
    gate *g, uint32_t channel, uint64_t barrier_id, batch *out[CHANNEL_BATCHES]);

/* Anybody. */

/* Ends all waits, now and later. */
void gate_interrupt(gate *g);
bool gate_is_interrupted(gate *g);

/* Ends the worker's present wait. */
void gate_wake(gate *g);

gate_waits gate_measure(gate *g);

#endif
