/* checkpoint_list.c - `tarn checkpoint list`: complete, unfinished and damaged ones. */
#include <inttypes.h>
#include <stdio.h>

#include "tarn/checkpoint.h"

#include "json.h"
#include "options.h"
#include "table.h"
#include "text.h"

/* Where entries go. */
typedef struct listing {
    json_t *json;     /* NULL: as a table. */
    cli_table *table; /* NULL: as JSON. */
    size_t count;
} listing;

static const char *state_of(const tarn_checkpoint_entry *entry)
{
    switch (entry->status) {
    case TARN_OK:
        return "complete";
    case TARN_MISSING:
        return "unfinished";
    case TARN_CORRUPTION:
        return "damaged";
    case TARN_NOT_SUPPORTED:
        return "newer";
    case TARN_NOT_FOUND:
    case TARN_DONE:
    case TARN_PENDING:
    case TARN_INVALID_ARGUMENT:
    case TARN_BUSY:
    case TARN_INCOMPATIBLE:
    case TARN_POISONED:
    case TARN_NO_MEMORY:
    case TARN_OVER_BUDGET:
    case TARN_IO_ERROR:
    case TARN_NO_SPACE:
    case TARN_REMOTE_ERROR:
    case TARN_TIMED_OUT:
    case TARN_DECLINED:
    case TARN_ABANDONED:
    case TARN_INTERNAL:
        return "unreadable";
    }
    return "unreadable";
}

static void add_json(json_t *list, const tarn_checkpoint_entry *entry)
{
    const tarn_checkpoint_summary *summary = &entry->summary;
    json_t *made = cli_json_object();
    cli_json_set(made, "id", cli_json_count(summary->id));
    cli_json_set(made, "path", cli_json_text(entry->path));
    cli_json_set(made, "state", cli_json_text(state_of(entry)));
    if (entry->status == TARN_OK) {
        cli_json_set(made, "timestamp_ms", cli_json_integer(summary->timestamp_ms));
        cli_json_set(made, "duration_ms", cli_json_count(summary->duration_ms));
        cli_json_set(made, "max_parallelism", cli_json_count(summary->max_parallelism));
        cli_json_set(made, "operator_count", cli_json_count(summary->operator_count));
        cli_json_set(made, "subtask_count", cli_json_count(summary->subtask_count));
        cli_json_set(made, "file_count", cli_json_count(summary->file_count));
        cli_json_set(made, "total_bytes", cli_json_count(summary->total_bytes));
        cli_json_set(made, "new_bytes", cli_json_count(summary->new_bytes));
    } else {
        cli_json_set(made, "reason", cli_json_text(entry->reason));
    }
    cli_json_append(list, made);
}

static void add_row(cli_table *table, const tarn_checkpoint_entry *entry)
{
    const tarn_checkpoint_summary *summary = &entry->summary;
    const cli_text id = cli_text_count(summary->id);
    if (entry->status != TARN_OK) {
        const char *reason = entry->reason != NULL ? entry->reason : "";
        cli_table_add(
            table, (const char *const[]){id.data, state_of(entry), "", "", "", "", "", "", reason});
        return;
    }
    const cli_text time = cli_text_time(summary->timestamp_ms);
    const cli_text took = cli_text_elapsed(summary->duration_ms);
    const cli_text subtasks = cli_text_count(summary->subtask_count);
    const cli_text files = cli_text_count(summary->file_count);
    const cli_text size = cli_text_bytes(summary->total_bytes);
    const cli_text fresh = cli_text_bytes(summary->new_bytes);
    cli_table_add(
        table,
        (const char *const[]){
            id.data,
            state_of(entry),
            time.data,
            took.data,
            subtasks.data,
            files.data,
            size.data,
            fresh.data,
            entry->path});
}

static bool add_entry(const tarn_checkpoint_entry *entry, void *context)
{
    listing *list = context;
    list->count++;
    if (list->json != NULL) {
        add_json(list->json, entry);
    } else {
        add_row(list->table, entry);
    }
    return true;
}

static int list_json(const char *address)
{
    tarn_error error;
    listing list = {.json = cli_json_array()};
    if (tarn_checkpoint_list(address, add_entry, &list, &error) != TARN_OK) {
        json_decref(list.json);
        return cli_refuse(/* as_json= */ true, error.message);
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_true());
    cli_json_set(answer, "checkpoints", list.json);
    cli_json_print(answer);
    return CLI_OK;
}

static int list_table(const char *address)
{
    static const cli_column columns[] = {
        {"ID", CLI_RIGHT},
        {"STATE", CLI_LEFT},
        {"BEGUN", CLI_LEFT},
        {"TOOK", CLI_RIGHT},
        {"SUBTASKS", CLI_RIGHT},
        {"FILES", CLI_RIGHT},
        {"SIZE", CLI_RIGHT},
        {"NEW", CLI_RIGHT},
        {"PATH OR REASON", CLI_LEFT},
    };
    tarn_error error;
    listing list = {.table = cli_table_new(columns, sizeof columns / sizeof columns[0])};
    if (tarn_checkpoint_list(address, add_entry, &list, &error) != TARN_OK) {
        cli_table_free(list.table);
        return cli_refuse(/* as_json= */ false, error.message);
    }
    if (list.count > 0) {
        cli_table_print(list.table);
        return CLI_OK;
    }
    cli_table_free(list.table);
    cli_say("%s holds no checkpoint; a job's directory has folders such as chk-1", address);
    return CLI_OK;
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool as_json = false;
    const int exit_status = cli_options_read(command, argc, argv, &as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind + 1 != argc) {
        return cli_usage(command, "give one directory of a job");
    }
    return as_json ? list_json(argv[optind]) : list_table(argv[optind]);
}

const cli_command cli_checkpoint_list = {
    .name = "checkpoint list",
    .summary = "list the checkpoints of a job",
    .help = "checkpoint list DIR/JOB [--json]\n"
            "\n"
            "Lists the checkpoints of a job, the oldest first, with size, new bytes and how long\n"
            "each took. Unfinished and unreadable ones are shown with the reason.\n"
            "\n"
            "  --json    one line: {\"ok\":true,\"checkpoints\":[...]}\n",
    .run = run,
};
