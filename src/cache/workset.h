/*
 * workset.h - the working set: hot rows in memory between typed state and the store.
 *
 *     find ──► index: hash of (state, row) ──► row in a slab        (no store, no allocation)
 *                                               │
 *          absent | clean | dirty: value, tombstone or partial, of an epoch
 *                                               │ evicted, settled, drained: sorted batches
 *                                               ▼
 *                                          store.write()
 *
 * A row that is not here is as the store has it. A clean row says what the store has, which may be
 * that there is none; a dirty one says what the store will have. Of a family of blocks (block.h) a
 * row here is several of the store, each clean or dirty; what is dirty of it is written. A partial
 * is an operand that the store merges into what it has, or puts beside it where rows have a suffix
 * of their own: the chunk of a list. Writes change rows here, and reach the store when the row is
 * evicted, when a scan settles its range, or when a snapshot is drained.
 *
 * A snapshot freezes: tarn__workset_freeze() raises the epoch and costs nothing more. What was
 * dirty then is frozen, and is drained in slices. A write to a frozen row drains it first. Rows of
 * the new epoch are held back as long as the store is: until the snapshot's links are made.
 *
 *     frozen row ──► value or tombstone of a single row: copied into a run (runs.h), or lent to
 *                │  one as long as the task waits                                    "sent"
 *                └─► rows of blocks, with a suffix, partials: written by the task
 *
 * A row that was sent is clean, and may be written again; but it stays until its run has landed, as
 * the store does not have it before. Runs are on their way only while the store is held: whoever
 * waits for that has waited for them.
 *
 * Invariants
 *   - Reads through here answer as if each write had gone to the store at once.
 *   - A row is written to the store with the value of its epoch, and in a snapshot only then.
 *   - While the store is held nothing is written but frozen rows.
 *   - Memory (slabs and index) stays within the capacity and is charged to the account, as are
 *     ghosts beside it, of at most a byte for each row; when it is refused, rows are evicted, and
 * what finds no room is not kept: the caller writes it itself.
 *   - The row that is held is not moved or evicted before another one is.
 *   - A failed write to the store leaves the rows dirty. One of a run leaves its rows here, and is
 *     told by the next call that looks for room, settles or drains.
 *   - No two writes of a row are under way at once.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_CACHE_WORKSET_H
#define TARN_CACHE_WORKSET_H

#include <stdbool.h>
#include <string.h>

#include "tarn/bytes.h"

#include "base/account.h"
#include "cache/change.h"
#include "cache/filter.h"
#include "cache/runs.h"
#include "cache/slab.h"

/* What is below. */
typedef struct tarn__workset_store {
    /* Writes changes, all or none, sorted by family and row. Never called while it is held. */
    tarn_status (*write)(
        void *context, const tarn__change *changes, size_t count, tarn_error *error);
    /* Tells whether only frozen rows may be written. */
    bool (*is_held)(void *context);
    /* Waits until it is not held; may drain. */
    tarn_status (*release)(void *context, tarn_error *error);
    /* Is told that the write of a run has failed, and passes it on. NULL: nobody cares. */
    tarn_status (*fail)(void *context, tarn_status status, tarn_error *error);
    void *context;
} tarn__workset_store;

typedef struct tarn__workset tarn__workset;

/*
 * Looks at what is about to be written. True: it needs not be, nor be anywhere; of an operand,
 * which is no whole value, it is not asked.
 */
typedef bool tarn__workset_is_dead(tarn_bytes value, bool is_operand, void *context);

/* The rows of one state. Caller's memory; it does not move while it is in a working set. */
typedef struct tarn__workset_family {
    void *store_family;
    uint16_t index;       /* In the working set. */
    uint8_t value_shift;  /* So many bytes, 0 or 8, are before what is to be aligned: a stamp. */
    uint8_t suffix_bytes; /* Behind the row: the store's row has them, finding goes without. */
    bool is_of_blocks;    /* A row here stands for all of the store that begin so: block.h. */
    tarn__workset_is_dead *is_dead; /* NULL: all values are written. */
    void *context;                  /* Of the former. */
    tarn__filter *filter; /* Of the rows that the store may have. NULL: none. Owned elsewhere. */
    uint64_t row_count;   /* Rows here. */
    uint64_t dirty_count; /* Of these, dirty ones. */
} tarn__workset_family;

