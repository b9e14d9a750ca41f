/* s3_request.c - one request to S3, and what its answer means. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "storage/s3_private.h"

enum { NS_PER_S = 1000000000, PAUSE_MS_PER_S = 1000 };

tarn_status tarn__s3_call_new(tarn__s3 *self, tarn__s3_call **out, tarn_error *error)
{
    tarn__s3_call *call = tarn__allocate_zeroed(self->account, 1, sizeof *call);
    if (call == NULL) {
        return tarn__fail_no_memory(error, "a request", sizeof *call);
    }
    call->url.allocator = &self->account->face;
    *out = call;
    return TARN_OK;
}

void tarn__s3_call_free(tarn__s3_call *call)
{
    if (call == NULL) {
        return;
    }
    tarn__http_cancel(&call->transfer);
    tarn_buffer_clear(&call->url);
    tarn__s3_credentials_clear(&call->credentials);
    explicit_bzero(call->session_line, sizeof call->session_line);
    tarn__release(call);
}

bool tarn__s3_key(const tarn__s3 *self, const char *name, char key[2 * TARN__URI_PATH_BYTES])
{
    const int size = snprintf(
        key,
        2 * (size_t)TARN__URI_PATH_BYTES,
        "%s%s%s",
        self->prefix,
        self->prefix[0] != '\0' && name[0] != '\0' ? "/" : "",
        name);
    return size >= 0 && size <= TARN__S3_KEY_NAME_BYTES_MAX;
}

static tarn_status append_text(tarn_buffer *out, const char *text)
{
    return tarn_buffer_append(out, tarn_bytes_of(text));
}

static tarn_status build_url(tarn__s3 *self, tarn__s3_call *call)
{
    char key[2 * TARN__URI_PATH_BYTES] = "";
    call->url.size = 0;
    TARN_TRY(append_text(&call->url, self->root));
    TARN_TRY(append_text(&call->url, "/"));
    if (call->name != NULL) {
        (void)tarn__s3_key(self, call->name, key);
        TARN_TRY(tarn__uri_encode(&call->url, tarn_bytes_of(key), /* keeps_slashes= */ true));
    }
    if (call->query != NULL) {
        TARN_TRY(append_text(&call->url, "?"));
        TARN_TRY(append_text(&call->url, call->query));
    }
    return tarn_buffer_append(&call->url, tarn_bytes_at("", 1));
}

static tarn_status check_key(const tarn__s3 *self, const char *name, tarn_error *error)
{
    char key[2 * TARN__URI_PATH_BYTES];
    if (name != NULL && !tarn__s3_key(self, name, key)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the key of \"%.200s\" in %.200s is longer than %d bytes",
            name,
            self->base.address,
            TARN__S3_KEY_NAME_BYTES_MAX);
    }
    return TARN_OK;
}

/*
 * The digest of the body is signed and verified by the server: no bit flips unseen on the way. A
 * large body may do without: it costs both sides more than the transfer does.
 */
static tarn_status sign(tarn__s3 *self, tarn__s3_call *call, tarn_error *error)
{
    char digest[TARN__SHA256_TEXT_BYTES] = "UNSIGNED-PAYLOAD";
    if (call->source != NULL) {
        if (call->digest[0] != '\0') {
            memcpy(digest, call->digest, sizeof digest);
        }
    } else if (
        (self->signs_payload || call->body.size < TARN__S3_SMALL_BODY_BYTES) &&
        !tarn__sha256(call->body, digest)) {
        return tarn__fail_no_memory(error, "a digest", sizeof digest);
    }
    snprintf(call->digest_line, sizeof call->digest_line, "x-amz-content-sha256: %s", digest);
    pthread_mutex_lock(&self->mutex);
    call->credentials = self->credentials;
    pthread_mutex_unlock(&self->mutex);
    tarn__http_request *request = &call->transfer.request;
    uint32_t count = 0;
    request->headers[count++] = call->digest_line;
    for (uint32_t i = 0; i < sizeof call->header / sizeof call->header[0]; i++) {
        if (call->header[i] != NULL) {
            request->headers[count++] = call->header[i];
        }
    }
    if (call->credentials.access_key[0] == '\0') {
        return TARN_OK;
    }
    if (call->credentials.session_token[0] != '\0') {
        snprintf(
            call->session_line,
            sizeof call->session_line,
            "x-amz-security-token: %s",
            call->credentials.session_token);
        request->headers[count] = call->session_line;
    }
    request->sigv4 = self->sigv4;
    request->user = call->credentials.access_key;
    request->password = call->credentials.secret_key;
    return TARN_OK;
}

