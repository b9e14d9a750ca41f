/*
 * trigger.c - who is next: the periodic timer, the queue of requests, and the start of the one
 * that is chosen.
 *
 * The queue is ordered: savepoints, then forced, then asked for, then periodic; the elder first.
 * The pause after a success holds back periodic requests only; one that meets it is rejected, and
 * the timer moves to the end of the pause.
 */
#include <assert.h>
#include <string.h>

#include "checkpoint/coordinator.h"

bool tarn__kind_is_savepoint(tarn_checkpoint_kind kind)
{
    return kind == TARN_CHECKPOINT_SAVEPOINT || tarn__kind_stops_job(kind);
}

bool tarn__kind_stops_job(tarn_checkpoint_kind kind)
{
    return kind == TARN_CHECKPOINT_SAVEPOINT_SUSPEND || kind == TARN_CHECKPOINT_SAVEPOINT_TERMINATE;
}

static uint64_t later(uint64_t now_ms, uint64_t delay_ms)
{
    return delay_ms < TARN_COORDINATOR_NEVER - now_ms ? now_ms + delay_ms : TARN_COORDINATOR_NEVER;
}

/* The timer */

static uint64_t current_interval(const tarn_coordinator *c)
{
    return c->is_backlog ? c->backlog_interval_ms : c->interval_ms;
}

static void set_timer_at(tarn_coordinator *c, uint64_t nominal_ms)
{
    c->is_timer_set = true;
    c->timer_nominal_ms = nominal_ms;
    c->timer_ms = nominal_ms > c->now_ms ? nominal_ms : c->now_ms;
    c->timer_sequence = c->sequence++;
}

void tarn__timer_set(tarn_coordinator *c, uint64_t delay_ms)
{
    set_timer_at(c, later(c->now_ms, delay_ms));
}

void tarn__timer_cancel(tarn_coordinator *c)
{
    c->is_timer_set = false;
    c->timer_nominal_ms = TARN_COORDINATOR_NEVER;
}

/* A shorter interval takes effect at once, a longer one after the checkpoint that is due next. */
void tarn__timer_follow_backlog(tarn_coordinator *c)
{
    const uint64_t interval_ms = current_interval(c);
    if (interval_ms != TARN_COORDINATOR_NEVER &&
        later(c->now_ms, interval_ms) < c->timer_nominal_ms) {
        tarn__timer_set(c, interval_ms);
    }
}

/* The next tick is one interval after this one was due, not after it came. */
void tarn__timer_fire(tarn_coordinator *c)
{
    const uint64_t interval_ms = current_interval(c);
    if (interval_ms == TARN_COORDINATOR_NEVER) {
        tarn__timer_cancel(c);
    } else {
        set_timer_at(c, later(c->timer_nominal_ms, interval_ms));
    }
    tarn__request_submit(c, (tarn__request){.is_periodic = true});
}

/* The queue */

static int rank(const tarn__request *request)
{
    return (tarn__kind_is_savepoint(request->kind) ? 0 : 4) + (request->is_forced ? 0 : 2) +
           (request->is_periodic ? 1 : 0);
}

void tarn__request_reject(
    tarn_coordinator *c, const tarn__request *request, tarn_checkpoint_failure reason)
{
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_REJECTED);
    effect->checkpoint_kind = request->kind;
    effect->request_id = request->request_id;
    effect->is_periodic = request->is_periodic;
    effect->reason = reason;
    c->figures.rejected_count++;
}

/* Rejects a request that never got as far as to be anybody's failure. */
static void turn_away(
    tarn_coordinator *c, const tarn__request *request, tarn_checkpoint_failure reason)
{
    c->figures.failure_counts[reason]++;
    tarn__request_reject(c, request, reason);
}

void tarn__request_reject_all(tarn_coordinator *c, tarn_checkpoint_failure reason)
{
    for (uint32_t i = 0; i < c->queue_count; i++) {
        turn_away(c, &c->queue[i], reason);
    }
    c->queue_count = 0;
}

static tarn__request take_first(tarn_coordinator *c)
{
    const tarn__request first = c->queue[0];
    c->queue_count--;
    memmove(c->queue, c->queue + 1, c->queue_count * sizeof *c->queue);
    return first;
}

/* Makes room in a full queue by turning its last request away, if that one is periodic and comes
 * after the new one. */
static bool make_room(tarn_coordinator *c, const tarn__request *request)
{
    if (c->queue_count < c->options.queue_max) {
        return true;
    }
    const tarn__request last = c->queue[c->queue_count - 1];
    if (!last.is_periodic || rank(request) >= rank(&last)) {
        return false;
    }
    c->queue_count--;
    turn_away(c, &last, TARN_FAILURE_TOO_MANY_CHECKPOINT_REQUESTS);
    return true;
}

