/**
 * @file tarn/plan.h
 * @brief How a process size is split into pools, to the byte as Flink 1.20 splits it.
 *
 *     tarn_taskmanager_plan plan = TARN_TASKMANAGER_PLAN_INIT;
 *     if (tarn_plan_taskmanager(config, TARN_PLAN_PLAIN, &plan, &error) != TARN_OK) {
 *         fprintf(stderr, "%s\n", error.message);
 *     }
 *     printf("managed: %lld bytes\n", (long long)plan.managed);
 *
 *     process size ─┬─ Flink size ─┬─ framework heap, task heap
 *                   │              ├─ managed             (RocksDB)
 *                   │              ├─ network
 *                   │              └─ framework off-heap, task off-heap
 *                   ├─ metaspace
 *                   └─ overhead
 *
 * Only what is read can be wrong: a bad value of an option that the split does not need is not
 * noticed. A refused plan names the options in conflict, with their values.
 *
 * Ownership: plans are the caller's memory and own nothing. A program that was built with an older
 * plan gets the fields that it knows: struct_size says which.
 * Thread: pure.
 */
#ifndef TARN_PLAN_H
#define TARN_PLAN_H

#include "tarn/config.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Which options of old releases count. */
typedef enum tarn_plan_path {
    TARN_PLAN_PLAIN = 0, /**< None: the options alone. */
    /** As the start scripts do: an explicit taskmanager.heap.size (or .mb) stands for the Flink
     *  size, jobmanager.heap.size (or .mb) for the heap, where those are not set. */
    TARN_PLAN_SHELL = 1,
} tarn_plan_path;

/** The memory of a TaskManager. Units of every size: bytes. */
typedef struct tarn_taskmanager_plan {
    size_t struct_size;    /**< Set by TARN_TASKMANAGER_PLAN_INIT. */
    int64_t total_process; /**< total_flink + jvm_metaspace + jvm_overhead. */
    int64_t total_flink;   /**< The six below together. */
    int64_t framework_heap;
    int64_t task_heap;
    int64_t managed;
    int64_t framework_offheap;
    int64_t task_offheap;
    int64_t network;
    int64_t jvm_metaspace;
    int64_t jvm_overhead;
    double cpu_cores; /**< Units: cores, above 0; as many as slots when not set. */
    int32_t slots;    /**< As it is set. It can be negative when cpu_cores is set too. */
} tarn_taskmanager_plan;

#define TARN_TASKMANAGER_PLAN_INIT                   \
    {                                                \
        .struct_size = sizeof(tarn_taskmanager_plan) \
    }

/** The memory of a JobManager. Units of every size: bytes. */
typedef struct tarn_jobmanager_plan {
    size_t struct_size;    /**< Set by TARN_JOBMANAGER_PLAN_INIT. */
    int64_t total_process; /**< total_flink + jvm_metaspace + jvm_overhead. */
    int64_t total_flink;   /**< heap + off_heap. */
    int64_t heap;
    int64_t off_heap;
    int64_t jvm_metaspace;
    int64_t jvm_overhead;
    bool is_direct_memory_limited; /**< Whether a JVM would enforce off_heap. */
} tarn_jobmanager_plan;

#define TARN_JOBMANAGER_PLAN_INIT                   \
    {                                               \
        .struct_size = sizeof(tarn_jobmanager_plan) \
    }

/**
 * The share of RocksDB. Units of every size: bytes.
 *
 * Flink takes ratios below 0 and NaN, so a plan does too; capacities can then be negative or 0.
 */
