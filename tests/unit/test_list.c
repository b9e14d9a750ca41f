/*
 * Unit tests of state/list.c and state/sequence.c: order, empty against absent, elements of all
 * sizes, readings that see the list as it was, and numbers that never come back.
 */
#include "support/kinds_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct list_test {
    kinds_fixture *f;
    tarn_list *list;
} list_test;

static list_test open_list(void **state)
{
    list_test t = {.f = *state};
    assert_ok(
        tarn_list_open(t.f->backend, kinds_options(t.f, "list"), &t.list, &t.f->error),
        &t.f->error);
    kinds_set_key(t.f, "k");
    return t;
}

static void close_list(list_test *t)
{
    assert_ok(tarn_list_close(t->list, &t->f->error), &t->f->error);
}

static void append(list_test *t, const char *element)
{
    assert_ok(tarn_list_append(t->list, tarn_bytes_of(element), &t->f->error), &t->f->error);
}

/* Compares all elements, each followed by a comma. */
static void expect(list_test *t, const char *expected)
{
    char all[256] = "";
    size_t size = 0;
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    assert_ok(tarn_list_iterate(t->list, NULL, &iterator, &t->f->error), &t->f->error);
    tarn_status status = tarn_list_iterator_next(iterator, &element, &t->f->error);
    while (status == TARN_OK) {
        size += (size_t)snprintf(
            all + size, sizeof all - size, "%.*s,", (int)element.size, (const char *)element.data);
        status = tarn_list_iterator_next(iterator, &element, &t->f->error);
    }
    assert_int_equal(status, TARN_DONE);
    tarn_list_iterator_close(iterator);
    assert_string_equal(all, expected);
}

static void test_elements_come_in_the_order_in_which_they_were_appended(void **state)
{
    list_test t = open_list(state);
    const tarn_bytes more[] = {tarn_bytes_of("c"), tarn_bytes_of(""), tarn_bytes_of("d")};
    expect(&t, "");
    append(&t, "b");
    append(&t, "a");
    assert_ok(tarn_list_append_all(t.list, more, 3, &t.f->error), &t.f->error);
    append(&t, "a");
    expect(&t, "b,a,c,,d,a,");
    kinds_set_key(t.f, "kk");
    expect(&t, "");
    close_list(&t);
}

static void test_appending_nothing_and_replacing_by_nothing_make_no_list(void **state)
{
    list_test t = open_list(state);
    assert_ok(tarn_list_append_all(t.list, NULL, 0, &t.f->error), &t.f->error);
    assert_int_equal(kinds_count_keys(t.f, tarn_list_keyed(t.list), ""), 0);
    append(&t, "");
    assert_int_equal(kinds_count_keys(t.f, tarn_list_keyed(t.list), ""), 1);
    expect(&t, ",");
    assert_ok(tarn_list_replace(t.list, NULL, 0, &t.f->error), &t.f->error);
    assert_int_equal(kinds_count_keys(t.f, tarn_list_keyed(t.list), ""), 0);
    close_list(&t);
}

static void test_replacing_leaves_only_what_is_new(void **state)
{
    list_test t = open_list(state);
    const tarn_bytes new_ones[] = {tarn_bytes_of("x"), tarn_bytes_of("y")};
    for (uint32_t i = 0; i < 200; i++) { /* More chunks than are removed one by one. */
        append(&t, "old");
    }
    kinds_set_key(t.f, "neighbour");
    append(&t, "n");
    kinds_set_key(t.f, "k");
    assert_ok(tarn_list_replace(t.list, new_ones, 2, &t.f->error), &t.f->error);
    expect(&t, "x,y,");
    append(&t, "z");
    expect(&t, "x,y,z,");
    assert_ok(tarn_list_clear(t.list, &t.f->error), &t.f->error);
    assert_ok(tarn_list_clear(t.list, &t.f->error), &t.f->error);
    expect(&t, "");
    kinds_set_key(t.f, "neighbour");
    expect(&t, "n,");
    close_list(&t);
}

