/*
 * Unit tests of the files that the command writes: whole and durable when they have their name, and
 * nothing left of a process that was killed; where files without a name are, and where they are
 * not.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/file_out.h"
#include "support/scratch.h"

/* The calls that file_out.c makes come by here: the linker gives them these names. */
int __wrap_open(const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_fsync(int file);
int __real_fsync(int file);
int __wrap_linkat(int from, const char *name, int to, const char *new_name, int flags);
int __real_linkat(int from, const char *name, int to, const char *new_name, int flags);
int __wrap_rename(const char *from, const char *to);
int __real_rename(const char *from, const char *to);
int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags);
int __real_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags);

/* What the file system can do, and what was asked of it: a letter for each call. */
static struct {
    bool has_unnamed;
    bool has_exchange; /* renameat2() with its flags. */
    char failing;      /* The call that fails; 0: none. */
    char asked[16];
} disk;

static int ask(char call)
{
    const size_t length = strlen(disk.asked);
    assert_true(length + 1 < sizeof disk.asked);
    disk.asked[length] = call;
    disk.asked[length + 1] = '\0';
    if (disk.failing == call) {
        errno = EIO;
        return -1;
    }
    return 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if ((flags & O_TMPFILE) == O_TMPFILE && !disk.has_unnamed) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_open(path, flags, mode);
}

int __wrap_fsync(int file)
{
    struct stat status;
    assert_int_equal(fstat(file, &status), 0);
    return ask(S_ISDIR(status.st_mode) ? 'd' : 'f') == 0 ? __real_fsync(file) : -1;
}

int __wrap_linkat(int from, const char *name, int to, const char *new_name, int flags)
{
    return ask('l') == 0 ? __real_linkat(from, name, to, new_name, flags) : -1;
}

int __wrap_rename(const char *from, const char *to)
{
    return ask('r') == 0 ? __real_rename(from, to) : -1;
}

int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags)
{
    if (!disk.has_exchange) {
        errno = EINVAL;
        return -1;
    }
    return ask('r') == 0 ? __real_renameat2(from, name, to, new_name, flags) : -1;
}

void *cli_must(void *pointer)
{
    assert_non_null(pointer);
    return pointer;
}

/* --- The directory of a test --- */

typedef struct fixture {
    scratch directory;
    char path[PATH_MAX + 16];
    tarn_error error;
} fixture;

static void use_disk(bool has_unnamed, bool has_exchange)
{
    memset(&disk, 0, sizeof disk);
    disk.has_unnamed = has_unnamed;
    disk.has_exchange = has_exchange;
}

static int set_up(void **state)
{
    fixture *f = test_calloc(1, sizeof *f);
    use_disk(true, true);
    scratch_init(&f->directory);
    (void)snprintf(f->path, sizeof f->path, "%s/rows", f->directory.path);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    scratch_clear(&f->directory);
    test_free(f);
    return 0;
}

/* What the test pretends cannot be had where the system has none. */
static bool is_unnamed_possible(const fixture *f)
{
    const int file = __real_open(f->directory.path, O_TMPFILE | O_WRONLY | O_CLOEXEC, S_IRUSR);
    if (file >= 0) {
        (void)close(file);
    }
    return file >= 0;
}

/* text  What the path has, and nothing else is there; NULL: nothing at all. */
static void expect_only(const fixture *f, const char *text)
{
    assert_int_equal(scratch_count(f->directory.path, ""), text != NULL ? 1 : 0);
    if (text != NULL) {
        size_t size = 0;
        uint8_t *found = scratch_read(f->path, &size);
        assert_int_equal(size, strlen(text));
        assert_memory_equal(found, text, size);
        free(found);
    }
}

static void put(const fixture *f, const char *text)
{
    scratch_remove(f->path);
    scratch_write(f->path, text, strlen(text));
}

typedef bool opener(cli_file_out *out, const char *path, tarn_error *error);

static void begin(fixture *f, opener *open_it, cli_file_out *out)
{
    if (!open_it(out, f->path, &f->error)) {
        fail_msg("%s", f->error.message);
    }
    assert_true(fputs("new", out->file) >= 0);
}

static void write_new(fixture *f, opener *open_it)
{
    cli_file_out out;
    begin(f, open_it, &out);
    if (!cli_file_out_close(&out, /* is_good= */ true, &f->error)) {
        fail_msg("%s", f->error.message);
    }
    expect_only(f, "new");
}

/* --- Tests --- */

