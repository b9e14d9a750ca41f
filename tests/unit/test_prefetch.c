/*
 * Unit tests of state/prefetch.c: rows are there before they are asked for, and a prefetch never
 * changes what a call answers, whatever was written, removed, closed or refused meanwhile.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/keyed.h"
#include "tarn/prefetch.h"

#include "support/kinds_fixture.h"

enum { KEYS = 600, TEXT_BYTES = 16 };

typedef struct fixture {
    kinds_fixture base;
    tarn_value *value;
    tarn_reducing *sum;
    tarn_keyed *states[2];
    char names[KEYS][TEXT_BYTES];
    tarn_bytes keys[KEYS];
    tarn_prefetch what;
} fixture;

static fixture *open_fixture(void **state)
{
    static fixture f;
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    kinds_fixture *base = *state;
    f.base = *base;
    reducing.reducer = TARN_REDUCER_SUM;
    f.value = fixture_open_value(f.base.backend, "value");
    assert_ok(
        tarn_reducing_open(
            f.base.backend, kinds_options(&f.base, "sum"), &reducing, &f.sum, &f.base.error),
        &f.base.error);
    f.states[0] = tarn_value_keyed(f.value);
    f.states[1] = tarn_reducing_keyed(f.sum);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(f.names[i], TEXT_BYTES, "key %d", i * 7919 % KEYS);
        f.keys[i] = tarn_bytes_of(f.names[i]);
    }
    tarn_prefetch_init(&f.what, sizeof f.what);
    f.what.states = f.states;
    f.what.state_count = 2;
    f.what.keys = f.keys;
    f.what.key_count = KEYS;
    return &f;
}

static void close_fixture(fixture *f)
{
    assert_ok(tarn_value_close(f->value, &f->base.error), &f->base.error);
    assert_ok(tarn_reducing_close(f->sum, &f->base.error), &f->base.error);
}

static void resize(fixture *f, uint64_t bytes)
{
    assert_ok(
        tarn_backend_resize_working_set(f->base.backend, bytes, &f->base.error), &f->base.error);
}

static tarn_working_set_stats measure(const fixture *f)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(f->base.backend, &stats);
    return stats;
}

/* The first half of the keys has its number, in both states; all of it is in RocksDB alone. */
static void fill(fixture *f)
{
    for (int i = 0; i < KEYS / 2; i++) {
        assert_ok(
            tarn_backend_set_key(f->base.backend, f->keys[i], &f->base.error), &f->base.error);
        assert_ok(
            tarn_value_put(f->value, tarn_bytes_at(&i, sizeof i), &f->base.error), &f->base.error);
        assert_ok(tarn_reducing_add_i64(f->sum, i, &f->base.error), &f->base.error);
    }
    resize(f, 0);
    resize(f, 4 << 20);
}

static void prefetch(fixture *f)
{
    assert_ok(tarn_backend_prefetch(f->base.backend, &f->what, &f->base.error), &f->base.error);
}

static void prefetch_ahead(fixture *f, const tarn_prefetch *what)
{
    assert_ok(tarn_backend_prefetch_ahead(f->base.backend, what, &f->base.error), &f->base.error);
}

static void expect_refused(fixture *f, tarn_status status, const char *part)
{
    kinds_expect_failure(
        &f->base,
        tarn_backend_prefetch_ahead(f->base.backend, &f->what, &f->base.error),
        status,
        part);
}

/* All answers are as without a prefetch; first is what key 0 has. */
static void check_all(fixture *f, int first)
{
    for (int i = 0; i < KEYS; i++) {
        tarn_bytes read;
        int64_t sum = 0;
        const tarn_status expected = i < KEYS / 2 ? TARN_OK : TARN_NOT_FOUND;
        assert_ok(
            tarn_backend_set_key(f->base.backend, f->keys[i], &f->base.error), &f->base.error);
        assert_int_equal(tarn_value_get(f->value, &read, &f->base.error), expected);
        if (expected == TARN_OK) {
            int number = 0;
            memcpy(&number, read.data, sizeof number);
            assert_int_equal(number, i == 0 ? first : i);
        }
        assert_int_equal(tarn_reducing_get_i64(f->sum, &sum, &f->base.error), expected);
        assert_int_equal(sum, expected == TARN_OK ? i : 0);
    }
}

static void test_what_was_prefetched_is_a_hit(void **state)
{
    fixture *f = open_fixture(state);
    fill(f);
    kinds_set_key(&f->base, "current");
    prefetch(f);
    assert_int_equal(measure(f).prefetched_count, 2 * KEYS);
    assert_int_equal(
        tarn_value_put(f->value, tarn_bytes_of("of the current key"), &f->base.error), TARN_OK);
    const tarn_working_set_stats before = measure(f);
    check_all(f, 0);
    assert_int_equal(measure(f).miss_count, before.miss_count);
    close_fixture(f);
}

