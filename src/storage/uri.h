/*
 * uri.h - addresses of storages and the names in requests. Pure.
 *
 *     s3://bucket/prefix/of/keys        s3a:// and s3p:// mean the same
 *     webhdfs://host:port/path          swebhdfs:// over TLS, hdfs:// as webhdfs://
 *
 * Thread: pure.
 */
#ifndef TARN_STORAGE_URI_H
#define TARN_STORAGE_URI_H

#include "tarn/bytes.h"

#include "base/error.h"

enum {
    TARN__URI_HOST_BYTES = 256,
    TARN__URI_PATH_BYTES = 1025,
};

typedef struct tarn__uri {
    char scheme[16];                 /* Lower case. */
    char host[TARN__URI_HOST_BYTES]; /* Bucket, or host and port. */
    char path[TARN__URI_PATH_BYTES]; /* Without '/' at either end; a name, or empty. */
} tarn__uri;

/*
 * Reads "scheme://host/path". The path is taken as it stands, not decoded.
 *
 * TARN_INVALID_ARGUMENT: there is no host, there are credentials, a query or a fragment in it, or
 * the path could leave its root. The message shows no credentials.
 */
TARN_NODISCARD tarn_status tarn__uri_parse(const char *address, tarn__uri *out, tarn_error *error);

/* The size of the scheme of an address that has one ("scheme://"), else 0. */
size_t tarn__uri_scheme_size(const char *address);

/* The size of an address without the '/' that it ends in. "scheme://" and "/" stay as they are. */
size_t tarn__uri_plain_size(const char *address);

/* Appends bytes, with everything but letters, digits and "-._~" (and '/' when asked) as %XX. */
TARN_NODISCARD tarn_status tarn__uri_encode(tarn_buffer *out, tarn_bytes bytes, bool keeps_slashes);

/* Decodes %XX in place; answers the size, or -1 when a '%' is not followed by two digits or a NUL
 * would come out. */
long tarn__uri_decode(char *text, size_t size);

#endif
