/* stopped_clock.h - a clock that moves when somebody sleeps: nothing waits for real. */
#ifndef TARN_TESTS_STOPPED_CLOCK_H
#define TARN_TESTS_STOPPED_CLOCK_H

#include "base/clock.h"

enum { NS_PER_MS = 1000000 };

/* Thread: confined. */
typedef struct stopped_clock {
    tarn__clock base; /* Points back: the clock stays where it is. */
    uint64_t now_ns;
    uint64_t slept_ns;
} stopped_clock;

void stopped_clock_init(stopped_clock *clock, uint64_t now_ns);

/* A tarn__sleep_fn, with the clock as its context. */
void stopped_clock_sleep(uint64_t ns, void *context);

#endif
