/*
 * Snapshots that are given up, or fail, while the storage does not answer: the task goes on,
 * workers clean up when it answers again, and closing waits for them.
 */
#include "support/support.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tarn/cleanup.h"
#include "tarn/savepoint.h"
#include "tarn/snapshot.h"

#include "env/env.h"
#include "snapshot/store_private.h"
#include "state/backend.h"
#include "support/fault_storage.h"
#include "support/state_fixture.h"

enum { WORKERS = 3, GIVE_UP_S = 60, ROWS = 100 };

/* A storage that does not answer some operations until it is told to, or it takes too long. */
typedef struct hang {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    const char *operation; /* That is not answered. NULL: all are. */
    const char *part;      /* Of the names that it is not answered for. NULL: any. */
    uint32_t hanging_max;  /* At once; the others are answered. */
    uint32_t hanging_count;
    const char *lost; /* An operation that fails. NULL: none does. */
    uint32_t lost_count;
    bool has_given_up;
    pthread_t task;
    bool is_task_watched;
    bool has_task_asked;
} hang;

static void wait_for_answer(hang *h)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += GIVE_UP_S;
    h->hanging_count++;
    (void)pthread_cond_broadcast(&h->changed);
    while (h->operation != NULL && !h->has_given_up) {
        h->has_given_up = pthread_cond_timedwait(&h->changed, &h->mutex, &until) != 0;
    }
    h->hanging_count--;
    (void)pthread_cond_broadcast(&h->changed);
}

static fault_fate decide(const char *operation, const char *name, void *context)
{
    hang *h = context;
    (void)pthread_mutex_lock(&h->mutex);
    h->has_task_asked =
        h->has_task_asked || (h->is_task_watched && pthread_equal(pthread_self(), h->task));
    if (h->operation != NULL && strcmp(h->operation, operation) == 0 &&
        h->hanging_count < h->hanging_max && (h->part == NULL || strstr(name, h->part) != NULL)) {
        wait_for_answer(h);
    }
    const bool is_lost = h->lost != NULL && strcmp(h->lost, operation) == 0;
    h->lost_count += is_lost ? 1 : 0;
    (void)pthread_mutex_unlock(&h->mutex);
    return is_lost ? FAULT_FATE_LOST : FAULT_FATE_DONE;
}

typedef struct fixture {
    char root[FIXTURE_PATH_BYTES];
    hang hang;
    fault_storage storage;
    tarn_storage_scheme scheme; /* The environment borrows it. */
    tarn__account account;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *value;
    tarn_error error;
} fixture;

static void put_rows(fixture *f, uint64_t value)
{
    for (uint32_t key = 0; key < ROWS; key++) {
        assert_ok(
            tarn_backend_set_key(f->backend, tarn_bytes_at(&key, sizeof key), &f->error),
            &f->error);
        assert_ok(
            tarn_value_put(f->value, tarn_bytes_at(&value, sizeof value), &f->error), &f->error);
    }
}

