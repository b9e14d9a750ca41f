/*
 * Unit tests of codec/reduction.c, codec/chunk.c and codec/stamp.h: folding gives the same in every
 * grouping, a stamp expires at its exact millisecond, and damaged bytes are told.
 */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "codec/chunk.h"
#include "codec/reduction.h"
#include "codec/stamp.h"

static void test_a_stamp_expires_at_its_exact_millisecond(void **state)
{
    (void)state;
    assert_false(tarn__stamp_is_expired(100, 10, 109));
    assert_true(tarn__stamp_is_expired(100, 10, 110));
    assert_true(tarn__stamp_is_expired(-100, 10, -90));
    assert_false(tarn__stamp_is_expired(-100, 10, -91));
    assert_false(tarn__stamp_is_expired(1, INT64_MAX, INT64_MAX - 1)); /* The sum saturates. */
    assert_true(tarn__stamp_is_expired(1, INT64_MAX, INT64_MAX));
    assert_false(tarn__stamp_is_expired(INT64_MIN + 1, INT64_MAX, -1));
    assert_true(tarn__stamp_is_expired(INT64_MIN + 1, INT64_MAX, 0));
    assert_false(tarn__stamp_is_expired(INT64_MIN, 1, INT64_MAX)); /* An unknown time. */
    assert_false(tarn__stamp_is_expired(100, 10, 50));             /* A clock that went back. */
}

static void test_a_stamp_comes_back_whatever_it_is(void **state)
{
    (void)state;
    static const int64_t STAMPS[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1700000000123};
    static const uint8_t EXPECTED[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe};
    uint8_t bytes[TARN__STAMP_BYTES];
    for (size_t i = 0; i < sizeof STAMPS / sizeof STAMPS[0]; i++) {
        tarn__stamp_encode(bytes, STAMPS[i]);
        assert_true(tarn__stamp_decode(bytes) == STAMPS[i]);
    }
    tarn__stamp_encode(bytes, -2);
    assert_memory_equal(bytes, EXPECTED, sizeof EXPECTED);
}

/* The threshold says of every earlier stamp what the rule says. */
static void test_a_threshold_agrees_with_the_rule(void **state)
{
    (void)state;
    tarn__random random = {1};
    static const int64_t TIMES[] = {INT64_MIN + 1, -1000, -1, 0, 1, 1000, INT64_MAX - 1, INT64_MAX};
    static const int64_t TTLS[] = {1, 10, 1000, INT64_MAX};
    for (size_t t = 0; t < 8; t++) {
        for (size_t l = 0; l < 4; l++) {
            const int64_t threshold = tarn__reduction_threshold(TIMES[t], TTLS[l]);
            for (uint32_t i = 0; i < 100; i++) {
                const int64_t near = (int64_t)tarn__random_below(&random, 2100) - 1050;
                const int64_t stamp = i % 2 == 0 ? near : TIMES[i / 2 % 8];
                const bool counts = threshold == INT64_MIN || stamp > threshold;
                assert_int_equal(counts, !tarn__stamp_is_expired(stamp, TTLS[l], TIMES[t]));
            }
        }
    }
}

static tarn__reduction random_reduction(tarn__random *random, uint8_t tag, bool is_stamped)
{
    tarn__reduction made = {
        .tag = tag,
        .is_stamped = is_stamped,
        .threshold_ms = INT64_MIN,
        .bits = tarn__random_below(random, 5) + (tarn__random_next(random) << 63),
    };
    if (is_stamped) {
        made.stamp_ms = (int64_t)tarn__random_below(random, 30); /* In no order at all. */
        made.threshold_ms = tarn__random_below(random, 4) == 0 ? INT64_MIN : made.stamp_ms - 8;
    }
    return made;
}

static void expect_same(const tarn__reduction *a, const tarn__reduction *b)
{
    assert_true(a->bits == b->bits);
    assert_true(a->stamp_ms == b->stamp_ms);
    assert_true(a->threshold_ms == b->threshold_ms);
}

static void test_folding_is_the_same_in_every_grouping(void **state)
{
    (void)state;
    tarn__random random = {2};
    for (uint32_t round = 0; round < 200000; round++) {
        const tarn_reducer reducer = (tarn_reducer)(1 + tarn__random_below(&random, 7));
        const uint8_t tag = tarn__reduction_tag(
            reducer, reducer == TARN_REDUCER_COUNT ? TARN_NUMBER_U64 : (tarn_number)(round % 2));
        const bool is_stamped = tarn__random_below(&random, 4) != 0;
        tarn__reduction left = random_reduction(&random, tag, is_stamped);
        tarn__reduction middle = random_reduction(&random, tag, is_stamped);
        const tarn__reduction right = random_reduction(&random, tag, is_stamped);
        tarn__reduction from_left = left;
        assert_true(tarn__reduction_fold(&from_left, &middle));
        assert_true(tarn__reduction_fold(&from_left, &right));
        assert_true(tarn__reduction_fold(&middle, &right));
        assert_true(tarn__reduction_fold(&left, &middle));
        expect_same(&from_left, &left);
    }
}

