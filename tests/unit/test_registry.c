/* Unit tests of snapshot/registry.c: the states of a content, and that none is lost in the table.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "snapshot/registry.h"

typedef struct fixture {
    fault_allocator memory;
    tarn__account account;
    tarn__registry registry;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    fault_allocator_init(&f->memory, FAULT_NEVER);
    tarn__account_init(&f->account, "test", &f->memory.base);
    tarn__registry_init(&f->registry, &f->account);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__registry_clear(&f->registry);
    const int leaked = atomic_load(&f->memory.live_count) != 0;
    free(f);
    return leaked;
}

static tarn__content content(uint64_t number)
{
    tarn__content c = {.size = number};
    c.digest = tarn__digest_of(tarn_bytes_at(&number, sizeof number));
    return c;
}

static tarn__content_state ref(fixture *f, uint64_t number)
{
    const tarn__content c = content(number);
    tarn__content_state before = TARN__CONTENT_DOOMED;
    assert_ok(tarn__registry_ref(&f->registry, &c, &before, &f->error), &f->error);
    return before;
}

static void unref(fixture *f, uint64_t number)
{
    const tarn__content c = content(number);
    tarn__registry_unref(&f->registry, &c);
}

static tarn__content_state state_of(fixture *f, uint64_t number)
{
    const tarn__content c = content(number);
    return tarn__registry_state(&f->registry, &c);
}

static void test_the_last_reference_makes_garbage(void **state)
{
    fixture *f = *state;
    assert_int_equal(ref(f, 1), TARN__CONTENT_ABSENT);
    assert_int_equal(ref(f, 1), TARN__CONTENT_UPLOADING);
    const tarn__content c = content(1);
    tarn__registry_confirm(&f->registry, &c);
    assert_int_equal(ref(f, 1), TARN__CONTENT_PRESENT);
    assert_int_equal(tarn__registry_count(&f->registry, &c), 3);
    unref(f, 1);
    unref(f, 1);
    assert_int_equal(state_of(f, 1), TARN__CONTENT_PRESENT);
    unref(f, 1);
    assert_int_equal(state_of(f, 1), TARN__CONTENT_GARBAGE);
    assert_int_equal(f->registry.garbage_count, 1);
}

static void test_garbage_that_is_named_again_is_stored_again(void **state)
{
    fixture *f = *state;
    (void)ref(f, 1);
    const tarn__content c = content(1);
    tarn__registry_confirm(&f->registry, &c);
    unref(f, 1);
    assert_int_equal(ref(f, 1), TARN__CONTENT_GARBAGE);
    assert_int_equal(state_of(f, 1), TARN__CONTENT_UPLOADING);
    assert_int_equal(f->registry.garbage_count, 0);
    tarn__content doomed[2];
    assert_int_equal(tarn__registry_doom(&f->registry, doomed, 2), 0);
}

/* Doubt is about what is stored and named: garbage stays garbage, or it would never be deleted. */
static void test_doubt_makes_nothing_of_what_is_not_present(void **state)
{
    fixture *f = *state;
    const tarn__content c = content(1);
    tarn__registry_doubt(&f->registry, &c);
    assert_int_equal(state_of(f, 1), TARN__CONTENT_ABSENT);
    assert_int_equal(f->registry.count, 0);

    (void)ref(f, 1);
    tarn__registry_confirm(&f->registry, &c);
    tarn__registry_doubt(&f->registry, &c);
    assert_int_equal(state_of(f, 1), TARN__CONTENT_UPLOADING);
    assert_int_equal(tarn__registry_count(&f->registry, &c), 1);

    tarn__registry_confirm(&f->registry, &c);
    unref(f, 1);
    tarn__registry_doubt(&f->registry, &c);
    assert_int_equal(state_of(f, 1), TARN__CONTENT_GARBAGE);
    tarn__content doomed[1];
    assert_int_equal(tarn__registry_doom(&f->registry, doomed, 1), 1);
    tarn__registry_doubt(&f->registry, &c);
    assert_int_equal(state_of(f, 1), TARN__CONTENT_DOOMED);
    tarn__registry_forget(&f->registry, &doomed[0]);
}

