/* upload_private.h - an upload under way, for the upload_*.c. */
#ifndef TARN_SNAPSHOT_UPLOAD_PRIVATE_H
#define TARN_SNAPSHOT_UPLOAD_PRIVATE_H

#include <limits.h>

#include "snapshot/upload.h"

enum { TARN__UPLOAD_DIRECTORY_BYTES = 128 };

/* What is moved at once: a file, or several small ones that become one segment. */
typedef struct tarn__upload_unit {
    uint32_t first; /* Of order. */
    uint32_t count;
} tarn__upload_unit;

struct tarn__upload {
    tarn__upload_options options;
    tarn__arena arena; /* Filled before the transfer begins, and not by its threads. */
    uint8_t *buffer;
    char private_directory[TARN__UPLOAD_DIRECTORY_BYTES];

    const char *directory; /* Of run(). */
    const tarn__base *base;
    uint32_t file_count;
    tarn__file_part *parts;     /* [file_count], by local name. */
    tarn__base_file *known;     /* [file_count], likewise. */
    const char **private_names; /* [file_count]; NULL where nothing was written. */
    bool *has_reference;        /* [file_count] */
    bool *is_table;             /* [file_count] */
    bool *is_wasteful;          /* [file_count]: sent anew, as its segment is to go. */
    uint32_t *order;            /* [file_count]: files that are to be moved, unit by unit. */
    tarn__upload_unit *units;   /* [unit_count], room for file_count. */
    uint32_t unit_count;
    tarn__grant *grant; /* With room for file_count contents. */
    bool is_run;

    atomic_bool is_cancelled;
    bool is_left; /* Read by who frees it. */
    atomic_uint_least64_t total_count;
    atomic_uint_least64_t total_bytes;
    atomic_uint_least64_t uploaded_count;
    atomic_uint_least64_t uploaded_bytes;
    atomic_uint_least64_t new_bytes; /* As uploaded_bytes, without what was copied for nothing. */
    atomic_uint_least64_t linked_count;
    atomic_uint_least64_t linked_bytes;
    atomic_uint_least64_t reused_count;
    atomic_uint_least64_t reused_bytes;
};

/* A local file being read. */
typedef struct tarn__upload_source {
    const tarn__file_calls *calls;
    int file;
    char path[PATH_MAX];
} tarn__upload_source;

/* Opens the local file number i. Close it with tarn__upload_close(), also after a failure. */
TARN_NODISCARD tarn_status tarn__upload_open_source(
    const tarn__upload *upload, uint32_t i, tarn__upload_source *source, tarn_error *error);
void tarn__upload_close(tarn__upload_source *source);

/* Fails when the upload was cancelled. */
TARN_NODISCARD tarn_status tarn__upload_check_wanted(const tarn__upload *upload, tarn_error *error);

/* Fails when a file was read to another size than it had as it was opened. */
TARN_NODISCARD tarn_status tarn__upload_check_size(
    const tarn__upload *upload, uint32_t i, const tarn__upload_source *source, tarn_error *error);

void tarn__upload_count_reused(tarn__upload *upload, uint64_t size);
void tarn__upload_count_uploaded(tarn__upload *upload, uint64_t size);

/* Names file i by what the base knows of it, if that is stored still. identity is set. */
bool tarn__upload_reuse(tarn__upload *upload, uint32_t i);

/* --- upload_content.c --- */

/* Where the bytes of a file go. */
typedef struct tarn__upload_sink {
    tarn_storage_upload *target; /* NULL: nowhere, they are only digested. */
    tarn__hasher *whole;         /* Takes all that is stored, too. NULL: nobody wants that. */
    uint64_t stored_bytes;       /* What went there. */
    bool is_progress;            /* What goes nowhere counts as uploaded. */
} tarn__upload_sink;

/*
 * Reads file i to its end into a sink, compressed if its part says so; sets what the part says of
 * its content and of its stored size. identity is set.
 */
TARN_NODISCARD tarn_status tarn__upload_content(
    tarn__upload *upload,
    uint32_t i,
    const tarn__upload_source *source,
    uint8_t *buffer,
    tarn__upload_sink *sink,
    tarn_error *error);

/* Takes the private files that are small enough, up to a bound, into the arena. */
TARN_NODISCARD tarn_status
tarn__upload_inline(tarn__upload *upload, bool *is_done, tarn_error *error);

/* --- upload_named.c --- */

/* Stores a file of which the content is known, under its name. */
TARN_NODISCARD tarn_status tarn__upload_send_named(
    tarn__upload *upload,
    const tarn__upload_source *source,
    const tarn__content *content,
    uint8_t *buffer,
    tarn_error *error);

/* --- upload_link.c --- */

/* Whether shared files are given a second name in the storage, as far as is known. */
bool tarn__upload_links(const tarn__upload *upload);

/*
 * Gives file i, of which the part has the content, its name in the storage, durable. The progress
 * counts its bytes already.
 *
 * Errors: TARN_NOT_SUPPORTED: it has to be copied, as all that come after it.
 */
TARN_NODISCARD tarn_status tarn__upload_link(
    tarn__upload *upload, uint32_t i, const tarn__upload_source *source, tarn_error *error);

/* --- upload_pack.c --- */

/* Decides what is moved and in which units; small files that the base has are taken from there. */
TARN_NODISCARD tarn_status tarn__upload_plan(tarn__upload *upload, tarn_error *error);

/* Moves a unit of several files as one object. */
TARN_NODISCARD tarn_status tarn__upload_segment(
    tarn__upload *upload, const tarn__upload_unit *unit, uint8_t *buffer, tarn_error *error);

#endif
