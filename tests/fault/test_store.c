/*
 * Failure loops over a checkpoint's whole life: the nth allocation fails, the nth file operation
 * fails, the process dies at the nth file operation. Whatever happens, what was committed before is
 * there and whole, nothing leaks, and the next checkpoint succeeds.
 */
#include "support/support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/try.h"
#include "support/snapshot_rig.h"

/* Without workers: every run makes the same calls in the same order. */
static int set_up(void **state)
{
    snapshot_rig *rig = calloc(1, sizeof *rig);
    rig_init(rig, 1, 0);
    rig_write(rig, "a", "000010.sst", 300000, 10);
    rig_write(rig, "a", "CURRENT", 16, 1);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    rig_close_store(rig);
    scratch_copy(rig_job(rig, ""), scratch_join(rig->root.path, "pristine"));
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_clear(*state);
    free(*state);
    return 0;
}

/* Every round begins with checkpoint 1 alone, or garbage of earlier rounds would add calls. */
static void begin_round(snapshot_rig *rig, uint64_t round)
{
    scratch_remove(rig_job(rig, ""));
    scratch_copy(scratch_join(rig->root.path, "pristine"), rig_job(rig, ""));
    rig_write(rig, "a", "000012.sst", 1000 + round % 7, round);
}

/* Two checkpoints, the second incremental; restores; *committed counts. */
static tarn_status live(snapshot_rig *rig, uint32_t *committed)
{
    TARN_TRY(rig_open_store(rig));
    tarn__base *base = NULL;
    TARN_TRY(rig_checkpoint(rig, tarn_checkpoint_store_next_id(rig->store), NULL, &base));
    ++*committed;
    rig_write(rig, "a", "000013.sst", 50, 13);
    tarn_status status = rig_checkpoint(rig, tarn_checkpoint_store_next_id(rig->store), base, NULL);
    tarn__base_free(base);
    TARN_TRY(status);
    ++*committed;
    base = NULL;
    status = rig_download(rig, rig_job(rig, ""), 0, "restored", &base);
    tarn__base_free(base);
    return status;
}

static void end_round(snapshot_rig *rig)
{
    if (rig->store != NULL) {
        rig_close_store(rig);
    }
    assert_int_equal(atomic_load(&rig->memory.live_count), 0);
    scratch_remove(rig_local(rig, "a", "000013.sst"));
    scratch_remove(rig_local(rig, "restored", ""));
    rig->log[0] = '\0';
}

static void test_every_allocation_may_fail(void **state)
{
    snapshot_rig *rig = *state;
    uint64_t fired = 0;
    for (uint64_t nth = 0;; nth += FAULT_STRIDE) {
        begin_round(rig, nth);
        const uint64_t before = rig_expect_whole(rig_job(rig, ""));
        fault_allocator_init(&rig->memory, nth);
        uint32_t committed = 0;
        const tarn_status status = live(rig, &committed);
        const bool has_fired = atomic_load(&rig->memory.fired);
        rig->memory.fail_at = FAULT_NEVER;
        /* Deleting old files goes on without memory the next time; all else fails. */
        if (status == TARN_OK) {
            assert_true(!has_fired || strstr(rig->log, "later") != NULL);
        } else {
            assert_int_equal(status, TARN_NO_MEMORY);
            assert_int_equal(rig->error.status, TARN_NO_MEMORY);
        }
        assert_int_equal(
            rig_expect_whole(rig_job(rig, "")) - before, committed == 2 ? 2 : committed);
        end_round(rig);
        if (!has_fired) {
            break;
        }
        fired++;
    }
    assert_true(fired > 40 / FAULT_STRIDE);
}

static void fail_files(snapshot_rig *rig, bool is_persistent, int code)
{
    uint64_t fired = 0;
    for (uint64_t nth = 0;; nth += FAULT_STRIDE) {
        begin_round(rig, nth);
        const uint64_t before = rig_expect_whole(rig_job(rig, ""));
        const uint32_t descriptors = scratch_count("/proc/self", "fdinfo/");
        fault_files_init(&rig->files, nth, code);
        rig->files.is_persistent = is_persistent;
        uint32_t committed = 0;
        const tarn_status status = live(rig, &committed);
        const bool has_fired = atomic_load(&rig->files.fired);
        rig->files.fail_at = FAULT_FILES_NEVER;
        if (status != TARN_OK) {
            assert_true(has_fired);
            /* A checkpoint that cannot be read at open is passed over; then the newest is missing.
             */
            assert_true(
                status == (code == ENOSPC ? TARN_NO_SPACE : TARN_IO_ERROR) ||
                status == TARN_MISSING);
            if (strstr(rig->error.message, rig->root.path) == NULL) {
                fail_msg("no path is in: %s", rig->error.message);
            }
        }
        /* One more may be there than was reported: the answer of the disk was lost. */
        const uint64_t after = rig_expect_whole(rig_job(rig, ""));
        assert_true(after >= before + committed);
        /* The same store goes on. */
        if (rig->store != NULL) {
            const uint64_t next = tarn_checkpoint_store_next_id(rig->store);
            assert_ok(rig_checkpoint(rig, next, NULL, NULL), &rig->error);
            assert_int_equal(rig_expect_whole(rig_job(rig, "")), next);
        }
        end_round(rig);
        assert_int_equal(scratch_count("/proc/self", "fdinfo/"), descriptors);
        if (!has_fired) {
            break;
        }
        fired++;
    }
    assert_true(fired > 100 / FAULT_STRIDE);
}

static void test_every_file_operation_may_fail_once(void **state)
{
    fail_files(*state, /* is_persistent= */ false, EIO);
}

static void test_every_file_operation_may_fail_for_good(void **state)
{
    fail_files(*state, /* is_persistent= */ true, EIO);
}

static void test_the_disk_may_be_full_at_every_operation(void **state)
{
    fail_files(*state, /* is_persistent= */ true, ENOSPC);
}

static void test_the_process_may_die_at_every_file_operation(void **state)
{
    snapshot_rig *rig = *state;
    uint64_t killed = 0;
    for (uint64_t nth = 0;; nth += FAULT_STRIDE) {
        begin_round(rig, nth);
        const uint64_t before = rig_expect_whole(rig_job(rig, ""));
        const pid_t child = fork();
        if (child == 0) {
            fault_files_init(&rig->files, nth, EIO);
            rig->files.kills = true;
            uint32_t committed = 0;
            _exit(live(rig, &committed) == TARN_OK ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        const uint64_t after = rig_expect_whole(rig_job(rig, ""));
        assert_in_range(after - before, 0, 2);
        end_round(rig);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            assert_int_equal(after - before, 2);
            break;
        }
        assert_int_equal(WTERMSIG(status), SIGKILL);
        killed++;
    }
    assert_true(killed > 100 / FAULT_STRIDE);
    assert_ok(rig_open_store(rig), &rig->error);
    const uint64_t id = tarn_checkpoint_store_next_id(rig->store);
    assert_ok(rig_checkpoint(rig, id, NULL, NULL), &rig->error);
    rig_expect_restored(rig, id, "a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_every_allocation_may_fail),
        TEST(test_every_file_operation_may_fail_once),
        TEST(test_every_file_operation_may_fail_for_good),
        TEST(test_the_disk_may_be_full_at_every_operation),
        TEST(test_the_process_may_die_at_every_file_operation),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
