/**
 * @file tarn/working_set.h
 * @brief The working set of a backend: hot rows in memory, in front of RocksDB.
 *
 *     tarn_working_set_stats stats;
 *     tarn_backend_measure_working_set(backend, &stats);
 *     double hit_ratio = (double)stats.hit_count / (double)(stats.hit_count + stats.miss_count);
 *
 * Rows of states are kept in the heap pool while they are hot, and written to RocksDB when they are
 * evicted, when a range of them is scanned, and after a snapshot has begun. Small maps (some KiB)
 * and lists are kept as a whole, so that nobody who iterates over one comes to RocksDB; of larger
 * ones it has what was used of late, or appended. What expires by its TTL while it is here is not
 * written at all. Nothing else that a program can read or restore depends on the working set.
 *
 * What a snapshot froze of value, and of reducing and aggregating states that hold whole values, is
 * copied by the caller's thread and written by the environment's workers; until they have, up to
 * three quarters of the capacity (at most 192 MiB) are taken of the heap pool besides, as far as it
 * has them. A write of theirs that fails poisons the backend.
 *
 * When hits are rare, as with keys at random over a state far larger than memory, rows, maps and
 * lists that are only read are not kept, until ghosts of them tell that they would be hits again.
 *
 * Beside it a state has a filter of the keys that RocksDB may have (tarn.new-key-filter.*), so that
 * a read for a new key, and the removal of one, do not look there. After a restore it is built in
 * the background once such reads come.
 *
 * How large it is: tarn.working-set.size, or tarn.working-set.fraction of a slot's heap, for each
 * backend. Memory that the heap pool refuses is not missed: rows are evicted instead, and what
 * finds no room at all goes to RocksDB at once. The buffers that calls on value, list, map,
 * reducing and aggregating states need themselves have a spare of the heap pool, taken when the
 * backend opens: a 64th of a slot's heap, 128 KiB to 1 MiB. Only when that is spent as well, as by
 * one element or value with a TTL that is larger, does a call answer TARN_OVER_BUDGET; nothing has
 * changed then. When the working sets of all backends may take more than the heap, a warning is
 * logged.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_WORKING_SET_H
#define TARN_WORKING_SET_H

#include "tarn/backend.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Figures of a working set at one moment. Counts are since it was switched on. */
typedef struct tarn_working_set_stats {
    uint64_t capacity_bytes;      /**< 0: it is off. */
    uint64_t memory_bytes;        /**< Rows with their index, as charged to the heap pool. */
    uint64_t row_count;           /**< Rows held, with those known to be absent. */
    uint64_t dirty_count;         /**< Of these, rows that RocksDB has not got yet. */
    uint64_t frozen_count;        /**< Of these, rows that an open snapshot waits for. */
    uint64_t hit_count;           /**< Rows that were found. */
    uint64_t miss_count;          /**< Rows that were not. */
    uint64_t evicted_count;       /**< Rows that left for want of room. */
    uint64_t written_count;       /**< Rows written to RocksDB. */
    uint64_t refused_count;       /**< Rows that found no room, and went to RocksDB alone. */
    bool is_aside;                /**< Hits are rare: rows that are only read are not kept. */
    uint64_t declined_count;      /**< Such rows, and those of keys that were known to be new. */
    uint64_t prefetched_count;    /**< Rows that were read ahead (tarn/prefetch.h). */
    uint64_t prefetch_lost_count; /**< Rows that were to be, and were wanted or written before. */
    uint64_t filter_bytes;        /**< Filters of new keys, beside memory_bytes. */
    uint64_t filter_new_count;    /**< Reads and writes to which they said: the key is new. */
    uint64_t filter_false_count;  /**< Reads for new keys that they did not know to be new. */
    double filter_false_rate;     /**< Share of these among reads for new keys. Writes do not count,
                                       as they do not come to know whether the key was new, but
                                       for removals of whole maps and ranges, which read first. */
} tarn_working_set_stats;

/** Answers figures; zeros when it is off. */
TARN_API void tarn_backend_measure_working_set(
    const tarn_backend *backend, tarn_working_set_stats *out);

/**
 * Gives the working set another size, from now on.
 *
 * @param[in] bytes  0: writes all rows to RocksDB and switches it off.
 *
 * @retval TARN_OK         It has the size. What does not fit any more was written and forgotten.
 * @retval TARN_NO_MEMORY, TARN_OVER_BUDGET  It could not be switched on; it is off.
 * @retval TARN_IO_ERROR, TARN_NO_SPACE, TARN_POISONED  Rows could not be written.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_resize_working_set(tarn_backend *backend, uint64_t bytes, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
