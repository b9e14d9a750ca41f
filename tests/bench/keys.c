/* keys.c - see keys.h. */
#include "keys.h"

#include <math.h>
#include <string.h>

enum { LATEST_EVENTS_PER_KEY = 20, HOT_TENTHS = 2, HOT_EVENT_TENTHS = 8 };

static const double ZIPF_EXPONENT = 0.99;

static const char *const NAMES[] = {
    [BENCH_ZIPF] = "zipf",
    [BENCH_UNIFORM] = "uniform",
    [BENCH_LATEST] = "latest",
    [BENCH_HOTSPOT] = "hotspot",
};

uint64_t bench_mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

uint64_t bench_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return bench_mix(*state);
}

double bench_random_real(uint64_t *state)
{
    return (double)(bench_random(state) >> 11) * 0x1.0p-53;
}

/* ---- zipf ------------------------------------------------------------------------------- */

/*
 * Rejection-inversion: a point under the density x^-s is drawn by inverting its integral, rounded
 * to a rank, and kept when it lies under the rank's own bar. About 1.1 tries a draw, whatever n.
 *
 * Source: Hoermann, Derflinger, "Rejection-inversion to generate variates from monotone discrete
 * distributions", 1996.
 */
static double density(const bench_zipf *zipf, double x)
{
    return pow(x, -zipf->exponent);
}

static double integral(const bench_zipf *zipf, double x)
{
    return (pow(x, 1.0 - zipf->exponent) - 1.0) / (1.0 - zipf->exponent);
}

static double inverse(const bench_zipf *zipf, double area)
{
    return pow(1.0 + area * (1.0 - zipf->exponent), 1.0 / (1.0 - zipf->exponent));
}

bench_zipf bench_zipf_of(uint64_t n, double exponent)
{
    bench_zipf zipf = {.n = n, .exponent = exponent};
    zipf.integral_first = integral(&zipf, 1.5) - 1.0;
    zipf.integral_last = integral(&zipf, (double)n + 0.5);
    zipf.shortcut = 2.0 - inverse(&zipf, integral(&zipf, 2.5) - density(&zipf, 2.0));
    return zipf;
}

uint64_t bench_zipf_draw(const bench_zipf *zipf, uint64_t *state)
{
    const double width = zipf->integral_first - zipf->integral_last;
    for (;;) {
        const double area = zipf->integral_last + bench_random_real(state) * width;
        const double x = inverse(zipf, area);
        uint64_t rank = (uint64_t)(x + 0.5);
        rank = rank < 1 ? 1 : rank;
        rank = rank > zipf->n ? zipf->n : rank;
        const double center = (double)rank;
        if (center - x <= zipf->shortcut ||
            area >= integral(zipf, center + 0.5) - density(zipf, center)) {
            return rank;
        }
    }
}

/* ---- streams ---------------------------------------------------------------------------- */

bool bench_distribution_find(const char *name, bench_distribution *out)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (strcmp(NAMES[i], name) == 0) {
            *out = (bench_distribution)i;
            return true;
        }
    }
    return false;
}

bool bench_keys_open(
    bench_keys *keys,
    bench_distribution distribution,
    uint64_t count,
    uint64_t seed,
    const char *input)
{
    *keys = (bench_keys){
        .distribution = distribution,
        .count = count,
        .state = seed,
        .zipf = bench_zipf_of(count, ZIPF_EXPONENT),
        .input = input != NULL ? fopen(input, "rb") : NULL,
    };
    return input == NULL || keys->input != NULL;
}

void bench_keys_close(bench_keys *keys)
{
    if (keys->input != NULL) {
        (void)fclose(keys->input);
    }
}

static uint64_t draw_hotspot(bench_keys *keys)
{
    const uint64_t hot = keys->count * HOT_TENTHS / 10;
    const bool is_hot = bench_random(&keys->state) % 10 < HOT_EVENT_TENTHS;
    if (hot == 0) {
        return bench_random(&keys->state) % keys->count;
    }
    return is_hot ? bench_random(&keys->state) % hot
                  : hot + bench_random(&keys->state) % (keys->count - hot);
}

uint64_t bench_keys_draw_rank(bench_keys *keys)
{
    keys->drawn++;
    switch (keys->distribution) {
    case BENCH_ZIPF:
        return bench_zipf_draw(&keys->zipf, &keys->state) - 1;
    case BENCH_UNIFORM:
        return bench_random(&keys->state) % keys->count;
    case BENCH_LATEST: {
        const uint64_t head = keys->drawn / LATEST_EVENTS_PER_KEY % keys->count;
        const uint64_t behind = bench_zipf_draw(&keys->zipf, &keys->state) - 1;
        return (head + keys->count - behind) % keys->count;
    }
    case BENCH_HOTSPOT:
        return draw_hotspot(keys);
    }
    return 0;
}

static bool read_key(FILE *file, uint64_t *out)
{
    uint8_t bytes[sizeof *out];
    if (fread(bytes, 1, sizeof bytes, file) != sizeof bytes) {
        return false;
    }
    *out = 0;
    for (size_t i = sizeof bytes; i > 0; i--) {
        *out = *out << 8 | bytes[i - 1];
    }
    return true;
}

bool bench_keys_fill(bench_keys *keys, uint64_t *out, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (keys->input == NULL) {
            out[i] = bench_mix(bench_keys_draw_rank(keys));
        } else if (!read_key(keys->input, &out[i])) {
            return false;
        }
    }
    return true;
}
