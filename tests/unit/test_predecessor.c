/*
 * Unit tests of snapshot/predecessor.c: whatever a process that died had under way, and whenever it
 * is carried out, no checkpoint appears that lacks what it names.
 */
#include "support/commit_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tarn/cleanup.h"

#include "snapshot/checkpoint.h"
#include "snapshot/store_private.h"

/* A subtask with one shared file, which is uploaded. The rest of it leaves no trace. */
static void acknowledge(
    commit_fixture *f, tarn_pending_checkpoint *pending, const tarn__content *content)
{
    char name[TARN__CONTENT_NAME_BYTES];
    char digest[TARN__DIGEST_TEXT_BYTES];
    tarn__content_name(content, name);
    tarn__digest_encode(&content->digest, digest);
    tarn__file_part file = {
        .local_name = "000001.sst",
        .path = name,
        .is_shared = true,
        .content = *content,
    };
    memcpy(file.digest_text, digest, sizeof digest);
    tarn__subtask subtask = {
        .operator_name = "counter",
        .parallelism = 1,
        .has_keyed_state = true,
        .max_parallelism = 1,
        .files = &file,
        .file_count = 1,
    };
    tarn_buffer bytes = TARN_BUFFER_INIT;
    commit_fixture_put(f, name, "it");
    assert_ok(tarn__acknowledgement_encode(pending->id, &subtask, &bytes, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &f->error), &f->error);
    tarn_buffer_clear(&bytes);
}

static const tarn__content SOME = {.size = 2, .digest.bytes = {1}};
static const tarn__content OTHER = {.size = 2, .digest.bytes = {2}};
static const tarn__content THIRD = {.size = 2, .digest.bytes = {3}};

static tarn_pending_checkpoint *begin(commit_fixture *f, uint64_t id, const tarn__content *content)
{
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    acknowledge(f, pending, content);
    return pending;
}

static void commit(commit_fixture *f, uint64_t id, const tarn__content *content)
{
    tarn_pending_checkpoint *pending = begin(f, id, content);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
}

static bool has_content(commit_fixture *f, const tarn__content *content)
{
    char name[TARN__CONTENT_NAME_BYTES];
    tarn__content_name(content, name);
    return commit_fixture_has(f, name);
}

/* The process dies with the commit under way, and the directory is nobody's. */
static void die_committing(commit_fixture *f, uint64_t id, const tarn__content *content)
{
    tarn_pending_checkpoint *pending = begin(f, id, content);
    commit_fixture_fate(f, FAULT_FATE_LATE, FAULT_FATE_DONE);
    f->has_sent = false;
    f->dies = true;
    assert_int_equal(tarn_checkpoint_commit(pending, NULL, &f->error), TARN_REMOTE_ERROR);
    commit_fixture_close(f);
    f->dies = false;
    atomic_store(&f->storage.is_dead, false);
    assert_int_equal(f->storage.request_count, 1);
}

/* Those that the store has are there, each with all that it names. */
static void expect_stored(commit_fixture *f, uint32_t count, const uint64_t *expected)
{
    uint64_t ids[8];
    assert_int_equal(tarn__store_list(f->store, ids, 8), count);
    for (uint32_t i = 0; i < count; i++) {
        tarn__metadata metadata;
        assert_int_equal(ids[i], expected[i]);
        assert_ok(
            tarn__checkpoint_read_metadata(f->plain, ids[i], &f->account, &metadata, &f->error),
            &f->error);
        assert_true(commit_fixture_has(f, metadata.subtasks[0].files[0].path));
        tarn__metadata_clear(&metadata);
    }
}

static void expect_stored_now_and_later(commit_fixture *f, uint32_t count, const uint64_t *expected)
{
    expect_stored(f, count, expected);
    commit_fixture_deliver(f);
    commit_fixture_close(f);
    commit_fixture_open(f);
    expect_stored(f, count, expected);
}

/* What the dead process had stored for the checkpoint tells of it. */
static void test_a_commit_that_comes_after_opening_finds_the_mark(void **state)
{
    commit_fixture *f = *state;
    die_committing(f, 1, &SOME);
    commit_fixture_put(f, "chk-1/counter-0-0000000000000001/MANIFEST", "it");
    commit_fixture_open(f);
    assert_int_equal(f->commit_count, 1);
    assert_non_null(strstr(f->log, "checkpoint 1 is withdrawn"));
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 2);
    commit_fixture_deliver(f);
    expect_stored(f, 0, NULL);
    commit_fixture_close(f);
    commit_fixture_open(f);
    assert_int_equal(f->commit_count, 0); /* The mark is known as one. */
    expect_stored(f, 0, NULL);
}

