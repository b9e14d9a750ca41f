/* storage.c - the cases of the suite of storages. Each has an empty storage of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "races.h"

enum { PART_BYTES = 100003 };

/* --- Reading alone: any place, whatever it holds --- */

static bool note_file(const tarn_storage_entry *entry, void *context)
{
    tarn_storage_entry *found = context;
    if (entry->is_directory) {
        return true;
    }
    *found = *entry;
    found->name = strdup(entry->name);
    return false;
}

static bool reads_as_listed(tarn__kit *k, const char *name, uint64_t size)
{
    tarn_storage_info info;
    uint8_t bytes[16];
    size_t got = 0;
    const uint64_t from = size > 7 ? size - 7 : 0;
    if (!tarn__kit_ok(k, tarn_storage_stat(k->storage, name, &info, &k->error), "stat", name) ||
        !tarn__kit_ok(
            k,
            tarn_storage_read(k->storage, name, from, bytes, sizeof bytes, &got, &k->error),
            "read",
            name)) {
        return false;
    }
    return (info.size == size && got == size - from) ||
           tarn__kit_fail(k, "\"%.60s\" is listed, looked at and read with different sizes", name);
}

static void case_listed(tarn__kit *k)
{
    tarn_storage_entry found = {.name = NULL};
    TARN__KIT_MUST(k->options->is_read_only || tarn__kit_put(k, "listed", "some content"));
    TARN__KIT_MUST(tarn__kit_ok(
        k, tarn_storage_list(k->storage, "", note_file, &found, &k->error), "list", ""));
    if (found.name == NULL) {
        (void)tarn__kit_skip(k, "there is no object to be read");
        return;
    }
    (void)reads_as_listed(k, found.name, found.size);
    free((void *)(uintptr_t)found.name);
}

static void case_absent(tarn__kit *k)
{
    TARN__KIT_MUST(tarn__kit_has_not(k, k->storage, "tarn-no-such-object/here"));
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "tarn-no-such-object", ""));
}

static const char *const bad_names[] = {
    "",
    "/",
    "/etc/passwd",
    "..",
    ".",
    "../x",
    "a/../b",
    "a/..",
    "a//b",
    "a/",
    "./a",
    "a/./b",
    "a/b/..",
    ".tarn-lock",
    "a/.tarn-tmp-1"};

static void case_bad_names(tarn__kit *k)
{
    char long_part[400];
    char long_name[1100];
    memset(long_part, 'x', sizeof long_part);
    long_part[256] = '\0';
    for (size_t i = 0; i + 1 < sizeof long_name; i++) {
        long_name[i] = i % 100 == 99 ? '/' : 'y';
    }
    long_name[sizeof long_name - 1] = '\0';
    const size_t listed = sizeof bad_names / sizeof bad_names[0];
    for (size_t i = 0; i < listed + 2; i++) {
        const char *name = i < listed ? bad_names[i] : i == listed ? long_part : long_name;
        uint8_t byte[1];
        size_t size = 0;
        tarn_storage_info info;
        TARN__KIT_MUST(tarn__kit_is(
            k,
            tarn_storage_read(k->storage, name, 0, byte, 1, &size, &k->error),
            TARN_INVALID_ARGUMENT,
            "read",
            name));
        TARN__KIT_MUST(tarn__kit_is(
            k,
            tarn_storage_stat(k->storage, name, &info, &k->error),
            TARN_INVALID_ARGUMENT,
            "stat",
            name));
    }
}

/* --- Names --- */

static void case_bad_names_of_new(tarn__kit *k)
{
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
        TARN__KIT_MUST(tarn__kit_is(
            k,
            tarn_storage_begin(k->storage, bad_names[i], 0, &k->upload, &k->error),
            TARN_INVALID_ARGUMENT,
            "begin",
            bad_names[i]));
        TARN__KIT_MUST(tarn__kit_is(
            k,
            tarn_storage_remove(k->storage, &bad_names[i], 1, &k->error),
            TARN_INVALID_ARGUMENT,
            "remove",
            bad_names[i]));
    }
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", ""));
}

