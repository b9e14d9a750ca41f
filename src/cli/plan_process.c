/* plan_process.c - `tarn plan taskmanager` and `tarn plan jobmanager`. */
#include <inttypes.h>
#include <stdio.h>

#include "plan.h"
#include "setting.h"
#include "text.h"

#define TASK "taskmanager.memory."
#define JOB  "jobmanager.memory."

/* How the total follows from the parts, or the Flink size from the total. */
static const char *flink_rest(const cli_plan_request *request, const char *process_key)
{
    tarn_config_entry entry;
    return cli_setting_find(request->config, process_key, &entry)
               ? "total_process less metaspace and overhead"
               : "sum of its pools";
}

static void print_taskmanager(const cli_plan_request *request, const tarn_taskmanager_plan *plan)
{
    static const char rest[] = "what the other pools leave";
    const cli_pool pools[] = {
        {.name = "total_process",
         .bytes = plan->total_process,
         .key = TASK "process.size",
         .rest = "sum of its pools"},
        {.name = "total_flink",
         .depth = 1,
         .bytes = plan->total_flink,
         .key = TASK "flink.size",
         .legacy_key = "taskmanager.heap.size",
         .legacy_mb_key = "taskmanager.heap.mb",
         .rest = flink_rest(request, TASK "process.size")},
        {.name = "framework_heap",
         .depth = 2,
         .bytes = plan->framework_heap,
         .key = TASK "framework.heap.size",
         .rest = rest},
        {.name = "task_heap",
         .depth = 2,
         .bytes = plan->task_heap,
         .key = TASK "task.heap.size",
         .rest = rest},
        {.name = "managed",
         .depth = 2,
         .bytes = plan->managed,
         .key = TASK "managed.size",
         .fraction_key = TASK "managed.fraction",
         .whole = plan->total_flink,
         .rest = rest},
        {.name = "framework_offheap",
         .depth = 2,
         .bytes = plan->framework_offheap,
         .key = TASK "framework.off-heap.size",
         .rest = rest},
        {.name = "task_offheap",
         .depth = 2,
         .bytes = plan->task_offheap,
         .key = TASK "task.off-heap.size",
         .rest = rest},
        {.name = "network",
         .depth = 2,
         .bytes = plan->network,
         .count_key = "taskmanager.network.numberOfBuffers",
         .fraction_key = TASK "network.fraction",
         .min_key = TASK "network.min",
         .max_key = TASK "network.max",
         .whole = plan->total_flink,
         .rest = rest},
        {.name = "jvm_metaspace",
         .depth = 1,
         .bytes = plan->jvm_metaspace,
         .key = TASK "jvm-metaspace.size",
         .rest = rest},
        {.name = "jvm_overhead",
         .depth = 1,
         .bytes = plan->jvm_overhead,
         .fraction_key = TASK "jvm-overhead.fraction",
         .min_key = TASK "jvm-overhead.min",
         .max_key = TASK "jvm-overhead.max",
         .whole = plan->total_process,
         .rest = rest},
    };
    cli_pools_print(request, pools, sizeof pools / sizeof pools[0]);
}

int cli_plan_taskmanager(const cli_plan_request *request)
{
    tarn_error error;
    tarn_taskmanager_plan plan = TARN_TASKMANAGER_PLAN_INIT;
    if (tarn_plan_taskmanager(request->config, request->path, &plan, &error) != TARN_OK) {
        return cli_refuse(request->as_json, error.message);
    }
    print_taskmanager(request, &plan);
    if (!request->as_json) {
        const int32_t slots = plan.slots > 0 ? plan.slots : 1;
        printf(
            "\nslots: %" PRId32 ", managed memory of a slot: %s, cpu cores: %s\n",
            plan.slots,
            cli_text_size(plan.managed / slots).data,
            cli_text_real(plan.cpu_cores).data);
    }
    return CLI_OK;
}

static void print_jobmanager(const cli_plan_request *request, const tarn_jobmanager_plan *plan)
{
    static const char rest[] = "what the other pools leave";
    const cli_pool pools[] = {
        {.name = "total_process",
         .bytes = plan->total_process,
         .key = JOB "process.size",
         .rest = "sum of its pools"},
        {.name = "total_flink",
         .depth = 1,
         .bytes = plan->total_flink,
         .key = JOB "flink.size",
         .rest = flink_rest(request, JOB "process.size")},
        {.name = "heap",
         .depth = 2,
         .bytes = plan->heap,
         .key = JOB "heap.size",
         .legacy_key = "jobmanager.heap.size",
         .legacy_mb_key = "jobmanager.heap.mb",
         .rest = rest},
        {.name = "off_heap",
         .depth = 2,
         .bytes = plan->off_heap,
         .key = JOB "off-heap.size",
         .rest = rest},
        {.name = "jvm_metaspace",
         .depth = 1,
         .bytes = plan->jvm_metaspace,
         .key = JOB "jvm-metaspace.size",
         .rest = rest},
        {.name = "jvm_overhead",
         .depth = 1,
         .bytes = plan->jvm_overhead,
         .fraction_key = JOB "jvm-overhead.fraction",
         .min_key = JOB "jvm-overhead.min",
         .max_key = JOB "jvm-overhead.max",
         .whole = plan->total_process,
         .rest = rest},
    };
    cli_pools_print(request, pools, sizeof pools / sizeof pools[0]);
}

int cli_plan_jobmanager(const cli_plan_request *request)
{
    tarn_error error;
    tarn_jobmanager_plan plan = TARN_JOBMANAGER_PLAN_INIT;
    if (tarn_plan_jobmanager(request->config, request->path, &plan, &error) != TARN_OK) {
        return cli_refuse(request->as_json, error.message);
    }
    print_jobmanager(request, &plan);
    if (!request->as_json) {
        printf(
            "\na JVM %s the off-heap pool\n",
            plan.is_direct_memory_limited ? "enforces" : "does not enforce");
    }
    return CLI_OK;
}
