/*
 * Unit tests of joined databases (rocks/graft.h): which files go where, when two databases cannot
 * be joined, and that a failure leaves the one that was to be added to as it was. The databases are
 * lists of files beside files of any content: nothing here opens them.
 */
#include "support/support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "rocks/graft.h"
#include "rocks/listing.h"
#include "support/fault_disk.h"
#include "support/manifest_maker.h"
#include "support/scratch.h"

enum { FIRST_FAMILY = 1, NEXT_NUMBER = 100 };

typedef struct fixture {
    scratch root;
    manifest_maker into;
    manifest_maker from;
    uint32_t visited_count;
    uint32_t visits_max; /* The next one fails. */
    char visited[256];   /* The last one: both names. */
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.visits_max = UINT32_MAX};
    scratch_init(&f.root);
    scratch_make_directory(scratch_join(f.root.path, "into"));
    scratch_make_directory(scratch_join(f.root.path, "from"));
    manifest_maker_init(&f.into);
    manifest_maker_init(&f.from);
    manifest_add_beginning(&f.into, NEXT_NUMBER, 1000);
    manifest_add_family(&f.into, 7, "rows");
    manifest_add_beginning(&f.from, 30, 2000);
    manifest_add_family(&f.from, FIRST_FAMILY, "rows");
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    manifest_maker_clear(&f->into);
    manifest_maker_clear(&f->from);
    scratch_clear(&f->root);
    return 0;
}

/* A file of the database that is added. */
static void add_from(
    fixture *f, uint32_t level, uint64_t number, const char *smallest, const char *largest)
{
    char name[64];
    const manifest_file file = {
        .family = FIRST_FAMILY,
        .level = level,
        .number = number,
        .smallest = smallest,
        .largest = largest,
        .largest_sequence = number,
    };
    manifest_add_file(&f->from, &file);
    (void)snprintf(name, sizeof name, "from/%06u.sst", (unsigned)number);
    scratch_write(scratch_join(f->root.path, name), &number, sizeof number);
}

static void add_into(fixture *f, uint32_t family, const char *smallest, const char *largest)
{
    const manifest_file file = {
        .family = family,
        .level = 6,
        .number = 20,
        .smallest = smallest,
        .largest = largest,
        .largest_sequence = 5,
    };
    manifest_add_file(&f->into, &file);
}

static void write_one(fixture *f, const char *directory, const manifest_maker *maker)
{
    static const char CURRENT[] = "MANIFEST-000005\n";
    char name[64];
    (void)snprintf(name, sizeof name, "%s/CURRENT", directory);
    scratch_write(scratch_join(f->root.path, name), CURRENT, sizeof CURRENT - 1);
    (void)snprintf(name, sizeof name, "%s/MANIFEST-000005", directory);
    scratch_write(scratch_join(f->root.path, name), maker->bytes.data, maker->bytes.size);
}

static tarn_status visit(
    const char *from_name, const char *into_name, void *context, tarn_error *error)
{
    fixture *f = context;
    (void)error;
    if (f->visited_count == f->visits_max) {
        return TARN_NO_MEMORY;
    }
    f->visited_count++;
    (void)snprintf(f->visited, sizeof f->visited, "%s %s", from_name, into_name);
    return TARN_OK;
}

static tarn_status run_graft(fixture *f)
{
    write_one(f, "into", &f->into);
    write_one(f, "from", &f->from);
    const char *into = scratch_join(f->root.path, "into");
    const char *from = scratch_join(f->root.path, "from");
    const tarn_status checked = tarn__rocks_check_graft(into, from, &f->into.account, &f->error);
    const tarn_status status = tarn__rocks_graft(into, from, &f->into.account, visit, f, &f->error);
    assert_true(checked == TARN_OK || checked == status);
    return status;
}

static tarn__manifest read_into(fixture *f)
{
    size_t size = 0;
    tarn__manifest m;
    uint8_t *bytes = scratch_read(scratch_join(f->root.path, "into/MANIFEST-000005"), &size);
    assert_ok(
        tarn__manifest_open(&m, tarn_bytes_at(bytes, size), &f->into.account, &f->error),
        &f->error);
    free(bytes);
    return m;
}

