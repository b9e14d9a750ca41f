/*
 * http_header.h - what of a reply's head is of use. Pure.
 *
 * Thread: pure.
 */
#ifndef TARN_STORAGE_HTTP_HEADER_H
#define TARN_STORAGE_HTTP_HEADER_H

#include "tarn/bytes.h"

enum {
    TARN__HTTP_ETAG_BYTES = 136,
    TARN__HTTP_TOKEN_BYTES = 40,
    TARN__HTTP_LOCATION_BYTES = 4096,
    TARN__HTTP_RETRY_AFTER_S_MAX = 3600, /* A peer that asks for more is not waited for longer. */
};

typedef struct tarn__http_head {
    bool has_length;
    uint64_t length;   /* Content-Length. */
    int64_t written_s; /* Last-Modified, seconds since 1970 UTC; 0: not sent. */
    bool has_range;
    uint64_t range_begin;                     /* Content-Range: bytes begin-end/total. */
    uint64_t range_end;                       /* The last byte's offset, not behind it. */
    uint32_t retry_after_s;                   /* 0: not asked for. */
    char etag[TARN__HTTP_ETAG_BYTES];         /* As sent, with quotes; empty: none, or too long. */
    char token[TARN__HTTP_TOKEN_BYTES];       /* x-amz-meta-tarn-upload. */
    char location[TARN__HTTP_LOCATION_BYTES]; /* Empty: none, or too long. */
} tarn__http_head;

/*
 * Takes one line of a reply's head, with or without its line end. A status line begins anew.
 *
 * now_s  Seconds since 1970 UTC, for a Retry-After that is a date.
 */
void tarn__http_head_take(tarn__http_head *head, tarn_bytes line, int64_t now_s);

#endif
