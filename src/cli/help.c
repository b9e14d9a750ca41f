/* help.c - `tarn help`. */
#include <stdio.h>
#include <string.h>

#include "options.h"

static int list_commands(void)
{
    printf("Usage: tarn COMMAND [ARGUMENT]...\n\nState by key, its memory plan and its "
           "checkpoints.\n\n");
    for (const cli_command *const *at = cli_commands; *at != NULL; at++) {
        if (*at != &cli_checkpoint) { /* Its own commands follow it. */
            printf("  %-18s  %s\n", (*at)->name, (*at)->summary);
        }
    }
    printf("\n'tarn help COMMAND' says more. With --json every command answers one line of JSON.\n"
           "Exit status: 0 good, 1 the answer is no (refused, damaged, missing), 2 wrong usage.\n");
    return CLI_OK;
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool as_json = false;
    const int exit_status = cli_options_read(command, argc, argv, &as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    char name[64] = "";
    for (int i = optind; i < argc; i++) {
        const size_t used = strlen(name);
        snprintf(name + used, sizeof name - used, "%s%s", used > 0 ? " " : "", argv[i]);
    }
    if (name[0] == '\0') {
        return list_commands();
    }
    const cli_command *about = cli_command_find(name);
    return about != NULL ? cli_command_help(about)
                         : cli_usage(NULL, "there is no command '%s'", name);
}

const cli_command cli_help = {
    .name = "help",
    .summary = "say how a command is used",
    .help = "help [COMMAND]\n"
            "\n"
            "Lists the commands, or says how one of them is used: tarn help checkpoint verify\n",
    .run = run,
};
