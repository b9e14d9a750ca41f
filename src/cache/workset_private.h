/* workset_private.h - what the sources of the working set share. See workset.h. */
#ifndef TARN_CACHE_WORKSET_PRIVATE_H
#define TARN_CACHE_WORKSET_PRIVATE_H

#include "base/try.h"
#include "cache/block.h"
#include "cache/ghost.h"
#include "cache/index.h"
#include "cache/workset.h"

enum {
    TARN__WORKSET_BATCH_ROWS = 256,
    TARN__WORKSET_BATCH_BYTES = 256 << 10, /* RocksDB's memory, not the budget's. */
    TARN__WORKSET_HEAT_MAX = 3,
};

/* A place in the slabs that goes from slot to slot. */
typedef struct tarn__cursor {
    uint32_t page;
    uint32_t slot;
    uint32_t fetched; /* Words of marks before this one: their rows are on the way to the cache. */
} tarn__cursor;

struct tarn__workset {
    tarn__slab slab;
    bool has_given_pages; /* Their size does not follow the capacity. */
    tarn__index index;
    uint32_t epoch;
    bool is_draining;                /* Rows that are dirty in another epoch are frozen. */
    uint32_t held;                   /* Reference of the row that is held; 0: none. */
    uint32_t busy;                   /* And of the one that is being changed. */
    tarn__workset_family **families; /* By index; NULL: unused. */
    uint32_t family_capacity;
    tarn__workset_store store;
    tarn__runs *runs; /* NULL: none. */
    bool is_pressed;  /* Nothing else leaves: frozen rows are written and go, sendable or not. */
    bool is_blocked;  /* The last slice found no room in the runs. */
    bool is_lending;  /* The task waits until runs have landed: they need no copies. */
    tarn__account *account;
    tarn__cursor hand;        /* Where eviction goes on. */
    tarn__cursor drain_begin; /* Where draining goes on. */
    tarn__workset_figures figures;
    tarn__ghosts ghosts;

    /* Rows that are being written. */
    uint32_t batch_count;
    size_t batch_bytes;
    uint32_t batch[TARN__WORKSET_BATCH_ROWS]; /* References. */
    uint32_t change_count;                    /* What they come to, in parts. */
    tarn__change changes[TARN__WORKSET_BATCH_ROWS];
};

static inline tarn_bytes tarn__hot_row_key(const tarn__hot_row *row)
{
    return tarn_bytes_at(row + 1, row->key_size);
}

static inline bool tarn__workset_is_frozen(const tarn__workset *set, const tarn__hot_row *row)
{
    return set->is_draining && row->epoch != set->epoch && tarn__hot_row_is_dirty(row);
}

/* Finds a row, pending or not, and sets key->reference; counts and warms nothing. */
tarn__hot_row *tarn__workset_look_up(const tarn__workset *set, tarn__hot_key *key);

/* Whether runs may have rows of a family. */
static inline bool tarn__workset_has_runs(
    const tarn__workset *set, const tarn__workset_family *family)
{
    return set->runs != NULL && !family->is_of_blocks && family->suffix_bytes == 0;
}

/* Whether a frozen row goes by a run. What does not is never sent. */
static inline bool tarn__workset_is_sendable(const tarn__workset *set, const tarn__hot_row *row)
{
    return row->state != TARN__HOT_PARTIAL &&
           tarn__workset_has_runs(set, set->families[row->family]);
}

/* Whether a row was sent, and its run has not landed, as far as it is known which one that is. */
static inline bool tarn__workset_row_is_flying(const tarn__workset *set, const tarn__hot_row *row)
{
    if (__builtin_expect(!row->is_sent, 1) || row->state == TARN__HOT_FREE) {
        return false;
    }
    return tarn__hot_row_is_dirty(row) || row->epoch == TARN__RUN_UNKNOWN
               ? tarn__runs_is_busy(set->runs)
               : !tarn__runs_has_landed(set->runs, row->epoch);
}

/* Units: bytes. */
uint64_t tarn__workset_memory(const tarn__workset *set);

/* Takes a row out and gives its slot back. It is clean, or may be lost. */
void tarn__workset_forget(tarn__workset *set, uint32_t reference);

/* Takes a row out of the dirty ones. */
void tarn__workset_unmark(tarn__workset *set, tarn__hot_row *row);

/* drain.c: drains a frozen row, and others with it. */
TARN_NODISCARD tarn_status
tarn__workset_drain_row(tarn__workset *set, uint32_t reference, tarn_error *error);

/* evict.c: finds room for the row of a key in so many bytes; false: there is none. */
TARN_NODISCARD tarn_status tarn__workset_make_room(
    tarn__workset *set,
    const tarn__hot_key *key,
    size_t bytes,
    bool may_wait,
    bool *has_room,
    tarn_error *error);

/* evict.c: evicts until memory is within the capacity. */
TARN_NODISCARD tarn_status tarn__workset_shrink(tarn__workset *set, tarn_error *error);

/* ---- resize.c --------------------------------------------------------------------------- */

/* The size of pages for a capacity. */
uint32_t tarn__workset_choose_page_bytes(uint64_t capacity_bytes);

/* Sees to large pages of the system being used where the capacity is worth it. */
void tarn__workset_choose_large_pages(tarn__workset *set);

/* ---- write.c ---------------------------------------------------------------------------- */

/* Moves to the next slot; 0: the cursor came to the end, and stands at the beginning again. */
uint32_t tarn__workset_step(tarn__workset *set, tarn__cursor *cursor);

/*
 * dirty.c: goes on to the next dirty row; 0: the cursor came to the end, and stands at the
 * beginning again, or there was a look at so many rows, lines and pages.
 */
uint32_t tarn__workset_next_dirty(tarn__workset *set, tarn__cursor *cursor, uint64_t *looks_left);

/* Sends a frozen row that is sendable: it is clean then. False: there is no room for it. */
bool tarn__workset_send(tarn__workset *set, uint32_t reference, bool can_wait);

/* Has the runs read the rows that are lent to them here. */
void tarn__workset_become_lender(tarn__workset *set);

/* Has one more run land, if one was sent. */
TARN_NODISCARD tarn_status tarn__workset_land_one(tarn__workset *set, tarn_error *error);

/* tarn__workset_land() for who cannot fail: a failure is told later. */
void tarn__workset_settle_down(tarn__workset *set);

/* Answers that the write of a run has failed, if one has. */
TARN_NODISCARD tarn_status tarn__workset_check_runs(tarn__workset *set, tarn_error *error);

/* Adds a dirty row to the batch, which has room. True: it has none left. */
bool tarn__workset_batch_add(tarn__workset *set, uint32_t reference);

/* Writes the batch; its rows are clean afterwards, its partials gone. */
TARN_NODISCARD tarn_status tarn__workset_batch_write(tarn__workset *set, tarn_error *error);

#endif