static void test_elements_of_all_sizes_come_back_across_chunks(void **state)
{
    list_test t = open_list(state);
    static const size_t SIZES[] = {0, 1, 127, 128, 40000, 40000, 65536, 300000, 5};
    static uint8_t data[300000];
    static tarn_bytes elements[9];
    memset(data, 'e', sizeof data);
    for (size_t i = 0; i < 9; i++) {
        elements[i] = tarn_bytes_at(data, SIZES[i]);
    }
    assert_ok(tarn_list_append_all(t.list, elements, 9, &t.f->error), &t.f->error);
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    assert_ok(tarn_list_iterate(t.list, NULL, &iterator, &t.f->error), &t.f->error);
    for (size_t i = 0; i < 9; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &element, &t.f->error), &t.f->error);
        assert_true(tarn_bytes_is_equal(element, elements[i]));
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &t.f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
    assert_int_equal(
        tarn_list_append(t.list, tarn_bytes_at(data, (size_t)INT32_MAX + 1), &t.f->error),
        TARN_INVALID_ARGUMENT);
    close_list(&t);
}

/* A list is no row, so the limit of one is none of a list: with TARN_LONG=1 this one has more than
 * 2 GiB, else a few MiB. Neither side ever holds more than a chunk of it. */
static void test_a_list_may_be_larger_than_a_row(void **state)
{
    list_test t = open_list(state);
    enum { ELEMENT_BYTES = 1 << 20, COUNT = 20, COUNT_LONG = 2100 };
    static uint8_t data[ELEMENT_BYTES];
    const char *is_long = getenv("TARN_LONG");
    const uint32_t count = is_long != NULL && is_long[0] == '1' ? COUNT_LONG : COUNT;
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(data, &i, sizeof i);
        assert_ok(
            tarn_list_append(t.list, tarn_bytes_at(data, sizeof data), &t.f->error), &t.f->error);
    }
    assert_ok(tarn_list_iterate(t.list, NULL, &iterator, &t.f->error), &t.f->error);
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &element, &t.f->error), &t.f->error);
        assert_int_equal(element.size, ELEMENT_BYTES);
        assert_memory_equal(element.data, &i, sizeof i);
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &t.f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
    assert_ok(tarn_list_clear(t.list, &t.f->error), &t.f->error);
    expect(&t, "");
    close_list(&t);
}

static void test_a_reading_sees_the_list_as_it_was_and_is_named_when_it_leaks(void **state)
{
    list_test t = open_list(state);
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    append(&t, "a");
    append(&t, "b");
    assert_ok(tarn_list_iterate(t.list, "drain", &iterator, &t.f->error), &t.f->error);
    append(&t, "c");
    assert_ok(tarn_list_clear(t.list, &t.f->error), &t.f->error);
    kinds_set_key(t.f, "other");
    assert_ok(tarn_list_iterator_next(iterator, &element, &t.f->error), &t.f->error);
    assert_ok(tarn_list_iterator_next(iterator, &element, &t.f->error), &t.f->error);
    assert_true(tarn_bytes_is_equal(element, tarn_bytes_of("b")));
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &t.f->error), TARN_DONE);
    kinds_expect_failure(t.f, tarn_list_close(t.list, &t.f->error), TARN_BUSY, "drain");
    tarn_list_iterator_close(iterator);
    close_list(&t);
}

/* An element that a reading gave out is appended, to the list that is being read. */
static void test_borrowed_elements_can_be_appended(void **state)
{
    list_test t = open_list(state);
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    append(&t, "a");
    append(&t, "b");
    assert_ok(tarn_list_iterate(t.list, NULL, &iterator, &t.f->error), &t.f->error);
    while (tarn_list_iterator_next(iterator, &element, &t.f->error) == TARN_OK) {
        assert_ok(tarn_list_append(t.list, element, &t.f->error), &t.f->error);
    }
    tarn_list_iterator_close(iterator);
    expect(&t, "a,b,a,b,");
    close_list(&t);
}

