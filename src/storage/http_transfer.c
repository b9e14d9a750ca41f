/* http_transfer.c - one transfer: its handle of curl, its bytes, its deadlines, its last word. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "storage/http_private.h"

enum {
    RECEIVE_BUFFER_BYTES = 256 << 10,
    SEND_BUFFER_BYTES = 256 << 10,
    EXPECT_MS = 200, /* How long a server may take to allow a large body; then it comes anyway. */
    DRIP_BYTES = 16 << 10, /* What must move within the stall timeout. */
    HOST_TEXT_BYTES = 160,
    MS_PER_S = 1000,
    NS_PER_MS = 1000000,
};

/* Scheme, host and port of a URL: what of it may be shown. */
static void host_of(const char *url, char out[HOST_TEXT_BYTES])
{
    const char *colon = strstr(url, "://");
    const char *host = colon != NULL ? colon + 3 : url;
    size_t size = strcspn(host, "/?#");
    const char *at = memchr(host, '@', size);
    if (at != NULL) {
        size -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    snprintf(
        out,
        HOST_TEXT_BYTES,
        "%.*s%.*s",
        colon != NULL && colon - url < 8 ? (int)(colon - url + 3) : 0,
        url,
        (int)(size < 128 ? size : 128),
        host);
}

/* A phase that begins sets the clock back, and so do bytes, but not one by one: a peer that drips
 * is as good as silent. */
static void progress(tarn__http_transfer *t, tarn__http_phase phase, size_t bytes)
{
    t->moved += bytes;
    if (t->phase != phase || t->moved >= DRIP_BYTES) {
        t->phase = phase;
        t->moved = 0;
        t->progress_ns = tarn__clock_monotonic_ns(tarn__http_clock(t->http));
    }
}

static uint64_t body_size(const tarn__http_transfer *t)
{
    return t->request.source != NULL ? t->request.source_bytes : t->request.body.size;
}

/* Copies the next bytes of the body; false: there are none, though there should be. */
static bool give_body(tarn__http_transfer *t, char *into, size_t part)
{
    const tarn__http_request *request = &t->request;
    if (request->source == NULL) {
        memcpy(into, (const uint8_t *)request->body.data + t->sent, part);
        return true;
    }
    size_t got = 0;
    const tarn_status status =
        request->source(request->source_context, t->sent, into, part, &got, &t->error);
    if (status == TARN_OK && got < part) {
        (void)tarn__fail(&t->error, TARN_IO_ERROR, "what is sent became shorter");
    }
    t->is_refused = t->error.status != TARN_OK;
    return !t->is_refused;
}

static size_t on_send(char *into, size_t size, size_t count, void *context)
{
    tarn__http_transfer *t = context;
    const size_t room = size * count;
    const uint64_t left = body_size(t) - t->sent;
    const size_t part = left < room ? (size_t)left : room;
    if (part > 0 && !give_body(t, into, part)) {
        return CURL_READFUNC_ABORT;
    }
    t->sent += part;
    progress(t, t->sent == body_size(t) ? TARN__HTTP_WAITING : TARN__HTTP_SENDING, part);
    return part;
}

/* Asked for when a connection that was kept turns out to be dead, and the body goes out again. */
static int on_rewind(void *context, curl_off_t offset, int origin)
{
    tarn__http_transfer *t = context;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > body_size(t)) {
        return CURL_SEEKFUNC_FAIL;
    }
    t->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* What the request itself says of a head that is whole. */
static bool is_expected(const tarn__http_transfer *t)
{
    const tarn__http_request *request = &t->request;
    long status = 0;
    curl_easy_getinfo((CURL *)t->easy, CURLINFO_RESPONSE_CODE, &status);
    return request->is_expected == NULL || status < 200 || status >= 400 ||
           request->is_expected(&t->reply.head, (int)status, request->expected);
}

static size_t on_head(char *line, size_t size, size_t count, void *context)
{
    tarn__http_transfer *t = context;
    const size_t bytes = size * count;
    t->head_size += bytes;
    if (t->head_size > TARN__HTTP_HEAD_BYTES_MAX) {
        t->is_too_long = true;
        return 0;
    }
    const tarn__clock *clock = tarn__http_clock(t->http);
    tarn__http_head_take(
        &t->reply.head, tarn_bytes_at(line, bytes), tarn__clock_wall_ms(clock) / MS_PER_S);
    progress(t, TARN__HTTP_RECEIVING, bytes);
    const bool is_end = bytes > 0 && (line[0] == '\r' || line[0] == '\n');
    t->is_unexpected = is_end && !is_expected(t);
    return t->is_unexpected ? 0 : bytes;
}

static bool take_body(tarn__http_transfer *t, const char *bytes, size_t size)
{
    const tarn__http_request *request = &t->request;
    if (request->sink == NULL && request->into == NULL && request->buffer == NULL) {
        return true;
    }
    if (size > request->limit - t->reply.size) {
        t->is_too_long = true;
        return false;
    }
    if (request->sink != NULL) {
        t->is_refused =
            request->sink(request->sink_context, tarn_bytes_at(bytes, size), &t->error) != TARN_OK;
        if (t->is_refused) {
            return false;
        }
    } else if (request->into != NULL) {
        memcpy((uint8_t *)request->into + t->reply.size, bytes, size);
    } else if (tarn_buffer_append(request->buffer, tarn_bytes_at(bytes, size)) != TARN_OK) {
        t->is_out_of_memory = true;
        return false;
    }
    t->reply.size += size;
    return true;
}

static size_t on_receive(char *bytes, size_t size, size_t count, void *context)
{
    tarn__http_transfer *t = context;
    const size_t total = size * count;
    progress(t, TARN__HTTP_RECEIVING, total);
    long status = 0;
    curl_easy_getinfo((CURL *)t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 300) {
        return take_body(t, bytes, total) ? total : CURL_WRITEFUNC_ERROR;
    }
    tarn__http_reply *reply = &t->reply;
    const size_t room = sizeof reply->problem - reply->problem_size;
    const size_t part = total < room ? total : room;
    memcpy(reply->problem + reply->problem_size, bytes, part);
    reply->problem_size += part;
    return total;
}

/* The connection stands when curl asks to send; until then the phase is connecting. */
static int on_progress(
    void *context, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    (void)down_all;
    (void)down;
    (void)up_all;
    (void)up;
    tarn__http_transfer *t = context;
    curl_off_t sent_us = 0;
    if (t->phase == TARN__HTTP_CONNECTING &&
        curl_easy_getinfo((CURL *)t->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us) == CURLE_OK &&
        sent_us > 0) {
        progress(t, TARN__HTTP_WAITING, 0);
    }
    return 0;
}

/* Adds a line to the list, which is freed on failure. */
static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        curl_slist_free_all(*list);
        return false;
    }
    *list = longer;
    return true;
}

