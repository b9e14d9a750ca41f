/*
 * job.h - what a workload with a backend of its own begins and ends with.
 *
 *     options (--managed-mib, -D) ──► configuration ──► environment ──► backend ──► the workload's
 * states
 *
 * One thread. What fails ends the program with the library's sentence.
 */
#ifndef TARN_TESTS_BENCH_JOB_H
#define TARN_TESTS_BENCH_JOB_H

#include "bench.h"
#include "tarn/backend.h"
#include "tarn/config.h"
#include "tarn/env.h"

typedef struct bench_job {
    tarn_config *config;
    tarn_env *env;
    tarn_backend *backend;
    tarn_error error;
} bench_job;

void bench_check(tarn_status status, const tarn_error *error);

/* RocksDB's share is --managed-mib; the process has room for that and for all other pools. Then
 * each -D. The caller frees it. */
tarn_config *bench_config_new(const bench_options *options);

/* Sets key to a number of MiB. */
void bench_config_set_mib(tarn_config *config, const char *key, uint64_t mib);
/* Sets what each -D says. */
void bench_config_assign(tarn_config *config, const bench_options *options);

/* directory: of the backend. max_parallelism 0: the usual one. */
void bench_job_open(
    bench_job *job, const bench_options *options, const char *directory, uint32_t max_parallelism);
/* Its states are closed before. */
void bench_job_close(bench_job *job);

#endif
