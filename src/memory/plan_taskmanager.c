/*
 * plan_taskmanager.c - the TaskManager's pools.
 * Source: the rules of Flink 1.20's TaskExecutorFlinkMemoryUtils and TaskExecutorProcessUtils;
 * vectors tm_memory.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/java_number.h"
#include "base/try.h"
#include "memory/plan_private.h"

#define FRAMEWORK_HEAP    "taskmanager.memory.framework.heap.size"
#define FRAMEWORK_OFFHEAP "taskmanager.memory.framework.off-heap.size"
#define TASK_HEAP         "taskmanager.memory.task.heap.size"
#define TASK_OFFHEAP      "taskmanager.memory.task.off-heap.size"
#define MANAGED           "taskmanager.memory.managed.size"
#define MANAGED_FRACTION  "taskmanager.memory.managed.fraction"
#define NETWORK_MIN       "taskmanager.memory.network.min"
#define NETWORK_MAX       "taskmanager.memory.network.max"
#define NETWORK_FRACTION  "taskmanager.memory.network.fraction"
#define NETWORK_BUFFERS   "taskmanager.network.numberOfBuffers"
#define SEGMENT           "taskmanager.memory.segment-size"
#define SLOTS             "taskmanager.numberOfTaskSlots"
#define CORES             "taskmanager.cpu.cores"

/* The smallest network buffer that counts when their number is given. Units: bytes. */
enum { SEGMENT_MIN = 4096 };

static const tarn__plan_keys keys = {
    .process_size = "taskmanager.memory.process.size",
    .flink_size = "taskmanager.memory.flink.size",
    .metaspace_size = "taskmanager.memory.jvm-metaspace.size",
    .overhead =
        {
            .min = "taskmanager.memory.jvm-overhead.min",
            .max = "taskmanager.memory.jvm-overhead.max",
            .fraction = "taskmanager.memory.jvm-overhead.fraction",
        },
    .legacy_size = "taskmanager.heap.size",
    .legacy_mb = "taskmanager.heap.mb",
    .legacy_target = "taskmanager.memory.flink.size",
};

static const tarn__plan_range_keys network_keys = {
    .min = NETWORK_MIN,
    .max = NETWORK_MAX,
    .fraction = NETWORK_FRACTION,
};

static const tarn__plan_range_keys managed_keys = {.fraction = MANAGED_FRACTION};

/* A number of buffers counts only when nothing newer sizes the network memory. */
static bool counts_buffers(const tarn__plan_source *source)
{
    return tarn__plan_is_set(source, NETWORK_BUFFERS) && !tarn__plan_is_set(source, NETWORK_MIN) &&
           !tarn__plan_is_set(source, NETWORK_MAX) && !tarn__plan_is_set(source, NETWORK_FRACTION);
}

static tarn_status network_by_buffers(
    const tarn__plan_source *source, int64_t *out, tarn_error *error)
{
    int32_t count = 0;
    int64_t segment = 0;
    TARN_TRY(tarn__plan_read_int(source, NETWORK_BUFFERS, &count, error));
    TARN_TRY(tarn__plan_read_size(source, SEGMENT, &segment, error));
    if (segment < SEGMENT_MIN || segment > INT32_MAX || (segment & (segment - 1)) != 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            SEGMENT " is %" PRId64 " bytes, and must be a power of two, 4096 to 1073741824 bytes, "
                    "to go with " NETWORK_BUFFERS " (%" PRId32 ")",
            segment,
            count);
    }
    if (count < 0) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, NETWORK_BUFFERS " is %" PRId32 ", less than 0", count);
    }
    *out = count * segment;
    return TARN_OK;
}

/* The network memory as a share of the known Flink size. */
static tarn_status network_by_share(
    const tarn__plan_source *source, int64_t flink, int64_t *out, tarn_error *error)
{
    if (counts_buffers(source)) {
        return network_by_buffers(source, out, error);
    }
    tarn__plan_range range;
    TARN_TRY(tarn__plan_read_range(source, &network_keys, &range, error));
    return tarn__plan_derive(flink, &range, NETWORK_FRACTION, out, error);
}

/* The network memory when everything else is known. */
static tarn_status network_by_rest(
    const tarn__plan_source *source, int64_t rest, int64_t *out, tarn_error *error)
{
    if (counts_buffers(source)) {
        return network_by_buffers(source, out, error);
    }
    tarn__plan_range range;
    TARN_TRY(tarn__plan_read_range(source, &network_keys, &range, error));
    return tarn__plan_derive_from_rest(rest, &range, NETWORK_FRACTION, out, error);
}

/* Names the total that pools must fit into. */
static const char *name_total(const tarn__plan_source *source)
{
    return tarn__plan_is_set(source, keys.flink_size)
               ? keys.flink_size
               : "what taskmanager.memory.process.size leaves for Flink";
}

