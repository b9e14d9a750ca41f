/* store_tarn.c - see store.h: Tarn itself. */
#include <stdio.h>
#include <stdlib.h>

#include "store_tarn.h"
#include "tarn/checkpoint.h"
#include "tarn/config.h"
#include "tarn/key_group.h"
#include "tarn/keyed.h"
#include "tarn/prefetch.h"
#include "tarn/working_set.h"

typedef struct tarn_table {
    bench_table base;
    union {
        tarn_value *value;
        tarn_reducing *sum;
        tarn_list *list;
        tarn_map *map;
    };
} tarn_table;

typedef struct tarn_store {
    bench_store base;
    tarn_config *config;
    tarn_env *env;
    tarn_backend *backend;
    tarn_table tables[BENCH_TABLES_MAX];
    uint32_t table_count;
    tarn_error error;
} tarn_store;

static void check(tarn_store *store, tarn_status status)
{
    if (status != TARN_OK) {
        bench_fail("%s: %s", tarn_status_name(status), store->error.message);
    }
}

static tarn_store *store_of(bench_table *table)
{
    return (tarn_store *)table->store;
}

/* ---- opening and closing ---------------------------------------------------------------- */

static void set(tarn_store *store, const char *key, uint64_t bytes)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%llub", (unsigned long long)bytes);
    check(store, tarn_config_set(store->config, key, text, "tarn-bench", &store->error));
}

/* The budget is heap and managed pool; nothing is set aside for a JVM, a framework or a network. */
static void configure(tarn_store *store, const bench_options *options)
{
    const uint64_t heap_bytes = options->memory_bytes / 100 * options->heap_percent;
    check(store, tarn_config_new(NULL, &store->config, &store->error));
    set(store, "taskmanager.memory.task.heap.size", heap_bytes);
    set(store, "taskmanager.memory.managed.size", options->memory_bytes - heap_bytes);
    set(store, "taskmanager.memory.framework.heap.size", 0);
    set(store, "taskmanager.memory.framework.off-heap.size", 0);
    set(store, "taskmanager.memory.task.off-heap.size", UINT64_C(32) << 20);
    set(store, "taskmanager.memory.network.min", UINT64_C(1) << 20);
    set(store, "taskmanager.memory.network.max", UINT64_C(1) << 20);
    set(store, "taskmanager.memory.jvm-metaspace.size", 0);
    set(store, "taskmanager.memory.jvm-overhead.min", 0);
    set(store, "taskmanager.memory.jvm-overhead.max", 0);
    const bool is_other = store->base.ops == &BENCH_STORE_OTHER;
    const char *const *assignments = is_other ? options->others : options->assignments;
    const uint32_t count = is_other ? options->other_count : options->assignment_count;
    for (uint32_t i = 0; i < count; i++) {
        check(
            store,
            tarn_config_set_assignment(store->config, assignments[i], "options", &store->error));
    }
}

tarn_env *bench_tarn_env(bench_store *store)
{
    return ((tarn_store *)store)->env;
}

tarn_backend *bench_tarn_backend(bench_store *store)
{
    return ((tarn_store *)store)->backend;
}

static bench_store *open_as(
    const bench_store_ops *ops,
    const bench_options *options,
    const char *directory,
    const char *address)
{
    tarn_store *store = bench_allocate(sizeof *store);
    store->base = (bench_store){.ops = ops, .options = options};
    configure(store, options);
    tarn_env_options env_options = TARN_ENV_OPTIONS_INIT;
    env_options.config = store->config;
    check(store, tarn_env_open(&env_options, &store->env, &store->error));
    tarn_backend_options backend_options = TARN_BACKEND_OPTIONS_INIT;
    backend_options.env = store->env;
    backend_options.operator_name = "bench";
    backend_options.directory = directory;
    if (address != NULL) {
        check(store, tarn_checkpoint_open(address, NULL, &backend_options.restore, &store->error));
    }
    check(store, tarn_backend_open(&backend_options, &store->backend, &store->error));
    tarn_checkpoint_free(backend_options.restore);
    return &store->base;
}

bench_store *bench_tarn_restore(
    const bench_options *options, const char *directory, const char *address)
{
    return open_as(&BENCH_STORE_TARN, options, directory, address);
}

static bench_store *open_store(const bench_options *options, const char *directory)
{
    return open_as(&BENCH_STORE_TARN, options, directory, NULL);
}

static bench_store *open_other(const bench_options *options, const char *directory)
{
    return open_as(&BENCH_STORE_OTHER, options, directory, NULL);
}

static tarn_status close_table(tarn_table *table, tarn_error *error)
{
    switch (table->base.options.kind) {
    case BENCH_VALUE:
        return tarn_value_close(table->value, error);
    case BENCH_SUM:
        return tarn_reducing_close(table->sum, error);
    case BENCH_LIST:
        return tarn_list_close(table->list, error);
    case BENCH_MAP:
        return tarn_map_close(table->map, error);
    }
    return TARN_INTERNAL;
}

