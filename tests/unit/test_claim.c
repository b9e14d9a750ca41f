/*
 * Unit tests of claiming: what is taken over is built upon and goes when it is subsumed, what is
 * left alone stays for ever, and a failure or a crash anywhere loses neither.
 */
#include "snapshot/claim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "snapshot/claim_record.h"
#include "support/snapshot_rig.h"
#include "tarn/claim.h"
#include "tarn/cleanup.h"
#include "tarn/savepoint.h"

enum { BIG = 30000 };

/*
 * ROOT/store/old has checkpoints 1 and 2 of instance "a"; ROOT/store/job is empty. Checkpoint 2 has
 * a table that 1 has not, and the other way round.
 */
static int set_up(void **state)
{
    snapshot_rig *rig = malloc(sizeof *rig);
    assert_non_null(rig);
    rig_init(rig, 2, 0);
    rig->packing = (tarn__packing){.small_bytes = 1000, .segment_bytes = 1 << 20};
    assert_ok(rig_open_store(rig), &rig->error);
    rig_write(rig, "a", "000001.sst", BIG, 1);
    rig_write(rig, "a", "000002.sst", BIG, 2);
    rig_write(rig, "a", "000003.sst", 100, 3); /* These two lie in a segment. */
    rig_write(rig, "a", "000004.sst", 200, 4);
    rig_write(rig, "a", "MANIFEST-000005", 500, 5);
    rig_write(rig, "a", "IDENTITY", 700, 6);
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    scratch_remove(rig_local(rig, "a", "000001.sst"));
    rig_write(rig, "a", "000007.sst", BIG, 7);
    assert_ok(rig_checkpoint(rig, 2, NULL, NULL), &rig->error);
    rig_close_store(rig);
    char old[4096];
    snprintf(old, sizeof old, "%s", scratch_join(rig->root.path, "store/old"));
    assert_int_equal(rename(rig_job(rig, ""), old), 0);
    rig->retained_count = 1;
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

static const char *old_job(const snapshot_rig *rig, const char *name)
{
    const char *old = scratch_join(rig->root.path, "store/old");
    return name[0] != '\0' ? scratch_join(old, name) : old;
}

static tarn_status claim_at(snapshot_rig *rig, const char *address, tarn_claim_mode mode)
{
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(address, NULL, &checkpoint, &rig->error), &rig->error);
    const tarn_status status = tarn_checkpoint_claim(rig->store, checkpoint, mode, &rig->error);
    tarn_checkpoint_free(checkpoint);
    return status;
}

static void reopen(snapshot_rig *rig)
{
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
}

/* Restores old/chk-2 into "b" and takes a checkpoint of it; answers what that had to send. */
static uint64_t go_on(snapshot_rig *rig, uint64_t id)
{
    tarn__base *base = NULL;
    assert_ok(rig_download(rig, old_job(rig, "chk-2"), 0, "b", &base), &rig->error);
    rig_write(rig, "b", "000009.sst", BIG, 9);
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(rig->store, id, &pending, &rig->error), &rig->error);
    rig_snapshot snapshot = {
        .operator_name = "op", .instance = "b", .parallelism = 1, .base = base};
    assert_ok(rig_take(rig, pending, &snapshot), &rig->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &rig->error), &rig->error);
    tarn__base_free(base);
    return snapshot.progress.uploaded_bytes;
}

static uint32_t record_count(const snapshot_rig *rig)
{
    return scratch_count(rig_job(rig, ""), "claims/");
}

static uint64_t gc(snapshot_rig *rig, const char *job)
{
    tarn_garbage_options options = TARN_GARBAGE_OPTIONS_INIT;
    char address[4096];
    snprintf(address, sizeof address, "%s", job);
    options.address = address;
    options.grace_ms = TARN_GRACE_NONE;
    options.is_dry_run = true;
    tarn_garbage_stats stats;
    assert_ok(tarn_garbage_collect(&options, &stats, &rig->error), &rig->error);
    return stats.found_count;
}

