/*
 * storage_check.c - `tarn storage check`: the suite of tarn/testkit/storage.h over somebody's
 * place.
 *
 * With writes each case has an empty directory of its own, URI/tarn-check-TIME-PID/N, which goes
 * when the case ends; without, the cases that only read have the place itself.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "storage.h"
#include "table.h"
#include "tarn/testkit/storage.h"

enum { ADDRESS_BYTES = 4096, NAME_BYTES = 1200, DEPTH_MAX = 8, ROUNDS = 5, LARGE_BYTES = 12 << 20 };

typedef struct check {
    const tarn_config *config;
    tarn_storage *place;  /* The address itself. */
    const char *address;  /* Without '/' at the end. */
    char folder[64];      /* "tarn-check-TIME-PID" */
    uint32_t case_number; /* From 1. */
    bool with_writes;
    cli_table *table; /* NULL: as JSON. */
    json_t *trials;
    uint32_t skipped;
} check;

static tarn_status open_at(check *c, tarn_storage **out, tarn_error *error)
{
    char address[ADDRESS_BYTES];
    tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
    snprintf(
        address,
        sizeof address,
        c->with_writes ? "%.4000s/%s/%u" : "%.4000s",
        c->address,
        c->folder,
        c->case_number);
    options.address = address;
    options.config = c->config;
    options.must_exist = false;
    return tarn_storage_open(&options, out, error);
}

static tarn_status open_case(void *context, tarn_storage **out, tarn_error *error)
{
    check *c = context;
    c->case_number++;
    return open_at(c, out, error);
}

static tarn_status open_again(void *context, tarn_storage **out, tarn_error *error)
{
    return open_at(context, out, error);
}

/* --- What a case leaves --- */

typedef struct leftovers {
    check *check;
    const char *directory;
    uint32_t depth;
} leftovers;

static void remove_below(check *c, const char *directory, uint32_t depth);

static bool remove_entry(const tarn_storage_entry *entry, void *context)
{
    const leftovers *l = context;
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s/%s", l->directory, entry->name);
    if (entry->is_directory) {
        if (l->depth < DEPTH_MAX) {
            remove_below(l->check, name, l->depth + 1);
        }
    } else {
        const char *const names[] = {name};
        (void)!tarn_storage_remove(l->check->place, names, 1, NULL);
    }
    return true;
}

static void remove_below(check *c, const char *directory, uint32_t depth)
{
    leftovers l = {.check = c, .directory = directory, .depth = depth};
    (void)!tarn_storage_list(c->place, directory, remove_entry, &l, NULL);
}

/* A directory goes with its last object; where directories stay when they are empty, one is put
 * there and taken away. */
static void clean(check *c)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s/%u", c->folder, c->case_number);
    remove_below(c, name, 0);
    snprintf(name, sizeof name, "%s/%u/end", c->folder, c->case_number);
    const char *const names[] = {name};
    tarn_storage_upload *upload = NULL;
    if (tarn_storage_begin(c->place, name, 0, &upload, NULL) == TARN_OK &&
        tarn_storage_finish(upload, NULL) == TARN_OK) {
        (void)!tarn_storage_remove(c->place, names, 1, NULL);
    }
}

static int unlink_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)where;
    (void)(kind == FTW_DP ? rmdir(path) : unlink(path));
    return 0;
}

/* In a directory a storage leaves its lock, which is no object. */
static void clean_directory(const check *c)
{
    static const char scheme[] = "file:";
    const char *path = c->address;
    if (strncmp(path, scheme, strlen(scheme)) == 0) {
        path += strlen(scheme);
    } else if (strstr(path, "://") != NULL) {
        return;
    }
    char folder[ADDRESS_BYTES + sizeof c->folder];
    snprintf(folder, sizeof folder, "%s/%s", path, c->folder);
    (void)nftw(folder, unlink_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
}

/* --- The answer --- */

static void report(void *context, const tarn_testkit_result *result)
{
    static const char *const words[] = {"yes", "no", "-"};
    check *c = context;
    if (c->with_writes) {
        clean(c);
    }
    if (result->verdict == TARN_TESTKIT_SKIPPED) {
        c->skipped++;
    }
    if (c->table != NULL) {
        cli_table_add(
            c->table, (const char *const[]){words[result->verdict], result->name, result->reason});
    } else {
        json_t *one = cli_json_object();
        cli_json_set(one, "what", cli_json_text(result->name));
        cli_json_set(
            one,
            "works",
            result->verdict == TARN_TESTKIT_SKIPPED
                ? json_null()
                : json_boolean(result->verdict == TARN_TESTKIT_PASSED));
        cli_json_set(
            one, "reason", result->reason[0] == '\0' ? json_null() : cli_json_text(result->reason));
        cli_json_append(c->trials, one);
    }
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%u tried\033[K", c->case_number);
    }
}

static void print_answer(check *c, uint32_t failed)
{
    if (isatty(STDERR_FILENO)) {
        fputs("\r\033[K", stderr);
    }
    if (c->table != NULL) {
        cli_table_print(c->table);
        printf("\ntried: %u, failed: %u, skipped: %u\n", c->case_number, failed, c->skipped);
        return;
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_boolean(failed == 0));
    cli_json_set(answer, "trials", c->trials);
    if (failed > 0) {
        cli_json_set(answer, "error", cli_json_text("not everything works"));
    }
    cli_json_print(answer);
}

int cli_storage_check(
    const tarn_config *config,
    const char *address,
    tarn_storage *place,
    bool with_writes,
    bool as_json)
{
    static const cli_column columns[] = {
        {"WORKS", CLI_LEFT}, {"WHAT", CLI_LEFT}, {"WHY NOT", CLI_CUT}};
    char *plain = cli_must(strdup(address));
    size_t size = strlen(plain);
    while (size > 1 && plain[size - 1] == '/') {
        plain[--size] = '\0';
    }
    check c = {
        .config = config,
        .place = place,
        .address = plain,
        .with_writes = with_writes,
        .table = as_json ? NULL : cli_table_new(columns, 3),
        .trials = as_json ? cli_json_array() : NULL,
    };
    struct timespec now = {.tv_sec = 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    snprintf(c.folder, sizeof c.folder, "tarn-check-%ld-%ld", (long)now.tv_sec, (long)getpid());
    tarn_testkit_storage kit = TARN_TESTKIT_STORAGE_INIT;
    kit.open = open_case;
    kit.open_again = open_again;
    kit.report = report;
    kit.context = &c;
    kit.is_read_only = !with_writes;
    kit.rounds = ROUNDS;
    kit.large_bytes = LARGE_BYTES;
    const uint32_t failed = tarn_testkit_storage_run(&kit);
    if (with_writes) {
        clean_directory(&c);
    }
    print_answer(&c, failed);
    free(plain);
    return failed == 0 ? CLI_OK : CLI_NO;
}
