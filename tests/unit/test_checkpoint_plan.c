/*
 * Unit tests of checkpoint/plan.c: a barrier must reach every running task exactly once, be it from
 * a neighbour or because the task is told.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "checkpoint/plan.h"

enum { TASKS_MAX = 16 };

typedef struct fixture {
    tarn__account account;
    tarn__job job;
    tarn_task_state states[TASKS_MAX];
    uint32_t told[TASKS_MAX];
    uint32_t awaited[TASKS_MAX];
    tarn__plan plan;
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f = (fixture){.job = {.task_count = 0}};
    f.plan = (tarn__plan){.told = f.told, .awaited = f.awaited};
    tarn__account_init(&f.account, "test", NULL);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tarn__job_clear(&f->job);
    assert_int_equal(f->account.block_count, 0);
    return 0;
}

/* Two operators of the given parallelism, joined by one edge. */
static fixture *open_with(void **state, uint32_t from, uint32_t to, bool is_pointwise)
{
    fixture *f = *state;
    const uint32_t parallelism[] = {from, to};
    const tarn_coordinator_edge edge = {.from = 0, .to = 1, .is_pointwise = is_pointwise};
    assert_ok(tarn__job_init(&f->job, parallelism, 2, &edge, 1, &f->account, &f->error), &f->error);
    return f;
}

static void expect_tasks(const uint32_t *tasks, uint32_t count, const char *expected)
{
    char text[64] = "";
    for (uint32_t i = 0; i < count; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%u", i == 0 ? "" : " ", tasks[i]);
    }
    assert_string_equal(text, expected);
}

static void expect_plan(fixture *f, const char *told, const char *awaited)
{
    assert_true(tarn__plan_make(&f->plan, &f->job, f->states, /* refuses_finished= */ false));
    expect_tasks(f->told, f->plan.told_count, told);
    expect_tasks(f->awaited, f->plan.awaited_count, awaited);
}

static void test_sources_are_told_and_all_are_awaited(void **state)
{
    fixture *f = open_with(state, 2, 3, /* is_pointwise= */ false);
    expect_plan(f, "0 1", "0 1 2 3 4");
}

static void test_one_running_source_feeds_all_over_an_all_to_all_edge(void **state)
{
    fixture *f = open_with(state, 2, 3, /* is_pointwise= */ false);
    f->states[0] = TARN_TASK_FINISHED;
    expect_plan(f, "1", "1 2 3 4");
    f->states[1] = TARN_TASK_FINISHED;
    expect_plan(f, "2 3 4", "2 3 4");
}

static void test_a_pointwise_edge_is_looked_at_task_by_task(void **state)
{
    fixture *f = open_with(state, 2, 4, /* is_pointwise= */ true);
    f->states[0] = TARN_TASK_FINISHED; /* It fed tasks 2 and 3. */
    expect_plan(f, "1 2 3", "1 2 3 4 5");
}

static void test_a_task_that_many_feed_waits_for_the_last_of_them(void **state)
{
    fixture *f = open_with(state, 4, 2, /* is_pointwise= */ true);
    f->states[0] = TARN_TASK_FINISHED; /* Task 4 is still fed by task 1. */
    expect_plan(f, "1 2 3", "1 2 3 4 5");
    f->states[1] = TARN_TASK_FINISHED;
    expect_plan(f, "2 3 4", "2 3 4 5");
}

static void test_a_task_that_is_not_running_prevents_a_plan_unless_it_has_finished(void **state)
{
    fixture *f = open_with(state, 1, 1, /* is_pointwise= */ false);
    f->states[1] = TARN_TASK_NOT_RUNNING;
    assert_false(tarn__plan_make(&f->plan, &f->job, f->states, /* refuses_finished= */ false));
    f->states[1] = TARN_TASK_FINISHED;
    expect_plan(f, "0", "0");
    assert_false(tarn__plan_make(&f->plan, &f->job, f->states, /* refuses_finished= */ true));
}

static void test_impossible_jobs_are_refused(void **state)
{
    fixture *f = *state;
    const uint32_t good[] = {1, 1};
    const uint32_t empty[] = {1, 0};
    const uint32_t huge[] = {1000000, 1};
    const tarn_coordinator_edge back = {.from = 1, .to = 0};
    const tarn_coordinator_edge far = {.from = 0, .to = 2};
    const struct {
        const uint32_t *parallelism;
        const tarn_coordinator_edge *edge;
        const char *why;
    } cases[] = {
        {good, &back, "leads from operator 1 to 0"},
        {good, &far, "leads from operator 0 to 2"},
        {empty, NULL, "operator 1 has a parallelism of 0"},
        {huge, NULL, "more than 1000000 tasks"},
        {NULL, NULL, "no operator"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            tarn__job_init(
                &f->job,
                cases[i].parallelism,
                2,
                cases[i].edge,
                cases[i].edge != NULL ? 1 : 0,
                &f->account,
                &f->error),
            TARN_INVALID_ARGUMENT);
        assert_non_null(strstr(f->error.message, cases[i].why));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sources_are_told_and_all_are_awaited),
        TEST(test_one_running_source_feeds_all_over_an_all_to_all_edge),
        TEST(test_a_pointwise_edge_is_looked_at_task_by_task),
        TEST(test_a_task_that_many_feed_waits_for_the_last_of_them),
        TEST(test_a_task_that_is_not_running_prevents_a_plan_unless_it_has_finished),
        TEST(test_impossible_jobs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
