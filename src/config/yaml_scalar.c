/*
 * yaml_scalar.c - YAML 1.2's core schema: which texts are null, booleans, integers and floats, and
 * how each is written.
 *
 * Source: YAML 1.2.2, section 10.3.2; snakeyaml-engine 2.6, CoreScalarResolver and the constructors
 * of its CoreSchema.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/java_number.h"
#include "base/try.h"
#include "config/yaml_tree.h"

enum {
    RADIX_DIGITS_MAX = 256,                     /* Of a hexadecimal or octal number. */
    LIMB_COUNT = RADIX_DIGITS_MAX * 4 / 29 + 1, /* Nine decimal digits are more than 29 bits. */
    LIMB_DIGITS = 9,
    FLOAT_BYTES_MAX = 400 /* Longer than any number that means something. */
};
#define LIMB_BASE UINT32_C(1000000000)

static bool is_one_of(tarn_bytes text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (tarn_bytes_is_equal(text, tarn_bytes_of(*words))) {
            return true;
        }
    }
    return false;
}

static size_t skip_decimal(const char *data, size_t at, size_t size)
{
    while (at < size && isdigit((unsigned char)data[at])) {
        at++;
    }
    return at;
}

static size_t skip_sign(const char *data, size_t at, size_t size)
{
    return at < size && (data[at] == '-' || data[at] == '+') ? at + 1 : at;
}

static bool is_int(tarn_bytes text)
{
    const char *data = text.data;
    if (text.size > 2 && data[0] == '0' && (data[1] == 'o' || data[1] == 'x')) {
        for (size_t at = 2; at < text.size; at++) {
            if (data[1] == 'o' ? data[at] < '0' || data[at] > '7'
                               : !isxdigit((unsigned char)data[at])) {
                return false;
            }
        }
        return true;
    }
    const size_t first = skip_sign(data, 0, text.size);
    return first < text.size && skip_decimal(data, first, text.size) == text.size;
}

static bool is_float(tarn_bytes text)
{
    static const char *const specials[] = {
        ".inf",
        ".Inf",
        ".INF",
        "+.inf",
        "+.Inf",
        "+.INF",
        "-.inf",
        "-.Inf",
        "-.INF",
        ".nan",
        ".NaN",
        ".NAN",
        NULL};
    if (is_one_of(text, specials)) {
        return true;
    }
    const char *data = text.data;
    size_t at = skip_sign(data, 0, text.size);
    const size_t whole = at;
    at = skip_decimal(data, at, text.size);
    const bool has_whole = at > whole;
    if (at < text.size && data[at] == '.') {
        const size_t fraction = at + 1;
        at = skip_decimal(data, fraction, text.size);
        if (!has_whole && at == fraction) {
            return false;
        }
    } else if (!has_whole) {
        return false;
    }
    if (at < text.size && (data[at] == 'e' || data[at] == 'E')) {
        const size_t exponent = skip_sign(data, at + 1, text.size);
        at = skip_decimal(data, exponent, text.size);
        return at > exponent && at == text.size;
    }
    return at == text.size;
}

tarn__yaml_kind tarn__yaml_resolve(tarn_bytes text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    if (is_one_of(text, nulls)) {
        return TARN__YAML_NULL;
    }
    if (is_one_of(text, bools)) {
        return TARN__YAML_BOOL;
    }
    if (is_int(text)) {
        return TARN__YAML_INT;
    }
    return is_float(text) ? TARN__YAML_FLOAT : TARN__YAML_STRING;
}

static int digit_of(char c, int radix)
{
    int digit = radix;
    if (c >= '0' && c <= '9') {
        digit = c - '0';
    } else if (isxdigit((unsigned char)c)) {
        digit = tolower((unsigned char)c) - 'a' + 10;
    }
    return digit < radix ? digit : -1;
}

