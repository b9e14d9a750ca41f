/*
 * Unit tests of env/env.c: the pools are those of the plan, an impossible plan is refused before
 * anything is opened, and nothing that is still held lets the environment close.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "env/env.h"
#include "memory/budget.h"

typedef struct fixture {
    tarn_config *config;
    tarn_error error;
} fixture;

static void set(fixture *f, const char *key, const char *value)
{
    assert_ok(tarn_config_set(f->config, key, value, "test", &f->error), &f->error);
}

static int setup(void **state)
{
    static fixture f;
    assert_ok(tarn_config_new(NULL, &f.config, &f.error), &f.error);
    set(&f, "taskmanager.memory.process.size", "1728m");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tarn_config_free(f->config);
    return 0;
}

static tarn_env *open_env(fixture *f)
{
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = f->config;
    tarn_env *env = NULL;
    assert_ok(tarn_env_open(&options, &env, &f->error), &f->error);
    return env;
}

static void expect_refused(fixture *f, tarn_status status, const char *part)
{
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = f->config;
    tarn_env *env = NULL;
    assert_int_equal(tarn_env_open(&options, &env, &f->error), status);
    assert_null(env);
    if (strstr(f->error.message, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, f->error.message);
    }
}

/* 1728m is the size of Flink's shipped configuration; its pools are known to the byte. */
static void test_the_pools_have_the_limits_of_the_plan(void **state)
{
    fixture *f = *state;
    tarn_env *env = open_env(f);
    tarn_budget *budget = tarn_env_budget(env);
    assert_int_equal(tarn_budget_pool(budget, TARN_POOL_MANAGED).limit_bytes, 536870920);
    assert_int_equal(tarn_budget_pool(budget, TARN_POOL_NETWORK).limit_bytes, 134217730);
    assert_int_equal(
        tarn_budget_pool(budget, TARN_POOL_HEAP).limit_bytes,
        tarn_env_plan(env)->framework_heap + tarn_env_plan(env)->task_heap);
    assert_int_equal(tarn_budget_pool(budget, TARN_POOL_OFF_HEAP).limit_bytes, 128 << 20);

    const tarn_rocksdb_plan *rocksdb = tarn_env_rocksdb_plan(env);
    assert_int_equal(tarn_budget_pool(budget, TARN_POOL_MANAGED).used_bytes, rocksdb->per_slot);
    tarn_env_memory memory;
    tarn_env_measure(env, &memory);
    assert_int_equal(memory.planned_process_bytes, 1728u << 20);
    assert_true(memory.block_cache_capacity_bytes > 0);
    const uint64_t memtables_beside =
        memory.block_cache_has_memtables ? 0 : memory.memtable_limit_bytes;
    assert_true(memory.block_cache_capacity_bytes + memtables_beside <= 536870920);
    assert_true(memory.resident_bytes > 0);
    assert_ok(tarn_env_close(env, &f->error), &f->error);
}

