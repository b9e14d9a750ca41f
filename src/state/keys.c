/*
 * keys.c - going through the keys of a state, and removing more than one of them. See keyed.h.
 *
 * Rows are skipped, not read: from a row that was found the next place where something wanted can
 * be is known, and sought.
 *
 *     key first        [group][key] | [namespace] | [user key]
 *     namespace first  [group][namespace] | [key] | [user key]
 *                      \___ head ___/
 *                      \___________ prefix ______/
 */
#include "state/descriptors.h"
#include "state/hot.h"
#include "state/timers.h"

/* Goes through the prefixes of a state, or those of one namespace. */
typedef struct prefix_scan {
    tarn__row_layout layout;
    const tarn_buffer *wanted; /* A namespace, encoded. NULL: all. */
    tarn_buffer target;        /* Where to seek before the next row. Empty: nowhere. */
} prefix_scan;

struct tarn_key_iterator {
    tarn__keyed_iterator base;
    tarn_buffer wanted;
    prefix_scan scan;
};

static tarn_status fail_target(size_t size, tarn_error *error)
{
    return tarn__fail_no_memory(error, "a place to seek", size);
}

/* Seeks next what follows all that begins with some bytes. */
static tarn_status skip(prefix_scan *scan, tarn_bytes bytes, tarn_error *error)
{
    if (tarn_buffer_assign(&scan->target, bytes) != TARN_OK) {
        return fail_target(bytes.size, error);
    }
    scan->target.size = tarn__row_successor(scan->target.data, scan->target.size);
    return TARN_OK;
}

/* Seeks next some bytes with the wanted namespace behind them. */
static tarn_status aim(prefix_scan *scan, tarn_bytes bytes, tarn_error *error)
{
    if (tarn_buffer_assign(&scan->target, bytes) != TARN_OK ||
        tarn_buffer_append(&scan->target, tarn_buffer_bytes(scan->wanted)) != TARN_OK) {
        return fail_target(bytes.size + scan->wanted->size, error);
    }
    return TARN_OK;
}

