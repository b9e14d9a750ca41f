/*
 * Unit tests of state/backend.c and directory.c: who may hold a directory, which keys belong here,
 * in which order things are closed, and that nothing leaks when memory runs out.
 */
#include "support/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tarn/keyed.h"

#include "snapshot/local.h"
#include "state/backend.h"
#include "support/state_fixture.h"

typedef struct fixture {
    tarn_config *config;
    tarn_env *env;
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f.config = fixture_new_config(64);
    f.env = fixture_open_env(f.config, NULL);
    fixture_make_directory(f.directory);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    tarn_config_free(f->config);
    fixture_remove_directory(f->directory);
    return 0;
}

static tarn_backend_options options_of(fixture *f)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "test";
    options.directory = f->directory;
    return options;
}

static void expect_message(const fixture *f, const char *part)
{
    if (strstr(f->error.message, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, f->error.message);
    }
}

static void expect_refused(
    fixture *f, const tarn_backend_options *options, tarn_status status, const char *part)
{
    tarn_backend *backend = NULL;
    assert_int_equal(tarn_backend_open(options, &backend, &f->error), status);
    assert_null(backend);
    expect_message(f, part);
}

static bool exists(const fixture *f, const char *name)
{
    char path[FIXTURE_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/%s", f->directory, name);
    return access(path, F_OK) == 0;
}

static void create_file(const fixture *f, const char *name)
{
    char path[FIXTURE_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/%s", f->directory, name);
    const int descriptor = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(descriptor >= 0);
    (void)close(descriptor);
}

/* ---- options ---------------------------------------------------------------------------- */

static void test_bad_options_are_refused_by_name(void **state)
{
    fixture *f = *state;
    tarn_backend_options options = options_of(f);
    options.env = NULL;
    expect_refused(f, &options, TARN_INVALID_ARGUMENT, "env");
    options = options_of(f);
    options.operator_name = "";
    expect_refused(f, &options, TARN_INVALID_ARGUMENT, "operator_name");
    options = options_of(f);
    options.directory = NULL;
    expect_refused(f, &options, TARN_INVALID_ARGUMENT, "directory");
    options = options_of(f);
    options.key_hash = (tarn_key_hash)77;
    expect_refused(f, &options, TARN_INVALID_ARGUMENT, "77");
    options = options_of(f);
    options.subtask_index = 4;
    options.parallelism = 4;
    expect_refused(f, &options, TARN_INVALID_ARGUMENT, "4");
    options = options_of(f);
    options.max_parallelism = 40000;
    expect_refused(f, &options, TARN_INVALID_ARGUMENT, "40000");
    expect_refused(f, NULL, TARN_INVALID_ARGUMENT, "tarn_backend_options");
    assert_false(exists(f, "lock"));
}

static void test_a_bad_rocksdb_option_leaves_nothing_behind(void **state)
{
    fixture *f = *state;
    tarn_config *config = NULL;
    assert_ok(tarn_config_new(NULL, &config, &f->error), &f->error);
    fixture_set(config, "state.backend.rocksdb.predefined-options", "FAST");
    tarn_backend_options options = options_of(f);
    options.config = config;
    expect_refused(f, &options, TARN_INVALID_ARGUMENT, "FAST");
    assert_false(exists(f, "db"));
    tarn_config_free(config);
}

static void test_a_full_heap_pool_is_named_with_its_figures(void **state)
{
    fixture *f = *state;
    tarn_budget *budget = tarn_env_budget(f->env);
    tarn_owner *owner = NULL;
    assert_ok(tarn_owner_open(budget, TARN_POOL_HEAP, "hog", &owner, &f->error), &f->error);
    const tarn_pool_stats heap = tarn_budget_pool(budget, TARN_POOL_HEAP);
    for (uint64_t room = 64; room <= 64 << 10; room *= 4) {
        const uint64_t bytes = heap.limit_bytes - heap.used_bytes - room;
        assert_ok(tarn_owner_reserve(owner, bytes, TARN_NO_WAIT, &f->error), &f->error);
        tarn_backend_options options = options_of(f);
        tarn_backend *backend = NULL;
        const tarn_status status = tarn_backend_open(&options, &backend, &f->error);
        tarn_owner_release(owner, bytes);
        if (status == TARN_OK) {
            assert_true(room > 64);
            assert_ok(tarn_backend_close(backend, &f->error), &f->error);
        } else {
            assert_int_equal(status, TARN_OVER_BUDGET);
            assert_int_equal(f->error.status, TARN_OVER_BUDGET);
            assert_non_null(strstr(f->error.message, "heap pool"));
        }
    }
    assert_ok(tarn_owner_close(owner, &f->error), &f->error);
}

static void test_a_full_heap_pool_is_named_by_states_and_iterators(void **state)
{
    fixture *f = *state;
    tarn_budget *budget = tarn_env_budget(f->env);
    tarn_owner *owner = NULL;
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    tarn_value *value = fixture_open_value(backend, "v");
    assert_ok(tarn_owner_open(budget, TARN_POOL_HEAP, "hog", &owner, &f->error), &f->error);
    const tarn_pool_stats heap = tarn_budget_pool(budget, TARN_POOL_HEAP);
    const uint64_t bytes = heap.limit_bytes - heap.used_bytes - 8;
    assert_ok(tarn_owner_reserve(owner, bytes, TARN_NO_WAIT, &f->error), &f->error);

    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "w";
    tarn_value *other = NULL;
    tarn_value_iterator *rows = NULL;
    tarn_key_iterator *keys = NULL;
    assert_int_equal(tarn_value_open(backend, &options, &other, &f->error), TARN_OVER_BUDGET);
    expect_message(f, "heap pool");
    assert_int_equal(tarn_value_iterate(value, "rows", &rows, &f->error), TARN_OVER_BUDGET);
    expect_message(f, "heap pool");
    assert_int_equal(
        tarn_keyed_iterate_keys(tarn_value_keyed(value), NULL, "keys", &keys, &f->error),
        TARN_OVER_BUDGET);
    expect_message(f, "heap pool");

    tarn_owner_release(owner, bytes);
    assert_ok(tarn_owner_close(owner, &f->error), &f->error);
    assert_ok(tarn_value_open(backend, &options, &other, &f->error), &f->error);
    assert_ok(tarn_value_close(other, &f->error), &f->error);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

static void test_key_groups_are_those_of_the_subtask(void **state)
{
    fixture *f = *state;
    tarn_backend_options options = options_of(f);
    options.subtask_index = 1;
    options.parallelism = 4;
    tarn_backend *backend = NULL;
    assert_ok(tarn_backend_open(&options, &backend, &f->error), &f->error);
    assert_int_equal(tarn_backend_key_groups(backend).first, 32);
    assert_int_equal(tarn_backend_key_groups(backend).last, 63);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

/* What C++ and bindings use instead of the INIT macros. */
static void test_options_can_be_initialised_by_calls(void **state)
{
    fixture *f = *state;
    tarn_backend_options options;
    memset(&options, 0xff, sizeof options);
    tarn_backend_options_init(&options, sizeof options);
    options.env = f->env;
    options.operator_name = "test";
    options.directory = f->directory;
    tarn_backend *backend = NULL;
    assert_ok(tarn_backend_open(&options, &backend, &f->error), &f->error);
    tarn_state_options state_options;
    memset(&state_options, 0xff, sizeof state_options);
    tarn_state_options_init(&state_options, sizeof state_options);
    state_options.name = "v";
    tarn_value *value = NULL;
    assert_ok(tarn_value_open(backend, &state_options, &value, &f->error), &f->error);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

/* ---- the directory ---------------------------------------------------------------------- */

static void test_a_directory_is_made_with_those_above_it(void **state)
{
    fixture *f = *state;
    char path[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/a/b//c", f->directory);
    tarn_backend *backend = fixture_open_backend(f->env, path);
    assert_true(exists(f, "a/b/c/db"));
    assert_true(exists(f, "a/b/c/lock"));
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
    assert_false(exists(f, "a/b/c/db"));
    assert_false(exists(f, "a/b/c/lock"));
    assert_true(exists(f, "a/b/c"));
}

static void test_a_file_in_place_of_the_directory_is_an_error_that_names_it(void **state)
{
    fixture *f = *state;
    create_file(f, "file");
    char path[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/file", f->directory);
    tarn_backend_options options = options_of(f);
    options.directory = path;
    expect_refused(f, &options, TARN_IO_ERROR, path);
}

static void test_another_backend_on_the_directory_is_refused_and_named(void **state)
{
    fixture *f = *state;
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    const tarn_backend_options options = options_of(f);
    expect_refused(f, &options, TARN_BUSY, f->directory);
    char holder[64];
    (void)snprintf(holder, sizeof holder, "process %ld (test)", (long)getpid());
    expect_message(f, holder);
    assert_true(exists(f, "db/CURRENT")); /* The holder's files are untouched. */
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
    backend = fixture_open_backend(f->env, f->directory);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

/* The child holds the lock and dies without closing: the lock goes with it, its files are wiped. */
static void test_another_process_on_the_directory_is_refused_until_it_is_gone(void **state)
{
    fixture *f = *state;
    int ready[2];
    int leave[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(leave), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        tarn__account account;
        tarn__directory directory;
        tarn_error error;
        (void)close(leave[1]);
        tarn__account_init(&account, "child", NULL);
        const tarn_status status =
            tarn__directory_open(&directory, &account, f->directory, "child", &error);
        create_file(f, "links");
        const bool told = write(ready[1], status == TARN_OK ? "y" : "n", 1) == 1;
        (void)!read(leave[0], &byte, 1);
        _exit(told ? 0 : 1);
    }
    char answer = '?';
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    const tarn_backend_options options = options_of(f);
    char holder[64];
    (void)snprintf(holder, sizeof holder, "process %ld (child)", (long)child);
    expect_refused(f, &options, TARN_BUSY, holder);

    (void)close(leave[1]);
    (void)close(leave[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)close(ready[0]);
    (void)close(ready[1]);
    assert_true(exists(f, "links"));
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    assert_false(exists(f, "links"));
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

static void test_files_that_are_not_tarns_are_left_alone(void **state)
{
    fixture *f = *state;
    create_file(f, "precious");
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
    assert_true(exists(f, "precious"));
}

/* ---- keys ------------------------------------------------------------------------------- */

static void test_a_key_of_another_subtask_is_refused_with_its_group(void **state)
{
    fixture *f = *state;
    tarn_backend_options options = options_of(f);
    options.parallelism = 2;
    options.key_hash = TARN_KEY_HASH_CALLER;
    tarn_backend *backend = NULL;
    assert_ok(tarn_backend_open(&options, &backend, &f->error), &f->error);
    uint32_t here = 0;
    for (int32_t hash = 0; hash < 1000; hash++) {
        const uint32_t group = tarn_key_group_of(hash, 128);
        const tarn_status status =
            tarn_backend_set_key_hashed(backend, tarn_bytes_of("k"), hash, &f->error);
        assert_int_equal(status, group < 64 ? TARN_OK : TARN_INVALID_ARGUMENT);
        here += group < 64 ? 1 : 0;
    }
    assert_in_range(here, 400, 600);
    expect_message(f, "groups 0 to 63");
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

static void test_keys_that_the_hash_cannot_take_are_refused(void **state)
{
    fixture *f = *state;
    static const struct {
        tarn_key_hash hash;
        size_t size;
        tarn_status status;
    } CASES[] = {
        {TARN_KEY_HASH_BYTES, 0, TARN_OK},
        {TARN_KEY_HASH_BYTES, 65535, TARN_OK},
        {TARN_KEY_HASH_BYTES, 65536, TARN_INVALID_ARGUMENT},
        {TARN_KEY_HASH_JAVA_STRING, 5, TARN_OK},
        {TARN_KEY_HASH_JAVA_BYTES, 5, TARN_OK},
        {TARN_KEY_HASH_JAVA_INT, 4, TARN_OK},
        {TARN_KEY_HASH_JAVA_INT, 5, TARN_INVALID_ARGUMENT},
        {TARN_KEY_HASH_JAVA_LONG, 8, TARN_OK},
        {TARN_KEY_HASH_JAVA_LONG, 4, TARN_INVALID_ARGUMENT},
        {TARN_KEY_HASH_CALLER, 4, TARN_INVALID_ARGUMENT},
    };
    static const uint8_t KEY[65536];
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        tarn_backend_options options = options_of(f);
        options.key_hash = CASES[i].hash;
        tarn_backend *backend = NULL;
        assert_ok(tarn_backend_open(&options, &backend, &f->error), &f->error);
        assert_int_equal(
            tarn_backend_set_key(backend, tarn_bytes_at(KEY, CASES[i].size), &f->error),
            CASES[i].status);
        if (CASES[i].hash != TARN_KEY_HASH_CALLER) {
            assert_int_equal(
                tarn_backend_set_key_hashed(backend, tarn_bytes_at(KEY, 4), 1, &f->error),
                TARN_INVALID_ARGUMENT);
        }
        assert_ok(tarn_backend_close(backend, &f->error), &f->error);
    }
}

/* ---- closing ---------------------------------------------------------------------------- */

static void test_open_children_keep_their_parents_and_are_named(void **state)
{
    fixture *f = *state;
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    tarn_value *value = fixture_open_value(backend, "flights");
    tarn_value_iterator *iterator = NULL;
    assert_ok(tarn_value_iterate(value, "report", &iterator, &f->error), &f->error);

    assert_int_equal(tarn_env_close(f->env, &f->error), TARN_BUSY);
    expect_message(f, "test");
    assert_int_equal(tarn_backend_close(backend, &f->error), TARN_BUSY);
    expect_message(f, "state \"flights\"");
    assert_int_equal(tarn_value_close(value, &f->error), TARN_BUSY);
    expect_message(f, "report");
    tarn_value_iterator_close(iterator);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
    assert_ok(tarn_backend_close(NULL, NULL), &f->error);
    assert_ok(tarn_value_close(NULL, NULL), &f->error);
    tarn_value_iterator_close(NULL);
}

/* ---- the gate --------------------------------------------------------------------------- */

typedef struct link_job {
    tarn_backend *backend;
    atomic_bool has_linked;
} link_job;

static void *link_and_open(void *context)
{
    link_job *self = context;
    char path[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s", self->backend->directory.links);
    tarn_error error;
    assert_ok(tarn__rocks_link_snapshot(self->backend->rocks, path, &error), &error);
    atomic_store(&self->has_linked, true);
    tarn__backend_open_gate(self->backend);
    return NULL;
}

/* A write after the barrier must not be in the links: it waits, and the wait is counted. */
static void test_a_write_waits_for_the_links_and_a_read_does_not(void **state)
{
    fixture *f = *state;
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    tarn_value *value = fixture_open_value(backend, "v");
    assert_ok(tarn_backend_resize_working_set(backend, 0, &f->error), &f->error);
    assert_ok(tarn_backend_set_key(backend, tarn_bytes_of("k"), &f->error), &f->error);
    assert_ok(tarn_value_put(value, tarn_bytes_of("old"), &f->error), &f->error);

    link_job linker = {.backend = backend};
    assert_ok(tarn__backend_settle(backend, &f->error), &f->error);
    tarn__backend_shut_gate(backend);
    tarn_bytes read;
    assert_ok(tarn_value_get(value, &read, &f->error), &f->error);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, link_and_open, &linker), 0);
    assert_ok(tarn_value_put(value, tarn_bytes_of("new"), &f->error), &f->error);
    assert_true(atomic_load(&linker.has_linked));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(exists(f, "links/CURRENT"));

    /* The links are a database of their own, with the state as it was. */
    char links[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(links, sizeof links, "%s/links", f->directory);
    const tarn__rocks_open_options options = {
        .account = backend->account,
        .memory = tarn__env_rocks_memory(f->env),
        .directory = links,
        .settings = backend->settings,
    };
    tarn__rocks *linked = NULL;
    assert_ok(tarn__rocks_open(&options, &linked, &f->error), &f->error);
    tarn__rocks_family *family = tarn__rocks_find_family(linked, "v");
    assert_non_null(family);
    static const uint8_t NO_NAMESPACE[] = {0};
    uint8_t row[64];
    size_t size = tarn__row_encode_key(
        row, tarn_key_group_of(tarn_hash_bytes(tarn_bytes_of("k")), 128), tarn_bytes_of("k"));
    memcpy(row + size, NO_NAMESPACE, 1);
    tarn__rocks_pin pin = {.slice = NULL};
    assert_ok(
        tarn__rocks_get(family, tarn_bytes_at(row, size + 1), &pin, &read, &f->error), &f->error);
    /* Nobody opened the state: the mark of its generation, 0, is there. */
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_at("old", sizeof "old")));
    tarn__rocks_unpin(&pin);
    tarn__rocks_close(linked);

    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

/* With a working set it goes on: the row stays there until the links are made. */
static void test_a_write_into_the_working_set_does_not_wait_for_the_links(void **state)
{
    fixture *f = *state;
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    tarn_value *value = fixture_open_value(backend, "v");
    tarn_working_set_stats stats;
    assert_ok(tarn_backend_set_key(backend, tarn_bytes_of("k"), &f->error), &f->error);
    assert_ok(tarn_value_put(value, tarn_bytes_of("old"), &f->error), &f->error);
    tarn_backend_measure_working_set(backend, &stats);
    assert_int_equal(stats.dirty_count, 1);
    assert_ok(tarn__backend_settle_all(backend, &f->error), &f->error);
    tarn__backend_shut_gate(backend);
    assert_ok(tarn_value_put(value, tarn_bytes_of("new"), &f->error), &f->error);
    tarn_backend_measure_working_set(backend, &stats);
    assert_int_equal(stats.written_count, 1);
    assert_int_equal(stats.dirty_count, 1);
    assert_int_equal(backend->snapshot_wait_count, 0);
    tarn__backend_open_gate(backend);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

static void test_links_hold_tables_and_manifest_but_no_log(void **state)
{
    fixture *f = *state;
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    tarn_value *value = fixture_open_value(backend, "v");
    assert_ok(tarn_backend_set_key(backend, tarn_bytes_of("k"), &f->error), &f->error);
    assert_ok(tarn_value_put(value, tarn_bytes_of("x"), &f->error), &f->error);
    assert_ok(tarn__backend_settle_all(backend, &f->error), &f->error);
    assert_ok(
        tarn__rocks_link_snapshot(backend->rocks, backend->directory.links, &f->error), &f->error);
    tarn__local_files found;
    assert_ok(
        tarn__local_files_list(
            NULL, backend->account, backend->directory.links, ".sst", &found, &f->error),
        &f->error);
    uint32_t table_count = 0;
    for (uint32_t i = 0; i < found.count; i++) {
        const char *name = found.items[i].name;
        table_count += found.items[i].is_shared ? 1 : 0;
        assert_true(strncmp(name, "LOG", 3) != 0 && strcmp(name, "LOCK") != 0);
        assert_null(strstr(name, ".log"));
        assert_null(strstr(name, "OPTIONS")); /* Larger than the rest, and nobody reads it. */
    }
    assert_int_equal(table_count, 2); /* The state's, and Tarn's own. */
    /* CURRENT, MANIFEST; newer ones IDENTITY. */
    assert_in_range(found.count - table_count, 2, 3);
    tarn__local_files_clear(&found);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

static void test_a_poisoned_backend_says_why_and_can_be_closed(void **state)
{
    fixture *f = *state;
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    tarn_value *value = fixture_open_value(backend, "v");
    assert_ok(tarn_backend_set_key(backend, tarn_bytes_of("k"), &f->error), &f->error);
    assert_ok(tarn_value_put(value, tarn_bytes_of("x"), &f->error), &f->error);
    tarn_value_iterator *rows = NULL;
    tarn_key_iterator *keys = NULL;
    tarn_row row;
    assert_ok(tarn_value_iterate(value, "rows", &rows, &f->error), &f->error);
    assert_ok(
        tarn_keyed_iterate_keys(tarn_value_keyed(value), NULL, "keys", &keys, &f->error),
        &f->error);
    const tarn_error cause = {.status = TARN_NO_SPACE, .message = "the disk is full"};
    tarn__backend_poison(backend, &cause);
    tarn_bytes read;
    void *edited;
    assert_int_equal(tarn_value_put(value, tarn_bytes_of("x"), &f->error), TARN_POISONED);
    expect_message(f, "the disk is full");
    assert_int_equal(tarn_value_get(value, &read, &f->error), TARN_POISONED);
    assert_int_equal(tarn_value_edit(value, 8, &edited, &f->error), TARN_POISONED);
    assert_int_equal(tarn_value_remove(value, &f->error), TARN_POISONED);
    assert_int_equal(tarn_value_iterator_next(rows, &row, &f->error), TARN_POISONED);
    assert_int_equal(tarn_key_iterator_next(keys, &row, &f->error), TARN_POISONED);
    expect_message(f, "the disk is full");
    tarn_value_iterator_close(rows);
    tarn_key_iterator_close(keys);
    assert_int_equal(tarn_backend_set_key(backend, tarn_bytes_of("k"), &f->error), TARN_POISONED);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

static void test_figures_follow_what_is_stored(void **state)
{
    fixture *f = *state;
    tarn_backend *backend = fixture_open_backend(f->env, f->directory);
    tarn_value *value = fixture_open_value(backend, "v");
    for (uint32_t i = 0; i < 1000; i++) {
        assert_ok(tarn_backend_set_key(backend, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
        assert_ok(tarn_value_put(value, tarn_bytes_of("0123456789"), &f->error), &f->error);
    }
    assert_ok(tarn__backend_settle_all(backend, &f->error), &f->error);
    tarn_backend_stats stats;
    tarn_backend_measure(backend, &stats);
    assert_int_equal(stats.row_count_estimate, 1000);
    assert_true(stats.memtable_bytes > 20000);
    assert_int_equal(stats.live_file_bytes, 0);
    assert_ok(tarn__rocks_flush(backend->rocks, &f->error), &f->error);
    tarn_backend_measure(backend, &stats);
    assert_true(stats.live_file_bytes > 0);
    assert_int_equal(stats.level0_file_count, 1);
    assert_int_equal(stats.immutable_count, 0);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(backend, &f->error), &f->error);
}

/* ---- the failure loop ------------------------------------------------------------------- */

/* Everything that a backend can do, once; the first failure ends it. */
static tarn_status use_backend(
    tarn_backend *backend, tarn_value **value, tarn_value_iterator **iterator)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "v";
    TARN_TRY(tarn_value_open(backend, &options, value, NULL));
    uint8_t long_key[300] = {0};
    tarn_bytes read;
    void *edited = NULL;
    TARN_TRY(tarn_backend_set_key(backend, tarn_bytes_at(long_key, sizeof long_key), NULL));
    TARN_TRY(tarn_value_put(*value, tarn_bytes_of("x"), NULL));
    TARN_TRY(tarn_value_get(*value, &read, NULL));
    TARN_TRY(tarn_value_set_namespace(*value, tarn_bytes_at(long_key, sizeof long_key), NULL));
    TARN_TRY(tarn_value_edit(*value, 1000, &edited, NULL));
    TARN_TRY(tarn_value_iterate(*value, NULL, iterator, NULL));
    tarn_row row;
    return tarn_value_iterator_next(*iterator, &row, NULL);
}

static void test_every_allocation_failure_is_survived(void **state)
{
    fixture *f = *state;
    bool has_ended = false;
    for (uint64_t nth = 0; !has_ended; nth++) {
        fault_allocator allocator;
        fault_allocator_init(&allocator, FAULT_NEVER);
        tarn_env *env = fixture_open_env(f->config, &allocator.base);
        tarn_backend_options options = options_of(f);
        options.env = env;
        allocator.fail_at = atomic_load(&allocator.request_count) + nth;

        tarn_backend *backend = NULL;
        tarn_value *value = NULL;
        tarn_value_iterator *iterator = NULL;
        tarn_status status = tarn_backend_open(&options, &backend, &f->error);
        if (status == TARN_OK) {
            status = use_backend(backend, &value, &iterator);
        } else {
            assert_null(backend);
        }
        has_ended = !atomic_load(&allocator.fired);
        /* The working set does without the memory that it does not get. */
        assert_true(status == TARN_OK || (status == TARN_NO_MEMORY && !has_ended));
        allocator.fail_at = FAULT_NEVER;
        tarn_value_iterator_close(iterator);
        assert_ok(tarn_value_close(value, &f->error), &f->error);
        assert_ok(tarn_backend_close(backend, &f->error), &f->error);
        assert_ok(tarn_env_close(env, &f->error), &f->error);
        assert_int_equal(atomic_load(&allocator.live_count), 0);
        assert_true(nth < 1000);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_bad_options_are_refused_by_name),
        TEST(test_a_bad_rocksdb_option_leaves_nothing_behind),
        TEST(test_a_full_heap_pool_is_named_with_its_figures),
        TEST(test_a_full_heap_pool_is_named_by_states_and_iterators),
        TEST(test_key_groups_are_those_of_the_subtask),
        TEST(test_options_can_be_initialised_by_calls),
        TEST(test_a_directory_is_made_with_those_above_it),
        TEST(test_a_file_in_place_of_the_directory_is_an_error_that_names_it),
        TEST(test_another_backend_on_the_directory_is_refused_and_named),
        TEST(test_another_process_on_the_directory_is_refused_until_it_is_gone),
        TEST(test_files_that_are_not_tarns_are_left_alone),
        TEST(test_a_key_of_another_subtask_is_refused_with_its_group),
        TEST(test_keys_that_the_hash_cannot_take_are_refused),
        TEST(test_open_children_keep_their_parents_and_are_named),
        TEST(test_a_write_waits_for_the_links_and_a_read_does_not),
        TEST(test_a_write_into_the_working_set_does_not_wait_for_the_links),
        TEST(test_links_hold_tables_and_manifest_but_no_log),
        TEST(test_a_poisoned_backend_says_why_and_can_be_closed),
        TEST(test_figures_follow_what_is_stored),
        TEST(test_every_allocation_failure_is_survived),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
