/*
 * file.c - a directory as a storage. How directories are made and made durable is in
 * file_directories.c, second names in file_links.c.
 *
 *     append ──► ROOT/.tarn-tmp-...     one temporary file per upload, in the root
 *     finish ──► fsync(file), make directories, rename, fsync(each directory up to the root)
 *
 * A crash leaves at worst a temporary file, which no listing shows and which goes when the lock is
 * taken the next time.
 *
 * All names are resolved below a descriptor of the root: moving the directory meanwhile is
 * harmless.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/try.h"
#include "storage/file_private.h"

enum {
    PATH_BYTES = 1024, /* Of messages; longer ones are cut. */
};

static const char RESERVED[] = ".tarn-";

typedef struct file_upload {
    tarn_storage_upload base;
    int file;
    uint32_t flags;
    char temporary[TARN__FILE_TEMPORARY_BYTES];
    char name[]; /* Empty: it comes with finish(). */
} file_upload;

static tarn__file_storage *storage_of(tarn_storage *base)
{
    return (tarn__file_storage *)base;
}

static void path_of(const tarn__file_storage *self, const char *name, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/%s", self->path, name);
}

void tarn__file_close(const tarn__file_storage *self, int file)
{
    (void)self->calls->close(file, self->calls->context);
}

/* --- Uploads --- */

void tarn__file_name_temporary(tarn__file_storage *self, char out[TARN__FILE_TEMPORARY_BYTES])
{
    const uint64_t number = atomic_fetch_add(&self->next_upload, 1);
    snprintf(
        out,
        TARN__FILE_TEMPORARY_BYTES,
        TARN__FILE_TEMPORARY "%016" PRIx64 "-%" PRIu64,
        self->token,
        number);
}

static tarn_status open_temporary(tarn__file_storage *self, file_upload *upload, tarn_error *error)
{
    tarn__file_name_temporary(self, upload->temporary);
    char path[PATH_BYTES];
    path_of(self, upload->temporary, path);
    return tarn__file_open(
        self->calls,
        self->root,
        upload->temporary,
        O_WRONLY | O_CREAT | O_EXCL,
        path,
        &upload->file,
        error);
}

static tarn_status file_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    tarn__file_storage *self = storage_of(base);
    const size_t name_size = name != NULL ? strlen(name) + 1 : 1;
    file_upload *upload = tarn__allocate_zeroed(self->account, 1, sizeof *upload + name_size);
    if (upload == NULL) {
        return tarn__fail_no_memory(error, "an upload", sizeof *upload + name_size);
    }
    upload->base.storage = base;
    upload->flags = flags;
    memcpy(upload->name, name != NULL ? name : "", name_size);
    const tarn_status status = open_temporary(self, upload, error);
    if (status != TARN_OK) {
        tarn__release(upload);
        return status;
    }
    *out = &upload->base;
    return TARN_OK;
}

static tarn_status file_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    file_upload *upload = (file_upload *)base;
    tarn__file_storage *self = storage_of(base->storage);
    char path[PATH_BYTES];
    path_of(self, upload->name[0] != '\0' ? upload->name : upload->temporary, path);
    return tarn__file_write(self->calls, upload->file, part, path, error);
}

static void file_abandon(tarn_storage_upload *base)
{
    file_upload *upload = (file_upload *)base;
    tarn__file_storage *self = storage_of(base->storage);
    if (upload->file >= 0) {
        tarn__file_close(self, upload->file);
    }
    (void)self->calls->unlink_at(self->root, upload->temporary, 0, self->calls->context);
    tarn__release(upload);
}

/* The bytes reach the disk before the name does, or a crash could leave a name without bytes. */
static tarn_status sync_content(tarn__file_storage *self, file_upload *upload, tarn_error *error)
{
    const tarn__file_calls *calls = self->calls;
    if (self->is_synchronised && calls->sync(upload->file, calls->context) != 0) {
        return tarn__fail_errno(error, errno, "cannot synchronise %s/%s", self->path, upload->name);
    }
    const int file = upload->file;
    upload->file = -1;
    if (calls->close(file, calls->context) != 0 && errno != EINTR) {
        return tarn__fail_errno(error, errno, "cannot close %s/%s", self->path, upload->name);
    }
    return TARN_OK;
}

