/* prefetch_private.h - what the sources of the prefetch share: a batch. See prefetch.h. */
#ifndef TARN_STATE_PREFETCH_PRIVATE_H
#define TARN_STATE_PREFETCH_PRIVATE_H

#include "state/prefetch.h"

/* Something that is to be read. */
typedef struct tarn__ahead_item {
    tarn_keyed *keyed;
    uint64_t order; /* The first bytes of its row: they decide most comparisons. */
    uint32_t at;    /* Of its row in the batch's bytes. */
    uint32_t size;
    uint32_t head_size;  /* Of an entry of a map: the part of its row that finds the map. Of a whole
                            one: the row behind all of its rows, which follows its own. */
    uint32_t limit;      /* Of a whole map or list: the bytes that are kept. 0: it is one row. */
    uint32_t content_at; /* Of a whole one that was read: in the batch's contents. */
    uint32_t content_size;
} tarn__ahead_item;

struct tarn__prefetch {
    tarn_backend *backend;
    tarn__workers *helper; /* One thread. NULL: there is none. */
    uint32_t batch;        /* Its number. */
    tarn_buffer bytes;     /* Of its rows. */
    tarn__ahead_item *items;
    tarn__rocks_read *reads; /* In the order of items, once those are sorted. Of a whole one only
                                the status counts; TARN_DONE: it is too large. */
    uint32_t capacity;       /* Of both. */
    uint32_t count;

    pthread_mutex_t mutex; /* From here on: under it, as are items and reads while published. */
    pthread_cond_t is_quiet;
    bool is_sorted;
    uint32_t published_count; /* What may be read. */
    uint32_t next;            /* The first one that nobody reads yet. */
    uint32_t reader_count;    /* Chunks that are being read. */
    uint64_t value_bytes;     /* Of what was read. */
    tarn_buffer contents;     /* Of whole ones. */
};

/* The row of an item. */
static inline tarn_bytes tarn__ahead_row(const tarn__prefetch *p, const tarn__ahead_item *item)
{
    return tarn_bytes_at(p->bytes.data + item->at, item->size);
}

/* ---- prefetch_read.c -------------------------------------------------------------------- */

/* Lets anybody read the batch. */
void tarn__ahead_publish(tarn__prefetch *p);

/* Reads until there is nothing left. The helper's job, and the task thread's when it waits. */
void tarn__ahead_read(void *prefetch);

/* Takes back what nobody reads yet, and waits for the rest. */
void tarn__ahead_withdraw(tarn__prefetch *p);

#endif
