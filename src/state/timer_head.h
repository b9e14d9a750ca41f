/*
 * timer_head.h - the earliest timers of one key group, in order: a page with slots.
 *
 *     memory   [slot][slot][slot] ...free... [tail][tail][tail]
 *               slots grow up, by order       tails grow down, in any order
 *
 * A slot has a timer's time, and where its tail lies: [key size][key][namespace size][namespace] as
 * in a row (codec/row.h). Timers are ordered by time, then by the bytes of the tail, which is the
 * order of their rows. A slot is dirty until the store has its row.
 *
 * The page also keeps the mark: the last timer that fired. The store's rows up to it are dead.
 *
 * Memory is given; a tail that is too large for it is put into a larger block, which is given back
 * when the page is emptied.
 *
 * Thread: confined.
 */
#ifndef TARN_STATE_TIMER_HEAD_H
#define TARN_STATE_TIMER_HEAD_H

#include "tarn/bytes.h"

#include "base/account.h"

/* The time with its sign flipped: unsigned order is time's order. */
typedef struct tarn__timer {
    uint64_t time;
    tarn_bytes tail;
} tarn__timer;

static inline uint64_t tarn__timer_encode_time(int64_t time)
{
    return (uint64_t)time ^ (UINT64_C(1) << 63);
}

static inline int64_t tarn__timer_decode_time(uint64_t time)
{
    return (int64_t)(time ^ (UINT64_C(1) << 63));
}

/* Negative, 0 or positive, as memcmp(). */
static inline int tarn__timer_compare(const tarn__timer *a, const tarn__timer *b)
{
    if (a->time != b->time) {
        return a->time < b->time ? -1 : 1;
    }
    return tarn_bytes_compare(a->tail, b->tail);
}

typedef struct tarn__timer_slot {
    uint64_t time;
    uint32_t offset;
    uint32_t size : 31;
    uint32_t is_dirty : 1;
} tarn__timer_slot;

typedef struct tarn__timer_head {
    uint8_t *memory;       /* Aligned for a slot. */
    uint8_t *given_memory; /* What memory is unless a tail was too large. */
    uint32_t capacity;     /* Units: bytes, as the two below. */
    uint32_t given_capacity;
    uint32_t tails; /* Where the lowest tail begins. */
    uint32_t first; /* Slots first .. end - 1 are in use. */
    uint32_t end;
    uint32_t count_max;
    bool has_mark;
    tarn__timer_slot mark;
} tarn__timer_head;

/* An empty head over memory of capacity bytes, for at most count_max timers. */
void tarn__timer_head_init(
    tarn__timer_head *head, uint8_t *memory, uint32_t capacity, uint32_t count_max);
void tarn__timer_head_clear(tarn__timer_head *head);

static inline uint32_t tarn__timer_head_count(const tarn__timer_head *head)
{
    return head->end - head->first;
}

static inline tarn__timer_slot *tarn__timer_head_slots(const tarn__timer_head *head)
{
    return (tarn__timer_slot *)(void *)head->memory;
}

/* The timer at an index, 0 .. count - 1. Borrowed until the head changes. */
static inline tarn__timer tarn__timer_head_at(const tarn__timer_head *head, uint32_t index)
{
    const tarn__timer_slot *slot = &tarn__timer_head_slots(head)[head->first + index];
    return (tarn__timer){
        .time = slot->time,
        .tail = tarn_bytes_at(head->memory + slot->offset, slot->size),
    };
}

static inline bool tarn__timer_head_is_dirty(const tarn__timer_head *head, uint32_t index)
{
    return tarn__timer_head_slots(head)[head->first + index].is_dirty != 0;
}

/* The mark; there must be one. Borrowed until the head changes. */
static inline tarn__timer tarn__timer_head_mark(const tarn__timer_head *head)
{
    return (tarn__timer){
        .time = head->mark.time,
        .tail = tarn_bytes_at(head->memory + head->mark.offset, head->mark.size),
    };
}

/* Where a timer is, or would be inserted; true when it is there. */
bool tarn__timer_head_find(
    const tarn__timer_head *head, const tarn__timer *timer, uint32_t *index_out);

typedef enum tarn__timer_head_outcome {
    TARN__TIMER_HEAD_DONE,
    TARN__TIMER_HEAD_FULL,      /* The last timer has to leave first. */
    TARN__TIMER_HEAD_NO_MEMORY, /* For a tail that is larger than the given memory. */
} tarn__timer_head_outcome;

/*
 * Inserts a timer at the index that find answered. An empty head takes any timer: FULL is answered
 * only when there is another one. scratch has room for given_capacity bytes.
 */
tarn__timer_head_outcome tarn__timer_head_insert(
    tarn__timer_head *head,
    uint32_t index,
    const tarn__timer *timer,
    bool is_dirty,
    tarn__account *account,
    uint8_t *scratch);

void tarn__timer_head_remove(tarn__timer_head *head, uint32_t index);

/* Takes the first timer out; it becomes the mark unless a later one is. Its tail stays where it is
 * until the next change. */
void tarn__timer_head_fire(tarn__timer_head *head);

/* Removes every timer; the mark stays. scratch as above. */
void tarn__timer_head_empty(tarn__timer_head *head, uint8_t *scratch);

#endif
