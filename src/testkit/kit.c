/* kit.c - runs the cases, and what they find things out with; see kit.h. */
#include "kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED_MAX = 64, LINE_BYTES = 300, TEXT_BYTES_MAX = 256 };

bool tarn__kit_fail(tarn__kit *k, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(k->reason, sizeof k->reason, format, arguments);
    va_end(arguments);
    k->verdict = TARN_TESTKIT_FAILED;
    return false;
}

bool tarn__kit_skip(tarn__kit *k, const char *reason)
{
    snprintf(k->reason, sizeof k->reason, "%s", reason);
    k->verdict = TARN_TESTKIT_SKIPPED;
    return false;
}

bool tarn__kit_ok(tarn__kit *k, tarn_status status, const char *what, const char *name)
{
    return status == TARN_OK || tarn__kit_fail(
                                    k,
                                    "%s \"%.60s\": %s: %.300s",
                                    what,
                                    name,
                                    tarn_status_name(status),
                                    k->error.message);
}

bool tarn__kit_is(
    tarn__kit *k, tarn_status status, tarn_status expected, const char *what, const char *name)
{
    return status == expected || tarn__kit_fail(
                                     k,
                                     "%s \"%.60s\": answered %s, not %s",
                                     what,
                                     name,
                                     tarn_status_name(status),
                                     tarn_status_name(expected));
}

bool tarn__kit_open_again(tarn__kit *k)
{
    if (k->options->open_again == NULL) {
        return tarn__kit_skip(k, "the kit was given no open_again()");
    }
    return tarn__kit_ok(
        k, k->options->open_again(k->options->context, &k->other, &k->error), "open", "again");
}

bool tarn__kit_memory(tarn__kit *k, uint32_t which, size_t size)
{
    k->memory[which] = malloc(size);
    return k->memory[which] != NULL || tarn__kit_fail(k, "no memory for %zu bytes", size);
}

/* --- Objects --- */

bool tarn__kit_begin(tarn__kit *k, const char *name, uint32_t flags)
{
    return tarn__kit_ok(
        k, tarn_storage_begin(k->storage, name, flags, &k->upload, &k->error), "begin", name);
}

bool tarn__kit_append(tarn__kit *k, tarn_bytes part)
{
    return tarn__kit_ok(k, tarn_storage_append(k->upload, part, &k->error), "append", "a part");
}

tarn_status tarn__kit_finish(tarn__kit *k, const char *late_name)
{
    tarn_storage_upload *upload = k->upload;
    k->upload = NULL;
    return late_name == NULL ? tarn_storage_finish(upload, &k->error)
                             : k->storage->ops->finish(upload, late_name, &k->error);
}

bool tarn__kit_put(tarn__kit *k, const char *name, const char *text)
{
    return tarn__kit_begin(k, name, 0) && tarn__kit_append(k, tarn_bytes_of(text)) &&
           tarn__kit_ok(k, tarn__kit_finish(k, NULL), "finish", name);
}

bool tarn__kit_remove(tarn__kit *k, const char *name)
{
    return tarn__kit_ok(k, tarn_storage_remove(k->storage, &name, 1, &k->error), "remove", name);
}

bool tarn__kit_has(tarn__kit *k, tarn_storage *storage, const char *name, const char *text)
{
    char content[TEXT_BYTES_MAX];
    size_t size = 0;
    tarn_storage_info info;
    if (!tarn__kit_ok(
            k,
            tarn_storage_read(storage, name, 0, content, sizeof content, &size, &k->error),
            "read",
            name) ||
        !tarn__kit_ok(k, tarn_storage_stat(storage, name, &info, &k->error), "stat", name)) {
        return false;
    }
    if (size != strlen(text) || memcmp(content, text, size) != 0) {
        return tarn__kit_fail(
            k, "read \"%.60s\": \"%.*s\", not \"%s\"", name, (int)size, content, text);
    }
    return info.size == size || tarn__kit_fail(
                                    k,
                                    "stat \"%.60s\": says %llu bytes, it has %zu",
                                    name,
                                    (unsigned long long)info.size,
                                    size);
}

