/*
 * Power cuts: whenever the power goes, a checkpoint that was announced is whole, and so is every
 * other one that has a _metadata. What is not synchronised may be lost, in any combination
 * (support/power_cut.h): so this fails when a step is left out, or comes too late. That it does is
 * tested, too.
 *
 *     four checkpoints, two retained ──► notes ──► for each n: replay the first n, verify
 */
#include "support/support.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "snapshot/checkpoint.h"
#include "storage/storage.h"
#include "support/power_cut.h"
#include "support/snapshot_rig.h"

enum {
    CHECKPOINTS = 4,
    RETAINED = 2,
    REPLAYS_OF_CHANCE = 1,
    LARGE_BYTES = 3000,
    SMALL_BYTES = 100,
};

typedef struct run {
    snapshot_rig rig;
    power_cut cut;
    uint32_t announced_at[CHECKPOINTS + 1]; /* Notes there were. */
    uint32_t replay_count;
    uint32_t broken_count;
    char message[256]; /* Of the first that is broken. */
} run;

static void prepare(run *r)
{
    memset(r, 0, sizeof *r);
    rig_init(&r->rig, RETAINED, 0);
    power_cut_init(&r->cut, r->rig.root.path);
    r->rig.files.base = r->cut.base;
}

static void write_local(run *r, uint32_t number, size_t size)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%06u.sst", (unsigned)number);
    rig_write(&r->rig, "a", name, size, number + 1);
}

/* Each has new files, large and small, and leaves those of the one before. */
static void take_checkpoints(run *r)
{
    tarn__base *base = NULL;
    assert_ok(rig_open_store(&r->rig), &r->rig.error);
    for (uint32_t id = 1; id <= CHECKPOINTS; id++) {
        char manifest[32];
        write_local(r, 10 * id, LARGE_BYTES);
        write_local(r, 10 * id + 1, LARGE_BYTES);
        write_local(r, 10 * id + 2, SMALL_BYTES);
        write_local(r, 10 * id + 3, SMALL_BYTES);
        (void)snprintf(manifest, sizeof manifest, "MANIFEST-%06u", (unsigned)id);
        rig_write(&r->rig, "a", manifest, SMALL_BYTES, id);
        tarn__base *next = NULL;
        assert_ok(rig_checkpoint(&r->rig, id, base, &next), &r->rig.error);
        tarn__base_free(base);
        base = next;
        r->announced_at[id] = r->cut.note_count;
    }
    tarn__base_free(base);
    rig_close_store(&r->rig);
}

/* ---- what a cut leaves ------------------------------------------------------------------ */

static bool look_on(const tarn_checkpoint_file *file, const char *problem, void *context)
{
    (void)file;
    (void)problem;
    (void)context;
    return true;
}

static bool is_whole(const char *address, tarn_error *error)
{
    tarn_checkpoint *checkpoint = NULL;
    if (tarn_checkpoint_open(address, NULL, &checkpoint, error) != TARN_OK) {
        return false;
    }
    tarn_checkpoint_verification result = {.bad_count = 1};
    const tarn_status status =
        tarn__checkpoint_verify(checkpoint, false, look_on, NULL, &result, error);
    tarn_checkpoint_free(checkpoint);
    return status == TARN_OK && result.bad_count == 0;
}

static void note_broken(run *r, uint32_t note_count, uint32_t id, const char *why)
{
    if (r->broken_count++ == 0) {
        (void)snprintf(
            r->message,
            sizeof r->message,
            "after %u notes checkpoint %u: %.180s",
            (unsigned)note_count,
            (unsigned)id,
            why);
    }
}

static void look_at(run *r, uint32_t note_count, const char *root)
{
    uint32_t newest = 0;
    for (uint32_t id = 1; id <= CHECKPOINTS; id++) {
        char name[64];
        tarn_error error = {.message = "a file is missing or damaged"};
        (void)snprintf(name, sizeof name, "store/job/chk-%u", (unsigned)id);
        const char *address = scratch_join(root, name);
        if (!scratch_exists(scratch_join(address, "_metadata"))) {
            continue;
        }
        newest = id;
        if (!is_whole(address, &error)) {
            note_broken(r, note_count, id, error.message);
        }
    }
    for (uint32_t id = newest + 1; id <= CHECKPOINTS; id++) {
        if (r->announced_at[id] <= note_count) {
            note_broken(r, note_count, id, "it was announced and is not there");
        }
    }
}

static void cut_at(run *r, const char *place, uint32_t note_count, power_cut_luck luck)
{
    char root[PATH_MAX + 8];
    (void)snprintf(root, sizeof root, "%s/left", place);
    power_cut_replay(&r->cut, note_count, luck, 7 * note_count + r->replay_count, root);
    look_at(r, note_count, root);
    scratch_remove(root);
    r->replay_count++;
}

