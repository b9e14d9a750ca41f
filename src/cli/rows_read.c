/*
 * rows_read.c - see rows_json.h. What a line is, its members say:
 *
 *     "operator"        a subtask         "state"  one of its states
 *     "operator_state"  a piece of it     "end"    the last one
 *     else              a row of the state
 *
 * A member that is not known is refused: it is more likely misspelt than superfluous.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint_facts.h"
#include "cli.h"
#include "json.h"
#include "rows_json.h"

enum { LINE_BYTES_MAX = 64 << 20, BYTES_MAX = 8, MEMBERS_MAX = 16, PROGRESS_LINES = 65536 };

/* A line being read. */
typedef struct reader {
    FILE *in;
    const char *path; /* For messages. */
    char *text;
    size_t capacity;
    uint64_t number;
    json_t *line;                   /* NULL: none. */
    const char *taken[MEMBERS_MAX]; /* Members that were asked for; the line's own texts. */
    size_t taken_count;
    uint8_t *held[BYTES_MAX]; /* What bytes were decoded to; freed with the line. */
    size_t held_count;
    tarn_import *import;
    tarn_number number_type; /* Of the state. */
    bool has_values;         /* Rows of the state have; timers have none. */
    bool is_ended;           /* The last line was read. */
    uint64_t row_count;
    tarn_error *error;
} reader;

static void say(reader *r, const char *reason)
{
    snprintf(
        r->error->message,
        sizeof r->error->message,
        "%.100s, line %" PRIu64 ": %.370s",
        r->path,
        r->number,
        reason);
}