/* The level that a file of the other database has got; -1: it is not there. */
static int level_of(const fixture *f, const tarn__manifest *m, uint64_t old_number)
{
    for (size_t i = 0; i < m->file_count; i++) {
        char name[64];
        size_t size = 0;
        uint64_t content = 0;
        (void)snprintf(name, sizeof name, "into/%06u.sst", (unsigned)m->files[i].number);
        if (m->files[i].number < NEXT_NUMBER) {
            continue;
        }
        uint8_t *bytes = scratch_read(scratch_join(f->root.path, name), &size);
        memcpy(&content, bytes, sizeof content);
        free(bytes);
        if (content == old_number) {
            assert_int_equal(m->files[i].family, 7);
            return (int)m->files[i].level;
        }
    }
    return -1;
}

static void expect_unchanged(fixture *f)
{
    size_t size = 0;
    uint8_t *bytes = scratch_read(scratch_join(f->root.path, "into/MANIFEST-000005"), &size);
    assert_int_equal(size, f->into.bytes.size);
    assert_memory_equal(bytes, f->into.bytes.data, size);
    free(bytes);
    assert_int_equal(scratch_count(scratch_join(f->root.path, "into"), "0"), 0);
}

static void expect_refused(fixture *f, const char *reason)
{
    assert_int_equal(run_graft(f), TARN_NOT_SUPPORTED);
    if (strstr(f->error.message, reason) == NULL) {
        fail_msg("\"%s\" is not in: %s", reason, f->error.message);
    }
    expect_unchanged(f);
}

static void test_files_keep_their_levels(void **state)
{
    fixture *f = *state;
    add_into(f, 7, "a", "f");
    add_from(f, 5, 10, "g", "k");
    add_from(f, 6, 11, "g", "i");
    add_from(f, 6, 12, "j", "m");
    assert_ok(run_graft(f), &f->error);
    tarn__manifest m = read_into(f);
    assert_int_equal(m.file_count, 4);
    assert_int_equal(m.next_number, NEXT_NUMBER + 3);
    assert_int_equal(m.last_sequence, 2000);
    assert_int_equal(level_of(f, &m, 10), 5);
    assert_int_equal(level_of(f, &m, 11), 6);
    assert_int_equal(level_of(f, &m, 12), 6);
    assert_int_equal(f->visited_count, 3);
    tarn__manifest_close(&m);
}

/* What was written later lies higher. */
static void test_files_of_level_0_get_levels_of_their_own(void **state)
{
    fixture *f = *state;
    add_from(f, 0, 12, "b", "k");
    add_from(f, 0, 14, "a", "z");
    add_from(f, 0, 13, "c", "d");
    add_from(f, 5, 11, "a", "k");
    assert_ok(run_graft(f), &f->error);
    tarn__manifest m = read_into(f);
    assert_int_equal(level_of(f, &m, 14), 2);
    assert_int_equal(level_of(f, &m, 13), 3);
    assert_int_equal(level_of(f, &m, 12), 4);
    assert_int_equal(level_of(f, &m, 11), 5);
    tarn__manifest_close(&m);
}

static void test_level_0_alone_goes_to_the_last_levels(void **state)
{
    fixture *f = *state;
    add_from(f, 0, 12, "b", "k");
    add_from(f, 0, 14, "a", "z");
    assert_ok(run_graft(f), &f->error);
    tarn__manifest m = read_into(f);
    assert_int_equal(level_of(f, &m, 14), 5);
    assert_int_equal(level_of(f, &m, 12), 6);
    tarn__manifest_close(&m);
}

