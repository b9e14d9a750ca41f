/**
 * @file tarn/keyed.h
 * @brief What states of all kinds have: namespaces, their keys, their size, and removal as a whole.
 *
 *     tarn_keyed *keyed = tarn_list_keyed(events);
 *     const tarn_bytes sources[] = {first_window, second_window};
 *     tarn_keyed_merge_namespaces(keyed, sources, 2, session, &error);
 *
 * A tarn_keyed is a view of a state, not an object of its own: it needs no closing.
 *
 * Ownership: as long as its state is open.
 * Thread: confined, with the backend.
 */
#ifndef TARN_KEYED_H
#define TARN_KEYED_H

#include "tarn/aggregating.h"
#include "tarn/backend.h"
#include "tarn/list.h"
#include "tarn/map.h"
#include "tarn/reducing.h"
#include "tarn/state.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_keyed tarn_keyed;
typedef struct tarn_key_iterator tarn_key_iterator;

/**
 * How much a state holds, in RocksDB and in the working set before it. What is an estimate says so:
 * it is RocksDB's, stale data included, without what is only in the working set. The others are
 * exact.
 */
typedef struct tarn_keyed_stats {
    uint64_t row_count_estimate;       /**< Rows: values, map entries, chunks of lists. */
    uint64_t live_file_bytes_estimate; /**< Of live data in table files, as compressed there. */
    uint64_t file_bytes;               /**< Table files on disk. */
    uint64_t memtable_bytes;           /**< Memory of what has not been flushed yet. */
    uint64_t held_row_count;           /**< Rows in the working set; a map or list there is one. */
    uint64_t unwritten_row_count; /**< Of these, such as RocksDB has not got yet as they are. */
} tarn_keyed_stats;

/** Answer a state as what it has in common with others. Cannot fail. */
TARN_API tarn_keyed *tarn_value_keyed(tarn_value *state);
TARN_API tarn_keyed *tarn_map_keyed(tarn_map *state);
TARN_API tarn_keyed *tarn_list_keyed(tarn_list *state);
TARN_API tarn_keyed *tarn_reducing_keyed(tarn_reducing *state);
TARN_API tarn_keyed *tarn_aggregating_keyed(tarn_aggregating *state);

/**
 * Makes a namespace the current one of a state, for all keys, until it is set again.
 *
 * @param[in] name_space  Shape: any bytes, 0 .. 64 KiB - 1. Copied.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_keyed_set_namespace(tarn_keyed *state, tarn_bytes name_space, tarn_error *error);

/**
 * Moves what the current key has in the sources to the target, as when sessions grow together.
 *
 * Lists: the target's elements, then those of the sources, in the order given; chunks of elements
 * are moved, small ones as one, and none is decoded. Reducing and aggregating: all become one. With
 * a TTL what came of two is as young as now, what was moved alone keeps its age, and so do list
 * elements. A source that is absent, named before, or the target itself is left alone. The current
 * namespace stays.
 *
 * @retval TARN_NOT_SUPPORTED  A value or map state: what two of them make is not defined.
 * @retval TARN_INVALID_ARGUMENT  No key is current, or a namespace is too long.
 * @retval TARN_IO_ERROR, TARN_CORRUPTION, TARN_OVER_BUDGET, TARN_NO_MEMORY, TARN_POISONED
 */
TARN_API TARN_NODISCARD tarn_status tarn_keyed_merge_namespaces(
    tarn_keyed *state,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error);

/**
 * Begins to iterate over the keys that have something in a namespace, or in any, as they are now.
 *
 * What is expired counts until a read has removed it.
 *
 * @param[in] name_space  NULL: all namespaces; a key comes once for each.
 * @param[in] owner       A name for reports. Copied. NULL: "iterator".
 *
 * Cost: about a seek per key; with namespaces first and one namespace, only its keys are seen.
 */
TARN_API TARN_NODISCARD tarn_status tarn_keyed_iterate_keys(
    tarn_keyed *state,
    const tarn_bytes *name_space,
    const char *owner,
    tarn_key_iterator **out,
    tarn_error *error);

