/*
 * value.c - value state, get and put of random keys, against RocksDB's own calls.
 *
 * The raw side opens a database of its own with the options that Tarn's database wrote into its
 * OPTIONS file, and a block cache of the same capacity. It reads with rocksdb_get_pinned_cf(),
 * writes with rocksdb_put_cf(), and spends nothing on finding the key group: its row is the key.
 * Both sides then do the same thing with the value: count it up in a copy.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rocksdb/c.h>

#include "bench.h"
#include "job.h"
#include "tarn/state.h"

enum {
    KEY_BYTES = 16,
    SLICE_OPS = 2000, /* Sides take turns at this many: both meet the same background work. */
};

typedef struct tarn_side {
    bench_job job;
    tarn_value *state;
} tarn_side;

typedef struct raw_side {
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *family;
    rocksdb_readoptions_t *read_options;
    rocksdb_writeoptions_t *write_options;
} raw_side;

typedef struct bench_run {
    const bench_options *options;
    char directory[BENCH_PATH_BYTES];
    tarn_side ours;
    raw_side raw;
    uint8_t *value;
    uint64_t checksum; /* Of what was read: nothing is optimised away, and both sides agree. */
} bench_run;

static void check_raw(char *message)
{
    if (message != NULL) {
        bench_fail("rocksdb: %s", message);
    }
}

/* ---- keys ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

/* Draws a key: uniform over the key space, scattered bytes. */
static void draw(uint64_t *random, uint64_t keys, uint8_t key[KEY_BYTES])
{
    *random += UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t index = mix(*random) % keys;
    const uint64_t parts[2] = {mix(index + 1), index};
    memcpy(key, parts, KEY_BYTES);
}

/* ---- both sides ------------------------------------------------------------------------- */

static void count_up(bench_run *run, const void *data, size_t size)
{
    uint64_t count = 0;
    if (size != 0) {
        memcpy(run->value, data, size);
        memcpy(&count, run->value, sizeof count);
    }
    count++;
    run->checksum += count;
    memcpy(run->value, &count, sizeof count);
}

static void run_ours(bench_run *run, uint64_t *random, uint64_t ops)
{
    const uint64_t keys = run->options->keys;
    const size_t value_bytes = run->options->value_bytes;
    tarn_error error;
    for (uint64_t i = 0; i < ops; i++) {
        uint8_t key[KEY_BYTES];
        draw(random, keys, key);
        tarn_bytes value = {NULL, 0};
        bench_check(
            tarn_backend_set_key(run->ours.job.backend, tarn_bytes_at(key, KEY_BYTES), &error),
            &error);
        const tarn_status status = tarn_value_get(run->ours.state, &value, &error);
        if (status != TARN_NOT_FOUND) {
            bench_check(status, &error);
        }
        count_up(run, value.data, value.size);
        bench_check(
            tarn_value_put(run->ours.state, tarn_bytes_at(run->value, value_bytes), &error),
            &error);
    }
}

static void run_raw(bench_run *run, uint64_t *random, uint64_t ops)
{
    const uint64_t keys = run->options->keys;
    const size_t value_bytes = run->options->value_bytes;
    const raw_side *raw = &run->raw;
    char *message = NULL;
    for (uint64_t i = 0; i < ops; i++) {
        uint8_t key[KEY_BYTES];
        draw(random, keys, key);
        rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(
            raw->db, raw->read_options, raw->family, (const char *)key, KEY_BYTES, &message);
        check_raw(message);
        size_t size = 0;
        const char *data = slice != NULL ? rocksdb_pinnableslice_value(slice, &size) : NULL;
        count_up(run, data, size);
        rocksdb_pinnableslice_destroy(slice);
        rocksdb_put_cf(
            raw->db,
            raw->write_options,
            raw->family,
            (const char *)key,
            KEY_BYTES,
            (const char *)run->value,
            value_bytes,
            &message);
        check_raw(message);
    }
}

/* ---- opening and closing ---------------------------------------------------------------- */

