/* rows.c - points, batches and iterators of db.h. */
#include <assert.h>
#include <string.h>

#include "base/try.h"
#include "rocks/outcome.h"
#include "rocks/rocks_private.h"

enum { ROW_OVERHEAD_BYTES = 48 }; /* A skip-list node with its lengths and sequence number. */

tarn_status tarn__rocks_get(
    tarn__rocks_family *family,
    tarn_bytes key,
    tarn__rocks_pin *pin,
    tarn_bytes *out,
    tarn_error *error)
{
    char *message = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(
        family->rocks->db,
        family->rocks->read_options,
        family->handle,
        key.data,
        key.size,
        &message);
    if (__builtin_expect(message != NULL, 0)) {
        return tarn__rocks_outcome("read a row of", family->name, &message, error);
    }
    if (slice == NULL) {
        return TARN_NOT_FOUND;
    }
    tarn_bytes value;
    value.data = rocksdb_pinnableslice_value(slice, &value.size);
    pin->slice = slice;
    if (family->marks.is_on) {
        tarn_buffer upgraded = {.allocator = &family->rocks->row_account->face};
        const tarn_status status = tarn__rocks_unmark(family, &value, &upgraded, error);
        pin->upgraded = upgraded.data;
        if (__builtin_expect(status != TARN_OK, 0)) {
            tarn__rocks_unpin_slice(pin);
            return status;
        }
    }
    *out = value;
    return TARN_OK;
}

void tarn__rocks_unpin_slice(tarn__rocks_pin *pin)
{
    if (pin->slice != NULL) {
        rocksdb_pinnableslice_destroy(pin->slice);
    }
    tarn__release(pin->upgraded);
    *pin = (tarn__rocks_pin){.slice = NULL};
}

/* A small value with its mark, put together here: cheaper than what RocksDB does with two parts. */
enum { SMALL_BYTES_MAX = 1024 };

static tarn_bytes join_small(
    const tarn__rocks_family *family, tarn_bytes value, char out[SMALL_BYTES_MAX + 1])
{
    if (value.size > 0) {
        memcpy(out, value.data, value.size);
    }
    out[value.size] = (char)family->marks.generation;
    return tarn_bytes_at(out, value.size + TARN__ROCKS_MARK_BYTES);
}

/* Adds a marked row to a batch of RocksDB's. */
static void put_marked(
    rocksdb_writebatch_t *rows, const tarn__rocks_family *family, tarn_bytes key, tarn_bytes value)
{
    if (value.size <= SMALL_BYTES_MAX) {
        char joined[SMALL_BYTES_MAX + 1];
        value = join_small(family, value, joined);
        rocksdb_writebatch_put_cf(rows, family->handle, key.data, key.size, value.data, value.size);
        return;
    }
    const char *const keys[] = {key.data};
    const size_t key_sizes[] = {key.size};
    const char *const values[] = {value.data, (const char *)&family->marks.generation};
    const size_t value_sizes[] = {value.size, TARN__ROCKS_MARK_BYTES};
    rocksdb_writebatch_putv_cf(rows, family->handle, 1, keys, key_sizes, 2, values, value_sizes);
}

/*
 * Takes the mark off a value that was read ahead. One of an older generation is not read: upgrades
 * are the program's, and for its own thread.
 */
static tarn_status take_mark(const tarn__rocks_family *family, tarn_bytes *value)
{
    const uint8_t *bytes = value->data;
    if (!family->marks.is_on) {
        return TARN_OK;
    }
    if (value->size == 0) {
        return TARN_CORRUPTION;
    }
    const uint8_t generation = bytes[value->size - 1];
    if (generation != family->marks.generation && !family->marks.is_as_is[generation]) {
        return TARN_NOT_SUPPORTED;
    }
    value->size--;
    return TARN_OK;
}

