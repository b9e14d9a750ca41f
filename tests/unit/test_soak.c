/*
 * Unit tests of fault/soak_claim.c: the soak fails when what its processes have noted does not hold
 * together, or shows too little. Each test has figures that pass, and then one that is wrong.
 */
#include "support/support.h"

#include <string.h>

#include "fault/soak.h"

static void expect_added(soak_tally *t, soak_entry entry)
{
    assert_null(claim_add(t, &entry));
}

/* The tally stays as it was. */
static void expect_fault(const soak_tally *t, soak_entry entry, const char *words)
{
    soak_tally copy = *t;
    const char *fault = claim_add(&copy, &entry);
    assert_non_null(fault);
    assert_non_null(strstr(fault, words));
    assert_memory_equal(&copy, t, sizeof copy);
}

/* Two lives: the first one committed twice and was killed, the second went to the end. */
static soak_tally tally_of_two_lives(void)
{
    soak_tally t = {0};
    expect_added(&t, (soak_entry){.kind = SOAK_BEGAN});
    expect_added(&t, (soak_entry){.kind = SOAK_COMMITTED, .position = 100});
    expect_added(&t, (soak_entry){.kind = SOAK_COMMITTED, .position = 200});
    expect_added(&t, (soak_entry){.kind = SOAK_BEGAN, .position = 200, .is_restored = 1});
    return t;
}

static void test_what_follows_is_summed_up(void **state)
{
    (void)state;
    soak_tally t = tally_of_two_lives();
    expect_added(&t, (soak_entry){.kind = SOAK_COMMITTED, .position = 1001});
    expect_added(
        &t,
        (soak_entry){
            .kind = SOAK_VERIFIED,
            .position = 1001,
            .is_restored = 1,
            .state_bytes = 7,
            .file_bytes = 9,
        });
    assert_int_equal(t.began_count, 2);
    assert_int_equal(t.restored_count, 1);
    assert_int_equal(t.committed_count, 3);
    assert_int_equal(t.committed_position, 1001);
    assert_int_equal(t.verified_count, 1);
    assert_int_equal(t.state_bytes, 7);
    assert_int_equal(t.file_bytes, 9);
}

/* A commit is noted after it: a process may begin at a newer one than the journal knows. */
static void test_a_process_may_begin_at_a_checkpoint_that_nobody_noted(void **state)
{
    (void)state;
    soak_tally t = tally_of_two_lives();
    expect_added(&t, (soak_entry){.kind = SOAK_BEGAN, .position = 201, .is_restored = 1});
}

static void test_a_process_that_begins_too_early_is_a_fault(void **state)
{
    (void)state;
    const soak_tally t = tally_of_two_lives();
    expect_fault(
        &t, (soak_entry){.kind = SOAK_BEGAN, .position = 199, .is_restored = 1}, "began behind");
    expect_fault(
        &t, (soak_entry){.kind = SOAK_VERIFIED, .position = 199, .is_restored = 1}, "began behind");
    expect_fault(&t, (soak_entry){.kind = SOAK_BEGAN, .position = 200}, "with nothing");
    expect_fault(&t, (soak_entry){.kind = SOAK_VERIFIED, .position = 200}, "with nothing");
}

static void test_a_checkpoint_behind_another_is_a_fault(void **state)
{
    (void)state;
    const soak_tally t = tally_of_two_lives();
    expect_fault(&t, (soak_entry){.kind = SOAK_COMMITTED, .position = 199}, "committed behind");
}

static void test_an_entry_of_no_kind_is_a_fault(void **state)
{
    (void)state;
    const soak_tally t = tally_of_two_lives();
    expect_fault(
        &t,
        (soak_entry){.kind = SOAK_VERIFIED + 1, .position = 200, .is_restored = 1},
        "no known kind");
}

/* All of it is just enough. */
static const soak_tally enough = {
    .began_count = 5,
    .restored_count = 2,
    .committed_count = 3,
    .committed_position = 1001,
    .verified_count = 1,
    .state_bytes = 400,
    .file_bytes = 400,
};

static const soak_claim claimed = {
    .kill_count = 4,
    .kill_count_min = 4,
    .key_count = 1000,
    .state_bytes_min = 400,
    .resident_bytes = 90,
    .resident_bytes_max = 90,
};

static void test_what_is_just_enough_holds(void **state)
{
    (void)state;
    assert_null(claim_check(&enough, &claimed));
}

/* FAULT(of, member, value, words): with one figure changed, that and nothing else is wrong. */
#define FAULT(of, member, value, words)          \
    do {                                         \
        soak_tally t = enough;                   \
        soak_claim c = claimed;                  \
        (of).member = (value);                   \
        const char *fault = claim_check(&t, &c); \
        assert_non_null(fault);                  \
        assert_non_null(strstr(fault, words));   \
    } while (0)

static void test_each_figure_that_shows_too_little_is_a_fault(void **state)
{
    (void)state;
    FAULT(c, kill_count_min, 5, "killed");
    FAULT(t, committed_count, 2, "committed");
    FAULT(t, restored_count, 1, "began at a checkpoint");
    FAULT(t, verified_count, 0, "verified");
    FAULT(t, verified_count, 2, "verified");
    FAULT(t, committed_position, 1000, "keys");
    FAULT(t, state_bytes, 399, "too small");
    FAULT(t, file_bytes, 399, "too small");
    FAULT(c, resident_bytes, 0, "nobody looked");
    FAULT(c, resident_bytes, 91, "larger than planned");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_follows_is_summed_up),
        cmocka_unit_test(test_a_process_may_begin_at_a_checkpoint_that_nobody_noted),
        cmocka_unit_test(test_a_process_that_begins_too_early_is_a_fault),
        cmocka_unit_test(test_a_checkpoint_behind_another_is_a_fault),
        cmocka_unit_test(test_an_entry_of_no_kind_is_a_fault),
        cmocka_unit_test(test_what_is_just_enough_holds),
        cmocka_unit_test(test_each_figure_that_shows_too_little_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
