/*
 * test_s3.c - the conformance suite over a real S3 server, and what only such a server can show:
 * signatures that it accepts or refuses, parts, listings of many pages, conditional puts.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "conformance/storage_suite.h"
#include "storage/shim.h"
#include "support/support.h"

enum { NAME_BYTES = 128, ROUNDS = 15 };

static uint64_t next_prefix;

/* A prefix that nobody has used. */
static void fresh_address(char out[NAME_BYTES])
{
    snprintf(
        out,
        NAME_BYTES,
        "s3://tarn-test/run-%d/%llu",
        (int)getpid(),
        (unsigned long long)next_prefix++);
}

static tarn_storage *open_at(const char *address, tarn__account *account, const tarn_config *config)
{
    const tarn__storage_options options = {
        .address = address,
        .account = account,
        .config = config,
    };
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(tarn__storage_open(&options, &storage, &error), &error);
    return storage;
}

static char newest_address[NAME_BYTES];

static tarn_storage *make(tarn__account *account, void *context)
{
    (void)context;
    fresh_address(newest_address);
    return open_at(newest_address, account, NULL);
}

static tarn_storage *make_again(tarn__account *account, void *context)
{
    (void)context;
    return open_at(newest_address, account, NULL);
}

typedef struct fixture {
    tarn__account account;
    tarn_storage *storage;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    tarn__account_init(&f->account, "test", NULL);
    f->storage = make(&f->account, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__storage_free(f->storage);
    const int leaked = atomic_load(&f->account.block_count) != 0;
    free(f);
    return leaked;
}

static tarn_status put(tarn_storage *storage, const char *name, uint32_t flags, tarn_bytes content)
{
    tarn_error error;
    tarn_storage_upload *upload = NULL;
    tarn_status status = tarn__storage_begin(storage, name, flags, &upload, &error);
    if (status == TARN_OK) {
        status = tarn__storage_append(upload, content, &error);
        if (status != TARN_OK) {
            tarn__storage_abandon(upload);
        } else {
            status = tarn__storage_finish(upload, NULL, &error);
        }
    }
    if (status != TARN_OK && status != TARN_BUSY) {
        print_message("%s\n", error.message);
    }
    return status;
}

/* Larger than all parts that are under way at once, and not a multiple of anything. */
static void test_an_object_of_many_parts_keeps_every_byte(void **state)
{
    fixture *f = *state;
    const size_t size = (size_t)37 * 1024 * 1024 + 12345;
    uint8_t *content = malloc(size);
    uint8_t *back = malloc(size + 1);
    tarn__random random = {.state = 42};
    for (size_t i = 0; i + 8 <= size; i += 8) {
        const uint64_t word = tarn__random_next(&random);
        memcpy(content + i, &word, 8);
    }
    assert_int_equal(put(f->storage, "large", 0, tarn_bytes_at(content, size)), TARN_OK);
    size_t got = 0;
    assert_ok(
        tarn__storage_read(f->storage, "large", 0, back, size + 1, &got, &f->error), &f->error);
    assert_int_equal(got, size);
    assert_memory_equal(back, content, size);
    assert_int_equal(
        put(f->storage, "large", TARN_UPLOAD_IF_ABSENT, tarn_bytes_at(content, size)), TARN_BUSY);
    free(content);
    free(back);
}

static bool count(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    ++*(uint32_t *)context;
    return true;
}

static void test_a_listing_of_many_pages_is_whole_and_removed_in_batches(void **state)
{
    fixture *f = *state;
    enum { COUNT = 1203 };
    static char names[COUNT][32];
    const char *pointers[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "d/<&%u>", i);
        pointers[i] = names[i];
        assert_int_equal(put(f->storage, names[i], 0, tarn_bytes_of("x")), TARN_OK);
    }
    uint32_t counted = 0;
    assert_ok(tarn__storage_list(f->storage, "d", count, &counted, &f->error), &f->error);
    assert_int_equal(counted, COUNT);
    assert_ok(tarn__storage_remove(f->storage, pointers, COUNT, &f->error), &f->error);
    counted = 0;
    assert_ok(tarn__storage_list(f->storage, "d", count, &counted, &f->error), &f->error);
    assert_int_equal(counted, 0);
}

typedef struct writer {
    tarn_storage *storage;
    char content[16];
    tarn_status status;
} writer;

static void *write_metadata(void *context)
{
    writer *w = context;
    w->status =
        put(w->storage, "chk-1/_metadata", TARN_UPLOAD_IF_ABSENT, tarn_bytes_of(w->content));
    return NULL;
}

