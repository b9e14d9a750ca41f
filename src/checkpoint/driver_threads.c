/* driver_threads.c - the threads of a driver: one decides, one writes, one deletes. */
#include <time.h>

#include "checkpoint/driver.h"

enum { NS_PER_MS = 1000000 };

static void wait_for_mail(tarn_driver *driver, uint64_t until_ms)
{
    const struct timespec until = {
        .tv_sec = (time_t)(until_ms / 1000),
        .tv_nsec = (long)(until_ms % 1000) * NS_PER_MS,
    };
    pthread_mutex_lock(&driver->mutex);
    bool is_due = false;
    while (driver->mail == NULL && !driver->is_closing && !is_due) {
        if (until_ms == TARN_COORDINATOR_NEVER) {
            pthread_cond_wait(&driver->has_mail, &driver->mutex);
        } else {
            is_due = pthread_cond_timedwait(&driver->has_mail, &driver->mutex, &until) != 0;
        }
    }
    pthread_mutex_unlock(&driver->mutex);
}

static bool is_closing(tarn_driver *driver)
{
    pthread_mutex_lock(&driver->mutex);
    const bool answer = driver->is_closing;
    pthread_mutex_unlock(&driver->mutex);
    return answer;
}

static void *decide(void *context)
{
    tarn_driver *driver = context;
    while (!is_closing(driver)) {
        wait_for_mail(driver, tarn__driver_poll(driver));
    }
    return NULL;
}

static void work(tarn_driver *driver, uint32_t lane)
{
    while (!is_closing(driver)) {
        if (tarn__driver_run_job(driver, lane)) {
            continue;
        }
        pthread_mutex_lock(&driver->mutex);
        while (driver->jobs[lane] == NULL && !driver->is_closing) {
            pthread_cond_wait(&driver->has_job, &driver->mutex);
        }
        pthread_mutex_unlock(&driver->mutex);
    }
}

static void *write_lane(void *context)
{
    work(context, TARN__LANE_WRITE);
    return NULL;
}

static void *delete_lane(void *context)
{
    work(context, TARN__LANE_DELETE);
    return NULL;
}

void tarn__driver_join_threads(tarn_driver *driver)
{
    pthread_mutex_lock(&driver->mutex);
    driver->is_closing = true;
    pthread_cond_broadcast(&driver->has_mail);
    pthread_cond_broadcast(&driver->has_job);
    pthread_mutex_unlock(&driver->mutex);
    for (uint32_t i = 0; i < driver->thread_count; i++) {
        pthread_join(driver->threads[i], NULL);
    }
    driver->thread_count = 0;
}

tarn_status tarn__driver_start_threads(tarn_driver *driver, tarn_error *error)
{
    static const struct {
        const char *name;
        void *(*run)(void *context);
    } threads[] = {
        {"tarn-driver", decide}, {"tarn-commit", write_lane}, {"tarn-delete", delete_lane}};
    for (uint32_t i = 0; i < 1 + TARN__LANE_COUNT; i++) {
        const int code = pthread_create(&driver->threads[i], NULL, threads[i].run, driver);
        if (code != 0) {
            return tarn__fail_errno(error, code, "cannot start the thread %s", threads[i].name);
        }
        pthread_setname_np(driver->threads[i], threads[i].name);
        driver->thread_count++;
    }
    return TARN_OK;
}
