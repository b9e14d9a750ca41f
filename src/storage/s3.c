/* s3.c - a bucket's prefix as a storage: opening it, reading, looking, removing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/try.h"
#include "storage/s3_private.h"

enum {
    RANGE_BYTES = 4 << 20,    /* A read beyond this is split over connections. */
    PART_BYTES_MIN = 5 << 20, /* S3's own limit. */
    NS_PER_MS = 1000000,
};

static tarn__s3 *storage_of(tarn_storage *base)
{
    return (tarn__s3 *)base;
}

/* --- Reading --- */

/* Sets a call up for a range; range is the caller's memory for the line. */
static tarn_status start_range(
    tarn__s3 *self,
    tarn__s3_call *call,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    char range[64],
    tarn_error *error)
{
    snprintf(range, 64, "Range: bytes=%" PRIu64 "-%" PRIu64, offset, offset + size - 1);
    call->method = "GET";
    call->name = name;
    call->header[0] = range;
    call->into = into;
    call->limit = size;
    return tarn__s3_call_start(self, call, error);
}

static tarn_status check_range(
    tarn__s3 *self, const tarn__s3_call *call, uint64_t offset, tarn_error *error)
{
    const tarn__http_reply *reply = &call->transfer.reply;
    /* A 200 may be the answer to what the connection was used for before, come twice. */
    if (reply->status == 206 && reply->head.has_range && reply->head.range_begin == offset &&
        reply->head.range_end - offset + 1 == reply->size) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_REMOTE_ERROR,
        "GET %.200s/%.200s: the server sent other bytes than those at %" PRIu64,
        self->base.address,
        call->name,
        offset);
}

/* Waits for a range; one that begins at or behind the end is empty. */
static tarn_status end_range(
    tarn__s3 *self, tarn__s3_call *call, uint64_t offset, size_t *size_out, tarn_error *error)
{
    tarn_error own;
    const tarn_status status = tarn__s3_call_wait(self, call, &own);
    if (status != TARN_OK) {
        if (call->transfer.reply.status == 416) {
            *size_out = 0;
            return TARN_OK;
        }
        if (error != NULL) {
            *error = own;
        }
        return status;
    }
    TARN_TRY(check_range(self, call, offset, error));
    *size_out = (size_t)call->transfer.reply.size;
    return TARN_OK;
}

typedef struct range {
    tarn__s3_call *call;
    uint64_t offset;
    size_t size;
    size_t got;
    char line[64];
} range;

/* Reads one round of ranges at once; got tells how many bytes in a row there are. */
static tarn_status read_round(
    tarn__s3 *self,
    const char *name,
    range *ranges,
    uint32_t count,
    uint8_t *into,
    size_t *got,
    tarn_error *error)
{
    tarn_status status = TARN_OK;
    uint32_t started = 0;
    for (; status == TARN_OK && started < count; started++) {
        range *r = &ranges[started];
        r->call = NULL;
        status = tarn__s3_call_new(self, &r->call, error);
        if (status == TARN_OK) {
            status = start_range(
                self,
                r->call,
                name,
                r->offset,
                into + (r->offset - ranges[0].offset),
                r->size,
                r->line,
                error);
        }
    }
    bool is_over = false;
    *got = 0;
    for (uint32_t i = 0; i < started; i++) {
        range *r = &ranges[i];
        if (status == TARN_OK) {
            status = end_range(self, r->call, r->offset, &r->got, error);
            *got += is_over ? 0 : r->got;
            is_over = is_over || r->got < r->size;
        }
        tarn__s3_call_free(r->call);
    }
    return status;
}

static tarn_status s3_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    tarn__s3 *self = storage_of(base);
    tarn__s3_call *call = NULL;
    TARN_TRY(tarn__s3_call_new(self, &call, error));
    call->method = "HEAD";
    call->name = name;
    tarn_status status = tarn__s3_call_perform(self, call, error);
    if (status == TARN_OK && !call->transfer.reply.head.has_length) {
        status = tarn__fail(
            error,
            TARN_REMOTE_ERROR,
            "HEAD %.200s/%.200s: the answer has no size",
            base->address,
            name);
    }
    if (status == TARN_OK) {
        const tarn__http_head *head = &call->transfer.reply.head;
        *out = (tarn_storage_info){.size = head->length, .written_ms = head->written_s * 1000};
    }
    tarn__s3_call_free(call);
    return status;
}

tarn_status tarn__s3_confirm_empty(tarn__s3 *self, const char *name, tarn_error *error)
{
    tarn_storage_info info;
    TARN_TRY(s3_stat(&self->base, name, &info, error));
    return info.size == 0 ? TARN_OK
                          : tarn__fail(
                                error,
                                TARN_REMOTE_ERROR,
                                "GET %.200s/%.200s: the server sent nothing of %" PRIu64 " bytes",
                                self->base.address,
                                name,
                                info.size);
}

