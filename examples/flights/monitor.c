#include "monitor.h"

#include <string.h>

#include "clock.h"
#include "failure.h"

void monitor_init(monitor *m)
{
    memset(m, 0, sizeof *m);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void monitor_clear(monitor *m)
{
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->mutex);
}

tarn_status monitor_start(
    monitor *m,
    const char *name,
    void *(*run)(void *),
    void *context,
    pthread_t *out,
    tarn_error *error)
{
    pthread_mutex_lock(&m->mutex);
    m->running_count++;
    pthread_mutex_unlock(&m->mutex);

    const int code = pthread_create(out, NULL, run, context);
    if (code != 0) {
        pthread_mutex_lock(&m->mutex);
        m->running_count--;
        pthread_mutex_unlock(&m->mutex);
        return failure_of_system(error, code, "cannot start the thread %s", name);
    }
    pthread_setname_np(*out, name);
    return TARN_OK;
}

void monitor_leave(monitor *m, tarn_status status, const tarn_error *error)
{
    pthread_mutex_lock(&m->mutex);
    m->running_count--;
    if (status != TARN_OK && !m->is_failed) {
        m->is_failed = true;
        m->error = *error;
    }
    pthread_cond_signal(&m->changed);
    pthread_mutex_unlock(&m->mutex);
}

bool monitor_wait(monitor *m, int wait_ms)
{
    const struct timespec deadline = clock_deadline(wait_ms);
    pthread_mutex_lock(&m->mutex);
    if (m->running_count > 0 && !m->is_failed) {
        pthread_cond_timedwait(&m->changed, &m->mutex, &deadline);
    }
    const bool is_going_on = m->running_count > 0 && !m->is_failed;
    pthread_mutex_unlock(&m->mutex);
    return is_going_on;
}
