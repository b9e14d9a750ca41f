/* checkpoint_gc.c - `tarn checkpoint gc`: what no checkpoint of a job reaches, found and removed.
 */
#include <stdio.h>
#include <string.h>

#include "tarn/cleanup.h"
#include "tarn/quantity.h"

#include "checkpoint_facts.h"
#include "json.h"
#include "place.h"
#include "table.h"
#include "text.h"

enum {
    OPTION_DRY_RUN = CLI_OPTION_OWN,
    OPTION_GRACE,
    REASON_BYTES = TARN_ERROR_MESSAGE_BYTES + 128,
};

static const char *kind_name(tarn_garbage_kind kind)
{
    switch (kind) {
    case TARN_GARBAGE_SHARED:
        return "shared";
    case TARN_GARBAGE_UNFINISHED:
        return "unfinished";
    case TARN_GARBAGE_LEFTOVER:
        return "leftover";
    }
    return "?";
}

/* What was found; one of the two is NULL. */
typedef struct findings {
    json_t *json;
    cli_table *table;
    uint64_t problem_count;
} findings;

static void add_item(const tarn_garbage_item *item, void *context)
{
    findings *f = context;
    f->problem_count += item->problem != NULL ? 1 : 0;
    if (f->json != NULL) {
        json_t *made = cli_json_object();
        cli_json_set(made, "name", cli_json_text(item->name));
        cli_json_set(made, "kind", cli_json_text(kind_name(item->kind)));
        cli_json_set(made, "size", cli_json_count(item->size));
        cli_json_set(made, "age_ms", cli_json_count(item->age_ms));
        cli_json_set(made, "problem", cli_json_text(item->problem));
        cli_json_append(f->json, made);
        return;
    }
    const cli_text size = cli_text_bytes(item->size);
    const cli_text age = cli_text_elapsed(item->age_ms);
    const char *problem = item->problem != NULL ? item->problem : "";
    cli_table_add(
        f->table,
        (const char *const[]){kind_name(item->kind), size.data, age.data, item->name, problem});
}

/* "1 checkpoint cannot be read, ...", with the first by name. */
static const char *explain_unreadable(const tarn_garbage_stats *stats, char out[REASON_BYTES])
{
    const bool is_one = stats->unreadable_count == 1;
    snprintf(
        out,
        REASON_BYTES,
        "nothing is removed, as nobody knows what %" PRIu64 " %s: %s",
        stats->unreadable_count,
        is_one ? "checkpoint names that cannot be read" : "checkpoints name that cannot be read",
        stats->unreadable.message);
    return out;
}

static bool is_of_no_job(const tarn_garbage_stats *stats)
{
    return stats->checkpoint_count + stats->unreadable_count + stats->found_count +
               stats->young_count ==
           0;
}

static void print_json(const findings *f, const tarn_garbage_stats *stats)
{
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_boolean(f->problem_count == 0 && stats->unreadable_count == 0));
    cli_json_set(answer, "checkpoint_count", cli_json_count(stats->checkpoint_count));
    cli_json_set(answer, "unreadable_count", cli_json_count(stats->unreadable_count));
    cli_json_set(answer, "found_count", cli_json_count(stats->found_count));
    cli_json_set(answer, "found_bytes", cli_json_count(stats->found_bytes));
    cli_json_set(answer, "removed_count", cli_json_count(stats->removed_count));
    cli_json_set(answer, "removed_bytes", cli_json_count(stats->removed_bytes));
    cli_json_set(answer, "young_count", cli_json_count(stats->young_count));
    cli_json_set(answer, "young_bytes", cli_json_count(stats->young_bytes));
    cli_json_set(answer, "garbage", f->json);
    if (stats->unreadable_count > 0) {
        char reason[REASON_BYTES];
        cli_json_set(answer, "error", cli_json_text(explain_unreadable(stats, reason)));
    }
    cli_json_print(answer);
}

static void print_table(findings *f, const tarn_garbage_stats *stats, bool is_dry_run)
{
    if (stats->found_count > 0) {
        cli_table_print(f->table);
    } else {
        cli_table_free(f->table);
    }
    if (stats->unreadable_count > 0) {
        char reason[REASON_BYTES];
        cli_say("%s", explain_unreadable(stats, reason));
        return;
    }
    const cli_text found = cli_text_bytes(is_dry_run ? stats->found_bytes : stats->removed_bytes);
    const cli_text young = cli_text_bytes(stats->young_bytes);
    printf(
        "%s %" PRIu64 " files, %s; %" PRIu64 " that nothing names are too young, %s\n",
        is_dry_run ? "would remove" : "removed",
        is_dry_run ? stats->found_count : stats->removed_count,
        found.data,
        stats->young_count,
        young.data);
}

