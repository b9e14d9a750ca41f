/* rows.c - points, batches and iterators of db.h. */
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
    out->data = rocksdb_pinnableslice_value(slice, &out->size);
    pin->slice = slice;
    return TARN_OK;
}

void tarn__rocks_unpin_slice(tarn__rocks_pin *pin)
{
    rocksdb_pinnableslice_destroy(pin->slice);
    pin->slice = NULL;
}

tarn_status tarn__rocks_put(
    tarn__rocks_family *family, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    tarn__rocks_meter_add(&family->meter, key.size + value.size + ROW_OVERHEAD_BYTES);
    char *message = NULL;
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

struct tarn__rocks_iterator {
    rocksdb_readoptions_t *options;
    rocksdb_iterator_t *rows;
    const char *name; /* Of the family. */
    bool has_begun;
    char bounds[]; /* RocksDB borrows them: lower, then upper. */
};

tarn_status tarn__rocks_iterate(
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn__rocks_iterator **out,
    tarn_error *error)
{
    tarn__rocks *rocks = family->rocks;
    const size_t size = sizeof(tarn__rocks_iterator) + lower.size + upper.size;
    tarn__rocks_iterator *iterator = tarn__allocate_zeroed(rocks->account, 1, size);
    if (iterator == NULL) {
        return tarn__fail_no_memory(error, "an iterator", size);
    }
    memcpy(iterator->bounds, lower.data, lower.size);
    memcpy(iterator->bounds + lower.size, upper.data, upper.size);
    iterator->name = family->name;
    iterator->options = rocksdb_readoptions_create();
    /* A scan of everything would only push what point reads want out of the cache. */
    rocksdb_readoptions_set_fill_cache(iterator->options, 0);
    rocksdb_readoptions_set_iterate_lower_bound(iterator->options, iterator->bounds, lower.size);
    rocksdb_readoptions_set_iterate_upper_bound(
        iterator->options, iterator->bounds + lower.size, upper.size);
    iterator->rows = rocksdb_create_iterator_cf(rocks->db, iterator->options, family->handle);
    *out = iterator;
    return TARN_OK;
}

tarn_status tarn__rocks_iterator_next(
    tarn__rocks_iterator *iterator, tarn_bytes *key, tarn_bytes *value, tarn_error *error)
{
    if (iterator->has_begun && rocksdb_iter_valid(iterator->rows)) {
        rocksdb_iter_next(iterator->rows);
    } else if (!iterator->has_begun) {
        rocksdb_iter_seek_to_first(iterator->rows);
        iterator->has_begun = true;
    }
    if (!rocksdb_iter_valid(iterator->rows)) {
        char *message = NULL;
        rocksdb_iter_get_error(iterator->rows, &message);
        TARN_TRY(tarn__rocks_outcome("iterate over", iterator->name, &message, error));
        return TARN_DONE;
    }
    key->data = rocksdb_iter_key(iterator->rows, &key->size);
    value->data = rocksdb_iter_value(iterator->rows, &value->size);
    return TARN_OK;
}

void tarn__rocks_iterator_close(tarn__rocks_iterator *iterator)
{
    if (iterator != NULL) {
        rocksdb_iter_destroy(iterator->rows);
        rocksdb_readoptions_destroy(iterator->options);
        tarn__release(iterator);
    }
}
