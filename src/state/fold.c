/* fold.c - see fold.h. */
#include "state/fold.h"

#include "base/refusal.h"
#include "state/hot.h"

tarn_status tarn__fold_check(const tarn_keyed *keyed, tarn_status status, tarn_error *error)
{
    if (__builtin_expect(status == TARN_OK, 1)) {
        return TARN_OK;
    }
    const tarn_status failed = tarn__fail(
        error,
        status < TARN_OK ? status : TARN_INTERNAL,
        "a function of state \"%s\" answered %s",
        keyed->family->name,
        tarn_status_name(status));
    return tarn__refusal_explain(error, failed); /* The buffer that it was given did not grow. */
}

/* ---- adding ----------------------------------------------------------------------------- */

tarn_status tarn__fold_add(
    tarn_keyed *keyed, tarn__fold_add_fn *add, void *context, tarn_bytes added, tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    const int64_t now_ms = tarn__keyed_now(keyed);
    tarn__keyed_content content = {.is_shown = false};
    tarn_bytes row;
    tarn_bytes stored;
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    const tarn_status status = tarn__keyed_read(keyed, row, &pin, &stored, error);
    if (status == TARN_OK) {
        TARN_TRY(tarn__keyed_look(keyed, stored, now_ms, &content, error));
    } else if (status != TARN_NOT_FOUND) {
        return status;
    }
    keyed->result.size = 0;
    TARN_TRY(tarn__fold_check(
        keyed,
        add(content.is_shown ? &content.value : NULL, added, &keyed->result, context),
        error));
    TARN_TRY(tarn__keyed_check_value(keyed, keyed->result.size, error));
    return tarn__keyed_put(
        keyed, row, tarn_buffer_bytes(&keyed->result), tarn__keyed_stamp(keyed, now_ms), error);
}

/* ---- merging ---------------------------------------------------------------------------- */

/* What the namespaces that were read so far make. */
typedef struct merged {
    bool has_found; /* A namespace had something. */
    bool is_present;
    bool is_shown;
    int64_t stamp_ms;
    tarn_buffer value;
    tarn_buffer next; /* A value that is being made. */
} merged;

static void clear_merged(merged *made)
{
    tarn_buffer_clear(&made->value);
    tarn_buffer_clear(&made->next);
}

static tarn_status keep(merged *made, tarn_bytes value, tarn_error *error)
{
    if (tarn_buffer_assign(&made->value, value) != TARN_OK) {
        return tarn__fail_no_memory(error, "a merged value", value.size);
    }
    return TARN_OK;
}

/* Puts a value that is shown beside what was made, which is shown too: before or behind it. */
static tarn_status combine(
    tarn_keyed *keyed,
    merged *made,
    tarn__fold_merge_fn *merge,
    void *context,
    tarn_bytes value,
    bool is_before,
    tarn_error *error)
{
    const tarn_bytes other = tarn_buffer_bytes(&made->value);
    made->next.size = 0;
    TARN_TRY(tarn__fold_check(
        keyed,
        merge(is_before ? value : other, is_before ? other : value, &made->next, context),
        error));
    TARN_TRY(tarn__keyed_check_value(keyed, made->next.size, error));
    const tarn_buffer used = made->value;
    made->value = made->next;
    made->next = used;
    return TARN_OK;
}

/* Takes what a namespace has into what was made. */
static tarn_status take(
    tarn_keyed *keyed,
    merged *made,
    tarn__fold_merge_fn *merge,
    void *context,
    const tarn__keyed_content *content,
    int64_t stamp_ms,
    bool is_before,
    tarn_error *error)
{
    if (!made->is_present) {
        TARN_TRY(keep(made, content->value, error));
        made->is_present = true;
        made->is_shown = content->is_shown;
        made->stamp_ms = content->stamp_ms;
        return TARN_OK;
    }
    if (content->is_shown && made->is_shown) {
        TARN_TRY(combine(keyed, made, merge, context, content->value, is_before, error));
    } else if (content->is_shown) {
        TARN_TRY(keep(made, content->value, error));
    } else if (!made->is_shown) {
        made->is_present = false; /* Both are expired, and that is that. */
        return TARN_OK;
    }
    made->is_shown = true;
    made->stamp_ms = stamp_ms;
    return TARN_OK;
}

