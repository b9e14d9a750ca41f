/*
 * pool.h - a second copy of a snapshot's files on the task's own disk, by hard link.
 *
 *     snapshot's links ──link──► DIR/<digest>-<size> ──digest again──► link or copy into the
 * database │                    │ another one: dropped, counted └─ prune: what neither this
 * snapshot nor its base has goes
 *
 * A file is named by its content, so which checkpoint wanted it does not matter, and a restore
 * finds whatever it can use. It is only ever a shortcut: what is missing, damaged or cannot be
 * linked comes from the storage. Table files are linked into the database, as RocksDB never writes
 * to one; the others are copied.
 *
 * One backend at a time uses a directory. It lies on the file system of the working directory.
 *
 * Thread: confined, but for tarn__pool_take(), which several threads call at once.
 */
#ifndef TARN_SNAPSHOT_POOL_H
#define TARN_SNAPSHOT_POOL_H

#include <limits.h>
#include <stdatomic.h>

#include "snapshot/local.h"

enum { TARN__POOL_NAME_BYTES = 64 }; /* <32>-<20 digits> */

typedef struct tarn__pool {
    const tarn__file_calls *calls;
    char path[PATH_MAX]; /* Empty: there is no pool, and nothing is done. */
    atomic_uint_least64_t taken_count;
    atomic_uint_least64_t taken_bytes;
    atomic_uint_least64_t damaged_count;
} tarn__pool;

/* Makes the directory if need be; its parent exists. calls NULL: the system's. */
TARN_NODISCARD tarn_status tarn__pool_open(
    tarn__pool *pool, const tarn__file_calls *calls, const char *path, tarn_error *error);

/* Links the files of a base out of a directory. The first failure ends it; what is there stays. */
TARN_NODISCARD tarn_status
tarn__pool_add(tarn__pool *pool, const char *directory, const tarn__base *base, tarn_error *error);

/* Removes every file that is in neither base. Either may be NULL. */
TARN_NODISCARD tarn_status tarn__pool_prune(
    tarn__pool *pool, const tarn__base *first, const tarn__base *second, tarn_error *error);

/*
 * Makes a file at path out of the pool, if the pool has its content.
 *
 * buffer  Of buffer_bytes, to read through.
 * Returns true when the file is there; false: nothing is, and the storage has to give it.
 */
bool tarn__pool_take(
    tarn__pool *pool,
    const tarn__content *content,
    bool may_link,
    const char *path,
    uint8_t *buffer,
    size_t buffer_bytes);

#endif
