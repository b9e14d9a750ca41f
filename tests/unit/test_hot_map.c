/*
 * Unit tests of state/hot_map.c: what maps cost the store while the working set has them, and what
 * becomes of them when they are large, when there is no room, or when a snapshot is open.
 */
#include "support/kinds_fixture.h"

#include <string.h>

#include "tarn/map.h"

#include "state/keyed.h"

enum { WORKING_SET_BYTES = 8 << 20, VALUE_BYTES = 100, LARGE = 2000 };

typedef struct hot_test {
    kinds_fixture *f;
    tarn_map *map;
} hot_test;

static hot_test open_map(void **state)
{
    hot_test t = {.f = *state};
    assert_ok(
        tarn_backend_resize_working_set(t.f->backend, WORKING_SET_BYTES, &t.f->error), &t.f->error);
    assert_ok(
        tarn_map_open(t.f->backend, kinds_options(t.f, "map"), &t.map, &t.f->error), &t.f->error);
    kinds_set_key(t.f, "k");
    return t;
}

static void close_map(hot_test *t)
{
    assert_ok(tarn_map_close(t->map, &t->f->error), &t->f->error);
}

/* Writes what is dirty, and begins with an empty working set. */
static void forget(hot_test *t)
{
    assert_ok(tarn_backend_resize_working_set(t->f->backend, 0, &t->f->error), &t->f->error);
    assert_ok(
        tarn_backend_resize_working_set(t->f->backend, WORKING_SET_BYTES, &t->f->error),
        &t->f->error);
}

static void make_key(uint32_t i, uint8_t out[4])
{
    for (uint32_t n = 0; n < 4; n++) {
        out[n] = (uint8_t)(i >> (24 - 8 * n));
    }
}

static void put(hot_test *t, uint32_t begin, uint32_t end, uint32_t value)
{
    uint8_t bytes[VALUE_BYTES] = {0};
    for (uint32_t i = begin; i < end; i++) {
        uint8_t key[4];
        make_key(i, key);
        memcpy(bytes, &value, sizeof value);
        assert_ok(
            tarn_map_put(
                t->map,
                tarn_bytes_at(key, sizeof key),
                tarn_bytes_at(bytes, sizeof bytes),
                &t->f->error),
            &t->f->error);
    }
}

static void erase(hot_test *t, uint32_t i)
{
    uint8_t key[4];
    make_key(i, key);
    assert_ok(tarn_map_remove(t->map, tarn_bytes_at(key, sizeof key), &t->f->error), &t->f->error);
}

static bool has(hot_test *t, uint32_t i)
{
    uint8_t key[4];
    make_key(i, key);
    const tarn_status status =
        tarn_map_contains(t->map, tarn_bytes_at(key, sizeof key), &t->f->error);
    assert_true(status == TARN_OK || status == TARN_NOT_FOUND);
    return status == TARN_OK;
}

static void expect_number(hot_test *t, uint32_t i, uint32_t value)
{
    uint8_t key[4];
    uint32_t read;
    tarn_bytes bytes;
    make_key(i, key);
    assert_ok(
        tarn_map_get(t->map, tarn_bytes_at(key, sizeof key), &bytes, &t->f->error), &t->f->error);
    assert_int_equal(bytes.size, VALUE_BYTES);
    memcpy(&read, bytes.data, sizeof read);
    assert_int_equal(read, value);
}

static tarn_map_iterator *iterate(hot_test *t, bool is_backward)
{
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    tarn_map_iterator *iterator = NULL;
    range.is_backward = is_backward;
    assert_ok(tarn_map_iterate(t->map, &range, NULL, &iterator, &t->f->error), &t->f->error);
    return iterator;
}

/* What is left of an iteration are the entries from begin to end, each of a value. */
static void expect_rest(
    hot_test *t, tarn_map_iterator *iterator, uint32_t begin, uint32_t end, uint32_t value)
{
    tarn_map_entry entry;
    for (uint32_t i = begin; i < end; i++) {
        uint8_t key[4];
        uint32_t read;
        make_key(i, key);
        assert_ok(tarn_map_iterator_next(iterator, &entry, &t->f->error), &t->f->error);
        assert_true(tarn_bytes_is_equal(entry.key, tarn_bytes_at(key, sizeof key)));
        memcpy(&read, entry.value.data, sizeof read);
        assert_int_equal(read, value);
    }
    assert_int_equal(tarn_map_iterator_next(iterator, &entry, &t->f->error), TARN_DONE);
    tarn_map_iterator_close(iterator);
}

static void expect(hot_test *t, uint32_t begin, uint32_t end, uint32_t value)
{
    expect_rest(t, iterate(t, false), begin, end, value);
}

static tarn_working_set_stats stats(hot_test *t)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(t->f->backend, &stats);
    return stats;
}

