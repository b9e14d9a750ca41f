/*
 * Timers: what programs rely on beyond the property test: the ends of time, late timers, what a
 * loop may do between two polls, large runs, and failures that leave everything as it was.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/keyed.h"
#include "tarn/timer.h"

#include "state/backend.h"
#include "state/timers.h"
#include "support/state_fixture.h"

typedef struct fixture {
    char directory[FIXTURE_PATH_BYTES];
    tarn_config *config;
    tarn_env *env;
    tarn_backend *backend;
    tarn_timers *timers;
    tarn_error error;
} fixture;

static tarn_timers *open_timers(fixture *f, const char *name, tarn_time_domain domain)
{
    tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
    options.name = name;
    options.domain = domain;
    options.head_timer_count = 4;
    options.buffer_timer_count = 20000;
    tarn_timers *timers = NULL;
    assert_ok(tarn_timers_open(f->backend, &options, &timers, &f->error), &f->error);
    return timers;
}

static int set_up(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof f);
    fixture_make_directory(f.directory);
    f.config = fixture_new_config(64);
    f.env = fixture_open_env(f.config, NULL);
    f.backend = fixture_open_backend(f.env, f.directory);
    f.timers = open_timers(&f, "timers", TARN_TIME_EVENT);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_timers_close(f->timers, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    tarn_config_free(f->config);
    fixture_remove_directory(f->directory);
    return 0;
}

static void add(fixture *f, const char *key, int64_t time, const char *name_space)
{
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(key), &f->error), &f->error);
    assert_ok(
        tarn_timers_register(f->timers, time, tarn_bytes_of(name_space), &f->error), &f->error);
}

static void take_away(fixture *f, const char *key, int64_t time, const char *name_space)
{
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(key), &f->error), &f->error);
    assert_ok(tarn_timers_remove(f->timers, time, tarn_bytes_of(name_space), &f->error), &f->error);
}

static void expect_fires(
    fixture *f, int64_t up_to, int64_t time, const char *key, const char *name_space)
{
    tarn_timer timer;
    assert_ok(tarn_timers_poll(f->timers, up_to, &timer, &f->error), &f->error);
    assert_int_equal(timer.time, time);
    assert_true(tarn_bytes_is_equal(timer.key, tarn_bytes_of(key)));
    assert_true(tarn_bytes_is_equal(timer.name_space, tarn_bytes_of(name_space)));
}

static void expect_done(fixture *f, int64_t up_to)
{
    tarn_timer timer;
    assert_int_equal(tarn_timers_poll(f->timers, up_to, &timer, &f->error), TARN_DONE);
}

/* The sign is flipped in rows: negative times come first, and the ends of time are times. */
static void test_times_are_ordered_from_the_least_to_the_greatest(void **state)
{
    fixture *f = *state;
    add(f, "a", INT64_MAX, "");
    add(f, "a", 0, "");
    add(f, "b", -1, "");
    add(f, "c", INT64_MIN, "");
    add(f, "a", 1, "");
    expect_fires(f, INT64_MIN, INT64_MIN, "c", "");
    expect_done(f, INT64_MIN);
    expect_done(f, -2);
    expect_fires(f, INT64_MAX, -1, "b", "");
    expect_fires(f, INT64_MAX, 0, "a", "");
    expect_fires(f, INT64_MAX, 1, "a", "");
    expect_done(f, INT64_MAX - 1);
    expect_fires(f, INT64_MAX, INT64_MAX, "a", "");
    expect_done(f, INT64_MAX);
    assert_int_equal(tarn_timers_count(f->timers), 0);
}

static void test_one_time_key_and_namespace_is_one_timer(void **state)
{
    fixture *f = *state;
    add(f, "a", 5, "x");
    add(f, "a", 5, "x");
    add(f, "a", 5, "y");
    add(f, "b", 5, "x");
    add(f, "a", 6, "x");
    assert_int_equal(tarn_timers_count(f->timers), 4);
    uint64_t count = 0;
    assert_ok(
        tarn_timers_count_namespace(f->timers, tarn_bytes_of("x"), &count, &f->error), &f->error);
    assert_int_equal(count, 3);
    add(f, "a", 5, "x"); /* It is in the store by now. */
    assert_int_equal(tarn_timers_count(f->timers), 4);
}

