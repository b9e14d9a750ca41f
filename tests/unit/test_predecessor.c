/*
 * Unit tests of snapshot/predecessor.c: whatever a process that died had under way, and whenever it
 * is carried out, no checkpoint appears that lacks what it names.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/cleanup.h"

#include "snapshot/checkpoint.h"
#include "snapshot/store_private.h"
#include "support/fault_storage.h"

typedef struct fixture {
    tarn__account account;
    fault_storage storage;
    tarn_storage_scheme scheme;
    tarn_storage *plain;
    tarn_checkpoint_store *store;
    fault_fate commit_fate; /* Of the next request that makes _metadata visible. */
    uint32_t commit_count;  /* How many of these were sent. */
    bool dies;              /* After the next of them, */
    bool has_sent;          /* which was sent. */
    bool delivers_first;    /* What is under way comes just before the next of them. */
    char log[TARN_ERROR_MESSAGE_BYTES];
    tarn_error error;
} fixture;

static void deliver_all(fixture *f)
{
    while (f->storage.request_count > 0) {
        fault_storage_deliver(&f->storage, 0);
    }
}

static fault_fate choose_fate(const char *operation, const char *name, void *context)
{
    fixture *f = context;
    if (f->dies && f->has_sent) {
        atomic_store(&f->storage.is_dead, true);
    }
    if (strcmp(operation, "finish") != 0 || name == NULL ||
        strstr(name, TARN__METADATA_NAME) == NULL) {
        return FAULT_FATE_DONE;
    }
    const fault_fate fate = f->commit_fate;
    f->commit_count++;
    f->commit_fate = FAULT_FATE_DONE;
    f->has_sent = true;
    if (f->delivers_first) {
        f->delivers_first = false;
        deliver_all(f);
    }
    return fate;
}

static bool keeps_no_order(const char *name)
{
    (void)name;
    return false;
}

static void take_log(const char *message, void *context)
{
    fixture *f = context;
    snprintf(f->log, sizeof f->log, "%s", message);
}

static void open_store(fixture *f)
{
    const tarn__store_options options = {
        .address = "fault://sim",
        .job = "job",
        .remote = {.schemes = &f->scheme, .scheme_count = 1},
        .retained_count = 2,
        .account = &f->account,
        .log = take_log,
        .log_context = f,
    };
    f->commit_count = 0;
    assert_ok(tarn__store_open(&options, &f->store, &f->error), &f->error);
}

static void close_store(fixture *f)
{
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    tarn__account_init(&f->account, "test", NULL);
    fault_storage_init(&f->storage, &f->account, choose_fate, f);
    f->storage.keeps_order = keeps_no_order;
    f->scheme = (tarn_storage_scheme){
        .name = "fault", .open = fault_storage_open_address, .context = &f->storage};
    assert_ok(
        fault_storage_open(&f->storage, "job", /* is_plain= */ true, &f->plain, &f->error),
        &f->error);
    open_store(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    close_store(f);
    tarn__storage_free(f->plain);
    fault_storage_clear(&f->storage);
    const int leaked = atomic_load(&f->account.block_count) != 0;
    free(f);
    return leaked;
}

static void put(fixture *f, const char *name)
{
    assert_ok(tarn__storage_write(f->plain, name, 0, tarn_bytes_of("it"), &f->error), &f->error);
}

static bool is_there(fixture *f, const char *name)
{
    tarn_storage_info info;
    const tarn_status status = tarn__storage_stat(f->plain, name, &info, &f->error);
    assert_true(status == TARN_OK || status == TARN_MISSING);
    return status == TARN_OK;
}

/* A subtask with one shared file, which is uploaded. The rest of it leaves no trace. */
static void acknowledge(fixture *f, tarn_pending_checkpoint *pending, const tarn__content *content)
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
    put(f, name);
    assert_ok(tarn__acknowledgement_encode(pending->id, &subtask, &bytes, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &f->error), &f->error);
    tarn_buffer_clear(&bytes);
}

