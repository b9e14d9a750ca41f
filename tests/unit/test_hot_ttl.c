/*
 * Unit tests of states with a TTL in the working set: what has expired there is never written, what
 * is written keeps its place in clean-ups and deadlines, and reads answer as from the store.
 */
#include "support/kinds_fixture.h"

#include <stdio.h>
#include <string.h>

#include "state/keyed.h"

enum { WORKING_SET_BYTES = 1 << 20, TTL = 1000, ROWS = 200 };

static tarn_ttl *new_ttl(kinds_fixture *f, const char *name)
{
    (void)kinds_ttl_options(
        f, name, TTL, TARN_TTL_ON_CREATE_AND_WRITE, TARN_TTL_NEVER_RETURN_EXPIRED);
    return &f->ttl;
}

static tarn_value *open_value(kinds_fixture *f)
{
    tarn_value *value = NULL;
    assert_ok(tarn_backend_resize_working_set(f->backend, WORKING_SET_BYTES, &f->error), &f->error);
    assert_ok(tarn_value_open(f->backend, &f->options, &value, &f->error), &f->error);
    return value;
}

static void close_value(kinds_fixture *f, tarn_value *value)
{
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void set_number(kinds_fixture *f, uint32_t number)
{
    char key[16];
    (void)snprintf(key, sizeof key, "key%u", number);
    kinds_set_key(f, key);
}

static void put_rows(kinds_fixture *f, tarn_value *value, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        set_number(f, i);
        assert_ok(tarn_value_put(value, tarn_bytes_of("some value"), &f->error), &f->error);
    }
}

static tarn_status read_row(kinds_fixture *f, tarn_value *value, uint32_t number)
{
    tarn_bytes read = tarn_bytes_of("some value");
    set_number(f, number);
    const tarn_status status = tarn_value_get(value, &read, &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("some value")));
    return status;
}

static uint32_t count_rows(kinds_fixture *f, const char *name)
{
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, name);
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes stored;
    uint32_t count = 0;
    assert_ok(
        tarn__rocks_iterate(
            family, tarn_bytes_at("\0\0", 2), tarn_bytes_at("\x7f\xff", 2), &rows, &f->error),
        &f->error);
    while (tarn__rocks_iterator_next(rows, &row, &stored, &f->error) == TARN_OK) {
        count++;
    }
    tarn__rocks_iterator_close(rows);
    return count;
}

static void settle(kinds_fixture *f)
{
    assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
}

static tarn_ttl_stats measure(kinds_fixture *f, tarn_keyed *keyed)
{
    tarn_ttl_stats stats;
    assert_ok(tarn_keyed_measure_ttl(keyed, 0, &stats, &f->error), &f->error);
    return stats;
}

static tarn_working_set_stats working_set(kinds_fixture *f)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(f->backend, &stats);
    return stats;
}

static void test_what_expires_in_memory_is_never_written(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f, "state");
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS);
    f->now_ms = TTL - 1;
    put_rows(f, value, ROWS, ROWS + 1);
    f->now_ms = TTL;
    assert_int_equal(read_row(f, value, ROWS), TARN_OK); /* It is an access: time goes on. */
    settle(f);
    assert_int_equal(count_rows(f, "state"), 1);
    const tarn_ttl_stats stats = measure(f, tarn_value_keyed(value));
    assert_int_equal(stats.dropped_count, ROWS);
    assert_int_equal(stats.expired_count_estimate, 0);
    assert_int_equal(stats.live_count_estimate, 1);
    assert_int_equal(read_row(f, value, 0), TARN_NOT_FOUND);
    close_value(f, value);
}

static void test_what_expired_in_memory_goes_from_the_store_too(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f, "state");
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS);
    settle(f);
    assert_int_equal(count_rows(f, "state"), ROWS);
    f->now_ms = 1;
    put_rows(f, value, 0, ROWS);
    f->now_ms = TTL + 1;
    assert_int_equal(read_row(f, value, ROWS), TARN_NOT_FOUND);
    settle(f);
    assert_int_equal(count_rows(f, "state"), 0);
    close_value(f, value);
}

static void test_what_compactions_keep_is_written(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f, "state")->is_kept_by_compactions = true;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS);
    f->now_ms = TTL;
    assert_int_equal(read_row(f, value, ROWS), TARN_NOT_FOUND);
    settle(f);
    assert_int_equal(count_rows(f, "state"), ROWS);
    f->now_ms = TTL - 1; /* The clock goes back: nothing was lost. */
    assert_int_equal(read_row(f, value, 0), TARN_OK);
    close_value(f, value);
}

