/* coordinator.c - life of a coordinator, the step, and what can be read of it. */
#include <assert.h>
#include <string.h>

#include "base/options.h"
#include "base/refusal.h"
#include "base/try.h"

#include "checkpoint/coordinator.h"

/* Longer pauses make no sense, and sums of times must not overflow. One year. */
static const uint64_t pause_ms_max = UINT64_C(365) * 24 * 60 * 60 * 1000;

/* Life */

static void derive(tarn_coordinator *c)
{
    tarn_coordinator_options *o = &c->options;
    o->min_pause_ms = o->min_pause_ms < pause_ms_max ? o->min_pause_ms : pause_ms_max;
    c->interval_ms = o->interval_ms > o->min_pause_ms ? o->interval_ms : o->min_pause_ms;
    c->backlog_interval_ms =
        o->backlog_interval_ms == TARN_COORDINATOR_SAME ? o->interval_ms : o->backlog_interval_ms;
    c->concurrent_max = o->max_concurrent < o->pending_max ? o->max_concurrent : o->pending_max;
    c->next_id = o->next_checkpoint_id;
    c->timer_nominal_ms = TARN_COORDINATOR_NEVER;
    c->step_count = 1;
    const uint32_t store_max = c->store.capacity;
    c->cleaning_max = c->concurrent_max + 1 + o->pending_max + 2 * store_max;
    c->deferred_max = 2 * o->pending_max + TARN__EFFECTS_MARGIN;
    c->event_effects_max = o->queue_max + 4 * o->pending_max + 3 * store_max + TARN__EFFECTS_MARGIN;
    c->effects_max =
        c->event_effects_max + 4 * o->pending_max + TARN__EFFECTS_LATE + 2 * TARN__EFFECTS_MARGIN;
}

static tarn_status allocate(tarn_coordinator *c, tarn_error *error)
{
    const size_t task_count = c->job.task_count;
    const size_t slot_count = (size_t)c->options.pending_max + 1;
    tarn__account *a = &c->account;
    c->task_states = tarn__allocate_zeroed(a, task_count, sizeof *c->task_states);
    c->attempts = tarn__allocate_zeroed(a, task_count, sizeof *c->attempts);
    c->slots = tarn__allocate_zeroed(a, slot_count, sizeof *c->slots);
    c->order = tarn__allocate_zeroed(a, slot_count, sizeof *c->order);
    c->slot_tasks = tarn__allocate_zeroed(a, slot_count * 4, task_count * sizeof(uint32_t));
    c->slot_members = tarn__allocate_zeroed(a, slot_count, task_count);
    c->queue = tarn__allocate_zeroed(a, c->options.queue_max, sizeof *c->queue);
    c->deferred = tarn__allocate_zeroed(a, c->deferred_max, sizeof *c->deferred);
    c->cleaning = tarn__allocate_zeroed(a, c->cleaning_max, sizeof *c->cleaning);
    c->effects = tarn__allocate_zeroed(a, c->effects_max, sizeof *c->effects);
    if (c->task_states == NULL || c->attempts == NULL || c->slots == NULL || c->order == NULL ||
        c->slot_tasks == NULL || c->slot_members == NULL || c->queue == NULL ||
        c->deferred == NULL || c->cleaning == NULL || c->effects == NULL) {
        const tarn_status status = tarn__fail(
            error,
            TARN_NO_MEMORY,
            "cannot allocate a checkpoint coordinator of %zu tasks and %zu pending checkpoints",
            task_count,
            slot_count - 1);
        return tarn__refusal_explain(error, status);
    }
    for (size_t i = 0; i < slot_count; i++) {
        uint32_t *tasks = c->slot_tasks + i * 4 * task_count;
        c->slots[i].plan.told = tasks;
        c->slots[i].plan.awaited = tasks + task_count;
        c->slots[i].acked = tasks + 2 * task_count;
        c->slots[i].attempts = tasks + 3 * task_count;
        c->slots[i].members = c->slot_members + i * task_count;
    }
    return TARN_OK;
}

static void adopt_restored(tarn_coordinator *c)
{
    for (uint32_t i = 0; i < c->options.restored_count; i++) {
        const tarn_coordinator_restored *restored = &c->options.restored[i];
        tarn__store_restore(
            &c->store, (tarn__store_entry){.id = restored->id, .is_owned = restored->is_owned});
        c->is_next_full = restored->is_unclaimed;
    }
    /* Borrowed for the call only. */
    c->options.parallelism = NULL;
    c->options.edges = NULL;
    c->options.restored = NULL;
}

