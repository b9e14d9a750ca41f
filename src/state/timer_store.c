/* timer_store.c - timers on their way to and from the store. See timers.h. */
#include "state/timers.h"

#include <assert.h>

enum {
    BATCH_BYTES = 64 << 10,
    /* From so many rows on, a table file costs less than the memtable, fsync included. */
    RUN_ROWS_MIN = 16 << 10,
    /* Dead rows that a group may have: a range tombstone costs every later read a little. */
    DEAD_ROWS_MAX = 16 << 10,
};

/* ---- rows ------------------------------------------------------------------------------- */

size_t tarn__timer_encode_row(uint8_t *out, uint32_t key_group, const tarn__timer *timer)
{
    tarn__row_encode_group(out, key_group);
    for (uint32_t i = 0; i < TARN__TIMER_TIME_BYTES; i++) {
        out[TARN__ROW_GROUP_BYTES + i] = (uint8_t)(timer->time >> (56 - 8 * i));
    }
    memcpy(out + TARN__TIMER_TAIL_OFFSET, timer->tail.data, timer->tail.size);
    return TARN__TIMER_TAIL_OFFSET + timer->tail.size;
}

bool tarn__timer_decode_row(tarn_bytes row, uint32_t *group_out, tarn__timer *out)
{
    const uint8_t *data = row.data;
    if (row.size < TARN__TIMER_TAIL_OFFSET) {
        return false;
    }
    *group_out = (uint32_t)data[0] << 8 | data[1];
    out->time = 0;
    for (uint32_t i = 0; i < TARN__TIMER_TIME_BYTES; i++) {
        out->time = out->time << 8 | data[TARN__ROW_GROUP_BYTES + i];
    }
    out->tail = tarn_bytes_at(data + TARN__TIMER_TAIL_OFFSET, row.size - TARN__TIMER_TAIL_OFFSET);
    out->hash = (uint32_t)tarn_hash_bytes(row);
    tarn_bytes key;
    tarn_bytes name_space;
    return tarn__row_decode_tail(out->tail, &key, &name_space);
}

static tarn_status fail_row(const tarn_timers *timers, size_t size, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_CORRUPTION,
        "the timers \"%s\" hold a key of %zu bytes that is no timer of this subtask",
        timers->keyed.child.name,
        size);
}

/* The row of a timer that went through timers->row, so that it fits. */
static tarn_bytes edge_row(tarn_timers *timers, uint32_t group, const tarn__timer *timer)
{
    assert(TARN__TIMER_TAIL_OFFSET + timer->tail.size <= timers->edge.capacity);
    const size_t size =
        tarn__timer_encode_row(timers->edge.data, timers->first_group + group, timer);
    return tarn_bytes_at(timers->edge.data, size);
}

/* ---- reading ---------------------------------------------------------------------------- */

tarn_status tarn__timers_look_up(tarn_timers *timers, tarn_bytes row, bool *out, tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn_bytes value;
    const tarn_status status = tarn__rocks_get(timers->keyed.family, row, &pin, &value, error);
    if (status != TARN_OK && status != TARN_NOT_FOUND) {
        return status;
    }
    *out = status == TARN_OK;
    return TARN_OK;
}

/* Called for each row; any status but TARN_OK ends the visit and is passed on. */
typedef tarn_status visit_row(
    tarn_timers *timers, tarn_bytes row, void *context, tarn_error *error);

static void close_rows(tarn__rocks_iterator **rows)
{
    tarn__rocks_iterator_close(*rows);
}

/* Begins to read from a row on, to the end of a group. */
static tarn_status begin_rows(
    tarn_timers *timers,
    tarn_bytes lower,
    uint32_t last_group,
    bool fills_cache,
    tarn__rocks_iterator **out,
    tarn_error *error)
{
    const uint32_t end = timers->first_group + last_group + 1;
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(upper, end);
    const tarn__rocks_scan scan = {
        .lower = lower,
        .upper = tarn_bytes_at(upper, sizeof upper),
        .fills_cache = fills_cache,
    };
    return tarn__rocks_iterate_scan(timers->keyed.family, &scan, out, error);
}

