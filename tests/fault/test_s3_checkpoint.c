/*
 * test_s3_checkpoint.c - a backend's checkpoints on S3 while requests are refused and connections
 * reset by chance: none fails, each that is kept is whole, and the latest is restored. Or the one
 * before it, when an object of the latest is missing or damaged.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/fallback.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"

#include "base/clock.h"
#include "env/env.h"
#include "support/fault_server.h"
#include "support/scratch.h"

enum { NS_PER_MS = 1000000, REFUSED_PERMILLE = 50, RESET_PERMILLE = 10 };

static const char SECRET[] = "secret-of-the-test";
static const char JOB[] = "s3://bucket/checkpoints/job";

typedef struct job {
    scratch scratch;
    fault_server *server;
    tarn_config *config;
    tarn_env *env;
    tarn_backend *backend;
    tarn_value *value;
    tarn_checkpoint_store *store;
    tarn_error error;
} job;

static void set(job *j, const char *key, const char *value)
{
    assert_ok(tarn_config_set(j->config, key, value, "test", &j->error), &j->error);
}

static void open_env(job *j)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fault_server_port(j->server));
    assert_ok(tarn_config_new(NULL, &j->config, &j->error), &j->error);
    set(j, "taskmanager.memory.process.size", "1g");
    set(j, "s3.endpoint", endpoint);
    set(j, "s3.access-key", "key-of-the-test");
    set(j, "s3.secret-key", SECRET);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = j->config;
    assert_ok(tarn_env_open(&options, &j->env, &j->error), &j->error);
}

static void open_state(job *j, const char *work, tarn_checkpoint *restored)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = j->env;
    options.operator_name = "op";
    options.directory = scratch_join(j->scratch.path, work);
    options.restore = restored;
    assert_ok(tarn_backend_open(&options, &j->backend, &j->error), &j->error);
    tarn_state_options state = TARN_STATE_OPTIONS_INIT;
    state.name = "v";
    assert_ok(tarn_value_open(j->backend, &state, &j->value, &j->error), &j->error);
}

static void close_state(job *j)
{
    assert_ok(tarn_value_close(j->value, &j->error), &j->error);
    assert_ok(tarn_backend_close(j->backend, &j->error), &j->error);
}

static void open_store(job *j)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = j->env;
    options.address = "s3://bucket/checkpoints";
    options.job = "job";
    options.retained_count = 2;
    assert_ok(tarn_checkpoint_store_open(&options, &j->store, &j->error), &j->error);
}

static void open_job(job *j)
{
    *j = (job){.server = fault_server_start(NULL, 0)};
    scratch_init(&j->scratch);
    open_env(j);
    open_store(j);
    open_state(j, "first", NULL);
}

static void close_job(job *j)
{
    assert_ok(tarn_env_close(j->env, &j->error), &j->error);
    tarn_config_free(j->config);
    assert_false(fault_server_saw(j->server, SECRET));
    fault_server_stop(j->server);
    scratch_clear(&j->scratch);
}

static void write_value(job *j, uint32_t number)
{
    char key[32];
    char text[64];
    snprintf(key, sizeof key, "key %u", number % 7);
    snprintf(text, sizeof text, "value %u", number);
    assert_ok(tarn_backend_set_key(j->backend, tarn_bytes_of(key), &j->error), &j->error);
    assert_ok(tarn_value_put(j->value, tarn_bytes_of(text), &j->error), &j->error);
}

static void take_checkpoint(job *j)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer part = TARN_BUFFER_INIT;
    assert_ok(
        tarn_checkpoint_begin(
            j->store, tarn_checkpoint_store_next_id(j->store), &pending, &j->error),
        &j->error);
    assert_ok(tarn_snapshot_begin(j->backend, pending, &snapshot, &j->error), &j->error);
    assert_ok(tarn_snapshot_finish(snapshot, &part, &j->error), &j->error);
    assert_ok(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&part), &j->error), &j->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &j->error), &j->error);
    tarn_buffer_clear(&part);
}

static uint64_t take_checkpoints(job *j, uint32_t first, uint32_t count)
{
    const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
    for (uint32_t i = first; i < first + count; i++) {
        write_value(j, i);
        take_checkpoint(j);
    }
    return (tarn__clock_monotonic_ns(tarn__clock_system()) - begun) / NS_PER_MS;
}

/* The state has what was written up to the latest. */
static void expect_values(job *j, uint32_t latest)
{
    for (uint32_t i = latest - 6; i <= latest; i++) {
        char key[32];
        char text[64];
        tarn_bytes bytes;
        snprintf(key, sizeof key, "key %u", i % 7);
        snprintf(text, sizeof text, "value %u", i);
        assert_ok(tarn_backend_set_key(j->backend, tarn_bytes_of(key), &j->error), &j->error);
        assert_ok(tarn_value_get(j->value, &bytes, &j->error), &j->error);
        assert_true(tarn_bytes_is_equal(bytes, tarn_bytes_of(text)));
    }
}

