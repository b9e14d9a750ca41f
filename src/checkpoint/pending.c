/* pending.c - checkpoints under way: what tasks say about them, how they end, what follows. */
#include <assert.h>
#include <string.h>

#include "checkpoint/coordinator.h"

/* The list */

tarn__pending *tarn__pending_find(tarn_coordinator *c, uint64_t id)
{
    for (uint32_t i = 0; i < c->pending_count; i++) {
        if (c->slots[c->order[i]].id == id) {
            return &c->slots[c->order[i]];
        }
    }
    return NULL;
}

void tarn__pending_append(tarn_coordinator *c, uint32_t slot)
{
    assert(c->pending_count < c->options.pending_max);
    c->order[c->pending_count++] = slot;
}

void tarn__pending_remove(tarn_coordinator *c, tarn__pending *pending)
{
    uint32_t position = 0;
    while (&c->slots[c->order[position]] != pending) {
        position++;
        assert(position < c->pending_count);
    }
    c->pending_count--;
    memmove(
        c->order + position,
        c->order + position + 1,
        (c->pending_count - position) * sizeof *c->order);
    pending->phase = TARN__PHASE_FREE;
    pending->freed_step = c->step_count;
}

bool tarn__pending_is_timed(const tarn__pending *pending)
{
    return pending->phase == TARN__PHASE_BEGINNING || pending->phase == TARN__PHASE_COLLECTING;
}

/* Acknowledgements of expired checkpoints are still on their way; others should not be. */
static void remember_expired(tarn_coordinator *c, uint64_t id)
{
    c->recent[c->recent_next] = id;
    c->recent_next = (c->recent_next + 1) % TARN__RECENT_COUNT;
    c->recent_count += c->recent_count < TARN__RECENT_COUNT ? 1 : 0;
}

/* What to think of an event about a checkpoint that it cannot be about. Counts it. */
tarn_coordinator_verdict tarn__pending_verdict(tarn_coordinator *c, uint64_t id)
{
    bool is_recent = tarn__pending_find(c, id) != NULL;
    for (uint32_t i = 0; i < c->recent_count; i++) {
        is_recent = is_recent || c->recent[i] == id;
    }
    if (is_recent) {
        c->figures.late_count++;
        return TARN_VERDICT_LATE;
    }
    c->figures.unknown_count++;
    return TARN_VERDICT_UNKNOWN;
}

/* Deletions */

static tarn_coordinator_effect *discard(tarn_coordinator *c, uint64_t id, bool is_awaited)
{
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_DISCARD);
    effect->checkpoint_id = id;
    effect->is_awaited = is_awaited;
    if (is_awaited) {
        assert(c->cleaning_count < c->cleaning_max);
        c->cleaning[c->cleaning_count++] = (tarn__cleaning){.id = id};
    }
    return effect;
}

void tarn__pending_discard(tarn_coordinator *c, uint64_t id, const tarn__pending *pending)
{
    tarn_coordinator_effect *effect = discard(c, id, /* is_awaited= */ true);
    if (pending != NULL) {
        effect->checkpoint_kind = pending->request.kind;
        effect->tasks = pending->acked;
        effect->task_count = pending->acked_count;
    }
}

tarn_coordinator_verdict tarn__pending_discarded(tarn_coordinator *c, uint64_t id)
{
    for (uint32_t i = 0; i < c->cleaning_count; i++) {
        if (c->cleaning[i].id == id) {
            const bool is_quiet = c->cleaning[i].is_quiet && c->is_timer_set;
            c->cleaning_count--;
            memmove(
                c->cleaning + i,
                c->cleaning + i + 1,
                (c->cleaning_count - i) * sizeof *c->cleaning);
            if (!is_quiet) {
                tarn__coordinator_defer(c, TARN__DEFERRED_CHOOSE);
            }
            return TARN_VERDICT_TAKEN;
        }
    }
    return tarn__pending_verdict(c, id);
}

