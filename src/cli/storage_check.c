/* storage_check.c - `tarn storage check`: does a place keep what tarn/sys/storage.h promises? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "storage.h"
#include "table.h"

enum { LARGE_BYTES = 12 << 20, NAME_BYTES = 160 };

/* What is tried, one after the other; each answers whether it works and why not. */
typedef struct trial {
    tarn_storage *storage;
    char folder[NAME_BYTES];
    tarn_error error;
} trial;

static const char *name_in(const trial *t, const char *last, char name[NAME_BYTES + 32])
{
    snprintf(name, NAME_BYTES + 32, "%s/%s", t->folder, last);
    return name;
}

static tarn_status put(trial *t, const char *last, uint32_t flags, tarn_bytes content)
{
    char name[NAME_BYTES + 32];
    tarn_storage_upload *upload = NULL;
    tarn_status status =
        tarn_storage_begin(t->storage, name_in(t, last, name), flags, &upload, &t->error);
    if (status != TARN_OK) {
        return status;
    }
    status = tarn_storage_append(upload, content, &t->error);
    if (status != TARN_OK) {
        tarn_storage_abandon(upload);
        return status;
    }
    return tarn_storage_finish(upload, &t->error);
}

static bool wrong(trial *t, const char *what)
{
    snprintf(t->error.message, sizeof t->error.message, "%s", what);
    return false;
}

static bool is_content(trial *t, const char *last, uint64_t offset, const char *expected)
{
    char name[NAME_BYTES + 32];
    char content[64];
    size_t size = 0;
    return tarn_storage_read(
               t->storage,
               name_in(t, last, name),
               offset,
               content,
               strlen(expected),
               &size,
               &t->error) == TARN_OK &&
           ((size == strlen(expected) && memcmp(content, expected, size) == 0) ||
            wrong(t, "other bytes came back"));
}

static bool count_entry(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    ++*(uint32_t *)context;
    return true;
}

static bool lists(trial *t)
{
    uint32_t count = 0;
    return tarn_storage_list(t->storage, "", count_entry, &count, &t->error) == TARN_OK;
}

static bool writes(trial *t)
{
    return put(t, "a", 0, tarn_bytes_of("0123456789")) == TARN_OK &&
           is_content(t, "a", 0, "0123456789");
}

static bool reads_ranges(trial *t)
{
    return is_content(t, "a", 3, "345");
}

static bool replaces(trial *t)
{
    return put(t, "a", 0, tarn_bytes_of("new")) == TARN_OK && is_content(t, "a", 0, "new");
}

static bool refuses_a_second(trial *t)
{
    if (put(t, "b", TARN_UPLOAD_IF_ABSENT, tarn_bytes_of("first")) != TARN_OK) {
        return false;
    }
    const tarn_status second = put(t, "b", TARN_UPLOAD_IF_ABSENT, tarn_bytes_of("second"));
    return (second == TARN_BUSY || wrong(t, "a second writer was not refused")) &&
           is_content(t, "b", 0, "first");
}

static bool lists_what_was_written(trial *t)
{
    uint32_t count = 0;
    return tarn_storage_list(t->storage, t->folder, count_entry, &count, &t->error) == TARN_OK &&
           (count == 2 || wrong(t, "the listing has not the two objects that were written"));
}

static bool takes_large_objects(trial *t)
{
    char *content = cli_must(calloc(1, LARGE_BYTES));
    memcpy(content + LARGE_BYTES - 4, "end.", 4);
    const tarn_status status = put(t, "c", 0, tarn_bytes_at(content, LARGE_BYTES));
    free(content);
    return status == TARN_OK && is_content(t, "c", LARGE_BYTES - 4, "end.");
}

static bool removes(trial *t)
{
    char names[3][NAME_BYTES + 32];
    const char *pointers[] = {
        name_in(t, "a", names[0]), name_in(t, "b", names[1]), name_in(t, "c", names[2])};
    uint32_t count = 0;
    return tarn_storage_remove(t->storage, pointers, 3, &t->error) == TARN_OK &&
           tarn_storage_list(t->storage, t->folder, count_entry, &count, &t->error) == TARN_OK &&
           (count == 0 || wrong(t, "what was removed is still listed"));
}

typedef struct step {
    const char *what;
    bool (*run)(trial *t);
} step;

int cli_storage_check(tarn_storage *storage, bool with_writes, bool as_json)
{
    static const step steps[] = {
        {"can be listed", lists},
        {"an object is written and read back", writes},
        {"a range of it is read", reads_ranges},
        {"it is replaced as a whole", replaces},
        {"a second writer of one name is refused", refuses_a_second},
        {"a listing shows what was written", lists_what_was_written},
        {"a large object is written and read", takes_large_objects},
        {"objects are removed", removes},
    };
    static const cli_column columns[] = {
        {"WORKS", CLI_LEFT}, {"WHAT", CLI_LEFT}, {"WHY NOT", CLI_CUT}};
    const size_t count = with_writes ? sizeof steps / sizeof steps[0] : 1;
    trial t = {.storage = storage};
    struct timespec now = {.tv_sec = 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    snprintf(t.folder, sizeof t.folder, "tarn-check-%ld-%ld", (long)now.tv_sec, (long)getpid());
    cli_table *table = as_json ? NULL : cli_table_new(columns, 3);
    json_t *trials = as_json ? cli_json_array() : NULL;
    bool is_good = true;
    for (size_t i = 0; i < count; i++) {
        t.error.message[0] = '\0';
        const bool works = steps[i].run(&t);
        is_good = is_good && works;
        if (as_json) {
            json_t *one = cli_json_object();
            cli_json_set(one, "what", cli_json_text(steps[i].what));
            cli_json_set(one, "works", json_boolean(works));
            cli_json_set(one, "reason", works ? json_null() : cli_json_text(t.error.message));
            cli_json_append(trials, one);
        } else {
            cli_table_add(
                table,
                (const char *const[]){
                    works ? "yes" : "no", steps[i].what, works ? "" : t.error.message});
        }
    }
    if (as_json) {
        json_t *answer = cli_json_object();
        cli_json_set(answer, "ok", json_boolean(is_good));
        cli_json_set(answer, "trials", trials);
        if (!is_good) {
            cli_json_set(answer, "error", cli_json_text("not everything works"));
        }
        cli_json_print(answer);
    } else {
        cli_table_print(table);
    }
    return is_good ? CLI_OK : CLI_NO;
}
