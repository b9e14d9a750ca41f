/* count.c - a storage whose use is counted. */
#include <string.h>

#include "base/try.h"
#include "storage/shims.h"

typedef struct count_storage {
    tarn__shim shim;
    tarn_storage_ops ops;
    const tarn__clock *clock;
    tarn__storage_counters *counters;
    tarn__storage_counters own;
} count_storage;

static uint64_t now(tarn_storage *base)
{
    return tarn__clock_monotonic_ns(((count_storage *)base)->clock);
}

/* Counts one call, and answers its status. */
static tarn_status count(
    tarn_storage *base, tarn_storage_operation operation, uint64_t begun_ns, tarn_status status)
{
    count_storage *self = (count_storage *)base;
    tarn__storage_counters *counters = self->counters;
    const uint64_t took_ns = now(base) - begun_ns;
    atomic_fetch_add(&counters->calls[operation], 1);
    atomic_fetch_add(&counters->time_ns[operation], took_ns);
    uint_least64_t longest_ns = atomic_load(&counters->longest_ns[operation]);
    while (took_ns > longest_ns &&
           !atomic_compare_exchange_weak(&counters->longest_ns[operation], &longest_ns, took_ns)) {
    }
    if (status != TARN_OK && status != TARN_MISSING && status != TARN_BUSY) {
        atomic_fetch_add(&counters->failures[operation], 1);
    }
    return status;
}

static tarn_status count_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    tarn__shim *self = (tarn__shim *)base;
    const uint64_t begun = now(base);
    tarn_storage_upload *upload = NULL;
    TARN_TRY(count(
        base,
        TARN_STORAGE_BEGIN,
        begun,
        self->below->ops->begin(self->below, name, flags, &upload, error)));
    return tarn__shim_wrap(self, upload, out, error);
}

static tarn_status count_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    tarn_storage_upload *below = ((tarn__shim_upload *)base)->below;
    const uint64_t begun = now(base->storage);
    const tarn_status status = below->storage->ops->append(below, part, error);
    if (status == TARN_OK) {
        atomic_fetch_add(&((count_storage *)base->storage)->counters->bytes_written, part.size);
    }
    return count(base->storage, TARN_STORAGE_APPEND, begun, status);
}

static tarn_status count_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    tarn_storage *storage = base->storage;
    tarn_storage_upload *below = ((tarn__shim_upload *)base)->below;
    const uint64_t begun = now(storage);
    tarn__release(base);
    return count(
        storage, TARN_STORAGE_FINISH, begun, below->storage->ops->finish(below, name, error));
}

static tarn_status count_try_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    tarn_storage *storage = base->storage;
    tarn_storage_upload *below = ((tarn__shim_upload *)base)->below;
    const uint64_t begun = now(storage);
    const tarn_status status = below->storage->ops->try_finish(below, name, error);
    if (status == TARN_OK) {
        tarn__release(base);
    }
    return count(storage, TARN_STORAGE_FINISH, begun, status);
}

static tarn_status count_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    tarn_storage *below = ((tarn__shim *)base)->below;
    const uint64_t begun = now(base);
    const tarn_status status = below->ops->read(below, name, offset, into, size, size_out, error);
    if (status == TARN_OK) {
        atomic_fetch_add(&((count_storage *)base)->counters->bytes_read, *size_out);
    }
    return count(base, TARN_STORAGE_READ, begun, status);
}

static tarn_status count_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    tarn_storage *below = ((tarn__shim *)base)->below;
    const uint64_t begun = now(base);
    return count(base, TARN_STORAGE_STAT, begun, below->ops->stat(below, name, out, error));
}

static tarn_status count_remove(
    tarn_storage *base, const char *const *names, uint32_t names_count, tarn_error *error)
{
    tarn_storage *below = ((tarn__shim *)base)->below;
    const uint64_t begun = now(base);
    return count(
        base, TARN_STORAGE_REMOVE, begun, below->ops->remove(below, names, names_count, error));
}

