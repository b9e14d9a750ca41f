/*
 * crc32c.h - CRC-32C (Castagnoli), as RocksDB's lists of files have it. For small amounts: it takes
 * a nibble at a time.
 *
 * Thread: pure.
 */
#ifndef TARN_CODEC_CRC32C_H
#define TARN_CODEC_CRC32C_H

#include "tarn/bytes.h"

/* The checksum of bytes behind those that crc is of; 0: behind none. */
static inline uint32_t tarn__crc32c(uint32_t crc, tarn_bytes bytes)
{
    static const uint32_t NIBBLES[16] = {
        0x00000000,
        0x105ec76f,
        0x20bd8ede,
        0x30e349b1,
        0x417b1dbc,
        0x5125dad3,
        0x61c69362,
        0x7198540d,
        0x82f63b78,
        0x92a8fc17,
        0xa24bb5a6,
        0xb21572c9,
        0xc38d26c4,
        0xd3d3e1ab,
        0xe330a81a,
        0xf36e6f75,
    };
    const uint8_t *data = bytes.data;
    crc = ~crc;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ NIBBLES[crc & 15];
        crc = (crc >> 4) ^ NIBBLES[crc & 15];
    }
    return ~crc;
}

#endif
