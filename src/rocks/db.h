/*
 * db.h - one RocksDB instance: its column families, rows, iterators, files and figures.
 *
 *     tarn__rocks ── family "default"   (Tarn's own: descriptors of states)
 *                 ├─ family "flights"   ── meter ──► tarn__rocks_memory
 *                 └─ family "delays"    ── meter
 *
 * Invariants
 *   - The write-ahead log is off: rows are durable only by a checkpoint.
 *   - An iterator is bounded on both sides.
 *   - Every existing family is opened with the database; a family once known stays known.
 *   - A call that fails leaves what RocksDB holds as it was, unless it says otherwise.
 *
 * Thread: confined to one thread, but for tarn__rocks_link_snapshot(), tarn__rocks_clean(),
 * tarn__rocks_get_sorted() and tarn__rocks_hold_open(), which any thread may call between open and
 * close (not beside a retuning), runs, iterators that read ahead (likewise) or over what is held or
 * what nobody writes, and the flushes of the memory's watcher.
 */
#ifndef TARN_ROCKS_DB_H
#define TARN_ROCKS_DB_H

#include "tarn/bytes.h"

#include "base/account.h"
#include "rocks/expiry.h"
#include "rocks/memory.h"
#include "rocks/options.h"

struct rocksdb_pinnableslice_t;
struct rocksdb_snapshot_t;
struct rocksdb_writebatch_t;

#define TARN__ROCKS_DEFAULT_FAMILY "default"
enum { TARN__ROCKS_NAME_BYTES_MAX = 255 };

typedef struct tarn__rocks tarn__rocks;

/*
 * Makes the value of a row that was written by an older generation one of the present one.
 *
 * value  Without its mark. out  Empty; its memory is the row account's.
 */
typedef tarn_status tarn__rocks_upgrade_fn(
    void *context, uint8_t generation, tarn_bytes value, tarn_buffer *out, tarn_error *error);

/*
 * How a family's values are marked: the last byte of each is the generation that it was written by
 * (codec/descriptor.h). Puts add it, reads take it off and have older values upgraded, so that
 * nobody above sees it. Raw scans, runs, and families that nobody has opened do neither.
 */
typedef struct tarn__rocks_marks {
    bool is_on;
    uint8_t generation; /* Of what is written. */
    bool is_as_is[256]; /* Values of these generations need no upgrade. */
    tarn__rocks_upgrade_fn *upgrade;
    void *context;
} tarn__rocks_marks;

/* One column family. Its members belong to src/rocks; the inline functions below need them. */
typedef struct tarn__rocks_family {
    tarn__rocks *rocks;
    struct rocksdb_column_family_handle_t *handle;
    tarn__rocks_meter meter;
    tarn__expiry *expiry; /* Owned; compactions may hold it for longer. */
    tarn__rocks_marks marks;
    uint64_t periodic_s; /* Files of this age are compacted again; 0: never. */
    tarn_buffer text;    /* The options that it was opened with, with a NUL. */
    struct tarn__rocks_family *next;
    char name[TARN__ROCKS_NAME_BYTES_MAX + 1];
} tarn__rocks_family;

/* What a database is opened for. */
typedef enum tarn__rocks_use {
    TARN__ROCKS_USE_ALL,
    /*
     * To learn which table files it consists of and to drop some, while none of them need be there:
     * tarn__rocks_visit_tables(), tarn__rocks_drop_files(). Rows can be neither read nor written.
     */
    TARN__ROCKS_USE_SURVEY,
    TARN__ROCKS_USE_READ, /* Rows are read, once and in order: nothing is compacted meanwhile. */
} tarn__rocks_use;

typedef struct tarn__rocks_open_options {
    tarn__account *account;
    tarn__account *row_account; /* Of iterators, and of values that are upgraded. NULL: account. */
    tarn__rocks_memory *memory;
    const char *directory;                /* Created when absent; its parent exists. */
    const tarn__rocks_settings *settings; /* Of the database, and of families that exist. */
    tarn__rocks_use use;
    bool holds_compactions; /* Until tarn__rocks_release_compactions(). */
} tarn__rocks_open_options;

/* Opens a database: an empty one, or the one whose files are in the directory. */
TARN_NODISCARD tarn_status
tarn__rocks_open(const tarn__rocks_open_options *options, tarn__rocks **out, tarn_error *error);

/* Lets compactions run that were held since the database was opened. */
TARN_NODISCARD tarn_status tarn__rocks_release_compactions(tarn__rocks *rocks, tarn_error *error);

/* Closes it without flushing: what was not linked is gone. NULL does nothing. */
void tarn__rocks_close(tarn__rocks *rocks);

const char *tarn__rocks_directory(const tarn__rocks *rocks);

/* ---- families --------------------------------------------------------------------------- */

