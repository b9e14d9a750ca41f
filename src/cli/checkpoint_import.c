/* checkpoint_import.c - `tarn checkpoint import`: a savepoint made of lines of JSON. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint_copy.h"
#include "json.h"
#include "place.h"
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
    tarn_env *env;
} request;

static void show_progress(uint64_t lines)
{
    fprintf(stderr, "\r%" PRIu64 " lines ", lines);
    fflush(stderr);
}

static tarn_status read_rows(
    const request *r,
    FILE *in,
    const char *scratch,
    char path[CLI_PATH_BYTES],
    tarn_checkpoint_summary *summary,
    tarn_error *error)
{
    cli_rows_head head;
    const char *from = in == stdin ? "stdin" : r->from;
    tarn_status status = cli_rows_read_head(in, from, &head, error);
    if (status != TARN_OK) {
        return status;
    }
    tarn_import_options options = TARN_IMPORT_OPTIONS_INIT;
    options.env = r->env;
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
    status = cli_rows_read(in, from, &head, import, shows_progress ? show_progress : NULL, error);
    if (shows_progress) {
        fputs("\r\033[K", stderr);
    }
    if (status != TARN_OK) {
        tarn_import_abandon(import);
        return status;
    }
    return tarn_import_finish(import, summary, error);
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
    const tarn_status status = read_rows(r, in, scratch, path, &summary, &error);
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
static int read_request(
    const cli_command *command, int argc, char **argv, cli_place *place, request *out)
{
    static const struct option rows[] = {
        {"job", required_argument, NULL, OPTION_JOB},
        {"id", required_argument, NULL, OPTION_ID},
        {"scratch", required_argument, NULL, OPTION_SCRATCH},
        {"memory", required_argument, NULL, OPTION_MEMORY},
        CLI_PLACE_ROW,
        CLI_OPTION_ROWS,
    };
    *out = (request){.memory = CLI_COPY_MEMORY};
    for (;;) {
        const int option = cli_option_next(command, argc, argv, CLI_PLACE_SHORT, rows);
        if (cli_place_take(place, option)) {
            continue;
        }
        switch (option) {
        case -1:
            return cli_place_load(command, place, out->as_json);
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

static int act(const cli_command *command, int argc, char **argv, cli_place *place, void *context)
{
    (void)context;
    request r;
    const int exit_status = read_request(command, argc, argv, place, &r);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind + 2 != argc) {
        return cli_usage(command, "give a file of rows and the directory for the savepoint");
    }
    r.from = argv[optind];
    r.to = argv[optind + 1];
    tarn_error error;
    if (cli_place_open(place, r.memory, &error) != TARN_OK) {
        return cli_refuse(r.as_json, error.message);
    }
    r.env = place->env;
    return open_and_perform(&r);
}

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_place_run(command, argc, argv, act, NULL);
}

const cli_command cli_checkpoint_import = {
    .name = "checkpoint import",
    .summary = "make a savepoint of rows",
    .help =
        "checkpoint import FILE DIR [--job NAME] [--id N] [OPTION]...\n"
        "\n"
        "Makes a canonical savepoint below DIR of lines of JSON, as 'tarn checkpoint export\n"
        "--lines' writes them, or written by hand to begin a job with. docs/CLI.md has their "
        "form.\n"
        "A bad line ends it, with its number and the reason, and nothing is left; so does a file\n"
        "that was cut off, where its first line says that it has an end.\n"
        "\n"
        "  FILE           the lines; - for standard input\n"
        "  DIR            a path, or an address such as s3://bucket/prefix\n"
        "  --job NAME     of the savepoint; default: as the first line says\n"
        "  --id N         of the checkpoint that it stands for; default: as the first line says\n"
        "  --scratch DIR  for a database meanwhile; default: $TMPDIR or /tmp\n" CLI_MEMORY_HELP
            CLI_PLACE_HELP "  --json         one line: {\"ok\":true,\"path\":...}\n",
    .run = run,
};