/*
 * Bytes are sent without asking first. What is signed asks: curl 7.88 signs a header that is only
 * named in order not to be sent, and a server that looks for it refuses the request.
 */
static bool add_headers(tarn__http_transfer *t)
{
    struct curl_slist *list = NULL;
    for (uint32_t i = 0; i < TARN__HTTP_HEADERS_MAX && t->request.headers[i] != NULL; i++) {
        if (!add_header(&list, t->request.headers[i])) {
            return false;
        }
    }
    if (t->request.sigv4 == NULL && !add_header(&list, "Expect:")) {
        return false;
    }
    t->headers = list;
    return curl_easy_setopt((CURL *)t->easy, CURLOPT_HTTPHEADER, list) == CURLE_OK &&
           curl_easy_setopt((CURL *)t->easy, CURLOPT_EXPECT_100_TIMEOUT_MS, (long)EXPECT_MS) ==
               CURLE_OK;
}

static bool set_method(CURL *easy, tarn__http_transfer *t)
{
    const tarn__http_request *request = &t->request;
    if (strcmp(request->method, "HEAD") == 0) {
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    }
    if (!request->has_body) {
        return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
    }
    const curl_off_t size = (curl_off_t)body_size(t);
    return curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, size) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READDATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SEEKDATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER_BYTES) == CURLE_OK;
}

static bool set_signing(CURL *easy, const tarn__http_request *request)
{
    return request->sigv4 == NULL ||
           (curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, request->sigv4) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_USERNAME, request->user) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password) == CURLE_OK);
}

