/*
 * shim.h - storages over a storage: what retry, throttle, cache and count share.
 *
 *     tarn__retry_storage_new(below) ──► begin, read, .. ──► below's begin, read, ..
 *
 * A shim owns the storage below it and passes on what it does not change. Its uploads stand over
 * uploads of the storage below; locks are the storage's below, and go back to it directly.
 *
 *     retry      asks again after failures that may pass; the only place that does
 *     throttle   bounds bytes and requests per second
 *     cache      keeps what was read whole in a local directory, by digest
 *     count      counts requests, bytes and failures
 *
 * Thread: shared, as the storage below.
 */
#ifndef TARN_STORAGE_SHIM_H
#define TARN_STORAGE_SHIM_H

#include "storage/give_up.h"
#include "storage/storage.h"

typedef struct tarn__shim {
    tarn_storage base;
    tarn__account *account;
    tarn_storage *below; /* Owned. */
} tarn__shim;

typedef struct tarn__shim_upload {
    tarn_storage_upload base;
    tarn_storage_upload *below;
} tarn__shim_upload;

/*
 * Fills ops with operations that pass everything on, as far as the storage below offers them; the
 * shim then puts its own in their place. begin() makes a tarn__shim_upload.
 */
void tarn__shim_init(
    tarn__shim *shim, tarn_storage_ops *ops, tarn_storage *below, tarn__account *account);

/* Wraps an upload of the storage below; takes it over, also when it fails. */
TARN_NODISCARD tarn_status tarn__shim_wrap(
    tarn__shim *shim, tarn_storage_upload *below, tarn_storage_upload **out, tarn_error *error);

/* Tells whether a table of operations, perhaps of an older program, has one. */
#define TARN__STORAGE_HAS(table, member) \
    (offsetof(tarn_storage_ops, member) < (table)->struct_size && (table)->member != NULL)

/* The storage of files below all shims over storage; itself, if its objects are no local files. */
tarn_storage *tarn__shim_bottom(tarn_storage *storage);

/* Frees the storage below and the shim. */
void tarn__shim_free(tarn_storage *base);

/* --- The shims. On failure the storage below stays the caller's. --- */

typedef struct tarn__retry_options {
    uint32_t attempts;    /* In all, the first included. 0: 8. */
    uint64_t base_ms;     /* The first wait is up to this; it doubles. 0: 50. */
    uint64_t wait_max_ms; /* 0: 5000. */
    uint64_t budget_ms;   /* No attempt begins later than this after the first failure. 0: 60000. */
    uint64_t seed;        /* Of the jitter. */
    const tarn__clock *clock; /* NULL: the system's. */
    tarn__sleep_fn *sleep;    /* NULL: the thread sleeps. */
    void *sleep_context;
} tarn__retry_options;

TARN_NODISCARD tarn_status tarn__retry_storage_new(
    tarn_storage *below,
    const tarn__retry_options *options,
    tarn__account *account,
    tarn_storage **out,
    tarn_error *error);

/* Tells whether asking again may help. */
bool tarn__retry_may_help(tarn_status status);

#endif