static const tarn__content SOME = {.size = 2, .digest.bytes = {1}};
static const tarn__content OTHER = {.size = 2, .digest.bytes = {2}};

static tarn_pending_checkpoint *begin(fixture *f, uint64_t id, const tarn__content *content)
{
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    acknowledge(f, pending, content);
    return pending;
}

static void commit(fixture *f, uint64_t id, const tarn__content *content)
{
    tarn_pending_checkpoint *pending = begin(f, id, content);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
}

static bool has_content(fixture *f, const tarn__content *content)
{
    char name[TARN__CONTENT_NAME_BYTES];
    tarn__content_name(content, name);
    return is_there(f, name);
}

/* The process dies with the commit under way, and the directory is nobody's. */
static void die_committing(fixture *f, uint64_t id, const tarn__content *content)
{
    tarn_pending_checkpoint *pending = begin(f, id, content);
    f->commit_fate = FAULT_FATE_LATE;
    f->has_sent = false;
    f->dies = true;
    assert_int_equal(tarn_checkpoint_commit(pending, NULL, &f->error), TARN_REMOTE_ERROR);
    close_store(f);
    f->dies = false;
    atomic_store(&f->storage.is_dead, false);
    assert_int_equal(f->storage.request_count, 1);
}

/* Those that the store has are there, each with all that it names. */
static void expect_stored(fixture *f, uint32_t count, const uint64_t *expected)
{
    uint64_t ids[8];
    assert_int_equal(tarn__store_list(f->store, ids, 8), count);
    for (uint32_t i = 0; i < count; i++) {
        tarn__metadata metadata;
        assert_int_equal(ids[i], expected[i]);
        assert_ok(
            tarn__checkpoint_read_metadata(f->plain, ids[i], &f->account, &metadata, &f->error),
            &f->error);
        assert_true(is_there(f, metadata.subtasks[0].files[0].path));
        tarn__metadata_clear(&metadata);
    }
}

static void expect_stored_now_and_later(fixture *f, uint32_t count, const uint64_t *expected)
{
    expect_stored(f, count, expected);
    deliver_all(f);
    close_store(f);
    open_store(f);
    expect_stored(f, count, expected);
}

/* What the dead process had stored for the checkpoint tells of it. */
static void test_a_commit_that_comes_after_opening_finds_the_mark(void **state)
{
    fixture *f = *state;
    die_committing(f, 1, &SOME);
    put(f, "chk-1/counter-0-0000000000000001/MANIFEST");
    open_store(f);
    assert_int_equal(f->commit_count, 1);
    assert_non_null(strstr(f->log, "checkpoint 1 is withdrawn"));
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 2);
    deliver_all(f);
    expect_stored(f, 0, NULL);
    close_store(f);
    open_store(f);
    assert_int_equal(f->commit_count, 0); /* The mark is known as one. */
    expect_stored(f, 0, NULL);
}

static void test_a_commit_that_comes_while_it_is_opened_is_adopted(void **state)
{
    static const uint64_t ids[] = {1};
    fixture *f = *state;
    die_committing(f, 1, &SOME);
    put(f, "chk-1/counter-0-0000000000000001/MANIFEST");
    f->delivers_first = true;
    open_store(f);
    assert_int_equal(f->storage.request_count, 0);
    expect_stored_now_and_later(f, 1, ids);
}

/* Then it may come, and what it names stays. */
static void test_without_an_answer_to_the_mark_no_shared_file_is_deleted(void **state)
{
    static const fault_fate fates[] = {FAULT_FATE_LOST, FAULT_FATE_LATE};
    fixture *f = *state;
    die_committing(f, 1, &SOME);
    put(f, "chk-1/counter-0-0000000000000001/MANIFEST");
    for (size_t i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        f->commit_fate = fates[i];
        open_store(f);
        assert_non_null(strstr(f->log, "nobody knows whether checkpoint 1 was written"));
        tarn_checkpoint_abandon(begin(f, 2, &SOME));
        assert_true(has_content(f, &SOME));
        close_store(f);
    }
    deliver_all(f);
    static const uint64_t ids[] = {1};
    open_store(f);
    expect_stored_now_and_later(f, 1, ids);
}

