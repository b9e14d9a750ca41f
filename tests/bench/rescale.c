/*
 * rescale.c - restores of keyed state at another parallelism, beside iterate and put.
 *
 *     --keys rows of --value-bytes are written by p subtasks, compacted, and checkpointed
 *     ours       each of q subtasks is opened from the checkpoint; its first get ends the time
 *     baseline   each of q subtasks fetches all files of the old subtasks that it overlaps, opens
 *                each as a database, and puts the rows of its key groups into an empty backend
 *
 * Both begin with the same checkpoint in the page cache, take turns round by round, and are checked
 * against the number of rows that each key group had. A subtask owns the bytes of an old one in the
 * share of its key groups. --output DIR writes the checkpoints alone, --input DIR measures those of
 * an earlier run with the same --keys and --value-bytes.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <rocksdb/c.h>

#include "tarn/checkpoint.h"
#include "tarn/config.h"
#include "tarn/env.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"

#include "bench.h"
#include "job.h"

enum { MAX_PARALLELISM = 128, SUBTASKS_MAX = 8, NAME_BYTES = 8192, KEY_BYTES = 8 };
#define NAME "%.4000s/%.4000s"

typedef struct rescale {
    const bench_options *options;
    tarn_config *config;
    tarn_env *env;
    char root[BENCH_PATH_BYTES];
    char address[BENCH_PATH_BYTES];
    char checkpoints[BENCH_PATH_BYTES]; /* The directory that address is below. */
    uint64_t group_rows[MAX_PARALLELISM];
    uint32_t generation;
    tarn_error error;
} rescale;

typedef struct figures {
    double seconds[BENCH_ROUNDS_MAX];           /* Of all subtasks, one after the other. */
    double first_get_seconds[BENCH_ROUNDS_MAX]; /* Mean over the subtasks. */
    uint64_t fetched_bytes;                     /* In one round. */
} figures;

static void check(const rescale *r, tarn_status status)
{
    if (status != TARN_OK) {
        bench_fail("%s: %s", tarn_status_name(status), r->error.message);
    }
}

static tarn_bytes make_key(uint64_t number, uint8_t room[KEY_BYTES])
{
    for (int i = 0; i < KEY_BYTES; i++) {
        room[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    return tarn_bytes_at(room, KEY_BYTES);
}

static uint32_t group_of(tarn_bytes key)
{
    return tarn_key_group_of(tarn_hash_bytes(key), MAX_PARALLELISM);
}

static tarn_backend *open_backend(
    rescale *r, uint32_t index, uint32_t parallelism, tarn_checkpoint *restore, tarn_value **value)
{
    char directory[NAME_BYTES];
    snprintf(directory, sizeof directory, "%s/work-%u", r->root, r->generation++);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = r->env;
    options.operator_name = "rescaled";
    options.directory = directory;
    options.subtask_index = index;
    options.parallelism = parallelism;
    options.max_parallelism = MAX_PARALLELISM;
    options.restore = restore;
    tarn_backend *backend = NULL;
    check(r, tarn_backend_open(&options, &backend, &r->error));
    tarn_state_options state = TARN_STATE_OPTIONS_INIT;
    state.name = "rows";
    check(r, tarn_value_open(backend, &state, value, &r->error));
    return backend;
}

/* ---- the checkpoint --------------------------------------------------------------------- */

/* Values half of which can be compressed. */
static void make_value(uint64_t number, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        number = number * UINT64_C(6364136223846793005) + 1442695040888963407;
        out[i] = i % 2 == 0 ? (uint8_t)(number >> 56) : 'v';
    }
}

static void write_rows(rescale *r, tarn_backend **backends, tarn_value **values, uint32_t count)
{
    uint8_t *value = bench_allocate(r->options->value_bytes);
    for (uint64_t i = 0; i < r->options->keys; i++) {
        uint8_t room[KEY_BYTES];
        /* Scattered, as keys of a stream are. */
        const tarn_bytes key = make_key(i * UINT64_C(0x9E3779B97F4A7C15), room);
        const uint32_t group = group_of(key);
        const uint32_t subtask = tarn_key_group_subtask(group, MAX_PARALLELISM, count);
        make_value(i, value, r->options->value_bytes);
        check(r, tarn_backend_set_key(backends[subtask], key, &r->error));
        check(
            r,
            tarn_value_put(
                values[subtask], tarn_bytes_at(value, r->options->value_bytes), &r->error));
    }
    free(value);
}

static void count_groups(rescale *r)
{
    for (uint64_t i = 0; i < r->options->keys; i++) {
        uint8_t room[KEY_BYTES];
        r->group_rows[group_of(make_key(i * UINT64_C(0x9E3779B97F4A7C15), room))]++;
    }
}

static void take_checkpoint(rescale *r, tarn_backend **backends, uint32_t count)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = r->env;
    options.address = r->checkpoints;
    options.job = "job";
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    check(r, tarn_checkpoint_store_open(&options, &store, &r->error));
    check(r, tarn_checkpoint_begin(store, 1, &pending, &r->error));
    tarn_buffer acknowledgement = {.allocator = NULL};
    for (uint32_t i = 0; i < count; i++) {
        tarn_snapshot *snapshot = NULL;
        check(r, tarn_snapshot_begin(backends[i], pending, &snapshot, &r->error));
        check(r, tarn_snapshot_finish(snapshot, &acknowledgement, &r->error));
        check(
            r,
            tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &r->error));
    }
    tarn_buffer_clear(&acknowledgement);
    check(r, tarn_checkpoint_commit(pending, NULL, &r->error));
    check(r, tarn_checkpoint_store_close(store, &r->error));
}

