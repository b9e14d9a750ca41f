/* webhdfs_reply.c - see webhdfs_reply.h. jansson limits the depth of a document itself. */
#include "storage/webhdfs_reply.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "storage/http_header.h"
#include "storage/uri.h"

static json_t *load(tarn_bytes document)
{
    if (document.size == 0 || document.size > TARN__WEBHDFS_REPLY_BYTES_MAX) {
        return NULL;
    }
    return json_loadb(document.data, document.size, JSON_REJECT_DUPLICATES, NULL);
}

void tarn__webhdfs_read_problem(tarn_bytes document, tarn__webhdfs_problem *out)
{
    *out = (tarn__webhdfs_problem){.class_name = ""};
    json_t *root = load(document);
    const json_t *problem = json_object_get(root, "RemoteException");
    const char *class_name = json_string_value(json_object_get(problem, "exception"));
    const char *message = json_string_value(json_object_get(problem, "message"));
    for (size_t i = 0; class_name != NULL && i + 1 < sizeof out->class_name &&
                       isalnum((unsigned char)class_name[i]);
         i++) {
        out->class_name[i] = class_name[i]; /* The rest is zero. */
    }
    out->is_no_directory = message != NULL && strstr(message, "is not a directory") != NULL;
    json_decref(root);
}

bool tarn__webhdfs_read_boolean(tarn_bytes document, bool *out)
{
    json_t *root = load(document);
    const json_t *value = json_object_get(root, "boolean");
    const bool is_good = json_is_boolean(value);
    if (is_good) {
        *out = json_is_true(value);
    }
    json_decref(root);
    return is_good;
}

/* Whether a decoded text ends with another one. tarn__uri_decode() makes a ' ' of a plain '+'. */
static bool ends_with(const char *text, size_t size, const char *end)
{
    const size_t end_size = strlen(end);
    bool is_same = size >= end_size;
    for (size_t i = 0; is_same && i < end_size; i++) {
        const char c = text[size - end_size + i];
        is_same = c == end[i] || (c == ' ' && end[i] == '+');
    }
    return is_same;
}

/* Whether a query has none of the name that the parameter has ("offset=1"), or one that is it. */
static bool agrees(const char *query, const char *parameter, size_t size)
{
    const char *equals = memchr(parameter, '=', size);
    const size_t name_size = equals != NULL ? (size_t)(equals + 1 - parameter) : 0;
    const char *at = query;
    while (*at != '\0' && strncmp(at, parameter, name_size) != 0) {
        at += strcspn(at, "&");
        at += *at == '&' ? 1 : 0;
    }
    return *at == '\0' || (strcspn(at, "&") == size && memcmp(at, parameter, size) == 0);
}

bool tarn__webhdfs_is_redirect(const char *location, const char *path, const char *operation)
{
    char text[TARN__HTTP_LOCATION_BYTES];
    const size_t path_size = strcspn(location, "?#");
    const char *query = location + path_size + (location[path_size] == '?' ? 1 : 0);
    if (path_size >= sizeof text) {
        return false;
    }
    memcpy(text, location, path_size);
    const long size = tarn__uri_decode(text, path_size);
    bool is_good = size >= 0 && ends_with(text, (size_t)size, path);
    char parameters[128];
    snprintf(parameters, sizeof parameters, "op=%s", operation);
    for (const char *at = parameters; is_good && *at != '\0';) {
        const size_t one = strcspn(at, "&");
        is_good = agrees(query, at, one);
        at += one + (at[one] == '&' ? 1 : 0);
    }
    return is_good;
}

static bool read_status(const json_t *status, tarn__webhdfs_status *out)
{
    const char *type = json_string_value(json_object_get(status, "type"));
    const json_t *size = json_object_get(status, "length");
    const json_t *written = json_object_get(status, "modificationTime");
    if (type == NULL || !json_is_integer(size) || json_integer_value(size) < 0) {
        return false;
    }
    *out = (tarn__webhdfs_status){
        .is_directory = strcmp(type, "DIRECTORY") == 0,
        .size = (uint64_t)json_integer_value(size),
        .written_ms = json_integer_value(written),
    };
    return true;
}

bool tarn__webhdfs_read_status(tarn_bytes document, tarn__webhdfs_status *out)
{
    json_t *root = load(document);
    const bool is_good = read_status(json_object_get(root, "FileStatus"), out);
    json_decref(root);
    return is_good;
}

static bool visit_all(
    const json_t *statuses, tarn__webhdfs_visit *visit, void *context, tarn__webhdfs_page *out)
{
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *item = json_array_get(statuses, i);
        const char *name = json_string_value(json_object_get(item, "pathSuffix"));
        tarn__webhdfs_status status;
        if (name == NULL || strlen(name) >= sizeof out->last || !read_status(item, &status)) {
            return false;
        }
        snprintf(out->last, sizeof out->last, "%s", name);
        if (!visit(name, &status, context)) {
            out->is_stopped = true;
            return true;
        }
    }
    return true;
}

bool tarn__webhdfs_read_page(
    tarn_bytes document, tarn__webhdfs_visit *visit, void *context, tarn__webhdfs_page *out)
{
    *out = (tarn__webhdfs_page){.has_more = false};
    json_t *root = load(document);
    const json_t *listing = json_object_get(root, "DirectoryListing");
    const json_t *statuses = json_object_get(
        json_object_get(json_object_get(listing, "partialListing"), "FileStatuses"), "FileStatus");
    const json_t *left = json_object_get(listing, "remainingEntries");
    bool is_good = json_is_array(statuses) && json_is_integer(left);
    if (is_good) {
        out->has_more = json_integer_value(left) > 0;
        is_good = visit_all(statuses, visit, context, out);
    }
    json_decref(root);
    return is_good;
}
