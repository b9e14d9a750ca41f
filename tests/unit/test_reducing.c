/*
 * Unit tests of state/reducing.c, state/aggregating.c and state/fold.c: blind adds of built-in
 * reducers, functions of the program's and their failures, and what is stored being what is opened.
 */
#include "support/kinds_fixture.h"

#include <string.h>

static tarn_reducing *open_reducing(
    kinds_fixture *f, const char *name, tarn_reducer reducer, tarn_number number)
{
    tarn_reducing_options how = TARN_REDUCING_OPTIONS_INIT;
    tarn_reducing *state = NULL;
    how.reducer = reducer;
    how.number = number;
    how.reduce = kinds_append_text;
    assert_ok(
        tarn_reducing_open(f->backend, kinds_options(f, name), &how, &state, &f->error), &f->error);
    return state;
}

static tarn_aggregating *open_aggregating(kinds_fixture *f, bool has_result, bool merges)
{
    tarn_aggregating_options how = TARN_AGGREGATING_OPTIONS_INIT;
    tarn_aggregating *state = NULL;
    how.add = kinds_add_text;
    how.get_result = has_result ? kinds_bracket : NULL;
    how.merge = merges ? kinds_append_text : NULL;
    assert_ok(
        tarn_aggregating_open(f->backend, kinds_options(f, "agg"), &how, &state, &f->error),
        &f->error);
    return state;
}

