/* entries.c - see entries.h. */
#include "state/entries.h"

#include "state/hot.h"

static const tarn__block *copy_of(const tarn__entries *entries)
{
    return (const tarn__block *)(const void *)entries->copy.data;
}

/* ---- beginning -------------------------------------------------------------------------- */

/* Iterates over what the store has of a range, whose end may still be to be made. */
static tarn_status open_store(
    const tarn__entries *entries,
    tarn_keyed *keyed,
    const tarn__hot_range *range,
    tarn__rocks_iterator **rows,
    tarn_error *error)
{
    tarn__rocks_scan scan = {
        .lower = range->lower,
        .upper = range->upper,
        .is_backward = entries->is_backward,
        .fills_cache = true,
    };
    if (scan.upper.data == NULL) {
        tarn_buffer *beyond = &keyed->backend->hot_beyond;
        if (tarn_buffer_assign(beyond, range->prefix) != TARN_OK) {
            return tarn__fail_no_memory(error, "a row", range->prefix.size);
        }
        beyond->size = tarn__row_successor(beyond->data, beyond->size);
        scan.upper = tarn_buffer_bytes(beyond);
    }
    return tarn__rocks_iterate_scan(keyed->family, &scan, rows, error);
}

tarn_status tarn__entries_open(
    tarn__entries *entries,
    tarn_keyed *keyed,
    const tarn__hot_range *range,
    bool is_backward,
    const char *owner,
    tarn_error *error)
{
    bool is_complete = false;
    tarn__rocks_iterator *rows = NULL;
    entries->copy.allocator = &keyed->backend->buffers->face;
    entries->copy.size = 0;
    entries->prefix.allocator = &keyed->backend->buffers->face;
    entries->is_backward = is_backward;
    entries->first = 0;
    entries->end = 0;
    entries->has_stored = false;
    entries->is_store_done = false;
    entries->gone_ms = keyed->cleaning.cleaned_ms;
    if (tarn_buffer_assign(&entries->prefix, range->prefix) != TARN_OK) {
        return tarn__fail_no_memory(error, "a row", range->prefix.size);
    }
    entries->prefix_size = range->prefix.size;
    if (keyed->workset != NULL) {
        TARN_TRY(tarn__hot_map_copy(keyed, range->prefix, &entries->copy, &is_complete, error));
    }
    if (entries->copy.size > 0) {
        tarn__hot_range_locate(
            copy_of(entries), entries->copy.size, range, &entries->first, &entries->end);
    }
    entries->end = entries->end > entries->first ? entries->end : entries->first;
    if (!is_complete) {
        TARN_TRY(open_store(entries, keyed, range, &rows, error));
    }
    tarn__keyed_iterator_adopt(&entries->base, keyed, rows, owner);
    return TARN_OK;
}

void tarn__entries_clear(tarn__entries *entries)
{
    tarn_buffer_clear(&entries->copy);
    tarn_buffer_clear(&entries->prefix);
}

void tarn__entries_close(tarn__entries *entries)
{
    tarn__keyed_iterator_close(&entries->base);
}

/* ---- going on --------------------------------------------------------------------------- */

/* Looks at the copy's next entry; false: there is none. */
static bool peek_copy(const tarn__entries *entries, tarn__block_entry *out)
{
    if (entries->first == entries->end) {
        return false;
    }
    const uint32_t at = entries->is_backward ? entries->end - 1 : entries->first;
    *out = tarn__block_read(copy_of(entries), entries->copy.size, at);
    return true;
}

static void pass_copy(tarn__entries *entries)
{
    if (entries->is_backward) {
        entries->end--;
    } else {
        entries->first++;
    }
}

/* Looks at the store's next row. */
static tarn_status peek_store(tarn__entries *entries, tarn_error *error)
{
    tarn_bytes row;
    if (entries->has_stored || entries->is_store_done || entries->base.rows == NULL) {
        return TARN_OK;
    }
    const tarn_status status =
        tarn__rocks_iterator_next(entries->base.rows, &row, &entries->stored_value, error);
    if (status == TARN_DONE) {
        entries->is_store_done = true;
        return TARN_OK;
    }
    TARN_TRY(status);
    if (row.size < entries->prefix_size) {
        return tarn__keyed_fail_row(entries->base.keyed, row.size, error);
    }
    entries->stored_key = tarn_bytes_at(
        (const uint8_t *)row.data + entries->prefix_size, row.size - entries->prefix_size);
    entries->has_stored = true;
    return TARN_OK;
}

/* Takes what comes first: of the copy, of the store, or of both where they have the same row. */
static bool take_first(tarn__entries *entries, bool has_copied, tarn__block_entry *copied)
{
    int order = has_copied ? -1 : 1;
    if (has_copied && entries->has_stored) {
        order = tarn_bytes_compare(copied->key, entries->stored_key);
        order = entries->is_backward ? -order : order;
    }
    if (order <= 0) {
        pass_copy(entries);
    }
    if (order >= 0) {
        entries->has_stored = false;
    }
    return order <= 0;
}

/* The next of the copy's values, where there is nothing else. */
static tarn_status next_copied(tarn__entries *entries, tarn_bytes *key, tarn_bytes *stored)
{
    tarn__block_entry copied;
    while (peek_copy(entries, &copied)) {
        pass_copy(entries);
        if (tarn__entry_has_value(copied.state)) {
            *key = copied.key;
            *stored = copied.value;
            return TARN_OK;
        }
    }
    return TARN_DONE;
}

tarn_status tarn__entries_next(
    tarn__entries *entries, tarn_bytes *key, tarn_bytes *stored, tarn_error *error)
{
    if (entries->base.rows == NULL) {
        return next_copied(entries, key, stored);
    }
    for (;;) {
        tarn__block_entry copied = {.state = TARN__ENTRY_ABSENT};
        const bool has_copied = peek_copy(entries, &copied);
        TARN_TRY(peek_store(entries, error));
        if (!has_copied && !entries->has_stored) {
            return TARN_DONE;
        }
        if (!take_first(entries, has_copied, &copied)) {
            *key = entries->stored_key;
            *stored = entries->stored_value;
            return TARN_OK;
        }
        if (tarn__entry_has_value(copied.state)) {
            *key = copied.key;
            *stored = copied.value;
            return TARN_OK;
        }
    }
}

tarn_status tarn__entries_row(
    tarn__entries *entries, tarn_bytes key, tarn_bytes *row, tarn_error *error)
{
    entries->prefix.size = entries->prefix_size;
    if (tarn_buffer_append(&entries->prefix, key) != TARN_OK) {
        return tarn__fail_no_memory(error, "a row", key.size);
    }
    *row = tarn_buffer_bytes(&entries->prefix);
    return TARN_OK;
}