static void test_a_batch_ahead_comes_in_with_the_next_call(void **state)
{
    fixture *f = open_fixture(state);
    fill(f);
    for (int i = 0; i < KEYS; i += 50) {
        tarn_prefetch part = f->what;
        part.keys += i;
        part.key_count = 50;
        prefetch_ahead(f, &part);
        assert_int_equal(measure(f).prefetched_count, 2 * i);
    }
    prefetch_ahead(f, NULL);
    assert_int_equal(measure(f).prefetched_count, 2 * KEYS);
    const tarn_working_set_stats before = measure(f);
    check_all(f, 0);
    assert_int_equal(measure(f).miss_count, before.miss_count);
    close_fixture(f);
}

/* Written, and pushed out to the store again before the batch comes in: it has read the old one. */
static void test_what_is_written_meanwhile_stays(void **state)
{
    fixture *f = open_fixture(state);
    const int other = 77;
    fill(f);
    prefetch_ahead(f, &f->what);
    assert_ok(tarn_backend_set_key(f->base.backend, f->keys[0], &f->base.error), &f->base.error);
    assert_ok(
        tarn_value_put(f->value, tarn_bytes_at(&other, sizeof other), &f->base.error),
        &f->base.error);
    resize(f, 3000); /* Much of it goes. */
    resize(f, 4 << 20);
    prefetch_ahead(f, NULL);
    check_all(f, other);
    assert_true(measure(f).prefetch_lost_count > 0);
    close_fixture(f);
}

static void test_what_is_removed_meanwhile_stays_away(void **state)
{
    fixture *f = open_fixture(state);
    const tarn_bytes none = tarn_bytes_of("");
    fill(f);
    prefetch_ahead(f, &f->what);
    assert_ok(tarn_keyed_drop_namespace(f->states[0], none, &f->base.error), &f->base.error);
    prefetch_ahead(f, NULL);
    for (int i = 0; i < KEYS; i++) {
        tarn_bytes read;
        assert_ok(
            tarn_backend_set_key(f->base.backend, f->keys[i], &f->base.error), &f->base.error);
        assert_int_equal(tarn_value_get(f->value, &read, &f->base.error), TARN_NOT_FOUND);
    }
    close_fixture(f);
}

static void test_a_key_wanted_before_its_batch_is_read_at_once(void **state)
{
    fixture *f = open_fixture(state);
    fill(f);
    prefetch_ahead(f, &f->what);
    check_all(f, 0);
    prefetch_ahead(f, NULL);
    assert_int_equal(measure(f).prefetched_count, 0);
    assert_int_equal(measure(f).prefetch_lost_count, 2 * KEYS);
    check_all(f, 0);
    close_fixture(f);
}

static void test_a_small_or_absent_working_set_takes_what_it_can(void **state)
{
    static const uint64_t SIZES[] = {0, 1500, 20000};
    fixture *f = open_fixture(state);
    fill(f);
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        resize(f, SIZES[i]);
        prefetch_ahead(f, &f->what);
        prefetch_ahead(f, &f->what);
        check_all(f, 0);
        prefetch(f);
        check_all(f, 0);
        prefetch_ahead(f, &f->what);
        resize(f, 0); /* With a batch under way. */
        check_all(f, 0);
    }
    close_fixture(f);
}

static void test_states_and_backends_close_with_a_batch_under_way(void **state)
{
    fixture *f = open_fixture(state);
    fill(f);
    prefetch_ahead(f, &f->what);
    assert_ok(tarn_value_close(f->value, &f->base.error), &f->base.error);
    f->value = fixture_open_value(f->base.backend, "value");
    f->states[0] = tarn_value_keyed(f->value);
    check_all(f, 0);
    prefetch_ahead(f, &f->what);
    close_fixture(f);
}

static void test_namespaces_first_are_found_too(void **state)
{
    fixture *f = open_fixture(state);
    tarn_state_options options = *kinds_options(&f->base, "windows");
    tarn_value *windows = NULL;
    tarn_bytes read;
    options.layout = TARN_LAYOUT_NAMESPACE_FIRST;
    assert_ok(tarn_value_open(f->base.backend, &options, &windows, &f->base.error), &f->base.error);
    kinds_set_namespace(&f->base, tarn_value_keyed(windows), "window 1");
    kinds_set_key(&f->base, "key 3");
    assert_ok(tarn_value_put(windows, tarn_bytes_of("here"), &f->base.error), &f->base.error);
    resize(f, 0);
    resize(f, 1 << 20);
    f->states[0] = tarn_value_keyed(windows);
    f->what.state_count = 1;
    prefetch(f);
    assert_int_equal(measure(f).prefetched_count, KEYS);
    assert_ok(tarn_value_get(windows, &read, &f->base.error), &f->base.error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("here")));
    assert_int_equal(measure(f).miss_count, 0);
    assert_ok(tarn_value_close(windows, &f->base.error), &f->base.error);
    close_fixture(f);
}

