/* env_private.h - the struct of an environment, for env.c, env_children.c and env_threads.c. */
#ifndef TARN_ENV_ENV_PRIVATE_H
#define TARN_ENV_ENV_PRIVATE_H

#include <pthread.h>

#include "env/env.h"

struct tarn_env {
    tarn_budget *budget;
    tarn_owner *owner;          /* Of everything small, in the heap pool. */
    tarn_owner *rocksdb_owner;  /* Of RocksDB's whole share, in the managed pool. */
    uint64_t rocksdb_bytes;     /* What rocksdb_owner holds. */
    tarn_owner *transfer_owner; /* Of buffers of uploads and downloads, in the off-heap pool. */
    tarn_config *config;
    tarn_taskmanager_plan plan;
    tarn_rocksdb_plan rocksdb_plan;
    tarn__rocks_memory *rocks_memory;
    tarn__workers *workers;
    tarn__errands *errands;
    tarn_log_fn *log;
    void *log_context;

    const tarn_storage_scheme *schemes;
    uint32_t scheme_count;
    tarn__storage_counters storage_counters; /* Of all storages that were opened. */

    pthread_mutex_t mutex; /* For all below. A leaf. */
    tarn__http *http;      /* Of all storages behind a network; NULL: not needed so far. */
    tarn__env_child *children;
    uint64_t working_set_bytes; /* That all working sets may take of the heap. */
    pthread_cond_t ended;
    uint32_t expected_count; /* Works whose end is waited for before closing. */
};

/* Starts the workers, and the thread for errands. */
TARN_NODISCARD tarn_status
tarn__env_start_threads(tarn_env *env, const tarn_env_options *options, tarn_error *error);

#endif