/* As levels are where their sizes do not depend on the last one: those below make room. */
static void test_levels_below_make_room_for_level_0(void **state)
{
    fixture *f = *state;
    add_from(f, 1, 9, "a", "c");
    add_from(f, 1, 10, "d", "k");
    add_from(f, 2, 8, "a", "k");
    add_from(f, 5, 7, "a", "k");
    add_from(f, 0, 11, "a", "k");
    add_from(f, 0, 12, "a", "k");
    assert_ok(run_graft(f), &f->error);
    tarn__manifest m = read_into(f);
    assert_int_equal(level_of(f, &m, 12), 1);
    assert_int_equal(level_of(f, &m, 11), 2);
    assert_int_equal(level_of(f, &m, 10), 3);
    assert_int_equal(level_of(f, &m, 9), 3);
    assert_int_equal(level_of(f, &m, 8), 4);
    assert_int_equal(level_of(f, &m, 7), 5);
    tarn__manifest_close(&m);
}

/* As after a time of many writes: the database has more levels from now on. */
static void test_there_are_more_levels_where_they_are_needed(void **state)
{
    fixture *f = *state;
    add_from(f, 3, 10, "a", "k");
    add_from(f, 6, 9, "a", "k");
    for (uint64_t number = 11; number < 19; number++) {
        add_from(f, 0, number, "a", "k");
    }
    assert_ok(run_graft(f), &f->error);
    tarn__manifest m = read_into(f);
    assert_int_equal(level_of(f, &m, 9), 10);
    assert_int_equal(level_of(f, &m, 10), 9);
    for (uint64_t number = 11; number < 19; number++) {
        assert_int_equal(level_of(f, &m, number), 19 - number);
    }
    tarn__manifest_close(&m);
    assert_int_equal(
        tarn__rocks_count_levels(scratch_join(f->root.path, "into"), &f->into.account), 11);
    assert_int_equal(
        tarn__rocks_count_levels(scratch_join(f->root.path, "nowhere"), &f->into.account),
        TARN__MANIFEST_LEVELS);
}

static void test_too_many_files_of_level_0_are_refused(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < TARN__MANIFEST_LEVELS_MAX; i++) {
        add_from(f, 0, 1 + i, "a", "k");
    }
    expect_refused(f, "24 files in level 0");
}

static void test_files_with_rows_between_each_other_are_refused(void **state)
{
    fixture *f = *state;
    add_into(f, 7, "a", "g");
    add_from(f, 6, 10, "g", "k");
    expect_refused(f, "overlap");
}

/* Families have other numbers in either; rows of two never meet. */
static void test_files_of_two_families_do_not_meet(void **state)
{
    fixture *f = *state;
    manifest_add_family(&f->into, FIRST_FAMILY, "others");
    add_into(f, FIRST_FAMILY, "a", "z");
    add_from(f, 6, 10, "g", "k");
    assert_ok(run_graft(f), &f->error);
}

static void test_a_family_that_is_in_one_only_is_refused(void **state)
{
    fixture *f = *state;
    manifest_add_family(&f->from, 2, "more");
    add_from(f, 6, 10, "g", "k");
    assert_ok(run_graft(f), &f->error); /* It has no files. */
    manifest_put_number(&f->into, 200);
    manifest_put_number(&f->into, 7);
    manifest_put_number(&f->into, 202);
    manifest_end(&f->into);
    f->visited_count = 0;
    scratch_remove(scratch_join(f->root.path, "into/000100.sst"));
    expect_refused(f, "only in one database");
}

static void test_a_failure_leaves_all_as_it_was(void **state)
{
    fixture *f = *state;
    add_from(f, 5, 10, "g", "k");
    add_from(f, 6, 11, "g", "i");
    f->visits_max = 1;
    assert_int_equal(run_graft(f), TARN_NO_MEMORY);
    expect_unchanged(f);
    f->visits_max = UINT32_MAX;
    scratch_remove(scratch_join(f->root.path, "from/000011.sst"));
    expect_refused(f, "cannot link");
}

