/* latency.c - see latency.h. */
#include "latency.h"

#include <math.h>

enum { STEPS = 1 << BENCH_LATENCY_STEP_BITS };

static uint32_t bucket_of(uint64_t ns)
{
    if (ns < STEPS) {
        return (uint32_t)ns;
    }
    const uint32_t exponent = 63u - (uint32_t)__builtin_clzll(ns);
    const uint32_t shift = exponent - BENCH_LATENCY_STEP_BITS;
    return ((shift + 1) << BENCH_LATENCY_STEP_BITS) + (uint32_t)((ns >> shift) - STEPS);
}

/* The largest time that falls into a bucket. */
static uint64_t last_of(uint32_t bucket)
{
    if (bucket < STEPS) {
        return bucket;
    }
    const uint32_t shift = (bucket >> BENCH_LATENCY_STEP_BITS) - 1;
    const uint64_t step = (bucket & (STEPS - 1)) + STEPS;
    return ((step + 1) << shift) - 1;
}

void bench_latency_record(bench_latency *latency, uint64_t ns)
{
    latency->counts[bucket_of(ns)]++;
    latency->total++;
    latency->max_ns = ns > latency->max_ns ? ns : latency->max_ns;
}

uint64_t bench_latency_at(const bench_latency *latency, double share)
{
    const uint64_t wanted = (uint64_t)ceil(share * (double)latency->total);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < BENCH_LATENCY_BUCKETS; i++) {
        seen += latency->counts[i];
        if (seen >= wanted && seen > 0) {
            return last_of(i) < latency->max_ns ? last_of(i) : latency->max_ns;
        }
    }
    return latency->max_ns;
}