void tarn__pending_end_store(tarn_coordinator *c)
{
    c->is_end_deferred = false;
    tarn__store_end(&c->store, c->job_end);
    for (uint32_t i = 0; i < c->store.discarded_count; i++) {
        discard(c, c->store.discarded[i].id, /* is_awaited= */ false)->is_completed = true;
    }
}

/* Giving up */

static void announce_abort(
    tarn_coordinator *c, const tarn__pending *pending, tarn_checkpoint_failure reason)
{
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_ABORTED);
    effect->checkpoint_id = pending->id;
    effect->checkpoint_kind = pending->request.kind;
    effect->request_id = pending->request.request_id;
    effect->is_periodic = pending->request.is_periodic;
    effect->reason = reason;
    c->figures.aborted_count++;
}

static void notify(
    tarn_coordinator *c,
    const tarn__pending *pending,
    tarn_coordinator_effect_kind kind,
    uint64_t other_id)
{
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, kind);
    effect->checkpoint_id = pending->id;
    effect->checkpoint_kind = pending->request.kind;
    effect->other_id = other_id;
    effect->tasks = pending->plan.awaited;
    effect->task_count = pending->plan.awaited_count;
}

void tarn__pending_abort(
    tarn_coordinator *c,
    tarn__pending *pending,
    tarn_checkpoint_failure reason,
    bool is_from_task,
    uint32_t task)
{
    assert(
        pending->phase != TARN__PHASE_WRITING ||
        reason == TARN_FAILURE_FINALIZE_CHECKPOINT_FAILURE);
    const bool has_place = pending->phase != TARN__PHASE_BEGINNING;
    announce_abort(c, pending, reason);
    if (has_place) {
        tarn__pending_discard(c, pending->id, pending);
    } else {
        c->starting_state = TARN__STARTING_GIVEN_UP;
    }
    tarn__failure_account(c, pending->id, pending->request.kind, reason, is_from_task, task);
    notify(c, pending, TARN_EFFECT_NOTIFY_ABORTED, tarn__store_latest_id(&c->store));
    if (c->starting_state == TARN__STARTING_EMPTY && c->starting_id == pending->id) {
        c->starting_state = TARN__STARTING_NONE;
    }
    if (reason == TARN_FAILURE_CHECKPOINT_EXPIRED) {
        remember_expired(c, pending->id);
    }
    tarn__pending_remove(c, pending);
    tarn__coordinator_defer(c, TARN__DEFERRED_CHOOSE);
}

/* Aborts for the coordinator's own reasons. */
static void abort_own(tarn_coordinator *c, tarn__pending *pending, tarn_checkpoint_failure reason)
{
    tarn__pending_abort(c, pending, reason, /* is_from_task= */ false, TARN_COORDINATOR_NO_TASK);
}

/* A write under way is awaited, whatever happens: its outcome decides. */
void tarn__pending_abort_all(tarn_coordinator *c, tarn_checkpoint_failure reason)
{
    uint32_t position = 0;
    while (position < c->pending_count) {
        tarn__pending *pending = &c->slots[c->order[position]];
        if (pending->phase == TARN__PHASE_WRITING) {
            position++;
        } else {
            abort_own(c, pending, reason);
        }
    }
}

void tarn__pending_abort_task(tarn_coordinator *c, uint32_t task)
{
    uint32_t position = 0;
    while (position < c->pending_count) {
        tarn__pending *pending = &c->slots[c->order[position]];
        if (pending->members[task] == TARN__MEMBER_AWAITED &&
            pending->attempts[task] == c->attempts[task]) {
            abort_own(c, pending, TARN_FAILURE_TASK_FAILURE);
        } else {
            position++;
        }
    }
}

static void abort_subsumed(tarn_coordinator *c, uint64_t by_id)
{
    uint32_t position = 0;
    while (position < c->pending_count) {
        tarn__pending *pending = &c->slots[c->order[position]];
        if (pending->id < by_id && !tarn__kind_is_savepoint(pending->request.kind)) {
            abort_own(c, pending, TARN_FAILURE_CHECKPOINT_SUBSUMED);
        } else {
            position++;
        }
    }
}

/* Acknowledgements */

