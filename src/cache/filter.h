/*
 * filter.h - a filter of the rows that the store may have, of one state.
 *
 *     layers   [64 bytes][64 bytes] ...    blocked bloom filters: a row's bits lie in one block
 *              [64 bytes][64 bytes] ...    when one is full the next begins, thrice as large as all
 *
 *     is_new   no layer has the row's bits: the store has no such row
 *     add      a row is about to be, or has just been, written to the store
 *
 * A bloom filter neither grows nor forgets, so a filter is replaced by a new one of the right size
 * that is built from the rows of the store at one moment, by another thread, while it goes on
 * answering; what is added meanwhile goes into both. A filter that is not complete (the state was
 * restored, memory was refused, or it was of no use) answers "not new" for every row, and costs
 * nothing.
 *
 * Invariants
 *   - Complete: each row that the store has and that is not in the working set has been added.
 *   - Memory is charged to the account and is at most the limit that filters share.
 *
 * Source: Putze, Sanders, Singler, "Cache-, hash- and space-efficient bloom filters", 2007.
 *
 * Thread: confined, but for tarn__filter_build(), which one other thread may call meanwhile.
 */
#ifndef TARN_CACHE_FILTER_H
#define TARN_CACHE_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/account.h"

enum { TARN__FILTER_LAYERS_MAX = 24, TARN__FILTER_BLOCK_BYTES = 64 };

/* What the filters of a backend take together. */
typedef struct tarn__filter_share {
    uint64_t limit_bytes;
    uint64_t used_bytes;
} tarn__filter_share;

typedef struct tarn__filter_layer {
    void *memory;    /* NULL: there is none. */
    uint64_t *words; /* Eight to a block, in a cache line. */
    uint64_t block_count;
    uint64_t capacity; /* Rows for which it has its bits each. */
    uint64_t count;    /* Rows added, those of the builder apart. */
} tarn__filter_layer;

typedef struct tarn__filter {
    tarn__account *account;
    tarn__filter_share *share;
    double bits_per_row;
    uint32_t probe_count;
    bool is_complete;
    uint32_t layer_count;
    tarn__filter_layer layers[TARN__FILTER_LAYERS_MAX];
    tarn__filter_layer next; /* Being built. */

    uint64_t memory_bytes;
    uint64_t asked_count;
    uint64_t used_count;  /* Answers "new" that spared something. */
    uint64_t read_count;  /* Of these, such to reads: a write does not tell of a false answer. */
    uint64_t false_count; /* Answers "not new" to reads that the store did not bear out. */
    uint64_t drop_count;  /* Times that it was given up. */

    uint64_t asked_before; /* When its use was last looked at. */
    uint64_t used_before;  /* Likewise. */
} tarn__filter;

/*
 * Sets a filter up.
 *
 * bits_per_row  1 .. 32.
 * is_complete   The store has no rows of the state.
 */
void tarn__filter_init(
    tarn__filter *filter,
    tarn__account *account,
    tarn__filter_share *share,
    double bits_per_row,
    bool is_complete);
void tarn__filter_clear(tarn__filter *filter);

/* Gives the memory back; it is not complete from now on. Nothing is being built. */
void tarn__filter_drop(tarn__filter *filter);

/*
 * True: the store has no row of this hash. Whoever is spared something by that counts it as used;
 * a filter that is large and hardly ever used is given up.
 */
bool tarn__filter_is_new(tarn__filter *filter, uint64_t hash);

/* Counts an answer "new" that spared a read. */
static inline void tarn__filter_note_read(tarn__filter *filter)
{
    filter->used_count++;
    filter->read_count++;
}

/* The store has a row of this hash, or will have. */
void tarn__filter_add(tarn__filter *filter, uint64_t hash);

/* ---- building --------------------------------------------------------------------------- */

/*
 * Begins to build one for so many rows. From here on rows are added to both. False: no memory, or
 * more than the limit; then nothing is begun.
 */
bool tarn__filter_begin(tarn__filter *filter, uint64_t row_count);

/* Adds a row that the store had when the building began. Thread: the builder's. */
void tarn__filter_build(tarn__filter *filter, uint64_t hash);

/* What was built takes the place of what there was, and is complete. count: rows that were built.
 */
void tarn__filter_finish(tarn__filter *filter, uint64_t count);
void tarn__filter_abandon(tarn__filter *filter);

#endif