static tarn_status fill(tarn_coordinator *c, tarn_error *error)
{
    const tarn_coordinator_options *o = &c->options;
    TARN_TRY(tarn__job_init(
        &c->job, o->parallelism, o->operator_count, o->edges, o->edge_count, &c->account, error));
    TARN_TRY(tarn__store_init(
        &c->store, o->retained_count, o->restored_count, o->retention, &c->account, error));
    derive(c);
    TARN_TRY(allocate(c, error));
    adopt_restored(c);
    return TARN_OK;
}

tarn_status tarn_coordinator_open(
    const tarn_coordinator_options *options, tarn_coordinator **out, tarn_error *error)
{
    tarn_coordinator_options copy;
    TARN_TRY(tarn__options_copy("tarn_coordinator_options", options, &copy, sizeof copy, error));
    TARN_TRY(tarn__coordinator_check(&copy, error));
    tarn__account first;
    tarn__account_init(&first, "checkpoint/coordinator", copy.allocator);
    tarn_coordinator *c = first.below->allocate(sizeof *c, first.below->context);
    if (c == NULL) {
        return tarn__fail_no_memory(error, "a checkpoint coordinator", sizeof *c);
    }
    memset(c, 0, sizeof *c);
    tarn__account_init(&c->account, "checkpoint/coordinator", copy.allocator);
    c->options = copy;
    const tarn_status status = fill(c, error);
    if (status != TARN_OK) {
        tarn_coordinator_close(c);
        return status;
    }
    *out = c;
    return TARN_OK;
}

void tarn_coordinator_close(tarn_coordinator *coordinator)
{
    if (coordinator == NULL) {
        return;
    }
    tarn_coordinator *c = coordinator;
    tarn__job_clear(&c->job);
    tarn__store_clear(&c->store);
    tarn__release(c->task_states);
    tarn__release(c->attempts);
    tarn__release(c->slots);
    tarn__release(c->order);
    tarn__release(c->slot_tasks);
    tarn__release(c->slot_members);
    tarn__release(c->queue);
    tarn__release(c->deferred);
    tarn__release(c->cleaning);
    tarn__release(c->effects);
    const tarn_allocator *below = c->account.below;
    below->release(c, below->context);
}

/* Effects and what is put off */

tarn_coordinator_effect *tarn__coordinator_emit(
    tarn_coordinator *c, tarn_coordinator_effect_kind kind)
{
    assert(c->effect_count < c->effects_max);
    tarn_coordinator_effect *effect = &c->effects[c->effect_count++];
    *effect = (tarn_coordinator_effect){.kind = kind, .task = TARN_COORDINATOR_NO_TASK};
    return effect;
}

void tarn__coordinator_defer(tarn_coordinator *c, tarn__deferred_kind kind)
{
    const bool is_choice = kind == TARN__DEFERRED_CHOOSE;
    const uint64_t sequence = c->sequence++;
    tarn__deferred *last = c->deferred_count > 0 ? &c->deferred[c->deferred_count - 1] : NULL;
    const bool is_full = c->deferred_count == c->deferred_max;
    if (is_choice && last != NULL && last->kind == kind &&
        (is_full || (last->due_ms == c->now_ms && last->sequence + last->count == sequence))) {
        last->count++;
        return;
    }
    assert(!is_full);
    c->deferred[c->deferred_count++] =
        (tarn__deferred){.kind = kind, .due_ms = c->now_ms, .sequence = sequence, .count = 1};
}

static tarn__deferred_kind take_deferred(tarn_coordinator *c)
{
    tarn__deferred *first = &c->deferred[0];
    const tarn__deferred_kind kind = first->kind;
    first->sequence++;
    first->count--;
    if (first->count == 0) {
        c->deferred_count--;
        memmove(first, first + 1, c->deferred_count * sizeof *first);
    }
    return kind;
}

static void run_deferred(tarn_coordinator *c)
{
    switch (take_deferred(c)) {
    case TARN__DEFERRED_CHOOSE:
        tarn__request_choose(c);
        break;
    case TARN__DEFERRED_CREATE:
        tarn__start_create(c);
        break;
    case TARN__DEFERRED_REFUSE:
        tarn__start_refuse(c);
        break;
    }
}

