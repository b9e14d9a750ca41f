/*
 * Unit tests of how the frozen rows of a snapshot come to the store by runs (cache/runs.h,
 * state/hot_store.h): in batches or as table files, and what a failed run means. The invariants of
 * epochs have a test of their own each.
 */
#include "support/support.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"
#include "tarn/working_set.h"

#include "state/backend.h"
#include "support/state_fixture.h"

enum {
    ROWS = 20000, /* More than memtables hold, where these are small. */
    SLICE_ROWS = 64,
    MANAGED_MIB = 256,
};

typedef struct fixture {
    char root[FIXTURE_PATH_BYTES];
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *value;
    tarn_pending_checkpoint *pending;
    tarn_snapshot *snapshot;
    tarn_error error;
} fixture;

static void open_backend(fixture *f, const char *name, tarn_checkpoint *restore)
{
    char directory[FIXTURE_PATH_BYTES + 32];
    (void)snprintf(directory, sizeof directory, "%s/%s", f->root, name);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = directory;
    options.restore = restore;
    assert_ok(tarn_backend_open(&options, &f->backend, &f->error), &f->error);
    f->value = fixture_open_value(f->backend, "v");
}

static void close_backend(fixture *f)
{
    assert_ok(tarn_value_close(f->value, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
}

static int set_up_with(void **state, const char *memory, uint32_t workers)
{
    fixture *f = test_calloc(1, sizeof *f);
    fixture_make_directory(f->root);
    tarn_config *config = fixture_new_config(MANAGED_MIB);
    fixture_set(config, "taskmanager.memory.managed.size", memory);
    fixture_set(config, "tarn.working-set.size", "4m");
    tarn_env_options env = TARN_ENV_OPTIONS_INIT;
    env.config = config;
    env.worker_thread_count = workers;
    assert_ok(tarn_env_open(&env, &f->env, &f->error), &f->error);
    tarn_config_free(config);
    char address[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(address, sizeof address, "%s/checkpoints", f->root);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = f->env;
    options.address = address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &f->store, &f->error), &f->error);
    open_backend(f, "work", NULL);
    *state = f;
    return 0;
}

/* Memtables hold less than the rows: they become table files. */
static int set_up_small(void **state)
{
    return set_up_with(state, "2m", 1);
}

/* The same, and one worker makes the links while another one still writes. */
static int set_up_workers(void **state)
{
    return set_up_with(state, "2m", 2);
}

/* And more: they go by batches. */
static int set_up_large(void **state)
{
    return set_up_with(state, "256m", 1);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    close_backend(f);
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    fixture_remove_directory(f->root);
    test_free(f);
    return 0;
}

static void set_key(fixture *f, uint64_t key)
{
    assert_ok(
        tarn_backend_set_key(f->backend, tarn_bytes_at(&key, sizeof key), &f->error), &f->error);
}

static void put(fixture *f, uint64_t key, uint64_t number)
{
    set_key(f, key);
    assert_ok(
        tarn_value_put(f->value, tarn_bytes_at(&number, sizeof number), &f->error), &f->error);
}

static void put_all(fixture *f, uint64_t number)
{
    for (uint64_t key = 0; key < ROWS; key++) {
        put(f, key, number);
    }
}

static void assert_row(fixture *f, uint64_t key, uint64_t expected)
{
    tarn_bytes bytes;
    set_key(f, key);
    assert_ok(tarn_value_get(f->value, &bytes, &f->error), &f->error);
    assert_int_equal(bytes.size, sizeof expected);
    assert_memory_equal(bytes.data, &expected, sizeof expected);
}

static void assert_all(fixture *f, uint64_t expected)
{
    for (uint64_t key = 0; key < ROWS; key++) {
        assert_row(f, key, expected);
    }
}

static void begin(fixture *f)
{
    const uint64_t id = tarn_checkpoint_store_next_id(f->store);
    assert_ok(tarn_checkpoint_begin(f->store, id, &f->pending, &f->error), &f->error);
    assert_ok(tarn_snapshot_begin(f->backend, f->pending, &f->snapshot, &f->error), &f->error);
}

static void commit(fixture *f)
{
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    assert_ok(tarn_snapshot_finish(f->snapshot, &acknowledgement, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(f->pending, tarn_buffer_bytes(&acknowledgement), &f->error),
        &f->error);
    assert_ok(tarn_checkpoint_commit(f->pending, NULL, &f->error), &f->error);
    tarn_buffer_clear(&acknowledgement);
}

static void restore(fixture *f, const char *name)
{
    char address[FIXTURE_PATH_BYTES + 32];
    (void)snprintf(address, sizeof address, "%s/checkpoints/job", f->root);
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(address, NULL, &checkpoint, &f->error), &f->error);
    close_backend(f);
    open_backend(f, name, checkpoint);
    tarn_checkpoint_free(checkpoint);
}

/* What the working set did, by runs and in all. */
static tarn__workset_figures measure(const fixture *f)
{
    tarn__workset_figures figures;
    tarn__workset_measure(f->backend->workset, &figures);
    return figures;
}

/* Files of runs that were not taken in, or were not removed. */
static uint32_t count_run_files(const fixture *f)
{
    char path[FIXTURE_PATH_BYTES + 32];
    uint32_t count = 0;
    (void)snprintf(path, sizeof path, "%s/work/db", f->root);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        count += strncmp(entry->d_name, "tarn-run-", 9) == 0;
    }
    (void)closedir(directory);
    return count;
}

