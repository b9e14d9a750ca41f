/* aligner.c - exactly once: barriers that are aligned, overtake data, or do both in turn. */
#include <assert.h>
#include <string.h>

#include "base/try.h"

#include "checkpoint/aligner.h"

enum { CHANNELS_MAX = 1000000 };

tarn_status tarn__aligner_init(
    tarn_aligner *aligner,
    uint32_t channel_count,
    bool is_at_least_once,
    tarn__account *account,
    tarn_error *error)
{
    if (channel_count == 0 || channel_count > CHANNELS_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%u input channels are not within 1 .. %d",
            channel_count,
            CHANNELS_MAX);
    }
    tarn_aligner a = {
        .is_at_least_once = is_at_least_once,
        .channel_count = channel_count,
        .open_count = channel_count,
        .deadline_ms = UINT64_MAX,
        /* A new checkpoint may end one: each channel is unblocked, kept, and unblocked again. */
        .effects_max = 4 * channel_count + 2 * TARN__TRACKED_MAX + 8,
    };
    const size_t tracked_max = is_at_least_once ? TARN__TRACKED_MAX : 1;
    a.channels = tarn__allocate_zeroed(account, channel_count, sizeof *a.channels);
    a.effects = tarn__allocate_zeroed(account, a.effects_max, sizeof *a.effects);
    a.tracked = tarn__allocate_zeroed(account, tracked_max, sizeof *a.tracked);
    a.tracked_reached = tarn__allocate_zeroed(account, tracked_max, channel_count);
    if (a.channels == NULL || a.effects == NULL || a.tracked == NULL || a.tracked_reached == NULL) {
        tarn__aligner_clear(&a);
        return tarn__fail(
            error,
            TARN_NO_MEMORY,
            "cannot allocate a barrier aligner of %u channels",
            channel_count);
    }
    for (size_t i = 0; i < tracked_max; i++) {
        a.tracked[i].is_reached = a.tracked_reached + i * channel_count;
    }
    *aligner = a;
    return TARN_OK;
}

void tarn__aligner_clear(tarn_aligner *aligner)
{
    tarn__release(aligner->channels);
    tarn__release(aligner->effects);
    tarn__release(aligner->tracked);
    tarn__release(aligner->tracked_reached);
    *aligner = (tarn_aligner){.channel_count = 0};
}

tarn_alignment_effect *tarn__aligner_emit(
    tarn_aligner *aligner, tarn_alignment_effect_kind kind, uint64_t checkpoint_id)
{
    assert(aligner->effect_count < aligner->effects_max);
    tarn_alignment_effect *effect = &aligner->effects[aligner->effect_count++];
    *effect = (tarn_alignment_effect){.kind = kind, .checkpoint_id = checkpoint_id};
    return effect;
}

static tarn_alignment_effect *emit_channel(
    tarn_aligner *a, tarn_alignment_effect_kind kind, uint32_t channel)
{
    tarn_alignment_effect *effect = tarn__aligner_emit(a, kind, a->current_id);
    effect->channel = channel;
    return effect;
}

/* The end of a checkpoint */

static void unblock_all(tarn_aligner *a)
{
    for (uint32_t i = 0; i < a->channel_count; i++) {
        if (a->channels[i].is_blocked) {
            a->channels[i].is_blocked = false;
            emit_channel(a, TARN_ALIGN_UNBLOCK, i);
        }
    }
}

static void forget(tarn_aligner *a)
{
    a->is_pending = false;
    a->is_unaligned = false;
    a->deadline_ms = UINT64_MAX;
}

void tarn__aligner_note_completion(
    tarn_aligner *aligner, uint64_t first_ms, uint64_t processed_bytes)
{
    tarn_alignment_figures *f = &aligner->figures;
    f->completed_count++;
    f->alignment_ms_last = aligner->now_ms - first_ms;
    if (f->alignment_ms_last > f->alignment_ms_max) {
        f->alignment_ms_max = f->alignment_ms_last;
    }
    f->processed_bytes_last = processed_bytes;
    f->kept_bytes_last = aligner->kept_bytes;
}

static void complete(tarn_aligner *a)
{
    tarn__aligner_emit(a, TARN_ALIGN_COMPLETE, a->current_id);
    tarn__aligner_note_completion(a, a->first_ms, a->processed_bytes);
    a->keeps_for_last = a->is_unaligned;
    forget(a);
}

