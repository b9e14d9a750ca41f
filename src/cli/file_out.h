/*
 * file_out.h - a file that is written beside its name, and has it when it is whole.
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
    char *beside;     /* Owned; NULL: the file is written directly. */
} cli_file_out;

/* path  "-": stdout. False: error says why; nothing is open then. */
bool cli_file_out_open(cli_file_out *out, const char *path, tarn_error *error);

/* Ends it. is_good false: what was written is thrown away, and what had the name has it still. */
bool cli_file_out_close(cli_file_out *out, bool is_good, tarn_error *error);

/* Says "cannot DOING PATH: the system's reason", of errno; answers false. */
bool cli_file_fail(tarn_error *error, const char *doing, const char *path);

#endif