static tarn_status count_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    tarn_storage *below = ((tarn__shim *)base)->below;
    const uint64_t begun = now(base);
    return count(
        base, TARN_STORAGE_LIST, begun, below->ops->list(below, directory, visit, context, error));
}

/* Counts as an upload that was finished. */
static tarn_status count_put(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    uint64_t size,
    tarn_storage_source *source,
    void *context,
    tarn_error *error)
{
    tarn_storage *below = ((tarn__shim *)base)->below;
    const uint64_t begun = now(base);
    const tarn_status status = below->ops->put(below, name, flags, size, source, context, error);
    if (status == TARN_NOT_SUPPORTED) {
        return status; /* What follows is counted. */
    }
    if (status == TARN_OK) {
        atomic_fetch_add(&((count_storage *)base)->counters->bytes_written, size);
    }
    return count(base, TARN_STORAGE_FINISH, begun, status);
}

/* A sink below which bytes are counted. */
typedef struct counted_sink {
    count_storage *storage;
    tarn_storage_sink *sink;
    void *context;
} counted_sink;

static tarn_status count_part(void *context, tarn_bytes part, tarn_error *error)
{
    const counted_sink *c = context;
    atomic_fetch_add(&c->storage->counters->bytes_read, part.size);
    return c->sink(c->context, part, error);
}

static tarn_status count_get(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    tarn_error *error)
{
    tarn_storage *below = ((tarn__shim *)base)->below;
    counted_sink c = {.storage = (count_storage *)base, .sink = sink, .context = context};
    const uint64_t begun = now(base);
    return count(
        base,
        TARN_STORAGE_READ,
        begun,
        below->ops->get(below, name, offset, size, count_part, &c, error));
}

tarn_status tarn__count_storage_new(
    tarn_storage *below,
    tarn__storage_counters *counters,
    const tarn__clock *clock,
    tarn__account *account,
    tarn_storage **out,
    tarn_error *error)
{
    count_storage *self = tarn__allocate_zeroed(account, 1, sizeof *self);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    tarn__shim_init(&self->shim, &self->ops, below, account);
    self->ops.begin = count_begin;
    self->ops.append = count_append;
    self->ops.finish = count_finish;
    self->ops.try_finish = self->ops.try_finish != NULL ? count_try_finish : NULL;
    self->ops.read = count_read;
    self->ops.stat = count_stat;
    self->ops.remove = count_remove;
    self->ops.list = count_list;
    self->ops.put = self->ops.put != NULL ? count_put : NULL;
    self->ops.get = self->ops.get != NULL ? count_get : NULL;
    self->counters = counters != NULL ? counters : &self->own;
    self->clock = clock != NULL ? clock : tarn__clock_system();
    *out = &self->shim.base;
    return TARN_OK;
}

void tarn__storage_counters_measure(
    const tarn__storage_counters *counters, tarn_storage_figures *out)
{
    tarn_storage_figures found = {.struct_size = out->struct_size};
    for (uint32_t i = 0; i < TARN_STORAGE_OPERATIONS; i++) {
        found.operations[i].call_count = atomic_load(&counters->calls[i]);
        found.operations[i].failure_count = atomic_load(&counters->failures[i]);
        found.operations[i].time_ns = atomic_load(&counters->time_ns[i]);
        found.operations[i].longest_ns = atomic_load(&counters->longest_ns[i]);
    }
    found.bytes_written = atomic_load(&counters->bytes_written);
    found.bytes_read = atomic_load(&counters->bytes_read);
    memcpy(out, &found, out->struct_size < sizeof found ? out->struct_size : sizeof found);
}

tarn_storage_figures tarn__count_storage_figures(const tarn_storage *storage)
{
    tarn_storage_figures found = TARN_STORAGE_FIGURES_INIT;
    tarn__storage_counters_measure(((const count_storage *)storage)->counters, &found);
    return found;
}

const char *tarn_storage_operation_name(tarn_storage_operation operation)
{
    static const char *const names[] = {
        "begin", "append", "finish", "read", "stat", "remove", "list"};
    return (uint32_t)operation < TARN_STORAGE_OPERATIONS ? names[operation] : "unknown";
}
