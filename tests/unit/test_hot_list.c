/*
 * Unit tests of state/hot_list.c: what lists cost the store while the working set has them, and
 * what becomes of them when it has no room or a snapshot is open.
 */
#include "support/kinds_fixture.h"

#include <string.h>

#include "tarn/list.h"

enum { WORKING_SET_BYTES = 1 << 20, ELEMENT_BYTES = 100, ELEMENTS_MAX = 2000 };

typedef struct hot_test {
    kinds_fixture *f;
    tarn_list *list;
} hot_test;

static hot_test open_list(void **state)
{
    hot_test t = {.f = *state};
    assert_ok(
        tarn_backend_resize_working_set(t.f->backend, WORKING_SET_BYTES, &t.f->error), &t.f->error);
    assert_ok(
        tarn_list_open(t.f->backend, kinds_options(t.f, "list"), &t.list, &t.f->error),
        &t.f->error);
    kinds_set_key(t.f, "k");
    return t;
}

static void close_list(hot_test *t)
{
    assert_ok(tarn_list_close(t->list, &t->f->error), &t->f->error);
}

/* Element number i: its first bytes say so. */
static void append(hot_test *t, uint32_t begin, uint32_t end)
{
    uint8_t element[ELEMENT_BYTES] = {0};
    for (uint32_t i = begin; i < end; i++) {
        memcpy(element, &i, sizeof i);
        assert_ok(
            tarn_list_append(t->list, tarn_bytes_at(element, sizeof element), &t->f->error),
            &t->f->error);
    }
}

/* What is left of a reading are the elements from begin to end. */
static void expect_rest(hot_test *t, tarn_list_iterator *iterator, uint32_t begin, uint32_t end)
{
    tarn_bytes element;
    for (uint32_t i = begin; i < end; i++) {
        uint32_t number;
        assert_ok(tarn_list_iterator_next(iterator, &element, &t->f->error), &t->f->error);
        assert_int_equal(element.size, ELEMENT_BYTES);
        memcpy(&number, element.data, sizeof number);
        assert_int_equal(number, i);
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &t->f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
}

static tarn_list_iterator *iterate(hot_test *t)
{
    tarn_list_iterator *iterator = NULL;
    assert_ok(tarn_list_iterate(t->list, NULL, &iterator, &t->f->error), &t->f->error);
    return iterator;
}

static void expect(hot_test *t, uint32_t begin, uint32_t end)
{
    expect_rest(t, iterate(t), begin, end);
}

static tarn_working_set_stats stats(hot_test *t)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(t->f->backend, &stats);
    return stats;
}

/* Rows of the store, which has none of what is only in the working set. */
static uint32_t count_chunks(hot_test *t)
{
    tarn__rocks_family *family = tarn__rocks_find_family(t->f->backend->rocks, "list");
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

static void test_a_small_list_comes_and_goes_without_the_store(void **state)
{
    hot_test t = open_list(state);
    for (uint32_t i = 0; i < 5; i++) {
        append(&t, 0, 8);
        expect(&t, 0, 8);
        append(&t, 8, 16);
        expect(&t, 0, 16);
        assert_ok(tarn_list_clear(t.list, &t.f->error), &t.f->error);
        expect(&t, 0, 0);
    }
    assert_int_equal(stats(&t).written_count, 0);
    assert_int_equal(stats(&t).dirty_count, 0);
    assert_int_equal(count_chunks(&t), 0);
    close_list(&t);
}

static void test_a_long_list_is_written_in_few_chunks_and_read_in_order(void **state)
{
    hot_test t = open_list(state);
    append(&t, 0, ELEMENTS_MAX);
    const uint32_t chunk_count = count_chunks(&t);
    assert_in_range(chunk_count, 1, ELEMENTS_MAX / 8);
    expect(&t, 0, ELEMENTS_MAX);
    assert_int_equal(count_chunks(&t), chunk_count); /* Reading writes nothing. */
    append(&t, ELEMENTS_MAX, ELEMENTS_MAX + 3);
    expect(&t, 0, ELEMENTS_MAX + 3);
    close_list(&t);
}

static void test_a_list_in_the_store_is_whole_again_once_it_was_read(void **state)
{
    hot_test t = open_list(state);
    append(&t, 0, 3);
    close_list(&t); /* It is written. */
    t = open_list(state);
    assert_int_equal(count_chunks(&t), 1);
    append(&t, 3, 5); /* Beside it. */
    expect(&t, 0, 5);
    append(&t, 5, 6);
    expect(&t, 0, 6);
    close_list(&t);
    t = open_list(state);
    assert_int_equal(count_chunks(&t), 1); /* The same one. */
    expect(&t, 0, 6);
    assert_ok(tarn_list_clear(t.list, &t.f->error), &t.f->error);
    expect(&t, 0, 0);
    assert_int_equal(count_chunks(&t), 1); /* The removal waits in the working set. */
    close_list(&t);
    t = open_list(state);
    assert_int_equal(count_chunks(&t), 0);
    close_list(&t);
}

static void test_a_reading_has_the_end_of_the_list_as_it_was(void **state)
{
    hot_test t = open_list(state);
    append(&t, 0, ELEMENTS_MAX);
    tarn_list_iterator *iterator = iterate(&t);
    append(&t, ELEMENTS_MAX, 2 * ELEMENTS_MAX);
    assert_ok(tarn_backend_resize_working_set(t.f->backend, 0, &t.f->error), &t.f->error);
    append(&t, 2 * ELEMENTS_MAX, 2 * ELEMENTS_MAX + 1);
    expect_rest(&t, iterator, 0, ELEMENTS_MAX);
    expect(&t, 0, 2 * ELEMENTS_MAX + 1);
    close_list(&t);
}

static void test_a_merge_of_windows_in_memory_writes_nothing(void **state)
{
    hot_test t = open_list(state);
    const tarn_bytes source = tarn_bytes_of("b");
    assert_ok(tarn_list_set_namespace(t.list, tarn_bytes_of("a"), &t.f->error), &t.f->error);
    append(&t, 0, 4);
    expect(&t, 0, 4);
    assert_ok(tarn_list_set_namespace(t.list, source, &t.f->error), &t.f->error);
    append(&t, 4, 9);
    expect(&t, 4, 9);
    assert_ok(
        tarn_keyed_merge_namespaces(
            tarn_list_keyed(t.list), &source, 1, tarn_bytes_of("a"), &t.f->error),
        &t.f->error);
    expect(&t, 0, 0);
    assert_ok(tarn_list_set_namespace(t.list, tarn_bytes_of("a"), &t.f->error), &t.f->error);
    expect(&t, 0, 9);
    assert_int_equal(stats(&t).written_count, 0);
    close_list(&t);
}

static void test_without_room_elements_go_to_the_store(void **state)
{
    hot_test t = open_list(state);
    assert_ok(tarn_backend_resize_working_set(t.f->backend, 1, &t.f->error), &t.f->error);
    append(&t, 0, 50);
    assert_int_equal(count_chunks(&t), 50);
    expect(&t, 0, 50);
    assert_ok(tarn_list_clear(t.list, &t.f->error), &t.f->error);
    assert_int_equal(count_chunks(&t), 0);
    close_list(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_small_list_comes_and_goes_without_the_store),
        TEST(test_a_long_list_is_written_in_few_chunks_and_read_in_order),
        TEST(test_a_list_in_the_store_is_whole_again_once_it_was_read),
        TEST(test_a_reading_has_the_end_of_the_list_as_it_was),
        TEST(test_a_merge_of_windows_in_memory_writes_nothing),
        TEST(test_without_room_elements_go_to_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
