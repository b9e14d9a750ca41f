/*
 * list.h - what the sources of list state share: a reading.
 *
 *     first chunk, copied | chunks of the store, streamed | what the working set has, copied
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_LIST_H
#define TARN_STATE_LIST_H

#include "tarn/list.h"

#include "state/entries.h"
#include "state/hot_list.h"

struct tarn_list_iterator {
    tarn_list *state;
    tarn__entries entries; /* Chunks; where is_hot, its base alone is used. */
    bool is_hot;           /* One chunk is in the working set: no TTL. */
    tarn_bytes rest;       /* Of the current chunk: what has not been given out. */
    tarn_buffer own;       /* Copies: of the first chunk, then of what the working set has. */
    size_t head_size;      /* Of the former. */
    tarn_bytes pending;    /* The store's chunk after that, already taken from it. */
    bool has_tail;         /* The latter is still to be given out. */
    tarn_buffer first;     /* The row of the first chunk: with a TTL, from there all may go. */
    tarn_buffer last;      /* Just behind the row of the latest chunk. */
    bool has_young;        /* A chunk was not expired. */
    bool is_over;
};

struct tarn_list {
    tarn_keyed keyed;
    tarn_list_iterator *spare; /* One that was closed, to be used again. NULL: none. */
};

/* The list has one chunk in the working set; else, when it is on, all that are in a block of it. */
static inline bool tarn__list_is_hot_chunk(const tarn_keyed *keyed)
{
    return keyed->workset != NULL && !keyed->hot.is_of_blocks;
}

/* All chunks of the current key and a namespace; valid until the next row is made. */
TARN_NODISCARD tarn_status tarn__list_find_chunks(
    tarn_keyed *keyed, tarn_bytes name_space, tarn__hot_range *out, tarn_error *error);

/* list_read.c: frees an iterator that is closed. NULL does nothing. */
void tarn__list_iterator_free(tarn_list_iterator *iterator);

/*
 * list_hot.c: begins the reading of a list that may be in the working set. A list that turns out to
 * be small is kept there whole.
 *
 * iterator  Zeroed. On failure its own buffer is still to be cleared.
 */
TARN_NODISCARD tarn_status tarn__list_begin_hot(
    tarn_list_iterator *iterator, tarn_keyed *keyed, const char *owner, tarn_error *error);

#endif
