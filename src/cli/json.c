/* json.c - see json.h. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Enough digits for every number that is written; a share such as 0.1 stays "0.1". */
enum { REAL_DIGITS = 15 };

json_t *cli_json_object(void)
{
    return cli_must(json_object());
}

json_t *cli_json_array(void)
{
    return cli_must(json_array());
}

/* Bytes of the valid UTF-8 character at text, or 0. */
static size_t character_size(const char *text)
{
    static const size_t size_max = 4;
    for (size_t size = 1; size <= size_max; size++) {
        json_t *character = json_stringn(text, size);
        if (character != NULL) {
            json_decref(character);
            return size;
        }
        if (text[size] == '\0') {
            break;
        }
    }
    return 0;
}

/* A copy with U+FFFD for each byte that belongs to no character. */
static json_t *repaired(const char *text)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    const size_t room = strlen(text) * (sizeof replacement - 1) + 1;
    char *copy = cli_must(malloc(room));
    size_t used = 0;
    for (const char *at = text; *at != '\0';) {
        const size_t size = character_size(at);
        if (size > 0) {
            memcpy(copy + used, at, size);
            used += size;
            at += size;
        } else {
            memcpy(copy + used, replacement, sizeof replacement - 1);
            used += sizeof replacement - 1;
            at++;
        }
    }
    json_t *made = json_stringn(copy, used);
    free(copy);
    return cli_must(made);
}

json_t *cli_json_text(const char *text)
{
    if (text == NULL) {
        return json_null();
    }
    json_t *made = json_string(text);
    return made != NULL ? made : repaired(text);
}

json_t *cli_json_integer(int64_t number)
{
    return cli_must(json_integer(number));
}

json_t *cli_json_count(uint64_t count)
{
    return cli_json_integer(count > INT64_MAX ? INT64_MAX : (int64_t)count);
}

json_t *cli_json_real(double number)
{
    if (isnan(number)) {
        return cli_json_text("NaN");
    }
    if (isinf(number)) {
        return cli_json_text(number > 0 ? "Infinity" : "-Infinity");
    }
    return cli_must(json_real(number));
}

/* json_object_set_new() and json_array_append_new() fail for lack of memory only. */
static void check(int outcome)
{
    static char good;
    cli_must(outcome == 0 ? &good : NULL);
}

void cli_json_set(json_t *object, const char *name, json_t *value)
{
    check(json_object_set_new(object, name, value));
}

void cli_json_append(json_t *array, json_t *value)
{
    check(json_array_append_new(array, value));
}

void cli_json_print(json_t *value)
{
    /* Whether it could be written shows at the end of the program, for every kind of answer. */
    (void)json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
    json_decref(value);
    fputc('\n', stdout);
}
