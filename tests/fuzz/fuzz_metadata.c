/*
 * fuzz_metadata.c - arbitrary bytes as a metadata file: refused, or read as what encodes to them.
 *
 * The first byte chooses: 0 as they are, 1 with the checks made right, 2 as an acknowledgement with
 * the checks made right. Built with clang's -fsanitize=fuzzer it is a libFuzzer program; with the
 * main() below ctest replays the sample, mutated from fixed seeds.
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
    const uint8_t mode = data[0] % 3;
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
        tarn_bytes_at(file, file_size),
        mode == 2 ? TARN__METADATA_ACKNOWLEDGEMENT : TARN__METADATA_CHECKPOINT,
        &account,
        &metadata,
        &error);
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

#ifndef TARN_LIBFUZZER
#include "base/random.h"
#include "support/metadata_sample.h"

enum { RUNS = 20000, INPUT_BYTES_MAX = 8192 };

/* Changes a few bytes, or copies, cuts out or repeats a piece. Answers the new size. */
static size_t mutate(tarn__random *random, uint8_t *data, size_t size)
{
    const uint64_t rounds = 1 + tarn__random_below(random, 4);
    for (uint64_t i = 0; i < rounds && size > 1; i++) {
        const size_t at = (size_t)tarn__random_below(random, size);
        const size_t from = (size_t)tarn__random_below(random, size);
        size_t count = 1 + (size_t)tarn__random_below(random, 32);
        switch (tarn__random_below(random, 4)) {
        case 0:
            data[at] = (uint8_t)tarn__random_next(random);
            break;
        case 1:
            count = count < size - at ? count : size - at;
            memset(data + at, tarn__random_below(random, 2) == 0 ? 0 : 0xff, count < 8 ? count : 4);
            break;
        case 2:
            count = count < size - at ? count : size - at;
            memmove(data + at, data + at + count, size - at - count);
            size -= count;
            break;
        default:
            count = count < size - from ? count : size - from;
            if (size + count <= INPUT_BYTES_MAX) {
                memmove(data + at + count, data + at, size - at);
                size += count;
            }
            break;
        }
    }
    return size;
}

int main(void)
{
    metadata_sample sample;
    metadata_sample_init(&sample);
    tarn_buffer whole = TARN_BUFFER_INIT;
    tarn_buffer part = TARN_BUFFER_INIT;
    MUST(
        tarn__metadata_encode(&sample.head, sample.subtasks, SAMPLE_SUBTASKS, &whole, NULL) ==
        TARN_OK);
    sample.head.kind = TARN__METADATA_ACKNOWLEDGEMENT;
    MUST(tarn__metadata_encode(&sample.head, sample.subtasks, 1, &part, NULL) == TARN_OK);

    for (uint64_t seed = 0; seed < RUNS; seed++) {
        tarn__random random = {.state = seed};
        uint8_t input[INPUT_BYTES_MAX + 1];
        input[0] = (uint8_t)(seed % 3);
        const tarn_buffer *origin = input[0] == 2 ? &part : &whole;
        memcpy(input + 1, origin->data, origin->size);
        const size_t size = seed < 3 ? origin->size : mutate(&random, input + 1, origin->size);
        (void)LLVMFuzzerTestOneInput(input, size + 1);
    }
    tarn_buffer_clear(&whole);
    tarn_buffer_clear(&part);
    printf("%d inputs\n", RUNS);
    return 0;
}
#endif
