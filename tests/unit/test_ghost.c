/*
 * Unit tests of cache/ghost.c, and of the working set of a state that steps aside: when hits are
 * rare what is only read is not kept; when they would be many again it is.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "cache/ghost.h"
#include "support/kinds_fixture.h"

enum { KEYS = 20000, ROUNDS = 12000 };

/* A cache of so many rows under reads of count keys at random; hits come from what is kept. */
static bool decline(
    tarn__ghosts *ghosts, tarn__account *account, tarn__ghost_view *view, uint64_t i)
{
    view->evicted_count++;
    return tarn__ghosts_decline(ghosts, account, view, tarn__random_mix(i));
}

static void test_rare_hits_make_it_step_aside_and_met_ghosts_bring_it_back(void **state)
{
    (void)state;
    tarn__account account;
    tarn__ghosts ghosts = {.tags = NULL};
    tarn__ghost_view view = {.row_count = 5000};
    tarn__account_init(&account, "test", NULL);
    uint64_t declined = 0;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        declined += decline(&ghosts, &account, &view, i);
    }
    assert_non_null(ghosts.tags);
    assert_true(declined > ROUNDS / 2);
    assert_true(tarn__ghosts_memory(&ghosts) <= 5000 * sizeof(uint32_t));
    for (uint64_t i = 0; i < ROUNDS && ghosts.tags != NULL; i++) {
        (void)decline(&ghosts, &account, &view, i % 1000);
    }
    assert_null(ghosts.tags);
    assert_int_equal(account.bytes, 0);
}

static void test_it_stays_while_the_set_has_room_or_hits(void **state)
{
    (void)state;
    tarn__account account;
    tarn__ghosts ghosts = {.tags = NULL};
    tarn__ghost_view view = {.row_count = 5000};
    tarn__account_init(&account, "test", NULL);
    for (uint64_t i = 0; i < ROUNDS; i++) { /* Nothing has to leave. */
        assert_false(tarn__ghosts_decline(&ghosts, &account, &view, tarn__random_mix(i)));
    }
    for (uint64_t i = 0; i < ROUNDS; i++) { /* One hit for each 8 reads. */
        view.hit_count += i % 8 == 0;
        assert_false(decline(&ghosts, &account, &view, i));
    }
}

static void test_without_memory_for_ghosts_all_is_kept(void **state)
{
    (void)state;
    tarn__account account;
    fault_allocator memory;
    tarn__ghosts ghosts = {.tags = NULL};
    tarn__ghost_view view = {.row_count = 5000};
    fault_allocator_init(&memory, 0);
    memory.is_persistent = true;
    tarn__account_init(&account, "test", &memory.base);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        assert_false(decline(&ghosts, &account, &view, i));
    }
    assert_true(memory.fired);
}

/* ---- a state ---------------------------------------------------------------------------- */

static void get(kinds_fixture *f, tarn_value *value, uint32_t number)
{
    char name[16];
    tarn_bytes read;
    uint32_t found = 0;
    (void)snprintf(name, sizeof name, "key %u", number);
    kinds_set_key(f, name);
    assert_ok(tarn_value_get(value, &read, &f->error), &f->error);
    memcpy(&found, read.data, sizeof found);
    assert_int_equal(found, number);
}

static void test_a_state_read_at_random_is_answered_without_keeping_it(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = fixture_open_value(f->backend, "value");
    tarn_working_set_stats stats;
    tarn__random random = {1};
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, 16000, &f->error), &f->error);
    for (uint32_t i = 0; i < KEYS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "key %u", i);
        kinds_set_key(f, name);
        assert_ok(tarn_value_put(value, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        get(f, value, (uint32_t)tarn__random_below(&random, KEYS));
    }
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_true(stats.is_aside);
    assert_true(stats.declined_count > 0);
    const uint64_t evicted = stats.evicted_count;
    for (uint32_t i = 0; i < 2000; i++) {
        get(f, value, (uint32_t)tarn__random_below(&random, KEYS));
    }
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_true(stats.evicted_count - evicted < 200);
    for (uint32_t i = 0; i < ROUNDS; i++) { /* The stream turns to a few keys. */
        get(f, value, (uint32_t)tarn__random_below(&random, 100));
    }
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_false(stats.is_aside);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rare_hits_make_it_step_aside_and_met_ghosts_bring_it_back),
        cmocka_unit_test(test_it_stays_while_the_set_has_room_or_hits),
        cmocka_unit_test(test_without_memory_for_ghosts_all_is_kept),
        cmocka_unit_test_setup_teardown(
            test_a_state_read_at_random_is_answered_without_keeping_it,
            kinds_setup,
            kinds_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
