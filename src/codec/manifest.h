/*
 * manifest.h - which table files a RocksDB database consists of (its MANIFEST), from bytes and to.
 *
 *   - The file is blocks of 32 KiB of records, [check u32 | size u16 | kind u8 | bytes]. One that
 *     does not fit goes on in the next block; a rest of less than 7 bytes is zeros.
 *   - A record is an edit of one column family, [tag varint | fields]*, such as
 *   - a file that was added: 103 | level | number | size | smallest | largest |
 *     least sequence number | largest one | [detail | bytes]* | 1
 *   - a file that was removed: 6 | level | number
 *
 * RocksDB's C API can neither add table files that another database wrote nor say everything about
 * those there are. What joins databases (rocks/graft.c) therefore reads the list, and appends edits
 * to it. An edit that is not understood is refused: nothing is ever passed over that might matter.
 *
 * Source: RocksDB 7.8, db/version_edit.cc and db/log_format.h.
 *
 * Thread: pure; an opened one is immutable.
 */
#ifndef TARN_CODEC_MANIFEST_H
#define TARN_CODEC_MANIFEST_H

#include "tarn/bytes.h"
#include "tarn/status.h"

#include "base/arena.h"

enum {
    TARN__MANIFEST_BYTES_MAX = 16 << 20,
    TARN__MANIFEST_MEMORY_RATIO =
        64, /* Most memory that reading one takes, for each of its bytes */
    TARN__MANIFEST_MEMORY_BASE_BYTES = 16 << 10, /* and besides. */
    TARN__MANIFEST_LEVELS = 7,                   /* RocksDB's default. */
    TARN__MANIFEST_LEVELS_MAX = 24,              /* Of joined databases. */
};

/* A table file. Its views lie in the arena. */
typedef struct tarn__manifest_file {
    uint32_t family;
    uint32_t level;
    uint64_t number;
    uint64_t largest_sequence;
    uint32_t order;      /* Among all changes. */
    bool has_epoch;      /* Newer versions of RocksDB order level 0 by that. */
    tarn_bytes smallest; /* User keys. */
    tarn_bytes largest;
    tarn_bytes rest; /* What its edit has behind the number. */
} tarn__manifest_file;

/* What takes a file from a level. */
typedef struct tarn__manifest_removal {
    uint64_t level;
    uint64_t number;
    uint32_t family;
    uint32_t order;
} tarn__manifest_removal;

typedef struct tarn__manifest_family {
    uint32_t id;
    const char *name;
    bool is_dropped;
} tarn__manifest_family;

typedef struct tarn__manifest {
    tarn__arena arena;
    tarn__manifest_file *files; /* [file_count]: those that are left, by number. */
    size_t file_count;
    size_t file_capacity;
    tarn__manifest_family *families; /* [family_count], by number. */
    size_t family_count;
    size_t family_capacity;
    tarn__manifest_removal *removals; /* [removal_count] */
    size_t removal_count;
    size_t removal_capacity;
    uint32_t change_count; /* Of files. */
    uint64_t next_number;  /* Of the next file. */
    uint64_t last_sequence;
} tarn__manifest;

/*
 * Reads a whole MANIFEST. Release with tarn__manifest_close(), also after a failure.
 *
 * Errors: TARN_CORRUPTION, TARN_NOT_SUPPORTED (an edit that is not understood), TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__manifest_open(
    tarn__manifest *manifest, tarn_bytes bytes, tarn__account *account, tarn_error *error);
void tarn__manifest_close(tarn__manifest *manifest);

/* The family of that name, unless it was dropped; NULL: there is none. */
const tarn__manifest_family *tarn__manifest_find_family(
    const tarn__manifest *manifest, const char *name);

/* ---- writing ---------------------------------------------------------------------------- */

/* Appends the beginning of an edit: the numbers that hold once it is read. TARN_NO_MEMORY. */
TARN_NODISCARD tarn_status
tarn__manifest_edit_begin(tarn_buffer *edit, uint64_t next_number, uint64_t last_sequence);
/*
 * Appends a file, under another level and number than it had.
 *
 * is_due  RocksDB is to compact it into the next level when it has time.
 */
TARN_NODISCARD tarn_status tarn__manifest_edit_add(
    tarn_buffer *edit, uint32_t level, uint64_t number, tarn_bytes rest, bool is_due);
/* Ends it: which family it is of. */
TARN_NODISCARD tarn_status tarn__manifest_edit_end(tarn_buffer *edit, uint32_t family);

/*
 * Frames an edit as a record behind a MANIFEST of so many bytes, and appends that to out, which is
 * what follows these. TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status
tarn__manifest_frame(tarn_buffer *out, uint64_t manifest_bytes, tarn_bytes edit);

#endif
