/*
 * Unit tests of snapshot/fallback.c, whole.c and refuse.c: which checkpoint is opened when newer
 * ones are damaged, what is said about those, and what becomes of them.
 */
#include "support/snapshot_rig.h"

#include "tarn/claim.h"
#include "tarn/cleanup.h"
#include "tarn/fallback.h"

#include "snapshot/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 5000, SKIPPED_MAX = 4, PATH_BYTES = 512 };

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
static uint64_t open_at_depth(
    snapshot_rig *rig, const char *name, tarn_checkpoint_depth depth, skips *s, tarn_status *status)
{
    tarn_checkpoint *checkpoint = NULL;
    tarn_fallback_options options = TARN_FALLBACK_OPTIONS_INIT;
    options.depth = depth;
    options.skipped = s != NULL ? note : NULL;
    options.context = s;
    *status = tarn_checkpoint_open_whole(rig_job(rig, name), &options, &checkpoint, &rig->error);
    if (*status != TARN_OK) {
        assert_null(checkpoint);
        return 0;
    }
    const uint64_t id = tarn_checkpoint_summarize(checkpoint).id;
    tarn_checkpoint_free(checkpoint);
    return id;
}

static uint64_t open_whole(snapshot_rig *rig, const char *name, skips *s, tarn_status *status)
{
    return open_at_depth(rig, name, TARN_CHECKPOINT_LOOK, s, status);
}

/* The path of a checkpoint's table file, below the job's directory. */
static const char *table_of(snapshot_rig *rig, const char *name)
{
    static char path[PATH_BYTES];
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

static void test_a_flipped_byte_shows_when_files_are_read(void **state)
{
    snapshot_rig *rig = *state;
    skips s = {.count = 0};
    tarn_status status;
    const char *damaged = table_of(rig, "chk-3");
    scratch_flip(rig_job(rig, damaged), FILE_BYTES / 2);
    assert_int_equal(open_at_depth(rig, "", TARN_CHECKPOINT_LOOK, &s, &status), 3);
    assert_int_equal(s.count, 0);
    assert_int_equal(open_at_depth(rig, "", TARN_CHECKPOINT_READ, &s, &status), 2);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.ids[0], 3);
    assert_int_equal(s.statuses[0], TARN_CORRUPTION);
    assert_non_null(strstr(s.reasons[0], damaged));
    assert_non_null(strstr(s.reasons[0], "is damaged: its digest is"));
}

/* The next checkpoint, of which the table file has the content of the seed. */
static void commit_next(snapshot_rig *rig, uint64_t id, uint64_t seed)
{
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), id);
    rig_write(rig, "a", "1.sst", FILE_BYTES + seed, seed);
    assert_ok(rig_checkpoint(rig, id, NULL, NULL), &rig->error);
}

static uint32_t count_checkpoints(snapshot_rig *rig)
{
    uint32_t count = 0;
    for (uint32_t id = 1; id <= 9; id++) {
        char name[32];
        (void)snprintf(name, sizeof name, "chk-%" PRIu32 "/_metadata", id);
        count += scratch_exists(rig_job(rig, name)) ? 1 : 0;
    }
    return count;
}

/* Digests included. */
static void expect_whole(snapshot_rig *rig, uint64_t id)
{
    char name[32];
    tarn_status status;
    skips s = {.count = 0};
    (void)snprintf(name, sizeof name, "chk-%" PRIu64, id);
    assert_int_equal(open_at_depth(rig, name, TARN_CHECKPOINT_READ, &s, &status), id);
    assert_int_equal(s.count, 0);
}

/* The job begins anew, and has passed over chk-3, whose table file is damaged. */
static void refuse_third(snapshot_rig *rig, char damaged[PATH_BYTES])
{
    (void)snprintf(damaged, PATH_BYTES, "%s", table_of(rig, "chk-3"));
    scratch_flip(rig_job(rig, damaged), 1);
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_ok(tarn_checkpoint_refuse(rig->store, 3, &rig->error), &rig->error);
}

