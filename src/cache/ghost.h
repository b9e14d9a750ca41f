/*
 * ghost.h - when the working set steps aside: rows that are only read are not kept while hits are
 * rare, and ghosts of them tell when they would be hits again.
 *
 *     keeping ── of 4,096 reads of the store, fewer than one hit for each 32, and the set is full
 * ──► aside ▲                                                                                    │
 *        └── hits, and ghosts met again, are more than one for each 16 ◄──────────────────────┘
 *
 * A ghost is the tag of a row that was read and not kept. There are ghosts of one row in four, in a
 * table with room for those that the set could hold: a ghost that is met would have been a hit.
 * What is written is kept in any case: it goes to the store in sorted batches later.
 *
 * Thread: confined.
 */
#ifndef TARN_CACHE_GHOST_H
#define TARN_CACHE_GHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/account.h"

typedef struct tarn__ghosts {
    uint32_t *tags; /* NULL: rows are kept. */
    uint32_t mask;
    uint32_t read_count; /* Of the store, since the last look. */
    uint32_t met_count;
    uint64_t hit_count;     /* The set's figures at the last look. */
    uint64_t evicted_count; /* Likewise. */
} tarn__ghosts;

/* What the set has seen and holds. */
typedef struct tarn__ghost_view {
    uint64_t hit_count;
    uint64_t evicted_count;
    uint64_t row_count;
} tarn__ghost_view;

/*
 * Notes that a row was read of the store, and answers whether it is not to be kept. Without memory
 * for ghosts all are kept.
 */
bool tarn__ghosts_decline(
    tarn__ghosts *ghosts, tarn__account *account, const tarn__ghost_view *view, uint64_t hash);
void tarn__ghosts_clear(tarn__ghosts *ghosts);

/* Units: bytes. */
uint64_t tarn__ghosts_memory(const tarn__ghosts *ghosts);

#endif