static tarn_status s3_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    tarn__s3 *self = storage_of(base);
    if (size == 0 || offset > INT64_MAX - size) {
        *size_out = 0;
        return TARN_OK;
    }
    size_t done = 0;
    bool is_over = false;
    while (!is_over && done < size) {
        range ranges[TARN__S3_PARALLEL_MAX];
        uint32_t count = 0;
        size_t planned = 0;
        while (count < self->parallel && done + planned < size) {
            const size_t left = size - done - planned;
            ranges[count] = (range){
                .offset = offset + done + planned,
                .size = left < RANGE_BYTES ? left : (size_t)RANGE_BYTES,
            };
            planned += ranges[count++].size;
        }
        size_t got = 0;
        TARN_TRY(read_round(self, name, ranges, count, (uint8_t *)into + done, &got, error));
        done += got;
        is_over = got < planned;
    }
    if (done == 0 && offset == 0) {
        TARN_TRY(tarn__s3_confirm_empty(self, name, error));
    }
    *size_out = done;
    return TARN_OK;
}

/* --- Removal --- */

static tarn_status remove_one(tarn__s3 *self, const char *name, tarn_error *error)
{
    tarn__s3_call *call = NULL;
    TARN_TRY(tarn__s3_call_new(self, &call, error));
    call->method = "DELETE";
    call->name = name;
    const tarn_status status = tarn__s3_call_perform(self, call, error);
    tarn__s3_call_free(call);
    return status == TARN_MISSING ? TARN_OK : status;
}

static tarn_status append_escaped(tarn_buffer *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        char reference[8] = {*at, '\0'};
        if (strchr("<>&\"'", *at) != NULL) {
            snprintf(reference, sizeof reference, "&#%d;", *at);
        }
        TARN_TRY(tarn_buffer_append(out, tarn_bytes_of(reference)));
    }
    return TARN_OK;
}

static tarn_status build_removal(
    tarn__s3 *self, const char *const *names, uint32_t count, tarn_buffer *out)
{
    TARN_TRY(tarn_buffer_append(out, tarn_bytes_of("<Delete><Quiet>true</Quiet>")));
    for (uint32_t i = 0; i < count; i++) {
        char key[2 * TARN__URI_PATH_BYTES];
        (void)tarn__s3_key(self, names[i], key);
        TARN_TRY(tarn_buffer_append(out, tarn_bytes_of("<Object><Key>")));
        TARN_TRY(append_escaped(out, key));
        TARN_TRY(tarn_buffer_append(out, tarn_bytes_of("</Key></Object>")));
    }
    return tarn_buffer_append(out, tarn_bytes_of("</Delete>"));
}

static tarn_status remove_some(
    tarn__s3 *self,
    tarn__s3_call *call,
    tarn_buffer *request,
    tarn_buffer *answer,
    tarn_error *error)
{
    char digest[TARN__MD5_TEXT_BYTES];
    char line[TARN__MD5_TEXT_BYTES + 16];
    if (!tarn__md5(tarn_buffer_bytes(request), digest)) {
        return tarn__fail_no_memory(error, "a digest", sizeof digest);
    }
    snprintf(line, sizeof line, "Content-MD5: %s", digest);
    call->method = "POST";
    call->query = "delete=";
    call->header[0] = line;
    call->header[1] = "Content-Type: application/xml";
    call->body = tarn_buffer_bytes(request);
    call->has_body = true;
    call->buffer = answer;
    call->limit = TARN__S3_REPLY_BYTES_MAX;
    TARN_TRY(tarn__s3_call_perform(self, call, error));
    tarn__s3_problem problem;
    tarn__s3_read_problem(tarn_buffer_bytes(answer), &problem);
    return problem.code[0] == '\0' || strcmp(problem.code, "NoSuchKey") == 0
               ? TARN_OK
               : tarn__s3_problem_fail(self, call, 200, &problem, error);
}

static tarn_status remove_batch(
    tarn__s3 *self, const char *const *names, uint32_t count, tarn_error *error)
{
    tarn_buffer request = {.allocator = &self->account->face};
    tarn_buffer answer = {.allocator = &self->account->face};
    tarn__s3_call *call = NULL;
    tarn_status status = tarn__s3_call_new(self, &call, error);
    if (status == TARN_OK && build_removal(self, names, count, &request) != TARN_OK) {
        status = tarn__fail_no_memory(error, "a removal", request.size);
    }
    if (status == TARN_OK) {
        status = remove_some(self, call, &request, &answer, error);
    }
    tarn__s3_call_free(call);
    tarn_buffer_clear(&request);
    tarn_buffer_clear(&answer);
    return status;
}

