/*
 * micro.c - one operation of one kind of state, over and over, in the shapes of Flink's own
 * micro-benchmarks: --keys keys in random order, values of 8 bytes, maps of 10 entries, lists of
 * one element.
 *
 * An operation that would run out of what it works on (remove) finds it put back, and one that
 * makes what was not there (value-add, list-add) has a new key each time.
 *
 * Source: what is measured follows apache/flink-benchmarks, package state.benchmark.
 */
#include <stdlib.h>
#include <string.h>

#include "source.h"

enum { ENTRIES = 10 };

typedef struct micro_run {
    bench_store *store;
    uint32_t operation; /* A bench_micro. */
    bench_table *table;
    uint64_t random;
    uint64_t next_new; /* The next key that is not there yet. */
    uint64_t checksum;
    uint64_t keys[BENCH_BATCH_EVENTS];
    uint64_t values[BENCH_BATCH_EVENTS];
} micro_run;

static tarn_bytes number(const uint64_t *value)
{
    return tarn_bytes_at(value, sizeof *value);
}

static bench_kind kind_of(uint32_t operation)
{
    switch (operation) {
    case BENCH_VALUE_GET:
    case BENCH_VALUE_UPDATE:
    case BENCH_VALUE_ADD:
        return BENCH_VALUE;
    case BENCH_LIST_ADD:
    case BENCH_LIST_APPEND:
    case BENCH_LIST_GET:
    case BENCH_LIST_UPDATE:
        return BENCH_LIST;
    default:
        return BENCH_MAP;
    }
}

static void fill(micro_run *run, uint64_t key)
{
    const bench_store_ops *ops = run->store->ops;
    const uint64_t value = bench_mix(key);
    bench_set_key(run->store, key);
    const bench_kind kind = kind_of(run->operation);
    if (kind == BENCH_VALUE) {
        ops->put(run->table, number(&value));
    } else if (kind == BENCH_LIST) {
        ops->append(run->table, number(&value));
    }
    for (uint64_t entry = 0; kind == BENCH_MAP && entry < ENTRIES; entry++) {
        ops->map_put(run->table, number(&entry), number(&value));
    }
}

void *bench_micro_begin(const bench_workload *workload, bench_store *store)
{
    micro_run *run = bench_allocate(sizeof *run);
    run->store = store;
    run->operation = workload->variant;
    run->random = store->options->seed;
    run->next_new = store->options->keys;
    run->table = store->ops->open_table(
        store,
        &(bench_table_options){
            .name = "state",
            .kind = kind_of(run->operation),
            .element_bytes = sizeof(uint64_t),
        });
    for (uint64_t key = 0; key < store->options->keys; key++) {
        fill(run, key);
    }
    return run;
}

void bench_micro_prepare(void *context, uint64_t count)
{
    micro_run *run = context;
    const bool is_new = run->operation == BENCH_VALUE_ADD || run->operation == BENCH_LIST_ADD;
    for (uint64_t i = 0; i < count; i++) {
        run->values[i] = bench_random(&run->random);
        run->keys[i] = is_new ? run->next_new++ : run->values[i] % run->store->options->keys;
    }
    for (uint64_t i = 0; run->operation == BENCH_MAP_REMOVE && i < count; i++) {
        const uint64_t entry = run->values[i] / run->store->options->keys % ENTRIES;
        bench_set_key(run->store, run->keys[i]);
        run->store->ops->map_put(run->table, number(&entry), number(&run->values[i]));
    }
}

static void sum_up(void *context, tarn_bytes key, tarn_bytes value)
{
    uint64_t part;
    (void)key;
    memcpy(&part, value.data, sizeof part);
    *(uint64_t *)context += part;
}

static void take(micro_run *run, bool is_there, tarn_bytes value)
{
    if (is_there) {
        sum_up(&run->checksum, value, value);
    }
}

static void use_map(micro_run *run, const uint64_t *value)
{
    const bench_store_ops *ops = run->store->ops;
    const uint64_t entry = *value / run->store->options->keys % ENTRIES;
    /* Half of those that are asked for are not there. */
    const uint64_t asked = entry * 2;
    tarn_bytes out = {NULL, 0};
    switch (run->operation) {
    case BENCH_MAP_PUT:
        ops->map_put(run->table, number(&entry), number(value));
        break;
    case BENCH_MAP_REMOVE:
        ops->map_remove(run->table, number(&entry));
        break;
    case BENCH_MAP_CONTAINS:
        run->checksum += ops->map_get(run->table, number(&asked), &out);
        break;
    case BENCH_MAP_ITERATE:
        ops->visit(run->table, sum_up, &run->checksum);
        break;
    default:
        take(run, ops->map_get(run->table, number(&entry), &out), out);
        break;
    }
}

void bench_micro_event(void *context, uint64_t index)
{
    micro_run *run = context;
    const bench_store_ops *ops = run->store->ops;
    const uint64_t *value = &run->values[index];
    tarn_bytes out = {NULL, 0};
    bench_set_key(run->store, run->keys[index]);
    switch (run->operation) {
    case BENCH_VALUE_GET:
        take(run, ops->get(run->table, &out), out);
        break;
    case BENCH_VALUE_UPDATE:
    case BENCH_VALUE_ADD:
        ops->put(run->table, number(value));
        break;
    case BENCH_LIST_ADD:
    case BENCH_LIST_UPDATE:
        ops->replace(run->table, number(value));
        break;
    case BENCH_LIST_APPEND:
        ops->append(run->table, number(value));
        break;
    case BENCH_LIST_GET:
        ops->visit(run->table, sum_up, &run->checksum);
        break;
    default:
        use_map(run, value);
        break;
    }
}

/* What the state holds at the end. */
uint64_t bench_micro_finish(void *context)
{
    micro_run *run = context;
    for (uint64_t key = 0; key < run->next_new; key++) {
        tarn_bytes out = {NULL, 0};
        uint64_t sum = 0;
        bench_set_key(run->store, key);
        if (kind_of(run->operation) == BENCH_VALUE) {
            if (run->store->ops->get(run->table, &out)) {
                sum_up(&sum, out, out);
            }
        } else {
            run->store->ops->visit(run->table, sum_up, &sum);
        }
        run->checksum += bench_mix(key) * sum;
    }
    const uint64_t checksum = run->checksum;
    free(run);
    return checksum;
}