static void discard_state(tarn_coordinator *c, uint64_t id, uint32_t task, uint32_t attempt)
{
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_DISCARD_STATE);
    effect->checkpoint_id = id;
    effect->task = task;
    effect->attempt = attempt;
}

static bool is_member(
    const tarn_coordinator *c, const tarn__pending *pending, uint32_t task, uint32_t attempt)
{
    return task < c->job.task_count && pending->members[task] != TARN__MEMBER_NOT &&
           pending->attempts[task] == attempt;
}

tarn_coordinator_verdict tarn__pending_acknowledge(
    tarn_coordinator *c, uint64_t id, uint32_t task, uint32_t attempt)
{
    tarn__pending *pending = tarn__pending_find(c, id);
    if (pending == NULL) {
        discard_state(c, id, task, attempt);
        return tarn__pending_verdict(c, id);
    }
    if (!is_member(c, pending, task, attempt)) {
        discard_state(c, id, task, attempt);
        c->figures.foreign_count++;
        return TARN_VERDICT_FOREIGN;
    }
    if (pending->members[task] == TARN__MEMBER_ACKED) {
        c->figures.duplicate_count++;
        return TARN_VERDICT_DUPLICATE;
    }
    pending->members[task] = TARN__MEMBER_ACKED;
    pending->acked[pending->acked_count++] = task;
    pending->awaited_count--;
    if (pending->awaited_count == 0 && pending->phase == TARN__PHASE_COLLECTING) {
        tarn__pending_ready(c, pending);
    }
    return TARN_VERDICT_TAKEN;
}

tarn_coordinator_verdict tarn__pending_decline(
    tarn_coordinator *c, uint64_t id, uint32_t task, tarn_checkpoint_failure reason)
{
    tarn__pending *pending = tarn__pending_find(c, id);
    if (pending == NULL || !tarn__pending_is_timed(pending)) {
        return tarn__pending_verdict(c, id);
    }
    tarn__pending_abort(c, pending, reason, /* is_from_task= */ true, task);
    return TARN_VERDICT_TAKEN;
}

/* Completion */

/* Writes the checkpoint that has been ready for longest, unless another one is being written. */
static void write_next(tarn_coordinator *c)
{
    tarn__pending *first = NULL;
    for (uint32_t i = 0; i < c->pending_count; i++) {
        tarn__pending *pending = &c->slots[c->order[i]];
        if (pending->phase == TARN__PHASE_WRITING) {
            return;
        }
        if (pending->phase == TARN__PHASE_READY &&
            (first == NULL || pending->sequence < first->sequence)) {
            first = pending;
        }
    }
    if (first == NULL) {
        return;
    }
    first->phase = TARN__PHASE_WRITING;
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_WRITE);
    effect->checkpoint_id = first->id;
    effect->checkpoint_kind = first->request.kind;
    effect->tasks = first->acked;
    effect->task_count = first->acked_count;
}

void tarn__pending_ready(tarn_coordinator *c, tarn__pending *pending)
{
    pending->phase = TARN__PHASE_READY;
    pending->sequence = c->sequence++;
    write_next(c);
}

/* Retains a checkpoint; the id of the newest one that it makes go and that is deleted, or 0. */
static uint64_t retain(tarn_coordinator *c, uint64_t id)
{
    uint64_t last_subsumed_id = 0;
    tarn__store_add(&c->store, (tarn__store_entry){.id = id, .is_owned = true});
    c->is_next_full = false;
    for (uint32_t i = 0; i < c->store.subsumed_count; i++) {
        const tarn__store_entry *entry = &c->store.subsumed[i];
        tarn__coordinator_emit(c, TARN_EFFECT_SUBSUMED)->checkpoint_id = entry->id;
        last_subsumed_id = entry->is_owned ? entry->id : 0;
    }
    for (uint32_t i = 0; i < c->store.discarded_count; i++) {
        discard(c, c->store.discarded[i].id, /* is_awaited= */ true)->is_completed = true;
    }
    return last_subsumed_id;
}

