/* webhdfs.c - a directory of HDFS as a storage: opening it, reading, looking, listing, removing. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/try.h"
#include "storage/webhdfs_private.h"

enum { PAGES_MAX = 100000 };

static tarn__webhdfs *storage_of(tarn_storage *base)
{
    return (tarn__webhdfs *)base;
}

static tarn_status webhdfs_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    tarn__webhdfs_status status;
    TARN_TRY(tarn__webhdfs_look(storage_of(base), name, /* is_alone= */ false, &status, error));
    if (status.is_directory) {
        return tarn__fail(error, TARN_MISSING, "%.200s/%.200s is not a file", base->address, name);
    }
    *out = (tarn_storage_info){.size = status.size, .written_ms = status.written_ms};
    return TARN_OK;
}

/* A server refuses to read behind the end in words of its own; the file's size is asked instead. */
static tarn_status read_failed(
    tarn__webhdfs *self,
    const char *name,
    uint64_t offset,
    tarn_status status,
    size_t *size_out,
    tarn_error *error)
{
    tarn_storage_info info;
    if (status != TARN_DECLINED && status != TARN_REMOTE_ERROR && status != TARN_OK) {
        return status;
    }
    const tarn_status looked =
        webhdfs_stat(&self->base, name, &info, status == TARN_OK ? error : NULL);
    if (looked == TARN_OK && offset >= info.size) {
        *size_out = 0;
        return TARN_OK;
    }
    if (status == TARN_OK) {
        return looked == TARN_OK ? tarn__fail(
                                       error,
                                       TARN_REMOTE_ERROR,
                                       "OPEN %.200s/%.200s: the server sent nothing",
                                       self->base.address,
                                       name)
                                 : looked;
    }
    return status;
}

tarn_status tarn__webhdfs_open_range(
    tarn__webhdfs *self,
    tarn__webhdfs_call *call,
    const char *name,
    uint64_t offset,
    uint64_t size,
    size_t *got,
    tarn_error *error)
{
    char operation[96];
    snprintf(operation, sizeof operation, "OPEN&offset=%" PRIu64 "&length=%" PRIu64, offset, size);
    call->method = "GET";
    call->name = name;
    call->operation = operation;
    call->limit = size;
    const tarn_status status = tarn__webhdfs_call_perform(self, call, error);
    *got = (size_t)call->transfer.reply.size;
    return *got > 0 ? status : read_failed(self, name, offset, status, got, error);
}

static tarn_status webhdfs_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    if (size == 0 || offset > INT64_MAX - size) {
        *size_out = 0;
        return TARN_OK;
    }
    tarn__webhdfs *self = storage_of(base);
    tarn__webhdfs_call *call = NULL;
    TARN_TRY(tarn__webhdfs_call_new(self, &call, error));
    size_t got = 0;
    call->into = into;
    const tarn_status status =
        tarn__webhdfs_open_range(self, call, name, offset, size, &got, error);
    tarn__webhdfs_call_free(call);
    if (status == TARN_OK) {
        *size_out = got;
    }
    return status;
}

static tarn_status webhdfs_get(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    tarn_error *error)
{
    if (size == 0 || offset > INT64_MAX - size) {
        return TARN_OK;
    }
    tarn__webhdfs *self = storage_of(base);
    tarn__webhdfs_call *call = NULL;
    TARN_TRY(tarn__webhdfs_call_new(self, &call, error));
    size_t got = 0;
    call->sink = sink;
    call->sink_context = context;
    const tarn_status status =
        tarn__webhdfs_open_range(self, call, name, offset, size, &got, error);
    tarn__webhdfs_call_free(call);
    return status;
}

/* --- Removal --- */

/* Takes away the directories above a name that have become empty; those that have not stay. */
static void remove_empty_parents(tarn__webhdfs *self, const char *name)
{
    char directory[TARN__STORAGE_NAME_BYTES_MAX + 1];
    snprintf(directory, sizeof directory, "%s", name);
    bool is_removed = true;
    while (is_removed && tarn__webhdfs_cut_to_parent(directory)) {
        const tarn_status status = tarn__webhdfs_ask(
            self,
            "DELETE",
            directory,
            "DELETE&recursive=false",
            /* is_alone= */ false,
            &is_removed,
            NULL);
        is_removed = is_removed && status == TARN_OK;
    }
}

