/*
 * Unit tests of base/account.c: every byte has an owner, and a refused or failed allocation leaves
 * the books as they were.
 */
#include "support/support.h"

#include "base/account.h"
#include "base/refusal.h"

typedef struct pool {
    size_t used;
    size_t limit;
} pool;

static bool charge(void *context, size_t bytes)
{
    pool *p = context;
    if (bytes > p->limit - p->used) {
        return false;
    }
    p->used += bytes;
    return true;
}

static void discharge(void *context, size_t bytes)
{
    ((pool *)context)->used -= bytes;
}

static void test_blocks_are_charged_and_given_back(void **state)
{
    (void)state;
    pool p = {.limit = 4096};
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn__account_attach(&account, charge, discharge, &p);

    void *a = tarn__allocate(&account, 100);
    assert_non_null(a);
    assert_true(p.used >= 100);
    assert_int_equal(p.used, atomic_load(&account.bytes));
    a = tarn__reallocate(&account, a, 1000);
    assert_non_null(a);
    assert_true(p.used >= 1000);
    a = tarn__reallocate(&account, a, 10);
    assert_true(p.used < 100);
    assert_true(atomic_load(&account.bytes_peak) >= 1000);
    tarn__release(a);
    assert_int_equal(p.used, 0);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

static void test_a_refusal_changes_nothing(void **state)
{
    (void)state;
    pool p = {.limit = 200};
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn__account_attach(&account, charge, discharge, &p);

    char *kept = tarn__allocate_string(&account, "kept");
    const size_t used = p.used;
    assert_null(tarn__allocate(&account, 500));
    assert_null(tarn__reallocate(&account, kept, 500));
    assert_int_equal(p.used, used);
    assert_string_equal(kept, "kept");
    tarn__release(kept);
    assert_int_equal(p.used, 0);
}

static void test_a_failing_allocator_below_is_not_charged(void **state)
{
    (void)state;
    fault_allocator fault;
    fault_allocator_init(&fault, 1);
    pool p = {.limit = 1 << 20};
    tarn__account account;
    tarn__account_init(&account, "test", &fault.base);
    tarn__account_attach(&account, charge, discharge, &p);

    void *first = tarn__allocate(&account, 64);
    const size_t used = p.used;
    assert_null(tarn__reallocate(&account, first, 128));
    assert_int_equal(p.used, used);
    tarn__release(first);
    assert_int_equal(p.used, 0);
    assert_int_equal(atomic_load(&fault.live_count), 0);
}

static void test_absurd_sizes_are_refused(void **state)
{
    (void)state;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    assert_null(tarn__allocate(&account, SIZE_MAX - 1));
    assert_null(tarn__allocate_zeroed(&account, SIZE_MAX / 2, 4));
    assert_int_equal(atomic_load(&account.bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_charged_and_given_back),
        cmocka_unit_test(test_a_refusal_changes_nothing),
        cmocka_unit_test(test_a_failing_allocator_below_is_not_charged),
        cmocka_unit_test(test_absurd_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
