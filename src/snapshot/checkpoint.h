/*
 * checkpoint.h - a checkpoint that is read: its metadata beside the storage that its files are in.
 *
 * Thread: immutable once opened.
 */
#ifndef TARN_SNAPSHOT_CHECKPOINT_H
#define TARN_SNAPSHOT_CHECKPOINT_H

#include <limits.h>

#include "tarn/checkpoint.h"

#include "snapshot/metadata.h"
#include "storage/storage.h"

/* One less than all bits: there is always a next one. */
#define TARN__CHECKPOINT_ID_MAX (UINT64_MAX - 1)

enum {
    TARN__CHECKPOINT_NAME_BYTES = 40, /* chk-<20 digits>/_metadata */
    TARN__CONTENT_NAME_BYTES = 64,    /* shared/xx/<32>-<20 digits> */
    TARN__CHECKPOINT_PATH_BYTES = 4096,
};

#define TARN__METADATA_NAME "_metadata"

/* All that _metadata has where a commit was withdrawn to which there was no answer. */
#define TARN__METADATA_WITHDRAWN "tarn: withdrawn\n"

struct tarn_checkpoint {
    tarn__account account; /* Over the allocator of the caller. */
    tarn__metadata metadata;
    tarn_storage *storage; /* The directory of the job. Owned. */
    tarn_checkpoint_summary summary;
    char path[TARN__CHECKPOINT_PATH_BYTES];
};

/* Writes "chk-<id>". */
void tarn__checkpoint_name(uint64_t id, char out[TARN__CHECKPOINT_NAME_BYTES]);

/* Writes "chk-<id>/_metadata". */
void tarn__checkpoint_metadata_name(uint64_t id, char out[TARN__CHECKPOINT_NAME_BYTES]);

/* Reads "chk-<id>" without leading zeros; false when it is something else. */
bool tarn__checkpoint_parse_name(const char *name, uint64_t *id_out);

/* Reads all of an object that is no larger than metadata may be. Errors: of the storage. */
TARN_NODISCARD tarn_status tarn__checkpoint_read_object(
    tarn_storage *storage, const char *name, tarn_buffer *out, tarn_error *error);

/* Writes the name of a shared file: "shared/<2>/<32>-<size>". */
void tarn__content_name(const tarn__content *content, char out[TARN__CONTENT_NAME_BYTES]);

/*
 * Reads and checks chk-<id>/_metadata, and that its paths are where the format has them.
 *
 * Errors: TARN_MISSING (there is no _metadata), those of tarn__metadata_decode() and of reading;
 * the message begins with the path.
 */
TARN_NODISCARD tarn_status tarn__checkpoint_read_metadata(
    tarn_storage *storage,
    uint64_t id,
    tarn__account *account,
    tarn__metadata *out,
    tarn_error *error);

/* The same; TARN_MISSING and *is_withdrawn: the mark has the name, and no checkpoint ever will. */
TARN_NODISCARD tarn_status tarn__checkpoint_find_metadata(
    tarn_storage *storage,
    uint64_t id,
    tarn__account *account,
    bool *is_withdrawn,
    tarn__metadata *out,
    tarn_error *error);

/*
 * The same of a savepoint, of which storage is the directory.
 */
TARN_NODISCARD tarn_status tarn__savepoint_read_metadata(
    tarn_storage *storage, tarn__account *account, tarn__metadata *out, tarn_error *error);

/* Checks that shared files are named by content and private ones below chk-<id>. */
TARN_NODISCARD tarn_status
tarn__checkpoint_check_paths(const tarn__subtask *subtask, uint64_t id, tarn_error *error);

/*
 * Checks that no file is shared, none is the savepoint's metadata, and those of a canonical one are
 * files of their own, as they are.
 */
TARN_NODISCARD tarn_status tarn__savepoint_check_paths(
    const tarn__subtask *subtask, tarn__metadata_kind kind, tarn_error *error);

