/* rocks_private.h - what the files of src/rocks share about a database. */
#ifndef TARN_ROCKS_ROCKS_PRIVATE_H
#define TARN_ROCKS_ROCKS_PRIVATE_H

#include <rocksdb/c.h>
#include <stdatomic.h>

#include "rocks/db.h"

struct tarn__rocks {
    tarn__account *account;
    tarn__account *row_account; /* Of iterators, and of values that are upgraded. */
    tarn__rocks_memory *memory;
    char *directory;
    tarn__rocks_use use;
    bool holds_compactions;
    uint32_t level_count; /* See listing.h. */
    bool gives_way;       /* RocksDB's threads run below those of the program. */
    tarn_buffer text;     /* The options of the database, with a NUL. */
    rocksdb_t *db;        /* NULL: lost by a failed retuning. */
    rocksdb_writeoptions_t *write_options;
    rocksdb_readoptions_t *read_options;
    tarn__rocks_family own;    /* The default family. */
    tarn__rocks_family *first; /* All others. */
    atomic_uint hold_count;
    rocksdb_writebatch_t *single; /* For the write of one marked row. */
    atomic_uint run_count;        /* Runs that were ever opened. */
};

enum { TARN__ROCKS_MARK_BYTES = 1 };

/*
 * marks.c: takes the mark off a value, and upgrades one of an older generation into a buffer,
 * where *value lies then.
 */
TARN_NODISCARD tarn_status tarn__rocks_unmark(
    tarn__rocks_family *family, tarn_bytes *value, tarn_buffer *upgraded, tarn_error *error);

/* merge.c: the merge operator of all families; options that it is given to own it. */
rocksdb_mergeoperator_t *tarn__rocks_new_merge(void);

/* The same, for a table file that is written apart (codec/table.h); NULL: there is no memory. */
rocksdb_mergeoperator_t *tarn__rocks_new_merge_of(tarn__account *account, const char *family);

/* db.c: the options that a family was opened with. The caller destroys them. */
TARN_NODISCARD tarn_status tarn__rocks_family_options(
    const tarn__rocks_family *family, rocksdb_options_t **out, tarn_error *error);

#endif
