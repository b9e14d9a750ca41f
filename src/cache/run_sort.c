/* run_sort.c - see run_sort.h. */
#include "cache/run_sort.h"

#include <string.h>

#include "base/random.h"
#include "base/turn.h"

enum { INSERTED_MAX = 16 }; /* So few are sorted by insertion. */

typedef struct sorter {
    tarn__run_find_row *find_row;
    const void *context;
    tarn__random random;
    tarn__turn turn;
} sorter;

tarn__run_place tarn__run_place_of(tarn_bytes row, uint32_t record, uint32_t order)
{
    uint64_t head[2] = {0};
    memcpy(head, row.data, row.size < sizeof head ? row.size : sizeof head);
    return (tarn__run_place){
        .head = {__builtin_bswap64(head[0]), __builtin_bswap64(head[1])},
        .record = record,
        .order = order,
    };
}

static inline bool is_before(
    const sorter *s, const tarn__run_place *left, const tarn__run_place *right)
{
    if (left->order != right->order) {
        return left->order < right->order;
    }
    if (left->head[0] != right->head[0]) {
        return left->head[0] < right->head[0];
    }
    if (left->head[1] != right->head[1]) {
        return left->head[1] < right->head[1];
    }
    return tarn_bytes_compare(
               s->find_row(s->context, left->record), s->find_row(s->context, right->record)) < 0;
}

static void insert_all(const sorter *s, tarn__run_place *places, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const tarn__run_place moved = places[i];
        size_t at = i;
        for (; at > 0 && is_before(s, &moved, &places[at - 1]); at--) {
            places[at] = places[at - 1];
        }
        places[at] = moved;
    }
}

static const tarn__run_place *pick(sorter *s, const tarn__run_place *places, size_t count)
{
    return &places[tarn__random_below(&s->random, count)];
}

/* The middle one of three. */
static tarn__run_place choose_pivot(sorter *s, const tarn__run_place *places, size_t count)
{
    const tarn__run_place *a = pick(s, places, count);
    const tarn__run_place *b = pick(s, places, count);
    const tarn__run_place *c = pick(s, places, count);
    if (is_before(s, b, a)) {
        const tarn__run_place *other = a;
        a = b;
        b = other;
    }
    if (is_before(s, c, a)) {
        return *a;
    }
    return is_before(s, b, c) ? *b : *c;
}

/* Hoare's partition: answers a border, and what is before it is not behind what follows. */
static size_t divide(sorter *s, tarn__run_place *places, size_t count)
{
    const tarn__run_place pivot = choose_pivot(s, places, count);
    size_t left = 0;
    size_t right = count - 1;
    for (;;) {
        while (is_before(s, &places[left], &pivot)) {
            left++;
        }
        while (is_before(s, &pivot, &places[right])) {
            right--;
        }
        if (left >= right) {
            return right + 1;
        }
        const tarn__run_place other = places[left];
        places[left++] = places[right];
        places[right--] = other;
        tarn__turn_step(&s->turn);
    }
}

static void sort(sorter *s, tarn__run_place *places, size_t count)
{
    while (count > INSERTED_MAX) {
        const size_t border = divide(s, places, count);
        if (border == count) {
            continue; /* The pivot is the greatest: another one divides. */
        }
        if (border < count - border) { /* The smaller part by recursion: its depth is bounded. */
            sort(s, places, border);
            places += border;
            count -= border;
        } else {
            sort(s, places + border, count - border);
            count = border;
        }
    }
    insert_all(s, places, count);
}

void tarn__run_sort(
    tarn__run_place *places, size_t count, tarn__run_find_row *find_row, const void *context)
{
    sorter s = {
        .find_row = find_row,
        .context = context,
        .random = {(uint64_t)(uintptr_t)places},
    };
    sort(&s, places, count);
}
