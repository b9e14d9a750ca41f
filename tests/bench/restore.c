/*
 * restore.c - restores at the same parallelism, by each way that files can come, to the first get.
 *
 *     local     out of the second copy on the task's own disk; the storage is limited
 *     linked    from the directory of checkpoints, by hard links
 *     copied    from there, without links
 *     limited   the same at 100 MB a second: the download
 *
 * --keys rows of --value-bytes are checkpointed once; each round restores the checkpoint by each
 * way. The time is from opening the checkpoint to the value of the first key, and nothing of it is
 * computed: the limit is tarn.storage.bytes-per-second. The ratio is that of limited over local: 20
 * is the 5 % that a restore may take. storage_bytes are what the storage was asked for, with the
 * metadata; a linked file is read through once to compare it, one out of the copy on its own disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "job.h"
#include "tarn/backend.h"
#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"
#include "tarn/storage.h"

enum { KEY_BYTES = 8 };

#define LIMIT_BYTES_PER_S 100000000
static const double SAVED_UP_S = 0.1; /* By a limit, while nobody asks. */

typedef struct way {
    const char *name;
    bool has_copy;
    bool may_link;
    bool is_limited;
} way;

enum { LOCAL, LINKED, COPIED, LIMITED, WAYS };

static const way WAYS_ALL[WAYS] = {
    [LOCAL] = {"local", .has_copy = true, .may_link = true, .is_limited = true},
    [LINKED] = {"linked", .may_link = true},
    [COPIED] = {.name = "copied"},
    [LIMITED] = {"limited", .is_limited = true},
};

typedef struct figures {
    double seconds[BENCH_ROUNDS_MAX];
    uint64_t storage_bytes; /* In one round, as the two below. */
    uint64_t restored_bytes;
    uint64_t local_bytes;
} figures;

typedef struct restored {
    const bench_options *options;
    char directory[BENCH_PATH_BYTES];
    tarn_env *env;
    uint64_t *row;  /* The value of the key that is being written; then of the first one. */
    uint64_t bytes; /* Of the checkpoint's files. */
    figures ways[WAYS];
    tarn_error error;
} restored;

static void check(const restored *r, tarn_status status)
{
    bench_check(status, &r->error);
}

static const char *below(const restored *r, const char *name, char out[BENCH_PATH_BYTES])
{
    snprintf(out, BENCH_PATH_BYTES, "%.3000s/%s", r->directory, name);
    return out;
}

static void set(restored *r, tarn_config *config, const char *key, const char *value)
{
    check(r, tarn_config_set(config, key, value, "tarn-bench", &r->error));
}

/* Each restore has an environment of its own, as the process has that comes back. */
static void open_env(restored *r, const way *how)
{
    char limit[32];
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    tarn_config *config = bench_config_new(r->options);
    (void)snprintf(limit, sizeof limit, "%d bytes", how->is_limited ? LIMIT_BYTES_PER_S : 0);
    set(r, config, "tarn.storage.bytes-per-second", limit);
    set(r, config, "tarn.restore.link-files", how->may_link ? "true" : "false");
    options.config = config;
    check(r, tarn_env_open(&options, &r->env, &r->error));
    tarn_config_free(config);
}

static tarn_backend *open_backend(
    restored *r, tarn_checkpoint *restore, bool has_copy, tarn_value **value)
{
    char work[BENCH_PATH_BYTES];
    char copy[BENCH_PATH_BYTES];
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    tarn_state_options state = TARN_STATE_OPTIONS_INIT;
    tarn_backend *backend = NULL;
    options.env = r->env;
    options.operator_name = "bench";
    options.directory = below(r, "work", work);
    options.restore = restore;
    options.recovery_directory = has_copy ? below(r, "copy", copy) : NULL;
    check(r, tarn_backend_open(&options, &backend, &r->error));
    state.name = "state";
    check(r, tarn_value_open(backend, &state, value, &r->error));
    return backend;
}

