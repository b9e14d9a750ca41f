/*
 * Unit tests of threads for errands: their order, what is waited for, and that what a store whose
 * storage does not answer has left holds up no other.
 */
#include "support/support.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tarn/snapshot.h"

#include "base/errands.h"
#include "support/fault_storage.h"
#include "support/state_fixture.h"

/* --- The thread --- */

enum { ERRANDS = 200 };

/* Notes in which order errands run, and whether two do at once. */
typedef struct journal {
    atomic_int running;
    atomic_int count;
    atomic_bool has_overlapped;
    int order[ERRANDS];
} journal;

typedef struct entry {
    tarn__errand errand;
    journal *journal;
    int number;
} entry;

static void note(void *context)
{
    const entry *e = context;
    journal *j = e->journal;
    if (atomic_fetch_add(&j->running, 1) > 0) {
        atomic_store(&j->has_overlapped, true);
    }
    (void)sched_yield();
    j->order[atomic_load(&j->count)] = e->number;
    atomic_fetch_add(&j->count, 1);
    atomic_fetch_sub(&j->running, 1);
}

static void test_errands_run_one_at_a_time_in_order_and_never_wait_for_room(void **state)
{
    (void)state;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn__errands *thread = NULL;
    tarn_error error;
    journal j = {.count = 0};
    entry left[ERRANDS];
    assert_ok(tarn__errands_open(&account, "test", NULL, &thread, &error), &error);
    for (int i = 0; i < ERRANDS; i++) {
        left[i] = (entry){.errand = {.run = note, .context = &left[i]}, .journal = &j, .number = i};
        tarn__errands_leave(thread, &left[i].errand);
    }
    tarn__errands_close(thread);
    assert_int_equal(atomic_load(&j.count), ERRANDS);
    assert_false(atomic_load(&j.has_overlapped));
    for (int i = 0; i < ERRANDS; i++) {
        assert_int_equal(j.order[i], i);
    }
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* An errand that takes until it is let go, for a minute at most. */
typedef struct gate {
    tarn__errand errand;
    sem_t opened;
    atomic_bool has_ended;
    atomic_bool has_given_up;
} gate;

static void await_opening(void *context)
{
    gate *g = context;
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    int result = 0;
    do {
        result = sem_timedwait(&g->opened, &until);
    } while (result != 0 && errno == EINTR);
    atomic_store(&g->has_given_up, result != 0);
    atomic_store(&g->has_ended, true);
}

static void open_gate(void *context)
{
    (void)sem_post(&((gate *)context)->opened);
}

/* A part runs beside the whole, which is waited for with what was left to the part. */
static void test_a_part_waits_for_nobody_and_the_whole_for_its_parts(void **state)
{
    (void)state;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn__errands *whole = NULL;
    tarn__errands *part = NULL;
    tarn_error error;
    gate g = {.errand = {.run = await_opening, .context = &g}};
    tarn__errand opening = {.run = open_gate, .context = &g};
    assert_int_equal(sem_init(&g.opened, 0, 0), 0);
    assert_ok(tarn__errands_open(&account, "test", NULL, &whole, &error), &error);
    assert_ok(tarn__errands_open(&account, "test", whole, &part, &error), &error);
    tarn__errands_leave(whole, &g.errand);
    tarn__errands_leave(part, &opening);
    tarn__errands_await(whole);
    assert_true(atomic_load(&g.has_ended));

    atomic_store(&g.has_ended, false);
    tarn__errands_leave(part, &g.errand);
    tarn__errands_leave(whole, &opening);
    tarn__errands_await(whole);
    assert_true(atomic_load(&g.has_ended));
    tarn__errands_close(part);
    tarn__errands_close(whole);
    assert_false(atomic_load(&g.has_given_up));
    (void)sem_destroy(&g.opened);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void test_errands_without_memory(void **state)
{
    (void)state;
    fault_allocator fault;
    fault_allocator_init(&fault, 0);
    tarn__account account;
    tarn__account_init(&account, "test", &fault.base);
    tarn__errands *thread = NULL;
    tarn_error error;
    assert_int_equal(tarn__errands_open(&account, "test", NULL, &thread, &error), TARN_NO_MEMORY);
    assert_null(thread);
}

/* --- Stores of one environment --- */

/* A storage, a store in it, and a backend that takes its snapshots there. */
typedef struct site {
    fault_storage storage;
    gate gate;
    atomic_bool is_silent; /* It answers no removal until the gate is opened. */
    atomic_bool has_hung;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *value;
} site;

enum { SITES = 2, SLOW = 0, QUICK = 1 };

typedef struct fixture {
    char root[FIXTURE_PATH_BYTES];
    tarn__account account;
    tarn_storage_scheme schemes[SITES];
    tarn_env *env;
    site sites[SITES];
    tarn_error error;
} fixture;

static fault_fate decide(const char *operation, const char *name, void *context)
{
    site *s = context;
    (void)name;
    if (strcmp(operation, "remove") == 0 && atomic_exchange(&s->is_silent, false)) {
        atomic_store(&s->has_hung, true);
        await_opening(&s->gate);
    }
    return FAULT_FATE_DONE;
}

/* Its addresses are those of a scheme "fault" but for the name. */
static tarn_status open_storage(
    const char *address, void *context, tarn_storage **out, tarn_error *error)
{
    char text[FIXTURE_PATH_BYTES];
    const char *rest = strstr(address, "://");
    assert_non_null(rest);
    (void)snprintf(text, sizeof text, "fault%s", rest);
    return fault_storage_open_address(text, context, out, error);
}

static void open_site(fixture *f, site *s, const char *name)
{
    char text[FIXTURE_PATH_BYTES + 16];
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    (void)snprintf(text, sizeof text, "%s://sim", name);
    options.env = f->env;
    options.address = text;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &s->store, &f->error), &f->error);
    (void)snprintf(text, sizeof text, "%s/%s", f->root, name);
    s->backend = fixture_open_backend(f->env, text);
    s->value = fixture_open_value(s->backend, "v");
    for (uint32_t key = 0; key < 100; key++) {
        const tarn_bytes bytes = tarn_bytes_at(&key, sizeof key);
        assert_ok(tarn_backend_set_key(s->backend, bytes, &f->error), &f->error);
        assert_ok(tarn_value_put(s->value, bytes, &f->error), &f->error);
    }
}

