/*
 * quantity.c - memory sizes and durations from text and back.
 *
 * Source: Flink, MemorySize and TimeUtils; vectors memory_size and duration.
 */
#include "tarn/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/java_number.h"
#include "base/try.h"

enum {
    UNIT_BYTES_MAX = 16, /* Longer than any label; a longer one is unknown anyway. */
    SHOWN_BYTES_MAX = 80 /* Of an offending text in a message. */
};

#define NANOS_PER_SECOND  INT64_C(1000000000)
#define MILLIS_PER_SECOND INT64_C(1000)

typedef struct memory_unit {
    const char *labels[4]; /* The second one is what a size is written with. */
    int64_t multiplier;
} memory_unit;

static const memory_unit memory_units[] = {
    {{"b", "bytes"}, 1},
    {{"k", "kb", "kibibytes"}, INT64_C(1) << 10},
    {{"m", "mb", "mebibytes"}, INT64_C(1) << 20},
    {{"g", "gb", "gibibytes"}, INT64_C(1) << 30},
    {{"t", "tb", "tebibytes"}, INT64_C(1) << 40},
};
enum { MEMORY_UNIT_COUNT = sizeof memory_units / sizeof memory_units[0] };

typedef struct time_unit {
    const char *labels[6]; /* The first one is what a duration is written with. */
    int64_t seconds;       /* A whole number of seconds, or 0: */
    int64_t per_second;    /* then how many of them make a second. */
} time_unit;

static const time_unit time_units[] = {
    {{"d", "day", "days"}, 86400, 0},
    {{"h", "hour", "hours"}, 3600, 0},
    {{"min", "m", "minute", "minutes"}, 60, 0},
    {{"s", "sec", "secs", "second", "seconds"}, 1, 0},
    {{"ms", "milli", "millis", "millisecond", "milliseconds"}, 0, 1000},
    {{"\xC2\xB5s", "micro", "micros", "microsecond", "microseconds"}, 0, 1000000},
    {{"ns", "nano", "nanos", "nanosecond", "nanoseconds"}, 0, NANOS_PER_SECOND},
};
enum { TIME_UNIT_COUNT = sizeof time_units / sizeof time_units[0], TIME_UNIT_MILLIS = 4 };

static int shown(tarn_bytes text)
{
    return (int)(text.size < SHOWN_BYTES_MAX ? text.size : SHOWN_BYTES_MAX);
}

/*
 * Lower-cases a unit into NUL-terminated memory; a unit that does not fit becomes "?".
 *
 * KELVIN SIGN (U+212A) is a capital k to Java, and the only character outside ASCII whose small
 * letter is in it.
 */
static void lower_unit(tarn_bytes unit, char out[UNIT_BYTES_MAX])
{
    const char *data = unit.data;
    size_t size = 0;
    for (size_t at = 0; at < unit.size; at++) {
        char c = data[at];
        if (unit.size - at >= 3 && memcmp(data + at, "\xE2\x84\xAA", 3) == 0) {
            c = 'k';
            at += 2;
        }
        if (c == '\0' || size == UNIT_BYTES_MAX - 1) {
            memcpy(out, "?", sizeof "?");
            return;
        }
        out[size++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[size] = '\0';
}

/* Splits a text into its number and its unit in small letters. */
static tarn_status split(
    tarn_bytes text,
    const char *what,
    int64_t *number,
    char unit[UNIT_BYTES_MAX],
    tarn_error *error)
{
    const tarn_bytes trimmed = tarn__java_trim(text);
    const char *data = trimmed.data;
    size_t digits = 0;
    while (digits < trimmed.size && data[digits] >= '0' && data[digits] <= '9') {
        digits++;
    }
    if (digits == 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "\"%.*s\" is no %s: it must begin with a decimal digit",
            shown(text),
            (const char *)text.data,
            what);
    }
    if (!tarn__java_long_decode(tarn_bytes_at(data, digits), number)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "\"%.*s\" is no %s: its number exceeds 2^63 - 1",
            shown(text),
            (const char *)text.data,
            what);
    }
    lower_unit(tarn__java_trim(tarn_bytes_at(data + digits, trimmed.size - digits)), unit);
    return TARN_OK;
}

static const memory_unit *find_memory_unit(const char *label)
{
    for (size_t i = 0; i < MEMORY_UNIT_COUNT; i++) {
        for (const char *const *at = memory_units[i].labels; *at != NULL; at++) {
            if (strcmp(*at, label) == 0) {
                return &memory_units[i];
            }
        }
    }
    return label[0] == '\0' ? &memory_units[0] : NULL;
}

tarn_status tarn_memory_size_parse(tarn_bytes text, int64_t *out, tarn_error *error)
{
    int64_t number = 0;
    char label[UNIT_BYTES_MAX];
    TARN_TRY(split(text, "memory size", &number, label, error));

    const memory_unit *unit = find_memory_unit(label);
    if (unit == NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "\"%.*s\" is no memory size: the unit is one of b, bytes, k, kb, kibibytes, m, mb, "
            "mebibytes, g, gb, gibibytes, t, tb, tebibytes, or none for bytes",
            shown(text),
            (const char *)text.data);
    }
    int64_t bytes = 0;
    if (__builtin_mul_overflow(number, unit->multiplier, &bytes)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "\"%.*s\" is no memory size: it exceeds 2^63 - 1 bytes",
            shown(text),
            (const char *)text.data);
    }
    *out = bytes;
    return TARN_OK;
}

