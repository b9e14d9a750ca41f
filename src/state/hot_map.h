/*
 * hot_map.h - rows of a state in the working set by key and namespace: entries of maps.
 *
 *     hot row     [group][key][namespace] -> block (cache/block.h) of what is behind, sorted
 *     complete    all of the map: no call but write-back comes to the store
 *     otherwise   some of it: what was written blindly, read, or is known not to be there
 *     large       the store has more of the map than a block holds; not tried again
 *
 * A map of which nothing is here begins with what is written or read of it. The second read that
 * finds nothing here, an iteration or a removal of a range loads the map: one bounded scan, and
 * what is dirty here goes on top. It is complete then, or large. Of a large map the block holds
 * what was written or read of late; when it is full, what is clean goes, then what is dirty to the
 * store. While the working set steps aside (cache/ghost.h) nothing begins with a read.
 *
 * All that is dirty of a map is in one block: a scan of the store is merged with a copy of it, and
 * so sees the map as it was when it began.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_HOT_MAP_H
#define TARN_STATE_HOT_MAP_H

#include "cache/block.h"
#include "state/keyed.h"

/* More of a map is not kept: loading it is one bounded scan, and its block one slot. */
enum { TARN__HOT_MAP_BYTES_MAX = 12 << 10, TARN__HOT_MAP_ENTRIES_MAX = 1024 };

/* ---- rows: see tarn__keyed_read() and its like ------------------------------------------- */

TARN_NODISCARD tarn_status tarn__hot_map_read(
    tarn_keyed *keyed, tarn_bytes row, tarn__rocks_pin *pin, tarn_bytes *out, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__hot_map_write(tarn_keyed *keyed, tarn_bytes row, tarn_bytes value, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__hot_map_erase(tarn_keyed *keyed, tarn_bytes row, tarn_error *error);

/* See tarn__hot_forget_expired(). */
bool tarn__hot_map_forget_expired(tarn_keyed *keyed, tarn_bytes row);

/* ---- ranges ----------------------------------------------------------------------------- */

/*
 * Rows of one map: prefix is what all of them begin with; lower begins with it, and upper does or
 * is beyond all that do. upper without data: all from lower on.
 */
typedef struct tarn__hot_range {
    tarn_bytes prefix;
    tarn_bytes lower;
    tarn_bytes upper;
} tarn__hot_range;

/* Finds the entries of a range in a block: first .. end - 1. */
void tarn__hot_range_locate(
    const tarn__block *block,
    size_t size,
    const tarn__hot_range *range,
    uint32_t *first,
    uint32_t *end);

/* Removes the rows of a range. The call has not come to the gate. */
TARN_NODISCARD tarn_status
tarn__hot_map_remove(tarn_keyed *keyed, const tarn__hot_range *range, tarn_error *error);

/*
 * Copies what is here of a map, after trying to have all of it here.
 *
 * out  A block. Empty bytes: nothing is here.
 * is_complete_out  It is all of the map; else the store has the rest.
 */
TARN_NODISCARD tarn_status tarn__hot_map_copy(
    tarn_keyed *keyed,
    tarn_bytes prefix,
    tarn_buffer *out,
    bool *is_complete_out,
    tarn_error *error);

/* Counts the values of a map that is complete; false: it is not, and nothing was loaded. */
bool tarn__hot_map_count(tarn_keyed *keyed, tarn_bytes prefix, uint32_t *out);

#endif
