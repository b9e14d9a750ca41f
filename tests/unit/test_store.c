/*
 * Unit tests of checkpoints in a directory: what is committed is restored byte for byte, what
 * nobody names goes and nothing else, and what is damaged is refused by name.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapshot/checkpoint.h"
#include "snapshot/transfer.h"
#include "support/snapshot_rig.h"
#include "support/state_fixture.h"

static int set_up(void **state)
{
    snapshot_rig *rig = calloc(1, sizeof *rig);
    rig_init(rig, 1, 2);
    assert_ok(rig_open_store(rig), &rig->error);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_clear(*state);
    free(*state);
    return 0;
}

/* An instance as RocksDB's hard links look: two tables and three files beside them. */
static void write_instance(snapshot_rig *rig, const char *instance)
{
    rig_write(rig, instance, "000010.sst", 300000, 10);
    rig_write(rig, instance, "000012.sst", 1000, 12);
    rig_write(rig, instance, "CURRENT", 16, 1);
    rig_write(rig, instance, "MANIFEST-000005", 700, 5);
    rig_write(rig, instance, "OPTIONS-000007", 0, 7);
}

static tarn_pending_checkpoint *begin(snapshot_rig *rig, uint64_t id)
{
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(rig->store, id, &pending, &rig->error), &rig->error);
    return pending;
}

static void take(
    snapshot_rig *rig,
    tarn_pending_checkpoint *pending,
    const char *instance,
    uint32_t index,
    uint32_t parallelism)
{
    rig_snapshot snapshot = {
        .operator_name = "op",
        .instance = instance,
        .index = index,
        .parallelism = parallelism,
    };
    assert_ok(rig_take(rig, pending, &snapshot), &rig->error);
}

/* All but the lock, which stays: uploads under way count. */
static uint32_t file_count(const snapshot_rig *rig, const char *prefix)
{
    const uint32_t count = scratch_count(rig_job(rig, ""), prefix);
    return count - (prefix[0] == '\0' ? scratch_count(rig_job(rig, ""), ".tarn-lock") : 0);
}

static void test_what_is_committed_is_restored(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn_pending_checkpoint *pending = begin(rig, 1);
    assert_int_equal(tarn_pending_checkpoint_id(pending), 1);
    take(rig, pending, "a", 0, 1);
    tarn_checkpoint_summary summary;
    assert_ok(tarn_checkpoint_commit(pending, &summary, &rig->error), &rig->error);
    assert_int_equal(summary.id, 1);
    assert_int_equal(summary.operator_count, 1);
    assert_int_equal(summary.subtask_count, 1);
    assert_int_equal(summary.max_parallelism, 128);
    assert_int_equal(summary.file_count, 5);
    assert_int_equal(summary.total_bytes, 301716);
    assert_int_equal(summary.new_bytes, 301716);
    assert_true(summary.timestamp_ms > 1600000000000);

    tarn_checkpoint *checkpoint = NULL;
    assert_ok(
        tarn_checkpoint_open(rig_job(rig, "chk-1"), NULL, &checkpoint, &rig->error), &rig->error);
    const tarn_checkpoint_summary again = tarn_checkpoint_summarize(checkpoint);
    assert_int_equal(again.id, summary.id);
    assert_int_equal(again.timestamp_ms, summary.timestamp_ms);
    assert_int_equal(again.file_count, summary.file_count);
    assert_int_equal(again.total_bytes, summary.total_bytes);
    assert_int_equal(again.new_bytes, summary.new_bytes);
    uint32_t index = 9;
    assert_int_equal(tarn_checkpoint_find_subtask(checkpoint, "op", 0, &index), TARN_OK);
    assert_int_equal(index, 0);
    assert_int_equal(tarn_checkpoint_find_subtask(checkpoint, "op", 1, &index), TARN_NOT_FOUND);
    assert_int_equal(tarn_checkpoint_find_subtask(checkpoint, "no", 0, &index), TARN_NOT_FOUND);
    const tarn_checkpoint_subtask subtask = tarn_checkpoint_subtask_at(checkpoint, 0);
    assert_string_equal(subtask.operator_name, "op");
    assert_true(subtask.has_keyed_state);
    assert_int_equal(subtask.max_parallelism, 128);
    assert_int_equal(subtask.key_groups.last, 127);
    assert_int_equal(subtask.file_count, 5);
    assert_int_equal(subtask.total_bytes, 301716);
    const tarn_checkpoint_state keyed = tarn_checkpoint_state_at(checkpoint, 0, 0);
    assert_string_equal(keyed.name, "count");
    const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, 0);
    assert_string_equal(file.local_name, "000010.sst");
    assert_true(file.is_shared);
    assert_int_equal(file.size, 300000);
    assert_non_null(strstr(file.path, file.digest));
    tarn_checkpoint_free(checkpoint);

    rig_expect_restored(rig, 1, "a");
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 1);
}

/* Nothing unchanged is read or sent: neither on the next checkpoint nor on the first one after a
 * restore. */
static void test_unchanged_files_are_neither_read_nor_sent(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn__base *base = NULL;
    assert_ok(rig_checkpoint(rig, 1, NULL, &base), &rig->error);

    rig_write(rig, "a", "000015.sst", 5000, 15);
    scratch_remove(rig_local(rig, "a", "000012.sst"));
    atomic_store(&rig->files.read_bytes, 0);
    tarn_pending_checkpoint *pending = begin(rig, 2);
    rig_snapshot snapshot = {
        .operator_name = "op", .instance = "a", .parallelism = 1, .base = base};
    assert_ok(rig_take(rig, pending, &snapshot), &rig->error);
    assert_int_equal(atomic_load(&rig->files.read_bytes), 5000 + 716);
    assert_int_equal(snapshot.progress.file_count, 5);
    assert_int_equal(snapshot.progress.total_bytes, 305716);
    assert_int_equal(snapshot.progress.uploaded_count, 4);
    assert_int_equal(snapshot.progress.uploaded_bytes, 5716);
    assert_int_equal(snapshot.progress.reused_count, 1);
    assert_int_equal(snapshot.progress.reused_bytes, 300000);
    tarn_checkpoint_summary summary;
    assert_ok(tarn_checkpoint_commit(pending, &summary, &rig->error), &rig->error);
    assert_int_equal(summary.new_bytes, 5716);
    assert_int_equal(summary.total_bytes, 305716);
    tarn__base_free(base);
    rig_expect_restored(rig, 2, "a");

    assert_ok(rig_download(rig, rig_job(rig, ""), 0, "b", &base), &rig->error);
    assert_int_equal(base->count, 2);
    atomic_store(&rig->files.read_bytes, 0);
    pending = begin(rig, 3);
    snapshot =
        (rig_snapshot){.operator_name = "op", .instance = "b", .parallelism = 1, .base = base};
    assert_ok(rig_take(rig, pending, &snapshot), &rig->error);
    assert_int_equal(snapshot.progress.reused_count, 2);
    assert_int_equal(atomic_load(&rig->files.read_bytes), 716);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &rig->error), &rig->error);
    tarn__base_free(base);
    rig_expect_restored(rig, 3, "a");
}

