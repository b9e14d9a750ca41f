/* driver_jobs.c - records of checkpoints, and the work of storage on them. */
#include <assert.h>
#include <string.h>

#include "checkpoint/coordinator.h"
#include "checkpoint/driver.h"
#include "snapshot/store.h"
#include "tarn/savepoint.h"

tarn__record *tarn__record_new(tarn_driver *driver, uint64_t id)
{
    tarn__record *record = tarn__allocate_zeroed(driver->options.account, 1, sizeof *record);
    if (record == NULL) {
        return NULL;
    }
    record->id = id;
    record->answer.is_answer = true;
    record->answer.event.checkpoint_id = id;
    record->answer.job.record = record;
    record->job.record = record;
    record->next = driver->records;
    driver->records = record;
    return record;
}

tarn__record *tarn__driver_find(tarn_driver *driver, uint64_t id)
{
    tarn__record *record = driver->records;
    while (record != NULL && record->id != id) {
        record = record->next;
    }
    return record;
}

void tarn__driver_forget(tarn_driver *driver, tarn__record *record)
{
    assert(record->user_count == 0 && record->pending == NULL);
    tarn__record **place = &driver->records;
    while (*place != record) {
        place = &(*place)->next;
    }
    *place = record->next;
    tarn__release(record->path);
    tarn__release(record);
}

static void queue(tarn_driver *driver, uint32_t lane, tarn__driver_job *job)
{
    job->next = NULL;
    *driver->job_ends[lane] = job;
    driver->job_ends[lane] = &job->next;
    pthread_cond_broadcast(&driver->has_job);
}

static void queue_wanted(tarn_driver *driver, tarn__record *record)
{
    record->job.work = record->wanted;
    record->wanted = TARN__WORK_NONE;
    queue(
        driver,
        record->job.work == TARN__WORK_DISCARD ? TARN__LANE_DELETE : TARN__LANE_WRITE,
        &record->job);
}

void tarn__driver_want(tarn_driver *driver, tarn__record *record, tarn__work work)
{
    assert(record->wanted == TARN__WORK_NONE);
    record->wanted = work;
    record->is_closing = work != TARN__WORK_BEGIN;
    if (record->user_count == 0) {
        queue_wanted(driver, record);
    }
}

void tarn__driver_release(tarn_driver *driver, tarn__record *record)
{
    assert(record->user_count > 0);
    record->user_count--;
    if (record->user_count == 0 && record->wanted != TARN__WORK_NONE) {
        queue_wanted(driver, record);
    }
}

void tarn__driver_queue_part(tarn_driver *driver, tarn__record *record, tarn__mail *mail)
{
    record->user_count++;
    mail->job = (tarn__driver_job){.work = TARN__WORK_TAKE, .record = record, .mail = mail};
    queue(driver, TARN__LANE_WRITE, &mail->job);
}

/* The work itself: no lock is held; the record belongs to the job, but for its user count. */

static tarn_status begin_pending(
    tarn_driver *driver, tarn__record *record, tarn_pending_checkpoint **out)
{
    tarn_error *error = &record->answer.cause;
    if (driver->savepoint_address == NULL || !tarn__kind_is_savepoint(record->kind)) {
        return tarn_checkpoint_begin(driver->options.store, record->id, out, error);
    }
    const tarn_savepoint_options options = {
        .struct_size = sizeof options,
        .env = driver->options.env,
        .address = driver->savepoint_address,
        .job = driver->job,
        .id = record->id,
        .form = driver->options.savepoint_form,
    };
    return tarn_savepoint_begin(&options, out, error);
}

static void begin(tarn_driver *driver, tarn__record *record)
{
    tarn_coordinator_event *answer = &record->answer.event;
    tarn_pending_checkpoint *pending = NULL;
    const tarn_status status = begin_pending(driver, record, &pending);
    char *path = status == TARN_OK
                     ? tarn__allocate_string(driver->options.account, tarn_savepoint_path(pending))
                     : NULL;
    if (status == TARN_OK) {
        record->answer.cause = (tarn_error){.status = TARN_OK}; /* Of what went wrong on the way. */
    }
    answer->kind = status == TARN_OK ? TARN_COORDINATOR_BEGUN : TARN_COORDINATOR_NOT_BEGUN;
    answer->is_id_spent = tarn_checkpoint_store_next_id(driver->options.store) > record->id;
    pthread_mutex_lock(&driver->mutex);
    record->pending = pending;
    record->path = path;
    pthread_mutex_unlock(&driver->mutex);
}

