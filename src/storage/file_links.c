/*
 * file_links.c - second names: of an object elsewhere, and of a file elsewhere as an object.
 *
 *     adopt   link(path, ROOT/name), fsync(directories)     the bytes are durable already
 *
 * One file of two names is one file: what damages its bytes damages both.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "base/try.h"
#include "storage/file_private.h"
#include "storage/shim.h"

static tarn__file_storage *storage_of(tarn_storage *base)
{
    return (tarn__file_storage *)base;
}

/* Those that a copy gets around. */
static bool is_no_link(int code)
{
    return code == EXDEV || code == EPERM || code == EACCES || code == EMLINK || code == ENOTSUP ||
           code == ENOSYS;
}

/* By path: if the root was moved, there is nothing or something else, and who restores digests what
 * the link has. */
tarn_status tarn__file_link_out(
    tarn_storage *base, const char *name, const char *path, tarn_error *error)
{
    tarn__file_storage *self = storage_of(base);
    char from[PATH_MAX];
    const int size = snprintf(from, sizeof from, "%s/%s", self->path, name);
    if (size < 0 || (size_t)size >= sizeof from ||
        self->calls->link_at(from, AT_FDCWD, path, self->calls->context) != 0) {
        return tarn__fail(
            error, TARN_NOT_SUPPORTED, "%s/%s cannot be linked to %s", self->path, name, path);
    }
    return TARN_OK;
}

/* Links once its directories are there; *code is 0 or errno. */
static tarn_status link_below(
    tarn__file_storage *self, const char *from, const char *name, int *code, tarn_error *error)
{
    const tarn__file_calls *calls = self->calls;
    *code = calls->link_at(from, self->root, name, calls->context) == 0 ? 0 : errno;
    for (int attempt = 1; *code == ENOENT && attempt < TARN__FILE_ATTEMPTS_MAX; attempt++) {
        TARN_TRY(tarn__file_make_parents(self, name, error));
        *code = calls->link_at(from, self->root, name, calls->context) == 0 ? 0 : errno;
    }
    return TARN_OK;
}

static tarn_status refuse_link(
    const tarn__file_storage *self, const char *name, int code, tarn_error *error)
{
    return is_no_link(code)
               ? tarn__fail(error, TARN_NOT_SUPPORTED, "%s/%s cannot be linked", self->path, name)
               : tarn__fail_errno(error, code, "cannot link %s/%s", self->path, name);
}

tarn_status tarn__storage_link(
    tarn_storage *from, tarn_storage *to, const char *name, tarn_error *error)
{
    from = tarn__shim_bottom(from);
    to = tarn__shim_bottom(to);
    if (!tarn__file_is(from) || !tarn__file_is(to)) {
        return TARN_NOT_SUPPORTED;
    }
    tarn__file_storage *self = storage_of(to);
    char path[PATH_MAX + TARN__STORAGE_NAME_BYTES_MAX + 2];
    int code = 0;
    (void)snprintf(path, sizeof path, "%s/%s", storage_of(from)->path, name);
    TARN_TRY(link_below(self, path, name, &code, error));
    if (code != 0 && code != EEXIST) {
        return refuse_link(self, name, code, error);
    }
    return tarn__file_sync_parents(self, name, error);
}

/*
 * Whether the link would be as the copy is: of a group that the storage gives all its files, a file
 * of another group would be one that the group cannot read.
 */
static bool has_right_group(tarn__file_storage *self, const char *path)
{
    struct stat root;
    struct stat file;
    const tarn__file_calls *calls = self->calls;
    return calls->stat(self->root, &root, calls->context) == 0 &&
           calls->stat_at(AT_FDCWD, path, &file, calls->context) == 0 && S_ISREG(file.st_mode) &&
           ((root.st_mode & S_ISGID) == 0 || root.st_gid == file.st_gid);
}

/* Puts a link in the place of what has the name: as finish(), at once and as a whole. */
static tarn_status replace(
    tarn__file_storage *self, const char *path, const char *name, tarn_error *error)
{
    const tarn__file_calls *calls = self->calls;
    char temporary[TARN__FILE_TEMPORARY_BYTES];
    tarn__file_name_temporary(self, temporary);
    if (calls->link_at(path, self->root, temporary, calls->context) != 0) {
        return refuse_link(self, name, errno, error);
    }
    const int code =
        calls->rename_at(self->root, temporary, name, 0, calls->context) == 0 ? 0 : errno;
    /* It is still there where both were names of one file: renaming does nothing then. */
    (void)calls->unlink_at(self->root, temporary, 0, calls->context);
    return code == 0 ? TARN_OK : refuse_link(self, name, code, error);
}

tarn_status tarn__file_adopt(
    tarn_storage *base, const char *path, const char *name, tarn_error *error)
{
    tarn__file_storage *self = storage_of(base);
    if (!has_right_group(self, path)) {
        return refuse_link(self, name, EPERM, error);
    }
    int code = 0;
    TARN_TRY(link_below(self, path, name, &code, error));
    if (code == EEXIST) {
        TARN_TRY(replace(self, path, name, error));
    } else if (code != 0) {
        return refuse_link(self, name, code, error);
    }
    return tarn__file_sync_parents(self, name, error);
}
