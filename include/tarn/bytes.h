/**
 * @file tarn/bytes.h
 * @brief Borrowed bytes, and a buffer that is reused from call to call.
 *
 *     tarn_buffer copy = TARN_BUFFER_INIT;            keeps what a view only lends
 *     tarn_bytes view = tarn_bytes_of("a text");
 *     if (tarn_buffer_assign(&copy, view) == TARN_OK) { ... }
 *     tarn_buffer_clear(&copy);
 *
 * Ownership: tarn_bytes owns nothing and is valid as long as what it points into. A tarn_buffer
 * owns its memory until tarn_buffer_clear().
 * Thread: confined.
 */
#ifndef TARN_BYTES_H
#define TARN_BYTES_H

#include "tarn/allocator.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A borrowed view. data may be NULL only when size is 0. */
typedef struct tarn_bytes {
    const void *data;
    size_t size; /**< Units: bytes. */
} tarn_bytes;

/** Bytes that the caller owns and that calls replace; the memory is reused and only ever grows. */
typedef struct tarn_buffer {
    uint8_t *data;                   /**< NULL as long as capacity is 0. */
    size_t size;                     /**< Units: bytes in use. */
    size_t capacity;                 /**< Units: bytes allocated. */
    const tarn_allocator *allocator; /**< Where the memory comes from. NULL: malloc(). */
} tarn_buffer;

/** An empty buffer on malloc(). */
#define TARN_BUFFER_INIT \
    {                    \
        NULL, 0, 0, NULL \
    }

/** Answers a view of a NUL-terminated string, without the NUL. NULL gives the empty view. */
TARN_API tarn_bytes tarn_bytes_of(const char *text);

/** Answers a view of size bytes at data. */
TARN_API tarn_bytes tarn_bytes_at(const void *data, size_t size);

/** Tells whether two views hold the same bytes. */
TARN_API bool tarn_bytes_is_equal(tarn_bytes a, tarn_bytes b);

/** Orders by unsigned bytes, a prefix first: negative, 0 or positive as memcmp(). */
TARN_API int tarn_bytes_compare(tarn_bytes a, tarn_bytes b);

/** Answers a view of what the buffer holds, valid until the buffer changes. */
TARN_API tarn_bytes tarn_buffer_bytes(const tarn_buffer *buffer);

/**
 * Makes room for a total of capacity bytes; what the buffer holds stays.
 *
 * @retval TARN_OK         The buffer has the room.
 * @retval TARN_NO_MEMORY  It has not; the buffer is unchanged.
 */
TARN_API TARN_NODISCARD tarn_status tarn_buffer_reserve(tarn_buffer *buffer, size_t capacity);

/** Replaces what the buffer holds. TARN_NO_MEMORY leaves it unchanged. bytes must not lie in it. */
TARN_API TARN_NODISCARD tarn_status tarn_buffer_assign(tarn_buffer *buffer, tarn_bytes bytes);

/** Appends to what the buffer holds. TARN_NO_MEMORY leaves it unchanged. bytes must not lie in it.
 */
TARN_API TARN_NODISCARD tarn_status tarn_buffer_append(tarn_buffer *buffer, tarn_bytes bytes);

/** Gives the memory back and leaves an empty buffer that can be used again. NULL does nothing. */
TARN_API void tarn_buffer_clear(tarn_buffer *buffer);

#ifdef __cplusplus
}
#endif
#endif
