/* import_rows.c - rows of an import, each looked at before it is taken. */
#include <string.h>

#include "codec/chunk.h"
#include "codec/reduction.h"
#include "codec/row.h"
#include "codec/stamp.h"
#include "state/import_private.h"

enum {
    BATCH_BYTES = 1 << 20,
    VALUE_BYTES_MAX = INT32_MAX - 64,
};

static tarn_status refuse(tarn_error *error, const char *why)
{
    return tarn__fail(error, TARN_INVALID_ARGUMENT, "%s", why);
}

static tarn_status find_group(
    const tarn_import *import, const tarn_stored_row *row, uint32_t *out, tarn_error *error)
{
    const tarn_backend *backend = import->backend;
    if (backend->key_hash == TARN_KEY_HASH_CALLER) {
        *out = row->key_group;
    } else {
        TARN_TRY(tarn__backend_group_of(backend, row->key, out, error));
    }
    if (*out < backend->key_groups.first || *out > backend->key_groups.last) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the key is of key group %u; subtask %u has %u to %u",
            *out,
            backend->subtask_index,
            backend->key_groups.first,
            backend->key_groups.last);
    }
    return TARN_OK;
}

/* Writes the key of the row into the buffer. */
static tarn_status encode_key(tarn_import *import, const tarn_stored_row *row, tarn_error *error)
{
    const size_t size = TARN__ROW_GROUP_BYTES + 8 + 3 * (TARN__ROW_VARINT_BYTES_MAX + 1) +
                        row->key.size + row->name_space.size + row->user_key.size;
    uint32_t group = 0;
    if (row->key.size > TARN__ROW_KEY_BYTES_MAX ||
        row->name_space.size > TARN__ROW_NAMESPACE_BYTES_MAX ||
        row->user_key.size > TARN__ROW_USER_KEY_BYTES_MAX) {
        return refuse(error, "a key, namespace or user key has at most 65,535 bytes");
    }
    TARN_TRY(find_group(import, row, &group, error));
    if (tarn_buffer_reserve(&import->key, size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a row", size);
    }
    uint8_t *out = import->key.data;
    size_t at = 0;
    if (import->descriptor.kind == TARN__STATE_TIMERS) {
        const uint64_t bits = (uint64_t)row->time_ms ^ (uint64_t)1 << 63;
        tarn__row_encode_group(out, group);
        tarn__stamp_encode(out + TARN__ROW_GROUP_BYTES, (int64_t)bits);
        at = TARN__ROW_GROUP_BYTES + 8;
        at += tarn__row_encode_namespace(out + at, row->key);
        at += tarn__row_encode_namespace(out + at, row->name_space);
    } else if ((import->descriptor.flags & TARN__STATE_NAMESPACE_FIRST) != 0) {
        at = tarn__row_encode_key(out, group, row->name_space);
        at += tarn__row_encode_namespace(out + at, row->key);
    } else {
        at = tarn__row_encode_key(out, group, row->key);
        at += tarn__row_encode_namespace(out + at, row->name_space);
    }
    if (row->user_key.size > 0 && import->descriptor.kind != TARN__STATE_TIMERS) {
        memcpy(out + at, row->user_key.data, row->user_key.size);
        at += row->user_key.size;
    }
    import->key.size = at;
    return TARN_OK;
}

static uint64_t load_big_endian(const uint8_t *at)
{
    return (uint64_t)tarn__stamp_decode(at);
}

/* Where values end with a generation, what is before it. */
static tarn_bytes without_generation(const tarn_import *import, tarn_bytes value)
{
    const bool has_one = (import->descriptor.flags & TARN__STATE_VERSIONED) != 0 && value.size > 0;
    return tarn_bytes_at(value.data, value.size - (has_one ? 1 : 0));
}

/* A chunk has a number, and elements. */
static tarn_status check_chunk(tarn_import *import, const tarn_stored_row *row, tarn_error *error)
{
    tarn_bytes rest = without_generation(import, row->value);
    tarn_bytes element;
    if (row->user_key.size != TARN__CHUNK_SEQUENCE_BYTES) {
        return refuse(error, "the user key of a list's chunk is its number, of 8 bytes");
    }
    const uint64_t number = load_big_endian(row->user_key.data);
    if (number >= UINT64_MAX - TARN__SEQUENCE_COUNT_MAX) {
        return refuse(error, "the number of a list's chunk is too large");
    }
    tarn_status status = rest.size > 0 ? TARN_OK : TARN_CORRUPTION;
    while (status == TARN_OK) {
        status = tarn__chunk_take(&rest, &element);
    }
    if (status != TARN_DONE) {
        return refuse(error, "the value is no chunk of a list's elements");
    }
    import->sequence = number >= import->sequence ? number + 1 : import->sequence;
    return TARN_OK;
}

static tarn_status check_reduction(const tarn_import *import, tarn_error *error)
{
    tarn__reduction reduction;
    const bool is_stamped = (import->descriptor.flags & TARN__STATE_STAMPED) != 0;
    const tarn_bytes value = without_generation(import, tarn_buffer_bytes(&import->value));
    return tarn__reduction_decode(value, &reduction) &&
                   reduction.tag == import->descriptor.detail && reduction.is_stamped == is_stamped
               ? TARN_OK
               : refuse(error, "the value is no number of the state's reducer");
}

/* Writes the value of the row into the buffer, with its stamp, and checks it by its kind. */
static tarn_status encode_value(tarn_import *import, const tarn_stored_row *row, tarn_error *error)
{
    const tarn__descriptor *d = &import->descriptor;
    uint8_t stamp[TARN__STAMP_BYTES];
    tarn_buffer *value = &import->value;
    value->size = 0;
    if (row->value.size > VALUE_BYTES_MAX) {
        return refuse(error, "the value is too large");
    }
    if (d->kind == TARN__STATE_TIMERS) {
        return row->value.size == 0 && row->user_key.size == 0
                   ? TARN_OK
                   : refuse(error, "a timer has no value and no user key");
    }
    if ((d->flags & TARN__STATE_VERSIONED) != 0 && row->value.size == 0) {
        return refuse(error, "the value has no generation, with which those of the state end");
    }
    if (d->kind != TARN__STATE_MAP && d->kind != TARN__STATE_LIST && row->user_key.size > 0) {
        return refuse(error, "only entries of maps and chunks of lists have a user key");
    }
    tarn__stamp_encode(stamp, row->stamp_ms);
    if (tarn_buffer_reserve(value, sizeof stamp + row->value.size + 1) != TARN_OK) {
        return tarn__fail_no_memory(error, "a value", row->value.size);
    }
    if ((d->flags & TARN__STATE_STAMPED) != 0) {
        memcpy(value->data, stamp, sizeof stamp);
        value->size = sizeof stamp;
    }
    if (row->value.size > 0) {
        memcpy(value->data + value->size, row->value.data, row->value.size);
        value->size += row->value.size;
    }
    if (d->kind == TARN__STATE_LIST) {
        return check_chunk(import, row, error);
    }
    return d->kind == TARN__STATE_REDUCING && d->detail != 0 ? check_reduction(import, error)
                                                             : TARN_OK;
}

/* Rows that come in order cannot be there yet; of others the database is asked. */
static tarn_status check_new(tarn_import *import, tarn_error *error)
{
    const tarn_bytes key = tarn_buffer_bytes(&import->key);
    const tarn_bytes before = tarn_buffer_bytes(&import->before);
    const size_t size = key.size < before.size ? key.size : before.size;
    const int order = size > 0 ? memcmp(before.data, key.data, size) : 0;
    if (before.size > 0 && (order < 0 || (order == 0 && before.size < key.size))) {
        return TARN_OK;
    }
    TARN_TRY(tarn__import_flush(import, error));
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn_bytes stored;
    const tarn_status found = tarn__rocks_get(import->family, key, &pin, &stored, error);
    if (found == TARN_OK) {
        return refuse(error, "the row is there already");
    }
    return found == TARN_NOT_FOUND ? TARN_OK : found;
}

tarn_status tarn_import_put(tarn_import *import, const tarn_stored_row *row, tarn_error *error)
{
    if (import->family == NULL) {
        return refuse(error, "there is no state that it is of");
    }
    TARN_TRY(encode_key(import, row, error));
    TARN_TRY(encode_value(import, row, error));
    TARN_TRY(check_new(import, error));
    tarn__rocks_batch_put(
        &import->batch,
        import->family,
        tarn_buffer_bytes(&import->key),
        tarn_buffer_bytes(&import->value));
    const tarn_buffer spent = import->before;
    import->before = import->key;
    import->key = spent;
    return import->batch.bytes < BATCH_BYTES ? TARN_OK : tarn__import_flush(import, error);
}

tarn_status tarn_import_put_number(
    tarn_import *import, const tarn_stored_row *row, uint64_t bits, tarn_error *error)
{
    const tarn__descriptor *d = &import->descriptor;
    if (import->family == NULL || d->kind != TARN__STATE_REDUCING || d->detail == 0 ||
        (d->flags & TARN__STATE_VERSIONED) != 0) {
        return refuse(error, "only a state of a built-in reducer has numbers");
    }
    const tarn__reduction reduction = {
        .is_stamped = (d->flags & TARN__STATE_STAMPED) != 0,
        .tag = d->detail,
        .threshold_ms = INT64_MIN,
        .bits = bits,
    };
    uint8_t bytes[TARN__REDUCTION_BYTES_MAX];
    const size_t size = tarn__reduction_encode(&reduction, bytes);
    const size_t skipped = reduction.is_stamped ? TARN__STAMP_BYTES : 0;
    tarn_stored_row whole = *row;
    whole.value = tarn_bytes_at(bytes + skipped, size - skipped);
    return tarn_import_put(import, &whole, error);
}

tarn_status tarn_import_put_list(
    tarn_import *import,
    const tarn_stored_row *row,
    const tarn_bytes *elements,
    size_t count,
    tarn_error *error)
{
    if (import->family == NULL || import->descriptor.kind != TARN__STATE_LIST || count == 0 ||
        (import->descriptor.flags & TARN__STATE_VERSIONED) != 0) {
        return refuse(error, "only a list has elements, at least one");
    }
    TARN_AUTO(tarn_buffer_clear) tarn_buffer chunk = {.allocator = &import->account->face};
    for (size_t i = 0; i < count; i++) {
        if (elements[i].size > VALUE_BYTES_MAX || chunk.size > VALUE_BYTES_MAX) {
            return refuse(error, "the list is too large for one row");
        }
        if (tarn__chunk_append(&chunk, elements[i]) != TARN_OK) {
            return tarn__fail_no_memory(error, "a list", elements[i].size);
        }
    }
    uint8_t number[TARN__CHUNK_SEQUENCE_BYTES];
    tarn__chunk_encode_sequence(number, import->sequence);
    tarn_stored_row whole = *row;
    whole.user_key = tarn_bytes_at(number, sizeof number);
    whole.value = tarn_buffer_bytes(&chunk);
    return tarn_import_put(import, &whole, error);
}
