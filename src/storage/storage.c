/* storage.c - addresses, names, and the way to the operations. */
#include "storage/storage.h"

#include <assert.h>
#include <string.h>

#include "base/random.h"
#include "base/try.h"
#include "storage/shims.h"

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

static tarn_status refuse_scheme(const char *address, tarn_error *error)
{
    const size_t size = tarn__uri_scheme_size(address);
    return tarn__fail(
        error,
        TARN_NOT_SUPPORTED,
        "there is no storage for \"%.*s\"; this version has file://, s3:// and webhdfs://",
        (int)(size < 64 ? size : 64),
        address);
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
    if (tarn__uri_scheme_size(address) > 0) {
        return refuse_scheme(address, error);
    }
    *out = address;
    return TARN_OK;
}

bool tarn__storage_is_local(const char *address)
{
    return strncmp(address, "file:", 5) == 0 || tarn__uri_scheme_size(address) == 0;
}

/* Below the retries, which are requests as well. On failure the storage stays the caller's. */
static tarn_status open_throttled(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error)
{
    int64_t bytes_per_s = 0;
    int32_t requests_per_s = 0;
    if (options->config != NULL) {
        TARN_TRY(tarn_config_get_memory(
            options->config, "tarn.storage.bytes-per-second", &bytes_per_s, NULL, error));
        TARN_TRY(tarn_config_get_int(
            options->config, "tarn.storage.requests-per-second", &requests_per_s, NULL, error));
    }
    if (bytes_per_s == 0 && requests_per_s == 0) {
        *out = below;
        return TARN_OK;
    }
    const tarn__throttle_options throttle = {
        .bytes_per_s = (uint64_t)bytes_per_s,
        .requests_per_s = (uint64_t)requests_per_s,
    };
    return tarn__throttle_storage_new(below, &throttle, options->account, out, error);
}

static tarn_status load_retry(
    const tarn_config *config, tarn__retry_options *retry, tarn_error *error)
{
    int32_t attempts = 0;
    int64_t budget_ms = 0;
    if (config != NULL) {
        TARN_TRY(
            tarn_config_get_int(config, "tarn.storage.retry.attempts", &attempts, NULL, error));
        TARN_TRY(tarn_config_get_duration_ms(
            config, "tarn.storage.retry.budget", &budget_ms, NULL, error));
    }
    retry->attempts = (uint32_t)attempts;
    retry->budget_ms = (uint64_t)budget_ms;
    return TARN_OK;
}

/* Keeps what is read, when a configuration says where. Takes below over, also when it fails. */
static tarn_status open_cached(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error)
{
    const char *directory = NULL;
    int64_t size = 0;
    tarn_status status = TARN_NOT_FOUND;
    if (options->config != NULL) {
        status = tarn_config_get_string(
            options->config, "tarn.storage.cache.directory", &directory, NULL, error);
    }
    if (status == TARN_NOT_FOUND || (status == TARN_OK && directory[0] == '\0')) {
        *out = below;
        return TARN_OK;
    }
    if (status == TARN_OK) {
        status =
            tarn_config_get_memory(options->config, "tarn.storage.cache.size", &size, NULL, error);
    }
    const tarn__storage_options local_options = {
        .account = options->account, .calls = options->calls};
    tarn_storage *local = NULL;
    if (status == TARN_OK) {
        status = tarn__file_storage_open(&local_options, directory, &local, error);
    }
    if (status == TARN_OK) {
        status =
            tarn__cache_storage_new(below, local, (uint64_t)size, options->account, out, error);
    }
    if (status != TARN_OK) {
        tarn__storage_free(local);
        tarn__storage_free(below);
    }
    return status;
}

/* Takes below over, also when it fails. */
static tarn_status open_counted(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error)
{
    if (options->counters == NULL) {
        *out = below;
        return TARN_OK;
    }
    const tarn_status status =
        tarn__count_storage_new(below, options->counters, NULL, options->account, out, error);
    if (status != TARN_OK) {
        tarn__storage_free(below);
    }
    return status;
}

