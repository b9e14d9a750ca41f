/* canonical.c - see canonical.h. */
#include "codec/canonical.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <zstd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/try.h"
#include "codec/row.h"

enum {
    MAGIC_BYTES = 8,
    CHECKED_HEAD_BYTES = TARN__CANONICAL_HEAD_BYTES - TARN__CANONICAL_CHECK_BYTES,
    HEADER_BYTES_MAX_1 = 4096, /* Of the content, in version 1. */
    CONTENT_BYTES_MIN = 2 + 2 + 4 + 4 + 8 + 2 + 2,
    LEVEL = 3, /* zstd's own default: about as fast as a disk writes. */
    CODEC_NONE = 0,
    CODEC_ZSTD = 1,
    VARINT_BYTES_MAX = 5,
};

static const uint8_t MAGIC[MAGIC_BYTES] = {0x89, 'T', 'R', 'O', 'W', '\r', '\n', 0x1a};

static void put(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

static void put_check(uint8_t *at, tarn_bytes checked)
{
    const tarn__digest digest = tarn__digest_of(checked);
    memcpy(at, digest.bytes, TARN__CANONICAL_CHECK_BYTES);
}

static bool has_check(const uint8_t *at, tarn_bytes checked)
{
    const tarn__digest digest = tarn__digest_of(checked);
    return memcmp(at, digest.bytes, TARN__CANONICAL_CHECK_BYTES) == 0;
}

static tarn_status refuse(tarn_error *error, const char *what)
{
    return tarn__fail(error, TARN_CORRUPTION, "%s", what);
}

/* ---- headers ---------------------------------------------------------------------------- */

/* A file whose header version 1 can express is one of version 1: more can read it. */
static uint32_t version_of(const tarn__canonical_header *header)
{
    const uint8_t *descriptor = header->descriptor.data;
    return header->descriptor.size > 0 && descriptor[0] == 1 ? 1 : TARN__CANONICAL_VERSION;
}

tarn_status tarn__canonical_encode_header(
    const tarn__canonical_header *header, tarn_buffer *out, tarn_error *error)
{
    const size_t content = CONTENT_BYTES_MIN + header->name_size + header->descriptor.size;
    const size_t size = TARN__CANONICAL_PREFIX_BYTES + content + TARN__CANONICAL_CHECK_BYTES;
    assert(content <= TARN__CANONICAL_HEADER_BYTES_MAX);
    if (tarn_buffer_reserve(out, out->size + size) != TARN_OK) {
        return tarn__fail_no_memory(error, "the header of a state", size);
    }
    uint8_t *start = out->data + out->size;
    memcpy(start, MAGIC, MAGIC_BYTES);
    put(start + 8, version_of(header), 4);
    put(start + 12, content, 4);
    uint8_t *at = start + TARN__CANONICAL_PREFIX_BYTES;
    put(at, header->key_groups.first, 2);
    put(at + 2, header->key_groups.last, 2);
    put(at + 4, header->max_parallelism, 4);
    put(at + 8, header->key_hash, 4);
    put(at + 12, header->sequence, 8);
    put(at + 20, header->name_size, 2);
    memcpy(at + 22, header->name, header->name_size);
    at += 22 + header->name_size;
    put(at, header->descriptor.size, 2);
    memcpy(at + 2, header->descriptor.data, header->descriptor.size);
    at += 2 + header->descriptor.size;
    put_check(at, tarn_bytes_at(start, (size_t)(at - start)));
    out->size += size;
    return TARN_OK;
}

tarn_status tarn__canonical_decode_prefix(
    const uint8_t prefix[TARN__CANONICAL_PREFIX_BYTES], size_t *size_out, tarn_error *error)
{
    if (memcmp(prefix, MAGIC, MAGIC_BYTES) != 0) {
        return refuse(error, "byte 0: it is no file of canonical rows");
    }
    const uint64_t version = get(prefix + 8, 4);
    if (version > TARN__CANONICAL_VERSION) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "its rows have format version %" PRIu64 ", and this Tarn reads up to version %d",
            version,
            TARN__CANONICAL_VERSION);
    }
    const uint64_t size = get(prefix + 12, 4);
    const uint64_t size_max = version == 1 ? HEADER_BYTES_MAX_1 : TARN__CANONICAL_HEADER_BYTES_MAX;
    if (version == 0 || size < CONTENT_BYTES_MIN || size > size_max) {
        return refuse(error, "bytes 8 to 15: no version and size of a header");
    }
    *size_out = (size_t)size + TARN__CANONICAL_CHECK_BYTES;
    return TARN_OK;
}

