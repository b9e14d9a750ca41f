/* fake_s3.c - see fake_s3.h. Objects and parts sit in one array each. */
#include "support/fake_s3.h"

#include <ctype.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "storage/uri.h"

enum { OBJECTS_MAX = 4096, KEY_BYTES = 2048, PAGE = 3, TOKEN_BYTES = 64 };

typedef struct object {
    char *key;
    uint8_t *data;
    size_t size;
    char token[TOKEN_BYTES];
    bool is_there;
    uint64_t upload; /* Of a part: the upload's id. 0: an object. */
    uint32_t part;
} object;

struct fake_s3 {
    pthread_mutex_t mutex;
    object objects[OBJECTS_MAX];
    uint64_t next_upload;
};

fake_s3 *fake_s3_new(void)
{
    fake_s3 *s3 = calloc(1, sizeof *s3);
    pthread_mutex_init(&s3->mutex, NULL);
    return s3;
}

static void drop(object *o)
{
    free(o->key);
    free(o->data);
    *o = (object){.is_there = false};
}

void fake_s3_free(fake_s3 *s3)
{
    for (uint32_t i = 0; i < OBJECTS_MAX; i++) {
        drop(&s3->objects[i]);
    }
    pthread_mutex_destroy(&s3->mutex);
    free(s3);
}

bool fake_head_find(const char *head, const char *name, char *out, size_t capacity)
{
    const size_t size = strlen(name);
    for (const char *line = head; line != NULL && *line != '\0';
         line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL) {
        if (strncasecmp(line, name, size) == 0 && line[size] == ':') {
            const char *value = line + size + 1;
            value += strspn(value, " \t");
            snprintf(out, capacity, "%.*s", (int)strcspn(value, "\r\n"), value);
            return true;
        }
    }
    return false;
}

static object *find(fake_s3 *s3, const char *key, uint64_t upload, uint32_t part)
{
    for (uint32_t i = 0; i < OBJECTS_MAX; i++) {
        object *o = &s3->objects[i];
        if (o->is_there && o->upload == upload && o->part == part && strcmp(o->key, key) == 0) {
            return o;
        }
    }
    return NULL;
}

static void store(
    fake_s3 *s3,
    const char *key,
    uint64_t upload,
    uint32_t part,
    const void *data,
    size_t size,
    const char *token)
{
    object *o = find(s3, key, upload, part);
    for (uint32_t i = 0; o == NULL && i < OBJECTS_MAX; i++) {
        o = s3->objects[i].is_there ? NULL : &s3->objects[i];
    }
    if (o == NULL) {
        abort();
    }
    drop(o);
    *o = (object){
        .key = strdup(key),
        .data = malloc(size > 0 ? size : 1),
        .size = size,
        .is_there = true,
        .upload = upload,
        .part = part,
    };
    if (size > 0) {
        memcpy(o->data, data, size);
    }
    snprintf(o->token, sizeof o->token, "%s", token);
}

__attribute__((format(printf, 3, 4))) static void answer_xml(
    fake_answer *answer, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    answer->status = status;
    char *text = malloc(1 << 16);
    answer->body_size = (size_t)vsnprintf(text, 1 << 16, format, arguments);
    answer->body = (uint8_t *)text;
    va_end(arguments);
}

static void refuse(fake_answer *answer, int status, const char *code)
{
    answer_xml(
        answer,
        status,
        "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>as the test "
        "says</Message></Error>",
        code);
}

/* Splits "/bucket/key?query" and decodes the key. */
static void split(const char *target, char key[KEY_BYTES], char query[KEY_BYTES])
{
    const char *slash = strchr(target + 1, '/');
    const char *mark = strchr(target, '?');
    snprintf(query, KEY_BYTES, "%s", mark != NULL ? mark + 1 : "");
    key[0] = '\0';
    if (slash != NULL && (mark == NULL || slash < mark)) {
        const size_t size = mark != NULL ? (size_t)(mark - slash - 1) : strlen(slash + 1);
        snprintf(key, KEY_BYTES, "%.*s", (int)size, slash + 1);
        const long decoded = tarn__uri_decode(key, strlen(key));
        key[decoded < 0 ? 0 : decoded] = '\0';
    }
}

