/*
 * Unit tests of rocks/options.c and settings.c: what a database really runs with is read from the
 * OPTIONS file that RocksDB writes, for each profile and each option by Flink's name. A name that
 * RocksDB took but did not apply would be seen here.
 */
#include "support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rocks/db.h"
#include "support/state_fixture.h"

enum { FILE_BYTES_MAX = 64 << 10 };

typedef struct fixture {
    tarn__account account;
    tarn__rocks_memory *memory;
    tarn_config *config;
    tarn__rocks_settings settings;
    char directory[FIXTURE_PATH_BYTES];
    char text[FILE_BYTES_MAX]; /* The newest OPTIONS file. */
    const char *family;        /* In text: the section of the state's family and what follows. */
    tarn_error error;
} fixture;

static fixture the_fixture;

static void open_memory(fixture *f, bool is_managed)
{
    const tarn__rocks_memory_options options = {
        .account = &f->account,
        .clock = tarn__clock_system(),
        .is_managed = is_managed,
        .total_bytes = 96 << 20,
        .cache_capacity_bytes = 80 << 20,
        .write_buffer_capacity_bytes = 32 << 20,
        .mutable_limit_bytes = 28 << 20,
        .high_priority_ratio = -1,
    };
    assert_ok(tarn__rocks_memory_open(&options, &f->memory, &f->error), &f->error);
}

static int setup(void **state)
{
    fixture *f = &the_fixture;
    tarn__account_init(&f->account, "test", NULL);
    open_memory(f, /* is_managed= */ true);
    f->config = NULL;
    assert_ok(tarn_config_new(NULL, &f->config, &f->error), &f->error);
    tarn__rocks_settings_init(&f->settings);
    fixture_make_directory(f->directory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tarn_config_free(f->config);
    tarn__rocks_memory_close(f->memory);
    fixture_remove_directory(f->directory);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    return 0;
}

/* Reads the newest OPTIONS-NNNNNN of the database. */
static void read_options_file(fixture *f, const char *path)
{
    char newest[64] = "";
    DIR *entries = opendir(path);
    assert_non_null(entries);
    for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        if (strncmp(entry->d_name, "OPTIONS-", 8) == 0 && strlen(entry->d_name) < sizeof newest &&
            strcmp(entry->d_name, newest) > 0) {
            memcpy(newest, entry->d_name, strlen(entry->d_name) + 1);
        }
    }
    (void)closedir(entries);
    char name[FIXTURE_PATH_BYTES + 128];
    (void)snprintf(name, sizeof name, "%s/%s", path, newest);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    const size_t size = fread(f->text, 1, sizeof f->text - 1, file);
    f->text[size] = '\0';
    (void)fclose(file);
    f->family = strstr(f->text, "[CFOptions \"state\"]");
    assert_non_null(f->family);
}

static tarn__rocks *open_database(fixture *f, const char *path)
{
    const tarn__rocks_open_options options = {
        .account = &f->account,
        .memory = f->memory,
        .directory = path,
        .settings = &f->settings,
    };
    tarn__rocks *rocks = NULL;
    assert_ok(tarn__rocks_open(&options, &rocks, &f->error), &f->error);
    return rocks;
}

/* Opens a database with the fixture's settings, creates a family "state" in it, and closes it. */
static void run_database(fixture *f)
{
    char path[FIXTURE_PATH_BYTES + 8];
    (void)snprintf(path, sizeof path, "%s/db", f->directory);
    fixture_remove_directory(path);
    tarn__rocks *rocks = open_database(f, path);
    tarn__rocks_family *family = NULL;
    assert_ok(
        tarn__rocks_create_family(rocks, "state", &f->settings, &family, &f->error), &f->error);
    read_options_file(f, path);
    tarn__rocks_close(rocks);
}

/* Asserts that a line stands in a text. */
static void expect_line(const char *text, const char *line)
{
    char wanted[256];
    (void)snprintf(wanted, sizeof wanted, "  %s\n", line);
    if (strstr(text, wanted) == NULL) {
        fail_msg("the OPTIONS file has no line \"%s\"", line);
    }
}

