/* hot_store.c - see hot_store.h. */
#include "state/hot_store.h"

#include "base/turn.h"
#include "state/hot.h"

enum {
    PIECE_ROWS = 128,      /* Of a run, written in one step: others wait for no more. */
    TABLE_ROWS_MIN = 4096, /* Of a state and run: fewer are no table file of their own. */
    MEMTABLE_SHARE = 2,    /* Of a slot's: what is more than that goes past memtables. */
    RUN_SHARE = 4,         /* A run has at most one part in so many of the capacity. */
};

/* ---- what the working set asks of the backend -------------------------------------------- */

/* The row of a change in one piece. */
static tarn_status join_row(
    tarn_backend *backend, const tarn__change *change, tarn_bytes *out, tarn_error *error)
{
    tarn_buffer *row = &backend->hot_row;
    if (change->suffix.size == 0) {
        *out = change->row;
        return TARN_OK;
    }
    if (tarn_buffer_assign(row, change->row) != TARN_OK ||
        tarn_buffer_append(row, change->suffix) != TARN_OK) {
        return tarn__fail_no_memory(error, "a row", change->row.size + change->suffix.size);
    }
    *out = tarn_buffer_bytes(row);
    return TARN_OK;
}

static void add_row(tarn__rocks_batch *batch, const tarn__change *change, tarn_bytes row)
{
    switch (change->kind) {
    case TARN__CHANGE_PUT:
        tarn__rocks_batch_put(batch, change->family, row, change->value);
        break;
    case TARN__CHANGE_DELETE:
        tarn__rocks_batch_delete(batch, change->family, row);
        break;
    case TARN__CHANGE_MERGE:
        tarn__rocks_batch_merge(batch, change->family, row, change->value);
        break;
    }
}

static tarn_status add_change(tarn_backend *backend, const tarn__change *change, tarn_error *error)
{
    tarn_bytes row;
    TARN_TRY(join_row(backend, change, &row, error));
    add_row(&backend->hot_batch, change, row);
    return TARN_OK;
}

tarn_status tarn__hot_write_changes(
    tarn_backend *backend, const tarn__change *changes, size_t count, tarn_error *error)
{
    tarn_status status = TARN_OK;
    for (size_t i = 0; i < count && status == TARN_OK; i++) {
        status = add_change(backend, &changes[i], error);
    }
    if (status == TARN_OK) {
        status = tarn__rocks_batch_write(backend->rocks, &backend->hot_batch, error);
    }
    return tarn__backend_finish_write(backend, status, error);
}

static tarn_status write_changes(
    void *context, const tarn__change *changes, size_t count, tarn_error *error)
{
    return tarn__hot_write_changes(context, changes, count, error);
}

/* ---- runs: the workers ------------------------------------------------------------------- */

/* Rows of one family through the memtable: in order, which is what makes that cheap. */
static tarn_status write_pieces(
    tarn_backend *backend, const tarn__run *run, uint32_t begin, uint32_t end, tarn_error *error)
{
    tarn__rocks_batch batch;
    tarn__turn turn = {0};
    tarn__rocks_batch_init(&batch);
    tarn_status status = TARN_OK;
    for (uint32_t at = begin; at < end && status == TARN_OK; (void)tarn__turn_look(&turn)) {
        for (uint32_t i = 0; i < PIECE_ROWS && at < end; i++, at++) {
            const tarn__change change = tarn__run_at(run, at);
            add_row(&batch, &change, change.row);
        }
        status = tarn__rocks_batch_write(backend->rocks, &batch, error);
    }
    tarn__rocks_batch_clear(&batch);
    return status;
}

static tarn_status add_to_table(
    tarn__rocks_run *table, const tarn__change *change, tarn_error *error)
{
    return change->kind == TARN__CHANGE_DELETE
               ? tarn__rocks_run_delete(table, change->row, error)
               : tarn__rocks_run_put_value(table, change->row, change->value, error);
}

