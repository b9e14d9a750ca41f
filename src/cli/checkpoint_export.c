/* checkpoint_export.c - `tarn checkpoint export` and `rekey`: a checkpoint made into a savepoint.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tarn/key_group.h"

#include "checkpoint_copy.h"
#include "file_out.h"
#include "json.h"
#include "place.h"
#include "rows_json.h"
#include "text.h"

enum {
    OPTION_NATIVE = CLI_OPTION_OWN,
    OPTION_MAX_PARALLELISM,
    OPTION_SCRATCH,
    OPTION_MEMORY,
    OPTION_LINES,
};

/* The command line of either command. */
typedef struct request {
    bool as_json;
    bool is_native;
    bool is_rekey;
    tarn_env *env;
    int64_t max_parallelism; /* 0: as it is. */
    const char *scratch;
    const char *memory;
    const char *lines; /* A file for rows as text, instead of a savepoint. */
    const char *from;
    const char *to;
} request;

/* Moving keys wants canonical rows: what is something else is made into these first. */
static tarn_status copy_by_way(
    tarn_checkpoint *source, const char *scratch, cli_copy *copy, tarn_error *error)
{
    char between[CLI_PATH_BYTES];
    if (snprintf(between, sizeof between, "%s/between", scratch) >= (int)sizeof between) {
        return TARN_INVALID_ARGUMENT;
    }
    cli_copy first = *copy;
    first.to = between;
    first.form = TARN_FORM_CANONICAL;
    first.max_parallelism = 0;
    tarn_status status = cli_checkpoint_copy(source, &first, error);
    if (status != TARN_OK) {
        return status;
    }
    tarn_checkpoint *rows = NULL;
    status = tarn_checkpoint_open_in(copy->env, first.path, NULL, &rows, error);
    if (status == TARN_OK) {
        status = cli_checkpoint_copy(rows, copy, error);
        tarn_checkpoint_free(rows);
    }
    return status;
}

static tarn_status copy_to(
    tarn_checkpoint *source,
    const request *r,
    const char *scratch,
    cli_copy *copy,
    tarn_error *error)
{
    char work[CLI_PATH_BYTES];
    if (snprintf(work, sizeof work, "%s/work", scratch) >= (int)sizeof work) {
        return TARN_INVALID_ARGUMENT;
    }
    *copy = (cli_copy){
        .to = r->to,
        .form = r->is_native ? TARN_FORM_NATIVE : TARN_FORM_CANONICAL,
        .max_parallelism = (uint32_t)r->max_parallelism,
        .scratch = work,
        .env = r->env,
    };
    const bool has_rows = tarn_checkpoint_summarize(source).form == TARN_FORM_CANONICAL;
    return r->max_parallelism == 0 || has_rows ? cli_checkpoint_copy(source, copy, error)
                                               : copy_by_way(source, scratch, copy, error);
}

static int answer(const request *r, const cli_copy *copy)
{
    if (r->as_json) {
        json_t *made = cli_json_object();
        cli_json_set(made, "ok", json_true());
        cli_json_set(made, "path", cli_json_text(copy->path));
        cli_json_set(made, "form", cli_json_text(r->is_native ? "native" : "canonical"));
        cli_json_set(made, "max_parallelism", cli_json_count(copy->summary.max_parallelism));
        cli_json_set(made, "file_count", cli_json_count(copy->summary.file_count));
        cli_json_set(made, "total_bytes", cli_json_count(copy->summary.total_bytes));
        cli_json_print(made);
    } else {
        const cli_text size = cli_text_bytes(copy->summary.total_bytes);
        printf("%s: %" PRIu64 " files, %s\n", copy->path, copy->summary.file_count, size.data);
    }
    return CLI_OK;
}

static tarn_status write_file(const tarn_checkpoint *savepoint, const char *path, tarn_error *error)
{
    cli_file_out out;
    if (!cli_file_out_make(&out, path, error)) {
        return TARN_IO_ERROR;
    }
    int code = 0;
    tarn_status status = cli_rows_write(savepoint, out.file, &code, error);
    if (code != 0 && (status == TARN_OK || status == TARN_ABANDONED)) {
        errno = code; /* What came after has had others. */
        (void)cli_file_fail(error, "write", path);
        status = TARN_IO_ERROR;
    }
    return cli_file_out_close(&out, status == TARN_OK, error) || status != TARN_OK ? status
                                                                                   : TARN_IO_ERROR;
}

