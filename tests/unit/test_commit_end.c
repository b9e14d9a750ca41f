/*
 * Unit tests of snapshot/commit_end.c: whatever becomes of the request that makes a checkpoint
 * visible, and whenever, what the commit has answered stays true.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "snapshot/checkpoint.h"
#include "snapshot/store.h"
#include "support/fault_storage.h"

enum { STEPS_MAX = 4 };

typedef struct fixture {
    tarn__account account;
    fault_storage storage;
    tarn_storage_scheme scheme;
    tarn_storage *plain;
    tarn_checkpoint_store *store;
    fault_fate fates[STEPS_MAX]; /* Of the requests that make _metadata visible, in turn. */
    uint32_t step;
    tarn_error error;
} fixture;

static fault_fate choose_fate(const char *operation, const char *name, void *context)
{
    fixture *f = context;
    const bool is_commit = strcmp(operation, "finish") == 0 && name != NULL &&
                           strstr(name, TARN__METADATA_NAME) != NULL;
    return is_commit && f->step < STEPS_MAX ? f->fates[f->step++] : FAULT_FATE_DONE;
}

static bool keeps_no_order(const char *name)
{
    (void)name;
    return false;
}

static void open_store(fixture *f)
{
    const tarn__store_options options = {
        .address = "fault://sim",
        .job = "job",
        .remote = {.schemes = &f->scheme, .scheme_count = 1},
        .retained_count = UINT32_MAX,
        .account = &f->account,
    };
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

static tarn_status commit(fixture *f, uint64_t id, bool *is_in_doubt)
{
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    return tarn__checkpoint_commit(pending, /* cleans= */ true, NULL, is_in_doubt, &f->error);
}

static void deliver_all(fixture *f)
{
    while (f->storage.request_count > 0) {
        fault_storage_deliver(&f->storage, 0);
    }
}

/* For this process, and for the next one. */
static void expect_stored(fixture *f, uint32_t expected)
{
    uint64_t ids[4];
    assert_int_equal(tarn__store_list(f->store, ids, 4), expected);
    close_store(f);
    open_store(f);
    assert_int_equal(tarn__store_list(f->store, ids, 4), expected);
    assert_true(expected == 0 || ids[0] == 1);
}

static void test_what_was_written_without_an_answer_is_committed(void **state)
{
    fixture *f = *state;
    bool is_in_doubt = true;
    f->fates[0] = FAULT_FATE_UNANSWERED;
    assert_ok(commit(f, 1, &is_in_doubt), &f->error);
    assert_false(is_in_doubt);
    expect_stored(f, 1);
}

static void test_what_was_lost_is_withdrawn(void **state)
{
    fixture *f = *state;
    bool is_in_doubt = true;
    f->fates[0] = FAULT_FATE_LOST;
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_REMOTE_ERROR);
    assert_false(is_in_doubt);
    expect_stored(f, 0);
    assert_true(tarn_checkpoint_store_next_id(f->store) > 1); /* The mark is in the way. */
}

/* The failure was announced, and what the checkpoint named has gone meanwhile. */
static void test_what_comes_late_finds_the_mark(void **state)
{
    fixture *f = *state;
    tarn__metadata metadata;
    bool is_in_doubt = true;
    f->fates[0] = FAULT_FATE_LATE;
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_REMOTE_ERROR);
    assert_false(is_in_doubt);
    deliver_all(f);
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
        fixture *f = *state;
        bool is_in_doubt = false;
        f->step = 0;
        f->fates[0] = FAULT_FATE_LATE;
        f->fates[1] = fates[i];
        assert_int_equal(
            commit(f, tarn_checkpoint_store_next_id(f->store), &is_in_doubt), TARN_REMOTE_ERROR);
        assert_true(is_in_doubt);
        deliver_all(f);
    }
}

static void put(fixture *f, const char *name, const char *text)
{
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(f->plain, name, 0, &upload, &f->error), &f->error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_of(text), &f->error), &f->error);
    assert_ok(tarn__storage_finish(upload, NULL, &f->error), &f->error);
}

/* What another writer has committed under the same number is neither taken for ours nor removed. */
static void test_what_another_writer_has_written_stays(void **state)
{
    fixture *f = *state;
    bool is_in_doubt = false;
    tarn_storage_info info;
    f->fates[0] = FAULT_FATE_LOST;
    put(f, "chk-1/_metadata", "another one's");
    assert_int_equal(commit(f, 1, &is_in_doubt), TARN_REMOTE_ERROR);
    assert_true(is_in_doubt);
    assert_ok(tarn__storage_stat(f->plain, "chk-1/_metadata", &info, &f->error), &f->error);
    assert_int_equal(info.size, strlen("another one's"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_written_without_an_answer_is_committed),
        TEST(test_what_was_lost_is_withdrawn),
        TEST(test_what_comes_late_finds_the_mark),
        TEST(test_without_an_answer_to_the_mark_there_is_a_doubt),
        TEST(test_what_another_writer_has_written_stays),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