static bool parameter(const char *query, const char *name, char out[KEY_BYTES])
{
    const size_t size = strlen(name);
    for (const char *at = query; at != NULL && *at != '\0';
         at = strchr(at, '&') != NULL ? strchr(at, '&') + 1 : NULL) {
        if (strncmp(at, name, size) == 0 && (at[size] == '=' || at[size] == '\0')) {
            const char *value = at[size] == '=' ? at + size + 1 : "";
            snprintf(out, KEY_BYTES, "%.*s", (int)strcspn(value, "&"), value);
            const long decoded = tarn__uri_decode(out, strlen(out));
            out[decoded < 0 ? 0 : decoded] = '\0';
            return true;
        }
    }
    return false;
}

static void set_etag(fake_answer *answer, size_t size)
{
    snprintf(answer->head, sizeof answer->head, "ETag: \"%zx-fake\"\r\n", size);
}

static bool is_conflict(fake_s3 *s3, const fake_request *request, const char *key)
{
    char value[8];
    return fake_head_find(request->head, "If-None-Match", value, sizeof value) &&
           find(s3, key, 0, 0) != NULL;
}

static void serve_put(
    fake_s3 *s3, const fake_request *r, const char *key, const char *query, fake_answer *answer)
{
    char number[KEY_BYTES];
    char id[KEY_BYTES];
    char token[TOKEN_BYTES] = "";
    if (parameter(query, "partNumber", number) && parameter(query, "uploadId", id)) {
        store(
            s3,
            key,
            strtoull(id, NULL, 10),
            (uint32_t)strtoul(number, NULL, 10),
            r->body,
            r->body_size,
            "");
    } else if (is_conflict(s3, r, key)) {
        refuse(answer, 412, "PreconditionFailed");
        return;
    } else {
        (void)fake_head_find(r->head, "x-amz-meta-tarn-upload", token, sizeof token);
        store(s3, key, 0, 0, r->body, r->body_size, token);
    }
    answer->status = 200;
    set_etag(answer, r->body_size);
}

static void serve_get(fake_s3 *s3, const fake_request *r, const char *key, fake_answer *answer)
{
    const object *o = find(s3, key, 0, 0);
    if (o == NULL) {
        refuse(answer, 404, "NoSuchKey");
        return;
    }
    char range[96];
    unsigned long long first = 0;
    unsigned long long last = o->size > 0 ? o->size - 1 : 0;
    const bool has_range = fake_head_find(r->head, "Range", range, sizeof range) &&
                           sscanf(range, "bytes=%llu-%llu", &first, &last) == 2;
    if (has_range && first >= o->size) {
        refuse(answer, 416, "InvalidRange");
        return;
    }
    last = last < o->size ? last : o->size - 1;
    answer->status = has_range ? 206 : 200;
    answer->body_size = has_range ? (size_t)(last - first + 1) : o->size;
    answer->body = malloc(answer->body_size + 1);
    memcpy(answer->body, o->data + first, answer->body_size);
    char range_line[128] = "";
    if (has_range) {
        snprintf(
            range_line,
            sizeof range_line,
            "Content-Range: bytes %llu-%llu/%zu\r\n",
            first,
            last,
            o->size);
    }
    snprintf(
        answer->head,
        sizeof answer->head,
        "ETag: \"%zx-fake\"\r\n%s%s%s%s",
        o->size,
        range_line,
        o->token[0] != '\0' ? "x-amz-meta-tarn-upload: " : "",
        o->token,
        o->token[0] != '\0' ? "\r\n" : "");
}

