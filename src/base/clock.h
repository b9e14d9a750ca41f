/*
 * clock.h - time as a dependency: code that needs it takes a tarn__clock, tests give a virtual one.
 */
#ifndef TARN_BASE_CLOCK_H
#define TARN_BASE_CLOCK_H

#include <stdint.h>

typedef struct tarn__clock {
    /* Units: nanoseconds; monotonic, from an arbitrary start. */
    uint64_t (*monotonic_ns)(void *context);
    /* Units: milliseconds since 1970-01-01 UTC; may jump. */
    int64_t (*wall_ms)(void *context);
    void *context;
} tarn__clock;

/* The machine's clocks: CLOCK_MONOTONIC and CLOCK_REALTIME. */
const tarn__clock *tarn__clock_system(void);

uint64_t tarn__clock_monotonic_ns(const tarn__clock *clock);
int64_t tarn__clock_wall_ms(const tarn__clock *clock);

/* The calling thread sleeps for so long; signals do not end it. The context is nobody's: it makes
 * the function one of those that a test replaces. */
void tarn__clock_sleep(uint64_t ns, void *context);

#endif
