/* driver.c - a driver's life. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "checkpoint/coordinator.h"
#include "checkpoint/driver.h"
#include "snapshot/checkpoint.h"
#include "snapshot/store.h"

enum { NS_PER_MS = 1000000, ADDRESS_BYTES = 4096 };

uint64_t tarn__driver_now_ms(const tarn_driver *driver)
{
    return tarn__clock_monotonic_ns(driver->options.clock) / NS_PER_MS;
}

static void init_locks(tarn_driver *driver)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&driver->mutex, NULL);
    pthread_cond_init(&driver->has_mail, &attributes);
    pthread_cond_init(&driver->has_job, &attributes);
    pthread_cond_init(&driver->has_changed, &attributes);
    pthread_condattr_destroy(&attributes);
    driver->mail_end = &driver->mail;
    for (uint32_t lane = 0; lane < TARN__LANE_COUNT; lane++) {
        driver->job_ends[lane] = &driver->jobs[lane];
    }
    driver->called_task = TARN_COORDINATOR_NO_TASK;
}

/* Frees all but the store. The threads are gone, and nothing is pending. */
static void free_driver(tarn_driver *driver)
{
    tarn__mail *mail = NULL;
    while ((mail = tarn__driver_receive(driver)) != NULL) {
        if (!mail->is_answer) {
            tarn__release(mail);
        }
    }
    while (driver->records != NULL) {
        tarn__driver_forget(driver, driver->records);
    }
    tarn_coordinator_close(driver->coordinator);
    pthread_cond_destroy(&driver->has_changed);
    pthread_cond_destroy(&driver->has_job);
    pthread_cond_destroy(&driver->has_mail);
    pthread_mutex_destroy(&driver->mutex);
    tarn__release(driver->savepoint_address);
    tarn__release(driver->job);
    tarn__release(driver->address);
    tarn__release(driver->seats);
    tarn__release(driver->history);
    tarn__release(driver);
}

static tarn_status allocate(tarn_driver *driver, tarn_error *error)
{
    const tarn__driver_options *o = &driver->options;
    for (uint32_t i = 0; i < o->coordinator->operator_count; i++) {
        driver->task_count += o->coordinator->parallelism[i];
    }
    char address[ADDRESS_BYTES];
    const int size = snprintf(address, sizeof address, "%s/%s", o->address, o->job);
    if (size < 0 || (size_t)size >= sizeof address) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the address %.200s is too long", address);
    }
    driver->address = tarn__allocate_string(o->account, address);
    driver->job = tarn__allocate_string(o->account, o->job);
    bool is_short = driver->job == NULL;
    if (o->savepoint_address != NULL) {
        driver->savepoint_address = tarn__allocate_string(o->account, o->savepoint_address);
        is_short = is_short || driver->savepoint_address == NULL;
    }
    driver->seats = tarn__allocate_zeroed(o->account, driver->task_count, sizeof *driver->seats);
    driver->history = tarn__allocate_zeroed(o->account, o->history_count, sizeof *driver->history);
    if (is_short || driver->address == NULL || driver->seats == NULL || driver->history == NULL) {
        return tarn__fail_no_memory(
            error, "a checkpoint driver", driver->task_count * sizeof *driver->seats);
    }
    return TARN_OK;
}

/* The complete checkpoints that are there are the job's own, from before. */
static tarn_status adopt(
    tarn_driver *driver, const uint64_t *ids, uint32_t count, tarn_error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        tarn__record *record = tarn__record_new(driver, ids[i]);
        if (record == NULL) {
            return tarn__fail_no_memory(error, "a retained checkpoint", sizeof *record);
        }
        record->is_completed = true;
        record->is_closing = true;
    }
    return TARN_OK;
}

/* What is not the store's to delete is unclaimed: the first checkpoint after it is a full one. */
static tarn_coordinator_restored describe(tarn_checkpoint_store *store, uint64_t id)
{
    bool is_owned = true;
    char address[TARN__CHECKPOINT_PATH_BYTES];
    (void)tarn__store_locate(store, id, &is_owned, address, sizeof address);
    return (tarn_coordinator_restored){
        .id = id,
        .is_owned = is_owned,
        .is_unclaimed = !is_owned,
    };
}

static tarn_status open_coordinator(tarn_driver *driver, tarn_error *error)
{
    tarn__account *account = driver->options.account;
    tarn_checkpoint_store *store = driver->options.store;
    const uint32_t count = tarn__store_list(store, NULL, 0);
    uint64_t *ids = tarn__allocate_zeroed(account, count + 1, sizeof *ids);
    tarn_coordinator_restored *restored =
        tarn__allocate_zeroed(account, count + 1, sizeof *restored);
    tarn_status status = TARN_OK;
    if (ids == NULL || restored == NULL) {
        status = tarn__fail_no_memory(error, "the retained checkpoints", count * sizeof *restored);
    } else {
        tarn__store_list(store, ids, count);
        for (uint32_t i = 0; i < count; i++) {
            restored[i] = describe(store, ids[i]);
        }
        tarn_coordinator_options options = *driver->options.coordinator;
        options.next_checkpoint_id = tarn_checkpoint_store_next_id(store);
        options.restored = restored;
        options.restored_count = count;
        options.allocator = &account->face;
        status = tarn_coordinator_open(&options, &driver->coordinator, error);
        status = status == TARN_OK ? adopt(driver, ids, count, error) : status;
    }
    tarn__release(ids);
    tarn__release(restored);
    return status;
}

