/* value.c - value state: at most one value per key and namespace. */
#include "tarn/state.h"

#include <assert.h>

#include "state/hot.h"

/* An edit's value begins so far into the buffer: its stamp is in front, itself well aligned. */
enum { EDIT_OFFSET = 16 };

struct tarn_value {
    tarn_keyed keyed;
};

struct tarn_value_iterator {
    tarn__keyed_iterator base;
    int64_t now_ms; /* When it was begun: what is expired then is not seen. */
};

/* ---- opening and closing ---------------------------------------------------------------- */

tarn_status tarn_value_open(
    tarn_backend *backend, const tarn_state_options *options, tarn_value **out, tarn_error *error)
{
    tarn_keyed *keyed = NULL;
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    TARN_TRY(tarn__keyed_open(
        backend, options, TARN__STATE_VALUE, 0, sizeof(tarn_value), &keyed, error));
    *out = (tarn_value *)keyed;
    return TARN_OK;
}

tarn_status tarn_value_close(tarn_value *state, tarn_error *error)
{
    if (state == NULL) {
        return TARN_OK;
    }
    tarn_backend *backend = state->keyed.backend;
    tarn_status status = TARN_OK;
    if (backend->edited == state && state->keyed.first_iterator == NULL) {
        status = tarn__backend_settle(backend, error);
    }
    TARN_TRY(tarn__keyed_close(&state->keyed, error));
    return status;
}

tarn_keyed *tarn_value_keyed(tarn_value *state)
{
    return &state->keyed;
}

tarn_status tarn_value_set_namespace(tarn_value *state, tarn_bytes name_space, tarn_error *error)
{
    return tarn_keyed_set_namespace(&state->keyed, name_space, error);
}

/* ---- everyday calls --------------------------------------------------------------------- */

tarn_status tarn_value_get(tarn_value *state, tarn_bytes *out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__backend_enter(keyed->backend, error));
    tarn__rocks_unpin(&keyed->backend->pin);
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    return tarn__keyed_get(keyed, row, out, error);
}

