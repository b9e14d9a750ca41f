/* workers.c - threads over a bounded ring of jobs. */
#include "base/workers.h"

#include <assert.h>
#include <pthread.h>

typedef struct job {
    tarn__job_fn *run;
    void *context;
} job;

struct tarn__workers {
    pthread_mutex_t mutex;
    pthread_cond_t has_job;
    pthread_cond_t has_room;
    bool is_closing;

    job *ring; /* [capacity], owned. */
    uint32_t capacity;
    uint32_t head;  /* Index of the oldest job. */
    uint32_t count; /* Jobs queued. */

    pthread_t *threads; /* [thread_count], owned. */
    uint32_t thread_count;
};

/* Under the mutex, when there is a job. */
static job take_job(tarn__workers *workers)
{
    const job taken = workers->ring[workers->head];
    workers->head = (workers->head + 1) % workers->capacity;
    workers->count--;
    pthread_cond_signal(&workers->has_room);
    return taken;
}

static bool take(tarn__workers *workers, job *out)
{
    pthread_mutex_lock(&workers->mutex);
    while (workers->count == 0 && !workers->is_closing) {
        pthread_cond_wait(&workers->has_job, &workers->mutex);
    }
    const bool is_taken = workers->count > 0;
    if (is_taken) {
        *out = take_job(workers);
    }
    pthread_mutex_unlock(&workers->mutex);
    return is_taken;
}

static void *run(void *context)
{
    tarn__workers *workers = context;
    job next;
    while (take(workers, &next)) {
        next.run(next.context);
    }
    return NULL;
}

static void join(tarn__workers *workers, uint32_t started)
{
    pthread_mutex_lock(&workers->mutex);
    workers->is_closing = true;
    pthread_cond_broadcast(&workers->has_job);
    pthread_mutex_unlock(&workers->mutex);
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(workers->threads[i], NULL);
    }
    pthread_cond_destroy(&workers->has_room);
    pthread_cond_destroy(&workers->has_job);
    pthread_mutex_destroy(&workers->mutex);
    tarn__release(workers->threads);
    tarn__release(workers->ring);
    tarn__release(workers);
}

tarn_status tarn__workers_open(
    tarn__account *account,
    uint32_t thread_count,
    uint32_t queue_capacity,
    const char *name,
    tarn__workers **out,
    tarn_error *error)
{
    assert(thread_count >= 1 && thread_count <= 256 && queue_capacity >= 1);
    tarn__workers *workers = tarn__allocate_zeroed(account, 1, sizeof *workers);
    job *ring = tarn__allocate_zeroed(account, queue_capacity, sizeof *ring);
    pthread_t *threads = tarn__allocate_zeroed(account, thread_count, sizeof *threads);
    if (workers == NULL || ring == NULL || threads == NULL) {
        tarn__release(threads);
        tarn__release(ring);
        tarn__release(workers);
        return tarn__fail_no_memory(error, "worker threads", queue_capacity * sizeof *ring);
    }
    workers->ring = ring;
    workers->capacity = queue_capacity;
    workers->threads = threads;
    workers->thread_count = thread_count;
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->has_job, NULL);
    pthread_cond_init(&workers->has_room, NULL);
    for (uint32_t i = 0; i < thread_count; i++) {
        const int code = pthread_create(&threads[i], NULL, run, workers);
        if (code != 0) {
            join(workers, i);
            return tarn__fail_errno(error, code, "cannot start worker thread %s", name);
        }
        pthread_setname_np(threads[i], name);
    }
    *out = workers;
    return TARN_OK;
}

/* Under the mutex; there is room. */
static void queue(tarn__workers *workers, tarn__job_fn *job_run, void *context)
{
    const uint32_t tail = (workers->head + workers->count) % workers->capacity;
    workers->ring[tail] = (job){.run = job_run, .context = context};
    workers->count++;
    pthread_cond_signal(&workers->has_job);
}

void tarn__workers_submit(tarn__workers *workers, tarn__job_fn *job_run, void *context)
{
    pthread_mutex_lock(&workers->mutex);
    assert(!workers->is_closing);
    while (workers->count == workers->capacity) {
        pthread_cond_wait(&workers->has_room, &workers->mutex);
    }
    queue(workers, job_run, context);
    pthread_mutex_unlock(&workers->mutex);
}

bool tarn__workers_try_submit(tarn__workers *workers, tarn__job_fn *job_run, void *context)
{
    pthread_mutex_lock(&workers->mutex);
    const bool has_room = !workers->is_closing && workers->count < workers->capacity;
    if (has_room) {
        queue(workers, job_run, context);
    }
    pthread_mutex_unlock(&workers->mutex);
    return has_room;
}

bool tarn__workers_withdraw(tarn__workers *workers, tarn__job_fn *job_run, void *context)
{
    bool is_withdrawn = false;
    pthread_mutex_lock(&workers->mutex);
    for (uint32_t i = 0; i < workers->count; i++) {
        job *at = &workers->ring[(workers->head + i) % workers->capacity];
        if (is_withdrawn) { /* The others close up. */
            workers->ring[(workers->head + i - 1) % workers->capacity] = *at;
        } else {
            is_withdrawn = at->run == job_run && at->context == context;
        }
    }
    if (is_withdrawn) {
        workers->count--;
        pthread_cond_signal(&workers->has_room);
    }
    pthread_mutex_unlock(&workers->mutex);
    return is_withdrawn;
}

void tarn__workers_close(tarn__workers *workers)
{
    if (workers != NULL) {
        join(workers, workers->thread_count);
    }
}
