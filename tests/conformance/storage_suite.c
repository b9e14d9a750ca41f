/* storage_suite.c - see storage_suite.h. */
#include "conformance/storage_suite.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "support/scratch.h"
#include "support/support.h"

static const storage_maker *current;

typedef struct fixture {
    tarn__account account;
    tarn_storage *storage;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    tarn__account_init(&f->account, "test", NULL);
    f->storage = current->make(&f->account, current->context);
    *state = f;
    return f->storage != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__storage_free(f->storage);
    if (current->clean != NULL) {
        current->clean(current->context);
    }
    const int leaked = atomic_load(&f->account.block_count) != 0;
    free(f);
    return leaked;
}

static void put(fixture *f, const char *name, const char *text)
{
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(f->storage, name, 0, &upload, &f->error), &f->error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_of(text), &f->error), &f->error);
    assert_ok(tarn__storage_finish(upload, NULL, &f->error), &f->error);
}

static void expect(fixture *f, const char *name, const char *text)
{
    char content[256];
    size_t size = 0;
    assert_ok(
        tarn__storage_read(f->storage, name, 0, content, sizeof content, &size, &f->error),
        &f->error);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(content, text, size);
    tarn_storage_info info;
    assert_ok(tarn__storage_stat(f->storage, name, &info, &f->error), &f->error);
    assert_int_equal(info.size, size);
}

static void expect_missing(fixture *f, const char *name)
{
    char content[1];
    size_t size = 77;
    tarn_storage_info info;
    assert_int_equal(
        tarn__storage_read(f->storage, name, 0, content, 1, &size, &f->error), TARN_MISSING);
    assert_non_null(strstr(f->error.message, name));
    assert_int_equal(size, 77);
    assert_int_equal(tarn__storage_stat(f->storage, name, &info, &f->error), TARN_MISSING);
}

typedef struct listing {
    char text[1024]; /* "name:size " or "name/ ", sorted. */
    char *names[64];
    uint32_t count;
    uint32_t stop_after; /* 0: never. */
} listing;

static bool collect(const tarn_storage_entry *entry, void *context)
{
    listing *l = context;
    char line[300];
    if (entry->is_directory) {
        snprintf(line, sizeof line, "%s/ ", entry->name);
    } else {
        snprintf(line, sizeof line, "%s:%llu ", entry->name, (unsigned long long)entry->size);
    }
    l->names[l->count++] = strdup(line);
    return l->count != l->stop_after;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_list(fixture *f, const char *directory, const char *expected)
{
    listing l = {.count = 0};
    assert_ok(tarn__storage_list(f->storage, directory, collect, &l, &f->error), &f->error);
    qsort(l.names, l.count, sizeof l.names[0], compare);
    for (uint32_t i = 0; i < l.count; i++) {
        strncat(l.text, l.names[i], sizeof l.text - strlen(l.text) - 1);
        free(l.names[i]);
    }
    assert_string_equal(l.text, expected);
}

static void remove_one(fixture *f, const char *name)
{
    assert_ok(tarn__storage_remove(f->storage, &name, 1, &f->error), &f->error);
}

static void test_what_is_finished_is_read_back(void **state)
{
    fixture *f = *state;
    put(f, "a", "alpha");
    put(f, "deep/er/still/b", "beta");
    put(f, "empty", "");
    expect(f, "a", "alpha");
    expect(f, "deep/er/still/b", "beta");
    expect(f, "empty", "");
}

static void test_nothing_is_visible_before_finish(void **state)
{
    fixture *f = *state;
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(f->storage, "d/x", 0, &upload, &f->error), &f->error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_of("half"), &f->error), &f->error);
    expect_missing(f, "d/x");
    expect_list(f, "", "");
    assert_ok(tarn__storage_append(upload, tarn_bytes_of(" and half"), &f->error), &f->error);
    assert_ok(tarn__storage_finish(upload, NULL, &f->error), &f->error);
    expect(f, "d/x", "half and half");
}

