/* hot_map.c - see hot_map.h. */
#include "state/hot_map_private.h"
#include "state/new_keys.h"

enum {
    MISSES_BEFORE_LOAD = 1,
    SIZE_UNIT = 16, /* A slot has room for multiples of it. */
    READ_SHARE = 4, /* What is read and larger than this part of a block is not kept. */
};

static const tarn_bytes NOTHING = {NULL, 0};

void tarn__hot_map_find(tarn__hot_map *map, tarn_keyed *keyed, tarn_bytes prefix)
{
    map->keyed = keyed;
    map->hot = tarn__workset_find(keyed->workset, &keyed->hot, prefix, &map->key);
    map->loaded_bytes = 0;
}

static tarn_status find(tarn__hot_map *map, tarn_keyed *keyed, tarn_bytes row, tarn_error *error)
{
    tarn__row decoded;
    if (__builtin_expect(!tarn__row_decode_as(row, keyed->layout, &decoded), 0)) {
        return tarn__keyed_fail_row(keyed, row.size, error);
    }
    map->row = row;
    map->suffix = decoded.user_key;
    tarn__hot_map_find(map, keyed, tarn_bytes_at(row.data, row.size - decoded.user_key.size));
    return TARN_OK;
}

/* ---- making blocks ---------------------------------------------------------------------- */

size_t tarn__hot_map_limit(const tarn__hot_map *map)
{
    const tarn_keyed *keyed = map->keyed;
    const size_t head = tarn__hot_value_offset(&keyed->hot, map->key.row.size, TARN__SLAB_UNIT);
    const size_t most = tarn__workset_row_bytes_max(keyed->workset);
    const size_t room = most > head ? most - head : 0;
    const bool is_held = atomic_load_explicit(&keyed->backend->is_gate_shut, memory_order_acquire);
    return is_held || room < TARN__HOT_MAP_BYTES_MAX ? room : TARN__HOT_MAP_BYTES_MAX;
}

tarn_status tarn__hot_map_reserve(tarn__hot_map *map, size_t size, tarn_error *error)
{
    return tarn_buffer_reserve(&map->keyed->backend->hot_block, size) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "entries of a map", size);
}

size_t tarn__hot_map_round_up(size_t needed, size_t limit)
{
    const size_t wanted = (needed + needed / 4 + SIZE_UNIT - 1) & ~(size_t)(SIZE_UNIT - 1);
    return wanted < limit ? wanted : limit;
}

/* Writes what is dirty of the made block to the store. */
static tarn_status spill(tarn__hot_map *map, size_t size, tarn_error *error)
{
    tarn_keyed *keyed = map->keyed;
    const tarn__block *made = tarn__hot_map_made(map);
    if (made->dirty_count == 0) {
        return TARN_OK;
    }
    tarn__hot_pass_gate(keyed->backend);
    tarn__hot_note_put(keyed, map->key.hash);
    for (uint32_t at = 0; at < made->count; at++) {
        const tarn__block_entry entry = tarn__block_read(made, size, at);
        if (entry.state < TARN__ENTRY_DIRTY) {
            continue;
        }
        const tarn__change change = {
            .family = keyed->family,
            .kind = entry.state == TARN__ENTRY_TOMBSTONE ? TARN__CHANGE_DELETE : TARN__CHANGE_PUT,
            .row = map->key.row,
            .suffix = entry.key,
            .value = entry.value,
        };
        TARN_TRY(tarn__hot_write_changes(keyed->backend, &change, 1, error));
    }
    return TARN_OK;
}

tarn_status tarn__hot_map_install(tarn__hot_map *map, size_t size, tarn_error *error)
{
    tarn_keyed *keyed = map->keyed;
    const tarn__hot_state state =
        tarn__hot_map_made(map)->dirty_count > 0 ? TARN__HOT_DIRTY : TARN__HOT_CLEAN;
    TARN_TRY(tarn__workset_set(
        keyed->workset,
        &map->key,
        map->hot,
        state,
        tarn_bytes_at(keyed->backend->hot_block.data, size),
        &map->hot,
        error));
    return map->hot != NULL ? TARN_OK : spill(map, size, error);
}