/* The wanted namespace in the next key group. */
static tarn_status aim_at_next_group(prefix_scan *scan, uint32_t key_group, tarn_error *error)
{
    uint8_t group[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(group, key_group + 1);
    return aim(scan, tarn_bytes_at(group, sizeof group), error);
}

/* Decides about a row: 0 when it is wanted, else where to go on is in scan->target. */
static tarn_status judge(
    prefix_scan *scan, tarn_bytes row, const tarn__row *decoded, int *order, tarn_error *error)
{
    const uint8_t *data = row.data;
    const size_t head = tarn__row_head_size(row, scan->layout, decoded);
    const size_t prefix = row.size - decoded->user_key.size;
    *order = 0;
    if (scan->wanted == NULL) {
        return TARN_OK;
    }
    const bool is_key_first = scan->layout == TARN__ROW_KEY_FIRST;
    const size_t begin = is_key_first ? head : (size_t)TARN__ROW_GROUP_BYTES;
    const size_t end = is_key_first ? prefix : head;
    *order = tarn_bytes_compare(
        tarn_bytes_at(data + begin, end - begin), tarn_buffer_bytes(scan->wanted));
    if (*order < 0) {
        return aim(scan, tarn_bytes_at(data, begin), error);
    }
    if (*order > 0) {
        return is_key_first ? skip(scan, tarn_bytes_at(data, head), error)
                            : aim_at_next_group(scan, decoded->key_group, error);
    }
    return TARN_OK;
}

/* Moves to the first row of the next wanted prefix. */
static tarn_status next_prefix(
    prefix_scan *scan,
    const char *state_name,
    tarn__rocks_iterator *rows,
    tarn_bytes *row,
    tarn__row *decoded,
    tarn_error *error)
{
    int order = 1;
    while (order != 0) {
        tarn_bytes value;
        if (scan->target.size > 0) {
            tarn__rocks_iterator_seek(rows, tarn_buffer_bytes(&scan->target));
            scan->target.size = 0;
        }
        TARN_TRY(tarn__rocks_iterator_next(rows, row, &value, error));
        if (!tarn__row_decode_as(*row, scan->layout, decoded)) {
            return tarn__fail(
                error,
                TARN_CORRUPTION,
                "state \"%s\" holds a key of %zu bytes that is no row",
                state_name,
                row->size);
        }
        TARN_TRY(judge(scan, *row, decoded, &order, error));
    }
    return TARN_OK;
}

/* ---- keys ------------------------------------------------------------------------------- */

static void all_groups(
    const tarn_backend *backend,
    uint8_t lower[TARN__ROW_GROUP_BYTES],
    uint8_t upper[TARN__ROW_GROUP_BYTES])
{
    tarn__row_encode_group(lower, backend->key_groups.first);
    tarn__row_encode_group(upper, backend->key_groups.last + 1u);
}

static tarn_status open_iterator(
    tarn_key_iterator *iterator,
    tarn_keyed *keyed,
    const tarn_bytes *name_space,
    const char *owner,
    tarn_error *error)
{
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    all_groups(keyed->backend, lower, upper);
    iterator->scan.layout = keyed->layout;
    if (name_space != NULL) {
        TARN_TRY(tarn__keyed_encode_namespace(keyed, *name_space, &iterator->wanted, error));
        iterator->scan.wanted = &iterator->wanted;
    }
    const tarn__rocks_scan scan = {
        .lower = tarn_bytes_at(lower, sizeof lower),
        .upper = tarn_bytes_at(upper, sizeof upper),
        .is_raw = true,
    };
    return tarn__keyed_iterator_open(&iterator->base, keyed, &scan, owner, error);
}

static void free_iterator(tarn_key_iterator *iterator)
{
    tarn_buffer_clear(&iterator->wanted);
    tarn_buffer_clear(&iterator->scan.target);
    tarn__release(iterator);
}

tarn_status tarn_keyed_iterate_keys(
    tarn_keyed *state,
    const tarn_bytes *name_space,
    const char *owner,
    tarn_key_iterator **out,
    tarn_error *error)
{
    tarn_backend *backend = state->backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn_key_iterator *iterator = tarn__allocate_zeroed(backend->account, 1, sizeof *iterator);
    if (iterator == NULL) {
        return tarn__fail_no_memory(error, "an iterator", sizeof *iterator);
    }
    iterator->wanted.allocator = &backend->account->face;
    iterator->scan.target.allocator = &backend->account->face;
    const tarn_status status = open_iterator(iterator, state, name_space, owner, error);
    tarn__rocks_unpin(&backend->pin);
    if (status != TARN_OK) {
        free_iterator(iterator);
        return status;
    }
    *out = iterator;
    return TARN_OK;
}

tarn_status tarn_key_iterator_next(tarn_key_iterator *iterator, tarn_row *row, tarn_error *error)
{
    tarn_bytes bytes;
    tarn__row decoded;
    TARN_TRY(tarn__backend_check_poison(iterator->base.keyed->backend, error));
    TARN_TRY(next_prefix(
        &iterator->scan,
        iterator->base.keyed->family->name,
        iterator->base.rows,
        &bytes,
        &decoded,
        error));
    TARN_TRY(skip(
        &iterator->scan, tarn_bytes_at(bytes.data, bytes.size - decoded.user_key.size), error));
    *row = (tarn_row){
        .key_group = decoded.key_group,
        .key = decoded.key,
        .name_space = decoded.name_space,
        .value = tarn_bytes_at(NULL, 0),
    };
    return TARN_OK;
}

void tarn_key_iterator_close(tarn_key_iterator *iterator)
{
    if (iterator != NULL) {
        tarn__keyed_iterator_close(&iterator->base);
        free_iterator(iterator);
    }
}

/* ---- removal ---------------------------------------------------------------------------- */

/* Removes what begins with some bytes. */
static tarn_status remove_all_with(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn_bytes bytes,
    tarn__removal *removal,
    tarn_error *error)
{
    TARN_AUTO(tarn_buffer_clear) tarn_buffer upper = {.allocator = &backend->account->face};
    if (tarn_buffer_assign(&upper, bytes) != TARN_OK) {
        return fail_target(bytes.size, error);
    }
    upper.size = tarn__row_successor(upper.data, upper.size);
    return tarn__span_drop(backend, family, bytes, tarn_buffer_bytes(&upper), removal, error);
}

/* A removal that failed half way, in the working set or in the store, has lost writes. */
static tarn_status finish_removal(
    tarn_backend *backend, const tarn__removal *removal, tarn_status status, tarn_error *error)
{
    return removal->has_removed ? tarn__backend_finish_write(backend, status, error) : status;
}

/* Removes the rows of each prefix that a scan finds; with namespaces first those of each group. */
static tarn_status remove_found(
    tarn_backend *backend,
    tarn__rocks_family *family,
    prefix_scan *scan,
    tarn__rocks_iterator *rows,
    tarn__removal *removal,
    tarn_error *error)
{
    for (;;) {
        tarn_bytes row;
        tarn__row decoded;
        const tarn_status status = next_prefix(scan, family->name, rows, &row, &decoded, error);
        if (status == TARN_DONE) {
            return TARN_OK;
        }
        TARN_TRY(status);
        const size_t size = scan->layout == TARN__ROW_KEY_FIRST
                                ? row.size - decoded.user_key.size
                                : tarn__row_head_size(row, scan->layout, &decoded);
        const tarn_bytes prefix = tarn_bytes_at(row.data, size);
        TARN_TRY(skip(scan, prefix, error));
        TARN_TRY(remove_all_with(backend, family, prefix, removal, error));
    }
}

tarn_status tarn_keyed_drop_namespace(tarn_keyed *state, tarn_bytes name_space, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    TARN_TRY(tarn__backend_enter_write(backend, error));
    TARN_AUTO(tarn_buffer_clear) tarn_buffer wanted = {.allocator = &backend->account->face};
    TARN_TRY(tarn__keyed_encode_namespace(state, name_space, &wanted, error));
    tarn__rocks_unpin(&backend->pin);
    all_groups(backend, lower, upper);
    const tarn_bytes first = tarn_bytes_at(lower, sizeof lower);
    const tarn_bytes end = tarn_bytes_at(upper, sizeof upper);
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(state->family, first, end, &rows, error));
    /* Nothing is written for what the store never had. */
    tarn__removal removal = {.has_removed = tarn__hot_drop_namespace(state, name_space)};
    prefix_scan scan = {
        .layout = state->layout,
        .wanted = &wanted,
        .target = {.allocator = &backend->account->face},
    };
    const tarn_status status = remove_found(backend, state->family, &scan, rows, &removal, error);
    tarn_buffer_clear(&scan.target);
    tarn__rocks_iterator_close(rows);
    return finish_removal(backend, &removal, status, error);
}

