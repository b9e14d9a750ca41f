/*
 * Unit tests of the small things in base/: statuses, errors, bytes, buffers, digests, workers.
 */
#include "support/support.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <xxhash.h>

#include "tarn/bytes.h"
#include "tarn/version.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/priority.h"
#include "base/process.h"
#include "base/workers.h"

static void test_every_status_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    static const tarn_status statuses[] = {
#define X(name, value, sentence) TARN_##name,
        TARN_STATUS_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        assert_memory_equal(tarn_status_name(statuses[i]), "TARN_", 5);
        assert_string_not_equal(tarn_status_name(statuses[i]), "TARN_?");
        assert_true(strlen(tarn_status_sentence(statuses[i])) > 5);
    }
    assert_string_equal(tarn_status_name((tarn_status)77), "TARN_?");
    assert_false(tarn_status_is_retriable(TARN_CORRUPTION));
    assert_true(tarn_status_is_retriable(TARN_TIMED_OUT));
}

static void test_an_error_names_errno_and_takes_a_prefix(void **state)
{
    (void)state;
    tarn_error error;
    assert_int_equal(tarn__fail_errno(&error, ENOSPC, "cannot write %s", "x"), TARN_NO_SPACE);
    assert_int_equal(error.system_code, ENOSPC);
    assert_string_equal(error.message, "cannot write x: No space left on device");
    tarn__error_prefix(&error, "checkpoint %d", 7);
    assert_string_equal(error.message, "checkpoint 7: cannot write x: No space left on device");
    assert_int_equal(tarn__fail(NULL, TARN_BUSY, "nobody listens"), TARN_BUSY);
}

static void test_a_long_message_is_cut_not_overrun(void **state)
{
    (void)state;
    char text[2048];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tarn_error error;
    assert_int_equal(tarn__fail(&error, TARN_INTERNAL, "%s", text), TARN_INTERNAL);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    tarn__error_prefix(&error, "context");
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_memory_equal(error.message, "context: xxx", 12);
}

static void test_bytes_order_a_prefix_first(void **state)
{
    (void)state;
    assert_true(tarn_bytes_compare(tarn_bytes_of("ab"), tarn_bytes_of("abc")) < 0);
    assert_true(tarn_bytes_compare(tarn_bytes_of("b"), tarn_bytes_of("abc")) > 0);
    assert_true(tarn_bytes_compare(tarn_bytes_of("\xff"), tarn_bytes_of("a")) > 0);
    assert_int_equal(tarn_bytes_compare(tarn_bytes_of(""), tarn_bytes_of(NULL)), 0);
    assert_true(tarn_bytes_is_equal(tarn_bytes_of(NULL), tarn_bytes_of("")));
    assert_false(tarn_bytes_is_equal(tarn_bytes_of("a"), tarn_bytes_of("b")));
}

static void test_a_buffer_keeps_its_content_when_it_cannot_grow(void **state)
{
    (void)state;
    fault_allocator fault;
    fault_allocator_init(&fault, 1);
    tarn_buffer buffer = {.allocator = &fault.base};
    assert_int_equal(tarn_buffer_assign(&buffer, tarn_bytes_of("abc")), TARN_OK);
    assert_int_equal(tarn_buffer_reserve(&buffer, 1000), TARN_NO_MEMORY);
    assert_true(tarn_bytes_is_equal(tarn_buffer_bytes(&buffer), tarn_bytes_of("abc")));
    assert_int_equal(tarn_buffer_append(&buffer, tarn_bytes_of("def")), TARN_OK);
    assert_true(tarn_bytes_is_equal(tarn_buffer_bytes(&buffer), tarn_bytes_of("abcdef")));
    tarn_buffer_clear(&buffer);
    tarn_buffer_clear(NULL);
    assert_int_equal(atomic_load(&fault.live_count), 0);
}

