/* hot_map_private.h - what the sources of maps in the working set share. See hot_map.h. */
#ifndef TARN_STATE_HOT_MAP_PRIVATE_H
#define TARN_STATE_HOT_MAP_PRIVATE_H

#include "state/hot.h"

/* What a call works on. */
typedef struct tarn__hot_map {
    tarn_keyed *keyed;
    tarn__hot_key key; /* Its row is the prefix; it lies in a row buffer, as does the row. */
    tarn_bytes row;
    tarn_bytes suffix; /* Of the row: the entry's key. */
    tarn__hot_row *hot;
    size_t loaded_bytes; /* Of the made block, when it is all of the map and is not kept. */
} tarn__hot_map;

static inline tarn__block *tarn__hot_map_block(const tarn__hot_map *map)
{
    return (tarn__block *)(void *)tarn__hot_row_value(&map->keyed->hot, map->hot);
}

/* The one that is being made. */
static inline tarn__block *tarn__hot_map_made(const tarn__hot_map *map)
{
    return (tarn__block *)(void *)map->keyed->backend->hot_block.data;
}

/* Finds what is here of a map. */
void tarn__hot_map_find(tarn__hot_map *map, tarn_keyed *keyed, tarn_bytes prefix);

/*
 * The bytes that the block of a map may have. While the store is held a block may become larger, as
 * writing it would have to wait.
 */
size_t tarn__hot_map_limit(const tarn__hot_map *map);

/* The bytes of a block that needs so many: with some room to grow. */
size_t tarn__hot_map_round_up(size_t needed, size_t limit);

/* Has room for making a block of so many bytes. */
TARN_NODISCARD tarn_status
tarn__hot_map_reserve(tarn__hot_map *map, size_t size, tarn_error *error);

/* Puts the made block in the place of the one that is here; without room for it, what is dirty of
 * it is written. */
TARN_NODISCARD tarn_status
tarn__hot_map_install(tarn__hot_map *map, size_t size, tarn_error *error);

/* Marks the block as changed; it may move, and is otherwise as it was. */
TARN_NODISCARD tarn_status tarn__hot_map_touch(tarn__hot_map *map, tarn_error *error);

/* Begins a block of one entry, in the place of what is here. */
TARN_NODISCARD tarn_status tarn__hot_map_begin(
    tarn__hot_map *map,
    tarn_bytes value,
    tarn__entry_state state,
    bool is_large,
    tarn_error *error);

/* Keeps what the store has under the row, or that it has nothing, as far as there is room. */
TARN_NODISCARD tarn_status tarn__hot_map_remember(
    tarn__hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error);

/* Whether what was read is too large for that. */
bool tarn__hot_map_is_oversized(const tarn__hot_map *map, tarn_bytes value);

/* ---- hot_map_load.c --------------------------------------------------------------------- */

/* What the store had of a map. */
typedef struct tarn__stored_map {
    const tarn__block *block; /* Complete, and all clean. */
    size_t size;
    bool is_current; /* Nothing was written since. */
} tarn__stored_map;

/*
 * Reads a map of the store. Thread: any, with is_ahead.
 *
 * out       A block of size bytes, aligned.
 * fits_out  It is all of the map. Else what is in the block is of no use.
 */
TARN_NODISCARD tarn_status tarn__hot_map_scan(
    tarn__rocks_family *family,
    tarn_bytes prefix,
    tarn_bytes beyond,
    bool is_ahead,
    tarn__block *out,
    size_t size,
    bool *fits_out,
    tarn_error *error);

/* Makes the block that is here, which is not frozen, one of all of the map; or it is large. */
TARN_NODISCARD tarn_status
tarn__hot_map_set_whole(tarn__hot_map *map, const tarn__stored_map *stored, tarn_error *error);

/* Remembers that the store has more of the map than fits here. */
TARN_NODISCARD tarn_status tarn__hot_map_set_large(tarn__hot_map *map, tarn_error *error);

/*
 * Tries to have all of the map here.
 *
 * is_only_read  It is not about to be changed: where nothing of it is here it may not be kept
 *               (cache/ghost.h); map->loaded_bytes tells.
 */
TARN_NODISCARD tarn_status
tarn__hot_map_load(tarn__hot_map *map, bool is_only_read, tarn_error *error);

#endif
