/* job.c - see job.h. */
#include <inttypes.h>
#include <stdio.h>

#include "job.h"

enum { PROCESS_MIB_BESIDES = 1024 }; /* Room for all other pools of the plan. */

void bench_check(tarn_status status, const tarn_error *error)
{
    if (status != TARN_OK) {
        bench_fail("%s: %s", tarn_status_name(status), error->message);
    }
}

void bench_config_set_mib(tarn_config *config, const char *key, uint64_t mib)
{
    char text[32];
    tarn_error error;
    (void)snprintf(text, sizeof text, "%" PRIu64 "m", mib);
    bench_check(tarn_config_set(config, key, text, "tarn-bench", &error), &error);
}

void bench_config_assign(tarn_config *config, const bench_options *options)
{
    tarn_error error;
    for (uint32_t i = 0; i < options->assignment_count; i++) {
        bench_check(
            tarn_config_set_assignment(config, options->assignments[i], "-D", &error), &error);
    }
}

tarn_config *bench_config_new(const bench_options *options)
{
    tarn_config *config = NULL;
    tarn_error error;
    bench_check(tarn_config_new(NULL, &config, &error), &error);
    bench_config_set_mib(
        config, "taskmanager.memory.process.size", options->managed_mib * 2 + PROCESS_MIB_BESIDES);
    bench_config_set_mib(config, "taskmanager.memory.managed.size", options->managed_mib);
    bench_config_assign(config, options);
    return config;
}

void bench_job_open(
    bench_job *job, const bench_options *options, const char *directory, uint32_t max_parallelism)
{
    tarn_env_options env = TARN_ENV_OPTIONS_INIT;
    tarn_backend_options backend = TARN_BACKEND_OPTIONS_INIT;
    *job = (bench_job){.config = bench_config_new(options)};
    env.config = job->config;
    bench_check(tarn_env_open(&env, &job->env, &job->error), &job->error);
    backend.env = job->env;
    backend.operator_name = "bench";
    backend.directory = directory;
    backend.max_parallelism = max_parallelism != 0 ? max_parallelism : backend.max_parallelism;
    bench_check(tarn_backend_open(&backend, &job->backend, &job->error), &job->error);
}

void bench_job_close(bench_job *job)
{
    bench_check(tarn_backend_close(job->backend, &job->error), &job->error);
    bench_check(tarn_env_close(job->env, &job->error), &job->error);
    tarn_config_free(job->config);
}
