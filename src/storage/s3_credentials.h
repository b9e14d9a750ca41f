/*
 * s3_credentials.h - who asks: configuration, environment, or the shared credentials file.
 *
 * The first source that has both keys is taken whole; parts are never mixed.
 *
 * Thread: pure; tarn__s3_credentials_find() reads the environment and a file.
 */
#ifndef TARN_STORAGE_S3_CREDENTIALS_H
#define TARN_STORAGE_S3_CREDENTIALS_H

#include "tarn/config.h"

#include "base/account.h"
#include "storage/file_calls.h"

enum {
    TARN__S3_KEY_BYTES = 256,
    TARN__S3_SESSION_BYTES = 4096,
    TARN__S3_CREDENTIALS_FILE_BYTES_MAX = 256 << 10,
};

typedef struct tarn__s3_credentials {
    char access_key[TARN__S3_KEY_BYTES]; /* Empty: requests are not signed. */
    char secret_key[TARN__S3_KEY_BYTES];
    char session_token[TARN__S3_SESSION_BYTES]; /* Empty: none. */
} tarn__s3_credentials;

/*
 * Finds credentials: s3.access-key and s3.secret-key of config (may be NULL), then
 * AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, then AWS_SHARED_CREDENTIALS_FILE or
 * ~/.aws/credentials. None at all leaves access_key empty.
 *
 * TARN_INVALID_ARGUMENT: a source has one key without the other, or one that is too long.
 */
TARN_NODISCARD tarn_status tarn__s3_credentials_find(
    const tarn_config *config,
    const tarn__file_calls *calls,
    tarn__account *account,
    tarn__s3_credentials *out,
    tarn_error *error);

/* Reads a profile of a credentials file's text. False: it has none of that name with both keys, or
 * one that is too long. */
bool tarn__s3_credentials_read(tarn_bytes text, const char *profile, tarn__s3_credentials *out);

/* Writes over them. */
void tarn__s3_credentials_clear(tarn__s3_credentials *credentials);

#endif