static void close_backend(restored *r, tarn_backend *backend, tarn_value *value)
{
    check(r, tarn_value_close(value, &r->error));
    check(r, tarn_backend_close(backend, &r->error));
}

/* ---- the checkpoint --------------------------------------------------------------------- */

/* Values that do not pack. The first one is made anew in the end, to be compared. */
static void make_row(restored *r, uint64_t key)
{
    uint64_t random = r->options->seed ^ key * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = 0; i * sizeof *r->row < r->options->value_bytes; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        r->row[i] = random ^ random >> 32;
    }
}

static void fill(restored *r, tarn_backend *backend, tarn_value *value)
{
    const size_t size = r->options->value_bytes;
    for (uint64_t key = 0; key < r->options->keys; key++) {
        make_row(r, key);
        check(r, tarn_backend_set_key(backend, tarn_bytes_at(&key, KEY_BYTES), &r->error));
        check(r, tarn_value_put(value, tarn_bytes_at(r->row, size), &r->error));
    }
    make_row(r, 0);
}

static void take_checkpoint(restored *r)
{
    char address[BENCH_PATH_BYTES];
    tarn_value *value = NULL;
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    open_env(r, &WAYS_ALL[LINKED]);
    options.env = r->env;
    options.address = below(r, "checkpoints", address);
    options.job = "bench";
    check(r, tarn_checkpoint_store_open(&options, &store, &r->error));
    tarn_backend *backend = open_backend(r, NULL, /* has_copy= */ true, &value);
    fill(r, backend, value);
    check(r, tarn_checkpoint_begin(store, 1, &pending, &r->error));
    check(r, tarn_snapshot_begin(backend, pending, &snapshot, &r->error));
    check(r, tarn_snapshot_finish(snapshot, &acknowledgement, &r->error));
    check(r, tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &r->error));
    check(r, tarn_checkpoint_commit(pending, NULL, &r->error));
    tarn_buffer_clear(&acknowledgement);
    close_backend(r, backend, value);
    check(r, tarn_checkpoint_store_close(store, &r->error));
    check(r, tarn_env_close(r->env, &r->error));
}

/* The bytes of files that are in the storage; the others lie in the metadata, and need no copy. */
static uint64_t bytes_of_files(const tarn_checkpoint *checkpoint)
{
    const tarn_checkpoint_subtask subtask = tarn_checkpoint_subtask_at(checkpoint, 0);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < subtask.file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, i);
        bytes += file.is_inline ? 0 : file.size;
    }
    return bytes;
}

/* ---- restores --------------------------------------------------------------------------- */

static void get_first(restored *r, tarn_backend *backend, tarn_value *value)
{
    const uint64_t key = 0;
    tarn_bytes got;
    check(r, tarn_backend_set_key(backend, tarn_bytes_at(&key, KEY_BYTES), &r->error));
    check(r, tarn_value_get(value, &got, &r->error));
    if (got.size != r->options->value_bytes || memcmp(got.data, r->row, got.size) != 0) {
        bench_fail("the first row is not what was written");
    }
}

/* Whether files came by the way that is measured. */
static void check_way(const restored *r, const way *how, const figures *f, double seconds)
{
    if (f->local_bytes != (how->has_copy ? r->bytes : 0)) {
        bench_fail(
            "%s: %llu of %llu bytes came from the second copy",
            how->name,
            (unsigned long long)f->local_bytes,
            (unsigned long long)r->bytes);
    }
    if (!how->has_copy && f->storage_bytes < r->bytes) {
        bench_fail(
            "%s: %llu of %llu bytes were read",
            how->name,
            (unsigned long long)f->storage_bytes,
            (unsigned long long)r->bytes);
    }
    const double least_s = (double)f->storage_bytes / LIMIT_BYTES_PER_S - SAVED_UP_S;
    if (how->is_limited && seconds < least_s) {
        bench_fail("%s: %.3f s, the limit asks for %.3f s", how->name, seconds, least_s);
    }
}

