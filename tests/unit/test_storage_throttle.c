/*
 * Unit tests of the shim that keeps a storage to its rates, and of who has one: directories too.
 * The clock is stopped, so waits are counted and nobody waits.
 */
#include <stdio.h>
#include <string.h>

#include "storage/shims.h"
#include "support/scratch.h"
#include "support/stopped_clock.h"
#include "support/support.h"

enum { BURST_MS = 100, PART_BYTES = 100, PART_COUNT = 10 };

static void put(tarn_storage *storage, const char *name, uint32_t part_count)
{
    static const char part[PART_BYTES];
    tarn_error error;
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(storage, name, 0, &upload, &error), &error);
    for (uint32_t i = 0; i < part_count; i++) {
        assert_ok(tarn__storage_append(upload, tarn_bytes_at(part, sizeof part), &error), &error);
    }
    assert_ok(tarn__storage_finish(upload, NULL, &error), &error);
}

static void test_bytes_and_requests_keep_their_rates(void **state)
{
    (void)state;
    static const struct {
        tarn__throttle_options options;
        uint64_t least_ms;
        uint64_t most_ms;
    } cases[] = {
        {{.bytes_per_s = 1000}, 900, 1000},
        {{.requests_per_s = 20}, 400, 500},
        {{.bytes_per_s = 0}, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tarn_error error;
        tarn__account account;
        stopped_clock time;
        tarn_storage *memory = NULL;
        tarn_storage *storage = NULL;
        tarn__account_init(&account, "test", NULL);
        stopped_clock_init(&time, (uint64_t)1000 * NS_PER_MS);
        assert_ok(tarn__memory_storage_new(&account, &memory, &error), &error);
        tarn__throttle_options o = cases[i].options;
        o.clock = &time.base;
        o.sleep = stopped_clock_sleep;
        o.sleep_context = &time;
        assert_ok(tarn__throttle_storage_new(memory, &o, &account, &storage, &error), &error);
        for (int n = 0; n < PART_COUNT; n++) {
            put(storage, "x", 1);
        }
        assert_in_range(
            time.slept_ns, cases[i].least_ms * NS_PER_MS, cases[i].most_ms * NS_PER_MS + 1);
        tarn__storage_free(storage);
        assert_int_equal(atomic_load(&account.block_count), 0);
    }
}

/* --- By address and configuration --- */

typedef struct fixture {
    scratch place;
    tarn__account account;
    tarn__storage_counters counters;
    stopped_clock time;
    tarn_config *config;
    tarn_error error;
} fixture;

/* limit: of bytes a second; NULL: the default. */
static void start(fixture *f, const char *limit)
{
    *f = (fixture){.config = NULL};
    scratch_init(&f->place);
    tarn__account_init(&f->account, "test", NULL);
    stopped_clock_init(&f->time, (uint64_t)1000 * NS_PER_MS);
    assert_ok(tarn_config_new(NULL, &f->config, &f->error), &f->error);
    if (limit != NULL) {
        assert_ok(
            tarn_config_set(f->config, "tarn.storage.bytes-per-second", limit, "test", &f->error),
            &f->error);
    }
}

static void stop(fixture *f)
{
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    tarn_config_free(f->config);
    scratch_clear(&f->place);
}

static tarn_storage *open_directory(fixture *f, const char *name)
{
    const tarn__storage_options options = {
        .address = scratch_join(f->place.path, name),
        .account = &f->account,
        .config = f->config,
        .counters = &f->counters,
        .clock = &f->time.base,
        .sleep = stopped_clock_sleep,
        .sleep_context = &f->time,
    };
    tarn_storage *storage = NULL;
    assert_ok(tarn__storage_open(&options, &storage, &f->error), &f->error);
    return storage;
}

/* Of which a pause may have saved up the burst. */
static void expect_slept(const fixture *f, uint64_t ms)
{
    const uint64_t least_ms = ms > BURST_MS ? ms - BURST_MS : 0;
    assert_in_range(f->time.slept_ns, least_ms * NS_PER_MS, ms * NS_PER_MS + 1);
}

static void test_a_directory_keeps_the_rate_that_is_set_up_and_down(void **state)
{
    (void)state;
    fixture f;
    char content[PART_BYTES * PART_COUNT];
    size_t size = 0;
    start(&f, "1000 bytes");
    tarn_storage *storage = open_directory(&f, "limited");
    put(storage, "x", PART_COUNT);
    expect_slept(&f, 1000);
    assert_int_equal(atomic_load(&f.counters.bytes_written), sizeof content);
    assert_ok(
        tarn__storage_read(storage, "x", 0, content, sizeof content, &size, &f.error), &f.error);
    assert_int_equal(size, sizeof content);
    expect_slept(&f, 2000);
    assert_int_equal(atomic_load(&f.counters.bytes_read), sizeof content);
    tarn__storage_free(storage);
    stop(&f);
}

static void test_a_directory_without_a_rate_never_waits(void **state)
{
    (void)state;
    fixture f;
    char content[PART_BYTES];
    size_t size = 0;
    start(&f, NULL);
    tarn_storage *storage = open_directory(&f, "unlimited");
    put(storage, "x", PART_COUNT);
    assert_ok(
        tarn__storage_read(storage, "x", 0, content, sizeof content, &size, &f.error), &f.error);
    assert_int_equal(f.time.slept_ns, 0);
    tarn__storage_free(storage);
    stop(&f);
}

/* Out of it, into it, and from one to another, through whatever stands over them. */
static void test_links_of_a_limited_directory_wait_for_nothing(void **state)
{
    (void)state;
    static const char content[PART_BYTES * PART_COUNT];
    fixture f;
    tarn_storage_info info;
    start(&f, "1000 bytes");
    tarn_storage *from = open_directory(&f, "from");
    tarn_storage *to = open_directory(&f, "to");
    char outside[PATH_MAX];
    (void)snprintf(outside, sizeof outside, "%s", scratch_join(f.place.path, "outside"));
    scratch_write(outside, content, sizeof content);
    assert_ok(tarn__storage_adopt(from, outside, "a/adopted", &f.error), &f.error);
    assert_ok(
        tarn__storage_link_out(from, "a/adopted", scratch_join(f.place.path, "linked"), &f.error),
        &f.error);
    assert_ok(tarn__storage_link(from, to, "a/adopted", &f.error), &f.error);
    assert_int_equal(f.time.slept_ns, 0);
    assert_int_equal(scratch_size(scratch_join(f.place.path, "linked")), sizeof content);
    assert_ok(tarn__storage_stat(to, "a/adopted", &info, &f.error), &f.error);
    assert_int_equal(info.size, sizeof content);
    assert_int_equal(atomic_load(&f.counters.bytes_read), 0);
    assert_int_equal(atomic_load(&f.counters.bytes_written), 0);
    tarn__storage_free(from);
    tarn__storage_free(to);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_and_requests_keep_their_rates),
        cmocka_unit_test(test_a_directory_keeps_the_rate_that_is_set_up_and_down),
        cmocka_unit_test(test_a_directory_without_a_rate_never_waits),
        cmocka_unit_test(test_links_of_a_limited_directory_wait_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
