/* pool.c - see pool.h. */
#include "snapshot/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"

enum { DIRECTORY_MODE = 0755 };

static void name_content(const tarn__content *content, char out[TARN__POOL_NAME_BYTES])
{
    char text[TARN__DIGEST_TEXT_BYTES];
    tarn__digest_encode(&content->digest, text);
    (void)snprintf(out, TARN__POOL_NAME_BYTES, "%s-%" PRIu64, text, content->size);
}

static bool name_file(const char *directory, const char *name, char path[PATH_MAX])
{
    const int size = snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return size > 0 && size < PATH_MAX;
}

tarn_status tarn__pool_open(
    tarn__pool *pool, const tarn__file_calls *calls, const char *path, tarn_error *error)
{
    *pool = (tarn__pool){.calls = calls != NULL ? calls : tarn__file_calls_system()};
    const size_t size = strlen(path);
    if (size + TARN__POOL_NAME_BYTES >= sizeof pool->path) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the path %.200s... is too long", path);
    }
    if (pool->calls->make_directory_at(AT_FDCWD, path, DIRECTORY_MODE, pool->calls->context) != 0 &&
        errno != EEXIST) {
        return tarn__fail_errno(error, errno, "cannot create %s", path);
    }
    memcpy(pool->path, path, size + 1);
    return TARN_OK;
}

/* ---- filling ---------------------------------------------------------------------------- */

static tarn_status add_one(
    tarn__pool *pool, const char *directory, const tarn__base_file *file, tarn_error *error)
{
    const tarn__content content = {.digest = file->digest, .size = file->identity.size};
    char name[TARN__POOL_NAME_BYTES];
    char from[PATH_MAX];
    char to[PATH_MAX];
    name_content(&content, name);
    if (!name_file(directory, file->name, from) || !name_file(pool->path, name, to)) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "the path %.200s... is too long", directory);
    }
    if (pool->calls->link_at(from, AT_FDCWD, to, pool->calls->context) != 0 && errno != EEXIST) {
        return tarn__fail_errno(error, errno, "cannot link %s to %s", from, to);
    }
    return TARN_OK;
}

tarn_status tarn__pool_add(
    tarn__pool *pool, const char *directory, const tarn__base *base, tarn_error *error)
{
    for (uint32_t i = 0; i < base->count; i++) {
        TARN_TRY(add_one(pool, directory, &base->files[i], error));
    }
    return TARN_OK;
}

/* ---- pruning ---------------------------------------------------------------------------- */

static bool has_content(const tarn__base *base, const tarn__content *wanted)
{
    for (uint32_t i = 0; base != NULL && i < base->count; i++) {
        if (base->files[i].identity.size == wanted->size &&
            tarn__digest_is_equal(&base->files[i].digest, &wanted->digest)) {
            return true;
        }
    }
    return false;
}

/* Only names that tarn__pool_add() gives. */
static bool parse_name(const char *name, tarn__content *out)
{
    const size_t digits = TARN__DIGEST_TEXT_BYTES - 1;
    char again[TARN__POOL_NAME_BYTES];
    if (strlen(name) < digits + 2 || !tarn__digest_decode(name, digits, &out->digest)) {
        return false;
    }
    out->size = strtoull(name + digits + 1, NULL, 10);
    name_content(out, again);
    return strcmp(name, again) == 0;
}

static tarn_status prune_all(
    tarn__pool *pool,
    DIR *listing,
    const tarn__base *first,
    const tarn__base *second,
    tarn_error *error)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = pool->calls->next_entry(listing, pool->calls->context);
        if (entry == NULL) {
            return errno == 0 ? TARN_OK
                              : tarn__fail_errno(error, errno, "cannot list %s", pool->path);
        }
        const char *name = entry->d_name;
        tarn__content content;
        if (parse_name(name, &content) && !has_content(first, &content) &&
            !has_content(second, &content) &&
            pool->calls->unlink_at(dirfd(listing), name, 0, pool->calls->context) != 0) {
            return tarn__fail_errno(error, errno, "cannot remove %s/%s", pool->path, name);
        }
    }
}

