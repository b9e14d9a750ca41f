/* give_up.c - a flag of the calling thread; see give_up.h. */
#include "storage/give_up.h"

#include <stddef.h>

enum { SLICE_NS = 50000000 }; /* How late a wait notices. */

static _Thread_local const atomic_bool *current;

const atomic_bool *tarn__give_up_when(const atomic_bool *flag)
{
    const atomic_bool *before = current;
    current = flag;
    return before;
}

const atomic_bool *tarn__give_up_flag(void)
{
    return current;
}

bool tarn__is_given_up(void)
{
    return current != NULL && atomic_load(current);
}

void tarn__give_up_sleep(uint64_t ns, tarn__sleep_fn *sleep, void *context)
{
    const uint64_t slice_ns = current != NULL ? (uint64_t)SLICE_NS : ns;
    while (ns > 0 && !tarn__is_given_up()) {
        const uint64_t part_ns = ns < slice_ns ? ns : slice_ns;
        sleep(part_ns, context);
        ns -= part_ns;
    }
}
