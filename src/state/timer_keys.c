/*
 * timer_keys.c - removing the timers of a key. See timers.h.
 *
 * A timer's row begins with its time, so those of a key lie among those of its key group: all of
 * them are looked at, in memory and, where there are more, in the store.
 */
#include "state/timers.h"

enum { BATCH_BYTES = 64 << 10 };

static void close_rows(tarn__rocks_iterator **rows)
{
    tarn__rocks_iterator_close(*rows);
}

/* The current key, encoded: what the tails of its timers begin with. */
static tarn_bytes current_key(const tarn_backend *backend)
{
    return tarn_bytes_at(
        backend->row.data + TARN__ROW_GROUP_BYTES, backend->row.size - TARN__ROW_GROUP_BYTES);
}

static bool is_of_current_key(const tarn_backend *backend, tarn_bytes tail)
{
    const tarn_bytes key = current_key(backend);
    return tail.size > key.size && memcmp(tail.data, key.data, key.size) == 0;
}

/* Removes a timer of the current key, found wherever it is. */
static tarn_status remove_found(
    tarn_timers *timers, const tarn__timer *timer, tarn__removal *removal, tarn_error *error)
{
    tarn_bytes key;
    tarn_bytes name_space;
    if (!tarn__row_decode_tail(timer->tail, &key, &name_space)) {
        return tarn__keyed_fail_row(&timers->keyed, timer->tail.size, error);
    }
    TARN_TRY(tarn_timers_remove(timers, tarn__timer_decode_time(timer->time), name_space, error));
    removal->has_removed = true;
    return TARN_OK;
}

static tarn_status remove_from_head(
    tarn_timers *timers, uint32_t group, tarn__removal *removal, tarn_error *error)
{
    const tarn__timer_head *head = &timers->groups[group].head;
    uint32_t i = 0;
    while (i < tarn__timer_head_count(head)) {
        const tarn__timer timer = tarn__timer_head_at(head, i);
        if (is_of_current_key(timers->keyed.backend, timer.tail)) {
            TARN_TRY(remove_found(timers, &timer, removal, error));
        } else {
            i++;
        }
    }
    return TARN_OK;
}

static tarn_status remove_from_buffer(
    tarn_timers *timers, uint32_t group, tarn__removal *removal, tarn_error *error)
{
    const tarn__timer_buffer *buffer = &timers->buffer;
    for (uint32_t i = 0; i < buffer->count && timers->groups[group].buffered_count > 0; i++) {
        const tarn__timer_entry *entry = &buffer->entries[i];
        if (entry->is_dead || entry->group != group) {
            continue;
        }
        const tarn__timer timer = tarn__timer_buffer_at(buffer, entry);
        if (is_of_current_key(timers->keyed.backend, timer.tail)) {
            TARN_TRY(remove_found(timers, &timer, removal, error));
        }
    }
    return TARN_OK;
}

/* Of open timers: whether the store has some that are not in memory. */
static bool has_beyond(const tarn_timers *timers, uint32_t group)
{
    const tarn__timer_group *of = &timers->groups[group];
    return of->count > (uint64_t)tarn__timer_head_count(&of->head) + of->buffered_count;
}

static tarn_status remove_beyond_memory(
    tarn_timers *timers, uint32_t group, tarn__removal *removal, tarn_error *error)
{
    TARN_AUTO(close_rows) tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__timers_begin_rows(timers, group, &rows, error));
    for (;;) {
        tarn_bytes row;
        tarn_bytes value;
        tarn__timer timer;
        uint32_t key_group = 0;
        const tarn_status status = tarn__rocks_iterator_next(rows, &row, &value, error);
        if (status == TARN_DONE) {
            return TARN_OK;
        }
        TARN_TRY(status);
        if (!tarn__timer_decode_row(row, &key_group, &timer)) {
            return tarn__keyed_fail_row(&timers->keyed, row.size, error);
        }
        if (is_of_current_key(timers->keyed.backend, timer.tail)) {
            TARN_TRY(remove_found(timers, &timer, removal, error));
        }
    }
}

static tarn_status remove_from_open(tarn_timers *timers, tarn__removal *removal, tarn_error *error)
{
    const uint8_t *prefix = timers->keyed.backend->row.data;
    const uint32_t group = ((uint32_t)prefix[0] << 8 | prefix[1]) - timers->first_group;
    TARN_TRY(remove_from_head(timers, group, removal, error));
    TARN_TRY(remove_from_buffer(timers, group, removal, error));
    return has_beyond(timers, group) ? remove_beyond_memory(timers, group, removal, error)
                                     : TARN_OK;
}

static tarn_status write_batch(
    tarn_backend *backend, tarn__rocks_batch *batch, tarn__removal *removal, tarn_error *error)
{
    removal->has_removed = true;
    return tarn__backend_finish_write(
        backend, tarn__rocks_batch_write(backend->rocks, batch, error), error);
}

/* Collects deletes of a key's rows, and writes them now and then. */
static tarn_status remove_rows(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn__rocks_iterator *rows,
    tarn__rocks_batch *batch,
    tarn__removal *removal,
    tarn_error *error)
{
    tarn_bytes row;
    tarn_bytes value;
    tarn_status status;
    while ((status = tarn__rocks_iterator_next(rows, &row, &value, error)) == TARN_OK) {
        if (row.size > TARN__TIMER_TAIL_OFFSET &&
            is_of_current_key(
                backend,
                tarn_bytes_at(
                    (const uint8_t *)row.data + TARN__TIMER_TAIL_OFFSET,
                    row.size - TARN__TIMER_TAIL_OFFSET))) {
            tarn__rocks_batch_delete(batch, family, row);
        }
        if (batch->bytes >= BATCH_BYTES) {
            TARN_TRY(write_batch(backend, batch, removal, error));
        }
    }
    TARN_TRY(status == TARN_DONE ? TARN_OK : status);
    return batch->bytes > 0 ? write_batch(backend, batch, removal, error) : TARN_OK;
}

static tarn_status remove_from_store(
    tarn_backend *backend, tarn__rocks_family *family, tarn__removal *removal, tarn_error *error)
{
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    memcpy(upper, backend->row.data, sizeof upper);
    TARN_AUTO(close_rows) tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(
        family,
        tarn_bytes_at(backend->row.data, TARN__ROW_GROUP_BYTES),
        tarn_bytes_at(upper, tarn__row_successor(upper, sizeof upper)),
        &rows,
        error));
    TARN_AUTO(tarn__rocks_batch_clear) tarn__rocks_batch batch;
    tarn__rocks_batch_init(&batch);
    return remove_rows(backend, family, rows, &batch, removal, error);
}

tarn_status tarn__timers_remove_key(
    tarn_backend *backend, tarn__rocks_family *family, tarn__removal *removal, tarn_error *error)
{
    for (tarn__child *child = backend->first_child; child != NULL; child = child->next) {
        tarn_keyed *keyed = tarn__keyed_of_child(child);
        if (keyed != NULL && keyed->family == family) {
            return remove_from_open((tarn_timers *)(void *)keyed, removal, error);
        }
    }
    return remove_from_store(backend, family, removal, error);
}