static int set_up(void **state)
{
    static const char *const names[SITES] = {[SLOW] = "slow", [QUICK] = "quick"};
    fixture *f = test_calloc(1, sizeof *f);
    fixture_make_directory(f->root);
    tarn__account_init(&f->account, "test", NULL);
    for (int i = 0; i < SITES; i++) {
        site *s = &f->sites[i];
        assert_int_equal(sem_init(&s->gate.opened, 0, 0), 0);
        fault_storage_init(&s->storage, &f->account, decide, s);
        f->schemes[i] =
            (tarn_storage_scheme){.name = names[i], .open = open_storage, .context = &s->storage};
    }
    tarn_config *config = fixture_new_config(64);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    options.storage_schemes = f->schemes;
    options.storage_scheme_count = SITES;
    assert_ok(tarn_env_open(&options, &f->env, &f->error), &f->error);
    tarn_config_free(config);
    for (int i = 0; i < SITES; i++) {
        open_site(f, &f->sites[i], names[i]);
    }
    *state = f;
    return 0;
}

static void close_store(fixture *f, site *s)
{
    assert_ok(tarn_checkpoint_store_close(s->store, &f->error), &f->error);
    s->store = NULL;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < SITES; i++) {
        site *s = &f->sites[i];
        assert_ok(tarn_value_close(s->value, &f->error), &f->error);
        assert_ok(tarn_backend_close(s->backend, &f->error), &f->error);
        close_store(f, s);
    }
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    for (int i = 0; i < SITES; i++) {
        assert_false(atomic_load(&f->sites[i].gate.has_given_up));
        fault_storage_clear(&f->sites[i].storage);
        (void)sem_destroy(&f->sites[i].gate.opened);
    }
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    fixture_remove_directory(f->root);
    test_free(f);
    return 0;
}

/* A checkpoint whose upload has ended, so that there is something to be deleted. */
static tarn_pending_checkpoint *upload(fixture *f, site *s, tarn_snapshot **out)
{
    tarn_pending_checkpoint *pending = NULL;
    const uint64_t id = tarn_checkpoint_store_next_id(s->store);
    assert_ok(tarn_checkpoint_begin(s->store, id, &pending, &f->error), &f->error);
    assert_ok(tarn_snapshot_begin(s->backend, pending, out, &f->error), &f->error);
    tarn_snapshot_wait(*out);
    return pending;
}

static void await_hanging(site *s)
{
    while (!atomic_load(&s->has_hung)) {
        (void)sched_yield();
    }
}

/* Closes the one that is answered while the other one's deletion hangs. */
static void expect_to_close_beside(fixture *f, site *slow, site *quick)
{
    close_store(f, quick);
    assert_false(atomic_load(&slow->gate.has_ended));
    open_gate(&slow->gate);
}

static void test_a_store_closes_while_a_checkpoint_of_another_is_not_deleted(void **state)
{
    fixture *f = *state;
    site *slow = &f->sites[SLOW];
    site *quick = &f->sites[QUICK];
    tarn_pending_checkpoint *pending[SITES];
    for (int i = 0; i < SITES; i++) {
        tarn_snapshot *snapshot = NULL;
        pending[i] = upload(f, &f->sites[i], &snapshot);
        fixture_acknowledge(pending[i], snapshot);
    }
    atomic_store(&slow->is_silent, true);
    tarn_checkpoint_abandon(pending[SLOW]);
    await_hanging(slow);
    tarn_checkpoint_abandon(pending[QUICK]);
    expect_to_close_beside(f, slow, quick);
}

static void test_a_store_closes_while_an_upload_of_another_is_not_deleted(void **state)
{
    fixture *f = *state;
    site *slow = &f->sites[SLOW];
    site *quick = &f->sites[QUICK];
    tarn_pending_checkpoint *pending[SITES];
    tarn_snapshot *snapshots[SITES];
    for (int i = 0; i < SITES; i++) {
        pending[i] = upload(f, &f->sites[i], &snapshots[i]);
    }
    atomic_store(&slow->is_silent, true);
    tarn_snapshot_abandon(snapshots[SLOW]);
    await_hanging(slow);
    tarn_checkpoint_abandon(pending[SLOW]);
    tarn_snapshot_abandon(snapshots[QUICK]);
    tarn_checkpoint_abandon(pending[QUICK]);
    expect_to_close_beside(f, slow, quick);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errands_run_one_at_a_time_in_order_and_never_wait_for_room),
        cmocka_unit_test(test_a_part_waits_for_nobody_and_the_whole_for_its_parts),
        cmocka_unit_test(test_errands_without_memory),
        TEST(test_a_store_closes_while_a_checkpoint_of_another_is_not_deleted),
        TEST(test_a_store_closes_while_an_upload_of_another_is_not_deleted),
    };
#undef TEST
    return cmocka_run_group_tests_name("errands", tests, NULL, NULL);
}