void tarn__rocks_get_sorted(
    const tarn__rocks_family *family, tarn__rocks_read *reads, uint32_t count)
{
    const char *keys[TARN__ROCKS_READS_MAX];
    size_t sizes[TARN__ROCKS_READS_MAX];
    rocksdb_pinnableslice_t *slices[TARN__ROCKS_READS_MAX];
    char *messages[TARN__ROCKS_READS_MAX];
    assert(count > 0 && count <= TARN__ROCKS_READS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = reads[i].key.data;
        sizes[i] = reads[i].key.size;
        slices[i] = NULL;
        messages[i] = NULL;
    }
    rocksdb_batched_multi_get_cf(
        family->rocks->db,
        family->rocks->read_options,
        family->handle,
        count,
        keys,
        sizes,
        slices,
        messages,
        /* sorted_input= */ true);
    for (uint32_t i = 0; i < count; i++) {
        tarn__rocks_read *read = &reads[i];
        read->status = slices[i] != NULL ? TARN_OK : TARN_NOT_FOUND;
        if (messages[i] != NULL) {
            read->status = tarn__rocks_outcome("read rows of", family->name, &messages[i], NULL);
        } else if (slices[i] != NULL) {
            read->value.data = rocksdb_pinnableslice_value(slices[i], &read->value.size);
            read->pin.slice = slices[i];
            read->status = take_mark(family, &read->value);
        }
    }
}

tarn_status tarn__rocks_put(
    tarn__rocks_family *family, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    tarn__rocks_meter_add(&family->meter, key.size + value.size + ROW_OVERHEAD_BYTES);
    char *message = NULL;
    char joined[SMALL_BYTES_MAX + 1];
    if (family->marks.is_on && value.size <= SMALL_BYTES_MAX) {
        value = join_small(family, value, joined);
    } else if (family->marks.is_on) {
        rocksdb_writebatch_t *single = family->rocks->single;
        rocksdb_writebatch_clear(single);
        put_marked(single, family, key, value);
        rocksdb_write(family->rocks->db, family->rocks->write_options, single, &message);
        return __builtin_expect(message != NULL, 0)
                   ? tarn__rocks_outcome("write a row of", family->name, &message, error)
                   : TARN_OK;
    }
    rocksdb_put_cf(
        family->rocks->db,
        family->rocks->write_options,
        family->handle,
        key.data,
        key.size,
        value.data,
        value.size,
        &message);
    if (__builtin_expect(message != NULL, 0)) {
        return tarn__rocks_outcome("write a row of", family->name, &message, error);
    }
    return TARN_OK;
}

tarn_status tarn__rocks_delete(tarn__rocks_family *family, tarn_bytes key, tarn_error *error)
{
    tarn__rocks_meter_add(&family->meter, key.size + ROW_OVERHEAD_BYTES);
    char *message = NULL;
    rocksdb_delete_cf(
        family->rocks->db,
        family->rocks->write_options,
        family->handle,
        key.data,
        key.size,
        &message);
    if (__builtin_expect(message != NULL, 0)) {
        return tarn__rocks_outcome("remove a row of", family->name, &message, error);
    }
    return TARN_OK;
}

tarn_status tarn__rocks_merge(
    tarn__rocks_family *family, tarn_bytes key, tarn_bytes operand, tarn_error *error)
{
    tarn__rocks_meter_add(&family->meter, key.size + operand.size + ROW_OVERHEAD_BYTES);
    char *message = NULL;
    rocksdb_merge_cf(
        family->rocks->db,
        family->rocks->write_options,
        family->handle,
        key.data,
        key.size,
        operand.data,
        operand.size,
        &message);
    if (__builtin_expect(message != NULL, 0)) {
        return tarn__rocks_outcome("add to a row of", family->name, &message, error);
    }
    return TARN_OK;
}

tarn_status tarn__rocks_delete_range(
    tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper, tarn_error *error)
{
    tarn__rocks_meter_add(&family->meter, lower.size + upper.size + ROW_OVERHEAD_BYTES);
    char *message = NULL;
    rocksdb_delete_range_cf(
        family->rocks->db,
        family->rocks->write_options,
        family->handle,
        lower.data,
        lower.size,
        upper.data,
        upper.size,
        &message);
    return tarn__rocks_outcome("remove rows of", family->name, &message, error);
}

tarn_status tarn__rocks_drop_files(
    tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper, tarn_error *error)
{
    if (atomic_load(&family->rocks->hold_count) > 0) {
        return TARN_OK;
    }
    char *message = NULL;
    rocksdb_delete_file_in_range_cf(
        family->rocks->db,
        family->handle,
        lower.data,
        lower.size,
        upper.data,
        upper.size,
        &message);
    return tarn__rocks_outcome("drop files of", family->name, &message, error);
}

void tarn__rocks_batch_init(tarn__rocks_batch *batch)
{
    batch->rows = rocksdb_writebatch_create();
    batch->bytes = 0;
}

