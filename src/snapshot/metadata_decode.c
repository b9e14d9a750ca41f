/*
 * metadata_decode.c - bytes to structs; nothing is believed before its check was made.
 *
 * Checks go from outside in: prologue, size, each section's head and content, then what the
 * contents say; the digest over all comes last. So the message names the innermost thing that is
 * wrong, by its offset in the file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tarn/version.h"

#include "base/try.h"
#include "snapshot/metadata.h"
#include "snapshot/metadata_format.h"
#include "snapshot/metadata_reader.h"

/* --- The frame: prologue, sections, digest --- */

static tarn_status check_magic(tarn_bytes bytes, tarn_error *error)
{
    const uint8_t *data = bytes.data;
    for (size_t i = 0; i < MAGIC_BYTES && i < bytes.size; i++) {
        if (data[i] != METADATA_MAGIC[i]) {
            return tarn__fail(
                error,
                TARN_CORRUPTION,
                "byte %zu (magic): 0x%02x, where 0x%02x must be",
                i,
                data[i],
                METADATA_MAGIC[i]);
        }
    }
    if (bytes.size < PROLOGUE_BYTES) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "byte %zu (prologue): the file ends within its first %d bytes",
            bytes.size,
            PROLOGUE_BYTES);
    }
    return TARN_OK;
}

static tarn_status check_size(uint64_t stated, size_t size, tarn_error *error)
{
    if (stated > size) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "byte %zu: the file is cut off, %" PRIu64 " of %" PRIu64 " bytes are missing",
            size,
            stated - size,
            stated);
    }
    if (stated < size) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "byte %" PRIu64 ": %" PRIu64 " bytes follow after the end of the file",
            stated,
            size - stated);
    }
    if (size > TARN__METADATA_BYTES_MAX || size < PROLOGUE_BYTES + FILE_DIGEST_BYTES) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "byte 16 (prologue): a size of %zu bytes is not possible",
            size);
    }
    return TARN_OK;
}

static bool is_wanted(uint64_t version, uint64_t found, tarn__metadata_kind wanted)
{
    if (wanted == TARN__METADATA_SAVEPOINT) {
        return version >= 2 && (found == (uint64_t)TARN__METADATA_SAVEPOINT ||
                                found == (uint64_t)TARN__METADATA_CANONICAL_SAVEPOINT);
    }
    return version >= 1 && found == (uint64_t)wanted;
}

static tarn_status check_prologue(tarn_bytes bytes, tarn__metadata_kind kind, tarn_error *error)
{
    TARN_TRY(check_magic(bytes, error));
    const uint8_t *data = bytes.data;
    const tarn__digest check = tarn__digest_of(tarn_bytes_at(data, PROLOGUE_CHECKED_BYTES));
    if (memcmp(check.bytes, data + PROLOGUE_CHECKED_BYTES, CHECK_BYTES) != 0) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "bytes 8 to %d (prologue): the check does not match",
            PROLOGUE_BYTES - 1);
    }
    const uint64_t version = tarn__metadata_load_number(data + 8, 4);
    if (version > TARN__METADATA_VERSION) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "it has format version %" PRIu64 ", and Tarn %s reads up to version %d; use the Tarn "
            "that wrote it, or a newer one",
            version,
            tarn_version_string(),
            TARN__METADATA_VERSION);
    }
    const uint64_t found = tarn__metadata_load_number(data + 12, 4);
    if (!is_wanted(version, found, kind)) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "byte %d (prologue): version %" PRIu64 " and kind %" PRIu64 ", where kind %d must be",
            version == 0 ? 8 : 12,
            version,
            found,
            (int)kind);
    }
    return check_size(tarn__metadata_load_number(data + 16, 8), bytes.size, error);
}

