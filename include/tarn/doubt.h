/**
 * @file tarn/doubt.h
 * @brief A commit that tells whether its failure is certain: for a coordinator that is driven by
 *        hand.
 *
 * Behind a network the answer to a commit can get lost, and then the one to taking it back: the
 * checkpoint or savepoint may be found later on, or never. What the coordinator is to hear:
 *
 *     tarn_checkpoint_commit_or_doubt(pending, &summary, &is_in_doubt, &error);
 *
 *     TARN_OK                      TARN_WRITE_DURABLE
 *     a failure, no doubt          TARN_WRITE_FAILED
 *     a failure, and is_in_doubt   TARN_WRITE_UNKNOWN
 *
 * Nothing of what is in doubt is for the caller to delete. The store asks again before it deletes
 * anything; a savepoint is asked about no more: whoever wanted it looks whether it can be restored.
 *
 * Thread: shared.
 */
#ifndef TARN_DOUBT_H
#define TARN_DOUBT_H

#include "tarn/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * As tarn_checkpoint_commit(), and tells of a doubt.
 *
 * @param[out] is_in_doubt  Required. Written unless an argument is missing; false after a success.
 *
 * @retval TARN_INVALID_ARGUMENT  checkpoint or is_in_doubt is missing; nothing was done.
 * @return Else what tarn_checkpoint_commit() returns.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_commit_or_doubt(
    tarn_pending_checkpoint *checkpoint,
    tarn_checkpoint_summary *summary,
    bool *is_in_doubt,
    tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
