/* list_read.c - readings of lists, and what becomes of what they find expired. See list.h. */
#include "state/list.h"

#include "codec/chunk.h"

void tarn__list_iterator_free(tarn_list_iterator *iterator)
{
    if (iterator != NULL) {
        tarn__entries_clear(&iterator->entries);
        tarn_buffer_clear(&iterator->own);
        tarn_buffer_clear(&iterator->first);
        tarn_buffer_clear(&iterator->last);
        tarn__release(iterator);
    }
}

static tarn_status open_chunks(
    tarn_list_iterator *iterator, tarn_keyed *keyed, const char *owner, tarn_error *error)
{
    tarn__hot_range chunks;
    TARN_TRY(tarn__list_find_chunks(keyed, tarn_buffer_bytes(&keyed->name_space), &chunks, error));
    return tarn__entries_open(&iterator->entries, keyed, &chunks, false, owner, error);
}

/* Takes the spare iterator, as new, or a new one. */
static tarn_status new_iterator(tarn_list *state, tarn_list_iterator **out, tarn_error *error)
{
    const tarn_allocator *allocator = &state->keyed.backend->buffers->face;
    tarn_list_iterator *iterator = state->spare;
    state->spare = NULL;
    if (iterator == NULL) {
        iterator = tarn__allocate_zeroed(state->keyed.backend->buffers, 1, sizeof *iterator);
    }
    if (iterator == NULL) {
        return tarn__fail_no_memory(error, "an iterator", sizeof *iterator);
    }
    iterator->state = state;
    iterator->own.allocator = allocator;
    iterator->own.size = 0;
    iterator->first.allocator = allocator;
    iterator->first.size = 0;
    iterator->last.allocator = allocator;
    iterator->rest.size = 0;
    iterator->head_size = 0;
    iterator->pending.size = 0;
    iterator->is_hot = false;
    iterator->has_tail = false;
    iterator->has_young = false;
    iterator->is_over = false;
    *out = iterator;
    return TARN_OK;
}

static tarn_status begin_reading(
    tarn_list *state, const char *owner, tarn_list_iterator **out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_list_iterator *iterator = NULL;
    TARN_TRY(new_iterator(state, &iterator, error));
    const tarn_status status = tarn__list_is_hot_chunk(keyed)
                                   ? tarn__list_begin_hot(iterator, keyed, owner, error)
                                   : open_chunks(iterator, keyed, owner, error);
    if (status != TARN_OK) {
        tarn__list_iterator_free(iterator);
        return status;
    }
    *out = iterator;
    return TARN_OK;
}

tarn_status tarn_list_iterate(
    tarn_list *state, const char *owner, tarn_list_iterator **out, tarn_error *error)
{
    tarn_backend *backend = state->keyed.backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    return begin_reading(state, owner, out, error);
}

/* Remembers between which rows all chunks that were seen lie. */
static tarn_status remember(tarn_list_iterator *iterator, tarn_bytes row, tarn_error *error)
{
    if ((iterator->first.size == 0 && tarn_buffer_assign(&iterator->first, row) != TARN_OK) ||
        tarn_buffer_assign(&iterator->last, row) != TARN_OK) {
        return tarn__fail_no_memory(error, "the rows of a list", row.size);
    }
    iterator->last.size = tarn__row_successor(iterator->last.data, iterator->last.size);
    return TARN_OK;
}

/*
 * The end of a list whose elements were all expired: they go. Reads that do not prolong leave an
 * expired chunk beside young ones, as a list is cleaned as a whole; so it is still there.
 */
