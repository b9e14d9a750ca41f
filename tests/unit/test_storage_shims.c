/* Unit tests of the shims: what each changes, and that nothing waits for real. */
#include <stdio.h>
#include <string.h>

#include "storage/shims.h"
#include "support/scratch.h"
#include "support/stopped_clock.h"
#include "support/support.h"

/* A storage that fails so many times before it does what the one in memory does. */
typedef struct flaky {
    tarn__shim shim;
    tarn_storage_ops ops;
    uint32_t failures;
    uint32_t calls;
    tarn_status status;
    uint64_t pause_ms;
    size_t drop; /* Bytes that each reading gets on before it fails. */
} flaky;

static tarn_status flaky_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    flaky *self = (flaky *)base;
    self->calls++;
    if (self->failures > 0) {
        self->failures--;
        return tarn__fail(error, self->status, "no luck with %s", name);
    }
    *out = (tarn_storage_info){.size = 42};
    return TARN_OK;
}

/* Gives some bytes, and fails unless those were the last ones. */
static tarn_status flaky_get(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    tarn_error *error)
{
    static const uint8_t bytes[1 << 20];
    flaky *self = (flaky *)base;
    (void)offset;
    self->calls++;
    const size_t part = size < self->drop ? (size_t)size : self->drop;
    const tarn_status status = sink(context, tarn_bytes_at(bytes, part), error);
    if (status != TARN_OK || part == size) {
        return status;
    }
    return tarn__fail(error, self->status, "no luck with the rest of %s", name);
}

static uint64_t flaky_pause(tarn_storage *base)
{
    return ((flaky *)base)->pause_ms;
}

typedef struct fixture {
    tarn__account account;
    stopped_clock time;
    flaky *below;
    tarn_storage *storage;
    tarn_error error;
} fixture;

static void open_retry(fixture *f, uint32_t failures, tarn_status status, tarn__retry_options o)
{
    *f = (fixture){.below = NULL};
    tarn__account_init(&f->account, "test", NULL);
    stopped_clock_init(&f->time, 1);
    tarn_storage *memory = NULL;
    assert_ok(tarn__memory_storage_new(&f->account, &memory, &f->error), &f->error);
    f->below = tarn__allocate_zeroed(&f->account, 1, sizeof *f->below);
    tarn__shim_init(&f->below->shim, &f->below->ops, memory, &f->account);
    f->below->ops.stat = flaky_stat;
    f->below->ops.get = flaky_get;
    f->below->ops.pause_ms = flaky_pause;
    f->below->failures = failures;
    f->below->status = status;
    o.clock = &f->time.base;
    o.sleep = stopped_clock_sleep;
    o.sleep_context = &f->time;
    assert_ok(
        tarn__retry_storage_new(&f->below->shim.base, &o, &f->account, &f->storage, &f->error),
        &f->error);
}

static tarn_status look(fixture *f)
{
    tarn_storage_info info;
    return tarn__storage_stat(f->storage, "x", &info, &f->error);
}

static void close_storage(fixture *f)
{
    tarn__storage_free(f->storage);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
}

/* Not though attempts and time are left. */
static void test_what_was_given_up_is_not_asked_again(void **state)
{
    (void)state;
    fixture f;
    const atomic_bool is_given_up = true;
    open_retry(&f, 7, TARN_REMOTE_ERROR, (tarn__retry_options){.seed = 3});
    (void)tarn__give_up_when(&is_given_up);
    assert_int_equal(look(&f), TARN_REMOTE_ERROR);
    (void)tarn__give_up_when(NULL);
    assert_int_equal(f.below->calls, 1);
    assert_int_equal(f.time.now_ns, 1); /* Nor waited for. */
    close_storage(&f);
}

static void test_what_may_pass_is_asked_again(void **state)
{
    (void)state;
    static const tarn_status transient[] = {TARN_REMOTE_ERROR, TARN_TIMED_OUT};
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        open_retry(&f, 7, transient[i], (tarn__retry_options){.seed = 3});
        assert_ok(look(&f), &f.error);
        assert_int_equal(f.below->calls, 8);
        close_storage(&f);
    }
}