static void test_a_commit_that_comes_while_it_is_opened_is_adopted(void **state)
{
    static const uint64_t ids[] = {1};
    commit_fixture *f = *state;
    die_committing(f, 1, &SOME);
    commit_fixture_put(f, "chk-1/counter-0-0000000000000001/MANIFEST", "it");
    f->delivers_first = true;
    commit_fixture_open(f);
    assert_int_equal(f->storage.request_count, 0);
    expect_stored_now_and_later(f, 1, ids);
}

/* Then it may come, and what it names stays. */
static void test_without_an_answer_to_the_mark_no_shared_file_is_deleted(void **state)
{
    static const fault_fate fates[] = {FAULT_FATE_LOST, FAULT_FATE_LATE};
    commit_fixture *f = *state;
    die_committing(f, 1, &SOME);
    commit_fixture_put(f, "chk-1/counter-0-0000000000000001/MANIFEST", "it");
    for (size_t i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        commit_fixture_fate(f, fates[i], fates[i]);
        commit_fixture_open(f);
        assert_non_null(strstr(f->log, "nobody knows whether checkpoint 1 was written"));
        tarn_checkpoint_abandon(begin(f, 2, &SOME));
        assert_true(has_content(f, &SOME));
        commit_fixture_close(f);
    }
    commit_fixture_deliver(f);
    static const uint64_t ids[] = {1};
    commit_fixture_open(f);
    expect_stored_now_and_later(f, 1, ids);
}

/* What nobody knew is asked again before something is deleted: the storage answers by then. */
static void test_a_doubt_ends_when_the_storage_answers_again(void **state)
{
    commit_fixture *f = *state;
    die_committing(f, 1, &SOME);
    commit_fixture_put(f, "chk-1/counter-0-0000000000000001/MANIFEST", "it");
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    commit_fixture_open(f);
    assert_false(commit_fixture_has(f, "chk-1/_metadata"));
    tarn_checkpoint_abandon(begin(f, 2, &OTHER));
    assert_false(has_content(f, &OTHER));
    assert_true(commit_fixture_has(f, "chk-1/_metadata")); /* The mark. */
    expect_stored_now_and_later(f, 0, NULL);
}

/* It has come by then: what it names is kept, beside those that are retained, and no more. */
static void test_a_doubt_ends_with_the_checkpoint_that_came(void **state)
{
    commit_fixture *f = *state;
    die_committing(f, 1, &SOME);
    commit_fixture_put(f, "chk-1/counter-0-0000000000000001/MANIFEST", "it");
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    commit_fixture_open(f);
    commit_fixture_deliver(f);
    commit(f, 2, &OTHER);
    tarn_checkpoint_abandon(begin(f, 3, &THIRD));
    assert_false(has_content(f, &THIRD));
    expect_stored(f, 2, (uint64_t[]){1, 2});
    commit(f, 4, &OTHER);
    commit(f, 5, &OTHER);
    expect_stored(f, 3, (uint64_t[]){1, 4, 5});
    assert_true(has_content(f, &SOME));
}

/* A storage that is silent is not asked about each of a hundred numbers, a minute each. */
static void test_a_silent_storage_is_asked_once_while_it_is_opened(void **state)
{
    commit_fixture *f = *state;
    die_committing(f, 1, &SOME);
    commit_fixture_put(f, "chk-1/counter-0-0000000000000001/MANIFEST", "it");
    commit_fixture_put(f, "chk-2/counter-0-0000000000000001/MANIFEST", "it");
    commit_fixture_put(f, "chk-5/counter-0-0000000000000001/MANIFEST", "it");
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_LOST);
    commit_fixture_open(f);
    assert_int_equal(f->commit_count, 1);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 6);
    tarn_checkpoint_abandon(begin(f, 6, &OTHER));
    assert_int_equal(f->commit_count, 2);
    assert_true(has_content(f, &OTHER));
    commit_fixture_fate(f, FAULT_FATE_DONE, FAULT_FATE_DONE);
    tarn__store_clean(f->store);
    assert_int_equal(f->commit_count, 7); /* Of 1, 2, 3, 5 and 6. */
    assert_false(has_content(f, &OTHER));
    expect_stored_now_and_later(f, 0, NULL);
}

