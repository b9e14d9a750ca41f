/* rows_write.c - see rows_json.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint_facts.h"
#include "cli.h"
#include "json.h"
#include "rows_json.h"

/* Where lines go. */
typedef struct writer {
    FILE *out;
    int code; /* Of the first line that could not be written: errno. 0: all could. */
    uint64_t row_count;
    bool is_timers;
    bool is_stamped;
} writer;

/* False: it could not be written, or another one before it. */
static bool print(writer *w, json_t *value)
{
    char *text = cli_must(json_dumps(value, JSON_COMPACT));
    if (w->code == 0 && (fputs(text, w->out) == EOF || fputc('\n', w->out) == EOF)) {
        w->code = errno != 0 ? errno : EIO;
    }
    free(text);
    json_decref(value);
    return w->code == 0;
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

static bool write_state(const tarn_stored_state *state, void *context)
{
    writer *w = context;
    w->is_timers = strcmp(state->kind, "timers") == 0;
    w->is_stamped = state->is_stamped;
    json_t *made = cli_json_object();
    cli_json_set(made, "state", cli_json_text(state->name));
    cli_json_set(made, "kind", cli_json_text(state->kind));
    cli_json_set(made, "codec", cli_json_text(state->codec_name));
    cli_json_set(made, "codec_version", cli_json_count(state->codec_version));
    cli_json_set(made, "descriptor", hex_of(state->descriptor));
    return print(w, made);
}

static bool write_row(const tarn_stored_row *row, void *context)
{
    writer *w = context;
    w->row_count++;
    json_t *made = cli_json_object();
    cli_json_set(made, "key", hex_of(row->key));
    cli_json_set(made, "key_group", cli_json_count(row->key_group));
    if (row->name_space.size > 0) {
        cli_json_set(made, "namespace", hex_of(row->name_space));
    }
    if (row->user_key.size > 0) {
        cli_json_set(made, "user_key", hex_of(row->user_key));
    }
    if (w->is_timers) {
        cli_json_set(made, "time", cli_json_integer(row->time_ms));
    } else {
        cli_json_set(made, "value", hex_of(row->value));
    }
    if (w->is_stamped) {
        json_t *stamp = row->stamp_ms == INT64_MIN ? json_null() : cli_json_integer(row->stamp_ms);
        cli_json_set(made, "stamp", stamp);
    }
    return print(w, made);
}

static void write_subtask(writer *w, const tarn_checkpoint *savepoint, uint32_t index)
{
    const tarn_checkpoint_subtask at = tarn_checkpoint_subtask_at(savepoint, index);
    json_t *made = cli_json_object();
    cli_json_set(made, "operator", cli_json_text(at.operator_name));
    cli_json_set(made, "subtask", cli_json_count(at.subtask_index));
    cli_json_set(made, "parallelism", cli_json_count(at.parallelism));
    if (at.has_keyed_state) {
        cli_json_set(made, "max_parallelism", cli_json_count(at.max_parallelism));
        cli_json_set(made, "hash", cli_json_text(cli_checkpoint_hash(at.key_hash)));
    }
    print(w, made);
    for (uint32_t i = 0; i < at.operator_state_count; i++) {
        const tarn_checkpoint_operator_state piece =
            tarn_checkpoint_operator_state_at(savepoint, index, i);
        json_t *line = cli_json_object();
        cli_json_set(line, "operator_state", cli_json_text(piece.name));
        cli_json_set(line, "bytes", hex_of(piece.bytes));
        print(w, line);
    }
}

static tarn_status write_all(const tarn_checkpoint *savepoint, writer *w, tarn_error *error)
{
    const tarn_checkpoint_summary summary = tarn_checkpoint_summarize(savepoint);
    char job[CLI_NAME_BYTES];
    cli_checkpoint_job(savepoint, job);
    json_t *head = cli_json_object();
    cli_json_set(head, "tarn_rows", cli_json_count(CLI_ROWS_VERSION));
    cli_json_set(head, "job", cli_json_text(job));
    cli_json_set(head, "id", cli_json_count(summary.id));
    cli_json_set(head, "end", json_true());
    print(w, head);
    for (uint32_t i = 0; i < summary.subtask_count; i++) {
        write_subtask(w, savepoint, i);
        const tarn_status status =
            tarn_checkpoint_visit_rows(savepoint, i, write_state, write_row, w, error);
        if (status != TARN_OK) {
            return status;
        }
    }
    json_t *end = cli_json_object();
    cli_json_set(end, "end", json_true());
    cli_json_set(end, "rows", cli_json_count(w->row_count));
    print(w, end);
    return TARN_OK;
}

tarn_status cli_rows_write(
    const tarn_checkpoint *savepoint, FILE *out, int *code_out, tarn_error *error)
{
    writer w = {.out = out};
    const tarn_status status = write_all(savepoint, &w, error);
    *code_out = w.code;
    return status;
}