/* Three are retained: the refused one is a fourth, until those that are older have gone. */
static void test_a_refused_one_does_not_count_and_goes_with_the_older_ones(void **state)
{
    snapshot_rig *rig = *state;
    char damaged[PATH_BYTES];
    refuse_third(rig, damaged);
    assert_ok(tarn_checkpoint_refuse(rig->store, 3, &rig->error), &rig->error);
    commit_next(rig, 4, 2); /* A file that chk-2 names too. */
    assert_int_equal(count_checkpoints(rig), 4);
    commit_next(rig, 5, 5);
    assert_false(scratch_exists(rig_job(rig, "chk-1")));
    assert_true(scratch_exists(rig_job(rig, "chk-3")));
    assert_true(scratch_exists(rig_job(rig, damaged)));
    commit_next(rig, 6, 6);
    assert_int_equal(count_checkpoints(rig), 3);
    assert_false(scratch_exists(rig_job(rig, "chk-2")));
    assert_false(scratch_exists(rig_job(rig, "chk-3")));
    assert_false(scratch_exists(rig_job(rig, damaged)));
    for (uint64_t id = 4; id <= 6; id++) {
        expect_whole(rig, id);
    }
}

/* Without that the new checkpoint would name the damaged file, and be damaged itself. */
static void test_content_of_a_refused_one_is_stored_anew(void **state)
{
    snapshot_rig *rig = *state;
    char damaged[PATH_BYTES];
    refuse_third(rig, damaged);
    commit_next(rig, 4, 3);
    expect_whole(rig, 4);
    for (uint64_t id = 5; id <= 6; id++) {
        commit_next(rig, id, id);
    }
    assert_false(scratch_exists(rig_job(rig, "chk-3")));
    assert_true(scratch_exists(rig_job(rig, damaged))); /* Of chk-4 now. */
    expect_whole(rig, 4);
}

/* The job begins without a checkpoint, or with one from elsewhere: until it has one of its own, the
 * damaged one is all that there is of it. */
static void test_the_last_one_can_be_refused_and_goes_when_another_is_there(void **state)
{
    snapshot_rig *rig = *state;
    char damaged[PATH_BYTES];
    tarn_pending_checkpoint *pending = NULL;
    for (uint64_t id = 1; id <= 2; id++) {
        assert_ok(tarn_checkpoint_remove(rig->store, id, &rig->error), &rig->error);
    }
    refuse_third(rig, damaged);
    assert_int_equal(tarn__store_newest(rig->store), 0);
    assert_ok(tarn_checkpoint_begin(rig->store, 4, &pending, &rig->error), &rig->error);
    tarn__checkpoint_abandon(pending);
    assert_true(scratch_exists(rig_job(rig, "chk-3/_metadata")));
    commit_next(rig, tarn_checkpoint_store_next_id(rig->store), 3);
    assert_false(scratch_exists(rig_job(rig, "chk-3")));
    assert_int_equal(count_checkpoints(rig), 1);
    expect_whole(rig, tarn__store_newest(rig->store));
}

/* It was cleaned before all were refused, when they still counted. */
static void test_the_refused_ones_stay_when_others_were_removed_before(void **state)
{
    snapshot_rig *rig = *state;
    tarn_pending_checkpoint *pending = NULL;
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_ok(tarn_checkpoint_remove(rig->store, 1, &rig->error), &rig->error);
    for (uint64_t id = 3; id >= 2; id--) {
        assert_ok(tarn_checkpoint_refuse(rig->store, id, &rig->error), &rig->error);
    }
    assert_ok(tarn_checkpoint_begin(rig->store, 4, &pending, &rig->error), &rig->error);
    tarn__checkpoint_abandon(pending);
    assert_int_equal(count_checkpoints(rig), 2);
    commit_next(rig, tarn_checkpoint_store_next_id(rig->store), 4);
    assert_int_equal(count_checkpoints(rig), 1);
    expect_whole(rig, tarn__store_newest(rig->store));
}

/* Only the checkpoint that the job goes on from has been looked at. */
static void test_another_that_names_a_refused_file_does_not_vouch_for_it(void **state)
{
    snapshot_rig *rig = *state;
    char damaged[PATH_BYTES];
    commit_next(rig, 4, 2); /* As chk-2; 3 is between. */
    (void)snprintf(damaged, sizeof damaged, "%s", table_of(rig, "chk-4"));
    assert_string_equal(table_of(rig, "chk-2"), damaged);
    scratch_flip(rig_job(rig, damaged), 1);
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_ok(tarn_checkpoint_refuse(rig->store, 4, &rig->error), &rig->error);
    commit_next(rig, 5, 2);
    expect_whole(rig, 5);
}