/* Renames once; falls back where the file system cannot refuse to replace. Answers 0 or errno. */
static int rename_once(tarn__file_storage *self, const file_upload *upload, const char *name)
{
    const tarn__file_calls *calls = self->calls;
    if ((upload->flags & TARN_UPLOAD_IF_ABSENT) != 0) {
        if (calls->rename_at(
                self->root, upload->temporary, name, RENAME_NOREPLACE, calls->context) == 0) {
            return 0;
        }
        if (errno != EINVAL && errno != ENOSYS) {
            return errno;
        }
        /* Not atomic; the lock of the directory keeps other writers out. */
        struct stat status;
        if (calls->stat_at(self->root, name, &status, calls->context) == 0) {
            return EEXIST;
        }
    }
    return calls->rename_at(self->root, upload->temporary, name, 0, calls->context) == 0 ? 0
                                                                                         : errno;
}

static tarn_status rename_into_place(
    tarn__file_storage *self, const file_upload *upload, const char *name, tarn_error *error)
{
    int code = rename_once(self, upload, name);
    for (int attempt = 1; code == ENOENT && attempt < TARN__FILE_ATTEMPTS_MAX; attempt++) {
        TARN_TRY(tarn__file_make_parents(self, name, error));
        code = rename_once(self, upload, name);
    }
    if (code == EEXIST) {
        return tarn__fail(error, TARN_BUSY, "%s/%s exists already", self->path, name);
    }
    if (code != 0) {
        return tarn__fail_errno(error, code, "cannot name %s/%s", self->path, name);
    }
    return TARN_OK;
}

static tarn_status file_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    file_upload *upload = (file_upload *)base;
    tarn__file_storage *self = storage_of(base->storage);
    assert((name == NULL) != (upload->name[0] == '\0'));
    const char *final_name = name != NULL ? name : upload->name;

    tarn_status status = sync_content(self, upload, error);
    if (status == TARN_OK) {
        status = rename_into_place(self, upload, final_name, error);
    }
    if (status != TARN_OK) {
        file_abandon(base);
        return status;
    }
    status = tarn__file_sync_parents(self, final_name, error);
    tarn__release(upload);
    return status;
}

/* --- Objects --- */

static tarn_status file_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    tarn__file_storage *self = storage_of(base);
    char path[PATH_BYTES];
    path_of(self, name, path);
    if (offset > INT64_MAX - size) {
        *size_out = 0;
        return TARN_OK;
    }
    int file = -1;
    TARN_TRY(tarn__file_open(self->calls, self->root, name, O_RDONLY, path, &file, error));
    const tarn_status status =
        tarn__file_read(self->calls, file, offset, into, size, size_out, path, error);
    tarn__file_close(self, file);
    return status;
}

static int64_t to_ms(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

/* A copy may keep the time of its original; that of the inode's last change is this one's own. */
static int64_t written_ms_of(const struct stat *status)
{
    const int64_t modified_ms = to_ms(&status->st_mtim);
    const int64_t changed_ms = to_ms(&status->st_ctim);
    return modified_ms > changed_ms ? modified_ms : changed_ms;
}

static tarn_status file_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    tarn__file_storage *self = storage_of(base);
    struct stat status;
    if (self->calls->stat_at(self->root, name, &status, self->calls->context) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return tarn__fail(error, TARN_MISSING, "%s/%s does not exist", self->path, name);
        }
        return tarn__fail_errno(error, errno, "cannot look at %s/%s", self->path, name);
    }
    if (!S_ISREG(status.st_mode)) {
        return tarn__fail(error, TARN_MISSING, "%s/%s is not a file", self->path, name);
    }
    *out = (tarn_storage_info){
        .size = (uint64_t)status.st_size,
        .written_ms = written_ms_of(&status),
    };
    return TARN_OK;
}

