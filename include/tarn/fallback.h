/**
 * @file tarn/fallback.h
 * @brief The newest checkpoint that is whole, past those that are damaged.
 *
 * Thread: shared.
 */
#ifndef TARN_FALLBACK_H
#define TARN_FALLBACK_H

#include "tarn/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Opens the newest checkpoint whose metadata can be read and whose files are all there in their
 * sizes. What is in them is compared when they are fetched: when a restore refuses one, call again
 * with the address of the next older checkpoint.
 *
 * @param[in] address  DIR/JOB, or DIR/JOB/chk-N: then no newer one is looked at. A path or file://
 *                     URI.
 * @param[in] skipped  Told of each checkpoint that is passed over, and why; the newest first. Its
 *                     answer false ends the search with that reason. May be NULL.
 *
 * @retval TARN_MISSING           No checkpoint is whole.
 * @retval TARN_INVALID_ARGUMENT  The address is a savepoint's.
 * @retval other                  As those of tarn_checkpoint_open().
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_open_whole(
    const char *address,
    const tarn_allocator *allocator,
    tarn_checkpoint_list_visit *skipped,
    void *context,
    tarn_checkpoint **out,
    tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
