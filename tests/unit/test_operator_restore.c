/*
 * Unit tests of restoring operator state: who gets what at another parallelism, what a checkpoint
 * must hold, and the way through a real checkpoint on disk.
 */
#include "support/operator_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

typedef struct fixture {
    tarn_budget *budget;
    operator_pieces pieces;
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f.budget = operator_budget(TARN_UNLIMITED, NULL);
    f.pieces.count = 0;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    operator_pieces_clear(&f->pieces);
    assert_ok(tarn_budget_close(f->budget, &f->error), &f->error);
    return 0;
}

static tarn_bytes text(const char *letters)
{
    return tarn_bytes_of(letters);
}

/* Writes one list of one subtask. */
static void write_list(
    fixture *f,
    uint32_t subtask,
    uint32_t parallelism,
    tarn_redistribution redistribution,
    const char *letters)
{
    tarn_operator_store *store = operator_open(f->budget, subtask, parallelism, NULL);
    operator_add_letters(operator_list(store, "l", redistribution), letters);
    operator_write(store, &f->pieces);
    operator_close(store);
}

static void expect_list(
    fixture *f,
    uint32_t subtask,
    uint32_t parallelism,
    tarn_redistribution redistribution,
    const char *letters)
{
    tarn_operator_store *store = operator_open(f->budget, subtask, parallelism, &f->pieces);
    operator_expect_letters(operator_list(store, "l", redistribution), letters);
    operator_close(store);
}

static tarn_status restore(fixture *f, uint32_t subtask, uint32_t parallelism)
{
    tarn__operator_source source;
    const tarn__operator_store_options options =
        operator_options(f->budget, subtask, parallelism, &f->pieces, &source);
    tarn_operator_store *store = NULL;
    const tarn_status status = tarn__operator_store_open(&options, &store, &f->error);
    operator_close(store);
    return status;
}

/* ---- redistribution ---------------------------------------------------------------------- */

static void test_split_lists_are_dealt_out_in_the_order_of_their_origin(void **state)
{
    fixture *f = *state;
    write_list(f, 1, 2, TARN_REDISTRIBUTE_SPLIT, "de");
    write_list(f, 0, 2, TARN_REDISTRIBUTE_SPLIT, "abc");
    expect_list(f, 0, 3, TARN_REDISTRIBUTE_SPLIT, "ab");
    expect_list(f, 1, 3, TARN_REDISTRIBUTE_SPLIT, "cd");
    expect_list(f, 2, 3, TARN_REDISTRIBUTE_SPLIT, "e");
    expect_list(f, 0, 1, TARN_REDISTRIBUTE_SPLIT, "abcde");
    expect_list(f, 6, 7, TARN_REDISTRIBUTE_SPLIT, "");
}

static void test_split_lists_stay_where_they_are_at_the_same_parallelism(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 2, TARN_REDISTRIBUTE_SPLIT, "abcd");
    write_list(f, 1, 2, TARN_REDISTRIBUTE_SPLIT, "");
    expect_list(f, 0, 2, TARN_REDISTRIBUTE_SPLIT, "abcd");
    expect_list(f, 1, 2, TARN_REDISTRIBUTE_SPLIT, "");
}

static void test_a_second_list_starts_after_the_last_extra_element_of_the_first(void **state)
{
    fixture *f = *state;
    tarn_operator_store *store = operator_open(f->budget, 0, 1, NULL);
    /* Opened in another order than that of the names, in which they are dealt out. */
    operator_add_letters(operator_list(store, "second", TARN_REDISTRIBUTE_SPLIT), "xy");
    operator_add_letters(operator_list(store, "first", TARN_REDISTRIBUTE_SPLIT), "abcd");
    operator_write(store, &f->pieces);
    operator_close(store);
    static const char *const expected[3][2] = {{"ab", ""}, {"c", "x"}, {"d", "y"}};
    for (uint32_t i = 0; i < 3; i++) {
        store = operator_open(f->budget, i, 3, &f->pieces);
        operator_expect_letters(
            operator_list(store, "first", TARN_REDISTRIBUTE_SPLIT), expected[i][0]);
        operator_expect_letters(
            operator_list(store, "second", TARN_REDISTRIBUTE_SPLIT), expected[i][1]);
        operator_close(store);
    }
}

