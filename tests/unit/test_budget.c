/*
 * Unit tests of memory/budget.c: a pool never holds more than its limit, every byte has a name,
 * and a budget does not close over something that is still held.
 */
#include "support/support.h"

#include <pthread.h>
#include <string.h>

#include "tarn/bytes.h"

#include "memory/budget.h"

enum { LIMIT = 1 << 20 };

typedef struct fixture {
    tarn_budget *budget;
    tarn_error error;
} fixture;

static tarn_budget_options options_with(uint64_t off_heap)
{
    return (tarn_budget_options){
        .struct_size = sizeof(tarn_budget_options),
        .limit_bytes = {LIMIT, LIMIT, LIMIT, off_heap},
    };
}

static int setup(void **state)
{
    static fixture f;
    const tarn_budget_options options = options_with(1000);
    assert_ok(tarn_budget_open(&options, &f.budget, &f.error), &f.error);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_budget_close(f->budget, &f->error), &f->error);
    return 0;
}

static tarn_owner *owner_named(fixture *f, const char *name)
{
    tarn_owner *owner = NULL;
    assert_ok(tarn_owner_open(f->budget, TARN_POOL_OFF_HEAP, name, &owner, &f->error), &f->error);
    return owner;
}

static void test_a_reservation_over_the_limit_is_refused_and_explained(void **state)
{
    fixture *f = *state;
    tarn_owner *a = owner_named(f, "upload");
    tarn_owner *b = owner_named(f, "download");
    assert_ok(tarn_owner_reserve(a, 900, TARN_NO_WAIT, &f->error), &f->error);
    assert_int_equal(tarn_owner_reserve(b, 101, TARN_NO_WAIT, &f->error), TARN_OVER_BUDGET);
    assert_non_null(strstr(f->error.message, "download cannot reserve 101 bytes"));
    assert_non_null(strstr(f->error.message, "900 of 1000"));
    assert_non_null(strstr(f->error.message, "upload (900 bytes)"));
    assert_ok(tarn_owner_reserve(b, 100, TARN_NO_WAIT, &f->error), &f->error);

    const tarn_pool_stats stats = tarn_budget_pool(f->budget, TARN_POOL_OFF_HEAP);
    assert_int_equal(stats.used_bytes, 1000);
    assert_int_equal(stats.peak_bytes, 1000);
    assert_int_equal(stats.refused_count, 1);
    tarn_owner_release(a, 900);
    tarn_owner_release(b, 100);
    assert_int_equal(tarn_budget_pool(f->budget, TARN_POOL_OFF_HEAP).used_bytes, 0);
    assert_int_equal(tarn_budget_pool(f->budget, TARN_POOL_OFF_HEAP).peak_bytes, 1000);
    assert_ok(tarn_owner_close(a, &f->error), &f->error);
    assert_ok(tarn_owner_close(b, &f->error), &f->error);
}

static void test_an_owner_that_holds_bytes_cannot_be_closed_nor_its_budget(void **state)
{
    fixture *f = *state;
    tarn_owner *owner = owner_named(f, "flights/aircraft-0/upload");
    assert_ok(tarn_owner_reserve(owner, 10, TARN_NO_WAIT, &f->error), &f->error);
    assert_int_equal(tarn_owner_close(owner, &f->error), TARN_BUSY);
    assert_non_null(strstr(f->error.message, "flights/aircraft-0/upload still holds 10 bytes"));
    assert_int_equal(tarn_budget_close(f->budget, &f->error), TARN_BUSY);
    assert_non_null(strstr(f->error.message, "flights/aircraft-0/upload with 10 bytes"));
    tarn_owner_release(owner, 10);
    assert_ok(tarn_owner_close(owner, &f->error), &f->error);
}

typedef struct seen {
    int count;
    uint64_t bytes;
    char names[64];
} seen;

static void note(const tarn_owner_stats *stats, void *context)
{
    seen *s = context;
    s->count++;
    s->bytes += stats->used_bytes;
    strncat(s->names, stats->name, sizeof s->names - strlen(s->names) - 1);
}