typedef struct tarn__workset_figures {
    uint64_t capacity_bytes;
    uint64_t memory_bytes; /* Slabs and index. */
    uint64_t row_count;
    uint64_t dirty_count;
    uint64_t frozen_count; /* Not drained yet. */
    uint64_t hit_count;
    uint64_t miss_count;
    uint64_t evicted_count;
    uint64_t written_count;       /* Rows written to the store, by the task or by runs. */
    uint64_t sent_count;          /* Of these, by runs. */
    uint64_t land_count;          /* Waits for runs by calls that could not go on. */
    uint64_t refused_count;       /* Rows that found no room. */
    bool is_aside;                /* Rows that are only read are not kept. */
    uint64_t declined_count;      /* Such rows. */
    uint64_t prefetched_count;    /* Rows that were read ahead and taken in. */
    uint64_t prefetch_lost_count; /* Rows of which that came too late, or to nothing. */
} tarn__workset_figures;

typedef struct tarn__workset_options {
    tarn__account *account;
    tarn__workset_store store;
    uint64_t capacity_bytes;
    uint32_t page_bytes; /* A power of two, 512 .. 65,536. 0: by the capacity. */
    tarn__runs *runs;    /* Borrowed. NULL: the task writes all frozen rows. */
} tarn__workset_options;

/* ---- life ------------------------------------------------------------------------------- */

TARN_NODISCARD tarn_status
tarn__workset_open(const tarn__workset_options *options, tarn__workset **out, tarn_error *error);

/* Frees it with all rows, written or not. NULL does nothing. */
void tarn__workset_close(tarn__workset *set);

/*
 * Changes the capacity; evicts what no longer fits, or everything where another one wants pages of
 * another size. On failure the old one stays.
 */
TARN_NODISCARD tarn_status
tarn__workset_resize(tarn__workset *set, uint64_t capacity_bytes, tarn_error *error);

/* Takes a state's rows in from now on. */
TARN_NODISCARD tarn_status
tarn__workset_add_family(tarn__workset *set, tarn__workset_family *family, tarn_error *error);

/* Forgets a state and its rows, written or not; waits for those that were sent. */
void tarn__workset_remove_family(tarn__workset *set, tarn__workset_family *family);

/* ---- rows ------------------------------------------------------------------------------- */

/* What finding a row computes, for admitting it. */
typedef struct tarn__hot_key {
    tarn__workset_family *family;
    tarn_bytes row;
    uint64_t hash;
    uint32_t reference; /* Of the row that was found; 0: none. */
    bool is_new;        /* There is none, and the filter says that the store has none either. */
    bool is_only_read;  /* A single value, not about to be changed: frozen rows are not written for
                         * it. Of maps and lists it is not told. */
} tarn__hot_key;

/* The hash of a row, also for the family's filter. Thread: any, while the family is in the set. */
uint64_t tarn__workset_hash(const tarn__workset_family *family, tarn_bytes row);

/* Finds a row, or NULL; *key is set in both cases. Counts a hit or a miss, and warms the row. */
tarn__hot_row *tarn__workset_find(
    tarn__workset *set, tarn__workset_family *family, tarn_bytes row, tarn__hot_key *key);

static inline bool tarn__hot_row_is_dirty(const tarn__hot_row *row)
{
    return row->state >= TARN__HOT_DIRTY;
}

/* The row has a value that is whole: it needs no look into the store. */
static inline bool tarn__hot_row_has_value(const tarn__hot_row *row)
{
    return row->state == TARN__HOT_CLEAN || row->state == TARN__HOT_DIRTY;
}

/*
 * Where a value of a size begins: aligned for whatever may lie in so many bytes, behind its stamp.
 * What is smaller than 16 bytes has nothing that wants more than 8.
 */
static inline size_t tarn__hot_value_offset(
    const tarn__workset_family *family, size_t key_size, size_t value_size)
{
    const size_t alignment =
        value_size < TARN__SLAB_UNIT + (size_t)family->value_shift ? 8 : TARN__SLAB_UNIT;
    const size_t end =
        sizeof(tarn__hot_row) + key_size + family->suffix_bytes + family->value_shift;
    return ((end + alignment - 1) & ~(alignment - 1)) - family->value_shift;
}

static inline uint8_t *tarn__hot_row_value(const tarn__workset_family *family, tarn__hot_row *row)
{
    return (uint8_t *)row + tarn__hot_value_offset(family, row->key_size, row->value_size);
}

/* What the store's row has behind the row's bytes; what a new row has there is not defined. */
static inline uint8_t *tarn__hot_row_suffix(tarn__hot_row *row)
{
    return (uint8_t *)(row + 1) + row->key_size;
}

/*
 * A row was read of the store, for which there is none here, and is not about to be changed:
 * whether it is not worth to be kept (cache/ghost.h).
 */
bool tarn__workset_declines(tarn__workset *set, const tarn__hot_key *key);

/* The largest row that finds room, by its bytes here: header, key and value. */
size_t tarn__workset_row_bytes_max(const tarn__workset *set);