static void test_a_value_expires_at_the_very_millisecond(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f, "state");
    tarn_value *value = open_value(f);
    f->now_ms = 5;
    put_rows(f, value, 0, 2);
    f->now_ms = TTL + 4;
    assert_int_equal(read_row(f, value, 0), TARN_OK);
    f->now_ms = TTL + 5;
    assert_int_equal(read_row(f, value, 0), TARN_NOT_FOUND);
    f->now_ms = TTL + 4;
    assert_int_equal(read_row(f, value, 0), TARN_NOT_FOUND); /* The read has removed it. */
    assert_int_equal(read_row(f, value, 1), TARN_OK);
    close_value(f, value);
}

static void test_an_expired_value_is_shown_once(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f, "state")->visibility = TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, 2);
    f->now_ms = TTL;
    assert_int_equal(read_row(f, value, 0), TARN_OK);
    assert_int_equal(read_row(f, value, 0), TARN_NOT_FOUND);
    assert_ok(tarn_keyed_clean(tarn_value_keyed(value), &f->error), &f->error);
    assert_int_equal(read_row(f, value, 1), TARN_NOT_FOUND); /* Gone, wherever it was. */
    assert_int_equal(working_set(f).written_count, 0);
    close_value(f, value);
}

static void test_a_read_keeps_a_value_young_in_memory(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f, "state")->update = TARN_TTL_ON_READ_AND_WRITE;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, 1);
    for (uint32_t i = 0; i < 5; i++) {
        f->now_ms += TTL - 1;
        assert_int_equal(read_row(f, value, 0), TARN_OK);
    }
    assert_int_equal(working_set(f).written_count, 0);
    settle(f);
    f->now_ms += TTL;
    assert_int_equal(read_row(f, value, 0), TARN_NOT_FOUND);
    close_value(f, value);
}

static void test_an_edit_stamps_and_forgets_what_has_expired(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f, "state");
    tarn_value *value = open_value(f);
    kinds_set_key(f, "k");
    for (uint64_t i = 1; i <= 3; i++) {
        void *place = NULL;
        uint64_t count;
        f->now_ms += TTL - 1;
        assert_ok(tarn_value_edit(value, sizeof count, &place, &f->error), &f->error);
        assert_int_equal((uintptr_t)place % sizeof count, 0);
        memcpy(&count, place, sizeof count);
        assert_int_equal(count, i - 1);
        count++;
        memcpy(place, &count, sizeof count);
    }
    void *place = NULL;
    f->now_ms += TTL;
    assert_ok(tarn_value_edit(value, 16, &place, &f->error), &f->error);
    assert_memory_equal(place, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    f->now_ms += TTL - 1;
    tarn_bytes read;
    assert_ok(tarn_value_get(value, &read, &f->error), &f->error);
    assert_int_equal(read.size, 16);
    close_value(f, value);
}

static void test_clean_ups_beside_accesses_forget_what_memory_has(void **state)
{
    kinds_fixture *f = *state;
    tarn_ttl *ttl = new_ttl(f, "state");
    ttl->cleanup_size = 10;
    ttl->visibility = TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS);
    settle(f); /* All are clean in memory. */
    f->now_ms = TTL;
    put_rows(f, value, 0, 10); /* Newer than the store's. */
    put_rows(f, value, ROWS, 2 * ROWS);
    for (uint32_t i = 10; i < ROWS; i++) {
        assert_int_equal(read_row(f, value, i), TARN_NOT_FOUND);
    }
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(read_row(f, value, i), TARN_OK);
    }
    assert_in_range(measure(f, tarn_value_keyed(value)).cleaned_count, ROWS - 10, ROWS);
    close_value(f, value);
}

/* A clean-up looks at stamps in the store: an add that is in memory alone keeps a sum young. */
static void test_a_clean_up_knows_of_adds_in_memory(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing_options options = TARN_REDUCING_OPTIONS_INIT;
    tarn_reducing *sum = NULL;
    int64_t read = 0;
    options.reducer = TARN_REDUCER_SUM;
    (void)new_ttl(f, "state");
    assert_ok(tarn_backend_resize_working_set(f->backend, WORKING_SET_BYTES, &f->error), &f->error);
    assert_ok(tarn_reducing_open(f->backend, &f->options, &options, &sum, &f->error), &f->error);
    kinds_set_key(f, "k");
    assert_ok(tarn_reducing_add_i64(sum, 5, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, WORKING_SET_BYTES, &f->error), &f->error);
    f->now_ms = TTL - 1;
    assert_ok(tarn_reducing_add_i64(sum, 3, &f->error), &f->error); /* Blindly. */
    f->now_ms = TTL;
    assert_ok(tarn_keyed_clean(tarn_reducing_keyed(sum), &f->error), &f->error);
    assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
    assert_int_equal(read, 8);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

/* What a clean-up could not see, as it was in memory, is due when it has been written. */
static void test_a_deadline_counts_what_is_written_after_a_clean_up(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f, "state")->deadline_ms = 100;
    tarn_value *value = open_value(f);
    tarn_keyed *keyed = tarn_value_keyed(value);
    put_rows(f, value, 0, 1);
    assert_ok(tarn_keyed_clean(keyed, &f->error), &f->error); /* There is nothing in the store. */
    settle(f);
    assert_int_equal(count_rows(f, "state"), 1);
    f->now_ms = TTL + 100;
    assert_ok(tarn_backend_advance_ttl(f->backend, &f->error), &f->error);
    tarn__cleaner_wait(f->backend);
    assert_int_equal(measure(f, keyed).clean_up_count, 2);
    assert_int_equal(count_rows(f, "state"), 0);
    close_value(f, value);
}

