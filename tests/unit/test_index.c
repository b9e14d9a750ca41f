/*
 * Unit tests of cache/index.c and base/region.c: rows are found while the table grows in steps and
 * after it was trimmed, memory is charged before it is used, and what is refused loses nothing.
 */
#include "support/support.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/random.h"
#include "cache/index.h"

enum { ROWS = 40000, REACH_BYTES = 64 << 20 };

typedef struct fixture {
    tarn__account account;
    tarn__index index;
    uint32_t row_count;
    size_t limit_bytes; /* Of the pool. */
    size_t used_bytes;
} fixture;

static bool charge(void *pool, size_t bytes)
{
    fixture *f = pool;
    if (f->used_bytes + bytes > f->limit_bytes) {
        return false;
    }
    f->used_bytes += bytes;
    return true;
}

static void discharge(void *pool, size_t bytes)
{
    fixture *f = pool;
    f->used_bytes -= bytes;
}

static void open_index(fixture *f, size_t limit_bytes, bool is_large)
{
    *f = (fixture){.limit_bytes = limit_bytes};
    tarn__account_init(&f->account, "test", NULL);
    tarn__account_attach(&f->account, charge, discharge, f);
    tarn__index_init(&f->index, &f->account, REACH_BYTES);
    f->index.is_large = is_large;
}

static void close_index(fixture *f)
{
    tarn__index_clear(&f->index);
    assert_int_equal(f->used_bytes, 0);
}

static uint64_t hash_of(uint32_t row)
{
    tarn__random random = {row};
    return tarn__random_next(&random);
}

/* The reference, if a row of it is found by its hash; 0: it is not there. */
static uint32_t find_of(const fixture *f, uint64_t hash, uint32_t reference)
{
    const uint32_t tag = tarn__index_tag(hash);
    const tarn__index_table *table = tarn__index_table_of(&f->index, tag);
    if (table->slots == NULL) {
        return 0;
    }
    const uint32_t home = tarn__index_home(table, tag);
    const tarn__index_slot *block = table->slots + (home & ~table->block_mask);
    for (uint32_t at = home;; at++) {
        const tarn__index_slot slot = block[at & table->block_mask];
        if (slot.reference == 0 || (slot.tag == tag && slot.reference == reference)) {
            return slot.reference;
        }
    }
}

static uint32_t find(const fixture *f, uint32_t row)
{
    return find_of(f, hash_of(row), row + 1);
}

/* Adds a row as the working set does; false: there is no room. */
static bool add(fixture *f, uint32_t row)
{
    const uint64_t hash = hash_of(row);
    bool did = true;
    while (did && tarn__index_is_due(&f->index, hash)) {
        const uint64_t before = f->index.memory;
        const uint64_t growth = tarn__index_growth(&f->index);
        did = tarn__index_step(&f->index);
        assert_true(f->index.memory <= before + growth);
    }
    if (tarn__index_is_full(&f->index, hash)) {
        return false;
    }
    tarn__index_add(&f->index, hash, row + 1);
    f->row_count++;
    return true;
}

static void check_all(const fixture *f, uint32_t begin, uint32_t end)
{
    for (uint32_t row = begin; row < end; row++) {
        assert_int_equal(find(f, row), row + 1);
    }
    assert_int_equal(f->index.count, end - begin);
    assert_true(f->index.memory <= f->used_bytes); /* Which counts headers of blocks too. */
}

static void grow_and_trim(bool is_large)
{
    fixture f;
    open_index(&f, SIZE_MAX, is_large);
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_true(add(&f, row));
        if (row % 977 == 0) {
            check_all(&f, 0, row + 1);
        }
    }
    const uint64_t memory = f.index.memory;
    for (uint32_t row = 0; row < ROWS - 100; row++) {
        tarn__index_replace(&f.index, hash_of(row), row + 1, 0);
        assert_int_equal(find(&f, row), 0);
    }
    tarn__index_trim(&f.index);
    check_all(&f, ROWS - 100, ROWS);
    assert_true(f.index.memory < memory / 100);
    for (uint32_t row = 0; row < ROWS - 100; row++) { /* In memory that was given back before. */
        assert_true(add(&f, row));
    }
    check_all(&f, 0, ROWS);
    close_index(&f);
}

