/* plan.c - the job's shape, and who takes part in a checkpoint. */
#include <assert.h>
#include <string.h>

#include "base/try.h"

#include "checkpoint/plan.h"

enum { TASKS_MAX = 1000000 };

static tarn_status check_shape(
    const uint32_t *parallelism,
    uint32_t operator_count,
    const tarn_coordinator_edge *edges,
    uint32_t edge_count,
    tarn_error *error)
{
    if (parallelism == NULL || operator_count == 0) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the job has no operator");
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < operator_count; i++) {
        if (parallelism[i] == 0) {
            return tarn__fail(
                error, TARN_INVALID_ARGUMENT, "operator %u has a parallelism of 0", i);
        }
        total += parallelism[i];
    }
    if (total > TASKS_MAX) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "the job has more than %d tasks", TASKS_MAX);
    }
    if (edges == NULL && edge_count > 0) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "edges is NULL but edge_count is not 0");
    }
    for (uint32_t i = 0; i < edge_count; i++) {
        if (edges[i].from >= edges[i].to || edges[i].to >= operator_count) {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                "edge %u leads from operator %u to %u, which is not a later one of %u",
                i,
                edges[i].from,
                edges[i].to,
                operator_count);
        }
    }
    return TARN_OK;
}

tarn_status tarn__job_init(
    tarn__job *job,
    const uint32_t *parallelism,
    uint32_t operator_count,
    const tarn_coordinator_edge *edges,
    uint32_t edge_count,
    tarn__account *account,
    tarn_error *error)
{
    TARN_TRY(check_shape(parallelism, operator_count, edges, edge_count, error));
    *job = (tarn__job){.operator_count = operator_count, .edge_count = edge_count};
    const size_t first_count = (size_t)operator_count + 1;
    job->first_task = tarn__allocate_zeroed(account, first_count, sizeof *job->first_task);
    job->running = tarn__allocate_zeroed(account, operator_count, sizeof *job->running);
    job->edges = tarn__allocate_zeroed(account, (size_t)edge_count + 1, sizeof *job->edges);
    if (job->first_task == NULL || job->running == NULL || job->edges == NULL) {
        tarn__job_clear(job);
        return tarn__fail_no_memory(error, "the job's shape", first_count * sizeof(uint32_t));
    }
    for (uint32_t i = 0; i < operator_count; i++) {
        job->first_task[i + 1] = job->first_task[i] + parallelism[i];
    }
    job->task_count = job->first_task[operator_count];
    if (edge_count > 0) {
        memcpy(job->edges, edges, edge_count * sizeof *edges);
    }
    return TARN_OK;
}

void tarn__job_clear(tarn__job *job)
{
    tarn__release(job->first_task);
    tarn__release(job->running);
    tarn__release(job->edges);
    *job = (tarn__job){.task_count = 0};
}

static uint32_t parallelism_of(const tarn__job *job, uint32_t operator_index)
{
    return job->first_task[operator_index + 1] - job->first_task[operator_index];
}

/* Whether a task of edge->from that feeds the subtask over a pointwise edge has not finished. */
static bool has_running_neighbour(
    const tarn__job *job,
    const tarn_task_state *states,
    const tarn_coordinator_edge *edge,
    uint32_t subtask)
{
    const uint64_t from = parallelism_of(job, edge->from);
    const uint64_t to = parallelism_of(job, edge->to);
    const uint64_t first = subtask * from / to;
    const uint64_t end = from > to ? (subtask + UINT64_C(1)) * from / to : first + 1;
    for (uint64_t i = first; i < end; i++) {
        if (states[job->first_task[edge->from] + i] != TARN_TASK_FINISHED) {
            return true;
        }
    }
    return false;
}

/* Whether a barrier can reach the task from another one, so that it need not be told. */
static bool has_running_input(
    const tarn__job *job, const tarn_task_state *states, uint32_t operator_index, uint32_t subtask)
{
    for (uint32_t i = 0; i < job->edge_count; i++) {
        const tarn_coordinator_edge *edge = &job->edges[i];
        if (edge->to != operator_index) {
            continue;
        }
        if (edge->is_pointwise ? has_running_neighbour(job, states, edge, subtask)
                               : job->running[edge->from] > 0) {
            return true;
        }
    }
    return false;
}

/* Counts the unfinished tasks of each operator; whether any task has finished. */
static bool count_running(tarn__job *job, const tarn_task_state *states)
{
    bool has_finished = false;
    for (uint32_t i = 0; i < job->operator_count; i++) {
        job->running[i] = 0;
        for (uint32_t task = job->first_task[i]; task < job->first_task[i + 1]; task++) {
            const bool is_finished = states[task] == TARN_TASK_FINISHED;
            has_finished = has_finished || is_finished;
            job->running[i] += is_finished ? 0 : 1;
        }
    }
    return has_finished;
}

bool tarn__plan_make(
    tarn__plan *plan, tarn__job *job, const tarn_task_state *states, bool refuses_finished)
{
    if (count_running(job, states) && refuses_finished) {
        return false;
    }
    plan->told_count = 0;
    plan->awaited_count = 0;
    for (uint32_t i = 0; i < job->operator_count; i++) {
        for (uint32_t task = job->first_task[i]; task < job->first_task[i + 1]; task++) {
            if (states[task] == TARN_TASK_FINISHED) {
                continue;
            }
            if (states[task] != TARN_TASK_RUNNING) {
                return false;
            }
            plan->awaited[plan->awaited_count++] = task;
            if (!has_running_input(job, states, i, task - job->first_task[i])) {
                plan->told[plan->told_count++] = task;
            }
        }
    }
    return true;
}
