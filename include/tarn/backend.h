/**
 * @file tarn/backend.h
 * @brief The keyed state of one operator subtask, held in one RocksDB instance.
 *
 * Open one backend per subtask, open states from it (tarn/state.h), close it last:
 *
 *     tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
 *     options.env = env;
 *     options.operator_name = "aircraft";
 *     options.directory = "/var/lib/job/aircraft-3";
 *     options.subtask_index = 3;
 *     options.parallelism = 4;
 *
 *     tarn_backend *backend = NULL;
 *     if (tarn_backend_open(&options, &backend, &error) != TARN_OK) { ... }
 *     tarn_backend_set_key(backend, tarn_bytes_of("N14228"), &error);
 *
 * The working directory is scratch: the write-ahead log is off, the checkpoint is the log. What an
 * earlier process left there is wiped at open, after its lock was taken; a local file system is
 * wanted, network file systems break both the lock and the speed.
 *
 * Ownership: states, iterators and snapshots borrow from their backend; close them before it.
 * Thread: confined. One thread at a time uses a backend and everything opened from it.
 */
#ifndef TARN_BACKEND_H
#define TARN_BACKEND_H

#include "tarn/bytes.h"
#include "tarn/config.h"
#include "tarn/env.h"
#include "tarn/key_group.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_backend tarn_backend;
typedef struct tarn_checkpoint tarn_checkpoint; /* tarn/checkpoint.h */

/** Which hash assigns a key to its key group. It is part of every checkpoint. */
typedef enum tarn_key_hash {
    TARN_KEY_HASH_BYTES = 0,       /**< tarn_hash_bytes(). */
    TARN_KEY_HASH_JAVA_STRING = 1, /**< Keys are UTF-8; String.hashCode(). */
    TARN_KEY_HASH_JAVA_INT = 2,    /**< Keys are 4 bytes, big endian; Integer.hashCode(). */
    TARN_KEY_HASH_JAVA_LONG = 3,   /**< Keys are 8 bytes, big endian; Long.hashCode(). */
    TARN_KEY_HASH_JAVA_BYTES = 4,  /**< Arrays.hashCode(byte[]). */
    TARN_KEY_HASH_CALLER = 5,      /**< Given with each key: tarn_backend_set_key_hashed(). */
} tarn_key_hash;

/** How to open a backend. Start from TARN_BACKEND_OPTIONS_INIT; a zero field means its default. */
typedef struct tarn_backend_options {
    size_t struct_size; /**< Set by TARN_BACKEND_OPTIONS_INIT. */

    tarn_env *env;             /**< Borrowed. Required. */
    const char *operator_name; /**< Names the operator in checkpoints; 1 .. 255 bytes. Required. */
    const char *directory;     /**< Local working directory, created when absent. Required. */

    uint32_t subtask_index;   /**< 0 .. parallelism - 1. */
    uint32_t parallelism;     /**< Default 1. */
    uint32_t max_parallelism; /**< Key groups of the job, 1 .. 32,768. Default 128: the
                                   configuration's pipeline.max-parallelism is not read. */
    tarn_key_hash key_hash;   /**< Default TARN_KEY_HASH_BYTES. */

    /** Options of RocksDB by Flink's names, for all states of this backend. NULL: the env's. */
    const tarn_config *config;

    /**
     * A checkpoint to restore this subtask from; borrowed for the call. NULL: start empty. Who may
     * delete it later says tarn/claim.h; unsaid, one of the store's own directory counts as
     * retained.
     */
    tarn_checkpoint *restore;

    /**
     * The canonical savepoint to restore from may have another max_parallelism: all its rows are
     * read, and those are kept whose keys now belong to this subtask. Not with
     * TARN_KEY_HASH_CALLER, whose hashes are not stored.
     */
    bool moves_keys;

    /**
     * A directory for a second copy of the latest snapshots' files, made when absent; it stays when
     * the backend is closed or its process dies, and a restore downloads nothing that is there and
     * whole. Of this subtask alone; on the file system of directory, as the copy is hard links. It
     * holds what the last snapshot and the completed one before it have. NULL: none.
     */
    const char *recovery_directory;
    /* The layout is ABI: append fields here, never above. */
} tarn_backend_options;

/** Initialiser for tarn_backend_options: every option at its default. */
#define TARN_BACKEND_OPTIONS_INIT                   \
    {                                               \
        .struct_size = sizeof(tarn_backend_options) \
    }

