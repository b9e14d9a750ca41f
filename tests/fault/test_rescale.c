/*
 * Restores at another parallelism when something is in the way: a file of any old subtask that is
 * missing or damaged, memory that is refused at any point, a disk that refuses anything. They fail
 * with a reason, leave nothing in the working directory, and succeed in it once the reason is gone;
 * or they take over rows where files could not be, and nobody but the log knows.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/fault_disk.h"
#include "support/rescale_rig.h"

enum { OLD_PARALLELISM = 3, KEYS = 300 };

/* The part of one old subtask. Each has a state of its own beside the one that all have. */
static void write_rows(rescale_rig *rig, tarn_backend *backend, uint32_t index)
{
    char own[16];
    (void)snprintf(own, sizeof own, "own-%u", index);
    tarn_value *states[] = {fixture_open_value(backend, "value"), fixture_open_value(backend, own)};
    for (uint32_t key = 0; key < KEYS; key++) {
        for (int i = 0; rescale_set_key(rig, backend, key) && i < 2; i++) {
            assert_ok(
                tarn_value_put(states[i], tarn_bytes_at(&key, sizeof key), &rig->error),
                &rig->error);
        }
    }
    assert_ok(tarn_value_close(states[0], &rig->error), &rig->error);
    assert_ok(tarn_value_close(states[1], &rig->error), &rig->error);
}

static int set_up(void **state)
{
    static rescale_rig rig;
    tarn_backend *backends[OLD_PARALLELISM];
    rescale_init(&rig);
    rescale_open_env(&rig);
    rescale_open_all(&rig, backends, OLD_PARALLELISM);
    for (uint32_t i = 0; i < OLD_PARALLELISM; i++) {
        write_rows(&rig, backends[i], i);
    }
    (void)rescale_take_checkpoint(&rig, backends, OLD_PARALLELISM);
    rescale_close_all(&rig, backends, OLD_PARALLELISM);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    rescale_clear(*state);
    return 0;
}

static void expect_every_key(tarn_backend *backend, void *context)
{
    rescale_rig *rig = context;
    uint32_t count = 0;
    tarn_value *value = fixture_open_value(backend, "value");
    for (uint32_t key = 0; key < KEYS; key++) {
        tarn_bytes got;
        if (rescale_set_key(rig, backend, key)) {
            assert_ok(tarn_value_get(value, &got, &rig->error), &rig->error);
            assert_true(tarn_bytes_is_equal(got, tarn_bytes_at(&key, sizeof key)));
            count++;
        }
    }
    assert_in_range(count, 1, KEYS);
    assert_ok(tarn_value_close(value, &rig->error), &rig->error);
    assert_int_equal(rescale_count_rows(rig, backend, "value"), count);
}

static void expect_restored(rescale_rig *rig, uint32_t parallelism)
{
    tarn_backend *backend = rescale_open(rig, 0, parallelism);
    expect_every_key(backend, rig);
    rescale_close_all(rig, &backend, 1);
}

/* A table file of an old subtask. */
static const char *table_of(const rescale_rig *rig, uint32_t index)
{
    uint32_t position = 0;
    assert_int_equal(
        tarn_checkpoint_find_subtask(rig->checkpoint, "op", index, &position), TARN_OK);
    const uint32_t count = tarn_checkpoint_subtask_at(rig->checkpoint, position).file_count;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(rig->checkpoint, position, i);
        if (file.is_shared) {
            return file.path;
        }
    }
    fail_msg("subtask %u has no table file", index);
    return NULL;
}

static void expect_refused(rescale_rig *rig, tarn_status status, const char *file)
{
    tarn_backend *backend = NULL;
    assert_int_equal(rescale_try_open(rig, 0, 1, &backend), status);
    assert_null(backend);
    if (strstr(rig->error.message, file) == NULL) {
        fail_msg("\"%s\" is not in: %s", file, rig->error.message);
    }
    rescale_expect_empty(rig, 0);
}

static void test_a_damaged_file_of_any_old_subtask_is_named(void **state)
{
    rescale_rig *rig = *state;
    for (uint32_t i = 0; i < OLD_PARALLELISM; i++) {
        const char *name = table_of(rig, i);
        char path[2 * PATH_MAX];
        rescale_name_file(rig, name, path);
        scratch_flip(path, 20);
        expect_refused(rig, TARN_CORRUPTION, name);
        scratch_flip(path, 20);
    }
    expect_restored(rig, 1);
}

