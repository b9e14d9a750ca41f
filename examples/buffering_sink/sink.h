/*
 * sink.h - the buffering sink: records are kept back until there are enough of them to write.
 *
 *     queue ──► buffered ──threshold──► part-N.txt
 *
 * State, all of it in operator lists:
 *
 *     buffered   split   records that wait for the threshold: the list is the buffer itself
 *     in flight  split   records that a barrier overtook (unaligned checkpoints)
 *     written    union   how long each file was at the barrier, so that every sink knows them all
 *
 * Written exactly once: a restored sink cuts its file back to where it was at the barrier, because
 * what was written since will be written again. With at-least-once it is left as it is.
 *
 * Thread: confined.
 */
#ifndef BUFFERING_SINK_SINK_H
#define BUFFERING_SINK_SINK_H

#include <stdio.h>

#include <tarn/operator_state.h>

#include "options.h"
#include "source.h"

enum { QUEUE_RECORDS = 64 };

typedef struct sink {
    const options *options;
    uint32_t index;
    char path[PATH_MAX];
    FILE *file;
    tarn_operator_store *store;
    tarn_operator_list *buffered;
    tarn_operator_list *in_flight;
    tarn_operator_list *written;
    bool is_listed[SINKS_MAX];   /* The checkpoint knows the file of that sink. */
    uint64_t lengths[SINKS_MAX]; /* Of those files. */
    uint64_t flushed_count;      /* Records written to the file. */
    uint64_t overtaken_count;    /* Records that went into checkpoints as being in flight. */
    uint64_t restored_count;     /* Records that came out of the checkpoint. */
    uint32_t queue_count;
    size_t queue_sizes[QUEUE_RECORDS];
    char queue[QUEUE_RECORDS][RECORD_BYTES_MAX];
} sink;

/* Opens a sink and its file; restored NULL: empty, and so is the file. */
tarn_status sink_open(
    sink *s,
    tarn_env *env,
    const options *o,
    uint32_t index,
    bool is_exactly_once,
    const tarn_checkpoint *restored,
    tarn_error *error);

/* Queues a record; a full queue is worked off first. */
tarn_status sink_put(sink *s, tarn_bytes record, tarn_error *error);

/*
 * Makes the file durable and writes the sink's part of a checkpoint.
 *
 * is_unaligned  The barrier overtakes the queue; else the queue is worked off first.
 */
tarn_status sink_snapshot(
    sink *s, uint64_t checkpoint_id, bool is_unaligned, tarn_buffer *out, tarn_error *error);

/* Writes everything that is left. */
tarn_status sink_finish(sink *s, tarn_error *error);

/* Accepts a sink that was not opened, or in part. What it has buffered is dropped. */
void sink_close(sink *s);

#endif
