/*
 * Unit tests of cache/filter.c: what was added is never new; what was not is new but for the share
 * that its bits allow; growing, building anew, running out of memory and being of no use change the
 * second alone.
 */
#include "support/support.h"

#include <math.h>

#include "base/random.h"
#include "cache/filter.h"

enum { ROWS = 100000 };

typedef struct fixture {
    tarn__account account;
    tarn__filter_share share;
    tarn__filter filter;
} fixture;

static fixture *open_filter(double bits, uint64_t limit_bytes)
{
    static fixture f;
    tarn__account_init(&f.account, "test", NULL);
    f.share = (tarn__filter_share){.limit_bytes = limit_bytes};
    tarn__filter_init(&f.filter, &f.account, &f.share, bits, /* is_complete= */ true);
    return &f;
}

static void close_filter(fixture *f)
{
    tarn__filter_clear(&f->filter);
    assert_int_equal(f->share.used_bytes, 0);
    assert_int_equal(f->filter.memory_bytes, 0);
    assert_int_equal(f->account.bytes, 0);
}

static uint64_t row(uint64_t number)
{
    return tarn__random_mix(number);
}

/* As a state does that has a use for it: each new row is asked for before it is added. */
static void ask_and_add(fixture *f, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++) {
        f->filter.used_count += tarn__filter_is_new(&f->filter, row(i));
        tarn__filter_add(&f->filter, row(i));
    }
}

static void expect_known(fixture *f, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++) {
        assert_false(tarn__filter_is_new(&f->filter, row(i)));
        f->filter.used_count++; /* Asked by the test alone. */
    }
}

/* The share of rows never added that it does not know to be new. */
static double false_rate(fixture *f)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < ROWS; i++) {
        const bool is_new = tarn__filter_is_new(&f->filter, row(UINT64_C(1) << 40 | i));
        count += !is_new;
        f->filter.used_count++;
    }
    return (double)count / ROWS;
}

static void test_added_rows_are_known_and_others_new(void **state)
{
    (void)state;
    fixture *f = open_filter(10, 1 << 30);
    assert_true(tarn__filter_is_new(&f->filter, row(0)));
    ask_and_add(f, 0, ROWS);
    assert_true(f->filter.is_complete);
    assert_true(f->filter.layer_count > 1);
    expect_known(f, 0, ROWS);
    const double rate = false_rate(f);
    print_message("%u layers, false rate %.4f\n", f->filter.layer_count, rate);
    assert_true(rate < 0.04);
    close_filter(f);
}

static void test_a_filter_built_anew_is_one_of_the_right_size(void **state)
{
    (void)state;
    fixture *f = open_filter(10, 1 << 30);
    ask_and_add(f, 0, ROWS);
    assert_true(tarn__filter_begin(&f->filter, ROWS / 2));
    for (uint64_t i = 0; i < ROWS / 4; i++) { /* The others were removed meanwhile. */
        tarn__filter_build(&f->filter, row(i));
    }
    ask_and_add(f, ROWS, ROWS + ROWS / 4);
    tarn__filter_finish(&f->filter, ROWS / 4);
    assert_int_equal(f->filter.layer_count, 1);
    expect_known(f, 0, ROWS / 4);
    expect_known(f, ROWS, ROWS + ROWS / 4);
    assert_true(false_rate(f) < 0.02);
    close_filter(f);
}

static void test_what_is_added_while_building_counts_when_it_is_given_up(void **state)
{
    (void)state;
    fixture *f = open_filter(10, 1 << 30);
    ask_and_add(f, 0, 1000);
    assert_true(tarn__filter_begin(&f->filter, 1000));
    ask_and_add(f, 1000, 2000);
    tarn__filter_abandon(&f->filter);
    expect_known(f, 0, 2000);
    close_filter(f);
}

static void test_an_incomplete_filter_knows_nothing_to_be_new_until_it_is_built(void **state)
{
    (void)state;
    fixture *f = open_filter(10, 1 << 30);
    tarn__filter_init(&f->filter, &f->account, &f->share, 10, /* is_complete= */ false);
    tarn__filter_add(&f->filter, row(1));
    assert_false(tarn__filter_is_new(&f->filter, row(2)));
    assert_true(tarn__filter_begin(&f->filter, 10));
    tarn__filter_add(&f->filter, row(3));
    tarn__filter_build(&f->filter, row(1));
    assert_false(tarn__filter_is_new(&f->filter, row(2)));
    tarn__filter_finish(&f->filter, 1);
    assert_true(tarn__filter_is_new(&f->filter, row(2)));
    assert_false(tarn__filter_is_new(&f->filter, row(1)));
    assert_false(tarn__filter_is_new(&f->filter, row(3)));
    close_filter(f);
}