static void case_odd_names(tarn__kit *k)
{
    static const char *const names[] = {
        "...",    "a/..b",           "..a",    ".hidden", "-",       "a b",   "\xc3\xa9",
        "%2e%2e", "a%2Fb",           "x+y",    "q?a=b",   "h#i",     "s&t=u", "<k>",
        "'\"",    "semi;colon",      "~tilde", "*",       "{[(|)]}", "@",     "$",
        "@%41!",  "_under-score.1,2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        TARN__KIT_MUST(tarn__kit_put(k, names[i], names[i]));
        TARN__KIT_MUST(tarn__kit_has(k, k->storage, names[i], names[i]));
        TARN__KIT_MUST(tarn__kit_remove(k, names[i]));
        TARN__KIT_MUST(tarn__kit_has_not(k, k->storage, names[i]));
    }
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", ""));
}

/* --- Objects --- */

static void case_read_back(tarn__kit *k)
{
    TARN__KIT_MUST(tarn__kit_put(k, "a", "alpha"));
    TARN__KIT_MUST(tarn__kit_put(k, "deep/er/still/b", "beta"));
    TARN__KIT_MUST(tarn__kit_put(k, "empty", ""));
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "a", "alpha"));
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "deep/er/still/b", "beta"));
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "empty", ""));
}

static void case_invisible(tarn__kit *k)
{
    TARN__KIT_MUST(tarn__kit_begin(k, "d/x", 0));
    TARN__KIT_MUST(tarn__kit_append(k, tarn_bytes_of("half")));
    TARN__KIT_MUST(tarn__kit_has_not(k, k->storage, "d/x"));
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", ""));
    TARN__KIT_MUST(tarn__kit_append(k, tarn_bytes_of(" and half")));
    TARN__KIT_MUST(tarn__kit_ok(k, tarn__kit_finish(k, NULL), "finish", "d/x"));
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "d/x", "half and half"));
}

static void case_abandoned(tarn__kit *k)
{
    TARN__KIT_MUST(tarn__kit_put(k, "kept", "old"));
    TARN__KIT_MUST(tarn__kit_begin(k, "kept", 0));
    TARN__KIT_MUST(tarn__kit_append(k, tarn_bytes_of("new")));
    tarn_storage_abandon(k->upload);
    k->upload = NULL;
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "kept", "old"));
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", "kept:3 "));
}

static void case_replaced(tarn__kit *k)
{
    TARN__KIT_MUST(tarn__kit_put(k, "x", "a long first version"));
    TARN__KIT_MUST(tarn__kit_put(k, "x", "short"));
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "x", "short"));
}

static void case_if_absent(tarn__kit *k)
{
    static const char name[] = "chk-1/_metadata";
    for (int i = 0; i < 2; i++) {
        TARN__KIT_MUST(tarn__kit_begin(k, name, TARN_UPLOAD_IF_ABSENT));
        TARN__KIT_MUST(tarn__kit_append(k, tarn_bytes_of(i == 0 ? "first" : "second")));
        TARN__KIT_MUST(tarn__kit_is(
            k, tarn__kit_finish(k, NULL), i == 0 ? TARN_OK : TARN_BUSY, "finish", name));
    }
    if (strstr(k->error.message, name) == NULL) {
        (void)tarn__kit_fail(k, "the message does not name it: %.200s", k->error.message);
        return;
    }
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, name, "first"));
}

static void case_late_names(tarn__kit *k)
{
    if ((k->storage->features & TARN_STORAGE_LATE_NAMES) == 0) {
        (void)tarn__kit_skip(k, "the storage has not TARN_STORAGE_LATE_NAMES");
        return;
    }
    const tarn_storage_ops *ops = k->storage->ops;
    TARN__KIT_MUST(
        tarn__kit_ok(k, ops->begin(k->storage, NULL, 0, &k->upload, &k->error), "begin", ""));
    TARN__KIT_MUST(tarn__kit_append(k, tarn_bytes_of("late")));
    TARN__KIT_MUST(
        tarn__kit_ok(k, tarn__kit_finish(k, "shared/ab/late"), "finish", "shared/ab/late"));
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "shared/ab/late", "late"));
}

static bool is_range(tarn__kit *k, uint64_t offset, const char *expected)
{
    char part[8] = "";
    size_t size = 0;
    const tarn_status status =
        tarn_storage_read(k->storage, "x", offset, part, 4, &size, &k->error);
    return tarn__kit_ok(k, status, "read", "x") &&
           ((size == strlen(expected) && memcmp(part, expected, size) == 0) ||
            tarn__kit_fail(
                k,
                "4 bytes at %llu of \"0123456789\" are \"%.*s\", not \"%s\"",
                (unsigned long long)offset,
                (int)size,
                part,
                expected));
}

