/*
 * fuzz_config.c - libFuzzer entry for the parsers of configuration files and of quantities.
 *
 * The first byte chooses: even legacy, odd standard. See tests/fuzz/replay.c for a main without
 * libFuzzer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "tarn/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const tarn_bytes text = tarn_bytes_at(data + 1, size - 1);
    tarn_config *config = NULL;
    tarn_error error;
    if (tarn_config_new(NULL, &config, &error) != TARN_OK) {
        return 0;
    }
    const tarn_config_flavour flavour =
        data[0] % 2 == 0 ? TARN_CONFIG_LEGACY : TARN_CONFIG_STANDARD;
    if (tarn_config_parse(config, flavour, text, "fuzz", &error) == TARN_OK) {
        (void)!tarn_config_check(config, &error);
    } else if (tarn_config_count(config) != 0) {
        abort(); /* A refused text must leave nothing behind. */
    }
    tarn_config_free(config);

    int64_t bytes = 0;
    tarn_duration duration;
    (void)!tarn_memory_size_parse(text, &bytes, &error);
    (void)!tarn_duration_parse(text, &duration, &error);
    return 0;
}
