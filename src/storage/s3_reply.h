/*
 * s3_reply.h - what S3 answers in XML. Pure.
 *
 * Thread: pure.
 */
#ifndef TARN_STORAGE_S3_REPLY_H
#define TARN_STORAGE_S3_REPLY_H

#include "tarn/bytes.h"

enum {
    TARN__S3_CODE_BYTES = 64,
    TARN__S3_MESSAGE_BYTES = 200,
    TARN__S3_UPLOAD_ID_BYTES = 1024,
    TARN__S3_CONTINUATION_BYTES = 4096,
};

/* An <Error>: of a request, or of one key of a batch. */
typedef struct tarn__s3_problem {
    char code[TARN__S3_CODE_BYTES];       /* Such as "SlowDown"; empty: none was found. */
    char message[TARN__S3_MESSAGE_BYTES]; /* Cut; letters, digits and harmless signs only. */
} tarn__s3_problem;

/* Finds the first <Error> in a document; code is empty when there is none. */
void tarn__s3_read_problem(tarn_bytes document, tarn__s3_problem *out);

/* Reads the <UploadId> of a multipart upload that was begun. False: there is none. */
bool tarn__s3_read_upload_id(tarn_bytes document, char out[TARN__S3_UPLOAD_ID_BYTES]);

/* One key or common prefix of a listing, decoded. False: go no further. */
typedef bool tarn__s3_list_visit(
    const char *key,
    size_t key_size,
    bool is_prefix,
    uint64_t size,
    int64_t written_ms,
    void *context);

typedef struct tarn__s3_page {
    bool is_stopped; /* The visit answered false. */
    bool has_more;
    char continuation[TARN__S3_CONTINUATION_BYTES];
} tarn__s3_page;

/* Reads one page of a listing with encoding-type=url. False: it is none. */
bool tarn__s3_read_page(
    tarn_bytes document, tarn__s3_list_visit *visit, void *context, tarn__s3_page *out);

#endif
