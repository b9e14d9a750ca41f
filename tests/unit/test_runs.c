/*
 * Unit tests of cache/runs.c: the order in which a run has its rows, when it has landed, and what
 * happens without room, without memory and after a failed write.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "cache/runs.h"
#include "cache/slab.h"

enum {
    ROWS = 20000,
    RUN_BYTES = 256 << 10,
    ROW_BYTES_MAX = 48,
    FAMILIES = 3,
    QUEUE = 8,
    GIVE_UP_MS = 10000,
};

/* What was written, by the number that each row's value is. */
typedef struct fixture {
    tarn__account account;
    tarn__runs *runs;
    tarn__workers *workers;
    uint8_t families[FAMILIES];
    uint8_t rows[ROWS][ROW_BYTES_MAX];
    size_t row_sizes[ROWS];
    uint32_t numbers[ROWS]; /* Values of rows that are lent. */
    atomic_uint lent_count; /* Runs of such. */
    atomic_uchar is_written[ROWS];
    atomic_uint run_count;
    atomic_bool fails;
    atomic_bool is_blocked; /* A worker, until it may go on or gives up: a failure is no hang. */
    atomic_bool may_go_on;
    atomic_bool has_gone_on;
    bool has_limit;
    size_t limit_bytes;
    tarn_error error;
} fixture;

static tarn_status write_run(void *context, const tarn__run *run, tarn_error *error)
{
    fixture *f = context;
    tarn__change before = {.family = NULL};
    if (atomic_load(&f->fails)) {
        return tarn__fail(error, TARN_IO_ERROR, "the disk is gone");
    }
    for (uint32_t i = 0; i < tarn__run_count(run); i++) {
        const tarn__change change = tarn__run_at(run, i);
        uint32_t number;
        assert_int_equal(change.value.size, sizeof number);
        memcpy(&number, change.value.data, sizeof number);
        assert_int_equal(change.row.size, f->row_sizes[number]);
        assert_memory_equal(change.row.data, f->rows[number], change.row.size);
        assert_ptr_equal(change.family, &f->families[number % FAMILIES]);
        if (i > 0) {
            assert_true((uint8_t *)before.family <= (uint8_t *)change.family);
            assert_true(
                before.family != change.family || tarn_bytes_compare(before.row, change.row) < 0);
        }
        assert_int_equal(atomic_fetch_add(&f->is_written[number], 1), 0);
        before = change;
    }
    atomic_fetch_add(&f->run_count, 1);
    atomic_fetch_add(&f->lent_count, tarn__run_is_lent(run));
    return TARN_OK;
}

static bool charge(void *context, size_t bytes)
{
    const fixture *f = context;
    return !f->has_limit || bytes <= f->limit_bytes;
}

static void discharge(void *context, size_t bytes)
{
    (void)context;
    (void)bytes;
}

/* Rows of all sizes that begin alike, so that what is beside their places says little. */
static void make_rows(fixture *f)
{
    tarn__random random = {7};
    for (uint32_t i = 0; i < ROWS; i++) {
        const size_t same = tarn__random_below(&random, 30);
        memset(f->rows[i], 'a', same);
        const int size = snprintf(
            (char *)f->rows[i] + same,
            ROW_BYTES_MAX - same,
            "%llu",
            (unsigned long long)i * 2654435761u);
        f->row_sizes[i] = same + (size_t)size;
        f->numbers[i] = i;
    }
}

static void open_runs(fixture *f, uint32_t worker_count)
{
    if (worker_count > 0) {
        assert_ok(
            tarn__workers_open(&f->account, worker_count, QUEUE, "test", &f->workers, &f->error),
            &f->error);
    }
    const tarn__runs_options options = {
        .account = &f->account, .workers = f->workers, .write = write_run, .context = f};
    assert_ok(tarn__runs_open(&options, &f->runs, &f->error), &f->error);
    tarn__runs_set_bytes(f->runs, RUN_BYTES);
}