tarn_status tarn_keyed_clear(tarn_keyed *state, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    TARN_TRY(tarn__backend_enter_write(backend, error));
    tarn__rocks_unpin(&backend->pin);
    all_groups(backend, lower, upper);
    const tarn_bytes first = tarn_bytes_at(lower, sizeof lower);
    const tarn_bytes end = tarn_bytes_at(upper, sizeof upper);
    tarn__removal removal = {
        .has_removed = tarn__hot_drop_range(backend, state->family, first, end)};
    const tarn_status status = tarn__span_drop(backend, state->family, first, end, &removal, error);
    return finish_removal(backend, &removal, status, error);
}

/* ---- a key in all states ---------------------------------------------------------------- */

/* With namespaces first: seeks the key in each namespace of its group. */
static tarn_status remove_key_from_namespaces(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn__rocks_iterator *rows,
    prefix_scan *scan,
    const tarn_buffer *key,
    tarn__removal *removal,
    tarn_error *error)
{
    for (;;) {
        tarn_bytes row;
        tarn__row decoded;
        const tarn_status status = next_prefix(scan, family->name, rows, &row, &decoded, error);
        if (status == TARN_DONE) {
            return TARN_OK;
        }
        TARN_TRY(status);
        const size_t head = tarn__row_head_size(row, scan->layout, &decoded);
        TARN_AUTO(tarn_buffer_clear) tarn_buffer prefix = {.allocator = &backend->account->face};
        if (tarn_buffer_assign(&prefix, tarn_bytes_at(row.data, head)) != TARN_OK ||
            tarn_buffer_append(&prefix, tarn_buffer_bytes(key)) != TARN_OK) {
            return fail_target(head + key->size, error);
        }
        TARN_TRY(skip(scan, tarn_bytes_at(row.data, head), error));
        TARN_TRY(remove_all_with(backend, family, tarn_buffer_bytes(&prefix), removal, error));
    }
}

