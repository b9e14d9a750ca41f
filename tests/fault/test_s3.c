/*
 * test_s3.c - S3 behind a server that misbehaves: each scenario of tests/fault/scenarios/ ends in
 * success or with a reason, in bounded time, and never with half an object.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/try.h"
#include "conformance/storage_suite.h"
#include "storage/give_up.h"
#include "storage/shims.h"
#include "support/fault_server.h"
#include "support/support.h"

enum { NS_PER_MS = 1000000, STALL_MS = 400 };

static const char SECRET[] = "not-to-be-shown-secret";
static const char ACCESS[] = "not-to-be-shown-access";
static const char SESSION[] = "not-to-be-shown-session";

typedef struct fixture {
    tarn__account account;
    fault_server *server;
    tarn__http *http;
    tarn_config *config;
    tarn_storage *storage;
    tarn__storage_counters counters; /* Of the suite's. */
    atomic_uint_least64_t slept_ms;  /* By any thread. */
    tarn_error error;
} fixture;

/* Waits are counted, not waited. */
static void count_sleep(uint64_t ns, void *context)
{
    atomic_fetch_add(&((fixture *)context)->slept_ms, ns / NS_PER_MS);
}

static void set(tarn_config *config, const char *key, const char *value)
{
    tarn_error error;
    assert_ok(tarn_config_set(config, key, value, "test", &error), &error);
}

static tarn_config *make_config(const fault_server *server)
{
    tarn_config *config = NULL;
    tarn_error error;
    assert_ok(tarn_config_new(NULL, &config, &error), &error);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fault_server_port(server));
    set(config, "s3.endpoint", endpoint);
    set(config, "s3.access-key", ACCESS);
    set(config, "s3.secret-key", SECRET);
    set(config, "s3.session-token", SESSION);
    return config;
}

static tarn_storage *open_storage(fixture *f, const tarn__retry_options *retry)
{
    const tarn__storage_options options = {
        .address = "s3://bucket/a/prefix",
        .account = &f->account,
        .config = f->config,
        .http = f->http,
    };
    tarn__uri uri;
    tarn_storage *bare = NULL;
    tarn_storage *storage = NULL;
    assert_ok(tarn__uri_parse(options.address, &uri, &f->error), &f->error);
    assert_ok(tarn__s3_storage_open(&options, &uri, &bare, &f->error), &f->error);
    assert_ok(tarn__retry_storage_new(bare, retry, &f->account, &storage, &f->error), &f->error);
    return storage;
}

static void open_fixture(fixture *f, const char *scenario)
{
    *f = (fixture){.server = NULL};
    char *script = scenario != NULL ? fault_server_scenario(scenario) : NULL;
    f->server = fault_server_start(script, 0);
    free(script);
    tarn__account_init(&f->account, "test", NULL);
    f->config = make_config(f->server);
    const tarn__http_options http = {
        .account = &f->account,
        .first_byte_timeout_ms = STALL_MS,
        .stall_timeout_ms = STALL_MS,
    };
    assert_ok(tarn__http_open(&http, &f->http, &f->error), &f->error);
    const tarn__retry_options retry = {.sleep = count_sleep, .sleep_context = f, .seed = 1};
    f->storage = open_storage(f, &retry);
}

static void close_fixture(fixture *f)
{
    tarn__storage_free(f->storage);
    tarn__http_close(f->http);
    tarn_config_free(f->config);
    fault_server_stop(f->server);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
}

static tarn_status put(fixture *f, const char *name, uint32_t flags, tarn_bytes content)
{
    tarn_storage_upload *upload = NULL;
    tarn_status status = tarn__storage_begin(f->storage, name, flags, &upload, &f->error);
    if (status == TARN_OK) {
        status = tarn__storage_append(upload, content, &f->error);
        if (status != TARN_OK) {
            tarn__storage_abandon(upload);
        } else {
            status = tarn__storage_finish(upload, NULL, &f->error);
        }
    }
    return status;
}

static tarn_status get(fixture *f, const char *name, char text[32])
{
    size_t size = 0;
    const tarn_status status = tarn__storage_read(f->storage, name, 0, text, 31, &size, &f->error);
    text[status == TARN_OK ? size : 0] = '\0';
    return status;
}

