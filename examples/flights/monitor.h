/*
 * monitor.h - what the threads of the job share: one lock, one condition, the first failure.
 *
 * Thread: shared.
 */
#ifndef FLIGHTS_MONITOR_H
#define FLIGHTS_MONITOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tarn/status.h>

typedef struct monitor {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* Something that the main thread acts upon. */
    uint32_t running_count; /* Threads. */
    bool is_failed;
    tarn_error error; /* The first failure; later ones follow from it. */
} monitor;

void monitor_init(monitor *m);
void monitor_clear(monitor *m);

/* Starts a thread and counts it. name is for debuggers, at most 15 bytes. */
tarn_status monitor_start(
    monitor *m,
    const char *name,
    void *(*run)(void *),
    void *context,
    pthread_t *out,
    tarn_error *error);

/* Says that the calling thread is over, and how: TARN_OK, or a failure of the whole job. */
void monitor_leave(monitor *m, tarn_status status, const tarn_error *error);

/* Waits for a change, wait_ms at most. Answers whether threads run and none has failed. */
bool monitor_wait(monitor *m, int wait_ms);

#endif
