/* case.c - one line of JSON with exact integers, and what every kind of check needs of it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/bytes.h"

#include "vectors.h"

bool vectors_differ(char *why, size_t why_bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, why_bytes, format, arguments);
    va_end(arguments);
    return false;
}

#define SKIPPED "skipped: "

bool vectors_skip(char *why, size_t why_bytes, const char *format, ...)
{
    const int size = snprintf(why, why_bytes, SKIPPED);
    va_list arguments;
    va_start(arguments, format);
    if (size > 0 && (size_t)size < why_bytes) {
        vsnprintf(why + size, why_bytes - (size_t)size, format, arguments);
    }
    va_end(arguments);
    return false;
}

bool vectors_is_skipped(const char *why)
{
    return strncmp(why, SKIPPED, strlen(SKIPPED)) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Characters of the number at text, 0 when there is none; *is_integer without fraction, exponent.
 */
static size_t measure_number(const char *text, size_t size, bool *is_integer)
{
    size_t length = 0;
    *is_integer = true;
    while (length < size && (is_digit(text[length]) || strchr("+-.eE", text[length]) != NULL) &&
           text[length] != '\0') {
        if (!is_digit(text[length]) && !(length == 0 && text[length] == '-')) {
            *is_integer = false;
        }
        length++;
    }
    return length;
}

/* Tells whether an integer lies outside of int64_t; text needs no NUL. */
static bool is_beyond_int64(const char *text, size_t length)
{
    const bool is_negative = length > 0 && text[0] == '-';
    const char *limit = is_negative ? "9223372036854775808" : "9223372036854775807";
    const size_t digits = length - (is_negative ? 1 : 0);
    if (digits != strlen(limit)) {
        return digits > strlen(limit);
    }
    return memcmp(text + (is_negative ? 1 : 0), limit, digits) > 0;
}

/* Bytes of the string that starts at text[0] == '"', both quotes included. */
static size_t measure_string(const char *text, size_t size)
{
    size_t length = 1;
    while (length < size && text[length] != '"') {
        length += text[length] == '\\' && length + 1 < size ? 2 : 1;
    }
    return length < size ? length + 1 : size;
}

/* Copies a line; integers that int64_t cannot hold are put between quotes. */
static tarn_status quote_big_integers(const char *line, size_t size, tarn_buffer *out)
{
    size_t at = 0;
    tarn_status status = TARN_OK;
    while (at < size && status == TARN_OK) {
        bool is_integer = false;
        size_t length = 1;
        bool is_big = false;
        if (line[at] == '"') {
            length = measure_string(line + at, size - at);
        } else if (line[at] == '-' || is_digit(line[at])) {
            length = measure_number(line + at, size - at, &is_integer);
            is_big = is_integer && is_beyond_int64(line + at, length);
        }
        const tarn_bytes quote = tarn_bytes_at("\"", is_big ? 1 : 0);
        status = tarn_buffer_append(out, quote);
        if (status == TARN_OK) {
            status = tarn_buffer_append(out, tarn_bytes_at(line + at, length));
        }
        if (status == TARN_OK) {
            status = tarn_buffer_append(out, quote);
        }
        at += length;
    }
    return status;
}

json_t *vectors_case_parse(const char *line, size_t size, char *why, size_t why_bytes)
{
    tarn_buffer quoted = TARN_BUFFER_INIT;
    json_t *parsed = NULL;
    if (tarn_buffer_reserve(&quoted, size) != TARN_OK ||
        quote_big_integers(line, size, &quoted) != TARN_OK) {
        vectors_differ(why, why_bytes, "no memory for a line of %zu bytes", size);
    } else {
        json_error_t problem;
        parsed = json_loadb((const char *)quoted.data, quoted.size, JSON_ALLOW_NUL, &problem);
        if (parsed == NULL) {
            vectors_differ(
                why, why_bytes, "broken JSON at column %d: %s", problem.column, problem.text);
        }
    }
    tarn_buffer_clear(&quoted);
    return parsed;
}

bool vectors_integer(const json_t *object, const char *name, int64_t *out)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_integer(member)) {
        return false;
    }
    *out = json_integer_value(member);
    return true;
}

bool vectors_digits(const json_t *object, const char *name, char *out, size_t out_bytes)
{
    const json_t *member = json_object_get(object, name);
    if (json_is_integer(member)) {
        const int size = snprintf(out, out_bytes, "%" PRId64, (int64_t)json_integer_value(member));
        return size > 0 && (size_t)size < out_bytes;
    }
    const char *text = json_string_value(member);
    if (text == NULL || strlen(text) >= out_bytes) {
        return false;
    }
    bool is_integer = false;
    if (measure_number(text, strlen(text), &is_integer) != strlen(text) || !is_integer) {
        return false;
    }
    snprintf(out, out_bytes, "%s", text);
    return true;
}

const char *vectors_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool vectors_is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

static int nibble(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, digit);
    return found == NULL ? -1 : (int)(found - digits);
}

int64_t vectors_hex(const char *text, uint8_t *out, size_t out_bytes)
{
    const size_t length = text == NULL ? 1 : strlen(text);
    if (length % 2 != 0 || length / 2 > out_bytes) {
        return -1;
    }
    for (size_t i = 0; i < length / 2; i++) {
        const int high = nibble(text[2 * i]);
        const int low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -1;
        }
        out[i] = (uint8_t)(high * 16 + low);
    }
    return (int64_t)(length / 2);
}

bool vectors_check_integer(
    const json_t *object, const char *name, int64_t ours, char *why, size_t why_bytes)
{
    int64_t theirs = 0;
    if (!vectors_integer(object, name, &theirs)) {
        return vectors_differ(why, why_bytes, "the case has no integer \"%s\"", name);
    }
    if (ours != theirs) {
        return vectors_differ(
            why, why_bytes, "%s: %" PRId64 " instead of %" PRId64, name, ours, theirs);
    }
    return true;
}

const json_t *vectors_steps(
    const json_t *vector_case, const char *name, char *why, size_t why_bytes)
{
    const json_t *steps = json_object_get(vector_case, name);
    if (!json_is_array(steps) || json_array_size(steps) == 0) {
        vectors_differ(why, why_bytes, "the case has no %s", name);
        return NULL;
    }
    return steps;
}

static uint64_t compared_count;

void vectors_note_compared(uint64_t count)
{
    compared_count += count;
}

uint64_t vectors_take_compared(void)
{
    const uint64_t count = compared_count;
    compared_count = 0;
    return count;
}