static void expect_no_secret(const fixture *f)
{
    assert_null(strstr(f->error.message, SECRET));
    assert_null(strstr(f->error.message, ACCESS));
    assert_null(strstr(f->error.message, SESSION));
}

/* Faults that pass: the object is there, once and whole. */
static void test_what_passes_is_survived(void **state)
{
    (void)state;
    static const char *const scenarios[] = {
        "storm_503",
        "storm_429",
        "retry_after",
        "reset_before",
        "reset_body",
        "lying_range",
        "long_body",
        "duplicate",
        "lost_commit",
        "bad_digest",
        "conflict",
        "garbage",
        "huge_head",
    };
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        fixture f;
        open_fixture(&f, scenarios[i]);
        const tarn_status status =
            put(&f, "chk-1/_metadata", TARN_UPLOAD_IF_ABSENT, tarn_bytes_of("the content"));
        if (status != TARN_OK) {
            fail_msg("%s: %s", scenarios[i], f.error.message);
        }
        char text[32];
        assert_ok(get(&f, "chk-1/_metadata", text), &f.error);
        if (strcmp(text, "the content") != 0) {
            fail_msg("%s: read \"%s\"", scenarios[i], text);
        }
        assert_true(fault_server_faults(f.server) > 0);
        assert_int_equal(
            put(&f, "chk-1/_metadata", TARN_UPLOAD_IF_ABSENT, tarn_bytes_of("another")), TARN_BUSY);
        assert_ok(get(&f, "chk-1/_metadata", text), &f.error);
        assert_string_equal(text, "the content");
        expect_no_secret(&f);
        close_fixture(&f);
    }
}

/* Faults that do not pass end with a reason, in bounded time. */
static void test_what_does_not_pass_is_given_up(void **state)
{
    (void)state;
    static const struct {
        const char *scenario;
        tarn_status status;
        const char *word;
    } cases[] = {
        {"always_503", TARN_REMOTE_ERROR, "given up after"},
        {"hang", TARN_TIMED_OUT, "no reply began"},
        {"drip", TARN_TIMED_OUT, "too little moved"},
        {"expired", TARN_DECLINED, "ExpiredToken"},
        {"skewed", TARN_DECLINED, "clock"},
        {"redirect", TARN_DECLINED, "points elsewhere"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f;
        open_fixture(&f, cases[i].scenario);
        tarn__storage_free(f.storage);
        const tarn__retry_options retry = {
            .attempts = 3, .sleep = count_sleep, .sleep_context = &f};
        f.storage = open_storage(&f, &retry);
        const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
        assert_int_equal(
            put(&f, "chk-1/_metadata", TARN_UPLOAD_IF_ABSENT, tarn_bytes_of("x")), cases[i].status);
        if (strstr(f.error.message, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].scenario, f.error.message);
        }
        const uint64_t took = tarn__clock_monotonic_ns(tarn__clock_system()) - begun;
        assert_true(took < (uint64_t)10000 * NS_PER_MS);
        assert_non_null(strstr(f.error.message, "s3://bucket/a/prefix/chk-1/_metadata"));
        expect_no_secret(&f);
        assert_false(fault_server_saw(f.server, SECRET));
        assert_false(fault_server_saw(f.server, "/elsewhere"));
        close_fixture(&f);
    }
}

static void fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 11);
    }
}

/* An object in parts: answers get lost, and what was sent stays sent. */
static void test_parts_are_resumed(void **state)
{
    (void)state;
    static const char *const scenarios[] = {"lost_parts", "lost_completion"};
    const size_t size = (size_t)17 << 20;
    uint8_t *content = malloc(size);
    uint8_t *back = malloc(size);
    fill(content, size);
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        fixture f;
        open_fixture(&f, scenarios[i]);
        const tarn_status status =
            put(&f, "large", TARN_UPLOAD_IF_ABSENT, tarn_bytes_at(content, size));
        if (status != TARN_OK) {
            fail_msg("%s: %s", scenarios[i], f.error.message);
        }
        size_t got = 0;
        assert_ok(tarn__storage_read(f.storage, "large", 0, back, size, &got, &f.error), &f.error);
        assert_int_equal(got, size);
        assert_memory_equal(back, content, size);
        assert_true(fault_server_faults(f.server) > 0);
        /* Four parts, begin, completion, five ranges; what was lost again, not all of them. */
        assert_in_range(fault_server_requests(f.server), 11, 21);
        close_fixture(&f);
    }
    free(content);
    free(back);
}