/* First it is fuller than it should be; when it is of no use any more it goes. */
static void test_without_memory_for_more_it_is_given_up_in_the_end(void **state)
{
    (void)state;
    fixture *f = open_filter(10, 40000);
    uint64_t i = 0;
    while (f->filter.is_complete) {
        f->filter.used_count++;
        tarn__filter_add(&f->filter, row(i++));
        assert_true(f->share.used_bytes <= 40000);
        assert_true(i < ROWS);
        assert_false(i % 100 == 0 && tarn__filter_is_new(&f->filter, row(i / 2)));
    }
    assert_true(i > 20000);
    assert_false(tarn__filter_is_new(&f->filter, row(i + 1)));
    assert_int_equal(f->share.used_bytes, 0);
    assert_int_equal(f->filter.drop_count, 1);
    close_filter(f);
}

static void test_one_that_nobody_has_a_use_for_does_not_grow(void **state)
{
    (void)state;
    fixture *f = open_filter(10, 1 << 30);
    for (uint64_t i = 0; i < ROWS * 3; i++) {
        tarn__filter_add(&f->filter, row(i));
    }
    assert_false(f->filter.is_complete);
    assert_int_equal(f->filter.memory_bytes, 0);
    close_filter(f);

    f = open_filter(10, 1 << 30);
    ask_and_add(f, 0, ROWS);
    for (uint64_t i = 0; i < ROWS; i++) {
        (void)tarn__filter_is_new(&f->filter, row(i));
    }
    assert_false(f->filter.is_complete);
    close_filter(f);
}

static void test_few_bits_are_right_too(void **state)
{
    (void)state;
    static const double BITS[] = {1, 1.5, 4, 32};
    for (size_t i = 0; i < sizeof BITS / sizeof BITS[0]; i++) {
        fixture *f = open_filter(BITS[i], 1 << 30);
        ask_and_add(f, 0, ROWS);
        if (f->filter.is_complete) {
            expect_known(f, 0, ROWS);
            print_message("%.1f bits: false rate %.4f\n", BITS[i], false_rate(f));
        }
        close_filter(f);
    }
}

/* Of one layer: rows fall into blocks by chance, and each sets its bits of the 512 by chance. */
static double theoretical_rate(const tarn__filter *filter)
{
    const double rows_per_block = (double)ROWS / (double)filter->layers[0].block_count;
    double share = exp(-rows_per_block); /* Of blocks with so many rows. */
    double rate = 0;
    for (uint32_t rows = 1; rows < 4096; rows++) {
        share *= rows_per_block / rows;
        const double is_set = 1 - pow(1 - 1.0 / 512, rows * filter->probe_count);
        rate += share * pow(is_set, filter->probe_count);
    }
    return rate;
}

static void test_false_answers_are_as_many_as_the_theory_says(void **state)
{
    (void)state;
    static const double BITS[] = {2, 4, 6, 10, 16};
    for (size_t i = 0; i < sizeof BITS / sizeof BITS[0]; i++) {
        fixture *f = open_filter(BITS[i], 1 << 30);
        assert_true(tarn__filter_begin(&f->filter, ROWS));
        for (uint64_t k = 0; k < ROWS; k++) {
            tarn__filter_build(&f->filter, row(k));
        }
        tarn__filter_finish(&f->filter, ROWS);
        const double expected = theoretical_rate(&f->filter);
        const double rate = false_rate(f);
        const double deviation = sqrt(expected * (1 - expected) / ROWS);
        print_message("%.0f bits: false rate %.5f, expected %.5f\n", BITS[i], rate, expected);
        assert_true(fabs(rate - expected) < 0.05 * expected + 4 * deviation);
        close_filter(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_added_rows_are_known_and_others_new),
        cmocka_unit_test(test_a_filter_built_anew_is_one_of_the_right_size),
        cmocka_unit_test(test_what_is_added_while_building_counts_when_it_is_given_up),
        cmocka_unit_test(test_an_incomplete_filter_knows_nothing_to_be_new_until_it_is_built),
        cmocka_unit_test(test_without_memory_for_more_it_is_given_up_in_the_end),
        cmocka_unit_test(test_one_that_nobody_has_a_use_for_does_not_grow),
        cmocka_unit_test(test_few_bits_are_right_too),
        cmocka_unit_test(test_false_answers_are_as_many_as_the_theory_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
