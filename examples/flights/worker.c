#include "worker.h"

#include <string.h>

#include <tarn/channel_state.h>
#include <tarn/key_group.h>

#include "clock.h"
#include "failure.h"
#include "source.h"

static const char operator_name[] = "flights";

/* How often a worker without messages looks after its snapshot. */
enum { SNAPSHOT_POLL_MS = 1 };

void worker_init(worker *w)
{
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->mutex, NULL);
}

void worker_clear(worker *w)
{
    tarn_aligner_close(w->aligner);
    tarn_buffer_clear(&w->kept);
    tarn_buffer_clear(&w->acknowledgement);
    pthread_mutex_destroy(&w->mutex);
}

/* What was in flight to any worker: this one applies the messages of its own keys. */
static tarn_status apply_kept(uint32_t channel, tarn_bytes buffer, void *context, tarn_error *error)
{
    (void)channel;
    worker *w = context;
    message m;
    for (size_t at = 0; at + sizeof m <= buffer.size; at += sizeof m) {
        memcpy(&m, (const uint8_t *)buffer.data + at, sizeof m);
        const uint32_t group =
            tarn_key_group_of(tarn_hash_java_string(m.key, m.key_size), w->max_parallelism);
        if (tarn_key_group_subtask(group, w->max_parallelism, w->worker_count) == w->index) {
            TRY(states_apply(&w->states, &m, error));
        }
    }
    return TARN_OK;
}

static tarn_status apply_in_flight(worker *w, const tarn_checkpoint *checkpoint, tarn_error *error)
{
    const uint32_t count = tarn_checkpoint_summarize(checkpoint).subtask_count;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_subtask subtask = tarn_checkpoint_subtask_at(checkpoint, i);
        for (uint32_t n = 0; n < subtask.operator_state_count; n++) {
            const tarn_checkpoint_operator_state state =
                tarn_checkpoint_operator_state_at(checkpoint, i, n);
            if (strcmp(state.name, TARN_CHANNEL_STATE_NAME) == 0) {
                TRY(tarn_channel_state_read(state.bytes, apply_kept, w, error));
            }
        }
    }
    return TARN_OK;
}

/* The driver's thread. */
static void note_complete(uint64_t checkpoint_id, void *context)
{
    worker *w = context;
    atomic_store(&w->completed_id, checkpoint_id);
    queue_wake(w->queue);
}

static void note_aborted(uint64_t checkpoint_id, void *context)
{
    worker *w = context;
    atomic_store(&w->aborted_id, checkpoint_id);
    queue_wake(w->queue);
}

static tarn_status join(worker *w, tarn_error *error)
{
    const tarn_driver_task callbacks = {
        .struct_size = sizeof callbacks,
        .notify_complete = note_complete,
        .notify_aborted = note_aborted,
        .context = w,
    };
    TRY(tarn_aligner_open(1, /* is_at_least_once= */ false, NULL, &w->aligner, error));
    return participant_join(
        &w->participant, w->checkpointing, SOURCE_TASK + 1 + w->index, &callbacks, error);
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
    TRY(states_open(&w->states, w->backend, error));
    if (w->restore != NULL) {
        TRY(apply_in_flight(w, w->restore, error));
        w->restore = NULL;
    }
    return join(w, error);
}

