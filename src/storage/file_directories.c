/*
 * file_directories.c - the directories of a storage: making them, and making durable what they
 * hold.
 *
 * A name is durable when each directory on its way is: all of them are synchronised, not only those
 * that this upload made, as another upload may have made one and not have reached its own fsync
 * yet. But for the root, when the directory in it is the very one that it was as the root was
 * synchronised the last time:
 *
 *     shared/4f/4f...  fsync(shared/4f), fsync(shared), fsync(root)    the first time
 *                      fsync(shared/4f), fsync(shared)                 as long as shared stays
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/try.h"
#include "storage/file_private.h"

enum { PATH_BYTES = 1024 /* Of messages; longer ones are cut. */ };

/* Makes durable what a directory below the root ("": the root itself) holds. */
tarn_status tarn__file_sync_directory(
    tarn__file_storage *self, const char *directory, tarn_error *error)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", self->path, directory);
    int file = self->root;
    if (!self->is_synchronised) {
        return TARN_OK;
    }
    if (directory[0] != '\0') {
        TARN_TRY(tarn__file_open(
            self->calls, self->root, directory, O_RDONLY | O_DIRECTORY, path, &file, error));
    }
    const int code = self->calls->sync(file, self->calls->context) == 0 ? 0 : errno;
    if (file != self->root) {
        tarn__file_close(self, file);
    }
    return code == 0 ? TARN_OK
                     : tarn__fail_errno(error, code, "cannot synchronise directory %s", path);
}

/* Cuts the last part off a name; false when there was only one, and then the name is "". */
bool tarn__file_cut_to_parent(char *name)
{
    char *slash = strrchr(name, '/');
    *(slash != NULL ? slash : name) = '\0';
    return slash != NULL;
}

/* ---- what is known to be durable -------------------------------------------------------- */

void tarn__file_init_directories(tarn__file_storage *self)
{
    (void)pthread_mutex_init(&self->mutex, NULL);
    for (uint32_t i = 0; i < TARN__FILE_KNOWN_MAX; i++) {
        self->known[i].file = -1;
    }
}

void tarn__file_forget_directories(tarn__file_storage *self)
{
    for (uint32_t i = 0; i < TARN__FILE_KNOWN_MAX; i++) {
        if (self->known[i].file >= 0) {
            tarn__file_close(self, self->known[i].file);
        }
    }
    (void)pthread_mutex_destroy(&self->mutex);
}

static tarn__file_known *known_place(tarn__file_storage *self, const char *directory)
{
    return &self->known[tarn__hash64_of(tarn_bytes_of(directory)) % TARN__FILE_KNOWN_MAX];
}

/* Whether the root's own name of a directory of it is durable, by an earlier upload. */
static bool is_known(tarn__file_storage *self, const char *directory)
{
    struct stat status;
    if (self->calls->stat_at(self->root, directory, &status, self->calls->context) != 0) {
        return false;
    }
    const tarn__file_known *known = known_place(self, directory);
    (void)pthread_mutex_lock(&self->mutex);
    const bool is_same =
        known->file >= 0 && known->device == status.st_dev && known->inode == status.st_ino;
    (void)pthread_mutex_unlock(&self->mutex);
    return is_same;
}

/* Takes the descriptor of a directory whose name in the root is durable: as long as it is open
 * nothing else has its inode. */
static void know(tarn__file_storage *self, const char *directory, int file)
{
    struct stat status;
    tarn__file_known known = {.file = file};
    if (self->calls->stat(file, &status, self->calls->context) != 0) {
        tarn__file_close(self, file);
        return;
    }
    known.device = status.st_dev;
    known.inode = status.st_ino;
    tarn__file_known *place = known_place(self, directory);
    (void)pthread_mutex_lock(&self->mutex);
    const int before = place->file;
    *place = known;
    (void)pthread_mutex_unlock(&self->mutex);
    if (before >= 0) {
        tarn__file_close(self, before);
    }
}

/* Makes the root durable, in which a directory was opened before. */
static tarn_status sync_root(tarn__file_storage *self, const char *directory, tarn_error *error)
{
    int file = -1;
    const tarn_status opened = tarn__file_open(
        self->calls, self->root, directory, O_RDONLY | O_DIRECTORY, self->path, &file, NULL);
    const tarn_status status = tarn__file_sync_directory(self, "", error);
    if (opened == TARN_OK && status == TARN_OK) {
        know(self, directory, file);
    } else if (opened == TARN_OK) {
        tarn__file_close(self, file);
    }
    return status;
}

tarn_status tarn__file_sync_parents(tarn__file_storage *self, const char *name, tarn_error *error)
{
    char directory[TARN__STORAGE_NAME_BYTES_MAX + 1];
    char top[TARN__STORAGE_NAME_BYTES_MAX + 1] = "";
    snprintf(directory, sizeof directory, "%s", name);
    if (!self->is_synchronised) {
        return TARN_OK;
    }
    while (tarn__file_cut_to_parent(directory)) {
        TARN_TRY(tarn__file_sync_directory(self, directory, error));
        snprintf(top, sizeof top, "%s", directory);
    }
    if (top[0] == '\0') {
        return tarn__file_sync_directory(self, "", error);
    }
    return is_known(self, top) ? TARN_OK : sync_root(self, top, error);
}

/* ---- making and removing ---------------------------------------------------------------- */

tarn_status tarn__file_make_parents(tarn__file_storage *self, const char *name, tarn_error *error)
{
    char directory[TARN__STORAGE_NAME_BYTES_MAX + 1];
    const mode_t mode = S_IRWXU | S_IRWXG | S_IRWXO;
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(directory, sizeof directory, "%.*s", (int)(slash - name), name);
        if (self->calls->make_directory_at(self->root, directory, mode, self->calls->context) !=
                0 &&
            errno != EEXIST && errno != ENOENT) {
            return tarn__fail_errno(
                error, errno, "cannot make directory %s/%s", self->path, directory);
        }
    }
    return TARN_OK;
}

/* Takes away the directories above a name that have become empty; those that have not stay. */
void tarn__file_remove_empty_parents(tarn__file_storage *self, const char *name)
{
    char directory[TARN__STORAGE_NAME_BYTES_MAX + 1];
    snprintf(directory, sizeof directory, "%s", name);
    while (tarn__file_cut_to_parent(directory) &&
           self->calls->unlink_at(self->root, directory, AT_REMOVEDIR, self->calls->context) == 0) {
    }
}
