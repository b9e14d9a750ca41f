/**
 * @file tarn/channel_state.h
 * @brief Data in flight as part of a checkpoint: what an unaligned barrier overtook.
 *
 * Written by the task that keeps it (TARN_ALIGN_KEEP in tarn/aligner.h), into its acknowledgement:
 *
 *     tarn_channel_state_append(&kept, channel, buffer, &error);       in each channel's order
 *     ...
 *     tarn_snapshot_add_state(snapshot, TARN_CHANNEL_STATE_NAME, tarn_buffer_bytes(&kept), &error);
 *
 * At restore it is read from the subtask's pieces of operator state, and processed before anything
 * else comes out of the channels:
 *
 *     tarn_channel_state_read(piece.bytes, process, task, &error);
 *
 * The bytes have a version of their own (docs/FORMATS.md); checkpoints have the checksum.
 *
 * Ownership: the buffer is the caller's.
 * Thread: pure.
 */
#ifndef TARN_CHANNEL_STATE_H
#define TARN_CHANNEL_STATE_H

#include "tarn/bytes.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The name under which a task's channel state is part of its acknowledgement. */
#define TARN_CHANNEL_STATE_NAME "tarn.channels"

/** What one task's channel state may have at most. Units: bytes. */
#define TARN_CHANNEL_STATE_BYTES_MAX (UINT32_C(16) << 20)

/** Called for each buffer, in the order in which they were appended. Not TARN_OK: stops. */
typedef tarn_status tarn_channel_state_visit(
    uint32_t channel, tarn_bytes buffer, void *context, tarn_error *error);

/**
 * Appends one buffer of a channel.
 *
 * @param[in,out] state  Empty, or what earlier calls made of it. Unchanged on failure.
 *
 * @retval TARN_OVER_BUDGET  There would be more than TARN_CHANNEL_STATE_BYTES_MAX: decline.
 * @retval TARN_NO_MEMORY    Out of memory.
 */
TARN_API TARN_NODISCARD tarn_status tarn_channel_state_append(
    tarn_buffer *state, uint32_t channel, tarn_bytes buffer, tarn_error *error);

/**
 * Reads all buffers. Nothing is visited unless all of it is good.
 *
 * @param[in] state  Empty bytes: nothing was in flight.
 *
 * @retval TARN_CORRUPTION     It is damaged; the message says where and how.
 * @retval TARN_NOT_SUPPORTED  It was written by a newer version; the message has both.
 * @retval other               What visit answered.
 */
TARN_API TARN_NODISCARD tarn_status tarn_channel_state_read(
    tarn_bytes state, tarn_channel_state_visit *visit, void *context, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