static void test_rows_are_found_while_the_table_grows_and_after_it_was_trimmed(void **state)
{
    (void)state;
    grow_and_trim(/* is_large= */ false);
    grow_and_trim(/* is_large= */ true);
}

/*
 * When memory is short, slots take little beside rows at any number of them, as tables do not
 * double; and no insertion makes more memory than before.
 */
static void test_a_table_grows_by_little_when_memory_is_short(void **state)
{
    enum { TIGHT_ROWS = 200000, FIRST_CHECKED = 50000, SLOT_BYTES = 8 };
    (void)state;
    fixture f;
    open_index(&f, SIZE_MAX, /* is_large= */ false);
    uint64_t before = 0;
    for (uint32_t row = 0; row < TIGHT_ROWS; row++) {
        f.index.is_tight = true;
        assert_true(add(&f, row));
        assert_true(f.index.memory <= before + (2 * SLOT_BYTES << TARN__INDEX_BLOCK_LOG2) + 256);
        before = f.index.memory;
        if (row >=
            FIRST_CHECKED) { /* Two thirds of the slots are used, the two tables' together. */
            assert_true(f.index.memory * 2 <= (uint64_t)row * SLOT_BYTES * 3);
        }
    }
    check_all(&f, 0, TIGHT_ROWS);
    for (uint32_t row = 0; row < TIGHT_ROWS; row += 2) {
        tarn__index_replace(&f.index, hash_of(row), row + 1, 0);
    }
    for (uint32_t row = 0; row < TIGHT_ROWS; row++) {
        assert_int_equal(find(&f, row), row % 2 != 0 ? row + 1 : 0);
    }
    f.index.is_tight = false; /* It goes on by doubling a table that is no power of two. */
    for (uint32_t row = 0; row < TIGHT_ROWS; row += 2) {
        assert_true(add(&f, row));
    }
    for (uint32_t row = TIGHT_ROWS; row < 2 * TIGHT_ROWS; row++) {
        assert_true(add(&f, row));
    }
    check_all(&f, 0, 2 * TIGHT_ROWS);
    close_index(&f);
}

/* Whether memory is short changes while tables are moved into, as the rows' share does. */
static void grow_by_few_steps(uint32_t tight_rows, uint32_t loose_rows)
{
    enum { MANY_ROWS = 3000000, STEPS_MAX = 2 };
    fixture f;
    open_index(&f, SIZE_MAX, /* is_large= */ false);
    for (uint32_t row = 0; row < MANY_ROWS; row++) {
        const uint64_t hash = hash_of(row);
        uint32_t step_count = 0;
        f.index.is_tight = row % (tight_rows + loose_rows) < tight_rows;
        while (tarn__index_is_due(&f.index, hash)) {
            assert_true(tarn__index_step(&f.index));
            step_count++;
        }
        assert_true(step_count <= STEPS_MAX);
        tarn__index_add(&f.index, hash, row + 1);
    }
    close_index(&f);
}

static void test_an_insertion_moves_few_blocks_at_millions_of_rows(void **state)
{
    (void)state;
    grow_by_few_steps(1, 0);
    grow_by_few_steps(0, 1);
    grow_by_few_steps(700000, 10000);
    grow_by_few_steps(5000, 5000);
}

static size_t resident_bytes(const tarn__region *region)
{
    static unsigned char pages[REACH_BYTES / 4096];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = 0;
    if (region->base == NULL) {
        return 0;
    }
    assert_true(page >= 4096 && region->size <= REACH_BYTES);
    assert_int_equal(mincore(region->base, region->size, (void *)pages), 0);
    for (size_t i = 0; i < region->size / page; i++) {
        count += pages[i] & 1;
    }
    return count * page;
}

/* What is resident when a part in large pages, or in small ones, is touched. */
static size_t resident_of_touch(bool is_large)
{
    tarn__region region;
    assert_true(tarn__region_open(&region, TARN__REGION_EXTENT_BYTES, TARN__REGION_EXTENT_BYTES));
    tarn__region_advise(&region, 0, TARN__REGION_EXTENT_BYTES, is_large);
    region.base[0] = 1;
    const size_t resident = resident_bytes(&region);
    tarn__region_close(&region);
    return resident;
}

/*
 * Large pages that go beyond what is charged are resident all the same. While a table is moved into
 * that is less than one of them, afterwards nothing. Where the machine has none of them this still
 * checks that what is given back is no longer resident.
 */
