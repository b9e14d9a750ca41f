/*
 * place.h - where checkpoints and objects are: --conf and -D, and the environment that they make.
 *
 *     command line ──► cli_place_take() ──► cli_place_load() ──► config ──► cli_place_open() ──►
 * env
 *
 * Files first, in their order; then what -D says, which goes before them.
 */
#ifndef TARN_CLI_PLACE_H
#define TARN_CLI_PLACE_H

#include "tarn/config.h"
#include "tarn/env.h"

#include "options.h"

enum { CLI_OPTION_CONF = 'C' };

/* The row of the table of long options, and the short ones. */
#define CLI_PLACE_ROW                                    \
    {                                                    \
        "conf", required_argument, NULL, CLI_OPTION_CONF \
    }
#define CLI_PLACE_SHORT "D:"

/* What help says of a checkpoint's place. */
#define CLI_PATH_HELP                                                                            \
    "  PATH           DIR/JOB/chk-N, its _metadata, DIR/JOB for the newest complete one, or a\n" \
    "                 savepoint; DIR is a path, or an address such as s3://bucket/prefix or\n"   \
    "                 hdfs://host:port/path\n"

/* What help says of the options. */
#define CLI_PLACE_HELP                                                                      \
    "  --conf FILE    a flink-conf.yaml or config.yaml, or the directory of one, for how\n" \
    "                 storages are reached; repeatable\n"                                   \
    "  -D KEY=VALUE   one option, such as s3.endpoint; goes before the files\n"

typedef struct cli_place {
    const char **files; /* [file_count], owned; the texts are the command line's. */
    size_t file_count;
    const char **assignments; /* [assignment_count], likewise. */
    size_t assignment_count;
    tarn_config *config; /* NULL until it is loaded. */
    tarn_env *env;       /* NULL until it is opened. */
} cli_place;

/* The part of a command that needs a place. */
typedef int cli_place_act(
    const cli_command *command, int argc, char **argv, cli_place *place, void *context);

/* Calls act with an empty place, and closes it behind it. Answers the exit status. */
int cli_place_run(
    const cli_command *command, int argc, char **argv, cli_place_act *act, void *context);

/* Takes an option that cli_option_next() answered; false: it is another's. */
bool cli_place_take(cli_place *place, int option);

/* Makes the configuration. Returns -1 to go on, else the exit status. */
int cli_place_load(const cli_command *command, cli_place *place, bool as_json);

/*
 * For commands with one flag of their own, CLI_OPTION_OWN in the table: reads the command line and
 * loads the configuration. Returns -1 to go on, else the exit status.
 */
int cli_place_read(
    const cli_command *command,
    int argc,
    char **argv,
    const struct option *long_options,
    cli_place *place,
    bool *is_set,
    bool *as_json);

/*
 * Opens the environment. Of the files only how storages are reached counts: they plan the memory of
 * another process. What -D says counts all.
 *
 * memory  Of this process, such as "1g"; NULL: as little as reading takes.
 */
TARN_NODISCARD tarn_status cli_place_open(cli_place *place, const char *memory, tarn_error *error);

#endif
