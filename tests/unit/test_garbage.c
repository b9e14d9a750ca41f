/*
 * Unit tests of snapshot/garbage.c: what nothing reaches is found and removed, what a checkpoint
 * names or may yet name never is.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "snapshot/garbage.h"
#include "snapshot/server_clock.h"
#include "support/snapshot_rig.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, READINGS_MAX = 8 };

typedef struct fixture {
    snapshot_rig rig;
    int64_t now_ms; /* Of the collector's clock, added to that of the machine and the storage, */
    int64_t later_ms[READINGS_MAX]; /* and how much later it is at each reading. */
    uint32_t reading_count;
    tarn__clock clock;
    tarn_garbage_stats stats;
    char seen[4096]; /* Kinds and problems of the last collection. */
} fixture;

static int64_t wall_ms(void *context)
{
    fixture *f = context;
    const uint32_t reading = f->reading_count++;
    return tarn__clock_wall_ms(tarn__clock_system()) + f->now_ms +
           (reading < READINGS_MAX ? f->later_ms[reading] : 0);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    rig_init(&f->rig, 2, 0);
    assert_ok(rig_open_store(&f->rig), &f->rig.error);
    f->clock = (tarn__clock){.wall_ms = wall_ms, .context = f};
    rig_write(&f->rig, "a", "000001.sst", 100, 1);
    rig_write(&f->rig, "a", "000002.sst", 200, 2);
    rig_write(&f->rig, "a", "CURRENT", 16, 3);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    rig_clear(&f->rig);
    free(f);
    return 0;
}

static void note(const tarn_garbage_item *item, void *context)
{
    fixture *f = context;
    const size_t size = strlen(f->seen);
    snprintf(
        f->seen + size,
        sizeof f->seen - size,
        "%d %s%s;",
        (int)item->kind,
        item->name,
        item->problem != NULL ? " !" : "");
}

static tarn_status collect(fixture *f, uint64_t grace_ms, bool is_dry_run)
{
    tarn_garbage_options options = TARN_GARBAGE_OPTIONS_INIT;
    options.address = rig_job(&f->rig, "");
    options.grace_ms = grace_ms;
    options.is_dry_run = is_dry_run;
    options.visit = note;
    options.context = f;
    options.allocator = &f->rig.memory.base;
    f->seen[0] = '\0';
    f->reading_count = 0;
    const tarn__storage_options where = {.calls = &f->rig.files.base};
    return tarn__garbage_collect(&options, &f->clock, &where, &f->stats, &f->rig.error);
}

static void write_below_job(fixture *f, const char *directory, const char *name)
{
    static const char *const parents[] = {"shared", "chk-1"};
    for (size_t i = 0; i < 2; i++) {
        if (!scratch_exists(rig_job(&f->rig, parents[i]))) {
            scratch_make_directory(rig_job(&f->rig, parents[i]));
        }
    }
    const char *path = rig_job(&f->rig, directory);
    if (!scratch_exists(path)) {
        scratch_make_directory(path);
    }
    scratch_write(scratch_join(path, name), "garbage", 7);
}

/* As a crash leaves them: a shared file, an unfinished checkpoint, a given-up attempt. */
static void leave_garbage(fixture *f)
{
    write_below_job(f, "shared/zz", "not-one-of-ours");
    write_below_job(f, "shared/00", "00000000000000000000000000000001-7");
    write_below_job(f, "chk-9", "000007.sst");
    write_below_job(f, "chk-1", "leftover");
    write_below_job(f, "", "README");
}

/* Has all files of the job be written so long ago, but for the one that tells the time. */
static void age_all(fixture *f, int64_t age_ms)
{
    f->rig.files.aged_by_ms = age_ms;
    f->rig.files.unaged = TARN__SERVER_CLOCK_NAME;
}