bool tarn__kit_has_not(tarn__kit *k, tarn_storage *storage, const char *name)
{
    char byte[1];
    size_t size = 77;
    tarn_storage_info info;
    const tarn_status read = tarn_storage_read(storage, name, 0, byte, 1, &size, &k->error);
    if (!tarn__kit_is(k, read, TARN_MISSING, "read", name)) {
        return false;
    }
    if (strstr(k->error.message, name) == NULL) {
        return tarn__kit_fail(
            k, "the message does not name \"%.60s\": %.200s", name, k->error.message);
    }
    if (size != 77) {
        return tarn__kit_fail(k, "read \"%.60s\": it failed, and set an output", name);
    }
    return tarn__kit_is(
        k, tarn_storage_stat(storage, name, &info, &k->error), TARN_MISSING, "stat", name);
}

/* --- Listings --- */

typedef struct listing {
    char lines[LISTED_MAX][LINE_BYTES];
    uint32_t count;
} listing;

static bool collect(const tarn_storage_entry *entry, void *context)
{
    listing *l = context;
    if (l->count == LISTED_MAX) {
        return false;
    }
    char *line = l->lines[l->count++];
    if (entry->is_directory) {
        snprintf(line, LINE_BYTES, "%s/ ", entry->name);
    } else {
        snprintf(line, LINE_BYTES, "%s:%llu ", entry->name, (unsigned long long)entry->size);
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool tarn__kit_lists(
    tarn__kit *k, tarn_storage *storage, const char *directory, const char *expected)
{
    char text[LISTED_MAX * LINE_BYTES] = "";
    listing *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return tarn__kit_fail(k, "no memory for a listing");
    }
    const tarn_status status = tarn_storage_list(storage, directory, collect, l, &k->error);
    qsort(l->lines, l->count, sizeof l->lines[0], compare);
    for (uint32_t i = 0; i < l->count; i++) {
        strncat(text, l->lines[i], sizeof text - strlen(text) - 1);
    }
    free(l);
    if (!tarn__kit_ok(k, status, "list", directory)) {
        return false;
    }
    return strcmp(text, expected) == 0 ||
           tarn__kit_fail(
               k, "list \"%.60s\": shows \"%.200s\", not \"%.100s\"", directory, text, expected);
}

/* Source: Marsaglia, "Xorshift RNGs", 2003. */
void tarn__kit_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    uint64_t random = seed * 2 + 1;
    for (size_t i = 0; i < size; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        bytes[i] = (uint8_t)(random >> 32);
    }
}

/* --- The suite --- */

static void close_storage(const tarn_testkit_storage *kit, tarn_storage *storage)
{
    if (storage == NULL) {
        return;
    }
    if (kit->close != NULL) {
        kit->close(kit->context, storage);
    } else {
        tarn_storage_close(storage);
    }
}

static tarn_testkit_verdict run_case(const tarn_testkit_storage *kit, const tarn__kit_case *c)
{
    tarn__kit k = {.options = kit};
    if (tarn__kit_ok(&k, kit->open(kit->context, &k.storage, &k.error), "open", "")) {
        c->run(&k);
    }
    tarn_storage_abandon(k.upload);
    free(k.memory[0]);
    free(k.memory[1]);
    close_storage(kit, k.other);
    close_storage(kit, k.storage);
    if (kit->report != NULL) {
        const tarn_testkit_result result = {
            .name = c->name, .verdict = k.verdict, .reason = k.reason};
        kit->report(kit->context, &result);
    }
    return k.verdict;
}

void tarn_testkit_storage_init(tarn_testkit_storage *kit, size_t struct_size)
{
    memset(kit, 0, struct_size);
    kit->struct_size = struct_size;
}

uint32_t tarn_testkit_storage_run(const tarn_testkit_storage *given)
{
    tarn_testkit_storage kit = {.struct_size = sizeof kit};
    const size_t known = given->struct_size < sizeof kit ? given->struct_size : sizeof kit;
    memcpy(&kit, given, known);
    kit.rounds = kit.rounds != 0 ? kit.rounds : 60;
    kit.large_bytes = kit.large_bytes != 0 ? kit.large_bytes : 1700051;
    uint32_t failed = 0;
    for (uint32_t i = 0; i < tarn__kit_case_count; i++) {
        const tarn__kit_case *c = &tarn__kit_cases[i];
        if (!c->writes || !kit.is_read_only) {
            failed += run_case(&kit, c) == TARN_TESTKIT_FAILED ? 1 : 0;
        }
    }
    return failed;
}

void tarn_testkit_print(void *context, const tarn_testkit_result *result)
{
    static const char *const words[] = {"ok", "FAILED", "skipped"};
    (void)context;
    printf(
        "%-7s  %s%s%s\n",
        words[result->verdict],
        result->name,
        result->reason[0] != '\0' ? ": " : "",
        result->reason);
}
