/* getopt.c - see options.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"

enum { SHORT_OPTIONS_MAX = 16 };

/* Says in a sentence what getopt_long() refused. */
static void complain(const cli_command *command, int answer, char **argv)
{
    const char *word = argv[optind - 1];
    const bool is_long = word[0] == '-' && word[1] == '-';
    if (answer == ':' && is_long) {
        cli_usage(command, "the option '%s' needs a value", word);
    } else if (answer == ':') {
        cli_usage(command, "the option '-%c' needs a value", optopt);
    } else if (is_long && optopt != 0) {
        cli_usage(command, "the option '%s' takes no value", word);
    } else if (is_long) {
        cli_usage(command, "unknown option '%s'", word);
    } else {
        cli_usage(command, "unknown option '-%c'", optopt);
    }
}

int cli_option_next(
    const cli_command *command,
    int argc,
    char **argv,
    const char *short_options,
    const struct option *long_options)
{
    /* A colon in front: a missing value is told apart, and getopt itself is silent. */
    char shorts[SHORT_OPTIONS_MAX];
    snprintf(shorts, sizeof shorts, ":h%s", short_options);
    const int answer = getopt_long(argc, argv, shorts, long_options, NULL);
    if (answer == '?' || answer == ':') {
        complain(command, answer, argv);
        return CLI_OPTION_BAD;
    }
    return answer;
}

int cli_options_read(const cli_command *command, int argc, char **argv, bool *as_json)
{
    static const struct option long_options[] = {CLI_OPTION_ROWS};
    for (;;) {
        switch (cli_option_next(command, argc, argv, "", long_options)) {
        case -1:
            return -1;
        case CLI_OPTION_JSON:
            *as_json = true;
            break;
        case CLI_OPTION_HELP:
            return cli_command_help(command);
        default:
            return CLI_USAGE;
        }
    }
}

bool cli_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (digits[0] < '0' || digits[0] > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    const intmax_t number = strtoimax(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < least || number > most) {
        return false;
    }
    *out = number;
    return true;
}
