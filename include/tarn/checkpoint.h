/**
 * @file tarn/checkpoint.h
 * @brief Checkpoints in a directory: written whole or not at all, listed, opened, retained.
 *
 *     DIR/JOB/chk-7/_metadata        committed last; without it there is no checkpoint 7
 *     DIR/JOB/chk-7/...              files of checkpoint 7 alone
 *     DIR/JOB/shared/..              files named by content, shared between checkpoints
 *
 * Writing, by the one process that coordinates the job:
 *
 *     tarn_checkpoint_begin(store, id, &pending, &error);
 *     tarn_checkpoint_acknowledge(pending, acknowledgement, &error);     once per subtask
 *     tarn_checkpoint_commit(pending, &summary, &error);
 *
 * Reading, by anybody:
 *
 *     tarn_checkpoint_open("/checkpoints/flights/chk-7", NULL, &checkpoint, &error);
 *
 * All paths inside are relative: a job's directory can be moved or copied elsewhere and restored.
 *
 * Ownership: pending checkpoints borrow from their store.
 * Thread: store and pending checkpoint are shared; an opened checkpoint is immutable.
 */
#ifndef TARN_CHECKPOINT_H
#define TARN_CHECKPOINT_H

#include "tarn/allocator.h"
#include "tarn/bytes.h"
#include "tarn/key_group.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_env tarn_env; /* tarn/env.h */
typedef struct tarn_checkpoint_store tarn_checkpoint_store;
typedef struct tarn_pending_checkpoint tarn_pending_checkpoint;
typedef struct tarn_checkpoint tarn_checkpoint;

/** How to open a store. Start from TARN_CHECKPOINT_STORE_OPTIONS_INIT. */
typedef struct tarn_checkpoint_store_options {
    size_t struct_size; /**< Set by TARN_CHECKPOINT_STORE_OPTIONS_INIT. */

    tarn_env *env;           /**< Borrowed. Required. */
    const char *address;     /**< A path or URI (tarn/storage.h), made when absent. Required. */
    const char *job;         /**< A name without '/', 1 .. 255 bytes. Required. */
    uint32_t retained_count; /**< Completed checkpoints that are kept. Default 1. */
} tarn_checkpoint_store_options;

/** Initialiser for tarn_checkpoint_store_options: every option at its default. */
#define TARN_CHECKPOINT_STORE_OPTIONS_INIT                   \
    {                                                        \
        .struct_size = sizeof(tarn_checkpoint_store_options) \
    }

/** What a checkpoint is, in figures. */
typedef struct tarn_checkpoint_summary {
    uint64_t id;
    int64_t timestamp_ms;     /**< Units: milliseconds since 1970 UTC, when it was begun. */
    uint64_t duration_ms;     /**< From begin to commit. */
    uint32_t max_parallelism; /**< The largest of the operators'; 0: no keyed state. */
    uint32_t operator_count;
    uint32_t subtask_count; /**< Over all operators. */
    uint64_t file_count;
    uint64_t total_bytes; /**< Size of all files: the state as it is restored. */
    uint64_t new_bytes;   /**< Bytes that this checkpoint added to the storage. */
    uint32_t form;        /**< A tarn_checkpoint_form (tarn/savepoint.h). */
} tarn_checkpoint_summary;

/** One entry of a listing. */
typedef struct tarn_checkpoint_entry {
    const char *path;   /**< Of the checkpoint's directory; valid during the visit. */
    tarn_status status; /**< TARN_OK: complete. TARN_MISSING: no _metadata (unfinished or
                             being deleted). Else why it cannot be read. */
    const char *reason; /**< A sentence when status is not TARN_OK. */
    tarn_checkpoint_summary summary; /**< id always; the rest when status is TARN_OK. */
} tarn_checkpoint_entry;

/** One subtask of an opened checkpoint. Strings and arrays borrow from the checkpoint. */
typedef struct tarn_checkpoint_subtask {
    const char *operator_name;
    uint32_t subtask_index;
    uint32_t parallelism;
    bool has_keyed_state;
    uint32_t key_hash;               /**< A tarn_key_hash. */
    uint32_t max_parallelism;        /**< Of the operator; 0 without keyed state. */
    tarn_key_group_range key_groups; /**< Of the keyed state. */
    uint32_t state_count;            /**< Keyed states: tarn_checkpoint_state_at(). */
    uint32_t file_count;             /**< Files: tarn_checkpoint_file_at(). */
    uint32_t operator_state_count;   /**< Named bytes: tarn_checkpoint_operator_state_at(). */
    uint64_t total_bytes;
} tarn_checkpoint_subtask;