static void test_only_what_nothing_names_goes(void **state)
{
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    leave_garbage(f);
    age_all(f, 25 * (int64_t)HOUR_MS);
    assert_ok(collect(f, 0, /* is_dry_run= */ true), &f->rig.error);
    assert_int_equal(f->stats.found_count, 3);
    assert_int_equal(f->stats.found_bytes, 21);
    assert_int_equal(f->stats.removed_count, 0);
    assert_int_equal(f->stats.checkpoint_count, 1);
    assert_non_null(strstr(f->seen, "0 shared/00/00000000000000000000000000000001-7;"));
    assert_non_null(strstr(f->seen, "1 chk-9/000007.sst;"));
    assert_non_null(strstr(f->seen, "2 chk-1/leftover;"));

    assert_ok(collect(f, 0, /* is_dry_run= */ false), &f->rig.error);
    assert_int_equal(f->stats.removed_count, 3);
    assert_int_equal(f->stats.removed_bytes, 21);
    assert_ok(collect(f, 0, /* is_dry_run= */ false), &f->rig.error);
    assert_int_equal(f->stats.found_count, 0);
    assert_true(scratch_exists(rig_job(&f->rig, "README")));
    assert_true(scratch_exists(rig_job(&f->rig, "shared/zz/not-one-of-ours")));
    assert_false(scratch_exists(rig_job(&f->rig, "chk-9")));
    rig_expect_restored(&f->rig, 1, "a");
}

static void test_what_is_young_stays(void **state)
{
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    leave_garbage(f);
    age_all(f, 23 * (int64_t)HOUR_MS);
    assert_ok(collect(f, 0, false), &f->rig.error);
    assert_int_equal(f->stats.found_count, 0);
    assert_int_equal(f->stats.young_count, 3);
    assert_int_equal(f->stats.young_bytes, 21);
    assert_ok(collect(f, 22 * (uint64_t)HOUR_MS, false), &f->rig.error);
    assert_int_equal(f->stats.removed_count, 3);
}

/* Whatever the collector's machine believes, files are as old as the storage says. */
static void test_ages_are_told_by_the_storage(void **state)
{
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    leave_garbage(f);
    f->now_ms = 1000 * (int64_t)HOUR_MS;
    assert_ok(collect(f, 0, false), &f->rig.error);
    assert_int_equal(f->stats.removed_count, 0);
    assert_int_equal(f->stats.young_count, 3);
    age_all(f, 25 * (int64_t)HOUR_MS);
    f->now_ms = -10 * (int64_t)MINUTE_MS;
    assert_ok(collect(f, 0, false), &f->rig.error);
    assert_int_equal(f->stats.removed_count, 3);
    assert_false(scratch_exists(rig_job(&f->rig, TARN__SERVER_CLOCK_NAME)));
}

/* Whoever names the wrong directory finds nothing written there. */
static void test_a_directory_of_no_job_is_not_written_to(void **state)
{
    fixture *f = *state;
    static const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct stat status;
    rig_close_store(&f->rig);
    scratch_remove(rig_job(&f->rig, ""));
    scratch_make_directory(rig_job(&f->rig, ""));
    scratch_make_directory(rig_job(&f->rig, "shared"));
    scratch_make_directory(rig_job(&f->rig, "chk-9"));
    write_below_job(f, "shared/zz", "not-one-of-ours");
    write_below_job(f, "", "README");
    assert_int_equal(utimensat(AT_FDCWD, rig_job(&f->rig, ""), long_ago, 0), 0);
    assert_ok(collect(f, 0, /* is_dry_run= */ false), &f->rig.error);
    assert_int_equal(f->stats.found_count + f->stats.young_count, 0);
    assert_int_equal(stat(rig_job(&f->rig, ""), &status), 0);
    assert_int_equal(status.st_mtim.tv_sec, 1);
}

/* It may have leapt since the files were written: all of them would look old. */
static void test_a_storage_whose_clock_is_far_ahead_is_not_believed(void **state)
{
    static const struct {
        int64_t ahead_ms;
        uint64_t grace_ms;
        bool is_refused;
    } CASES[] = {
        {25 * (int64_t)HOUR_MS, 0, true},
        {16 * (int64_t)MINUTE_MS, 0, true},
        {14 * (int64_t)MINUTE_MS, 0, false},
        {14 * (int64_t)MINUTE_MS, 20 * (uint64_t)MINUTE_MS, true}, /* Half of the grace age. */
        {8 * (int64_t)MINUTE_MS, 20 * (uint64_t)MINUTE_MS, false},
        {500, 1, false}, /* Clocks are not set to the millisecond, nor a message instant. */
        {MINUTE_MS, 1, true},
    };
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        leave_garbage(f);
        age_all(f, 25 * (int64_t)HOUR_MS);
        f->now_ms = -CASES[i].ahead_ms;
        const tarn_status status = collect(f, CASES[i].grace_ms, false);
        assert_int_equal(status, CASES[i].is_refused ? TARN_INVALID_ARGUMENT : TARN_OK);
        assert_int_equal(scratch_exists(rig_job(&f->rig, "chk-1/leftover")), CASES[i].is_refused);
        assert_true(
            !CASES[i].is_refused ||
            strstr(f->rig.error.message, "ahead of this machine's") != NULL);
    }
}