/* Makes a block of one entry. */
static tarn_status make_first(
    tarn__hot_map *map, tarn_bytes value, tarn__entry_state state, bool is_large, tarn_error *error)
{
    const size_t needed = sizeof(tarn__block) + tarn__entry_bytes(map->suffix.size, value.size);
    const size_t size = tarn__hot_map_round_up(needed, tarn__hot_map_limit(map));
    TARN_TRY(tarn__hot_map_reserve(map, size, error));
    tarn__block *made = tarn__hot_map_made(map);
    tarn__block_init(made, map->key.is_new);
    made->is_large = is_large;
    tarn__block_insert(made, size, 0, map->suffix, value, state);
    return TARN_OK;
}

static bool fits_alone(const tarn__hot_map *map, tarn_bytes value)
{
    return sizeof(tarn__block) + tarn__entry_bytes(map->suffix.size, value.size) <=
           tarn__hot_map_limit(map);
}

tarn_status tarn__hot_map_begin(
    tarn__hot_map *map, tarn_bytes value, tarn__entry_state state, bool is_large, tarn_error *error)
{
    TARN_TRY(make_first(map, value, state, is_large, error));
    const size_t needed = sizeof(tarn__block) + tarn__entry_bytes(map->suffix.size, value.size);
    return tarn__hot_map_install(
        map, tarn__hot_map_round_up(needed, tarn__hot_map_limit(map)), error);
}

tarn_status tarn__hot_map_touch(tarn__hot_map *map, tarn_error *error)
{
    return tarn__workset_edit(
        map->keyed->workset, &map->key, map->hot, map->hot->value_size, &map->hot, error);
}

/* ---- reading ---------------------------------------------------------------------------- */

bool tarn__hot_map_is_oversized(const tarn__hot_map *map, tarn_bytes value)
{
    return tarn__entry_bytes(map->suffix.size, value.size) > tarn__hot_map_limit(map) / READ_SHARE;
}

tarn_status tarn__hot_map_remember(
    tarn__hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    const size_t bytes = tarn__entry_bytes(map->suffix.size, value.size);
    uint32_t at = 0;
    if (tarn__hot_map_is_oversized(map, value)) {
        return TARN_OK;
    }
    if (map->hot == NULL) {
        return tarn__hot_map_begin(map, value, state, /* is_large= */ false, error);
    }
    tarn__block *block = tarn__hot_map_block(map);
    if (block->count == TARN__HOT_MAP_ENTRIES_MAX) {
        return TARN_OK;
    }
    (void)tarn__block_find(block, map->hot->value_size, map->suffix, &at);
    if (tarn__block_room(block, map->hot->value_size) >= bytes) {
        tarn__block_insert(block, map->hot->value_size, at, map->suffix, value, state);
        return TARN_OK;
    }
    TARN_TRY(tarn__workset_hand_over(map->keyed->workset, &map->key, &map->hot, error));
    block = tarn__hot_map_block(map);
    const bool has_clean = tarn__block_packed_bytes(block) + bytes <= tarn__hot_map_limit(map);
    const size_t kept = has_clean ? tarn__block_packed_bytes(block)
                                  : tarn__block_dirty_bytes(block, map->hot->value_size);
    if (kept + bytes > tarn__hot_map_limit(map)) {
        return TARN_OK;
    }
    const size_t size = tarn__hot_map_round_up(kept + bytes, tarn__hot_map_limit(map));
    TARN_TRY(tarn__hot_map_reserve(map, size, error));
    tarn__block_pack(block, map->hot->value_size, has_clean, tarn__hot_map_made(map), size);
    map->hot->is_expected &= has_clean;
    (void)tarn__block_find(tarn__hot_map_made(map), size, map->suffix, &at);
    tarn__block_insert(tarn__hot_map_made(map), size, at, map->suffix, value, state);
    return tarn__hot_map_install(map, size, error);
}

