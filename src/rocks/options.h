/*
 * options.h - from Flink's option names to the options that a database is opened with.
 *
 *     Tarn's defaults ─► predefined profile ─► configured options ─► the state's own ─► forced
 *
 * A tarn__rocks_settings holds what the first four make; the forced ones come in when the text for
 * RocksDB is made. RocksDB parses that text on top of the memory's base options, which hold the
 * shared cache: one path for every option, also for those that have no C setter.
 *
 * Where the user sets nothing the profile is TARN. An explicit setting always wins, and the profile
 * DEFAULT is Flink's column where the first six are concerned:
 *
 *     option                            Flink   Tarn   why
 *     use-bloom-filter                  false   true   a new key is answered without a block read
 *     memory.partitioned-index-filters  false   true   reads 4 KiB of a filter, not megabytes (1)
 *     compression.per.level             SNAPPY  LZ4    as fast to write, faster to read
 *     block-restart-interval (own)      16      32     a fiftieth less space, reads as quick (4)
 *     memtable-filter-share (own)       -       0.02   a miss does not walk the skip list (4)
 *     thread.num                        2       2..4   as many as cores (3)
 *     memory.high-prio-pool-ratio       0.1     0.5    index and filters stay in the cache
 *     cache shards                      32      1..64  a shard holds the largest block (1)
 *     arena block                       1/8    fits   1/32 of what memtables may hold at most (2)
 *     stats_persist_period_sec          600     0      a thread less; nobody reads it
 *     max_file_opening_threads          16      4      threads take allocator arenas
 *     log.level                         INFO    HEADER a log that fails ends the process (5)
 *
 * (1) A block larger than a shard is never kept. With Flink's two, 1.5 M rows in 48 MiB ran at less
 *     than a tenth of the throughput: each get read and checked a filter of more than a MiB.
 * (2) An eighth of a write buffer, as Flink has it, unless that is more; the least is 64 KiB.
 * (3) The databases of a process share RocksDB's threads; more than 4 are not taken by themselves,
 *     as each may keep an allocator arena and the blocks of a compaction.
 * (4) But at most a quarter of an arena block. Get and put, uniform, state 5 times the budget: 1.22
 *     times the throughput (1.04 to 1.74 in 6 turns). A hash index of data blocks takes up to a
 *     tenth more space, and what it gains is within the noise: there is none.
 * (5) RocksDB asserts, in Debian's build too, that nothing is written behind a write that failed,
 *     and its log does not keep that: on a full disk a warning would be the end. What it says at
 *     an open and for a new state remains.
 *
 * Without managed memory each family has a cache of block.cache-size; with it, the shared cache,
 * index and filter blocks in it with high priority, and those of level 0 pinned, are forced.
 *
 * Thread: pure.
 */
#ifndef TARN_ROCKS_OPTIONS_H
#define TARN_ROCKS_OPTIONS_H

#include "tarn/bytes.h"
#include "tarn/config.h"

#include "base/error.h"

enum {
    TARN__ROCKS_LEVELS_MAX = 7,
    TARN__ROCKS_PATH_BYTES = 4096,
};

/* Enumerations in the order of the values in config/options.def. */
typedef enum tarn__rocks_compression {
    TARN__ROCKS_COMPRESSION_NONE,
    TARN__ROCKS_COMPRESSION_SNAPPY,
    TARN__ROCKS_COMPRESSION_ZLIB,
    TARN__ROCKS_COMPRESSION_BZIP2,
    TARN__ROCKS_COMPRESSION_LZ4,
    TARN__ROCKS_COMPRESSION_LZ4HC,
    TARN__ROCKS_COMPRESSION_XPRESS,
    TARN__ROCKS_COMPRESSION_ZSTD,
    TARN__ROCKS_COMPRESSION_DISABLED,
} tarn__rocks_compression;

/* In the order of options.def, as the other enumerations here. */
typedef enum tarn__rocks_profile {
    TARN__ROCKS_PROFILE_TARN,
    TARN__ROCKS_PROFILE_DEFAULT,
    TARN__ROCKS_PROFILE_DISK,
    TARN__ROCKS_PROFILE_DISK_HIGH_MEMORY,
    TARN__ROCKS_PROFILE_FLASH,
} tarn__rocks_profile;

typedef enum tarn__rocks_style {
    TARN__ROCKS_STYLE_LEVEL,
    TARN__ROCKS_STYLE_UNIVERSAL,
    TARN__ROCKS_STYLE_NONE,
} tarn__rocks_style;