/* Reads a namespace of the current key and takes it in. */
static tarn_status read_and_take(
    tarn_keyed *keyed,
    merged *made,
    tarn__fold_merge_fn *merge,
    void *context,
    tarn_bytes name_space,
    bool is_target,
    tarn__rocks_batch *batch,
    tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    const int64_t now_ms = tarn__keyed_now(keyed);
    tarn_bytes row;
    tarn_bytes stored;
    tarn__keyed_content content;
    TARN_TRY(tarn__keyed_make_row(keyed, name_space, tarn_bytes_at(NULL, 0), &row, error));
    const tarn_status status = tarn__keyed_read(keyed, row, &pin, &stored, error);
    if (status == TARN_NOT_FOUND) {
        return TARN_OK;
    }
    TARN_TRY(status);
    TARN_TRY(tarn__keyed_look(keyed, stored, now_ms, &content, error));
    made->has_found = true;
    if (keyed->workset == NULL) {
        tarn__rocks_batch_delete(batch, keyed->family, row);
    }
    return take(
        keyed, made, merge, context, &content, tarn__keyed_stamp(keyed, now_ms), is_target, error);
}

/* Writes what was made under the target, with its stamp. */
static tarn_status add_target(
    tarn_keyed *keyed,
    const merged *made,
    tarn_bytes target,
    tarn__rocks_batch *batch,
    tarn_error *error)
{
    tarn_bytes row;
    uint8_t stamp[TARN__STAMP_BYTES];
    tarn__stamp_encode(stamp, made->stamp_ms);
    keyed->scratch.size = 0;
    if ((keyed->has_ttl &&
         tarn_buffer_append(&keyed->scratch, tarn_bytes_at(stamp, sizeof stamp)) != TARN_OK) ||
        tarn_buffer_append(&keyed->scratch, tarn_buffer_bytes(&made->value)) != TARN_OK) {
        return tarn__fail_no_memory(error, "a merged value", made->value.size);
    }
    TARN_TRY(tarn__keyed_make_row(keyed, target, tarn_bytes_at(NULL, 0), &row, error));
    if (keyed->workset != NULL) {
        return tarn__keyed_write(keyed, row, tarn_buffer_bytes(&keyed->scratch), error);
    }
    tarn__rocks_batch_put(batch, keyed->family, row, tarn_buffer_bytes(&keyed->scratch));
    return TARN_OK;
}

/* Removes a row that the batch does not know of. */
static tarn_status erase_hot(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    tarn_bytes row;
    TARN_TRY(tarn__keyed_make_row(keyed, name_space, tarn_bytes_at(NULL, 0), &row, error));
    return tarn__keyed_erase(keyed, row, error);
}

/*
 * Moves what was made by way of the working set: the target first, as it needs memory. The rows of
 * the sources were made before, so that what fails after it is the store, which poisons.
 */
static tarn_status move_hot(
    tarn_keyed *keyed,
    const merged *made,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    bool has_read_target,
    tarn_error *error)
{
    if (made->is_present) {
        TARN_TRY(add_target(keyed, made, target, NULL, error));
    } else if (has_read_target) {
        TARN_TRY(erase_hot(keyed, target, error));
    }
    for (size_t i = 0; i < source_count; i++) {
        TARN_TRY(erase_hot(keyed, sources[i], error));
    }
    return TARN_OK;
}

static tarn_status collect(
    tarn_keyed *keyed,
    tarn__fold_merge_fn *merge,
    void *context,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn__rocks_batch *batch,
    tarn_error *error)
{
    const tarn_allocator *allocator = &keyed->backend->buffers->face;
    TARN_AUTO(clear_merged)
    merged made = {.value = {.allocator = allocator}, .next = {.allocator = allocator}};
    for (size_t i = 0; i < source_count; i++) {
        TARN_TRY(read_and_take(
            keyed, &made, merge, context, sources[i], /* is_target= */ false, batch, error));
    }
    const bool has_something = made.is_present; /* Else the target stays as it is. */
    if (has_something) {
        TARN_TRY(read_and_take(
            keyed, &made, merge, context, target, /* is_target= */ true, batch, error));
    }
    if (keyed->workset != NULL && made.has_found) {
        return move_hot(keyed, &made, sources, source_count, target, has_something, error);
    }
    return made.is_present ? add_target(keyed, &made, target, batch, error) : TARN_OK;
}

tarn_status tarn__fold_merge(
    tarn_keyed *keyed,
    tarn__fold_merge_fn *merge,
    void *context,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error)
{
    tarn__rocks_batch batch;
    tarn__rocks_batch_init(&batch);
    tarn_status status =
        collect(keyed, merge, context, sources, source_count, target, &batch, error);
    if (status == TARN_OK && batch.bytes > 0) {
        status = tarn__backend_finish_write(
            keyed->backend, tarn__rocks_batch_write(keyed->backend->rocks, &batch, error), error);
    }
    tarn__rocks_batch_clear(&batch);
    return status;
}
