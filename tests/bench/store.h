/*
 * store.h - what a workload runs on: Tarn, RocksDB alone, or a hash table.
 *
 * A store has tables; a table is one state. Operations mean the current key of the store and the
 * current namespace of the table, as with a keyed backend. Whatever fails ends the program.
 *
 *     ours      Tarn, opened with --memory: heap pool and managed pool together
 *     defaults  RocksDB as Flink sets it up: snappy, no filter, 2 jobs
 *     tuned     RocksDB with the whole budget, its tables as Tarn's: filters, partitioned and
 *               pinned index, lz4
 *     other     Tarn again, with the options of -E instead of those of -D, and without --prefetch
 *     unaccounted  Tarn again, in a program of which no account counts: unaccounted.c
 *     hash      an open-addressing hash table in memory, without a budget: values and sums alone
 */
#ifndef TARN_TESTS_BENCH_STORE_H
#define TARN_TESTS_BENCH_STORE_H

#include "bench.h"
#include "tarn/bytes.h"

typedef enum bench_kind {
    BENCH_VALUE,
    BENCH_SUM, /* Of 64-bit integers. */
    BENCH_LIST,
    BENCH_MAP,
} bench_kind;

enum { BENCH_KEY_BYTES_MAX = 64, BENCH_TABLES_MAX = 8, BENCH_PREFETCH_KEYS_MAX = 4096 };

typedef struct bench_table_options {
    const char *name;
    bench_kind kind;
    uint64_t ttl_ms;        /* Since the last write; 0: for ever. BENCH_VALUE alone. */
    uint64_t element_bytes; /* Of a list: all are of this size. */
} bench_table_options;

typedef struct bench_store {
    const struct bench_store_ops *ops;
    const bench_options *options;
    int64_t now_ms; /* The time of tables with a time to live; the workload's to set. */
} bench_store;

typedef struct bench_table {
    bench_store *store;
    bench_table_options options;
} bench_table;

/* Rows that were found in memory without a look into the store, such as were not, and those there
 * now. */
typedef struct bench_hits {
    uint64_t hit_count;
    uint64_t miss_count;
    uint64_t row_count;
    uint64_t declined_count; /* Rows that were read and not kept. */
    bool is_aside;           /* The working set is stepping aside. */
} bench_hits;

/* Visits one entry of a map, or one element of a list with an empty key. Borrowed. */
typedef void bench_visit(void *context, tarn_bytes key, tarn_bytes value);

typedef struct bench_store_ops {
    const char *name;
    const char *program; /* Beside this one, that has the store. NULL: this one has it. */
    bool has_budget;     /* What it uses is bounded by --memory. */
    uint32_t kinds;      /* 1 << bench_kind for each that it has. */

    bench_store *(*open)(const bench_options *options, const char *directory);
    void (*close)(bench_store *store);
    bench_table *(*open_table)(bench_store *store, const bench_table_options *options);
    void (*set_key)(bench_store *store, const void *key, size_t size);
    void (*set_namespace)(bench_table *table, const void *name_space, size_t size);

    /* What a key is sorted by before its bytes, below groups. NULL: nothing. */
    uint32_t (*group)(const bench_store *store, tarn_bytes key, uint32_t *groups);

    /* BENCH_VALUE. get: false, there is none; the bytes are borrowed until the next call. */
    bool (*get)(bench_table *table, tarn_bytes *out);
    void (*put)(bench_table *table, tarn_bytes value);
    /* The value to be changed in place, zeroed when it is new; edited() stores it. Without a TTL.
     */
    void *(*edit)(bench_table *table, size_t size);
    void (*edited)(bench_table *table, size_t size);

    /* Begins to read the values of coming keys, and takes in those of the call before. Shape of
     * keys: [count][8 bytes]. NULL: the store reads when it is asked. */
    void (*prefetch)(bench_table *table, const uint8_t *keys, size_t count);

    /* BENCH_SUM. */
    void (*add)(bench_table *table, int64_t amount);
    int64_t (*sum)(bench_table *table);

    /* BENCH_LIST. */
    void (*append)(bench_table *table, tarn_bytes element);
    void (*replace)(bench_table *table, tarn_bytes element);

    /* BENCH_MAP. */
    bool (*map_get)(bench_table *table, tarn_bytes key, tarn_bytes *out);
    void (*map_put)(bench_table *table, tarn_bytes key, tarn_bytes value);
    void (*map_remove)(bench_table *table, tarn_bytes key);

    /* BENCH_LIST and BENCH_MAP: every element or entry of the current key and namespace. */
    void (*visit)(bench_table *table, bench_visit *visit, void *context);
    /* All kinds: what the current key has in the current namespace. */
    void (*remove)(bench_table *table);

    /* What memory in front of the store has done so far. NULL: there is none. */
    bench_hits (*hits)(const bench_store *store);
} bench_store_ops;

extern const bench_store_ops BENCH_STORE_TARN;
extern const bench_store_ops BENCH_STORE_OTHER;
extern const bench_store_ops BENCH_STORE_UNACCOUNTED;
extern const bench_store_ops BENCH_STORE_DEFAULTS;
extern const bench_store_ops BENCH_STORE_TUNED;
extern const bench_store_ops BENCH_STORE_HASH;

#endif
