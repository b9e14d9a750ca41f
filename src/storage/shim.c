/* shim.c - see shim.h. */
#include "storage/shim.h"

#include <string.h>

#include "base/try.h"

static tarn__shim *shim_of(tarn_storage *base)
{
    return (tarn__shim *)base;
}

static tarn_storage_upload *below_of(tarn_storage_upload *base)
{
    return ((tarn__shim_upload *)base)->below;
}

tarn_status tarn__shim_wrap(
    tarn__shim *shim, tarn_storage_upload *below, tarn_storage_upload **out, tarn_error *error)
{
    tarn__shim_upload *upload = tarn__allocate_zeroed(shim->account, 1, sizeof *upload);
    if (upload == NULL) {
        below->storage->ops->abandon(below);
        return tarn__fail_no_memory(error, "an upload", sizeof *upload);
    }
    upload->base.storage = &shim->base;
    upload->below = below;
    *out = &upload->base;
    return TARN_OK;
}

static tarn_status shim_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    tarn__shim *self = shim_of(base);
    tarn_storage_upload *below = NULL;
    TARN_TRY(self->below->ops->begin(self->below, name, flags, &below, error));
    return tarn__shim_wrap(self, below, out, error);
}

static tarn_status shim_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    tarn_storage_upload *below = below_of(base);
    return below->storage->ops->append(below, part, error);
}

static tarn_status shim_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    tarn_storage_upload *below = below_of(base);
    tarn__release(base);
    return below->storage->ops->finish(below, name, error);
}

static tarn_status shim_try_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    tarn_storage_upload *below = below_of(base);
    TARN_TRY(below->storage->ops->try_finish(below, name, error));
    tarn__release(base);
    return TARN_OK;
}

static void shim_abandon(tarn_storage_upload *base)
{
    tarn_storage_upload *below = below_of(base);
    tarn__release(base);
    below->storage->ops->abandon(below);
}

static tarn_status shim_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->read(below, name, offset, into, size, size_out, error);
}

static tarn_status shim_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->stat(below, name, out, error);
}

static tarn_status shim_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->remove(below, names, count, error);
}

static tarn_status shim_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->list(below, directory, visit, context, error);
}

static tarn_status shim_lock(tarn_storage *base, tarn_storage_lock **out, tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->lock(below, out, error);
}

static uint64_t shim_pause_ms(tarn_storage *base)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->pause_ms(below);
}

static tarn_status shim_put(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    uint64_t size,
    tarn_storage_source *source,
    void *context,
    tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->put(below, name, flags, size, source, context, error);
}

static tarn_status shim_get(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->get(below, name, offset, size, sink, context, error);
}

static tarn_status shim_link(
    tarn_storage *base, const char *name, const char *path, tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->link(below, name, path, error);
}

static tarn_status shim_adopt(
    tarn_storage *base, const char *path, const char *name, tarn_error *error)
{
    tarn_storage *below = shim_of(base)->below;
    return below->ops->adopt(below, path, name, error);
}

/* No shim has another operation for links: it tells one from a storage. */
tarn_storage *tarn__shim_bottom(tarn_storage *storage)
{
    while (TARN__STORAGE_HAS(storage->ops, link) && storage->ops->link == shim_link) {
        storage = shim_of(storage)->below;
    }
    return storage;
}

void tarn__shim_free(tarn_storage *base)
{
    tarn__shim *self = shim_of(base);
    self->below->ops->free(self->below);
    tarn__release(self);
}

void tarn__shim_init(
    tarn__shim *shim, tarn_storage_ops *ops, tarn_storage *below, tarn__account *account)
{
    const bool resumes =
        (below->features & TARN_STORAGE_RESUMES) != 0 && TARN__STORAGE_HAS(below->ops, try_finish);
    *ops = (tarn_storage_ops){
        .struct_size = sizeof *ops,
        .begin = shim_begin,
        .append = shim_append,
        .finish = shim_finish,
        .abandon = shim_abandon,
        .read = shim_read,
        .stat = shim_stat,
        .remove = shim_remove,
        .list = shim_list,
        .lock = below->ops->lock != NULL ? shim_lock : NULL,
        .free = tarn__shim_free,
        .try_finish = resumes ? shim_try_finish : NULL,
        .pause_ms = TARN__STORAGE_HAS(below->ops, pause_ms) ? shim_pause_ms : NULL,
        .link = TARN__STORAGE_HAS(below->ops, link) ? shim_link : NULL,
        .put = TARN__STORAGE_HAS(below->ops, put) ? shim_put : NULL,
        .get = TARN__STORAGE_HAS(below->ops, get) ? shim_get : NULL,
        .adopt = TARN__STORAGE_HAS(below->ops, adopt) ? shim_adopt : NULL,
    };
    shim->base = (tarn_storage){
        .ops = ops,
        .address = below->address,
        .features = resumes ? below->features : below->features & ~(uint32_t)TARN_STORAGE_RESUMES,
    };
    shim->account = account;
    shim->below = below;
}
