/* hot_map_ahead.c - maps, and entries of them, that are read ahead. See hot_map_ahead.h. */
#include "state/hot_map_ahead.h"

#include "cache/ahead.h"
#include "state/hot_map_private.h"
#include "state/new_keys.h"

/* ---- expecting -------------------------------------------------------------------------- */

uint32_t tarn__hot_map_ahead_limit(tarn_keyed *keyed, tarn_bytes prefix)
{
    const tarn__hot_map map = {.keyed = keyed, .key = {.row = prefix}};
    const size_t limit = tarn__hot_map_limit(&map);
    if (limit < sizeof(tarn__block)) {
        return 0;
    }
    return limit < TARN__HOT_MAP_BYTES_MAX ? (uint32_t)limit : TARN__HOT_MAP_BYTES_MAX;
}

static bool is_wanted(const tarn_keyed *keyed, tarn__hot_row *hot, tarn_bytes suffix)
{
    const tarn__block *block =
        (const tarn__block *)(const void *)tarn__hot_row_value(&keyed->hot, hot);
    uint32_t at = 0;
    if (block->is_complete) {
        return false;
    }
    return suffix.data != NULL ? !tarn__block_find(block, hot->value_size, suffix, &at)
                               : !block->is_large;
}

tarn_status tarn__hot_map_expect(
    tarn_keyed *keyed,
    tarn_bytes prefix,
    tarn_bytes suffix,
    uint32_t batch,
    bool *is_pending,
    tarn_error *error)
{
    tarn__hot_key key;
    tarn__hot_row *hot = tarn__workset_peek(keyed->workset, &keyed->hot, prefix, &key);
    if (hot == NULL || hot->state == TARN__HOT_PENDING) {
        const bool is_another = hot != NULL && hot->epoch == batch && suffix.data != NULL;
        TARN_TRY(tarn__workset_expect(
            keyed->workset,
            &keyed->hot,
            prefix,
            batch,
            keyed->value_bytes_seen,
            is_pending,
            error));
        *is_pending = *is_pending || is_another;
        return TARN_OK;
    }
    *is_pending = is_wanted(keyed, hot, suffix);
    hot->is_expected |= *is_pending;
    if (hot->heat == 0) {
        hot->heat = 1; /* It is wanted soon. */
    }
    return TARN_OK;
}

/* ---- fulfilling ------------------------------------------------------------------------- */

/* Finds what a batch waits for. False: that has come to nothing. */
static bool find_expected(tarn__hot_map *map, tarn_keyed *keyed, tarn_bytes prefix, uint32_t batch)
{
    map->keyed = keyed;
    map->hot = tarn__workset_peek_expected(keyed->workset, &keyed->hot, prefix, batch, &map->key);
    return map->hot != NULL;
}

static bool is_pending(const tarn__hot_map *map)
{
    return map->hot->state == TARN__HOT_PENDING;
}

/* Nothing comes of it: who wants it reads it. */
static void give_up(tarn__hot_map *map)
{
    if (is_pending(map)) {
        tarn__workset_drop_row(map->keyed->workset, &map->key);
        map->hot = NULL;
    }
}

/*
 * A block that became complete since knows more than what was read: it has forgotten what it
 * removed once that is gone from the store. Making one that is dirty larger might wait for the
 * store.
 */
static bool may_change(const tarn__hot_map *map)
{
    if (is_pending(map)) {
        return true;
    }
    return !tarn__hot_map_block(map)->is_complete &&
           (!tarn__hot_row_is_dirty(map->hot) ||
            !atomic_load_explicit(&map->keyed->backend->is_gate_shut, memory_order_acquire));
}