static void expect_restored(job *j, uint32_t latest)
{
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(
        tarn_checkpoint_open_in(
            j->env, "s3://bucket/checkpoints/job/", NULL, &checkpoint, &j->error),
        &j->error);
    open_state(j, "last", checkpoint);
    expect_values(j, latest);
    close_state(j);
    tarn_checkpoint_free(checkpoint);
}

/* 5 % refusals and 1 % resets: what the storage is asked again hides all of them. */
static void test_no_checkpoint_fails_under_faults_by_chance(void **state)
{
    (void)state;
    const uint32_t count = getenv("TARN_LONG") != NULL ? 100 : 15;
    job j;
    open_job(&j);
    const uint64_t plain_ms = take_checkpoints(&j, 1, count);
    fault_server_chance(j.server, REFUSED_PERMILLE, RESET_PERMILLE, 11);
    const uint64_t faulty_ms = take_checkpoints(&j, count + 1, count);
    close_state(&j);
    print_message(
        "%u checkpoints: %llu ms; with %llu faults: %llu ms\n",
        count,
        (unsigned long long)plain_ms,
        (unsigned long long)fault_server_faults(j.server),
        (unsigned long long)faulty_ms);
    assert_true(fault_server_faults(j.server) > 0);
    tarn_storage_figures figures = TARN_STORAGE_FIGURES_INIT;
    tarn_env_measure_storage(j.env, &figures);
    assert_true(figures.bytes_written > 0);
    uint64_t failure_count = 0; /* Chance decides which operation fails. */
    for (int i = 0; i < TARN_STORAGE_OPERATIONS; i++) {
        failure_count += figures.operations[i].failure_count;
    }
    assert_true(failure_count > 0);
    assert_true(figures.operations[TARN_STORAGE_FINISH].longest_ns > 0);
    assert_ok(tarn_checkpoint_store_close(j.store, &j.error), &j.error);
    expect_restored(&j, 2 * count);
    close_job(&j);
}

/*
 * Two stores of one job, as after a split brain, take a checkpoint of the same number each; one
 * commits it, then the other one commits or abandons its own. The first is whole afterwards.
 */
static void check_two_writers(bool second_commits)
{
    job j;
    open_job(&j);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = j.env;
    options.address = "s3://bucket/checkpoints";
    options.job = "job";
    tarn_checkpoint_store *other = NULL;
    assert_ok(tarn_checkpoint_store_open(&options, &other, &j.error), &j.error);
    tarn_pending_checkpoint *first = NULL;
    tarn_pending_checkpoint *second = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer part = TARN_BUFFER_INIT;
    for (uint32_t i = 1; i <= 7; i++) {
        write_value(&j, i);
    }
    assert_ok(tarn_checkpoint_begin(j.store, 1, &first, &j.error), &j.error);
    assert_ok(tarn_checkpoint_begin(other, 1, &second, &j.error), &j.error);
    assert_ok(tarn_snapshot_begin(j.backend, first, &snapshot, &j.error), &j.error);
    assert_ok(tarn_snapshot_finish(snapshot, &part, &j.error), &j.error);
    assert_ok(tarn_checkpoint_acknowledge(first, tarn_buffer_bytes(&part), &j.error), &j.error);
    assert_ok(tarn_checkpoint_commit(first, NULL, &j.error), &j.error);
    if (second_commits) {
        assert_ok(
            tarn_acknowledgement_encode(1, "source", 0, 1, NULL, 0, &part, &j.error), &j.error);
        assert_ok(
            tarn_checkpoint_acknowledge(second, tarn_buffer_bytes(&part), &j.error), &j.error);
        assert_int_equal(tarn_checkpoint_commit(second, NULL, &j.error), TARN_BUSY);
    } else {
        tarn_checkpoint_abandon(second);
    }
    tarn_buffer_clear(&part);
    close_state(&j);
    assert_ok(tarn_checkpoint_store_close(other, &j.error), &j.error);
    assert_ok(tarn_checkpoint_store_close(j.store, &j.error), &j.error);
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(
        tarn_checkpoint_open_in(
            j.env, "s3://bucket/checkpoints/job/chk-1", NULL, &checkpoint, &j.error),
        &j.error);
    assert_int_equal(tarn_checkpoint_summarize(checkpoint).subtask_count, 1);
    tarn_checkpoint_free(checkpoint);
    expect_restored(&j, 7);
    close_job(&j);
}

