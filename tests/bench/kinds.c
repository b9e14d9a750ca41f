/*
 * kinds.c - workloads of map, list and windowed state; tests/bench/main.c has what they are.
 *
 * map and window compare two states of one backend, which differ in what is measured and in nothing
 * else. append-drain compares with a database of its own that has Tarn's options and RocksDB's
 * "stringappendtest" merge operator: one merge per element, one get, one delete.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rocksdb/c.h>

#include "bench.h"
#include "job.h"
#include "tarn/keyed.h"

enum { ENTRIES = 100 };

typedef struct kinds_run {
    const bench_options *options;
    bench_job job;
    char directory[BENCH_PATH_BYTES];
    uint64_t checksum;
} kinds_run;

static void check(kinds_run *run, tarn_status status)
{
    bench_check(status, &run->job.error);
}

static void check_raw(char *message)
{
    if (message != NULL) {
        bench_fail("rocksdb: %s", message);
    }
}

static void begin(kinds_run *run, uint32_t max_parallelism)
{
    const bench_options *options = run->options;
    char path[BENCH_PATH_BYTES + 8];
    bench_directory_make(options, run->directory);
    (void)snprintf(path, sizeof path, "%s/ours", run->directory);
    bench_job_open(&run->job, options, path, max_parallelism);
}

static void end(kinds_run *run)
{
    bench_job_close(&run->job);
    bench_directory_remove(run->directory);
}

static void set_key(kinds_run *run, tarn_bytes key)
{
    check(run, tarn_backend_set_key(run->job.backend, key, &run->job.error));
}

/* ---- map -------------------------------------------------------------------------------- */

static void fill_map(kinds_run *run, tarn_map *map, const char *key, uint64_t count)
{
    uint8_t value[64] = {0};
    set_key(run, tarn_bytes_of(key));
    for (uint64_t i = 0; i < count; i++) {
        check(
            run,
            tarn_map_put(
                map,
                tarn_bytes_at(&i, sizeof i),
                tarn_bytes_at(value, sizeof value),
                &run->job.error));
    }
}

/* Rows of a neighbour, written and removed one by one: a tombstone for each stays in the memtable.
 */
static void leave_tombstones(kinds_run *run, tarn_map *map, const char *key, uint64_t count)
{
    fill_map(run, map, key, count);
    for (uint64_t i = 0; i < count; i++) {
        check(run, tarn_map_remove(map, tarn_bytes_at(&i, sizeof i), &run->job.error));
    }
}

static double iterate_map(kinds_run *run, tarn_map *map, uint64_t times)
{
    set_key(run, tarn_bytes_of("k"));
    const uint64_t begin_ns = bench_now_ns();
    for (uint64_t i = 0; i < times; i++) {
        tarn_map_iterator *iterator = NULL;
        tarn_map_entry entry;
        uint64_t count = 0;
        check(run, tarn_map_iterate(map, NULL, NULL, &iterator, &run->job.error));
        while (tarn_map_iterator_next(iterator, &entry, &run->job.error) == TARN_OK) {
            count++;
        }
        tarn_map_iterator_close(iterator);
        if (count != ENTRIES) {
            bench_fail("a map has %llu entries", (unsigned long long)count);
        }
    }
    return (double)times * 1e9 / (double)(bench_now_ns() - begin_ns);
}

static tarn_map *open_map(kinds_run *run, const char *name)
{
    tarn_map *map = NULL;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = name;
    check(run, tarn_map_open(run->job.backend, &options, &map, &run->job.error));
    fill_map(run, map, "k", ENTRIES);
    return map;
}

