/*
 * transfer.h - many files moved by several threads, each with one buffer.
 *
 *     caller ──► item 0, 3, 4 ..  ┐
 *     worker ──► item 1, 5 ..     ├─ the next item is whoever's is free; the first failure stops
 * all worker ──► item 2 ..        ┘
 *
 * The caller works too, so a transfer makes progress even when every worker is busy; it may itself
 * be a worker. Helpers that the queue has no room for, or the pool no buffer, are done without.
 *
 * Thread: shared.
 */
#ifndef TARN_SNAPSHOT_TRANSFER_H
#define TARN_SNAPSHOT_TRANSFER_H

#include "base/workers.h"

enum {
    TARN__TRANSFER_BUFFER_BYTES =
        2 << 20, /* Large enough that a request for so much does not count. */
    TARN__TRANSFER_PARALLELISM_MAX = 4, /* Default, as Flink's transfer threads. */
};

/* Moves one item by way of buffer (TARN__TRANSFER_BUFFER_BYTES). Called from any of the threads. */
typedef tarn_status tarn__transfer_item_fn(
    void *context, uint32_t item, uint8_t *buffer, tarn_error *error);

typedef struct tarn__transfer_options {
    tarn__account *account;   /* Outlives the workers' queue: a helper may start after the end. */
    tarn__account *buffers;   /* Of the helpers' buffers; likewise. */
    tarn__workers *workers;   /* NULL: the caller alone. */
    uint32_t parallelism_max; /* Threads, the caller included. 0: the default. */
    uint32_t item_count;
    tarn__transfer_item_fn *item;
    void *context;   /* Of item; not touched after run() has returned. */
    uint8_t *buffer; /* The caller's. */
} tarn__transfer_options;

/* Moves all items; on failure the first one is answered, and no item is still under way. */
TARN_NODISCARD tarn_status
tarn__transfer_run(const tarn__transfer_options *options, tarn_error *error);

/* A buffer for tarn__transfer_options. TARN_OVER_BUDGET or TARN_NO_MEMORY when there is none. */
TARN_NODISCARD tarn_status
tarn__transfer_buffer_new(tarn__account *buffers, uint8_t **out, tarn_error *error);

#endif
