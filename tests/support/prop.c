/* prop.c - see prop.h. */
#include "support/prop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "support/support.h"

enum { LONG_SECONDS = 600 };

/* Said before each seed to stderr when TARN_VERBOSE is set; else only the last one counts. */
static uint64_t current_seed;
static const char *current_name;
static int is_running;

static void say_replay(void)
{
    if (is_running) {
        fprintf(
            stderr,
            "%s failed; replay it with TARN_SEED=%" PRIu64 "\n",
            current_name,
            current_seed);
    }
}

static uint64_t now_ns(void)
{
    return tarn__clock_monotonic_ns(tarn__clock_system());
}

/*
 * cmocka leaves a failing test by longjmp, so what follows the property is not reached; the next
 * prop_run() or the end of the process says the seed instead.
 */
void prop_run(const char *name, unsigned seconds, prop_fn *property, void *context)
{
    static int is_registered;
    if (!is_registered) {
        atexit(say_replay);
        is_registered = 1;
    }
    say_replay();
    current_name = name;
    is_running = 1;

    const char *seed = getenv("TARN_SEED");
    if (seed != NULL) {
        current_seed = strtoull(seed, NULL, 10);
        property(current_seed, context);
        print_message("%s: seed %" PRIu64 "\n", name, current_seed);
        is_running = 0;
        return;
    }
    const char *is_long = getenv("TARN_LONG");
    const uint64_t budget_ns =
        (is_long != NULL && is_long[0] == '1' ? LONG_SECONDS : seconds) * UINT64_C(1000000000);
    const uint64_t began_ns = now_ns();
    uint64_t count = 0;
    do {
        current_seed = ++count;
        property(current_seed, context);
    } while (now_ns() - began_ns < budget_ns);
    print_message("%s: seeds 1 to %" PRIu64 "\n", name, count);
    is_running = 0;
}