/* Holds the row that was found: bytes of it are given out. There is one such row at a time. */
void tarn__workset_hold(tarn__workset *set, const tarn__hot_key *key);

/*
 * Drains the row that was found when it is frozen; with others, when the task writes it. *row
 * becomes NULL when it was a partial, of which the store now has the operand. Before something is
 * computed from a partial.
 */
TARN_NODISCARD tarn_status tarn__workset_hand_over(
    tarn__workset *set, const tarn__hot_key *key, tarn__hot_row **row, tarn_error *error);

/*
 * Gives a row a state and a value. What is written counts as dirty in the current epoch; a frozen
 * row is drained before.
 *
 * row      What tarn__workset_find() answered for the key; may be NULL. Not a frozen partial.
 * value    May lie in the row that is held.
 * key      Its reference becomes that of the row.
 * kept     NULL: there is no room, the row is not here any more, and the caller writes it to the
 *          store, once that is not held.
 */
TARN_NODISCARD tarn_status tarn__workset_set(
    tarn__workset *set,
    tarn__hot_key *key,
    tarn__hot_row *row,
    tarn__hot_state state,
    tarn_bytes value,
    tarn__hot_row **kept,
    tarn_error *error);

/*
 * Makes a row's value one of size bytes, to be changed in place: cut, or extended by zeros. row is
 * there, and no partial; what is absent or removed has no bytes.
 */
TARN_NODISCARD tarn_status tarn__workset_edit(
    tarn__workset *set,
    tarn__hot_key *key,
    tarn__hot_row *row,
    size_t size,
    tarn__hot_row **kept,
    tarn_error *error);

/*
 * Gives a row a state, and puts bytes behind the value that it has; the slot is larger than that,
 * so that not each call moves the row. Arguments are as for tarn__workset_set(); but row, where it
 * is there, is not frozen, and stays as it was when there is no room.
 */
TARN_NODISCARD tarn_status tarn__workset_extend(
    tarn__workset *set,
    tarn__hot_key *key,
    tarn__hot_row *row,
    tarn__hot_state state,
    tarn_bytes bytes,
    tarn__hot_row **kept,
    tarn_error *error);

/*
 * Takes the row that was found out. A dirty one is written to the store before, which is not held
 * then.
 */
TARN_NODISCARD tarn_status
tarn__workset_expel(tarn__workset *set, const tarn__hot_key *key, tarn_error *error);

/* ---- ranges ----------------------------------------------------------------------------- */

/*
 * Writes the dirty rows of lower <= row < upper to the store, which is released first when there
 * are any. family NULL: of all states; then the bounds do not count.
 */
TARN_NODISCARD tarn_status tarn__workset_settle(
    tarn__workset *set,
    const tarn__workset_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn_error *error);

/* Forget rows, written or not: those of lower <= row < upper, those for which a function answers
 * true, the one that was found. None of them may be frozen. They answer whether there were any. */
bool tarn__workset_drop(
    tarn__workset *set, const tarn__workset_family *family, tarn_bytes lower, tarn_bytes upper);
typedef bool tarn__workset_is_wanted(tarn_bytes row, const void *context);
bool tarn__workset_drop_if(
    tarn__workset *set,
    const tarn__workset_family *family,
    tarn__workset_is_wanted *is_wanted,
    const void *context);
void tarn__workset_drop_row(tarn__workset *set, const tarn__hot_key *key);

/* ---- epochs ----------------------------------------------------------------------------- */

/* Begins a new epoch: what is dirty now is frozen. Nothing may be frozen. */
void tarn__workset_freeze(tarn__workset *set);

/*
 * Sends or writes up to row_count_max frozen rows, as far as there is room;
 * tarn__workset_is_draining() tells whether some are left.
 */
TARN_NODISCARD tarn_status
tarn__workset_drain(tarn__workset *set, uint32_t row_count_max, tarn_error *error);

/* Drains all, by as many workers as there are, and waits until the store has it. */
TARN_NODISCARD tarn_status tarn__workset_drain_all(tarn__workset *set, tarn_error *error);

/* Waits until the store has all that was sent. */
TARN_NODISCARD tarn_status tarn__workset_land(tarn__workset *set, tarn_error *error);

/* Whether something was sent that the store may not have. */
bool tarn__workset_is_flying(const tarn__workset *set);

/* The snapshot is given up: what is frozen is dirty as before. Waits for what was sent. */
void tarn__workset_thaw(tarn__workset *set);

bool tarn__workset_is_draining(const tarn__workset *set);

void tarn__workset_measure(const tarn__workset *set, tarn__workset_figures *out);

#endif
