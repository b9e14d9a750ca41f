/*
 * fuzz_canonical.c - arbitrary bytes as a file of canonical rows: refused, or read to its end. The
 * first byte chooses whether a frame's rows are given as they are, without the checks around them.
 */
#include <stdint.h>
#include <stdlib.h>

#include "codec/canonical.h"
#include "support/canonical_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rows(tarn_bytes raw, uint8_t row_count)
{
    const tarn__canonical_head head = {.row_count = row_count, .last_group = 0x7fff};
    tarn__canonical_cursor cursor = {.head = &head, .raw = raw};
    tarn_bytes key;
    tarn_bytes value;
    uint64_t bytes = 0;
    tarn_error error;
    tarn_status status = TARN_OK;
    while ((status = tarn__canonical_next(&cursor, &key, &value, &error)) == TARN_OK) {
        bytes += key.size + value.size;
    }
    if (bytes > raw.size || (status != TARN_DONE && status != TARN_CORRUPTION)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const tarn_bytes rest = tarn_bytes_at(data + 2, size - 2);
    if (data[0] == 1) {
        check_rows(rest, data[1]);
        return 0;
    }
    canonical_sample_count count = {0};
    tarn_error error;
    const tarn_status status = canonical_sample_read(rest, &count, &error);
    if (status != TARN_OK && status != TARN_CORRUPTION && status != TARN_NOT_SUPPORTED) {
        abort();
    }
    return 0;
}
