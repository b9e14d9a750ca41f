/* files.c - flushes, linked snapshots, and the figures of db.h. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/try.h"
#include "rocks/outcome.h"
#include "rocks/rocks_private.h"

/* ---- flushes and snapshots -------------------------------------------------------------- */

static tarn_status flush_family(
    tarn__rocks_family *family, rocksdb_flushoptions_t *options, tarn_error *error)
{
    char *message = NULL;
    rocksdb_flush_cf(family->rocks->db, options, family->handle, &message);
    return tarn__rocks_outcome("flush", family->name, &message, error);
}

tarn_status tarn__rocks_flush(tarn__rocks *rocks, tarn_error *error)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create(); /* Waits by default. */
    tarn_status status = flush_family(&rocks->own, options, error);
    for (tarn__rocks_family *family = rocks->first; family != NULL && status == TARN_OK;
         family = family->next) {
        status = flush_family(family, options, error);
    }
    rocksdb_flushoptions_destroy(options);
    return status;
}

static uint64_t read_property(const tarn__rocks_family *family, const char *name)
{
    uint64_t value = 0;
    const int failed = rocksdb_property_int_cf(family->rocks->db, family->handle, name, &value);
    return failed == 0 ? value : 0;
}

/* What becomes of the files of the last level; values of RocksDB's BottommostLevelCompaction. */
typedef enum bottom {
    BOTTOM_UNLESS_MOVED = 0, /* They stay as they are, but for what comes from above. */
    BOTTOM_AGAIN = 2,        /* All are rewritten, also those that were written just now. */
    BOTTOM_ONCE = 3,         /* All are rewritten, once. */
} bottom;

/* Other compactions of the database go on beside it. */
static void compact(tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper, bottom how)
{
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    rocksdb_compactoptions_set_bottommost_level_compaction(options, (unsigned char)how);
    rocksdb_compact_range_cf_opt(
        family->rocks->db, family->handle, options, lower.data, lower.size, upper.data, upper.size);
    rocksdb_compactoptions_destroy(options);
}

void tarn__rocks_compact(tarn__rocks_family *family)
{
    compact(family, tarn_bytes_at(NULL, 0), tarn_bytes_at(NULL, 0), BOTTOM_UNLESS_MOVED);
}

void tarn__rocks_clean(tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper)
{
    /* What operands fold to is shown to the filter when it is compacted once more: all is pushed
     * down, and then the last level is rewritten. And what a compaction writes that began before
     * now would pass for written by this one. */
    const bool is_twice = atomic_load(&family->expiry->is_folded) ||
                          read_property(family, "rocksdb.num-running-compactions") > 0;
    if (is_twice) {
        compact(family, lower, upper, BOTTOM_UNLESS_MOVED);
    }
    compact(family, lower, upper, is_twice ? BOTTOM_AGAIN : BOTTOM_ONCE);
}

void tarn__rocks_compact_covered(tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper)
{
    compact(family, lower, upper, BOTTOM_ONCE);
}

void tarn__rocks_cancel_cleaning(tarn__rocks *rocks)
{
    rocksdb_disable_manual_compaction(rocks->db);
}

void tarn__rocks_allow_cleaning(tarn__rocks *rocks)
{
    rocksdb_enable_manual_compaction(rocks->db);
}

static void close_directory(DIR **entries)
{
    if (*entries != NULL) {
        (void)closedir(*entries);
    }
}

/* Newer versions link a write-ahead log too, which is empty, as rows never go there. */
static bool is_empty_log(int directory, const char *name)
{
    const char *dot = strrchr(name, '.');
    struct stat status;
    return dot != NULL && strcmp(dot, ".log") == 0 &&
           fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
           status.st_size == 0;
}

/* Opening does not read it: options are of the configuration, and a new one is written. */
static bool is_options_name(const char *name)
{
    static const char PREFIX[] = "OPTIONS-";
    return strncmp(name, PREFIX, sizeof PREFIX - 1) == 0;
}

/* What is kept although it could go does no harm: it makes the checkpoint larger. */
static void remove_needless(const char *directory)
{
    TARN_AUTO(close_directory) DIR *entries = opendir(directory);
    const struct dirent *entry = NULL;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        const char *name = entry->d_name;
        if (is_options_name(name) || is_empty_log(dirfd(entries), name)) {
            (void)unlinkat(dirfd(entries), name, 0);
        }
    }
}

tarn_status tarn__rocks_link_snapshot(tarn__rocks *rocks, const char *directory, tarn_error *error)
{
    char *message = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(rocks->db, &message);
    TARN_TRY(tarn__rocks_outcome("prepare a snapshot of", rocks->directory, &message, error));
    /* Zero means flush always. The write-ahead log is off: what is not flushed is not linked. */
    rocksdb_checkpoint_create(checkpoint, directory, /* log_size_for_flush= */ 0, &message);
    rocksdb_checkpoint_object_destroy(checkpoint);
    TARN_TRY(tarn__rocks_outcome("link a snapshot into", directory, &message, error));
    remove_needless(directory);
    return TARN_OK;
}

