/*
 * Unit tests of what a restore leaves in its files of other subtasks' rows, hidden by range
 * deletes, and a later one comes upon: rows that were removed where they belong never show again.
 *
 *     old 0: 0..63    level 2   000008.sst  groups 0..127          new 1 of three: 43..85
 *                     level 1   000017.sst  range delete 64..      goes: it has none of 43..63
 *     old 1: 64..127  removed its rows, and has no file            meets nothing
 */
#include "support/support.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "state/backend.h"
#include "support/rescale_rig.h"

enum {
    KEYS = 3000,
    VALUE_BYTES = 200,
    GROUPS = 128,
    HALF = GROUPS / 2,
    LEVEL0_FILES = 4, /* RocksDB's trigger of a compaction. */
};

typedef struct fixture {
    rescale_rig rig;
    bool has_ballast; /* The emptied half is the larger one, by rows that it keeps. */
} fixture;

static void set_up_with(void **state, const char *link_files)
{
    static fixture f;
    rescale_init(&f.rig);
    fixture_set(f.rig.config, "tarn.restore.link-files", link_files);
    /* The rows are too many for level 1, which is so left to what comes later. */
    fixture_set(f.rig.config, "state.backend.rocksdb.compaction.level.max-size-level-base", "16kb");
    rescale_open_env(&f.rig);
    f.has_ballast = false;
    *state = &f;
}

static int set_up_linked(void **state)
{
    set_up_with(state, "true");
    return 0;
}

static int set_up_copied(void **state)
{
    set_up_with(state, "false");
    return 0;
}

static int set_up_ballast(void **state)
{
    set_up_with(state, "true");
    ((fixture *)*state)->has_ballast = true;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    rescale_clear(&f->rig);
    return 0;
}

/* ---- rows ------------------------------------------------------------------------------- */

static uint32_t group_of(uint32_t key)
{
    return tarn_key_group_of(tarn_hash_bytes(tarn_bytes_at(&key, sizeof key)), GROUPS);
}

/* Of the backend's keys in a range of groups: puts them into a state, or removes them from it. */
static void change_rows(
    fixture *f,
    tarn_backend *backend,
    const char *state,
    const tarn_key_group_range *groups,
    bool is_put)
{
    rescale_rig *rig = &f->rig;
    tarn_value *value = fixture_open_value(backend, state);
    for (uint32_t key = 0; key < KEYS; key++) {
        const uint8_t bytes[VALUE_BYTES] = {(uint8_t)key, (uint8_t)(key >> 8)};
        const uint32_t group = group_of(key);
        if (group < groups->first || group > groups->last || !rescale_set_key(rig, backend, key)) {
            continue;
        }
        assert_ok(
            is_put ? tarn_value_put(value, tarn_bytes_at(bytes, sizeof bytes), &rig->error)
                   : tarn_value_remove(value, &rig->error),
            &rig->error);
    }
    assert_ok(tarn_value_close(value, &rig->error), &rig->error);
}

/* ---- files ------------------------------------------------------------------------------ */

static void compact(fixture *f, tarn_backend *backend)
{
    assert_ok(tarn__rocks_flush(backend->rocks, &f->rig.error), &f->rig.error);
    for (tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks); family != NULL;
         family = family->next) {
        tarn__rocks_compact(family);
    }
}

/* The files of a state. */
typedef struct shape {
    const char *family;
    uint32_t count;
    uint32_t level0_count;
    uint32_t half_count;  /* In level 1, with one side of the middle alone. */
    uint32_t whole_count; /* Below that, with both. */
} shape;

static tarn_status add_table(const tarn__rocks_table *table, void *context, tarn_error *error)
{
    static const uint8_t MIDDLE[] = {0, HALF};
    const tarn_bytes middle = tarn_bytes_at(MIDDLE, sizeof MIDDLE);
    shape *s = context;
    (void)error;
    if (strcmp(table->family, s->family) == 0) {
        const bool is_whole = tarn_bytes_compare(table->smallest, middle) < 0 &&
                              tarn_bytes_compare(table->largest, middle) > 0;
        s->count++;
        s->level0_count += table->level == 0 ? 1 : 0;
        s->half_count += table->level == 1 && !is_whole ? 1 : 0;
        s->whole_count += table->level > 1 && is_whole ? 1 : 0;
    }
    return TARN_OK;
}

static shape look_at(fixture *f, tarn_backend *backend)
{
    shape found = {.family = "rows"};
    assert_ok(
        tarn__rocks_visit_tables(backend->rocks, add_table, &found, &f->rig.error), &f->rig.error);
    return found;
}

