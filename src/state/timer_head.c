/* timer_head.c - see timer_head.h. */
#include "state/timer_head.h"

#include <assert.h>
#include <string.h>

enum { SLOT_BYTES = sizeof(tarn__timer_slot) };

_Static_assert(SLOT_BYTES == 16, "a slot is 16 bytes");

void tarn__timer_head_init(
    tarn__timer_head *head, uint8_t *memory, uint32_t capacity, uint32_t count_max)
{
    *head = (tarn__timer_head){
        .memory = memory,
        .given_memory = memory,
        .capacity = capacity,
        .given_capacity = capacity,
        .tails = capacity,
        .count_max = count_max,
    };
}

void tarn__timer_head_clear(tarn__timer_head *head)
{
    if (head->memory != head->given_memory) {
        tarn__release(head->memory);
    }
    *head = (tarn__timer_head){.memory = NULL};
}

bool tarn__timer_head_find(
    const tarn__timer_head *head, const tarn__timer *timer, uint32_t *index_out)
{
    uint32_t low = 0;
    uint32_t high = tarn__timer_head_count(head);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const tarn__timer there = tarn__timer_head_at(head, middle);
        const int order = tarn__timer_compare(&there, timer);
        if (order == 0) {
            *index_out = middle;
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *index_out = low;
    return false;
}

/* Copies a slot's tail from one block into another that is filled from its end. */
static void move_tail(tarn__timer_slot *slot, const uint8_t *from, uint8_t *to, uint32_t *tails)
{
    *tails -= slot->size;
    memcpy(to + *tails, from + slot->offset, slot->size);
    slot->offset = *tails;
}

/* Copies slots and tails into another block, without gaps. They fit. */
static void move_all(tarn__timer_head *head, uint8_t *to, uint32_t capacity)
{
    const uint32_t count = tarn__timer_head_count(head);
    tarn__timer_slot *slots = (tarn__timer_slot *)(void *)to;
    memcpy(slots, tarn__timer_head_slots(head) + head->first, (size_t)count * SLOT_BYTES);
    uint32_t tails = capacity;
    if (head->has_mark) {
        move_tail(&head->mark, head->memory, to, &tails);
    }
    for (uint32_t i = 0; i < count; i++) {
        move_tail(&slots[i], head->memory, to, &tails);
    }
    head->tails = tails;
    head->first = 0;
    head->end = count;
}

/* Bytes that slots, tails and the mark really need. */
static size_t live_bytes(const tarn__timer_head *head)
{
    size_t bytes = head->has_mark ? head->mark.size : 0;
    const tarn__timer_slot *slots = tarn__timer_head_slots(head);
    for (uint32_t i = head->first; i < head->end; i++) {
        bytes += SLOT_BYTES + slots[i].size;
    }
    return bytes;
}

static bool has_room(const tarn__timer_head *head, size_t tail_bytes)
{
    return (size_t)(head->end + 1) * SLOT_BYTES + tail_bytes <= head->tails;
}

/* Goes back to the given memory, or packs what is in it. It fits. */
static void pack(tarn__timer_head *head, uint8_t *scratch)
{
    move_all(head, scratch, head->given_capacity);
    if (head->memory != head->given_memory) {
        tarn__release(head->memory);
        head->memory = head->given_memory;
        head->capacity = head->given_capacity;
    }
    memcpy(head->memory, scratch, (size_t)head->end * SLOT_BYTES);
    memcpy(head->memory + head->tails, scratch + head->tails, head->capacity - head->tails);
}

static bool move_to_larger(tarn__timer_head *head, size_t bytes, tarn__account *account)
{
    const size_t capacity = (bytes + SLOT_BYTES - 1) / SLOT_BYTES * SLOT_BYTES;
    uint8_t *memory = tarn__allocate(account, capacity);
    if (memory == NULL) {
        return false;
    }
    move_all(head, memory, (uint32_t)capacity);
    if (head->memory != head->given_memory) {
        tarn__release(head->memory);
    }
    head->memory = memory;
    head->capacity = (uint32_t)capacity;
    return true;
}

static tarn__timer_head_outcome make_room(
    tarn__timer_head *head, size_t tail_bytes, tarn__account *account, uint8_t *scratch)
{
    const size_t needed = live_bytes(head) + SLOT_BYTES + tail_bytes;
    if (needed <= head->given_capacity) {
        pack(head, scratch);
        return TARN__TIMER_HEAD_DONE;
    }
    if (tarn__timer_head_count(head) > 0) {
        return TARN__TIMER_HEAD_FULL;
    }
    return move_to_larger(head, needed, account) ? TARN__TIMER_HEAD_DONE
                                                 : TARN__TIMER_HEAD_NO_MEMORY;
}

tarn__timer_head_outcome tarn__timer_head_insert(
    tarn__timer_head *head,
    uint32_t index,
    const tarn__timer *timer,
    bool is_dirty,
    tarn__account *account,
    uint8_t *scratch)
{
    const uint32_t size = (uint32_t)timer->tail.size;
    if (tarn__timer_head_count(head) >= head->count_max) {
        return TARN__TIMER_HEAD_FULL;
    }
    if (!has_room(head, size)) {
        const tarn__timer_head_outcome outcome = make_room(head, size, account, scratch);
        if (outcome != TARN__TIMER_HEAD_DONE) {
            return outcome;
        }
    }
    tarn__timer_slot *slots = tarn__timer_head_slots(head) + head->first;
    const uint32_t count = tarn__timer_head_count(head);
    assert(index <= count && has_room(head, size));
    memmove(slots + index + 1, slots + index, (size_t)(count - index) * SLOT_BYTES);
    head->tails -= size;
    memcpy(head->memory + head->tails, timer->tail.data, size);
    slots[index] = (tarn__timer_slot){
        .time = timer->time,
        .offset = head->tails,
        .size = size & 0x7fffffff,
        .is_dirty = is_dirty,
    };
    head->end++;
    return TARN__TIMER_HEAD_DONE;
}

void tarn__timer_head_remove(tarn__timer_head *head, uint32_t index)
{
    const uint32_t count = tarn__timer_head_count(head);
    assert(index < count);
    tarn__timer_slot *slots = tarn__timer_head_slots(head) + head->first;
    memmove(slots + index, slots + index + 1, (size_t)(count - index - 1) * SLOT_BYTES);
    head->end--;
}

void tarn__timer_head_fire(tarn__timer_head *head)
{
    assert(tarn__timer_head_count(head) > 0);
    const tarn__timer fired = tarn__timer_head_at(head, 0);
    bool is_later = true;
    if (head->has_mark) {
        const tarn__timer mark = tarn__timer_head_mark(head);
        is_later = tarn__timer_compare(&fired, &mark) > 0;
    }
    if (is_later) {
        head->mark = tarn__timer_head_slots(head)[head->first];
        head->has_mark = true;
    }
    head->first++;
}

void tarn__timer_head_empty(tarn__timer_head *head, uint8_t *scratch)
{
    head->first = 0;
    head->end = 0;
    if (!head->has_mark || head->mark.size <= head->given_capacity) {
        pack(head, scratch);
    } else {
        head->tails = head->mark.offset; /* What lies behind is free when the mark goes. */
    }
}