static int set_up(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof f);
    tarn__account_init(&f.account, "test", NULL);
    tarn__account_attach(&f.account, charge, discharge, &f);
    make_rows(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__runs_close(f->runs);
    tarn__workers_close(f->workers);
    assert_int_equal(f->account.bytes, 0);
    return 0;
}

static bool add(fixture *f, uint32_t number, bool can_wait)
{
    const size_t head = f->row_sizes[number] / 2;
    const tarn__change change = {
        .family = &f->families[number % FAMILIES],
        .kind = TARN__CHANGE_PUT,
        .row = tarn_bytes_at(f->rows[number], head),
        .suffix = tarn_bytes_at(f->rows[number] + head, f->row_sizes[number] - head),
        .value = tarn_bytes_at(&number, sizeof number),
    };
    assert_true(tarn__runs_can_hold(f->runs, &change));
    return tarn__runs_add(f->runs, &change, number % FAMILIES, can_wait);
}

/* Adds all rows, in an order that is nobody's. */
static void add_all(fixture *f)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        const uint32_t number = (uint32_t)((uint64_t)i * 7919 % ROWS);
        while (!add(f, number, true)) {
            assert_ok(tarn__runs_await(f->runs, &f->error), &f->error);
        }
    }
    assert_ok(tarn__runs_finish(f->runs, &f->error), &f->error);
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_int_equal(atomic_load(&f->is_written[i]), 1);
    }
    assert_true(atomic_load(&f->run_count) > 1);
    assert_false(tarn__runs_is_busy(f->runs));
}

static void test_rows_are_written_once_in_order_of_family_and_row(void **state)
{
    open_runs(*state, 0);
    add_all(*state);
}

static void test_workers_write_several_runs_at_once(void **state)
{
    open_runs(*state, 2);
    add_all(*state);
}

static void test_a_run_has_landed_once_it_is_written_and_not_before(void **state)
{
    fixture *f = *state;
    open_runs(f, 0);
    assert_true(add(f, 1, true));
    const uint32_t number = tarn__runs_number(f->runs);
    assert_false(tarn__runs_has_landed(f->runs, number));
    assert_false(tarn__runs_write_next(f->runs, /* is_newest= */ false)); /* It was not sent. */
    tarn__runs_send(f->runs);
    assert_false(tarn__runs_has_landed(f->runs, number));
    assert_true(tarn__runs_is_busy(f->runs));
    assert_true(tarn__runs_write_next(f->runs, /* is_newest= */ false));
    assert_true(tarn__runs_has_landed(f->runs, number));
    assert_false(tarn__runs_is_busy(f->runs));
    for (uint32_t i = 2; i < 2 + 3 * TARN__RUNS; i++) { /* Others have its place. */
        assert_true(add(f, i, true));
        assert_true(tarn__runs_has_landed(f->runs, number));
        assert_ok(tarn__runs_finish(f->runs, &f->error), &f->error);
    }
}

static void test_without_a_free_run_nothing_is_taken_and_the_last_one_is_kept_for_the_urgent(
    void **state)
{
    fixture *f = *state;
    uint32_t next = 0;
    open_runs(f, 0);
    tarn__runs_set_bytes(f->runs, 0); /* The least. */
    while (add(f, next, true)) {
        next++;
    }
    assert_true(add(f, next, false));
    while (add(f, ++next, false)) {
    }
    assert_false(add(f, next, true));
    assert_true(tarn__runs_write_next(f->runs, /* is_newest= */ false));
    assert_true(add(f, next, false));
    assert_ok(tarn__runs_finish(f->runs, &f->error), &f->error);
    for (uint32_t i = 0; i <= next; i++) {
        assert_int_equal(atomic_load(&f->is_written[i]), 1);
    }
}

static void test_the_smallest_run_holds_the_largest_row_of_a_working_set(void **state)
{
    static const uint8_t BYTES[TARN__SLAB_PAGE_BYTES_MAX / 4];
    fixture *f = *state;
    open_runs(f, 0);
    tarn__runs_set_bytes(f->runs, 0);
    const tarn__change change = {
        .family = &f->families[0],
        .kind = TARN__CHANGE_PUT,
        .row = tarn_bytes_at(BYTES, 100),
        .value = tarn_bytes_at(BYTES, sizeof BYTES - sizeof(tarn__hot_row) - 100),
    };
    assert_true(tarn__runs_can_hold(f->runs, &change));
}