static void test_memory_in_large_pages_is_charged(void **state)
{
    enum { LARGE_ROWS = 1200000, TIGHT_FROM = 300000, CHECKED_EACH = 16384 };
    (void)state;
    if (resident_of_touch(/* is_large= */ false) != (size_t)sysconf(_SC_PAGESIZE)) {
        print_message("the machine does not tell what is resident\n");
        skip();
    }
    if (resident_of_touch(/* is_large= */ true) != TARN__REGION_EXTENT_BYTES) {
        print_message("no large pages here: checked with small ones\n");
    }
    fixture f;
    open_index(&f, SIZE_MAX, /* is_large= */ true);
    bool was_moving = false;
    uint32_t move_count = 0;
    for (uint32_t row = 0; row < LARGE_ROWS; row++) {
        f.index.is_tight = row >= TIGHT_FROM;
        assert_true(add(&f, row));
        const bool is_moving = f.index.old.slots != NULL;
        if (was_moving != is_moving || row % CHECKED_EACH == 0) {
            const size_t resident =
                resident_bytes(&f.index.regions[0]) + resident_bytes(&f.index.regions[1]);
            assert_true(resident <= f.index.memory + (is_moving ? TARN__REGION_EXTENT_BYTES : 0));
            move_count += was_moving && !is_moving;
        }
        was_moving = is_moving;
    }
    assert_true(move_count > 10);
    check_all(&f, 0, LARGE_ROWS);
    close_index(&f);
}

/* Whose tables would have more slots than numbers of 32 bits can count. */
static void test_an_index_of_more_than_a_milliard_rows_is_not_trimmed_without_end(void **state)
{
    (void)state;
    fixture f;
    open_index(&f, SIZE_MAX, /* is_large= */ false);
    assert_true(add(&f, 0));
    f.index.count = UINT32_MAX; /* Adding them would take too long. */
    tarn__index_trim(&f.index);
    f.index.count = 1;
    check_all(&f, 0, 1);
    close_index(&f);
}

static void test_a_table_grows_evenly(void **state)
{
    (void)state;
    fixture f;
    open_index(&f, SIZE_MAX, /* is_large= */ false);
    uint64_t before = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_true(add(&f, row));
        /* Two blocks in place of one, and the counts of the blocks of the next table. */
        assert_true(f.index.memory <= before + (2 * 8 << TARN__INDEX_BLOCK_LOG2) + 64);
        before = f.index.memory;
    }
    close_index(&f);
}

static void test_what_is_refused_loses_no_row(void **state)
{
    (void)state;
    for (size_t limit = 100; limit < 400000; limit = limit * 3 / 2) {
        fixture f;
        open_index(&f, limit, /* is_large= */ false);
        uint32_t refused_count = 0;
        uint32_t added[2000];
        uint32_t added_count = 0;
        for (uint32_t row = 0; row < ROWS && added_count < 2000; row++) {
            if (add(&f, row)) {
                added[added_count++] = row;
            } else {
                refused_count++;
            }
        }
        for (uint32_t i = 0; i < added_count; i++) {
            assert_int_equal(find(&f, added[i]), added[i] + 1);
        }
        assert_true(refused_count > 0 || limit > 10000);
        close_index(&f);
    }
}

/* A hash so many parts of 2^16 behind the begin of a block of eight, number of them different. */
static uint64_t hash_in(uint32_t block, uint32_t part, uint32_t number)
{
    return (uint64_t)block << 61 | (uint64_t)part << 45 | (uint64_t)number << 32;
}

/* Adds rows from first on, all of a part of a block of eight, until that is full. */
static uint32_t add_alike(fixture *f, uint32_t first, uint32_t block, uint32_t part)
{
    uint32_t count = 0;
    while (!tarn__index_is_full(&f->index, hash_in(block, part, count))) {
        tarn__index_add(&f->index, hash_in(block, part, count), first + count);
        count++;
    }
    return count;
}

/*
 * Rows that are alike on purpose, at the end of one block and at the begin of the next: the block
 * of the next table that they belong to has not room for all. What finds none stays where it is and
 * is found; the table goes on growing when some have left.
 */
