/* http_header.c - see http_header.h. */
#include "storage/http_header.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Reads decimal digits; false when there are none or they exceed 2^63. Moves *at behind them. */
static bool read_number(const char **at, const char *end, uint64_t *out)
{
    const char *p = *at;
    uint64_t number = 0;
    while (p < end && *p >= '0' && *p <= '9') {
        if (number > (uint64_t)INT64_MAX / 10 - 1) {
            return false;
        }
        number = number * 10 + (uint64_t)(*p - '0');
        p++;
    }
    const bool is_number = p > *at;
    *at = p;
    if (is_number) {
        *out = number;
    }
    return is_number;
}

static void copy(char *into, size_t capacity, const char *value, size_t size)
{
    if (size < capacity && memchr(value, '\0', size) == NULL) {
        memcpy(into, value, size);
        into[size] = '\0';
    }
}

static void take_range(tarn__http_head *head, const char *value, const char *end)
{
    static const char unit[] = "bytes ";
    const size_t unit_size = sizeof unit - 1;
    if ((size_t)(end - value) <= unit_size || strncasecmp(value, unit, unit_size) != 0) {
        return;
    }
    const char *at = value + unit_size;
    uint64_t first = 0;
    uint64_t last = 0;
    if (read_number(&at, end, &first) && at < end && *at == '-') {
        at++;
        if (read_number(&at, end, &last) && first <= last) {
            head->has_range = true;
            head->range_begin = first;
            head->range_end = last;
        }
    }
}

/* Seconds since 1970 UTC; -1: it is no date. */
static int64_t read_date(const char *value, size_t size)
{
    char text[64] = "";
    copy(text, sizeof text, value, size);
    return text[0] != '\0' ? (int64_t)curl_getdate(text, NULL) : -1;
}

static void take_retry_after(
    tarn__http_head *head, const char *value, const char *end, int64_t now_s)
{
    const char *at = value;
    uint64_t seconds = 0;
    if (!read_number(&at, end, &seconds)) {
        const int64_t date = read_date(value, (size_t)(end - value));
        seconds = date > now_s ? (uint64_t)(date - now_s) : 0;
    }
    head->retry_after_s = seconds < TARN__HTTP_RETRY_AFTER_S_MAX
                              ? (uint32_t)seconds
                              : (uint32_t)TARN__HTTP_RETRY_AFTER_S_MAX;
}

static bool is_named(const char *line, size_t size, const char *name)
{
    return size == strlen(name) && strncasecmp(line, name, size) == 0;
}

void tarn__http_head_take(tarn__http_head *head, tarn_bytes line, int64_t now_s)
{
    const char *begin = line.data;
    size_t size = line.size;
    while (size > 0 && (begin[size - 1] == '\r' || begin[size - 1] == '\n')) {
        size--;
    }
    if (size >= 5 && memcmp(begin, "HTTP/", 5) == 0) {
        *head = (tarn__http_head){.has_length = false};
        return;
    }
    const char *colon = size > 0 ? memchr(begin, ':', size) : NULL;
    if (colon == NULL) {
        return;
    }
    const size_t name_size = (size_t)(colon - begin);
    const char *end = begin + size;
    const char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    const size_t value_size = (size_t)(end - value);
    if (is_named(begin, name_size, "content-length")) {
        head->has_length = read_number(&value, end, &head->length);
    } else if (is_named(begin, name_size, "content-range")) {
        take_range(head, value, end);
    } else if (is_named(begin, name_size, "etag")) {
        copy(head->etag, sizeof head->etag, value, value_size);
    } else if (is_named(begin, name_size, "x-amz-meta-tarn-upload")) {
        copy(head->token, sizeof head->token, value, value_size);
    } else if (is_named(begin, name_size, "location")) {
        copy(head->location, sizeof head->location, value, value_size);
    } else if (is_named(begin, name_size, "last-modified")) {
        const int64_t date = read_date(value, value_size);
        head->written_s = date > 0 ? date : 0;
    } else if (is_named(begin, name_size, "retry-after")) {
        take_retry_after(head, value, end, now_s);
    }
}
