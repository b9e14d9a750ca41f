/*
 * Unit tests of the options structs: what the init functions give to C++ and bindings is what the
 * INIT macros give to C, for every struct and whatever was in the memory before.
 */
#include "support/support.h"

#include <string.h>

#include "tarn/aggregating.h"
#include "tarn/checkpoint.h"
#include "tarn/cleanup.h"
#include "tarn/coordinator.h"
#include "tarn/diff.h"
#include "tarn/driver.h"
#include "tarn/fallback.h"
#include "tarn/map.h"
#include "tarn/operator_state.h"
#include "tarn/plan.h"
#include "tarn/prefetch.h"
#include "tarn/reducing.h"
#include "tarn/rows.h"
#include "tarn/savepoint.h"
#include "tarn/schema.h"
#include "tarn/state.h"
#include "tarn/storage.h"
#include "tarn/testkit/storage.h"
#include "tarn/timer.h"

/* Static, so that what lies between members is zero as well. */
#define EXPECT_SAME(type, init, INIT)                               \
    do {                                                            \
        static const type by_macro = INIT;                          \
        type by_function;                                           \
        memset(&by_function, 0xff, sizeof by_function);             \
        init(&by_function, sizeof by_function);                     \
        assert_int_equal(by_function.struct_size, sizeof(type));    \
        assert_memory_equal(&by_function, &by_macro, sizeof(type)); \
    } while (0)

static void test_functions_and_macros_agree(void **state)
{
    (void)state;
    EXPECT_SAME(
        tarn_aggregating_options, tarn_aggregating_options_init, TARN_AGGREGATING_OPTIONS_INIT);
    EXPECT_SAME(tarn_backend_options, tarn_backend_options_init, TARN_BACKEND_OPTIONS_INIT);
    EXPECT_SAME(
        tarn_checkpoint_store_options,
        tarn_checkpoint_store_options_init,
        TARN_CHECKPOINT_STORE_OPTIONS_INIT);
    EXPECT_SAME(
        tarn_coordinator_options, tarn_coordinator_options_init, TARN_COORDINATOR_OPTIONS_INIT);
    EXPECT_SAME(tarn_diff_options, tarn_diff_options_init, TARN_DIFF_OPTIONS_INIT);
    EXPECT_SAME(tarn_driver_options, tarn_driver_options_init, TARN_DRIVER_OPTIONS_INIT);
    EXPECT_SAME(tarn_env_options, tarn_env_options_init, TARN_ENV_OPTIONS_INIT);
    EXPECT_SAME(tarn_fallback_options, tarn_fallback_options_init, TARN_FALLBACK_OPTIONS_INIT);
    EXPECT_SAME(tarn_garbage_options, tarn_garbage_options_init, TARN_GARBAGE_OPTIONS_INIT);
    EXPECT_SAME(tarn_import_options, tarn_import_options_init, TARN_IMPORT_OPTIONS_INIT);
    EXPECT_SAME(tarn_jobmanager_plan, tarn_jobmanager_plan_init, TARN_JOBMANAGER_PLAN_INIT);
    EXPECT_SAME(tarn_map_range, tarn_map_range_init, TARN_MAP_RANGE_INIT);
    EXPECT_SAME(tarn_migration, tarn_migration_init, TARN_MIGRATION_INIT);
    EXPECT_SAME(
        tarn_operator_state_options,
        tarn_operator_state_options_init,
        TARN_OPERATOR_STATE_OPTIONS_INIT);
    EXPECT_SAME(
        tarn_operator_store_options,
        tarn_operator_store_options_init,
        TARN_OPERATOR_STORE_OPTIONS_INIT);
    EXPECT_SAME(tarn_prefetch, tarn_prefetch_init, TARN_PREFETCH_INIT);
    EXPECT_SAME(tarn_reducing_options, tarn_reducing_options_init, TARN_REDUCING_OPTIONS_INIT);
    EXPECT_SAME(tarn_rocksdb_plan, tarn_rocksdb_plan_init, TARN_ROCKSDB_PLAN_INIT);
    EXPECT_SAME(tarn_savepoint_options, tarn_savepoint_options_init, TARN_SAVEPOINT_OPTIONS_INIT);
    EXPECT_SAME(tarn_state_options, tarn_state_options_init, TARN_STATE_OPTIONS_INIT);
    EXPECT_SAME(tarn_storage_figures, tarn_storage_figures_init, TARN_STORAGE_FIGURES_INIT);
    EXPECT_SAME(
        tarn_storage_open_options, tarn_storage_open_options_init, TARN_STORAGE_OPEN_OPTIONS_INIT);
    EXPECT_SAME(tarn_taskmanager_plan, tarn_taskmanager_plan_init, TARN_TASKMANAGER_PLAN_INIT);
    EXPECT_SAME(tarn_testkit_storage, tarn_testkit_storage_init, TARN_TESTKIT_STORAGE_INIT);
    EXPECT_SAME(tarn_timers_options, tarn_timers_options_init, TARN_TIMERS_OPTIONS_INIT);
    EXPECT_SAME(tarn_ttl, tarn_ttl_init, TARN_TTL_INIT);
}

/* The caller may be older: only its own size is written. */
static void test_a_smaller_struct_is_not_overrun(void **state)
{
    (void)state;
    struct {
        tarn_env_options options;
        uint64_t guard;
    } memory = {.guard = 42};
    tarn_env_options_init(&memory.options, sizeof(size_t));
    assert_int_equal(memory.options.struct_size, sizeof(size_t));
    assert_int_equal(memory.guard, 42);
}

/* The default allocator is malloc(): what it gives, free() takes, and realloc() keeps. */
static void test_the_default_allocator_gives_moves_and_takes(void **state)
{
    (void)state;
    const tarn_allocator *allocator = tarn_allocator_default();
    char *memory = allocator->allocate(4, allocator->context);
    assert_non_null(memory);
    memcpy(memory, "abc", 4);
    memory = allocator->reallocate(memory, 1 << 20, allocator->context);
    assert_non_null(memory);
    assert_string_equal(memory, "abc");
    allocator->release(memory, allocator->context);
    allocator->release(NULL, allocator->context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_and_macros_agree),
        cmocka_unit_test(test_a_smaller_struct_is_not_overrun),
        cmocka_unit_test(test_the_default_allocator_gives_moves_and_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
