/* file_calls.c - the system's calls, and the loops around those that may do less than asked. */
#include "storage/file_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int system_open_at(int directory, const char *name, int flags, mode_t mode, void *context)
{
    (void)context;
    return openat(directory, name, flags, mode);
}

static int system_close(int file, void *context)
{
    (void)context;
    return close(file);
}

static ssize_t system_read_at(int file, void *into, size_t size, off_t offset, void *context)
{
    (void)context;
    return pread(file, into, size, offset);
}

static ssize_t system_write(int file, const void *bytes, size_t size, void *context)
{
    (void)context;
    return write(file, bytes, size);
}

static int system_seek(int file, off_t offset, void *context)
{
    (void)context;
    return lseek(file, offset, SEEK_SET) == offset ? 0 : -1;
}

static int system_sync(int file, void *context)
{
    (void)context;
    return fsync(file);
}

static int system_stat(int file, struct stat *out, void *context)
{
    (void)context;
    return fstat(file, out);
}

static int system_stat_at(int directory, const char *name, struct stat *out, void *context)
{
    (void)context;
    return fstatat(directory, name, out, 0);
}

static int system_rename_at(
    int directory, const char *from, const char *to, unsigned flags, void *context)
{
    (void)context;
    return renameat2(directory, from, directory, to, flags);
}

static int system_link_at(const char *from, int directory, const char *to, void *context)
{
    (void)context;
    return linkat(AT_FDCWD, from, directory, to, 0);
}

static int system_unlink_at(int directory, const char *name, int flags, void *context)
{
    (void)context;
    return unlinkat(directory, name, flags);
}

static int system_make_directory_at(int directory, const char *name, mode_t mode, void *context)
{
    (void)context;
    return mkdirat(directory, name, mode);
}

static int system_lock(int file, int operation, void *context)
{
    (void)context;
    return flock(file, operation);
}

static struct dirent *system_next_entry(DIR *listing, void *context)
{
    (void)context;
    return readdir(listing);
}

const tarn__file_calls *tarn__file_calls_system(void)
{
    static const tarn__file_calls calls = {
        .open_at = system_open_at,
        .close = system_close,
        .read_at = system_read_at,
        .write = system_write,
        .seek = system_seek,
        .sync = system_sync,
        .stat = system_stat,
        .stat_at = system_stat_at,
        .rename_at = system_rename_at,
        .link_at = system_link_at,
        .unlink_at = system_unlink_at,
        .make_directory_at = system_make_directory_at,
        .lock = system_lock,
        .next_entry = system_next_entry,
    };
    return &calls;
}

tarn_status tarn__file_open(
    const tarn__file_calls *calls,
    int directory,
    const char *name,
    int flags,
    const char *path,
    int *out,
    tarn_error *error)
{
    /* The permissions of any other file that the process makes: the umask decides. */
    const mode_t mode = S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;
    int file = -1;
    do {
        file = calls->open_at(directory, name, flags | O_CLOEXEC, mode, calls->context);
    } while (file < 0 && errno == EINTR);
    if (file < 0) {
        const int code = errno;
        const bool is_missing = code == ENOENT || (code == ENOTDIR && (flags & O_DIRECTORY) == 0);
        if (is_missing && (flags & O_CREAT) == 0) {
            (void)tarn__fail(error, TARN_MISSING, "%s does not exist", path);
            if (error != NULL) {
                error->system_code = code;
            }
            return TARN_MISSING;
        }
        return tarn__fail_errno(error, code, "cannot open %s", path);
    }
    *out = file;
    return TARN_OK;
}

tarn_status tarn__file_write(
    const tarn__file_calls *calls, int file, tarn_bytes bytes, const char *path, tarn_error *error)
{
    const uint8_t *next = bytes.data;
    size_t left = bytes.size;
    while (left > 0) {
        const ssize_t written = calls->write(file, next, left, calls->context);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            /* A write of nothing would repeat for ever; no file system has a reason for it. */
            const int code = written < 0 ? errno : EIO;
            return tarn__fail_errno(error, code, "cannot write %zu bytes to %s", left, path);
        }
        next += written;
        left -= (size_t)written;
    }
    return TARN_OK;
}

tarn_status tarn__file_read(
    const tarn__file_calls *calls,
    int file,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    const char *path,
    tarn_error *error)
{
    uint8_t *next = into;
    size_t got = 0;
    while (got < size) {
        const ssize_t count =
            calls->read_at(file, next + got, size - got, (off_t)(offset + got), calls->context);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return tarn__fail_errno(
                error,
                errno,
                "cannot read %zu bytes at offset %llu of %s",
                size - got,
                (unsigned long long)(offset + got),
                path);
        }
        if (count == 0) {
            break;
        }
        got += (size_t)count;
    }
    *size_out = got;
    return TARN_OK;
}
