/* hot_map_load.c - a map of the store becomes a block. See hot_map.h. */
#include "state/hot_map_private.h"
#include "state/new_keys.h"

/* Takes a row of the store into the made block, unless what is here says something else of it. */
static bool take_stored(tarn__hot_map *map, size_t size, tarn_bytes suffix, tarn_bytes value)
{
    tarn__block *made = tarn__hot_map_made(map);
    tarn__entry_state state = TARN__ENTRY_CLEAN;
    uint32_t at;
    if (map->hot != NULL &&
        tarn__block_find(tarn__hot_map_block(map), map->hot->value_size, suffix, &at)) {
        const tarn__block_entry own =
            tarn__block_read(tarn__hot_map_block(map), map->hot->value_size, at);
        if (own.state >= TARN__ENTRY_DIRTY) {
            state = own.state == TARN__ENTRY_TOMBSTONE ? own.state : TARN__ENTRY_DIRTY;
            value = own.value;
        }
    }
    if (made->count == TARN__HOT_MAP_ENTRIES_MAX ||
        tarn__block_room(made, size) < tarn__entry_bytes(suffix.size, value.size)) {
        return false;
    }
    tarn__block_insert(made, size, made->count, suffix, value, state);
    return true;
}

/* Takes the values that are here and that the store has not heard of. */
static bool take_own(tarn__hot_map *map, size_t size)
{
    tarn__block *made = tarn__hot_map_made(map);
    const size_t own_size = map->hot != NULL ? map->hot->value_size : 0;
    const uint32_t count = map->hot != NULL ? tarn__hot_map_block(map)->count : 0;
    for (uint32_t i = 0; i < count; i++) {
        const tarn__block_entry own = tarn__block_read(tarn__hot_map_block(map), own_size, i);
        uint32_t at;
        if ((own.state != TARN__ENTRY_DIRTY && own.state != TARN__ENTRY_NEW) ||
            tarn__block_find(made, size, own.key, &at)) {
            continue;
        }
        if (tarn__block_room(made, size) < tarn__entry_bytes(own.key.size, own.value.size)) {
            return false;
        }
        tarn__block_insert(made, size, at, own.key, own.value, TARN__ENTRY_NEW);
    }
    return true;
}

static tarn_status take_rows(
    tarn__hot_map *map, size_t size, tarn__rocks_iterator *rows, bool *fits_out, tarn_error *error)
{
    const size_t prefix_size = map->key.row.size;
    tarn_bytes row;
    tarn_bytes value;
    tarn_status status;
    *fits_out = true;
    while ((status = tarn__rocks_iterator_next(rows, &row, &value, error)) == TARN_OK) {
        const tarn_bytes suffix =
            tarn_bytes_at((const uint8_t *)row.data + prefix_size, row.size - prefix_size);
        if (!take_stored(map, size, suffix, value)) {
            *fits_out = false;
            return TARN_OK;
        }
    }
    *fits_out = status != TARN_DONE || take_own(map, size);
    return status == TARN_DONE ? TARN_OK : status;
}

static tarn_status iterate_map(tarn__hot_map *map, tarn__rocks_iterator **rows, tarn_error *error)
{
    tarn_buffer *beyond = &map->keyed->backend->hot_beyond;
    if (tarn_buffer_assign(beyond, map->key.row) != TARN_OK) {
        return tarn__fail_no_memory(error, "a bound of a map", map->key.row.size);
    }
    beyond->size = tarn__row_successor(beyond->data, beyond->size);
    const tarn__rocks_scan scan = {
        .lower = map->key.row,
        .upper = tarn_buffer_bytes(beyond),
        .fills_cache = true,
    };
    return tarn__rocks_iterate_scan(map->keyed->family, &scan, rows, error);
}

/* Remembers that the store has more of the map than fits here. */
static tarn_status set_large(tarn__hot_map *map, tarn_error *error)
{
    if (map->hot != NULL) {
        tarn__hot_map_block(map)->is_large = 1;
        return TARN_OK;
    }
    TARN_TRY(tarn__hot_map_reserve(map, sizeof(tarn__block), error));
    tarn__block_init(tarn__hot_map_made(map), /* is_complete= */ false);
    tarn__hot_map_made(map)->is_large = 1;
    return tarn__hot_map_install(map, sizeof(tarn__block), error);
}

/* Makes the made block, which has some room too much, the map's. */
static tarn_status install_loaded(tarn__hot_map *map, size_t size, tarn_error *error)
{
    const size_t fitting =
        tarn__hot_map_round_up(tarn__block_packed_bytes(tarn__hot_map_made(map)), size);
    if (fitting < size) { /* Entries are counted from the end. */
        tarn__block *made = tarn__hot_map_made(map);
        uint8_t *data = map->keyed->backend->hot_block.data;
        memmove(
            data + fitting - made->heap_bytes, data + size - made->heap_bytes, made->heap_bytes);
    }
    return tarn__hot_map_install(map, fitting, error);
}

tarn_status tarn__hot_map_load(tarn__hot_map *map, tarn_error *error)
{
    const size_t size = tarn__hot_map_limit(map);
    tarn__rocks_iterator *rows = NULL;
    bool fits = false;
    TARN_TRY(tarn__workset_hand_over(map->keyed->workset, &map->key, &map->hot, error));
    if (size < sizeof(tarn__block)) {
        return TARN_OK;
    }
    TARN_TRY(tarn__hot_map_reserve(map, size, error));
    tarn__block_init(tarn__hot_map_made(map), /* is_complete= */ true);
    TARN_TRY(iterate_map(map, &rows, error));
    const tarn_status status = take_rows(map, size, rows, &fits, error);
    tarn__rocks_iterator_close(rows);
    TARN_TRY(status);
    if (map->hot == NULL) {
        tarn__new_keys_note_read(map->keyed, !fits || tarn__hot_map_made(map)->count > 0);
    }
    return fits ? install_loaded(map, size, error) : set_large(map, error);
}
