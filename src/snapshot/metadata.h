/*
 * metadata.h - what a checkpoint consists of, as bytes and as structs. Pure.
 *
 *     tarn__subtask ──encode──► acknowledgement ──► who commits ──decode──► tarn__subtask
 *                                                                              │  (all of them)
 *     tarn__metadata ◄──decode── chk-7/_metadata ◄──────────────encode─────────┘
 *
 * An acknowledgement is a metadata file with one subtask: one codec for both. docs/FORMATS.md has
 * the bytes. The format is versioned, checksummed by section and as a whole, and has room: tagged
 * fields ("extra") behind each record, of which a reader skips those it may and refuses the others.
 *
 * Invariants
 *   - What decode() accepts, encode() makes the same bytes of.
 *   - decode() allocates at most TARN__METADATA_MEMORY_RATIO times the input's size, plus
 *     TARN__METADATA_MEMORY_BASE_BYTES.
 *   - Names are sorted and unique, paths are names of storage objects: tarn__subtask_check().
 *
 * Thread: pure; a decoded metadata is immutable.
 */
#ifndef TARN_SNAPSHOT_METADATA_H
#define TARN_SNAPSHOT_METADATA_H

#include "tarn/bytes.h"
#include "tarn/key_group.h"

#include "base/arena.h"
#include "base/hash.h"
#include "codec/frames.h"

enum {
    TARN__METADATA_VERSION = 4,
    TARN__METADATA_NAME_BYTES_MAX = 255,
    TARN__METADATA_EXTRA_BYTES_MAX = 65536,
    TARN__METADATA_PIECE_BYTES_MAX = 16 << 20, /* One piece of operator state. */
    TARN__METADATA_INLINE_BYTES_MAX = 1 << 20, /* One inline file, as it is stored. */
    TARN__METADATA_BYTES_MAX = 256 << 20,
    TARN__METADATA_MEMORY_RATIO = 6,
    TARN__METADATA_MEMORY_BASE_BYTES = 16384,
};

/* Extra fields with this bit may be skipped by a reader that does not know them. */
#define TARN__METADATA_OPTIONAL 0x8000u

typedef enum tarn__metadata_kind {
    TARN__METADATA_CHECKPOINT = 1,
    TARN__METADATA_ACKNOWLEDGEMENT = 2,
    TARN__METADATA_SAVEPOINT = 3,           /* From version 2 on: files as RocksDB wrote them. */
    TARN__METADATA_CANONICAL_SAVEPOINT = 4, /* Likewise: files of rows (codec/canonical.h). */
} tarn__metadata_kind;

static inline bool tarn__metadata_is_savepoint(tarn__metadata_kind kind)
{
    return kind == TARN__METADATA_SAVEPOINT || kind == TARN__METADATA_CANONICAL_SAVEPOINT;
}

/* A file's content: what it is named by in the shared directory. */
typedef struct tarn__content {
    tarn__digest digest;
    uint64_t size; /* Units: bytes. */
} tarn__content;

/* Where a packed file lies: in an object that it shares with others. From version 3 on. */
typedef struct tarn__place {
    tarn__content segment; /* The whole object. */
    uint64_t offset;       /* Of the file in it. */
    bool is_packed;        /* False: the file is an object of its own, and the rest is 0. */
} tarn__place;

/* A keyed state. */
typedef struct tarn__state_part {
    const char *name;
    const char *kind;
    const char *codec_name; /* May be "". */
    uint32_t codec_version;
    tarn_bytes extra;
} tarn__state_part;

typedef struct tarn__file_part {
    const char *local_name; /* One part of a path. */
    const char *path;       /* Of its object, below the job's directory; "" of an inline file. */
    tarn__content content;
    tarn__place place;
    tarn_bytes inlined;       /* From version 4 on: the file as it is stored. */
    uint64_t compressed_size; /* Likewise: size of a compressed file in the storage. */
    char digest_text[TARN__DIGEST_TEXT_BYTES]; /* Set by decode(). */
    bool is_shared;
    bool is_inline;
    uint8_t codec; /* A tarn__codec: from version 4 on a private file may be compressed. */
    tarn_bytes extra;
} tarn__file_part;

