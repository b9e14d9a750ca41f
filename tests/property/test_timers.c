/*
 * Property: timers fire as a sorted set of (time, key, namespace) would give them, each once and in
 * the order of times, and are counted exactly, whatever is in memory, in the store, or dead there.
 *
 * A random program registers, removes, polls to the end or not, rearms in between, counts, closes
 * and opens the timers, takes checkpoints and restores from them, with heads from one timer to
 * many, buffers likewise, and filters that are too small; after each poll it is compared with a
 * plain table.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tarn/snapshot.h"
#include "tarn/timer.h"

#include "base/random.h"
#include "support/prop.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

enum {
    KEYS = 40,
    NAMESPACES = 2,
    MAX_PARALLELISM = 3,
    OPERATIONS = 3000,
    KEY_BYTES_MAX = 400,
};

static const int64_t TIMES[] = {INT64_MIN, INT64_MIN + 1,
                                -1000,     -256,
                                -255,      -2,
                                -1,        0,
                                1,         2,
                                3,         4,
                                5,         100,
                                254,       255,
                                256,       257,
                                1000,      65535,
                                65536,     INT64_MAX - 1,
                                INT64_MAX};

enum { TIME_COUNT = sizeof TIMES / sizeof TIMES[0] };

typedef struct table {
    bool cells[TIME_COUNT][KEYS][NAMESPACES];
    uint64_t count;
} table;

typedef struct world {
    tarn__random random;
    scratch directory;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_timers *timers;
    uint64_t committed_id;
    uint32_t generation;
    table now;
    table committed;
    tarn_error error;
} world;

static uint32_t below(world *w, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&w->random, bound);
}

static void open_timers(world *w)
{
    static const uint32_t heads[] = {1, 2, 5, 16, 128};
    static const uint32_t buffers[] = {1, 3, 40, 1000};
    tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
    options.name = "timers";
    options.domain = TARN_TIME_PROCESSING;
    options.head_timer_count = heads[below(w, 5)];
    options.buffer_timer_count = buffers[below(w, 4)];
    options.filter_bytes_max = below(w, 2) == 0 ? 1 : 0;
    assert_ok(tarn_timers_open(w->backend, &options, &w->timers, &w->error), &w->error);
    assert_int_equal(tarn_timers_count(w->timers), w->now.count);
}

static void open_backend(world *w)
{
    tarn_checkpoint *checkpoint = NULL;
    if (w->committed_id != 0) {
        const char *path = scratch_join(scratch_join(w->directory.path, "checkpoints"), "job");
        assert_ok(tarn_checkpoint_open(path, NULL, &checkpoint, &w->error), &w->error);
    }
    char name[32];
    snprintf(name, sizeof name, "work-%" PRIu32, ++w->generation);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = w->env;
    options.operator_name = "op";
    options.directory = scratch_join(w->directory.path, name);
    options.max_parallelism = MAX_PARALLELISM;
    options.restore = checkpoint;
    assert_ok(tarn_backend_open(&options, &w->backend, &w->error), &w->error);
    tarn_checkpoint_free(checkpoint);
    open_timers(w);
}

static void close_timers(world *w)
{
    assert_ok(tarn_timers_close(w->timers, &w->error), &w->error);
}

static void close_backend(world *w)
{
    close_timers(w);
    assert_ok(tarn_backend_close(w->backend, &w->error), &w->error);
}

static void take_checkpoint(world *w)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    const uint64_t id = tarn_checkpoint_store_next_id(w->store);
    assert_ok(tarn_checkpoint_begin(w->store, id, &pending, &w->error), &w->error);
    assert_ok(tarn_snapshot_begin(w->backend, pending, &snapshot, &w->error), &w->error);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &w->error), &w->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &w->error),
        &w->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &w->error), &w->error);
    tarn_buffer_clear(&acknowledgement);
    tarn_backend_notify_complete(w->backend, id);
    w->committed = w->now;
    w->committed_id = id;
}

/* Every tenth key is too large for a page of a small head. */
static tarn_bytes key_of(uint32_t k, uint8_t key[KEY_BYTES_MAX])
{
    memset(key, 'x', KEY_BYTES_MAX);
    key[0] = (uint8_t)k;
    return tarn_bytes_at(key, k % 10 == 9 ? KEY_BYTES_MAX : 1 + k % 7);
}

static tarn_bytes namespace_of(uint32_t n)
{
    return tarn_bytes_at("n", n);
}

static void set_key(world *w, uint32_t k)
{
    uint8_t key[KEY_BYTES_MAX];
    assert_ok(tarn_backend_set_key(w->backend, key_of(k, key), &w->error), &w->error);
}

static void expect_cell(world *w, uint32_t t, uint32_t k, uint32_t n, bool is_there)
{
    bool *cell = &w->now.cells[t][k][n];
    if (*cell != is_there) {
        *cell = is_there;
        w->now.count += is_there ? 1 : UINT64_MAX;
    }
    assert_int_equal(tarn_timers_count(w->timers), w->now.count);
}

