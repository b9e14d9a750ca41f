/*
 * Unit tests of old subtasks whose files become a backend's as they are (state/join.c): no row is
 * written, contents are those of the checkpoint, the next checkpoint sends nothing of them; and
 * where it cannot be done, rows are taken over with the same result.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"

#include "state/backend.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

enum { KEYS = 3000, VALUE_BYTES = 200, ROUNDS = 4, SUBTASKS_MAX = 8, MEMORY_STRIDE = FAULT_STRIDE };

typedef struct fixture {
    scratch root;
    tarn_config *config;
    fault_allocator memory;
    tarn_env *env;
    tarn_checkpoint *checkpoint;
    uint32_t next_id;
    bool removes; /* Of a database of level 0 alone RocksDB compacts files with removals at once. */
    tarn_error error;
} fixture;

static int set_up_with(void **state, bool may_link)
{
    static fixture f;
    f = (fixture){.next_id = 1, .removes = true};
    scratch_init(&f.root);
    f.config = fixture_new_config(64);
    if (!may_link) {
        fixture_set(f.config, "tarn.restore.link-files", "false");
    }
    /* The smallest files are read by parts, so that borders have holes where they are copied. */
    fixture_set(f.config, "tarn.restore.parts-file-size", "4kb");
    fault_allocator_init(&f.memory, FAULT_NEVER);
    f.env = fixture_open_env(f.config, &f.memory.base);
    *state = &f;
    return 0;
}

static int set_up_linked(void **state)
{
    return set_up_with(state, true);
}

static int set_up_copied(void **state)
{
    return set_up_with(state, false);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn_checkpoint_free(f->checkpoint);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    assert_int_equal(atomic_load(&f->memory.live_count), 0);
    tarn_config_free(f->config);
    scratch_clear(&f->root);
    return 0;
}

/* ---- backends --------------------------------------------------------------------------- */

static tarn_status try_open(fixture *f, uint32_t index, uint32_t parallelism, tarn_backend **out)
{
    char name[32];
    (void)snprintf(name, sizeof name, "work-%u", index);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = scratch_join(f->root.path, name);
    options.subtask_index = index;
    options.parallelism = parallelism;
    options.restore = f->checkpoint;
    return tarn_backend_open(&options, out, &f->error);
}

static tarn_backend *open_one(fixture *f, uint32_t index, uint32_t parallelism)
{
    tarn_backend *backend = NULL;
    assert_ok(try_open(f, index, parallelism, &backend), &f->error);
    return backend;
}

static bool set_key(fixture *f, tarn_backend *backend, uint32_t key)
{
    return tarn_backend_set_key(backend, tarn_bytes_at(&key, sizeof key), &f->error) == TARN_OK;
}

/* ---- rows ------------------------------------------------------------------------------- */

/* The round that wrote a key last; 0: it was removed. Files of several rounds have the same keys.
 */
static uint32_t last_round(const fixture *f, uint32_t key)
{
    return key % 7 == 0 && f->removes ? 0 : key % 3 == 0 ? ROUNDS : 1 + key % ROUNDS;
}

static tarn_bytes make_value(uint32_t key, uint32_t round, uint8_t room[VALUE_BYTES])
{
    uint64_t number = key * UINT64_C(97) + round;
    for (size_t i = 0; i < VALUE_BYTES; i++) {
        number = number * UINT64_C(6364136223846793005) + 1442695040888963407;
        room[i] = (uint8_t)(number >> 56);
    }
    return tarn_bytes_at(room, VALUE_BYTES);
}

static void write_round(fixture *f, tarn_backend *backend, tarn_value *value, uint32_t round)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        uint8_t room[VALUE_BYTES];
        if (!set_key(f, backend, key)) {
            continue;
        }
        if (round == ROUNDS && last_round(f, key) == 0) {
            assert_ok(tarn_value_remove(value, &f->error), &f->error);
        } else if (round <= last_round(f, key) || (last_round(f, key) == 0 && round < ROUNDS)) {
            assert_ok(tarn_value_put(value, make_value(key, round, room), &f->error), &f->error);
        }
    }
}