static void load(fixture *f)
{
    assert_ok(
        tarn__rocks_settings_load(&f->settings, f->config, /* is_state= */ false, &f->error),
        &f->error);
}

/* The table of differences in options.h, and what Flink has too. */
static void test_defaults_are_the_documented_ones(void **state)
{
    fixture *f = *state;
    load(f);
    run_database(f);
    static const char *const DATABASE[] = {
        "max_background_jobs=2",
        "max_open_files=-1",
        "avoid_flush_during_shutdown=true",
        "use_fsync=false",
        "stats_dump_period_sec=0",
        "stats_persist_period_sec=0",
        "info_log_level=HEADER_LEVEL",
        "max_log_file_size=26214400",
        "keep_log_file_num=4",
    };
    static const char *const FAMILY[] = {
        "write_buffer_size=67108864",
        "max_write_buffer_number=2",
        "min_write_buffer_number_to_merge=1",
        "arena_block_size=917504", /* 1/32 of the mutable limit of 28 MiB. */
        "compaction_style=kCompactionStyleLevel",
        "level_compaction_dynamic_level_bytes=false",
        "target_file_size_base=67108864",
        "max_bytes_for_level_base=268435456",
        "compression_per_level=kLZ4Compression",
        "sst_partitioner_factory=nullptr",
        "block_size=4096",
        "metadata_block_size=4096",
        "filter_policy=bloomfilter:10:false",
        "index_type=kTwoLevelIndexSearch",
        "partition_filters=true",
        "data_block_index_type=kDataBlockBinarySearch",
        "block_restart_interval=32",
        "memtable_whole_key_filtering=true",
        "memtable_prefix_bloom_size_ratio=0.003418", /* A quarter of an arena block. */
        /* Forced by managed memory. */
        "cache_index_and_filter_blocks=true",
        "cache_index_and_filter_blocks_with_high_priority=true",
        "pin_l0_filter_and_index_blocks_in_cache=true",
    };
    for (size_t i = 0; i < sizeof DATABASE / sizeof DATABASE[0]; i++) {
        expect_line(f->text, DATABASE[i]);
    }
    for (size_t i = 0; i < sizeof FAMILY / sizeof FAMILY[0]; i++) {
        expect_line(f->family, FAMILY[i]);
    }
}

/* Values as Flink's own classes set them: vectors rocksdb_predefined, rows "effective". */
static void test_profiles_set_what_flink_sets(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *profile;
        const char *database;
        const char *family[7];
    } CASES[] = {
        {"DEFAULT", "max_background_jobs=2", {"level_compaction_dynamic_level_bytes=false"}},
        {"FLASH_SSD_OPTIMIZED",
         "max_background_jobs=4",
         {"level_compaction_dynamic_level_bytes=false", "block_size=4096"}},
        {"SPINNING_DISK_OPTIMIZED",
         "max_background_jobs=4",
         {"level_compaction_dynamic_level_bytes=true", "target_file_size_base=67108864"}},
        {"SPINNING_DISK_OPTIMIZED_HIGH_MEM",
         "max_background_jobs=4",
         {"level_compaction_dynamic_level_bytes=true",
          "max_bytes_for_level_base=1073741824",
          "max_write_buffer_number=4",
          "min_write_buffer_number_to_merge=3",
          "target_file_size_base=268435456",
          "block_size=131072",
          "filter_policy=bloomfilter:10:false"}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        fixture_set(f->config, "state.backend.rocksdb.predefined-options", CASES[i].profile);
        tarn__rocks_settings_init(&f->settings);
        load(f);
        run_database(f);
        expect_line(f->text, CASES[i].database);
        for (size_t j = 0; j < 7 && CASES[i].family[j] != NULL; j++) {
            expect_line(f->family, CASES[i].family[j]);
        }
    }
}

