/* plan_case.c - see plan_case.h. */
#include "plan_case.h"

#include <string.h>

bool plan_case_config(const json_t *vector_case, tarn_config **out, char *why, size_t why_bytes)
{
    tarn_error error;
    tarn_config *config = NULL;
    tarn_status status = tarn_config_new(NULL, &config, &error);
    const char *key = NULL;
    json_t *value = NULL;
    /* jansson's iterators take objects that are not const, and do not change them. */
    json_t *conf = json_object_get(vector_case, "conf");
    json_object_foreach(conf, key, value)
    {
        if (status == TARN_OK) {
            const char *text = json_string_value(value);
            status = tarn_config_set(config, key, text == NULL ? "" : text, "conf", &error);
        }
    }
    if (status != TARN_OK) {
        tarn_config_free(config);
        return vectors_differ(why, why_bytes, "cannot set the options: %s", error.message);
    }
    *out = config;
    return true;
}

tarn_plan_path plan_case_path(const json_t *vector_case)
{
    const char *path = vectors_text(vector_case, "path");
    return path != NULL && strcmp(path, "shell") == 0 ? TARN_PLAN_SHELL : TARN_PLAN_PLAIN;
}

bool plan_case_outcome(
    const json_t *vector_case,
    tarn_status status,
    const tarn_error *error,
    bool *is_done,
    char *why,
    size_t why_bytes)
{
    const bool is_expected = vectors_is_true(vector_case, "ok");
    *is_done = !is_expected;
    if (status == TARN_OK && !is_expected) {
        return vectors_differ(why, why_bytes, "accepted");
    }
    if (status != TARN_OK && is_expected) {
        return vectors_differ(why, why_bytes, "refused: %s", error->message);
    }
    return status == TARN_OK || status == TARN_INVALID_ARGUMENT ||
           vectors_differ(why, why_bytes, "%s: %s", tarn_status_name(status), error->message);
}

bool plan_case_sizes(
    const json_t *vector_case, const plan_size *sizes, size_t count, char *why, size_t why_bytes)
{
    const json_t *bytes = json_object_get(vector_case, "bytes");
    if (json_object_size(bytes) != count) {
        return vectors_differ(
            why, why_bytes, "the case has %zu sizes, not %zu", json_object_size(bytes), count);
    }
    for (size_t i = 0; i < count; i++) {
        if (!vectors_check_integer(bytes, sizes[i].name, sizes[i].bytes, why, why_bytes)) {
            return false;
        }
    }
    return true;
}