static void test_two_writers_cannot_commit_one_checkpoint(void **state)
{
    (void)state;
    check_two_writers(/* second_commits= */ true);
}

static void test_a_writer_that_gives_up_leaves_what_another_committed(void **state)
{
    (void)state;
    check_two_writers(/* second_commits= */ false);
}

/* --- An object of the latest checkpoint is missing or damaged --- */

typedef enum damage { DAMAGE_MISSING, DAMAGE_FLIPPED } damage;

static tarn_checkpoint *open_numbered(job *j, uint64_t id)
{
    char address[64];
    tarn_checkpoint *checkpoint = NULL;
    snprintf(address, sizeof address, "%s/chk-%" PRIu64, JOB, id);
    assert_ok(tarn_checkpoint_open_in(j->env, address, NULL, &checkpoint, &j->error), &j->error);
    return checkpoint;
}

static bool names_object(const tarn_checkpoint *checkpoint, const char *path)
{
    for (uint32_t i = 0; i < tarn_checkpoint_subtask_at(checkpoint, 0).file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, i);
        if (!file.is_inline && strcmp(file.path, path) == 0) {
            return true;
        }
    }
    return false;
}

/* An object that the checkpoint does not share with the one before. */
static void find_own_object(job *j, uint64_t id, char *out, size_t capacity)
{
    tarn_checkpoint *newest = open_numbered(j, id);
    tarn_checkpoint *before = open_numbered(j, id - 1);
    out[0] = '\0';
    for (uint32_t i = 0; i < tarn_checkpoint_subtask_at(newest, 0).file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(newest, 0, i);
        if (!file.is_inline && !names_object(before, file.path)) {
            snprintf(out, capacity, "%s", file.path);
        }
    }
    assert_true(out[0] != '\0');
    tarn_checkpoint_free(newest);
    tarn_checkpoint_free(before);
}

static tarn_storage *open_storage(job *j)
{
    tarn__storage_options how;
    tarn_storage *storage = NULL;
    assert_ok(tarn__env_storage(j->env, JOB, &how, &j->error), &j->error);
    assert_ok(tarn__storage_open(&how, &storage, &j->error), &j->error);
    return storage;
}

static void inflict(job *j, const char *name, damage kind)
{
    static uint8_t bytes[1 << 20];
    tarn_storage *storage = open_storage(j);
    size_t size = 0;
    if (kind == DAMAGE_MISSING) {
        assert_ok(tarn__storage_remove(storage, &name, 1, &j->error), &j->error);
    } else {
        assert_ok(
            tarn__storage_read(storage, name, 0, bytes, sizeof bytes, &size, &j->error), &j->error);
        assert_in_range(size, 1, sizeof bytes - 1);
        bytes[size / 2] ^= 1;
        assert_ok(
            tarn__storage_write(storage, name, 0, tarn_bytes_at(bytes, size), &j->error),
            &j->error);
    }
    tarn__storage_free(storage);
}

static bool is_there(job *j, const char *name)
{
    tarn_storage *storage = open_storage(j);
    tarn_storage_info info;
    const tarn_status status = tarn__storage_stat(storage, name, &info, &j->error);
    assert_true(status == TARN_OK || status == TARN_MISSING);
    tarn__storage_free(storage);
    return status == TARN_OK;
}

typedef struct skips {
    uint32_t count;
    uint64_t id;
    tarn_status status;
    char reason[512];
} skips;

static bool note(const tarn_checkpoint_entry *entry, void *context)
{
    skips *s = context;
    s->count++;
    s->id = entry->summary.id;
    s->status = entry->status;
    snprintf(s->reason, sizeof s->reason, "%s", entry->reason);
    return true;
}

static tarn_checkpoint *open_whole(job *j, tarn_checkpoint_depth depth, skips *s)
{
    tarn_checkpoint *checkpoint = NULL;
    tarn_fallback_options options = TARN_FALLBACK_OPTIONS_INIT;
    options.depth = depth;
    options.skipped = note;
    options.context = s;
    *s = (skips){.count = 0};
    assert_ok(
        tarn_checkpoint_open_whole_in(j->env, JOB, &options, &checkpoint, &j->error), &j->error);
    return checkpoint;
}

/* Everything of a checkpoint is read, rows included. */
static void expect_verified(job *j, uint64_t id)
{
    tarn_checkpoint *checkpoint = open_numbered(j, id);
    tarn_checkpoint_verification result;
    assert_ok(tarn_checkpoint_verify(checkpoint, NULL, NULL, &result, &j->error), &j->error);
    assert_int_equal(result.bad_count, 0);
    assert_true(result.file_count > 0);
    tarn_checkpoint_free(checkpoint);
}

