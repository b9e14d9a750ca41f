/* import_private.h - an import under way, for import.c and import_rows.c. */
#ifndef TARN_STATE_IMPORT_PRIVATE_H
#define TARN_STATE_IMPORT_PRIVATE_H

#include "tarn/rows.h"

#include "codec/descriptor.h"
#include "state/backend.h"

/* A piece of operator state of the subtask at hand. */
typedef struct tarn__import_piece {
    struct tarn__import_piece *next;
    const char *name;
    tarn_bytes bytes;
} tarn__import_piece;

struct tarn_import {
    tarn_env *env;
    tarn__account *account;
    char *directory; /* Owned. */
    tarn_pending_checkpoint *pending;
    /* Of the subtask at hand: */
    bool has_subtask;
    tarn_import_subtask subtask;
    tarn__arena arena;
    tarn__import_piece *pieces;
    uint32_t piece_count;
    tarn_backend *backend; /* NULL: no keyed state. */
    /* Of the state at hand: */
    tarn__rocks_family *family; /* NULL: none. */
    tarn__descriptor descriptor;
    tarn__rocks_batch batch;
    tarn_buffer key;    /* Of the row. */
    tarn_buffer before; /* Key of the row before it. */
    tarn_buffer value;
    uint64_t sequence; /* Greater than those of all rows. */
};

/* Writes the rows that have come so far. */
TARN_NODISCARD tarn_status tarn__import_flush(tarn_import *import, tarn_error *error);

#endif