/** One keyed state of a subtask. */
typedef struct tarn_checkpoint_state {
    const char *name;
    const char *kind; /**< "value", "map", "list", "reducing", "aggregating" or "timers". */
    const char *codec_name;
    uint32_t codec_version;
} tarn_checkpoint_state;

/** One file of a subtask. */
typedef struct tarn_checkpoint_file {
    const char *operator_name; /**< Of the subtask that restores it. */
    uint32_t subtask_index;
    const char *local_name; /**< In the working directory, such as "000012.sst". */
    const char *path;       /**< Of the object that it lies in, below the job's directory. */
    bool is_shared;
    uint64_t size;
    const char *digest;   /**< XXH3-128 of the file, 32 hexadecimal digits. */
    bool is_packed;       /**< The object holds other files too. */
    uint64_t offset;      /**< Of the file in the object; 0 unless it is packed. */
    bool is_inline;       /**< It is in the metadata, and has no path. */
    const char *codec;    /**< "none", "zstd" or "lz4". */
    uint64_t stored_size; /**< Bytes that it takes in the storage. */
} tarn_checkpoint_file;

/** One piece of an operator's own state. */
typedef struct tarn_checkpoint_operator_state {
    const char *name;
    tarn_bytes bytes;
} tarn_checkpoint_operator_state;

/** What a verification found out. */
typedef struct tarn_checkpoint_verification {
    uint64_t file_count;
    uint64_t verified_bytes;
    uint64_t bad_count; /**< Files that are missing or damaged. */
    uint64_t row_count; /**< Rows that were read, superseded ones in table files too. */
} tarn_checkpoint_verification;

/** Called for each file that was verified; problem is NULL for a good one. False stops. */
typedef bool tarn_checkpoint_verify_visit(
    const tarn_checkpoint_file *file, const char *problem, void *context);

/** Called for each entry, ordered by id. False stops. */
typedef bool tarn_checkpoint_list_visit(const tarn_checkpoint_entry *entry, void *context);

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_checkpoint_store_options_init(
    tarn_checkpoint_store_options *options, size_t struct_size);

/**
 * Opens the directory of a job for writing and takes its lock. Behind a network there is none, and
 * opening fences: what the process before has under way is withdrawn (see tarn_driver_open()).
 *
 * @retval TARN_OK                The store is open.
 * @retval TARN_INVALID_ARGUMENT  A required option is missing or malformed.
 * @retval TARN_BUSY              Another process holds the job's directory; the message names it.
 * @retval TARN_IO_ERROR, TARN_NO_SPACE, TARN_OVER_BUDGET, TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_store_open(
    const tarn_checkpoint_store_options *options, tarn_checkpoint_store **out, tarn_error *error);

/** Closes a store; it may wait: see tarn_snapshot_abandon(). TARN_BUSY: a checkpoint is pending. */
TARN_API TARN_NODISCARD tarn_status
tarn_checkpoint_store_close(tarn_checkpoint_store *store, tarn_error *error);

/** Answers an id that no checkpoint in the directory, complete or not, has used: highest + 1. */
TARN_API uint64_t tarn_checkpoint_store_next_id(tarn_checkpoint_store *store);

/** Begins a checkpoint; id is at least tarn_checkpoint_store_next_id() at that moment. */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_begin(
    tarn_checkpoint_store *store, uint64_t id, tarn_pending_checkpoint **out, tarn_error *error);

/** Answers the id of a pending checkpoint. */
TARN_API uint64_t tarn_pending_checkpoint_id(const tarn_pending_checkpoint *checkpoint);

/**
 * Encodes the acknowledgement of a subtask that has no keyed state, such as a source.
 *
 * @param[in]  checkpoint_id  Of the checkpoint that it is meant for; no other one takes it.
 * @param[in]  states  Shape: count named pieces, each at most 16 MiB.
 * @param[out] out     Replaced by the acknowledgement.
 */
TARN_API TARN_NODISCARD tarn_status tarn_acknowledgement_encode(
    uint64_t checkpoint_id,
    const char *operator_name,
    uint32_t subtask_index,
    uint32_t parallelism,
    const tarn_checkpoint_operator_state *states,
    uint32_t count,
    tarn_buffer *out,
    tarn_error *error);