/* XML has no way to write a control character; names with one go alone. */
static bool can_batch(const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (const char *at = names[i]; *at != '\0'; at++) {
            if ((unsigned char)*at < ' ') {
                return false;
            }
        }
    }
    return true;
}

static tarn_status s3_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    tarn__s3 *self = storage_of(base);
    const uint32_t batch = can_batch(names, count) ? (uint32_t)TARN__S3_REMOVE_MAX : 1;
    tarn_status first = TARN_OK;
    for (uint32_t done = 0; done < count; done += batch) {
        const uint32_t left = count - done;
        const uint32_t some = left < batch ? left : batch;
        tarn_error *const first_error = first == TARN_OK ? error : NULL;
        const tarn_status status = some == 1 ? remove_one(self, names[done], first_error)
                                             : remove_batch(self, names + done, some, first_error);
        first = first == TARN_OK ? status : first;
    }
    return first;
}

static uint64_t s3_pause_ms(tarn_storage *base)
{
    tarn__s3 *self = storage_of(base);
    const uint64_t now = tarn__clock_monotonic_ns(self->clock);
    pthread_mutex_lock(&self->mutex);
    const uint64_t until = self->not_before_ns;
    pthread_mutex_unlock(&self->mutex);
    return until > now ? (until - now) / NS_PER_MS + 1 : 0;
}

static void s3_free(tarn_storage *base)
{
    tarn__s3 *self = storage_of(base);
    tarn__http_close(self->own_http);
    tarn__s3_credentials_clear(&self->credentials);
    pthread_mutex_destroy(&self->mutex);
    tarn__release(self);
}

static const tarn_storage_ops S3_OPS = {
    .struct_size = sizeof(tarn_storage_ops),
    .begin = tarn__s3_begin,
    .append = tarn__s3_append,
    .finish = tarn__s3_finish,
    .abandon = tarn__s3_abandon,
    .read = s3_read,
    .stat = s3_stat,
    .remove = s3_remove,
    .list = tarn__s3_list,
    .free = s3_free,
    .try_finish = tarn__s3_try_finish,
    .pause_ms = s3_pause_ms,
    .put = tarn__s3_put,
    .get = tarn__s3_get,
};

/* --- Opening --- */

/* The value of an option, or of the first environment variable that is set; NULL: neither. */
static tarn_status find_text(
    const tarn_config *config,
    const char *key,
    const char *const *variables,
    const char **out,
    tarn_error *error)
{
    *out = NULL;
    if (config != NULL) {
        const tarn_status status = tarn_config_get_string(config, key, out, NULL, error);
        if (status != TARN_NOT_FOUND) {
            return status;
        }
    }
    for (; *variables != NULL && *out == NULL; variables++) {
        const char *value = getenv(*variables);
        *out = value != NULL && value[0] != '\0' ? value : NULL;
    }
    return TARN_OK;
}

/* Letters, digits, '-' and '.': what a region and a bucket consist of. */
static bool is_plain(const char *text, size_t size_max)
{
    const size_t size = strlen(text);
    return size > 0 && size < size_max &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
               size;
}

static tarn_status set_root(
    tarn__s3 *self, const char *endpoint, bool is_path_style, tarn_error *error)
{
    const size_t scheme_size = endpoint != NULL ? tarn__uri_scheme_size(endpoint) : 0;
    const char *scheme = scheme_size == 4 && strncmp(endpoint, "http", 4) == 0 ? "http" : "https";
    const char *host = scheme_size > 0 ? endpoint + scheme_size + 3 : endpoint;
    char own[TARN__S3_REGION_BYTES + 32];
    if (host == NULL) {
        snprintf(own, sizeof own, "s3.%s.amazonaws.com", self->region);
        host = own;
    }
    size_t size = strlen(host);
    while (size > 0 && host[size - 1] == '/') {
        size--;
    }
    if (size == 0 || size >= TARN__S3_ENDPOINT_BYTES || strpbrk(host, "@?# \t\r\n") != NULL ||
        (scheme_size > 0 && scheme_size != strlen(scheme))) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "s3.endpoint is no address of the form https://host:port, without credentials");
    }
    snprintf(
        self->root,
        sizeof self->root,
        "%s://%s%s%.*s%s%s",
        scheme,
        is_path_style ? "" : self->bucket,
        is_path_style ? "" : ".",
        (int)size,
        host,
        is_path_style ? "/" : "",
        is_path_style ? self->bucket : "");
    return TARN_OK;
}

