/* hot_list.c - see hot_list.h. */
#include "state/hot_list.h"

#include "cache/ahead.h"
#include "codec/chunk.h"
#include "state/new_keys.h"

enum { NUMBERS_PER_CALL = 2 };

/* What a call works on. */
typedef struct hot_list {
    tarn_keyed *keyed;
    tarn__hot_key key; /* Its row lies in a row buffer: no other row is made while it is used. */
    tarn__hot_row *row;
} hot_list;

static const tarn_bytes NOTHING = {NULL, 0};

static tarn_status find(hot_list *list, tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    static const uint8_t NUMBER[TARN__CHUNK_SEQUENCE_BYTES];
    tarn_bytes row; /* With room for a number: a chunk's row made later cannot fail. */
    list->keyed = keyed;
    TARN_TRY(
        tarn__keyed_make_row(keyed, name_space, tarn_bytes_at(NUMBER, sizeof NUMBER), &row, error));
    row.size -= sizeof NUMBER;
    list->row = tarn__workset_find(keyed->workset, &keyed->hot, row, &list->key);
    return TARN_OK;
}

/* Finds a list that is to be changed: what is frozen of it goes to the store before. */
static tarn_status find_to_change(
    hot_list *list, tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    TARN_TRY(find(list, keyed, name_space, error));
    return tarn__workset_hand_over(keyed->workset, &list->key, &list->row, error);
}

/* There is nothing of the list, neither here nor in the store. */
static bool is_new(const hot_list *list)
{
    return list->row == NULL && tarn__hot_is_new(&list->key);
}

/* It is known what the store has of the list. */
static bool is_whole(const hot_list *list)
{
    return list->row != NULL && list->row->state != TARN__HOT_PARTIAL;
}

static tarn_bytes elements_of(const hot_list *list)
{
    return tarn__hot_row_has_value(list->row) || list->row->state == TARN__HOT_PARTIAL
               ? tarn_bytes_at(
                     tarn__hot_row_value(&list->keyed->hot, list->row), list->row->value_size)
               : NOTHING;
}

/* ---- numbers ---------------------------------------------------------------------------- */

void tarn__hot_list_prepare_numbers(tarn_backend *backend)
{
    if (__builtin_expect(backend->sequence_end - backend->sequence < NUMBERS_PER_CALL, 0)) {
        tarn__hot_pass_gate(backend);
    }
}

static tarn_status take_number(
    tarn_keyed *keyed, uint8_t out[TARN__CHUNK_SEQUENCE_BYTES], tarn_error *error)
{
    uint64_t number = 0;
    TARN_TRY(tarn__backend_take_sequence(keyed->backend, 1, &number, error));
    tarn__chunk_encode_sequence(out, number);
    return TARN_OK;
}

static void set_number(hot_list *list, const uint8_t number[TARN__CHUNK_SEQUENCE_BYTES])
{
    memcpy(tarn__hot_row_suffix(list->row), number, TARN__CHUNK_SEQUENCE_BYTES);
}

/* ---- past the working set --------------------------------------------------------------- */

void tarn__hot_list_note_chunk(tarn_keyed *keyed, tarn_bytes row)
{
    row.size -= TARN__CHUNK_SEQUENCE_BYTES;
    tarn__hot_note_put(keyed, tarn__workset_hash(&keyed->hot, row));
}

/* Writes or removes a chunk in the store. */
static tarn_status write_chunk(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    const uint8_t number[TARN__CHUNK_SEQUENCE_BYTES],
    tarn_bytes elements,
    tarn_error *error)
{
    tarn_bytes row;
    tarn__hot_pass_gate(keyed->backend);
    TARN_TRY(tarn__keyed_make_row(
        keyed, name_space, tarn_bytes_at(number, TARN__CHUNK_SEQUENCE_BYTES), &row, error));
    tarn__hot_list_note_chunk(keyed, row);
    const tarn_status status = elements.size > 0
                                   ? tarn__rocks_put(keyed->family, row, elements, error)
                                   : tarn__rocks_delete(keyed->family, row, error);
    return tarn__backend_finish_write(keyed->backend, status, error);
}

tarn_status tarn__hot_list_expel(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    hot_list list;
    tarn__hot_pass_gate(keyed->backend); /* Before: it drains, and may forget rows. */
    TARN_TRY(find(&list, keyed, name_space, error));
    return list.row != NULL ? tarn__workset_expel(keyed->workset, &list.key, error) : TARN_OK;
}

/* ---- appending -------------------------------------------------------------------------- */

