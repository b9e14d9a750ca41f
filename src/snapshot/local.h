/*
 * local.h - files in a working directory: which there are, and which are known already.
 *
 * A base answers "is this local file one whose content I know?" without reading it. It holds the
 * files of one snapshot that has become complete, or of the checkpoint that was restored, and is
 * true within one life of a RocksDB instance: there the number in a table file's name is never used
 * again and the file never changes. A restored instance keeps the names that were downloaded, and
 * numbers new files behind them (its manifest has the next number). Against everything else, such
 * as a directory that was wiped and filled anew, the identity below is compared too: a hard link
 * has the inode and the modification time of the file that it was made from. When anything differs
 * the file is read and sent, which is never wrong.
 *
 * Thread: immutable once made.
 */
#ifndef TARN_SNAPSHOT_LOCAL_H
#define TARN_SNAPSHOT_LOCAL_H

#include <stdatomic.h>

#include "snapshot/metadata.h"
#include "storage/file_calls.h"

typedef struct tarn__local_identity {
    uint64_t size; /* Units: bytes. */
    uint64_t device;
    uint64_t inode;
    int64_t modified_ns; /* Units: nanoseconds since 1970 UTC. */
} tarn__local_identity;

typedef struct tarn__local_file {
    const char *name;
    bool is_shared; /* Never changes once it is written, so checkpoints may share it. */
} tarn__local_file;

typedef struct tarn__local_files {
    tarn__arena arena;
    tarn__local_file *items; /* [count], by name. */
    uint32_t count;
} tarn__local_files;

/*
 * Lists a directory: files that end in shared_suffix (".sst") are shared. Directories in it are
 * refused: a snapshot has none. Release with tarn__local_files_clear().
 */
TARN_NODISCARD tarn_status tarn__local_files_list(
    const tarn__file_calls *calls,
    tarn__account *account,
    const char *directory,
    const char *shared_suffix,
    tarn__local_files *out,
    tarn_error *error);
void tarn__local_files_clear(tarn__local_files *files);

/* Answers the identity of an open file. */
TARN_NODISCARD tarn_status tarn__local_identify(
    const tarn__file_calls *calls,
    int file,
    const char *path,
    tarn__local_identity *out,
    tarn_error *error);

/* The same of a file by its path; false: it cannot be looked at. */
bool tarn__local_identify_path(
    const tarn__file_calls *calls, const char *path, tarn__local_identity *out);

typedef struct tarn__base_file {
    const char *name;
    tarn__local_identity identity;
    tarn__digest digest;
    tarn__place place; /* In the storage. */
} tarn__base_file;

typedef struct tarn__base {
    tarn__arena arena;
    atomic_uint holder_count; /* Each frees it once. */
    tarn__base_file *files;   /* [count], by name. */
    uint32_t count;
} tarn__base;

/* A base with copies of count files, sorted by name. */
TARN_NODISCARD tarn_status tarn__base_new(
    tarn__account *account,
    const tarn__base_file *files,
    uint32_t count,
    tarn__base **out,
    tarn_error *error);
void tarn__base_free(tarn__base *base); /* NULL does nothing. */

/* Counts one more holder in, who frees it as well; answers base, which may be NULL. Thread: any. */
tarn__base *tarn__base_share(tarn__base *base);

/* Finds the file of that name, whatever its identity; NULL: not known. base may be NULL. */
const tarn__base_file *tarn__base_find_name(const tarn__base *base, const char *name);

/* The same of that identity. */
const tarn__base_file *tarn__base_find(
    const tarn__base *base, const char *name, const tarn__local_identity *identity);

#endif
