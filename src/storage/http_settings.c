/* http_settings.c - what a configuration says about the HTTP client; see http.h. */
#include "base/try.h"
#include "storage/http.h"

/* Reads a duration of the table of options in milliseconds. */
static tarn_status load_ms(
    const tarn_config *config, const char *key, uint32_t *out, tarn_error *error)
{
    int64_t ms = 0;
    TARN_TRY(tarn_config_get_duration_ms(config, key, &ms, NULL, error));
    *out = ms < INT32_MAX ? (uint32_t)ms : (uint32_t)INT32_MAX;
    return TARN_OK;
}

tarn_status tarn__http_load(
    const tarn_config *config, tarn__http_options *options, tarn_error *error)
{
    if (config == NULL) {
        return TARN_OK;
    }
    TARN_TRY(load_ms(config, "tarn.storage.connect-timeout", &options->connect_timeout_ms, error));
    TARN_TRY(
        load_ms(config, "tarn.storage.first-byte-timeout", &options->first_byte_timeout_ms, error));
    TARN_TRY(load_ms(config, "tarn.storage.stall-timeout", &options->stall_timeout_ms, error));
    const tarn_status status =
        tarn_config_get_string(config, "tarn.storage.tls.ca-file", &options->ca_file, NULL, error);
    return status == TARN_NOT_FOUND ? TARN_OK : status;
}
