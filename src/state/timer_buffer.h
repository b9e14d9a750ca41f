/*
 * timer_buffer.h - timers that wait to be written to the store, found by hash, drained in order.
 *
 *     entries   [time | group | where its record lies]      sorted when drained
 *     records   [hash][size][tail] ...                       as they came
 *     table     hash -> entry                                open addressing
 *
 * It grows with what it holds, up to a count; a buffer that cannot grow is full earlier.
 *
 * Thread: confined.
 */
#ifndef TARN_STATE_TIMER_BUFFER_H
#define TARN_STATE_TIMER_BUFFER_H

#include "state/timer_head.h"

typedef struct tarn__timer_entry {
    uint64_t time;
    uint32_t record; /* Offset of its record. */
    uint16_t group;  /* Relative to the first one of the backend. */
    uint16_t is_dead;
} tarn__timer_entry;

typedef struct tarn__timer_buffer {
    tarn__account *account;
    tarn__timer_entry *entries; /* capacity, and as many again for sorting. */
    uint32_t *table;            /* Twice the capacity: index + 1 of an entry; 0: free. */
    tarn_buffer records;
    uint32_t count; /* Entries, dead ones too. */
    uint32_t dead_count;
    uint32_t capacity; /* A power of two. */
    uint32_t count_max;
} tarn__timer_buffer;

/* An empty buffer without memory. count_max is at least 1. */
void tarn__timer_buffer_init(
    tarn__timer_buffer *buffer, tarn__account *account, uint32_t count_max);
void tarn__timer_buffer_clear(tarn__timer_buffer *buffer);

static inline uint32_t tarn__timer_buffer_live_count(const tarn__timer_buffer *buffer)
{
    return buffer->count - buffer->dead_count;
}

/* Finds a timer that is not dead; NULL: it is not there. */
tarn__timer_entry *tarn__timer_buffer_find(
    const tarn__timer_buffer *buffer, uint32_t hash, uint16_t group, const tarn__timer *timer);

/*
 * Adds a timer that is not there. False: the buffer is full, or has no memory to grow; an empty
 * buffer is only ever out of memory.
 */
bool tarn__timer_buffer_add(
    tarn__timer_buffer *buffer, uint32_t hash, uint16_t group, const tarn__timer *timer);

/* Marks an entry as dead. */
void tarn__timer_buffer_remove(tarn__timer_buffer *buffer, tarn__timer_entry *entry);

/* The timer of an entry. Borrowed until the buffer changes. */
tarn__timer tarn__timer_buffer_at(const tarn__timer_buffer *buffer, const tarn__timer_entry *entry);

/* Sorts the entries by group and timer; only tarn__timer_buffer_empty() may follow. */
void tarn__timer_buffer_sort(tarn__timer_buffer *buffer);

/* Removes all entries; the memory stays. */
void tarn__timer_buffer_empty(tarn__timer_buffer *buffer);

#endif
