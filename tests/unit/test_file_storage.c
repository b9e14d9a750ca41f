/*
 * Unit tests of storage/file.c and of addresses: what is special about directories. What every
 * storage must do is in conformance/storage_suite.c.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/try.h"
#include "storage/storage.h"
#include "support/fault_files.h"
#include "support/scratch.h"

typedef struct fixture {
    scratch scratch;
    fault_files files;
    fault_allocator memory;
    tarn__account account;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    scratch_init(&f->scratch);
    fault_files_init(&f->files, FAULT_FILES_NEVER, EIO);
    fault_allocator_init(&f->memory, FAULT_NEVER);
    tarn__account_init(&f->account, "test", &f->memory.base);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    scratch_clear(&f->scratch);
    const int leaked = atomic_load(&f->memory.live_count) != 0;
    free(f);
    return leaked;
}

static tarn_status open_at(fixture *f, const char *address, bool must_exist, tarn_storage **out)
{
    const tarn__storage_options options = {
        .address = address,
        .account = &f->account,
        .calls = &f->files.base,
        .must_exist = must_exist,
    };
    return tarn__storage_open(&options, out, &f->error);
}

static tarn_status put(fixture *f, tarn_storage *storage, const char *name, tarn_bytes content)
{
    tarn_storage_upload *upload = NULL;
    TARN_TRY(tarn__storage_begin(storage, name, 0, &upload, &f->error));
    const tarn_status status = tarn__storage_append(upload, content, &f->error);
    if (status != TARN_OK) {
        tarn__storage_abandon(upload);
        return status;
    }
    return tarn__storage_finish(upload, NULL, &f->error);
}

static void test_addresses_are_paths_or_file_uris(void **state)
{
    fixture *f = *state;
    const char *path = NULL;
    assert_ok(tarn__storage_path_of("/a/b", &path, &f->error), &f->error);
    assert_string_equal(path, "/a/b");
    assert_ok(tarn__storage_path_of("a/b", &path, &f->error), &f->error);
    assert_string_equal(path, "a/b");
    assert_ok(tarn__storage_path_of("file:///a/b", &path, &f->error), &f->error);
    assert_string_equal(path, "/a/b");
    assert_ok(tarn__storage_path_of("file:/a/b", &path, &f->error), &f->error);
    assert_string_equal(path, "/a/b");
    assert_ok(tarn__storage_path_of("odd/x://y", &path, &f->error), &f->error);
    assert_int_equal(tarn__storage_path_of("", &path, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn__storage_path_of(NULL, &path, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn__storage_path_of("file://host/a", &path, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn__storage_path_of("file:a", &path, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn__storage_path_of("s3://b/c", &path, &f->error), TARN_NOT_SUPPORTED);
    assert_non_null(strstr(f->error.message, "\"s3\""));
}

static void test_a_missing_directory_is_made_or_named(void **state)
{
    fixture *f = *state;
    tarn_storage *storage = NULL;
    const char *path = scratch_join(f->scratch.path, "new//deep/");
    assert_int_equal(open_at(f, path, /* must_exist= */ true, &storage), TARN_MISSING);
    assert_non_null(strstr(f->error.message, "new//deep"));
    assert_int_equal(f->error.system_code, ENOENT);
    assert_ok(open_at(f, path, false, &storage), &f->error);
    tarn__storage_free(storage);
    assert_ok(open_at(f, path, true, &storage), &f->error);
    tarn__storage_free(storage);
}

static void test_a_file_in_the_way_is_named(void **state)
{
    fixture *f = *state;
    const char *path = scratch_join(f->scratch.path, "file");
    scratch_write(path, "x", 1);
    tarn_storage *storage = NULL;
    assert_int_equal(open_at(f, path, false, &storage), TARN_IO_ERROR);
    assert_int_equal(f->error.system_code, ENOTDIR);
    assert_non_null(strstr(f->error.message, path));
    assert_int_equal(open_at(f, scratch_join(path, "below"), false, &storage), TARN_IO_ERROR);
    assert_non_null(strstr(f->error.message, path));
}