/* A base is believed for the same file only: a directory may be filled anew under old names. */
static void test_another_file_of_the_same_name_and_size_is_sent(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn__base *base = NULL;
    assert_ok(rig_checkpoint(rig, 1, NULL, &base), &rig->error);
    rig_write(rig, "a", "000010.sst", 300000, 99);
    assert_ok(rig_checkpoint(rig, 2, base, NULL), &rig->error);
    tarn__base_free(base);
    rig_expect_restored(rig, 2, "a");
}

/* A base outlives the files that it names; then they are sent again. */
static void test_a_base_whose_files_are_gone_is_no_base(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn__base *base = NULL;
    assert_ok(rig_checkpoint(rig, 1, NULL, &base), &rig->error);
    tarn_pending_checkpoint *other = begin(rig, 2);
    tarn_buffer source = TARN_BUFFER_INIT;
    assert_ok(
        tarn_acknowledgement_encode(2, "source", 0, 1, NULL, 0, &source, &rig->error), &rig->error);
    assert_ok(
        tarn_checkpoint_acknowledge(other, tarn_buffer_bytes(&source), &rig->error), &rig->error);
    tarn_buffer_clear(&source);
    assert_ok(tarn_checkpoint_commit(other, NULL, &rig->error), &rig->error);
    assert_int_equal(file_count(rig, "shared/"), 0);
    assert_ok(rig_checkpoint(rig, 3, base, NULL), &rig->error);
    tarn__base_free(base);
    rig_expect_restored(rig, 3, "a");
}

static void test_a_checkpoint_that_nobody_acknowledged_replaces_none(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    tarn_pending_checkpoint *empty = begin(rig, 2);
    assert_int_equal(tarn_checkpoint_commit(empty, NULL, &rig->error), TARN_INCOMPATIBLE);
    assert_non_null(strstr(rig->error.message, "nobody has acknowledged checkpoint 2"));
    rig_expect_restored(rig, 1, "a");
}

static void test_the_same_content_is_stored_once(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    write_instance(rig, "b");
    rig_write(rig, "b", "000099.sst", 1000, 12); /* As a's 000012.sst. */
    tarn_pending_checkpoint *pending = begin(rig, 1);
    take(rig, pending, "a", 0, 2);
    rig_snapshot second = {.operator_name = "op", .instance = "b", .index = 1, .parallelism = 2};
    assert_ok(rig_take(rig, pending, &second), &rig->error);
    assert_int_equal(second.progress.reused_count, 3);
    tarn_checkpoint_summary summary;
    assert_ok(tarn_checkpoint_commit(pending, &summary, &rig->error), &rig->error);
    assert_int_equal(summary.file_count, 11);
    assert_int_equal(summary.total_bytes, 2 * 301716 + 1000);
    assert_int_equal(summary.new_bytes, 301716 + 716);
    assert_int_equal(file_count(rig, "shared/"), 2);
    assert_ok(rig_download(rig, rig_job(rig, ""), 1, "c", NULL), &rig->error);
    rig_expect_same(rig_local(rig, "b", ""), rig_local(rig, "c", ""));
}

static void test_only_the_newest_are_retained_with_what_they_name(void **state)
{
    snapshot_rig *rig = *state;
    rig_close_store(rig);
    rig->retained_count = 2;
    assert_ok(rig_open_store(rig), &rig->error);
    write_instance(rig, "a");
    for (uint64_t id = 1; id <= 4; id++) {
        rig_write(rig, "a", "000020.sst", 100 + id, id);
        assert_ok(rig_checkpoint(rig, id, NULL, NULL), &rig->error);
        const uint32_t retained = id < 2 ? 1 : 2;
        assert_int_equal(file_count(rig, "shared/"), 2 + retained);
        assert_int_equal(file_count(rig, "chk-"), 4 * retained);
    }
    assert_false(scratch_exists(rig_job(rig, "chk-2")));
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-3")), 3);
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-4")), 4);
    assert_string_equal(rig->log, "");
}

/* Checkpoints 1 and 2, of a store that retains as many. */
static void retain_two(snapshot_rig *rig)
{
    rig_close_store(rig);
    rig->retained_count = 2;
    assert_ok(rig_open_store(rig), &rig->error);
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    assert_ok(rig_checkpoint(rig, 2, NULL, NULL), &rig->error);
}

static void test_one_that_cannot_be_deleted_keeps_no_other_from_it(void **state)
{
    snapshot_rig *rig = *state;
    retain_two(rig);
    scratch_remove(rig_job(rig, "chk-1/_metadata"));
    scratch_make_directory(rig_job(rig, "chk-1/_metadata"));
    scratch_write(rig_job(rig, "chk-1/_metadata/in-the-way"), "x", 1);
    assert_ok(rig_checkpoint(rig, 3, NULL, NULL), &rig->error);
    assert_non_null(strstr(rig->log, "checkpoint 1 is deleted later"));
    assert_true(scratch_exists(rig_job(rig, "chk-2")));
    assert_ok(rig_checkpoint(rig, 4, NULL, NULL), &rig->error);
    assert_false(scratch_exists(rig_job(rig, "chk-2")));
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-3")), 3);
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-4")), 4);
    scratch_remove(rig_job(rig, "chk-1/_metadata"));
    assert_ok(rig_checkpoint(rig, 5, NULL, NULL), &rig->error);
    assert_false(scratch_exists(rig_job(rig, "chk-1")));
}

static void test_an_abandoned_checkpoint_leaves_nothing(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    const uint32_t before = file_count(rig, "");
    rig_write(rig, "a", "000013.sst", 10, 13);
    tarn_pending_checkpoint *pending = begin(rig, 2);
    take(rig, pending, "a", 0, 1);
    assert_int_equal(file_count(rig, "shared/"), 3);
    tarn_checkpoint_abandon(pending);
    tarn_checkpoint_abandon(NULL);
    assert_int_equal(file_count(rig, ""), before);
    assert_false(scratch_exists(rig_job(rig, "chk-2")));
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 1);
}