/* Takes a row in that was read; rows come in order, and the first that does not fit ends it. */
static tarn_status take_row(
    tarn_timers *timers, tarn__timer_group *group, const tarn__timer *timer, tarn_error *error)
{
    const tarn__timer_head_outcome outcome = tarn__timer_head_insert(
        &group->head,
        tarn__timer_head_count(&group->head),
        timer,
        /* is_dirty= */ false,
        timers->keyed.backend->account,
        tarn__timers_scratch(timers));
    if (outcome == TARN__TIMER_HEAD_NO_MEMORY) {
        return tarn__fail_no_memory(error, "a timer", timer->tail.size);
    }
    return outcome == TARN__TIMER_HEAD_FULL ? TARN_DONE : TARN_OK;
}

/* Reads every row of the store in order. */
static tarn_status visit_rows(
    tarn_timers *timers, visit_row *visit, void *context, tarn_error *error)
{
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(lower, timers->first_group);
    TARN_AUTO(close_rows) tarn__rocks_iterator *rows = NULL;
    TARN_TRY(begin_rows(
        timers,
        tarn_bytes_at(lower, sizeof lower),
        timers->group_count - 1,
        /* fills_cache= */ false,
        &rows,
        error));
    for (;;) {
        tarn_bytes row;
        tarn_bytes value;
        const tarn_status status = tarn__rocks_iterator_next(rows, &row, &value, error);
        if (status == TARN_DONE) {
            return TARN_OK;
        }
        TARN_TRY(status);
        TARN_TRY(visit(timers, row, context, error));
    }
}

static tarn_status restore_row(
    tarn_timers *timers, tarn_bytes row, void *context, tarn_error *error)
{
    (void)context;
    uint32_t key_group = 0;
    tarn__timer timer;
    if (!tarn__timer_decode_row(row, &key_group, &timer) || key_group < timers->first_group ||
        key_group - timers->first_group >= timers->group_count) {
        return fail_row(timers, row.size, error);
    }
    tarn__timer_group *group = &timers->groups[key_group - timers->first_group];
    if (group->count == 0) {
        group->floor_time = timer.time;
    }
    if (group->count == tarn__timer_head_count(&group->head)) {
        const tarn_status status = take_row(timers, group, &timer, error);
        if (status != TARN_DONE) {
            TARN_TRY(status);
        }
    }
    group->count++;
    timers->count++;
    tarn__timer_filter_add(&timers->filter, timer.hash);
    return TARN_OK;
}

tarn_status tarn__timers_restore(tarn_timers *timers, tarn_error *error)
{
    TARN_TRY(visit_rows(timers, restore_row, NULL, error));
    for (uint32_t i = 0; i < timers->group_count; i++) {
        tarn__timers_place(timers, i);
    }
    return TARN_OK;
}

/* What count_row() looks for and has found. */
typedef struct namespace_count {
    tarn_bytes name_space;
    uint64_t count;
} namespace_count;

static tarn_status count_row(tarn_timers *timers, tarn_bytes row, void *context, tarn_error *error)
{
    namespace_count *counted = context;
    uint32_t key_group = 0;
    tarn__timer timer;
    tarn_bytes key;
    tarn_bytes name_space;
    if (!tarn__timer_decode_row(row, &key_group, &timer) ||
        !tarn__row_decode_tail(timer.tail, &key, &name_space)) {
        return fail_row(timers, row.size, error);
    }
    counted->count += tarn_bytes_is_equal(name_space, counted->name_space) ? 1 : 0;
    return TARN_OK;
}

tarn_status tarn_timers_count_namespace(
    tarn_timers *timers, tarn_bytes name_space, uint64_t *out, tarn_error *error)
{
    namespace_count counted = {.name_space = name_space};
    TARN_TRY(tarn__timers_settle(timers, error));
    TARN_TRY(visit_rows(timers, count_row, &counted, error));
    *out = counted.count;
    return TARN_OK;
}

