/* driver_tasks.c - what tasks and programs say to a driver, and what they ask it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "checkpoint/coordinator.h"
#include "checkpoint/driver.h"
#include "snapshot/store.h"

enum { ADDRESS_BYTES = 4096 };

/* --- Sending --- */

static tarn_status new_mail(tarn_driver *driver, size_t bytes, tarn__mail **out, tarn_error *error)
{
    if (driver == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "driver is missing");
    }
    tarn__mail *mail = tarn__allocate(driver->options.account, sizeof *mail + bytes);
    if (mail == NULL) {
        return tarn__fail_no_memory(error, "a message to the checkpoint driver", bytes);
    }
    *mail = (tarn__mail){.parts = (uint8_t *)(mail + 1)};
    *out = mail;
    return TARN_OK;
}

static void post(tarn_driver *driver, tarn__mail *mail)
{
    pthread_mutex_lock(&driver->mutex);
    tarn__driver_post(driver, mail);
    pthread_mutex_unlock(&driver->mutex);
}

static tarn_status post_event(tarn_driver *driver, tarn_coordinator_event event, tarn_error *error)
{
    tarn__mail *mail = NULL;
    TARN_TRY(new_mail(driver, 0, &mail, error));
    mail->event = event;
    post(driver, mail);
    return TARN_OK;
}

tarn_status tarn_driver_start(tarn_driver *driver, tarn_error *error)
{
    return post_event(driver, (tarn_coordinator_event){.kind = TARN_COORDINATOR_START}, error);
}

tarn_status tarn_driver_stop(tarn_driver *driver, tarn_error *error)
{
    return post_event(driver, (tarn_coordinator_event){.kind = TARN_COORDINATOR_STOP}, error);
}

tarn_status tarn_driver_set_backlog(tarn_driver *driver, bool is_on, tarn_error *error)
{
    return post_event(
        driver, (tarn_coordinator_event){.kind = TARN_COORDINATOR_BACKLOG, .is_on = is_on}, error);
}

tarn_status tarn_driver_request(
    tarn_driver *driver, tarn_checkpoint_kind kind, uint64_t request_id, tarn_error *error)
{
    if (driver != NULL && driver->options.env != NULL && driver->savepoint_address == NULL &&
        tarn__kind_is_savepoint(kind)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "there is no place for a savepoint: neither savepoint_address nor "
            "state.savepoints.dir is set");
    }
    return post_event(
        driver,
        (tarn_coordinator_event){
            .kind = TARN_COORDINATOR_REQUEST, .kind_wanted = kind, .request_id = request_id},
        error);
}

/* --- Tasks --- */

/* Under the mutex. */
static tarn_status seat(
    tarn_driver *driver,
    uint32_t task,
    const tarn_driver_task *callbacks,
    tarn__mail *end,
    uint32_t *attempt_out,
    tarn_error *error)
{
    tarn__driver_seat *s = &driver->seats[task];
    if (s->is_running) {
        return tarn__fail(error, TARN_BUSY, "task %" PRIu32 " runs already", task);
    }
    s->callbacks = *callbacks;
    s->is_running = true;
    s->end = end;
    *attempt_out = s->run_count++;
    return TARN_OK;
}

tarn_status tarn_driver_start_task(
    tarn_driver *driver,
    uint32_t task,
    const tarn_driver_task *callbacks,
    uint32_t *attempt_out,
    tarn_error *error)
{
    if (callbacks == NULL || callbacks->struct_size != sizeof *callbacks || attempt_out == NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s",
            attempt_out == NULL ? "attempt_out is missing"
                                : "callbacks is missing, or its struct_size is not set");
    }
    tarn__mail *start = NULL;
    tarn__mail *end = NULL;
    TARN_TRY(new_mail(driver, 0, &start, error));
    tarn_status status = new_mail(driver, 0, &end, error);
    uint32_t attempt = 0;
    if (status == TARN_OK && task >= driver->task_count) {
        status = tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "task %" PRIu32 " is not below %" PRIu32,
            task,
            driver->task_count);
    }
    if (status == TARN_OK) {
        pthread_mutex_lock(&driver->mutex);
        status = seat(driver, task, callbacks, end, &attempt, error);
        pthread_mutex_unlock(&driver->mutex);
    }
    if (status != TARN_OK) {
        tarn__release(start);
        tarn__release(end);
        return status;
    }
    start->event = (tarn_coordinator_event){
        .kind = TARN_COORDINATOR_TASK_RESTARTED, .task = task, .attempt = attempt};
    post(driver, start);
    *attempt_out = attempt;
    return TARN_OK;
}

/* No callback of the task runs any more, unless this is called by one. Under the mutex. */
static void await_callback(tarn_driver *driver, uint32_t task)
{
    while (driver->called_task == task && !pthread_equal(driver->poller, pthread_self())) {
        pthread_cond_wait(&driver->has_changed, &driver->mutex);
    }
}

void tarn_driver_end_task(tarn_driver *driver, uint32_t task, tarn_driver_task_end end)
{
    if (driver == NULL || task >= driver->task_count) {
        return;
    }
    tarn_coordinator_event event = {.kind = TARN_COORDINATOR_TASK_STATE, .task = task};
    event.task_state = end == TARN_TASK_END_FINISHED ? TARN_TASK_FINISHED : TARN_TASK_NOT_RUNNING;
    if (end == TARN_TASK_END_FAILED) {
        event.kind = TARN_COORDINATOR_TASK_FAILED;
    }
    tarn__driver_seat *s = &driver->seats[task];
    pthread_mutex_lock(&driver->mutex);
    if (s->is_running) {
        s->is_running = false;
        s->end->event = event;
        tarn__driver_post(driver, s->end);
        s->end = NULL;
        await_callback(driver, task);
    }
    pthread_mutex_unlock(&driver->mutex);
}

