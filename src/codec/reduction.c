/* reduction.c - see reduction.h. */
#include "codec/reduction.h"

#include <math.h>
#include <string.h>

#include "codec/stamp.h"

enum {
    TYPE_BITS = 4,
    TYPE_MASK = (1 << TYPE_BITS) - 1,
    NUMBER_BYTES = 8,
    PLAIN_BYTES = 1 + NUMBER_BYTES,
    STAMPED_BYTES = TARN__STAMP_BYTES + 1 + TARN__STAMP_BYTES + NUMBER_BYTES,
};

static tarn_reducer reducer_of(uint8_t tag)
{
    return (tarn_reducer)(tag >> TYPE_BITS);
}

static tarn_number number_of(uint8_t tag)
{
    return (tarn_number)(tag & TYPE_MASK);
}

uint8_t tarn__reduction_tag(tarn_reducer reducer, tarn_number number)
{
    const bool is_known = (int)reducer >= TARN_REDUCER_SUM && (int)reducer <= TARN_REDUCER_BIT_OR &&
                          (int)number >= TARN_NUMBER_I64 && (int)number <= TARN_NUMBER_F64;
    const bool is_refused = (reducer == TARN_REDUCER_BIT_OR && number == TARN_NUMBER_F64) ||
                            (reducer == TARN_REDUCER_COUNT && number != TARN_NUMBER_U64);
    if (!is_known || is_refused) {
        return 0;
    }
    return (uint8_t)((int)reducer << TYPE_BITS | (int)number);
}

uint64_t tarn__reduction_operand(uint8_t tag, uint64_t bits)
{
    return reducer_of(tag) == TARN_REDUCER_COUNT ? 1 : bits;
}

int64_t tarn__reduction_threshold(int64_t now_ms, int64_t ttl_ms)
{
    if (now_ms == INT64_MAX) {
        return INT64_MAX; /* The sum of stamp and TTL ends there: everything is expired. */
    }
    return now_ms < INT64_MIN + ttl_ms ? INT64_MIN : now_ms - ttl_ms;
}

static void encode_number(uint8_t out[NUMBER_BYTES], uint64_t bits)
{
    tarn__stamp_encode(out, (int64_t)bits);
}

size_t tarn__reduction_encode(
    const tarn__reduction *reduction, uint8_t out[TARN__REDUCTION_BYTES_MAX])
{
    if (!reduction->is_stamped) {
        out[0] = reduction->tag;
        encode_number(out + 1, reduction->bits);
        return PLAIN_BYTES;
    }
    tarn__stamp_encode(out, reduction->stamp_ms);
    out[TARN__STAMP_BYTES] = reduction->tag;
    tarn__stamp_encode(out + TARN__STAMP_BYTES + 1, reduction->threshold_ms);
    encode_number(out + TARN__STAMP_BYTES + 1 + TARN__STAMP_BYTES, reduction->bits);
    return STAMPED_BYTES;
}

bool tarn__reduction_decode(tarn_bytes bytes, tarn__reduction *out)
{
    const uint8_t *data = bytes.data;
    if (bytes.size == PLAIN_BYTES) {
        *out = (tarn__reduction){
            .tag = data[0],
            .threshold_ms = INT64_MIN,
            .bits = (uint64_t)tarn__stamp_decode(data + 1),
        };
    } else if (bytes.size == STAMPED_BYTES) {
        const uint8_t *after_tag = data + TARN__STAMP_BYTES + 1;
        *out = (tarn__reduction){
            .is_stamped = true,
            .tag = data[TARN__STAMP_BYTES],
            .stamp_ms = tarn__stamp_decode(data),
            .threshold_ms = tarn__stamp_decode(after_tag),
            .bits = (uint64_t)tarn__stamp_decode(after_tag + TARN__STAMP_BYTES),
        };
    } else {
        return false;
    }
    return out->tag != 0 &&
           tarn__reduction_tag(reducer_of(out->tag), number_of(out->tag)) == out->tag;
}

static double double_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* Whether the later one of two wins as the minimum (or maximum). What is no number (NaN) loses. */
static bool wins(tarn_number number, bool is_min, uint64_t earlier, uint64_t later)
{
    const uint64_t less = is_min ? later : earlier;
    const uint64_t more = is_min ? earlier : later;
    if (number == TARN_NUMBER_F64) {
        return isnan(double_of(earlier)) || double_of(less) < double_of(more);
    }
    return number == TARN_NUMBER_I64 ? (int64_t)less < (int64_t)more : less < more;
}

static uint64_t add(tarn_number number, uint64_t earlier, uint64_t later)
{
    if (number == TARN_NUMBER_F64) {
        return bits_of(double_of(earlier) + double_of(later));
    }
    return earlier + later; /* Wraps around, for signed numbers too. */
}

static uint64_t combine(uint8_t tag, uint64_t earlier, uint64_t later)
{
    const tarn_number number = number_of(tag);
    switch (reducer_of(tag)) {
    case TARN_REDUCER_SUM:
    case TARN_REDUCER_COUNT:
        return add(number, earlier, later);
    case TARN_REDUCER_MIN:
        return wins(number, /* is_min= */ true, earlier, later) ? later : earlier;
    case TARN_REDUCER_MAX:
        return wins(number, /* is_min= */ false, earlier, later) ? later : earlier;
    case TARN_REDUCER_LAST:
        return later;
    case TARN_REDUCER_BIT_OR:
        return earlier | later;
    case TARN_REDUCER_FIRST:
    case TARN_REDUCER_FUNCTION: /* Has no tag. */
        break;
    }
    return earlier;
}

bool tarn__reduction_fold(tarn__reduction *earlier, const tarn__reduction *later)
{
    if (earlier->tag != later->tag || earlier->is_stamped != later->is_stamped) {
        return false;
    }
    const bool counts =
        later->threshold_ms == INT64_MIN || earlier->stamp_ms > later->threshold_ms ||
        (earlier->stamp_ms == TARN__STAMP_UNKNOWN && later->threshold_ms != INT64_MAX);
    if (counts) {
        earlier->bits = combine(earlier->tag, earlier->bits, later->bits);
    } else {
        earlier->bits = later->bits;
        earlier->threshold_ms = INT64_MAX;
    }
    earlier->stamp_ms = later->stamp_ms;
    return true;
}