static void test_removing_what_fired_or_never_was_changes_nothing(void **state)
{
    fixture *f = *state;
    take_away(f, "a", 1, "");
    add(f, "a", 1, "");
    expect_fires(f, 1, 1, "a", "");
    take_away(f, "a", 1, "");
    assert_int_equal(tarn_timers_count(f->timers), 0);
    add(f, "a", 2, "");
    take_away(f, "a", 2, "z");
    take_away(f, "b", 2, "");
    assert_int_equal(tarn_timers_count(f->timers), 1);
    take_away(f, "a", 2, "");
    expect_done(f, INT64_MAX);
}

/* A late timer waits for the next poll, be it for the same time; more of them than a head holds
 * must get past the mark and into the store. */
static void test_late_timers_fire_at_the_next_poll(void **state)
{
    fixture *f = *state;
    char name_space[8];
    add(f, "a", 100, "");
    expect_fires(f, 100, 100, "a", "");
    expect_done(f, 100);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name_space, sizeof name_space, "%02d", i);
        add(f, "a", 99 - i, name_space);
    }
    assert_int_equal(tarn_timers_count(f->timers), 50);
    for (int i = 49; i >= 0; i--) {
        (void)snprintf(name_space, sizeof name_space, "%02d", i);
        expect_fires(f, 100, 99 - i, "a", name_space);
    }
    expect_done(f, 100);
}

static void test_a_loop_may_register_and_remove_timers_that_are_due(void **state)
{
    fixture *f = *state;
    add(f, "a", 1, "");
    add(f, "a", 2, "");
    add(f, "a", 3, "");
    expect_fires(f, 10, 1, "a", "");
    /* The key is current. */
    assert_ok(tarn_timers_remove(f->timers, 2, tarn_bytes_of(""), &f->error), &f->error);
    assert_ok(tarn_timers_register(f->timers, 1, tarn_bytes_of(""), &f->error), &f->error);
    assert_ok(tarn_timers_register(f->timers, 10, tarn_bytes_of("n"), &f->error), &f->error);
    assert_ok(tarn_timers_register(f->timers, 11, tarn_bytes_of(""), &f->error), &f->error);
    expect_fires(f, 10, 1, "a", "");
    expect_fires(f, 10, 3, "a", "");
    expect_fires(f, 10, 10, "a", "n");
    expect_done(f, 10);
    int64_t next = 0;
    assert_ok(tarn_timers_next_time(f->timers, &next, &f->error), &f->error);
    assert_int_equal(next, 11);
}