/* Reads a section's head and checks its content; the reader then stands before the content. */
static tarn_status open_section(tarn__metadata_reader *r, const char *tag, size_t *next_out)
{
    const size_t start = r->position;
    const uint8_t *found = NULL;
    TARN_TRY(tarn__metadata_take(r, SECTION_HEAD_BYTES, &found));
    uint8_t head[SECTION_HEAD_CHECKED_BYTES + sizeof(uint64_t)];
    memcpy(head, found, SECTION_HEAD_CHECKED_BYTES);
    for (size_t i = 0; i < sizeof(uint64_t); i++) {
        head[SECTION_HEAD_CHECKED_BYTES + i] = (uint8_t)((uint64_t)start >> (8 * i));
    }
    const tarn__digest check = tarn__digest_of(tarn_bytes_at(head, sizeof head));
    if (memcmp(check.bytes, found + SECTION_HEAD_CHECKED_BYTES, CHECK_BYTES) != 0) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "bytes %zu to %zu (head of %s): the check does not match",
            start,
            start + SECTION_HEAD_BYTES - 1,
            r->part);
    }
    const uint64_t size = tarn__metadata_load_number(found + 8, 8);
    if (memcmp(found, tag, TAG_BYTES) != 0 || tarn__metadata_load_number(found + 4, 4) != 0) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu (head of %s): another kind of section is there",
            start,
            r->part);
    }
    const size_t left = r->end - r->position;
    if (left < CHECK_BYTES || size > left - CHECK_BYTES) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu (%s): %" PRIu64 " bytes are announced, %zu are left",
            start,
            r->part,
            size,
            left);
    }
    const size_t content = r->position;
    const tarn__digest sum = tarn__digest_of(tarn_bytes_at(r->data + content, (size_t)size));
    if (memcmp(sum.bytes, r->data + content + size, CHECK_BYTES) != 0) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "bytes %zu to %zu (%s): the check does not match",
            content,
            content + (size_t)size + CHECK_BYTES - 1,
            r->part);
    }
    r->end = content + (size_t)size;
    *next_out = r->end + CHECK_BYTES;
    return TARN_OK;
}

/* Leaves a section that must have been read to its end. */
static tarn_status close_section(tarn__metadata_reader *r, size_t next, size_t end)
{
    if (r->position != r->end) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu (%s): %zu bytes are left over",
            r->position,
            r->part,
            r->end - r->position);
    }
    r->position = next;
    r->end = end;
    return TARN_OK;
}

/* --- The contents --- */

static tarn_status get_head(tarn__metadata_reader *r, tarn__metadata *out)
{
    snprintf(r->part, sizeof r->part, "head");
    const size_t end = r->end;
    size_t next = 0;
    uint64_t timestamp = 0;
    tarn__metadata_head *head = &out->head;
    TARN_TRY(open_section(r, TAG_HEAD, &next));
    TARN_TRY(tarn__metadata_get_number(r, 8, &head->checkpoint_id));
    TARN_TRY(tarn__metadata_get_number(r, 8, &timestamp));
    TARN_TRY(tarn__metadata_get_number(r, 8, &head->duration_ms));
    TARN_TRY(tarn__metadata_get_number(r, 8, &head->new_bytes));
    TARN_TRY(tarn__metadata_get_u32(r, &out->subtask_count));
    const size_t at = r->position;
    TARN_TRY(tarn__metadata_get_string(r, &head->job));
    TARN_TRY(tarn__metadata_get_string(r, &head->version));
    TARN_TRY(tarn__metadata_get_extra(r, &head->extra));
    if (strlen(head->job) > TARN__METADATA_NAME_BYTES_MAX ||
        strlen(head->version) > TARN__METADATA_NAME_BYTES_MAX) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu (head): a name of more than %d bytes",
            at,
            TARN__METADATA_NAME_BYTES_MAX);
    }
    head->timestamp_ms = (int64_t)timestamp;
    return close_section(r, next, end);
}

