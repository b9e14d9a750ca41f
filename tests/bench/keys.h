/*
 * keys.h - streams of keys: which key the next event has.
 *
 *     zipf      rank k of n with a probability in proportion to 1 / k^0.99
 *     uniform   every rank as likely
 *     latest    zipf ranks behind a head that moves on by one key every 20 events
 *     hotspot   8 of 10 events go to 2 of 10 keys, uniformly on both sides
 *
 * A rank becomes a key by a bijection that scatters it (the finalizer of SplitMix64), so that
 * neighbours in rank are not neighbours in the store. The random numbers are SplitMix64 too: the
 * same seed is the same stream on every machine, and two sides draw the same events.
 */
#ifndef TARN_TESTS_BENCH_KEYS_H
#define TARN_TESTS_BENCH_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t bench_mix(uint64_t number);
uint64_t bench_random(uint64_t *state);
/* In [0, 1). */
double bench_random_real(uint64_t *state);

/* Zipf's distribution over 1 .. n. */
typedef struct bench_zipf {
    uint64_t n;
    double exponent;
    double integral_first;
    double integral_last;
    double shortcut;
} bench_zipf;

/* exponent is positive and not 1. */
bench_zipf bench_zipf_of(uint64_t n, double exponent);
uint64_t bench_zipf_draw(const bench_zipf *zipf, uint64_t *state);

typedef enum bench_distribution {
    BENCH_ZIPF,
    BENCH_UNIFORM,
    BENCH_LATEST,
    BENCH_HOTSPOT,
} bench_distribution;

bool bench_distribution_find(const char *name, bench_distribution *out);

typedef struct bench_keys {
    bench_distribution distribution;
    uint64_t count;
    uint64_t state;
    uint64_t drawn;
    bench_zipf zipf;
    FILE *input; /* NULL: keys are drawn. Owned. */
} bench_keys;

/* input: a file of little-endian int64 keys, or NULL. False: it cannot be opened. */
bool bench_keys_open(
    bench_keys *keys,
    bench_distribution distribution,
    uint64_t count,
    uint64_t seed,
    const char *input);
void bench_keys_close(bench_keys *keys);

/* 0 .. count - 1. */
uint64_t bench_keys_draw_rank(bench_keys *keys);

/* The next keys. False: the file has no more. */
bool bench_keys_fill(bench_keys *keys, uint64_t *out, uint64_t count);

#endif
