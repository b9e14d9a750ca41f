/*
 * states.h - the states of the operator "flights", and what a message does to them.
 *
 *     state      key                    namespace     value
 *     totals     aircraft or route      -             totals
 *     airport    aircraft               -             last_airport
 *     windows    aircraft or route      hour (u64 BE) window
 *
 * Values are structs in the byte order of the machine, changed in place; a job that moves between
 * machines of both byte orders would encode them. All bytes of them are meaningful or zero, so that
 * equal values are equal bytes.
 *
 * Thread: confined, with the backend.
 */
#ifndef FLIGHTS_STATES_H
#define FLIGHTS_STATES_H

#include <tarn/state.h>

#include "flight.h"

enum { SECONDS_PER_HOUR = 3600, DELAY_BUCKETS = 24 };

/* Since the beginning. Units of delays: minutes. A maximum counts only when its count is not 0. */
typedef struct totals {
    uint64_t flights;
    uint64_t cancelled;
    uint64_t diverted;
    uint64_t departure_count;
    uint64_t arrival_count;
    int64_t departure_sum;
    int64_t arrival_sum;
    int32_t departure_max;
    int32_t arrival_max;
} totals;

typedef struct last_airport {
    int64_t scheduled_at; /* Of the latest flight by event time. */
    char name[8];
} last_airport;

/* One hour of event time. */
typedef struct window {
    uint32_t flights;
    uint32_t departure_count;
    uint32_t arrival_count;
    int32_t departure_max;
    int32_t arrival_max;
    uint32_t cancelled;
    int64_t departure_sum;
    int64_t arrival_sum;
    uint32_t departures[DELAY_BUCKETS]; /* By delay; the borders are in states.c. */
    uint32_t arrivals[DELAY_BUCKETS];
} window;

typedef struct states {
    tarn_backend *backend;
    tarn_value *totals;
    tarn_value *airport;
    tarn_value *windows;
} states;

tarn_status states_open(states *s, tarn_backend *backend, tarn_error *error);

/* Closes what is open. Errors: a change could not be stored. */
tarn_status states_close(states *s, tarn_error *error);

/* Applies a message. On failure the states may have part of it: the job must not go on. */
tarn_status states_apply(states *s, const message *m, tarn_error *error);

/* The namespace of windows: the start of an hour, so that windows sort by time. */
void states_encode_hour(int64_t scheduled_at, uint8_t out[8]);
int64_t states_decode_hour(const uint8_t encoded[8]);

#endif