typedef struct tarn_rocksdb_plan {
    size_t struct_size; /**< Set by TARN_ROCKSDB_PLAN_INIT. */

    /* What was given. */
    int64_t managed_total;
    int32_t slots;                  /**< 1 or more. */
    bool using_managed;             /**< state.backend.rocksdb.memory.managed */
    bool using_fixed_per_slot;      /**< fixed_per_slot is set, and goes first. */
    bool using_fixed_per_tm;        /**< fixed_per_tm is set; it counts when nothing else does. */
    bool partitioned_index_filters; /**< state.backend.rocksdb.memory.partitioned-index-filters */
    int64_t fixed_per_slot;         /**< 0 unless using_fixed_per_slot. */
    int64_t fixed_per_tm;           /**< 0 unless using_fixed_per_tm. */
    double write_buffer_ratio;      /**< Share of per_slot for memtables. */
    double high_priority_ratio;     /**< Share of the cache for index and filter blocks. */
    int64_t write_buffer_size;      /**< One memtable; state.backend.rocksdb.writebuffer.size. */
    int64_t arena_block_size_configured; /**< 0 or less: not set. */

    /* What follows from it: tarn_plan_rocksdb_calculate(). */
    bool is_shared;   /**< The backends share one cache; false: each has its own. */
    int64_t per_slot; /**< What the backends of one slot share; 0 when they do not. */
    int64_t cache_capacity;
    int64_t write_buffer_manager_capacity;
    int64_t default_arena_block_size; /**< What RocksDB takes when none is set. */
    int64_t arena_used;               /**< The one that is set, else the default. */
    int64_t mutable_limit;            /**< Memtables are flushed when they hold more. */
    bool arena_valid; /**< arena_used <= mutable_limit; else RocksDB flushes without end. */
} tarn_rocksdb_plan;

#define TARN_ROCKSDB_PLAN_INIT                   \
    {                                            \
        .struct_size = sizeof(tarn_rocksdb_plan) \
    }

/** As the INIT macros; for C++ and bindings, where these warn. */
TARN_API void tarn_taskmanager_plan_init(tarn_taskmanager_plan *plan, size_t struct_size);
TARN_API void tarn_jobmanager_plan_init(tarn_jobmanager_plan *plan, size_t struct_size);
TARN_API void tarn_rocksdb_plan_init(tarn_rocksdb_plan *plan, size_t struct_size);

/**
 * Plans the memory of a TaskManager. One of these must be set: task heap and managed size, Flink
 * size, process size; the first of them that is set leads.
 *
 * @param[in]  config  Options taskmanager.memory.*, taskmanager.numberOfTaskSlots, .cpu.cores.
 * @param[out] out     Untouched on failure.
 * @param[out] error   Names the options in conflict and their values. May be NULL.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_INVALID_ARGUMENT  The options contradict each other, one that is needed is bad, none
 *                                sizes the process, or struct_size is not set.
 */
TARN_API TARN_NODISCARD tarn_status tarn_plan_taskmanager(
    const tarn_config *config, tarn_plan_path path, tarn_taskmanager_plan *out, tarn_error *error);

/**
 * Plans the memory of a JobManager. One of these must be set: heap, Flink size, process size; the
 * first of them that is set leads.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_INVALID_ARGUMENT  As tarn_plan_taskmanager(), with the options jobmanager.memory.*.
 */
TARN_API TARN_NODISCARD tarn_status tarn_plan_jobmanager(
    const tarn_config *config, tarn_plan_path path, tarn_jobmanager_plan *out, tarn_error *error);

/**
 * Plans the share of RocksDB: reads state.backend.rocksdb.memory.* and the write-buffer size, and
 * calculates. An arena block that is too large is reported (arena_valid), not refused.
 *
 * @param[in]  managed_total  Units: bytes; the managed pool of the process.
 * @param[in]  slots          How many divide it: 1 or more, or -1 for 1.
 * @param[out] out            Untouched on failure.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_INVALID_ARGUMENT  An option is bad, the ratios leave no room in the cache, slots or
 *                                managed_total is out of range, or struct_size is not set.
 */
TARN_API TARN_NODISCARD tarn_status tarn_plan_rocksdb(
    const tarn_config *config,
    int64_t managed_total,
    int32_t slots,
    tarn_rocksdb_plan *out,
    tarn_error *error);

/**
 * Calculates what follows from the given part of a plan, for callers that change it: another
 * write-buffer size of one state, another number of slots. Every field must be there: struct_size
 * is that of this header.
 */
TARN_API void tarn_plan_rocksdb_calculate(tarn_rocksdb_plan *plan);

/** Tells whether RocksDB can use an arena block: not larger than what memtables may hold. */
TARN_API bool tarn_plan_arena_is_valid(int64_t arena_block_size, int64_t mutable_limit);

/**
 * Tells whether memtables would be flushed without end, so that no environment opens on the plan:
 * an arena block that is set exceeds mutable_limit, or, when none is set, the smallest does that
 * Tarn takes. Flink's default may exceed it (arena_valid is false): Tarn then takes a smaller one.
 */
TARN_API bool tarn_plan_rocksdb_is_endless(const tarn_rocksdb_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
