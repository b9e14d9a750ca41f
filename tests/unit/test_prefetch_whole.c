/*
 * Unit tests of what state/prefetch.c reads of maps and lists: entries, whole maps, whole lists.
 * Where a part is here already, what was read joins it, and what is here is newer.
 */
#include "support/kinds_fixture.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "tarn/list.h"
#include "tarn/map.h"
#include "tarn/prefetch.h"

#include "state/prefetch_private.h"

enum { KEYS = 40, ENTRIES = 12, TEXT_BYTES = 16, WORKING_SET_BYTES = 4 << 20 };

typedef struct fixture {
    kinds_fixture *base;
    tarn_map *map;
    tarn_list *list;
    tarn_keyed *states[2];
    char names[KEYS][TEXT_BYTES];
    tarn_bytes keys[KEYS];
    tarn_bytes user_keys[KEYS];
    tarn_prefetch what;
} fixture;

static const char *const ENTRY_NAMES[ENTRIES] = {
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};

static void resize(fixture *f, uint64_t bytes)
{
    assert_ok(
        tarn_backend_resize_working_set(f->base->backend, bytes, &f->base->error), &f->base->error);
}

/* All is in RocksDB, and nothing of it here or in a filter. */
static void cool(fixture *f)
{
    resize(f, 0);
    resize(f, WORKING_SET_BYTES);
}

static fixture *open_fixture(void **state)
{
    static fixture f;
    f = (fixture){.base = *state};
    tarn_error *error = &f.base->error;
    resize(&f, WORKING_SET_BYTES);
    assert_ok(tarn_map_open(f.base->backend, kinds_options(f.base, "map"), &f.map, error), error);
    assert_ok(
        tarn_list_open(f.base->backend, kinds_options(f.base, "list"), &f.list, error), error);
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)snprintf(f.names[i], TEXT_BYTES, "key %u", i * 7 % KEYS);
        f.keys[i] = tarn_bytes_of(f.names[i]);
        f.user_keys[i] = tarn_bytes_of(ENTRY_NAMES[i % ENTRIES]);
    }
    tarn_prefetch_init(&f.what, sizeof f.what);
    f.states[0] = tarn_map_keyed(f.map);
    f.states[1] = tarn_list_keyed(f.list);
    f.what.states = f.states;
    f.what.state_count = 2;
    f.what.keys = f.keys;
    f.what.key_count = KEYS;
    return &f;
}

static void close_fixture(fixture *f)
{
    assert_ok(tarn_map_close(f->map, &f->base->error), &f->base->error);
    assert_ok(tarn_list_close(f->list, &f->base->error), &f->base->error);
}

static void set_key(fixture *f, uint32_t key)
{
    assert_ok(
        tarn_backend_set_key(f->base->backend, f->keys[key], &f->base->error), &f->base->error);
}

static void put(fixture *f, const char *entry, uint32_t value)
{
    assert_ok(
        tarn_map_put(
            f->map, tarn_bytes_of(entry), tarn_bytes_at(&value, sizeof value), &f->base->error),
        &f->base->error);
}

static void append(fixture *f, uint32_t value)
{
    assert_ok(
        tarn_list_append(f->list, tarn_bytes_at(&value, sizeof value), &f->base->error),
        &f->base->error);
}

/* Each map has all entries but the last, and each list one element: the number of its key. */
static void fill(fixture *f)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        set_key(f, key);
        for (uint32_t entry = 0; entry + 1 < ENTRIES; entry++) {
            put(f, ENTRY_NAMES[entry], key);
        }
        append(f, key);
    }
    cool(f);
}

static void expect_entry(fixture *f, const char *entry, bool is_there, uint32_t value)
{
    tarn_bytes read = {NULL, 0};
    assert_int_equal(
        tarn_map_get(f->map, tarn_bytes_of(entry), &read, &f->base->error),
        is_there ? TARN_OK : TARN_NOT_FOUND);
    if (is_there) {
        assert_true(tarn_bytes_is_equal(read, tarn_bytes_at(&value, sizeof value)));
    }
}

static void expect_elements(fixture *f, const uint32_t *elements, uint32_t count)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes read;
    assert_ok(tarn_list_iterate(f->list, "test", &iterator, &f->base->error), &f->base->error);
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &read, &f->base->error), &f->base->error);
        assert_true(tarn_bytes_is_equal(read, tarn_bytes_at(&elements[i], sizeof elements[i])));
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &read, &f->base->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
}

static uint32_t count_entries(fixture *f)
{
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    uint32_t count = 0;
    assert_ok(tarn_map_iterate(f->map, NULL, "test", &iterator, &f->base->error), &f->base->error);
    while (tarn_map_iterator_next(iterator, &entry, &f->base->error) == TARN_OK) {
        count++;
    }
    tarn_map_iterator_close(iterator);
    return count;
}

static void check_all(fixture *f)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        set_key(f, key);
        assert_int_equal(count_entries(f), ENTRIES - 1);
        for (uint32_t entry = 0; entry < ENTRIES; entry++) {
            expect_entry(f, ENTRY_NAMES[entry], entry + 1 < ENTRIES, key);
        }
        expect_elements(f, &key, 1);
    }
}

