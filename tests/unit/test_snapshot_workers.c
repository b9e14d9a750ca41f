/*
 * Snapshots of a backend when something is in the way: workers that are busy, what earlier
 * snapshots left behind, other operators in the same checkpoint.
 */
#include "support/support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tarn/snapshot.h"

#include "env/env.h"
#include "support/state_fixture.h"

typedef struct fixture {
    char root[FIXTURE_PATH_BYTES];
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_error error;
} fixture;

static int set_up_with(void **state, const char *working_set)
{
    fixture *f = test_calloc(1, sizeof *f);
    fixture_make_directory(f->root);
    tarn_config *config = fixture_new_config(64);
    if (working_set != NULL) {
        fixture_set(config, "tarn.working-set.size", working_set);
    }
    f->env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    char address[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(address, sizeof address, "%s/checkpoints", f->root);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = f->env;
    options.address = address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &f->store, &f->error), &f->error);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, NULL);
}

/* All rows are in RocksDB. */
static int set_up_cold(void **state)
{
    return set_up_with(state, "0");
}

/* Rows that are dirty when the snapshot begins go by runs. */
static int set_up_hot(void **state)
{
    return set_up_with(state, "1m");
}

static int tear_down(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    fixture_remove_directory(f->root);
    test_free(f);
    return 0;
}

/* A backend in ROOT/<name> with one state that holds "value" under "key". */
typedef struct subtask {
    char directory[FIXTURE_PATH_BYTES + 64];
    tarn_backend *backend;
    tarn_value *value;
} subtask;

static void open_subtask(
    fixture *f, const char *name, uint32_t max_parallelism, tarn_checkpoint *restore, subtask *out)
{
    (void)snprintf(out->directory, sizeof out->directory, "%s/%s", f->root, name);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = name;
    options.directory = out->directory;
    options.max_parallelism = max_parallelism;
    options.restore = restore;
    assert_ok(tarn_backend_open(&options, &out->backend, &f->error), &f->error);
    out->value = fixture_open_value(out->backend, "v");
    assert_ok(tarn_backend_set_key(out->backend, tarn_bytes_of("key"), &f->error), &f->error);
    if (restore == NULL) {
        assert_ok(tarn_value_put(out->value, tarn_bytes_of("value"), &f->error), &f->error);
    }
}

static void expect_bytes(fixture *f, subtask *s, tarn_bytes expected)
{
    tarn_bytes bytes;
    assert_ok(tarn_value_get(s->value, &bytes, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(bytes, expected));
}

static void expect_stored(fixture *f, subtask *s, const char *expected)
{
    expect_bytes(f, s, tarn_bytes_of(expected));
}

static void close_subtask(fixture *f, subtask *s)
{
    assert_ok(tarn_value_close(s->value, &f->error), &f->error);
    assert_ok(tarn_backend_close(s->backend, &f->error), &f->error);
}

static tarn_pending_checkpoint *begin_checkpoint(fixture *f)
{
    tarn_pending_checkpoint *pending = NULL;
    const uint64_t id = tarn_checkpoint_store_next_id(f->store);
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    return pending;
}

static tarn_status finish(fixture *f, tarn_pending_checkpoint *pending, tarn_snapshot *snapshot)
{
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    tarn_status status = tarn_snapshot_finish(snapshot, &acknowledgement, &f->error);
    if (status == TARN_OK) {
        status =
            tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &f->error);
    }
    tarn_buffer_clear(&acknowledgement);
    return status;
}

static tarn_status take(fixture *f, tarn_pending_checkpoint *pending, subtask *s)
{
    tarn_snapshot *snapshot = NULL;
    assert_ok(tarn_snapshot_begin(s->backend, pending, &snapshot, &f->error), &f->error);
    return finish(f, pending, snapshot);
}

static tarn_checkpoint *open_checkpoint(fixture *f)
{
    char address[FIXTURE_PATH_BYTES + 32];
    (void)snprintf(address, sizeof address, "%s/checkpoints/job", f->root);
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(address, NULL, &checkpoint, &f->error), &f->error);
    return checkpoint;
}