typedef enum tarn__rocks_log_level {
    TARN__ROCKS_LOG_DEBUG,
    TARN__ROCKS_LOG_INFO,
    TARN__ROCKS_LOG_WARN,
    TARN__ROCKS_LOG_ERROR,
    TARN__ROCKS_LOG_FATAL,
    TARN__ROCKS_LOG_HEADER,
} tarn__rocks_log_level;

typedef enum tarn__rocks_filter {
    TARN__ROCKS_FILTER_BLOOM,
    TARN__ROCKS_FILTER_RIBBON,
} tarn__rocks_filter;

/* The figures of one database and of one column family. Names as RocksDB's, units as named. */
typedef struct tarn__rocks_settings {
    /* Of the database. */
    int32_t background_job_count;
    int32_t thread_nice;     /* Levels by which RocksDB's threads are below who opens it. */
    int32_t open_file_count; /* -1: no bound. */
    bool has_mmap_reads;     /* Table files are mapped, not read. */
    uint64_t log_file_bytes; /* 0: one file without end. */
    uint32_t log_file_count;
    tarn__rocks_log_level log_level;
    char log_directory[TARN__ROCKS_PATH_BYTES]; /* Empty: the database's own. */

    /* Of a column family. */
    tarn__rocks_style style;
    bool is_dynamic_level;
    uint32_t compression_count; /* 1 .. TARN__ROCKS_LEVELS_MAX; the last serves all below. */
    tarn__rocks_compression compression[TARN__ROCKS_LEVELS_MAX];
    uint64_t dictionary_bytes; /* 0: compression without a dictionary. */
    int32_t compression_level; /* TARN__ROCKS_COMPRESSION_LEVEL_DEFAULT: the codec's own. */
    uint64_t target_file_bytes;
    uint64_t level_base_bytes;
    uint64_t write_buffer_bytes;
    uint32_t write_buffer_count;
    uint32_t write_buffer_merge_count;
    uint64_t arena_block_bytes; /* 0: an eighth of the write buffer, in units of 4 KiB. */
    uint64_t block_bytes;
    uint64_t metadata_block_bytes;
    uint64_t block_cache_bytes; /* Without managed memory only. */
    bool has_bloom_filter;
    double bloom_bits_per_key;
    tarn__rocks_filter filter;
    bool has_hash_index;          /* In data blocks. */
    uint32_t restart_interval;    /* Rows of a data block from one whole key to the next. */
    double memtable_filter_share; /* Of a write buffer, for a filter of its keys; 0: none. */
    bool is_for_hits;             /* No filters in the last level. */
    bool is_partitioned;          /* Index and filters in partitions. */
    bool is_cut_at_key_groups;    /* Table files end at the borders of key groups. */
} tarn__rocks_settings;

enum { TARN__ROCKS_COMPRESSION_LEVEL_DEFAULT = 32767 };

/* Tarn's defaults. */
void tarn__rocks_settings_init(tarn__rocks_settings *settings);

/*
 * The memtable filter's share of a write buffer, but at most a quarter of the settings' arena block
 * in bytes: RocksDB takes it with a memtable's first row, and idle states must not fill the budget.
 */
double tarn__rocks_fit_memtable_filter(const tarn__rocks_settings *settings);

/* Background jobs for a machine of so many cores, where thread.num is not set. */
int32_t tarn__rocks_fit_jobs(uint32_t core_count);

/* Lays a profile over the settings. */
void tarn__rocks_settings_apply_profile(
    tarn__rocks_settings *settings, tarn__rocks_profile profile);

/*
 * Lays over the settings what a configuration sets: its profile first, then its options.
 *
 * is_state  The options of the whole database are refused: a state cannot have them.
 */
TARN_NODISCARD tarn_status tarn__rocks_settings_load(
    tarn__rocks_settings *settings, const tarn_config *config, bool is_state, tarn_error *error);

/* The arena block that a write buffer gets: the configured one, or as Flink computes it. */
uint64_t tarn__rocks_arena_block_bytes(const tarn__rocks_settings *settings);

/* Replace out by the text for a database, and for a column family. */
TARN_NODISCARD tarn_status
tarn__rocks_database_text(const tarn__rocks_settings *settings, tarn_buffer *out);
TARN_NODISCARD tarn_status
tarn__rocks_family_text(const tarn__rocks_settings *settings, bool is_managed, tarn_buffer *out);

#endif