static void test_the_lock_names_the_process_that_holds_it(void **state)
{
    fixture *f = *state;
    int ready[2];
    int done[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    const pid_t child = fork();
    if (child == 0) {
        tarn_storage *storage = NULL;
        tarn_storage_lock *lock = NULL;
        char byte = 0;
        const bool is_locked = open_at(f, f->scratch.path, false, &storage) == TARN_OK &&
                               tarn__storage_lock(storage, &lock, &f->error) == TARN_OK;
        _exit(is_locked && write(ready[1], "r", 1) == 1 && read(done[0], &byte, 1) == 1 ? 0 : 1);
    }
    char byte = 0;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    tarn_storage *storage = NULL;
    tarn_storage_lock *lock = NULL;
    assert_ok(open_at(f, f->scratch.path, false, &storage), &f->error);
    assert_int_equal(tarn__storage_lock(storage, &lock, &f->error), TARN_BUSY);
    char holder[32];
    snprintf(holder, sizeof holder, "process %ld ", (long)child);
    assert_non_null(strstr(f->error.message, holder));
    assert_non_null(strstr(f->error.message, f->scratch.path));

    assert_int_equal(write(done[1], "d", 1), 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_ok(tarn__storage_lock(storage, &lock, &f->error), &f->error);
    tarn__storage_unlock(lock);
    tarn__storage_free(storage);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(done[i]);
    }
}

static void test_the_lock_takes_away_what_killed_writers_left(void **state)
{
    fixture *f = *state;
    const pid_t child = fork();
    if (child == 0) {
        tarn_storage *storage = NULL;
        tarn_storage_upload *upload = NULL;
        const bool is_begun = open_at(f, f->scratch.path, false, &storage) == TARN_OK &&
                              tarn__storage_begin(storage, "x", 0, &upload, &f->error) == TARN_OK;
        _exit(is_begun ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(scratch_count(f->scratch.path, ""), 1);

    tarn_storage *storage = NULL;
    tarn_storage_upload *upload = NULL;
    tarn_storage_lock *lock = NULL;
    assert_ok(open_at(f, f->scratch.path, false, &storage), &f->error);
    assert_ok(tarn__storage_begin(storage, "mine", 0, &upload, &f->error), &f->error);
    assert_ok(tarn__storage_lock(storage, &lock, &f->error), &f->error);
    assert_ok(tarn__storage_finish(upload, NULL, &f->error), &f->error);
    assert_int_equal(scratch_count(f->scratch.path, ".tarn-tmp-"), 0);
    assert_int_equal(scratch_count(f->scratch.path, "mine"), 1);
    tarn__storage_unlock(lock);
    tarn__storage_free(storage);
}

/* Whatever fails, a reader sees the old object or the new one, and no descriptor stays open. */
static void test_every_file_operation_may_fail(void **state)
{
    fixture *f = *state;
    uint64_t fired = 0;
    for (uint64_t nth = 0;; nth++) {
        scratch_remove(scratch_join(f->scratch.path, "s"));
        fault_files_init(&f->files, FAULT_FILES_NEVER, ENOSPC);
        tarn_storage *storage = NULL;
        assert_ok(open_at(f, scratch_join(f->scratch.path, "s"), false, &storage), &f->error);
        assert_ok(put(f, storage, "d/x", tarn_bytes_of("old")), &f->error);
        const uint32_t descriptors = scratch_count("/proc/self", "fdinfo/");

        f->files.fail_at = nth;
        atomic_store(&f->files.call_count, 0);
        const tarn_status status = put(f, storage, "d/x", tarn_bytes_of("new"));
        const bool has_fired = atomic_load(&f->files.fired);
        f->files.fail_at = FAULT_FILES_NEVER;
        if (status != TARN_OK) {
            assert_true(has_fired);
            assert_int_equal(status, TARN_NO_SPACE);
            assert_int_equal(f->error.system_code, ENOSPC);
            assert_non_null(strstr(f->error.message, f->scratch.path));
        }
        char content[8];
        size_t size = 0;
        assert_ok(tarn__storage_read(storage, "d/x", 0, content, 8, &size, &f->error), &f->error);
        assert_int_equal(size, 3);
        assert_true(memcmp(content, "new", 3) == 0 || (status != TARN_OK && content[0] == 'o'));
        assert_int_equal(scratch_count("/proc/self", "fdinfo/"), descriptors);
        tarn__storage_free(storage);
        if (!has_fired) {
            break;
        }
        fired++;
    }
    assert_true(fired >= 8);
}

static void test_every_allocation_may_fail(void **state)
{
    fixture *f = *state;
    for (uint64_t nth = 0;; nth++) {
        fault_allocator_init(&f->memory, nth);
        tarn_storage *storage = NULL;
        tarn_storage_lock *lock = NULL;
        tarn_status status = open_at(f, f->scratch.path, false, &storage);
        if (status == TARN_OK) {
            status = tarn__storage_lock(storage, &lock, &f->error);
        }
        if (status == TARN_OK) {
            status = put(f, storage, "x", tarn_bytes_of("y"));
        }
        tarn__storage_unlock(lock);
        tarn__storage_free(storage);
        const bool has_fired = atomic_load(&f->memory.fired);
        assert_int_equal(status, has_fired ? TARN_NO_MEMORY : TARN_OK);
        assert_int_equal(atomic_load(&f->memory.live_count), 0);
        if (!has_fired) {
            break;
        }
    }
}

/* A write that is refused for want of space is a status of its own, and leaves no half file. */
static void test_a_full_disk_is_no_space(void **state)
{
    fixture *f = *state;
    if (mount("none", f->scratch.path, "tmpfs", 0, "size=256k") != 0) {
        print_message("skipped: a tmpfs cannot be mounted here (%s)\n", strerror(errno));
        skip();
    }
    tarn_storage *storage = NULL;
    assert_ok(open_at(f, f->scratch.path, false, &storage), &f->error);
    static const uint8_t content[1 << 20];
    assert_int_equal(put(f, storage, "big", tarn_bytes_at(content, sizeof content)), TARN_NO_SPACE);
    assert_int_equal(f->error.system_code, ENOSPC);
    assert_non_null(strstr(f->error.message, "/big"));
    assert_ok(put(f, storage, "small", tarn_bytes_at(content, 100 << 10)), &f->error);
    assert_int_equal(scratch_count(f->scratch.path, ""), 1);
    tarn__storage_free(storage);
    assert_int_equal(umount(f->scratch.path), 0);
}

static void test_a_read_only_file_system_is_named(void **state)
{
    fixture *f = *state;
    if (mount("none", f->scratch.path, "tmpfs", MS_RDONLY, "size=64k") != 0) {
        print_message("skipped: a tmpfs cannot be mounted here (%s)\n", strerror(errno));
        skip();
    }
    tarn_storage *storage = NULL;
    const tarn_status below = open_at(f, scratch_join(f->scratch.path, "job"), false, &storage);
    const int below_code = f->error.system_code;
    assert_ok(open_at(f, f->scratch.path, false, &storage), &f->error);
    const tarn_status status = put(f, storage, "x", tarn_bytes_of("y"));
    const int code = f->error.system_code;
    tarn__storage_free(storage);
    assert_int_equal(umount(f->scratch.path), 0);
    assert_int_equal(below, TARN_IO_ERROR);
    assert_int_equal(below_code, EROFS);
    assert_int_equal(status, TARN_IO_ERROR);
    assert_int_equal(code, EROFS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_addresses_are_paths_or_file_uris),
        TEST(test_a_missing_directory_is_made_or_named),
        TEST(test_a_file_in_the_way_is_named),
        TEST(test_the_lock_names_the_process_that_holds_it),
        TEST(test_the_lock_takes_away_what_killed_writers_left),
        TEST(test_every_file_operation_may_fail),
        TEST(test_every_allocation_may_fail),
        TEST(test_a_full_disk_is_no_space),
        TEST(test_a_read_only_file_system_is_named),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