__attribute__((format(printf, 2, 3))) static tarn_status refuse(reader *r, const char *format, ...)
{
    char reason[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    r->error->status = TARN_INVALID_ARGUMENT;
    say(r, reason);
    return TARN_INVALID_ARGUMENT;
}

/* Adds file and line to what the library says. */
static tarn_status place(reader *r, tarn_status status)
{
    if (status != TARN_OK) {
        char message[sizeof r->error->message];
        snprintf(message, sizeof message, "%s", r->error->message);
        say(r, message);
    }
    return status;
}

/* ---- lines ------------------------------------------------------------------------------ */

static void drop_line(reader *r)
{
    json_decref(r->line);
    r->line = NULL;
    while (r->held_count > 0) {
        free(r->held[--r->held_count]);
    }
}

/* TARN_OK with the next line that is not empty, TARN_DONE. */
static tarn_status next_line(reader *r)
{
    drop_line(r);
    for (;;) {
        errno = 0;
        const ssize_t size = getline(&r->text, &r->capacity, r->in);
        if (size < 0) {
            return ferror(r->in) == 0 ? TARN_DONE : refuse(r, "%s", strerror(errno));
        }
        r->number++;
        if (size > LINE_BYTES_MAX) {
            return refuse(r, "it has %zd bytes, %d are the limit", size, LINE_BYTES_MAX);
        }
        if (strspn(r->text, " \t\r\n") == (size_t)size) {
            continue;
        }
        json_error_t problem;
        r->line = json_loadb(r->text, (size_t)size, JSON_REJECT_DUPLICATES, &problem);
        if (r->line == NULL) {
            return refuse(r, "it is no JSON: %s, column %d", problem.text, problem.column);
        }
        if (!json_is_object(r->line)) {
            return refuse(r, "it is no JSON object");
        }
        r->taken_count = 0;
        return TARN_OK;
    }
}

static json_t *member(reader *r, const char *name)
{
    void *at = json_object_iter_at(r->line, name);
    if (at == NULL) {
        return NULL;
    }
    if (r->taken_count < MEMBERS_MAX) {
        r->taken[r->taken_count++] = json_object_iter_key(at);
    }
    return json_object_iter_value(at);
}

static bool is_taken(const reader *r, const char *name)
{
    for (size_t i = 0; i < r->taken_count; i++) {
        if (r->taken[i] == name) {
            return true;
        }
    }
    return false;
}

static tarn_status check_taken(reader *r)
{
    for (void *at = json_object_iter(r->line); at != NULL;
         at = json_object_iter_next(r->line, at)) {
        const char *name = json_object_iter_key(at);
        if (!is_taken(r, name)) {
            return refuse(r, "its member \"%.100s\" is not known here", name);
        }
    }
    return TARN_OK;
}

static tarn_status get_number(
    reader *r, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *out)
{
    const json_t *value = member(r, name);
    *out = value != NULL ? json_integer_value(value) : fallback;
    return value == NULL || (json_is_integer(value) && *out >= min && *out <= max)
               ? TARN_OK
               : refuse(
                     r, "\"%s\" is no whole number from %" PRId64 " to %" PRId64, name, min, max);
}

static tarn_status get_text(reader *r, const char *name, const char *fallback, const char **out)
{
    const json_t *value = member(r, name);
    *out = value != NULL ? json_string_value(value) : fallback;
    if (value != NULL && (*out == NULL || strlen(*out) != json_string_length(value))) {
        return refuse(r, "\"%s\" is no text", name);
    }
    return *out != NULL ? TARN_OK : refuse(r, "\"%s\" is missing", name);
}

static tarn_status get_flag(reader *r, const char *name, bool *out)
{
    const json_t *value = member(r, name);
    *out = json_is_true(value);
    return value == NULL || json_is_boolean(value)
               ? TARN_OK
               : refuse(r, "\"%s\" is neither true nor false", name);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static tarn_status decode_hex(
    reader *r, const char *name, const json_t *value, uint8_t **out, size_t *size_out)
{
    const char *text = json_string_value(value);
    const size_t size = json_string_length(value);
    if (text == NULL || size % 2 != 0) {
        return refuse(r, "\"%s\" is no even number of hexadecimal digits", name);
    }
    uint8_t *bytes = cli_must(malloc(size / 2 + 1));
    for (size_t i = 0; i < size / 2; i++) {
        const int high = digit_of(text[2 * i]);
        const int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            free(bytes);
            return refuse(r, "\"%s\" has something else than hexadecimal digits", name);
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out = bytes;
    *size_out = size / 2;
    return TARN_OK;
}

/* Bytes: NAME in hexadecimal digits, or NAME_text as they are. */
static tarn_status get_bytes(reader *r, const char *name, bool is_required, tarn_bytes *out)
{
    char text_name[32];
    snprintf(text_name, sizeof text_name, "%s_text", name);
    const json_t *hex = member(r, name);
    const json_t *text = member(r, text_name);
    *out = tarn_bytes_at(NULL, 0);
    if (hex != NULL && text != NULL) {
        return refuse(r, "\"%s\" and \"%s\" are both there", name, text_name);
    }
    if (text != NULL) {
        *out = tarn_bytes_at(json_string_value(text), json_string_length(text));
        return json_is_string(text) ? TARN_OK : refuse(r, "\"%s\" is no text", text_name);
    }
    if (hex != NULL) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        const tarn_status status = decode_hex(r, name, hex, &bytes, &size);
        if (status == TARN_OK) {
            r->held[r->held_count++] = bytes;
            *out = tarn_bytes_at(bytes, size);
        }
        return status;
    }
    return is_required ? refuse(r, "\"%s\" or \"%s\" is missing", name, text_name) : TARN_OK;
}

#define TRY(call)                     \
    do {                              \
        const tarn_status s = (call); \
        if (s != TARN_OK) {           \
            return s;                 \
        }                             \
    } while (0)

/* ---- what lines say --------------------------------------------------------------------- */

static tarn_status read_hash(reader *r, tarn_key_hash *out)
{
    const char *name = NULL;
    TRY(get_text(r, "hash", "bytes", &name));
    for (uint32_t hash = 0; hash <= TARN_KEY_HASH_CALLER; hash++) {
        if (strcmp(cli_checkpoint_hash(hash), name) == 0) {
            *out = (tarn_key_hash)hash;
            return TARN_OK;
        }
    }
    return refuse(r, "there is no key hash \"%.50s\"", name);
}

static tarn_status read_subtask(reader *r)
{
    tarn_import_subtask subtask = {.operator_name = NULL};
    int64_t index = 0;
    int64_t parallelism = 0;
    int64_t max_parallelism = 0;
    TRY(get_text(r, "operator", NULL, &subtask.operator_name));
    TRY(get_number(r, "subtask", 0, TARN_MAX_PARALLELISM_LIMIT - 1, 0, &index));
    TRY(get_number(r, "parallelism", 1, TARN_MAX_PARALLELISM_LIMIT, 1, &parallelism));
    TRY(get_number(r, "max_parallelism", 0, TARN_MAX_PARALLELISM_LIMIT, 0, &max_parallelism));
    TRY(read_hash(r, &subtask.key_hash));
    TRY(check_taken(r));
    subtask.subtask_index = (uint32_t)index;
    subtask.parallelism = (uint32_t)parallelism;
    subtask.max_parallelism = (uint32_t)max_parallelism;
    return place(r, tarn_import_begin_subtask(r->import, &subtask, r->error));
}

static const char *const REDUCERS[] = {
    "function", "sum", "min", "max", "count", "first", "last", "bit-or"};
static const char *const NUMBERS[] = {"i64", "u64", "f64"};

static tarn_status read_choice(
    reader *r, const char *name, const char *const *names, int count, int *out)
{
    const char *text = NULL;
    TRY(get_text(r, name, names[0], &text));
    for (*out = 0; *out < count; (*out)++) {
        if (strcmp(names[*out], text) == 0) {
            return TARN_OK;
        }
    }
    return refuse(r, "there is no %s \"%.50s\"", name, text);
}

static tarn_status read_state(reader *r)
{
    tarn_stored_state state = {.name = NULL};
    int64_t version = 0;
    int reducer = 0;
    int number = 0;
    TRY(get_text(r, "state", NULL, &state.name));
    TRY(get_text(r, "kind", NULL, &state.kind));
    TRY(get_text(r, "codec", "", &state.codec_name));
    TRY(get_number(r, "codec_version", 0, UINT32_MAX, 0, &version));
    TRY(get_flag(r, "stamped", &state.is_stamped));
    TRY(get_flag(r, "untimed", &state.is_untimed));
    TRY(get_flag(r, "namespace_first", &state.is_namespace_first));
    TRY(read_choice(r, "reducer", REDUCERS, 8, &reducer));
    TRY(read_choice(r, "number", NUMBERS, 3, &number));
    TRY(get_bytes(r, "descriptor", false, &state.descriptor));
    TRY(check_taken(r));
    state.codec_version = (uint32_t)version;
    state.reducer = (tarn_reducer)reducer;
    state.number = (tarn_number)number;
    r->number_type = state.number;
    r->has_values = strcmp(state.kind, "timers") != 0;
    return place(r, tarn_import_begin_state(r->import, &state, r->error));
}

static tarn_status read_operator_state(reader *r)
{
    const char *name = NULL;
    tarn_bytes bytes;
    TRY(get_text(r, "operator_state", NULL, &name));
    TRY(get_bytes(r, "bytes", true, &bytes));
    TRY(check_taken(r));
    return place(r, tarn_import_put_operator_state(r->import, name, bytes, r->error));
}

static tarn_status read_stamp(reader *r, tarn_stored_row *row)
{
    const json_t *stamp = member(r, "stamp");
    row->stamp_ms = INT64_MIN;
    if (stamp != NULL && !json_is_null(stamp)) {
        row->stamp_ms = json_integer_value(stamp);
        return json_is_integer(stamp) ? TARN_OK : refuse(r, "\"stamp\" is no whole number");
    }
    return TARN_OK;
}

static tarn_status put_number(reader *r, const tarn_stored_row *row, const json_t *number)
{
    uint64_t bits = (uint64_t)json_integer_value(number);
    if (r->number_type == TARN_NUMBER_F64) {
        const double real = json_number_value(number);
        memcpy(&bits, &real, sizeof bits);
    } else if (!json_is_integer(number)) {
        return refuse(r, "\"number\" is no whole number");
    } else if (r->number_type == TARN_NUMBER_U64 && json_integer_value(number) < 0) {
        return refuse(r, "\"number\" is negative, and the state's numbers are not");
    }
    TRY(check_taken(r));
    return json_is_number(number) ? place(r, tarn_import_put_number(r->import, row, bits, r->error))
                                  : refuse(r, "\"number\" is none");
}

static tarn_status put_elements(reader *r, const tarn_stored_row *row, const json_t *array)
{
    const size_t count = json_array_size(array);
    if (!json_is_array(array) || count == 0) {
        return refuse(r, "\"elements\" is no array, or empty");
    }
    TRY(check_taken(r));
    tarn_bytes *elements = cli_must(calloc(count, sizeof *elements));
    uint8_t **bytes = cli_must(calloc(count, sizeof *bytes));
    tarn_status status = TARN_OK;
    for (size_t i = 0; status == TARN_OK && i < count; i++) {
        size_t size = 0;
        status = decode_hex(r, "elements", json_array_get(array, i), &bytes[i], &size);
        elements[i] = tarn_bytes_at(bytes[i], size);
    }
    if (status == TARN_OK) {
        status = place(r, tarn_import_put_list(r->import, row, elements, count, r->error));
    }
    for (size_t i = 0; i < count; i++) {
        free(bytes[i]);
    }
    free(bytes);
    free(elements);
    return status;
}

static tarn_status read_row(reader *r)
{
    tarn_stored_row row = {.key_group = 0};
    int64_t group = 0;
    TRY(get_bytes(r, "key", true, &row.key));
    TRY(get_bytes(r, "namespace", false, &row.name_space));
    TRY(get_bytes(r, "user_key", false, &row.user_key));
    TRY(get_number(r, "key_group", 0, TARN_MAX_PARALLELISM_LIMIT - 1, 0, &group));
    TRY(get_number(r, "time", INT64_MIN, INT64_MAX, 0, &row.time_ms));
    TRY(read_stamp(r, &row));
    row.key_group = (uint32_t)group;
    r->row_count++;
    const json_t *number = member(r, "number");
    const json_t *elements = member(r, "elements");
    if (number != NULL) {
        return put_number(r, &row, number);
    }
    if (elements != NULL) {
        return put_elements(r, &row, elements);
    }
    TRY(get_bytes(r, "value", r->has_values, &row.value));
    TRY(check_taken(r));
    return place(r, tarn_import_put(r->import, &row, r->error));
}

/* The last line, which says how many rows there were. */
static tarn_status read_end(reader *r)
{
    bool is_end = false;
    int64_t rows = 0;
    TRY(get_flag(r, "end", &is_end));
    TRY(get_number(r, "rows", 0, INT64_MAX, -1, &rows));
    TRY(check_taken(r));
    if (!is_end || rows < 0) {
        return refuse(r, "it is no {\"end\":true,\"rows\":...}");
    }
    if ((uint64_t)rows != r->row_count) {
        return refuse(
            r, "%" PRId64 " rows were written, and %" PRIu64 " are there", rows, r->row_count);
    }
    r->is_ended = true;
    return TARN_OK;
}

static tarn_status read_line(reader *r)
{
    if (r->is_ended) {
        return refuse(r, "it stands behind the end");
    }
    if (json_object_get(r->line, "end") != NULL) {
        return read_end(r);
    }
    if (json_object_get(r->line, "operator") != NULL) {
        return read_subtask(r);
    }
    if (json_object_get(r->line, "state") != NULL) {
        return read_state(r);
    }
    return json_object_get(r->line, "operator_state") != NULL ? read_operator_state(r)
                                                              : read_row(r);
}

static tarn_status read_head(reader *r, cli_rows_head *out)
{
    const char *job = NULL;
    int64_t version = 0;
    int64_t id = 0;
    const tarn_status status = next_line(r);
    TRY(status == TARN_DONE ? refuse(r, "there is nothing") : status);
    TRY(get_number(r, "tarn_rows", 1, CLI_ROWS_VERSION, 0, &version));
    if (version == 0) {
        return refuse(r, "it does not begin with {\"tarn_rows\":1,\"job\":...}");
    }
    TRY(get_text(r, "job", NULL, &job));
    TRY(get_number(r, "id", 1, INT64_MAX, 1, &id));
    TRY(get_flag(r, "end", &out->has_end));
    TRY(check_taken(r));
    snprintf(out->job, sizeof out->job, "%s", job);
    out->id = (uint64_t)id;
    out->line = r->number;
    return TARN_OK;
}

tarn_status cli_rows_read_head(FILE *in, const char *path, cli_rows_head *out, tarn_error *error)
{
    reader r = {.in = in, .path = path, .error = error};
    const tarn_status status = read_head(&r, out);
    drop_line(&r);
    free(r.text);
    return status;
}

tarn_status cli_rows_read(
    FILE *in,
    const char *path,
    const cli_rows_head *head,
    tarn_import *import,
    void (*progress)(uint64_t lines),
    tarn_error *error)
{
    reader r = {.in = in, .path = path, .import = import, .number = head->line, .error = error};
    tarn_status status = TARN_OK;
    while ((status = next_line(&r)) == TARN_OK) {
        status = read_line(&r);
        if (status != TARN_OK) {
            break;
        }
        if (progress != NULL && r.number % PROGRESS_LINES == 0) {
            progress(r.number);
        }
    }
    if (status == TARN_DONE) {
        status = head->has_end && !r.is_ended
                     ? refuse(
                           &r,
                           "the file is cut off here: its first line says that it has an end, and "
                           "%" PRIu64 " rows are there without one",
                           r.row_count)
                     : TARN_OK;
    }
    drop_line(&r);
    free(r.text);
    return status;
}
