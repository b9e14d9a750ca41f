/*
 * list.c - list state: a row per chunk of elements, in the order of their sequence numbers.
 *
 *     [group][key][namespace][sequence u64 BE] -> [stamp, with a TTL][elements]   (codec/chunk.h)
 *
 * Numbers come from the backend and only grow, so that appending needs not to know what is there: a
 * chunk that is written later sorts behind all that were there. With a TTL a chunk is never changed
 * but for its stamp, and its elements live and expire together: then a list goes through the
 * working set as a map of chunks does (hot_map.h). Without one, what is appended gathers there in
 * one chunk (hot_list.h). Merging namespaces gives the sources' chunks new numbers under the
 * target.
 */
#include "state/list.h"

#include "codec/chunk.h"

enum {
    CHUNK_BYTES_MAX = 64 << 10,  /* More elements begin a new chunk; one element may be larger. */
    BATCH_BYTES_MAX = 256 << 10, /* Of chunks that are moved: RocksDB's memory, not the budget's. */
};

/* ---- opening and closing ---------------------------------------------------------------- */

static tarn__keyed_merge_fn merge;

tarn_status tarn_list_open(
    tarn_backend *backend, const tarn_state_options *options, tarn_list **out, tarn_error *error)
{
    tarn_keyed *keyed = NULL;
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    TARN_TRY(
        tarn__keyed_open(backend, options, TARN__STATE_LIST, 0, sizeof(tarn_list), &keyed, error));
    keyed->merge = merge;
    *out = (tarn_list *)keyed;
    return TARN_OK;
}

tarn_status tarn_list_close(tarn_list *state, tarn_error *error)
{
    if (state == NULL) {
        return TARN_OK;
    }
    tarn__list_iterator_free(state->spare);
    state->spare = NULL;
    return tarn__keyed_close(&state->keyed, error);
}

tarn_keyed *tarn_list_keyed(tarn_list *state)
{
    return &state->keyed;
}

tarn_status tarn_list_set_namespace(tarn_list *state, tarn_bytes name_space, tarn_error *error)
{
    return tarn_keyed_set_namespace(&state->keyed, name_space, error);
}

/* ---- writing ---------------------------------------------------------------------------- */

/* Makes the row of a new chunk of the current key and a namespace. */
static tarn_status new_row(
    tarn_keyed *keyed, tarn_bytes name_space, tarn_bytes *row, tarn_error *error)
{
    uint8_t sequence[TARN__CHUNK_SEQUENCE_BYTES];
    uint64_t number = 0;
    if (keyed->workset != NULL) {
        tarn__hot_list_prepare_numbers(keyed->backend);
    }
    TARN_TRY(tarn__backend_take_sequence(keyed->backend, 1, &number, error));
    tarn__chunk_encode_sequence(sequence, number);
    return tarn__keyed_make_row(
        keyed, name_space, tarn_bytes_at(sequence, sizeof sequence), row, error);
}

static void begin_chunk(tarn_keyed *keyed, int64_t stamp_ms)
{
    keyed->scratch.size = 0;
    if (keyed->has_ttl) {
        tarn__stamp_encode(keyed->scratch.data, stamp_ms);
        keyed->scratch.size = TARN__STAMP_BYTES;
    }
}

static tarn_status write_chunk(tarn_keyed *keyed, tarn_error *error)
{
    tarn_bytes row;
    if (tarn__list_is_hot_chunk(keyed)) {
        return tarn__hot_list_append(
            keyed,
            tarn_buffer_bytes(&keyed->name_space),
            tarn_buffer_bytes(&keyed->scratch),
            error);
    }
    TARN_TRY(new_row(keyed, tarn_buffer_bytes(&keyed->name_space), &row, error));
    return tarn__keyed_write(keyed, row, tarn_buffer_bytes(&keyed->scratch), error);
}

static size_t encoded_bytes(tarn_bytes element)
{
    return TARN__CHUNK_VARINT_BYTES_MAX + element.size;
}

