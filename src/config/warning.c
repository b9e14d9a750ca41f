/*
 * warning.c - what a configuration says in vain: notes of the parsers, options that nothing reads,
 * spellings that another one hides.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"

enum { TEXT_BYTES = 768 };

/* The key that an option is read from; NULL: none is set, or it is a row with an asterisk. */
static const char *leading_key(const tarn_config *config, const tarn_option *option)
{
    if (strchr(option->key, '*') != NULL) {
        return NULL;
    }
    const char *key = tarn__config_find(config, tarn_bytes_of(option->key)).key;
    for (const char *const *other = option->other_keys; key == NULL && *other != NULL; other++) {
        key = tarn__config_find(config, tarn_bytes_of(*other)).key;
    }
    return key;
}

/* Whether the value is what Tarn does anyway, or what it is when it is not set. */
static bool is_what_tarn_does(const tarn_option *option, const char *value)
{
    const char *done = option->acts_as_text != NULL ? option->acts_as_text : option->default_text;
    return done != NULL && tarn__option_is_same_value(option, done, value);
}

static void write_place(const tarn_config_entry *entry, char text[TEXT_BYTES])
{
    if (entry->line != 0) {
        (void)snprintf(text, TEXT_BYTES, "%.200s:%" PRIu32, entry->origin, entry->line);
    } else {
        (void)snprintf(text, TEXT_BYTES, "%.200s", entry->origin);
    }
}

static void write_ignored(
    const tarn_config_entry *entry, const tarn_option *option, char text[TEXT_BYTES])
{
    const size_t used = strlen(text);
    const char *shown = tarn_config_is_secret(entry->key) ? "******" : entry->value;
    const char *done = option->acts_as_text;
    (void)snprintf(
        text + used,
        TEXT_BYTES - used,
        ": \"%.80s\" as %.120s has no effect in Tarn%s%s%s",
        shown,
        entry->key,
        done != NULL ? ", which acts as if it were \"" : "",
        done != NULL ? done : "",
        done != NULL ? "\"" : "");
}

static void write_hidden(const tarn_config_entry *entry, const char *leading, char text[TEXT_BYTES])
{
    const size_t used = strlen(text);
    (void)snprintf(
        text + used,
        TEXT_BYTES - used,
        ": %.120s has no effect: %.120s is set",
        entry->key,
        leading);
}

/* Writes what there is to say against an entry; false: nothing. */
static bool write_warning(
    const tarn_config *config, const tarn_config_entry *entry, char text[TEXT_BYTES])
{
    const tarn_option *option = tarn_option_find(entry->key);
    if (option == NULL) {
        return false;
    }
    write_place(entry, text);
    if (option->reader == TARN_OPTION_READ_BY_NOTHING) {
        write_ignored(entry, option, text);
        return !is_what_tarn_does(option, entry->value);
    }
    const char *leading = leading_key(config, option);
    if (leading != NULL && strcmp(leading, entry->key) != 0) {
        write_hidden(entry, leading, text);
        return true;
    }
    return false;
}

static bool visit_notes(const tarn_config *config, tarn_config_warning_fn *visit, void *context)
{
    const char *text = NULL;
    for (size_t i = 0; (text = tarn__config_note_at(config, i)) != NULL; i++) {
        if (!visit(&(tarn_config_warning){.text = text}, context)) {
            return false;
        }
    }
    const size_t excess = tarn__config_note_excess(config);
    if (excess == 0) {
        return true;
    }
    char more[TEXT_BYTES];
    (void)snprintf(more, sizeof more, "%zu more lines are skipped or replace a value", excess);
    return visit(&(tarn_config_warning){.text = more}, context);
}

void tarn_config_visit_warnings(
    const tarn_config *config, tarn_config_warning_fn *visit, void *context)
{
    if (!visit_notes(config, visit, context)) {
        return;
    }
    for (size_t i = 0; i < tarn_config_count(config); i++) {
        const tarn_config_entry entry = tarn_config_at(config, i);
        char text[TEXT_BYTES];
        if (write_warning(config, &entry, text) &&
            !visit(&(tarn_config_warning){.key = entry.key, .text = text}, context)) {
            return;
        }
    }
}
