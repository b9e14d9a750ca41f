#include "gate.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "failure.h"

static_assert(sizeof(batch) <= BATCH_BYTES, "a batch is one network buffer");
static_assert(sizeof(message) == 48, "no padding is wasted");

static void init_conditions(gate *g)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->has_full, &attributes);
    for (uint32_t i = 0; i < g->channel_count; i++) {
        pthread_cond_init(&g->channels[i].has_empty, &attributes);
    }
    pthread_condattr_destroy(&attributes);
}

tarn_status gate_open(
    gate *g, tarn_budget *budget, uint32_t index, uint32_t channel_count, tarn_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "flights/gate-%u", index);
    memset(g, 0, sizeof *g);
    TRY(tarn_owner_open(budget, TARN_POOL_NETWORK, name, &g->owner, error));
    g->channel_count = channel_count;
    init_conditions(g);

    const tarn_allocator *allocator = tarn_owner_allocator(g->owner);
    for (uint32_t i = 0; i < channel_count * CHANNEL_BATCHES; i++) {
        batch *made = allocator->allocate(sizeof(batch), allocator->context);
        if (made == NULL) {
            const tarn_status status = failure_of_memory(error, g->owner, sizeof(batch), name);
            gate_close(g);
            return status;
        }
        made->count = 0;
        made->mark = MARK_NONE;
        made->kept_id = 0;
        gate_channel *c = &g->channels[i / CHANNEL_BATCHES];
        c->empty[c->empty_count++] = made;
        g->all[g->all_count++] = made;
    }
    return TARN_OK;
}

uint32_t gate_capacity(const gate *g)
{
    return g->channel_count * CHANNEL_BATCHES * BATCH_BYTES;
}

void gate_close(gate *g)
{
    if (g->owner == NULL) {
        return;
    }
    const tarn_allocator *allocator = tarn_owner_allocator(g->owner);
    for (uint32_t i = 0; i < g->all_count; i++) {
        allocator->release(g->all[i], allocator->context);
    }
    const tarn_status status = tarn_owner_close(g->owner, NULL);
    assert(status == TARN_OK);
    (void)status;
    for (uint32_t i = 0; i < g->channel_count; i++) {
        pthread_cond_destroy(&g->channels[i].has_empty);
    }
    pthread_cond_destroy(&g->has_full);
    pthread_mutex_destroy(&g->mutex);
    memset(g, 0, sizeof *g);
}

/* The sources' side. */

batch *gate_take(gate *g, uint32_t channel)
{
    gate_channel *c = &g->channels[channel];
    batch *taken = NULL;
    pthread_mutex_lock(&g->mutex);
    if (c->empty_count == 0 && !g->is_interrupted) {
        const uint64_t started_ns = clock_now_ns();
        while (c->empty_count == 0 && !g->is_interrupted) {
            pthread_cond_wait(&c->has_empty, &g->mutex);
        }
        g->waits.source_ns += clock_now_ns() - started_ns;
    }
    if (!g->is_interrupted) {
        taken = c->empty[--c->empty_count];
    }
    pthread_mutex_unlock(&g->mutex);
    return taken;
}

/* A barrier wakes the worker even where its channel is blocked: it may overtake what is queued. */
void gate_push(gate *g, uint32_t channel, batch *filled)
{
    gate_channel *c = &g->channels[channel];
    pthread_mutex_lock(&g->mutex);
    assert(c->full_count < CHANNEL_BATCHES);
    c->full[(c->full_first + c->full_count) % CHANNEL_BATCHES] = filled;
    c->full_count++;
    g->is_woken = g->is_woken || filled->mark == MARK_BARRIER;
    pthread_cond_signal(&g->has_full);
    pthread_mutex_unlock(&g->mutex);
}

/* The worker's side. */

/* Under the lock: the next channel in turn that has something, or the number of channels. */
static uint32_t find_ready(const gate *g)
{
    for (uint32_t i = 0; i < g->channel_count; i++) {
        const uint32_t at = (g->next_channel + i) % g->channel_count;
        if (g->channels[at].full_count > 0 && !g->channels[at].is_blocked) {
            return at;
        }
    }
    return g->channel_count;
}

static bool is_idle(const gate *g)
{
    return find_ready(g) == g->channel_count && !g->is_interrupted && !g->is_woken;
}

static void wait_for_full(gate *g, int wait_ms)
{
    const uint64_t started_ns = clock_now_ns();
    const struct timespec deadline = clock_deadline(wait_ms);
    bool is_over = false;
    while (is_idle(g) && !is_over) {
        if (wait_ms == GATE_FOREVER) {
            pthread_cond_wait(&g->has_full, &g->mutex);
        } else {
            is_over = pthread_cond_timedwait(&g->has_full, &g->mutex, &deadline) != 0;
        }
    }
    g->waits.worker_ns += clock_now_ns() - started_ns;
}

