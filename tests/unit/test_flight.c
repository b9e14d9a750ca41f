/*
 * Unit tests of rows of the working set whose runs are under way (cache/runs.h), where these land
 * in another order than they were sent in: what leaves the working set is in the store. And of who
 * waits for them.
 */
#include "support/support.h"

#include <string.h>

#include "cache/workset.h"

enum { CAPACITY_BYTES = 256 << 10, PAGE_BYTES = 4096, NAMES = 4 };

/* Rows of one letter, '0' to '3'. */
typedef struct fixture {
    tarn__account account;
    tarn__runs *runs; /* Without workers: the one in the least place is written first. */
    tarn__workset *set;
    tarn__workset_family family;
    tarn__workset_family others; /* Of rows with a suffix, which no run has. */
    bool is_stored[NAMES];
    bool is_held;
    tarn_error error;
} fixture;

static void change_store(fixture *f, const tarn__change *change)
{
    f->is_stored[((const char *)change->row.data)[0] - '0'] = change->kind == TARN__CHANGE_PUT;
}

static tarn_status store_write(
    void *context, const tarn__change *changes, size_t count, tarn_error *error)
{
    (void)error;
    for (size_t i = 0; i < count; i++) {
        change_store(context, &changes[i]);
    }
    return TARN_OK;
}

static tarn_status store_write_run(void *context, const tarn__run *run, tarn_error *error)
{
    (void)error;
    for (uint32_t i = 0; i < tarn__run_count(run); i++) {
        const tarn__change change = tarn__run_at(run, i);
        change_store(context, &change);
    }
    return TARN_OK;
}

static bool is_held(void *context)
{
    const fixture *f = context;
    return f->is_held;
}

static tarn_status release(void *context, tarn_error *error)
{
    fixture *f = context;
    const tarn_status status = tarn__workset_drain_all(f->set, error);
    f->is_held = false;
    return status;
}

static int set_up(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof f);
    tarn__account_init(&f.account, "test", NULL);
    const tarn__runs_options runs = {
        .account = &f.account, .write = store_write_run, .context = &f};
    assert_ok(tarn__runs_open(&runs, &f.runs, &f.error), &f.error);
    const tarn__workset_options options = {
        .account = &f.account,
        .store = {.write = store_write, .is_held = is_held, .release = release, .context = &f},
        .capacity_bytes = CAPACITY_BYTES,
        .page_bytes = PAGE_BYTES,
        .runs = f.runs,
    };
    assert_ok(tarn__workset_open(&options, &f.set, &f.error), &f.error);
    f.family = (tarn__workset_family){.store_family = &f};
    f.others = (tarn__workset_family){.store_family = &f.others, .suffix_bytes = 8};
    assert_ok(tarn__workset_add_family(f.set, &f.family, &f.error), &f.error);
    assert_ok(tarn__workset_add_family(f.set, &f.others, &f.error), &f.error);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__workset_remove_family(f->set, &f->family);
    tarn__workset_remove_family(f->set, &f->others);
    tarn__workset_close(f->set);
    tarn__runs_close(f->runs);
    assert_int_equal(f->account.bytes, 0);
    return 0;
}

static tarn__hot_row *find(fixture *f, char name, tarn__hot_key *key)
{
    static char names[NAMES];
    char *at = &names[name - '0'];
    *at = name;
    return tarn__workset_find(f->set, &f->family, tarn_bytes_at(at, 1), key);
}

static void set(fixture *f, char name, tarn__hot_state state)
{
    tarn__hot_key key;
    tarn__hot_row *row = find(f, name, &key);
    tarn__hot_row *kept = NULL;
    const tarn_bytes value = tarn_bytes_at("value", state == TARN__HOT_DIRTY ? 5 : 0);
    assert_ok(tarn__workset_set(f->set, &key, row, state, value, &kept, &f->error), &f->error);
    assert_non_null(kept);
}

/* Sends a frozen row by a run of its own; answers the run's number. */
static uint32_t send(fixture *f, char name)
{
    tarn__hot_key key;
    tarn__hot_row *row = find(f, name, &key);
    assert_ok(tarn__workset_hand_over(f->set, &key, &row, &f->error), &f->error);
    const uint32_t number = tarn__runs_number(f->runs);
    tarn__runs_send(f->runs);
    return number;
}

