/*
 * Unit tests of states whose backend finds the heap pool spent by others: with and without a
 * working set they go on, past it, and read what they wrote; what cannot go on says why.
 */
#include "support/kinds_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/aggregating.h"
#include "tarn/checkpoint.h"
#include "tarn/list.h"
#include "tarn/map.h"
#include "tarn/reducing.h"

enum { WORKING_SET_BYTES = 4 << 20, KEYS = 100, ENTRY_BYTES = 5000, LARGE_BYTES = 100000 };

static char LARGE[LARGE_BYTES];

static tarn_owner *spend(kinds_fixture *f, uint64_t *bytes)
{
    tarn_budget *budget = tarn_env_budget(f->env);
    tarn_owner *owner = NULL;
    assert_ok(tarn_owner_open(budget, TARN_POOL_HEAP, "hog", &owner, &f->error), &f->error);
    const tarn_pool_stats heap = tarn_budget_pool(budget, TARN_POOL_HEAP);
    *bytes = heap.limit_bytes - heap.used_bytes;
    assert_ok(tarn_owner_reserve(owner, *bytes, TARN_NO_WAIT, &f->error), &f->error);
    return owner;
}

static void give_back(kinds_fixture *f, tarn_owner *owner, uint64_t bytes)
{
    tarn_owner_release(owner, bytes);
    assert_ok(tarn_owner_close(owner, &f->error), &f->error);
}

static void resize(kinds_fixture *f, bool has_working_set)
{
    assert_ok(
        tarn_backend_resize_working_set(
            f->backend, has_working_set ? WORKING_SET_BYTES : 0, &f->error),
        &f->error);
}

static void set_number(kinds_fixture *f, uint32_t number)
{
    char key[16];
    (void)snprintf(key, sizeof key, "key%u", number);
    kinds_set_key(f, key);
}

static tarn_bytes large(size_t size)
{
    memset(LARGE, 'x', sizeof LARGE);
    return tarn_bytes_at(LARGE, size);
}