static int compare_parts(const void *a, const void *b)
{
    const object *x = *(object *const *)a;
    const object *y = *(object *const *)b;
    return x->part < y->part ? -1 : x->part > y->part;
}

/* The parts of an upload by number; part 0 is the upload itself. */
static uint32_t find_parts(fake_s3 *s3, uint64_t id, object **parts)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < OBJECTS_MAX; i++) {
        if (s3->objects[i].is_there && s3->objects[i].upload == id) {
            parts[count++] = &s3->objects[i];
        }
    }
    qsort(parts, count, sizeof *parts, compare_parts);
    return count;
}

static void complete(
    fake_s3 *s3, const fake_request *r, const char *key, const char *id_text, fake_answer *answer)
{
    const uint64_t id = strtoull(id_text, NULL, 10);
    static object *parts[OBJECTS_MAX]; /* Under the mutex. */
    const uint32_t count = find_parts(s3, id, parts);
    if (count == 0) {
        refuse(answer, 404, "NoSuchUpload");
        return;
    }
    if (is_conflict(s3, r, key)) {
        refuse(answer, 412, "PreconditionFailed");
        return;
    }
    size_t size = 0;
    for (uint32_t i = 1; i < count; i++) {
        size += parts[i]->size;
    }
    uint8_t *whole = malloc(size + 1);
    size_t at = 0;
    for (uint32_t i = 1; i < count; i++) {
        memcpy(whole + at, parts[i]->data, parts[i]->size);
        at += parts[i]->size;
    }
    char token[TOKEN_BYTES];
    snprintf(token, sizeof token, "%s", parts[0]->token);
    for (uint32_t i = 0; i < count; i++) {
        drop(parts[i]);
    }
    store(s3, key, 0, 0, whole, size, token);
    free(whole);
    answer_xml(
        answer,
        200,
        "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>");
}

static void remove_batch(fake_s3 *s3, const fake_request *r, fake_answer *answer)
{
    char *text = strndup((const char *)r->body, r->body_size);
    for (char *at = strstr(text, "<Key>"); at != NULL; at = strstr(at, "<Key>")) {
        at += 5;
        char *end = strstr(at, "</Key>");
        *end = '\0';
        object *o = find(s3, at, 0, 0);
        if (o != NULL) {
            drop(o);
        }
        at = end + 1;
    }
    free(text);
    answer_xml(answer, 200, "<DeleteResult></DeleteResult>");
}

static void serve_post(
    fake_s3 *s3, const fake_request *r, const char *key, const char *query, fake_answer *answer)
{
    char value[KEY_BYTES];
    if (parameter(query, "delete", value)) {
        remove_batch(s3, r, answer);
    } else if (parameter(query, "uploads", value)) {
        char token[TOKEN_BYTES] = "";
        (void)fake_head_find(r->head, "x-amz-meta-tarn-upload", token, sizeof token);
        const uint64_t id = ++s3->next_upload;
        store(s3, key, id, 0, "", 0, token);
        answer_xml(
            answer,
            200,
            "<InitiateMultipartUploadResult><UploadId>%" PRIu64
            "</UploadId></InitiateMultipartUploadResult>",
            id);
    } else if (parameter(query, "uploadId", value)) {
        complete(s3, r, key, value, answer);
    } else {
        refuse(answer, 400, "InvalidRequest");
    }
}