static void test_refused_memory_is_no_room(void **state)
{
    fixture *f = *state;
    open_runs(f, 0);
    f->has_limit = true;
    f->limit_bytes = TARN__RUN_BYTES_MIN / 2;
    assert_false(add(f, 1, false));
    assert_false(tarn__runs_is_busy(f->runs));
    f->has_limit = false;
    assert_true(add(f, 1, true));
    assert_ok(tarn__runs_finish(f->runs, &f->error), &f->error);
}

static void test_a_run_is_smaller_where_there_is_less_memory(void **state)
{
    fixture *f = *state;
    open_runs(f, 0);
    add_all(f);
    const uint32_t run_count = atomic_exchange(&f->run_count, 0);
    for (uint32_t i = 0; i < ROWS; i++) {
        atomic_store(&f->is_written[i], 0);
    }
    f->has_limit = true;
    f->limit_bytes = RUN_BYTES / 2;
    add_all(f);
    assert_in_range(atomic_load(&f->run_count), 3 * run_count, UINT32_MAX);
}

static tarn__change read_lent(const void *context, uint32_t reference)
{
    const fixture *f = context;
    return (tarn__change){
        .family = (void *)(uintptr_t)&f->families[reference % FAMILIES],
        .kind = TARN__CHANGE_PUT,
        .row = tarn_bytes_at(f->rows[reference], f->row_sizes[reference]),
        .value = tarn_bytes_at(&f->numbers[reference], sizeof f->numbers[reference]),
    };
}

static const void *find_lent(const void *context, uint32_t reference)
{
    return ((const fixture *)context)->rows[reference];
}

static bool lend(fixture *f, uint32_t number)
{
    const tarn__change change = read_lent(f, number);
    return tarn__runs_lend(f->runs, change.row, number, number % FAMILIES);
}

static void open_lent_runs(fixture *f, uint32_t worker_count)
{
    const tarn__run_lender lender = {.find = find_lent, .read = read_lent, .context = f};
    open_runs(f, worker_count);
    tarn__runs_set_lender(f->runs, &lender);
}

/* In runs of a quarter of them, after some that were copied. */
static void lend_all(fixture *f)
{
    const uint32_t copied_count = 100;
    tarn__runs_set_lent(f->runs, ROWS / 4);
    for (uint32_t number = 0; number < copied_count; number++) {
        assert_true(add(f, number, true));
    }
    for (uint32_t number = copied_count; number < ROWS; number++) {
        while (!lend(f, number)) {
            assert_ok(tarn__runs_land_one(f->runs, &f->error), &f->error);
        }
    }
    assert_ok(tarn__runs_finish(f->runs, &f->error), &f->error);
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_int_equal(atomic_load(&f->is_written[i]), 1);
    }
    assert_int_equal(atomic_load(&f->lent_count), 4);
    assert_int_equal(atomic_load(&f->run_count), 1 + 4);
    assert_false(tarn__runs_is_busy(f->runs));
}

static void test_rows_that_are_lent_are_written_from_where_they_lie(void **state)
{
    open_lent_runs(*state, 0);
    lend_all(*state);
}

static void test_workers_and_who_waits_write_what_is_lent(void **state)
{
    open_lent_runs(*state, 2);
    lend_all(*state);
}

/* Neither a queue that is full, nor memory that is refused, keeps who waits from going on. */
static void test_one_run_lands_when_none_was_sent(void **state)
{
    fixture *f = *state;
    open_lent_runs(f, 0);
    assert_ok(tarn__runs_land_one(f->runs, &f->error), &f->error); /* There is none. */
    assert_true(lend(f, 1));
    assert_ok(tarn__runs_land_one(f->runs, &f->error), &f->error);
    assert_int_equal(atomic_load(&f->is_written[1]), 1);
    assert_false(tarn__runs_is_busy(f->runs));
    f->has_limit = true;
    f->limit_bytes = TARN__RUN_BYTES_MIN / 2;
    assert_false(lend(f, 2));
    assert_false(tarn__runs_is_busy(f->runs));
}

