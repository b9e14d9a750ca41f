/*
 * table_rows.h - the rows in the table files of a subtask, of which state each is.
 *
 * The descriptors of the states are rows themselves, in the column family "default"; they are
 * looked for in its tables first. Where a file of it is shared with an older checkpoint the newest
 * one counts, by its sequence number.
 *
 * Thread: confined.
 */
#ifndef TARN_SNAPSHOT_TABLE_ROWS_H
#define TARN_SNAPSHOT_TABLE_ROWS_H

#include "snapshot/checkpoint.h"
#include "snapshot/rows.h"
#include "snapshot/table_file.h"

/* A state as the tables describe it. */
typedef struct tarn__table_state {
    struct tarn__table_state *next;
    uint64_t sequence;
    tarn__rows_state state;
} tarn__table_state;

typedef struct tarn__table_states {
    tarn__account *account;
    tarn__arena arena;
    tarn__table_state *first;
} tarn__table_states;

void tarn__table_states_init(tarn__table_states *states, tarn__account *account);
void tarn__table_states_clear(tarn__table_states *states);

/*
 * Replaces the states by those of a subtask. Tables that cannot be read are passed over: whoever
 * reads their rows finds that out.
 *
 * Errors: TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__table_states_find(
    tarn__table_states *states,
    tarn_storage *storage,
    const tarn__subtask *subtask,
    tarn_error *error);

/* Finds a state by its name; NULL: no descriptor of it was found. */
const tarn__rows_state *tarn__table_states_get(const tarn__table_states *states, const char *name);

/*
 * Reads every row of a table file: each must be one of its state, and behind the one before it.
 *
 * row_count  Grows by the rows read.
 * Errors: TARN_CORRUPTION and TARN_NOT_SUPPORTED with the file's name, of reading, TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__verify_table(
    const tarn__table_states *states,
    tarn_storage *storage,
    const tarn__file_part *file,
    uint64_t *row_count,
    tarn_error *error);

#endif