/* One of another directory says nothing about the files of this one. */
static void test_nothing_here_vouches_when_the_job_comes_from_elsewhere(void **state)
{
    snapshot_rig *rig = *state;
    char damaged[PATH_BYTES];
    commit_next(rig, 4, 3); /* As chk-3. */
    (void)snprintf(damaged, sizeof damaged, "%s", table_of(rig, "chk-4"));
    scratch_flip(rig_job(rig, damaged), 1);
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_ok(tarn__store_refuse(rig->store, 4, /* trusted_id= */ 0, &rig->error), &rig->error);
    commit_next(rig, 5, 3);
    expect_whole(rig, 5);
}

static tarn_status claim_copy(snapshot_rig *rig, const char *name, tarn_claim_mode mode)
{
    tarn_checkpoint *restored = NULL;
    assert_ok(
        tarn_checkpoint_open(scratch_join(rig->root.path, name), NULL, &restored, &rig->error),
        &rig->error);
    const tarn_status status = tarn_checkpoint_claim(rig->store, restored, mode, &rig->error);
    tarn_checkpoint_free(restored);
    return status;
}

/* Opens the store again, which knows of no refusal, and refuses all. */
static void refuse_all(snapshot_rig *rig)
{
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    for (uint64_t id = 1; id <= 3; id++) {
        const tarn_status status = tarn__store_refuse(rig->store, id, 0, &rig->error);
        assert_true(status == TARN_OK || status == TARN_NOT_FOUND);
    }
}

/* What is listed goes to a coordinator, which takes no number twice. */
static void expect_listed(snapshot_rig *rig, const uint64_t *expected, uint32_t count)
{
    uint64_t ids[8];
    assert_int_equal(tarn__store_list(rig->store, ids, 8), count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(ids[i], expected[i]);
    }
}

/* A copy of the job's directory is whole where the original is not. */
static void test_a_claimed_copy_takes_the_place_of_what_was_refused(void **state)
{
    snapshot_rig *rig = *state;
    char copy[PATH_BYTES];
    char damaged[PATH_BYTES];
    (void)snprintf(copy, sizeof copy, "%s", scratch_join(rig->root.path, "copy"));
    scratch_copy(rig_job(rig, ""), copy);
    (void)snprintf(damaged, sizeof damaged, "%s", table_of(rig, "chk-3"));
    scratch_flip(rig_job(rig, damaged), 1);
    refuse_all(rig);
    assert_int_equal(claim_copy(rig, "copy/chk-3", TARN_CLAIM_MODE_CLAIM), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "has checkpoint 3 of its own"));
    assert_non_null(strstr(rig->error.message, "remove that one first"));
    assert_int_equal(count_checkpoints(rig), 3);

    assert_ok(tarn_checkpoint_remove(rig->store, 3, &rig->error), &rig->error);
    refuse_all(rig);
    assert_ok(claim_copy(rig, "copy/chk-3", TARN_CLAIM_MODE_CLAIM), &rig->error);
    commit_next(rig, 4, 3); /* It names what was claimed. */
    expect_whole(rig, 4);
    assert_true(scratch_exists(scratch_join(copy, "chk-3"))); /* It counts, as 4 does. */
    assert_false(scratch_exists(rig_job(rig, "chk-2")));
    commit_next(rig, 5, 5);
    commit_next(rig, 6, 6);
    assert_int_equal(count_checkpoints(rig), 3);
    assert_false(scratch_exists(scratch_join(copy, "chk-3")));
    expect_whole(rig, 4);
}