/* What is due first. */
typedef struct due {
    enum { DUE_NOTHING, DUE_TIMER, DUE_DEADLINE, DUE_DEFERRED } what;
    uint64_t at_ms;
    uint64_t sequence;
    tarn__pending *pending;
} due;

static void prefer(due *best, due candidate)
{
    if (best->what == DUE_NOTHING || candidate.at_ms < best->at_ms ||
        (candidate.at_ms == best->at_ms && candidate.sequence < best->sequence)) {
        *best = candidate;
    }
}

static due find_due(const tarn_coordinator *c)
{
    due best = {.what = DUE_NOTHING, .at_ms = TARN_COORDINATOR_NEVER};
    if (c->is_timer_set) {
        prefer(&best, (due){DUE_TIMER, c->timer_ms, c->timer_sequence, NULL});
    }
    for (uint32_t i = 0; i < c->pending_count; i++) {
        tarn__pending *pending = &c->slots[c->order[i]];
        if (tarn__pending_is_timed(pending)) {
            prefer(&best, (due){DUE_DEADLINE, pending->deadline_ms, pending->sequence, pending});
        }
    }
    if (c->deferred_count > 0) {
        const tarn__deferred *first = &c->deferred[0];
        prefer(&best, (due){DUE_DEFERRED, first->due_ms, first->sequence, NULL});
    }
    return best;
}

/* Runs what is due, first things first, as long as room effects are left. */
static void run_due(tarn_coordinator *c, uint32_t room)
{
    while (c->effects_max - c->effect_count >= room) {
        const due first = find_due(c);
        if (first.what == DUE_NOTHING || first.at_ms > c->now_ms) {
            return;
        }
        switch (first.what) {
        case DUE_NOTHING:
            break;
        case DUE_TIMER:
            tarn__timer_fire(c);
            break;
        case DUE_DEADLINE:
            tarn__pending_abort(
                c,
                first.pending,
                TARN_FAILURE_CHECKPOINT_EXPIRED,
                /* is_from_task= */ false,
                TARN_COORDINATOR_NO_TASK);
            break;
        case DUE_DEFERRED:
            run_deferred(c);
            break;
        }
    }
}

/* Events */

static void stop(tarn_coordinator *c, tarn_checkpoint_failure reason)
{
    c->is_started = false;
    tarn__request_reject_all(c, reason);
    tarn__pending_abort_all(c, reason);
}

static tarn_coordinator_verdict handle_start(tarn_coordinator *c, uint64_t delay_ms)
{
    if (c->is_shut_down || c->options.interval_ms == TARN_COORDINATOR_NEVER) {
        return TARN_VERDICT_REFUSED;
    }
    if (c->is_started) {
        stop(c, TARN_FAILURE_CHECKPOINT_COORDINATOR_SUSPEND);
    }
    c->is_started = true;
    tarn__timer_set(c, delay_ms);
    return TARN_VERDICT_TAKEN;
}

static tarn_coordinator_verdict handle_shutdown(tarn_coordinator *c, tarn_job_end job_end)
{
    if (c->is_shut_down || (uint32_t)job_end > TARN_JOB_SUSPENDED) {
        return TARN_VERDICT_REFUSED;
    }
    c->is_shut_down = true;
    c->job_end = job_end;
    stop(c, TARN_FAILURE_CHECKPOINT_COORDINATOR_SHUTDOWN);
    c->is_end_deferred = c->pending_count > 0;
    if (!c->is_end_deferred) {
        tarn__pending_end_store(c);
    }
    return TARN_VERDICT_TAKEN;
}

static tarn_coordinator_verdict handle_request(
    tarn_coordinator *c, const tarn_coordinator_event *event)
{
    if ((uint32_t)event->kind_wanted > TARN_CHECKPOINT_SAVEPOINT_TERMINATE) {
        return TARN_VERDICT_REFUSED;
    }
    tarn__request_submit(
        c,
        (tarn__request){
            .request_id = event->request_id,
            .kind = event->kind_wanted,
            .is_forced = tarn__kind_is_savepoint(event->kind_wanted) && !c->options.is_unaligned,
        });
    return TARN_VERDICT_TAKEN;
}

