/* sha.h - digests that other people's protocols ask for (libcrypto). Pure. */
#ifndef TARN_STORAGE_SHA_H
#define TARN_STORAGE_SHA_H

#include "tarn/bytes.h"

enum {
    TARN__SHA256_TEXT_BYTES = 65, /* Hexadecimal and the NUL. */
    TARN__MD5_TEXT_BYTES = 25,    /* Base64 and the NUL. */
};

/* SHA-256 in lower-case hexadecimal. False: libcrypto refuses, for want of memory. */
bool tarn__sha256(tarn_bytes bytes, char out[TARN__SHA256_TEXT_BYTES]);

/* MD5 in Base64, as Content-MD5 has it. False: libcrypto refuses. */
bool tarn__md5(tarn_bytes bytes, char out[TARN__MD5_TEXT_BYTES]);

#endif
