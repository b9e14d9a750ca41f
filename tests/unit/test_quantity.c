/*
 * Unit tests of config/quantity.c and base/java_number.c: texts are read and written as a JVM
 * would, because one configuration file serves both.
 */
#include "support/support.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tarn/quantity.h"

#include "base/java_number.h"

static int64_t size_of(const char *text)
{
    int64_t bytes = -1;
    tarn_error error;
    assert_ok(tarn_memory_size_parse(tarn_bytes_of(text), &bytes, &error), &error);
    return bytes;
}

static tarn_duration duration_of(const char *text)
{
    tarn_duration duration = {-1, -1};
    tarn_error error;
    assert_ok(tarn_duration_parse(tarn_bytes_of(text), &duration, &error), &error);
    return duration;
}

static void test_every_unit_of_memory_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        int64_t bytes;
    } units[] = {
        {"", 1},
        {"b", 1},
        {"bytes", 1},
        {"k", 1 << 10},
        {"kb", 1 << 10},
        {"kibibytes", 1 << 10},
        {"m", 1 << 20},
        {"mb", 1 << 20},
        {"mebibytes", 1 << 20},
        {"g", 1 << 30},
        {"gb", 1 << 30},
        {"gibibytes", 1 << 30},
        {"t", INT64_C(1) << 40},
        {"tb", INT64_C(1) << 40},
        {"tebibytes", INT64_C(1) << 40},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, " \t3 \n%s\r ", units[i].label);
        assert_int_equal(size_of(text), 3 * units[i].bytes);
    }
    assert_int_equal(size_of("12 MebiBytes"), 12 << 20);
    assert_int_equal(size_of("2\xE2\x84\xAA\x62"), 2048); /* KELVIN SIGN is a capital k. */
    assert_int_equal(size_of("0009223372036854775807"), INT64_MAX);
}

static void test_what_is_no_memory_size_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "m",
        "-1",
        "+1",
        "1.5m",
        "1 kib",
        "1kilobytes",
        "1 m b",
        "1_000",
        "0x10",
        "1e3",
        "9223372036854775808",
        "9007199254740992k",
        ("\xC2\xA0"
         "1"),
        "1\xC2\xA0m",
        "1 p",
        "\xEF\xBC\x91m",
        "1 mebibytesmebibytesmebibytes"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t bytes = 42;
        tarn_error error;
        assert_int_equal(
            tarn_memory_size_parse(tarn_bytes_of(bad[i]), &bytes, &error), TARN_INVALID_ARGUMENT);
        assert_int_equal(bytes, 42);
        assert_non_null(strstr(error.message, bad[i]));
    }
}

static void expect_size(int64_t bytes, const char *plain, const char *human)
{
    char text[TARN_MEMORY_SIZE_TEXT_BYTES];
    tarn_memory_size_format(bytes, text);
    assert_string_equal(text, plain);
    tarn_memory_size_format_human(bytes, text);
    assert_string_equal(text, human);
}

static void test_sizes_are_written_as_flink_writes_them(void **state)
{
    (void)state;
    expect_size(0, "0 bytes", "0 bytes");
    expect_size(1024, "1 kb", "1024 bytes");
    expect_size(1025, "1025 bytes", "1.001kb (1025 bytes)");
    expect_size(1088, "1088 bytes", "1.063kb (1088 bytes)"); /* 1.0625 rounds half up. */
    expect_size(1728 << 20, "1728 mb", "1.688gb (1811939328 bytes)");
    expect_size(INT64_C(1) << 40, "1099511627776 bytes", "1024.000gb (1099511627776 bytes)");
    expect_size(
        INT64_MAX, "9223372036854775807 bytes", "8388608.000tb (9223372036854775807 bytes)");
}

static void test_every_unit_of_time_is_known(void **state)
{
    (void)state;
    static const char *const labels[] = {
        "d day days", "h hour hours", "min m minute minutes", "s sec secs second seconds"};
    static const int64_t seconds[] = {86400, 3600, 60, 1};
    for (size_t i = 0; i < 4; i++) {
        char list[64];
        assert_in_range(snprintf(list, sizeof list, "%s", labels[i]), 1, sizeof list - 1);
        char *rest = NULL;
        for (char *label = strtok_r(list, " ", &rest); label != NULL;
             label = strtok_r(NULL, " ", &rest)) {
            char text[64];
            snprintf(text, sizeof text, "2 %s", label);
            assert_int_equal(duration_of(text).seconds, 2 * seconds[i]);
        }
    }
    static const char *const small[] = {
        "",
        "ms",
        "milli",
        "millis",
        "millisecond",
        "milliseconds",
        "\xC2\xB5s",
        "micro",
        "micros",
        "microsecond",
        "microseconds",
        "ns",
        "nano",
        "nanos",
        "nanosecond",
        "nanoseconds"};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "5%s", small[i]);
        assert_int_equal(duration_of(text).nanos, i < 6 ? 5000000 : i < 11 ? 5000 : 5);
    }
}

static void test_a_duration_may_exceed_an_int64_of_nanoseconds(void **state)
{
    (void)state;
    const tarn_duration long_one = duration_of("9223372036854775807");
    assert_int_equal(long_one.seconds, INT64_C(9223372036854775));
    assert_int_equal(long_one.nanos, 807000000);
    assert_int_equal(duration_of("9223372036854775807s").seconds, INT64_MAX);
    assert_int_equal(duration_of("106751991167300d").seconds, INT64_C(106751991167300) * 86400);

    int64_t ms = 0;
    tarn_error error;
    assert_ok(tarn_duration_to_ms(long_one, &ms, &error), &error);
    assert_int_equal(ms, INT64_MAX);
    assert_int_equal(
        tarn_duration_to_ms(duration_of("9223372036854775807s"), &ms, &error),
        TARN_INVALID_ARGUMENT);
}

