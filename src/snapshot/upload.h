/*
 * upload.h - the files of one subtask's snapshot, into the storage of a pending checkpoint.
 *
 *     open (task thread) ──► run (a worker, or anybody) ──► describe ──► keep ──► free
 *                              │ in parallel, per file:
 *                              ├─ in the base and still stored: named again, neither read nor sent
 *                              ├─ shared: copied and digested at once, then named by its content;
 *                              │          or digested, and given that name too (upload_link.c);
 *                              │          a content that is stored already is not stored twice
 *                              ├─ private: copied to chk-N/<operator>-<index>-<token>/<name>
 *                              ├─ small: several in one object, a segment, shared or private
 *                              └─ private and smaller still: into the metadata, sent with it
 *
 * A savepoint shares nothing: every file is private there.
 *
 * What is not kept is taken back by free(): references, shared files that nothing else names,
 * private files. That asks the storage, as long as it takes: who must not wait for that leaves the
 * upload to somebody else. What is kept belongs to the pending checkpoint until that ends.
 *
 * Thread: confined; tarn__upload_measure() and tarn__upload_cancel() are shared, from open to free.
 */
#ifndef TARN_SNAPSHOT_UPLOAD_H
#define TARN_SNAPSHOT_UPLOAD_H

#include "tarn/config.h"

#include "base/workers.h"
#include "snapshot/local.h"
#include "snapshot/store.h"

typedef struct tarn__upload tarn__upload;

/*
 * How files are stored. Small ones lie together in one object, a segment, which is written once and
 * stays as long as one of its files is named; when too little of one is still in use, what is gets
 * sent anew. Private files can be kept in the metadata, or compressed; a table file never is, as
 * its blocks are compressed already.
 */
typedef struct tarn__packing {
    uint64_t small_bytes;   /* Smaller files are packed. 0: none. */
    uint64_t segment_bytes; /* What a segment has at most; a file too large for it is not packed. */
    double waste_max;       /* Stored bytes of a segment for one in use. 0: any. */
    uint64_t inline_bytes;  /* Private files of at most so many go into the metadata. 0: none. */
    tarn__codec codec;      /* Of private files. */
    bool may_link; /* Shared files that are an object each get a second name there, if they can. */
} tarn__packing;

enum {
    TARN__UPLOAD_INLINE_BYTES_MAX = 1 << 20,           /* Inline files of one subtask together, */
    TARN__UPLOAD_INLINE_OPERATOR_BYTES_MAX = 32 << 20, /* and of all of an operator. */
    TARN__UPLOAD_COMPRESSED_BYTES_MIN = 256,           /* Less than this hardly shrinks. */
};

/* What a configuration says about packing. */
TARN_NODISCARD tarn_status
tarn__packing_load(const tarn_config *config, tarn__packing *out, tarn_error *error);

typedef struct tarn__upload_options {
    tarn_pending_checkpoint *checkpoint; /* Borrowed until run() has returned; then counted. */
    const char *operator_name;           /* Copied. Names the directory of private files. */
    uint32_t subtask_index;
    uint32_t parallelism;          /* Of the operator; bounds what is inline. 0: as 1. */
    tarn__account *account;        /* Of the environment: outlives the workers' queue. */
    tarn__account *buffers;        /* Of the off-heap pool; likewise. */
    tarn__workers *workers;        /* NULL: no help. */
    uint32_t parallelism_max;      /* Files at once, and buffers. 0: the default of transfers. */
    const tarn__file_calls *calls; /* For reading local files. NULL: the system's. */
    tarn__packing packing;         /* How files are stored; all zero: each an object, as it is. */
    uint64_t
        first_durable; /* Table files of smaller numbers nobody has synchronised. 0: all are. */
} tarn__upload_options;

/* How far an upload is. */
typedef struct tarn__upload_progress {
    uint64_t file_count; /* 0 before run(). */
    uint64_t total_bytes;
    uint64_t uploaded_count;
    uint64_t uploaded_bytes; /* Grows while a file is copied, or digested to be linked. */
    uint64_t linked_count;   /* Of those: without a copy. */
    uint64_t linked_bytes;
    uint64_t reused_count;
    uint64_t reused_bytes;
} tarn__upload_progress;

/*
 * Joins the pending checkpoint and reserves the first buffer.
 *
 * Errors: TARN_OVER_BUDGET, TARN_NO_MEMORY, TARN_ABANDONED (the checkpoint is over).
 */
TARN_NODISCARD tarn_status
tarn__upload_open(const tarn__upload_options *options, tarn__upload **out, tarn_error *error);

/*
 * Uploads the files; returns when all are durable, or none is under way any more. Called once.
 *
 * directory  Where the files are.
 * files      Which. Borrowed for the call.
 * base       Files of the last completed checkpoint of the same backend's life. May be NULL.
 *
 * Errors: TARN_ABANDONED (cancelled, or the checkpoint is over), of reading and of the storage.
 */
TARN_NODISCARD tarn_status tarn__upload_run(
    tarn__upload *upload,
    const char *directory,
    const tarn__local_files *files,
    const tarn__base *base,
    tarn_error *error);

/* Makes run() end soon with TARN_ABANDONED: requests under way end (give_up.h), none is tried
 * again.
 */
void tarn__upload_cancel(tarn__upload *upload);

void tarn__upload_measure(const tarn__upload *upload, tarn__upload_progress *out);

/* After run(): sets files, file_count and new_bytes; what they point to lives as long as upload. */
void tarn__upload_describe(const tarn__upload *upload, tarn__subtask *subtask);

/* After run(): what the next upload may build on, once this checkpoint is complete. */
TARN_NODISCARD tarn_status tarn__upload_copy_base(
    const tarn__upload *upload, tarn__account *account, tarn__base **out, tarn_error *error);

/* After run(): hands what was uploaded to the pending checkpoint. TARN_ABANDONED: it is over. */
TARN_NODISCARD tarn_status tarn__upload_keep(tarn__upload *upload, tarn_error *error);

/* Says that somebody else runs and frees it, of whom the program knows nothing: it ends soon, and
 * the store waits for it. Thread: any. */
void tarn__upload_leave(tarn__upload *upload);

/* Frees; what was not kept is taken back. NULL does nothing. */
void tarn__upload_free(tarn__upload *upload);

#endif
