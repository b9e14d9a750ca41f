/* fake_hdfs.c - see fake_hdfs.h. Files and directories sit in one array. */
#include "support/fake_hdfs.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/uri.h"

enum { NODES_MAX = 256, TEXT_BYTES = 4096 };

static const char PREFIX[] = "/webhdfs/v1";

typedef struct node {
    char *path; /* NULL: the place is free. */
    bool is_directory;
    uint8_t *data;
    size_t size;
} node;

struct fake_hdfs {
    pthread_mutex_t mutex;
    bool is_name_node;
    node nodes[NODES_MAX];
};

/* A request, taken apart. */
typedef struct question {
    const fake_request *request;
    char operation[32];
    char path[TEXT_BYTES]; /* Decoded, without the prefix. */
    char destination[TEXT_BYTES];
    const char *query;
    uint16_t port;
} question;

fake_hdfs *fake_hdfs_new(void)
{
    fake_hdfs *hdfs = calloc(1, sizeof *hdfs);
    pthread_mutex_init(&hdfs->mutex, NULL);
    return hdfs;
}

static void drop(node *n)
{
    free(n->path);
    free(n->data);
    *n = (node){.path = NULL};
}

void fake_hdfs_free(fake_hdfs *hdfs)
{
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        drop(&hdfs->nodes[i]);
    }
    pthread_mutex_destroy(&hdfs->mutex);
    free(hdfs);
}

void fake_hdfs_be_name_node(fake_hdfs *hdfs)
{
    hdfs->is_name_node = true;
}

uint32_t fake_hdfs_count(fake_hdfs *hdfs)
{
    uint32_t count = 0;
    pthread_mutex_lock(&hdfs->mutex);
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        count += hdfs->nodes[i].path != NULL && !hdfs->nodes[i].is_directory ? 1 : 0;
    }
    pthread_mutex_unlock(&hdfs->mutex);
    return count;
}

bool fake_hdfs_is_asked(const fake_request *request)
{
    return strncmp(request->target, PREFIX, sizeof PREFIX - 1) == 0;
}

/* The value of a parameter, decoded; "": there is none. */
static void find_parameter(const char *query, const char *name, char *out, size_t capacity)
{
    const size_t name_size = strlen(name);
    out[0] = '\0';
    for (const char *at = query; *at != '\0'; at += strcspn(at, "&") + (strchr(at, '&') ? 1 : 0)) {
        if (strncmp(at, name, name_size) == 0 && at[name_size] == '=') {
            const char *value = at + name_size + 1;
            snprintf(out, capacity, "%.*s", (int)strcspn(value, "&"), value);
            const long size = tarn__uri_decode(out, strlen(out));
            out[size > 0 ? size : 0] = '\0';
            return;
        }
    }
}

static const char *query_of(const fake_request *request)
{
    const char *mark = strchr(request->target, '?');
    return mark != NULL ? mark + 1 : "";
}

bool fake_hdfs_has_operation(const fake_request *request, const char *operation)
{
    char value[32];
    const bool is_data = strcmp(operation, "DATA") == 0;
    find_parameter(query_of(request), is_data ? "data" : "op", value, sizeof value);
    return fake_hdfs_is_asked(request) && strcmp(value, is_data ? "true" : operation) == 0;
}

/* --- Files --- */

static node *find(fake_hdfs *hdfs, const char *path)
{
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        if (hdfs->nodes[i].path != NULL && strcmp(hdfs->nodes[i].path, path) == 0) {
            return &hdfs->nodes[i];
        }
    }
    return NULL;
}

static node *make(fake_hdfs *hdfs, const char *path, bool is_directory)
{
    node *n = find(hdfs, path);
    for (uint32_t i = 0; n == NULL && i < NODES_MAX; i++) {
        n = hdfs->nodes[i].path == NULL ? &hdfs->nodes[i] : NULL;
    }
    if (n == NULL) {
        abort();
    }
    if (n->path == NULL) {
        *n = (node){.path = strdup(path), .is_directory = is_directory};
    }
    return n;
}

/* The directories of a path, itself included where it is one. */
static void make_directories(fake_hdfs *hdfs, const char *path, bool is_directory)
{
    char part[TEXT_BYTES];
    for (const char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            snprintf(part, sizeof part, "%.*s", (int)(at - path), path);
            (void)make(hdfs, part, true);
        }
    }
    if (is_directory) {
        (void)make(hdfs, path, true);
    }
}

static bool has_parent(fake_hdfs *hdfs, const char *path)
{
    char parent[TEXT_BYTES];
    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    return parent[0] == '\0' || find(hdfs, parent) != NULL;
}

static bool has_children(const fake_hdfs *hdfs, const char *path)
{
    const size_t size = strlen(path);
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        const char *other = hdfs->nodes[i].path;
        if (other != NULL && strncmp(other, path, size) == 0 && other[size] == '/') {
            return true;
        }
    }
    return false;
}

long fake_hdfs_read(fake_hdfs *hdfs, const char *path, void *out, size_t capacity)
{
    pthread_mutex_lock(&hdfs->mutex);
    const node *n = find(hdfs, path);
    const long size = n != NULL ? (long)n->size : -1;
    if (size > 0) {
        memcpy(out, n->data, n->size < capacity ? n->size : capacity);
    }
    pthread_mutex_unlock(&hdfs->mutex);
    return size;
}

static void append(node *n, const uint8_t *data, size_t size)
{
    n->data = realloc(n->data, n->size + size + 1);
    memcpy(n->data + n->size, data, size);
    n->size += size;
}

/* --- Answers --- */

__attribute__((format(printf, 3, 4))) static void say(
    fake_answer *answer, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    answer->status = status;
    answer->body = malloc(TEXT_BYTES);
    answer->body_size = (size_t)vsnprintf((char *)answer->body, TEXT_BYTES, format, arguments);
    va_end(arguments);
}

