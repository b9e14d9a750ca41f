/*
 * Table files that a checkpoint takes by a second name: nothing is written twice, a restore finds
 * the same, and where a file system refuses they are copied.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "snapshot/checkpoint.h"
#include "support/snapshot_rig.h"

enum { FILE_BYTES = 5000, FILE_COUNT = 3 };

static int set_up(void **state)
{
    snapshot_rig *rig = test_malloc(sizeof *rig);
    rig_init(rig, 2, 0);
    rig->packing.may_link = true;
    assert_ok(rig_open_store(rig), &rig->error);
    for (uint32_t i = 0; i < FILE_COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%06u.sst", (unsigned)i);
        rig_write(rig, "a", name, FILE_BYTES + i, i + 1);
    }
    rig_write(rig, "a", "MANIFEST-000001", 100, 9);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_clear(*state);
    test_free(*state);
    return 0;
}

static tarn__upload_progress take(snapshot_rig *rig, uint64_t id)
{
    tarn_pending_checkpoint *pending = NULL;
    rig_snapshot snapshot = {.operator_name = "op", .instance = "a", .parallelism = 1};
    assert_ok(tarn_checkpoint_begin(rig->store, id, &pending, &rig->error), &rig->error);
    assert_ok(rig_take(rig, pending, &snapshot), &rig->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &rig->error), &rig->error);
    return snapshot.progress;
}

/* The path of a shared file of the newest checkpoint. */
static void find_shared(snapshot_rig *rig, uint32_t number, char path[PATH_MAX])
{
    tarn_checkpoint *checkpoint = NULL;
    char name[32];
    (void)snprintf(name, sizeof name, "%06u.sst", (unsigned)number);
    assert_ok(tarn_checkpoint_open(rig_job(rig, ""), NULL, &checkpoint, &rig->error), &rig->error);
    const uint32_t count = tarn_checkpoint_subtask_at(checkpoint, 0).file_count;
    path[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, i);
        if (strcmp(file.local_name, name) == 0) {
            (void)snprintf(path, PATH_MAX, "%s", rig_job(rig, file.path));
        }
    }
    tarn_checkpoint_free(checkpoint);
    assert_true(path[0] != '\0');
}

static ino_t inode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_ino;
}

static void test_table_files_are_linked_and_counted_as_such(void **state)
{
    snapshot_rig *rig = *state;
    char path[PATH_MAX];
    const tarn__upload_progress progress = take(rig, 1);
    assert_int_equal(progress.linked_count, FILE_COUNT);
    assert_int_equal(progress.linked_bytes, FILE_COUNT * FILE_BYTES + 3);
    assert_int_equal(progress.uploaded_count, FILE_COUNT + 1);
    assert_int_equal(progress.uploaded_bytes, progress.linked_bytes + 100);
    assert_int_equal(progress.total_bytes, progress.uploaded_bytes);
    find_shared(rig, 1, path);
    assert_int_equal(inode_of(path), inode_of(rig_local(rig, "a", "000001.sst")));
    rig_expect_restored(rig, 1, "a");
}

static void test_a_checkpoint_keeps_what_the_database_deletes(void **state)
{
    snapshot_rig *rig = *state;
    (void)take(rig, 1);
    scratch_remove(rig_local(rig, "a", ""));
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-1")), 1);
}

static void test_the_database_keeps_what_a_checkpoint_deletes(void **state)
{
    snapshot_rig *rig = *state;
    (void)take(rig, 1);
    scratch_remove(rig_local(rig, "a", "000000.sst"));
    (void)take(rig, 2);
    (void)take(rig, 3); /* The first one goes, with the file that it has alone. */
    assert_false(scratch_exists(rig_job(rig, "chk-1")));
    rig_expect_restored(rig, 3, "a");
}

static uint32_t refused_count;

static int refuse_link(const char *from, int directory, const char *to, void *context)
{
    (void)from;
    (void)directory;
    (void)to;
    (void)context;
    refused_count++;
    errno = EXDEV;
    return -1;
}

static void test_where_links_are_refused_files_are_copied_and_no_other_is_tried(void **state)
{
    snapshot_rig *rig = *state;
    char path[PATH_MAX];
    refused_count = 0;
    rig->files.base.link_at = refuse_link;
    const tarn__upload_progress progress = take(rig, 1);
    assert_int_equal(refused_count, 1);
    assert_int_equal(progress.linked_count, 0);
    assert_int_equal(progress.linked_bytes, 0);
    assert_int_equal(progress.uploaded_count, FILE_COUNT + 1);
    assert_int_equal(progress.uploaded_bytes, progress.total_bytes);
    find_shared(rig, 1, path);
    assert_int_not_equal(inode_of(path), inode_of(rig_local(rig, "a", "000001.sst")));
    rig_expect_restored(rig, 1, "a");
    (void)take(rig, 2);
    assert_int_equal(refused_count, 1);
}

/* What a killed attempt left under the name may be anything. */
static void test_what_has_the_name_already_is_replaced(void **state)
{
    snapshot_rig *rig = *state;
    char path[PATH_MAX];
    (void)take(rig, 1);
    find_shared(rig, 1, path);
    rig_close_store(rig);
    scratch_remove(rig_job(rig, "chk-1")); /* Nothing names the shared files now. */
    scratch_remove(path);
    scratch_write(path, "garbage", 7);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_int_equal(take(rig, 2).linked_count, FILE_COUNT);
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-2")), 2);
    assert_int_equal(scratch_count(rig_job(rig, ""), ".tarn-tmp"), 0);
}

static void test_links_can_be_forbidden(void **state)
{
    snapshot_rig *rig = *state;
    rig->packing.may_link = false;
    assert_int_equal(take(rig, 1).linked_count, 0);
    rig_expect_restored(rig, 1, "a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_table_files_are_linked_and_counted_as_such),
        TEST(test_a_checkpoint_keeps_what_the_database_deletes),
        TEST(test_the_database_keeps_what_a_checkpoint_deletes),
        TEST(test_where_links_are_refused_files_are_copied_and_no_other_is_tried),
        TEST(test_what_has_the_name_already_is_replaced),
        TEST(test_links_can_be_forbidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
