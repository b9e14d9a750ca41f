/* conf.c - `tarn conf`: what a configuration file says, and what is wrong with it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/checkpoint_settings.h"
#include "tarn/config.h"
#include "tarn/option.h"

#include "json.h"
#include "options.h"
#include "setting.h"
#include "table.h"
#include "text.h"

enum { NOTE_BYTES = 256, PLACE_BYTES = 4096 };

/* What there is to say about one key. */
typedef struct finding {
    tarn_config_entry entry;
    const tarn_option *option; /* NULL: unknown. */
    const char *leading;       /* The key that counts instead of this spelling; NULL: none. */
    const char *similar;       /* For an unknown key: a known one that it may be meant for. */
    bool is_bad;
    bool is_ignored;  /* Its value is in vain. */
    tarn_error error; /* When is_bad. */
} finding;

/* Everything about a file. */
typedef struct report {
    finding *findings;
    size_t count;
    size_t bad_count;
    size_t unknown_count;
    bool is_contradictory;
    tarn_error contradiction;
    char **warnings;
    size_t warning_count;
} report;

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edit distance of two keys; SIZE_MAX for keys that are too long to be worth it. */
static size_t distance(const char *a, const char *b)
{
    enum { KEY_MAX = 128 };
    const size_t a_size = strlen(a);
    const size_t b_size = strlen(b);
    size_t row[KEY_MAX + 1];
    if (a_size > KEY_MAX || b_size > KEY_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const size_t above = row[j];
            const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = smallest(above + 1, row[j - 1] + 1, changed);
            diagonal = above;
        }
    }
    return row[b_size];
}

/* A known key that differs from key by a slip of the finger; NULL: none does. */
static const char *find_similar(const char *key)
{
    enum { SLIPS_MAX = 2 };
    const char *found = NULL;
    size_t nearest = SLIPS_MAX + 1;
    for (size_t i = 0; i < tarn_option_count(); i++) {
        const char *known = tarn_option_at(i)->key;
        const size_t slips = distance(key, known);
        if (slips < nearest) {
            nearest = slips;
            found = known;
        }
    }
    return found;
}

/* The key that is read instead of this entry's: an option is read from the first that is set. */
static const char *find_leading(const tarn_config *config, const finding *at)
{
    tarn_config_entry entry;
    if (at->option == NULL || strchr(at->option->key, '*') != NULL ||
        !cli_setting_find(config, at->option->key, &entry) ||
        strcmp(entry.key, at->entry.key) == 0) {
        return NULL;
    }
    return entry.key;
}

/* Judges a value alone, so that each bad one is found and not only the first. */
static tarn_status judge(const tarn_config_entry *entry, tarn_error *error)
{
    char place[PLACE_BYTES];
    tarn_config *alone = NULL;
    tarn_status status = tarn_config_new(NULL, &alone, error);
    if (status != TARN_OK) {
        return status;
    }
    snprintf(place, sizeof place, "%s:%" PRIu32, entry->origin, entry->line);
    status = tarn_config_set(alone, entry->key, entry->value, place, error);
    if (status == TARN_OK) {
        status = tarn_config_check(alone, error);
    }
    tarn_config_free(alone);
    return status;
}

static void look_at(const tarn_config *config, size_t index, report *out)
{
    finding *at = &out->findings[index];
    at->entry = tarn_config_at(config, index);
    at->option = tarn_option_find(at->entry.key);
    at->leading = find_leading(config, at);
    if (at->option == NULL) {
        at->similar = find_similar(at->entry.key);
        out->unknown_count++;
        return;
    }
    at->is_bad = judge(&at->entry, &at->error) != TARN_OK;
    out->bad_count += at->is_bad ? 1 : 0;
}

