/*
 * storage.h - storages by address, and checked access to their operations.
 *
 *     tarn__storage_open("file:///checkpoints/flights") ──► throttle.c ──► file.c
 *     tarn__storage_open("s3://bucket/flights") ──► retry.c ──► throttle.c ──► s3.c ──► http.c
 *     tarn__storage_open("webhdfs://host:9870/flights") ──► the same ──► webhdfs.c ──► http.c
 *     tarn__memory_storage_new()                        ──► memory.c (tests)
 *            │
 *            ▼
 *     tarn__storage_begin/append/finish/..  ──► ops->..   every name checked here, once, for all
 *
 * Invariant: no operation sees a name that could leave the root.
 *
 * Thread: shared.
 */
#ifndef TARN_STORAGE_STORAGE_H
#define TARN_STORAGE_STORAGE_H

#include <stdatomic.h>

#include "tarn/config.h"
#include "tarn/storage.h"

#include "base/account.h"
#include "storage/file_calls.h"
#include "storage/give_up.h"
#include "storage/http.h"
#include "storage/name.h"
#include "storage/uri.h"

/* What storages were asked; zero at the beginning. Thread: shared. */
typedef struct tarn__storage_counters {
    atomic_uint_least64_t calls[TARN_STORAGE_OPERATIONS];
    atomic_uint_least64_t failures[TARN_STORAGE_OPERATIONS];
    atomic_uint_least64_t time_ns[TARN_STORAGE_OPERATIONS];
    atomic_uint_least64_t longest_ns[TARN_STORAGE_OPERATIONS];
    atomic_uint_least64_t bytes_written;
    atomic_uint_least64_t bytes_read;
} tarn__storage_counters;

void tarn__storage_counters_measure(
    const tarn__storage_counters *counters, tarn_storage_figures *out);

/* What a storage is opened with. Everything is borrowed and outlives the storage. */
typedef struct tarn__storage_options {
    const char *address;           /* A path, file:///path, s3://bucket/prefix. */
    tarn__account *account;        /* Required. */
    const tarn__file_calls *calls; /* NULL: the system's. */
    bool must_exist;               /* False: the directory is created, with its parents. */

    const tarn_config *config; /* NULL: defaults, and environment variables. */

    /* Of storages behind a network. */
    tarn__account *buffers;             /* For parts of uploads. NULL: account. */
    tarn__http *http;                   /* NULL: the storage has a client of its own. */
    const tarn_storage_scheme *schemes; /* The application's own; they go first. */
    uint32_t scheme_count;
    tarn__storage_counters *counters; /* NULL: nobody counts. */

    /* By which shims wait. NULL: the system's clock, and the thread sleeps. */
    const tarn__clock *clock;
    tarn__sleep_fn *sleep;
    void *sleep_context;
} tarn__storage_options;

/*
 * Opens a storage by its address.
 *
 * Errors: TARN_NOT_SUPPORTED for a scheme that is not known, TARN_MISSING when must_exist and there
 * is no such directory, TARN_INVALID_ARGUMENT for an empty or foreign address, TARN_IO_ERROR.
 */
TARN_NODISCARD tarn_status
tarn__storage_open(const tarn__storage_options *options, tarn_storage **out, tarn_error *error);

/* Tells whether an address is that of a directory: a path, or file:. */
bool tarn__storage_is_local(const char *address);

/* Answers where the path begins in an address of a directory, or fails as tarn__storage_open(). */
TARN_NODISCARD tarn_status
tarn__storage_path_of(const char *address, const char **out, tarn_error *error);

/* A storage in memory, which lives as long as its object does. */
TARN_NODISCARD tarn_status
tarn__memory_storage_new(tarn__account *account, tarn_storage **out, tarn_error *error);

/* Opens a directory as a storage; path without scheme. */
TARN_NODISCARD tarn_status tarn__file_storage_open(
    const tarn__storage_options *options, const char *path, tarn_storage **out, tarn_error *error);

/* Opens a bucket's prefix, without any shim. */
TARN_NODISCARD tarn_status tarn__s3_storage_open(
    const tarn__storage_options *options,
    const tarn__uri *uri,
    tarn_storage **out,
    tarn_error *error);

/* Opens a directory of HDFS, without any shim. */
TARN_NODISCARD tarn_status tarn__webhdfs_storage_open(
    const tarn__storage_options *options,
    const tarn__uri *uri,
    tarn_storage **out,
    tarn_error *error);

TARN_NODISCARD tarn_status tarn__storage_begin(
    tarn_storage *storage,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error);
TARN_NODISCARD tarn_status
tarn__storage_append(tarn_storage_upload *upload, tarn_bytes part, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__storage_finish(tarn_storage_upload *upload, const char *name, tarn_error *error);
void tarn__storage_abandon(tarn_storage_upload *upload); /* NULL does nothing. */
TARN_NODISCARD tarn_status tarn__storage_read(
    tarn_storage *storage,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error);

/* Stores a whole object of a few bytes. flags as of begin. */
TARN_NODISCARD tarn_status tarn__storage_write(
    tarn_storage *storage, const char *name, uint32_t flags, tarn_bytes bytes, tarn_error *error);

/*
 * Stores a whole object of size bytes that source gives.
 *
 * buffer  Of buffer_bytes, for storages that take parts only.
 */
TARN_NODISCARD tarn_status tarn__storage_put(
    tarn_storage *storage,
    const char *name,
    uint32_t flags,
    uint64_t size,
    tarn_storage_source *source,
    void *context,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn_error *error);

/* Reads size bytes at offset into a sink, fewer only at the object's end. buffer as in put. */
TARN_NODISCARD tarn_status tarn__storage_get(
    tarn_storage *storage,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn_error *error);
TARN_NODISCARD tarn_status tarn__storage_stat(
    tarn_storage *storage, const char *name, tarn_storage_info *out, tarn_error *error);
/* Gives an object a second name on the local file system. TARN_NOT_SUPPORTED: read it instead. */
TARN_NODISCARD tarn_status tarn__storage_link_out(
    tarn_storage *storage, const char *name, const char *path, tarn_error *error);
/* Makes a local file an object too, whose bytes are durable. TARN_NOT_SUPPORTED: copy it instead.
 */
TARN_NODISCARD tarn_status
tarn__storage_adopt(tarn_storage *storage, const char *path, const char *name, tarn_error *error);
TARN_NODISCARD tarn_status tarn__storage_remove(
    tarn_storage *storage, const char *const *names, uint32_t count, tarn_error *error);
TARN_NODISCARD tarn_status tarn__storage_list(
    tarn_storage *storage,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error);
/*
 * Makes an object of one directory one of another's too, by a hard link, whatever shims stand over
 * them; there already: nothing is done. Durable. TARN_NOT_SUPPORTED: they are not two directories
 * of one file system.
 */
TARN_NODISCARD tarn_status
tarn__storage_link(tarn_storage *from, tarn_storage *to, const char *name, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__storage_lock(tarn_storage *storage, tarn_storage_lock **out, tarn_error *error);
void tarn__storage_unlock(tarn_storage_lock *lock); /* NULL does nothing. */
void tarn__storage_free(tarn_storage *storage);     /* NULL does nothing. */

#endif