static bool has_same_parent(const char *a, const char *b)
{
    const char *slash_a = strrchr(a, '/');
    const char *slash_b = strrchr(b, '/');
    const size_t size_a = slash_a != NULL ? (size_t)(slash_a - a) : 0;
    const size_t size_b = slash_b != NULL ? (size_t)(slash_b - b) : 0;
    return size_a == size_b && memcmp(a, b, size_a) == 0;
}

/* Makes removals durable: the directory is synchronised, and then goes itself if it is empty. */
static tarn_status settle_removal(tarn__file_storage *self, const char *name, tarn_error *error)
{
    char directory[TARN__STORAGE_NAME_BYTES_MAX + 1];
    snprintf(directory, sizeof directory, "%s", name);
    (void)tarn__file_cut_to_parent(directory);
    const tarn_status status = tarn__file_sync_directory(self, directory, error);
    if (status == TARN_MISSING) {
        return TARN_OK; /* The whole directory was not there. */
    }
    TARN_TRY(status);
    tarn__file_remove_empty_parents(self, name);
    return TARN_OK;
}

static tarn_status file_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    tarn__file_storage *self = storage_of(base);
    tarn_status result = TARN_OK;
    for (uint32_t i = 0; i < count; i++) {
        tarn_error *const details = result == TARN_OK ? error : NULL;
        tarn_status status = TARN_OK;
        if (self->calls->unlink_at(self->root, names[i], 0, self->calls->context) != 0 &&
            errno != ENOENT && errno != ENOTDIR) {
            status = tarn__fail_errno(details, errno, "cannot remove %s/%s", self->path, names[i]);
        }
        if (status == TARN_OK && (i + 1 == count || !has_same_parent(names[i], names[i + 1]))) {
            status = settle_removal(self, names[i], details);
        }
        result = result == TARN_OK ? status : result;
    }
    return result;
}

/* --- Listing --- */

static tarn_status visit_entry(
    tarn__file_storage *self,
    int directory,
    const char *name,
    tarn_storage_visit *visit,
    void *context,
    bool *goes_on,
    tarn_error *error)
{
    struct stat status;
    if (self->calls->stat_at(directory, name, &status, self->calls->context) != 0) {
        /* Removed since the directory was read, or a symbolic link to nowhere. */
        return errno == ENOENT
                   ? TARN_OK
                   : tarn__fail_errno(error, errno, "cannot look at %s/.../%s", self->path, name);
    }
    const tarn_storage_entry entry = {
        .name = name,
        .is_directory = S_ISDIR(status.st_mode),
        .size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0,
        .written_ms = S_ISREG(status.st_mode) ? written_ms_of(&status) : 0,
    };
    if (entry.is_directory || S_ISREG(status.st_mode)) {
        *goes_on = visit(&entry, context);
    }
    return TARN_OK;
}

static tarn_status visit_all(
    tarn__file_storage *self,
    DIR *listing,
    const char *path,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    bool goes_on = true;
    while (goes_on) {
        errno = 0;
        const struct dirent *next = self->calls->next_entry(listing, self->calls->context);
        if (next == NULL) {
            return errno == 0 ? TARN_OK : tarn__fail_errno(error, errno, "cannot list %s", path);
        }
        if (strcmp(next->d_name, ".") == 0 || strcmp(next->d_name, "..") == 0 ||
            strncmp(next->d_name, RESERVED, sizeof RESERVED - 1) == 0) {
            continue;
        }
        TARN_TRY(visit_entry(self, dirfd(listing), next->d_name, visit, context, &goes_on, error));
    }
    return TARN_OK;
}

