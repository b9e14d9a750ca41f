/*
 * timer_heap.h - which key group has the next timer: a binary heap of groups by time.
 *
 * Thread: confined.
 */
#ifndef TARN_STATE_TIMER_HEAP_H
#define TARN_STATE_TIMER_HEAP_H

#include "base/account.h"

typedef struct tarn__timer_node {
    uint64_t time;
    uint32_t group;
} tarn__timer_node;

typedef struct tarn__timer_heap {
    tarn__timer_node *nodes;
    uint32_t *places; /* By group: where its node is; UINT32_MAX: it has none. */
    uint32_t count;
} tarn__timer_heap;

TARN_NODISCARD tarn_status tarn__timer_heap_init(
    tarn__timer_heap *heap, tarn__account *account, uint32_t group_count, tarn_error *error);
void tarn__timer_heap_clear(tarn__timer_heap *heap);

/* Puts a group at a time, whether it was in the heap or not. */
void tarn__timer_heap_set(tarn__timer_heap *heap, uint32_t group, uint64_t time);

/* Takes a group out; one that is not in is left out. */
void tarn__timer_heap_remove(tarn__timer_heap *heap, uint32_t group);

#endif
