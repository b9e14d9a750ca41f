/* checkpoint_import.c - `tarn checkpoint import`: a savepoint made of lines of JSON. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "tarn/config.h"

#include "checkpoint_copy.h"
#include "json.h"
#include "options.h"
#include "rows_json.h"
#include "text.h"

enum { OPTION_JOB = CLI_OPTION_OWN, OPTION_ID, OPTION_SCRATCH, OPTION_MEMORY };

/* The command line. */
typedef struct request {
    bool as_json;
    const char *job; /* NULL: as the first line says. */
    int64_t id;      /* 0: likewise. */
    const char *scratch;
    const char *memory;
    const char *from;
    const char *to;
} request;

static void show_progress(uint64_t lines)
{
    fprintf(stderr, "\r%" PRIu64 " lines ", lines);
    fflush(stderr);
}

static tarn_status read_rows(
    const request *r,
    FILE *in,
    tarn_env *env,
    const char *scratch,
    char path[CLI_PATH_BYTES],
    tarn_checkpoint_summary *summary,
    tarn_error *error)
{
    cli_rows_head head;
    tarn_status status = cli_rows_read_head(in, &head, error);
    if (status != TARN_OK) {
        return status;
    }
    tarn_import_options options = TARN_IMPORT_OPTIONS_INIT;
    options.env = env;
    options.directory = scratch;
    options.address = r->to;
    options.job = r->job != NULL ? r->job : head.job;
    options.id = r->id != 0 ? (uint64_t)r->id : head.id;
    tarn_import *import = NULL;
    status = tarn_import_open(&options, &import, error);
    if (status != TARN_OK) {
        return status;
    }
    snprintf(path, CLI_PATH_BYTES, "%s", tarn_import_path(import));
    const bool shows_progress = isatty(STDERR_FILENO) == 1;
    status = cli_rows_read(in, &head, import, shows_progress ? show_progress : NULL, error);
    if (shows_progress) {
        fputs("\r\033[K", stderr);
    }
    if (status != TARN_OK) {
        tarn_import_abandon(import);
        return status;
    }
    return tarn_import_finish(import, summary, error);
}

static tarn_status open_env(const char *memory, tarn_env **out, tarn_error *error)
{
    tarn_config *config = NULL;
    tarn_status status = tarn_config_new(NULL, &config, error);
    if (status != TARN_OK) {
        return status;
    }
    status = tarn_config_set(config, "taskmanager.memory.process.size", memory, NULL, error);
    if (status == TARN_OK) {
        tarn_env_options options = TARN_ENV_OPTIONS_INIT;
        options.config = config;
        status = tarn_env_open(&options, out, error);
    }
    tarn_config_free(config);
    return status;
}

static int answer(const request *r, const char *path, const tarn_checkpoint_summary *summary)
{
    if (r->as_json) {
        json_t *made = cli_json_object();
        cli_json_set(made, "ok", json_true());
        cli_json_set(made, "path", cli_json_text(path));
        cli_json_set(made, "max_parallelism", cli_json_count(summary->max_parallelism));
        cli_json_set(made, "file_count", cli_json_count(summary->file_count));
        cli_json_set(made, "total_bytes", cli_json_count(summary->total_bytes));
        cli_json_print(made);
    } else {
        const cli_text size = cli_text_bytes(summary->total_bytes);
        printf("%s: %" PRIu64 " files, %s\n", path, summary->file_count, size.data);
    }
    return CLI_OK;
}

static int perform(const request *r, FILE *in)
{
    tarn_error error = {.status = TARN_OK};
    char scratch[CLI_PATH_BYTES];
    char path[CLI_PATH_BYTES] = "";
    tarn_checkpoint_summary summary;
    if (!cli_scratch_make(r->scratch, scratch, &error)) {
        return cli_refuse(r->as_json, error.message);
    }
    tarn_env *env = NULL;
    tarn_status status = open_env(r->memory, &env, &error);
    if (status == TARN_OK) {
        status = read_rows(r, in, env, scratch, path, &summary, &error);
        const tarn_status closed = tarn_env_close(env, status == TARN_OK ? &error : NULL);
        status = status != TARN_OK ? status : closed;
    }
    cli_scratch_remove(scratch);
    return status == TARN_OK ? answer(r, path, &summary) : cli_refuse(r->as_json, error.message);
}

static int open_and_perform(const request *r)
{
    if (strcmp(r->from, "-") == 0) {
        return perform(r, stdin);
    }
    FILE *in = fopen(r->from, "r");
    if (in == NULL) {
        char message[CLI_PATH_BYTES + 64];
        snprintf(message, sizeof message, "cannot open %s: %s", r->from, strerror(errno));
        return cli_refuse(r->as_json, message);
    }
    const int exit_status = perform(r, in);
    fclose(in);
    return exit_status;
}

/* Answers -1 to go on, else the exit status. */
static int read_request(const cli_command *command, int argc, char **argv, request *out)
{
    static const struct option rows[] = {
        {"job", required_argument, NULL, OPTION_JOB},
        {"id", required_argument, NULL, OPTION_ID},
        {"scratch", required_argument, NULL, OPTION_SCRATCH},
        {"memory", required_argument, NULL, OPTION_MEMORY},
        CLI_OPTION_ROWS,
    };
    *out = (request){.memory = "1g"};
    for (;;) {
        switch (cli_option_next(command, argc, argv, "", rows)) {
        case -1:
            return -1;
        case OPTION_JOB:
            out->job = optarg;
            break;
        case OPTION_ID:
            if (!cli_number(optarg, 1, INT64_MAX, &out->id)) {
                return cli_usage(command, "'%s' is no checkpoint id", optarg);
            }
            break;
        case OPTION_SCRATCH:
            out->scratch = optarg;
            break;
        case OPTION_MEMORY:
            out->memory = optarg;
            break;
        case CLI_OPTION_JSON:
            out->as_json = true;
            break;
        case CLI_OPTION_HELP:
            return cli_command_help(command);
        default:
            return CLI_USAGE;
        }
    }
}

static int run(const cli_command *command, int argc, char **argv)
{
    request r;
    const int exit_status = read_request(command, argc, argv, &r);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind + 2 != argc) {
        return cli_usage(command, "give a file of rows and the directory for the savepoint");
    }
    r.from = argv[optind];
    r.to = argv[optind + 1];
    return open_and_perform(&r);
}

const cli_command cli_checkpoint_import = {
    .name = "checkpoint import",
    .summary = "make a savepoint of rows",
    .help =
        "checkpoint import FILE DIR [--job NAME] [--id N] [--scratch DIR] [--memory SIZE] "
        "[--json]\n"
        "\n"
        "Makes a canonical savepoint below DIR of lines of JSON, as 'tarn checkpoint export\n"
        "--lines' writes them, or written by hand to begin a job with. docs/CLI.md has their "
        "form.\n"
        "A bad line ends it, with its number and the reason, and nothing is left.\n"
        "\n"
        "  FILE            the lines; - for standard input\n"
        "  --job NAME      of the savepoint; default: as the first line says\n"
        "  --id N          of the checkpoint that it stands for; default: as the first line says\n"
        "  --scratch DIR   for a database meanwhile; default: $TMPDIR or /tmp\n"
        "  --memory SIZE   of the process, as taskmanager.memory.process.size; default: 1g\n"
        "  --json          one line: {\"ok\":true,\"path\":...}\n",
    .run = run,
};
