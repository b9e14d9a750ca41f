/**
 * @file tarn/option.h
 * @brief The one table of every option: what a key means, what it may be, what it is when unset.
 *
 *     for (size_t i = 0; i < tarn_option_count(); i++) {
 *         const tarn_option *option = tarn_option_at(i);
 *         printf("%s: %s\n", option->key, option->sentence);
 *     }
 *
 * docs/CONFIGURATION.md is generated from it. Values are read by tarn/config.h.
 *
 * Ownership: everything is static.
 * Thread: pure.
 */
#ifndef TARN_OPTION_H
#define TARN_OPTION_H

#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How the text of an option is read. */
typedef enum tarn_option_type {
    TARN_OPTION_STRING = 0,    /**< As it stands. */
    TARN_OPTION_BOOL = 1,      /**< true or false, in either case. */
    TARN_OPTION_INT = 2,       /**< Decimal, -2^31 .. 2^31 - 1. */
    TARN_OPTION_LONG = 3,      /**< Decimal, -2^63 .. 2^63 - 1. */
    TARN_OPTION_FLOAT = 4,     /**< As Java's Float.parseFloat() reads it: 32 bits. */
    TARN_OPTION_DOUBLE = 5,    /**< As Java's Double.parseDouble() reads it. */
    TARN_OPTION_MEMORY = 6,    /**< tarn_memory_size_parse(). */
    TARN_OPTION_DURATION = 7,  /**< tarn_duration_parse(). */
    TARN_OPTION_ENUM = 8,      /**< One of the option's values, in either case. */
    TARN_OPTION_ENUM_LIST = 9, /**< Such values as "A;B" or "[A, B]". */
    TARN_OPTION_MAP = 10,      /**< "key:value,key:value". */
} tarn_option_type;

/** What of Tarn reads an option, and so gives it an effect. */
typedef enum tarn_option_reader {
    TARN_OPTION_READ_BY_LIBRARY = 0, /**< The environment, a backend, a snapshot or a storage. */
    TARN_OPTION_READ_BY_DRIVER = 1,  /**< A driver, or whoever asks for its settings: see
                                          tarn/checkpoint_settings.h and tarn/claim.h. */
    TARN_OPTION_READ_BY_PLAN = 2,    /**< tarn_plan_jobmanager() alone. */
    TARN_OPTION_READ_BY_NOTHING = 3, /**< It is known and its value is judged, and that is all. */
} tarn_option_reader;

/** One row of the table. */
typedef struct tarn_option {
    const char *key; /**< One segment may be "*", which stands for any name without a dot. */
    tarn_option_type type;
    const char *unit;              /**< Of a plain number, such as "threads"; "" for none. */
    const char *default_text;      /**< NULL: the option has no default. */
    const char *min_text;          /**< The smallest value; NULL: the type's. */
    const char *max_text;          /**< The largest value; NULL: the type's. */
    const char *const *other_keys; /**< Spellings in the order they are looked for; NULL ends. */
    const char *const *values;     /**< Of an enumeration, by index; NULL ends, and for others. */
    const char *since;             /**< The version of Tarn that knows it. */
    const char *origin;            /**< The class of Flink that it comes from, or "Tarn". */
    const char *sentence;          /**< What it does. */
    tarn_option_reader reader;     /**< What reads it. */
    const char *acts_as_text; /**< Where nothing does: the value that Tarn acts by; NULL: either the
                                   default or none. */
} tarn_option;

/** Answers the number of rows. */
TARN_API size_t tarn_option_count(void);

/** Answers a row; index 0 .. tarn_option_count() - 1, else NULL. Rows are ordered by group. */
TARN_API const tarn_option *tarn_option_at(size_t index);

/**
 * Finds the row that a key belongs to: the row of that key, else one with it as a spelling, else
 * one whose "*" stands for a part of it. NULL: the key is unknown.
 */
TARN_API const tarn_option *tarn_option_find(const char *key);

/** Answers the name of a reader, such as "driver"; "?" for a value that is none. */
TARN_API const char *tarn_option_reader_name(tarn_option_reader reader);

/** Answers the name of a type, such as "memory size"; "?" for a value that is none. */
TARN_API const char *tarn_option_type_name(tarn_option_type type);

#ifdef __cplusplus
}
#endif
#endif
