/*
 * hash.c - XXH3-128 digests and their text.
 *
 * Whole files are digested, so it matters how fast: where libxxhash chooses by what the processor
 * has (AVX2, AVX-512), it does; the digest is the same either way.
 */
#include "base/hash.h"

#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* For sizeof XXH3_state_t; the library is still linked. */
#include <xxhash.h>
#ifdef TARN_HAVE_XXH_DISPATCH
#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>
#define DIGEST XXH3_128bits_dispatch
#define UPDATE XXH3_128bits_update_dispatch
#else
#define DIGEST XXH3_128bits
#define UPDATE XXH3_128bits_update
#endif

_Static_assert(sizeof(tarn__hasher) >= sizeof(XXH3_state_t), "a hasher holds libxxhash's state");
_Static_assert(_Alignof(tarn__hasher) >= _Alignof(XXH3_state_t), "and is aligned for it");

#ifdef TARN_HAVE_XXH_DISPATCH
/* libxxhash notes its choice at the first call, with no lock: that is made before there are
 * threads. */
__attribute__((constructor)) static void choose(void)
{
    static const uint8_t bytes[512]; /* Of less, the choice makes no difference, and is not made. */
    (void)DIGEST(bytes, sizeof bytes);
}
#endif

static tarn__digest canonical(XXH128_hash_t hash)
{
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    tarn__digest digest;
    memcpy(digest.bytes, bytes.digest, sizeof digest.bytes);
    return digest;
}

tarn__digest tarn__digest_of(tarn_bytes bytes)
{
    return canonical(DIGEST(bytes.data, bytes.size));
}

uint64_t tarn__hash64_of(tarn_bytes bytes)
{
    return XXH3_64bits(bytes.data, bytes.size);
}

void tarn__hasher_init(tarn__hasher *hasher)
{
    memset(hasher, 0, sizeof *hasher);
    XXH3_128bits_reset((XXH3_state_t *)(void *)hasher->state);
}

void tarn__hasher_update(tarn__hasher *hasher, tarn_bytes bytes)
{
    UPDATE((XXH3_state_t *)(void *)hasher->state, bytes.data, bytes.size);
}

tarn__digest tarn__hasher_digest(const tarn__hasher *hasher)
{
    return canonical(XXH3_128bits_digest((const XXH3_state_t *)(const void *)hasher->state));
}

bool tarn__digest_is_equal(const tarn__digest *a, const tarn__digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void tarn__digest_encode(const tarn__digest *digest, char text[TARN__DIGEST_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof digest->bytes; i++) {
        text[2 * i] = digits[digest->bytes[i] >> 4];
        text[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    text[2 * sizeof digest->bytes] = '\0';
}

static int value_of(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

bool tarn__digest_decode(const char *text, size_t size, tarn__digest *out)
{
    tarn__digest digest;
    if (size != 2 * sizeof digest.bytes) {
        return false;
    }
    for (size_t i = 0; i < sizeof digest.bytes; i++) {
        const int high = value_of(text[2 * i]);
        const int low = value_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        digest.bytes[i] = (uint8_t)(high * 16 + low);
    }
    *out = digest;
    return true;
}
