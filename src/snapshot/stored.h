/*
 * stored.h - a file of a checkpoint read by small parts, wherever it lies.
 *
 *     behind a network   [window: what was asked for and what follows]    parts come out of it
 *     in a directory     each part by itself: the system reads ahead
 *
 * The first window is the file's end, where a table says what it has; one that goes on where the
 * window before ended is twice as long, up to a limit. A window that the account has no bytes for
 * is done without.
 *
 * Thread: confined.
 */
#ifndef TARN_SNAPSHOT_STORED_H
#define TARN_SNAPSHOT_STORED_H

#include "snapshot/checkpoint.h"

enum {
    TARN__STORED_AHEAD_BYTES = 4 << 20,      /* Where one file is read at a time, */
    TARN__STORED_AHEAD_BYTES_MANY = 1 << 20, /* and where many are. */
};

/* A file that is not compressed. The context of tarn__stored_read(). */
typedef struct tarn__stored {
    tarn_storage *storage;
    const tarn__file_part *file;
    tarn__account *account;
    size_t ahead_bytes; /* Of a window, at most. 0: there is none. */
    uint8_t *window;    /* [capacity], owned. */
    size_t capacity;
    uint64_t offset; /* Of what it holds, */
    size_t size;     /* so many bytes. */
} tarn__stored;

/* ahead_bytes  Charged to account, as far as a file is read in its order. Clear with
 * tarn__stored_clear(). */
void tarn__stored_init(
    tarn__stored *stored,
    tarn_storage *storage,
    const tarn__file_part *file,
    tarn__account *account,
    size_t ahead_bytes);

void tarn__stored_clear(tarn__stored *stored);

/* tarn__checkpoint_read_at() as a tarn__rows_read_fn and a tarn__table_read_fn. */
TARN_NODISCARD tarn_status tarn__stored_read(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error);

#endif