static void close_store(bench_store *base)
{
    tarn_store *store = (tarn_store *)base;
    for (uint32_t i = 0; i < store->table_count; i++) {
        check(store, close_table(&store->tables[i], &store->error));
    }
    check(store, tarn_backend_close(store->backend, &store->error));
    check(store, tarn_env_close(store->env, &store->error));
    tarn_config_free(store->config);
    free(store);
}

static int64_t time_of(void *context)
{
    return ((const bench_store *)context)->now_ms;
}

static tarn_status open_state(
    tarn_store *store, tarn_table *table, const tarn_state_options *options)
{
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    reducing.reducer = TARN_REDUCER_SUM;
    switch (table->base.options.kind) {
    case BENCH_VALUE:
        return tarn_value_open(store->backend, options, &table->value, &store->error);
    case BENCH_SUM:
        return tarn_reducing_open(store->backend, options, &reducing, &table->sum, &store->error);
    case BENCH_LIST:
        return tarn_list_open(store->backend, options, &table->list, &store->error);
    case BENCH_MAP:
        return tarn_map_open(store->backend, options, &table->map, &store->error);
    }
    return TARN_INTERNAL;
}

static bench_table *open_table(bench_store *base, const bench_table_options *options)
{
    tarn_store *store = (tarn_store *)base;
    tarn_table *table = &store->tables[store->table_count++];
    table->base = (bench_table){.store = base, .options = *options};
    tarn_ttl ttl = TARN_TTL_INIT;
    ttl.ttl_ms = (int64_t)options->ttl_ms;
    ttl.now_ms = time_of;
    ttl.now_context = base;
    tarn_state_options state_options = TARN_STATE_OPTIONS_INIT;
    state_options.name = options->name;
    state_options.ttl = options->ttl_ms != 0 ? &ttl : NULL;
    check(store, open_state(store, table, &state_options));
    return &table->base;
}

/* ---- operations ------------------------------------------------------------------------- */

static void set_key(bench_store *base, const void *key, size_t size)
{
    tarn_store *store = (tarn_store *)base;
    check(store, tarn_backend_set_key(store->backend, tarn_bytes_at(key, size), &store->error));
}

static uint32_t group_of(const bench_store *base, tarn_bytes key, uint32_t *groups)
{
    const tarn_store *store = (const tarn_store *)base;
    *groups = tarn_backend_key_groups(store->backend).last + 1u;
    return tarn_key_group_of(tarn_hash_bytes(key), *groups);
}

static tarn_keyed *keyed_of(tarn_table *table)
{
    switch (table->base.options.kind) {
    case BENCH_VALUE:
        return tarn_value_keyed(table->value);
    case BENCH_SUM:
        return tarn_reducing_keyed(table->sum);
    case BENCH_LIST:
        return tarn_list_keyed(table->list);
    case BENCH_MAP:
        return tarn_map_keyed(table->map);
    }
    return NULL;
}

static void set_namespace(bench_table *table, const void *name_space, size_t size)
{
    tarn_store *store = store_of(table);
    check(
        store,
        tarn_keyed_set_namespace(
            keyed_of((tarn_table *)table), tarn_bytes_at(name_space, size), &store->error));
}

/* True: it is there. */
static bool found(tarn_store *store, tarn_status status)
{
    if (status == TARN_NOT_FOUND) {
        return false;
    }
    check(store, status);
    return true;
}

static bool get(bench_table *table, tarn_bytes *out)
{
    tarn_store *store = store_of(table);
    return found(store, tarn_value_get(((tarn_table *)table)->value, out, &store->error));
}

static void put(bench_table *table, tarn_bytes value)
{
    tarn_store *store = store_of(table);
    check(store, tarn_value_put(((tarn_table *)table)->value, value, &store->error));
}

static void *edit(bench_table *table, size_t size)
{
    void *value = NULL;
    tarn_store *store = store_of(table);
    check(store, tarn_value_edit(((tarn_table *)table)->value, size, &value, &store->error));
    return value;
}

static void prefetch(bench_table *table, const uint8_t *keys, size_t count)
{
    static tarn_bytes views[BENCH_PREFETCH_KEYS_MAX];
    tarn_store *store = store_of(table);
    tarn_keyed *state = keyed_of((tarn_table *)table);
    for (size_t i = 0; i < count; i++) {
        views[i] = tarn_bytes_at(keys + 8 * i, 8);
    }
    const tarn_prefetch what = {
        .struct_size = sizeof what,
        .states = &state,
        .state_count = 1,
        .keys = views,
        .key_count = count,
    };
    check(store, tarn_backend_prefetch_ahead(store->backend, &what, &store->error));
}

/* The next call on the backend stores it. */
static void edited(bench_table *table, size_t size)
{
    (void)table;
    (void)size;
}

