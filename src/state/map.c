/*
 * map.c - map state: a row per entry, whose user key is the entry's key.
 *
 *     [group][key][namespace][entry key] -> [stamp, with a TTL][value]
 *
 * Entries sort as RocksDB sorts rows, by bytes. A map is there as long as it has a row. Small maps
 * are in the working set as a whole, when there is one (hot_map.h).
 */
#include "tarn/map.h"

#include <string.h>

#include "base/options.h"
#include "state/entries.h"
#include "state/hot.h"

/* A batch of put_all() is written when it has so many bytes: its memory is not in the budget. */
enum { BATCH_BYTES_MAX = 256 << 10 };

struct tarn_map {
    tarn_keyed keyed;
    tarn_map_iterator *spare; /* One that was closed, to be used again. NULL: none. */
};

struct tarn_map_iterator {
    tarn__entries entries;
    tarn_map *state;
    tarn_bytes current; /* The key that it stands on. */
    bool has_row;
};

/* ---- opening and closing ---------------------------------------------------------------- */

void tarn_map_range_init(tarn_map_range *range, size_t struct_size)
{
    memset(range, 0, struct_size);
    range->struct_size = struct_size;
}

tarn_status tarn_map_open(
    tarn_backend *backend, const tarn_state_options *options, tarn_map **out, tarn_error *error)
{
    tarn_keyed *keyed = NULL;
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    TARN_TRY(
        tarn__keyed_open(backend, options, TARN__STATE_MAP, 0, sizeof(tarn_map), &keyed, error));
    *out = (tarn_map *)keyed;
    return TARN_OK;
}

static void free_iterator(tarn_map_iterator *iterator)
{
    if (iterator != NULL) {
        tarn__entries_clear(&iterator->entries);
        tarn__release(iterator);
    }
}

tarn_status tarn_map_close(tarn_map *state, tarn_error *error)
{
    if (state == NULL) {
        return TARN_OK;
    }
    free_iterator(state->spare);
    state->spare = NULL;
    return tarn__keyed_close(&state->keyed, error);
}

tarn_keyed *tarn_map_keyed(tarn_map *state)
{
    return &state->keyed;
}

tarn_status tarn_map_set_namespace(tarn_map *state, tarn_bytes name_space, tarn_error *error)
{
    return tarn_keyed_set_namespace(&state->keyed, name_space, error);
}

/* ---- single entries --------------------------------------------------------------------- */

/* The row of an entry. What the last call gave out, which may be its key, is still pinned. */
static tarn_status row_of(tarn_keyed *keyed, tarn_bytes key, tarn_bytes *row, tarn_error *error)
{
    TARN_TRY(tarn__keyed_check_user_key(keyed, key.size, error));
    return tarn__keyed_row(keyed, key, row, error);
}

tarn_status tarn_map_get(tarn_map *state, tarn_bytes key, tarn_bytes *out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__backend_enter(keyed->backend, error));
    TARN_TRY(row_of(keyed, key, &row, error));
    tarn__rocks_unpin(&keyed->backend->pin);
    return tarn__keyed_get(keyed, row, out, error);
}

tarn_status tarn_map_contains(tarn_map *state, tarn_bytes key, tarn_error *error)
{
    tarn_bytes value;
    const tarn_status status = tarn_map_get(state, key, &value, error);
    tarn__rocks_unpin(&state->keyed.backend->pin);
    return status;
}

