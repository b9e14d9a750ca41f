/*
 * fuzz_frames.c - arbitrary bytes as a compressed file: refused, or read to its end. The first byte
 * chooses the codec, and whether the first frame's check is made right.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "codec/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHECKED_BYTES = 8 };

/* So that what is behind a check is reached, too. */
static void seal_frame(uint8_t *frame, size_t size)
{
    if (size < TARN__FRAME_HEAD_BYTES) {
        return;
    }
    uint32_t stored = 0;
    memcpy(&stored, frame + 4, sizeof stored);
    if (stored > size - TARN__FRAME_HEAD_BYTES) {
        return;
    }
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    tarn__hasher_update(&hasher, tarn_bytes_at(frame, CHECKED_BYTES));
    tarn__hasher_update(&hasher, tarn_bytes_at(frame + TARN__FRAME_HEAD_BYTES, stored));
    const tarn__digest digest = tarn__hasher_digest(&hasher);
    memcpy(frame + CHECKED_BYTES, digest.bytes, TARN__FRAME_HEAD_BYTES - CHECKED_BYTES);
}

static void read_frames(tarn__codec codec, tarn_bytes bytes)
{
    static uint8_t raw[TARN__FRAME_RAW_BYTES_MAX];
    const uint8_t *at = bytes.data;
    size_t done = 0;
    for (;;) {
        size_t raw_size = 0;
        size_t consumed = 0;
        tarn_error error;
        const tarn_status status = tarn__frame_decode(
            codec, tarn_bytes_at(at + done, bytes.size - done), raw, &raw_size, &consumed, &error);
        if (consumed > bytes.size - done || raw_size > sizeof raw) {
            abort();
        }
        if (status != TARN_OK) {
            if (status != TARN_DONE && status != TARN_PENDING && status != TARN_CORRUPTION) {
                abort();
            }
            return;
        }
        if (raw_size == 0 || consumed == 0) {
            abort();
        }
        done += consumed;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + TARN__FRAMES_HEADER_BYTES) {
        return 0;
    }
    const tarn__codec codec = (data[0] & 1) == 0 ? TARN__CODEC_ZSTD : TARN__CODEC_LZ4;
    tarn_error error;
    const tarn_status status = tarn__frames_check_header(codec, data + 1, &error);
    if (status != TARN_OK && status != TARN_CORRUPTION && status != TARN_NOT_SUPPORTED) {
        abort();
    }
    const size_t rest = size - 1 - TARN__FRAMES_HEADER_BYTES;
    uint8_t *frames = malloc(rest > 0 ? rest : 1);
    if (frames == NULL) {
        abort();
    }
    memcpy(frames, data + 1 + TARN__FRAMES_HEADER_BYTES, rest);
    if ((data[0] & 2) != 0) {
        seal_frame(frames, rest);
    }
    read_frames(codec, tarn_bytes_at(frames, rest));
    free(frames);
    return 0;
}