/* Parts go beside the caller: one that append() has taken may not have begun. */
static void await_sight(const fixture *f, const char *text)
{
    enum { TRIES = 20000 };
    for (uint32_t i = 0; i < TRIES && !fault_server_saw(f->server, text); i++) {
        tarn__clock_sleep(NS_PER_MS, NULL);
    }
    assert_true(fault_server_saw(f->server, text));
}

/* Also behind an upload that nobody wants any more, whose requests end early. */
static void test_parts_of_what_is_given_up_are_removed(void **state)
{
    (void)state;
    const size_t size = (size_t)17 << 20;
    uint8_t *content = malloc(size);
    const atomic_bool is_given_up = true;
    tarn_storage_upload *upload = NULL;
    fixture f;
    fill(content, size);
    open_fixture(&f, NULL);
    assert_ok(tarn__storage_begin(f.storage, "large", 0, &upload, &f.error), &f.error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_at(content, size), &f.error), &f.error);
    await_sight(&f, "uploadId=");
    assert_false(fault_server_saw(f.server, "DELETE "));
    (void)tarn__give_up_when(&is_given_up);
    tarn__storage_abandon(upload);
    (void)tarn__give_up_when(NULL);
    assert_true(fault_server_saw(f.server, "DELETE "));
    close_fixture(&f);
    free(content);
}

/* --- Whole objects, from a source and into a sink --- */

typedef struct stream {
    const uint8_t *content;
    uint8_t *back;
    size_t size;
    size_t taken;
} stream;

static tarn_status give(
    void *context, uint64_t offset, void *into, size_t size, size_t *got, tarn_error *error)
{
    const stream *s = context;
    (void)error;
    const size_t left = s->size - (size_t)offset;
    *got = left < size ? left : size;
    memcpy(into, s->content + offset, *got);
    return TARN_OK;
}

static tarn_status take(void *context, tarn_bytes part, tarn_error *error)
{
    stream *s = context;
    (void)error;
    assert_true(s->taken + part.size <= s->size); /* No byte comes twice. */
    memcpy(s->back + s->taken, part.data, part.size);
    s->taken += part.size;
    return TARN_OK;
}

/* What breaks off goes on where it was; what was sent is sent anew, and arrives as it should. */
static void test_whole_objects_survive_what_passes(void **state)
{
    (void)state;
    static const char *const scenarios[] = {
        "storm_503",
        "storm_429",
        "reset_before",
        "reset_body",
        "lying_range",
        "long_body",
        "duplicate",
        "lost_commit",
        "bad_digest",
        "lost_parts",
        "garbage",
        "huge_head"};
    const size_t size = (size_t)3 << 20;
    stream s = {.content = malloc(size), .back = malloc(size), .size = size};
    fill((uint8_t *)(uintptr_t)s.content, size);
    uint8_t *buffer = malloc(1 << 16);
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        fixture f;
        open_fixture(&f, scenarios[i]);
        assert_ok(
            tarn__storage_put(f.storage, "shared/x", 0, size, give, &s, buffer, 1 << 16, &f.error),
            &f.error);
        s.taken = 0;
        memset(s.back, 0, size);
        assert_ok(
            tarn__storage_get(f.storage, "shared/x", 0, size, take, &s, buffer, 1 << 16, &f.error),
            &f.error);
        if (s.taken != size || memcmp(s.content, s.back, size) != 0) {
            fail_msg("%s: other bytes came back", scenarios[i]);
        }
        assert_true(fault_server_faults(f.server) > 0);
        expect_no_secret(&f);
        close_fixture(&f);
    }
    free(buffer);
    free((void *)(uintptr_t)s.content);
    free(s.back);
}

static tarn_status give_less(
    void *context, uint64_t offset, void *into, size_t size, size_t *got, tarn_error *error)
{
    TARN_TRY(give(context, offset, into, size, got, error));
    *got = offset > 1000000 ? 0 : *got;
    return TARN_OK;
}