/* Waits until compactions have little to do, but not for ever: a job's state is as old as the job.
 */
static void settle(tarn_backend *backend)
{
    static const struct timespec pause = {.tv_nsec = 10000000};
    tarn_backend_stats stats;
    const uint64_t end_ns = bench_now_ns() + UINT64_C(15000000000);
    do {
        (void)nanosleep(&pause, NULL);
        tarn_backend_measure(backend, &stats);
    } while ((stats.pending_compaction_bytes > 0 || stats.level0_file_count >= 4) &&
             bench_now_ns() < end_ns);
}

static void make_checkpoint(rescale *r, uint32_t parallelism)
{
    tarn_backend *backends[SUBTASKS_MAX];
    tarn_value *values[SUBTASKS_MAX];
    for (uint32_t i = 0; i < parallelism; i++) {
        backends[i] = open_backend(r, i, parallelism, NULL, &values[i]);
    }
    write_rows(r, backends, values, parallelism);
    for (uint32_t i = 0; i < parallelism; i++) {
        settle(backends[i]);
    }
    take_checkpoint(r, backends, parallelism);
    for (uint32_t i = 0; i < parallelism; i++) {
        check(r, tarn_value_close(values[i], &r->error));
        check(r, tarn_backend_close(backends[i], &r->error));
    }
}

/* ---- ours ------------------------------------------------------------------------------- */

/* Rows of a subtask's key groups, by reading all; and whether they are as many as were written. */
static void count_rows(rescale *r, tarn_backend *backend, tarn_value *value)
{
    const tarn_key_group_range own = tarn_backend_key_groups(backend);
    uint64_t rows = 0;
    uint64_t expected = 0;
    for (uint32_t group = own.first; group <= own.last; group++) {
        expected += r->group_rows[group];
    }
    tarn_value_iterator *iterator = NULL;
    tarn_row row;
    check(r, tarn_value_iterate(value, "bench", &iterator, &r->error));
    while (tarn_value_iterator_next(iterator, &row, &r->error) == TARN_OK) {
        rows++;
    }
    tarn_value_iterator_close(iterator);
    if (rows != expected) {
        bench_fail(
            "a subtask has %llu rows instead of %llu",
            (unsigned long long)rows,
            (unsigned long long)expected);
    }
}

static void get_one(rescale *r, tarn_backend *backend, tarn_value *value)
{
    uint8_t room[KEY_BYTES];
    const tarn_key_group_range own = tarn_backend_key_groups(backend);
    for (uint64_t i = 0;; i++) {
        const tarn_bytes key = make_key(i * UINT64_C(0x9E3779B97F4A7C15), room);
        const uint32_t group = group_of(key);
        if (group >= own.first && group <= own.last) {
            tarn_bytes got;
            check(r, tarn_backend_set_key(backend, key, &r->error));
            check(r, tarn_value_get(value, &got, &r->error));
            return;
        }
    }
}

