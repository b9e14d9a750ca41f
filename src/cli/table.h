/* table.h - tables for people. Out of memory ends the program, so nothing here fails. */
#ifndef TARN_CLI_TABLE_H
#define TARN_CLI_TABLE_H

#include <stddef.h>

/* How a column is laid out. */
typedef enum cli_align {
    CLI_LEFT,
    CLI_RIGHT, /* Numbers. */
    CLI_CUT,   /* Sentences: cut where a terminal ends, whole elsewhere. */
} cli_align;

typedef struct cli_column {
    const char *title;
    cli_align align;
} cli_column;

typedef struct libscols_table cli_table;

cli_table *cli_table_new(const cli_column *columns, size_t count);

/* Adds a line with a text for each column; texts are copied. */
void cli_table_add(cli_table *table, const char *const *cells);

/* Writes the table to stdout and frees it. Elsewhere than on a terminal nothing is cut. */
void cli_table_print(cli_table *table);

/* Frees a table that is not written. NULL does nothing. */
void cli_table_free(cli_table *table);

#endif