static void test_polling_makes_the_key_current_for_states(void **state)
{
    fixture *f = *state;
    tarn_value *value = fixture_open_value(f->backend, "value");
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of("a"), &f->error), &f->error);
    assert_ok(tarn_value_put(value, tarn_bytes_of("of a"), &f->error), &f->error);
    add(f, "a", 1, "");
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of("b"), &f->error), &f->error);
    expect_fires(f, 1, 1, "a", "");
    tarn_bytes bytes;
    assert_ok(tarn_value_get(value, &bytes, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(bytes, tarn_bytes_of("of a")));
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* Enough for several table files that the store takes in, late timers and duplicates between. */
static void test_large_runs_fire_in_order_and_are_counted_exactly(void **state)
{
    fixture *f = *state;
    enum { COUNT = 70000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t key = i % 1000;
        assert_ok(
            tarn_backend_set_key(f->backend, tarn_bytes_at(&key, sizeof key), &f->error),
            &f->error);
        const int64_t time = (int64_t)(i * 7919u % COUNT);
        for (int twice = 0; twice < 1 + (i % 10 == 0); twice++) {
            assert_ok(
                tarn_timers_register(f->timers, time, tarn_bytes_of("window"), &f->error),
                &f->error);
        }
    }
    assert_int_equal(tarn_timers_count(f->timers), COUNT);
    tarn_timer timer;
    for (int64_t time = 0; time < COUNT; time++) {
        assert_ok(tarn_timers_poll(f->timers, COUNT, &timer, &f->error), &f->error);
        assert_int_equal(timer.time, time);
    }
    expect_done(f, INT64_MAX);
    assert_int_equal(tarn_timers_count(f->timers), 0);
}

static void test_domains_and_names_are_apart_and_open_once(void **state)
{
    fixture *f = *state;
    tarn_timers *processing = open_timers(f, "timers", TARN_TIME_PROCESSING);
    add(f, "a", 1, "");
    assert_int_equal(tarn_timers_count(processing), 0);
    tarn_timers_options options;
    tarn_timers_options_init(&options, sizeof options);
    options.name = "timers";
    tarn_timers *again = NULL;
    assert_int_equal(tarn_timers_open(f->backend, &options, &again, &f->error), TARN_BUSY);
    assert_null(again);
    assert_int_equal(tarn_backend_close(f->backend, &f->error), TARN_BUSY);
    assert_ok(tarn_timers_close(processing, &f->error), &f->error);
    assert_ok(tarn_timers_close(NULL, &f->error), &f->error);
}

static void test_bad_arguments_are_refused_by_name(void **state)
{
    fixture *f = *state;
    tarn_timers *none = NULL;
    tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
    assert_int_equal(
        tarn_timers_open(f->backend, &options, &none, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "name"));
    options.name = "other";
    options.domain = (tarn_time_domain)2;
    assert_int_equal(
        tarn_timers_open(f->backend, &options, &none, &f->error), TARN_INVALID_ARGUMENT);
    options.domain = TARN_TIME_EVENT;
    options.head_timer_count = 1u << 17;
    assert_int_equal(
        tarn_timers_open(f->backend, &options, &none, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "131072"));
    assert_int_equal(
        tarn_timers_register(f->timers, 1, tarn_bytes_of(""), &f->error), TARN_INVALID_ARGUMENT);
    static const char large[65536];
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of("a"), &f->error), &f->error);
    assert_int_equal(
        tarn_timers_register(f->timers, 1, tarn_bytes_at(large, sizeof large), &f->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_timers_count(f->timers), 0);
    int64_t next = 0;
    assert_int_equal(tarn_timers_next_time(f->timers, &next, &f->error), TARN_NOT_FOUND);
}

static void test_the_configured_head_is_checked(void **state)
{
    fixture *f = *state;
    tarn_config *config = fixture_new_config(64);
    fixture_set(config, "state.backend.rocksdb.timer-service.cache-size", "0");
    tarn_env_options env_options = TARN_ENV_OPTIONS_INIT;
    env_options.config = config;
    tarn_env *env = NULL;
    assert_int_equal(tarn_env_open(&env_options, &env, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "cache-size"));
    tarn_config_free(config);

    tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
    options.name = "large";
    options.head_timer_count = 65537;
    tarn_timers *timers = NULL;
    assert_int_equal(
        tarn_timers_open(f->backend, &options, &timers, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "head_timer_count"));
}

/* A value state of the same name as the timers' family is not taken for timers. */
static void test_what_is_stored_as_something_else_is_refused(void **state)
{
    fixture *f = *state;
    tarn_value *value = fixture_open_value(f->backend, "timers.event/taken");
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
    options.name = "taken";
    tarn_timers *timers = NULL;
    assert_int_equal(tarn_timers_open(f->backend, &options, &timers, &f->error), TARN_INCOMPATIBLE);
}

/* Some timers of a key, in two namespaces; more of them than a head has room for. */
static void add_many(fixture *f, tarn_timers *timers, const char *key, uint32_t count)
{
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(key), &f->error), &f->error);
    for (uint32_t i = 0; i < count; i++) {
        const tarn_bytes name_space = tarn_bytes_of(i % 2 == 0 ? "" : "w");
        assert_ok(
            tarn_timers_register(timers, (int64_t)(i * 7919u % 10007u), name_space, &f->error),
            &f->error);
    }
}