void tarn_memory_size_format(int64_t bytes, char text[TARN_MEMORY_SIZE_TEXT_BYTES])
{
    /* Flink looks for the first unit that does not divide; when all do, it falls back to bytes. */
    const memory_unit *unit = &memory_units[0];
    for (size_t i = 0; i < MEMORY_UNIT_COUNT; i++) {
        if (bytes % memory_units[i].multiplier != 0) {
            unit = &memory_units[i - 1];
            break;
        }
    }
    snprintf(
        text,
        TARN_MEMORY_SIZE_TEXT_BYTES,
        "%" PRId64 " %s",
        bytes / unit->multiplier,
        unit->labels[1]);
}

void tarn_memory_size_format_human(int64_t bytes, char text[TARN_MEMORY_SIZE_TEXT_BYTES])
{
    const memory_unit *unit = &memory_units[0];
    for (size_t i = 0; i < MEMORY_UNIT_COUNT; i++) {
        if (bytes > memory_units[i].multiplier) {
            unit = &memory_units[i];
        }
    }
    if (unit == &memory_units[0]) {
        snprintf(text, TARN_MEMORY_SIZE_TEXT_BYTES, "%" PRId64 " bytes", bytes);
        return;
    }
    char number[TARN__JAVA_DOUBLE_TEXT_BYTES];
    tarn__java_fixed3_encode((double)bytes / (double)unit->multiplier, number);
    snprintf(
        text,
        TARN_MEMORY_SIZE_TEXT_BYTES,
        "%s%s (%" PRId64 " bytes)",
        number,
        unit->labels[1],
        bytes);
}

static const time_unit *find_time_unit(const char *label)
{
    for (size_t i = 0; i < TIME_UNIT_COUNT; i++) {
        for (const char *const *at = time_units[i].labels; *at != NULL; at++) {
            if (strcmp(*at, label) == 0) {
                return &time_units[i];
            }
        }
    }
    return label[0] == '\0' ? &time_units[TIME_UNIT_MILLIS] : NULL;
}

tarn_status tarn_duration_parse(tarn_bytes text, tarn_duration *out, tarn_error *error)
{
    int64_t number = 0;
    char label[UNIT_BYTES_MAX];
    TARN_TRY(split(text, "duration", &number, label, error));

    const time_unit *unit = find_time_unit(label);
    if (unit == NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "\"%.*s\" is no duration: the unit is one of d, h, min, m, s, ms, \xC2\xB5s, ns, their "
            "long forms such as minutes, or none for milliseconds",
            shown(text),
            (const char *)text.data);
    }
    tarn_duration duration = {0};
    if (unit->seconds == 0) {
        duration.seconds = number / unit->per_second;
        duration.nanos =
            (int32_t)(number % unit->per_second * (NANOS_PER_SECOND / unit->per_second));
    } else if (__builtin_mul_overflow(number, unit->seconds, &duration.seconds)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "\"%.*s\" is no duration: it exceeds 2^63 - 1 seconds",
            shown(text),
            (const char *)text.data);
    }
    *out = duration;
    return TARN_OK;
}

/* Writes the number of a unit below a second: the seconds' digits followed by those behind them. */
static void format_fraction(tarn_duration duration, const time_unit *unit, char *text)
{
    enum { NANO_DIGITS = 9 };
    int dropped = NANO_DIGITS;
    for (int64_t rest = unit->per_second; rest > 1; rest /= 10) {
        dropped--;
    }
    char digits[TARN_DURATION_TEXT_BYTES];
    const int size =
        snprintf(digits, sizeof digits, "%" PRId64 "%09" PRId32, duration.seconds, duration.nanos);
    const int zeros = (int)strspn(digits, "0");
    snprintf(
        text,
        TARN_DURATION_TEXT_BYTES,
        "%.*s %s",
        size - dropped - zeros,
        digits + zeros,
        unit->labels[0]);
}

static bool is_divided_by(tarn_duration duration, const time_unit *unit)
{
    if (unit->seconds != 0) {
        return duration.nanos == 0 && duration.seconds % unit->seconds == 0;
    }
    return duration.nanos % (NANOS_PER_SECOND / unit->per_second) == 0;
}

void tarn_duration_format(tarn_duration duration, char text[TARN_DURATION_TEXT_BYTES])
{
    if (duration.seconds == 0 && duration.nanos == 0) {
        memcpy(text, "0 ms", sizeof "0 ms");
        return;
    }
    const time_unit *unit = time_units;
    while (!is_divided_by(duration, unit)) {
        unit++; /* Nanoseconds, the last, divide any. */
    }
    if (unit->seconds == 0) {
        format_fraction(duration, unit, text);
        return;
    }
    snprintf(
        text,
        TARN_DURATION_TEXT_BYTES,
        "%" PRId64 " %s",
        duration.seconds / unit->seconds,
        unit->labels[0]);
}

tarn_status tarn_duration_to_ms(tarn_duration duration, int64_t *out, tarn_error *error)
{
    int64_t ms = 0;
    if (__builtin_mul_overflow(duration.seconds, MILLIS_PER_SECOND, &ms) ||
        __builtin_add_overflow(ms, duration.nanos / (NANOS_PER_SECOND / MILLIS_PER_SECOND), &ms)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a duration of %" PRId64 " s exceeds 2^63 - 1 milliseconds",
            duration.seconds);
    }
    *out = ms;
    return TARN_OK;
}
