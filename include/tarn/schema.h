/**
 * @file tarn/schema.h
 * @brief What a state's values are, and how those of older versions become present ones.
 *
 *     static tarn_status upgrade(const tarn_schema *stored, tarn_bytes value, tarn_buffer *out,
 * void *context)
 *     {
 *         return tarn_buffer_append(out, value) == TARN_OK && stored->codec_version == 1
 *                    ? tarn_buffer_append(out, tarn_bytes_at("\0\0\0\0", 4))
 *                    : TARN_NOT_SUPPORTED;
 *     }
 *
 *     tarn_migration migration = TARN_MIGRATION_INIT;
 *     migration.upgrade = upgrade;
 *     options.codec_version = 2;
 *     options.migration = &migration;
 *
 * The library does not look into values: their codec is the program's, and has a name, a version
 * and, if the program likes, metadata, such as the schema that they were written with. All three
 * are stored with the state, and each stored value says by which of them it was written. A state
 * can be opened with a later version: its values are upgraded one by one, when they are read; what
 * is written is of the new version. tarn_keyed_migrate() upgrades the rest at any time.
 *
 * What one value is: that of a value state, of a map's entry (keys are not upgraded), each element
 * of a list, the value of a reducing state with a function, the accumulator of an aggregating one.
 * Numbers of built-in reducers are the library's, and timers have no value: a change of their
 * version must be TARN_COMPATIBLE_AS_IS.
 *
 * Thread: callbacks run on the backend's thread, within a call on it.
 */
#ifndef TARN_SCHEMA_H
#define TARN_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tarn/bytes.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Largest metadata of a state. Units: bytes. */
#define TARN_STATE_METADATA_BYTES_MAX 16384

/** What values are. Borrowed for the call. */
typedef struct tarn_schema {
    tarn_bytes codec_name;
    uint32_t codec_version;
    tarn_bytes metadata; /**< Empty unless the program gave any. */
} tarn_schema;

/** What opening a state with another schema than a stored one means. */
typedef enum tarn_compatibility {
    TARN_COMPATIBLE_AS_IS = 0,           /**< Stored values can be read as they are. */
    TARN_COMPATIBLE_AFTER_MIGRATION = 1, /**< They can be upgraded. */
    TARN_NOT_COMPATIBLE = 2,             /**< The state must not be opened. */
} tarn_compatibility;

/**
 * Decides about a stored schema that differs from the one that the state is opened with.
 *
 * It is asked for each schema that rows may still have; it must be pure.
 */
typedef tarn_compatibility tarn_compatibility_fn(
    const tarn_schema *stored, const tarn_schema *wanted, void *context);

/**
 * Makes a value of the wanted schema of one of a stored schema, into out, which comes empty.
 *
 * It must be pure, and may not call the backend. A status other than TARN_OK ends the call that
 * came here, which answers it (a positive one as TARN_INTERNAL) and changes nothing: the row stays
 * as it is stored, and can be read by a better function.
 *
 * @param[in] stored  Of the value, whichever of the older ones it is.
 */
typedef tarn_status tarn_upgrade_fn(
    const tarn_schema *stored, tarn_bytes value, tarn_buffer *out, void *context);

/** How a state's older values become present ones. Start from TARN_MIGRATION_INIT. */
typedef struct tarn_migration {
    size_t struct_size; /**< Set by TARN_MIGRATION_INIT. */
    /**
     * NULL: another name of the codec is TARN_NOT_COMPATIBLE, as is a later version; an earlier
     * one is TARN_COMPATIBLE_AFTER_MIGRATION, and other metadata of the same one
     * TARN_COMPATIBLE_AS_IS.
     */
    tarn_compatibility_fn *resolve;
    tarn_upgrade_fn *upgrade; /**< NULL: nothing can be upgraded. */
    void *context;            /**< Passed to both; lives as long as the state is open. */
    /* The layout is ABI: append fields here, never above. */
} tarn_migration;

/** Initialiser for tarn_migration. */
#define TARN_MIGRATION_INIT                   \
    {                                         \
        .struct_size = sizeof(tarn_migration) \
    }

/** As the INIT macro; for C++ and bindings, where that warns. */
TARN_API void tarn_migration_init(tarn_migration *migration, size_t struct_size);

/** How far a migration is; see tarn_keyed_migrate(). */
typedef struct tarn_migration_progress {
    uint64_t seen_count;         /**< Rows looked at since the state was opened. */
    uint64_t migrated_count;     /**< Of those, rows that were written anew. */
    uint64_t row_count_estimate; /**< Of the state, as RocksDB reckons. */
    bool is_complete;            /**< All stored rows are of the present schema. */
} tarn_migration_progress;

#ifdef __cplusplus
}
#endif
#endif
