/*
 * Unit tests of state/untaken.c: a restore brings states that a new version of a job may no longer
 * have. Whether that is a mistake is the caller's to say; it must never pass unseen, nor may what
 * was dropped come back with a later checkpoint.
 */
#include "support/kinds_fixture.h"

#include <stdio.h>

#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

enum { KEYS = 20 };

static tarn_value *open_kept(kinds_fixture *f)
{
    tarn_value *value = NULL;
    assert_ok(tarn_value_open(f->backend, kinds_options(f, "kept"), &value, &f->error), &f->error);
    return value;
}

static tarn_map *open_gone(kinds_fixture *f)
{
    tarn_map *map = NULL;
    assert_ok(tarn_map_open(f->backend, kinds_options(f, "gone"), &map, &f->error), &f->error);
    return map;
}

static tarn_timers *open_timers(kinds_fixture *f)
{
    tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
    tarn_timers *timers = NULL;
    options.name = "old";
    assert_ok(tarn_timers_open(f->backend, &options, &timers, &f->error), &f->error);
    return timers;
}

/* What is below the fixture's directory: one address per name. */
static const char *address_of(const kinds_fixture *f, const char *name)
{
    static char address[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(address, sizeof address, "%s/%s", f->directory, name);
    return address;
}

/* Leaves a restored backend without open states, which holds a value, a map and timers. */
static void restore_three(kinds_fixture *f)
{
    tarn_value *kept = open_kept(f);
    tarn_map *gone = open_gone(f);
    tarn_timers *timers = open_timers(f);
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key %u", i);
        kinds_set_key(f, key);
        assert_ok(tarn_value_put(kept, tarn_bytes_of("value"), &f->error), &f->error);
        assert_ok(
            tarn_map_put(gone, tarn_bytes_of("entry"), tarn_bytes_of("x"), &f->error), &f->error);
        assert_ok(
            tarn_timers_register(timers, (int64_t)i, tarn_bytes_of(""), &f->error), &f->error);
    }
    kinds_take_checkpoint(f, address_of(f, "first"));
    assert_ok(tarn_value_close(kept, &f->error), &f->error);
    assert_ok(tarn_map_close(gone, &f->error), &f->error);
    assert_ok(tarn_timers_close(timers, &f->error), &f->error);
    kinds_restore(f, address_of(f, "first"));
}

static void test_states_that_nobody_opened_are_refused_until_all_are_open(void **state)
{
    kinds_fixture *f = *state;
    assert_ok(tarn_backend_check_untaken(f->backend, &f->error), &f->error); /* Nothing yet. */
    restore_three(f);
    kinds_expect_failure(
        f, tarn_backend_check_untaken(f->backend, &f->error), TARN_INCOMPATIBLE, "has 3 states");
    tarn_value *kept = open_kept(f);
    tarn_timers *timers = open_timers(f);
    kinds_expect_failure(
        f,
        tarn_backend_check_untaken(f->backend, &f->error),
        TARN_INCOMPATIBLE,
        "has 1 state that nobody opened: \"gone\", map of bytes version 0;");
    tarn_map *gone = open_gone(f);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(gone), NULL), KEYS); /* None was lost. */
    assert_ok(tarn_backend_check_untaken(f->backend, &f->error), &f->error);
    assert_ok(tarn_map_close(gone, &f->error), &f->error);
    assert_int_equal(
        tarn_backend_check_untaken(f->backend, &f->error), TARN_INCOMPATIBLE); /* Closed again. */
    assert_ok(tarn_timers_close(timers, &f->error), &f->error);
    assert_ok(tarn_value_close(kept, &f->error), &f->error);
}

static void test_states_that_nobody_opened_stay_in_checkpoints(void **state)
{
    kinds_fixture *f = *state;
    restore_three(f);
    tarn_value *kept = open_kept(f);
    kinds_take_checkpoint(f, address_of(f, "second"));
    assert_ok(tarn_value_close(kept, &f->error), &f->error);
    kinds_restore(f, address_of(f, "second"));
    tarn_map *gone = open_gone(f);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(gone), NULL), KEYS);
    assert_ok(tarn_map_close(gone, &f->error), &f->error);
}

