/*
 * slab.h - the memory of hot rows: pages of slots of one size each, in one region.
 *
 *     page of 64 KiB    [slot][slot][slot] ...         all of one class
 *     slot              [header 12][row, padded][value]
 *     reference         1 + unit of 16 bytes from the region's begin; 0: none
 *
 * Classes are multiples of 16 bytes, eight to each doubling: a slot wastes at most a ninth. A page
 * whose slots are all free serves any class again. Slots do not move.
 *
 * Memory is charged before it is touched: a page at a time, or, with large pages, an extent of
 * 2 MiB of them. It is given back by pages.
 *
 * Thread: confined.
 */
#ifndef TARN_CACHE_SLAB_H
#define TARN_CACHE_SLAB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/account.h"
#include "base/region.h"
#include "cache/marks.h"

enum {
    TARN__SLAB_UNIT = 16,
    TARN__SLAB_PAGE_BYTES_MAX = 64 << 10,
    TARN__SLAB_PAGE_BYTES_MIN = 512,
    TARN__SLAB_CLASSES = 80,
};

typedef enum tarn__hot_state {
    TARN__HOT_FREE = 0,  /* A slot without a row. */
    TARN__HOT_PENDING,   /* Its value is being read; epoch: the batch. See ahead.h. */
    TARN__HOT_ABSENT,    /* The store has no such row. */
    TARN__HOT_CLEAN,     /* The store has this value. */
    TARN__HOT_DIRTY,     /* A value that the store has not got. From here on: dirty. */
    TARN__HOT_TOMBSTONE, /* A removal that the store has not got. */
    TARN__HOT_PARTIAL,   /* An operand that the store has not got. */
} tarn__hot_state;

/* A row in a slot. Its row bytes follow, then its value. */
typedef struct tarn__hot_row {
    uint32_t epoch;      /* Of the write that made it dirty; of a clean one that was sent, the run,
                            or TARN__RUN_UNKNOWN. In a free slot: the next free one. */
    uint16_t value_size; /* Units: bytes. */
    uint16_t key_size;   /* Of the row bytes. */
    uint16_t family;
    uint8_t state;       /* A tarn__hot_state. */
    uint8_t heat : 5;    /* Grows with hits, shrinks when the clock's hand comes by. */
    uint8_t is_sent : 1; /* It was copied into a run, which may not have landed. */
    uint8_t
        is_expected : 1; /* Nothing that was here went to the store alone since it was: ahead.h. */
    uint8_t is_new : 1;  /* Dirty, and the store has no such row. */
} tarn__hot_row;

_Static_assert(sizeof(tarn__hot_row) == 12, "a counter of eight bytes takes two units");
_Static_assert(TARN__SLAB_PAGE_BYTES_MAX / 4 <= UINT16_MAX, "sizes within a slot have 16 bits");

typedef struct tarn__slab_page {
    uint32_t next;        /* Of the pages with room of a class, or of the free pages; by index. */
    uint32_t previous;    /* Likewise. */
    uint32_t free_slot;   /* Reference of the first one; 0: none. */
    uint16_t class_index; /* Of its slots. */
    uint16_t units;       /* Of a slot; 0: the page serves no class. */
    uint16_t slot_count;
    uint16_t live_count;
    bool has_memory; /* False: it was given back. */
} tarn__slab_page;

typedef struct tarn__slab {
    tarn__account *account;
    tarn__region region;
    bool is_large;  /* Large pages are wanted from now on; may change. */
    bool has_large; /* There were some. */
    tarn__slab_page *pages;
    tarn__marks marks;      /* Of the lines that may have dirty rows. */
    uint32_t page_count;    /* Known pages, with those given back. */
    uint32_t page_capacity; /* Of pages. */
    uint32_t memory_count;  /* Pages that have memory. */
    uint32_t page_bytes;
    uint32_t unit_shift;  /* log2 of the units in a page. */
    uint32_t first_free;  /* Page with memory that serves no class; UINT32_MAX: none. */
    uint32_t first_given; /* Page without memory; UINT32_MAX: none. */
    uint32_t with_room[TARN__SLAB_CLASSES]; /* By class; UINT32_MAX: none. */
} tarn__slab;

/*
 * False: there is no address space.
 *
 * reach_bytes  Of address space: it has no more memory than that.
 */
bool tarn__slab_init(
    tarn__slab *slab, tarn__account *account, uint32_t page_bytes, uint64_t reach_bytes);
void tarn__slab_clear(tarn__slab *slab);

/* The largest slot, header included. Units: bytes. */
static inline size_t tarn__slab_slot_bytes_max(const tarn__slab *slab)
{
    return slab->page_bytes / 4;
}

static inline tarn__hot_row *tarn__slab_at(const tarn__slab *slab, uint32_t reference)
{
    uint8_t *slot = slab->region.base + (size_t)(reference - 1) * TARN__SLAB_UNIT;
    return (tarn__hot_row *)(void *)slot;
}

static inline uint32_t tarn__slab_page_of(const tarn__slab *slab, uint32_t reference)
{
    return (reference - 1) >> slab->unit_shift;
}

/* The size of a slot. Units: bytes. */
static inline size_t tarn__slab_slot_bytes(const tarn__slab *slab, uint32_t reference)
{
    return (size_t)slab->pages[tarn__slab_page_of(slab, reference)].units * TARN__SLAB_UNIT;
}

/* Marks a row's line: the row becomes dirty. */
static inline void tarn__slab_mark(tarn__slab *slab, const tarn__hot_row *row)
{
    tarn__marks_set(&slab->marks, (size_t)((const uint8_t *)row - slab->region.base));
}

/* The reference of a slot of a page. */
static inline uint32_t tarn__slab_reference(const tarn__slab *slab, uint32_t page, uint32_t slot)
{
    return 1 + (page << slab->unit_shift) + slot * slab->pages[page].units;
}

/* Takes a slot for so many bytes, at most the largest; 0: none is free. Uninitialised. */
uint32_t tarn__slab_take(tarn__slab *slab, size_t bytes);

/* Whether a slot for so many bytes is free, without a new page. */
bool tarn__slab_has_room(const tarn__slab *slab, size_t bytes);

/* Gives a slot back. */
void tarn__slab_give(tarn__slab *slab, uint32_t reference);

/* The bytes by which tarn__slab_add_page() makes it larger. */
size_t tarn__slab_growth(const tarn__slab *slab);

/* Gets memory for one more page, or an extent of them; false: it was refused. */
bool tarn__slab_add_page(tarn__slab *slab);

/* Gives back the memory of a page that serves no class; false: there is none. */
bool tarn__slab_remove_page(tarn__slab *slab);

/* Memory held. Units: bytes. */
size_t tarn__slab_memory(const tarn__slab *slab);

#endif
