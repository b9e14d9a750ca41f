/*
 * Unit tests of joined databases as RocksDB sees them (rocks/graft.h): what either had is there,
 * removals and range deletes included, whatever the order of their sequence numbers; also
 * after a snapshot of it was opened, and after compactions.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "rocks/db.h"
#include "rocks/graft.h"
#include "rocks/listing.h"
#include "support/state_fixture.h"

enum { ROWS = 200, KEY_BYTES = 8, FEW_ROUNDS = 2, MANY_ROUNDS = 8, DELETED = 20 };

typedef struct fixture {
    tarn__account account;
    tarn__rocks_memory *memory;
    tarn__rocks_settings settings;
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    tarn__account_init(&f.account, "test", NULL);
    const tarn__rocks_memory_options options = {
        .account = &f.account,
        .clock = tarn__clock_system(),
        .is_managed = true,
        .total_bytes = 96 << 20,
        .cache_capacity_bytes = 80 << 20,
        .write_buffer_capacity_bytes = 32 << 20,
        .mutable_limit_bytes = 28 << 20,
        .high_priority_ratio = -1,
    };
    assert_ok(tarn__rocks_memory_open(&options, &f.memory, &f.error), &f.error);
    tarn__rocks_settings_init(&f.settings);
    fixture_make_directory(f.directory);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__rocks_memory_close(f->memory);
    fixture_remove_directory(f->directory);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    return 0;
}

/* ---- databases -------------------------------------------------------------------------- */

static void name_database(const fixture *f, char letter, char path[FIXTURE_PATH_BYTES + 8])
{
    (void)snprintf(path, FIXTURE_PATH_BYTES + 8, "%s/%c", f->directory, letter);
}

static tarn__rocks *open_one(fixture *f, char letter, bool holds_compactions)
{
    char path[FIXTURE_PATH_BYTES + 8];
    tarn__rocks *rocks = NULL;
    name_database(f, letter, path);
    const tarn__rocks_open_options options = {
        .account = &f->account,
        .memory = f->memory,
        .directory = path,
        .settings = &f->settings,
        .holds_compactions = holds_compactions,
    };
    assert_ok(tarn__rocks_open(&options, &rocks, &f->error), &f->error);
    return rocks;
}

static tarn_bytes make_key(char letter, uint32_t row, char room[KEY_BYTES])
{
    (void)snprintf(room, KEY_BYTES, "%c%04u", letter, row);
    return tarn_bytes_of(room);
}

/* The round that put a row last; -1: it is not there. */
static int last_round(uint32_t row, int rounds)
{
    int last = -1;
    for (int round = 0; round < rounds; round++) {
        if (round == rounds / 2 && row < DELETED) {
            last = -1;
        }
        if (row % 11 == (uint32_t)round) {
            last = -1;
        } else if (row % 3 == (uint32_t)round % 3) {
            last = round;
        }
    }
    return last;
}

static void write_round(fixture *f, tarn__rocks_family *family, char letter, int round, int rounds)
{
    char lower[KEY_BYTES];
    char upper[KEY_BYTES];
    if (round == rounds / 2) {
        assert_ok(
            tarn__rocks_delete_range(
                family, make_key(letter, 0, lower), make_key(letter, DELETED, upper), &f->error),
            &f->error);
    }
    for (uint32_t row = 0; row < ROWS; row++) {
        char room[KEY_BYTES];
        const tarn_bytes key = make_key(letter, row, room);
        if (row % 11 == (uint32_t)round) {
            assert_ok(tarn__rocks_delete(family, key, &f->error), &f->error);
        } else if (row % 3 == (uint32_t)round % 3) {
            const tarn_bytes value = tarn_bytes_at(&round, sizeof round);
            assert_ok(tarn__rocks_put(family, key, value, &f->error), &f->error);
        }
    }
}

/* A database with a file in level 0 for each round. */
static void make_database(fixture *f, char letter, int rounds)
{
    tarn__rocks_family *family = NULL;
    tarn__rocks *rocks = open_one(f, letter, /* holds_compactions= */ true);
    if (letter == 'b') { /* So that the two number their families differently. */
        assert_ok(
            tarn__rocks_create_family(rocks, "empty", &f->settings, &family, &f->error), &f->error);
    }
    assert_ok(
        tarn__rocks_create_family(rocks, "rows", &f->settings, &family, &f->error), &f->error);
    for (int round = 0; round < rounds; round++) {
        write_round(f, family, letter, round, rounds);
        assert_ok(tarn__rocks_flush(rocks, &f->error), &f->error);
    }
    tarn__rocks_close(rocks);
}

static void expect_rows(fixture *f, tarn__rocks *rocks, char letter, int rounds)
{
    tarn__rocks_family *family = tarn__rocks_find_family(rocks, "rows");
    assert_non_null(family);
    for (uint32_t row = 0; row < ROWS; row++) {
        char room[KEY_BYTES];
        tarn__rocks_pin pin = {.slice = NULL};
        tarn_bytes value;
        const int expected = last_round(row, rounds);
        const tarn_status status =
            tarn__rocks_get(family, make_key(letter, row, room), &pin, &value, &f->error);
        assert_int_equal(status, expected < 0 ? TARN_NOT_FOUND : TARN_OK);
        if (expected >= 0) {
            assert_true(tarn_bytes_is_equal(value, tarn_bytes_at(&expected, sizeof expected)));
        }
        tarn__rocks_unpin(&pin);
    }
}

