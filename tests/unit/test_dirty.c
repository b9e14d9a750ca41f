/*
 * Unit tests of cache/dirty.c and cache/marks.h: what is dirty is found wherever it went, once each
 * time around, in steps of any length, and what is clean is not looked at again.
 */
#include "support/support.h"

#include <string.h>

#include "base/random.h"
#include "cache/workset_private.h"

enum {
    CAPACITY_BYTES = 384 << 10,
    PAGE_BYTES = 4096,
    ROWS = 2000,
    VALUE_BYTES_MAX = 400,
    STEPS = 20000,
    MARKED_BYTES = 1 << 20,
};

typedef struct fixture {
    tarn__account account;
    tarn__workset *set;
    tarn__workset_family family;
    uint8_t is_dirty[ROWS];
    tarn__random random;
    tarn_error error;
} fixture;

static tarn_status write_changes(
    void *context, const tarn__change *changes, size_t count, tarn_error *error)
{
    fixture *f = context;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        uint32_t row;
        memcpy(&row, changes[i].row.data, sizeof row);
        assert_true(f->is_dirty[row]);
        f->is_dirty[row] = false;
    }
    return TARN_OK;
}

static bool is_held(void *context)
{
    (void)context;
    return false;
}

static int set_up(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof f);
    tarn__account_init(&f.account, "test", NULL);
    const tarn__workset_options options = {
        .account = &f.account,
        .store = {.write = write_changes, .is_held = is_held, .context = &f},
        .capacity_bytes = CAPACITY_BYTES,
        .page_bytes = PAGE_BYTES,
    };
    assert_ok(tarn__workset_open(&options, &f.set, &f.error), &f.error);
    f.family = (tarn__workset_family){.store_family = &f};
    assert_ok(tarn__workset_add_family(f.set, &f.family, &f.error), &f.error);
    f.random = (tarn__random){11};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__workset_remove_family(f->set, &f->family);
    tarn__workset_close(f->set);
    assert_int_equal(f->account.bytes, 0);
    return 0;
}

/* Writes a value of any size: the row moves. */
static void write_row(fixture *f, uint32_t row)
{
    static const uint8_t VALUE[VALUE_BYTES_MAX];
    tarn__hot_key key;
    tarn__hot_row *kept = NULL;
    const tarn_bytes bytes = tarn_bytes_at(&row, sizeof row);
    const tarn_bytes value = tarn_bytes_at(VALUE, tarn__random_below(&f->random, sizeof VALUE));
    tarn__hot_row *found = tarn__workset_find(f->set, &f->family, bytes, &key);
    f->is_dirty[row] = true; /* It may be evicted at once. */
    assert_ok(
        tarn__workset_set(f->set, &key, found, TARN__HOT_DIRTY, value, &kept, &f->error),
        &f->error);
    assert_non_null(kept);
}

/* Goes around in steps of so many looks; each dirty row is met once. */
static uint64_t go_around(fixture *f, uint64_t looks_at_once)
{
    static uint8_t is_met[ROWS];
    tarn__cursor cursor = {0};
    uint64_t look_count = 0;
    uint32_t met_count = 0;
    uint32_t dirty_count = 0;
    bool is_over = false;
    memset(is_met, 0, sizeof is_met);
    while (!is_over) {
        uint64_t looks = looks_at_once;
        uint32_t reference = 0;
        while ((reference = tarn__workset_next_dirty(f->set, &cursor, &looks)) != 0) {
            uint32_t row;
            memcpy(&row, tarn__hot_row_key(tarn__slab_at(&f->set->slab, reference)).data, 4);
            assert_true(f->is_dirty[row] && !is_met[row]);
            is_met[row] = true;
            met_count++;
        }
        assert_true(looks <= looks_at_once);
        look_count += looks_at_once - looks;
        is_over = cursor.page == 0 && cursor.slot == 0;
    }
    for (uint32_t row = 0; row < ROWS; row++) {
        dirty_count += f->is_dirty[row];
    }
    assert_int_equal(met_count, dirty_count);
    assert_int_equal(met_count, f->set->figures.dirty_count);
    return look_count;
}

static void settle(fixture *f)
{
    const tarn_bytes nothing = tarn_bytes_at(NULL, 0);
    assert_ok(tarn__workset_settle(f->set, NULL, nothing, nothing, &f->error), &f->error);
}

static void test_what_is_dirty_is_found_wherever_rows_move(void **state)
{
    fixture *f = *state;
    for (uint32_t step = 0; step < STEPS; step++) {
        const uint32_t row = (uint32_t)tarn__random_below(&f->random, ROWS);
        write_row(f, row);
        if (step % 1000 == 0) {
            (void)go_around(f, UINT64_MAX);
            (void)go_around(f, 1 + tarn__random_below(&f->random, 50));
        }
        if (step % 7000 == 0) {
            settle(f);
            (void)go_around(f, UINT64_MAX);
        }
    }
    assert_true(f->set->figures.evicted_count > 0);
}

static void test_what_is_clean_is_not_looked_at_again(void **state)
{
    fixture *f = *state;
    for (uint32_t row = 0; row < ROWS; row++) {
        write_row(f, row);
    }
    settle(f);
    (void)go_around(f, UINT64_MAX);
    const uint32_t page_count = f->set->slab.page_count;
    assert_int_equal(go_around(f, UINT64_MAX), page_count);
    tarn__hot_key key;
    const uint32_t row = ROWS - 1;
    tarn__hot_row *kept = NULL;
    tarn__hot_row *found =
        tarn__workset_find(f->set, &f->family, tarn_bytes_at(&row, sizeof row), &key);
    assert_non_null(found);
    f->is_dirty[row] = true;
    assert_ok(
        tarn__workset_set(
            f->set, &key, found, TARN__HOT_DIRTY, tarn_bytes_at("", 0), &kept, &f->error),
        &f->error);
    assert_in_range(go_around(f, UINT64_MAX), page_count + 1, page_count + 2);
}

static void test_marks_are_found_across_words(void **state)
{
    static const uint32_t LINES[] = {0, 1, 62, 63, 64, 200, 4095, 16383};
    fixture *f = *state;
    tarn__marks marks = {.words = NULL};
    assert_true(tarn__marks_reserve(&marks, &f->account, MARKED_BYTES));
    const uint32_t end = MARKED_BYTES >> TARN__MARKS_LINE_LOG2;
    assert_int_equal(tarn__marks_next(&marks, 0, end), end);
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        tarn__marks_set(&marks, ((size_t)LINES[i] << TARN__MARKS_LINE_LOG2) + 13);
    }
    assert_true(tarn__marks_reserve(&marks, &f->account, UINT64_C(2) * MARKED_BYTES));
    uint32_t line = 0;
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        line = tarn__marks_next(&marks, line, end);
        assert_int_equal(line, LINES[i]);
        assert_int_equal(
            tarn__marks_next(&marks, line, line), line); /* Nothing of an empty part. */
        tarn__marks_unset(&marks, line);
    }
    assert_int_equal(tarn__marks_next(&marks, 0, UINT32_C(2) * end), UINT32_C(2) * end);
    tarn__marks_clear(&marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_what_is_dirty_is_found_wherever_rows_move),
        TEST(test_what_is_clean_is_not_looked_at_again),
        TEST(test_marks_are_found_across_words),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