static void case_ranges(tarn__kit *k)
{
    TARN__KIT_MUST(tarn__kit_put(k, "x", "0123456789"));
    TARN__KIT_MUST(is_range(k, 3, "3456"));
    TARN__KIT_MUST(is_range(k, 8, "89"));
    TARN__KIT_MUST(is_range(k, 10, ""));
    TARN__KIT_MUST(is_range(k, UINT64_MAX, ""));
}

static void case_missing(tarn__kit *k)
{
    tarn_storage_info info;
    TARN__KIT_MUST(tarn__kit_has_not(k, k->storage, "nothing/here"));
    TARN__KIT_MUST(tarn__kit_put(k, "file", "x"));
    TARN__KIT_MUST(tarn__kit_has_not(k, k->storage, "file/below"));
    TARN__KIT_MUST(tarn__kit_put(k, "directory/below", "x"));
    TARN__KIT_MUST(tarn__kit_is(
        k,
        tarn_storage_stat(k->storage, "directory", &info, &k->error),
        TARN_MISSING,
        "stat",
        "directory"));
}

static void case_removal(tarn__kit *k)
{
    static const char *const names[] = {"chk-1/a", "chk-1/none", "none/at/all", "chk-1/b", "c"};
    TARN__KIT_MUST(tarn__kit_put(k, "chk-1/a", "1"));
    TARN__KIT_MUST(tarn__kit_put(k, "chk-1/b", "2"));
    TARN__KIT_MUST(tarn__kit_put(k, "chk-2/a", "3"));
    TARN__KIT_MUST(tarn__kit_put(k, "c", "4"));
    for (int i = 0; i < 2; i++) {
        TARN__KIT_MUST(tarn__kit_ok(
            k, tarn_storage_remove(k->storage, names, 5, &k->error), "remove", "five names"));
        TARN__KIT_MUST(tarn__kit_has_not(k, k->storage, "chk-1/a"));
        TARN__KIT_MUST(tarn__kit_has_not(k, k->storage, "chk-1/b"));
        TARN__KIT_MUST(tarn__kit_has_not(k, k->storage, "c"));
        TARN__KIT_MUST(tarn__kit_has(k, k->storage, "chk-2/a", "3"));
        TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", "chk-2/ "));
    }
    TARN__KIT_MUST(
        tarn__kit_ok(k, tarn_storage_remove(k->storage, NULL, 0, &k->error), "remove", "no name"));
}

static bool stop_at_two(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    return ++*(uint32_t *)context < 2;
}

static void case_listing(tarn__kit *k)
{
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", ""));
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "absent", ""));
    TARN__KIT_MUST(tarn__kit_put(k, "top", "123"));
    TARN__KIT_MUST(tarn__kit_put(k, "d/one", "1"));
    TARN__KIT_MUST(tarn__kit_put(k, "d/two", "22"));
    TARN__KIT_MUST(tarn__kit_put(k, "d/e/three", "333"));
    TARN__KIT_MUST(tarn__kit_put(k, "dd/four", "4444"));
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", "d/ dd/ top:3 "));
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "d", "e/ one:1 two:2 "));
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "d/e", "three:3 "));
    uint32_t count = 0;
    TARN__KIT_MUST(tarn__kit_ok(
        k, tarn_storage_list(k->storage, "d", stop_at_two, &count, &k->error), "list", "d"));
    if (count != 2) {
        (void)tarn__kit_fail(k, "a visit that answered false was called again");
    }
}

static bool send_large(tarn__kit *k, const char *name, const uint8_t *content, size_t size)
{
    if (!tarn__kit_begin(k, name, 0)) {
        return false;
    }
    for (size_t at = 0; at < size; at += PART_BYTES) {
        const size_t left = size - at;
        if (!tarn__kit_append(
                k, tarn_bytes_at(content + at, left < PART_BYTES ? left : PART_BYTES))) {
            return false;
        }
    }
    return tarn__kit_ok(k, tarn__kit_finish(k, NULL), "finish", name);
}

