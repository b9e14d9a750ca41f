/* webhdfs_request.c - one request to a name node, and to the data node that it points to. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "storage/webhdfs_private.h"

enum { URL_WORDS_BYTES = 128 }; /* "?op=", "&delegation=", '/' and the like, all together. */

tarn_status tarn__webhdfs_call_new(tarn__webhdfs *self, tarn__webhdfs_call **out, tarn_error *error)
{
    tarn__webhdfs_call *call = tarn__allocate_zeroed(self->account, 1, sizeof *call);
    if (call == NULL) {
        return tarn__fail_no_memory(error, "a request", sizeof *call);
    }
    call->url.allocator = &self->account->face;
    call->reply.allocator = &self->account->face;
    *out = call;
    return TARN_OK;
}

/* Addresses hold tokens: ours, and what a name node wants a data node to see. */
static void wipe_addresses(tarn__webhdfs_call *call)
{
    if (call->url.capacity > 0) {
        explicit_bzero(call->url.data, call->url.capacity);
    }
    explicit_bzero(&call->transfer.reply.head, sizeof call->transfer.reply.head);
}

/* Empties the address and makes room for another one, which will not move as it grows: what it
 * moved away from would keep a token. */
static tarn_status renew_url(tarn__webhdfs_call *call, size_t capacity, tarn_error *error)
{
    tarn_buffer *url = &call->url;
    if (url->capacity > 0) {
        explicit_bzero(url->data, url->capacity);
    }
    if (url->capacity < capacity) {
        tarn_buffer_clear(url);
    }
    url->size = 0;
    return tarn_buffer_reserve(url, capacity) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "the address of a request", capacity);
}

void tarn__webhdfs_call_free(tarn__webhdfs_call *call)
{
    if (call == NULL) {
        return;
    }
    tarn__http_cancel(&call->transfer);
    wipe_addresses(call);
    tarn_buffer_clear(&call->url);
    tarn_buffer_clear(&call->reply);
    tarn__release(call);
}

bool tarn__webhdfs_cut_to_parent(char *name)
{
    char *slash = strrchr(name, '/');
    *(slash != NULL ? slash : name) = '\0';
    return slash != NULL;
}

static tarn_status append_text(tarn_buffer *out, const char *text)
{
    return tarn_buffer_append(out, tarn_bytes_of(text));
}

/* "/DIRECTORY/NAME", encoded. */
static tarn_status append_path(tarn__webhdfs *self, tarn_buffer *out, const char *name)
{
    const char *const parts[] = {self->path, name};
    if (self->path[0] == '\0' && name[0] == '\0') {
        return append_text(out, "/");
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i][0] != '\0') {
            TARN_TRY(append_text(out, "/"));
            TARN_TRY(tarn__uri_encode(out, tarn_bytes_of(parts[i]), /* keeps_slashes= */ true));
        }
    }
    return TARN_OK;
}

static tarn_status append_parameter(tarn_buffer *out, const char *name, const char *value)
{
    TARN_TRY(append_text(out, name));
    return tarn__uri_encode(out, tarn_bytes_of(value), /* keeps_slashes= */ false);
}

/* The most that an address can have; encoded, a byte has three. */
static size_t url_bytes_max(const tarn__webhdfs *self, const tarn__webhdfs_call *call)
{
    const char *const encoded[] = {
        self->path,
        self->path,
        call->name,
        call->destination,
        call->start_after,
        self->token,
        self->user};
    size_t bytes = strlen(self->root) + strlen(call->operation) + URL_WORDS_BYTES;
    for (size_t i = 0; i < sizeof encoded / sizeof encoded[0]; i++) {
        bytes += encoded[i] != NULL ? 3 * strlen(encoded[i]) : 0;
    }
    return bytes;
}

static tarn_status append_url(tarn__webhdfs *self, tarn__webhdfs_call *call)
{
    tarn_buffer *url = &call->url;
    TARN_TRY(append_text(url, self->root));
    TARN_TRY(append_path(self, url, call->name));
    TARN_TRY(append_text(url, "?op="));
    TARN_TRY(append_text(url, call->operation));
    if (call->destination != NULL) {
        TARN_TRY(append_text(url, "&destination="));
        TARN_TRY(append_path(self, url, call->destination));
    }
    if (call->start_after != NULL) {
        TARN_TRY(append_parameter(url, "&startAfter=", call->start_after));
    }
    if (self->token[0] != '\0') {
        TARN_TRY(append_parameter(url, "&delegation=", self->token));
    } else if (self->user[0] != '\0') {
        TARN_TRY(append_parameter(url, "&user.name=", self->user));
    }
    return tarn_buffer_append(url, tarn_bytes_at("", 1));
}