static void add(bench_table *table, int64_t amount)
{
    tarn_store *store = store_of(table);
    check(store, tarn_reducing_add_i64(((tarn_table *)table)->sum, amount, &store->error));
}

static int64_t sum(bench_table *table)
{
    int64_t out = 0;
    tarn_store *store = store_of(table);
    (void)found(store, tarn_reducing_get_i64(((tarn_table *)table)->sum, &out, &store->error));
    return out;
}

static void append(bench_table *table, tarn_bytes element)
{
    tarn_store *store = store_of(table);
    check(store, tarn_list_append(((tarn_table *)table)->list, element, &store->error));
}

static void replace(bench_table *table, tarn_bytes element)
{
    tarn_store *store = store_of(table);
    check(store, tarn_list_replace(((tarn_table *)table)->list, &element, 1, &store->error));
}

static bool map_get(bench_table *table, tarn_bytes key, tarn_bytes *out)
{
    tarn_store *store = store_of(table);
    return found(store, tarn_map_get(((tarn_table *)table)->map, key, out, &store->error));
}

static void map_put(bench_table *table, tarn_bytes key, tarn_bytes value)
{
    tarn_store *store = store_of(table);
    check(store, tarn_map_put(((tarn_table *)table)->map, key, value, &store->error));
}

static void map_remove(bench_table *table, tarn_bytes key)
{
    tarn_store *store = store_of(table);
    check(store, tarn_map_remove(((tarn_table *)table)->map, key, &store->error));
}

static void visit_list(tarn_store *store, tarn_list *list, bench_visit *visit, void *context)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    tarn_status status;
    check(store, tarn_list_iterate(list, NULL, &iterator, &store->error));
    while ((status = tarn_list_iterator_next(iterator, &element, &store->error)) == TARN_OK) {
        visit(context, (tarn_bytes){NULL, 0}, element);
    }
    tarn_list_iterator_close(iterator);
    check(store, status == TARN_DONE ? TARN_OK : status);
}

static void visit_map(tarn_store *store, tarn_map *map, bench_visit *visit, void *context)
{
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    tarn_status status;
    check(store, tarn_map_iterate(map, NULL, NULL, &iterator, &store->error));
    while ((status = tarn_map_iterator_next(iterator, &entry, &store->error)) == TARN_OK) {
        visit(context, entry.key, entry.value);
    }
    tarn_map_iterator_close(iterator);
    check(store, status == TARN_DONE ? TARN_OK : status);
}

static void visit(bench_table *table, bench_visit *visit_one, void *context)
{
    tarn_table *own = (tarn_table *)table;
    if (table->options.kind == BENCH_LIST) {
        visit_list(store_of(table), own->list, visit_one, context);
    } else {
        visit_map(store_of(table), own->map, visit_one, context);
    }
}

static tarn_status remove_rows(tarn_table *table, tarn_error *error)
{
    switch (table->base.options.kind) {
    case BENCH_VALUE:
        return tarn_value_remove(table->value, error);
    case BENCH_SUM:
        return tarn_reducing_clear(table->sum, error);
    case BENCH_LIST:
        return tarn_list_clear(table->list, error);
    case BENCH_MAP:
        return tarn_map_clear(table->map, error);
    }
    return TARN_INTERNAL;
}

static void remove_all(bench_table *table)
{
    tarn_store *store = store_of(table);
    check(store, remove_rows((tarn_table *)table, &store->error));
}

static bench_hits hits(const bench_store *base)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(((const tarn_store *)base)->backend, &stats);
    return (bench_hits){
        .hit_count = stats.hit_count,
        .declined_count = stats.declined_count,
        .is_aside = stats.is_aside,
        .miss_count = stats.miss_count,
        .row_count = stats.row_count,
    };
}

#define OPERATIONS                                                                          \
    .has_budget = true,                                                                     \
    .kinds = 1u << BENCH_VALUE | 1u << BENCH_SUM | 1u << BENCH_LIST | 1u << BENCH_MAP,      \
    .close = close_store, .open_table = open_table, .set_key = set_key, .group = group_of,  \
    .set_namespace = set_namespace, .get = get, .put = put, .edit = edit, .edited = edited, \
    .add = add, .sum = sum, .append = append, .replace = replace, .map_get = map_get,       \
    .map_put = map_put, .map_remove = map_remove, .visit = visit, .remove = remove_all,     \
    .hits = hits

const bench_store_ops BENCH_STORE_TARN = {
    .name = "ours", .open = open_store, .prefetch = prefetch, OPERATIONS};
const bench_store_ops BENCH_STORE_UNACCOUNTED = {
    .name = "unaccounted", .program = "tarn-bench-unaccounted", OPERATIONS};
const bench_store_ops BENCH_STORE_OTHER = {.name = "other", .open = open_other, OPERATIONS};
