/*
 * Unit tests of native savepoints: whole in one directory, which can be moved and is never deleted,
 * and nothing to do with the checkpoints of their job.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/cleanup.h"
#include "tarn/savepoint.h"
#include "tarn/snapshot.h"

#include "env/env.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

enum { ROWS = 300, PATH_BYTES = 4096 };

typedef struct fixture {
    scratch directory;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *value;
    tarn_buffer acknowledgement;
    tarn_snapshot_progress progress;
    char path[PATH_BYTES]; /* Of the latest savepoint. */
    tarn_error error;
} fixture;

static void open_backend(fixture *f, const char *work, tarn_checkpoint *restore)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = scratch_join(f->directory.path, work);
    options.restore = restore;
    assert_ok(tarn_backend_open(&options, &f->backend, &f->error), &f->error);
    f->value = fixture_open_value(f->backend, "counts");
}

static void close_backend(fixture *f)
{
    assert_ok(tarn_value_close(f->value, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    scratch_init(&f->directory);
    tarn_config *config = fixture_new_config(64);
    f->env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    tarn_checkpoint_store_options store = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    store.env = f->env;
    store.address = scratch_join(f->directory.path, "checkpoints");
    store.job = "job";
    assert_ok(tarn_checkpoint_store_open(&store, &f->store, &f->error), &f->error);
    open_backend(f, "work", NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    close_backend(f);
    tarn_buffer_clear(&f->acknowledgement);
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    scratch_clear(&f->directory);
    free(f);
    return 0;
}

static void put_rows(fixture *f, uint64_t number)
{
    for (int key = 0; key < ROWS; key++) {
        char text[16];
        snprintf(text, sizeof text, "%d", key);
        assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(text), &f->error), &f->error);
        const tarn_bytes bytes = tarn_bytes_at(&number, sizeof number);
        assert_ok(tarn_value_put(f->value, bytes, &f->error), &f->error);
    }
}

static void expect_rows(fixture *f, uint64_t number)
{
    for (int key = 0; key < ROWS; key++) {
        char text[16];
        snprintf(text, sizeof text, "%d", key);
        assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(text), &f->error), &f->error);
        tarn_bytes bytes;
        assert_ok(tarn_value_get(f->value, &bytes, &f->error), &f->error);
        assert_true(tarn_bytes_is_equal(bytes, tarn_bytes_at(&number, sizeof number)));
    }
}

static tarn_pending_checkpoint *begin(fixture *f, uint64_t id)
{
    tarn_savepoint_options options = TARN_SAVEPOINT_OPTIONS_INIT;
    options.env = f->env;
    options.address = scratch_join(f->directory.path, "savepoints");
    options.job = "job";
    options.id = id;
    options.form = TARN_FORM_NATIVE;
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_savepoint_begin(&options, &pending, &f->error), &f->error);
    snprintf(f->path, sizeof f->path, "%s", tarn_savepoint_path(pending));
    return pending;
}

static void take(fixture *f, tarn_pending_checkpoint *pending)
{
    tarn_snapshot *snapshot = NULL;
    assert_ok(tarn_snapshot_begin(f->backend, pending, &snapshot, &f->error), &f->error);
    assert_ok(
        tarn_snapshot_add_state(snapshot, "position", tarn_bytes_of("here"), &f->error), &f->error);
    while (tarn_snapshot_poll(snapshot) == TARN_PENDING) {
    }
    tarn_snapshot_measure(snapshot, &f->progress);
    assert_ok(tarn_snapshot_finish(snapshot, &f->acknowledgement, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&f->acknowledgement), &f->error),
        &f->error);
}

static void take_savepoint(fixture *f, uint64_t id)
{
    tarn_pending_checkpoint *pending = begin(f, id);
    take(f, pending);
    tarn_checkpoint_summary summary;
    assert_ok(tarn_checkpoint_commit(pending, &summary, &f->error), &f->error);
    assert_int_equal(summary.id, id);
    assert_int_equal(summary.form, TARN_FORM_NATIVE);
}

static uint64_t take_checkpoint(fixture *f)
{
    const uint64_t id = tarn_checkpoint_store_next_id(f->store);
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    take(f, pending);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    tarn_backend_notify_complete(f->backend, id);
    return id;
}

static void restore(fixture *f, const char *path, const char *work)
{
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(path, NULL, &checkpoint, &f->error), &f->error);
    close_backend(f);
    open_backend(f, work, checkpoint);
    tarn_checkpoint_free(checkpoint);
}

static const char *job(const fixture *f)
{
    return scratch_join(scratch_join(f->directory.path, "checkpoints"), "job");
}

static void test_a_savepoint_is_restored_from_wherever_it_was_moved(void **state)
{
    fixture *f = *state;
    put_rows(f, 5);
    take_savepoint(f, 7);
    put_rows(f, 6);
    char moved[PATH_BYTES];
    snprintf(moved, sizeof moved, "%s", scratch_join(f->directory.path, "elsewhere"));
    scratch_copy(f->path, moved);
    scratch_remove(scratch_join(f->directory.path, "savepoints"));
    restore(f, moved, "restored");
    expect_rows(f, 5);
    restore(f, scratch_join(moved, "_metadata"), "again");
    expect_rows(f, 5);

    tarn_checkpoint *checkpoint = NULL;
    tarn_checkpoint_verification result;
    assert_ok(tarn_checkpoint_open(moved, NULL, &checkpoint, &f->error), &f->error);
    assert_string_equal(tarn_checkpoint_path(checkpoint), moved);
    assert_int_equal(tarn_checkpoint_summarize(checkpoint).form, TARN_FORM_NATIVE);
    assert_ok(tarn_checkpoint_verify(checkpoint, NULL, NULL, &result, &f->error), &f->error);
    assert_int_equal(result.bad_count, 0);
    assert_true(result.file_count > 2);
    tarn_checkpoint_free(checkpoint);
}