/* Puts elements behind those that are here; without room for them *is_done_out is false. */
static tarn_status extend(hot_list *list, tarn_bytes elements, bool *is_done_out, tarn_error *error)
{
    uint8_t number[TARN__CHUNK_SEQUENCE_BYTES];
    const bool has_number = list->row != NULL && list->row->state != TARN__HOT_ABSENT;
    const tarn__hot_state state =
        is_whole(list) || is_new(list) ? TARN__HOT_DIRTY : TARN__HOT_PARTIAL;
    tarn__hot_row *kept = NULL;
    if (!has_number) {
        TARN_TRY(take_number(list->keyed, number, error));
    }
    TARN_TRY(tarn__workset_extend(
        list->keyed->workset, &list->key, list->row, state, elements, &kept, error));
    *is_done_out = kept != NULL;
    if (kept != NULL) {
        list->row = kept;
    }
    if (kept != NULL && !has_number) {
        set_number(list, number);
    }
    return TARN_OK;
}

/* What was written whole is not written again with each element, once it is large. */
static void leave_large(hot_list *list)
{
    if (list->row != NULL && list->row->state == TARN__HOT_CLEAN &&
        list->row->value_size > TARN__HOT_LIST_WHOLE_BYTES_MAX) {
        tarn__workset_drop_row(list->keyed->workset, &list->key);
        list->row = NULL;
        list->key.reference = 0;
    }
}

tarn_status tarn__hot_list_append(
    tarn_keyed *keyed, tarn_bytes name_space, tarn_bytes elements, tarn_error *error)
{
    hot_list list;
    bool is_done = false;
    uint8_t number[TARN__CHUNK_SEQUENCE_BYTES];
    tarn__hot_list_prepare_numbers(keyed->backend);
    TARN_TRY(find_to_change(&list, keyed, name_space, error));
    leave_large(&list);
    TARN_TRY(extend(&list, elements, &is_done, error));
    if (is_done) {
        return TARN_OK;
    }
    TARN_TRY(tarn__hot_list_expel(keyed, name_space, error));
    TARN_TRY(find(&list, keyed, name_space, error));
    TARN_TRY(extend(&list, elements, &is_done, error));
    if (is_done) {
        return TARN_OK;
    }
    TARN_TRY(take_number(keyed, number, error));
    return write_chunk(keyed, name_space, number, elements, error);
}

/* ---- replacing -------------------------------------------------------------------------- */

/* Makes a whole list one of elements, or writes it when there is no room for it here. */
static tarn_status set_whole(
    hot_list *list, tarn_bytes name_space, tarn_bytes elements, tarn_error *error)
{
    uint8_t number[TARN__CHUNK_SEQUENCE_BYTES] = {0};
    const bool has_chunk = list->row != NULL && list->row->state != TARN__HOT_ABSENT;
    const bool is_stored = has_chunk && !list->row->is_new;
    const tarn__hot_state state = elements.size > 0 ? TARN__HOT_DIRTY : TARN__HOT_TOMBSTONE;
    if (list->row == NULL && elements.size == 0) {
        return TARN_OK;
    }
    if (has_chunk) {
        memcpy(number, tarn__hot_row_suffix(list->row), sizeof number);
    } else if (elements.size > 0) {
        TARN_TRY(take_number(list->keyed, number, error));
    }
    TARN_TRY(tarn__workset_set(
        list->keyed->workset, &list->key, list->row, state, elements, &list->row, error));
    if (list->row != NULL) {
        set_number(list, number);
        return TARN_OK;
    }
    return elements.size > 0 || is_stored
               ? write_chunk(list->keyed, name_space, number, elements, error)
               : TARN_OK;
}

tarn_status tarn__hot_list_replace(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    tarn_bytes elements,
    bool *is_done_out,
    tarn_error *error)
{
    hot_list list;
    *is_done_out = false;
    tarn__hot_list_prepare_numbers(keyed->backend);
    TARN_TRY(find_to_change(&list, keyed, name_space, error));
    if (!is_whole(&list) && !is_new(&list)) {
        return TARN_OK;
    }
    *is_done_out = true;
    return set_whole(&list, name_space, elements, error);
}

tarn_status tarn__hot_list_drop(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    hot_list list;
    TARN_TRY(find(&list, keyed, name_space, error));
    if (list.row != NULL) {
        tarn__workset_drop_row(keyed->workset, &list.key);
    }
    return TARN_OK;
}

tarn_status tarn__hot_list_set_absent(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    hot_list list;
    TARN_TRY(find(&list, keyed, name_space, error));
    return tarn__workset_set(
        keyed->workset, &list.key, list.row, TARN__HOT_ABSENT, NOTHING, &list.row, error);
}

