/*
 * retry.c - asks again after failures that may pass.
 *
 *     failure ──► may it pass? attempts left? budget left? ──► wait ──► again
 *                                                               │
 *             the longer of: what the peer asked for, and a random part of base * 2^n
 *
 * The wait is drawn from the whole of 0 .. base * 2^n, so that many who failed at once do not come
 * back at once. Uploads are asked again only where the storage below says that they resume. What
 * nobody wants any more is not asked again (give_up.h).
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/try.h"
#include "storage/shim.h"

enum {
    ATTEMPTS = 8,
    BASE_MS = 50,
    WAIT_MAX_MS = 5000,
    BUDGET_MS = 60000,
    PROGRESS_BYTES = 64 << 10, /* A peer that drips is as good as silent. */
    NS_PER_MS = 1000000,
};

typedef struct retry_storage {
    tarn__shim shim;
    tarn_storage_ops ops;
    tarn__retry_options options;
    atomic_uint_least64_t draws; /* Numbers the random waits. */
} retry_storage;

/* One operation, from its first attempt to its last. */
typedef struct effort {
    retry_storage *storage;
    uint32_t attempts;
    uint64_t first_failure_ns;
} effort;

bool tarn__retry_may_help(tarn_status status)
{
    return status == TARN_REMOTE_ERROR || status == TARN_TIMED_OUT;
}

static uint64_t draw_wait_ms(retry_storage *self, uint32_t attempt)
{
    const tarn__retry_options *o = &self->options;
    uint64_t ceiling = o->base_ms;
    for (uint32_t i = 1; i < attempt && ceiling < o->wait_max_ms; i++) {
        ceiling *= 2;
    }
    ceiling = ceiling < o->wait_max_ms ? ceiling : o->wait_max_ms;
    tarn__random random = {.state = o->seed + atomic_fetch_add(&self->draws, 1)};
    uint64_t wait = tarn__random_below(&random, ceiling + 1);
    tarn_storage *below = self->shim.below;
    const uint64_t asked = self->ops.pause_ms != NULL ? below->ops->pause_ms(below) : 0;
    return wait > asked ? wait : asked;
}

/* After a failure: waits and answers true when it is worth another attempt. */
static bool again(effort *e, tarn_status status, tarn_error *error)
{
    retry_storage *self = e->storage;
    const tarn__retry_options *o = &self->options;
    if (!tarn__retry_may_help(status) || tarn__is_given_up()) {
        return false;
    }
    const uint64_t now = tarn__clock_monotonic_ns(o->clock);
    if (e->attempts == 0) {
        e->first_failure_ns = now;
    }
    e->attempts++;
    const uint64_t wait_ms = draw_wait_ms(self, e->attempts);
    const uint64_t passed_ms = (now - e->first_failure_ns) / NS_PER_MS;
    if (e->attempts >= o->attempts || passed_ms + wait_ms > o->budget_ms) {
        if (e->attempts > 1) {
            tarn__error_prefix(
                error,
                "given up after %" PRIu32 " attempts in %" PRIu64 " ms",
                e->attempts,
                passed_ms);
        }
        return false;
    }
    if (wait_ms > 0) {
        tarn__give_up_sleep(wait_ms * NS_PER_MS, o->sleep, o->sleep_context);
    }
    return !tarn__is_given_up();
}

static effort begin_effort(tarn_storage *base)
{
    return (effort){.storage = (retry_storage *)base};
}

static tarn_status retry_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    effort e = begin_effort(base);
    tarn_storage *below = e.storage->shim.below;
    tarn_storage_upload *upload = NULL;
    tarn_status status = TARN_OK;
    do {
        status = below->ops->begin(below, name, flags, &upload, error);
    } while (again(&e, status, error));
    TARN_TRY(status);
    return tarn__shim_wrap(&e.storage->shim, upload, out, error);
}

static tarn_status retry_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    effort e = begin_effort(base->storage);
    tarn_storage_upload *below = ((tarn__shim_upload *)base)->below;
    tarn_status status = TARN_OK;
    do {
        status = below->storage->ops->append(below, part, error);
    } while (again(&e, status, error));
    return status;
}

static tarn_status retry_try_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    effort e = begin_effort(base->storage);
    tarn_storage_upload *below = ((tarn__shim_upload *)base)->below;
    tarn_status status = TARN_OK;
    do {
        status = below->storage->ops->try_finish(below, name, error);
    } while (again(&e, status, error));
    if (status == TARN_OK) {
        tarn__release(base);
    }
    return status;
}

static tarn_status retry_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    const tarn_status status = retry_try_finish(base, name, error);
    if (status != TARN_OK) {
        base->storage->ops->abandon(base);
    }
    return status;
}

