/*
 * Property of restores at another parallelism: whatever was written to every kind of state, in any
 * namespace and with a time to live, to timers of both domains and to the state of the operator,
 * wherever it lies (memtables, many small files, levels, folded or not), a restore of the
 * checkpoint by any number of subtasks has each key exactly once, with all that it had; each
 * element of a split list once in all, those of a union list and a broadcast map once in each
 * subtask.
 *
 * The matrix goes from each of 1 .. 8 subtasks to each; 128 to 3, and 2 to 128 to 1, stand for the
 * large steps. A seed walks on from restore to restore, so that leftovers of the last one are in
 * the next one's way. There are several ways from a checkpoint's files to a backend (WAYS).
 * TARN_LONG=1 walks the whole matrix and the large steps in each of them; else a few pairs are
 * drawn in some.
 *
 *     TARN_LONG=1 TARN_MATRIX=3-4 test_property_rescale test_matrix_linked
 *
 * is a part of it: the test whose name matches, from 3 and from 4 subtasks to each.
 */
#include "property/rescale_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARALLELISM_MAX = 8,
    PAIRS = SANITIZES_THREADS ? 2 : 5, /* Drawn when the matrix is not run as a whole. */
};

static const way WAYS[] = {
    {.name = "linked", .links = true},
    {.name = "linked_cut", .links = true, .cuts = true},
    {.name = "copied"},
    {.name = "copied_cut", .cuts = true},
    {.name = "parts_linked", .links = true, .reads_parts = true},
    {.name = "parts_copied", .reads_parts = true},
    {.name = "parts_copied_cut", .cuts = true, .reads_parts = true},
    {.name = "rows", .links = true, .is_by_rows = true},
};

enum { WAY_COUNT = sizeof WAYS / sizeof WAYS[0] };

/* Of all walks. */
static uint32_t joined_total;
static uint32_t by_rows_total;

/* Writes, takes a checkpoint, and writes what must not come back. */
static void live_a_while(job *j)
{
    static cell saved[KEYS];
    for (uint32_t round = 0; round < 2; round++) {
        job_write_some(j, KEYS * 2);
        job_settle(j);
    }
    atomic_fetch_add(&j->now_ms, job_below(j, TTL_MS));
    job_write_some(j, KEYS);
    job_write_operators(j, job_below(j, 40));
    job_take_checkpoint(j);
    if (job_below(j, 2) == 0) {
        job_expect_tidy(j);
        job_take_checkpoint(j);
    }
    memcpy(saved, j->cells, sizeof saved);
    const uint32_t split_count = j->split_count;
    job_write_some(j, KEYS / 2);
    job_write_operators(j, 5);
    atomic_fetch_add(&j->now_ms, job_below(j, TTL_MS / 2));
    memcpy(j->cells, saved, sizeof saved);
    j->split_count = split_count;
}

