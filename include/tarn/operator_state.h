/**
 * @file tarn/operator_state.h
 * @brief State of an operator that has no key: lists and broadcast maps, in the same checkpoint.
 *
 *     tarn_operator_store_options options = TARN_OPERATOR_STORE_OPTIONS_INIT;
 *     options.env = env;
 *     options.operator_name = "sink";
 *     options.restore = checkpoint;
 *     tarn_operator_store *store = NULL;
 *     if (tarn_operator_store_open(&options, &store, &error) != TARN_OK) { ... }
 *
 *     tarn_operator_state_options of = TARN_OPERATOR_STATE_OPTIONS_INIT;
 *     of.name = "buffered";
 *     tarn_operator_list *buffered = NULL;
 *     tarn_operator_list_open(store, &of, &buffered, &error);
 *     tarn_operator_list_add(buffered, tarn_bytes_of("N14228"), &error);
 *
 * At the barrier a snapshot is cut from the store, and its parts join the acknowledgement:
 *
 *     tarn_operator_snapshot_new(store, &snapshot, &error);
 *     parts = tarn_operator_snapshot_states(snapshot, &count);
 *     tarn_acknowledgement_encode(id, "sink", 0, 1, parts, count, &bytes, &error);
 *     tarn_operator_snapshot_free(snapshot);
 *
 * States live in memory, charged to the heap pool, and a snapshot copies them while the task thread
 * waits; snapshot_bytes_max bounds both. A restore at another parallelism redistributes: a split
 * list is dealt out in contiguous slices, a union list goes whole to every subtask, a broadcast map
 * is copied. Restored state that the program never opens is carried on into the next snapshot.
 *
 * Ownership: states are the store's and go with it; snapshots are freed before it. Bytes that a
 * call gives out are valid until the next change of the same state.
 * Thread: confined, but for a snapshot: it is immutable, and any thread may read and free it.
 */
#ifndef TARN_OPERATOR_STATE_H
#define TARN_OPERATOR_STATE_H

#include "tarn/bytes.h"
#include "tarn/checkpoint.h"
#include "tarn/env.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_operator_store tarn_operator_store;
typedef struct tarn_operator_list tarn_operator_list;
typedef struct tarn_broadcast tarn_broadcast;
typedef struct tarn_operator_snapshot tarn_operator_snapshot;

enum {
    TARN_OPERATOR_STATE_NAME_BYTES_MAX = 240,
    TARN_OPERATOR_ELEMENT_BYTES_MAX = 8 << 20, /**< Of an element; of a key with its value. */
};

/** How a state is dealt out when it is restored. Values are part of the format. */
typedef enum tarn_redistribution {
    TARN_REDISTRIBUTE_DEFAULT = 0,   /**< Split for a list, broadcast for a broadcast map. */
    TARN_REDISTRIBUTE_SPLIT = 1,     /**< List: contiguous slices, as even as can be. */
    TARN_REDISTRIBUTE_UNION = 2,     /**< List: all elements of all subtasks, for every subtask. */
    TARN_REDISTRIBUTE_BROADCAST = 3, /**< Map: one subtask's copy for each. */
} tarn_redistribution;

/** How to open a store. Start from TARN_OPERATOR_STORE_OPTIONS_INIT. */
typedef struct tarn_operator_store_options {
    size_t struct_size; /**< Set by TARN_OPERATOR_STORE_OPTIONS_INIT. */

    tarn_env *env;             /**< Borrowed. Required. */
    const char *operator_name; /**< Names the operator in checkpoints; 1 .. 255 bytes. Required. */
    uint32_t subtask_index;    /**< 0 .. parallelism - 1. */
    uint32_t parallelism;      /**< Default 1. */

    /** A checkpoint to restore from, taken at any parallelism; read while opening. NULL: empty. */
    const tarn_checkpoint *restore;

    /** What all states together may hold. Units: bytes. Default 64 MiB, at most 256 MiB. */
    uint64_t snapshot_bytes_max;
    /* The layout is ABI: append fields here, never above. */
} tarn_operator_store_options;

/** Initialiser for tarn_operator_store_options: every option at its default. */
#define TARN_OPERATOR_STORE_OPTIONS_INIT                   \
    {                                                      \
        .struct_size = sizeof(tarn_operator_store_options) \
    }

/** How to open a state. Start from TARN_OPERATOR_STATE_OPTIONS_INIT. */
typedef struct tarn_operator_state_options {
    size_t struct_size; /**< Set by TARN_OPERATOR_STATE_OPTIONS_INIT. */

    const char *name; /**< 1 .. 240 bytes, not beginning with ".more-". Required. */
    tarn_redistribution redistribution;
    const char *codec_name; /**< What the bytes are, for tools and checks. Default "bytes". */
    uint32_t codec_version; /**< Of the codec. Default 0. */
    /* The layout is ABI: append fields here, never above. */
} tarn_operator_state_options;