static void close_one(rescale *r, tarn_backend *backend, tarn_value *value)
{
    check(r, tarn_value_close(value, &r->error));
    check(r, tarn_backend_close(backend, &r->error));
}

static void restore_ours(rescale *r, uint32_t parallelism, uint64_t round, figures *f)
{
    f->fetched_bytes = 0;
    for (uint32_t i = 0; i < parallelism; i++) {
        tarn_checkpoint *checkpoint = NULL;
        tarn_value *value = NULL;
        tarn_backend_stats stats;
        const uint64_t begin_ns = bench_now_ns();
        check(r, tarn_checkpoint_open(r->address, NULL, &checkpoint, &r->error));
        tarn_backend *backend = open_backend(r, i, parallelism, checkpoint, &value);
        get_one(r, backend, value);
        f->seconds[round] += (double)(bench_now_ns() - begin_ns) / 1e9;
        tarn_backend_measure(backend, &stats);
        f->fetched_bytes += stats.restored_bytes;
        count_rows(r, backend, value);
        close_one(r, backend, value);
        tarn_checkpoint_free(checkpoint);
    }
    f->first_get_seconds[round] = f->seconds[round] / parallelism;
}

/* ---- the baseline ----------------------------------------------------------------------- */

static void must(const char *message)
{
    if (message != NULL) {
        bench_fail("RocksDB: %s", message);
    }
}

/* Copies a part of an object: all of it, unless the file is packed with others. */
static void copy_file(const char *from, uint64_t offset, uint64_t left, const char *to)
{
    enum { BUFFER_BYTES = 1 << 20 };
    char *buffer = bench_allocate(BUFFER_BYTES);
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    if (in == NULL || out == NULL || fseek(in, (long)offset, SEEK_SET) != 0) {
        bench_fail("cannot copy %s", from);
    }
    while (left > 0) {
        const size_t size = left < BUFFER_BYTES ? (size_t)left : (size_t)BUFFER_BYTES;
        if (fread(buffer, 1, size, in) != size || fwrite(buffer, 1, size, out) != size) {
            bench_fail("cannot copy %s to %s", from, to);
        }
        left -= size;
    }
    fclose(in);
    if (fclose(out) != 0) {
        bench_fail("cannot write %s", to);
    }
    free(buffer);
}

static uint64_t fetch_all(
    const char *job, tarn_checkpoint *checkpoint, uint32_t position, const char *directory)
{
    uint64_t bytes = 0;
    if (mkdir(directory, 0755) != 0) {
        bench_fail("cannot create %s", directory);
    }
    const uint32_t count = tarn_checkpoint_subtask_at(checkpoint, position).file_count;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, position, i);
        char from[NAME_BYTES];
        char to[NAME_BYTES];
        snprintf(from, sizeof from, NAME, job, file.path);
        snprintf(to, sizeof to, NAME, directory, file.local_name);
        copy_file(from, file.offset, file.size, to);
        bytes += file.size;
    }
    return bytes;
}

