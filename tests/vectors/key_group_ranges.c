/* key_group_ranges.c - the groups of every subtask, and the parallelisms that are refused. */
#include "tarn/key_group.h"

#include "vectors.h"

/* A number outside of uint32_t is out of every range; so is 0. */
static uint32_t as_unsigned(int64_t number)
{
    return number < 0 || number > UINT32_MAX ? 0 : (uint32_t)number;
}

static bool check_range(
    const json_t *pair, uint32_t subtask, tarn_key_group_range ours, char *why, size_t why_bytes)
{
    const int64_t first = json_integer_value(json_array_get(pair, 0));
    const int64_t last = json_integer_value(json_array_get(pair, 1));
    if (json_array_size(pair) != 2 || ours.first != first || ours.last != last) {
        return vectors_differ(
            why,
            why_bytes,
            "subtask %u: [%u, %u] instead of [%lld, %lld]",
            subtask,
            ours.first,
            ours.last,
            (long long)first,
            (long long)last);
    }
    return true;
}

bool vectors_key_group_ranges(const json_t *vector_case, char *why, size_t why_bytes)
{
    int64_t max_parallelism = 0;
    int64_t parallelism = 0;
    if (!vectors_integer(vector_case, "max_parallelism", &max_parallelism) ||
        !vectors_integer(vector_case, "parallelism", &parallelism)) {
        return vectors_differ(why, why_bytes, "the case lacks a parallelism");
    }
    const json_t *ranges = json_object_get(vector_case, "ranges");
    const bool is_accepted = vectors_is_true(vector_case, "ok");
    const size_t count = is_accepted ? json_array_size(ranges) : 1;
    if (is_accepted && (int64_t)count != parallelism) {
        return vectors_differ(why, why_bytes, "the case has %zu ranges", count);
    }
    for (size_t i = 0; i < count; i++) {
        tarn_key_group_range range = {0};
        tarn_error error;
        const tarn_status status = tarn_key_group_range_of(
            (uint32_t)i, as_unsigned(parallelism), as_unsigned(max_parallelism), &range, &error);
        if ((status == TARN_OK) != is_accepted) {
            return vectors_differ(
                why, why_bytes, "%s", status == TARN_OK ? "accepted" : error.message);
        }
        if (is_accepted &&
            !check_range(json_array_get(ranges, i), (uint32_t)i, range, why, why_bytes)) {
            return false;
        }
    }
    return true;
}
