/*
 * file_out.h - a file that has its name once it is whole and durable.
 *
 *     open ──► a file without a name ──► fsync(file) ──► link, rename ──► fsync(directory)
 *                                             close
 *
 * A command that is killed leaves nothing, as the kernel drops a file without a name; but for the
 * moment between link and rename. Where the file system has no such files, it lies under
 * NAME.part-PID meanwhile, and that is what stays.
 *
 * A file that it replaces leaves it its mode, owner and group, as far as the caller may give files
 * away. What cannot be replaced (a device, a pipe, a symbolic link and what it points to) is
 * written directly; so is stdout.
 */
#ifndef TARN_CLI_FILE_OUT_H
#define TARN_CLI_FILE_OUT_H

#include <stdbool.h>
#include <stdio.h>

#include "tarn/status.h"

typedef struct cli_file_out {
    FILE *file;
    const char *path; /* Borrowed. */
    char *beside;     /* Owned: a name for meanwhile. NULL: the file is written directly. */
    bool has_beside;  /* It has that name. */
    bool is_new;      /* Nothing else may have the name. */
} cli_file_out;

/* path  "-": stdout. False: error says why; nothing is open then. */
bool cli_file_out_open(cli_file_out *out, const char *path, tarn_error *error);

/* As open(), but nothing is replaced: what has the name, or has it when this is closed, refuses. */
bool cli_file_out_make(cli_file_out *out, const char *path, tarn_error *error);

/*
 * Ends it. is_good false: what was written is thrown away, and what had the name has it still. True
 * is answered when it is durable; of a failure after it has the name, it is whole.
 */
bool cli_file_out_close(cli_file_out *out, bool is_good, tarn_error *error);

/* Says "cannot DOING PATH: the system's reason", of errno; answers false. */
bool cli_file_fail(tarn_error *error, const char *doing, const char *path);

#endif
