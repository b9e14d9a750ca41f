/* checkpoint_verify.c - `tarn checkpoint verify`: every file read and compared. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tarn/checkpoint.h"

#include "json.h"
#include "place.h"
#include "table.h"
#include "text.h"

enum { PROGRESS_NS = 100 * 1000 * 1000 };

/* How far the verification is, and what it found. */
typedef struct verification {
    bool shows_progress;
    struct timespec shown_at;
    uint64_t file_count;
    uint64_t bytes;
    uint64_t total_bytes;
    json_t *bad;      /* NULL: as a table. */
    cli_table *table; /* NULL: as JSON. */
} verification;

/* On a terminal the line is drawn over, some times a second. */
static void show_progress(verification *v)
{
    struct timespec now;
    if (!v->shows_progress || clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return;
    }
    const int64_t elapsed_ns = (int64_t)(now.tv_sec - v->shown_at.tv_sec) * 1000000000 +
                               (now.tv_nsec - v->shown_at.tv_nsec);
    if (elapsed_ns >= PROGRESS_NS) {
        v->shown_at = now;
        fprintf(
            stderr,
            "\rverified %" PRIu64 " files, %s of %s ",
            v->file_count,
            cli_text_bytes(v->bytes).data,
            cli_text_bytes(v->total_bytes).data);
        fflush(stderr);
    }
}

static void clear_progress(const verification *v)
{
    if (v->shows_progress) {
        fputs("\r\033[K", stderr);
    }
}

static void add_bad(verification *v, const tarn_checkpoint_file *file, const char *problem)
{
    if (v->bad != NULL) {
        json_t *made = cli_json_object();
        cli_json_set(made, "operator", cli_json_text(file->operator_name));
        cli_json_set(made, "subtask", cli_json_count(file->subtask_index));
        cli_json_set(made, "path", cli_json_text(file->path));
        cli_json_set(made, "local_name", cli_json_text(file->local_name));
        cli_json_set(made, "problem", cli_json_text(problem));
        cli_json_append(v->bad, made);
    } else {
        const cli_text subtask = cli_text_count(file->subtask_index);
        const char *path = file->is_inline ? "_metadata" : file->path;
        cli_table_add(
            v->table,
            (const char *const[]){
                file->operator_name, subtask.data, file->local_name, path, problem});
    }
}

static bool visit(const tarn_checkpoint_file *file, const char *problem, void *context)
{
    verification *v = context;
    v->file_count++;
    v->bytes += file->size;
    if (problem != NULL) {
        add_bad(v, file, problem);
    }
    show_progress(v);
    return true;
}

static int answer_json(
    const tarn_checkpoint *checkpoint, json_t *bad, const tarn_checkpoint_verification *result)
{
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_boolean(result->bad_count == 0));
    cli_json_set(answer, "path", cli_json_text(tarn_checkpoint_path(checkpoint)));
    cli_json_set(answer, "file_count", cli_json_count(result->file_count));
    cli_json_set(answer, "verified_bytes", cli_json_count(result->verified_bytes));
    cli_json_set(answer, "row_count", cli_json_count(result->row_count));
    cli_json_set(answer, "bad_count", cli_json_count(result->bad_count));
    cli_json_set(answer, "bad", bad);
    cli_json_print(answer);
    return result->bad_count == 0 ? CLI_OK : CLI_NO;
}

static int answer_table(
    const tarn_checkpoint *checkpoint, cli_table *bad, const tarn_checkpoint_verification *result)
{
    const char *path = tarn_checkpoint_path(checkpoint);
    const cli_text size = cli_text_bytes(result->verified_bytes);
    if (result->bad_count == 0) {
        cli_table_free(bad);
        printf("%s: %" PRIu64 " files are good, %s", path, result->file_count, size.data);
        if (result->row_count > 0) {
            printf(", %" PRIu64 " rows", result->row_count);
        }
        putchar('\n');
        return CLI_OK;
    }
    cli_table_print(bad);
    cli_say(
        "%s is damaged: %" PRIu64 " of %" PRIu64 " files are bad",
        path,
        result->bad_count,
        result->file_count);
    return CLI_NO;
}

static int verify(const tarn_checkpoint *checkpoint, bool as_json)
{
    static const cli_column columns[] = {
        {"OPERATOR", CLI_LEFT},
        {"SUBTASK", CLI_RIGHT},
        {"BAD FILE", CLI_LEFT},
        {"IN", CLI_LEFT},
        {"PROBLEM", CLI_LEFT},
    };
    tarn_error error;
    tarn_checkpoint_verification result = {0};
    verification v = {
        .shows_progress = isatty(STDERR_FILENO) == 1,
        .total_bytes = tarn_checkpoint_summarize(checkpoint).total_bytes,
        .bad = as_json ? cli_json_array() : NULL,
        .table = as_json ? NULL : cli_table_new(columns, sizeof columns / sizeof columns[0]),
    };
    const tarn_status status = tarn_checkpoint_verify(checkpoint, visit, &v, &result, &error);
    clear_progress(&v);
    if (status != TARN_OK) {
        json_decref(v.bad);
        cli_table_free(v.table);
        return cli_refuse(as_json, error.message);
    }
    return as_json ? answer_json(checkpoint, v.bad, &result)
                   : answer_table(checkpoint, v.table, &result);
}

static int act(const cli_command *command, int argc, char **argv, cli_place *place, void *context)
{
    static const struct option long_options[] = {CLI_PLACE_ROW, CLI_OPTION_ROWS};
    bool as_json = false;
    bool is_unused = false;
    (void)context;
    int exit_status =
        cli_place_read(command, argc, argv, long_options, place, &is_unused, &as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind + 1 != argc) {
        return cli_usage(command, "give one checkpoint");
    }
    tarn_error error;
    if (cli_place_open(place, NULL, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    tarn_checkpoint *checkpoint = NULL;
    if (tarn_checkpoint_open_in(place->env, argv[optind], NULL, &checkpoint, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    exit_status = verify(checkpoint, as_json);
    tarn_checkpoint_free(checkpoint);
    return exit_status;
}

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_place_run(command, argc, argv, act, NULL);
}

const cli_command cli_checkpoint_verify = {
    .name = "checkpoint verify",
    .summary = "read every file and every row of a checkpoint",
    .help =
        "checkpoint verify PATH [--conf FILE]... [-D KEY=VALUE]... [--json]\n"
        "\n"
        "Reads every file of a checkpoint or savepoint, each once, and compares size and digest;\n"
        "then every row in it, which must be one of its state, and in its order. Names each bad\n"
        "file; exit status 1 when there is one. Shows progress on a terminal.\n"
        "\n" CLI_PATH_HELP CLI_PLACE_HELP
        "  --json         one line: {\"ok\":...,\"path\":...,\"bad\":[...]}\n",
    .run = run,
};