/* Answers how many of the keys are the backend's. */
static uint32_t expect_rows(fixture *f, tarn_backend *backend)
{
    uint32_t own_count = 0;
    tarn_value *value = fixture_open_value(backend, "rows");
    for (uint32_t key = 0; key < KEYS; key++) {
        uint8_t room[VALUE_BYTES];
        tarn_bytes got;
        if (!set_key(f, backend, key)) {
            continue;
        }
        own_count++;
        const tarn_status status = tarn_value_get(value, &got, &f->error);
        if (last_round(f, key) == 0) {
            assert_int_equal(status, TARN_NOT_FOUND);
        } else {
            assert_ok(status, &f->error);
            assert_true(tarn_bytes_is_equal(got, make_value(key, last_round(f, key), room)));
        }
    }
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    return own_count;
}

/* ---- checkpoints ------------------------------------------------------------------------ */

static void open_store(fixture *f, tarn_checkpoint_store **out)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = f->env;
    options.address = scratch_join(f->root.path, "checkpoints");
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, out, &f->error), &f->error);
}

static void take_part(fixture *f, tarn_backend *backend, tarn_pending_checkpoint *pending)
{
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = {.allocator = NULL};
    assert_ok(tarn_snapshot_begin(backend, pending, &snapshot, &f->error), &f->error);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &f->error),
        &f->error);
    tarn_buffer_clear(&acknowledgement);
}

static tarn_checkpoint_summary take_checkpoint(fixture *f, tarn_backend **backends, uint32_t count)
{
    char name[64];
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_checkpoint_summary summary;
    open_store(f, &store);
    assert_ok(tarn_checkpoint_begin(store, f->next_id, &pending, &f->error), &f->error);
    for (uint32_t i = 0; i < count; i++) {
        take_part(f, backends[i], pending);
    }
    assert_ok(tarn_checkpoint_commit(pending, &summary, &f->error), &f->error);
    assert_ok(tarn_checkpoint_store_close(store, &f->error), &f->error);
    for (uint32_t i = 0; i < count; i++) {
        tarn_backend_notify_complete(backends[i], f->next_id);
    }
    tarn_checkpoint_free(f->checkpoint);
    f->checkpoint = NULL;
    (void)snprintf(name, sizeof name, "checkpoints/job/chk-%u", f->next_id++);
    assert_ok(
        tarn_checkpoint_open(scratch_join(f->root.path, name), NULL, &f->checkpoint, &f->error),
        &f->error);
    return summary;
}

static void close_all(fixture *f, tarn_backend **backends, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(tarn_backend_close(backends[i], &f->error), &f->error);
    }
}

/* A checkpoint of files in level 0, one a round, that hide rows of each other. */
static void write_checkpoint(fixture *f, uint32_t parallelism, uint32_t rounds)
{
    tarn_backend *backends[SUBTASKS_MAX];
    for (uint32_t i = 0; i < parallelism; i++) {
        backends[i] = open_one(f, i, parallelism);
    }
    for (uint32_t round = ROUNDS - rounds + 1; round <= ROUNDS; round++) {
        tarn_checkpoint *before = f->checkpoint;
        f->checkpoint = NULL;
        for (uint32_t i = 0; i < parallelism; i++) {
            tarn_value *value = fixture_open_value(backends[i], "rows");
            for (uint32_t r = round == ROUNDS - rounds + 1 ? 1 : round; r <= round; r++) {
                write_round(f, backends[i], value, r);
            }
            assert_ok(tarn_value_close(value, &f->error), &f->error);
        }
        tarn_checkpoint_free(before);
        (void)take_checkpoint(f, backends, parallelism);
    }
    close_all(f, backends, parallelism);
}

typedef struct rescaled {
    uint64_t joined_count; /* Files. */
    uint64_t new_bytes;    /* Of the checkpoint that is taken at once. */
} rescaled;