static void test_a_failed_upload_is_taken_back(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn_pending_checkpoint *pending = begin(rig, 1);
    take(rig, pending, "a", 0, 2);
    const uint32_t before = file_count(rig, "");

    rig_write(rig, "b", "000001.sst", 10, 1);
    rig_write(rig, "b", "000012.sst", 1000, 12); /* As a's. */
    rig_write(rig, "b", "CURRENT", 10, 2);
    const tarn__upload_options options = {
        .checkpoint = pending,
        .operator_name = "op",
        .subtask_index = 1,
        .account = &rig->account,
        .buffers = &rig->buffers,
    };
    tarn__upload *upload = NULL;
    tarn__local_files files;
    assert_ok(tarn__upload_open(&options, &upload, &rig->error), &rig->error);
    assert_ok(
        tarn__local_files_list(
            NULL, &rig->account, rig_local(rig, "b", ""), ".sst", &files, &rig->error),
        &rig->error);
    /* Files are uploaded in their order; the last is gone. */
    tarn__local_file items[4];
    memcpy(items, files.items, 3 * sizeof items[0]);
    items[3] = (tarn__local_file){.name = "gone.sst", .is_shared = true};
    const tarn__local_files more = {.items = items, .count = 4};
    assert_int_equal(
        tarn__upload_run(upload, rig_local(rig, "b", ""), &more, NULL, &rig->error), TARN_MISSING);
    assert_non_null(strstr(rig->error.message, "gone.sst"));
    assert_int_equal(file_count(rig, ""), before + 2);
    tarn__upload_free(upload);
    tarn__local_files_clear(&files);
    assert_int_equal(file_count(rig, ""), before);
    tarn_checkpoint_abandon(pending);
    assert_int_equal(file_count(rig, ""), 0);
}

static void test_what_nobody_acknowledged_goes_at_the_commit(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    rig_write(rig, "b", "000001.sst", 10, 1);
    tarn_pending_checkpoint *pending = begin(rig, 1);
    take(rig, pending, "a", 0, 1);
    /* A second attempt of the same subtask: its acknowledgement changes nothing. */
    take(rig, pending, "b", 0, 1);
    assert_int_equal(file_count(rig, "shared/"), 3);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &rig->error), &rig->error);
    assert_int_equal(file_count(rig, "shared/"), 2);
    rig_expect_restored(rig, 1, "a");
}

static void test_an_upload_ends_with_its_checkpoint(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn_pending_checkpoint *pending = begin(rig, 1);
    const tarn__upload_options options = {
        .checkpoint = pending,
        .operator_name = "op",
        .account = &rig->account,
        .buffers = &rig->buffers,
    };
    tarn__upload *early = NULL;
    tarn__upload *late = NULL;
    tarn__local_files files;
    assert_ok(tarn__upload_open(&options, &early, &rig->error), &rig->error);
    assert_ok(tarn__upload_open(&options, &late, &rig->error), &rig->error);
    assert_ok(
        tarn__local_files_list(
            NULL, &rig->account, rig_local(rig, "a", ""), ".sst", &files, &rig->error),
        &rig->error);
    assert_ok(
        tarn__upload_run(early, rig_local(rig, "a", ""), &files, NULL, &rig->error), &rig->error);
    tarn_checkpoint_abandon(pending);
    assert_int_equal(tarn_checkpoint_store_close(rig->store, &rig->error), TARN_BUSY);
    assert_int_equal(tarn__upload_keep(early, &rig->error), TARN_ABANDONED);
    assert_int_equal(
        tarn__upload_run(late, rig_local(rig, "a", ""), &files, NULL, &rig->error), TARN_ABANDONED);
    tarn__upload_free(early);
    tarn__upload_free(late);
    tarn__upload_free(NULL);
    tarn__local_files_clear(&files);
    assert_int_equal(file_count(rig, ""), 0);
}

/* What was under way when the checkpoint's files went came after them, and its removal failed. */
static void test_a_private_file_that_could_not_be_removed_is_tried_again(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn_pending_checkpoint *pending = begin(rig, 1);
    const tarn__upload_options options = {
        .checkpoint = pending,
        .operator_name = "op",
        .account = &rig->account,
        .buffers = &rig->buffers,
    };
    tarn__upload *upload = NULL;
    tarn__local_files files;
    tarn__subtask subtask;
    assert_ok(tarn__upload_open(&options, &upload, &rig->error), &rig->error);
    assert_ok(
        tarn__local_files_list(
            NULL, &rig->account, rig_local(rig, "a", ""), ".sst", &files, &rig->error),
        &rig->error);
    assert_ok(
        tarn__upload_run(upload, rig_local(rig, "a", ""), &files, NULL, &rig->error), &rig->error);
    tarn__upload_describe(upload, &subtask);
    const char *name = NULL;
    for (uint32_t i = 0; i < subtask.file_count; i++) {
        name = name == NULL && !subtask.files[i].is_shared ? subtask.files[i].path : name;
    }
    assert_non_null(name);
    tarn_checkpoint_abandon(pending);
    assert_ok(
        tarn__storage_write(
            tarn__store_storage(rig->store), name, 0, tarn_bytes_of("late"), &rig->error),
        &rig->error);
    rig->files.fail_at = atomic_load(&rig->files.call_count);
    rig->files.code = EIO;
    tarn__upload_free(upload);
    assert_true(atomic_load(&rig->files.fired));
    tarn__local_files_clear(&files);
    assert_int_equal(file_count(rig, ""), 0);
}

static void test_a_cancelled_upload_stops(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn_pending_checkpoint *pending = begin(rig, 1);
    const tarn__upload_options options = {
        .checkpoint = pending,
        .operator_name = "op",
        .account = &rig->account,
        .buffers = &rig->buffers,
    };
    tarn__upload *upload = NULL;
    tarn__local_files files;
    assert_ok(tarn__upload_open(&options, &upload, &rig->error), &rig->error);
    assert_ok(
        tarn__local_files_list(
            NULL, &rig->account, rig_local(rig, "a", ""), ".sst", &files, &rig->error),
        &rig->error);
    tarn__upload_cancel(upload);
    assert_int_equal(
        tarn__upload_run(upload, rig_local(rig, "a", ""), &files, NULL, &rig->error),
        TARN_ABANDONED);
    tarn__upload_free(upload);
    tarn__local_files_clear(&files);
    tarn_checkpoint_abandon(pending);
}

/* --- Acknowledging --- */

