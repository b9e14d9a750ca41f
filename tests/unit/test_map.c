/*
 * Unit tests of state/map.c: Flink's corner cases, ranges in both directions, and iterators that
 * see the map as it was, are bounded on both sides and are named when they leak.
 */
#include "support/kinds_fixture.h"

#include <stdio.h>
#include <string.h>

#include "tarn/lease.h"

typedef struct map_test {
    kinds_fixture *f;
    tarn_map *map;
} map_test;

static map_test open_map(void **state, tarn_layout layout)
{
    map_test t = {.f = *state};
    (void)kinds_options(t.f, "map");
    t.f->options.layout = layout;
    assert_ok(tarn_map_open(t.f->backend, &t.f->options, &t.map, &t.f->error), &t.f->error);
    kinds_set_key(t.f, "k");
    return t;
}

static void close_map(map_test *t)
{
    assert_ok(tarn_map_close(t->map, &t->f->error), &t->f->error);
}

static void put(map_test *t, const char *key, const char *value)
{
    assert_ok(
        tarn_map_put(t->map, tarn_bytes_of(key), tarn_bytes_of(value), &t->f->error), &t->f->error);
}

/* Compares the keys of a range, each followed by a comma. */
static void expect_keys(map_test *t, const tarn_map_range *range, const char *expected)
{
    char keys[256] = "";
    size_t size = 0;
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    assert_ok(tarn_map_iterate(t->map, range, NULL, &iterator, &t->f->error), &t->f->error);
    tarn_status status = tarn_map_iterator_next(iterator, &entry, &t->f->error);
    while (status == TARN_OK) {
        size += (size_t)snprintf(
            keys + size,
            sizeof keys - size,
            "%.*s,",
            (int)entry.key.size,
            (const char *)entry.key.data);
        status = tarn_map_iterator_next(iterator, &entry, &t->f->error);
    }
    assert_int_equal(status, TARN_DONE);
    tarn_map_iterator_close(iterator);
    assert_string_equal(keys, expected);
}

static void expect_empty(map_test *t, bool expected)
{
    bool is_empty = !expected;
    assert_ok(tarn_map_is_empty(t->map, &is_empty, &t->f->error), &t->f->error);
    assert_int_equal(is_empty, expected);
}

static void test_an_empty_value_is_there_and_an_absent_entry_is_not(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    tarn_bytes read = {"untouched", 9};
    assert_int_equal(tarn_map_get(t.map, tarn_bytes_of("a"), &read, &t.f->error), TARN_NOT_FOUND);
    assert_int_equal(read.size, 9);
    expect_empty(&t, true);
    put(&t, "a", "");
    put(&t, "", "of the empty key");
    assert_ok(tarn_map_get(t.map, tarn_bytes_of("a"), &read, &t.f->error), &t.f->error);
    assert_int_equal(read.size, 0);
    assert_ok(tarn_map_contains(t.map, tarn_bytes_of(""), &t.f->error), &t.f->error);
    assert_int_equal(tarn_map_contains(t.map, tarn_bytes_of("b"), &t.f->error), TARN_NOT_FOUND);
    expect_empty(&t, false);
    close_map(&t);
}

static void test_removing_the_last_entry_removes_the_map(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    put(&t, "a", "1");
    assert_int_equal(kinds_count_keys(t.f, tarn_map_keyed(t.map), ""), 1);
    assert_ok(tarn_map_remove(t.map, tarn_bytes_of("a"), &t.f->error), &t.f->error);
    assert_ok(tarn_map_remove(t.map, tarn_bytes_of("a"), &t.f->error), &t.f->error);
    expect_empty(&t, true);
    assert_int_equal(kinds_count_keys(t.f, tarn_map_keyed(t.map), ""), 0);
    close_map(&t);
}

static void test_putting_all_of_nothing_makes_no_map(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    assert_ok(tarn_map_put_all(t.map, NULL, 0, &t.f->error), &t.f->error);
    expect_empty(&t, true);
    const tarn_map_entry entries[] = {
        {tarn_bytes_of("a"), tarn_bytes_of("1")},
        {tarn_bytes_of("b"), tarn_bytes_of("2")},
        {tarn_bytes_of("a"), tarn_bytes_of("3")}, /* The last one wins. */
    };
    assert_ok(tarn_map_put_all(t.map, entries, 3, &t.f->error), &t.f->error);
    tarn_bytes read;
    assert_ok(tarn_map_get(t.map, tarn_bytes_of("a"), &read, &t.f->error), &t.f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("3")));
    expect_keys(&t, NULL, "a,b,");
    close_map(&t);
}

