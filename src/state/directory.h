/*
 * directory.h - a backend's working directory: its lock, and what Tarn keeps in it.
 *
 *     DIR/lock     held with flock() while the backend is open; has the holder's pid and operator
 *     DIR/db       the database
 *     DIR/links    hard links of snapshots under way, each in a directory of its own
 *     DIR/source   the database of another subtask, while its rows are taken over
 *
 * Only these names are Tarn's: nothing else in the directory is ever touched.
 *
 * Invariant: db and links are removed only while the lock is held.
 * Thread: confined.
 */
#ifndef TARN_STATE_DIRECTORY_H
#define TARN_STATE_DIRECTORY_H

#include "base/account.h"

typedef struct tarn__directory {
    char *path;            /* NULL: not open. */
    char *db;              /* DIR/db: not there after open. */
    char *links;           /* DIR/links: likewise. */
    char *half_made_links; /* DIR/links.tmp: as RocksDB had them before it renamed DIR/links. */
    char *source;          /* DIR/source: likewise. */
    char *lock;
    int lock_descriptor;
} tarn__directory;

/*
 * Creates the directory and those above it as needed, takes its lock and wipes what an earlier
 * holder left.
 *
 * holder  Of the operator; shown to others who want the directory.
 * Errors: TARN_BUSY, naming the holder; TARN_IO_ERROR, TARN_NO_SPACE, TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__directory_open(
    tarn__directory *directory,
    tarn__account *account,
    const char *path,
    const char *holder,
    tarn_error *error);

/* Wipes, gives the lock back and frees. One that is not open is left alone. */
void tarn__directory_close(tarn__directory *directory);

/* Removes a file, or a directory with all it holds. What is not there is removed already. */
TARN_NODISCARD tarn_status tarn__directory_remove(const char *path, tarn_error *error);

#endif