/* A piece of the operator's own state. */
typedef struct tarn__piece_part {
    const char *name;
    tarn_bytes bytes;
    tarn_bytes extra;
} tarn__piece_part;

typedef struct tarn__subtask {
    const char *operator_name;
    uint32_t subtask_index;
    uint32_t parallelism;
    bool has_keyed_state;
    uint32_t key_hash;               /* A tarn_key_hash. */
    uint32_t max_parallelism;        /* 0 without keyed state. */
    tarn_key_group_range key_groups; /* {0, 0} without keyed state. */
    uint64_t new_bytes;              /* Bytes that the snapshot added to the storage. */
    tarn__state_part *states;
    tarn__file_part *files;
    tarn__piece_part *pieces;
    uint32_t state_count;
    uint32_t file_count;
    uint32_t piece_count;
    tarn_bytes extra;
} tarn__subtask;

/* What is said once, before the subtasks. */
typedef struct tarn__metadata_head {
    tarn__metadata_kind kind;
    uint32_t format_version; /* Set by decode(). For encode() 0 means the newest. */
    uint64_t checkpoint_id;
    int64_t timestamp_ms;
    uint64_t duration_ms;
    uint64_t new_bytes;
    const char *job;     /* "" in an acknowledgement. */
    const char *version; /* Of the Tarn that wrote it. */
    tarn_bytes extra;
} tarn__metadata_head;

typedef struct tarn__metadata {
    tarn__arena arena; /* Holds all that is pointed to. */
    tarn__metadata_head head;
    tarn__subtask *subtasks; /* [subtask_count], by operator name, then index. */
    uint32_t subtask_count;
} tarn__metadata;

/* The content of the object that a file lies in: what a shared one is named by. */
static inline const tarn__content *tarn__file_object(const tarn__file_part *file)
{
    return file->place.is_packed ? &file->place.segment : &file->content;
}

/* Bytes of the file in the storage, or in the metadata. */
static inline uint64_t tarn__file_stored_size(const tarn__file_part *file)
{
    return file->codec != TARN__CODEC_NONE ? file->compressed_size : file->content.size;
}

/* Size of the object that it lies in; there is none for an inline file. */
static inline uint64_t tarn__file_object_size(const tarn__file_part *file)
{
    return file->place.is_packed ? file->place.segment.size : tarn__file_stored_size(file);
}

/* Sorts states, files and pieces by name, as the format wants them. */
void tarn__subtask_sort(tarn__subtask *subtask);

/* Orders subtasks as the format wants them: negative, 0 or positive. */
int tarn__subtask_compare(const tarn__subtask *a, const tarn__subtask *b);

/* Answers a key hash in words, such as "Tarn's byte hash", for messages. */
const char *tarn__key_hash_name(uint32_t key_hash);

/* Bytes of all files and pieces. */
uint64_t tarn__subtask_bytes(const tarn__subtask *subtask);

/* Checks all that the format demands of a subtask; the message names the offending part. */
TARN_NODISCARD tarn_status tarn__subtask_check(const tarn__subtask *subtask, tarn_error *error);

/* Checks that two neighbours in a file are in order and agree where they must. */
TARN_NODISCARD tarn_status tarn__subtask_check_pair(
    const tarn__subtask *before, const tarn__subtask *after, tarn_error *error);

/*
 * Encodes a file of count subtasks, in order, checked.
 *
 * out  Replaced on success; untouched in size and content otherwise.
 * Errors: TARN_INVALID_ARGUMENT for what tarn__subtask_check() refuses or a file too large,
 * TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__metadata_encode(
    const tarn__metadata_head *head,
    const tarn__subtask *subtasks,
    uint32_t count,
    tarn_buffer *out,
    tarn_error *error);

/*
 * Decodes a file; *out is set on success, and cleared with tarn__metadata_clear().
 *
 * kind    What the file must be; TARN__METADATA_SAVEPOINT takes a savepoint of either kind.
 *
 * Errors: TARN_CORRUPTION (the message says which byte or section and why), TARN_NOT_SUPPORTED (a
 * newer version, or an extra field that must not be skipped), TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__metadata_decode(
    tarn_bytes bytes,
    tarn__metadata_kind kind,
    tarn__account *account,
    tarn__metadata *out,
    tarn_error *error);

void tarn__metadata_clear(tarn__metadata *metadata);

#endif
