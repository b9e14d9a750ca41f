/*
 * Unit tests of state/snapshot.c and state/restore.c: what a snapshot holds, what the next one may
 * share with it, and what a checkpoint is not restored into.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/snapshot.h"
#include "tarn/state.h"
#include "tarn/working_set.h"

#include "support/scratch.h"

enum { ROWS = 500 };

typedef struct fixture {
    scratch directory;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *value;
    tarn_buffer acknowledgement;
    tarn_snapshot_progress progress; /* Of the latest snapshot, before it was finished. */
    tarn_error error;
} fixture;

static tarn_backend_options backend_options(fixture *f, const char *work)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = scratch_join(f->directory.path, work);
    options.max_parallelism = 64;
    return options;
}

static tarn_status open_value(fixture *f, const char *codec, tarn_value **out)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "counts";
    options.codec_name = codec;
    return tarn_value_open(f->backend, &options, out, &f->error);
}

static void open_backend(fixture *f, const char *work, tarn_checkpoint *restore)
{
    tarn_backend_options options = backend_options(f, work);
    options.restore = restore;
    assert_ok(tarn_backend_open(&options, &f->backend, &f->error), &f->error);
    assert_ok(open_value(f, "u64", &f->value), &f->error);
}

static void close_backend(fixture *f)
{
    assert_ok(tarn_value_close(f->value, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
    f->value = NULL;
    f->backend = NULL;
}

static int set_up_with(void **state, const char *key, const char *value)
{
    static fixture f;
    f = (fixture){.env = NULL};
    scratch_init(&f.directory);
    tarn_config *config = NULL;
    assert_ok(tarn_config_new(NULL, &config, &f.error), &f.error);
    assert_ok(
        tarn_config_set(config, "taskmanager.memory.process.size", "1g", NULL, &f.error), &f.error);
    /* RocksDB compacts when it likes: what is left of a segment then is named again all the same.
     */
    assert_ok(
        tarn_config_set(
            config,
            "execution.checkpointing.file-merging.max-space-amplification",
            "0",
            NULL,
            &f.error),
        &f.error);
    assert_ok(tarn_config_set(config, key, value, NULL, &f.error), &f.error);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    assert_ok(tarn_env_open(&options, &f.env, &f.error), &f.error);
    tarn_config_free(config);
    tarn_checkpoint_store_options store = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    store.env = f.env;
    store.address = scratch_join(f.directory.path, "checkpoints");
    store.job = "job";
    store.retained_count = 3;
    assert_ok(tarn_checkpoint_store_open(&store, &f.store, &f.error), &f.error);
    open_backend(&f, "work", NULL);
    *state = &f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, "execution.checkpointing.data-inline-threshold", "20 kb");
}

static int set_up_compressed(void **state)
{
    return set_up_with(state, "execution.checkpointing.snapshot-compression", "true");
}

static int tear_down(void **state)
{
    fixture *f = *state;
    close_backend(f);
    tarn_buffer_clear(&f->acknowledgement);
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    scratch_clear(&f->directory);
    return 0;
}

static void put(fixture *f, int key, uint64_t number)
{
    char text[16];
    const int size = snprintf(text, sizeof text, "%d", key);
    assert_ok(
        tarn_backend_set_key(f->backend, tarn_bytes_at(text, (size_t)size), &f->error), &f->error);
    assert_ok(
        tarn_value_put(f->value, tarn_bytes_at(&number, sizeof number), &f->error), &f->error);
}

static uint64_t get(fixture *f, int key)
{
    char text[16];
    const int size = snprintf(text, sizeof text, "%d", key);
    assert_ok(
        tarn_backend_set_key(f->backend, tarn_bytes_at(text, (size_t)size), &f->error), &f->error);
    tarn_bytes bytes;
    assert_ok(tarn_value_get(f->value, &bytes, &f->error), &f->error);
    uint64_t number = 0;
    assert_int_equal(bytes.size, sizeof number);
    memcpy(&number, bytes.data, sizeof number);
    return number;
}

static void put_rows(fixture *f, uint64_t number)
{
    for (int key = 0; key < ROWS; key++) {
        put(f, key, number);
    }
}

static tarn_pending_checkpoint *begin(fixture *f, tarn_snapshot **snapshot)
{
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(
        tarn_checkpoint_begin(
            f->store, tarn_checkpoint_store_next_id(f->store), &pending, &f->error),
        &f->error);
    assert_ok(tarn_snapshot_begin(f->backend, pending, snapshot, &f->error), &f->error);
    return pending;
}

/* Ends a checkpoint of this one subtask; answers its id. */
static uint64_t commit(fixture *f, tarn_pending_checkpoint *pending, tarn_snapshot *snapshot)
{
    const uint64_t id = tarn_pending_checkpoint_id(pending);
    while (tarn_snapshot_poll(snapshot) == TARN_PENDING) {
    }
    tarn_snapshot_measure(snapshot, &f->progress);
    assert_ok(tarn_snapshot_finish(snapshot, &f->acknowledgement, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&f->acknowledgement), &f->error),
        &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    return id;
}

static uint64_t take_checkpoint(fixture *f)
{
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin(f, &snapshot);
    return commit(f, pending, snapshot);
}

static tarn_checkpoint *open_latest(fixture *f)
{
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(
        tarn_checkpoint_open(
            scratch_join(scratch_join(f->directory.path, "checkpoints"), "job"),
            NULL,
            &checkpoint,
            &f->error),
        &f->error);
    return checkpoint;
}

static void restore(fixture *f, const char *work)
{
    tarn_checkpoint *checkpoint = open_latest(f);
    close_backend(f);
    open_backend(f, work, checkpoint);
    tarn_checkpoint_free(checkpoint);
}

static void test_writes_after_the_barrier_are_not_in_the_checkpoint(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin(f, &snapshot);
    assert_int_equal(get(f, 7), 1); /* Reads do not wait. */
    put_rows(f, 2);                 /* The first write waits for the links. */
    commit(f, pending, snapshot);
    assert_int_equal(get(f, 7), 2);
    restore(f, "restored");
    for (int key = 0; key < ROWS; key++) {
        assert_int_equal(get(f, key), 1);
    }
}

enum { MANY_ROWS = 3000, SLICE_ROWS_MAX = 64 };

/* Writes rows while a snapshot drains; answers the most rows that one call wrote to the store. */
static uint64_t put_while_draining(fixture *f, uint64_t value, bool *has_seen_frozen)
{
    uint64_t largest = 0;
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(f->backend, &stats);
    for (int key = 0; key < MANY_ROWS; key++) {
        const uint64_t before = stats.written_count;
        put(f, MANY_ROWS - 1 - key, value);
        tarn_backend_measure_working_set(f->backend, &stats);
        largest = stats.written_count - before > largest ? stats.written_count - before : largest;
        *has_seen_frozen = *has_seen_frozen || stats.frozen_count > 0;
    }
    return largest;
}

/* Beginning writes nothing; each call writes a slice, and what comes later stays out. */
static void test_a_snapshot_drains_in_slices_while_the_stream_goes_on(void **state)
{
    fixture *f = *state;
    tarn_working_set_stats stats;
    for (int key = 0; key < MANY_ROWS; key++) {
        put(f, key, 1);
    }
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin(f, &snapshot);
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_int_equal(stats.written_count, 0);
    assert_int_equal(stats.frozen_count, MANY_ROWS);
    bool has_seen_frozen = false;
    /* A put is two calls, and a row that is handed over takes some with it. */
    assert_in_range(put_while_draining(f, 2, &has_seen_frozen), 1, 2 * SLICE_ROWS_MAX);
    assert_true(has_seen_frozen);
    commit(f, pending, snapshot);
    for (int key = 0; key < MANY_ROWS; key++) {
        assert_int_equal(get(f, key), 2);
    }
    restore(f, "restored");
    for (int key = 0; key < MANY_ROWS; key++) {
        assert_int_equal(get(f, key), 1);
    }
}

/* What was given up while it drained leaves nothing behind: the next checkpoint has it all. */
static void test_a_snapshot_given_up_while_it_drains_changes_nothing(void **state)
{
    fixture *f = *state;
    tarn_working_set_stats stats;
    for (int key = 0; key < MANY_ROWS; key++) {
        put(f, key, 1);
    }
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin(f, &snapshot);
    for (int key = 0; key < MANY_ROWS / 10; key++) {
        put(f, key, 2);
    }
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_true(stats.frozen_count > 0);
    tarn_snapshot_abandon(snapshot);
    tarn_checkpoint_abandon(pending);
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_int_equal(stats.frozen_count, 0);
    take_checkpoint(f);
    restore(f, "restored");
    for (int key = 0; key < MANY_ROWS; key++) {
        assert_int_equal(get(f, key), key < MANY_ROWS / 10 ? 2 : 1);
    }
}

/* An edit is stored at the next call, so it belongs to what was before the barrier. */
static void test_a_pending_edit_belongs_to_the_checkpoint(void **state)
{
    fixture *f = *state;
    put(f, 1, 10);
    void *place = NULL;
    assert_ok(tarn_value_edit(f->value, sizeof(uint64_t), &place, &f->error), &f->error);
    *(uint64_t *)place = 11;
    take_checkpoint(f);
    restore(f, "restored");
    assert_int_equal(get(f, 1), 11);
}

static void test_one_snapshot_at_a_time_and_none_at_close(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    tarn_snapshot *snapshot = NULL;
    tarn_snapshot *second = NULL;
    tarn_pending_checkpoint *pending = begin(f, &snapshot);
    assert_int_equal(tarn_snapshot_begin(f->backend, pending, &second, &f->error), TARN_BUSY);
    assert_null(second);
    assert_int_equal(tarn_backend_close(f->backend, &f->error), TARN_BUSY);
    commit(f, pending, snapshot);
    assert_int_equal(
        tarn_snapshot_begin(f->backend, NULL, &second, &f->error), TARN_INVALID_ARGUMENT);
}

static void test_only_a_completed_checkpoint_is_built_upon(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    const uint64_t first = take_checkpoint(f);
    assert_true(f->progress.uploaded_count == f->progress.file_count);

    put(f, 1, 2);
    take_checkpoint(f); /* The first was never said to be complete: its files are read again. */
    assert_int_equal(f->progress.uploaded_bytes, f->progress.total_bytes);

    tarn_backend_notify_complete(f->backend, first);
    put(f, 1, 3);
    take_checkpoint(f);
    assert_true(f->progress.uploaded_bytes < f->progress.total_bytes);
    assert_true(f->progress.uploaded_count < f->progress.file_count);

    tarn_backend_notify_complete(f->backend, 4711); /* An id of nobody's changes nothing. */
    put(f, 1, 4);
    take_checkpoint(f);
    assert_true(f->progress.uploaded_bytes < f->progress.total_bytes);
}

static void test_the_first_checkpoint_after_a_restore_is_incremental(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    take_checkpoint(f);
    restore(f, "restored");
    put(f, 1, 2);
    take_checkpoint(f);
    assert_true(f->progress.uploaded_bytes < f->progress.total_bytes);
    restore(f, "again");
    assert_int_equal(get(f, 1), 2);
    assert_int_equal(get(f, 2), 1);
}

static void test_an_abandoned_snapshot_leaves_the_backend_as_it_was(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    tarn_backend_notify_complete(f->backend, take_checkpoint(f));
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin(f, &snapshot);
    put(f, 1, 2);
    tarn_snapshot_abandon(snapshot);
    tarn_snapshot_abandon(NULL);
    tarn_checkpoint_abandon(pending);
    assert_int_equal(get(f, 1), 2);
    take_checkpoint(f);
    assert_true(f->progress.uploaded_bytes < f->progress.total_bytes); /* Still on the first. */
    restore(f, "restored");
    assert_int_equal(get(f, 1), 2);
}

static void test_a_snapshot_of_a_checkpoint_that_was_given_up_fails_alone(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin(f, &snapshot);
    tarn_checkpoint_abandon(pending);
    assert_int_equal(
        tarn_snapshot_finish(snapshot, &f->acknowledgement, &f->error), TARN_ABANDONED);
    put(f, 1, 2);
    take_checkpoint(f);
    restore(f, "restored");
    assert_int_equal(get(f, 1), 2);
}

static void test_operator_state_comes_back_by_name(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin(f, &snapshot);
    char name[300];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_ok(
        tarn_snapshot_add_state(snapshot, "position", tarn_bytes_of("42"), &f->error), &f->error);
    assert_int_equal(
        tarn_snapshot_add_state(snapshot, "position", tarn_bytes_of("43"), &f->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_snapshot_add_state(snapshot, "", tarn_bytes_of("43"), &f->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_snapshot_add_state(snapshot, name, tarn_bytes_of("43"), &f->error),
        TARN_INVALID_ARGUMENT);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "piece-%d", i);
        assert_ok(
            tarn_snapshot_add_state(snapshot, name, tarn_bytes_of(name), &f->error), &f->error);
    }
    commit(f, pending, snapshot);

    tarn_checkpoint *checkpoint = open_latest(f);
    const tarn_checkpoint_subtask subtask = tarn_checkpoint_subtask_at(checkpoint, 0);
    assert_int_equal(subtask.operator_state_count, 21);
    for (uint32_t i = 0; i < subtask.operator_state_count; i++) {
        const tarn_checkpoint_operator_state piece =
            tarn_checkpoint_operator_state_at(checkpoint, 0, i);
        const char *expected = strcmp(piece.name, "position") == 0 ? "42" : piece.name;
        assert_true(tarn_bytes_is_equal(piece.bytes, tarn_bytes_of(expected)));
    }
    assert_int_equal(subtask.state_count, 1);
    assert_string_equal(tarn_checkpoint_state_at(checkpoint, 0, 0).name, "counts");
    assert_string_equal(tarn_checkpoint_state_at(checkpoint, 0, 0).codec_name, "u64");
    tarn_checkpoint_free(checkpoint);
}

static void expect_refused(fixture *f, const tarn_backend_options *options, const char *part)
{
    tarn_backend *backend = NULL;
    assert_int_equal(tarn_backend_open(options, &backend, &f->error), TARN_INCOMPATIBLE);
    assert_null(backend);
    if (strstr(f->error.message, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, f->error.message);
    }
}

static void test_a_checkpoint_of_another_shape_is_refused_naming_both_sides(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    take_checkpoint(f);
    tarn_checkpoint *checkpoint = open_latest(f);
    tarn_backend_options options = backend_options(f, "other");
    options.restore = checkpoint;

    options.max_parallelism = 128;
    expect_refused(
        f, &options, "maximum parallelism 64 for operator \"op\"; it is opened with 128");
    options.max_parallelism = 64;
    options.key_hash = TARN_KEY_HASH_JAVA_STRING;
    expect_refused(f, &options, "Tarn's byte hash; it is opened with Java's String hash");
    options.key_hash = TARN_KEY_HASH_BYTES;
    options.operator_name = "another";
    expect_refused(f, &options, "no operator \"another\"");
    tarn_checkpoint_free(checkpoint);
}

static void test_another_state_under_the_same_name_is_refused_naming_both(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    take_checkpoint(f);
    restore(f, "restored");
    assert_ok(tarn_value_close(f->value, &f->error), &f->error);
    assert_int_equal(open_value(f, "text", &f->value), TARN_INCOMPATIBLE);
    assert_non_null(strstr(f->error.message, "u64"));
    assert_non_null(strstr(f->error.message, "text"));
    assert_ok(open_value(f, "u64", &f->value), &f->error);
    assert_int_equal(get(f, 3), 1);
}

typedef struct victim {
    const char *root;
    char path[4096];
} victim;

static void find_table_file(const char *name, void *context)
{
    victim *v = context;
    if (strncmp(name, "shared/", 7) == 0) {
        snprintf(v->path, sizeof v->path, "%s/%s", v->root, name);
    }
}

/* Every later restore reads through the same check, so one damaged byte is enough to show it. */
static void test_a_damaged_or_missing_file_is_refused_by_name(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    take_checkpoint(f);
    victim v = {.root = scratch_join(scratch_join(f->directory.path, "checkpoints"), "job")};
    char root[4096];
    snprintf(root, sizeof root, "%s", v.root);
    v.root = root;
    scratch_walk(root, find_table_file, &v);
    assert_string_not_equal(v.path, "");

    size_t size = 0;
    uint8_t *bytes = scratch_read(v.path, &size);
    bytes[size / 2] ^= 1;
    scratch_write(v.path, bytes, size);
    tarn_checkpoint *checkpoint = open_latest(f);
    tarn_backend_options options = backend_options(f, "other");
    options.restore = checkpoint;
    tarn_backend *backend = NULL;
    assert_int_equal(tarn_backend_open(&options, &backend, &f->error), TARN_CORRUPTION);
    assert_non_null(strstr(f->error.message, strrchr(v.path, '/') + 1));

    scratch_remove(v.path);
    assert_int_equal(tarn_backend_open(&options, &backend, &f->error), TARN_MISSING);
    assert_non_null(strstr(f->error.message, strrchr(v.path, '/') + 1));
    assert_null(backend);

    bytes[size / 2] ^= 1;
    scratch_write(v.path, bytes, size);
    assert_ok(tarn_backend_open(&options, &backend, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
    free(bytes);
    tarn_checkpoint_free(checkpoint);
}

/* The options of a configuration reach the files: RocksDB's own, in the metadata, compressed. */
static void test_private_files_are_compressed_into_the_metadata(void **state)
{
    fixture *f = *state;
    put_rows(f, 1);
    take_checkpoint(f);
    tarn_checkpoint *checkpoint = open_latest(f);
    uint32_t compressed_count = 0;
    for (uint32_t i = 0; i < tarn_checkpoint_subtask_at(checkpoint, 0).file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, i);
        assert_int_equal(file.is_inline, !file.is_shared);
        if (strcmp(file.codec, "zstd") == 0) {
            assert_true(file.stored_size < file.size);
            assert_false(file.is_shared);
            compressed_count++;
        }
    }
    assert_true(compressed_count > 0);
    tarn_backend_options options = backend_options(f, "other");
    options.restore = checkpoint;
    tarn_backend *backend = NULL;
    assert_ok(tarn_backend_open(&options, &backend, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
    tarn_checkpoint_free(checkpoint);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_writes_after_the_barrier_are_not_in_the_checkpoint),
        TEST(test_a_snapshot_drains_in_slices_while_the_stream_goes_on),
        TEST(test_a_snapshot_given_up_while_it_drains_changes_nothing),
        TEST(test_a_pending_edit_belongs_to_the_checkpoint),
        TEST(test_one_snapshot_at_a_time_and_none_at_close),
        TEST(test_only_a_completed_checkpoint_is_built_upon),
        TEST(test_the_first_checkpoint_after_a_restore_is_incremental),
        TEST(test_an_abandoned_snapshot_leaves_the_backend_as_it_was),
        TEST(test_a_snapshot_of_a_checkpoint_that_was_given_up_fails_alone),
        TEST(test_operator_state_comes_back_by_name),
        TEST(test_a_checkpoint_of_another_shape_is_refused_naming_both_sides),
        TEST(test_another_state_under_the_same_name_is_refused_naming_both),
        TEST(test_a_damaged_or_missing_file_is_refused_by_name),
        cmocka_unit_test_setup_teardown(
            test_private_files_are_compressed_into_the_metadata, set_up_compressed, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