/* Waits for compactions that RocksDB begins by itself. */
static void wait_for(fixture *f, tarn_backend *backend, uint32_t half_count)
{
    shape found = look_at(f, backend);
    while (found.whole_count != 1 || found.level0_count > 0) {
        (void)sched_yield();
        found = look_at(f, backend);
    }
    assert_int_equal(found.whole_count, 1);
    assert_int_equal(found.half_count, half_count);
    assert_int_equal(found.count, 1 + half_count);
}

/*
 * Has the range delete that hides leftovers come to lie alone in a table file of level 1, above the
 * file that has them: written again and again, as it has to be before RocksDB moves it there.
 */
static void isolate_range_delete(fixture *f, tarn_backend *backend)
{
    tarn__rocks_family *family = tarn__rocks_find_family(backend->rocks, "rows");
    const tarn_key_group_range own = tarn_backend_key_groups(backend);
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(lower, own.first == 0 ? own.last + 1u : 0);
    tarn__row_encode_group(upper, own.first == 0 ? UINT16_MAX : own.first);
    for (uint32_t i = 0; i < LEVEL0_FILES; i++) {
        assert_ok(
            tarn__rocks_delete_range(
                family,
                tarn_bytes_at(lower, sizeof lower),
                tarn_bytes_at(upper, sizeof upper),
                &f->rig.error),
            &f->rig.error);
        assert_ok(tarn__rocks_flush(backend->rocks, &f->rig.error), &f->rig.error);
    }
    wait_for(f, backend, 1);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void write_rows(fixture *f)
{
    const tarn_key_group_range all = {0, GROUPS - 1};
    tarn_backend *backend = rescale_open(&f->rig, 0, 1);
    change_rows(f, backend, "rows", &all, true);
    compact(f, backend);
    wait_for(f, backend, 0);
    (void)rescale_take_checkpoint(&f->rig, &backend, 1);
    rescale_close_all(&f->rig, &backend, 1);
}

/* All that it has, in files of nothing; but for ballast, at the far end from the other half. */
static void empty(fixture *f, tarn_backend *backend)
{
    enum { FAR = GROUPS / 5 };
    const tarn_key_group_range own = tarn_backend_key_groups(backend);
    const tarn_key_group_range far = {
        .first = own.first == 0 ? 0 : GROUPS - FAR, .last = own.first == 0 ? FAR : GROUPS - 1};
    change_rows(f, backend, "rows", &own, false);
    compact(f, backend);
    assert_int_equal(look_at(f, backend).count, 0);
    for (uint32_t i = 0; i < 16 && f->has_ballast; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "ballast-%u", i);
        change_rows(f, backend, name, &far, true);
    }
}

/*
 * Either half of a rescale has the file with all rows, and the other half's hidden. One half
 * removes all of its own, and has no file any more that the leftovers of the other could meet.
 */
static void expect_removed_rows_to_stay_away(fixture *f, uint32_t emptied)
{
    rescale_rig *rig = &f->rig;
    tarn_backend *backends[2];
    uint32_t count = 0;
    write_rows(f);
    rescale_open_all(rig, backends, 2);
    isolate_range_delete(f, backends[1 - emptied]);
    empty(f, backends[emptied]);
    (void)rescale_take_checkpoint(rig, backends, 2);
    const uint32_t expected = rescale_count_rows(rig, backends[1 - emptied], "rows");
    assert_int_equal(rescale_count_rows(rig, backends[emptied], "rows"), 0);
    rescale_close_all(rig, backends, 2);
    for (uint32_t i = 0; i < 3; i++) {
        tarn_backend *backend = rescale_open(rig, i, 3);
        count += rescale_count_rows(rig, backend, "rows");
        rescale_close_all(rig, &backend, 1);
    }
    assert_int_equal(count, expected);
}

static void test_removed_rows_stay_away_above(void **state)
{
    expect_removed_rows_to_stay_away(*state, 1);
}

static void test_removed_rows_stay_away_below(void **state)
{
    expect_removed_rows_to_stay_away(*state, 0);
}

int main(void)
{
#define LINKED(name)  cmocka_unit_test_setup_teardown(name, set_up_linked, tear_down)
#define COPIED(name)  cmocka_unit_test_setup_teardown(name, set_up_copied, tear_down)
#define BALLAST(name) cmocka_unit_test_setup_teardown(name, set_up_ballast, tear_down)
    const struct CMUnitTest tests[] = {
        LINKED(test_removed_rows_stay_away_above),
        LINKED(test_removed_rows_stay_away_below),
        COPIED(test_removed_rows_stay_away_above),
        COPIED(test_removed_rows_stay_away_below),
        BALLAST(test_removed_rows_stay_away_above),
        BALLAST(test_removed_rows_stay_away_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
