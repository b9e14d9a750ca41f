/*
 * clock.h - the clock that never jumps.
 */
#ifndef FLIGHTS_CLOCK_H
#define FLIGHTS_CLOCK_H

#include <stdint.h>
#include <time.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static inline uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Answers when wait_ms will have passed, for pthread_cond_timedwait(); at once if negative. */
static inline struct timespec clock_deadline(int wait_ms)
{
    const uint64_t wait_ns = wait_ms > 0 ? (uint64_t)wait_ms * NS_PER_MS : 0;
    const uint64_t ns = clock_now_ns() + wait_ns;
    return (struct timespec){(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
}

#endif
