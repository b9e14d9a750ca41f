#include "watermarks.h"

#include <string.h>

#include "failure.h"
#include "operator_state.h"

void watermarks_init(watermarks *w, uint32_t channel_count)
{
    *w = (watermarks){.current = WATERMARK_NONE, .channel_count = channel_count};
    for (uint32_t i = 0; i < channel_count; i++) {
        w->channels[i].watermark = WATERMARK_NONE;
    }
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What channels come to: the smallest of those that have not ended. */
static int64_t combine(const watermarks *w)
{
    int64_t smallest = WATERMARK_OVER;
    for (uint32_t i = 0; i < w->channel_count; i++) {
        const watermark_channel *c = &w->channels[i];
        smallest = c->is_ended ? smallest : smaller(smallest, c->watermark);
    }
    return smallest;
}

static void follow(watermarks *w)
{
    w->current = larger(w->current, combine(w));
}

void watermarks_advance(watermarks *w, uint32_t channel, int64_t watermark)
{
    watermark_channel *c = &w->channels[channel];
    if (watermark > c->watermark) {
        c->watermark = watermark;
        follow(w);
    }
}

void watermarks_end(watermarks *w, uint32_t channel)
{
    w->channels[channel].is_ended = true;
    follow(w);
}

/* Shape: late_count, current, then each channel's. */
enum { NUMBERS_MAX = WATERMARKS_BYTES_MAX / 8 };

tarn_bytes watermarks_encode(const watermarks *w, uint8_t out[WATERMARKS_BYTES_MAX])
{
    uint64_t numbers[NUMBERS_MAX] = {w->late_count, (uint64_t)w->current};
    const size_t count = 2 + w->channel_count;
    for (uint32_t i = 0; i < w->channel_count; i++) {
        numbers[2 + i] = (uint64_t)w->channels[i].watermark;
    }
    operator_state_write(numbers, count, out);
    return tarn_bytes_at(out, 8 * count);
}

tarn_status watermarks_restore(
    watermarks *w, uint32_t channel_count, tarn_bytes encoded, tarn_error *error)
{
    if (encoded.size != 8 * (size_t)(2 + channel_count)) {
        return failure_set(
            error,
            TARN_INCOMPATIBLE,
            0,
            "the watermarks of a worker have %zu bytes, those of %u channels have %u",
            encoded.size,
            channel_count,
            8 * (2 + channel_count));
    }
    uint64_t numbers[NUMBERS_MAX];
    operator_state_read(encoded.data, 2 + channel_count, numbers);
    watermarks_init(w, channel_count);
    w->late_count = numbers[0];
    w->current = (int64_t)numbers[1];
    for (uint32_t i = 0; i < channel_count; i++) {
        w->channels[i].watermark = (int64_t)numbers[2 + i];
    }
    return TARN_OK;
}

void watermarks_join(watermarks *w, const watermarks *other)
{
    w->current = smaller(w->current, other->current);
    for (uint32_t i = 0; i < w->channel_count; i++) {
        watermark_channel *c = &w->channels[i];
        c->watermark = smaller(c->watermark, other->channels[i].watermark);
    }
}