/* What append_path() says, not encoded, as a redirect is to name it. */
static void set_path(const tarn__webhdfs *self, tarn__webhdfs_call *call)
{
    const bool has_name = call->name[0] != '\0';
    const bool has_path = self->path[0] != '\0';
    snprintf(
        call->path,
        sizeof call->path,
        TARN__WEBHDFS_PREFIX "%s%s%s%s",
        has_path ? "/" : "",
        self->path,
        has_name || !has_path ? "/" : "",
        call->name);
}

static tarn_status build_url(tarn__webhdfs *self, tarn__webhdfs_call *call, tarn_error *error)
{
    const size_t capacity = url_bytes_max(self, call);
    TARN_TRY(renew_url(call, capacity, error));
    set_path(self, call);
    return append_url(self, call) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "the address of a request", capacity);
}

static void name_of(const tarn__webhdfs *self, const tarn__webhdfs_call *call, char out[420])
{
    snprintf(
        out,
        420,
        "%.*s %.200s%s%.160s",
        (int)strcspn(call->operation, "&"),
        call->operation,
        self->base.address,
        call->name[0] != '\0' ? "/" : "",
        call->name);
}

static tarn_status status_of(int http_status, const tarn__webhdfs_problem *problem)
{
    static const struct {
        const char *class_name;
        tarn_status status;
    } meanings[] = {
        {"FileNotFoundException", TARN_MISSING},
        {"ParentNotDirectoryException", TARN_MISSING},
        {"FileAlreadyExistsException", TARN_BUSY},
        {"StandbyException", TARN_REMOTE_ERROR},
        {"RetriableException", TARN_REMOTE_ERROR},
        {"SafeModeException", TARN_REMOTE_ERROR},
        {"AlreadyBeingCreatedException", TARN_REMOTE_ERROR},
        {"RecoveryInProgressException", TARN_REMOTE_ERROR},
        {"NSQuotaExceededException", TARN_NO_SPACE},
        {"DSQuotaExceededException", TARN_NO_SPACE},
    };
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (strcmp(problem->class_name, meanings[i].class_name) == 0) {
            return meanings[i].status;
        }
    }
    if (problem->is_no_directory || http_status == 404) {
        return TARN_MISSING;
    }
    return http_status >= 500 || http_status == 408 || http_status == 429 ? TARN_REMOTE_ERROR
                                                                          : TARN_DECLINED;
}

static tarn_status fail(
    tarn__webhdfs *self, tarn__webhdfs_call *call, int http_status, tarn_error *error)
{
    char name[420];
    name_of(self, call, name);
    const tarn_status status = status_of(http_status, &call->problem);
    const char *words = status == TARN_MISSING ? ": it does not exist"
                        : status == TARN_BUSY  ? ": it exists already"
                                               : "";
    (void)tarn__fail(
        error,
        status,
        "%s%s%s%s (HTTP %d)",
        name,
        words,
        call->problem.class_name[0] != '\0' ? ": " : "",
        call->problem.class_name,
        http_status);
    if (error != NULL) {
        error->system_code = http_status;
    }
    return status;
}

/* TLS is not given up on the way. */
static bool is_followed(const tarn__webhdfs_call *call, const char *location)
{
    const bool is_tls = strncmp((const char *)call->url.data, "https:", 6) == 0;
    return strncmp(location, "https://", 8) == 0 ||
           (!is_tls && strncmp(location, "http://", 7) == 0);
}

/* Whether what a name node says can be an answer to the call; one that points to no address at all
 * is, and is refused for that. */
static bool is_answer(const tarn__http_head *head, int status, const void *context)
{
    const tarn__webhdfs_call *call = context;
    if (status >= 300) {
        return !is_followed(call, head->location) ||
               tarn__webhdfs_is_redirect(head->location, call->path, call->operation);
    }
    const bool is_empty = head->has_length && head->length == 0;
    return !call->has_body && !(call->wants_boolean && (status != 200 || is_empty));
}

