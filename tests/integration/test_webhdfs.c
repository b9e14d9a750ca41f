/*
 * test_webhdfs.c - the conformance suite over a real HDFS, by WebHDFS and by HttpFS, and files that
 * are sent and read in several pieces.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "conformance/storage_suite.h"
#include "support/support.h"

enum { ROUNDS = 10 };

static uint64_t next_directory;

static tarn_storage *open_at(const char *server, uint64_t number, tarn__account *account)
{
    char address[256];
    snprintf(
        address,
        sizeof address,
        "webhdfs://%s/tarn-%d/a b/%llu",
        server,
        (int)getpid(),
        (unsigned long long)number);
    const tarn__storage_options options = {.address = address, .account = account};
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(tarn__storage_open(&options, &storage, &error), &error);
    return storage;
}

static tarn_storage *make(tarn__account *account, void *context)
{
    return open_at(getenv(context), ++next_directory, account);
}

static tarn_storage *make_again(tarn__account *account, void *context)
{
    return open_at(getenv(context), next_directory, account);
}

static void test_large_files_keep_every_byte(void **state)
{
    const char *variable = *state;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn_storage *storage = open_at(getenv(variable), ++next_directory, &account);
    const size_t size = (size_t)9 * 1024 * 1024 + 77;
    uint8_t *content = malloc(size);
    uint8_t *back = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        content[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    tarn_error error;
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(storage, NULL, 0, &upload, &error), &error);
    for (size_t at = 0; at < size; at += 1000003) {
        const size_t left = size - at;
        const tarn_bytes part = tarn_bytes_at(content + at, left < 1000003 ? left : 1000003);
        assert_ok(tarn__storage_append(upload, part, &error), &error);
    }
    assert_ok(tarn__storage_finish(upload, "shared/large", &error), &error);
    size_t got = 0;
    assert_ok(tarn__storage_read(storage, "shared/large", 0, back, size + 1, &got, &error), &error);
    assert_int_equal(got, size);
    assert_memory_equal(back, content, size);
    free(content);
    free(back);
    tarn__storage_free(storage);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

static void put(tarn_storage *storage, const char *name, const char *text)
{
    tarn_error error;
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(storage, name, 0, &upload, &error), &error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_of(text), &error), &error);
    assert_ok(tarn__storage_finish(upload, NULL, &error), &error);
}

static void expect(tarn_storage *storage, const char *name, const char *text)
{
    char found[16] = "";
    size_t size = 0;
    tarn_error error;
    assert_ok(tarn__storage_read(storage, name, 0, found, sizeof found - 1, &size, &error), &error);
    assert_string_equal(found, text);
}

static bool count(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    ++*(uint32_t *)context;
    return true;
}

/* When the object was stored, in ms since 1970. */
static int64_t stored_ms(tarn_storage *storage, const char *name)
{
    tarn_storage_info info;
    tarn_error error;
    assert_ok(tarn__storage_stat(storage, name, &info, &error), &error);
    return info.written_ms;
}

/*
 * HttpFS cannot replace in one step: of an object that another writer has just told to be there,
 * nothing may take it away, even for a moment, if it is what its name says. That it is the first
 * one's is told by its time.
 */
static void test_a_content_that_is_there_stays(void **state)
{
    enum { APART_NS = 20000000 };
    static const char whole[] = "whole";
    const char *variable = *state;
    const bool replaces = strcmp(variable, "TARN_WEBHDFS") == 0;
    const tarn__digest digest = tarn__digest_of(tarn_bytes_of(whole));
    char text[TARN__DIGEST_TEXT_BYTES];
    char name[sizeof "shared/-5" + sizeof text];
    tarn__digest_encode(&digest, text);
    (void)snprintf(name, sizeof name, "shared/%s-%zu", text, strlen(whole));
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn_storage *storage = open_at(getenv(variable), ++next_directory, &account);
    put(storage, name, whole);
    const int64_t first_ms = stored_ms(storage, name);
    tarn__clock_sleep(APART_NS, NULL);
    put(storage, name, whole);
    expect(storage, name, whole);
    assert_int_equal(stored_ms(storage, name) > first_ms, replaces);
    tarn__storage_free(storage);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

/* What is not what its name says is replaced, whatever its size; so is what has a plain name. */
static void test_damage_is_replaced(void **state)
{
    static const char name[] = "shared/86/863955aa863955aa863955aa863955aa-5";
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn_storage *storage = open_at(getenv(*state), ++next_directory, &account);
    put(storage, name, "first");
    put(storage, name, "later");
    expect(storage, name, "later");
    put(storage, name, "other size");
    expect(storage, name, "other size");
    put(storage, "plain", "first");
    put(storage, "plain", "later");
    expect(storage, "plain", "later");
    uint32_t left = 0;
    tarn_error error;
    assert_ok(tarn__storage_list(storage, "", count, &left, &error), &error);
    assert_int_equal(left, 2); /* "plain" and "shared". */
    tarn__storage_free(storage);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

int main(void)
{
    static char variables[][16] = {"TARN_WEBHDFS", "TARN_HTTPFS"};
    int failed = 0;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const struct CMUnitTest tests[] = {
            {
                .name = "test_large_files_keep_every_byte",
                .test_func = test_large_files_keep_every_byte,
                .initial_state = variables[i],
            },
            {
                .name = "test_a_content_that_is_there_stays",
                .test_func = test_a_content_that_is_there_stays,
                .initial_state = variables[i],
            },
            {
                .name = "test_damage_is_replaced",
                .test_func = test_damage_is_replaced,
                .initial_state = variables[i],
            },
        };
        const storage_maker maker = {
            .name = variables[i],
            .make = make,
            .make_again = make_again,
            .rounds = getenv("TARN_LONG") != NULL ? 0 : ROUNDS,
            .context = variables[i],
            .has_gaps = strcmp(variables[i], "TARN_HTTPFS") == 0, /* It knows no OVERWRITE. */
        };
        failed += cmocka_run_group_tests_name(variables[i], tests, NULL, NULL);
        failed += storage_suite_run(&maker);
    }
    return failed;
}
