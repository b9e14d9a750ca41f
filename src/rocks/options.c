/* options.c - see options.h. */
#include "rocks/options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

enum {
    ARENA_BLOCK_ALIGNMENT = 4096,
    ARENA_BLOCKS_PER_BUFFER = 8,
    /* zstd's advice: train on a hundred times the dictionary's size. */
    TRAINING_PER_DICTIONARY = 100,
    MANIFEST_BYTES_MAX = 64 << 20,
    FILE_OPENING_THREADS = 4,
    JOBS_MIN = 2, /* One flushes, one compacts. */
    JOBS_MAX = 4,
    RESTART_INTERVAL = 32, /* Two hundredths less space than with RocksDB's own, reads as quick. */
    RESTART_INTERVAL_OF_ROCKSDB = 16,
    FILTERS_PER_ARENA_BLOCK = 4,
};

static const char *const COMPRESSION_NAMES[] = {
    [TARN__ROCKS_COMPRESSION_NONE] = "kNoCompression",
    [TARN__ROCKS_COMPRESSION_SNAPPY] = "kSnappyCompression",
    [TARN__ROCKS_COMPRESSION_ZLIB] = "kZlibCompression",
    [TARN__ROCKS_COMPRESSION_BZIP2] = "kBZip2Compression",
    [TARN__ROCKS_COMPRESSION_LZ4] = "kLZ4Compression",
    [TARN__ROCKS_COMPRESSION_LZ4HC] = "kLZ4HCCompression",
    [TARN__ROCKS_COMPRESSION_XPRESS] = "kXpressCompression",
    [TARN__ROCKS_COMPRESSION_ZSTD] = "kZSTD",
    [TARN__ROCKS_COMPRESSION_DISABLED] = "kDisableCompressionOption",
};

static const char *const FILTER_NAMES[] = {
    [TARN__ROCKS_FILTER_BLOOM] = "bloomfilter",
    [TARN__ROCKS_FILTER_RIBBON] = "ribbonfilter",
};

/* What follows the bits for each key: a filter of each table; bloom in level 0, which is read most
 * and does not live long. */
static const char *const FILTER_ENDS[] = {
    [TARN__ROCKS_FILTER_BLOOM] = "false",
    [TARN__ROCKS_FILTER_RIBBON] = "1",
};

static const char *const STYLE_NAMES[] = {
    [TARN__ROCKS_STYLE_LEVEL] = "kCompactionStyleLevel",
    [TARN__ROCKS_STYLE_UNIVERSAL] = "kCompactionStyleUniversal",
    [TARN__ROCKS_STYLE_NONE] = "kCompactionStyleNone",
};

static const char *const LOG_LEVEL_NAMES[] = {
    [TARN__ROCKS_LOG_DEBUG] = "DEBUG_LEVEL",
    [TARN__ROCKS_LOG_INFO] = "INFO_LEVEL",
    [TARN__ROCKS_LOG_WARN] = "WARN_LEVEL",
    [TARN__ROCKS_LOG_ERROR] = "ERROR_LEVEL",
    [TARN__ROCKS_LOG_FATAL] = "FATAL_LEVEL",
    [TARN__ROCKS_LOG_HEADER] = "HEADER_LEVEL",
};

void tarn__rocks_settings_init(tarn__rocks_settings *settings)
{
    *settings = (tarn__rocks_settings){
        .background_job_count = 2,
        .open_file_count = -1,
        .log_file_bytes = 25 * MIB,
        .log_file_count = 4,
        .log_level = TARN__ROCKS_LOG_HEADER, /* See options.h. */
        .style = TARN__ROCKS_STYLE_LEVEL,
        .compression_count = 1,
        .compression = {TARN__ROCKS_COMPRESSION_LZ4},
        .compression_level = TARN__ROCKS_COMPRESSION_LEVEL_DEFAULT,
        .target_file_bytes = 64 * MIB,
        .level_base_bytes = 256 * MIB,
        .write_buffer_bytes = 64 * MIB,
        .write_buffer_count = 2,
        .write_buffer_merge_count = 1,
        .block_bytes = 4 * KIB,
        .metadata_block_bytes = 4 * KIB,
        .block_cache_bytes = 8 * MIB,
        .has_bloom_filter = true,
        .bloom_bits_per_key = 10.0,
        .filter = TARN__ROCKS_FILTER_BLOOM,
        .restart_interval = RESTART_INTERVAL,
        .memtable_filter_share = 0.02,
        .is_partitioned = true,
    };
}

