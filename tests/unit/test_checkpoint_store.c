/*
 * Unit tests of checkpoint/store.c: what a job can be restored from is never taken away before
 * something newer is there. Flink's answers to many more cases: tests/vectors/store_traces.c.
 */
#include "support/support.h"

#include "checkpoint/store.h"

enum { RESTORED_MAX = 4 };

typedef struct fixture {
    tarn__account account;
    tarn__store store;
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f = (fixture){.store = {.count = 0}};
    tarn__account_init(&f.account, "test", NULL);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tarn__store_clear(&f->store);
    assert_int_equal(f->account.block_count, 0);
    return 0;
}

static tarn__store *open_with(
    void **state, uint32_t retained_count, tarn_checkpoint_retention retention)
{
    fixture *f = *state;
    assert_ok(
        tarn__store_init(
            &f->store, retained_count, RESTORED_MAX, retention, &f->account, &f->error),
        &f->error);
    return &f->store;
}

static void add(tarn__store *store, uint64_t id)
{
    tarn__store_add(store, (tarn__store_entry){.id = id, .is_owned = true});
}

static void add_savepoint(tarn__store *store, uint64_t id, bool stops_job)
{
    tarn__store_add(store, (tarn__store_entry){.id = id, .stops_job = stops_job});
}

static void expect_ids(const tarn__store_entry *entries, uint32_t count, uint64_t a, uint64_t b)
{
    assert_int_equal(count, (a != 0 ? 1 : 0) + (b != 0 ? 1 : 0));
    if (a != 0) {
        assert_int_equal(entries[0].id, a);
    }
    if (b != 0) {
        assert_int_equal(entries[1].id, b);
    }
}

static void expect_stored(const tarn__store *store, uint64_t a, uint64_t b)
{
    expect_ids(store->entries, store->count, a, b);
}

static void expect_discarded(const tarn__store *store, uint64_t a, uint64_t b)
{
    expect_ids(store->discarded, store->discarded_count, a, b);
}

static void test_the_oldest_beyond_the_number_retained_is_discarded(void **state)
{
    tarn__store *store = open_with(state, 2, TARN_CHECKPOINT_RETAIN_NEVER);
    assert_int_equal(tarn__store_latest_id(store), 0);
    add(store, 1);
    add(store, 2);
    expect_discarded(store, 0, 0);
    add(store, 3);
    expect_stored(store, 2, 3);
    expect_discarded(store, 1, 0);
    assert_int_equal(tarn__store_latest_id(store), 3);
}

/* The next incremental checkpoint builds on the newest checkpoint, not on a savepoint. */
static void test_a_savepoint_does_not_push_the_newest_checkpoint_out(void **state)
{
    tarn__store *store = open_with(state, 1, TARN_CHECKPOINT_RETAIN_NEVER);
    add(store, 1);
    add_savepoint(store, 2, /* stops_job= */ false);
    expect_stored(store, 1, 2);
    add_savepoint(store, 3, /* stops_job= */ false);
    expect_stored(store, 1, 3);
    expect_discarded(store, 0, 0);
    add(store, 4);
    expect_stored(store, 4, 0);
    expect_discarded(store, 1, 0);
}

static void test_a_savepoint_is_never_discarded(void **state)
{
    tarn__store *store = open_with(state, 1, TARN_CHECKPOINT_RETAIN_NEVER);
    add_savepoint(store, 1, /* stops_job= */ false);
    add(store, 2);
    assert_int_equal(store->subsumed_count, 1);
    expect_discarded(store, 0, 0);
    add_savepoint(store, 3, /* stops_job= */ false);
    tarn__store_end(store, TARN_JOB_FINISHED);
    expect_discarded(store, 2, 0);
}

