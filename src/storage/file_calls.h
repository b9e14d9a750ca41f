/*
 * file_calls.h - the system calls behind files, as a table that a test replaces.
 *
 * Everything that storage and snapshot do to a file system goes through one of these, so that "the
 * nth file operation fails" and "the process dies at the nth file operation" are loops over a
 * counter. Each answers as the call of its name: -1 (or NULL) and errno.
 *
 * Thread: shared.
 */
#ifndef TARN_STORAGE_FILE_CALLS_H
#define TARN_STORAGE_FILE_CALLS_H

#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "tarn/bytes.h"

#include "base/error.h"

typedef struct tarn__file_calls {
    int (*open_at)(int directory, const char *name, int flags, mode_t mode, void *context);
    int (*close)(int file, void *context);
    ssize_t (*read_at)(int file, void *into, size_t size, off_t offset, void *context);
    ssize_t (*write)(int file, const void *bytes, size_t size, void *context);
    int (*seek)(int file, off_t offset, void *context); /* What is passed over is a hole. */
    int (*sync)(int file, void *context);
    int (*stat)(int file, struct stat *out, void *context);
    int (*stat_at)(int directory, const char *name, struct stat *out, void *context);
    int (*rename_at)(
        int directory, const char *from, const char *to, unsigned flags, void *context);
    int (*link_at)(const char *from, int directory, const char *to, void *context);
    int (*unlink_at)(int directory, const char *name, int flags, void *context);
    int (*make_directory_at)(int directory, const char *name, mode_t mode, void *context);
    int (*lock)(int file, int operation, void *context);
    struct dirent *(*next_entry)(DIR *listing, void *context);
    void *context;
} tarn__file_calls;

/* The system's own. */
const tarn__file_calls *tarn__file_calls_system(void);

/*
 * The three below go on after a signal and after a short write or read. path is for the message.
 */

/* Opens a file below a directory (AT_FDCWD: or any path); *out is a descriptor. */
TARN_NODISCARD tarn_status tarn__file_open(
    const tarn__file_calls *calls,
    int directory,
    const char *name,
    int flags,
    const char *path,
    int *out,
    tarn_error *error);

TARN_NODISCARD tarn_status tarn__file_write(
    const tarn__file_calls *calls, int file, tarn_bytes bytes, const char *path, tarn_error *error);

/* Reads size bytes at offset, fewer only at the end of the file. */
TARN_NODISCARD tarn_status tarn__file_read(
    const tarn__file_calls *calls,
    int file,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    const char *path,
    tarn_error *error);

#endif
