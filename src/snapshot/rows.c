/* rows.c - see rows.h. */
#include "snapshot/rows.h"

#include <inttypes.h>
#include <string.h>

#include "base/try.h"
#include "codec/row.h"

enum { TIMER_HEAD_BYTES = TARN__ROW_GROUP_BYTES + 8 }; /* Group and time. */

static tarn_status read_on(tarn__rows *rows, tarn_buffer *into, size_t size, tarn_error *error)
{
    if (tarn_buffer_reserve(into, into->size + size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a frame of rows", size);
    }
    size_t got = 0;
    TARN_TRY(rows->options.read(
        rows->options.context, rows->offset, into->data + into->size, size, &got, error));
    if (got < size) {
        return tarn__fail(error, TARN_CORRUPTION, "the file ends early");
    }
    into->size += size;
    rows->offset += size;
    return TARN_OK;
}

static tarn_status place(const tarn__rows *rows, tarn_status status, tarn_error *error)
{
    if (status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED) {
        tarn__error_prefix(
            error,
            "%.200s/%.200s, byte %" PRIu64,
            rows->options.place,
            rows->options.file->path,
            rows->offset);
    }
    return status;
}

static tarn_status take_header(
    tarn__rows *rows, const tarn__canonical_header *header, tarn_error *error)
{
    const tarn__subtask *subtask = rows->options.subtask;
    if (header->key_groups.first != subtask->key_groups.first ||
        header->key_groups.last != subtask->key_groups.last ||
        header->max_parallelism != subtask->max_parallelism ||
        header->key_hash != subtask->key_hash ||
        header->name_size > TARN__METADATA_NAME_BYTES_MAX) {
        return tarn__fail(
            error, TARN_CORRUPTION, "it is of another subtask than the metadata says");
    }
    memcpy(rows->state.name, header->name, header->name_size);
    rows->state.name[header->name_size] = '\0';
    rows->descriptor = header->descriptor;
    rows->sequence = header->sequence;
    switch (tarn__descriptor_decode(header->descriptor, &rows->state.descriptor)) {
    case TARN__DESCRIPTOR_OK:
        return TARN_OK;
    case TARN__DESCRIPTOR_NEWER:
        return tarn__fail(error, TARN_NOT_SUPPORTED, "its descriptor is of a newer version");
    case TARN__DESCRIPTOR_DAMAGED:
        break;
    }
    return tarn__fail(error, TARN_CORRUPTION, "its descriptor is damaged");
}

static tarn_status read_header(tarn__rows *rows, tarn_error *error)
{
    size_t behind = 0;
    tarn__canonical_header header;
    TARN_TRY(read_on(rows, &rows->header, TARN__CANONICAL_PREFIX_BYTES, error));
    TARN_TRY(tarn__canonical_decode_prefix(rows->header.data, &behind, error));
    TARN_TRY(read_on(rows, &rows->header, behind, error));
    TARN_TRY(tarn__canonical_decode_header(tarn_buffer_bytes(&rows->header), &header, error));
    return take_header(rows, &header, error);
}

tarn_status tarn__rows_open(tarn__rows *rows, const tarn__rows_options *options, tarn_error *error)
{
    const tarn_allocator *allocator = &options->account->face;
    *rows = (tarn__rows){
        .options = *options,
        .header = {.allocator = allocator},
        .bytes = {.allocator = allocator},
        .raw = {.allocator = allocator},
    };
    return place(rows, read_header(rows, error), error);
}

static bool is_wanted(const tarn__rows *rows)
{
    return rows->head.first_group <= rows->options.wanted.last &&
           rows->head.last_group >= rows->options.wanted.first;
}

static tarn_status read_end(tarn__rows *rows, tarn_error *error)
{
    TARN_TRY(read_on(rows, &rows->bytes, TARN__CANONICAL_END_BYTES, error));
    TARN_TRY(tarn__canonical_check_end(
        tarn_buffer_bytes(&rows->bytes), rows->rows_total, rows->frames_total, error));
    return rows->offset == rows->options.file->content.size
               ? TARN_DONE
               : tarn__fail(error, TARN_CORRUPTION, "the file goes on behind its end");
}

/* Goes to the next wanted frame. TARN_DONE: there is none, and the end is right. */
static tarn_status read_frame(tarn__rows *rows, tarn_error *error)
{
    for (;;) {
        rows->bytes.size = 0;
        TARN_TRY(read_on(rows, &rows->bytes, TARN__CANONICAL_HEAD_BYTES, error));
        TARN_TRY(tarn__canonical_decode_head(rows->bytes.data, &rows->head, error));
        if (rows->head.stored_size == 0) {
            return read_end(rows, error);
        }
        rows->rows_total += rows->head.row_count;
        rows->frames_total++;
        if (is_wanted(rows)) {
            break;
        }
        rows->offset += rows->head.stored_size;
    }
    TARN_TRY(read_on(rows, &rows->bytes, rows->head.stored_size, error));
    TARN_TRY(tarn__canonical_open_frame(
        &rows->head, tarn_buffer_bytes(&rows->bytes), &rows->raw, error));
    rows->cursor = (tarn__canonical_cursor){
        .head = &rows->head,
        .raw = tarn_buffer_bytes(&rows->raw),
    };
    rows->has_frame = true;
    return TARN_OK;
}

bool tarn__rows_key_of(const tarn__rows_state *state, tarn_bytes row, tarn_bytes *out)
{
    const tarn__descriptor *descriptor = &state->descriptor;
    if (descriptor->kind == TARN__STATE_TIMERS) {
        tarn_bytes name_space;
        const uint8_t *data = row.data;
        return row.size > TIMER_HEAD_BYTES &&
               tarn__row_decode_tail(
                   tarn_bytes_at(data + TIMER_HEAD_BYTES, row.size - TIMER_HEAD_BYTES),
                   out,
                   &name_space);
    }
    tarn__row decoded;
    const bool is_row = tarn__row_decode_as(
        row,
        (descriptor->flags & TARN__STATE_NAMESPACE_FIRST) != 0 ? TARN__ROW_NAMESPACE_FIRST
                                                               : TARN__ROW_KEY_FIRST,
        &decoded);
    if (is_row) {
        *out = decoded.key;
    }
    return is_row;
}

/* A frame may reach beyond the wanted key groups. */
static bool is_inside(const tarn__rows *rows, tarn_bytes row)
{
    const uint8_t *data = row.data;
    const uint32_t group = (uint32_t)data[0] << 8 | data[1];
    return group >= rows->options.wanted.first && group <= rows->options.wanted.last;
}

static tarn_status next(tarn__rows *rows, tarn_bytes *key, tarn_bytes *value, tarn_error *error)
{
    for (;;) {
        if (!rows->has_frame) {
            TARN_TRY(read_frame(rows, error));
        }
        tarn_bytes unused;
        const tarn_status status = tarn__canonical_next(&rows->cursor, key, value, error);
        if (status == TARN_DONE) {
            rows->has_frame = false;
            continue;
        }
        TARN_TRY(status);
        if (!tarn__rows_key_of(&rows->state, *key, &unused)) {
            return tarn__fail(error, TARN_CORRUPTION, "a row is none of its state's");
        }
        if (is_inside(rows, *key)) {
            return TARN_OK;
        }
    }
}

tarn_status tarn__rows_next(tarn__rows *rows, tarn_bytes *key, tarn_bytes *value, tarn_error *error)
{
    return place(rows, next(rows, key, value, error), error);
}

void tarn__rows_close(tarn__rows *rows)
{
    tarn_buffer_clear(&rows->header);
    tarn_buffer_clear(&rows->bytes);
    tarn_buffer_clear(&rows->raw);
}
