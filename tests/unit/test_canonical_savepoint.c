/*
 * Unit tests of state/canonical_*.c: a canonical savepoint has exactly the rows of the barrier, and
 * is restored at any parallelism, and at any maximum parallelism when asked for.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/keyed.h"
#include "tarn/list.h"
#include "tarn/map.h"
#include "tarn/savepoint.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

#include "base/hash.h"
#include "env/env.h"
#include "state/backend.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

enum { KEYS = 400, SUBTASKS_MAX = 5, PATH_BYTES = 4096 };

/* States of all layouts on one backend. */
typedef struct states {
    tarn_backend *backend;
    tarn_value *value;
    tarn_map *map;
    tarn_list *list;
    tarn_timers *timers;
} states;

typedef struct fixture {
    scratch directory;
    tarn_env *env;
    int64_t now_ms; /* Of the map's TTL. */
    uint32_t next_directory;
    char path[PATH_BYTES]; /* Of the latest savepoint. */
    tarn_snapshot_progress progress;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    scratch_init(&f->directory);
    tarn_config *config = fixture_new_config(64);
    f->env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    f->now_ms = 1000;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    scratch_clear(&f->directory);
    free(f);
    return 0;
}

static int64_t now_ms(void *context)
{
    return ((const fixture *)context)->now_ms;
}

static void open_states(fixture *f, states *s)
{
    s->value = fixture_open_value(s->backend, "count");
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_ttl ttl = TARN_TTL_INIT;
    ttl.ttl_ms = 100;
    ttl.now_ms = now_ms;
    ttl.now_context = f;
    options.name = "seen";
    options.ttl = &ttl;
    assert_ok(tarn_map_open(s->backend, &options, &s->map, &f->error), &f->error);
    options = (tarn_state_options)TARN_STATE_OPTIONS_INIT;
    options.name = "events";
    options.layout = TARN_LAYOUT_NAMESPACE_FIRST;
    assert_ok(tarn_list_open(s->backend, &options, &s->list, &f->error), &f->error);
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    timers.name = "wake";
    assert_ok(tarn_timers_open(s->backend, &timers, &s->timers, &f->error), &f->error);
}

static void close_states(fixture *f, states *s)
{
    assert_ok(tarn_timers_close(s->timers, &f->error), &f->error);
    assert_ok(tarn_list_close(s->list, &f->error), &f->error);
    assert_ok(tarn_map_close(s->map, &f->error), &f->error);
    assert_ok(tarn_value_close(s->value, &f->error), &f->error);
    assert_ok(tarn_backend_close(s->backend, &f->error), &f->error);
}

static tarn_status open_backend(
    fixture *f,
    uint32_t index,
    uint32_t parallelism,
    uint32_t max_parallelism,
    tarn_checkpoint *restore,
    bool moves_keys,
    tarn_backend **out)
{
    char name[32];
    snprintf(name, sizeof name, "work-%u", f->next_directory++);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = scratch_join(f->directory.path, name);
    options.subtask_index = index;
    options.parallelism = parallelism;
    options.max_parallelism = max_parallelism;
    options.restore = restore;
    options.moves_keys = moves_keys;
    return tarn_backend_open(&options, out, &f->error);
}

/* Opens all subtasks, restored or empty. */
static void open_all(
    fixture *f,
    states *all,
    uint32_t parallelism,
    uint32_t max_parallelism,
    tarn_checkpoint *restore,
    bool moves_keys)
{
    for (uint32_t i = 0; i < parallelism; i++) {
        assert_ok(
            open_backend(f, i, parallelism, max_parallelism, restore, moves_keys, &all[i].backend),
            &f->error);
        open_states(f, &all[i]);
    }
}

static void close_all(fixture *f, states *all, uint32_t parallelism)
{
    for (uint32_t i = 0; i < parallelism; i++) {
        close_states(f, &all[i]);
    }
}

/* Makes a key current in the subtask that has it. */
static states *set_key(
    fixture *f, states *all, uint32_t parallelism, uint32_t max_parallelism, uint32_t number)
{
    char key[16];
    snprintf(key, sizeof key, "key-%u", number);
    const tarn_bytes bytes = tarn_bytes_of(key);
    const uint32_t group = tarn_key_group_of(tarn_hash_bytes(bytes), max_parallelism);
    states *s = &all[tarn_key_group_subtask(group, max_parallelism, parallelism)];
    assert_ok(tarn_backend_set_key(s->backend, bytes, &f->error), &f->error);
    return s;
}

