/* storage.c - checked names, and the way to the operations; see storage.h. */
#include "storage/storage.h"

#include <assert.h>
#include <string.h>

#include "base/try.h"
#include "storage/shim.h"

static tarn_status check_name(const tarn_storage *storage, const char *name, tarn_error *error)
{
    if (tarn__storage_is_name(tarn_bytes_of(name))) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "\"%.200s\" is no name of an object in %.200s",
        name,
        storage->address);
}

tarn_status tarn__storage_begin(
    tarn_storage *storage,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    assert(name != NULL || (storage->features & TARN_STORAGE_LATE_NAMES) != 0);
    if (name != NULL) {
        TARN_TRY(check_name(storage, name, error));
    }
    return storage->ops->begin(storage, name, flags, out, error);
}

tarn_status tarn__storage_append(tarn_storage_upload *upload, tarn_bytes part, tarn_error *error)
{
    return upload->storage->ops->append(upload, part, error);
}

tarn_status tarn__storage_finish(tarn_storage_upload *upload, const char *name, tarn_error *error)
{
    tarn_storage *storage = upload->storage;
    if (name != NULL) {
        const tarn_status status = check_name(storage, name, error);
        if (status != TARN_OK) {
            storage->ops->abandon(upload);
            return status;
        }
    }
    return storage->ops->finish(upload, name, error);
}

void tarn__storage_abandon(tarn_storage_upload *upload)
{
    if (upload != NULL) {
        upload->storage->ops->abandon(upload);
    }
}

tarn_status tarn__storage_write(
    tarn_storage *storage, const char *name, uint32_t flags, tarn_bytes bytes, tarn_error *error)
{
    tarn_storage_upload *upload = NULL;
    TARN_TRY(tarn__storage_begin(storage, name, flags, &upload, error));
    const tarn_status status = tarn__storage_append(upload, bytes, error);
    if (status != TARN_OK) {
        tarn__storage_abandon(upload);
        return status;
    }
    return tarn__storage_finish(upload, NULL, error);
}

tarn_status tarn__storage_read(
    tarn_storage *storage,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    TARN_TRY(check_name(storage, name, error));
    return storage->ops->read(storage, name, offset, into, size, size_out, error);
}

/* By parts. */
static tarn_status put_parts(
    tarn_storage *storage,
    const char *name,
    uint32_t flags,
    uint64_t size,
    tarn_storage_source *source,
    void *context,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn_error *error)
{
    tarn_storage_upload *upload = NULL;
    TARN_TRY(storage->ops->begin(storage, name, flags, &upload, error));
    tarn_status status = TARN_OK;
    for (uint64_t offset = 0; status == TARN_OK && offset < size;) {
        const uint64_t left = size - offset;
        const size_t wanted = left < buffer_bytes ? (size_t)left : buffer_bytes;
        size_t got = 0;
        status = source(context, offset, buffer, wanted, &got, error);
        if (status == TARN_OK && got < wanted) {
            status = tarn__fail(error, TARN_IO_ERROR, "%.300s became shorter", name);
        }
        if (status == TARN_OK) {
            status = storage->ops->append(upload, tarn_bytes_at(buffer, got), error);
        }
        offset += got;
    }
    if (status != TARN_OK) {
        storage->ops->abandon(upload);
        return status;
    }
    return storage->ops->finish(upload, NULL, error);
}

tarn_status tarn__storage_put(
    tarn_storage *storage,
    const char *name,
    uint32_t flags,
    uint64_t size,
    tarn_storage_source *source,
    void *context,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn_error *error)
{
    TARN_TRY(check_name(storage, name, error));
    if (TARN__STORAGE_HAS(storage->ops, put)) {
        const tarn_status status =
            storage->ops->put(storage, name, flags, size, source, context, error);
        if (status != TARN_NOT_SUPPORTED) {
            return status;
        }
    }
    return put_parts(storage, name, flags, size, source, context, buffer, buffer_bytes, error);
}

tarn_status tarn__storage_get(
    tarn_storage *storage,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn_error *error)
{
    TARN_TRY(check_name(storage, name, error));
    if (TARN__STORAGE_HAS(storage->ops, get)) {
        return size > 0 ? storage->ops->get(storage, name, offset, size, sink, context, error)
                        : TARN_OK;
    }
    for (uint64_t done = 0; done < size;) {
        const uint64_t left = size - done;
        const size_t wanted = left < buffer_bytes ? (size_t)left : buffer_bytes;
        size_t got = 0;
        TARN_TRY(storage->ops->read(storage, name, offset + done, buffer, wanted, &got, error));
        if (got > 0) {
            TARN_TRY(sink(context, tarn_bytes_at(buffer, got), error));
        }
        done += got;
        if (got < wanted) {
            return TARN_OK;
        }
    }
    return TARN_OK;
}

tarn_status tarn__storage_stat(
    tarn_storage *storage, const char *name, tarn_storage_info *out, tarn_error *error)
{
    TARN_TRY(check_name(storage, name, error));
    return storage->ops->stat(storage, name, out, error);
}

tarn_status tarn__storage_link_out(
    tarn_storage *storage, const char *name, const char *path, tarn_error *error)
{
    TARN_TRY(check_name(storage, name, error));
    const bool is_offered =
        offsetof(tarn_storage_ops, link) < storage->ops->struct_size && storage->ops->link != NULL;
    return is_offered
               ? storage->ops->link(storage, name, path, error)
               : tarn__fail(error, TARN_NOT_SUPPORTED, "%s cannot be linked", storage->address);
}

tarn_status tarn__storage_adopt(
    tarn_storage *storage, const char *path, const char *name, tarn_error *error)
{
    TARN_TRY(check_name(storage, name, error));
    const bool is_offered = offsetof(tarn_storage_ops, adopt) < storage->ops->struct_size &&
                            storage->ops->adopt != NULL;
    return is_offered
               ? storage->ops->adopt(storage, path, name, error)
               : tarn__fail(error, TARN_NOT_SUPPORTED, "%s takes no links", storage->address);
}

tarn_status tarn__storage_remove(
    tarn_storage *storage, const char *const *names, uint32_t count, tarn_error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        TARN_TRY(check_name(storage, names[i], error));
    }
    return count > 0 ? storage->ops->remove(storage, names, count, error) : TARN_OK;
}

tarn_status tarn__storage_list(
    tarn_storage *storage,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    if (directory[0] != '\0') {
        TARN_TRY(check_name(storage, directory, error));
    }
    return storage->ops->list(storage, directory, visit, context, error);
}

tarn_status tarn__storage_lock(tarn_storage *storage, tarn_storage_lock **out, tarn_error *error)
{
    if (storage->ops->lock == NULL) {
        return tarn__fail(
            error, TARN_NOT_SUPPORTED, "%.300s has no locks for a single writer", storage->address);
    }
    return storage->ops->lock(storage, out, error);
}

void tarn__storage_unlock(tarn_storage_lock *lock)
{
    if (lock != NULL) {
        lock->storage->ops->unlock(lock);
    }
}

void tarn__storage_free(tarn_storage *storage)
{
    if (storage != NULL) {
        storage->ops->free(storage);
    }
}
