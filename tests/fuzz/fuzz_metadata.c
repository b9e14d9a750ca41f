/*
 * fuzz_metadata.c - arbitrary bytes as a metadata file: refused, or read as what encodes to them.
 *
 * The first byte chooses: 0 as they are, 1 with the checks made right, 2 as an acknowledgement with
 * the checks made right, 3 as a savepoint with the checks made right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/metadata.h"
#include "support/metadata_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

static void encode_again(const tarn__metadata *metadata, tarn_bytes expected)
{
    tarn_buffer bytes = TARN_BUFFER_INIT;
    MUST(
        tarn__metadata_encode(
            &metadata->head, metadata->subtasks, metadata->subtask_count, &bytes, NULL) == TARN_OK);
    MUST(tarn_bytes_is_equal(tarn_buffer_bytes(&bytes), expected));
    tarn_buffer_clear(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    static const tarn__metadata_kind kinds[] = {
        TARN__METADATA_CHECKPOINT,
        TARN__METADATA_CHECKPOINT,
        TARN__METADATA_ACKNOWLEDGEMENT,
        TARN__METADATA_SAVEPOINT,
    };
    const uint8_t mode = data[0] % 4;
    const size_t file_size = size - 1;
    uint8_t *file = malloc(file_size > 0 ? file_size : 1);
    MUST(file != NULL);
    memcpy(file, data + 1, file_size);
    if (mode > 0) {
        metadata_seal(file, file_size);
    }
    tarn__account account;
    tarn__account_init(&account, "fuzz", NULL);
    tarn__metadata metadata;
    tarn_error error;
    const tarn_status status = tarn__metadata_decode(
        tarn_bytes_at(file, file_size), kinds[mode], &account, &metadata, &error);
    MUST(
        atomic_load(&account.bytes_peak) <=
        TARN__METADATA_MEMORY_RATIO * file_size + TARN__METADATA_MEMORY_BASE_BYTES);
    if (status == TARN_OK) {
        encode_again(&metadata, tarn_bytes_at(file, file_size));
        tarn__metadata_clear(&metadata);
    } else {
        MUST(status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED);
        MUST(error.status == status && error.message[0] != '\0');
    }
    MUST(atomic_load(&account.bytes) == 0);
    free(file);
    return 0;
}