static void abandon(tarn_aligner *a, tarn_checkpoint_failure reason, bool is_known)
{
    tarn_alignment_effect *effect = tarn__aligner_emit(a, TARN_ALIGN_ABANDONED, a->current_id);
    effect->reason = reason;
    effect->is_known = is_known;
    a->figures.abandoned_count++;
    a->keeps_for_last = false;
    unblock_all(a);
    forget(a);
}

/* Those that are given up before they come: they end nothing that is older. */

static bool is_given_up(const tarn_aligner *a, uint64_t id)
{
    bool is_found = false;
    for (uint32_t i = 0; i < a->given_up_count; i++) {
        is_found = is_found || a->given_up[i] == id;
    }
    return is_found;
}

static void remove_given_up(tarn_aligner *a, uint32_t count)
{
    a->given_up_count -= count;
    memmove(a->given_up, a->given_up + count, a->given_up_count * sizeof *a->given_up);
}

/* Older ones cannot come any more. */
static void set_current(tarn_aligner *a, uint64_t id)
{
    uint32_t older_count = 0;
    a->current_id = id;
    while (older_count < a->given_up_count && a->given_up[older_count] <= id) {
        older_count++;
    }
    remove_given_up(a, older_count);
}

/* Takes the place of the oldest in a full list, which then is no longer waited for. */
static void note_given_up(tarn_aligner *a, uint64_t id)
{
    tarn_alignment_effect *effect = tarn__aligner_emit(a, TARN_ALIGN_ABANDONED, id);
    effect->reason = TARN_FAILURE_CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER;
    effect->is_known = true;
    a->figures.abandoned_count++;
    if (a->given_up_count == TARN__GIVEN_UP_MAX) {
        const uint64_t oldest = a->given_up[0] < id ? a->given_up[0] : id;
        if (a->is_pending) {
            abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED, /* is_known= */ false);
        }
        set_current(a, oldest);
    }
    if (id > a->current_id) {
        uint32_t position = a->given_up_count++;
        while (position > 0 && a->given_up[position - 1] > id) {
            a->given_up[position] = a->given_up[position - 1];
            position--;
        }
        a->given_up[position] = id;
    }
}

/*
 * Its barriers are passed over. But a channel that brings one, and has not brought the current
 * checkpoint's, will not bring that any more.
 */
static void pass_given_up(tarn_aligner *a, const tarn_barrier *event)
{
    const bool is_in_turn =
        event->kind == TARN_BARRIER_REACHED || event->kind == TARN_BARRIER_CANCELLED;
    a->figures.stale_count++;
    if (a->is_pending && is_in_turn && !a->channels[event->channel].has_arrived) {
        abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED, /* is_known= */ false);
    }
}

/* Its way */

static void begin(tarn_aligner *a, const tarn_barrier *event)
{
    if (a->is_pending) {
        abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED, /* is_known= */ false);
    }
    set_current(a, event->checkpoint_id);
    a->is_pending = true;
    a->first_ms = a->now_ms;
    a->arrived_count = 0;
    a->reached_count = 0;
    a->processed_bytes = 0;
    a->kept_bytes = 0;
    const bool is_timed = event->alignment == TARN_ALIGNMENT_TIMED;
    a->deadline_ms = is_timed && event->timeout_ms < UINT64_MAX - a->now_ms
                         ? a->now_ms + event->timeout_ms
                         : UINT64_MAX;
    for (uint32_t i = 0; i < a->channel_count; i++) {
        a->channels[i].has_arrived = false;
        a->channels[i].is_reached = false;
    }
}

/* What is in flight becomes part of the checkpoint, so that nothing has to wait any more. */
static void go_unaligned(tarn_aligner *a)
{
    for (uint32_t i = 0; i < a->channel_count; i++) {
        const tarn__channel *channel = &a->channels[i];
        if (!channel->is_ended && !channel->is_reached) {
            emit_channel(a, TARN_ALIGN_KEEP, i)->is_open = !channel->has_arrived;
        }
    }
    tarn__aligner_emit(a, TARN_ALIGN_SNAPSHOT, a->current_id)->is_unaligned = true;
    unblock_all(a);
    a->is_unaligned = true;
    a->deadline_ms = UINT64_MAX;
    if (a->arrived_count == a->open_count) {
        complete(a);
    }
}

