/*
 * cli.h - the `tarn` command: what its subcommands share.
 *
 *     main.c --> a cli_command (one file each) --> tarn/...h (the library)
 *                     |
 *                     +--> options.h, json.h, table.h, text.h
 *
 * The command uses the public headers only, so it proves that they suffice. Answers go to stdout;
 * problems and progress to stderr, problems as one sentence. With --json an answer is one line of
 * JSON, an object whose member "ok" is true exactly when the exit status is 0.
 */
#ifndef TARN_CLI_CLI_H
#define TARN_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "tarn/status.h"

/* Exit statuses. */
enum {
    CLI_OK = 0,
    CLI_NO = 1,    /* The answer is no: refused, damaged, missing; or the answer cannot be given. */
    CLI_USAGE = 2, /* The command line is wrong. */
};

typedef struct cli_command cli_command;

/* A subcommand. */
struct cli_command {
    const char *name;    /* "plan", or of a second level "checkpoint list". */
    const char *summary; /* Half a sentence. */
    const char *help;    /* What follows "Usage: tarn ". */
    int (*run)(const cli_command *command, int argc, char **argv);
};

extern const cli_command cli_plan;
extern const cli_command cli_conf;
extern const cli_command cli_options;
extern const cli_command cli_key_group;
extern const cli_command cli_checkpoint;
extern const cli_command cli_checkpoint_export;
extern const cli_command cli_checkpoint_gc;
extern const cli_command cli_checkpoint_import;
extern const cli_command cli_checkpoint_list;
extern const cli_command cli_checkpoint_rekey;
extern const cli_command cli_checkpoint_show;
extern const cli_command cli_checkpoint_diff;
extern const cli_command cli_checkpoint_verify;
extern const cli_command cli_storage;
extern const cli_command cli_version;
extern const cli_command cli_help;

/* All of them, in the order of `tarn help`; NULL ends. */
extern const cli_command *const cli_commands[];

/* Finds a command by name; NULL: there is none. */
const cli_command *cli_command_find(const char *name);

/* Writes the help of a command to stdout. Returns CLI_OK. */
int cli_command_help(const cli_command *command);

/* Writes "tarn: <sentence>" to stderr. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what is wrong with the command line, and where help is. Returns CLI_USAGE. */
int cli_usage(const cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Answers no: {"ok":false,"error":message} on stdout, or the message on stderr. Returns CLI_NO. */
int cli_refuse(bool as_json, const char *message);

/* Ends the program for lack of memory when pointer is NULL; answers the pointer. */
void *cli_must(void *pointer);

#endif
