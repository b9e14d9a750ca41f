/*
 * The five invariants of an epoch snapshot, each with a test, over a backend with states of several
 * kinds and RocksDB beneath. (tests/property/test_epochs.c has every sequence of steps over the
 * working set alone.)
 */
#include "support/kinds_fixture.h"

#include <stdio.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

enum {
    KEYS = 1500,
    SLICE_ROWS = 64,
    VALUE_BYTES = 64,
    ROOMY_BYTES = 4 << 20,
    SMALL_BYTES = 200 << 10, /* Holds the rows of one epoch, hardly those of two. */
};

typedef struct job {
    kinds_fixture *f;
    tarn_checkpoint_store *store;
    tarn_pending_checkpoint *pending;
    tarn_snapshot *snapshot;
    tarn_value *value;
    tarn_reducing *sum;
    tarn_list *list;
    tarn_map *map;
    tarn_timers *timers;
    char address[FIXTURE_PATH_BYTES + 16];
} job;

/* ---- life ------------------------------------------------------------------------------- */

static void open_states(job *j)
{
    kinds_fixture *f = j->f;
    tarn_reducing_options sum = TARN_REDUCING_OPTIONS_INIT;
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    sum.reducer = TARN_REDUCER_SUM;
    timers.name = "timers";
    assert_ok(
        tarn_value_open(f->backend, kinds_options(f, "value"), &j->value, &f->error), &f->error);
    assert_ok(
        tarn_reducing_open(f->backend, kinds_options(f, "sum"), &sum, &j->sum, &f->error),
        &f->error);
    assert_ok(tarn_list_open(f->backend, kinds_options(f, "list"), &j->list, &f->error), &f->error);
    assert_ok(tarn_map_open(f->backend, kinds_options(f, "map"), &j->map, &f->error), &f->error);
    assert_ok(tarn_timers_open(f->backend, &timers, &j->timers, &f->error), &f->error);
}

static void close_states(job *j)
{
    kinds_fixture *f = j->f;
    assert_ok(tarn_value_close(j->value, &f->error), &f->error);
    assert_ok(tarn_reducing_close(j->sum, &f->error), &f->error);
    assert_ok(tarn_list_close(j->list, &f->error), &f->error);
    assert_ok(tarn_map_close(j->map, &f->error), &f->error);
    assert_ok(tarn_timers_close(j->timers, &f->error), &f->error);
}

static int set_up(void **state)
{
    static job j;
    memset(&j, 0, sizeof j);
    kinds_setup(state);
    j.f = *state;
    (void)snprintf(j.address, sizeof j.address, "%s/store", j.f->directory);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = j.f->env;
    options.address = j.address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &j.store, &j.f->error), &j.f->error);
    assert_ok(tarn_backend_resize_working_set(j.f->backend, ROOMY_BYTES, &j.f->error), &j.f->error);
    open_states(&j);
    *state = &j;
    return 0;
}

static int tear_down(void **state)
{
    job *j = *state;
    close_states(j);
    assert_ok(tarn_checkpoint_store_close(j->store, &j->f->error), &j->f->error);
    void *fixture = j->f;
    return kinds_teardown(&fixture);
}

/* ---- rows ------------------------------------------------------------------------------- */

static void set_key(job *j, uint32_t key)
{
    assert_ok(
        tarn_backend_set_key(j->f->backend, tarn_bytes_at(&key, sizeof key), &j->f->error),
        &j->f->error);
}

static void put_value(job *j, uint32_t key, uint8_t round)
{
    uint8_t bytes[VALUE_BYTES];
    memset(bytes, round, sizeof bytes);
    set_key(j, key);
    assert_ok(
        tarn_value_put(j->value, tarn_bytes_at(bytes, sizeof bytes), &j->f->error), &j->f->error);
}

/* What each key has after so many rounds follows from their number. */
static void write_key(job *j, uint32_t key, uint8_t round)
{
    tarn_error *error = &j->f->error;
    const tarn_bytes element = tarn_bytes_at(&round, 1);
    put_value(j, key, round);
    assert_ok(tarn_reducing_add_i64(j->sum, round, error), error);
    assert_ok(tarn_list_append(j->list, element, error), error);
    assert_ok(tarn_map_put(j->map, tarn_bytes_of("k"), element, error), error);
    assert_ok(tarn_timers_register(j->timers, round, tarn_bytes_of(""), error), error);
}

static void write_round(job *j, uint8_t round)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        write_key(j, key, round);
    }
}