static void finish_aligned(tarn_aligner *a)
{
    tarn__aligner_emit(a, TARN_ALIGN_SNAPSHOT, a->current_id);
    unblock_all(a);
    complete(a);
}

static void mark_arrived(tarn_aligner *a, uint32_t channel)
{
    if (a->channels[channel].has_arrived) {
        return;
    }
    a->channels[channel].has_arrived = true;
    a->arrived_count++;
    if (a->is_unaligned) {
        emit_channel(a, TARN_ALIGN_KEPT, channel);
        if (a->arrived_count == a->open_count) {
            complete(a);
        }
    }
}

static bool is_stale(const tarn_aligner *a, uint64_t id)
{
    return id < a->current_id || (id == a->current_id && !a->is_pending);
}

static void arrive(tarn_aligner *a, const tarn_barrier *event)
{
    const bool is_new = event->checkpoint_id > a->current_id;
    if (event->alignment == TARN_ALIGNMENT_ALIGNED && is_new) {
        return; /* It waits its turn behind the data before it. */
    }
    if (is_new) {
        begin(a, event);
    }
    mark_arrived(a, event->channel);
    if (a->is_pending && !a->is_unaligned && event->alignment == TARN_ALIGNMENT_UNALIGNED) {
        go_unaligned(a);
    }
}

static void reach(tarn_aligner *a, const tarn_barrier *event)
{
    tarn__channel *channel = &a->channels[event->channel];
    if (event->checkpoint_id > a->current_id) {
        begin(a, event);
    }
    if (channel->is_reached) {
        a->figures.stale_count++;
        return;
    }
    mark_arrived(a, event->channel);
    if (!a->is_pending || a->is_unaligned) {
        return;
    }
    channel->is_reached = true;
    a->reached_count++;
    if (a->reached_count == a->open_count) {
        finish_aligned(a);
    } else if (event->alignment == TARN_ALIGNMENT_UNALIGNED) {
        go_unaligned(a);
    } else {
        channel->is_blocked = true;
        emit_channel(a, TARN_ALIGN_BLOCK, event->channel);
    }
}

/* A channel that has ended stands for one whose barrier has come and was reached. */
static void end_channel(tarn_aligner *a, uint32_t position)
{
    tarn__channel *channel = &a->channels[position];
    channel->is_ended = true;
    a->open_count--;
    if (!a->is_pending) {
        return;
    }
    if (channel->has_arrived) {
        a->arrived_count--;
    } else if (a->is_unaligned) {
        emit_channel(a, TARN_ALIGN_KEPT, position);
    }
    if (channel->is_reached) {
        a->reached_count--;
    }
    if (a->is_unaligned && a->arrived_count == a->open_count) {
        complete(a);
    } else if (!a->is_unaligned && a->reached_count == a->open_count) {
        finish_aligned(a);
    }
}

/* The channel says so: nothing older comes out of it either. */
static void cancel(tarn_aligner *a, uint64_t id)
{
    if (id > a->current_id && a->is_pending) {
        abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED, /* is_known= */ false);
    }
    set_current(a, id);
    abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER, /* is_known= */ false);
}

/* The coordinator says so: what is older may well complete. */
static void give_up(tarn_aligner *a, uint64_t id)
{
    if (id > a->current_id) {
        note_given_up(a, id);
    } else {
        abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER, /* is_known= */ true);
    }
}

static bool names_checkpoint(tarn_barrier_kind kind)
{
    return kind != TARN_BARRIER_TICK && kind != TARN_BARRIER_ENDED;
}

static bool names_channel(tarn_barrier_kind kind)
{
    return kind != TARN_BARRIER_TICK && kind != TARN_BARRIER_GIVE_UP;
}

static void handle(tarn_aligner *a, const tarn_barrier *event)
{
    if (names_checkpoint(event->kind) && is_stale(a, event->checkpoint_id)) {
        a->figures.stale_count++;
        return;
    }
    if (names_checkpoint(event->kind) && is_given_up(a, event->checkpoint_id)) {
        pass_given_up(a, event);
        return;
    }
    switch (event->kind) {
    case TARN_BARRIER_TICK:
        break;
    case TARN_BARRIER_ARRIVED:
        arrive(a, event);
        break;
    case TARN_BARRIER_REACHED:
        reach(a, event);
        break;
    case TARN_BARRIER_CANCELLED:
        cancel(a, event->checkpoint_id);
        break;
    case TARN_BARRIER_GIVE_UP:
        give_up(a, event->checkpoint_id);
        break;
    case TARN_BARRIER_ENDED:
        end_channel(a, event->channel);
        break;
    }
}

