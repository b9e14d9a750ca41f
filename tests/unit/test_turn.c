/*
 * Unit tests of turns: when the core is offered. Clocks are the machine's: what is asserted holds
 * however busy it is.
 */
#include "support/support.h"

#include "base/clock.h"
#include "base/turn.h"

static uint64_t now_ns(void)
{
    return tarn__clock_monotonic_ns(tarn__clock_system());
}

static void spend(uint64_t ns)
{
    const uint64_t begin_ns = now_ns();
    while (now_ns() - begin_ns < ns) {
    }
}

static void test_the_first_look_begins_a_turn(void **state)
{
    (void)state;
    tarn__turn turn = {0};
    assert_false(tarn__turn_look(&turn));
    assert_true(turn.begin_ns != 0);
}

static void test_a_turn_that_is_over_is_offered_once(void **state)
{
    (void)state;
    tarn__turn turn = {0};
    assert_false(tarn__turn_look(&turn));
    spend(TARN__TURN_NS);
    assert_true(tarn__turn_look(&turn));
    const uint64_t begin_ns = turn.begin_ns;
    const bool is_over = tarn__turn_look(&turn);
    assert_true(!is_over || now_ns() - begin_ns >= TARN__TURN_NS);
}

static void test_steps_look_at_the_clock_now_and_then(void **state)
{
    (void)state;
    tarn__turn turn = {0};
    for (int i = 0; i < TARN__TURN_STEPS - 1; i++) {
        tarn__turn_step(&turn);
    }
    assert_int_equal(turn.begin_ns, 0);
    tarn__turn_step(&turn);
    assert_true(turn.begin_ns != 0);
    const uint64_t begin_ns = turn.begin_ns;
    spend(TARN__TURN_NS);
    for (int i = 0; i < TARN__TURN_STEPS; i++) {
        tarn__turn_step(&turn);
    }
    assert_true(turn.begin_ns >= begin_ns + TARN__TURN_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_look_begins_a_turn),
        cmocka_unit_test(test_a_turn_that_is_over_is_offered_once),
        cmocka_unit_test(test_steps_look_at_the_clock_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
