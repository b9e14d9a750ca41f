/* setting.h - configurations as the command reads and explains them. */
#ifndef TARN_CLI_SETTING_H
#define TARN_CLI_SETTING_H

#include "tarn/config.h"

/* Room for an explanation, such as "taskmanager.memory.process.size = 1728m (-D)". */
enum { CLI_SETTING_TEXT_BYTES = 256 };

/*
 * Finds the entry that an option is read from: its key, else its other spellings in their order.
 * key is that of a row of the table. False when the option is not set.
 */
bool cli_setting_find(const tarn_config *config, const char *key, tarn_config_entry *out);

/* Finds the entry of exactly this key. False when there is none. */
bool cli_setting_find_exactly(const tarn_config *config, const char *key, tarn_config_entry *out);

/* Writes "key = value (file:line)". */
void cli_setting_describe(const tarn_config_entry *entry, char text[CLI_SETTING_TEXT_BYTES]);

/* The value as it may be shown: passwords and the like are hidden. */
const char *cli_setting_shown(const tarn_config_entry *entry);

#endif
