/**
 * @file tarn/checkpoint_settings.h
 * @brief When and how checkpoints are taken: what a configuration says to a coordinator.
 *
 *     tarn_checkpoint_settings settings = TARN_CHECKPOINT_SETTINGS_INIT;
 *     if (tarn_checkpoint_settings_from_config(config, &settings, &error) == TARN_OK &&
 *         settings.is_enabled) {
 *         printf("a checkpoint every %lld ms\n", (long long)settings.interval_ms);
 *     }
 *
 * Ownership: plain numbers, nothing to free.
 * Thread: pure.
 */
#ifndef TARN_CHECKPOINT_SETTINGS_H
#define TARN_CHECKPOINT_SETTINGS_H

#include "tarn/config.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An interval that never ends: no periodic checkpoints. Units: milliseconds. */
#define TARN_CHECKPOINT_NEVER_MS INT64_MAX

/** The shortest interval and the shortest timeout. Units: milliseconds. */
#define TARN_CHECKPOINT_TIME_MIN_MS INT64_C(10)

/** What becomes of the last checkpoint when the job ends. */
typedef enum tarn_checkpoint_retention {
    TARN_CHECKPOINT_RETAIN_NEVER = 0,           /**< It is deleted, whatever the end. */
    TARN_CHECKPOINT_RETAIN_ON_FAILURE = 1,      /**< Kept when the job fails. */
    TARN_CHECKPOINT_RETAIN_ON_CANCELLATION = 2, /**< Kept when it fails or is cancelled. */
} tarn_checkpoint_retention;

/** The settings. Start from TARN_CHECKPOINT_SETTINGS_INIT. */
typedef struct tarn_checkpoint_settings {
    size_t struct_size; /**< Set by TARN_CHECKPOINT_SETTINGS_INIT. */

    bool is_enabled;                      /**< Whether there are periodic checkpoints. */
    bool is_exactly_once;                 /**< False, too, when there are no periodic ones. */
    bool is_unaligned;                    /**< Barriers overtake records; exactly-once only. */
    bool is_continued_after_tasks_finish; /**< Go on when some subtasks have finished. */
    tarn_checkpoint_retention retention;  /**< Of the last checkpoint. */
    int32_t max_concurrent;               /**< In flight at once; at least 1. */
    int32_t tolerable_failures;           /**< In a row; at least 0. */
    int64_t interval_ms;                  /**< TARN_CHECKPOINT_NEVER_MS, or at least 10. */
    int64_t interval_during_backlog_ms;   /**< At least interval_ms. */
    int64_t timeout_ms;                   /**< At least 10. */
    int64_t min_pause_ms;                 /**< Between two periodic checkpoints; at least 0. */
    int64_t aligned_timeout_ms;           /**< Of alignment before a checkpoint turns unaligned. */
    int64_t ignored_in_flight_checkpoint_id; /**< Restored without in-flight records; -1: none. */
    /* The layout is ABI: append fields here, never above. */
} tarn_checkpoint_settings;

/** Initialiser for tarn_checkpoint_settings; everything else is zero. */
#define TARN_CHECKPOINT_SETTINGS_INIT                                 \
    {                                                                 \
        sizeof(tarn_checkpoint_settings), false, false, false, false, \
            TARN_CHECKPOINT_RETAIN_NEVER, 0, 0, 0, 0, 0, 0, 0, 0      \
    }

/**
 * Derives the settings from execution.checkpointing.*, as Flink does.
 *
 * Unaligned checkpoints without exactly-once are switched off silently. Without an interval there
 * are no periodic checkpoints, and at-least-once holds.
 *
 * @param[out] out  Filled up to its struct_size. Untouched on failure.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_INVALID_ARGUMENT  A value is bad, or two contradict each other: a backlog interval
 *                                below the interval, unaligned with several in flight.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_settings_from_config(
    const tarn_config *config, tarn_checkpoint_settings *out, tarn_error *error);

/** Answers Flink's name of a retention, such as "RETAIN_ON_CANCELLATION"; "?" for no value. */
TARN_API const char *tarn_checkpoint_retention_name(tarn_checkpoint_retention retention);

#ifdef __cplusplus
}
#endif
#endif
