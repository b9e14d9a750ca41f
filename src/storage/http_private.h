/* http_private.h - what http.c and http_transfer.c share: one transfer as a handle of curl. */
#ifndef TARN_STORAGE_HTTP_PRIVATE_H
#define TARN_STORAGE_HTTP_PRIVATE_H

#include <curl/curl.h>

#include "storage/http.h"

typedef struct tarn__http_limits {
    uint64_t connect_ns;
    uint64_t first_byte_ns;
    uint64_t stall_ns;
    const char *ca_file; /* "": the system's. */
} tarn__http_limits;

/* Makes transfer->easy; false: out of memory. */
bool tarn__http_transfer_begin(
    tarn__http_transfer *transfer, const tarn__clock *clock, const tarn__http_limits *limits);

/* Frees it, and writes over what it knew of credentials. */
void tarn__http_transfer_end(tarn__http_transfer *transfer);

/* Says how curl's part of it ended, in transfer->error and transfer->reply. */
void tarn__http_transfer_conclude(tarn__http_transfer *transfer, CURLcode code);

/* Tells whether a deadline has passed, and says so in transfer->error. */
bool tarn__http_transfer_is_late(
    tarn__http_transfer *transfer, const tarn__http_limits *limits, uint64_t now_ns);

const tarn__clock *tarn__http_clock(const tarn__http *http);

#endif
