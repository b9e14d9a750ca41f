#include "queue.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "failure.h"

static_assert(sizeof(batch) <= BATCH_BYTES, "a batch is one network buffer");
static_assert(sizeof(message) == 48, "no padding is wasted");

tarn_status queue_open(queue *q, tarn_budget *budget, uint32_t index, tarn_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "flights/queue-%u", index);
    memset(q, 0, sizeof *q);
    TRY(tarn_owner_open(budget, TARN_POOL_NETWORK, name, &q->owner, error));

    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->has_full, &attributes);
    pthread_cond_init(&q->has_empty, &attributes);
    pthread_condattr_destroy(&attributes);

    const tarn_allocator *allocator = tarn_owner_allocator(q->owner);
    for (uint32_t i = 0; i < QUEUE_BATCHES; i++) {
        batch *made = allocator->allocate(sizeof(batch), allocator->context);
        if (made == NULL) {
            /* An allocator answers no reason; a reservation of the same size does. */
            const tarn_status status =
                tarn_owner_reserve(q->owner, sizeof(batch), TARN_NO_WAIT, error);
            if (status == TARN_OK) {
                tarn_owner_release(q->owner, sizeof(batch));
                failure_set(error, TARN_NO_MEMORY, 0, "no memory for the buffers of %s", name);
            }
            queue_close(q);
            return status == TARN_OK ? TARN_NO_MEMORY : status;
        }
        made->count = 0;
        made->mark = MARK_NONE;
        q->all[i] = made;
        q->empty[q->empty_count++] = made;
    }
    return TARN_OK;
}

void queue_close(queue *q)
{
    if (q->owner == NULL) {
        return;
    }
    const tarn_allocator *allocator = tarn_owner_allocator(q->owner);
    for (uint32_t i = 0; i < QUEUE_BATCHES; i++) {
        allocator->release(q->all[i], allocator->context);
    }
    const tarn_status status = tarn_owner_close(q->owner, NULL);
    assert(status == TARN_OK);
    (void)status;
    pthread_cond_destroy(&q->has_empty);
    pthread_cond_destroy(&q->has_full);
    pthread_mutex_destroy(&q->mutex);
    memset(q, 0, sizeof *q);
}

batch *queue_take(queue *q)
{
    batch *taken = NULL;
    pthread_mutex_lock(&q->mutex);
    if (q->empty_count == 0 && !q->is_interrupted) {
        const uint64_t started_ns = clock_now_ns();
        while (q->empty_count == 0 && !q->is_interrupted) {
            pthread_cond_wait(&q->has_empty, &q->mutex);
        }
        q->source_wait_ns += clock_now_ns() - started_ns;
    }
    if (!q->is_interrupted) {
        taken = q->empty[--q->empty_count];
    }
    pthread_mutex_unlock(&q->mutex);
    return taken;
}

void queue_push(queue *q, batch *filled)
{
    pthread_mutex_lock(&q->mutex);
    assert(q->full_count < QUEUE_BATCHES);
    q->full[(q->full_first + q->full_count) % QUEUE_BATCHES] = filled;
    q->full_count++;
    pthread_cond_signal(&q->has_full);
    pthread_mutex_unlock(&q->mutex);
}

static void wait_for_full(queue *q, int wait_ms)
{
    const uint64_t started_ns = clock_now_ns();
    const struct timespec deadline = clock_deadline(wait_ms);
    bool is_over = false;
    while (q->full_count == 0 && !q->is_interrupted && !q->is_woken && !is_over) {
        if (wait_ms == QUEUE_FOREVER) {
            pthread_cond_wait(&q->has_full, &q->mutex);
        } else {
            is_over = pthread_cond_timedwait(&q->has_full, &q->mutex, &deadline) != 0;
        }
    }
    q->worker_wait_ns += clock_now_ns() - started_ns;
}

queue_outcome queue_pop(queue *q, int wait_ms, batch **out)
{
    queue_outcome outcome = QUEUE_NOTHING_YET;
    pthread_mutex_lock(&q->mutex);
    if (q->full_count == 0 && !q->is_interrupted && !q->is_woken && wait_ms != 0) {
        wait_for_full(q, wait_ms);
    }
    q->is_woken = false;
    if (q->is_interrupted) {
        outcome = QUEUE_INTERRUPTED;
    } else if (q->full_count > 0) {
        *out = q->full[q->full_first];
        q->full_first = (q->full_first + 1) % QUEUE_BATCHES;
        q->full_count--;
        outcome = QUEUE_BATCH;
    }
    pthread_mutex_unlock(&q->mutex);
    return outcome;
}

/* Under the lock: the full batch at a position, the oldest first. */
static batch *full_at(const queue *q, uint32_t position)
{
    return q->full[(q->full_first + position) % QUEUE_BATCHES];
}

bool queue_find_barrier(queue *q, uint64_t after_id, tarn_driver_barrier *out)
{
    bool is_found = false;
    pthread_mutex_lock(&q->mutex);
    for (uint32_t i = 0; i < q->full_count && !is_found; i++) {
        const batch *b = full_at(q, i);
        is_found = b->mark == MARK_BARRIER && b->barrier.checkpoint_id > after_id;
        if (is_found) {
            *out = b->barrier;
        }
    }
    pthread_mutex_unlock(&q->mutex);
    return is_found;
}

uint32_t queue_list_before(queue *q, uint64_t barrier_id, const batch *out[QUEUE_BATCHES])
{
    uint32_t count = 0;
    bool is_behind = false;
    pthread_mutex_lock(&q->mutex);
    while (count < q->full_count && !is_behind) {
        const batch *b = full_at(q, count);
        is_behind = b->mark == MARK_BARRIER && b->barrier.checkpoint_id == barrier_id;
        out[count++] = b;
    }
    pthread_mutex_unlock(&q->mutex);
    return count;
}

void queue_give_back(queue *q, batch *used)
{
    used->count = 0;
    used->mark = MARK_NONE;
    pthread_mutex_lock(&q->mutex);
    assert(q->empty_count < QUEUE_BATCHES);
    q->empty[q->empty_count++] = used;
    pthread_cond_signal(&q->has_empty);
    pthread_mutex_unlock(&q->mutex);
}

void queue_interrupt(queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->is_interrupted = true;
    pthread_cond_broadcast(&q->has_empty);
    pthread_cond_broadcast(&q->has_full);
    pthread_mutex_unlock(&q->mutex);
}

void queue_wake(queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->is_woken = true;
    pthread_cond_signal(&q->has_full);
    pthread_mutex_unlock(&q->mutex);
}

void queue_waits(queue *q, uint64_t *source_ns_out, uint64_t *worker_ns_out)
{
    pthread_mutex_lock(&q->mutex);
    *source_ns_out = q->source_wait_ns;
    *worker_ns_out = q->worker_wait_ns;
    pthread_mutex_unlock(&q->mutex);
}