bool tarn__rocks_is_table_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcmp(dot, ".sst") == 0;
}

static tarn__rocks_table table_at(const rocksdb_livefiles_t *files, int index)
{
    tarn__rocks_table table = {
        .family = rocksdb_livefiles_column_family_name(files, index),
        .name = rocksdb_livefiles_name(files, index),
        .size = rocksdb_livefiles_size(files, index),
        .level = (uint32_t)rocksdb_livefiles_level(files, index),
    };
    table.name += table.name[0] == '/' ? 1 : 0;
    table.smallest.data = rocksdb_livefiles_smallestkey(files, index, &table.smallest.size);
    table.largest.data = rocksdb_livefiles_largestkey(files, index, &table.largest.size);
    return table;
}

tarn_status tarn__rocks_visit_tables(
    tarn__rocks *rocks, tarn__rocks_table_visit *visit, void *context, tarn_error *error)
{
    const rocksdb_livefiles_t *files = rocksdb_livefiles(rocks->db);
    const int count = rocksdb_livefiles_count(files);
    tarn_status status = TARN_OK;
    for (int i = 0; i < count && status == TARN_OK; i++) {
        const tarn__rocks_table table = table_at(files, i);
        status = visit(&table, context, error);
    }
    rocksdb_livefiles_destroy(files);
    return status;
}

/* ---- figures ---------------------------------------------------------------------------- */

/* RocksDB answers this one as text only. */
static uint64_t read_level0_count(const tarn__rocks_family *family)
{
    char *text =
        rocksdb_property_value_cf(family->rocks->db, family->handle, "rocksdb.num-files-at-level0");
    uint64_t count = 0;
    for (const char *digit = text; digit != NULL && *digit >= '0' && *digit <= '9'; digit++) {
        count = count * 10 + (uint64_t)(*digit - '0');
    }
    rocksdb_free(text);
    return count;
}

static void add_figures(const tarn__rocks_family *family, tarn__rocks_stats *out)
{
    out->live_file_bytes += read_property(family, "rocksdb.live-sst-files-size");
    out->live_data_bytes += read_property(family, "rocksdb.estimate-live-data-size");
    out->row_count_estimate += read_property(family, "rocksdb.estimate-num-keys");
    out->memtable_bytes += read_property(family, "rocksdb.size-all-mem-tables");
    out->table_reader_bytes += read_property(family, "rocksdb.estimate-table-readers-mem");
    out->immutable_count += read_property(family, "rocksdb.num-immutable-mem-table");
    out->pending_compaction_bytes +=
        read_property(family, "rocksdb.estimate-pending-compaction-bytes");
    const uint64_t level0_count = read_level0_count(family);
    if (level0_count > out->level0_file_count) {
        out->level0_file_count = level0_count;
    }
}

void tarn__rocks_measure(tarn__rocks *rocks, tarn__rocks_stats *out)
{
    *out = (tarn__rocks_stats){0};
    if (rocks->db == NULL) {
        return;
    }
    for (const tarn__rocks_family *family = rocks->first; family != NULL; family = family->next) {
        add_figures(family, out);
    }
}

/* What there is of a kind beyond what is live. */
static uint64_t read_excess(const tarn__rocks_family *family, const char *all, const char *live)
{
    const uint64_t live_bytes = read_property(family, live);
    const uint64_t all_bytes = read_property(family, all);
    return all_bytes > live_bytes ? all_bytes - live_bytes : 0;
}

uint64_t tarn__rocks_pinned_bytes(const tarn__rocks_family *family)
{
    if (family->rocks->db == NULL) {
        return 0;
    }
    return read_excess(family, "rocksdb.total-sst-files-size", "rocksdb.live-sst-files-size") +
           read_excess(family, "rocksdb.size-all-mem-tables", "rocksdb.cur-size-all-mem-tables");
}

void tarn__rocks_measure_family(const tarn__rocks_family *family, tarn__rocks_stats *out)
{
    *out = (tarn__rocks_stats){0};
    if (family->rocks->db != NULL) {
        add_figures(family, out);
    }
}

/* Fewer rows are stepped over in less time than a flush takes from the machine. */
enum { SEALED_ROWS_MIN = 32 << 10 };

void tarn__rocks_seal_memtable(tarn__rocks_family *family)
{
    if (read_property(family, "rocksdb.num-entries-active-mem-table") < SEALED_ROWS_MIN ||
        read_property(family, "rocksdb.num-immutable-mem-table") > 0) {
        return;
    }
    rocksdb_flushoptions_t *no_wait = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(no_wait, 0);
    char *message = NULL;
    rocksdb_flush_cf(family->rocks->db, no_wait, family->handle, &message);
    rocksdb_free(message); /* It only makes later scans slower. */
    rocksdb_flushoptions_destroy(no_wait);
}

void tarn__rocks_seal_memtables(tarn__rocks *rocks)
{
    for (tarn__rocks_family *family = rocks->first; family != NULL; family = family->next) {
        tarn__rocks_seal_memtable(family);
    }
}
