/*
 * Unit tests of rocks/outcome.c: RocksDB answers only text, and programs must not have to read it.
 * The table is tested by texts of every kind, and against errors that RocksDB itself was provoked
 * to: should a version change its words, these fail.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "rocks/db.h"
#include "rocks/outcome.h"
#include "support/state_fixture.h"

static void test_every_known_text_has_its_status(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tarn_status status;
    } CASES[] = {
        {"NotFound: x", TARN_MISSING},
        {"Corruption: block checksum mismatch", TARN_CORRUPTION},
        {"Not implemented: x", TARN_NOT_SUPPORTED},
        {"Invalid argument: x", TARN_INVALID_ARGUMENT},
        {"IO error: While appending to file: /d/1.sst: Input/output error", TARN_IO_ERROR},
        {"IO error: No space left on device: While appending to file: /d/1.sst: No space left on "
         "device",
         TARN_NO_SPACE},
        {"IO error: While appending to file: /d/1.sst: Disk quota exceeded", TARN_NO_SPACE},
        {"IO error: No such file or directory: While open a file: /d/1.sst", TARN_MISSING},
        {"IO error: lock hold by current process, acquire time 1: /d/LOCK", TARN_BUSY},
        {"IO error: While lock file: /d/LOCK: Resource temporarily unavailable", TARN_BUSY},
        {"Merge in progress: x", TARN_INTERNAL},
        {"Result incomplete: Manual compaction paused", TARN_ABANDONED},
        {"Shutdown in progress: x", TARN_ABANDONED},
        {"Operation timed out: x", TARN_TIMED_OUT},
        {"Operation aborted: x", TARN_ABANDONED},
        {"Operation aborted: Memory limit reached: x", TARN_NO_MEMORY},
        {"Resource busy: x", TARN_BUSY},
        {"Operation expired: x", TARN_TIMED_OUT},
        {"Operation failed. Try again.: x", TARN_BUSY},
        {"Compaction too large: x", TARN_NO_SPACE},
        {"Column family dropped: x", TARN_INVALID_ARGUMENT},
        {"Unheard of: x", TARN_INTERNAL},
        {"", TARN_INTERNAL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        if (tarn__rocks_classify(CASES[i].text) != CASES[i].status) {
            fail_msg(
                "\"%s\" is %s",
                CASES[i].text,
                tarn_status_name(tarn__rocks_classify(CASES[i].text)));
        }
    }
}

static void test_only_one_kind_asks_to_be_tried_again(void **state)
{
    (void)state;
    assert_true(tarn__rocks_is_try_again("Operation failed. Try again.: "));
    assert_true(tarn__rocks_is_try_again("Operation failed. Try again.: need_flush"));
    assert_false(tarn__rocks_is_try_again("Resource busy: x"));
    assert_false(tarn__rocks_is_try_again("IO error: Operation failed. Try again.: "));
    assert_false(tarn__rocks_is_try_again("Operation"));
    assert_false(tarn__rocks_is_try_again(""));
    assert_false(tarn__rocks_is_try_again(NULL));
}

static int system_code_of(const char *text)
{
    tarn_error error;
    char *message = strdup(text);
    assert_true(tarn__rocks_outcome("write", "x", &message, &error) < TARN_OK);
    return error.system_code;
}

static void test_the_text_is_kept_and_freed(void **state)
{
    (void)state;
    tarn_error error;
    char *message = strdup("Unheard of: the moon");
    assert_int_equal(tarn__rocks_outcome("open", "/d", &message, &error), TARN_INTERNAL);
    assert_null(message);
    assert_string_equal(error.message, "cannot open /d: Unheard of: the moon");
    assert_int_equal(tarn__rocks_outcome("open", "/d", &message, &error), TARN_OK);

    message = strdup("IO error: No space left on device: While appending");
    assert_int_equal(tarn__rocks_outcome("write", "x", &message, &error), TARN_NO_SPACE);
    assert_int_equal(error.system_code, ENOSPC);
    assert_int_equal(
        system_code_of("IO error: While appending to file: /d/000012.sst: File too large"), EFBIG);
    assert_int_equal(
        system_code_of("IO error: While open a file: /d/x: Permission denied"), EACCES);
    assert_int_equal(
        system_code_of("IO error: No space left on device: While appending to file: /d/x: No space "
                       "left on device"),
        ENOSPC);
    assert_int_equal(system_code_of("IO error: No such file or directory: /d/x"), ENOENT);
    assert_int_equal(system_code_of("IO error: the moon"), 0);
    assert_int_equal(system_code_of("Corruption: /d/File too large"), 0);
    message = strdup("Corruption: x");
    assert_int_equal(tarn__rocks_outcome("read", "x", &message, NULL), TARN_CORRUPTION);
}

/* ---- provoked --------------------------------------------------------------------------- */

