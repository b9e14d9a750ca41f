/*
 * Unit tests of state/ttl.c through all kinds: the exact boundary, what reads show, remove and
 * prolong, and a clock that goes back. NEVER hides what is expired, SHOWN answers it once.
 */
#include "support/kinds_fixture.h"

#include <string.h>

#define NEVER    TARN_TTL_NEVER_RETURN_EXPIRED
#define SHOWN    TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED
#define ON_WRITE TARN_TTL_ON_CREATE_AND_WRITE
#define ON_READ  TARN_TTL_ON_READ_AND_WRITE

enum { TTL = 10 };

/* ---- helpers ---------------------------------------------------------------------------- */

static tarn_value *open_value(kinds_fixture *f, tarn_ttl_update update, tarn_ttl_visibility shown)
{
    tarn_value *value = NULL;
    const tarn_state_options *options = kinds_ttl_options(f, "value", TTL, update, shown);
    assert_ok(tarn_value_open(f->backend, options, &value, &f->error), &f->error);
    kinds_set_key(f, "k");
    return value;
}

static tarn_list *open_list(kinds_fixture *f, tarn_ttl_update update, tarn_ttl_visibility shown)
{
    tarn_list *list = NULL;
    const tarn_state_options *options = kinds_ttl_options(f, "list", TTL, update, shown);
    assert_ok(tarn_list_open(f->backend, options, &list, &f->error), &f->error);
    kinds_set_key(f, "k");
    return list;
}

static tarn_map *open_map(kinds_fixture *f, tarn_ttl_update update, tarn_ttl_visibility shown)
{
    tarn_map *map = NULL;
    const tarn_state_options *options = kinds_ttl_options(f, "map", TTL, update, shown);
    assert_ok(tarn_map_open(f->backend, options, &map, &f->error), &f->error);
    kinds_set_key(f, "k");
    return map;
}

static tarn_reducing *open_sum(kinds_fixture *f, tarn_ttl_update update, tarn_ttl_visibility shown)
{
    tarn_reducing *sum = NULL;
    tarn_reducing_options how = TARN_REDUCING_OPTIONS_INIT;
    const tarn_state_options *options = kinds_ttl_options(f, "sum", TTL, update, shown);
    how.reducer = TARN_REDUCER_SUM;
    assert_ok(tarn_reducing_open(f->backend, options, &how, &sum, &f->error), &f->error);
    kinds_set_key(f, "k");
    return sum;
}

static void put_at(kinds_fixture *f, tarn_value *value, int64_t now_ms)
{
    f->now_ms = now_ms;
    assert_ok(tarn_value_put(value, tarn_bytes_of("v"), &f->error), &f->error);
}

static tarn_status get_at(kinds_fixture *f, tarn_value *value, int64_t now_ms)
{
    tarn_bytes read = {NULL, 0};
    f->now_ms = now_ms;
    const tarn_status status = tarn_value_get(value, &read, &f->error);
    assert_true(status == TARN_NOT_FOUND || tarn_bytes_is_equal(read, tarn_bytes_of("v")));
    return status;
}

static void append_at(kinds_fixture *f, tarn_list *list, int64_t now_ms, const char *element)
{
    f->now_ms = now_ms;
    assert_ok(tarn_list_append(list, tarn_bytes_of(element), &f->error), &f->error);
}

static void expect_list_at(kinds_fixture *f, tarn_list *list, int64_t now_ms, const char *expected)
{
    char all[64] = "";
    size_t size = 0;
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    f->now_ms = now_ms;
    assert_ok(tarn_list_iterate(list, NULL, &iterator, &f->error), &f->error);
    tarn_status status = tarn_list_iterator_next(iterator, &element, &f->error);
    while (status == TARN_OK) {
        memcpy(all + size, element.data, element.size);
        size += element.size;
        status = tarn_list_iterator_next(iterator, &element, &f->error);
    }
    assert_int_equal(status, TARN_DONE);
    tarn_list_iterator_close(iterator);
    assert_string_equal(all, expected);
}

static void add_at(kinds_fixture *f, tarn_reducing *sum, int64_t now_ms, int64_t number)
{
    f->now_ms = now_ms;
    assert_ok(tarn_reducing_add_i64(sum, number, &f->error), &f->error);
}

