/* random.c - SplitMix64. */
#include "base/random.h"

#include <assert.h>

static const uint64_t GOLDEN_GAMMA = 0x9e3779b97f4a7c15u;

uint64_t tarn__random_mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

uint64_t tarn__random_next(tarn__random *random)
{
    random->state += GOLDEN_GAMMA;
    return tarn__random_mix(random->state);
}

uint64_t tarn__random_below(tarn__random *random, uint64_t bound)
{
    assert(bound > 0);
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)tarn__random_next(random) * bound) >> 64);
}
