#include "worker.h"

#include <string.h>

#include <tarn/channel_state.h>
#include <tarn/key_group.h>

#include "clock.h"
#include "failure.h"

static const char operator_name[] = "flights";

/* How often a worker without messages looks after its snapshot. */
enum { SNAPSHOT_POLL_MS = 1 };

void worker_init(worker *w)
{
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->mutex, NULL);
    snapshotting_init(&w->snapshotting);
    barriers_init(&w->barriers);
}

void worker_clear(worker *w)
{
    barriers_clear(&w->barriers);
    snapshotting_clear(&w->snapshotting);
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
    gate_wake(w->gate);
}

static void note_aborted(uint64_t checkpoint_id, void *context)
{
    worker *w = context;
    atomic_store(&w->aborted_id, checkpoint_id);
    gate_wake(w->gate);
}

static tarn_status join(worker *w, tarn_error *error)
{
    const tarn_driver_task callbacks = {
        .struct_size = sizeof callbacks,
        .notify_complete = note_complete,
        .notify_aborted = note_aborted,
        .context = w,
    };
    TRY(barriers_open(&w->barriers, w->gate, &w->snapshotting, error));
    w->snapshotting.backend = w->backend;
    return participant_join(
        &w->snapshotting.participant, w->checkpointing, w->task, &callbacks, error);
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
    participant_leave(&w->snapshotting.participant, TARN_TASK_END_STOPPED);
    snapshotting_abandon(&w->snapshotting, w->snapshotting.id);
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
    w->stats = stats;
    pthread_mutex_unlock(&w->mutex);
}

/* What the driver has said meanwhile. */
static void hear_driver(worker *w)
{
    const uint64_t completed_id = atomic_load(&w->completed_id);
    if (completed_id != w->notified_id) {
        tarn_backend_notify_complete(w->backend, completed_id);
        w->notified_id = completed_id;
    }
    const uint64_t aborted_id = atomic_load(&w->aborted_id);
    if (aborted_id != w->given_up_id) {
        w->given_up_id = aborted_id;
        snapshotting_abandon(&w->snapshotting, aborted_id);
        barriers_give_up(&w->barriers, aborted_id);
    }
}

/* Between batches: what has nothing to do with the stream. */
static void look_around(worker *w)
{
    hear_driver(w);
    barriers_look(&w->barriers);
    snapshotting_poll(&w->snapshotting);
    if (clock_now_ns() - w->measured_ns >= NS_PER_S) {
        publish(w);
    }
}

static int wait_ms(const worker *w)
{
    const int until_late_ms = barriers_wait_ms(&w->barriers);
    const bool is_late_first = until_late_ms != GATE_FOREVER && until_late_ms < SNAPSHOT_POLL_MS;
    return w->snapshotting.snapshot != NULL && !is_late_first ? SNAPSHOT_POLL_MS : until_late_ms;
}

static tarn_status apply_batch(worker *w, const batch *b, tarn_error *error)
{
    for (uint32_t i = 0; i < b->count; i++) {
        TRY(states_apply(&w->states, &b->messages[i], error));
    }
    return TARN_OK;
}

static tarn_status work_on(worker *w, uint32_t channel, batch *b, tarn_error *error)
{
    barriers_note_batch(&w->barriers, channel, b);
    const tarn_status status = apply_batch(w, b, error);
    const mark m = b->mark;
    const tarn_driver_barrier barrier = b->barrier;
    gate_give_back(w->gate, channel, b);
    TRY(status);
    barriers_pass_mark(&w->barriers, channel, m, &barrier);
    w->ended_count += m == MARK_END ? 1 : 0;
    return TARN_OK;
}

static tarn_status work(worker *w, tarn_error *error)
{
    while (w->ended_count < w->gate->channel_count) {
        look_around(w);
        uint32_t channel = 0;
        batch *b = NULL;
        const gate_outcome outcome = gate_pop(w->gate, wait_ms(w), &channel, &b);
        if (outcome == GATE_INTERRUPTED) {
            return failure_set(error, TARN_ABANDONED, 0, "worker %u was stopped", w->index);
        }
        if (outcome == GATE_BATCH) {
            TRY(work_on(w, channel, b, error));
        }
    }
    return TARN_OK;
}

static tarn_status scan(worker *w, tarn_error *error)
{
    state_size size = {0};
    TRY(result_scan(&w->states, w->lines, &size, error));
    if (w->lines != NULL) {
        TRY(sorter_flush(w->lines, error));
    }
    pthread_mutex_lock(&w->mutex);
    w->size = size;
    pthread_mutex_unlock(&w->mutex);
    return TARN_OK;
}

tarn_status worker_run(worker *w, tarn_error *error)
{
    TRY(work(w, error));
    snapshotting_finish(&w->snapshotting);
    participant_leave(&w->snapshotting.participant, TARN_TASK_END_FINISHED);
    publish(w);
    return w->is_scan_wanted ? scan(w, error) : TARN_OK;
}

worker_figures worker_measure(worker *w)
{
    worker_figures figures = {
        .snapshots = snapshotting_measure(&w->snapshotting),
        .alignment = barriers_measure(&w->barriers),
    };
    pthread_mutex_lock(&w->mutex);
    figures.stats = w->stats;
    figures.size = w->size;
    pthread_mutex_unlock(&w->mutex);
    return figures;
}