static tarn_coordinator_verdict handle_task(
    tarn_coordinator *c, const tarn_coordinator_event *event)
{
    if (event->task >= c->job.task_count) {
        return TARN_VERDICT_UNKNOWN;
    }
    if (event->kind == TARN_COORDINATOR_TASK_FAILED) {
        tarn__pending_abort_task(c, event->task);
    } else if (event->kind == TARN_COORDINATOR_TASK_RESTARTED) {
        c->attempts[event->task] = event->attempt;
        c->task_states[event->task] = TARN_TASK_RUNNING;
    } else if ((uint32_t)event->task_state > TARN_TASK_FINISHED) {
        return TARN_VERDICT_REFUSED;
    } else {
        c->task_states[event->task] = event->task_state;
    }
    return TARN_VERDICT_TAKEN;
}

/* Events of tasks are not listened to after the end. */
static tarn_coordinator_verdict handle_report(
    tarn_coordinator *c, const tarn_coordinator_event *event)
{
    if (c->is_shut_down || (uint32_t)event->reason >= TARN_CHECKPOINT_FAILURE_COUNT) {
        return TARN_VERDICT_REFUSED;
    }
    if (event->kind == TARN_COORDINATOR_ACK) {
        return tarn__pending_acknowledge(c, event->checkpoint_id, event->task, event->attempt);
    }
    return tarn__pending_decline(c, event->checkpoint_id, event->task, event->reason);
}

static tarn_coordinator_verdict handle_not_triggered(tarn_coordinator *c, uint64_t id)
{
    tarn__pending *pending = tarn__pending_find(c, id);
    if (pending == NULL || pending->phase != TARN__PHASE_COLLECTING) {
        return tarn__pending_verdict(c, id);
    }
    tarn__pending_abort(
        c,
        pending,
        TARN_FAILURE_TRIGGER_CHECKPOINT_FAILURE,
        /* is_from_task= */ false,
        TARN_COORDINATOR_NO_TASK);
    return TARN_VERDICT_TAKEN;
}

static tarn_coordinator_verdict handle(tarn_coordinator *c, const tarn_coordinator_event *event)
{
    const uint64_t id = event->checkpoint_id;
    switch (event->kind) {
    case TARN_COORDINATOR_TICK:
        return TARN_VERDICT_TAKEN;
    case TARN_COORDINATOR_START:
        return handle_start(c, event->delay_ms);
    case TARN_COORDINATOR_STOP:
        tarn__timer_cancel(c);
        stop(c, TARN_FAILURE_CHECKPOINT_COORDINATOR_SUSPEND);
        return TARN_VERDICT_TAKEN;
    case TARN_COORDINATOR_BACKLOG:
        c->is_backlog = event->is_on;
        tarn__timer_follow_backlog(c);
        return TARN_VERDICT_TAKEN;
    case TARN_COORDINATOR_REQUEST:
        return handle_request(c, event);
    case TARN_COORDINATOR_TASK_STATE:
    case TARN_COORDINATOR_TASK_RESTARTED:
    case TARN_COORDINATOR_TASK_FAILED:
        return handle_task(c, event);
    case TARN_COORDINATOR_JOB_FAILOVER:
        tarn__pending_abort_all(c, TARN_FAILURE_JOB_FAILOVER_REGION);
        return TARN_VERDICT_TAKEN;
    case TARN_COORDINATOR_SHUTDOWN:
        return handle_shutdown(c, event->job_end);
    case TARN_COORDINATOR_BEGUN:
        return tarn__start_begun(c, id);
    case TARN_COORDINATOR_NOT_BEGUN:
        return tarn__start_not_begun(c, id, event->is_id_spent);
    case TARN_COORDINATOR_NOT_TRIGGERED:
        return handle_not_triggered(c, id);
    case TARN_COORDINATOR_ACK:
    case TARN_COORDINATOR_DECLINE:
        return handle_report(c, event);
    case TARN_COORDINATOR_WRITTEN:
        return tarn__pending_written(c, id, event->write_outcome);
    case TARN_COORDINATOR_DISCARDED:
        return tarn__pending_discarded(c, id);
    }
    return TARN_VERDICT_REFUSED;
}

tarn_coordinator_effects tarn_coordinator_step(
    tarn_coordinator *coordinator, const tarn_coordinator_event *event)
{
    tarn_coordinator *c = coordinator;
    c->step_count++;
    c->effect_count = 0;
    if (event->now_ms < c->now_ms) {
        c->figures.out_of_order_count++;
    } else {
        c->now_ms = event->now_ms;
    }
    /* The deadline comes before the event: what arrives at the deadline arrives too late. */
    run_due(c, c->event_effects_max + TARN__EFFECTS_MARGIN);
    const tarn_coordinator_verdict verdict = handle(c, event);
    run_due(c, TARN__EFFECTS_MARGIN);
    return (tarn_coordinator_effects){
        .items = c->effects,
        .count = c->effect_count,
        .verdict = verdict,
    };
}

