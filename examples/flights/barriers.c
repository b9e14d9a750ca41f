#include "barriers.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <tarn/channel_state.h>

#include "clock.h"
#include "failure.h"

void barriers_init(barriers *b)
{
    memset(b, 0, sizeof *b);
    pthread_mutex_init(&b->mutex, NULL);
}

void barriers_clear(barriers *b)
{
    tarn_aligner_close(b->aligner);
    tarn_buffer_clear(&b->kept);
    const tarn_status status = tarn_owner_close(b->owner, NULL);
    assert(status == TARN_OK);
    (void)status;
    pthread_mutex_destroy(&b->mutex);
}

tarn_status barriers_open(barriers *b, const barriers_options *how, tarn_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "flights/in-flight-%u", how->worker_index);
    b->gate = how->gate;
    b->snapshotting = how->snapshotting;
    b->kept_max = how->kept_max;
    TRY(tarn_owner_open(how->budget, TARN_POOL_NETWORK, name, &b->owner, error));
    b->kept.allocator = tarn_owner_allocator(b->owner);
    return tarn_aligner_open(
        b->gate->channel_count, /* is_at_least_once= */ false, NULL, &b->aligner, error);
}

/* What barriers are of: a savepoint is treated otherwise than a checkpoint. */

static const tarn_driver_barrier *find_known(const barriers *b, uint64_t checkpoint_id)
{
    for (uint32_t i = 0; i < BARRIERS_KNOWN && i < b->known_count; i++) {
        if (b->known[i].checkpoint_id == checkpoint_id) {
            return &b->known[i];
        }
    }
    return NULL;
}

/* Takes room for all that channels can hold, unless it is more than may be kept. */
static bool take_room(barriers *b, uint64_t checkpoint_id)
{
    const size_t capacity = gate_capacity(b->gate);
    if (tarn_buffer_reserve(&b->kept, capacity < b->kept_max ? capacity : b->kept_max) != TARN_OK) {
        return false;
    }
    b->room_id = checkpoint_id > b->room_id ? checkpoint_id : b->room_id;
    return true;
}

/* Nobody needs it for that checkpoint; what is kept for another one stays. */
static void give_room_back(barriers *b, uint64_t checkpoint_id)
{
    if (b->room_id == checkpoint_id) {
        b->room_id = b->keeping_id;
    }
    if (b->room_id == 0) {
        tarn_buffer_clear(&b->kept);
    }
}

static void count_aligned_instead(barriers *b)
{
    pthread_mutex_lock(&b->mutex);
    b->figures.aligned_instead_count++;
    pthread_mutex_unlock(&b->mutex);
}

/* The first barrier of a checkpoint decides for all channels whether it can be unaligned. */
static const tarn_driver_barrier *remember(barriers *b, const tarn_driver_barrier *barrier)
{
    const tarn_driver_barrier *before = find_known(b, barrier->checkpoint_id);
    if (before != NULL) {
        return before;
    }
    tarn_driver_barrier *known = &b->known[b->known_count++ % BARRIERS_KNOWN];
    *known = *barrier;
    if (barrier->alignment != TARN_ALIGNMENT_ALIGNED && !take_room(b, barrier->checkpoint_id)) {
        known->alignment = TARN_ALIGNMENT_ALIGNED;
        count_aligned_instead(b);
    }
    return known;
}

static bool is_savepoint(const barriers *b, uint64_t checkpoint_id)
{
    const tarn_driver_barrier *known = find_known(b, checkpoint_id);
    return known != NULL && known->kind != TARN_CHECKPOINT_INCREMENTAL &&
           known->kind != TARN_CHECKPOINT_FULL;
}

/* What is in flight. */

/* Watermark and messages, as they lie. */
static tarn_bytes payload_of(const batch *b)
{
    const size_t head = offsetof(batch, messages) - offsetof(batch, watermark);
    const uint8_t *start = (const uint8_t *)b + offsetof(batch, watermark);
    return tarn_bytes_at(start, head + b->count * sizeof b->messages[0]);
}

