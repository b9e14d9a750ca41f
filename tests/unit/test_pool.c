/*
 * Unit tests of snapshot/pool.c and of restores that use it: what is whole on the task's disk is
 * not downloaded, what is damaged there is, and the copy never grows beyond two snapshots.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/snapshot.h"

#include "snapshot/pool.h"
#include "support/fault_files.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

enum { ROWS = 400, PATH_BYTES = 4096, BUFFER_BYTES = 4096 };

typedef struct fixture {
    scratch directory;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *value;
    tarn_backend_stats stats;
    tarn_error error;
} fixture;

static void open_backend(fixture *f, const char *work, tarn_checkpoint *restore)
{
    char recovery[PATH_BYTES];
    snprintf(recovery, sizeof recovery, "%s", scratch_join(f->directory.path, "copy"));
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = scratch_join(f->directory.path, work);
    options.restore = restore;
    options.recovery_directory = recovery;
    assert_ok(tarn_backend_open(&options, &f->backend, &f->error), &f->error);
    f->value = fixture_open_value(f->backend, "counts");
    tarn_backend_measure(f->backend, &f->stats);
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
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    scratch_clear(&f->directory);
    free(f);
    return 0;
}

static void put_rows(fixture *f, int first, uint64_t number)
{
    for (int key = first; key < first + ROWS; key++) {
        char text[16];
        snprintf(text, sizeof text, "%d", key);
        assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(text), &f->error), &f->error);
        const tarn_bytes bytes = tarn_bytes_at(&number, sizeof number);
        assert_ok(tarn_value_put(f->value, bytes, &f->error), &f->error);
    }
}

static void expect_row(fixture *f, const char *key, uint64_t number)
{
    tarn_bytes bytes;
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(key), &f->error), &f->error);
    assert_ok(tarn_value_get(f->value, &bytes, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(bytes, tarn_bytes_at(&number, sizeof number)));
}

static void take_checkpoint(fixture *f)
{
    const uint64_t id = tarn_checkpoint_store_next_id(f->store);
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    assert_ok(tarn_snapshot_begin(f->backend, pending, &snapshot, &f->error), &f->error);
    assert_ok(tarn_snapshot_finish(snapshot, &bytes, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &f->error), &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    tarn_backend_notify_complete(f->backend, id);
    tarn_buffer_clear(&bytes);
}

/* Answers what is in the storage: inline files need no second copy. */
static tarn_checkpoint_summary restore(fixture *f, const char *work)
{
    tarn_checkpoint *checkpoint = NULL;
    const char *job = scratch_join(scratch_join(f->directory.path, "checkpoints"), "job");
    assert_ok(tarn_checkpoint_open(job, NULL, &checkpoint, &f->error), &f->error);
    close_backend(f);
    open_backend(f, work, checkpoint);
    tarn_checkpoint_summary summary = tarn_checkpoint_summarize(checkpoint);
    for (uint32_t i = 0; i < tarn_checkpoint_subtask_at(checkpoint, 0).file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, i);
        summary.file_count -= file.is_inline ? 1 : 0;
        summary.total_bytes -= file.is_inline ? file.size : 0;
    }
    tarn_checkpoint_free(checkpoint);
    assert_true(summary.file_count > 0);
    return summary;
}

static void test_nothing_that_is_there_is_downloaded(void **state)
{
    fixture *f = *state;
    put_rows(f, 0, 1);
    take_checkpoint(f);
    put_rows(f, 0, 2);
    take_checkpoint(f);
    put_rows(f, 0, 3);
    const tarn_checkpoint_summary summary = restore(f, "work"); /* The same place, wiped. */
    assert_int_equal(f->stats.local_file_count, summary.file_count);
    assert_int_equal(f->stats.local_bytes, summary.total_bytes);
    assert_int_equal(f->stats.local_damaged_count, 0);
    expect_row(f, "17", 2);
}

/* Even though the files are links: what is written on the one side is not seen on the other. */
static void test_the_copy_outlives_what_a_restored_backend_does(void **state)
{
    fixture *f = *state;
    put_rows(f, 0, 1);
    take_checkpoint(f);
    for (uint64_t round = 0; round < 3; round++) {
        const tarn_checkpoint_summary summary = restore(f, "work");
        assert_int_equal(f->stats.local_file_count, summary.file_count);
        expect_row(f, "17", 1);
        put_rows(f, 0, 7 + round);
    }
}

typedef struct damage {
    const char *root;
    uint32_t count;
} damage;

static void flip(const char *name, void *context)
{
    damage *d = context;
    size_t size = 0;
    const char *path = scratch_join(d->root, name);
    uint8_t *bytes = scratch_read(path, &size);
    bytes[size / 2] ^= 1;
    scratch_remove(path); /* Another inode: not the database's file. */
    scratch_write(path, bytes, size);
    free(bytes);
    d->count++;
}

