/*
 * store_rocks.c - see store.h: RocksDB as a program would use it that has nothing else.
 *
 * A row is key, namespace, user key; keys and namespaces of one table have one size each, so that
 * nothing needs an end. A table is a column family; the write-ahead log is off. A list is a value
 * of RocksDB's "stringappendtest" merge operator, as in Flink: elements with a comma between them,
 * which are told apart by their size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rocksdb/c.h>

#include "store.h"

enum { OPTIONS_BYTES = 2048, KEY_PREFIX_BYTES = 8, STAMP_BYTES = 8 };

typedef struct rocks_table {
    bench_table base;
    rocksdb_column_family_handle_t *family;
    uint8_t name_space[BENCH_KEY_BYTES_MAX];
    size_t name_space_size;
    uint8_t row[BENCH_KEY_BYTES_MAX * 3];
} rocks_table;

typedef struct rocks_store {
    bench_store base;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read_options;
    rocksdb_writeoptions_t *write_options;
    rocksdb_pinnableslice_t *slice; /* What get gave out last. */
    uint8_t key[BENCH_KEY_BYTES_MAX];
    size_t key_size;
    uint8_t *value; /* What edit gave out, and what put builds. */
    size_t value_capacity;
    rocks_table tables[BENCH_TABLES_MAX];
    uint32_t table_count;
} rocks_store;

static void check(char *message)
{
    if (message != NULL) {
        bench_fail("rocksdb: %s", message);
    }
}

static rocks_store *store_of(const bench_table *table)
{
    return (rocks_store *)table->store;
}

/* ---- opening and closing ---------------------------------------------------------------- */

/*
 * Flink's: a third of the memory for memtables, the rest for the cache with a tenth of it for index
 * and filters. Source: Flink 1.20, DefaultConfigurableOptionsFactory and
 * RocksDBMemoryControllerUtils; the C API has no write-buffer manager that charges memtables to the
 * cache, so they are apart.
 */
static void write_defaults(uint64_t memory_bytes, char *out)
{
    (void)snprintf(
        out,
        OPTIONS_BYTES,
        "create_if_missing=true;max_background_jobs=2;max_open_files=-1;stats_dump_period_sec=0;"
        "avoid_flush_during_shutdown=true;info_log_level=WARN_LEVEL;db_write_buffer_size=%llu;"
        "write_buffer_size=67108864;max_write_buffer_number=2;compression_per_level="
        "kSnappyCompression;target_file_size_base=67108864;max_bytes_for_level_base=268435456;"
        "level_compaction_dynamic_level_bytes=false;"
        "block_based_table_factory={block_cache={capacity=%llu;high_pri_pool_ratio=0.1};"
        "block_size=4096;format_version=5;cache_index_and_filter_blocks=true;"
        "pin_l0_filter_and_index_blocks_in_cache=true};",
        (unsigned long long)memory_bytes / 3,
        (unsigned long long)(memory_bytes - memory_bytes / 3));
}

/* A quarter for memtables, the rest for the cache; everything that helps a point read, and what
 * Tarn's own tables have (src/rocks/options.c). */
static void write_tuned(uint64_t memory_bytes, char *out)
{
    const uint64_t memtable_bytes = memory_bytes / 4;
    (void)snprintf(
        out,
        OPTIONS_BYTES,
        "create_if_missing=true;max_background_jobs=2;max_open_files=-1;stats_dump_period_sec=0;"
        "avoid_flush_during_shutdown=true;info_log_level=WARN_LEVEL;db_write_buffer_size=%llu;"
        "write_buffer_size=%llu;max_write_buffer_number=4;compression_per_level=kLZ4Compression;"
        "target_file_size_base=67108864;max_bytes_for_level_base=268435456;"
        "level_compaction_dynamic_level_bytes=true;optimize_filters_for_hits=false;"
        "memtable_whole_key_filtering=true;memtable_prefix_bloom_size_ratio=0.02;"
        "block_based_table_factory={block_cache={capacity=%llu;high_pri_pool_ratio=0.5};"
        "block_size=4096;format_version=5;filter_policy=bloomfilter:10:false;"
        "whole_key_filtering=true;optimize_filters_for_memory=true;"
        "index_type=kTwoLevelIndexSearch;partition_filters=true;"
        "pin_top_level_index_and_filter=true;cache_index_and_filter_blocks=true;"
        "cache_index_and_filter_blocks_with_high_priority=true;"
        "pin_l0_filter_and_index_blocks_in_cache=true;"
        "data_block_index_type=kDataBlockBinarySearch;block_restart_interval=32};",
        (unsigned long long)memtable_bytes,
        (unsigned long long)memtable_bytes,
        (unsigned long long)(memory_bytes - memtable_bytes));
}