static void expect_list(job *j, uint8_t rounds)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    assert_ok(tarn_list_iterate(j->list, NULL, &iterator, &j->f->error), &j->f->error);
    for (uint8_t round = 1; round <= rounds; round++) {
        assert_ok(tarn_list_iterator_next(iterator, &element, &j->f->error), &j->f->error);
        assert_true(tarn_bytes_is_equal(element, tarn_bytes_at(&round, 1)));
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &j->f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
}

/* All keys have what rounds 1 to so many have written. */
static void expect_rounds(job *j, uint8_t rounds)
{
    tarn_error *error = &j->f->error;
    for (uint32_t key = 0; key < KEYS; key++) {
        tarn_bytes read;
        int64_t sum = 0;
        set_key(j, key);
        assert_ok(tarn_value_get(j->value, &read, error), error);
        assert_int_equal(((const uint8_t *)read.data)[0], rounds);
        assert_ok(tarn_reducing_get_i64(j->sum, &sum, error), error);
        assert_int_equal(sum, rounds * (rounds + 1) / 2);
        assert_ok(tarn_map_get(j->map, tarn_bytes_of("k"), &read, error), error);
        assert_int_equal(((const uint8_t *)read.data)[0], rounds);
        expect_list(j, rounds);
    }
    assert_int_equal(tarn_timers_count(j->timers), (uint64_t)rounds * KEYS);
}

/* ---- snapshots -------------------------------------------------------------------------- */

static void begin(job *j)
{
    tarn_error *error = &j->f->error;
    const uint64_t id = tarn_checkpoint_store_next_id(j->store);
    assert_ok(tarn_checkpoint_begin(j->store, id, &j->pending, error), error);
    assert_ok(tarn_snapshot_begin(j->f->backend, j->pending, &j->snapshot, error), error);
}

static void complete(job *j)
{
    tarn_error *error = &j->f->error;
    tarn_buffer part = TARN_BUFFER_INIT;
    assert_ok(tarn_snapshot_finish(j->snapshot, &part, error), error);
    assert_ok(tarn_checkpoint_acknowledge(j->pending, tarn_buffer_bytes(&part), error), error);
    assert_ok(tarn_checkpoint_commit(j->pending, NULL, error), error);
    tarn_buffer_clear(&part);
}

static void give_up(job *j)
{
    tarn_snapshot_abandon(j->snapshot);
    tarn_checkpoint_abandon(j->pending);
}

static void restore(job *j)
{
    close_states(j);
    kinds_restore(j->f, j->address);
    open_states(j);
}

static tarn_working_set_stats stats(const job *j)
{
    tarn_working_set_stats figures;
    tarn_backend_measure_working_set(j->f->backend, &figures);
    return figures;
}

static void resize(job *j, uint64_t bytes)
{
    assert_ok(tarn_backend_resize_working_set(j->f->backend, bytes, &j->f->error), &j->f->error);
}

/* ---- the invariants --------------------------------------------------------------------- */

/* 1 */
static void test_a_checkpoint_has_exactly_the_writes_before_its_barrier(void **state)
{
    job *j = *state;
    write_round(j, 1);
    write_round(j, 2);
    begin(j);
    write_round(j, 3);
    complete(j);
    write_round(j, 4);
    expect_rounds(j, 4);
    restore(j);
    expect_rounds(j, 2);
}

/* Whether the store has a value of a round. */
static bool has_stored(job *j, uint8_t round)
{
    tarn__rocks_family *family = tarn__rocks_find_family(j->f->backend->rocks, "value");
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes value;
    bool has = false;
    assert_ok(
        tarn__rocks_iterate(
            family, tarn_bytes_at("\0\0", 2), tarn_bytes_at("\x7f\xff", 2), &rows, &j->f->error),
        &j->f->error);
    while (tarn__rocks_iterator_next(rows, &row, &value, &j->f->error) == TARN_OK) {
        has = has || ((const uint8_t *)value.data)[0] == round;
    }
    tarn__rocks_iterator_close(rows);
    return has;
}

/* 2: What is looked at before the gate is found shut is what the store had before its checkpoint.
 */
static void test_no_row_of_the_next_epoch_is_in_the_store_before_the_checkpoint_is(void **state)
{
    job *j = *state;
    uint32_t looks = 0;
    write_round(j, 1);
    begin(j);
    for (uint32_t key = 0; key < KEYS; key++) {
        put_value(j, key, 2);
        const bool has_next = key % 8 == 0 && has_stored(j, 2);
        if (atomic_load(&j->f->backend->is_gate_shut)) {
            assert_false(has_next);
            looks += key % 8 == 0 ? 1 : 0;
        }
    }
    complete(j);
    assert_in_range(looks, 1, UINT32_MAX);
    assert_true(has_stored(j, 1));
    restore(j);
    expect_rounds(j, 1);
}

