#include "flight.h"

#include <stdio.h>
#include <string.h>

#include "failure.h"

const char flight_header[] =
    "seen_at,scheduled_at,carrier,flight,tailnum,origin,dest,dep_delay_min,"
    "arr_delay_min,air_time_min,distance_mi";

enum { COLUMN_COUNT = 11, NUMBER_DIGITS_MAX = 12, SECONDS_PER_YEAR = 365 * 86400 };

static const char *const column_names[COLUMN_COUNT] = {
    "seen_at",
    "scheduled_at",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "dep_delay_min",
    "arr_delay_min",
    "air_time_min",
    "distance_mi",
};

typedef struct field {
    const char *data;
    size_t size;
} field;

static tarn_status bad_field(const field *fields, size_t column, const char *why, tarn_error *error)
{
    return failure_set(
        error,
        TARN_INVALID_ARGUMENT,
        0,
        "column %s is \"%.*s\", %s",
        column_names[column],
        (int)(fields[column].size < 40 ? fields[column].size : 40),
        fields[column].data,
        why);
}

static tarn_status split(const char *line, size_t size, field *fields, tarn_error *error)
{
    size_t count = 0;
    size_t start = 0;
    for (size_t at = 0; at <= size; at++) {
        if (at < size && line[at] != ',') {
            continue;
        }
        if (count < COLUMN_COUNT) {
            fields[count] = (field){line + start, at - start};
        }
        count++;
        start = at + 1;
    }
    if (count != COLUMN_COUNT) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "the line has %zu columns and not %d",
            count,
            COLUMN_COUNT);
    }
    return TARN_OK;
}

static tarn_status read_number(const field *fields, size_t column, int64_t *out, tarn_error *error)
{
    const field text = fields[column];
    const bool is_negative = text.size > 0 && text.data[0] == '-';
    const size_t first = is_negative ? 1 : 0;
    if (text.size == first || text.size - first > NUMBER_DIGITS_MAX) {
        return bad_field(fields, column, "which is no number of 1 to 12 digits", error);
    }
    int64_t value = 0;
    for (size_t at = first; at < text.size; at++) {
        if (text.data[at] < '0' || text.data[at] > '9') {
            return bad_field(fields, column, "which is no whole number", error);
        }
        value = value * 10 + (text.data[at] - '0');
    }
    *out = is_negative ? -value : value;
    return TARN_OK;
}

/* A delay may be missing: cancelled flights have none, diverted ones none at arrival. */
static tarn_status read_delay(const field *fields, size_t column, int32_t *out, tarn_error *error)
{
    if (fields[column].size == 0) {
        *out = NO_DELAY;
        return TARN_OK;
    }
    enum { DELAY_MAX = 7 * 24 * 60 };
    int64_t value = 0;
    TRY(read_number(fields, column, &value, error));
    if (value < -DELAY_MAX || value > DELAY_MAX) {
        return bad_field(fields, column, "which is more than a week", error);
    }
    *out = (int32_t)value;
    return TARN_OK;
}

static tarn_status read_text(
    const field *fields,
    size_t column,
    size_t size_min,
    char *out,
    size_t size_max,
    tarn_error *error)
{
    const field text = fields[column];
    if (text.size < size_min || text.size > size_max) {
        return bad_field(fields, column, "which is too short or too long", error);
    }
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return TARN_OK;
}

static tarn_status read_time(const field *fields, size_t column, int64_t *out, tarn_error *error)
{
    TRY(read_number(fields, column, out, error));
    if (*out < 0) {
        return bad_field(fields, column, "which is before 1970", error);
    }
    return TARN_OK;
}

tarn_status flight_parse(const char *line, size_t size, flight *out, tarn_error *error)
{
    field fields[COLUMN_COUNT];
    flight parsed;
    TRY(split(line, size, fields, error));
    TRY(read_time(fields, 0, &parsed.seen_at, error));
    TRY(read_time(fields, 1, &parsed.scheduled_at, error));
    TRY(read_text(fields, 4, 0, parsed.tail, TAIL_NUMBER_MAX, error));
    TRY(read_text(fields, 5, 1, parsed.origin, AIRPORT_MAX, error));
    TRY(read_text(fields, 6, 1, parsed.destination, AIRPORT_MAX, error));
    TRY(read_delay(fields, 7, &parsed.departure_delay, error));
    TRY(read_delay(fields, 8, &parsed.arrival_delay, error));
    *out = parsed;
    return TARN_OK;
}

static void fill(
    message *out, const flight *source, uint32_t round, const char *airport, const char *key)
{
    const size_t key_size = strlen(key);
    out->scheduled_at = source->scheduled_at + (int64_t)round * SECONDS_PER_YEAR;
    out->departure_delay = source->departure_delay;
    out->arrival_delay = source->arrival_delay;
    memset(out->airport, 0, sizeof out->airport);
    memcpy(out->airport, airport, strlen(airport));
    out->key_size = (uint8_t)key_size;
    memcpy(out->key, key, key_size);
}

uint32_t flight_messages(const flight *source, uint32_t round, message out[2])
{
    char key[KEY_MAX + 1];
    uint32_t count = 0;
    if (source->tail[0] != '\0') {
        /* A cancelled flight leaves its aircraft where it was. */
        const bool is_cancelled = source->departure_delay == NO_DELAY;
        const char *airport = is_cancelled ? source->origin : source->destination;
        if (round == 0) {
            snprintf(key, sizeof key, "a/%s", source->tail);
        } else {
            snprintf(key, sizeof key, "a/%s-%u", source->tail, round);
        }
        fill(&out[count++], source, round, airport, key);
    }
    snprintf(key, sizeof key, "r/%s-%s", source->origin, source->destination);
    fill(&out[count++], source, round, "", key);
    return count;
}
