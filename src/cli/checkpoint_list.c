/* checkpoint_list.c - `tarn checkpoint list`: complete, unfinished and damaged ones. */
#include <inttypes.h>
#include <stdio.h>

#include "tarn/checkpoint.h"

#include "checkpoint_facts.h"
#include "json.h"
#include "place.h"
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

/* Answers as JSON or as a table; list has the one or the other. */
static int answer(listing *list)
{
    if (list->json == NULL) {
        cli_table_print(list->table);
        return CLI_OK;
    }
    json_t *made = cli_json_object();
    cli_json_set(made, "ok", json_true());
    cli_json_set(made, "checkpoints", list->json);
    cli_json_print(made);
    return CLI_OK;
}

static int list_all(tarn_env *env, const char *address, bool as_json)
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
    listing list = {
        .json = as_json ? cli_json_array() : NULL,
        .table = as_json ? NULL : cli_table_new(columns, sizeof columns / sizeof columns[0]),
    };
    tarn_status status = tarn_checkpoint_list_in(env, address, add_entry, &list, &error);
    if (status == TARN_OK && list.count == 0) {
        status = cli_no_checkpoint(address, &error);
    }
    if (status == TARN_OK) {
        return answer(&list);
    }
    json_decref(list.json);
    cli_table_free(list.table);
    return cli_refuse(as_json, error.message);
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
        return cli_usage(command, "give one directory of a job");
    }
    tarn_error error;
    if (cli_place_open(place, NULL, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    return list_all(place->env, argv[optind], as_json);
}

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_place_run(command, argc, argv, act, NULL);
}

const cli_command cli_checkpoint_list = {
    .name = "checkpoint list",
    .summary = "list the checkpoints of a job",
    .help = "checkpoint list DIR/JOB [--conf FILE]... [-D KEY=VALUE]... [--json]\n"
            "\n"
            "Lists the checkpoints of a job, the oldest first, with size, new bytes and how long\n"
            "each took. Unfinished and unreadable ones are shown with the reason. Exit status 1\n"
            "when there is none at all. DIR is a path, or an address such as s3://bucket/prefix.\n"
            "\n" CLI_PLACE_HELP "  --json         one line: {\"ok\":true,\"checkpoints\":[...]}\n",
    .run = run,
};
