/*
 * latency.h - a histogram of nanoseconds: 64 steps for each power of two, so that what it answers
 * is at most 1.6 % too high.
 */
#ifndef TARN_TESTS_BENCH_LATENCY_H
#define TARN_TESTS_BENCH_LATENCY_H

#include <stdint.h>

enum { BENCH_LATENCY_STEP_BITS = 6, BENCH_LATENCY_BUCKETS = 64 << BENCH_LATENCY_STEP_BITS };

typedef struct bench_latency {
    uint64_t counts[BENCH_LATENCY_BUCKETS];
    uint64_t total;
    uint64_t max_ns; /* Exact. */
} bench_latency;

void bench_latency_record(bench_latency *latency, uint64_t ns);

/* The time that a share of all records, 0 .. 1, does not exceed. */
uint64_t bench_latency_at(const bench_latency *latency, double share);

#endif
