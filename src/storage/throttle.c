/*
 * throttle.c - a storage that is asked no faster than it may be.
 *
 * For each of the two rates there is a time at which the next use may begin. A use pushes it on by
 * what it takes, and waits until its own has come: many threads queue up without a queue. A pause
 * saves up at most BURST_MS.
 */
#include <pthread.h>

#include "base/clock.h"
#include "base/try.h"
#include "storage/shims.h"

enum { NS_PER_S = 1000000000, NS_PER_MS = 1000000, BURST_MS = 100 };

typedef struct throttle_storage {
    tarn__shim shim;
    tarn_storage_ops ops;
    tarn__throttle_options options;
    pthread_mutex_t mutex; /* For the two below. A leaf. */
    uint64_t bytes_free_ns;
    uint64_t requests_free_ns;
} throttle_storage;

/* Takes amount of a rate; answers when it may be used. */
static uint64_t take(uint64_t *free_ns, uint64_t now_ns, uint64_t amount, uint64_t per_s)
{
    const uint64_t burst_ns = (uint64_t)BURST_MS * NS_PER_MS;
    if (per_s == 0) {
        return now_ns;
    }
    if (*free_ns + burst_ns < now_ns) {
        *free_ns = now_ns - burst_ns;
    }
    const uint64_t cost_ns = (uint64_t)((double)amount * NS_PER_S / (double)per_s);
    *free_ns += cost_ns;
    return *free_ns > now_ns ? *free_ns : now_ns;
}

static void wait_for(tarn_storage *base, uint64_t requests, uint64_t bytes)
{
    throttle_storage *self = (throttle_storage *)base;
    const tarn__throttle_options *o = &self->options;
    const uint64_t now = tarn__clock_monotonic_ns(o->clock);
    pthread_mutex_lock(&self->mutex);
    const uint64_t by_bytes = take(&self->bytes_free_ns, now, bytes, o->bytes_per_s);
    const uint64_t by_requests = take(&self->requests_free_ns, now, requests, o->requests_per_s);
    pthread_mutex_unlock(&self->mutex);
    const uint64_t when = by_bytes > by_requests ? by_bytes : by_requests;
    if (when > now) {
        tarn__give_up_sleep(when - now, o->sleep, o->sleep_context);
    }
}

static tarn_status throttle_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    wait_for(base->storage, 1, part.size);
    tarn_storage_upload *below = ((tarn__shim_upload *)base)->below;
    return below->storage->ops->append(below, part, error);
}

static tarn_status throttle_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    wait_for(base, 1, size);
    tarn_storage *below = ((tarn__shim *)base)->below;
    return below->ops->read(below, name, offset, into, size, size_out, error);
}

static tarn_status throttle_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    wait_for(base, 1, 0);
    tarn_storage *below = ((tarn__shim *)base)->below;
    return below->ops->stat(below, name, out, error);
}

static tarn_status throttle_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    wait_for(base, 1, 0);
    tarn_storage *below = ((tarn__shim *)base)->below;
    return below->ops->remove(below, names, count, error);
}

static tarn_status throttle_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    wait_for(base, 1, 0);
    tarn_storage *below = ((tarn__shim *)base)->below;
    return below->ops->list(below, directory, visit, context, error);
}

static void throttle_free(tarn_storage *base)
{
    pthread_mutex_destroy(&((throttle_storage *)base)->mutex);
    tarn__shim_free(base);
}

tarn_status tarn__throttle_storage_new(
    tarn_storage *below,
    const tarn__throttle_options *options,
    tarn__account *account,
    tarn_storage **out,
    tarn_error *error)
{
    throttle_storage *self = tarn__allocate_zeroed(account, 1, sizeof *self);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    tarn__shim_init(&self->shim, &self->ops, below, account);
    self->ops.append = throttle_append;
    self->ops.read = throttle_read;
    self->ops.stat = throttle_stat;
    self->ops.remove = throttle_remove;
    self->ops.list = throttle_list;
    self->ops.free = throttle_free;
    /* Their bytes come in a thread that is not theirs to stop: by parts only. */
    self->ops.put = NULL;
    self->ops.get = NULL;
    self->options = *options;
    if (self->options.clock == NULL) {
        self->options.clock = tarn__clock_system();
    }
    if (self->options.sleep == NULL) {
        self->options.sleep = tarn__clock_sleep;
    }
    pthread_mutex_init(&self->mutex, NULL);
    *out = &self->shim.base;
    return TARN_OK;
}
