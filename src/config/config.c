/*
 * config.c - the set of keys: an array in order of first setting, and a hash index over it.
 *
 * The index has a power-of-two number of slots, at most half of them used; a slot holds a place in
 * the array plus one, 0 when it is free. Removal is rare and rebuilds it.
 */
#include "config/config.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/java_number.h"
#include "base/try.h"

enum { SLOTS_MIN = 64 };

typedef struct entry {
    char *key;
    char *value;
    const char *origin; /* One of origins. */
    uint32_t line;
} entry;

/* Few: one for each file and each kind of other source. */
typedef struct origin {
    struct origin *next;
    char name[];
} origin;

/* What a file says in vain, in order. */
typedef struct note {
    struct note *next;
    const char *origin; /* One of origins. */
    char text[];
} note;

struct tarn_config {
    tarn__account own;      /* Not used by a draft. */
    tarn__account *account; /* Its own, or the one of what it is a draft of. */
    entry *entries;
    size_t count;
    size_t capacity;
    uint32_t *slots;
    size_t slot_count;
    origin *origins;
    note *notes;
    size_t note_count;  /* Of notes. */
    size_t note_excess; /* How many were not kept. */
};

tarn_status tarn_config_new(const tarn_allocator *allocator, tarn_config **out, tarn_error *error)
{
    const tarn_allocator *below = allocator != NULL ? allocator : tarn_allocator_default();
    tarn_config *config = below->allocate(sizeof *config, below->context);
    if (config == NULL) {
        return tarn__fail_no_memory(error, "a configuration", sizeof *config);
    }
    *config = (tarn_config){.count = 0};
    tarn__account_init(&config->own, "config", below);
    config->account = &config->own;
    *out = config;
    return TARN_OK;
}

/* Writes over a value, which may be a password, and frees it. Entries have one always. */
static void release_value(char *value)
{
    explicit_bzero(value, strlen(value));
    tarn__release(value);
}

/* Gives back what a configuration holds, but not itself. */
static void release_contents(tarn_config *config)
{
    for (size_t i = 0; i < config->count; i++) {
        tarn__release(config->entries[i].key);
        release_value(config->entries[i].value);
    }
    while (config->notes != NULL) {
        note *next = config->notes->next;
        tarn__release(config->notes);
        config->notes = next;
    }
    while (config->origins != NULL) {
        origin *next = config->origins->next;
        tarn__release(config->origins);
        config->origins = next;
    }
    tarn__release(config->entries);
    tarn__release(config->slots);
}

void tarn_config_free(tarn_config *config)
{
    if (config == NULL) {
        return;
    }
    release_contents(config);
    const tarn_allocator *below = config->own.below;
    below->release(config, below->context);
}

tarn__account *tarn__config_account(tarn_config *config)
{
    return config->account;
}

static size_t hash_of(tarn_bytes key)
{
    const tarn__digest digest = tarn__digest_of(key);
    uint32_t hash = 0;
    memcpy(&hash, digest.bytes, sizeof hash);
    return hash;
}

