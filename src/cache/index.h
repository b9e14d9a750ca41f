/*
 * index.h - where a hot row is: a hash table of references, by the hash of state and row.
 *
 *     hash of 64 bits    [high bits: segment] ... [low 32 bits: tag, home slot]
 *     segment            [tag, reference][tag, reference] ...   open addressing, linear
 *
 * Segments grow each by itself, so that no single insertion moves more than one of them. Removal
 * closes the gap: there are no tombstones.
 *
 * Thread: confined.
 */
#ifndef TARN_CACHE_INDEX_H
#define TARN_CACHE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/account.h"

typedef struct tarn__index_slot {
    uint32_t tag;
    uint32_t reference; /* 0: the slot is free. */
} tarn__index_slot;

typedef struct tarn__index_segment {
    tarn__index_slot *slots; /* NULL: nothing was inserted yet. */
    uint32_t mask;           /* Slots less one. */
    uint32_t count;
} tarn__index_segment;

typedef struct tarn__index {
    tarn__account *account;
    tarn__index_segment *segments;
    uint32_t shift;  /* Of the hash, which leaves the segment. */
    uint64_t memory; /* Units: bytes. */
} tarn__index;

/* False: no memory. segments_log2 is 1 .. 16. */
bool tarn__index_init(tarn__index *index, tarn__account *account, uint32_t segments_log2);
void tarn__index_clear(tarn__index *index);

static inline tarn__index_segment *tarn__index_segment_of(const tarn__index *index, uint64_t hash)
{
    return &index->segments[hash >> index->shift];
}

/* The bytes by which one more row would make the index grow. */
uint64_t tarn__index_growth(const tarn__index *index, uint64_t hash);

/* Makes room for one more row of a hash; false: no memory. */
bool tarn__index_reserve(tarn__index *index, uint64_t hash);

/* Adds a row, for which there is room. */
void tarn__index_add(tarn__index *index, uint64_t hash, uint32_t reference);

/* Gives a row another reference, or with to 0 removes it. It is there. */
void tarn__index_replace(tarn__index *index, uint64_t hash, uint32_t from, uint32_t to);

/* Gives back what segments no longer need, as far as there is memory for it. */
void tarn__index_trim(tarn__index *index);

#endif