tarn_status tarn__driver_open(
    const tarn__driver_options *options, tarn_driver **out, tarn_error *error)
{
    tarn_driver *driver = tarn__allocate_zeroed(options->account, 1, sizeof *driver);
    if (driver == NULL) {
        return tarn__fail_no_memory(error, "a checkpoint driver", sizeof *driver);
    }
    driver->options = *options;
    init_locks(driver);
    tarn_status status = allocate(driver, error);
    if (status == TARN_OK) {
        status = open_coordinator(driver, error);
    }
    for (uint32_t task = 0; status == TARN_OK && task < driver->task_count; task++) {
        tarn__driver_tell_not_running(driver, task);
    }
    if (status == TARN_OK && !options->is_manual) {
        status = tarn__driver_start_threads(driver, error);
    }
    if (status != TARN_OK) {
        tarn__driver_join_threads(driver);
        free_driver(driver);
        return status;
    }
    driver->options.coordinator = NULL;
    *out = driver;
    return TARN_OK;
}

/* Whether nothing moves any more. Under the mutex. */
static bool is_quiet(const tarn_driver *driver)
{
    return driver->is_shut_down && !driver->is_polling && driver->busy_count == 0 &&
           driver->mail == NULL && driver->jobs[TARN__LANE_WRITE] == NULL &&
           driver->jobs[TARN__LANE_DELETE] == NULL;
}

static void settle(tarn_driver *driver)
{
    pthread_mutex_lock(&driver->mutex);
    while (!is_quiet(driver)) {
        if (!driver->options.is_manual) {
            pthread_cond_wait(&driver->has_changed, &driver->mutex);
            continue;
        }
        pthread_mutex_unlock(&driver->mutex);
        tarn__driver_poll(driver);
        for (uint32_t lane = 0; lane < TARN__LANE_COUNT; lane++) {
            tarn__driver_run_job(driver, lane);
        }
        pthread_mutex_lock(&driver->mutex);
    }
    pthread_mutex_unlock(&driver->mutex);
}

static tarn_status check_ended(tarn_driver *driver, tarn_error *error)
{
    uint32_t running = TARN_COORDINATOR_NO_TASK;
    pthread_mutex_lock(&driver->mutex);
    for (uint32_t task = 0; task < driver->task_count; task++) {
        running = driver->seats[task].is_running ? task : running;
    }
    pthread_mutex_unlock(&driver->mutex);
    return running == TARN_COORDINATOR_NO_TASK
               ? TARN_OK
               : tarn__fail(error, TARN_BUSY, "task %" PRIu32 " has not ended", running);
}

/* A checkpoint that somebody borrowed and did not give back cannot be ended. */
static tarn_status check_given_back(tarn_driver *driver, tarn_error *error)
{
    uint64_t id = 0;
    pthread_mutex_lock(&driver->mutex);
    for (const tarn__record *r = driver->records; r != NULL; r = r->next) {
        id = r->user_count > 0 ? r->id : id;
    }
    pthread_mutex_unlock(&driver->mutex);
    return id == 0 ? TARN_OK
                   : tarn__fail(error, TARN_BUSY, "checkpoint %" PRIu64 " was not given back", id);
}

static tarn_status shut_down(tarn_driver *driver, tarn_job_end end, tarn_error *error)
{
    pthread_mutex_lock(&driver->mutex);
    const bool is_shut_down = driver->is_shut_down;
    pthread_mutex_unlock(&driver->mutex);
    if (is_shut_down) {
        return TARN_OK;
    }
    tarn__mail *mail = tarn__allocate_zeroed(driver->options.account, 1, sizeof *mail);
    if (mail == NULL) {
        return tarn__fail_no_memory(error, "the end of a job", sizeof *mail);
    }
    mail->event = (tarn_coordinator_event){.kind = TARN_COORDINATOR_SHUTDOWN, .job_end = end};
    pthread_mutex_lock(&driver->mutex);
    tarn__driver_post(driver, mail);
    pthread_mutex_unlock(&driver->mutex);
    return TARN_OK;
}

tarn_status tarn_driver_close(tarn_driver *driver, tarn_job_end end, tarn_error *error)
{
    if (driver == NULL) {
        return TARN_OK;
    }
    TARN_TRY(check_ended(driver, error));
    if (driver->thread_count > 0 || driver->options.is_manual) {
        TARN_TRY(shut_down(driver, end, error));
        settle(driver);
        TARN_TRY(check_given_back(driver, error));
        tarn__driver_join_threads(driver);
    }
    TARN_TRY(tarn_checkpoint_store_close(driver->options.store, error));
    free_driver(driver);
    return TARN_OK;
}
