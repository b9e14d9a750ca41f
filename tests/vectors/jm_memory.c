/* jm_memory.c - the JobManager's pools, or the refusal of contradictory options. */
#include "plan_case.h"

static bool check_plan(
    const json_t *vector_case, const tarn_config *config, char *why, size_t why_bytes)
{
    tarn_jobmanager_plan plan = TARN_JOBMANAGER_PLAN_INIT;
    tarn_error error = {0};
    const tarn_status status =
        tarn_plan_jobmanager(config, plan_case_path(vector_case), &plan, &error);
    bool is_done = false;
    if (!plan_case_outcome(vector_case, status, &error, &is_done, why, why_bytes)) {
        return false;
    }
    const plan_size sizes[] = {
        {"total_process", plan.total_process},
        {"total_flink", plan.total_flink},
        {"heap", plan.heap},
        {"off_heap", plan.off_heap},
        {"jvm_metaspace", plan.jvm_metaspace},
        {"jvm_overhead", plan.jvm_overhead},
    };
    return is_done ||
           plan_case_sizes(vector_case, sizes, sizeof sizes / sizeof sizes[0], why, why_bytes);
}

bool vectors_jm_memory(const json_t *vector_case, char *why, size_t why_bytes)
{
    tarn_config *config = NULL;
    if (!plan_case_config(vector_case, &config, why, why_bytes)) {
        return false;
    }
    const bool agrees = check_plan(vector_case, config, why, why_bytes);
    tarn_config_free(config);
    return agrees;
}
