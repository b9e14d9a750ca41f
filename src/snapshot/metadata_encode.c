/* metadata_encode.c - structs to bytes; metadata_format.h and docs/FORMATS.md have the layout. */
#include <assert.h>
#include <string.h>

#include "base/try.h"
#include "snapshot/metadata.h"
#include "snapshot/metadata_format.h"

/* Appends to a buffer; the first failure sticks, and what follows does nothing. */
typedef struct writer {
    tarn_buffer *buffer;
    tarn_status status;
} writer;

static void put_bytes(writer *w, const void *data, size_t size)
{
    if (w->status == TARN_OK) {
        w->status = tarn_buffer_append(w->buffer, tarn_bytes_at(data, size));
    }
}

static void store_number(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static void put_number(writer *w, uint64_t value, size_t size)
{
    uint8_t bytes[sizeof value];
    assert(size <= sizeof bytes);
    store_number(bytes, value, size);
    put_bytes(w, bytes, size);
}

/* size u16 | bytes | NUL */
static void put_string(writer *w, const char *text)
{
    const size_t size = strlen(text);
    assert(size <= UINT16_MAX);
    put_number(w, size, 2);
    put_bytes(w, text, size + 1);
}

/* size u32 | tagged fields */
static void put_extra(writer *w, tarn_bytes extra)
{
    assert(extra.size <= TARN__METADATA_EXTRA_BYTES_MAX);
    put_number(w, extra.size, 4);
    put_bytes(w, extra.data, extra.size);
}

static void put_check(writer *w, size_t from)
{
    if (w->status == TARN_OK) {
        const tarn__digest digest =
            tarn__digest_of(tarn_bytes_at(w->buffer->data + from, w->buffer->size - from));
        put_bytes(w, digest.bytes, CHECK_BYTES);
    }
}

/* Writes a section's head with its size left open; answers where the section begins. */
static size_t begin_section(writer *w, const char *tag)
{
    const size_t start = w->buffer->size;
    static const uint8_t open[SECTION_HEAD_BYTES - TAG_BYTES];
    put_bytes(w, tag, TAG_BYTES);
    put_bytes(w, open, sizeof open);
    return start;
}

static void end_section(writer *w, size_t start)
{
    if (w->status != TARN_OK) {
        return;
    }
    uint8_t head[SECTION_HEAD_CHECKED_BYTES + sizeof(uint64_t)];
    memcpy(head, w->buffer->data + start, TAG_BYTES);
    store_number(head + TAG_BYTES, 0, 4);
    store_number(head + 8, w->buffer->size - start - SECTION_HEAD_BYTES, 8);
    store_number(head + SECTION_HEAD_CHECKED_BYTES, start, 8);
    const tarn__digest check = tarn__digest_of(tarn_bytes_at(head, sizeof head));
    memcpy(w->buffer->data + start, head, SECTION_HEAD_CHECKED_BYTES);
    memcpy(w->buffer->data + start + SECTION_HEAD_CHECKED_BYTES, check.bytes, CHECK_BYTES);
    put_check(w, start + SECTION_HEAD_BYTES);
}

static void put_head(writer *w, const tarn__metadata_head *head, uint32_t subtask_count)
{
    const size_t start = begin_section(w, TAG_HEAD);
    put_number(w, head->checkpoint_id, 8);
    put_number(w, (uint64_t)head->timestamp_ms, 8);
    put_number(w, head->duration_ms, 8);
    put_number(w, head->new_bytes, 8);
    put_number(w, subtask_count, 4);
    put_string(w, head->job);
    put_string(w, head->version);
    put_extra(w, head->extra);
    end_section(w, start);
}

static void put_state(writer *w, const tarn__state_part *state)
{
    put_string(w, state->name);
    put_string(w, state->kind);
    put_string(w, state->codec_name);
    put_number(w, state->codec_version, 4);
    put_extra(w, state->extra);
}

static uint64_t flags_of(const tarn__file_part *file)
{
    uint64_t flags = file->is_shared ? FLAG_SHARED : 0u;
    flags |= file->place.is_packed ? FLAG_PACKED : 0u;
    flags |= file->codec != TARN__CODEC_NONE ? FLAG_COMPRESSED : 0u;
    flags |= file->is_inline ? FLAG_INLINE : 0u;
    return flags;
}

static void put_file(writer *w, const tarn__file_part *file)
{
    put_string(w, file->local_name);
    put_string(w, file->path);
    const tarn__place *place = &file->place;
    put_number(w, flags_of(file), 1);
    put_number(w, file->content.size, 8);
    put_bytes(w, file->content.digest.bytes, sizeof file->content.digest.bytes);
    if (place->is_packed) {
        put_number(w, place->offset, 8);
        put_number(w, place->segment.size, 8);
        put_bytes(w, place->segment.digest.bytes, sizeof place->segment.digest.bytes);
    }
    if (file->codec != TARN__CODEC_NONE) {
        put_number(w, file->codec, 1);
        put_number(w, file->compressed_size, 8);
    }
    if (file->is_inline) {
        put_bytes(w, file->inlined.data, file->inlined.size);
    }
    put_extra(w, file->extra);
}

/* size u32 | bytes | NUL, so that a text can be used as it lies there. */
static void put_piece(writer *w, const tarn__piece_part *piece)
{
    put_string(w, piece->name);
    put_number(w, piece->bytes.size, 4);
    put_bytes(w, piece->bytes.data, piece->bytes.size);
    put_number(w, 0, 1);
    put_extra(w, piece->extra);
}

static void put_subtask(writer *w, const tarn__subtask *subtask)
{
    const size_t start = begin_section(w, TAG_SUBTASK);
    put_string(w, subtask->operator_name);
    put_number(w, subtask->subtask_index, 4);
    put_number(w, subtask->parallelism, 4);
    put_number(w, subtask->has_keyed_state ? FLAG_KEYED : 0, 4);
    put_number(w, subtask->key_hash, 4);
    put_number(w, subtask->max_parallelism, 4);
    put_number(w, subtask->key_groups.first, 2);
    put_number(w, subtask->key_groups.last, 2);
    put_number(w, subtask->new_bytes, 8);
    put_number(w, subtask->state_count, 4);
    put_number(w, subtask->file_count, 4);
    put_number(w, subtask->piece_count, 4);
    put_extra(w, subtask->extra);
    for (uint32_t i = 0; i < subtask->state_count; i++) {
        put_state(w, &subtask->states[i]);
    }
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        put_file(w, &subtask->files[i]);
    }
    for (uint32_t i = 0; i < subtask->piece_count; i++) {
        put_piece(w, &subtask->pieces[i]);
    }
    end_section(w, start);
}