static void test_what_is_claimed_is_built_upon_and_goes_when_subsumed(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    assert_int_equal(record_count(rig), 1);
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 3);
    assert_int_equal(scratch_count(rig_job(rig, ""), "shared/"), 3);
    assert_non_null(strstr(rig->log, "3 shared files linked, 0 copied"));
    assert_int_equal(gc(rig, rig_job(rig, "")), 0); /* No checkpoint names them yet. */
    assert_int_equal(rig_expect_whole(old_job(rig, "chk-2")), 2);

    /* Only the new table and the two private files. */
    assert_int_equal(go_on(rig, 3), BIG + 500 + 700);
    assert_false(scratch_exists(old_job(rig, "chk-2")));
    assert_int_equal(rig_expect_whole(old_job(rig, "")), 1); /* The other one there is whole. */
    assert_int_equal(gc(rig, old_job(rig, "")), 0);
    assert_int_equal(gc(rig, rig_job(rig, "")), 0);
    assert_int_equal(record_count(rig), 0);
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 3);
    rig_expect_restored(rig, 3, "b");
}

static void test_a_claim_outlives_its_process(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    reopen(rig);
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 3);
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    assert_int_equal(record_count(rig), 1);
    assert_int_equal(go_on(rig, 3), BIG + 500 + 700);
    assert_false(scratch_exists(old_job(rig, "chk-2")));
    assert_int_equal(record_count(rig), 0);
    rig_expect_restored(rig, 3, "b");
}

static void test_what_cannot_be_deleted_is_tried_again(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    tarn_checkpoint_store *other = NULL;
    const tarn__store_options options = {
        .address = scratch_join(rig->root.path, "store"),
        .job = "old",
        .retained_count = 9,
        .account = &rig->outside,
    };
    assert_ok(tarn__store_open(&options, &other, &rig->error), &rig->error);
    (void)go_on(rig, 3);
    assert_int_equal(rig_expect_whole(old_job(rig, "chk-2")), 2);
    assert_non_null(strstr(rig->log, "checkpoint 2 is deleted later"));
    assert_ok(tarn_checkpoint_store_close(other, &rig->error), &rig->error);
    reopen(rig);
    tarn__store_clean(rig->store);
    assert_false(scratch_exists(old_job(rig, "chk-2")));
    assert_int_equal(record_count(rig), 0);
    rig_expect_restored(rig, 3, "b");
}

static void test_what_is_not_claimed_stays(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_NO_CLAIM), &rig->error);
    assert_int_equal(record_count(rig), 0);
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 3);
    assert_int_equal(go_on(rig, 3), 3 * BIG + 300 + 500 + 700); /* A full one. */
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 3);
    const uint32_t shared_count = scratch_count(rig_job(rig, ""), "shared/");
    (void)go_on(rig, 4); /* From the old one once more: its contents are here now. */
    assert_int_equal(scratch_count(rig_job(rig, ""), "shared/"), shared_count);
    assert_int_equal(rig_expect_whole(old_job(rig, "chk-1")), 1);
    assert_int_equal(rig_expect_whole(old_job(rig, "chk-2")), 2);
}

