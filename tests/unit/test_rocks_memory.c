/*
 * Unit tests of rocks/memory.c: memtables of all databases together stay within the hard limit,
 * whoever writes and whoever idles. Sums are read from RocksDB's own properties, not from what the
 * watcher believes.
 */
#include "support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "rocks/db.h"
#include "support/state_fixture.h"

enum {
    DATABASES = 3,
    CAPACITY_BYTES = 1 << 20, /* Of memtables: mutable limit 7/8, hard limit 1.5 times. */
    HARD_LIMIT_BYTES = CAPACITY_BYTES + CAPACITY_BYTES / 2,
    TOTAL_BYTES = 3 << 20,
    VALUE_BYTES = 1000,
    ROWS = 12000, /* About 12 MB: many times the budget. */
    /* A writer looks every 14 KiB (the limit's 64th part): what others add meanwhile. */
    SLACK_BYTES = DATABASES * (16 << 10) + DATABASES * (8 << 10),
};

typedef struct fixture {
    tarn__account account;
    tarn__rocks_memory *memory;
    tarn__rocks_settings settings;
    tarn__rocks *databases[DATABASES];
    tarn__rocks_family *families[DATABASES];
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} fixture;

static tarn__rocks_memory_options memory_options(fixture *f)
{
    return (tarn__rocks_memory_options){
        .account = &f->account,
        .clock = tarn__clock_system(),
        .is_managed = true,
        .total_bytes = TOTAL_BYTES,
        .cache_capacity_bytes = TOTAL_BYTES - CAPACITY_BYTES / 2,
        .write_buffer_capacity_bytes = CAPACITY_BYTES,
        .mutable_limit_bytes = CAPACITY_BYTES / 8 * 7,
        .high_priority_ratio = -1,
    };
}

static void open_databases(fixture *f)
{
    for (int i = 0; i < DATABASES; i++) {
        char path[FIXTURE_PATH_BYTES + 16];
        (void)snprintf(path, sizeof path, "%s/%d", f->directory, i);
        const tarn__rocks_open_options options = {
            .account = &f->account,
            .memory = f->memory,
            .directory = path,
            .settings = &f->settings,
        };
        assert_ok(tarn__rocks_open(&options, &f->databases[i], &f->error), &f->error);
        assert_ok(
            tarn__rocks_create_family(
                f->databases[i], "state", &f->settings, &f->families[i], &f->error),
            &f->error);
    }
}

static int setup(void **state)
{
    static fixture f;
    tarn__account_init(&f.account, "test", NULL);
    const tarn__rocks_memory_options options = memory_options(&f);
    assert_ok(tarn__rocks_memory_open(&options, &f.memory, &f.error), &f.error);
    tarn__rocks_settings_init(&f.settings);
    f.settings.write_buffer_bytes = 64 << 20; /* Only the watcher flushes. */
    f.settings.arena_block_bytes = 8 << 10;
    fixture_make_directory(f.directory);
    open_databases(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < DATABASES; i++) {
        tarn__rocks_close(f->databases[i]);
    }
    tarn__rocks_memory_stats stats;
    tarn__rocks_memory_measure(f->memory, &stats);
    assert_int_equal(stats.memtable_bytes, 0); /* Meters that close take their figures along. */
    assert_int_equal(stats.memtable_active_bytes, 0);
    tarn__rocks_memory_close(f->memory);
    fixture_remove_directory(f->directory);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    return 0;
}

static void put_row(tarn__rocks_family *family, uint64_t number)
{
    uint8_t value[VALUE_BYTES];
    tarn_error error;
    memset(value, (int)(number & 0xff), sizeof value);
    assert_ok(
        tarn__rocks_put(
            family,
            tarn_bytes_at(&number, sizeof number),
            tarn_bytes_at(value, sizeof value),
            &error),
        &error);
}

static uint64_t measured_memtables(fixture *f)
{
    uint64_t sum = 0;
    for (int i = 0; i < DATABASES; i++) {
        tarn__rocks_stats stats;
        tarn__rocks_measure(f->databases[i], &stats);
        sum += stats.memtable_bytes;
    }
    return sum;
}