static void test_an_abandoned_upload_leaves_nothing(void **state)
{
    fixture *f = *state;
    put(f, "kept", "old");
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(f->storage, "kept", 0, &upload, &f->error), &f->error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_of("new"), &f->error), &f->error);
    tarn__storage_abandon(upload);
    expect(f, "kept", "old");
    expect_list(f, "", "kept:3 ");
}

static void test_finishing_replaces_the_whole_object(void **state)
{
    fixture *f = *state;
    put(f, "x", "a long first version");
    put(f, "x", "short");
    expect(f, "x", "short");
}

static void test_if_absent_refuses_a_taken_name(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        tarn_storage_upload *upload = NULL;
        const char *text = i == 0 ? "first" : "second";
        assert_ok(
            tarn__storage_begin(
                f->storage, "chk-1/_metadata", TARN_UPLOAD_IF_ABSENT, &upload, &f->error),
            &f->error);
        assert_ok(tarn__storage_append(upload, tarn_bytes_of(text), &f->error), &f->error);
        assert_int_equal(
            tarn__storage_finish(upload, NULL, &f->error), i == 0 ? TARN_OK : TARN_BUSY);
    }
    assert_non_null(strstr(f->error.message, "chk-1/_metadata"));
    expect(f, "chk-1/_metadata", "first");
}

static void test_a_name_may_come_last(void **state)
{
    fixture *f = *state;
    if ((f->storage->features & TARN_STORAGE_LATE_NAMES) == 0) {
        skip();
    }
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(f->storage, NULL, 0, &upload, &f->error), &f->error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_of("late"), &f->error), &f->error);
    assert_ok(tarn__storage_finish(upload, "shared/ab/late", &f->error), &f->error);
    expect(f, "shared/ab/late", "late");

    assert_ok(tarn__storage_begin(f->storage, NULL, 0, &upload, &f->error), &f->error);
    assert_int_equal(tarn__storage_finish(upload, "../late", &f->error), TARN_INVALID_ARGUMENT);
}

static void test_ranges_end_where_the_object_ends(void **state)
{
    fixture *f = *state;
    put(f, "x", "0123456789");
    char part[8] = "";
    size_t size = 0;
    assert_ok(tarn__storage_read(f->storage, "x", 3, part, 4, &size, &f->error), &f->error);
    assert_int_equal(size, 4);
    assert_memory_equal(part, "3456", 4);
    assert_ok(tarn__storage_read(f->storage, "x", 8, part, 4, &size, &f->error), &f->error);
    assert_int_equal(size, 2);
    assert_memory_equal(part, "89", 2);
    assert_ok(tarn__storage_read(f->storage, "x", 10, part, 4, &size, &f->error), &f->error);
    assert_int_equal(size, 0);
    assert_ok(
        tarn__storage_read(f->storage, "x", UINT64_MAX, part, 4, &size, &f->error), &f->error);
    assert_int_equal(size, 0);
}

static void test_missing_objects_are_named(void **state)
{
    fixture *f = *state;
    expect_missing(f, "nothing/here");
    put(f, "file", "x");
    expect_missing(f, "file/below");
    put(f, "directory/below", "x");
    tarn_storage_info info;
    assert_int_equal(tarn__storage_stat(f->storage, "directory", &info, &f->error), TARN_MISSING);
}

static void test_removal_takes_what_is_there_and_bears_what_is_not(void **state)
{
    fixture *f = *state;
    put(f, "chk-1/a", "1");
    put(f, "chk-1/b", "2");
    put(f, "chk-2/a", "3");
    put(f, "c", "4");
    const char *const names[] = {"chk-1/a", "chk-1/none", "none/at/all", "chk-1/b", "c"};
    assert_ok(tarn__storage_remove(f->storage, names, 5, &f->error), &f->error);
    expect_missing(f, "chk-1/a");
    expect_missing(f, "chk-1/b");
    expect_missing(f, "c");
    expect(f, "chk-2/a", "3");
    expect_list(f, "", "chk-2/ ");
    assert_ok(tarn__storage_remove(f->storage, names, 5, &f->error), &f->error);
    assert_ok(tarn__storage_remove(f->storage, NULL, 0, &f->error), &f->error);
}