static void check_values(kinds_fixture *f, const char *name, bool has_ttl)
{
    tarn_value *value = NULL;
    uint64_t bytes = 0;
    const tarn_state_options *options =
        has_ttl ? kinds_ttl_options(
                      f, name, 1000, TARN_TTL_ON_READ_AND_WRITE, TARN_TTL_NEVER_RETURN_EXPIRED)
                : kinds_options(f, name);
    assert_ok(tarn_value_open(f->backend, options, &value, &f->error), &f->error);
    tarn_owner *owner = spend(f, &bytes);
    for (uint32_t i = 0; i < KEYS; i++) {
        set_number(f, i);
        assert_ok(tarn_value_put(value, large(i == 0 ? LARGE_BYTES : i), &f->error), &f->error);
        f->now_ms++;
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        tarn_bytes read;
        set_number(f, i);
        assert_ok(tarn_value_get(value, &read, &f->error), &f->error);
        assert_int_equal(read.size, i == 0 ? LARGE_BYTES : i);
    }
    void *place = NULL;
    assert_ok(tarn_value_edit(value, 32, &place, &f->error), &f->error);
    memset(place, 'y', 32);
    set_number(f, 0);
    assert_ok(tarn_value_remove(value, &f->error), &f->error);
    give_back(f, owner, bytes);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void check_lists(kinds_fixture *f, const char *name)
{
    tarn_list *list = NULL;
    uint64_t bytes = 0;
    assert_ok(tarn_list_open(f->backend, kinds_options(f, name), &list, &f->error), &f->error);
    tarn_owner *owner = spend(f, &bytes);
    for (uint32_t i = 0; i < KEYS * 3; i++) {
        set_number(f, i % KEYS);
        assert_ok(tarn_list_append(list, large(3000), &f->error), &f->error);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        tarn_list_iterator *elements = NULL;
        tarn_bytes element;
        uint32_t count = 0;
        set_number(f, i);
        assert_ok(tarn_list_iterate(list, "test", &elements, &f->error), &f->error);
        while (tarn_list_iterator_next(elements, &element, &f->error) == TARN_OK) {
            assert_int_equal(element.size, 3000);
            count++;
        }
        assert_int_equal(count, 3);
        tarn_list_iterator_close(elements);
    }
    const tarn_bytes two[] = {tarn_bytes_of("a"), tarn_bytes_of("b")};
    assert_ok(tarn_list_replace(list, two, 2, &f->error), &f->error);
    give_back(f, owner, bytes);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

static void check_maps(kinds_fixture *f, const char *name)
{
    tarn_map *map = NULL;
    uint64_t bytes = 0;
    assert_ok(tarn_map_open(f->backend, kinds_options(f, name), &map, &f->error), &f->error);
    tarn_owner *owner = spend(f, &bytes);
    for (uint32_t i = 0; i < KEYS * 4; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "entry%u", i / KEYS);
        set_number(f, i % KEYS);
        assert_ok(tarn_map_put(map, tarn_bytes_of(key), large(ENTRY_BYTES), &f->error), &f->error);
    }
    assert_ok(tarn_map_put(map, tarn_bytes_of("large"), large(LARGE_BYTES), &f->error), &f->error);
    for (uint32_t i = 0; i < KEYS; i++) {
        tarn_map_iterator *entries = NULL;
        tarn_map_entry entry;
        tarn_bytes read;
        uint32_t count = 0;
        set_number(f, i);
        for (uint32_t again = 0; again < 3; again++) { /* The second miss loads the whole map. */
            assert_ok(tarn_map_get(map, tarn_bytes_of("entry2"), &read, &f->error), &f->error);
            assert_int_equal(read.size, ENTRY_BYTES);
            assert_int_equal(
                tarn_map_get(map, tarn_bytes_of("none"), &read, &f->error), TARN_NOT_FOUND);
        }
        assert_ok(tarn_map_iterate(map, NULL, "test", &entries, &f->error), &f->error);
        while (tarn_map_iterator_next(entries, &entry, &f->error) == TARN_OK) {
            count++;
        }
        assert_int_equal(count, i == KEYS - 1 ? 5 : 4);
        tarn_map_iterator_close(entries);
        assert_ok(tarn_map_remove(map, tarn_bytes_of("entry1"), &f->error), &f->error);
    }
    assert_ok(tarn_map_clear(map, &f->error), &f->error);
    give_back(f, owner, bytes);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static void check_reducing(kinds_fixture *f, const char *name, bool is_function)
{
    tarn_reducing_options how = TARN_REDUCING_OPTIONS_INIT;
    tarn_reducing *state = NULL;
    uint64_t bytes = 0;
    how.reducer = is_function ? TARN_REDUCER_FUNCTION : TARN_REDUCER_SUM;
    how.number = TARN_NUMBER_I64;
    how.reduce = kinds_append_text;
    assert_ok(
        tarn_reducing_open(f->backend, kinds_options(f, name), &how, &state, &f->error), &f->error);
    tarn_owner *owner = spend(f, &bytes);
    for (uint32_t i = 0; i < KEYS * 3; i++) {
        set_number(f, i % KEYS);
        assert_ok(
            is_function ? tarn_reducing_add(state, large(2000), &f->error)
                        : tarn_reducing_add_i64(state, 5, &f->error),
            &f->error);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        tarn_bytes read;
        int64_t sum = 0;
        set_number(f, i);
        if (is_function) {
            assert_ok(tarn_reducing_get(state, &read, &f->error), &f->error);
            assert_int_equal(read.size, 6000);
        } else {
            assert_ok(tarn_reducing_get_i64(state, &sum, &f->error), &f->error);
            assert_int_equal(sum, 15);
        }
    }
    give_back(f, owner, bytes);
    assert_ok(tarn_reducing_close(state, &f->error), &f->error);
}

static void check_aggregating(kinds_fixture *f, const char *name)
{
    tarn_aggregating_options how = TARN_AGGREGATING_OPTIONS_INIT;
    tarn_aggregating *state = NULL;
    uint64_t bytes = 0;
    how.add = kinds_add_text;
    how.get_result = kinds_bracket;
    assert_ok(
        tarn_aggregating_open(f->backend, kinds_options(f, name), &how, &state, &f->error),
        &f->error);
    tarn_owner *owner = spend(f, &bytes);
    for (uint32_t i = 0; i < KEYS * 3; i++) {
        set_number(f, i % KEYS);
        assert_ok(tarn_aggregating_add(state, large(2000), &f->error), &f->error);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        tarn_bytes read;
        set_number(f, i);
        assert_ok(tarn_aggregating_get(state, &read, &f->error), &f->error);
        assert_int_equal(read.size, 6002);
    }
    give_back(f, owner, bytes);
    assert_ok(tarn_aggregating_close(state, &f->error), &f->error);
}

static void test_every_kind_goes_on_when_others_have_spent_the_pool(void **state)
{
    kinds_fixture *f = *state;
    for (uint32_t round = 0; round < 2; round++) {
        const bool has_working_set = round == 0;
        resize(f, has_working_set);
        check_values(f, has_working_set ? "v" : "v0", false);
        check_values(f, has_working_set ? "vt" : "vt0", true);
        check_lists(f, has_working_set ? "l" : "l0");
        check_maps(f, has_working_set ? "m" : "m0");
        check_reducing(f, has_working_set ? "s" : "s0", false);
        check_reducing(f, has_working_set ? "r" : "r0", true);
        check_aggregating(f, has_working_set ? "a" : "a0");
    }
}

/* More than the spare, at once: nothing changes, and the sentence names who, the pool and what
 * sizes it; with room again it goes on. */
static void test_what_the_spare_does_not_hold_is_over_the_budget(void **state)
{
    enum { MUCH = 3 << 20 };
    kinds_fixture *f = *state;
    tarn_list *list = NULL;
    uint64_t bytes = 0;
    char *much = calloc(1, MUCH);
    assert_non_null(much);
    resize(f, true);
    assert_ok(tarn_list_open(f->backend, kinds_options(f, "l"), &list, &f->error), &f->error);
    kinds_set_key(f, "k");
    tarn_owner *owner = spend(f, &bytes);
    kinds_expect_failure(
        f,
        tarn_list_append(list, tarn_bytes_at(much, MUCH), &f->error),
        TARN_OVER_BUDGET,
        "buffers");
    assert_int_equal(f->error.status, TARN_OVER_BUDGET);
    assert_non_null(strstr(f->error.message, "heap pool"));
    assert_non_null(strstr(f->error.message, "taskmanager.memory.task.heap.size"));
    assert_ok(tarn_list_append(list, large(10), &f->error), &f->error);
    give_back(f, owner, bytes);
    assert_ok(tarn_list_append(list, tarn_bytes_at(much, MUCH), &f->error), &f->error);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
    free(much);
}

static void test_a_store_of_checkpoints_says_that_the_pool_is_spent(void **state)
{
    kinds_fixture *f = *state;
    char address[FIXTURE_PATH_BYTES + 32];
    uint64_t bytes = 0;
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    (void)snprintf(address, sizeof address, "file://%s/checkpoints", f->directory);
    options.env = f->env;
    options.address = address;
    options.job = "job";
    tarn_owner *owner = spend(f, &bytes);
    kinds_expect_failure(
        f, tarn_checkpoint_store_open(&options, &store, &f->error), TARN_OVER_BUDGET, "heap pool");
    give_back(f, owner, bytes);
    assert_ok(tarn_checkpoint_store_open(&options, &store, &f->error), &f->error);
    owner = spend(f, &bytes);
    kinds_expect_failure(
        f, tarn_checkpoint_begin(store, 1, &pending, &f->error), TARN_OVER_BUDGET, "heap pool");
    give_back(f, owner, bytes);
    assert_ok(tarn_checkpoint_store_close(store, &f->error), &f->error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_every_kind_goes_on_when_others_have_spent_the_pool, kinds_setup, kinds_teardown),
        cmocka_unit_test_setup_teardown(
            test_what_the_spare_does_not_hold_is_over_the_budget, kinds_setup, kinds_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_store_of_checkpoints_says_that_the_pool_is_spent, kinds_setup, kinds_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
