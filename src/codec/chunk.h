/*
 * chunk.h - some elements of a list, one after the other: the value of a row of a list state.
 *
 *     [stamp i64 BE, with a TTL][element size varint][element][element size varint][element]...
 *
 * A chunk is never empty, and all its elements were written at one time. Its row ends in the
 * sequence number (u64, big endian) that orders the chunks of a list.
 *
 * Thread: pure.
 */
#ifndef TARN_CODEC_CHUNK_H
#define TARN_CODEC_CHUNK_H

#include "tarn/bytes.h"

enum {
    TARN__CHUNK_SEQUENCE_BYTES = 8,
    TARN__CHUNK_VARINT_BYTES_MAX = 5, /* Of an element of at most 2 GiB - 1. */
};

void tarn__chunk_encode_sequence(uint8_t out[TARN__CHUNK_SEQUENCE_BYTES], uint64_t sequence);

/* Appends an element of at most 2 GiB - 1 to a chunk. TARN_NO_MEMORY leaves it as it was. */
TARN_NODISCARD tarn_status tarn__chunk_append(tarn_buffer *chunk, tarn_bytes element);

/*
 * Takes the next element off the rest of a chunk.
 *
 * Returns TARN_OK, TARN_DONE when the rest is empty, TARN_CORRUPTION when it is no element.
 */
TARN_NODISCARD tarn_status tarn__chunk_take(tarn_bytes *rest, tarn_bytes *element);

#endif
