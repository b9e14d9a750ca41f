/* storage.c - addresses, names, and the way to the operations. */
#include "storage/storage.h"

#include <assert.h>
#include <string.h>

#include "base/try.h"

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

tarn_status tarn__storage_path_of(const char *address, const char **out, tarn_error *error)
{
    static const char scheme[] = "file:";
    if (address == NULL || address[0] == '\0') {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the address of a storage is empty");
    }
    if (strncmp(address, scheme, sizeof scheme - 1) == 0) {
        const char *path = address + sizeof scheme - 1;
        if (path[0] == '/' && path[1] == '/') {
            path += 2;
        }
        if (path[0] != '/') {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                "%.300s names a host or a relative path; write file:///path",
                address);
        }
        *out = path;
        return TARN_OK;
    }
    const char *colon = strstr(address, "://");
    if (colon != NULL && memchr(address, '/', (size_t)(colon - address)) == NULL) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "there is no storage for \"%.*s\" (%.300s); this version has file://",
            (int)(colon - address < 64 ? colon - address : 64),
            address,
            address);
    }
    *out = address;
    return TARN_OK;
}

tarn_status tarn__storage_open(
    const tarn__storage_options *options, tarn_storage **out, tarn_error *error)
{
    const char *path = NULL;
    TARN_TRY(tarn__storage_path_of(options->address, &path, error));
    return tarn__file_storage_open(options, path, out, error);
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

tarn_status tarn__storage_stat(
    tarn_storage *storage, const char *name, tarn_storage_info *out, tarn_error *error)
{
    TARN_TRY(check_name(storage, name, error));
    return storage->ops->stat(storage, name, out, error);
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
