/*
 * canonical.h - the rows of one state of one subtask as a file that needs no database. Pure.
 *
 *     [header] [frame]* [end]
 *
 *     header   magic 8 | version u32 | size of the content u32 | content | check
 *     frame    stored size u32 | raw size u32 | rows u32 | first, last key group u16, u16 |
 *              codec u8 | 0 u8 u8 u8 | check of these 20 bytes and of the stored ones | stored
 * bytes end      a frame's head with stored size 0, then rows u64, frames u64, check of both
 *
 *     raw      row*:  key size varint | value size varint | key | value
 *
 * A check is the first 8 bytes of the XXH3-128 digest. Numbers are little-endian. Keys are those of
 * the store (codec/row.h), ascending over the whole file, so a reader takes the frames of its key
 * groups and adds their rows to a sorted run as they come. docs/FORMATS.md, "Canonical savepoints".
 *
 * Invariants
 *   - A frame that is larger than TARN__CANONICAL_FRAME_BYTES has one row and is not compressed, so
 *     a reader allocates at most the file's length and a frame.
 *   - What is read was checked before: no row is given out of a frame whose check is wrong.
 *
 * Thread: pure; a frame is confined.
 */
#ifndef TARN_CODEC_CANONICAL_H
#define TARN_CODEC_CANONICAL_H

#include "tarn/bytes.h"
#include "tarn/key_group.h"
#include "tarn/status.h"

enum {
    TARN__CANONICAL_VERSION = 2, /* 1 has no descriptors of format 2, and smaller headers. */
    TARN__CANONICAL_FRAME_BYTES = 1 << 20, /* Raw; a larger one holds a single row. */
    TARN__CANONICAL_PREFIX_BYTES = 16,     /* Of a header: magic, version, size. */
    TARN__CANONICAL_CHECK_BYTES = 8,
    TARN__CANONICAL_HEADER_BYTES_MAX = 64 << 10, /* Of a header's content. */
    TARN__CANONICAL_HEAD_BYTES = 28,             /* Of a frame. */
    TARN__CANONICAL_END_BYTES = 24,              /* Behind the last head. */
    TARN__CANONICAL_ROW_HEAD_BYTES_MAX = 10,     /* Two varints of 32 bits. */
};

/* What a file says of its rows. */
typedef struct tarn__canonical_header {
    const char *name; /* Of the state. */
    size_t name_size;
    tarn_bytes descriptor; /* As it is stored (codec/descriptor.h). */
    tarn_key_group_range key_groups;
    uint32_t max_parallelism;
    uint32_t key_hash; /* A tarn_key_hash. */
    uint64_t sequence; /* The mark of the database: no row has a greater number. */
} tarn__canonical_header;

/* Appends a header. TARN_NO_MEMORY. */
TARN_NODISCARD tarn_status tarn__canonical_encode_header(
    const tarn__canonical_header *header, tarn_buffer *out, tarn_error *error);

/*
 * Reads the prefix of a header; *size_out is what follows it, check included.
 *
 * Errors: TARN_CORRUPTION, TARN_NOT_SUPPORTED (a newer version).
 */
TARN_NODISCARD tarn_status tarn__canonical_decode_prefix(
    const uint8_t prefix[TARN__CANONICAL_PREFIX_BYTES], size_t *size_out, tarn_error *error);

/* Reads a whole header; views lie in bytes. TARN_CORRUPTION. */
TARN_NODISCARD tarn_status
tarn__canonical_decode_header(tarn_bytes bytes, tarn__canonical_header *out, tarn_error *error);

/* ---- writing ---------------------------------------------------------------------------- */

typedef struct tarn__canonical_writer {
    tarn_buffer rows;   /* Of the frame that is being filled. */
    tarn_buffer stored; /* The last frame that was sealed. */
    uint32_t row_count;
    uint16_t first_group;
    uint16_t last_group;
    uint64_t rows_total;
    uint64_t frames_total;
} tarn__canonical_writer;

/* Buffers come from allocator. */
void tarn__canonical_writer_init(tarn__canonical_writer *writer, const tarn_allocator *allocator);
void tarn__canonical_writer_clear(tarn__canonical_writer *writer);

/* Tells whether a row of that size belongs into the next frame: seal and write this one first. */
bool tarn__canonical_is_full(
    const tarn__canonical_writer *writer, tarn_bytes key, tarn_bytes value);

/* Adds a row behind all before. Key of at least 2 bytes. */
TARN_NODISCARD tarn_status tarn__canonical_add(
    tarn__canonical_writer *writer, tarn_bytes key, tarn_bytes value, tarn_error *error);

/* Makes a frame of the rows; *out is to be written, and valid until the next one. */
TARN_NODISCARD tarn_status
tarn__canonical_seal(tarn__canonical_writer *writer, tarn_bytes *out, tarn_error *error);

/* Makes the end of the file; no row is waiting. Likewise. */
TARN_NODISCARD tarn_status
tarn__canonical_finish(tarn__canonical_writer *writer, tarn_bytes *out, tarn_error *error);

/* ---- reading ---------------------------------------------------------------------------- */

typedef struct tarn__canonical_head {
    uint32_t stored_size; /* 0: the end; TARN__CANONICAL_END_BYTES follow. */
    uint32_t raw_size;
    uint32_t row_count;
    uint16_t first_group;
    uint16_t last_group;
    bool is_compressed;
} tarn__canonical_head;

/* Reads a frame's head. TARN_CORRUPTION: it can be none. */
TARN_NODISCARD tarn_status tarn__canonical_decode_head(
    const uint8_t bytes[TARN__CANONICAL_HEAD_BYTES], tarn__canonical_head *out, tarn_error *error);

/*
 * Checks and unpacks a frame.
 *
 * bytes  Head and stored bytes.
 * raw    Replaced by the rows.
 * Errors: TARN_CORRUPTION, TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__canonical_open_frame(
    const tarn__canonical_head *head, tarn_bytes bytes, tarn_buffer *raw, tarn_error *error);

/* Rows of a frame, one after the other. */
typedef struct tarn__canonical_cursor {
    const tarn__canonical_head *head;
    tarn_bytes raw;
    size_t position;
    uint32_t row_count; /* Given out. */
    tarn_bytes before;  /* The last key. */
} tarn__canonical_cursor;

/* TARN_OK with a row, TARN_DONE, or TARN_CORRUPTION: keys do not ascend, or lie elsewhere. */
TARN_NODISCARD tarn_status tarn__canonical_next(
    tarn__canonical_cursor *cursor, tarn_bytes *key, tarn_bytes *value, tarn_error *error);

/* Checks the end of a file against what was read of it. bytes: the head and what follows. */
TARN_NODISCARD tarn_status tarn__canonical_check_end(
    tarn_bytes bytes, uint64_t rows_total, uint64_t frames_total, tarn_error *error);

#endif