/* Whoever asks for Flink's own set gets it, whatever Tarn would choose; Tarn's has a name, too. */
static void test_the_profile_default_is_flinks_own_and_tarn_is_ours(void **state)
{
    static const char *const FLINKS[] = {
        "compression_per_level=kSnappyCompression",
        "filter_policy=nullptr",
        "index_type=kBinarySearch",
        "partition_filters=false",
        "data_block_index_type=kDataBlockBinarySearch",
        "block_restart_interval=16",
        "memtable_whole_key_filtering=false",
        "memtable_prefix_bloom_size_ratio=0.000000",
    };
    fixture *f = *state;
    f->settings.background_job_count = 4;
    fixture_set(f->config, "state.backend.rocksdb.predefined-options", "DEFAULT");
    load(f);
    run_database(f);
    expect_line(f->text, "max_background_jobs=2");
    for (size_t i = 0; i < sizeof FLINKS / sizeof FLINKS[0]; i++) {
        expect_line(f->family, FLINKS[i]);
    }
    fixture_set(f->config, "state.backend.rocksdb.predefined-options", "TARN");
    tarn__rocks_settings_init(&f->settings);
    load(f);
    run_database(f);
    expect_line(f->family, "compression_per_level=kLZ4Compression");
    expect_line(f->family, "block_restart_interval=32");
}

static void test_jobs_are_as_many_as_cores_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(tarn__rocks_fit_jobs(0), 2);
    assert_int_equal(tarn__rocks_fit_jobs(1), 2);
    assert_int_equal(tarn__rocks_fit_jobs(3), 3);
    assert_int_equal(tarn__rocks_fit_jobs(64), 4);
    assert_int_equal(tarn__rocks_fit_jobs(UINT32_MAX), 4);
}

static void test_the_filter_of_a_memtable_is_at_most_a_quarter_of_an_arena_block(void **state)
{
    (void)state;
    tarn__rocks_settings settings;
    tarn__rocks_settings_init(&settings);
    settings.write_buffer_bytes = 64 << 20;
    settings.arena_block_bytes = 8 << 20;
    settings.memtable_filter_share = 0.02;
    assert_true(tarn__rocks_fit_memtable_filter(&settings) == 0.02);
    settings.arena_block_bytes = 1 << 20;
    assert_true(tarn__rocks_fit_memtable_filter(&settings) == 1.0 / 256);
    settings.memtable_filter_share = 0;
    assert_true(tarn__rocks_fit_memtable_filter(&settings) == 0);
}

/* One option after the other, over the profile that sets most. */
static void test_every_option_beats_the_profile(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *key;
        const char *value;
        const char *line;
    } CASES[] = {
        {"thread.num", "6", "max_background_jobs=6"},
        {"files.open", "1000", "max_open_files=1000"},
        {"log.max-file-size", "1m", "max_log_file_size=1048576"},
        {"log.file-num", "7", "keep_log_file_num=7"},
        {"log.level", "WARN_LEVEL", "info_log_level=WARN_LEVEL"},
        {"compaction.style", "UNIVERSAL", "compaction_style=kCompactionStyleUniversal"},
        {"compaction.level.use-dynamic-size",
         "false",
         "level_compaction_dynamic_level_bytes=false"},
        {"compaction.level.target-file-size-base", "8m", "target_file_size_base=8388608"},
        {"compaction.level.max-size-level-base", "32m", "max_bytes_for_level_base=33554432"},
        {"compression.per.level",
         "NO_COMPRESSION;LZ4_COMPRESSION;ZSTD_COMPRESSION",
         "compression_per_level=kNoCompression:kLZ4Compression:kZSTD"},
        {"compression.per.level", "SNAPPY_COMPRESSION", "compression_per_level=kSnappyCompression"},
        {"writebuffer.size", "32m", "write_buffer_size=33554432"},
        {"writebuffer.count", "5", "max_write_buffer_number=5"},
        {"writebuffer.number-to-merge", "2", "min_write_buffer_number_to_merge=2"},
        {"block.blocksize", "16kb", "block_size=16384"},
        {"block.metadata-blocksize", "8kb", "metadata_block_size=8192"},
        {"use-bloom-filter", "false", "filter_policy=nullptr"},
        {"bloom-filter.bits-per-key", "15.5", "filter_policy=bloomfilter:15.5:false"},
        {"memory.partitioned-index-filters", "true", "partition_filters=true"},
        {"memory.partitioned-index-filters", "false", "partition_filters=false"},
        {"memory.partitioned-index-filters", "false", "index_type=kBinarySearch"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        tarn_config_free(f->config);
        assert_ok(tarn_config_new(NULL, &f->config, &f->error), &f->error);
        char key[128];
        (void)snprintf(key, sizeof key, "state.backend.rocksdb.%s", CASES[i].key);
        fixture_set(
            f->config,
            "state.backend.rocksdb.predefined-options",
            "SPINNING_DISK_OPTIMIZED_HIGH_MEM");
        fixture_set(f->config, key, CASES[i].value);
        tarn__rocks_settings_init(&f->settings);
        load(f);
        run_database(f);
        const bool is_of_database = strstr(CASES[i].line, "max_background") != NULL ||
                                    strstr(CASES[i].line, "log") != NULL ||
                                    strstr(CASES[i].line, "max_open") != NULL;
        expect_line(is_of_database ? f->text : f->family, CASES[i].line);
    }
}

