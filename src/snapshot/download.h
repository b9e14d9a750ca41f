/*
 * download.h - the files of one subtask, out of a checkpoint into a working directory.
 *
 * Every byte is digested on its way, or, of a file of which a part is wanted, compared by the
 * checksums of its blocks (download_part.c); a file that is missing, damaged or of another size
 * fails the download with its name, and what was written is taken away again. The files are not
 * synchronised: a working directory does not outlive its process.
 *
 * What the pool of a second copy has is not downloaded (pool.h). Of a segment only the wanted files
 * are read, those that lie one behind the other together.
 *
 * Where the checkpoint lies in a directory of the same file system, table files are not copied: the
 * working directory links them, and they are read through once, as all others are. RocksDB never
 * writes to a table file. Both then share one inode, as a snapshot's links and the second copy do;
 * who wants two (tarn.restore.link-files: false) has them copied.
 *
 * Thread: confined; progress and is_cancelled are shared.
 */
#ifndef TARN_SNAPSHOT_DOWNLOAD_H
#define TARN_SNAPSHOT_DOWNLOAD_H

#include <stdatomic.h>

#include "base/workers.h"
#include "snapshot/checkpoint.h"
#include "snapshot/local.h"
#include "snapshot/pool.h"

typedef struct tarn__download_progress {
    atomic_uint_least64_t file_count;
    atomic_uint_least64_t bytes;
    atomic_uint_least64_t part_count; /* Table files that were read by parts. */
} tarn__download_progress;

typedef struct tarn__download_options {
    const tarn_checkpoint *checkpoint;
    uint32_t subtask;                /* 0 .. summary.subtask_count - 1. */
    const char *directory;           /* Exists; holds no file of these names. */
    tarn__account *account;          /* Of the environment: outlives the workers' queue. */
    tarn__account *buffers;          /* Of the off-heap pool; likewise. */
    tarn__workers *workers;          /* NULL: no help. */
    uint32_t parallelism_max;        /* Files at once, and buffers. 0: the default of transfers. */
    const tarn__file_calls *calls;   /* For writing local files. NULL: the system's. */
    const atomic_bool *is_cancelled; /* May be NULL. */
    tarn__download_progress *progress; /* May be NULL. */
    tarn__pool *pool;                  /* Asked before the storage. NULL: none. */
    bool may_link; /* Table files that are local get a second name instead of a copy. */
    /* Which files; it is asked more than once. NULL: all. */
    bool (*is_wanted)(const tarn__file_part *file, void *context);
    void *is_wanted_context; /* Of both. */
    /*
     * Table files of which only the rows of lower <= row < upper are wanted. NULL: none. Of others
     * and of these, everything else may be missing.
     */
    bool (*is_split)(const tarn__file_part *file, void *context);
    tarn_bytes lower;
    tarn_bytes upper;
    uint64_t split_bytes_min; /* Smaller ones are read as a whole. */
    bool may_have_holes;      /* Nobody will read other rows: they need not be there. */
    atomic_bool *has_holes;   /* Set when a file was written so. NULL: never asked for. */
} tarn__download_options;

/*
 * Downloads the files of the subtask that are wanted.
 *
 * base_out  What the first upload may build on, so that the first checkpoint is incremental: the
 *           shared files, but those with holes. May be NULL.
 *
 * Errors: TARN_MISSING, TARN_CORRUPTION (both digests or sizes), TARN_ABANDONED, TARN_OVER_BUDGET,
 * TARN_NO_MEMORY, TARN_IO_ERROR, TARN_NO_SPACE; none of the files is left.
 */
TARN_NODISCARD tarn_status
tarn__download_run(const tarn__download_options *options, tarn__base **base_out, tarn_error *error);

#endif