int bench_map(const bench_options *options)
{
    static bench_side beside;
    static bench_side clean;
    static kinds_run run;
    run.options = options;
    begin(&run, /* max_parallelism= */ 1); /* One group: the neighbours lie right beside. */
    tarn_map *tombstones = open_map(&run, "tombstones");
    tarn_map *alone = open_map(&run, "alone");
    leave_tombstones(&run, tombstones, "j", options->keys / 2);
    leave_tombstones(&run, tombstones, "l", options->keys / 2);
    const uint64_t times = options->ops / ENTRIES + 1;
    (void)iterate_map(&run, tombstones, times);
    (void)iterate_map(&run, alone, times);
    for (uint64_t i = 0; i < options->rounds; i++) {
        beside.rates[i] = iterate_map(&run, tombstones, times);
        clean.rates[i] = iterate_map(&run, alone, times);
    }
    check(&run, tarn_map_close(tombstones, &run.job.error));
    check(&run, tarn_map_close(alone, &run.job.error));
    end(&run);
    bench_report("map", options, &beside, &clean);
    return 0;
}

/* ---- raw ------------------------------------------------------------------------------- */

typedef struct raw_side {
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *family;
    rocksdb_readoptions_t *read_options;
    rocksdb_writeoptions_t *write_options;
} raw_side;

/* Opens a database like Tarn's: with the options of one of its families, and RocksDB's own merge.
 */
static void open_raw(kinds_run *run, raw_side *raw, const char *family)
{
    char model[BENCH_PATH_BYTES + 16];
    char path[BENCH_PATH_BYTES + 8];
    (void)snprintf(model, sizeof model, "%s/ours/db", run->directory);
    (void)snprintf(path, sizeof path, "%s/raw", run->directory);
    tarn_env_memory memory;
    tarn_env_measure(run->job.env, &memory);
    raw->cache = rocksdb_cache_create_lru(memory.block_cache_capacity_bytes);
    rocksdb_options_t *db_options = NULL;
    rocksdb_options_t **family_options = NULL;
    char **names = NULL;
    size_t count = 0;
    char *message = NULL;
    rocksdb_env_t *env = rocksdb_create_default_env();
    rocksdb_load_latest_options(
        model, env, false, raw->cache, &db_options, &count, &names, &family_options, &message);
    check_raw(message);
    raw->db = rocksdb_open(db_options, path, &message);
    check_raw(message);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], family) == 0) {
            rocksdb_options_t *options = rocksdb_options_create();
            rocksdb_get_options_from_string(
                family_options[i],
                "merge_operator=stringappendtest;max_successive_merges=0",
                options,
                &message);
            check_raw(message);
            raw->family = rocksdb_create_column_family(raw->db, options, names[i], &message);
            check_raw(message);
            rocksdb_options_destroy(options);
        }
    }
    rocksdb_load_latest_options_destroy(db_options, names, family_options, count);
    rocksdb_env_destroy(env);
    raw->read_options = rocksdb_readoptions_create();
    raw->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(raw->write_options, 1);
}

static void close_raw(raw_side *raw)
{
    rocksdb_column_family_handle_destroy(raw->family);
    rocksdb_close(raw->db);
    rocksdb_readoptions_destroy(raw->read_options);
    rocksdb_writeoptions_destroy(raw->write_options);
    rocksdb_cache_destroy(raw->cache);
}

/* ---- window ----------------------------------------------------------------------------- */

static void fill_window(kinds_run *run, tarn_value *state, const char *window)
{
    uint8_t value[100] = {0};
    check(run, tarn_value_set_namespace(state, tarn_bytes_of(window), &run->job.error));
    for (uint64_t i = 0; i < run->options->keys; i++) {
        set_key(run, tarn_bytes_at(&i, sizeof i));
        check(run, tarn_value_put(state, tarn_bytes_at(value, sizeof value), &run->job.error));
    }
}

/* The next scan after a window was closed: whatever keys the state still has. */
static void scan_keys(kinds_run *run, tarn_value *state)
{
    tarn_key_iterator *iterator = NULL;
    tarn_row row;
    check(
        run,
        tarn_keyed_iterate_keys(tarn_value_keyed(state), NULL, NULL, &iterator, &run->job.error));
    while (tarn_key_iterator_next(iterator, &row, &run->job.error) == TARN_OK) {
        run->checksum++;
    }
    tarn_key_iterator_close(iterator);
}