/* ---- the invariants --------------------------------------------------------------------- */

static void test_a_checkpoint_holds_exactly_the_writes_before_its_barrier(void **state)
{
    fixture *f = *state;
    put_all(f, 1);
    begin(f);
    for (uint64_t key = 0; key < ROWS; key += 3) { /* Frozen rows, sent ones, and those after. */
        put(f, key, 2);
        assert_row(f, key, 2);
        assert_row(f, (key + ROWS / 2 / 3 * 3 + 1) % ROWS, 1);
    }
    commit(f);
    assert_true(measure(f).sent_count > 0);
    assert_int_equal(count_run_files(f), 0);
    for (uint64_t key = 0; key < ROWS; key += 3) {
        assert_row(f, key, 2);
    }
    restore(f, "restored");
    assert_all(f, 1);
}

/* No slice comes to a row: each is handed over by a write to it, and the last run is sent all the
 * same. */
static void test_rows_that_writes_hand_over_are_in_the_checkpoint(void **state)
{
    fixture *f = *state;
    f->backend->drain_share = 1e-9;
    put_all(f, 1);
    begin(f);
    put_all(f, 2);
    assert_false(tarn__workset_is_draining(f->backend->workset));
    commit(f);
    assert_all(f, 2);
    restore(f, "restored");
    assert_all(f, 1);
}

/* Each row of the new epoch is dirty as long as the gate is shut. */
static void test_no_row_of_the_next_epoch_is_in_the_store_before_the_checkpoint(void **state)
{
    fixture *f = *state;
    const uint64_t few = 1000;
    put_all(f, 1);
    begin(f);
    for (uint64_t key = 0; key < few && atomic_load(&f->backend->is_gate_shut); key++) {
        put(f, key, 2);
        const tarn__workset_figures figures = measure(f);
        if (atomic_load(&f->backend->is_gate_shut)) {
            assert_true(figures.written_count <= ROWS); /* Each frozen row once, and no other. */
            assert_true(figures.dirty_count >= key + 1);
        }
    }
    commit(f);
    restore(f, "restored");
    assert_all(f, 1);
}

static void test_no_call_drains_more_than_a_slice(void **state)
{
    fixture *f = *state;
    put_all(f, 1);
    const uint64_t written = measure(f).written_count;
    begin(f);
    assert_int_equal(measure(f).written_count, written);
    while (tarn__workset_is_draining(f->backend->workset)) {
        const uint64_t before = measure(f).written_count;
        set_key(f, 7);
        assert_true(measure(f).written_count - before <= SLICE_ROWS);
    }
    commit(f);
}

static void test_an_aborted_snapshot_leaves_the_backend_as_it_was(void **state)
{
    fixture *f = *state;
    put_all(f, 1);
    begin(f);
    while (measure(f).sent_count < ROWS / 3) {
        set_key(f, 1);
    }
    for (uint64_t key = 0; key < 100; key++) {
        put(f, key, 2);
    }
    tarn_snapshot_abandon(f->snapshot);
    tarn_checkpoint_abandon(f->pending);
    assert_int_equal(measure(f).frozen_count, 0);
    assert_false(tarn__workset_is_flying(f->backend->workset));
    for (uint64_t key = 0; key < ROWS; key++) {
        assert_row(f, key, key < 100 ? 2 : 1);
    }
    begin(f);
    commit(f);
    restore(f, "restored");
    for (uint64_t key = 0; key < ROWS; key++) {
        assert_row(f, key, key < 100 ? 2 : 1);
    }
}

/* The capacity holds the rows once: more rows of the new epoch want room that there is not. */
static void test_without_room_for_the_next_epoch_a_record_waits_and_does_not_fail(void **state)
{
    fixture *f = *state;
    put_all(f, 1);
    begin(f);
    for (uint64_t key = ROWS; key < UINT64_C(4) * ROWS; key++) {
        put(f, key, 3);
    }
    commit(f);
    assert_all(f, 1);
    for (uint64_t key = ROWS; key < UINT64_C(4) * ROWS; key++) {
        assert_row(f, key, 3);
    }
    restore(f, "restored");
    assert_all(f, 1);
    tarn_bytes bytes;
    set_key(f, ROWS);
    assert_int_equal(tarn_value_get(f->value, &bytes, &f->error), TARN_NOT_FOUND);
}