static void test_listing_shows_one_level(void **state)
{
    fixture *f = *state;
    expect_list(f, "", "");
    expect_list(f, "absent", "");
    put(f, "top", "123");
    put(f, "d/one", "1");
    put(f, "d/two", "22");
    put(f, "d/e/three", "333");
    put(f, "dd/four", "4444");
    expect_list(f, "", "d/ dd/ top:3 ");
    expect_list(f, "d", "e/ one:1 two:2 ");
    expect_list(f, "d/e", "three:3 ");

    listing l = {.stop_after = 2};
    assert_ok(tarn__storage_list(f->storage, "d", collect, &l, &f->error), &f->error);
    assert_int_equal(l.count, 2);
    free(l.names[0]);
    free(l.names[1]);
}

static void test_names_cannot_leave_the_root(void **state)
{
    fixture *f = *state;
    char long_part[400];
    memset(long_part, 'x', sizeof long_part);
    long_part[256] = '\0';
    char long_name[1100];
    for (size_t i = 0; i + 1 < sizeof long_name; i++) {
        long_name[i] = i % 100 == 99 ? '/' : 'y';
    }
    long_name[sizeof long_name - 1] = '\0';
    const char *const bad[] = {
        "",
        "/",
        "/etc/passwd",
        "..",
        ".",
        "../x",
        "a/../b",
        "a/..",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        ".tarn-lock",
        "a/.tarn-tmp-1",
        long_part,
        long_name};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tarn_storage_upload *upload = NULL;
        char byte[1];
        size_t size = 0;
        tarn_storage_info info;
        assert_int_equal(
            tarn__storage_begin(f->storage, bad[i], 0, &upload, &f->error), TARN_INVALID_ARGUMENT);
        assert_null(upload);
        assert_int_equal(
            tarn__storage_read(f->storage, bad[i], 0, byte, 1, &size, &f->error),
            TARN_INVALID_ARGUMENT);
        assert_int_equal(
            tarn__storage_stat(f->storage, bad[i], &info, &f->error), TARN_INVALID_ARGUMENT);
        assert_int_equal(
            tarn__storage_remove(f->storage, &bad[i], 1, &f->error), TARN_INVALID_ARGUMENT);
    }
    const char *const good[] = {"...", "a/..b", "..a", ".hidden", "-", "a b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        put(f, good[i], "x");
        expect(f, good[i], "x");
        remove_one(f, good[i]);
    }
}

static void test_large_objects_keep_every_byte(void **state)
{
    fixture *f = *state;
    enum { PART = 100003, PARTS = 17 };
    uint8_t *part = malloc(PART);
    uint8_t *back = malloc(PART);
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(f->storage, "large", 0, &upload, &f->error), &f->error);
    tarn__random random = {.state = 1};
    for (int i = 0; i < PARTS; i++) {
        for (size_t j = 0; j < PART; j++) {
            part[j] = (uint8_t)tarn__random_next(&random);
        }
        assert_ok(tarn__storage_append(upload, tarn_bytes_at(part, PART), &f->error), &f->error);
    }
    assert_ok(tarn__storage_finish(upload, NULL, &f->error), &f->error);
    random.state = 1;
    for (uint64_t i = 0; i < PARTS; i++) {
        size_t size = 0;
        assert_ok(
            tarn__storage_read(f->storage, "large", i * PART, back, PART, &size, &f->error),
            &f->error);
        assert_int_equal(size, PART);
        for (size_t j = 0; j < PART; j++) {
            part[j] = (uint8_t)tarn__random_next(&random);
        }
        assert_memory_equal(part, back, PART);
    }
    free(part);
    free(back);
}