static int collect(tarn_garbage_options *options, bool as_json)
{
    static const cli_column columns[] = {
        {"KIND", CLI_LEFT},
        {"SIZE", CLI_RIGHT},
        {"AGE", CLI_RIGHT},
        {"FILE", CLI_LEFT},
        {"PROBLEM", CLI_CUT},
    };
    findings f = {
        .json = as_json ? cli_json_array() : NULL,
        .table = as_json ? NULL : cli_table_new(columns, sizeof columns / sizeof columns[0]),
    };
    options->visit = add_item;
    options->context = &f;
    tarn_error error;
    tarn_garbage_stats stats;
    tarn_status status = tarn_garbage_collect(options, &stats, &error);
    if (status == TARN_OK && is_of_no_job(&stats)) {
        status = cli_no_checkpoint(options->address, &error);
    }
    if (status != TARN_OK) {
        json_decref(f.json);
        cli_table_free(f.table);
        return cli_refuse(as_json, error.message);
    }
    if (as_json) {
        print_json(&f, &stats);
    } else {
        print_table(&f, &stats, options->is_dry_run);
    }
    return f.problem_count == 0 && stats.unreadable_count == 0 ? CLI_OK : CLI_NO;
}

/* "0" is no grace at all; the library's zero is its default. */
static bool read_grace(const char *text, uint64_t *out)
{
    tarn_duration age;
    int64_t age_ms = 0;
    if (tarn_duration_parse(tarn_bytes_of(text), &age, NULL) != TARN_OK ||
        tarn_duration_to_ms(age, &age_ms, NULL) != TARN_OK) {
        return false;
    }
    *out = age_ms == 0 ? TARN_GRACE_NONE : (uint64_t)age_ms;
    return true;
}

static int act(const cli_command *command, int argc, char **argv, cli_place *place, void *context)
{
    (void)context;
    static const struct option rows[] = {
        {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
        {"grace", required_argument, NULL, OPTION_GRACE},
        CLI_PLACE_ROW,
        CLI_OPTION_ROWS,
    };
    tarn_garbage_options options = TARN_GARBAGE_OPTIONS_INIT;
    bool as_json = false;
    for (int option = 0;
         (option = cli_option_next(command, argc, argv, CLI_PLACE_SHORT, rows)) != -1;) {
        if (cli_place_take(place, option)) {
            continue;
        }
        switch (option) {
        case OPTION_DRY_RUN:
            options.is_dry_run = true;
            break;
        case OPTION_GRACE:
            if (!read_grace(optarg, &options.grace_ms)) {
                return cli_usage(command, "'%s' is no age such as 30min or 0", optarg);
            }
            break;
        case CLI_OPTION_JSON:
            as_json = true;
            break;
        case CLI_OPTION_HELP:
            return cli_command_help(command);
        default:
            return CLI_USAGE;
        }
    }
    if (optind + 1 != argc) {
        return cli_usage(command, "give one directory of a job");
    }
    const int exit_status = cli_place_load(command, place, as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    tarn_error error;
    if (cli_place_open(place, NULL, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    options.env = place->env;
    options.address = argv[optind];
    return collect(&options, as_json);
}

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_place_run(command, argc, argv, act, NULL);
}

const cli_command cli_checkpoint_gc = {
    .name = "checkpoint gc",
    .summary = "remove what no checkpoint of a job reaches",
    .help =
        "checkpoint gc DIR/JOB [--dry-run] [--grace AGE] [OPTION]... [--json]\n"
        "\n"
        "Removes unfinished checkpoints, what given-up attempts left, and shared files that no\n"
        "checkpoint names. Safe beside a running job, as what is younger than AGE stays.\n"
        "Savepoints are not touched. With a checkpoint that cannot be read nothing is removed;\n"
        "it is named, and the exit status is 1. DIR is a path, or an address such as\n"
        "s3://bucket/prefix.\n"
        "\n"
        "  --dry-run      say what would go, and remove nothing\n"
        "  --grace AGE    such as 30min or 2d; longer than any checkpoint takes. Default: 24h. 0\n"
        "                 removes all at once, and is refused while a job is "
        "running\n" CLI_PLACE_HELP "  --json         one line: {\"ok\":...,\"garbage\":[...]}\n",
    .run = run,
};