static void check_ranges(void **state, tarn_layout layout)
{
    map_test t = open_map(state, layout);
    static const char *const KEYS[] = {"", "a", "aa", "ab", "b", "b\xff", "b\xff\xff", "c"};
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
        put(&t, KEYS[i], "v");
    }
    kinds_set_key(t.f, "kk"); /* Neighbours on both sides must not be seen. */
    put(&t, "a", "other");
    kinds_set_key(t.f, "j");
    put(&t, "a", "other");
    kinds_set_key(t.f, "k");
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    expect_keys(&t, &range, ",a,aa,ab,b,b\xff,b\xff\xff,c,");
    range.is_backward = true;
    expect_keys(&t, &range, "c,b\xff\xff,b\xff,b,ab,aa,a,,");
    range.from = tarn_bytes_of("aa");
    range.to = tarn_bytes_of("b\xff");
    expect_keys(&t, &range, "b,ab,aa,");
    range.is_backward = false;
    expect_keys(&t, &range, "aa,ab,b,");
    range.prefix = tarn_bytes_of("a");
    expect_keys(&t, &range, "aa,ab,");
    range = (tarn_map_range)TARN_MAP_RANGE_INIT;
    range.prefix = tarn_bytes_of("b\xff");
    expect_keys(&t, &range, "b\xff,b\xff\xff,");
    range.to = tarn_bytes_of("a"); /* Before all that have the prefix. */
    expect_keys(&t, &range, "");
    range = (tarn_map_range)TARN_MAP_RANGE_INIT;
    range.to = tarn_bytes_of(""); /* A bound, and nothing is less. */
    expect_keys(&t, &range, "");
    range.from = tarn_bytes_of("c");
    range.to = tarn_bytes_of("a");
    expect_keys(&t, &range, "");
    assert_ok(tarn_map_remove_range(t.map, &range, &t.f->error), &t.f->error);
    range.from = tarn_bytes_of("a");
    range.to = tarn_bytes_of("b");
    range.is_backward = true;
    assert_ok(tarn_map_remove_range(t.map, &range, &t.f->error), &t.f->error);
    expect_keys(&t, NULL, ",b,b\xff,b\xff\xff,c,");
    close_map(&t);
}

static void test_ranges_go_both_ways_and_stay_inside(void **state)
{
    check_ranges(state, TARN_LAYOUT_KEY_FIRST);
}

static void test_ranges_are_the_same_with_namespaces_first(void **state)
{
    check_ranges(state, TARN_LAYOUT_NAMESPACE_FIRST);
}

/* More rows than are removed one by one. */
static void test_clearing_large_maps_and_ranges_leaves_the_neighbours(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    static const char *const KEYS[] = {"j", "k", "kk"};
    for (uint32_t k = 0; k < 3; k++) {
        kinds_set_key(t.f, KEYS[k]);
        for (uint32_t i = 0; i < 500; i++) {
            char key[8];
            (void)snprintf(key, sizeof key, "%03u", i);
            put(&t, key, "v");
        }
    }
    kinds_set_key(t.f, "k");
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    range.from = tarn_bytes_of("002");
    range.to = tarn_bytes_of("498");
    assert_ok(tarn_map_remove_range(t.map, &range, &t.f->error), &t.f->error);
    expect_keys(&t, NULL, "000,001,498,499,");
    put(&t, "100", "again"); /* Behind the range delete. */
    expect_keys(&t, NULL, "000,001,100,498,499,");
    kinds_set_key(t.f, "j");
    assert_ok(tarn_map_clear(t.map, &t.f->error), &t.f->error);
    expect_empty(&t, true);
    kinds_set_key(t.f, "k");
    expect_empty(&t, false);
    kinds_set_key(t.f, "kk");
    range.from = tarn_bytes_of("497");
    range.to = tarn_bytes_at(NULL, 0);
    expect_keys(&t, &range, "497,498,499,");
    assert_int_equal(kinds_count_keys(t.f, tarn_map_keyed(t.map), ""), 2);
    close_map(&t);
}