/* The clock is read at the beginning, then before and after each time that the storage is asked. */
static void test_the_time_that_asking_takes_is_no_lead(void **state)
{
    static const int64_t LATER_MS[READINGS_MAX] = {0, 0, HOUR_MS, HOUR_MS, HOUR_MS};
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    leave_garbage(f);
    age_all(f, 25 * (int64_t)HOUR_MS);
    f->now_ms = -HOUR_MS;
    memcpy(f->later_ms, LATER_MS, sizeof LATER_MS);
    assert_ok(collect(f, 0, false), &f->rig.error);
    assert_int_equal(f->stats.removed_count, 3);
}

/* A clock that leapt ahead by as much as its answers take is not ahead when they come. */
static void test_a_leap_is_not_taken_for_the_time_that_asking_takes(void **state)
{
    static const int64_t LATER_MS[READINGS_MAX] = {0, 0, HOUR_MS, 0, HOUR_MS, 0, HOUR_MS};
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    leave_garbage(f);
    age_all(f, 25 * (int64_t)HOUR_MS);
    f->now_ms = -HOUR_MS;
    memcpy(f->later_ms, LATER_MS, sizeof LATER_MS);
    assert_int_equal(collect(f, 0, false), TARN_BUSY);
    assert_non_null(strstr(f->rig.error.message, "took 3600"));
    assert_true(scratch_exists(rig_job(&f->rig, "chk-1/leftover")));
}

/* A checkpoint that is being taken beside the collector is complete afterwards. */
static void test_a_pending_checkpoint_loses_nothing(void **state)
{
    fixture *f = *state;
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(f->rig.store, 4, &pending, &f->rig.error), &f->rig.error);
    rig_snapshot snapshot = {.operator_name = "op", .instance = "a", .parallelism = 1};
    assert_ok(rig_take(&f->rig, pending, &snapshot), &f->rig.error);
    age_all(f, HOUR_MS);
    assert_ok(collect(f, 2 * (uint64_t)HOUR_MS, false), &f->rig.error);
    assert_int_equal(f->stats.found_count, 0);
    assert_int_equal(f->stats.young_count, 3);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->rig.error), &f->rig.error);
    rig_expect_restored(&f->rig, 4, "a");
}

static void test_no_grace_is_refused_while_a_job_is_running(void **state)
{
    fixture *f = *state;
    leave_garbage(f);
    assert_int_equal(collect(f, TARN_GRACE_NONE, false), TARN_BUSY);
    assert_ok(collect(f, TARN_GRACE_NONE, true), &f->rig.error); /* Looking is always allowed. */
    rig_close_store(&f->rig);
    assert_ok(collect(f, TARN_GRACE_NONE, false), &f->rig.error);
    assert_int_equal(f->stats.removed_count, 3); /* chk-1 was unfinished. */
    assert_ok(rig_open_store(&f->rig), &f->rig.error);
}

static void test_nothing_is_garbage_beside_a_checkpoint_that_cannot_be_read(void **state)
{
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    leave_garbage(f);
    write_below_job(f, "chk-5", "_metadata");
    age_all(f, 25 * (int64_t)HOUR_MS);
    assert_ok(collect(f, 0, false), &f->rig.error);
    assert_int_equal(f->stats.unreadable_count, 1);
    assert_int_equal(f->stats.found_count, 0);
    assert_int_equal(f->stats.removed_count, 0);
}

