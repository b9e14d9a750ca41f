#include "checkpointing.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "failure.h"

static const char job_name[] = "flights";

static void count_success(checkpointing *c, const tarn_driver_outcome *outcome)
{
    c->latest = outcome->summary;
    c->durations_ms[c->completed_count % DURATIONS_MAX] = (uint32_t)outcome->summary.duration_ms;
    c->completed_count++;
    c->new_bytes += outcome->summary.new_bytes;
    c->failed_in_a_row = 0;
}

static void count_failure(checkpointing *c, const tarn_driver_outcome *outcome)
{
    c->failed_count++;
    c->failed_in_a_row++;
    c->has_failed = true;
    c->failure = outcome->cause;
    if (outcome->cause.status == TARN_OK) {
        failure_set(
            &c->failure, TARN_DECLINED, 0, "%s", tarn_checkpoint_failure_sentence(outcome->reason));
    }
}

static bool is_savepoint(const tarn_driver_outcome *outcome)
{
    return outcome->kind != TARN_CHECKPOINT_INCREMENTAL && outcome->kind != TARN_CHECKPOINT_FULL;
}

/* What was never begun is no failure: a source has ended, or the job ends. */
static void hear(const tarn_driver_outcome *outcome, void *context)
{
    checkpointing *c = context;
    pthread_mutex_lock(&c->monitor->mutex);
    c->has_refused_to_stop |=
        !outcome->is_completed && outcome->kind == TARN_CHECKPOINT_SAVEPOINT_SUSPEND;
    c->is_demand_answered |= !outcome->is_periodic && outcome->request_id == DEMAND_REQUEST;
    if (outcome->is_completed && is_savepoint(outcome)) {
        c->has_stopped = outcome->kind == TARN_CHECKPOINT_SAVEPOINT_SUSPEND;
        snprintf(
            c->savepoint, sizeof c->savepoint, "%s", outcome->path != NULL ? outcome->path : "?");
    } else if (outcome->is_completed) {
        count_success(c, outcome);
    } else if (
        outcome->checkpoint_id != 0 &&
        outcome->reason != TARN_FAILURE_CHECKPOINT_COORDINATOR_SHUTDOWN) {
        count_failure(c, outcome);
    }
    pthread_cond_signal(&c->monitor->changed);
    pthread_mutex_unlock(&c->monitor->mutex);
}

static void fail_job(const tarn_driver_outcome *outcome, void *context)
{
    (void)outcome;
    checkpointing *c = context;
    pthread_mutex_lock(&c->monitor->mutex);
    c->is_hopeless = true;
    pthread_cond_signal(&c->monitor->changed);
    pthread_mutex_unlock(&c->monitor->mutex);
}

tarn_status checkpointing_open(
    checkpointing *c,
    monitor *m,
    tarn_env *env,
    const checkpointing_options *how,
    tarn_error *error)
{
    memset(c, 0, sizeof *c);
    c->monitor = m;
    if (how->directory == NULL) {
        return TARN_OK;
    }
    const uint32_t parallelism[] = {how->source_count, how->worker_count};
    const tarn_coordinator_edge edge = {.from = 0, .to = 1};
    tarn_driver_options options = TARN_DRIVER_OPTIONS_INIT;
    options.env = env;
    options.address = how->directory;
    options.restored = how->restored;
    options.claim_mode = how->claim_mode;
    options.refused_ids = how->refused_ids;
    options.refused_count = how->refused_count;
    options.job = job_name;
    options.parallelism = parallelism;
    options.operator_count = 2;
    options.edges = &edge;
    options.edge_count = 1;
    options.hear = hear;
    options.fail_job = fail_job;
    options.context = c;
    return tarn_driver_open(&options, &c->driver, error);
}

/* A job whose input is at its end may go on with a larger --repeat: its checkpoints stay. */
void checkpointing_close(checkpointing *c, tarn_status outcome)
{
    const tarn_status status = tarn_driver_close(
        c->driver, outcome == TARN_OK ? TARN_JOB_SUSPENDED : TARN_JOB_FAILED, NULL);
    assert(status == TARN_OK);
    (void)status;
    c->driver = NULL;
}

tarn_status checkpointing_start(checkpointing *c, tarn_error *error)
{
    return c->driver != NULL ? tarn_driver_start(c->driver, error) : TARN_OK;
}

tarn_status checkpointing_save(checkpointing *c, tarn_error *error)
{
    return tarn_driver_request(c->driver, TARN_CHECKPOINT_SAVEPOINT, SAVE_REQUEST, error);
}

tarn_status checkpointing_stop(checkpointing *c, tarn_error *error)
{
    return tarn_driver_request(c->driver, TARN_CHECKPOINT_SAVEPOINT_SUSPEND, 0, error);
}

bool checkpointing_has_outcome(checkpointing *c)
{
    pthread_mutex_lock(&c->monitor->mutex);
    const bool has_outcome = c->driver == NULL || c->completed_count > 0 || c->is_demand_answered;
    pthread_mutex_unlock(&c->monitor->mutex);
    return has_outcome;
}

bool checkpointing_has_refused_to_stop(checkpointing *c)
{
    pthread_mutex_lock(&c->monitor->mutex);
    const bool has_refused = c->has_refused_to_stop;
    pthread_mutex_unlock(&c->monitor->mutex);
    return has_refused;
}

tarn_status checkpointing_demand(checkpointing *c, tarn_error *error)
{
    return tarn_driver_request(c->driver, TARN_CHECKPOINT_INCREMENTAL, DEMAND_REQUEST, error);
}

bool checkpointing_has_answered(checkpointing *c)
{
    pthread_mutex_lock(&c->monitor->mutex);
    const bool has_answered = c->is_demand_answered;
    pthread_mutex_unlock(&c->monitor->mutex);
    return has_answered;
}

checkpointing_event checkpointing_step(checkpointing *c, tarn_error *error)
{
    checkpointing_event event = CHECKPOINTING_NOTHING;
    pthread_mutex_lock(&c->monitor->mutex);
    if (c->is_hopeless) { /* That is heard after the failure, which may have been told by then. */
        event = CHECKPOINTING_HOPELESS;
    } else if (c->has_failed) {
        event = CHECKPOINTING_FAILED;
    }
    if (event != CHECKPOINTING_NOTHING) {
        *error = c->failure;
        c->has_failed = false;
    }
    pthread_mutex_unlock(&c->monitor->mutex);
    return event;
}

tarn_status participant_join(
    participant *p,
    checkpointing *c,
    uint32_t task,
    const tarn_driver_task *callbacks,
    tarn_error *error)
{
    *p = (participant){.checkpointing = c, .task = task};
    return c->driver != NULL
               ? tarn_driver_start_task(c->driver, task, callbacks, &p->attempt, error)
               : TARN_OK;
}

void participant_leave(participant *p, tarn_driver_task_end end)
{
    if (p->checkpointing != NULL) {
        tarn_driver_end_task(p->checkpointing->driver, p->task, end);
    }
}

void participant_acknowledge(participant *p, uint64_t checkpoint_id, tarn_bytes part)
{
    tarn_error error;
    if (tarn_driver_acknowledge(
            p->checkpointing->driver, p->task, p->attempt, checkpoint_id, &part, 1, &error) !=
        TARN_OK) {
        participant_decline(p, checkpoint_id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION, &error);
    }
}

void participant_decline(
    participant *p, uint64_t checkpoint_id, tarn_checkpoint_failure reason, const tarn_error *cause)
{
    tarn_driver_decline(p->checkpointing->driver, p->task, checkpoint_id, reason, cause);
}
