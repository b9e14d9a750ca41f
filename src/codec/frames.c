/* frames.c - see frames.h. */
#include "codec/frames.h"

#include <assert.h>
#include <inttypes.h>
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/try.h"

enum {
    MAGIC_BYTES = 8,
    VERSION = 1,
    CHECKED_BYTES = 8, /* Of a frame's head. */
    CHECK_BYTES = 8,
    ZSTD_LEVEL = 3, /* zstd's own default: about as fast as a disk writes. */
};

static const uint8_t MAGIC[MAGIC_BYTES] = {0x89, 'T', 'P', 'K', '\r', '\n', 0x1a, '\n'};

const char *tarn__codec_name(tarn__codec codec)
{
    switch (codec) {
    case TARN__CODEC_ZSTD:
        return "zstd";
    case TARN__CODEC_LZ4:
        return "lz4";
    case TARN__CODEC_NONE:
        break;
    }
    return "none";
}

static void put(uint8_t *at, uint32_t value)
{
    for (size_t i = 0; i < sizeof value; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void tarn__frames_encode_header(tarn__codec codec, uint8_t out[TARN__FRAMES_HEADER_BYTES])
{
    memcpy(out, MAGIC, MAGIC_BYTES);
    put(out + MAGIC_BYTES, VERSION);
    put(out + MAGIC_BYTES + 4, (uint32_t)codec);
}

tarn_status tarn__frames_check_header(
    tarn__codec codec, const uint8_t header[TARN__FRAMES_HEADER_BYTES], tarn_error *error)
{
    if (memcmp(header, MAGIC, MAGIC_BYTES) != 0) {
        return tarn__fail(error, TARN_CORRUPTION, "byte 0: it is no compressed file");
    }
    const uint32_t version = get(header + MAGIC_BYTES);
    if (version > VERSION) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "its compression has format version %" PRIu32 ", and this Tarn reads up to version %d",
            version,
            VERSION);
    }
    if (version == 0 || get(header + MAGIC_BYTES + 4) != (uint32_t)codec) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "byte 8: it is not compressed by %s, as the checkpoint says",
            tarn__codec_name(codec));
    }
    return TARN_OK;
}

static void check_of(const uint8_t *frame, size_t stored, uint8_t out[CHECK_BYTES])
{
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    tarn__hasher_update(&hasher, tarn_bytes_at(frame, CHECKED_BYTES));
    tarn__hasher_update(&hasher, tarn_bytes_at(frame + TARN__FRAME_HEAD_BYTES, stored));
    const tarn__digest digest = tarn__hasher_digest(&hasher);
    memcpy(out, digest.bytes, CHECK_BYTES);
}

/* Answers 0 when the bytes would not shrink, for whatever reason. */
static size_t shrink(tarn__codec codec, tarn_bytes raw, uint8_t *out)
{
    if (raw.size < 2) {
        return 0;
    }
    if (codec == TARN__CODEC_ZSTD) {
        const size_t size = ZSTD_compress(out, raw.size - 1, raw.data, raw.size, ZSTD_LEVEL);
        return ZSTD_isError(size) ? 0 : size;
    }
    if (codec == TARN__CODEC_LZ4) {
        const int size =
            LZ4_compress_default(raw.data, (char *)out, (int)raw.size, (int)raw.size - 1);
        return size > 0 ? (size_t)size : 0;
    }
    return 0;
}

size_t tarn__frame_encode(tarn__codec codec, tarn_bytes raw, uint8_t *out)
{
    assert(raw.size <= TARN__FRAME_RAW_BYTES_MAX);
    size_t stored = shrink(codec, raw, out + TARN__FRAME_HEAD_BYTES);
    if (stored == 0 && raw.size > 0) {
        stored = raw.size;
        memcpy(out + TARN__FRAME_HEAD_BYTES, raw.data, raw.size);
    }
    put(out, (uint32_t)raw.size);
    put(out + 4, (uint32_t)stored);
    check_of(out, stored, out + CHECKED_BYTES);
    return TARN__FRAME_HEAD_BYTES + stored;
}

static bool grow(tarn__codec codec, tarn_bytes stored, uint8_t *raw, size_t raw_size)
{
    if (codec == TARN__CODEC_ZSTD) {
        return ZSTD_decompress(raw, raw_size, stored.data, stored.size) == raw_size;
    }
    return codec == TARN__CODEC_LZ4 &&
           LZ4_decompress_safe(stored.data, (char *)raw, (int)stored.size, (int)raw_size) ==
               (int)raw_size;
}

tarn_status tarn__frame_decode(
    tarn__codec codec,
    tarn_bytes bytes,
    uint8_t *raw,
    size_t *raw_size,
    size_t *consumed,
    tarn_error *error)
{
    const uint8_t *frame = bytes.data;
    if (bytes.size < TARN__FRAME_HEAD_BYTES) {
        return TARN_PENDING;
    }
    const size_t size = get(frame);
    const size_t stored = get(frame + 4);
    if (size > TARN__FRAME_RAW_BYTES_MAX || stored > size || (stored == 0) != (size == 0)) {
        return tarn__fail(error, TARN_CORRUPTION, "no head of a compressed frame");
    }
    if (stored > bytes.size - TARN__FRAME_HEAD_BYTES) {
        return TARN_PENDING;
    }
    uint8_t check[CHECK_BYTES];
    check_of(frame, stored, check);
    if (memcmp(check, frame + CHECKED_BYTES, CHECK_BYTES) != 0) {
        return tarn__fail(error, TARN_CORRUPTION, "the check of a compressed frame does not match");
    }
    *consumed = TARN__FRAME_HEAD_BYTES + stored;
    if (size == 0) {
        return TARN_DONE;
    }
    const tarn_bytes content = tarn_bytes_at(frame + TARN__FRAME_HEAD_BYTES, stored);
    if (stored == size) {
        memcpy(raw, content.data, size);
    } else if (!grow(codec, content, raw, size)) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "a frame of %zu bytes does not come out of %s",
            size,
            tarn__codec_name(codec));
    }
    *raw_size = size;
    return TARN_OK;
}