static void test_of_many_writers_one_commits(void **state)
{
    fixture *f = *state;
    enum { WRITERS = 8 };
    pthread_t threads[WRITERS];
    writer writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.storage = f->storage};
        snprintf(writers[i].content, sizeof writers[i].content, "writer %d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, write_metadata, &writers[i]), 0);
    }
    const writer *winner = NULL;
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        if (writers[i].status == TARN_OK) {
            assert_null(winner);
            winner = &writers[i];
        } else {
            assert_int_equal(writers[i].status, TARN_BUSY);
        }
    }
    assert_non_null(winner);
    char content[16] = "";
    size_t size = 0;
    assert_ok(
        tarn__storage_read(
            f->storage, "chk-1/_metadata", 0, content, sizeof content, &size, &f->error),
        &f->error);
    assert_string_equal(content, winner->content);
}

/* An empty file is at the address of what it is refused: names that a signature has to get right.
 */
static void test_names_of_all_kinds_are_signed_right(void **state)
{
    fixture *f = *state;
    const char *const names[] = {
        "a b",
        "a+b",
        "a%20b",
        "a=b&c=d",
        "a?b#c",
        "\xc3\xa9/\xe2\x82\xac",
        "a:b;c,d",
        "(a)!*'",
        "~a",
        "a@b$c"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(put(f->storage, names[i], 0, tarn_bytes_of(names[i])), TARN_OK);
        char content[64] = "";
        size_t size = 0;
        assert_ok(
            tarn__storage_read(
                f->storage, names[i], 0, content, sizeof content - 1, &size, &f->error),
            &f->error);
        assert_string_equal(content, names[i]);
        assert_ok(tarn__storage_remove(f->storage, &names[i], 1, &f->error), &f->error);
    }
}

static void test_a_wrong_secret_is_refused_and_not_shown(void **state)
{
    fixture *f = *state;
    tarn_config *config = NULL;
    assert_ok(tarn_config_new(NULL, &config, &f->error), &f->error);
    assert_ok(
        tarn_config_set(config, "s3.access-key", getenv("AWS_ACCESS_KEY_ID"), "test", &f->error),
        &f->error);
    assert_ok(
        tarn_config_set(config, "s3.secret-key", "wrong-secret-here", "test", &f->error),
        &f->error);
    tarn_storage *storage = open_at("s3://tarn-test/refused", &f->account, config);
    tarn_storage_info info;
    assert_int_equal(tarn__storage_stat(storage, "x", &info, &f->error), TARN_DECLINED);
    assert_int_equal(f->error.system_code, 403);
    assert_null(strstr(f->error.message, "wrong-secret-here"));
    assert_null(strstr(f->error.message, getenv("AWS_ACCESS_KEY_ID")));
    uint32_t counted = 0;
    assert_int_equal(tarn__storage_list(storage, "", count, &counted, &f->error), TARN_DECLINED);
    tarn__storage_free(storage);
    tarn_config_free(config);
}

static void test_a_bucket_that_is_not_there_is_said(void **state)
{
    fixture *f = *state;
    tarn_storage *storage = open_at("s3://tarn-nowhere/x", &f->account, NULL);
    uint32_t counted = 0;
    assert_int_equal(tarn__storage_list(storage, "", count, &counted, &f->error), TARN_DECLINED);
    assert_non_null(strstr(f->error.message, "NoSuchBucket"));
    tarn__storage_free(storage);
    const tarn__storage_options options = {
        .address = "s3://tarn-test/holds/nothing",
        .account = &f->account,
        .must_exist = true,
    };
    assert_int_equal(tarn__storage_open(&options, &storage, &f->error), TARN_MISSING);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_object_of_many_parts_keeps_every_byte),
        TEST(test_a_listing_of_many_pages_is_whole_and_removed_in_batches),
        TEST(test_of_many_writers_one_commits),
        TEST(test_names_of_all_kinds_are_signed_right),
        TEST(test_a_wrong_secret_is_refused_and_not_shown),
        TEST(test_a_bucket_that_is_not_there_is_said),
    };
#undef TEST
    const storage_maker maker = {
        .name = "s3",
        .make = make,
        .make_again = make_again,
        .rounds = getenv("TARN_LONG") != NULL ? 0 : ROUNDS,
    };
    return cmocka_run_group_tests_name("s3 server", tests, NULL, NULL) + storage_suite_run(&maker);
}