static uint64_t first_seed(void)
{
    const char *text = getenv("TARN_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 20261123;
}

static bool is_long(void)
{
    return getenv("TARN_LONG") != NULL;
}

/* Whether what a long walk has seen is what the way is there for. */
static void expect_way(const job *j, const way *w)
{
    joined_total += j->joined_count;
    by_rows_total += j->by_rows_count;
    assert_true(j->part_count > 0 || !w->reads_parts);
    assert_true(j->joined_count == 0 || !w->is_by_rows);
    if (is_long()) {
        const bool has_holes = w->reads_parts && !w->links;
        assert_true(j->joined_count > 0 || w->is_by_rows || has_holes);
        assert_true(j->by_rows_count > 0 || !(w->is_by_rows || has_holes));
    }
}

static void walk(const way *w, const uint32_t *parallelisms, size_t count, uint32_t max)
{
    static job j;
    print_message("%s: TARN_SEED=%llu\n", w->name, (unsigned long long)first_seed());
    job_set_up(&j, first_seed() + (uint64_t)(w - WAYS), max, w);
    job_open(&j, parallelisms[0], NULL);
    for (size_t i = 1; i < count; i++) {
        live_a_while(&j);
        job_restore(&j, parallelisms[i]);
        if (is_long()) {
            print_message("%s: %u to %u\n", w->name, parallelisms[i - 1], parallelisms[i]);
        }
    }
    job_tear_down(&j);
    print_message(
        "%s: %zu restores, %u backends of files, %u of rows, %llu files by parts\n",
        w->name,
        count - 1,
        j.joined_count,
        j.by_rows_count,
        (unsigned long long)j.part_count);
    assert_true(j.expired_count > 0);
    expect_way(&j, w);
}

/* The rows of the matrix that are wanted: all, or TARN_MATRIX=from-to. */
static void choose_rows(uint32_t *from, uint32_t *to)
{
    const char *text = getenv("TARN_MATRIX");
    *from = 1;
    *to = PARALLELISM_MAX;
    if (text != NULL) {
        assert_int_equal(sscanf(text, "%" SCNu32 "-%" SCNu32, from, to), 2);
        assert_in_range(*from, 1, *to);
        assert_in_range(*to, *from, PARALLELISM_MAX);
    }
}

static void test_matrix(void **state)
{
    const way *w = *state;
    uint32_t path[2 * PARALLELISM_MAX * PARALLELISM_MAX + 1];
    size_t count = 0;
    uint32_t from;
    uint32_t to;
    tarn__random random = {first_seed() + (uint64_t)(w - WAYS)};

    choose_rows(&from, &to);
    for (uint32_t p = from; is_long() && p <= to; p++) {
        for (uint32_t q = 1; q <= PARALLELISM_MAX; q++) {
            path[count++] = p;
            path[count++] = q;
        }
    }
    while (count <= PAIRS) {
        path[count++] = 1 + (uint32_t)tarn__random_below(&random, PARALLELISM_MAX);
    }
    walk(w, path, count, 128);
}

/*
 * As many subtasks as key groups: none of theirs is divided, so that each of their files is taken
 * as a whole. What the large step has made of them is divided by the small one behind it, and read
 * by parts.
 */
static void test_large_steps(void **state)
{
    const uint32_t many = is_long() ? SUBTASKS_MAX : 12;
    walk(*state, (const uint32_t[]){many, 3, 2, many, 1}, 5, many);
}

/* Both are done, or one of them would be tried by nothing here. */
static void test_files_are_added_and_rows_taken_over(void **state)
{
    (void)state;
    print_message("%u backends of files, %u of rows\n", joined_total, by_rows_total);
    assert_true(joined_total > 0);
    assert_true(by_rows_total > 0);
}

/* Ways that are tried in every run of the tests: few, as each takes seconds. */
static bool is_wanted(const way *w, const char *const *names)
{
    for (; *names != NULL && !is_long(); names++) {
        if (strcmp(w->name, *names) == 0) {
            return true;
        }
    }
    return is_long();
}

static size_t add_tests(
    struct CMUnitTest *tests, const char *prefix, CMUnitTestFunction test, const char *const *names)
{
    static char room[2 * WAY_COUNT][64];
    static size_t named_count;
    size_t count = 0;
    for (size_t i = 0; i < WAY_COUNT; i++) {
        if (is_wanted(&WAYS[i], names)) {
            char *name = room[named_count++];
            (void)snprintf(name, sizeof room[0], "%s_%s", prefix, WAYS[i].name);
            tests[count++] = (struct CMUnitTest){
                .name = name, .test_func = test, .initial_state = (void *)(uintptr_t)&WAYS[i]};
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[2 * WAY_COUNT + 1];
    size_t count = 0;
    count += add_tests(
        tests, "test_matrix", test_matrix, (const char *const[]){"linked", "parts_copied", NULL});
    count += add_tests(
        tests + count,
        "test_large_steps",
        test_large_steps,
        (const char *const[]){"parts_linked", "rows", NULL});
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    } else { /* Of all before it. */
        tests[count++] =
            (struct CMUnitTest)cmocka_unit_test(test_files_are_added_and_rows_taken_over);
    }
    return _cmocka_run_group_tests("rescale", tests, count, NULL, NULL);
}
