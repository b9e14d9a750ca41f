/**
 * @file tarn/list.h
 * @brief List state: elements under the current key, in the order in which they were appended.
 *
 *     tarn_list_append(list, event, &error);
 *
 *     tarn_list_iterator *iterator = NULL;
 *     if (tarn_list_iterate(list, "drain", &iterator, &error) != TARN_OK) { ... }
 *     tarn_bytes element;
 *     while (tarn_list_iterator_next(iterator, &element, &error) == TARN_OK) { ... }
 *     tarn_list_iterator_close(iterator);
 *
 * Appending neither reads nor rewrites what is there, however long the list is, and reading never
 * holds more than one chunk of it. An empty list is an absent one.
 *
 * Ownership: a state borrows from its backend.
 * Thread: confined, with the backend.
 */
#ifndef TARN_LIST_H
#define TARN_LIST_H

#include "tarn/state.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_list tarn_list;
typedef struct tarn_list_iterator tarn_list_iterator;

/** Opens a list state. Statuses as those of tarn_value_open(). Close it with tarn_list_close(). */
TARN_API TARN_NODISCARD tarn_status tarn_list_open(
    tarn_backend *backend, const tarn_state_options *options, tarn_list **out, tarn_error *error);

/** Closes a state; its rows stay. TARN_BUSY: an iterator is open; its owner is named. */
TARN_API TARN_NODISCARD tarn_status tarn_list_close(tarn_list *state, tarn_error *error);

/** Makes a namespace the current one, as tarn_keyed_set_namespace() does. */
TARN_API TARN_NODISCARD tarn_status
tarn_list_set_namespace(tarn_list *state, tarn_bytes name_space, tarn_error *error);

/**
 * Appends an element.
 *
 * @param[in] element  Shape: any bytes, 0 .. 2 GiB - 1. Copied.
 *
 * Cost: one blind write.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_list_append(tarn_list *state, tarn_bytes element, tarn_error *error);

/** Appends elements in their order. None: does nothing. Cost: a blind write for each 64 KiB. */
TARN_API TARN_NODISCARD tarn_status tarn_list_append_all(
    tarn_list *state, const tarn_bytes *elements, size_t element_count, tarn_error *error);

/** Replaces the list by elements. None: clears it. */
TARN_API TARN_NODISCARD tarn_status tarn_list_replace(
    tarn_list *state, const tarn_bytes *elements, size_t element_count, tarn_error *error);

/** Removes the list of the current key and namespace. */
TARN_API TARN_NODISCARD tarn_status tarn_list_clear(tarn_list *state, tarn_error *error);

/**
 * Begins to read the list of the current key and namespace from its first element on.
 *
 * The reading sees the list as it is now, whatever is written meanwhile, and goes on when another
 * key becomes current. It is a lease, as an iteration over a map is (tarn/map.h). With a TTL a list
 * whose elements are all expired is removed when the reading came to its end.
 *
 * @param[in] owner  A name for reports. Copied. NULL: "iterator".
 */
TARN_API TARN_NODISCARD tarn_status
tarn_list_iterate(tarn_list *state, const char *owner, tarn_list_iterator **out, tarn_error *error);

/**
 * Moves to the next element.
 *
 * @retval TARN_OK    *element is set, borrowed until the next call on the iterator.
 * @retval TARN_DONE  There are no more; at once when the list is absent.
 * @retval TARN_IO_ERROR, TARN_CORRUPTION  The store failed; the iteration is over.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_list_iterator_next(tarn_list_iterator *iterator, tarn_bytes *element, tarn_error *error);

/** Ends a reading. NULL does nothing. */
TARN_API void tarn_list_iterator_close(tarn_list_iterator *iterator);

#ifdef __cplusplus
}
#endif
#endif
