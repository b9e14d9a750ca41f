/*
 * table_file.h - a table file of RocksDB read from end to end, wherever its bytes are.
 *
 * Memory: the handles of its blocks, and two blocks; of one that checks blocks also the index's
 * keys.
 *
 * Thread: confined.
 */
#ifndef TARN_SNAPSHOT_TABLE_FILE_H
#define TARN_SNAPSHOT_TABLE_FILE_H

#include "base/arena.h"
#include "codec/table.h"
#include "snapshot/metadata.h"

/* Reads size bytes at offset of the file, fewer only at the end. */
typedef tarn_status tarn__table_read_fn(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error);

/* What is read. Everything is borrowed until the end. */
typedef struct tarn__table_options {
    uint64_t size; /* Of the file. */
    tarn__table_read_fn *read;
    void *context;
    tarn__account *account;
    bool is_bounded; /* Only blocks that may have rows of lower <= row < upper; */
    tarn_bytes lower;
    tarn_bytes upper;
    /* Refuses other checksums: of the blocks that are read, and of all that the metaindex names.
     * And keeps the index's keys, for tarn__table_check_place(). */
    bool checks_blocks;
} tarn__table_options;

/* An entry; its views are valid until the next call. */
typedef struct tarn__table_entry {
    tarn_bytes key; /* The user key: a row. */
    tarn_bytes value;
    uint64_t sequence;
    tarn__table_type type;
} tarn__table_entry;

typedef struct tarn__table {
    tarn__table_options options;
    tarn__table_footer footer;
    char family[TARN__METADATA_NAME_BYTES_MAX + 1]; /* The column family: a state. */
    uint64_t entry_count;                           /* As the file says, range deletions too. */
    uint64_t range_count;                           /* Of them range deletions. */
    uint64_t data_size;                             /* Bytes before what is no data block. */
    /* Of all entries, where the file was written apart and taken in: they say 0. Else 0. */
    uint64_t file_sequence;
    tarn__table_handle index;
    tarn__table_handle ranges;     /* Size 0: none. */
    tarn__table_handle dictionary; /* Likewise. */
    bool is_partitioned;           /* The index is of indices. */
    bool has_plain_index;          /* Its values have sizes. */
    bool has_row_keys;             /* Its keys are rows, without the tail of internal keys. */
    bool is_beyond;                /* Blocks from here on are behind the upper bound. */
    tarn__table_handle *blocks;    /* [block_count], owned. */
    size_t block_count;
    size_t block_capacity;
    size_t next_block;
    /* What the index has of a table that is checked: */
    tarn_buffer key_before; /* the last key before those of blocks; empty: there is none; */
    tarn_buffer keys;       /* theirs, one behind the other; */
    tarn_buffer key_ends;   /* and where each ends: [block_count], size_t. */
    tarn_buffer stored;
    tarn_buffer dictionary_bytes;
    tarn__table_unpacker unpacker;
    tarn_buffer block;
    tarn__table_cursor cursor;
    uint64_t read_count; /* Entries given out. */
    bool is_in_block;
} tarn__table;

/*
 * Opens a file. Release with tarn__table_close(), also after a failure.
 *
 * Errors: TARN_CORRUPTION, TARN_NOT_SUPPORTED, TARN_NO_MEMORY, of reading; without the file's name.
 */
TARN_NODISCARD tarn_status
tarn__table_open(tarn__table *table, const tarn__table_options *options, tarn_error *error);

/* TARN_OK with the next entry in the order of keys, of one key the newest first; TARN_DONE when
 * there are as many as the file says; of a bounded one when its blocks end, which may have other
 * rows too. */
TARN_NODISCARD tarn_status
tarn__table_read(tarn__table *table, tarn__table_entry *out, tarn_error *error);

/*
 * Tells a block that belongs elsewhere in the file, whose checksum is right: its first row must be
 * between the keys that the index has for the block before it and for itself.
 *
 * block   Of blocks, of a table that checks them.
 * stored  Its bytes with the trailer; nothing else is read.
 * Errors: TARN_CORRUPTION, TARN_NOT_SUPPORTED, TARN_NO_MEMORY; without the file's name.
 */
TARN_NODISCARD tarn_status
tarn__table_check_place(tarn__table *table, size_t block, tarn_bytes stored, tarn_error *error);

/* Called for each range deletion: of the keys from key up to value, older than sequence. */
typedef tarn_status tarn__table_visit_range(
    const tarn__table_entry *entry, void *context, tarn_error *error);
TARN_NODISCARD tarn_status tarn__table_visit_ranges(
    tarn__table *table, tarn__table_visit_range *visit, void *context, tarn_error *error);

void tarn__table_close(tarn__table *table);

#endif