/* After a savepoint that stops the job the last checkpoint is subsumed; yet it is kept for now. */
static void test_what_a_stopping_savepoint_subsumes_waits_for_a_newer_checkpoint(void **state)
{
    tarn__store *store = open_with(state, 1, TARN_CHECKPOINT_RETAIN_ON_CANCELLATION);
    add(store, 1);
    add_savepoint(store, 2, /* stops_job= */ true);
    expect_stored(store, 2, 0);
    assert_int_equal(store->subsumed_count, 1);
    expect_discarded(store, 0, 0);
    add(store, 3);
    expect_discarded(store, 1, 0);
}

static void test_a_suspended_job_keeps_what_waits(void **state)
{
    tarn__store *store = open_with(state, 1, TARN_CHECKPOINT_RETAIN_NEVER);
    add(store, 1);
    add_savepoint(store, 2, /* stops_job= */ true);
    tarn__store_end(store, TARN_JOB_SUSPENDED);
    expect_discarded(store, 0, 0);
    assert_int_equal(store->count, 0);
}

static void test_the_retention_decides_at_the_end_of_the_job(void **state)
{
    static const struct {
        tarn_checkpoint_retention retention;
        bool is_discarded[4]; /* FINISHED, CANCELED, FAILED, SUSPENDED. */
    } cases[] = {
        {TARN_CHECKPOINT_RETAIN_NEVER, {true, true, true, true}},
        {TARN_CHECKPOINT_RETAIN_ON_FAILURE, {true, true, false, true}},
        {TARN_CHECKPOINT_RETAIN_ON_CANCELLATION, {true, false, false, false}},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint32_t end = 0; end < 4; end++) {
            tarn__store *store = open_with(state, 1, cases[i].retention);
            add(store, 1);
            tarn__store_end(store, (tarn_job_end)end);
            expect_discarded(store, cases[i].is_discarded[end] ? 1 : 0, 0);
            tarn__store_clear(&f->store);
        }
    }
}

static void test_init_survives_every_allocation_failure(void **state)
{
    fixture *f = *state;
    bool has_fired = true;
    for (uint64_t nth = 0; has_fired; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn__account account;
        tarn__account_init(&account, "test", &fault.base);
        tarn__store store = {.count = 0};
        const tarn_status status =
            tarn__store_init(&store, 3, 0, TARN_CHECKPOINT_RETAIN_NEVER, &account, &f->error);
        has_fired = fault.fired;
        assert_int_equal(status, has_fired ? TARN_NO_MEMORY : TARN_OK);
        tarn__store_clear(&store);
        assert_int_equal(fault.live_count, 0);
    }
}

/* More than are retained: all of them until there is a newer one, which all of them go for. */
static void test_what_exceeds_since_before_the_restart_goes_with_the_next_one(void **state)
{
    tarn__store *store = open_with(state, 1, TARN_CHECKPOINT_RETAIN_ON_CANCELLATION);
    for (uint64_t id = 1; id <= RESTORED_MAX; id++) {
        tarn__store_restore(store, (tarn__store_entry){.id = id, .is_owned = true});
        assert_int_equal(store->count, id);
    }
    add(store, RESTORED_MAX + 1);
    assert_int_equal(store->count, 1);
    assert_int_equal(store->subsumed_count, RESTORED_MAX);
    assert_int_equal(store->discarded_count, RESTORED_MAX);
    for (uint64_t id = 1; id <= RESTORED_MAX; id++) {
        assert_int_equal(store->discarded[id - 1].id, id);
    }
    add(store, RESTORED_MAX + 2);
    expect_ids(store->discarded, store->discarded_count, RESTORED_MAX + 1, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_oldest_beyond_the_number_retained_is_discarded),
        TEST(test_a_savepoint_does_not_push_the_newest_checkpoint_out),
        TEST(test_a_savepoint_is_never_discarded),
        TEST(test_what_a_stopping_savepoint_subsumes_waits_for_a_newer_checkpoint),
        TEST(test_a_suspended_job_keeps_what_waits),
        TEST(test_the_retention_decides_at_the_end_of_the_job),
        TEST(test_what_exceeds_since_before_the_restart_goes_with_the_next_one),
        TEST(test_init_survives_every_allocation_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