tarn_status worker_close(worker *w, tarn_error *error)
{
    participant_leave(&w->participant, TARN_TASK_END_STOPPED);
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

/* --- Checkpoints --- */

static void abandon_snapshot(worker *w, uint64_t checkpoint_id)
{
    if (w->snapshot != NULL && w->snapshot_id == checkpoint_id) {
        tarn_snapshot_abandon(w->snapshot);
        w->snapshot = NULL;
    }
}

static void decline_for(
    worker *w, uint64_t checkpoint_id, tarn_checkpoint_failure reason, const tarn_error *cause)
{
    abandon_snapshot(w, checkpoint_id);
    participant_decline(&w->participant, checkpoint_id, reason, cause);
}

static void decline(worker *w, uint64_t checkpoint_id, const tarn_error *cause)
{
    decline_for(w, checkpoint_id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION, cause);
}

static bool is_wanted(worker *w, uint64_t checkpoint_id)
{
    tarn_driver *driver = w->checkpointing->driver;
    tarn_pending_checkpoint *pending = NULL;
    tarn_error ended;
    const tarn_status status = tarn_driver_borrow(driver, checkpoint_id, &pending, &ended);
    if (status == TARN_OK) {
        tarn_driver_give_back(driver, checkpoint_id);
    }
    return status == TARN_OK;
}

/*
 * A backend has one snapshot at a time. One that is still wanted goes on, so that checkpoints that
 * take longer than their interval complete all the same, and the newer one is declined; but a
 * savepoint, which somebody asked for, goes first.
 */
static bool make_room(worker *w, uint64_t checkpoint_id)
{
    if (w->snapshot == NULL) {
        return true;
    }
    if (!is_wanted(w, w->snapshot_id)) {
        abandon_snapshot(w, w->snapshot_id);
        return true;
    }
    const bool is_first = w->kind != TARN_CHECKPOINT_INCREMENTAL && w->kind != TARN_CHECKPOINT_FULL;
    if (is_first) {
        decline_for(w, w->snapshot_id, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED, NULL);
    } else {
        decline_for(w, checkpoint_id, TARN_FAILURE_CHECKPOINT_DECLINED_TASK_NOT_READY, NULL);
    }
    return is_first;
}

static void begin_snapshot(worker *w, uint64_t checkpoint_id)
{
    tarn_driver *driver = w->checkpointing->driver;
    tarn_pending_checkpoint *pending = NULL;
    tarn_error cause;
    if (!make_room(w, checkpoint_id)) {
        return;
    }
    w->snapshot_id = checkpoint_id;
    tarn_status status = tarn_driver_borrow(driver, checkpoint_id, &pending, &cause);
    if (status == TARN_OK) {
        status = tarn_snapshot_begin(w->backend, pending, &w->snapshot, &cause);
        tarn_driver_give_back(driver, checkpoint_id);
    }
    if (status != TARN_OK) {
        w->snapshot = NULL;
        decline(w, checkpoint_id, &cause);
    }
}

/* What the barrier overtakes: the batches before it, and the messages in its own. */
static tarn_status keep(worker *w, uint64_t checkpoint_id, tarn_error *error)
{
    const batch *before[QUEUE_BATCHES];
    const bool is_first = w->reached_id == checkpoint_id;
    const uint32_t count = is_first ? 0 : queue_list_before(w->queue, checkpoint_id, before);
    w->kept.size = 0;
    for (uint32_t i = 0; i < count; i++) {
        const size_t bytes = before[i]->count * sizeof before[i]->messages[0];
        TRY(tarn_channel_state_append(
            &w->kept, 0, tarn_bytes_at(before[i]->messages, bytes), error));
        tarn_aligner_add_kept(w->aligner, bytes);
    }
    return TARN_OK;
}

/* All of the checkpoint is known: what was kept joins the snapshot. */
static void complete_snapshot(worker *w, uint64_t checkpoint_id)
{
    tarn_error cause;
    pthread_mutex_lock(&w->mutex);
    w->figures.kept_bytes += w->kept.size;
    if (w->kept.size > w->figures.kept_bytes_max) {
        w->figures.kept_bytes_max = w->kept.size;
    }
    pthread_mutex_unlock(&w->mutex);
    if (w->snapshot != NULL && w->snapshot_id == checkpoint_id && w->kept.size > 0 &&
        tarn_snapshot_add_state(
            w->snapshot, TARN_CHANNEL_STATE_NAME, tarn_buffer_bytes(&w->kept), &cause) != TARN_OK) {
        decline(w, checkpoint_id, &cause);
    }
    w->kept.size = 0;
}

/* With one channel nothing waits for another one, and nothing comes before a barrier late. */
static tarn_status tell_aligner(worker *w, tarn_barrier event, tarn_error *error)
{
    event.now_ms = clock_now_ns() / NS_PER_MS;
    const tarn_alignment_effects effects = tarn_aligner_step(w->aligner, &event);
    for (uint32_t i = 0; i < effects.count; i++) {
        const tarn_alignment_effect *effect = &effects.items[i];
        switch (effect->kind) {
        case TARN_ALIGN_KEEP:
            TRY(keep(w, effect->checkpoint_id, error));
            break;
        case TARN_ALIGN_SNAPSHOT:
            begin_snapshot(w, effect->checkpoint_id);
            break;
        case TARN_ALIGN_COMPLETE:
            complete_snapshot(w, effect->checkpoint_id);
            break;
        case TARN_ALIGN_ABANDONED:
            w->kept.size = 0;
            abandon_snapshot(w, effect->checkpoint_id);
            if (!effect->is_known) {
                participant_decline(&w->participant, effect->checkpoint_id, effect->reason, NULL);
            }
            break;
        case TARN_ALIGN_BLOCK:
        case TARN_ALIGN_UNBLOCK:
        case TARN_ALIGN_KEPT:
            break;
        }
    }
    return TARN_OK;
}

static tarn_barrier barrier_event(tarn_barrier_kind kind, const tarn_driver_barrier *barrier)
{
    return (tarn_barrier){
        .kind = kind,
        .checkpoint_id = barrier->checkpoint_id,
        .alignment = barrier->alignment,
        .timeout_ms = barrier->aligned_timeout_ms,
    };
}

/* Waits when the snapshot is not durable yet. */
static void finish_snapshot(worker *w)
{
    tarn_error cause;
    publish_snapshot(w);
    const tarn_status status = tarn_snapshot_finish(w->snapshot, &w->acknowledgement, &cause);
    w->snapshot = NULL;
    if (status == TARN_OK) {
        participant_acknowledge(
            &w->participant, w->snapshot_id, tarn_buffer_bytes(&w->acknowledgement));
    } else {
        decline(w, w->snapshot_id, &cause);
    }
}

/* What the driver has said meanwhile. */
static tarn_status hear_driver(worker *w, tarn_error *error)
{
    const uint64_t completed_id = atomic_load(&w->completed_id);
    if (completed_id != w->notified_id) {
        tarn_backend_notify_complete(w->backend, completed_id);
        w->notified_id = completed_id;
    }
    const uint64_t aborted_id = atomic_load(&w->aborted_id);
    if (aborted_id != w->given_up_id) {
        w->given_up_id = aborted_id;
        abandon_snapshot(w, aborted_id);
        return tell_aligner(
            w, (tarn_barrier){.kind = TARN_BARRIER_GIVE_UP, .checkpoint_id = aborted_id}, error);
    }
    return TARN_OK;
}

/* Barriers that have arrived behind batches, and those that have waited long enough. */
static tarn_status look_for_barriers(worker *w, tarn_error *error)
{
    tarn_driver_barrier barrier;
    if (queue_find_barrier(w->queue, w->arrived_id, &barrier)) {
        w->arrived_id = barrier.checkpoint_id;
        w->kind = barrier.kind;
        TRY(tell_aligner(w, barrier_event(TARN_BARRIER_ARRIVED, &barrier), error));
    }
    if (tarn_aligner_next_ms(w->aligner) <= clock_now_ns() / NS_PER_MS) {
        return tell_aligner(w, (tarn_barrier){.kind = TARN_BARRIER_TICK}, error);
    }
    return TARN_OK;
}

static tarn_status reach_barrier(worker *w, const tarn_driver_barrier *barrier, tarn_error *error)
{
    w->reached_id = barrier->checkpoint_id;
    w->kind = barrier->kind;
    return tell_aligner(w, barrier_event(TARN_BARRIER_REACHED, barrier), error);
}

/* Between batches: what has nothing to do with the stream. */
static tarn_status look_around(worker *w, tarn_error *error)
{
    TRY(hear_driver(w, error));
    TRY(look_for_barriers(w, error));
    if (w->snapshot != NULL && tarn_snapshot_poll(w->snapshot) != TARN_PENDING) {
        finish_snapshot(w);
    }
    if (clock_now_ns() - w->measured_ns >= NS_PER_S) {
        publish(w);
    }
    return TARN_OK;
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
        TRY(look_around(w, error));
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
        const tarn_driver_barrier barrier = b->barrier;
        queue_give_back(w->queue, b);
        TRY(status);
        if (m == MARK_BARRIER) {
            TRY(reach_barrier(w, &barrier, error));
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
    participant_leave(&w->participant, TARN_TASK_END_FINISHED);
    publish(w);
    return w->is_scan_wanted ? scan(w, error) : TARN_OK;
}

worker_figures worker_measure(worker *w)
{
    pthread_mutex_lock(&w->mutex);
    const worker_figures figures = w->figures;
    pthread_mutex_unlock(&w->mutex);
    return figures;
}