/* What is left are the timers of another key of the same group, in order. */
static void expect_only(fixture *f, tarn_timers *timers, const char *key, uint32_t count)
{
    int64_t last = INT64_MIN;
    tarn_timer timer;
    assert_int_equal(tarn_timers_count(timers), count);
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(tarn_timers_poll(timers, INT64_MAX, &timer, &f->error), &f->error);
        assert_true(tarn_bytes_is_equal(timer.key, tarn_bytes_of(key)));
        assert_true(timer.time >= last);
        last = timer.time;
    }
    assert_int_equal(tarn_timers_poll(timers, INT64_MAX, &timer, &f->error), TARN_DONE);
}

/* Finds a key of the same group as "a", so that their timers lie among each other. */
static void find_neighbour(char key[16])
{
    const uint32_t group = tarn_key_group_of(tarn_hash_bytes(tarn_bytes_of("a")), 128);
    uint32_t number = 0;
    do {
        (void)snprintf(key, 16, "a%u", number++);
    } while (tarn_key_group_of(tarn_hash_bytes(tarn_bytes_of(key)), 128) != group);
}

/* Whoever removes a key does not want to be woken for it: neither in memory nor in the store,
 * neither in open timers nor in closed ones is anything left, and the others stay. */
static void test_a_key_that_is_removed_takes_its_timers_along(void **state)
{
    fixture *f = *state;
    static const uint32_t COUNTS[] = {1, 3, 40, 3000};
    char neighbour[16];
    find_neighbour(neighbour);
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        const uint32_t count = COUNTS[i];
        tarn_timers *closed = open_timers(f, "closed", TARN_TIME_PROCESSING);
        add_many(f, f->timers, "a", count);
        add_many(f, f->timers, neighbour, count);
        add_many(f, closed, neighbour, count);
        add_many(f, closed, "a", count);
        assert_ok(tarn_timers_close(closed, &f->error), &f->error);
        assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of("a"), &f->error), &f->error);
        assert_ok(tarn_backend_remove_key(f->backend, &f->error), &f->error);
        assert_ok(tarn_backend_remove_key(f->backend, &f->error), &f->error);
        closed = open_timers(f, "closed", TARN_TIME_PROCESSING);
        expect_only(f, closed, neighbour, count);
        expect_only(f, f->timers, neighbour, count);
        assert_ok(tarn_timers_close(closed, &f->error), &f->error);
    }
}

/* Rows begin with group and time: a time that looks like another key is none. */
static void test_removing_a_key_leaves_the_timers_of_others(void **state)
{
    fixture *f = *state;
    uint64_t count = 0;
    add(f, "b", INT64_MIN | INT64_C(0x0161000000000000), "");
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of("a"), &f->error), &f->error);
    for (uint32_t i = 0; i < 2; i++) { /* In memory, then in the store. */
        assert_ok(tarn_backend_remove_key(f->backend, &f->error), &f->error);
        assert_ok(
            tarn_timers_count_namespace(f->timers, tarn_bytes_of(""), &count, &f->error),
            &f->error);
        assert_int_equal(count, 1);
    }
    take_away(f, "b", INT64_MIN | INT64_C(0x0161000000000000), "");
    assert_int_equal(tarn_timers_count(f->timers), 0);
}

/* ---- what reaches the store ------------------------------------------------------------- */

/* Rows of the store, dead ones too. */
static uint32_t count_rows(fixture *f)
{
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, "timers.event/timers");
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes value;
    uint32_t count = 0;
    assert_ok(
        tarn__rocks_iterate(
            family, tarn_bytes_at("\0\0", 2), tarn_bytes_at("\x7f\xff", 2), &rows, &f->error),
        &f->error);
    while (tarn__rocks_iterator_next(rows, &row, &value, &f->error) == TARN_OK) {
        count++;
    }
    tarn__rocks_iterator_close(rows);
    return count;
}

