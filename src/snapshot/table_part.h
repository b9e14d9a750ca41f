/*
 * table_part.h - what a table file has of some rows, read without the rest.
 *
 *     [data blocks ........|== first .. end ==|........][filters, index, properties, footer]
 *                                                       tail
 *
 * The tail comes with one request or two, and says which blocks may have rows of the bounds; these
 * lie together. So a subtask that gets some key groups of a file does not read the others. As the
 * digest is of the whole file, what is read is compared by the checksums of its blocks instead, and
 * by the index: a whole block at the place of another has the wrong rows.
 *
 * Thread: confined.
 */
#ifndef TARN_SNAPSHOT_TABLE_PART_H
#define TARN_SNAPSHOT_TABLE_PART_H

#include "snapshot/checkpoint.h"
#include "snapshot/table_file.h"

/* What is planned. Everything is borrowed until the part is cleared. */
typedef struct tarn__table_part_options {
    tarn_storage *storage;
    const tarn__file_part *file; /* A table, alone in its object. */
    tarn_bytes lower;            /* Wanted are the rows of lower <= row < upper. */
    tarn_bytes upper;
    uint64_t size_min; /* Of the file: a smaller one is not worth it. */
    tarn__account *account;
} tarn__table_part_options;

typedef struct tarn__table_part {
    tarn__table_part_options options;
    uint64_t first;    /* The blocks: from this byte of the file */
    uint64_t end;      /* to before this one; the same when there are none. */
    tarn__table table; /* Open; its blocks are one behind the other. */
    uint64_t tail_offset;
    tarn_buffer tail;    /* From there to the file's end. */
    uint64_t read_bytes; /* Of the storage so far. */
} tarn__table_part;

/*
 * Finds out what is to be read. Release with tarn__table_part_clear(), also after a failure.
 *
 * *is_worth_out  False: the file is to be read as a whole, as that is hardly more, it is small, the
 *                memory for its tail is refused, or it is none whose parts can be compared. Damage
 *                is for who reads the whole to tell.
 * Errors: of reading.
 */
TARN_NODISCARD tarn_status tarn__table_part_plan(
    tarn__table_part *part,
    const tarn__table_part_options *options,
    bool *is_worth_out,
    tarn_error *error);

/*
 * Reads the blocks, then gives out the tail.
 *
 * take    Given the bytes in their order, each once its block was compared, and where they lie.
 * buffer  Of buffer_bytes.
 * Errors: TARN_CORRUPTION with the file's name, what take answers, of reading.
 */
typedef tarn_status tarn__table_part_take(
    uint64_t offset, tarn_bytes bytes, void *context, tarn_error *error);
TARN_NODISCARD tarn_status tarn__table_part_read(
    tarn__table_part *part,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn__table_part_take *take,
    void *context,
    tarn_error *error);

void tarn__table_part_clear(tarn__table_part *part);

#endif