static void test_memtables_of_all_databases_stay_within_the_limit(void **state)
{
    fixture *f = *state;
    uint64_t largest = 0;
    for (uint64_t i = 0; i < ROWS; i++) {
        put_row(f->families[i % DATABASES], i);
        if (i % 8 == 0) {
            const uint64_t measured = measured_memtables(f);
            largest = measured > largest ? measured : largest;
        }
    }
    if (largest > HARD_LIMIT_BYTES + SLACK_BYTES) {
        fail_msg("memtables had %llu bytes", (unsigned long long)largest);
    }
    assert_true(largest > CAPACITY_BYTES / 2); /* The budget is used, too. */
    tarn__rocks_memory_stats stats;
    tarn__rocks_memory_measure(f->memory, &stats);
    assert_true(stats.flush_count >= ROWS / 1000 - 2);
    assert_int_equal(stats.memtable_limit_bytes, HARD_LIMIT_BYTES);
    /* Where RocksDB can charge memtables to the cache, the cache may have what they leave. */
    assert_int_equal(
        stats.cache_capacity_bytes,
        TARN_HAVE_WRITE_BUFFER_MANAGER ? TOTAL_BYTES - CAPACITY_BYTES / 2
                                       : TOTAL_BYTES - HARD_LIMIT_BYTES);
}

/* RocksDB's own manager flushes the database that writes, however little it holds. */
static void test_an_idle_database_gives_its_memory_to_a_busy_one(void **state)
{
    fixture *f = *state;
    for (uint64_t i = 0; i < 700; i++) {
        put_row(f->families[0], i);
    }
    tarn__rocks_stats idle;
    tarn__rocks_measure(f->databases[0], &idle);
    assert_true(idle.memtable_bytes > 600000);
    for (uint64_t i = 0; i < 700; i++) {
        put_row(f->families[1], i);
    }
    tarn__rocks_stats busy;
    tarn__rocks_measure(f->databases[1], &busy);
    assert_ok(tarn__rocks_flush(f->databases[0], &f->error), &f->error); /* Waits for it. */
    tarn__rocks_measure(f->databases[0], &idle);
    assert_true(idle.memtable_bytes < 100000);
    assert_true(idle.live_file_bytes > 0);
    assert_int_equal(busy.live_file_bytes, 0); /* It never had to flush. */
}

/* An iterator keeps memtables that are flushed already: waiting would never help. */
static void test_memory_that_iterators_keep_does_not_stall_writers_for_ever(void **state)
{
    fixture *f = *state;
    tarn__rocks_iterator *iterators[6];
    uint64_t row = 0;
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < 400; j++) {
            put_row(f->families[0], row++);
        }
        assert_ok(
            tarn__rocks_iterate(
                f->families[0],
                tarn_bytes_of("\x01"),
                tarn_bytes_of("\xff"),
                &iterators[i],
                &f->error),
            &f->error);
    }
    tarn__rocks_memory_stats stats;
    tarn__rocks_memory_measure(f->memory, &stats);
    assert_true(stats.memtable_bytes > HARD_LIMIT_BYTES);
    assert_true(stats.stall_ns < (uint64_t)TARN__ROCKS_STALL_MS_MAX * 1000 * 1000);
    for (int i = 0; i < 6; i++) {
        tarn__rocks_iterator_close(iterators[i]);
    }
}

/* Profiles may keep several frozen memtables before they flush: the limit holds all the same. */
static void test_frozen_memtables_that_wait_to_be_merged_are_flushed(void **state)
{
    fixture *f = *state;
    tarn__rocks_family *family = NULL;
    f->settings.write_buffer_bytes = 256 << 10;
    f->settings.write_buffer_count = 16;
    f->settings.write_buffer_merge_count = 15;
    assert_ok(
        tarn__rocks_create_family(f->databases[0], "merging", &f->settings, &family, &f->error),
        &f->error);
    uint64_t largest = 0;
    for (uint64_t i = 0; i < 6000; i++) {
        put_row(family, i);
        if (i % 8 == 0) {
            const uint64_t measured = measured_memtables(f);
            largest = measured > largest ? measured : largest;
        }
    }
    if (largest > HARD_LIMIT_BYTES + SLACK_BYTES) {
        fail_msg("memtables had %llu bytes", (unsigned long long)largest);
    }
}

typedef struct writer {
    fixture *f;
    int index;
} writer;

/* Writes, and opens and closes families meanwhile, as other threads look at them. */
static void *write_rows(void *context)
{
    const writer *self = context;
    for (uint64_t i = 0; i < ROWS / 4; i++) {
        put_row(self->f->families[self->index], i);
        if (i % 500 == 0) {
            tarn__rocks_family *family = NULL;
            tarn_error error;
            char name[32];
            (void)snprintf(name, sizeof name, "extra-%llu", (unsigned long long)i);
            assert_ok(
                tarn__rocks_create_family(
                    self->f->databases[self->index], name, &self->f->settings, &family, &error),
                &error);
            put_row(family, i);
            tarn__rocks_drop_family(family);
        }
    }
    return NULL;
}

