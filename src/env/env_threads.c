/* env_threads.c - the threads of an environment, below those of the program (base/priority.h). */
#include <inttypes.h>

#include "base/priority.h"
#include "base/try.h"
#include "env/env_private.h"

enum {
    WORKER_COUNT_MAX = 256,
    JOBS_PER_WORKER = 16, /* Jobs that wait; a snapshot is one job and recruits idle workers. */
};

static const char errands_name[] = "tarn-errands";

static tarn_status count_workers(
    const tarn_env *env, const tarn_env_options *options, uint32_t *out, tarn_error *error)
{
    int32_t configured = 0;
    TARN_TRY(tarn_config_get_int(
        env->config,
        "state.backend.rocksdb.checkpoint.transfer.thread.num",
        &configured,
        NULL,
        error));
    *out = options->worker_thread_count;
    if (*out == 0) {
        *out = (uint32_t)(configured < 1 ? 1 : configured);
    }
    if (*out > WORKER_COUNT_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%" PRIu32 " worker threads are asked for; at most %d are allowed",
            *out,
            WORKER_COUNT_MAX);
    }
    return TARN_OK;
}

/* What is wanted of a thread that has lowered itself. */
typedef struct thread_start {
    tarn_env *env;
    uint32_t worker_count;
    tarn__errands **errands;
    tarn_status status;
    tarn_error *error;
} thread_start;

static void open_errands(void *context)
{
    thread_start *start = context;
    start->status = tarn__errands_open(
        tarn__env_account(start->env),
        errands_name,
        start->env->errands,
        start->errands,
        start->error);
}

static void open_workers(void *context)
{
    thread_start *start = context;
    start->status = tarn__workers_open(
        tarn__env_account(start->env),
        start->worker_count,
        start->worker_count * JOBS_PER_WORKER,
        "tarn-worker",
        &start->env->workers,
        start->error);
    if (start->status == TARN_OK) {
        open_errands(start);
    }
}

static tarn_status run_lowered(thread_start *start, void (*open)(void *context))
{
    int32_t levels = 0;
    TARN_TRY(
        tarn_config_get_int(start->env->config, "tarn.workers.nice", &levels, NULL, start->error));
    TARN_TRY(tarn__run_lowered((uint32_t)levels, open, start, start->error));
    return start->status;
}

tarn_status tarn__env_start_threads(
    tarn_env *env, const tarn_env_options *options, tarn_error *error)
{
    thread_start start = {.env = env, .errands = &env->errands, .error = error};
    TARN_TRY(count_workers(env, options, &start.worker_count, error));
    return run_lowered(&start, open_workers);
}

tarn__workers *tarn__env_workers(tarn_env *env)
{
    return env->workers;
}

tarn__errands *tarn__env_errands(tarn_env *env)
{
    return env->errands;
}

tarn_status tarn__env_open_errands(tarn_env *env, tarn__errands **out, tarn_error *error)
{
    thread_start start = {.env = env, .errands = out, .error = error};
    return run_lowered(&start, open_errands);
}