static tarn_status acknowledge_source(
    snapshot_rig *rig,
    tarn_pending_checkpoint *pending,
    uint64_t id,
    const char *name,
    uint32_t index,
    uint32_t parallelism)
{
    const tarn_checkpoint_operator_state states[] = {
        {.name = "split", .bytes = tarn_bytes_of("7")},
        {.name = "position", .bytes = tarn_bytes_of("1234")},
    };
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_ok(
        tarn_acknowledgement_encode(id, name, index, parallelism, states, 2, &bytes, &rig->error),
        &rig->error);
    const tarn_status status =
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &rig->error);
    tarn_buffer_clear(&bytes);
    return status;
}

static void test_operator_state_comes_back(void **state)
{
    snapshot_rig *rig = *state;
    tarn_pending_checkpoint *pending = begin(rig, 5);
    assert_ok(acknowledge_source(rig, pending, 5, "source", 1, 2), &rig->error);
    assert_ok(acknowledge_source(rig, pending, 5, "source", 0, 2), &rig->error);
    assert_ok(acknowledge_source(rig, pending, 5, "source", 0, 2), &rig->error);
    assert_ok(acknowledge_source(rig, pending, 5, "other", 0, 1), &rig->error);
    tarn_checkpoint_summary summary;
    assert_ok(tarn_checkpoint_commit(pending, &summary, &rig->error), &rig->error);
    assert_int_equal(summary.operator_count, 2);
    assert_int_equal(summary.subtask_count, 3);
    assert_int_equal(summary.max_parallelism, 0);
    assert_int_equal(summary.total_bytes, 15);

    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(rig_job(rig, ""), NULL, &checkpoint, &rig->error), &rig->error);
    uint32_t index = 0;
    assert_int_equal(tarn_checkpoint_find_subtask(checkpoint, "source", 1, &index), TARN_OK);
    assert_int_equal(tarn_checkpoint_subtask_at(checkpoint, index).operator_state_count, 2);
    const tarn_checkpoint_operator_state piece =
        tarn_checkpoint_operator_state_at(checkpoint, index, 0);
    assert_string_equal(piece.name, "position");
    assert_true(tarn_bytes_is_equal(piece.bytes, tarn_bytes_of("1234")));
    tarn_checkpoint_free(checkpoint);
}

static void test_a_missing_subtask_is_named_and_nothing_committed(void **state)
{
    snapshot_rig *rig = *state;
    const struct {
        uint32_t indices[3];
        uint32_t count;
        const char *missing;
    } cases[] = {
        {{0, 1, 0}, 2, "subtask 2 of operator \"source\""},
        {{0, 2, 0}, 2, "subtask 1 of operator \"source\""},
        {{1, 2, 0}, 2, "subtask 0 of operator \"source\""},
        {{2, 0, 0}, 1, "subtask 0 of operator \"source\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t id = i + 1;
        tarn_pending_checkpoint *pending = begin(rig, id);
        assert_ok(acknowledge_source(rig, pending, id, "a", 0, 1), &rig->error);
        assert_ok(acknowledge_source(rig, pending, id, "z", 0, 1), &rig->error);
        for (uint32_t j = 0; j < cases[i].count; j++) {
            assert_ok(
                acknowledge_source(rig, pending, id, "source", cases[i].indices[j], 3),
                &rig->error);
        }
        assert_int_equal(tarn_checkpoint_commit(pending, NULL, &rig->error), TARN_INCOMPATIBLE);
        assert_non_null(strstr(rig->error.message, cases[i].missing));
    }
    assert_int_equal(file_count(rig, ""), 0);
}

static void test_contradictions_are_refused(void **state)
{
    snapshot_rig *rig = *state;
    tarn_pending_checkpoint *pending = begin(rig, 5);
    assert_ok(acknowledge_source(rig, pending, 5, "source", 1, 3), &rig->error);
    assert_int_equal(acknowledge_source(rig, pending, 5, "source", 0, 2), TARN_INCOMPATIBLE);
    assert_int_equal(acknowledge_source(rig, pending, 5, "source", 2, 4), TARN_INCOMPATIBLE);
    assert_int_equal(acknowledge_source(rig, pending, 4, "source", 0, 3), TARN_INCOMPATIBLE);
    assert_non_null(strstr(rig->error.message, "checkpoint 4, not 5"));
    assert_int_equal(
        tarn_checkpoint_acknowledge(pending, tarn_bytes_of("nonsense"), &rig->error),
        TARN_CORRUPTION);
    assert_non_null(strstr(rig->error.message, "byte 0"));
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_int_equal(
        tarn_acknowledgement_encode(1, NULL, 0, 1, NULL, 0, &bytes, &rig->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_acknowledgement_encode(1, "x", 1, 1, NULL, 0, &bytes, &rig->error),
        TARN_INVALID_ARGUMENT);
    tarn_checkpoint_abandon(pending);
}

static tarn_status acknowledge_file(
    snapshot_rig *rig, tarn_pending_checkpoint *pending, tarn__file_part file)
{
    const tarn__subtask subtask = {
        .operator_name = "op",
        .parallelism = 1,
        .has_keyed_state = true,
        .max_parallelism = 1,
        .files = &file,
        .file_count = 1,
    };
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_ok(
        tarn__acknowledgement_encode(
            tarn_pending_checkpoint_id(pending), &subtask, &bytes, &rig->error),
        &rig->error);
    const tarn_status status =
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &rig->error);
    tarn_buffer_clear(&bytes);
    return status;
}

/* An acknowledgement may come from another process: what it names must be there, and its own. */
static void test_acknowledged_files_must_be_there_and_its_own(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    tarn_pending_checkpoint *pending = begin(rig, 2);
    const char *missing = "shared/00/00000000000000000000000000000000-5";
    tarn__file_part file = {
        .local_name = "1.sst",
        .path = missing,
        .is_shared = true,
        .content = {.size = 5},
    };
    assert_int_equal(acknowledge_file(rig, pending, file), TARN_MISSING);
    assert_non_null(strstr(rig->error.message, missing));
    file.content.size = 6;
    assert_int_equal(acknowledge_file(rig, pending, file), TARN_CORRUPTION);
    assert_int_equal(
        acknowledge_file(
            rig, pending, (tarn__file_part){.local_name = "CURRENT", .path = "chk-1/x/CURRENT"}),
        TARN_CORRUPTION);
    assert_non_null(strstr(rig->error.message, "chk-1/x/CURRENT"));

    /* Stored by somebody else, not known here: looked at, and taken. */
    scratch_make_directory(rig_job(rig, "shared/00"));
    scratch_write(rig_job(rig, missing), "12345", 5);
    file.content.size = 5;
    assert_ok(acknowledge_file(rig, pending, file), &rig->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &rig->error), &rig->error);
    assert_int_equal(file_count(rig, "shared/"), 1);
}

