/*
 * key_group.c - key groups and who owns them.
 * Source: Flink, KeyGroupRangeAssignment; vectors key_groups, key_group_ranges and
 * default_max_parallelism.
 */
#include "tarn/key_group.h"

#include <assert.h>

#include "base/error.h"

/* What Flink takes as maximum when a job is small, and how much larger than the parallelism. */
enum { MAX_PARALLELISM_DEFAULT_MIN = 128 };

_Static_assert(TARN_MAX_PARALLELISM_LIMIT - 1 <= UINT16_MAX, "a range holds every key group");

uint32_t tarn_key_group_of(int32_t hash, uint32_t max_parallelism)
{
    assert(max_parallelism >= 1 && max_parallelism <= TARN_MAX_PARALLELISM_LIMIT);
    return (uint32_t)tarn_hash_murmur(hash) % max_parallelism;
}

uint32_t tarn_key_group_subtask(uint32_t group, uint32_t max_parallelism, uint32_t parallelism)
{
    assert(group < max_parallelism && max_parallelism <= TARN_MAX_PARALLELISM_LIMIT);
    assert(parallelism >= 1 && parallelism <= max_parallelism);
    return group * parallelism / max_parallelism; /* At most 2^30. */
}

static tarn_status check_range_arguments(
    uint32_t subtask, uint32_t parallelism, uint32_t max_parallelism, tarn_error *error)
{
    if (max_parallelism < 1 || max_parallelism > TARN_MAX_PARALLELISM_LIMIT) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "max_parallelism is %u, and must be 1 to %u",
            max_parallelism,
            TARN_MAX_PARALLELISM_LIMIT);
    }
    if (parallelism < 1 || parallelism > max_parallelism) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "parallelism is %u, and must be 1 to max_parallelism, which is %u",
            parallelism,
            max_parallelism);
    }
    if (subtask >= parallelism) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "subtask is %u, and must be less than parallelism, which is %u",
            subtask,
            parallelism);
    }
    return TARN_OK;
}

tarn_status tarn_key_group_range_of(
    uint32_t subtask,
    uint32_t parallelism,
    uint32_t max_parallelism,
    tarn_key_group_range *out,
    tarn_error *error)
{
    const tarn_status status = check_range_arguments(subtask, parallelism, max_parallelism, error);
    if (status != TARN_OK) {
        return status;
    }
    /* The first group g with g * parallelism / max_parallelism == subtask, and the one before the
     * first of the next subtask. */
    const uint32_t first = (subtask * max_parallelism + parallelism - 1) / parallelism;
    const uint32_t last = ((subtask + 1) * max_parallelism - 1) / parallelism;
    assert(first <= last && last < max_parallelism);
    out->first = (uint16_t)first;
    out->last = (uint16_t)last;
    return TARN_OK;
}

uint32_t tarn_max_parallelism_default(uint32_t parallelism)
{
    if (parallelism < 1 || parallelism > TARN_MAX_PARALLELISM_LIMIT) {
        return 0;
    }
    const uint32_t wanted = parallelism + parallelism / 2;
    uint32_t power = MAX_PARALLELISM_DEFAULT_MIN;
    while (power < wanted && power < TARN_MAX_PARALLELISM_LIMIT) {
        power *= 2;
    }
    return power;
}