static void test_a_checkpoint_of_the_own_directory_is_pinned(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    assert_ok(claim_at(rig, rig_job(rig, "chk-1"), TARN_CLAIM_MODE_NO_CLAIM), &rig->error);
    assert_int_equal(record_count(rig), 1);
    scratch_remove(rig_local(rig, "a", "000002.sst"));
    rig_write(rig, "a", "000010.sst", BIG, 10);
    assert_ok(rig_checkpoint(rig, 2, NULL, NULL), &rig->error);
    reopen(rig);
    assert_ok(rig_checkpoint(rig, 3, NULL, NULL), &rig->error);
    assert_ok(rig_checkpoint(rig, 4, NULL, NULL), &rig->error);
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-1")), 1);
    assert_false(scratch_exists(rig_job(rig, "chk-3")));
    assert_int_equal(gc(rig, rig_job(rig, "")), 0);

    /* Its owner changes his mind: now it counts. */
    assert_ok(claim_at(rig, rig_job(rig, "chk-1"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    assert_int_equal(record_count(rig), 0);
    assert_ok(rig_checkpoint(rig, 5, NULL, NULL), &rig->error);
    assert_false(scratch_exists(rig_job(rig, "chk-1")));
    rig_expect_restored(rig, 5, "a");
}

/* The claim is as whole as before, but one that was refused since names the same files. */
static void test_claiming_again_brings_anew_what_may_be_damaged(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    rig->retained_count = 2; /* The claimed one stays. */
    reopen(rig);
    (void)go_on(rig, 3);
    rig->log[0] = '\0';
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    assert_null(strstr(rig->log, "copied"));
    assert_ok(tarn__store_refuse(rig->store, 3, 0, &rig->error), &rig->error);
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    assert_non_null(strstr(rig->log, "3 copied"));
    assert_int_equal(record_count(rig), 1);
    rig->log[0] = '\0';
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    assert_null(strstr(rig->log, "copied"));
}

/* A job goes on from one of its own without saying whose that is. */
static void test_what_is_kept_stays_pinned_or_not(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    assert_ok(claim_at(rig, rig_job(rig, "chk-1"), TARN_CLAIM_MODE_KEEP), &rig->error);
    assert_int_equal(record_count(rig), 0);
    assert_ok(claim_at(rig, rig_job(rig, "chk-1"), TARN_CLAIM_MODE_NO_CLAIM), &rig->error);
    reopen(rig);
    assert_ok(claim_at(rig, rig_job(rig, "chk-1"), TARN_CLAIM_MODE_KEEP), &rig->error);
    assert_int_equal(record_count(rig), 1);
    assert_ok(rig_checkpoint(rig, 2, NULL, NULL), &rig->error);
    assert_ok(claim_at(rig, rig_job(rig, "chk-2"), TARN_CLAIM_MODE_KEEP), &rig->error);
    assert_ok(rig_checkpoint(rig, 3, NULL, NULL), &rig->error);
    assert_int_equal(rig_expect_whole(rig_job(rig, "chk-1")), 1);
    assert_false(scratch_exists(rig_job(rig, "chk-2")));
    assert_int_equal(
        claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_KEEP), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "say whether it is claimed"));
    assert_int_equal(record_count(rig), 1);
}

static void test_a_pinned_one_that_its_owner_deletes_is_forgotten(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(rig_checkpoint(rig, 1, NULL, NULL), &rig->error);
    assert_ok(claim_at(rig, rig_job(rig, "chk-1"), TARN_CLAIM_MODE_NO_CLAIM), &rig->error);
    assert_ok(tarn_checkpoint_remove(rig->store, 1, &rig->error), &rig->error);
    assert_false(scratch_exists(rig_job(rig, "chk-1")));
    assert_int_equal(record_count(rig), 0);
    assert_ok(rig_checkpoint(rig, 2, NULL, NULL), &rig->error);
    assert_ok(claim_at(rig, rig_job(rig, "chk-2"), TARN_CLAIM_MODE_NO_CLAIM), &rig->error);
    rig_close_store(rig);
    scratch_remove(rig_job(rig, "chk-2"));
    assert_ok(rig_open_store(rig), &rig->error);
    assert_int_equal(record_count(rig), 0);
}

/* A native savepoint of instance "a", with something of its owner's beside it. */
static const char *make_savepoint(snapshot_rig *rig)
{
    static char path[4096];
    const tarn__store_options options = {
        .address = scratch_join(rig->root.path, "savepoints"),
        .job = "job",
        .kind = TARN__METADATA_SAVEPOINT,
        .account = &rig->account,
    };
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn__savepoint_begin(&options, 7, &pending, &rig->error), &rig->error);
    snprintf(path, sizeof path, "%s", tarn_savepoint_path(pending));
    rig_snapshot snapshot = {.operator_name = "op", .instance = "a", .parallelism = 1};
    assert_ok(rig_take(rig, pending, &snapshot), &rig->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &rig->error), &rig->error);
    return path;
}

static void test_a_savepoint_is_claimed_too(void **state)
{
    snapshot_rig *rig = *state;
    const char *path = make_savepoint(rig);
    assert_ok(claim_at(rig, path, TARN_CLAIM_MODE_CLAIM), &rig->error);
    assert_int_equal(tarn_checkpoint_store_next_id(rig->store), 8);
    reopen(rig);
    assert_int_equal(rig_expect_whole(path), 7);
    assert_ok(rig_checkpoint(rig, 8, NULL, NULL), &rig->error);
    assert_false(scratch_exists(path));
    assert_int_equal(record_count(rig), 0);

    const char *second = make_savepoint(rig);
    scratch_write(scratch_join(second, "NOTES"), "mine", 4);
    rig_close_store(rig);
    scratch_remove(rig_job(rig, ""));
    assert_ok(rig_open_store(rig), &rig->error);
    assert_ok(claim_at(rig, second, TARN_CLAIM_MODE_CLAIM), &rig->error);
    assert_ok(rig_checkpoint(rig, 8, NULL, NULL), &rig->error);
    assert_int_equal(scratch_count(second, ""), 1); /* What Tarn did not write stays. */
    rig_expect_restored(rig, 8, "a");
}

