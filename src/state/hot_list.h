/*
 * hot_list.h - lists in the working set: one row for each, found by key and namespace.
 *
 *     hot row    [group][key][namespace] | [sequence] -> elements       the suffix is not searched
 *     partial    elements behind those that the store has; written as a chunk, never read for it
 *     clean      all elements, which are one chunk in the store
 *     dirty      all elements; what the store has of the list is a chunk of that number, or nothing
 *     tombstone  no element; likewise
 *     absent     no element, and no chunk
 *
 * What is appended to a list of which nothing is here begins a partial, under a new sequence
 * number: nothing is read. A list that is read and turns out to be small and one chunk is whole
 * from then on; reading, replacing and clearing it touch no store. A chunk that is full goes to the
 * store and the next one begins. There is at most one row of a list here, so that its number is
 * greater than those of the chunks in the store, or the only one.
 *
 * Lists with a TTL have a stamp for each chunk, and are blocks of chunks (hot_map.h).
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_HOT_LIST_H
#define TARN_STATE_HOT_LIST_H

#include "state/hot.h"

/* A list that becomes larger is not kept whole where that means to write it again. */
enum { TARN__HOT_LIST_WHOLE_BYTES_MAX = 4096 };

/* Sees to it that numbers for a call can be taken: their mark is not written while the store is
 * held. To be called before anything is found. */
void tarn__hot_list_prepare_numbers(tarn_backend *backend);

/* The store is about to have a chunk, by its row, that does not come from the working set. */
void tarn__hot_list_note_chunk(tarn_keyed *keyed, tarn_bytes row);

/* Appends encoded elements to the current key's list of a namespace, which is encoded. */
TARN_NODISCARD tarn_status tarn__hot_list_append(
    tarn_keyed *keyed, tarn_bytes name_space, tarn_bytes elements, tarn_error *error);

/*
 * Makes a list one of encoded elements, which may be none, when it is known what the store has of
 * it; *is_done_out tells.
 */
TARN_NODISCARD tarn_status tarn__hot_list_replace(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    tarn_bytes elements,
    bool *is_done_out,
    tarn_error *error);

/* Forgets a list of which the store is about to lose all chunks; then, that it has none. */
TARN_NODISCARD tarn_status
tarn__hot_list_drop(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__hot_list_set_absent(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error);

/* Writes what is dirty of a list to the store, and forgets it. */
TARN_NODISCARD tarn_status
tarn__hot_list_expel(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error);

/*
 * Copies what is here of the current list to the end of out.
 *
 * is_whole_out  That is all of it. Else the store's chunks come before.
 */
TARN_NODISCARD tarn_status tarn__hot_list_read(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    tarn_buffer *out,
    bool *is_whole_out,
    tarn_error *error);

/*
 * Keeps the current list whole, of which the store has one chunk or none; one of which nothing was
 * here only if it is worth it (cache/ghost.h).
 *
 * number    Of the chunk; empty: there is none.
 * elements  All: the store's, then those of the partial that is here.
 */
TARN_NODISCARD tarn_status tarn__hot_list_complete(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    tarn_bytes number,
    tarn_bytes elements,
    tarn_error *error);

/* ---- reading ahead: cache/ahead.h -------------------------------------------------------- */

/* Prepares for a list, by its row; *is_pending tells whether it is worth to be read. */
TARN_NODISCARD tarn_status tarn__hot_list_expect(
    tarn_keyed *keyed, tarn_bytes row, uint32_t batch, bool *is_pending, tarn_error *error);

/*
 * Reads a list of the store into a buffer: its number, then its elements; nothing, when it has
 * none. Thread: any.
 *
 * is_whole_out  That is all of it. Else what is in the buffer is of no use.
 */
TARN_NODISCARD tarn_status tarn__hot_list_scan(
    tarn__rocks_family *family,
    tarn_bytes row,
    tarn_bytes beyond,
    tarn_buffer *out,
    bool *is_whole_out,
    tarn_error *error);

/* Takes in what was read of a list; outcome TARN_OK: that is all of it. */
TARN_NODISCARD tarn_status tarn__hot_list_fulfil(
    tarn_keyed *keyed,
    tarn_bytes row,
    uint32_t batch,
    tarn_status outcome,
    tarn_bytes content,
    tarn_error *error);

#endif
