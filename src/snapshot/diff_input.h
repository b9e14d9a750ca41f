/*
 * diff_input.h - the files that a comparison reads, and their rows in one order.
 *
 *     inputs of a state ──► heap by key: a file is opened when its first key has come ──► entries
 *
 * Thread: confined.
 */
#ifndef TARN_SNAPSHOT_DIFF_INPUT_H
#define TARN_SNAPSHOT_DIFF_INPUT_H

#include "snapshot/checkpoint.h"
#include "snapshot/rows.h"
#include "snapshot/stored.h"
#include "snapshot/table_file.h"

/* A file of one of the two sides. */
typedef struct tarn__diff_input {
    const tarn_checkpoint *checkpoint;
    const tarn__subtask *subtask;
    const tarn__file_part *file;
    uint8_t side;      /* 0 or 1. */
    bool is_canonical; /* A file of rows. */
    bool is_open;
    const char *family;             /* The state. */
    tarn_bytes first;               /* The first key; no data: the file has none. */
    const tarn__rows_state *layout; /* Of a file of rows. */
    tarn__stored stored;            /* Of the two below, while it is open. */
    union {
        tarn__table table;
        tarn__rows rows;
    } reader;
    tarn__table_entry entry; /* The current one; before it is open, first is. */
} tarn__diff_input;

/*
 * Looks at a file: sets family and first, in the arena, and visits its range deletions. It is
 * closed again.
 */
TARN_NODISCARD tarn_status tarn__diff_look(
    tarn__diff_input *input,
    tarn__arena *arena,
    tarn__table_visit_range *visit,
    void *context,
    tarn_error *error);

/* Opens it at its first entry, or goes to the next; TARN_DONE when there is none: it is closed. */
TARN_NODISCARD tarn_status
tarn__diff_next(tarn__diff_input *input, tarn__account *account, tarn_error *error);

void tarn__diff_close(tarn__diff_input *input);

/* Bytewise, as RocksDB orders keys. */
int tarn__diff_compare(tarn_bytes a, tarn_bytes b);

#endif