/* Where the rows of a group begin that are not dead. Lies in timers->edge. */
static tarn_status lower_bound(
    tarn_timers *timers, uint32_t index, tarn_bytes *out, tarn_error *error)
{
    const tarn__timer_group *group = &timers->groups[index];
    tarn__timer timer = {.time = group->floor_time, .tail = tarn_bytes_at("", 0)};
    if (group->head.has_mark) {
        timer = tarn__timer_head_mark(&group->head);
    }
    const size_t size = TARN__TIMER_TAIL_OFFSET + timer.tail.size + 1;
    if (tarn_buffer_reserve(&timers->edge, size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a row", size);
    }
    *out = edge_row(timers, index, &timer);
    if (group->head.has_mark) {
        timers->edge.data[out->size] = 0; /* The first row behind it. */
        out->size++;
    }
    return TARN_OK;
}

static tarn_status fill_from(
    tarn_timers *timers,
    tarn__timer_group *group,
    tarn__rocks_iterator *rows,
    bool *is_whole_out,
    tarn_error *error)
{
    for (;;) {
        tarn_bytes row;
        tarn_bytes value;
        const tarn_status status = tarn__rocks_iterator_next(rows, &row, &value, error);
        if (status == TARN_DONE) {
            *is_whole_out = true;
            return TARN_OK;
        }
        TARN_TRY(status);
        uint32_t key_group = 0;
        tarn__timer timer;
        if (!tarn__timer_decode_row(row, &key_group, &timer)) {
            return fail_row(timers, row.size, error);
        }
        const tarn_status taken = take_row(timers, group, &timer, error);
        if (taken == TARN_DONE) {
            return TARN_OK;
        }
        TARN_TRY(taken);
    }
}

/* ---- writing ---------------------------------------------------------------------------- */

static tarn_status write_batch(tarn_timers *timers, tarn_error *error)
{
    if (timers->batch.bytes == 0) {
        return TARN_OK;
    }
    tarn_backend *backend = timers->keyed.backend;
    const tarn_status status = tarn__rocks_batch_write(backend->rocks, &timers->batch, error);
    return tarn__backend_finish_write(backend, status, error);
}

static tarn_status put_row(tarn_timers *timers, tarn_bytes row, tarn_error *error)
{
    tarn__rocks_batch_put(&timers->batch, timers->keyed.family, row, tarn_bytes_at("", 0));
    return timers->batch.bytes >= BATCH_BYTES ? write_batch(timers, error) : TARN_OK;
}

tarn_status tarn__timers_delete_row(tarn_timers *timers, tarn_bytes row, tarn_error *error)
{
    tarn_backend *backend = timers->keyed.backend;
    TARN_TRY(tarn__backend_enter_write(backend, error));
    const tarn_status status = tarn__rocks_delete(timers->keyed.family, row, error);
    return tarn__backend_finish_write(backend, status, error);
}

/* Removes the rows of a group from its floor to its mark. */
static tarn_status remove_dead(tarn_timers *timers, uint32_t index, tarn_error *error)
{
    tarn__timer_group *group = &timers->groups[index];
    if (group->dead_count == 0) {
        return TARN_OK;
    }
    uint8_t lower[TARN__TIMER_TAIL_OFFSET];
    const tarn__timer floor = {.time = group->floor_time, .tail = tarn_bytes_at("", 0)};
    tarn__timer_encode_row(lower, timers->first_group + index, &floor);
    tarn_bytes upper;
    TARN_TRY(lower_bound(timers, index, &upper, error));
    TARN_TRY(tarn__backend_enter_write(timers->keyed.backend, error));
    tarn__rocks_batch_delete_range(
        &timers->batch, timers->keyed.family, tarn_bytes_at(lower, sizeof lower), upper);
    TARN_TRY(write_batch(timers, error));
    group->floor_time = group->head.mark.time;
    group->dead_count = 0;
    return TARN_OK;
}

tarn_status tarn__timers_drop_mark(tarn_timers *timers, uint32_t index, tarn_error *error)
{
    tarn__timer_group *group = &timers->groups[index];
    TARN_TRY(remove_dead(timers, index, error));
    group->head.has_mark = false;
    return TARN_OK;
}

/* Notes that a row of the group is about to be in the store. */
static void lower_floor(tarn__timer_group *group, uint64_t time)
{
    if (time < group->floor_time) {
        group->floor_time = time;
    }
}

static tarn_status write_entries(tarn_timers *timers, tarn__rocks_run *run, tarn_error *error)
{
    const tarn__timer_buffer *buffer = &timers->buffer;
    for (uint32_t i = 0; i < buffer->count; i++) {
        const tarn__timer_entry *entry = &buffer->entries[i];
        if (entry->is_dead) {
            continue;
        }
        const tarn__timer timer = tarn__timer_buffer_at(buffer, entry);
        lower_floor(&timers->groups[entry->group], timer.time);
        const tarn_bytes row = edge_row(timers, entry->group, &timer);
        TARN_TRY(run != NULL ? tarn__rocks_run_add(run, row, error) : put_row(timers, row, error));
    }
    return run != NULL ? tarn__rocks_run_finish(run, error) : write_batch(timers, error);
}

static tarn_status write_sorted(tarn_timers *timers, tarn_error *error)
{
    TARN_AUTO(tarn__rocks_run_close) tarn__rocks_run *run = NULL;
    if (tarn__timer_buffer_live_count(&timers->buffer) >= RUN_ROWS_MIN) {
        const tarn_status status = tarn__rocks_run_open(timers->keyed.family, &run, error);
        if (status != TARN_OK && status != TARN_NO_MEMORY && status != TARN_OVER_BUDGET) {
            return status;
        }
    }
    return write_entries(timers, run, error);
}

tarn_status tarn__timers_flush(tarn_timers *timers, tarn_error *error)
{
    tarn__timer_buffer *buffer = &timers->buffer;
    if (tarn__timer_buffer_live_count(buffer) > 0) {
        TARN_TRY(tarn__backend_enter_write(timers->keyed.backend, error));
        tarn__timer_buffer_sort(buffer);
        TARN_TRY(
            tarn__backend_finish_write(timers->keyed.backend, write_sorted(timers, error), error));
        for (uint32_t i = 0; i < buffer->count; i++) {
            timers->groups[buffer->entries[i].group].buffered_count = 0;
        }
    }
    tarn__timer_buffer_empty(buffer);
    return TARN_OK;
}

tarn_status tarn__timers_begin_rows(
    tarn_timers *timers, uint32_t index, tarn__rocks_iterator **out, tarn_error *error)
{
    tarn_bytes lower;
    TARN_TRY(lower_bound(timers, index, &lower, error));
    return begin_rows(timers, lower, index, /* fills_cache= */ true, out, error);
}

tarn_status tarn__timers_fill(tarn_timers *timers, uint32_t index, tarn_error *error)
{
    tarn__timer_group *group = &timers->groups[index];
    assert(tarn__timer_head_count(&group->head) == 0 && group->count > 0);
    if (group->buffered_count > 0) {
        TARN_TRY(tarn__timers_flush(timers, error));
    }
    if (group->dead_count >= DEAD_ROWS_MAX) {
        TARN_TRY(remove_dead(timers, index, error));
    }
    tarn__timer_head_empty(&group->head, tarn__timers_scratch(timers));
    TARN_AUTO(close_rows) tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__timers_begin_rows(timers, index, &rows, error));
    bool is_whole = false;
    TARN_TRY(fill_from(timers, group, rows, &is_whole, error));
    const uint32_t found = tarn__timer_head_count(&group->head);
    if (is_whole ? found != group->count : found >= group->count) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "the timers \"%s\" have %llu timers in key group %u, but %u rows",
            timers->keyed.child.name,
            (unsigned long long)group->count,
            timers->first_group + index,
            found);
    }
    return TARN_OK;
}

