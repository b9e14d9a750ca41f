/*
 * s3_private.h - a bucket's prefix as a storage: what the files s3*.c share.
 *
 *     s3.c            open, settings; read, stat, remove
 *     s3_list.c       listings, page by page
 *     s3_upload.c     uploads: one put, or parts in parallel
 *     s3_whole.c      objects from a source and into a sink, with one request each
 *     s3_request.c    one request: address, head, signature, what the answer means
 *     s3_reply.c, s3_credentials.c      pure readers
 *
 * Each object "NAME" is the key "PREFIX/NAME". Requests are tried once; the retry shim above asks
 * again, and pause_ms() tells it how long the server wants to be left alone.
 */
#ifndef TARN_STORAGE_S3_PRIVATE_H
#define TARN_STORAGE_S3_PRIVATE_H

#include <pthread.h>

#include "storage/http.h"
#include "storage/s3_credentials.h"
#include "storage/s3_reply.h"
#include "storage/sha.h"
#include "storage/storage.h"
#include "storage/uri.h"

enum {
    TARN__S3_KEY_NAME_BYTES_MAX = 1024, /* Of S3 itself: prefix, '/' and name. */
    TARN__S3_REGION_BYTES = 64,
    TARN__S3_ENDPOINT_BYTES = 512,
    TARN__S3_REMOVE_MAX = 1000, /* Keys of one batch delete. */
    TARN__S3_PARTS_MAX = 10000,
    TARN__S3_PARALLEL_MAX = 16,
    TARN__S3_REPLY_BYTES_MAX = 8 << 20, /* Of XML. */
    TARN__S3_UPLOAD_TOKEN_BYTES = 33,
    TARN__S3_SMALL_BODY_BYTES = 64 << 10, /* A body below this is always signed. */
};

typedef struct tarn__s3 {
    tarn_storage base;
    tarn__account *account;
    tarn__account *buffers; /* For parts. */
    const tarn__clock *clock;
    const tarn_config *config;
    const tarn__file_calls *calls;
    tarn__http *http;
    tarn__http *own_http; /* The same when this storage made it; else NULL. */

    char bucket[TARN__URI_HOST_BYTES];
    char prefix[TARN__URI_PATH_BYTES]; /* Without '/' at the end; may be empty. */
    char root[TARN__S3_ENDPOINT_BYTES + TARN__URI_HOST_BYTES]; /* URL of the bucket. */
    char region[TARN__S3_REGION_BYTES];
    char sigv4[TARN__S3_REGION_BYTES + 16];
    uint64_t part_bytes;
    bool signs_payload; /* Of large bodies too. */
    uint32_t parallel;  /* Parts of one upload, ranges of one read. */

    pthread_mutex_t mutex; /* For the two below. A leaf. */
    tarn__s3_credentials credentials;
    uint64_t not_before_ns; /* The server wants no request before. */
    uint64_t token;         /* Tells this storage's uploads from others'. */
    atomic_uint_least64_t next_upload;
    char address[];
} tarn__s3;

/* One request. Zero, fill the first part, start, wait, clear. */
typedef struct tarn__s3_call {
    const char *method;
    const char *name;      /* Of the object; NULL: the bucket itself. */
    const char *query;     /* Encoded, sorted, or NULL. */
    const char *header[3]; /* More lines; NULL ends. */
    tarn_bytes body;
    bool has_body;
    bool is_alone; /* As in tarn__http_request, like those that follow. */
    bool is_parting;
    tarn_storage_source *source;
    void *source_context;
    uint64_t source_bytes;
    tarn_storage_sink *sink;
    void *sink_context;
    bool (*is_expected)(const tarn__http_head *head, int status, const void *context);
    const void *expected;
    void *into;
    uint64_t limit;
    tarn_buffer *buffer;

    tarn__http_transfer transfer;
    tarn__s3_credentials credentials;
    tarn_buffer url;
    char digest[TARN__SHA256_TEXT_BYTES]; /* Of source, when it is to be signed; else empty. */
    char digest_line[96];
    char session_line[TARN__S3_SESSION_BYTES + 32];
    tarn__s3_problem problem; /* Of an answer of 300 and above. */
} tarn__s3_call;

/* A zeroed call, or NULL. */
tarn__s3_call *tarn__s3_call_new(tarn__s3 *self, tarn_error *error);

/* Frees a call (or NULL); one under way is given up. Credentials are written over. */
void tarn__s3_call_free(tarn__s3_call *call);

TARN_NODISCARD tarn_status
tarn__s3_call_start(tarn__s3 *self, tarn__s3_call *call, tarn_error *error);

/*
 * Waits for an answer, and says what it means.
 *
 * Errors: of tarn__http_wait(); TARN_MISSING (404), TARN_BUSY (412, or 409 of a conditional put),
 * TARN_DECLINED (what asking again will not change), TARN_REMOTE_ERROR (what may pass).
 */
TARN_NODISCARD tarn_status
tarn__s3_call_wait(tarn__s3 *self, tarn__s3_call *call, tarn_error *error);

TARN_NODISCARD tarn_status
tarn__s3_call_perform(tarn__s3 *self, tarn__s3_call *call, tarn_error *error);

/* Says what a problem in the body of an answer of 200 means. */
TARN_NODISCARD tarn_status tarn__s3_problem_fail(
    tarn__s3 *self,
    const tarn__s3_call *call,
    int http_status,
    const tarn__s3_problem *problem,
    tarn_error *error);

/* Begins "PREFIX/NAME" in key; false: longer than S3 allows. */
bool tarn__s3_key(const tarn__s3 *self, const char *name, char key[2 * TARN__URI_PATH_BYTES]);

/* An answer without bytes to a read from the beginning is believed only when the object says that
 * it is empty: it may be the second copy of an answer to another request. */
TARN_NODISCARD tarn_status
tarn__s3_confirm_empty(tarn__s3 *self, const char *name, tarn_error *error);

/* --- Operations of other files --- */

TARN_NODISCARD tarn_status tarn__s3_put(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    uint64_t size,
    tarn_storage_source *source,
    void *context,
    tarn_error *error);
TARN_NODISCARD tarn_status tarn__s3_get(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    tarn_error *error);

TARN_NODISCARD tarn_status tarn__s3_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error);
TARN_NODISCARD tarn_status
tarn__s3_append(tarn_storage_upload *upload, tarn_bytes part, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__s3_finish(tarn_storage_upload *upload, const char *name, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__s3_try_finish(tarn_storage_upload *upload, const char *name, tarn_error *error);
void tarn__s3_abandon(tarn_storage_upload *upload);
TARN_NODISCARD tarn_status tarn__s3_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error);

#endif