tarn_status tarn_value_put(tarn_value *state, tarn_bytes value, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    TARN_TRY(tarn__keyed_check_value(keyed, value.size, error));
    const tarn_status status =
        tarn__keyed_put(keyed, row, value, tarn__keyed_stamp(keyed, tarn__keyed_now(keyed)), error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

tarn_status tarn_value_remove(tarn_value *state, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    const tarn_status status = tarn__keyed_delete(keyed, row, error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

/* Copies what a read would answer into the edit buffer, cut or extended by zeros to size. */
static tarn_status load_edit(tarn_value *state, tarn_bytes row, size_t size, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_backend *backend = keyed->backend;
    tarn__keyed_content content = {.value = {NULL, 0}};
    tarn_bytes stored;
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    const tarn_status status = tarn__keyed_read(keyed, row, &pin, &stored, error);
    if (status == TARN_OK) {
        TARN_TRY(tarn__keyed_look(keyed, stored, tarn__keyed_now(keyed), &content, error));
    } else if (status != TARN_NOT_FOUND) {
        return status;
    }
    const size_t shown = content.is_shown ? content.value.size : 0;
    const size_t kept = shown < size ? shown : size;
    uint8_t *value = backend->edit.data + EDIT_OFFSET;
    if (kept > 0) {
        memcpy(value, content.value.data, kept);
    }
    memset(value + kept, 0, size - kept);
    backend->edit.size = EDIT_OFFSET + size;
    return TARN_OK;
}

/* Edits in the working set: with a TTL behind a stamp of now, and without what is not shown. */
static tarn_status edit_hot(
    tarn_keyed *keyed, tarn_bytes row, size_t size, void **out, tarn_error *error)
{
    const size_t head = keyed->has_ttl ? (size_t)TARN__STAMP_BYTES : 0;
    const int64_t now_ms = tarn__keyed_now(keyed);
    void *stored = NULL;
    tarn__keyed_content content;
    TARN_TRY(tarn__hot_edit(keyed, row, head + size, &stored, error));
    if (stored == NULL || !keyed->has_ttl) {
        *out = stored;
        return TARN_OK;
    }
    uint8_t *value = (uint8_t *)stored + head;
    TARN_TRY(tarn__keyed_look(keyed, tarn_bytes_at(stored, head + size), now_ms, &content, error));
    if (!content.is_shown) {
        memset(value, 0, size);
    }
    tarn__stamp_encode(stored, tarn__keyed_stamp(keyed, now_ms));
    *out = value;
    return TARN_OK;
}

tarn_status tarn_value_edit(tarn_value *state, size_t size, void **out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_backend *backend = keyed->backend;
    tarn_bytes row;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    if (__builtin_expect(size == 0, 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "an edit of state \"%s\" asks for no bytes",
            keyed->family->name);
    }
    TARN_TRY(tarn__keyed_check_value(keyed, size, error));
    if (keyed->workset != NULL) {
        void *value = NULL;
        TARN_TRY(edit_hot(keyed, row, size, &value, error));
        if (__builtin_expect(value != NULL, 1)) {
            *out = value;
            return TARN_OK;
        }
    }
    if (__builtin_expect(EDIT_OFFSET + size > backend->edit.capacity, 0) &&
        tarn_buffer_reserve(&backend->edit, EDIT_OFFSET + size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a value", size);
    }
    TARN_TRY(load_edit(state, row, size, error));
    backend->edited = state;
    backend->needs_attention = true;
    *out = backend->edit.data + EDIT_OFFSET;
    return TARN_OK;
}

tarn_status tarn__value_store_edit(tarn_backend *backend, tarn_error *error)
{
    assert(backend->edited != NULL);
    tarn_keyed *keyed = &backend->edited->keyed;
    backend->edited = NULL;
    if (keyed->workset == NULL &&
        atomic_load_explicit(&backend->is_gate_shut, memory_order_acquire)) {
        tarn__backend_wait_at_gate(backend);
    }
    size_t begin = EDIT_OFFSET;
    if (keyed->has_ttl) {
        begin -= TARN__STAMP_BYTES;
        tarn__stamp_encode(
            backend->edit.data + begin, tarn__keyed_stamp(keyed, tarn__keyed_now(keyed)));
    }
    tarn_bytes row;
    tarn_status status = tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error);
    if (status == TARN_OK) {
        status = tarn__keyed_write(
            keyed,
            row,
            tarn_bytes_at(backend->edit.data + begin, backend->edit.size - begin),
            error);
    }
    return tarn__backend_finish_write(backend, status, error);
}

/* ---- iteration -------------------------------------------------------------------------- */

tarn_status tarn_value_iterate(
    tarn_value *state, const char *owner, tarn_value_iterator **out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_backend *backend = keyed->backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    tarn_value_iterator *iterator = tarn__allocate_zeroed(backend->account, 1, sizeof *iterator);
    if (iterator == NULL) {
        return tarn__fail_no_memory(error, "an iterator", sizeof *iterator);
    }
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(lower, backend->key_groups.first);
    tarn__row_encode_group(upper, backend->key_groups.last + 1u);
    const tarn__rocks_scan scan = {
        .lower = tarn_bytes_at(lower, sizeof lower),
        .upper = tarn_bytes_at(upper, sizeof upper),
    };
    const tarn_status status =
        tarn__keyed_iterator_open(&iterator->base, keyed, &scan, owner, error);
    if (status != TARN_OK) {
        tarn__release(iterator);
        return status;
    }
    iterator->now_ms = tarn__keyed_now(keyed);
    *out = iterator;
    return TARN_OK;
}

tarn_status tarn_value_iterator_next(
    tarn_value_iterator *iterator, tarn_row *row, tarn_error *error)
{
    const tarn_keyed *keyed = iterator->base.keyed;
    tarn__keyed_content content = {.is_shown = false};
    tarn__row decoded = {0};
    TARN_TRY(tarn__backend_check_poison(keyed->backend, error));
    while (!content.is_shown) {
        tarn_bytes key;
        tarn_bytes stored;
        TARN_TRY(tarn__rocks_iterator_next(iterator->base.rows, &key, &stored, error));
        if (!tarn__row_decode_as(key, keyed->layout, &decoded) || decoded.user_key.size != 0) {
            return tarn__keyed_fail_row(keyed, key.size, error);
        }
        TARN_TRY(tarn__keyed_look_at(keyed, stored, iterator->now_ms, INT64_MIN, &content, error));
    }
    *row = (tarn_row){
        .key_group = decoded.key_group,
        .key = decoded.key,
        .name_space = decoded.name_space,
        .value = content.value,
    };
    return TARN_OK;
}

void tarn_value_iterator_close(tarn_value_iterator *iterator)
{
    if (iterator != NULL) {
        tarn__keyed_iterator_close(&iterator->base);
        tarn__release(iterator);
    }
}