/* Restores all subtasks, compares their rows, and takes the next checkpoint. */
static rescaled rescale(fixture *f, uint32_t parallelism)
{
    rescaled result = {.joined_count = 0};
    tarn_backend *backends[SUBTASKS_MAX];
    uint32_t keys = 0;
    for (uint32_t i = 0; i < parallelism; i++) {
        tarn_backend_stats stats;
        backends[i] = open_one(f, i, parallelism);
        tarn_backend_measure(backends[i], &stats);
        result.joined_count += stats.joined_file_count;
        keys += expect_rows(f, backends[i]);
    }
    assert_int_equal(keys, KEYS);
    result.new_bytes = take_checkpoint(f, backends, parallelism).new_bytes;
    close_all(f, backends, parallelism);
    return result;
}

static void expect_intact(fixture *f)
{
    tarn_checkpoint_verification verified;
    assert_ok(tarn_checkpoint_verify(f->checkpoint, NULL, NULL, &verified, &f->error), &f->error);
    assert_int_equal(verified.bad_count, 0);
}

/* ---- tests ------------------------------------------------------------------------------ */

static uint64_t total_bytes(const fixture *f)
{
    return tarn_checkpoint_summarize(f->checkpoint).total_bytes;
}

static void test_files_are_taken_over_and_not_sent_again(void **state)
{
    fixture *f = *state;
    f->removes = false;
    write_checkpoint(f, 3, 1);
    const rescaled result = rescale(f, 2);
    assert_int_equal(result.joined_count, 2);
    assert_in_range(result.new_bytes, 1, total_bytes(f) / 10);
    expect_intact(f);
    (void)rescale(f, 2);
}

/* A row is in several of them, and removed by the last. */
static void test_files_of_level_0_hide_each_other_as_before(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 3, 3);
    const rescaled result = rescale(f, 1);
    assert_in_range(result.joined_count, 2, 12);
    expect_intact(f);
    (void)rescale(f, 1);
}

static void test_eight_become_three(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 8, 2);
    assert_in_range(rescale(f, 3).joined_count, 6, 40);
    expect_intact(f);
    (void)rescale(f, 8);
    (void)rescale(f, 1);
}

/* Where rows of others were left out, rows are taken over. */
static void test_files_with_holes_are_not_taken_over(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 2, 1);
    assert_int_equal(rescale(f, 3).joined_count, 0);
    (void)rescale(f, 3);
}

/* Those that are whole are, also where they were copied. */
static void test_copied_files_are_taken_over(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 4, 2);
    assert_in_range(rescale(f, 2).joined_count, 2, 8);
    expect_intact(f);
    (void)rescale(f, 1);
}

/*
 * Every step has leftovers of the one before in its files, which range deletes cover: none may
 * cover, or show beside, rows of a file that is taken over.
 */
static void test_steps_that_follow_each_other_at_once(void **state)
{
    static const uint32_t STEPS[] = {2, 3, 1, 5, 4, 7, 2, 6, 1, 8, 3};
    fixture *f = *state;
    write_checkpoint(f, 3, 2);
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        (void)rescale(f, STEPS[i]);
    }
    expect_intact(f);
}

static void remove_rows(fixture *f, tarn_backend *backend)
{
    tarn_value *value = fixture_open_value(backend, "rows");
    for (uint32_t key = 0; key < KEYS; key++) {
        if (set_key(f, backend, key)) {
            assert_ok(tarn_value_remove(value, &f->error), &f->error);
        }
    }
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* Files of nothing at all: the neighbour's leftovers meet none. */
static void compact(fixture *f, tarn_backend *backend)
{
    assert_ok(tarn__rocks_flush(backend->rocks, &f->error), &f->error);
    for (tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks); family != NULL;
         family = family->next) {
        tarn__rocks_compact(family);
    }
}

