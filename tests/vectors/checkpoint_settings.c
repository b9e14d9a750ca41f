/* checkpoint_settings.c - options to what a coordinator receives. */
#include <string.h>

#include "tarn/checkpoint_settings.h"

#include "vectors.h"

static bool check_truth(
    const json_t *wanted, const char *name, bool ours, char *why, size_t why_bytes)
{
    if (vectors_is_true(wanted, name) != ours) {
        return vectors_differ(why, why_bytes, "%s: %s", name, ours ? "true" : "false");
    }
    return true;
}

static bool check_settings(
    const json_t *wanted, const tarn_checkpoint_settings *s, char *why, size_t why_bytes)
{
    const char *retention = tarn_checkpoint_retention_name(s->retention);
    if (strcmp(vectors_text(wanted, "retention"), retention) != 0) {
        return vectors_differ(why, why_bytes, "retention: %s", retention);
    }
    const struct {
        const char *name;
        int64_t ours;
    } numbers[] = {
        {"interval_ms", s->interval_ms},
        {"interval_during_backlog_ms", s->interval_during_backlog_ms},
        {"timeout_ms", s->timeout_ms},
        {"min_pause_ms", s->min_pause_ms},
        {"max_concurrent", s->max_concurrent},
        {"tolerable_failures", s->tolerable_failures},
        {"aligned_timeout_ms", s->aligned_timeout_ms},
        {"ignored_in_flight_checkpoint_id", s->ignored_in_flight_checkpoint_id},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (!vectors_check_integer(wanted, numbers[i].name, numbers[i].ours, why, why_bytes)) {
            return false;
        }
    }
    return check_truth(wanted, "enabled", s->is_enabled, why, why_bytes) &&
           check_truth(wanted, "exactly_once", s->is_exactly_once, why, why_bytes) &&
           check_truth(wanted, "unaligned", s->is_unaligned, why, why_bytes) &&
           check_truth(
               wanted, "after_tasks_finish", s->is_continued_after_tasks_finish, why, why_bytes);
}

static bool check(tarn_config *config, json_t *vector_case, char *why, size_t why_bytes)
{
    tarn_error error = {.message = ""};
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(vector_case, "conf"), key, value)
    {
        if (tarn_config_set(config, key, json_string_value(value), "vector", &error) != TARN_OK) {
            return vectors_differ(why, why_bytes, "%s", error.message);
        }
    }
    tarn_checkpoint_settings settings = TARN_CHECKPOINT_SETTINGS_INIT;
    const tarn_status status = tarn_checkpoint_settings_from_config(config, &settings, &error);
    const bool is_accepted = vectors_is_true(vector_case, "ok");
    if ((status == TARN_OK) != is_accepted) {
        return vectors_differ(
            why, why_bytes, "%s: %s", status == TARN_OK ? "accepted" : "refused", error.message);
    }
    return !is_accepted ||
           check_settings(json_object_get(vector_case, "settings"), &settings, why, why_bytes);
}

bool vectors_checkpoint_settings(const json_t *vector_case, char *why, size_t why_bytes)
{
    tarn_config *config = NULL;
    tarn_error error;
    if (tarn_config_new(NULL, &config, &error) != TARN_OK) {
        return vectors_differ(why, why_bytes, "%s", error.message);
    }
    /* jansson iterates over a mutable object only; nothing is changed. */
    json_t *copy = json_copy((json_t *)(uintptr_t)vector_case);
    const bool is_good = check(config, copy, why, why_bytes);
    json_decref(copy);
    tarn_config_free(config);
    return is_good;
}