double tarn__rocks_fit_memtable_filter(const tarn__rocks_settings *settings)
{
    const uint64_t arena_bytes = tarn__rocks_arena_block_bytes(settings);
    const double most = (double)arena_bytes / FILTERS_PER_ARENA_BLOCK;
    const double wanted = settings->memtable_filter_share * (double)settings->write_buffer_bytes;
    return (wanted < most ? wanted : most) / (double)settings->write_buffer_bytes;
}

int32_t tarn__rocks_fit_jobs(uint32_t core_count)
{
    const uint32_t least = core_count < JOBS_MIN ? JOBS_MIN : core_count;
    return (int32_t)(least < JOBS_MAX ? least : JOBS_MAX);
}

/* What RocksDB does under Flink when nothing is set. */
static void apply_flinks_defaults(tarn__rocks_settings *settings)
{
    settings->background_job_count = JOBS_MIN;
    settings->compression_count = 1;
    settings->compression[0] = TARN__ROCKS_COMPRESSION_SNAPPY;
    settings->has_bloom_filter = false;
    settings->restart_interval = RESTART_INTERVAL_OF_ROCKSDB;
    settings->memtable_filter_share = 0;
    settings->is_partitioned = false;
}

/* Source: Flink, PredefinedOptions. */
void tarn__rocks_settings_apply_profile(tarn__rocks_settings *settings, tarn__rocks_profile profile)
{
    if (profile == TARN__ROCKS_PROFILE_TARN) {
        return;
    }
    if (profile == TARN__ROCKS_PROFILE_DEFAULT) {
        apply_flinks_defaults(settings);
        return;
    }
    settings->background_job_count = 4;
    settings->open_file_count = -1;
    if (profile == TARN__ROCKS_PROFILE_FLASH) {
        return;
    }
    settings->style = TARN__ROCKS_STYLE_LEVEL;
    settings->is_dynamic_level = true;
    if (profile == TARN__ROCKS_PROFILE_DISK_HIGH_MEMORY) {
        settings->block_bytes = 128 * KIB;
        settings->block_cache_bytes = 256 * MIB;
        settings->level_base_bytes = 1 * GIB;
        settings->target_file_bytes = 256 * MIB;
        settings->write_buffer_bytes = 64 * MIB;
        settings->write_buffer_count = 4;
        settings->write_buffer_merge_count = 3;
        settings->has_bloom_filter = true;
    }
}

/* Source: Flink, RocksDBMemoryControllerUtils.calculateRocksDBDefaultArenaBlockSize. */
uint64_t tarn__rocks_arena_block_bytes(const tarn__rocks_settings *settings)
{
    if (settings->arena_block_bytes != 0) {
        return settings->arena_block_bytes;
    }
    const uint64_t eighth = settings->write_buffer_bytes / ARENA_BLOCKS_PER_BUFFER;
    return (eighth + ARENA_BLOCK_ALIGNMENT - 1) / ARENA_BLOCK_ALIGNMENT * ARENA_BLOCK_ALIGNMENT;
}

__attribute__((format(printf, 2, 3))) static tarn_status append(
    tarn_buffer *out, const char *format, ...)
{
    char text[TARN__ROCKS_PATH_BYTES + 64];
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof text) {
        return TARN_INTERNAL;
    }
    return tarn_buffer_append(out, tarn_bytes_at(text, (size_t)size));
}

static const char *text_of(bool value)
{
    return value ? "true" : "false";
}

tarn_status tarn__rocks_database_text(const tarn__rocks_settings *settings, tarn_buffer *out)
{
    out->size = 0;
    TARN_TRY(append(
        out,
        "create_if_missing=true;avoid_flush_during_shutdown=true;use_fsync=false;"
        "stats_dump_period_sec=0;stats_persist_period_sec=0;max_file_opening_threads=%d;"
        "max_manifest_file_size=%d;",
        FILE_OPENING_THREADS,
        MANIFEST_BYTES_MAX));
    TARN_TRY(append(
        out,
        "max_background_jobs=%" PRId32 ";max_open_files=%" PRId32 ";info_log_level=%s;"
        "max_log_file_size=%" PRIu64 ";keep_log_file_num=%" PRIu32 ";",
        settings->background_job_count,
        settings->open_file_count,
        LOG_LEVEL_NAMES[settings->log_level],
        settings->log_file_bytes,
        settings->log_file_count));
    if (settings->has_mmap_reads) {
        TARN_TRY(append(out, "allow_mmap_reads=true;"));
    }
    if (settings->log_directory[0] != '\0') {
        TARN_TRY(append(out, "db_log_dir={%s};", settings->log_directory));
    }
    return tarn_buffer_append(out, tarn_bytes_at("", 1));
}