/* Adds the options of the command line, which count more than those before. */
static void add_options(const bench_options *options, char *text)
{
    for (uint32_t i = 0; i < options->rocks_count; i++) {
        const size_t size = strlen(text);
        const int added = snprintf(text + size, OPTIONS_BYTES - size, "%s;", options->rocks[i]);
        if (added < 0 || (size_t)added >= OPTIONS_BYTES - size) {
            bench_fail("options of RocksDB are longer than %d bytes", OPTIONS_BYTES);
        }
    }
}

static bench_store *open_store(
    const bench_options *options,
    const char *directory,
    const bench_store_ops *ops,
    void (*write_options)(uint64_t memory_bytes, char *out))
{
    rocks_store *store = bench_allocate(sizeof *store);
    char text[OPTIONS_BYTES];
    char *message = NULL;
    store->base = (bench_store){.ops = ops, .options = options};
    write_options(options->memory_bytes, text);
    add_options(options, text);
    rocksdb_options_t *plain = rocksdb_options_create();
    store->options = rocksdb_options_create();
    rocksdb_get_options_from_string(plain, text, store->options, &message);
    check(message);
    rocksdb_options_destroy(plain);
    store->db = rocksdb_open(store->options, directory, &message);
    check(message);
    store->read_options = rocksdb_readoptions_create();
    store->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(store->write_options, 1);
    return &store->base;
}

static bench_store *open_defaults(const bench_options *options, const char *directory)
{
    return open_store(options, directory, &BENCH_STORE_DEFAULTS, write_defaults);
}

static bench_store *open_tuned(const bench_options *options, const char *directory)
{
    return open_store(options, directory, &BENCH_STORE_TUNED, write_tuned);
}

static void close_store(bench_store *base)
{
    rocks_store *store = (rocks_store *)base;
    rocksdb_pinnableslice_destroy(store->slice);
    for (uint32_t i = 0; i < store->table_count; i++) {
        rocksdb_column_family_handle_destroy(store->tables[i].family);
    }
    rocksdb_close(store->db);
    rocksdb_readoptions_destroy(store->read_options);
    rocksdb_writeoptions_destroy(store->write_options);
    rocksdb_options_destroy(store->options);
    free(store->value);
    free(store);
}

static bench_table *open_table(bench_store *base, const bench_table_options *options)
{
    rocks_store *store = (rocks_store *)base;
    rocks_table *table = &store->tables[store->table_count++];
    char *message = NULL;
    table->base = (bench_table){.store = base, .options = *options};
    /* The database's options are the family's too: the cache is shared. */
    rocksdb_options_t *own = rocksdb_options_create();
    rocksdb_get_options_from_string(
        store->options,
        options->kind == BENCH_LIST ? "merge_operator=stringappendtest" : "",
        own,
        &message);
    check(message);
    if (options->kind == BENCH_MAP && base->ops == &BENCH_STORE_TUNED) {
        rocksdb_options_set_prefix_extractor(
            own, rocksdb_slicetransform_create_fixed_prefix(KEY_PREFIX_BYTES));
    }
    table->family = rocksdb_create_column_family(store->db, own, options->name, &message);
    check(message);
    rocksdb_options_destroy(own);
    return &table->base;
}

/* ---- rows ------------------------------------------------------------------------------- */

static void set_key(bench_store *base, const void *key, size_t size)
{
    rocks_store *store = (rocks_store *)base;
    memcpy(store->key, key, size);
    store->key_size = size;
}

static void set_namespace(bench_table *base, const void *name_space, size_t size)
{
    rocks_table *table = (rocks_table *)base;
    memcpy(table->name_space, name_space, size);
    table->name_space_size = size;
}

