#include "states.h"

#include <assert.h>
#include <string.h>

#include "failure.h"

static_assert(sizeof(totals) == 64, "no padding");
static_assert(sizeof(last_airport) == 16, "no padding");
static_assert(sizeof(window) == 40 + 8 * DELAY_BUCKETS, "no padding");

/* Units: minutes. A delay belongs to the first bucket whose border it is below, or to the last. */
static const int32_t bucket_borders[DELAY_BUCKETS - 1] = {-60, -45, -30, -20, -15, -10, -5, 0,
                                                          5,   10,  15,  20,  30,  45,  60, 90,
                                                          120, 180, 240, 300, 360, 480, 720};

static tarn_status open_state(
    tarn_backend *backend, const char *name, const char *codec, tarn_value **out, tarn_error *error)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = name;
    options.codec_name = codec;
    options.codec_version = 1;
    return tarn_value_open(backend, &options, out, error);
}

tarn_status states_open(states *s, tarn_backend *backend, tarn_error *error)
{
    *s = (states){.backend = backend};
    TRY(open_state(backend, "totals", "flights.totals", &s->totals, error));
    TRY(open_state(backend, "airport", "flights.airport", &s->airport, error));
    return open_state(backend, "windows", "flights.window", &s->windows, error);
}

tarn_status states_close(states *s, tarn_error *error)
{
    tarn_value *all[] = {s->totals, s->airport, s->windows};
    tarn_status outcome = TARN_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const tarn_status status = tarn_value_close(all[i], outcome == TARN_OK ? error : NULL);
        outcome = outcome == TARN_OK ? status : outcome;
    }
    *s = (states){.backend = s->backend};
    return outcome;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static tarn_status add_to_totals(states *s, const message *m, tarn_error *error)
{
    void *place = NULL;
    TRY(tarn_value_edit(s->totals, sizeof(totals), &place, error));
    totals *t = place;
    t->flights++;
    if (m->departure_delay == NO_DELAY) {
        t->cancelled++;
        return TARN_OK;
    }
    t->departure_max =
        t->departure_count == 0 ? m->departure_delay : larger(t->departure_max, m->departure_delay);
    t->departure_sum += m->departure_delay;
    t->departure_count++;
    if (m->arrival_delay == NO_DELAY) {
        t->diverted++;
        return TARN_OK;
    }
    t->arrival_max =
        t->arrival_count == 0 ? m->arrival_delay : larger(t->arrival_max, m->arrival_delay);
    t->arrival_sum += m->arrival_delay;
    t->arrival_count++;
    return TARN_OK;
}

/*
 * The stream is out of order, and comes from several sources: what was seen last is not what
 * happened last. Of two places at one time the same one is taken, whichever was seen first.
 */
static bool is_later(const last_airport *last, const message *m)
{
    return m->scheduled_at > last->scheduled_at ||
           (m->scheduled_at == last->scheduled_at && strcmp(m->airport, last->name) > 0);
}

static tarn_status move_aircraft(states *s, const message *m, tarn_error *error)
{
    if (m->airport[0] == '\0') {
        return TARN_OK;
    }
    void *place = NULL;
    TRY(tarn_value_edit(s->airport, sizeof(last_airport), &place, error));
    last_airport *last = place;
    if (is_later(last, m)) {
        last->scheduled_at = m->scheduled_at;
        memset(last->name, 0, sizeof last->name);
        memcpy(last->name, m->airport, strlen(m->airport));
    }
    return TARN_OK;
}

static size_t bucket_of(int32_t delay)
{
    size_t bucket = 0;
    while (bucket < DELAY_BUCKETS - 1 && delay >= bucket_borders[bucket]) {
        bucket++;
    }
    return bucket;
}

static tarn_status add_to_window(states *s, const message *m, tarn_error *error)
{
    uint8_t hour[8];
    states_encode_hour(m->scheduled_at, hour);
    TRY(tarn_value_set_namespace(s->windows, tarn_bytes_at(hour, sizeof hour), error));
    void *place = NULL;
    TRY(tarn_value_edit(s->windows, sizeof(window), &place, error));
    window *w = place;
    w->flights++;
    if (m->departure_delay == NO_DELAY) {
        w->cancelled++;
        return TARN_OK;
    }
    w->departure_max =
        w->departure_count == 0 ? m->departure_delay : larger(w->departure_max, m->departure_delay);
    w->departure_sum += m->departure_delay;
    w->departure_count++;
    w->departures[bucket_of(m->departure_delay)]++;
    if (m->arrival_delay != NO_DELAY) {
        w->arrival_max =
            w->arrival_count == 0 ? m->arrival_delay : larger(w->arrival_max, m->arrival_delay);
        w->arrival_sum += m->arrival_delay;
        w->arrival_count++;
        w->arrivals[bucket_of(m->arrival_delay)]++;
    }
    return TARN_OK;
}

tarn_status states_apply(states *s, const message *m, tarn_error *error)
{
    TRY(tarn_backend_set_key(s->backend, tarn_bytes_at(m->key, m->key_size), error));
    TRY(add_to_totals(s, m, error));
    TRY(move_aircraft(s, m, error));
    return add_to_window(s, m, error);
}

void states_encode_hour(int64_t scheduled_at, uint8_t out[8])
{
    const uint64_t hour = (uint64_t)(scheduled_at - scheduled_at % SECONDS_PER_HOUR);
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(hour >> (56 - 8 * i));
    }
}

int64_t states_decode_hour(const uint8_t encoded[8])
{
    uint64_t hour = 0;
    for (int i = 0; i < 8; i++) {
        hour = hour << 8 | encoded[i];
    }
    return (int64_t)hour;
}