tarn_status tarn_map_put(tarn_map *state, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(tarn__keyed_check_value(keyed, value.size, error));
    TARN_TRY(row_of(keyed, key, &row, error));
    const tarn_status status =
        tarn__keyed_put(keyed, row, value, tarn__keyed_stamp(keyed, tarn__keyed_now(keyed)), error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

tarn_status tarn_map_remove(tarn_map *state, tarn_bytes key, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(row_of(keyed, key, &row, error));
    const tarn_status status = tarn__keyed_delete(keyed, row, error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

/* ---- many entries ----------------------------------------------------------------------- */

/* Refuses entries that are too large, and makes room for the largest value with its stamp. */
static tarn_status prepare_entries(
    tarn_keyed *keyed, const tarn_map_entry *entries, size_t entry_count, tarn_error *error)
{
    size_t size_max = 0;
    for (size_t i = 0; i < entry_count; i++) {
        TARN_TRY(tarn__keyed_check_user_key(keyed, entries[i].key.size, error));
        TARN_TRY(tarn__keyed_check_value(keyed, entries[i].value.size, error));
        if (entries[i].value.size > size_max) {
            size_max = entries[i].value.size;
        }
    }
    const size_t needed = keyed->has_ttl ? TARN__STAMP_BYTES + size_max : 0;
    if (tarn_buffer_reserve(&keyed->scratch, needed) != TARN_OK) {
        return tarn__fail_no_memory(error, "a value", needed);
    }
    return TARN_OK;
}

static tarn_status add_entry(
    tarn_keyed *keyed,
    tarn__rocks_batch *batch,
    const tarn_map_entry *entry,
    int64_t stamp_ms,
    tarn_error *error)
{
    tarn_bytes row;
    TARN_TRY(tarn__keyed_row(keyed, entry->key, &row, error));
    tarn_bytes stored = entry->value;
    if (keyed->has_ttl) {
        uint8_t *data = keyed->scratch.data;
        tarn__stamp_encode(data, stamp_ms);
        if (stored.size > 0) {
            memcpy(data + TARN__STAMP_BYTES, stored.data, stored.size);
        }
        stored = tarn_bytes_at(data, TARN__STAMP_BYTES + stored.size);
    }
    tarn__rocks_batch_put(batch, keyed->family, row, stored);
    return TARN_OK;
}

static tarn_status put_entries(
    tarn_keyed *keyed,
    tarn__rocks_batch *batch,
    const tarn_map_entry *entries,
    size_t entry_count,
    tarn_error *error)
{
    const int64_t stamp_ms = tarn__keyed_stamp(keyed, tarn__keyed_now(keyed));
    for (size_t i = 0; i < entry_count; i++) {
        TARN_TRY(add_entry(keyed, batch, &entries[i], stamp_ms, error));
        if (batch->bytes >= BATCH_BYTES_MAX) {
            TARN_TRY(tarn__rocks_batch_write(keyed->backend->rocks, batch, error));
        }
    }
    return tarn__rocks_batch_write(keyed->backend->rocks, batch, error);
}

static tarn_status put_hot_entries(
    tarn_keyed *keyed, const tarn_map_entry *entries, size_t entry_count, tarn_error *error)
{
    const int64_t stamp_ms = tarn__keyed_stamp(keyed, tarn__keyed_now(keyed));
    for (size_t i = 0; i < entry_count; i++) {
        tarn_bytes row;
        TARN_TRY(tarn__keyed_row(keyed, entries[i].key, &row, error));
        TARN_TRY(tarn__keyed_put(keyed, row, entries[i].value, stamp_ms, error));
    }
    return TARN_OK;
}

static tarn_status put_cold_entries(
    tarn_keyed *keyed, const tarn_map_entry *entries, size_t entry_count, tarn_error *error)
{
    tarn__rocks_batch batch;
    tarn__rocks_batch_init(&batch);
    const tarn_status status = put_entries(keyed, &batch, entries, entry_count, error);
    tarn__rocks_batch_clear(&batch);
    return status;
}

tarn_status tarn_map_put_all(
    tarn_map *state, const tarn_map_entry *entries, size_t entry_count, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    if (!keyed->backend->has_key) {
        return tarn__keyed_fail_no_key(keyed, error);
    }
    if (entry_count == 0) {
        return TARN_OK;
    }
    TARN_TRY(prepare_entries(keyed, entries, entry_count, error));
    tarn_bytes row; /* The longest one: rows made later cannot fail for want of memory. */
    size_t longest = 0;
    for (size_t i = 0; i < entry_count; i++) {
        longest = entries[i].key.size > entries[longest].key.size ? i : longest;
    }
    TARN_TRY(tarn__keyed_row(keyed, entries[longest].key, &row, error));
    const tarn_status status = keyed->workset != NULL
                                   ? put_hot_entries(keyed, entries, entry_count, error)
                                   : put_cold_entries(keyed, entries, entry_count, error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return tarn__backend_finish_write(keyed->backend, status, error);
}

/* ---- ranges ----------------------------------------------------------------------------- */

static tarn_status assign_bound(
    tarn_keyed *keyed, tarn_buffer *bound, tarn_bytes user_key, tarn_error *error)
{
    tarn_bytes row;
    TARN_TRY(tarn__keyed_row(keyed, user_key, &row, error));
    if (tarn_buffer_assign(bound, row) != TARN_OK) {
        return tarn__fail_no_memory(error, "a bound of a range", row.size);
    }
    return TARN_OK;
}

/* Leaves the rows of a range in keyed->lower and keyed->upper, where lower <= upper. */
static tarn_status make_bounds(tarn_keyed *keyed, const tarn_map_range *range, tarn_error *error)
{
    TARN_TRY(tarn__keyed_check_user_key(keyed, range->from.size, error));
    TARN_TRY(tarn__keyed_check_user_key(keyed, range->to.size, error));
    TARN_TRY(tarn__keyed_check_user_key(keyed, range->prefix.size, error));
    /* What has the prefix: from the prefix itself to what comes after all that begin with it. */
    TARN_TRY(assign_bound(keyed, &keyed->upper, range->prefix, error));
    keyed->upper.size = tarn__row_successor(keyed->upper.data, keyed->upper.size);
    if (range->to.data != NULL) {
        TARN_TRY(assign_bound(keyed, &keyed->lower, range->to, error));
        if (tarn_bytes_compare(tarn_buffer_bytes(&keyed->lower), tarn_buffer_bytes(&keyed->upper)) <
            0) {
            const tarn_buffer other = keyed->upper;
            keyed->upper = keyed->lower;
            keyed->lower = other;
        }
    }
    const bool is_from_later = tarn_bytes_compare(range->from, range->prefix) > 0;
    TARN_TRY(
        assign_bound(keyed, &keyed->lower, is_from_later ? range->from : range->prefix, error));
    if (tarn_bytes_compare(tarn_buffer_bytes(&keyed->lower), tarn_buffer_bytes(&keyed->upper)) >
        0) {
        /* Nothing lies between them; RocksDB wants bounds in order all the same. */
        TARN_TRY(assign_bound(keyed, &keyed->lower, range->prefix, error));
        return assign_bound(keyed, &keyed->upper, range->prefix, error);
    }
    return TARN_OK;
}

/* The rows of a range; its prefix is valid until the next row is made. */
static tarn_status find_bounds(
    tarn_keyed *keyed, const tarn_map_range *range, tarn__hot_range *out, tarn_error *error)
{
    TARN_TRY(make_bounds(keyed, range, error));
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &out->prefix, error));
    out->lower = tarn_buffer_bytes(&keyed->lower);
    out->upper = tarn_buffer_bytes(&keyed->upper);
    return TARN_OK;
}

static tarn_status copy_range(const tarn_map_range *range, tarn_map_range *known, tarn_error *error)
{
    static const tarn_map_range ALL = TARN_MAP_RANGE_INIT;
    return tarn__options_copy(
        "tarn_map_range", range != NULL ? range : &ALL, known, sizeof *known, error);
}

tarn_status tarn_map_remove_range(tarn_map *state, const tarn_map_range *range, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_map_range known;
    tarn__hot_range rows;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(copy_range(range, &known, error));
    TARN_TRY(find_bounds(keyed, &known, &rows, error));
    tarn__rocks_unpin(&keyed->backend->pin);
    return keyed->workset != NULL ? tarn__hot_map_remove(keyed, &rows, error)
                                  : tarn__keyed_remove_span(keyed, error);
}

tarn_status tarn_map_clear(tarn_map *state, tarn_error *error)
{
    return tarn_map_remove_range(state, NULL, error);
}

static tarn_status has_first(tarn_keyed *keyed, const tarn__hot_range *all, tarn_error *error)
{
    tarn__entries entries = {.first = 0};
    tarn_bytes key;
    tarn_bytes value;
    tarn_status status = tarn__entries_open(&entries, keyed, all, false, NULL, error);
    if (status == TARN_OK) {
        status = tarn__entries_next(&entries, &key, &value, error);
        tarn__entries_close(&entries);
    }
    tarn__entries_clear(&entries);
    return status;
}

tarn_status tarn_map_is_empty(tarn_map *state, bool *out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes prefix;
    uint32_t count = 0;
    bool is_known = false;
    TARN_TRY(tarn__backend_enter(keyed->backend, error));
    tarn__rocks_unpin(&keyed->backend->pin);
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &prefix, error));
    if (keyed->workset != NULL) {
        is_known = tarn__hot_map_count(keyed, prefix, &count);
    }
    if (is_known) {
        *out = count == 0;
        return TARN_OK;
    }
    const tarn__hot_range all = {.prefix = prefix, .lower = prefix};
    const tarn_status status = has_first(keyed, &all, error);
    if (status != TARN_OK && status != TARN_DONE) {
        return status;
    }
    *out = status == TARN_DONE;
    return TARN_OK;
}

/* ---- iteration -------------------------------------------------------------------------- */

static bool is_all(const tarn_map_range *range)
{
    return range->from.size == 0 && range->to.data == NULL && range->prefix.size == 0;
}

static tarn_status open_iterator(
    tarn_map_iterator *iterator,
    tarn_keyed *keyed,
    const tarn_map_range *range,
    const char *owner,
    tarn_error *error)
{
    tarn__hot_range rows = {.upper = {NULL, 0}};
    if (is_all(range)) {
        TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &rows.prefix, error));
        rows.lower = rows.prefix;
    } else {
        TARN_TRY(find_bounds(keyed, range, &rows, error));
    }
    return tarn__entries_open(&iterator->entries, keyed, &rows, range->is_backward, owner, error);
}

