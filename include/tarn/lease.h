/**
 * @file tarn/lease.h
 * @brief Who holds what: the open iterators of a backend.
 *
 *     static void show(const tarn_lease *lease, void *context)
 *     {
 *         printf("%s over %s: %llu ms\n", lease->owner, lease->state_name, lease->age_ms);
 *     }
 *     tarn_backend_visit_leases(backend, show, NULL);
 *
 * An iterator sees a state as it was, so files and memtables of that moment stay until it is
 * closed: one that is forgotten costs disk and memory, and keeps its state from being closed.
 *
 * Ownership: what a visit is given lives until it returns.
 * Thread: confined, with the backend.
 */
#ifndef TARN_LEASE_H
#define TARN_LEASE_H

#include <stdint.h>

#include "tarn/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An open iterator. */
typedef struct tarn_lease {
    const char *state_name;
    const char *owner; /**< As given when it was opened; "iterator" when nothing was. */
    uint64_t age_ms;   /**< Since it was opened, on the machine's clock. */
    /** Files and memtables that only iterators of this state, all together, keep from going. */
    uint64_t pinned_bytes;
} tarn_lease;

/** May not call the backend. */
typedef void tarn_lease_visit(const tarn_lease *lease, void *context);

/** Visits the open iterators in the order in which they were opened. Cost: some property reads for
 * each. */
TARN_API void tarn_backend_visit_leases(
    tarn_backend *backend, tarn_lease_visit *visit, void *context);

#ifdef __cplusplus
}
#endif
#endif