/* A storage may refuse what comes beside another request, and carry out neither. */
static void test_a_mark_that_is_refused_with_nothing_there_is_a_doubt(void **state)
{
    commit_fixture *f = *state;
    die_committing(f, 1, &SOME);
    commit_fixture_put(f, "chk-1/counter-0-0000000000000001/MANIFEST", "it");
    f->storage.finish_failure = TARN_BUSY;
    commit_fixture_fate(f, FAULT_FATE_LOST, FAULT_FATE_DONE);
    commit_fixture_open(f);
    assert_non_null(strstr(f->log, "nobody knows whether checkpoint 1 was written"));
    tarn__store_clean(f->store);
    commit(f, 2, &OTHER);
    assert_true(has_content(f, &SOME));
}

/* Nothing tells of a checkpoint that has no private files; this process has the number itself. */
static void test_a_commit_that_no_listing_tells_of_finds_the_next_checkpoint(void **state)
{
    static const uint64_t ids[] = {1, 2};
    commit_fixture *f = *state;
    commit(f, 1, &SOME);
    die_committing(f, 2, &OTHER);
    commit_fixture_open(f);
    assert_int_equal(f->commit_count, 0);
    commit(f, 2, &SOME);
    assert_int_equal(f->commit_count, 1);
    expect_stored_now_and_later(f, 2, ids);
}

static void test_before_that_what_it_names_stays(void **state)
{
    commit_fixture *f = *state;
    commit(f, 1, &SOME);
    die_committing(f, 2, &SOME);
    commit_fixture_open(f);
    assert_ok(tarn_checkpoint_remove(f->store, 1, &f->error), &f->error);
    assert_true(has_content(f, &SOME));
    tarn_pending_checkpoint *pending = begin(f, 2, &OTHER);
    tarn__store_clean(f->store);
    assert_true(has_content(f, &SOME));
    commit_fixture_deliver(f);
    /* It has come: who goes on from before it leaves it to the next process. */
    assert_int_equal(tarn_checkpoint_commit(pending, NULL, &f->error), TARN_BUSY);
    commit(f, 3, &OTHER);
    assert_true(has_content(f, &SOME));
    commit_fixture_close(f);
    commit_fixture_open(f);
    static const uint64_t found[] = {2, 3};
    expect_stored(f, 2, found);
}

/* Given up, passed over, or never begun: the mark takes the name when something is to be deleted.
 */
static void test_the_mark_takes_the_name_when_no_checkpoint_does(void **state)
{
    enum { GIVEN_UP, PASSED_OVER, NEVER_BEGUN, COUNT };
    for (int how = 0; how < COUNT; how++) {
        commit_fixture *f = *state;
        commit(f, 1, &SOME);
        die_committing(f, 2, &SOME);
        commit_fixture_open(f);
        assert_ok(tarn_checkpoint_remove(f->store, 1, &f->error), &f->error);
        assert_true(has_content(f, &SOME));
        if (how == GIVEN_UP) {
            tarn_checkpoint_abandon(begin(f, 2, &OTHER));
            assert_false(has_content(f, &OTHER));
        } else if (how == PASSED_OVER) {
            commit(f, 3, &OTHER);
        } else {
            commit_fixture_close(f);
            commit_fixture_open(f);
        }
        assert_false(has_content(f, &SOME));
        assert_true(commit_fixture_has(f, "chk-2/_metadata"));
        commit_fixture_deliver(f);
        commit_fixture_close(f);
        static const uint64_t ids[] = {3};
        commit_fixture_open(f);
        expect_stored(f, how == PASSED_OVER ? 1 : 0, ids);
        assert_int_equal(commit_fixture_tear_down(state), 0);
        assert_int_equal(commit_fixture_set_up(state), 0);
    }
}

/* The mark may have no answer: it is tried again, and until then nothing goes. */
static void test_a_mark_without_an_answer_is_tried_again(void **state)
{
    commit_fixture *f = *state;
    commit(f, 1, &SOME);
    commit_fixture_close(f);
    commit_fixture_open(f);
    assert_ok(tarn_checkpoint_remove(f->store, 1, &f->error), &f->error);
    commit_fixture_fate(f, FAULT_FATE_UNANSWERED, FAULT_FATE_DONE);
    tarn_checkpoint_abandon(begin(f, 2, &SOME));
    assert_true(has_content(f, &SOME));
    tarn__store_clean(f->store); /* Finds the mark. */
    assert_false(has_content(f, &SOME));
}

