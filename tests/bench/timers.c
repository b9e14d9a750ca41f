/*
 * timers.c - registering many timers, then advancing through all, against RocksDB's own calls.
 *
 * Each timer has a key of its own of 8 bytes and a time within one hour, at random or, with
 * --sorted, in order. Both sides begin each round with an empty database. The raw side has the
 * options that Tarn's database wrote into its OPTIONS file and a block cache of the same capacity;
 * its rows are those of Tarn. It puts them one by one, and advances as plainly as can be: group by
 * group, one bounded iterator each, a delete for every row. So it neither counts, nor tells a new
 * timer from a registered one, nor keeps the order of time over key groups.
 *
 * Two lines sum up: timers-insert and timers-poll.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <rocksdb/c.h>

#include "bench.h"
#include "job.h"
#include "tarn/timer.h"

enum {
    KEY_BYTES = 8,
    GROUPS = 128,
    HOUR_MS = 3600 * 1000,
    PATH_BYTES = 4096,
    ROW_BYTES = 2 + 8 + 1 + KEY_BYTES + 1,
    TIME_OFFSET = 2,
};

#define FAMILY   "timers.event/bench"
#define START_MS INT64_C(1700000000000)

/* One side in one round. Units: nanoseconds on the wall, and of this thread's processor time. */
typedef struct phases {
    uint64_t insert_ns;
    uint64_t insert_cpu_ns;
    uint64_t poll_ns;
    uint64_t poll_cpu_ns;
} phases;

typedef struct bench_run {
    const bench_options *options;
    uint64_t round;
    char directory[BENCH_PATH_BYTES];
    uint64_t cache_bytes; /* Of Tarn's block cache. */
} bench_run;

