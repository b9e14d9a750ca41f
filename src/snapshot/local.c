/* local.c - see local.h. */
#include "snapshot/local.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"

static bool ends_with(const char *text, const char *suffix)
{
    const size_t size = strlen(text);
    const size_t suffix_size = strlen(suffix);
    return size > suffix_size && strcmp(text + size - suffix_size, suffix) == 0;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const tarn__local_file *)a)->name, ((const tarn__local_file *)b)->name);
}

typedef struct lister {
    const tarn__file_calls *calls;
    const char *directory;
    const char *shared_suffix;
    tarn__local_files files;
    uint32_t capacity;
} lister;

/* The array doubles within the arena: what it outgrows is at most as large again. */
static tarn_status add(lister *l, const char *name, tarn_error *error)
{
    tarn__local_files *files = &l->files;
    if (files->count == l->capacity) {
        const uint32_t capacity = l->capacity == 0 ? 32 : 2 * l->capacity;
        tarn__local_file *items = tarn__arena_allocate(&files->arena, capacity, sizeof *items);
        if (items == NULL) {
            return tarn__fail_no_memory(error, "a list of files", capacity * sizeof *items);
        }
        if (files->count > 0) {
            memcpy(items, files->items, files->count * sizeof *items);
        }
        files->items = items;
        l->capacity = capacity;
    }
    const char *copy = tarn__arena_copy(&files->arena, tarn_bytes_of(name));
    if (copy == NULL) {
        return tarn__fail_no_memory(error, "the name of a file", strlen(name) + 1);
    }
    files->items[files->count++] =
        (tarn__local_file){.name = copy, .is_shared = ends_with(name, l->shared_suffix)};
    return TARN_OK;
}

static tarn_status add_entry(lister *l, int directory, const char *name, tarn_error *error)
{
    struct stat status;
    if (l->calls->stat_at(directory, name, &status, l->calls->context) != 0) {
        return tarn__fail_errno(error, errno, "cannot look at %s/%s", l->directory, name);
    }
    if (!S_ISREG(status.st_mode)) {
        return tarn__fail(error, TARN_INTERNAL, "%s/%s is not a file", l->directory, name);
    }
    return add(l, name, error);
}

static tarn_status add_all(lister *l, DIR *listing, tarn_error *error)
{
    for (;;) {
        errno = 0;
        const struct dirent *next = l->calls->next_entry(listing, l->calls->context);
        if (next == NULL) {
            return errno == 0 ? TARN_OK
                              : tarn__fail_errno(error, errno, "cannot list %s", l->directory);
        }
        if (strcmp(next->d_name, ".") != 0 && strcmp(next->d_name, "..") != 0) {
            TARN_TRY(add_entry(l, dirfd(listing), next->d_name, error));
        }
    }
}

tarn_status tarn__local_files_list(
    const tarn__file_calls *calls,
    tarn__account *account,
    const char *directory,
    const char *shared_suffix,
    tarn__local_files *out,
    tarn_error *error)
{
    lister l = {
        .calls = calls != NULL ? calls : tarn__file_calls_system(),
        .directory = directory,
        .shared_suffix = shared_suffix,
    };
    tarn__arena_init(&l.files.arena, account);
    int file = -1;
    TARN_TRY(tarn__file_open(
        l.calls, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, directory, &file, error));
    DIR *listing = fdopendir(file);
    if (listing == NULL) {
        const int code = errno;
        (void)l.calls->close(file, l.calls->context);
        return tarn__fail_errno(error, code, "cannot list %s", directory);
    }
    const tarn_status status = add_all(&l, listing, error);
    closedir(listing);
    if (status != TARN_OK) {
        tarn__local_files_clear(&l.files);
        return status;
    }
    if (l.files.count > 1) {
        qsort(l.files.items, l.files.count, sizeof *l.files.items, compare_files);
    }
    *out = l.files;
    return TARN_OK;
}

void tarn__local_files_clear(tarn__local_files *files)
{
    tarn__arena_clear(&files->arena);
    files->items = NULL;
    files->count = 0;
}

static tarn__local_identity identity_of(const struct stat *status)
{
    return (tarn__local_identity){
        .size = (uint64_t)status->st_size,
        .device = (uint64_t)status->st_dev,
        .inode = (uint64_t)status->st_ino,
        .modified_ns =
            (int64_t)status->st_mtim.tv_sec * 1000000000 + (int64_t)status->st_mtim.tv_nsec,
    };
}

bool tarn__local_identify_path(
    const tarn__file_calls *calls, const char *path, tarn__local_identity *out)
{
    struct stat status;
    const bool is_there = calls->stat_at(AT_FDCWD, path, &status, calls->context) == 0;
    if (is_there) {
        *out = identity_of(&status);
    }
    return is_there;
}

tarn_status tarn__local_identify(
    const tarn__file_calls *calls,
    int file,
    const char *path,
    tarn__local_identity *out,
    tarn_error *error)
{
    struct stat status;
    if (calls->stat(file, &status, calls->context) != 0) {
        return tarn__fail_errno(error, errno, "cannot look at %s", path);
    }
    *out = identity_of(&status);
    return TARN_OK;
}

static int compare_base(const void *a, const void *b)
{
    return strcmp(((const tarn__base_file *)a)->name, ((const tarn__base_file *)b)->name);
}

tarn_status tarn__base_new(
    tarn__account *account,
    const tarn__base_file *files,
    uint32_t count,
    tarn__base **out,
    tarn_error *error)
{
    tarn__base *base = tarn__allocate_zeroed(account, 1, sizeof *base);
    if (base == NULL) {
        return tarn__fail_no_memory(error, "the files of a snapshot", sizeof *base);
    }
    atomic_init(&base->holder_count, 1);
    tarn__arena_init(&base->arena, account);
    base->files = tarn__arena_allocate(&base->arena, count, sizeof *base->files);
    bool is_complete = base->files != NULL;
    for (uint32_t i = 0; is_complete && i < count; i++) {
        base->files[i] = files[i];
        base->files[i].name = tarn__arena_copy(&base->arena, tarn_bytes_of(files[i].name));
        is_complete = base->files[i].name != NULL;
    }
    if (!is_complete) {
        tarn__base_free(base);
        return tarn__fail_no_memory(error, "the files of a snapshot", count * sizeof *files);
    }
    base->count = count;
    if (count > 1) {
        qsort(base->files, count, sizeof *base->files, compare_base);
    }
    *out = base;
    return TARN_OK;
}

void tarn__base_free(tarn__base *base)
{
    if (base != NULL && atomic_fetch_sub(&base->holder_count, 1) == 1) {
        tarn__arena_clear(&base->arena);
        tarn__release(base);
    }
}

tarn__base *tarn__base_share(tarn__base *base)
{
    if (base != NULL) {
        atomic_fetch_add(&base->holder_count, 1);
    }
    return base;
}

const tarn__base_file *tarn__base_find_name(const tarn__base *base, const char *name)
{
    const tarn__base_file wanted = {.name = name};
    return base == NULL || base->count == 0
               ? NULL
               : bsearch(&wanted, base->files, base->count, sizeof wanted, compare_base);
}

const tarn__base_file *tarn__base_find(
    const tarn__base *base, const char *name, const tarn__local_identity *identity)
{
    const tarn__base_file *found = tarn__base_find_name(base, name);
    const bool is_same = found != NULL && found->identity.size == identity->size &&
                         found->identity.device == identity->device &&
                         found->identity.inode == identity->inode &&
                         found->identity.modified_ns == identity->modified_ns;
    return is_same ? found : NULL;
}
