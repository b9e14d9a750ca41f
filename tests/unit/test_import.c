/*
 * Unit tests of savepoints made of rows: a job that begins with one has exactly what they say, at
 * any parallelism, and goes on; and what is no row is refused with the reason.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env/env.h"
#include "support/scratch.h"
#include "tarn/list.h"
#include "tarn/map.h"
#include "tarn/reducing.h"
#include "tarn/rows.h"
#include "tarn/savepoint.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"
#include "tarn/timer.h"

enum { KEYS = 300, MAX_PARALLELISM = 64 };

typedef struct fixture {
    scratch directory;
    tarn_env *env;
    tarn_import *import;
    tarn_checkpoint *savepoint;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    scratch_init(&f->directory);
    tarn_config *config = NULL;
    assert_ok(tarn_config_new(NULL, &config, &f->error), &f->error);
    assert_ok(
        tarn_config_set(config, "taskmanager.memory.process.size", "1g", NULL, &f->error),
        &f->error);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    assert_ok(tarn_env_open(&options, &f->env, &f->error), &f->error);
    tarn_config_free(config);
    tarn_import_options import;
    tarn_import_options_init(&import, sizeof import);
    import.env = f->env;
    import.directory = scratch_join(f->directory.path, "import");
    import.address = scratch_join(f->directory.path, "savepoints");
    import.job = "job";
    import.id = 9;
    assert_ok(tarn_import_open(&import, &f->import, &f->error), &f->error);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn_import_abandon(f->import);
    tarn_checkpoint_free(f->savepoint);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    scratch_clear(&f->directory);
    free(f);
    return 0;
}

static tarn_bytes key_of(uint32_t key)
{
    static char text[16];
    return tarn_bytes_at(text, (size_t)snprintf(text, sizeof text, "k%u", key));
}

static void begin(fixture *f, const char *name, uint32_t max_parallelism)
{
    const tarn_import_subtask subtask = {.operator_name = name, .max_parallelism = max_parallelism};
    assert_ok(tarn_import_begin_subtask(f->import, &subtask, &f->error), &f->error);
}

static tarn_status begin_state(fixture *f, const char *name, const char *kind)
{
    const tarn_stored_state state = {
        .name = name,
        .kind = kind,
        .codec_name = "i64",
        .codec_version = 1,
        .reducer = strcmp(kind, "reducing") == 0 ? TARN_REDUCER_SUM : TARN_REDUCER_FUNCTION,
    };
    return tarn_import_begin_state(f->import, &state, &f->error);
}

/* Every kind, its rows in no order: descending keys. */
static void import_everything(fixture *f)
{
    begin(f, "op", MAX_PARALLELISM);
    assert_ok(begin_state(f, "values", "value"), &f->error);
    for (uint32_t key = KEYS; key > 0; key--) {
        const int64_t number = 3 * (int64_t)key;
        const tarn_stored_row row = {
            .key = key_of(key), .value = tarn_bytes_at(&number, sizeof number)};
        assert_ok(tarn_import_put(f->import, &row, &f->error), &f->error);
    }
    assert_ok(begin_state(f, "entries", "map"), &f->error);
    for (uint32_t key = KEYS; key > 0; key--) {
        const tarn_stored_row row = {
            .key = key_of(key),
            .user_key = tarn_bytes_of("entry"),
            .value = tarn_bytes_of("content"),
        };
        assert_ok(tarn_import_put(f->import, &row, &f->error), &f->error);
    }
    assert_ok(begin_state(f, "sums", "reducing"), &f->error);
    assert_ok(begin_state(f, "lists", "list"), &f->error);
    for (uint32_t key = KEYS; key > 0; key--) {
        const tarn_bytes elements[] = {tarn_bytes_of("first"), tarn_bytes_of("second")};
        const tarn_stored_row row = {.key = key_of(key)};
        assert_ok(tarn_import_put_list(f->import, &row, elements, 2, &f->error), &f->error);
    }
    assert_ok(begin_state(f, "sums", "reducing"), &f->error); /* Goes on with it. */
    for (uint32_t key = KEYS; key > 0; key--) {
        const tarn_stored_row row = {.key = key_of(key)};
        assert_ok(tarn_import_put_number(f->import, &row, key, &f->error), &f->error);
    }
    const tarn_stored_state timers = {
        .name = "timers.event/alarms", .kind = "timers", .codec_name = "timer", .codec_version = 1};
    assert_ok(tarn_import_begin_state(f->import, &timers, &f->error), &f->error);
    for (uint32_t key = KEYS; key > 0; key--) {
        const tarn_stored_row row = {.key = key_of(key), .time_ms = -5 + (int64_t)key};
        assert_ok(tarn_import_put(f->import, &row, &f->error), &f->error);
    }
    begin(f, "source", 0);
    assert_ok(
        tarn_import_put_operator_state(f->import, "position", tarn_bytes_of("at 7"), &f->error),
        &f->error);
}

