/* list_options.c - `tarn options`: the table of every option. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "tarn/option.h"

#include "json.h"
#include "options.h"
#include "table.h"

enum { ALLOWED_BYTES = 256 };

/* A part of the key in either case, or a shell pattern for all of it. */
static bool key_fits(const char *key, const char *pattern)
{
    /* The asterisk of a row is a letter like others when it stands in the pattern as well. */
    return strcasestr(key, pattern) != NULL ||
           (strpbrk(pattern, "*?[") != NULL && fnmatch(pattern, key, FNM_CASEFOLD) == 0);
}

static bool fits(const tarn_option *option, const char *pattern)
{
    if (pattern == NULL || key_fits(option->key, pattern)) {
        return true;
    }
    for (const char *const *other = option->other_keys; *other != NULL; other++) {
        if (key_fits(*other, pattern)) {
            return true;
        }
    }
    /* A full key that the row's asterisk stands for. */
    return tarn_option_find(pattern) == option;
}

/* Appends to a text of ALLOWED_BYTES; what does not fit is left out. */
static void add(char *text, const char *before, const char *word)
{
    const size_t used = strlen(text);
    snprintf(text + used, ALLOWED_BYTES - used, "%s%s", before, word);
}

static void write_allowed(const tarn_option *option, char text[ALLOWED_BYTES])
{
    text[0] = '\0';
    for (const char *const *value = option->values; *value != NULL; value++) {
        add(text, text[0] == '\0' ? "" : "|", *value);
    }
    if (option->min_text != NULL) {
        add(text, text[0] == '\0' ? "" : ", ", "at least ");
        add(text, "", option->min_text);
    }
    if (option->max_text != NULL) {
        add(text, text[0] == '\0' ? "" : ", ", "at most ");
        add(text, "", option->max_text);
    }
}

static json_t *words_as_json(const char *const *words)
{
    json_t *made = cli_json_array();
    for (const char *const *at = words; *at != NULL; at++) {
        cli_json_append(made, cli_json_text(*at));
    }
    return made;
}

static json_t *option_as_json(const tarn_option *option)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "key", cli_json_text(option->key));
    cli_json_set(made, "type", cli_json_text(tarn_option_type_name(option->type)));
    cli_json_set(made, "unit", cli_json_text(option->unit[0] != '\0' ? option->unit : NULL));
    cli_json_set(made, "default", cli_json_text(option->default_text));
    cli_json_set(made, "min", cli_json_text(option->min_text));
    cli_json_set(made, "max", cli_json_text(option->max_text));
    cli_json_set(made, "values", words_as_json(option->values));
    cli_json_set(made, "other_keys", words_as_json(option->other_keys));
    cli_json_set(made, "since", cli_json_text(option->since));
    cli_json_set(made, "origin", cli_json_text(option->origin));
    cli_json_set(made, "read_by", cli_json_text(tarn_option_reader_name(option->reader)));
    cli_json_set(made, "acts_as", cli_json_text(option->acts_as_text));
    cli_json_set(made, "sentence", cli_json_text(option->sentence));
    return made;
}

static void print_json(const char *pattern)
{
    json_t *found = cli_json_array();
    for (size_t i = 0; i < tarn_option_count(); i++) {
        if (fits(tarn_option_at(i), pattern)) {
            cli_json_append(found, option_as_json(tarn_option_at(i)));
        }
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_true());
    cli_json_set(answer, "options", found);
    cli_json_print(answer);
}

/* "integer, threads" */
static void write_type(const tarn_option *option, char text[ALLOWED_BYTES])
{
    text[0] = '\0';
    add(text, "", tarn_option_type_name(option->type));
    if (option->unit[0] != '\0') {
        add(text, ", ", option->unit);
    }
}

/* One option with all that is known of it. */
static void print_one(const tarn_option *option)
{
    char text[ALLOWED_BYTES];
    printf("%s\n    %s\n\n", option->key, option->sentence);
    write_type(option, text);
    printf("type:     %s\n", text);
    printf("default:  %s\n", option->default_text != NULL ? option->default_text : "none");
    write_allowed(option, text);
    if (text[0] != '\0') {
        printf("allowed:  %s\n", text);
    }
    for (const char *const *other = option->other_keys; *other != NULL; other++) {
        printf("also:     %s\n", *other);
    }
    printf("read by:  %s\n", tarn_option_reader_name(option->reader));
    if (option->acts_as_text != NULL) {
        printf("acts as:  %s\n", option->acts_as_text);
    }
    printf("origin:   %s, in Tarn since %s\n", option->origin, option->since);
}

static void print_table(const char *pattern)
{
    static const cli_column columns[] = {
        {"KEY", CLI_LEFT},
        {"TYPE", CLI_LEFT},
        {"DEFAULT", CLI_LEFT},
        {"READ BY", CLI_LEFT},
        {"ALLOWED", CLI_CUT},
        {"WHAT", CLI_CUT},
    };
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < tarn_option_count(); i++) {
        const tarn_option *option = tarn_option_at(i);
        if (!fits(option, pattern)) {
            continue;
        }
        char type[ALLOWED_BYTES];
        char allowed[ALLOWED_BYTES];
        write_type(option, type);
        write_allowed(option, allowed);
        const char *standard = option->default_text != NULL ? option->default_text : "";
        const char *reader = tarn_option_reader_name(option->reader);
        cli_table_add(
            table,
            (const char *const[]){option->key, type, standard, reader, allowed, option->sentence});
    }
    cli_table_print(table);
}

/* Counts the options that fit; *first_out is the first of them. */
static size_t count_fitting(const char *pattern, const tarn_option **first_out)
{
    size_t count = 0;
    for (size_t i = 0; i < tarn_option_count(); i++) {
        if (fits(tarn_option_at(i), pattern)) {
            *first_out = count == 0 ? tarn_option_at(i) : *first_out;
            count++;
        }
    }
    return count;
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool as_json = false;
    const int exit_status = cli_options_read(command, argc, argv, &as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind + 1 < argc) {
        return cli_usage(command, "'%s' is one argument too many", argv[optind + 1]);
    }
    const char *pattern = optind < argc ? argv[optind] : NULL;
    const tarn_option *first = NULL;
    const size_t count = count_fitting(pattern, &first);
    if (count == 0) {
        char message[TARN_ERROR_MESSAGE_BYTES];
        snprintf(message, sizeof message, "no option has '%.300s' in its key", pattern);
        return cli_refuse(as_json, message);
    }
    if (as_json) {
        print_json(pattern);
    } else if (count == 1) {
        print_one(first);
    } else {
        print_table(pattern);
    }
    return CLI_OK;
}

const cli_command cli_options = {
    .name = "options",
    .summary = "list the options that Tarn knows",
    .help =
        "options [PATTERN] [--json]\n"
        "\n"
        "Lists every option: key, type, default, what of Tarn reads it, what is allowed, what it\n"
        "does. An option that is read by nothing has no effect. A single one is shown with all\n"
        "that is known of it. docs/CONFIGURATION.md has the same table, and says more of readers.\n"
        "\n"
        "  PATTERN   only options with this text in the key or another spelling of it; with *\n"
        "            or ? a pattern for the whole key. Exit status 1 when there is none.\n"
        "  --json    one line: {\"ok\":true,\"options\":[...]}\n",
    .run = run,
};
