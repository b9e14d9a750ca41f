/*
 * Unit tests of examples/flights/watermarks.c: what several channels come to, by Flink's rules.
 */
#include "flights/watermarks.h"

#include <string.h>

#include "support/support.h"

static void expect(const watermarks *w, int64_t current)
{
    assert_int_equal(w->current, current);
}

static void test_the_smallest_channel_counts(void **state)
{
    (void)state;
    watermarks w;
    watermarks_init(&w, 3);
    expect(&w, WATERMARK_NONE);
    watermarks_advance(&w, 0, 100);
    watermarks_advance(&w, 1, 50);
    expect(&w, WATERMARK_NONE); /* The third has said nothing yet. */
    watermarks_advance(&w, 2, 70);
    expect(&w, 50);
    watermarks_advance(&w, 1, 90);
    expect(&w, 70);
}

static void test_it_never_goes_back(void **state)
{
    (void)state;
    watermarks w;
    watermarks_init(&w, 1);
    watermarks_advance(&w, 0, 100);
    watermarks_advance(&w, 0, 60);
    expect(&w, 100);
}

static void test_ended_channels_do_not_count(void **state)
{
    (void)state;
    watermarks w;
    watermarks_init(&w, 2);
    watermarks_advance(&w, 0, 100);
    watermarks_advance(&w, 1, 40);
    watermarks_end(&w, 1);
    expect(&w, 100);
    watermarks_end(&w, 0);
    expect(&w, WATERMARK_OVER);
}

static void test_a_message_at_the_watermark_is_late(void **state)
{
    (void)state;
    watermarks w;
    watermarks_init(&w, 1);
    assert_false(watermarks_judge(&w, -1000000));
    watermarks_advance(&w, 0, 100);
    assert_true(watermarks_judge(&w, 100));
    assert_false(watermarks_judge(&w, 101));
    assert_int_equal(w.late_count, 1);
}

static void test_what_is_encoded_is_restored(void **state)
{
    (void)state;
    watermarks w;
    watermarks_init(&w, 3);
    watermarks_advance(&w, 0, 100);
    watermarks_advance(&w, 1, -5);
    watermarks_end(&w, 2);
    watermarks_judge(&w, -5);

    uint8_t encoded[WATERMARKS_BYTES_MAX];
    watermarks restored;
    assert_int_equal(
        watermarks_restore(&restored, 3, watermarks_encode(&w, encoded), NULL), TARN_OK);
    assert_int_equal(restored.current, -5);
    assert_int_equal(restored.late_count, 1);
    assert_int_equal(restored.channels[0].watermark, 100);
    assert_int_equal(restored.channels[1].watermark, -5);
    assert_int_equal(restored.channels[2].watermark, WATERMARK_NONE);
    assert_false(restored.channels[2].is_ended);

    watermarks_advance(&restored, 1, 60);
    expect(&restored, -5); /* The third has to say again that it has ended. */
    watermarks_end(&restored, 2);
    expect(&restored, 60);
}

static void test_another_number_of_channels_is_refused(void **state)
{
    (void)state;
    watermarks w;
    watermarks_init(&w, 3);
    uint8_t encoded[WATERMARKS_BYTES_MAX];
    const tarn_bytes bytes = watermarks_encode(&w, encoded);
    tarn_error error;
    watermarks restored;
    assert_int_equal(watermarks_restore(&restored, 2, bytes, &error), TARN_INCOMPATIBLE);
    assert_non_null(strstr(error.message, "2 channels"));
    assert_int_equal(
        watermarks_restore(&restored, 3, tarn_bytes_at(encoded, 7), &error), TARN_INCOMPATIBLE);
}

/* Whose keys come together: nothing that was in time at either is late at the one they become. */
static void test_joined_operators_have_the_smaller_of_each(void **state)
{
    (void)state;
    watermarks a;
    watermarks b;
    watermarks_init(&a, 2);
    watermarks_init(&b, 2);
    watermarks_advance(&a, 0, 100);
    watermarks_advance(&a, 1, 80);
    watermarks_advance(&b, 0, 70);
    watermarks_advance(&b, 1, 90);
    watermarks_join(&a, &b);
    assert_int_equal(a.channels[0].watermark, 70);
    assert_int_equal(a.channels[1].watermark, 80);
    expect(&a, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_smallest_channel_counts),
        cmocka_unit_test(test_it_never_goes_back),
        cmocka_unit_test(test_ended_channels_do_not_count),
        cmocka_unit_test(test_a_message_at_the_watermark_is_late),
        cmocka_unit_test(test_what_is_encoded_is_restored),
        cmocka_unit_test(test_another_number_of_channels_is_refused),
        cmocka_unit_test(test_joined_operators_have_the_smaller_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
