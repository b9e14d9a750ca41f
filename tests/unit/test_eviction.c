/*
 * Unit tests of cache/evict.c: what comes to stay when memory is full, and what a full memory
 * costs.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "cache/workset.h"

enum {
    CAPACITY_BYTES = 256 << 10,
    COLD_ROWS = 20000,
    HOT_ROWS = 500,
    ROUNDS = 40,
    LAST_ROUNDS = 5,
    SCANNED_ROWS = 30000,
    USED_EACH = 16, /* Of a scan's rows: then some hot ones are used. */
    USES = 4,
    SMALL_BYTES = 64 << 10,
    SIZES = 12,
    LARGEST_BYTES = 200,
    ZIPF_ROWS = 250000,
    ZIPF_READS = 500000,
    ZIPF_CAPACITY_BYTES = 1100 << 10, /* An index that doubled would be half empty there. */
    ZIPF_ROW_BYTES = 44,
};

typedef struct fixture {
    tarn__account account;
    tarn__runs *runs; /* NULL: none. Nobody writes what they have. */
    tarn__workset *set;
    tarn__workset_family family;
    bool is_held;
    uint32_t release_count;
    tarn_error error;
} fixture;

static tarn_status write_nothing(
    void *context, const tarn__change *changes, size_t count, tarn_error *error)
{
    (void)context;
    (void)changes;
    (void)count;
    (void)error;
    return TARN_OK;
}

static tarn_status write_no_run(void *context, const tarn__run *run, tarn_error *error)
{
    (void)context;
    (void)run;
    (void)error;
    return TARN_OK;
}

static bool is_held(void *context)
{
    return ((const fixture *)context)->is_held;
}

static tarn_status release(void *context, tarn_error *error)
{
    fixture *f = context;
    f->release_count++;
    f->is_held = false;
    return tarn__workset_drain_all(f->set, error);
}

/* Reads a row as a state does, which keeps what it had to look for, and gives its bytes out. */
static bool is_hit(fixture *f, uint32_t number)
{
    char text[16];
    tarn__hot_key key;
    const int size = snprintf(text, sizeof text, "row %08u", number);
    tarn__hot_row *row =
        tarn__workset_find(f->set, &f->family, tarn_bytes_at(text, (size_t)size), &key);
    const bool was_there = row != NULL;
    if (row == NULL) {
        assert_ok(
            tarn__workset_set(
                f->set, &key, NULL, TARN__HOT_CLEAN, tarn_bytes_at("a value", 7), &row, &f->error),
            &f->error);
        assert_non_null(row);
    }
    tarn__workset_hold(f->set, &key);
    return was_there;
}

static void open_in_account(fixture *f, uint64_t capacity_bytes)
{
    const tarn__workset_options options = {
        .account = &f->account,
        .store = {.write = write_nothing, .is_held = is_held, .release = release, .context = f},
        .capacity_bytes = capacity_bytes,
        .runs = f->runs,
    };
    assert_ok(tarn__workset_open(&options, &f->set, &f->error), &f->error);
    assert_ok(tarn__workset_add_family(f->set, &f->family, &f->error), &f->error);
}

static void open_set(fixture *f, uint64_t capacity_bytes)
{
    tarn__account_init(&f->account, "test", NULL);
    open_in_account(f, capacity_bytes);
}

static void close_set(fixture *f)
{
    tarn__workset_remove_family(f->set, &f->family);
    tarn__workset_close(f->set);
    tarn__runs_close(f->runs);
    f->runs = NULL;
    assert_int_equal(f->account.bytes, 0);
}

/*
 * The rows that a program turns to stay, whatever filled the memory before. Evicting what had just
 * come, because the page of the row that was given out was left alone as a whole, let none of them.
 */
static void test_rows_that_are_used_again_displace_those_that_are_not(void **state)
{
    (void)state;
    static fixture f;
    open_set(&f, CAPACITY_BYTES);
    for (uint32_t i = 0; i < COLD_ROWS; i++) {
        (void)is_hit(&f, i);
    }
    uint32_t missed = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < HOT_ROWS; i++) {
            const bool was_there = is_hit(&f, COLD_ROWS + i);
            missed += round >= ROUNDS - LAST_ROUNDS && !was_there ? 1 : 0;
        }
    }
    assert_int_equal(missed, 0);
    close_set(&f);
}

/*
 * Rows that are used now and then while several times the memory is scanned stay, as a scan's rows
 * leave first. Whatever lets rows go in the order in which they came loses a third of them.
 */