static void test_own_options_reach_rocksdb(void **state)
{
    fixture *f = *state;
    fixture_set(f->config, "tarn.rocksdb.arena-block-size", "64kb");
    fixture_set(f->config, "tarn.rocksdb.compression.dictionary-bytes", "16kb");
    fixture_set(f->config, "tarn.rocksdb.compression.level", "6");
    fixture_set(f->config, "tarn.rocksdb.cut-files-at-key-groups", "true");
    fixture_set(f->config, "tarn.rocksdb.filter", "RIBBON");
    fixture_set(f->config, "tarn.rocksdb.data-block-hash-index", "true");
    fixture_set(f->config, "tarn.rocksdb.block-restart-interval", "8");
    fixture_set(f->config, "tarn.rocksdb.memtable-filter-share", "0");
    fixture_set(f->config, "tarn.rocksdb.optimize-filters-for-hits", "true");
    fixture_set(f->config, "tarn.rocksdb.mmap-reads", "true");
    load(f);
    run_database(f);
    expect_line(f->text, "allow_mmap_reads=true");
    expect_line(f->family, "optimize_filters_for_hits=true");
    expect_line(f->family, "arena_block_size=65536");
    assert_non_null(strstr(f->family, "filter_policy=ribbonfilter:10"));
    expect_line(f->family, "data_block_index_type=kDataBlockBinaryAndHash");
    expect_line(f->family, "data_block_hash_table_util_ratio=0.750000");
    expect_line(f->family, "block_restart_interval=8");
    expect_line(f->family, "memtable_whole_key_filtering=false");
    expect_line(
        f->family, "sst_partitioner_factory={id=SstPartitionerFixedPrefixFactory;length=2;}");
    /* The order of its parts differs from one RocksDB to the next. */
    char compression[1024] = "";
    const char *begin = strstr(f->family, "  compression_opts={");
    assert_non_null(begin);
    (void)sscanf(begin, "%1023[^\n]", compression);
    assert_non_null(strstr(compression, "max_dict_buffer_bytes=1638400;"));
    assert_non_null(strstr(compression, "max_dict_bytes=16384;"));
    assert_non_null(strstr(compression, "level=6;"));
}

static void test_without_managed_memory_each_family_has_its_cache(void **state)
{
    fixture *f = *state;
    tarn__rocks_memory_close(f->memory);
    open_memory(f, /* is_managed= */ false);
    fixture_set(f->config, "state.backend.rocksdb.block.cache-size", "3m");
    load(f);
    run_database(f);
    expect_line(f->family, "cache_index_and_filter_blocks=false");

    char path[FIXTURE_PATH_BYTES + 8];
    (void)snprintf(path, sizeof path, "%s/db", f->directory);
    tarn__rocks *rocks = open_database(f, path);
    tarn__rocks_memory_stats stats;
    tarn__rocks_memory_measure(f->memory, &stats);
    assert_int_equal(stats.cache_capacity_bytes, 2 * (3 << 20)); /* The state's and Tarn's own. */
    tarn__rocks_close(rocks);
}

