/*
 * sorter.h - sorts lines in bounded memory: sorted runs in files, merged at the end.
 *
 *     add ──► [buffer, 1 MiB] ── full ──► sorted run ──┐
 *                                                      ├──► merge ──► sorted lines
 *     another worker's ───────────────────► its runs ──┘
 *
 * Thread: confined; sorter_merge() when no thread adds any more.
 */
#ifndef FLIGHTS_SORTER_H
#define FLIGHTS_SORTER_H

#include <stdint.h>
#include <stdio.h>

#include <tarn/budget.h>

enum {
    SORTER_BYTES = 1 << 20,
    SORTER_LINE_MAX = 512,
    SORTER_RUNS_MAX = 400, /* Of all sorters that are merged: each is an open file. */
};

typedef struct sorter {
    const char *directory;
    uint32_t index; /* Of the worker; it is part of the names of the runs. */
    uint32_t run_count;
    tarn_owner *owner; /* In the heap pool. */
    char *lines;       /* SORTER_BYTES: lines from the start, their offsets from the end. */
    size_t used;
    size_t line_count;
} sorter;

/* Opens a sorter. directory: borrowed; must exist. */
tarn_status sorter_open(
    sorter *s, tarn_budget *budget, const char *directory, uint32_t index, tarn_error *error);

/* Removes the runs and gives the memory back. A sorter that was only zeroed is left alone. */
void sorter_close(sorter *s);

/* Adds a line without its end. Lines are unique. */
tarn_status sorter_add(sorter *s, const char *line, tarn_error *error);

/* Writes what is still in memory to a run and frees the buffer. */
tarn_status sorter_flush(sorter *s, tarn_error *error);

/* Writes the lines of all sorters, sorted by bytes, to out. All of them are flushed. */
tarn_status sorter_merge(const sorter *sorters, uint32_t count, FILE *out, tarn_error *error);

#endif