/* A later process does not know what was refused. */
static void test_no_number_is_listed_twice_when_the_store_is_opened_again(void **state)
{
    snapshot_rig *rig = *state;
    static const uint64_t listed[] = {1, 2, 3, 4};
    rig->retained_count = 9;
    scratch_copy(rig_job(rig, ""), scratch_join(rig->root.path, "copy"));
    refuse_all(rig);
    for (uint64_t id = 1; id <= 3; id++) {
        char name[32];
        (void)snprintf(name, sizeof name, "copy/chk-%" PRIu64, id);
        assert_int_equal(claim_copy(rig, name, TARN_CLAIM_MODE_CLAIM), TARN_INVALID_ARGUMENT);
    }
    commit_next(rig, 4, 4);
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    expect_listed(rig, &listed[3], 1); /* The refused ones have gone with it. */

    /* One that is committed late, by a process that was thought dead, has the number of a claim. */
    rig_close_store(rig);
    scratch_remove(rig_job(rig, ""));
    assert_ok(rig_open_store(rig), &rig->error);
    assert_ok(claim_copy(rig, "copy/chk-3", TARN_CLAIM_MODE_CLAIM), &rig->error);
    rig_close_store(rig);
    scratch_copy(scratch_join(rig->root.path, "copy/chk-3"), rig_job(rig, "chk-3"));
    assert_ok(rig_open_store(rig), &rig->error);
    expect_listed(rig, &listed[2], 1);
    commit_next(rig, 4, 4);
    expect_listed(rig, &listed[2], 2);
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    expect_listed(rig, &listed[2], 2);
    tarn__store_discard(rig->store, 3);
    expect_listed(rig, &listed[3], 1);
    assert_false(scratch_exists(scratch_join(rig->root.path, "copy/chk-3/_metadata")));
    expect_whole(rig, 4);
}

/* Of one number there may be a refused one here and the one that the job comes from. */
static void test_the_restored_one_is_found_beside_a_refused_one_of_its_number(void **state)
{
    snapshot_rig *rig = *state;
    bool is_owned = true;
    char address[PATH_BYTES];
    uint64_t ids[4];
    scratch_copy(rig_job(rig, ""), scratch_join(rig->root.path, "copy"));
    for (uint64_t id = 1; id <= 3; id++) {
        assert_ok(tarn__store_refuse(rig->store, id, 0, &rig->error), &rig->error);
    }
    assert_false(tarn__store_locate(rig->store, 3, &is_owned, address, sizeof address));
    assert_ok(claim_copy(rig, "copy/chk-3", TARN_CLAIM_MODE_NO_CLAIM), &rig->error);
    assert_int_equal(tarn__store_list(rig->store, ids, 4), 1);
    assert_int_equal(ids[0], 3);
    assert_true(tarn__store_locate(rig->store, 3, &is_owned, address, sizeof address));
    assert_false(is_owned);
    assert_string_equal(address, scratch_join(rig->root.path, "copy/chk-3"));
    commit_next(rig, 4, 4);
    assert_true(scratch_exists(scratch_join(rig->root.path, "copy/chk-3")));
    assert_int_equal(count_checkpoints(rig), 1);
}

/* What a claim writes down has the number as its name, and so has a pin. */
static void test_a_claim_does_not_take_the_name_of_a_refused_ones_pin(void **state)
{
    snapshot_rig *rig = *state;
    scratch_copy(rig_job(rig, ""), scratch_join(rig->root.path, "copy"));
    assert_ok(claim_copy(rig, "store/job/chk-3", TARN_CLAIM_MODE_NO_CLAIM), &rig->error);
    assert_ok(tarn__store_refuse(rig->store, 3, 0, &rig->error), &rig->error);
    assert_int_equal(claim_copy(rig, "copy/chk-3", TARN_CLAIM_MODE_CLAIM), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "has checkpoint 3 of its own"));
    assert_int_equal(scratch_count(rig_job(rig, ""), "claims/"), 1);
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    commit_next(rig, 4, 4);
    commit_next(rig, 5, 5);
    commit_next(rig, 6, 6);
    commit_next(rig, 7, 7);
    assert_true(scratch_exists(rig_job(rig, "chk-3/_metadata"))); /* It is pinned. */
}

/* It comes from a process that has not stored the file since. */
static void test_an_acknowledgement_that_names_a_refused_file_is_not_taken(void **state)
{
    snapshot_rig *rig = *state;
    char damaged[PATH_BYTES];
    tarn_buffer part = TARN_BUFFER_INIT;
    tarn_pending_checkpoint *pending = NULL;
    tarn_checkpoint *third = NULL;
    assert_ok(tarn_checkpoint_open(rig_job(rig, "chk-3"), NULL, &third, &rig->error), &rig->error);
    tarn__subtask subtask = third->metadata.subtasks[0]; /* Its table file alone. */
    subtask.files += subtask.files[0].is_shared ? 0 : 1;
    subtask.file_count = 1;
    assert_true(subtask.files[0].is_shared);
    assert_ok(tarn__acknowledgement_encode(4, &subtask, &part, &rig->error), &rig->error);
    refuse_third(rig, damaged);
    assert_ok(tarn_checkpoint_begin(rig->store, 4, &pending, &rig->error), &rig->error);
    assert_int_equal(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&part), &rig->error),
        TARN_CORRUPTION);
    assert_non_null(strstr(rig->error.message, damaged));
    assert_non_null(strstr(rig->error.message, "was refused, and was not stored anew"));
    tarn__checkpoint_abandon(pending);
    tarn_buffer_clear(&part);
    tarn_checkpoint_free(third);
}

