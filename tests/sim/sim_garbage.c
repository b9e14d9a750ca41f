/*
 * sim_garbage.c - what nothing reaches any more, looked for from outside.
 *
 * Reached is what a complete checkpoint names, its _metadata, the records of claims and what these
 * name. Nothing of the library's own search is used: it is what is examined here.
 */
#include "sim/sim_world.h"

#include <stdio.h>
#include <string.h>

#include "snapshot/claim.h"
#include "snapshot/garbage.h"
#include "snapshot/tree.h"

enum { NAMES_MAX = 4096 };

typedef struct reached {
    tarn__arena arena;
    const char *names[NAMES_MAX];
    uint32_t count;
} reached;

static void reach(reached *r, const char *name)
{
    CHECK(r->count < NAMES_MAX);
    r->names[r->count] = tarn__arena_copy(&r->arena, tarn_bytes_of(name));
    CHECK(r->names[r->count] != NULL);
    r->count++;
}

static bool is_reached(const reached *r, const char *name)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (strcmp(r->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_prefix(const char *prefix, const char *name)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* What is named "chk-7/_metadata" names more. */
static void reach_checkpoint(const job *j, const char *name, reached *r)
{
    uint64_t id = 0;
    int end = 0;
    tarn__metadata metadata;
    if (sscanf(name, "chk-%" SCNu64 "/_metadata%n", &id, &end) != 1 || end != (int)strlen(name)) {
        return;
    }
    const tarn_status status =
        tarn__checkpoint_read_metadata(j->plain, id, &w.account, &metadata, &w.error);
    if (status == TARN_MISSING) {
        return; /* It was withdrawn. */
    }
    CHECK_OK(status);
    reach(r, name);
    for (uint32_t i = 0; i < metadata.subtask_count; i++) {
        const tarn__subtask *subtask = &metadata.subtasks[i];
        for (uint32_t k = 0; k < subtask->file_count; k++) {
            if (!subtask->files[k].is_inline && !is_reached(r, subtask->files[k].path)) {
                reach(r, subtask->files[k].path);
            }
        }
    }
    tarn__metadata_clear(&metadata);
}

static void reach_claim(const job *j, const char *name, reached *r)
{
    tarn__claim record;
    if (!is_prefix(TARN__CLAIMS_DIRECTORY "/", name)) {
        return;
    }
    reach(r, name);
    CHECK_OK(tarn__claim_read(j->plain, name, &r->arena, &record, &w.error));
    for (uint32_t i = 0; i < record.count; i++) {
        char content_name[TARN__CONTENT_NAME_BYTES];
        tarn__content_name(&record.contents[i], content_name);
        reach(r, content_name);
    }
}

static bool was_withdrawn(uint64_t id)
{
    for (uint32_t i = 0; i < w.withdrawn_count; i++) {
        if (w.withdrawn[i] == id) {
            return true;
        }
    }
    return false;
}

/* Whether all that an object has is that a commit was withdrawn, and it was. */
static bool is_mark(const job *j, const char *name)
{
    uint64_t id = 0;
    int end = 0;
    tarn_buffer found = TARN_BUFFER_INIT;
    if (sscanf(name, "chk-%" SCNu64 "/_metadata%n", &id, &end) != 1 || end != (int)strlen(name) ||
        !was_withdrawn(id)) {
        return false;
    }
    CHECK_OK(tarn__checkpoint_read_object(j->plain, name, &found, &w.error));
    const bool is_equal =
        tarn_bytes_is_equal(tarn_buffer_bytes(&found), tarn_bytes_of(TARN__METADATA_WITHDRAWN));
    tarn_buffer_clear(&found);
    return is_equal;
}

void sim_note_landed(const char *name, void *context)
{
    (void)context;
    if (strstr(name, "/chk-") == NULL) {
        return;
    }
    CHECK(w.landed_count < LANDED_MAX);
    snprintf(w.landed[w.landed_count++], LANDED_BYTES, "%s", name);
}

/* Whether a private file came when whoever sent it had given it up. */
static bool came_late(const job *j, const char *name)
{
    char full[LANDED_BYTES];
    snprintf(full, sizeof full, "%s/%s", j->name, name);
    for (uint32_t i = 0; i < w.landed_count; i++) {
        if (strcmp(w.landed[i], full) == 0) {
            return true;
        }
    }
    return false;
}

static void count_stray(const job *j, const char *name, strays *s)
{
    if (is_mark(j, name)) {
        s->marks++;
        return;
    }
    const bool is_private =
        is_prefix("chk-", name) && strstr(name, "/" TARN__METADATA_NAME) == NULL;
    const bool is_late = is_private && came_late(j, name);
    s->late_ones += is_late ? 1 : 0;
    s->others += is_late ? 0 : 1;
    if (!is_late) {
        snprintf(w.stray, sizeof w.stray, "%s/%s", j->name, name);
    }
}

static void count_strays(const job *j, strays *s)
{
    static reached r;
    tarn__tree tree;
    r.count = 0;
    tarn__arena_init(&r.arena, &w.account);
    CHECK_OK(tarn__tree_list(j->plain, &w.account, "", &tree, &w.error));
    for (const tarn__tree_file *file = tree.files; file != NULL; file = file->next) {
        reach_checkpoint(j, file->name, &r);
        reach_claim(j, file->name, &r);
    }
    for (const tarn__tree_file *file = tree.files; file != NULL; file = file->next) {
        if (!is_reached(&r, file->name)) {
            count_stray(j, file->name, s);
        }
    }
    tarn__tree_clear(&tree);
    tarn__arena_clear(&r.arena);
}

strays sim_count_strays(void)
{
    strays s = {.marks = 0};
    w.stray[0] = '\0';
    for (uint32_t i = 0; i < w.job_count; i++) {
        count_strays(&w.jobs[i], &s);
    }
    return s;
}

/* Nobody writes to any of the jobs any more: all that nothing reaches goes. */
void sim_collect_garbage(void)
{
    const tarn__storage_options where = {.schemes = &w.scheme, .scheme_count = 1};
    for (uint32_t i = 0; i < w.job_count; i++) {
        char address[64];
        tarn_garbage_stats stats;
        tarn_garbage_options options = TARN_GARBAGE_OPTIONS_INIT;
        snprintf(address, sizeof address, SIM_ADDRESS "/%s", w.jobs[i].name);
        options.address = address;
        options.grace_ms = TARN_GRACE_NONE;
        options.allocator = &w.account.face;
        const tarn_status status =
            tarn__garbage_collect(&options, &w.clock, &where, &stats, &w.error);
        if (status == TARN_MISSING) {
            continue; /* All of it was claimed, and has gone. */
        }
        CHECK_OK(status);
        CHECK(stats.unreadable_count == 0 && stats.removed_count == stats.found_count);
        w.garbage_count += stats.removed_count;
    }
}
