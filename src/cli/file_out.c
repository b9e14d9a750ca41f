/* file_out.c - see file_out.h. */
#include "file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

enum { LINK_BYTES = 32 };

bool cli_file_fail(tarn_error *error, const char *doing, const char *path)
{
    snprintf(
        error->message,
        sizeof error->message,
        "cannot %s %.300s: %s",
        doing,
        path,
        strerror(errno));
    return false;
}

/*
 * The new file may be read by whoever might read the old one, and by nobody else: who is not
 * allowed to give it to the old one's group takes the group's rights away.
 */
static bool take_over(int file, const struct stat *old)
{
    struct stat now;
    mode_t bits = old->st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);
    if (fstat(file, &now) != 0) {
        return false;
    }
    if (now.st_uid != old->st_uid && fchown(file, old->st_uid, old->st_gid) == 0) {
        now.st_gid = old->st_gid;
    }
    if (now.st_gid != old->st_gid && fchown(file, (uid_t)-1, old->st_gid) != 0) {
        /* Its members are others now, and may do no more than before. */
        const mode_t group = (bits & S_IRWXG) >> 3;
        bits = (bits & S_IRWXU) | (bits & S_IRWXO & group);
    }
    return fchmod(file, bits) == 0;
}

/* The directory that a path's last name is in; free() it. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = cli_must(strdup(slash != NULL ? path : "."));
    if (slash != NULL) {
        directory[slash == path ? 1 : slash - path] = '\0';
    }
    return directory;
}

/* Where a file without a name can be linked from. */
static void name_link(int file, char out[LINK_BYTES])
{
    snprintf(out, LINK_BYTES, "/proc/self/fd/%d", file);
}

/* -1: the file system has none, or nothing could give it a name. */
static int make_unnamed(const char *path, mode_t mode)
{
    char link[LINK_BYTES];
    char *directory = directory_of(path);
    int file = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    free(directory);
    if (file >= 0) {
        name_link(file, link);
        if (access(link, F_OK) != 0) {
            (void)close(file);
            file = -1;
        }
    }
    return file;
}

/* Makes the file; one that replaces another is for its maker alone until it has its rights. */
static FILE *make(cli_file_out *out, const struct stat *old)
{
    const mode_t everybody = S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;
    const mode_t mode = old != NULL ? S_IRUSR | S_IWUSR : everybody; /* The umask decides. */
    int file = make_unnamed(out->path, mode);
    if (file < 0) {
        file = open(out->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        out->has_beside = file >= 0;
    }
    if (file < 0) {
        return NULL;
    }
    FILE *made = old == NULL || take_over(file, old) ? fdopen(file, "wb") : NULL;
    if (made == NULL) {
        const int code = errno;
        (void)close(file);
        if (out->has_beside) {
            (void)unlink(out->beside);
        }
        errno = code;
    }
    return made;
}

static void drop_beside(cli_file_out *out)
{
    free(out->beside);
    out->beside = NULL;
}

static bool open_beside(cli_file_out *out, const struct stat *old, tarn_error *error)
{
    const size_t size = strlen(out->path) + 32;
    out->beside = cli_must(malloc(size));
    snprintf(out->beside, size, "%s.part-%ld", out->path, (long)getpid());
    out->file = make(out, old);
    if (out->file == NULL) {
        (void)cli_file_fail(error, "make", out->beside);
        drop_beside(out);
        return false;
    }
    return true;
}

bool cli_file_out_open(cli_file_out *out, const char *path, tarn_error *error)
{
    struct stat status;
    *out = (cli_file_out){.path = path};
    if (strcmp(path, "-") == 0) {
        out->file = stdout;
        return true;
    }
    const bool is_there = lstat(path, &status) == 0;
    if (is_there && !S_ISREG(status.st_mode)) {
        out->file = fopen(path, "wb");
        return out->file != NULL || cli_file_fail(error, "make", path);
    }
    return open_beside(out, is_there ? &status : NULL, error);
}

bool cli_file_out_make(cli_file_out *out, const char *path, tarn_error *error)
{
    struct stat status;
    if (strcmp(path, "-") == 0) {
        return cli_file_out_open(out, path, error);
    }
    *out = (cli_file_out){.path = path, .is_new = true};
    if (lstat(path, &status) == 0) {
        errno = EEXIST;
        return cli_file_fail(error, "make", path);
    }
    return open_beside(out, NULL, error);
}

/* Pipes and devices, which are written directly, have nothing to wait for. */
static bool synchronise(const cli_file_out *out)
{
    return fflush(out->file) == 0 &&
           (out->file == stdout || fsync(fileno(out->file)) == 0 ||
            (out->beside == NULL && (errno == EINVAL || errno == ENOTSUP || errno == EROFS)));
}

static bool rename_to_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return true;
    }
    /* Some file systems cannot, but have links. */
    return (errno == EINVAL || errno == ENOSYS) && link(from, to) == 0 && unlink(from) == 0;
}

static bool give_name(cli_file_out *out)
{
    if (!out->has_beside) {
        char from[LINK_BYTES];
        name_link(fileno(out->file), from);
        const char *to = out->is_new ? out->path : out->beside;
        if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) != 0) {
            return false;
        }
        if (out->is_new) {
            return true;
        }
        out->has_beside = true;
    }
    const bool is_named =
        out->is_new ? rename_to_new(out->beside, out->path) : rename(out->beside, out->path) == 0;
    out->has_beside = !is_named;
    return is_named;
}

static bool synchronise_directory(const char *path)
{
    char *name = directory_of(path);
    const int directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(name);
    if (directory < 0 && errno == EACCES) { /* It may be written to, but not read. */
        sync();
        return true;
    }
    if (directory < 0) {
        return false;
    }
    /* Some file systems have nothing to be done there. */
    const bool is_good = fsync(directory) == 0 || errno == EINVAL || errno == ENOTSUP;
    const int code = errno;
    (void)close(directory);
    errno = code;
    return is_good;
}

/* Has it whole, named, durable, in this order; false: errno says why. */
static bool settle(cli_file_out *out)
{
    return synchronise(out) &&
           (out->beside == NULL || (give_name(out) && synchronise_directory(out->path)));
}

bool cli_file_out_close(cli_file_out *out, bool is_good, tarn_error *error)
{
    if (is_good && !settle(out)) {
        is_good = cli_file_fail(error, "write", out->path);
    }
    if (out->file != stdout) {
        (void)fclose(out->file); /* What it had to say, synchronising has said. */
    }
    if (out->has_beside) {
        (void)unlink(out->beside);
    }
    drop_beside(out);
    return is_good;
}