/* Two numbers after the newest, nothing of which would tell that it is under way. */
static void test_a_commit_beyond_the_next_number_is_announced(void **state)
{
    commit_fixture *f = *state;
    char name[TARN__CHECKPOINT_NAME_BYTES + 16];
    commit(f, 1, &SOME);
    tarn_checkpoint_abandon(begin(f, 2, &SOME));
    die_committing(f, 3, &OTHER);
    commit_fixture_open(f);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 4);
    assert_int_equal(f->commit_count, 2); /* Of 2, which was given up, and 3. */
    static const uint64_t ids[] = {1};
    expect_stored_now_and_later(f, 1, ids);

    /* Where it succeeds nothing stays of it. */
    tarn_pending_checkpoint *pending = begin(f, 6, &OTHER);
    (void)snprintf(name, sizeof name, "chk-6/commit-%08" PRIx32, pending->attempt);
    commit_fixture_put(f, name, "it");
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    assert_true(commit_fixture_has(f, "chk-6/_metadata"));
    assert_false(commit_fixture_has(f, name));
}

/* The number behind one that is listed may be under way, whatever else is listed behind it. */
static void test_a_commit_between_numbers_that_are_listed_finds_the_mark(void **state)
{
    static const uint64_t ids[] = {1};
    commit_fixture *f = *state;
    commit(f, 1, &SOME);
    die_committing(f, 2, &OTHER);
    commit_fixture_put(f, "chk-3/counter-0-0000000000000001/MANIFEST", "it");
    commit_fixture_open(f);
    assert_int_equal(f->commit_count, 2);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 4);
    expect_stored_now_and_later(f, 1, ids);
}

static void test_a_commit_beside_another_checkpoint_is_announced(void **state)
{
    static const uint64_t ids[] = {1};
    commit_fixture *f = *state;
    commit(f, 1, &SOME);
    tarn_pending_checkpoint *second = begin(f, 2, &SOME);
    tarn_pending_checkpoint *third = begin(f, 3, &OTHER);
    commit_fixture_fate(f, FAULT_FATE_LATE, FAULT_FATE_DONE);
    f->has_sent = false;
    f->dies = true;
    assert_int_equal(tarn_checkpoint_commit(second, NULL, &f->error), TARN_REMOTE_ERROR);
    tarn_checkpoint_abandon(third);
    commit_fixture_close(f);
    f->dies = false;
    atomic_store(&f->storage.is_dead, false);
    commit_fixture_open(f);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 3); /* chk-2 is listed. */
    assert_int_equal(f->commit_count, 1);
    expect_stored_now_and_later(f, 1, ids);
}

/* The newest alone tells of a commit under way: its removal waits for the end of that. */
static void test_the_newest_stays_while_the_next_is_committed(void **state)
{
    static const uint64_t ids[] = {2};
    commit_fixture *f = *state;
    commit(f, 1, &SOME);
    tarn_pending_checkpoint *pending = begin(f, 2, &OTHER);
    f->removed_id = 1;
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    assert_false(commit_fixture_has(f, "chk-1/_metadata"));
    expect_stored(f, 1, ids);

    f->removed_id = 2;
    die_committing(f, 3, &SOME);
    assert_true(commit_fixture_has(f, "chk-2/_metadata"));
    commit_fixture_open(f);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 3);
    commit(f, 3, &OTHER);
    static const uint64_t both[] = {2, 3};
    expect_stored_now_and_later(f, 2, both);
}

/* And the newest of the process before, until it is known what became of the number behind it. */
static void test_the_newest_stays_while_the_next_is_inherited(void **state)
{
    static const uint64_t ids[] = {2};
    commit_fixture *f = *state;
    commit(f, 1, &SOME);
    die_committing(f, 2, &OTHER);
    commit_fixture_open(f);
    assert_ok(tarn_checkpoint_remove(f->store, 1, &f->error), &f->error);
    assert_true(commit_fixture_has(f, "chk-1/_metadata"));
    atomic_store(&f->storage.is_dead, true);
    commit_fixture_close(f);
    atomic_store(&f->storage.is_dead, false);
    commit_fixture_open(f);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 2);
    assert_ok(tarn_checkpoint_remove(f->store, 1, &f->error), &f->error);
    commit(f, 2, &OTHER);
    assert_false(commit_fixture_has(f, "chk-1/_metadata"));
    expect_stored_now_and_later(f, 1, ids);
}

