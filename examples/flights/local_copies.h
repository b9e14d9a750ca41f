/*
 * local_copies.h - a second copy of the workers' latest snapshots, on the disk that they work on.
 *
 *     worker 0: directory ──hard links── DIR/copy-0    a restart on this machine takes from there
 *     worker 1: directory ──hard links── DIR/copy-1    what it needs, by content, and fetches the
 *                                                      rest
 *
 * Wanted or not is Flink's option, execution.checkpointing.local-backup.enabled (in older words
 * state.backend.local-recovery); .dirs says where, without it the working directory. Both are the
 * program's to read: the library is given a directory for each backend. The copies stay when the
 * job ends or dies.
 *
 * Thread: the main thread's.
 */
#ifndef FLIGHTS_LOCAL_COPIES_H
#define FLIGHTS_LOCAL_COPIES_H

#include <limits.h>

#include <tarn/config.h>

typedef struct local_copies {
    char directory[PATH_MAX]; /* Empty: none are kept. */
} local_copies;

/*
 * Reads what the configuration says, and takes it out: the library would warn of options that it
 * does not read.
 *
 * Errors: TARN_INVALID_ARGUMENT for several directories, or a name that is too long.
 */
tarn_status local_copies_configure(
    local_copies *c, const char *work_dir, tarn_config *config, tarn_error *error);

/* Answers where a worker's are, written to out; NULL: none are kept. */
const char *local_copies_path(const local_copies *c, uint32_t worker, char out[PATH_MAX + 32]);

#endif