static void test_a_visit_names_every_owner_in_order(void **state)
{
    fixture *f = *state;
    tarn_owner *a = owner_named(f, "a");
    tarn_owner *b = owner_named(f, "b");
    tarn_owner *c = owner_named(f, "c");
    assert_ok(tarn_owner_close(b, &f->error), &f->error);
    assert_ok(tarn_owner_reserve(c, 7, TARN_NO_WAIT, &f->error), &f->error);
    seen s = {0};
    tarn_budget_visit(f->budget, note, &s);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.bytes, 7);
    assert_string_equal(s.names, "ac");
    tarn_owner_release(c, 7);
    assert_ok(tarn_owner_close(a, &f->error), &f->error);
    assert_ok(tarn_owner_close(c, &f->error), &f->error);
}

static void test_an_owners_allocator_reserves_every_block(void **state)
{
    fixture *f = *state;
    tarn_owner *owner = owner_named(f, "blocks");
    const tarn_allocator *allocator = tarn_owner_allocator(owner);
    void *block = allocator->allocate(500, allocator->context);
    assert_non_null(block);
    assert_true(tarn_budget_pool(f->budget, TARN_POOL_OFF_HEAP).used_bytes >= 500);
    assert_null(allocator->allocate(600, allocator->context));
    allocator->release(block, allocator->context);
    assert_int_equal(tarn_budget_pool(f->budget, TARN_POOL_OFF_HEAP).used_bytes, 0);
    assert_ok(tarn_owner_close(owner, &f->error), &f->error);
}

static void *reserve_patiently(void *context)
{
    tarn_error error;
    tarn_status status = tarn_owner_reserve(context, 1000, 60000, &error);
    return status == TARN_OK ? context : NULL;
}

/* The second owner waits; what the first one releases must reach it, or a checkpoint would hang. */
static void test_a_waiting_reservation_gets_what_is_released(void **state)
{
    fixture *f = *state;
    tarn_owner *holder = owner_named(f, "holder");
    tarn_owner *waiter = owner_named(f, "waiter");
    assert_ok(tarn_owner_reserve(holder, 1, TARN_NO_WAIT, &f->error), &f->error);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reserve_patiently, waiter), 0);
    tarn_owner_release(holder, 1);
    void *result = NULL;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, waiter);
    tarn_owner_release(waiter, 1000);
    assert_ok(tarn_owner_close(holder, &f->error), &f->error);
    assert_ok(tarn_owner_close(waiter, &f->error), &f->error);
}

static void test_a_wait_ends_at_its_deadline_or_at_once_when_hopeless(void **state)
{
    fixture *f = *state;
    tarn_owner *holder = owner_named(f, "holder");
    assert_ok(tarn_owner_reserve(holder, 1000, TARN_NO_WAIT, &f->error), &f->error);
    assert_int_equal(tarn_owner_reserve(holder, 1, 1, &f->error), TARN_OVER_BUDGET);
    const tarn_pool_stats stats = tarn_budget_pool(f->budget, TARN_POOL_OFF_HEAP);
    assert_int_equal(stats.waited_count, 1);
    assert_true(stats.waited_ns >= 1000000);
    assert_int_equal(tarn_owner_reserve(holder, 1001, 60000, &f->error), TARN_OVER_BUDGET);
    tarn_owner_release(holder, 1000);
    assert_ok(tarn_owner_close(holder, &f->error), &f->error);
}

typedef struct contender {
    tarn_budget *budget;
    tarn_owner *owner;
    bool has_exceeded;
} contender;

static void *contend(void *context)
{
    contender *c = context;
    for (int i = 0; i < 20000; i++) {
        if (tarn_owner_reserve(c->owner, 300, TARN_NO_WAIT, NULL) == TARN_OK) {
            const tarn_pool_stats stats = tarn_budget_pool(c->budget, TARN_POOL_OFF_HEAP);
            c->has_exceeded = c->has_exceeded || stats.used_bytes > stats.limit_bytes;
            tarn_owner_release(c->owner, 300);
        }
    }
    return NULL;
}

