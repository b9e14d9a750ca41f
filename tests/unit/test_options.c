/*
 * Unit tests of the options structs: what the init functions give to C++ and bindings is what the
 * INIT macros give to C, for every struct and whatever was in the memory before.
 */
#include "support/support.h"

#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/cleanup.h"
#include "tarn/fallback.h"
#include "tarn/map.h"
#include "tarn/savepoint.h"
#include "tarn/state.h"
#include "tarn/timer.h"

#define EXPECT_SAME(type, init, INIT)                               \
    do {                                                            \
        const type by_macro = INIT;                                 \
        type by_function;                                           \
        memset(&by_function, 0xff, sizeof by_function);             \
        init(&by_function, sizeof by_function);                     \
        assert_int_equal(by_function.struct_size, sizeof(type));    \
        assert_memory_equal(&by_function, &by_macro, sizeof(type)); \
    } while (0)

static void test_functions_and_macros_agree(void **state)
{
    (void)state;
    EXPECT_SAME(tarn_env_options, tarn_env_options_init, TARN_ENV_OPTIONS_INIT);
    EXPECT_SAME(tarn_backend_options, tarn_backend_options_init, TARN_BACKEND_OPTIONS_INIT);
    EXPECT_SAME(tarn_fallback_options, tarn_fallback_options_init, TARN_FALLBACK_OPTIONS_INIT);
    EXPECT_SAME(tarn_garbage_options, tarn_garbage_options_init, TARN_GARBAGE_OPTIONS_INIT);
    EXPECT_SAME(tarn_savepoint_options, tarn_savepoint_options_init, TARN_SAVEPOINT_OPTIONS_INIT);
    EXPECT_SAME(tarn_state_options, tarn_state_options_init, TARN_STATE_OPTIONS_INIT);
    EXPECT_SAME(tarn_map_range, tarn_map_range_init, TARN_MAP_RANGE_INIT);
    EXPECT_SAME(tarn_ttl, tarn_ttl_init, TARN_TTL_INIT);
    EXPECT_SAME(tarn_timers_options, tarn_timers_options_init, TARN_TIMERS_OPTIONS_INIT);
    EXPECT_SAME(
        tarn_checkpoint_store_options,
        tarn_checkpoint_store_options_init,
        TARN_CHECKPOINT_STORE_OPTIONS_INIT);
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
