/*
 * workload.h - a workload as duel.c runs it, and the table of all.
 *
 * A workload is written once and runs on any store that has its kinds of tables. Each side runs in
 * a process of its own: memory is separate, and what one side leaves in the heap is not the
 * other's. duel.c has the turns:
 *
 *     begin()                       open tables, load what the state begins with (not measured)
 *     { prepare(n), n x event(i) }  n events are made, outside of the measured time, then applied
 *     finish()                      the answer: what was read, and what the state holds
 *
 * Both sides are given the same numbers of events in the same order, and must answer the same.
 */
#ifndef TARN_TESTS_BENCH_WORKLOAD_H
#define TARN_TESTS_BENCH_WORKLOAD_H

#include "store.h"

/* Events that are made at once, at most. */
enum { BENCH_BATCH_EVENTS = 16384 };

typedef struct bench_workload {
    const char *name;
    const char *what; /* One line for the usage text. */
    uint32_t kinds;   /* 1 << bench_kind for each that it opens. */
    uint32_t variant; /* Which of those that share the functions: a Nexmark query, for instance. */
    void *(*begin)(const struct bench_workload *workload, bench_store *store);
    void (*prepare)(void *run, uint64_t count);
    void (*event)(void *run, uint64_t index);
    uint64_t (*finish)(void *run);
} bench_workload;

/* Variants of workloads that share their functions. */
typedef enum bench_variant {
    BENCH_WINDOW,
    BENCH_SESSION,
    BENCH_JOIN,
    BENCH_DEDUP,
    BENCH_TOPN,
    BENCH_MAP_MIX,
    BENCH_APPEND_DRAIN,
    BENCH_Q4,
    BENCH_Q5,
    BENCH_Q7,
    BENCH_Q8,
    BENCH_Q9,
    BENCH_Q11,
    BENCH_Q12,
    BENCH_Q18,
    BENCH_Q19,
    BENCH_Q20,
} bench_variant;

typedef enum bench_micro {
    BENCH_VALUE_GET,
    BENCH_VALUE_UPDATE,
    BENCH_VALUE_ADD,
    BENCH_LIST_ADD,
    BENCH_LIST_APPEND,
    BENCH_LIST_GET,
    BENCH_LIST_UPDATE,
    BENCH_MAP_GET,
    BENCH_MAP_PUT,
    BENCH_MAP_REMOVE,
    BENCH_MAP_CONTAINS,
    BENCH_MAP_ITERATE,
} bench_micro;

extern const bench_workload BENCH_WORKLOADS[];
extern const size_t BENCH_WORKLOAD_COUNT;

/* NULL: there is none of this name. */
const bench_workload *bench_workload_find(const char *name);

/* rmw.c */
void *bench_rmw_begin(const bench_workload *workload, bench_store *store);
void *bench_reduce_begin(const bench_workload *workload, bench_store *store);
void bench_rmw_prepare(void *context, uint64_t count);
void bench_rmw_event(void *context, uint64_t index);
void bench_lookup_event(void *context, uint64_t index);
void bench_reduce_event(void *context, uint64_t index);
uint64_t bench_rmw_finish(void *context);

/* windows.c */
void *bench_windows_begin(const bench_workload *workload, bench_store *store);
void bench_windows_prepare(void *context, uint64_t count);
void bench_windows_event(void *context, uint64_t index);
uint64_t bench_windows_finish(void *context);

/* joins.c */
void *bench_joins_begin(const bench_workload *workload, bench_store *store);
void bench_joins_prepare(void *context, uint64_t count);
void bench_joins_event(void *context, uint64_t index);
uint64_t bench_joins_finish(void *context);

/* rows.c */
void *bench_rows_begin(const bench_workload *workload, bench_store *store);
void bench_rows_prepare(void *context, uint64_t count);
void bench_rows_event(void *context, uint64_t index);
uint64_t bench_rows_finish(void *context);

/* micro.c */
void *bench_micro_begin(const bench_workload *workload, bench_store *store);
void bench_micro_prepare(void *context, uint64_t count);
void bench_micro_event(void *context, uint64_t index);
uint64_t bench_micro_finish(void *context);

/* Keys are stored big endian, as Flink serialises a long. */
static inline void bench_key_bytes(uint64_t key, uint8_t out[8])
{
    for (uint32_t i = 0; i < 8; i++) {
        out[i] = (uint8_t)(key >> (56 - 8 * i));
    }
}

#endif
