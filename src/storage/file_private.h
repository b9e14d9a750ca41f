/* file_private.h - a directory as a storage: what the file_*.c share. */
#ifndef TARN_STORAGE_FILE_PRIVATE_H
#define TARN_STORAGE_FILE_PRIVATE_H

#include <pthread.h>

#include "storage/storage.h"

enum {
    TARN__FILE_KNOWN_MAX = 8, /* Directories of the root; each has a descriptor. */
    /* A concurrent remove() may take an empty directory away between mkdir and rename. */
    TARN__FILE_ATTEMPTS_MAX = 100,
};

/* A directory of the root, whose name there is durable. */
typedef struct tarn__file_known {
    int file; /* Keeps the inode from being another's. -1: none. */
    dev_t device;
    ino_t inode;
} tarn__file_known;

typedef struct tarn__file_storage {
    tarn_storage base;
    tarn__account *account;
    const tarn__file_calls *calls;
    int root;                          /* Descriptor of the directory. */
    bool is_synchronised;              /* What is finished survives a loss of power. */
    uint64_t token;                    /* Tells this storage's temporary files from others'. */
    atomic_uint_least64_t next_upload; /* Numbers them. */

    pthread_mutex_t mutex; /* For known. A leaf. */
    tarn__file_known known[TARN__FILE_KNOWN_MAX];
    char path[]; /* Of the root, as given. */
} tarn__file_storage;

/* Begins the name of an upload's temporary file; then the storage's token in 16 digits. */
#define TARN__FILE_TEMPORARY ".tarn-tmp-"

enum { TARN__FILE_TEMPORARY_BYTES = 64 };

/* Makes up a name that no other temporary file has. */
void tarn__file_name_temporary(tarn__file_storage *self, char out[TARN__FILE_TEMPORARY_BYTES]);

bool tarn__file_is(const tarn_storage *storage);
void tarn__file_close(const tarn__file_storage *self, int file);

/* --- file_root.c --- */

/* Makes the directory and its parents as far as they are missing, each durable in the one above. */
TARN_NODISCARD tarn_status tarn__file_make_root(tarn__file_storage *self, tarn_error *error);

/* The operations lock() and unlock(). */
TARN_NODISCARD tarn_status
tarn__file_lock_take(tarn_storage *base, tarn_storage_lock **out, tarn_error *error);
void tarn__file_lock_give(tarn_storage_lock *base);

/* --- file_directories.c --- */

void tarn__file_init_directories(tarn__file_storage *self);
void tarn__file_forget_directories(tarn__file_storage *self);

/* Makes durable what a directory below the root ("": the root itself) holds. */
TARN_NODISCARD tarn_status
tarn__file_sync_directory(tarn__file_storage *self, const char *directory, tarn_error *error);

/* Makes an object's name durable, with those of the directories that it lies in. */
TARN_NODISCARD tarn_status
tarn__file_sync_parents(tarn__file_storage *self, const char *name, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__file_make_parents(tarn__file_storage *self, const char *name, tarn_error *error);

/* Takes away the directories above a name that have become empty; those that have not stay. */
void tarn__file_remove_empty_parents(tarn__file_storage *self, const char *name);

/* Cuts the last part off a name; false when there was only one, and then the name is "". */
bool tarn__file_cut_to_parent(char *name);

/* --- file_links.c: the operations link() and adopt() --- */

TARN_NODISCARD tarn_status
tarn__file_link_out(tarn_storage *base, const char *name, const char *path, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__file_adopt(tarn_storage *base, const char *path, const char *name, tarn_error *error);

#endif
