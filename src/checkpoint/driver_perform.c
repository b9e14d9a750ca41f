/* driver_perform.c - what a driver does about each effect. By who polls; nothing waits here. */
#include <assert.h>

#include "checkpoint/coordinator.h"
#include "checkpoint/driver.h"

static void note_failure(tarn_driver *driver, tarn_coordinator_event_kind kind, uint64_t id)
{
    assert(driver->failure_count < TARN__FAILURES_MAX);
    driver->failures[driver->failure_count++] =
        (tarn_coordinator_event){.kind = kind, .checkpoint_id = id};
}

/* Answers a task's callbacks, and keeps the task from ending until called_task is reset. */
static bool call_begins(tarn_driver *driver, uint32_t task, tarn_driver_task *out)
{
    pthread_mutex_lock(&driver->mutex);
    const bool is_running = driver->seats[task].is_running;
    if (is_running) {
        *out = driver->seats[task].callbacks;
        driver->called_task = task;
    }
    pthread_mutex_unlock(&driver->mutex);
    return is_running;
}

static void call_ends(tarn_driver *driver)
{
    pthread_mutex_lock(&driver->mutex);
    driver->called_task = TARN_COORDINATOR_NO_TASK;
    pthread_cond_broadcast(&driver->has_changed);
    pthread_mutex_unlock(&driver->mutex);
}

static void trigger(tarn_driver *driver, const tarn_coordinator_effect *effect)
{
    const tarn_driver_barrier barrier = {
        .checkpoint_id = effect->checkpoint_id,
        .aligned_timeout_ms = effect->aligned_timeout_ms,
        .kind = effect->checkpoint_kind,
        .alignment = effect->alignment,
    };
    bool is_told = true;
    for (uint32_t i = 0; i < effect->task_count && is_told; i++) {
        tarn_driver_task task;
        is_told = false;
        if (call_begins(driver, effect->tasks[i], &task)) {
            is_told = task.trigger != NULL && task.trigger(&barrier, task.context);
            call_ends(driver);
        }
    }
    if (!is_told) {
        note_failure(driver, TARN_COORDINATOR_NOT_TRIGGERED, effect->checkpoint_id);
    }
}

static void notify(tarn_driver *driver, const tarn_coordinator_effect *effect)
{
    for (uint32_t i = 0; i < effect->task_count; i++) {
        tarn_driver_task task;
        if (!call_begins(driver, effect->tasks[i], &task)) {
            continue;
        }
        void (*tell)(uint64_t, void *) = effect->kind == TARN_EFFECT_NOTIFY_COMPLETE
                                             ? task.notify_complete
                                             : task.notify_aborted;
        if (tell != NULL) {
            tell(effect->checkpoint_id, task.context);
        }
        call_ends(driver);
    }
}

static void begin(tarn_driver *driver, const tarn_coordinator_effect *effect, uint64_t now_ms)
{
    pthread_mutex_lock(&driver->mutex);
    tarn__record *record = tarn__record_new(driver, effect->checkpoint_id);
    if (record != NULL) {
        record->kind = effect->checkpoint_kind;
        record->began_ms = now_ms;
        tarn__driver_want(driver, record, TARN__WORK_BEGIN);
    }
    pthread_mutex_unlock(&driver->mutex);
    if (record == NULL) {
        note_failure(driver, TARN_COORDINATOR_NOT_BEGUN, effect->checkpoint_id);
    }
}

static void write_metadata(tarn_driver *driver, const tarn_coordinator_effect *effect)
{
    pthread_mutex_lock(&driver->mutex);
    driver->writing_count++;
    tarn__driver_want(driver, tarn__driver_find(driver, effect->checkpoint_id), TARN__WORK_WRITE);
    pthread_mutex_unlock(&driver->mutex);
}

static void discard(tarn_driver *driver, const tarn_coordinator_effect *effect)
{
    pthread_mutex_lock(&driver->mutex);
    tarn__record *record = tarn__driver_find(driver, effect->checkpoint_id);
    assert(record != NULL && record->is_completed == effect->is_completed);
    record->is_discarded = true;
    record->is_answer_due = effect->is_awaited;
    tarn__driver_want(driver, record, TARN__WORK_DISCARD);
    pthread_mutex_unlock(&driver->mutex);
}