static double close_window(kinds_run *run, tarn_value *state, bool drops)
{
    fill_window(run, state, "closing");
    const uint64_t begin_ns = bench_now_ns();
    if (drops) {
        check(
            run,
            tarn_keyed_drop_namespace(
                tarn_value_keyed(state), tarn_bytes_of("closing"), &run->job.error));
    }
    for (uint64_t i = 0; !drops && i < run->options->keys; i++) {
        set_key(run, tarn_bytes_at(&i, sizeof i));
        check(run, tarn_value_remove(state, &run->job.error));
    }
    scan_keys(run, state);
    return (double)run->options->keys * 1e9 / (double)(bench_now_ns() - begin_ns);
}

static tarn_value *open_windows(kinds_run *run, const char *name)
{
    tarn_value *state = NULL;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = name;
    options.layout = TARN_LAYOUT_NAMESPACE_FIRST;
    check(run, tarn_value_open(run->job.backend, &options, &state, &run->job.error));
    return state;
}

int bench_window(const bench_options *options)
{
    static bench_side drop;
    static bench_side points;
    static kinds_run run;
    run.options = options;
    begin(&run, /* max_parallelism= */ 128);
    tarn_value *dropped = open_windows(&run, "dropped");
    tarn_value *removed = open_windows(&run, "removed");
    for (uint64_t i = 0; i < options->rounds; i++) {
        drop.rates[i] = close_window(&run, dropped, /* drops= */ true);
        points.rates[i] = close_window(&run, removed, /* drops= */ false);
    }
    if (run.checksum != 0) {
        bench_fail("a window was not closed");
    }
    check(&run, tarn_value_close(dropped, &run.job.error));
    check(&run, tarn_value_close(removed, &run.job.error));
    end(&run);
    bench_report("window", options, &drop, &points);
    return 0;
}

/* The row of a key in the window: as Tarn's, but for the key group. */
enum { WINDOW_ROW_BYTES = 2 + 8 + 9, WINDOW_KEY_OFFSET = 2 + 8 + 1 };

static void make_window_row(uint64_t key, char row[WINDOW_ROW_BYTES])
{
    row[0] = 0;
    row[1] = (char)(key % 128);
    memcpy(row + 2, "\7closing", 8);
    row[WINDOW_KEY_OFFSET - 1] = 8;
    memcpy(row + WINDOW_KEY_OFFSET, &key, sizeof key);
}

static void scan_raw(kinds_run *run, const raw_side *raw)
{
    char *message = NULL;
    rocksdb_iterator_t *rows = rocksdb_create_iterator_cf(raw->db, raw->read_options, raw->family);
    for (rocksdb_iter_seek_to_first(rows); rocksdb_iter_valid(rows); rocksdb_iter_next(rows)) {
        run->checksum++;
    }
    rocksdb_iter_get_error(rows, &message);
    check_raw(message);
    rocksdb_iter_destroy(rows);
}

static double close_raw_window(kinds_run *run, const raw_side *raw)
{
    static const char VALUE[100];
    char row[WINDOW_ROW_BYTES];
    char *message = NULL;
    for (uint64_t i = 0; i < run->options->keys; i++) {
        make_window_row(i, row);
        rocksdb_put_cf(
            raw->db, raw->write_options, raw->family, row, sizeof row, VALUE, 100, &message);
        check_raw(message);
    }
    const uint64_t begin_ns = bench_now_ns();
    for (uint64_t i = 0; i < run->options->keys; i++) {
        make_window_row(i, row);
        rocksdb_delete_cf(raw->db, raw->write_options, raw->family, row, sizeof row, &message);
        check_raw(message);
    }
    scan_raw(run, raw);
    return (double)run->options->keys * 1e9 / (double)(bench_now_ns() - begin_ns);
}

int bench_window_raw(const bench_options *options)
{
    static bench_side ours;
    static bench_side baseline;
    static kinds_run run;
    raw_side raw = {.db = NULL};
    run.options = options;
    begin(&run, /* max_parallelism= */ 128);
    tarn_value *state = open_windows(&run, "windows");
    open_raw(&run, &raw, "windows");
    for (uint64_t i = 0; i < options->rounds; i++) {
        ours.rates[i] = close_window(&run, state, /* drops= */ true);
        baseline.rates[i] = close_raw_window(&run, &raw);
    }
    if (run.checksum != 0) {
        bench_fail("a window was not closed");
    }
    close_raw(&raw);
    check(&run, tarn_value_close(state, &run.job.error));
    end(&run);
    bench_report("window", options, &ours, &baseline);
    return 0;
}

