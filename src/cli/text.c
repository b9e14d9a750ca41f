/* text.c - see text.h. */
#include "text.h"

#include <stdio.h>
#include <time.h>

enum {
    UNIT_FACTOR = 1024,
    MS_PER_SECOND = 1000,
    SHORT_MS_MAX = 10000, /* Below it a length of time is shown in milliseconds. */
};

cli_text cli_text_integer(int64_t number)
{
    cli_text text;
    snprintf(text.data, sizeof text.data, "%" PRId64, number);
    return text;
}

cli_text cli_text_count(uint64_t count)
{
    cli_text text;
    snprintf(text.data, sizeof text.data, "%" PRIu64, count);
    return text;
}

cli_text cli_text_size(int64_t bytes)
{
    if (bytes >= 0) {
        return cli_text_bytes((uint64_t)bytes);
    }
    cli_text text;
    const cli_text positive = cli_text_bytes(0 - (uint64_t)bytes);
    snprintf(text.data, sizeof text.data, "-%.60s", positive.data);
    return text;
}

cli_text cli_text_bytes(uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    cli_text text;
    if (bytes < UNIT_FACTOR) {
        snprintf(text.data, sizeof text.data, "%" PRIu64 " B", bytes);
        return text;
    }
    double number = (double)bytes / UNIT_FACTOR;
    size_t unit = 0;
    while (number >= UNIT_FACTOR && unit + 1 < sizeof units / sizeof units[0]) {
        number /= UNIT_FACTOR;
        unit++;
    }
    snprintf(text.data, sizeof text.data, "%.1f %s", number, units[unit]);
    return text;
}

cli_text cli_text_share(int64_t part, int64_t whole)
{
    cli_text text = {"-"};
    if (whole > 0) {
        snprintf(text.data, sizeof text.data, "%.1f%%", 100.0 * (double)part / (double)whole);
    }
    return text;
}

cli_text cli_text_real(double number)
{
    cli_text text;
    snprintf(text.data, sizeof text.data, "%.15g", number);
    return text;
}

cli_text cli_text_time(int64_t timestamp_ms)
{
    cli_text text;
    int64_t seconds = timestamp_ms / MS_PER_SECOND;
    int64_t rest = timestamp_ms % MS_PER_SECOND;
    if (rest < 0) {
        rest += MS_PER_SECOND;
        seconds--;
    }
    const time_t at = (time_t)seconds;
    struct tm parts;
    char date[32];
    if (gmtime_r(&at, &parts) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        snprintf(text.data, sizeof text.data, "%" PRId64 " ms", timestamp_ms);
        return text;
    }
    snprintf(text.data, sizeof text.data, "%s.%03d UTC", date, (int)rest);
    return text;
}

cli_text cli_text_elapsed(uint64_t elapsed_ms)
{
    cli_text text;
    if (elapsed_ms < SHORT_MS_MAX) {
        snprintf(text.data, sizeof text.data, "%" PRIu64 " ms", elapsed_ms);
    } else {
        snprintf(text.data, sizeof text.data, "%.1f s", (double)elapsed_ms / MS_PER_SECOND);
    }
    return text;
}

cli_text cli_text_range(uint32_t first, uint32_t last)
{
    cli_text text;
    snprintf(text.data, sizeof text.data, "%" PRIu32 "-%" PRIu32, first, last);
    return text;
}
