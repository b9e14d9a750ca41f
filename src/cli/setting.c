/* setting.c - see setting.h. */
#include "setting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tarn/option.h"

bool cli_setting_find_exactly(const tarn_config *config, const char *key, tarn_config_entry *out)
{
    for (size_t i = 0; i < tarn_config_count(config); i++) {
        const tarn_config_entry entry = tarn_config_at(config, i);
        if (strcmp(entry.key, key) == 0) {
            *out = entry;
            return true;
        }
    }
    return false;
}

bool cli_setting_find(const tarn_config *config, const char *key, tarn_config_entry *out)
{
    if (cli_setting_find_exactly(config, key, out)) {
        return true;
    }
    const tarn_option *option = tarn_option_find(key);
    if (option == NULL) {
        return false;
    }
    for (const char *const *other = option->other_keys; *other != NULL; other++) {
        if (cli_setting_find_exactly(config, *other, out)) {
            return true;
        }
    }
    return false;
}

void cli_setting_describe(const tarn_config_entry *entry, char text[CLI_SETTING_TEXT_BYTES])
{
    char place[16] = "";
    if (entry->line != 0) {
        snprintf(place, sizeof place, ":%" PRIu32, entry->line);
    }
    const char *shown = cli_setting_shown(entry);
    snprintf(
        text,
        CLI_SETTING_TEXT_BYTES,
        "%.80s = %.60s (%.60s%s)",
        entry->key,
        shown,
        entry->origin,
        place);
}

const char *cli_setting_shown(const tarn_config_entry *entry)
{
    return tarn_config_is_secret(entry->key) ? "******" : entry->value;
}