/* What can be read */

uint64_t tarn_coordinator_next_ms(const tarn_coordinator *coordinator)
{
    const due first = find_due(coordinator);
    if (first.what != DUE_NOTHING && first.at_ms < coordinator->now_ms) {
        return coordinator->now_ms;
    }
    return first.at_ms;
}

uint64_t tarn_coordinator_initial_delay(const tarn_coordinator *coordinator, uint64_t random)
{
    const uint64_t min_ms = coordinator->options.min_pause_ms;
    if (coordinator->options.interval_ms == TARN_COORDINATOR_NEVER) {
        return TARN_COORDINATOR_NEVER;
    }
    return min_ms + random % (coordinator->interval_ms - min_ms + 1);
}

void tarn_coordinator_read_figures(
    const tarn_coordinator *coordinator, tarn_coordinator_figures *out)
{
    const tarn_coordinator *c = coordinator;
    *out = c->figures;
    out->pending_count = c->pending_count;
    out->queued_count = c->queue_count;
    out->stored_count = c->store.count;
    out->cleaning_count = c->cleaning_count;
    out->consecutive_failures = c->failures;
    out->next_periodic_ms = c->is_timer_set ? c->timer_nominal_ms : TARN_COORDINATOR_NEVER;
    out->latest_completed_id = tarn__store_latest_id(&c->store);
}

uint32_t tarn_coordinator_list_pending(
    const tarn_coordinator *coordinator, uint64_t *ids, uint64_t *deadlines_ms, uint32_t capacity)
{
    for (uint32_t i = 0; i < coordinator->pending_count && i < capacity; i++) {
        const tarn__pending *pending = &coordinator->slots[coordinator->order[i]];
        ids[i] = pending->id;
        if (deadlines_ms != NULL) {
            deadlines_ms[i] = pending->deadline_ms;
        }
    }
    return coordinator->pending_count;
}

uint32_t tarn_coordinator_list_stored(
    const tarn_coordinator *coordinator, uint64_t *ids, uint32_t capacity)
{
    for (uint32_t i = 0; i < coordinator->store.count && i < capacity; i++) {
        ids[i] = coordinator->store.entries[i].id;
    }
    return coordinator->store.count;
}

static bool is_pending_valid(const tarn_coordinator *c, const tarn__pending *pending)
{
    uint32_t awaited = 0;
    for (uint32_t task = 0; task < c->job.task_count; task++) {
        awaited += pending->members[task] == TARN__MEMBER_AWAITED ? 1 : 0;
    }
    const bool is_done =
        pending->phase == TARN__PHASE_READY || pending->phase == TARN__PHASE_WRITING;
    return awaited == pending->awaited_count && (!is_done || awaited == 0) &&
           pending->acked_count + awaited == pending->plan.awaited_count;
}

bool tarn__coordinator_is_valid(const tarn_coordinator *c)
{
    uint64_t previous_id = 0;
    uint32_t writing = 0;
    uint32_t ready = 0;
    uint32_t beginning = 0;
    for (uint32_t i = 0; i < c->pending_count; i++) {
        const tarn__pending *pending = &c->slots[c->order[i]];
        if (pending->id <= previous_id || pending->id >= c->next_id ||
            !is_pending_valid(c, pending)) {
            return false;
        }
        previous_id = pending->id;
        writing += pending->phase == TARN__PHASE_WRITING ? 1 : 0;
        ready += pending->phase == TARN__PHASE_READY ? 1 : 0;
        beginning += pending->phase == TARN__PHASE_BEGINNING ? 1 : 0;
    }
    const bool is_starting_valid =
        beginning == (c->starting_state == TARN__STARTING_BEGINNING ? 1 : 0);
    return writing <= 1 && (ready == 0 || writing == 1) && is_starting_valid &&
           c->pending_count <= c->options.pending_max && c->queue_count <= c->options.queue_max &&
           c->cleaning_count <= c->cleaning_max && c->store.count <= c->store.capacity &&
           c->effect_count <= c->effects_max && tarn_coordinator_next_ms(c) >= c->now_ms;
}
