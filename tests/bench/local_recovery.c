/*
 * local_recovery.c - a restore out of the second copy on the task's own disk, against a download
 * from a storage that gives 100 MB a second.
 *
 * --keys rows of --value-bytes are checkpointed once. Each round opens a backend of the checkpoint
 * twice: with the second copy, and without, from the directory of checkpoints. What that takes less
 * than the bytes would at 100 MB/s is added: a directory on the same disk is faster than a network.
 * A ratio of 20 is the 5 % that a restore may take. Rates are bytes of state a second.
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

enum { KEY_BYTES = 8, ROUNDS = 5, VALUE_BYTES = 1000, PROCESS_MIB_BESIDES = 1024 };

static const double LIMIT_BYTES_PER_S = 100e6;

typedef struct recovery {
    const bench_options *options;
    char directory[BENCH_PATH_BYTES];
    tarn_env *env;
    uint64_t bytes; /* Of the checkpoint. */
} recovery;

static const char *below(const recovery *r, const char *name, char out[BENCH_PATH_BYTES])
{
    snprintf(out, BENCH_PATH_BYTES, "%.3000s/%s", r->directory, name);
    return out;
}

static void open_env(recovery *r)
{
    tarn_error error;
    tarn_config *config = NULL;
    bench_check(tarn_config_new(NULL, &config, &error), &error);
    bench_config_set_mib(
        config, "taskmanager.memory.process.size", r->options->managed_mib + PROCESS_MIB_BESIDES);
    bench_config_assign(config, r->options);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    bench_check(tarn_env_open(&options, &r->env, &error), &error);
    tarn_config_free(config);
}

static tarn_backend *open_backend(recovery *r, tarn_checkpoint *restore, bool has_copy)
{
    tarn_error error;
    char work[BENCH_PATH_BYTES];
    char copy[BENCH_PATH_BYTES];
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = r->env;
    options.operator_name = "bench";
    options.directory = below(r, "work", work);
    options.restore = restore;
    options.recovery_directory = has_copy ? below(r, "copy", copy) : NULL;
    tarn_backend *backend = NULL;
    bench_check(tarn_backend_open(&options, &backend, &error), &error);
    return backend;
}

static void fill(const recovery *r, tarn_backend *backend)
{
    tarn_error error;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "state";
    tarn_value *value = NULL;
    bench_check(tarn_value_open(backend, &options, &value, &error), &error);
    const size_t size = r->options->value_bytes != 0 ? r->options->value_bytes : VALUE_BYTES;
    uint64_t *bytes = bench_allocate(size + sizeof *bytes);
    uint64_t random = r->options->seed;
    for (uint64_t key = 0; key < r->options->keys; key++) {
        for (size_t i = 0; i * sizeof *bytes < size; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            bytes[i] = random; /* Nothing that packs. */
        }
        bench_check(tarn_backend_set_key(backend, tarn_bytes_at(&key, KEY_BYTES), &error), &error);
        bench_check(tarn_value_put(value, tarn_bytes_at(bytes, size), &error), &error);
    }
    free(bytes);
    bench_check(tarn_value_close(value, &error), &error);
}

static void take_checkpoint(recovery *r)
{
    tarn_error error;
    char address[BENCH_PATH_BYTES];
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = r->env;
    options.address = below(r, "checkpoints", address);
    options.job = "bench";
    tarn_checkpoint_store *store = NULL;
    bench_check(tarn_checkpoint_store_open(&options, &store, &error), &error);
    tarn_backend *backend = open_backend(r, NULL, /* has_copy= */ true);
    fill(r, backend);
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    bench_check(tarn_checkpoint_begin(store, 1, &pending, &error), &error);
    bench_check(tarn_snapshot_begin(backend, pending, &snapshot, &error), &error);
    bench_check(tarn_snapshot_finish(snapshot, &acknowledgement, &error), &error);
    bench_check(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &error), &error);
    bench_check(tarn_checkpoint_commit(pending, NULL, &error), &error);
    tarn_buffer_clear(&acknowledgement);
    bench_check(tarn_backend_close(backend, &error), &error);
    bench_check(tarn_checkpoint_store_close(store, &error), &error);
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

/* Opens a backend of the checkpoint; answers the seconds, and checks where its files came from. */
static double restore(recovery *r, tarn_checkpoint *checkpoint, bool has_copy)
{
    tarn_error error;
    const uint64_t began_ns = bench_now_ns();
    tarn_backend *backend = open_backend(r, checkpoint, has_copy);
    const double elapsed_s = (double)(bench_now_ns() - began_ns) / 1e9;
    tarn_backend_stats stats;
    tarn_backend_measure(backend, &stats);
    if (has_copy ? stats.local_bytes != r->bytes : stats.local_bytes != 0) {
        bench_fail(
            "%llu of %llu bytes came from the second copy",
            (unsigned long long)stats.local_bytes,
            (unsigned long long)r->bytes);
    }
    bench_check(tarn_backend_close(backend, &error), &error);
    return elapsed_s;
}

int bench_local_recovery(const bench_options *given)
{
    bench_options options = *given;
    options.rounds = options.rounds != 0 ? options.rounds : ROUNDS;
    recovery r = {.options = &options};
    bench_side *sides = bench_allocate(2 * sizeof *sides);
    bench_directory_make(&options, r.directory);
    open_env(&r);
    take_checkpoint(&r);
    tarn_error error;
    char address[BENCH_PATH_BYTES];
    tarn_checkpoint *checkpoint = NULL;
    bench_check(
        tarn_checkpoint_open(below(&r, "checkpoints/bench", address), NULL, &checkpoint, &error),
        &error);
    r.bytes = bytes_of_files(checkpoint);
    const double limited_s = (double)r.bytes / LIMIT_BYTES_PER_S;
    for (uint64_t round = 0; round < options.rounds; round++) {
        const double local_s = restore(&r, checkpoint, /* has_copy= */ true);
        const double copied_s = restore(&r, checkpoint, /* has_copy= */ false);
        sides[0].rates[round] = (double)r.bytes / local_s;
        sides[1].rates[round] = (double)r.bytes / (copied_s > limited_s ? copied_s : limited_s);
    }
    tarn_checkpoint_free(checkpoint);
    bench_check(tarn_env_close(r.env, &error), &error);
    bench_report("local-recovery", &options, &sides[0], &sides[1]);
    bench_directory_remove(r.directory);
    free(sides);
    return 0;
}
