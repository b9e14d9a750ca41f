/*
 * webhdfs_private.h - a directory of HDFS as a storage, by way of WebHDFS or HttpFS.
 *
 *     begin   ──► (nothing yet)
 *     append  ──► CREATE ROOT/.tarn-tmp-...   then APPEND, a buffer at a time
 *     finish  ──► MKDIRS, RENAME               one step of the name node: visible at once
 *
 * A name node redirects what carries bytes to a data node; that is followed once, by hand: the
 * address is the name node's own, with what it wants the data node to know, and nothing of ours is
 * added to it. HttpFS answers directly, or points to itself.
 *
 * A server may answer twice, and then a kept connection has the answer to the request before. What
 * decides whether an object is there goes by connections of its own: bytes, the renaming, and what
 * is looked at when its answer was lost. Elsewhere a foreign answer is known by its form: a
 * redirect names its file and its operation, DELETE and MKDIRS are answered with a boolean.
 */
#ifndef TARN_STORAGE_WEBHDFS_PRIVATE_H
#define TARN_STORAGE_WEBHDFS_PRIVATE_H

#include "storage/http.h"
#include "storage/name.h"
#include "storage/storage.h"
#include "storage/uri.h"
#include "storage/webhdfs_reply.h"

enum {
    TARN__WEBHDFS_USER_BYTES = 256,
    TARN__WEBHDFS_TOKEN_BYTES = 4096,
    TARN__WEBHDFS_TEMPORARY_BYTES = 80,
    TARN__WEBHDFS_NAME_ATTEMPTS_MAX = 100, /* Directories may go while a file is put into them. */
};

#define TARN__WEBHDFS_PREFIX "/webhdfs/v1"

typedef struct tarn__webhdfs {
    tarn_storage base;
    tarn__account *account;
    tarn__account *buffers;
    tarn__http *http;
    tarn__http *own_http;
    char root[TARN__URI_HOST_BYTES + 32]; /* "http://host:port/webhdfs/v1" */
    char path[TARN__URI_PATH_BYTES];      /* Of the directory, without '/' at either end. */
    char user[TARN__WEBHDFS_USER_BYTES];
    char token[TARN__WEBHDFS_TOKEN_BYTES]; /* Delegation; empty: none. */
    uint64_t upload_token;                 /* Tells this storage's temporary files from others'. */
    atomic_uint_least64_t next_upload;
    char address[];
} tarn__webhdfs;

/* One request. Zero, fill the first part, perform, clear. */
typedef struct tarn__webhdfs_call {
    const char *method;
    const char *name;        /* Below the storage's directory; "": itself. */
    const char *operation;   /* "OPEN&offset=1": parameters that need no encoding. */
    const char *destination; /* A name to be added as destination=, or NULL. */
    const char *start_after; /* To be added as startAfter=, or NULL. */
    tarn_bytes body;
    bool has_body;
    bool wants_boolean; /* An answer that is empty is one to something else. */
    bool is_alone;      /* As in tarn__http_request, as the next one. Bytes always are. */
    bool is_parting;
    /* Where what is read goes, as in tarn__http_request: one of both, or neither. */
    tarn_storage_sink *sink;
    void *sink_context;
    void *into;
    uint64_t limit; /* Of these two. */

    bool is_elsewhere; /* It was pointed to another server: this one has data nodes. */
    tarn__http_transfer transfer;
    char path[TARN__URI_PATH_BYTES + TARN__STORAGE_NAME_BYTES_MAX + 16]; /* Of the file, whole. */
    tarn_buffer url;
    tarn_buffer reply; /* What came, when both are NULL. */
    tarn__webhdfs_problem problem;
} tarn__webhdfs_call;

TARN_NODISCARD tarn_status
tarn__webhdfs_call_new(tarn__webhdfs *self, tarn__webhdfs_call **out, tarn_error *error);
void tarn__webhdfs_call_free(tarn__webhdfs_call *call);

/*
 * Carries a request out, a redirect to a data node included.
 *
 * Errors: of tarn__http_wait(); TARN_MISSING, TARN_BUSY (it exists already), TARN_DECLINED,
 * TARN_REMOTE_ERROR.
 */
TARN_NODISCARD tarn_status
tarn__webhdfs_call_perform(tarn__webhdfs *self, tarn__webhdfs_call *call, tarn_error *error);

/* A request whose answer is {"boolean": ..}. TARN_REMOTE_ERROR: another answer came. */
TARN_NODISCARD tarn_status tarn__webhdfs_ask(
    tarn__webhdfs *self,
    const char *method,
    const char *name,
    const char *operation,
    bool is_alone,
    bool *out,
    tarn_error *error);

TARN_NODISCARD tarn_status tarn__webhdfs_look(
    tarn__webhdfs *self,
    const char *name,
    bool is_alone,
    tarn__webhdfs_status *out,
    tarn_error *error);

/* Asks for a range, which goes where the call says; *got: how many bytes went there. */
TARN_NODISCARD tarn_status tarn__webhdfs_open_range(
    tarn__webhdfs *self,
    tarn__webhdfs_call *call,
    const char *name,
    uint64_t offset,
    uint64_t size,
    size_t *got,
    tarn_error *error);

/* Cuts the last part off a name; false when there was only one, and then the name is "". */
bool tarn__webhdfs_cut_to_parent(char *name);

TARN_NODISCARD tarn_status tarn__webhdfs_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error);
TARN_NODISCARD tarn_status
tarn__webhdfs_append(tarn_storage_upload *upload, tarn_bytes part, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__webhdfs_finish(tarn_storage_upload *upload, const char *name, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__webhdfs_try_finish(tarn_storage_upload *upload, const char *name, tarn_error *error);
void tarn__webhdfs_abandon(tarn_storage_upload *upload);

#endif