static tarn_status append_compression(const tarn__rocks_settings *settings, tarn_buffer *out)
{
    TARN_TRY(append(out, "compression_per_level="));
    for (uint32_t i = 0; i < settings->compression_count; i++) {
        TARN_TRY(
            append(out, "%s%s", i == 0 ? "" : ":", COMPRESSION_NAMES[settings->compression[i]]));
    }
    /* The blocks of a file are held in memory until its dictionary is trained: bound that too. */
    const uint64_t training_bytes = settings->dictionary_bytes * TRAINING_PER_DICTIONARY;
    return append(
        out,
        ";compression_opts={level=%" PRId32 ";max_dict_bytes=%" PRIu64
        ";zstd_max_train_bytes=%" PRIu64 ";max_dict_buffer_bytes=%" PRIu64 "};",
        settings->compression_level,
        settings->dictionary_bytes,
        training_bytes,
        training_bytes);
}

static tarn_status append_table(
    const tarn__rocks_settings *settings, bool is_managed, tarn_buffer *out)
{
    TARN_TRY(append(
        out,
        "block_based_table_factory={block_size=%" PRIu64 ";metadata_block_size=%" PRIu64
        ";block_restart_interval=%" PRIu32 ";format_version=5;",
        settings->block_bytes,
        settings->metadata_block_bytes,
        settings->restart_interval));
    if (settings->has_bloom_filter) {
        TARN_TRY(append(
            out,
            "filter_policy=%s:%g:%s;optimize_filters_for_memory=true;",
            FILTER_NAMES[settings->filter],
            settings->bloom_bits_per_key,
            FILTER_ENDS[settings->filter]));
    }
    if (settings->has_hash_index) {
        TARN_TRY(append(
            out,
            "data_block_index_type=kDataBlockBinaryAndHash;"
            "data_block_hash_table_util_ratio=0.75;"));
    }
    if (settings->is_partitioned) {
        TARN_TRY(append(
            out,
            "index_type=kTwoLevelIndexSearch;partition_filters=true;"
            "pin_top_level_index_and_filter=true;"));
    }
    if (is_managed) {
        return append(
            out,
            "cache_index_and_filter_blocks=true;cache_index_and_filter_blocks_with_high_priority="
            "true;pin_l0_filter_and_index_blocks_in_cache=true};");
    }
    return append(out, "block_cache=%" PRIu64 "};", settings->block_cache_bytes);
}

tarn_status tarn__rocks_family_text(
    const tarn__rocks_settings *settings, bool is_managed, tarn_buffer *out)
{
    out->size = 0;
    TARN_TRY(append(
        out,
        "write_buffer_size=%" PRIu64 ";max_write_buffer_number=%" PRIu32
        ";min_write_buffer_number_to_merge=%" PRIu32 ";arena_block_size=%" PRIu64 ";",
        settings->write_buffer_bytes,
        settings->write_buffer_count,
        settings->write_buffer_merge_count,
        tarn__rocks_arena_block_bytes(settings)));
    TARN_TRY(append(
        out,
        "compaction_style=%s;level_compaction_dynamic_level_bytes=%s;target_file_size_base=%" PRIu64
        ";max_bytes_for_level_base=%" PRIu64 ";",
        STYLE_NAMES[settings->style],
        text_of(settings->is_dynamic_level),
        settings->target_file_bytes,
        settings->level_base_bytes));
    if (settings->memtable_filter_share > 0) {
        TARN_TRY(append(
            out,
            "memtable_whole_key_filtering=true;memtable_prefix_bloom_size_ratio=%g;",
            settings->memtable_filter_share));
    }
    if (settings->is_for_hits) {
        TARN_TRY(append(out, "optimize_filters_for_hits=true;"));
    }
    TARN_TRY(append_compression(settings, out));
    TARN_TRY(append_table(settings, is_managed, out));
    if (settings->is_cut_at_key_groups) {
        TARN_TRY(
            append(out, "sst_partitioner_factory={id=SstPartitionerFixedPrefixFactory;length=2};"));
    }
    return tarn_buffer_append(out, tarn_bytes_at("", 1));
}
