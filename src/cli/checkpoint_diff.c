/* checkpoint_diff.c - `tarn checkpoint diff`: what changed between two checkpoints. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tarn/diff.h"

#include "json.h"
#include "place.h"
#include "table.h"
#include "text.h"

enum { SHOWN_BYTES_MAX = 60, PROGRESS_NS = 200000000 };

/* A comparison under way, and how it is shown. */
typedef struct comparison {
    bool as_json;
    bool shows_progress;
    struct timespec shown_at;
    json_t *states;
    cli_table *table;
} comparison;

static const char *change_name(tarn_diff_change change)
{
    switch (change) {
    case TARN_DIFF_PUT:
        return "put";
    case TARN_DIFF_CHANGED:
        return "changed";
    case TARN_DIFF_REMOVED:
        return "removed";
    }
    return "?";
}

static void show_progress(uint64_t done_bytes, uint64_t total_bytes, void *context)
{
    comparison *c = context;
    struct timespec now;
    if (!c->shows_progress || clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return;
    }
    const int64_t elapsed_ns = (int64_t)(now.tv_sec - c->shown_at.tv_sec) * 1000000000 +
                               (now.tv_nsec - c->shown_at.tv_nsec);
    if (elapsed_ns >= PROGRESS_NS) {
        c->shown_at = now;
        fprintf(
            stderr,
            "\rcompared %s of %s ",
            cli_text_bytes(done_bytes).data,
            cli_text_bytes(total_bytes).data);
        fflush(stderr);
    }
}

/* ---- rows, each a line as it comes ------------------------------------------------------ */

/* Bytes as text where they are that, else \xNN; long ones are cut. */
static void print_bytes(tarn_bytes bytes)
{
    const uint8_t *data = bytes.data;
    const size_t shown = bytes.size < SHOWN_BYTES_MAX ? bytes.size : (size_t)SHOWN_BYTES_MAX;
    for (size_t i = 0; i < shown; i++) {
        if (data[i] > ' ' && data[i] < 0x7f && data[i] != '\\') {
            putchar(data[i]);
        } else {
            printf("\\x%02x", data[i]);
        }
    }
    fputs(shown < bytes.size ? "..." : "", stdout);
}

static json_t *hex_of(tarn_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *data = bytes.data;
    char *text = cli_must(malloc(2 * bytes.size + 1));
    for (size_t i = 0; i < bytes.size; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    text[2 * bytes.size] = '\0';
    json_t *made = cli_json_text(text);
    free(text);
    return made;
}

static void print_json_row(const tarn_diff_row *row)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "change", cli_json_text(change_name(row->change)));
    cli_json_set(made, "operator", cli_json_text(row->operator_name));
    cli_json_set(made, "state", cli_json_text(row->state));
    cli_json_set(made, "key_group", cli_json_count(row->key_group));
    cli_json_set(made, "key", hex_of(row->key));
    cli_json_set(made, "namespace", hex_of(row->name_space));
    cli_json_set(made, "user_key", hex_of(row->user_key));
    cli_json_print(made);
}

static bool visit_row(const tarn_diff_row *row, void *context)
{
    const comparison *c = context;
    if (c->as_json) {
        print_json_row(row);
        return true;
    }
    printf("%s %s %s ", change_name(row->change), row->operator_name, row->state);
    print_bytes(row->key);
    if (row->name_space.size > 0 || row->user_key.size > 0) {
        putchar(' ');
        print_bytes(row->name_space);
        putchar(' ');
        print_bytes(row->user_key);
    }
    putchar('\n');
    return true;
}

/* ---- states ----------------------------------------------------------------------------- */

static void visit_state(const tarn_diff_state *state, void *context)
{
    comparison *c = context;
    if (c->as_json) {
        json_t *made = cli_json_object();
        cli_json_set(made, "operator", cli_json_text(state->operator_name));
        cli_json_set(made, "name", cli_json_text(state->name));
        cli_json_set(made, "kind", cli_json_text(state->kind));
        cli_json_set(made, "put", cli_json_count(state->put_count));
        cli_json_set(made, "changed", cli_json_count(state->changed_count));
        cli_json_set(made, "removed", cli_json_count(state->removed_count));
        cli_json_set(made, "same", cli_json_count(state->same_count));
        cli_json_set(made, "ranges", cli_json_count(state->range_count));
        cli_json_append(c->states, made);
        return;
    }
    const cli_text put = cli_text_count(state->put_count);
    const cli_text changed = cli_text_count(state->changed_count);
    const cli_text removed = cli_text_count(state->removed_count);
    const cli_text same = cli_text_count(state->same_count);
    const cli_text ranges = cli_text_count(state->range_count);
    cli_table_add(
        c->table,
        (const char *const[]){
            state->operator_name,
            state->name,
            state->kind,
            put.data,
            changed.data,
            removed.data,
            ranges.data,
            same.data});
}

static void set_files(json_t *answer, const char *name, uint64_t count, uint64_t bytes)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "count", cli_json_count(count));
    cli_json_set(made, "bytes", cli_json_count(bytes));
    cli_json_set(answer, name, made);
}