tarn_status tarn__pool_prune(
    tarn__pool *pool, const tarn__base *first, const tarn__base *second, tarn_error *error)
{
    int file = -1;
    TARN_TRY(tarn__file_open(
        pool->calls, AT_FDCWD, pool->path, O_RDONLY | O_DIRECTORY, pool->path, &file, error));
    DIR *listing = fdopendir(file); /* Its memory is the C library's, given back by closedir(). */
    if (listing == NULL) {
        const int code = errno;
        (void)pool->calls->close(file, pool->calls->context);
        return tarn__fail_errno(error, code, "cannot list %s", pool->path);
    }
    const tarn_status status = prune_all(pool, listing, first, second, error);
    closedir(listing);
    return status;
}

/* ---- taking ----------------------------------------------------------------------------- */

/* Reads a file through, into another one if that is open, and compares what it is. */
static tarn_status read_through(
    tarn__pool *pool,
    int from,
    int to,
    const tarn__content *content,
    uint8_t *buffer,
    size_t buffer_bytes,
    bool *is_same)
{
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    uint64_t offset = 0;
    size_t got = buffer_bytes;
    while (got == buffer_bytes && offset <= content->size) {
        TARN_TRY(tarn__file_read(
            pool->calls, from, offset, buffer, buffer_bytes, &got, pool->path, NULL));
        const tarn_bytes part = tarn_bytes_at(buffer, got);
        tarn__hasher_update(&hasher, part);
        if (to >= 0) {
            TARN_TRY(tarn__file_write(pool->calls, to, part, pool->path, NULL));
        }
        offset += got;
    }
    const tarn__digest digest = tarn__hasher_digest(&hasher);
    *is_same = offset == content->size && tarn__digest_is_equal(&digest, &content->digest);
    return TARN_OK;
}

static void close_quietly(const tarn__pool *pool, int file)
{
    if (file >= 0) {
        (void)pool->calls->close(file, pool->calls->context);
    }
}

static void drop(const tarn__pool *pool, const char *path)
{
    (void)pool->calls->unlink_at(AT_FDCWD, path, 0, pool->calls->context);
}

bool tarn__pool_take(
    tarn__pool *pool,
    const tarn__content *content,
    bool may_link,
    const char *path,
    uint8_t *buffer,
    size_t buffer_bytes)
{
    const tarn__file_calls *calls = pool->calls;
    char name[TARN__POOL_NAME_BYTES];
    char from_path[PATH_MAX];
    int from = -1;
    int to = -1;
    name_content(content, name);
    if (pool->path[0] == '\0' || !name_file(pool->path, name, from_path) ||
        tarn__file_open(calls, AT_FDCWD, from_path, O_RDONLY, from_path, &from, NULL) != TARN_OK) {
        return false;
    }
    tarn_status status = TARN_OK;
    if (!may_link) {
        status =
            tarn__file_open(calls, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, path, &to, NULL);
    }
    bool is_same = false;
    if (status == TARN_OK) {
        status = read_through(pool, from, to, content, buffer, buffer_bytes, &is_same);
    }
    close_quietly(pool, from);
    close_quietly(pool, to);
    if (status == TARN_OK && !is_same) {
        atomic_fetch_add(&pool->damaged_count, 1);
        drop(pool, from_path);
    }
    bool is_taken = status == TARN_OK && is_same;
    if (is_taken && may_link) {
        is_taken = calls->link_at(from_path, AT_FDCWD, path, calls->context) == 0;
    }
    if (!is_taken && to >= 0) {
        drop(pool, path);
    }
    if (is_taken) {
        atomic_fetch_add(&pool->taken_count, 1);
        atomic_fetch_add(&pool->taken_bytes, content->size);
    }
    return is_taken;
}