static tarn_status finish(tarn_list_iterator *iterator, tarn_error *error)
{
    tarn_keyed *keyed = iterator->entries.base.keyed;
    iterator->is_over = true;
    if (iterator->has_tail) {
        const size_t tail_size = iterator->own.size - iterator->head_size;
        iterator->has_tail = false;
        iterator->is_over = tail_size == 0;
        if (tail_size > 0) {
            iterator->rest = tarn_bytes_at(iterator->own.data + iterator->head_size, tail_size);
        }
        return TARN_OK;
    }
    if (!keyed->has_ttl || iterator->has_young || iterator->first.size == 0) {
        return TARN_OK;
    }
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    const tarn__hot_range seen = {
        .prefix = tarn_bytes_at(iterator->first.data, iterator->entries.prefix_size),
        .lower = tarn_buffer_bytes(&iterator->first),
        .upper = tarn_buffer_bytes(&iterator->last),
    };
    return keyed->workset != NULL
               ? tarn__hot_map_remove(keyed, &seen, error)
               : tarn__span_remove(keyed->backend, keyed->family, seen.lower, seen.upper, error);
}

/* Does to a chunk what a reading does. */
static tarn_status age(
    tarn_list_iterator *iterator,
    tarn_bytes number,
    const tarn__keyed_content *content,
    int64_t now_ms,
    tarn_error *error)
{
    tarn_keyed *keyed = iterator->entries.base.keyed;
    tarn_bytes row;
    TARN_TRY(tarn__entries_row(&iterator->entries, number, &row, error));
    TARN_TRY(remember(iterator, row, error));
    iterator->has_young = iterator->has_young || !content->is_expired;
    return keyed->ttl.update == TARN_TTL_ON_READ_AND_WRITE
               ? tarn__keyed_age(keyed, row, content, now_ms, /* is_old= */ true, error)
               : TARN_OK;
}

static tarn_status next_stored(tarn_list_iterator *iterator, tarn_bytes *number, tarn_error *error)
{
    tarn__rocks_iterator *rows = iterator->entries.base.rows;
    if (iterator->is_hot) {
        return rows != NULL ? tarn__rocks_iterator_next(rows, number, &iterator->rest, error)
                            : TARN_DONE;
    }
    return tarn__entries_next(&iterator->entries, number, &iterator->rest, error);
}

/* Takes the next chunk; its elements are in iterator->rest when they are shown. */
static tarn_status next_chunk(tarn_list_iterator *iterator, tarn_error *error)
{
    tarn_keyed *keyed = iterator->entries.base.keyed;
    const int64_t now_ms = tarn__keyed_now(keyed);
    tarn_bytes number;
    tarn__keyed_content content;
    if (iterator->pending.size > 0) {
        iterator->rest = iterator->pending;
        iterator->pending.size = 0;
        return TARN_OK;
    }
    TARN_TRY(next_stored(iterator, &number, error));
    const tarn_bytes stored = iterator->rest;
    iterator->rest.size = 0;
    TARN_TRY(
        tarn__keyed_look_at(keyed, stored, now_ms, iterator->entries.gone_ms, &content, error));
    if (keyed->has_ttl) {
        TARN_TRY(age(iterator, number, &content, now_ms, error));
    }
    if (content.is_shown) {
        iterator->rest = content.value;
    }
    return TARN_OK;
}

tarn_status tarn_list_iterator_next(
    tarn_list_iterator *iterator, tarn_bytes *element, tarn_error *error)
{
    const tarn_keyed *keyed = iterator->entries.base.keyed;
    TARN_TRY(tarn__backend_enter(keyed->backend, error));
    while (iterator->rest.size == 0 && !iterator->is_over) {
        const tarn_status status = next_chunk(iterator, error);
        if (status == TARN_DONE) {
            TARN_TRY(finish(iterator, error));
        } else {
            TARN_TRY(status);
        }
    }
    const tarn_status status = tarn__chunk_take(&iterator->rest, element);
    if (status == TARN_CORRUPTION) {
        iterator->is_over = true;
        iterator->rest.size = 0;
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "state \"%s\" holds a chunk of a list whose elements go beyond its end",
            keyed->family->name);
    }
    return status;
}

void tarn_list_iterator_close(tarn_list_iterator *iterator)
{
    if (iterator == NULL) {
        return;
    }
    tarn_list *state = iterator->state;
    tarn__entries_close(&iterator->entries);
    if (state->spare != NULL) {
        tarn__list_iterator_free(iterator);
    } else {
        state->spare = iterator;
    }
}
