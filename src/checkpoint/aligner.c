/* aligner.c - exactly once: barriers that are aligned, overtake data, or do both in turn. */
#include <assert.h>
#include <string.h>

#include "base/try.h"

#include "checkpoint/aligner.h"

enum { CHANNELS_MAX = 1000000 };

tarn_status tarn__aligner_init(
    tarn__aligner *aligner,
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
    tarn__aligner a = {
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

void tarn__aligner_clear(tarn__aligner *aligner)
{
    tarn__release(aligner->channels);
    tarn__release(aligner->effects);
    tarn__release(aligner->tracked);
    tarn__release(aligner->tracked_reached);
    *aligner = (tarn__aligner){.channel_count = 0};
}

tarn__alignment_effect *tarn__aligner_emit(
    tarn__aligner *aligner, tarn__alignment_effect_kind kind, uint64_t checkpoint_id)
{
    assert(aligner->effect_count < aligner->effects_max);
    tarn__alignment_effect *effect = &aligner->effects[aligner->effect_count++];
    *effect = (tarn__alignment_effect){.kind = kind, .checkpoint_id = checkpoint_id};
    return effect;
}

static tarn__alignment_effect *emit_channel(
    tarn__aligner *a, tarn__alignment_effect_kind kind, uint32_t channel)
{
    tarn__alignment_effect *effect = tarn__aligner_emit(a, kind, a->current_id);
    effect->channel = channel;
    return effect;
}

/* The end of a checkpoint */

static void unblock_all(tarn__aligner *a)
{
    for (uint32_t i = 0; i < a->channel_count; i++) {
        if (a->channels[i].is_blocked) {
            a->channels[i].is_blocked = false;
            emit_channel(a, TARN__ALIGN_UNBLOCK, i);
        }
    }
}

static void forget(tarn__aligner *a)
{
    a->is_pending = false;
    a->is_unaligned = false;
    a->deadline_ms = UINT64_MAX;
}

void tarn__aligner_note_completion(tarn__aligner *aligner, uint64_t first_ms)
{
    tarn__alignment_figures *f = &aligner->figures;
    f->completed_count++;
    f->alignment_ms_last = aligner->now_ms - first_ms;
    if (f->alignment_ms_last > f->alignment_ms_max) {
        f->alignment_ms_max = f->alignment_ms_last;
    }
    f->processed_bytes_last = aligner->processed_bytes;
    f->kept_bytes_last = aligner->kept_bytes;
}

static void complete(tarn__aligner *a)
{
    tarn__aligner_emit(a, TARN__ALIGN_COMPLETE, a->current_id);
    tarn__aligner_note_completion(a, a->first_ms);
    forget(a);
}

static void abandon(tarn__aligner *a, tarn_checkpoint_failure reason, bool is_known)
{
    tarn__alignment_effect *effect = tarn__aligner_emit(a, TARN__ALIGN_ABANDONED, a->current_id);
    effect->reason = reason;
    effect->is_known = is_known;
    a->figures.abandoned_count++;
    unblock_all(a);
    forget(a);
}

/* Its way */

static void begin(tarn__aligner *a, const tarn__barrier *event)
{
    if (a->is_pending) {
        abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED, /* is_known= */ false);
    }
    a->current_id = event->checkpoint_id;
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
static void go_unaligned(tarn__aligner *a)
{
    for (uint32_t i = 0; i < a->channel_count; i++) {
        const tarn__channel *channel = &a->channels[i];
        if (!channel->is_ended && !channel->is_reached) {
            emit_channel(a, TARN__ALIGN_KEEP, i)->is_open = !channel->has_arrived;
        }
    }
    tarn__aligner_emit(a, TARN__ALIGN_SNAPSHOT, a->current_id)->is_unaligned = true;
    unblock_all(a);
    a->is_unaligned = true;
    a->deadline_ms = UINT64_MAX;
    if (a->arrived_count == a->open_count) {
        complete(a);
    }
}

static void finish_aligned(tarn__aligner *a)
{
    tarn__aligner_emit(a, TARN__ALIGN_SNAPSHOT, a->current_id);
    unblock_all(a);
    complete(a);
}

static void mark_arrived(tarn__aligner *a, uint32_t channel)
{
    if (a->channels[channel].has_arrived) {
        return;
    }
    a->channels[channel].has_arrived = true;
    a->arrived_count++;
    if (a->is_unaligned) {
        emit_channel(a, TARN__ALIGN_KEPT, channel);
        if (a->arrived_count == a->open_count) {
            complete(a);
        }
    }
}

static bool is_stale(const tarn__aligner *a, uint64_t id)
{
    return id < a->current_id || (id == a->current_id && !a->is_pending);
}

static void arrive(tarn__aligner *a, const tarn__barrier *event)
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

static void reach(tarn__aligner *a, const tarn__barrier *event)
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
        emit_channel(a, TARN__ALIGN_BLOCK, event->channel);
    }
}

/* A channel that has ended stands for one whose barrier has come and was reached. */
static void end_channel(tarn__aligner *a, uint32_t position)
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
        emit_channel(a, TARN__ALIGN_KEPT, position);
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

static void give_up(tarn__aligner *a, const tarn__barrier *event)
{
    const bool is_known = event->kind == TARN__BARRIER_GIVE_UP;
    if (event->checkpoint_id > a->current_id) {
        if (a->is_pending) {
            abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED, /* is_known= */ false);
        }
        a->current_id = event->checkpoint_id;
    }
    abandon(a, TARN_FAILURE_CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER, is_known);
}

static bool names_checkpoint(tarn__barrier_kind kind)
{
    return kind != TARN__BARRIER_TICK && kind != TARN__BARRIER_ENDED;
}

static bool names_channel(tarn__barrier_kind kind)
{
    return kind != TARN__BARRIER_TICK && kind != TARN__BARRIER_GIVE_UP;
}

static void handle(tarn__aligner *a, const tarn__barrier *event)
{
    if (names_checkpoint(event->kind) && is_stale(a, event->checkpoint_id)) {
        a->figures.stale_count++;
        return;
    }
    switch (event->kind) {
    case TARN__BARRIER_TICK:
        break;
    case TARN__BARRIER_ARRIVED:
        arrive(a, event);
        break;
    case TARN__BARRIER_REACHED:
        reach(a, event);
        break;
    case TARN__BARRIER_CANCELLED:
    case TARN__BARRIER_GIVE_UP:
        give_up(a, event);
        break;
    case TARN__BARRIER_ENDED:
        end_channel(a, event->channel);
        break;
    }
}

tarn__alignment_effects tarn__aligner_step(tarn__aligner *aligner, const tarn__barrier *event)
{
    tarn__aligner *a = aligner;
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
    return (tarn__alignment_effects){.items = a->effects, .count = a->effect_count};
}

uint64_t tarn__aligner_next_ms(const tarn__aligner *aligner)
{
    return aligner->is_pending ? aligner->deadline_ms : UINT64_MAX;
}

void tarn__aligner_add_processed(tarn__aligner *aligner, uint64_t bytes)
{
    if (aligner->is_pending || aligner->tracked_count > 0) {
        aligner->processed_bytes += bytes;
    }
}

void tarn__aligner_add_kept(tarn__aligner *aligner, uint64_t bytes)
{
    aligner->kept_bytes += bytes;
}

bool tarn__aligner_is_valid(const tarn__aligner *aligner)
{
    const tarn__aligner *a = aligner;
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
           a->tracked_count <= TARN__TRACKED_MAX && a->effect_count <= a->effects_max;
}