static void serve_delete(fake_s3 *s3, const char *key, const char *query, fake_answer *answer)
{
    char id[KEY_BYTES];
    if (parameter(query, "uploadId", id)) {
        static object *parts[OBJECTS_MAX]; /* Under the mutex. */
        const uint32_t count = find_parts(s3, strtoull(id, NULL, 10), parts);
        for (uint32_t i = 0; i < count; i++) {
            drop(parts[i]);
        }
    } else {
        object *o = find(s3, key, 0, 0);
        if (o != NULL) {
            drop(o);
        }
    }
    answer->status = 204;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void append(char *out, size_t capacity, const char *text)
{
    snprintf(out + strlen(out), capacity - strlen(out), "%s", text);
}

static void append_encoded(char *out, size_t capacity, const char *text)
{
    tarn_buffer encoded = TARN_BUFFER_INIT;
    if (tarn__uri_encode(&encoded, tarn_bytes_of(text), true) == TARN_OK &&
        tarn_buffer_append(&encoded, tarn_bytes_at("", 1)) == TARN_OK) {
        append(out, capacity, (const char *)encoded.data);
    }
    tarn_buffer_clear(&encoded);
}

/* Pages of three, so that every listing of a test goes on. */
static void serve_list(fake_s3 *s3, const char *query, fake_answer *answer)
{
    char prefix[KEY_BYTES] = "";
    char after[KEY_BYTES] = "";
    (void)parameter(query, "prefix", prefix);
    (void)parameter(query, "continuation-token", after);
    const size_t prefix_size = strlen(prefix);
    static char *keys[OBJECTS_MAX]; /* Under the mutex. */
    uint32_t count = 0;
    for (uint32_t i = 0; i < OBJECTS_MAX; i++) {
        const object *o = &s3->objects[i];
        if (o->is_there && o->upload == 0 && strncmp(o->key, prefix, prefix_size) == 0) {
            keys[count++] = o->key;
        }
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    enum { XML = 1 << 16 };
    char *xml = calloc(1, XML);
    char last[KEY_BYTES] = "";
    uint32_t shown = 0;
    bool has_more = false;
    append(xml, XML, "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\">");
    for (uint32_t i = 0; i < count; i++) {
        const size_t part = strcspn(keys[i] + prefix_size, "/");
        const bool is_directory = keys[i][prefix_size + part] == '/';
        char item[KEY_BYTES];
        snprintf(
            item, sizeof item, "%.*s", (int)(prefix_size + part + (is_directory ? 1 : 0)), keys[i]);
        if (strcmp(item, after) <= 0 || strcmp(item, last) == 0) {
            continue;
        }
        if (shown == PAGE) {
            has_more = true;
            break;
        }
        shown++;
        snprintf(last, sizeof last, "%s", item);
        append(xml, XML, is_directory ? "<CommonPrefixes><Prefix>" : "<Contents><Key>");
        append_encoded(xml, XML, item);
        if (is_directory) {
            append(xml, XML, "</Prefix></CommonPrefixes>");
        } else {
            char size[64];
            snprintf(
                size, sizeof size, "</Key><Size>%zu</Size></Contents>", find(s3, item, 0, 0)->size);
            append(xml, XML, size);
        }
    }
    if (has_more) {
        append(xml, XML, "<IsTruncated>true</IsTruncated><NextContinuationToken>");
        append(xml, XML, last);
        append(xml, XML, "</NextContinuationToken>");
    }
    append(xml, XML, "</ListBucketResult>");
    answer->status = 200;
    answer->body = (uint8_t *)xml;
    answer->body_size = strlen(xml);
}

void fake_s3_serve(fake_s3 *s3, const fake_request *r, fake_answer *answer)
{
    char key[KEY_BYTES];
    char query[KEY_BYTES];
    split(r->target, key, query);
    *answer = (fake_answer){.status = 405};
    pthread_mutex_lock(&s3->mutex);
    if (strcmp(r->method, "PUT") == 0) {
        serve_put(s3, r, key, query, answer);
    } else if (strcmp(r->method, "GET") == 0 && key[0] == '\0') {
        serve_list(s3, query, answer);
    } else if (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0) {
        serve_get(s3, r, key, answer);
    } else if (strcmp(r->method, "POST") == 0) {
        serve_post(s3, r, key, query, answer);
    } else if (strcmp(r->method, "DELETE") == 0) {
        serve_delete(s3, key, query, answer);
    }
    pthread_mutex_unlock(&s3->mutex);
}
