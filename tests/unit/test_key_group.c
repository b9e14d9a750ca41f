/*
 * Unit tests of key groups and hashes: what the vectors do not have, above all bad input. A key
 * that hashes differently after an upgrade is state that is lost, so known values stand here too.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "tarn/key_group.h"

static int32_t hash_text(const char *text)
{
    return tarn_hash_java_string(text, strlen(text));
}

static void test_known_keys_keep_their_hashes(void **state)
{
    (void)state;
    assert_int_equal(tarn_hash_java_int(-7), -7);
    assert_int_equal(tarn_hash_java_long(INT64_C(1) << 32), 1);
    assert_int_equal(tarn_hash_java_long(-1), 0);
    assert_int_equal(hash_text(""), 0);
    assert_int_equal(hash_text("hello"), 99162322);
    assert_int_equal(tarn_hash_java_bytes(tarn_bytes_at(NULL, 0)), 1);
    assert_int_equal(tarn_hash_java_bytes(tarn_bytes_at("\xff", 1)), 30);
    assert_int_equal(tarn_hash_bytes(tarn_bytes_at("", 0)), 0x38d394c2);
    assert_int_equal(tarn_hash_murmur(0), 593689054);
}

/* A key outside of the basic plane counts as its two UTF-16 units. */
static void test_a_supplementary_character_hashes_as_a_surrogate_pair(void **state)
{
    (void)state;
    const uint32_t expected = 31u * 0xD83Du + 0xDE00u;
    assert_int_equal(hash_text("\xF0\x9F\x98\x80"), (int32_t)expected);
    assert_int_equal(hash_text("\xF4\x8F\xBF\xBF"), (int32_t)(31u * 0xDBFFu + 0xDFFFu));
}

/* Expected: U+FFFD for each of the bytes. */
static int32_t hash_replacements(size_t count)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < count; i++) {
        hash = 31 * hash + 0xFFFD;
    }
    return (int32_t)hash;
}

static void test_each_invalid_byte_counts_as_a_replacement_character(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\x80",             /* A continuation alone. */
        "\xC3",             /* Cut after the first byte. */
        "\xE2\x82",         /* Cut after the second. */
        "\xF0\x9F\x98",     /* Cut after the third. */
        "\xC0\x80",         /* Longer than needed. */
        "\xE0\x80\x80",     /* Longer than needed. */
        "\xF0\x80\x80\x80", /* Longer than needed. */
        "\xED\xA0\x80",     /* A surrogate. */
        "\xF4\x90\x80\x80", /* Beyond U+10FFFF. */
        "\xF8\x88\x80\x80\x80",
        "\xFF\xFE",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(hash_text(texts[i]), hash_replacements(strlen(texts[i])));
    }
    /* The byte after a broken sequence is read on its own. */
    assert_int_equal(hash_text("\xC3(") /* U+FFFD ( */, (int32_t)(31u * 0xFFFDu + '('));
}

/* The text ends where its memory ends; sanitizers see a read beyond it. */
static void test_a_cut_sequence_is_not_read_beyond_its_end(void **state)
{
    (void)state;
    static const char text[] = "ab\xF0\x9F\x98\x80";
    for (size_t size = 0; size < sizeof text; size++) {
        char *exact = test_malloc(size + 1);
        memcpy(exact + 1, text, size);
        const int32_t expected = tarn_hash_java_string(text, size);
        assert_int_equal(tarn_hash_java_string(exact + 1, size), expected);
        test_free(exact);
    }
}

static void test_murmur_is_never_negative(void **state)
{
    (void)state;
    static const int32_t edges[] = {INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        assert_true(tarn_hash_murmur(edges[i]) >= 0);
    }
    /* Scatters to INT32_MIN, which has no positive counterpart. */
    assert_int_equal(tarn_hash_murmur(-2089875627), 0);
    for (int32_t hash = -20000; hash < 20000; hash++) {
        assert_true(tarn_hash_murmur(hash * 104729 % 2147483) >= 0);
    }
}

/* Every group belongs to exactly one subtask, and both ways of asking agree on which. */
static void test_ranges_partition_the_groups(void **state)
{
    (void)state;
    static const uint32_t maxima[] = {1, 2, 7, 128, 129, 4096, 32767, 32768};
    for (size_t m = 0; m < sizeof maxima / sizeof maxima[0]; m++) {
        const uint32_t max = maxima[m];
        const uint32_t step = max / 9 + 1;
        for (uint32_t parallelism = 1; parallelism <= max; parallelism += step) {
            uint32_t next = 0;
            for (uint32_t subtask = 0; subtask < parallelism; subtask++) {
                tarn_key_group_range range;
                tarn_error error;
                assert_ok(
                    tarn_key_group_range_of(subtask, parallelism, max, &range, &error), &error);
                assert_int_equal(range.first, next);
                assert_int_equal(tarn_key_group_subtask(range.first, max, parallelism), subtask);
                assert_int_equal(tarn_key_group_subtask(range.last, max, parallelism), subtask);
                next = range.last + 1u;
            }
            assert_int_equal(next, max);
        }
    }
}

static void expect_refused(
    uint32_t subtask, uint32_t parallelism, uint32_t max_parallelism, const char *named)
{
    tarn_key_group_range range = {.first = 11, .last = 22};
    tarn_error error;
    assert_int_equal(
        tarn_key_group_range_of(subtask, parallelism, max_parallelism, &range, &error),
        TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, named));
    assert_int_equal(range.first, 11);
    assert_int_equal(range.last, 22);
    assert_int_equal(
        tarn_key_group_range_of(subtask, parallelism, max_parallelism, &range, NULL),
        TARN_INVALID_ARGUMENT);
}

static void test_a_range_out_of_bounds_is_refused_by_name(void **state)
{
    (void)state;
    expect_refused(0, 1, 0, "max_parallelism is 0");
    expect_refused(0, 1, 32769, "max_parallelism is 32769");
    expect_refused(0, 0, 128, "parallelism is 0");
    expect_refused(0, 129, 128, "parallelism is 129");
    expect_refused(4, 4, 128, "subtask is 4");
    expect_refused(UINT32_MAX, 4, 128, "subtask is 4294967295");
}

static void test_the_default_maximum_jumps_where_flinks_does(void **state)
{
    (void)state;
    assert_int_equal(tarn_max_parallelism_default(1), 128);
    assert_int_equal(tarn_max_parallelism_default(85), 128);
    assert_int_equal(tarn_max_parallelism_default(86), 256);
    assert_int_equal(tarn_max_parallelism_default(21845), 32768);
    assert_int_equal(tarn_max_parallelism_default(32768), 32768);
    assert_int_equal(tarn_max_parallelism_default(0), 0);
    assert_int_equal(tarn_max_parallelism_default(32769), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_keys_keep_their_hashes),
        cmocka_unit_test(test_a_supplementary_character_hashes_as_a_surrogate_pair),
        cmocka_unit_test(test_each_invalid_byte_counts_as_a_replacement_character),
        cmocka_unit_test(test_a_cut_sequence_is_not_read_beyond_its_end),
        cmocka_unit_test(test_murmur_is_never_negative),
        cmocka_unit_test(test_ranges_partition_the_groups),
        cmocka_unit_test(test_a_range_out_of_bounds_is_refused_by_name),
        cmocka_unit_test(test_the_default_maximum_jumps_where_flinks_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