/* Judges network memory that is what the other pools left of total. */
static tarn_status check_network(
    const tarn__plan_source *source, int64_t total, int64_t network, tarn_error *error)
{
    if (counts_buffers(source)) {
        int64_t wanted = 0;
        TARN_TRY(network_by_buffers(source, &wanted, error));
        if (wanted != network) {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                TASK_HEAP " and the other pools leave %" PRId64 " of the %" PRId64
                          " bytes of %s, but " NETWORK_BUFFERS " and " SEGMENT " ask for %" PRId64
                          " bytes",
                network,
                total,
                name_total(source),
                wanted);
        }
        return TARN_OK;
    }
    tarn__plan_range range;
    TARN_TRY(tarn__plan_read_range(source, &network_keys, &range, error));
    if (network < range.min || network > range.max) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            TASK_HEAP " and the other pools leave %" PRId64 " of the %" PRId64
                      " bytes of %s for network memory, outside of " NETWORK_MIN " (%" PRId64
                      " bytes) to " NETWORK_MAX " (%" PRId64 " bytes)",
            network,
            total,
            name_total(source),
            range.min,
            range.max);
    }
    return TARN_OK;
}

static tarn_status read_fixed_pools(
    const tarn__plan_source *source, tarn_taskmanager_plan *plan, tarn_error *error)
{
    TARN_TRY(tarn__plan_read_size(source, FRAMEWORK_HEAP, &plan->framework_heap, error));
    TARN_TRY(tarn__plan_read_size(source, FRAMEWORK_OFFHEAP, &plan->framework_offheap, error));
    return tarn__plan_read_size(source, TASK_OFFHEAP, &plan->task_offheap, error);
}

/* Gives network memory what is left of total; all other pools are known. */
static tarn_status network_as_remainder(
    const tarn__plan_source *source,
    int64_t total,
    int64_t others,
    tarn_taskmanager_plan *plan,
    tarn_error *error)
{
    if (others > total) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            FRAMEWORK_HEAP " (%" PRId64 " bytes), " FRAMEWORK_OFFHEAP " (%" PRId64 "), " TASK_HEAP
                           " (%" PRId64 "), " TASK_OFFHEAP " (%" PRId64 ") and %s (%" PRId64
                           ") exceed %s (%" PRId64 " bytes)",
            plan->framework_heap,
            plan->framework_offheap,
            plan->task_heap,
            plan->task_offheap,
            tarn__plan_is_set(source, MANAGED) ? MANAGED : MANAGED_FRACTION,
            plan->managed,
            name_total(source),
            total);
    }
    plan->network = total - others;
    return check_network(source, total, plan->network, error);
}

static tarn_status add_all_but_network(
    const tarn_taskmanager_plan *plan, int64_t *out, tarn_error *error)
{
    const int64_t sizes[] = {
        plan->framework_heap,
        plan->framework_offheap,
        plan->task_heap,
        plan->task_offheap,
        plan->managed,
    };
    return tarn__plan_add(
        sizes, sizeof sizes / sizeof sizes[0], "the taskmanager.memory.*.size", out, error);
}

/* Task heap and managed size are set: the other pools follow. */
static tarn_status split_by_parts(
    const tarn__plan_source *source, tarn_taskmanager_plan *plan, tarn_error *error)
{
    TARN_TRY(tarn__plan_read_size(source, TASK_HEAP, &plan->task_heap, error));
    TARN_TRY(tarn__plan_read_size(source, MANAGED, &plan->managed, error));
    TARN_TRY(read_fixed_pools(source, plan, error));
    int64_t others = 0;
    TARN_TRY(add_all_but_network(plan, &others, error));
    if (tarn__plan_is_set(source, keys.flink_size)) {
        int64_t total = 0;
        TARN_TRY(tarn__plan_read_size(source, keys.flink_size, &total, error));
        TARN_TRY(network_as_remainder(source, total, others, plan, error));
    } else {
        TARN_TRY(network_by_rest(source, others, &plan->network, error));
    }
    return tarn__plan_add(
        (const int64_t[]){others, plan->network},
        2,
        "the pools with the network memory",
        &plan->total_flink,
        error);
}

static tarn_status read_managed(
    const tarn__plan_source *source, int64_t flink, int64_t *out, tarn_error *error)
{
    if (tarn__plan_is_set(source, MANAGED)) {
        return tarn__plan_read_size(source, MANAGED, out, error);
    }
    tarn__plan_range range;
    TARN_TRY(tarn__plan_read_range(source, &managed_keys, &range, error));
    return tarn__plan_derive(flink, &range, MANAGED_FRACTION, out, error);
}

