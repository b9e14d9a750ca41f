/* table.c - see table.h. */
#include "codec/table.h"

#include <inttypes.h>
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/try.h"
#include "codec/varint.h"

enum {
    MAGIC_BYTES = 8,
    VERSION_MIN = 2,
    VERSION_MAX = 6,
    VERSION_CHECKED = 6, /* From here on the footer has a checksum, and no handle of the index. */
    HANDLES_OFFSET = 1,
    METAINDEX_SIZE_OFFSET = 1 + 4 + 4 + 4,
    COMPRESSION_NONE = 0,
    COMPRESSION_LZ4 = 4,
    COMPRESSION_LZ4HC = 5,
    COMPRESSION_ZSTD = 7,
    CHECK_XXH3 = 4,
    CHECK_BYTES = 4,
    HASHED_BIT = 31, /* Of the count of restart points: a hash index is before them. */
};

static const uint64_t MAGIC = 0x88e241b785f4cff7;
static const uint32_t LAST_BYTE_FACTOR = 0x6b9083d9; /* Of XXH3 checksums. */

static const uint8_t *take_handle(const uint8_t *at, const uint8_t *end, tarn__table_handle *out)
{
    at = tarn__varint_take(at, end, &out->offset);
    return tarn__varint_take(at, end, &out->size);
}

bool tarn__table_decode_handle(tarn_bytes bytes, tarn__table_handle *out)
{
    const uint8_t *at = bytes.data;
    return bytes.size > 0 && take_handle(at, at + bytes.size, out) != NULL;
}

bool tarn__table_decode_number(tarn_bytes bytes, uint64_t *out)
{
    const uint8_t *at = bytes.data;
    return bytes.size > 0 && tarn__varint_take(at, at + bytes.size, out) != NULL;
}

/* ---- footer ----------------------------------------------------------------------------- */

static bool is_inside(const tarn__table_handle *handle, uint64_t file_size)
{
    return handle->size <= TARN__TABLE_BLOCK_BYTES_MAX &&
           handle->size + TARN__TABLE_TRAILER_BYTES <= file_size &&
           handle->offset <= file_size - handle->size - TARN__TABLE_TRAILER_BYTES;
}

static bool read_handles(const uint8_t *bytes, uint64_t file_size, tarn__table_footer *footer)
{
    const uint8_t *at = bytes + HANDLES_OFFSET;
    const uint8_t *end = bytes + TARN__TABLE_FOOTER_BYTES - MAGIC_BYTES - 4;
    at = take_handle(at, end, &footer->metaindex);
    at = take_handle(at, end, &footer->index);
    return at != NULL && is_inside(&footer->index, file_size);
}

/* The metaindex is right before the footer. */
static void read_place(const uint8_t *bytes, uint64_t file_size, tarn__table_footer *footer)
{
    const uint64_t size = tarn__number_load(bytes + METAINDEX_SIZE_OFFSET, 4);
    const uint64_t end = file_size - TARN__TABLE_FOOTER_BYTES;
    footer->metaindex.size = size;
    footer->metaindex.offset = size + TARN__TABLE_TRAILER_BYTES <= end
                                   ? end - size - TARN__TABLE_TRAILER_BYTES
                                   : UINT64_MAX;
}

tarn_status tarn__table_decode_footer(
    const uint8_t bytes[TARN__TABLE_FOOTER_BYTES],
    uint64_t file_size,
    tarn__table_footer *out,
    tarn_error *error)
{
    const size_t magic_at = TARN__TABLE_FOOTER_BYTES - MAGIC_BYTES;
    if (file_size < TARN__TABLE_FOOTER_BYTES ||
        tarn__number_load(bytes + magic_at, MAGIC_BYTES) != MAGIC) {
        return tarn__fail(error, TARN_CORRUPTION, "it is no block-based table of RocksDB");
    }
    tarn__table_footer footer = {
        .version = (uint32_t)tarn__number_load(bytes + magic_at - 4, 4),
        .check = bytes[0],
    };
    if (footer.version < VERSION_MIN || footer.version > VERSION_MAX) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "its table format has version %" PRIu32 ", and %d to %d are known",
            footer.version,
            VERSION_MIN,
            VERSION_MAX);
    }
    bool is_good = true;
    if (footer.version >= VERSION_CHECKED) {
        read_place(bytes, file_size, &footer);
    } else {
        is_good = read_handles(bytes, file_size, &footer);
    }
    if (!is_good || !is_inside(&footer.metaindex, file_size)) {
        return tarn__fail(error, TARN_CORRUPTION, "the footer of the table names no place in it");
    }
    *out = footer;
    return TARN_OK;
}

/* ---- blocks ----------------------------------------------------------------------------- */

