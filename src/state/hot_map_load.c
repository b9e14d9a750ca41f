/* hot_map_load.c - a map of the store becomes a block. See hot_map.h. */
#include "state/hot_map_private.h"
#include "state/new_keys.h"

static bool has_room(const tarn__block *block, size_t size, tarn_bytes key, tarn_bytes value)
{
    return block->count < TARN__HOT_MAP_ENTRIES_MAX &&
           tarn__block_room(block, size) >= tarn__entry_bytes(key.size, value.size);
}

/* ---- scanning: any thread --------------------------------------------------------------- */

static tarn_status take_rows(
    tarn__rocks_iterator *rows,
    size_t prefix_size,
    tarn__block *out,
    size_t size,
    bool *fits_out,
    tarn_error *error)
{
    tarn_bytes row;
    tarn_bytes value;
    tarn_status status;
    *fits_out = false;
    while ((status = tarn__rocks_iterator_next(rows, &row, &value, error)) == TARN_OK) {
        const tarn_bytes suffix =
            tarn_bytes_at((const uint8_t *)row.data + prefix_size, row.size - prefix_size);
        if (!has_room(out, size, suffix, value)) {
            return TARN_OK;
        }
        tarn__block_insert(out, size, out->count, suffix, value, TARN__ENTRY_CLEAN);
    }
    *fits_out = status == TARN_DONE;
    return status == TARN_DONE ? TARN_OK : status;
}

tarn_status tarn__hot_map_scan(
    tarn__rocks_family *family,
    tarn_bytes prefix,
    tarn_bytes beyond,
    bool is_ahead,
    tarn__block *out,
    size_t size,
    bool *fits_out,
    tarn_error *error)
{
    tarn__rocks_iterator *rows = NULL;
    const tarn__rocks_scan scan = {
        .lower = prefix,
        .upper = beyond,
        .fills_cache = true,
        .is_ahead = is_ahead,
    };
    tarn__block_init(out, /* is_complete= */ true);
    TARN_TRY(tarn__rocks_iterate_scan(family, &scan, &rows, error));
    const tarn_status status = take_rows(rows, prefix.size, out, size, fits_out, error);
    tarn__rocks_iterator_close(rows);
    return status;
}

/* ---- merging ---------------------------------------------------------------------------- */

/* Adds an entry to the made block. */
static bool add(
    tarn__hot_map *map,
    size_t size,
    uint32_t at,
    tarn_bytes key,
    tarn_bytes value,
    tarn__entry_state state)
{
    tarn__block *made = tarn__hot_map_made(map);
    if (!has_room(made, size, key, value)) {
        return false;
    }
    tarn__block_insert(made, size, at, key, value, state);
    return true;
}

/* Takes what the store has, unless what is here says something else of it. */
static bool take_stored(tarn__hot_map *map, const tarn__stored_map *stored, size_t size)
{
    const tarn__block *own = tarn__hot_map_block(map);
    for (uint32_t i = 0; i < stored->block->count; i++) {
        tarn__block_entry entry = tarn__block_read(stored->block, stored->size, i);
        const tarn_bytes key = entry.key;
        uint32_t at;
        if (tarn__block_find(own, map->hot->value_size, key, &at)) {
            entry = tarn__block_read(own, map->hot->value_size, at);
            entry.state = entry.state == TARN__ENTRY_NEW ? TARN__ENTRY_DIRTY : entry.state;
        }
        if (entry.state != TARN__ENTRY_ABSENT &&
            !add(map, size, tarn__hot_map_made(map)->count, key, entry.value, entry.state)) {
            return false;
        }
    }
    return true;
}

/* Takes what is here and was not in the store. */
static bool take_own(tarn__hot_map *map, const tarn__stored_map *stored, size_t size)
{
    const tarn__block *own = tarn__hot_map_block(map);
    for (uint32_t i = 0; i < own->count; i++) {
        const tarn__block_entry entry = tarn__block_read(own, map->hot->value_size, i);
        const bool has_value = tarn__entry_has_value(entry.state);
        /* Of what the store has now only a value that it has not got can be missing there. */
        const bool is_wanted = stored->is_current ? has_value && entry.state != TARN__ENTRY_CLEAN
                                                  : entry.state != TARN__ENTRY_ABSENT;
        uint32_t at;
        if (is_wanted && !tarn__block_find(tarn__hot_map_made(map), size, entry.key, &at) &&
            !add(
                map,
                size,
                at,
                entry.key,
                entry.value,
                stored->is_current ? TARN__ENTRY_NEW : entry.state)) {
            return false;
        }
    }
    return true;
}