static void test_a_damaged_copy_is_dropped_for_the_remote_one(void **state)
{
    fixture *f = *state;
    put_rows(f, 0, 1);
    take_checkpoint(f);
    char copy[PATH_BYTES];
    snprintf(copy, sizeof copy, "%s", scratch_join(f->directory.path, "copy"));
    damage d = {.root = copy};
    scratch_walk(copy, flip, &d);
    assert_true(d.count > 0);
    restore(f, "other");
    assert_int_equal(f->stats.local_file_count, 0);
    assert_int_equal(f->stats.local_damaged_count, d.count);
    expect_row(f, "17", 1);
    assert_int_equal(scratch_count(copy, ""), 0);
    take_checkpoint(f); /* And is made anew. */
    restore(f, "again");
    assert_int_equal(f->stats.local_damaged_count, 0);
    assert_true(f->stats.local_file_count > 0);
}

static void test_a_copy_that_is_gone_is_no_failure(void **state)
{
    fixture *f = *state;
    put_rows(f, 0, 1);
    take_checkpoint(f);
    scratch_remove(scratch_join(f->directory.path, "copy"));
    restore(f, "other");
    assert_int_equal(f->stats.local_file_count, 0);
    expect_row(f, "17", 1);
}

static void test_the_copy_is_bounded_by_two_snapshots(void **state)
{
    fixture *f = *state;
    char copy[PATH_BYTES];
    snprintf(copy, sizeof copy, "%s", scratch_join(f->directory.path, "copy"));
    scratch_write(scratch_join(copy, "not-ours"), "x", 1);
    uint32_t largest = 0;
    uint64_t before = 0; /* Files of the snapshot before, which compactions make fewer. */
    for (int round = 0; round < 8; round++) {
        put_rows(f, 0, (uint64_t)round);
        take_checkpoint(f);
        const tarn_checkpoint_summary summary = restore(f, "work");
        const uint32_t count = scratch_count(copy, "");
        assert_true(count >= summary.file_count);
        assert_true(count <= before + summary.file_count + 4);
        before = summary.file_count;
        largest = count > largest ? count : largest;
    }
    assert_true(largest < 60);
    assert_true(scratch_exists(scratch_join(copy, "not-ours")));
}

/* A pool is a shortcut: whatever fails there, the answer is no more than "not here". */
static void test_any_failing_call_only_means_that_it_is_not_there(void **state)
{
    fixture *f = *state;
    char from[PATH_BYTES];
    char copy[PATH_BYTES];
    char to[PATH_BYTES];
    snprintf(from, sizeof from, "%s", scratch_join(f->directory.path, "from"));
    snprintf(copy, sizeof copy, "%s", scratch_join(f->directory.path, "copy"));
    snprintf(to, sizeof to, "%s", scratch_join(f->directory.path, "taken"));
    scratch_make_directory(from);
    scratch_write(scratch_join(from, "000001.sst"), "content", 7);
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn__base *base = NULL;
    const tarn__base_file file = {
        .name = "000001.sst",
        .identity = {.size = 7},
        .digest = tarn__digest_of(tarn_bytes_of("content")),
    };
    const tarn__content content = {.digest = file.digest, .size = 7};
    assert_ok(tarn__base_new(&account, &file, 1, &base, &f->error), &f->error);
    uint8_t buffer[BUFFER_BYTES];
    for (int may_link = 0; may_link < 2; may_link++) {
        for (uint64_t nth = 0;; nth++) {
            fault_files fault;
            fault_files_init(&fault, nth, EIO);
            tarn__pool pool;
            scratch_remove(to);
            tarn_status status = tarn__pool_open(&pool, &fault.base, copy, &f->error);
            status = status == TARN_OK ? tarn__pool_add(&pool, from, base, &f->error) : status;
            status = status == TARN_OK ? tarn__pool_prune(&pool, base, NULL, &f->error) : status;
            const bool is_taken =
                status == TARN_OK &&
                tarn__pool_take(&pool, &content, may_link != 0, to, buffer, sizeof buffer);
            assert_int_equal(scratch_exists(to), is_taken);
            if (!atomic_load(&fault.fired)) {
                assert_true(is_taken);
                break;
            }
        }
    }
    tarn__base_free(base);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_that_is_there_is_downloaded),
        TEST(test_the_copy_outlives_what_a_restored_backend_does),
        TEST(test_a_damaged_copy_is_dropped_for_the_remote_one),
        TEST(test_a_copy_that_is_gone_is_no_failure),
        TEST(test_the_copy_is_bounded_by_two_snapshots),
        TEST(test_any_failing_call_only_means_that_it_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
