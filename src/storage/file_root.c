/* file_root.c - the directory of a storage itself: how it is made, and who may write to it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/try.h"
#include "storage/file_private.h"

enum {
    PATH_BYTES = 1024, /* Of messages; longer ones are cut. */
    LOCK_TEXT_BYTES = 32,
};

static const char LOCK_NAME[] = ".tarn-lock";

typedef struct file_lock {
    tarn_storage_lock base;
    int file;
} file_lock;

/* --- Making it --- */

static tarn_status sync_path(const tarn__file_calls *calls, const char *path, tarn_error *error)
{
    int file = -1;
    TARN_TRY(tarn__file_open(calls, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, path, &file, error));
    const int code = calls->sync(file, calls->context) == 0 ? 0 : errno;
    (void)calls->close(file, calls->context);
    return code == 0 ? TARN_OK
                     : tarn__fail_errno(error, code, "cannot synchronise directory %s", path);
}

tarn_status tarn__file_make_root(tarn__file_storage *self, tarn_error *error)
{
    const tarn__file_calls *calls = self->calls;
    const char *path = self->path;
    char part[PATH_MAX];
    char above[PATH_MAX] = ".";
    const mode_t mode = S_IRWXU | S_IRWXG | S_IRWXO;
    size_t size = 0;
    while (path[size] != '\0') {
        size += strspn(path + size, "/");
        if (size > 0) {
            snprintf(above, sizeof above, "%.*s", (int)size, path);
        }
        size += strcspn(path + size, "/");
        snprintf(part, sizeof part, "%.*s", (int)size, path);
        if (calls->make_directory_at(AT_FDCWD, part, mode, calls->context) == 0) {
            if (self->is_synchronised) {
                TARN_TRY(sync_path(calls, above, error));
            }
        } else if (errno != EEXIST) {
            /* A parent that exists may refuse (read-only file system) before it says so. */
            const int code = errno;
            struct stat status;
            if (calls->stat_at(AT_FDCWD, part, &status, calls->context) != 0) {
                return tarn__fail_errno(error, code, "cannot make directory %s", part);
            }
        }
    }
    return TARN_OK;
}

/* --- Its lock --- */

static tarn_status refuse_lock(tarn__file_storage *self, int file, int code, tarn_error *error)
{
    if (code != EWOULDBLOCK) {
        return tarn__fail_errno(error, code, "cannot lock %s/%s", self->path, LOCK_NAME);
    }
    char text[LOCK_TEXT_BYTES] = "";
    size_t size = 0;
    if (tarn__file_read(self->calls, file, 0, text, sizeof text - 1, &size, "", NULL) != TARN_OK) {
        size = 0;
    }
    text[size] = '\0';
    const unsigned long holder = strtoul(text, NULL, 10);
    if (holder == 0) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "another process writes to %s; give each job its own directory",
            self->path);
    }
    return tarn__fail(
        error,
        TARN_BUSY,
        "process %lu writes to %s; stop it, or give this job another directory",
        holder,
        self->path);
}

static bool is_left_over(const tarn__file_storage *self, const char *name)
{
    static const char PREFIX[] = TARN__FILE_TEMPORARY;
    char own[sizeof PREFIX + 16];
    snprintf(own, sizeof own, "%s%016" PRIx64, PREFIX, self->token);
    return strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 && strncmp(name, own, sizeof own - 1) != 0;
}

/*
 * Removes the temporary files of writers that were killed: who holds the lock is the only writer.
 * What cannot be removed now is tried again by the next holder.
 */
static void remove_left_over(tarn__file_storage *self)
{
    int file = -1;
    if (tarn__file_open(
            self->calls, self->root, ".", O_RDONLY | O_DIRECTORY, self->path, &file, NULL) !=
        TARN_OK) {
        return;
    }
    DIR *listing = fdopendir(file);
    if (listing == NULL) {
        tarn__file_close(self, file);
        return;
    }
    const struct dirent *next = NULL;
    while ((next = self->calls->next_entry(listing, self->calls->context)) != NULL) {
        if (is_left_over(self, next->d_name)) {
            (void)self->calls->unlink_at(self->root, next->d_name, 0, self->calls->context);
        }
    }
    (void)closedir(listing);
}

tarn_status tarn__file_lock_take(tarn_storage *base, tarn_storage_lock **out, tarn_error *error)
{
    tarn__file_storage *self = (tarn__file_storage *)base;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", self->path, LOCK_NAME);
    file_lock *lock = tarn__allocate_zeroed(self->account, 1, sizeof *lock);
    if (lock == NULL) {
        return tarn__fail_no_memory(error, "a lock", sizeof *lock);
    }
    lock->base.storage = base;
    tarn_status status = tarn__file_open(
        self->calls, self->root, LOCK_NAME, O_RDWR | O_CREAT, path, &lock->file, error);
    if (status != TARN_OK) {
        tarn__release(lock);
        return status;
    }
    if (self->calls->lock(lock->file, LOCK_EX | LOCK_NB, self->calls->context) != 0) {
        status = refuse_lock(self, lock->file, errno, error);
        tarn__file_close(self, lock->file);
        tarn__release(lock);
        return status;
    }
    /* Fixed width, so that a shorter number leaves nothing of the last holder's. Only a message
     * depends on it: a full disk does not keep a job from restoring. */
    char text[LOCK_TEXT_BYTES];
    const int size = snprintf(text, sizeof text, "%-20ld\n", (long)getpid());
    (void)!tarn__file_write(self->calls, lock->file, tarn_bytes_at(text, (size_t)size), path, NULL);
    remove_left_over(self);
    *out = &lock->base;
    return TARN_OK;
}

void tarn__file_lock_give(tarn_storage_lock *base)
{
    /* The file stays: removing it would let two others lock two files of one name. */
    file_lock *lock = (file_lock *)base;
    tarn__file_close((tarn__file_storage *)base->storage, lock->file);
    tarn__release(lock);
}
