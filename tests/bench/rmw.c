/*
 * rmw.c - read, change, write: the value of each event's key is counted up.
 *
 * The state begins with every key, counted once. reduce does the same as a sum that is only added
 * to and not read before the end; lookup only reads.
 */
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "workload.h"

enum {
    CHECKED_KEYS_MAX = 100000,
    SORTED_PARTS = 32, /* Keys are sorted by parts: all of them are more than a budget has. */
};

typedef struct placed_key {
    uint32_t group;
    uint64_t key;
} placed_key;

typedef struct rmw_run {
    bench_store *store;
    bench_table *table;
    size_t value_bytes;
    bool is_sum;
    bench_keys keys;
    uint64_t checksum;
    uint64_t count; /* Events of the batch. */
    uint64_t batch[BENCH_BATCH_EVENTS];
} rmw_run;

static void set_key(rmw_run *run, uint64_t key)
{
    uint8_t bytes[8];
    bench_key_bytes(key, bytes);
    run->store->ops->set_key(run->store, bytes, sizeof bytes);
}

static uint64_t count_up(rmw_run *run)
{
    uint64_t count;
    void *value = run->store->ops->edit(run->table, run->value_bytes);
    memcpy(&count, value, sizeof count);
    count++;
    memcpy(value, &count, sizeof count);
    run->store->ops->edited(run->table, run->value_bytes);
    return count;
}

static void load_key(rmw_run *run, uint64_t key, const uint8_t *value)
{
    set_key(run, key);
    if (run->is_sum) {
        run->store->ops->add(run->table, 1);
    } else {
        run->store->ops->put(run->table, tarn_bytes_at(value, run->value_bytes));
    }
}

static int compare_placed(const void *a, const void *b)
{
    const placed_key *x = a;
    const placed_key *y = b;
    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    return (x->key > y->key) - (x->key < y->key);
}

/* Where the store has a key; *part_out is the part of all keys that it belongs to. */
static placed_key place(const rmw_run *run, uint64_t key, uint64_t *part_out)
{
    uint8_t bytes[8];
    uint32_t groups = 1;
    placed_key placed = {.group = 0, .key = key};
    bench_key_bytes(key, bytes);
    if (run->store->ops->group != NULL) {
        placed.group =
            run->store->ops->group(run->store, tarn_bytes_at(bytes, sizeof bytes), &groups);
    }
    *part_out = groups > 1 ? (uint64_t)placed.group * SORTED_PARTS / groups
                           : key / (UINT64_MAX / SORTED_PARTS + 1);
    return placed;
}

/* In the order of the store's rows: nothing is to be compacted. */
static void load_sorted(rmw_run *run, const uint8_t *value)
{
    const uint64_t capacity = run->keys.count / SORTED_PARTS * 2 + 1024;
    for (uint64_t part = 0; part < SORTED_PARTS; part++) {
        placed_key *keys = bench_allocate(capacity * sizeof *keys);
        uint64_t count = 0;
        for (uint64_t rank = 0; rank < run->keys.count; rank++) {
            uint64_t part_of_key;
            const placed_key placed = place(run, bench_mix(rank), &part_of_key);
            if (part_of_key == part && count == capacity) {
                bench_fail("keys are not spread evenly");
            }
            if (part_of_key == part) {
                keys[count++] = placed;
            }
        }
        qsort(keys, count, sizeof *keys, compare_placed);
        for (uint64_t i = 0; i < count; i++) {
            load_key(run, keys[i].key, value);
        }
        free(keys);
    }
}

static void load(rmw_run *run)
{
    uint8_t *value = bench_allocate(run->value_bytes);
    value[0] = 1;
    if (run->store->options->is_sorted) {
        load_sorted(run, value);
    }
    for (uint64_t rank = 0; !run->store->options->is_sorted && rank < run->keys.count; rank++) {
        load_key(run, bench_mix(rank), value);
    }
    free(value);
}

