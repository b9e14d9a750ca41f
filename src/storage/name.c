/* name.c - see name.h. */
#include "storage/name.h"

#include <string.h>

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