/* The slot of a key: the one that names it, or the free one where it belongs. */
static uint32_t *find_slot(const tarn_config *config, tarn_bytes key)
{
    const size_t mask = config->slot_count - 1;
    size_t at = hash_of(key) & mask;
    while (config->slots[at] != 0) {
        const entry *found = &config->entries[config->slots[at] - 1];
        if (tarn_bytes_is_equal(tarn_bytes_of(found->key), key)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return &config->slots[at];
}

static entry *find(const tarn_config *config, tarn_bytes key)
{
    if (config->slot_count == 0) {
        return NULL;
    }
    const uint32_t place = *find_slot(config, key);
    return place != 0 ? &config->entries[place - 1] : NULL;
}

static void rebuild_index(tarn_config *config)
{
    memset(config->slots, 0, config->slot_count * sizeof *config->slots);
    for (size_t i = 0; i < config->count; i++) {
        *find_slot(config, tarn_bytes_of(config->entries[i].key)) = (uint32_t)(i + 1);
    }
}

/* Makes room for one more entry. */
static tarn_status grow(tarn_config *config, tarn_error *error)
{
    if (config->count == config->capacity) {
        const size_t capacity = config->capacity == 0 ? SLOTS_MIN / 2 : config->capacity * 2;
        entry *entries =
            tarn__reallocate(config->account, config->entries, capacity * sizeof *entries);
        if (entries == NULL) {
            return tarn__fail_no_memory(error, "the keys of a configuration", capacity);
        }
        config->entries = entries;
        config->capacity = capacity;
    }
    if (config->capacity * 2 > config->slot_count) {
        const size_t slot_count = config->capacity * 2;
        uint32_t *slots = tarn__allocate_zeroed(config->account, slot_count, sizeof *config->slots);
        if (slots == NULL) {
            return tarn__fail_no_memory(error, "the index of a configuration", slot_count);
        }
        tarn__release(config->slots);
        config->slots = slots;
        config->slot_count = slot_count;
        rebuild_index(config);
    }
    return TARN_OK;
}

static tarn_status keep_origin(
    tarn_config *config, const char *name, const char **out, tarn_error *error)
{
    for (const origin *at = config->origins; at != NULL; at = at->next) {
        if (strcmp(at->name, name) == 0) {
            *out = at->name;
            return TARN_OK;
        }
    }
    const size_t size = strlen(name) + 1;
    origin *kept = tarn__allocate(config->account, sizeof *kept + size);
    if (kept == NULL) {
        return tarn__fail_no_memory(error, "the name of a configuration's origin", size);
    }
    memcpy(kept->name, name, size);
    kept->next = config->origins;
    config->origins = kept;
    *out = kept->name;
    return TARN_OK;
}

/* A NUL-terminated copy, or NULL. */
static char *copy(tarn_config *config, tarn_bytes text)
{
    char *made = tarn__allocate(config->account, text.size + 1);
    if (made != NULL) {
        if (text.size > 0) {
            memcpy(made, text.data, text.size);
        }
        made[text.size] = '\0';
    }
    return made;
}

static tarn_status append(
    tarn_config *config, tarn_bytes key, const entry *values, tarn_error *error)
{
    TARN_TRY(grow(config, error));
    char *name = copy(config, key);
    if (name == NULL) {
        return tarn__fail_no_memory(error, "a configuration key", key.size);
    }
    *find_slot(config, key) = (uint32_t)(config->count + 1);
    config->entries[config->count] = *values;
    config->entries[config->count].key = name;
    config->count++;
    return TARN_OK;
}

tarn_status tarn__config_put(
    tarn_config *config,
    tarn_bytes key,
    tarn_bytes value,
    const char *origin_name,
    uint32_t line,
    tarn_error *error)
{
    entry values = {.line = line};
    TARN_TRY(keep_origin(config, origin_name, &values.origin, error));
    values.value = copy(config, value);
    if (values.value == NULL) {
        return tarn__fail_no_memory(error, "a configuration value", value.size);
    }
    entry *found = find(config, key);
    if (found != NULL) {
        release_value(found->value);
        values.key = found->key;
        *found = values;
        return TARN_OK;
    }
    const tarn_status status = append(config, key, &values, error);
    if (status != TARN_OK) {
        release_value(values.value);
    }
    return status;
}

tarn_status tarn_config_set(
    tarn_config *config,
    const char *key,
    const char *value,
    const char *origin_name,
    tarn_error *error)
{
    if (key == NULL || key[0] == '\0' || value == NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a configuration key must not be empty, nor its value NULL");
    }
    const char *name = origin_name != NULL ? origin_name : "program";
    return tarn__config_put(config, tarn_bytes_of(key), tarn_bytes_of(value), name, 0, error);
}

tarn_status tarn_config_set_assignment(
    tarn_config *config, const char *assignment, const char *origin_name, tarn_error *error)
{
    const char *name = origin_name != NULL ? origin_name : "program";
    const char *equals = assignment != NULL ? strchr(assignment, '=') : NULL;
    tarn_bytes key = {0};
    if (equals != NULL) {
        key = tarn__java_trim(tarn_bytes_at(assignment, (size_t)(equals - assignment)));
    }
    if (key.size == 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s: \"%.80s\" is no assignment; write key=value",
            name,
            assignment != NULL ? assignment : "");
    }
    return tarn__config_put(config, key, tarn_bytes_of(equals + 1), name, 0, error);
}

tarn_status tarn_config_get(const tarn_config *config, const char *key, const char **out)
{
    const entry *found = find(config, tarn_bytes_of(key));
    if (found == NULL) {
        return TARN_NOT_FOUND;
    }
    *out = found->value;
    return TARN_OK;
}

void tarn_config_remove(tarn_config *config, const char *key)
{
    entry *found = find(config, tarn_bytes_of(key));
    if (found == NULL) {
        return;
    }
    tarn__release(found->key);
    release_value(found->value);
    const size_t place = (size_t)(found - config->entries);
    config->count--;
    memmove(found, found + 1, (config->count - place) * sizeof *found);
    rebuild_index(config);
}

size_t tarn_config_count(const tarn_config *config)
{
    return config->count;
}

tarn_config_entry tarn_config_at(const tarn_config *config, size_t index)
{
    assert(index < config->count);
    const entry *at = &config->entries[index];
    return (tarn_config_entry){
        .key = at->key,
        .value = at->value,
        .origin = at->origin,
        .line = at->line,
    };
}

tarn_config_entry tarn__config_find(const tarn_config *config, tarn_bytes key)
{
    const entry *found = find(config, key);
    if (found == NULL) {
        return (tarn_config_entry){.key = NULL};
    }
    return tarn_config_at(config, (size_t)(found - config->entries));
}

void tarn_config_visit(const tarn_config *config, tarn_config_visit_fn *visit, void *context)
{
    for (size_t i = 0; i < config->count; i++) {
        const tarn_config_entry at = tarn_config_at(config, i);
        if (!visit(&at, context)) {
            return;
        }
    }
}

void tarn_config_visit_unknown(
    const tarn_config *config, tarn_config_visit_fn *visit, void *context)
{
    for (size_t i = 0; i < config->count; i++) {
        const tarn_config_entry at = tarn_config_at(config, i);
        if (tarn_option_find(at.key) == NULL && !visit(&at, context)) {
            return;
        }
    }
}

tarn_status tarn__config_note(
    tarn_config *config, const char *origin_name, const char *text, tarn_error *error)
{
    if (config->note_count == TARN__CONFIG_NOTES_MAX) {
        config->note_excess++;
        return TARN_OK;
    }
    const size_t size = strlen(text) + 1;
    const char *kept_name = NULL;
    TARN_TRY(keep_origin(config, origin_name, &kept_name, error));
    note *made = tarn__allocate(config->account, sizeof *made + size);
    if (made == NULL) {
        return tarn__fail_no_memory(error, "a note about a configuration", size);
    }
    made->next = NULL;
    made->origin = kept_name;
    memcpy(made->text, text, size);
    note **end = &config->notes;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = made;
    config->note_count++;
    return TARN_OK;
}

const char *tarn__config_note_at(const tarn_config *config, size_t index)
{
    const note *at = config->notes;
    while (at != NULL && index > 0) {
        at = at->next;
        index--;
    }
    return at != NULL ? at->text : NULL;
}

size_t tarn__config_note_excess(const tarn_config *config)
{
    return config->note_excess;
}

/* Copies the notes, but those about one origin: it is read anew. */
static tarn_status note_all(
    tarn_config *config, const tarn_config *from, const char *except, tarn_error *error)
{
    for (const note *at = from->notes; at != NULL; at = at->next) {
        if (except == NULL || strcmp(at->origin, except) != 0) {
            TARN_TRY(tarn__config_note(config, at->origin, at->text, error));
        }
    }
    config->note_excess += from->note_excess;
    return TARN_OK;
}

static tarn_status put_all(tarn_config *config, const tarn_config *from, tarn_error *error)
{
    for (size_t i = 0; i < from->count; i++) {
        const entry *at = &from->entries[i];
        TARN_TRY(tarn__config_put(
            config, tarn_bytes_of(at->key), tarn_bytes_of(at->value), at->origin, at->line, error));
    }
    return TARN_OK;
}

/* Replaces what a configuration holds by its draft's. */
static void adopt(tarn_config *config, const tarn_config *draft)
{
    release_contents(config);
    config->entries = draft->entries;
    config->count = draft->count;
    config->capacity = draft->capacity;
    config->slots = draft->slots;
    config->slot_count = draft->slot_count;
    config->origins = draft->origins;
    config->notes = draft->notes;
    config->note_count = draft->note_count;
    config->note_excess = draft->note_excess;
}

/* Fills a draft with a configuration, over which another one goes; except as in note_all(). */
static tarn_status overlay(
    tarn_config *draft,
    const tarn_config *config,
    const tarn_config *from,
    const char *except,
    tarn_error *error)
{
    TARN_TRY(put_all(draft, config, error));
    TARN_TRY(note_all(draft, config, except, error));
    TARN_TRY(put_all(draft, from, error));
    return note_all(draft, from, NULL, error);
}

tarn_status tarn_config_merge(tarn_config *config, const tarn_config *from, tarn_error *error)
{
    if (config == from) {
        return TARN_OK;
    }
    tarn_config draft = {.account = config->account};
    const tarn_status status = overlay(&draft, config, from, NULL, error);
    if (status != TARN_OK) {
        release_contents(&draft);
        return status;
    }
    adopt(config, &draft);
    return TARN_OK;
}

static tarn_status parse(
    tarn_config *config,
    tarn_config_flavour flavour,
    tarn_bytes text,
    const char *name,
    tarn_error *error)
{
    switch (flavour) {
    case TARN_CONFIG_LEGACY:
        return tarn__config_parse_legacy(config, text, name, error);
    case TARN_CONFIG_STANDARD:
        return tarn__config_parse_standard(config, text, name, error);
    }
    return tarn__fail(
        error, TARN_INVALID_ARGUMENT, "a configuration has no flavour %d", (int)flavour);
}

tarn_status tarn_config_parse(
    tarn_config *config,
    tarn_config_flavour flavour,
    tarn_bytes text,
    const char *origin_name,
    tarn_error *error)
{
    const char *name = origin_name != NULL ? origin_name : "text";
    if (text.size > TARN_CONFIG_FILE_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the configuration %.200s has more than %u bytes",
            name,
            TARN_CONFIG_FILE_BYTES_MAX);
    }
    tarn_config draft = {.account = config->account};
    /* By itself first: a key that comes twice is noted, one that the file overrides is not. */
    tarn_config alone = {.account = config->account};
    tarn_status status = parse(&alone, flavour, text, name, error);
    if (status == TARN_OK) {
        status = overlay(&draft, config, &alone, name, error);
    }
    release_contents(&alone);
    if (status != TARN_OK) {
        release_contents(&draft);
        return status;
    }
    adopt(config, &draft);
    return TARN_OK;
}
