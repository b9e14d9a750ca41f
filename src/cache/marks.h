/*
 * marks.h - which lines of a slab may have dirty rows.
 *
 *     slab     | line of 64 bytes | line | line | ...
 *     marks          1               0      1              a bit each
 *
 * A row belongs to the line in which it begins. Of a hundred rows one may be dirty: whoever looks
 * for those goes from mark to mark, and touches no other row.
 *
 * Invariant: a line in which a dirty row begins is marked. Others may be: who finds a line without
 * one clears it.
 *
 * Thread: confined.
 */
#ifndef TARN_CACHE_MARKS_H
#define TARN_CACHE_MARKS_H

#include "base/account.h"

enum { TARN__MARKS_LINE_LOG2 = 6, TARN__MARKS_WORD_LOG2 = 6 };

typedef struct tarn__marks {
    uint64_t *words; /* [word_count], owned. */
    uint32_t word_count;
} tarn__marks;

/* Sees to marks for the first bytes of a slab; false: there is no memory. */
bool tarn__marks_reserve(tarn__marks *marks, tarn__account *account, uint64_t bytes);
void tarn__marks_clear(tarn__marks *marks);

/* Marks the line of a byte. */
static inline void tarn__marks_set(tarn__marks *marks, size_t offset)
{
    const size_t line = offset >> TARN__MARKS_LINE_LOG2;
    marks->words[line >> TARN__MARKS_WORD_LOG2] |= UINT64_C(1) << (line & 63);
}

static inline void tarn__marks_unset(tarn__marks *marks, uint32_t line)
{
    marks->words[line >> TARN__MARKS_WORD_LOG2] &= ~(UINT64_C(1) << (line & 63));
}

/* The first marked line from one on and before another, or the latter. */
uint32_t tarn__marks_next(const tarn__marks *marks, uint32_t line, uint32_t end);

/* Has the processor fetch the marked lines of a word; what is beyond the last one is none. */
void tarn__marks_fetch(const tarn__marks *marks, const uint8_t *base, uint32_t word);

#endif