static tarn_status open_retried(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error)
{
    tarn__retry_options retry = {
        .seed = tarn__random_mix(tarn__clock_monotonic_ns(tarn__clock_system())),
    };
    tarn_status status = load_retry(options->config, &retry, error);
    if (status == TARN_OK) {
        status = tarn__retry_storage_new(below, &retry, options->account, out, error);
    }
    if (status != TARN_OK) {
        tarn__storage_free(below);
    }
    return status;
}

static bool is_scheme(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(*names, name) != 0) {
        names++;
    }
    return *names != NULL;
}

static tarn_status open_remote(
    const tarn__storage_options *options, tarn_storage **out, tarn_error *error)
{
    static const char *const s3[] = {"s3", "s3a", "s3p", NULL};
    static const char *const hdfs[] = {"webhdfs", "swebhdfs", "hdfs", NULL};
    tarn__uri uri;
    TARN_TRY(tarn__uri_parse(options->address, &uri, error));
    tarn_storage *below = NULL;
    if (is_scheme(uri.scheme, s3)) {
        TARN_TRY(tarn__s3_storage_open(options, &uri, &below, error));
    } else if (is_scheme(uri.scheme, hdfs)) {
        TARN_TRY(tarn__webhdfs_storage_open(options, &uri, &below, error));
    } else {
        return refuse_scheme(options->address, error);
    }
    tarn_storage *throttled = NULL;
    const tarn_status status = open_throttled(options, below, &throttled, error);
    if (status != TARN_OK) {
        tarn__storage_free(below);
        return status;
    }
    tarn_storage *counted = NULL;
    tarn_storage *retried = NULL;
    TARN_TRY(open_counted(options, throttled, &counted, error));
    TARN_TRY(open_retried(options, counted, &retried, error));
    return open_cached(options, retried, out, error);
}

static const tarn_storage_scheme *find_scheme(const tarn__storage_options *options)
{
    const size_t size = tarn__uri_scheme_size(options->address);
    for (uint32_t i = 0; i < options->scheme_count; i++) {
        const char *name = options->schemes[i].name;
        if (strlen(name) == size && strncmp(options->address, name, size) == 0) {
            return &options->schemes[i];
        }
    }
    return NULL;
}

static bool note_entry(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    *(bool *)context = true;
    return false;
}

/* Behind a network a directory exists when there is something in it. */
static tarn_status check_exists(tarn_storage *storage, tarn_error *error)
{
    bool is_there = false;
    TARN_TRY(tarn__storage_list(storage, "", note_entry, &is_there, error));
    return is_there ? TARN_OK
                    : tarn__fail(error, TARN_MISSING, "%.400s holds nothing", storage->address);
}

tarn_status tarn__storage_open(
    const tarn__storage_options *options, tarn_storage **out, tarn_error *error)
{
    const char *address = options->address != NULL ? options->address : "";
    const tarn_storage_scheme *scheme = address[0] != '\0' ? find_scheme(options) : NULL;
    if (scheme == NULL && tarn__storage_is_local(address)) {
        const char *path = NULL;
        TARN_TRY(tarn__storage_path_of(address, &path, error));
        tarn_storage *file = NULL;
        TARN_TRY(tarn__file_storage_open(options, path, &file, error));
        return open_counted(options, file, out, error);
    }
    tarn_storage *storage = NULL;
    if (scheme != NULL) {
        tarn_storage *own = NULL;
        TARN_TRY(scheme->open(address, scheme->context, &own, error));
        TARN_TRY(open_counted(options, own, &storage, error));
    } else {
        TARN_TRY(open_remote(options, &storage, error));
    }
    const tarn_status status = options->must_exist ? check_exists(storage, error) : TARN_OK;
    if (status != TARN_OK) {
        tarn__storage_free(storage);
        return status;
    }
    *out = storage;
    return TARN_OK;
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