static tarn_status retry_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    effort e = begin_effort(base);
    tarn_storage *below = e.storage->shim.below;
    tarn_status status = TARN_OK;
    do {
        status = below->ops->read(below, name, offset, into, size, size_out, error);
    } while (again(&e, status, error));
    return status;
}

static tarn_status retry_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    effort e = begin_effort(base);
    tarn_storage *below = e.storage->shim.below;
    tarn_status status = TARN_OK;
    do {
        status = below->ops->stat(below, name, out, error);
    } while (again(&e, status, error));
    return status;
}

static tarn_status retry_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    effort e = begin_effort(base);
    tarn_storage *below = e.storage->shim.below;
    tarn_status status = TARN_OK;
    do {
        status = below->ops->remove(below, names, count, error);
    } while (again(&e, status, error));
    return status;
}

/* A listing that broke off is begun anew; what was shown already is passed over by its number. */
typedef struct replay {
    tarn_storage_visit *visit;
    void *context;
    uint64_t shown;
    uint64_t at;
    bool is_stopped;
} replay;

static bool visit_new(const tarn_storage_entry *entry, void *context)
{
    replay *r = context;
    if (r->at++ < r->shown) {
        return true;
    }
    r->shown++;
    r->is_stopped = !r->visit(entry, r->context);
    return !r->is_stopped;
}

static tarn_status retry_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    effort e = begin_effort(base);
    tarn_storage *below = e.storage->shim.below;
    replay r = {.visit = visit, .context = context};
    tarn_status status = TARN_OK;
    do {
        r.at = 0;
        status = below->ops->list(below, directory, visit_new, &r, error);
    } while (!r.is_stopped && again(&e, status, error));
    return status;
}

static tarn_status retry_put(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    uint64_t size,
    tarn_storage_source *source,
    void *context,
    tarn_error *error)
{
    effort e = begin_effort(base);
    tarn_storage *below = e.storage->shim.below;
    tarn_status status = TARN_OK;
    do {
        status = below->ops->put(below, name, flags, size, source, context, error);
    } while (again(&e, status, error));
    return status;
}

/* A reading that broke off goes on behind what was taken. */
typedef struct resumed {
    tarn_storage_sink *sink;
    void *context;
    uint64_t taken;
    bool is_refused; /* By the sink, which is not asked again. */
} resumed;

static tarn_status take_part(void *context, tarn_bytes part, tarn_error *error)
{
    resumed *r = context;
    const tarn_status status = r->sink(r->context, part, error);
    r->is_refused = status != TARN_OK;
    r->taken += r->is_refused ? 0 : part.size;
    return status;
}

static tarn_status retry_get(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    tarn_error *error)
{
    effort e = begin_effort(base);
    tarn_storage *below = e.storage->shim.below;
    resumed r = {.sink = sink, .context = context};
    tarn_status status = TARN_OK;
    uint64_t counted = 0; /* Of what was taken, what has earned a new effort. */
    do {
        if (r.taken - counted >= PROGRESS_BYTES || (r.taken == size && counted < size)) {
            e.attempts = 0; /* It gets on: what failed is another effort. */
            counted = r.taken;
        }
        status =
            below->ops->get(below, name, offset + r.taken, size - r.taken, take_part, &r, error);
    } while (!r.is_refused && again(&e, status, error));
    return status;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

tarn_status tarn__retry_storage_new(
    tarn_storage *below,
    const tarn__retry_options *options,
    tarn__account *account,
    tarn_storage **out,
    tarn_error *error)
{
    retry_storage *self = tarn__allocate_zeroed(account, 1, sizeof *self);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    tarn__shim_init(&self->shim, &self->ops, below, account);
    self->ops.begin = retry_begin;
    self->ops.read = retry_read;
    self->ops.stat = retry_stat;
    self->ops.remove = retry_remove;
    self->ops.list = retry_list;
    self->ops.put = self->ops.put != NULL ? retry_put : NULL;
    self->ops.get = self->ops.get != NULL ? retry_get : NULL;
    if (self->ops.try_finish != NULL) {
        self->ops.append = retry_append;
        self->ops.finish = retry_finish;
        self->ops.try_finish = retry_try_finish;
    }
    self->options = *options;
    tarn__retry_options *o = &self->options;
    o->attempts = (uint32_t)or_default(o->attempts, ATTEMPTS);
    o->base_ms = or_default(o->base_ms, BASE_MS);
    o->wait_max_ms = or_default(o->wait_max_ms, WAIT_MAX_MS);
    o->budget_ms = or_default(o->budget_ms, BUDGET_MS);
    o->clock = o->clock != NULL ? o->clock : tarn__clock_system();
    o->sleep = o->sleep != NULL ? o->sleep : tarn__clock_sleep;
    *out = &self->shim.base;
    return TARN_OK;
}