static void test_what_cannot_be_refused_is_told(void **state)
{
    snapshot_rig *rig = *state;
    assert_int_equal(tarn_checkpoint_refuse(NULL, 3, &rig->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_checkpoint_refuse(rig->store, 9, &rig->error), TARN_NOT_FOUND);
    assert_int_equal(tarn__store_refuse(rig->store, 3, 3, &rig->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "is restored: it cannot be refused as well"));
    commit_next(rig, 4, 4); /* It counts as before. */
    assert_false(scratch_exists(rig_job(rig, "chk-1")));
    assert_int_equal(count_checkpoints(rig), 3);
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
    tarn_fallback_options options = TARN_FALLBACK_OPTIONS_INIT;
    const struct {
        const char *address;
        const tarn_fallback_options *options;
        tarn_checkpoint **out;
        tarn_status status;
    } cases[] = {
        {NULL, &options, &checkpoint, TARN_INVALID_ARGUMENT},
        {"/nowhere", &options, NULL, TARN_INVALID_ARGUMENT},
        {"/nowhere", NULL, &checkpoint, TARN_INVALID_ARGUMENT},
        {"/nowhere", &options, &checkpoint, TARN_MISSING},
        {"none://nowhere", &options, &checkpoint, TARN_NOT_SUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            tarn_checkpoint_open_whole(
                cases[i].address, cases[i].options, cases[i].out, &rig->error),
            cases[i].status);
    }
    assert_int_equal(
        tarn_checkpoint_open_whole_in(NULL, rig_job(rig, ""), &options, &checkpoint, &rig->error),
        TARN_INVALID_ARGUMENT);
    /* Other metadata than that of a checkpoint stands alone. */
    assert_int_equal(
        tarn_checkpoint_open_whole(
            rig_job(rig, "chk-3/_metadata"), &options, &checkpoint, &rig->error),
        TARN_OK);
    tarn_checkpoint_free(checkpoint);
    checkpoint = NULL;
    scratch_write(rig_job(rig, "_metadata"), "a savepoint", 11);
    assert_int_equal(
        tarn_checkpoint_open_whole(rig_job(rig, ""), &options, &checkpoint, &rig->error),
        TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "is a savepoint"));
    options.depth = (tarn_checkpoint_depth)2;
    assert_int_equal(
        tarn_checkpoint_open_whole(rig_job(rig, "chk-3"), &options, &checkpoint, &rig->error),
        TARN_INVALID_ARGUMENT);
    assert_null(checkpoint);
}

static void test_running_out_of_memory_opens_nothing_and_holds_nothing(void **state)
{
    snapshot_rig *rig = *state;
    for (uint64_t nth = 0;; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn_checkpoint *checkpoint = NULL;
        tarn_fallback_options options = TARN_FALLBACK_OPTIONS_INIT;
        options.depth = TARN_CHECKPOINT_READ;
        options.allocator = &fault.base;
        const tarn_status status =
            tarn_checkpoint_open_whole(rig_job(rig, ""), &options, &checkpoint, &rig->error);
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
        cmocka_unit_test_setup_teardown(
            test_a_flipped_byte_shows_when_files_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_refused_one_does_not_count_and_goes_with_the_older_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_content_of_a_refused_one_is_stored_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_the_last_one_can_be_refused_and_goes_when_another_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_the_refused_ones_stay_when_others_were_removed_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_another_that_names_a_refused_file_does_not_vouch_for_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_nothing_here_vouches_when_the_job_comes_from_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_claimed_copy_takes_the_place_of_what_was_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_no_number_is_listed_twice_when_the_store_is_opened_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_the_restored_one_is_found_beside_a_refused_one_of_its_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_claim_does_not_take_the_name_of_a_refused_ones_pin, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_an_acknowledgement_that_names_a_refused_file_is_not_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_refused_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_caller_may_refuse_to_fall_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_arguments_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_running_out_of_memory_opens_nothing_and_holds_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