static void test_union_lists_go_whole_to_every_subtask(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 2, TARN_REDISTRIBUTE_UNION, "ab");
    write_list(f, 1, 2, TARN_REDISTRIBUTE_UNION, "c");
    for (uint32_t i = 0; i < 3; i++) {
        expect_list(f, i, 3, TARN_REDISTRIBUTE_UNION, "abc");
    }
    expect_list(f, 1, 2, TARN_REDISTRIBUTE_UNION, "abc"); /* At the same parallelism too. */
}

static void write_map(fixture *f, uint32_t subtask, uint32_t parallelism, const char *value)
{
    tarn_operator_store *store = operator_open(f->budget, subtask, parallelism, NULL);
    assert_ok(
        tarn_broadcast_put(operator_broadcast(store, "m"), text("k"), text(value), &f->error),
        &f->error);
    operator_write(store, &f->pieces);
    operator_close(store);
}

static void expect_map(fixture *f, uint32_t subtask, uint32_t parallelism, const char *value)
{
    tarn_operator_store *store = operator_open(f->budget, subtask, parallelism, &f->pieces);
    tarn_bytes found;
    assert_int_equal(
        tarn_broadcast_get(operator_broadcast(store, "m"), text("k"), &found), TARN_OK);
    assert_true(tarn_bytes_is_equal(found, text(value)));
    operator_close(store);
}

static void test_broadcast_copies_go_round_and_round(void **state)
{
    fixture *f = *state;
    write_map(f, 0, 2, "zero");
    write_map(f, 1, 2, "one");
    expect_map(f, 0, 5, "zero");
    expect_map(f, 1, 5, "one");
    expect_map(f, 4, 5, "zero");
    expect_map(f, 1, 2, "one");
}

static void test_a_finished_subtask_counts_for_nothing(void **state)
{
    fixture *f = *state;
    write_map(f, 0, 3, "zero");
    write_map(f, 2, 3, "two"); /* Subtask 1 had finished. */
    expect_map(f, 0, 3, "zero");
    expect_map(f, 1, 3, "two");
    expect_map(f, 2, 3, "two"); /* Its own, though the round would have it zero. */
    expect_map(f, 2, 4, "zero");
}

static void test_a_list_of_a_finished_subtask_is_empty(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 2, TARN_REDISTRIBUTE_SPLIT, "ab");
    expect_list(f, 1, 2, TARN_REDISTRIBUTE_SPLIT, "");
    expect_list(f, 2, 4, TARN_REDISTRIBUTE_SPLIT, "");
}

static void test_state_that_nobody_opens_is_carried_on(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 1, TARN_REDISTRIBUTE_SPLIT, "abc");
    tarn_operator_store *store = operator_open(f->budget, 0, 1, &f->pieces);
    operator_pieces_clear(&f->pieces);
    operator_write(store, &f->pieces);
    operator_close(store);
    expect_list(f, 0, 1, TARN_REDISTRIBUTE_SPLIT, "abc");
}

static void test_restored_state_refuses_another_redistribution(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 1, TARN_REDISTRIBUTE_UNION, "a");
    tarn_operator_store *store = operator_open(f->budget, 0, 1, &f->pieces);
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = "l";
    tarn_operator_list *list = NULL;
    assert_int_equal(tarn_operator_list_open(store, &options, &list, &f->error), TARN_INCOMPATIBLE);
    assert_non_null(strstr(f->error.message, "is a list, union,"));
    assert_non_null(strstr(f->error.message, "wanted as a list, split,"));
    operator_close(store);
}

/* ---- what is refused --------------------------------------------------------------------- */

static void test_subtasks_that_contradict_each_other_are_refused_with_both_sides(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 2, TARN_REDISTRIBUTE_SPLIT, "a");
    write_list(f, 1, 2, TARN_REDISTRIBUTE_UNION, "b");
    assert_int_equal(restore(f, 0, 2), TARN_INCOMPATIBLE);
    assert_non_null(
        strstr(f->error.message, "is a list, split, of codec bytes version 0 in subtask 0"));
    assert_non_null(strstr(f->error.message, "union, of codec bytes version 0 in subtask 1"));
}

static void test_what_exceeds_the_limit_is_refused_by_name(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 2, TARN_REDISTRIBUTE_UNION, "abc");
    write_list(f, 1, 2, TARN_REDISTRIBUTE_UNION, "d");
    tarn__operator_source source;
    tarn__operator_store_options options = operator_options(f->budget, 0, 2, &f->pieces, &source);
    options.bytes_max = 19; /* Four elements have 20. */
    tarn_operator_store *store = NULL;
    assert_int_equal(tarn__operator_store_open(&options, &store, &f->error), TARN_OVER_BUDGET);
    assert_non_null(strstr(f->error.message, "\"l\""));
    assert_non_null(strstr(f->error.message, "snapshot_bytes_max"));
    assert_null(store);
}