/* ---- append and drain ------------------------------------------------------------------- */

/* One element for each of keys lists in turn, until each has its elements; then each is drained. */
static double run_ours(kinds_run *run, tarn_list *list, const uint8_t *value, uint64_t keys)
{
    const bench_options *options = run->options;
    const uint64_t begin_ns = bench_now_ns();
    for (uint64_t i = 0; i < keys * options->elements; i++) {
        const uint64_t key = i % keys;
        set_key(run, tarn_bytes_at(&key, sizeof key));
        check(
            run,
            tarn_list_append(list, tarn_bytes_at(value, options->value_bytes), &run->job.error));
    }
    for (uint64_t key = 0; key < keys; key++) {
        tarn_list_iterator *iterator = NULL;
        tarn_bytes element;
        set_key(run, tarn_bytes_at(&key, sizeof key));
        check(run, tarn_list_iterate(list, NULL, &iterator, &run->job.error));
        while (tarn_list_iterator_next(iterator, &element, &run->job.error) == TARN_OK) {
            run->checksum += element.size;
        }
        tarn_list_iterator_close(iterator);
        check(run, tarn_list_clear(list, &run->job.error));
    }
    return (double)(keys * options->elements) * 1e9 / (double)(bench_now_ns() - begin_ns);
}

static double run_raw(kinds_run *run, const raw_side *raw, const uint8_t *value, uint64_t keys)
{
    const bench_options *options = run->options;
    char *message = NULL;
    const uint64_t begin_ns = bench_now_ns();
    for (uint64_t i = 0; i < keys * options->elements; i++) {
        const uint64_t key = i % keys;
        rocksdb_merge_cf(
            raw->db,
            raw->write_options,
            raw->family,
            (const char *)&key,
            sizeof key,
            (const char *)value,
            options->value_bytes,
            &message);
        check_raw(message);
    }
    for (uint64_t key = 0; key < keys; key++) {
        size_t size = 0;
        rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(
            raw->db, raw->read_options, raw->family, (const char *)&key, sizeof key, &message);
        check_raw(message);
        (void)rocksdb_pinnableslice_value(slice, &size);
        /* The operator puts a comma between elements. */
        run->checksum -= size - (options->elements - 1);
        rocksdb_pinnableslice_destroy(slice);
        rocksdb_delete_cf(
            raw->db, raw->write_options, raw->family, (const char *)&key, sizeof key, &message);
        check_raw(message);
    }
    return (double)(keys * options->elements) * 1e9 / (double)(bench_now_ns() - begin_ns);
}

int bench_append_drain(const bench_options *options)
{
    static bench_side ours;
    static bench_side baseline;
    static kinds_run run;
    raw_side raw = {.db = NULL};
    const uint64_t keys = options->ops / options->elements + 1;
    tarn_list *list = NULL;
    run.options = options;
    begin(&run, /* max_parallelism= */ 128);
    tarn_state_options state_options = TARN_STATE_OPTIONS_INIT;
    state_options.name = "list";
    check(&run, tarn_list_open(run.job.backend, &state_options, &list, &run.job.error));
    open_raw(&run, &raw, "list");
    uint8_t *value = calloc(1, options->value_bytes);
    if (value == NULL) {
        bench_fail("no memory for an element");
    }
    for (uint64_t i = 0; i < options->rounds; i++) {
        ours.rates[i] = run_ours(&run, list, value, keys);
        baseline.rates[i] = run_raw(&run, &raw, value, keys);
    }
    free(value);
    if (run.checksum != 0) {
        bench_fail("the sides read different bytes");
    }
    close_raw(&raw);
    check(&run, tarn_list_close(list, &run.job.error));
    end(&run);
    bench_report("append-drain", options, &ours, &baseline);
    return 0;
}
