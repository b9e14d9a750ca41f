/*
 * setting.c - from the text of a key to a value: spellings, defaults, types and bounds, all by the
 * table of options.
 *
 * Source: Flink, Configuration and ConfigurationUtils.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/java_number.h"
#include "base/try.h"
#include "config/config.h"

enum {
    ALLOWED_BYTES = 256,    /* Room for what is allowed, in a message. */
    SHOWN_VALUE_BYTES = 80, /* Of a bad value, in a message. */
    MORE_BYTES = 32         /* Room for how many bad values a message leaves out. */
};

/* Where the value of an option comes from. */
typedef struct setting {
    const tarn_option *option;
    tarn_config_entry entry; /* The value and its place; of a default, the value alone. */
    bool is_set;
} setting;

/* The number a text stands for, in the one of its members that the option's type says. */
typedef union value {
    bool truth;
    int64_t whole; /* INT, LONG, MEMORY, ENUM. */
    float single;
    double real;
    tarn_duration duration;
} value;

bool tarn_config_is_secret(const char *key)
{
    static const char *const parts[] = {
        "password",
        "secret",
        "apikey",
        "api-key",
        "token",
        "credential",
        "auth-params",
        "service-key",
        "basic-auth",
        "jaas.config",
        "http-headers",
        "account.key",
        "access-key",
        "access.key"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcasestr(key, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool lookup(const tarn_config *config, const char *key, setting *out)
{
    const tarn_config_entry entry = tarn__config_find(config, tarn_bytes_of(key));
    if (entry.key == NULL) {
        return false;
    }
    out->entry = entry;
    out->is_set = true;
    return true;
}

/* Finds the text of an option: its key, its other keys, its default. */
static tarn_status resolve(
    const tarn_config *config, const tarn_option *option, const char *key, setting *out)
{
    *out = (setting){.option = option, .entry = {.key = key}};
    if (lookup(config, key, out)) {
        return TARN_OK;
    }
    for (const char *const *other = option->other_keys; *other != NULL; other++) {
        if (lookup(config, *other, out)) {
            return TARN_OK;
        }
    }
    out->entry.value = option->default_text;
    return option->default_text != NULL ? TARN_OK : TARN_NOT_FOUND;
}

/* As resolve(), for a getter: the option must be known by this key and of this type. */
static tarn_status open_setting(
    const tarn_config *config,
    const char *key,
    tarn_option_type type,
    setting *out,
    tarn_error *error)
{
    const tarn_option *option = tarn_option_find(key);
    if (option == NULL || (strcmp(option->key, key) != 0 && strchr(option->key, '*') == NULL)) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "there is no option with the key %.120s", key);
    }
    if (option->type != type) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the option %s is a %s, not a %s",
            key,
            tarn_option_type_name(option->type),
            tarn_option_type_name(type));
    }
    return resolve(config, option, key, out);
}

static void describe_values(const tarn_option *option, char text[ALLOWED_BYTES])
{
    size_t size = (size_t)snprintf(text, ALLOWED_BYTES, "one of");
    for (const char *const *at = option->values; *at != NULL && size < ALLOWED_BYTES; at++) {
        size += (size_t)snprintf(
            text + size, ALLOWED_BYTES - size, "%s %s", at == option->values ? "" : ",", *at);
    }
}

static const char *form_of(tarn_option_type type)
{
    switch (type) {
    case TARN_OPTION_STRING:
        return "any text";
    case TARN_OPTION_BOOL:
        return "true or false";
    case TARN_OPTION_INT:
        return "a decimal integer of 32 bits";
    case TARN_OPTION_LONG:
        return "a decimal integer of 64 bits";
    case TARN_OPTION_FLOAT:
    case TARN_OPTION_DOUBLE:
        return "a number such as 0.4";
    case TARN_OPTION_MEMORY:
        return "digits and a unit (b, kb, mb, gb, tb; none: bytes) such as 64mb";
    case TARN_OPTION_DURATION:
        return "digits and a unit (d, h, min, s, ms, us as \xC2\xB5s, ns; none: ms) such as 10 s";
    case TARN_OPTION_ENUM:
    case TARN_OPTION_ENUM_LIST:
        return "";
    case TARN_OPTION_MAP:
        return "key:value pairs";
    }
    return "";
}