static uint32_t count_rows(fixture *f, tarn__rocks *rocks)
{
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes key;
    tarn_bytes value;
    uint32_t count = 0;
    assert_ok(
        tarn__rocks_iterate(
            tarn__rocks_find_family(rocks, "rows"),
            tarn_bytes_of("a"),
            tarn_bytes_of("z"),
            &rows,
            &f->error),
        &f->error);
    while (tarn__rocks_iterator_next(rows, &key, &value, &f->error) == TARN_OK) {
        count++;
    }
    tarn__rocks_iterator_close(rows);
    return count;
}

static uint32_t expected_count(int rounds)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        count += last_round(row, rounds) >= 0 ? 1 : 0;
    }
    return count;
}

static void expect_all(fixture *f, tarn__rocks *rocks, int own_rounds, int other_rounds)
{
    expect_rows(f, rocks, 'a', own_rounds);
    expect_rows(f, rocks, 'b', other_rounds);
    assert_int_equal(
        count_rows(f, rocks), expected_count(own_rounds) + expected_count(other_rounds));
}

static tarn_status pass_over(
    const char *from_name, const char *into_name, void *context, tarn_error *error)
{
    (void)from_name;
    (void)into_name;
    (void)error;
    (*(uint32_t *)context)++;
    return TARN_OK;
}

static uint32_t count_levels(fixture *f, char letter)
{
    char path[FIXTURE_PATH_BYTES + 8];
    uint32_t count = 0;
    name_database(f, letter, path);
    assert_ok(tarn__rocks_count_levels(path, &f->account, &count, &f->error), &f->error);
    return count;
}

static void graft(fixture *f, uint32_t expected_files)
{
    char into[FIXTURE_PATH_BYTES + 8];
    char from[FIXTURE_PATH_BYTES + 8];
    uint32_t files = 0;
    name_database(f, 'a', into);
    name_database(f, 'b', from);
    assert_ok(tarn__rocks_graft(into, from, &f->account, pass_over, &files, &f->error), &f->error);
    assert_int_equal(files, expected_files);
}

/* Opens it, a snapshot of it, and that again when compactions are done. */
static void expect_lasting(fixture *f, int own_rounds, int other_rounds)
{
    char path[FIXTURE_PATH_BYTES + 8];
    tarn__rocks *rocks = open_one(f, 'a', /* holds_compactions= */ true);
    expect_all(f, rocks, own_rounds, other_rounds);
    name_database(f, 'c', path);
    assert_ok(tarn__rocks_link_snapshot(rocks, path, &f->error), &f->error);
    tarn__rocks_close(rocks);

    rocks = open_one(f, 'c', /* holds_compactions= */ true);
    expect_all(f, rocks, own_rounds, other_rounds);
    assert_ok(tarn__rocks_release_compactions(rocks, &f->error), &f->error);
    tarn__rocks_compact(tarn__rocks_find_family(rocks, "rows"));
    expect_all(f, rocks, own_rounds, other_rounds);
    tarn__rocks_close(rocks);

    rocks = open_one(f, 'c', /* holds_compactions= */ false);
    expect_all(f, rocks, own_rounds, other_rounds);
    tarn__rocks_close(rocks);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_few_files_of_level_0_go_below(void **state)
{
    fixture *f = *state;
    make_database(f, 'a', MANY_ROUNDS);
    make_database(f, 'b', FEW_ROUNDS);
    graft(f, FEW_ROUNDS);
    assert_int_equal(count_levels(f, 'a'), TARN__MANIFEST_LEVELS);
    expect_lasting(f, MANY_ROUNDS, FEW_ROUNDS);
}

static void test_many_files_of_level_0_get_more_levels(void **state)
{
    fixture *f = *state;
    make_database(f, 'a', MANY_ROUNDS);
    make_database(f, 'b', MANY_ROUNDS);
    assert_int_equal(count_levels(f, 'b'), TARN__MANIFEST_LEVELS);
    graft(f, MANY_ROUNDS);
    assert_int_equal(count_levels(f, 'a'), MANY_ROUNDS + 1);
    expect_lasting(f, MANY_ROUNDS, MANY_ROUNDS);
}

/* What is written later is newer than all that was added, whose numbers may be the larger ones. */
static void test_what_is_written_afterwards_counts(void **state)
{
    fixture *f = *state;
    static const int LATE = 99;
    char room[KEY_BYTES];
    make_database(f, 'a', FEW_ROUNDS);
    make_database(f, 'b', MANY_ROUNDS);
    graft(f, MANY_ROUNDS);
    tarn__rocks *rocks = open_one(f, 'a', /* holds_compactions= */ false);
    tarn__rocks_family *family = tarn__rocks_find_family(rocks, "rows");
    for (uint32_t row = 0; row < ROWS; row++) {
        const tarn_bytes key = make_key('b', row, room);
        const tarn_bytes value = tarn_bytes_at(&LATE, sizeof LATE);
        assert_ok(tarn__rocks_put(family, key, value, &f->error), &f->error);
    }
    assert_ok(tarn__rocks_flush(rocks, &f->error), &f->error);
    tarn__rocks_compact(family);
    for (uint32_t row = 0; row < ROWS; row++) {
        tarn__rocks_pin pin = {.slice = NULL};
        tarn_bytes value;
        assert_ok(
            tarn__rocks_get(family, make_key('b', row, room), &pin, &value, &f->error), &f->error);
        assert_true(tarn_bytes_is_equal(value, tarn_bytes_at(&LATE, sizeof LATE)));
        tarn__rocks_unpin(&pin);
    }
    expect_rows(f, rocks, 'a', FEW_ROUNDS);
    tarn__rocks_close(rocks);
}

int main(void)
{
#define GRAFTED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        GRAFTED(test_few_files_of_level_0_go_below),
        GRAFTED(test_many_files_of_level_0_get_more_levels),
        GRAFTED(test_what_is_written_afterwards_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
