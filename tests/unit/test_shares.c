/*
 * Unit tests of several backends in one environment: their working sets share the heap by slots,
 * and where all together may take more than there is, that is said, the last one keeps fewer rows
 * and nothing fails.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/state.h"
#include "tarn/working_set.h"

#include "state/backend.h"
#include "support/state_fixture.h"

enum { BACKENDS = 3, HEAP_MIB = 12, ROWS = 40000, VALUE_BYTES = 200 };

typedef struct fixture {
    char root[FIXTURE_PATH_BYTES];
    tarn_config *config;
    tarn_env *env;
    tarn_backend *backends[BACKENDS];
    tarn_value *values[BACKENDS];
    uint32_t warning_count;
    char warning[512];
    tarn_error error;
} fixture;

static void take_log(tarn_log_level level, const char *message, void *context)
{
    fixture *f = context;
    if (level == TARN_LOG_WARNING) {
        f->warning_count++;
        (void)snprintf(f->warning, sizeof f->warning, "%s", message);
    }
}

static int set_up(void **state)
{
    static fixture f;
    char size[16];
    memset(&f, 0, sizeof f);
    fixture_make_directory(f.root);
    f.config = fixture_new_config(64);
    (void)snprintf(size, sizeof size, "%dm", HEAP_MIB / 2);
    fixture_set(f.config, "taskmanager.memory.framework.heap.size", size);
    fixture_set(f.config, "taskmanager.memory.task.heap.size", size);
    *state = &f;
    return 0;
}

static void open_env(fixture *f)
{
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = f->config;
    options.log = take_log;
    options.log_context = f;
    assert_ok(tarn_env_open(&options, &f->env, &f->error), &f->error);
}

static void open_backend(fixture *f, uint32_t index)
{
    char directory[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(directory, sizeof directory, "%s/%u", f->root, index);
    f->backends[index] = fixture_open_backend(f->env, directory);
    f->values[index] = fixture_open_value(f->backends[index], "value");
}

static void close_backend(fixture *f, uint32_t index)
{
    assert_ok(tarn_value_close(f->values[index], &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backends[index], &f->error), &f->error);
    f->backends[index] = NULL;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < BACKENDS; i++) {
        if (f->backends[i] != NULL) {
            close_backend(f, i);
        }
    }
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    tarn_config_free(f->config);
    fixture_remove_directory(f->root);
    return 0;
}

static void set_key(fixture *f, uint32_t index, uint32_t key)
{
    assert_ok(
        tarn_backend_set_key(f->backends[index], tarn_bytes_at(&key, sizeof key), &f->error),
        &f->error);
}

static void write_rows(fixture *f, uint32_t index)
{
    uint8_t bytes[VALUE_BYTES] = {0};
    for (uint32_t key = 0; key < ROWS; key++) {
        memcpy(bytes, &key, sizeof key);
        set_key(f, index, key);
        assert_ok(
            tarn_value_put(f->values[index], tarn_bytes_at(bytes, sizeof bytes), &f->error),
            &f->error);
    }
}

static void expect_rows(fixture *f, uint32_t index)
{
    for (uint32_t key = 0; key < ROWS; key++) {
        tarn_bytes bytes;
        set_key(f, index, key);
        assert_ok(tarn_value_get(f->values[index], &bytes, &f->error), &f->error);
        assert_memory_equal(bytes.data, &key, sizeof key);
    }
}

static tarn_working_set_stats measure(const fixture *f, uint32_t index)
{
    tarn_working_set_stats stats;
    tarn_backend_measure_working_set(f->backends[index], &stats);
    return stats;
}

static void test_slots_share_the_heap(void **state)
{
    fixture *f = *state;
    const uint64_t heap = (uint64_t)HEAP_MIB << 20;
    fixture_set(f->config, "taskmanager.numberOfTaskSlots", "3");
    fixture_set(f->config, "tarn.working-set.fraction", "0.75");
    open_env(f);
    for (uint32_t i = 0; i < BACKENDS; i++) {
        open_backend(f, i);
        assert_int_equal(measure(f, i).capacity_bytes, heap / 3 / 4 * 3);
    }
    for (uint32_t i = 0; i < BACKENDS; i++) {
        write_rows(f, i);
        assert_true(measure(f, i).memory_bytes > heap / 3 / 2); /* Nobody is left without. */
    }
    assert_int_equal(f->warning_count, 0);
    for (uint32_t i = 0; i < BACKENDS; i++) {
        expect_rows(f, i);
    }
}

static void test_more_than_the_heap_is_said_and_fails_nobody(void **state)
{
    fixture *f = *state;
    fixture_set(f->config, "tarn.working-set.fraction", "0.75");
    open_env(f);
    open_backend(f, 0);
    write_rows(f, 0);
    assert_int_equal(f->warning_count, 0);
    open_backend(f, 1); /* The first one has what it may. */
    assert_int_equal(f->warning_count, 1);
    assert_non_null(strstr(f->warning, "18874368 bytes of a heap of 12582912"));
    assert_non_null(strstr(f->warning, "tarn.working-set.fraction"));
    write_rows(f, 1);
    expect_rows(f, 0);
    expect_rows(f, 1);
    const tarn_pool_stats pool = tarn_budget_pool(tarn_env_budget(f->env), TARN_POOL_HEAP);
    assert_true(pool.used_bytes <= pool.limit_bytes);
    assert_true(measure(f, 1).memory_bytes < measure(f, 0).memory_bytes);

    /* One that goes leaves its share to the next. */
    close_backend(f, 0);
    open_backend(f, 2);
    assert_int_equal(f->warning_count, 2);
    close_backend(f, 1);
    assert_ok(tarn_backend_resize_working_set(f->backends[2], 8 << 20, &f->error), &f->error);
    assert_int_equal(f->warning_count, 2);
    write_rows(f, 2);
    assert_true(measure(f, 2).memory_bytes > 6 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slots_share_the_heap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_more_than_the_heap_is_said_and_fails_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
