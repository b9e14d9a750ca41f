/* main.c - finds the subcommand, runs it, and makes sure that its answer was written. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "json.h"

const cli_command *const cli_commands[] = {
    &cli_plan,
    &cli_conf,
    &cli_options,
    &cli_key_group,
    &cli_checkpoint,
    &cli_checkpoint_export,
    &cli_checkpoint_gc,
    &cli_checkpoint_import,
    &cli_checkpoint_list,
    &cli_checkpoint_rekey,
    &cli_checkpoint_show,
    &cli_checkpoint_diff,
    &cli_checkpoint_verify,
    &cli_storage,
    &cli_version,
    &cli_help,
    NULL,
};

const cli_command *cli_command_find(const char *name)
{
    for (const cli_command *const *at = cli_commands; *at != NULL; at++) {
        if (strcmp((*at)->name, name) == 0) {
            return *at;
        }
    }
    return NULL;
}

int cli_command_help(const cli_command *command)
{
    printf("Usage: tarn %s", command->help);
    return CLI_OK;
}

__attribute__((format(printf, 2, 0))) static void say(
    const char *name, const char *format, va_list arguments)
{
    fprintf(stderr, "tarn%s%s: ", name != NULL ? " " : "", name != NULL ? name : "");
    vfprintf(stderr, format, arguments);
}

void cli_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(NULL, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int cli_usage(const cli_command *command, const char *format, ...)
{
    const char *name = command != NULL ? command->name : NULL;
    va_list arguments;
    va_start(arguments, format);
    say(name, format, arguments);
    va_end(arguments);
    fprintf(stderr, "; see 'tarn help%s%s'\n", name != NULL ? " " : "", name != NULL ? name : "");
    return CLI_USAGE;
}

int cli_refuse(bool as_json, const char *message)
{
    if (as_json) {
        json_t *answer = cli_json_object();
        cli_json_set(answer, "ok", json_false());
        cli_json_set(answer, "error", cli_json_text(message));
        cli_json_print(answer);
    } else {
        cli_say("%s", message);
    }
    return CLI_NO;
}

void *cli_must(void *pointer)
{
    if (pointer == NULL) {
        cli_say("there is no memory left");
        exit(CLI_NO);
    }
    return pointer;
}

/* A file that is opened must not become stdin, stdout or stderr because one of them was closed. */
static bool has_standard_files(void)
{
    bool has_stdout = true;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
            has_stdout = has_stdout && fd != STDOUT_FILENO;
            if (open("/dev/null", O_RDWR) == -1) { /* The lowest that is free: this one. */
                return false;
            }
        }
    }
    return has_stdout;
}

/* Who closes the pipe early knows it; any other loss of output is said. */
static int finish(int exit_status)
{
    errno = 0;
    const bool is_flushed = fflush(stdout) == 0 && !ferror(stdout);
    const int flush_code = errno;
    const bool is_closed = fclose(stdout) == 0;
    if (is_flushed && is_closed) {
        return exit_status;
    }
    const int code = is_flushed ? errno : flush_code;
    if (code != EPIPE) {
        cli_say("cannot write the answer: %s", code != 0 ? strerror(code) : "output error");
    }
    return exit_status == CLI_OK ? CLI_NO : exit_status;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        return cli_usage(NULL, "a command is missing");
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = cli_help.name;
    } else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = cli_version.name;
    }
    const cli_command *command = strchr(name, ' ') == NULL ? cli_command_find(name) : NULL;
    if (command == NULL) {
        return cli_usage(
            NULL, "unknown %s '%s'", argv[1][0] == '-' ? "option" : "command", argv[1]);
    }
    return command->run(command, argc - 1, argv + 1);
}

/* A core would hold the keys of storages. The limit alone does not hold where cores go to a pipe.
 */
static void forbid_core(void)
{
    struct rlimit limit;
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        (void)setrlimit(RLIMIT_CORE, &limit);
    }
}

int main(int argc, char **argv)
{
    forbid_core();
    if (!has_standard_files()) {
        cli_say("stdout is closed");
        return CLI_NO;
    }
    signal(SIGPIPE, SIG_IGN); /* A closed pipe is seen when the answer is written. */
    /* The same output everywhere: numbers with a point, text as it is. */
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) {
        setlocale(LC_CTYPE, "");
    }
    return finish(run(argc, argv));
}