/* Puts a request behind its equals. */
static void enqueue(tarn_coordinator *c, const tarn__request *request)
{
    uint32_t position = c->queue_count;
    while (position > 0 && rank(&c->queue[position - 1]) > rank(request)) {
        c->queue[position] = c->queue[position - 1];
        position--;
    }
    c->queue[position] = *request;
    c->queue_count++;
}

/* What is left of the pause after the last success. */
static uint64_t rest_of_pause(const tarn_coordinator *c)
{
    const uint64_t end_ms = later(c->completed_ms, c->options.min_pause_ms);
    return c->has_completed && end_ms > c->now_ms ? end_ms - c->now_ms : 0;
}

/* Takes the request that may start now out of the queue, if there is one. */
static bool take_next(tarn_coordinator *c, tarn__request *out)
{
    if (c->starting_state != TARN__STARTING_NONE || c->queue_count == 0 ||
        c->cleaning_count > c->concurrent_max || c->pending_count == c->options.pending_max) {
        return false;
    }
    const tarn__request *first = &c->queue[0];
    if (c->pending_count >= c->concurrent_max && !first->is_forced) {
        return false;
    }
    const uint64_t rest_ms = rest_of_pause(c);
    if (c->pending_count < c->concurrent_max && first->is_periodic && rest_ms > 0) {
        const tarn__request early = take_first(c);
        turn_away(c, &early, TARN_FAILURE_MINIMUM_TIME_BETWEEN_CHECKPOINTS);
        tarn__timer_set(c, rest_ms);
        return false;
    }
    *out = take_first(c);
    return true;
}

/* The start */

static bool is_allowed(
    const tarn_coordinator *c, const tarn__request *request, tarn_checkpoint_failure *reason)
{
    *reason = c->is_shut_down ? TARN_FAILURE_CHECKPOINT_COORDINATOR_SHUTDOWN
                              : TARN_FAILURE_PERIODIC_SCHEDULER_SHUTDOWN;
    return !c->is_shut_down && (!request->is_periodic || c->is_started);
}

static uint32_t find_free_slot(const tarn_coordinator *c)
{
    for (uint32_t i = 0; i <= c->options.pending_max; i++) {
        if (c->slots[i].phase == TARN__PHASE_FREE && c->slots[i].freed_step != c->step_count) {
            return i;
        }
    }
    return TARN__NO_SLOT;
}

/* Chooses who takes part. The rest is deferred: what is due at the same time goes first. */
static void start(tarn_coordinator *c, const tarn__request *request)
{
    c->starting_slot = find_free_slot(c);
    assert(c->starting_slot != TARN__NO_SLOT);
    c->starting_state = TARN__STARTING_DEFERRED;
    c->starting = *request;
    tarn__pending *pending = &c->slots[c->starting_slot];
    if (tarn__plan_make(
            &pending->plan, &c->job, c->task_states, c->options.refuses_finished_tasks)) {
        pending->phase = TARN__PHASE_CHOSEN;
        tarn__coordinator_defer(c, TARN__DEFERRED_CREATE);
    } else {
        tarn__coordinator_defer(c, TARN__DEFERRED_REFUSE);
    }
}

/* Refuses a request that was, or would be, chosen. */
static void refuse(
    tarn_coordinator *c, const tarn__request *request, tarn_checkpoint_failure reason)
{
    tarn__request_reject(c, request, reason);
    tarn__failure_account(
        c, 0, request->kind, reason, /* is_from_task= */ false, TARN_COORDINATOR_NO_TASK);
}

void tarn__request_choose(tarn_coordinator *c)
{
    tarn__request request;
    while (take_next(c, &request)) {
        tarn_checkpoint_failure reason;
        if (is_allowed(c, &request, &reason)) {
            start(c, &request);
            return;
        }
        refuse(c, &request, reason);
        if (c->effects_max - c->effect_count < TARN__EFFECTS_MARGIN) {
            tarn__coordinator_defer(c, TARN__DEFERRED_CHOOSE);
            return;
        }
    }
}

void tarn__request_submit(tarn_coordinator *c, tarn__request request)
{
    if (make_room(c, &request)) {
        enqueue(c, &request);
    } else {
        turn_away(c, &request, TARN_FAILURE_TOO_MANY_CHECKPOINT_REQUESTS);
    }
    tarn__request_choose(c);
}

void tarn__start_end(tarn_coordinator *c)
{
    c->starting_state = TARN__STARTING_NONE;
    tarn__request_choose(c);
}

static void refuse_start(tarn_coordinator *c, tarn_checkpoint_failure reason)
{
    refuse(c, &c->starting, reason);
    tarn__start_end(c);
}

void tarn__start_refuse(tarn_coordinator *c)
{
    refuse_start(c, TARN_FAILURE_NOT_ALL_REQUIRED_TASKS_RUNNING);
}

