/*
 * random.h - SplitMix64: a seeded generator whose whole state is one number.
 *
 * Good for tests, jitter and sampling; not for secrets.
 * Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
 */
#ifndef TARN_BASE_RANDOM_H
#define TARN_BASE_RANDOM_H

#include <stdint.h>

typedef struct tarn__random {
    uint64_t state;
} tarn__random;

/* The next of 2^64 equally likely numbers. */
uint64_t tarn__random_next(tarn__random *random);

/* A number of 0 .. bound - 1, each as likely as the others to within 2^-64 * bound. bound > 0. */
uint64_t tarn__random_below(tarn__random *random, uint64_t bound);

/* SplitMix64's finalizer: a bijection that scatters neighbouring numbers. */
uint64_t tarn__random_mix(uint64_t number);

#endif