bool tarn__table_has_checks(const tarn__table_footer *footer)
{
    return footer->version < VERSION_CHECKED && footer->check == CHECK_XXH3;
}

/* The byte of the compression is mixed in, not hashed with the others. */
bool tarn__table_check_block(tarn_bytes block)
{
    if (block.size < TARN__TABLE_TRAILER_BYTES) {
        return false;
    }
    const uint8_t *data = block.data;
    const size_t size = block.size - TARN__TABLE_TRAILER_BYTES;
    const uint32_t hash = (uint32_t)tarn__hash64_of(tarn_bytes_at(data, size));
    return (hash ^ data[size] * LAST_BYTE_FACTOR) ==
           tarn__number_load(data + size + 1, CHECK_BYTES);
}

static bool unpack_lz4(tarn_bytes packed, tarn_bytes dictionary, uint8_t *into, size_t size)
{
    const int got = LZ4_decompress_safe_usingDict(
        packed.data,
        (char *)into,
        (int)packed.size,
        (int)size,
        dictionary.data,
        (int)dictionary.size);
    return got >= 0 && (size_t)got == size;
}

/* Makes what zstd needs, once. */
static bool prepare_zstd(tarn__table_unpacker *u, tarn_bytes dictionary)
{
    if (u->zstd == NULL) {
        u->zstd = ZSTD_createDCtx();
    }
    if (u->dictionary == NULL && dictionary.size > 0) {
        u->dictionary = ZSTD_createDDict(dictionary.data, dictionary.size);
    }
    return u->zstd != NULL && (u->dictionary != NULL || dictionary.size == 0);
}

static tarn_status unpack_zstd(
    tarn__table_unpacker *u,
    tarn_bytes packed,
    tarn_bytes dictionary,
    uint8_t *into,
    size_t size,
    bool *is_good,
    tarn_error *error)
{
    if (!prepare_zstd(u, dictionary)) {
        return tarn__fail_no_memory(error, "a context of zstd", dictionary.size);
    }
    const ZSTD_DDict *digested = dictionary.size > 0 ? u->dictionary : NULL;
    *is_good =
        size == ZSTD_decompress_usingDDict(u->zstd, into, size, packed.data, packed.size, digested);
    return TARN_OK;
}

void tarn__table_unpacker_clear(tarn__table_unpacker *unpacker)
{
    ZSTD_freeDCtx(unpacker->zstd);
    ZSTD_freeDDict(unpacker->dictionary);
    *unpacker = (tarn__table_unpacker){.zstd = NULL};
}

static tarn_status unpack(
    tarn__table_unpacker *unpacker,
    uint8_t compression,
    tarn_bytes stored,
    tarn_bytes dictionary,
    tarn_buffer *out,
    tarn_error *error)
{
    uint64_t size = 0;
    const uint8_t *at = stored.data;
    const uint8_t *packed = tarn__varint_take(at, at + stored.size, &size);
    if (packed == NULL || size > TARN__TABLE_BLOCK_BYTES_MAX) {
        return tarn__fail(error, TARN_CORRUPTION, "a block of the table has no size");
    }
    if (tarn_buffer_reserve(out, (size_t)size + 1) != TARN_OK) {
        return tarn__fail_no_memory(error, "a block of a table", (size_t)size);
    }
    const tarn_bytes rest = tarn_bytes_at(packed, stored.size - (size_t)(packed - at));
    bool is_good = false;
    if (compression == COMPRESSION_ZSTD) {
        TARN_TRY(unpack_zstd(unpacker, rest, dictionary, out->data, (size_t)size, &is_good, error));
    } else {
        is_good = unpack_lz4(rest, dictionary, out->data, (size_t)size);
    }
    if (!is_good) {
        return tarn__fail(error, TARN_CORRUPTION, "a block of the table does not unpack");
    }
    out->size = (size_t)size;
    return TARN_OK;
}

tarn_status tarn__table_unpack(
    tarn__table_unpacker *unpacker,
    tarn_bytes block,
    tarn_bytes dictionary,
    tarn_buffer *out,
    tarn_error *error)
{
    if (block.size < TARN__TABLE_TRAILER_BYTES) {
        return tarn__fail(error, TARN_CORRUPTION, "a block of the table has no end");
    }
    const uint8_t *data = block.data;
    const tarn_bytes stored = tarn_bytes_at(data, block.size - TARN__TABLE_TRAILER_BYTES);
    switch (data[stored.size]) {
    case COMPRESSION_NONE:
        return tarn_buffer_assign(out, stored) == TARN_OK
                   ? TARN_OK
                   : tarn__fail_no_memory(error, "a block of a table", stored.size);
    case COMPRESSION_LZ4:
    case COMPRESSION_LZ4HC:
    case COMPRESSION_ZSTD:
        return unpack(unpacker, data[stored.size], stored, dictionary, out, error);
    default:
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "a block of the table has compression %u; none, lz4 and zstd are read",
            data[stored.size]);
    }
}