static void test_a_damaged_chunk_is_reported_once_and_ends_the_reading(void **state)
{
    list_test t = open_list(state);
    append(&t, "a");
    assert_ok(tarn_backend_resize_working_set(t.f->backend, 0, &t.f->error), &t.f->error);
    tarn__rocks_family *family = tarn__rocks_find_family(t.f->backend->rocks, "list");
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes value;
    assert_ok(
        tarn__rocks_iterate(
            family, tarn_bytes_at("\0\0", 2), tarn_bytes_at("\x7f\xff", 2), &rows, &t.f->error),
        &t.f->error);
    assert_ok(tarn__rocks_iterator_next(rows, &row, &value, &t.f->error), &t.f->error);
    assert_ok(tarn__rocks_put(family, row, tarn_bytes_of("\x09z"), &t.f->error), &t.f->error);
    tarn__rocks_iterator_close(rows);
    tarn_list_iterator *iterator = NULL;
    assert_ok(tarn_list_iterate(t.list, NULL, &iterator, &t.f->error), &t.f->error);
    kinds_expect_failure(
        t.f, tarn_list_iterator_next(iterator, &value, &t.f->error), TARN_CORRUPTION, "list");
    assert_int_equal(tarn_list_iterator_next(iterator, &value, &t.f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
    close_list(&t);
}

/* ---- sequence numbers ------------------------------------------------------------------- */

static void test_numbers_grow_and_a_raised_mark_is_passed(void **state)
{
    kinds_fixture *f = *state;
    uint64_t a = 0;
    uint64_t b = 0;
    assert_ok(tarn__backend_take_sequence(f->backend, 10, &a, &f->error), &f->error);
    assert_ok(tarn__backend_take_sequence(f->backend, 1, &b, &f->error), &f->error);
    assert_int_equal(b, a + 10);
    assert_ok(
        tarn__backend_take_sequence(f->backend, TARN__SEQUENCE_COUNT_MAX, &a, &f->error),
        &f->error);
    assert_true(a > b);
    assert_ok(tarn__backend_raise_sequence(f->backend, 1 << 30, &f->error), &f->error);
    assert_ok(tarn__backend_take_sequence(f->backend, 1, &b, &f->error), &f->error);
    assert_true(b >= 1 << 30 && b > a + TARN__SEQUENCE_COUNT_MAX - 1);
    assert_ok(
        tarn__backend_raise_sequence(f->backend, 5, &f->error), &f->error); /* No step back. */
    assert_ok(tarn__backend_take_sequence(f->backend, 1, &a, &f->error), &f->error);
    assert_int_equal(a, b + 1);
    assert_int_equal(
        tarn__backend_take_sequence(f->backend, TARN__SEQUENCE_COUNT_MAX + 1, &a, &f->error),
        TARN_INVALID_ARGUMENT);
}

/* Would a number come back, the new element would take the place of an old one. */
static void test_what_is_appended_after_a_restore_comes_last(void **state)
{
    list_test t = open_list(state);
    char address[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(address, sizeof address, "%s/store", t.f->directory);
    append(&t, "a");
    append(&t, "b");
    kinds_take_checkpoint(t.f, address);
    append(&t, "lost");
    close_list(&t);
    kinds_restore(t.f, address);
    t = open_list(state);
    append(&t, "c");
    expect(&t, "a,b,c,");
    close_list(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_elements_come_in_the_order_in_which_they_were_appended),
        TEST(test_appending_nothing_and_replacing_by_nothing_make_no_list),
        TEST(test_replacing_leaves_only_what_is_new),
        TEST(test_elements_of_all_sizes_come_back_across_chunks),
        TEST(test_a_list_may_be_larger_than_a_row),
        TEST(test_a_reading_sees_the_list_as_it_was_and_is_named_when_it_leaks),
        TEST(test_borrowed_elements_can_be_appended),
        TEST(test_a_damaged_chunk_is_reported_once_and_ends_the_reading),
        TEST(test_numbers_grow_and_a_raised_mark_is_passed),
        TEST(test_what_is_appended_after_a_restore_comes_last),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
