/*
 * java_hash.c - hashes of keys: Tarn's own, and those of Java's types for jobs that must agree with
 * a JVM. Source: the specifications of java.lang.Integer, Long, String and java.util.Arrays;
 * Flink's MathUtils.murmurHash for the scattering. Proof: vectors key_groups.
 */
#define XXH_INLINE_ALL /* A call would cost as much as the hash. */
#include <xxhash.h>

#include "tarn/key_group.h"

enum {
    JAVA_FACTOR = 31,               /* Of String.hashCode() and Arrays.hashCode(). */
    REPLACEMENT_CHARACTER = 0xFFFD, /* Stands for a byte that is no part of UTF-8. */
    SURROGATES_FIRST = 0xD800,
    SURROGATES_LAST = 0xDFFF,
    LOW_SURROGATES_FIRST = 0xDC00,
    SUPPLEMENTARY_FIRST = 0x10000,
    CODE_POINT_LAST = 0x10FFFF,
};

/* A code point and how many bytes it takes. */
typedef struct decoded {
    uint32_t code_point;
    size_t size;
} decoded;

/* Two's complement: what an int of Java holds after wrapping around. */
static int32_t as_java_int(uint32_t bits)
{
    return bits <= INT32_MAX ? (int32_t)bits : (int32_t)((int64_t)bits - ((int64_t)1 << 32));
}

int32_t tarn_hash_bytes(tarn_bytes key)
{
    return as_java_int((uint32_t)XXH3_64bits(key.data, key.size));
}

int32_t tarn_hash_java_int(int32_t key)
{
    return key;
}

int32_t tarn_hash_java_long(int64_t key)
{
    const uint64_t bits = (uint64_t)key;
    return as_java_int((uint32_t)(bits ^ (bits >> 32)));
}

/* Bytes that a sequence has by its first byte, 0 when no sequence starts so; *bits are its own. */
static size_t sequence_size(uint8_t first, uint32_t *bits)
{
    if (first < 0x80) {
        *bits = first;
        return 1;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        *bits = first & 0x1Fu;
        return 2;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        *bits = first & 0x0Fu;
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        *bits = first & 0x07u;
        return 4;
    }
    return 0;
}

/* Tells whether a code point is written in no more bytes than it needs, and may be written at all.
 */
static bool is_well_formed(uint32_t code_point, size_t size)
{
    static const uint32_t first_of_size[] = {0, 0, 0x80, 0x800, SUPPLEMENTARY_FIRST};
    return code_point >= first_of_size[size] && code_point <= CODE_POINT_LAST &&
           (code_point < SURROGATES_FIRST || code_point > SURROGATES_LAST);
}

/* Reads the sequence at utf8; one byte becomes U+FFFD when there is none. size > 0. */
static decoded decode(const uint8_t *utf8, size_t size)
{
    const decoded invalid = {.code_point = REPLACEMENT_CHARACTER, .size = 1};
    uint32_t code_point = 0;
    const size_t length = sequence_size(utf8[0], &code_point);
    if (length == 0 || length > size) {
        return invalid;
    }
    for (size_t i = 1; i < length; i++) {
        if ((utf8[i] & 0xC0u) != 0x80) {
            return invalid;
        }
        code_point = code_point << 6 | (utf8[i] & 0x3Fu);
    }
    return is_well_formed(code_point, length) ? (decoded){code_point, length} : invalid;
}

int32_t tarn_hash_java_string(const char *utf8, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)utf8;
    uint32_t hash = 0;
    for (size_t at = 0; at < size;) {
        const decoded next = decode(bytes + at, size - at);
        at += next.size;
        if (next.code_point < SUPPLEMENTARY_FIRST) {
            hash = JAVA_FACTOR * hash + next.code_point;
        } else {
            const uint32_t offset = next.code_point - SUPPLEMENTARY_FIRST;
            hash = JAVA_FACTOR * hash + (SURROGATES_FIRST + (offset >> 10));
            hash = JAVA_FACTOR * hash + (LOW_SURROGATES_FIRST + (offset & 0x3FFu));
        }
    }
    return as_java_int(hash);
}

int32_t tarn_hash_java_bytes(tarn_bytes key)
{
    const uint8_t *bytes = key.data;
    uint32_t hash = 1;
    for (size_t i = 0; i < key.size; i++) {
        /* Java's bytes are signed. */
        const int32_t element = bytes[i] < 0x80 ? bytes[i] : bytes[i] - 0x100;
        hash = JAVA_FACTOR * hash + (uint32_t)element;
    }
    return as_java_int(hash);
}

static uint32_t rotate_left(uint32_t bits, unsigned count)
{
    return bits << count | bits >> (32 - count);
}

/*
 * MurmurHash3's 32-bit variant over one block of four bytes, seed 0. The negative half is folded
 * onto the positive one as Java would do it, and the one number without a counterpart becomes 0.
 */
int32_t tarn_hash_murmur(int32_t hash)
{
    uint32_t code = (uint32_t)hash * 0xCC9E2D51u;
    code = rotate_left(code, 15) * 0x1B873593u;
    code = rotate_left(code, 13) * 5 + 0xE6546B64u;
    code ^= 4; /* The length of the input. */
    code = (code ^ code >> 16) * 0x85EBCA6Bu;
    code = (code ^ code >> 13) * 0xC2B2AE35u;
    code ^= code >> 16;
    const int32_t folded = as_java_int(code);
    if (folded == INT32_MIN) {
        return 0;
    }
    return folded < 0 ? -folded : folded;
}