static void finish(fixture *f)
{
    char path[4096];
    tarn_checkpoint_summary summary;
    snprintf(path, sizeof path, "%s", tarn_import_path(f->import));
    tarn_import *import = f->import;
    f->import = NULL;
    assert_ok(tarn_import_finish(import, &summary, &f->error), &f->error);
    assert_ok(tarn_checkpoint_open(path, NULL, &f->savepoint, &f->error), &f->error);
    tarn_checkpoint_verification verified;
    assert_ok(tarn_checkpoint_verify(f->savepoint, NULL, NULL, &verified, &f->error), &f->error);
    assert_int_equal(verified.bad_count, 0);
}

/* A backend that was restored, with its states. */
typedef struct task {
    tarn_backend *backend;
    tarn_value *values;
    tarn_map *entries;
    tarn_reducing *sums;
    tarn_list *lists;
    tarn_timers *timers;
} task;

static void open_states(fixture *f, task *t)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.codec_name = "i64";
    options.codec_version = 1;
    options.name = "values";
    assert_ok(tarn_value_open(t->backend, &options, &t->values, &f->error), &f->error);
    options.name = "entries";
    assert_ok(tarn_map_open(t->backend, &options, &t->entries, &f->error), &f->error);
    options.name = "lists";
    assert_ok(tarn_list_open(t->backend, &options, &t->lists, &f->error), &f->error);
    options.name = "sums";
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    reducing.reducer = TARN_REDUCER_SUM;
    reducing.number = TARN_NUMBER_I64;
    assert_ok(tarn_reducing_open(t->backend, &options, &reducing, &t->sums, &f->error), &f->error);
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    timers.name = "alarms";
    timers.domain = TARN_TIME_EVENT;
    assert_ok(tarn_timers_open(t->backend, &timers, &t->timers, &f->error), &f->error);
}

static void close_task(fixture *f, task *t)
{
    assert_ok(tarn_value_close(t->values, &f->error), &f->error);
    assert_ok(tarn_map_close(t->entries, &f->error), &f->error);
    assert_ok(tarn_list_close(t->lists, &f->error), &f->error);
    assert_ok(tarn_reducing_close(t->sums, &f->error), &f->error);
    assert_ok(tarn_timers_close(t->timers, &f->error), &f->error);
    assert_ok(tarn_backend_close(t->backend, &f->error), &f->error);
}

static void expect_key(fixture *f, task *t, uint32_t key)
{
    tarn_bytes bytes;
    int64_t number = 0;
    assert_ok(tarn_value_get(t->values, &bytes, &f->error), &f->error);
    assert_int_equal(bytes.size, sizeof number);
    memcpy(&number, bytes.data, sizeof number);
    assert_int_equal(number, 3 * key);
    assert_ok(tarn_map_get(t->entries, tarn_bytes_of("entry"), &bytes, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(bytes, tarn_bytes_of("content")));
    assert_ok(tarn_reducing_add_i64(t->sums, 1, &f->error), &f->error);
    assert_ok(tarn_reducing_get_i64(t->sums, &number, &f->error), &f->error);
    assert_int_equal(number, key + 1);
    /* What is appended now comes behind what was imported. */
    assert_ok(tarn_list_append(t->lists, tarn_bytes_of("third"), &f->error), &f->error);
    static const char *const expected[] = {"first", "second", "third"};
    tarn_list_iterator *iterator = NULL;
    assert_ok(tarn_list_iterate(t->lists, NULL, &iterator, &f->error), &f->error);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &bytes, &f->error), &f->error);
        assert_true(tarn_bytes_is_equal(bytes, tarn_bytes_of(expected[i])));
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &bytes, &f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
}