/* ---- maps and lists --------------------------------------------------------------------- */

static void test_entries_of_a_map_expire_one_by_one(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = NULL;
    tarn_bytes read;
    bool is_empty = true;
    (void)new_ttl(f, "map");
    assert_ok(tarn_backend_resize_working_set(f->backend, WORKING_SET_BYTES, &f->error), &f->error);
    assert_ok(tarn_map_open(f->backend, &f->options, &map, &f->error), &f->error);
    kinds_set_key(f, "k");
    const tarn_bytes a = tarn_bytes_of("a");
    const tarn_bytes b = tarn_bytes_of("b");
    assert_ok(tarn_map_put(map, a, a, &f->error), &f->error);
    f->now_ms = 1;
    assert_ok(tarn_map_put(map, b, b, &f->error), &f->error);
    f->now_ms = TTL;
    assert_int_equal(tarn_map_get(map, a, &read, &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_map_get(map, b, &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, b));
    f->now_ms = TTL + 1;
    assert_ok(tarn_map_is_empty(map, &is_empty, &f->error), &f->error);
    assert_false(is_empty); /* Expired, but not removed yet. */
    assert_int_equal(tarn_map_contains(map, a, &f->error), TARN_NOT_FOUND);
    settle(f);
    assert_int_equal(count_rows(f, "map"), 0);
    assert_ok(tarn_map_is_empty(map, &is_empty, &f->error), &f->error);
    assert_true(is_empty);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static uint32_t count_elements(kinds_fixture *f, tarn_list *list)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    uint32_t count = 0;
    assert_ok(tarn_list_iterate(list, NULL, &iterator, &f->error), &f->error);
    while (tarn_list_iterator_next(iterator, &element, &f->error) == TARN_OK) {
        count++;
    }
    tarn_list_iterator_close(iterator);
    return count;
}

static void test_elements_of_a_list_expire_one_by_one(void **state)
{
    kinds_fixture *f = *state;
    tarn_list *list = NULL;
    (void)new_ttl(f, "list");
    assert_ok(tarn_backend_resize_working_set(f->backend, WORKING_SET_BYTES, &f->error), &f->error);
    assert_ok(tarn_list_open(f->backend, &f->options, &list, &f->error), &f->error);
    kinds_set_key(f, "k");
    for (f->now_ms = 0; f->now_ms < 10; f->now_ms++) {
        assert_ok(tarn_list_append(list, tarn_bytes_of("element"), &f->error), &f->error);
    }
    f->now_ms = TTL + 4;
    assert_int_equal(count_elements(f, list), 5);
    assert_int_equal(working_set(f).written_count, 0);
    settle(f);
    assert_int_equal(count_rows(f, "list"), 5);
    assert_int_equal(count_elements(f, list), 5);
    f->now_ms = TTL + 9;
    assert_int_equal(count_elements(f, list), 0); /* All of it is expired, and goes. */
    settle(f);
    assert_int_equal(count_rows(f, "list"), 0);
    assert_ok(tarn_list_append(list, tarn_bytes_of("element"), &f->error), &f->error);
    assert_int_equal(count_elements(f, list), 1);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_expires_in_memory_is_never_written),
        TEST(test_what_expired_in_memory_goes_from_the_store_too),
        TEST(test_what_compactions_keep_is_written),
        TEST(test_a_value_expires_at_the_very_millisecond),
        TEST(test_an_expired_value_is_shown_once),
        TEST(test_a_read_keeps_a_value_young_in_memory),
        TEST(test_an_edit_stamps_and_forgets_what_has_expired),
        TEST(test_clean_ups_beside_accesses_forget_what_memory_has),
        TEST(test_a_clean_up_knows_of_adds_in_memory),
        TEST(test_a_deadline_counts_what_is_written_after_a_clean_up),
        TEST(test_entries_of_a_map_expire_one_by_one),
        TEST(test_elements_of_a_list_expire_one_by_one),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
