/*
 * shims.h - the shims beside retry: throttle, cache and count (shim.h says what they share).
 *
 * On failure the storage below stays the caller's.
 */
#ifndef TARN_STORAGE_SHIMS_H
#define TARN_STORAGE_SHIMS_H

#include "storage/shim.h"

/* --- Throttle: bytes and requests per second, over all threads --- */

typedef struct tarn__throttle_options {
    uint64_t bytes_per_s;     /* Both directions together. 0: unbounded. */
    uint64_t requests_per_s;  /* 0: unbounded. */
    const tarn__clock *clock; /* NULL: the system's. */
    tarn__sleep_fn *sleep;    /* NULL: the thread sleeps. */
    void *sleep_context;
} tarn__throttle_options;

TARN_NODISCARD tarn_status tarn__throttle_storage_new(
    tarn_storage *below,
    const tarn__throttle_options *options,
    tarn__account *account,
    tarn_storage **out,
    tarn_error *error);

/* --- Count: what was asked for, and what came of it --- */

/* counters outlive the storage, and may be those of several; NULL: the storage has its own. */
TARN_NODISCARD tarn_status tarn__count_storage_new(
    tarn_storage *below,
    tarn__storage_counters *counters,
    const tarn__clock *clock,
    tarn__account *account,
    tarn_storage **out,
    tarn_error *error);

/* What its counters say. storage is one that tarn__count_storage_new() made. */
tarn_storage_figures tarn__count_storage_figures(const tarn_storage *storage);

/* --- Cache: objects that are named by their content, in a second storage --- */

/*
 * Objects whose name ends in "<digest>-<size>" never change; one that is read is kept in local, if
 * its content is what its name says: looked at again whenever a reading begins. The oldest go when
 * limit_bytes is exceeded. What the cache cannot do (a full disk, a damaged file) is done without
 * it.
 *
 * local        Owned on success; usually a directory on a local disk.
 * limit_bytes  Of all objects that are kept; a larger one is not kept at all.
 */
TARN_NODISCARD tarn_status tarn__cache_storage_new(
    tarn_storage *below,
    tarn_storage *local,
    uint64_t limit_bytes,
    tarn__account *account,
    tarn_storage **out,
    tarn_error *error);

#endif