/* Takes the spare iterator, or a new one. */
static tarn_status new_iterator(tarn_map *state, tarn_map_iterator **out, tarn_error *error)
{
    *out = state->spare;
    state->spare = NULL;
    if (*out == NULL) {
        *out = tarn__allocate_zeroed(state->keyed.backend->account, 1, sizeof **out);
    }
    return *out != NULL ? TARN_OK : tarn__fail_no_memory(error, "an iterator", sizeof **out);
}

static tarn_status begin_iteration(
    tarn_map *state,
    const tarn_map_range *range,
    const char *owner,
    tarn_map_iterator **out,
    tarn_error *error)
{
    tarn_map_iterator *iterator = NULL;
    TARN_TRY(new_iterator(state, &iterator, error));
    const tarn_status status = open_iterator(iterator, &state->keyed, range, owner, error);
    tarn__rocks_unpin(&state->keyed.backend->pin);
    if (status != TARN_OK) {
        free_iterator(iterator);
        return status;
    }
    iterator->state = state;
    iterator->has_row = false;
    *out = iterator;
    return TARN_OK;
}

tarn_status tarn_map_iterate(
    tarn_map *state,
    const tarn_map_range *range,
    const char *owner,
    tarn_map_iterator **out,
    tarn_error *error)
{
    tarn_backend *backend = state->keyed.backend;
    tarn_map_range known;
    TARN_TRY(tarn__backend_enter(backend, error));
    TARN_TRY(copy_range(range, &known, error));
    const uint64_t refused_count = tarn__backend_refused_count(backend);
    return tarn__backend_explain(
        backend, refused_count, begin_iteration(state, &known, owner, out, error), error);
}