/* --- Stores --- */

static void test_ids_go_up(void **state)
{
    snapshot_rig *rig = *state;
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 1);
    tarn_pending_checkpoint *pending = begin(rig, 7);
    tarn_pending_checkpoint *other = NULL;
    assert_int_equal(
        tarn_checkpoint_begin(rig->store, 7, &other, &rig->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "8"));
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 8);
    assert_int_equal(tarn_checkpoint_store_close(rig->store, &rig->error), TARN_BUSY);
    tarn_checkpoint_abandon(pending);
    rig_close_store(rig);
    scratch_make_directory(rig_job(rig, "chk-10"));
    scratch_make_directory(rig_job(rig, "chk-9"));
    scratch_make_directory(rig_job(rig, "chk-011"));
    assert_ok(rig_open_store(rig), &rig->error);
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 11);
}

static void test_the_largest_number_is_no_id_because_none_follows_it(void **state)
{
    snapshot_rig *rig = *state;
    tarn_pending_checkpoint *pending = NULL;
    rig_close_store(rig);
    scratch_make_directory(rig_job(rig, "chk-18446744073709551615"));
    assert_ok(rig_open_store(rig), &rig->error);
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 1);
    assert_int_equal(
        tarn_checkpoint_begin(rig->store, UINT64_MAX, &pending, &rig->error),
        TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "too large"));
    tarn_checkpoint_abandon(begin(rig, UINT64_MAX - 1));
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), UINT64_MAX);
}

static void test_a_store_opened_again_knows_what_is_retained(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    tarn__base *base = NULL;
    assert_ok(rig_checkpoint(rig, 1, NULL, &base), &rig->error);
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 2);
    rig_write(rig, "a", "000013.sst", 10, 13);
    scratch_remove(rig_local(rig, "a", "000010.sst"));
    tarn_pending_checkpoint *pending = begin(rig, 2);
    rig_snapshot snapshot = {
        .operator_name = "op", .instance = "a", .parallelism = 1, .base = base};
    assert_ok(rig_take(rig, pending, &snapshot), &rig->error);
    assert_int_equal(snapshot.progress.reused_count, 1);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &rig->error), &rig->error);
    tarn__base_free(base);
    assert_int_equal(file_count(rig, "shared/"), 2);
    assert_false(scratch_exists(rig_job(rig, "chk-1")));
    rig_expect_restored(rig, 2, "a");
}

/* Nobody knows what a checkpoint that cannot be read names: so nothing shared is deleted. */
static void test_beside_a_damaged_checkpoint_no_shared_file_is_deleted(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    rig_close_store(rig);
    size_t size = 0;
    uint8_t *metadata = scratch_read(rig_job(rig, "chk-1/_metadata"), &size);
    metadata[size / 2] ^= 1;
    scratch_write(rig_job(rig, "chk-1/_metadata"), metadata, size);

    assert_ok(rig_open_store(rig), &rig->error);
    assert_non_null(strstr(rig->log, "checkpoint 1 cannot be read"));
    scratch_remove(rig_local(rig, "a", "000010.sst"));
    for (uint64_t id = 2; id <= 4; id++) {
        rig_write(rig, "a", "000014.sst", 100 + id, id);
        assert_ok(rig_checkpoint(rig, id, NULL, NULL), &rig->error);
    }
    /* 000010 and 000012 of chk-1, and one of each later checkpoint. */
    assert_int_equal(file_count(rig, "shared/"), 5);
    assert_int_equal(file_count(rig, "chk-1/"), 4);
    assert_int_equal(file_count(rig, "chk-"), 8);

    metadata[size / 2] ^= 1;
    scratch_write(rig_job(rig, "chk-1/_metadata"), metadata, size);
    free(metadata);
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-1")), 1);
}

static void test_a_directory_has_one_writer(void **state)
{
    snapshot_rig *rig = *state;
    tarn_checkpoint_store *first = rig->store;
    assert_int_equal(rig_open_store(rig), TARN_BUSY);
    char holder[32];
    snprintf(holder, sizeof holder, "process %ld ", (long)getpid());
    assert_non_null(strstr(rig->error.message, holder));
    rig->store = first;
}

static void test_jobs_have_names_that_name_a_directory(void **state)
{
    snapshot_rig *rig = *state;
    const char *const bad[] = {"", "a/b", "..", ".", "chk-7", ".tarn-lock", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const tarn__store_options options = {
            .address = rig->root.path,
            .job = bad[i],
            .retained_count = 1,
            .account = &rig->account,
        };
        tarn_checkpoint_store *store = NULL;
        assert_int_equal(tarn__store_open(&options, &store, &rig->error), TARN_INVALID_ARGUMENT);
    }
}

static void test_a_file_in_place_of_the_directory_is_named(void **state)
{
    snapshot_rig *rig = *state;
    const char *path = scratch_join(rig->root.path, "file");
    scratch_write(path, "x", 1);
    const tarn__store_options options = {
        .address = path,
        .job = "job",
        .retained_count = 1,
        .account = &rig->account,
    };
    tarn_checkpoint_store *store = NULL;
    assert_int_equal(tarn__store_open(&options, &store, &rig->error), TARN_IO_ERROR);
    assert_int_equal(rig->error.system_code, ENOTDIR);
    assert_non_null(strstr(rig->error.message, path));
}

/* A full disk fails the checkpoint, not what was committed before, and the next one succeeds when
 * there is room again. */
static void test_a_full_disk_fails_one_checkpoint_alone(void **state)
{
    snapshot_rig *rig = *state;
    rig_close_store(rig);
    const char *mounted = scratch_join(rig->root.path, "store");
    if (mount("none", mounted, "tmpfs", 0, "size=1m") != 0) {
        print_message("skipped: a tmpfs cannot be mounted here (%s)\n", strerror(errno));
        skip();
    }
    write_instance(rig, "a");
    assert_ok(rig_open_store(rig), &rig->error);
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    const uint32_t before = file_count(rig, "");
    rig_write(rig, "a", "000020.sst", 2 << 20, 20);
    assert_int_equal(rig_checkpoint(rig, 2, NULL, NULL), TARN_NO_SPACE);
    assert_int_equal(rig->error.system_code, ENOSPC);
    assert_int_equal(file_count(rig, ""), before);
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 1);
    scratch_remove(rig_local(rig, "a", "000020.sst"));
    assert_ok(rig_checkpoint(rig, 3, NULL, NULL), &rig->error);
    rig_expect_restored(rig, 3, "a");
    rig_close_store(rig);
    assert_int_equal(umount(scratch_join(rig->root.path, "store")), 0);
}