static void test_bytes_are_durable_before_the_name_and_the_name_before_the_answer(void **state)
{
    fixture *f = *state;
    const bool is_possible = is_unnamed_possible(f);
    put(f, "old");
    write_new(f, cli_file_out_open);
    assert_string_equal(disk.asked, is_possible ? "flrd" : "frd");
    scratch_remove(f->path);
    use_disk(true, true);
    write_new(f, cli_file_out_make);
    assert_string_equal(disk.asked, is_possible ? "fld" : "frd");

    put(f, "old");
    use_disk(false, true);
    write_new(f, cli_file_out_open);
    assert_string_equal(disk.asked, "frd");
    scratch_remove(f->path);
    use_disk(false, true);
    write_new(f, cli_file_out_make);
    assert_string_equal(disk.asked, "frd");
    scratch_remove(f->path);
    use_disk(false, false); /* By a second name, then. */
    write_new(f, cli_file_out_make);
    assert_string_equal(disk.asked, "fd");
}

/* Answers in the middle of writing. */
static void be_killed_while_writing(fixture *f, opener *open_it)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        cli_file_out out;
        if (open_it(&out, f->path, &f->error) && fputs("new", out.file) >= 0 &&
            fflush(out.file) == 0) {
            (void)raise(SIGKILL);
        }
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_a_command_that_is_killed_leaves_what_was_there(void **state)
{
    fixture *f = *state;
    if (is_unnamed_possible(f)) {
        be_killed_while_writing(f, cli_file_out_make);
        expect_only(f, NULL);
        put(f, "old");
        be_killed_while_writing(f, cli_file_out_open);
        expect_only(f, "old");
        scratch_remove(f->path);
    }
    use_disk(false, true);
    be_killed_while_writing(f, cli_file_out_make);
    assert_false(scratch_exists(f->path));
    assert_int_equal(scratch_count(f->directory.path, "rows.part-"), 1);
    put(f, "old");
    be_killed_while_writing(f, cli_file_out_open);
    assert_int_equal(scratch_size(f->path), strlen("old"));
    assert_int_equal(scratch_count(f->directory.path, "rows.part-"), 2);
}

static void test_what_fails_is_said_and_leaves_what_was_there(void **state)
{
    fixture *f = *state;
    for (int has_unnamed = 0; has_unnamed <= 1; has_unnamed++) {
        for (const char *failing = "flrd"; *failing != '\0'; failing++) {
            const bool has_link = has_unnamed != 0 && is_unnamed_possible(f);
            cli_file_out out;
            put(f, "old");
            use_disk(has_unnamed != 0, true);
            disk.failing = *failing;
            begin(f, cli_file_out_open, &out);
            const bool is_good = cli_file_out_close(&out, /* is_good= */ true, &f->error);
            assert_int_equal(is_good, *failing == 'l' && !has_link);
            if (!is_good) {
                assert_non_null(strstr(f->error.message, strerror(EIO)));
            }
            expect_only(f, is_good || *failing == 'd' ? "new" : "old");
        }
    }
}

static void test_what_is_not_good_is_thrown_away(void **state)
{
    fixture *f = *state;
    for (int has_unnamed = 0; has_unnamed <= 1; has_unnamed++) {
        cli_file_out out;
        use_disk(has_unnamed != 0, true);
        scratch_remove(f->path);
        begin(f, cli_file_out_make, &out);
        assert_false(cli_file_out_close(&out, /* is_good= */ false, &f->error));
        expect_only(f, NULL);
        put(f, "old");
        begin(f, cli_file_out_open, &out);
        assert_false(cli_file_out_close(&out, /* is_good= */ false, &f->error));
        expect_only(f, "old");
    }
}

static void test_what_is_made_replaces_nothing(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        cli_file_out out;
        use_disk(/* has_unnamed= */ i == 0, /* has_exchange= */ i == 1);
        scratch_remove(f->path);
        begin(f, cli_file_out_make, &out);
        put(f, "another's"); /* Meanwhile. */
        assert_false(cli_file_out_close(&out, /* is_good= */ true, &f->error));
        assert_non_null(strstr(f->error.message, strerror(EEXIST)));
        expect_only(f, "another's");
        assert_false(cli_file_out_make(&out, f->path, &f->error));
        assert_non_null(strstr(f->error.message, strerror(EEXIST)));
        expect_only(f, "another's");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_bytes_are_durable_before_the_name_and_the_name_before_the_answer),
        TEST(test_a_command_that_is_killed_leaves_what_was_there),
        TEST(test_what_fails_is_said_and_leaves_what_was_there),
        TEST(test_what_is_not_good_is_thrown_away),
        TEST(test_what_is_made_replaces_nothing),
    };
#undef TEST
    return cmocka_run_group_tests_name("file_out", tests, NULL, NULL);
}
