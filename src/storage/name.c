/* name.c - see name.h. */
#include "storage/name.h"

#include <stdlib.h>
#include <string.h>

enum { DIGEST_DIGITS = 32, SIZE_DIGITS_MAX = 18 };

static bool is_part(const char *part, size_t size)
{
    static const char reserved[] = ".tarn-";
    if (size == 0 || size > TARN__STORAGE_PART_BYTES_MAX) {
        return false;
    }
    if (part[0] == '.' && (size == 1 || (size == 2 && part[1] == '.'))) {
        return false;
    }
    const size_t reserved_size = sizeof reserved - 1;
    return size < reserved_size || memcmp(part, reserved, reserved_size) != 0;
}

bool tarn__storage_is_name(tarn_bytes name)
{
    if (name.size == 0 || name.size > TARN__STORAGE_NAME_BYTES_MAX ||
        memchr(name.data, '\0', name.size) != NULL) {
        return false;
    }
    const char *part = name.data;
    size_t left = name.size;
    for (;;) {
        const char *slash = memchr(part, '/', left);
        const size_t size = slash != NULL ? (size_t)(slash - part) : left;
        if (!is_part(part, size)) {
            return false;
        }
        if (slash == NULL) {
            return true;
        }
        part = slash + 1;
        left -= size + 1;
    }
}

bool tarn__storage_is_content(const char *name, tarn__digest *digest_out, uint64_t *size_out)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash != NULL ? slash + 1 : name;
    if (strlen(last) < DIGEST_DIGITS + 2 || last[DIGEST_DIGITS] != '-' ||
        !tarn__digest_decode(last, DIGEST_DIGITS, digest_out)) {
        return false;
    }
    const char *digits = last + DIGEST_DIGITS + 1;
    const size_t count = strspn(digits, "0123456789");
    if (digits[count] != '\0' || count > SIZE_DIGITS_MAX) {
        return false;
    }
    *size_out = strtoull(digits, NULL, 10);
    return true;
}
