/**
 * @file tarn/claim.h
 * @brief Whose a restored checkpoint or savepoint is from now on: the job's, or its owner's.
 *
 *     tarn_checkpoint_open_in(env, "/checkpoints/old/chk-7", NULL, &restored, &error);
 *     tarn_checkpoint_claim(store, restored, TARN_CLAIM_MODE_CLAIM, &error);
 *     ... backends are opened with restore = restored ...
 *
 * CLAIM takes over: the checkpoint counts as one of the store's own. Checkpoints of the store may
 * build on its shared files, and when enough newer ones are complete it is deleted where it lies,
 * as the retention says. That is durable: after a restart, too, it is the store's. A savepoint is
 * taken over like that as well; as it shares no files, the first checkpoint is a full one.
 *
 * NO_CLAIM leaves it alone for ever. A checkpoint of another directory shares nothing with this
 * one, so the first checkpoint is a full one. A checkpoint of the store's own directory is pinned:
 * it does not count as retained and is never subsumed. Its shared files are named by their content,
 * so what newer checkpoints name of them is the same object, which stays as long as either names
 * it.
 *
 * KEEP is for a checkpoint of the store's own directory: one that was pinned stays so, any other
 * one goes on counting.
 *
 * Source of the modes: Flink's execution.state-recovery.claim-mode. LEGACY is refused: it leaves
 * open who deletes a checkpoint that others build upon.
 *
 * Thread: as the store.
 */
#ifndef TARN_CLAIM_H
#define TARN_CLAIM_H

#include "tarn/checkpoint.h"
#include "tarn/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Whose a restored checkpoint is. */
typedef enum tarn_claim_mode {
    TARN_CLAIM_MODE_DEFAULT = 0,  /**< As the configuration says; without one NO_CLAIM. */
    TARN_CLAIM_MODE_NO_CLAIM = 1, /**< Its owner's. */
    TARN_CLAIM_MODE_CLAIM = 2,    /**< The job's. */
    TARN_CLAIM_MODE_KEEP = 3,     /**< Of the store's own directory: whose it was before. */
} tarn_claim_mode;

/**
 * Reads execution.state-recovery.claim-mode.
 *
 * @retval TARN_NOT_SUPPORTED  It is LEGACY; the message says what to use instead.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_claim_mode_from_config(const tarn_config *config, tarn_claim_mode *out, tarn_error *error);

/**
 * Says whose a checkpoint is that a job is restored from; before the store's next checkpoint is
 * begun, whose id is then larger. Saying it again changes nothing.
 *
 * Taking over makes the shared files of another directory available in the store's: by hard link
 * where both are directories of one file system, else each is copied, and compared by digest.
 *
 * @param[in] mode  TARN_CLAIM_MODE_DEFAULT stands for NO_CLAIM here.
 *
 * @retval TARN_OK                Done, durably.
 * @retval TARN_INVALID_ARGUMENT  CLAIM, and the store has a checkpoint of its own with a greater
 *                                number that was not refused, or one with the same number. Remove
 *                                that first (tarn_checkpoint_remove()), or use NO_CLAIM. KEEP, and
 *                                the checkpoint is of another directory, or a savepoint.
 * @retval TARN_BUSY              CLAIM, and a process still writes to the other job's directory.
 * @retval TARN_MISSING           A shared file of it is gone; or it was of the store's own
 *                                directory, and is not there any more.
 * @retval TARN_CORRUPTION        A shared file that had to be copied is damaged.
 * @retval TARN_IO_ERROR, TARN_REMOTE_ERROR, TARN_NO_SPACE, TARN_NO_MEMORY  Nothing is claimed.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_claim(
    tarn_checkpoint_store *store,
    const tarn_checkpoint *checkpoint,
    tarn_claim_mode mode,
    tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
