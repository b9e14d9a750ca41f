/*
 * Unit tests of rocks/expiry.c beside RocksDB's own threads: a compaction that still asks the
 * filter of a family which is gone. The clock, which the filter looks at, holds the compaction
 * there.
 */
#include "support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "rocks/db.h"
#include "support/state_fixture.h"

enum {
    TOTAL_BYTES = 8 << 20,
    FLUSHES = 6, /* More files than level 0 has before a compaction begins. */
    ROWS = 500,
    STAMP_BYTES = 8,
};

/* A clock that holds who looks at it until it is opened. */
typedef struct held_clock {
    tarn__clock clock;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t look_count;
    bool is_open;
} held_clock;

static int64_t look(void *context)
{
    held_clock *held = context;
    (void)pthread_mutex_lock(&held->mutex);
    held->look_count++;
    (void)pthread_cond_broadcast(&held->changed);
    while (!held->is_open) {
        (void)pthread_cond_wait(&held->changed, &held->mutex);
    }
    (void)pthread_mutex_unlock(&held->mutex);
    return 1;
}

static uint64_t count_ns(void *context)
{
    (void)context;
    return 1;
}

static void await_look(held_clock *held)
{
    (void)pthread_mutex_lock(&held->mutex);
    while (held->look_count == 0) {
        (void)pthread_cond_wait(&held->changed, &held->mutex);
    }
    (void)pthread_mutex_unlock(&held->mutex);
}

static void open_clock(held_clock *held)
{
    (void)pthread_mutex_lock(&held->mutex);
    held->is_open = true;
    (void)pthread_cond_broadcast(&held->changed);
    (void)pthread_mutex_unlock(&held->mutex);
}

static void fill(tarn__rocks *rocks, tarn__rocks_family *family)
{
    tarn_error error;
    for (uint32_t flush = 0; flush < FLUSHES; flush++) {
        for (uint32_t i = 0; i < ROWS; i++) {
            const uint8_t value[STAMP_BYTES] = {0x40};
            const tarn_bytes key = tarn_bytes_at(&i, sizeof i);
            assert_ok(
                tarn__rocks_put(family, key, tarn_bytes_at(value, sizeof value), &error), &error);
        }
        assert_ok(tarn__rocks_flush(rocks, &error), &error);
    }
}

static void test_a_compaction_outlives_its_family(void **state)
{
    (void)state;
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
    tarn__account account;
    tarn__rocks_memory *memory = NULL;
    tarn__rocks *rocks = NULL;
    tarn__rocks_family *family = NULL;
    tarn__rocks_settings settings;
    held_clock held = {
        .clock = {.monotonic_ns = count_ns, .wall_ms = look, .context = &held},
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    fixture_make_directory(directory);
    tarn__account_init(&account, "test", NULL);
    const tarn__rocks_memory_options memory_options = {
        .account = &account,
        .clock = tarn__clock_system(),
        .is_managed = true,
        .total_bytes = TOTAL_BYTES,
        .cache_capacity_bytes = TOTAL_BYTES / 2,
        .write_buffer_capacity_bytes = TOTAL_BYTES / 2,
        .mutable_limit_bytes = TOTAL_BYTES / 4,
        .high_priority_ratio = -1,
    };
    assert_ok(tarn__rocks_memory_open(&memory_options, &memory, &error), &error);
    tarn__rocks_settings_init(&settings);
    const tarn__rocks_open_options options = {
        .account = &account, .memory = memory, .directory = directory, .settings = &settings};
    assert_ok(tarn__rocks_open(&options, &rocks, &error), &error);
    assert_ok(tarn__rocks_create_family(rocks, "state", &settings, &family, &error), &error);
    const tarn__expiry_rules rules = {.ttl_ms = 1, .clock = &held.clock, .query_every = 1};
    assert_ok(tarn__rocks_set_expiry(family, &rules, 0, 0, &error), &error);
    fill(rocks, family);
    await_look(&held);

    assert_ok(tarn__rocks_remove_family(family, &error), &error);
    assert_true(atomic_load(&account.block_count) > 0); /* What it still asks is there. */
    open_clock(&held);

    tarn__rocks_close(rocks); /* Waits for the compaction. */
    tarn__rocks_memory_close(memory);
    fixture_remove_directory(directory);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_compaction_outlives_its_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