/* Tarn's own family. */
tarn__rocks_family *tarn__rocks_default_family(tarn__rocks *rocks);

/* All others: the first, then each one's next; NULL ends. */
tarn__rocks_family *tarn__rocks_first_family(tarn__rocks *rocks);
tarn__rocks_family *tarn__rocks_find_family(tarn__rocks *rocks, const char *name);

TARN_NODISCARD tarn_status tarn__rocks_create_family(
    tarn__rocks *rocks,
    const char *name,
    const tarn__rocks_settings *settings,
    tarn__rocks_family **out,
    tarn_error *error);

/* Removes a family that was created and never written, such as one whose descriptor failed. */
void tarn__rocks_drop_family(tarn__rocks_family *family);

/* Removes a family with all its rows and files. Nothing of it may be open. It stays on failure. */
TARN_NODISCARD tarn_status tarn__rocks_remove_family(tarn__rocks_family *family, tarn_error *error);

/*
 * Gives a family other settings: flushes, closes and opens the database when they differ, as table
 * options cannot be changed in place. No pin may be open; TARN_BUSY when there are iterators. When
 * it can be opened with neither the new nor the old settings, *is_lost_out is set and only
 * tarn__rocks_close() may follow.
 */
TARN_NODISCARD tarn_status tarn__rocks_retune_family(
    tarn__rocks_family *family,
    const tarn__rocks_settings *settings,
    uint32_t iterator_count,
    bool *is_lost_out,
    tarn_error *error);

/*
 * Has compactions leave out what expires by the rules (rocks/expiry.h), and files compacted again
 * when they are older than periodic_s seconds; 0: never. It lasts until tarn__expiry_stop().
 */
TARN_NODISCARD tarn_status tarn__rocks_set_expiry(
    tarn__rocks_family *family,
    const tarn__expiry_rules *rules,
    int64_t now_ms,
    uint64_t periodic_s,
    tarn_error *error);

/* Has the values of a family marked, or, with is_on unset, left alone. It lasts until set again. */
void tarn__rocks_set_marks(tarn__rocks_family *family, const tarn__rocks_marks *marks);

/* ---- rows ------------------------------------------------------------------------------- */

/* What keeps a value that was read in memory. Empty: {NULL}. */
typedef struct tarn__rocks_pin {
    struct rocksdb_pinnableslice_t *slice;
    uint8_t *upgraded; /* A value that was upgraded. */
} tarn__rocks_pin;

/*
 * Reads a row without copying it.
 *
 * pin  Empty; holds the value until tarn__rocks_unpin(). Stays empty unless TARN_OK.
 * Returns TARN_OK, TARN_NOT_FOUND, or why the read failed.
 */
TARN_NODISCARD tarn_status tarn__rocks_get(
    tarn__rocks_family *family,
    tarn_bytes key,
    tarn__rocks_pin *pin,
    tarn_bytes *out,
    tarn_error *error);

void tarn__rocks_unpin_slice(tarn__rocks_pin *pin);

static inline void tarn__rocks_unpin(tarn__rocks_pin *pin)
{
    if (pin->slice != NULL || pin->upgraded != NULL) {
        tarn__rocks_unpin_slice(pin);
    }
}

/* One row of many that are read together. */
typedef struct tarn__rocks_read {
    tarn_bytes key;
    tarn__rocks_pin pin; /* Empty before; holds the value when there is one. */
    tarn_bytes value;
    tarn_status status; /* TARN_OK, TARN_NOT_FOUND, or why this one could not be read. */
} tarn__rocks_read;

/*
 * Reads rows whose keys ascend, together: blocks that hold several are looked up once.
 *
 * count   1 .. TARN__ROCKS_READS_MAX.
 * Thread: any, but not beside a retuning.
 */
enum { TARN__ROCKS_READS_MAX = 64 };
void tarn__rocks_get_sorted(
    const tarn__rocks_family *family, tarn__rocks_read *reads, uint32_t count);

