/**
 * @file tarn/map.h
 * @brief Map state: entries under the current key, sorted by the bytes of their own keys.
 *
 *     tarn_map_put(map, tarn_bytes_of("2026-11-22"), tarn_bytes_of("3"), &error);
 *
 *     tarn_map_range range = TARN_MAP_RANGE_INIT;
 *     range.prefix = tarn_bytes_of("2026-");
 *     tarn_map_iterator *iterator = NULL;
 *     if (tarn_map_iterate(map, &range, "report", &iterator, &error) != TARN_OK) { ... }
 *     tarn_map_entry entry;
 *     while (tarn_map_iterator_next(iterator, &entry, &error) == TARN_OK) { ... }
 *     tarn_map_iterator_close(iterator);
 *
 * An entry with an empty value is there; a map without entries is not.
 *
 * Ownership: a state borrows from its backend. Bytes that a call gives out are valid until the
 * next call on the same backend; those of an iterator until the next call on the iterator.
 * Thread: confined, with the backend.
 */
#ifndef TARN_MAP_H
#define TARN_MAP_H

#include "tarn/state.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_map tarn_map;
typedef struct tarn_map_iterator tarn_map_iterator;

/** One entry. */
typedef struct tarn_map_entry {
    tarn_bytes key;   /**< Shape: any bytes, 0 .. 64 KiB - 1. */
    tarn_bytes value; /**< Shape: any bytes, 0 .. 2 GiB - 1. */
} tarn_map_entry;

/** Some entries of a map: those that keep all of the bounds. Start from TARN_MAP_RANGE_INIT. */
typedef struct tarn_map_range {
    size_t struct_size; /**< Set by TARN_MAP_RANGE_INIT. */
    tarn_bytes from;    /**< The least key. Empty: from the first. */
    tarn_bytes to;      /**< The first key beyond. Its data is NULL: to the last. */
    tarn_bytes prefix;  /**< What keys begin with. Empty: anything. */
    bool is_backward;   /**< Iterates from the last key to the first. */
    /* The layout is ABI: append fields here, never above. */
} tarn_map_range;

/** Initialiser for tarn_map_range: all entries, forwards. C++: tarn_map_range_init(). */
#define TARN_MAP_RANGE_INIT                   \
    {                                         \
        .struct_size = sizeof(tarn_map_range) \
    }

/** As the INIT macro; for C++ and bindings, where that warns. */
TARN_API void tarn_map_range_init(tarn_map_range *range, size_t struct_size);

/** Opens a map state. Statuses as those of tarn_value_open(). Close it with tarn_map_close(). */
TARN_API TARN_NODISCARD tarn_status tarn_map_open(
    tarn_backend *backend, const tarn_state_options *options, tarn_map **out, tarn_error *error);

/** Closes a state; its rows stay. TARN_BUSY: an iterator is open; its owner is named. */
TARN_API TARN_NODISCARD tarn_status tarn_map_close(tarn_map *state, tarn_error *error);

/** Makes a namespace the current one, as tarn_keyed_set_namespace() does. */
TARN_API TARN_NODISCARD tarn_status
tarn_map_set_namespace(tarn_map *state, tarn_bytes name_space, tarn_error *error);

/**
 * Reads an entry.
 *
 * @retval TARN_OK         *out is its value, which may be empty.
 * @retval TARN_NOT_FOUND  There is no such entry (an outcome, not an error).
 */
TARN_API TARN_NODISCARD tarn_status
tarn_map_get(tarn_map *state, tarn_bytes key, tarn_bytes *out, tarn_error *error);

/** Tells whether there is an entry: TARN_OK or TARN_NOT_FOUND. With a TTL it is a read, too. */
TARN_API TARN_NODISCARD tarn_status
tarn_map_contains(tarn_map *state, tarn_bytes key, tarn_error *error);

/** Sets an entry. */
TARN_API TARN_NODISCARD tarn_status
tarn_map_put(tarn_map *state, tarn_bytes key, tarn_bytes value, tarn_error *error);

/** Sets entries, the last one of a key wins. None: does nothing. */
TARN_API TARN_NODISCARD tarn_status tarn_map_put_all(
    tarn_map *state, const tarn_map_entry *entries, size_t entry_count, tarn_error *error);

/** Removes an entry. Removing what is not there succeeds. */
TARN_API TARN_NODISCARD tarn_status
tarn_map_remove(tarn_map *state, tarn_bytes key, tarn_error *error);

/** Removes the entries of a range; its direction does not matter. NULL: all. */
TARN_API TARN_NODISCARD tarn_status
tarn_map_remove_range(tarn_map *state, const tarn_map_range *range, tarn_error *error);

/** Removes all entries of the current key and namespace. */
TARN_API TARN_NODISCARD tarn_status tarn_map_clear(tarn_map *state, tarn_error *error);

/** Tells whether there is no entry, one that is expired but not yet removed included. */
TARN_API TARN_NODISCARD tarn_status
tarn_map_is_empty(tarn_map *state, bool *out, tarn_error *error);

/**
 * Begins to iterate over entries of the current key and namespace, in the order of their keys.
 *
 * The iteration sees the map as it is now, whatever is written meanwhile, and goes on when another
 * key becomes current. It is a lease: it pins files and blocks until it is closed, and is named by
 * its owner when it leaks.
 *
 * @param[in] range  Copied. NULL: all entries.
 * @param[in] owner  A name for reports. Copied. NULL: "iterator".
 */
TARN_API TARN_NODISCARD tarn_status tarn_map_iterate(
    tarn_map *state,
    const tarn_map_range *range,
    const char *owner,
    tarn_map_iterator **out,
    tarn_error *error);

/**
 * Moves to the next entry.
 *
 * @retval TARN_OK    *entry is set, borrowed until the next call on the iterator.
 * @retval TARN_DONE  There are no more entries.
 * @retval TARN_IO_ERROR, TARN_CORRUPTION  The store failed; the iteration is over.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_map_iterator_next(tarn_map_iterator *iterator, tarn_map_entry *entry, tarn_error *error);

/**
 * Removes the entry that the iterator stands on, whatever has been written to it since.
 *
 * @retval TARN_INVALID_ARGUMENT  It stands on none: next() was not called or did not succeed, or
 *                                the entry was removed through the iterator already.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_map_iterator_remove(tarn_map_iterator *iterator, tarn_error *error);

/** Ends an iteration. NULL does nothing. */
TARN_API void tarn_map_iterator_close(tarn_map_iterator *iterator);

#ifdef __cplusplus
}
#endif
#endif
