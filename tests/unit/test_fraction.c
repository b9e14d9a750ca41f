/*
 * Unit tests of memory/fraction.c. The expected products were calculated with 200 decimal digits: a
 * byte more or less is a plan that differs from Flink's.
 */
#include "support/support.h"

#include "memory/fraction.h"

typedef struct product {
    int64_t bytes;
    double multiplier; /* A 32-bit fraction widened, or f / (1 - f). */
    int64_t expected;
} product;

static void test_products_are_exact_and_cut(void **state)
{
    (void)state;
    static const product products[] = {
        {INT64_C(1811939328), 0x1.99999ap-4, INT64_C(181193935)},
        {INT64_C(1342177280), 0x1.99999ap-2, INT64_C(536870920)},
        {INT64_MAX, 0x1.fffffep-1, INT64_C(9223371487098961692)},
        {INT64_MAX, 0x1.99999ap-4, INT64_C(922337217429372933)},
        {INT64_MAX, 0x1.666666p-1, INT64_C(6456360315847179872)},
        {INT64_C(1099511627776), 0x1p-24, INT64_C(65536)},
        {INT64_C(1000000000000000000), 0x1.333334p-2, INT64_C(300000011920928960)},
        {INT64_C(4611686018427387905), 0x1p-1, INT64_C(2305843009213693952)},
        {INT64_C(1234567890123456789), 0x1.f9add4p-4, INT64_C(152415790039716593)},
        {INT64_C(10), 0x1.99999ap-4, INT64_C(1)},
        {INT64_C(100), 0x1.47ae14p-7, INT64_C(0)},
        {INT64_C(1342177280), 0x1.c71c724587e6cp-4, INT64_C(149130811)},
        {INT64_C(1000000000000), 0x1.b6db6f58d0fb4p-2, INT64_C(428571452899)},
        {INT64_C(4563402752), 1.0, INT64_C(4563402752)},
        {INT64_C(7), 0.0, INT64_C(0)},
        {INT64_C(7), -0.0, INT64_C(0)},
        {INT64_C(0), 0x1.fffffep+23, INT64_C(0)},
        {INT64_C(3), 1e18, INT64_C(3000000000000000000)},
    };
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        int64_t ours = -1;
        assert_true(tarn__fraction_multiply(products[i].bytes, products[i].multiplier, &ours));
        assert_int_equal(ours, products[i].expected);
    }
}

/* The smallest numbers have more decimal places than 128 bits have digits. */
static void test_a_tiny_fraction_of_anything_is_nothing(void **state)
{
    (void)state;
    static const double tiny[] = {0x1.16c2p-133, 0x1p-149, 0x1p-1074, 1e-300, 1e-37};
    for (size_t i = 0; i < sizeof tiny / sizeof tiny[0]; i++) {
        int64_t ours = -1;
        assert_true(tarn__fraction_multiply(INT64_MAX, tiny[i], &ours));
        assert_int_equal(ours, 0);
    }
}

static void test_a_product_that_does_not_fit_is_refused_and_leaves_the_output(void **state)
{
    (void)state;
    static const product products[] = {
        {INT64_C(1000000000000000), 0x1.fffffep+23, 0},
        {INT64_MAX, 1.0000000000000002, 0},
        {INT64_MAX, 1e300, 0},
        {INT64_C(1), 0x1p63, 0},
        {INT64_C(10), 1e18, 0},
        {INT64_C(1229782938247303441), 7.5, 0}, /* INT64_MAX and a half. */
    };
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        int64_t ours = -1;
        assert_false(tarn__fraction_multiply(products[i].bytes, products[i].multiplier, &ours));
        assert_int_equal(ours, -1);
    }
    int64_t largest = 0;
    assert_true(tarn__fraction_multiply(INT64_MAX, 1.0, &largest));
    assert_true(largest == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_are_exact_and_cut),
        cmocka_unit_test(test_a_tiny_fraction_of_anything_is_nothing),
        cmocka_unit_test(test_a_product_that_does_not_fit_is_refused_and_leaves_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