static bool has_same_parent(const char *a, const char *b)
{
    const char *slash_a = strrchr(a, '/');
    const char *slash_b = strrchr(b, '/');
    const size_t size_a = slash_a != NULL ? (size_t)(slash_a - a) : 0;
    const size_t size_b = slash_b != NULL ? (size_t)(slash_b - b) : 0;
    return size_a == size_b && memcmp(a, b, size_a) == 0;
}

static tarn_status webhdfs_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    tarn__webhdfs *self = storage_of(base);
    tarn_status first = TARN_OK;
    for (uint32_t i = 0; i < count; i++) {
        bool is_removed = false;
        const tarn_status status = tarn__webhdfs_ask(
            self,
            "DELETE",
            names[i],
            "DELETE&recursive=false",
            /* is_alone= */ false,
            &is_removed,
            first == TARN_OK ? error : NULL);
        if (status != TARN_OK && status != TARN_MISSING && first == TARN_OK) {
            first = status;
        }
        if (i + 1 == count || !has_same_parent(names[i], names[i + 1])) {
            remove_empty_parents(self, names[i]);
        }
    }
    return first;
}

/* --- Listings --- */

typedef struct listing {
    tarn_storage_visit *visit;
    void *context;
} listing;

/* A name that a storage cannot have made (one of another program, or a lie) is passed over. */
static bool visit_entry(const char *name, const tarn__webhdfs_status *status, void *context)
{
    const listing *l = context;
    if (strchr(name, '/') != NULL || !tarn__storage_is_name(tarn_bytes_of(name))) {
        return true;
    }
    const tarn_storage_entry entry = {
        .name = name,
        .is_directory = status->is_directory,
        .size = status->is_directory ? 0 : status->size,
        .written_ms = status->is_directory ? 0 : status->written_ms,
    };
    return l->visit(&entry, l->context);
}

static tarn_status list_pages(
    tarn__webhdfs *self, tarn__webhdfs_call *call, listing *l, tarn_error *error)
{
    tarn__webhdfs_page page = {.last = ""};
    char start_after[TARN__WEBHDFS_NAME_BYTES];
    for (uint32_t i = 0; i < PAGES_MAX; i++) {
        TARN_TRY(tarn__webhdfs_call_perform(self, call, error));
        if (!tarn__webhdfs_read_page(tarn_buffer_bytes(&call->reply), visit_entry, l, &page)) {
            return tarn__fail(
                error,
                TARN_REMOTE_ERROR,
                "LISTSTATUS %.300s: the listing cannot be understood",
                self->base.address);
        }
        if (page.is_stopped || !page.has_more || page.last[0] == '\0') {
            return TARN_OK;
        }
        snprintf(start_after, sizeof start_after, "%s", page.last);
        call->start_after = start_after;
    }
    return tarn__fail(
        error, TARN_REMOTE_ERROR, "LISTSTATUS %.300s: the listing has no end", self->base.address);
}

static tarn_status webhdfs_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    tarn__webhdfs *self = storage_of(base);
    tarn__webhdfs_call *call = NULL;
    TARN_TRY(tarn__webhdfs_call_new(self, &call, error));
    listing l = {.visit = visit, .context = context};
    call->method = "GET";
    call->name = directory;
    call->operation = "LISTSTATUS_BATCH";
    const tarn_status status = list_pages(self, call, &l, error);
    tarn__webhdfs_call_free(call);
    return status == TARN_MISSING ? TARN_OK : status;
}

static void webhdfs_free(tarn_storage *base)
{
    tarn__webhdfs *self = storage_of(base);
    tarn__http_close(self->own_http);
    explicit_bzero(self->token, sizeof self->token);
    tarn__release(self);
}

static const tarn_storage_ops WEBHDFS_OPS = {
    .struct_size = sizeof(tarn_storage_ops),
    .begin = tarn__webhdfs_begin,
    .append = tarn__webhdfs_append,
    .finish = tarn__webhdfs_finish,
    .abandon = tarn__webhdfs_abandon,
    .read = webhdfs_read,
    .stat = webhdfs_stat,
    .remove = webhdfs_remove,
    .list = webhdfs_list,
    .free = webhdfs_free,
    .try_finish = tarn__webhdfs_try_finish,
    .get = webhdfs_get,
};

/* --- Opening --- */

