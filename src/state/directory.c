/* directory.c - see directory.h. */
#include "state/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/try.h"

enum {
    DIRECTORY_MODE = 0777, /* Less the process's umask. */
    FILE_MODE = 0666,
    WALK_DESCRIPTORS = 16,
    HOLDER_BYTES_MAX = 320,
};

/* ---- making and removing ---------------------------------------------------------------- */

static tarn_status make_one(const char *path, tarn_error *error)
{
    struct stat status;
    if (mkdir(path, DIRECTORY_MODE) == 0) {
        return TARN_OK;
    }
    const int code = errno;
    if (code == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return TARN_OK;
    }
    return tarn__fail_errno(
        error, code == EEXIST ? ENOTDIR : code, "cannot create the directory %s", path);
}

/* Makes a directory and those above it. path is changed meanwhile. */
static tarn_status make_all(char *path, tarn_error *error)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const tarn_status status = make_one(path, error);
        *slash = '/';
        TARN_TRY(status);
    }
    return make_one(path, error);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)where;
    const int failed = kind == FTW_DP ? rmdir(path) : unlink(path);
    return failed != 0 && errno != ENOENT ? errno : 0;
}

tarn_status tarn__directory_remove(const char *path, tarn_error *error)
{
    errno = 0;
    const int outcome = nftw(path, remove_entry, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    const int code = outcome > 0 ? outcome : errno;
    if (outcome == 0 || code == ENOENT) {
        return TARN_OK;
    }
    return tarn__fail_errno(error, code, "cannot remove %s", path);
}

/* ---- the lock --------------------------------------------------------------------------- */

static tarn_status refuse(const tarn__directory *directory, int descriptor, tarn_error *error)
{
    char holder[HOLDER_BYTES_MAX];
    const ssize_t size = pread(descriptor, holder, sizeof holder - 1, 0);
    holder[size > 0 ? size : 0] = '\0';
    char *line_end = strchr(holder, '\n');
    if (line_end != NULL) {
        *line_end = '\0';
    }
    return tarn__fail(
        error,
        TARN_BUSY,
        "the working directory %s is in use by %s; give each backend a directory of its own",
        directory->path,
        holder[0] != '\0' ? holder : "another backend");
}

/* Whether the file that was locked is still the one of that name: a holder removes its own. */
static bool is_current(const char *path, int descriptor)
{
    struct stat locked;
    struct stat named;
    return fstat(descriptor, &locked) == 0 && stat(path, &named) == 0 &&
           locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
}

static tarn_status write_holder(
    int descriptor, const char *path, const char *holder, tarn_error *error)
{
    char text[HOLDER_BYTES_MAX];
    const int size = snprintf(text, sizeof text, "process %ld (%.255s)\n", (long)getpid(), holder);
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, (size_t)size, 0) != size) {
        return tarn__fail_errno(error, errno, "cannot write %s", path);
    }
    return TARN_OK;
}

static tarn_status take_lock(tarn__directory *directory, const char *holder, tarn_error *error)
{
    for (;;) {
        const int descriptor = open(directory->lock, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
        if (descriptor < 0) {
            return tarn__fail_errno(error, errno, "cannot open %s", directory->lock);
        }
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            const tarn_status status =
                errno == EWOULDBLOCK
                    ? refuse(directory, descriptor, error)
                    : tarn__fail_errno(error, errno, "cannot lock %s", directory->lock);
            (void)close(descriptor);
            return status;
        }
        if (is_current(directory->lock, descriptor)) {
            directory->lock_descriptor = descriptor;
            return write_holder(descriptor, directory->lock, holder, error);
        }
        (void)close(descriptor); /* The last holder removed it meanwhile: take the new one. */
    }
}

/* ---- opening and closing ---------------------------------------------------------------- */

static char *join(tarn__account *account, const char *path, const char *name)
{
    const size_t size = strlen(path) + 1 + strlen(name) + 1;
    char *joined = tarn__allocate(account, size);
    if (joined != NULL) {
        (void)snprintf(joined, size, "%s/%s", path, name);
    }
    return joined;
}

static tarn_status wipe(const tarn__directory *directory, tarn_error *error)
{
    TARN_TRY(tarn__directory_remove(directory->db, error));
    TARN_TRY(tarn__directory_remove(directory->half_made_links, error));
    TARN_TRY(tarn__directory_remove(directory->source, error));
    return tarn__directory_remove(directory->links, error);
}

static tarn_status set_up(
    tarn__directory *directory, tarn__account *account, const char *holder, tarn_error *error)
{
    directory->db = join(account, directory->path, "db");
    directory->links = join(account, directory->path, "links");
    directory->half_made_links = join(account, directory->path, "links.tmp");
    directory->source = join(account, directory->path, "source");
    directory->lock = join(account, directory->path, "lock");
    if (directory->db == NULL || directory->links == NULL || directory->half_made_links == NULL ||
        directory->source == NULL || directory->lock == NULL) {
        return tarn__fail_no_memory(error, "a path", strlen(directory->path) + sizeof "/links.tmp");
    }
    TARN_TRY(make_all(directory->path, error));
    TARN_TRY(take_lock(directory, holder, error));
    return wipe(directory, error);
}

tarn_status tarn__directory_open(
    tarn__directory *directory,
    tarn__account *account,
    const char *path,
    const char *holder,
    tarn_error *error)
{
    tarn__directory opened = {.lock_descriptor = -1};
    opened.path = tarn__allocate_string(account, path);
    if (opened.path == NULL) {
        return tarn__fail_no_memory(error, "a path", strlen(path) + 1);
    }
    const tarn_status status = set_up(&opened, account, holder, error);
    if (status != TARN_OK) {
        tarn__directory_close(&opened);
        return status;
    }
    *directory = opened;
    return TARN_OK;
}

void tarn__directory_close(tarn__directory *directory)
{
    if (directory->path == NULL) {
        return;
    }
    if (directory->lock_descriptor >= 0) {
        (void)wipe(directory, NULL); /* What stays is wiped by the next holder. */
        (void)unlink(directory->lock);
        (void)close(directory->lock_descriptor);
    }
    tarn__release(directory->lock);
    tarn__release(directory->source);
    tarn__release(directory->half_made_links);
    tarn__release(directory->links);
    tarn__release(directory->db);
    tarn__release(directory->path);
    *directory = (tarn__directory){.lock_descriptor = -1};
}
