/* checkpoint_show.c - `tarn checkpoint show`: what is in a checkpoint. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tarn/backend.h"
#include "tarn/checkpoint.h"

#include "json.h"
#include "options.h"
#include "table.h"
#include "text.h"

enum { OPTION_FILES = CLI_OPTION_OWN, JOB_BYTES = 256, STATE_BYTES = 320 };

/* The bytes of a subtask's files, by where they are. */
typedef struct sizes {
    uint64_t shared_bytes;
    uint64_t private_bytes;
} sizes;

static sizes measure(const tarn_checkpoint *checkpoint, uint32_t index)
{
    sizes made = {0};
    const tarn_checkpoint_subtask subtask = tarn_checkpoint_subtask_at(checkpoint, index);
    for (uint32_t i = 0; i < subtask.file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, index, i);
        *(file.is_shared ? &made.shared_bytes : &made.private_bytes) += file.size;
    }
    return made;
}

static const char *hash_name(uint32_t key_hash)
{
    static const char *const names[] = {
        [TARN_KEY_HASH_BYTES] = "bytes",
        [TARN_KEY_HASH_JAVA_STRING] = "java-string",
        [TARN_KEY_HASH_JAVA_INT] = "java-int",
        [TARN_KEY_HASH_JAVA_LONG] = "java-long",
        [TARN_KEY_HASH_JAVA_BYTES] = "java-bytes",
        [TARN_KEY_HASH_CALLER] = "caller",
    };
    return key_hash < sizeof names / sizeof names[0] ? names[key_hash] : "?";
}

/* The job of DIR/JOB/chk-N. */
static void find_job(const char *path, char job[JOB_BYTES])
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] != '/') {
        end--;
    }
    while (end > 0 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    snprintf(job, JOB_BYTES, "%.*s", (int)(end - start), path + start);
}

static json_t *state_as_json(const tarn_checkpoint_state *state)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "name", cli_json_text(state->name));
    cli_json_set(made, "kind", cli_json_text(state->kind));
    cli_json_set(made, "codec", cli_json_text(state->codec_name));
    cli_json_set(made, "codec_version", cli_json_count(state->codec_version));
    return made;
}

static json_t *file_as_json(const tarn_checkpoint_file *file)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "local_name", cli_json_text(file->local_name));
    cli_json_set(made, "path", cli_json_text(file->path));
    cli_json_set(made, "shared", json_boolean(file->is_shared));
    cli_json_set(made, "size", cli_json_count(file->size));
    cli_json_set(made, "digest", cli_json_text(file->digest));
    return made;
}

static json_t *states_as_json(const tarn_checkpoint *checkpoint, uint32_t index, uint32_t count)
{
    json_t *made = cli_json_array();
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_state state = tarn_checkpoint_state_at(checkpoint, index, i);
        cli_json_append(made, state_as_json(&state));
    }
    return made;
}

static json_t *files_as_json(const tarn_checkpoint *checkpoint, uint32_t index, uint32_t count)
{
    json_t *made = cli_json_array();
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, index, i);
        cli_json_append(made, file_as_json(&file));
    }
    return made;
}

static json_t *operator_states_as_json(
    const tarn_checkpoint *checkpoint, uint32_t index, uint32_t count)
{
    json_t *made = cli_json_array();
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_operator_state state =
            tarn_checkpoint_operator_state_at(checkpoint, index, i);
        json_t *one = cli_json_object();
        cli_json_set(one, "name", cli_json_text(state.name));
        cli_json_set(one, "bytes", cli_json_count(state.bytes.size));
        cli_json_append(made, one);
    }
    return made;
}

static json_t *keyed_as_json(const tarn_checkpoint_subtask *subtask)
{
    if (!subtask->has_keyed_state) {
        return json_null();
    }
    json_t *range = cli_json_object();
    cli_json_set(range, "first", cli_json_integer(subtask->key_groups.first));
    cli_json_set(range, "last", cli_json_integer(subtask->key_groups.last));
    return range;
}

static json_t *subtask_as_json(const tarn_checkpoint *checkpoint, uint32_t index, bool with_files)
{
    const tarn_checkpoint_subtask at = tarn_checkpoint_subtask_at(checkpoint, index);
    const sizes size = measure(checkpoint, index);
    const char *hash = at.has_keyed_state ? hash_name(at.key_hash) : NULL;
    json_t *made = cli_json_object();
    cli_json_set(made, "operator", cli_json_text(at.operator_name));
    cli_json_set(made, "subtask", cli_json_count(at.subtask_index));
    cli_json_set(made, "parallelism", cli_json_count(at.parallelism));
    cli_json_set(made, "max_parallelism", cli_json_count(at.max_parallelism));
    cli_json_set(made, "key_groups", keyed_as_json(&at));
    cli_json_set(made, "hash", cli_json_text(hash));
    cli_json_set(made, "file_count", cli_json_count(at.file_count));
    cli_json_set(made, "total_bytes", cli_json_count(at.total_bytes));
    cli_json_set(made, "shared_bytes", cli_json_count(size.shared_bytes));
    cli_json_set(made, "private_bytes", cli_json_count(size.private_bytes));
    cli_json_set(made, "states", states_as_json(checkpoint, index, at.state_count));
    cli_json_set(
        made,
        "operator_states",
        operator_states_as_json(checkpoint, index, at.operator_state_count));
    if (with_files) {
        cli_json_set(made, "files", files_as_json(checkpoint, index, at.file_count));
    }
    return made;
}

