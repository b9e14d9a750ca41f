/*
 * arena.h - many small pieces of memory that are given back together.
 *
 *     chunk ──► chunk ──► chunk      small pieces share chunks, large ones have one each
 *
 * Thread: confined.
 */
#ifndef TARN_BASE_ARENA_H
#define TARN_BASE_ARENA_H

#include "tarn/bytes.h"

#include "base/account.h"

typedef struct tarn__arena_chunk tarn__arena_chunk;

typedef struct tarn__arena {
    tarn__account *account;
    tarn__arena_chunk *chunks; /* All, the latest first. */
    uint8_t *next;             /* Free bytes of the chunk for small pieces. */
    size_t left;
} tarn__arena;

void tarn__arena_init(tarn__arena *arena, tarn__account *account);

/* Gives everything back and leaves an empty arena. */
void tarn__arena_clear(tarn__arena *arena);

/* Zeroed memory for count elements of size bytes, aligned for any type; NULL: none is left. A
 * count of 0 answers memory that must not be touched. */
void *tarn__arena_allocate(tarn__arena *arena, size_t count, size_t size);

/* A copy of bytes with a NUL behind them, or NULL. */
void *tarn__arena_copy(tarn__arena *arena, tarn_bytes bytes);

#endif
