/* descriptor.c - see descriptor.h. */
#include "codec/descriptor.h"

#include <assert.h>
#include <string.h>

enum { FORMAT = 1, FIXED_BYTES = 9 };

const char *tarn__state_kind_name(tarn__state_kind kind)
{
    switch (kind) {
    case TARN__STATE_VALUE:
        return "value";
    case TARN__STATE_MAP:
        return "map";
    case TARN__STATE_LIST:
        return "list";
    case TARN__STATE_REDUCING:
        return "reducing";
    case TARN__STATE_AGGREGATING:
        return "aggregating";
    case TARN__STATE_TIMERS:
        return "timers";
    }
    return "?";
}

size_t tarn__descriptor_encode(
    const tarn__descriptor *descriptor, uint8_t out[TARN__DESCRIPTOR_BYTES_MAX])
{
    const size_t size = strlen(descriptor->codec_name);
    assert(size <= TARN__CODEC_NAME_BYTES_MAX);
    out[0] = FORMAT;
    out[1] = (uint8_t)descriptor->kind;
    for (uint32_t i = 0; i < 4; i++) {
        out[2 + i] = (uint8_t)(descriptor->codec_version >> (24 - 8 * i));
    }
    out[6] = descriptor->flags;
    out[7] = descriptor->detail;
    out[8] = (uint8_t)size;
    memcpy(out + FIXED_BYTES, descriptor->codec_name, size);
    return FIXED_BYTES + size;
}

tarn__descriptor_outcome tarn__descriptor_decode(tarn_bytes bytes, tarn__descriptor *out)
{
    const uint8_t *data = bytes.data;
    if (bytes.size < 2) {
        return TARN__DESCRIPTOR_DAMAGED;
    }
    if (data[0] != FORMAT) {
        return data[0] == 0 ? TARN__DESCRIPTOR_DAMAGED : TARN__DESCRIPTOR_NEWER;
    }
    if (data[1] < TARN__STATE_VALUE || data[1] > TARN__STATE_TIMERS) {
        return data[1] == 0 ? TARN__DESCRIPTOR_DAMAGED : TARN__DESCRIPTOR_NEWER;
    }
    if (bytes.size < FIXED_BYTES || bytes.size != (size_t)FIXED_BYTES + data[8] ||
        memchr(data + FIXED_BYTES, '\0', data[8]) != NULL) {
        return TARN__DESCRIPTOR_DAMAGED;
    }
    if ((data[6] & ~TARN__STATE_FLAGS) != 0) {
        return TARN__DESCRIPTOR_NEWER;
    }
    out->kind = (tarn__state_kind)data[1];
    out->flags = data[6];
    out->detail = data[7];
    out->codec_version = (uint32_t)data[2] << 24 | (uint32_t)data[3] << 16 |
                         (uint32_t)data[4] << 8 | (uint32_t)data[5];
    memcpy(out->codec_name, data + FIXED_BYTES, data[8]);
    out->codec_name[data[8]] = '\0';
    return TARN__DESCRIPTOR_OK;
}
