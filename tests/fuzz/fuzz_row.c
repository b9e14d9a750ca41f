/*
 * fuzz_row.c - libFuzzer entry for rows and descriptors of states: what is accepted, encoded again,
 * is what was given; there is one encoding of each.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/descriptor.h"
#include "codec/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_row(tarn_bytes bytes)
{
    tarn__row row;
    if (!tarn__row_decode(bytes, &row)) {
        return;
    }
    uint8_t *again = malloc(bytes.size);
    if (again == NULL) {
        return;
    }
    size_t size = tarn__row_encode_key(again, row.key_group, row.key);
    size += tarn__row_encode_namespace(again + size, row.name_space);
    if (row.user_key.size > 0) {
        memcpy(again + size, row.user_key.data, row.user_key.size);
    }
    size += row.user_key.size;
    if (!tarn_bytes_is_equal(bytes, tarn_bytes_at(again, size))) {
        abort();
    }
    free(again);
}

static void check_descriptor(tarn_bytes bytes)
{
    tarn__descriptor descriptor;
    tarn_buffer again = TARN_BUFFER_INIT;
    if (tarn__descriptor_decode(bytes, &descriptor) != TARN__DESCRIPTOR_OK) {
        return;
    }
    if (tarn__descriptor_encode(&descriptor, &again) != TARN_OK ||
        !tarn_bytes_is_equal(bytes, tarn_buffer_bytes(&again))) {
        abort();
    }
    tarn_buffer_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_row(tarn_bytes_at(data, size));
    check_descriptor(tarn_bytes_at(data, size));
    return 0;
}