static void check_raw(char *message)
{
    if (message != NULL) {
        bench_fail("rocksdb: %s", message);
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- timers ----------------------------------------------------------------------------- */

static uint64_t mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

/* The timer of a number: its time, and its key, which no other number has. */
static int64_t draw(const bench_run *run, uint64_t index, uint8_t key[KEY_BYTES])
{
    const uint64_t scattered = mix(index + mix(run->options->seed + run->round));
    memcpy(key, &scattered, KEY_BYTES);
    const uint64_t offset =
        run->options->is_sorted ? index * HOUR_MS / run->options->ops : mix(scattered) % HOUR_MS;
    return START_MS + (int64_t)offset;
}

/* ---- Tarn ------------------------------------------------------------------------------- */

static void advance_ours(const bench_run *run, tarn_timers *timers)
{
    tarn_error error;
    tarn_timer timer;
    tarn_status status;
    int64_t last = START_MS;
    uint64_t count = 0;
    while ((status = tarn_timers_poll(timers, START_MS + HOUR_MS, &timer, &error)) == TARN_OK) {
        if (timer.time < last) {
            bench_fail("a timer of %lld fired after %lld", (long long)timer.time, (long long)last);
        }
        last = timer.time;
        count++;
    }
    if (status != TARN_DONE) {
        bench_check(status, &error);
    }
    if (count != run->options->ops || tarn_timers_count(timers) != 0) {
        bench_fail("%llu timers fired", (unsigned long long)count);
    }
}

static phases measure_ours(const bench_run *run, tarn_backend *backend, tarn_timers *timers)
{
    tarn_error error;
    phases spent;
    uint64_t begin_ns = bench_now_ns();
    uint64_t begin_cpu_ns = cpu_ns();
    for (uint64_t i = 0; i < run->options->ops; i++) {
        uint8_t key[KEY_BYTES];
        const int64_t time = draw(run, i, key);
        bench_check(tarn_backend_set_key(backend, tarn_bytes_at(key, KEY_BYTES), &error), &error);
        bench_check(tarn_timers_register(timers, time, tarn_bytes_at("", 0), &error), &error);
    }
    spent.insert_ns = bench_now_ns() - begin_ns;
    spent.insert_cpu_ns = cpu_ns() - begin_cpu_ns;
    if (tarn_timers_count(timers) != run->options->ops) {
        bench_fail("%llu timers are counted", (unsigned long long)tarn_timers_count(timers));
    }
    begin_ns = bench_now_ns();
    begin_cpu_ns = cpu_ns();
    advance_ours(run, timers);
    spent.poll_ns = bench_now_ns() - begin_ns;
    spent.poll_cpu_ns = cpu_ns() - begin_cpu_ns;
    return spent;
}

/* Keeps the file that says what Tarn's database was opened with: it goes when that is closed. */
static void keep_model(const bench_run *run)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%.3000s/ours/db", run->directory);
    DIR *directory = opendir(path);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        char model[PATH_BYTES];
        if (strncmp(entry->d_name, "OPTIONS-", 8) == 0) {
            (void)snprintf(path, sizeof path, "%.3000s/ours/db/%s", run->directory, entry->d_name);
            (void)snprintf(model, sizeof model, "%.3000s/model", run->directory);
            (void)mkdir(model, 0777);
            (void)snprintf(model, sizeof model, "%.3000s/model/%s", run->directory, entry->d_name);
            (void)link(path, model);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}

static phases run_ours(bench_run *run)
{
    tarn_error error;
    char path[PATH_BYTES + 8];
    (void)snprintf(path, sizeof path, "%.3000s/ours", run->directory);
    bench_job job;
    bench_job_open(&job, run->options, path, /* max_parallelism= */ 0);
    tarn_timers *timers = NULL;
    tarn_timers_options timers_options = TARN_TIMERS_OPTIONS_INIT;
    timers_options.name = "bench";
    bench_check(tarn_timers_open(job.backend, &timers_options, &timers, &error), &error);
    const phases spent = measure_ours(run, job.backend, timers);
    tarn_env_memory memory;
    tarn_env_measure(job.env, &memory);
    run->cache_bytes = memory.block_cache_capacity_bytes;
    bench_check(tarn_timers_close(timers, &error), &error);
    keep_model(run);
    bench_job_close(&job);
    return spent;
}

/* ---- raw -------------------------------------------------------------------------------- */

typedef struct raw_side {
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *family;
    rocksdb_writeoptions_t *write_options;
} raw_side;

/* Opens a database like Tarn's: its options are read from the file that RocksDB wrote for it. */
static void open_raw(const bench_run *run, raw_side *raw)
{
    char model[PATH_BYTES + 8];
    char path[PATH_BYTES + 8];
    (void)snprintf(model, sizeof model, "%.3000s/model", run->directory);
    (void)snprintf(path, sizeof path, "%.3000s/raw", run->directory);
    rocksdb_options_t *db_options = NULL;
    rocksdb_options_t **family_options = NULL;
    char **names = NULL;
    size_t count = 0;
    char *message = NULL;
    rocksdb_env_t *env = rocksdb_create_default_env();
    raw->cache = rocksdb_cache_create_lru(run->cache_bytes);
    rocksdb_load_latest_options(
        model, env, true, raw->cache, &db_options, &count, &names, &family_options, &message);
    check_raw(message);
    raw->db = rocksdb_open(db_options, path, &message);
    check_raw(message);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], FAMILY) == 0) {
            raw->family =
                rocksdb_create_column_family(raw->db, family_options[i], names[i], &message);
            check_raw(message);
        }
    }
    rocksdb_load_latest_options_destroy(db_options, names, family_options, count);
    rocksdb_env_destroy(env);
    raw->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(raw->write_options, 1);
}

static void make_row(const bench_run *run, uint64_t index, uint8_t row[ROW_BYTES])
{
    uint8_t *key = row + TIME_OFFSET + 8 + 1;
    const uint64_t time = (uint64_t)draw(run, index, key) ^ (UINT64_C(1) << 63);
    row[0] = 0;
    row[1] = (uint8_t)(key[0] % GROUPS);
    for (int i = 0; i < 8; i++) {
        row[TIME_OFFSET + i] = (uint8_t)(time >> (56 - 8 * i));
    }
    row[TIME_OFFSET + 8] = KEY_BYTES;
    row[ROW_BYTES - 1] = 0;
}