static tarn_status take_pending(
    tarn__hot_map *map, const tarn__stored_map *stored, tarn_error *error)
{
    const size_t limit = tarn__hot_map_limit(map);
    const size_t packed = tarn__block_packed_bytes(stored->block);
    if (packed > limit) {
        return tarn__hot_map_set_large(map, error);
    }
    const size_t size = tarn__hot_map_round_up(packed, limit);
    TARN_TRY(tarn__hot_map_reserve(map, size, error));
    tarn__block_pack(
        stored->block, stored->size, /* has_clean= */ true, tarn__hot_map_made(map), size);
    return tarn__hot_map_install(map, size, error);
}

tarn_status tarn__hot_map_fulfil(
    tarn_keyed *keyed,
    tarn_bytes prefix,
    uint32_t batch,
    tarn_status outcome,
    tarn_bytes content,
    tarn_error *error)
{
    tarn__hot_map map;
    const tarn__stored_map stored = {.block = content.data, .size = content.size};
    if (!find_expected(&map, keyed, prefix, batch) || !may_change(&map) ||
        tarn__hot_map_limit(&map) < sizeof(tarn__block)) {
        tarn__workset_note_ahead(keyed->workset, false);
        return TARN_OK;
    }
    if (outcome == TARN_DONE) {
        TARN_TRY(tarn__hot_map_set_large(&map, error));
    } else if (outcome != TARN_OK) {
        give_up(&map);
    } else if (is_pending(&map)) {
        tarn__new_keys_note_read(keyed, stored.block->count > 0);
        TARN_TRY(take_pending(&map, &stored, error));
    } else {
        TARN_TRY(tarn__workset_hand_over(keyed->workset, &map.key, &map.hot, error));
        TARN_TRY(tarn__hot_map_set_whole(&map, &stored, error));
    }
    const bool is_taken = map.hot != NULL && tarn__hot_map_block(&map)->is_complete;
    tarn__workset_note_ahead(keyed->workset, is_taken);
    return TARN_OK;
}

/* Begins with an entry, of a map of which nothing is here. */
static tarn_status take_first(
    tarn__hot_map *map, tarn_bytes value, tarn__entry_state state, tarn_error *error)
{
    if (tarn__hot_map_is_oversized(map, value)) {
        give_up(map);
        return TARN_OK;
    }
    TARN_TRY(tarn__hot_map_begin(map, value, state, /* is_large= */ false, error));
    if (map->hot != NULL) {
        map->hot->is_expected = 1; /* There may be more in the batch. */
    }
    return TARN_OK;
}

static bool is_known(const tarn__hot_map *map)
{
    uint32_t at = 0;
    return map->hot != NULL &&
           (tarn__hot_map_block(map)->is_complete ||
            tarn__block_find(tarn__hot_map_block(map), map->hot->value_size, map->suffix, &at));
}

tarn_status tarn__hot_map_fulfil_entry(
    tarn_keyed *keyed,
    tarn_bytes row,
    size_t prefix_size,
    uint32_t batch,
    const tarn__rocks_read *read,
    tarn_error *error)
{
    static const tarn_bytes NOTHING = {NULL, 0};
    tarn__hot_map map = {
        .row = row,
        .suffix = tarn_bytes_at((const uint8_t *)row.data + prefix_size, row.size - prefix_size),
    };
    const bool has_value = read->status == TARN_OK;
    const tarn_bytes value = has_value ? read->value : NOTHING;
    const tarn__entry_state state = has_value ? TARN__ENTRY_CLEAN : TARN__ENTRY_ABSENT;
    const bool is_expected =
        find_expected(&map, keyed, tarn_bytes_at(row.data, prefix_size), batch);
    const bool is_read = has_value || read->status == TARN_NOT_FOUND;
    bool is_taken = false;
    if (is_expected && !is_read) {
        give_up(&map);
    } else if (is_expected && (is_pending(&map) || (may_change(&map) && !is_known(&map)))) {
        TARN_TRY(
            is_pending(&map) ? take_first(&map, value, state, error)
                             : tarn__hot_map_remember(&map, value, state, error));
        is_taken = is_known(&map);
    }
    tarn__workset_note_ahead(keyed->workset, is_taken);
    return TARN_OK;
}
