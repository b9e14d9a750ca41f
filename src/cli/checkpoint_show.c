/* checkpoint_show.c - `tarn checkpoint show`: what is in a checkpoint. */
#include <inttypes.h>
#include <stdio.h>

#include "tarn/checkpoint.h"

#include "checkpoint_facts.h"
#include "place.h"
#include "table.h"
#include "text.h"

enum { CODEC_BYTES = CLI_NAME_BYTES + 16 };

static void print_summary(const tarn_checkpoint *checkpoint)
{
    const tarn_checkpoint_summary at = tarn_checkpoint_summarize(checkpoint);
    char job[CLI_NAME_BYTES];
    cli_checkpoint_job(checkpoint, job);
    printf("job:              %s\n", job);
    printf("checkpoint:       %" PRIu64 "\n", at.id);
    printf("path:             %s\n", tarn_checkpoint_path(checkpoint));
    printf("begun:            %s\n", cli_text_time(at.timestamp_ms).data);
    printf("took:             %s\n", cli_text_elapsed(at.duration_ms).data);
    printf("max parallelism:  %" PRIu32 "\n", at.max_parallelism);
    printf(
        "operators:        %" PRIu32 " in %" PRIu32 " subtasks\n",
        at.operator_count,
        at.subtask_count);
    printf("files:            %" PRIu64 "\n", at.file_count);
    printf(
        "size:             %s (%" PRIu64 " bytes)\n",
        cli_text_bytes(at.total_bytes).data,
        at.total_bytes);
    printf(
        "new:              %s (%" PRIu64 " bytes)\n",
        cli_text_bytes(at.new_bytes).data,
        at.new_bytes);
}

static void add_subtask(cli_table *table, const tarn_checkpoint *checkpoint, uint32_t index)
{
    const tarn_checkpoint_subtask at = tarn_checkpoint_subtask_at(checkpoint, index);
    const cli_sizes size = cli_checkpoint_measure(checkpoint, index);
    const cli_text subtask = cli_text_count(at.subtask_index);
    const cli_text parallelism = cli_text_count(at.parallelism);
    const cli_text range = cli_text_range(at.key_groups.first, at.key_groups.last);
    const cli_text files = cli_text_count(at.file_count);
    const cli_text total = cli_text_bytes(at.total_bytes);
    const cli_text shared = cli_text_bytes(size.shared_bytes);
    const cli_text own = cli_text_bytes(size.private_bytes);
    cli_table_add(
        table,
        (const char *const[]){
            at.operator_name,
            subtask.data,
            parallelism.data,
            at.has_keyed_state ? range.data : "",
            at.has_keyed_state ? cli_checkpoint_hash(at.key_hash) : "",
            files.data,
            total.data,
            shared.data,
            own.data});
}

static void print_subtasks(const tarn_checkpoint *checkpoint, uint32_t count)
{
    static const cli_column columns[] = {
        {"OPERATOR", CLI_LEFT},
        {"SUBTASK", CLI_RIGHT},
        {"OF", CLI_RIGHT},
        {"KEY GROUPS", CLI_RIGHT},
        {"HASH", CLI_LEFT},
        {"FILES", CLI_RIGHT},
        {"SIZE", CLI_RIGHT},
        {"SHARED", CLI_RIGHT},
        {"PRIVATE", CLI_RIGHT},
    };
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        add_subtask(table, checkpoint, i);
    }
    putchar('\n');
    cli_table_print(table);
}

static void add_keyed_state(
    cli_table *table,
    const tarn_checkpoint_subtask *subtask,
    const char *index,
    const tarn_checkpoint_state *state)
{
    char codec[CODEC_BYTES];
    snprintf(codec, sizeof codec, "%s v%" PRIu32, state->codec_name, state->codec_version);
    cli_table_add(
        table,
        (const char *const[]){
            subtask->operator_name, index, state->name, state->kind, codec, "", "", ""});
}

static void add_operator_state(
    cli_table *table,
    const tarn_checkpoint_subtask *subtask,
    const char *index,
    const cli_operator_state *state)
{
    char codec[CODEC_BYTES] = "";
    cli_text count = {""};
    if (state->is_described) {
        snprintf(codec, sizeof codec, "%s v%" PRIu32, state->codec_name, state->codec_version);
        count = cli_text_count(state->element_count);
    }
    const cli_text bytes = cli_text_count(state->size);
    const char *redistribution = state->is_described ? state->redistribution : "";
    cli_table_add(
        table,
        (const char *const[]){
            subtask->operator_name,
            index,
            state->name,
            state->kind,
            codec,
            redistribution,
            count.data,
            bytes.data});
}

