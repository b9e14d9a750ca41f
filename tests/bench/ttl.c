/*
 * ttl.c - what a deadline of a TTL costs, and that it holds; tests/bench/main.c has what is run.
 *
 * Two states get the same writes: --ops random keys of --keys, a millisecond of virtual time for
 * every hundred of them; one has a TTL with a deadline, the other none. The ratio is that of the
 * writing, clean-ups on the workers included. At the end time is one deadline after the last write
 * expired, and what is expired is looked for where it would be: the table files are opened where
 * they lie, by plain RocksDB, and read row by row.
 *
 * Write amplification is what the process has written (/proc/self/io, wchar) while a state was
 * written, per byte of its keys and values.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rocksdb/c.h>

#include "bench.h"
#include "job.h"
#include "tarn/keyed.h"

enum {
    WRITES_PER_MS = 100,
    SLICES = 10, /* Of a run: half of the virtual time is the TTL. */
    STAMP_BYTES = 8,
};

typedef struct ttl_run {
    const bench_options *options;
    bench_job job;
    int64_t now_ms;
    int64_t ttl_ms;
    uint64_t random;
    char directory[BENCH_PATH_BYTES];
} ttl_run;

/* One state, and what writing it came to. */
typedef struct ttl_side {
    tarn_value *state;
    uint64_t user_bytes;
    uint64_t written_bytes;
    uint64_t spent_ns;
} ttl_side;

static void check(ttl_run *run, tarn_status status)
{
    bench_check(status, &run->job.error);
}

static void check_raw(char *message)
{
    if (message != NULL) {
        bench_fail("rocksdb: %s", message);
    }
}

static int64_t virtual_now(void *context)
{
    return ((const ttl_run *)context)->now_ms;
}

static void begin(ttl_run *run)
{
    const bench_options *options = run->options;
    char path[BENCH_PATH_BYTES + 8];
    bench_directory_make(options, run->directory);
    (void)snprintf(path, sizeof path, "%s/ours", run->directory);
    bench_job_open(&run->job, options, path, /* max_parallelism= */ 0);
}

static tarn_value *open_state(ttl_run *run, const char *name, const tarn_ttl *ttl)
{
    tarn_value *state = NULL;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = name;
    options.ttl = ttl;
    check(run, tarn_value_open(run->job.backend, &options, &state, &run->job.error));
    return state;
}

/* Bytes that the process has given to the kernel to write, by all its threads. */
static uint64_t written_bytes(void)
{
    char line[128];
    unsigned long long bytes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    if (file == NULL) {
        bench_fail("cannot read /proc/self/io");
    }
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "wchar: %llu", &bytes);
    }
    (void)fclose(file);
    return bytes;
}

static uint64_t next_random(ttl_run *run)
{
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return run->random;
}

static tarn_ttl_stats measure(ttl_run *run, tarn_value *state)
{
    tarn_ttl_stats stats;
    check(run, tarn_keyed_measure_ttl(tarn_value_keyed(state), 1, &stats, &run->job.error));
    return stats;
}

static void wait_for_clean_up(ttl_run *run, tarn_value *state)
{
    check(run, tarn_backend_advance_ttl(run->job.backend, &run->job.error));
    while (measure(run, state).is_cleaning) {
        (void)sched_yield();
        check(run, tarn_backend_advance_ttl(run->job.backend, &run->job.error));
    }
}

/* Writes some of a state's rows from a moment on, and waits for what that sets off. */
static void write_slice(ttl_run *run, ttl_side *side, uint64_t seed, int64_t from_ms)
{
    const bench_options *options = run->options;
    uint8_t *value = bench_allocate(options->value_bytes);
    const uint64_t written_before = written_bytes();
    const uint64_t begin_ns = bench_now_ns();
    run->random = seed * 2 + 1;
    for (uint64_t i = 0; i < options->ops / SLICES; i++) {
        const uint64_t key = next_random(run) % options->keys;
        for (uint64_t at = 0; at + sizeof key <= options->value_bytes; at += sizeof key) {
            const uint64_t noise = next_random(run);
            memcpy(value + at, &noise, sizeof noise);
        }
        run->now_ms = from_ms + (int64_t)(i / WRITES_PER_MS);
        check(
            run,
            tarn_backend_set_key(
                run->job.backend, tarn_bytes_at(&key, sizeof key), &run->job.error));
        check(
            run,
            tarn_value_put(
                side->state, tarn_bytes_at(value, options->value_bytes), &run->job.error));
        side->user_bytes += sizeof key + options->value_bytes;
    }
    wait_for_clean_up(run, side->state);
    side->spent_ns += bench_now_ns() - begin_ns;
    side->written_bytes += written_bytes() - written_before;
    free(value);
}

/* ---- what is on disk -------------------------------------------------------------------- */

typedef struct disk {
    uint64_t row_count;
    uint64_t expired_count;
    uint64_t expired_bytes;
} disk;

static void count_row(const ttl_run *run, rocksdb_iterator_t *rows, disk *found)
{
    size_t key_size = 0;
    size_t size = 0;
    (void)rocksdb_iter_key(rows, &key_size);
    const char *value = rocksdb_iter_value(rows, &size);
    uint64_t stamp = 0;
    for (size_t i = 0; i < STAMP_BYTES && i < size; i++) {
        stamp = stamp << 8 | (uint8_t)value[i];
    }
    const bool is_expired = (int64_t)stamp + run->ttl_ms <= run->now_ms;
    found->row_count++;
    found->expired_count += is_expired ? 1 : 0;
    found->expired_bytes += is_expired ? key_size + size : 0;
}

