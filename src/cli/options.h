/* options.h - reading the command line of a subcommand. */
#ifndef TARN_CLI_OPTIONS_H
#define TARN_CLI_OPTIONS_H

#include <getopt.h>
#include <stdint.h>

#include "cli.h"

/* What cli_option_next() answers, besides -1 at the end and the values of the long options. */
enum {
    CLI_OPTION_BAD = '?',  /* It was said: return CLI_USAGE. */
    CLI_OPTION_HELP = 'h', /* Return cli_command_help(). */
    CLI_OPTION_JSON = 'j',
    CLI_OPTION_OWN = 256, /* Values from here on are the subcommand's. */
};

/* The rows that every command's table of long options ends with. */
#define CLI_OPTION_ROWS                                                                         \
    {"json", no_argument, NULL, CLI_OPTION_JSON}, {"help", no_argument, NULL, CLI_OPTION_HELP}, \
    {                                                                                           \
        NULL, 0, NULL, 0                                                                        \
    }

/*
 * The next option, as getopt_long(); operands may stand between options and are at optind when it
 * answers -1. "h" is added to the short options.
 */
int cli_option_next(
    const cli_command *command,
    int argc,
    char **argv,
    const char *short_options,
    const struct option *long_options);

/*
 * For commands without options of their own: reads --json and --help.
 * Returns -1 to go on, else the exit status.
 */
int cli_options_read(const cli_command *command, int argc, char **argv, bool *as_json);

/* Reads a decimal number, least .. most; false when the text is something else. */
bool cli_number(const char *text, int64_t least, int64_t most, int64_t *out);

#endif
