/* conf_yaml.c - configuration files of both flavours, and the keys that they set. */
#include <string.h>

#include "tarn/config.h"

#include "vectors.h"

static bool compare(const tarn_config *config, const json_t *wanted, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < tarn_config_count(config); i++) {
        const tarn_config_entry entry = tarn_config_at(config, i);
        const json_t *value = json_object_get(wanted, entry.key);
        if (value == NULL) {
            return vectors_differ(why, why_bytes, "set without need: %s", entry.key);
        }
        if (json_string_length(value) != strlen(entry.value) ||
            strcmp(json_string_value(value), entry.value) != 0) {
            return vectors_differ(
                why,
                why_bytes,
                "%s: \"%s\", not \"%s\"",
                entry.key,
                entry.value,
                json_string_value(value));
        }
    }
    if (json_object_size(wanted) != tarn_config_count(config)) {
        return vectors_differ(
            why,
            why_bytes,
            "%zu keys, not %zu",
            tarn_config_count(config),
            json_object_size(wanted));
    }
    return true;
}

static bool check(tarn_config *config, const json_t *vector_case, char *why, size_t why_bytes)
{
    const char *flavour = vectors_text(vector_case, "flavour");
    const json_t *text = json_object_get(vector_case, "text");
    tarn_error error = {.message = ""};
    const tarn_status status = tarn_config_parse(
        config,
        strcmp(flavour, "legacy") == 0 ? TARN_CONFIG_LEGACY : TARN_CONFIG_STANDARD,
        tarn_bytes_at(json_string_value(text), json_string_length(text)),
        flavour,
        &error);
    const bool is_accepted = vectors_is_true(vector_case, "ok");
    if ((status == TARN_OK) != is_accepted) {
        return vectors_differ(
            why, why_bytes, "%s: %s", status == TARN_OK ? "accepted" : "refused", error.message);
    }
    return !is_accepted || compare(config, json_object_get(vector_case, "conf"), why, why_bytes);
}

bool vectors_conf_yaml(const json_t *vector_case, char *why, size_t why_bytes)
{
    tarn_config *config = NULL;
    tarn_error error;
    if (tarn_config_new(NULL, &config, &error) != TARN_OK) {
        return vectors_differ(why, why_bytes, "%s", error.message);
    }
    const bool is_good = check(config, vector_case, why, why_bytes);
    tarn_config_free(config);
    return is_good;
}
