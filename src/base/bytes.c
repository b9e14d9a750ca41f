/* bytes.c - borrowed views. */
#include "tarn/bytes.h"

#include <string.h>

tarn_bytes tarn_bytes_of(const char *text)
{
    return (tarn_bytes){.data = text, .size = text == NULL ? 0 : strlen(text)};
}

tarn_bytes tarn_bytes_at(const void *data, size_t size)
{
    return (tarn_bytes){.data = data, .size = size};
}

bool tarn_bytes_is_equal(tarn_bytes a, tarn_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int tarn_bytes_compare(tarn_bytes a, tarn_bytes b)
{
    const size_t shared = a.size < b.size ? a.size : b.size;
    const int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}