static bool refuse(void *pool, size_t bytes)
{
    (void)pool;
    return bytes < TARN__TRANSFER_BUFFER_BYTES;
}

static void ignore(void *pool, size_t bytes)
{
    (void)pool;
    (void)bytes;
}

static void test_without_room_for_a_buffer_nothing_begins(void **state)
{
    snapshot_rig *rig = *state;
    tarn__account full;
    tarn__account_init(&full, "off-heap", NULL);
    tarn__account_attach(&full, refuse, ignore, NULL);
    tarn_pending_checkpoint *pending = begin(rig, 1);
    const tarn__upload_options options = {
        .checkpoint = pending,
        .operator_name = "op",
        .account = &rig->account,
        .buffers = &full,
    };
    tarn__upload *upload = NULL;
    assert_int_equal(tarn__upload_open(&options, &upload, &rig->error), TARN_OVER_BUDGET);
    tarn_checkpoint_abandon(pending);
}

/* --- Reading --- */

typedef struct listing {
    char text[512];
    uint32_t stop_after;
    uint32_t count;
} listing;

static bool note(const tarn_checkpoint_entry *entry, void *context)
{
    listing *l = context;
    const size_t size = strlen(l->text);
    snprintf(
        l->text + size,
        sizeof l->text - size,
        "%llu:%s:%llu ",
        (unsigned long long)entry->summary.id,
        tarn_status_name(entry->status),
        (unsigned long long)entry->summary.file_count);
    assert_true((entry->status == TARN_OK) == (entry->reason == NULL));
    assert_non_null(strstr(entry->path, "/chk-"));
    return ++l->count != l->stop_after;
}

static void test_a_listing_tells_complete_from_unfinished_and_damaged(void **state)
{
    snapshot_rig *rig = *state;
    rig_close_store(rig);
    rig->retained_count = 5;
    assert_ok(rig_open_store(rig), &rig->error);
    listing l = {.count = 0};
    assert_ok(tarn_checkpoint_list(rig_job(rig, ""), note, &l, &rig->error), &rig->error);
    assert_int_equal(l.count, 0);
    write_instance(rig, "a");
    for (uint64_t id = 9; id <= 11; id++) {
        assert_ok(rig_checkpoint(rig, id, NULL, NULL), &rig->error);
    }
    scratch_make_directory(rig_job(rig, "chk-2"));
    scratch_write(rig_job(rig, "chk-10/_metadata"), "short", 5);
    assert_ok(tarn_checkpoint_list(rig_job(rig, ""), note, &l, &rig->error), &rig->error);
    assert_string_equal(l.text, "2:TARN_MISSING:0 9:TARN_OK:5 10:TARN_CORRUPTION:0 11:TARN_OK:5 ");
    l = (listing){.stop_after = 1};
    assert_ok(tarn_checkpoint_list(rig_job(rig, ""), note, &l, &rig->error), &rig->error);
    assert_int_equal(l.count, 1);
    assert_int_equal(
        tarn_checkpoint_list(rig_job(rig, "none"), note, &l, &rig->error), TARN_MISSING);
}

static uint64_t open_id(snapshot_rig *rig, const char *address)
{
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(address, NULL, &checkpoint, &rig->error), &rig->error);
    const uint64_t id = tarn_checkpoint_summarize(checkpoint).id;
    assert_non_null(strstr(tarn_checkpoint_path(checkpoint), "/chk-"));
    tarn_checkpoint_free(checkpoint);
    return id;
}

static void expect_unopened(snapshot_rig *rig, const char *address, tarn_status expected)
{
    tarn_checkpoint *checkpoint = NULL;
    assert_int_equal(tarn_checkpoint_open(address, NULL, &checkpoint, &rig->error), expected);
    assert_null(checkpoint);
}

static void test_checkpoints_are_opened_by_every_kind_of_address(void **state)
{
    snapshot_rig *rig = *state;
    rig_close_store(rig);
    rig->retained_count = 5;
    assert_ok(rig_open_store(rig), &rig->error);
    expect_unopened(rig, rig_job(rig, ""), TARN_MISSING);
    write_instance(rig, "a");
    for (uint64_t id = 9; id <= 10; id++) {
        assert_ok(rig_checkpoint(rig, id, NULL, NULL), &rig->error);
    }
    scratch_make_directory(rig_job(rig, "chk-12"));
    assert_int_equal(open_id(rig, rig_job(rig, "")), 10);
    assert_int_equal(open_id(rig, rig_job(rig, "chk-9")), 9);
    assert_int_equal(open_id(rig, rig_job(rig, "chk-9/")), 9);
    assert_int_equal(open_id(rig, rig_job(rig, "chk-9/_metadata")), 9);
    char uri[PATH_MAX];
    snprintf(uri, sizeof uri, "file://%s", rig_job(rig, "chk-10"));
    assert_int_equal(open_id(rig, uri), 10);
    const char *latest = scratch_join(rig->root.path, "latest");
    assert_int_equal(symlink(rig_job(rig, "chk-9"), latest), 0);
    assert_int_equal(open_id(rig, latest), 9);

    char directory[PATH_MAX];
    assert_non_null(getcwd(directory, sizeof directory));
    assert_int_equal(chdir(rig_job(rig, "chk-9")), 0);
    assert_int_equal(open_id(rig, "_metadata"), 9);
    assert_int_equal(open_id(rig, "."), 9);
    assert_int_equal(open_id(rig, ".."), 10);
    assert_int_equal(chdir(directory), 0);

    expect_unopened(rig, rig_job(rig, "chk-11"), TARN_MISSING);
    expect_unopened(rig, rig_job(rig, "chk-12"), TARN_MISSING);
    expect_unopened(rig, rig->root.path, TARN_MISSING);
    expect_unopened(rig, "", TARN_INVALID_ARGUMENT);
    expect_unopened(rig, NULL, TARN_INVALID_ARGUMENT);
    expect_unopened(rig, "gs://bucket/chk-9", TARN_NOT_SUPPORTED);
}