static tarn_status read_stored(
    tarn__hot_map *map, tarn__rocks_pin *pin, tarn_bytes *out, tarn_error *error)
{
    tarn_bytes stored = NOTHING;
    if (map->hot == NULL && tarn__hot_reads_new(&map->key)) {
        return TARN_NOT_FOUND;
    }
    const tarn_status status = tarn__rocks_get(map->keyed->family, map->row, pin, &stored, error);
    if (map->hot == NULL) {
        tarn__new_keys_note_read(map->keyed, status != TARN_NOT_FOUND);
    }
    if (status != TARN_OK && status != TARN_NOT_FOUND) {
        return status;
    }
    const tarn__entry_state state = status == TARN_OK ? TARN__ENTRY_CLEAN : TARN__ENTRY_ABSENT;
    const bool is_declined =
        map->hot == NULL && tarn__workset_declines(map->keyed->workset, &map->key);
    const tarn_status kept =
        is_declined ? TARN_OK : tarn__hot_map_remember(map, stored, state, error);
    if (kept != TARN_OK) {
        tarn__rocks_unpin(pin);
        return kept;
    }
    if (status == TARN_OK) {
        *out = stored;
    }
    return status;
}

/* Answers what is here of the row; *is_known_out tells whether that says all. */
static tarn_status read_here(tarn__hot_map *map, tarn_bytes *out, bool *is_known_out)
{
    uint32_t at = 0;
    *is_known_out = false;
    if (map->hot == NULL) {
        return TARN_NOT_FOUND;
    }
    const tarn__block *block = tarn__hot_map_block(map);
    if (!tarn__block_find(block, map->hot->value_size, map->suffix, &at)) {
        *is_known_out = block->is_complete;
        return TARN_NOT_FOUND;
    }
    const tarn__block_entry entry = tarn__block_read(block, map->hot->value_size, at);
    *is_known_out = true;
    if (!tarn__entry_has_value(entry.state)) {
        return TARN_NOT_FOUND;
    }
    tarn__workset_hold(map->keyed->workset, &map->key);
    *out = entry.value;
    return TARN_OK;
}

tarn_status tarn__hot_map_read(
    tarn_keyed *keyed, tarn_bytes row, tarn__rocks_pin *pin, tarn_bytes *out, tarn_error *error)
{
    tarn__hot_map map;
    bool is_known = false;
    TARN_TRY(find(&map, keyed, row, error));
    tarn_status status = read_here(&map, out, &is_known);
    if (__builtin_expect(is_known, 1)) {
        return status;
    }
    if (map.hot != NULL && !tarn__hot_map_block(&map)->is_large) {
        tarn__block *block = tarn__hot_map_block(&map);
        if (block->miss_count >= MISSES_BEFORE_LOAD) {
            TARN_TRY(tarn__hot_map_load(&map, /* is_only_read= */ true, error));
            status = read_here(&map, out, &is_known);
        } else {
            block->miss_count++;
        }
    }
    return is_known ? status : read_stored(&map, pin, out, error);
}

/* ---- writing ---------------------------------------------------------------------------- */

/* Writes or removes the row in the store, where nothing of it is here. */
static tarn_status write_stored(
    tarn__hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    const bool is_put = state != TARN__ENTRY_TOMBSTONE;
    tarn__hot_note_put(map->keyed, map->key.hash);
    const tarn_status status = is_put ? tarn__rocks_put(map->keyed->family, map->row, value, error)
                                      : tarn__rocks_delete(map->keyed->family, map->row, error);
    return tarn__backend_finish_write(map->keyed->backend, status, error);
}

