/*
 * plan.h - which tasks take part in a checkpoint.
 *
 *     sources ──► others ──► sinks        all run: sources are told to start, all are awaited
 *        F    ──►   R    ──►   R          the first that still run and have no running input are
 *                   told                  told; finished tasks take no part
 *
 * Source: Flink 1.20, DefaultCheckpointPlanCalculator.
 * Thread: pure.
 */
#ifndef TARN_CHECKPOINT_PLAN_H
#define TARN_CHECKPOINT_PLAN_H

#include "tarn/coordinator_types.h"

#include "base/account.h"

/* The job as it was given: operators in topological order, tasks numbered through. */
typedef struct tarn__job {
    uint32_t operator_count;
    uint32_t edge_count;
    uint32_t task_count;
    uint32_t *first_task; /* [operator_count + 1]; the last is task_count. */
    uint32_t *running;    /* [operator_count]: scratch, tasks of each that have not finished. */
    tarn_coordinator_edge *edges; /* [edge_count]. */
} tarn__job;

/* Who takes part. The arrays are the caller's, [task_count] each, and are filled ascending. */
typedef struct tarn__plan {
    uint32_t *told; /* Start their snapshot when told; the others when barriers reach them. */
    uint32_t told_count;
    uint32_t *awaited; /* Must acknowledge; and hear of the outcome. */
    uint32_t awaited_count;
} tarn__plan;

TARN_NODISCARD tarn_status tarn__job_init(
    tarn__job *job,
    const uint32_t *parallelism,
    uint32_t operator_count,
    const tarn_coordinator_edge *edges,
    uint32_t edge_count,
    tarn__account *account,
    tarn_error *error);
void tarn__job_clear(tarn__job *job);

/*
 * Fills plan from the tasks' states. False: one that has to take part is not running, or one has
 * finished and refuses_finished; then plan is undefined.
 */
bool tarn__plan_make(
    tarn__plan *plan, tarn__job *job, const tarn_task_state *states, bool refuses_finished);

#endif