static void open_backend(fixture *f)
{
    char directory[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(directory, sizeof directory, "%s/backend", f->root);
    f->backend = fixture_open_backend(f->env, directory);
    f->value = fixture_open_value(f->backend, "v");
}

static void close_backend(fixture *f)
{
    assert_ok(tarn_value_close(f->value, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
    f->backend = NULL;
}

static int set_up_with(void **state, uint32_t worker_count, const char *attempts)
{
    fixture *f = test_calloc(1, sizeof *f);
    (void)pthread_mutex_init(&f->hang.mutex, NULL);
    (void)pthread_cond_init(&f->hang.changed, NULL);
    f->hang.task = pthread_self();
    fixture_make_directory(f->root);
    tarn__account_init(&f->account, "test", NULL);
    fault_storage_init(&f->storage, &f->account, decide, &f->hang);
    f->scheme = (tarn_storage_scheme){
        .name = "fault", .open = fault_storage_open_address, .context = &f->storage};
    tarn_config *config = fixture_new_config(64);
    fixture_set(config, "tarn.storage.retry.attempts", attempts);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    options.storage_schemes = &f->scheme;
    options.storage_scheme_count = 1;
    options.worker_thread_count = worker_count;
    assert_ok(tarn_env_open(&options, &f->env, &f->error), &f->error);
    tarn_config_free(config);
    tarn_checkpoint_store_options store = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    store.env = f->env;
    store.address = "fault://sim";
    store.job = "job";
    assert_ok(tarn_checkpoint_store_open(&store, &f->store, &f->error), &f->error);
    open_backend(f);
    put_rows(f, 1);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, WORKERS, "1");
}

static int set_up_alone(void **state)
{
    return set_up_with(state, 1, "1");
}

static int set_up_alone_and_patient(void **state)
{
    return set_up_with(state, 1, "8");
}

/* Asserts that nothing is left: no object, no directory below the backend's, no memory. */
static int tear_down(void **state)
{
    fixture *f = *state;
    if (f->backend != NULL) {
        close_backend(f);
    }
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    assert_false(f->hang.has_given_up);
    fault_storage_clear(&f->storage);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    fixture_remove_directory(f->root);
    (void)pthread_cond_destroy(&f->hang.changed);
    (void)pthread_mutex_destroy(&f->hang.mutex);
    test_free(f);
    return 0;
}

/* Has up to count requests of a kind at once go unanswered, if part is in the name. */
static void stop_answering_for(fixture *f, const char *operation, const char *part, uint32_t count)
{
    (void)pthread_mutex_lock(&f->hang.mutex);
    f->hang.operation = operation;
    f->hang.part = part;
    f->hang.hanging_max = count;
    (void)pthread_mutex_unlock(&f->hang.mutex);
}

static void stop_answering(fixture *f, const char *operation, uint32_t count)
{
    stop_answering_for(f, operation, NULL, count);
}

static void answer(fixture *f)
{
    (void)pthread_mutex_lock(&f->hang.mutex);
    f->hang.operation = NULL;
    (void)pthread_cond_broadcast(&f->hang.changed);
    (void)pthread_mutex_unlock(&f->hang.mutex);
}

static void await_hanging(fixture *f)
{
    (void)pthread_mutex_lock(&f->hang.mutex);
    while (f->hang.hanging_count == 0) {
        (void)pthread_cond_wait(&f->hang.changed, &f->hang.mutex);
    }
    (void)pthread_mutex_unlock(&f->hang.mutex);
}

static uint32_t count_hanging(fixture *f)
{
    (void)pthread_mutex_lock(&f->hang.mutex);
    const uint32_t count = f->hang.hanging_count;
    const bool has_given_up = f->hang.has_given_up;
    (void)pthread_mutex_unlock(&f->hang.mutex);
    assert_false(has_given_up);
    return count;
}

static bool is_hanging(fixture *f)
{
    (void)pthread_mutex_lock(&f->hang.mutex);
    const bool is_hanging = f->hang.hanging_count > 0 && !f->hang.has_given_up;
    (void)pthread_mutex_unlock(&f->hang.mutex);
    return is_hanging;
}

/* Has an operation fail; NULL: none. */
static void lose(fixture *f, const char *operation)
{
    (void)pthread_mutex_lock(&f->hang.mutex);
    f->hang.lost = operation;
    f->hang.lost_count = 0;
    (void)pthread_mutex_unlock(&f->hang.mutex);
}

static void watch_task(fixture *f, bool is_watched)
{
    (void)pthread_mutex_lock(&f->hang.mutex);
    f->hang.is_task_watched = is_watched;
    (void)pthread_mutex_unlock(&f->hang.mutex);
}

static tarn_pending_checkpoint *begin_checkpoint(fixture *f, tarn_snapshot **snapshot)
{
    tarn_pending_checkpoint *pending = NULL;
    const uint64_t id = tarn_checkpoint_store_next_id(f->store);
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    assert_ok(tarn_snapshot_begin(f->backend, pending, snapshot, &f->error), &f->error);
    return pending;
}

/* Which hands over what is frozen. */
static void poll_once(tarn_snapshot *snapshot)
{
    const tarn_status status = tarn_snapshot_poll(snapshot);
    assert_true(status == TARN_OK || status == TARN_PENDING);
    (void)sched_yield();
}

static tarn_pending_checkpoint *begin_savepoint(fixture *f, tarn_snapshot **snapshot)
{
    tarn_savepoint_options options = TARN_SAVEPOINT_OPTIONS_INIT;
    options.env = f->env;
    options.address = "fault://sim/savepoints";
    options.job = "job";
    options.form = TARN_FORM_CANONICAL;
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_savepoint_begin(&options, &pending, &f->error), &f->error);
    assert_ok(tarn_snapshot_begin(f->backend, pending, snapshot, &f->error), &f->error);
    return pending;
}

static void await_end(tarn_snapshot *snapshot)
{
    while (tarn_snapshot_poll(snapshot) != TARN_OK) {
        (void)sched_yield();
    }
}

/* Until so many requests wait for the storage. */
static void await_requests(fixture *f, tarn_snapshot *snapshot, uint32_t count)
{
    while (count_hanging(f) < count) {
        poll_once(snapshot);
    }
}

/* Until it waits for the storage. */
static void await_upload(fixture *f, tarn_snapshot *snapshot)
{
    await_requests(f, snapshot, 1);
}

/* The name of the only directory that a snapshot has its links in. */
static void find_links(const fixture *f, char name[NAME_MAX + 1])
{
    char path[FIXTURE_PATH_BYTES + 16];
    uint32_t count = 0;
    (void)snprintf(path, sizeof path, "%s/backend/links", f->root);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] != '.') {
            (void)snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
            count++;
        }
    }
    (void)closedir(directory);
    assert_int_equal(count, 1);
}

