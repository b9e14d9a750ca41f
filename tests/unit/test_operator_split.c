/*
 * Unit tests of state/operator_split.c: every element goes to exactly one subtask, no subtask has
 * two more than another, and the extra ones of several lists do not pile up on the first subtasks.
 */
#include "support/support.h"

#include "state/operator_split.h"

static void expect_slice(tarn__slice slice, uint64_t first, uint64_t count)
{
    assert_int_equal(slice.first, first);
    assert_int_equal(slice.count, count);
}

static void test_extra_elements_go_to_the_first_subtasks(void **state)
{
    (void)state;
    expect_slice(tarn__operator_split(7, 0, 3, 0), 0, 3);
    expect_slice(tarn__operator_split(7, 1, 3, 0), 3, 2);
    expect_slice(tarn__operator_split(7, 2, 3, 0), 5, 2);
    assert_int_equal(tarn__operator_split_next(7, 3, 0), 1);
}

static void test_a_later_start_wraps_around(void **state)
{
    (void)state;
    expect_slice(tarn__operator_split(8, 2, 3, 2), 0, 3);
    expect_slice(tarn__operator_split(8, 0, 3, 2), 3, 3);
    expect_slice(tarn__operator_split(8, 1, 3, 2), 6, 2);
    assert_int_equal(tarn__operator_split_next(8, 3, 2), 1);
}

static void test_fewer_elements_than_subtasks_leave_some_without(void **state)
{
    (void)state;
    expect_slice(tarn__operator_split(2, 3, 4, 3), 0, 1);
    expect_slice(tarn__operator_split(2, 0, 4, 3), 1, 1);
    expect_slice(tarn__operator_split(2, 1, 4, 3), 2, 0);
    assert_int_equal(tarn__operator_split_next(2, 4, 3), 1);
}

static void test_no_elements_do_not_move_the_start(void **state)
{
    (void)state;
    for (uint32_t subtask = 0; subtask < 5; subtask++) {
        expect_slice(tarn__operator_split(0, subtask, 5, 2), 0, 0);
    }
    assert_int_equal(tarn__operator_split_next(0, 5, 2), 2);
    assert_int_equal(tarn__operator_split_next(10, 5, 2), 2); /* Nobody got an extra one. */
}

static void test_one_subtask_gets_everything(void **state)
{
    (void)state;
    expect_slice(tarn__operator_split(UINT64_MAX, 0, 1, 0), 0, UINT64_MAX);
    assert_int_equal(tarn__operator_split_next(UINT64_MAX, 1, 0), 0);
}

/* In the order of dealing, slices follow each other without a gap and end at the total. */
static void test_slices_cover_all_elements_once(void **state)
{
    (void)state;
    for (uint32_t parallelism = 1; parallelism <= 9; parallelism++) {
        for (uint64_t total = 0; total <= 40; total++) {
            for (uint32_t start = 0; start < parallelism; start++) {
                uint64_t at = 0;
                for (uint32_t i = 0; i < parallelism; i++) {
                    const tarn__slice slice =
                        tarn__operator_split(total, (start + i) % parallelism, parallelism, start);
                    assert_int_equal(slice.first, at);
                    assert_in_range(slice.count, total / parallelism, total / parallelism + 1);
                    at += slice.count;
                }
                assert_int_equal(at, total);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extra_elements_go_to_the_first_subtasks),
        cmocka_unit_test(test_a_later_start_wraps_around),
        cmocka_unit_test(test_fewer_elements_than_subtasks_leave_some_without),
        cmocka_unit_test(test_no_elements_do_not_move_the_start),
        cmocka_unit_test(test_one_subtask_gets_everything),
        cmocka_unit_test(test_slices_cover_all_elements_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
