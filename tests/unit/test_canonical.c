/*
 * Unit tests of codec/canonical.c: rows come back as they went in, for ever; and whatever is not as
 * it was written is refused, without memory beyond the file's.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "codec/canonical.h"
#include "support/canonical_sample.h"
#include "support/scratch.h"

static void test_rows_come_back_in_their_order(void **state)
{
    (void)state;
    tarn_buffer file = TARN_BUFFER_INIT;
    canonical_sample_write(&file, 5000, 700);
    canonical_sample_count count = {0};
    tarn_error error;
    assert_ok(canonical_sample_read(tarn_buffer_bytes(&file), &count, &error), &error);
    assert_int_equal(count.rows, 5000);
    assert_true(count.frames > 2);
    assert_true(file.size < count.bytes); /* It is packed. */
    tarn_buffer_clear(&file);
}

static void test_a_file_without_rows_is_whole(void **state)
{
    (void)state;
    tarn_buffer file = TARN_BUFFER_INIT;
    canonical_sample_write(&file, 0, 0);
    canonical_sample_count count = {0};
    tarn_error error;
    assert_ok(canonical_sample_read(tarn_buffer_bytes(&file), &count, &error), &error);
    assert_int_equal(count.rows, 0);
    tarn_buffer_clear(&file);
}

/* A value larger than a frame has one of its own. */
static void test_a_large_row_has_a_frame_of_its_own(void **state)
{
    (void)state;
    tarn_buffer file = TARN_BUFFER_INIT;
    canonical_sample_write(&file, 3, 3 * TARN__CANONICAL_FRAME_BYTES);
    canonical_sample_count count = {0};
    tarn_error error;
    assert_ok(canonical_sample_read(tarn_buffer_bytes(&file), &count, &error), &error);
    assert_int_equal(count.rows, 3);
    assert_int_equal(count.frames, 3);
    tarn_buffer_clear(&file);
}

/* Files written by a released version must be read by all later ones. */
static void test_the_golden_file_of_version_1_is_read_for_ever(void **state)
{
    (void)state;
    size_t size = 0;
    uint8_t *golden = scratch_read(TARN_TEST_DIRECTORY "/golden/canonical_v1.bin", &size);
    canonical_sample_count count = {0};
    tarn_error error;
    assert_ok(canonical_sample_read(tarn_bytes_at(golden, size), &count, &error), &error);
    assert_int_equal(count.rows, 20);
    free(golden);
}

static void test_every_flipped_byte_is_found(void **state)
{
    (void)state;
    tarn_buffer file = TARN_BUFFER_INIT;
    canonical_sample_write(&file, 20, 30);
    for (size_t i = 0; i < file.size; i++) {
        file.data[i] ^= 0x10;
        canonical_sample_count count = {0};
        tarn_error error;
        const tarn_status status = canonical_sample_read(tarn_buffer_bytes(&file), &count, &error);
        if (status != TARN_CORRUPTION && status != TARN_NOT_SUPPORTED) {
            fail_msg("byte %zu: %s", i, tarn_status_name(status));
        }
        file.data[i] ^= 0x10;
    }
    tarn_buffer_clear(&file);
}

static void test_every_shorter_file_is_refused(void **state)
{
    (void)state;
    tarn_buffer file = TARN_BUFFER_INIT;
    canonical_sample_write(&file, 20, 30);
    for (size_t size = 0; size < file.size; size++) {
        canonical_sample_count count = {0};
        tarn_error error;
        assert_int_equal(
            canonical_sample_read(tarn_bytes_at(file.data, size), &count, &error), TARN_CORRUPTION);
    }
    tarn_buffer_clear(&file);
}

static void test_rows_out_of_order_are_refused(void **state)
{
    (void)state;
    tarn__canonical_writer writer;
    tarn__canonical_writer_init(&writer, NULL);
    tarn_error error;
    const char *const keys[] = {"\0\1b", "\0\1a"};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(
            tarn__canonical_add(&writer, tarn_bytes_at(keys[i], 3), tarn_bytes_of("v"), &error),
            &error);
    }
    tarn_bytes frame;
    assert_ok(tarn__canonical_seal(&writer, &frame, &error), &error);
    tarn__canonical_head head;
    tarn_buffer raw = TARN_BUFFER_INIT;
    assert_ok(tarn__canonical_decode_head(frame.data, &head, &error), &error);
    assert_ok(tarn__canonical_open_frame(&head, frame, &raw, &error), &error);
    tarn__canonical_cursor cursor = {.head = &head, .raw = tarn_buffer_bytes(&raw)};
    tarn_bytes key;
    tarn_bytes value;
    assert_ok(tarn__canonical_next(&cursor, &key, &value, &error), &error);
    assert_int_equal(tarn__canonical_next(&cursor, &key, &value, &error), TARN_CORRUPTION);
    tarn_buffer_clear(&raw);
    tarn__canonical_writer_clear(&writer);
}

static void test_a_newer_version_is_refused_as_such(void **state)
{
    (void)state;
    tarn_buffer file = TARN_BUFFER_INIT;
    canonical_sample_write(&file, 1, 1);
    file.data[8] = 9;
    size_t size = 0;
    tarn_error error;
    assert_int_equal(tarn__canonical_decode_prefix(file.data, &size, &error), TARN_NOT_SUPPORTED);
    assert_non_null(strstr(error.message, "version 9"));
    tarn_buffer_clear(&file);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write-golden") == 0) {
        tarn_buffer file = TARN_BUFFER_INIT;
        canonical_sample_write(&file, 20, 30);
        scratch_write(argv[2], file.data, file.size);
        tarn_buffer_clear(&file);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back_in_their_order),
        cmocka_unit_test(test_a_file_without_rows_is_whole),
        cmocka_unit_test(test_a_large_row_has_a_frame_of_its_own),
        cmocka_unit_test(test_the_golden_file_of_version_1_is_read_for_ever),
        cmocka_unit_test(test_every_flipped_byte_is_found),
        cmocka_unit_test(test_every_shorter_file_is_refused),
        cmocka_unit_test(test_rows_out_of_order_are_refused),
        cmocka_unit_test(test_a_newer_version_is_refused_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