/* Firing writes nothing: what fired goes at the next snapshot, as one range of a group. */
static void test_what_fired_is_dropped_as_a_range(void **state)
{
    fixture *f = *state;
    enum { COUNT = 2000, FIRED = 1500 };
    tarn_timer timer;
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, "timers.event/timers");
    tarn__rocks_stats before;
    tarn__rocks_stats after;
    add_many(f, f->timers, "a", COUNT);
    assert_ok(tarn__backend_settle_buffers(f->backend, &f->error), &f->error);
    assert_int_equal(count_rows(f), COUNT);
    tarn__rocks_measure_family(family, &before);
    for (uint32_t i = 0; i < FIRED; i++) {
        assert_ok(tarn_timers_poll(f->timers, INT64_MAX, &timer, &f->error), &f->error);
    }
    assert_int_equal(count_rows(f), COUNT);
    tarn__rocks_measure_family(family, &after);
    assert_int_equal(after.memtable_bytes, before.memtable_bytes);
    assert_ok(tarn__backend_settle_buffers(f->backend, &f->error), &f->error);
    assert_int_equal(count_rows(f), COUNT - FIRED);
    tarn__rocks_measure_family(family, &after);
    /* RocksDB reckons that a delete takes a row: there were none, but a range tombstone. */
    assert_in_range(after.row_count_estimate, COUNT, COUNT + 1);
    assert_int_equal(tarn_timers_count(f->timers), COUNT - FIRED);
}

/* Opening reads all rows once, and from then on each group knows its first timers. */
static void test_opening_fills_the_heads_of_all_groups(void **state)
{
    fixture *f = *state;
    enum { COUNT = 2000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%u", i);
        add(f, key, (int64_t)i * 31 % COUNT, "");
    }
    assert_ok(tarn_timers_close(f->timers, &f->error), &f->error);
    f->timers = open_timers(f, "timers", TARN_TIME_EVENT);
    assert_int_equal(tarn_timers_count(f->timers), COUNT);
    for (uint32_t i = 0; i < f->timers->group_count; i++) {
        const tarn__timer_group *group = &f->timers->groups[i];
        const uint32_t held = tarn__timer_head_count(&group->head);
        const uint32_t room = group->head.count_max;
        assert_int_equal(held, group->count < room ? group->count : room);
        assert_int_equal(group->buffered_count, 0);
    }
    assert_int_equal(f->timers->heap.count, f->timers->group_count);
}

/* ---- the failure loop ------------------------------------------------------------------- */

/* One timer after the other, each tried until it is in; answers how often memory was refused. */
static uint32_t run_short_of_memory(tarn_env *env, fault_allocator *fault, const char *directory)
{
    tarn_error error;
    uint32_t refused = 0;
    tarn_backend *backend = fixture_open_backend(env, directory);
    tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
    options.name = "timers";
    options.head_timer_count = 2;
    options.buffer_timer_count = 500;
    tarn_timers *timers = NULL;
    uint64_t nth = 0;
    tarn_status status;
    do { /* Opening: whatever fails, nothing is left open. */
        atomic_store(&fault->request_count, 0);
        fault->fail_at = nth++;
        status = tarn_timers_open(backend, &options, &timers, &error);
        refused += status == TARN_NO_MEMORY;
        assert_true(status == TARN_OK || status == TARN_NO_MEMORY);
    } while (status != TARN_OK);
    fault->fail_at = FAULT_NEVER;
    char name_space[600];
    memset(name_space, 'n', sizeof name_space);
    for (uint32_t i = 0; i < 1500; i++) {
        const uint32_t key = i % 3;
        assert_ok(tarn_backend_set_key(backend, tarn_bytes_at(&key, sizeof key), &error), &error);
        nth = 0;
        do {
            assert_int_equal(tarn_timers_count(timers), i);
            atomic_store(&fault->request_count, 0);
            fault->fail_at = nth++;
            status = tarn_timers_register(
                timers, (int64_t)(i * 7u % 1500), tarn_bytes_at(name_space, i % 600), &error);
            fault->fail_at = FAULT_NEVER;
            refused += status == TARN_NO_MEMORY;
            assert_true(status == TARN_OK || status == TARN_NO_MEMORY);
        } while (status != TARN_OK);
    }
    for (int64_t i = 0; i < 1500; i++) {
        tarn_timer timer;
        nth = 0;
        do {
            atomic_store(&fault->request_count, 0);
            fault->fail_at = nth++;
            status = tarn_timers_poll(timers, INT64_MAX, &timer, &error);
            fault->fail_at = FAULT_NEVER;
            refused += status == TARN_NO_MEMORY;
            assert_true(status == TARN_OK || status == TARN_NO_MEMORY);
        } while (status != TARN_OK);
        assert_int_equal(timer.time, i);
    }
    assert_int_equal(tarn_timers_count(timers), 0);
    assert_ok(tarn_timers_close(timers, &error), &error);
    assert_ok(tarn_backend_close(backend, &error), &error);
    return refused;
}