static void test_a_job_is_moved_and_copied_with_its_directory(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    rig_close_store(rig);
    const char *copy = scratch_join(rig->root.path, "copy");
    scratch_copy(rig_job(rig, ""), copy);
    assert_int_equal(rename(rig_job(rig, ""), scratch_join(rig->root.path, "moved")), 0);
    assert_int_equal(rig_expect_whole(scratch_join(rig->root.path, "moved/chk-1")), 1);
    scratch_remove(scratch_join(rig->root.path, "moved"));
    assert_ok(rig_download(rig, scratch_join(rig->root.path, "copy"), 0, "b", NULL), &rig->error);
    rig_expect_same(rig_local(rig, "a", ""), rig_local(rig, "b", ""));

    /* A checkpoint alone is moved with its job, or not at all. */
    assert_int_equal(
        rename(
            scratch_join(rig->root.path, "copy/chk-1"), scratch_join(rig->root.path, "copy/chk-2")),
        0);
    expect_unopened(rig, scratch_join(rig->root.path, "copy/chk-2"), TARN_CORRUPTION);
    assert_non_null(strstr(rig->error.message, "checkpoint 1"));
    assert_int_equal(
        rename(
            scratch_join(rig->root.path, "copy/chk-2"), scratch_join(rig->root.path, "copy/odd")),
        0);
    expect_unopened(rig, scratch_join(rig->root.path, "copy/odd/_metadata"), TARN_INCOMPATIBLE);
}

/* --- Damage --- */

static void test_every_damaged_byte_of_metadata_is_refused_with_its_place(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    const char *path = rig_job(rig, "chk-1/_metadata");
    char kept[PATH_MAX];
    snprintf(kept, sizeof kept, "%s", path);
    size_t size = 0;
    uint8_t *metadata = scratch_read(kept, &size);
    for (size_t i = 0; i < size; i++) {
        metadata[i] ^= 0x20;
        scratch_write(kept, metadata, size);
        metadata[i] ^= 0x20;
        expect_unopened(rig, rig_job(rig, "chk-1"), TARN_CORRUPTION);
        assert_non_null(strstr(rig->error.message, "chk-1/_metadata: byte"));
    }
    scratch_write(kept, metadata, size - 1);
    expect_unopened(rig, rig_job(rig, "chk-1"), TARN_CORRUPTION);
    scratch_write(kept, metadata, 0);
    expect_unopened(rig, rig_job(rig, "chk-1"), TARN_CORRUPTION);
    metadata[size] = 0;
    scratch_write(kept, metadata, size + 1);
    expect_unopened(rig, rig_job(rig, "chk-1"), TARN_CORRUPTION);
    scratch_write(kept, metadata, size);
    assert_int_equal(rig_expect_whole(kept), 1);
    free(metadata);
}

static void test_a_damaged_newest_checkpoint_names_the_newest_good_one(void **state)
{
    snapshot_rig *rig = *state;
    retain_two(rig);
    size_t size = 0;
    uint8_t *metadata = scratch_read(rig_job(rig, "chk-2/_metadata"), &size);
    metadata[size / 2] ^= 1;
    scratch_write(rig_job(rig, "chk-2/_metadata"), metadata, size);
    free(metadata);
    expect_unopened(rig, rig_job(rig, ""), TARN_CORRUPTION);
    assert_non_null(strstr(rig->error.message, "checkpoint 2 is the newest"));
    assert_non_null(strstr(rig->error.message, "/chk-1"));
    assert_non_null(strstr(rig->error.message, "chk-2/_metadata: byte"));
}

typedef struct findings {
    uint32_t bad_count;
    char path[PATH_MAX];
    char problem[512];
} findings;

static bool find_bad(const tarn_checkpoint_file *file, const char *problem, void *context)
{
    findings *f = context;
    if (problem != NULL) {
        f->bad_count++;
        snprintf(f->path, sizeof f->path, "%s", file->path);
        snprintf(f->problem, sizeof f->problem, "%s", problem);
    }
    return true;
}

/* Verification finds exactly this file, and a download refuses it by name and leaves nothing. */
static void expect_bad(snapshot_rig *rig, const char *path, tarn_status expected)
{
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(rig_job(rig, ""), NULL, &checkpoint, &rig->error), &rig->error);
    findings f = {.bad_count = 0};
    tarn_checkpoint_verification result;
    assert_ok(
        tarn__checkpoint_verify(checkpoint, false, find_bad, &f, &result, &rig->error),
        &rig->error);
    tarn_checkpoint_free(checkpoint);
    assert_int_equal(result.file_count, 5);
    assert_int_equal(result.bad_count, 1);
    assert_int_equal(f.bad_count, 1);
    assert_string_equal(f.path, path);
    assert_non_null(strstr(f.problem, path));
    assert_int_equal(rig_download(rig, rig_job(rig, ""), 0, "b", NULL), expected);
    assert_non_null(strstr(rig->error.message, path));
    assert_int_equal(scratch_count(rig_local(rig, "b", ""), ""), 0);
}

static void test_damaged_files_are_refused_by_name(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(rig_job(rig, ""), NULL, &checkpoint, &rig->error), &rig->error);
    const uint32_t count = tarn_checkpoint_subtask_at(checkpoint, 0).file_count;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, i);
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s", rig_job(rig, file.path));
        size_t size = 0;
        uint8_t *content = scratch_read(path, &size);
        for (size_t at = 0; at < size; at += 1 + size / 3) {
            content[at] ^= 1;
            scratch_write(path, content, size);
            expect_bad(rig, file.path, TARN_CORRUPTION);
            assert_non_null(strstr(rig->error.message, file.digest));
            content[at] ^= 1;
        }
        if (size > 0) {
            scratch_write(path, content, size - 1);
            expect_bad(rig, file.path, TARN_CORRUPTION);
        }
        scratch_write(path, content, size + 1);
        expect_bad(rig, file.path, TARN_CORRUPTION);
        scratch_remove(path);
        expect_bad(rig, file.path, TARN_MISSING);
        scratch_write(path, content, size);
        free(content);
    }
    tarn_checkpoint_free(checkpoint);
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 1);
}

static void test_swapped_files_are_refused(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    rig_write(rig, "a", "000012.sst", 300000, 12); /* As large as the other table. */
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(rig_job(rig, ""), NULL, &checkpoint, &rig->error), &rig->error);
    const char *a = rig_job(rig, tarn_checkpoint_file_at(checkpoint, 0, 0).path);
    const char *b = rig_job(rig, tarn_checkpoint_file_at(checkpoint, 0, 1).path);
    const char *c = scratch_join(rig->root.path, "swap");
    assert_int_equal(rename(a, c) + rename(b, a) + rename(c, b), 0);
    tarn_checkpoint_verification result;
    assert_ok(
        tarn__checkpoint_verify(checkpoint, false, NULL, NULL, &result, &rig->error), &rig->error);
    assert_int_equal(result.bad_count, 2);
    tarn_checkpoint_free(checkpoint);
    assert_int_equal(rig_download(rig, rig_job(rig, ""), 0, "b", NULL), TARN_CORRUPTION);
}