/* Count into the family's meter, which may flush or wait, and write. */
TARN_NODISCARD tarn_status
tarn__rocks_put(tarn__rocks_family *family, tarn_bytes key, tarn_bytes value, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__rocks_delete(tarn__rocks_family *family, tarn_bytes key, tarn_error *error);

/* Writes an operand of codec/reduction.h, folded into what the row has when that is read. */
TARN_NODISCARD tarn_status tarn__rocks_merge(
    tarn__rocks_family *family, tarn_bytes key, tarn_bytes operand, tarn_error *error);

/*
 * Removes the rows of lower <= key < upper by one range tombstone. Each of them costs later reads a
 * little until it is compacted away: for many rows at a time.
 */
TARN_NODISCARD tarn_status tarn__rocks_delete_range(
    tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper, tarn_error *error);

/*
 * Begins a new memtable when the active one has many rows, and lets the old one be flushed beside.
 *
 * For before a range delete: an iterator jumps over what a range tombstone of a newer memtable
 * covers, and steps row by row over what one of the same memtable does. Does nothing while an older
 * memtable waits, as it would have to wait too. A failed flush is reported by a later write.
 */
void tarn__rocks_seal_memtable(tarn__rocks_family *family);

/* The same of all states. */
void tarn__rocks_seal_memtables(tarn__rocks *rocks);

/*
 * Drops the table files that lie wholly within a range that was removed by
 * tarn__rocks_delete_range() before. Without that, older versions of its rows could come back.
 */
TARN_NODISCARD tarn_status tarn__rocks_drop_files(
    tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper, tarn_error *error);

/* ---- batches ---------------------------------------------------------------------------- */

/* Rows that are written in one step, all or none. Its memory is RocksDB's; keep it small. */
typedef struct tarn__rocks_batch {
    struct rocksdb_writebatch_t *rows;
    uint64_t bytes;
} tarn__rocks_batch;

void tarn__rocks_batch_init(tarn__rocks_batch *batch);
void tarn__rocks_batch_clear(tarn__rocks_batch *batch); /* Gives the memory back. */
void tarn__rocks_batch_put(
    tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes key, tarn_bytes value);
/* The same for a value that has its mark already. */
void tarn__rocks_batch_put_raw(
    tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes key, tarn_bytes value);
void tarn__rocks_batch_delete(tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes key);
void tarn__rocks_batch_merge(
    tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes key, tarn_bytes operand);
/* As tarn__rocks_delete_range(). */
void tarn__rocks_batch_delete_range(
    tarn__rocks_batch *batch, tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper);
/* Writes the rows and leaves an empty batch; on failure the batch stays as it is. */
TARN_NODISCARD tarn_status
tarn__rocks_batch_write(tarn__rocks *rocks, tarn__rocks_batch *batch, tarn_error *error);

/* ---- runs ------------------------------------------------------------------------------- */

/*
 * Rows in order that become a table file at once, past the memtable: for many thousand rows, as
 * the file is synchronised. Nothing is there before tarn__rocks_run_finish().
 *
 * Thread: a run is confined; several threads may have one each.
 */
typedef struct tarn__rocks_run tarn__rocks_run;

TARN_NODISCARD tarn_status
tarn__rocks_run_open(tarn__rocks_family *family, tarn__rocks_run **out, tarn_error *error);
/* Adds a row with an empty value, or with one, behind all that were added. */
TARN_NODISCARD tarn_status
tarn__rocks_run_add(tarn__rocks_run *run, tarn_bytes key, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__rocks_run_put(tarn__rocks_run *run, tarn_bytes key, tarn_bytes value, tarn_error *error);
/* The same with the family's mark behind the value, and for a removal. */
TARN_NODISCARD tarn_status tarn__rocks_run_put_value(
    tarn__rocks_run *run, tarn_bytes key, tarn_bytes value, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__rocks_run_delete(tarn__rocks_run *run, tarn_bytes key, tarn_error *error);
/* Has the database take the rows in, all or none; they replace rows of the same keys. */
TARN_NODISCARD tarn_status tarn__rocks_run_finish(tarn__rocks_run *run, tarn_error *error);
/* Frees a run, finished or not. *run may be NULL. */
void tarn__rocks_run_close(tarn__rocks_run **run);

/* ---- holds ------------------------------------------------------------------------------ */

/*
 * The rows of the moment at which a hold was opened, to be iterated over later, and by any thread,
 * while others write. It ends before the database is closed or retuned. While there is one,
 * tarn__rocks_drop_files() does nothing: it would not spare what is held.
 */
typedef struct tarn__rocks_hold {
    tarn__rocks *rocks;
    const struct rocksdb_snapshot_t *snapshot;
} tarn__rocks_hold;

TARN_NODISCARD tarn_status
tarn__rocks_hold_open(tarn__rocks *rocks, tarn__rocks_hold **out, tarn_error *error);
void tarn__rocks_hold_close(tarn__rocks_hold *hold); /* NULL does nothing. */

/* ---- iterators -------------------------------------------------------------------------- */

typedef struct tarn__rocks_iterator tarn__rocks_iterator;

typedef struct tarn__rocks_scan {
    tarn_bytes lower; /* Copied, as is upper. */
    tarn_bytes upper;
    bool is_backward;
    bool fills_cache; /* What is read is likely to be read again. */
    bool is_raw;      /* Values are given out as they are stored, with their marks. */
    bool is_ahead;    /* By any thread: TARN_NOT_SUPPORTED where a value had to be upgraded. */
    const tarn__rocks_hold *hold; /* Rows as they were then. NULL: as they are. */
    uint64_t readahead_bytes;     /* Read at once of each table file; 0: a block. */
} tarn__rocks_scan;

/* Begins to iterate over the rows of lower <= key < upper, as they are now. */
TARN_NODISCARD tarn_status tarn__rocks_iterate_scan(
    tarn__rocks_family *family,
    const tarn__rocks_scan *scan,
    tarn__rocks_iterator **out,
    tarn_error *error);

/* The same for a scan of everything: forwards, past the cache. */
TARN_NODISCARD tarn_status tarn__rocks_iterate(
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn__rocks_iterator **out,
    tarn_error *error);

/* The same, raw: for who wants keys, or values as they are stored. */
TARN_NODISCARD tarn_status tarn__rocks_iterate_raw(
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn__rocks_iterator **out,
    tarn_error *error);

/* TARN_OK with a row, borrowed until the next call; TARN_DONE; or why it failed. */
TARN_NODISCARD tarn_status tarn__rocks_iterator_next(
    tarn__rocks_iterator *iterator, tarn_bytes *key, tarn_bytes *value, tarn_error *error);

/*
 * Goes on from the first row that is not less than key, which is not less than the row that the
 * iterator stands on. For iterators that go forwards.
 */
void tarn__rocks_iterator_seek(tarn__rocks_iterator *iterator, tarn_bytes key);

void tarn__rocks_iterator_close(tarn__rocks_iterator *iterator);

/* ---- files ------------------------------------------------------------------------------ */

/* Flushes every family and waits for it. */
TARN_NODISCARD tarn_status tarn__rocks_flush(tarn__rocks *rocks, tarn_error *error);

/* Compacts one family into its last level and waits for it. */
void tarn__rocks_compact(tarn__rocks_family *family);

/*
 * Rewrites the table files that have rows of lower <= key < upper, down to the last level, so that
 * whatever the family's expiry drops is in no file any more. The expiry's is_cleaning is set; one
 * clean-up at a time for a family. Returns early when it is cancelled.
 *
 * Thread: any, but not beside a retuning.
 */
void tarn__rocks_clean(tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper);

/*
 * Rewrites the table files that have rows of lower <= key < upper, which a range delete covers, so
 * that these are in no file any more. Returns early when it is cancelled.
 *
 * Thread: any, but not beside a retuning.
 */
void tarn__rocks_compact_covered(tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper);

/* Ends running clean-ups, and refuses further ones until they are allowed again. Thread: any. */
void tarn__rocks_cancel_cleaning(tarn__rocks *rocks);
void tarn__rocks_allow_cleaning(tarn__rocks *rocks);

/*
 * Flushes, and hard-links what opening the database reads into a new directory: one cut over all
 * families, if nobody writes meanwhile. RocksDB's file of options stays out.
 *
 * directory  Must not exist; its parent must, on the same file system: elsewhere RocksDB copies.
 *            Does not exist either when the call fails.
 * Thread: any.
 */
TARN_NODISCARD tarn_status
tarn__rocks_link_snapshot(tarn__rocks *rocks, const char *directory, tarn_error *error);

/* Whether a file of that name is a table file. */
bool tarn__rocks_is_table_name(const char *name);

/* A table file that the database consists of. Its range covers its range tombstones too. */
typedef struct tarn__rocks_table {
    const char *family; /* Valid during the visit, as are the others. */
    const char *name;   /* Of the file, in the database's directory. */
    tarn_bytes smallest;
    tarn_bytes largest; /* Belongs to the range. */
    uint64_t size;
    uint32_t level;
} tarn__rocks_table;

typedef tarn_status tarn__rocks_table_visit(
    const tarn__rocks_table *table, void *context, tarn_error *error);

/* Visits the table files of all families, in no order; any status but TARN_OK ends it. */
TARN_NODISCARD tarn_status tarn__rocks_visit_tables(
    tarn__rocks *rocks, tarn__rocks_table_visit *visit, void *context, tarn_error *error);

/* ---- figures ---------------------------------------------------------------------------- */

/* Sums over all families, but where named otherwise. */
typedef struct tarn__rocks_stats {
    uint64_t live_file_bytes;
    uint64_t live_data_bytes;
    uint64_t row_count_estimate;
    uint64_t memtable_bytes;
    uint64_t table_reader_bytes;
    uint64_t immutable_count;
    uint64_t level0_file_count; /* The largest of the families. */
    uint64_t pending_compaction_bytes;
} tarn__rocks_stats;

void tarn__rocks_measure(tarn__rocks *rocks, tarn__rocks_stats *out);

/* Bytes of files and memtables that only iterators and holds of a family still read. */
uint64_t tarn__rocks_pinned_bytes(const tarn__rocks_family *family);

/* The figures of one family. */
void tarn__rocks_measure_family(const tarn__rocks_family *family, tarn__rocks_stats *out);

#endif
