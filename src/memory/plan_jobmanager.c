/*
 * plan_jobmanager.c - the JobManager's pools.
 * Source: the rules of Flink 1.20's JobManagerFlinkMemoryUtils; vectors jm_memory.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/try.h"
#include "memory/plan_private.h"

#define HEAP         "jobmanager.memory.heap.size"
#define OFF_HEAP     "jobmanager.memory.off-heap.size"
#define DIRECT_LIMIT "jobmanager.memory.enable-jvm-direct-memory-limit"
#define JOB_STORE    "jobstore.cache-size"

static const tarn__plan_keys keys = {
    .process_size = "jobmanager.memory.process.size",
    .flink_size = "jobmanager.memory.flink.size",
    .metaspace_size = "jobmanager.memory.jvm-metaspace.size",
    .overhead =
        {
            .min = "jobmanager.memory.jvm-overhead.min",
            .max = "jobmanager.memory.jvm-overhead.max",
            .fraction = "jobmanager.memory.jvm-overhead.fraction",
        },
    .legacy_size = "jobmanager.heap.size",
    .legacy_mb = "jobmanager.heap.mb",
    .legacy_target = HEAP,
};

/* Heap, off-heap and Flink size are all set, and must agree. */
static tarn_status check_sum(const tarn_jobmanager_plan *plan, int64_t total, tarn_error *error)
{
    int64_t sum = 0;
    TARN_TRY(tarn__plan_add(
        (const int64_t[]){plan->heap, plan->off_heap}, 2, HEAP " and " OFF_HEAP, &sum, error));
    if (sum != total) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            HEAP " (%" PRId64 " bytes) and " OFF_HEAP " (%" PRId64 " bytes) make %" PRId64
                 " bytes, not %s (%" PRId64 " bytes); one of the three is better left out",
            plan->heap,
            plan->off_heap,
            sum,
            keys.flink_size,
            total);
    }
    return TARN_OK;
}

/* Heap and Flink size are set: the off-heap memory is what is left, whatever its default. */
static tarn_status off_heap_as_remainder(
    tarn_jobmanager_plan *plan, int64_t total, tarn_error *error)
{
    if (plan->heap > total) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            HEAP " (%" PRId64 " bytes) exceeds %s (%" PRId64 " bytes)",
            plan->heap,
            keys.flink_size,
            total);
    }
    plan->off_heap = total - plan->heap;
    return TARN_OK;
}

/* The heap is set: the off-heap memory follows. */
static tarn_status split_by_heap(
    const tarn__plan_source *source, tarn_jobmanager_plan *plan, tarn_error *error)
{
    TARN_TRY(tarn__plan_read_size(source, HEAP, &plan->heap, error));
    TARN_TRY(tarn__plan_read_size(source, OFF_HEAP, &plan->off_heap, error));
    if (tarn__plan_is_set(source, keys.flink_size)) {
        int64_t total = 0;
        TARN_TRY(tarn__plan_read_size(source, keys.flink_size, &total, error));
        TARN_TRY(
            tarn__plan_is_set(source, OFF_HEAP) ? check_sum(plan, total, error)
                                                : off_heap_as_remainder(plan, total, error));
    }
    return tarn__plan_add(
        (const int64_t[]){plan->heap, plan->off_heap},
        2,
        HEAP " and " OFF_HEAP,
        &plan->total_flink,
        error);
}

/* plan->total_flink is known: the heap is what the off-heap memory leaves, and must be something.
 */
static tarn_status split_flink(
    const tarn__plan_source *source, tarn_jobmanager_plan *plan, tarn_error *error)
{
    TARN_TRY(tarn__plan_read_size(source, OFF_HEAP, &plan->off_heap, error));
    if (plan->total_flink <= plan->off_heap) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            OFF_HEAP " (%" PRId64 " bytes) leaves no heap of %s (%" PRId64 " bytes)",
            plan->off_heap,
            tarn__plan_is_set(source, keys.flink_size)
                ? keys.flink_size
                : "what jobmanager.memory.process.size leaves for Flink",
            plan->total_flink);
    }
    plan->heap = plan->total_flink - plan->off_heap;
    return TARN_OK;
}

static tarn_status refuse_unsized(tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "nothing sizes the JobManager: set %s, or %s, or " HEAP,
        keys.process_size,
        keys.flink_size);
}

static tarn_status split_process(
    const tarn__plan_source *source,
    tarn_jobmanager_plan *plan,
    tarn__plan_jvm *jvm,
    tarn_error *error)
{
    if (tarn__plan_is_set(source, HEAP)) {
        TARN_TRY(split_by_heap(source, plan, error));
        return tarn__plan_jvm_from_flink(source, &keys, plan->total_flink, jvm, error);
    }
    if (tarn__plan_is_set(source, keys.flink_size)) {
        TARN_TRY(tarn__plan_read_size(source, keys.flink_size, &plan->total_flink, error));
        TARN_TRY(split_flink(source, plan, error));
        return tarn__plan_jvm_from_flink(source, &keys, plan->total_flink, jvm, error);
    }
    if (tarn__plan_is_set(source, keys.process_size)) {
        int64_t process = 0;
        TARN_TRY(tarn__plan_read_size(source, keys.process_size, &process, error));
        TARN_TRY(tarn__plan_jvm_from_process(source, &keys, process, jvm, error));
        plan->total_flink = process - jvm->metaspace - jvm->overhead;
        return split_flink(source, plan, error);
    }
    return refuse_unsized(error);
}

/* Nothing follows from the job store's cache, but Flink reads its size and refuses nonsense. */
static tarn_status check_job_store(const tarn__plan_source *source, tarn_error *error)
{
    int64_t bytes = 0;
    TARN_TRY(tarn_config_get_long(source->config, JOB_STORE, &bytes, NULL, error));
    if (bytes < 0) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, JOB_STORE " is %" PRId64 " bytes, less than 0", bytes);
    }
    return TARN_OK;
}

void tarn_jobmanager_plan_init(tarn_jobmanager_plan *plan, size_t struct_size)
{
    memset(plan, 0, struct_size);
    plan->struct_size = struct_size;
}

tarn_status tarn_plan_jobmanager(
    const tarn_config *config, tarn_plan_path path, tarn_jobmanager_plan *out, tarn_error *error)
{
    TARN_TRY(tarn__plan_check_out(config, out, error));
    tarn__plan_source source;
    TARN_TRY(tarn__plan_source_init(&source, config, path, &keys, error));

    tarn_jobmanager_plan plan = TARN_JOBMANAGER_PLAN_INIT;
    tarn__plan_jvm jvm = {0};
    TARN_TRY(split_process(&source, &plan, &jvm, error));
    TARN_TRY(check_job_store(&source, error));
    plan.jvm_metaspace = jvm.metaspace;
    plan.jvm_overhead = jvm.overhead;
    TARN_TRY(tarn__plan_add(
        (const int64_t[]){plan.total_flink, jvm.metaspace, jvm.overhead},
        3,
        "the Flink memory, the metaspace and the overhead",
        &plan.total_process,
        error));
    TARN_TRY(
        tarn_config_get_bool(config, DIRECT_LIMIT, &plan.is_direct_memory_limited, NULL, error));
    tarn__plan_publish(out, &plan, sizeof plan);
    return TARN_OK;
}