static void test_what_is_no_duration_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\t",
        "s",
        "-1s",
        "+1s",
        "1.5s",
        "PT10S",
        "1 mins",
        "1hr",
        "1w",
        "1 us",
        "1h30m",
        "1\xCE\xBCs",
        "9223372036854775808ns",
        "9223372036854775807d",
        "9223372036854775807min",
        "1\xC2\xA0s",
        "1 Second s"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tarn_duration duration = {42, 42};
        tarn_error error;
        assert_int_equal(
            tarn_duration_parse(tarn_bytes_of(bad[i]), &duration, &error), TARN_INVALID_ARGUMENT);
        assert_int_equal(duration.seconds, 42);
        assert_non_null(strstr(error.message, bad[i]));
    }
}

static void test_durations_are_written_in_the_largest_unit_that_divides(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"0", "0 ms"},
        {"24h", "1 d"},
        {"36 hours", "36 h"},
        {"90 s", "90 s"},
        {"120 secs", "2 min"},
        {"1500ms", "1500 ms"},
        {"1000 micros", "1 ms"},
        {"1500 micro", "1500 \xC2\xB5s"},
        {"1000000001ns", "1000000001 ns"},
        {"9223372036854775807", "9223372036854775807 ms"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[TARN_DURATION_TEXT_BYTES];
        tarn_duration_format(duration_of(pairs[i][0]), text);
        assert_string_equal(text, pairs[i][1]);
    }
}

static void test_doubles_are_written_as_java_writes_them(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {1000, "1000.0"},
        {1e7, "1.0E7"},
        {9999999, "9999999.0"},
        {0.001, "0.001"},
        {0.00099, "9.9E-4"},
        {1e10, "1.0E10"},
        {0.30000000000000004, "0.30000000000000004"},
        {123456789.125, "1.23456789125E8"},
        {-1.5, "-1.5"},
        {1e300, "1.0E300"},
        {5e-324, "4.9E-324"},
        {2.5, "2.5"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[TARN__JAVA_DOUBLE_TEXT_BYTES];
        tarn__java_double_encode(cases[i].number, text);
        assert_string_equal(text, cases[i].text);
    }
    char text[TARN__JAVA_DOUBLE_TEXT_BYTES];
    tarn__java_double_encode((double)NAN, text);
    assert_string_equal(text, "NaN");
    tarn__java_double_encode((double)-INFINITY, text);
    assert_string_equal(text, "-Infinity");
}

static void test_fractions_follow_javas_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {
        "0.5f", ".5", " 0.5 ", "5e-1", "0x1p-1", "0x.8p0D", "+0.5", "\t0.50F\n", "00.5"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        float single = 0;
        double real = 0;
        assert_true(tarn__java_float_decode(tarn_bytes_of(good[i]), &single));
        assert_true(tarn__java_double_decode(tarn_bytes_of(good[i]), &real));
        assert_true(single == 0.5F && real == 0.5);
    }
    static const char *const bad[] = {
        "",
        " ",
        ".",
        "e1",
        "1e",
        "0x1",
        "0x",
        "nan",
        "inf",
        "1,5",
        "0.5ff",
        "0.5 f",
        "--1",
        "infinity",
        "0xp1",
        "1_0",
        "1\xC2\xA0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        float single = 7;
        assert_false(tarn__java_float_decode(tarn_bytes_of(bad[i]), &single));
        assert_true(single == 7.0F);
    }
    float single = 0;
    assert_true(tarn__java_float_decode(tarn_bytes_of("NaN"), &single) && isnan(single));
    assert_true(tarn__java_float_decode(tarn_bytes_of("-Infinity"), &single) && isinf(single));
    assert_true(tarn__java_float_decode(tarn_bytes_of("0.1"), &single) && single == 0.1F);
}

static void test_integers_are_bounded_by_their_type(void **state)
{
    (void)state;
    int32_t small = 0;
    int64_t large = 0;
    assert_true(tarn__java_int_decode(tarn_bytes_of("-2147483648"), &small) && small == INT32_MIN);
    assert_true(tarn__java_int_decode(tarn_bytes_of("+007"), &small) && small == 7);
    assert_false(tarn__java_int_decode(tarn_bytes_of("2147483648"), &small));
    assert_true(tarn__java_long_decode(tarn_bytes_of("-9223372036854775808"), &large));
    assert_true(large == INT64_MIN);
    assert_false(tarn__java_long_decode(tarn_bytes_of("9223372036854775808"), &large));
    static const char *const bad[] = {"", "+", "-", " 1", "1 ", "1L", "0x1", "1.0", "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(tarn__java_long_decode(tarn_bytes_of(bad[i]), &large));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_unit_of_memory_is_known),
        cmocka_unit_test(test_what_is_no_memory_size_is_refused_by_name),
        cmocka_unit_test(test_sizes_are_written_as_flink_writes_them),
        cmocka_unit_test(test_every_unit_of_time_is_known),
        cmocka_unit_test(test_a_duration_may_exceed_an_int64_of_nanoseconds),
        cmocka_unit_test(test_what_is_no_duration_is_refused_by_name),
        cmocka_unit_test(test_durations_are_written_in_the_largest_unit_that_divides),
        cmocka_unit_test(test_doubles_are_written_as_java_writes_them),
        cmocka_unit_test(test_fractions_follow_javas_grammar),
        cmocka_unit_test(test_integers_are_bounded_by_their_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