/* Rows of one family as a table file that the store takes in. */
static tarn_status write_table(
    const tarn__run *run, uint32_t begin, uint32_t end, tarn_error *error)
{
    TARN_AUTO(tarn__rocks_run_close) tarn__rocks_run *table = NULL;
    tarn__turn turn = {0};
    TARN_TRY(tarn__rocks_run_open(tarn__run_at(run, begin).family, &table, error));
    for (uint32_t at = begin; at < end; at++) {
        const tarn__change change = tarn__run_at(run, at);
        TARN_TRY(add_to_table(table, &change, error));
        tarn__turn_step(&turn);
    }
    return tarn__rocks_run_finish(table, error);
}

/* Of one that is lent the task decided before it lent. */
static bool is_for_tables(const tarn_backend *backend, const tarn__run *run)
{
    return backend->has_tables || (tarn__run_is_lent(run) && backend->is_awaited);
}

/* A failure comes to the task by fail(). */
static tarn_status write_run(void *context, const tarn__run *run, tarn_error *error)
{
    const uint32_t count = tarn__run_count(run);
    for (uint32_t begin = 0; begin < count;) {
        const uint32_t end = tarn__run_end_of_family(run, begin);
        TARN_TRY(
            end - begin >= TABLE_ROWS_MIN && is_for_tables(context, run)
                ? write_table(run, begin, end, error)
                : write_pieces(context, run, begin, end, error));
        begin = end;
    }
    return TARN_OK;
}

tarn_status tarn__hot_open_runs(tarn_backend *backend, tarn_error *error)
{
    const tarn__runs_options options = {
        .account = backend->account,
        .workers = tarn__env_workers(backend->env),
        .write = write_run,
        .context = backend,
    };
    return tarn__runs_open(&options, &backend->runs, error);
}

void tarn__hot_close_runs(tarn_backend *backend)
{
    tarn__runs_close(backend->runs);
    backend->runs = NULL;
}

/*
 * One run has all of a drain if it can: a memtable takes one long row of rows in order at a third
 * of what many short ones cost, as each of those begins its search anew; and a run that is large is
 * not full when the stream writes many frozen rows at once, which it would have to write itself
 * then.
 */
void tarn__hot_prepare_drain(tarn_backend *backend)
{
    tarn__workset_figures figures;
    const uint64_t limit = tarn__env_slot_memtables(backend->env); /* Slots drain at once. */
    tarn__workset_measure(backend->workset, &figures);
    const uint64_t bytes = figures.memory_bytes / (figures.row_count + 1) * figures.dirty_count;
    const uint64_t wanted = bytes + figures.dirty_count * TARN__RUN_ROW_BYTES;
    const uint64_t most = figures.capacity_bytes / RUN_SHARE;
    backend->has_tables = bytes > limit / MEMTABLE_SHARE;
    backend->is_awaited = false;
    tarn__runs_set_bytes(backend->runs, wanted < most ? wanted : most);
}

void tarn__hot_note_awaited(tarn_backend *backend)
{
    backend->is_awaited = true;
    tarn__rocks_seal_memtables(backend->rocks);
}

void tarn__hot_send_runs(tarn_backend *backend)
{
    if (backend->runs != NULL) {
        tarn__runs_send(backend->runs);
    }
}

void tarn__hot_land(tarn_backend *backend)
{
    tarn_error error;
    if (backend->workset != NULL) {
        const tarn_status landed = tarn__workset_land(backend->workset, &error);
        (void)landed; /* A failure poisons. */
    }
}

void tarn__hot_note_failure(tarn_backend *backend)
{
    tarn_error error;
    if (backend->runs != NULL && tarn__runs_check(backend->runs, &error) != TARN_OK) {
        tarn__backend_poison(backend, &error);
    }
}

/* ---- the store -------------------------------------------------------------------------- */

static tarn_status fail(void *context, tarn_status status, tarn_error *error)
{
    return tarn__backend_finish_write(context, status, error);
}

static bool is_held(void *context)
{
    const tarn_backend *backend = context;
    return atomic_load_explicit(&backend->is_gate_shut, memory_order_acquire);
}

static tarn_status release(void *context, tarn_error *error)
{
    tarn_backend *backend = context;
    tarn__backend_wait_at_gate(backend);
    if (backend->poison.status != TARN_OK) {
        return tarn__fail(error, TARN_POISONED, "%s", backend->poison.message);
    }
    return TARN_OK;
}

tarn__workset_store tarn__hot_store(tarn_backend *backend)
{
    return (tarn__workset_store){write_changes, is_held, release, fail, backend};
}
