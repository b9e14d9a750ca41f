#include "snapshotting.h"

#include <string.h>

#include <tarn/channel_state.h>

#include "failure.h"

void snapshotting_init(snapshotting *s)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
}

void snapshotting_clear(snapshotting *s)
{
    tarn_buffer_clear(&s->acknowledgement);
    pthread_mutex_destroy(&s->mutex);
}

void snapshotting_abandon(snapshotting *s, uint64_t checkpoint_id)
{
    if (s->snapshot != NULL && s->id == checkpoint_id) {
        tarn_snapshot_abandon(s->snapshot);
        s->snapshot = NULL;
    }
}

void snapshotting_decline(
    snapshotting *s,
    uint64_t checkpoint_id,
    tarn_checkpoint_failure reason,
    const tarn_error *cause)
{
    snapshotting_abandon(s, checkpoint_id);
    participant_decline(&s->participant, checkpoint_id, reason, cause);
}

static void decline(snapshotting *s, uint64_t checkpoint_id, const tarn_error *cause)
{
    snapshotting_decline(s, checkpoint_id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION, cause);
}

static bool is_wanted(snapshotting *s, uint64_t checkpoint_id)
{
    tarn_driver *driver = s->participant.checkpointing->driver;
    tarn_pending_checkpoint *pending = NULL;
    tarn_error ended;
    const tarn_status status = tarn_driver_borrow(driver, checkpoint_id, &pending, &ended);
    if (status == TARN_OK) {
        tarn_driver_give_back(driver, checkpoint_id);
    }
    return status == TARN_OK;
}

static bool make_room(snapshotting *s, uint64_t checkpoint_id, bool is_savepoint)
{
    if (s->snapshot == NULL) {
        return true;
    }
    if (!is_wanted(s, s->id)) {
        snapshotting_abandon(s, s->id);
        return true;
    }
    if (is_savepoint) {
        snapshotting_decline(s, s->id, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED, NULL);
    } else {
        snapshotting_decline(
            s, checkpoint_id, TARN_FAILURE_CHECKPOINT_DECLINED_TASK_NOT_READY, NULL);
    }
    return is_savepoint;
}

static tarn_status begin(
    snapshotting *s, uint64_t checkpoint_id, tarn_pending_checkpoint *pending, tarn_error *cause)
{
    uint8_t encoded[WATERMARKS_BYTES_MAX];
    TRY(tarn_snapshot_begin(s->backend, pending, &s->snapshot, cause));
    s->id = checkpoint_id;
    return tarn_snapshot_add_state(
        s->snapshot, WATERMARKS_STATE_NAME, watermarks_encode(s->watermarks, encoded), cause);
}

void snapshotting_begin(snapshotting *s, uint64_t checkpoint_id, bool is_savepoint)
{
    tarn_driver *driver = s->participant.checkpointing->driver;
    tarn_pending_checkpoint *pending = NULL;
    tarn_error cause;
    if (!make_room(s, checkpoint_id, is_savepoint)) {
        return;
    }
    s->is_complete = false;
    tarn_status status = tarn_driver_borrow(driver, checkpoint_id, &pending, &cause);
    if (status == TARN_OK) {
        status = begin(s, checkpoint_id, pending, &cause);
        tarn_driver_give_back(driver, checkpoint_id);
    }
    if (status != TARN_OK) {
        decline(s, checkpoint_id, &cause);
    }
}

static void count_kept(snapshotting *s, uint64_t bytes)
{
    pthread_mutex_lock(&s->mutex);
    s->figures.kept_bytes += bytes;
    if (bytes > s->figures.kept_bytes_max) {
        s->figures.kept_bytes_max = bytes;
    }
    pthread_mutex_unlock(&s->mutex);
}

void snapshotting_complete(snapshotting *s, uint64_t checkpoint_id, tarn_bytes kept)
{
    if (s->snapshot == NULL || s->id != checkpoint_id) {
        return; /* It was declined meanwhile. */
    }
    tarn_error cause;
    s->is_complete = true;
    count_kept(s, kept.size);
    if (kept.size > 0 &&
        tarn_snapshot_add_state(s->snapshot, TARN_CHANNEL_STATE_NAME, kept, &cause) != TARN_OK) {
        decline(s, checkpoint_id, &cause);
    }
}

static void count_snapshot(snapshotting *s)
{
    tarn_snapshot_progress progress;
    tarn_snapshot_measure(s->snapshot, &progress);
    pthread_mutex_lock(&s->mutex);
    s->figures.reused_bytes += progress.reused_bytes;
    s->figures.uploaded_bytes += progress.uploaded_bytes;
    if (progress.sync_ns > s->figures.sync_ns_max) {
        s->figures.sync_ns_max = progress.sync_ns;
    }
    pthread_mutex_unlock(&s->mutex);
}

/* Waits when the snapshot is not durable yet. */
static void acknowledge(snapshotting *s)
{
    tarn_error cause;
    count_snapshot(s);
    const tarn_status status = tarn_snapshot_finish(s->snapshot, &s->acknowledgement, &cause);
    s->snapshot = NULL;
    if (status == TARN_OK) {
        participant_acknowledge(&s->participant, s->id, tarn_buffer_bytes(&s->acknowledgement));
    } else {
        decline(s, s->id, &cause);
    }
}

void snapshotting_poll(snapshotting *s)
{
    if (s->snapshot != NULL && tarn_snapshot_poll(s->snapshot) != TARN_PENDING && s->is_complete) {
        acknowledge(s);
    }
}

void snapshotting_finish(snapshotting *s)
{
    if (s->snapshot != NULL && s->is_complete) {
        acknowledge(s);
    }
}

snapshot_figures snapshotting_measure(snapshotting *s)
{
    pthread_mutex_lock(&s->mutex);
    const snapshot_figures figures = s->figures;
    pthread_mutex_unlock(&s->mutex);
    return figures;
}
