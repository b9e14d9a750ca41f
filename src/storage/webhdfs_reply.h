/*
 * webhdfs_reply.h - what WebHDFS answers in JSON. Pure.
 *
 * Thread: pure.
 */
#ifndef TARN_STORAGE_WEBHDFS_REPLY_H
#define TARN_STORAGE_WEBHDFS_REPLY_H

#include "tarn/bytes.h"

enum {
    TARN__WEBHDFS_CLASS_BYTES = 80,
    TARN__WEBHDFS_NAME_BYTES = 256,
    TARN__WEBHDFS_REPLY_BYTES_MAX = 8 << 20,
};

/* A RemoteException. */
typedef struct tarn__webhdfs_problem {
    char class_name[TARN__WEBHDFS_CLASS_BYTES]; /* Letters only; empty: the bytes are none. */
    bool is_no_directory;                       /* A part of the path is a file. */
} tarn__webhdfs_problem;

typedef struct tarn__webhdfs_status {
    bool is_directory;
    uint64_t size;
    int64_t written_ms;
} tarn__webhdfs_status;

void tarn__webhdfs_read_problem(tarn_bytes document, tarn__webhdfs_problem *out);

/* {"boolean": ..}. False: it is none. */
bool tarn__webhdfs_read_boolean(tarn_bytes document, bool *out);

/*
 * Whether a redirect is that of a request: it names the file, and repeats no parameter of its
 * operation ("OPEN&offset=1") with another value.
 *
 * path  Of the file, decoded: "/webhdfs/v1/DIRECTORY/NAME". What stands before it is a gateway's.
 */
bool tarn__webhdfs_is_redirect(const char *location, const char *path, const char *operation);

/* {"FileStatus": {..}}. False: it is none. */
bool tarn__webhdfs_read_status(tarn_bytes document, tarn__webhdfs_status *out);

/* One entry of a listing. False: go no further. */
typedef bool tarn__webhdfs_visit(
    const char *name, const tarn__webhdfs_status *status, void *context);

typedef struct tarn__webhdfs_page {
    bool has_more;
    bool is_stopped;
    char last[TARN__WEBHDFS_NAME_BYTES]; /* The page's last name; empty: there was none. */
} tarn__webhdfs_page;

/* {"DirectoryListing": {..}}. False: it is none. */
bool tarn__webhdfs_read_page(
    tarn_bytes document, tarn__webhdfs_visit *visit, void *context, tarn__webhdfs_page *out);

#endif