static tarn_status refuse_giving(
    void *context, uint64_t offset, void *into, size_t size, size_t *got, tarn_error *error)
{
    (void)context;
    (void)offset;
    (void)into;
    (void)size;
    (void)got;
    return tarn__fail(error, TARN_ABANDONED, "the source has had enough");
}

/* A source that fails, or has less than it promised, ends the upload with its own reason. */
static void test_a_source_that_fails_leaves_no_object(void **state)
{
    (void)state;
    const size_t size = (size_t)3 << 20;
    stream s = {.content = calloc(1, size), .size = size};
    uint8_t *buffer = malloc(1 << 16);
    char text[32];
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        fixture f;
        open_fixture(&f, NULL);
        tarn__storage_free(f.storage);
        set(f.config, "s3.payload-signing", is_signed ? "true" : "false");
        const tarn__retry_options retry = {.sleep = count_sleep, .sleep_context = &f, .seed = 1};
        f.storage = open_storage(&f, &retry);
        assert_int_equal(
            tarn__storage_put(
                f.storage, "x", 0, size, refuse_giving, &s, buffer, 1 << 16, &f.error),
            TARN_ABANDONED);
        assert_non_null(strstr(f.error.message, "had enough"));
        assert_int_equal(
            tarn__storage_put(f.storage, "x", 0, size, give_less, &s, buffer, 1 << 16, &f.error),
            TARN_IO_ERROR);
        assert_non_null(strstr(f.error.message, "became shorter"));
        assert_int_equal(get(&f, "x", text), TARN_MISSING);
        close_fixture(&f);
    }
    free(buffer);
    free((void *)(uintptr_t)s.content);
}

/* A writer whose answer was lost must not take another's object for its own. */
static void test_a_lost_answer_is_not_mistaken_for_anothers_object(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, NULL);
    assert_ok(put(&f, "chk-1/_metadata", 0, tarn_bytes_of("another's")), &f.error);
    fault_server *spoiled = fault_server_start("PUT 1 reset", fault_server_port(f.server));
    tarn__storage_free(f.storage);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fault_server_port(spoiled));
    set(f.config, "s3.endpoint", endpoint);
    const tarn__retry_options retry = {.sleep = count_sleep, .sleep_context = &f};
    f.storage = open_storage(&f, &retry);
    assert_int_equal(
        put(&f, "chk-1/_metadata", TARN_UPLOAD_IF_ABSENT, tarn_bytes_of("mine")), TARN_BUSY);
    char text[32];
    assert_ok(get(&f, "chk-1/_metadata", text), &f.error);
    assert_string_equal(text, "another's");
    fault_server_stop(spoiled);
    close_fixture(&f);
}

static void test_retry_after_is_honoured(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "retry_after");
    assert_ok(put(&f, "x", 0, tarn_bytes_of("x")), &f.error);
    assert_true(atomic_load(&f.slept_ms) >= 900);
    close_fixture(&f);
}

static bool count_entry(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    ++*(uint32_t *)context;
    return true;
}

/* A listing that lags hides what is new; what it shows is read all the same, or is missing. */
static void test_a_listing_that_lags_harms_nothing(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "stale_listing");
    assert_ok(put(&f, "d/old", 0, tarn_bytes_of("old")), &f.error);
    uint32_t count = 0;
    assert_ok(tarn__storage_list(f.storage, "d", count_entry, &count, &f.error), &f.error);
    assert_int_equal(count, 1);
    assert_ok(put(&f, "d/new", 0, tarn_bytes_of("new")), &f.error);
    const char *const names[] = {"d/old"};
    assert_ok(tarn__storage_remove(f.storage, names, 1, &f.error), &f.error);
    count = 0;
    assert_ok(tarn__storage_list(f.storage, "d", count_entry, &count, &f.error), &f.error);
    assert_int_equal(count, 1);
    char text[32];
    assert_int_equal(get(&f, "d/old", text), TARN_MISSING);
    assert_ok(get(&f, "d/new", text), &f.error);
    close_fixture(&f);
}

/* --- The conformance suite, with faults by chance --- */

static fixture suite;