static tarn_status remove_key_of_family(
    tarn_backend *backend,
    tarn__rocks_family *family,
    const tarn_buffer *row,
    tarn__removal *removal,
    tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn__descriptor descriptor;
    TARN_TRY(tarn__descriptor_read(backend, family->name, &pin, &descriptor, error));
    if (descriptor.kind == TARN__STATE_TIMERS) {
        return tarn__timers_remove_key(backend, family, removal, error);
    }
    if ((descriptor.flags & TARN__STATE_NAMESPACE_FIRST) == 0) {
        return remove_all_with(backend, family, tarn_buffer_bytes(row), removal, error);
    }
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    memcpy(upper, row->data, sizeof upper);
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(
        family,
        tarn_bytes_at(row->data, TARN__ROW_GROUP_BYTES),
        tarn_bytes_at(upper, tarn__row_successor(upper, sizeof upper)),
        &rows,
        error));
    prefix_scan scan = {
        .layout = TARN__ROW_NAMESPACE_FIRST,
        .target = {.allocator = &backend->account->face},
    };
    const tarn_buffer key = {
        .data = row->data + TARN__ROW_GROUP_BYTES, .size = row->size - TARN__ROW_GROUP_BYTES};
    const tarn_status status =
        remove_key_from_namespaces(backend, family, rows, &scan, &key, removal, error);
    tarn_buffer_clear(&scan.target);
    tarn__rocks_iterator_close(rows);
    return status;
}

tarn_status tarn_backend_remove_key(tarn_backend *backend, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter_write(backend, error));
    tarn__rocks_unpin(&backend->pin);
    if (!backend->has_key) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "backend %s/%u has no current key that it could remove",
            backend->operator_name,
            backend->subtask_index);
    }
    tarn__removal removal = {.has_removed = false};
    for (tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks); family != NULL;
         family = family->next) {
        removal.has_sealed = false;
        removal.has_removed = tarn__hot_drop_key(backend, family) || removal.has_removed;
        const tarn_status status =
            remove_key_of_family(backend, family, &backend->row, &removal, error);
        TARN_TRY(finish_removal(backend, &removal, status, error));
    }
    return TARN_OK;
}

/* ---- figures ---------------------------------------------------------------------------- */

void tarn_keyed_measure(tarn_keyed *state, tarn_keyed_stats *out)
{
    tarn__rocks_stats stats;
    tarn__rocks_measure_family(state->family, &stats);
    *out = (tarn_keyed_stats){
        .row_count_estimate = stats.row_count_estimate,
        .live_file_bytes_estimate = stats.live_data_bytes,
        .file_bytes = stats.live_file_bytes,
        .memtable_bytes = stats.memtable_bytes,
        .held_row_count = state->workset != NULL ? state->hot.row_count : 0,
        .unwritten_row_count = state->workset != NULL ? state->hot.dirty_count : 0,
    };
}