static void test_dropped_states_are_in_no_later_checkpoint_and_leave_the_others(void **state)
{
    kinds_fixture *f = *state;
    restore_three(f);
    tarn_value *kept = open_kept(f);
    uint32_t count = 9;
    assert_ok(tarn_backend_drop_untaken(f->backend, &count, &f->error), &f->error);
    assert_int_equal(count, 2);
    assert_ok(tarn_backend_check_untaken(f->backend, &f->error), &f->error);
    assert_ok(tarn_backend_drop_untaken(f->backend, &count, &f->error), &f->error);
    assert_int_equal(count, 0);
    kinds_take_checkpoint(f, address_of(f, "second"));
    assert_ok(tarn_value_close(kept, &f->error), &f->error);
    kinds_restore(f, address_of(f, "second"));
    kept = open_kept(f);
    assert_ok(tarn_backend_check_untaken(f->backend, &f->error), &f->error);
    assert_int_equal(kinds_count_keys(f, tarn_value_keyed(kept), NULL), KEYS);
    assert_ok(tarn_value_close(kept, &f->error), &f->error);
}

static void test_the_name_of_a_dropped_state_is_free_for_another_kind(void **state)
{
    kinds_fixture *f = *state;
    restore_three(f);
    assert_ok(tarn_backend_drop_untaken(f->backend, NULL, &f->error), &f->error);
    tarn_list *list = NULL;
    assert_ok(tarn_list_open(f->backend, kinds_options(f, "gone"), &list, &f->error), &f->error);
    assert_int_equal(kinds_count_keys(f, tarn_list_keyed(list), NULL), 0);
    kinds_set_key(f, "key 1");
    assert_ok(tarn_list_append(list, tarn_bytes_of("new"), &f->error), &f->error);
    assert_int_equal(kinds_count_keys(f, tarn_list_keyed(list), NULL), 1);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
    tarn_timers *timers = open_timers(f);
    assert_int_equal(tarn_timers_count(timers), 0);
    assert_ok(tarn_timers_close(timers, &f->error), &f->error);
}

static void test_nothing_is_dropped_under_an_open_snapshot(void **state)
{
    kinds_fixture *f = *state;
    restore_three(f);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    uint32_t count = 9;
    options.env = f->env;
    options.address = address_of(f, "second");
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &store, &f->error), &f->error);
    assert_ok(tarn_checkpoint_begin(store, 1, &pending, &f->error), &f->error);
    assert_ok(tarn_snapshot_begin(f->backend, pending, &snapshot, &f->error), &f->error);
    kinds_expect_failure(
        f, tarn_backend_drop_untaken(f->backend, &count, &f->error), TARN_BUSY, "snapshot");
    assert_int_equal(count, 9);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &f->error),
        &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    tarn_buffer_clear(&acknowledgement);
    assert_ok(tarn_checkpoint_store_close(store, &f->error), &f->error);
    assert_ok(tarn_backend_drop_untaken(f->backend, &count, &f->error), &f->error);
    assert_int_equal(count, 3);
}

static void test_a_poisoned_backend_neither_checks_nor_drops(void **state)
{
    kinds_fixture *f = *state;
    restore_three(f);
    const tarn_error lost = {.status = TARN_IO_ERROR, .message = "a write failed"};
    tarn__backend_poison(f->backend, &lost);
    uint32_t count = 9;
    assert_int_equal(tarn_backend_check_untaken(f->backend, &f->error), TARN_POISONED);
    assert_int_equal(tarn_backend_drop_untaken(f->backend, &count, &f->error), TARN_POISONED);
    assert_int_equal(count, 9);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_states_that_nobody_opened_are_refused_until_all_are_open),
        TEST(test_states_that_nobody_opened_stay_in_checkpoints),
        TEST(test_dropped_states_are_in_no_later_checkpoint_and_leave_the_others),
        TEST(test_the_name_of_a_dropped_state_is_free_for_another_kind),
        TEST(test_nothing_is_dropped_under_an_open_snapshot),
        TEST(test_a_poisoned_backend_neither_checks_nor_drops),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