/* Under the lock. */
static batch *pop_from(gate *g, uint32_t channel)
{
    gate_channel *c = &g->channels[channel];
    batch *popped = c->full[c->full_first];
    c->full_first = (c->full_first + 1) % CHANNEL_BATCHES;
    c->full_count--;
    g->next_channel = (channel + 1) % g->channel_count;
    return popped;
}

gate_outcome gate_pop(gate *g, int wait_ms, uint32_t *channel_out, batch **batch_out)
{
    gate_outcome outcome = GATE_NOTHING_YET;
    pthread_mutex_lock(&g->mutex);
    if (is_idle(g) && wait_ms != 0) {
        wait_for_full(g, wait_ms);
    }
    g->is_woken = false;
    const uint32_t ready = find_ready(g);
    if (g->is_interrupted) {
        outcome = GATE_INTERRUPTED;
    } else if (ready < g->channel_count) {
        *channel_out = ready;
        *batch_out = pop_from(g, ready);
        outcome = GATE_BATCH;
    }
    pthread_mutex_unlock(&g->mutex);
    return outcome;
}

void gate_give_back(gate *g, uint32_t channel, batch *used)
{
    gate_channel *c = &g->channels[channel];
    used->count = 0;
    used->mark = MARK_NONE;
    used->kept_id = 0;
    pthread_mutex_lock(&g->mutex);
    assert(c->empty_count < CHANNEL_BATCHES);
    c->empty[c->empty_count++] = used;
    pthread_cond_signal(&c->has_empty);
    pthread_mutex_unlock(&g->mutex);
}

void gate_set_blocked(gate *g, uint32_t channel, bool is_blocked)
{
    gate_channel *c = &g->channels[channel];
    const uint64_t now_ns = clock_now_ns();
    pthread_mutex_lock(&g->mutex);
    if (is_blocked && !c->is_blocked) {
        c->blocked_since_ns = now_ns;
    } else if (!is_blocked && c->is_blocked) {
        g->waits.blocked_ns += now_ns - c->blocked_since_ns;
    }
    c->is_blocked = is_blocked;
    pthread_mutex_unlock(&g->mutex);
}

/* Under the lock: the full batch at a position, the oldest first. */
static batch *full_at(const gate_channel *c, uint32_t position)
{
    return c->full[(c->full_first + position) % CHANNEL_BATCHES];
}

bool gate_find_barrier(gate *g, uint32_t channel, uint64_t after_id, tarn_driver_barrier *out)
{
    const gate_channel *c = &g->channels[channel];
    bool is_found = false;
    pthread_mutex_lock(&g->mutex);
    for (uint32_t i = 0; i < c->full_count && !is_found; i++) {
        const batch *b = full_at(c, i);
        is_found = b->mark == MARK_BARRIER && b->barrier.checkpoint_id > after_id;
        if (is_found) {
            *out = b->barrier;
        }
    }
    pthread_mutex_unlock(&g->mutex);
    return is_found;
}

uint32_t gate_list_before(
    gate *g, uint32_t channel, uint64_t barrier_id, batch *out[CHANNEL_BATCHES])
{
    const gate_channel *c = &g->channels[channel];
    uint32_t count = 0;
    bool is_behind = false;
    pthread_mutex_lock(&g->mutex);
    while (count < c->full_count && !is_behind) {
        batch *b = full_at(c, count);
        is_behind = b->mark == MARK_BARRIER && b->barrier.checkpoint_id == barrier_id;
        out[count++] = b;
    }
    pthread_mutex_unlock(&g->mutex);
    return count;
}

/* Anybody. */

void gate_interrupt(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->is_interrupted = true;
    for (uint32_t i = 0; i < g->channel_count; i++) {
        pthread_cond_broadcast(&g->channels[i].has_empty);
    }
    pthread_cond_broadcast(&g->has_full);
    pthread_mutex_unlock(&g->mutex);
}

bool gate_is_interrupted(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    const bool is_interrupted = g->is_interrupted;
    pthread_mutex_unlock(&g->mutex);
    return is_interrupted;
}

void gate_wake(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->is_woken = true;
    pthread_cond_signal(&g->has_full);
    pthread_mutex_unlock(&g->mutex);
}

gate_waits gate_measure(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    const gate_waits waits = g->waits;
    pthread_mutex_unlock(&g->mutex);
    return waits;
}