static void test_a_digest_in_parts_equals_the_digest_of_the_whole(void **state)
{
    (void)state;
    const tarn_bytes whole = tarn_bytes_of("the quick brown fox");
    const tarn__digest expected = tarn__digest_of(whole);
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    tarn__hasher_update(&hasher, tarn_bytes_of("the quick "));
    tarn__hasher_update(&hasher, tarn_bytes_of(""));
    tarn__hasher_update(&hasher, tarn_bytes_of("brown fox"));
    const tarn__digest parts = tarn__hasher_digest(&hasher);
    assert_true(tarn__digest_is_equal(&expected, &parts));

    char text[TARN__DIGEST_TEXT_BYTES];
    tarn__digest_encode(&expected, text);
    tarn__digest decoded;
    assert_true(tarn__digest_decode(text, strlen(text), &decoded));
    assert_true(tarn__digest_is_equal(&expected, &decoded));
    text[5] = 'g';
    assert_false(tarn__digest_decode(text, strlen(text), &decoded));
    assert_false(tarn__digest_decode(text, 31, &decoded));
}

/* XXH3-128 of the empty input, as the algorithm's own specification gives it. */
static void test_the_digest_is_xxh3_128(void **state)
{
    (void)state;
    char text[TARN__DIGEST_TEXT_BYTES];
    const tarn__digest empty = tarn__digest_of(tarn_bytes_of(""));
    tarn__digest_encode(&empty, text);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
}

/* Whichever instructions the processor has: names of files are compared between machines. */
static void test_long_digests_are_those_of_the_plain_algorithm(void **state)
{
    (void)state;
    static uint8_t bytes[(1 << 20) + 77];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 131 + (i >> 8));
    }
    for (size_t size = 1; size < sizeof bytes; size = 3 * size + 1) {
        XXH128_canonical_t expected;
        XXH128_canonicalFromHash(&expected, XXH3_128bits(bytes, size));
        const tarn__digest whole = tarn__digest_of(tarn_bytes_at(bytes, size));
        assert_memory_equal(whole.bytes, expected.digest, sizeof whole.bytes);
        tarn__hasher hasher;
        tarn__hasher_init(&hasher);
        for (size_t at = 0, part = 1; at < size; at += part, part = 5 * part) {
            part = part < size - at ? part : size - at;
            tarn__hasher_update(&hasher, tarn_bytes_at(bytes + at, part));
        }
        const tarn__digest parts = tarn__hasher_digest(&hasher);
        assert_memory_equal(parts.bytes, expected.digest, sizeof parts.bytes);
    }
}