static void test_a_claim_that_must_not_be_is_refused(void **state)
{
    snapshot_rig *rig = *state;
    tarn_checkpoint_store *other = NULL;
    const tarn__store_options options = {
        .address = scratch_join(rig->root.path, "store"),
        .job = "old",
        .retained_count = 9,
        .account = &rig->outside,
    };
    assert_ok(tarn__store_open(&options, &other, &rig->error), &rig->error);
    assert_int_equal(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), TARN_BUSY);
    assert_ok(tarn_checkpoint_store_close(other, &rig->error), &rig->error);

    scratch_copy(old_job(rig, ""), scratch_join(rig->root.path, "store/broken"));
    scratch_remove(scratch_join(rig->root.path, "store/broken/shared"));
    const char *broken = scratch_join(rig->root.path, "store/broken/chk-2");
    assert_int_equal(claim_at(rig, broken, TARN_CLAIM_MODE_CLAIM), TARN_MISSING);
    assert_int_equal(record_count(rig), 0);
    assert_int_equal(scratch_count(rig_job(rig, ""), "shared/"), 0);

    assert_ok(rig_checkpoint(rig, 2, NULL, NULL), &rig->error);
    assert_int_equal(
        claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig->error.message, "checkpoint 2 of its own"));
    assert_ok(rig_checkpoint(rig, 3, NULL, NULL), &rig->error);
    assert_int_equal(rig_expect_whole(old_job(rig, "chk-2")), 2);
}

/* Where files cannot be linked they are copied, and compared as they are. */
static void test_a_file_that_is_copied_is_compared(void **state)
{
    snapshot_rig *rig = *state;
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(
        tarn_checkpoint_open(old_job(rig, "chk-2"), NULL, &checkpoint, &rig->error), &rig->error);
    tarn_storage *memory = NULL;
    assert_ok(tarn__memory_storage_new(&rig->account, &memory, &rig->error), &rig->error);
    rig_close_store(rig);
    const tarn__store_options options = {
        .address = "memory",
        .job = "job",
        .retained_count = 1,
        .account = &rig->account,
        .storage = memory};
    assert_ok(tarn__store_open(&options, &rig->store, &rig->error), &rig->error);
    const tarn__file_part *file = &checkpoint->metadata.subtasks[0].files[0];
    size_t size = 0;
    uint8_t *bytes = scratch_read(old_job(rig, file->path), &size);
    bytes[size / 2] ^= 1;
    scratch_write(old_job(rig, file->path), bytes, size);
    assert_int_equal(
        tarn_checkpoint_claim(rig->store, checkpoint, TARN_CLAIM_MODE_CLAIM, &rig->error),
        TARN_CORRUPTION);
    assert_non_null(strstr(rig->error.message, file->path));
    bytes[size / 2] ^= 1;
    scratch_write(old_job(rig, file->path), bytes, size);
    assert_ok(
        tarn_checkpoint_claim(rig->store, checkpoint, TARN_CLAIM_MODE_CLAIM, &rig->error),
        &rig->error);
    assert_int_equal(rig->store->registry.count, 3);
    tarn_storage_info info;
    assert_ok(tarn__storage_stat(memory, file->path, &info, &rig->error), &rig->error);
    assert_int_equal(info.size, size);
    free(bytes);
    tarn_checkpoint_free(checkpoint);
}

/* ---- failures and crashes --------------------------------------------------------------- */