/* One exchange; url is NUL-terminated. */
static tarn_status exchange(
    tarn__webhdfs *self, tarn__webhdfs_call *call, bool is_first, tarn_error *error)
{
    const bool is_reading = call->sink != NULL || call->into != NULL;
    const bool has_body = call->has_body && !is_first;
    call->reply.size = 0;
    call->transfer = (tarn__http_transfer){
        .request =
            {
                .method = call->method,
                .url = (const char *)call->url.data,
                .headers = {"Content-Type: application/octet-stream"},
                .body = has_body ? call->body : tarn_bytes_at(NULL, 0),
                .has_body = strcmp(call->method, "GET") != 0 && strcmp(call->method, "DELETE") != 0,
                .is_alone = call->is_alone || has_body,
                .is_parting = call->is_parting,
                .is_expected = is_first ? is_answer : NULL,
                .expected = call,
                .sink = call->sink,
                .sink_context = call->sink_context,
                .into = call->into,
                .limit = is_reading ? call->limit : (uint64_t)TARN__WEBHDFS_REPLY_BYTES_MAX,
                .buffer = is_reading ? NULL : &call->reply,
            },
    };
    const tarn_status status = tarn__http_perform(self->http, &call->transfer, error);
    if (status != TARN_OK) {
        char name[420];
        name_of(self, call, name);
        tarn__error_prefix(error, "%.200s", name);
    }
    return status;
}

/* Whether an address is of another server than the one that is asked. */
static bool is_of_another(const tarn__webhdfs *self, const char *location)
{
    const size_t size = strlen(self->root) - strlen(TARN__WEBHDFS_PREFIX);
    return strncmp(location, self->root, size) != 0 || location[size] != '/';
}

/* To a data node's address as the name node gave it. */
static tarn_status follow(tarn__webhdfs *self, tarn__webhdfs_call *call, tarn_error *error)
{
    const char *location = call->transfer.reply.head.location;
    const size_t size = strlen(location) + 1;
    if (!is_followed(call, location)) {
        char name[420];
        name_of(self, call, name);
        return tarn__fail(
            error, TARN_DECLINED, "%s: the name node points to no address that is followed", name);
    }
    call->is_elsewhere = is_of_another(self, location);
    TARN_TRY(renew_url(call, size, error));
    memcpy(call->url.data, location, size);
    call->url.size = size;
    return exchange(self, call, /* is_first= */ false, error);
}

tarn_status tarn__webhdfs_call_perform(
    tarn__webhdfs *self, tarn__webhdfs_call *call, tarn_error *error)
{
    TARN_TRY(build_url(self, call, error));
    /* Bytes go where the first answer points to; HttpFS points to itself. */
    TARN_TRY(exchange(self, call, /* is_first= */ true, error));
    const tarn__http_reply *reply = &call->transfer.reply;
    if (reply->status >= 300 && reply->status < 400) {
        TARN_TRY(follow(self, call, error));
    }
    if (reply->status >= 200 && reply->status < 300) {
        return TARN_OK;
    }
    tarn__webhdfs_read_problem(tarn_bytes_at(reply->problem, reply->problem_size), &call->problem);
    return fail(self, call, reply->status, error);
}

tarn_status tarn__webhdfs_ask(
    tarn__webhdfs *self,
    const char *method,
    const char *name,
    const char *operation,
    bool is_alone,
    bool *out,
    tarn_error *error)
{
    tarn__webhdfs_call *call = NULL;
    TARN_TRY(tarn__webhdfs_call_new(self, &call, error));
    assert(call != NULL);
    call->method = method;
    call->name = name;
    call->operation = operation;
    call->wants_boolean = true;
    call->is_alone = is_alone;
    tarn_status status = tarn__webhdfs_call_perform(self, call, error);
    if (status == TARN_OK && !tarn__webhdfs_read_boolean(tarn_buffer_bytes(&call->reply), out)) {
        char text[420];
        name_of(self, call, text);
        status =
            tarn__fail(error, TARN_REMOTE_ERROR, "%s: the answer is none to what was asked", text);
    }
    tarn__webhdfs_call_free(call);
    return status;
}

tarn_status tarn__webhdfs_look(
    tarn__webhdfs *self,
    const char *name,
    bool is_alone,
    tarn__webhdfs_status *out,
    tarn_error *error)
{
    tarn__webhdfs_call *call = NULL;
    TARN_TRY(tarn__webhdfs_call_new(self, &call, error));
    assert(call != NULL);
    call->method = "GET";
    call->name = name;
    call->operation = "GETFILESTATUS";
    call->is_alone = is_alone;
    tarn_status status = tarn__webhdfs_call_perform(self, call, error);
    if (status == TARN_OK && !tarn__webhdfs_read_status(tarn_buffer_bytes(&call->reply), out)) {
        status = tarn__fail(
            error,
            TARN_REMOTE_ERROR,
            "GETFILESTATUS %.200s/%.200s: the answer cannot be understood",
            self->base.address,
            name);
    }
    tarn__webhdfs_call_free(call);
    return status;
}
