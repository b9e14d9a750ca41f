/* checkpoint.c - `tarn checkpoint`: leads to diff, export, gc, import, list, rekey, show and
 * verify. */
#include <stdio.h>
#include <string.h>

#include "options.h"

static int run(const cli_command *command, int argc, char **argv)
{
    if (argc < 2) {
        return cli_usage(
            command, "say what to do: diff, export, gc, import, list, rekey, show or verify");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return cli_command_help(command);
    }
    char name[64];
    snprintf(name, sizeof name, "%s %s", command->name, argv[1]);
    const cli_command *second = cli_command_find(name);
    if (second == NULL) {
        return cli_usage(
            command,
            "'%s' is none of diff, export, gc, import, list, rekey, show and verify",
            argv[1]);
    }
    return second->run(second, argc - 1, argv + 1);
}

const cli_command cli_checkpoint = {
    .name = "checkpoint",
    .summary = "look at checkpoints, and clean up after them",
    .help = "checkpoint diff|export|gc|import|list|rekey|show|verify PATH ... [--json]\n"
            "\n"
            "  diff    what changed between two checkpoints\n"
            "  export  makes a checkpoint into a savepoint\n"
            "  gc      removes what no checkpoint of a job reaches\n"
            "  import  makes a savepoint of rows\n"
            "  list    the checkpoints of a job\n"
            "  rekey   makes a savepoint of another maximum parallelism\n"
            "  show    what is in a checkpoint\n"
            "  verify  reads every file and every row of a checkpoint\n"
            "\n"
            "'tarn help checkpoint list' and so on say more.\n",
    .run = run,
};