/* Says what is allowed: form and bounds. */
static void describe_allowed(const tarn_option *option, char text[ALLOWED_BYTES])
{
    if (option->values[0] != NULL) {
        describe_values(option, text);
        return;
    }
    size_t size = (size_t)snprintf(text, ALLOWED_BYTES, "%s", form_of(option->type));
    if (option->min_text != NULL) {
        size +=
            (size_t)snprintf(text + size, ALLOWED_BYTES - size, ", at least %s", option->min_text);
    }
    if (option->max_text != NULL) {
        snprintf(text + size, ALLOWED_BYTES - size, ", at most %s", option->max_text);
    }
}

static tarn_status fail_bad(const setting *at, tarn_error *error)
{
    char allowed[ALLOWED_BYTES];
    describe_allowed(at->option, allowed);
    char place[16] = "";
    if (at->entry.line != 0) {
        snprintf(place, sizeof place, ":%" PRIu32, at->entry.line);
    }
    const bool is_secret = tarn_config_is_secret(at->entry.key);
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "%.100s%s: the value \"%.*s\" of %.100s is not allowed; allowed is %s",
        at->entry.origin != NULL ? at->entry.origin : "default",
        place,
        SHOWN_VALUE_BYTES,
        is_secret ? "******" : at->entry.value,
        at->entry.key,
        allowed);
}

