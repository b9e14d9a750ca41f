/*
 * hot_map_ahead.h - maps, and entries of them, that are read ahead into the working set.
 *
 *     expect    a map of which nothing is here is pending; one of which a part is here is expected
 *     (read)    by any thread: the whole map by a bounded scan, or an entry
 *     fulfil    what was read joins what is here, which is newer        (cache/ahead.h)
 *
 * Thread: confined, with the backend, but for the reading.
 */
#ifndef TARN_STATE_HOT_MAP_AHEAD_H
#define TARN_STATE_HOT_MAP_AHEAD_H

#include "state/hot_map.h"

/* The bytes that the block of a map that is read ahead may have; 0: none can be kept. */
uint32_t tarn__hot_map_ahead_limit(tarn_keyed *keyed, tarn_bytes prefix);

/*
 * Prepares for a map, or for an entry of it; *is_pending tells whether it is worth to be read.
 *
 * suffix  The entry's part of its row. Without data: the whole map.
 */
TARN_NODISCARD tarn_status tarn__hot_map_expect(
    tarn_keyed *keyed,
    tarn_bytes prefix,
    tarn_bytes suffix,
    uint32_t batch,
    bool *is_pending,
    tarn_error *error);

/*
 * Takes in what was read of a whole map.
 *
 * outcome  TARN_OK with a block (tarn__hot_map_scan()) as the content; TARN_DONE: the map is large;
 *          otherwise it was not read.
 */
TARN_NODISCARD tarn_status tarn__hot_map_fulfil(
    tarn_keyed *keyed,
    tarn_bytes prefix,
    uint32_t batch,
    tarn_status outcome,
    tarn_bytes content,
    tarn_error *error);

/* The same for an entry: its row was read. */
TARN_NODISCARD tarn_status tarn__hot_map_fulfil_entry(
    tarn_keyed *keyed,
    tarn_bytes row,
    size_t prefix_size,
    uint32_t batch,
    const tarn__rocks_read *read,
    tarn_error *error);

#endif