static void fill(fixture *f, states *all, uint32_t parallelism, uint32_t max_parallelism)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        states *s = set_key(f, all, parallelism, max_parallelism, i);
        const tarn_bytes number = tarn_bytes_at(&i, sizeof i);
        assert_ok(tarn_value_put(s->value, number, &f->error), &f->error);
        assert_ok(tarn_map_put(s->map, tarn_bytes_of("a"), number, &f->error), &f->error);
        assert_ok(tarn_map_put(s->map, number, tarn_bytes_of("b"), &f->error), &f->error);
        const tarn_bytes window = tarn_bytes_of(i % 2 == 0 ? "even" : "odd");
        assert_ok(tarn_list_set_namespace(s->list, window, &f->error), &f->error);
        for (uint32_t j = 0; j <= i % 3; j++) {
            assert_ok(tarn_list_append(s->list, tarn_bytes_of("e"), &f->error), &f->error);
        }
        assert_ok(tarn_timers_register(s->timers, (int64_t)i - 50, window, &f->error), &f->error);
    }
}

static void expect_filled(
    fixture *f, states *all, uint32_t parallelism, uint32_t max_parallelism, bool has_map)
{
    uint64_t timer_count = 0;
    for (uint32_t i = 0; i < parallelism; i++) {
        timer_count += tarn_timers_count(all[i].timers);
    }
    assert_int_equal(timer_count, KEYS);
    for (uint32_t i = 0; i < KEYS; i++) {
        states *s = set_key(f, all, parallelism, max_parallelism, i);
        const tarn_bytes number = tarn_bytes_at(&i, sizeof i);
        tarn_bytes found;
        assert_ok(tarn_value_get(s->value, &found, &f->error), &f->error);
        assert_true(tarn_bytes_is_equal(found, number));
        assert_int_equal(
            tarn_map_contains(s->map, number, &f->error), has_map ? TARN_OK : TARN_NOT_FOUND);
        const tarn_bytes window = tarn_bytes_of(i % 2 == 0 ? "even" : "odd");
        assert_ok(tarn_list_set_namespace(s->list, window, &f->error), &f->error);
        tarn_list_iterator *elements = NULL;
        uint32_t count = 0;
        assert_ok(tarn_list_iterate(s->list, "test", &elements, &f->error), &f->error);
        while (tarn_list_iterator_next(elements, &found, &f->error) == TARN_OK) {
            count++;
        }
        tarn_list_iterator_close(elements);
        assert_int_equal(count, 1 + i % 3);
    }
}

/* Every row of every state, in order, as one digest. */
static tarn__digest digest_of(fixture *f, states *all, uint32_t parallelism)
{
    static const char *const names[] = {"count", "events", "seen", "timers.event/wake"};
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        for (uint32_t i = 0; i < parallelism; i++) {
            tarn__rocks_family *family = tarn__rocks_find_family(all[i].backend->rocks, names[n]);
            assert_non_null(family);
            tarn__rocks_iterator *rows = NULL;
            assert_ok(
                tarn__rocks_iterate(
                    family, tarn_bytes_of(""), tarn_bytes_of("\xff"), &rows, &f->error),
                &f->error);
            tarn_bytes key;
            tarn_bytes value;
            while (tarn__rocks_iterator_next(rows, &key, &value, &f->error) == TARN_OK) {
                tarn__hasher_update(&hasher, tarn_bytes_at(&key.size, sizeof key.size));
                tarn__hasher_update(&hasher, key);
                tarn__hasher_update(&hasher, tarn_bytes_at(&value.size, sizeof value.size));
                tarn__hasher_update(&hasher, value);
            }
            tarn__rocks_iterator_close(rows);
        }
    }
    return tarn__hasher_digest(&hasher);
}

static tarn_pending_checkpoint *begin(fixture *f)
{
    tarn_savepoint_options options = TARN_SAVEPOINT_OPTIONS_INIT;
    options.env = f->env;
    options.address = scratch_join(f->directory.path, "savepoints");
    options.job = "job";
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_savepoint_begin(&options, &pending, &f->error), &f->error);
    snprintf(f->path, sizeof f->path, "%s", tarn_savepoint_path(pending));
    return pending;
}

