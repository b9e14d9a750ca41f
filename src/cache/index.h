/*
 * index.h - where a hot row is: a hash table of references, by the hash of state and row.
 *
 *     tag       the high 32 bits of the hash; the home slot is as far into the table as the tag is
 *               into its numbers: rows are in the order of their tags, but for what had to move on
 *     table     [tag, reference][tag, reference] ...   in blocks of 4,096; a small one is 2^n slots
 *     block     open addressing, linear, round within the block; removal closes the gap
 *
 * The table grows bit by bit: the next one begins empty beside it, and each so many insertions move
 * one block of the old one, in order, into its part of the new one; the fuller the old one is, the
 * fewer insertions it is. So memory grows evenly, and what was moved is given back. A block of the
 * old table that was not moved yet is looked up there. As long as there is memory, tables double;
 * when it is short, they grow by an eighth, and are fuller before they do: what slots do not take,
 * rows have.
 *
 * An insertion moves a block, or none. It moves all up to its own when that is full: of rows whose
 * hashes are spread evenly a block is not before its turn comes, at 20 million rows neither.
 *
 * A block whose rows would not find room in the next table (there are many alike, on purpose) is
 * not moved; then rows are added until their block is full. The hash has no seed, so whoever
 * chooses keys can have that with about a thousand of them: as long as they are here both tables
 * stay, which are charged, trimming gives neither back, and rows of full blocks are not kept.
 * Nothing is lost by it, and answers are right; it is slower.
 *
 * Tables of a block or more lie in regions (base/region.h), in large pages where they are wanted;
 * smaller ones are allocated.
 *
 * Thread: confined.
 */
#ifndef TARN_CACHE_INDEX_H
#define TARN_CACHE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/account.h"
#include "base/region.h"

enum { TARN__INDEX_BLOCK_LOG2 = 12, TARN__INDEX_TAG_BITS = 32 };

typedef struct tarn__index_slot {
    uint32_t tag;
    uint32_t reference; /* 0: the slot is free. */
} tarn__index_slot;

typedef struct tarn__index_table {
    tarn__index_slot *slots; /* NULL: there is no table. */
    uint32_t slot_count;     /* A power of two, or a multiple of a block. */
    uint32_t block_log2;     /* Of the slots of a block. */
    uint32_t block_mask;     /* These slots less one. */
    uint16_t *counts;        /* Rows in each block. */
    size_t charged_bytes;    /* Of a region: from its begin on. */
    size_t given_bytes;      /* Of these, given back. */
    uint32_t region;         /* Where it lies; unused by small ones. */
    bool is_large;           /* In large pages. */
} tarn__index_table;

typedef struct tarn__index {
    tarn__index_table table; /* Into which is inserted. */
    tarn__index_table old;   /* Of which blocks are still to be moved, or none. */
    uint32_t moved_count;    /* Blocks of the old table that were moved. */
    uint32_t pause;          /* Insertions until the next block. */
    uint32_t count;          /* Rows. */
    bool is_large;           /* Large pages are wanted; may change. */
    bool is_tight;           /* Memory is short: rows need it more than slots. May change. */
    uint64_t memory;         /* Units: bytes. */
    tarn__account *account;
    uint64_t reach_bytes;
    tarn__region regions[2]; /* Opened when a table wants one. */
} tarn__index;

/* reach_bytes: address space for a table, which has no more slots than that. */
void tarn__index_init(tarn__index *index, tarn__account *account, uint64_t reach_bytes);
void tarn__index_clear(tarn__index *index);

static inline uint32_t tarn__index_tag(uint64_t hash)
{
    return (uint32_t)(hash >> TARN__INDEX_TAG_BITS);
}

static inline uint32_t tarn__index_home(const tarn__index_table *table, uint32_t tag)
{
    return (uint32_t)(((uint64_t)tag * table->slot_count) >> TARN__INDEX_TAG_BITS);
}

/* Whether a tag stands, or would, in the old table. */
static inline bool tarn__index_is_old(const tarn__index *index, uint32_t tag)
{
    return __builtin_expect(index->old.slots != NULL, 0) &&
           tarn__index_home(&index->old, tag) >> index->old.block_log2 >= index->moved_count;
}

static inline const tarn__index_table *tarn__index_table_of(const tarn__index *index, uint32_t tag)
{
    return tarn__index_is_old(index, tag) ? &index->old : &index->table;
}

/* The bytes of the slots into which is inserted. */
static inline uint64_t tarn__index_bytes(const tarn__index *index)
{
    return (uint64_t)index->table.slot_count * sizeof(tarn__index_slot);
}

/*
 * Growing. A step is due when the table is about to be too full; tarn__index_growth() is the bytes
 * by which it makes the index larger, tarn__index_step() does it: false: no memory, or no room for
 * a block. Without it rows are added until their block is full. tarn__index_put_off() has it due
 * later.
 *
 * Large pages lie within the table. While it is moved into, less than one of them is resident and
 * not charged; afterwards all that is resident is.
 */
bool tarn__index_is_due(const tarn__index *index, uint64_t hash);
uint64_t tarn__index_growth(const tarn__index *index);
bool tarn__index_step(tarn__index *index);
void tarn__index_put_off(tarn__index *index);
bool tarn__index_is_full(const tarn__index *index, uint64_t hash);

/* Adds a row, whose block is not full. */
void tarn__index_add(tarn__index *index, uint64_t hash, uint32_t reference);

/* Gives a row another reference, or with to 0 removes it. It is there. */
void tarn__index_replace(tarn__index *index, uint64_t hash, uint32_t from, uint32_t to);

/* Gives back what is no longer needed, as far as there is memory for it. */
void tarn__index_trim(tarn__index *index);

#endif