static void test_an_iterator_sees_the_map_as_it_was_and_keeps_its_key(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    put(&t, "a", "1");
    put(&t, "b", "2");
    assert_ok(tarn_map_iterate(t.map, NULL, "test", &iterator, &t.f->error), &t.f->error);
    put(&t, "a", "changed");
    put(&t, "c", "new");
    assert_ok(tarn_map_remove(t.map, tarn_bytes_of("b"), &t.f->error), &t.f->error);
    kinds_set_key(t.f, "other");
    assert_ok(tarn_map_iterator_next(iterator, &entry, &t.f->error), &t.f->error);
    assert_true(tarn_bytes_is_equal(entry.value, tarn_bytes_of("1")));
    assert_ok(tarn_map_iterator_remove(iterator, &t.f->error), &t.f->error);
    assert_ok(tarn_map_iterator_next(iterator, &entry, &t.f->error), &t.f->error);
    assert_true(tarn_bytes_is_equal(entry.key, tarn_bytes_of("b")));
    assert_int_equal(tarn_map_iterator_next(iterator, &entry, &t.f->error), TARN_DONE);
    tarn_map_iterator_close(iterator);
    expect_empty(&t, true);
    kinds_set_key(t.f, "k");
    expect_keys(&t, NULL, "c,"); /* "a" was removed through the iterator, of its own key. */
    close_map(&t);
}