tarn_alignment_effects tarn_aligner_step(tarn_aligner *aligner, const tarn_barrier *event)
{
    tarn_aligner *a = aligner;
    a->effect_count = 0;
    a->now_ms = event->now_ms > a->now_ms ? event->now_ms : a->now_ms;
    if (a->is_pending && a->now_ms >= a->deadline_ms) {
        a->figures.switched_count++;
        go_unaligned(a);
    }
    const bool is_wrong = names_channel(event->kind) && (event->channel >= a->channel_count ||
                                                         a->channels[event->channel].is_ended);
    if (is_wrong) {
        a->figures.stale_count++;
    } else if (a->is_at_least_once) {
        tarn__tracker_step(a, event);
    } else {
        handle(a, event);
    }
    return (tarn_alignment_effects){.items = a->effects, .count = a->effect_count};
}

uint64_t tarn_aligner_next_ms(const tarn_aligner *aligner)
{
    return aligner->is_pending ? aligner->deadline_ms : UINT64_MAX;
}

void tarn_aligner_add_processed(tarn_aligner *aligner, uint64_t bytes)
{
    if (aligner->is_pending || aligner->tracked_count > 0) {
        aligner->processed_bytes += bytes;
    }
}

void tarn_aligner_add_kept(tarn_aligner *aligner, uint64_t bytes)
{
    if (aligner->is_pending) {
        aligner->kept_bytes += bytes;
    } else if (aligner->keeps_for_last) {
        /* The step that asked for it was also the last one of the checkpoint. */
        aligner->figures.kept_bytes_last += bytes;
    }
}

bool tarn__aligner_is_valid(const tarn_aligner *aligner)
{
    const tarn_aligner *a = aligner;
    uint32_t open = 0;
    uint32_t arrived = 0;
    uint32_t reached = 0;
    bool is_blocked = false;
    for (uint32_t i = 0; i < a->channel_count; i++) {
        const tarn__channel *channel = &a->channels[i];
        is_blocked = is_blocked || channel->is_blocked;
        open += channel->is_ended ? 0 : 1;
        arrived += !channel->is_ended && channel->has_arrived ? 1 : 0;
        reached += !channel->is_ended && channel->is_reached ? 1 : 0;
    }
    const bool is_counted =
        !a->is_pending || (arrived == a->arrived_count && reached == a->reached_count &&
                           (a->is_unaligned ? arrived : reached) < open);
    return open == a->open_count && is_counted && (a->is_pending || !is_blocked) &&
           (!a->is_unaligned || (a->is_pending && !is_blocked)) &&
           (a->given_up_count == 0 || a->given_up[0] > a->current_id) &&
           a->tracked_count <= TARN__TRACKED_MAX && a->effect_count <= a->effects_max;
}

/* An aligner with an account of its own */

typedef struct opened {
    tarn_aligner aligner; /* First: a tarn_aligner that was opened is one of these. */
    tarn__account account;
} opened;

tarn_status tarn_aligner_open(
    uint32_t channel_count,
    bool is_at_least_once,
    const tarn_allocator *allocator,
    tarn_aligner **out,
    tarn_error *error)
{
    tarn__account first;
    tarn__account_init(&first, "checkpoint/aligner", allocator);
    opened *o = first.below->allocate(sizeof *o, first.below->context);
    if (o == NULL) {
        return tarn__fail_no_memory(error, "a barrier aligner", sizeof *o);
    }
    memset(o, 0, sizeof *o);
    tarn__account_init(&o->account, "checkpoint/aligner", allocator);
    const tarn_status status =
        tarn__aligner_init(&o->aligner, channel_count, is_at_least_once, &o->account, error);
    if (status != TARN_OK) {
        first.below->release(o, first.below->context);
        return status;
    }
    *out = &o->aligner;
    return TARN_OK;
}

void tarn_aligner_close(tarn_aligner *aligner)
{
    if (aligner == NULL) {
        return;
    }
    opened *o = (opened *)aligner;
    tarn__aligner_clear(aligner);
    const tarn_allocator *below = o->account.below;
    below->release(o, below->context);
}

void tarn_aligner_read_figures(const tarn_aligner *aligner, tarn_alignment_figures *out)
{
    *out = aligner->figures;
}