static tarn_working_set_stats measure(const fixture *f)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(f->base->backend, &stats);
    return stats;
}

static void begin_ahead(fixture *f)
{
    assert_ok(
        tarn_backend_prefetch_ahead(f->base->backend, &f->what, &f->base->error), &f->base->error);
}

static void end_ahead(fixture *f)
{
    assert_ok(
        tarn_backend_prefetch_ahead(f->base->backend, NULL, &f->base->error), &f->base->error);
}

/* Until the other thread has read all of the batch. */
static void wait_until_read(const fixture *f)
{
    tarn__prefetch *p = f->base->backend->prefetch;
    bool is_read = false;
    while (!is_read) {
        (void)sched_yield();
        (void)pthread_mutex_lock(&p->mutex);
        is_read = p->next == p->published_count && p->reader_count == 0;
        (void)pthread_mutex_unlock(&p->mutex);
    }
}

/* What is dirty goes to the store, and stays here. */
static void write_all(fixture *f)
{
    assert_ok(tarn__backend_settle_all(f->base->backend, &f->base->error), &f->base->error);
}

static void prefetch(fixture *f)
{
    assert_ok(tarn_backend_prefetch(f->base->backend, &f->what, &f->base->error), &f->base->error);
}

static void test_whole_maps_and_lists_are_hits(void **state)
{
    fixture *f = open_fixture(state);
    fill(f);
    prefetch(f);
    const tarn_working_set_stats before = measure(f);
    assert_int_equal(before.prefetched_count, 2 * KEYS);
    check_all(f);
    assert_int_equal(measure(f).miss_count, before.miss_count);
    assert_int_equal(measure(f).dirty_count, 0);
    close_fixture(f);
}

/* Several of one map in one batch; of which nothing, or a part, is here. */
static void test_entries_are_hits(void **state)
{
    fixture *f = open_fixture(state);
    fill(f);
    f->what.state_count = 1;
    f->what.user_keys = f->user_keys;
    for (uint32_t i = 0; i < KEYS; i++) {
        f->keys[i] = f->keys[i % 3];
    }
    prefetch(f);
    assert_int_equal(measure(f).row_count, 3);
    for (uint32_t key = 0; key < 3; key++) {
        const uint64_t misses = measure(f).miss_count;
        set_key(f, key);
        for (uint32_t entry = 0; entry < ENTRIES; entry++) {
            /* Key and entry come by: they have the same number modulo 3. */
            if (entry % 3 == key) {
                expect_entry(f, ENTRY_NAMES[entry], entry + 1 < ENTRIES, key);
            }
        }
        assert_int_equal(measure(f).miss_count, misses);
    }
    assert_true(measure(f).prefetched_count >= ENTRIES);
    close_fixture(f);
}

static void test_what_is_here_of_a_map_is_newer(void **state)
{
    fixture *f = open_fixture(state);
    fill(f);
    set_key(f, 0);
    put(f, "a", 77);
    begin_ahead(f);
    put(f, "b", 78);
    assert_ok(tarn_map_remove(f->map, tarn_bytes_of("c"), &f->base->error), &f->base->error);
    put(f, "new", 79);
    end_ahead(f);
    assert_int_equal(measure(f).prefetched_count, 2 * KEYS);
    expect_entry(f, "a", true, 77);
    expect_entry(f, "b", true, 78);
    expect_entry(f, "c", false, 0);
    expect_entry(f, "new", true, 79);
    assert_int_equal(count_entries(f), ENTRIES - 1);
    cool(f);
    expect_entry(f, "a", true, 77);
    expect_entry(f, "c", false, 0);
    assert_int_equal(count_entries(f), ENTRIES - 1);
    close_fixture(f);
}

/* What was read is older than what was written and went to the store meanwhile. */
static void test_what_went_to_the_store_meanwhile_stays(void **state)
{
    static const uint32_t ELEMENTS[] = {0, 78};
    fixture *f = open_fixture(state);
    fill(f);
    for (uint32_t turn = 0; turn < 2; turn++) {
        set_key(f, 0);
        if (turn == 1) {
            put(f, "l", 5); /* So that a part is here already. */
        }
        f->what.user_keys = turn == 0 ? NULL : f->user_keys;
        begin_ahead(f);
        put(f, "a", 77 + turn);
        if (turn == 0) {
            append(f, 78);
        }
        assert_int_equal(tarn_map_remove(f->map, tarn_bytes_of("b"), &f->base->error), TARN_OK);
        resize(f, 2000); /* Much of it goes. */
        resize(f, WORKING_SET_BYTES);
        end_ahead(f);
        expect_entry(f, "a", true, 77 + turn);
        expect_entry(f, "b", false, 0);
        expect_elements(f, ELEMENTS, 2);
    }
    close_fixture(f);
}

