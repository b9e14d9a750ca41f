/* hash.h - digests by which files are named and verified (XXH3, from libxxhash). */
#ifndef TARN_BASE_HASH_H
#define TARN_BASE_HASH_H

#include "tarn/bytes.h"

/* XXH3-128 in canonical (big-endian) byte order. */
typedef struct tarn__digest {
    uint8_t bytes[16];
} tarn__digest;

enum { TARN__DIGEST_TEXT_BYTES = 33 }; /* 32 hexadecimal digits and the NUL. */

/* A digest over bytes that come in parts; caller's memory. 576 bytes as libxxhash wants them. */
typedef struct tarn__hasher {
    _Alignas(64) uint8_t state[576];
} tarn__hasher;

tarn__digest tarn__digest_of(tarn_bytes bytes);

/* XXH3-64, of which table files have the checks of their blocks. */
uint64_t tarn__hash64_of(tarn_bytes bytes);

void tarn__hasher_init(tarn__hasher *hasher);
void tarn__hasher_update(tarn__hasher *hasher, tarn_bytes bytes);
tarn__digest tarn__hasher_digest(const tarn__hasher *hasher);

bool tarn__digest_is_equal(const tarn__digest *a, const tarn__digest *b);

/* Writes 32 lower-case hexadecimal digits and a NUL. */
void tarn__digest_encode(const tarn__digest *digest, char text[TARN__DIGEST_TEXT_BYTES]);

/* Reads 32 hexadecimal digits, either case; false when there are not exactly those. */
bool tarn__digest_decode(const char *text, size_t size, tarn__digest *out);

#endif