/* A count of records is believed only as far as the bytes that are left can hold so many. */
static tarn_status get_count(tarn__metadata_reader *r, size_t bytes_min, uint32_t *out)
{
    const size_t at = r->position;
    TARN_TRY(tarn__metadata_get_u32(r, out));
    if (*out > (r->end - r->position) / bytes_min) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu (%s): %" PRIu32 " records are announced, %zu bytes are left",
            at,
            r->part,
            *out,
            r->end - r->position);
    }
    return TARN_OK;
}

static tarn_status get_state(tarn__metadata_reader *r, tarn__state_part *out)
{
    TARN_TRY(tarn__metadata_get_string(r, &out->name));
    TARN_TRY(tarn__metadata_get_string(r, &out->kind));
    TARN_TRY(tarn__metadata_get_string(r, &out->codec_name));
    TARN_TRY(tarn__metadata_get_u32(r, &out->codec_version));
    return tarn__metadata_get_extra(r, &out->extra);
}

static tarn_status get_content(tarn__metadata_reader *r, tarn__content *out)
{
    const uint8_t *digest = NULL;
    TARN_TRY(tarn__metadata_get_number(r, 8, &out->size));
    TARN_TRY(tarn__metadata_take(r, sizeof out->digest.bytes, &digest));
    memcpy(out->digest.bytes, digest, sizeof out->digest.bytes);
    return TARN_OK;
}

static uint64_t known_file_flags(uint32_t version)
{
    uint64_t known = FLAG_SHARED;
    known |= version >= 3 ? FLAG_PACKED : 0u;
    known |= version >= 4 ? FLAG_COMPRESSED | FLAG_INLINE : 0u;
    return known;
}

/* What follows of a file whose flags say so, in this order. */
static tarn_status get_storing(tarn__metadata_reader *r, uint64_t flags, tarn__file_part *out)
{
    if ((flags & FLAG_PACKED) != 0) {
        out->place.is_packed = true;
        TARN_TRY(tarn__metadata_get_number(r, 8, &out->place.offset));
        TARN_TRY(get_content(r, &out->place.segment));
    }
    if ((flags & FLAG_COMPRESSED) != 0) {
        const size_t at = r->position;
        uint64_t codec = 0;
        TARN_TRY(tarn__metadata_get_number(r, 1, &codec));
        TARN_TRY(tarn__metadata_get_number(r, 8, &out->compressed_size));
        if (codec != TARN__CODEC_ZSTD && codec != TARN__CODEC_LZ4) {
            return tarn__fail(
                r->error,
                TARN_CORRUPTION,
                "byte %zu (%s): there is no codec %" PRIu64,
                at,
                r->part,
                codec);
        }
        out->codec = (uint8_t)codec;
    }
    if ((flags & FLAG_INLINE) != 0) {
        const uint64_t size = tarn__file_stored_size(out);
        const uint8_t *bytes = NULL;
        if (size > r->end - r->position) {
            return tarn__metadata_ends_early(r, (size_t)size);
        }
        TARN_TRY(tarn__metadata_take(r, (size_t)size, &bytes));
        out->inlined = tarn_bytes_at(bytes, (size_t)size);
        out->is_inline = true;
    }
    return TARN_OK;
}

static tarn_status get_file(tarn__metadata_reader *r, tarn__file_part *out)
{
    uint64_t flags = 0;
    TARN_TRY(tarn__metadata_get_string(r, &out->local_name));
    TARN_TRY(tarn__metadata_get_string(r, &out->path));
    TARN_TRY(tarn__metadata_get_flags(r, 1, known_file_flags(r->version), &flags));
    TARN_TRY(get_content(r, &out->content));
    TARN_TRY(get_storing(r, flags, out));
    tarn__digest_encode(&out->content.digest, out->digest_text);
    out->is_shared = (flags & FLAG_SHARED) != 0;
    return tarn__metadata_get_extra(r, &out->extra);
}