/* Answers how many keys the subtask has. */
static uint32_t expect_task(fixture *f, uint32_t index, uint32_t parallelism)
{
    task t = {.backend = NULL};
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = scratch_join(f->directory.path, "work");
    options.subtask_index = index;
    options.parallelism = parallelism;
    options.max_parallelism = MAX_PARALLELISM;
    options.restore = f->savepoint;
    assert_ok(tarn_backend_open(&options, &t.backend, &f->error), &f->error);
    open_states(f, &t);
    uint32_t count = 0;
    for (uint32_t key = 1; key <= KEYS; key++) {
        if (tarn_backend_set_key(t.backend, key_of(key), &f->error) == TARN_OK) {
            expect_key(f, &t, key);
            count++;
        }
    }
    assert_int_equal(tarn_timers_count(t.timers), count);
    close_task(f, &t);
    return count;
}

static void test_a_job_begins_with_what_was_imported(void **state)
{
    fixture *f = *state;
    import_everything(f);
    finish(f);
    assert_int_equal(expect_task(f, 0, 1), KEYS);
    uint32_t count = 0;
    for (uint32_t i = 0; i < 3; i++) {
        count += expect_task(f, i, 3);
    }
    assert_int_equal(count, KEYS);
    uint32_t position = 0;
    assert_int_equal(tarn_checkpoint_find_subtask(f->savepoint, "source", 0, &position), TARN_OK);
    const tarn_checkpoint_operator_state piece =
        tarn_checkpoint_operator_state_at(f->savepoint, position, 0);
    assert_true(tarn_bytes_is_equal(piece.bytes, tarn_bytes_of("at 7")));
    assert_int_equal(tarn_checkpoint_summarize(f->savepoint).id, 9);
}

/* ---- what is read comes back ------------------------------------------------------------ */

typedef struct copying {
    fixture *f;
    tarn_import *to;
    uint64_t row_count;
} copying;

static bool copy_state(const tarn_stored_state *state, void *context)
{
    copying *c = context;
    assert_ok(tarn_import_begin_state(c->to, state, &c->f->error), &c->f->error);
    return true;
}

static bool copy_row(const tarn_stored_row *row, void *context)
{
    copying *c = context;
    assert_ok(tarn_import_put(c->to, row, &c->f->error), &c->f->error);
    c->row_count++;
    return true;
}

static void test_what_is_read_can_be_imported_again(void **state)
{
    fixture *f = *state;
    import_everything(f);
    finish(f);
    tarn_checkpoint *first = f->savepoint;
    f->savepoint = NULL;
    tarn_import_options options = TARN_IMPORT_OPTIONS_INIT;
    options.env = f->env;
    options.directory = scratch_join(f->directory.path, "import");
    options.address = scratch_join(f->directory.path, "savepoints");
    options.job = "job";
    assert_ok(tarn_import_open(&options, &f->import, &f->error), &f->error);
    copying c = {.f = f, .to = f->import};
    begin(f, "op", MAX_PARALLELISM);
    assert_ok(tarn_checkpoint_visit_rows(first, 0, copy_state, copy_row, &c, &f->error), &f->error);
    assert_int_equal(c.row_count, 5 * KEYS);
    finish(f);
    assert_int_equal(expect_task(f, 0, 1), KEYS);
    tarn_checkpoint_free(first);
}

/* ---- what is refused -------------------------------------------------------------------- */

static void expect_refusal(fixture *f, tarn_status status, const char *why)
{
    assert_int_equal(status, TARN_INVALID_ARGUMENT);
    if (strstr(f->error.message, why) == NULL) {
        fail_msg("not \"%s\": %s", why, f->error.message);
    }
}