static void test_adds_become_one_before_and_after_a_flush(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *sum = open_reducing(f, "sum", TARN_REDUCER_SUM, TARN_NUMBER_I64);
    int64_t read = 77;
    kinds_set_key(f, "k");
    assert_int_equal(tarn_reducing_get_i64(sum, &read, &f->error), TARN_NOT_FOUND);
    assert_int_equal(read, 77);
    for (int64_t i = 1; i <= 1000; i++) {
        assert_ok(tarn_reducing_add_i64(sum, i, &f->error), &f->error);
        if (i % 300 == 0) {
            assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
        }
    }
    assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
    assert_int_equal(read, 500500);
    tarn__rocks_compact(tarn__rocks_find_family(f->backend->rocks, "sum"));
    assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
    assert_int_equal(read, 500500);
    assert_ok(tarn_reducing_clear(sum, &f->error), &f->error);
    assert_int_equal(tarn_reducing_get_i64(sum, &read, &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_reducing_add_i64(sum, -5, &f->error), &f->error);
    assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
    assert_int_equal(read, -5);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

static void test_numbers_are_of_the_type_that_they_were_opened_with(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *count = open_reducing(f, "count", TARN_REDUCER_COUNT, TARN_NUMBER_I64);
    tarn_reducing *max = open_reducing(f, "max", TARN_REDUCER_MAX, TARN_NUMBER_F64);
    uint64_t counted = 0;
    int64_t wrong = 0;
    double most = 0;
    tarn_bytes bytes;
    kinds_set_key(f, "k");
    assert_ok(tarn_reducing_add_u64(count, 99, &f->error), &f->error);
    assert_ok(tarn_reducing_add_u64(count, 99, &f->error), &f->error);
    assert_ok(tarn_reducing_get_u64(count, &counted, &f->error), &f->error);
    assert_int_equal(counted, 2);
    assert_ok(tarn_reducing_add_f64(max, -1.5, &f->error), &f->error);
    assert_ok(tarn_reducing_add_f64(max, -2.5, &f->error), &f->error);
    assert_ok(tarn_reducing_get_f64(max, &most, &f->error), &f->error);
    assert_true(most > -1.6 && most < -1.4);
    kinds_expect_failure(f, tarn_reducing_add_i64(max, 1, &f->error), TARN_INVALID_ARGUMENT, "max");
    assert_int_equal(tarn_reducing_get_i64(count, &wrong, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_reducing_get(count, &bytes, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_reducing_add(count, tarn_bytes_of("x"), &f->error), TARN_INVALID_ARGUMENT);
    assert_ok(tarn_reducing_close(count, &f->error), &f->error);
    assert_ok(tarn_reducing_close(max, &f->error), &f->error);
}

static void test_a_function_of_the_programs_reduces_in_order(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *text = open_reducing(f, "text", TARN_REDUCER_FUNCTION, TARN_NUMBER_I64);
    tarn_bytes read;
    kinds_set_key(f, "k");
    assert_ok(tarn_reducing_add(text, tarn_bytes_of(""), &f->error), &f->error);
    assert_ok(tarn_reducing_get(text, &read, &f->error), &f->error); /* Empty is there. */
    assert_int_equal(read.size, 0);
    assert_ok(tarn_reducing_add(text, tarn_bytes_of("a"), &f->error), &f->error);
    assert_ok(tarn_reducing_add(text, tarn_bytes_of("b"), &f->error), &f->error);
    assert_ok(tarn_reducing_get(text, &read, &f->error), &f->error);
    assert_ok(tarn_reducing_add(text, read, &f->error), &f->error); /* What was given out. */
    assert_ok(tarn_reducing_get(text, &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("abab")));
    assert_int_equal(tarn_reducing_add_i64(text, 1, &f->error), TARN_INVALID_ARGUMENT);
    assert_ok(tarn_reducing_close(text, &f->error), &f->error);
}

static void test_a_function_that_fails_changes_nothing(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *text = open_reducing(f, "text", TARN_REDUCER_FUNCTION, TARN_NUMBER_I64);
    tarn_bytes read;
    kinds_set_key(f, "k");
    assert_ok(tarn_reducing_add(text, tarn_bytes_of("a"), &f->error), &f->error);
    kinds_expect_failure(
        f, tarn_reducing_add(text, tarn_bytes_of("!"), &f->error), TARN_DECLINED, "text");
    assert_ok(tarn_reducing_get(text, &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("a")));
    kinds_set_namespace(f, tarn_reducing_keyed(text), "w");
    assert_ok(tarn_reducing_add(text, tarn_bytes_of("!"), &f->error), &f->error); /* The first. */
    const tarn_bytes source = tarn_bytes_of("w");
    assert_int_equal(
        tarn_keyed_merge_namespaces(
            tarn_reducing_keyed(text), &source, 1, tarn_bytes_of(""), &f->error),
        TARN_DECLINED);
    assert_int_equal(kinds_count_keys(f, tarn_reducing_keyed(text), NULL), 2);
    assert_ok(tarn_reducing_close(text, &f->error), &f->error);
}

/* What is absent is not a zero: min of it and 5 is 5, and nothing of nothing is nothing. */
static void test_absent_namespaces_add_nothing_when_they_are_merged(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *least = open_reducing(f, "least", TARN_REDUCER_MIN, TARN_NUMBER_I64);
    tarn_aggregating *agg = open_aggregating(f, /* has_result= */ true, /* merges= */ true);
    tarn_keyed *const keyed[] = {tarn_reducing_keyed(least), tarn_aggregating_keyed(agg)};
    const tarn_bytes sources[] = {tarn_bytes_of("none"), tarn_bytes_of("w"), tarn_bytes_of("nor")};
    const tarn_bytes target = tarn_bytes_of("t");
    tarn_bytes read;
    int64_t number = 77;
    kinds_set_key(f, "k");
    for (uint32_t i = 0; i < 2; i++) {
        assert_ok(tarn_keyed_merge_namespaces(keyed[i], sources, 3, target, &f->error), &f->error);
        assert_ok(tarn_keyed_merge_namespaces(keyed[i], NULL, 0, target, &f->error), &f->error);
        assert_int_equal(kinds_count_keys(f, keyed[i], NULL), 0);
        kinds_set_namespace(f, keyed[i], "w");
    }
    assert_ok(tarn_reducing_add_i64(least, 5, &f->error), &f->error);
    assert_ok(tarn_aggregating_add(agg, tarn_bytes_of("a"), &f->error), &f->error);
    for (uint32_t i = 0; i < 2; i++) {
        assert_ok(tarn_keyed_merge_namespaces(keyed[i], sources, 3, target, &f->error), &f->error);
        assert_ok(/* All are absent now: the target stays. */
                  tarn_keyed_merge_namespaces(keyed[i], sources, 3, target, &f->error),
                  &f->error);
        assert_int_equal(kinds_count_keys(f, keyed[i], NULL), 1);
        kinds_set_namespace(f, keyed[i], "t");
    }
    assert_ok(tarn_reducing_get_i64(least, &number, &f->error), &f->error);
    assert_int_equal(number, 5);
    assert_ok(tarn_aggregating_get(agg, &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("[a]")));
    assert_ok(tarn_aggregating_close(agg, &f->error), &f->error);
    assert_ok(tarn_reducing_close(least, &f->error), &f->error);
}

static void test_an_aggregate_stores_the_accumulator_and_answers_the_result(void **state)
{
    kinds_fixture *f = *state;
    tarn_aggregating *agg = open_aggregating(f, /* has_result= */ true, /* merges= */ false);
    tarn_bytes read = {NULL, 7};
    kinds_set_key(f, "k");
    assert_int_equal(tarn_aggregating_get(agg, &read, &f->error), TARN_NOT_FOUND);
    assert_int_equal(read.size, 7);
    assert_ok(tarn_aggregating_add(agg, tarn_bytes_of("a"), &f->error), &f->error);
    assert_ok(tarn_aggregating_get(agg, &read, &f->error), &f->error);
    assert_ok(tarn_aggregating_add(agg, read, &f->error), &f->error); /* The result, added. */
    assert_ok(tarn_aggregating_get(agg, &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("[a[a]]")));
    kinds_expect_failure(
        f,
        tarn_keyed_merge_namespaces(
            tarn_aggregating_keyed(agg), &read, 1, tarn_bytes_of("x"), &f->error),
        TARN_NOT_SUPPORTED,
        "agg");
    assert_ok(tarn_aggregating_close(agg, &f->error), &f->error);
    agg = open_aggregating(f, /* has_result= */ false, /* merges= */ true);
    assert_ok(tarn_aggregating_set_namespace(agg, tarn_bytes_of("w"), &f->error), &f->error);
    assert_ok(tarn_aggregating_add(agg, tarn_bytes_of("z"), &f->error), &f->error);
    const tarn_bytes source = tarn_bytes_of("w");
    assert_ok(
        tarn_keyed_merge_namespaces(
            tarn_aggregating_keyed(agg), &source, 1, tarn_bytes_of(""), &f->error),
        &f->error);
    assert_int_equal(tarn_aggregating_get(agg, &read, &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_aggregating_set_namespace(agg, tarn_bytes_of(""), &f->error), &f->error);
    assert_ok(tarn_aggregating_get(agg, &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("a[a]z")));
    assert_ok(tarn_aggregating_clear(agg, &f->error), &f->error);
    assert_int_equal(tarn_aggregating_get(agg, &read, &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_aggregating_close(agg, &f->error), &f->error);
}

static void test_bad_options_are_refused_by_name(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing_options how = TARN_REDUCING_OPTIONS_INIT;
    tarn_aggregating_options agg = TARN_AGGREGATING_OPTIONS_INIT;
    tarn_reducing *reducing = NULL;
    tarn_aggregating *aggregating = NULL;
    const tarn_state_options *options = kinds_options(f, "r");
    kinds_expect_failure(
        f,
        tarn_reducing_open(f->backend, options, &how, &reducing, &f->error),
        TARN_INVALID_ARGUMENT,
        "reduce");
    how.reducer = TARN_REDUCER_BIT_OR;
    how.number = TARN_NUMBER_F64;
    kinds_expect_failure(
        f,
        tarn_reducing_open(f->backend, options, &how, &reducing, &f->error),
        TARN_INVALID_ARGUMENT,
        "type 2");
    kinds_expect_failure(
        f,
        tarn_aggregating_open(f->backend, options, &agg, &aggregating, &f->error),
        TARN_INVALID_ARGUMENT,
        "add");
    assert_null(reducing);
    assert_null(aggregating);
}

static void test_another_kind_or_reducer_is_refused_and_both_are_named(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *sum = open_reducing(f, "s", TARN_REDUCER_SUM, TARN_NUMBER_I64);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
    tarn_map *map = NULL;
    const tarn_state_options *options = kinds_options(f, "s");
    kinds_expect_failure(
        f, tarn_map_open(f->backend, options, &map, &f->error), TARN_INCOMPATIBLE, "reducing");
    assert_non_null(strstr(f->error.message, "map"));
    tarn_reducing_options how = TARN_REDUCING_OPTIONS_INIT;
    how.reducer = TARN_REDUCER_MAX;
    kinds_expect_failure(
        f,
        tarn_reducing_open(f->backend, options, &how, &sum, &f->error),
        TARN_INCOMPATIBLE,
        "0x30");
    f->options.layout = TARN_LAYOUT_NAMESPACE_FIRST;
    how.reducer = TARN_REDUCER_SUM;
    kinds_expect_failure(
        f,
        tarn_reducing_open(f->backend, options, &how, &sum, &f->error),
        TARN_INCOMPATIBLE,
        "namespaces first");
}

/* What is no reduction is found by the read, whether it is alone or an add came after it. */
static void test_a_row_that_no_reducer_wrote_is_corruption(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *sum = open_reducing(f, "sum", TARN_REDUCER_SUM, TARN_NUMBER_I64);
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, "sum");
    int64_t read;
    kinds_set_key(f, "k");
    tarn_bytes row = tarn_bytes_at(f->backend->row.data, f->backend->row.size);
    tarn_buffer named = TARN_BUFFER_INIT;
    assert_int_equal(tarn_buffer_assign(&named, row), TARN_OK);
    assert_int_equal(tarn_buffer_append(&named, tarn_bytes_at("\0", 1)), TARN_OK);
    assert_ok(
        tarn__rocks_put(family, tarn_buffer_bytes(&named), tarn_bytes_of("odd"), &f->error),
        &f->error);
    /* It came behind the back of the filter of new keys: begin again, without one. */
    const uint64_t bytes = 1 << 20;
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, bytes, &f->error), &f->error);
    kinds_expect_failure(f, tarn_reducing_get_i64(sum, &read, &f->error), TARN_CORRUPTION, "sum");
    /* The working set has it now, and an add finds out at once. */
    kinds_expect_failure(f, tarn_reducing_add_i64(sum, 1, &f->error), TARN_CORRUPTION, "sum");
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    assert_ok(tarn_reducing_add_i64(sum, 1, &f->error), &f->error);
    assert_int_equal(tarn_reducing_get_i64(sum, &read, &f->error), TARN_CORRUPTION);
    tarn_buffer_clear(&named);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

/* Adds to keys that are not in memory read nothing; what they make is there at the first read. */
static void test_blind_adds_stay_in_the_working_set_until_they_are_read(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *sum = open_reducing(f, "sum", TARN_REDUCER_SUM, TARN_NUMBER_I64);
    tarn_working_set_stats stats;
    int64_t read = 0;
    kinds_set_key(f, "k");
    assert_ok(tarn_reducing_add_i64(sum, 100, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, 1 << 20, &f->error), &f->error);
    for (int64_t i = 1; i <= 10; i++) {
        assert_ok(tarn_reducing_add_i64(sum, i, &f->error), &f->error);
    }
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_int_equal(stats.written_count, 0);
    assert_int_equal(stats.dirty_count, 1);
    assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
    assert_int_equal(read, 155);
    assert_ok(tarn_reducing_clear(sum, &f->error), &f->error);
    assert_ok(tarn_reducing_add_i64(sum, 7, &f->error), &f->error);
    assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
    assert_int_equal(read, 7);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_adds_become_one_before_and_after_a_flush),
        TEST(test_numbers_are_of_the_type_that_they_were_opened_with),
        TEST(test_a_function_of_the_programs_reduces_in_order),
        TEST(test_a_function_that_fails_changes_nothing),
        TEST(test_absent_namespaces_add_nothing_when_they_are_merged),
        TEST(test_an_aggregate_stores_the_accumulator_and_answers_the_result),
        TEST(test_bad_options_are_refused_by_name),
        TEST(test_another_kind_or_reducer_is_refused_and_both_are_named),
        TEST(test_a_row_that_no_reducer_wrote_is_corruption),
        TEST(test_blind_adds_stay_in_the_working_set_until_they_are_read),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
