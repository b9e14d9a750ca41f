/**
 * @file tarn/env.h
 * @brief What the backends of one process share: the budget, RocksDB's memory, worker threads.
 *
 *     tarn_env_options options = TARN_ENV_OPTIONS_INIT;
 *     options.config = config;
 *     tarn_env *env = NULL;
 *     if (tarn_env_open(&options, &env, &error) != TARN_OK) { ... }
 *
 * The configuration's process size is split as tarn_plan_taskmanager() says: heap (framework and
 * task heap), managed, network and off-heap become the pools of the budget; metaspace and overhead
 * stay outside it, for code, stacks and the allocator's own losses.
 *
 * Ownership: everything opened from an environment is closed before it.
 * Thread: shared.
 */
#ifndef TARN_ENV_H
#define TARN_ENV_H

#include "tarn/allocator.h"
#include "tarn/budget.h"
#include "tarn/config.h"
#include "tarn/plan.h"
#include "tarn/status.h"
#include "tarn/storage.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_env tarn_env;

typedef enum tarn_log_level {
    TARN_LOG_DEBUG,
    TARN_LOG_INFO,
    TARN_LOG_WARNING,
    TARN_LOG_ERROR,
} tarn_log_level;

/** Takes one message, a sentence without a line break. Called from any thread; must be quick. */
typedef void tarn_log_fn(tarn_log_level level, const char *message, void *context);

/** How to open an environment. Start from TARN_ENV_OPTIONS_INIT; a zero field means its default. */
typedef struct tarn_env_options {
    size_t struct_size;              /**< Set by TARN_ENV_OPTIONS_INIT. */
    const tarn_config *config;       /**< Read while opening. Required: it sizes the process. */
    const tarn_allocator *allocator; /**< Borrowed. NULL: malloc(). */
    tarn_log_fn *log;                /**< NULL: silent. */
    void *log_context;
    /** Threads for snapshots. Default: state.backend.rocksdb.checkpoint.transfer.thread.num. */
    uint32_t worker_thread_count;
    /** Ways of the application's own to open storages; they go before those of Tarn. Borrowed. */
    const tarn_storage_scheme *storage_schemes;
    uint32_t storage_scheme_count;
} tarn_env_options;

/** Initialiser for tarn_env_options: every option at its default. */
#define TARN_ENV_OPTIONS_INIT                   \
    {                                           \
        .struct_size = sizeof(tarn_env_options) \
    }

/** Measured memory of the process beside what was planned. Units: bytes. */
typedef struct tarn_env_memory {
    uint64_t block_cache_capacity_bytes;
    uint64_t block_cache_used_bytes;
    uint64_t block_cache_pinned_bytes;
    uint64_t memtable_bytes;        /**< All backends: active and immutable memtables. */
    uint64_t memtable_limit_bytes;  /**< What the write-buffer budget allows them. */
    uint64_t table_reader_bytes;    /**< Index and filter memory outside the cache (estimate). */
    uint64_t resident_bytes;        /**< VmRSS from /proc/self/status; 0 if unreadable. */
    uint64_t resident_peak_bytes;   /**< VmHWM from there; 0 likewise. */
    uint64_t planned_process_bytes; /**< The plan's total process size. */
    uint64_t write_stall_count;     /**< Writes that waited for the write-buffer budget. */
    uint64_t write_stall_ns;        /**< Time spent in those waits. */
    /** Memtables count as used bytes of the block cache: with RocksDB 8.9 and newer. */
    bool block_cache_has_memtables;
} tarn_env_memory;

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_env_options_init(tarn_env_options *options, size_t struct_size);

/**
 * Opens an environment.
 *
 * @param[in]  options  Copied, but for the members documented as borrowed.
 * @param[out] out      The environment; release it with tarn_env_close(). Untouched on failure.
 * @param[out] error    Details of a failure. May be NULL. Counts after a failure only.
 *
 * @retval TARN_OK                The environment is open.
 * @retval TARN_INVALID_ARGUMENT  config is missing, contradicts itself (the message names the
 *                                options in conflict), or plans memtables that would flush without
 *                                end (the message has the numbers).
 * @retval TARN_OVER_BUDGET       The plan's heap cannot hold the environment itself.
 * @retval TARN_NO_MEMORY         The allocator has no memory left.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_env_open(const tarn_env_options *options, tarn_env **out, tarn_error *error);

/**
 * Closes an environment. When nothing is open any more, waits for what snapshots and checkpoints
 * that were given up still have under way (tarn_snapshot_abandon()).
 *
 * @retval TARN_OK    It is gone. NULL does nothing.
 * @retval TARN_BUSY  Something that was opened from it is still open; nothing was closed. The
 *                    message names it.
 */
TARN_API TARN_NODISCARD tarn_status tarn_env_close(tarn_env *env, tarn_error *error);

/** Answers the budget of the process. Borrowed. */
TARN_API tarn_budget *tarn_env_budget(tarn_env *env);

/** Answers the plan that the environment was opened with. Borrowed. */
TARN_API const tarn_taskmanager_plan *tarn_env_plan(const tarn_env *env);

/** Answers the share of RocksDB within the managed pool. Borrowed. */
TARN_API const tarn_rocksdb_plan *tarn_env_rocksdb_plan(const tarn_env *env);

/** Measures memory now. Cost: a few property reads per open backend and one file of /proc. */
TARN_API void tarn_env_measure(tarn_env *env, tarn_env_memory *out);

/**
 * Answers what the storages of the environment were asked so far: those of its checkpoint stores
 * and of checkpoints that were opened in it. out->struct_size is set by the caller.
 */
TARN_API void tarn_env_measure_storage(const tarn_env *env, tarn_storage_figures *out);

#ifdef __cplusplus
}
#endif
#endif
