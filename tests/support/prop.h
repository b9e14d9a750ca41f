/*
 * prop.h - runs a property for one seed after the other.
 *
 *     TARN_SEED=N   runs seed N alone: the replay of a failure.
 *     TARN_LONG=1   runs for ten minutes instead of a few seconds.
 *
 * Each seed is a whole program of random operations. The one that runs is known at any time, and a
 * failing assertion is preceded by the line that replays it.
 */
#ifndef TARN_TESTS_PROP_H
#define TARN_TESTS_PROP_H

#include <stdint.h>

typedef void prop_fn(uint64_t seed, void *context);

/* Runs seeds 1, 2, ... for about seconds; prints how many. */
void prop_run(const char *name, unsigned seconds, prop_fn *property, void *context);

#endif
