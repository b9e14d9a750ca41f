/* settings.c - what a configuration says about RocksDB, option by option. */
#include "rocks/options.h"

#include <string.h>

#include "base/try.h"

#define FLINK(name) "state.backend.rocksdb." name
#define OWN(name)   "tarn.rocksdb." name

/* Where an option of a plain type goes. */
typedef struct option_slot {
    const char *key;
    enum { SLOT_MEMORY, SLOT_INT, SLOT_COUNT, SLOT_BOOL, SLOT_DOUBLE, SLOT_ENUM } kind;
    size_t offset;
    bool is_of_database; /* A state cannot have it for itself. */
} option_slot;

#define SLOT(key, kind, member)                                  \
    {                                                            \
        key, kind, offsetof(tarn__rocks_settings, member), false \
    }
#define DATABASE(key, kind, member)                             \
    {                                                           \
        key, kind, offsetof(tarn__rocks_settings, member), true \
    }

static const option_slot SLOTS[] = {
    DATABASE(FLINK("thread.num"), SLOT_INT, background_job_count),
    DATABASE(FLINK("files.open"), SLOT_INT, open_file_count),
    DATABASE(FLINK("log.max-file-size"), SLOT_MEMORY, log_file_bytes),
    DATABASE(FLINK("log.file-num"), SLOT_COUNT, log_file_count),
    DATABASE(FLINK("log.level"), SLOT_ENUM, log_level),
    SLOT(FLINK("compaction.style"), SLOT_ENUM, style),
    SLOT(FLINK("compaction.level.use-dynamic-size"), SLOT_BOOL, is_dynamic_level),
    SLOT(FLINK("compaction.level.target-file-size-base"), SLOT_MEMORY, target_file_bytes),
    SLOT(FLINK("compaction.level.max-size-level-base"), SLOT_MEMORY, level_base_bytes),
    SLOT(FLINK("writebuffer.size"), SLOT_MEMORY, write_buffer_bytes),
    SLOT(FLINK("writebuffer.count"), SLOT_COUNT, write_buffer_count),
    SLOT(FLINK("writebuffer.number-to-merge"), SLOT_COUNT, write_buffer_merge_count),
    SLOT(FLINK("block.blocksize"), SLOT_MEMORY, block_bytes),
    SLOT(FLINK("block.metadata-blocksize"), SLOT_MEMORY, metadata_block_bytes),
    SLOT(FLINK("block.cache-size"), SLOT_MEMORY, block_cache_bytes),
    SLOT(FLINK("use-bloom-filter"), SLOT_BOOL, has_bloom_filter),
    SLOT(FLINK("bloom-filter.bits-per-key"), SLOT_DOUBLE, bloom_bits_per_key),
    SLOT(FLINK("memory.partitioned-index-filters"), SLOT_BOOL, is_partitioned),
    SLOT(OWN("filter"), SLOT_ENUM, filter),
    SLOT(OWN("data-block-hash-index"), SLOT_BOOL, has_hash_index),
    SLOT(OWN("block-restart-interval"), SLOT_COUNT, restart_interval),
    SLOT(OWN("memtable-filter-share"), SLOT_DOUBLE, memtable_filter_share),
    SLOT(OWN("optimize-filters-for-hits"), SLOT_BOOL, is_for_hits),
    DATABASE(OWN("mmap-reads"), SLOT_BOOL, has_mmap_reads),
    SLOT(OWN("arena-block-size"), SLOT_MEMORY, arena_block_bytes),
    SLOT(OWN("compression.level"), SLOT_INT, compression_level),
    SLOT(OWN("compression.dictionary-bytes"), SLOT_MEMORY, dictionary_bytes),
    SLOT(OWN("cut-files-at-key-groups"), SLOT_BOOL, is_cut_at_key_groups),
};

