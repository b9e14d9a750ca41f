/*
 * migrate.c - rows of older schemas, written anew in slices. See schema.h.
 *
 * What is read is the store: what the working set has of the rows ahead goes there before, so that
 * no older value comes over a younger one. Rows are written by content only: to a reader nothing
 * changes, and a slice that fails leaves rows of both generations, as before it.
 */
#include "state/hot.h"

enum { BATCH_BYTES_MAX = 256 << 10, ROWS_PER_REPORT = 4 << 20, MARK_BYTES = 1 };

typedef struct migration {
    tarn_keyed *keyed;
    tarn__rocks_iterator *rows;
    tarn__rocks_batch batch;
    uint64_t row_count_max; /* 0: all. */
    uint64_t seen_count;
    uint64_t written_count; /* In the batch. */
} migration;

static void report(const migration *m)
{
    const tarn_migration_progress *progress = &m->keyed->schemas.progress;
    tarn__env_log(
        m->keyed->backend->env,
        TARN_LOG_INFO,
        "state \"%s\" is being migrated: %llu rows seen, %llu written anew",
        m->keyed->family->name,
        (unsigned long long)progress->seen_count,
        (unsigned long long)progress->migrated_count);
}

/* Writes what was collected; the next slice begins behind the row. */
static tarn_status write_rows(migration *m, tarn_bytes row, tarn_error *error)
{
    static const uint8_t LEAST[] = {0};
    tarn__schemas *schemas = &m->keyed->schemas;
    tarn_backend *backend = m->keyed->backend;
    if (m->written_count > 0) {
        TARN_TRY(tarn__backend_finish_write(
            backend, tarn__rocks_batch_write(backend->rocks, &m->batch, error), error));
    }
    schemas->progress.migrated_count += m->written_count;
    m->written_count = 0;
    if (tarn_buffer_assign(&schemas->cursor, row) != TARN_OK ||
        tarn_buffer_append(&schemas->cursor, tarn_bytes_at(LEAST, sizeof LEAST)) != TARN_OK) {
        schemas->cursor.size = 0;
        return tarn__fail_no_memory(error, "a row", row.size);
    }
    return TARN_OK;
}

/* Looks at a row, and collects it when it is to be written anew. */
static tarn_status take_row(migration *m, tarn_bytes row, tarn_bytes stored, tarn_error *error)
{
    tarn_keyed *keyed = m->keyed;
    tarn__rocks_family *family = keyed->family;
    const tarn__rocks_marks *marks = &family->marks;
    const uint8_t *data = stored.data;
    if (stored.size < MARK_BYTES) {
        return tarn__keyed_fail_row(keyed, row.size, error);
    }
    const uint8_t generation = data[stored.size - MARK_BYTES];
    if (generation == marks->generation) {
        return TARN_OK;
    }
    tarn_bytes value = tarn_bytes_at(data, stored.size - MARK_BYTES);
    if (!marks->is_as_is[generation]) {
        keyed->schemas.row.size = 0;
        TARN_TRY(marks->upgrade(marks->context, generation, value, &keyed->schemas.row, error));
        value = tarn_buffer_bytes(&keyed->schemas.row);
    }
    tarn__rocks_batch_put(&m->batch, family, row, value);
    m->written_count++;
    return TARN_OK;
}

static tarn_status run(migration *m, tarn_error *error)
{
    tarn__schemas *schemas = &m->keyed->schemas;
    tarn_status status = TARN_OK;
    tarn_bytes row = {NULL, 0};
    tarn_bytes stored;
    while ((m->row_count_max == 0 || m->seen_count < m->row_count_max) &&
           (status = tarn__rocks_iterator_next(m->rows, &row, &stored, error)) == TARN_OK) {
        TARN_TRY(take_row(m, row, stored, error));
        m->seen_count++;
        if (++schemas->progress.seen_count % ROWS_PER_REPORT == 0) {
            report(m);
        }
        if (m->batch.bytes >= BATCH_BYTES_MAX || m->seen_count == m->row_count_max) {
            TARN_TRY(write_rows(m, row, error));
        }
    }
    if (status == TARN_DONE && m->written_count > 0) {
        TARN_TRY(write_rows(m, tarn_bytes_at(NULL, 0), error));
    }
    return status;
}

static tarn_status run_slice(tarn_keyed *keyed, uint64_t row_count_max, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    const tarn_buffer *cursor = &keyed->schemas.cursor;
    uint8_t first[TARN__ROW_GROUP_BYTES];
    uint8_t end[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(first, backend->key_groups.first);
    tarn__row_encode_group(end, backend->key_groups.last + 1u);
    const tarn_bytes lower =
        cursor->size > 0 ? tarn_buffer_bytes(cursor) : tarn_bytes_at(first, sizeof first);
    const tarn_bytes upper = tarn_bytes_at(end, sizeof end);
    migration m = {.keyed = keyed, .row_count_max = row_count_max};
    TARN_TRY(tarn__hot_settle(backend, keyed->family, lower, upper, error));
    TARN_TRY(tarn__rocks_iterate_raw(keyed->family, lower, upper, &m.rows, error));
    tarn__rocks_batch_init(&m.batch);
    const tarn_status status = run(&m, error);
    tarn__rocks_batch_clear(&m.batch);
    tarn__rocks_iterator_close(m.rows);
    return status;
}

/* Reads by iterators that are still open need the older schemas; what is stored does not. */
static tarn_status finish(tarn_keyed *keyed, tarn_error *error)
{
    tarn__schemas *schemas = &keyed->schemas;
    tarn_backend *backend = keyed->backend;
    tarn__descriptor pruned = schemas->descriptor;
    pruned.schema_count = 1;
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &backend->account->face};
    if (tarn__descriptor_encode(&pruned, &bytes) != TARN_OK) {
        return tarn__fail_no_memory(error, "a descriptor", tarn__descriptor_size(&pruned));
    }
    TARN_TRY(tarn__backend_finish_write(
        backend,
        tarn__rocks_put(
            tarn__rocks_default_family(backend->rocks),
            tarn_bytes_of(keyed->family->name),
            tarn_buffer_bytes(&bytes),
            error),
        error));
    schemas->progress.is_complete = true;
    return TARN_OK;
}

tarn_status tarn_keyed_migrate(
    tarn_keyed *keyed, uint64_t row_count_max, tarn_migration_progress *out, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    tarn__schemas *schemas = &keyed->schemas;
    tarn__rocks_stats stats;
    TARN_TRY(tarn__backend_enter_write(backend, error));
    tarn__rocks_unpin(&backend->pin);
    if (schemas->descriptor.schema_count == 1) {
        schemas->progress.is_complete = true;
    }
    if (!schemas->progress.is_complete) {
        const tarn_status status = run_slice(keyed, row_count_max, error);
        if (status == TARN_DONE) {
            TARN_TRY(finish(keyed, error));
        } else {
            TARN_TRY(status);
        }
    }
    tarn__rocks_measure_family(keyed->family, &stats);
    schemas->progress.row_count_estimate = stats.row_count_estimate;
    if (out != NULL) {
        *out = schemas->progress;
    }
    return TARN_OK;
}