static uint64_t fold_two(tarn_reducer reducer, tarn_number number, uint64_t a, uint64_t b)
{
    const uint8_t tag = tarn__reduction_tag(reducer, number);
    tarn__reduction x = {
        .tag = tag, .threshold_ms = INT64_MIN, .bits = tarn__reduction_operand(tag, a)};
    const tarn__reduction y = {
        .tag = tag, .threshold_ms = INT64_MIN, .bits = tarn__reduction_operand(tag, b)};
    assert_true(tarn__reduction_fold(&x, &y));
    return x.bits;
}

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static void test_each_reducer_does_what_it_is_called(void **state)
{
    (void)state;
    const uint64_t minus = (uint64_t)-3;
    assert_true(fold_two(TARN_REDUCER_SUM, TARN_NUMBER_I64, INT64_MAX, 1) == (uint64_t)INT64_MIN);
    assert_true(fold_two(TARN_REDUCER_SUM, TARN_NUMBER_U64, UINT64_MAX, 2) == 1);
    assert_true(fold_two(TARN_REDUCER_MIN, TARN_NUMBER_I64, minus, 3) == minus);
    assert_true(fold_two(TARN_REDUCER_MIN, TARN_NUMBER_U64, minus, 3) == 3);
    assert_true(fold_two(TARN_REDUCER_MAX, TARN_NUMBER_I64, minus, 3) == 3);
    assert_true(fold_two(TARN_REDUCER_MAX, TARN_NUMBER_U64, minus, 3) == minus);
    assert_true(fold_two(TARN_REDUCER_COUNT, TARN_NUMBER_U64, 77, 99) == 2);
    assert_true(fold_two(TARN_REDUCER_FIRST, TARN_NUMBER_I64, 5, 6) == 5);
    assert_true(fold_two(TARN_REDUCER_LAST, TARN_NUMBER_I64, 5, 6) == 6);
    assert_true(fold_two(TARN_REDUCER_BIT_OR, TARN_NUMBER_U64, 5, 6) == 7);
    const uint64_t one = bits_of(1.5);
    const uint64_t two = bits_of(-2.0);
    const uint64_t none = bits_of((double)NAN);
    assert_true(fold_two(TARN_REDUCER_SUM, TARN_NUMBER_F64, one, two) == bits_of(-0.5));
    assert_true(fold_two(TARN_REDUCER_MIN, TARN_NUMBER_F64, one, two) == two);
    assert_true(fold_two(TARN_REDUCER_MAX, TARN_NUMBER_F64, two, one) == one);
    assert_true(fold_two(TARN_REDUCER_MIN, TARN_NUMBER_F64, none, one) == one);
    assert_true(fold_two(TARN_REDUCER_MAX, TARN_NUMBER_F64, one, none) == one);
}

static void test_reductions_of_two_states_do_not_fold(void **state)
{
    (void)state;
    tarn__reduction sum = {.tag = tarn__reduction_tag(TARN_REDUCER_SUM, TARN_NUMBER_I64)};
    const tarn__reduction min = {.tag = tarn__reduction_tag(TARN_REDUCER_MIN, TARN_NUMBER_I64)};
    const tarn__reduction stamped = {.tag = sum.tag, .is_stamped = true};
    assert_false(tarn__reduction_fold(&sum, &min));
    assert_false(tarn__reduction_fold(&sum, &stamped));
    assert_int_equal(tarn__reduction_tag(TARN_REDUCER_BIT_OR, TARN_NUMBER_F64), 0);
    assert_int_equal(tarn__reduction_tag(TARN_REDUCER_FUNCTION, TARN_NUMBER_I64), 0);
    assert_int_equal(tarn__reduction_tag((tarn_reducer)8, TARN_NUMBER_I64), 0);
    assert_int_equal(tarn__reduction_tag(TARN_REDUCER_SUM, (tarn_number)3), 0);
}