/* Keeps a warning, and marks the finding about a key that nothing reads. */
static bool take_warning(const tarn_config_warning *warning, void *context)
{
    report *out = context;
    const size_t size = (out->warning_count + 1) * sizeof *out->warnings;
    out->warnings = cli_must(realloc(out->warnings, size));
    out->warnings[out->warning_count++] = cli_must(strdup(warning->text));
    for (size_t i = 0; warning->key != NULL && i < out->count; i++) {
        finding *at = &out->findings[i];
        at->is_ignored = at->is_ignored ||
                         (at->option != NULL && at->option->reader == TARN_OPTION_READ_BY_NOTHING &&
                          strcmp(at->entry.key, warning->key) == 0);
    }
    return true;
}

static void report_clear(report *all)
{
    for (size_t i = 0; i < all->warning_count; i++) {
        free(all->warnings[i]);
    }
    free(all->warnings);
    free(all->findings);
}

static void report_init(report *out, const tarn_config *config)
{
    *out = (report){.count = tarn_config_count(config)};
    out->findings = cli_must(calloc(out->count + 1, sizeof *out->findings));
    for (size_t i = 0; i < out->count; i++) {
        look_at(config, i, out);
    }
    if (out->bad_count == 0) {
        tarn_checkpoint_settings settings = TARN_CHECKPOINT_SETTINGS_INIT;
        out->is_contradictory =
            tarn_checkpoint_settings_from_config(config, &settings, &out->contradiction) != TARN_OK;
    }
    tarn_config_visit_warnings(config, take_warning, out);
}

static bool is_good(const report *all)
{
    return all->bad_count == 0 && !all->is_contradictory;
}

static const char *kind_of(const finding *at)
{
    if (at->option == NULL) {
        return "unknown";
    }
    return at->is_bad ? "bad" : "known";
}

static bool is_other_spelling(const finding *at)
{
    return at->option != NULL && strchr(at->option->key, '*') == NULL &&
           strcmp(at->option->key, at->entry.key) != 0;
}

static void write_note(const finding *at, char note[NOTE_BYTES])
{
    note[0] = '\0';
    if (at->is_ignored) {
        const char *done = at->option->acts_as_text;
        snprintf(
            note,
            NOTE_BYTES,
            "has no effect in Tarn%s%.80s",
            done != NULL ? ", which acts as if it were " : "",
            done != NULL ? done : "");
    } else if (at->leading != NULL) {
        snprintf(note, NOTE_BYTES, "has no effect: %.120s is set", at->leading);
    } else if (is_other_spelling(at)) {
        snprintf(note, NOTE_BYTES, "another spelling of %.120s", at->option->key);
    } else if (at->similar != NULL) {
        snprintf(note, NOTE_BYTES, "is %.120s meant?", at->similar);
    }
}

static bool is_effective(const finding *at)
{
    return at->leading == NULL && at->option->reader != TARN_OPTION_READ_BY_NOTHING;
}

static json_t *finding_as_json(const finding *at)
{
    char note[NOTE_BYTES];
    write_note(at, note);
    const bool is_known = at->option != NULL;
    json_t *made = cli_json_object();
    cli_json_set(made, "key", cli_json_text(at->entry.key));
    cli_json_set(made, "value", cli_json_text(cli_setting_shown(&at->entry)));
    cli_json_set(made, "origin", cli_json_text(at->entry.origin));
    cli_json_set(made, "line", cli_json_integer(at->entry.line));
    cli_json_set(made, "known", json_boolean(is_known));
    cli_json_set(made, "option", cli_json_text(is_known ? at->option->key : NULL));
    cli_json_set(
        made, "type", cli_json_text(is_known ? tarn_option_type_name(at->option->type) : NULL));
    cli_json_set(made, "default", cli_json_text(is_known ? at->option->default_text : NULL));
    cli_json_set(
        made,
        "read_by",
        cli_json_text(is_known ? tarn_option_reader_name(at->option->reader) : NULL));
    cli_json_set(made, "effective", is_known ? json_boolean(is_effective(at)) : json_null());
    cli_json_set(made, "note", cli_json_text(note[0] != '\0' ? note : NULL));
    cli_json_set(made, "problem", cli_json_text(at->is_bad ? at->error.message : NULL));
    return made;
}