/* Builds the row in table->row and answers its size. */
static size_t build_row(rocks_table *table, tarn_bytes user_key)
{
    const rocks_store *store = store_of(&table->base);
    memcpy(table->row, store->key, store->key_size);
    memcpy(table->row + store->key_size, table->name_space, table->name_space_size);
    const size_t size = store->key_size + table->name_space_size;
    if (user_key.size != 0) {
        memcpy(table->row + size, user_key.data, user_key.size);
    }
    return size + user_key.size;
}

/* False: there is none. The bytes stay until the next read. */
static bool read_row(rocks_table *table, tarn_bytes user_key, tarn_bytes *out)
{
    rocks_store *store = store_of(&table->base);
    const size_t row_size = build_row(table, user_key);
    char *message = NULL;
    rocksdb_pinnableslice_destroy(store->slice);
    store->slice = rocksdb_get_pinned_cf(
        store->db,
        store->read_options,
        table->family,
        (const char *)table->row,
        row_size,
        &message);
    check(message);
    if (store->slice == NULL) {
        return false;
    }
    size_t size = 0;
    const char *data = rocksdb_pinnableslice_value(store->slice, &size);
    *out = tarn_bytes_at(data, size);
    return true;
}

static void write_row(rocks_table *table, tarn_bytes user_key, tarn_bytes value)
{
    rocks_store *store = store_of(&table->base);
    const size_t row_size = build_row(table, user_key);
    char *message = NULL;
    rocksdb_put_cf(
        store->db,
        store->write_options,
        table->family,
        (const char *)table->row,
        row_size,
        (const char *)value.data,
        value.size,
        &message);
    check(message);
}

static void delete_row(rocks_table *table, tarn_bytes user_key)
{
    rocks_store *store = store_of(&table->base);
    const size_t row_size = build_row(table, user_key);
    char *message = NULL;
    rocksdb_delete_cf(
        store->db,
        store->write_options,
        table->family,
        (const char *)table->row,
        row_size,
        &message);
    check(message);
}

static uint8_t *room(rocks_store *store, size_t size)
{
    if (store->value_capacity < size) {
        free(store->value);
        store->value = bench_allocate(size);
        store->value_capacity = size;
    }
    return store->value;
}

/* ---- values and sums -------------------------------------------------------------------- */

static const tarn_bytes NO_BYTES = {NULL, 0};

/* With a time to live the value follows the time of its last write. */
static bool get(bench_table *table, tarn_bytes *out)
{
    int64_t written_ms;
    if (!read_row((rocks_table *)table, NO_BYTES, out)) {
        return false;
    }
    if (table->options.ttl_ms == 0) {
        return true;
    }
    memcpy(&written_ms, out->data, sizeof written_ms);
    *out = tarn_bytes_at((const uint8_t *)out->data + STAMP_BYTES, out->size - STAMP_BYTES);
    return table->store->now_ms - written_ms < (int64_t)table->options.ttl_ms;
}

static void put(bench_table *table, tarn_bytes value)
{
    if (table->options.ttl_ms == 0) {
        write_row((rocks_table *)table, NO_BYTES, value);
        return;
    }
    uint8_t *stamped = room(store_of(table), value.size + STAMP_BYTES);
    memcpy(stamped, &table->store->now_ms, STAMP_BYTES);
    memcpy(stamped + STAMP_BYTES, value.data, value.size);
    write_row((rocks_table *)table, NO_BYTES, tarn_bytes_at(stamped, value.size + STAMP_BYTES));
}

static void *edit(bench_table *table, size_t size)
{
    uint8_t *value = room(store_of(table), size);
    tarn_bytes stored;
    if (read_row((rocks_table *)table, NO_BYTES, &stored)) {
        memcpy(value, stored.data, stored.size < size ? stored.size : size);
    } else {
        memset(value, 0, size);
    }
    return value;
}

static void edited(bench_table *table, size_t size)
{
    write_row((rocks_table *)table, NO_BYTES, tarn_bytes_at(store_of(table)->value, size));
}

static int64_t sum(bench_table *table)
{
    int64_t value = 0;
    tarn_bytes stored;
    if (read_row((rocks_table *)table, NO_BYTES, &stored)) {
        memcpy(&value, stored.data, sizeof value);
    }
    return value;
}

