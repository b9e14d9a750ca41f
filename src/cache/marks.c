/* marks.c - see marks.h. */
#include "cache/marks.h"

#include <string.h>

enum { LINES_PER_WORD = 1 << TARN__MARKS_WORD_LOG2 };

bool tarn__marks_reserve(tarn__marks *marks, tarn__account *account, uint64_t bytes)
{
    const uint32_t shift = TARN__MARKS_LINE_LOG2 + TARN__MARKS_WORD_LOG2;
    const uint32_t wanted = (uint32_t)((bytes + (UINT64_C(1) << shift) - 1) >> shift);
    if (wanted <= marks->word_count) {
        return true;
    }
    uint64_t *words = tarn__reallocate(account, marks->words, wanted * sizeof *words);
    if (words == NULL) {
        return false;
    }
    memset(words + marks->word_count, 0, (wanted - marks->word_count) * sizeof *words);
    marks->words = words;
    marks->word_count = wanted;
    return true;
}

void tarn__marks_clear(tarn__marks *marks)
{
    tarn__release(marks->words);
    *marks = (tarn__marks){.words = NULL};
}

uint32_t tarn__marks_next(const tarn__marks *marks, uint32_t line, uint32_t end)
{
    while (line < end) {
        const uint32_t bit = line & (LINES_PER_WORD - 1);
        const uint64_t rest = marks->words[line >> TARN__MARKS_WORD_LOG2] >> bit;
        if (rest != 0) {
            const uint32_t found = line + (uint32_t)__builtin_ctzll(rest);
            return found < end ? found : end;
        }
        line += LINES_PER_WORD - bit;
    }
    return end;
}

void tarn__marks_fetch(const tarn__marks *marks, const uint8_t *base, uint32_t word)
{
    uint64_t rest = word < marks->word_count ? marks->words[word] : 0;
    while (rest != 0) {
        const size_t line = ((size_t)word << TARN__MARKS_WORD_LOG2) + (size_t)__builtin_ctzll(rest);
        __builtin_prefetch(base + (line << TARN__MARKS_LINE_LOG2));
        rest &= rest - 1;
    }
}