static void test_rows_that_are_used_during_a_scan_outlast_it(void **state)
{
    (void)state;
    static fixture f;
    uint32_t missed = 0;
    uint32_t scanned = HOT_ROWS;
    open_set(&f, CAPACITY_BYTES);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < HOT_ROWS; i++) {
            const bool was_there = is_hit(&f, i);
            missed += round >= ROUNDS - LAST_ROUNDS && !was_there ? 1 : 0;
        }
        for (uint32_t i = 0; i < SCANNED_ROWS; i++) {
            (void)is_hit(&f, scanned++);
            for (uint32_t use = 0; i % USED_EACH == 0 && use < USES; use++) {
                (void)is_hit(&f, (i / USED_EACH * USES + use) % HOT_ROWS);
            }
        }
    }
    tarn__workset_figures figures;
    tarn__workset_measure(f.set, &figures);
    assert_true(SCANNED_ROWS >= 3 * figures.row_count); /* Several times the memory. */
    assert_in_range(missed, 0, LAST_ROUNDS * HOT_ROWS / 50);
    close_set(&f);
}

/* The sums of the probabilities of ranks, of which rank i has 1 / i parts. */
static void sum_zipf(double *sums)
{
    double sum = 0;
    for (uint32_t rank = 0; rank < ZIPF_ROWS; rank++) {
        sum += 1.0 / (rank + 1);
        sums[rank] = sum;
    }
}

/* The first rank whose sum is beyond a number. */
static uint32_t find_rank(const double *sums, double wanted)
{
    uint32_t low = 0;
    uint32_t high = ZIPF_ROWS - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (sums[middle] > wanted) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/*
 * Skewed reads of ten times the rows that there is room for. A row of 31 bytes takes a slot of 32;
 * with its part of the index it is to be 44 at most; and nine tenths of the reads are to hit that
 * would if the rows that are read most were always there, which is the most that can be.
 */
static void test_most_skewed_reads_hit(void **state)
{
    (void)state;
    static fixture f;
    static double sums[ZIPF_ROWS];
    tarn__workset_figures figures;
    tarn__random random = {20};
    uint64_t hit_count = 0;
    sum_zipf(sums);
    open_set(&f, ZIPF_CAPACITY_BYTES);
    for (uint32_t i = 0; i < 2 * ZIPF_READS; i++) {
        const double number = (double)(tarn__random_next(&random) >> 11) * 0x1.0p-53;
        const uint32_t rank = find_rank(sums, number * sums[ZIPF_ROWS - 1]);
        hit_count += is_hit(&f, rank) && i >= ZIPF_READS ? 1 : 0;
    }
    tarn__workset_measure(f.set, &figures);
    assert_true(figures.memory_bytes <= ZIPF_CAPACITY_BYTES);
    assert_true(figures.row_count * ZIPF_ROW_BYTES >= ZIPF_CAPACITY_BYTES);
    const double most = sums[figures.row_count - 1] / sums[ZIPF_ROWS - 1];
    assert_true((double)hit_count >= 0.9 * most * ZIPF_READS);
    close_set(&f);
}

/* Writes a row of a size of its own; false: it is not kept. */
static bool is_kept(fixture *f, uint8_t number)
{
    static const uint8_t VALUE[LARGEST_BYTES];
    tarn__hot_key key;
    const tarn_bytes row = tarn_bytes_at(&number, 1);
    tarn__hot_row *found = tarn__workset_find(f->set, &f->family, row, &key);
    tarn__hot_row *kept = NULL;
    const tarn_bytes value = tarn_bytes_at(VALUE, (size_t)number * LARGEST_BYTES / SIZES);
    assert_ok(
        tarn__workset_set(f->set, &key, found, TARN__HOT_DIRTY, value, &kept, &f->error),
        &f->error);
    return kept != NULL;
}

/* What was made far smaller has room for rows of many sizes, as if it had been opened so. */
static void test_a_set_that_was_made_smaller_has_smaller_pages(void **state)
{
    static const uint64_t CAPACITIES[] = {64 << 20, SMALL_BYTES, 1 << 20, SMALL_BYTES};
    (void)state;
    static fixture f;
    tarn__workset_figures figures;
    open_set(&f, 32 << 20);
    for (size_t i = 0; i < sizeof CAPACITIES / sizeof CAPACITIES[0]; i++) {
        assert_ok(tarn__workset_resize(f.set, CAPACITIES[i], &f.error), &f.error);
        for (uint8_t number = 0; number < SIZES; number++) {
            assert_true(is_kept(&f, number));
        }
        tarn__workset_measure(f.set, &figures);
        assert_int_equal(figures.row_count, SIZES);
        assert_true(figures.memory_bytes <= CAPACITIES[i]);
    }
    tarn__workset_measure(f.set, &figures);
    assert_true(figures.written_count >= SIZES); /* What was dirty when all left. */
    close_set(&f);
}

/* ---- while a snapshot is drained -------------------------------------------------------- */

static void open_with_runs(fixture *f, uint64_t capacity_bytes)
{
    memset(f, 0, sizeof *f);
    tarn__account_init(&f->account, "test", NULL);
    const tarn__runs_options options = {.account = &f->account, .write = write_no_run};
    assert_ok(tarn__runs_open(&options, &f->runs, &f->error), &f->error);
    open_in_account(f, capacity_bytes);
}

/* Puts a row that is not there in; false: it is not kept. */
static bool is_put(fixture *f, uint32_t number, tarn__hot_state row_state, bool is_only_read)
{
    char text[16];
    tarn__hot_key key;
    const int size = snprintf(text, sizeof text, "row %08u", number);
    const tarn_bytes row = tarn_bytes_at(text, (size_t)size);
    tarn__hot_row *kept = tarn__workset_find(f->set, &f->family, row, &key);
    assert_null(kept);
    key.is_only_read = is_only_read;
    assert_ok(
        tarn__workset_set(
            f->set, &key, NULL, row_state, tarn_bytes_at("a value", 7), &kept, &f->error),
        &f->error);
    return kept != NULL;
}

/* Fills memory with so many rows that are frozen. */
static void fill_and_freeze(fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_true(is_put(f, i, TARN__HOT_DIRTY, false));
    }
    tarn__workset_freeze(f->set);
    f->is_held = true;
}

