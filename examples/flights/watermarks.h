/*
 * watermarks.h - how far event time has come at an operator with several input channels.
 *
 *     channel 0   10:40 ──┐
 *     channel 1   09:55 ──┼──► 09:55: the operator's watermark is the smallest of its channels
 *     channel 2   ended ──┘    ... of those that have anything to say
 *
 * Behind a watermark its source sends nothing that is as old or older, but for what is late. So an
 * operator may count on the smallest watermark of its channels only, and which source is quicker
 * makes nothing late. As watermarks stand behind batches, nothing is late within its own batch:
 * few messages are, of the 7.7 % of the flights that come more than an hour behind the latest.
 *
 * Invariants, as Flink's
 *   - The operator's watermark never goes back.
 *   - A channel that has ended does not count any more; when all have, there is no time to come.
 *   - No channel is idle, as a file never is: one that waits holds time up.
 *
 * Where each channel stands is part of every snapshot: an unaligned one has messages in flight
 * whose watermarks go on from there, and nothing that was in time is late after a restore.
 *
 * Thread: confined.
 */
#ifndef FLIGHTS_WATERMARKS_H
#define FLIGHTS_WATERMARKS_H

#include <stdbool.h>
#include <stdint.h>

#include <tarn/bytes.h>

#include "options.h"

/* Of a channel that has not said anything yet, and of a stream that is over. Else: seconds. */
#define WATERMARK_NONE INT64_MIN
#define WATERMARK_OVER INT64_MAX

/* The operator state of a worker in which they are. */
#define WATERMARKS_STATE_NAME "watermarks"

enum { WATERMARKS_BYTES_MAX = 8 * (2 + SOURCES_MAX) };

typedef struct watermark_channel {
    int64_t watermark; /* The largest that came. */
    bool is_ended;
} watermark_channel;

typedef struct watermarks {
    int64_t current; /* The operator's. */
    uint64_t late_count;
    uint32_t channel_count;
    watermark_channel channels[SOURCES_MAX];
} watermarks;

void watermarks_init(watermarks *w, uint32_t channel_count);

/* A batch of a channel has been processed. watermark: stands after it; smaller ones are ignored. */
void watermarks_advance(watermarks *w, uint32_t channel, int64_t watermark);

/* A channel has nothing to say any more. */
void watermarks_end(watermarks *w, uint32_t channel);

/* Judges a message, and counts it when it is late. */
static inline bool watermarks_judge(watermarks *w, int64_t event_time)
{
    const bool is_late = event_time <= w->current;
    w->late_count += is_late;
    return is_late;
}

/* Encodes all but who has ended, which a restored source says again. */
tarn_bytes watermarks_encode(const watermarks *w, uint8_t out[WATERMARKS_BYTES_MAX]);

/* Reads them. Errors: TARN_INCOMPATIBLE: of another number of channels. */
tarn_status watermarks_restore(
    watermarks *w, uint32_t channel_count, tarn_bytes encoded, tarn_error *error);

/* Takes over the keys of another operator as well: all that may still come to either. */
void watermarks_join(watermarks *w, const watermarks *other);

#endif