/* ---- reading ---------------------------------------------------------------------------- */

tarn_status tarn__hot_list_read(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    tarn_buffer *out,
    bool *is_whole_out,
    tarn_error *error)
{
    hot_list list;
    TARN_TRY(find(&list, keyed, name_space, error));
    const tarn_bytes elements = list.row != NULL ? elements_of(&list) : NOTHING;
    if (elements.size > 0 && tarn_buffer_append(out, elements) != TARN_OK) {
        return tarn__fail_no_memory(error, "the elements of a list", elements.size);
    }
    *is_whole_out = is_whole(&list) || (list.row == NULL && tarn__hot_reads_new(&list.key));
    return TARN_OK;
}

/* Writes elements as a chunk of a list that is found by its row alone. */
static tarn_status write_own(
    const hot_list *list,
    const uint8_t number[TARN__CHUNK_SEQUENCE_BYTES],
    tarn_bytes elements,
    tarn_error *error)
{
    const tarn__change change = {
        .family = list->keyed->family,
        .kind = TARN__CHANGE_PUT,
        .row = list->key.row,
        .suffix = tarn_bytes_at(number, TARN__CHUNK_SEQUENCE_BYTES),
        .value = elements,
    };
    tarn__hot_pass_gate(list->keyed->backend);
    tarn__hot_note_put(list->keyed, list->key.hash);
    return tarn__hot_write_changes(list->keyed->backend, &change, 1, error);
}

/*
 * A partial and the store's chunk become one chunk of that number. The elements are all of both,
 * and do not lie in the working set.
 */
static tarn_status complete_partial(
    hot_list *list, tarn_bytes number, tarn_bytes elements, tarn_error *error)
{
    uint8_t own[TARN__CHUNK_SEQUENCE_BYTES];
    const size_t own_size = list->row->value_size;
    memcpy(own, tarn__hot_row_suffix(list->row), sizeof own);
    TARN_TRY(tarn__workset_set(
        list->keyed->workset, &list->key, list->row, TARN__HOT_DIRTY, elements, &list->row, error));
    if (list->row == NULL) { /* It is not here any more: the store has the chunk before it. */
        const uint8_t *data = elements.data;
        const tarn_bytes later = tarn_bytes_at(data + (elements.size - own_size), own_size);
        return write_own(list, own, later, error);
    }
    if (number.size > 0) {
        set_number(list, number.data);
    } else {
        list->row->is_new = 1;
    }
    return TARN_OK;
}

/* Keeps a list, of which nothing is here, as the store has it. */
static tarn_status begin_whole(
    hot_list *list, tarn_bytes number, tarn_bytes elements, tarn_error *error)
{
    const tarn__hot_state state = elements.size > 0 ? TARN__HOT_CLEAN : TARN__HOT_ABSENT;
    TARN_TRY(tarn__workset_set(
        list->keyed->workset, &list->key, list->row, state, elements, &list->row, error));
    if (list->row != NULL && number.size > 0) {
        set_number(list, number.data);
    }
    return TARN_OK;
}

tarn_status tarn__hot_list_complete(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    tarn_bytes number,
    tarn_bytes elements,
    tarn_error *error)
{
    hot_list list;
    TARN_TRY(find(&list, keyed, name_space, error));
    if (list.row != NULL) {
        /* What is frozen becomes one more chunk of the store, and the list is not whole. */
        TARN_TRY(tarn__workset_hand_over(keyed->workset, &list.key, &list.row, error));
        return list.row != NULL ? complete_partial(&list, number, elements, error) : TARN_OK;
    }
    if (tarn__workset_declines(keyed->workset, &list.key)) {
        return TARN_OK;
    }
    return begin_whole(&list, number, elements, error);
}

/* ---- reading ahead ---------------------------------------------------------------------- */

tarn_status tarn__hot_list_expect(
    tarn_keyed *keyed, tarn_bytes row, uint32_t batch, bool *is_pending, tarn_error *error)
{
    tarn__hot_key key;
    tarn__hot_row *hot = tarn__workset_peek(keyed->workset, &keyed->hot, row, &key);
    if (hot == NULL || hot->state != TARN__HOT_PARTIAL) {
        return tarn__workset_expect(
            keyed->workset, &keyed->hot, row, batch, keyed->value_bytes_seen, is_pending, error);
    }
    hot->is_expected = 1;
    *is_pending = true;
    return TARN_OK;
}

