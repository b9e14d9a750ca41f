/* errands.c - a thread over a list; see errands.h. */
#include "base/errands.h"

#include <assert.h>
#include <pthread.h>

struct tarn__errands {
    pthread_t thread;
    tarn__errands *whole;
    pthread_mutex_t mutex; /* For all below. A leaf. */
    pthread_cond_t has_changed;
    tarn__errand *first;
    tarn__errand *last;
    uint64_t unfinished_count; /* With the one that runs, and with those of parts. */
    bool is_closing;
};

static void count(tarn__errands *errands, int change)
{
    pthread_mutex_lock(&errands->mutex);
    errands->unfinished_count += (uint64_t)change;
    pthread_cond_broadcast(&errands->has_changed);
    pthread_mutex_unlock(&errands->mutex);
}

/* Takes the next one; its memory may go as soon as it runs. False: there will be none. */
static bool take(tarn__errands *errands, tarn__errand *out)
{
    pthread_mutex_lock(&errands->mutex);
    while (errands->first == NULL && !errands->is_closing) {
        pthread_cond_wait(&errands->has_changed, &errands->mutex);
    }
    const bool is_taken = errands->first != NULL;
    if (is_taken) {
        *out = *errands->first;
        errands->first = out->next;
    }
    pthread_mutex_unlock(&errands->mutex);
    return is_taken;
}

static void *run(void *context)
{
    tarn__errands *errands = context;
    tarn__errand errand;
    while (take(errands, &errand)) {
        errand.run(errand.context);
        count(errands, -1);
        if (errands->whole != NULL) {
            count(errands->whole, -1);
        }
    }
    return NULL;
}

static void clear(tarn__errands *errands)
{
    pthread_cond_destroy(&errands->has_changed);
    pthread_mutex_destroy(&errands->mutex);
    tarn__release(errands);
}

tarn_status tarn__errands_open(
    tarn__account *account,
    const char *name,
    tarn__errands *whole,
    tarn__errands **out,
    tarn_error *error)
{
    assert(whole == NULL || whole->whole == NULL);
    tarn__errands *errands = tarn__allocate_zeroed(account, 1, sizeof *errands);
    if (errands == NULL) {
        return tarn__fail_no_memory(error, "a thread for errands", sizeof *errands);
    }
    errands->whole = whole;
    pthread_mutex_init(&errands->mutex, NULL);
    pthread_cond_init(&errands->has_changed, NULL);
    const int code = pthread_create(&errands->thread, NULL, run, errands);
    if (code != 0) {
        clear(errands);
        return tarn__fail_errno(error, code, "cannot start thread %s", name);
    }
    pthread_setname_np(errands->thread, name);
    *out = errands;
    return TARN_OK;
}

void tarn__errands_leave(tarn__errands *errands, tarn__errand *errand)
{
    if (errands->whole != NULL) {
        count(errands->whole, 1);
    }
    errand->next = NULL;
    pthread_mutex_lock(&errands->mutex);
    if (errands->first == NULL) {
        errands->first = errand;
    } else {
        errands->last->next = errand;
    }
    errands->last = errand;
    errands->unfinished_count++;
    pthread_cond_broadcast(&errands->has_changed);
    pthread_mutex_unlock(&errands->mutex);
}

void tarn__errands_await(tarn__errands *errands)
{
    pthread_mutex_lock(&errands->mutex);
    while (errands->unfinished_count > 0) {
        pthread_cond_wait(&errands->has_changed, &errands->mutex);
    }
    pthread_mutex_unlock(&errands->mutex);
}

void tarn__errands_close(tarn__errands *errands)
{
    if (errands == NULL) {
        return;
    }
    pthread_mutex_lock(&errands->mutex);
    errands->is_closing = true;
    pthread_cond_broadcast(&errands->has_changed);
    pthread_mutex_unlock(&errands->mutex);
    pthread_join(errands->thread, NULL);
    clear(errands);
}
