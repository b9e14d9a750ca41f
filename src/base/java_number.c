/* java_number.c - see java_number.h. */
#include "base/java_number.h"

#include <ctype.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIGITS_MAX = 17,        /* Significant digits that tell any two doubles apart. */
    FRACTION_DIGITS = 3,    /* Of tarn__java_fixed3_encode(). */
    NUMBER_BYTES_MAX = 511, /* A longer number in a configuration is an error, not a number. */
};

/* The shortest digits that read back as the same double: 0.d1d2d3... times ten to the point. */
typedef struct decimal {
    char digits[DIGITS_MAX + 1];
    int count;
    int point;
} decimal;

static decimal decimal_of(double number)
{
    decimal result = {.count = 0};
    /* Java never looks at fewer than two digits: the smallest double is 4.9E-324, not 5E-324. */
    for (int precision = 2; precision <= DIGITS_MAX; precision++) {
        char text[64];
        snprintf(text, sizeof text, "%.*e", precision - 1, number);
        if (precision < DIGITS_MAX && strtod(text, NULL) != number) {
            continue;
        }
        const char *exponent = strrchr(text, 'e');
        for (const char *at = text; at < exponent; at++) {
            if (isdigit((unsigned char)*at) && result.count < DIGITS_MAX) {
                result.digits[result.count++] = *at;
            }
        }
        while (result.count > 1 && result.digits[result.count - 1] == '0') {
            result.count--;
        }
        result.point = (int)strtol(exponent + 1, NULL, 10) + 1;
        break;
    }
    return result;
}

static char *put_text(char *at, const char *text)
{
    const size_t size = strlen(text);
    memcpy(at, text, size + 1);
    return at + size;
}