/** Initialiser for tarn_operator_state_options: every option at its default. */
#define TARN_OPERATOR_STATE_OPTIONS_INIT                   \
    {                                                      \
        .struct_size = sizeof(tarn_operator_state_options) \
    }

/** Figures of a store at one moment. */
typedef struct tarn_operator_store_stats {
    uint32_t state_count;        /**< Opened or restored. */
    uint64_t element_count;      /**< Elements of lists and entries of maps. */
    uint64_t state_bytes;        /**< What snapshot_bytes_max bounds. */
    uint64_t used_bytes;         /**< Of the heap pool, snapshots that are not freed included. */
    uint64_t snapshot_count;     /**< Taken so far. */
    uint64_t snapshot_last_ns;   /**< Time that the latest one held the task thread. */
    uint64_t snapshot_ns_max;    /**< The longest of them. */
    uint64_t snapshot_bytes_max; /**< The largest of them. */
} tarn_operator_store_stats;

/** One entry of a broadcast map. */
typedef struct tarn_broadcast_entry {
    tarn_bytes key;
    tarn_bytes value;
} tarn_broadcast_entry;

/** A place in a broadcast map: the caller's memory, nothing to free. */
typedef struct tarn_broadcast_cursor {
    const void *entry;
    uint64_t version;
} tarn_broadcast_cursor;

/** Before the first entry. */
#define TARN_BROADCAST_CURSOR_INIT \
    {                              \
        NULL, 0                    \
    }

/** What a checkpoint says of a state; strings borrow from the bytes that were described. */
typedef struct tarn_operator_state_info {
    tarn_bytes name;                    /**< No NUL behind it. */
    const char *kind;                   /**< "list" or "broadcast". */
    tarn_redistribution redistribution; /**< Never the default. */
    tarn_bytes codec_name;              /**< No NUL behind it. */
    uint32_t codec_version;
    uint32_t part_index; /**< A state of more than 16 MiB has several parts. */
    uint32_t part_count;
    uint64_t element_count; /**< Of this part. */
    uint64_t element_bytes; /**< Of this part. */
} tarn_operator_state_info;

/** Fill options with defaults; for C++ and bindings, where the INIT macros warn. */
TARN_API void tarn_operator_store_options_init(
    tarn_operator_store_options *options, size_t struct_size);
TARN_API void tarn_operator_state_options_init(
    tarn_operator_state_options *options, size_t struct_size);

/**
 * Opens a store, empty or restored.
 *
 * @retval TARN_OK                The store is open; release it with tarn_operator_store_close().
 * @retval TARN_INVALID_ARGUMENT  A required option is missing, or a value is out of its range.
 * @retval TARN_INCOMPATIBLE      The checkpoint has no such operator, or its subtasks contradict
 *                                each other about a state; the message has both sides.
 * @retval TARN_CORRUPTION        A state cannot be read; the message names it and says why.
 * @retval TARN_NOT_SUPPORTED     A state was written by a newer version.
 * @retval TARN_OVER_BUDGET       What is restored exceeds snapshot_bytes_max or the heap pool.
 * @retval TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status tarn_operator_store_open(
    const tarn_operator_store_options *options, tarn_operator_store **out, tarn_error *error);

/** Closes a store with its states. NULL does nothing. TARN_BUSY: a snapshot is not freed yet. */
TARN_API TARN_NODISCARD tarn_status
tarn_operator_store_close(tarn_operator_store *store, tarn_error *error);

/** Answers figures. */
TARN_API void tarn_operator_store_measure(
    const tarn_operator_store *store, tarn_operator_store_stats *out);

/**
 * Opens a list, with what was restored of it. Opened again, the same list is answered.
 *
 * @retval TARN_INVALID_ARGUMENT  The name or the redistribution is not allowed.
 * @retval TARN_INCOMPATIBLE      The name has another kind, redistribution or codec; the message
 *                                has both sides.
 * @retval TARN_OVER_BUDGET, TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status tarn_operator_list_open(
    tarn_operator_store *store,
    const tarn_operator_state_options *options,
    tarn_operator_list **out,
    tarn_error *error);

/**
 * Appends elements, all or none; bytes of the same list are allowed.
 *
 * @param[in] element  Shape: any bytes, 0 .. 8 MiB. Copied.
 * @retval TARN_INVALID_ARGUMENT  An element is too long.
 * @retval TARN_OVER_BUDGET       snapshot_bytes_max or the heap pool would be exceeded.
 * @retval TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status
tarn_operator_list_add(tarn_operator_list *list, tarn_bytes element, tarn_error *error);
TARN_API TARN_NODISCARD tarn_status tarn_operator_list_add_all(
    tarn_operator_list *list, const tarn_bytes *elements, size_t count, tarn_error *error);

/** Replaces all elements; otherwise as adding. The old elements stay on failure. */
TARN_API TARN_NODISCARD tarn_status tarn_operator_list_replace(
    tarn_operator_list *list, const tarn_bytes *elements, size_t count, tarn_error *error);