static void restore(restored *r, uint32_t index, uint64_t round)
{
    const way *how = &WAYS_ALL[index];
    figures *f = &r->ways[index];
    char address[BENCH_PATH_BYTES];
    tarn_checkpoint *checkpoint = NULL;
    tarn_value *value = NULL;
    tarn_backend_stats stats;
    tarn_storage_figures storage = TARN_STORAGE_FIGURES_INIT;
    open_env(r, how);
    const uint64_t began_ns = bench_now_ns();
    check(
        r,
        tarn_checkpoint_open_in(
            r->env, below(r, "checkpoints/bench", address), NULL, &checkpoint, &r->error));
    tarn_backend *backend = open_backend(r, checkpoint, how->has_copy, &value);
    get_first(r, backend, value);
    f->seconds[round] = (double)(bench_now_ns() - began_ns) / 1e9;
    tarn_backend_measure(backend, &stats);
    tarn_env_measure_storage(r->env, &storage);
    r->bytes = bytes_of_files(checkpoint);
    f->local_bytes = stats.local_bytes;
    f->restored_bytes = stats.restored_bytes;
    f->storage_bytes = storage.bytes_read;
    check_way(r, how, f, f->seconds[round]);
    close_backend(r, backend, value);
    tarn_checkpoint_free(checkpoint);
    check(r, tarn_env_close(r->env, &r->error));
    if (!r->options->is_json) {
        printf(
            "round %llu: %s %.3f s\n", (unsigned long long)round + 1, how->name, f->seconds[round]);
        (void)fflush(stdout);
    }
}

static void report(const restored *r)
{
    const uint64_t rounds = r->options->rounds;
    double ratios[BENCH_ROUNDS_MAX];
    for (uint64_t i = 0; i < rounds; i++) {
        ratios[i] = r->ways[LIMITED].seconds[i] / r->ways[LOCAL].seconds[i];
    }
    const bench_spread ratio = bench_spread_of(ratios, rounds);
    printf(
        "{\"workload\":\"restore\",\"against\":\"limited\",\"ratio\":{\"median\":%.2f,\"min\":%.2f,"
        "\"max\":%.2f},\"local_percent\":%.2f,\"limit_bytes_per_s\":%d,\"checkpoint_bytes\":%llu",
        ratio.median,
        ratio.min,
        ratio.max,
        100 / ratio.median,
        LIMIT_BYTES_PER_S,
        (unsigned long long)r->bytes);
    for (uint32_t i = 0; i < WAYS; i++) {
        const figures *f = &r->ways[i];
        printf(
            ",\"%s\":{\"storage_bytes\":%llu,\"restored_bytes\":%llu,\"local_bytes\":%llu",
            WAYS_ALL[i].name,
            (unsigned long long)f->storage_bytes,
            (unsigned long long)f->restored_bytes,
            (unsigned long long)f->local_bytes);
        bench_print_spread("first_get_seconds", f->seconds, rounds);
        putchar('}');
    }
    printf(
        ",\"parameters\":{\"keys\":%llu,\"value_bytes\":%llu,\"rounds\":%llu,\"seed\":%llu,"
        "\"managed_mib\":%llu}}\n",
        (unsigned long long)r->options->keys,
        (unsigned long long)r->options->value_bytes,
        (unsigned long long)rounds,
        (unsigned long long)r->options->seed,
        (unsigned long long)r->options->managed_mib);
}

int bench_restore(const bench_options *options)
{
    static restored r;
    r = (restored){.options = options, .row = bench_allocate(options->value_bytes + sizeof *r.row)};
    bench_directory_make(options, r.directory);
    take_checkpoint(&r);
    bench_wait(options);
    for (uint64_t round = 0; round < options->rounds; round++) {
        for (uint32_t i = 0; i < WAYS; i++) {
            restore(&r, i, round);
        }
    }
    report(&r);
    bench_directory_remove(r.directory);
    free(r.row);
    return 0;
}