static bool stop(const tarn_checkpoint_file *file, const char *problem, void *context)
{
    (void)file;
    (void)problem;
    (*(uint32_t *)context)++;
    return false;
}

static void test_a_verification_can_be_stopped(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(rig_job(rig, ""), NULL, &checkpoint, &rig->error), &rig->error);
    uint32_t visited = 0;
    assert_int_equal(
        tarn__checkpoint_verify(checkpoint, false, stop, &visited, NULL, &rig->error),
        TARN_ABANDONED);
    assert_int_equal(visited, 1);
    tarn_checkpoint_free(checkpoint);
}

/* A deletion that fails is said, and made up for by the next commit. */
static void test_deletions_that_fail_are_tried_again(void **state)
{
    snapshot_rig *rig = *state;
    write_instance(rig, "a");
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    rig_write(rig, "a", "000012.sst", 1001, 13);
    uint64_t late_count = 0;
    for (uint64_t id = 2; id < 60; id++) {
        /* From some call on nothing succeeds; whatever commits has then failed to delete. */
        rig_write(rig, "a", "000012.sst", 1001, id);
        tarn_pending_checkpoint *pending = begin(rig, id);
        take(rig, pending, "a", 0, 1);
        rig->files.is_persistent = true;
        rig->files.fail_at = atomic_load(&rig->files.call_count) + (id - 2);
        const tarn_status status = tarn_checkpoint_commit(pending, NULL, &rig->error);
        rig->files.fail_at = FAULT_FILES_NEVER;
        late_count += status == TARN_OK && rig->log[0] != '\0' ? 1 : 0;
        rig->log[0] = '\0';
        if (status != TARN_OK) {
            /* Where it is unknown whether _metadata is there, a new store finds out. */
            rig_close_store(rig);
            assert_ok(rig_open_store(rig), &rig->error);
        }
    }
    assert_true(late_count > 5);
    assert_ok(rig_checkpoint(rig, 100, NULL, NULL), &rig->error);
    rig_expect_restored(rig, 100, "a");
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 100);
}

/* By way of an environment: the public door. */
static void test_an_environment_counts_its_stores(void **state)
{
    snapshot_rig *rig = *state;
    tarn_config *config = fixture_new_config(64);
    tarn_env *env = fixture_open_env(config, NULL);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    tarn_checkpoint_store *store = NULL;
    assert_int_equal(
        tarn_checkpoint_store_open(&options, &store, &rig->error), TARN_INVALID_ARGUMENT);
    options.env = env;
    assert_int_equal(
        tarn_checkpoint_store_open(&options, &store, &rig->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "address"));
    options.address = scratch_join(rig->root.path, "other");
    assert_int_equal(
        tarn_checkpoint_store_open(&options, &store, &rig->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "job"));
    options.job = "flights";
    assert_ok(tarn_checkpoint_store_open(&options, &store, &rig->error), &rig->error);
    assert_int_equal(tarn_env_close(env, &rig->error), TARN_BUSY);
    assert_non_null(strstr(rig->error.message, "flights"));
    tarn_checkpoint_store *second = NULL;
    assert_int_equal(tarn_checkpoint_store_open(&options, &second, &rig->error), TARN_BUSY);
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(
        tarn_checkpoint_begin(store, tarn_checkpoint_store_next_id(store), &pending, &rig->error),
        &rig->error);
    assert_ok(acknowledge_source(rig, pending, 1, "source", 0, 1), &rig->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &rig->error), &rig->error);
    assert_ok(tarn_checkpoint_store_close(store, &rig->error), &rig->error);
    assert_ok(tarn_env_close(env, &rig->error), &rig->error);
    tarn_config_free(config);
    assert_int_equal(open_id(rig, scratch_join(rig->root.path, "other/flights")), 1);
    tarn_checkpoint_store_options_init(&options, sizeof options);
    assert_int_equal(options.struct_size, sizeof options);
    assert_null(options.job);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_committed_is_restored),
        TEST(test_unchanged_files_are_neither_read_nor_sent),
        TEST(test_another_file_of_the_same_name_and_size_is_sent),
        TEST(test_a_base_whose_files_are_gone_is_no_base),
        TEST(test_a_checkpoint_that_nobody_acknowledged_replaces_none),
        TEST(test_the_same_content_is_stored_once),
        TEST(test_only_the_newest_are_retained_with_what_they_name),
        TEST(test_one_that_cannot_be_deleted_keeps_no_other_from_it),
        TEST(test_an_abandoned_checkpoint_leaves_nothing),
        TEST(test_a_failed_upload_is_taken_back),
        TEST(test_what_nobody_acknowledged_goes_at_the_commit),
        TEST(test_an_upload_ends_with_its_checkpoint),
        TEST(test_a_private_file_that_could_not_be_removed_is_tried_again),
        TEST(test_a_cancelled_upload_stops),
        TEST(test_operator_state_comes_back),
        TEST(test_a_missing_subtask_is_named_and_nothing_committed),
        TEST(test_contradictions_are_refused),
        TEST(test_acknowledged_files_must_be_there_and_its_own),
        TEST(test_ids_go_up),
        TEST(test_the_largest_number_is_no_id_because_none_follows_it),
        TEST(test_a_store_opened_again_knows_what_is_retained),
        TEST(test_beside_a_damaged_checkpoint_no_shared_file_is_deleted),
        TEST(test_a_directory_has_one_writer),
        TEST(test_jobs_have_names_that_name_a_directory),
        TEST(test_a_file_in_place_of_the_directory_is_named),
        TEST(test_a_full_disk_fails_one_checkpoint_alone),
        TEST(test_without_room_for_a_buffer_nothing_begins),
        TEST(test_a_listing_tells_complete_from_unfinished_and_damaged),
        TEST(test_checkpoints_are_opened_by_every_kind_of_address),
        TEST(test_a_job_is_moved_and_copied_with_its_directory),
        TEST(test_every_damaged_byte_of_metadata_is_refused_with_its_place),
        TEST(test_a_damaged_newest_checkpoint_names_the_newest_good_one),
        TEST(test_damaged_files_are_refused_by_name),
        TEST(test_swapped_files_are_refused),
        TEST(test_a_verification_can_be_stopped),
        TEST(test_deletions_that_fail_are_tried_again),
        TEST(test_an_environment_counts_its_stores),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
