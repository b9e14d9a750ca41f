/**
 * @file tarn/config.h
 * @brief A configuration: keys with their text, where each came from, and typed readings.
 *
 *     tarn_config *config = NULL;
 *     tarn_error error;
 *     if (tarn_config_new(NULL, &config, &error) == TARN_OK &&
 *         tarn_config_load(config, "flink-conf.yaml", &error) == TARN_OK) {
 *         int64_t bytes = 0;
 *         tarn_config_get_memory(config, "taskmanager.memory.process.size", &bytes, NULL, &error);
 *     }
 *     tarn_config_free(config);
 *
 * The text of a key is kept as it is; only reading it through a typed getter judges it. A getter
 * looks for the option's key, then for its other spellings in the order of the table
 * (tarn/option.h), then takes the default.
 *
 * Ownership: a configuration copies what it is given. Texts that it hands out are its own, valid
 * until it changes or is freed.
 * Thread: confined while it changes, immutable (any thread may read) afterwards.
 */
#ifndef TARN_CONFIG_H
#define TARN_CONFIG_H

#include "tarn/allocator.h"
#include "tarn/bytes.h"
#include "tarn/option.h"
#include "tarn/quantity.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_config tarn_config;

/** One key of a configuration. */
typedef struct tarn_config_entry {
    const char *key;
    const char *value;
    const char *origin; /**< The file, or what tarn_config_set() was told, such as "-D". */
    uint32_t line;      /**< Of the file, from 1; 0: not from a line. */
} tarn_config_entry;

/** Both kinds of configuration file. */
typedef enum tarn_config_flavour {
    TARN_CONFIG_LEGACY = 0,   /**< flink-conf.yaml: "key: value" line by line. */
    TARN_CONFIG_STANDARD = 1, /**< config.yaml: YAML; nested keys are joined by dots. */
} tarn_config_flavour;

/** The largest file that is read. Units: bytes. Flink's YAML parser stops there too. */
#define TARN_CONFIG_FILE_BYTES_MAX 3145728u

/**
 * Makes an empty configuration.
 *
 * @param[in]  allocator  Where its memory comes from; borrowed. NULL: malloc().
 * @param[out] out        Free it with tarn_config_free(). Untouched on failure.
 *
 * @retval TARN_OK         *out is set.
 * @retval TARN_NO_MEMORY  It is not.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_config_new(const tarn_allocator *allocator, tarn_config **out, tarn_error *error);

/** Frees a configuration. NULL does nothing. */
TARN_API void tarn_config_free(tarn_config *config);

/**
 * Sets a key, replacing its value; a replaced key keeps its place in the order.
 *
 * @param[in] key     Shape: not empty.
 * @param[in] value   The text, as it stands.
 * @param[in] origin  Named in messages about the value, such as "-D". NULL: "program".
 */
TARN_API TARN_NODISCARD tarn_status tarn_config_set(
    tarn_config *config, const char *key, const char *value, const char *origin, tarn_error *error);

/** Sets a key from "key=value"; the value may hold further "=". Spaces around the key are dropped.
 */
TARN_API TARN_NODISCARD tarn_status tarn_config_set_assignment(
    tarn_config *config, const char *assignment, const char *origin, tarn_error *error);

/** Answers the text of exactly this key: no spelling, no default. TARN_NOT_FOUND: it is not set. */
TARN_API TARN_NODISCARD tarn_status
tarn_config_get(const tarn_config *config, const char *key, const char **out);

/**
 * Tells whether the value of a key must not be shown: the key tells of a password, token or the
 * like. Messages of this header hide such values.
 */
TARN_API bool tarn_config_is_secret(const char *key);

/** Removes a key; nothing happens when it is not set. */
TARN_API void tarn_config_remove(tarn_config *config, const char *key);

/** Answers the number of keys. */
TARN_API size_t tarn_config_count(const tarn_config *config);

/** Answers a key by its place, 0 .. count - 1: the order in which keys were first set. */
TARN_API tarn_config_entry tarn_config_at(const tarn_config *config, size_t index);

/** Is called with each entry; false ends the visit. It must not change the configuration. */
typedef bool tarn_config_visit_fn(const tarn_config_entry *entry, void *context);

/** Visits every key in order. */
TARN_API void tarn_config_visit(
    const tarn_config *config, tarn_config_visit_fn *visit, void *context);

/** Visits, in order, the keys that the table of options does not know. */
TARN_API void tarn_config_visit_unknown(
    const tarn_config *config, tarn_config_visit_fn *visit, void *context);

/** Something that is allowed, and perhaps not meant. */
typedef struct tarn_config_warning {
    const char *key;  /**< NULL: it is about a line that gives no key its value. */
    const char *text; /**< A sentence with the place; values of secrets are hidden. */
} tarn_config_warning;