/* What has become of a checkpoint, as effect and record tell; remembered if it was begun. */
static tarn_driver_outcome conclude(
    tarn_driver *driver, const tarn_coordinator_effect *effect, uint64_t now_ms)
{
    tarn_driver_outcome outcome = {
        .checkpoint_id = effect->kind == TARN_EFFECT_REJECTED ? 0 : effect->checkpoint_id,
        .request_id = effect->request_id,
        .kind = effect->checkpoint_kind,
        .is_periodic = effect->is_periodic,
        .is_completed = effect->kind == TARN_EFFECT_COMPLETED,
        .reason = effect->reason,
    };
    pthread_mutex_lock(&driver->mutex);
    tarn__record *record = tarn__driver_find(driver, outcome.checkpoint_id);
    if (record != NULL) {
        record->is_completed = outcome.is_completed;
        outcome.duration_ms = now_ms - record->began_ms;
        outcome.acknowledged_count = record->acknowledged_count;
        outcome.summary = record->summary;
        outcome.cause = record->cause;
        driver->history[driver->ended_count % driver->options.history_count] = outcome;
        driver->ended_count++;
        outcome.path = record->path; /* The record outlives the effect. */
    }
    pthread_mutex_unlock(&driver->mutex);
    return outcome;
}

static void announce(tarn_driver *driver, const tarn_coordinator_effect *effect, uint64_t now_ms)
{
    const tarn_driver_outcome outcome = conclude(driver, effect, now_ms);
    if (tarn__kind_stops_job(outcome.kind)) {
        driver->stopping_count--;
        driver->has_stopping_failed = driver->has_stopping_failed || !outcome.is_completed;
    }
    if (driver->options.hear != NULL) {
        driver->options.hear(&outcome, driver->options.context);
    }
}

/* The last failure that is remembered says more than the effect, if it is the same. */
static void fail_job(tarn_driver *driver, const tarn_coordinator_effect *effect)
{
    if (driver->options.fail_job == NULL) {
        return;
    }
    tarn_driver_outcome outcome = {
        .checkpoint_id = effect->checkpoint_id,
        .kind = effect->checkpoint_kind,
        .reason = effect->reason,
    };
    pthread_mutex_lock(&driver->mutex);
    if (driver->ended_count > 0) {
        const tarn_driver_outcome *last =
            &driver->history[(driver->ended_count - 1) % driver->options.history_count];
        outcome = last->checkpoint_id == effect->checkpoint_id ? *last : outcome;
    }
    pthread_mutex_unlock(&driver->mutex);
    driver->options.fail_job(&outcome, driver->options.context);
}

void tarn__driver_perform(
    tarn_driver *driver, const tarn_coordinator_effect *effect, uint64_t now_ms)
{
    switch (effect->kind) {
    case TARN_EFFECT_BEGIN:
        begin(driver, effect, now_ms);
        break;
    case TARN_EFFECT_TRIGGER:
        trigger(driver, effect);
        break;
    case TARN_EFFECT_WRITE:
        write_metadata(driver, effect);
        break;
    case TARN_EFFECT_COMPLETED:
    case TARN_EFFECT_ABORTED:
    case TARN_EFFECT_REJECTED:
        announce(driver, effect, now_ms);
        break;
    case TARN_EFFECT_NOTIFY_COMPLETE:
    case TARN_EFFECT_NOTIFY_ABORTED:
        notify(driver, effect);
        break;
    case TARN_EFFECT_DISCARD:
        discard(driver, effect);
        break;
    case TARN_EFFECT_FAIL_JOB:
        fail_job(driver, effect);
        break;
    case TARN_EFFECT_SUBSUMED:
    case TARN_EFFECT_DISCARD_STATE: /* Whoever uploaded takes back what was not kept. */
        break;
    }
}