/* Nothing tells of a checkpoint that has no private files; this process has the number itself. */
static void test_a_commit_that_no_listing_tells_of_finds_the_next_checkpoint(void **state)
{
    static const uint64_t ids[] = {1, 2};
    fixture *f = *state;
    commit(f, 1, &SOME);
    die_committing(f, 2, &OTHER);
    open_store(f);
    assert_int_equal(f->commit_count, 0);
    commit(f, 2, &SOME);
    assert_int_equal(f->commit_count, 1);
    expect_stored_now_and_later(f, 2, ids);
}

static void test_before_that_what_it_names_stays(void **state)
{
    fixture *f = *state;
    commit(f, 1, &SOME);
    die_committing(f, 2, &SOME);
    open_store(f);
    assert_ok(tarn_checkpoint_remove(f->store, 1, &f->error), &f->error);
    assert_true(has_content(f, &SOME));
    tarn_pending_checkpoint *pending = begin(f, 2, &OTHER);
    tarn__store_clean(f->store);
    assert_true(has_content(f, &SOME));
    deliver_all(f);
    /* It has come: who goes on from before it leaves it to the next process. */
    assert_int_equal(tarn_checkpoint_commit(pending, NULL, &f->error), TARN_BUSY);
    commit(f, 3, &OTHER);
    assert_true(has_content(f, &SOME));
    close_store(f);
    open_store(f);
    static const uint64_t found[] = {2, 3};
    expect_stored(f, 2, found);
}

/* Given up, passed over, or never begun: the mark takes the name when something is to be deleted.
 */
static void test_the_mark_takes_the_name_when_no_checkpoint_does(void **state)
{
    enum { GIVEN_UP, PASSED_OVER, NEVER_BEGUN, COUNT };
    for (int how = 0; how < COUNT; how++) {
        fixture *f = *state;
        commit(f, 1, &SOME);
        die_committing(f, 2, &SOME);
        open_store(f);
        assert_ok(tarn_checkpoint_remove(f->store, 1, &f->error), &f->error);
        assert_true(has_content(f, &SOME));
        if (how == GIVEN_UP) {
            tarn_checkpoint_abandon(begin(f, 2, &OTHER));
            assert_false(has_content(f, &OTHER));
        } else if (how == PASSED_OVER) {
            commit(f, 3, &OTHER);
        } else {
            close_store(f);
            open_store(f);
        }
        assert_false(has_content(f, &SOME));
        assert_true(is_there(f, "chk-2/_metadata"));
        deliver_all(f);
        close_store(f);
        static const uint64_t ids[] = {3};
        open_store(f);
        expect_stored(f, how == PASSED_OVER ? 1 : 0, ids);
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
    }
}

/* The mark may have no answer: it is tried again, and until then nothing goes. */
static void test_a_mark_without_an_answer_is_tried_again(void **state)
{
    fixture *f = *state;
    commit(f, 1, &SOME);
    close_store(f);
    open_store(f);
    assert_ok(tarn_checkpoint_remove(f->store, 1, &f->error), &f->error);
    f->commit_fate = FAULT_FATE_UNANSWERED;
    tarn_checkpoint_abandon(begin(f, 2, &SOME));
    assert_true(has_content(f, &SOME));
    tarn__store_clean(f->store); /* Finds the mark. */
    assert_false(has_content(f, &SOME));
}

/* Two numbers after the newest, nothing of which would tell that it is under way. */
static void test_a_commit_beyond_the_next_number_is_announced(void **state)
{
    fixture *f = *state;
    char name[TARN__CHECKPOINT_NAME_BYTES + 16];
    commit(f, 1, &SOME);
    tarn_checkpoint_abandon(begin(f, 2, &SOME));
    die_committing(f, 3, &OTHER);
    open_store(f);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 4);
    assert_int_equal(f->commit_count, 2); /* Of 2, which was given up, and 3. */
    static const uint64_t ids[] = {1};
    expect_stored_now_and_later(f, 1, ids);

    /* Where it succeeds nothing stays of it. */
    tarn_pending_checkpoint *pending = begin(f, 6, &OTHER);
    (void)snprintf(name, sizeof name, "chk-6/commit-%08" PRIx32, pending->attempt);
    put(f, name);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    assert_true(is_there(f, "chk-6/_metadata"));
    assert_false(is_there(f, name));
}