tarn_status tarn__s3_call_start(tarn__s3 *self, tarn__s3_call *call, tarn_error *error)
{
    TARN_TRY(check_key(self, call->name, error));
    if (build_url(self, call) != TARN_OK) {
        return tarn__fail_no_memory(error, "the address of a request", call->url.size);
    }
    call->transfer = (tarn__http_transfer){
        .request =
            {
                .method = call->method,
                .url = (const char *)call->url.data,
                .body = call->body,
                .has_body = call->has_body,
                .is_alone = call->is_alone,
                .is_parting = call->is_parting,
                .source = call->source,
                .source_context = call->source_context,
                .source_bytes = call->source_bytes,
                .sink = call->sink,
                .sink_context = call->sink_context,
                .is_expected = call->is_expected,
                .expected = call->expected,
                .into = call->into,
                .limit = call->limit,
                .buffer = call->buffer,
            },
    };
    TARN_TRY(sign(self, call, error));
    tarn__http_start(self->http, &call->transfer);
    return TARN_OK;
}

/* Says "METHOD s3://bucket/prefix/name" and leaves out what a query holds. */
static void name_of(const tarn__s3 *self, const tarn__s3_call *call, char out[420])
{
    snprintf(
        out,
        420,
        "%s %.200s%s%.200s",
        call->method,
        self->base.address,
        call->name != NULL ? "/" : "",
        call->name != NULL ? call->name : "");
}

typedef struct meaning {
    const char *code; /* Of S3. */
    tarn_status status;
} meaning;

/* What S3's own words mean where the HTTP status says too little. */
static tarn_status status_of(int http_status, const char *code)
{
    static const meaning meanings[] = {
        {"NoSuchKey", TARN_MISSING},
        {"NoSuchUpload", TARN_MISSING},
        {"PreconditionFailed", TARN_BUSY},
        {"NoSuchBucket", TARN_DECLINED},
        {"RequestTimeout", TARN_REMOTE_ERROR},
        {"SlowDown", TARN_REMOTE_ERROR},
        {"InternalError", TARN_REMOTE_ERROR},
        {"ServiceUnavailable", TARN_REMOTE_ERROR},
        {"OperationAborted", TARN_REMOTE_ERROR},
        /* Another request about the object is under way, and may still fail. */
        {"ConditionalRequestConflict", TARN_REMOTE_ERROR},
        /* Of a server on a file system, while another request removes the directory. */
        {"ExistingObjectIsDirectory", TARN_REMOTE_ERROR},
        {"BadDigest", TARN_REMOTE_ERROR},
        {"XAmzContentSHA256Mismatch", TARN_REMOTE_ERROR},
        {"IncompleteBody", TARN_REMOTE_ERROR},
    };
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (strcmp(code, meanings[i].code) == 0) {
            return meanings[i].status;
        }
    }
    if (http_status == 404) {
        return TARN_MISSING;
    }
    if (http_status == 412) {
        return TARN_BUSY;
    }
    return http_status >= 500 || http_status == 408 || http_status == 429 || http_status < 300
               ? TARN_REMOTE_ERROR
               : TARN_DECLINED;
}

/* Credentials that have run out may have been replaced where they came from; true: they were. */
static bool renew(tarn__s3 *self, const tarn__s3_call *call, const char *code)
{
    if (strcmp(code, "ExpiredToken") != 0 && strcmp(code, "InvalidToken") != 0 &&
        strcmp(code, "InvalidAccessKeyId") != 0) {
        return false;
    }
    tarn__s3_credentials found;
    bool is_new = false;
    if (tarn__s3_credentials_find(self->config, self->calls, self->account, &found, NULL) ==
        TARN_OK) {
        is_new = memcmp(&found, &call->credentials, sizeof found) != 0;
        pthread_mutex_lock(&self->mutex);
        self->credentials = found;
        pthread_mutex_unlock(&self->mutex);
    }
    tarn__s3_credentials_clear(&found);
    return is_new;
}

