/* table.c - see table.h. */
#include "table.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int flags_of(cli_align align)
{
    switch (align) {
    case CLI_LEFT:
        return 0;
    case CLI_RIGHT:
        return SCOLS_FL_RIGHT;
    case CLI_CUT:
        return SCOLS_FL_TRUNC;
    }
    return 0;
}

cli_table *cli_table_new(const cli_column *columns, size_t count)
{
    cli_table *table = cli_must(scols_new_table());
    for (size_t i = 0; i < count; i++) {
        cli_must(scols_table_new_column(table, columns[i].title, 0, flags_of(columns[i].align)));
    }
    return table;
}

void cli_table_add(cli_table *table, const char *const *cells)
{
    static char good;
    struct libscols_line *line = cli_must(scols_table_new_line(table, NULL));
    for (size_t i = 0; i < scols_table_get_ncols(table); i++) {
        cli_must(scols_line_set_data(line, i, cells[i]) == 0 ? &good : NULL);
    }
}

/* Writes lines without the blanks that an empty last cell leaves at their ends. */
static void write_trimmed(const char *text)
{
    for (const char *line = text; *line != '\0';) {
        const size_t size = strcspn(line, "\n");
        size_t kept = size;
        while (kept > 0 && line[kept - 1] == ' ') {
            kept--;
        }
        fwrite(line, 1, kept, stdout);
        fputc('\n', stdout);
        line += line[size] == '\n' ? size + 1 : size;
    }
}

void cli_table_print(cli_table *table)
{
    static char good;
    char *text = NULL;
    cli_must(scols_print_table_to_string(table, &text) == 0 ? &good : NULL);
    write_trimmed(text != NULL ? text : ""); /* Without a line there is no text. */
    free(text);
    scols_unref_table(table);
}

void cli_table_free(cli_table *table)
{
    scols_unref_table(table);
}
