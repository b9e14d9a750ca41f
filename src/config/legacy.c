/*
 * legacy.c - flink-conf.yaml, read line by line. It looks like YAML and is not: "#" begins a
 * comment anywhere, quotes are part of the value, indentation means nothing, a line without ": " is
 * skipped and noted, and so is the first value of a key that comes twice.
 *
 * Source: Flink 1.20, GlobalConfiguration; vectors conf_yaml.
 */
#include <stdio.h>
#include <string.h>

#include "base/java_number.h"
#include "base/try.h"
#include "config/config.h"

/* Cuts the first line off the rest; lines end with "\n", "\r" or "\r\n". */
static tarn_bytes next_line(tarn_bytes *rest)
{
    const char *data = rest->data;
    size_t size = 0;
    while (size < rest->size && data[size] != '\n' && data[size] != '\r') {
        size++;
    }
    size_t end = size;
    if (end < rest->size) {
        const bool is_pair = data[end] == '\r' && end + 1 < rest->size && data[end + 1] == '\n';
        end += is_pair ? 2 : 1;
    }
    const tarn_bytes line = tarn_bytes_at(data, size);
    *rest = tarn_bytes_at(data + end, rest->size - end);
    return line;
}

/* What a decoder expects after a byte: how many more, and the range of the first of them. */
typedef struct sequence {
    size_t more;
    unsigned char low;
    unsigned char high;
} sequence;

static sequence sequence_of(unsigned char lead)
{
    if (lead >= 0xC2 && lead <= 0xDF) {
        return (sequence){1, 0x80, 0xBF};
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        return (sequence){2, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF};
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        return (sequence){3, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF};
    }
    return (sequence){0, 0, 0};
}

/* Bytes of the valid character at data, or 0; *bad_out then has the bytes that stand for none. */
static size_t decode(const unsigned char *data, size_t size, size_t *bad_out)
{
    *bad_out = 1;
    if (data[0] < 0x80) {
        return 1;
    }
    const sequence expected = sequence_of(data[0]);
    if (expected.more == 0 || size < 2 || data[1] < expected.low || data[1] > expected.high) {
        return 0;
    }
    for (size_t at = 2; at <= expected.more; at++) {
        if (at >= size || (data[at] & 0xC0) != 0x80) {
            *bad_out = at;
            return 0;
        }
    }
    return expected.more + 1;
}

/* Copies a text into out with U+FFFD for each run of bytes that is no UTF-8, as Java reads it. */
static tarn_status repair(tarn_bytes text, tarn_buffer *out)
{
    const unsigned char *data = text.data;
    out->size = 0;
    for (size_t at = 0; at < text.size;) {
        size_t bad = 0;
        const size_t size = decode(data + at, text.size - at, &bad);
        TARN_TRY(tarn_buffer_append(
            out, size > 0 ? tarn_bytes_at(data + at, size) : tarn_bytes_of("\xEF\xBF\xBD")));
        at += size > 0 ? size : bad;
    }
    return TARN_OK;
}

static bool is_utf8(tarn_bytes text)
{
    const unsigned char *data = text.data;
    for (size_t at = 0; at < text.size;) {
        size_t bad = 0;
        const size_t size = decode(data + at, text.size - at, &bad);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

typedef struct place {
    const char *origin;
    uint32_t line;
} place;

/* Notes that a line is skipped; not what it says, which may be a password. */
static tarn_status skip(tarn_config *config, place at, const char *why, tarn_error *error)
{
    char text[TARN__CONFIG_NOTE_BYTES];
    (void)snprintf(
        text, sizeof text, "%.200s:%u: the line is skipped: %s", at.origin, at.line, why);
    return tarn__config_note(config, at.origin, text, error);
}

static tarn_status note_replaced(
    tarn_config *config, place at, const tarn_config_entry *before, tarn_error *error)
{
    char text[TARN__CONFIG_NOTE_BYTES];
    (void)snprintf(
        text,
        sizeof text,
        "%.200s:%u: the line replaces the value that line %u gives to %.120s",
        at.origin,
        at.line,
        before->line,
        before->key);
    return tarn__config_note(config, at.origin, text, error);
}

static tarn_status take_line(tarn_config *config, tarn_bytes line, place at, tarn_error *error)
{
    const char *data = line.data;
    const char *comment = line.size > 0 ? memchr(data, '#', line.size) : NULL;
    if (comment != NULL) {
        line.size = (size_t)(comment - data);
    }
    line = tarn__java_trim(line);
    const char *separator = line.size > 0 ? memmem(line.data, line.size, ": ", 2) : NULL;
    if (line.size == 0) {
        return TARN_OK;
    }
    if (separator == NULL) {
        return skip(config, at, "there is no \": \" between a key and a value", error);
    }
    data = line.data;
    const size_t key_size = (size_t)(separator - data);
    const tarn_bytes key = tarn__java_trim(tarn_bytes_at(data, key_size));
    const tarn_bytes value =
        tarn__java_trim(tarn_bytes_at(separator + 2, line.size - key_size - 2));
    if (key.size == 0 || value.size == 0) {
        return skip(config, at, "its key or its value is empty", error);
    }
    if (memchr(line.data, '\0', line.size) != NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%.100s:%u: the line holds the character NUL",
            at.origin,
            at.line);
    }
    const tarn_config_entry before = tarn__config_find(config, key);
    if (before.key != NULL) {
        TARN_TRY(note_replaced(config, at, &before, error));
    }
    return tarn__config_put(config, key, value, at.origin, at.line, error);
}

tarn_status tarn__config_parse_legacy(
    tarn_config *config, tarn_bytes text, const char *origin, tarn_error *error)
{
    TARN_AUTO(tarn_buffer_clear)
    tarn_buffer repaired = {.allocator = &tarn__config_account(config)->face};
    place at = {.origin = origin};
    tarn_bytes rest = text;
    while (rest.size > 0) {
        tarn_bytes line = next_line(&rest);
        at.line++;
        if (!is_utf8(line)) {
            if (repair(line, &repaired) != TARN_OK) {
                return tarn__fail_no_memory(error, "a line of a configuration", line.size);
            }
            line = tarn_buffer_bytes(&repaired);
        }
        TARN_TRY(take_line(config, line, at, error));
    }
    return TARN_OK;
}