static void test_a_missing_file_of_any_old_subtask_is_named(void **state)
{
    rescale_rig *rig = *state;
    for (uint32_t i = 0; i < OLD_PARALLELISM; i++) {
        const char *name = table_of(rig, i);
        const char *aside = scratch_join(rig->root.path, "aside");
        char path[2 * PATH_MAX];
        rescale_name_file(rig, name, path);
        assert_int_equal(rename(path, aside), 0);
        expect_refused(rig, TARN_MISSING, name);
        assert_int_equal(rename(aside, path), 0);
    }
    expect_restored(rig, 1);
}

/* To 1: all parts are joined. To 2: one of them only in part. */
static void test_every_refusal_of_memory_is_survived(void **state)
{
    rescale_rig *rig = *state;
    for (uint32_t parallelism = 1; parallelism <= 2; parallelism++) {
        const uint32_t refused =
            rescale_refuse_memory(rig, 0, parallelism, RESCALE_STRIDE, expect_every_key, rig);
        assert_in_range(refused, 20 / RESCALE_STRIDE, 1000);
        expect_restored(rig, parallelism);
    }
}

static uint64_t count_joined(tarn_backend *backend)
{
    tarn_backend_stats stats;
    tarn_backend_measure(backend, &stats);
    return stats.joined_file_count;
}

typedef struct outcomes {
    uint32_t refused; /* Restores that failed, */
    uint32_t by_rows; /* that took over rows of a part at least, */
    uint32_t as_ever; /* that needed nothing of what failed. */
    uint64_t most;    /* Files that are joined if nothing fails. */
} outcomes;

/* Opens the first of two while a call to the disk fails. False: none did. */
static bool open_beside_failure(
    rescale_rig *rig, uint64_t nth, int code, bool is_lasting, outcomes *seen)
{
    tarn_backend *backend = NULL;
    fault_disk_arm(nth, code, is_lasting);
    const tarn_status status = rescale_try_open(rig, 0, 1, &backend);
    const bool has_fired = fault_disk_disarm();
    if (status != TARN_OK) {
        assert_true(has_fired && rig->error.message[0] != '\0');
        assert_int_equal(status, code == ENOSPC ? TARN_NO_SPACE : TARN_IO_ERROR);
        assert_null(backend);
        rescale_expect_empty(rig, 0);
        seen->refused++;
        return true;
    }
    const uint64_t joined = count_joined(backend);
    assert_true(joined <= seen->most);
    seen->by_rows += joined < seen->most ? 1 : 0;
    seen->as_ever += joined == seen->most ? 1 : 0;
    expect_every_key(backend, rig);
    rescale_close_all(rig, &backend, 1);
    return has_fired;
}

/* Of those by which files become another database's: a link each, and an edit behind its list. */
static outcomes fail_each_call(rescale_rig *rig, int code, bool is_lasting)
{
    fault_disk_choose(FAULT_DISK_LINKS | FAULT_DISK_PLACED_WRITES);
    tarn_backend *backend = rescale_open(rig, 0, 1);
    outcomes seen = {.most = count_joined(backend)};
    rescale_close_all(rig, &backend, 1);
    assert_in_range(seen.most, OLD_PARALLELISM - 1, 100);
    for (uint64_t nth = 0; open_beside_failure(rig, nth, code, is_lasting, &seen);) {
        nth++;
    }
    expect_restored(rig, 1);
    return seen;
}

/* Edits that are appended, links, and all that RocksDB writes. */
static void test_a_disk_that_is_full_for_a_call_is_survived(void **state)
{
    const outcomes seen = fail_each_call(*state, ENOSPC, false);
    assert_in_range(seen.refused, 5, 10000);
}

static void test_a_disk_that_stays_full_is_survived(void **state)
{
    const outcomes seen = fail_each_call(*state, ENOSPC, true);
    assert_in_range(seen.refused, 5, 10000);
}

/* Links that are refused once a part has been accepted: its rows are taken over. */
static void test_a_part_that_is_refused_late_is_taken_over_by_rows(void **state)
{
    const outcomes seen = fail_each_call(*state, EMLINK, false);
    assert_in_range(seen.by_rows, 2, 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_damaged_file_of_any_old_subtask_is_named),
        TEST(test_a_missing_file_of_any_old_subtask_is_named),
        TEST(test_every_refusal_of_memory_is_survived),
        TEST(test_a_disk_that_is_full_for_a_call_is_survived),
        TEST(test_a_disk_that_stays_full_is_survived),
        TEST(test_a_part_that_is_refused_late_is_taken_over_by_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
