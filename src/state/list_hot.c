/* list_hot.c - readings of lists that may be in the working set. See list.h. */
#include "state/list.h"

#include "codec/chunk.h"
#include "state/new_keys.h"

static bool may_be_whole(const tarn_list_iterator *iterator, size_t size)
{
    return iterator->own.size + size <= TARN__HOT_LIST_WHOLE_BYTES_MAX;
}

/* Puts the store's first chunk, when it is small, in front of what the working set has. */
static tarn_status take_head(
    tarn_list_iterator *iterator, tarn_bytes chunk, bool *is_taken_out, tarn_error *error)
{
    tarn_buffer *own = &iterator->own;
    *is_taken_out = may_be_whole(iterator, chunk.size);
    if (!*is_taken_out) {
        iterator->pending = chunk;
        return TARN_OK;
    }
    if (tarn_buffer_reserve(own, own->size + chunk.size) != TARN_OK) {
        return tarn__fail_no_memory(error, "the elements of a list", chunk.size);
    }
    if (own->size > 0) {
        memmove(own->data + chunk.size, own->data, own->size);
    }
    memcpy(own->data, chunk.data, chunk.size);
    own->size += chunk.size;
    iterator->head_size = chunk.size;
    return TARN_OK;
}

/* Looks at the first chunks of the store: a list of none, or of a small one, is kept whole. */
static tarn_status look_ahead(
    tarn_list_iterator *iterator, tarn_keyed *keyed, tarn__rocks_iterator *rows, tarn_error *error)
{
    uint8_t number[TARN__CHUNK_SEQUENCE_BYTES];
    size_t number_size = 0;
    tarn_bytes row;
    tarn_bytes chunk;
    tarn_status status = tarn__rocks_iterator_next(rows, &row, &chunk, error);
    if (iterator->own.size == 0 && (status == TARN_OK || status == TARN_DONE)) {
        tarn__new_keys_note_read(keyed, status == TARN_OK); /* Of what is here nobody asks. */
    }
    if (status == TARN_OK) {
        bool is_taken = false;
        TARN_TRY(take_head(iterator, chunk, &is_taken, error));
        if (!is_taken || row.size < sizeof number) {
            return TARN_OK;
        }
        number_size = sizeof number;
        memcpy(number, (const uint8_t *)row.data + row.size - sizeof number, sizeof number);
        status = tarn__rocks_iterator_next(rows, &row, &iterator->pending, error);
    }
    if (status != TARN_DONE) {
        return status;
    }
    return tarn__hot_list_complete(
        keyed,
        tarn_buffer_bytes(&keyed->name_space),
        tarn_bytes_at(number, number_size),
        tarn_buffer_bytes(&iterator->own),
        error);
}

tarn_status tarn__list_begin_hot(
    tarn_list_iterator *iterator, tarn_keyed *keyed, const char *owner, tarn_error *error)
{
    bool is_whole = false;
    tarn__rocks_iterator *rows = NULL;
    iterator->is_hot = true;
    iterator->has_tail = true;
    TARN_TRY(tarn__hot_list_read(
        keyed, tarn_buffer_bytes(&keyed->name_space), &iterator->own, &is_whole, error));
    if (!is_whole) {
        TARN_TRY(tarn__keyed_span(keyed, tarn_buffer_bytes(&keyed->name_space), error));
        const tarn__rocks_scan scan = {
            .lower = tarn_buffer_bytes(&keyed->lower),
            .upper = tarn_buffer_bytes(&keyed->upper),
            .fills_cache = true,
        };
        TARN_TRY(tarn__rocks_iterate_scan(keyed->family, &scan, &rows, error));
        const tarn_status status = look_ahead(iterator, keyed, rows, error);
        if (status != TARN_OK) {
            tarn__rocks_iterator_close(rows);
            return status;
        }
    }
    iterator->rest = tarn_bytes_at(iterator->own.data, iterator->head_size);
    tarn__keyed_iterator_adopt(&iterator->entries.base, keyed, rows, owner);
    return TARN_OK;
}
