/*
 * rows.h - a file of a canonical savepoint, row by row, wherever its bytes are.
 *
 * Thread: confined.
 */
#ifndef TARN_SNAPSHOT_ROWS_H
#define TARN_SNAPSHOT_ROWS_H

#include "codec/canonical.h"
#include "codec/descriptor.h"
#include "snapshot/metadata.h"

/* The file's state, as each row is given out. Valid until the next call. */
typedef struct tarn__rows_state {
    char name[TARN__METADATA_NAME_BYTES_MAX + 1];
    tarn__descriptor descriptor;
} tarn__rows_state;

/* Reads size bytes at offset, fewer only at the end. */
typedef tarn_status tarn__rows_read_fn(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error);

/* What is read. Everything is borrowed until the end. */
typedef struct tarn__rows_options {
    const tarn__subtask *subtask;
    const tarn__file_part *file; /* Of it. */
    const char *place;           /* For messages: the directory that the file's path is below. */
    tarn__rows_read_fn *read;
    void *context;
    tarn_key_group_range wanted; /* Frames of other key groups are passed over. */
    tarn__account *account;
} tarn__rows_options;

typedef struct tarn__rows {
    tarn__rows_options options;
    uint64_t offset;
    uint64_t rows_total;
    uint64_t frames_total;
    tarn__rows_state state;
    tarn_bytes descriptor; /* As it is stored. */
    uint64_t sequence;     /* The mark of the subtask's database. */
    tarn__canonical_head head;
    tarn__canonical_cursor cursor;
    bool has_frame;
    tarn_buffer header;
    tarn_buffer bytes;
    tarn_buffer raw;
} tarn__rows;

/*
 * Opens a file, which must be of its subtask. Release with tarn__rows_close(), also after a
 * failure.
 *
 * Errors: TARN_CORRUPTION with place, TARN_NOT_SUPPORTED, TARN_NO_MEMORY, of reading.
 */
TARN_NODISCARD tarn_status
tarn__rows_open(tarn__rows *rows, const tarn__rows_options *options, tarn_error *error);

/* TARN_OK with the next row of the wanted key groups, which is one of its state; TARN_DONE at the
 * end, which was checked. */
TARN_NODISCARD tarn_status
tarn__rows_next(tarn__rows *rows, tarn_bytes *key, tarn_bytes *value, tarn_error *error);

void tarn__rows_close(tarn__rows *rows);

/* The key of a row of a state, in whichever layout; false: it is none of the state's. */
bool tarn__rows_key_of(const tarn__rows_state *state, tarn_bytes row, tarn_bytes *out);

#endif