static tarn__workset_figures measure(const fixture *f)
{
    tarn__workset_figures figures;
    tarn__workset_measure(f->set, &figures);
    return figures;
}

/* The rows that there is room for before one is evicted. */
static uint32_t rows_that_fit(uint64_t capacity_bytes)
{
    static fixture f;
    uint32_t count = 0;
    open_with_runs(&f, capacity_bytes);
    while (measure(&f).evicted_count == 0) {
        assert_true(is_put(&f, count++, TARN__HOT_DIRTY, false));
    }
    close_set(&f);
    return count - 1;
}

/*
 * All that is in memory waits to go by a run. A read does without memory; what is about to be
 * changed has a few rows written.
 */
static void test_frozen_rows_are_not_written_for_a_row_that_is_only_read(void **state)
{
    enum { FEW = 64 };
    (void)state;
    static fixture f;
    open_with_runs(&f, SMALL_BYTES);
    fill_and_freeze(&f, rows_that_fit(SMALL_BYTES));
    const uint64_t before = measure(&f).written_count;
    assert_false(is_put(&f, COLD_ROWS, TARN__HOT_CLEAN, /* is_only_read= */ true));
    assert_int_equal(measure(&f).written_count, before);
    assert_true(is_put(&f, COLD_ROWS, TARN__HOT_CLEAN, /* is_only_read= */ false));
    assert_in_range(measure(&f).written_count, before + 1, before + FEW);
    assert_int_equal(f.release_count, 0);
    close_set(&f);
}

/* It is the index that has no room: rows are written for it too, and nobody waits for all of them.
 */
static void test_frozen_rows_are_written_when_the_index_is_full(void **state)
{
    enum { FULL_CAPACITY_BYTES = 20 << 10, FULL_ROWS = 512 / 8 * 7 };
    (void)state;
    static fixture f;
    open_with_runs(&f, FULL_CAPACITY_BYTES);
    fill_and_freeze(&f, FULL_ROWS);
    assert_int_equal(measure(&f).row_count, FULL_ROWS);
    assert_int_equal(measure(&f).written_count, 0);
    assert_true(is_put(&f, FULL_ROWS, TARN__HOT_DIRTY, /* is_only_read= */ false));
    assert_in_range(measure(&f).written_count, 1, FULL_ROWS);
    assert_int_equal(f.release_count, 0);
    close_set(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_that_are_used_again_displace_those_that_are_not),
        cmocka_unit_test(test_rows_that_are_used_during_a_scan_outlast_it),
        cmocka_unit_test(test_most_skewed_reads_hit),
        cmocka_unit_test(test_frozen_rows_are_not_written_for_a_row_that_is_only_read),
        cmocka_unit_test(test_frozen_rows_are_written_when_the_index_is_full),
        cmocka_unit_test(test_a_set_that_was_made_smaller_has_smaller_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
