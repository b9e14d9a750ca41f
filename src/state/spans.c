/*
 * spans.c - removing rows that lie together, and iterators over them. See keyed.h.
 *
 * Few rows are removed one by one, many by one range delete. A range tombstone is looked at by
 * every later read of its memtable or file until it is compacted away, so it must be worth it; a
 * tombstone per row makes each later scan step over it, and costs as much to write as the row did.
 * The border is where finding the rows, which point deletes need, costs about as much as a range
 * delete.
 */
#include "base/clock.h"
#include "state/hot.h"

enum { POINTS_MAX = 64 };

/* Collects deletes of up to POINTS_MAX rows; more of them set *is_many_out. */
static tarn_status collect(
    tarn__rocks_family *family,
    tarn__rocks_iterator *rows,
    tarn__rocks_batch *batch,
    uint32_t *count_out,
    tarn_error *error)
{
    for (uint32_t count = 0; count <= POINTS_MAX; count++) {
        tarn_bytes row;
        tarn_bytes value;
        const tarn_status status = tarn__rocks_iterator_next(rows, &row, &value, error);
        *count_out = count;
        if (status == TARN_DONE) {
            return TARN_OK;
        }
        TARN_TRY(status);
        tarn__rocks_batch_delete(batch, family, row);
    }
    *count_out = POINTS_MAX + 1;
    return TARN_OK;
}

/* Removes a span's few rows, or leaves its many; *is_many_out tells which, *has_any_out whether
 * there are any. */
static tarn_status remove_few(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    bool *is_many_out,
    bool *has_any_out,
    tarn_error *error)
{
    *is_many_out = false;
    *has_any_out = false;
    if (tarn_bytes_compare(lower, upper) >= 0) {
        return TARN_OK;
    }
    const tarn__rocks_scan scan = {
        .lower = lower, .upper = upper, .fills_cache = true, .is_raw = true};
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_scan(family, &scan, &rows, error));
    TARN_AUTO(tarn__rocks_batch_clear) tarn__rocks_batch batch;
    tarn__rocks_batch_init(&batch);
    uint32_t count = 0;
    tarn_status status = collect(family, rows, &batch, &count, error);
    tarn__rocks_iterator_close(rows);
    TARN_TRY(status);
    *is_many_out = count > POINTS_MAX;
    *has_any_out = count > 0;
    if (count == 0 || *is_many_out) {
        return TARN_OK;
    }
    status = tarn__rocks_batch_write(backend->rocks, &batch, error);
    return tarn__backend_finish_write(backend, status, error);
}

tarn_status tarn__span_remove(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn_error *error)
{
    bool is_many = false;
    bool has_any = false;
    TARN_TRY(remove_few(backend, family, lower, upper, &is_many, &has_any, error));
    if (!is_many) {
        return TARN_OK;
    }
    return tarn__backend_finish_write(
        backend, tarn__rocks_delete_range(family, lower, upper, error), error);
}

tarn_status tarn__span_drop(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn__removal *removal,
    tarn_error *error)
{
    bool is_many = false;
    bool has_any = false;
    TARN_TRY(remove_few(backend, family, lower, upper, &is_many, &has_any, error));
    removal->has_removed = removal->has_removed || has_any;
    if (!is_many) {
        return TARN_OK;
    }
    if (!removal->has_sealed) {
        tarn__rocks_seal_memtable(family);
        removal->has_sealed = true;
    }
    tarn_status status = tarn__rocks_delete_range(family, lower, upper, error);
    if (status == TARN_OK) {
        status = tarn__rocks_drop_files(family, lower, upper, error);
    }
    return tarn__backend_finish_write(backend, status, error);
}

tarn_status tarn__keyed_remove_span(tarn_keyed *keyed, tarn_error *error)
{
    return tarn__span_remove(
        keyed->backend,
        keyed->family,
        tarn_buffer_bytes(&keyed->lower),
        tarn_buffer_bytes(&keyed->upper),
        error);
}

tarn_status tarn__keyed_iterator_open(
    tarn__keyed_iterator *iterator,
    tarn_keyed *keyed,
    const tarn__rocks_scan *scan,
    const char *owner,
    tarn_error *error)
{
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__hot_settle(keyed->backend, keyed->family, scan->lower, scan->upper, error));
    TARN_TRY(tarn__rocks_iterate_scan(keyed->family, scan, &rows, error));
    tarn__keyed_iterator_adopt(iterator, keyed, rows, owner);
    return TARN_OK;
}

void tarn__keyed_iterator_adopt(
    tarn__keyed_iterator *iterator,
    tarn_keyed *keyed,
    tarn__rocks_iterator *rows,
    const char *owner)
{
    tarn_backend *backend = keyed->backend;
    iterator->rows = rows;
    iterator->keyed = keyed;
    iterator->opened_ns = tarn__clock_monotonic_ns(tarn__env_clock(backend->env));
    iterator->next = keyed->first_iterator;
    keyed->first_iterator = iterator;
    backend->iterator_count++;
    tarn__backend_adopt(backend, &iterator->child, "iterator", owner != NULL ? owner : "iterator");
}

void tarn__keyed_iterator_close(tarn__keyed_iterator *iterator)
{
    tarn_keyed *keyed = iterator->keyed;
    tarn__keyed_iterator **link = &keyed->first_iterator;
    while (*link != iterator) {
        link = &(*link)->next;
    }
    *link = iterator->next;
    keyed->backend->iterator_count--;
    tarn__backend_disown(keyed->backend, &iterator->child);
    tarn__rocks_iterator_close(iterator->rows);
}