static void test_threads_together_never_exceed_the_limit(void **state)
{
    fixture *f = *state;
    enum { THREADS = 4 };
    contender contenders[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        contenders[i] = (contender){.budget = f->budget, .owner = owner_named(f, "contender")};
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(contenders[i].has_exceeded);
        assert_ok(tarn_owner_close(contenders[i].owner, &f->error), &f->error);
    }
    const tarn_pool_stats stats = tarn_budget_pool(f->budget, TARN_POOL_OFF_HEAP);
    assert_int_equal(stats.used_bytes, 0);
    assert_true(stats.peak_bytes <= 1000);
}

static void test_a_pool_of_nothing_gives_nothing_and_an_unlimited_one_all(void **state)
{
    (void)state;
    tarn_error error;
    tarn_budget *budget = NULL;
    tarn_budget_options options = options_with(0);
    options.limit_bytes[TARN_POOL_NETWORK] = TARN_UNLIMITED;
    assert_ok(tarn_budget_open(&options, &budget, &error), &error);
    tarn_owner *none = NULL;
    tarn_owner *all = NULL;
    assert_ok(tarn_owner_open(budget, TARN_POOL_OFF_HEAP, "none", &none, &error), &error);
    assert_ok(tarn_owner_open(budget, TARN_POOL_NETWORK, "all", &all, &error), &error);
    assert_int_equal(tarn_owner_reserve(none, 1, TARN_NO_WAIT, &error), TARN_OVER_BUDGET);
    assert_ok(tarn_owner_reserve(none, 0, TARN_NO_WAIT, &error), &error);
    assert_ok(tarn_owner_reserve(all, UINT64_C(1) << 60, TARN_NO_WAIT, &error), &error);
    tarn_owner_release(all, UINT64_C(1) << 60);
    assert_ok(tarn_owner_close(none, &error), &error);
    assert_ok(tarn_owner_close(all, &error), &error);
    assert_ok(tarn_budget_close(budget, &error), &error);
}

/* Messages and metrics name pools so; a name that changes breaks whoever looks for it. */
static void test_every_pool_has_its_name(void **state)
{
    (void)state;
    static const char *const names[TARN_POOL_COUNT] = {
        [TARN_POOL_HEAP] = "heap",
        [TARN_POOL_MANAGED] = "managed",
        [TARN_POOL_NETWORK] = "network",
        [TARN_POOL_OFF_HEAP] = "off-heap",
    };
    for (uint32_t i = 0; i < TARN_POOL_COUNT; i++) {
        assert_string_equal(tarn_pool_name((tarn_pool)i), names[i]);
    }
    assert_string_equal(tarn_pool_name((tarn_pool)TARN_POOL_COUNT), "?");
}