/* --- Checkpoints --- */

tarn_status tarn_driver_borrow(
    tarn_driver *driver, uint64_t checkpoint_id, tarn_pending_checkpoint **out, tarn_error *error)
{
    pthread_mutex_lock(&driver->mutex);
    tarn__record *record = tarn__driver_find(driver, checkpoint_id);
    const bool is_there = record != NULL && !record->is_closing && record->pending != NULL;
    if (is_there) {
        record->user_count++;
        *out = record->pending;
    }
    pthread_mutex_unlock(&driver->mutex);
    return is_there ? TARN_OK
                    : tarn__fail(
                          error,
                          TARN_ABANDONED,
                          "checkpoint %" PRIu64 " is not under way",
                          checkpoint_id);
}

void tarn_driver_give_back(tarn_driver *driver, uint64_t checkpoint_id)
{
    pthread_mutex_lock(&driver->mutex);
    tarn__record *record = tarn__driver_find(driver, checkpoint_id);
    if (record != NULL && record->user_count > 0) {
        tarn__driver_release(driver, record);
    }
    pthread_mutex_unlock(&driver->mutex);
}

tarn_status tarn_driver_acknowledge(
    tarn_driver *driver,
    uint32_t task,
    uint32_t attempt,
    uint64_t checkpoint_id,
    const tarn_bytes *parts,
    uint32_t count,
    tarn_error *error)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += sizeof(size_t) + parts[i].size;
    }
    tarn__mail *mail = NULL;
    TARN_TRY(new_mail(driver, bytes, &mail, error));
    mail->event = (tarn_coordinator_event){
        .kind = TARN_COORDINATOR_ACK,
        .checkpoint_id = checkpoint_id,
        .task = task,
        .attempt = attempt,
    };
    mail->part_count = count;
    uint8_t *at = mail->parts;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(at, &parts[i].size, sizeof parts[i].size);
        at += sizeof parts[i].size;
        if (parts[i].size > 0) {
            memcpy(at, parts[i].data, parts[i].size);
        }
        at += parts[i].size;
    }
    post(driver, mail);
    return TARN_OK;
}

void tarn_driver_decline(
    tarn_driver *driver,
    uint32_t task,
    uint64_t checkpoint_id,
    tarn_checkpoint_failure reason,
    const tarn_error *cause)
{
    tarn__mail *mail = NULL;
    if (new_mail(driver, 0, &mail, NULL) != TARN_OK) {
        return;
    }
    mail->event = (tarn_coordinator_event){
        .kind = TARN_COORDINATOR_DECLINE,
        .checkpoint_id = checkpoint_id,
        .task = task,
        .reason = reason,
    };
    if (cause != NULL) {
        mail->cause = *cause;
    }
    post(driver, mail);
}

/* --- Restarting --- */

/* Under the mutex, which is left while others work. */
static void await_change(tarn_driver *driver)
{
    if (!driver->options.is_manual) {
        pthread_cond_wait(&driver->has_changed, &driver->mutex);
        return;
    }
    pthread_mutex_unlock(&driver->mutex);
    tarn__driver_poll(driver);
    tarn__driver_run_job(driver, TARN__LANE_WRITE);
    pthread_mutex_lock(&driver->mutex);
}

tarn_status tarn_driver_fail_over(tarn_driver *driver, uint64_t *restore_id, tarn_error *error)
{
    tarn__mail *mail = NULL;
    TARN_TRY(new_mail(driver, 0, &mail, error));
    mail->event.kind = TARN_COORDINATOR_JOB_FAILOVER;
    pthread_mutex_lock(&driver->mutex);
    tarn__driver_post(driver, mail);
    const uint64_t asked = ++driver->failover_asked;
    while (driver->failover_told < asked || driver->writing_count > 0 || driver->is_polling) {
        await_change(driver);
    }
    *restore_id = driver->figures.latest_completed_id;
    pthread_mutex_unlock(&driver->mutex);
    return TARN_OK;
}

tarn_status tarn_driver_open_checkpoint(
    tarn_driver *driver, uint64_t checkpoint_id, tarn_checkpoint **out, tarn_error *error)
{
    char path[ADDRESS_BYTES + 32];
    bool is_owned = false;
    const bool is_found =
        tarn__store_locate(driver->options.store, checkpoint_id, &is_owned, path, sizeof path);
    if (!is_found || path[0] == '\0') {
        snprintf(path, sizeof path, "%s/chk-%" PRIu64, driver->address, checkpoint_id);
    }
    const tarn_allocator *allocator = &driver->options.account->face;
    tarn_env *env = driver->options.env;
    return env != NULL ? tarn_checkpoint_open_in(env, path, allocator, out, error)
                       : tarn_checkpoint_open(path, allocator, out, error);
}

/* --- Asking --- */

void tarn_driver_read_figures(tarn_driver *driver, tarn_coordinator_figures *out)
{
    pthread_mutex_lock(&driver->mutex);
    *out = driver->figures;
    pthread_mutex_unlock(&driver->mutex);
}

uint32_t tarn_driver_list_history(
    tarn_driver *driver, tarn_driver_outcome *outcomes, uint32_t capacity)
{
    const uint32_t room = driver->options.history_count;
    pthread_mutex_lock(&driver->mutex);
    const uint64_t ended = driver->ended_count;
    const uint32_t count = ended < room ? (uint32_t)ended : room;
    for (uint32_t i = 0; i < count && i < capacity; i++) {
        outcomes[i] = driver->history[(ended - 1 - i) % room];
    }
    pthread_mutex_unlock(&driver->mutex);
    return count;
}
