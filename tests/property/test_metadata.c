/*
 * Property of the metadata format: the fuzz entry holds for the sample with a few random changes,
 * with and without the checks made right again.
 */
#include "support/support.h"

#include "base/random.h"
#include "fuzz/fuzz_metadata.c"
#include "support/metadata_sample.h"
#include "support/prop.h"

enum { INPUT_BYTES_MAX = 8192 };

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

/* What is changed: of each version and kind one that says something which others cannot. */
static const struct origin {
    uint8_t mode; /* Of the fuzz entry. */
    tarn__metadata_kind kind;
    uint32_t version;
} ORIGINS[] = {
    {0, TARN__METADATA_CHECKPOINT, 3},
    {0, TARN__METADATA_CHECKPOINT, 4},
    {1, TARN__METADATA_CHECKPOINT, 1},
    {1, TARN__METADATA_CHECKPOINT, 2},
    {1, TARN__METADATA_CHECKPOINT, 3},
    {1, TARN__METADATA_CHECKPOINT, 4},
    {2, TARN__METADATA_ACKNOWLEDGEMENT, 1},
    {2, TARN__METADATA_ACKNOWLEDGEMENT, 4},
    {3, TARN__METADATA_SAVEPOINT, 2},
    {3, TARN__METADATA_SAVEPOINT, 3},
    {3, TARN__METADATA_SAVEPOINT, 4},
    {3, TARN__METADATA_CANONICAL_SAVEPOINT, 2},
    {3, TARN__METADATA_CANONICAL_SAVEPOINT, 4},
};

enum { ORIGINS_COUNT = sizeof ORIGINS / sizeof ORIGINS[0] };

static void changes_are_refused_or_encode_again(uint64_t seed, void *context)
{
    const tarn_buffer *files = context;
    tarn__random random = {.state = seed};
    uint8_t input[INPUT_BYTES_MAX + 1];
    const uint32_t which = (uint32_t)(seed % ORIGINS_COUNT);
    input[0] = ORIGINS[which].mode;
    memcpy(input + 1, files[which].data, files[which].size);
    const size_t size = mutate(&random, input + 1, files[which].size);
    (void)LLVMFuzzerTestOneInput(input, size + 1);
}

static void encode_origin(const struct origin *origin, tarn_buffer *out)
{
    metadata_sample sample;
    tarn_error error;
    metadata_sample_init(&sample);
    sample.head.format_version = origin->version;
    if (origin->kind != TARN__METADATA_CANONICAL_SAVEPOINT && origin->version == 3) {
        metadata_sample_pack(&sample);
    } else if (origin->kind != TARN__METADATA_CANONICAL_SAVEPOINT && origin->version == 4) {
        metadata_sample_inline(&sample);
    }
    metadata_sample_become(&sample, origin->kind);
    assert_ok(
        tarn__metadata_encode(
            &sample.head, sample.subtasks, metadata_sample_count(&sample), out, &error),
        &error);
    uint8_t input[INPUT_BYTES_MAX + 1] = {origin->mode};
    memcpy(input + 1, out->data, out->size);
    (void)LLVMFuzzerTestOneInput(input, out->size + 1);
}

static void test_changed_files_are_refused_or_encode_again(void **state)
{
    (void)state;
    tarn_buffer files[ORIGINS_COUNT];
    for (uint32_t i = 0; i < ORIGINS_COUNT; i++) {
        files[i] = (tarn_buffer)TARN_BUFFER_INIT;
        encode_origin(&ORIGINS[i], &files[i]);
    }
    prop_run("changed metadata", 2, changes_are_refused_or_encode_again, files);
    for (uint32_t i = 0; i < ORIGINS_COUNT; i++) {
        tarn_buffer_clear(&files[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_files_are_refused_or_encode_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