static void add_states(cli_table *table, const tarn_checkpoint *checkpoint, uint32_t index)
{
    const tarn_checkpoint_subtask at = tarn_checkpoint_subtask_at(checkpoint, index);
    const cli_text subtask = cli_text_count(at.subtask_index);
    for (uint32_t i = 0; i < at.state_count; i++) {
        const tarn_checkpoint_state state = tarn_checkpoint_state_at(checkpoint, index, i);
        add_keyed_state(table, &at, subtask.data, &state);
    }
    for (uint32_t i = 0; i < at.operator_state_count; i++) {
        cli_operator_state state;
        cli_checkpoint_operator_state(checkpoint, index, i, &state);
        add_operator_state(table, &at, subtask.data, &state);
    }
}

static void print_states(const tarn_checkpoint *checkpoint, uint32_t count)
{
    static const cli_column columns[] = {
        {"OPERATOR", CLI_LEFT},
        {"SUBTASK", CLI_RIGHT},
        {"STATE", CLI_LEFT},
        {"KIND", CLI_LEFT},
        {"CODEC", CLI_LEFT},
        {"DEALT OUT", CLI_LEFT},
        {"ELEMENTS", CLI_RIGHT},
        {"BYTES", CLI_RIGHT},
    };
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        add_states(table, checkpoint, i);
    }
    putchar('\n');
    cli_table_print(table);
}

static void add_files(cli_table *table, const tarn_checkpoint *checkpoint, uint32_t index)
{
    const tarn_checkpoint_subtask at = tarn_checkpoint_subtask_at(checkpoint, index);
    const cli_text subtask = cli_text_count(at.subtask_index);
    for (uint32_t i = 0; i < at.file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, index, i);
        const cli_text size = cli_text_count(file.size);
        cli_table_add(
            table,
            (const char *const[]){
                at.operator_name,
                subtask.data,
                file.local_name,
                size.data,
                file.is_inline ? "metadata" : (file.is_shared ? "shared" : "private"),
                file.codec,
                file.digest,
                file.path});
    }
}

static void print_files(const tarn_checkpoint *checkpoint, uint32_t count)
{
    static const cli_column columns[] = {
        {"OPERATOR", CLI_LEFT},
        {"SUBTASK", CLI_RIGHT},
        {"FILE", CLI_LEFT},
        {"BYTES", CLI_RIGHT},
        {"WHERE", CLI_LEFT},
        {"CODEC", CLI_LEFT},
        {"DIGEST", CLI_LEFT},
        {"PATH", CLI_LEFT},
    };
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        add_files(table, checkpoint, i);
    }
    putchar('\n');
    cli_table_print(table);
}

static int show(tarn_env *env, const char *address, bool as_json, bool with_files)
{
    tarn_error error;
    tarn_checkpoint *checkpoint = NULL;
    if (tarn_checkpoint_open_in(env, address, NULL, &checkpoint, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    if (as_json) {
        cli_checkpoint_show_json(checkpoint, with_files);
    } else {
        const uint32_t count = tarn_checkpoint_summarize(checkpoint).subtask_count;
        print_summary(checkpoint);
        print_subtasks(checkpoint, count);
        print_states(checkpoint, count);
        if (with_files) {
            print_files(checkpoint, count);
        }
    }
    tarn_checkpoint_free(checkpoint);
    return CLI_OK;
}

static int act(const cli_command *command, int argc, char **argv, cli_place *place, void *context)
{
    static const struct option long_options[] = {
        {"files", no_argument, NULL, CLI_OPTION_OWN}, CLI_PLACE_ROW, CLI_OPTION_ROWS};
    bool as_json = false;
    bool with_files = false;
    (void)context;
    int exit_status =
        cli_place_read(command, argc, argv, long_options, place, &with_files, &as_json);
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
    return show(place->env, argv[optind], as_json, with_files);
}

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_place_run(command, argc, argv, act, NULL);
}

const cli_command cli_checkpoint_show = {
    .name = "checkpoint show",
    .summary = "show what is in a checkpoint",
    .help =
        "checkpoint show PATH [--files] [--conf FILE]... [-D KEY=VALUE]... [--json]\n"
        "\n"
        "Shows a checkpoint or savepoint: when it was taken, its operators and subtasks with "
        "their\n"
        "key groups, states, sizes. After a rescale subtasks may share files: those are counted\n"
        "once for each subtask, as each restores them.\n"
        "\n" CLI_PATH_HELP "  --files        also each file with its digest\n" CLI_PLACE_HELP
        "  --json         one line: {\"ok\":true,\"job\":...,\"id\":...,\"subtasks\":[...]}\n",
    .run = run,
};