/* The job goes on from checkpoint 9 although there was a 10; two of its checkpoints are retained.
 */
static void go_on_from_the_ninth(job *j, tarn_checkpoint *ninth, const char *damaged)
{
    open_state(j, "second", ninth);
    tarn_checkpoint_free(ninth);
    expect_values(j, 9);
    open_store(j);
    assert_ok(tarn_checkpoint_refuse(j->store, 10, &j->error), &j->error);
    assert_int_equal(tarn_checkpoint_store_next_id(j->store), 11);
    (void)take_checkpoints(j, 10, 1);
    expect_verified(j, 9); /* It counts, the refused one does not. */
    expect_verified(j, 11);
    assert_true(is_there(j, "chk-10/_metadata"));
    (void)take_checkpoints(j, 11, 1);
    close_state(j);
    assert_ok(tarn_checkpoint_store_close(j->store, &j->error), &j->error);
    assert_false(is_there(j, "chk-9/_metadata"));
    assert_false(is_there(j, "chk-10/_metadata"));
    assert_false(is_there(j, damaged));
    expect_verified(j, 11);
    expect_verified(j, 12);
    expect_restored(j, 11);
}

static void check_fallback(damage kind)
{
    job j;
    skips s;
    char damaged[512];
    open_job(&j);
    (void)take_checkpoints(&j, 1, 10);
    close_state(&j);
    assert_ok(tarn_checkpoint_store_close(j.store, &j.error), &j.error);
    find_own_object(&j, 10, damaged, sizeof damaged);
    inflict(&j, damaged, kind);
    tarn_checkpoint *found = open_whole(&j, TARN_CHECKPOINT_LOOK, &s);
    const bool is_seen = kind == DAMAGE_MISSING; /* Sizes say nothing about the bytes. */
    assert_int_equal(tarn_checkpoint_summarize(found).id, is_seen ? 9 : 10);
    assert_int_equal(s.count, is_seen ? 1 : 0);
    tarn_checkpoint_free(found);
    found = open_whole(&j, TARN_CHECKPOINT_READ, &s);
    assert_int_equal(tarn_checkpoint_summarize(found).id, 9);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.id, 10);
    assert_int_equal(s.status, kind == DAMAGE_MISSING ? TARN_MISSING : TARN_CORRUPTION);
    assert_non_null(strstr(s.reason, damaged));
    go_on_from_the_ninth(&j, found, damaged);
    close_job(&j);
}

static void test_a_missing_object_falls_back_and_the_job_goes_on(void **state)
{
    (void)state;
    check_fallback(DAMAGE_MISSING);
}

static void test_a_flipped_byte_falls_back_and_the_job_goes_on(void **state)
{
    (void)state;
    check_fallback(DAMAGE_FLIPPED);
}

/* What a storage that is down does not tell of is no reason to go back. */
static void test_a_storage_that_does_not_answer_is_no_reason_to_fall_back(void **state)
{
    (void)state;
    job j;
    skips s = {.count = 0};
    open_job(&j);
    (void)take_checkpoints(&j, 1, 2);
    close_state(&j);
    assert_ok(tarn_checkpoint_store_close(j.store, &j.error), &j.error);
    char damaged[512];
    find_own_object(&j, 2, damaged, sizeof damaged);
    fault_server_script(j.server, "HEAD * status 403\n");
    tarn_checkpoint *checkpoint = NULL;
    tarn_fallback_options options = TARN_FALLBACK_OPTIONS_INIT;
    options.skipped = note;
    options.context = &s;
    assert_int_not_equal(
        tarn_checkpoint_open_whole_in(j.env, JOB, &options, &checkpoint, &j.error), TARN_OK);
    assert_int_not_equal(j.error.status, TARN_MISSING);
    assert_int_equal(s.count, 0);
    assert_null(checkpoint);
    fault_server_script(j.server, NULL);
    expect_verified(&j, 2);
    close_job(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_checkpoint_fails_under_faults_by_chance),
        cmocka_unit_test(test_two_writers_cannot_commit_one_checkpoint),
        cmocka_unit_test(test_a_writer_that_gives_up_leaves_what_another_committed),
        cmocka_unit_test(test_a_missing_object_falls_back_and_the_job_goes_on),
        cmocka_unit_test(test_a_flipped_byte_falls_back_and_the_job_goes_on),
        cmocka_unit_test(test_a_storage_that_does_not_answer_is_no_reason_to_fall_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