/** Is called with each warning, borrowed for the call; false ends the visit. */
typedef bool tarn_config_warning_fn(const tarn_config_warning *warning, void *context);

/**
 * Visits what a configuration says in vain: lines of a legacy file that are no key and value, the
 * first values of keys that it has twice (of both the first 64), values of options that nothing in
 * Tarn reads and that differ from what it does, and spellings that another one hides. Keys that are
 * unknown are left to tarn_config_visit_unknown(). tarn_env_open() logs them.
 */
TARN_API void tarn_config_visit_warnings(
    const tarn_config *config, tarn_config_warning_fn *visit, void *context);

/** Sets in config every key that from has; equal keys take from's value and origin. */
TARN_API TARN_NODISCARD tarn_status
tarn_config_merge(tarn_config *config, const tarn_config *from, tarn_error *error);

/**
 * Reads a file into the configuration; its keys replace equal ones.
 *
 * @param[in] path  A file: with the ending .yaml or .yml it is standard YAML, unless its name
 *                  begins with "flink-conf"; that, and any other name, is legacy. Or a directory:
 *                  its flink-conf.yaml when it has one, else its config.yaml, as Flink looks.
 *
 * @retval TARN_OK                Every key of the file is set.
 * @retval TARN_MISSING           There is no such file, or neither file in the directory.
 * @retval TARN_IO_ERROR          It cannot be read.
 * @retval TARN_INVALID_ARGUMENT  It is too large or no valid file of its flavour; the message has
 *                                file and line. The configuration is unchanged.
 * @retval TARN_NO_MEMORY         The configuration is unchanged.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_config_load(tarn_config *config, const char *path, tarn_error *error);

/** As tarn_config_load(), from memory. origin names it in messages; NULL: "text". */
TARN_API TARN_NODISCARD tarn_status tarn_config_parse(
    tarn_config *config,
    tarn_config_flavour flavour,
    tarn_bytes text,
    const char *origin,
    tarn_error *error);

/*
 * Typed readings. Each takes the key of a row of the table with the getter's type (a key that a
 * "*" stands for is given in full).
 *
 * @param[out] is_set_out  Whether the value was set; false: it is the default. May be NULL.
 *
 * @retval TARN_OK                *out and *is_set_out are set.
 * @retval TARN_NOT_FOUND         Not set, and the option has no default.
 * @retval TARN_INVALID_ARGUMENT  The value is bad: the message names origin, line, key, value and
 *                                what is allowed. Or the table has no such key of this type.
 */

/** Units: bytes. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_memory(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set_out, tarn_error *error);

/** Units: seconds and nanoseconds. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_duration(
    const tarn_config *config,
    const char *key,
    tarn_duration *out,
    bool *is_set_out,
    tarn_error *error);

/** A duration in milliseconds; one of 2^63 ms or more is a bad value. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_duration_ms(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set_out, tarn_error *error);

/** "true" or "false", in any case. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_bool(
    const tarn_config *config, const char *key, bool *out, bool *is_set_out, tarn_error *error);

/** A 32-bit integer, as Java reads it. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_int(
    const tarn_config *config, const char *key, int32_t *out, bool *is_set_out, tarn_error *error);

/** A 64-bit integer, as Java reads it. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_long(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set_out, tarn_error *error);

/** A 32-bit float, as Java reads it. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_float(
    const tarn_config *config, const char *key, float *out, bool *is_set_out, tarn_error *error);

/** A 64-bit float, as Java reads it. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_double(
    const tarn_config *config, const char *key, double *out, bool *is_set_out, tarn_error *error);

/** The text of an option of any type, unjudged; of a STRING or MAP option it is the value. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_string(
    const tarn_config *config,
    const char *key,
    const char **out,
    bool *is_set_out,
    tarn_error *error);

/** The index of the value in the option's values. */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_enum(
    const tarn_config *config, const char *key, int *out, bool *is_set_out, tarn_error *error);

/**
 * The indices of the values of a list.
 *
 * @param[out] out        Room for capacity indices; the first *count_out are set.
 * @param[out] count_out  May be 0. A list of more than capacity is a bad value.
 */
TARN_API TARN_NODISCARD tarn_status tarn_config_get_enum_list(
    const tarn_config *config,
    const char *key,
    int *out,
    size_t capacity,
    size_t *count_out,
    bool *is_set_out,
    tarn_error *error);

/**
 * Judges the value of every key that the table knows, by type and bounds. The options that a
 * program never reads are judged too; those of "*" rows are not, their meaning is the plug-in's.
 *
 * @retval TARN_OK                All are good.
 * @retval TARN_INVALID_ARGUMENT  Some are bad; the message has those of their getters, separated
 *                                by "; ", as many as fit, and the number of the others.
 *                                What is in vain and not bad: tarn_config_visit_warnings().
 */
TARN_API TARN_NODISCARD tarn_status tarn_config_check(const tarn_config *config, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
