/* stopped_clock.c - see stopped_clock.h. */
#include "support/stopped_clock.h"

static uint64_t read_clock(void *context)
{
    return ((stopped_clock *)context)->now_ns;
}

void stopped_clock_init(stopped_clock *clock, uint64_t now_ns)
{
    *clock = (stopped_clock){
        .base = {.monotonic_ns = read_clock, .context = clock},
        .now_ns = now_ns,
    };
}

void stopped_clock_sleep(uint64_t ns, void *context)
{
    stopped_clock *clock = context;
    clock->now_ns += ns;
    clock->slept_ns += ns;
}