/* The value of an option; unset: of the environment variable (or NULL); else "". */
static tarn_status find_text(
    const tarn_config *config,
    const char *key,
    const char *variable,
    char *out,
    size_t capacity,
    tarn_error *error)
{
    const char *value = NULL;
    if (config != NULL) {
        const tarn_status status = tarn_config_get_string(config, key, &value, NULL, error);
        if (status != TARN_OK && status != TARN_NOT_FOUND) {
            return status;
        }
    }
    if (value == NULL && variable != NULL) {
        value = getenv(variable);
    }
    if (value != NULL && strlen(value) >= capacity) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "%s is too long", key);
    }
    snprintf(out, capacity, "%s", value != NULL ? value : "");
    return TARN_OK;
}

/* hdfs://host:8020 names the port of another protocol; the one of HTTP is configured. */
static tarn_status set_root(
    tarn__webhdfs *self, const tarn__uri *uri, const tarn_config *config, tarn_error *error)
{
    const bool is_tls = strcmp(uri->scheme, "swebhdfs") == 0;
    const bool is_rpc = strcmp(uri->scheme, "hdfs") == 0;
    const size_t host_size = is_rpc ? strcspn(uri->host, ":") : strlen(uri->host);
    const bool has_port = !is_rpc && strrchr(uri->host, ':') != NULL;
    int32_t port = is_tls ? 9871 : 9870;
    if (is_rpc && config != NULL) {
        TARN_TRY(tarn_config_get_int(config, "webhdfs.port", &port, NULL, error));
    }
    char suffix[16] = "";
    if (!has_port) {
        snprintf(suffix, sizeof suffix, ":%" PRId32, port);
    }
    snprintf(
        self->root,
        sizeof self->root,
        "%s://%.*s%s" TARN__WEBHDFS_PREFIX,
        is_tls ? "https" : "http",
        (int)host_size,
        uri->host,
        suffix);
    return TARN_OK;
}

static tarn_status set_up(
    tarn__webhdfs *self,
    const tarn__storage_options *options,
    const tarn__uri *uri,
    tarn_error *error)
{
    const tarn_config *config = options->config;
    TARN_TRY(set_root(self, uri, config, error));
    TARN_TRY(find_text(
        config, "webhdfs.user", "HADOOP_USER_NAME", self->user, sizeof self->user, error));
    TARN_TRY(find_text(
        config, "webhdfs.delegation-token", NULL, self->token, sizeof self->token, error));
    if (self->user[0] == '\0') {
        TARN_TRY(find_text(NULL, "", "USER", self->user, sizeof self->user, error));
    }
    if (self->http == NULL) {
        tarn__http_options http = {.account = self->account};
        TARN_TRY(tarn__http_load(options->config, &http, error));
        TARN_TRY(tarn__http_open(&http, &self->own_http, error));
        self->http = self->own_http;
    }
    return TARN_OK;
}

tarn_status tarn__webhdfs_storage_open(
    const tarn__storage_options *options,
    const tarn__uri *uri,
    tarn_storage **out,
    tarn_error *error)
{
    const size_t address_size =
        strlen(uri->scheme) + strlen(uri->host) + strlen(uri->path) + sizeof ":///";
    tarn__webhdfs *self = tarn__allocate_zeroed(options->account, 1, sizeof *self + address_size);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    snprintf(self->address, address_size, "%s://%s/%s", uri->scheme, uri->host, uri->path);
    if (uri->path[0] == '\0') {
        self->address[strlen(self->address) - 1] = '\0';
    }
    self->base = (tarn_storage){
        .ops = &WEBHDFS_OPS,
        .address = self->address,
        .features = TARN_STORAGE_LATE_NAMES | TARN_STORAGE_RESUMES,
    };
    self->account = options->account;
    self->buffers = options->buffers != NULL ? options->buffers : options->account;
    self->http = options->http;
    snprintf(self->path, sizeof self->path, "%s", uri->path);
    const tarn__clock *clock = tarn__clock_system();
    self->upload_token = tarn__random_mix(
        tarn__random_mix(tarn__clock_monotonic_ns(clock)) ^ (uint64_t)tarn__clock_wall_ms(clock) ^
        (uint64_t)(uintptr_t)self);
    const tarn_status status = set_up(self, options, uri, error);
    if (status != TARN_OK) {
        webhdfs_free(&self->base);
        return status;
    }
    *out = &self->base;
    return TARN_OK;
}