static void add(bench_table *table, int64_t amount)
{
    const int64_t value = sum(table) + amount;
    write_row((rocks_table *)table, NO_BYTES, tarn_bytes_at(&value, sizeof value));
}

/* ---- lists and maps --------------------------------------------------------------------- */

static void append(bench_table *base, tarn_bytes element)
{
    rocks_table *table = (rocks_table *)base;
    rocks_store *store = store_of(base);
    const size_t row_size = build_row(table, NO_BYTES);
    char *message = NULL;
    rocksdb_merge_cf(
        store->db,
        store->write_options,
        table->family,
        (const char *)table->row,
        row_size,
        (const char *)element.data,
        element.size,
        &message);
    check(message);
}

static void replace(bench_table *table, tarn_bytes element)
{
    write_row((rocks_table *)table, NO_BYTES, element);
}

static bool map_get(bench_table *table, tarn_bytes key, tarn_bytes *out)
{
    return read_row((rocks_table *)table, key, out);
}

static void map_put(bench_table *table, tarn_bytes key, tarn_bytes value)
{
    write_row((rocks_table *)table, key, value);
}

static void map_remove(bench_table *table, tarn_bytes key)
{
    delete_row((rocks_table *)table, key);
}

static void visit_list(rocks_table *table, bench_visit *visit, void *context)
{
    const size_t size = table->base.options.element_bytes;
    tarn_bytes list;
    if (!read_row(table, NO_BYTES, &list)) {
        return;
    }
    for (size_t at = 0; at + size <= list.size; at += size + 1) {
        visit(context, NO_BYTES, tarn_bytes_at((const uint8_t *)list.data + at, size));
    }
}

static void visit_map(rocks_table *table, bench_visit *visit, void *context)
{
    rocks_store *store = store_of(&table->base);
    const size_t prefix_size = build_row(table, NO_BYTES);
    rocksdb_readoptions_t *read_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_prefix_same_as_start(read_options, 1);
    rocksdb_iterator_t *iterator =
        rocksdb_create_iterator_cf(store->db, read_options, table->family);
    rocksdb_iter_seek(iterator, (const char *)table->row, prefix_size);
    for (; rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        size_t key_size = 0;
        size_t value_size = 0;
        const char *key = rocksdb_iter_key(iterator, &key_size);
        if (key_size < prefix_size || memcmp(key, table->row, prefix_size) != 0) {
            break;
        }
        const char *value = rocksdb_iter_value(iterator, &value_size);
        visit(
            context,
            tarn_bytes_at(key + prefix_size, key_size - prefix_size),
            tarn_bytes_at(value, value_size));
    }
    char *message = NULL;
    rocksdb_iter_get_error(iterator, &message);
    check(message);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(read_options);
}

static void visit(bench_table *table, bench_visit *visit_one, void *context)
{
    if (table->options.kind == BENCH_LIST) {
        visit_list((rocks_table *)table, visit_one, context);
    } else {
        visit_map((rocks_table *)table, visit_one, context);
    }
}

static void delete_entry(void *context, tarn_bytes key, tarn_bytes value)
{
    (void)value;
    delete_row(context, key);
}

static void remove_all(bench_table *table)
{
    if (table->options.kind == BENCH_MAP) {
        visit_map((rocks_table *)table, delete_entry, table);
    } else {
        delete_row((rocks_table *)table, NO_BYTES);
    }
}

#define OPERATIONS                                                                          \
    .has_budget = true,                                                                     \
    .kinds = 1u << BENCH_VALUE | 1u << BENCH_SUM | 1u << BENCH_LIST | 1u << BENCH_MAP,      \
    .close = close_store, .open_table = open_table, .set_key = set_key,                     \
    .set_namespace = set_namespace, .get = get, .put = put, .edit = edit, .edited = edited, \
    .add = add, .sum = sum, .append = append, .replace = replace, .map_get = map_get,       \
    .map_put = map_put, .map_remove = map_remove, .visit = visit, .remove = remove_all

const bench_store_ops BENCH_STORE_DEFAULTS = {
    .name = "defaults", .open = open_defaults, OPERATIONS};
const bench_store_ops BENCH_STORE_TUNED = {.name = "tuned", .open = open_tuned, OPERATIONS};
