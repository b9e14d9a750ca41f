/*
 * source.h - events for a workload: Nexmark's, of the kinds that a query reads, or bids whose
 * auction and bidder are the same key of a stream (keys.h); and rows to store for them.
 */
#ifndef TARN_TESTS_BENCH_SOURCE_H
#define TARN_TESTS_BENCH_SOURCE_H

#include "bench.h"
#include "keys.h"
#include "nexmark.h"
#include "tarn/bytes.h"
#include "workload.h"

enum {
    BENCH_ALL_KINDS = 1u << BENCH_PERSON | 1u << BENCH_AUCTION | 1u << BENCH_BID,
    BENCH_ROW_BYTES_MAX = 4096,
};

typedef struct bench_source {
    uint32_t kinds; /* 1 << bench_event_kind of what a query reads; 0: keys. */
    uint64_t rate;
    bench_nexmark nexmark;
    bench_keys keys;
    uint64_t number;
    uint8_t filler[1 << 16]; /* Random letters: rows are not compressed to nothing. */
    uint8_t row[BENCH_ROW_BYTES_MAX];
} bench_source;

/* kinds 0: keys as the options say. */
void bench_source_open(bench_source *source, const bench_options *options, uint32_t kinds);
void bench_source_close(bench_source *source);
void bench_source_fill(bench_source *source, bench_event *out, uint64_t count);

/* A row of an event: number, price, time, then letters. 24 .. BENCH_ROW_BYTES_MAX bytes, borrowed
 * until the next call. */
tarn_bytes bench_source_row(bench_source *source, const bench_event *event, size_t bytes);

typedef struct bench_row_head {
    uint64_t number;
    uint64_t price;
    int64_t time_ms;
} bench_row_head;

bench_row_head bench_row_head_of(tarn_bytes row);

/* Part of a checksum: rows in any order have the same sum. */
uint64_t bench_row_digest(tarn_bytes row);

/* Adds the digest of each element or entry to *(uint64_t *)context. */
void bench_digest_visit(void *context, tarn_bytes key, tarn_bytes value);

static inline void bench_set_key(bench_store *store, uint64_t key)
{
    uint8_t bytes[8];
    bench_key_bytes(key, bytes);
    store->ops->set_key(store, bytes, sizeof bytes);
}

static inline void bench_set_namespace(bench_table *table, uint64_t name_space)
{
    uint8_t bytes[8];
    bench_key_bytes(name_space, bytes);
    table->store->ops->set_namespace(table, bytes, sizeof bytes);
}

#endif
