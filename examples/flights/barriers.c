#include "barriers.h"

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
    pthread_mutex_destroy(&b->mutex);
}

tarn_status barriers_open(barriers *b, gate *g, snapshotting *s, tarn_error *error)
{
    b->gate = g;
    b->snapshotting = s;
    return tarn_aligner_open(
        g->channel_count, /* is_at_least_once= */ false, NULL, &b->aligner, error);
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

static void remember(barriers *b, const tarn_driver_barrier *barrier)
{
    if (find_known(b, barrier->checkpoint_id) == NULL) {
        b->known[b->known_count++ % BARRIERS_KNOWN] = *barrier;
    }
}

static bool is_savepoint(const barriers *b, uint64_t checkpoint_id)
{
    const tarn_driver_barrier *known = find_known(b, checkpoint_id);
    return known != NULL && known->kind != TARN_CHECKPOINT_INCREMENTAL &&
           known->kind != TARN_CHECKPOINT_FULL;
}

/* What is in flight. */

static void keep_batch(barriers *b, uint32_t channel, batch *in_flight, uint64_t checkpoint_id)
{
    const size_t bytes = in_flight->count * sizeof in_flight->messages[0];
    if (in_flight->kept_id == checkpoint_id || b->kept_too_much == checkpoint_id || bytes == 0) {
        return;
    }
    in_flight->kept_id = checkpoint_id;
    if (tarn_channel_state_append(
            &b->kept, channel, tarn_bytes_at(in_flight->messages, bytes), &b->kept_error) !=
        TARN_OK) {
        b->kept_too_much = checkpoint_id;
        return;
    }
    tarn_aligner_add_kept(b->aligner, bytes);
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

static void forget_kept(barriers *b)
{
    b->kept.size = 0;
    for (uint32_t i = 0; i < b->gate->channel_count; i++) {
        b->channels[i].kept_id = 0;
    }
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
        forget_kept(b);
        break;
    case TARN_ALIGN_ABANDONED:
        if (b->keeping_id == id) {
            forget_kept(b);
        }
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
    b->figures = figures;
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
    barriers *b, uint32_t channel, tarn_barrier_kind kind, const tarn_driver_barrier *barrier)
{
    const tarn_barrier event = {
        .kind = kind,
        .channel = channel,
        .checkpoint_id = barrier->checkpoint_id,
        .alignment = barrier->alignment,
        .timeout_ms = barrier->aligned_timeout_ms,
    };
    if (barrier->checkpoint_id > b->channels[channel].arrived_id) {
        b->channels[channel].arrived_id = barrier->checkpoint_id;
        remember(b, barrier);
    }
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

void barriers_pass_mark(barriers *b, uint32_t channel, mark m, const tarn_driver_barrier *barrier)
{
    if (m == MARK_BARRIER) {
        b->channels[channel].reached_id = barrier->checkpoint_id;
        tell_barrier(b, channel, TARN_BARRIER_REACHED, barrier);
    } else if (m == MARK_END) {
        tell_aligner(b, (tarn_barrier){.kind = TARN_BARRIER_ENDED, .channel = channel});
    }
    decline_too_much(b);
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

tarn_alignment_figures barriers_measure(barriers *b)
{
    pthread_mutex_lock(&b->mutex);
    const tarn_alignment_figures figures = b->figures;
    pthread_mutex_unlock(&b->mutex);
    return figures;
}
