/* arena.c - see arena.h. */
#include "base/arena.h"

#include <string.h>

enum {
    CHUNK_BYTES = 4096,
    LARGE_BYTES = CHUNK_BYTES / 4, /* From here on a piece has its own chunk: bounds the waste. */
    ALIGNMENT = _Alignof(max_align_t),
};

struct tarn__arena_chunk {
    tarn__arena_chunk *next;
    _Alignas(max_align_t) uint8_t bytes[];
};

void tarn__arena_init(tarn__arena *arena, tarn__account *account)
{
    *arena = (tarn__arena){.account = account};
}

void tarn__arena_clear(tarn__arena *arena)
{
    tarn__arena_chunk *chunk = arena->chunks;
    while (chunk != NULL) {
        tarn__arena_chunk *next = chunk->next;
        tarn__release(chunk);
        chunk = next;
    }
    tarn__arena_init(arena, arena->account);
}

static uint8_t *add_chunk(tarn__arena *arena, size_t size)
{
    if (size > SIZE_MAX - sizeof(tarn__arena_chunk)) {
        return NULL;
    }
    tarn__arena_chunk *chunk = tarn__allocate(arena->account, sizeof *chunk + size);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk->bytes;
}

static void *take(tarn__arena *arena, size_t size)
{
    if (size >= LARGE_BYTES) {
        return add_chunk(arena, size);
    }
    const size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded > arena->left || arena->next == NULL) {
        uint8_t *bytes = add_chunk(arena, CHUNK_BYTES);
        if (bytes == NULL) {
            return NULL;
        }
        arena->next = bytes;
        arena->left = CHUNK_BYTES;
    }
    uint8_t *memory = arena->next;
    arena->next += rounded;
    arena->left -= rounded;
    return memory;
}

void *tarn__arena_allocate(tarn__arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    void *memory = take(arena, count * size);
    if (memory != NULL) {
        memset(memory, 0, count * size);
    }
    return memory;
}

void *tarn__arena_copy(tarn__arena *arena, tarn_bytes bytes)
{
    if (bytes.size == SIZE_MAX) {
        return NULL;
    }
    char *copy = take(arena, bytes.size + 1);
    if (copy != NULL) {
        if (bytes.size > 0) {
            memcpy(copy, bytes.data, bytes.size);
        }
        copy[bytes.size] = '\0';
    }
    return copy;
}