/**
 * Moves to the next key.
 *
 * @retval TARN_OK    *row has key group, key and namespace, borrowed until the next call on the
 *                    iterator; its value is empty.
 * @retval TARN_DONE  There are no more.
 * @retval TARN_IO_ERROR, TARN_CORRUPTION  The store failed; the iteration is over.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_key_iterator_next(tarn_key_iterator *iterator, tarn_row *row, tarn_error *error);

/** Ends an iteration. NULL does nothing. */
TARN_API void tarn_key_iterator_close(tarn_key_iterator *iterator);

/**
 * Removes what all keys have in a namespace.
 *
 * Cost: with namespaces first one range delete per key group that has any, and table files that
 * hold nothing else are dropped; with keys first about a seek and a delete per key of the state.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_keyed_drop_namespace(tarn_keyed *state, tarn_bytes name_space, tarn_error *error);

/** Removes all that a state holds: one range delete, and its table files are dropped. */
TARN_API TARN_NODISCARD tarn_status tarn_keyed_clear(tarn_keyed *state, tarn_error *error);

/** Answers how much a state holds. Cost: a few property reads of RocksDB. */
TARN_API void tarn_keyed_measure(tarn_keyed *state, tarn_keyed_stats *out);

/**
 * Writes stored values of older schemas anew, as the state's migration upgrades them: so many rows
 * of the state at most, from where the last call ended. When all rows were looked at, the older
 * schemas are forgotten: the next version needs to know the present one only.
 *
 * To a reader nothing changes, so it can be called between records until is_complete; reads need no
 * migration. After a restore it begins anew.
 *
 * @param[in]  row_count_max  0: all that are left; the log has a line for some million rows.
 * @param[out] out            May be NULL. Untouched on failure.
 *
 * @retval TARN_OK        Also when there is nothing to do.
 * @retval TARN_INTERNAL, others  What tarn_migration.upgrade answered; nothing of that row changed.
 * @retval TARN_IO_ERROR, TARN_CORRUPTION, TARN_OVER_BUDGET, TARN_NO_MEMORY, TARN_POISONED
 *
 * Cost: the rows of the working set are written to the store before; then a scan, and a write for
 * each older row.
 */
TARN_API TARN_NODISCARD tarn_status tarn_keyed_migrate(
    tarn_keyed *state, uint64_t row_count_max, tarn_migration_progress *out, tarn_error *error);

/**
 * Removes the current key with all that it has: in every namespace of every state of the backend,
 * and its timers; open or not. It stays the current one.
 *
 * Cost: a seek and a delete per state; for states with namespaces first a seek per namespace that
 * the key's group has; for timers all those of the key's group are looked at.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_remove_key(tarn_backend *backend, tarn_error *error);

/**
 * Refuses states without a taker: stored ones, such as a restore brings, that are not open. Call it
 * when all states are open. Without it, and without tarn_backend_drop_untaken(), such states stay:
 * each checkpoint has them, and they can be opened later. Timers count as states.
 *
 * @retval TARN_OK            There are none.
 * @retval TARN_INCOMPATIBLE  There are; the message has their number and describes one.
 * @retval TARN_CORRUPTION, TARN_NOT_SUPPORTED  What is stored about one cannot be read.
 * @retval TARN_IO_ERROR, TARN_POISONED
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_check_untaken(const tarn_backend *backend, tarn_error *error);

/**
 * Removes states without a taker, with all their rows and files: the choice to go on without them.
 * Later checkpoints do not have them, and their names are free for states of any kind.
 *
 * @param[out] count_out  How many there were. May be NULL. Untouched on failure.
 *
 * @retval TARN_OK    All stored states are open.
 * @retval TARN_BUSY  A snapshot is open; nothing was removed.
 * @retval TARN_IO_ERROR, TARN_POISONED  The store failed; the backend is poisoned.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_drop_untaken(tarn_backend *backend, uint32_t *count_out, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