static tarn_status get_piece(tarn__metadata_reader *r, tarn__piece_part *out)
{
    uint64_t size = 0;
    uint64_t nul = 0;
    const uint8_t *bytes = NULL;
    TARN_TRY(tarn__metadata_get_string(r, &out->name));
    TARN_TRY(tarn__metadata_get_number(r, 4, &size));
    TARN_TRY(tarn__metadata_take(r, (size_t)size, &bytes));
    TARN_TRY(tarn__metadata_get_flags(r, 1, 0, &nul));
    out->bytes = tarn_bytes_at(bytes, (size_t)size);
    return tarn__metadata_get_extra(r, &out->extra);
}

static tarn_status get_fields(tarn__metadata_reader *r, tarn__subtask *out)
{
    uint64_t flags = 0;
    uint64_t first = 0;
    uint64_t last = 0;
    TARN_TRY(tarn__metadata_get_string(r, &out->operator_name));
    TARN_TRY(tarn__metadata_get_u32(r, &out->subtask_index));
    TARN_TRY(tarn__metadata_get_u32(r, &out->parallelism));
    TARN_TRY(tarn__metadata_get_flags(r, 4, FLAG_KEYED, &flags));
    TARN_TRY(tarn__metadata_get_u32(r, &out->key_hash));
    TARN_TRY(tarn__metadata_get_u32(r, &out->max_parallelism));
    TARN_TRY(tarn__metadata_get_number(r, 2, &first));
    TARN_TRY(tarn__metadata_get_number(r, 2, &last));
    TARN_TRY(tarn__metadata_get_number(r, 8, &out->new_bytes));
    TARN_TRY(get_count(r, STATE_BYTES_MIN, &out->state_count));
    TARN_TRY(get_count(r, FILE_BYTES_MIN, &out->file_count));
    TARN_TRY(get_count(r, PIECE_BYTES_MIN, &out->piece_count));
    out->has_keyed_state = (flags & FLAG_KEYED) != 0;
    out->key_groups = (tarn_key_group_range){.first = (uint16_t)first, .last = (uint16_t)last};
    TARN_TRY(tarn__metadata_get_extra(r, &out->extra));
    /* The three kinds share what is left: together, too, they must fit into it. */
    const uint64_t needed = (uint64_t)out->state_count * STATE_BYTES_MIN +
                            (uint64_t)out->file_count * FILE_BYTES_MIN +
                            (uint64_t)out->piece_count * PIECE_BYTES_MIN;
    return needed <= r->end - r->position ? TARN_OK : tarn__metadata_ends_early(r, (size_t)needed);
}

static tarn_status get_records(tarn__metadata_reader *r, tarn__arena *arena, tarn__subtask *out)
{
    out->states = tarn__arena_allocate(arena, out->state_count, sizeof *out->states);
    out->files = tarn__arena_allocate(arena, out->file_count, sizeof *out->files);
    out->pieces = tarn__arena_allocate(arena, out->piece_count, sizeof *out->pieces);
    if (out->states == NULL || out->files == NULL || out->pieces == NULL) {
        return tarn__fail_no_memory(
            r->error, "the files of a checkpoint", out->file_count * sizeof *out->files);
    }
    for (uint32_t i = 0; i < out->state_count; i++) {
        TARN_TRY(get_state(r, &out->states[i]));
    }
    for (uint32_t i = 0; i < out->file_count; i++) {
        TARN_TRY(get_file(r, &out->files[i]));
    }
    for (uint32_t i = 0; i < out->piece_count; i++) {
        TARN_TRY(get_piece(r, &out->pieces[i]));
    }
    return TARN_OK;
}

/* What the checks of an encoder refuse is damage when it is read. */
static tarn_status as_corruption(const tarn__metadata_reader *r, size_t at, tarn_status status)
{
    if (status != TARN_OK) {
        tarn__error_prefix(r->error, "byte %zu (%s)", at, r->part);
        if (r->error != NULL) {
            r->error->status = TARN_CORRUPTION;
        }
        return TARN_CORRUPTION;
    }
    return TARN_OK;
}