static void test_what_will_not_pass_is_asked_once(void **state)
{
    (void)state;
    static const tarn_status final[] = {
        TARN_MISSING, TARN_BUSY, TARN_DECLINED, TARN_NO_MEMORY, TARN_IO_ERROR, TARN_CORRUPTION};
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++) {
        fixture f;
        open_retry(&f, 1, final[i], (tarn__retry_options){.seed = 3});
        assert_int_equal(look(&f), final[i]);
        assert_int_equal(f.below->calls, 1);
        assert_int_equal(f.time.slept_ns, 0);
        close_storage(&f);
    }
}

static void test_attempts_and_time_are_bounded(void **state)
{
    (void)state;
    fixture f;
    open_retry(&f, UINT32_MAX, TARN_REMOTE_ERROR, (tarn__retry_options){.attempts = 5});
    assert_int_equal(look(&f), TARN_REMOTE_ERROR);
    assert_int_equal(f.below->calls, 5);
    assert_non_null(strstr(f.error.message, "given up after 5 attempts"));
    assert_non_null(strstr(f.error.message, "no luck with x"));
    close_storage(&f);
    open_retry(
        &f,
        UINT32_MAX,
        TARN_REMOTE_ERROR,
        (tarn__retry_options){.attempts = 1000000, .budget_ms = 2000});
    assert_int_equal(look(&f), TARN_REMOTE_ERROR);
    assert_in_range(f.time.slept_ns, 1, (uint64_t)2000 * NS_PER_MS);
    close_storage(&f);
}

static tarn_status count_bytes(void *context, tarn_bytes part, tarn_error *error)
{
    (void)error;
    *(uint64_t *)context += part.size;
    return TARN_OK;
}

static tarn_status fetch(fixture *f, size_t drop, uint64_t size, uint64_t *taken)
{
    open_retry(f, 0, TARN_REMOTE_ERROR, (tarn__retry_options){.attempts = 3, .seed = 3});
    f->below->drop = drop;
    *taken = 0;
    return tarn__storage_get(f->storage, "x", 0, size, count_bytes, taken, NULL, 0, &f->error);
}

/* A reading that breaks off far on is a new effort; one that gets a few bytes each time is not. */
static void test_only_real_progress_earns_new_attempts(void **state)
{
    (void)state;
    enum { ENOUGH = 64 << 10, SIZE = 20 * ENOUGH };
    fixture f;
    uint64_t taken = 0;
    assert_ok(fetch(&f, ENOUGH, SIZE, &taken), &f.error);
    assert_int_equal(taken, SIZE);
    close_storage(&f);
    assert_ok(fetch(&f, ENOUGH / 2, SIZE, &taken), &f.error); /* Two attempts of three together. */
    assert_int_equal(taken, SIZE);
    close_storage(&f);
    assert_int_equal(fetch(&f, 1, SIZE, &taken), TARN_REMOTE_ERROR);
    assert_int_equal(taken, 3);
    assert_int_equal(f.below->calls, 3);
    assert_non_null(strstr(f.error.message, "given up after 3 attempts"));
    close_storage(&f);
}

static void test_the_wait_that_the_peer_asks_for_is_kept(void **state)
{
    (void)state;
    fixture f;
    open_retry(&f, 1, TARN_REMOTE_ERROR, (tarn__retry_options){.seed = 1});
    f.below->pause_ms = 7000;
    assert_ok(look(&f), &f.error);
    assert_int_equal(f.time.slept_ns, (uint64_t)7000 * NS_PER_MS);
    close_storage(&f);
    /* Beyond the budget nobody waits at all. */
    open_retry(&f, 1, TARN_REMOTE_ERROR, (tarn__retry_options){.seed = 1});
    f.below->pause_ms = 3600000;
    assert_int_equal(look(&f), TARN_REMOTE_ERROR);
    assert_int_equal(f.time.slept_ns, 0);
    close_storage(&f);
}

static void test_waits_grow_and_are_scattered(void **state)
{
    (void)state;
    uint64_t total[2];
    for (uint64_t seed = 0; seed < 2; seed++) {
        fixture f;
        open_retry(
            &f, 7, TARN_REMOTE_ERROR, (tarn__retry_options){.seed = seed * 1000, .base_ms = 100});
        assert_ok(look(&f), &f.error);
        total[seed] = f.time.slept_ns;
        close_storage(&f);
    }
    assert_int_not_equal(total[0], total[1]);
    assert_in_range(
        total[0], 1, (uint64_t)(100 + 200 + 400 + 800 + 1600 + 3200 + 5000) * NS_PER_MS);
}