tarn_status tarn__hot_map_set_large(tarn__hot_map *map, tarn_error *error)
{
    if (map->hot != NULL && map->hot->state != TARN__HOT_PENDING) {
        tarn__hot_map_block(map)->is_large = 1;
        return TARN_OK;
    }
    TARN_TRY(tarn__hot_map_reserve(map, sizeof(tarn__block), error));
    tarn__block_init(tarn__hot_map_made(map), /* is_complete= */ false);
    tarn__hot_map_made(map)->is_large = 1;
    return tarn__hot_map_install(map, sizeof(tarn__block), error);
}

/* Takes room that it has too much from the made block; answers its bytes. */
static size_t trim_made(const tarn__hot_map *map, size_t size)
{
    const size_t fitting =
        tarn__hot_map_round_up(tarn__block_packed_bytes(tarn__hot_map_made(map)), size);
    if (fitting < size) { /* Entries are counted from the end. */
        tarn__block *made = tarn__hot_map_made(map);
        uint8_t *data = map->keyed->backend->hot_block.data;
        memmove(
            data + fitting - made->heap_bytes, data + size - made->heap_bytes, made->heap_bytes);
    }
    return fitting;
}

static tarn_status install_loaded(tarn__hot_map *map, size_t size, tarn_error *error)
{
    return tarn__hot_map_install(map, trim_made(map, size), error);
}

tarn_status tarn__hot_map_set_whole(
    tarn__hot_map *map, const tarn__stored_map *stored, tarn_error *error)
{
    const size_t size = tarn__hot_map_limit(map);
    TARN_TRY(tarn__hot_map_reserve(map, size, error));
    tarn__block_init(tarn__hot_map_made(map), /* is_complete= */ true);
    return take_stored(map, stored, size) && take_own(map, stored, size)
               ? install_loaded(map, size, error)
               : tarn__hot_map_set_large(map, error);
}

/* Reads the map of the store into a buffer. */
static tarn_status scan_map(
    tarn__hot_map *map, tarn__block *out, size_t size, bool *fits_out, tarn_error *error)
{
    tarn_buffer *beyond = &map->keyed->backend->hot_beyond;
    if (tarn_buffer_assign(beyond, map->key.row) != TARN_OK) {
        return tarn__fail_no_memory(error, "a bound of a map", map->key.row.size);
    }
    beyond->size = tarn__row_successor(beyond->data, beyond->size);
    return tarn__hot_map_scan(
        map->keyed->family,
        map->key.row,
        tarn_buffer_bytes(beyond),
        /* is_ahead= */ false,
        out,
        size,
        fits_out,
        error);
}

/* Of which nothing is here. */
static tarn_status load_anew(tarn__hot_map *map, size_t size, bool is_only_read, tarn_error *error)
{
    bool fits = false;
    TARN_TRY(tarn__hot_map_reserve(map, size, error));
    TARN_TRY(scan_map(map, tarn__hot_map_made(map), size, &fits, error));
    tarn__new_keys_note_read(map->keyed, !fits || tarn__hot_map_made(map)->count > 0);
    if (!fits) { /* That is kept even aside: else each iteration would find it out again. */
        return tarn__hot_map_set_large(map, error);
    }
    if (is_only_read && tarn__workset_declines(map->keyed->workset, &map->key)) {
        map->loaded_bytes = trim_made(map, size);
        return TARN_OK;
    }
    return install_loaded(map, size, error);
}

tarn_status tarn__hot_map_load(tarn__hot_map *map, bool is_only_read, tarn_error *error)
{
    const size_t size = tarn__hot_map_limit(map);
    bool fits = false;
    TARN_TRY(tarn__workset_hand_over(map->keyed->workset, &map->key, &map->hot, error));
    if (size < sizeof(tarn__block)) {
        return TARN_OK;
    }
    if (map->hot == NULL) {
        return load_anew(map, size, is_only_read, error);
    }
    tarn_buffer *scanned = &map->keyed->backend->hot_scanned;
    if (tarn_buffer_reserve(scanned, size) != TARN_OK) {
        return tarn__fail_no_memory(error, "entries of a map", size);
    }
    tarn__block *block = (tarn__block *)(void *)scanned->data;
    TARN_TRY(scan_map(map, block, size, &fits, error));
    if (!fits) {
        return tarn__hot_map_set_large(map, error);
    }
    const tarn__stored_map stored = {.block = block, .size = size, .is_current = true};
    return tarn__hot_map_set_whole(map, &stored, error);
}
