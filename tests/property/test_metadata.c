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

static void changes_are_refused_or_encode_again(uint64_t seed, void *context)
{
    const tarn_buffer *files = context;
    tarn__random random = {.state = seed};
    uint8_t input[INPUT_BYTES_MAX + 1];
    input[0] = (uint8_t)(seed % 3);
    const tarn_buffer *origin = &files[input[0] == 2 ? 1 : (seed / 3 % 2 == 0 ? 0 : 2)];
    memcpy(input + 1, origin->data, origin->size);
    const size_t size = mutate(&random, input + 1, origin->size);
    (void)LLVMFuzzerTestOneInput(input, size + 1);
}

static void test_changed_files_are_refused_or_encode_again(void **state)
{
    (void)state;
    metadata_sample sample;
    metadata_sample_init(&sample);
    metadata_sample_pack(&sample);
    tarn_buffer files[3] = {TARN_BUFFER_INIT, TARN_BUFFER_INIT, TARN_BUFFER_INIT};
    tarn_error error;
    assert_ok(
        tarn__metadata_encode(&sample.head, sample.subtasks, SAMPLE_SUBTASKS, &files[0], &error),
        &error);
    metadata_sample packless;
    metadata_sample_init(&packless);
    metadata_sample_inline(&packless);
    assert_ok(
        tarn__metadata_encode(
            &packless.head, packless.subtasks, SAMPLE_SUBTASKS, &files[2], &error),
        &error);
    sample.head.kind = TARN__METADATA_ACKNOWLEDGEMENT;
    assert_ok(tarn__metadata_encode(&sample.head, sample.subtasks, 1, &files[1], &error), &error);
    prop_run("changed metadata", 2, changes_are_refused_or_encode_again, files);
    tarn_buffer_clear(&files[0]);
    tarn_buffer_clear(&files[1]);
    tarn_buffer_clear(&files[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_files_are_refused_or_encode_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
