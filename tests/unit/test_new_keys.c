/*
 * Unit tests of state/new_keys.c: a state knows which keys are new without asking RocksDB, also
 * after a restore, also while rows come and go; and what is there is always found.
 */
#include "support/support.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "tarn/list.h"
#include "tarn/prefetch.h"

#include "state/keyed.h"
#include "state/new_keys.h"
#include "support/kinds_fixture.h"

enum { KEYS = 3000, NAME_BYTES = 24 };

static void set_key(kinds_fixture *f, const char *kind, int number)
{
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s %d", kind, number);
    kinds_set_key(f, name);
}

static tarn_working_set_stats measure(const kinds_fixture *f)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(f->backend, &stats);
    return stats;
}

static void put_all(kinds_fixture *f, tarn_value *value, const char *kind, int begin, int end)
{
    for (int i = begin; i < end; i++) {
        set_key(f, kind, i);
        assert_ok(tarn_value_put(value, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
    }
}

static void expect_all(kinds_fixture *f, tarn_value *value, const char *kind, int begin, int end)
{
    for (int i = begin; i < end; i++) {
        tarn_bytes read;
        int number = -1;
        set_key(f, kind, i);
        assert_ok(tarn_value_get(value, &read, &f->error), &f->error);
        memcpy(&number, read.data, sizeof number);
        assert_int_equal(number, i);
    }
}

static void expect_none(kinds_fixture *f, tarn_value *value, const char *kind, int count)
{
    for (int i = 0; i < count; i++) {
        tarn_bytes read;
        set_key(f, kind, i);
        assert_int_equal(tarn_value_get(value, &read, &f->error), TARN_NOT_FOUND);
    }
}

/* A few rows: what was written is soon in RocksDB. */
static void keep_small(kinds_fixture *f)
{
    assert_ok(tarn_backend_resize_working_set(f->backend, 20000, &f->error), &f->error);
}

static const tarn__filter *filter_of(tarn_value *value)
{
    return tarn_value_keyed(value)->hot.filter;
}

/* Takes the build in that is under way. */
static void finish_build(tarn_keyed *keyed)
{
    while (keyed->hot.filter->next.memory != NULL) {
        (void)sched_yield();
        tarn__new_keys_renew(keyed);
    }
}

/* Takes the build in that is under way, or begins one and takes it in. */
static void renew(tarn_value *value)
{
    tarn__new_keys_renew(tarn_value_keyed(value));
    finish_build(tarn_value_keyed(value));
}

static void close_value(kinds_fixture *f, tarn_value *value)
{
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_new_state_knows_its_new_keys(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = fixture_open_value(f->backend, "value");
    keep_small(f);
    for (int i = 0; i < KEYS; i++) { /* As a stream does: asked for, then written. */
        expect_none(f, value, "none", 0);
        tarn_bytes read;
        set_key(f, "key", i);
        assert_int_equal(tarn_value_get(value, &read, &f->error), TARN_NOT_FOUND);
        assert_ok(tarn_value_put(value, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
    }
    const tarn_working_set_stats stats = measure(f);
    assert_true(stats.filter_new_count + stats.filter_false_count == KEYS);
    assert_true(stats.filter_new_count > KEYS * 9 / 10);
    assert_true(stats.filter_false_rate < 0.1);
    assert_true(stats.filter_bytes > 0);
    expect_all(f, value, "key", 0, KEYS);
    expect_none(f, value, "other", KEYS);
    close_value(f, value);
    assert_int_equal(measure(f).filter_bytes, 0);
}

/* The memory is the filters' own, by name. */
static void find_owner(const tarn_owner_stats *owner, void *context)
{
    size_t *bytes = context;
    if (strcmp(owner->name, "new-key filter of test/0") == 0) {
        *bytes = owner->used_bytes;
    }
}

static void test_its_memory_has_an_owner_and_a_bound(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = fixture_open_value(f->backend, "value");
    size_t bytes = 0;
    keep_small(f);
    put_all(f, value, "key", 0, KEYS);
    tarn_budget_visit(tarn_env_budget(f->env), find_owner, &bytes);
    assert_true(bytes >= measure(f).filter_bytes);
    assert_true(measure(f).filter_bytes <= f->backend->filter_share.limit_bytes);
    close_value(f, value);
}

static void test_a_restored_state_builds_its_filter_when_reads_find_nothing(void **state)
{
    kinds_fixture *f = *state;
    char address[FIXTURE_PATH_BYTES + 16];
    tarn_value *value = fixture_open_value(f->backend, "value");
    put_all(f, value, "key", 0, KEYS);
    (void)snprintf(address, sizeof address, "%s/store", f->directory);
    kinds_take_checkpoint(f, address);
    close_value(f, value);
    kinds_restore(f, address);
    value = fixture_open_value(f->backend, "value");
    keep_small(f);
    assert_false(filter_of(value)->is_complete);
    expect_all(f, value, "key", 0, KEYS);
    assert_null(filter_of(value)->next.memory); /* Nothing was absent: it is not wanted. */
    expect_none(f, value, "other", KEYS);
    put_all(f, value, "more", 0, KEYS); /* While it is built, perhaps. */
    assert_true(filter_of(value)->is_complete || filter_of(value)->next.memory != NULL);
    finish_build(tarn_value_keyed(value));
    assert_true(filter_of(value)->is_complete);
    const uint64_t before = measure(f).filter_new_count;
    expect_none(f, value, "new", KEYS);
    assert_true(measure(f).filter_new_count - before > KEYS * 9 / 10);
    expect_all(f, value, "key", 0, KEYS);
    expect_all(f, value, "more", 0, KEYS);
    close_value(f, value);
}

/* Lists of one element, restored: a filter of theirs is built when readings find nothing. */
static void read_lists(kinds_fixture *f, tarn_list *list, const char *kind, uint32_t element_count)
{
    for (int i = 0; i < KEYS; i++) {
        tarn_list_iterator *iterator = NULL;
        tarn_bytes element;
        uint32_t count = 0;
        set_key(f, kind, i);
        assert_ok(tarn_list_iterate(list, NULL, &iterator, &f->error), &f->error);
        while (tarn_list_iterator_next(iterator, &element, &f->error) == TARN_OK) {
            count++;
        }
        tarn_list_iterator_close(iterator);
        assert_int_equal(count, element_count);
    }
}

static void test_a_restored_list_builds_its_filter_when_readings_find_nothing(void **state)
{
    kinds_fixture *f = *state;
    char address[FIXTURE_PATH_BYTES + 16];
    tarn_list *list = NULL;
    assert_ok(tarn_list_open(f->backend, kinds_options(f, "list"), &list, &f->error), &f->error);
    for (int i = 0; i < KEYS; i++) {
        set_key(f, "key", i);
        assert_ok(tarn_list_append(list, tarn_bytes_of("one"), &f->error), &f->error);
    }
    (void)snprintf(address, sizeof address, "%s/store", f->directory);
    kinds_take_checkpoint(f, address);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
    kinds_restore(f, address);
    keep_small(f);
    assert_ok(tarn_list_open(f->backend, kinds_options(f, "list"), &list, &f->error), &f->error);
    const tarn__filter *filter = tarn_list_keyed(list)->hot.filter;
    read_lists(f, list, "key", 1);
    assert_null(filter->next.memory);
    read_lists(f, list, "other", 0);
    assert_true(filter->is_complete || filter->next.memory != NULL);
    finish_build(tarn_list_keyed(list));
    assert_true(filter->is_complete);
    const uint64_t before = measure(f).filter_new_count;
    read_lists(f, list, "new", 0);
    assert_true(measure(f).filter_new_count - before > KEYS * 9 / 10);
    read_lists(f, list, "key", 1);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

/* A state whose keys are all read ahead, and no other way. */
static void test_what_is_read_ahead_and_not_there_builds_the_filter_too(void **state)
{
    kinds_fixture *f = *state;
    enum { AHEAD = 100 };
    static char names[AHEAD][NAME_BYTES];
    tarn_bytes keys[AHEAD];
    tarn_value *value = fixture_open_value(f->backend, "value");
    tarn_keyed *keyed = tarn_value_keyed(value);
    tarn_prefetch what = TARN_PREFETCH_INIT;
    what.states = &keyed;
    what.state_count = 1;
    what.keys = keys;
    what.key_count = AHEAD;
    put_all(f, value, "key", 0, KEYS);
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, 1 << 20, &f->error), &f->error);
    assert_false(filter_of(value)->is_complete);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(names[i % AHEAD], NAME_BYTES, "other %d", i);
        keys[i % AHEAD] = tarn_bytes_of(names[i % AHEAD]);
        if (i % AHEAD == AHEAD - 1) {
            assert_ok(tarn_backend_prefetch(f->backend, &what, &f->error), &f->error);
        }
    }
    assert_true(filter_of(value)->is_complete || filter_of(value)->next.memory != NULL);
    close_value(f, value);
}

/* A state of a name whose filter tells half of its rows apart, or so. */
static tarn_value *open_with_few_bits(kinds_fixture *f)
{
    tarn_config *tuning = NULL;
    tarn_state_options options = *kinds_options(f, "value");
    tarn_value *value = NULL;
    assert_ok(tarn_config_new(NULL, &tuning, &f->error), &f->error);
    fixture_set(tuning, "tarn.new-key-filter.bits-per-key", "2");
    options.tuning = tuning;
    assert_ok(tarn_value_open(f->backend, &options, &value, &f->error), &f->error);
    tarn_config_free(tuning);
    return value;
}

/* Removals of new keys are spared too, but one that is not tells nobody that it was for nothing. */
static void test_the_false_rate_is_that_of_reads(void **state)
{
    kinds_fixture *f = *state;
    keep_small(f);
    tarn_value *value = open_with_few_bits(f);
    put_all(f, value, "key", 0, KEYS);
    keep_small(f);
    for (int i = 0; i < KEYS; i++) {
        set_key(f, "never", i);
        assert_ok(tarn_value_remove(value, &f->error), &f->error);
    }
    assert_true(measure(f).filter_new_count > KEYS / 4);
    assert_true(measure(f).filter_false_rate == 0);
    expect_none(f, value, "other", KEYS);
    const tarn_working_set_stats stats = measure(f);
    assert_true(stats.filter_false_count > KEYS / 10);
    assert_true(stats.filter_false_rate == (double)stats.filter_false_count / KEYS);
    close_value(f, value);
}

/* What is removed stays in the filter until it is built again. */
static void test_a_stale_filter_is_built_again(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = fixture_open_value(f->backend, "value");
    keep_small(f);
    put_all(f, value, "key", 0, KEYS);
    keep_small(f);
    for (int i = 0; i < KEYS; i++) {
        set_key(f, "key", i);
        assert_ok(tarn_value_remove(value, &f->error), &f->error);
    }
    put_all(f, value, "more", 0, 100);
    const uint64_t before = measure(f).filter_false_count;
    expect_none(f, value, "key", KEYS);
    assert_true(measure(f).filter_false_count - before > KEYS / 2);
    renew(value);
    const tarn_working_set_stats renewed = measure(f);
    expect_none(f, value, "key", KEYS);
    assert_true(measure(f).filter_false_count - renewed.filter_false_count < KEYS / 10);
    expect_all(f, value, "more", 0, 100);
    close_value(f, value);
}

static void test_a_build_ends_with_its_state_or_its_database(void **state)
{
    kinds_fixture *f = *state;
    tarn_config *tuning = NULL;
    tarn_state_options options = *kinds_options(f, "value");
    tarn_value *value = fixture_open_value(f->backend, "value");
    tarn_value *other = fixture_open_value(f->backend, "other");
    keep_small(f);
    put_all(f, value, "key", 0, KEYS);
    put_all(f, other, "key", 0, KEYS);
    tarn__new_keys_renew(tarn_value_keyed(value));
    close_value(f, value);
    tarn__new_keys_renew(tarn_value_keyed(other));
    assert_ok(tarn_config_new(NULL, &tuning, &f->error), &f->error);
    fixture_set(tuning, "state.backend.rocksdb.block.blocksize", "8kb");
    options.tuning = tuning; /* Closes the database and opens it. */
    assert_ok(tarn_value_open(f->backend, &options, &value, &f->error), &f->error);
    assert_null(filter_of(other)->next.memory);
    expect_all(f, value, "key", 0, KEYS);
    expect_all(f, other, "key", 0, KEYS);
    tarn__new_keys_renew(tarn_value_keyed(other));
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    expect_all(f, other, "key", 0, KEYS);
    close_value(f, value);
    close_value(f, other);
    tarn_config_free(tuning);
}

static void test_a_state_may_have_none_or_another(void **state)
{
    kinds_fixture *f = *state;
    tarn_config *tuning = NULL;
    tarn_state_options options = *kinds_options(f, "value");
    tarn_value *value = NULL;
    assert_ok(tarn_config_new(NULL, &tuning, &f->error), &f->error);
    options.tuning = tuning;
    fixture_set(tuning, "tarn.new-key-filter.enabled", "false");
    assert_ok(tarn_value_open(f->backend, &options, &value, &f->error), &f->error);
    assert_null(filter_of(value));
    close_value(f, value);
    fixture_set(tuning, "tarn.new-key-filter.enabled", "true");
    fixture_set(tuning, "tarn.new-key-filter.bits-per-key", "5");
    assert_ok(tarn_value_open(f->backend, &options, &value, &f->error), &f->error);
    assert_true(filter_of(value)->bits_per_row == 5);
    close_value(f, value);
    assert_int_equal(
        tarn_config_set(tuning, "tarn.new-key-filter.bits-per-key", "99", "test", &f->error) ==
                TARN_OK
            ? tarn_value_open(f->backend, &options, &value, &f->error)
            : TARN_INVALID_ARGUMENT,
        TARN_INVALID_ARGUMENT);
    tarn_config_free(tuning);
}

/* Known to be new: a sum is whole from its first add, and what is cleared again leaves no trace. */
static void test_new_sums_are_whole_and_leave_no_tombstone(void **state)
{
    kinds_fixture *f = *state;
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    tarn_reducing *sum = NULL;
    int64_t read = 0;
    reducing.reducer = TARN_REDUCER_SUM;
    assert_ok(
        tarn_reducing_open(f->backend, kinds_options(f, "sum"), &reducing, &sum, &f->error),
        &f->error);
    for (int i = 0; i < 100; i++) {
        set_key(f, "key", i);
        assert_ok(tarn_reducing_add_i64(sum, 3, &f->error), &f->error);
        assert_ok(tarn_reducing_add_i64(sum, 4, &f->error), &f->error);
        assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
        assert_int_equal(read, 7);
        assert_ok(tarn_reducing_clear(sum, &f->error), &f->error);
    }
    assert_int_equal(measure(f).dirty_count, 0);
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    tarn_keyed_stats stats;
    tarn_keyed_measure(tarn_reducing_keyed(sum), &stats);
    assert_int_equal(stats.row_count_estimate, 0);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
        TEST(test_a_new_state_knows_its_new_keys),
        TEST(test_its_memory_has_an_owner_and_a_bound),
        TEST(test_a_restored_state_builds_its_filter_when_reads_find_nothing),
        TEST(test_a_restored_list_builds_its_filter_when_readings_find_nothing),
        TEST(test_what_is_read_ahead_and_not_there_builds_the_filter_too),
        TEST(test_the_false_rate_is_that_of_reads),
        TEST(test_a_stale_filter_is_built_again),
        TEST(test_a_build_ends_with_its_state_or_its_database),
        TEST(test_a_state_may_have_none_or_another),
        TEST(test_new_sums_are_whole_and_leave_no_tombstone),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