static void expect_refused(fixture *f, const char *key, const char *value, bool is_state)
{
    tarn_config_free(f->config);
    assert_ok(tarn_config_new(NULL, &f->config, &f->error), &f->error);
    fixture_set(f->config, key, value);
    tarn__rocks_settings before;
    memcpy(&before, &f->settings, sizeof before);
    assert_int_equal(
        tarn__rocks_settings_load(&f->settings, f->config, is_state, &f->error),
        TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, key));
    assert_memory_equal(&before, &f->settings, sizeof before);
}

static void test_bad_values_are_refused_by_name_and_change_nothing(void **state)
{
    fixture *f = *state;
    expect_refused(f, "state.backend.rocksdb.predefined-options", "FAST", false);
    expect_refused(f, "state.backend.rocksdb.compaction.style", "FIFO", false);
    expect_refused(f, "state.backend.rocksdb.compression.per.level", "BROTLI", false);
    expect_refused(f, "state.backend.rocksdb.writebuffer.count", "0", false);
    expect_refused(f, "state.backend.rocksdb.log.dir", "/a;b", false);
    expect_refused(f, "tarn.rocksdb.filter", "CUCKOO", false);
    expect_refused(f, "tarn.rocksdb.memtable-filter-share", "0.3", false);
}

static void test_a_state_cannot_set_options_of_the_database(void **state)
{
    fixture *f = *state;
    expect_refused(f, "state.backend.rocksdb.thread.num", "3", true);
    expect_refused(f, "state.backend.rocksdb.files.open", "3", true);
    expect_refused(f, "state.backend.rocksdb.log.level", "INFO_LEVEL", true);
    expect_refused(f, "state.backend.rocksdb.log.dir", "/logs", true);
}

/* Table options cannot be changed in place: the database is closed and opened, rows and all. */
static void test_a_family_is_retuned_with_its_rows(void **state)
{
    fixture *f = *state;
    char path[FIXTURE_PATH_BYTES + 8];
    (void)snprintf(path, sizeof path, "%s/db", f->directory);
    tarn__rocks *rocks = open_database(f, path);
    tarn__rocks_family *family = NULL;
    assert_ok(
        tarn__rocks_create_family(rocks, "state", &f->settings, &family, &f->error), &f->error);
    assert_ok(
        tarn__rocks_put(family, tarn_bytes_of("k"), tarn_bytes_of("v"), &f->error), &f->error);

    bool is_lost = true;
    f->settings.block_bytes = 32 << 10;
    assert_int_equal(
        tarn__rocks_retune_family(family, &f->settings, 1, &is_lost, &f->error), TARN_BUSY);
    assert_ok(tarn__rocks_retune_family(family, &f->settings, 0, &is_lost, &f->error), &f->error);
    assert_false(is_lost);
    read_options_file(f, path);
    expect_line(f->family, "block_size=32768");
    tarn__rocks_pin pin = {.slice = NULL};
    tarn_bytes value;
    assert_ok(tarn__rocks_get(family, tarn_bytes_of("k"), &pin, &value, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(value, tarn_bytes_of("v")));
    tarn__rocks_unpin(&pin);
    tarn__rocks_close(rocks);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults_are_the_documented_ones),
        TEST(test_profiles_set_what_flink_sets),
        TEST(test_the_profile_default_is_flinks_own_and_tarn_is_ours),
        cmocka_unit_test(test_jobs_are_as_many_as_cores_within_bounds),
        cmocka_unit_test(test_the_filter_of_a_memtable_is_at_most_a_quarter_of_an_arena_block),
        TEST(test_every_option_beats_the_profile),
        TEST(test_own_options_reach_rocksdb),
        TEST(test_without_managed_memory_each_family_has_its_cache),
        TEST(test_bad_values_are_refused_by_name_and_change_nothing),
        TEST(test_a_state_cannot_set_options_of_the_database),
        TEST(test_a_family_is_retuned_with_its_rows),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