tarn_status tarn__canonical_decode_header(
    tarn_bytes bytes, tarn__canonical_header *out, tarn_error *error)
{
    const uint8_t *data = bytes.data;
    size_t behind = 0;
    if (bytes.size < TARN__CANONICAL_PREFIX_BYTES) {
        return refuse(error, "byte 0: the file ends within its header");
    }
    TARN_TRY(tarn__canonical_decode_prefix(data, &behind, error));
    if (bytes.size != TARN__CANONICAL_PREFIX_BYTES + behind) {
        return refuse(error, "byte 16: the file ends within its header");
    }
    const size_t checked = bytes.size - TARN__CANONICAL_CHECK_BYTES;
    if (!has_check(data + checked, tarn_bytes_at(data, checked))) {
        return refuse(error, "byte 0: the check of the header does not match");
    }
    const uint8_t *at = data + TARN__CANONICAL_PREFIX_BYTES;
    const size_t content = checked - TARN__CANONICAL_PREFIX_BYTES;
    const size_t name_size = (size_t)get(at + 20, 2);
    if (name_size > content - CONTENT_BYTES_MIN ||
        content - CONTENT_BYTES_MIN - name_size != get(at + 22 + name_size, 2)) {
        return refuse(error, "byte 36: the name or the descriptor runs over the header's end");
    }
    const tarn__canonical_header header = {
        .key_groups = {.first = (uint16_t)get(at, 2), .last = (uint16_t)get(at + 2, 2)},
        .max_parallelism = (uint32_t)get(at + 4, 4),
        .key_hash = (uint32_t)get(at + 8, 4),
        .sequence = get(at + 12, 8),
        .name = (const char *)at + 22,
        .name_size = name_size,
        .descriptor = tarn_bytes_at(at + 24 + name_size, content - CONTENT_BYTES_MIN - name_size),
    };
    if (name_size == 0 || memchr(header.name, 0, name_size) != NULL ||
        header.key_groups.first > header.key_groups.last ||
        header.key_groups.last >= header.max_parallelism ||
        header.max_parallelism > TARN_MAX_PARALLELISM_LIMIT) {
        return refuse(error, "byte 16: no name of a state, or no range of key groups");
    }
    *out = header;
    return TARN_OK;
}

/* ---- writing ---------------------------------------------------------------------------- */

void tarn__canonical_writer_init(tarn__canonical_writer *writer, const tarn_allocator *allocator)
{
    *writer = (tarn__canonical_writer){
        .rows = {.allocator = allocator},
        .stored = {.allocator = allocator},
    };
}

void tarn__canonical_writer_clear(tarn__canonical_writer *writer)
{
    tarn_buffer_clear(&writer->rows);
    tarn_buffer_clear(&writer->stored);
}

bool tarn__canonical_is_full(const tarn__canonical_writer *writer, tarn_bytes key, tarn_bytes value)
{
    return writer->row_count > 0 &&
           writer->rows.size + key.size + value.size + TARN__CANONICAL_ROW_HEAD_BYTES_MAX >
               TARN__CANONICAL_FRAME_BYTES;
}

