/*
 * Unit tests of snapshot/commit_end.c: whatever becomes of the request that makes a checkpoint
 * visible, and whenever, what the commit has answered stays true.
 */
#include "support/commit_fixture.h"

#include <string.h>

#include "tarn/doubt.h"

#include "snapshot/checkpoint.h"
#include "snapshot/store_private.h"

static tarn_status commit(commit_fixture *f, uint64_t id, bool *is_in_doubt)
{
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    return tarn__checkpoint_commit(pending, /* cleans= */ true, NULL, is_in_doubt, &f->error);
}

/* For this process, and for the next one. */
static void expect_stored(commit_fixture *f, uint32_t expected)
{
    uint64_t ids[4];
    assert_int_equal(tarn__store_list(f->store, ids, 4), expected);
    commit_fixture_close(f);
    commit_fixture_open(f);
    assert_int_equal(tarn__store_list(f->store, ids, 4), expected);
    assert_true(expected == 0 || ids[0] == 1);
}

static void test_what_was_written_without_an_answer_is_committed(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    commit_fixture_fate(f, FAULT_FATE_UNANSWERED, FAULT_FATE_DONE);
    assert_ok(commit(f, 1, &is_in_doubt), &f->error);
    assert_false(is_in_doubt);
    expect_stored(f, 1);
}

static void test_what_was_lost_is_withdrawn(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_REMOTE_ERROR);
    assert_false(is_in_doubt);
    expect_stored(f, 0);
    assert_true(tarn_checkpoint_store_next_id(f->store) > 1); /* The mark is in the way. */
}

/* The failure was announced, and what the checkpoint named has gone meanwhile. */
static void test_what_comes_late_finds_the_mark(void **state)
{
    commit_fixture *f = *state;
    tarn__metadata metadata;
    bool is_in_doubt = true;
    commit_fixture_fate(f, FAULT_FATE_LATE, FAULT_FATE_DONE);
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_REMOTE_ERROR);
    assert_false(is_in_doubt);
    commit_fixture_deliver(f);
    expect_stored(f, 0);
    assert_int_equal(
        tarn__checkpoint_read_metadata(f->plain, 1, &f->account, &metadata, &f->error),
        TARN_MISSING);
    assert_non_null(strstr(f->error.message, "withdrawn"));
}

/* Both are under way: whichever comes first is what it is, and nobody has said another thing. */
static void test_without_an_answer_to_the_mark_there_is_a_doubt(void **state)
{
    static const fault_fate fates[] = {FAULT_FATE_LOST, FAULT_FATE_UNANSWERED, FAULT_FATE_LATE};
    for (size_t i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        commit_fixture *f = *state;
        bool is_in_doubt = false;
        commit_fixture_fate(f, FAULT_FATE_LATE, fates[i]);
        assert_int_equal(
            commit(f, tarn_checkpoint_store_next_id(f->store), &is_in_doubt), TARN_REMOTE_ERROR);
        assert_true(is_in_doubt);
        commit_fixture_deliver(f);
    }
}

/* One part, as every commit through the public interface has to have. */
static tarn_pending_checkpoint *begin(commit_fixture *f)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_buffer part = TARN_BUFFER_INIT;
    const uint64_t id = tarn_checkpoint_store_next_id(f->store);
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    assert_ok(
        tarn_acknowledgement_encode(id, "source", 0, 1, NULL, 0, &part, &f->error), &f->error);
    assert_ok(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&part), &f->error), &f->error);
    tarn_buffer_clear(&part);
    return pending;
}

/*
 * Who drives a coordinator by hand is told what the driver knows: taken for failed, its directory
 * would be deleted under a checkpoint that is found.
 */
