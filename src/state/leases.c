/* leases.c - the open iterators of a backend. See tarn/lease.h. */
#include "tarn/lease.h"

#include <stddef.h>

#include "base/clock.h"
#include "state/keyed.h"

enum { NS_PER_MS = 1000000 };

void tarn_backend_visit_leases(tarn_backend *backend, tarn_lease_visit *visit, void *context)
{
    const uint64_t now_ns = tarn__clock_monotonic_ns(tarn__env_clock(backend->env));
    const tarn__child *next = NULL;
    for (const tarn__child *child = backend->first_child; child != NULL; child = next) {
        next = child->next;
        if (strcmp(child->kind, "iterator") != 0) {
            continue;
        }
        const void *start = (const char *)child - offsetof(tarn__keyed_iterator, child);
        const tarn__keyed_iterator *iterator = start;
        const tarn_lease lease = {
            .state_name = iterator->keyed->family->name,
            .owner = child->name,
            .age_ms = (now_ns - iterator->opened_ns) / NS_PER_MS,
            .pinned_bytes = tarn__rocks_pinned_bytes(iterator->keyed->family),
        };
        visit(&lease, context);
    }
}
