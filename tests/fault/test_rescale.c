/*
 * Restores at another parallelism when something is in the way: a file of any old subtask that is
 * missing or damaged, memory that is refused at any point. They fail with a reason, leave nothing
 * in the working directory, and succeed in it once the reason is gone.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"

#include "support/scratch.h"
#include "support/state_fixture.h"

enum { OLD_PARALLELISM = 3, KEYS = 300 };

typedef struct fixture {
    scratch root;
    tarn_config *config;
    fault_allocator memory;
    tarn_env *env;
    tarn_checkpoint *checkpoint;
    tarn_error error;
} fixture;

static tarn_backend_options options_of(
    fixture *f, const char *directory, uint32_t index, uint32_t parallelism)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = scratch_join(f->root.path, directory);
    options.subtask_index = index;
    options.parallelism = parallelism;
    return options;
}

static bool set_key(fixture *f, tarn_backend *backend, uint32_t key)
{
    return tarn_backend_set_key(backend, tarn_bytes_at(&key, sizeof key), &f->error) == TARN_OK;
}

/* The part of one old subtask. Each has a state of its own beside the one that all have. */
static void write_subtask(fixture *f, tarn_pending_checkpoint *pending, uint32_t index)
{
    tarn_backend *backend = NULL;
    tarn_snapshot *snapshot = NULL;
    char own[16];
    (void)snprintf(own, sizeof own, "own-%u", index);
    const tarn_backend_options options = options_of(f, own, index, OLD_PARALLELISM);
    assert_ok(tarn_backend_open(&options, &backend, &f->error), &f->error);
    tarn_value *states[] = {fixture_open_value(backend, "value"), fixture_open_value(backend, own)};
    for (uint32_t key = 0; key < KEYS; key++) {
        for (int i = 0; set_key(f, backend, key) && i < 2; i++) {
            assert_ok(
                tarn_value_put(states[i], tarn_bytes_at(&key, sizeof key), &f->error), &f->error);
        }
    }
    tarn_buffer acknowledgement = {.allocator = NULL};
    assert_ok(tarn_snapshot_begin(backend, pending, &snapshot, &f->error), &f->error);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &f->error),
        &f->error);
    tarn_buffer_clear(&acknowledgement);
    assert_ok(tarn_value_close(states[0], &f->error), &f->error);
    assert_ok(tarn_value_close(states[1], &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

static void write_checkpoint(fixture *f)
{
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = f->env;
    options.address = scratch_join(f->root.path, "checkpoints");
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &store, &f->error), &f->error);
    assert_ok(tarn_checkpoint_begin(store, 1, &pending, &f->error), &f->error);
    for (uint32_t i = 0; i < OLD_PARALLELISM; i++) {
        write_subtask(f, pending, i);
    }
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    assert_ok(tarn_checkpoint_store_close(store, &f->error), &f->error);
}

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.env = NULL};
    scratch_init(&f.root);
    f.config = fixture_new_config(64);
    fault_allocator_init(&f.memory, FAULT_NEVER);
    f.env = fixture_open_env(f.config, &f.memory.base);
    write_checkpoint(&f);
    assert_ok(
        tarn_checkpoint_open(
            scratch_join(f.root.path, "checkpoints/job"), NULL, &f.checkpoint, &f.error),
        &f.error);
    *state = &f;
    return 0;
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

/* Restores the first of so many subtasks. */
static tarn_status restore(fixture *f, uint32_t parallelism, tarn_backend **out)
{
    tarn_backend_options options = options_of(f, "restored", 0, parallelism);
    options.restore = f->checkpoint;
    return tarn_backend_open(&options, out, &f->error);
}

static void expect_every_key(fixture *f, tarn_backend *backend)
{
    uint32_t count = 0;
    tarn_value *value = fixture_open_value(backend, "value");
    for (uint32_t key = 0; key < KEYS; key++) {
        tarn_bytes got;
        if (set_key(f, backend, key)) {
            assert_ok(tarn_value_get(value, &got, &f->error), &f->error);
            assert_true(tarn_bytes_is_equal(got, tarn_bytes_at(&key, sizeof key)));
            count++;
        }
    }
    assert_in_range(count, 1, KEYS);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

/* A table file of an old subtask. */
static const char *table_of(fixture *f, uint32_t index)
{
    uint32_t position = 0;
    assert_int_equal(tarn_checkpoint_find_subtask(f->checkpoint, "op", index, &position), TARN_OK);
    const uint32_t count = tarn_checkpoint_subtask_at(f->checkpoint, position).file_count;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(f->checkpoint, position, i);
        if (file.is_shared) {
            return file.path;
        }
    }
    fail_msg("subtask %u has no table file", index);
    return NULL;
}

static void expect_refused(fixture *f, tarn_status status, const char *file)
{
    tarn_backend *backend = NULL;
    assert_int_equal(restore(f, 1, &backend), status);
    assert_null(backend);
    if (strstr(f->error.message, file) == NULL) {
        fail_msg("\"%s\" is not in: %s", file, f->error.message);
    }
    assert_int_equal(scratch_count(scratch_join(f->root.path, "restored"), ""), 0);
}

static void test_a_damaged_file_of_any_old_subtask_is_named(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < OLD_PARALLELISM; i++) {
        const char *name = table_of(f, i);
        char path[2 * PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/checkpoints/job/%.1024s", f->root.path, name);
        scratch_flip(path, 20);
        expect_refused(f, TARN_CORRUPTION, name);
        scratch_flip(path, 20);
    }
    tarn_backend *backend = NULL;
    assert_ok(restore(f, 1, &backend), &f->error);
    expect_every_key(f, backend);
}

static void test_a_missing_file_of_any_old_subtask_is_named(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < OLD_PARALLELISM; i++) {
        const char *name = table_of(f, i);
        char path[2 * PATH_MAX];
        char aside[2 * PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/checkpoints/job/%.1024s", f->root.path, name);
        (void)snprintf(aside, sizeof aside, "%s/aside", f->root.path);
        assert_int_equal(rename(path, aside), 0);
        expect_refused(f, TARN_MISSING, name);
        assert_int_equal(rename(aside, path), 0);
    }
}

/* To 1: all parts are merged. To 2: one of them only in part. */
static void expect_memory_failures_are_survived(fixture *f, uint32_t parallelism)
{
    uint32_t refused = 0;
    bool is_over = false;
    for (uint64_t nth = 0; !is_over; nth += FAULT_STRIDE) {
        tarn_backend *backend = NULL;
        atomic_store(&f->memory.fired, false);
        atomic_store(&f->memory.request_count, 0);
        f->memory.fail_at = nth;
        const tarn_status status = restore(f, parallelism, &backend);
        f->memory.fail_at = FAULT_NEVER;
        is_over = !atomic_load(&f->memory.fired);
        /* Help by a worker may be refused memory, which is no failure. */
        assert_true(status == TARN_OK || (!is_over && status == TARN_NO_MEMORY));
        refused += status == TARN_NO_MEMORY ? 1 : 0;
        if (status == TARN_OK) {
            expect_every_key(f, backend);
        } else {
            assert_null(backend);
        }
    }
    assert_in_range(refused, 20 / FAULT_STRIDE, 1000);
}

static void test_every_refusal_of_memory_is_survived(void **state)
{
    expect_memory_failures_are_survived(*state, 1);
    expect_memory_failures_are_survived(*state, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_damaged_file_of_any_old_subtask_is_named),
        TEST(test_a_missing_file_of_any_old_subtask_is_named),
        TEST(test_every_refusal_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