static void answer_json(comparison *c, const tarn_diff_options *o, const tarn_diff_stats *stats)
{
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_true());
    cli_json_set(answer, "first", cli_json_text(tarn_checkpoint_path(o->first)));
    cli_json_set(answer, "second", cli_json_text(tarn_checkpoint_path(o->second)));
    set_files(answer, "shared_files", stats->shared_count, stats->shared_bytes);
    set_files(answer, "first_files", stats->first_count, stats->first_bytes);
    set_files(answer, "second_files", stats->second_count, stats->second_bytes);
    cli_json_set(answer, "row_count", cli_json_count(stats->row_count));
    cli_json_set(answer, "states", c->states);
    cli_json_print(answer);
}

static void answer_table(comparison *c, const tarn_diff_stats *stats)
{
    cli_table_print(c->table);
    printf(
        "\nshared, not read: %" PRIu64 " files, %s\n",
        stats->shared_count,
        cli_text_bytes(stats->shared_bytes).data);
    printf(
        "only in the first: %" PRIu64 " files, %s\n",
        stats->first_count,
        cli_text_bytes(stats->first_bytes).data);
    printf(
        "only in the second: %" PRIu64 " files, %s\n",
        stats->second_count,
        cli_text_bytes(stats->second_bytes).data);
}

static int compare(
    const tarn_checkpoint *first, const tarn_checkpoint *second, bool as_json, bool with_keys)
{
    static const cli_column columns[] = {
        {"OPERATOR", CLI_LEFT},
        {"STATE", CLI_LEFT},
        {"KIND", CLI_LEFT},
        {"PUT", CLI_RIGHT},
        {"CHANGED", CLI_RIGHT},
        {"REMOVED", CLI_RIGHT},
        {"RANGES", CLI_RIGHT},
        {"SAME", CLI_RIGHT},
    };
    comparison c = {
        .as_json = as_json,
        .shows_progress = isatty(STDERR_FILENO) == 1,
        .states = as_json ? cli_json_array() : NULL,
        .table = as_json ? NULL : cli_table_new(columns, sizeof columns / sizeof columns[0]),
    };
    tarn_diff_options options = TARN_DIFF_OPTIONS_INIT;
    options.first = first;
    options.second = second;
    options.visit_row = with_keys ? visit_row : NULL;
    options.visit_state = visit_state;
    options.progress = show_progress;
    options.context = &c;
    tarn_diff_stats stats;
    tarn_error error;
    const tarn_status status = tarn_checkpoint_diff(&options, &stats, &error);
    if (c.shows_progress) {
        fputs("\r\033[K", stderr);
    }
    if (status != TARN_OK) {
        json_decref(c.states);
        cli_table_free(c.table);
        return cli_refuse(as_json, error.message);
    }
    if (as_json) {
        answer_json(&c, &options, &stats);
    } else {
        answer_table(&c, &stats);
    }
    return CLI_OK;
}

static int open_and_compare(tarn_env *env, char **paths, bool as_json, bool with_keys)
{
    tarn_error error;
    tarn_checkpoint *first = NULL;
    tarn_checkpoint *second = NULL;
    if (tarn_checkpoint_open_in(env, paths[0], NULL, &first, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    int exit_status = CLI_NO;
    if (tarn_checkpoint_open_in(env, paths[1], NULL, &second, &error) != TARN_OK) {
        exit_status = cli_refuse(as_json, error.message);
    } else {
        exit_status = compare(first, second, as_json, with_keys);
    }
    tarn_checkpoint_free(second);
    tarn_checkpoint_free(first);
    return exit_status;
}

static int act(const cli_command *command, int argc, char **argv, cli_place *place, void *context)
{
    static const struct option long_options[] = {
        {"keys", no_argument, NULL, CLI_OPTION_OWN}, CLI_PLACE_ROW, CLI_OPTION_ROWS};
    bool as_json = false;
    bool with_keys = false;
    (void)context;
    int exit_status =
        cli_place_read(command, argc, argv, long_options, place, &with_keys, &as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind + 2 != argc) {
        return cli_usage(command, "give two checkpoints");
    }
    tarn_error error;
    if (cli_place_open(place, NULL, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    return open_and_compare(place->env, argv + optind, as_json, with_keys);
}

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_place_run(command, argc, argv, act, NULL);
}

const cli_command cli_checkpoint_diff = {
    .name = "checkpoint diff",
    .summary = "show what changed between two checkpoints",
    .help =
        "checkpoint diff A B [--keys] [--conf FILE]... [-D KEY=VALUE]... [--json]\n"
        "\n"
        "Compares two checkpoints or savepoints, per state: rows that B's files have and A's have\n"
        "not (put), rows of both that differ (changed), rows that went (removed), deletions of\n"
        "whole ranges, and rows that were only written again (same). Files of both are not read.\n"
        "Shows progress on a terminal.\n"
        "\n"
        "  A, B           DIR/JOB/chk-N, its _metadata, DIR/JOB for the newest one, or a "
        "savepoint;\n"
        "                 DIR is a path, or an address such as s3://bucket/prefix\n"
        "  --keys         first each row that is not the same: a line of change, operator, state,\n"
        "                 key, namespace, user key; in JSON an object, the bytes in hexadecimal\n"
        "                 digits\n" CLI_PLACE_HELP
        "  --json         one line: {\"ok\":true,\"first\":...,\"second\":...,\"states\":[...]}\n",
    .run = run,
};