static bool set_callbacks(CURL *easy, tarn__http_transfer *t)
{
    return curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_receive) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFODATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->curl_text) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, t) == CURLE_OK;
}

bool tarn__http_transfer_begin(
    tarn__http_transfer *t, const tarn__clock *clock, const tarn__http_limits *limits)
{
    CURL *easy = curl_easy_init();
    t->easy = easy;
    t->reply = (tarn__http_reply){.status = 0};
    t->phase = TARN__HTTP_CONNECTING;
    t->progress_ns = tarn__clock_monotonic_ns(clock);
    return easy != NULL && curl_easy_setopt(easy, CURLOPT_URL, t->request.url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES) == CURLE_OK &&
           curl_easy_setopt(
               easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(limits->connect_ns / NS_PER_MS)) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, t->request.is_alone ? 1L : 0L) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, t->request.is_alone ? 1L : 0L) ==
               CURLE_OK &&
           (limits->ca_file[0] == '\0' ||
            (curl_easy_setopt(easy, CURLOPT_CAINFO, limits->ca_file) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK)) &&
           set_method(easy, t) && set_signing(easy, &t->request) && set_callbacks(easy, t) &&
           add_headers(t);
}

void tarn__http_transfer_end(tarn__http_transfer *t)
{
    for (struct curl_slist *line = t->headers; line != NULL; line = line->next) {
        explicit_bzero(line->data, strlen(line->data));
    }
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    if (t->easy != NULL) {
        curl_easy_cleanup(t->easy);
        t->easy = NULL;
    }
}

bool tarn__http_transfer_is_late(
    tarn__http_transfer *t, const tarn__http_limits *limits, uint64_t now_ns)
{
    uint64_t limit = limits->stall_ns;
    const char *what = "too little moved";
    if (t->phase == TARN__HTTP_CONNECTING) {
        limit = limits->connect_ns;
        what = "no connection was made";
    } else if (t->phase == TARN__HTTP_WAITING) {
        limit = limits->first_byte_ns;
        what = "no reply began";
    }
    if (now_ns < t->progress_ns || now_ns - t->progress_ns <= limit) {
        return false;
    }
    char host[HOST_TEXT_BYTES];
    host_of(t->request.url, host);
    (void)tarn__fail(
        &t->error, TARN_TIMED_OUT, "%s: %s for %" PRIu64 " ms", host, what, limit / NS_PER_MS);
    return true;
}

static tarn_status status_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        return TARN_TIMED_OUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return TARN_DECLINED;
    case CURLE_URL_MALFORMAT:
        return TARN_INVALID_ARGUMENT;
    case CURLE_OUT_OF_MEMORY:
        return TARN_NO_MEMORY;
    default:
        return TARN_REMOTE_ERROR;
    }
}

void tarn__http_transfer_conclude(tarn__http_transfer *t, CURLcode code)
{
    char host[HOST_TEXT_BYTES];
    host_of(t->request.url, host);
    if (t->is_refused) {
        return; /* The error is that of the source or the sink. */
    }
    if (t->is_out_of_memory) {
        (void)tarn__fail_no_memory(&t->error, "a reply", (size_t)t->reply.size);
    } else if (t->is_unexpected) {
        (void)tarn__fail(
            &t->error,
            TARN_REMOTE_ERROR,
            "%s sent another answer than one to what was asked",
            host);
    } else if (t->is_too_long) {
        (void)tarn__fail(
            &t->error,
            TARN_REMOTE_ERROR,
            "%s sent a reply of more than the %" PRIu64 " bytes that were asked for",
            host,
            t->head_size > TARN__HTTP_HEAD_BYTES_MAX ? (uint64_t)TARN__HTTP_HEAD_BYTES_MAX
                                                     : t->request.limit);
    } else if (code != CURLE_OK) {
        (void)tarn__fail(
            &t->error,
            status_of(code),
            "%s: %s",
            host,
            t->curl_text[0] != '\0' ? t->curl_text : curl_easy_strerror(code));
    } else {
        long status = 0;
        curl_easy_getinfo((CURL *)t->easy, CURLINFO_RESPONSE_CODE, &status);
        t->reply.status = (int)status;
        t->error.status = TARN_OK;
    }
}
