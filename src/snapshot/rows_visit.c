/* rows_visit.c - tarn_checkpoint_visit_rows(): the rows of a canonical savepoint. */
#include <string.h>

#include "tarn/rows.h"
#include "tarn/savepoint.h"

#include "base/try.h"
#include "codec/reduction.h"
#include "codec/row.h"
#include "codec/stamp.h"
#include "snapshot/checkpoint.h"
#include "snapshot/rows.h"
#include "snapshot/stored.h"

typedef struct visiting {
    tarn_stored_state_visit *visit_state;
    tarn_stored_row_visit *visit;
    void *context;
} visiting;

/* Of several codec versions the one that is written now. codec: room for its name. */
static tarn_stored_state describe(
    const tarn__rows *rows, char codec[TARN__CODEC_NAME_BYTES_MAX + 1])
{
    const tarn__descriptor *d = &rows->state.descriptor;
    const tarn__schema *schema = &d->schemas[0];
    const size_t size = schema->codec_name.size <= TARN__CODEC_NAME_BYTES_MAX
                            ? schema->codec_name.size
                            : (size_t)TARN__CODEC_NAME_BYTES_MAX;
    if (size > 0) {
        memcpy(codec, schema->codec_name.data, size);
    }
    codec[size] = '\0';
    tarn_stored_state state = {
        .name = rows->state.name,
        .kind = tarn__state_kind_name(d->kind),
        .codec_name = codec,
        .codec_version = schema->codec_version,
        .is_stamped = (d->flags & TARN__STATE_STAMPED) != 0,
        .is_untimed = (d->flags & TARN__STATE_UNTIMED) != 0,
        .is_namespace_first = (d->flags & TARN__STATE_NAMESPACE_FIRST) != 0,
        .descriptor = rows->descriptor,
    };
    if (d->kind == TARN__STATE_REDUCING) {
        state.reducer = (tarn_reducer)(d->detail >> 4);
        state.number = (tarn_number)(d->detail & 15);
    }
    return state;
}

static uint64_t load_big_endian(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

static tarn_status damaged(const tarn__rows *rows, const char *what, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_CORRUPTION,
        "%.200s/%.200s: a row of \"%s\" %s",
        rows->options.place,
        rows->options.file->path,
        rows->state.name,
        what);
}

/* rows.c has looked at the key. */
static tarn_status split(
    const tarn__rows *rows,
    tarn_bytes key,
    tarn_bytes value,
    tarn_stored_row *out,
    tarn_error *error)
{
    const tarn__descriptor *d = &rows->state.descriptor;
    const uint8_t *data = key.data;
    *out = (tarn_stored_row){.key_group = (uint32_t)data[0] << 8 | data[1]};
    if (d->kind == TARN__STATE_TIMERS) {
        const uint64_t bits = load_big_endian(data + TARN__ROW_GROUP_BYTES) ^ (uint64_t)1 << 63;
        const size_t head = TARN__ROW_GROUP_BYTES + 8;
        out->time_ms = (int64_t)bits;
        return tarn__row_decode_tail(
                   tarn_bytes_at(data + head, key.size - head), &out->key, &out->name_space)
                   ? TARN_OK
                   : damaged(rows, "is no timer", error);
    }
    tarn__row row;
    const bool is_row = tarn__row_decode_as(
        key,
        (d->flags & TARN__STATE_NAMESPACE_FIRST) != 0 ? TARN__ROW_NAMESPACE_FIRST
                                                      : TARN__ROW_KEY_FIRST,
        &row);
    if (!is_row) {
        return damaged(rows, "has no key", error);
    }
    out->key = row.key;
    out->name_space = row.name_space;
    out->user_key = row.user_key;
    out->value = value;
    if ((d->flags & TARN__STATE_STAMPED) != 0) {
        if (value.size < TARN__STAMP_BYTES) {
            return damaged(rows, "has no stamp", error);
        }
        out->stamp_ms = tarn__stamp_decode(value.data);
        out->value = tarn_bytes_at(
            (const uint8_t *)value.data + TARN__STAMP_BYTES, value.size - TARN__STAMP_BYTES);
    }
    return TARN_OK;
}

static tarn_status visit_rows(const visiting *v, tarn__rows *rows, tarn_error *error)
{
    tarn_bytes key;
    tarn_bytes value;
    tarn_status status = TARN_OK;
    char codec[TARN__CODEC_NAME_BYTES_MAX + 1];
    const tarn_stored_state state = describe(rows, codec);
    bool goes_on = v->visit_state == NULL || v->visit_state(&state, v->context);
    while (goes_on && (status = tarn__rows_next(rows, &key, &value, error)) == TARN_OK) {
        tarn_stored_row row;
        TARN_TRY(split(rows, key, value, &row, error));
        goes_on = v->visit == NULL || v->visit(&row, v->context);
    }
    if (!goes_on) {
        return tarn__fail(error, TARN_ABANDONED, "the visitor stopped the reading of rows");
    }
    return status == TARN_DONE ? TARN_OK : status;
}

static tarn_status visit_file(
    const visiting *v,
    const tarn_checkpoint *checkpoint,
    const tarn__subtask *subtask,
    const tarn__file_part *file,
    tarn__account *account,
    tarn_error *error)
{
    TARN_AUTO(tarn__stored_clear) tarn__stored stored;
    tarn__stored_init(&stored, checkpoint->storage, file, account, TARN__STORED_AHEAD_BYTES);
    const tarn__rows_options options = {
        .subtask = subtask,
        .file = file,
        .place = checkpoint->path,
        .read = tarn__stored_read,
        .context = &stored,
        .wanted = subtask->key_groups,
        .account = account,
    };
    TARN_AUTO(tarn__rows_close) tarn__rows rows;
    TARN_TRY(tarn__rows_open(&rows, &options, error));
    return visit_rows(v, &rows, error);
}

tarn_status tarn_checkpoint_visit_rows(
    const tarn_checkpoint *checkpoint,
    uint32_t index,
    tarn_stored_state_visit *visit_state,
    tarn_stored_row_visit *visit,
    void *context,
    tarn_error *error)
{
    if (checkpoint == NULL || index >= checkpoint->metadata.subtask_count) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s",
            checkpoint == NULL ? "checkpoint is missing" : "there is no such subtask");
    }
    if (checkpoint->summary.form != TARN_FORM_CANONICAL) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%.300s is no canonical savepoint, of which rows can be read",
            checkpoint->path);
    }
    const visiting v = {.visit_state = visit_state, .visit = visit, .context = context};
    const tarn__subtask *subtask = &checkpoint->metadata.subtasks[index];
    tarn__account account;
    tarn__account_init(&account, "rows", checkpoint->account.below);
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        TARN_TRY(visit_file(&v, checkpoint, subtask, &subtask->files[i], &account, error));
    }
    return TARN_OK;
}
