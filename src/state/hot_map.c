/* hot_map.c - see hot_map.h. */
#include "state/hot_map.h"

#include "state/hot.h"

enum {
    MISSES_BEFORE_LOAD = 1,
    SIZE_UNIT = 16, /* A slot has room for multiples of it. */
    READ_SHARE = 4, /* What is read and larger than this part of a block is not kept. */
};

/* What a call works on. */
typedef struct hot_map {
    tarn_keyed *keyed;
    tarn__hot_key key; /* Its row is the prefix; it lies in a row buffer, as does the row. */
    tarn_bytes row;
    tarn_bytes suffix; /* Of the row: the entry's key. */
    tarn__hot_row *hot;
} hot_map;

static const tarn_bytes NOTHING = {NULL, 0};

static tarn__block *block_of(const hot_map *map)
{
    return (tarn__block *)(void *)tarn__hot_row_value(&map->keyed->hot, map->hot);
}

/* The one that is being made. */
static tarn__block *made_of(const hot_map *map)
{
    return (tarn__block *)(void *)map->keyed->block.data;
}

static void find_prefix(hot_map *map, tarn_keyed *keyed, tarn_bytes prefix)
{
    map->keyed = keyed;
    map->hot = tarn__workset_find(keyed->workset, &keyed->hot, prefix, &map->key);
}

static tarn_status find(hot_map *map, tarn_keyed *keyed, tarn_bytes row, tarn_error *error)
{
    tarn__row decoded;
    if (__builtin_expect(!tarn__row_decode_as(row, keyed->layout, &decoded), 0)) {
        return tarn__keyed_fail_row(keyed, row.size, error);
    }
    map->row = row;
    map->suffix = decoded.user_key;
    find_prefix(map, keyed, tarn_bytes_at(row.data, row.size - decoded.user_key.size));
    return TARN_OK;
}

/* ---- making blocks ---------------------------------------------------------------------- */

/*
 * The bytes that the block of a map may have. While the store is held a block may become larger, as
 * writing it would have to wait.
 */
static size_t limit_of(const hot_map *map)
{
    const tarn_keyed *keyed = map->keyed;
    const size_t head = tarn__hot_row_value_offset(&keyed->hot, map->key.row.size);
    const size_t most = tarn__workset_row_bytes_max(keyed->workset);
    const size_t room = most > head ? most - head : 0;
    const bool is_held = atomic_load_explicit(&keyed->backend->is_gate_shut, memory_order_acquire);
    return is_held || room < TARN__HOT_MAP_BYTES_MAX ? room : TARN__HOT_MAP_BYTES_MAX;
}

/* Has room for a block of so many bytes in keyed->block. */
static tarn_status reserve_made(hot_map *map, size_t size, tarn_error *error)
{
    return tarn_buffer_reserve(&map->keyed->block, size) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "entries of a map", size);
}

/* With some room to grow, in whole units. */
static size_t round_up(size_t needed, size_t limit)
{
    const size_t wanted = (needed + needed / 4 + SIZE_UNIT - 1) & ~(size_t)(SIZE_UNIT - 1);
    return wanted < limit ? wanted : limit;
}