static void test_what_is_being_deleted_takes_no_reference(void **state)
{
    fixture *f = *state;
    (void)ref(f, 1);
    unref(f, 1);
    tarn__content doomed[2];
    assert_int_equal(tarn__registry_doom(&f->registry, doomed, 2), 1);
    assert_int_equal(doomed[0].size, 1);
    assert_int_equal(ref(f, 1), TARN__CONTENT_DOOMED);
    assert_int_equal(tarn__registry_count(&f->registry, &doomed[0]), 0);
    assert_int_equal(tarn__registry_doom(&f->registry, doomed + 1, 1), 0);
    tarn__registry_forget(&f->registry, &doomed[0]);
    assert_int_equal(ref(f, 1), TARN__CONTENT_ABSENT);
}

static void test_a_deletion_that_failed_is_tried_again(void **state)
{
    fixture *f = *state;
    (void)ref(f, 1);
    unref(f, 1);
    tarn__content doomed[1];
    assert_int_equal(tarn__registry_doom(&f->registry, doomed, 1), 1);
    tarn__registry_spare(&f->registry, &doomed[0]);
    assert_int_equal(tarn__registry_doom(&f->registry, doomed, 1), 1);
}

static void test_size_is_part_of_the_name(void **state)
{
    fixture *f = *state;
    (void)ref(f, 1);
    tarn__content other = content(1);
    other.size = 2;
    assert_int_equal(tarn__registry_state(&f->registry, &other), TARN__CONTENT_ABSENT);
}

/* Thousands of contents come and go; each is where a plain array says it is. */
static void test_a_table_under_churn_agrees_with_an_array(void **state)
{
    fixture *f = *state;
    enum { NUMBERS = 500, STEPS = 40000 };
    uint32_t counts[NUMBERS] = {0};
    bool is_known[NUMBERS] = {false};
    tarn__random random = {.state = 7};
    for (int step = 0; step < STEPS; step++) {
        const uint64_t number = tarn__random_below(&random, NUMBERS);
        if (tarn__random_below(&random, 2) == 0) {
            (void)ref(f, number);
            counts[number]++;
            is_known[number] = true;
        } else if (counts[number] > 0) {
            unref(f, number);
            counts[number]--;
        }
        if (step % 16 == 0) {
            tarn__content doomed[8];
            const uint32_t count = tarn__registry_doom(&f->registry, doomed, 8);
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(counts[doomed[i].size], 0);
                is_known[doomed[i].size] = false;
                tarn__registry_forget(&f->registry, &doomed[i]);
            }
        }
    }
    uint32_t known = 0;
    uint32_t garbage = 0;
    for (uint64_t i = 0; i < NUMBERS; i++) {
        const tarn__content c = content(i);
        assert_int_equal(tarn__registry_count(&f->registry, &c), counts[i]);
        assert_int_equal(
            state_of(f, i),
            !is_known[i] ? TARN__CONTENT_ABSENT
                         : (counts[i] > 0 ? TARN__CONTENT_UPLOADING : TARN__CONTENT_GARBAGE));
        known += is_known[i] ? 1 : 0;
        garbage += is_known[i] && counts[i] == 0 ? 1 : 0;
    }
    assert_int_equal(f->registry.count, known);
    assert_int_equal(f->registry.garbage_count, garbage);
}

static void test_running_out_of_memory_changes_nothing(void **state)
{
    fixture *f = *state;
    uint64_t number = 0;
    do {
        (void)ref(f, number++);
    } while (f->registry.count < f->registry.capacity / 4 * 3);
    f->memory.fail_at = atomic_load(&f->memory.request_count);
    const tarn__content c = content(number);
    tarn__content_state before = TARN__CONTENT_PRESENT;
    assert_int_equal(tarn__registry_ref(&f->registry, &c, &before, &f->error), TARN_NO_MEMORY);
    assert_int_equal(before, TARN__CONTENT_PRESENT);
    assert_int_equal(state_of(f, number), TARN__CONTENT_ABSENT);
    assert_int_equal(state_of(f, number - 1), TARN__CONTENT_UPLOADING);
    assert_int_equal(ref(f, number), TARN__CONTENT_ABSENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_last_reference_makes_garbage),
        TEST(test_garbage_that_is_named_again_is_stored_again),
        TEST(test_doubt_makes_nothing_of_what_is_not_present),
        TEST(test_what_is_being_deleted_takes_no_reference),
        TEST(test_a_deletion_that_failed_is_tried_again),
        TEST(test_size_is_part_of_the_name),
        TEST(test_a_table_under_churn_agrees_with_an_array),
        TEST(test_running_out_of_memory_changes_nothing),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
