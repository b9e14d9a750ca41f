/*
 * budget.h - pools with limits, and the owners of what is reserved of them.
 *
 *     owner "rocks/a" ──┐
 *     owner "upload"  ──┼── charge ──► pool: used <= limit, always ── refused: TARN_OVER_BUDGET
 *     account of ...  ──┘                  │
 *                                          └─ release wakes those who wait
 *
 * Invariants
 *   - used never exceeds limit: it is raised by compare-and-swap, never added to and checked after.
 *   - A spare (tarn__owner_hold_spare()) is used from the beginning: drawing on it changes nothing.
 *   - used is the sum of what its owners hold, and of the budget's own bookkeeping (heap pool).
 *
 * The public face is tarn/budget.h. Inside the library an owner is used as a tarn__account.
 */
#ifndef TARN_MEMORY_BUDGET_H
#define TARN_MEMORY_BUDGET_H

#include "tarn/budget.h"

#include "base/account.h"

/*
 * Has an owner that holds nothing take bytes of its pool now, as a spare: what it allocates is
 * charged to the pool as long as that has room, and to the spare when it has not. What the spare
 * gave goes over to the pool at the next allocation for which that has room. It is counted as the
 * owner's, drawn or not, and given back when the owner is closed.
 *
 * Errors: TARN_OVER_BUDGET.
 */
TARN_NODISCARD tarn_status
tarn__owner_hold_spare(tarn_owner *owner, uint64_t bytes, tarn_error *error);

/* The account of an owner: an allocator whose every block is reserved. Valid until it is closed. */
tarn__account *tarn__owner_account(tarn_owner *owner);

/* Opens an owner with a name made of format; otherwise as tarn_owner_open(). */
__attribute__((format(printf, 5, 6))) TARN_NODISCARD tarn_status tarn__owner_open(
    tarn_budget *budget,
    tarn_pool pool,
    tarn_owner **out,
    tarn_error *error,
    const char *format,
    ...);

#endif