static void test_pieces_of_the_operators_own_are_passed_over(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 1, TARN_REDISTRIBUTE_SPLIT, "ab");
    char *own = malloc(8);
    assert_non_null(own);
    memcpy(own, "position", 8);
    f->pieces.items[f->pieces.count++] =
        (tarn__operator_piece){.subtask = 0, .bytes = tarn_bytes_at(own, 8)};
    expect_list(f, 0, 1, TARN_REDISTRIBUTE_SPLIT, "ab");
}

/* ---- states of several parts ------------------------------------------------------------- */

enum { BIG_BYTES = 1 << 20, BIG_COUNT = 40 };

static void write_big(fixture *f)
{
    char *block = calloc(1, BIG_BYTES);
    assert_non_null(block);
    tarn_operator_store *store = operator_open(f->budget, 0, 1, NULL);
    store->bytes_max = 256 << 20;
    tarn_operator_list *list = operator_list(store, "big", TARN_REDISTRIBUTE_SPLIT);
    tarn_broadcast *map = operator_broadcast(store, "big map");
    for (uint32_t i = 0; i < BIG_COUNT; i++) {
        memcpy(block, &i, sizeof i);
        assert_ok(
            tarn_operator_list_add(list, tarn_bytes_at(block, BIG_BYTES), &f->error), &f->error);
        assert_ok(
            tarn_broadcast_put(
                map, tarn_bytes_at(&i, 1), tarn_bytes_at(block, BIG_BYTES), &f->error),
            &f->error);
    }
    operator_write(store, &f->pieces);
    operator_close(store);
    free(block);
}

static tarn_operator_store *restore_big(fixture *f, uint32_t subtask, uint32_t parallelism)
{
    tarn__operator_source source;
    tarn__operator_store_options options =
        operator_options(f->budget, subtask, parallelism, &f->pieces, &source);
    options.bytes_max = 256 << 20;
    tarn_operator_store *store = NULL;
    assert_ok(tarn__operator_store_open(&options, &store, &f->error), &f->error);
    return store;
}

static void test_a_long_state_has_parts_and_is_put_together_again(void **state)
{
    fixture *f = *state;
    write_big(f);
    assert_int_equal(f->pieces.count, 6);
    assert_string_equal(f->pieces.names[0], "big");
    assert_string_equal(f->pieces.names[1], ".more-0-1");
    assert_string_equal(f->pieces.names[2], ".more-0-2");
    assert_string_equal(f->pieces.names[3], "big map");
    assert_string_equal(f->pieces.names[5], ".more-1-2");
    for (size_t i = 0; i < f->pieces.count; i++) {
        assert_true(f->pieces.items[i].bytes.size <= TARN__OPERATOR_PIECE_BYTES_MAX);
    }
    for (uint32_t subtask = 0, at = 0; subtask < 3; subtask++) {
        tarn_operator_store *store = restore_big(f, subtask, 3);
        tarn_operator_list *list = operator_list(store, "big", TARN_REDISTRIBUTE_SPLIT);
        assert_int_equal(tarn_operator_list_count(list), subtask == 0 ? 14 : 13);
        for (uint64_t i = 0; i < tarn_operator_list_count(list); i++, at++) {
            tarn_bytes element;
            assert_int_equal(tarn_operator_list_get(list, i, &element), TARN_OK);
            assert_int_equal(element.size, BIG_BYTES);
            assert_memory_equal(element.data, &at, sizeof at);
        }
        assert_int_equal(tarn_broadcast_count(operator_broadcast(store, "big map")), BIG_COUNT);
        operator_close(store);
    }
}

static void test_a_missing_part_is_found(void **state)
{
    fixture *f = *state;
    write_big(f);
    const size_t count = f->pieces.count;
    for (size_t missing = 0; missing < count; missing++) {
        const tarn__operator_piece kept = f->pieces.items[missing];
        f->pieces.items[missing] = f->pieces.items[count - 1];
        f->pieces.count = count - 1;
        assert_int_equal(restore(f, 0, 1), TARN_CORRUPTION);
        assert_non_null(strstr(f->error.message, "parts"));
        f->pieces.count = count;
        f->pieces.items[missing] = kept;
    }
}