/* A server may repeat what it was sent; that must not come into a message. */
static bool echoes_secret(const tarn__s3_call *call, const tarn__s3_problem *problem)
{
    const tarn__s3_credentials *own = &call->credentials;
    char begin[17];
    snprintf(begin, sizeof begin, "%.16s", own->session_token);
    return (own->access_key[0] != '\0' && strstr(problem->message, own->access_key) != NULL) ||
           (own->secret_key[0] != '\0' && strstr(problem->message, own->secret_key) != NULL) ||
           (begin[0] != '\0' && strstr(problem->message, begin) != NULL);
}

tarn_status tarn__s3_problem_fail(
    tarn__s3 *self,
    const tarn__s3_call *call,
    int http_status,
    const tarn__s3_problem *problem,
    tarn_error *error)
{
    char name[420];
    name_of(self, call, name);
    tarn_status status = status_of(http_status, problem->code);
    /* A server that finds other bytes than were signed may say no more than this. */
    if (http_status == 400 && problem->code[0] == '\0' && call->has_body) {
        status = TARN_REMOTE_ERROR;
    }
    if (status == TARN_DECLINED && renew(self, call, problem->code)) {
        status = TARN_REMOTE_ERROR;
    }
    if (status == TARN_MISSING) {
        (void)tarn__fail(error, status, "%s: it does not exist", name);
    } else if (status == TARN_BUSY) {
        (void)tarn__fail(error, status, "%s: it exists already", name);
    } else if (strcmp(problem->code, "RequestTimeTooSkewed") == 0) {
        (void)tarn__fail(
            error,
            status,
            "%s: the clock of this machine differs too much from the server's",
            name);
    } else {
        (void)tarn__fail(
            error,
            status,
            "%s: HTTP %d%s%s%s%.*s",
            name,
            http_status,
            problem->code[0] != '\0' ? ", " : "",
            problem->code,
            problem->message[0] != '\0' ? ": " : "",
            80,
            http_status == 403             ? "the credentials are not accepted"
            : echoes_secret(call, problem) ? "(not shown)"
                                           : problem->message);
    }
    if (error != NULL) {
        error->system_code = http_status;
    }
    return status;
}

static void note_pause(tarn__s3 *self, uint32_t seconds)
{
    if (seconds > 0) {
        const uint64_t until = tarn__clock_monotonic_ns(self->clock) + (uint64_t)seconds * NS_PER_S;
        pthread_mutex_lock(&self->mutex);
        if (until > self->not_before_ns) {
            self->not_before_ns = until;
        }
        pthread_mutex_unlock(&self->mutex);
    }
}

tarn_status tarn__s3_call_wait(tarn__s3 *self, tarn__s3_call *call, tarn_error *error)
{
    const tarn_status status = tarn__http_wait(&call->transfer, error);
    const tarn__http_reply *reply = &call->transfer.reply;
    call->problem = (tarn__s3_problem){.code = ""};
    if (status != TARN_OK) {
        char name[420];
        name_of(self, call, name);
        tarn__error_prefix(error, "%.200s", name);
        return status;
    }
    if (reply->status >= 200 && reply->status < 300) {
        return TARN_OK;
    }
    tarn__s3_read_problem(tarn_bytes_at(reply->problem, reply->problem_size), &call->problem);
    if (reply->status < 300 || reply->status >= 400) {
        note_pause(self, reply->head.retry_after_s);
        return tarn__s3_problem_fail(self, call, reply->status, &call->problem, error);
    }
    char name[420];
    name_of(self, call, name);
    return tarn__fail(
        error,
        TARN_DECLINED,
        "%s: the server points elsewhere (HTTP %d), which is not followed with credentials; set "
        "s3.endpoint and s3.endpoint.region",
        name,
        reply->status);
}

tarn_status tarn__s3_call_perform(tarn__s3 *self, tarn__s3_call *call, tarn_error *error)
{
    TARN_TRY(tarn__s3_call_start(self, call, error));
    return tarn__s3_call_wait(self, call, error);
}