static tarn_status take_rows(
    tarn__rocks_iterator *rows, tarn_buffer *out, bool *is_whole_out, tarn_error *error)
{
    tarn_bytes row;
    tarn_bytes chunk;
    *is_whole_out = true;
    tarn_status status = tarn__rocks_iterator_next(rows, &row, &chunk, error);
    if (status == TARN_OK) {
        *is_whole_out = false;
        if (row.size < TARN__CHUNK_SEQUENCE_BYTES || chunk.size > TARN__HOT_LIST_WHOLE_BYTES_MAX) {
            return TARN_OK;
        }
        const uint8_t *number = (const uint8_t *)row.data + row.size - TARN__CHUNK_SEQUENCE_BYTES;
        if (tarn_buffer_assign(out, tarn_bytes_at(number, TARN__CHUNK_SEQUENCE_BYTES)) != TARN_OK ||
            tarn_buffer_append(out, chunk) != TARN_OK) {
            return tarn__fail_no_memory(error, "the elements of a list", chunk.size);
        }
        status = tarn__rocks_iterator_next(rows, &row, &chunk, error);
        *is_whole_out = status == TARN_DONE;
    }
    return status == TARN_DONE ? TARN_OK : status;
}

tarn_status tarn__hot_list_scan(
    tarn__rocks_family *family,
    tarn_bytes row,
    tarn_bytes beyond,
    tarn_buffer *out,
    bool *is_whole_out,
    tarn_error *error)
{
    tarn__rocks_iterator *rows = NULL;
    const tarn__rocks_scan scan = {
        .lower = row,
        .upper = beyond,
        .fills_cache = true,
        .is_ahead = true,
    };
    out->size = 0;
    TARN_TRY(tarn__rocks_iterate_scan(family, &scan, &rows, error));
    const tarn_status status = take_rows(rows, out, is_whole_out, error);
    tarn__rocks_iterator_close(rows);
    return status;
}

/* Puts what was read in front of a partial. False: that cannot be. */
static tarn_status join_partial(
    hot_list *list, tarn_bytes number, tarn_bytes elements, bool *is_taken_out, tarn_error *error)
{
    tarn_backend *backend = list->keyed->backend;
    tarn_buffer *joined = &backend->hot_block;
    const bool is_held = atomic_load_explicit(&backend->is_gate_shut, memory_order_acquire);
    const bool is_its_own =
        number.size > 0 && memcmp(number.data, tarn__hot_row_suffix(list->row), number.size) == 0;
    *is_taken_out = false;
    if (is_held || is_its_own ||
        elements.size + list->row->value_size > TARN__HOT_LIST_WHOLE_BYTES_MAX) {
        return TARN_OK;
    }
    TARN_TRY(tarn__workset_hand_over(list->keyed->workset, &list->key, &list->row, error));
    if (list->row == NULL) {
        return TARN_OK;
    }
    if (tarn_buffer_assign(joined, elements) != TARN_OK ||
        tarn_buffer_append(joined, elements_of(list)) != TARN_OK) {
        return tarn__fail_no_memory(error, "the elements of a list", elements.size);
    }
    TARN_TRY(complete_partial(list, number, tarn_buffer_bytes(joined), error));
    *is_taken_out = list->row != NULL;
    return TARN_OK;
}

tarn_status tarn__hot_list_fulfil(
    tarn_keyed *keyed,
    tarn_bytes row,
    uint32_t batch,
    tarn_status outcome,
    tarn_bytes content,
    tarn_error *error)
{
    hot_list list = {.keyed = keyed};
    const uint8_t *data = content.data;
    tarn_bytes number = NOTHING;
    tarn_bytes elements = NOTHING;
    bool is_taken = false;
    if (content.size > TARN__CHUNK_SEQUENCE_BYTES) {
        number = tarn_bytes_at(data, TARN__CHUNK_SEQUENCE_BYTES);
        elements = tarn_bytes_at(data + number.size, content.size - number.size);
    }
    list.row = tarn__workset_peek_expected(keyed->workset, &keyed->hot, row, batch, &list.key);
    const bool is_pending = list.row != NULL && list.row->state == TARN__HOT_PENDING;
    if (is_pending && outcome != TARN_OK) {
        tarn__workset_drop_row(keyed->workset, &list.key); /* Who wants it reads it. */
    } else if (is_pending) {
        tarn__new_keys_note_read(keyed, elements.size > 0);
        TARN_TRY(begin_whole(&list, number, elements, error));
        is_taken = list.row != NULL;
    } else if (list.row != NULL && !is_whole(&list) && outcome == TARN_OK) {
        /* One that became whole since knows more than what was read. */
        TARN_TRY(join_partial(&list, number, elements, &is_taken, error));
    }
    tarn__workset_note_ahead(keyed->workset, is_taken);
    return TARN_OK;
}