/* --- Cache and count --- */

static void put(tarn_storage *storage, const char *name, tarn_bytes content)
{
    tarn_error error;
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(storage, name, 0, &upload, &error), &error);
    assert_ok(tarn__storage_append(upload, content, &error), &error);
    assert_ok(tarn__storage_finish(upload, NULL, &error), &error);
}

static const char ABC_NAME[] = "shared/06/06b05ab6733a618578af5f94892f3950-3";

static void expect_read(tarn_storage *storage, const char *name, const char *text)
{
    char content[16];
    size_t size = 0;
    tarn_error error;
    assert_ok(tarn__storage_read(storage, name, 0, content, sizeof content, &size, &error), &error);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(content, text, size);
}

static void test_what_is_named_by_its_content_is_fetched_once(void **state)
{
    (void)state;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn_error error;
    tarn_storage *memory = NULL;
    tarn_storage *local = NULL;
    tarn_storage *counted = NULL;
    tarn_storage *cached = NULL;
    tarn__storage_counters counters = {.bytes_read = 0};
    assert_ok(tarn__memory_storage_new(&account, &memory, &error), &error);
    assert_ok(tarn__memory_storage_new(&account, &local, &error), &error);
    put(memory, ABC_NAME, tarn_bytes_of("abc"));
    put(memory, "shared/06/06b05ab6733a618578af5f94892f3951-3", tarn_bytes_of("abc"));
    put(memory, "chk-1/_metadata", tarn_bytes_of("m1"));
    assert_ok(tarn__count_storage_new(memory, &counters, NULL, &account, &counted, &error), &error);
    assert_ok(tarn__cache_storage_new(counted, local, 100, &account, &cached, &error), &error);

    expect_read(cached, ABC_NAME, "abc");
    expect_read(cached, ABC_NAME, "abc");
    expect_read(cached, ABC_NAME, "abc");
    tarn_storage_figures found = TARN_STORAGE_FIGURES_INIT;
    tarn__storage_counters_measure(&counters, &found);
    assert_int_equal(found.operations[TARN_STORAGE_READ].call_count, 1);
    assert_int_equal(found.bytes_read, 3);

    /* What is not what its name says is not kept, nor what is named otherwise. */
    expect_read(cached, "shared/06/06b05ab6733a618578af5f94892f3951-3", "abc");
    expect_read(cached, "shared/06/06b05ab6733a618578af5f94892f3951-3", "abc");
    expect_read(cached, "chk-1/_metadata", "m1");
    put(memory, "chk-1/_metadata", tarn_bytes_of("m2"));
    expect_read(cached, "chk-1/_metadata", "m2");
    tarn__storage_counters_measure(&counters, &found);
    assert_int_equal(found.operations[TARN_STORAGE_READ].call_count, 1 + 4 + 2);

    /* What was removed is not read from the cache. */
    const char *const names[] = {ABC_NAME};
    assert_ok(tarn__storage_remove(cached, names, 1, &error), &error);
    char byte[1];
    size_t size = 0;
    assert_int_equal(tarn__storage_read(cached, ABC_NAME, 0, byte, 1, &size, &error), TARN_MISSING);
    tarn__storage_counters_measure(&counters, &found);
    assert_int_equal(found.operations[TARN_STORAGE_READ].failure_count, 0);
    assert_int_equal(found.operations[TARN_STORAGE_REMOVE].call_count, 1);
    assert_true(
        found.operations[TARN_STORAGE_READ].longest_ns <=
        found.operations[TARN_STORAGE_READ].time_ns);
    tarn__storage_free(cached);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

static void test_the_cache_keeps_its_limit_and_survives_a_restart(void **state)
{
    (void)state;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn_error error;
    tarn_storage *memory = NULL;
    tarn_storage *local = NULL;
    tarn_storage *cached = NULL;
    assert_ok(tarn__memory_storage_new(&account, &memory, &error), &error);
    assert_ok(tarn__memory_storage_new(&account, &local, &error), &error);
    put(local, "00000000000000000000000000000000-3", tarn_bytes_of("old"));
    put(local, ABC_NAME + 10, tarn_bytes_of("abc"));
    put(local, "foreign", tarn_bytes_of("kept as it is"));
    assert_ok(tarn__cache_storage_new(memory, local, 3, &account, &cached, &error), &error);
    tarn_storage_info info;
    assert_int_equal(
        tarn__storage_stat(local, "00000000000000000000000000000000-3", &info, &error),
        TARN_MISSING);
    assert_ok(tarn__storage_stat(local, ABC_NAME + 10, &info, &error), &error);
    assert_ok(tarn__storage_stat(local, "foreign", &info, &error), &error);
    /* The cache answers for what it holds, though nothing is below. */
    expect_read(cached, ABC_NAME, "abc");
    tarn__storage_free(cached);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

/* A bit that flips on the local disk is not what a restore gets, and not for the next one either.
 */
static void test_a_damaged_copy_is_noticed_and_replaced(void **state)
{
    (void)state;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn_error error;
    tarn_storage *memory = NULL;
    tarn_storage *local = NULL;
    tarn_storage *cached = NULL;
    assert_ok(tarn__memory_storage_new(&account, &memory, &error), &error);
    assert_ok(tarn__memory_storage_new(&account, &local, &error), &error);
    put(memory, ABC_NAME, tarn_bytes_of("abc"));
    assert_ok(tarn__cache_storage_new(memory, local, 100, &account, &cached, &error), &error);
    expect_read(cached, ABC_NAME, "abc");
    for (int i = 0; i < 2; i++) {
        put(local, ABC_NAME + 10, tarn_bytes_of(i == 0 ? "abd" : "ab"));
        expect_read(cached, ABC_NAME, "abc");
        expect_read(local, ABC_NAME + 10, "abc");
    }
    tarn__storage_free(cached);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

static void put_through(tarn_storage *storage, const char *name, const char *text)
{
    tarn_storage_upload *upload = NULL;
    tarn_error error;
    assert_ok(tarn_storage_begin(storage, name, 0, &upload, &error), &error);
    assert_ok(tarn_storage_append(upload, tarn_bytes_of(text), &error), &error);
    assert_ok(tarn_storage_finish(upload, &error), &error);
}

/* Public: what a storage was asked. */
static void test_a_storage_tells_what_it_was_asked(void **state)
{
    (void)state;
    scratch s;
    scratch_init(&s);
    tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
    options.address = s.path;
    tarn_storage *storage = NULL;
    tarn_error error;
    tarn_storage_info info;
    char content[8];
    size_t size = 0;
    assert_ok(tarn_storage_open(&options, &storage, &error), &error);
    put_through(storage, "a", "12345");
    assert_ok(tarn_storage_read(storage, "a", 0, content, 8, &size, &error), &error);
    assert_int_equal(tarn_storage_stat(storage, "none", &info, &error), TARN_MISSING);
    tarn_storage_figures found = TARN_STORAGE_FIGURES_INIT;
    tarn_storage_measure(storage, &found);
    static const uint64_t expected[] = {1, 1, 1, 1, 1, 0, 0};
    for (uint32_t i = 0; i < TARN_STORAGE_OPERATIONS; i++) {
        assert_int_equal(found.operations[i].call_count, expected[i]);
        assert_int_equal(found.operations[i].failure_count, 0);
    }
    assert_int_equal(found.bytes_written, 5);
    assert_int_equal(found.bytes_read, 5);
    assert_string_equal(tarn_storage_operation_name(TARN_STORAGE_REMOVE), "remove");
    assert_string_equal(tarn_storage_operation_name(TARN_STORAGE_OPERATIONS), "unknown");
    tarn_storage_close(storage);
    scratch_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_may_pass_is_asked_again),
        cmocka_unit_test(test_what_was_given_up_is_not_asked_again),
        cmocka_unit_test(test_what_will_not_pass_is_asked_once),
        cmocka_unit_test(test_attempts_and_time_are_bounded),
        cmocka_unit_test(test_only_real_progress_earns_new_attempts),
        cmocka_unit_test(test_the_wait_that_the_peer_asks_for_is_kept),
        cmocka_unit_test(test_waits_grow_and_are_scattered),
        cmocka_unit_test(test_what_is_named_by_its_content_is_fetched_once),
        cmocka_unit_test(test_the_cache_keeps_its_limit_and_survives_a_restart),
        cmocka_unit_test(test_a_damaged_copy_is_noticed_and_replaced),
        cmocka_unit_test(test_a_storage_tells_what_it_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
