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

/* The same, of bytes that come in pieces. */
typedef struct tarn__sha256_stream tarn__sha256_stream;
tarn__sha256_stream *tarn__sha256_begin(void); /* NULL: libcrypto refuses. */
bool tarn__sha256_update(tarn__sha256_stream *stream, tarn_bytes bytes);
/* Frees the stream, whatever it answers. out NULL: frees alone. */
bool tarn__sha256_end(tarn__sha256_stream *stream, char out[TARN__SHA256_TEXT_BYTES]);

/* MD5 in Base64, as Content-MD5 has it. False: libcrypto refuses. */
bool tarn__md5(tarn_bytes bytes, char out[TARN__MD5_TEXT_BYTES]);

#endif