static size_t put_varint(uint8_t *at, size_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        at[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    at[size++] = (uint8_t)value;
    return size;
}

tarn_status tarn__canonical_add(
    tarn__canonical_writer *writer, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    assert(key.size >= TARN__ROW_GROUP_BYTES && value.size <= INT32_MAX);
    tarn_buffer *rows = &writer->rows;
    const size_t size = rows->size + key.size + value.size + TARN__CANONICAL_ROW_HEAD_BYTES_MAX;
    size_t wanted = rows->capacity;
    if (size > wanted) {
        wanted = size > TARN__CANONICAL_FRAME_BYTES ? size : (size_t)TARN__CANONICAL_FRAME_BYTES;
    }
    if (tarn_buffer_reserve(rows, wanted) != TARN_OK) {
        return tarn__fail_no_memory(error, "a frame of rows", wanted);
    }
    uint8_t *at = rows->data + rows->size;
    at += put_varint(at, key.size);
    at += put_varint(at, value.size);
    memcpy(at, key.data, key.size);
    if (value.size > 0) {
        memcpy(at + key.size, value.data, value.size);
    }
    rows->size = (size_t)(at - rows->data) + key.size + value.size;
    const uint8_t *group = key.data;
    writer->last_group = (uint16_t)(group[0] << 8 | group[1]);
    if (writer->row_count == 0) {
        writer->first_group = writer->last_group;
    }
    writer->row_count++;
    return TARN_OK;
}

/* Packs the rows behind a head's room; answers the stored size, 0 when they stay as they are. */
static tarn_status compress(tarn__canonical_writer *writer, size_t *stored_size, tarn_error *error)
{
    const tarn_buffer *rows = &writer->rows;
    tarn_buffer *stored = &writer->stored;
    *stored_size = 0;
    if (rows->size > TARN__CANONICAL_FRAME_BYTES) {
        return TARN_OK;
    }
    const size_t room = stored->capacity - TARN__CANONICAL_HEAD_BYTES;
    const size_t size = ZSTD_compress(
        stored->data + TARN__CANONICAL_HEAD_BYTES, room, rows->data, rows->size, LEVEL);
    if (ZSTD_isError(size)) {
        return tarn__fail_no_memory(error, "the compression of rows", room);
    }
    *stored_size = size < rows->size ? size : 0;
    return TARN_OK;
}

tarn_status tarn__canonical_seal(tarn__canonical_writer *writer, tarn_bytes *out, tarn_error *error)
{
    assert(writer->row_count > 0);
    tarn_buffer *stored = &writer->stored;
    const size_t bound = writer->rows.size > TARN__CANONICAL_FRAME_BYTES
                             ? writer->rows.size
                             : ZSTD_compressBound(writer->rows.size);
    if (tarn_buffer_reserve(stored, TARN__CANONICAL_HEAD_BYTES + bound) != TARN_OK) {
        return tarn__fail_no_memory(error, "a frame of rows", bound);
    }
    size_t size = 0;
    TARN_TRY(compress(writer, &size, error));
    const bool is_compressed = size != 0;
    if (!is_compressed) {
        size = writer->rows.size;
        memcpy(stored->data + TARN__CANONICAL_HEAD_BYTES, writer->rows.data, size);
    }
    uint8_t *head = stored->data;
    put(head, size, 4);
    put(head + 4, writer->rows.size, 4);
    put(head + 8, writer->row_count, 4);
    put(head + 12, writer->first_group, 2);
    put(head + 14, writer->last_group, 2);
    put(head + 16, is_compressed ? CODEC_ZSTD : CODEC_NONE, 4);
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    tarn__hasher_update(&hasher, tarn_bytes_at(head, CHECKED_HEAD_BYTES));
    tarn__hasher_update(&hasher, tarn_bytes_at(head + TARN__CANONICAL_HEAD_BYTES, size));
    const tarn__digest digest = tarn__hasher_digest(&hasher);
    memcpy(head + CHECKED_HEAD_BYTES, digest.bytes, TARN__CANONICAL_CHECK_BYTES);
    stored->size = TARN__CANONICAL_HEAD_BYTES + size;
    writer->rows_total += writer->row_count;
    writer->frames_total++;
    writer->row_count = 0;
    writer->rows.size = 0;
    *out = tarn_buffer_bytes(stored);
    return TARN_OK;
}

tarn_status tarn__canonical_finish(
    tarn__canonical_writer *writer, tarn_bytes *out, tarn_error *error)
{
    assert(writer->row_count == 0);
    const size_t size = TARN__CANONICAL_HEAD_BYTES + TARN__CANONICAL_END_BYTES;
    if (tarn_buffer_reserve(&writer->stored, size) != TARN_OK) {
        return tarn__fail_no_memory(error, "the end of a file of rows", size);
    }
    uint8_t *head = writer->stored.data;
    memset(head, 0, CHECKED_HEAD_BYTES);
    put_check(head + CHECKED_HEAD_BYTES, tarn_bytes_at(head, CHECKED_HEAD_BYTES));
    uint8_t *end = head + TARN__CANONICAL_HEAD_BYTES;
    put(end, writer->rows_total, 8);
    put(end + 8, writer->frames_total, 8);
    put_check(end + 16, tarn_bytes_at(end, 16));
    writer->stored.size = size;
    *out = tarn_buffer_bytes(&writer->stored);
    return TARN_OK;
}

/* ---- reading ---------------------------------------------------------------------------- */

tarn_status tarn__canonical_decode_head(
    const uint8_t bytes[TARN__CANONICAL_HEAD_BYTES], tarn__canonical_head *out, tarn_error *error)
{
    const uint64_t codec = get(bytes + 16, 4);
    const tarn__canonical_head head = {
        .stored_size = (uint32_t)get(bytes, 4),
        .raw_size = (uint32_t)get(bytes + 4, 4),
        .row_count = (uint32_t)get(bytes + 8, 4),
        .first_group = (uint16_t)get(bytes + 12, 2),
        .last_group = (uint16_t)get(bytes + 14, 2),
        .is_compressed = codec == CODEC_ZSTD,
    };
    const bool is_end = head.stored_size == 0;
    bool is_possible = codec == CODEC_NONE || codec == CODEC_ZSTD;
    if (is_end) {
        is_possible = codec == 0 && head.raw_size == 0 && head.row_count == 0 &&
                      head.first_group == 0 && head.last_group == 0;
    } else if (is_possible) {
        is_possible = head.row_count > 0 && head.first_group <= head.last_group &&
                      (head.is_compressed ? head.raw_size <= TARN__CANONICAL_FRAME_BYTES
                                          : head.raw_size == head.stored_size) &&
                      (head.raw_size <= TARN__CANONICAL_FRAME_BYTES || head.row_count == 1);
    }
    if (!is_possible) {
        return refuse(error, "no head of a frame");
    }
    *out = head;
    return TARN_OK;
}

static tarn_status unpack(
    const tarn__canonical_head *head, tarn_bytes stored, tarn_buffer *raw, tarn_error *error)
{
    if (tarn_buffer_reserve(raw, head->raw_size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a frame of rows", head->raw_size);
    }
    if (!head->is_compressed) {
        memcpy(raw->data, stored.data, stored.size);
    } else if (
        ZSTD_decompress(raw->data, head->raw_size, stored.data, stored.size) != head->raw_size) {
        return refuse(error, "a frame that cannot be unpacked");
    }
    raw->size = head->raw_size;
    return TARN_OK;
}

tarn_status tarn__canonical_open_frame(
    const tarn__canonical_head *head, tarn_bytes bytes, tarn_buffer *raw, tarn_error *error)
{
    assert(head->stored_size > 0);
    if (bytes.size != (size_t)TARN__CANONICAL_HEAD_BYTES + head->stored_size) {
        return refuse(error, "the file ends within a frame");
    }
    const uint8_t *data = bytes.data;
    const tarn_bytes stored = tarn_bytes_at(data + TARN__CANONICAL_HEAD_BYTES, head->stored_size);
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    tarn__hasher_update(&hasher, tarn_bytes_at(data, CHECKED_HEAD_BYTES));
    tarn__hasher_update(&hasher, stored);
    const tarn__digest digest = tarn__hasher_digest(&hasher);
    if (memcmp(digest.bytes, data + CHECKED_HEAD_BYTES, TARN__CANONICAL_CHECK_BYTES) != 0) {
        return refuse(error, "a frame whose check does not match");
    }
    return unpack(head, stored, raw, error);
}

static bool get_varint(tarn_bytes raw, size_t *position, uint64_t *out)
{
    const uint8_t *data = raw.data;
    *out = 0;
    for (size_t i = 0; i < VARINT_BYTES_MAX && *position < raw.size; i++) {
        const uint8_t byte = data[(*position)++];
        *out |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            return byte != 0 || i == 0; /* The shortest form is the only one. */
        }
    }
    return false;
}

tarn_status tarn__canonical_next(
    tarn__canonical_cursor *cursor, tarn_bytes *key, tarn_bytes *value, tarn_error *error)
{
    const tarn_bytes raw = cursor->raw;
    if (cursor->position == raw.size) {
        return cursor->row_count == cursor->head->row_count
                   ? TARN_DONE
                   : refuse(error, "a frame has not the rows that it announces");
    }
    uint64_t key_size = 0;
    uint64_t value_size = 0;
    size_t at = cursor->position;
    if (!get_varint(raw, &at, &key_size) || !get_varint(raw, &at, &value_size) ||
        key_size < TARN__ROW_GROUP_BYTES || key_size > raw.size - at ||
        value_size > raw.size - at - key_size) {
        return refuse(error, "a row runs over the end of its frame");
    }
    const uint8_t *data = (const uint8_t *)raw.data + at;
    const tarn_bytes found = tarn_bytes_at(data, (size_t)key_size);
    const uint32_t group = (uint32_t)data[0] << 8 | data[1];
    if (group < cursor->head->first_group || group > cursor->head->last_group ||
        (cursor->row_count > 0 && tarn_bytes_compare(cursor->before, found) >= 0)) {
        return refuse(error, "rows are not in their order");
    }
    *key = found;
    *value = tarn_bytes_at(data + key_size, (size_t)value_size);
    cursor->before = found;
    cursor->position = at + (size_t)key_size + (size_t)value_size;
    cursor->row_count++;
    return TARN_OK;
}

tarn_status tarn__canonical_check_end(
    tarn_bytes bytes, uint64_t rows_total, uint64_t frames_total, tarn_error *error)
{
    const uint8_t *data = bytes.data;
    if (bytes.size != TARN__CANONICAL_HEAD_BYTES + TARN__CANONICAL_END_BYTES) {
        return refuse(error, "the file ends early, or goes on behind its end");
    }
    const uint8_t *end = data + TARN__CANONICAL_HEAD_BYTES;
    if (!has_check(data + CHECKED_HEAD_BYTES, tarn_bytes_at(data, CHECKED_HEAD_BYTES)) ||
        !has_check(end + 16, tarn_bytes_at(end, 16))) {
        return refuse(error, "the check of the end does not match");
    }
    if (get(end, 8) != rows_total || get(end + 8, 8) != frames_total) {
        return refuse(error, "the file has not the rows that its end announces");
    }
    return TARN_OK;
}