/* ---- settling --------------------------------------------------------------------------- */

static tarn_status settle_group(tarn_timers *timers, uint32_t index, tarn_error *error)
{
    tarn__timer_group *group = &timers->groups[index];
    tarn__timer_head *head = &group->head;
    const uint32_t count = tarn__timer_head_count(head);
    TARN_TRY(remove_dead(timers, index, error));
    for (uint32_t i = 0; i < count; i++) {
        if (!tarn__timer_head_is_dirty(head, i)) {
            continue;
        }
        const tarn__timer timer = tarn__timer_head_at(head, i);
        if (head->has_mark) {
            const tarn__timer mark = tarn__timer_head_mark(head);
            head->has_mark = tarn__timer_compare(&timer, &mark) > 0;
        }
        lower_floor(group, timer.time);
        TARN_TRY(put_row(timers, edge_row(timers, index, &timer), error));
        tarn__timer_head_slots(head)[head->first + i].is_dirty = false;
    }
    return TARN_OK;
}

tarn_status tarn__timers_settle(tarn_timers *timers, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter_write(timers->keyed.backend, error));
    tarn_status settled = TARN_OK;
    for (uint32_t i = 0; i < timers->group_count && settled == TARN_OK; i++) {
        settled = settle_group(timers, i, error);
    }
    /* Timers in the batch are clean already: they must not stay there. */
    const tarn_status written = write_batch(timers, settled == TARN_OK ? error : NULL);
    TARN_TRY(settled);
    TARN_TRY(written);
    return tarn__timers_flush(timers, error);
}