/* Its owner may delete it at any time, so no checkpoint may need a file of it. */
static void test_a_savepoint_shares_nothing_and_is_never_a_base(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    take_checkpoint(f);
    take_savepoint(f, 2);
    assert_int_equal(f->progress.reused_count, 0);
    assert_int_equal(f->progress.linked_count, 0); /* Not even a file with the database. */
    assert_int_equal(scratch_count(f->path, "shared"), 0);
    tarn_backend_notify_complete(f->backend, 2);
    scratch_remove(f->path);
    take_checkpoint(f);
    assert_true(f->progress.reused_count > 0); /* It still builds on checkpoint 1. */
    restore(f, job(f), "restored");
    expect_rows(f, 1);
}

static void test_the_first_checkpoint_after_a_savepoint_is_full(void **state)
{
    fixture *f = *state;
    put_rows(f, 3);
    take_savepoint(f, 4);
    restore(f, f->path, "restored");
    take_checkpoint(f);
    assert_int_equal(f->progress.reused_count, 0);
    scratch_remove(f->path);
    restore(f, job(f), "again");
    expect_rows(f, 3);
}

static void test_nothing_of_the_job_deletes_a_savepoint(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    /* Even one within the directory of the job. */
    tarn_savepoint_options options = TARN_SAVEPOINT_OPTIONS_INIT;
    options.env = f->env;
    char address[PATH_BYTES];
    snprintf(address, sizeof address, "%s", job(f));
    options.address = address;
    options.job = "job";
    options.form = TARN_FORM_NATIVE;
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_savepoint_begin(&options, &pending, &f->error), &f->error);
    snprintf(f->path, sizeof f->path, "%s", tarn_savepoint_path(pending));
    take(f, pending);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    put_rows(f, 2);
    take_checkpoint(f);
    take_checkpoint(f);
    tarn_garbage_options garbage = TARN_GARBAGE_OPTIONS_INIT;
    garbage.address = address;
    garbage.grace_ms = 1;
    assert_ok(tarn_garbage_collect(&garbage, NULL, &f->error), &f->error);
    restore(f, f->path, "restored");
    expect_rows(f, 1);
}

static void test_an_abandoned_savepoint_leaves_nothing(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    tarn_pending_checkpoint *pending = begin(f, 3);
    take(f, pending);
    assert_true(scratch_exists(f->path));
    tarn_checkpoint_abandon(pending);
    tarn__env_await_ends(f->env);
    assert_false(scratch_exists(f->path));

    /* Given up while its snapshot is under way: what that writes later goes too. */
    pending = begin(f, 4);
    tarn_snapshot *snapshot = NULL;
    assert_ok(tarn_snapshot_begin(f->backend, pending, &snapshot, &f->error), &f->error);
    tarn_checkpoint_abandon(pending);
    assert_int_not_equal(tarn_snapshot_finish(snapshot, &f->acknowledgement, &f->error), TARN_OK);
    tarn__env_await_ends(f->env);
    assert_false(scratch_exists(f->path));
}

static void test_an_incomplete_savepoint_is_not_committed(void **state)
{
    fixture *f = *state;
    tarn_pending_checkpoint *pending = begin(f, 3);
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_ok(
        tarn_acknowledgement_encode(3, "source", 0, 2, NULL, 0, &bytes, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &f->error), &f->error);
    tarn_buffer_clear(&bytes);
    assert_int_equal(tarn_checkpoint_commit(pending, NULL, &f->error), TARN_INCOMPATIBLE);
    assert_false(scratch_exists(f->path));
}

static void test_metadata_of_a_checkpoint_alone_is_no_savepoint(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    take_checkpoint(f);
    char alone[PATH_BYTES];
    snprintf(alone, sizeof alone, "%s", scratch_join(f->directory.path, "alone"));
    scratch_copy(scratch_join(job(f), "chk-1"), alone);
    tarn_checkpoint *checkpoint = NULL;
    assert_int_equal(tarn_checkpoint_open(alone, NULL, &checkpoint, &f->error), TARN_INCOMPATIBLE);
    assert_non_null(strstr(f->error.message, "chk-N"));
}

static void test_bad_options_are_refused_by_name(void **state)
{
    fixture *f = *state;
    tarn_pending_checkpoint *pending = NULL;
    tarn_savepoint_options options;
    tarn_savepoint_options_init(&options, sizeof options);
    assert_int_equal(tarn_savepoint_begin(&options, &pending, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "env"));
    options.env = f->env;
    assert_int_equal(tarn_savepoint_begin(&options, &pending, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "address"));
    options.address = f->directory.path;
    assert_int_equal(tarn_savepoint_begin(&options, &pending, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "job"));
    options.job = "job";
    options.form = (tarn_checkpoint_form)77;
    assert_int_equal(tarn_savepoint_begin(&options, &pending, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "77"));
    assert_null(pending);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_savepoint_is_restored_from_wherever_it_was_moved),
        TEST(test_a_savepoint_shares_nothing_and_is_never_a_base),
        TEST(test_the_first_checkpoint_after_a_savepoint_is_full),
        TEST(test_nothing_of_the_job_deletes_a_savepoint),
        TEST(test_an_abandoned_savepoint_leaves_nothing),
        TEST(test_an_incomplete_savepoint_is_not_committed),
        TEST(test_metadata_of_a_checkpoint_alone_is_no_savepoint),
        TEST(test_bad_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
