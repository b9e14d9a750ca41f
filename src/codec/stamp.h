/*
 * stamp.h - when a value was written: the first bytes of the values of a state with a TTL.
 *
 *     [milliseconds i64, big endian][the value's own bytes]
 *
 * At a fixed offset, so that whoever cleans up finds it without knowing the kind of the state.
 * INT64_MIN is the time of what was written when no time was known: it never expires.
 *
 * Thread: pure.
 */
#ifndef TARN_CODEC_STAMP_H
#define TARN_CODEC_STAMP_H

#include <stdbool.h>
#include <stdint.h>

enum { TARN__STAMP_BYTES = 8 };
#define TARN__STAMP_UNKNOWN INT64_MIN

static inline void tarn__stamp_encode(uint8_t out[TARN__STAMP_BYTES], int64_t stamp_ms)
{
    for (uint32_t i = 0; i < TARN__STAMP_BYTES; i++) {
        out[i] = (uint8_t)((uint64_t)stamp_ms >> (56 - 8 * i));
    }
}

static inline int64_t tarn__stamp_decode(const uint8_t bytes[TARN__STAMP_BYTES])
{
    uint64_t stamp_ms = 0;
    for (uint32_t i = 0; i < TARN__STAMP_BYTES; i++) {
        stamp_ms = stamp_ms << 8 | bytes[i];
    }
    return (int64_t)stamp_ms;
}

/*
 * Tells whether what was stamped is expired: stamp + ttl <= now, where a sum beyond INT64_MAX is
 * INT64_MAX. ttl_ms > 0. What has an unknown time is not.
 * Source: Flink, TtlUtils.expired(); vectors state_traces.
 */
static inline bool tarn__stamp_is_expired(int64_t stamp_ms, int64_t ttl_ms, int64_t now_ms)
{
    if (stamp_ms == TARN__STAMP_UNKNOWN) {
        return false;
    }
    const int64_t room = stamp_ms > 0 ? INT64_MAX - stamp_ms : INT64_MAX;
    return stamp_ms + (ttl_ms < room ? ttl_ms : room) <= now_ms;
}

#endif