/* Writes what is dirty of the made block to the store. */
static tarn_status spill(hot_map *map, size_t size, tarn_error *error)
{
    tarn_keyed *keyed = map->keyed;
    const tarn__block *made = made_of(map);
    if (made->dirty_count == 0) {
        return TARN_OK;
    }
    tarn__hot_pass_gate(keyed->backend);
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

/* Puts the made block in the place of the one that is here; without room for it, it is written. */
static tarn_status install(hot_map *map, size_t size, tarn_error *error)
{
    tarn_keyed *keyed = map->keyed;
    const tarn__hot_state state =
        made_of(map)->dirty_count > 0 ? TARN__HOT_DIRTY : TARN__HOT_CLEAN;
    TARN_TRY(tarn__workset_set(
        keyed->workset,
        &map->key,
        map->hot,
        state,
        tarn_bytes_at(keyed->block.data, size),
        &map->hot,
        error));
    return map->hot != NULL ? TARN_OK : spill(map, size, error);
}

/* Begins a block of one entry. */
static tarn_status begin(
    hot_map *map, tarn_bytes value, tarn__entry_state state, bool is_large, tarn_error *error)
{
    const size_t needed =
        sizeof(tarn__block) + tarn__entry_bytes(map->suffix.size, value.size);
    const size_t size = round_up(needed, limit_of(map));
    TARN_TRY(reserve_made(map, size, error));
    tarn__block *made = made_of(map);
    tarn__block_init(made, /* is_complete= */ false);
    made->is_large = is_large;
    tarn__block_insert(made, size, 0, map->suffix, value, state);
    return TARN_OK;
}

static bool fits_alone(const hot_map *map, tarn_bytes value)
{
    return sizeof(tarn__block) + tarn__entry_bytes(map->suffix.size, value.size) <= limit_of(map);
}

static tarn_status begin_and_install(
    hot_map *map, tarn_bytes value, tarn__entry_state state, bool is_large, tarn_error *error)
{
    TARN_TRY(begin(map, value, state, is_large, error));
    const size_t needed = sizeof(tarn__block) + tarn__entry_bytes(map->suffix.size, value.size);
    return install(map, round_up(needed, limit_of(map)), error);
}

/* ---- loading ---------------------------------------------------------------------------- */

/* Takes a row of the store into the made block, unless what is here says something else of it. */
static bool take_stored(
    hot_map *map, size_t size, tarn_bytes suffix, tarn_bytes value)
{
    tarn__block *made = made_of(map);
    tarn__entry_state state = TARN__ENTRY_CLEAN;
    uint32_t at;
    if (map->hot != NULL &&
        tarn__block_find(block_of(map), map->hot->value_size, suffix, &at)) {
        const tarn__block_entry own = tarn__block_read(block_of(map), map->hot->value_size, at);
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
static bool take_own(hot_map *map, size_t size)
{
    tarn__block *made = made_of(map);
    const size_t own_size = map->hot != NULL ? map->hot->value_size : 0;
    const uint32_t count = map->hot != NULL ? block_of(map)->count : 0;
    for (uint32_t i = 0; i < count; i++) {
        const tarn__block_entry own = tarn__block_read(block_of(map), own_size, i);
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
    hot_map *map, size_t size, tarn__rocks_iterator *rows, bool *fits_out, tarn_error *error)
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

static tarn_status iterate_map(hot_map *map, tarn__rocks_iterator **rows, tarn_error *error)
{
    tarn_buffer *beyond = &map->keyed->beyond;
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
static tarn_status set_large(hot_map *map, tarn_error *error)
{
    if (map->hot != NULL) {
        block_of(map)->is_large = 1;
        return TARN_OK;
    }
    TARN_TRY(reserve_made(map, sizeof(tarn__block), error));
    tarn__block_init(made_of(map), /* is_complete= */ false);
    made_of(map)->is_large = 1;
    return install(map, sizeof(tarn__block), error);
}

/* Makes the made block, which has some room too much, the map's. */
static tarn_status install_loaded(hot_map *map, size_t size, tarn_error *error)
{
    const size_t fitting = round_up(tarn__block_packed_bytes(made_of(map)), size);
    if (fitting < size) { /* Entries are counted from the end. */
        tarn__block *made = made_of(map);
        uint8_t *data = map->keyed->block.data;
        memmove(
            data + fitting - made->heap_bytes, data + size - made->heap_bytes, made->heap_bytes);
    }
    return install(map, fitting, error);
}

/* Tries to have all of the map here. */
static tarn_status load(hot_map *map, tarn_error *error)
{
    const size_t size = limit_of(map);
    tarn__rocks_iterator *rows = NULL;
    bool fits = false;
    TARN_TRY(tarn__workset_hand_over(map->keyed->workset, &map->key, &map->hot, error));
    if (size < sizeof(tarn__block)) {
        return TARN_OK;
    }
    TARN_TRY(reserve_made(map, size, error));
    tarn__block_init(made_of(map), /* is_complete= */ true);
    TARN_TRY(iterate_map(map, &rows, error));
    const tarn_status status = take_rows(map, size, rows, &fits, error);
    tarn__rocks_iterator_close(rows);
    TARN_TRY(status);
    return fits ? install_loaded(map, size, error) : set_large(map, error);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Keeps what the store has under the row, or that it has nothing, as far as there is room. */
static tarn_status remember(
    hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    const size_t bytes = tarn__entry_bytes(map->suffix.size, value.size);
    uint32_t at = 0;
    if (bytes > limit_of(map) / READ_SHARE) {
        return TARN_OK;
    }
    if (map->hot == NULL) {
        return begin_and_install(map, value, state, /* is_large= */ false, error);
    }
    tarn__block *block = block_of(map);
    if (block->count == TARN__HOT_MAP_ENTRIES_MAX) {
        return TARN_OK;
    }
    (void)tarn__block_find(block, map->hot->value_size, map->suffix, &at);
    if (tarn__block_room(block, map->hot->value_size) >= bytes) {
        tarn__block_insert(block, map->hot->value_size, at, map->suffix, value, state);
        return TARN_OK;
    }
    TARN_TRY(tarn__workset_hand_over(map->keyed->workset, &map->key, &map->hot, error));
    block = block_of(map);
    const bool has_clean = tarn__block_packed_bytes(block) + bytes <= limit_of(map);
    const size_t kept = has_clean ? tarn__block_packed_bytes(block)
                                  : tarn__block_dirty_bytes(block, map->hot->value_size);
    if (kept + bytes > limit_of(map)) {
        return TARN_OK;
    }
    const size_t size = round_up(kept + bytes, limit_of(map));
    TARN_TRY(reserve_made(map, size, error));
    tarn__block_pack(block, map->hot->value_size, has_clean, made_of(map), size);
    (void)tarn__block_find(made_of(map), size, map->suffix, &at);
    tarn__block_insert(made_of(map), size, at, map->suffix, value, state);
    return install(map, size, error);
}

static tarn_status read_stored(
    hot_map *map, tarn__rocks_pin *pin, tarn_bytes *out, tarn_error *error)
{
    tarn_bytes stored = NOTHING;
    const tarn_status status = tarn__rocks_get(map->keyed->family, map->row, pin, &stored, error);
    if (status != TARN_OK && status != TARN_NOT_FOUND) {
        return status;
    }
    const tarn_status kept = remember(
        map, stored, status == TARN_OK ? TARN__ENTRY_CLEAN : TARN__ENTRY_ABSENT, error);
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
static tarn_status read_here(hot_map *map, tarn_bytes *out, bool *is_known_out)
{
    uint32_t at = 0;
    *is_known_out = false;
    if (map->hot == NULL) {
        return TARN_NOT_FOUND;
    }
    const tarn__block *block = block_of(map);
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
    hot_map map;
    bool is_known = false;
    TARN_TRY(find(&map, keyed, row, error));
    tarn_status status = read_here(&map, out, &is_known);
    if (__builtin_expect(is_known, 1)) {
        return status;
    }
    if (map.hot != NULL && !block_of(&map)->is_large) {
        tarn__block *block = block_of(&map);
        if (block->miss_count >= MISSES_BEFORE_LOAD) {
            TARN_TRY(load(&map, error));
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
    hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    const bool is_put = state != TARN__ENTRY_TOMBSTONE;
    const tarn_status status = is_put ? tarn__rocks_put(map->keyed->family, map->row, value, error)
                                      : tarn__rocks_delete(map->keyed->family, map->row, error);
    return tarn__backend_finish_write(map->keyed->backend, status, error);
}

/* Has the store take what is dirty here, and begins anew with the row as it is to be. */
static tarn_status write_full(
    hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    tarn_keyed *keyed = map->keyed;
    tarn__hot_pass_gate(keyed->backend); /* Before: it drains, and may forget rows. */
    const bool is_kept = fits_alone(map, value);
    const size_t needed = sizeof(tarn__block) + tarn__entry_bytes(map->suffix.size, value.size);
    const size_t size = is_kept ? round_up(needed, limit_of(map)) : value.size;
    if (is_kept) {
        TARN_TRY(begin(map, value, state, /* is_large= */ true, error));
    } else {
        /* The value may lie in the block that goes. */
        TARN_TRY(reserve_made(map, value.size, error));
        if (value.size > 0) {
            memcpy(keyed->block.data, value.data, value.size);
        }
        value.data = keyed->block.data;
    }
    find_prefix(map, keyed, map->key.row);
    if (map->hot != NULL) {
        TARN_TRY(tarn__workset_expel(keyed->workset, &map->key, error));
        map->hot = NULL;
    }
    return is_kept ? install(map, size, error) : write_stored(map, value, state, error);
}

/* Makes a larger block, or a smaller one without what is clean, for what has no room in this one. */
static tarn_status write_anew(
    hot_map *map,
    bool is_there,
    uint32_t at,
    tarn_bytes value,
    tarn__entry_state state,
    tarn_error *error)
{
    const tarn__block *block = block_of(map);
    const size_t old_size = map->hot->value_size;
    const size_t bytes = tarn__entry_bytes(map->suffix.size, value.size);
    const size_t limit = limit_of(map);
    const bool has_clean = tarn__block_packed_bytes(block) + bytes <= limit &&
                           block->count < TARN__HOT_MAP_ENTRIES_MAX;
    const size_t kept =
        has_clean ? tarn__block_packed_bytes(block) : tarn__block_dirty_bytes(block, old_size);
    if (kept + bytes > limit || block->dirty_count >= TARN__HOT_MAP_ENTRIES_MAX ||
        (!has_clean && block->is_complete)) {
        return write_full(map, value, state, error);
    }
    const size_t size = round_up(kept + bytes, limit);
    TARN_TRY(reserve_made(map, size, error));
    tarn__block *made = made_of(map);
    tarn__block_pack(block, old_size, has_clean, made, size);
    is_there = tarn__block_find(made, size, map->suffix, &at);
    if (is_there) {
        tarn__block_set(made, size, at, value, state);
    } else {
        tarn__block_insert(made, size, at, map->suffix, value, state);
    }
    return install(map, size, error);
}

/* Marks the block as changed; it may move, and is otherwise as it was. */
static tarn_status touch(hot_map *map, tarn_error *error)
{
    return tarn__workset_edit(
        map->keyed->workset, &map->key, map->hot, map->hot->value_size, &map->hot, error);
}

static tarn_status write_here(
    hot_map *map,
    bool is_there,
    uint32_t at,
    tarn_bytes value,
    tarn__entry_state state,
    tarn_error *error)
{
    tarn__block *block = block_of(map);
    const size_t size = map->hot->value_size;
    const size_t needed = is_there ? tarn__block_set_bytes(block, size, at, value.size)
                                   : tarn__entry_bytes(map->suffix.size, value.size);
    if (needed > tarn__block_room(block, size) ||
        (!is_there && block->count >= TARN__HOT_MAP_ENTRIES_MAX)) {
        return write_anew(map, is_there, at, value, state, error);
    }
    TARN_TRY(touch(map, error));
    block = block_of(map);
    if (is_there) {
        tarn__block_set(block, size, at, value, state);
    } else {
        tarn__block_insert(block, size, at, map->suffix, value, state);
    }
    return TARN_OK;
}

/* Begins with a row of which nothing is known. */
static tarn_status write_first(
    hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    return fits_alone(map, value)
               ? begin_and_install(map, value, state, /* is_large= */ false, error)
               : write_full(map, value, state, error);
}

tarn_status tarn__hot_map_write(
    tarn_keyed *keyed, tarn_bytes row, tarn_bytes value, tarn_error *error)
{
    hot_map map;
    uint32_t at = 0;
    TARN_TRY(find(&map, keyed, row, error));
    TARN_TRY(tarn__workset_hand_over(keyed->workset, &map.key, &map.hot, error));
    if (map.hot == NULL) {
        return write_first(&map, value, TARN__ENTRY_DIRTY, error);
    }
    const tarn__block *block = block_of(&map);
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
static tarn_status erase_here(hot_map *map, uint32_t at, tarn_error *error)
{
    const size_t size = map->hot->value_size;
    const tarn__entry_state state = tarn__block_read(block_of(map), size, at).state;
    if (!tarn__entry_has_value(state)) {
        return TARN_OK;
    }
    TARN_TRY(touch(map, error));
    tarn__block *block = block_of(map);
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
    hot_map map;
    uint32_t at = 0;
    TARN_TRY(find(&map, keyed, row, error));
    TARN_TRY(tarn__workset_hand_over(keyed->workset, &map.key, &map.hot, error));
    if (map.hot == NULL) {
        return write_first(&map, NOTHING, TARN__ENTRY_TOMBSTONE, error);
    }
    if (tarn__block_find(block_of(&map), map.hot->value_size, map.suffix, &at)) {
        return erase_here(&map, at, error);
    }
    return block_of(&map)->is_complete
               ? TARN_OK
               : write_here(&map, false, at, NOTHING, TARN__ENTRY_TOMBSTONE, error);
}

/* ---- ranges ----------------------------------------------------------------------------- */

void tarn__hot_range_locate(
    const tarn__block *block,
    size_t size,
    const tarn__hot_range *range,
    uint32_t *first,
    uint32_t *end)
{
    const size_t skipped = range->prefix.size;
    const uint8_t *lower = range->lower.data;
    const uint8_t *upper = range->upper.data;
    (void)tarn__block_find(
        block, size, tarn_bytes_at(lower + skipped, range->lower.size - skipped), first);
    *end = block->count;
    if (range->upper.size >= skipped && memcmp(upper, range->prefix.data, skipped) == 0) {
        (void)tarn__block_find(
            block, size, tarn_bytes_at(upper + skipped, range->upper.size - skipped), end);
    }
}

/* Removes from a block that is complete; one that becomes empty becomes small. */
static tarn_status remove_here(hot_map *map, const tarn__hot_range *range, tarn_error *error)
{
    uint32_t first = 0;
    uint32_t end = 0;
    const size_t size = map->hot->value_size;
    tarn__hot_range_locate(block_of(map), size, range, &first, &end);
    if (first >= end) {
        return TARN_OK;
    }
    TARN_TRY(touch(map, error));
    tarn__block *block = block_of(map);
    while (end-- > first) {
        if (tarn__block_read(block, size, end).state == TARN__ENTRY_NEW) {
            tarn__block_remove(block, size, end);
        } else {
            tarn__block_unset(block, size, end, TARN__ENTRY_TOMBSTONE);
        }
    }
    if (block->count > 0) {
        return TARN_OK;
    }
    TARN_TRY(reserve_made(map, sizeof *block, error));
    tarn__block_init(made_of(map), /* is_complete= */ true);
    return install(map, sizeof *block, error);
}

static bool is_whole(const tarn__hot_range *range)
{
    return range->lower.size == range->prefix.size &&
           (range->upper.size < range->prefix.size ||
            memcmp(range->upper.data, range->prefix.data, range->prefix.size) != 0);
}

/* Removes from a map of which the store has more than is here. */
static tarn_status remove_stored(hot_map *map, const tarn__hot_range *range, tarn_error *error)
{
    tarn_keyed *keyed = map->keyed;
    tarn__hot_pass_gate(keyed->backend);
    find_prefix(map, keyed, range->prefix);
    if (map->hot != NULL && is_whole(range)) {
        tarn__workset_drop_row(keyed->workset, &map->key);
    } else if (map->hot != NULL) {
        TARN_TRY(tarn__workset_expel(keyed->workset, &map->key, error));
    }
    map->hot = NULL;
    TARN_TRY(tarn__backend_finish_write(
        keyed->backend,
        tarn__span_remove(keyed->backend, keyed->family, range->lower, range->upper, error),
        error));
    if (!is_whole(range) || limit_of(map) < sizeof(tarn__block)) {
        return TARN_OK;
    }
    find_prefix(map, keyed, range->prefix);
    TARN_TRY(reserve_made(map, sizeof(tarn__block), error));
    tarn__block_init(made_of(map), /* is_complete= */ true);
    return install(map, sizeof(tarn__block), error);
}

/* Finds a map, and tries to have all of it here. */
static tarn_status find_whole(
    hot_map *map, tarn_keyed *keyed, tarn_bytes prefix, tarn_error *error)
{
    find_prefix(map, keyed, prefix);
    if (map->hot == NULL || !(block_of(map)->is_complete || block_of(map)->is_large)) {
        return load(map, error);
    }
    return TARN_OK;
}

tarn_status tarn__hot_map_remove(
    tarn_keyed *keyed, const tarn__hot_range *range, tarn_error *error)
{
    hot_map map;
    if (tarn_bytes_compare(range->lower, range->upper) >= 0) {
        return TARN_OK;
    }
    TARN_TRY(find_whole(&map, keyed, range->prefix, error));
    TARN_TRY(tarn__workset_hand_over(keyed->workset, &map.key, &map.hot, error));
    return map.hot != NULL && block_of(&map)->is_complete ? remove_here(&map, range, error)
                                                          : remove_stored(&map, range, error);
}

tarn_status tarn__hot_map_copy(
    tarn_keyed *keyed,
    tarn_bytes prefix,
    tarn_buffer *out,
    bool *is_complete_out,
    tarn_error *error)
{
    hot_map map;
    TARN_TRY(find_whole(&map, keyed, prefix, error));
    *is_complete_out = map.hot != NULL && block_of(&map)->is_complete;
    const tarn_bytes block = map.hot != NULL
                                 ? tarn_bytes_at(block_of(&map), map.hot->value_size)
                                 : NOTHING;
    return tarn_buffer_assign(out, block) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "entries of a map", block.size);
}

bool tarn__hot_map_count(tarn_keyed *keyed, tarn_bytes prefix, uint32_t *out)
{
    hot_map map;
    find_prefix(&map, keyed, prefix);
    if (map.hot == NULL || !block_of(&map)->is_complete) {
        return false;
    }
    *out = block_of(&map)->value_count;
    return true;
}