/* Rows as text come from a canonical savepoint; of something else one is made first. */
static tarn_status write_lines(
    tarn_checkpoint *source, const request *r, const char *scratch, tarn_error *error)
{
    if (tarn_checkpoint_summarize(source).form == TARN_FORM_CANONICAL) {
        return write_file(source, r->lines, error);
    }
    char between[CLI_PATH_BYTES];
    char work[CLI_PATH_BYTES];
    if (snprintf(between, sizeof between, "%s/between", scratch) >= (int)sizeof between ||
        snprintf(work, sizeof work, "%s/work", scratch) >= (int)sizeof work) {
        return TARN_INVALID_ARGUMENT;
    }
    cli_copy copy = {
        .to = between,
        .form = TARN_FORM_CANONICAL,
        .scratch = work,
        .env = r->env,
    };
    tarn_checkpoint *rows = NULL;
    tarn_status status = cli_checkpoint_copy(source, &copy, error);
    if (status == TARN_OK) {
        status = tarn_checkpoint_open_in(r->env, copy.path, NULL, &rows, error);
    }
    if (status == TARN_OK) {
        status = write_file(rows, r->lines, error);
        tarn_checkpoint_free(rows);
    }
    return status;
}

static int perform_lines(const request *r)
{
    tarn_error error = {.status = TARN_OK};
    char scratch[CLI_PATH_BYTES];
    tarn_checkpoint *source = NULL;
    if (tarn_checkpoint_open_in(r->env, r->from, NULL, &source, &error) != TARN_OK) {
        return cli_refuse(r->as_json, error.message);
    }
    tarn_status status = TARN_IO_ERROR;
    if (cli_scratch_make(r->scratch, scratch, &error)) {
        status = write_lines(source, r, scratch, &error);
        cli_scratch_remove(scratch);
    }
    tarn_checkpoint_free(source);
    if (status != TARN_OK) {
        return cli_refuse(r->as_json, error.message);
    }
    if (strcmp(r->lines, "-") == 0) {
        return CLI_OK; /* The rows are the answer. */
    }
    if (r->as_json) {
        json_t *made = cli_json_object();
        cli_json_set(made, "ok", json_true());
        cli_json_set(made, "path", cli_json_text(r->lines));
        cli_json_print(made);
    } else {
        printf("%s is written\n", r->lines);
    }
    return CLI_OK;
}

static int perform(const request *r)
{
    tarn_error error = {.status = TARN_OK};
    char scratch[CLI_PATH_BYTES];
    tarn_checkpoint *source = NULL;
    if (tarn_checkpoint_open_in(r->env, r->from, NULL, &source, &error) != TARN_OK) {
        return cli_refuse(r->as_json, error.message);
    }
    cli_copy copy;
    tarn_status status = TARN_IO_ERROR;
    if (cli_scratch_make(r->scratch, scratch, &error)) {
        status = copy_to(source, r, scratch, &copy, &error);
        cli_scratch_remove(scratch);
    }
    tarn_checkpoint_free(source);
    return status == TARN_OK ? answer(r, &copy) : cli_refuse(r->as_json, error.message);
}