/* A map that was loaded meanwhile has forgotten the removal, which is in the store. */
static void test_what_was_removed_from_a_map_that_became_whole_stays_away(void **state)
{
    fixture *f = open_fixture(state);
    fill(f);
    set_key(f, 0);
    put(f, "l", 5); /* So that a part is here already. */
    begin_ahead(f);
    wait_until_read(f);
    assert_int_equal(count_entries(f), ENTRIES);
    assert_ok(tarn_map_remove(f->map, tarn_bytes_of("a"), &f->base->error), &f->base->error);
    write_all(f);
    end_ahead(f);
    expect_entry(f, "a", false, 0);
    assert_int_equal(count_entries(f), ENTRIES - 1);
    cool(f);
    expect_entry(f, "a", false, 0);
    assert_int_equal(count_entries(f), ENTRIES - 1);
    close_fixture(f);
}

/* A list that was read meanwhile and is in the store is not new, though there was none of it. */
static void test_a_list_that_became_whole_and_was_written_can_be_removed(void **state)
{
    static const uint32_t ELEMENTS[] = {77};
    fixture *f = open_fixture(state);
    cool(f); /* It is not known that there are no lists. */
    set_key(f, 0);
    append(f, 77);
    begin_ahead(f);
    wait_until_read(f);
    expect_elements(f, ELEMENTS, 1);
    write_all(f);
    end_ahead(f);
    expect_elements(f, ELEMENTS, 1);
    assert_ok(tarn_list_clear(f->list, &f->base->error), &f->base->error);
    cool(f);
    expect_elements(f, NULL, 0);
    close_fixture(f);
}

static void test_a_list_that_grows_becomes_whole(void **state)
{
    static const uint32_t ELEMENTS[] = {0, 77, 78};
    static const uint32_t NEW[] = {90};
    fixture *f = open_fixture(state);
    fill(f);
    set_key(f, 0);
    append(f, 77);
    begin_ahead(f);
    append(f, 78);
    end_ahead(f);
    expect_elements(f, ELEMENTS, 3);
    const uint64_t dirty_count = measure(f).dirty_count;
    assert_ok(
        tarn_list_replace(f->list, &(tarn_bytes){&NEW[0], sizeof NEW[0]}, 1, &f->base->error),
        &f->base->error);
    assert_int_equal(measure(f).dirty_count, dirty_count); /* It touched no store. */
    cool(f);
    expect_elements(f, NEW, 1);
    close_fixture(f);
}

/* A list of many chunks, and a map of many entries: those are read when they are wanted. */
static void test_large_ones_are_left_to_the_store(void **state)
{
    static uint8_t large[3000];
    fixture *f = open_fixture(state);
    uint32_t count = 0;
    set_key(f, 0);
    for (uint32_t i = 0; i < 10; i++) {
        assert_ok(
            tarn_list_append(f->list, tarn_bytes_at(large, sizeof large), &f->base->error),
            &f->base->error);
        assert_ok(
            tarn_map_put(
                f->map,
                tarn_bytes_at(&i, sizeof i),
                tarn_bytes_at(large, sizeof large),
                &f->base->error),
            &f->base->error);
        cool(f);
    }
    f->what.key_count = 1;
    prefetch(f);
    prefetch(f);
    assert_int_equal(measure(f).prefetched_count, 0);
    assert_int_equal(count_entries(f), 10);
    tarn_list_iterator *iterator = NULL;
    tarn_bytes read;
    assert_ok(tarn_list_iterate(f->list, "test", &iterator, &f->base->error), &f->base->error);
    while (tarn_list_iterator_next(iterator, &read, &f->base->error) == TARN_OK) {
        count++;
    }
    tarn_list_iterator_close(iterator);
    assert_int_equal(count, 10);
    close_fixture(f);
}

static void test_a_small_working_set_takes_what_it_can(void **state)
{
    static const uint64_t SIZES[] = {0, 600, 3000, 20000};
    fixture *f = open_fixture(state);
    fill(f);
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        resize(f, SIZES[i]);
        f->what.user_keys = NULL;
        begin_ahead(f);
        begin_ahead(f);
        check_all(f);
        f->what.user_keys = f->user_keys;
        prefetch(f);
        check_all(f);
        begin_ahead(f);
        resize(f, 0); /* With a batch under way. */
        check_all(f);
    }
    close_fixture(f);
}

static void test_keys_of_entries_are_checked(void **state)
{
    static const uint8_t LONG[70000];
    fixture *f = open_fixture(state);
    f->user_keys[3] = tarn_bytes_at(LONG, sizeof LONG);
    f->what.user_keys = f->user_keys;
    kinds_expect_failure(
        f->base,
        tarn_backend_prefetch(f->base->backend, &f->what, &f->base->error),
        TARN_INVALID_ARGUMENT,
        "70000");
    close_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
        TEST(test_whole_maps_and_lists_are_hits),
        TEST(test_entries_are_hits),
        TEST(test_what_is_here_of_a_map_is_newer),
        TEST(test_what_went_to_the_store_meanwhile_stays),
        TEST(test_what_was_removed_from_a_map_that_became_whole_stays_away),
        TEST(test_a_list_that_became_whole_and_was_written_can_be_removed),
        TEST(test_a_list_that_grows_becomes_whole),
        TEST(test_large_ones_are_left_to_the_store),
        TEST(test_a_small_working_set_takes_what_it_can),
        TEST(test_keys_of_entries_are_checked),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