/* On failure kept_error tells why. */
static tarn_status append_kept(barriers *b, uint32_t channel, tarn_bytes payload)
{
    if (payload.size > b->kept_max || b->kept.size > b->kept_max - payload.size) {
        return failure_set(
            &b->kept_error,
            TARN_OVER_BUDGET,
            0,
            "more is in flight than the %zu KiB of --in-flight-max",
            b->kept_max >> 10);
    }
    const tarn_status status =
        tarn_channel_state_append(&b->kept, channel, payload, &b->kept_error);
    return status == TARN_NO_MEMORY
               ? failure_of_memory(
                     &b->kept_error, b->owner, b->kept.capacity + payload.size, "what is in flight")
               : status;
}

static void keep_batch(barriers *b, uint32_t channel, batch *in_flight, uint64_t checkpoint_id)
{
    const bool is_done = in_flight->kept_id == checkpoint_id || b->kept_too_much == checkpoint_id;
    if (is_done || in_flight->watermark == WATERMARK_NONE) {
        return; /* Without a watermark it has no messages. */
    }
    const tarn_bytes payload = payload_of(in_flight);
    in_flight->kept_id = checkpoint_id;
    if (append_kept(b, channel, payload) != TARN_OK) {
        b->kept_too_much = checkpoint_id;
        return;
    }
    tarn_aligner_add_kept(b->aligner, payload.size);
}

/* What the barrier overtakes: the batches before it, and the messages in its own. */
static void keep_queued(barriers *b, uint32_t channel, uint64_t checkpoint_id)
{
    if (b->channels[channel].reached_id == checkpoint_id) {
        return; /* Nothing is before it; what is queued is behind it. */
    }
    batch *before[CHANNEL_BATCHES];
    const uint32_t count = gate_list_before(b->gate, channel, checkpoint_id, before);
    for (uint32_t i = 0; i < count; i++) {
        keep_batch(b, channel, before[i], checkpoint_id);
    }
}

static void end_keeping(barriers *b, uint64_t checkpoint_id)
{
    if (b->keeping_id == checkpoint_id) {
        b->kept.size = 0;
        b->keeping_id = 0;
        for (uint32_t i = 0; i < b->gate->channel_count; i++) {
            b->channels[i].kept_id = 0;
        }
    }
    give_room_back(b, checkpoint_id);
}

/* The aligner's decisions. */

static void perform(barriers *b, const tarn_alignment_effect *effect)
{
    const uint64_t id = effect->checkpoint_id;
    barrier_channel *c = &b->channels[effect->channel];
    switch (effect->kind) {
    case TARN_ALIGN_BLOCK:
    case TARN_ALIGN_UNBLOCK:
        gate_set_blocked(b->gate, effect->channel, effect->kind == TARN_ALIGN_BLOCK);
        break;
    case TARN_ALIGN_KEEP:
        b->keeping_id = id;
        b->room_id = id > b->room_id ? id : b->room_id;
        keep_queued(b, effect->channel, id);
        c->kept_id = effect->is_open ? id : 0;
        break;
    case TARN_ALIGN_KEPT:
        keep_queued(b, effect->channel, id);
        c->kept_id = 0;
        break;
    case TARN_ALIGN_SNAPSHOT:
        snapshotting_begin(b->snapshotting, id, is_savepoint(b, id));
        break;
    case TARN_ALIGN_COMPLETE:
        if (b->kept_too_much != id) {
            snapshotting_complete(b->snapshotting, id, tarn_buffer_bytes(&b->kept));
        }
        end_keeping(b, id);
        break;
    case TARN_ALIGN_ABANDONED:
        end_keeping(b, id);
        snapshotting_abandon(b->snapshotting, id);
        if (!effect->is_known) {
            snapshotting_decline(b->snapshotting, id, effect->reason, NULL);
        }
        break;
    }
}

static void publish(barriers *b)
{
    tarn_alignment_figures figures;
    tarn_aligner_read_figures(b->aligner, &figures);
    pthread_mutex_lock(&b->mutex);
    b->figures.alignment = figures;
    pthread_mutex_unlock(&b->mutex);
}

