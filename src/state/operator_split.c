/* operator_split.c - see operator_split.h. */
#include "state/operator_split.h"

#include <assert.h>

tarn__slice tarn__operator_split(
    uint64_t total, uint32_t subtask, uint32_t parallelism, uint32_t start)
{
    assert(subtask < parallelism && start < parallelism);
    const uint64_t share = total / parallelism;
    const uint64_t extra = total % parallelism;
    const uint64_t position =
        subtask >= start ? subtask - start : (uint64_t)subtask + parallelism - start;
    return (tarn__slice){
        .first = position * share + (position < extra ? position : extra),
        .count = share + (position < extra ? 1 : 0),
    };
}

uint32_t tarn__operator_split_next(uint64_t total, uint32_t parallelism, uint32_t start)
{
    assert(start < parallelism);
    return (uint32_t)((start + total % parallelism) % parallelism);
}