static void test_writers_on_threads_of_their_own_stay_within_the_limit(void **state)
{
    fixture *f = *state;
    pthread_t threads[DATABASES];
    writer writers[DATABASES];
    for (int i = 0; i < DATABASES; i++) {
        writers[i] = (writer){f, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_rows, &writers[i]), 0);
    }
    for (int i = 0; i < DATABASES; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    tarn__rocks_memory_stats stats;
    tarn__rocks_memory_measure(f->memory, &stats);
    assert_true(stats.memtable_bytes <= HARD_LIMIT_BYTES + SLACK_BYTES);
    assert_true(stats.flush_count > 0);
}

static void test_the_cache_is_one_for_all_databases(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < DATABASES; i++) {
        for (uint64_t row = 0; row < 50; row++) {
            put_row(f->families[i], row);
        }
        assert_ok(tarn__rocks_flush(f->databases[i], &f->error), &f->error);
    }
    tarn__rocks_memory_stats before;
    tarn__rocks_memory_measure(f->memory, &before);
    for (int i = 0; i < DATABASES; i++) {
        for (uint64_t row = 0; row < 50; row++) {
            tarn__rocks_pin pin = {.slice = NULL};
            tarn_bytes value;
            assert_ok(
                tarn__rocks_get(
                    f->families[i], tarn_bytes_at(&row, sizeof row), &pin, &value, &f->error),
                &f->error);
            assert_int_equal(value.size, VALUE_BYTES);
            tarn__rocks_unpin(&pin);
        }
    }
    tarn__rocks_memory_stats after;
    tarn__rocks_memory_measure(f->memory, &after);
    assert_true(after.cache_used_bytes >= before.cache_used_bytes + DATABASES * 40000);
    assert_true(after.cache_used_bytes <= after.cache_capacity_bytes);
}

/* A ratio for high priority is only reachable through a text; the cache is one all the same. */
static void test_a_cache_with_a_ratio_is_shared_and_measured(void **state)
{
    (void)state;
    fixture *f = *state;
    tarn__rocks_memory *memory = NULL;
    tarn__rocks_memory_options options = memory_options(f);
    options.high_priority_ratio = 0.1;
    assert_ok(tarn__rocks_memory_open(&options, &memory, &f->error), &f->error);
    char path[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/ratio", f->directory);
    const tarn__rocks_open_options open_options = {
        .account = &f->account,
        .memory = memory,
        .directory = path,
        .settings = &f->settings,
    };
    tarn__rocks *rocks = NULL;
    tarn__rocks_family *family = NULL;
    assert_ok(tarn__rocks_open(&open_options, &rocks, &f->error), &f->error);
    assert_ok(
        tarn__rocks_create_family(rocks, "state", &f->settings, &family, &f->error), &f->error);
    for (uint64_t row = 0; row < 50; row++) {
        put_row(family, row);
    }
    assert_ok(tarn__rocks_flush(rocks, &f->error), &f->error);
    tarn__rocks_memory_stats stats;
    tarn__rocks_memory_measure(memory, &stats);
    assert_true(stats.cache_used_bytes > 0);
    assert_int_equal(stats.cache_capacity_bytes, TOTAL_BYTES - HARD_LIMIT_BYTES);
    tarn__rocks_close(rocks);
    tarn__rocks_memory_close(memory);
}

static void test_impossible_memory_is_refused_with_the_numbers(void **state)
{
    fixture *f = *state;
    tarn__rocks_memory *memory = NULL;
    tarn__rocks_memory_options options = memory_options(f);
    options.total_bytes = HARD_LIMIT_BYTES;
    assert_int_equal(tarn__rocks_memory_open(&options, &memory, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "1572864"));
    options = memory_options(f);
    options.high_priority_ratio = 1.5;
    assert_int_equal(tarn__rocks_memory_open(&options, &memory, &f->error), TARN_INVALID_ARGUMENT);
    assert_null(memory);

    tarn__rocks_family *family = NULL;
    f->settings.arena_block_bytes = CAPACITY_BYTES;
    assert_int_equal(
        tarn__rocks_create_family(f->databases[0], "endless", &f->settings, &family, &f->error),
        TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "1048576"));
    assert_non_null(strstr(f->error.message, "endless"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_memtables_of_all_databases_stay_within_the_limit),
        TEST(test_an_idle_database_gives_its_memory_to_a_busy_one),
        TEST(test_memory_that_iterators_keep_does_not_stall_writers_for_ever),
        TEST(test_frozen_memtables_that_wait_to_be_merged_are_flushed),
        TEST(test_writers_on_threads_of_their_own_stay_within_the_limit),
        TEST(test_the_cache_is_one_for_all_databases),
        TEST(test_a_cache_with_a_ratio_is_shared_and_measured),
        TEST(test_impossible_memory_is_refused_with_the_numbers),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
