/*
 * frames.h - a file compressed in frames, so that neither side ever holds more than one.
 *
 *     [magic 8 | version u32 | codec u8 | 0 0 0] [frame]* [end]
 *     frame   raw size u32 | stored size u32 | check 8 of both and of the bytes | bytes
 *     end     a frame's head of two zeros, with its check
 *
 * A frame that does not shrink is stored as it is: both sizes are the same then. Numbers are
 * little-endian; a check is the first 8 bytes of the XXH3-128 digest. docs/FORMATS.md has it too.
 *
 * Thread: pure.
 */
#ifndef TARN_CODEC_FRAMES_H
#define TARN_CODEC_FRAMES_H

#include "tarn/bytes.h"
#include "tarn/status.h"

#include <stdbool.h>

typedef enum tarn__codec {
    TARN__CODEC_NONE = 0,
    TARN__CODEC_ZSTD = 1,
    TARN__CODEC_LZ4 = 2,
} tarn__codec;

enum {
    TARN__FRAMES_HEADER_BYTES = 16,
    TARN__FRAME_HEAD_BYTES = 16,
    TARN__FRAME_RAW_BYTES_MAX = 256 << 10,
    TARN__FRAME_BYTES_MAX = TARN__FRAME_HEAD_BYTES + TARN__FRAME_RAW_BYTES_MAX,
};

/* "zstd", "lz4"; "none" for anything else. */
const char *tarn__codec_name(tarn__codec codec);

/* Writes what a compressed file begins with. */
void tarn__frames_encode_header(tarn__codec codec, uint8_t out[TARN__FRAMES_HEADER_BYTES]);

/* Checks it. Errors: TARN_CORRUPTION, TARN_NOT_SUPPORTED (a newer version). */
TARN_NODISCARD tarn_status tarn__frames_check_header(
    tarn__codec codec, const uint8_t header[TARN__FRAMES_HEADER_BYTES], tarn_error *error);

/*
 * Makes a frame of 1 to TARN__FRAME_RAW_BYTES_MAX bytes; nothing at all makes the end.
 *
 * out  Shape: [TARN__FRAME_BYTES_MAX].
 * Returns the frame's size.
 */
size_t tarn__frame_encode(tarn__codec codec, tarn_bytes raw, uint8_t *out);

/*
 * Reads the frame that bytes begin with.
 *
 * raw       Shape: [TARN__FRAME_RAW_BYTES_MAX]. Takes what is in the frame.
 * raw_size  Set with TARN_OK.
 * consumed  Set with TARN_OK and TARN_DONE: the size of the frame.
 *
 * Returns TARN_OK; TARN_DONE: it was the end; TARN_PENDING: bytes stop within the frame;
 * TARN_CORRUPTION.
 */
TARN_NODISCARD tarn_status tarn__frame_decode(
    tarn__codec codec,
    tarn_bytes bytes,
    uint8_t *raw,
    size_t *raw_size,
    size_t *consumed,
    tarn_error *error);

#endif
