/*
 * config.h - what the sources of this folder share.
 *
 *     file --> load.c --+--> legacy.c ----------------+--> tarn__config_put (config.c)
 *                       +--> standard.c (libyaml) ----+          |
 *                                                                v
 *     options.def --> option.c --> setting.c <--------- entries, in order
 *                                      |                and notes of what the parsers passed over
 *                                      +--> warning.c <-----+
 *
 * quantity.c knows the texts of sizes and durations; checkpoint_settings.c derives what a
 * coordinator receives.
 */
#ifndef TARN_CONFIG_CONFIG_H
#define TARN_CONFIG_CONFIG_H

#include "tarn/config.h"

#include "base/account.h"

/* Sets a key from views, which must not hold NUL. line 0: not from a line. */
TARN_NODISCARD tarn_status tarn__config_put(
    tarn_config *config,
    tarn_bytes key,
    tarn_bytes value,
    const char *origin,
    uint32_t line,
    tarn_error *error);

/* The entry of exactly this key; its key is NULL when there is none. */
tarn_config_entry tarn__config_find(const tarn_config *config, tarn_bytes key);

/* Notes what a file says in vain. Beyond the first TARN__CONFIG_NOTES_MAX they are only counted. */
enum { TARN__CONFIG_NOTES_MAX = 64, TARN__CONFIG_NOTE_BYTES = 512 };
TARN_NODISCARD tarn_status
tarn__config_note(tarn_config *config, const char *origin, const char *text, tarn_error *error);

/* Answers a note; NULL beyond those that are kept. */
const char *tarn__config_note_at(const tarn_config *config, size_t index);

/* How many there were beyond those. */
size_t tarn__config_note_excess(const tarn_config *config);

/* Whether two texts mean the same value of an option; what is no value means nothing. */
bool tarn__option_is_same_value(const tarn_option *option, const char *a, const char *b);

/* Both parsers add to a draft; on failure what they set so far stays in it, and it is dropped. */
TARN_NODISCARD tarn_status tarn__config_parse_legacy(
    tarn_config *config, tarn_bytes text, const char *origin, tarn_error *error);
TARN_NODISCARD tarn_status tarn__config_parse_standard(
    tarn_config *config, tarn_bytes text, const char *origin, tarn_error *error);

/* Where the memory of a configuration comes from, for what is made while parsing. */
tarn__account *tarn__config_account(tarn_config *config);

#endif