static void test_a_part_that_is_there_twice_is_found(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 1, TARN_REDISTRIBUTE_SPLIT, "a");
    write_list(f, 0, 1, TARN_REDISTRIBUTE_SPLIT, "a");
    assert_int_equal(restore(f, 0, 1), TARN_CORRUPTION);
    assert_non_null(strstr(f->error.message, "\"l\" of sink/0"));
}

/* ---- failures ---------------------------------------------------------------------------- */

static void test_restoring_survives_every_allocation_failure(void **state)
{
    fixture *f = *state;
    write_list(f, 0, 2, TARN_REDISTRIBUTE_SPLIT, "abcdefghijklmnopqrstuvwxyz");
    write_list(f, 1, 2, TARN_REDISTRIBUTE_SPLIT, "abcdefghijklmnopqrstuvwxyz");
    write_map(f, 0, 2, "value");
    for (uint64_t nth = 0;; nth++) {
        fault_allocator allocator;
        fault_allocator_init(&allocator, FAULT_NEVER);
        tarn_budget *budget = operator_budget(TARN_UNLIMITED, &allocator.base);
        allocator.fail_at = atomic_load(&allocator.request_count) + nth;
        tarn__operator_source source;
        const tarn__operator_store_options options =
            operator_options(budget, 0, 1, &f->pieces, &source);
        tarn_operator_store *store = NULL;
        const tarn_status status = tarn__operator_store_open(&options, &store, &f->error);
        const bool fired = atomic_load(&allocator.fired);
        assert_int_equal(status, fired ? TARN_NO_MEMORY : TARN_OK);
        assert_true(fired == (store == NULL));
        operator_close(store);
        assert_ok(tarn_budget_close(budget, &f->error), &f->error);
        assert_int_equal(atomic_load(&allocator.live_count), 0);
        if (!fired) {
            assert_true(nth > 5);
            break;
        }
    }
}

/* ---- through a checkpoint on disk -------------------------------------------------------- */

static tarn_status open_public(
    tarn_env *env,
    const char *operator_name,
    uint32_t subtask,
    uint32_t parallelism,
    const tarn_checkpoint *checkpoint,
    tarn_operator_store **out,
    tarn_error *error)
{
    tarn_operator_store_options options = TARN_OPERATOR_STORE_OPTIONS_INIT;
    options.env = env;
    options.operator_name = operator_name;
    options.subtask_index = subtask;
    options.parallelism = parallelism;
    options.restore = checkpoint;
    return tarn_operator_store_open(&options, out, error);
}

/* Acknowledges a store's snapshot. */
static tarn_status acknowledge(
    tarn_operator_store *store,
    tarn_pending_checkpoint *pending,
    uint32_t subtask,
    uint32_t parallelism,
    tarn_error *error)
{
    tarn_operator_snapshot *snapshot = NULL;
    TARN_TRY(tarn_operator_snapshot_new(store, &snapshot, error));
    uint32_t count = 0;
    const tarn_checkpoint_operator_state *parts = tarn_operator_snapshot_states(snapshot, &count);
    tarn_buffer bytes = TARN_BUFFER_INIT;
    tarn_status status = tarn_acknowledgement_encode(
        tarn_pending_checkpoint_id(pending),
        "sink",
        subtask,
        parallelism,
        parts,
        count,
        &bytes,
        error);
    tarn_operator_snapshot_free(snapshot);
    if (status == TARN_OK) {
        status = tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), error);
    }
    tarn_buffer_clear(&bytes);
    return status;
}

static void take_checkpoint(tarn_env *env, const char *address)
{
    tarn_error error;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = env;
    options.address = address;
    options.job = "job";
    tarn_checkpoint_store *checkpoints = NULL;
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_store_open(&options, &checkpoints, &error), &error);
    assert_ok(
        tarn_checkpoint_begin(
            checkpoints, tarn_checkpoint_store_next_id(checkpoints), &pending, &error),
        &error);
    static const char *const letters[] = {"abc", "de"};
    for (uint32_t i = 0; i < 2; i++) {
        tarn_operator_store *store = NULL;
        assert_ok(open_public(env, "sink", i, 2, NULL, &store, &error), &error);
        operator_add_letters(operator_list(store, "l", TARN_REDISTRIBUTE_SPLIT), letters[i]);
        assert_ok(acknowledge(store, pending, i, 2, &error), &error);
        assert_ok(tarn_operator_store_close(store, &error), &error);
    }
    assert_ok(tarn_checkpoint_commit(pending, NULL, &error), &error);
    assert_ok(tarn_checkpoint_store_close(checkpoints, &error), &error);
}

