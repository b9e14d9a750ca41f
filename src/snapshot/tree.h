/*
 * tree.h - every object below a directory of a storage.
 *
 * Thread: immutable once listed.
 */
#ifndef TARN_SNAPSHOT_TREE_H
#define TARN_SNAPSHOT_TREE_H

#include "base/arena.h"
#include "storage/storage.h"

typedef struct tarn__tree_file {
    struct tarn__tree_file *next;
    const char *name; /* Within the storage. */
    uint64_t size;
    int64_t written_ms; /* 0: not known. */
} tarn__tree_file;

typedef struct tarn__tree {
    tarn__arena arena;
    tarn__tree_file *files; /* In no order. */
    uint32_t count;
} tarn__tree;

/* Lists all below directory, "" being the root. Release with tarn__tree_clear(). */
TARN_NODISCARD tarn_status tarn__tree_list(
    tarn_storage *storage,
    tarn__account *account,
    const char *directory,
    tarn__tree *out,
    tarn_error *error);
void tarn__tree_clear(tarn__tree *tree);

/* Removes a list of files; stops at the first batch that fails. */
TARN_NODISCARD tarn_status
tarn__tree_remove(tarn_storage *storage, const tarn__tree_file *first, tarn_error *error);

/* Takes the directory of a storage away if it is empty and local. calls NULL: the system's. */
void tarn__tree_remove_root(const tarn_storage *storage, const tarn__file_calls *calls);

#endif