static tarn_status sum_at(kinds_fixture *f, tarn_reducing *sum, int64_t now_ms, int64_t *out)
{
    f->now_ms = now_ms;
    return tarn_reducing_get_i64(sum, out, &f->error);
}

/* ---- values ----------------------------------------------------------------------------- */

static void test_a_value_expires_at_its_exact_millisecond(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_value(f, ON_WRITE, NEVER);
    put_at(f, value, 100);
    assert_int_equal(get_at(f, value, 109), TARN_OK);
    assert_int_equal(kinds_count_keys(f, tarn_value_keyed(value), ""), 1);
    f->now_ms = 110;
    assert_int_equal(kinds_count_keys(f, tarn_value_keyed(value), ""), 1); /* Nobody read it. */
    assert_int_equal(get_at(f, value, 110), TARN_NOT_FOUND);
    assert_int_equal(kinds_count_keys(f, tarn_value_keyed(value), ""), 0); /* The read did. */
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_an_expired_value_is_shown_once_where_it_is_shown(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_value(f, ON_READ, SHOWN);
    put_at(f, value, 0);
    assert_int_equal(get_at(f, value, 500), TARN_OK);
    assert_int_equal(get_at(f, value, 500), TARN_NOT_FOUND);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_reads_prolong_only_where_they_should(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_value(f, ON_READ, NEVER);
    put_at(f, value, 0);
    assert_int_equal(get_at(f, value, 9), TARN_OK);
    assert_int_equal(get_at(f, value, 18), TARN_OK);
    assert_int_equal(get_at(f, value, 28), TARN_NOT_FOUND);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_clock_that_goes_back_keeps_values_longer(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_value(f, ON_READ, NEVER);
    put_at(f, value, 100);
    assert_int_equal(get_at(f, value, 50), TARN_OK); /* Stamped 50 now. */
    assert_int_equal(get_at(f, value, 60), TARN_NOT_FOUND);
    put_at(f, value, INT64_MAX - 1); /* The sum saturates. */
    assert_int_equal(get_at(f, value, INT64_MAX - 1), TARN_OK);
    assert_int_equal(get_at(f, value, INT64_MAX), TARN_NOT_FOUND);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_an_edit_of_an_expired_value_begins_with_zeros(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_value(f, ON_WRITE, NEVER);
    void *bytes = NULL;
    put_at(f, value, 0);
    f->now_ms = 9;
    assert_ok(tarn_value_edit(value, 1, &bytes, &f->error), &f->error);
    assert_int_equal((uintptr_t)bytes % _Alignof(max_align_t), 0);
    assert_memory_equal(bytes, "v", 1);
    f->now_ms = 15; /* The edit is stored by the next call, and is as young as that. */
    assert_ok(tarn_value_edit(value, 1, &bytes, &f->error), &f->error);
    f->now_ms = 24;
    assert_ok(tarn_value_edit(value, 1, &bytes, &f->error), &f->error);
    assert_memory_equal(bytes, "v", 1);
    f->now_ms = 24;
    assert_ok(tarn__backend_settle(f->backend, &f->error), &f->error);
    f->now_ms = 34;
    assert_ok(tarn_value_edit(value, 1, &bytes, &f->error), &f->error);
    assert_memory_equal(bytes, "\0", 1);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_an_iteration_over_values_hides_what_is_expired(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_value(f, ON_WRITE, NEVER);
    tarn_value_iterator *iterator = NULL;
    tarn_row row;
    put_at(f, value, 0);
    kinds_set_key(f, "l");
    put_at(f, value, 5);
    f->now_ms = 10;
    assert_ok(tarn_value_iterate(value, NULL, &iterator, &f->error), &f->error);
    assert_ok(tarn_value_iterator_next(iterator, &row, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(row.key, tarn_bytes_of("l")));
    assert_true(tarn_bytes_is_equal(row.value, tarn_bytes_of("v")));
    assert_int_equal(tarn_value_iterator_next(iterator, &row, &f->error), TARN_DONE);
    tarn_value_iterator_close(iterator);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_value_without_room_for_its_time_is_corruption(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_value(f, ON_WRITE, NEVER);
    tarn_bytes read;
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    put_at(f, value, 0);
    assert_ok(
        tarn__rocks_put(
            tarn__rocks_find_family(f->backend->rocks, "value"),
            tarn_bytes_at(f->backend->row.data, f->backend->row.size + 1),
            tarn_bytes_of("short"),
            &f->error),
        &f->error);
    kinds_expect_failure(f, tarn_value_get(value, &read, &f->error), TARN_CORRUPTION, "value");
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* ---- lists ------------------------------------------------------------------------------ */

static void test_elements_expire_one_by_one(void **state)
{
    kinds_fixture *f = *state;
    tarn_list *list = open_list(f, ON_WRITE, NEVER);
    append_at(f, list, 0, "a");
    append_at(f, list, 5, "b");
    append_at(f, list, 9, "c");
    expect_list_at(f, list, 9, "abc");
    expect_list_at(f, list, 10, "bc");
    expect_list_at(f, list, 9, "abc"); /* Not trimmed: the clock went back. */
    expect_list_at(f, list, 15, "c");
    expect_list_at(f, list, 19, "");
    expect_list_at(f, list, 9, ""); /* All were expired, and gone. */
    assert_int_equal(kinds_count_keys(f, tarn_list_keyed(list), ""), 0);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

static void test_prolonging_reads_trim_a_list(void **state)
{
    kinds_fixture *f = *state;
    tarn_list *list = open_list(f, ON_READ, SHOWN);
    append_at(f, list, 0, "a");
    append_at(f, list, 5, "b");
    expect_list_at(f, list, 12, "ab"); /* "a" is shown for the last time. */
    expect_list_at(f, list, 21, "b");
    expect_list_at(f, list, 31, "b");
    expect_list_at(f, list, 31, "");
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

/* What an iterator saw expired may have been written again since. */
static void test_what_was_appended_during_a_reading_is_not_cleaned_with_it(void **state)
{
    kinds_fixture *f = *state;
    tarn_list *list = open_list(f, ON_WRITE, NEVER);
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    append_at(f, list, 0, "a");
    assert_ok(tarn_list_iterate(list, NULL, &iterator, &f->error), &f->error);
    append_at(f, list, 100, "b");
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
    expect_list_at(f, list, 100, "b");
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

/* ---- maps ------------------------------------------------------------------------------- */

static void test_entries_expire_one_by_one_and_count_until_they_are_read(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = open_map(f, ON_WRITE, NEVER);
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    bool is_empty = true;
    f->now_ms = 0;
    assert_ok(tarn_map_put(map, tarn_bytes_of("a"), tarn_bytes_of("1"), &f->error), &f->error);
    f->now_ms = 5;
    assert_ok(tarn_map_put(map, tarn_bytes_of("b"), tarn_bytes_of("2"), &f->error), &f->error);
    f->now_ms = 10;
    assert_ok(tarn_map_iterate(map, NULL, NULL, &iterator, &f->error), &f->error);
    assert_ok(tarn_map_iterator_next(iterator, &entry, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(entry.key, tarn_bytes_of("b")));
    assert_int_equal(tarn_map_iterator_next(iterator, &entry, &f->error), TARN_DONE);
    tarn_map_iterator_close(iterator);
    f->now_ms = 15;
    assert_ok(tarn_map_is_empty(map, &is_empty, &f->error), &f->error);
    assert_false(is_empty);
    assert_int_equal(tarn_map_contains(map, tarn_bytes_of("b"), &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_map_is_empty(map, &is_empty, &f->error), &f->error);
    assert_true(is_empty);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static void check_entry_written_during_iteration(kinds_fixture *f, tarn_ttl_update update)
{
    tarn_map *map = open_map(f, update, NEVER);
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    tarn_bytes read;
    f->now_ms = 0;
    assert_ok(tarn_map_put(map, tarn_bytes_of("a"), tarn_bytes_of("old"), &f->error), &f->error);
    assert_ok(tarn_map_put(map, tarn_bytes_of("b"), tarn_bytes_of("old"), &f->error), &f->error);
    assert_ok(tarn_map_iterate(map, NULL, NULL, &iterator, &f->error), &f->error);
    f->now_ms = 4;
    assert_ok(tarn_map_put(map, tarn_bytes_of("a"), tarn_bytes_of("new"), &f->error), &f->error);
    assert_ok(tarn_map_remove(map, tarn_bytes_of("b"), &f->error), &f->error);
    f->now_ms = update == ON_READ ? 5 : 12; /* Prolonged, or expired as the iterator sees it. */
    tarn_status status = TARN_OK;
    while (status == TARN_OK) {
        status = tarn_map_iterator_next(iterator, &entry, &f->error);
    }
    assert_int_equal(status, TARN_DONE);
    tarn_map_iterator_close(iterator);
    assert_ok(tarn_map_get(map, tarn_bytes_of("a"), &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("new")));
    assert_int_equal(tarn_map_contains(map, tarn_bytes_of("b"), &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_map_clear(map, &f->error), &f->error);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static void test_an_iteration_does_not_undo_what_was_written_since(void **state)
{
    check_entry_written_during_iteration(*state, ON_WRITE);
    check_entry_written_during_iteration(*state, ON_READ);
}

/* ---- reducing --------------------------------------------------------------------------- */

static void test_an_add_to_an_expired_sum_begins_anew_where_it_is_hidden(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *sum = open_sum(f, ON_WRITE, NEVER);
    int64_t read = 0;
    add_at(f, sum, 0, 1);
    add_at(f, sum, 9, 2); /* Any add makes it young again. */
    add_at(f, sum, 18, 4);
    assert_ok(sum_at(f, sum, 27, &read), &f->error);
    assert_int_equal(read, 7);
    add_at(f, sum, 28, 8);
    assert_ok(sum_at(f, sum, 37, &read), &f->error);
    assert_int_equal(read, 8);
    assert_int_equal(sum_at(f, sum, 38, &read), TARN_NOT_FOUND);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

static void test_an_add_to_an_expired_sum_counts_it_where_it_is_shown(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *sum = open_sum(f, ON_WRITE, SHOWN);
    int64_t read = 0;
    add_at(f, sum, 0, 1);
    add_at(f, sum, 100, 2);
    assert_ok(sum_at(f, sum, 109, &read), &f->error);
    assert_int_equal(read, 3);
    assert_ok(sum_at(f, sum, 110, &read), &f->error);
    assert_int_equal(sum_at(f, sum, 110, &read), TARN_NOT_FOUND);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

/* Operands fold in files before anyone reads: the same must come out. */
static void test_blind_adds_keep_the_rules_through_compaction(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *sum = open_sum(f, ON_WRITE, NEVER);
    int64_t read = 0;
    for (int64_t i = 0; i < 6; i++) {
        add_at(f, sum, 9 * i, 1); /* Each in time for the one before. */
        assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    }
    tarn__rocks_compact(tarn__rocks_find_family(f->backend->rocks, "sum"));
    assert_ok(sum_at(f, sum, 50, &read), &f->error);
    assert_int_equal(read, 6);
    add_at(f, sum, 55, 10); /* The sum was stamped 45. */
    add_at(f, sum, 56, 10);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    tarn__rocks_compact(tarn__rocks_find_family(f->backend->rocks, "sum"));
    assert_ok(sum_at(f, sum, 56, &read), &f->error);
    assert_int_equal(read, 20);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

static void test_what_came_of_two_namespaces_is_young_and_what_was_moved_is_not(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing *sum = open_sum(f, ON_WRITE, NEVER);
    tarn_keyed *keyed = tarn_reducing_keyed(sum);
    const tarn_bytes sources[] = {tarn_bytes_of("a"), tarn_bytes_of("b")};
    int64_t read = 0;
    kinds_set_namespace(f, keyed, "a");
    add_at(f, sum, 0, 1);
    f->now_ms = 5;
    assert_ok(
        tarn_keyed_merge_namespaces(keyed, sources, 2, tarn_bytes_of("t"), &f->error), &f->error);
    kinds_set_namespace(f, keyed, "t");
    assert_ok(sum_at(f, sum, 9, &read), &f->error); /* As old as ever. */
    kinds_set_namespace(f, keyed, "b");
    add_at(f, sum, 9, 2);
    f->now_ms = 9;
    assert_ok(
        tarn_keyed_merge_namespaces(keyed, sources, 2, tarn_bytes_of("t"), &f->error), &f->error);
    kinds_set_namespace(f, keyed, "t");
    assert_ok(sum_at(f, sum, 18, &read), &f->error);
    assert_int_equal(read, 3);
    kinds_set_namespace(f, keyed, "b");
    add_at(f, sum, 19, 4);
    f->now_ms = 19; /* The target is expired now: it does not count. */
    assert_ok(
        tarn_keyed_merge_namespaces(keyed, sources, 2, tarn_bytes_of("t"), &f->error), &f->error);
    kinds_set_namespace(f, keyed, "t");
    assert_ok(sum_at(f, sum, 28, &read), &f->error);
    assert_int_equal(read, 4);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

/* Time that goes back makes nothing young that a read has found too old, and nothing older. */
static void test_a_clock_that_goes_back_keeps_entries_and_sums_until_they_are_read(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = open_map(f, ON_WRITE, NEVER);
    tarn_reducing *sum = open_sum(f, ON_WRITE, NEVER);
    tarn_bytes read;
    int64_t number = 0;
    add_at(f, sum, 100, 7);
    assert_ok(tarn_map_put(map, tarn_bytes_of("a"), tarn_bytes_of("1"), &f->error), &f->error);
    static const int64_t YOUNG[] = {109, 50, INT64_MIN, 109};
    for (size_t i = 0; i < sizeof YOUNG / sizeof *YOUNG; i++) {
        assert_ok(sum_at(f, sum, YOUNG[i], &number), &f->error);
        assert_int_equal(number, 7);
        assert_ok(tarn_map_get(map, tarn_bytes_of("a"), &read, &f->error), &f->error);
    }
    assert_int_equal(sum_at(f, sum, 110, &number), TARN_NOT_FOUND);
    assert_int_equal(tarn_map_get(map, tarn_bytes_of("a"), &read, &f->error), TARN_NOT_FOUND);
    assert_int_equal(sum_at(f, sum, 109, &number), TARN_NOT_FOUND); /* The read removed it. */
    assert_int_equal(tarn_map_get(map, tarn_bytes_of("a"), &read, &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

/* ---- options ---------------------------------------------------------------------------- */

static void test_a_ttl_that_is_none_is_refused(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = NULL;
    kinds_expect_failure(
        f,
        tarn_value_open(
            f->backend, kinds_ttl_options(f, "v", 0, ON_WRITE, NEVER), &value, &f->error),
        TARN_INVALID_ARGUMENT,
        "0 ms");
    kinds_expect_failure(
        f,
        tarn_value_open(
            f->backend, kinds_ttl_options(f, "v", 1, (tarn_ttl_update)2, NEVER), &value, &f->error),
        TARN_INVALID_ARGUMENT,
        "(2, 0)");
    assert_null(value);
}

static void test_the_machines_clock_serves_when_no_other_is_given(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = NULL;
    (void)kinds_ttl_options(f, "v", 3600000, ON_WRITE, NEVER);
    f->ttl.now_ms = NULL;
    assert_ok(tarn_value_open(f->backend, &f->options, &value, &f->error), &f->error);
    kinds_set_key(f, "k");
    put_at(f, value, 0);
    assert_int_equal(get_at(f, value, INT64_MAX), TARN_OK);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_value_expires_at_its_exact_millisecond),
        TEST(test_an_expired_value_is_shown_once_where_it_is_shown),
        TEST(test_reads_prolong_only_where_they_should),
        TEST(test_a_clock_that_goes_back_keeps_values_longer),
        TEST(test_an_edit_of_an_expired_value_begins_with_zeros),
        TEST(test_an_iteration_over_values_hides_what_is_expired),
        TEST(test_a_value_without_room_for_its_time_is_corruption),
        TEST(test_elements_expire_one_by_one),
        TEST(test_prolonging_reads_trim_a_list),
        TEST(test_what_was_appended_during_a_reading_is_not_cleaned_with_it),
        TEST(test_entries_expire_one_by_one_and_count_until_they_are_read),
        TEST(test_an_iteration_does_not_undo_what_was_written_since),
        TEST(test_an_add_to_an_expired_sum_begins_anew_where_it_is_hidden),
        TEST(test_an_add_to_an_expired_sum_counts_it_where_it_is_shown),
        TEST(test_blind_adds_keep_the_rules_through_compaction),
        TEST(test_what_came_of_two_namespaces_is_young_and_what_was_moved_is_not),
        TEST(test_a_clock_that_goes_back_keeps_entries_and_sums_until_they_are_read),
        TEST(test_a_ttl_that_is_none_is_refused),
        TEST(test_the_machines_clock_serves_when_no_other_is_given),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