/* Gives the task heap what is left of the Flink size; all other pools are known. */
static tarn_status task_heap_as_remainder(
    const tarn__plan_source *source, tarn_taskmanager_plan *plan, tarn_error *error)
{
    int64_t others = 0;
    const int64_t sizes[] = {
        plan->framework_heap,
        plan->framework_offheap,
        plan->task_offheap,
        plan->managed,
        plan->network,
    };
    TARN_TRY(tarn__plan_add(
        sizes, sizeof sizes / sizeof sizes[0], "the taskmanager.memory.*.size", &others, error));
    if (others > plan->total_flink) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            FRAMEWORK_HEAP " (%" PRId64 " bytes), " FRAMEWORK_OFFHEAP " (%" PRId64
                           "), " TASK_OFFHEAP " (%" PRId64 "), %s (%" PRId64 ") and %s (%" PRId64
                           ") exceed %s (%" PRId64 " bytes)",
            plan->framework_heap,
            plan->framework_offheap,
            plan->task_offheap,
            tarn__plan_is_set(source, MANAGED) ? MANAGED : MANAGED_FRACTION,
            plan->managed,
            counts_buffers(source) ? NETWORK_BUFFERS : "taskmanager.memory.network.*",
            plan->network,
            name_total(source),
            plan->total_flink);
    }
    plan->task_heap = plan->total_flink - others;
    return TARN_OK;
}

/* plan->total_flink is known: splits it. */
static tarn_status split_flink(
    const tarn__plan_source *source, tarn_taskmanager_plan *plan, tarn_error *error)
{
    TARN_TRY(read_fixed_pools(source, plan, error));
    if (!tarn__plan_is_set(source, TASK_HEAP)) {
        TARN_TRY(read_managed(source, plan->total_flink, &plan->managed, error));
        TARN_TRY(network_by_share(source, plan->total_flink, &plan->network, error));
        return task_heap_as_remainder(source, plan, error);
    }
    TARN_TRY(tarn__plan_read_size(source, TASK_HEAP, &plan->task_heap, error));
    TARN_TRY(read_managed(source, plan->total_flink, &plan->managed, error));
    int64_t others = 0;
    TARN_TRY(add_all_but_network(plan, &others, error));
    return network_as_remainder(source, plan->total_flink, others, plan, error);
}

static tarn_status refuse_unsized(tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "nothing sizes the TaskManager: set %s, or %s, or both " TASK_HEAP " and " MANAGED,
        keys.process_size,
        keys.flink_size);
}

static tarn_status split_process(
    const tarn__plan_source *source,
    tarn_taskmanager_plan *plan,
    tarn__plan_jvm *jvm,
    tarn_error *error)
{
    if (tarn__plan_is_set(source, TASK_HEAP) && tarn__plan_is_set(source, MANAGED)) {
        TARN_TRY(split_by_parts(source, plan, error));
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

/* Cores default to slots; a process needs some. */
static tarn_status read_cores(
    const tarn__plan_source *source, tarn_taskmanager_plan *plan, tarn_error *error)
{
    TARN_TRY(tarn__plan_read_int(source, SLOTS, &plan->slots, error));
    plan->cpu_cores = plan->slots;
    const bool is_set = tarn__plan_is_set(source, CORES);
    if (is_set) {
        TARN_TRY(tarn_config_get_double(source->config, CORES, &plan->cpu_cores, NULL, error));
    }
    if (!(plan->cpu_cores > 0) || !isfinite(plan->cpu_cores)) {
        char text[TARN__JAVA_DOUBLE_TEXT_BYTES];
        tarn__java_double_encode(plan->cpu_cores, text);
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s gives the TaskManager %s cores, and it needs some",
            is_set ? CORES : SLOTS,
            text);
    }
    return TARN_OK;
}

void tarn_taskmanager_plan_init(tarn_taskmanager_plan *plan, size_t struct_size)
{
    memset(plan, 0, struct_size);
    plan->struct_size = struct_size;
}

tarn_status tarn_plan_taskmanager(
    const tarn_config *config, tarn_plan_path path, tarn_taskmanager_plan *out, tarn_error *error)
{
    TARN_TRY(tarn__plan_check_out(config, out, error));
    tarn__plan_source source;
    TARN_TRY(tarn__plan_source_init(&source, config, path, &keys, error));

    tarn_taskmanager_plan plan = TARN_TASKMANAGER_PLAN_INIT;
    tarn__plan_jvm jvm = {0};
    TARN_TRY(split_process(&source, &plan, &jvm, error));
    plan.jvm_metaspace = jvm.metaspace;
    plan.jvm_overhead = jvm.overhead;
    TARN_TRY(tarn__plan_add(
        (const int64_t[]){plan.total_flink, jvm.metaspace, jvm.overhead},
        3,
        "the Flink memory, the metaspace and the overhead",
        &plan.total_process,
        error));
    TARN_TRY(read_cores(&source, &plan, error));
    tarn__plan_publish(out, &plan, sizeof plan);
    return TARN_OK;
}