/* It only deletes there: the owner may be about to commit. */
static void test_a_guest_takes_no_name(void **state)
{
    commit_fixture *f = *state;
    die_committing(f, 1, &SOME);
    commit_fixture_put(f, "chk-1/counter-0-0000000000000001/MANIFEST", "it");
    tarn__store_options options = commit_fixture_options(f);
    options.is_guest = true;
    f->commit_count = 0;
    assert_ok(tarn__store_open(&options, &f->store, &f->error), &f->error);
    assert_int_equal(f->commit_count, 0);
    assert_false(commit_fixture_has(f, "chk-1/_metadata"));
}

/* A directory in which nobody has stored a shared file: what is given up leaves nothing. */
static void test_an_empty_directory_has_nothing_to_wait_for(void **state)
{
    commit_fixture *f = *state;
    tarn_checkpoint_abandon(begin(f, 1, &SOME));
    assert_int_equal(f->commit_count, 0);
    assert_false(has_content(f, &SOME));
    assert_false(commit_fixture_has(f, "chk-1/_metadata"));
}

/* What a number in doubt keeps that nobody can keep in mind: also what tells of it. */
static void expect_kept(commit_fixture *f)
{
    assert_non_null(strstr(f->log, "shared files are kept until the store is opened again"));
    assert_ok(tarn_checkpoint_remove(f->store, 2, &f->error), &f->error);
    assert_true(commit_fixture_has(f, "chk-2/_metadata")); /* 3 may come behind it. */
    assert_true(has_content(f, &SOME));
    tarn_checkpoint_abandon(begin(f, tarn_checkpoint_store_next_id(f->store), &THIRD));
    assert_true(has_content(f, &THIRD));
    commit_fixture_close(f);
    commit_fixture_open(f);
    tarn__store_clean(f->store);
    expect_stored(f, 2, (uint64_t[]){1, 2});
}

static void test_more_doubts_than_are_kept_in_mind_keep_what_they_need(void **state)
{
    enum { DOUBTS = 1024 };
    commit_fixture *f = *state;
    commit(f, 1, &OTHER);
    commit(f, 2, &SOME);
    for (uint32_t i = 0; i < DOUBTS; i++) {
        tarn__doubt_note(f->store, 10 + i);
    }
    assert_false(f->store->keeps_shared);
    assert_non_null(strstr(f->log, "shared files are kept until the storage tells"));
    tarn__doubt_note(f->store, 10); /* It is known. */
    assert_false(f->store->keeps_shared);
    tarn__doubt_note(f->store, 3);
    assert_int_equal(f->store->doubt_count, DOUBTS);
    expect_kept(f);
}

static void test_a_doubt_without_memory_keeps_what_it_needs(void **state)
{
    commit_fixture *f = *state;
    fault_allocator memory;
    tarn__account broke;
    fault_allocator_init(&memory, 0);
    tarn__account_init(&broke, "test", &memory.base);
    commit(f, 1, &OTHER);
    commit(f, 2, &SOME);
    tarn__account *const account = f->store->options.account;
    f->store->options.account = &broke;
    tarn__doubt_note(f->store, 3);
    f->store->options.account = account;
    assert_true(memory.fired);
    assert_int_equal(f->store->doubt_count, 0);
    expect_kept(f);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, commit_fixture_set_up, commit_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_commit_that_comes_after_opening_finds_the_mark),
        TEST(test_a_commit_that_comes_while_it_is_opened_is_adopted),
        TEST(test_without_an_answer_to_the_mark_no_shared_file_is_deleted),
        TEST(test_a_doubt_ends_when_the_storage_answers_again),
        TEST(test_a_doubt_ends_with_the_checkpoint_that_came),
        TEST(test_a_silent_storage_is_asked_once_while_it_is_opened),
        TEST(test_a_mark_that_is_refused_with_nothing_there_is_a_doubt),
        TEST(test_a_commit_that_no_listing_tells_of_finds_the_next_checkpoint),
        TEST(test_before_that_what_it_names_stays),
        TEST(test_the_mark_takes_the_name_when_no_checkpoint_does),
        TEST(test_a_mark_without_an_answer_is_tried_again),
        TEST(test_a_commit_beyond_the_next_number_is_announced),
        TEST(test_a_commit_between_numbers_that_are_listed_finds_the_mark),
        TEST(test_a_commit_beside_another_checkpoint_is_announced),
        TEST(test_the_newest_stays_while_the_next_is_committed),
        TEST(test_the_newest_stays_while_the_next_is_inherited),
        TEST(test_a_guest_takes_no_name),
        TEST(test_an_empty_directory_has_nothing_to_wait_for),
        TEST(test_more_doubts_than_are_kept_in_mind_keep_what_they_need),
        TEST(test_a_doubt_without_memory_keeps_what_it_needs),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