static tarn_status read_sizes(tarn__s3 *self, const tarn_config *config, tarn_error *error)
{
    int64_t part_bytes = PART_BYTES_MIN;
    int32_t parallel = 4;
    if (config != NULL) {
        TARN_TRY(tarn_config_get_long(config, "s3.upload.min.part.size", &part_bytes, NULL, error));
        TARN_TRY(tarn_config_get_int(
            config, "s3.upload.max.concurrent.uploads", &parallel, NULL, error));
    }
    self->part_bytes = part_bytes > PART_BYTES_MIN ? (uint64_t)part_bytes : PART_BYTES_MIN;
    self->parallel =
        parallel < TARN__S3_PARALLEL_MAX ? (uint32_t)parallel : (uint32_t)TARN__S3_PARALLEL_MAX;
    return TARN_OK;
}

/* Unset: what TLS protects needs no digest besides. */
static tarn_status read_signing(tarn__s3 *self, const tarn_config *config, tarn_error *error)
{
    bool signs = strncmp(self->root, "https:", strlen("https:")) != 0;
    tarn_status status = TARN_NOT_FOUND;
    if (config != NULL) {
        status = tarn_config_get_bool(config, "s3.payload-signing", &signs, NULL, error);
    }
    self->signs_payload = signs;
    return status == TARN_NOT_FOUND ? TARN_OK : status;
}

static tarn_status read_settings(tarn__s3 *self, const tarn_config *config, tarn_error *error)
{
    static const char *const regions[] = {"AWS_REGION", "AWS_DEFAULT_REGION", NULL};
    static const char *const endpoints[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", NULL};
    const char *region = NULL;
    const char *endpoint = NULL;
    TARN_TRY(find_text(config, "s3.endpoint.region", regions, &region, error));
    TARN_TRY(find_text(config, "s3.endpoint", endpoints, &endpoint, error));
    snprintf(self->region, sizeof self->region, "%s", region != NULL ? region : "us-east-1");
    if (!is_plain(region != NULL ? region : self->region, sizeof self->region)) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "s3.endpoint.region is no name of a region");
    }
    snprintf(self->sigv4, sizeof self->sigv4, "aws:amz:%s:s3", self->region);
    bool is_path_style = false;
    tarn_status status = TARN_NOT_FOUND;
    if (config != NULL) {
        status = tarn_config_get_bool(config, "s3.path.style.access", &is_path_style, NULL, error);
    }
    if (status == TARN_NOT_FOUND) {
        is_path_style = endpoint != NULL;
    } else if (status != TARN_OK) {
        return status;
    }
    TARN_TRY(set_root(self, endpoint, is_path_style, error));
    TARN_TRY(read_signing(self, config, error));
    TARN_TRY(read_sizes(self, config, error));
    return tarn__s3_credentials_find(config, self->calls, self->account, &self->credentials, error);
}

static tarn_status set_up(tarn__s3 *self, const tarn__storage_options *options, tarn_error *error)
{
    TARN_TRY(read_settings(self, options->config, error));
    if (self->http == NULL) {
        tarn__http_options http = {.account = self->account, .clock = self->clock};
        TARN_TRY(tarn__http_load(options->config, &http, error));
        TARN_TRY(tarn__http_open(&http, &self->own_http, error));
        self->http = self->own_http;
    }
    return TARN_OK;
}

tarn_status tarn__s3_storage_open(
    const tarn__storage_options *options,
    const tarn__uri *uri,
    tarn_storage **out,
    tarn_error *error)
{
    const size_t address_size = strlen(uri->host) + strlen(uri->path) + sizeof "s3:///";
    tarn__s3 *self = tarn__allocate_zeroed(options->account, 1, sizeof *self + address_size);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    snprintf(
        self->address,
        address_size,
        "s3://%s%s%s",
        uri->host,
        uri->path[0] != '\0' ? "/" : "",
        uri->path);
    self->base = (tarn_storage){
        .ops = &S3_OPS,
        .address = self->address,
        .features = TARN_STORAGE_RESUMES,
    };
    self->account = options->account;
    self->buffers = options->buffers != NULL ? options->buffers : options->account;
    self->clock = tarn__clock_system();
    self->config = options->config;
    self->calls = options->calls != NULL ? options->calls : tarn__file_calls_system();
    self->http = options->http;
    snprintf(self->bucket, sizeof self->bucket, "%s", uri->host);
    snprintf(self->prefix, sizeof self->prefix, "%s", uri->path);
    self->token = tarn__random_mix(
        tarn__random_mix(tarn__clock_monotonic_ns(self->clock)) ^
        (uint64_t)tarn__clock_wall_ms(self->clock) ^ (uint64_t)(uintptr_t)self);
    pthread_mutex_init(&self->mutex, NULL);
    tarn_status status = TARN_OK;
    if (!is_plain(uri->host, sizeof self->bucket)) {
        status = tarn__fail(error, TARN_INVALID_ARGUMENT, "%.300s names no bucket", self->address);
    }
    if (status == TARN_OK) {
        status = set_up(self, options, error);
    }
    if (status != TARN_OK) {
        s3_free(&self->base);
        return status;
    }
    *out = &self->base;
    return TARN_OK;
}