typedef struct fixture {
    tarn__account account;
    tarn__rocks_memory *memory;
    tarn__rocks_settings settings;
    char directory[FIXTURE_PATH_BYTES];
    char path[FIXTURE_PATH_BYTES + 64];
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    tarn__account_init(&f.account, "test", NULL);
    const tarn__rocks_memory_options options = {
        .account = &f.account,
        .clock = tarn__clock_system(),
        .high_priority_ratio = -1,
    };
    assert_ok(tarn__rocks_memory_open(&options, &f.memory, &f.error), &f.error);
    tarn__rocks_settings_init(&f.settings);
    fixture_make_directory(f.directory);
    (void)snprintf(f.path, sizeof f.path, "%s/db", f.directory);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tarn__rocks_memory_close(f->memory);
    fixture_remove_directory(f->directory);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    return 0;
}

static tarn_status open_database(fixture *f, tarn__rocks **out)
{
    const tarn__rocks_open_options options = {
        .account = &f->account,
        .memory = f->memory,
        .directory = f->path,
        .settings = &f->settings,
    };
    return tarn__rocks_open(&options, out, &f->error);
}

static void overwrite(const char *directory, const char *name, const char *text)
{
    char path[FIXTURE_PATH_BYTES + 128];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    const int descriptor = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0644);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(descriptor);
}

static void test_a_database_that_is_open_already_is_busy(void **state)
{
    fixture *f = *state;
    tarn__rocks *first = NULL;
    tarn__rocks *second = NULL;
    assert_ok(open_database(f, &first), &f->error);
    assert_int_equal(open_database(f, &second), TARN_BUSY);
    assert_non_null(strstr(f->error.message, f->path));
    tarn__rocks_close(first);
}

static void test_a_damaged_pointer_to_the_manifest_is_corruption(void **state)
{
    fixture *f = *state;
    tarn__rocks *rocks = NULL;
    assert_ok(open_database(f, &rocks), &f->error);
    tarn__rocks_close(rocks);
    overwrite(f->path, "CURRENT", "nonsense");
    assert_int_equal(open_database(f, &rocks), TARN_CORRUPTION);
}

static void test_a_manifest_that_is_not_there_is_missing(void **state)
{
    fixture *f = *state;
    tarn__rocks *rocks = NULL;
    assert_ok(open_database(f, &rocks), &f->error);
    tarn__rocks_close(rocks);
    overwrite(f->path, "CURRENT", "MANIFEST-999999\n");
    const tarn_status status = open_database(f, &rocks);
    assert_true(status == TARN_MISSING || status == TARN_CORRUPTION);
    assert_int_equal(status, f->error.status);
}

static void test_a_directory_that_cannot_be_made_is_an_error_of_the_file_system(void **state)
{
    fixture *f = *state;
    tarn__rocks *rocks = NULL;
    overwrite(f->directory, "file", "x");
    (void)snprintf(f->path, sizeof f->path, "%s/file/db", f->directory);
    assert_int_equal(open_database(f, &rocks), TARN_IO_ERROR);
}

static void test_a_snapshot_into_a_directory_that_exists_is_refused(void **state)
{
    fixture *f = *state;
    tarn__rocks *rocks = NULL;
    assert_ok(open_database(f, &rocks), &f->error);
    assert_int_equal(
        tarn__rocks_link_snapshot(rocks, f->directory, &f->error), TARN_INVALID_ARGUMENT);
    tarn__rocks_close(rocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_known_text_has_its_status),
        cmocka_unit_test(test_only_one_kind_asks_to_be_tried_again),
        cmocka_unit_test(test_the_text_is_kept_and_freed),
        cmocka_unit_test_setup_teardown(
            test_a_database_that_is_open_already_is_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_damaged_pointer_to_the_manifest_is_corruption, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_manifest_that_is_not_there_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_directory_that_cannot_be_made_is_an_error_of_the_file_system, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_snapshot_into_a_directory_that_exists_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
