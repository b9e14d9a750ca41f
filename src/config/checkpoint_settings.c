/*
 * checkpoint_settings.c - see tarn/checkpoint_settings.h.
 *
 * Source: Flink 1.20, CheckpointConfig, StreamingJobGraphGenerator and
 * CheckpointCoordinatorConfiguration; vectors checkpoint_settings.
 */
#include "tarn/checkpoint_settings.h"

#include <inttypes.h>
#include <string.h>

#include "base/try.h"
#include "config/config.h"

#define KEY(name) "execution.checkpointing." name

/* Indices of the values in options.def. */
enum { MODE_EXACTLY_ONCE = 0, RETENTION_DELETE = 0, RETENTION_RETAIN = 1 };

static tarn_status read_intervals(
    const tarn_config *config, tarn_checkpoint_settings *s, tarn_error *error)
{
    s->interval_ms = TARN_CHECKPOINT_NEVER_MS;
    tarn_status status =
        tarn_config_get_duration_ms(config, KEY("interval"), &s->interval_ms, NULL, error);
    if (status != TARN_OK && status != TARN_NOT_FOUND) {
        return status;
    }
    s->is_enabled = status == TARN_OK;

    s->interval_during_backlog_ms = s->interval_ms;
    status = tarn_config_get_duration_ms(
        config, KEY("interval-during-backlog"), &s->interval_during_backlog_ms, NULL, error);
    if (status != TARN_OK && status != TARN_NOT_FOUND) {
        return status;
    }
    if (s->interval_during_backlog_ms == 0) {
        s->interval_during_backlog_ms = TARN_CHECKPOINT_NEVER_MS;
    }
    if (s->interval_during_backlog_ms < s->interval_ms ||
        s->interval_during_backlog_ms < TARN_CHECKPOINT_TIME_MIN_MS) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            KEY("interval-during-backlog") " is %" PRId64 " ms, below " KEY(
                "interval") " (%" PRId64 " ms, at least %" PRId64 "); 0 takes no checkpoints "
                            "meanwhile",
            s->interval_during_backlog_ms,
            s->interval_ms,
            TARN_CHECKPOINT_TIME_MIN_MS);
    }
    return TARN_OK;
}

static tarn_status read_times(
    const tarn_config *config, tarn_checkpoint_settings *s, tarn_error *error)
{
    TARN_TRY(read_intervals(config, s, error));
    TARN_TRY(tarn_config_get_duration_ms(config, KEY("timeout"), &s->timeout_ms, NULL, error));
    TARN_TRY(tarn_config_get_duration_ms(config, KEY("min-pause"), &s->min_pause_ms, NULL, error));
    return tarn_config_get_duration_ms(
        config, KEY("aligned-checkpoint-timeout"), &s->aligned_timeout_ms, NULL, error);
}

static tarn_status read_choices(
    const tarn_config *config, tarn_checkpoint_settings *s, tarn_error *error)
{
    int mode = 0;
    TARN_TRY(tarn_config_get_enum(config, KEY("mode"), &mode, NULL, error));
    s->is_exactly_once = mode == MODE_EXACTLY_ONCE && s->is_enabled;

    int retention = 0;
    TARN_TRY(tarn_config_get_enum(
        config, KEY("externalized-checkpoint-retention"), &retention, NULL, error));
    s->retention = retention == RETENTION_DELETE   ? TARN_CHECKPOINT_RETAIN_ON_FAILURE
                   : retention == RETENTION_RETAIN ? TARN_CHECKPOINT_RETAIN_ON_CANCELLATION
                                                   : TARN_CHECKPOINT_RETAIN_NEVER;

    TARN_TRY(tarn_config_get_bool(config, KEY("unaligned.enabled"), &s->is_unaligned, NULL, error));
    bool is_forced = false; /* Judged, not used: it is about iterations, which Tarn has not. */
    TARN_TRY(tarn_config_get_bool(config, KEY("unaligned.forced"), &is_forced, NULL, error));
    s->is_unaligned = s->is_unaligned && s->is_exactly_once;
    return tarn_config_get_bool(
        config,
        KEY("checkpoints-after-tasks-finish"),
        &s->is_continued_after_tasks_finish,
        NULL,
        error);
}

static tarn_status read_counts(
    const tarn_config *config, tarn_checkpoint_settings *s, tarn_error *error)
{
    TARN_TRY(tarn_config_get_int(
        config, KEY("max-concurrent-checkpoints"), &s->max_concurrent, NULL, error));
    TARN_TRY(tarn_config_get_int(
        config, KEY("tolerable-failed-checkpoints"), &s->tolerable_failures, NULL, error));
    return tarn_config_get_long(
        config,
        KEY("recover-without-channel-state.checkpoint-id"),
        &s->ignored_in_flight_checkpoint_id,
        NULL,
        error);
}

tarn_status tarn_checkpoint_settings_from_config(
    const tarn_config *config, tarn_checkpoint_settings *out, tarn_error *error)
{
    if (out->struct_size < sizeof out->struct_size || out->struct_size > sizeof *out) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "struct_size of the checkpoint settings is %zu; this version knows up to %zu",
            out->struct_size,
            sizeof *out);
    }
    tarn_checkpoint_settings settings = TARN_CHECKPOINT_SETTINGS_INIT;
    TARN_TRY(read_times(config, &settings, error));
    TARN_TRY(read_choices(config, &settings, error));
    TARN_TRY(read_counts(config, &settings, error));
    if (settings.is_unaligned && settings.max_concurrent > 1) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            KEY("unaligned.enabled") " does not go with " KEY(
                "max-concurrent-checkpoints") " %" PRId32 "; it must be 1",
            settings.max_concurrent);
    }
    settings.struct_size = out->struct_size;
    memcpy(out, &settings, out->struct_size);
    return TARN_OK;
}

const char *tarn_checkpoint_retention_name(tarn_checkpoint_retention retention)
{
    switch (retention) {
    case TARN_CHECKPOINT_RETAIN_NEVER:
        return "NEVER_RETAIN_AFTER_TERMINATION";
    case TARN_CHECKPOINT_RETAIN_ON_FAILURE:
        return "RETAIN_ON_FAILURE";
    case TARN_CHECKPOINT_RETAIN_ON_CANCELLATION:
        return "RETAIN_ON_CANCELLATION";
    }
    return "?";
}
