/* aligner_tracker.c - at least once: barriers are counted, nothing waits. */
#include <assert.h>
#include <string.h>

#include "checkpoint/aligner.h"

static tarn__tracked *find(tarn_aligner *a, uint64_t id)
{
    for (uint32_t i = 0; i < a->tracked_count; i++) {
        if (a->tracked[i].id == id) {
            return &a->tracked[i];
        }
    }
    return NULL;
}

static void abandon(
    tarn_aligner *a, const tarn__tracked *tracked, tarn_checkpoint_failure reason, bool is_known)
{
    tarn_alignment_effect *effect = tarn__aligner_emit(a, TARN_ALIGN_ABANDONED, tracked->id);
    effect->reason = reason;
    effect->is_known = is_known;
    a->figures.abandoned_count++;
}

/* Takes the oldest out of the list; its memory goes to the end, for the next one. */
static void drop_first(tarn_aligner *a)
{
    const tarn__tracked first = a->tracked[0];
    if (first.id > a->latest_id) {
        a->latest_id = first.id;
    }
    a->tracked_count--;
    memmove(a->tracked, a->tracked + 1, a->tracked_count * sizeof *a->tracked);
    a->tracked[a->tracked_count] = first;
}

/* Ends a checkpoint whose barriers have all come, and with it all older ones. */
static void finish(tarn_aligner *a, uint64_t id)
{
    while (a->tracked_count > 0 && a->tracked[0].id < id) {
        if (!a->tracked[0].is_given_up) {
            abandon(
                a,
                &a->tracked[0],
                TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED,
                /* is_known= */ false);
        }
        drop_first(a);
    }
    const tarn__tracked *tracked = &a->tracked[0];
    assert(tracked->id == id);
    if (!tracked->is_given_up) {
        tarn__aligner_emit(a, TARN_ALIGN_SNAPSHOT, id);
        tarn__aligner_emit(a, TARN_ALIGN_COMPLETE, id);
        tarn__aligner_note_completion(
            a, tracked->first_ms, a->processed_bytes - tracked->processed_before);
    }
    drop_first(a);
}

/* Whether a newer one has ended, or a full list has no place for one that is so old. */
static bool is_too_old(const tarn_aligner *a, uint64_t id)
{
    return id <= a->latest_id || (a->tracked_count == TARN__TRACKED_MAX && id < a->tracked[0].id);
}

/* Adds a checkpoint in its place; a full list gives up its oldest for it. */
static tarn__tracked *track(tarn_aligner *a, uint64_t id)
{
    if (a->tracked_count == TARN__TRACKED_MAX) {
        if (!a->tracked[0].is_given_up) {
            abandon(
                a,
                &a->tracked[0],
                TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED,
                /* is_known= */ false);
        }
        drop_first(a);
    }
    bool *is_reached = a->tracked[a->tracked_count].is_reached;
    uint32_t position = a->tracked_count;
    while (position > 0 && a->tracked[position - 1].id > id) {
        a->tracked[position] = a->tracked[position - 1];
        position--;
    }
    memset(is_reached, 0, a->channel_count * sizeof *is_reached);
    a->tracked[position] = (tarn__tracked){
        .id = id,
        .first_ms = a->now_ms,
        .processed_before = a->processed_bytes,
        .is_reached = is_reached,
    };
    a->tracked_count++;
    return &a->tracked[position];
}

static void reach(tarn_aligner *a, const tarn_barrier *event)
{
    tarn__tracked *tracked = find(a, event->checkpoint_id);
    if (is_too_old(a, event->checkpoint_id) ||
        (tracked != NULL && tracked->is_reached[event->channel])) {
        a->figures.stale_count++;
        return;
    }
    if (tracked == NULL) {
        tracked = track(a, event->checkpoint_id);
    }
    tracked->is_reached[event->channel] = true;
    tracked->reached_count++;
    if (tracked->reached_count == a->open_count) {
        finish(a, tracked->id);
    }
}

/* The checkpoint stays in the list, so that its late barriers are known. */
static void give_up(tarn_aligner *a, const tarn_barrier *event)
{
    tarn__tracked *tracked = find(a, event->checkpoint_id);
    if (is_too_old(a, event->checkpoint_id) || (tracked != NULL && tracked->is_given_up)) {
        a->figures.stale_count++;
        return;
    }
    if (tracked == NULL) {
        tracked = track(a, event->checkpoint_id);
    }
    tracked->is_given_up = true;
    abandon(
        a,
        tracked,
        TARN_FAILURE_CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER,
        event->kind == TARN_BARRIER_GIVE_UP);
}

static void end_channel(tarn_aligner *a, uint32_t channel)
{
    a->channels[channel].is_ended = true;
    a->open_count--;
    for (uint32_t i = 0; i < a->tracked_count; i++) {
        if (a->tracked[i].is_reached[channel]) {
            a->tracked[i].reached_count--;
        }
    }
    uint32_t position = 0;
    while (position < a->tracked_count) {
        if (a->tracked[position].reached_count == a->open_count) {
            finish(a, a->tracked[position].id);
            position = 0; /* The list begins anew, behind the one that is finished. */
        } else {
            position++;
        }
    }
}

void tarn__tracker_step(tarn_aligner *aligner, const tarn_barrier *event)
{
    switch (event->kind) {
    case TARN_BARRIER_TICK:
    case TARN_BARRIER_ARRIVED:
        break;
    case TARN_BARRIER_REACHED:
        reach(aligner, event);
        break;
    case TARN_BARRIER_CANCELLED:
    case TARN_BARRIER_GIVE_UP:
        give_up(aligner, event);
        break;
    case TARN_BARRIER_ENDED:
        end_channel(aligner, event->channel);
        break;
    }
}
