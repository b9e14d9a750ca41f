/*
 * operator_fixture.h - stores of operator state over a budget alone, and what several subtasks
 * wrote of them.
 */
#ifndef TARN_TESTS_OPERATOR_FIXTURE_H
#define TARN_TESTS_OPERATOR_FIXTURE_H

#include "support/support.h"

#include "state/operator_store.h"

enum { OPERATOR_PIECES_MAX = 256, OPERATOR_LIMIT = 64 << 20 };

/* What all subtasks wrote, copied; a name of each piece beside it. */
typedef struct operator_pieces {
    tarn__operator_piece items[OPERATOR_PIECES_MAX];
    char names[OPERATOR_PIECES_MAX][TARN__OPERATOR_NAME_BYTES_MAX + 1];
    size_t count;
    uint32_t parallelism;
} operator_pieces;

/* A budget with a heap pool of heap_bytes. allocator may be NULL. */
tarn_budget *operator_budget(uint64_t heap_bytes, const tarn_allocator *allocator);

/* Options of subtask of parallelism, restored from pieces unless NULL; source is filled in. */
tarn__operator_store_options operator_options(
    tarn_budget *budget,
    uint32_t subtask,
    uint32_t parallelism,
    const operator_pieces *pieces,
    tarn__operator_source *source);

tarn_operator_store *operator_open(
    tarn_budget *budget, uint32_t subtask, uint32_t parallelism, const operator_pieces *pieces);
void operator_close(tarn_operator_store *store);

tarn_operator_list *operator_list(
    tarn_operator_store *store, const char *name, tarn_redistribution redistribution);
tarn_broadcast *operator_broadcast(tarn_operator_store *store, const char *name);

/* Adds a snapshot of a subtask's store to pieces. */
void operator_write(tarn_operator_store *store, operator_pieces *pieces);
void operator_pieces_clear(operator_pieces *pieces);

/* Asserts that a list holds exactly these texts, one per letter: "abc" is three elements. */
void operator_expect_letters(const tarn_operator_list *list, const char *letters);
void operator_add_letters(tarn_operator_list *list, const char *letters);

#endif
