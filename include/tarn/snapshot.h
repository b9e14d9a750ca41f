/**
 * @file tarn/snapshot.h
 * @brief One subtask's part of a checkpoint: taken at the barrier, uploaded beside the stream.
 *
 *     tarn_snapshot *snapshot = NULL;
 *     tarn_snapshot_begin(backend, pending, &snapshot, &error);      at the barrier, task thread
 *     ...                                                            the stream goes on
 *     if (tarn_snapshot_poll(snapshot) == TARN_OK) {                 all files are durable
 *         tarn_snapshot_finish(snapshot, &acknowledgement, &error);
 *     }
 *
 * What finish() answers is the subtask's acknowledgement: bytes that can be sent to wherever the
 * checkpoint is committed (tarn/checkpoint.h).
 *
 * Ownership: a snapshot borrows from its backend and its pending checkpoint.
 * Thread: confined, with the backend; tarn_snapshot_measure() is shared.
 */
#ifndef TARN_SNAPSHOT_H
#define TARN_SNAPSHOT_H

#include "tarn/backend.h"
#include "tarn/bytes.h"
#include "tarn/checkpoint.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_snapshot tarn_snapshot;

/** How far a snapshot is, and what it cost. Times are of the clock that never jumps. */
typedef struct tarn_snapshot_progress {
    uint64_t sync_ns;        /**< Time that tarn_snapshot_begin() held the task thread. */
    uint64_t link_ns;        /**< Memtable flush and hard links. */
    uint64_t upload_ns;      /**< From the links to the last durable file. */
    uint64_t file_count;     /**< Files that the snapshot consists of. */
    uint64_t total_bytes;    /**< Their size. */
    uint64_t uploaded_count; /**< Files that are new in the storage so far. */
    uint64_t uploaded_bytes; /**< Their bytes, copied or, of linked_count files, only digested. */
    uint64_t reused_count;   /**< Files whose content the storage holds already: not stored
                                  again, nor even read when the last completed checkpoint of this
                                  backend has them (then not among uploaded_bytes either). */
    uint64_t reused_bytes;
    uint64_t
        linked_count; /**< Of uploaded_count: given a second name in the storage, not copied. */
    uint64_t linked_bytes; /**< Of uploaded_bytes: no byte of these was written again. */
} tarn_snapshot_progress;

/**
 * Begins a snapshot: everything written before belongs to it, nothing written after.
 *
 * It costs the same however much is in the working set (tarn/working_set.h): what is dirty there
 * is frozen, and written to RocksDB slice by slice by later calls on the backend. Then the
 * memtables are flushed and the files hard-linked by a worker. Meanwhile reads go on, and so do
 * writes of rows that the working set takes. One that RocksDB must take waits for the links
 * (tarn_backend_stats.snapshot_wait_ns), not for the upload; it writes what is left of the frozen
 * rows, and makes the links itself when all workers are busy.
 * One snapshot of a backend is open at a time.
 *
 * @retval TARN_OK           The snapshot is under way.
 * @retval TARN_BUSY         Another snapshot of the backend is open.
 * @retval TARN_OVER_BUDGET  The off-heap pool cannot hold the upload buffers.
 * @retval TARN_POISONED, TARN_IO_ERROR, TARN_NO_MEMORY  As for a write.
 */
TARN_API TARN_NODISCARD tarn_status tarn_snapshot_begin(
    tarn_backend *backend,
    tarn_pending_checkpoint *checkpoint,
    tarn_snapshot **out,
    tarn_error *error);

/**
 * Answers TARN_PENDING while the snapshot is under way, TARN_OK when finish() will not wait.
 *
 * Rows that are in memory only are handed to workers a few at a time, by calls on the backend as by
 * this, within `tarn.working-set.drain-share` of the time; a call of a task that has had no records
 * since the last one hands over some thousand. Such a task polls every few milliseconds, or, when
 * it has nothing else to wait for, calls tarn_snapshot_wait().
 */
TARN_API TARN_NODISCARD tarn_status tarn_snapshot_poll(tarn_snapshot *snapshot);

/**
 * Waits until tarn_snapshot_poll() would answer TARN_OK.
 *
 * Rows that are in memory only are written by this thread and by workers at once, without the
 * copies that a stream beside them needs: the quickest way to a durable snapshot.
 */
TARN_API void tarn_snapshot_wait(tarn_snapshot *snapshot);

/** Answers how far the snapshot is. */
TARN_API void tarn_snapshot_measure(tarn_snapshot *snapshot, tarn_snapshot_progress *out);

/**
 * Adds bytes of the operator's own to the subtask's part, such as a position.
 *
 * @param[in] name   1 .. 255 bytes; each at most once.
 * @param[in] bytes  Shape: any, at most 16 MiB. Copied.
 */
TARN_API TARN_NODISCARD tarn_status tarn_snapshot_add_state(
    tarn_snapshot *snapshot, const char *name, tarn_bytes bytes, tarn_error *error);

/**
 * Waits for the snapshot to end and frees it, whatever the outcome.
 *
 * @param[out] acknowledgement  Replaced by the subtask's part of the checkpoint.
 *
 * @retval TARN_OK  All files are durable.
 * @retval other    Why not; what was uploaded is taken back by workers, as when it is given up. The
 *                  backend goes on as if the snapshot had never begun.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_snapshot_finish(tarn_snapshot *snapshot, tarn_buffer *acknowledgement, tarn_error *error);

/**
 * Gives the snapshot up. NULL does nothing. The backend goes on as if it had never begun.
 *
 * Never waits for the storage: workers end what is under way there, and take back what was
 * written. The next snapshot may begin at once; it waits only while a worker is making the links
 * of this one, as does closing the backend. Rows that were in memory only, and that no worker has
 * begun to write, are written here.
 *
 * What a checkpoint that is given up wrote is deleted by a thread of the environment, too.
 * Requests under way end early, without retries, unless they are those of a storage of the
 * application. Closing the store, or of a savepoint the environment, waits for them and for taking
 * back what was written, with retries; the store until something cannot be deleted: the rest is
 * left as garbage then (tarn/cleanup.h). Of a savepoint all deletions are tried, each with its
 * retries, before the environment is closed; what could not be deleted stays in its directory.
 */
TARN_API void tarn_snapshot_abandon(tarn_snapshot *snapshot);

/**
 * Tells a backend that a checkpoint is complete, so that the next one builds on its files.
 *
 * Only files of a completed checkpoint are ever reused. An id that the backend took no snapshot
 * for changes nothing.
 */
TARN_API void tarn_backend_notify_complete(tarn_backend *backend, uint64_t checkpoint_id);

#ifdef __cplusplus
}
#endif
#endif