/* Checks elements and makes room for the largest chunk of them, and for a row. */
static tarn_status prepare(
    tarn_keyed *keyed, const tarn_bytes *elements, size_t element_count, tarn_error *error)
{
    static const uint8_t SEQUENCE[TARN__CHUNK_SEQUENCE_BYTES];
    tarn_bytes row;
    size_t size = TARN__STAMP_BYTES;
    size_t total = TARN__STAMP_BYTES;
    for (size_t i = 0; i < element_count; i++) {
        TARN_TRY(tarn__keyed_check_value(keyed, elements[i].size, error));
        const size_t bytes = encoded_bytes(elements[i]);
        size = TARN__STAMP_BYTES + bytes > size ? TARN__STAMP_BYTES + bytes : size;
        total = total > CHUNK_BYTES_MAX ? total : total + bytes;
    }
    const size_t several = total < CHUNK_BYTES_MAX ? total : CHUNK_BYTES_MAX;
    const size_t needed = size > several ? size : several;
    if (tarn_buffer_reserve(&keyed->scratch, needed) != TARN_OK) {
        return tarn__fail_no_memory(error, "a chunk of a list", needed);
    }
    return tarn__keyed_row(keyed, tarn_bytes_at(SEQUENCE, sizeof SEQUENCE), &row, error);
}

/* Writes prepared elements in chunks. */
static tarn_status write_elements(
    tarn_keyed *keyed, const tarn_bytes *elements, size_t element_count, tarn_error *error)
{
    const int64_t stamp_ms = tarn__keyed_stamp(keyed, tarn__keyed_now(keyed));
    size_t count_in_chunk = 0;
    begin_chunk(keyed, stamp_ms);
    for (size_t i = 0; i < element_count; i++) {
        const size_t size = keyed->scratch.size + encoded_bytes(elements[i]);
        if (count_in_chunk > 0 && size > CHUNK_BYTES_MAX) {
            TARN_TRY(write_chunk(keyed, error));
            begin_chunk(keyed, stamp_ms);
            count_in_chunk = 0;
        }
        if (tarn__chunk_append(&keyed->scratch, elements[i]) != TARN_OK) {
            return tarn__fail_no_memory(error, "a chunk of a list", size);
        }
        count_in_chunk++;
    }
    return write_chunk(keyed, error);
}

