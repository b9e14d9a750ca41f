/*
 * varint.h - numbers as RocksDB's files have them: little-endian, or seven bits a byte, low first.
 *
 * Thread: pure.
 */
#ifndef TARN_CODEC_VARINT_H
#define TARN_CODEC_VARINT_H

#include <stddef.h>
#include <stdint.h>

enum { TARN__VARINT_BYTES_MAX = 10 };

/* Reads a number of size bytes, 1 .. 8. */
static inline uint64_t tarn__number_load(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

/* Reads a varint and goes behind it; NULL: there is none, or at was NULL. */
static inline const uint8_t *tarn__varint_take(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; at != NULL && at < end && shift < 64; shift += 7) {
        const uint8_t byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out = value;
            return at;
        }
    }
    return NULL;
}

/* Writes a varint; answers its bytes. Room: TARN__VARINT_BYTES_MAX. */
static inline size_t tarn__varint_put(uint8_t *out, uint64_t value)
{
    size_t count = 0;
    while (value >= 0x80) {
        out[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[count++] = (uint8_t)value;
    return count;
}

#endif