static void *begin(bench_store *store, bool is_sum)
{
    const bench_options *options = store->options;
    rmw_run *run = bench_allocate(sizeof *run);
    run->store = store;
    run->value_bytes = options->value_bytes;
    run->is_sum = is_sum;
    run->table = store->ops->open_table(
        store, &(bench_table_options){.name = "count", .kind = is_sum ? BENCH_SUM : BENCH_VALUE});
    bench_distribution distribution;
    if (!bench_distribution_find(options->distribution, &distribution)) {
        bench_fail("no such distribution: %s", options->distribution);
    }
    if (!bench_keys_open(&run->keys, distribution, options->keys, options->seed, options->input)) {
        bench_fail("cannot open %s", options->input);
    }
    load(run);
    return run;
}

void *bench_rmw_begin(const bench_workload *workload, bench_store *store)
{
    (void)workload;
    return begin(store, /* is_sum= */ false);
}

void *bench_reduce_begin(const bench_workload *workload, bench_store *store)
{
    (void)workload;
    return begin(store, /* is_sum= */ true);
}

void bench_rmw_prepare(void *context, uint64_t count)
{
    rmw_run *run = context;
    if (!bench_keys_fill(&run->keys, run->batch, count)) {
        bench_fail("%s has too few keys", run->store->options->input);
    }
    run->count = count;
}

static void prefetch_from(rmw_run *run, uint64_t first)
{
    static uint8_t keys[BENCH_PREFETCH_KEYS_MAX][8];
    const uint64_t most = run->store->options->prefetch;
    uint64_t count = 0;
    while (count < most && first + count < run->count) {
        bench_key_bytes(run->batch[first + count], keys[count]);
        count++;
    }
    run->store->ops->prefetch(run->table, keys[0], count);
}

/* One batch ahead: the keys behind those that come now. */
static void prefetch(rmw_run *run, uint64_t index)
{
    const uint64_t most = run->store->options->prefetch;
    if (most == 0 || run->store->ops->prefetch == NULL || index % most != 0) {
        return;
    }
    if (index == 0) {
        prefetch_from(run, 0);
    }
    prefetch_from(run, index + most);
}

void bench_rmw_event(void *context, uint64_t index)
{
    rmw_run *run = context;
    prefetch(run, index);
    set_key(run, run->batch[index]);
    run->checksum += count_up(run);
}

void bench_lookup_event(void *context, uint64_t index)
{
    rmw_run *run = context;
    tarn_bytes value;
    uint64_t count;
    prefetch(run, index);
    set_key(run, run->batch[index]);
    if (run->store->ops->get(run->table, &value)) {
        memcpy(&count, value.data, sizeof count);
        run->checksum += count;
    }
}

void bench_reduce_event(void *context, uint64_t index)
{
    rmw_run *run = context;
    set_key(run, run->batch[index]);
    run->store->ops->add(run->table, 1);
}

uint64_t bench_rmw_finish(void *context)
{
    rmw_run *run = context;
    const uint64_t step = run->keys.count / CHECKED_KEYS_MAX + 1;
    for (uint64_t rank = 0; rank < run->keys.count; rank += step) {
        uint64_t count = 0;
        tarn_bytes value;
        set_key(run, bench_mix(rank));
        if (run->is_sum) {
            count = (uint64_t)run->store->ops->sum(run->table);
        } else if (run->store->ops->get(run->table, &value)) {
            memcpy(&count, value.data, sizeof count);
        }
        run->checksum += bench_mix(rank) * count;
    }
    const uint64_t checksum = run->checksum;
    bench_keys_close(&run->keys);
    free(run);
    return checksum;
}

int bench_keygen(const bench_options *options)
{
    bench_keys keys;
    bench_distribution distribution;
    if (options->output == NULL || !bench_distribution_find(options->distribution, &distribution)) {
        bench_fail("keygen wants --output FILE and a distribution that there is");
    }
    FILE *file = fopen(options->output, "wb");
    if (file == NULL) {
        bench_fail("cannot write %s", options->output);
    }
    (void)bench_keys_open(&keys, distribution, options->keys, options->seed, NULL);
    for (uint64_t i = 0; i < options->events; i++) {
        uint64_t key;
        uint8_t bytes[sizeof key];
        (void)bench_keys_fill(&keys, &key, 1);
        for (uint32_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (uint8_t)(key >> (8 * k));
        }
        if (fwrite(bytes, sizeof bytes, 1, file) != 1) {
            bench_fail("cannot write %s", options->output);
        }
    }
    if (fclose(file) != 0) {
        bench_fail("cannot write %s", options->output);
    }
    return 0;
}