static void test_who_commits_by_hand_is_told_of_a_doubt(void **state)
{
    static const struct {
        fault_fate commit, mark;
        tarn_status status;
        bool is_in_doubt;
    } cases[] = {
        {FAULT_FATE_DONE, FAULT_FATE_DONE, TARN_OK, false},
        {FAULT_FATE_UNANSWERED, FAULT_FATE_DONE, TARN_OK, false},
        {FAULT_FATE_LOST, FAULT_FATE_DONE, TARN_REMOTE_ERROR, false},
        {FAULT_FATE_LOST, FAULT_FATE_LOST, TARN_REMOTE_ERROR, true},
        {FAULT_FATE_LATE, FAULT_FATE_LATE, TARN_REMOTE_ERROR, true},
    };
    commit_fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_in_doubt = !cases[i].is_in_doubt;
        tarn_pending_checkpoint *pending = begin(f);
        commit_fixture_fate(f, cases[i].commit, cases[i].mark);
        assert_int_equal(
            tarn_checkpoint_commit_or_doubt(pending, NULL, &is_in_doubt, &f->error),
            cases[i].status);
        assert_int_equal(is_in_doubt, cases[i].is_in_doubt);
        commit_fixture_deliver(f);
        commit_fixture_fate(f, FAULT_FATE_DONE, FAULT_FATE_DONE);
    }
}

static void test_what_cannot_be_a_commit_is_refused_without_a_doubt(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    tarn_pending_checkpoint *pending = begin(f);
    assert_int_equal(
        tarn_checkpoint_commit_or_doubt(NULL, NULL, &is_in_doubt, &f->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_checkpoint_commit_or_doubt(pending, NULL, NULL, &f->error), TARN_INVALID_ARGUMENT);
    assert_string_equal(f->error.message, "is_in_doubt is missing");
    tarn_checkpoint_abandon(pending);
    const uint64_t id = tarn_checkpoint_store_next_id(f->store);
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    assert_int_equal(
        tarn_checkpoint_commit_or_doubt(pending, NULL, &is_in_doubt, &f->error), TARN_INCOMPATIBLE);
    assert_false(is_in_doubt);
}

/* What another writer has committed under the same number is neither taken for ours nor removed. */
static void test_what_another_writer_has_written_stays(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    tarn_storage_info info;
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    commit_fixture_put(f, "chk-1/_metadata", "another one's");
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_REMOTE_ERROR);
    assert_false(is_in_doubt);
    assert_true(f->store->keeps_shared);
    assert_non_null(strstr(f->log, "two write to one directory"));
    assert_ok(tarn__storage_stat(f->plain, "chk-1/_metadata", &info, &f->error), &f->error);
    assert_int_equal(info.size, strlen("another one's"));
}

/* The answer is certain, and what lies there is not ours to remove. */
static void test_what_another_writer_has_written_stays_when_the_commit_is_refused(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    f->storage.finish_failure = TARN_DECLINED;
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    commit_fixture_put(f, "chk-1/_metadata", "another one's");
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_DECLINED);
    assert_false(is_in_doubt);
    assert_true(f->store->keeps_shared);
    assert_non_null(strstr(f->log, "two write to one directory"));
    assert_true(commit_fixture_has(f, "chk-1/_metadata"));
}

/* Who opens the store marks the number of the one that is still there: that one gives way. */
static void test_who_is_fenced_off_deletes_no_shared_file(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    f->storage.finish_failure = TARN_BUSY;
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    commit_fixture_put(f, "chk-1/_metadata", TARN__METADATA_WITHDRAWN);
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_BUSY);
    assert_false(is_in_doubt);
    assert_true(f->store->keeps_shared);
}

/* An attempt without an answer was followed by one that was refused. */
static void test_what_was_refused_may_come_late_and_finds_the_mark(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    f->storage.finish_failure = TARN_DECLINED;
    commit_fixture_fate(f, FAULT_FATE_LATE, FAULT_FATE_DONE);
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_DECLINED);
    assert_false(is_in_doubt);
    commit_fixture_deliver(f);
    expect_stored(f, 0);
}

/* An attempt was done without an answer, and the next one finds the name taken: by this commit. */
static void test_what_is_refused_as_it_is_there_already_is_committed(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    f->storage.finish_failure = TARN_BUSY;
    commit_fixture_fate(f, FAULT_FATE_UNANSWERED, FAULT_FATE_DONE);
    assert_ok(commit(f, 1, &is_in_doubt), &f->error);
    assert_false(is_in_doubt);
    expect_stored(f, 1);
}