static void resize(fixture *f, uint64_t bytes)
{
    assert_ok(tarn_backend_resize_working_set(f->backend, bytes, &f->error), &f->error);
}

/* With runs on their way: those that are switched off with it have landed before. */
static void test_a_working_set_is_switched_off_and_on_while_a_snapshot_drains(void **state)
{
    fixture *f = *state;
    put_all(f, 1);
    begin(f);
    while (measure(f).sent_count < ROWS / 3 && tarn__workset_is_draining(f->backend->workset)) {
        set_key(f, 1);
    }
    resize(f, 0);
    assert_null(f->backend->workset);
    for (uint64_t key = 0; key < ROWS; key += 2) {
        put(f, key, 2);
    }
    resize(f, 4 << 20);
    for (uint64_t key = 1; key < ROWS; key += 2) {
        put(f, key, 2);
    }
    assert_all(f, 2);
    commit(f);
    assert_int_equal(count_run_files(f), 0);
    assert_all(f, 2);
    restore(f, "restored");
    assert_all(f, 1);
}

/* ---- the share of the stream ------------------------------------------------------------ */

/* The rows that were sent while the stream made so many calls. */
static uint64_t sent_by_calls(fixture *f, uint32_t calls)
{
    const uint64_t before = measure(f).sent_count;
    for (uint32_t i = 0; i < calls; i++) {
        set_key(f, 1);
    }
    return measure(f).sent_count - before;
}

static void test_the_stream_spends_its_share_on_frozen_rows_and_no_more(void **state)
{
    fixture *f = *state;
    enum { CALLS_PER_SLICE = 16, SLICES = 100 };
    put_all(f, 1);
    f->backend->drain_share = 1;
    begin(f);
    assert_in_range(
        sent_by_calls(f, CALLS_PER_SLICE * SLICES),
        SLICE_ROWS, /* Where workers are slow it waits for them. */
        SLICE_ROWS * (SLICES + 1));
    f->backend->drain_share = 1e-9; /* One slice, and then none for hours. */
    assert_in_range(sent_by_calls(f, CALLS_PER_SLICE * SLICES), 0, 2 * SLICE_ROWS);
    assert_true(tarn__workset_is_draining(f->backend->workset));
    for (uint32_t i = 0; tarn__workset_is_draining(f->backend->workset); i++) {
        assert_int_equal(tarn_snapshot_poll(f->snapshot), TARN_PENDING); /* Nobody streams. */
        assert_true(i < 1000000);
    }
    commit(f);
}

/* ---- who waits -------------------------------------------------------------------------- */

/* Some rows were copied before, some were written again: what is left is lent. */
static void test_who_waits_has_the_rest_written_at_once(void **state)
{
    fixture *f = *state;
    const uint64_t written_again = 500;
    put_all(f, 1);
    begin(f);
    while (measure(f).sent_count < ROWS / 4) {
        set_key(f, 1);
    }
    for (uint64_t key = 0; key < written_again; key++) {
        put(f, key, 2);
    }
    assert_true(tarn__workset_is_draining(f->backend->workset));
    assert_false(f->backend->is_awaited);
    tarn_snapshot_wait(f->snapshot);
    assert_true(f->backend->is_awaited);
    assert_int_equal(tarn_snapshot_poll(f->snapshot), TARN_OK);
    assert_false(tarn__workset_is_flying(f->backend->workset));
    assert_int_equal(measure(f).sent_count, ROWS); /* Each once, whichever way. */
    assert_int_equal(measure(f).dirty_count, written_again);
    tarn_snapshot_wait(f->snapshot); /* There is nothing to wait for. */
    commit(f);
    assert_int_equal(count_run_files(f), 0);
    put(f, 7, 3);
    begin(f);
    assert_false(f->backend->is_awaited); /* It is not yet known of this one. */
    commit(f);
    for (uint64_t key = 0; key < ROWS; key++) {
        assert_row(f, key, key == 7 ? 3 : key < written_again ? 2 : 1);
    }
    restore(f, "restored");
    for (uint64_t key = 0; key < ROWS; key++) {
        assert_row(f, key, key == 7 ? 3 : key < written_again ? 2 : 1);
    }
}

/* ---- ranges and failures ---------------------------------------------------------------- */