static void open_ours(bench_run *run)
{
    tarn_error error;
    tarn_side *ours = &run->ours;
    char path[BENCH_PATH_BYTES + 8];
    (void)snprintf(path, sizeof path, "%s/ours", run->directory);
    bench_job_open(&ours->job, run->options, path, /* max_parallelism= */ 0);
    tarn_state_options state_options = TARN_STATE_OPTIONS_INIT;
    state_options.name = "value";
    bench_check(tarn_value_open(ours->job.backend, &state_options, &ours->state, &error), &error);
}

/* Opens a database like Tarn's: its options are read from the file that RocksDB wrote for it. */
static void open_raw(bench_run *run)
{
    raw_side *raw = &run->raw;
    char model[BENCH_PATH_BYTES + 16];
    char path[BENCH_PATH_BYTES + 8];
    (void)snprintf(model, sizeof model, "%s/ours/db", run->directory);
    (void)snprintf(path, sizeof path, "%s/raw", run->directory);
    tarn_env_memory memory;
    tarn_env_measure(run->ours.job.env, &memory);
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
        if (strcmp(names[i], "value") == 0) {
            raw->family =
                rocksdb_create_column_family(raw->db, family_options[i], names[i], &message);
            check_raw(message);
        }
    }
    rocksdb_load_latest_options_destroy(db_options, names, family_options, count);
    rocksdb_env_destroy(env);
    raw->read_options = rocksdb_readoptions_create();
    raw->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(raw->write_options, 1);
}

static void close_both(bench_run *run)
{
    tarn_error error;
    bench_check(tarn_value_close(run->ours.state, &error), &error);
    bench_job_close(&run->ours.job);
    rocksdb_column_family_handle_destroy(run->raw.family);
    rocksdb_close(run->raw.db);
    rocksdb_readoptions_destroy(run->raw.read_options);
    rocksdb_writeoptions_destroy(run->raw.write_options);
    rocksdb_cache_destroy(run->raw.cache);
}

/* ---- rounds ----------------------------------------------------------------------------- */

/* One round: both sides draw the same keys, slice by slice; who begins alternates. */
static void run_round(bench_run *run, uint64_t round, double *ours_rate, double *raw_rate)
{
    uint64_t ours_random = mix(run->options->seed) + mix(round);
    uint64_t raw_random = ours_random;
    uint64_t ours_ns = 0;
    uint64_t raw_ns = 0;
    uint64_t done = 0;
    for (uint64_t slice = 0; done < run->options->ops; slice++) {
        const uint64_t left = run->options->ops - done;
        const uint64_t ops = left < SLICE_OPS ? left : SLICE_OPS;
        for (uint64_t turn = 0; turn < 2; turn++) {
            const uint64_t begin_ns = bench_now_ns();
            if ((slice + round + turn) % 2 == 0) {
                run_ours(run, &ours_random, ops);
                ours_ns += bench_now_ns() - begin_ns;
            } else {
                run_raw(run, &raw_random, ops);
                raw_ns += bench_now_ns() - begin_ns;
            }
        }
        done += ops;
    }
    *ours_rate = (double)done * 1e9 / (double)ours_ns;
    *raw_rate = (double)done * 1e9 / (double)raw_ns;
}

int bench_value(const bench_options *options)
{
    static bench_side ours;
    static bench_side raw;
    bench_run run = {.options = options};
    bench_directory_make(options, run.directory);
    run.value = calloc(1, options->value_bytes);
    if (run.value == NULL) {
        bench_fail("no memory for a value of %llu bytes", (unsigned long long)options->value_bytes);
    }
    open_ours(&run);
    open_raw(&run);
    double ignored[2];
    run_round(&run, 0, &ignored[0], &ignored[1]); /* Warm-up; it also fills the state. */
    for (uint64_t i = 0; i < options->rounds; i++) {
        run_round(&run, i + 1, &ours.rates[i], &raw.rates[i]);
    }
    close_both(&run);
    free(run.value);
    bench_directory_remove(run.directory);
    bench_report("value", options, &ours, &raw);
    return 0;
}
