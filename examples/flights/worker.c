#include "worker.h"

#include <string.h>

#include "clock.h"
#include "failure.h"
#include "recovery.h"

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

static tarn_status recover(worker *w, tarn_error *error)
{
    const recovery r = {
        .operator_name = operator_name,
        .index = w->index,
        .worker_count = w->worker_count,
        .max_parallelism = w->max_parallelism,
        .states = &w->states,
        .watermarks = &w->watermarks,
    };
    TRY(recovery_run(&r, w->restore, error));
    w->restore = NULL;
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
    const barriers_options of = {
        .gate = w->gate,
        .snapshotting = &w->snapshotting,
        .budget = tarn_env_budget(w->env),
        .worker_index = w->index,
        .kept_max = w->in_flight_max,
    };
    TRY(barriers_open(&w->barriers, &of, error));
    w->snapshotting.backend = w->backend;
    w->snapshotting.watermarks = &w->watermarks;
    w->snapshotting.acknowledgement.allocator = w->allocator;
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
    how.recovery_directory = w->copy;
    TRY(tarn_backend_open(&how, &w->backend, error));
    TRY(states_open(&w->states, w->backend, error));
    watermarks_init(&w->watermarks, w->gate->channel_count);
    if (w->restore != NULL) {
        TRY(recover(w, error));
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
    w->late_count = w->watermarks.late_count;
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
        watermarks_judge(&w->watermarks, b->messages[i].scheduled_at);
        TRY(states_apply(&w->states, &b->messages[i], error));
    }
    return TARN_OK;
}

/* What a batch says beside its messages. */
static void follow_event_time(worker *w, uint32_t channel, const batch *b)
{
    watermarks_advance(&w->watermarks, channel, b->watermark);
    if (b->mark == MARK_END) {
        watermarks_end(&w->watermarks, channel);
    }
}

static tarn_status work_on(worker *w, uint32_t channel, batch *b, tarn_error *error)
{
    barriers_note_batch(&w->barriers, channel, b);
    const tarn_status status = apply_batch(w, b, error);
    follow_event_time(w, channel, b);
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
        .barriers = barriers_measure(&w->barriers),
    };
    pthread_mutex_lock(&w->mutex);
    figures.stats = w->stats;
    figures.late_count = w->late_count;
    figures.size = w->size;
    pthread_mutex_unlock(&w->mutex);
    return figures;
}
