/* s3_list.c - what is below a directory, page by page. */
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "storage/s3_private.h"

enum { PAGES_MAX = 100000 };

typedef struct listing {
    char root[2 * TARN__URI_PATH_BYTES]; /* "PREFIX/DIRECTORY/", or empty. */
    size_t root_size;
    tarn_storage_visit *visit;
    void *context;
    bool is_stopped;
    bool is_foreign; /* A key came that does not begin with the root. */
} listing;

/* A key that is no name (one of another program) is passed over. */
static bool take(
    const char *key,
    size_t key_size,
    bool is_prefix,
    uint64_t size,
    int64_t written_ms,
    void *context)
{
    listing *l = context;
    if (key_size < l->root_size || memcmp(key, l->root, l->root_size) != 0) {
        l->is_foreign = true;
        return false;
    }
    const char *rest = key + l->root_size;
    size_t rest_size = key_size - l->root_size;
    if (is_prefix && rest_size > 0 && rest[rest_size - 1] == '/') {
        rest_size--;
    }
    char name[TARN__STORAGE_PART_BYTES_MAX + 1];
    if (rest_size >= sizeof name || memchr(rest, '/', rest_size) != NULL ||
        !tarn__storage_is_name(tarn_bytes_at(rest, rest_size))) {
        return true;
    }
    memcpy(name, rest, rest_size);
    name[rest_size] = '\0';
    const tarn_storage_entry entry = {
        .name = name, .is_directory = is_prefix, .size = size, .written_ms = written_ms};
    l->is_stopped = !l->visit(&entry, l->context);
    return !l->is_stopped;
}

static tarn_status build_query(const listing *l, const char *continuation, tarn_buffer *query)
{
    query->size = 0;
    if (continuation[0] != '\0') {
        TARN_TRY(tarn_buffer_append(query, tarn_bytes_of("continuation-token=")));
        TARN_TRY(tarn__uri_encode(query, tarn_bytes_of(continuation), /* keeps_slashes= */ false));
        TARN_TRY(tarn_buffer_append(query, tarn_bytes_of("&")));
    }
    TARN_TRY(tarn_buffer_append(
        query, tarn_bytes_of("delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=")));
    TARN_TRY(tarn__uri_encode(query, tarn_bytes_of(l->root), /* keeps_slashes= */ false));
    return tarn_buffer_append(query, tarn_bytes_at("", 1));
}

static tarn_status list_page(
    tarn__s3 *self,
    tarn__s3_call *call,
    listing *l,
    tarn_buffer *query,
    tarn_buffer *document,
    tarn__s3_page *page,
    tarn_error *error)
{
    if (build_query(l, page->continuation, query) != TARN_OK) {
        return tarn__fail_no_memory(error, "a listing", query->size);
    }
    document->size = 0;
    call->method = "GET";
    call->query = (const char *)query->data;
    call->buffer = document;
    call->limit = TARN__S3_REPLY_BYTES_MAX;
    TARN_TRY(tarn__s3_call_perform(self, call, error));
    if (tarn__s3_read_page(tarn_buffer_bytes(document), take, l, page) && !l->is_foreign) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_REMOTE_ERROR,
        "GET %.300s: the listing %s",
        self->base.address,
        l->is_foreign ? "has keys that are not below the prefix" : "cannot be understood");
}

static tarn_status list_all(tarn__s3 *self, tarn__s3_call *call, listing *l, tarn_error *error)
{
    tarn_buffer query = {.allocator = &self->account->face};
    tarn_buffer document = {.allocator = &self->account->face};
    tarn__s3_page page = {.continuation = ""};
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; status == TARN_OK; i++) {
        status = list_page(self, call, l, &query, &document, &page, error);
        if (status != TARN_OK || l->is_stopped || !page.has_more) {
            break;
        }
        if (page.continuation[0] == '\0' || i == PAGES_MAX) {
            status = tarn__fail(
                error,
                TARN_REMOTE_ERROR,
                "GET %.300s: the listing says that it goes on, but not where",
                self->base.address);
        }
    }
    tarn_buffer_clear(&query);
    tarn_buffer_clear(&document);
    return status;
}

tarn_status tarn__s3_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    tarn__s3 *self = (tarn__s3 *)base;
    listing l = {.visit = visit, .context = context};
    if (!tarn__s3_key(self, directory, l.root)) {
        return TARN_OK; /* Nothing can be below what is too long for a key. */
    }
    l.root_size = strlen(l.root);
    if (l.root_size > 0) {
        l.root[l.root_size++] = '/';
        l.root[l.root_size] = '\0';
    }
    tarn__s3_call *call = NULL;
    TARN_TRY(tarn__s3_call_new(self, &call, error));
    const tarn_status status = list_all(self, call, &l, error);
    tarn__s3_call_free(call);
    return status;
}