/* ---- entries ---------------------------------------------------------------------------- */

bool tarn__table_begin(tarn__table_cursor *cursor, tarn_bytes block)
{
    const uint8_t *data = block.data;
    size_t left = block.size;
    if (left < 4) {
        return false;
    }
    left -= 4;
    const uint64_t word = tarn__number_load(data + left, 4);
    if ((word >> HASHED_BIT) != 0) { /* [bucket u8]* [count of buckets u16] */
        if (left < 2 || tarn__number_load(data + left - 2, 2) + 2 > left) {
            return false;
        }
        left -= tarn__number_load(data + left - 2, 2) + 2;
    }
    const uint64_t restarts = word & ~((uint64_t)1 << HASHED_BIT);
    if (restarts > left / 4) {
        return false;
    }
    cursor->at = data;
    cursor->end = data + left - (size_t)restarts * 4;
    cursor->has_values = true;
    cursor->handle = (tarn__table_handle){.offset = 0};
    cursor->key.size = 0;
    return true;
}

/* Reads the key of an entry, and *value_size if entries have one. */
static tarn_status take_key(
    tarn__table_cursor *c, bool has_value, uint64_t *shared_out, uint64_t *value_size)
{
    uint64_t shared = 0;
    uint64_t own = 0;
    const uint8_t *at = tarn__varint_take(c->at, c->end, &shared);
    at = tarn__varint_take(at, c->end, &own);
    if (has_value) {
        at = tarn__varint_take(at, c->end, value_size);
    }
    if (at == NULL || shared > c->key.size || own > (uint64_t)(c->end - at)) {
        return TARN_CORRUPTION;
    }
    c->key.size = (size_t)shared;
    if (tarn_buffer_append(&c->key, tarn_bytes_at(at, (size_t)own)) != TARN_OK) {
        return TARN_NO_MEMORY;
    }
    *shared_out = shared;
    c->at = at + own;
    return TARN_OK;
}

tarn_status tarn__table_next(tarn__table_cursor *cursor, tarn_bytes *value)
{
    uint64_t shared = 0;
    uint64_t size = 0;
    if (cursor->at == cursor->end) {
        return TARN_DONE;
    }
    TARN_TRY(take_key(cursor, true, &shared, &size));
    if (size > (uint64_t)(cursor->end - cursor->at)) {
        return TARN_CORRUPTION;
    }
    *value = tarn_bytes_at(cursor->at, (size_t)size);
    cursor->at += size;
    return TARN_OK;
}

tarn_status tarn__table_next_handle(tarn__table_cursor *cursor, tarn__table_handle *out)
{
    if (cursor->at == cursor->end) {
        return TARN_DONE;
    }
    uint64_t shared = 0;
    uint64_t number = 0;
    if (cursor->has_values) {
        tarn_bytes value;
        TARN_TRY(tarn__table_next(cursor, &value));
        return tarn__table_decode_handle(value, out) ? TARN_OK : TARN_CORRUPTION;
    }
    TARN_TRY(take_key(cursor, false, &shared, NULL));
    if (shared == 0) {
        cursor->at = take_handle(cursor->at, cursor->end, &cursor->handle);
    } else { /* Right behind the one before; the size is said as a difference, zigzag. */
        cursor->at = tarn__varint_take(cursor->at, cursor->end, &number);
        cursor->handle.offset += cursor->handle.size + TARN__TABLE_TRAILER_BYTES;
        cursor->handle.size += (number >> 1) ^ (~(number & 1) + 1);
    }
    if (cursor->at == NULL) {
        return TARN_CORRUPTION;
    }
    *out = cursor->handle;
    return TARN_OK;
}

bool tarn__table_split_key(
    tarn_bytes internal, tarn_bytes *user, uint64_t *sequence, tarn__table_type *type)
{
    if (internal.size < TARN__TABLE_KEY_TAIL_BYTES) {
        return false;
    }
    const size_t size = internal.size - TARN__TABLE_KEY_TAIL_BYTES;
    const uint64_t tail =
        tarn__number_load((const uint8_t *)internal.data + size, TARN__TABLE_KEY_TAIL_BYTES);
    *user = tarn_bytes_at(internal.data, size);
    *sequence = tail >> 8;
    switch (tail & 0xff) {
    case TARN__TABLE_DELETION:
    case TARN__TABLE_VALUE:
    case TARN__TABLE_MERGE:
    case TARN__TABLE_SINGLE_DELETION:
    case TARN__TABLE_RANGE_DELETION:
        *type = (tarn__table_type)(tail & 0xff);
        return true;
    default:
        return false;
    }
}
