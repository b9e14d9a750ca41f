/* tm_memory.c - the TaskManager's pools, or the refusal of contradictory options. */
#include "plan_case.h"

static bool check_plan(
    const json_t *vector_case, const tarn_config *config, char *why, size_t why_bytes)
{
    tarn_taskmanager_plan plan = TARN_TASKMANAGER_PLAN_INIT;
    tarn_error error = {0};
    const tarn_status status =
        tarn_plan_taskmanager(config, plan_case_path(vector_case), &plan, &error);
    bool is_done = false;
    if (!plan_case_outcome(vector_case, status, &error, &is_done, why, why_bytes)) {
        return false;
    }
    const plan_size sizes[] = {
        {"total_process", plan.total_process},
        {"total_flink", plan.total_flink},
        {"framework_heap", plan.framework_heap},
        {"task_heap", plan.task_heap},
        {"managed", plan.managed},
        {"framework_offheap", plan.framework_offheap},
        {"task_offheap", plan.task_offheap},
        {"network", plan.network},
        {"jvm_metaspace", plan.jvm_metaspace},
        {"jvm_overhead", plan.jvm_overhead},
    };
    return is_done ||
           (plan_case_sizes(vector_case, sizes, sizeof sizes / sizeof sizes[0], why, why_bytes) &&
            vectors_check_integer(vector_case, "slots", plan.slots, why, why_bytes));
}

bool vectors_tm_memory(const json_t *vector_case, char *why, size_t why_bytes)
{
    tarn_config *config = NULL;
    if (!plan_case_config(vector_case, &config, why, why_bytes)) {
        return false;
    }
    const bool agrees = check_plan(vector_case, config, why, why_bytes);
    tarn_config_free(config);
    return agrees;
}
