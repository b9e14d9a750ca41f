/*
 * result.h - one line per key out of the states, and the exact size of the states.
 *
 * An iteration over "windows" sees the rows of one key next to each other, ordered by hour: they
 * are folded as they come, and nothing of a key is kept but a few numbers.
 *
 * Thread: confined, with the backend.
 */
#ifndef FLIGHTS_RESULT_H
#define FLIGHTS_RESULT_H

#include "sorter.h"
#include "states.h"

/* The first line of a result, without its end. */
extern const char result_header[];

/* What a full scan counted. */
typedef struct state_size {
    uint64_t row_count;
    uint64_t key_bytes; /* Keys and namespaces. */
    uint64_t value_bytes;
    uint64_t flights; /* Sum over all windows: nothing was lost or counted twice. */
} state_size;

/*
 * Scans all states.
 *
 * lines  Takes the lines; NULL: only count.
 * size   Is added to.
 */
tarn_status result_scan(states *s, sorter *lines, state_size *size, tarn_error *error);

#endif
