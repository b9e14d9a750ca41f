/*
 * run_sort.h - puts the rows of a run in order, in place.
 *
 * A row is compared by its first sixteen bytes, which are beside its place, and is looked at itself
 * only where these are the same: most sorts touch no row. Pivots are chosen at random, so that no
 * order of the rows makes it slow.
 *
 * Thread: pure.
 */
#ifndef TARN_CACHE_RUN_SORT_H
#define TARN_CACHE_RUN_SORT_H

#include <stddef.h>
#include <stdint.h>

#include "tarn/bytes.h"

typedef struct tarn__run_place {
    uint64_t head[2]; /* The row's first bytes as numbers; what is not there is zero. */
    uint32_t record;  /* Where it lies. */
    uint32_t order;   /* Of its family: before all. */
} tarn__run_place;

/* Answers the row of a place. */
typedef tarn_bytes tarn__run_find_row(const void *context, uint32_t record);

tarn__run_place tarn__run_place_of(tarn_bytes row, uint32_t record, uint32_t order);

void tarn__run_sort(
    tarn__run_place *places, size_t count, tarn__run_find_row *find_row, const void *context);

#endif
