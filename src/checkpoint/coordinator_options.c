/* coordinator_options.c - defaults and bounds of a coordinator's options. */
#include <inttypes.h>
#include <string.h>

#include "base/try.h"

#include "checkpoint/coordinator.h"

enum { INTERVAL_MS_MIN = 10, TIMEOUT_MS_MIN = 10, COUNT_MAX = 10000, QUEUE_MAX = 100000 };

void tarn_coordinator_options_init(tarn_coordinator_options *options, size_t struct_size)
{
    const tarn_coordinator_options defaults = TARN_COORDINATOR_OPTIONS_INIT;
    const size_t known = struct_size < sizeof defaults ? struct_size : sizeof defaults;
    memset(options, 0, struct_size);
    memcpy(options, &defaults, known);
    options->struct_size = struct_size;
}

/* Settings say "for ever" with the largest signed number. */
static uint64_t interval_of(int64_t interval_ms)
{
    return interval_ms == TARN_CHECKPOINT_NEVER_MS ? TARN_COORDINATOR_NEVER : (uint64_t)interval_ms;
}

void tarn_coordinator_options_apply(
    tarn_coordinator_options *options, const tarn_checkpoint_settings *settings)
{
    const bool is_unlimited = settings->tolerable_failures == INT32_MAX;
    options->interval_ms =
        settings->is_enabled ? interval_of(settings->interval_ms) : TARN_COORDINATOR_NEVER;
    options->backlog_interval_ms = interval_of(settings->interval_during_backlog_ms);
    options->min_pause_ms = (uint64_t)settings->min_pause_ms;
    options->timeout_ms = (uint64_t)settings->timeout_ms;
    options->aligned_timeout_ms = (uint64_t)settings->aligned_timeout_ms;
    options->max_concurrent = (uint32_t)settings->max_concurrent;
    options->tolerable_failures =
        is_unlimited ? TARN_COORDINATOR_UNLIMITED : (uint32_t)settings->tolerable_failures;
    options->retention = settings->retention;
    options->is_at_least_once = !settings->is_exactly_once;
    options->is_unaligned = settings->is_unaligned;
    options->refuses_finished_tasks = !settings->is_continued_after_tasks_finish;
}

static tarn_status check_range(
    const char *name, uint64_t value, uint64_t min, uint64_t max, tarn_error *error)
{
    if (value < min || value > max) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is %" PRIu64 ", which is not within %" PRIu64 " .. %" PRIu64,
            name,
            value,
            min,
            max);
    }
    return TARN_OK;
}

static tarn_status check_intervals(const tarn_coordinator_options *options, tarn_error *error)
{
    if (options->interval_ms == TARN_COORDINATOR_NEVER) {
        return TARN_OK;
    }
    TARN_TRY(check_range("interval_ms", options->interval_ms, INTERVAL_MS_MIN, INT64_MAX, error));
    const uint64_t backlog_ms = options->backlog_interval_ms;
    if (backlog_ms == TARN_COORDINATOR_NEVER || backlog_ms == TARN_COORDINATOR_SAME) {
        return TARN_OK;
    }
    return check_range("backlog_interval_ms", backlog_ms, 1, INT64_MAX, error);
}

static tarn_status check_restored(const tarn_coordinator_options *options, tarn_error *error)
{
    if (options->restored_count > 0 && options->restored == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "restored is NULL but restored_count is not 0");
    }
    uint64_t previous_id = 0;
    for (uint32_t i = 0; i < options->restored_count; i++) {
        const uint64_t id = options->restored[i].id;
        if (id <= previous_id || id >= options->next_checkpoint_id) {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                "restored checkpoint %" PRIu64 " is not between %" PRIu64
                " before it and the next one, %" PRIu64,
                id,
                previous_id,
                options->next_checkpoint_id);
        }
        previous_id = id;
    }
    return TARN_OK;
}

tarn_status tarn__coordinator_check(const tarn_coordinator_options *options, tarn_error *error)
{
    TARN_TRY(check_intervals(options, error));
    TARN_TRY(check_range("timeout_ms", options->timeout_ms, TIMEOUT_MS_MIN, INT64_MAX, error));
    TARN_TRY(check_range("min_pause_ms", options->min_pause_ms, 0, INT64_MAX, error));
    TARN_TRY(check_range("max_concurrent", options->max_concurrent, 1, UINT32_MAX, error));
    TARN_TRY(check_range("retained_count", options->retained_count, 1, COUNT_MAX, error));
    TARN_TRY(check_range("pending_max", options->pending_max, 1, COUNT_MAX, error));
    TARN_TRY(check_range("queue_max", options->queue_max, 1, QUEUE_MAX, error));
    TARN_TRY(check_range("next_checkpoint_id", options->next_checkpoint_id, 1, INT64_MAX, error));
    if (options->is_unaligned && options->max_concurrent > 1) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "max_concurrent is %u, but unaligned checkpoints exclude each other",
            options->max_concurrent);
    }
    return check_restored(options, error);
}