static void take(fixture *f, states *all, uint32_t parallelism)
{
    tarn_pending_checkpoint *pending = begin(f);
    for (uint32_t i = 0; i < parallelism; i++) {
        tarn_snapshot *snapshot = NULL;
        assert_ok(tarn_snapshot_begin(all[i].backend, pending, &snapshot, &f->error), &f->error);
        fixture_acknowledge(pending, snapshot);
    }
    tarn_checkpoint_summary summary;
    assert_ok(tarn_checkpoint_commit(pending, &summary, &f->error), &f->error);
    assert_int_equal(summary.form, TARN_FORM_CANONICAL);
}

static tarn_checkpoint *open_savepoint(fixture *f)
{
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(f->path, NULL, &checkpoint, &f->error), &f->error);
    return checkpoint;
}

static void test_every_row_comes_back_at_any_parallelism(void **state)
{
    fixture *f = *state;
    states sources[SUBTASKS_MAX];
    states targets[SUBTASKS_MAX];
    const uint32_t from[] = {1, 3, 2};
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        open_all(f, sources, from[i], 128, NULL, false);
        fill(f, sources, from[i], 128);
        take(f, sources, from[i]);
        const tarn__digest before = digest_of(f, sources, from[i]);
        close_all(f, sources, from[i]);
        tarn_checkpoint *checkpoint = open_savepoint(f);
        for (uint32_t to = 1; to <= SUBTASKS_MAX; to += 2) {
            open_all(f, targets, to, 128, checkpoint, false);
            const tarn__digest after = digest_of(f, targets, to);
            assert_true(tarn__digest_is_equal(&before, &after));
            expect_filled(f, targets, to, 128, true);
            close_all(f, targets, to);
        }
        tarn_checkpoint_free(checkpoint);
    }
}

static void test_writes_after_the_barrier_are_not_in_it(void **state)
{
    fixture *f = *state;
    states s;
    open_all(f, &s, 1, 128, NULL, false);
    fill(f, &s, 1, 128);
    tarn_pending_checkpoint *pending = begin(f);
    tarn_snapshot *snapshot = NULL;
    assert_ok(tarn_snapshot_begin(s.backend, pending, &snapshot, &f->error), &f->error);
    for (uint32_t i = 0; i < KEYS; i++) {
        set_key(f, &s, 1, 128, i);
        assert_ok(tarn_value_put(s.value, tarn_bytes_of("later"), &f->error), &f->error);
        assert_ok(tarn_map_clear(s.map, &f->error), &f->error);
    }
    const tarn_bytes window = tarn_bytes_of("even");
    assert_ok(tarn_keyed_drop_namespace(tarn_list_keyed(s.list), window, &f->error), &f->error);
    fixture_acknowledge(pending, snapshot);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    close_all(f, &s, 1);
    tarn_checkpoint *checkpoint = open_savepoint(f);
    open_all(f, &s, 1, 128, checkpoint, false);
    expect_filled(f, &s, 1, 128, true);
    tarn_checkpoint_free(checkpoint);
    close_all(f, &s, 1);
}

static void test_keys_move_to_another_maximum_parallelism_when_asked(void **state)
{
    fixture *f = *state;
    states all[SUBTASKS_MAX];
    open_all(f, all, 2, 128, NULL, false);
    fill(f, all, 2, 128);
    take(f, all, 2);
    close_all(f, all, 2);
    tarn_checkpoint *checkpoint = open_savepoint(f);
    tarn_backend *backend = NULL;
    assert_int_equal(open_backend(f, 0, 1, 720, checkpoint, false, &backend), TARN_INCOMPATIBLE);
    assert_non_null(strstr(f->error.message, "128"));
    assert_non_null(strstr(f->error.message, "720"));
    open_all(f, all, 3, 720, checkpoint, true);
    expect_filled(f, all, 3, 720, true);
    tarn_checkpoint_free(checkpoint);
    take(f, all, 3);
    close_all(f, all, 3);

    checkpoint = open_savepoint(f);
    open_all(f, all, 5, 720, checkpoint, false);
    expect_filled(f, all, 5, 720, true);
    close_all(f, all, 5);
    tarn_checkpoint_free(checkpoint);
}

