/* default_max_parallelism.c - the maximum that is chosen when none is set. */
#include "tarn/key_group.h"

#include "vectors.h"

bool vectors_default_max_parallelism(const json_t *vector_case, char *why, size_t why_bytes)
{
    int64_t parallelism = 0;
    if (!vectors_integer(vector_case, "parallelism", &parallelism)) {
        return vectors_differ(why, why_bytes, "the case lacks its parallelism");
    }
    const uint32_t ours = parallelism < 0 || parallelism > UINT32_MAX
                              ? 0
                              : tarn_max_parallelism_default((uint32_t)parallelism);
    if (!vectors_is_true(vector_case, "ok")) {
        return ours == 0 || vectors_differ(why, why_bytes, "%u instead of a refusal", ours);
    }
    return vectors_check_integer(vector_case, "default_max_parallelism", ours, why, why_bytes);
}
