/* key_group.c - `tarn key-group`: where keys go. */
#include "tarn/key_group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "options.h"
#include "table.h"
#include "text.h"

enum { OPTION_MAX_PARALLELISM = CLI_OPTION_OWN, OPTION_PARALLELISM, OPTION_HASH, OPTION_HEX };

/* Hashes the text of a key as it was given; false when it is no such key. */
typedef bool hash_fn(tarn_bytes key, const char *text, int32_t *out);

/* How keys are hashed. */
typedef struct hash_kind {
    const char *name;
    hash_fn *hash;
    bool takes_bytes; /* --hex makes sense. */
    const char *form; /* What a key must be. */
} hash_kind;

/* What was asked for. */
typedef struct request {
    bool as_json;
    bool is_hex;
    const hash_kind *kind;
    uint32_t max_parallelism; /* 0: not given. */
    uint32_t parallelism;     /* 0: not given. */
} request;

/* Where one key goes. */
typedef struct place {
    int32_t hash;
    int32_t murmur;
    uint32_t group;
    uint32_t subtask;
    tarn_key_group_range range;
} place;

static bool hash_bytes(tarn_bytes key, const char *text, int32_t *out)
{
    (void)text;
    *out = tarn_hash_bytes(key);
    return true;
}

static bool hash_java_string(tarn_bytes key, const char *text, int32_t *out)
{
    (void)text;
    *out = tarn_hash_java_string(key.data, key.size);
    return true;
}

static bool hash_java_int(tarn_bytes key, const char *text, int32_t *out)
{
    (void)key;
    int64_t number = 0;
    if (!cli_number(text, INT32_MIN, INT32_MAX, &number)) {
        return false;
    }
    *out = tarn_hash_java_int((int32_t)number);
    return true;
}

static bool hash_java_long(tarn_bytes key, const char *text, int32_t *out)
{
    (void)key;
    int64_t number = 0;
    if (!cli_number(text, INT64_MIN, INT64_MAX, &number)) {
        return false;
    }
    *out = tarn_hash_java_long(number);
    return true;
}

static bool hash_java_bytes(tarn_bytes key, const char *text, int32_t *out)
{
    (void)text;
    *out = tarn_hash_java_bytes(key);
    return true;
}

static const hash_kind kinds[] = {
    {"bytes", hash_bytes, true, "bytes"},
    {"java-string", hash_java_string, true, "text"},
    {"java-int", hash_java_int, false, "a decimal integer of 32 bits"},
    {"java-long", hash_java_long, false, "a decimal integer of 64 bits"},
    {"java-bytes", hash_java_bytes, true, "bytes"},
};

static const hash_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char low = digit >= 'A' && digit <= 'F' ? (char)(digit - 'A' + 'a') : digit;
    const char *at = low != '\0' ? strchr(digits, low) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Reads "0x00ff" into into, which has room for half of the digits; false when it is none. */
static bool read_hex(const char *text, uint8_t *into, size_t *size_out)
{
    if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X') || strlen(text) % 2 != 0) {
        return false;
    }
    size_t size = 0;
    for (const char *at = text + 2; *at != '\0'; at += 2) {
        const int high = hex_digit(at[0]);
        const int low = hex_digit(at[1]);
        if (high < 0 || low < 0) {
            return false;
        }
        into[size++] = (uint8_t)(high * 16 + low);
    }
    *size_out = size;
    return true;
}

/* The hash of a key as it was given. */
static bool hash_key(const request *given, const char *text, int32_t *out)
{
    if (!given->is_hex) {
        return given->kind->hash(tarn_bytes_of(text), text, out);
    }
    uint8_t *bytes = cli_must(malloc(strlen(text) + 1));
    size_t size = 0;
    const bool is_key =
        read_hex(text, bytes, &size) && given->kind->hash(tarn_bytes_at(bytes, size), text, out);
    free(bytes);
    return is_key;
}