static void cut_everywhere(run *r)
{
    scratch place;
    scratch_init(&place);
    for (uint32_t n = 0; n <= r->cut.note_count; n++) {
        cut_at(r, place.path, n, POWER_CUT_NONE);
        cut_at(r, place.path, n, POWER_CUT_ALL);
        for (uint32_t i = 0; i < REPLAYS_OF_CHANCE; i++) {
            cut_at(r, place.path, n, POWER_CUT_SOME);
        }
    }
    scratch_clear(&place);
}

static void play(run *r)
{
    take_checkpoints(r);
    cut_everywhere(r);
    power_cut_clear(&r->cut);
    rig_clear(&r->rig);
}

static void expect_whole(run *r)
{
    play(r);
    if (r->broken_count > 0) {
        fail_msg("%u of %u: %s", r->broken_count, r->replay_count, r->message);
    }
    assert_true(r->replay_count > 250);
}

static void expect_broken(run *r)
{
    play(r);
    assert_int_not_equal(r->broken_count, 0);
}

/* ---- the claims ------------------------------------------------------------------------- */

static const tarn__packing COPIED = {.small_bytes = 0};
static const tarn__packing LINKED = {.may_link = true};
static const tarn__packing PACKED = {
    .small_bytes = 1000,
    .segment_bytes = 1 << 20,
    .waste_max = 2,
    .inline_bytes = 1000,
    .may_link = true,
};

static void test_what_was_announced_survives_when_files_are_copied(void **state)
{
    run *r = *state;
    r->rig.packing = COPIED;
    expect_whole(r);
}

static void test_what_was_announced_survives_when_files_are_linked(void **state)
{
    run *r = *state;
    r->rig.packing = LINKED;
    expect_whole(r);
}

static void test_what_was_announced_survives_when_small_files_are_packed(void **state)
{
    run *r = *state;
    r->rig.packing = PACKED;
    expect_whole(r);
}

/* As those that a restore has brought along. */
static void test_files_that_nobody_has_synchronised_are_before_they_are_linked(void **state)
{
    run *r = *state;
    r->rig.packing = LINKED;
    r->rig.first_durable = UINT64_MAX;
    r->cut.trusts_makers = false;
    expect_whole(r);
}

static void test_it_would_be_found_if_those_were_not(void **state)
{
    run *r = *state;
    r->rig.packing = LINKED;
    r->cut.trusts_makers = false;
    expect_broken(r);
}

static void test_it_would_be_found_if_files_were_not_synchronised(void **state)
{
    run *r = *state;
    r->rig.packing = COPIED;
    r->cut.forgets_files = true;
    expect_broken(r);
}

static void test_it_would_be_found_if_directories_were_not_synchronised(void **state)
{
    run *r = *state;
    r->rig.packing = LINKED;
    r->cut.forgets_directories = true;
    expect_broken(r);
}

/* A directory that was known to be durable, and is another one now. */
static void test_a_directory_that_was_removed_is_made_durable_again(void **state)
{
    run *r = *state;
    static const char *const names[] = {"shared/x", "shared/y"};
    const tarn__storage_options options = {.account = &r->rig.account, .calls = &r->cut.base};
    tarn_storage *storage = NULL;
    char root[PATH_MAX + 8];
    assert_ok(
        tarn__file_storage_open(
            &options, scratch_join(r->rig.root.path, "place"), &storage, &r->rig.error),
        &r->rig.error);
    for (uint32_t i = 0; i < 2; i++) {
        tarn_storage_upload *upload = NULL;
        assert_ok(tarn__storage_begin(storage, names[i], 0, &upload, &r->rig.error), &r->rig.error);
        assert_ok(tarn__storage_finish(upload, NULL, &r->rig.error), &r->rig.error);
        (void)snprintf(root, sizeof root, "%s/left", r->rig.root.path);
        power_cut_replay(&r->cut, r->cut.note_count, POWER_CUT_NONE, 0, root);
        assert_true(scratch_exists(scratch_join(scratch_join(root, "place"), names[i])));
        scratch_remove(root);
        assert_ok(tarn__storage_remove(storage, &names[i], 1, &r->rig.error), &r->rig.error);
    }
    tarn__storage_free(storage);
    power_cut_clear(&r->cut);
    rig_clear(&r->rig);
}

static int set_up(void **state)
{
    run *r = test_malloc(sizeof *r);
    prepare(r);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    test_free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_announced_survives_when_files_are_copied),
        TEST(test_what_was_announced_survives_when_files_are_linked),
        TEST(test_what_was_announced_survives_when_small_files_are_packed),
        TEST(test_files_that_nobody_has_synchronised_are_before_they_are_linked),
        TEST(test_a_directory_that_was_removed_is_made_durable_again),
        TEST(test_it_would_be_found_if_those_were_not),
        TEST(test_it_would_be_found_if_files_were_not_synchronised),
        TEST(test_it_would_be_found_if_directories_were_not_synchronised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