static void test_what_cannot_be_prefetched_is_refused_with_why(void **state)
{
    static const uint8_t LONG[70000];
    fixture *f = open_fixture(state);
    const int32_t hashes[KEYS] = {0};
    f->states[1] = NULL;
    expect_refused(f, TARN_INVALID_ARGUMENT, "state 1");
    f->states[1] = tarn_reducing_keyed(f->sum);
    f->what.hashes = hashes;
    expect_refused(f, TARN_INVALID_ARGUMENT, "hashes");
    f->what.hashes = NULL;
    f->keys[KEYS - 1] = tarn_bytes_at(LONG, sizeof LONG);
    expect_refused(f, TARN_INVALID_ARGUMENT, "70000");
    f->keys[KEYS - 1] = tarn_bytes_of("short");
    f->what.keys = NULL;
    expect_refused(f, TARN_INVALID_ARGUMENT, "keys");
    f->what.keys = f->keys;
    f->what.struct_size = 3;
    expect_refused(f, TARN_INVALID_ARGUMENT, "tarn_prefetch");
    f->what.struct_size = sizeof f->what;
    prefetch_ahead(f, &f->what);
    close_fixture(f);
}

/* Rows of more bytes than a batch takes, and more of them: the rest is left out. */
static void test_a_batch_is_bounded(void **state)
{
    static uint8_t bytes[64][60000];
    static tarn_bytes many[TARN_PREFETCH_ROWS_MAX + 100];
    static char names[TARN_PREFETCH_ROWS_MAX + 100][TEXT_BYTES];
    fixture *f = open_fixture(state);
    for (size_t i = 0; i < 64; i++) {
        memset(bytes[i], (int)i, sizeof bytes[i]);
        many[i] = tarn_bytes_at(bytes[i], sizeof bytes[i]);
    }
    f->what.keys = many;
    f->what.key_count = 64;
    resize(f, 0); /* So that no filter knows that all of these are new. */
    resize(f, 32 << 20);
    prefetch(f);
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        (void)snprintf(names[i], TEXT_BYTES, "many %zu", i);
        many[i] = tarn_bytes_of(names[i]);
    }
    f->what.key_count = sizeof many / sizeof many[0];
    f->what.state_count = 1;
    const uint64_t before = measure(f).prefetched_count;
    prefetch(f);
    assert_int_equal(measure(f).prefetched_count - before, TARN_PREFETCH_ROWS_MAX);
    close_fixture(f);
}

/* The nth allocation from the first prefetch on is refused, and all after it. */
static bool prefetch_without_memory(uint64_t nth)
{
    static fixture f;
    fault_allocator memory;
    void *state = &f.base;
    fault_allocator_init(&memory, FAULT_NEVER);
    f.base.config = fixture_new_config(64);
    f.base.env = fixture_open_env(f.base.config, &memory.base);
    fixture_make_directory(f.base.directory);
    f.base.backend = fixture_open_backend(f.base.env, f.base.directory);
    fixture *open = open_fixture(&state);
    fill(open);
    memory.fail_at = atomic_load(&memory.request_count) + nth;
    memory.is_persistent = true;
    for (int i = 0; i < 3; i++) {
        const tarn_status status =
            tarn_backend_prefetch_ahead(open->base.backend, &open->what, &open->base.error);
        assert_true(status == TARN_OK || status == TARN_NO_MEMORY);
    }
    const bool was_refused = memory.fired;
    memory.fail_at = FAULT_NEVER;
    check_all(open, 0);
    close_fixture(open);
    f.base.backend = open->base.backend;
    assert_int_equal(kinds_teardown(&state), 0);
    assert_int_equal(memory.live_count, 0);
    return was_refused;
}

static void test_without_memory_it_reads_less_or_says_so(void **state)
{
    (void)state;
    uint64_t nth = 0;
    while (prefetch_without_memory(nth)) {
        nth += FAULT_STRIDE + nth / 4; /* Each opens a backend. */
    }
    assert_true(nth > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
        TEST(test_what_was_prefetched_is_a_hit),
        TEST(test_a_batch_ahead_comes_in_with_the_next_call),
        TEST(test_what_is_written_meanwhile_stays),
        TEST(test_what_is_removed_meanwhile_stays_away),
        TEST(test_a_key_wanted_before_its_batch_is_read_at_once),
        TEST(test_a_small_or_absent_working_set_takes_what_it_can),
        TEST(test_states_and_backends_close_with_a_batch_under_way),
        TEST(test_namespaces_first_are_found_too),
        TEST(test_what_cannot_be_prefetched_is_refused_with_why),
        TEST(test_a_batch_is_bounded),
#undef TEST
        cmocka_unit_test(test_without_memory_it_reads_less_or_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