/* Nor can it be taken back by a call, as of it nothing is there. */
static void test_an_edit_without_room_leaves_all_as_it_was(void **state)
{
    fixture *f = *state;
    add_from(f, 5, 10, "g", "k");
    add_from(f, 6, 11, "g", "i");
    for (uint64_t nth = 0; nth < 3; nth++) { /* Two links and the edit. */
        fault_disk_choose(FAULT_DISK_LINKS | FAULT_DISK_PLACED_WRITES);
        fault_disk_arm(nth, ENOSPC, /* is_lasting= */ true);
        const tarn_status status = run_graft(f);
        assert_true(fault_disk_disarm());
        assert_int_equal(status, TARN_NO_SPACE);
        expect_unchanged(f);
    }
    assert_ok(run_graft(f), &f->error);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The system writes what fits, and then tells that no more does. */
static void test_an_edit_that_is_written_in_part_is_taken_back(void **state)
{
    fixture *f = *state;
    add_from(f, 5, 10, "g", "k");
    write_one(f, "into", &f->into);
    write_one(f, "from", &f->from);
    (void)signal(SIGXFSZ, SIG_IGN);
    const rlim_t size = f->into.bytes.size;
    rlim_t more = 0;
    tarn_status status;
    do {
        limit_files(size + more);
        status = tarn__rocks_graft(
            scratch_join(f->root.path, "into"),
            scratch_join(f->root.path, "from"),
            &f->into.account,
            visit,
            f,
            &f->error);
        limit_files(RLIM_INFINITY);
        if (status != TARN_OK) {
            assert_int_equal(status, TARN_IO_ERROR);
            expect_unchanged(f);
            more++;
        }
    } while (status != TARN_OK);
    assert_in_range(more, 20, 200);
    tarn__manifest m = read_into(f);
    assert_int_equal(m.file_count, 1);
    tarn__manifest_close(&m);
}

/* Of a file that has the number already, only what was linked is taken away. */
static void test_a_file_that_is_there_is_left_alone(void **state)
{
    fixture *f = *state;
    static const char OTHER[] = "other";
    add_from(f, 5, 10, "g", "k");
    scratch_write(scratch_join(f->root.path, "into/000100.sst"), OTHER, sizeof OTHER);
    assert_int_equal(run_graft(f), TARN_NOT_SUPPORTED);
    assert_int_equal(scratch_size(scratch_join(f->root.path, "into/000100.sst")), sizeof OTHER);
}

static void test_a_database_without_a_list_is_refused(void **state)
{
    fixture *f = *state;
    add_from(f, 5, 10, "g", "k");
    write_one(f, "into", &f->into);
    write_one(f, "from", &f->from);
    const char *into = scratch_join(f->root.path, "into");
    const char *from = scratch_join(f->root.path, "from");
    static const char NAMES[][32] = {"MANIFEST-000009\n", "OPTIONS-000005\n", "MANIFEST-/../x\n"};
    static const tarn_status EXPECTED[] = {TARN_IO_ERROR, TARN_CORRUPTION, TARN_CORRUPTION};
    for (size_t i = 0; i < sizeof EXPECTED / sizeof EXPECTED[0]; i++) {
        scratch_write(scratch_join(f->root.path, "from/CURRENT"), NAMES[i], strlen(NAMES[i]));
        assert_int_equal(
            tarn__rocks_graft(into, from, &f->into.account, visit, f, &f->error), EXPECTED[i]);
    }
    expect_unchanged(f);
}

int main(void)
{
#define GRAFT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        GRAFT(test_files_keep_their_levels),
        GRAFT(test_files_of_level_0_get_levels_of_their_own),
        GRAFT(test_level_0_alone_goes_to_the_last_levels),
        GRAFT(test_levels_below_make_room_for_level_0),
        GRAFT(test_there_are_more_levels_where_they_are_needed),
        GRAFT(test_too_many_files_of_level_0_are_refused),
        GRAFT(test_files_with_rows_between_each_other_are_refused),
        GRAFT(test_files_of_two_families_do_not_meet),
        GRAFT(test_a_family_that_is_in_one_only_is_refused),
        GRAFT(test_a_failure_leaves_all_as_it_was),
        GRAFT(test_an_edit_without_room_leaves_all_as_it_was),
        GRAFT(test_an_edit_that_is_written_in_part_is_taken_back),
        GRAFT(test_a_file_that_is_there_is_left_alone),
        GRAFT(test_a_database_without_a_list_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