static tarn_status get_subtask(tarn__metadata_reader *r, tarn__metadata *out, uint32_t index)
{
    snprintf(r->part, sizeof r->part, "subtask %" PRIu32, index);
    const size_t end = r->end;
    size_t next = 0;
    tarn__subtask *subtask = &out->subtasks[index];
    TARN_TRY(open_section(r, TAG_SUBTASK, &next));
    const size_t at = r->position;
    TARN_TRY(get_fields(r, subtask));
    TARN_TRY(get_records(r, &out->arena, subtask));
    TARN_TRY(as_corruption(r, at, tarn__subtask_check(subtask, r->error)));
    if (index > 0) {
        TARN_TRY(as_corruption(r, at, tarn__subtask_check_pair(subtask - 1, subtask, r->error)));
    }
    return close_section(r, next, end);
}

static tarn_status get_all(tarn__metadata_reader *r, tarn__metadata *out)
{
    TARN_TRY(get_head(r, out));
    const size_t left = r->end - r->position;
    if (out->subtask_count > left / SECTION_BYTES_MIN ||
        (out->head.kind == TARN__METADATA_ACKNOWLEDGEMENT && out->subtask_count != 1)) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu: %" PRIu32 " subtasks are announced, %zu bytes are left",
            r->position,
            out->subtask_count,
            left);
    }
    out->subtasks = tarn__arena_allocate(&out->arena, out->subtask_count, sizeof *out->subtasks);
    if (out->subtasks == NULL) {
        return tarn__fail_no_memory(
            r->error, "the subtasks of a checkpoint", out->subtask_count * sizeof *out->subtasks);
    }
    for (uint32_t i = 0; i < out->subtask_count; i++) {
        TARN_TRY(get_subtask(r, out, i));
    }
    if (r->position != r->end) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu: %zu bytes follow after the last subtask",
            r->position,
            r->end - r->position);
    }
    const tarn__digest digest = tarn__digest_of(tarn_bytes_at(r->data, r->end));
    if (memcmp(digest.bytes, r->data + r->end, FILE_DIGEST_BYTES) != 0) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "bytes %zu to %zu (digest of the file): it does not match what is before it",
            r->end,
            r->end + FILE_DIGEST_BYTES - 1);
    }
    return TARN_OK;
}

tarn_status tarn__metadata_decode(
    tarn_bytes bytes,
    tarn__metadata_kind kind,
    tarn__account *account,
    tarn__metadata *out,
    tarn_error *error)
{
    TARN_TRY(check_prologue(bytes, kind, error));
    const uint8_t *prologue = bytes.data;
    tarn__metadata metadata = {
        .head = {
            .kind = (tarn__metadata_kind)tarn__metadata_load_number(prologue + 12, 4),
            .format_version = (uint32_t)tarn__metadata_load_number(prologue + 8, 4),
        }};
    tarn__arena_init(&metadata.arena, account);
    const uint8_t *copy = tarn__arena_copy(&metadata.arena, bytes);
    if (copy == NULL) {
        return tarn__fail_no_memory(error, "the metadata of a checkpoint", bytes.size);
    }
    tarn__metadata_reader r = {
        .data = copy,
        .position = PROLOGUE_BYTES,
        .end = bytes.size - FILE_DIGEST_BYTES,
        .version = metadata.head.format_version,
        .error = error,
    };
    const tarn_status status = get_all(&r, &metadata);
    if (status != TARN_OK) {
        tarn__arena_clear(&metadata.arena);
        return status;
    }
    *out = metadata;
    return TARN_OK;
}

void tarn__metadata_clear(tarn__metadata *metadata)
{
    tarn__arena_clear(&metadata->arena);
    metadata->subtasks = NULL;
    metadata->subtask_count = 0;
}
