/* transfer.c - see transfer.h. */
#include "snapshot/transfer.h"

#include <pthread.h>

typedef struct transfer {
    pthread_mutex_t mutex; /* For all below but options. A leaf. */
    pthread_cond_t idle;
    tarn__transfer_options options;
    uint32_t reference_count; /* The caller, and helpers that are queued or run. */
    uint32_t active_count;    /* Helpers that run. */
    uint32_t next_item;
    bool is_over; /* No further item is begun. */
    tarn_status status;
    tarn_error error;
} transfer;

static void unref(transfer *t)
{
    pthread_mutex_lock(&t->mutex);
    const bool is_last = --t->reference_count == 0;
    pthread_mutex_unlock(&t->mutex);
    if (is_last) {
        pthread_cond_destroy(&t->idle);
        pthread_mutex_destroy(&t->mutex);
        tarn__release(t);
    }
}

static bool claim(transfer *t, uint32_t *item)
{
    pthread_mutex_lock(&t->mutex);
    const bool is_claimed = !t->is_over && t->next_item < t->options.item_count;
    if (is_claimed) {
        *item = t->next_item++;
    }
    pthread_mutex_unlock(&t->mutex);
    return is_claimed;
}

static void fail(transfer *t, tarn_status status, const tarn_error *error)
{
    pthread_mutex_lock(&t->mutex);
    if (t->status == TARN_OK) {
        t->status = status;
        t->error = *error;
    }
    t->is_over = true;
    pthread_mutex_unlock(&t->mutex);
}

static void work(transfer *t, uint8_t *buffer)
{
    uint32_t item = 0;
    while (claim(t, &item)) {
        tarn_error error = {.status = TARN_OK};
        const tarn_status status = t->options.item(t->options.context, item, buffer, &error);
        if (status != TARN_OK) {
            fail(t, status, &error);
        }
    }
}

static void help(void *context)
{
    transfer *t = context;
    pthread_mutex_lock(&t->mutex);
    const bool is_wanted = !t->is_over && t->next_item < t->options.item_count;
    if (is_wanted) {
        t->active_count++;
    }
    pthread_mutex_unlock(&t->mutex);
    if (is_wanted) {
        uint8_t *buffer = tarn__allocate(t->options.buffers, TARN__TRANSFER_BUFFER_BYTES);
        if (buffer != NULL) {
            work(t, buffer);
            tarn__release(buffer);
        }
        pthread_mutex_lock(&t->mutex);
        t->active_count--;
        pthread_cond_signal(&t->idle);
        pthread_mutex_unlock(&t->mutex);
    }
    unref(t);
}

static void call_helpers(transfer *t)
{
    const tarn__transfer_options *options = &t->options;
    uint32_t threads =
        options->parallelism_max != 0 ? options->parallelism_max : TARN__TRANSFER_PARALLELISM_MAX;
    threads = threads < options->item_count ? threads : options->item_count;
    for (uint32_t i = 1; options->workers != NULL && i < threads; i++) {
        pthread_mutex_lock(&t->mutex);
        t->reference_count++;
        pthread_mutex_unlock(&t->mutex);
        if (!tarn__workers_try_submit(options->workers, help, t)) {
            unref(t);
            return;
        }
    }
}

tarn_status tarn__transfer_run(const tarn__transfer_options *options, tarn_error *error)
{
    if (options->item_count == 0) {
        return TARN_OK;
    }
    transfer *t = tarn__allocate_zeroed(options->account, 1, sizeof *t);
    if (t == NULL) {
        return tarn__fail_no_memory(error, "a transfer of files", sizeof *t);
    }
    t->options = *options;
    t->reference_count = 1;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->idle, NULL);
    call_helpers(t);
    work(t, options->buffer);

    pthread_mutex_lock(&t->mutex);
    t->is_over = true;
    while (t->active_count > 0) {
        pthread_cond_wait(&t->idle, &t->mutex);
    }
    const tarn_status status = t->status;
    if (status != TARN_OK && error != NULL) {
        *error = t->error;
    }
    pthread_mutex_unlock(&t->mutex);
    unref(t);
    return status;
}

tarn_status tarn__transfer_buffer_new(tarn__account *buffers, uint8_t **out, tarn_error *error)
{
    uint8_t *buffer = tarn__allocate(buffers, TARN__TRANSFER_BUFFER_BYTES);
    if (buffer != NULL) {
        *out = buffer;
        return TARN_OK;
    }
    /* An account answers no reason: ask it whether the pool would have had the bytes. */
    if (tarn__account_charge(buffers, TARN__TRANSFER_BUFFER_BYTES)) {
        tarn__account_discharge(buffers, TARN__TRANSFER_BUFFER_BYTES);
        return tarn__fail_no_memory(error, "a buffer for files", TARN__TRANSFER_BUFFER_BYTES);
    }
    return tarn__fail(
        error,
        TARN_OVER_BUDGET,
        "%s has no room for a buffer of %d bytes; raise taskmanager.memory.framework.off-heap.size",
        buffers->name,
        TARN__TRANSFER_BUFFER_BYTES);
}