/* Who looks into the store waits for what is on its way to it. */
static void test_a_scan_sees_rows_that_are_on_their_way(void **state)
{
    fixture *f = *state;
    put_all(f, 1);
    begin(f);
    while (tarn__workset_is_draining(f->backend->workset)) {
        set_key(f, 1);
    }
    assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
    assert_false(tarn__workset_is_flying(f->backend->workset));
    commit(f);
}

/* Rows of the next epoch would be written, and then those of the last one over them. */
static void test_a_snapshot_without_links_keeps_the_gate_shut_until_all_has_landed(void **state)
{
    fixture *f = *state;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    char nowhere[] = "/dev/null/links"; /* Cannot be removed. */
    char *links = f->backend->directory.links;
    f->backend->drain_share = 1;
    put_all(f, 1);
    f->backend->directory.links = nowhere;
    begin(f);
    while (tarn__workset_is_draining(f->backend->workset)) {
        set_key(f, 1);
    }
    while (atomic_load(&f->backend->is_gate_shut)) {
        const tarn_status polled = tarn_snapshot_poll(f->snapshot);
        (void)polled;
        (void)sched_yield();
    }
    const bool is_flying = tarn__workset_is_flying(f->backend->workset);
    const tarn_status status = tarn_snapshot_finish(f->snapshot, &acknowledgement, &f->error);
    f->backend->directory.links = links;
    assert_false(is_flying);
    assert_true(status < TARN_OK);
    assert_non_null(strstr(f->error.message, nowhere));
    tarn_checkpoint_abandon(f->pending);
    put_all(f, 2); /* As if it had never begun. */
    begin(f);
    commit(f);
    restore(f, "restored");
    assert_all(f, 2);
}

/* A directory where the file of a run is to be. */
static void block_runs(const fixture *f)
{
    for (unsigned i = 0; i < 16; i++) {
        char path[FIXTURE_PATH_BYTES + 64];
        (void)snprintf(path, sizeof path, "%s/work/db/tarn-run-%u", f->root, i);
        assert_int_equal(mkdir(path, 0700), 0);
    }
}

static void test_a_run_that_fails_poisons_with_the_reason(void **state)
{
    fixture *f = *state;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    put_all(f, 1);
    begin(f);
    commit(f);
    put_all(f, 2);
    block_runs(f);
    begin(f);
    const tarn_status status = tarn_snapshot_finish(f->snapshot, &acknowledgement, &f->error);
    assert_true(status < TARN_OK);
    assert_non_null(strstr(f->error.message, "tarn-run-"));
    tarn_checkpoint_abandon(f->pending);
    const tarn_status after = tarn_backend_set_key(f->backend, tarn_bytes_at("key", 3), &f->error);
    assert_int_equal(after, TARN_POISONED);
    assert_non_null(strstr(f->error.message, "tarn-run-"));
    restore(f, "restored");
    assert_all(f, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SMALL(name)   cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)
#define LARGE(name)   cmocka_unit_test_setup_teardown(name, set_up_large, tear_down)
#define WORKERS(name) cmocka_unit_test_setup_teardown(name, set_up_workers, tear_down)
        SMALL(test_a_checkpoint_holds_exactly_the_writes_before_its_barrier),
        LARGE(test_a_checkpoint_holds_exactly_the_writes_before_its_barrier),
        SMALL(test_rows_that_writes_hand_over_are_in_the_checkpoint),
        LARGE(test_rows_that_writes_hand_over_are_in_the_checkpoint),
        SMALL(test_no_row_of_the_next_epoch_is_in_the_store_before_the_checkpoint),
        LARGE(test_no_row_of_the_next_epoch_is_in_the_store_before_the_checkpoint),
        LARGE(test_no_call_drains_more_than_a_slice),
        SMALL(test_an_aborted_snapshot_leaves_the_backend_as_it_was),
        LARGE(test_an_aborted_snapshot_leaves_the_backend_as_it_was),
        SMALL(test_without_room_for_the_next_epoch_a_record_waits_and_does_not_fail),
        LARGE(test_without_room_for_the_next_epoch_a_record_waits_and_does_not_fail),
        SMALL(test_a_working_set_is_switched_off_and_on_while_a_snapshot_drains),
        LARGE(test_a_working_set_is_switched_off_and_on_while_a_snapshot_drains),
        LARGE(test_the_stream_spends_its_share_on_frozen_rows_and_no_more),
        SMALL(test_who_waits_has_the_rest_written_at_once),
        LARGE(test_who_waits_has_the_rest_written_at_once),
        WORKERS(test_who_waits_has_the_rest_written_at_once),
        LARGE(test_a_scan_sees_rows_that_are_on_their_way),
        SMALL(test_a_run_that_fails_poisons_with_the_reason),
        WORKERS(test_a_snapshot_without_links_keeps_the_gate_shut_until_all_has_landed),
#undef SMALL
#undef LARGE
#undef WORKERS
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