static void test_a_checkpoint_on_disk_gives_the_state_back_at_another_parallelism(void **state)
{
    (void)state;
    tarn_error error;
    scratch directory;
    scratch_init(&directory);
    tarn_config *config = fixture_new_config(64);
    tarn_env *env = fixture_open_env(config, NULL);
    take_checkpoint(env, directory.path);

    tarn_checkpoint *checkpoint = NULL;
    char address[PATH_MAX + 8];
    snprintf(address, sizeof address, "%s/job", directory.path);
    assert_ok(tarn_checkpoint_open(address, NULL, &checkpoint, &error), &error);
    static const char *const expected[] = {"ab", "cd", "e"};
    for (uint32_t i = 0; i < 3; i++) {
        tarn_operator_store *store = NULL;
        assert_ok(open_public(env, "sink", i, 3, checkpoint, &store, &error), &error);
        operator_expect_letters(operator_list(store, "l", TARN_REDISTRIBUTE_SPLIT), expected[i]);
        assert_int_equal(tarn_env_close(env, &error), TARN_BUSY);
        assert_non_null(strstr(error.message, "operator state of sink"));
        assert_ok(tarn_operator_store_close(store, &error), &error);
    }
    tarn_operator_store *none = NULL;
    assert_int_equal(
        open_public(env, "source", 0, 1, checkpoint, &none, &error), TARN_INCOMPATIBLE);
    assert_non_null(strstr(error.message, "\"source\""));
    assert_non_null(strstr(error.message, "chk-1"));
    assert_null(none);
    tarn_checkpoint_free(checkpoint);
    assert_ok(tarn_env_close(env, &error), &error);
    tarn_config_free(config);
    scratch_clear(&directory);
}

static void test_options_out_of_range_are_refused_by_name(void **state)
{
    (void)state;
    tarn_error error;
    tarn_config *config = fixture_new_config(64);
    tarn_env *env = fixture_open_env(config, NULL);
    tarn_operator_store *store = NULL;
    assert_int_equal(open_public(NULL, "sink", 0, 1, NULL, &store, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "env"));
    assert_int_equal(open_public(env, NULL, 0, 1, NULL, &store, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "operator_name"));
    assert_int_equal(open_public(env, "", 0, 1, NULL, &store, &error), TARN_INVALID_ARGUMENT);
    assert_int_equal(open_public(env, "sink", 2, 2, NULL, &store, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "subtask 2 of 2"));
    tarn_operator_store_options options;
    tarn_operator_store_options_init(&options, sizeof options);
    options.env = env;
    options.operator_name = "sink";
    options.snapshot_bytes_max = (UINT64_C(256) << 20) + 1;
    assert_int_equal(tarn_operator_store_open(&options, &store, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "268435457"));
    options.snapshot_bytes_max = 0;
    assert_ok(tarn_operator_store_open(&options, &store, &error), &error);
    tarn_operator_state_options of;
    tarn_operator_state_options_init(&of, sizeof of);
    tarn_operator_list *list = NULL;
    assert_int_equal(tarn_operator_list_open(store, &of, &list, &error), TARN_INVALID_ARGUMENT);
    assert_ok(tarn_operator_store_close(store, &error), &error);
    assert_ok(tarn_env_close(env, &error), &error);
    tarn_config_free(config);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_split_lists_are_dealt_out_in_the_order_of_their_origin),
        CASE(test_split_lists_stay_where_they_are_at_the_same_parallelism),
        CASE(test_a_second_list_starts_after_the_last_extra_element_of_the_first),
        CASE(test_union_lists_go_whole_to_every_subtask),
        CASE(test_broadcast_copies_go_round_and_round),
        CASE(test_a_finished_subtask_counts_for_nothing),
        CASE(test_a_list_of_a_finished_subtask_is_empty),
        CASE(test_state_that_nobody_opens_is_carried_on),
        CASE(test_restored_state_refuses_another_redistribution),
        CASE(test_subtasks_that_contradict_each_other_are_refused_with_both_sides),
        CASE(test_what_exceeds_the_limit_is_refused_by_name),
        CASE(test_pieces_of_the_operators_own_are_passed_over),
        CASE(test_a_long_state_has_parts_and_is_put_together_again),
        CASE(test_a_missing_part_is_found),
        CASE(test_a_part_that_is_there_twice_is_found),
        CASE(test_restoring_survives_every_allocation_failure),
        cmocka_unit_test(test_a_checkpoint_on_disk_gives_the_state_back_at_another_parallelism),
        cmocka_unit_test(test_options_out_of_range_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