/* 3: A put makes its key current and writes a row: two operations. */
static void test_no_operation_drains_more_than_the_slice(void **state)
{
    job *j = *state;
    uint64_t most = 0;
    bool has_frozen = false;
    for (uint32_t key = 0; key < KEYS; key++) {
        put_value(j, key, 1);
    }
    begin(j);
    assert_int_equal(stats(j).written_count, 0);
    assert_int_equal(stats(j).frozen_count, KEYS);
    for (uint32_t key = KEYS; key-- > 0;) {
        const tarn_working_set_stats before = stats(j);
        put_value(j, key, 2);
        const uint64_t written = stats(j).written_count - before.written_count;
        most = written > most ? written : most;
        has_frozen = has_frozen || stats(j).frozen_count > 0;
    }
    complete(j);
    assert_true(has_frozen);
    assert_in_range(most, 1, 2 * SLICE_ROWS);
}

/* 4: Wherever it is given up: at once, while it drains, when its links are made, when it is over.
 */
static void test_an_aborted_snapshot_leaves_the_backend_as_if_it_had_never_begun(void **state)
{
    job *j = *state;
    static const uint32_t POINTS[] = {0, 1, 40, KEYS / 2, KEYS};
    uint8_t round = 1;
    write_round(j, round);
    for (size_t i = 0; i < sizeof POINTS / sizeof POINTS[0]; i++) {
        begin(j);
        round++;
        for (uint32_t key = 0; key < KEYS; key++) {
            if (key == POINTS[i]) {
                give_up(j);
                assert_int_equal(stats(j).frozen_count, 0);
            }
            write_key(j, key, round);
        }
        if (POINTS[i] == KEYS) {
            give_up(j);
        }
        expect_rounds(j, round);
    }
    begin(j);
    complete(j);
    restore(j);
    expect_rounds(j, round);
}

/* 5 */
static void test_a_full_budget_finishes_the_drain_at_once_and_fails_no_record(void **state)
{
    job *j = *state;
    tarn_backend_stats before;
    tarn_backend_stats after;
    resize(j, SMALL_BYTES);
    write_round(j, 1);
    tarn_backend_measure(j->f->backend, &before);
    begin(j);
    write_round(j, 2); /* Each of its calls succeeds. */
    tarn_backend_measure(j->f->backend, &after);
    assert_in_range(stats(j).memory_bytes, 1, SMALL_BYTES);
    assert_true(after.snapshot_wait_count > before.snapshot_wait_count);
    assert_true(after.snapshot_wait_ns > before.snapshot_wait_ns);
    complete(j);
    expect_rounds(j, 2);
    restore(j);
    expect_rounds(j, 1);
}

/* Whatever it becomes while a snapshot drains, off and on again too: nothing is lost, and what was
 * written since stays out of the checkpoint. */
static void test_a_working_set_is_resized_while_a_snapshot_drains(void **state)
{
    job *j = *state;
    static const uint64_t SIZES[] = {SMALL_BYTES, 0, ROOMY_BYTES, 0, SMALL_BYTES, ROOMY_BYTES};
    enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };
    uint8_t round = 1;
    write_round(j, round);
    for (uint32_t first = 0; first < SIZE_COUNT; first++) {
        begin(j);
        assert_true(stats(j).frozen_count > KEYS);
        round++;
        for (uint32_t key = 0; key < KEYS; key++) {
            if (key < SIZE_COUNT) {
                resize(j, SIZES[(first + key) % SIZE_COUNT]);
            }
            write_key(j, key, round);
        }
        complete(j);
        expect_rounds(j, round);
        restore(j);
        resize(j, ROOMY_BYTES);
        round--;
        expect_rounds(j, round);
        write_round(j, ++round); /* All of it is dirty again. */
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_checkpoint_has_exactly_the_writes_before_its_barrier),
        TEST(test_no_row_of_the_next_epoch_is_in_the_store_before_the_checkpoint_is),
        TEST(test_no_operation_drains_more_than_the_slice),
        TEST(test_an_aborted_snapshot_leaves_the_backend_as_if_it_had_never_begun),
        TEST(test_a_full_budget_finishes_the_drain_at_once_and_fails_no_record),
        TEST(test_a_working_set_is_resized_while_a_snapshot_drains),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