/** Figures of a backend at one moment. */
typedef struct tarn_backend_stats {
    uint64_t live_file_bytes;    /**< Table files of the current version, on disk. */
    uint64_t live_data_bytes;    /**< RocksDB's estimate of live data, uncompressed blocks aside. */
    uint64_t row_count_estimate; /**< RocksDB's estimate of live rows, all states. */
    uint64_t memtable_bytes;     /**< Active and immutable memtables. */
    uint64_t table_reader_bytes; /**< Index and filter memory outside the block cache. */
    uint64_t immutable_count;    /**< Memtables waiting to be flushed. */
    uint64_t level0_file_count;  /**< Files in level 0, largest of the states. */
    uint64_t pending_compaction_bytes;
    uint64_t snapshot_wait_count; /**< Writes that waited for a snapshot's hard links. */
    uint64_t snapshot_wait_ns;    /**< Time spent in those waits. */
    uint64_t local_file_count;    /**< Files that the restore took from recovery_directory, */
    uint64_t local_bytes;         /**< and their bytes: they were not downloaded. */
    uint64_t local_damaged_count; /**< Files there that were damaged, and were downloaded. */
    uint64_t restored_bytes;      /**< Bytes of files that the restore fetched. */
    uint64_t restored_file_count; /**< Such files. */
    uint64_t foreign_bytes;       /**< Of table files that have rows of other key groups, which the
                                       restore brought along and compactions have yet to remove. */
    uint64_t joined_file_count;   /**< Table files of further old subtasks that a restore at another
                                       parallelism took over as they are. */
} tarn_backend_stats;

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_backend_options_init(tarn_backend_options *options, size_t struct_size);

/**
 * Opens a backend, empty or restored, and takes the lock on its directory.
 *
 * @param[in]  options  Copied, but for the members documented as borrowed.
 * @param[out] out      The backend; release it with tarn_backend_close(). Untouched on failure.
 * @param[out] error    Details of a failure. May be NULL. Counts after a failure only.
 *
 * @retval TARN_OK                The backend is open.
 * @retval TARN_INVALID_ARGUMENT  A required option is missing, or a value is out of its range.
 * @retval TARN_INCOMPATIBLE      The checkpoint has another maximum parallelism, key hash or
 *                                parallelism, or no such operator. The message names both sides.
 * @retval TARN_BUSY              Another process or backend holds the directory; it is named.
 * @retval TARN_CORRUPTION        A file of the checkpoint fails verification; it is named.
 * @retval TARN_MISSING           A file that the checkpoint names is not there.
 * @retval TARN_OVER_BUDGET       The heap pool cannot hold the backend, or the off-heap pool the
 *                                buffers of a restore.
 * @retval TARN_NO_MEMORY         The allocator has no memory left.
 * @retval TARN_IO_ERROR, TARN_NO_SPACE  The file system failed; system_code is the errno.
 *
 * Cost: blocks on disk; a restore reads every file of the subtask once.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_open(const tarn_backend_options *options, tarn_backend **out, tarn_error *error);

/**
 * Closes a backend, wipes its working directory and gives its memory back.
 *
 * @retval TARN_OK    The backend is gone. NULL does nothing.
 * @retval TARN_BUSY  A state, iterator or snapshot is still open; nothing was closed. The message
 *                    names the first one.
 */
TARN_API TARN_NODISCARD tarn_status tarn_backend_close(tarn_backend *backend, tarn_error *error);

/**
 * Makes a key the current one for all states of the backend.
 *
 * @param[in] key  Shape: any bytes, 0 .. 64 KiB - 1; as key_hash wants them. Copied.
 *
 * @retval TARN_OK                The key is current.
 * @retval TARN_INVALID_ARGUMENT  The key's group is not this subtask's (the message has both), the
 *                                key is too long, or it is not of the form that key_hash wants.
 *
 * Cost: one hash; no I/O, no allocation once the longest key was seen.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_set_key(tarn_backend *backend, tarn_bytes key, tarn_error *error);

/** As tarn_backend_set_key(), with the key's hash given. For TARN_KEY_HASH_CALLER. */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_set_key_hashed(tarn_backend *backend, tarn_bytes key, int32_t hash, tarn_error *error);

/** Answers the key groups that the backend owns. */
TARN_API tarn_key_group_range tarn_backend_key_groups(const tarn_backend *backend);

/** Answers figures. Cost: a few property reads of RocksDB per state. */
TARN_API void tarn_backend_measure(tarn_backend *backend, tarn_backend_stats *out);

#ifdef __cplusplus
}
#endif
#endif
