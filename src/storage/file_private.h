/* file_private.h - a directory as a storage: what file.c and file_root.c share. */
#ifndef TARN_STORAGE_FILE_PRIVATE_H
#define TARN_STORAGE_FILE_PRIVATE_H

#include "storage/storage.h"

typedef struct tarn__file_storage {
    tarn_storage base;
    tarn__account *account;
    const tarn__file_calls *calls;
    int root;                          /* Descriptor of the directory. */
    uint64_t token;                    /* Tells this storage's temporary files from others'. */
    atomic_uint_least64_t next_upload; /* Numbers them. */
    char path[];                       /* Of the root, as given. */
} tarn__file_storage;

/* Begins the name of an upload's temporary file; then the storage's token in 16 digits. */
#define TARN__FILE_TEMPORARY ".tarn-tmp-"

/* Makes a directory and its parents as far as they are missing, each durable in the one above. */
TARN_NODISCARD tarn_status
tarn__file_make_root(const tarn__file_calls *calls, const char *path, tarn_error *error);

/* The operations lock() and unlock(). */
TARN_NODISCARD tarn_status
tarn__file_lock_take(tarn_storage *base, tarn_storage_lock **out, tarn_error *error);
void tarn__file_lock_give(tarn_storage_lock *base);

#endif