static bool decode_enum(const tarn_option *option, tarn_bytes text, int64_t *out)
{
    for (int64_t i = 0; option->values[i] != NULL; i++) {
        if (strlen(option->values[i]) == text.size &&
            strncasecmp(option->values[i], text.data, text.size) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool decode_bool(tarn_bytes text, bool *out)
{
    const bool is_true = text.size == 4 && strncasecmp(text.data, "true", text.size) == 0;
    if (!is_true && !(text.size == 5 && strncasecmp(text.data, "false", text.size) == 0)) {
        return false;
    }
    *out = is_true;
    return true;
}

/* Reads a text by the type of the option; false when it has another form. */
static bool decode(const tarn_option *option, const char *text, value *out)
{
    const tarn_bytes bytes = tarn_bytes_of(text);
    int32_t integer = 0;
    *out = (value){.whole = 0};
    switch (option->type) {
    case TARN_OPTION_BOOL:
        return decode_bool(bytes, &out->truth);
    case TARN_OPTION_INT:
        if (!tarn__java_int_decode(bytes, &integer)) {
            return false;
        }
        out->whole = integer;
        return true;
    case TARN_OPTION_LONG:
        return tarn__java_long_decode(bytes, &out->whole);
    case TARN_OPTION_FLOAT:
        return tarn__java_float_decode(bytes, &out->single);
    case TARN_OPTION_DOUBLE:
        return tarn__java_double_decode(bytes, &out->real);
    case TARN_OPTION_MEMORY:
        return tarn_memory_size_parse(bytes, &out->whole, NULL) == TARN_OK;
    case TARN_OPTION_DURATION:
        return tarn_duration_parse(bytes, &out->duration, NULL) == TARN_OK;
    case TARN_OPTION_ENUM:
        return decode_enum(option, bytes, &out->whole);
    case TARN_OPTION_STRING:
    case TARN_OPTION_ENUM_LIST:
    case TARN_OPTION_MAP:
        return true;
    }
    return false;
}

/* Whether a is not below b, both of the same type; NaN is below everything. */
static bool is_at_least(tarn_option_type type, const value *a, const value *b)
{
    switch (type) {
    case TARN_OPTION_FLOAT:
        return a->single >= b->single;
    case TARN_OPTION_DOUBLE:
        return a->real >= b->real;
    case TARN_OPTION_DURATION:
        return a->duration.seconds > b->duration.seconds ||
               (a->duration.seconds == b->duration.seconds &&
                a->duration.nanos >= b->duration.nanos);
    case TARN_OPTION_INT:
    case TARN_OPTION_LONG:
    case TARN_OPTION_MEMORY:
        return a->whole >= b->whole;
    case TARN_OPTION_BOOL:
    case TARN_OPTION_STRING:
    case TARN_OPTION_ENUM:
    case TARN_OPTION_ENUM_LIST:
    case TARN_OPTION_MAP:
        return true;
    }
    return true;
}

static bool is_within_bounds(const tarn_option *option, const value *number)
{
    value bound;
    if (option->min_text != NULL && decode(option, option->min_text, &bound) &&
        !is_at_least(option->type, number, &bound)) {
        return false;
    }
    return option->max_text == NULL || !decode(option, option->max_text, &bound) ||
           is_at_least(option->type, &bound, number);
}

bool tarn__option_is_same_value(const tarn_option *option, const char *a, const char *b)
{
    value x;
    value y;
    if (!decode(option, a, &x) || !decode(option, b, &y)) {
        return false;
    }
    switch (option->type) {
    case TARN_OPTION_BOOL:
        return x.truth == y.truth;
    case TARN_OPTION_ENUM:
        return x.whole == y.whole;
    case TARN_OPTION_STRING:
    case TARN_OPTION_ENUM_LIST:
    case TARN_OPTION_MAP:
        return strcasecmp(a, b) == 0;
    case TARN_OPTION_INT:
    case TARN_OPTION_LONG:
    case TARN_OPTION_FLOAT:
    case TARN_OPTION_DOUBLE:
    case TARN_OPTION_MEMORY:
    case TARN_OPTION_DURATION:
        return is_at_least(option->type, &x, &y) && is_at_least(option->type, &y, &x);
    }
    return false;
}

static tarn_status judge(const setting *at, value *out, tarn_error *error)
{
    if (!decode(at->option, at->entry.value, out)) {
        return fail_bad(at, error);
    }
    /* A default is right even outside the bounds: "-1" may stand for "not given". */
    if (at->is_set && !is_within_bounds(at->option, out)) {
        return fail_bad(at, error);
    }
    return TARN_OK;
}

static tarn_status get(
    const tarn_config *config,
    const char *key,
    tarn_option_type type,
    value *out,
    bool *is_set_out,
    tarn_error *error)
{
    setting at;
    TARN_TRY(open_setting(config, key, type, &at, error));
    TARN_TRY(judge(&at, out, error));
    if (is_set_out != NULL) {
        *is_set_out = at.is_set;
    }
    return TARN_OK;
}

tarn_status tarn_config_get_memory(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set_out, tarn_error *error)
{
    value number;
    TARN_TRY(get(config, key, TARN_OPTION_MEMORY, &number, is_set_out, error));
    *out = number.whole;
    return TARN_OK;
}

tarn_status tarn_config_get_duration(
    const tarn_config *config,
    const char *key,
    tarn_duration *out,
    bool *is_set_out,
    tarn_error *error)
{
    value number;
    TARN_TRY(get(config, key, TARN_OPTION_DURATION, &number, is_set_out, error));
    *out = number.duration;
    return TARN_OK;
}

tarn_status tarn_config_get_duration_ms(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set_out, tarn_error *error)
{
    setting at;
    value number;
    TARN_TRY(open_setting(config, key, TARN_OPTION_DURATION, &at, error));
    TARN_TRY(judge(&at, &number, error));
    const tarn_status status = tarn_duration_to_ms(number.duration, out, error);
    if (status != TARN_OK) {
        tarn__error_prefix(error, "%.100s of %.100s", at.entry.value, at.entry.key);
        return status;
    }
    if (is_set_out != NULL) {
        *is_set_out = at.is_set;
    }
    return TARN_OK;
}

tarn_status tarn_config_get_bool(
    const tarn_config *config, const char *key, bool *out, bool *is_set_out, tarn_error *error)
{
    value number;
    TARN_TRY(get(config, key, TARN_OPTION_BOOL, &number, is_set_out, error));
    *out = number.truth;
    return TARN_OK;
}

tarn_status tarn_config_get_int(
    const tarn_config *config, const char *key, int32_t *out, bool *is_set_out, tarn_error *error)
{
    value number;
    TARN_TRY(get(config, key, TARN_OPTION_INT, &number, is_set_out, error));
    *out = (int32_t)number.whole;
    return TARN_OK;
}

tarn_status tarn_config_get_long(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set_out, tarn_error *error)
{
    value number;
    TARN_TRY(get(config, key, TARN_OPTION_LONG, &number, is_set_out, error));
    *out = number.whole;
    return TARN_OK;
}

tarn_status tarn_config_get_float(
    const tarn_config *config, const char *key, float *out, bool *is_set_out, tarn_error *error)
{
    value number;
    TARN_TRY(get(config, key, TARN_OPTION_FLOAT, &number, is_set_out, error));
    *out = number.single;
    return TARN_OK;
}

tarn_status tarn_config_get_double(
    const tarn_config *config, const char *key, double *out, bool *is_set_out, tarn_error *error)
{
    value number;
    TARN_TRY(get(config, key, TARN_OPTION_DOUBLE, &number, is_set_out, error));
    *out = number.real;
    return TARN_OK;
}

tarn_status tarn_config_get_string(
    const tarn_config *config,
    const char *key,
    const char **out,
    bool *is_set_out,
    tarn_error *error)
{
    const tarn_option *option = tarn_option_find(key);
    setting at;
    TARN_TRY(
        open_setting(config, key, option != NULL ? option->type : TARN_OPTION_STRING, &at, error));
    *out = at.entry.value;
    if (is_set_out != NULL) {
        *is_set_out = at.is_set;
    }
    return TARN_OK;
}

tarn_status tarn_config_get_enum(
    const tarn_config *config, const char *key, int *out, bool *is_set_out, tarn_error *error)
{
    value number;
    TARN_TRY(get(config, key, TARN_OPTION_ENUM, &number, is_set_out, error));
    *out = (int)number.whole;
    return TARN_OK;
}

/* Cuts what encloses a list or a member of one: brackets, or quotes of either kind. */
static tarn_bytes unwrap(tarn_bytes text, char first, char last)
{
    const char *data = text.data;
    if (text.size >= 2 && data[0] == first && data[text.size - 1] == last) {
        return tarn_bytes_at(data + 1, text.size - 2);
    }
    return text;
}

/* Reads a list; out may be NULL when only its form matters. */
static tarn_status judge_list(
    const setting *at, int *out, size_t capacity, size_t *count_out, tarn_error *error)
{
    const tarn_bytes whole = tarn__java_trim(tarn_bytes_of(at->entry.value));
    const tarn_bytes inner = tarn__java_trim(unwrap(whole, '[', ']'));
    const char separator = inner.size == whole.size ? ';' : ',';
    const char *data = inner.data;
    size_t count = 0;
    for (size_t first = 0; first < inner.size;) {
        const char *end = memchr(data + first, separator, inner.size - first);
        const size_t size = end != NULL ? (size_t)(end - data) - first : inner.size - first;
        tarn_bytes item = tarn__java_trim(tarn_bytes_at(data + first, size));
        item = unwrap(unwrap(item, '\'', '\''), '"', '"');
        int64_t index = 0;
        if (!decode_enum(at->option, item, &index) || (out != NULL && count == capacity)) {
            return fail_bad(at, error);
        }
        if (out != NULL) {
            out[count] = (int)index;
        }
        count++;
        first += size + 1;
    }
    *count_out = count;
    return TARN_OK;
}

tarn_status tarn_config_get_enum_list(
    const tarn_config *config,
    const char *key,
    int *out,
    size_t capacity,
    size_t *count_out,
    bool *is_set_out,
    tarn_error *error)
{
    setting at;
    TARN_TRY(open_setting(config, key, TARN_OPTION_ENUM_LIST, &at, error));
    /* Judged first: out stays untouched by a list whose last member is bad. */
    size_t count = 0;
    TARN_TRY(judge_list(&at, NULL, 0, &count, error));
    if (count > capacity) {
        return fail_bad(&at, error);
    }
    TARN_TRY(judge_list(&at, out, capacity, count_out, error));
    if (is_set_out != NULL) {
        *is_set_out = at.is_set;
    }
    return TARN_OK;
}

static tarn_status check_entry(const tarn_config_entry *entry, tarn_error *error)
{
    const tarn_option *option = tarn_option_find(entry->key);
    if (option == NULL || strchr(option->key, '*') != NULL) {
        return TARN_OK;
    }
    const setting at = {.option = option, .entry = *entry, .is_set = true};
    if (option->type == TARN_OPTION_ENUM_LIST) {
        size_t count = 0;
        return judge_list(&at, NULL, 0, &count, error);
    }
    value number;
    return judge(&at, &number, error);
}

/* Appends one more bad value to a message that has room for it; answers whether it had. */
static bool add_reason(tarn_error *all, const char *reason)
{
    const size_t used = strlen(all->message);
    const size_t room = sizeof all->message - used;
    if (used > 0 && strlen(reason) + sizeof "; " + MORE_BYTES > room) {
        return false;
    }
    (void)snprintf(all->message + used, room, "%s%s", used > 0 ? "; " : "", reason);
    return true;
}

tarn_status tarn_config_check(const tarn_config *config, tarn_error *error)
{
    tarn_error all = {.status = TARN_OK};
    size_t left_out = 0;
    for (size_t i = 0; i < tarn_config_count(config); i++) {
        const tarn_config_entry entry = tarn_config_at(config, i);
        tarn_error one;
        const tarn_status status = check_entry(&entry, &one);
        if (status != TARN_OK) {
            all.status = all.status == TARN_OK ? status : all.status;
            left_out += add_reason(&all, one.message) ? 0 : 1;
        }
    }
    if (all.status == TARN_OK) {
        return TARN_OK;
    }
    if (left_out > 0) {
        return tarn__fail(error, all.status, "%s; and %zu more", all.message, left_out);
    }
    return tarn__fail(error, all.status, "%s", all.message);
}
