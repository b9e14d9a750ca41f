/*
 * timers.h - a queue of timers: what is in memory, what is in the store, and what is dead there.
 *
 *                 mark            last of the head
 *     rows of a    |                    |
 *     key group ───┼────────────────────┼───────────────────────────► time, key, namespace
 *      the store   :   dead    : clean  :   the rest: in the store, or in the buffer
 *      the head    :           : clean + dirty
 *
 * A row in the store is [key group u16 BE][time, sign flipped, u64 BE][key][namespace], with key
 * and namespace as in codec/row.h, and an empty value. docs/FORMATS.md, "Timers".
 *
 * Registering
 *   - Below the head's last timer, or when the head has all of the group's timers, a timer goes
 *     into the head, dirty. It is written only by a snapshot or when the head runs over: timers of
 *     groups with few never reach the store.
 *   - Beyond, it goes into the buffer, which is written in sorted runs: small ones as batches,
 *     large ones as a table file that the store takes in, past its memtable.
 *   - Whether it is new is known without a read: the filter says no, or the head knows. Only a
 *     "maybe" looks into the buffer and then the store. So the count is exact at any time.
 *
 * Firing
 *   - takes from heads, the group with the earliest first. It writes nothing: the group's mark
 * moves, and rows of the store up to it are dead. An empty head is filled by one bounded read from
 *     behind the mark on, which meets no dead row.
 *   - Dead rows are removed by one range delete a group: at a snapshot, after DEAD_ROWS_MAX, or
 *     when a timer below the mark has to be written. Until then such late timers are in the head.
 *
 * Invariants
 *   - The head has every timer of its group up to its last one, and up to the mark. The buffer and
 *     the living rows of the store are beyond both.
 *   - A clean timer is in the store, a dirty one is not. Dirty timers below the mark come first.
 *   - floor_time is not above the time of any row of the group in the store, dead or not.
 *   - group.count is the number of the group's timers; when the head has as many, it has all.
 *   - After tarn__timers_settle() the store has exactly the timers: that is what a snapshot takes,
 *     and what one ordered pass restores, heads, counts and filter.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_TIMERS_H
#define TARN_STATE_TIMERS_H

#include "tarn/timer.h"

#include "state/keyed.h"
#include "state/timer_buffer.h"
#include "state/timer_filter.h"
#include "state/timer_head.h"
#include "state/timer_heap.h"

enum {
    TARN__TIMER_TIME_BYTES = 8,
    TARN__TIMER_TAIL_OFFSET = TARN__ROW_GROUP_BYTES + TARN__TIMER_TIME_BYTES,
};

typedef struct tarn__timer_group {
    tarn__timer_head head;
    uint64_t count;
    uint64_t floor_time;
    uint32_t buffered_count;
    uint32_t dead_count; /* Rows of the store that fired since the last range delete. */
} tarn__timer_group;

struct tarn_timers {
    tarn_keyed keyed; /* Its backend, family and child; rows are the timers' own. */
    tarn__settler settler;
    uint32_t first_group;
    uint32_t group_count;
    tarn__timer_group *groups;
    uint8_t *pages; /* Of all heads; then a page for packing one. */
    uint32_t page_bytes;
    tarn__timer_heap heap;
    tarn__timer_filter filter;
    tarn__timer_buffer buffer;
    tarn__rocks_batch batch;
    tarn_buffer row;   /* Of the timer that a call is about. */
    tarn_buffer edge;  /* Rows on their way to the store, and lower bounds. As large as row. */
    tarn_buffer fired; /* Of the last poll. */
    uint64_t count;
};

static inline uint8_t *tarn__timers_scratch(const tarn_timers *timers)
{
    return timers->pages + (size_t)timers->group_count * timers->page_bytes;
}

/* Writes a row; answers its bytes. Room: TARN__TIMER_TAIL_OFFSET + tail. */
size_t tarn__timer_encode_row(uint8_t *out, uint32_t key_group, const tarn__timer *timer);

/* Reads a row of the store: its key group, and its timer, which lies in the row. */
bool tarn__timer_decode_row(tarn_bytes row, uint32_t *group_out, tarn__timer *out);

/*
 * Removes the timers of the current key from a family of timers, which may be open. Others stay in
 * memory or in the store, where they are.
 */
TARN_NODISCARD tarn_status tarn__timers_remove_key(
    tarn_backend *backend, tarn__rocks_family *family, tarn__removal *removal, tarn_error *error);

/* Puts a group where the heap should have it. */
void tarn__timers_place(tarn_timers *timers, uint32_t group);

/* ---- the store -------------------------------------------------------------------------- */

/* Seeds everything from the rows in the store: one ordered pass. The groups are empty. */
TARN_NODISCARD tarn_status tarn__timers_restore(tarn_timers *timers, tarn_error *error);

/* Fills the head of a group, which is empty while the group is not. */
TARN_NODISCARD tarn_status
tarn__timers_fill(tarn_timers *timers, uint32_t group, tarn_error *error);

/* Begins to read the rows of a group that are not dead. */
TARN_NODISCARD tarn_status tarn__timers_begin_rows(
    tarn_timers *timers, uint32_t group, tarn__rocks_iterator **out, tarn_error *error);

/* Writes what is in the buffer. */
TARN_NODISCARD tarn_status tarn__timers_flush(tarn_timers *timers, tarn_error *error);

/* Forgets a group's mark, so that rows below it can be written; removes the dead rows first. */
TARN_NODISCARD tarn_status
tarn__timers_drop_mark(tarn_timers *timers, uint32_t group, tarn_error *error);

/* Writes all that is only in memory, and removes all dead rows. */
TARN_NODISCARD tarn_status tarn__timers_settle(tarn_timers *timers, tarn_error *error);

/* Whether a row is in the store; it must not be a dead one. */
TARN_NODISCARD tarn_status
tarn__timers_look_up(tarn_timers *timers, tarn_bytes row, bool *out, tarn_error *error);

TARN_NODISCARD tarn_status
tarn__timers_delete_row(tarn_timers *timers, tarn_bytes row, tarn_error *error);

#endif
