#include "result.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "failure.h"

const char result_header[] =
    "#key\tflights\tcancelled\tdiverted\tdeparture_delay_sum\tdeparture_delay_max\t"
    "arrival_delay_sum\tarrival_delay_max\tarrival_delay_mean\tlast_airport\twindows\t"
    "busiest_hour\tbusiest_flights\tchecksum";

/* What the rows of one key come to. */
typedef struct fold {
    size_t key_size;
    char key[KEY_MAX];
    uint64_t window_count;
    uint64_t flights;
    int64_t busiest_hour; /* The earliest of the busiest. */
    uint32_t busiest_flights;
    uint64_t checksum; /* FNV-1a, 64 bits, over hour and value of each window in order. */
} fold;

enum { TIME_TEXT = 32, MEAN_TEXT = 32 };

static const uint64_t fnv_basis = 14695981039346656037u;
static const uint64_t fnv_prime = 1099511628211u;

static uint64_t add_to_checksum(uint64_t checksum, tarn_bytes bytes)
{
    const uint8_t *data = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        checksum = (checksum ^ data[i]) * fnv_prime;
    }
    return checksum;
}

static void write_time(int64_t seconds, char out[TIME_TEXT])
{
    const time_t time = (time_t)seconds;
    struct tm parts;
    gmtime_r(&time, &parts);
    strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%MZ", &parts);
}

/* In whole hundredths: the same text on every machine. */
static void write_mean(int64_t sum, uint64_t count, char out[MEAN_TEXT])
{
    if (count == 0) {
        snprintf(out, MEAN_TEXT, "-");
        return;
    }
    const uint64_t magnitude = sum < 0 ? (uint64_t)-sum : (uint64_t)sum;
    const uint64_t hundredths = (magnitude * 100 + count / 2) / count;
    snprintf(
        out,
        MEAN_TEXT,
        "%s%" PRIu64 ".%02" PRIu64,
        sum < 0 && hundredths > 0 ? "-" : "",
        hundredths / 100,
        hundredths % 100);
}

/* Reads a value of the current key; zeros when there is none. */
static tarn_status read_value(tarn_value *state, void *out, size_t size, tarn_error *error)
{
    memset(out, 0, size);
    tarn_bytes value;
    const tarn_status status = tarn_value_get(state, &value, error);
    if (status == TARN_NOT_FOUND) {
        return TARN_OK;
    }
    TRY(status);
    if (value.size != size) {
        return failure_set(
            error, TARN_CORRUPTION, 0, "a value has %zu bytes and not %zu", value.size, size);
    }
    memcpy(out, value.data, size);
    return TARN_OK;
}

static void write_maximum(uint64_t count, int32_t maximum, char out[MEAN_TEXT])
{
    if (count == 0) {
        snprintf(out, MEAN_TEXT, "-");
    } else {
        snprintf(out, MEAN_TEXT, "%" PRId32, maximum);
    }
}

static tarn_status write_line(states *s, const fold *f, sorter *lines, tarn_error *error)
{
    totals t;
    last_airport airport;
    TRY(tarn_backend_set_key(s->backend, tarn_bytes_at(f->key, f->key_size), error));
    TRY(read_value(s->totals, &t, sizeof t, error));
    TRY(read_value(s->airport, &airport, sizeof airport, error));
    if (t.flights != f->flights) {
        return failure_set(
            error,
            TARN_INTERNAL,
            0,
            "the windows of %.*s have %" PRIu64 " flights, its counter has %" PRIu64,
            (int)f->key_size,
            f->key,
            f->flights,
            t.flights);
    }

    char departure_max[MEAN_TEXT];
    char arrival_max[MEAN_TEXT];
    char mean[MEAN_TEXT];
    char hour[TIME_TEXT];
    write_maximum(t.departure_count, t.departure_max, departure_max);
    write_maximum(t.arrival_count, t.arrival_max, arrival_max);
    write_mean(t.arrival_sum, t.arrival_count, mean);
    write_time(f->busiest_hour, hour);

    char line[SORTER_LINE_MAX];
    snprintf(
        line,
        sizeof line,
        "%.*s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64 "\t%s\t%" PRId64
        "\t%s\t%s\t%s\t%" PRIu64 "\t%s\t%" PRIu32 "\t%016" PRIx64,
        (int)f->key_size,
        f->key,
        t.flights,
        t.cancelled,
        t.diverted,
        t.departure_sum,
        departure_max,
        t.arrival_sum,
        arrival_max,
        mean,
        airport.name[0] == '\0' ? "-" : airport.name,
        f->window_count,
        hour,
        f->busiest_flights,
        f->checksum);
    return sorter_add(lines, line, error);
}