tarn_status tarn_list_append_all(
    tarn_list *state, const tarn_bytes *elements, size_t element_count, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(prepare(keyed, elements, element_count, error));
    if (element_count == 0) {
        return TARN_OK;
    }
    const tarn_status status = write_elements(keyed, elements, element_count, error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

tarn_status tarn_list_append(tarn_list *state, tarn_bytes element, tarn_error *error)
{
    return tarn_list_append_all(state, &element, 1, error);
}

/* Replaces within the working set, where what is there is known and what comes is small. */
static tarn_status replace_hot(
    tarn_keyed *keyed,
    const tarn_bytes *elements,
    size_t element_count,
    bool *is_done_out,
    tarn_error *error)
{
    size_t size = 0;
    begin_chunk(keyed, 0);
    for (size_t i = 0; i < element_count && size <= TARN__HOT_LIST_WHOLE_BYTES_MAX; i++) {
        size += encoded_bytes(elements[i]);
    }
    for (size_t i = 0; i < element_count && size <= TARN__HOT_LIST_WHOLE_BYTES_MAX; i++) {
        if (tarn__chunk_append(&keyed->scratch, elements[i]) != TARN_OK) {
            return tarn__fail_no_memory(error, "a chunk of a list", size);
        }
    }
    return size <= TARN__HOT_LIST_WHOLE_BYTES_MAX ? tarn__hot_list_replace(
                                                        keyed,
                                                        tarn_buffer_bytes(&keyed->name_space),
                                                        tarn_buffer_bytes(&keyed->scratch),
                                                        is_done_out,
                                                        error)
                                                  : TARN_OK;
}

tarn_status tarn__list_find_chunks(
    tarn_keyed *keyed, tarn_bytes name_space, tarn__hot_range *out, tarn_error *error)
{
    TARN_TRY(tarn__keyed_span(keyed, name_space, error));
    TARN_TRY(tarn__keyed_make_row(keyed, name_space, tarn_bytes_at(NULL, 0), &out->prefix, error));
    out->lower = tarn_buffer_bytes(&keyed->lower);
    out->upper = tarn_buffer_bytes(&keyed->upper);
    return TARN_OK;
}

/* Removes what is there; the working set knows then that there is nothing. */
static tarn_status remove_all(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    tarn__hot_range chunks;
    TARN_TRY(tarn__list_find_chunks(keyed, name_space, &chunks, error));
    if (keyed->workset == NULL) {
        return tarn__keyed_remove_span(keyed, error);
    }
    if (!tarn__list_is_hot_chunk(keyed)) {
        return tarn__hot_map_remove(keyed, &chunks, error);
    }
    tarn__hot_pass_gate(keyed->backend);
    TARN_TRY(tarn__hot_list_drop(keyed, name_space, error));
    TARN_TRY(
        tarn__backend_finish_write(keyed->backend, tarn__keyed_remove_span(keyed, error), error));
    return tarn__hot_list_set_absent(keyed, name_space, error);
}

tarn_status tarn_list_replace(
    tarn_list *state, const tarn_bytes *elements, size_t element_count, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    bool is_done = false;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(prepare(keyed, elements, element_count, error));
    if (tarn__list_is_hot_chunk(keyed)) {
        TARN_TRY(replace_hot(keyed, elements, element_count, &is_done, error));
    }
    if (is_done) {
        tarn__rocks_unpin(&keyed->backend->pin);
        return TARN_OK;
    }
    /* What is there has lesser numbers than what comes: it can go first. */
    tarn_status status = remove_all(keyed, tarn_buffer_bytes(&keyed->name_space), error);
    if (status == TARN_OK && element_count > 0) {
        status = tarn__backend_finish_write(
            keyed->backend, write_elements(keyed, elements, element_count, error), error);
    }
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

tarn_status tarn_list_clear(tarn_list *state, tarn_error *error)
{
    return tarn_list_replace(state, NULL, 0, error);
}

/* ---- merging namespaces ----------------------------------------------------------------- */

/* Chunks on their way to another namespace; small ones are joined. */
typedef struct moving {
    tarn__rocks_batch batch;
    tarn_buffer joined; /* The next chunk to write, with its mark. Empty: there is none. */
    bool has_written; /* From here on a failure leaves half of a move: a list that nobody wrote. */
} moving;

static tarn_status write_moving(tarn_keyed *keyed, moving *chunks, tarn_error *error)
{
    chunks->has_written = true;
    return tarn__rocks_batch_write(keyed->backend->rocks, &chunks->batch, error);
}

/* Adds what was joined to the batch, as a new chunk of the target. */
static tarn_status put_joined(
    tarn_keyed *keyed, tarn_bytes target, moving *chunks, tarn_error *error)
{
    tarn_bytes row;
    if (chunks->joined.size == 0) {
        return TARN_OK;
    }
    TARN_TRY(new_row(keyed, target, &row, error));
    if (keyed->workset != NULL) {
        tarn__hot_list_note_chunk(keyed, row);
    }
    tarn__rocks_batch_put_raw(
        &chunks->batch, keyed->family, row, tarn_buffer_bytes(&chunks->joined));
    chunks->joined.size = 0;
    return chunks->batch.bytes >= BATCH_BYTES_MAX ? write_moving(keyed, chunks, error) : TARN_OK;
}

/* Whether a chunk's elements may stand behind those that were joined: of one schema, without times
 * of their own. */
static bool can_join(const tarn_keyed *keyed, const moving *chunks, tarn_bytes chunk)
{
    const tarn_buffer *joined = &chunks->joined;
    return keyed->family->marks.is_on && joined->size > 0 && chunk.size > 0 && !keyed->has_ttl &&
           !keyed->is_untimed && joined->size + chunk.size <= CHUNK_BYTES_MAX &&
           joined->data[joined->size - 1] == ((const uint8_t *)chunk.data)[chunk.size - 1];
}

static tarn_status join(
    tarn_keyed *keyed, tarn_bytes chunk, tarn_bytes target, moving *chunks, tarn_error *error)
{
    if (can_join(keyed, chunks, chunk)) {
        chunks->joined.size--; /* Its mark is that of the other one. */
    } else {
        TARN_TRY(put_joined(keyed, target, chunks, error));
    }
    return tarn_buffer_append(&chunks->joined, chunk) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "a chunk of a list", chunk.size);
}

/* Writes the chunks that an iterator finds anew under the target, marks and all. */
static tarn_status copy_chunks(
    tarn_keyed *keyed,
    tarn__rocks_iterator *rows,
    tarn_bytes target,
    moving *chunks,
    tarn_error *error)
{
    tarn_status status;
    chunks->joined.size = 0;
    do {
        tarn_bytes source_row;
        tarn_bytes chunk;
        status = tarn__rocks_iterator_next(rows, &source_row, &chunk, error);
        if (status == TARN_OK) {
            status = join(keyed, chunk, target, chunks, error);
        }
    } while (status == TARN_OK);
    return status == TARN_DONE ? put_joined(keyed, target, chunks, error) : status;
}

/* Moves a list that is whole in the working set; else all of both is in the store afterwards. */
static tarn_status move_hot(
    tarn_keyed *keyed, tarn_bytes source, tarn_bytes target, bool *is_done_out, tarn_error *error)
{
    keyed->scratch.size = 0;
    TARN_TRY(tarn__hot_list_read(keyed, source, &keyed->scratch, is_done_out, error));
    if (!*is_done_out) {
        TARN_TRY(tarn__hot_list_expel(keyed, source, error));
        return tarn__hot_list_expel(keyed, target, error);
    }
    if (keyed->scratch.size == 0) {
        return TARN_OK;
    }
    bool is_cleared = false;
    tarn_status status =
        tarn__hot_list_append(keyed, target, tarn_buffer_bytes(&keyed->scratch), error);
    if (status == TARN_OK) {
        status = tarn__hot_list_replace(keyed, source, tarn_bytes_at(NULL, 0), &is_cleared, error);
    }
    if (status == TARN_OK && !is_cleared) { /* It was evicted meanwhile. */
        TARN_TRY(tarn__keyed_span(keyed, source, error));
        status = tarn__keyed_remove_span(keyed, error);
    }
    return tarn__backend_finish_write(keyed->backend, status, error);
}

static tarn_status copy_entries(
    tarn_keyed *keyed,
    tarn__entries *entries,
    tarn_bytes target,
    bool *has_any_out,
    tarn_error *error)
{
    for (;;) {
        tarn_bytes number;
        tarn_bytes chunk;
        tarn_bytes row;
        const tarn_status status = tarn__entries_next(entries, &number, &chunk, error);
        if (status == TARN_DONE) {
            return TARN_OK;
        }
        TARN_TRY(status);
        *has_any_out = true;
        TARN_TRY(new_row(keyed, target, &row, error));
        TARN_TRY(tarn__keyed_write(keyed, row, chunk, error));
    }
}

/* Moves the chunks of a list that may be in a block of the working set. */
static tarn_status move_entries(
    tarn_keyed *keyed, tarn_bytes source, tarn_bytes target, tarn_error *error)
{
    tarn__entries entries = {.first = 0};
    tarn__hot_range chunks;
    bool has_any = false;
    TARN_TRY(tarn__list_find_chunks(keyed, source, &chunks, error));
    tarn_status status = tarn__entries_open(&entries, keyed, &chunks, false, NULL, error);
    if (status == TARN_OK) {
        status = copy_entries(keyed, &entries, target, &has_any, error);
        tarn__entries_close(&entries);
    }
    tarn__entries_clear(&entries);
    if (status == TARN_OK && has_any) {
        status = remove_all(keyed, source, error);
    }
    return has_any ? tarn__backend_finish_write(keyed->backend, status, error) : status;
}

static tarn_status move_source(
    tarn_keyed *keyed, tarn_bytes source, tarn_bytes target, moving *chunks, tarn_error *error)
{
    bool is_done = false;
    if (keyed->workset != NULL && !tarn__list_is_hot_chunk(keyed)) {
        return move_entries(keyed, source, target, error);
    }
    if (keyed->workset != NULL) {
        TARN_TRY(move_hot(keyed, source, target, &is_done, error));
    }
    if (is_done) {
        return TARN_OK;
    }
    chunks->has_written = false;
    TARN_TRY(tarn__keyed_span(keyed, source, error));
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(
        keyed->family,
        tarn_buffer_bytes(&keyed->lower),
        tarn_buffer_bytes(&keyed->upper),
        &rows,
        error));
    const tarn_status status = copy_chunks(keyed, rows, target, chunks, error);
    tarn__rocks_iterator_close(rows);
    TARN_TRY(status);
    if (chunks->batch.bytes == 0 && !chunks->has_written) {
        return TARN_OK; /* Nothing was there. */
    }
    TARN_TRY(write_moving(keyed, chunks, error));
    return tarn__keyed_remove_span(keyed, error);
}

static tarn_status merge(
    tarn_keyed *keyed,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error)
{
    moving chunks = {.joined = {.allocator = &keyed->backend->buffers->face}};
    bool has_written = false;
    tarn__rocks_batch_init(&chunks.batch);
    tarn_status status = TARN_OK;
    for (size_t i = 0; i < source_count && status == TARN_OK; i++) {
        status = move_source(keyed, sources[i], target, &chunks, error);
        has_written = has_written || chunks.has_written;
    }
    tarn__rocks_batch_clear(&chunks.batch);
    tarn_buffer_clear(&chunks.joined);
    return has_written ? tarn__backend_finish_write(keyed->backend, status, error) : status;
}
