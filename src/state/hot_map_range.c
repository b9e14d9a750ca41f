/* hot_map_range.c - more than one entry of a map: removing, copying, counting. See hot_map.h. */
#include "state/hot_map_private.h"

static const tarn_bytes NOTHING = {NULL, 0};

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
    *first = 0;
    if (range->lower.size > skipped) {
        (void)tarn__block_find(
            block, size, tarn_bytes_at(lower + skipped, range->lower.size - skipped), first);
    }
    *end = block->count;
    if (range->upper.data != NULL && range->upper.size >= skipped &&
        memcmp(upper, range->prefix.data, skipped) == 0) {
        (void)tarn__block_find(
            block, size, tarn_bytes_at(upper + skipped, range->upper.size - skipped), end);
    }
}

/* Removes from a block that is complete; one that becomes empty becomes small. */
static tarn_status remove_here(tarn__hot_map *map, const tarn__hot_range *range, tarn_error *error)
{
    uint32_t first = 0;
    uint32_t end = 0;
    const size_t size = map->hot->value_size;
    tarn__hot_range_locate(tarn__hot_map_block(map), size, range, &first, &end);
    if (first >= end) {
        return TARN_OK;
    }
    TARN_TRY(tarn__hot_map_touch(map, error));
    tarn__block *block = tarn__hot_map_block(map);
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
    TARN_TRY(tarn__hot_map_reserve(map, sizeof *block, error));
    tarn__block_init(tarn__hot_map_made(map), /* is_complete= */ true);
    return tarn__hot_map_install(map, sizeof *block, error);
}

static bool is_whole(const tarn__hot_range *range)
{
    return range->lower.size == range->prefix.size &&
           (range->upper.size < range->prefix.size ||
            memcmp(range->upper.data, range->prefix.data, range->prefix.size) != 0);
}

/* Removes from a map of which the store has more than is here. */
static tarn_status remove_stored(
    tarn__hot_map *map, const tarn__hot_range *range, tarn_error *error)
{
    tarn_keyed *keyed = map->keyed;
    tarn__hot_pass_gate(keyed->backend);
    tarn__hot_map_find(map, keyed, range->prefix);
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
    if (!is_whole(range) || tarn__hot_map_limit(map) < sizeof(tarn__block)) {
        return TARN_OK;
    }
    tarn__hot_map_find(map, keyed, range->prefix);
    TARN_TRY(tarn__hot_map_reserve(map, sizeof(tarn__block), error));
    tarn__block_init(tarn__hot_map_made(map), /* is_complete= */ true);
    return tarn__hot_map_install(map, sizeof(tarn__block), error);
}

/*
 * Finds a map, and tries to have all of it here. *is_new_out: there is nothing of it, neither here
 * nor in the store.
 */
static tarn_status find_whole(
    tarn__hot_map *map,
    tarn_keyed *keyed,
    tarn_bytes prefix,
    bool is_only_read,
    bool *is_new_out,
    tarn_error *error)
{
    tarn__hot_map_find(map, keyed, prefix);
    *is_new_out = map->hot == NULL && tarn__hot_reads_new(&map->key);
    if (*is_new_out || (map->hot != NULL && (tarn__hot_map_block(map)->is_complete ||
                                             tarn__hot_map_block(map)->is_large))) {
        return TARN_OK;
    }
    return tarn__hot_map_load(map, is_only_read, error);
}

tarn_status tarn__hot_map_remove(tarn_keyed *keyed, const tarn__hot_range *range, tarn_error *error)
{
    tarn__hot_map map;
    bool is_new = false;
    if (tarn_bytes_compare(range->lower, range->upper) >= 0) {
        return TARN_OK;
    }
    TARN_TRY(find_whole(&map, keyed, range->prefix, /* is_only_read= */ false, &is_new, error));
    if (is_new) {
        return TARN_OK;
    }
    TARN_TRY(tarn__workset_hand_over(keyed->workset, &map.key, &map.hot, error));
    return map.hot != NULL && tarn__hot_map_block(&map)->is_complete
               ? remove_here(&map, range, error)
               : remove_stored(&map, range, error);
}

tarn_status tarn__hot_map_copy(
    tarn_keyed *keyed,
    tarn_bytes prefix,
    tarn_buffer *out,
    bool *is_complete_out,
    tarn_error *error)
{
    tarn__hot_map map;
    bool is_new = false;
    TARN_TRY(find_whole(&map, keyed, prefix, /* is_only_read= */ true, &is_new, error));
    const tarn_bytes kept =
        map.hot != NULL ? tarn_bytes_at(tarn__hot_map_block(&map), map.hot->value_size) : NOTHING;
    const tarn_bytes block =
        map.loaded_bytes > 0 ? tarn_bytes_at(tarn__hot_map_made(&map), map.loaded_bytes) : kept;
    *is_complete_out = is_new || map.loaded_bytes > 0 ||
                       (map.hot != NULL && tarn__hot_map_block(&map)->is_complete);
    return tarn_buffer_assign(out, block) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "entries of a map", block.size);
}

bool tarn__hot_map_count(tarn_keyed *keyed, tarn_bytes prefix, uint32_t *out)
{
    tarn__hot_map map;
    tarn__hot_map_find(&map, keyed, prefix);
    *out = 0;
    if (map.hot == NULL) {
        return tarn__hot_reads_new(&map.key);
    }
    *out = tarn__hot_map_block(&map)->value_count;
    return tarn__hot_map_block(&map)->is_complete;
}