/* Answers -1 to go on, else the exit status. */
static int read_request(
    const cli_command *command, int argc, char **argv, cli_place *place, request *out)
{
    static const struct option export_rows[] = {
        {"native", no_argument, NULL, OPTION_NATIVE},
        {"lines", required_argument, NULL, OPTION_LINES},
        {"scratch", required_argument, NULL, OPTION_SCRATCH},
        {"memory", required_argument, NULL, OPTION_MEMORY},
        CLI_PLACE_ROW,
        CLI_OPTION_ROWS,
    };
    static const struct option rekey_rows[] = {
        {"max-parallelism", required_argument, NULL, OPTION_MAX_PARALLELISM},
        {"native", no_argument, NULL, OPTION_NATIVE},
        {"scratch", required_argument, NULL, OPTION_SCRATCH},
        {"memory", required_argument, NULL, OPTION_MEMORY},
        CLI_PLACE_ROW,
        CLI_OPTION_ROWS,
    };
    const struct option *rows = out->is_rekey ? rekey_rows : export_rows;
    for (;;) {
        const int option = cli_option_next(command, argc, argv, CLI_PLACE_SHORT, rows);
        if (cli_place_take(place, option)) {
            continue;
        }
        switch (option) {
        case -1:
            return cli_place_load(command, place, out->as_json);
        case OPTION_NATIVE:
            out->is_native = true;
            break;
        case OPTION_MAX_PARALLELISM:
            if (!cli_number(optarg, 1, TARN_MAX_PARALLELISM_LIMIT, &out->max_parallelism)) {
                return cli_usage(command, "'%s' is no maximum parallelism", optarg);
            }
            break;
        case OPTION_LINES:
            out->lines = optarg;
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

/* Opens the environment, and performs what was asked for. */
static int open_and_perform(cli_place *place, request *r)
{
    tarn_error error;
    if (cli_place_open(place, r->memory, &error) != TARN_OK) {
        return cli_refuse(r->as_json, error.message);
    }
    r->env = place->env;
    return r->lines != NULL ? perform_lines(r) : perform(r);
}

static int act(const cli_command *command, int argc, char **argv, cli_place *place, void *context)
{
    request r = {.memory = CLI_COPY_MEMORY, .is_rekey = *(const bool *)context};
    const int exit_status = read_request(command, argc, argv, place, &r);
    if (exit_status != -1) {
        return exit_status;
    }
    const int wanted = r.lines != NULL ? 1 : 2;
    if ((r.lines != NULL && r.is_native) || optind + wanted != argc) {
        return cli_usage(
            command, "give a checkpoint, and the directory for the savepoint or --lines FILE");
    }
    if (r.is_rekey && r.max_parallelism == 0) {
        return cli_usage(command, "give the new --max-parallelism");
    }
    r.from = argv[optind];
    r.to = argv[argc - 1];
    return open_and_perform(place, &r);
}

static int run_export(const cli_command *command, int argc, char **argv)
{
    bool is_rekey = false;
    return cli_place_run(command, argc, argv, act, &is_rekey);
}

static int run_rekey(const cli_command *command, int argc, char **argv)
{
    bool is_rekey = true;
    return cli_place_run(command, argc, argv, act, &is_rekey);
}

#define WORK_OPTIONS                                                                      \
    "  --scratch DIR  work in a new directory below DIR; it needs room for a subtask's\n" \
    "                 state twice. Default: TMPDIR, else /tmp\n" CLI_MEMORY_HELP CLI_PLACE_HELP

const cli_command cli_checkpoint_export = {
    .name = "checkpoint export",
    .summary = "make a checkpoint into a savepoint",
    .help =
        "checkpoint export PATH DIR [--native] [OPTION]...\n"
        "       tarn checkpoint export PATH --lines FILE [OPTION]...\n"
        "\n"
        "Reads a checkpoint or savepoint and writes all of it as a new savepoint below DIR:\n"
        "canonical, sorted rows of each state, which any parallelism restores. Expired rows are\n"
        "copied too, as nobody says here how long they live.\n"
        "\n" CLI_PATH_HELP "  --native       files as RocksDB writes them instead\n"
        "  --lines FILE   no savepoint, but rows as lines of JSON, which 'tarn checkpoint import'\n"
        "                 reads, into a new file; - for standard output\n" WORK_OPTIONS
        "  --json         one line: {\"ok\":true,\"path\":...}\n",
    .run = run_export,
};

const cli_command cli_checkpoint_rekey = {
    .name = "checkpoint rekey",
    .summary = "make a savepoint of another maximum parallelism",
    .help = "checkpoint rekey PATH DIR --max-parallelism N [--native] [OPTION]...\n"
            "\n"
            "As export, and every key goes to its key group among N. Each subtask reads all rows.\n"
            "Not for operators whose keys are hashed by the caller.\n"
            "\n" CLI_PATH_HELP
            "  --max-parallelism N  1 to 32768, not less than any operator's parallelism\n"
            "  --native       files as RocksDB writes them instead\n" WORK_OPTIONS
            "  --json         one line: {\"ok\":true,\"path\":...}\n",
    .run = run_rekey,
};
