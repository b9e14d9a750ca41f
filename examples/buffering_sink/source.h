/*
 * source.h - where records come from, and the position in them, which is operator state.
 *
 * Thread: confined.
 */
#ifndef BUFFERING_SINK_SOURCE_H
#define BUFFERING_SINK_SOURCE_H

#include <stdio.h>

#include <tarn/operator_state.h>

enum { RECORD_BYTES_MAX = 1024 };

typedef struct source {
    const char *path; /* NULL: numbers. */
    FILE *file;
    uint64_t count;         /* Of numbers. */
    uint64_t emitted_count; /* Records so far; with offset, the position. */
    uint64_t offset;        /* Of the next line in the file. */
    tarn_operator_store *store;
    tarn_operator_list *position; /* One element: both numbers. */
} source;

/* Opens the source where the checkpoint left it; restored NULL: at the beginning. */
tarn_status source_open(
    source *s,
    tarn_env *env,
    const char *path,
    uint64_t count,
    const tarn_checkpoint *restored,
    tarn_error *error);

/* The next record, borrowed until the next call. TARN_DONE: there is none. */
tarn_status source_next(source *s, tarn_bytes *out, tarn_error *error);

/* Writes the source's part of a checkpoint. */
tarn_status source_snapshot(source *s, uint64_t checkpoint_id, tarn_buffer *out, tarn_error *error);

/* Accepts a source that was not opened, or in part. */
void source_close(source *s);

/* Writes an operator's states as its part of a checkpoint; the sinks use it too. */
tarn_status snapshot_store(
    tarn_operator_store *store,
    uint64_t checkpoint_id,
    const char *operator_name,
    uint32_t subtask_index,
    uint32_t parallelism,
    tarn_buffer *out,
    tarn_error *error);

#endif