/* Rows of the store, which has none of what is only in the working set. */
static uint32_t count_rows(hot_test *t)
{
    tarn__rocks_family *family = tarn__rocks_find_family(t->f->backend->rocks, "map");
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes value;
    uint32_t count = 0;
    assert_ok(
        tarn__rocks_iterate(
            family, tarn_bytes_at("\0\0", 2), tarn_bytes_at("\x7f\xff", 2), &rows, &t->f->error),
        &t->f->error);
    while (tarn__rocks_iterator_next(rows, &row, &value, &t->f->error) == TARN_OK) {
        count++;
    }
    tarn__rocks_iterator_close(rows);
    return count;
}

static bool is_empty(hot_test *t)
{
    bool is_empty = false;
    assert_ok(tarn_map_is_empty(t->map, &is_empty, &t->f->error), &t->f->error);
    return is_empty;
}

static void test_a_small_map_comes_and_goes_without_the_store(void **state)
{
    hot_test t = open_map(state);
    assert_true(is_empty(&t)); /* From here on it is known that there is nothing. */
    for (uint32_t i = 0; i < 5; i++) {
        put(&t, 0, 20, i);
        expect(&t, 0, 20, i);
        expect_number(&t, 7, i);
        assert_false(has(&t, 20));
        assert_false(is_empty(&t));
        for (uint32_t n = 0; n < 20; n++) {
            erase(&t, n);
        }
        assert_true(is_empty(&t));
        put(&t, 0, 20, i);
        assert_ok(tarn_map_clear(t.map, &t.f->error), &t.f->error);
        expect(&t, 0, 0, 0);
    }
    assert_int_equal(stats(&t).written_count, 0);
    assert_int_equal(stats(&t).dirty_count, 0);
    assert_int_equal(count_rows(&t), 0);
    close_map(&t);
}

static void test_only_what_changed_of_a_map_is_written(void **state)
{
    hot_test t = open_map(state);
    put(&t, 0, 50, 1);
    forget(&t);
    assert_int_equal(count_rows(&t), 50);
    expect(&t, 0, 50, 1);
    put(&t, 7, 8, 2);
    erase(&t, 8);
    erase(&t, 60);
    expect_number(&t, 7, 2);
    assert_ok(tarn__backend_settle_all(t.f->backend, &t.f->error), &t.f->error);
    assert_int_equal(stats(&t).written_count, 2);
    assert_int_equal(count_rows(&t), 49);
    expect_number(&t, 7, 2);
    assert_false(has(&t, 8));
    close_map(&t);
}

static void test_what_is_put_blindly_lies_over_what_the_store_has(void **state)
{
    hot_test t = open_map(state);
    put(&t, 0, 20, 1);
    forget(&t);
    put(&t, 5, 6, 2);
    erase(&t, 6);
    erase(&t, 30); /* Never there. */
    put(&t, 25, 26, 2);
    assert_false(has(&t, 6));
    expect_number(&t, 5, 2);
    expect_number(&t, 4, 1);
    assert_false(has(&t, 24));
    tarn_map_iterator *iterator = iterate(&t, true);
    tarn_map_entry entry;
    uint32_t count = 0;
    while (tarn_map_iterator_next(iterator, &entry, &t.f->error) == TARN_OK) {
        count++;
    }
    tarn_map_iterator_close(iterator);
    assert_int_equal(count, 20);
    forget(&t);
    assert_int_equal(count_rows(&t), 20);
    close_map(&t);
}

/* The second look at what is not here reads the map: later ones find it. */
static void test_a_map_that_is_read_again_is_loaded(void **state)
{
    hot_test t = open_map(state);
    put(&t, 0, 50, 1);
    forget(&t);
    expect_number(&t, 1, 1);
    expect_number(&t, 1, 1);
    expect_number(&t, 2, 1);
    expect_number(&t, 3, 1);
    assert_ok(
        tarn__rocks_delete_range(
            tarn_map_keyed(t.map)->family,
            tarn_bytes_at("\0\0", 2),
            tarn_bytes_at("\x7f\xff", 2),
            &t.f->error),
        &t.f->error); /* Behind its back: whoever still asks the store is wrong. */
    for (uint32_t i = 0; i < 50; i++) {
        expect_number(&t, i, 1);
    }
    assert_false(has(&t, 50));
    expect(&t, 0, 50, 1);
    close_map(&t);
}

static void test_a_large_map_is_read_and_written_in_part(void **state)
{
    hot_test t = open_map(state);
    assert_true(is_empty(&t));
    put(&t, 0, LARGE, 1);
    assert_in_range(count_rows(&t), LARGE / 2, LARGE); /* Blocks that were full were written. */
    expect(&t, 0, LARGE, 1);
    put(&t, 100, 110, 1);
    erase(&t, LARGE - 1);
    expect(&t, 0, LARGE - 1, 1);
    for (uint32_t i = 0; i < LARGE - 1; i++) {
        expect_number(&t, i, 1);
    }
    assert_false(has(&t, LARGE - 1));
    assert_false(is_empty(&t));
    uint8_t key[4];
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    make_key(300, key);
    range.from = tarn_bytes_at(key, sizeof key);
    assert_ok(tarn_map_remove_range(t.map, &range, &t.f->error), &t.f->error);
    expect(&t, 0, 300, 1);
    forget(&t);
    expect(&t, 0, 300, 1);
    assert_ok(tarn_map_clear(t.map, &t.f->error), &t.f->error);
    assert_true(is_empty(&t));
    assert_int_equal(count_rows(&t), 0);
    put(&t, 0, 3, 2); /* It is small again, and known as a whole. */
    expect(&t, 0, 3, 2);
    assert_int_equal(count_rows(&t), 0);
    close_map(&t);
}