/* A storage may refuse two that come at once, and carry out neither. */
static void test_what_is_refused_with_nothing_there_is_withdrawn(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    f->storage.finish_failure = TARN_BUSY;
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_BUSY);
    assert_false(is_in_doubt);
    expect_stored(f, 0);
}

/* It shares no file with anybody, and is asked about no more: who wanted it has to look. */
static void test_a_savepoint_in_doubt_is_named(void **state)
{
    commit_fixture *f = *state;
    tarn_pending_checkpoint *pending = NULL;
    tarn__store_options options = commit_fixture_options(f);
    options.kind = TARN__METADATA_SAVEPOINT;
    assert_ok(tarn__savepoint_begin(&options, 7, &pending, &f->error), &f->error);
    bool is_in_doubt = false;
    f->storage.finish_failure = TARN_BUSY;
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    assert_int_equal(
        tarn__checkpoint_commit(pending, /* cleans= */ true, NULL, &is_in_doubt, &f->error),
        TARN_BUSY);
    assert_true(is_in_doubt);
    assert_non_null(strstr(f->log, "nobody knows whether the savepoint fault://sim/savepoint-7-"));
    assert_null(strstr(f->log, "shared files"));
}

/*
 * A mark under the number that the process before may still commit may be that one's, which came
 * late, or that of a successor which takes this process for dead. Nothing tells them apart: kept is
 * what the successor may name.
 */
static void test_who_is_fenced_off_from_an_inherited_number_deletes_no_shared_file(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = true;
    assert_ok(commit(f, 1, &is_in_doubt), &f->error);
    commit_fixture_close(f);
    commit_fixture_open(f);
    assert_int_equal(f->store->inherited_id, 2);
    f->storage.finish_failure = TARN_BUSY;
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    commit_fixture_put(f, "chk-2/_metadata", TARN__METADATA_WITHDRAWN);
    assert_int_equal(commit(f, 2, &is_in_doubt), TARN_BUSY);
    assert_false(is_in_doubt);
    assert_true(f->store->keeps_shared);
    assert_int_equal(f->store->inherited_id, 0);
}

/* What lies under that number may be the predecessor's, come late: no sign that two write. */
static void test_what_lies_under_an_inherited_number_is_no_rivals(void **state)
{
    commit_fixture *f = *state;
    bool is_in_doubt = false;
    assert_ok(commit(f, 1, &is_in_doubt), &f->error);
    commit_fixture_close(f);
    commit_fixture_open(f);
    assert_int_equal(f->store->inherited_id, 2);
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    commit_fixture_put(f, "chk-2/_metadata", "the predecessor's");
    assert_int_equal(commit(f, 2, &is_in_doubt), TARN_REMOTE_ERROR);
    assert_true(is_in_doubt);
    assert_null(strstr(f->log, "two write to one directory"));
    assert_true(commit_fixture_has(f, "chk-2/_metadata"));
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, commit_fixture_set_up, commit_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_written_without_an_answer_is_committed),
        TEST(test_what_was_lost_is_withdrawn),
        TEST(test_what_comes_late_finds_the_mark),
        TEST(test_without_an_answer_to_the_mark_there_is_a_doubt),
        TEST(test_who_commits_by_hand_is_told_of_a_doubt),
        TEST(test_what_cannot_be_a_commit_is_refused_without_a_doubt),
        TEST(test_what_another_writer_has_written_stays),
        TEST(test_what_another_writer_has_written_stays_when_the_commit_is_refused),
        TEST(test_who_is_fenced_off_deletes_no_shared_file),
        TEST(test_what_was_refused_may_come_late_and_finds_the_mark),
        TEST(test_what_is_refused_as_it_is_there_already_is_committed),
        TEST(test_what_is_refused_with_nothing_there_is_withdrawn),
        TEST(test_a_savepoint_in_doubt_is_named),
        TEST(test_who_is_fenced_off_from_an_inherited_number_deletes_no_shared_file),
        TEST(test_what_lies_under_an_inherited_number_is_no_rivals),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