static void put_prologue(writer *w, const tarn__metadata_head *head)
{
    put_bytes(w, METADATA_MAGIC, MAGIC_BYTES);
    put_number(w, head->format_version != 0 ? head->format_version : TARN__METADATA_VERSION, 4);
    put_number(w, (uint32_t)head->kind, 4);
    put_number(w, 0, 8);
    put_number(w, 0, CHECK_BYTES);
}

/* Fills in what the prologue says of the whole, and adds the digest over it. */
static void put_epilogue(writer *w)
{
    if (w->status != TARN_OK) {
        return;
    }
    uint8_t *data = w->buffer->data;
    store_number(data + 16, w->buffer->size + FILE_DIGEST_BYTES, 8);
    const tarn__digest check = tarn__digest_of(tarn_bytes_at(data, PROLOGUE_CHECKED_BYTES));
    memcpy(data + PROLOGUE_CHECKED_BYTES, check.bytes, CHECK_BYTES);
    const tarn__digest whole = tarn__digest_of(tarn_buffer_bytes(w->buffer));
    put_bytes(w, whole.bytes, sizeof whole.bytes);
}

/* The first version that can say what is said of the files. */
static uint32_t version_needed(const tarn__subtask *subtask)
{
    uint32_t version = 1;
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn__file_part *file = &subtask->files[i];
        if (file->place.is_packed && version < 3) {
            version = 3;
        }
        if (file->is_inline || file->codec != TARN__CODEC_NONE) {
            version = 4;
        }
    }
    return version;
}

static tarn_status check(
    const tarn__metadata_head *head,
    const tarn__subtask *subtasks,
    uint32_t count,
    tarn_error *error)
{
    if (strlen(head->job) > TARN__METADATA_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the name of a job has %zu bytes, %d are the limit",
            strlen(head->job),
            TARN__METADATA_NAME_BYTES_MAX);
    }
    assert(head->kind != TARN__METADATA_ACKNOWLEDGEMENT || count == 1);
    assert(head->format_version != 1 || !tarn__metadata_is_savepoint(head->kind));
    for (uint32_t i = 0; i < count; i++) {
        TARN_TRY(tarn__subtask_check(&subtasks[i], error));
        assert(head->format_version == 0 || head->format_version >= version_needed(&subtasks[i]));
        if (i > 0) {
            TARN_TRY(tarn__subtask_check_pair(&subtasks[i - 1], &subtasks[i], error));
        }
    }
    return TARN_OK;
}

/* The bulk of what the file will have, so that nothing huge is even tried. */
static uint64_t estimate_bytes(const tarn__subtask *subtasks, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < subtasks[i].piece_count; j++) {
            bytes += subtasks[i].pieces[j].bytes.size;
        }
        for (uint32_t j = 0; j < subtasks[i].file_count; j++) {
            bytes += subtasks[i].files[j].inlined.size;
        }
    }
    return bytes;
}

tarn_status tarn__metadata_encode(
    const tarn__metadata_head *head,
    const tarn__subtask *subtasks,
    uint32_t count,
    tarn_buffer *out,
    tarn_error *error)
{
    TARN_TRY(check(head, subtasks, count, error));
    const uint64_t wanted = estimate_bytes(subtasks, count);
    if (wanted > TARN__METADATA_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "operator states and inline files have %llu bytes together, %d are the limit of a "
            "checkpoint",
            (unsigned long long)wanted,
            TARN__METADATA_BYTES_MAX);
    }
    TARN_AUTO(tarn_buffer_clear) tarn_buffer fresh = {.allocator = out->allocator};
    writer w = {.buffer = &fresh, .status = TARN_OK};
    put_prologue(&w, head);
    put_head(&w, head, count);
    for (uint32_t i = 0; i < count; i++) {
        put_subtask(&w, &subtasks[i]);
    }
    put_epilogue(&w);
    if (w.status != TARN_OK) {
        return tarn__fail_no_memory(error, "the metadata of a checkpoint", fresh.size);
    }
    if (fresh.size > TARN__METADATA_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the metadata of the checkpoint has %zu bytes, %d are the limit",
            fresh.size,
            TARN__METADATA_BYTES_MAX);
    }
    const tarn_buffer old = *out;
    *out = fresh;
    fresh = old;
    return TARN_OK;
}