static void take(tarn_driver *driver, tarn__record *record, const tarn__mail *mail)
{
    const uint8_t *at = mail->parts;
    tarn_error cause;
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; i < mail->part_count && status == TARN_OK; i++) {
        size_t size = 0;
        memcpy(&size, at, sizeof size);
        at += sizeof size;
        status = tarn_checkpoint_acknowledge(record->pending, tarn_bytes_at(at, size), &cause);
        at += size;
    }
    if (status != TARN_OK) {
        pthread_mutex_lock(&driver->mutex);
        if (!record->is_damaged) {
            record->cause = cause;
        }
        record->is_damaged = true;
        pthread_mutex_unlock(&driver->mutex);
    }
}

static void write_metadata(tarn_driver *driver, tarn__record *record)
{
    tarn_coordinator_event *answer = &record->answer.event;
    answer->kind = TARN_COORDINATOR_WRITTEN;
    answer->write_outcome = TARN_WRITE_FAILED;
    tarn_pending_checkpoint *pending = record->pending;
    pthread_mutex_lock(&driver->mutex);
    record->pending = NULL;
    const bool is_damaged = record->is_damaged;
    pthread_mutex_unlock(&driver->mutex);
    if (is_damaged) {
        tarn__checkpoint_abandon(pending);
        return;
    }
    bool is_in_doubt = false;
    const tarn_status status = tarn__checkpoint_commit(
        pending, /* cleans= */ false, &record->summary, &is_in_doubt, &record->answer.cause);
    if (status == TARN_OK) {
        answer->write_outcome = TARN_WRITE_DURABLE;
    } else if (is_in_doubt) {
        answer->write_outcome = TARN_WRITE_UNKNOWN;
    }
}

/* What cannot be deleted now is tried again by the store, with every later deletion. */
static void discard(tarn_driver *driver, tarn__record *record)
{
    record->answer.event.kind = TARN_COORDINATOR_DISCARDED;
    if (record->is_completed) {
        tarn__store_discard(driver->options.store, record->id);
        return;
    }
    tarn_pending_checkpoint *pending = record->pending;
    pthread_mutex_lock(&driver->mutex);
    record->pending = NULL;
    pthread_mutex_unlock(&driver->mutex);
    tarn__checkpoint_abandon(pending);
}

static void run(tarn_driver *driver, const tarn__driver_job *job)
{
    switch (job->work) {
    case TARN__WORK_BEGIN:
        begin(driver, job->record);
        break;
    case TARN__WORK_TAKE:
        take(driver, job->record, job->mail);
        break;
    case TARN__WORK_WRITE:
        write_metadata(driver, job->record);
        break;
    case TARN__WORK_DISCARD:
        discard(driver, job->record);
        break;
    case TARN__WORK_CLEAN:
        tarn__store_clean(driver->options.store);
        break;
    case TARN__WORK_NONE:
        break;
    }
}

/* A commit is announced before anything is deleted, however long that takes. Under the mutex. */
static void queue_cleaning(tarn_driver *driver)
{
    if (!driver->is_cleaning_queued) {
        driver->is_cleaning_queued = true;
        driver->cleaning = (tarn__driver_job){.work = TARN__WORK_CLEAN};
        queue(driver, TARN__LANE_DELETE, &driver->cleaning);
    }
}

/* Takes the first job of a lane out, as it may be queued again meanwhile. False: there is none. */
static bool take_job(tarn_driver *driver, uint32_t lane, tarn__driver_job *out)
{
    pthread_mutex_lock(&driver->mutex);
    const tarn__driver_job *job = driver->jobs[lane];
    if (job != NULL) {
        *out = *job;
        driver->jobs[lane] = job->next;
        if (job->next == NULL) {
            driver->job_ends[lane] = &driver->jobs[lane];
        }
        driver->busy_count++;
        driver->is_cleaning_queued = driver->is_cleaning_queued && job != &driver->cleaning;
    }
    pthread_mutex_unlock(&driver->mutex);
    return job != NULL;
}

/* Says what came of a job. Under the mutex. */
static void conclude(tarn_driver *driver, const tarn__driver_job *job)
{
    driver->busy_count--;
    if (job->work == TARN__WORK_TAKE) {
        tarn__driver_release(driver, job->record);
    } else if (job->record != NULL) {
        tarn__driver_post(driver, &job->record->answer);
    }
    if (job->work == TARN__WORK_WRITE) {
        queue_cleaning(driver);
    }
    pthread_cond_broadcast(&driver->has_changed);
}

bool tarn__driver_run_job(tarn_driver *driver, uint32_t lane)
{
    tarn__driver_job job;
    if (!take_job(driver, lane, &job)) {
        return false;
    }
    if (job.record != NULL && job.mail == NULL) {
        job.record->answer.cause.status = TARN_OK;
    }
    run(driver, &job);
    pthread_mutex_lock(&driver->mutex);
    conclude(driver, &job);
    pthread_mutex_unlock(&driver->mutex);
    tarn__release(job.mail);
    return true;
}