/* Has the store take what is dirty here, and begins anew with the row as it is to be. */
static tarn_status write_full(
    tarn__hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    tarn_keyed *keyed = map->keyed;
    tarn__hot_pass_gate(keyed->backend); /* Before: it drains, and may forget rows. */
    const bool is_kept = fits_alone(map, value);
    const size_t needed = sizeof(tarn__block) + tarn__entry_bytes(map->suffix.size, value.size);
    const size_t size =
        is_kept ? tarn__hot_map_round_up(needed, tarn__hot_map_limit(map)) : value.size;
    if (is_kept) {
        TARN_TRY(make_first(map, value, state, /* is_large= */ true, error));
    } else if (map->hot != NULL) {
        /* The value may lie in the block that goes. */
        TARN_TRY(tarn__hot_map_reserve(map, value.size, error));
        if (value.size > 0) {
            memcpy(keyed->backend->hot_block.data, value.data, value.size);
        }
        value.data = keyed->backend->hot_block.data;
    }
    tarn__hot_map_find(map, keyed, map->key.row);
    if (map->hot != NULL) {
        TARN_TRY(tarn__workset_expel(keyed->workset, &map->key, error));
        map->hot = NULL;
    }
    map->key.is_new = false;
    return is_kept ? tarn__hot_map_install(map, size, error)
                   : write_stored(map, value, state, error);
}

/* Makes a larger block, or a smaller one without what is clean, for what has no room in this one.
 */
static tarn_status write_anew(
    tarn__hot_map *map,
    bool is_there,
    uint32_t at,
    tarn_bytes value,
    tarn__entry_state state,
    tarn_error *error)
{
    const tarn__block *block = tarn__hot_map_block(map);
    const size_t old_size = map->hot->value_size;
    const size_t bytes = tarn__entry_bytes(map->suffix.size, value.size);
    const size_t limit = tarn__hot_map_limit(map);
    const bool has_clean = tarn__block_packed_bytes(block) + bytes <= limit &&
                           block->count < TARN__HOT_MAP_ENTRIES_MAX;
    const size_t kept =
        has_clean ? tarn__block_packed_bytes(block) : tarn__block_dirty_bytes(block, old_size);
    if (kept + bytes > limit || block->dirty_count >= TARN__HOT_MAP_ENTRIES_MAX ||
        (!has_clean && block->is_complete)) {
        return write_full(map, value, state, error);
    }
    const size_t size = tarn__hot_map_round_up(kept + bytes, limit);
    TARN_TRY(tarn__hot_map_reserve(map, size, error));
    tarn__block *made = tarn__hot_map_made(map);
    tarn__block_pack(block, old_size, has_clean, made, size);
    map->hot->is_expected &= has_clean;
    is_there = tarn__block_find(made, size, map->suffix, &at);
    if (is_there) {
        tarn__block_set(made, size, at, value, state);
    } else {
        tarn__block_insert(made, size, at, map->suffix, value, state);
    }
    return tarn__hot_map_install(map, size, error);
}

static tarn_status write_here(
    tarn__hot_map *map,
    bool is_there,
    uint32_t at,
    tarn_bytes value,
    tarn__entry_state state,
    tarn_error *error)
{
    tarn__block *block = tarn__hot_map_block(map);
    const size_t size = map->hot->value_size;
    const size_t needed = is_there ? tarn__block_set_bytes(block, size, at, value.size)
                                   : tarn__entry_bytes(map->suffix.size, value.size);
    if (needed > tarn__block_room(block, size) ||
        (!is_there && block->count >= TARN__HOT_MAP_ENTRIES_MAX)) {
        return write_anew(map, is_there, at, value, state, error);
    }
    TARN_TRY(tarn__hot_map_touch(map, error));
    block = tarn__hot_map_block(map);
    if (is_there) {
        tarn__block_set(block, size, at, value, state);
    } else {
        tarn__block_insert(block, size, at, map->suffix, value, state);
    }
    return TARN_OK;
}