static void tell_aligner(barriers *b, tarn_barrier event)
{
    event.now_ms = clock_now_ns() / NS_PER_MS;
    const tarn_alignment_effects effects = tarn_aligner_step(b->aligner, &event);
    for (uint32_t i = 0; i < effects.count; i++) {
        perform(b, &effects.items[i]);
    }
    if (effects.count > 0) {
        publish(b);
    }
}

/* The worker goes on without a checkpoint that cannot keep all that it has to. */
static void decline_too_much(barriers *b)
{
    const uint64_t id = b->kept_too_much;
    if (id != 0) {
        snapshotting_decline(
            b->snapshotting, id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION, &b->kept_error);
        tell_aligner(b, (tarn_barrier){.kind = TARN_BARRIER_GIVE_UP, .checkpoint_id = id});
        b->kept_too_much = 0;
    }
}

static void tell_barrier(
    barriers *b, uint32_t channel, tarn_barrier_kind kind, const tarn_driver_barrier *told)
{
    barrier_channel *c = &b->channels[channel];
    c->arrived_id = told->checkpoint_id > c->arrived_id ? told->checkpoint_id : c->arrived_id;
    const tarn_driver_barrier *barrier = remember(b, told);
    const tarn_barrier event = {
        .kind = kind,
        .channel = channel,
        .checkpoint_id = barrier->checkpoint_id,
        .alignment = barrier->alignment,
        .timeout_ms = barrier->aligned_timeout_ms,
    };
    tell_aligner(b, event);
}

void barriers_look(barriers *b)
{
    for (uint32_t i = 0; i < b->gate->channel_count; i++) {
        tarn_driver_barrier barrier;
        while (gate_find_barrier(b->gate, i, b->channels[i].arrived_id, &barrier)) {
            tell_barrier(b, i, TARN_BARRIER_ARRIVED, &barrier);
        }
    }
    if (tarn_aligner_next_ms(b->aligner) <= clock_now_ns() / NS_PER_MS) {
        tell_aligner(b, (tarn_barrier){.kind = TARN_BARRIER_TICK});
    }
    decline_too_much(b);
}

void barriers_note_batch(barriers *b, uint32_t channel, batch *popped)
{
    if (b->channels[channel].kept_id != 0) {
        keep_batch(b, channel, popped, b->channels[channel].kept_id);
    }
    tarn_aligner_add_processed(b->aligner, popped->count * sizeof popped->messages[0]);
}

/* A checkpoint that came to nothing, such as one that was aborted before its barriers came. */
static void look_after_room(barriers *b)
{
    bool has_passed = true;
    for (uint32_t i = 0; i < b->gate->channel_count; i++) {
        const barrier_channel *c = &b->channels[i];
        has_passed = has_passed && (c->is_ended || c->reached_id >= b->room_id);
    }
    if (has_passed) {
        give_room_back(b, b->room_id);
    }
}

void barriers_pass_mark(barriers *b, uint32_t channel, mark m, const tarn_driver_barrier *barrier)
{
    if (m == MARK_BARRIER) {
        b->channels[channel].reached_id = barrier->checkpoint_id;
        tell_barrier(b, channel, TARN_BARRIER_REACHED, barrier);
    } else if (m == MARK_END) {
        b->channels[channel].is_ended = true;
        tell_aligner(b, (tarn_barrier){.kind = TARN_BARRIER_ENDED, .channel = channel});
    }
    decline_too_much(b);
    look_after_room(b);
}

void barriers_give_up(barriers *b, uint64_t checkpoint_id)
{
    tell_aligner(b, (tarn_barrier){.kind = TARN_BARRIER_GIVE_UP, .checkpoint_id = checkpoint_id});
}

int barriers_wait_ms(const barriers *b)
{
    const uint64_t next_ms = tarn_aligner_next_ms(b->aligner);
    const uint64_t now_ms = clock_now_ns() / NS_PER_MS;
    if (next_ms == UINT64_MAX) {
        return GATE_FOREVER;
    }
    const uint64_t left_ms = next_ms > now_ms ? next_ms - now_ms : 0;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

barrier_figures barriers_measure(barriers *b)
{
    pthread_mutex_lock(&b->mutex);
    const barrier_figures figures = b->figures;
    pthread_mutex_unlock(&b->mutex);
    return figures;
}
