/*
 * flight.h - one line of the input, and the messages that it becomes.
 *
 *     flight ──► message under "a/<aircraft>"     (not when it has no aircraft)
 *            └─► message under "r/<origin>-<destination>"
 */
#ifndef FLIGHTS_FLIGHT_H
#define FLIGHTS_FLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include <tarn/status.h>

enum {
    TAIL_NUMBER_MAX = 8,
    AIRPORT_MAX = 3,
    KEY_MAX = 27, /* "a/", a tail number, "-", a round, no NUL; fills message to 48 bytes. */
};

/* What stands for a delay that the input does not have: cancelled, diverted. */
#define NO_DELAY INT32_MIN

/* A line of the input. Text is NUL-terminated. Units: seconds since 1970 UTC, minutes. */
typedef struct flight {
    int64_t seen_at;
    int64_t scheduled_at;
    int32_t departure_delay;        /* NO_DELAY: cancelled. */
    int32_t arrival_delay;          /* NO_DELAY: cancelled or diverted. */
    char tail[TAIL_NUMBER_MAX + 1]; /* Empty: cancelled before it got an aircraft. */
    char origin[AIRPORT_MAX + 1];
    char destination[AIRPORT_MAX + 1];
} flight;

/* What travels to a worker: the flight under one of its keys. */
typedef struct message {
    int64_t scheduled_at;
    int32_t departure_delay;
    int32_t arrival_delay;
    char airport[AIRPORT_MAX + 1]; /* Where the aircraft is after it; empty for a route. */
    uint8_t key_size;
    char key[KEY_MAX];
} message;

/* The first line of the input, without its end. */
extern const char flight_header[];

/*
 * Reads one line, without its end.
 *
 * Errors: TARN_INVALID_ARGUMENT with the column and its content.
 */
tarn_status flight_parse(const char *line, size_t size, flight *out, tarn_error *error);

/*
 * Makes the messages of a flight.
 *
 * round    Which replay of the year it is: aircraft get names of their own from the second on.
 * Returns how many there are, 1 or 2.
 */
uint32_t flight_messages(const flight *source, uint32_t round, message out[2]);

#endif
