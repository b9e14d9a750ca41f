/*
 * Unit tests of cache/ghost.c, and of the working set of a state that steps aside: when hits are
 * rare what is only read is not kept; when they would be many again it is.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/list.h"
#include "tarn/map.h"

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

/* A state under test, of one kind. */
typedef struct subject {
    kinds_fixture *f;
    tarn_value *value;
    tarn_map *map;
    tarn_list *list;
    bool is_visited; /* The map is iterated over, not asked for an entry. */
} subject;

static void put(const subject *s, uint32_t number)
{
    const tarn_bytes bytes = tarn_bytes_at(&number, sizeof number);
    tarn_error *error = &s->f->error;
    if (s->value != NULL) {
        assert_ok(tarn_value_put(s->value, bytes, error), error);
    } else if (s->map != NULL) {
        assert_ok(tarn_map_put(s->map, tarn_bytes_of("entry"), bytes, error), error);
    } else {
        assert_ok(tarn_list_append(s->list, bytes, error), error);
    }
}

static uint32_t visit_map(const subject *s)
{
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    uint32_t number = 0;
    assert_ok(tarn_map_iterate(s->map, NULL, NULL, &iterator, &s->f->error), &s->f->error);
    assert_ok(tarn_map_iterator_next(iterator, &entry, &s->f->error), &s->f->error);
    memcpy(&number, entry.value.data, sizeof number);
    assert_int_equal(tarn_map_iterator_next(iterator, &entry, &s->f->error), TARN_DONE);
    tarn_map_iterator_close(iterator);
    return number;
}

static uint32_t read_list(const subject *s)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    uint32_t number = 0;
    assert_ok(tarn_list_iterate(s->list, NULL, &iterator, &s->f->error), &s->f->error);
    assert_ok(tarn_list_iterator_next(iterator, &element, &s->f->error), &s->f->error);
    memcpy(&number, element.data, sizeof number);
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &s->f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
    return number;
}

static uint32_t read_number(const subject *s)
{
    uint32_t number = 0;
    tarn_bytes read;
    if (s->list != NULL) {
        return read_list(s);
    }
    if (s->is_visited) {
        return visit_map(s);
    }
    assert_ok(
        s->value != NULL ? tarn_value_get(s->value, &read, &s->f->error)
                         : tarn_map_get(s->map, tarn_bytes_of("entry"), &read, &s->f->error),
        &s->f->error);
    memcpy(&number, read.data, sizeof number);
    return number;
}

static void set_key(const subject *s, uint32_t number)
{
    char name[16];
    (void)snprintf(name, sizeof name, "key %u", number);
    kinds_set_key(s->f, name);
}

static void read_at_random(const subject *s, tarn__random *random, uint32_t count, uint32_t keys)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t number = (uint32_t)tarn__random_below(random, keys);
        set_key(s, number);
        assert_int_equal(read_number(s), number);
    }
}

static void check_subject(const subject *s)
{
    kinds_fixture *f = s->f;
    tarn_working_set_stats stats;
    tarn__random random = {1};
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, 16000, &f->error), &f->error);
    for (uint32_t i = 0; i < KEYS; i++) {
        set_key(s, i);
        put(s, i);
    }
    read_at_random(s, &random, ROUNDS, KEYS);
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_true(stats.is_aside);
    assert_true(stats.declined_count > 0);
    const uint64_t evicted = stats.evicted_count;
    read_at_random(s, &random, 2000, KEYS);
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_true(stats.evicted_count - evicted < 200);
    read_at_random(s, &random, ROUNDS, 40); /* The stream turns to a few keys. */
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_false(stats.is_aside);
}

static void test_a_state_read_at_random_is_answered_without_keeping_it(void **state)
{
    kinds_fixture *f = *state;
    const subject s = {.f = f, .value = fixture_open_value(f->backend, "value")};
    check_subject(&s);
    assert_ok(tarn_value_close(s.value, &f->error), &f->error);
}

static void check_map(kinds_fixture *f, bool is_visited)
{
    subject s = {.f = f, .is_visited = is_visited};
    assert_ok(tarn_map_open(f->backend, kinds_options(f, "map"), &s.map, &f->error), &f->error);
    check_subject(&s);
    assert_ok(tarn_map_close(s.map, &f->error), &f->error);
}

static void test_maps_read_at_random_are_answered_without_keeping_them(void **state)
{
    check_map(*state, /* is_visited= */ false);
}

static void test_maps_visited_at_random_are_answered_without_keeping_them(void **state)
{
    check_map(*state, /* is_visited= */ true);
}

/* A map of which the working set holds a part only. */
static void fill_large_map(const subject *s)
{
    enum { ENTRIES = 400 };
    kinds_set_key(s->f, "large");
    for (uint32_t i = 0; i < ENTRIES; i++) {
        char name[100];
        (void)snprintf(name, sizeof name, "entry %080u", i);
        assert_ok(
            tarn_map_put(s->map, tarn_bytes_of(name), tarn_bytes_of("value"), &s->f->error),
            &s->f->error);
    }
}

static uint64_t count_declined(kinds_fixture *f)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_true(stats.is_aside);
    return stats.declined_count;
}

static void begin_to_visit(const subject *s)
{
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    assert_ok(tarn_map_iterate(s->map, NULL, NULL, &iterator, &s->f->error), &s->f->error);
    assert_ok(tarn_map_iterator_next(iterator, &entry, &s->f->error), &s->f->error);
    tarn_map_iterator_close(iterator);
}

static void test_a_map_that_is_too_large_is_found_to_be_once_aside_too(void **state)
{
    kinds_fixture *f = *state;
    subject s = {.f = f};
    tarn__random random = {1};
    assert_ok(tarn_map_open(f->backend, kinds_options(f, "map"), &s.map, &f->error), &f->error);
    fill_large_map(&s);
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    assert_ok(tarn_backend_resize_working_set(f->backend, 16000, &f->error), &f->error);
    for (uint32_t i = 0; i < KEYS; i++) {
        set_key(&s, i);
        put(&s, i);
    }
    read_at_random(&s, &random, ROUNDS, KEYS);
    kinds_set_key(f, "large");
    const uint64_t declined = count_declined(f);
    begin_to_visit(&s);
    begin_to_visit(&s);
    assert_int_equal(count_declined(f), declined);
    assert_ok(tarn_map_close(s.map, &f->error), &f->error);
}

static void test_lists_read_at_random_are_answered_without_keeping_them(void **state)
{
    kinds_fixture *f = *state;
    subject s = {.f = f};
    assert_ok(tarn_list_open(f->backend, kinds_options(f, "list"), &s.list, &f->error), &f->error);
    check_subject(&s);
    assert_ok(tarn_list_close(s.list, &f->error), &f->error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rare_hits_make_it_step_aside_and_met_ghosts_bring_it_back),
        cmocka_unit_test(test_it_stays_while_the_set_has_room_or_hits),
        cmocka_unit_test(test_without_memory_for_ghosts_all_is_kept),
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
        TEST(test_a_state_read_at_random_is_answered_without_keeping_it),
        TEST(test_maps_read_at_random_are_answered_without_keeping_them),
        TEST(test_maps_visited_at_random_are_answered_without_keeping_them),
        TEST(test_a_map_that_is_too_large_is_found_to_be_once_aside_too),
        TEST(test_lists_read_at_random_are_answered_without_keeping_them),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