static void touch(world *w, bool is_registered, uint32_t t, uint32_t k, uint32_t n)
{
    assert_ok(
        is_registered ? tarn_timers_register(w->timers, TIMES[t], namespace_of(n), &w->error)
                      : tarn_timers_remove(w->timers, TIMES[t], namespace_of(n), &w->error),
        &w->error);
    expect_cell(w, t, k, n, is_registered);
}

static void touch_one(world *w)
{
    const uint32_t k = below(w, KEYS);
    set_key(w, k);
    touch(w, below(w, 4) != 0, below(w, TIME_COUNT), k, below(w, NAMESPACES));
}

static uint32_t earliest(const world *w)
{
    for (uint32_t t = 0; t < TIME_COUNT; t++) {
        for (uint32_t k = 0; k < KEYS; k++) {
            if (w->now.cells[t][k][0] || w->now.cells[t][k][1]) {
                return t;
            }
        }
    }
    return TIME_COUNT;
}

static void expect_fired(world *w, const tarn_timer *timer, uint32_t t)
{
    uint8_t key[KEY_BYTES_MAX];
    assert_int_equal(timer->time, TIMES[t]);
    assert_in_range(timer->key.size, 1, KEY_BYTES_MAX);
    const uint32_t k = *(const uint8_t *)timer->key.data;
    assert_in_range(k, 0, KEYS - 1);
    assert_true(tarn_bytes_is_equal(timer->key, key_of(k, key)));
    assert_in_range(timer->name_space.size, 0, NAMESPACES - 1);
    const uint32_t n = (uint32_t)timer->name_space.size;
    assert_true(w->now.cells[t][k][n]);
    assert_int_equal(
        timer->key_group, tarn_key_group_of(tarn_hash_bytes(timer->key), MAX_PARALLELISM));
    expect_cell(w, t, k, n, false);
    if (below(w, 3) == 0) { /* The key is current: no set_key(). */
        touch(w, below(w, 4) != 0, below(w, TIME_COUNT), k, below(w, NAMESPACES));
    }
}

/* Polls until nothing is due, or stops somewhere. */
static void advance(world *w)
{
    const uint32_t limit = below(w, TIME_COUNT);
    const bool is_cut_short = below(w, 3) == 0;
    for (int i = 0; i < 2000; i++) {
        const uint32_t t = earliest(w);
        tarn_timer timer;
        const tarn_status status = tarn_timers_poll(w->timers, TIMES[limit], &timer, &w->error);
        if (t > limit) {
            assert_int_equal(status, TARN_DONE);
            return;
        }
        assert_ok(status, &w->error);
        expect_fired(w, &timer, t);
        if (is_cut_short && below(w, 10) == 0) {
            return;
        }
    }
}

static void look(world *w)
{
    const uint32_t t = earliest(w);
    int64_t time = 7;
    const tarn_status status = tarn_timers_next_time(w->timers, &time, &w->error);
    if (t == TIME_COUNT) {
        assert_int_equal(status, TARN_NOT_FOUND);
        return;
    }
    assert_ok(status, &w->error);
    assert_int_equal(time, TIMES[t]);
}

static void count_one_namespace(world *w)
{
    const uint32_t n = below(w, NAMESPACES);
    uint64_t expected = 0;
    uint64_t count = 0;
    for (uint32_t t = 0; t < TIME_COUNT; t++) {
        for (uint32_t k = 0; k < KEYS; k++) {
            expected += w->now.cells[t][k][n];
        }
    }
    assert_ok(
        tarn_timers_count_namespace(w->timers, namespace_of(n), &count, &w->error), &w->error);
    assert_int_equal(count, expected);
}

static void step(world *w)
{
    const uint32_t choice = below(w, 1000);
    if (choice < 3) {
        take_checkpoint(w);
    } else if (choice < 5) {
        close_backend(w);
        w->now = w->committed;
        open_backend(w);
    } else if (choice < 8) {
        close_timers(w);
        open_timers(w);
    } else if (choice < 12) {
        count_one_namespace(w);
    } else if (choice < 30) {
        advance(w);
    } else if (choice < 60) {
        look(w);
    } else {
        touch_one(w);
    }
}

static void random_program(uint64_t seed, void *context)
{
    world *w = context;
    memset(w, 0, sizeof *w);
    w->random.state = seed;
    scratch_init(&w->directory);
    tarn_config *config = fixture_new_config(64);
    fixture_set(config, "state.backend.rocksdb.writebuffer.size", "64kb");
    w->env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = w->env;
    options.address = scratch_join(w->directory.path, "checkpoints");
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &w->store, &w->error), &w->error);
    open_backend(w);
    for (int i = 0; i < OPERATIONS; i++) {
        step(w);
    }
    close_backend(w);
    assert_ok(tarn_checkpoint_store_close(w->store, &w->error), &w->error);
    assert_ok(tarn_env_close(w->env, &w->error), &w->error);
    scratch_clear(&w->directory);
}

static void test_timers_fire_as_a_sorted_set_would_give_them(void **state)
{
    (void)state;
    static world w;
    prop_run("timers", 8, random_program, &w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_as_a_sorted_set_would_give_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