/* Appends hexadecimal or octal digits as a decimal number. */
static tarn_status append_radix(const char *digits, size_t size, int radix, tarn_buffer *out)
{
    if (size == 0 || size > RADIX_DIGITS_MAX) {
        return TARN_INVALID_ARGUMENT;
    }
    uint32_t limbs[LIMB_COUNT] = {0}; /* The smallest first. */
    size_t used = 1;
    for (size_t at = 0; at < size; at++) {
        const int digit = digit_of(digits[at], radix);
        if (digit < 0) {
            return TARN_INVALID_ARGUMENT;
        }
        uint64_t carry = (uint64_t)digit;
        for (size_t limb = 0; limb < used; limb++) {
            carry += (uint64_t)limbs[limb] * (uint64_t)radix;
            limbs[limb] = (uint32_t)(carry % LIMB_BASE);
            carry /= LIMB_BASE;
        }
        if (carry > 0) {
            limbs[used++] = (uint32_t)carry;
        }
    }
    char text[LIMB_COUNT * LIMB_DIGITS + 1];
    int length = snprintf(text, sizeof text, "%u", limbs[used - 1]);
    for (size_t limb = used - 1; limb > 0; limb--) {
        length += snprintf(
            text + length, sizeof text - (size_t)length, "%0*u", LIMB_DIGITS, limbs[limb - 1]);
    }
    return tarn_buffer_append(out, tarn_bytes_at(text, (size_t)length));
}

static tarn_status append_int(tarn_bytes text, tarn_buffer *out)
{
    const char *data = text.data;
    size_t at = skip_sign(data, 0, text.size);
    const bool is_negative = at > 0 && data[0] == '-';
    const bool has_prefix =
        text.size - at > 1 && data[at] == '0' && (data[at + 1] == 'x' || data[at + 1] == 'o');
    if (has_prefix) {
        if (is_negative) {
            TARN_TRY(tarn_buffer_append(out, tarn_bytes_of("-")));
        }
        const int radix = data[at + 1] == 'x' ? 16 : 8;
        return append_radix(data + at + 2, text.size - at - 2, radix, out);
    }
    if (at == text.size || skip_decimal(data, at, text.size) != text.size) {
        return TARN_INVALID_ARGUMENT;
    }
    while (at < text.size - 1 && data[at] == '0') {
        at++;
    }
    if (is_negative && data[at] != '0') {
        TARN_TRY(tarn_buffer_append(out, tarn_bytes_of("-")));
    }
    return tarn_buffer_append(out, tarn_bytes_at(data + at, text.size - at));
}

static tarn_status append_float(tarn_bytes text, tarn_buffer *out)
{
    static const char *const specials[] = {".inf", "-.inf", ".nan", NULL};
    if (text.size == 0 || text.size > FLOAT_BYTES_MAX) {
        return TARN_INVALID_ARGUMENT;
    }
    char lower[FLOAT_BYTES_MAX];
    for (size_t at = 0; at < text.size; at++) {
        lower[at] = (char)tolower(((const unsigned char *)text.data)[at]);
    }
    if (is_one_of(tarn_bytes_at(lower, text.size), specials)) {
        return tarn_buffer_append(out, tarn_bytes_at(lower, text.size));
    }
    const size_t first = skip_sign(lower, 0, text.size);
    double number = 0;
    if (!tarn__java_double_decode(tarn_bytes_at(lower + first, text.size - first), &number)) {
        return TARN_INVALID_ARGUMENT;
    }
    if (lower[0] == '-') {
        number = -number;
    }
    char encoded[TARN__JAVA_DOUBLE_TEXT_BYTES];
    tarn__java_double_encode(number, encoded);
    if (isinf(number)) {
        return tarn_buffer_append(out, tarn_bytes_of(number > 0 ? ".inf" : "-.inf"));
    }
    return tarn_buffer_append(out, tarn_bytes_of(encoded));
}

static tarn_status append_bool(tarn__yaml_kind *kind, tarn_bytes text, tarn_buffer *out)
{
    const char *word = "null"; /* What a tagged text that is neither of the words stands for. */
    if (text.size == 4 && strncasecmp(text.data, "true", text.size) == 0) {
        word = "true";
    } else if (text.size == 5 && strncasecmp(text.data, "false", text.size) == 0) {
        word = "false";
    } else {
        *kind = TARN__YAML_NULL;
    }
    return tarn_buffer_append(out, tarn_bytes_of(word));
}

tarn_status tarn__yaml_canonical(tarn__yaml_kind *kind, tarn_bytes text, tarn_buffer *out)
{
    switch (*kind) {
    case TARN__YAML_NULL:
        return tarn_buffer_append(out, tarn_bytes_of("null"));
    case TARN__YAML_STRING:
        return tarn_buffer_append(out, text);
    case TARN__YAML_BOOL:
        return append_bool(kind, text, out);
    case TARN__YAML_INT:
        return append_int(text, out);
    case TARN__YAML_FLOAT:
        return append_float(text, out);
    case TARN__YAML_LIST:
    case TARN__YAML_MAP:
        return TARN_INVALID_ARGUMENT;
    }
    return TARN_INVALID_ARGUMENT;
}