static void test_bad_arguments_are_named(void **state)
{
    fixture *f = *state;
    tarn_budget *budget = NULL;
    tarn_owner *owner = NULL;
    assert_int_equal(tarn_budget_open(NULL, &budget, &f->error), TARN_INVALID_ARGUMENT);
    tarn_budget_options options = {.struct_size = 3};
    assert_int_equal(tarn_budget_open(&options, &budget, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "struct_size is 3"));
    assert_int_equal(
        tarn_owner_open(f->budget, (tarn_pool)9, "x", &owner, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_owner_open(f->budget, TARN_POOL_HEAP, NULL, &owner, &f->error), TARN_INVALID_ARGUMENT);
    assert_null(owner);
}

/* A caller compiled against a later version may pass a longer struct; a zero tail means default. */
static void test_a_longer_options_struct_is_accepted_only_when_its_tail_is_zero(void **state)
{
    fixture *f = *state;
    struct {
        tarn_budget_options known;
        uint64_t unknown;
    } options = {.known = {.struct_size = sizeof options}};
    tarn_budget *budget = NULL;
    assert_ok(tarn_budget_open(&options.known, &budget, &f->error), &f->error);
    assert_ok(tarn_budget_close(budget, &f->error), &f->error);
    options.unknown = 1;
    assert_int_equal(tarn_budget_open(&options.known, &budget, &f->error), TARN_INVALID_ARGUMENT);
}

static void test_opening_survives_every_allocation_failure(void **state)
{
    (void)state;
    for (uint64_t nth = 0;; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn_budget_options options = options_with(1000);
        options.allocator = &fault.base;
        tarn_error error;
        tarn_budget *budget = NULL;
        tarn_owner *owner = NULL;
        tarn_status status = tarn_budget_open(&options, &budget, &error);
        if (status == TARN_OK) {
            status = tarn_owner_open(budget, TARN_POOL_HEAP, "x", &owner, &error);
        }
        assert_int_equal(status, atomic_load(&fault.fired) ? TARN_NO_MEMORY : TARN_OK);
        assert_ok(tarn_owner_close(owner, &error), &error);
        assert_ok(tarn_budget_close(budget, &error), &error);
        assert_int_equal(atomic_load(&fault.live_count), 0);
        if (!atomic_load(&fault.fired)) {
            break;
        }
    }
}

/* One failure is the pool's, another the allocator's, though both are a block of NULL. */
static void test_who_refused_is_told_by_status_and_sentence(void **state)
{
    (void)state;
    fault_allocator fault;
    tarn_error error;
    tarn_budget *budget = NULL;
    tarn_owner *owner = NULL;
    fault_allocator_init(&fault, FAULT_NEVER);
    tarn_budget_options options = options_with(1000);
    options.limit_bytes[TARN_POOL_HEAP] = 4096;
    options.allocator = &fault.base;
    assert_ok(tarn_budget_open(&options, &budget, &error), &error);
    assert_ok(tarn_owner_open(budget, TARN_POOL_HEAP, "cook", &owner, &error), &error);
    tarn_buffer pot = {.allocator = tarn_owner_allocator(owner)};
    assert_int_equal(tarn_buffer_reserve(&pot, 5000), TARN_NO_MEMORY);
    assert_int_equal(tarn__fail_no_memory(&error, "soup", 5000), TARN_OVER_BUDGET);
    assert_int_equal(error.status, TARN_OVER_BUDGET);
    assert_non_null(
        strstr(error.message, "cannot allocate 5000 bytes for soup, as cook: the heap"));
    assert_non_null(strstr(error.message, "of 4096 bytes in use; raise taskmanager.memory.task"));
    assert_int_equal(tarn__fail_no_memory(&error, "soup", 5000), TARN_NO_MEMORY); /* It is taken. */

    /* An account over the owner, as parts of the library are given one. */
    tarn__account account;
    tarn__account_init(&account, "spoon", tarn_owner_allocator(owner));
    assert_null(tarn__allocate(&account, 5000));
    assert_int_equal(tarn__fail_no_memory(NULL, "soup", 5000), TARN_OVER_BUDGET);

    /* A refusal that somebody went without is not the reason of the next failure. */
    assert_null(tarn__allocate(&account, 5000));
    fault.fail_at = atomic_load(&fault.request_count);
    assert_int_equal(tarn_buffer_reserve(&pot, 100), TARN_NO_MEMORY);
    assert_int_equal(tarn__fail_no_memory(&error, "soup", 100), TARN_NO_MEMORY);
    assert_null(strstr(error.message, "pool"));
    assert_ok(tarn_owner_close(owner, &error), &error);
    assert_ok(tarn_budget_close(budget, &error), &error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_reservation_over_the_limit_is_refused_and_explained, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_owner_that_holds_bytes_cannot_be_closed_nor_its_budget, setup, teardown),
        cmocka_unit_test(test_who_refused_is_told_by_status_and_sentence),
        cmocka_unit_test_setup_teardown(test_a_visit_names_every_owner_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_owners_allocator_reserves_every_block, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_waiting_reservation_gets_what_is_released, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_wait_ends_at_its_deadline_or_at_once_when_hopeless, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_threads_together_never_exceed_the_limit, setup, teardown),
        cmocka_unit_test(test_a_pool_of_nothing_gives_nothing_and_an_unlimited_one_all),
        cmocka_unit_test(test_every_pool_has_its_name),
        cmocka_unit_test_setup_teardown(test_bad_arguments_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_longer_options_struct_is_accepted_only_when_its_tail_is_zero, setup, teardown),
        cmocka_unit_test(test_opening_survives_every_allocation_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
