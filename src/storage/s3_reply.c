/* s3_reply.c - see s3_reply.h. */
#include "storage/s3_reply.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "storage/uri.h"
#include "storage/xml.h"

/* A server's words go into messages: only what cannot mislead a terminal or a log. */
static void copy_plain(char *out, size_t capacity, const char *text, size_t size)
{
    size_t to = 0;
    for (size_t i = 0; i < size && to + 1 < capacity; i++) {
        const unsigned char c = (unsigned char)text[i];
        out[to++] = c >= ' ' && c < 0x7f ? (char)c : ' ';
    }
    out[to] = '\0';
}

static bool visit_problem(
    const char *parent, const char *name, char *text, size_t size, void *context)
{
    tarn__s3_problem *out = context;
    if (strcmp(parent, "Error") != 0) {
        return true;
    }
    if (strcmp(name, "Code") == 0 && out->code[0] == '\0') {
        for (size_t i = 0; i < size && i + 1 < sizeof out->code && isalnum((unsigned char)text[i]);
             i++) {
            out->code[i] = text[i]; /* The rest is zero. */
        }
    } else if (strcmp(name, "Message") == 0 && out->message[0] == '\0') {
        copy_plain(out->message, sizeof out->message, text, size);
    }
    return true;
}

void tarn__s3_read_problem(tarn_bytes document, tarn__s3_problem *out)
{
    *out = (tarn__s3_problem){.code = ""};
    /* A document that breaks off, as one that was cut does, may have told its code by then. */
    (void)tarn__xml_read(document, visit_problem, out);
}

static bool visit_upload_id(
    const char *parent, const char *name, char *text, size_t size, void *context)
{
    char *out = context;
    if (strcmp(parent, "InitiateMultipartUploadResult") == 0 && strcmp(name, "UploadId") == 0) {
        if (size == 0 || size >= TARN__S3_UPLOAD_ID_BYTES) {
            return false;
        }
        memcpy(out, text, size + 1);
    }
    return true;
}

bool tarn__s3_read_upload_id(tarn_bytes document, char out[TARN__S3_UPLOAD_ID_BYTES])
{
    out[0] = '\0';
    return tarn__xml_read(document, visit_upload_id, out) && out[0] != '\0';
}

typedef struct listing {
    tarn__s3_list_visit *visit;
    void *context;
    tarn__s3_page *page;
    bool is_page;
    bool has_key;
    char key[TARN__XML_TEXT_BYTES + 1];
    size_t key_size;
    uint64_t size;
    int64_t written_ms;
} listing;

static bool take_key(listing *l, char *text, size_t size)
{
    const long decoded = tarn__uri_decode(text, size);
    if (decoded < 0) {
        return false;
    }
    l->key_size = (size_t)decoded;
    memcpy(l->key, text, l->key_size);
    l->key[l->key_size] = '\0';
    l->has_key = true;
    return true;
}

static bool take_size(listing *l, const char *text, size_t size)
{
    l->size = 0;
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)text[i]) || l->size > (uint64_t)INT64_MAX / 10 - 1) {
            return false;
        }
        l->size = l->size * 10 + (uint64_t)(text[i] - '0');
    }
    return size > 0;
}

/* "2026-01-31T12:30:00.250Z", always UTC; 0: it is none. */
static int64_t read_time(const char *text)
{
    struct tm time = {.tm_year = 0};
    if (sscanf(
            text,
            "%4d-%2d-%2dT%2d:%2d:%2d",
            &time.tm_year,
            &time.tm_mon,
            &time.tm_mday,
            &time.tm_hour,
            &time.tm_min,
            &time.tm_sec) != 6 ||
        time.tm_year < 1970) {
        return 0;
    }
    time.tm_year -= 1900;
    time.tm_mon -= 1;
    const int64_t seconds = (int64_t)timegm(&time);
    return seconds > 0 ? seconds * 1000 : 0;
}

static bool give(listing *l, bool is_prefix)
{
    if (!l->has_key) {
        return false;
    }
    if (!l->visit(
            l->key, l->key_size, is_prefix, is_prefix ? 0 : l->size, l->written_ms, l->context)) {
        l->page->is_stopped = true;
        return false;
    }
    l->has_key = false;
    l->size = 0;
    l->written_ms = 0;
    return true;
}

static bool visit_page(const char *parent, const char *name, char *text, size_t size, void *context)
{
    listing *l = context;
    const bool is_top = strcmp(parent, "ListBucketResult") == 0;
    if (strcmp(parent, "Contents") == 0) {
        if (strcmp(name, "Key") == 0) {
            return take_key(l, text, size);
        }
        if (strcmp(name, "LastModified") == 0) {
            l->written_ms = read_time(text);
            return true;
        }
        return strcmp(name, "Size") != 0 || take_size(l, text, size);
    }
    if (strcmp(parent, "CommonPrefixes") == 0 && strcmp(name, "Prefix") == 0) {
        return take_key(l, text, size);
    }
    if (is_top && strcmp(name, "Contents") == 0) {
        return give(l, /* is_prefix= */ false);
    }
    if (is_top && strcmp(name, "CommonPrefixes") == 0) {
        return give(l, /* is_prefix= */ true);
    }
    if (is_top && strcmp(name, "IsTruncated") == 0) {
        l->page->has_more = strcmp(text, "true") == 0;
    } else if (is_top && strcmp(name, "NextContinuationToken") == 0) {
        if (size >= TARN__S3_CONTINUATION_BYTES) {
            return false;
        }
        memcpy(l->page->continuation, text, size + 1);
    } else if (parent[0] == '\0') {
        l->is_page = strcmp(name, "ListBucketResult") == 0;
    }
    return true;
}

bool tarn__s3_read_page(
    tarn_bytes document, tarn__s3_list_visit *visit, void *context, tarn__s3_page *out)
{
    listing l = {.visit = visit, .context = context, .page = out};
    out->is_stopped = false;
    out->has_more = false;
    out->continuation[0] = '\0';
    const bool is_read = tarn__xml_read(document, visit_page, &l) && l.is_page;
    return is_read || out->is_stopped;
}