static void test_a_block_that_finds_no_room_in_the_next_table_stays(void **state)
{
    enum { SPREAD = 13500, LATE = 60000, EARLY = 50000, AT_THE_END = 60000, AT_THE_BEGIN = 100 };
    (void)state;
    fixture f;
    open_index(&f, SIZE_MAX, /* is_large= */ false);
    for (uint32_t row = 0; row < SPREAD; row++) {
        assert_true(add(&f, row));
    }
    assert_int_equal(f.index.table.slot_count, 8 << TARN__INDEX_BLOCK_LOG2);
    assert_null(f.index.old.slots);
    f.index.is_tight = true;
    const uint32_t early = add_alike(&f, EARLY, 3, AT_THE_END);
    const uint32_t late = add_alike(&f, LATE, 4, AT_THE_BEGIN);
    while (tarn__index_step(&f.index)) {
    }
    assert_int_equal(f.index.table.slot_count, 9 << TARN__INDEX_BLOCK_LOG2);
    assert_non_null(f.index.old.slots);
    assert_false(tarn__index_step(&f.index));
    for (uint32_t row = 0; row < SPREAD; row++) {
        assert_int_equal(find(&f, row), row + 1);
    }
    for (uint32_t i = 0; i < early; i++) {
        const uint64_t hash = hash_in(3, AT_THE_END, i);
        assert_int_equal(find_of(&f, hash, EARLY + i), EARLY + i);
        tarn__index_replace(&f.index, hash, EARLY + i, 0);
    }
    for (uint32_t i = 0; i < late; i++) {
        assert_int_equal(find_of(&f, hash_in(4, AT_THE_BEGIN, i), LATE + i), LATE + i);
    }
    while (f.index.old.slots != NULL) {
        assert_true(tarn__index_step(&f.index));
    }
    for (uint32_t i = 0; i < late; i++) {
        assert_int_equal(find_of(&f, hash_in(4, AT_THE_BEGIN, i), LATE + i), LATE + i);
    }
    assert_int_equal(f.index.count, SPREAD + late);
    close_index(&f);
}

/* Hashes that an adversary chose: their block is full, and the table is not doubled without end. */
static void test_hashes_that_are_alike_do_not_make_the_table_grow_without_end(void **state)
{
    (void)state;
    fixture f;
    open_index(&f, SIZE_MAX, /* is_large= */ false);
    uint32_t added_count = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        const uint64_t hash = UINT64_C(0x1234567800000000) | row;
        while (tarn__index_is_due(&f.index, hash) && tarn__index_step(&f.index)) {
        }
        if (!tarn__index_is_full(&f.index, hash)) {
            tarn__index_add(&f.index, hash, row + 1);
            added_count++;
        }
    }
    assert_true(added_count < ROWS);
    assert_true(f.index.memory <= (uint64_t)added_count * 8 * 64);
    close_index(&f);
}

static void test_memory_of_a_region_that_was_given_back_is_zero(void **state)
{
    (void)state;
    tarn__region region;
    assert_true(tarn__region_open(&region, 1 << 20, 1 << 20));
    assert_int_equal((uintptr_t)region.base % TARN__REGION_EXTENT_BYTES, 0);
    memset(region.base, 'x', 1 << 20);
    tarn__region_give(&region, 100, 300000);
    assert_int_equal(region.base[99], 'x');
    assert_int_equal(region.base[300100], 'x');
    for (size_t i = 100; i < 300100; i++) {
        assert_int_equal(region.base[i], 0);
    }
    tarn__region_close(&region);
    /* More than a machine has is cut down. */
    assert_true(tarn__region_open(&region, (size_t)1 << 60, 1));
    assert_true(region.size >= TARN__REGION_EXTENT_BYTES);
    tarn__region_close(&region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_found_while_the_table_grows_and_after_it_was_trimmed),
        cmocka_unit_test(test_a_table_grows_evenly),
        cmocka_unit_test(test_a_table_grows_by_little_when_memory_is_short),
        cmocka_unit_test(test_an_insertion_moves_few_blocks_at_millions_of_rows),
        cmocka_unit_test(test_memory_in_large_pages_is_charged),
        cmocka_unit_test(test_an_index_of_more_than_a_milliard_rows_is_not_trimmed_without_end),
        cmocka_unit_test(test_a_block_that_finds_no_room_in_the_next_table_stays),
        cmocka_unit_test(test_what_is_refused_loses_no_row),
        cmocka_unit_test(test_hashes_that_are_alike_do_not_make_the_table_grow_without_end),
        cmocka_unit_test(test_memory_of_a_region_that_was_given_back_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
