/*
 * channel_state.c - data in flight as bytes.
 *
 *     [magic 89 'T' 'C' 'S'][format u8 = 1] then, for each buffer:
 *     [channel u32][size u32][bytes]
 *
 * Numbers are big endian. docs/FORMATS.md, "Channel state".
 */
#include "tarn/channel_state.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/try.h"

static const uint8_t magic[] = {0x89, 'T', 'C', 'S'};

enum { FORMAT = 1, HEAD_BYTES = sizeof magic + 1, RECORD_BYTES = 8 };

static void write_u32(uint8_t *out, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (uint8_t)(number >> (24 - 8 * i));
    }
}

static uint32_t read_u32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

tarn_status tarn_channel_state_append(
    tarn_buffer *state, uint32_t channel, tarn_bytes buffer, tarn_error *error)
{
    const size_t head = state->size == 0 ? HEAD_BYTES : 0;
    const size_t room = TARN_CHANNEL_STATE_BYTES_MAX - head - RECORD_BYTES;
    if (buffer.size > room || state->size > room - buffer.size) {
        return tarn__fail(
            error,
            TARN_OVER_BUDGET,
            "the data in flight of a task is more than the %" PRIu32
            " bytes that a checkpoint takes",
            TARN_CHANNEL_STATE_BYTES_MAX);
    }
    const size_t size = state->size + head + RECORD_BYTES + buffer.size;
    if (size > state->capacity && tarn_buffer_reserve(state, size + state->capacity) != TARN_OK) {
        return tarn__fail_no_memory(error, "data in flight", size);
    }
    uint8_t *at = state->data + state->size;
    if (head > 0) {
        memcpy(at, magic, sizeof magic);
        at[sizeof magic] = FORMAT;
        at += head;
    }
    write_u32(at, channel);
    write_u32(at + 4, (uint32_t)buffer.size);
    if (buffer.size > 0) {
        memcpy(at + RECORD_BYTES, buffer.data, buffer.size);
    }
    state->size = size;
    return TARN_OK;
}

static tarn_status check_head(tarn_bytes state, tarn_error *error)
{
    const uint8_t *bytes = state.data;
    if (state.size < HEAD_BYTES || memcmp(bytes, magic, sizeof magic) != 0) {
        return tarn__fail(error, TARN_CORRUPTION, "the %zu bytes are no channel state", state.size);
    }
    if (bytes[sizeof magic] != FORMAT) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "the channel state has format %u, this version reads %d",
            bytes[sizeof magic],
            FORMAT);
    }
    return TARN_OK;
}

/* Answers the buffer at *at, and moves *at behind it. */
static tarn_status next(
    tarn_bytes state, size_t *at, uint32_t *channel, tarn_bytes *buffer, tarn_error *error)
{
    const uint8_t *bytes = (const uint8_t *)state.data + *at;
    const size_t left = state.size - *at;
    const uint32_t size = left >= RECORD_BYTES ? read_u32(bytes + 4) : 0;
    if (left < RECORD_BYTES || size > left - RECORD_BYTES) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "the channel state of %zu bytes ends within the buffer at byte %zu",
            state.size,
            *at);
    }
    *channel = read_u32(bytes);
    *buffer = tarn_bytes_at(bytes + RECORD_BYTES, size);
    *at += RECORD_BYTES + size;
    return TARN_OK;
}

tarn_status tarn_channel_state_read(
    tarn_bytes state, tarn_channel_state_visit *visit, void *context, tarn_error *error)
{
    if (state.size == 0) {
        return TARN_OK;
    }
    TARN_TRY(check_head(state, error));
    uint32_t channel = 0;
    tarn_bytes buffer;
    for (size_t at = HEAD_BYTES; at < state.size;) {
        TARN_TRY(next(state, &at, &channel, &buffer, error));
    }
    for (size_t at = HEAD_BYTES; at < state.size;) {
        TARN_TRY(next(state, &at, &channel, &buffer, error));
        TARN_TRY(visit(channel, buffer, context, error));
    }
    return TARN_OK;
}