/* Digits of positions first .. last - 1 after the point (negative: in front of it); 0 outside. */
static char *put_digits(char *at, const decimal *number, int first, int last)
{
    for (int position = first; position < last; position++) {
        const int index = position + number->point;
        *at++ = index >= 0 && index < number->count ? number->digits[index] : '0';
    }
    *at = '\0';
    return at;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

void tarn__java_double_encode(double number, char text[TARN__JAVA_DOUBLE_TEXT_BYTES])
{
    /* Double.toString() leaves plain notation outside [10^-3, 10^7). */
    static const double plain_min = 1e-3;
    static const double plain_max = 1e7;

    if (isnan(number)) {
        put_text(text, "NaN");
        return;
    }
    char *at = signbit(number) ? put_text(text, "-") : text;
    number = fabs(number);
    if (isinf(number)) {
        put_text(at, "Infinity");
        return;
    }
    if (number == 0) {
        put_text(at, "0.0");
        return;
    }
    decimal digits = decimal_of(number);
    const int exponent = digits.point - 1;
    const bool is_plain = number >= plain_min && number < plain_max;
    if (!is_plain) {
        digits.point = 1;
    }
    at = digits.point > 0 ? put_digits(at, &digits, -digits.point, 0) : put_text(at, "0");
    at = put_text(at, ".");
    at = put_digits(at, &digits, 0, max_int(1, digits.count - digits.point));
    if (!is_plain) {
        enum { EXPONENT_BYTES = 13 }; /* "E", a sign, the digits of an int, NUL. */
        snprintf(at, EXPONENT_BYTES, "E%d", exponent);
    }
}

/* Rounds half up to FRACTION_DIGITS behind the point, by the first digit that is dropped. */
static void round_half_up(decimal *number)
{
    const int kept = number->point + FRACTION_DIGITS;
    if (kept < 0 || kept >= number->count) {
        return;
    }
    bool carries = number->digits[kept] >= '5';
    number->count = kept;
    for (int index = kept - 1; carries && index >= 0; index--) {
        carries = number->digits[index] == '9';
        number->digits[index] = carries ? '0' : (char)(number->digits[index] + 1);
    }
    if (carries) {
        memmove(number->digits + 1, number->digits, (size_t)number->count);
        number->digits[0] = '1';
        number->count++;
        number->point++;
    }
}

void tarn__java_fixed3_encode(double number, char text[TARN__JAVA_DOUBLE_TEXT_BYTES])
{
    decimal digits = {.count = 0};
    if (number > 0) {
        digits = decimal_of(number);
    }
    round_half_up(&digits);
    char *at = text;
    at = digits.point > 0 ? put_digits(at, &digits, -digits.point, 0) : put_text(at, "0");
    at = put_text(at, ".");
    put_digits(at, &digits, 0, FRACTION_DIGITS);
}

tarn_bytes tarn__java_trim(tarn_bytes text)
{
    const unsigned char *data = text.data;
    size_t first = 0;
    size_t last = text.size;
    while (first < last && data[first] <= ' ') {
        first++;
    }
    while (last > first && data[last - 1] <= ' ') {
        last--;
    }
    return tarn_bytes_at(data + first, last - first);
}

static const char *skip_digits(const char *at, bool is_hexadecimal, size_t *count)
{
    while (is_hexadecimal ? isxdigit((unsigned char)*at) : isdigit((unsigned char)*at)) {
        at++;
        (*count)++;
    }
    return at;
}

/* Whether text is a number in Java's grammar; cuts a suffix "f" or "d", which strtod() rejects. */
static bool is_java_number(char *text)
{
    const char *at = text;
    if (*at == '+' || *at == '-') {
        at++;
    }
    if (strcmp(at, "NaN") == 0 || strcmp(at, "Infinity") == 0) {
        return true;
    }
    const bool is_hexadecimal = at[0] == '0' && (at[1] == 'x' || at[1] == 'X');
    at += is_hexadecimal ? 2 : 0;
    size_t digits = 0;
    at = skip_digits(at, is_hexadecimal, &digits);
    if (*at == '.') {
        at = skip_digits(at + 1, is_hexadecimal, &digits);
    }
    if (digits == 0) {
        return false;
    }
    const char lower = (char)tolower((unsigned char)*at);
    if (lower == (is_hexadecimal ? 'p' : 'e')) {
        at++;
        at += *at == '+' || *at == '-' ? 1 : 0;
        size_t exponent_digits = 0;
        at = skip_digits(at, false, &exponent_digits);
        if (exponent_digits == 0) {
            return false;
        }
    } else if (is_hexadecimal) {
        return false;
    }
    if (*at != '\0' && strchr("fFdD", *at) != NULL && at[1] == '\0') {
        text[at - text] = '\0';
        return true;
    }
    return *at == '\0';
}

/* Copies a number, trimmed and NUL-terminated; false when it is none. */
static bool prepare(tarn_bytes text, char copy[NUMBER_BYTES_MAX + 1])
{
    const tarn_bytes trimmed = tarn__java_trim(text);
    if (trimmed.size == 0 || trimmed.size > NUMBER_BYTES_MAX ||
        memchr(trimmed.data, '\0', trimmed.size) != NULL) {
        return false;
    }
    memcpy(copy, trimmed.data, trimmed.size);
    copy[trimmed.size] = '\0';
    return is_java_number(copy);
}

bool tarn__java_float_decode(tarn_bytes text, float *out)
{
    char copy[NUMBER_BYTES_MAX + 1];
    const locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0) {
        return false;
    }
    const bool is_number = prepare(text, copy);
    if (is_number) {
        *out = strtof_l(copy, NULL, c_locale);
    }
    freelocale(c_locale);
    return is_number;
}

bool tarn__java_double_decode(tarn_bytes text, double *out)
{
    char copy[NUMBER_BYTES_MAX + 1];
    const locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0) {
        return false;
    }
    const bool is_number = prepare(text, copy);
    if (is_number) {
        *out = strtod_l(copy, NULL, c_locale);
    }
    freelocale(c_locale);
    return is_number;
}

bool tarn__java_long_decode(tarn_bytes text, int64_t *out)
{
    const char *data = text.data;
    const bool is_negative = text.size > 0 && data[0] == '-';
    size_t at = text.size > 0 && (data[0] == '-' || data[0] == '+') ? 1 : 0;
    if (at == text.size) {
        return false;
    }
    int64_t value = 0; /* Kept negative: the range below zero is larger by one. */
    for (; at < text.size; at++) {
        if (data[at] < '0' || data[at] > '9') {
            return false;
        }
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, data[at] - '0', &value)) {
            return false;
        }
    }
    if (!is_negative && value == INT64_MIN) {
        return false;
    }
    *out = is_negative ? value : -value;
    return true;
}

bool tarn__java_int_decode(tarn_bytes text, int32_t *out)
{
    int64_t value = 0;
    if (!tarn__java_long_decode(text, &value) || value < INT32_MIN || value > INT32_MAX) {
        return false;
    }
    *out = (int32_t)value;
    return true;
}