static tarn_status file_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    tarn__file_storage *self = storage_of(base);
    char path[PATH_BYTES];
    path_of(self, directory, path);
    int file = -1;
    const tarn_status opened = tarn__file_open(
        self->calls,
        self->root,
        directory[0] != '\0' ? directory : ".",
        O_RDONLY | O_DIRECTORY,
        path,
        &file,
        error);
    if (opened == TARN_MISSING) {
        return TARN_OK;
    }
    TARN_TRY(opened);
    DIR *listing = fdopendir(file); /* Its memory is the C library's, given back by closedir(). */
    if (listing == NULL) {
        const int code = errno;
        tarn__file_close(self, file);
        return tarn__fail_errno(error, code, "cannot list %s", path);
    }
    const tarn_status status = visit_all(self, listing, path, visit, context, error);
    closedir(listing);
    return status;
}

/* --- Life --- */

static void file_free(tarn_storage *base)
{
    tarn__file_storage *self = storage_of(base);
    tarn__file_forget_directories(self);
    tarn__file_close(self, self->root);
    tarn__release(self);
}

bool tarn__file_is(const tarn_storage *base)
{
    return base->ops->free == file_free;
}

static const tarn_storage_ops FILE_OPS = {
    .struct_size = sizeof(tarn_storage_ops),
    .begin = file_begin,
    .append = file_append,
    .finish = file_finish,
    .abandon = file_abandon,
    .read = file_read,
    .stat = file_stat,
    .remove = file_remove,
    .list = file_list,
    .lock = tarn__file_lock_take,
    .unlock = tarn__file_lock_give,
    .free = file_free,
    .link = tarn__file_link_out,
    .adopt = tarn__file_adopt,
};

static tarn_status open_root(tarn__file_storage *self, tarn_error *error)
{
    return tarn__file_open(
        self->calls, AT_FDCWD, self->path, O_RDONLY | O_DIRECTORY, self->path, &self->root, error);
}

static tarn_status load_settings(
    tarn__file_storage *self, const tarn_config *config, tarn_error *error)
{
    self->is_synchronised = true;
    return config == NULL
               ? TARN_OK
               : tarn_config_get_bool(
                     config, "tarn.storage.file.synchronise", &self->is_synchronised, NULL, error);
}

static uint64_t make_token(const void *unique)
{
    const tarn__clock *clock = tarn__clock_system();
    uint64_t token = tarn__random_mix(tarn__clock_monotonic_ns(clock));
    token = tarn__random_mix(token ^ (uint64_t)tarn__clock_wall_ms(clock));
    token = tarn__random_mix(token ^ (uint64_t)getpid());
    return tarn__random_mix(token ^ (uint64_t)(uintptr_t)unique);
}

tarn_status tarn__file_storage_open(
    const tarn__storage_options *options, const char *path, tarn_storage **out, tarn_error *error)
{
    const tarn__file_calls *calls =
        options->calls != NULL ? options->calls : tarn__file_calls_system();
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    if (size >= PATH_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the path %.100s... has %zu bytes; %d are the limit",
            path,
            size,
            PATH_MAX - 1);
    }
    tarn__file_storage *self = tarn__allocate_zeroed(options->account, 1, sizeof *self + size + 1);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self + size + 1);
    }
    memcpy(self->path, path, size);
    self->base = (tarn_storage){
        .ops = &FILE_OPS,
        .address = self->path,
        .features = TARN_STORAGE_LATE_NAMES,
    };
    self->account = options->account;
    self->calls = calls;
    self->token = make_token(self);
    self->root = -1;
    tarn__file_init_directories(self);

    tarn_status status = load_settings(self, options->config, error);
    if (status == TARN_OK) {
        status = open_root(self, error);
    }
    if (status == TARN_MISSING && !options->must_exist) {
        status = tarn__file_make_root(self, error);
        if (status == TARN_OK) {
            status = open_root(self, error);
        }
    }
    if (status != TARN_OK) {
        tarn__file_forget_directories(self);
        tarn__release(self);
        return status;
    }
    *out = &self->base;
    return TARN_OK;
}