static void test_rows_that_have_expired_are_left_out(void **state)
{
    fixture *f = *state;
    states s;
    open_all(f, &s, 1, 128, NULL, false);
    fill(f, &s, 1, 128);
    f->now_ms += 100;
    take(f, &s, 1);
    close_all(f, &s, 1);
    f->now_ms -= 100; /* They would be seen again. */
    tarn_checkpoint *checkpoint = open_savepoint(f);
    open_all(f, &s, 1, 128, checkpoint, false);
    expect_filled(f, &s, 1, 128, /* has_map= */ false);
    tarn_checkpoint_free(checkpoint);
    close_all(f, &s, 1);
}

/* Lists of a restored backend grow behind their elements. */
static void test_sequence_numbers_go_on(void **state)
{
    fixture *f = *state;
    states s;
    open_all(f, &s, 1, 128, NULL, false);
    set_key(f, &s, 1, 128, 7);
    assert_ok(tarn_list_append(s.list, tarn_bytes_of("first"), &f->error), &f->error);
    take(f, &s, 1);
    close_all(f, &s, 1);
    tarn_checkpoint *checkpoint = open_savepoint(f);
    open_all(f, &s, 1, 128, checkpoint, false);
    tarn_checkpoint_free(checkpoint);
    set_key(f, &s, 1, 128, 7);
    assert_ok(tarn_list_append(s.list, tarn_bytes_of("second"), &f->error), &f->error);
    tarn_list_iterator *elements = NULL;
    tarn_bytes found;
    assert_ok(tarn_list_iterate(s.list, "test", &elements, &f->error), &f->error);
    assert_ok(tarn_list_iterator_next(elements, &found, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(found, tarn_bytes_of("first")));
    assert_ok(tarn_list_iterator_next(elements, &found, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(found, tarn_bytes_of("second")));
    tarn_list_iterator_close(elements);
    close_all(f, &s, 1);
}

static void test_an_abandoned_one_leaves_the_backend_as_it_was(void **state)
{
    fixture *f = *state;
    states s;
    open_all(f, &s, 1, 128, NULL, false);
    fill(f, &s, 1, 128);
    tarn_pending_checkpoint *pending = begin(f);
    tarn_snapshot *snapshot = NULL;
    assert_ok(tarn_snapshot_begin(s.backend, pending, &snapshot, &f->error), &f->error);
    tarn_snapshot_abandon(snapshot);
    tarn_checkpoint_abandon(pending);
    tarn__env_await_ends(f->env);
    assert_false(scratch_exists(f->path));
    expect_filled(f, &s, 1, 128, true);
    take(f, &s, 1);
    close_all(f, &s, 1);
}

typedef struct victim {
    char root[PATH_BYTES];
    char path[PATH_BYTES];
} victim;

static void find_rows(const char *name, void *context)
{
    victim *v = context;
    if (strstr(name, ".rows") != NULL) {
        snprintf(v->path, sizeof v->path, "%.2000s/%.2000s", v->root, name);
    }
}

static void test_damage_is_refused_by_name(void **state)
{
    fixture *f = *state;
    states s;
    open_all(f, &s, 1, 128, NULL, false);
    fill(f, &s, 1, 128);
    take(f, &s, 1);
    close_all(f, &s, 1);
    victim v = {.path = ""};
    snprintf(v.root, sizeof v.root, "%s", f->path);
    scratch_walk(f->path, find_rows, &v);
    size_t size = 0;
    uint8_t *bytes = scratch_read(v.path, &size);
    bytes[size / 2] ^= 1;
    scratch_write(v.path, bytes, size);
    free(bytes);
    tarn_checkpoint *checkpoint = open_savepoint(f);
    tarn_backend *backend = NULL;
    assert_int_equal(open_backend(f, 0, 1, 128, checkpoint, false, &backend), TARN_CORRUPTION);
    assert_non_null(strstr(f->error.message, strrchr(v.path, '/') + 1));
    scratch_remove(v.path);
    assert_int_equal(open_backend(f, 0, 1, 128, checkpoint, false, &backend), TARN_MISSING);
    assert_null(backend);
    tarn_checkpoint_free(checkpoint);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_every_row_comes_back_at_any_parallelism),
        TEST(test_writes_after_the_barrier_are_not_in_it),
        TEST(test_keys_move_to_another_maximum_parallelism_when_asked),
        TEST(test_rows_that_have_expired_are_left_out),
        TEST(test_sequence_numbers_go_on),
        TEST(test_an_abandoned_one_leaves_the_backend_as_it_was),
        TEST(test_damage_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
