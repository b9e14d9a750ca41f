/*
 * position.h - where a source is in the stream: its part of every checkpoint.
 *
 * Thread: pure.
 */
#ifndef FLIGHTS_POSITION_H
#define FLIGHTS_POSITION_H

#include <tarn/checkpoint.h>

typedef struct position {
    uint64_t round;      /* The replay of the year, from 0. */
    uint64_t record;     /* Records of the round that were passed, other sources' included. */
    uint64_t emitted;    /* Its own records of all rounds. */
    uint64_t event_time; /* The largest that was seen. Units: seconds since 1970 UTC. */
    uint64_t out_of_order_count; /* Its own records, by its own order. */
    uint64_t out_of_order_max;   /* Units: seconds behind event_time. */
    uint64_t without_aircraft_count;
} position;

/* Adds what a source has emitted; where it is in the round means nothing for several. */
void position_add(position *sum, const position *one);

/* Encodes a source's acknowledgement of a checkpoint: its position. out: replaced. */
tarn_status position_encode(
    const position *p,
    uint64_t checkpoint_id,
    uint32_t source_index,
    uint32_t source_count,
    tarn_buffer *out,
    tarn_error *error);

/* Answers how many sources a checkpoint has. Errors: TARN_INCOMPATIBLE: none. */
tarn_status position_count(
    const tarn_checkpoint *checkpoint, uint32_t *source_count_out, tarn_error *error);

/* Reads a source's position out of a checkpoint. Errors: TARN_INCOMPATIBLE. */
tarn_status position_restore(
    const tarn_checkpoint *checkpoint, uint32_t source_index, position *out, tarn_error *error);

#endif
