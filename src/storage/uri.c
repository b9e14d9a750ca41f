/* uri.c - see uri.h. */
#include "storage/uri.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "storage/name.h"

size_t tarn__uri_scheme_size(const char *address)
{
    const char *colon = strstr(address, "://");
    if (colon == NULL || colon == address) {
        return 0;
    }
    const size_t size = (size_t)(colon - address);
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)address[i];
        if (!isalnum(c) && c != '+' && c != '-' && c != '.') {
            return 0;
        }
    }
    return size;
}

size_t tarn__uri_plain_size(const char *address)
{
    const size_t scheme_size = tarn__uri_scheme_size(address);
    const size_t least = scheme_size > 0 ? scheme_size + strlen("://") : 1;
    size_t size = strlen(address);
    while (size > least && address[size - 1] == '/') {
        size--;
    }
    return size;
}

static tarn_status refuse(const char *scheme, const char *why, tarn_error *error)
{
    return tarn__fail(
        error, TARN_INVALID_ARGUMENT, "the address of a storage, %s://..., %s", scheme, why);
}

static bool is_host(const char *host, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)host[i];
        if (!isalnum(c) && strchr("-._:[]", c) == NULL) {
            return false;
        }
    }
    return size > 0 && size < TARN__URI_HOST_BYTES;
}

tarn_status tarn__uri_parse(const char *address, tarn__uri *out, tarn_error *error)
{
    tarn__uri uri = {.scheme = ""};
    const size_t scheme_size = tarn__uri_scheme_size(address);
    if (scheme_size == 0 || scheme_size >= sizeof uri.scheme) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the address of a storage has no scheme");
    }
    for (size_t i = 0; i < scheme_size; i++) {
        uri.scheme[i] = (char)tolower((unsigned char)address[i]);
    }
    const char *host = address + scheme_size + 3;
    if (strpbrk(host, "@?#") != NULL) {
        return refuse(
            uri.scheme, "holds '@', '?' or '#'; credentials belong into the configuration", error);
    }
    const size_t host_size = strcspn(host, "/");
    if (!is_host(host, host_size)) {
        return refuse(uri.scheme, "has no host or bucket, or one that is none", error);
    }
    memcpy(uri.host, host, host_size);
    const char *path = host + host_size;
    while (*path == '/') {
        path++;
    }
    size_t path_size = strlen(path);
    while (path_size > 0 && path[path_size - 1] == '/') {
        path_size--;
    }
    if (path_size > 0 && !tarn__storage_is_name(tarn_bytes_at(path, path_size))) {
        return refuse(uri.scheme, "has a path that could leave its place or is too long", error);
    }
    memcpy(uri.path, path, path_size);
    *out = uri;
    return TARN_OK;
}

tarn_status tarn__uri_encode(tarn_buffer *out, tarn_bytes bytes, bool keeps_slashes)
{
    static const char digits[] = "0123456789ABCDEF";
    TARN_TRY(tarn_buffer_reserve(out, out->size + 3 * bytes.size));
    const uint8_t *data = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        const uint8_t c = data[i];
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
                              c == '~' || (c == '/' && keeps_slashes);
        if (is_plain) {
            out->data[out->size++] = c;
        } else {
            out->data[out->size++] = '%';
            out->data[out->size++] = (uint8_t)digits[c >> 4];
            out->data[out->size++] = (uint8_t)digits[c & 15];
        }
    }
    return TARN_OK;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const int lower = tolower((unsigned char)c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

long tarn__uri_decode(char *text, size_t size)
{
    size_t to = 0;
    for (size_t from = 0; from < size; from++) {
        char c = text[from];
        if (c == '%') {
            const int high = from + 2 < size ? digit_of(text[from + 1]) : -1;
            const int low = from + 2 < size ? digit_of(text[from + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                return -1;
            }
            c = (char)(high << 4 | low);
            from += 2;
        } else if (c == '+') {
            c = ' ';
        }
        text[to++] = c;
    }
    return (long)to;
}