static void block(void *context)
{
    fixture *f = context;
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    atomic_store(&f->is_blocked, true);
    for (int i = 0; i < GIVE_UP_MS && !atomic_load(&f->may_go_on); i++) {
        (void)nanosleep(&pause, NULL);
    }
    atomic_store(&f->has_gone_on, true);
}

static void do_nothing(void *context)
{
    (void)context;
}

/* Runs with one worker, which others keep busy. */
static void open_busy_runs(fixture *f)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    open_runs(f, 1);
    tarn__workers_submit(f->workers, block, f);
    while (!atomic_load(&f->is_blocked)) {
        (void)nanosleep(&pause, NULL);
    }
}

static void assert_landed_beside_busy_worker(fixture *f, uint32_t count)
{
    assert_ok(tarn__runs_finish(f->runs, &f->error), &f->error);
    const bool has_waited = atomic_load(&f->has_gone_on);
    atomic_store(&f->may_go_on, true);
    assert_false(has_waited);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(atomic_load(&f->is_written[i]), 1);
    }
    assert_false(tarn__runs_is_busy(f->runs));
}

static void test_who_waits_writes_what_no_worker_has_begun(void **state)
{
    fixture *f = *state;
    uint32_t count = 0;
    open_busy_runs(f);
    tarn__runs_set_bytes(f->runs, 0); /* The least: there are several. */
    while (add(f, count, false)) {
        count++;
    }
    assert_landed_beside_busy_worker(f, count);
    assert_int_equal(atomic_load(&f->run_count), TARN__RUNS);
}

static void test_adding_does_not_wait_for_a_place_in_the_queue(void **state)
{
    fixture *f = *state;
    uint32_t count = 0;
    open_busy_runs(f);
    for (int i = 0; i < QUEUE; i++) {
        tarn__workers_submit(f->workers, do_nothing, NULL);
    }
    tarn__runs_set_bytes(f->runs, 0);
    while (add(f, count, false)) {
        count++;
    }
    assert_false(add(f, count, false));
    assert_landed_beside_busy_worker(f, count);
    assert_int_equal(atomic_load(&f->run_count), 1);
}

static void test_after_a_failed_write_no_run_lands_and_all_are_told_why(void **state)
{
    fixture *f = *state;
    open_runs(f, 1);
    assert_true(add(f, 1, true));
    atomic_store(&f->fails, true);
    const uint32_t number = tarn__runs_number(f->runs);
    assert_int_equal(tarn__runs_finish(f->runs, &f->error), TARN_IO_ERROR);
    assert_string_equal(f->error.message, "the disk is gone");
    assert_false(tarn__runs_has_landed(f->runs, number));
    atomic_store(&f->fails, false);
    assert_false(add(f, 2, false));
    assert_int_equal(tarn__runs_check(f->runs, &f->error), TARN_IO_ERROR);
    assert_int_equal(tarn__runs_await(f->runs, &f->error), TARN_IO_ERROR);
    assert_true(tarn__runs_is_busy(f->runs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_rows_are_written_once_in_order_of_family_and_row),
        TEST(test_workers_write_several_runs_at_once),
        TEST(test_a_run_has_landed_once_it_is_written_and_not_before),
        TEST(test_without_a_free_run_nothing_is_taken_and_the_last_one_is_kept_for_the_urgent),
        TEST(test_the_smallest_run_holds_the_largest_row_of_a_working_set),
        TEST(test_refused_memory_is_no_room),
        TEST(test_a_run_is_smaller_where_there_is_less_memory),
        TEST(test_rows_that_are_lent_are_written_from_where_they_lie),
        TEST(test_workers_and_who_waits_write_what_is_lent),
        TEST(test_one_run_lands_when_none_was_sent),
        TEST(test_who_waits_writes_what_no_worker_has_begun),
        TEST(test_adding_does_not_wait_for_a_place_in_the_queue),
        TEST(test_after_a_failed_write_no_run_lands_and_all_are_told_why),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