static void test_a_reduction_comes_back_and_the_layout_is_the_documented_one(void **state)
{
    (void)state;
    static const uint8_t PLAIN[] = {0x10, 0, 0, 0, 0, 0, 0, 0x12, 0x34};
    static const uint8_t STAMPED[] = {0,    0,    0,    0,    0,    0,    0,    7,    0x10,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd, 0,
                                      0,    0,    0,    0,    0,    0,    9};
    tarn__reduction reduction;
    uint8_t bytes[TARN__REDUCTION_BYTES_MAX];
    assert_true(tarn__reduction_decode(tarn_bytes_at(PLAIN, sizeof PLAIN), &reduction));
    assert_true(reduction.bits == 0x1234 && !reduction.is_stamped);
    assert_int_equal(tarn__reduction_encode(&reduction, bytes), sizeof PLAIN);
    assert_memory_equal(bytes, PLAIN, sizeof PLAIN);
    assert_true(tarn__reduction_decode(tarn_bytes_at(STAMPED, sizeof STAMPED), &reduction));
    assert_true(reduction.bits == 9 && reduction.stamp_ms == 7 && reduction.threshold_ms == -3);
    assert_int_equal(tarn__reduction_encode(&reduction, bytes), sizeof STAMPED);
    assert_memory_equal(bytes, STAMPED, sizeof STAMPED);
    for (size_t size = 0; size < sizeof STAMPED; size++) {
        assert_int_equal(tarn__reduction_decode(tarn_bytes_at(STAMPED, size), &reduction), false);
    }
    bytes[TARN__STAMP_BYTES] = 0x80;
    assert_false(tarn__reduction_decode(tarn_bytes_at(bytes, sizeof STAMPED), &reduction));
}

static void test_elements_come_back_from_a_chunk(void **state)
{
    (void)state;
    static const size_t SIZES[] = {0, 1, 127, 128, 16383, 16384, 300000};
    static uint8_t data[300000];
    tarn_buffer chunk = TARN_BUFFER_INIT;
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        memset(data, (int)i, sizeof data);
        assert_int_equal(tarn__chunk_append(&chunk, tarn_bytes_at(data, SIZES[i])), TARN_OK);
    }
    tarn_bytes rest = tarn_buffer_bytes(&chunk);
    tarn_bytes element;
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        memset(data, (int)i, sizeof data);
        assert_int_equal(tarn__chunk_take(&rest, &element), TARN_OK);
        assert_true(tarn_bytes_is_equal(element, tarn_bytes_at(data, SIZES[i])));
    }
    assert_int_equal(tarn__chunk_take(&rest, &element), TARN_DONE);
    tarn_buffer_clear(&chunk);
}

static void test_a_damaged_chunk_is_told(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[8];
        size_t size;
    } CASES[] = {
        {{1}, 1},                                  /* No element. */
        {{2, 'a'}, 2},                             /* Too short. */
        {{0x80}, 1},                               /* The size goes on beyond the end. */
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 6}, /* Six bytes of size. */
        {{0xff, 0xff, 0xff, 0xff, 0x7f, 'a'}, 6},  /* 34 bits of it. */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        tarn_bytes rest = tarn_bytes_at(CASES[i].bytes, CASES[i].size);
        tarn_bytes element;
        assert_int_equal(tarn__chunk_take(&rest, &element), TARN_CORRUPTION);
    }
}

static void test_a_chunk_without_memory_stays_as_it_was(void **state)
{
    (void)state;
    fault_allocator fault;
    fault_allocator_init(&fault, 1);
    tarn_buffer chunk = {.allocator = &fault.base};
    static const uint8_t LARGE[1000];
    assert_int_equal(tarn__chunk_append(&chunk, tarn_bytes_of("kept")), TARN_OK);
    const size_t size = chunk.size;
    assert_int_equal(
        tarn__chunk_append(&chunk, tarn_bytes_at(LARGE, sizeof LARGE)), TARN_NO_MEMORY);
    assert_int_equal(chunk.size, size);
    tarn_buffer_clear(&chunk);
    assert_int_equal(atomic_load(&fault.live_count), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stamp_expires_at_its_exact_millisecond),
        cmocka_unit_test(test_a_stamp_comes_back_whatever_it_is),
        cmocka_unit_test(test_a_threshold_agrees_with_the_rule),
        cmocka_unit_test(test_folding_is_the_same_in_every_grouping),
        cmocka_unit_test(test_each_reducer_does_what_it_is_called),
        cmocka_unit_test(test_reductions_of_two_states_do_not_fold),
        cmocka_unit_test(test_a_reduction_comes_back_and_the_layout_is_the_documented_one),
        cmocka_unit_test(test_elements_come_back_from_a_chunk),
        cmocka_unit_test(test_a_damaged_chunk_is_told),
        cmocka_unit_test(test_a_chunk_without_memory_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