/* Takes the timers of one group out; answers how many. */
static uint64_t advance_group(const raw_side *raw, uint32_t group)
{
    const char lower[] = {(char)(group >> 8), (char)group};
    const char upper[] = {(char)((group + 1) >> 8), (char)(group + 1)};
    char *message = NULL;
    uint64_t count = 0;
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_lower_bound(options, lower, sizeof lower);
    rocksdb_readoptions_set_iterate_upper_bound(options, upper, sizeof upper);
    rocksdb_iterator_t *rows = rocksdb_create_iterator_cf(raw->db, options, raw->family);
    for (rocksdb_iter_seek_to_first(rows); rocksdb_iter_valid(rows); rocksdb_iter_next(rows)) {
        size_t size;
        const char *row = rocksdb_iter_key(rows, &size);
        rocksdb_delete_cf(raw->db, raw->write_options, raw->family, row, size, &message);
        check_raw(message);
        count++;
    }
    rocksdb_iter_get_error(rows, &message);
    check_raw(message);
    rocksdb_iter_destroy(rows);
    rocksdb_readoptions_destroy(options);
    return count;
}

static phases measure_raw(const bench_run *run, const raw_side *raw)
{
    phases spent;
    char *message = NULL;
    uint64_t begin_ns = bench_now_ns();
    uint64_t begin_cpu_ns = cpu_ns();
    for (uint64_t i = 0; i < run->options->ops; i++) {
        uint8_t row[ROW_BYTES];
        make_row(run, i, row);
        rocksdb_put_cf(
            raw->db,
            raw->write_options,
            raw->family,
            (const char *)row,
            sizeof row,
            "",
            0,
            &message);
        check_raw(message);
    }
    spent.insert_ns = bench_now_ns() - begin_ns;
    spent.insert_cpu_ns = cpu_ns() - begin_cpu_ns;
    begin_ns = bench_now_ns();
    begin_cpu_ns = cpu_ns();
    uint64_t count = 0;
    for (uint32_t group = 0; group < GROUPS; group++) {
        count += advance_group(raw, group);
    }
    spent.poll_ns = bench_now_ns() - begin_ns;
    spent.poll_cpu_ns = cpu_ns() - begin_cpu_ns;
    if (count != run->options->ops) {
        bench_fail("raw has %llu timers", (unsigned long long)count);
    }
    return spent;
}

/* ---- rounds ----------------------------------------------------------------------------- */

static phases run_raw(bench_run *run)
{
    raw_side raw = {.db = NULL};
    char path[PATH_BYTES + 8];
    open_raw(run, &raw);
    const phases spent = measure_raw(run, &raw);
    rocksdb_column_family_handle_destroy(raw.family);
    rocksdb_close(raw.db);
    rocksdb_writeoptions_destroy(raw.write_options);
    rocksdb_cache_destroy(raw.cache);
    (void)snprintf(path, sizeof path, "%.3000s/raw", run->directory);
    bench_directory_remove(path);
    return spent;
}

static double rate(uint64_t ops, uint64_t ns)
{
    return (double)ops * 1e9 / (double)ns;
}

static void show(const bench_run *run, const char *side, const phases *spent)
{
    const uint64_t ops = run->options->ops;
    if (!run->options->is_json) {
        printf(
            "round %llu, %s: %.0f inserts/s, %.0f polls/s; by processor time %.0f and %.0f\n",
            (unsigned long long)run->round + 1,
            side,
            rate(ops, spent->insert_ns),
            rate(ops, spent->poll_ns),
            rate(ops, spent->insert_cpu_ns),
            rate(ops, spent->poll_cpu_ns));
        (void)fflush(stdout);
    }
}

int bench_timers(const bench_options *options)
{
    static bench_side ours[2];
    static bench_side raw[2];
    static bench_run run;
    run.options = options;
    bench_directory_make(options, run.directory);
    for (run.round = 0; run.round < options->rounds; run.round++) {
        const phases spent = run_ours(&run);
        show(&run, "ours", &spent);
        ours[0].rates[run.round] = rate(options->ops, spent.insert_ns);
        ours[1].rates[run.round] = rate(options->ops, spent.poll_ns);
        const phases spent_raw = run_raw(&run);
        show(&run, "raw", &spent_raw);
        raw[0].rates[run.round] = rate(options->ops, spent_raw.insert_ns);
        raw[1].rates[run.round] = rate(options->ops, spent_raw.poll_ns);
    }
    bench_directory_remove(run.directory);
    bench_report("timers-insert", options, &ours[0], &raw[0]);
    bench_report("timers-poll", options, &ours[1], &raw[1]);
    return 0;
}
