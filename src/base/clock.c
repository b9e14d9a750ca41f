/* clock.c - the machine's clocks behind tarn__clock. */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

static uint64_t system_monotonic_ns(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int64_t system_wall_ms(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const tarn__clock *tarn__clock_system(void)
{
    static const tarn__clock system = {
        .monotonic_ns = system_monotonic_ns,
        .wall_ms = system_wall_ms,
    };
    return &system;
}

uint64_t tarn__clock_monotonic_ns(const tarn__clock *clock)
{
    return clock->monotonic_ns(clock->context);
}

int64_t tarn__clock_wall_ms(const tarn__clock *clock)
{
    return clock->wall_ms(clock->context);
}

void tarn__clock_sleep(uint64_t ns, void *context)
{
    enum { NS_PER_S = 1000000000 };
    (void)context;
    struct timespec left = {
        .tv_sec = (time_t)(ns / NS_PER_S),
        .tv_nsec = (long)(ns % NS_PER_S),
    };
    while (nanosleep(&left, &left) != 0) {
    }
}
