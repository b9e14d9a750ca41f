/*
 * Unit tests of the readers that the table of options names: every option that is said to have an
 * effect is asked for, by what is said to read it, and no other one is. The getters of
 * tarn/config.h are wrapped by the linker, so that each question is seen, whoever asks.
 */
#include "support/support.h"

#include <string.h>

#include "support/scratch.h"
#include "tarn/backend.h"
#include "tarn/claim.h"
#include "tarn/config.h"
#include "tarn/driver.h"
#include "tarn/plan.h"
#include "tarn/storage.h"
#include "tarn/timer.h"

#define NEVER TARN_OPTION_READ_BY_NOTHING

enum { OPTIONS_MAX = 512 };

/* Who asks now, and the first that asked for each option. */
static tarn_option_reader asking;
static tarn_option_reader asked_by[OPTIONS_MAX];

static void take_note(const char *key)
{
    for (size_t i = 0; i < tarn_option_count(); i++) {
        if (strcmp(tarn_option_at(i)->key, key) == 0 && asked_by[i] == NEVER) {
            asked_by[i] = asking;
        }
    }
}

/* __real_NAME is the library's; __wrap_NAME is what is called instead. */
#define WRAP(name, type)                                                                  \
    tarn_status __real_##name(                                                            \
        const tarn_config *config, const char *key, type *out, bool *set, tarn_error *e); \
    tarn_status __wrap_##name(                                                            \
        const tarn_config *config, const char *key, type *out, bool *set, tarn_error *e); \
    tarn_status __wrap_##name(                                                            \
        const tarn_config *config, const char *key, type *out, bool *set, tarn_error *e)  \
    {                                                                                     \
        take_note(key);                                                                   \
        return __real_##name(config, key, out, set, e);                                   \
    }

WRAP(tarn_config_get_memory, int64_t)
WRAP(tarn_config_get_duration, tarn_duration)
WRAP(tarn_config_get_duration_ms, int64_t)
WRAP(tarn_config_get_bool, bool)
WRAP(tarn_config_get_int, int32_t)
WRAP(tarn_config_get_long, int64_t)
WRAP(tarn_config_get_float, float)
WRAP(tarn_config_get_double, double)
WRAP(tarn_config_get_string, const char *)
WRAP(tarn_config_get_enum, int)

tarn_status __real_tarn_config_get_enum_list(
    const tarn_config *config,
    const char *key,
    int *out,
    size_t capacity,
    size_t *count_out,
    bool *is_set_out,
    tarn_error *error);
tarn_status __wrap_tarn_config_get_enum_list(
    const tarn_config *config,
    const char *key,
    int *out,
    size_t capacity,
    size_t *count_out,
    bool *is_set_out,
    tarn_error *error);
tarn_status __wrap_tarn_config_get_enum_list(
    const tarn_config *config,
    const char *key,
    int *out,
    size_t capacity,
    size_t *count_out,
    bool *is_set_out,
    tarn_error *error)
{
    take_note(key);
    return __real_tarn_config_get_enum_list(
        config, key, out, capacity, count_out, is_set_out, error);
}

static tarn_config *make_config(const scratch *place)
{
    tarn_config *config = NULL;
    tarn_error error;
    assert_ok(tarn_config_new(NULL, &config, &error), &error);
    const char *const pairs[][2] = {
        {"taskmanager.memory.process.size", "1728m"},
        {"jobmanager.memory.process.size", "1600m"},
        /* What is asked for only where something else is set. */
        {"tarn.storage.cache.directory", scratch_join(place->path, "cache")},
        {"s3.access-key", "key"},
        {"s3.secret-key", "secret"},
        {"s3.endpoint", "http://127.0.0.1:1"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_ok(tarn_config_set(config, pairs[i][0], pairs[i][1], "test", &error), &error);
    }
    return config;
}

static void open_storages(const tarn_config *config, const scratch *place)
{
    const char *const addresses[] = {
        scratch_join(place->path, "files"),
        "s3://bucket/prefix",
        "webhdfs://127.0.0.1:1/path",
        "hdfs://127.0.0.1/path",
    };
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
        options.address = addresses[i];
        options.config = config;
        tarn_storage *storage = NULL;
        tarn_error error;
        assert_ok(tarn_storage_open(&options, &storage, &error), &error);
        tarn_storage_close(storage);
    }
}

static void open_backend(tarn_env *env, const scratch *place)
{
    tarn_error error;
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = env;
    options.operator_name = "op";
    options.directory = scratch_join(place->path, "work");
    tarn_backend *backend = NULL;
    assert_ok(tarn_backend_open(&options, &backend, &error), &error);
    tarn_timers_options timers_options = TARN_TIMERS_OPTIONS_INIT;
    timers_options.name = "timers";
    tarn_timers *timers = NULL;
    assert_ok(tarn_timers_open(backend, &timers_options, &timers, &error), &error);
    assert_ok(tarn_timers_close(timers, &error), &error);
    assert_ok(tarn_backend_close(backend, &error), &error);
}

