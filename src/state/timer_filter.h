/*
 * timer_filter.h - which timers may exist: a set of 32-bit hashes that forgets exactly.
 *
 *     bucket   [used][passed][hash 0] ... [hash 14]      one line of the processor's cache
 *
 * A hash lies in its home bucket (its low bits), or in the next one with room; each bucket counts
 * the hashes that passed it, so that a look-up knows when to stop. "No" is certain; "maybe" is
 * wrong for about one in a thousand at some million timers. Counting exactly is possible because
 * hashes are removed with their timers.
 *
 * It grows with what it holds, up to a bound or to what the account gives. What does not fit is
 * lost: it answers "maybe" to everything until as many timers are gone again. That costs reads, not
 * correctness.
 *
 * Thread: confined.
 */
#ifndef TARN_STATE_TIMER_FILTER_H
#define TARN_STATE_TIMER_FILTER_H

#include "base/account.h"

enum { TARN__TIMER_FILTER_SLOTS = 15 };

typedef struct tarn__timer_bucket {
    uint16_t used;
    uint16_t passed; /* Stays at its largest value once there. */
    uint32_t hashes[TARN__TIMER_FILTER_SLOTS];
} tarn__timer_bucket;

typedef struct tarn__timer_filter {
    tarn__account *account;
    tarn__timer_bucket *buckets; /* mask + 1 of them, a power of two. */
    uint32_t mask;
    uint64_t count;      /* Hashes in the buckets. */
    uint64_t lost_count; /* Timers that are not. */
    uint64_t bytes_max;
} tarn__timer_filter;

/* Makes an empty filter; at least a page of it is there whatever bytes_max says. */
TARN_NODISCARD tarn_status tarn__timer_filter_init(
    tarn__timer_filter *filter, tarn__account *account, uint64_t bytes_max, tarn_error *error);
void tarn__timer_filter_clear(tarn__timer_filter *filter);

/* False: no timer has the hash. */
bool tarn__timer_filter_may_have(const tarn__timer_filter *filter, uint32_t hash);

void tarn__timer_filter_add(tarn__timer_filter *filter, uint32_t hash);

/* Takes the hash of a timer away that was added. */
void tarn__timer_filter_remove(tarn__timer_filter *filter, uint32_t hash);

#endif