/* A second name has the object's content, and keeps it when the object is gone. */
static void test_a_link_is_the_object_or_is_refused(void **state)
{
    fixture *f = *state;
    scratch root;
    scratch_init(&root);
    const char *path = scratch_join(root.path, "linked");
    put(f, "linked/object", "content");
    const tarn_status status = tarn__storage_link_out(f->storage, "linked/object", path, &f->error);
    if (status != TARN_NOT_SUPPORTED) {
        const char *name = "linked/object";
        char got[16] = {0};
        assert_ok(status, &f->error);
        assert_ok(tarn__storage_remove(f->storage, &name, 1, &f->error), &f->error);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        assert_int_equal(fread(got, 1, sizeof got, file), strlen("content"));
        fclose(file);
        assert_string_equal(got, "content");
    }
    assert_int_equal(
        tarn__storage_link_out(
            f->storage, "not/there", scratch_join(root.path, "other"), &f->error),
        TARN_NOT_SUPPORTED);
    scratch_clear(&root);
}

static void test_the_lock_has_one_holder(void **state)
{
    fixture *f = *state;
    if (f->storage->ops->lock == NULL) {
        skip();
    }
    tarn_storage_lock *lock = NULL;
    tarn_storage_lock *second = NULL;
    assert_ok(tarn__storage_lock(f->storage, &lock, &f->error), &f->error);
    assert_int_equal(tarn__storage_lock(f->storage, &second, &f->error), TARN_BUSY);
    assert_null(second);
    tarn__storage_unlock(lock);
    assert_ok(tarn__storage_lock(f->storage, &lock, &f->error), &f->error);
    tarn__storage_unlock(lock);
    expect_list(f, "", "");
}

/* Threads make and remove objects in the same directories, which come and go under them. */
typedef struct churn {
    fixture *fixture;
    int number;
    tarn_status status;
    tarn_error error;
} churn;

static void *churn_run(void *context)
{
    churn *c = context;
    tarn_storage *storage = c->fixture->storage;
    for (int i = 0; i < 60 && c->status == TARN_OK; i++) {
        char name[64];
        snprintf(name, sizeof name, "chk-%d/sub/%d", i % 3, c->number);
        const char *names[] = {name};
        tarn_storage_upload *upload = NULL;
        c->status = tarn__storage_begin(storage, name, 0, &upload, &c->error);
        if (c->status == TARN_OK) {
            c->status = tarn__storage_append(upload, tarn_bytes_of(name), &c->error);
        }
        if (c->status == TARN_OK) {
            c->status = tarn__storage_finish(upload, NULL, &c->error);
        }
        tarn_storage_info info;
        if (c->status == TARN_OK) {
            c->status = tarn__storage_stat(storage, name, &info, &c->error);
        }
        if (c->status == TARN_OK) {
            c->status = tarn__storage_remove(storage, names, 1, &c->error);
        }
    }
    return NULL;
}

static void test_directories_that_come_and_go_disturb_nobody(void **state)
{
    fixture *f = *state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    churn churns[THREADS];
    for (int i = 0; i < THREADS; i++) {
        churns[i] = (churn){.fixture = f, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, churn_run, &churns[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(churns[i].status, &churns[i].error);
    }
    expect_list(f, "", "");
}

int storage_suite_run(const storage_maker *maker)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_finished_is_read_back),
        TEST(test_nothing_is_visible_before_finish),
        TEST(test_an_abandoned_upload_leaves_nothing),
        TEST(test_finishing_replaces_the_whole_object),
        TEST(test_if_absent_refuses_a_taken_name),
        TEST(test_a_name_may_come_last),
        TEST(test_ranges_end_where_the_object_ends),
        TEST(test_missing_objects_are_named),
        TEST(test_removal_takes_what_is_there_and_bears_what_is_not),
        TEST(test_listing_shows_one_level),
        TEST(test_names_cannot_leave_the_root),
        TEST(test_large_objects_keep_every_byte),
        TEST(test_a_link_is_the_object_or_is_refused),
        TEST(test_the_lock_has_one_holder),
        TEST(test_directories_that_come_and_go_disturb_nobody),
    };
#undef TEST
    current = maker;
    return cmocka_run_group_tests_name(maker->name, tests, NULL, NULL);
}