static void test_an_environment_without_a_size_is_refused(void **state)
{
    fixture *f = *state;
    tarn_config_remove(f->config, "taskmanager.memory.process.size");
    expect_refused(f, TARN_INVALID_ARGUMENT, "taskmanager.memory.process.size");
    tarn_env *env = NULL;
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    assert_int_equal(tarn_env_open(&options, &env, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_env_open(NULL, &env, &f->error), TARN_INVALID_ARGUMENT);
}

static void keep_message(tarn_log_level level, const char *message, void *context)
{
    assert_int_equal(level, TARN_LOG_WARNING);
    (void)snprintf(context, TARN_ERROR_MESSAGE_BYTES, "%s", message);
}

static void test_what_has_no_effect_is_logged(void **state)
{
    fixture *f = *state;
    char message[TARN_ERROR_MESSAGE_BYTES] = "";
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = f->config;
    options.log = keep_message;
    options.log_context = message;
    tarn_env *env = NULL;
    assert_ok(tarn_env_open(&options, &env, &f->error), &f->error);
    assert_string_equal(message, "");
    assert_ok(tarn_env_close(env, &f->error), &f->error);

    set(f, "pipeline.max-parallelism", "256");
    assert_ok(tarn_env_open(&options, &env, &f->error), &f->error);
    assert_string_equal(message, "test: \"256\" as pipeline.max-parallelism has no effect in Tarn");
    assert_ok(tarn_env_close(env, &f->error), &f->error);
}

static void test_a_bad_value_anywhere_is_refused_by_name(void **state)
{
    fixture *f = *state;
    set(f, "state.backend.rocksdb.thread.num", "many");
    expect_refused(f, TARN_INVALID_ARGUMENT, "state.backend.rocksdb.thread.num");
}

static void test_memtables_that_would_flush_without_end_are_refused_with_the_numbers(void **state)
{
    fixture *f = *state;
    set(f, "taskmanager.memory.managed.size", "200k");
    expect_refused(f, TARN_INVALID_ARGUMENT, "less than one arena block");
    set(f, "taskmanager.memory.managed.size", "16m");
    set(f, "tarn.rocksdb.arena-block-size", "8m");
    expect_refused(f, TARN_INVALID_ARGUMENT, "flushed without end");
    assert_non_null(strstr(f->error.message, "8388608"));
    assert_non_null(strstr(f->error.message, "16777216"));
    /* Flink's own block would not fit either; the one that is fitted to the budget does. */
    tarn_config_remove(f->config, "tarn.rocksdb.arena-block-size");
    tarn_env *env = open_env(f);
    assert_false(tarn_env_rocksdb_plan(env)->arena_valid);
    assert_ok(tarn_env_close(env, &f->error), &f->error);
}

static void test_fixed_memory_over_the_managed_pool_is_refused(void **state)
{
    fixture *f = *state;
    set(f, "taskmanager.numberOfTaskSlots", "4");
    set(f, "state.backend.rocksdb.memory.fixed-per-slot", "128m");
    tarn_env *env = open_env(f);
    assert_int_equal(tarn_env_rocksdb_plan(env)->per_slot, 512 << 20);
    assert_ok(tarn_env_close(env, &f->error), &f->error);
    set(f, "state.backend.rocksdb.memory.fixed-per-slot", "129m");
    expect_refused(f, TARN_INVALID_ARGUMENT, "fixed-per-slot");
    assert_non_null(strstr(f->error.message, "536870920"));
}

static void test_what_is_still_open_is_named_and_keeps_the_environment(void **state)
{
    fixture *f = *state;
    tarn_env *env = open_env(f);
    tarn__env_child child;
    tarn__env_adopt(env, &child, "backend flights/%d", 3);
    assert_int_equal(tarn_env_close(env, &f->error), TARN_BUSY);
    assert_non_null(strstr(f->error.message, "backend flights/3"));
    tarn__env_disown(env, &child);

    tarn_owner *owner = NULL;
    assert_ok(
        tarn_owner_open(tarn_env_budget(env), TARN_POOL_NETWORK, "join/input", &owner, &f->error),
        &f->error);
    assert_ok(tarn_owner_reserve(owner, 4096, TARN_NO_WAIT, &f->error), &f->error);
    assert_int_equal(tarn_env_close(env, &f->error), TARN_BUSY);
    assert_non_null(strstr(f->error.message, "join/input"));
    assert_non_null(strstr(f->error.message, "4096 bytes of the network pool"));
    tarn_owner_release(owner, 4096);
    assert_ok(tarn_owner_close(owner, &f->error), &f->error);
    assert_ok(tarn_env_close(env, &f->error), &f->error);
    assert_ok(tarn_env_close(NULL, &f->error), &f->error);
}

static void count_message(tarn_log_level level, const char *message, void *context)
{
    assert_int_equal(level, TARN_LOG_WARNING);
    assert_true(strlen(message) <= 511);
    (*(int *)context)++;
}

static void test_the_log_hook_gets_messages_cut_to_their_bound(void **state)
{
    fixture *f = *state;
    int count = 0;
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = f->config;
    options.log = count_message;
    options.log_context = &count;
    tarn_env *env = NULL;
    assert_ok(tarn_env_open(&options, &env, &f->error), &f->error);
    tarn__env_log(env, TARN_LOG_WARNING, "%0600d", 1);
    assert_int_equal(count, 1);
    assert_ok(tarn_env_close(env, &f->error), &f->error);
}

static void test_opening_survives_every_allocation_failure(void **state)
{
    fixture *f = *state;
    for (uint64_t nth = 0;; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn_env_options options = TARN_ENV_OPTIONS_INIT;
        options.config = f->config;
        options.allocator = &fault.base;
        options.worker_thread_count = 1;
        tarn_env *env = NULL;
        const tarn_status status = tarn_env_open(&options, &env, &f->error);
        assert_int_equal(status, atomic_load(&fault.fired) ? TARN_NO_MEMORY : TARN_OK);
        assert_ok(tarn_env_close(env, &f->error), &f->error);
        assert_int_equal(atomic_load(&fault.live_count), 0);
        if (!atomic_load(&fault.fired)) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_the_pools_have_the_limits_of_the_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_environment_without_a_size_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_no_effect_is_logged, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_bad_value_anywhere_is_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_memtables_that_would_flush_without_end_are_refused_with_the_numbers,
            setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            test_fixed_memory_over_the_managed_pool_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_is_still_open_is_named_and_keeps_the_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_the_log_hook_gets_messages_cut_to_their_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_opening_survives_every_allocation_failure, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