/* Does to an entry what a read does. */
static tarn_status age(
    tarn_map_iterator *iterator,
    tarn_bytes key,
    const tarn__keyed_content *content,
    int64_t now_ms,
    tarn_error *error)
{
    tarn_keyed *keyed = iterator->entries.base.keyed;
    tarn_bytes row;
    TARN_TRY(tarn__entries_row(&iterator->entries, key, &row, error));
    return tarn__keyed_age(keyed, row, content, now_ms, /* is_old= */ true, error);
}

/* Moves to the next entry that is shown. */
static tarn_status move(
    tarn_map_iterator *iterator, tarn_bytes *key, tarn__keyed_content *content, tarn_error *error)
{
    tarn_keyed *keyed = iterator->entries.base.keyed;
    const int64_t now_ms = tarn__keyed_now(keyed);
    content->is_shown = false;
    while (!content->is_shown) {
        tarn_bytes stored;
        TARN_TRY(tarn__entries_next(&iterator->entries, key, &stored, error));
        TARN_TRY(
            tarn__keyed_look_at(keyed, stored, now_ms, iterator->entries.gone_ms, content, error));
        if (keyed->has_ttl) {
            TARN_TRY(age(iterator, *key, content, now_ms, error));
        }
    }
    return TARN_OK;
}

tarn_status tarn_map_iterator_next(
    tarn_map_iterator *iterator, tarn_map_entry *entry, tarn_error *error)
{
    tarn_bytes key;
    tarn__keyed_content content;
    iterator->has_row = false;
    TARN_TRY(tarn__backend_enter(iterator->entries.base.keyed->backend, error));
    TARN_TRY(move(iterator, &key, &content, error));
    iterator->has_row = true;
    iterator->current = key;
    *entry = (tarn_map_entry){.key = key, .value = content.value};
    return TARN_OK;
}

tarn_status tarn_map_iterator_remove(tarn_map_iterator *iterator, tarn_error *error)
{
    tarn_keyed *keyed = iterator->entries.base.keyed;
    tarn_bytes row;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    if (!iterator->has_row) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "iterator \"%s\" of state \"%s\" stands on no entry that it could remove",
            iterator->entries.base.child.name,
            keyed->family->name);
    }
    TARN_TRY(tarn__entries_row(&iterator->entries, iterator->current, &row, error));
    iterator->has_row = false;
    return tarn__keyed_delete(keyed, row, error);
}

void tarn_map_iterator_close(tarn_map_iterator *iterator)
{
    if (iterator == NULL) {
        return;
    }
    tarn_map *state = iterator->state;
    tarn__entries_close(&iterator->entries);
    if (state->spare != NULL) {
        free_iterator(iterator);
    } else {
        state->spare = iterator;
    }
}
