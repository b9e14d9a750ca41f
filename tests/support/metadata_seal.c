/* metadata_seal.c - see metadata_seal.h. */
#include "support/metadata_seal.h"

#include <string.h>

#include "base/hash.h"

enum { PROLOGUE = 32, HEAD = 24, CHECK = 8, DIGEST = 16 };

static void store(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static void put_check(uint8_t *at, const void *data, size_t size)
{
    const tarn__digest digest = tarn__digest_of(tarn_bytes_at(data, size));
    memcpy(at, digest.bytes, CHECK);
}

static size_t seal_section(uint8_t *data, size_t start, size_t end)
{
    uint64_t size = 0;
    for (int i = 7; i >= 0; i--) {
        size = size << 8 | data[start + 8 + (size_t)i];
    }
    uint8_t head[HEAD];
    memcpy(head, data + start, 16);
    store(head + 16, start);
    put_check(data + start + 16, head, sizeof head);
    const size_t content = start + HEAD;
    if (end - content < CHECK || size > end - content - CHECK) {
        return end;
    }
    put_check(data + content + size, data + content, (size_t)size);
    return content + (size_t)size + CHECK;
}

void metadata_seal(uint8_t *data, size_t size)
{
    if (size < PROLOGUE + DIGEST) {
        return;
    }
    store(data + 16, size);
    put_check(data + 24, data, 24);
    const size_t end = size - DIGEST;
    for (size_t at = PROLOGUE; end - at >= HEAD;) {
        at = seal_section(data, at, end);
    }
    const tarn__digest digest = tarn__digest_of(tarn_bytes_at(data, end));
    memcpy(data + end, digest.bytes, DIGEST);
}