static void case_large(tarn__kit *k)
{
    const size_t size = (size_t)k->options->large_bytes;
    TARN__KIT_MUST(tarn__kit_memory(k, 0, size) && tarn__kit_memory(k, 1, size + 1));
    tarn__kit_fill(k->memory[0], size, 1);
    TARN__KIT_MUST(send_large(k, "large", k->memory[0], size));
    for (int whole = 0; whole < 2; whole++) {
        const size_t step = whole ? size + 1 : PART_BYTES;
        for (size_t at = 0; at < size; at += step) {
            const size_t left = size + 1 - at;
            size_t got = 0;
            TARN__KIT_MUST(tarn__kit_ok(
                k,
                tarn_storage_read(
                    k->storage,
                    "large",
                    at,
                    k->memory[1] + at,
                    left < step ? left : step,
                    &got,
                    &k->error),
                "read",
                "large"));
        }
        if (memcmp(k->memory[0], k->memory[1], size) != 0) {
            (void)tarn__kit_fail(k, "other bytes came back");
            return;
        }
        memset(k->memory[1], 0, size);
    }
}

/* --- From a source and into a sink --- */

typedef struct stream {
    tarn__kit *kit;
    size_t taken;
    size_t refuse_at; /* 0: never. */
} stream;

static tarn_status give(
    void *context, uint64_t offset, void *into, size_t size, size_t *got, tarn_error *error)
{
    const tarn__kit *k = ((stream *)context)->kit;
    (void)error;
    const uint64_t left = k->options->large_bytes - offset;
    *got = left < size ? (size_t)left : size;
    memcpy(into, k->memory[0] + offset, *got);
    return TARN_OK;
}

static tarn_status take(void *context, tarn_bytes part, tarn_error *error)
{
    stream *s = context;
    if (s->refuse_at > 0 && s->taken >= s->refuse_at) {
        *error = (tarn_error){.status = TARN_ABANDONED, .message = "refused"};
        return TARN_ABANDONED;
    }
    if (s->taken + part.size <= s->kit->options->large_bytes) {
        memcpy(s->kit->memory[1] + s->taken, part.data, part.size);
    }
    s->taken += part.size;
    return TARN_OK;
}

static void case_source(tarn__kit *k)
{
    const tarn_storage_ops *ops = k->storage->ops;
    if (ops->struct_size <= offsetof(tarn_storage_ops, put) || ops->put == NULL) {
        (void)tarn__kit_skip(k, "the storage has no put()");
        return;
    }
    const size_t size = (size_t)k->options->large_bytes;
    stream s = {.kit = k};
    TARN__KIT_MUST(tarn__kit_memory(k, 0, size) && tarn__kit_memory(k, 1, size));
    tarn__kit_fill(k->memory[0], size, 2);
    TARN__KIT_MUST(tarn__kit_ok(
        k, ops->put(k->storage, "d/put", 0, size, give, &s, &k->error), "put", "d/put"));
    TARN__KIT_MUST(tarn__kit_ok(
        k, ops->put(k->storage, "d/empty", 0, 0, give, &s, &k->error), "put", "d/empty"));
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "d/empty", ""));
    size_t got = 0;
    TARN__KIT_MUST(tarn__kit_ok(
        k,
        tarn_storage_read(k->storage, "d/put", 0, k->memory[1], size, &got, &k->error),
        "read",
        "d/put"));
    if (got != size || memcmp(k->memory[0], k->memory[1], size) != 0) {
        (void)tarn__kit_fail(k, "other bytes came back");
    }
}