static tarn_status locate(const request *given, int32_t hash, place *out, tarn_error *error)
{
    *out = (place){
        .hash = hash,
        .murmur = tarn_hash_murmur(hash),
        .group = tarn_key_group_of(hash, given->max_parallelism),
    };
    if (given->parallelism == 0) {
        return TARN_OK;
    }
    out->subtask = tarn_key_group_subtask(out->group, given->max_parallelism, given->parallelism);
    return tarn_key_group_range_of(
        out->subtask, given->parallelism, given->max_parallelism, &out->range, error);
}

static json_t *place_as_json(const request *given, const char *key, const place *at)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "key", cli_json_text(key));
    cli_json_set(made, "hash", cli_json_integer(at->hash));
    cli_json_set(made, "murmur", cli_json_integer(at->murmur));
    cli_json_set(made, "key_group", cli_json_integer(at->group));
    if (given->parallelism != 0) {
        json_t *range = cli_json_object();
        cli_json_set(range, "first", cli_json_integer(at->range.first));
        cli_json_set(range, "last", cli_json_integer(at->range.last));
        cli_json_set(made, "subtask", cli_json_integer(at->subtask));
        cli_json_set(made, "key_groups", range);
    }
    return made;
}

static void print_json(const request *given, char **keys, const place *places, size_t count)
{
    json_t *list = cli_json_array();
    for (size_t i = 0; i < count; i++) {
        cli_json_append(list, place_as_json(given, keys[i], &places[i]));
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_true());
    cli_json_set(answer, "hash", cli_json_text(given->kind->name));
    cli_json_set(answer, "max_parallelism", cli_json_integer(given->max_parallelism));
    if (given->parallelism != 0) {
        cli_json_set(answer, "parallelism", cli_json_integer(given->parallelism));
    }
    cli_json_set(answer, "keys", list);
    cli_json_print(answer);
}

static void print_table(const request *given, char **keys, const place *places, size_t count)
{
    static const cli_column columns[] = {
        {"KEY", CLI_LEFT},
        {"HASH", CLI_RIGHT},
        {"MURMUR", CLI_RIGHT},
        {"KEY GROUP", CLI_RIGHT},
        {"SUBTASK", CLI_RIGHT},
        {"ITS KEY GROUPS", CLI_RIGHT},
    };
    enum { COUNT_OF_GROUP = 4 }; /* Without a parallelism there are no subtasks. */
    const size_t all = sizeof columns / sizeof columns[0];
    cli_table *table = cli_table_new(columns, given->parallelism != 0 ? all : COUNT_OF_GROUP);
    for (size_t i = 0; i < count; i++) {
        const cli_text hash = cli_text_integer(places[i].hash);
        const cli_text murmur = cli_text_integer(places[i].murmur);
        const cli_text group = cli_text_integer(places[i].group);
        const cli_text subtask = cli_text_integer(places[i].subtask);
        const cli_text range = cli_text_range(places[i].range.first, places[i].range.last);
        cli_table_add(
            table,
            (const char *const[]){
                keys[i], hash.data, murmur.data, group.data, subtask.data, range.data});
    }
    cli_table_print(table);
}

static int locate_all(
    const cli_command *command, const request *given, char **keys, size_t count, place *places)
{
    tarn_error error;
    for (size_t i = 0; i < count; i++) {
        int32_t hash = 0;
        if (!hash_key(given, keys[i], &hash)) {
            return cli_usage(
                command,
                "the key '%s' is not %s",
                keys[i],
                given->is_hex ? "hexadecimal, such as 0x00ff" : given->kind->form);
        }
        if (locate(given, hash, &places[i], &error) != TARN_OK) {
            return cli_refuse(given->as_json, error.message);
        }
    }
    if (given->as_json) {
        print_json(given, keys, places, count);
    } else {
        print_table(given, keys, places, count);
    }
    return CLI_OK;
}

static int read_parallelism(const cli_command *command, const char *name, uint32_t *out)
{
    int64_t number = 0;
    if (!cli_number(optarg, 1, TARN_MAX_PARALLELISM_LIMIT, &number)) {
        return cli_usage(
            command, "%s '%s' is no number from 1 to %u", name, optarg, TARN_MAX_PARALLELISM_LIMIT);
    }
    *out = (uint32_t)number;
    return CLI_OK;
}