/** Answers the number of elements. */
TARN_API uint64_t tarn_operator_list_count(const tarn_operator_list *list);

/** Answers an element, borrowed until the list changes; TARN_NOT_FOUND beyond the last. */
TARN_API TARN_NODISCARD tarn_status
tarn_operator_list_get(const tarn_operator_list *list, uint64_t index, tarn_bytes *out);

/** Removes all elements and gives their memory back. */
TARN_API void tarn_operator_list_clear(tarn_operator_list *list);

/** Opens a broadcast map; otherwise as tarn_operator_list_open(). */
TARN_API TARN_NODISCARD tarn_status tarn_broadcast_open(
    tarn_operator_store *store,
    const tarn_operator_state_options *options,
    tarn_broadcast **out,
    tarn_error *error);

/**
 * Sets the value of a key. All subtasks are expected to make the same changes: a restore gives each
 * of them one copy, whichever it was.
 *
 * @param[in] key, value  Shape: any bytes, 0 .. 8 MiB together. Copied.
 * @retval TARN_OK, TARN_INVALID_ARGUMENT, TARN_OVER_BUDGET, TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status
tarn_broadcast_put(tarn_broadcast *map, tarn_bytes key, tarn_bytes value, tarn_error *error);

/** Answers the value of a key, borrowed until the map changes; TARN_NOT_FOUND without one. */
TARN_API TARN_NODISCARD tarn_status
tarn_broadcast_get(const tarn_broadcast *map, tarn_bytes key, tarn_bytes *out);

/** Tells whether a key has a value, an empty one included. */
TARN_API bool tarn_broadcast_contains(const tarn_broadcast *map, tarn_bytes key);

/** Removes a key. Removing what is not there changes nothing. */
TARN_API void tarn_broadcast_remove(tarn_broadcast *map, tarn_bytes key);

/** Answers the number of entries. */
TARN_API uint64_t tarn_broadcast_count(const tarn_broadcast *map);

/** Removes all entries. */
TARN_API void tarn_broadcast_clear(tarn_broadcast *map);

/**
 * Moves a cursor to the next entry, in the order of the keys' bytes.
 *
 * @retval TARN_OK                *out is set, borrowed until the map changes.
 * @retval TARN_DONE              There are no more; the cursor is before the first one again.
 * @retval TARN_INVALID_ARGUMENT  The map was changed since the cursor's first step.
 */
TARN_API TARN_NODISCARD tarn_status tarn_broadcast_next(
    const tarn_broadcast *map,
    tarn_broadcast_cursor *cursor,
    tarn_broadcast_entry *out,
    tarn_error *error);

/**
 * Cuts a snapshot: what all states hold now, and nothing that is written later.
 *
 * Cost: one copy of all states, on the calling thread; about a millisecond for each MiB.
 * @retval TARN_OK  Free it with tarn_operator_snapshot_free().
 * @retval TARN_OVER_BUDGET, TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status tarn_operator_snapshot_new(
    tarn_operator_store *store, tarn_operator_snapshot **out, tarn_error *error);

/** Answers the parts, each at most 16 MiB, as an acknowledgement takes them. Borrowed. */
TARN_API const tarn_checkpoint_operator_state *tarn_operator_snapshot_states(
    const tarn_operator_snapshot *snapshot, uint32_t *count_out);

/** Frees a snapshot. NULL does nothing. */
TARN_API void tarn_operator_snapshot_free(tarn_operator_snapshot *snapshot);

/**
 * Describes one piece of operator state of a checkpoint.
 *
 * @retval TARN_OK             It is a part of a state of a tarn_operator_store.
 * @retval TARN_NOT_FOUND      It is something else: bytes of the operator's own.
 * @retval TARN_CORRUPTION     It begins as such a part, and is damaged.
 * @retval TARN_NOT_SUPPORTED  A newer version wrote it.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_operator_state_describe(tarn_bytes bytes, tarn_operator_state_info *out, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