static void announce_completion(tarn_coordinator *c, const tarn__pending *pending)
{
    tarn_coordinator_effect *effect = tarn__coordinator_emit(c, TARN_EFFECT_COMPLETED);
    effect->checkpoint_id = pending->id;
    effect->checkpoint_kind = pending->request.kind;
    effect->request_id = pending->request.request_id;
    effect->is_periodic = pending->request.is_periodic;
    const uint64_t duration_ms = c->now_ms - pending->began_ms;
    c->figures.completed_count++;
    if (duration_ms > c->figures.longest_duration_ms) {
        c->figures.longest_duration_ms = duration_ms;
    }
}

/* The queue is looked at twice: when the checkpoint ends, and when its slot is free. */
static void complete(tarn_coordinator *c, tarn__pending *pending)
{
    const bool is_savepoint = tarn__kind_is_savepoint(pending->request.kind);
    tarn__coordinator_defer(c, TARN__DEFERRED_CHOOSE);
    const uint64_t subsumed_id = is_savepoint ? 0 : retain(c, pending->id);
    announce_completion(c, pending);
    tarn__failure_forget(c, pending->id);
    tarn__pending_remove(c, pending);
    tarn__coordinator_defer(c, TARN__DEFERRED_CHOOSE);
    c->completed_ms = c->now_ms;
    c->has_completed = true;
    if (!is_savepoint || tarn__kind_stops_job(pending->request.kind)) {
        abort_subsumed(c, pending->id);
        notify(c, pending, TARN_EFFECT_NOTIFY_COMPLETE, subsumed_id);
    }
}

/* The metadata was written, but nobody will find it, or nobody knows. */
static void lose(tarn_coordinator *c, tarn__pending *pending, bool is_deletable)
{
    const tarn_checkpoint_failure reason = TARN_FAILURE_FINALIZE_CHECKPOINT_FAILURE;
    tarn__coordinator_defer(c, TARN__DEFERRED_CHOOSE);
    announce_abort(c, pending, reason);
    if (is_deletable) {
        discard(c, pending->id, /* is_awaited= */ true)->is_completed = true;
        c->cleaning[c->cleaning_count - 1].is_quiet = true;
    }
    tarn__failure_account(
        c,
        pending->id,
        pending->request.kind,
        reason,
        /* is_from_task= */ false,
        TARN_COORDINATOR_NO_TASK);
    notify(c, pending, TARN_EFFECT_NOTIFY_ABORTED, tarn__store_latest_id(&c->store));
    tarn__pending_remove(c, pending);
    tarn__coordinator_defer(c, TARN__DEFERRED_CHOOSE);
}

tarn_coordinator_verdict tarn__pending_written(
    tarn_coordinator *c, uint64_t id, tarn_write_outcome outcome)
{
    tarn__pending *pending = tarn__pending_find(c, id);
    if (pending == NULL || pending->phase != TARN__PHASE_WRITING) {
        return tarn__pending_verdict(c, id);
    }
    if ((uint32_t)outcome > TARN_WRITE_UNKNOWN) {
        return TARN_VERDICT_REFUSED; /* It is still awaited. */
    }
    const bool was_starting = c->starting_state == TARN__STARTING_EMPTY && c->starting_id == id;
    switch (outcome) {
    case TARN_WRITE_DURABLE:
        complete(c, pending);
        break;
    case TARN_WRITE_FAILED:
        abort_own(c, pending, TARN_FAILURE_FINALIZE_CHECKPOINT_FAILURE);
        tarn__coordinator_defer(c, TARN__DEFERRED_CHOOSE);
        break;
    case TARN_WRITE_NOT_RECORDED:
        lose(c, pending, /* is_deletable= */ true);
        break;
    case TARN_WRITE_UNKNOWN:
        lose(c, pending, /* is_deletable= */ false);
        break;
    }
    if (c->is_end_deferred) {
        tarn__pending_end_store(c);
    }
    write_next(c);
    if (was_starting) {
        tarn__start_end(c);
    }
    return TARN_VERDICT_TAKEN;
}