static void check_iteration_over_writes(hot_test *t, uint32_t count)
{
    put(t, 0, count, 1);
    tarn_map_iterator *forwards = iterate(t, false);
    tarn_map_iterator *again = iterate(t, false);
    put(t, 0, count, 2);
    erase(t, 0);
    put(t, count, count + 5, 2);
    expect_rest(t, forwards, 0, count, 1);
    assert_ok(tarn_map_clear(t->map, &t->f->error), &t->f->error);
    assert_ok(tarn_backend_resize_working_set(t->f->backend, 0, &t->f->error), &t->f->error);
    kinds_set_key(t->f, "other");
    expect_rest(t, again, 0, count, 1);
    kinds_set_key(t->f, "k");
    expect(t, 0, 0, 0);
}

static void test_an_iteration_sees_the_map_as_it_was(void **state)
{
    hot_test t = open_map(state);
    check_iteration_over_writes(&t, 20);
    forget(&t);
    check_iteration_over_writes(&t, LARGE);
    close_map(&t);
}

static void test_without_room_entries_go_to_the_store(void **state)
{
    hot_test t = open_map(state);
    assert_ok(tarn_backend_resize_working_set(t.f->backend, 1, &t.f->error), &t.f->error);
    put(&t, 0, 50, 1);
    assert_int_equal(count_rows(&t), 50);
    expect(&t, 0, 50, 1);
    erase(&t, 49);
    expect(&t, 0, 49, 1);
    assert_ok(tarn_map_clear(t.map, &t.f->error), &t.f->error);
    assert_int_equal(count_rows(&t), 0);
    assert_true(is_empty(&t));
    close_map(&t);
}

static void test_a_value_that_a_read_gave_out_may_be_put(void **state)
{
    hot_test t = open_map(state);
    const tarn_bytes a = tarn_bytes_of("a");
    const tarn_bytes b = tarn_bytes_of("b");
    tarn_bytes read;
    char text[3000];
    assert_ok(tarn_map_put(t.map, a, tarn_bytes_of("some value of a"), &t.f->error), &t.f->error);
    for (size_t size = 1; size < sizeof text; size *= 2) { /* Through blocks of many sizes. */
        memset(text, 'b', size);
        assert_ok(tarn_map_put(t.map, b, tarn_bytes_at(text, size), &t.f->error), &t.f->error);
        assert_ok(tarn_map_get(t.map, a, &read, &t.f->error), &t.f->error);
        assert_ok(tarn_map_put(t.map, b, read, &t.f->error), &t.f->error);
        assert_ok(tarn_map_get(t.map, b, &read, &t.f->error), &t.f->error);
        assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("some value of a")));
        assert_ok(tarn_map_put(t.map, read, read, &t.f->error), &t.f->error);
        assert_ok(
            tarn_map_remove(t.map, tarn_bytes_of("some value of a"), &t.f->error), &t.f->error);
    }
    close_map(&t);
}

static void test_entries_of_all_sizes_are_kept_or_written(void **state)
{
    hot_test t = open_map(state);
    static char text[40000];
    tarn_bytes read;
    memset(text, 'x', sizeof text);
    for (uint32_t round = 0; round < 3; round++) {
        for (size_t size = 0; size < sizeof text; size += 1700 + round) {
            uint8_t key[4];
            make_key((uint32_t)size % 7, key);
            const tarn_bytes name = tarn_bytes_at(key, sizeof key);
            assert_ok(
                tarn_map_put(t.map, name, tarn_bytes_at(text, size), &t.f->error), &t.f->error);
            assert_ok(tarn_map_get(t.map, name, &read, &t.f->error), &t.f->error);
            assert_int_equal(read.size, size);
            assert_ok(tarn_map_put(t.map, tarn_bytes_of("long"), read, &t.f->error), &t.f->error);
            assert_ok(tarn_map_get(t.map, tarn_bytes_of("long"), &read, &t.f->error), &t.f->error);
            assert_int_equal(read.size, size);
        }
        forget(&t);
    }
    close_map(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_small_map_comes_and_goes_without_the_store),
        TEST(test_only_what_changed_of_a_map_is_written),
        TEST(test_what_is_put_blindly_lies_over_what_the_store_has),
        TEST(test_a_map_that_is_read_again_is_loaded),
        TEST(test_a_large_map_is_read_and_written_in_part),
        TEST(test_an_iteration_sees_the_map_as_it_was),
        TEST(test_without_room_entries_go_to_the_store),
        TEST(test_a_value_that_a_read_gave_out_may_be_put),
        TEST(test_entries_of_all_sizes_are_kept_or_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
