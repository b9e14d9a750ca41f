/* buffer.c - the reusable buffer: grows by half, never shrinks, keeps its content on failure. */
#include <stdlib.h>
#include <string.h>

#include "tarn/bytes.h"

#include "base/refusal.h"
#include "base/try.h"

enum { CAPACITY_MIN = 64 }; /* One cache line: smaller values are not worth a second growth. */

static const tarn_allocator *allocator_of(const tarn_buffer *buffer)
{
    return buffer->allocator != NULL ? buffer->allocator : tarn_allocator_default();
}

tarn_bytes tarn_buffer_bytes(const tarn_buffer *buffer)
{
    return (tarn_bytes){.data = buffer->data, .size = buffer->size};
}

tarn_status tarn_buffer_reserve(tarn_buffer *buffer, size_t capacity)
{
    if (capacity <= buffer->capacity) {
        return TARN_OK;
    }
    size_t wanted = buffer->capacity + buffer->capacity / 2;
    if (wanted < capacity) {
        wanted = capacity;
    }
    if (wanted < CAPACITY_MIN) {
        wanted = CAPACITY_MIN;
    }
    const tarn_allocator *allocator = allocator_of(buffer);
    tarn__refusal_clear(); /* An allocator of the program's does not say why. */
    void *data = allocator->reallocate(buffer->data, wanted, allocator->context);
    if (data == NULL) {
        return TARN_NO_MEMORY;
    }
    buffer->data = data;
    buffer->capacity = wanted;
    return TARN_OK;
}

tarn_status tarn_buffer_assign(tarn_buffer *buffer, tarn_bytes bytes)
{
    TARN_TRY(tarn_buffer_reserve(buffer, bytes.size));
    if (bytes.size > 0) {
        memcpy(buffer->data, bytes.data, bytes.size);
    }
    buffer->size = bytes.size;
    return TARN_OK;
}

tarn_status tarn_buffer_append(tarn_buffer *buffer, tarn_bytes bytes)
{
    if (bytes.size > SIZE_MAX - buffer->size) {
        tarn__refusal_clear();
        return TARN_NO_MEMORY;
    }
    TARN_TRY(tarn_buffer_reserve(buffer, buffer->size + bytes.size));
    if (bytes.size > 0) {
        memcpy(buffer->data + buffer->size, bytes.data, bytes.size);
    }
    buffer->size += bytes.size;
    return TARN_OK;
}

void tarn_buffer_clear(tarn_buffer *buffer)
{
    if (buffer == NULL) {
        return;
    }
    const tarn_allocator *allocator = allocator_of(buffer);
    allocator->release(buffer->data, allocator->context);
    *buffer = (tarn_buffer){.allocator = buffer->allocator};
}
