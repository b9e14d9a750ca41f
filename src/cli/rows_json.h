/*
 * rows_json.h - rows as lines of JSON: what `tarn checkpoint export --lines` writes and `tarn
 * checkpoint import` reads. docs/CLI.md has the form.
 */
#ifndef TARN_CLI_ROWS_JSON_H
#define TARN_CLI_ROWS_JSON_H

#include <stdio.h>

#include "tarn/rows.h"

enum { CLI_ROWS_VERSION = 1 };

/*
 * Writes every subtask of a canonical savepoint. *code_out: errno of the first line that could not
 * be written, 0: none; the caller knows the file, and says it. What closing the file says is not
 * among it.
 */
tarn_status cli_rows_write(
    const tarn_checkpoint *savepoint, FILE *out, int *code_out, tarn_error *error);

/* What the first line says. */
typedef struct cli_rows_head {
    char job[256];
    uint64_t id;
    uint64_t line; /* Where it was. */
    bool has_end;  /* A last line with the number of rows was promised. */
} cli_rows_head;

/* Reads the first line. path is for messages, which also have the line. */
tarn_status cli_rows_read_head(FILE *in, const char *path, cli_rows_head *out, tarn_error *error);

/*
 * Reads the lines behind it into an import; a bad one ends it, with its number and the reason;
 * so does the end of a file that was promised another one.
 *
 * progress  Called now and then with the lines read. May be NULL.
 */
tarn_status cli_rows_read(
    FILE *in,
    const char *path,
    const cli_rows_head *head,
    tarn_import *import,
    void (*progress)(uint64_t lines),
    tarn_error *error);

#endif