void tarn__rocks_batch_clear(tarn__rocks_batch *batch)
{
    if (batch->rows != NULL) {
        rocksdb_writebatch_destroy(batch->rows);
        batch->rows = NULL;
    }
}

void tarn__rocks_batch_put(
    tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes key, tarn_bytes value)
{
    if (!family->marks.is_on) {
        tarn__rocks_batch_put_raw(batch, family, key, value);
        return;
    }
    const uint64_t bytes = key.size + value.size + TARN__ROCKS_MARK_BYTES + ROW_OVERHEAD_BYTES;
    tarn__rocks_meter_add(&family->meter, bytes);
    batch->bytes += bytes;
    put_marked(batch->rows, family, key, value);
}

void tarn__rocks_batch_put_raw(
    tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes key, tarn_bytes value)
{
    const uint64_t bytes = key.size + value.size + ROW_OVERHEAD_BYTES;
    tarn__rocks_meter_add(&family->meter, bytes);
    batch->bytes += bytes;
    rocksdb_writebatch_put_cf(
        batch->rows, family->handle, key.data, key.size, value.data, value.size);
}

void tarn__rocks_batch_delete(tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes key)
{
    const uint64_t bytes = key.size + ROW_OVERHEAD_BYTES;
    tarn__rocks_meter_add(&family->meter, bytes);
    batch->bytes += bytes;
    rocksdb_writebatch_delete_cf(batch->rows, family->handle, key.data, key.size);
}

void tarn__rocks_batch_merge(
    tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes key, tarn_bytes operand)
{
    const uint64_t bytes = key.size + operand.size + ROW_OVERHEAD_BYTES;
    tarn__rocks_meter_add(&family->meter, bytes);
    batch->bytes += bytes;
    rocksdb_writebatch_merge_cf(
        batch->rows, family->handle, key.data, key.size, operand.data, operand.size);
}

void tarn__rocks_batch_delete_range(
    tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper)
{
    const uint64_t bytes = lower.size + upper.size + ROW_OVERHEAD_BYTES;
    tarn__rocks_meter_add(&family->meter, bytes);
    batch->bytes += bytes;
    rocksdb_writebatch_delete_range_cf(
        batch->rows, family->handle, lower.data, lower.size, upper.data, upper.size);
}

tarn_status tarn__rocks_batch_write(tarn__rocks *rocks, tarn__rocks_batch *batch, tarn_error *error)
{
    char *message = NULL;
    rocksdb_write(rocks->db, rocks->write_options, batch->rows, &message);
    TARN_TRY(tarn__rocks_outcome("write rows to", rocks->directory, &message, error));
    rocksdb_writebatch_clear(batch->rows);
    batch->bytes = 0;
    return TARN_OK;
}

/* ---- iterators -------------------------------------------------------------------------- */

/* Where an iterator stands before the next step. */
typedef enum iterator_phase {
    PHASE_FRESH,  /* Nowhere: the next row is the first one. */
    PHASE_SOUGHT, /* On the next row. */
    PHASE_MOVING, /* On a row that was given out. */
} iterator_phase;

struct tarn__rocks_iterator {
    rocksdb_readoptions_t *options;
    rocksdb_iterator_t *rows;
    tarn__rocks_family *family;
    tarn_buffer upgraded; /* The latest value, when it was of an older generation. */
    bool is_raw;
    bool is_ahead;
    iterator_phase phase;
    bool is_backward;
    char bounds[]; /* RocksDB borrows them: lower, then upper. */
};

tarn_status tarn__rocks_iterate_scan(
    tarn__rocks_family *family,
    const tarn__rocks_scan *scan,
    tarn__rocks_iterator **out,
    tarn_error *error)
{
    tarn__rocks *rocks = family->rocks;
    const tarn_bytes lower = scan->lower;
    const tarn_bytes upper = scan->upper;
    const size_t size = sizeof(tarn__rocks_iterator) + lower.size + upper.size;
    tarn__rocks_iterator *iterator = tarn__allocate_zeroed(rocks->row_account, 1, size);
    if (iterator == NULL) {
        return tarn__fail_no_memory(error, "an iterator", size);
    }
    memcpy(iterator->bounds, lower.data, lower.size);
    memcpy(iterator->bounds + lower.size, upper.data, upper.size);
    iterator->family = family;
    iterator->is_raw = scan->is_raw;
    iterator->is_ahead = scan->is_ahead;
    iterator->upgraded.allocator = &rocks->row_account->face;
    iterator->is_backward = scan->is_backward;
    iterator->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(iterator->options, scan->fills_cache);
    rocksdb_readoptions_set_readahead_size(iterator->options, scan->readahead_bytes);
    if (scan->hold != NULL) {
        rocksdb_readoptions_set_snapshot(iterator->options, scan->hold->snapshot);
    }
    rocksdb_readoptions_set_iterate_lower_bound(iterator->options, iterator->bounds, lower.size);
    rocksdb_readoptions_set_iterate_upper_bound(
        iterator->options, iterator->bounds + lower.size, upper.size);
    iterator->rows = rocksdb_create_iterator_cf(rocks->db, iterator->options, family->handle);
    *out = iterator;
    return TARN_OK;
}

