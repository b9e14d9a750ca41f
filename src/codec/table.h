/*
 * table.h - the parts of a RocksDB table file (block-based, format versions 2 to 6), from bytes.
 *
 *     [data block]* [meta block]* [index] [metaindex] [footer]
 *     block  entries | restart points | trailer 5: compression u8, checksum 4
 *     entry  bytes shared with the key before (varint) | own (varint) | value (varint) | own, value
 *     key    user key | sequence number and type, u64: number << 8 | type
 *
 * RocksDB's C API reads a file only as part of a database, which wants all of its files. What
 * changed between two checkpoints is in the few files that they do not share; so those are read
 * here. Where a whole file is compared by its digest, checksums of blocks are not looked at.
 *
 * Source: RocksDB 7.8, table/format.h, table/block_based/block.h and block_builder.h.
 *
 * Thread: pure, but for the unpacker.
 */
#ifndef TARN_CODEC_TABLE_H
#define TARN_CODEC_TABLE_H

#include "tarn/bytes.h"
#include "tarn/status.h"

#include <stdbool.h>

/*
 * Before the family in the name of the merge operator of a table that was written apart: RocksDB
 * writes that name into the file, and the family's own only where a family writes.
 */
#define TARN__TABLE_FAMILY_PREFIX "tarn.family:"

enum {
    TARN__TABLE_FOOTER_BYTES = 53,
    TARN__TABLE_TRAILER_BYTES = 5,
    TARN__TABLE_KEY_TAIL_BYTES = 8, /* Of an internal key. */
    TARN__TABLE_BLOCK_BYTES_MAX = 256 << 20,
};

/* What an entry is: the low byte of an internal key's tail. Others are refused. */
typedef enum tarn__table_type {
    TARN__TABLE_DELETION = 0,
    TARN__TABLE_VALUE = 1,
    TARN__TABLE_MERGE = 2,
    TARN__TABLE_SINGLE_DELETION = 7,
    TARN__TABLE_RANGE_DELETION = 15, /* Of the user keys from the key up to the value. */
} tarn__table_type;

typedef struct tarn__table_handle {
    uint64_t offset;
    uint64_t size; /* Without the trailer. */
} tarn__table_handle;

typedef struct tarn__table_footer {
    uint32_t version;
    uint8_t check; /* Which checksum its blocks have. */
    tarn__table_handle metaindex;
    tarn__table_handle index; /* Of version 6: in the metaindex, and 0 here. */
} tarn__table_footer;

/* Reads the last bytes of a file of file_size. Errors: TARN_CORRUPTION, TARN_NOT_SUPPORTED. */
TARN_NODISCARD tarn_status tarn__table_decode_footer(
    const uint8_t bytes[TARN__TABLE_FOOTER_BYTES],
    uint64_t file_size,
    tarn__table_footer *out,
    tarn_error *error);

/* Reads a handle; false: it is none. */
bool tarn__table_decode_handle(tarn_bytes bytes, tarn__table_handle *out);

/* Whether the checksums of a file's blocks can be compared: XXH3, up to version 5. */
bool tarn__table_has_checks(const tarn__table_footer *footer);

/* Compares the checksum of a block with its trailer. */
bool tarn__table_check_block(tarn_bytes block);

/* What unpacking needs from block to block; zero at the beginning. Thread: confined. */
typedef struct tarn__table_unpacker {
    void *zstd;       /* Owned; made when a block needs it. */
    void *dictionary; /* The digested one, likewise. */
} tarn__table_unpacker;

void tarn__table_unpacker_clear(tarn__table_unpacker *unpacker);

/*
 * Unpacks a block with its trailer, of a file of a footer's version.
 *
 * dictionary  Of the file; empty: none. With one unpacker always the same.
 * out         Replaced by the block, without trailer.
 * Errors: TARN_CORRUPTION, TARN_NOT_SUPPORTED (a compression that Tarn never chooses),
 * TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__table_unpack(
    tarn__table_unpacker *unpacker,
    tarn_bytes block,
    tarn_bytes dictionary,
    tarn_buffer *out,
    tarn_error *error);

/* A walk over the entries of a block. */
typedef struct tarn__table_cursor {
    const uint8_t *at;
    const uint8_t *end;        /* Of the entries. */
    bool has_values;           /* False: an index whose values have no size of their own. */
    tarn__table_handle handle; /* The one before, of such an index. */
    tarn_buffer key;           /* Of the current entry; owned. */
} tarn__table_cursor;

/* Begins; false: it is no block. key keeps its memory. */
bool tarn__table_begin(tarn__table_cursor *cursor, tarn_bytes block);

/* TARN_OK with the next entry (the key is in the cursor), TARN_DONE, TARN_CORRUPTION or
 * TARN_NO_MEMORY, without a message. */
TARN_NODISCARD tarn_status tarn__table_next(tarn__table_cursor *cursor, tarn_bytes *value);

/* The same of an index, whose values are handles. */
TARN_NODISCARD tarn_status
tarn__table_next_handle(tarn__table_cursor *cursor, tarn__table_handle *out);

/* Splits an internal key; false: it is none, or of a type that is not known. */
bool tarn__table_split_key(
    tarn_bytes internal, tarn_bytes *user, uint64_t *sequence, tarn__table_type *type);

/* Reads a number of the table's properties. False: it is none. */
bool tarn__table_decode_number(tarn_bytes bytes, uint64_t *out);

#endif