static void enlist_members(tarn_coordinator *c, tarn__pending *pending)
{
    memset(pending->members, TARN__MEMBER_NOT, c->job.task_count * sizeof *pending->members);
    for (uint32_t i = 0; i < pending->plan.awaited_count; i++) {
        const uint32_t task = pending->plan.awaited[i];
        pending->members[task] = TARN__MEMBER_AWAITED;
        pending->attempts[task] = c->attempts[task];
    }
    pending->awaited_count = pending->plan.awaited_count;
    pending->acked_count = 0;
}

void tarn__start_create(tarn_coordinator *c)
{
    tarn__pending *pending = &c->slots[c->starting_slot];
    tarn_checkpoint_failure reason;
    if (!is_allowed(c, &c->starting, &reason)) {
        pending->phase = TARN__PHASE_FREE;
        refuse_start(c, reason);
        return;
    }
    pending->phase = TARN__PHASE_BEGINNING;
    pending->request = c->starting;
    pending->id = c->next_id++;
    pending->began_ms = c->now_ms;
    pending->deadline_ms = later(c->now_ms, c->options.timeout_ms);
    pending->sequence = c->sequence++;
    enlist_members(c, pending);
    tarn__pending_append(c, c->starting_slot);
    c->starting_state = TARN__STARTING_BEGINNING;
    c->starting_id = pending->id;

    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_BEGIN);
    effect->checkpoint_id = pending->id;
    effect->checkpoint_kind = pending->request.kind;
    effect->request_id = pending->request.request_id;
    effect->is_periodic = pending->request.is_periodic;
}

static tarn_alignment choose_alignment(const tarn_coordinator *c, tarn_checkpoint_kind kind)
{
    if (c->options.is_at_least_once) {
        return TARN_ALIGNMENT_AT_LEAST_ONCE;
    }
    if (!c->options.is_unaligned || tarn__kind_is_savepoint(kind)) {
        return TARN_ALIGNMENT_ALIGNED;
    }
    return c->options.aligned_timeout_ms > 0 ? TARN_ALIGNMENT_TIMED : TARN_ALIGNMENT_UNALIGNED;
}

static void tell_tasks(tarn_coordinator *c, tarn__pending *pending)
{
    const tarn_checkpoint_kind kind = pending->request.kind;
    pending->phase = TARN__PHASE_COLLECTING;
    c->figures.triggered_count++;
    if (pending->plan.told_count == 0) {
        return; /* Every task has finished: there is nobody to tell. */
    }
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_TRIGGER);
    effect->checkpoint_id = pending->id;
    effect->checkpoint_kind =
        c->is_next_full && kind == TARN_CHECKPOINT_INCREMENTAL ? TARN_CHECKPOINT_FULL : kind;
    effect->request_id = pending->request.request_id;
    effect->is_periodic = pending->request.is_periodic;
    effect->alignment = choose_alignment(c, kind);
    effect->aligned_timeout_ms =
        effect->alignment == TARN_ALIGNMENT_TIMED ? c->options.aligned_timeout_ms : 0;
    effect->tasks = pending->plan.told;
    effect->task_count = pending->plan.told_count;
}

static bool is_beginning(const tarn_coordinator *c, uint64_t id)
{
    return id == c->starting_id && (c->starting_state == TARN__STARTING_BEGINNING ||
                                    c->starting_state == TARN__STARTING_GIVEN_UP);
}

tarn_coordinator_verdict tarn__start_begun(tarn_coordinator *c, uint64_t id)
{
    if (!is_beginning(c, id)) {
        return tarn__pending_verdict(c, id);
    }
    if (c->starting_state == TARN__STARTING_GIVEN_UP) {
        tarn__pending_discard(c, id, NULL);
        tarn__start_end(c);
        return TARN_VERDICT_TAKEN;
    }
    tarn__pending *pending = tarn__pending_find(c, id);
    tell_tasks(c, pending);
    if (pending->awaited_count == 0) {
        c->starting_state = TARN__STARTING_EMPTY;
        tarn__pending_ready(c, pending);
    } else {
        tarn__start_end(c);
    }
    return TARN_VERDICT_TAKEN;
}

tarn_coordinator_verdict tarn__start_not_begun(tarn_coordinator *c, uint64_t id, bool is_id_spent)
{
    if (!is_beginning(c, id)) {
        return tarn__pending_verdict(c, id);
    }
    if (c->starting_state == TARN__STARTING_GIVEN_UP) {
        tarn__start_end(c);
        return TARN_VERDICT_TAKEN;
    }
    tarn__pending *pending = tarn__pending_find(c, id);
    if (!is_id_spent) {
        c->next_id = id;
        tarn__pending_remove(c, pending);
        refuse_start(c, TARN_FAILURE_IO_EXCEPTION);
        return TARN_VERDICT_TAKEN;
    }
    pending->phase = TARN__PHASE_COLLECTING;
    tarn__pending_abort(
        c,
        pending,
        TARN_FAILURE_IO_EXCEPTION,
        /* is_from_task= */ false,
        TARN_COORDINATOR_NO_TASK);
    tarn__start_end(c);
    return TARN_VERDICT_TAKEN;
}
