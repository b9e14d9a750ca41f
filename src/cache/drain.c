/*
 * drain.c - epochs: how what a snapshot froze comes to the store.
 *
 *     the stream goes on   slices: a few rows each, copied into runs, or written by the task
 *     the task waits       all: rows are lent to runs, in as many as workers and task can write at
 *                          once; nothing changes them, as nobody else does but who waits
 *
 * A row that is lent counts as sent, as one that was copied does.
 */
#include <assert.h>

#include "cache/workset_private.h"

enum {
    DRAINED_WITH_ROW = 16, /* Frozen rows that go along when one must. */
    LOOKS_PER_ROW = 16,    /* At lines of memory, for each row that is to be drained. */
    LENT_ROWS = 64 << 10,  /* Of a run at least: a file each. */
    LENT_RUNS = 6,         /* Of as many rows, if there are enough. */
};

/* ---- epochs ----------------------------------------------------------------------------- */

void tarn__workset_freeze(tarn__workset *set)
{
    assert(!set->is_draining);
    set->epoch++;
    set->figures.frozen_count = set->figures.dirty_count;
    set->is_draining = set->figures.frozen_count > 0;
    set->drain_begin = (tarn__cursor){0};
}

void tarn__workset_thaw(tarn__workset *set)
{
    tarn__workset_settle_down(set); /* The store is no longer held: nothing may be under way. */
    set->is_draining = false;
    set->figures.frozen_count = 0;
}

bool tarn__workset_is_draining(const tarn__workset *set)
{
    return set->is_draining;
}

/*
 * Sends a frozen row, or adds it to the batch. False: the slice ends, as there is no room; the
 * cursor stands behind the row only if it was taken.
 */
static bool take(tarn__workset *set, uint32_t reference, tarn__cursor before)
{
    const tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
    if (tarn__workset_is_sendable(set, row)) {
        if (tarn__workset_send(set, reference, /* can_wait= */ !set->is_lending)) {
            return true;
        }
        if (tarn__workset_is_flying(set)) {
            set->drain_begin = before;
            set->is_blocked = true;
            return false;
        } /* Else there is no memory for runs. */
    }
    return !tarn__workset_batch_add(set, reference);
}

/* Takes frozen rows from the cursor on. */
static tarn_status drain(tarn__workset *set, uint32_t row_count_max, tarn_error *error)
{
    const uint64_t written = set->figures.written_count;
    uint64_t looks = (uint64_t)row_count_max * LOOKS_PER_ROW;
    bool goes_on = true;
    set->is_blocked = false;
    TARN_TRY(tarn__workset_check_runs(set, error));
    while (goes_on && set->is_draining &&
           set->figures.written_count - written + set->batch_count < row_count_max) {
        const tarn__cursor before = set->drain_begin;
        const uint32_t reference = tarn__workset_next_dirty(set, &set->drain_begin, &looks);
        if (reference == 0) {
            break; /* What a row written by the task went past comes in the next round. */
        }
        goes_on = !tarn__workset_is_frozen(set, tarn__slab_at(&set->slab, reference)) ||
                  take(set, reference, before);
    }
    TARN_TRY(tarn__workset_batch_write(set, error));
    if (!set->is_draining && set->runs != NULL) {
        tarn__runs_send(set->runs);
    }
    return TARN_OK;
}

tarn_status tarn__workset_drain(tarn__workset *set, uint32_t row_count_max, tarn_error *error)
{
    const uint32_t count =
        row_count_max < TARN__WORKSET_BATCH_ROWS ? row_count_max : TARN__WORKSET_BATCH_ROWS;
    return set->is_draining ? drain(set, count, error) : TARN_OK;
}

/* Drains all, and has runs land where there is no room. */
static tarn_status drain_whole(tarn__workset *set, tarn_error *error)
{
    while (set->is_draining) {
        TARN_TRY(tarn__workset_drain(set, TARN__WORKSET_BATCH_ROWS, error));
        if (set->is_blocked) {
            TARN_TRY(tarn__workset_land_one(set, error));
        }
    }
    return TARN_OK;
}

tarn_status tarn__workset_drain_all(tarn__workset *set, tarn_error *error)
{
    if (set->runs != NULL && set->is_draining) {
        const uint64_t wanted = set->figures.frozen_count / LENT_ROWS;
        const uint64_t count = wanted < LENT_RUNS ? wanted + 1 : LENT_RUNS;
        tarn__runs_set_lent(set->runs, set->figures.frozen_count / count + 1);
        set->is_lending = true;
    }
    const tarn_status status = drain_whole(set, error);
    tarn_error ignored;
    set->is_lending = false;
    const tarn_status landed = tarn__workset_land(set, status == TARN_OK ? error : &ignored);
    return status != TARN_OK ? status : landed; /* What was lent is free in any case. */
}

/* The task writes a frozen row that is not sent, and others of its kind with it. */
tarn_status tarn__workset_drain_row(tarn__workset *set, uint32_t reference, tarn_error *error)
{
    bool is_full = tarn__workset_batch_add(set, reference);
    const bool is_sendable = tarn__workset_is_sendable(set, tarn__slab_at(&set->slab, reference));
    uint64_t looks = is_sendable ? 0 : DRAINED_WITH_ROW * LOOKS_PER_ROW;
    while (looks > 0 && !is_full && set->batch_count < DRAINED_WITH_ROW) {
        const uint32_t other = tarn__workset_next_dirty(set, &set->drain_begin, &looks);
        if (other == 0) {
            break;
        }
        const tarn__hot_row *row = tarn__slab_at(&set->slab, other);
        if (other != reference && tarn__workset_is_frozen(set, row) &&
            !tarn__workset_is_sendable(set, row)) {
            is_full = tarn__workset_batch_add(set, other);
        }
    }
    return tarn__workset_batch_write(set, error);
}