/**
 * Takes a subtask's part into the checkpoint. A repeated acknowledgement changes nothing.
 *
 * @retval TARN_CORRUPTION    The bytes are no acknowledgement; the message says where and why. Or a
 * file that it names has another size, or is a refused checkpoint's and was not stored anew.
 * @retval TARN_INCOMPATIBLE  Another subtask's says another (maximum) parallelism, or checkpoint.
 * @retval TARN_MISSING       A file that it names is not in the storage.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_acknowledge(
    tarn_pending_checkpoint *checkpoint, tarn_bytes acknowledgement, tarn_error *error);

/**
 * Commits a checkpoint: _metadata is written and made durable last, in one step. Then checkpoints
 * beyond retained_count are deleted, the oldest first, with the files that nothing else names.
 * Frees the pending checkpoint, whatever the outcome.
 *
 * @param[out] summary  What was committed. May be NULL.
 *
 * @retval TARN_OK            The checkpoint is complete and durable. (An old one that could not be
 *                            deleted is tried again at the next commit, and logged.)
 * @retval TARN_INCOMPATIBLE  An operator acknowledged fewer than its parallelism, or nobody did at
 *                            all; one of which nobody did is not missed. Nothing was committed.
 * @retval TARN_IO_ERROR, TARN_NO_SPACE, TARN_OVER_BUDGET, TARN_NO_MEMORY  Nothing was committed.
 * (If the storage fails so that _metadata can neither be confirmed nor taken back, the log says so,
 * every shared file is kept until the storage tells, and tarn/doubt.h is how a caller knows.)
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_commit(
    tarn_pending_checkpoint *checkpoint, tarn_checkpoint_summary *summary, tarn_error *error);

/** Gives a checkpoint up; never waits for deletions: see tarn_snapshot_abandon(). NULL: nothing. */
TARN_API void tarn_checkpoint_abandon(tarn_pending_checkpoint *checkpoint);

/** Lists what DIR/JOB, a path or URI, holds, ordered by id. TARN_MISSING: there is nothing. */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_list(
    const char *address, tarn_checkpoint_list_visit *visit, void *context, tarn_error *error);

/** As tarn_checkpoint_list(), with the environment's configuration, HTTP client and schemes. */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_list_in(
    tarn_env *env,
    const char *address,
    tarn_checkpoint_list_visit *visit,
    void *context,
    tarn_error *error);

/**
 * Opens a checkpoint for reading.
 *
 * @param[in] address    DIR/JOB/chk-N, its _metadata, or DIR/JOB: then the newest that is complete;
 *                       or the directory of a savepoint.
 * @param[in] allocator  Borrowed. NULL: malloc().
 *
 * @retval TARN_OK         *out is open; release it with tarn_checkpoint_free().
 * @retval TARN_MISSING    There is no complete checkpoint.
 * @retval TARN_CORRUPTION _metadata is damaged; the message says which byte and why.
 * @retval TARN_NOT_SUPPORTED  It was written by a newer version; the message has both.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_open(
    const char *address, const tarn_allocator *allocator, tarn_checkpoint **out, tarn_error *error);

/**
 * As tarn_checkpoint_open(), with the environment's configuration, HTTP client and schemes. The
 * checkpoint is freed before the environment is closed.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_open_in(
    tarn_env *env,
    const char *address,
    const tarn_allocator *allocator,
    tarn_checkpoint **out,
    tarn_error *error);

/** Frees a checkpoint. NULL does nothing. */
TARN_API void tarn_checkpoint_free(tarn_checkpoint *checkpoint);

/** Answers the figures of a checkpoint, and the path of its directory, borrowed. */
TARN_API tarn_checkpoint_summary tarn_checkpoint_summarize(const tarn_checkpoint *checkpoint);
TARN_API const char *tarn_checkpoint_path(const tarn_checkpoint *checkpoint);

/** Answers one subtask; index is 0 .. summary.subtask_count - 1. */
TARN_API tarn_checkpoint_subtask
tarn_checkpoint_subtask_at(const tarn_checkpoint *checkpoint, uint32_t index);

/** Finds a subtask by name and index: TARN_OK with its position, or TARN_NOT_FOUND. */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_find_subtask(
    const tarn_checkpoint *checkpoint,
    const char *operator_name,
    uint32_t subtask_index,
    uint32_t *index_out);

/** Answers one keyed state, file, or piece of operator state of the subtask at index. */
TARN_API tarn_checkpoint_state
tarn_checkpoint_state_at(const tarn_checkpoint *checkpoint, uint32_t index, uint32_t state);
TARN_API tarn_checkpoint_file
tarn_checkpoint_file_at(const tarn_checkpoint *checkpoint, uint32_t index, uint32_t file);
TARN_API tarn_checkpoint_operator_state tarn_checkpoint_operator_state_at(
    const tarn_checkpoint *checkpoint, uint32_t index, uint32_t state);

/**
 * Reads every file of a checkpoint and compares size and digest; then every row in it, which must
 * be one of its state, and in its order.
 *
 * @retval TARN_OK          All was read; out->bad_count says whether all was good.
 * @retval TARN_ABANDONED   The visitor stopped it.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_verify(
    const tarn_checkpoint *checkpoint,
    tarn_checkpoint_verify_visit *visit,
    void *context,
    tarn_checkpoint_verification *out,
    tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