tarn_checkpoint_summary tarn__checkpoint_summarize(const tarn__metadata *metadata);

/* The ids of a job's directory, ascending: every chk-N, complete or not. */
typedef struct tarn__checkpoint_ids {
    tarn__account *account;
    uint64_t *items; /* [count], owned. */
    uint32_t count;
    uint32_t capacity;
    bool is_out_of_memory;
} tarn__checkpoint_ids;

TARN_NODISCARD tarn_status tarn__checkpoint_ids_list(
    tarn_storage *storage, tarn__account *account, tarn__checkpoint_ids *out, tarn_error *error);
void tarn__checkpoint_ids_clear(tarn__checkpoint_ids *ids);

/* tarn_checkpoint_open() with what a storage is opened with; account is set here. */
TARN_NODISCARD tarn_status tarn__checkpoint_open_at(
    const tarn__storage_options *where,
    const tarn_allocator *allocator,
    tarn_checkpoint **out,
    tarn_error *error);

/* tarn_checkpoint_open() with file calls of a test's own; NULL: the system's. */
TARN_NODISCARD tarn_status tarn__checkpoint_open(
    const char *address,
    const tarn_allocator *allocator,
    const tarn__file_calls *calls,
    tarn_checkpoint **out,
    tarn_error *error);

/* Where an address leads. */
typedef struct tarn__checkpoint_place {
    char job[PATH_MAX]; /* The directory of the job. */
    bool has_id;        /* A checkpoint was named. */
    uint64_t id;
    bool is_savepoint; /* job is the directory of a savepoint. */
} tarn__checkpoint_place;

/* Resolves how->address, and opens the directory that it leads to. */
TARN_NODISCARD tarn_status tarn__checkpoint_locate(
    const tarn__storage_options *how,
    tarn__account *account,
    tarn__checkpoint_place *out,
    tarn_storage **storage,
    tarn_error *error);

/* Compares the size and the digest of what was read of a file. */
TARN_NODISCARD tarn_status tarn__checkpoint_check_content(
    const tarn_storage *storage,
    const tarn__file_part *file,
    const tarn__hasher *hasher,
    uint64_t size,
    tarn_error *error);

/*
 * Reads a part of a file that is not compressed, wherever it lies; fewer bytes only at its end.
 */
TARN_NODISCARD tarn_status tarn__checkpoint_read_at(
    tarn_storage *storage,
    const tarn__file_part *file,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error);

/* Tells whether a file is a table of RocksDB, by its name. */
bool tarn__file_is_table(const tarn__file_part *file);

/* What tells a file from all others that are stored: its content, and the place of a packed one. */
tarn__content tarn__file_identity(const tarn__file_part *file);

/* tarn_checkpoint_verify() that may leave the rows out: what is compared is then the bytes alone.
 */
TARN_NODISCARD tarn_status tarn__checkpoint_verify(
    const tarn_checkpoint *checkpoint,
    bool reads_rows,
    tarn_checkpoint_verify_visit *visit,
    void *context,
    tarn_checkpoint_verification *out,
    tarn_error *error);

/* What a buffer for tarn__checkpoint_read_file() has at least: two frames of a compressed file. */
#define TARN__CHECKPOINT_BUFFER_BYTES_MIN ((size_t)1 << 20)

/*
 * Reads a file of a checkpoint from end to end, wherever it lies, and compares size and digest.
 *
 * buffer  Of buffer_bytes; take, if not NULL, is given each part of it, not compressed.
 * Errors: TARN_MISSING, TARN_CORRUPTION (the message has both digests), what take answers, reading.
 */
typedef tarn_status tarn__checkpoint_take_fn(tarn_bytes part, void *context, tarn_error *error);
TARN_NODISCARD tarn_status tarn__checkpoint_read_file(
    tarn_storage *storage,
    const tarn__file_part *file,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn__checkpoint_take_fn *take,
    void *context,
    tarn_error *error);

#endif