static void test_failures_are_reported_and_harm_nothing(void **state)
{
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    for (uint64_t nth = 0;; nth++) {
        leave_garbage(f);
        fault_files_init(&f->rig.files, nth, EIO);
        age_all(f, 25 * (int64_t)HOUR_MS);
        const tarn_status status = collect(f, 0, false);
        const bool fired = atomic_load(&f->rig.files.fired);
        fault_files_init(&f->rig.files, FAULT_FILES_NEVER, 0);
        assert_true(fired || status == TARN_OK);
        rig_expect_whole(rig_job(&f->rig, "chk-1"));
        if (!fired) {
            assert_int_equal(f->stats.removed_count, 3);
            return;
        }
    }
}

static void test_running_out_of_memory_is_said(void **state)
{
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    leave_garbage(f);
    age_all(f, 25 * (int64_t)HOUR_MS);
    for (uint64_t nth = 0;; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn_garbage_options options = TARN_GARBAGE_OPTIONS_INIT;
        options.address = rig_job(&f->rig, "");
        options.allocator = &fault.base;
        options.is_dry_run = true;
        const tarn__storage_options where = {.calls = &f->rig.files.base};
        const tarn_status status =
            tarn__garbage_collect(&options, &f->clock, &where, &f->stats, &f->rig.error);
        assert_int_equal(atomic_load(&fault.live_count), 0);
        if (!atomic_load(&fault.fired)) {
            assert_ok(status, &f->rig.error);
            assert_int_equal(f->stats.found_count, 3);
            return;
        }
        assert_int_equal(status, TARN_NO_MEMORY);
    }
}

static void test_a_removed_checkpoint_takes_its_own_files_along(void **state)
{
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    rig_write(&f->rig, "a", "000003.sst", 300, 4);
    assert_ok(rig_checkpoint(&f->rig, 2, NULL, NULL), &f->rig.error);
    assert_int_equal(scratch_count(rig_job(&f->rig, ""), "shared/"), 3);
    assert_ok(tarn_checkpoint_remove(f->rig.store, 2, &f->rig.error), &f->rig.error);
    assert_int_equal(scratch_count(rig_job(&f->rig, ""), "shared/"), 2);
    assert_false(scratch_exists(rig_job(&f->rig, "chk-2")));
    assert_int_equal(rig_expect_whole(rig_job(&f->rig, "chk-1")), 1);
    assert_int_equal(tarn_checkpoint_remove(f->rig.store, 2, &f->rig.error), TARN_NOT_FOUND);
    assert_int_equal(tarn_checkpoint_remove(f->rig.store, 7, &f->rig.error), TARN_NOT_FOUND);
}

static void test_a_removal_that_fails_is_made_up_for_later(void **state)
{
    fixture *f = *state;
    assert_ok(rig_checkpoint(&f->rig, 1, NULL, NULL), &f->rig.error);
    f->rig.files.is_persistent = true;
    f->rig.files.code = EIO;
    f->rig.files.fail_at = atomic_load(&f->rig.files.call_count);
    assert_ok(tarn_checkpoint_remove(f->rig.store, 1, &f->rig.error), &f->rig.error);
    assert_non_null(strstr(f->rig.log, "deleted later"));
    fault_files_init(&f->rig.files, FAULT_FILES_NEVER, 0);
    assert_true(scratch_exists(rig_job(&f->rig, "chk-1")));
    assert_ok(rig_checkpoint(&f->rig, 2, NULL, NULL), &f->rig.error);
    assert_false(scratch_exists(rig_job(&f->rig, "chk-1")));
    rig_expect_restored(&f->rig, 2, "a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_only_what_nothing_names_goes),
        TEST(test_what_is_young_stays),
        TEST(test_ages_are_told_by_the_storage),
        TEST(test_a_directory_of_no_job_is_not_written_to),
        TEST(test_a_storage_whose_clock_is_far_ahead_is_not_believed),
        TEST(test_the_time_that_asking_takes_is_no_lead),
        TEST(test_a_leap_is_not_taken_for_the_time_that_asking_takes),
        TEST(test_a_pending_checkpoint_loses_nothing),
        TEST(test_no_grace_is_refused_while_a_job_is_running),
        TEST(test_nothing_is_garbage_beside_a_checkpoint_that_cannot_be_read),
        TEST(test_failures_are_reported_and_harm_nothing),
        TEST(test_running_out_of_memory_is_said),
        TEST(test_a_removed_checkpoint_takes_its_own_files_along),
        TEST(test_a_removal_that_fails_is_made_up_for_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
