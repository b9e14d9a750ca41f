/*
 * failure.c - reasons, and when failures are too many.
 *
 * Counted are consecutive failures: those of a reason that counts, of checkpoints that are not
 * older than the last success. A savepoint counts only when a task reports its failure; one behind
 * which the job was to stop fails the job at once, for its tasks wait for it.
 */
#include "checkpoint/coordinator.h"

enum { COUNTS = 1, PREFLIGHT = 2 };

static const struct {
    const char *name;
    int behaviour;
    const char *sentence;
} reasons[] = {
#define X(name, behaviour, sentence) {#name, behaviour, sentence},
    TARN_CHECKPOINT_FAILURE_MAP(X)
#undef X
};

static bool is_reason(tarn_checkpoint_failure reason)
{
    return (uint32_t)reason < TARN_CHECKPOINT_FAILURE_COUNT;
}

const char *tarn_checkpoint_failure_name(tarn_checkpoint_failure reason)
{
    return is_reason(reason) ? reasons[reason].name : "?";
}

const char *tarn_checkpoint_failure_sentence(tarn_checkpoint_failure reason)
{
    return is_reason(reason) ? reasons[reason].sentence
                             : "a reason that this version does not know";
}

static void fail_job(
    tarn_coordinator *c,
    uint64_t checkpoint_id,
    tarn_checkpoint_failure reason,
    uint32_t task,
    bool is_threshold)
{
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_FAIL_JOB);
    effect->checkpoint_id = checkpoint_id;
    effect->reason = reason;
    effect->task = task;
    effect->is_threshold = is_threshold;
}

static void count(
    tarn_coordinator *c, uint64_t checkpoint_id, tarn_checkpoint_failure reason, uint32_t task)
{
    const uint32_t tolerable = c->options.tolerable_failures;
    const bool is_old = checkpoint_id != 0 && checkpoint_id < c->last_success_id;
    const bool is_counted = (reasons[reason].behaviour & COUNTS) != 0;
    if (is_old || !is_counted || tolerable == TARN_COORDINATOR_UNLIMITED) {
        return;
    }
    c->failures++;
    if (c->failures > tolerable) {
        c->failures = 0;
        fail_job(c, checkpoint_id, reason, task, /* is_threshold= */ true);
    }
}

void tarn__failure_account(
    tarn_coordinator *c,
    uint64_t checkpoint_id,
    tarn_checkpoint_kind kind,
    tarn_checkpoint_failure reason,
    bool is_from_task,
    uint32_t task)
{
    c->figures.failure_counts[reason]++;
    const bool is_preflight = (reasons[reason].behaviour & PREFLIGHT) != 0;
    if (!is_from_task || is_preflight) {
        if (!tarn__kind_is_savepoint(kind)) {
            count(c, checkpoint_id, reason, TARN_COORDINATOR_NO_TASK);
        }
    } else if (tarn__kind_stops_job(kind)) {
        fail_job(c, checkpoint_id, reason, TARN_COORDINATOR_NO_TASK, /* is_threshold= */ false);
    } else {
        count(c, checkpoint_id, reason, task);
    }
}

void tarn__failure_forget(tarn_coordinator *c, uint64_t succeeded_id)
{
    if (succeeded_id > c->last_success_id) {
        c->last_success_id = succeeded_id;
        c->failures = 0;
    }
}