static tarn_status check_row(const tarn_row *row, tarn_error *error)
{
    if (row->key.size > KEY_MAX || row->name_space.size != 8 || row->value.size != sizeof(window)) {
        return failure_set(
            error,
            TARN_CORRUPTION,
            0,
            "a window has a key of %zu, a namespace of %zu and a value of %zu bytes",
            row->key.size,
            row->name_space.size,
            row->value.size);
    }
    return TARN_OK;
}

static void begin_fold(fold *f, const tarn_row *row)
{
    *f = (fold){.key_size = row->key.size, .checksum = fnv_basis};
    memcpy(f->key, row->key.data, row->key.size);
}

static void add_to_fold(fold *f, const tarn_row *row)
{
    window w;
    memcpy(&w, row->value.data, sizeof w);
    f->window_count++;
    f->flights += w.flights;
    f->checksum = add_to_checksum(f->checksum, row->name_space);
    f->checksum = add_to_checksum(f->checksum, row->value);
    if (w.flights > f->busiest_flights) {
        f->busiest_flights = w.flights;
        f->busiest_hour = states_decode_hour(row->name_space.data);
    }
}

static void measure_row(const tarn_row *row, state_size *size)
{
    size->row_count++;
    size->key_bytes += row->key.size + row->name_space.size;
    size->value_bytes += row->value.size;
}

static tarn_status fold_rows(
    states *s, tarn_value_iterator *rows, sorter *lines, state_size *size, tarn_error *error)
{
    fold f = {.key_size = 0};
    for (;;) {
        tarn_row row;
        const tarn_status status = tarn_value_iterator_next(rows, &row, error);
        const bool is_over = status == TARN_DONE;
        if (!is_over) {
            TRY(status);
            TRY(check_row(&row, error));
        }
        if (f.key_size > 0 &&
            (is_over || !tarn_bytes_is_equal(row.key, tarn_bytes_at(f.key, f.key_size)))) {
            size->flights += f.flights;
            if (lines != NULL) {
                TRY(write_line(s, &f, lines, error));
            }
            f.key_size = 0;
        }
        if (is_over) {
            return TARN_OK;
        }
        if (f.key_size == 0) {
            begin_fold(&f, &row);
        }
        add_to_fold(&f, &row);
        measure_row(&row, size);
    }
}

static tarn_status scan_windows(states *s, sorter *lines, state_size *size, tarn_error *error)
{
    tarn_value_iterator *rows = NULL;
    TRY(tarn_value_iterate(s->windows, "flights/result", &rows, error));
    const tarn_status status = fold_rows(s, rows, lines, size, error);
    tarn_value_iterator_close(rows);
    return status;
}

static tarn_status measure_state(tarn_value *state, state_size *size, tarn_error *error)
{
    tarn_value_iterator *rows = NULL;
    TRY(tarn_value_iterate(state, "flights/size", &rows, error));
    tarn_status status = TARN_OK;
    tarn_row row;
    while ((status = tarn_value_iterator_next(rows, &row, error)) == TARN_OK) {
        measure_row(&row, size);
    }
    tarn_value_iterator_close(rows);
    return status == TARN_DONE ? TARN_OK : status;
}

tarn_status result_scan(states *s, sorter *lines, state_size *size, tarn_error *error)
{
    TRY(measure_state(s->totals, size, error));
    TRY(measure_state(s->airport, size, error));
    return scan_windows(s, lines, size, error);
}