/* Puts the rows of a backend's key groups out of a fetched database into it. */
static void put_rows(rescale *r, const char *directory, tarn_backend *backend, tarn_value *value)
{
    static const char *const names[] = {"default", "rows"};
    char *message = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    const rocksdb_options_t *const family_options[] = {options, options};
    rocksdb_column_family_handle_t *handles[2] = {NULL, NULL};
    rocksdb_t *db = rocksdb_open_for_read_only_column_families(
        options, directory, 2, names, family_options, handles, 0, &message);
    must(message);
    const tarn_key_group_range own = tarn_backend_key_groups(backend);
    const uint8_t lower[] = {(uint8_t)(own.first >> 8), (uint8_t)own.first};
    const uint32_t beyond = own.last + 1u;
    const char upper[] = {(char)(beyond >> 8), (char)beyond};
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(read, upper, sizeof upper);
    rocksdb_readoptions_set_readahead_size(read, 2 << 20);
    rocksdb_iterator_t *rows = rocksdb_create_iterator_cf(db, read, handles[1]);
    for (rocksdb_iter_seek(rows, (const char *)lower, sizeof lower); rocksdb_iter_valid(rows);
         rocksdb_iter_next(rows)) {
        size_t key_size;
        size_t value_size;
        const char *row = rocksdb_iter_key(rows, &key_size);
        const char *bytes = rocksdb_iter_value(rows, &value_size);
        /* Behind the group and the key's size, a byte for these keys, is the key. */
        check(r, tarn_backend_set_key(backend, tarn_bytes_at(row + 3, KEY_BYTES), &r->error));
        check(r, tarn_value_put(value, tarn_bytes_at(bytes, value_size), &r->error));
    }
    rocksdb_iter_get_error(rows, &message);
    must(message);
    rocksdb_iter_destroy(rows);
    rocksdb_readoptions_destroy(read);
    rocksdb_column_family_handle_destroy(handles[0]);
    rocksdb_column_family_handle_destroy(handles[1]);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
}

static void put_overlapping(
    rescale *r, tarn_checkpoint *checkpoint, tarn_backend *backend, tarn_value *value, figures *f)
{
    const tarn_key_group_range own = tarn_backend_key_groups(backend);
    uint32_t position = 0;
    for (uint32_t old = 0;
         tarn_checkpoint_find_subtask(checkpoint, "rescaled", old, &position) == TARN_OK;
         old++) {
        const tarn_key_group_range stored =
            tarn_checkpoint_subtask_at(checkpoint, position).key_groups;
        if (stored.last < own.first || stored.first > own.last) {
            continue;
        }
        char directory[NAME_BYTES];
        snprintf(directory, sizeof directory, "%s/fetched", r->root);
        f->fetched_bytes += fetch_all(r->address, checkpoint, position, directory);
        put_rows(r, directory, backend, value);
        bench_directory_remove(directory);
    }
}

static void restore_baseline(rescale *r, uint32_t parallelism, uint64_t round, figures *f)
{
    f->fetched_bytes = 0;
    for (uint32_t i = 0; i < parallelism; i++) {
        tarn_checkpoint *checkpoint = NULL;
        tarn_value *value = NULL;
        const uint64_t begin_ns = bench_now_ns();
        check(r, tarn_checkpoint_open(r->address, NULL, &checkpoint, &r->error));
        tarn_backend *backend = open_backend(r, i, parallelism, NULL, &value);
        put_overlapping(r, checkpoint, backend, value, f);
        get_one(r, backend, value);
        f->seconds[round] += (double)(bench_now_ns() - begin_ns) / 1e9;
        count_rows(r, backend, value);
        close_one(r, backend, value);
        tarn_checkpoint_free(checkpoint);
    }
    f->first_get_seconds[round] = f->seconds[round] / parallelism;
}

/* ---- both ------------------------------------------------------------------------------- */

/* Bytes that all new subtasks own together: each key group once. */
static uint64_t measure_checkpoint(rescale *r)
{
    tarn_checkpoint *checkpoint = NULL;
    check(r, tarn_checkpoint_open(r->address, NULL, &checkpoint, &r->error));
    const uint64_t bytes = tarn_checkpoint_summarize(checkpoint).total_bytes;
    tarn_checkpoint_free(checkpoint);
    return bytes;
}

static void open_env(rescale *r)
{
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    check(r, tarn_config_new(NULL, &r->config, &r->error));
    check(
        r, tarn_config_set(r->config, "taskmanager.memory.process.size", "4g", "bench", &r->error));
    bench_config_set_mib(r->config, "taskmanager.memory.managed.size", r->options->managed_mib);
    /* The baseline copies files, and knows none that lie in the metadata. */
    check(
        r,
        tarn_config_set(
            r->config, "execution.checkpointing.data-inline-threshold", "0b", "bench", &r->error));
    bench_config_assign(r->config, r->options);
    options.config = r->config;
    check(r, tarn_env_open(&options, &r->env, &r->error));
}

