/* file_out.c - see file_out.h. */
#include "file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

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

/* Makes the file beside; one that replaces another is for its maker alone until it has its rights.
 */
static FILE *make_beside(const char *path, const struct stat *old)
{
    const mode_t everybody = S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;
    const mode_t mode = old != NULL ? S_IRUSR | S_IWUSR : everybody; /* The umask decides. */
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file < 0) {
        return NULL;
    }
    FILE *made = old == NULL || take_over(file, old) ? fdopen(file, "wb") : NULL;
    if (made == NULL) {
        const int code = errno;
        (void)close(file);
        (void)unlink(path);
        errno = code;
    }
    return made;
}

static void drop_beside(cli_file_out *out)
{
    free(out->beside);
    out->beside = NULL;
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
    const size_t size = strlen(path) + 32;
    out->beside = cli_must(malloc(size));
    snprintf(out->beside, size, "%s.part-%ld", path, (long)getpid());
    out->file = make_beside(out->beside, is_there ? &status : NULL);
    if (out->file == NULL) {
        (void)cli_file_fail(error, "make", out->beside);
        drop_beside(out);
        return false;
    }
    return true;
}

bool cli_file_out_close(cli_file_out *out, bool is_good, tarn_error *error)
{
    const bool was_good = is_good;
    if (out->file == stdout) {
        is_good = is_good && fflush(stdout) == 0;
    } else {
        is_good = fclose(out->file) == 0 && is_good;
    }
    if (is_good && out->beside != NULL) {
        is_good = rename(out->beside, out->path) == 0;
    }
    if (was_good && !is_good) {
        (void)cli_file_fail(error, "write", out->path);
    }
    if (!is_good && out->beside != NULL) {
        (void)unlink(out->beside);
    }
    drop_beside(out);
    return is_good;
}
