/*
 * Unit tests of snapshot/fallback.c: which checkpoint is opened when newer ones are damaged, and
 * what is said about those.
 */
#include "support/snapshot_rig.h"

#include "tarn/fallback.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 5000, SKIPPED_MAX = 4 };

typedef struct skips {
    uint32_t count;
    uint64_t ids[SKIPPED_MAX];
    tarn_status statuses[SKIPPED_MAX];
    char reasons[SKIPPED_MAX][512];
    bool stops;
} skips;

static bool note(const tarn_checkpoint_entry *entry, void *context)
{
    skips *s = context;
    assert_true(s->count < SKIPPED_MAX);
    s->ids[s->count] = entry->summary.id;
    s->statuses[s->count] = entry->status;
    (void)snprintf(s->reasons[s->count], sizeof s->reasons[0], "%s", entry->reason);
    s->count++;
    return !s->stops;
}

/* Three checkpoints, each with a table file of its own. */
static int set_up(void **state)
{
    static snapshot_rig rig;
    rig_init(&rig, 3, 0);
    assert_ok(rig_open_store(&rig), &rig.error);
    for (uint64_t id = 1; id <= 3; id++) {
        rig_write(&rig, "a", "1.sst", FILE_BYTES + id, id);
        rig_write(&rig, "a", "MANIFEST", 100, id);
        assert_ok(rig_checkpoint(&rig, id, NULL, NULL), &rig.error);
    }
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_close_store(*state);
    rig_clear(*state);
    return 0;
}

/* Opens; answers the id of what was opened, or 0. */
static uint64_t open_whole(snapshot_rig *rig, const char *name, skips *s, tarn_status *status)
{
    tarn_checkpoint *checkpoint = NULL;
    *status = tarn_checkpoint_open_whole(
        rig_job(rig, name), NULL, s != NULL ? note : NULL, s, &checkpoint, &rig->error);
    if (*status != TARN_OK) {
        assert_null(checkpoint);
        return 0;
    }
    const uint64_t id = tarn_checkpoint_summarize(checkpoint).id;
    tarn_checkpoint_free(checkpoint);
    return id;
}

/* The path of a checkpoint's table file, below the job's directory. */
static const char *table_of(snapshot_rig *rig, const char *name)
{
    static char path[512];
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(
        tarn_checkpoint_open(rig_job(rig, name), NULL, &checkpoint, &rig->error), &rig->error);
    for (uint32_t i = 0; i < tarn_checkpoint_subtask_at(checkpoint, 0).file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, i);
        if (file.is_shared) {
            (void)snprintf(path, sizeof path, "%s", file.path);
        }
    }
    tarn_checkpoint_free(checkpoint);
    return path;
}

static void test_the_newest_is_opened_when_nothing_is_damaged(void **state)
{
    skips s = {.count = 0};
    tarn_status status;
    assert_int_equal(open_whole(*state, "", &s, &status), 3);
    assert_int_equal(s.count, 0);
    assert_int_equal(open_whole(*state, "chk-2", &s, &status), 2); /* Not a newer one. */
    assert_int_equal(s.count, 0);
}

static void test_missing_cut_and_unreadable_ones_are_skipped_with_their_reason(void **state)
{
    snapshot_rig *rig = *state;
    skips s = {.count = 0};
    tarn_status status;
    const char *missing = table_of(rig, "chk-3");
    assert_int_equal(unlink(rig_job(rig, missing)), 0);
    assert_int_equal(open_whole(rig, "", &s, &status), 2);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.ids[0], 3);
    assert_int_equal(s.statuses[0], TARN_MISSING);
    assert_non_null(strstr(s.reasons[0], missing));

    const char *cut = table_of(rig, "chk-2");
    assert_int_equal(truncate(rig_job(rig, cut), 10), 0);
    s.count = 0;
    assert_int_equal(open_whole(rig, "", &s, &status), 1);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.ids[1], 2);
    assert_int_equal(s.statuses[1], TARN_CORRUPTION);
    assert_non_null(strstr(s.reasons[1], "has 10 bytes instead of 5002"));

    assert_int_equal(truncate(rig_job(rig, "chk-1/_metadata"), 40), 0);
    s.count = 0;
    assert_int_equal(open_whole(rig, "", &s, &status), 0);
    assert_int_equal(status, TARN_MISSING);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.statuses[2], TARN_CORRUPTION);
    assert_int_equal(open_whole(rig, "", NULL, &status), 0);
    assert_int_equal(status, TARN_MISSING);
}

static void test_the_caller_may_refuse_to_fall_back(void **state)
{
    snapshot_rig *rig = *state;
    skips s = {.stops = true};
    tarn_status status;
    const char *missing = table_of(rig, "chk-3");
    assert_int_equal(unlink(rig_job(rig, missing)), 0);
    assert_int_equal(open_whole(rig, "", &s, &status), 0);
    assert_int_equal(status, TARN_MISSING);
    assert_int_equal(s.count, 1);
    assert_non_null(strstr(rig->error.message, missing));
}

static void test_arguments_are_checked(void **state)
{
    snapshot_rig *rig = *state;
    tarn_checkpoint *checkpoint = NULL;
    assert_int_equal(
        tarn_checkpoint_open_whole(NULL, NULL, NULL, NULL, &checkpoint, &rig->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_checkpoint_open_whole("/nowhere", NULL, NULL, NULL, NULL, &rig->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_checkpoint_open_whole("/nowhere", NULL, NULL, NULL, &checkpoint, &rig->error),
        TARN_MISSING);
}

static void test_running_out_of_memory_opens_nothing_and_holds_nothing(void **state)
{
    snapshot_rig *rig = *state;
    for (uint64_t nth = 0;; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn_checkpoint *checkpoint = NULL;
        const tarn_status status = tarn_checkpoint_open_whole(
            rig_job(rig, ""), &fault.base, NULL, NULL, &checkpoint, &rig->error);
        assert_int_equal(status, fault.fired ? TARN_NO_MEMORY : TARN_OK);
        tarn_checkpoint_free(checkpoint);
        assert_int_equal(fault.live_count, 0);
        if (!fault.fired) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_the_newest_is_opened_when_nothing_is_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_missing_cut_and_unreadable_ones_are_skipped_with_their_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_caller_may_refuse_to_fall_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_arguments_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_running_out_of_memory_opens_nothing_and_holds_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
