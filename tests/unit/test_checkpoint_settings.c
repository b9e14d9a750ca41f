/*
 * Unit tests of config/checkpoint_settings.c: a contradiction is refused before a job starts, not
 * found at the first checkpoint.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/checkpoint_settings.h"

static tarn_status derive(
    const char *const *assignments, tarn_checkpoint_settings *out, tarn_error *error)
{
    tarn_config *config = NULL;
    assert_ok(tarn_config_new(NULL, &config, error), error);
    for (; *assignments != NULL; assignments++) {
        char assignment[256];
        snprintf(assignment, sizeof assignment, "execution.checkpointing.%s", *assignments);
        assert_ok(tarn_config_set_assignment(config, assignment, "-D", error), error);
    }
    const tarn_status status = tarn_checkpoint_settings_from_config(config, out, error);
    tarn_config_free(config);
    return status;
}

#define DERIVE(settings, error, ...) \
    derive((const char *const[]){__VA_ARGS__, NULL}, settings, error)

static void test_without_an_interval_there_are_no_periodic_checkpoints(void **state)
{
    (void)state;
    tarn_checkpoint_settings s = TARN_CHECKPOINT_SETTINGS_INIT;
    tarn_error error;
    assert_ok(DERIVE(&s, &error, NULL), &error);
    assert_false(s.is_enabled);
    assert_false(s.is_exactly_once);
    assert_true(s.is_continued_after_tasks_finish);
    assert_int_equal(s.interval_ms, TARN_CHECKPOINT_NEVER_MS);
    assert_int_equal(s.interval_during_backlog_ms, TARN_CHECKPOINT_NEVER_MS);
    assert_int_equal(s.timeout_ms, 600000);
    assert_int_equal(s.max_concurrent, 1);
    assert_int_equal(s.ignored_in_flight_checkpoint_id, -1);
    assert_string_equal(
        tarn_checkpoint_retention_name(s.retention), "NEVER_RETAIN_AFTER_TERMINATION");
}

static void test_every_setting_is_read(void **state)
{
    (void)state;
    tarn_checkpoint_settings s = TARN_CHECKPOINT_SETTINGS_INIT;
    tarn_error error;
    assert_ok(
        DERIVE(
            &s,
            &error,
            "interval=10 s",
            "interval-during-backlog=1 min",
            "timeout=5 min",
            "min-pause=400 d",
            "unaligned=true",
            "alignment-timeout=3 s",
            "tolerable-failed-checkpoints=2",
            "externalized-checkpoint-retention=delete_on_cancellation",
            "recover-without-channel-state.checkpoint-id=7",
            "checkpoints-after-tasks-finish.enabled=false"),
        &error);
    assert_true(s.is_enabled && s.is_exactly_once && s.is_unaligned);
    assert_false(s.is_continued_after_tasks_finish);
    assert_int_equal(s.interval_ms, 10000);
    assert_int_equal(s.interval_during_backlog_ms, 60000);
    assert_int_equal(s.timeout_ms, 300000);
    assert_int_equal(s.min_pause_ms, INT64_C(34560000000));
    assert_int_equal(s.aligned_timeout_ms, 3000);
    assert_int_equal(s.tolerable_failures, 2);
    assert_int_equal(s.retention, TARN_CHECKPOINT_RETAIN_ON_FAILURE);
    assert_int_equal(s.ignored_in_flight_checkpoint_id, 7);
}

static void test_unaligned_is_dropped_where_exactly_once_is_not(void **state)
{
    (void)state;
    tarn_checkpoint_settings s = TARN_CHECKPOINT_SETTINGS_INIT;
    tarn_error error;
    assert_ok(
        DERIVE(
            &s,
            &error,
            "interval=1s",
            "unaligned.enabled=true",
            "mode=AT_LEAST_ONCE",
            "max-concurrent-checkpoints=3"),
        &error);
    assert_false(s.is_unaligned);
    assert_ok(DERIVE(&s, &error, "unaligned.enabled=true"), &error);
    assert_false(s.is_unaligned);
}

static void test_contradictions_and_bad_values_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"interval=9ms"},
        {"interval=0"},
        {"interval=9223372036854775807s"},
        {"timeout=9999999ns"},
        {"interval-during-backlog=5s"}, /* Below an interval that never ends. */
        {"interval=10s", "interval-during-backlog=9s"},
        {"interval=10s", "interval-during-backlog=5ms"},
        {"interval=10s", "unaligned.enabled=true", "max-concurrent-checkpoints=2"},
        {"max-concurrent-checkpoints=0"},
        {"tolerable-failed-checkpoints=-1"},
        {"mode=at-least-once"},
        {"externalized-checkpoint-retention=x"},
        {"unaligned.forced=x"},
        {"min-pause=-1s"},
        {"aligned-checkpoint-timeout=x"},
        {"recover-without-channel-state.checkpoint-id=x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tarn_checkpoint_settings s = TARN_CHECKPOINT_SETTINGS_INIT;
        s.timeout_ms = 42;
        tarn_error error = {.message = ""};
        if (derive(cases[i], &s, &error) != TARN_INVALID_ARGUMENT) {
            fail_msg("%s is accepted", cases[i][0]);
        }
        assert_int_equal(s.timeout_ms, 42);
        assert_non_null(strstr(error.message, "execution.checkpointing."));
    }
}

static void test_a_shorter_struct_is_filled_as_far_as_it_goes(void **state)
{
    (void)state;
    tarn_checkpoint_settings s = TARN_CHECKPOINT_SETTINGS_INIT;
    s.ignored_in_flight_checkpoint_id = 42;
    s.struct_size = offsetof(tarn_checkpoint_settings, ignored_in_flight_checkpoint_id);
    tarn_error error;
    assert_ok(DERIVE(&s, &error, "interval=1s"), &error);
    assert_int_equal(s.interval_ms, 1000);
    assert_int_equal(s.ignored_in_flight_checkpoint_id, 42);
    s.struct_size = 0;
    assert_int_equal(DERIVE(&s, &error, NULL), TARN_INVALID_ARGUMENT);
    s.struct_size = sizeof s + 1;
    assert_int_equal(DERIVE(&s, &error, NULL), TARN_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_an_interval_there_are_no_periodic_checkpoints),
        cmocka_unit_test(test_every_setting_is_read),
        cmocka_unit_test(test_unaligned_is_dropped_where_exactly_once_is_not),
        cmocka_unit_test(test_contradictions_and_bad_values_are_refused),
        cmocka_unit_test(test_a_shorter_struct_is_filled_as_far_as_it_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