/* Begins with a row of which nothing is known. */
static tarn_status write_first(
    tarn__hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    if (tarn__hot_is_new(&map->key)) {
        if (state == TARN__ENTRY_TOMBSTONE) {
            return TARN_OK; /* There is nothing to remove. */
        }
        state = TARN__ENTRY_NEW;
    }
    return fits_alone(map, value)
               ? tarn__hot_map_begin(map, value, state, /* is_large= */ false, error)
               : write_full(map, value, state, error);
}

tarn_status tarn__hot_map_write(
    tarn_keyed *keyed, tarn_bytes row, tarn_bytes value, tarn_error *error)
{
    tarn__hot_map map;
    uint32_t at = 0;
    TARN_TRY(find(&map, keyed, row, error));
    TARN_TRY(tarn__workset_hand_over(keyed->workset, &map.key, &map.hot, error));
    if (map.hot == NULL) {
        return write_first(&map, value, TARN__ENTRY_DIRTY, error);
    }
    const tarn__block *block = tarn__hot_map_block(&map);
    const bool is_there = tarn__block_find(block, map.hot->value_size, map.suffix, &at);
    tarn__entry_state state = block->is_complete ? TARN__ENTRY_NEW : TARN__ENTRY_DIRTY;
    if (is_there) {
        state = tarn__block_read(block, map.hot->value_size, at).state;
        state = state == TARN__ENTRY_NEW || state == TARN__ENTRY_ABSENT ? TARN__ENTRY_NEW
                                                                        : TARN__ENTRY_DIRTY;
    }
    return write_here(&map, is_there, at, value, state, error);
}

/* Removes an entry that is here. */
static tarn_status erase_here(tarn__hot_map *map, uint32_t at, tarn_error *error)
{
    const size_t size = map->hot->value_size;
    const tarn__entry_state state = tarn__block_read(tarn__hot_map_block(map), size, at).state;
    if (!tarn__entry_has_value(state)) {
        return TARN_OK;
    }
    TARN_TRY(tarn__hot_map_touch(map, error));
    tarn__block *block = tarn__hot_map_block(map);
    if (state != TARN__ENTRY_NEW) {
        tarn__block_unset(block, size, at, TARN__ENTRY_TOMBSTONE);
    } else if (block->is_complete) {
        tarn__block_remove(block, size, at);
    } else {
        tarn__block_unset(block, size, at, TARN__ENTRY_ABSENT);
    }
    return TARN_OK;
}

tarn_status tarn__hot_map_erase(tarn_keyed *keyed, tarn_bytes row, tarn_error *error)
{
    tarn__hot_map map;
    uint32_t at = 0;
    TARN_TRY(find(&map, keyed, row, error));
    TARN_TRY(tarn__workset_hand_over(keyed->workset, &map.key, &map.hot, error));
    if (map.hot == NULL) {
        return write_first(&map, NOTHING, TARN__ENTRY_TOMBSTONE, error);
    }
    if (tarn__block_find(tarn__hot_map_block(&map), map.hot->value_size, map.suffix, &at)) {
        return erase_here(&map, at, error);
    }
    return tarn__hot_map_block(&map)->is_complete
               ? TARN_OK
               : write_here(&map, false, at, NOTHING, TARN__ENTRY_TOMBSTONE, error);
}

bool tarn__hot_map_forget_expired(tarn_keyed *keyed, tarn_bytes row)
{
    tarn__hot_map map;
    uint32_t at = 0;
    if (find(&map, keyed, row, NULL) != TARN_OK || map.hot == NULL) {
        return true;
    }
    tarn__block *block = tarn__hot_map_block(&map);
    const size_t size = map.hot->value_size;
    if (!tarn__block_find(block, size, map.suffix, &at)) {
        map.hot->is_expected = 0; /* It may have been read before it goes. */
        return true;
    }
    if (tarn__block_read(block, size, at).state >= TARN__ENTRY_DIRTY) {
        return false;
    }
    if (block->is_complete) {
        tarn__block_remove(block, size, at);
    } else {
        tarn__block_unset(block, size, at, TARN__ENTRY_ABSENT);
    }
    return true;
}
