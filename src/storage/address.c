/* address.c - storages by their addresses, each below the shims that it wants; see storage.h. */
#include <string.h>

#include "base/random.h"
#include "base/try.h"
#include "storage/shims.h"

static tarn_status refuse_scheme(const char *address, tarn_error *error)
{
    const size_t size = tarn__uri_scheme_size(address);
    return tarn__fail(
        error,
        TARN_NOT_SUPPORTED,
        "there is no storage for \"%.*s\"; this version has file://, s3:// "
        "(s3a://, s3p://), webhdfs://, swebhdfs:// and hdfs://",
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
    /* What was to be "scheme://place" must not become a directory of this machine. */
    const char *slash = strchr(address, '/');
    if (address[0] != '/' && slash != NULL && slash > address && slash[-1] == ':') {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%.300s is neither scheme://place nor a path; write ./%.300s for a directory of that "
            "name",
            address,
            address);
    }
    *out = address;
    return TARN_OK;
}

bool tarn__storage_is_local(const char *address)
{
    return strncmp(address, "file:", 5) == 0 || tarn__uri_scheme_size(address) == 0;
}

/* --- Shims. Each is put over a storage if it is wanted; else *out is the storage itself. On
 * failure the storage stays the caller's. --- */

/* A number of a configuration, read by its kind; without a configuration it stays 0, for which each
 * shim has a default. */
typedef tarn_status read_fn(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set_out, tarn_error *error);

static tarn_status read_count(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set_out, tarn_error *error)
{
    int32_t count = 0;
    TARN_TRY(tarn_config_get_int(config, key, &count, is_set_out, error));
    *out = count;
    return TARN_OK;
}

static tarn_status read_setting(
    const tarn__storage_options *options,
    const char *key,
    read_fn *read,
    uint64_t *out,
    tarn_error *error)
{
    int64_t number = 0;
    if (options->config != NULL) {
        TARN_TRY(read(options->config, key, &number, NULL, error));
    }
    *out = (uint64_t)number;
    return TARN_OK;
}

typedef tarn_status put_over_fn(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error);

/* Below the retries, which are requests as well. Links move no bytes, and pass. */
static tarn_status put_throttle(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error)
{
    tarn__throttle_options throttle = {
        .clock = options->clock,
        .sleep = options->sleep,
        .sleep_context = options->sleep_context,
    };
    TARN_TRY(read_setting(
        options,
        "tarn.storage.bytes-per-second",
        tarn_config_get_memory,
        &throttle.bytes_per_s,
        error));
    TARN_TRY(read_setting(
        options, "tarn.storage.requests-per-second", read_count, &throttle.requests_per_s, error));
    if (throttle.bytes_per_s == 0 && throttle.requests_per_s == 0) {
        *out = below;
        return TARN_OK;
    }
    return tarn__throttle_storage_new(below, &throttle, options->account, out, error);
}

static tarn_status put_count(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error)
{
    if (options->counters == NULL) {
        *out = below;
        return TARN_OK;
    }
    return tarn__count_storage_new(below, options->counters, NULL, options->account, out, error);
}

static tarn_status put_retry(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error)
{
    uint64_t attempts = 0;
    tarn__retry_options retry = {
        .seed = tarn__random_mix(tarn__clock_monotonic_ns(tarn__clock_system())),
        .clock = options->clock,
        .sleep = options->sleep,
        .sleep_context = options->sleep_context,
    };
    TARN_TRY(read_setting(options, "tarn.storage.retry.attempts", read_count, &attempts, error));
    TARN_TRY(read_setting(
        options,
        "tarn.storage.retry.budget",
        tarn_config_get_duration_ms,
        &retry.budget_ms,
        error));
    retry.attempts = (uint32_t)attempts;
    return tarn__retry_storage_new(below, &retry, options->account, out, error);
}

/* Keeps what is read, when a configuration says where. */
static tarn_status put_cache(
    const tarn__storage_options *options,
    tarn_storage *below,
    tarn_storage **out,
    tarn_error *error)
{
    const char *directory = NULL;
    uint64_t size = 0;
    tarn_status status = TARN_NOT_FOUND;
    if (options->config != NULL) {
        status = tarn_config_get_string(
            options->config, "tarn.storage.cache.directory", &directory, NULL, error);
    }
    if (status == TARN_NOT_FOUND || (status == TARN_OK && directory[0] == '\0')) {
        *out = below;
        return TARN_OK;
    }
    TARN_TRY(status);
    TARN_TRY(
        read_setting(options, "tarn.storage.cache.size", tarn_config_get_memory, &size, error));
    const tarn__storage_options local_options = {
        .account = options->account, .calls = options->calls};
    tarn_storage *local = NULL;
    TARN_TRY(tarn__file_storage_open(&local_options, directory, &local, error));
    status = tarn__cache_storage_new(below, local, size, options->account, out, error);
    if (status != TARN_OK) {
        tarn__storage_free(local);
    }
    return status;
}

static put_over_fn *const SHIMS_OF_ALL[] = {put_throttle, put_count, NULL};
static put_over_fn *const SHIMS_OF_REMOTE[] = {put_throttle, put_count, put_retry, put_cache, NULL};

/* Puts shims over a storage, the first one nearest to it; takes it over, also on failure. */
static tarn_status put_shims(
    const tarn__storage_options *options,
    put_over_fn *const *shims,
    tarn_storage *storage,
    tarn_storage **out,
    tarn_error *error)
{
    for (; *shims != NULL; shims++) {
        tarn_storage *over = NULL;
        const tarn_status status = (*shims)(options, storage, &over, error);
        if (status != TARN_OK) {
            tarn__storage_free(storage);
            return status;
        }
        storage = over;
    }
    *out = storage;
    return TARN_OK;
}

/* --- Addresses --- */

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
    return put_shims(options, SHIMS_OF_REMOTE, below, out, error);
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
        return put_shims(options, SHIMS_OF_ALL, file, out, error);
    }
    tarn_storage *storage = NULL;
    if (scheme != NULL) {
        tarn_storage *own = NULL;
        TARN_TRY(scheme->open(address, scheme->context, &own, error));
        TARN_TRY(put_shims(options, SHIMS_OF_ALL, own, &storage, error));
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