static void open_driver(tarn_env *env, const tarn_config *config, const scratch *place)
{
    static const uint32_t parallelism[] = {1};
    tarn_error error;
    tarn_driver_options options = TARN_DRIVER_OPTIONS_INIT;
    options.env = env;
    options.address = scratch_join(place->path, "checkpoints");
    options.job = "job";
    options.parallelism = parallelism;
    options.operator_count = 1;
    tarn_driver *driver = NULL;
    assert_ok(tarn_driver_open(&options, &driver, &error), &error);
    assert_ok(tarn_driver_close(driver, TARN_JOB_SUSPENDED, &error), &error);
    /* As the driver asks when it is given what the job is restored from. */
    tarn_claim_mode mode = TARN_CLAIM_MODE_DEFAULT;
    assert_ok(tarn_claim_mode_from_config(config, &mode, &error), &error);
}

/* What is asked for only where something else is not set, or has the words of old releases. */
static void open_other_env(tarn_config *config)
{
    tarn_error error;
    const char *const pairs[][2] = {
        {"state.backend.rocksdb.memory.managed", "false"},
        {"state.backend.rocksdb.memory.fixed-per-tm", "256m"},
        {"taskmanager.network.numberOfBuffers", "2048"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_ok(tarn_config_set(config, pairs[i][0], pairs[i][1], "test", &error), &error);
    }
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    tarn_env *env = NULL;
    assert_ok(tarn_env_open(&options, &env, &error), &error);
    assert_ok(tarn_env_close(env, &error), &error);
}

static void ask(void)
{
    assert_in_range(tarn_option_count(), 1, OPTIONS_MAX);
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        asked_by[i] = NEVER;
    }
    tarn_error error;
    scratch place;
    scratch_init(&place);
    tarn_config *config = make_config(&place);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    tarn_env *env = NULL;

    asking = TARN_OPTION_READ_BY_LIBRARY;
    assert_ok(tarn_env_open(&options, &env, &error), &error);
    open_backend(env, &place);
    open_storages(config, &place);
    asking = TARN_OPTION_READ_BY_DRIVER;
    open_driver(env, config, &place);
    assert_ok(tarn_env_close(env, &error), &error);
    asking = TARN_OPTION_READ_BY_LIBRARY;
    open_other_env(config);
    asking = TARN_OPTION_READ_BY_PLAN;
    tarn_jobmanager_plan plan = TARN_JOBMANAGER_PLAN_INIT;
    assert_ok(tarn_plan_jobmanager(config, TARN_PLAN_SHELL, &plan, &error), &error);

    tarn_config_free(config);
    scratch_clear(&place);
}

/* Rows of old releases are read as other spellings of the rows that they stand for. */
static tarn_option_reader reader_as_spelling(const char *key)
{
    for (size_t i = 0; i < tarn_option_count(); i++) {
        for (const char *const *at = tarn_option_at(i)->other_keys; *at != NULL; at++) {
            if (strcmp(*at, key) == 0) {
                return asked_by[i];
            }
        }
    }
    return NEVER;
}

/* Asked for, and then of no effect: judged alone, or answered to the program and not used. */
static bool is_asked_in_vain(const char *key)
{
    return strcmp(key, "execution.checkpointing.unaligned.forced") == 0 ||
           strcmp(key, "execution.checkpointing.recover-without-channel-state.checkpoint-id") == 0;
}

static void test_each_option_is_asked_for_by_the_reader_that_the_table_names(void **state)
{
    (void)state;
    ask();
    size_t wrong = 0;
    for (size_t i = 0; i < tarn_option_count(); i++) {
        const tarn_option *option = tarn_option_at(i);
        const tarn_option_reader reader =
            asked_by[i] != NEVER ? asked_by[i] : reader_as_spelling(option->key);
        if (is_asked_in_vain(option->key)) {
            assert_int_not_equal(reader, NEVER);
            assert_int_equal(option->reader, NEVER);
        } else if (reader != option->reader) {
            print_error(
                "%s is read by %s; the table says %s\n",
                option->key,
                tarn_option_reader_name(reader),
                tarn_option_reader_name(option->reader));
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_what_tarn_acts_as_is_a_value_of_an_option_that_nothing_reads(void **state)
{
    (void)state;
    size_t count = 0;
    for (size_t i = 0; i < tarn_option_count(); i++) {
        const tarn_option *option = tarn_option_at(i);
        if (option->acts_as_text != NULL) {
            assert_int_equal(option->reader, TARN_OPTION_READ_BY_NOTHING);
            tarn_config *config = NULL;
            tarn_error error;
            assert_ok(tarn_config_new(NULL, &config, &error), &error);
            assert_ok(
                tarn_config_set(config, option->key, option->acts_as_text, NULL, &error), &error);
            assert_ok(tarn_config_check(config, &error), &error);
            tarn_config_free(config);
            count++;
        }
    }
    assert_true(count > 0);
    assert_string_equal(tarn_option_reader_name((tarn_option_reader)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_option_is_asked_for_by_the_reader_that_the_table_names),
        cmocka_unit_test(test_what_tarn_acts_as_is_a_value_of_an_option_that_nothing_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