/* The number behind one that is listed may be under way, whatever else is listed behind it. */
static void test_a_commit_between_numbers_that_are_listed_finds_the_mark(void **state)
{
    static const uint64_t ids[] = {1};
    fixture *f = *state;
    commit(f, 1, &SOME);
    die_committing(f, 2, &OTHER);
    put(f, "chk-3/counter-0-0000000000000001/MANIFEST");
    open_store(f);
    assert_int_equal(f->commit_count, 2);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 4);
    expect_stored_now_and_later(f, 1, ids);
}

static void test_a_commit_beside_another_checkpoint_is_announced(void **state)
{
    static const uint64_t ids[] = {1};
    fixture *f = *state;
    commit(f, 1, &SOME);
    tarn_pending_checkpoint *second = begin(f, 2, &SOME);
    tarn_pending_checkpoint *third = begin(f, 3, &OTHER);
    f->commit_fate = FAULT_FATE_LATE;
    f->has_sent = false;
    f->dies = true;
    assert_int_equal(tarn_checkpoint_commit(second, NULL, &f->error), TARN_REMOTE_ERROR);
    tarn_checkpoint_abandon(third);
    close_store(f);
    f->dies = false;
    atomic_store(&f->storage.is_dead, false);
    open_store(f);
    assert_int_equal(tarn_checkpoint_store_next_id(f->store), 3); /* chk-2 is listed. */
    assert_int_equal(f->commit_count, 1);
    expect_stored_now_and_later(f, 1, ids);
}

/* It only deletes there: the owner may be about to commit. */
static void test_a_guest_takes_no_name(void **state)
{
    fixture *f = *state;
    die_committing(f, 1, &SOME);
    put(f, "chk-1/counter-0-0000000000000001/MANIFEST");
    const tarn__store_options options = {
        .address = "fault://sim",
        .job = "job",
        .remote = {.schemes = &f->scheme, .scheme_count = 1},
        .retained_count = 2,
        .account = &f->account,
        .is_guest = true,
    };
    f->commit_count = 0;
    assert_ok(tarn__store_open(&options, &f->store, &f->error), &f->error);
    assert_int_equal(f->commit_count, 0);
    assert_false(is_there(f, "chk-1/_metadata"));
}

/* A directory in which nobody has stored a shared file: what is given up leaves nothing. */
static void test_an_empty_directory_has_nothing_to_wait_for(void **state)
{
    fixture *f = *state;
    tarn_checkpoint_abandon(begin(f, 1, &SOME));
    assert_int_equal(f->commit_count, 0);
    assert_false(has_content(f, &SOME));
    assert_false(is_there(f, "chk-1/_metadata"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_commit_that_comes_after_opening_finds_the_mark),
        TEST(test_a_commit_that_comes_while_it_is_opened_is_adopted),
        TEST(test_without_an_answer_to_the_mark_no_shared_file_is_deleted),
        TEST(test_a_commit_that_no_listing_tells_of_finds_the_next_checkpoint),
        TEST(test_before_that_what_it_names_stays),
        TEST(test_the_mark_takes_the_name_when_no_checkpoint_does),
        TEST(test_a_mark_without_an_answer_is_tried_again),
        TEST(test_a_commit_beyond_the_next_number_is_announced),
        TEST(test_a_commit_between_numbers_that_are_listed_finds_the_mark),
        TEST(test_a_commit_beside_another_checkpoint_is_announced),
        TEST(test_a_guest_takes_no_name),
        TEST(test_an_empty_directory_has_nothing_to_wait_for),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