static tarn_storage *make(tarn__account *account, void *context)
{
    (void)account;
    const uint32_t *permille = context;
    open_fixture(&suite, NULL);
    fault_server_chance(suite.server, permille[0], permille[1], 7);
    tarn_storage *counted = NULL;
    assert_ok(
        tarn__count_storage_new(
            suite.storage, &suite.counters, NULL, &suite.account, &counted, &suite.error),
        &suite.error);
    return counted;
}

static void clean(void *context)
{
    (void)context;
    suite.storage = NULL;
    close_fixture(&suite);
}

/* The time that it takes at least is known, whatever the machine. */
static void test_a_configuration_bounds_bytes_a_second(void **state)
{
    (void)state;
    enum { BYTES = 300000 };
    static uint8_t content[BYTES];
    fixture f;
    open_fixture(&f, NULL);
    set(f.config, "tarn.storage.bytes-per-second", "1000000 bytes");
    const tarn__storage_options options = {
        .address = "s3://bucket/a/prefix",
        .account = &f.account,
        .config = f.config,
        .http = f.http,
    };
    tarn__storage_free(f.storage);
    assert_ok(tarn__storage_open(&options, &f.storage, &f.error), &f.error);
    const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
    assert_ok(put(&f, "slow", 0, tarn_bytes_at(content, BYTES)), &f.error);
    const uint64_t took_ms = (tarn__clock_monotonic_ns(tarn__clock_system()) - begun) / NS_PER_MS;
    assert_true(took_ms >= 190); /* 0.3 s, of which a pause may have saved up 0.1. */
    close_fixture(&f);
}

/* What is small is signed always: metadata above all. */
static void test_large_bodies_go_unsigned_when_asked(void **state)
{
    (void)state;
    enum { LARGE = 100000, SMALL = 60000 };
    static uint8_t content[LARGE];
    static uint8_t found[LARGE];
    size_t size = 0;
    fixture f;
    open_fixture(&f, NULL);
    assert_ok(put(&f, "signed", 0, tarn_bytes_at(content, LARGE)), &f.error);
    assert_false(fault_server_saw(f.server, "UNSIGNED-PAYLOAD"));
    tarn__storage_free(f.storage);
    set(f.config, "s3.payload-signing", "false");
    const tarn__retry_options retry = {.sleep = count_sleep, .sleep_context = &f, .seed = 1};
    f.storage = open_storage(&f, &retry);
    assert_ok(put(&f, "small", 0, tarn_bytes_at(content, SMALL)), &f.error);
    assert_false(fault_server_saw(f.server, "UNSIGNED-PAYLOAD"));
    memset(content, 7, sizeof content);
    assert_ok(put(&f, "large", 0, tarn_bytes_at(content, LARGE)), &f.error);
    assert_true(fault_server_saw(f.server, "UNSIGNED-PAYLOAD"));
    assert_ok(tarn__storage_read(f.storage, "large", 0, found, LARGE, &size, &f.error), &f.error);
    assert_int_equal(size, LARGE);
    assert_memory_equal(found, content, LARGE);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_configuration_bounds_bytes_a_second),
        cmocka_unit_test(test_large_bodies_go_unsigned_when_asked),
        cmocka_unit_test(test_what_passes_is_survived),
        cmocka_unit_test(test_what_does_not_pass_is_given_up),
        cmocka_unit_test(test_parts_are_resumed),
        cmocka_unit_test(test_parts_of_what_is_given_up_are_removed),
        cmocka_unit_test(test_whole_objects_survive_what_passes),
        cmocka_unit_test(test_a_source_that_fails_leaves_no_object),
        cmocka_unit_test(test_a_lost_answer_is_not_mistaken_for_anothers_object),
        cmocka_unit_test(test_retry_after_is_honoured),
        cmocka_unit_test(test_a_listing_that_lags_harms_nothing),
    };
    static uint32_t none[] = {0, 0};
    static uint32_t some[] = {50, 20};
    const storage_maker makers[] = {
        {.name = "s3 in memory", .make = make, .clean = clean, .context = none},
        {.name = "s3 with faults", .make = make, .clean = clean, .context = some},
    };
    int failed = cmocka_run_group_tests_name("s3 faults", tests, NULL, NULL);
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        failed += storage_suite_run(&makers[i]);
    }
    return failed;
}