static void count_up(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void test_workers_run_every_job_before_they_close(void **state)
{
    (void)state;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn__workers *workers = NULL;
    tarn_error error;
    assert_ok(tarn__workers_open(&account, 3, 2, "test", &workers, &error), &error);
    atomic_int count = 0;
    for (int i = 0; i < 100; i++) {
        tarn__workers_submit(workers, count_up, &count);
    }
    tarn__workers_close(workers);
    assert_int_equal(atomic_load(&count), 100);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* Keeps a thread busy until it is told to end. */
typedef struct blocker {
    atomic_bool has_begun;
    atomic_bool may_end;
} blocker;

static void block(void *context)
{
    blocker *b = context;
    atomic_store(&b->has_begun, true);
    while (!atomic_load(&b->may_end)) {
        (void)sched_yield();
    }
}

static void test_a_job_that_was_withdrawn_is_not_run_and_the_others_are(void **state)
{
    (void)state;
    enum { COUNTS = 4 };
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn__workers *workers = NULL;
    tarn_error error;
    blocker b = {.has_begun = false};
    atomic_int counts[COUNTS] = {0};
    assert_ok(tarn__workers_open(&account, 1, COUNTS, "test", &workers, &error), &error);
    tarn__workers_submit(workers, block, &b);
    while (!atomic_load(&b.has_begun)) {
        (void)sched_yield();
    }
    for (int i = 0; i < COUNTS; i++) {
        tarn__workers_submit(workers, count_up, &counts[i]);
    }
    assert_false(tarn__workers_try_submit(workers, count_up, &counts[0]));
    assert_true(tarn__workers_withdraw(workers, count_up, &counts[1]));
    assert_false(tarn__workers_withdraw(workers, count_up, &counts[1]));
    assert_false(tarn__workers_withdraw(workers, block, &b)); /* It has begun. */
    assert_true(tarn__workers_try_submit(workers, count_up, &counts[0]));
    atomic_store(&b.may_end, true);
    tarn__workers_close(workers);
    assert_int_equal(atomic_load(&counts[0]), 2);
    assert_int_equal(atomic_load(&counts[1]), 0);
    assert_int_equal(atomic_load(&counts[2]), 1);
    assert_int_equal(atomic_load(&counts[3]), 1);
}

static void test_workers_survive_every_allocation_failure(void **state)
{
    (void)state;
    for (uint64_t nth = 0;; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn__account account;
        tarn__account_init(&account, "test", &fault.base);
        tarn__workers *workers = NULL;
        tarn_error error;
        const tarn_status status = tarn__workers_open(&account, 1, 1, "test", &workers, &error);
        assert_int_equal(status, atomic_load(&fault.fired) ? TARN_NO_MEMORY : TARN_OK);
        tarn__workers_close(workers);
        assert_int_equal(atomic_load(&fault.live_count), 0);
        if (!atomic_load(&fault.fired)) {
            break;
        }
    }
}

/* What a worker finds its own nice value to be, above that of the test. */
typedef struct nice_probe {
    int value;
    tarn__account account;
    tarn__workers *workers;
    tarn_status status;
} nice_probe;

static void note_nice(void *context)
{
    ((nice_probe *)context)->value = getpriority(PRIO_PROCESS, 0);
}

static void open_worker(void *context)
{
    nice_probe *probe = context;
    probe->status =
        tarn__workers_open(&probe->account, 1, 1, "test", &probe->workers, /* error= */ NULL);
}

static void test_threads_that_are_started_below_stay_there_and_the_caller_where_it_is(void **state)
{
    (void)state;
    const int own = getpriority(PRIO_PROCESS, 0);
    const int lowest = 19;
    for (uint32_t levels = 0; levels <= 5; levels += 5) {
        nice_probe probe = {.value = -100};
        tarn_error error;
        tarn__account_init(&probe.account, "test", NULL);
        assert_ok(tarn__run_lowered(levels, open_worker, &probe, &error), &error);
        assert_int_equal(probe.status, TARN_OK);
        tarn__workers_submit(probe.workers, note_nice, &probe);
        tarn__workers_close(probe.workers);
        const int wanted = own + (int)levels < lowest ? own + (int)levels : lowest;
        assert_int_equal(probe.value, wanted);
        assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
    }
}

static void test_the_version_is_one_and_the_same(void **state)
{
    (void)state;
    assert_int_equal(tarn_version_number(), TARN_VERSION_NUMBER);
    assert_string_equal(tarn_version_string(), "0.1.0");
    assert_true(strchr(tarn_version_rocksdb(), '.') != NULL);
}

static void test_the_process_has_a_size_and_a_larger_peak(void **state)
{
    (void)state;
    const tarn__process_memory memory = tarn__process_measure();
    assert_true(memory.resident_bytes > 100000);
    assert_true(memory.resident_peak_bytes >= memory.resident_bytes / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_a_name_and_a_sentence),
        cmocka_unit_test(test_an_error_names_errno_and_takes_a_prefix),
        cmocka_unit_test(test_a_long_message_is_cut_not_overrun),
        cmocka_unit_test(test_bytes_order_a_prefix_first),
        cmocka_unit_test(test_a_buffer_keeps_its_content_when_it_cannot_grow),
        cmocka_unit_test(test_a_digest_in_parts_equals_the_digest_of_the_whole),
        cmocka_unit_test(test_the_digest_is_xxh3_128),
        cmocka_unit_test(test_long_digests_are_those_of_the_plain_algorithm),
        cmocka_unit_test(test_workers_run_every_job_before_they_close),
        cmocka_unit_test(test_a_job_that_was_withdrawn_is_not_run_and_the_others_are),
        cmocka_unit_test(test_workers_survive_every_allocation_failure),
        cmocka_unit_test(test_threads_that_are_started_below_stay_there_and_the_caller_where_it_is),
        cmocka_unit_test(test_the_process_has_a_size_and_a_larger_peak),
        cmocka_unit_test(test_the_version_is_one_and_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