static uint32_t count_own_rows(fixture *f, tarn_backend *backend)
{
    uint32_t count = 0;
    tarn_row row;
    tarn_value *value = fixture_open_value(backend, "rows");
    tarn_value_iterator *rows = NULL;
    assert_ok(tarn_value_iterate(value, "test", &rows, &f->error), &f->error);
    while (tarn_value_iterator_next(rows, &row, &f->error) == TARN_OK) {
        count++;
    }
    tarn_value_iterator_close(rows);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    return count;
}

/*
 * Either half of a rescale has a file with all rows, and the other half's hidden by a range delete.
 * Then one half removes all that it has, and has no file any more that the leftovers of the other
 * could meet: they must not show in whoever takes over groups of both.
 */
static void expect_removed_rows_to_stay_away(fixture *f, uint32_t emptied)
{
    tarn_backend *backends[SUBTASKS_MAX];
    uint32_t count = 0;
    uint32_t expected = 0;
    f->removes = false;
    write_checkpoint(f, 1, 1);
    (void)rescale(f, 2);
    for (uint32_t i = 0; i < 2; i++) {
        backends[i] = open_one(f, i, 2);
    }
    remove_rows(f, backends[emptied]);
    (void)take_checkpoint(f, backends, 2);
    compact(f, backends[emptied]);
    (void)take_checkpoint(f, backends, 2);
    expected = count_own_rows(f, backends[1 - emptied]);
    assert_int_equal(count_own_rows(f, backends[emptied]), 0);
    close_all(f, backends, 2);
    for (uint32_t i = 0; i < 3; i++) {
        tarn_backend *backend = open_one(f, i, 3);
        count += count_own_rows(f, backend);
        close_all(f, &backend, 1);
    }
    assert_int_equal(count, expected);
}

static void test_removed_rows_stay_away_above(void **state)
{
    expect_removed_rows_to_stay_away(*state, 1);
}

static void test_removed_rows_stay_away_below(void **state)
{
    expect_removed_rows_to_stay_away(*state, 0);
}

static void test_every_refusal_of_memory_is_survived(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 3, 2);
    uint32_t refused = 0;
    bool is_over = false;
    for (uint64_t nth = 0; !is_over; nth += MEMORY_STRIDE) {
        tarn_backend *backend = NULL;
        atomic_store(&f->memory.fired, false);
        atomic_store(&f->memory.request_count, 0);
        f->memory.fail_at = nth;
        const tarn_status status = try_open(f, 0, 2, &backend);
        f->memory.fail_at = FAULT_NEVER;
        is_over = !atomic_load(&f->memory.fired);
        assert_true(status == TARN_OK || (!is_over && status == TARN_NO_MEMORY));
        refused += status == TARN_NO_MEMORY ? 1 : 0;
        if (status == TARN_OK) {
            assert_ok(tarn_backend_close(backend, &f->error), &f->error);
        }
    }
    assert_in_range(refused, 5, 2000);
    (void)rescale(f, 2);
}

int main(void)
{
#define LINKED(name) cmocka_unit_test_setup_teardown(name, set_up_linked, tear_down)
#define COPIED(name) cmocka_unit_test_setup_teardown(name, set_up_copied, tear_down)
    const struct CMUnitTest tests[] = {
        LINKED(test_files_are_taken_over_and_not_sent_again),
        LINKED(test_files_of_level_0_hide_each_other_as_before),
        LINKED(test_eight_become_three),
        COPIED(test_files_with_holes_are_not_taken_over),
        COPIED(test_copied_files_are_taken_over),
        LINKED(test_steps_that_follow_each_other_at_once),
        COPIED(test_steps_that_follow_each_other_at_once),
        LINKED(test_removed_rows_stay_away_above),
        LINKED(test_removed_rows_stay_away_below),
        COPIED(test_removed_rows_stay_away_above),
        COPIED(test_removed_rows_stay_away_below),
        LINKED(test_every_refusal_of_memory_is_survived),
        COPIED(test_every_refusal_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
