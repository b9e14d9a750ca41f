/* fault_storage.c - see fault_storage.h. */
#include "support/fault_storage.h"

#include <stdlib.h>

#include "base/try.h"
#include "support/support.h"

typedef struct fault_upload {
    tarn_storage_upload base;
    tarn_storage_upload *inner;
} fault_upload;

static fault_storage *storage_of(tarn_storage *base)
{
    return (fault_storage *)base;
}

static fault_fate fate_of(fault_storage *self, const char *operation, const char *name)
{
    if (self->is_dead) {
        return FAULT_FATE_LOST;
    }
    const fault_fate fate =
        self->fate != NULL ? self->fate(operation, name, self->context) : FAULT_FATE_DONE;
    return self->is_dead ? FAULT_FATE_LOST : fate;
}

static tarn_status answer_lost(const char *operation, const char *name, tarn_error *error)
{
    return tarn__fail(
        error, TARN_REMOTE_ERROR, "no answer to %s %s", operation, name != NULL ? name : "");
}

static tarn_status fault_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    fault_storage *self = storage_of(base);
    if (fate_of(self, "begin", name) != FAULT_FATE_DONE) {
        return answer_lost("begin", name, error);
    }
    tarn_storage_upload *inner = NULL;
    TARN_TRY(self->inner->ops->begin(self->inner, name, flags, &inner, error));
    fault_upload *upload = calloc(1, sizeof *upload);
    assert_non_null(upload);
    upload->base.storage = base;
    upload->inner = inner;
    *out = &upload->base;
    return TARN_OK;
}

static tarn_status fault_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    fault_upload *upload = (fault_upload *)base;
    fault_storage *self = storage_of(base->storage);
    const fault_fate fate = fate_of(self, "append", NULL);
    if (fate == FAULT_FATE_LOST) {
        part.size /= 2;
    }
    TARN_TRY(self->inner->ops->append(upload->inner, part, error));
    return fate == FAULT_FATE_DONE ? TARN_OK : answer_lost("append", NULL, error);
}

static tarn_status fault_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    fault_upload *upload = (fault_upload *)base;
    fault_storage *self = storage_of(base->storage);
    const fault_fate fate = fate_of(self, "finish", name);
    tarn_status status = TARN_OK;
    if (fate == FAULT_FATE_LOST) {
        self->inner->ops->abandon(upload->inner);
    } else {
        status = self->inner->ops->finish(upload->inner, name, error);
    }
    free(upload);
    TARN_TRY(status);
    return fate == FAULT_FATE_DONE ? TARN_OK : answer_lost("finish", name, error);
}

static void fault_abandon(tarn_storage_upload *base)
{
    fault_upload *upload = (fault_upload *)base;
    fault_storage *self = storage_of(base->storage);
    self->inner->ops->abandon(upload->inner);
    free(upload);
}

static tarn_status fault_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    fault_storage *self = storage_of(base);
    if (fate_of(self, "read", name) != FAULT_FATE_DONE) {
        return answer_lost("read", name, error);
    }
    return self->inner->ops->read(self->inner, name, offset, into, size, size_out, error);
}

static tarn_status fault_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    fault_storage *self = storage_of(base);
    if (fate_of(self, "stat", name) != FAULT_FATE_DONE) {
        return answer_lost("stat", name, error);
    }
    return self->inner->ops->stat(self->inner, name, out, error);
}

/* Every name has a fate of its own: some may go, and others stay. */
static tarn_status fault_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    fault_storage *self = storage_of(base);
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; i < count; i++) {
        const fault_fate fate = fate_of(self, "remove", names[i]);
        tarn_status one = TARN_OK;
        if (fate != FAULT_FATE_LOST) {
            one = self->inner->ops->remove(self->inner, &names[i], 1, error);
        }
        if (one == TARN_OK && fate != FAULT_FATE_DONE) {
            one = answer_lost("remove", names[i], error);
        }
        status = status == TARN_OK ? one : status;
    }
    return status;
}

static tarn_status fault_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    fault_storage *self = storage_of(base);
    if (fate_of(self, "list", directory) != FAULT_FATE_DONE) {
        return answer_lost("list", directory, error);
    }
    return self->inner->ops->list(self->inner, directory, visit, context, error);
}

/* A process that dies loses its lock: that is never in the way. */
static tarn_status fault_lock(tarn_storage *base, tarn_storage_lock **out, tarn_error *error)
{
    fault_storage *self = storage_of(base);
    return self->inner->ops->lock(self->inner, out, error);
}

static void fault_free(tarn_storage *base)
{
    (void)base;
}

void fault_storage_init(
    fault_storage *storage, tarn__account *account, fault_storage_fate *fate, void *context)
{
    static const tarn_storage_ops ops = {
        .struct_size = sizeof ops,
        .begin = fault_begin,
        .append = fault_append,
        .finish = fault_finish,
        .abandon = fault_abandon,
        .read = fault_read,
        .stat = fault_stat,
        .remove = fault_remove,
        .list = fault_list,
        .lock = fault_lock,
        .free = fault_free,
    };
    *storage = (fault_storage){.fate = fate, .context = context};
    tarn_error error;
    assert_ok(tarn__memory_storage_new(account, &storage->inner, &error), &error);
    storage->base =
        (tarn_storage){.ops = &ops, .address = "fault://", .features = storage->inner->features};
}

void fault_storage_clear(fault_storage *storage)
{
    tarn__storage_free(storage->inner);
}
