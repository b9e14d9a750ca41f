/* chunk.c - see chunk.h. */
#include "codec/chunk.h"

enum { PAYLOAD_BITS = 7, MORE = 0x80 };

void tarn__chunk_encode_sequence(uint8_t out[TARN__CHUNK_SEQUENCE_BYTES], uint64_t sequence)
{
    for (uint32_t i = 0; i < TARN__CHUNK_SEQUENCE_BYTES; i++) {
        out[i] = (uint8_t)(sequence >> (56 - 8 * i));
    }
}

tarn_status tarn__chunk_append(tarn_buffer *chunk, tarn_bytes element)
{
    uint8_t size[TARN__CHUNK_VARINT_BYTES_MAX];
    size_t count = 0;
    size_t left = element.size;
    while (left >= MORE) {
        size[count++] = (uint8_t)(left | MORE);
        left >>= PAYLOAD_BITS;
    }
    size[count++] = (uint8_t)left;
    const size_t size_before = chunk->size;
    if (tarn_buffer_append(chunk, tarn_bytes_at(size, count)) != TARN_OK) {
        return TARN_NO_MEMORY;
    }
    if (tarn_buffer_append(chunk, element) != TARN_OK) {
        chunk->size = size_before;
        return TARN_NO_MEMORY;
    }
    return TARN_OK;
}

tarn_status tarn__chunk_take(tarn_bytes *rest, tarn_bytes *element)
{
    const uint8_t *data = rest->data;
    if (rest->size == 0) {
        return TARN_DONE;
    }
    size_t size = 0;
    size_t count = 0;
    bool has_more = true;
    while (has_more) {
        if (count == TARN__CHUNK_VARINT_BYTES_MAX || count == rest->size) {
            return TARN_CORRUPTION;
        }
        size |= (size_t)(data[count] & (MORE - 1)) << (PAYLOAD_BITS * count);
        has_more = (data[count] & MORE) != 0;
        count++;
    }
    if (size > rest->size - count) {
        return TARN_CORRUPTION;
    }
    *element = tarn_bytes_at(data + count, size);
    *rest = tarn_bytes_at(data + count + size, rest->size - count - size);
    return TARN_OK;
}
