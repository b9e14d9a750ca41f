/**
 * @file tarn/state.h
 * @brief How states of all kinds are opened, and value state.
 *
 *     tarn_state_options options = TARN_STATE_OPTIONS_INIT;
 *     options.name = "flights";
 *     tarn_value *flights = NULL;
 *     if (tarn_value_open(backend, &options, &flights, &error) != TARN_OK) { ... }
 *
 *     tarn_backend_set_key(backend, tarn_bytes_of("N14228"), &error);
 *     void *count = NULL;
 *     if (tarn_value_edit(flights, sizeof(uint64_t), &count, &error) == TARN_OK) {
 *         *(uint64_t *)count += 1;
 *     }
 *
 * A state has a name and a column family of its own. A row belongs to the backend's current key
 * and to the state's current namespace (a window, for instance; empty unless set). The other kinds:
 * tarn/map.h, tarn/list.h, tarn/reducing.h, tarn/aggregating.h; what all have: tarn/keyed.h.
 *
 * Ownership: a state borrows from its backend. Bytes that a call gives out are valid until the
 * next call on the same backend; those of an iteration until the next call on its iterator.
 * Errors: once a write was lost, every call but closing is TARN_POISONED (tarn/backend.h).
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_H
#define TARN_STATE_H

#include "tarn/backend.h"
#include "tarn/bytes.h"
#include "tarn/config.h"
#include "tarn/schema.h"
#include "tarn/status.h"
#include "tarn/ttl.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_value tarn_value;
typedef struct tarn_value_iterator tarn_value_iterator;

/** In which order a state's rows lie. It is part of what is stored. */
typedef enum tarn_layout {
    TARN_LAYOUT_KEY_FIRST = 0, /**< All namespaces of a key together. */
    /** All keys of a namespace together, in each key group: dropping a window is cheap. */
    TARN_LAYOUT_NAMESPACE_FIRST = 1,
} tarn_layout;

/** How to open a state of any kind. Start from TARN_STATE_OPTIONS_INIT. */
typedef struct tarn_state_options {
    size_t struct_size; /**< Set by TARN_STATE_OPTIONS_INIT. */

    const char *name;       /**< 1 .. 255 bytes, not "default". Required. */
    const char *codec_name; /**< What the values are, for tools and for checks. Default "bytes". */
    uint32_t codec_version; /**< Of the codec. Default 0. */
    const tarn_config *tuning; /**< RocksDB options by Flink's names, for this state alone. */
    /** NULL: values never expire. Read while opening. What is stored may have had one or none. */
    const tarn_ttl *ttl;
    tarn_layout layout; /**< Default TARN_LAYOUT_KEY_FIRST. */
    /** The program's own, stored with the codec's name and version. Copied. Default: empty. */
    tarn_bytes metadata; /**< Shape: 0 .. TARN_STATE_METADATA_BYTES_MAX. */
    /** How values of other schemas are read. NULL: only those of this codec and version are. */
    const tarn_migration *migration;
    /* The layout is ABI: append fields here, never above. */
} tarn_state_options;

/** Initialiser for tarn_state_options: every option at its default. */
#define TARN_STATE_OPTIONS_INIT                   \
    {                                             \
        .struct_size = sizeof(tarn_state_options) \
    }

/**
 * One row of an iteration. Borrowed until the next call on its iterator, whatever is called on the
 * backend meanwhile. The bytes are not aligned: memcpy() them into a struct.
 */
typedef struct tarn_row {
    uint32_t key_group;
    tarn_bytes key;
    tarn_bytes name_space; /**< "namespace" is a word of C++. */
    tarn_bytes value;
} tarn_row;

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_state_options_init(tarn_state_options *options, size_t struct_size);

/**
 * Opens a value state: at most one value per key and namespace.
 *
 * @param[in]  options  Copied, but for tuning, which is read while opening.
 * @param[out] out      The state; release it with tarn_value_close(). Untouched on failure.
 * @param[out] error    Details of a failure. May be NULL. Counts after a failure only.
 *
 * @retval TARN_OK                The state is open, with what a restored checkpoint holds of it.
 * @retval TARN_INVALID_ARGUMENT  The name is missing or not allowed, or a tuning option is bad.
 * @retval TARN_BUSY              The state is open already.
 * @retval TARN_INCOMPATIBLE      What is stored under the name is of another kind, or of a codec or
 *                                version that cannot be upgraded; the message names both.
 * @retval TARN_IO_ERROR, TARN_NO_MEMORY, TARN_OVER_BUDGET
 */
