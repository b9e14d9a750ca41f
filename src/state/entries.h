/*
 * entries.h - going through rows of one key and namespace: those of the store, those of the working
 * set, or both in one order.
 *
 * What is gone through are the rows as they were when it began: a copy of what the working set had,
 * and an iterator of the store, opened at the same moment.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_ENTRIES_H
#define TARN_STATE_ENTRIES_H

#include "state/hot_map.h"

typedef struct tarn__entries {
    tarn__keyed_iterator base; /* rows NULL: the copy is all that there is. */
    tarn_buffer copy;          /* A block; empty: the working set has nothing. */
    tarn_buffer prefix;        /* Of all rows; behind it the key that a row was made of. */
    size_t prefix_size;
    int64_t gone_ms; /* With a TTL: what a clean-up counted as gone when it began. */
    uint32_t first;  /* Of the copy's entries those that were not given out: first .. end - 1. */
    uint32_t end;
    bool is_backward;
    bool has_stored; /* A row of the store was taken and not given out. */
    bool is_store_done;
    tarn_bytes stored_key;
    tarn_bytes stored_value;
} tarn__entries;

/*
 * Begins with rows of the current key and namespace.
 *
 * entries  Zeroed, or closed before: then its buffers serve again. tarn__entries_clear() is to be
 *          called in the end, also when this fails.
 * range    Its prefix is the row without a user key. Copied.
 */
TARN_NODISCARD tarn_status tarn__entries_open(
    tarn__entries *entries,
    tarn_keyed *keyed,
    const tarn__hot_range *range,
    bool is_backward,
    const char *owner,
    tarn_error *error);

/* The next row by what is behind the prefix, and what is stored; TARN_DONE. Borrowed until the next
 * call. */
TARN_NODISCARD tarn_status
tarn__entries_next(tarn__entries *entries, tarn_bytes *key, tarn_bytes *stored, tarn_error *error);

/* Makes the row of a key that was given out; valid until another one is made. */
TARN_NODISCARD tarn_status
tarn__entries_row(tarn__entries *entries, tarn_bytes key, tarn_bytes *row, tarn_error *error);

void tarn__entries_close(tarn__entries *entries);

/* Frees the buffers; it is closed, or was not opened. */
void tarn__entries_clear(tarn__entries *entries);

#endif
