#include "worker.h"

#include <string.h>

#include "clock.h"
#include "failure.h"
#include "source.h"

static const char operator_name[] = "flights";

/* How often a worker without messages looks after its snapshot. */
enum { SNAPSHOT_POLL_MS = 5 };

void worker_init(worker *w)
{
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->mutex, NULL);
}

void worker_clear(worker *w)
{
    tarn_buffer_clear(&w->acknowledgement);
    pthread_mutex_destroy(&w->mutex);
}

tarn_status worker_open(worker *w, tarn_error *error)
{
    tarn_backend_options how = TARN_BACKEND_OPTIONS_INIT;
    how.env = w->env;
    how.operator_name = operator_name;
    how.directory = w->directory;
    how.subtask_index = w->index;
    how.parallelism = w->worker_count;
    how.max_parallelism = w->max_parallelism;
    how.key_hash = TARN_KEY_HASH_JAVA_STRING;
    how.restore = w->restore;
    TRY(tarn_backend_open(&how, &w->backend, error));
    w->restore = NULL;
    return states_open(&w->states, w->backend, error);
}

tarn_status worker_close(worker *w, tarn_error *error)
{
    tarn_snapshot_abandon(w->snapshot);
    w->snapshot = NULL;
    const tarn_status stored = states_close(&w->states, error);
    const tarn_status closed = tarn_backend_close(w->backend, stored == TARN_OK ? error : NULL);
    w->backend = NULL;
    return stored == TARN_OK ? closed : stored;
}

static void publish(worker *w)
{
    tarn_backend_stats stats;
    tarn_backend_measure(w->backend, &stats);
    w->measured_ns = clock_now_ns();
    pthread_mutex_lock(&w->mutex);
    w->figures.stats = stats;
    pthread_mutex_unlock(&w->mutex);
}

static void publish_snapshot(worker *w)
{
    tarn_snapshot_progress progress;
    tarn_snapshot_measure(w->snapshot, &progress);
    pthread_mutex_lock(&w->mutex);
    w->figures.reused_bytes += progress.reused_bytes;
    w->figures.uploaded_bytes += progress.uploaded_bytes;
    if (progress.sync_ns > w->figures.snapshot_sync_ns_max) {
        w->figures.snapshot_sync_ns_max = progress.sync_ns;
    }
    pthread_mutex_unlock(&w->mutex);
}

static void begin_snapshot(worker *w)
{
    tarn_error reason;
    tarn_pending_checkpoint *pending = checkpointing_pending(w->checkpointing);
    if (tarn_snapshot_begin(w->backend, pending, &w->snapshot, &reason) != TARN_OK) {
        w->snapshot = NULL;
        checkpointing_decline(w->checkpointing, &reason);
    }
}

/* Waits when the snapshot is not durable yet. */
static void finish_snapshot(worker *w)
{
    tarn_error reason;
    publish_snapshot(w);
    const tarn_status status = tarn_snapshot_finish(w->snapshot, &w->acknowledgement, &reason);
    w->snapshot = NULL;
    if (status == TARN_OK) {
        checkpointing_acknowledge(w->checkpointing, tarn_buffer_bytes(&w->acknowledgement));
    } else {
        checkpointing_decline(w->checkpointing, &reason);
    }
}

/* Between batches: what has nothing to do with the stream. */
static void look_around(worker *w)
{
    if (w->snapshot != NULL && tarn_snapshot_poll(w->snapshot) != TARN_PENDING) {
        finish_snapshot(w);
    }
    const uint64_t completed_id = atomic_load(&w->completed_id);
    if (completed_id != w->notified_id) {
        tarn_backend_notify_complete(w->backend, completed_id);
        w->notified_id = completed_id;
    }
    if (clock_now_ns() - w->measured_ns >= NS_PER_S) {
        publish(w);
    }
}

static tarn_status apply_batch(worker *w, const batch *b, tarn_error *error)
{
    for (uint32_t i = 0; i < b->count; i++) {
        TRY(states_apply(&w->states, &b->messages[i], error));
    }
    return TARN_OK;
}

static tarn_status work(worker *w, tarn_error *error)
{
    for (;;) {
        look_around(w);
        batch *b = NULL;
        const int wait_ms = w->snapshot != NULL ? SNAPSHOT_POLL_MS : QUEUE_FOREVER;
        const queue_outcome outcome = queue_pop(w->queue, wait_ms, &b);
        if (outcome == QUEUE_INTERRUPTED) {
            return failure_set(error, TARN_ABANDONED, 0, "worker %u was stopped", w->index);
        }
        if (outcome == QUEUE_NOTHING_YET) {
            continue;
        }
        const tarn_status status = apply_batch(w, b, error);
        const mark m = b->mark;
        queue_give_back(w->queue, b);
        TRY(status);
        if (m == MARK_BARRIER) {
            begin_snapshot(w);
        }
        if (m == MARK_END) {
            return TARN_OK;
        }
    }
}

static tarn_status scan(worker *w, tarn_error *error)
{
    state_size size = {0};
    TRY(result_scan(&w->states, w->lines, &size, error));
    if (w->lines != NULL) {
        TRY(sorter_flush(w->lines, error));
    }
    pthread_mutex_lock(&w->mutex);
    w->figures.size = size;
    pthread_mutex_unlock(&w->mutex);
    return TARN_OK;
}

tarn_status worker_run(worker *w, tarn_error *error)
{
    TRY(work(w, error));
    if (w->snapshot != NULL) {
        finish_snapshot(w);
    }
    publish(w);
    return w->is_scan_wanted ? scan(w, error) : TARN_OK;
}

void worker_notify_complete(worker *w, uint64_t checkpoint_id)
{
    atomic_store(&w->completed_id, checkpoint_id);
    queue_wake(w->queue);
}

worker_figures worker_measure(worker *w)
{
    pthread_mutex_lock(&w->mutex);
    const worker_figures figures = w->figures;
    pthread_mutex_unlock(&w->mutex);
    return figures;
}