TARN_API TARN_NODISCARD tarn_status tarn_value_open(
    tarn_backend *backend, const tarn_state_options *options, tarn_value **out, tarn_error *error);

/**
 * Closes a state; its rows stay.
 *
 * @retval TARN_OK    It is gone. NULL does nothing.
 * @retval TARN_BUSY  An iterator over it is open; nothing was closed. The message names its owner.
 * @retval other      A value handed out by tarn_value_edit() could not be stored; the state is
 *                    gone all the same.
 */
TARN_API TARN_NODISCARD tarn_status tarn_value_close(tarn_value *state, tarn_error *error);

/**
 * Makes a namespace the current one of this state. It stays when the key changes.
 *
 * @param[in] name_space  Shape: any bytes, 0 .. 64 KiB - 1. Copied.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_value_set_namespace(tarn_value *state, tarn_bytes name_space, tarn_error *error);

/**
 * Reads the value of the current key and namespace.
 *
 * @param[out] out  The value, borrowed until the next call on the backend. Untouched otherwise.
 *
 * @retval TARN_OK                The value is there; it may be empty.
 * @retval TARN_NOT_FOUND         There is none (an outcome, not an error).
 * @retval TARN_INVALID_ARGUMENT  No key is current.
 * @retval TARN_IO_ERROR, TARN_CORRUPTION, TARN_POISONED  The store failed, now or before.
 *
 * Cost: one RocksDB point read; no allocation of ours.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_value_get(tarn_value *state, tarn_bytes *out, tarn_error *error);

/**
 * Sets the value of the current key and namespace.
 *
 * @param[in] value  Shape: any bytes, 0 .. 2 GiB - 1. Copied.
 * @retval TARN_OK, TARN_INVALID_ARGUMENT, TARN_IO_ERROR, TARN_NO_SPACE, TARN_POISONED
 * @retval TARN_OVER_BUDGET, TARN_NO_MEMORY  Nothing changed.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_value_put(tarn_value *state, tarn_bytes value, tarn_error *error);

/**
 * Gives out the value in place, to be changed there: created zeroed when absent, cut or extended
 * by zeros to size when it has another.
 *
 * The value is stored at the next call on the backend, whichever it is; a failure to store it is
 * that call's failure.
 *
 * @param[in]  size  Units: bytes, 1 .. 2 GiB - 1.
 * @param[out] out   The value's size bytes, aligned for any type of that size, until the next call.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_value_edit(tarn_value *state, size_t size, void **out, tarn_error *error);

/** Removes the value of the current key and namespace. Removing what is not there succeeds. */
TARN_API TARN_NODISCARD tarn_status tarn_value_remove(tarn_value *state, tarn_error *error);

/**
 * Begins to iterate over all rows of a state: all keys, all namespaces, by key group.
 *
 * The iteration sees the state as it is now, whatever is written meanwhile. It is a lease: it pins
 * files and blocks until it is closed, and is named by its owner when it leaks.
 *
 * @param[in] owner  A name for reports. Copied. NULL: "iterator".
 */
TARN_API TARN_NODISCARD tarn_status tarn_value_iterate(
    tarn_value *state, const char *owner, tarn_value_iterator **out, tarn_error *error);

/**
 * Moves to the next row.
 *
 * @retval TARN_OK    *row is set, borrowed until the next call on the iterator.
 * @retval TARN_DONE  There are no more rows.
 * @retval TARN_IO_ERROR, TARN_CORRUPTION, TARN_POISONED  The store failed; the iteration is over.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_value_iterator_next(tarn_value_iterator *iterator, tarn_row *row, tarn_error *error);

/** Ends an iteration. NULL does nothing. */
TARN_API void tarn_value_iterator_close(tarn_value_iterator *iterator);

#ifdef __cplusplus
}
#endif
#endif