static void case_sink(tarn__kit *k)
{
    const tarn_storage_ops *ops = k->storage->ops;
    if (ops->struct_size <= offsetof(tarn_storage_ops, get) || ops->get == NULL) {
        (void)tarn__kit_skip(k, "the storage has no get()");
        return;
    }
    const size_t size = (size_t)k->options->large_bytes;
    TARN__KIT_MUST(tarn__kit_memory(k, 0, size) && tarn__kit_memory(k, 1, size));
    tarn__kit_fill(k->memory[0], size, 3);
    TARN__KIT_MUST(send_large(k, "x", k->memory[0], size));
    stream s = {.kit = k};
    const uint64_t from = 1000;
    TARN__KIT_MUST(tarn__kit_ok(
        k, ops->get(k->storage, "x", from, size + 7, take, &s, &k->error), "get", "x"));
    if (s.taken != size - from || memcmp(k->memory[0] + from, k->memory[1], s.taken) != 0) {
        (void)tarn__kit_fail(k, "%zu bytes came of %zu, or others", s.taken, (size_t)(size - from));
        return;
    }
    s = (stream){.kit = k, .refuse_at = 1};
    TARN__KIT_MUST(tarn__kit_is(
        k,
        ops->get(k->storage, "x", 0, size, take, &s, &k->error),
        TARN_ABANDONED,
        "get with a sink that refuses",
        "x"));
    TARN__KIT_MUST(tarn__kit_is(
        k, ops->get(k->storage, "none", 0, 9, take, &s, &k->error), TARN_MISSING, "get", "none"));
}

/* --- Two who share a place --- */

static void case_shared(tarn__kit *k)
{
    TARN__KIT_MUST(tarn__kit_open_again(k));
    TARN__KIT_MUST(tarn__kit_put(k, "d/x", "first"));
    TARN__KIT_MUST(tarn__kit_has(k, k->other, "d/x", "first"));
    TARN__KIT_MUST(tarn__kit_lists(k, k->other, "d", "x:5 "));
    TARN__KIT_MUST(tarn__kit_put(k, "d/x", "second"));
    TARN__KIT_MUST(tarn__kit_has(k, k->other, "d/x", "second"));
    TARN__KIT_MUST(tarn__kit_remove(k, "d/x"));
    TARN__KIT_MUST(tarn__kit_has_not(k, k->other, "d/x"));
    TARN__KIT_MUST(tarn__kit_lists(k, k->other, "", ""));
}

static void case_lock(tarn__kit *k)
{
    const tarn_storage_ops *ops = k->storage->ops;
    if (ops->lock == NULL) {
        (void)tarn__kit_skip(k, "the storage has no locks");
        return;
    }
    tarn_storage_lock *lock = NULL;
    tarn_storage_lock *second = NULL;
    for (int i = 0; i < 2; i++) {
        TARN__KIT_MUST(tarn__kit_ok(k, ops->lock(k->storage, &lock, &k->error), "lock", ""));
        const tarn_status status = ops->lock(k->storage, &second, &k->error);
        lock->storage->ops->unlock(lock);
        TARN__KIT_MUST(tarn__kit_is(k, status, TARN_BUSY, "lock", "that is held"));
    }
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", ""));
}

const tarn__kit_case tarn__kit_cases[] = {
    {"what is listed is looked at and read with the same size", case_listed, false},
    {"what is not there is said to be missing, with its name", case_absent, false},
    {"names cannot leave the root when they are read", case_bad_names, false},
    {"names cannot leave the root when they are written", case_bad_names_of_new, true},
    {"names with signs of any kind are kept as they are", case_odd_names, true},
    {"what is finished is read back", case_read_back, true},
    {"nothing is visible before it is finished", case_invisible, true},
    {"an abandoned upload leaves nothing", case_abandoned, true},
    {"finishing replaces the whole object", case_replaced, true},
    {"a taken name is refused when it is to be absent", case_if_absent, true},
    {"of several writers at once exactly one is the first", tarn__kit_race_to_commit, true},
    {"a name may come last", case_late_names, true},
    {"ranges end where the object ends", case_ranges, true},
    {"missing objects are named, directories are none", case_missing, true},
    {"removal takes what is there and bears what is not", case_removal, true},
    {"a listing shows one level", case_listing, true},
    {"large objects keep every byte", case_large, true},
    {"an object comes from a source as a whole", case_source, true},
    {"an object goes into a sink in order", case_sink, true},
    {"a link is the object, and outlives it", tarn__kit_case_link, true},
    {"a local file that is adopted is an object, and outlives its name",
     tarn__kit_case_adopt,
     true},
    {"what one has finished another sees at once", case_shared, true},
    {"a lock has one holder", case_lock, true},
    {"readers of an object that is replaced see one version, whole", tarn__kit_race_to_read, true},
    {"directories that come and go disturb nobody", tarn__kit_race_of_directories, true},
};

const uint32_t tarn__kit_case_count = sizeof tarn__kit_cases / sizeof tarn__kit_cases[0];
