/* option.c - the table of options.def as data, and how a key finds its row. */
#include "tarn/option.h"

#include <string.h>

#define VALUES(name, ...) static const char *const values_##name[] = {__VA_ARGS__, NULL};
#include "config/options.def"
#undef VALUES

/* NULL as a list: no values. */
static const char *const values_NULL[] = {NULL};

#define NONE      ((const char *const[]){NULL})
#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define LIBRARY       .reader = TARN_OPTION_READ_BY_LIBRARY
#define DRIVER        .reader = TARN_OPTION_READ_BY_DRIVER
#define PLAN          .reader = TARN_OPTION_READ_BY_PLAN
#define IGNORED       .reader = TARN_OPTION_READ_BY_NOTHING
#define ACTS_AS(text) .reader = TARN_OPTION_READ_BY_NOTHING, .acts_as_text = (text)

static const tarn_option options[] = {
#define X(name, kind, measure, standard, least, most, others, list, version, class, read_by, text) \
    {                                                                                              \
        .key = name,                                                                               \
        .type = TARN_OPTION_##kind,                                                                \
        .unit = measure,                                                                           \
        .default_text = standard,                                                                  \
        .min_text = least,                                                                         \
        .max_text = most,                                                                          \
        .other_keys = others,                                                                      \
        .values = values_##list,                                                                   \
        .since = version,                                                                          \
        .origin = class,                                                                           \
        .sentence = text,                                                                          \
        read_by,                                                                                   \
    },
#include "config/options.def"
#undef X
};

enum { OPTION_COUNT = sizeof options / sizeof options[0] };

size_t tarn_option_count(void)
{
    return OPTION_COUNT;
}

const tarn_option *tarn_option_at(size_t index)
{
    return index < OPTION_COUNT ? &options[index] : NULL;
}

/* Whether key is pattern with a name that has no dot in place of its asterisk. */
static bool fits(const char *pattern, const char *key)
{
    const char *asterisk = strchr(pattern, '*');
    if (asterisk == NULL) {
        return false;
    }
    const size_t prefix = (size_t)(asterisk - pattern);
    if (strncmp(pattern, key, prefix) != 0) {
        return false;
    }
    const size_t name = strcspn(key + prefix, ".");
    return name > 0 && strcmp(asterisk + 1, key + prefix + name) == 0;
}

static bool has_spelling(const tarn_option *option, const char *key)
{
    for (const char *const *other = option->other_keys; *other != NULL; other++) {
        if (strcmp(*other, key) == 0) {
            return true;
        }
    }
    return false;
}

const tarn_option *tarn_option_find(const char *key)
{
    const tarn_option *by_spelling = NULL;
    const tarn_option *by_pattern = NULL;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(options[i].key, key) == 0) {
            return &options[i];
        }
        if (by_spelling == NULL && has_spelling(&options[i], key)) {
            by_spelling = &options[i];
        }
        if (by_pattern == NULL && fits(options[i].key, key)) {
            by_pattern = &options[i];
        }
    }
    return by_spelling != NULL ? by_spelling : by_pattern;
}

const char *tarn_option_reader_name(tarn_option_reader reader)
{
    switch (reader) {
    case TARN_OPTION_READ_BY_LIBRARY:
        return "library";
    case TARN_OPTION_READ_BY_DRIVER:
        return "driver";
    case TARN_OPTION_READ_BY_PLAN:
        return "plan";
    case TARN_OPTION_READ_BY_NOTHING:
        return "nothing";
    }
    return "?";
}

const char *tarn_option_type_name(tarn_option_type type)
{
    switch (type) {
    case TARN_OPTION_STRING:
        return "text";
    case TARN_OPTION_BOOL:
        return "boolean";
    case TARN_OPTION_INT:
        return "integer";
    case TARN_OPTION_LONG:
        return "long integer";
    case TARN_OPTION_FLOAT:
        return "32-bit number";
    case TARN_OPTION_DOUBLE:
        return "number";
    case TARN_OPTION_MEMORY:
        return "memory size";
    case TARN_OPTION_DURATION:
        return "duration";
    case TARN_OPTION_ENUM:
        return "choice";
    case TARN_OPTION_ENUM_LIST:
        return "list of choices";
    case TARN_OPTION_MAP:
        return "map";
    }
    return "?";
}