static void print_json(const report *all)
{
    json_t *entries = cli_json_array();
    json_t *problems = cli_json_array();
    json_t *warnings = cli_json_array();
    for (size_t i = 0; i < all->count; i++) {
        cli_json_append(entries, finding_as_json(&all->findings[i]));
        if (all->findings[i].is_bad) {
            cli_json_append(problems, cli_json_text(all->findings[i].error.message));
        }
    }
    if (all->is_contradictory) {
        cli_json_append(problems, cli_json_text(all->contradiction.message));
    }
    for (size_t i = 0; i < all->warning_count; i++) {
        cli_json_append(warnings, cli_json_text(all->warnings[i]));
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_boolean(is_good(all)));
    cli_json_set(answer, "entries", entries);
    cli_json_set(answer, "problems", problems);
    cli_json_set(answer, "warnings", warnings);
    cli_json_print(answer);
}

static void print_table(const report *all)
{
    static const cli_column columns[] = {
        {"LINE", CLI_RIGHT},
        {"KEY", CLI_LEFT},
        {"VALUE", CLI_LEFT},
        {"OPTION", CLI_LEFT},
        {"DEFAULT", CLI_LEFT},
        {"NOTE", CLI_LEFT},
    };
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < all->count; i++) {
        const finding *at = &all->findings[i];
        char note[NOTE_BYTES];
        write_note(at, note);
        const cli_text line = cli_text_integer(at->entry.line);
        const bool has_default = at->option != NULL && at->option->default_text != NULL;
        cli_table_add(
            table,
            (const char *const[]){
                line.data,
                at->entry.key,
                cli_setting_shown(&at->entry),
                kind_of(at),
                has_default ? at->option->default_text : "",
                note});
    }
    cli_table_print(table);
    printf(
        "\nkeys: %zu, unknown: %zu, bad values: %zu, warnings: %zu\n",
        all->count,
        all->unknown_count,
        all->bad_count,
        all->warning_count);
    for (size_t i = 0; i < all->warning_count; i++) {
        printf("%s\n", all->warnings[i]);
    }
}

static void print_problems(const report *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->findings[i].is_bad) {
            cli_say("%s", all->findings[i].error.message);
        }
    }
    if (all->is_contradictory) {
        cli_say("%s", all->contradiction.message);
    }
}

static int examine(const char *path, bool as_json)
{
    tarn_error error;
    tarn_config *config = NULL;
    if (tarn_config_new(NULL, &config, &error) != TARN_OK ||
        tarn_config_load(config, path, &error) != TARN_OK) {
        tarn_config_free(config);
        return cli_refuse(as_json, error.message);
    }
    report all;
    report_init(&all, config);
    if (as_json) {
        print_json(&all);
    } else {
        print_table(&all);
        print_problems(&all);
    }
    const int exit_status = is_good(&all) ? CLI_OK : CLI_NO;
    report_clear(&all);
    tarn_config_free(config);
    return exit_status;
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool as_json = false;
    const int exit_status = cli_options_read(command, argc, argv, &as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind + 1 != argc) {
        return cli_usage(command, "give one file, or the directory of one");
    }
    return examine(argv[optind], as_json);
}

const cli_command cli_conf = {
    .name = "conf",
    .summary = "show what a configuration file says, and what is wrong with it",
    .help =
        "conf FILE [--json]\n"
        "\n"
        "Shows each key of a flink-conf.yaml or config.yaml (or of the directory of one): line,\n"
        "value and default, whether Tarn knows it, which spelling is the current one. Passwords\n"
        "and the like are hidden. Exit status 1 when a value is bad or checkpoint options\n"
        "contradict each other; unknown keys are only reported. Warnings are about what is in\n"
        "vain: values of options that nothing in Tarn reads, lines that are no key and value,\n"
        "keys that come twice.\n"
        "\n"
        "  --json    one line: "
        "{\"ok\":...,\"entries\":[...],\"problems\":[...],\"warnings\":[...]}\n",
    .run = run,
};