static void freeze(fixture *f)
{
    tarn__workset_freeze(f->set);
    f->is_held = true;
}

/*
 * The store has a row whose removal is under way when a later run has landed already. *removed is
 * the number of the run with the removal.
 */
static void begin(fixture *f, uint32_t *removed)
{
    const tarn_bytes nothing = {NULL, 0};
    set(f, '0', TARN__HOT_DIRTY);
    set(f, '1', TARN__HOT_DIRTY);
    freeze(f);
    assert_ok(release(f, &f->error), &f->error);
    assert_ok(tarn__workset_settle(f->set, NULL, nothing, nothing, &f->error), &f->error);
    assert_true(f->is_stored[1]);
    set(f, '1', TARN__HOT_TOMBSTONE);
    set(f, '2', TARN__HOT_DIRTY);
    freeze(f);
    *removed = send(f, '1');
}

static void land_later_one(fixture *f, uint32_t removed)
{
    const uint32_t later = send(f, '2');
    assert_true(tarn__runs_write_next(f->runs, /* is_newest= */ true));
    assert_true(tarn__runs_has_landed(f->runs, later));
    assert_false(tarn__runs_has_landed(f->runs, removed));
    assert_true(f->is_stored[1]);
}

/* Who reads it next looks into the store. */
static void assert_gone_when_dropped(fixture *f)
{
    tarn__hot_key key;
    assert_non_null(find(f, '1', &key));
    tarn__workset_drop_row(f->set, &key);
    assert_null(find(f, '1', &key));
    assert_false(f->is_stored[1]);
}

static void test_a_removal_that_is_repeated_is_under_way_until_the_first_one_has_landed(
    void **state)
{
    fixture *f = *state;
    uint32_t removed = 0;
    begin(f, &removed);
    set(f, '3', TARN__HOT_DIRTY);
    land_later_one(f, removed);
    set(f, '1', TARN__HOT_TOMBSTONE);
    assert_gone_when_dropped(f);
}

static void test_a_row_that_came_and_went_is_under_way_until_its_removal_has_landed(void **state)
{
    fixture *f = *state;
    uint32_t removed = 0;
    begin(f, &removed);
    set(f, '1', TARN__HOT_DIRTY);
    land_later_one(f, removed);
    set(f, '1', TARN__HOT_TOMBSTONE);
    assert_gone_when_dropped(f);
}

static void test_without_runs_under_way_a_row_that_came_and_went_is_as_any_other(void **state)
{
    fixture *f = *state;
    tarn__workset_figures figures;
    uint32_t removed = 0;
    begin(f, &removed);
    set(f, '1', TARN__HOT_DIRTY);
    assert_ok(release(f, &f->error), &f->error);
    set(f, '1', TARN__HOT_TOMBSTONE);
    freeze(f);
    tarn__workset_measure(f->set, &figures);
    const uint64_t land_count = figures.land_count;
    assert_gone_when_dropped(f);
    tarn__workset_measure(f->set, &figures);
    assert_int_equal(figures.land_count, land_count);
    assert_ok(release(f, &f->error), &f->error);
}

static void test_only_who_looks_for_rows_that_go_by_runs_waits_for_these(void **state)
{
    fixture *f = *state;
    const tarn_bytes lower = tarn_bytes_of("0");
    const tarn_bytes upper = tarn_bytes_of("4");
    uint32_t removed = 0;
    begin(f, &removed);
    assert_ok(tarn__workset_settle(f->set, &f->others, lower, upper, &f->error), &f->error);
    assert_false(tarn__runs_has_landed(f->runs, removed));
    assert_ok(tarn__workset_settle(f->set, &f->family, lower, upper, &f->error), &f->error);
    assert_true(tarn__runs_has_landed(f->runs, removed));
    assert_false(f->is_stored[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_removal_that_is_repeated_is_under_way_until_the_first_one_has_landed),
        TEST(test_a_row_that_came_and_went_is_under_way_until_its_removal_has_landed),
        TEST(test_without_runs_under_way_a_row_that_came_and_went_is_as_any_other),
        TEST(test_only_who_looks_for_rows_that_go_by_runs_waits_for_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