tarn_status tarn__rocks_iterate(
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn__rocks_iterator **out,
    tarn_error *error)
{
    /* It would only push what point reads want out of the cache. */
    const tarn__rocks_scan scan = {.lower = lower, .upper = upper, .fills_cache = false};
    return tarn__rocks_iterate_scan(family, &scan, out, error);
}

tarn_status tarn__rocks_iterate_raw(
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn__rocks_iterator **out,
    tarn_error *error)
{
    const tarn__rocks_scan scan = {.lower = lower, .upper = upper, .is_raw = true};
    return tarn__rocks_iterate_scan(family, &scan, out, error);
}

static void step(tarn__rocks_iterator *iterator)
{
    const iterator_phase phase = iterator->phase;
    iterator->phase = PHASE_MOVING;
    if (phase == PHASE_FRESH && iterator->is_backward) {
        rocksdb_iter_seek_to_last(iterator->rows);
    } else if (phase == PHASE_FRESH) {
        rocksdb_iter_seek_to_first(iterator->rows);
    } else if (phase == PHASE_MOVING && rocksdb_iter_valid(iterator->rows)) {
        if (iterator->is_backward) {
            rocksdb_iter_prev(iterator->rows);
        } else {
            rocksdb_iter_next(iterator->rows);
        }
    }
}

tarn_status tarn__rocks_iterator_next(
    tarn__rocks_iterator *iterator, tarn_bytes *key, tarn_bytes *value, tarn_error *error)
{
    step(iterator);
    if (!rocksdb_iter_valid(iterator->rows)) {
        char *message = NULL;
        rocksdb_iter_get_error(iterator->rows, &message);
        TARN_TRY(tarn__rocks_outcome("iterate over", iterator->family->name, &message, error));
        return TARN_DONE;
    }
    key->data = rocksdb_iter_key(iterator->rows, &key->size);
    value->data = rocksdb_iter_value(iterator->rows, &value->size);
    if (iterator->is_ahead) {
        return take_mark(iterator->family, value);
    }
    return !iterator->is_raw && iterator->family->marks.is_on
               ? tarn__rocks_unmark(iterator->family, value, &iterator->upgraded, error)
               : TARN_OK;
}

/* A seek costs as much as some steps, and what is wanted is often near. */
enum { STEPS_BEFORE_SEEK = 4 };

void tarn__rocks_iterator_seek(tarn__rocks_iterator *iterator, tarn_bytes key)
{
    if (iterator->phase == PHASE_MOVING) {
        for (uint32_t i = 0; i < STEPS_BEFORE_SEEK && rocksdb_iter_valid(iterator->rows); i++) {
            tarn_bytes row;
            rocksdb_iter_next(iterator->rows);
            if (rocksdb_iter_valid(iterator->rows)) {
                row.data = rocksdb_iter_key(iterator->rows, &row.size);
                if (tarn_bytes_compare(row, key) >= 0) {
                    iterator->phase = PHASE_SOUGHT;
                    return;
                }
            }
        }
        if (!rocksdb_iter_valid(iterator->rows)) {
            return;
        }
    }
    rocksdb_iter_seek(iterator->rows, key.data, key.size);
    iterator->phase = PHASE_SOUGHT;
}

void tarn__rocks_iterator_close(tarn__rocks_iterator *iterator)
{
    if (iterator != NULL) {
        rocksdb_iter_destroy(iterator->rows);
        rocksdb_readoptions_destroy(iterator->options);
        tarn_buffer_clear(&iterator->upgraded);
        tarn__release(iterator);
    }
}