static void test_removal_needs_an_entry_to_stand_on(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    put(&t, "a", "1");
    assert_ok(tarn_map_iterate(t.map, NULL, "sweep", &iterator, &t.f->error), &t.f->error);
    kinds_expect_failure(
        t.f, tarn_map_iterator_remove(iterator, &t.f->error), TARN_INVALID_ARGUMENT, "sweep");
    assert_ok(tarn_map_iterator_next(iterator, &entry, &t.f->error), &t.f->error);
    assert_ok(tarn_map_iterator_remove(iterator, &t.f->error), &t.f->error);
    assert_int_equal(tarn_map_iterator_remove(iterator, &t.f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_map_iterator_next(iterator, &entry, &t.f->error), TARN_DONE);
    assert_int_equal(tarn_map_iterator_remove(iterator, &t.f->error), TARN_INVALID_ARGUMENT);
    tarn_map_iterator_close(iterator);
    close_map(&t);
}

/* What visits of leases saw. */
typedef struct seen_leases {
    uint32_t count;
    char owners[64];
    uint64_t pinned_bytes;
} seen_leases;

static void see(const tarn_lease *lease, void *context)
{
    seen_leases *seen = context;
    assert_string_equal(lease->state_name, "map");
    assert_in_range(lease->age_ms, 0, 600000);
    const size_t size = strlen(seen->owners);
    (void)snprintf(seen->owners + size, sizeof seen->owners - size, "%s ", lease->owner);
    seen->pinned_bytes = lease->pinned_bytes;
    seen->count++;
}

/* Whoever looks for what keeps files and memory finds it by name, with its age and its price. */
static void test_open_iterators_are_leases_with_owner_and_price(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = NULL;
    tarn_map_iterator *iterators[2] = {NULL};
    static const uint8_t VALUE[4096] = {1};
    seen_leases seen = {.count = 0};
    fixture_resize_working_set(f->backend, 0);
    assert_ok(tarn_map_open(f->backend, kinds_options(f, "map"), &map, &f->error), &f->error);
    kinds_set_key(f, "k");
    for (uint32_t i = 0; i < 64; i++) {
        assert_ok(
            tarn_map_put(
                map, tarn_bytes_at(&i, sizeof i), tarn_bytes_at(VALUE, sizeof VALUE), &f->error),
            &f->error);
    }
    tarn_backend_visit_leases(f->backend, see, &seen);
    assert_int_equal(seen.count, 0);
    assert_ok(tarn_map_iterate(map, NULL, "report", &iterators[0], &f->error), &f->error);
    assert_ok(tarn_map_iterate(map, NULL, NULL, &iterators[1], &f->error), &f->error);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    tarn_backend_visit_leases(f->backend, see, &seen);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.owners, "report iterator ");
    assert_in_range(seen.pinned_bytes, 64 * sizeof VALUE, UINT64_MAX); /* The memtable. */
    tarn_map_iterator_close(iterators[0]);
    tarn_map_iterator_close(iterators[1]);
    seen = (seen_leases){.count = 0};
    tarn_backend_visit_leases(f->backend, see, &seen);
    assert_int_equal(seen.count, 0);
    assert_int_equal(
        tarn__rocks_pinned_bytes(tarn__rocks_find_family(f->backend->rocks, "map")), 0);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static void test_a_leaked_iterator_is_named_by_its_owner(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    tarn_map_iterator *iterator = NULL;
    assert_ok(tarn_map_iterate(t.map, NULL, "hourly report", &iterator, &t.f->error), &t.f->error);
    kinds_expect_failure(t.f, tarn_map_close(t.map, &t.f->error), TARN_BUSY, "hourly report");
    kinds_expect_failure(t.f, tarn_backend_close(t.f->backend, &t.f->error), TARN_BUSY, "map");
    tarn_map_iterator_close(iterator);
    close_map(&t);
}

static void test_what_a_map_cannot_take_is_refused(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    static const uint8_t LONG[65536];
    const tarn_bytes long_key = tarn_bytes_at(LONG, sizeof LONG);
    const tarn_map_entry entry = {long_key, tarn_bytes_of("v")};
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    range.from = long_key;
    tarn_map_iterator *iterator = NULL;
    kinds_expect_failure(
        t.f,
        tarn_map_put(t.map, long_key, tarn_bytes_of("v"), &t.f->error),
        TARN_INVALID_ARGUMENT,
        "65536");
    assert_int_equal(tarn_map_put_all(t.map, &entry, 1, &t.f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_map_put(
            t.map, tarn_bytes_of("k"), tarn_bytes_at(LONG, (size_t)INT32_MAX + 1), &t.f->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_map_iterate(t.map, &range, NULL, &iterator, &t.f->error), TARN_INVALID_ARGUMENT);
    put(&t, "still", "works");
    assert_ok(
        tarn_map_put(
            t.map, tarn_bytes_at(LONG, sizeof LONG - 1), tarn_bytes_of("longest"), &t.f->error),
        &t.f->error);
    assert_ok(
        tarn_map_contains(t.map, tarn_bytes_at(LONG, sizeof LONG - 1), &t.f->error), &t.f->error);
    close_map(&t);
}

static void test_a_map_without_a_key_is_refused(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = NULL;
    tarn_bytes read;
    bool is_empty;
    tarn_map_iterator *iterator = NULL;
    assert_ok(tarn_map_open(f->backend, kinds_options(f, "map"), &map, &f->error), &f->error);
    const tarn_bytes key = tarn_bytes_of("a");
    kinds_expect_failure(f, tarn_map_get(map, key, &read, &f->error), TARN_INVALID_ARGUMENT, "map");
    assert_int_equal(tarn_map_put(map, key, key, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_map_put_all(map, NULL, 0, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_map_remove(map, key, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_map_clear(map, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_map_is_empty(map, &is_empty, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_map_iterate(map, NULL, NULL, &iterator, &f->error), TARN_INVALID_ARGUMENT);
    assert_null(iterator);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

/* What one call gave out is the next one's argument. */
static void test_borrowed_bytes_can_be_passed_on(void **state)
{
    map_test t = open_map(state, TARN_LAYOUT_KEY_FIRST);
    tarn_bytes read;
    put(&t, "a", "b");
    assert_ok(tarn__rocks_flush(t.f->backend->rocks, &t.f->error), &t.f->error);
    assert_ok(tarn_map_get(t.map, tarn_bytes_of("a"), &read, &t.f->error), &t.f->error);
    assert_ok(tarn_map_put(t.map, read, read, &t.f->error), &t.f->error);
    assert_ok(tarn_map_get(t.map, tarn_bytes_of("b"), &read, &t.f->error), &t.f->error);
    assert_ok(tarn_map_get(t.map, read, &read, &t.f->error), &t.f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("b")));
    close_map(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_value_is_there_and_an_absent_entry_is_not),
        TEST(test_removing_the_last_entry_removes_the_map),
        TEST(test_putting_all_of_nothing_makes_no_map),
        TEST(test_ranges_go_both_ways_and_stay_inside),
        TEST(test_ranges_are_the_same_with_namespaces_first),
        TEST(test_clearing_large_maps_and_ranges_leaves_the_neighbours),
        TEST(test_an_iterator_sees_the_map_as_it_was_and_keeps_its_key),
        TEST(test_removal_needs_an_entry_to_stand_on),
        TEST(test_open_iterators_are_leases_with_owner_and_price),
        TEST(test_a_leaked_iterator_is_named_by_its_owner),
        TEST(test_what_a_map_cannot_take_is_refused),
        TEST(test_a_map_without_a_key_is_refused),
        TEST(test_borrowed_bytes_can_be_passed_on),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