static tarn_status finish(fixture *f, tarn_pending_checkpoint *pending, tarn_snapshot *snapshot)
{
    tarn_buffer bytes = TARN_BUFFER_INIT;
    tarn_status status = tarn_snapshot_finish(snapshot, &bytes, &f->error);
    if (status == TARN_OK) {
        status = tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &f->error);
    }
    tarn_buffer_clear(&bytes);
    return status;
}

/* Takes a checkpoint and deletes it. */
static void take_and_remove(fixture *f)
{
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    const uint64_t id = tarn_pending_checkpoint_id(pending);
    assert_ok(finish(f, pending, snapshot), &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    assert_ok(tarn_checkpoint_remove(f->store, id, &f->error), &f->error);
}

static bool count_one(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    ++*(uint32_t *)context;
    return true;
}

static uint32_t count_objects(fixture *f, const char *directory)
{
    uint32_t count = 0;
    tarn_storage *memory = f->storage.inner;
    const tarn_status status = memory->ops->list(memory, directory, count_one, &count, &f->error);
    assert_true(status == TARN_OK || status == TARN_MISSING);
    return count;
}

static void expect_no_garbage(fixture *f)
{
    assert_int_equal(count_objects(f, "job"), 0);
}

static void test_task_and_next_checkpoint_go_on_while_an_upload_hangs(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    stop_answering(f, "append", 1);
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    await_upload(f, snapshot);
    watch_task(f, true);
    tarn_snapshot_abandon(snapshot);
    put_rows(f, 2);
    watch_task(f, false);
    assert_true(is_hanging(f));
    tarn_checkpoint_abandon(pending);

    take_and_remove(f);
    put_rows(f, 3);
    assert_true(is_hanging(f));
    assert_false(f->hang.has_task_asked);
    answer(f);
    tarn__env_await_ends(f->env);
    expect_no_garbage(f);
    take_and_remove(f);
    expect_no_garbage(f);
}

/* Nothing of it is waited for: the files that it still reads, and removes when it ends, are no
 * other's. */
static void test_backend_closes_and_opens_again_while_an_upload_hangs(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    stop_answering(f, "append", 1);
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    await_upload(f, snapshot);
    tarn_snapshot_abandon(snapshot);
    tarn_checkpoint_abandon(pending);
    close_backend(f);
    open_backend(f);
    put_rows(f, 2);
    take_and_remove(f);
    assert_true(is_hanging(f));
    answer(f);
    tarn__env_await_ends(f->env);
    expect_no_garbage(f);
}

static void test_links_of_the_next_backend_are_its_own(void **state)
{
    fixture *f = *state;
    char names[2][NAME_MAX + 1];
    tarn_snapshot *snapshot = NULL;
    stop_answering(f, "append", 1);
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    await_upload(f, snapshot);
    find_links(f, names[0]);
    tarn_snapshot_abandon(snapshot);
    tarn_checkpoint_abandon(pending);
    close_backend(f);
    open_backend(f);
    put_rows(f, 2);
    stop_answering(f, "append", 2);
    pending = begin_checkpoint(f, &snapshot);
    await_requests(f, snapshot, 2);
    find_links(f, names[1]);
    assert_string_not_equal(names[0], names[1]);
    answer(f);
    assert_ok(finish(f, pending, snapshot), &f->error);
    tarn_checkpoint_abandon(pending);
    tarn__env_await_ends(f->env);
    expect_no_garbage(f);
}

static void test_failed_snapshot_is_taken_back_by_a_worker(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    await_end(snapshot);
    tarn_checkpoint_abandon(pending); /* So that its acknowledgement is refused. */
    stop_answering(f, "remove", 1);
    watch_task(f, true);
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_int_equal(tarn_snapshot_finish(snapshot, &bytes, &f->error), TARN_ABANDONED);
    tarn_buffer_clear(&bytes);
    await_hanging(f);
    put_rows(f, 2);
    watch_task(f, false);
    assert_false(f->hang.has_task_asked);
    answer(f);
    tarn__env_await_ends(f->env);
    expect_no_garbage(f);
    take_and_remove(f);
}

/* There is one worker: the next snapshot's. The first is of a savepoint, as files that both have
 * would have to wait until their deletion has ended. */
static void test_taking_back_holds_no_worker(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin_savepoint(f, &snapshot);
    await_end(snapshot);
    stop_answering(f, "remove", 1);
    tarn_snapshot_abandon(snapshot);
    await_hanging(f);
    tarn_checkpoint_abandon(pending);
    pending = begin_checkpoint(f, &snapshot);
    await_end(snapshot);
    assert_true(is_hanging(f));
    answer(f);
    assert_ok(finish(f, pending, snapshot), &f->error);
    tarn_checkpoint_abandon(pending);
    tarn__env_await_ends(f->env);
    expect_no_garbage(f);
}

/* What is asked again until its time is over holds a worker: not once nobody wants it any more. */
static void test_what_was_left_asks_nothing_again(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    lose(f, "begin");
    stop_answering(f, "begin", 1);
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    await_upload(f, snapshot);
    tarn_snapshot_abandon(snapshot);
    tarn_checkpoint_abandon(pending);
    answer(f);
    tarn__env_await_ends(f->env);
    assert_int_equal(f->hang.lost_count, 1); /* The call that hung. */
    lose(f, NULL);
    take_and_remove(f);
    expect_no_garbage(f);
}

/* It may need what another deletes, whom the storage does not answer. */
static void test_what_was_left_waits_for_no_deletion(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshots[2];
    tarn_pending_checkpoint *pending[2];
    pending[0] = begin_checkpoint(f, &snapshots[0]);
    await_end(snapshots[0]);
    tarn_checkpoint_abandon(pending[0]);
    stop_answering_for(f, "remove", "shared/", 1);
    tarn_snapshot_abandon(snapshots[0]);
    await_hanging(f);
    pending[1] = begin_checkpoint(f, &snapshots[1]);
    for (int i = 0; i < 100; i++) {
        poll_once(snapshots[1]);
    }
    tarn_snapshot_abandon(snapshots[1]);
    tarn_checkpoint_abandon(pending[1]);
    close_backend(f); /* Waits for what works at the backend, */
    open_backend(f);
    pending[1] = begin_savepoint(f, &snapshots[1]);
    await_end(snapshots[1]); /* and this for the only worker. */
    assert_true(is_hanging(f));
    answer(f);
    assert_ok(finish(f, pending[1], snapshots[1]), &f->error);
    tarn_checkpoint_abandon(pending[1]);
    tarn__env_await_ends(f->env);
    expect_no_garbage(f);
}

/* Local files, of which links are made once they may be. */
typedef struct slow_links {
    tarn__file_calls calls;
    atomic_int inside_count;
    atomic_bool has_begun;
    atomic_bool may_end;
    atomic_bool has_overlapped;
} slow_links;

static int link_slowly(const char *from, int directory, const char *to, void *context)
{
    slow_links *slow = context;
    if (atomic_fetch_add(&slow->inside_count, 1) > 0) {
        atomic_store(&slow->has_overlapped, true);
    }
    atomic_store(&slow->has_begun, true);
    while (!atomic_load(&slow->may_end)) {
        (void)sched_yield();
    }
    const int result = tarn__file_calls_system()->link_at(from, directory, to, NULL);
    atomic_fetch_sub(&slow->inside_count, 1);
    return result;
}

static void open_backend_with_copy(fixture *f)
{
    char directory[FIXTURE_PATH_BYTES + 16];
    char copy[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(directory, sizeof directory, "%s/backend", f->root);
    (void)snprintf(copy, sizeof copy, "%s/copy", f->root);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "test";
    options.directory = directory;
    options.recovery_directory = copy;
    assert_ok(tarn_backend_open(&options, &f->backend, &f->error), &f->error);
    f->value = fixture_open_value(f->backend, "v");
}

/* Of a snapshot that was left, and of the next one: each removes what only the other has. */
static void test_second_copies_are_kept_one_after_the_other(void **state)
{
    fixture *f = *state;
    slow_links slow = {.calls = *tarn__file_calls_system()};
    slow.calls.link_at = link_slowly;
    slow.calls.context = &slow;
    close_backend(f);
    open_backend_with_copy(f);
    f->backend->pool.calls = &slow.calls;
    put_rows(f, 1);
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    while (!atomic_load(&slow.has_begun)) {
        poll_once(snapshot);
    }
    tarn_snapshot_abandon(snapshot);
    tarn_checkpoint_abandon(pending);
    put_rows(f, 2);
    pending = begin_checkpoint(f, &snapshot);
    tarn_snapshot_progress progress = {.upload_ns = 0};
    while (progress.upload_ns == 0) {
        poll_once(snapshot);
        tarn_snapshot_measure(snapshot, &progress);
    }
    const struct timespec while_ = {.tv_nsec = 50 * 1000 * 1000};
    (void)nanosleep(&while_, NULL); /* In which the other one might begin. */
    atomic_store(&slow.may_end, true);
    assert_ok(finish(f, pending, snapshot), &f->error);
    tarn_checkpoint_abandon(pending);
    close_backend(f);
    assert_false(atomic_load(&slow.has_overlapped));
    tarn__env_await_ends(f->env);
    expect_no_garbage(f);
}

/* However long the storage is silent: no attempt waits for a place among the workers. */
static void test_many_attempts_are_given_up_while_every_worker_hangs(void **state)
{
    fixture *f = *state;
    enum { ATTEMPTS = 64 };
    tarn_snapshot *snapshot = NULL;
    stop_answering(f, "append", WORKERS);
    for (uint32_t i = 0; i < ATTEMPTS; i++) {
        tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
        put_rows(f, i);
        await_requests(f, snapshot, i < WORKERS ? i + 1 : WORKERS);
        tarn_snapshot_abandon(snapshot);
        tarn_checkpoint_abandon(pending);
    }
    assert_int_equal(count_hanging(f), WORKERS);
    answer(f);
    tarn__env_await_ends(f->env);
    expect_no_garbage(f);
    take_and_remove(f);
    expect_no_garbage(f);
}

typedef struct closing {
    fixture *f;
    pthread_t thread;
    atomic_bool has_ended;
} closing;

static void *close_store(void *context)
{
    closing *c = context;
    tarn_error error;
    assert_ok(tarn_checkpoint_store_close(c->f->store, &error), &error);
    c->f->store = NULL;
    atomic_store(&c->has_ended, true);
    return NULL;
}

static void *close_env(void *context)
{
    closing *c = context;
    tarn_error error;
    assert_ok(tarn_env_close(c->f->env, &error), &error);
    c->f->env = NULL;
    atomic_store(&c->has_ended, true);
    return NULL;
}

/* Until the store is being closed, so that deletions that fail are not tried again. */
static void await_closing(tarn_checkpoint_store *store)
{
    for (bool is_closing = false; !is_closing; (void)sched_yield()) {
        (void)pthread_mutex_lock(&store->mutex);
        is_closing = store->is_closing;
        (void)pthread_mutex_unlock(&store->mutex);
    }
}

/* Closes, and answers only after a while: too early would show. */
static void expect_closing_to_wait(fixture *f, void *(*close)(void *))
{
    closing c = {.f = f};
    assert_int_equal(pthread_create(&c.thread, NULL, close, &c), 0);
    const struct timespec while_ = {.tv_nsec = 50 * 1000 * 1000};
    if (close == close_store) {
        await_closing(f->store);
    }
    (void)nanosleep(&while_, NULL);
    assert_true(is_hanging(f));
    assert_false(atomic_load(&c.has_ended));
    answer(f);
    assert_int_equal(pthread_join(c.thread, NULL), 0);
    assert_true(atomic_load(&c.has_ended));
}

static void test_closing_the_store_waits_for_what_hangs(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    stop_answering(f, "append", 1);
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    await_upload(f, snapshot);
    assert_int_equal(tarn_checkpoint_store_close(f->store, &f->error), TARN_BUSY);
    tarn_snapshot_abandon(snapshot);
    assert_int_equal(tarn_checkpoint_store_close(f->store, &f->error), TARN_BUSY);
    tarn_checkpoint_abandon(pending);
    close_backend(f);
    expect_closing_to_wait(f, close_store);
    expect_no_garbage(f);
}

/* Whose store goes with the last that has to do with it. */
static void test_closing_the_environment_waits_for_a_savepoint_that_hangs(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    stop_answering(f, "append", 1);
    tarn_pending_checkpoint *pending = begin_savepoint(f, &snapshot);
    await_upload(f, snapshot);
    tarn_snapshot_abandon(snapshot);
    tarn_checkpoint_abandon(pending);
    close_backend(f);
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    f->store = NULL;
    expect_closing_to_wait(f, close_env);
    assert_int_equal(count_objects(f, "savepoints"), 0);
}

/* Nothing that ends by itself hides it. */
static void test_closing_the_environment_says_first_what_is_open(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    stop_answering(f, "append", 1);
    tarn_pending_checkpoint *pending = begin_savepoint(f, &snapshot);
    await_upload(f, snapshot);
    assert_int_equal(tarn_env_close(f->env, &f->error), TARN_BUSY);
    tarn_snapshot_abandon(snapshot);
    tarn_checkpoint_abandon(pending);
    close_backend(f);
    assert_int_equal(tarn_env_close(f->env, &f->error), TARN_BUSY);
    assert_non_null(strstr(f->error.message, "checkpoint store"));
    assert_true(is_hanging(f));
    answer(f);
}

/* An event loop may give one up: it asks the storage nothing, and what is to be deleted hangs. */
static void give_up_without_waiting(
    fixture *f, tarn_pending_checkpoint *pending, tarn_snapshot *snapshot)
{
    assert_ok(finish(f, pending, snapshot), &f->error);
    stop_answering(f, "remove", 1);
    watch_task(f, true);
    tarn_checkpoint_abandon(pending);
    await_hanging(f);
    watch_task(f, false);
    assert_false(f->hang.has_task_asked);
    close_backend(f);
}

static void test_giving_a_checkpoint_up_waits_for_no_deletion(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    give_up_without_waiting(f, pending, snapshot);
    expect_closing_to_wait(f, close_store);
    expect_no_garbage(f);
}

static void test_giving_a_savepoint_up_waits_for_no_deletion(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    tarn_pending_checkpoint *pending = begin_savepoint(f, &snapshot);
    give_up_without_waiting(f, pending, snapshot);
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    f->store = NULL;
    expect_closing_to_wait(f, close_env);
    assert_int_equal(count_objects(f, "savepoints"), 0);
}

/* Closing is not held up by one deletion after the other that nobody answers. */
static void test_closing_gives_deletions_up_that_fail(void **state)
{
    fixture *f = *state;
    tarn_snapshot *snapshot = NULL;
    stop_answering(f, "remove", 1);
    tarn_pending_checkpoint *pending = begin_checkpoint(f, &snapshot);
    await_end(snapshot);
    answer(f);
    lose(f, "remove");
    tarn_checkpoint_abandon(pending);
    stop_answering(f, "remove", 1);
    tarn_snapshot_abandon(snapshot);
    await_hanging(f);
    lose(f, "remove");
    close_backend(f);
    expect_closing_to_wait(f, close_store);
    assert_int_equal(f->hang.lost_count, 1); /* Of the call that hung, one name. */
    lose(f, NULL);
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_ALONE(name) cmocka_unit_test_setup_teardown(name, set_up_alone, tear_down)
#define TEST_PATIENT(name) \
    cmocka_unit_test_setup_teardown(name, set_up_alone_and_patient, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_task_and_next_checkpoint_go_on_while_an_upload_hangs),
        TEST(test_backend_closes_and_opens_again_while_an_upload_hangs),
        TEST(test_links_of_the_next_backend_are_its_own),
        TEST(test_failed_snapshot_is_taken_back_by_a_worker),
        TEST_ALONE(test_taking_back_holds_no_worker),
        TEST_PATIENT(test_what_was_left_asks_nothing_again),
        TEST_ALONE(test_what_was_left_waits_for_no_deletion),
        TEST(test_second_copies_are_kept_one_after_the_other),
        TEST(test_many_attempts_are_given_up_while_every_worker_hangs),
        TEST(test_closing_the_store_waits_for_what_hangs),
        TEST(test_closing_the_environment_waits_for_a_savepoint_that_hangs),
        TEST(test_closing_the_environment_says_first_what_is_open),
        TEST(test_giving_a_checkpoint_up_waits_for_no_deletion),
        TEST(test_giving_a_savepoint_up_waits_for_no_deletion),
        TEST(test_closing_gives_deletions_up_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