static tarn_status load_slot(
    const option_slot *slot,
    void *member,
    const tarn_config *config,
    bool *is_set,
    tarn_error *error)
{
    int64_t bytes;
    int32_t number;
    int index;
    switch (slot->kind) {
    case SLOT_MEMORY:
        TARN_TRY(tarn_config_get_memory(config, slot->key, &bytes, is_set, error));
        *(uint64_t *)member = *is_set ? (uint64_t)bytes : *(uint64_t *)member;
        return TARN_OK;
    case SLOT_INT:
    case SLOT_COUNT:
        TARN_TRY(tarn_config_get_int(config, slot->key, &number, is_set, error));
        *(int32_t *)member = *is_set ? number : *(int32_t *)member;
        return TARN_OK;
    case SLOT_ENUM:
        TARN_TRY(tarn_config_get_enum(config, slot->key, &index, is_set, error));
        *(int *)member = *is_set ? index : *(int *)member;
        return TARN_OK;
    case SLOT_BOOL: {
        bool value;
        TARN_TRY(tarn_config_get_bool(config, slot->key, &value, is_set, error));
        *(bool *)member = *is_set ? value : *(bool *)member;
        return TARN_OK;
    }
    case SLOT_DOUBLE: {
        double value;
        TARN_TRY(tarn_config_get_double(config, slot->key, &value, is_set, error));
        *(double *)member = *is_set ? value : *(double *)member;
        return TARN_OK;
    }
    }
    return TARN_INTERNAL;
}

static tarn_status refuse_of_database(const char *key, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "%s is an option of a whole database; it cannot be set for one state",
        key);
}

static tarn_status load_slots(
    tarn__rocks_settings *settings, const tarn_config *config, bool is_state, tarn_error *error)
{
    for (size_t i = 0; i < sizeof SLOTS / sizeof SLOTS[0]; i++) {
        bool is_set = false;
        const tarn_status status =
            load_slot(&SLOTS[i], (char *)settings + SLOTS[i].offset, config, &is_set, error);
        if (status < TARN_OK) {
            return status;
        }
        if (is_set && is_state && SLOTS[i].is_of_database) {
            return refuse_of_database(SLOTS[i].key, error);
        }
    }
    return TARN_OK;
}

static tarn_status load_compression(
    tarn__rocks_settings *settings, const tarn_config *config, tarn_error *error)
{
    int found[TARN__ROCKS_LEVELS_MAX];
    size_t count = 0;
    bool is_set = false;
    TARN_TRY(tarn_config_get_enum_list(
        config,
        FLINK("compression.per.level"),
        found,
        TARN__ROCKS_LEVELS_MAX,
        &count,
        &is_set,
        error));
    if (!is_set) {
        return TARN_OK;
    }
    /* An empty list is Flink's way to say: RocksDB's own single codec, snappy, on every level. */
    settings->compression[0] = TARN__ROCKS_COMPRESSION_SNAPPY;
    settings->compression_count = count == 0 ? 1 : (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        settings->compression[i] = (tarn__rocks_compression)found[i];
    }
    return TARN_OK;
}

static tarn_status load_log_directory(
    tarn__rocks_settings *settings, const tarn_config *config, bool is_state, tarn_error *error)
{
    const char *directory = NULL;
    bool is_set = false;
    const tarn_status status =
        tarn_config_get_string(config, FLINK("log.dir"), &directory, &is_set, error);
    if (status != TARN_OK || !is_set) {
        return status < TARN_OK ? status : TARN_OK;
    }
    if (is_state) {
        return refuse_of_database(FLINK("log.dir"), error);
    }
    if (strlen(directory) >= sizeof settings->log_directory || strpbrk(directory, "{};") != NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            FLINK("log.dir") " is \"%s\"; it must be shorter than %d bytes, without { } or ;",
            directory,
            TARN__ROCKS_PATH_BYTES);
    }
    memcpy(settings->log_directory, directory, strlen(directory) + 1);
    return TARN_OK;
}

tarn_status tarn__rocks_settings_load(
    tarn__rocks_settings *settings, const tarn_config *config, bool is_state, tarn_error *error)
{
    tarn__rocks_settings loaded = *settings;
    int profile = 0;
    bool is_set = false;
    TARN_TRY(tarn_config_get_enum(config, FLINK("predefined-options"), &profile, &is_set, error));
    if (is_set) {
        tarn__rocks_settings_apply_profile(&loaded, (tarn__rocks_profile)profile);
        if (is_state) {
            loaded.background_job_count = settings->background_job_count;
            loaded.open_file_count = settings->open_file_count;
        }
    }
    TARN_TRY(load_slots(&loaded, config, is_state, error));
    TARN_TRY(load_compression(&loaded, config, error));
    TARN_TRY(load_log_directory(&loaded, config, is_state, error));
    *settings = loaded;
    return TARN_OK;
}