static void print_json(const tarn_checkpoint *checkpoint, bool with_files)
{
    const tarn_checkpoint_summary summary = tarn_checkpoint_summarize(checkpoint);
    const char *path = tarn_checkpoint_path(checkpoint);
    char job[JOB_BYTES];
    find_job(path, job);
    json_t *subtasks = cli_json_array();
    for (uint32_t i = 0; i < summary.subtask_count; i++) {
        cli_json_append(subtasks, subtask_as_json(checkpoint, i, with_files));
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_true());
    cli_json_set(answer, "job", cli_json_text(job));
    cli_json_set(answer, "id", cli_json_count(summary.id));
    cli_json_set(answer, "path", cli_json_text(path));
    cli_json_set(answer, "timestamp_ms", cli_json_integer(summary.timestamp_ms));
    cli_json_set(answer, "duration_ms", cli_json_count(summary.duration_ms));
    cli_json_set(answer, "max_parallelism", cli_json_count(summary.max_parallelism));
    cli_json_set(answer, "operator_count", cli_json_count(summary.operator_count));
    cli_json_set(answer, "subtask_count", cli_json_count(summary.subtask_count));
    cli_json_set(answer, "file_count", cli_json_count(summary.file_count));
    cli_json_set(answer, "total_bytes", cli_json_count(summary.total_bytes));
    cli_json_set(answer, "new_bytes", cli_json_count(summary.new_bytes));
    cli_json_set(answer, "subtasks", subtasks);
    cli_json_print(answer);
}

static void print_summary(const tarn_checkpoint *checkpoint)
{
    const tarn_checkpoint_summary at = tarn_checkpoint_summarize(checkpoint);
    const char *path = tarn_checkpoint_path(checkpoint);
    char job[JOB_BYTES];
    find_job(path, job);
    printf("job:              %s\n", job);
    printf("checkpoint:       %" PRIu64 "\n", at.id);
    printf("path:             %s\n", path);
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
    const sizes size = measure(checkpoint, index);
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
            at.has_keyed_state ? hash_name(at.key_hash) : "",
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

static void add_states(cli_table *table, const tarn_checkpoint *checkpoint, uint32_t index)
{
    const tarn_checkpoint_subtask at = tarn_checkpoint_subtask_at(checkpoint, index);
    const cli_text subtask = cli_text_count(at.subtask_index);
    for (uint32_t i = 0; i < at.state_count; i++) {
        const tarn_checkpoint_state state = tarn_checkpoint_state_at(checkpoint, index, i);
        char codec[STATE_BYTES];
        snprintf(codec, sizeof codec, "%s v%" PRIu32, state.codec_name, state.codec_version);
        cli_table_add(
            table,
            (const char *const[]){
                at.operator_name, subtask.data, state.name, state.kind, codec, ""});
    }
    for (uint32_t i = 0; i < at.operator_state_count; i++) {
        const tarn_checkpoint_operator_state state =
            tarn_checkpoint_operator_state_at(checkpoint, index, i);
        const cli_text bytes = cli_text_count(state.bytes.size);
        cli_table_add(
            table,
            (const char *const[]){
                at.operator_name, subtask.data, state.name, "operator", "", bytes.data});
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
                file.is_shared ? "shared" : "private",
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

static int show(const char *address, bool as_json, bool with_files)
{
    tarn_error error;
    tarn_checkpoint *checkpoint = NULL;
    if (tarn_checkpoint_open(address, NULL, &checkpoint, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    if (as_json) {
        print_json(checkpoint, with_files);
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

static int run(const cli_command *command, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"files", no_argument, NULL, OPTION_FILES}, CLI_OPTION_ROWS};
    bool as_json = false;
    bool with_files = false;
    for (;;) {
        const int option = cli_option_next(command, argc, argv, "", long_options);
        if (option == -1) {
            break;
        }
        if (option == CLI_OPTION_HELP) {
            return cli_command_help(command);
        }
        if (option == CLI_OPTION_BAD) {
            return CLI_USAGE;
        }
        as_json = as_json || option == CLI_OPTION_JSON;
        with_files = with_files || option == OPTION_FILES;
    }
    if (optind + 1 != argc) {
        return cli_usage(command, "give one checkpoint");
    }
    return show(argv[optind], as_json, with_files);
}

const cli_command cli_checkpoint_show = {
    .name = "checkpoint show",
    .summary = "show what is in a checkpoint",
    .help =
        "checkpoint show PATH [--files] [--json]\n"
        "\n"
        "Shows a checkpoint: when it was taken, its operators and subtasks with their key groups,\n"
        "states, sizes.\n"
        "\n"
        "  PATH      DIR/JOB/chk-N, its _metadata, or DIR/JOB for the newest complete one\n"
        "  --files   also each file with its digest\n"
        "  --json    one line: {\"ok\":true,\"job\":...,\"id\":...,\"subtasks\":[...]}\n",
    .run = run,
};