static void say_boolean(fake_answer *answer, bool value)
{
    say(answer, 200, "{\"boolean\":%s}", value ? "true" : "false");
}

static void refuse(fake_answer *answer, int status, const char *exception)
{
    say(answer,
        status,
        "{\"RemoteException\":{\"exception\":\"%s\",\"message\":\"as the test says\"}}",
        exception);
}

static void point(const fake_hdfs *hdfs, const question *q, fake_answer *answer)
{
    say(answer, 307, "%s", "");
    snprintf(
        answer->head,
        sizeof answer->head,
        "Location: http://%s:%u%.800s&data=true\r\n",
        hdfs->is_name_node ? "localhost" : "127.0.0.1",
        q->port,
        q->request->target);
}

static void put(fake_hdfs *hdfs, const question *q, fake_answer *answer)
{
    const bool is_new = strcmp(q->operation, "CREATE") == 0;
    node *n = find(hdfs, q->path);
    if (!fake_hdfs_has_operation(q->request, "DATA")) {
        point(hdfs, q, answer);
        return;
    }
    if (n == NULL && !is_new) {
        refuse(answer, 404, "FileNotFoundException");
        return;
    }
    if (is_new) {
        make_directories(hdfs, q->path, false);
        n = make(hdfs, q->path, false);
        n->size = 0;
    }
    append(n, q->request->body, q->request->body_size);
    say(answer, is_new ? 201 : 200, "%s", "");
}

static void rename_node(fake_hdfs *hdfs, const question *q, fake_answer *answer)
{
    node *from = find(hdfs, q->path);
    node *to = find(hdfs, q->destination);
    const bool overwrites = strstr(q->query, "renameoptions=OVERWRITE") != NULL;
    const bool is_refused = from == NULL || !has_parent(hdfs, q->destination);
    const bool is_taken = to != NULL && !(hdfs->is_name_node && overwrites);
    if (hdfs->is_name_node && is_refused) {
        refuse(answer, 404, "FileNotFoundException");
    } else if (hdfs->is_name_node && is_taken) {
        refuse(answer, 403, "FileAlreadyExistsException");
    } else if (is_refused || is_taken) {
        say_boolean(answer, false);
    } else {
        if (to != NULL) {
            drop(to);
        }
        free(from->path);
        from->path = strdup(q->destination);
        if (hdfs->is_name_node) {
            say(answer, 200, "%s", "");
        } else {
            say_boolean(answer, true);
        }
    }
}

static void remove_node(fake_hdfs *hdfs, const question *q, fake_answer *answer)
{
    node *n = find(hdfs, q->path);
    if (n != NULL && has_children(hdfs, q->path)) {
        refuse(answer, 403, "PathIsNotEmptyDirectoryException");
        return;
    }
    say_boolean(answer, n != NULL);
    if (n != NULL) {
        drop(n);
    }
}

static void tell_status(const node *n, fake_answer *answer)
{
    say(answer,
        200,
        "{\"FileStatus\":{\"type\":\"%s\",\"length\":%zu,\"modificationTime\":1}}",
        n->is_directory ? "DIRECTORY" : "FILE",
        n->size);
}

static void read_range(const node *n, const question *q, fake_answer *answer)
{
    char offset[32];
    char length[32];
    find_parameter(q->query, "offset", offset, sizeof offset);
    find_parameter(q->query, "length", length, sizeof length);
    const size_t begin = strtoull(offset, NULL, 10);
    const size_t wanted = strtoull(length, NULL, 10);
    const size_t left = begin < n->size ? n->size - begin : 0;
    answer->status = 200;
    answer->body_size = wanted < left ? wanted : left;
    answer->body = malloc(answer->body_size + 1);
    if (answer->body_size > 0) {
        memcpy(answer->body, n->data + begin, answer->body_size);
    }
}

static void serve(fake_hdfs *hdfs, const question *q, fake_answer *answer)
{
    const node *n = find(hdfs, q->path);
    if (strcmp(q->operation, "CREATE") == 0 || strcmp(q->operation, "APPEND") == 0) {
        put(hdfs, q, answer);
    } else if (strcmp(q->operation, "MKDIRS") == 0) {
        make_directories(hdfs, q->path, true);
        say_boolean(answer, true);
    } else if (strcmp(q->operation, "RENAME") == 0) {
        rename_node(hdfs, q, answer);
    } else if (strcmp(q->operation, "DELETE") == 0) {
        remove_node(hdfs, q, answer);
    } else if (n == NULL) {
        refuse(answer, 404, "FileNotFoundException");
    } else if (strcmp(q->operation, "GETFILESTATUS") == 0) {
        tell_status(n, answer);
    } else if (strcmp(q->operation, "OPEN") == 0) {
        read_range(n, q, answer);
    } else {
        refuse(answer, 400, "IllegalArgumentException");
    }
}

void fake_hdfs_serve(
    fake_hdfs *hdfs, const fake_request *request, uint16_t port, fake_answer *answer)
{
    question q = {.request = request, .query = query_of(request), .port = port};
    const char *path = request->target + sizeof PREFIX - 1;
    snprintf(q.path, sizeof q.path, "%.*s", (int)strcspn(path, "?"), path);
    const long size = tarn__uri_decode(q.path, strlen(q.path));
    q.path[size > 0 ? size : 0] = '\0';
    find_parameter(q.query, "op", q.operation, sizeof q.operation);
    find_parameter(q.query, "destination", q.destination, sizeof q.destination);
    pthread_mutex_lock(&hdfs->mutex);
    serve(hdfs, &q, answer);
    pthread_mutex_unlock(&hdfs->mutex);
}