static int read_option(const cli_command *command, int option, request *out)
{
    switch (option) {
    case OPTION_MAX_PARALLELISM:
        return read_parallelism(command, "--max-parallelism", &out->max_parallelism);
    case OPTION_PARALLELISM:
        return read_parallelism(command, "--parallelism", &out->parallelism);
    case OPTION_HASH:
        out->kind = find_kind(optarg);
        return out->kind != NULL ? CLI_OK : cli_usage(command, "there is no hash '%s'", optarg);
    case OPTION_HEX:
        out->is_hex = true;
        return CLI_OK;
    case CLI_OPTION_JSON:
        out->as_json = true;
        return CLI_OK;
    default:
        return CLI_USAGE;
    }
}

/* Reads all options; -1 to go on, else the exit status. */
static int read_options(const cli_command *command, int argc, char **argv, request *out)
{
    static const struct option long_options[] = {
        {"max-parallelism", required_argument, NULL, OPTION_MAX_PARALLELISM},
        {"parallelism", required_argument, NULL, OPTION_PARALLELISM},
        {"hash", required_argument, NULL, OPTION_HASH},
        {"hex", no_argument, NULL, OPTION_HEX},
        CLI_OPTION_ROWS};
    for (;;) {
        const int option = cli_option_next(command, argc, argv, "", long_options);
        if (option == -1) {
            return -1;
        }
        if (option == CLI_OPTION_HELP) {
            return cli_command_help(command);
        }
        if (read_option(command, option, out) != CLI_OK) {
            return CLI_USAGE;
        }
    }
}

/* What the options say together; CLI_OK when it makes sense. */
static int complete(const cli_command *command, request *given)
{
    if (given->max_parallelism == 0 && given->parallelism == 0) {
        return cli_usage(command, "--max-parallelism is missing");
    }
    if (given->max_parallelism == 0) {
        given->max_parallelism = tarn_max_parallelism_default(given->parallelism);
    }
    if (given->parallelism > given->max_parallelism) {
        return cli_usage(
            command,
            "--parallelism %" PRIu32 " exceeds --max-parallelism %" PRIu32,
            given->parallelism,
            given->max_parallelism);
    }
    if (given->is_hex && !given->kind->takes_bytes) {
        return cli_usage(command, "--hex is not for --hash %s", given->kind->name);
    }
    return CLI_OK;
}

static int run(const cli_command *command, int argc, char **argv)
{
    request given = {.kind = &kinds[0]};
    const int exit_status = read_options(command, argc, argv, &given);
    if (exit_status != -1) {
        return exit_status;
    }
    if (complete(command, &given) != CLI_OK) {
        return CLI_USAGE;
    }
    if (optind == argc) {
        return cli_usage(command, "a key is missing");
    }
    const size_t count = (size_t)(argc - optind);
    place *places = cli_must(calloc(count, sizeof *places));
    const int outcome = locate_all(command, &given, argv + optind, count, places);
    free(places);
    return outcome;
}

const cli_command cli_key_group = {
    .name = "key-group",
    .summary = "say which key group and subtask a key belongs to",
    .help =
        "key-group --max-parallelism N [--parallelism P] [OPTION]... KEY...\n"
        "\n"
        "Says where keys go, as Flink assigns them: hash, murmur of the hash, key group; with a\n"
        "parallelism the subtask and the key groups that it owns.\n"
        "\n"
        "  --max-parallelism N  key groups of the job, 1 to 32768; without it, what Flink chooses\n"
        "                       for the parallelism\n"
        "  --parallelism P      subtasks of the operator\n"
        "  --hash KIND          bytes (the default), java-string, java-int, java-long, java-bytes\n"
        "  --hex                keys are bytes in hexadecimal, such as 0x00ff\n"
        "  --json               one line: {\"ok\":true,...,\"keys\":[...]}\n"
        "\n"
        "A negative number is a key after '--'.\n",
    .run = run,
};