static void test_what_is_no_row_is_refused_with_the_reason(void **state)
{
    fixture *f = *state;
    tarn_import *import = f->import;
    tarn_stored_row row = {.key = tarn_bytes_of("k"), .value = tarn_bytes_of("v")};
    expect_refusal(f, begin_state(f, "values", "value"), "no subtask with keyed state");
    const tarn_import_subtask beyond = {
        .operator_name = "op", .subtask_index = 2, .parallelism = 2, .max_parallelism = 64};
    expect_refusal(f, tarn_import_begin_subtask(import, &beyond, &f->error), "has no subtask 2");
    begin(f, "op", MAX_PARALLELISM);
    expect_refusal(f, tarn_import_put(import, &row, &f->error), "no state that it is of");
    expect_refusal(f, begin_state(f, "values", "heap"), "\"heap\" is no kind of state");
    expect_refusal(f, begin_state(f, "default", "value"), "a name of 1 to 255 bytes");
    assert_ok(begin_state(f, "values", "value"), &f->error);
    assert_int_equal(begin_state(f, "values", "map"), TARN_INCOMPATIBLE);
    assert_ok(tarn_import_put(import, &row, &f->error), &f->error);
    expect_refusal(f, tarn_import_put(import, &row, &f->error), "is there already");
    row.user_key = tarn_bytes_of("u");
    row.key = tarn_bytes_of("l");
    expect_refusal(f, tarn_import_put(import, &row, &f->error), "have a user key");
    expect_refusal(
        f, tarn_import_put_number(import, &row, 1, &f->error), "only a state of a built-in");
    assert_ok(begin_state(f, "lists", "list"), &f->error);
    expect_refusal(f, tarn_import_put(import, &row, &f->error), "its number, of 8 bytes");
    row.user_key = tarn_bytes_of("12345678");
    expect_refusal(f, tarn_import_put(import, &row, &f->error), "no chunk");
    assert_ok(begin_state(f, "sums", "reducing"), &f->error);
    row.user_key = tarn_bytes_of("");
    expect_refusal(f, tarn_import_put(import, &row, &f->error), "no number of the state's");
    /* What was refused is not there, and what was not is. */
    finish(f);
    tarn_checkpoint_verification verified;
    assert_ok(tarn_checkpoint_verify(f->savepoint, NULL, NULL, &verified, &f->error), &f->error);
    assert_int_equal(verified.row_count, 1);
}

static void test_a_row_of_another_subtask_is_refused(void **state)
{
    fixture *f = *state;
    uint32_t refused_count = 0;
    for (uint32_t i = 0; i < 2; i++) {
        const tarn_import_subtask subtask = {
            .operator_name = "op",
            .subtask_index = i,
            .parallelism = 2,
            .max_parallelism = MAX_PARALLELISM,
        };
        assert_ok(tarn_import_begin_subtask(f->import, &subtask, &f->error), &f->error);
        assert_ok(begin_state(f, "values", "value"), &f->error);
        for (uint32_t key = 0; key < KEYS; key++) {
            const tarn_stored_row row = {.key = key_of(key), .value = tarn_bytes_of("v")};
            const tarn_status status = tarn_import_put(f->import, &row, &f->error);
            if (status != TARN_OK) {
                expect_refusal(f, status, "is of key group");
                refused_count++;
            }
        }
    }
    assert_int_equal(refused_count, KEYS);
    finish(f);
    assert_int_equal(tarn_checkpoint_summarize(f->savepoint).subtask_count, 2);
}

static void test_what_is_given_up_leaves_nothing(void **state)
{
    fixture *f = *state;
    import_everything(f);
    tarn_import_abandon(f->import);
    f->import = NULL;
    tarn__env_await_ends(f->env);
    assert_int_equal(scratch_count(scratch_join(f->directory.path, "savepoints"), ""), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_job_begins_with_what_was_imported),
        TEST(test_what_is_read_can_be_imported_again),
        TEST(test_what_is_no_row_is_refused_with_the_reason),
        TEST(test_a_row_of_another_subtask_is_refused),
        TEST(test_what_is_given_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
