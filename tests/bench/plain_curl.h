/*
 * plain_curl.h - files put to and got from an S3 server by curl alone, as fast as it goes.
 *
 * A thread for each transfer at once, an easy handle each, one request for a file. The payload is
 * not signed and nothing is digested. Server and keys come from AWS_ENDPOINT_URL,
 * AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
 */
#ifndef TARN_TESTS_PLAIN_CURL_H
#define TARN_TESTS_PLAIN_CURL_H

#include <stdint.h>

typedef enum plain_curl_action {
    PLAIN_CURL_PUT,
    PLAIN_CURL_GET,
    PLAIN_CURL_DELETE
} plain_curl_action;

/* Moves directory/0 .. directory/count-1 to or from bucket_path/plain-0 .. ; a failure ends it all.
 */
void plain_curl_run(
    plain_curl_action action,
    const char *bucket_path,
    const char *directory,
    uint32_t count,
    uint32_t parallelism);

#endif