static void test_a_failure_anywhere_claims_nothing(void **state)
{
    snapshot_rig *rig = *state;
    bool has_fired = true;
    for (uint64_t nth = 0; has_fired; nth++) {
        rig->memory.fail_at = atomic_load(&rig->memory.request_count) + nth;
        const tarn_status status = claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM);
        has_fired = atomic_load(&rig->memory.fired);
        rig->memory.fail_at = FAULT_NEVER;
        atomic_store(&rig->memory.fired, false);
        assert_int_equal(status, has_fired ? TARN_NO_MEMORY : TARN_OK);
        if (has_fired) {
            assert_int_equal(record_count(rig), 0);
            tarn__store_clean(rig->store);
            assert_int_equal(scratch_count(rig_job(rig, ""), "shared/"), 0);
        }
    }
    assert_int_equal(go_on(rig, 3), BIG + 500 + 700);
    rig_expect_restored(rig, 3, "b");
}

/* What a process does that claims, goes on and subsumes; it is killed at a file call of the store.
 */
static void live(snapshot_rig *rig)
{
    if (rig_open_store(rig) != TARN_OK) {
        _exit(1);
    }
    bool is_new = true; /* No checkpoint of its own yet. */
    for (tarn__retained *r = rig->store->retained; r != NULL; r = r->next) {
        is_new = is_new && r->address[0] != '\0';
    }
    if (is_new) {
        if (claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM) != TARN_OK) {
            _exit(2);
        }
        (void)go_on(rig, tarn_checkpoint_store_next_id(rig->store));
    }
    tarn__store_clean(rig->store);
    rig_close_store(rig);
}

/* Killed before every file call in turn: a checkpoint that can be restored is always there. */
static void test_a_crash_anywhere_loses_nothing(void **state)
{
    snapshot_rig *rig = *state;
    rig_close_store(rig);
    scratch_copy(old_job(rig, ""), scratch_join(rig->root.path, "origin"));
    bool was_killed = true;
    uint64_t kills = 0;
    for (uint64_t nth = 0; was_killed; nth++) {
        scratch_remove(old_job(rig, ""));
        scratch_remove(rig_job(rig, ""));
        scratch_remove(rig_local(rig, "b", ""));
        scratch_copy(scratch_join(rig->root.path, "origin"), old_job(rig, ""));
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0) {
            rig->files.fail_at = atomic_load(&rig->files.call_count) + nth;
            rig->files.kills = true;
            live(rig);
            _exit(0);
        }
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        was_killed = WIFSIGNALED(how);
        kills += was_killed ? 1 : 0;
        if (!was_killed) {
            assert_int_equal(WEXITSTATUS(how), 0);
        }
        const bool has_new = scratch_exists(rig_job(rig, "chk-3/_metadata"));
        if (has_new) {
            assert_int_equal(rig_expect_whole(rig_job(rig, "")), 3);
        } else {
            assert_int_equal(rig_expect_whole(old_job(rig, "chk-2")), 2);
        }
        assert_int_equal(rig_expect_whole(old_job(rig, "chk-1")), 1);
        live(rig); /* The next process ends what this one began. */
        assert_true(rig_expect_whole(rig_job(rig, "")) >= 3);
        assert_false(scratch_exists(old_job(rig, "chk-2/_metadata")));
        assert_int_equal(rig_expect_whole(old_job(rig, "")), 1);
        assert_int_equal(record_count(rig), 0);
    }
    assert_true(kills > 50);
    assert_ok(rig_open_store(rig), &rig->error);
}

/* ---- records ---------------------------------------------------------------------------- */

