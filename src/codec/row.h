/*
 * row.h - how a row is named in the store.
 *
 *     key first        [key group u16 BE][key size varint][key][namespace size
 * varint][namespace][user key] namespace first  [key group u16 BE][namespace size
 * varint][namespace][key size varint][key][user key]
 *
 * Self-delimiting: no row's prefix is another key's prefix; the rows of a key group are contiguous,
 * so are those of a key and of a namespace within it, and user keys sort by their bytes. A varint
 * has seven bits a byte, the low ones first; the shortest form is the only valid one, so a row has
 * one encoding. docs/FORMATS.md, "Rows".
 *
 * Thread: pure.
 */
#ifndef TARN_CODEC_ROW_H
#define TARN_CODEC_ROW_H

#include <string.h>

#include "tarn/bytes.h"

enum {
    TARN__ROW_KEY_BYTES_MAX = (64 << 10) - 1,
    TARN__ROW_NAMESPACE_BYTES_MAX = (64 << 10) - 1,
    TARN__ROW_USER_KEY_BYTES_MAX = (64 << 10) - 1,
    TARN__ROW_GROUP_BYTES = 2,
    TARN__ROW_VARINT_BYTES_MAX = 3, /* Of a size of at most 64 KiB - 1. */
    /* Everything but the namespace's and the user key's own bytes. */
    TARN__ROW_PREFIX_BYTES_MAX =
        TARN__ROW_GROUP_BYTES + TARN__ROW_VARINT_BYTES_MAX + TARN__ROW_KEY_BYTES_MAX,
};

/* Which of key and namespace stands first. Values are part of the descriptor's format. */
typedef enum tarn__row_layout {
    TARN__ROW_KEY_FIRST = 0,
    TARN__ROW_NAMESPACE_FIRST = 1,
} tarn__row_layout;

typedef struct tarn__row {
    uint32_t key_group;
    tarn_bytes key;
    tarn_bytes name_space;
    tarn_bytes user_key;
} tarn__row;

/* Writes a size of at most 64 KiB - 1; answers the bytes written, 1 .. 3. */
static inline size_t tarn__row_encode_size(uint8_t *out, size_t size)
{
    size_t count = 0;
    while (size >= 0x80) {
        out[count++] = (uint8_t)(size | 0x80);
        size >>= 7;
    }
    out[count++] = (uint8_t)size;
    return count;
}

static inline void tarn__row_encode_group(uint8_t out[TARN__ROW_GROUP_BYTES], uint32_t key_group)
{
    out[0] = (uint8_t)(key_group >> 8);
    out[1] = (uint8_t)key_group;
}

/* As memcpy(), without a call for the sizes that most keys and namespaces have. */
static inline void tarn__row_copy(uint8_t *out, const void *data, size_t size)
{
    if (size == sizeof(uint64_t)) {
        memcpy(out, data, sizeof(uint64_t));
    } else if (size == 1) {
        out[0] = *(const uint8_t *)data;
    } else if (size > 0) {
        memcpy(out, data, size);
    }
}

/* Writes key group and key, the part that all states share; answers its bytes. Room: 5 + key. */
static inline size_t tarn__row_encode_key(uint8_t *out, uint32_t key_group, tarn_bytes key)
{
    tarn__row_encode_group(out, key_group);
    size_t at = TARN__ROW_GROUP_BYTES;
    at += tarn__row_encode_size(out + at, key.size);
    tarn__row_copy(out + at, key.data, key.size);
    return at + key.size;
}

/* Writes a namespace with its size; answers its bytes. Room: 3 + namespace. */
static inline size_t tarn__row_encode_namespace(uint8_t *out, tarn_bytes name_space)
{
    const size_t at = tarn__row_encode_size(out, name_space.size);
    if (name_space.size > 0) {
        memcpy(out + at, name_space.data, name_space.size);
    }
    return at + name_space.size;
}

/*
 * Reads a row; its views lie in bytes. False: the bytes are no row (too short, a size that goes
 * beyond the end, is too large, or is not in its shortest form, a key group beyond 32,767).
 */
bool tarn__row_decode_as(tarn_bytes bytes, tarn__row_layout layout, tarn__row *out);

/* The same of a row whose key stands first. */
static inline bool tarn__row_decode(tarn_bytes bytes, tarn__row *out)
{
    return tarn__row_decode_as(bytes, TARN__ROW_KEY_FIRST, out);
}

/* Reads [key size][key][namespace size][namespace] and nothing behind it, as timers have it. */
bool tarn__row_decode_tail(tarn_bytes bytes, tarn_bytes *key, tarn_bytes *name_space);

/* Answers the bytes of a decoded row up to its first part: key group and key, or namespace. */
static inline size_t tarn__row_head_size(
    tarn_bytes bytes, tarn__row_layout layout, const tarn__row *row)
{
    const tarn_bytes first = layout == TARN__ROW_KEY_FIRST ? row->key : row->name_space;
    return (size_t)((const uint8_t *)first.data - (const uint8_t *)bytes.data) + first.size;
}

/*
 * Turns bytes into the least ones that are greater than all that begin with them; answers their
 * size, at most size. Bytes of a row have such a successor: a key group is at most 0x7fff.
 */
static inline size_t tarn__row_successor(uint8_t *bytes, size_t size)
{
    while (size > 0 && bytes[size - 1] == UINT8_MAX) {
        size--;
    }
    if (size > 0) {
        bytes[size - 1]++;
    }
    return size;
}

#endif