static void report(
    const rescale *r,
    uint32_t p,
    uint32_t q,
    uint64_t owned,
    const figures *ours,
    const figures *base)
{
    const uint64_t rounds = r->options->rounds;
    double ratios[BENCH_ROUNDS_MAX];
    for (uint64_t i = 0; i < rounds; i++) {
        ratios[i] = base->seconds[i] / ours->seconds[i];
    }
    const bench_spread ratio = bench_spread_of(ratios, rounds);
    printf(
        "{\"workload\":\"rescale\",\"against\":\"iterate\",\"ratio\":{\"median\":%.2f,"
        "\"min\":%.2f,\"max\":%.2f},\"from\":%u,\"to\":%u,\"keys\":%llu,"
        "\"checkpoint_bytes\":%llu,\"fetched_bytes\":%llu,\"fetched_per_owned\":%.3f,"
        "\"baseline_fetched_bytes\":%llu",
        ratio.median,
        ratio.min,
        ratio.max,
        p,
        q,
        (unsigned long long)r->options->keys,
        (unsigned long long)owned,
        (unsigned long long)ours->fetched_bytes,
        (double)ours->fetched_bytes / (double)owned,
        (unsigned long long)base->fetched_bytes);
    bench_print_spread("seconds", ours->seconds, rounds);
    bench_print_spread("baseline_seconds", base->seconds, rounds);
    bench_print_spread("first_get_seconds", ours->first_get_seconds, rounds);
    bench_print_spread("baseline_first_get_seconds", base->first_get_seconds, rounds);
    printf("}\n");
    (void)fflush(stdout);
}

/* Where the checkpoint of so many subtasks is, or is to be. */
static void name_checkpoint(rescale *r, uint32_t parallelism)
{
    const bench_options *options = r->options;
    const char *kept = options->output != NULL ? options->output : options->input;
    snprintf(
        r->checkpoints,
        sizeof r->checkpoints,
        "%.3000s/from-%u",
        kept != NULL ? kept : r->root,
        parallelism);
    snprintf(r->address, sizeof r->address, "%.3500s/job", r->checkpoints);
}

/* Brings the checkpoint into the page cache. */
static void warm(rescale *r)
{
    tarn_checkpoint *checkpoint = NULL;
    tarn_checkpoint_verification verified;
    check(r, tarn_checkpoint_open(r->address, NULL, &checkpoint, &r->error));
    check(r, tarn_checkpoint_verify(checkpoint, NULL, NULL, &verified, &r->error));
    if (verified.bad_count > 0) {
        bench_fail("the checkpoint is damaged");
    }
    tarn_checkpoint_free(checkpoint);
}

static void measure(rescale *r, uint32_t p, uint32_t q)
{
    static figures ours;
    static figures baseline;
    memset(&ours, 0, sizeof ours);
    memset(&baseline, 0, sizeof baseline);
    for (uint64_t round = 0; round < r->options->rounds; round++) {
        warm(r);
        restore_ours(r, q, round, &ours);
        warm(r);
        restore_baseline(r, q, round, &baseline);
    }
    report(r, p, q, measure_checkpoint(r), &ours, &baseline);
}

static void run_pair(const bench_options *options, uint32_t p, uint32_t q)
{
    static rescale r;
    r = (rescale){.options = options};
    bench_directory_make(options, r.root);
    name_checkpoint(&r, p);
    const bool is_there = access(r.address, F_OK) == 0;
    if (is_there ? options->output != NULL : options->input != NULL) {
        fprintf(stderr, "tarn-bench: %s is%s there: left out\n", r.address, is_there ? "" : " not");
        bench_directory_remove(r.root);
        return;
    }
    open_env(&r);
    count_groups(&r);
    if (options->input == NULL) {
        make_checkpoint(&r, p);
    }
    if (options->output == NULL) {
        measure(&r, p, q);
    }
    check(&r, tarn_env_close(r.env, &r.error));
    tarn_config_free(r.config);
    bench_directory_remove(r.root);
}

int bench_rescale(const bench_options *options)
{
    run_pair(options, 3, 2);
    run_pair(options, 2, 3);
    return 0;
}