static void test_no_memory_changes_nothing_and_is_got_over(void **state)
{
    (void)state;
    char directory[FIXTURE_PATH_BYTES];
    fixture_make_directory(directory);
    tarn_config *config = fixture_new_config(64);
    fault_allocator fault;
    fault_allocator_init(&fault, FAULT_NEVER);
    tarn_env *env = fixture_open_env(config, &fault.base);
    assert_in_range(run_short_of_memory(env, &fault, directory), 20, UINT32_MAX);
    tarn_error error;
    assert_ok(tarn_env_close(env, &error), &error);
    assert_int_equal(atomic_load(&fault.live_count), 0);
    tarn_config_free(config);
    fixture_remove_directory(directory);
}

/* ---- the filter ------------------------------------------------------------------------- */

/* Small bounds lose hashes, and equal hashes fill runs of buckets: no answer may ever be a false
 * "no", and what was added can be removed in any order. */
static void check_filter(uint64_t bytes_max, uint32_t hash_mask)
{
    enum { COUNT = 5000 };
    tarn_error error;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn__timer_filter filter;
    assert_ok(tarn__timer_filter_init(&filter, &account, bytes_max, &error), &error);
    for (uint32_t i = 0; i < COUNT; i++) {
        tarn__timer_filter_add(&filter, i * 2654435761u & hash_mask);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t at = i * 7u % COUNT;
        assert_true(tarn__timer_filter_may_have(&filter, at * 2654435761u & hash_mask));
        tarn__timer_filter_remove(&filter, at * 2654435761u & hash_mask);
    }
    assert_int_equal(filter.count, 0);
    assert_int_equal(filter.lost_count, 0);
    assert_false(tarn__timer_filter_may_have(&filter, 1));
    tarn__timer_filter_clear(&filter);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void test_the_filter_never_says_no_to_what_was_added(void **state)
{
    (void)state;
    check_filter(1 << 20, UINT32_MAX);
    check_filter(1, UINT32_MAX);
    check_filter(1 << 20, 0xffff0000u);
    check_filter(1 << 20, 0x7f);
}

int main(void)
{
#define WITH_TIMERS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_TIMERS(test_times_are_ordered_from_the_least_to_the_greatest),
        WITH_TIMERS(test_one_time_key_and_namespace_is_one_timer),
        WITH_TIMERS(test_removing_what_fired_or_never_was_changes_nothing),
        WITH_TIMERS(test_late_timers_fire_at_the_next_poll),
        WITH_TIMERS(test_a_loop_may_register_and_remove_timers_that_are_due),
        WITH_TIMERS(test_polling_makes_the_key_current_for_states),
        WITH_TIMERS(test_large_runs_fire_in_order_and_are_counted_exactly),
        WITH_TIMERS(test_domains_and_names_are_apart_and_open_once),
        WITH_TIMERS(test_bad_arguments_are_refused_by_name),
        WITH_TIMERS(test_the_configured_head_is_checked),
        WITH_TIMERS(test_what_is_stored_as_something_else_is_refused),
        WITH_TIMERS(test_a_key_that_is_removed_takes_its_timers_along),
        WITH_TIMERS(test_removing_a_key_leaves_the_timers_of_others),
        WITH_TIMERS(test_what_fired_is_dropped_as_a_range),
        WITH_TIMERS(test_opening_fills_the_heads_of_all_groups),
        cmocka_unit_test(test_no_memory_changes_nothing_and_is_got_over),
        cmocka_unit_test(test_the_filter_never_says_no_to_what_was_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
