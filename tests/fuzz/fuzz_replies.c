/*
 * fuzz_replies.c - arbitrary bytes as what a server or a user says about storages.
 *
 * The first byte chooses the reader: a listing or a problem of S3, an answer of WebHDFS, a head, an
 * address, a credentials file. Whatever comes, no name that could leave its place gets through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/http_header.h"
#include "storage/name.h"
#include "storage/s3_credentials.h"
#include "storage/s3_reply.h"
#include "storage/uri.h"
#include "storage/webhdfs_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

static bool visit_key(
    const char *key, size_t size, bool is_prefix, uint64_t bytes, int64_t written_ms, void *context)
{
    MUST(written_ms >= 0);
    (void)is_prefix;
    (void)bytes;
    (void)context;
    MUST(memchr(key, '\0', size) == NULL && key[size] == '\0');
    return size % 7 != 6;
}

static bool visit_file(const char *name, const tarn__webhdfs_status *status, void *context)
{
    (void)context;
    (void)status;
    MUST(strlen(name) < TARN__WEBHDFS_NAME_BYTES);
    return true;
}

static void read_s3(tarn_bytes bytes)
{
    static tarn__s3_page page;
    tarn__s3_problem problem;
    char id[TARN__S3_UPLOAD_ID_BYTES];
    (void)tarn__s3_read_page(bytes, visit_key, NULL, &page);
    (void)tarn__s3_read_upload_id(bytes, id);
    tarn__s3_read_problem(bytes, &problem);
    for (const char *c = problem.message; *c != '\0'; c++) {
        MUST(*c >= ' ' && *c < 0x7f);
    }
}

static void read_webhdfs(tarn_bytes bytes)
{
    tarn__webhdfs_page page;
    tarn__webhdfs_problem problem;
    tarn__webhdfs_status status;
    bool answer = false;
    (void)tarn__webhdfs_read_page(bytes, visit_file, NULL, &page);
    (void)tarn__webhdfs_read_status(bytes, &status);
    (void)tarn__webhdfs_read_boolean(bytes, &answer);
    tarn__webhdfs_read_problem(bytes, &problem);
}

static void read_head(tarn_bytes bytes)
{
    tarn__http_head head = {.has_length = false};
    const char *at = bytes.data;
    size_t left = bytes.size;
    while (left > 0) {
        const char *end = memchr(at, '\n', left);
        const size_t size = end != NULL ? (size_t)(end - at) + 1 : left;
        tarn__http_head_take(&head, tarn_bytes_at(at, size), 1000);
        at += size;
        left -= size;
    }
    MUST(head.retry_after_s <= TARN__HTTP_RETRY_AFTER_S_MAX);
    MUST(!head.has_range || head.range_begin <= head.range_end);
}

static void read_address(const char *text)
{
    tarn__uri uri;
    tarn_error error;
    if (tarn__uri_parse(text, &uri, &error) == TARN_OK) {
        MUST(uri.path[0] == '\0' || tarn__storage_is_name(tarn_bytes_of(uri.path)));
        MUST(strpbrk(uri.host, "@/?# \r\n") == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    char *text = malloc(size);
    MUST(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    const tarn_bytes bytes = tarn_bytes_at(text, size - 1);
    tarn__s3_credentials credentials;
    switch (data[0] % 5) {
    case 0:
        read_s3(bytes);
        break;
    case 1:
        read_webhdfs(bytes);
        break;
    case 2:
        read_head(bytes);
        break;
    case 3:
        read_address(text);
        break;
    default:
        (void)tarn__s3_credentials_read(bytes, "default", &credentials);
        break;
    }
    free(text);
    return 0;
}