static void test_a_record_comes_back_and_its_damage_shows(void **state)
{
    snapshot_rig *rig = *state;
    const tarn__content contents[] = {{.size = 5}, {.size = UINT64_MAX}};
    const tarn__claim claim = {
        .kind = TARN__CLAIM_CHECKPOINT,
        .id = 1234567890123,
        .address = "/old place/\xc3\xa9tat/chk-1234567890123",
        .contents = contents,
        .count = 2,
    };
    tarn__arena arena;
    tarn__arena_init(&arena, &rig->account);
    tarn_buffer bytes = TARN_BUFFER_INIT;
    tarn__claim read;
    assert_ok(tarn__claim_encode(&claim, &bytes, &rig->error), &rig->error);
    assert_ok(
        tarn__claim_decode(tarn_buffer_bytes(&bytes), &arena, &read, &rig->error), &rig->error);
    assert_int_equal(read.kind, claim.kind);
    assert_true(read.id == claim.id);
    assert_string_equal(read.address, claim.address);
    assert_int_equal(read.count, 2);
    assert_true(read.contents[1].size == UINT64_MAX);
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 1;
        assert_int_equal(
            tarn__claim_decode(tarn_buffer_bytes(&bytes), &arena, &read, &rig->error),
            TARN_CORRUPTION);
        bytes.data[i] ^= 1;
        assert_int_equal(
            tarn__claim_decode(tarn_bytes_at(bytes.data, i), &arena, &read, &rig->error),
            TARN_CORRUPTION);
    }
    const tarn__claim lines = {.kind = TARN__CLAIM_SAVEPOINT, .address = "/a\nb"};
    assert_int_equal(tarn__claim_encode(&lines, &bytes, &rig->error), TARN_INVALID_ARGUMENT);
    tarn_buffer_clear(&bytes);
    tarn__arena_clear(&arena);
}

/* A record that nobody understands: every shared file stays, and gc calls nothing garbage. */
static void test_a_damaged_record_keeps_everything(void **state)
{
    snapshot_rig *rig = *state;
    assert_ok(claim_at(rig, old_job(rig, "chk-2"), TARN_CLAIM_MODE_CLAIM), &rig->error);
    rig_close_store(rig);
    scratch_write(rig_job(rig, "claims/2"), "nonsense", 8);
    assert_int_equal(gc(rig, rig_job(rig, "")), 0);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_non_null(strstr(rig->log, "a claim cannot be read"));
    assert_ok(rig_checkpoint(rig, 5, NULL, NULL), &rig->error);
    assert_ok(rig_checkpoint(rig, 6, NULL, NULL), &rig->error);
    assert_int_equal(rig_expect_whole(old_job(rig, "chk-2")), 2);
    assert_true(scratch_count(rig_job(rig, ""), "shared/") >= 3);
}

static void test_the_configuration_says_the_mode(void **state)
{
    snapshot_rig *rig = *state;
    static const char *const keys[] = {
        "execution.state-recovery.claim-mode", "execution.savepoint-restore-mode"};
    for (size_t i = 0; i < 2; i++) {
        tarn_config *config = NULL;
        tarn_claim_mode mode = TARN_CLAIM_MODE_DEFAULT;
        assert_ok(tarn_config_new(NULL, &config, &rig->error), &rig->error);
        assert_ok(tarn_claim_mode_from_config(config, &mode, &rig->error), &rig->error);
        assert_int_equal(mode, TARN_CLAIM_MODE_NO_CLAIM);
        assert_ok(tarn_config_set(config, keys[i], "CLAIM", NULL, &rig->error), &rig->error);
        assert_ok(tarn_claim_mode_from_config(config, &mode, &rig->error), &rig->error);
        assert_int_equal(mode, TARN_CLAIM_MODE_CLAIM);
        assert_ok(tarn_config_set(config, keys[i], "LEGACY", NULL, &rig->error), &rig->error);
        assert_int_equal(
            tarn_claim_mode_from_config(config, &mode, &rig->error), TARN_NOT_SUPPORTED);
        assert_non_null(strstr(rig->error.message, "use CLAIM"));
        tarn_config_free(config);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_claimed_is_built_upon_and_goes_when_subsumed),
        TEST(test_a_claim_outlives_its_process),
        TEST(test_what_cannot_be_deleted_is_tried_again),
        TEST(test_what_is_not_claimed_stays),
        TEST(test_a_checkpoint_of_the_own_directory_is_pinned),
        TEST(test_claiming_again_brings_anew_what_may_be_damaged),
        TEST(test_what_is_kept_stays_pinned_or_not),
        TEST(test_a_pinned_one_that_its_owner_deletes_is_forgotten),
        TEST(test_a_savepoint_is_claimed_too),
        TEST(test_a_claim_that_must_not_be_is_refused),
        TEST(test_a_file_that_is_copied_is_compared),
        TEST(test_a_failure_anywhere_claims_nothing),
        TEST(test_a_crash_anywhere_loses_nothing),
        TEST(test_a_record_comes_back_and_its_damage_shows),
        TEST(test_a_damaged_record_keeps_everything),
        TEST(test_the_configuration_says_the_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
