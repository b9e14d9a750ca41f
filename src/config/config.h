/*
 * config.h - what the sources of this folder share.
 *
 *     file --> load.c --+--> legacy.c ----------------+--> tarn__config_put (config.c)
 *                       +--> standard.c (libyaml) ----+          |
 *                                                                v
 *     options.def --> option.c --> setting.c <--------- entries, in order
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
tarn_config_entry tarn__config_find(const tarn_config *config, const char *key);

/* Both parsers add to a draft; on failure what they set so far stays in it, and it is dropped. */
TARN_NODISCARD tarn_status tarn__config_parse_legacy(
    tarn_config *config, tarn_bytes text, const char *origin, tarn_error *error);
TARN_NODISCARD tarn_status tarn__config_parse_standard(
    tarn_config *config, tarn_bytes text, const char *origin, tarn_error *error);

/* Where the memory of a configuration comes from, for what is made while parsing. */
tarn__account *tarn__config_account(tarn_config *config);

#endif
