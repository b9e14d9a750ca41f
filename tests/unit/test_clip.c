/*
 * What a restore covers the rows of other subtasks with: a range tombstone on each side where a
 * state has any, none where it has none, and not a row of the own key groups below it.
 */
#include "support/support.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>

#include "codec/row.h"
#include "rocks/rocks_private.h"
#include "state/backend.h"
#include "state/restore.h"
#include "support/state_fixture.h"

enum { GROUPS = 128, NARROW_FIRST = 50, NARROW_LAST = 60, ROWS_EACH = 3 };

typedef struct fixture {
    char directory[FIXTURE_PATH_BYTES];
    tarn_env *env;
    tarn_backend *backend;
    tarn_value *wide;   /* Rows in every key group. */
    tarn_value *narrow; /* In a few. */
    tarn_value *empty;
    tarn_error error;
} fixture;

static tarn__rocks_family *family_of(const fixture *f, const char *name)
{
    tarn__rocks_family *family = tarn__rocks_first_family(f->backend->rocks);
    while (strstr(family->name, name) == NULL) {
        family = family->next;
    }
    return family;
}

/* Row nth of a key group: the first, the last and one between. */
static tarn_bytes row_of(uint32_t group, uint32_t nth, uint8_t room[8])
{
    static const uint8_t fills[ROWS_EACH] = {0x00, 0x5a, 0xff};
    memset(room, fills[nth], 8);
    tarn__row_encode_group(room, group);
    return tarn_bytes_at(room, 8);
}

static void write_groups(fixture *f, const char *name, uint32_t first, uint32_t last)
{
    uint8_t room[8];
    for (uint32_t group = first; group <= last; group++) {
        for (uint32_t nth = 0; nth < ROWS_EACH; nth++) {
            const tarn_bytes row = row_of(group, nth, room);
            assert_ok(
                tarn__rocks_put(family_of(f, name), row, tarn_bytes_of("x"), &f->error), &f->error);
        }
    }
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    tarn_config *config = fixture_new_config(64);
    fixture_make_directory(f->directory);
    f->env = fixture_open_env(config, NULL);
    f->backend = fixture_open_backend(f->env, f->directory);
    f->wide = fixture_open_value(f->backend, "wide");
    f->narrow = fixture_open_value(f->backend, "narrow");
    f->empty = fixture_open_value(f->backend, "empty");
    tarn_config_free(config);
    write_groups(f, "wide", 0, GROUPS - 1);
    write_groups(f, "narrow", NARROW_FIRST, NARROW_LAST);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_value_close(f->wide, &f->error), &f->error);
    assert_ok(tarn_value_close(f->narrow, &f->error), &f->error);
    assert_ok(tarn_value_close(f->empty, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    fixture_remove_directory(f->directory);
    free(f);
    return 0;
}

/* Range tombstones in the table files of a family. */
static uint32_t count_tombstones(const fixture *f, const char *name)
{
    static const char label[] = "# range deletions=";
    char *text = rocksdb_property_value_cf(
        f->backend->rocks->db, family_of(f, name)->handle, "rocksdb.aggregated-table-properties");
    assert_non_null(text);
    const char *at = strstr(text, label);
    const unsigned long count = at != NULL ? strtoul(at + sizeof label - 1, NULL, 10) : 0;
    assert_non_null(at);
    rocksdb_free(text);
    return (uint32_t)count;
}

static void expect_rows(fixture *f, const char *name, uint32_t first, uint32_t last)
{
    for (uint32_t group = 0; group < GROUPS; group++) {
        for (uint32_t nth = 0; nth < ROWS_EACH; nth++) {
            uint8_t room[8];
            tarn__rocks_pin pin = {.slice = NULL};
            tarn_bytes value;
            const tarn_status status = tarn__rocks_get(
                family_of(f, name), row_of(group, nth, room), &pin, &value, &f->error);
            assert_int_equal(status, group >= first && group <= last ? TARN_OK : TARN_NOT_FOUND);
            tarn__rocks_unpin(&pin);
        }
    }
}

static void expect_clipped(fixture *f, uint16_t first, uint16_t last, uint32_t expected)
{
    const tarn_key_group_range kept = {.first = first, .last = last};
    assert_ok(tarn__restore_clip(f->backend->rocks, &kept, &f->error), &f->error);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    assert_int_equal(count_tombstones(f, "wide"), expected);
    assert_int_equal(count_tombstones(f, "narrow"), 0);
    assert_int_equal(count_tombstones(f, "empty"), 0);
    expect_rows(f, "wide", first, last);
    expect_rows(f, "narrow", NARROW_FIRST, NARROW_LAST);
}

static void test_a_range_in_the_middle_is_covered_on_both_sides(void **state)
{
    expect_clipped(*state, 40, 79, 2);
}

static void test_the_first_groups_are_covered_on_one_side(void **state)
{
    expect_clipped(*state, 0, 79, 1);
}

static void test_the_last_groups_are_covered_on_one_side(void **state)
{
    expect_clipped(*state, 40, GROUPS - 1, 1);
}

static void test_all_groups_are_covered_nowhere(void **state)
{
    expect_clipped(*state, 0, GROUPS - 1, 0);
}

/* A border between two key groups is the border of the rows, too. */
static void test_not_a_row_beside_the_border_goes(void **state)
{
    expect_clipped(*state, NARROW_FIRST, NARROW_LAST, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_range_in_the_middle_is_covered_on_both_sides),
        TEST(test_the_first_groups_are_covered_on_one_side),
        TEST(test_the_last_groups_are_covered_on_one_side),
        TEST(test_all_groups_are_covered_nowhere),
        TEST(test_not_a_row_beside_the_border_goes),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