/* Reads the files of the state "ttl" where they lie, with nothing of Tarn in between. */
static disk read_disk(const ttl_run *run)
{
    char path[BENCH_PATH_BYTES + 32];
    disk found = {0};
    char *message = NULL;
    size_t count = 0;
    static const char *const NAMES[] = {"default", "plain", "ttl"};
    (void)snprintf(path, sizeof path, "%s/ours/db", run->directory);
    rocksdb_options_t *options = rocksdb_options_create();
    char **names = rocksdb_list_column_families(options, path, &count, &message);
    check_raw(message);
    rocksdb_list_column_families_destroy(names, count);
    if (count != sizeof NAMES / sizeof NAMES[0]) {
        bench_fail("%s holds %zu column families", path, count);
    }
    const rocksdb_options_t *all[] = {options, options, options};
    rocksdb_column_family_handle_t *handles[3] = {NULL};
    rocksdb_t *db = rocksdb_open_for_read_only_column_families(
        options, path, (int)count, NAMES, all, handles, 0, &message);
    check_raw(message);
    rocksdb_readoptions_t *read_options = rocksdb_readoptions_create();
    rocksdb_iterator_t *rows = rocksdb_create_iterator_cf(db, read_options, handles[2]);
    for (rocksdb_iter_seek_to_first(rows); rocksdb_iter_valid(rows); rocksdb_iter_next(rows)) {
        count_row(run, rows, &found);
    }
    rocksdb_iter_get_error(rows, &message);
    check_raw(message);
    rocksdb_iter_destroy(rows);
    rocksdb_readoptions_destroy(read_options);
    for (size_t i = 0; i < count; i++) {
        rocksdb_column_family_handle_destroy(handles[i]);
    }
    rocksdb_close(db);
    rocksdb_options_destroy(options);
    return found;
}

static double amplification(const ttl_side *side)
{
    return (double)side->written_bytes / (double)side->user_bytes;
}

static void report(
    ttl_run *run, const ttl_side *ttl, const ttl_side *plain, const disk *before, const disk *after)
{
    const tarn_ttl_stats stats = measure(run, ttl->state);
    const double gone = before->expired_count == 0
                            ? 0
                            : 100.0 * (double)(before->expired_bytes - after->expired_bytes) /
                                  (double)before->expired_bytes;
    printf(
        "{\"workload\":\"ttl\",\"against\":\"plain\",\"ratio\":{\"median\":%.4f},"
        "\"expired_gone_percent\":%.2f,\"expired_rows_before\":%llu,\"expired_bytes_before\":%llu,"
        "\"expired_rows_after\":%llu,\"expired_bytes_after\":%llu,"
        "\"write_amplification\":%.3f,\"plain_write_amplification\":%.3f,\"clean_ups\":%llu,"
        "\"parameters\":{\"keys\":%llu,\"ops\":%llu,\"value_bytes\":%llu,\"managed_mib\":%llu}}\n",
        (double)plain->spent_ns / (double)ttl->spent_ns,
        gone,
        (unsigned long long)before->expired_count,
        (unsigned long long)before->expired_bytes,
        (unsigned long long)after->expired_count,
        (unsigned long long)after->expired_bytes,
        amplification(ttl),
        amplification(plain),
        (unsigned long long)stats.clean_up_count,
        (unsigned long long)run->options->keys,
        (unsigned long long)run->options->ops,
        (unsigned long long)run->options->value_bytes,
        (unsigned long long)run->options->managed_mib);
}

int bench_ttl(const bench_options *options)
{
    static ttl_run run;
    static ttl_side ttl;
    static ttl_side plain;
    run.options = options;
    begin(&run);
    const int64_t slice_ms = (int64_t)(options->ops / SLICES / WRITES_PER_MS) + 1;
    tarn_ttl rules = TARN_TTL_INIT;
    rules.ttl_ms = slice_ms * SLICES / 2;
    rules.deadline_ms = rules.ttl_ms;
    rules.now_ms = virtual_now;
    rules.now_context = &run;
    run.ttl_ms = rules.ttl_ms;
    plain.state = open_state(&run, "plain", NULL);
    ttl.state = open_state(&run, "ttl", &rules);
    for (uint64_t i = 0; i < SLICES; i++) {
        write_slice(&run, &plain, options->seed + i, (int64_t)i * slice_ms);
        write_slice(&run, &ttl, options->seed + i, (int64_t)i * slice_ms);
    }
    const uint64_t written_before = written_bytes();
    /* Once the last row has expired, before the clean-up and at the deadline. */
    run.now_ms = slice_ms * SLICES + rules.ttl_ms;
    const disk before = read_disk(&run);
    run.now_ms += rules.deadline_ms;
    wait_for_clean_up(&run, ttl.state);
    const disk after = read_disk(&run);
    ttl.written_bytes += written_bytes() - written_before;
    report(&run, &ttl, &plain, &before, &after);
    check(&run, tarn_value_close(ttl.state, &run.job.error));
    check(&run, tarn_value_close(plain.state, &run.job.error));
    bench_job_close(&run.job);
    bench_directory_remove(run.directory);
    return after.expired_count == 0 ? 0 : 1;
}
