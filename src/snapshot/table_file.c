/* table_file.c - see table_file.h. */
#include "snapshot/table_file.h"

#include <string.h>

#include "base/try.h"

enum {
    INDEX_TYPE_PARTITIONED = 2,
    INDEX_TYPE_WITH_KEYS = 3,
    NUMBER_BYTES = 4, /* Of the index's type. */
    SEQUENCE_BYTES = 8,
};

#define SEQUENCE_NAME "rocksdb.external_sst_file.global_seqno"

static tarn_status damaged(tarn_error *error, const char *what)
{
    return tarn__fail(error, TARN_CORRUPTION, "%s", what);
}

/* ---- blocks ----------------------------------------------------------------------------- */

static tarn_status fetch(tarn__table *t, const tarn__table_handle *handle, tarn_error *error)
{
    const size_t size = (size_t)handle->size + TARN__TABLE_TRAILER_BYTES;
    if (handle->size > TARN__TABLE_BLOCK_BYTES_MAX || handle->offset > t->options.size ||
        size > t->options.size - handle->offset) {
        return damaged(error, "a block lies behind the end of the table");
    }
    if (tarn_buffer_reserve(&t->stored, size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a block of a table", size);
    }
    TARN_TRY(t->options.read(
        t->options.context, handle->offset, t->stored.data, size, &t->stored.size, error));
    return t->stored.size == size ? TARN_OK : damaged(error, "the table ends within a block");
}

static tarn_status check(const tarn__table *t, tarn_error *error)
{
    return !t->options.checks_blocks || tarn__table_check_block(tarn_buffer_bytes(&t->stored))
               ? TARN_OK
               : damaged(error, "a block of the table has another checksum than it says");
}

static tarn_status read_stored(tarn__table *t, const tarn__table_handle *handle, tarn_error *error)
{
    TARN_TRY(fetch(t, handle, error));
    return check(t, error);
}

static tarn_status open_block(tarn__table *t, bool is_data, tarn_error *error)
{
    const tarn_bytes none = tarn_bytes_at(NULL, 0);
    TARN_TRY(tarn__table_unpack(
        &t->unpacker,
        tarn_buffer_bytes(&t->stored),
        is_data ? tarn_buffer_bytes(&t->dictionary_bytes) : none,
        &t->block,
        error));
    return tarn__table_begin(&t->cursor, tarn_buffer_bytes(&t->block))
               ? TARN_OK
               : damaged(error, "a block of the table is none");
}

static tarn_status read_block(
    tarn__table *t, const tarn__table_handle *handle, bool is_data, tarn_error *error)
{
    TARN_TRY(read_stored(t, handle, error));
    return open_block(t, is_data, error);
}

static tarn_status explain(tarn_status status, tarn_error *error)
{
    if (status == TARN_CORRUPTION) {
        return damaged(error, "an entry of the table runs over its block's end");
    }
    return status == TARN_NO_MEMORY ? tarn__fail_no_memory(error, "a key of a table", 0) : status;
}

/* ---- what the file says of itself ------------------------------------------------------- */

static bool is_key(const tarn__table *t, const char *name)
{
    return tarn_bytes_is_equal(tarn_buffer_bytes(&t->cursor.key), tarn_bytes_of(name));
}

static uint64_t load_sequence(const uint8_t *at)
{
    uint64_t sequence = 0;
    for (size_t i = 0; i < SEQUENCE_BYTES; i++) {
        sequence |= (uint64_t)at[i] << (8 * i);
    }
    return sequence;
}

/* Of a table that was written apart; in others the operator's name says nothing. */
static void take_family(tarn__table *t, tarn_bytes name)
{
    const size_t prefix_size = sizeof TARN__TABLE_FAMILY_PREFIX - 1;
    if (name.size > prefix_size && name.size - prefix_size < sizeof t->family &&
        memcmp(name.data, TARN__TABLE_FAMILY_PREFIX, prefix_size) == 0) {
        const size_t size = name.size - prefix_size;
        memcpy(t->family, (const uint8_t *)name.data + prefix_size, size);
        t->family[size] = 0;
    }
}

static tarn_status take_property(tarn__table *t, tarn_bytes value, tarn_error *error)
{
    uint64_t number = 0;
    bool is_good = true;
    if (is_key(t, "rocksdb.column.family.name")) {
        is_good = value.size <= TARN__METADATA_NAME_BYTES_MAX;
        if (is_good && value.size > 0) {
            memcpy(t->family, value.data, value.size);
        }
    } else if (is_key(t, "rocksdb.merge.operator")) {
        take_family(t, value);
    } else if (is_key(t, "rocksdb.num.entries")) {
        is_good = tarn__table_decode_number(value, &t->entry_count);
    } else if (is_key(t, "rocksdb.num.range-deletions")) {
        is_good = tarn__table_decode_number(value, &t->range_count);
    } else if (is_key(t, "rocksdb.data.size")) {
        is_good = tarn__table_decode_number(value, &t->data_size);
    } else if (is_key(t, SEQUENCE_NAME)) {
        is_good = value.size == SEQUENCE_BYTES;
        t->file_sequence = is_good ? load_sequence(value.data) : 0;
    } else if (is_key(t, "rocksdb.index.key.is.user.key")) {
        is_good = tarn__table_decode_number(value, &number);
        t->has_row_keys = number != 0;
    } else if (is_key(t, "rocksdb.index.value.is.delta.encoded")) {
        is_good = tarn__table_decode_number(value, &number);
        t->has_plain_index = number == 0;
    } else if (is_key(t, "rocksdb.block.based.table.index.type")) {
        is_good = value.size == NUMBER_BYTES;
        const uint8_t type = is_good ? ((const uint8_t *)value.data)[0] : 0;
        t->is_partitioned = type == INDEX_TYPE_PARTITIONED;
        if (type == INDEX_TYPE_WITH_KEYS) {
            return tarn__fail(error, TARN_NOT_SUPPORTED, "its index has the keys of its blocks");
        }
    }
    return is_good ? TARN_OK : damaged(error, "a property of the table is none");
}

static tarn_status read_properties(
    tarn__table *t, const tarn__table_handle *handle, tarn_error *error)
{
    tarn_bytes value;
    tarn_status status = TARN_OK;
    size_t sequence_at = SIZE_MAX;
    t->has_plain_index = true;
    TARN_TRY(fetch(t, handle, error));
    TARN_TRY(open_block(t, false, error));
    while ((status = tarn__table_next(&t->cursor, &value)) == TARN_OK) {
        TARN_TRY(take_property(t, value, error));
        if (is_key(t, SEQUENCE_NAME)) {
            sequence_at = (size_t)((const uint8_t *)value.data - t->block.data);
        }
    }
    /* RocksDB wrote the number over 0 after the checksum was made. */
    if (sequence_at < handle->size && handle->size - sequence_at >= SEQUENCE_BYTES) {
        memset(t->stored.data + sequence_at, 0, SEQUENCE_BYTES);
    }
    return status == TARN_DONE ? check(t, error) : explain(status, error);
}

static tarn_status read_metaindex(tarn__table *t, tarn_error *error)
{
    tarn__table_handle properties = {.size = 0};
    tarn__table_handle handle;
    tarn_bytes value;
    tarn_status status = TARN_OK;
    TARN_TRY(read_block(t, &t->footer.metaindex, false, error));
    t->index = t->footer.index;
    while ((status = tarn__table_next(&t->cursor, &value)) == TARN_OK) {
        if (!tarn__table_decode_handle(value, &handle)) {
            continue; /* Some entries are none. */
        }
        if (is_key(t, "rocksdb.properties")) {
            properties = handle; /* Checked when they are read. */
            continue;
        }
        if (t->options.checks_blocks && handle.size > 0) { /* Others are not looked at below. */
            TARN_TRY(read_stored(t, &handle, error));
        }
        if (is_key(t, "rocksdb.range_del")) {
            t->ranges = handle;
        } else if (is_key(t, "rocksdb.compression_dict")) {
            t->dictionary = handle;
        } else if (is_key(t, "rocksdb.index")) {
            t->index = handle;
        }
    }
    if (status != TARN_DONE) {
        return explain(status, error);
    }
    if (properties.size == 0 || t->index.size == 0) {
        return damaged(error, "the table has no properties or no index");
    }
    return read_properties(t, &properties, error);
}

/* ---- the index -------------------------------------------------------------------------- */

static tarn_status add_block(tarn__table *t, const tarn__table_handle *handle, tarn_error *error)
{
    if (t->block_count == t->block_capacity) {
        const size_t capacity = t->block_capacity == 0 ? 64 : 2 * t->block_capacity;
        tarn__table_handle *blocks =
            tarn__reallocate(t->options.account, t->blocks, capacity * sizeof *blocks);
        if (blocks == NULL) {
            return tarn__fail_no_memory(error, "the index of a table", capacity * sizeof *blocks);
        }
        t->blocks = blocks;
        t->block_capacity = capacity;
    }
    t->blocks[t->block_count++] = *handle;
    return TARN_OK;
}

static tarn_status keep_key(tarn__table *t, tarn_bytes key, bool is_inside, tarn_error *error)
{
    tarn_status status = TARN_OK;
    if (is_inside) {
        const size_t end = t->keys.size + key.size;
        status = tarn_buffer_append(&t->key_ends, tarn_bytes_at(&end, sizeof end));
        status = status == TARN_OK ? tarn_buffer_append(&t->keys, key) : status;
    } else if (t->block_count == 0) {
        status = tarn_buffer_assign(&t->key_before, key);
    }
    return status == TARN_OK ? TARN_OK
                             : tarn__fail_no_memory(error, "the keys of an index", key.size);
}

/* What the index has for one of blocks. */
static tarn_bytes kept_key(const tarn__table *t, size_t block)
{
    size_t ends[2] = {0};
    const uint8_t *at = t->key_ends.data + block * sizeof ends[0];
    memcpy(&ends[1], at, sizeof ends[1]);
    if (block > 0) {
        memcpy(&ends[0], at - sizeof ends[0], sizeof ends[0]);
    }
    return tarn_bytes_at(t->keys.data + ends[0], ends[1] - ends[0]);
}

/* The row of the index's key at the cursor. */
static tarn_bytes index_row(const tarn__table *t)
{
    tarn_bytes key = tarn_buffer_bytes(&t->cursor.key);
    if (!t->has_row_keys) {
        const size_t tail = TARN__TABLE_KEY_TAIL_BYTES;
        key.size = key.size < tail ? 0 : key.size - tail;
    }
    return key;
}

/* The key of a block in the index is not before any of its own, and before all of the next's. */
static bool may_have_rows(tarn__table *t, tarn_bytes key)
{
    if (!t->options.is_bounded) {
        return true;
    }
    const bool is_inside = !t->is_beyond && tarn_bytes_compare(key, t->options.lower) >= 0;
    t->is_beyond = t->is_beyond || tarn_bytes_compare(key, t->options.upper) >= 0;
    return is_inside;
}

static tarn_status read_index(tarn__table *t, const tarn__table_handle *where, tarn_error *error)
{
    tarn__table_handle handle;
    tarn_status status = TARN_OK;
    TARN_TRY(read_block(t, where, false, error));
    t->cursor.has_values = t->has_plain_index;
    while ((status = tarn__table_next_handle(&t->cursor, &handle)) == TARN_OK) {
        const tarn_bytes key = index_row(t);
        const bool is_inside = may_have_rows(t, key);
        if (t->options.checks_blocks) {
            TARN_TRY(keep_key(t, key, is_inside, error));
        }
        if (is_inside) {
            TARN_TRY(add_block(t, &handle, error));
        }
    }
    return status == TARN_DONE ? TARN_OK : explain(status, error);
}

/* An index of indices is replaced by what these name. */
static tarn_status read_partitions(tarn__table *t, tarn_error *error)
{
    tarn__table_handle *parts = t->blocks;
    const size_t count = t->block_count;
    t->blocks = NULL;
    t->block_count = 0;
    t->block_capacity = 0;
    t->keys.size = 0;
    t->key_ends.size = 0;
    t->is_beyond = false;
    tarn_status status = TARN_OK;
    for (size_t i = 0; status == TARN_OK && i < count; i++) {
        status = read_index(t, &parts[i], error);
    }
    tarn__release(parts);
    return status;
}

static tarn_status read_footer(tarn__table *t, tarn_error *error)
{
    uint8_t bytes[TARN__TABLE_FOOTER_BYTES] = {0};
    size_t got = 0;
    if (t->options.size < sizeof bytes) {
        return damaged(error, "it is too short for a table");
    }
    TARN_TRY(t->options.read(
        t->options.context, t->options.size - sizeof bytes, bytes, sizeof bytes, &got, error));
    return got == sizeof bytes
               ? tarn__table_decode_footer(bytes, t->options.size, &t->footer, error)
               : damaged(error, "the table ends early");
}

static tarn_status read_dictionary(tarn__table *t, tarn_error *error)
{
    if (t->dictionary.size == 0) {
        return TARN_OK;
    }
    TARN_TRY(read_stored(t, &t->dictionary, error));
    return tarn__table_unpack(
        &t->unpacker,
        tarn_buffer_bytes(&t->stored),
        tarn_bytes_at(NULL, 0),
        &t->dictionary_bytes,
        error);
}

tarn_status tarn__table_open(
    tarn__table *table, const tarn__table_options *options, tarn_error *error)
{
    const tarn_allocator *allocator = &options->account->face;
    *table = (tarn__table){
        .options = *options,
        .stored = {.allocator = allocator},
        .dictionary_bytes = {.allocator = allocator},
        .block = {.allocator = allocator},
        .cursor = {.key = {.allocator = allocator}},
        .key_before = {.allocator = allocator},
        .keys = {.allocator = allocator},
        .key_ends = {.allocator = allocator},
    };
    TARN_TRY(read_footer(table, error));
    TARN_TRY(read_metaindex(table, error));
    TARN_TRY(read_index(table, &table->index, error));
    if (table->is_partitioned) {
        TARN_TRY(read_partitions(table, error));
    }
    return read_dictionary(table, error);
}

void tarn__table_close(tarn__table *table)
{
    tarn__release(table->blocks);
    table->blocks = NULL;
    tarn__table_unpacker_clear(&table->unpacker);
    tarn_buffer_clear(&table->stored);
    tarn_buffer_clear(&table->dictionary_bytes);
    tarn_buffer_clear(&table->block);
    tarn_buffer_clear(&table->cursor.key);
    tarn_buffer_clear(&table->key_before);
    tarn_buffer_clear(&table->keys);
    tarn_buffer_clear(&table->key_ends);
}

/* ---- entries ---------------------------------------------------------------------------- */

static tarn_status take_entry(
    const tarn__table *t, tarn_bytes value, tarn__table_entry *out, tarn_error *error)
{
    if (!tarn__table_split_key(
            tarn_buffer_bytes(&t->cursor.key), &out->key, &out->sequence, &out->type)) {
        return tarn__fail(error, TARN_NOT_SUPPORTED, "an entry of the table is of no known type");
    }
    out->value = value;
    out->sequence = t->file_sequence > 0 ? t->file_sequence : out->sequence;
    return TARN_OK;
}

/* ---- blocks that somebody else has read ------------------------------------------------- */

tarn_status tarn__table_check_place(
    tarn__table *table, size_t block, tarn_bytes stored, tarn_error *error)
{
    const tarn_bytes before =
        block > 0 ? kept_key(table, block - 1) : tarn_buffer_bytes(&table->key_before);
    tarn_bytes value;
    tarn__table_entry first;
    TARN_TRY(tarn__table_unpack(
        &table->unpacker,
        stored,
        tarn_buffer_bytes(&table->dictionary_bytes),
        &table->block,
        error));
    table->is_in_block = false;
    if (!tarn__table_begin(&table->cursor, tarn_buffer_bytes(&table->block))) {
        return damaged(error, "a block of the table is none");
    }
    const tarn_status status = tarn__table_next(&table->cursor, &value);
    if (status != TARN_OK) {
        return status == TARN_DONE ? damaged(error, "a block of the table is empty")
                                   : explain(status, error);
    }
    TARN_TRY(take_entry(table, value, &first, error));
    return tarn_bytes_compare(before, first.key) <= 0 &&
                   tarn_bytes_compare(first.key, kept_key(table, block)) <= 0
               ? TARN_OK
               : damaged(error, "a block of the table has the rows of another place");
}

tarn_status tarn__table_read(tarn__table *table, tarn__table_entry *out, tarn_error *error)
{
    for (;;) {
        if (!table->is_in_block && table->next_block == table->block_count) {
            return table->options.is_bounded ||
                           table->read_count + table->range_count == table->entry_count
                       ? TARN_DONE
                       : damaged(error, "the table has another number of entries than it says");
        }
        if (!table->is_in_block) {
            TARN_TRY(read_block(table, &table->blocks[table->next_block++], true, error));
            table->is_in_block = true;
        }
        tarn_bytes value;
        const tarn_status status = tarn__table_next(&table->cursor, &value);
        if (status == TARN_OK) {
            table->read_count++;
            return take_entry(table, value, out, error);
        }
        if (status != TARN_DONE) {
            return explain(status, error);
        }
        table->is_in_block = false;
    }
}

tarn_status tarn__table_visit_ranges(
    tarn__table *table, tarn__table_visit_range *visit, void *context, tarn_error *error)
{
    if (table->ranges.size == 0) {
        return TARN_OK;
    }
    TARN_TRY(read_block(table, &table->ranges, false, error));
    table->is_in_block = false;
    tarn_bytes value;
    tarn_status status = TARN_OK;
    while ((status = tarn__table_next(&table->cursor, &value)) == TARN_OK) {
        tarn__table_entry entry;
        TARN_TRY(take_entry(table, value, &entry, error));
        TARN_TRY(visit(&entry, context, error));
    }
    return status == TARN_DONE ? TARN_OK : explain(status, error);
}