static void test_operators_of_different_maximum_parallelism_are_restored(void **state)
{
    fixture *f = *state;
    subtask small;
    subtask large;
    open_subtask(f, "small", 16, NULL, &small);
    open_subtask(f, "large", 256, NULL, &large);
    tarn_pending_checkpoint *pending = begin_checkpoint(f);
    assert_ok(take(f, pending, &small), &f->error);
    assert_ok(take(f, pending, &large), &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    close_subtask(f, &small);
    close_subtask(f, &large);

    tarn_checkpoint *checkpoint = open_checkpoint(f);
    open_subtask(f, "small", 16, checkpoint, &small);
    expect_stored(f, &small, "value");
    close_subtask(f, &small);

    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "small";
    options.directory = small.directory;
    options.max_parallelism = 256;
    options.restore = checkpoint;
    tarn_backend *backend = NULL;
    assert_int_equal(tarn_backend_open(&options, &backend, &f->error), TARN_INCOMPATIBLE);
    assert_non_null(strstr(f->error.message, "maximum parallelism 16 "));
    tarn_checkpoint_free(checkpoint);
}

static void make_leftover(const subtask *s, const char *name)
{
    char path[FIXTURE_PATH_BYTES + 128];
    (void)snprintf(path, sizeof path, "%s/%s", s->directory, name);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/%s/000007.sst", s->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void test_links_that_could_not_be_removed_do_not_stop_the_next_snapshot(void **state)
{
    fixture *f = *state;
    subtask s;
    open_subtask(f, "op", 128, NULL, &s);
    make_leftover(&s, "links");
    tarn_pending_checkpoint *pending = begin_checkpoint(f);
    assert_ok(take(f, pending, &s), &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    close_subtask(f, &s);

    tarn_checkpoint *checkpoint = open_checkpoint(f);
    open_subtask(f, "op", 128, checkpoint, &s);
    expect_stored(f, &s, "value");
    close_subtask(f, &s);
    tarn_checkpoint_free(checkpoint);
}

static void test_half_made_links_of_a_killed_process_are_wiped(void **state)
{
    fixture *f = *state;
    subtask s;
    open_subtask(f, "op", 128, NULL, &s);
    make_leftover(&s, "links.tmp"); /* Where RocksDB makes them before it renames. */
    close_subtask(f, &s);
    char path[FIXTURE_PATH_BYTES + 128];
    (void)snprintf(path, sizeof path, "%s/links.tmp", s.directory);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_a_snapshot_whose_checkpoint_is_over_hands_nothing_out(void **state)
{
    fixture *f = *state;
    subtask s;
    open_subtask(f, "op", 128, NULL, &s);
    tarn_pending_checkpoint *pending = begin_checkpoint(f);
    tarn_snapshot *snapshot = NULL;
    assert_ok(tarn_snapshot_begin(s.backend, pending, &snapshot, &f->error), &f->error);
    while (tarn_snapshot_poll(snapshot) != TARN_OK) {
        (void)sched_yield();
    }
    tarn_checkpoint_abandon(pending);
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    assert_int_equal(tarn_buffer_assign(&acknowledgement, tarn_bytes_of("before")), TARN_OK);
    assert_int_equal(tarn_snapshot_finish(snapshot, &acknowledgement, &f->error), TARN_ABANDONED);
    assert_true(tarn_bytes_is_equal(tarn_buffer_bytes(&acknowledgement), tarn_bytes_of("before")));
    tarn_buffer_clear(&acknowledgement);

    pending = begin_checkpoint(f);
    assert_ok(take(f, pending, &s), &f->error); /* As if the other had never begun. */
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    close_subtask(f, &s);
}

/* Keeps a worker busy until it is told to end, or gives up so that a failure is no hang. */
typedef struct blocker {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool has_begun;
    bool may_end;
    bool has_ended;
} blocker;

enum { GIVE_UP_S = 10 };

static void block(void *context)
{
    blocker *b = context;
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += GIVE_UP_S;
    (void)pthread_mutex_lock(&b->mutex);
    b->has_begun = true;
    (void)pthread_cond_broadcast(&b->changed);
    int code = 0;
    while (!b->may_end && code == 0) {
        code = pthread_cond_timedwait(&b->changed, &b->mutex, &until);
    }
    b->has_ended = true;
    (void)pthread_mutex_unlock(&b->mutex);
}

/* later: a value that RocksDB must take. */
static void check_write_beside_busy_worker(fixture *f, tarn_bytes later)
{
    subtask s;
    open_subtask(f, "op", 128, NULL, &s);
    blocker b = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false, false};
    tarn__workers_submit(tarn__env_workers(f->env), block, &b); /* There is one worker. */
    (void)pthread_mutex_lock(&b.mutex);
    while (!b.has_begun) {
        (void)pthread_cond_wait(&b.changed, &b.mutex);
    }
    (void)pthread_mutex_unlock(&b.mutex);

    tarn_pending_checkpoint *pending = begin_checkpoint(f);
    tarn_snapshot *snapshot = NULL;
    assert_ok(tarn_snapshot_begin(s.backend, pending, &snapshot, &f->error), &f->error);
    assert_ok(tarn_value_put(s.value, later, &f->error), &f->error);
    (void)pthread_mutex_lock(&b.mutex);
    const bool has_waited = b.has_ended;
    b.may_end = true;
    (void)pthread_cond_broadcast(&b.changed);
    (void)pthread_mutex_unlock(&b.mutex);
    assert_false(has_waited);

    assert_ok(finish(f, pending, snapshot), &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    expect_bytes(f, &s, later);
    close_subtask(f, &s);
    tarn_checkpoint *checkpoint = open_checkpoint(f);
    open_subtask(f, "op", 128, checkpoint, &s);
    expect_stored(f, &s, "value");
    close_subtask(f, &s);
    tarn_checkpoint_free(checkpoint);
}

static void test_a_write_does_not_wait_for_a_worker_that_uploads_for_another(void **state)
{
    check_write_beside_busy_worker(*state, tarn_bytes_of("later"));
}

/* What is frozen of the row goes by a run, which no worker comes to. */
static void test_nor_does_one_that_the_working_set_has_no_room_for(void **state)
{
    static const uint8_t LARGE[64 << 10];
    check_write_beside_busy_worker(*state, tarn_bytes_at(LARGE, sizeof LARGE));
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_COLD(name) cmocka_unit_test_setup_teardown(name, set_up_cold, tear_down)
#define TEST_HOT(name)  cmocka_unit_test_setup_teardown(name, set_up_hot, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_operators_of_different_maximum_parallelism_are_restored),
        TEST(test_links_that_could_not_be_removed_do_not_stop_the_next_snapshot),
        TEST(test_half_made_links_of_a_killed_process_are_wiped),
        TEST(test_a_snapshot_whose_checkpoint_is_over_hands_nothing_out),
        TEST_COLD(test_a_write_does_not_wait_for_a_worker_that_uploads_for_another),
        TEST_HOT(test_nor_does_one_that_the_working_set_has_no_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
