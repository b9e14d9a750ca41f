/* graft.c - see graft.h. */
#include "rocks/graft.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/try.h"
#include "rocks/db.h"
#include "rocks/listing.h"

/* A file, and where it goes. */
typedef struct move {
    const tarn__manifest_file *file;
    uint32_t family;
    uint32_t level;
    uint64_t number;
    bool is_due; /* For a compaction. */
} move;

typedef struct graft {
    tarn__account *account;
    tarn__rocks_listing into;
    tarn__rocks_listing from;
    move *moves; /* [count], the files of a family together. */
    size_t count;
    size_t linked_count;
    uint64_t last_sequence;
} graft;

static void close_graft(graft *g)
{
    tarn__rocks_listing_close(&g->into);
    tarn__rocks_listing_close(&g->from);
}

static tarn_status open_graft(
    graft *g, const char *into, const char *from, tarn__account *account, tarn_error *error)
{
    g->account = account;
    tarn__arena_init(&g->into.manifest.arena, account);
    tarn__arena_init(&g->from.manifest.arena, account);
    TARN_TRY(tarn__rocks_listing_read(&g->into, into, account, error));
    return tarn__rocks_listing_read(&g->from, from, account, error);
}

/* ---- the plan --------------------------------------------------------------------------- */

/* From the least to the greatest row of a family's files; no file: both are NULL. */
typedef struct extent {
    tarn_bytes smallest;
    tarn_bytes largest;
} extent;

static extent measure(const tarn__manifest *m, uint32_t family)
{
    extent e = {.smallest = {NULL, 0}};
    for (size_t i = 0; i < m->file_count; i++) {
        const tarn__manifest_file *file = &m->files[i];
        if (file->family != family) {
            continue;
        }
        if (e.smallest.data == NULL || tarn_bytes_compare(file->smallest, e.smallest) < 0) {
            e.smallest = file->smallest;
        }
        if (e.largest.data == NULL || tarn_bytes_compare(file->largest, e.largest) > 0) {
            e.largest = file->largest;
        }
    }
    return e;
}

static bool meet(const extent *a, const extent *b)
{
    return a->smallest.data != NULL && b->smallest.data != NULL &&
           tarn_bytes_compare(a->smallest, b->largest) <= 0 &&
           tarn_bytes_compare(b->smallest, a->largest) <= 0;
}

/* Lower levels first, and in level 0 what was written last. */
static int compare_moves(const void *a, const void *b)
{
    const tarn__manifest_file *x = ((const move *)a)->file;
    const tarn__manifest_file *y = ((const move *)b)->file;
    if (x->level != y->level) {
        return x->level < y->level ? -1 : 1;
    }
    if (x->largest_sequence != y->largest_sequence) {
        return x->largest_sequence > y->largest_sequence ? -1 : 1;
    }
    return (x->number < y->number) - (x->number > y->number);
}

/* How many of the files, which are sorted, are of level 0. */
static size_t count_top(const move *moves, size_t count)
{
    size_t top_count = 0;
    while (top_count < count && moves[top_count].level == 0) {
        top_count++;
    }
    return top_count;
}

/*
 * Gives the files of level 0 levels of their own, right above the first one that was used; where
 * that leaves too few, it goes further down, and those below it that are in its way. Beyond the
 * usual levels RocksDB is asked to compact what was of level 0, as it would have there.
 */
static tarn_status place(move *moves, size_t count, const char *family, tarn_error *error)
{
    qsort(moves, count, sizeof *moves, compare_moves);
    const size_t top_count = count_top(moves, count);
    const size_t first_used =
        top_count < count ? moves[top_count].level : (size_t)TARN__MANIFEST_LEVELS;
    uint32_t least = first_used > top_count ? (uint32_t)(first_used - top_count) : 1;
    uint32_t level = 0;
    uint32_t old_level = 0;
    for (size_t i = 0; i < count; i++) {
        if (i <= top_count || moves[i].level != old_level) {
            old_level = moves[i].level;
            level = old_level > least ? old_level : least;
            least = level + 1;
        }
        moves[i].level = level;
    }
    for (size_t i = 0; i < top_count; i++) {
        moves[i].is_due = level >= TARN__MANIFEST_LEVELS;
    }
    return level < TARN__MANIFEST_LEVELS_MAX
               ? TARN_OK
               : tarn__fail(
                     error,
                     TARN_NOT_SUPPORTED,
                     "state \"%s\" has %zu files in level 0, more than there are levels for",
                     family,
                     top_count);
}

static tarn_status add_family(graft *g, const tarn__manifest_family *family, tarn_error *error)
{
    const tarn__manifest *from = &g->from.manifest;
    const extent theirs = measure(from, family->id);
    if (theirs.smallest.data == NULL) {
        return TARN_OK;
    }
    const tarn__manifest_family *into = tarn__manifest_find_family(&g->into.manifest, family->name);
    if (into == NULL) {
        return tarn__fail(
            error, TARN_NOT_SUPPORTED, "state \"%s\" is only in one database", family->name);
    }
    const extent own = measure(&g->into.manifest, into->id);
    if (meet(&own, &theirs)) {
        return tarn__fail(error, TARN_NOT_SUPPORTED, "files of state \"%s\" overlap", family->name);
    }
    move *moves = g->moves + g->count;
    size_t count = 0;
    for (size_t i = 0; i < from->file_count; i++) {
        const tarn__manifest_file *file = &from->files[i];
        if (file->family == family->id) {
            moves[count++] = (move){.file = file, .family = into->id, .level = file->level};
        }
    }
    g->count += count;
    return place(moves, count, family->name, error);
}

static tarn_status plan(graft *g, tarn_error *error)
{
    tarn__manifest *from = &g->from.manifest;
    g->moves = tarn__arena_allocate(&from->arena, from->file_count, sizeof *g->moves);
    if (g->moves == NULL) {
        return tarn__fail_no_memory(error, "table files", from->file_count * sizeof *g->moves);
    }
    for (size_t i = 0; i < from->family_count; i++) {
        const tarn__manifest_family *family = &from->families[i];
        if (!family->is_dropped && strcmp(family->name, TARN__ROCKS_DEFAULT_FAMILY) != 0) {
            TARN_TRY(add_family(g, family, error));
        }
    }
    for (size_t i = 0; i < g->count; i++) {
        g->moves[i].number = g->into.manifest.next_number + i;
    }
    const uint64_t own = g->into.manifest.last_sequence;
    g->last_sequence = own > from->last_sequence ? own : from->last_sequence;
    return TARN_OK;
}

tarn_status tarn__rocks_check_graft(
    const char *into, const char *from, tarn__account *account, tarn_error *error)
{
    TARN_AUTO(close_graft) graft g = {.count = 0};
    TARN_TRY(open_graft(&g, into, from, account, error));
    return plan(&g, error);
}

/* ---- doing it --------------------------------------------------------------------------- */

static void name_table(uint64_t number, char out[TARN__ROCKS_FILE_NAME_BYTES])
{
    (void)snprintf(out, TARN__ROCKS_FILE_NAME_BYTES, "%06" PRIu64 ".sst", number);
}

static tarn_status link_one(
    graft *g, const move *m, tarn__rocks_grafted *visit, void *context, tarn_error *error)
{
    char from_name[TARN__ROCKS_FILE_NAME_BYTES];
    char into_name[TARN__ROCKS_FILE_NAME_BYTES];
    char from[PATH_MAX];
    char into[PATH_MAX];
    name_table(m->file->number, from_name);
    name_table(m->number, into_name);
    TARN_TRY(tarn__rocks_name_path(g->from.directory, from_name, from, error));
    TARN_TRY(tarn__rocks_name_path(g->into.directory, into_name, into, error));
    if (link(from, into) != 0) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "cannot link %s to %s: %s",
            from,
            into,
            strerrorname_np(errno));
    }
    g->linked_count++;
    return visit(from_name, into_name, context, error);
}

static void unlink_all(const graft *g)
{
    for (size_t i = 0; i < g->linked_count; i++) {
        char name[TARN__ROCKS_FILE_NAME_BYTES];
        char path[PATH_MAX];
        name_table(g->moves[i].number, name);
        if (tarn__rocks_name_path(g->into.directory, name, path, NULL) == TARN_OK) {
            (void)unlink(path);
        }
    }
}

/* An edit for each family, framed. */
static tarn_status write_edits(const graft *g, tarn_buffer *out)
{
    TARN_AUTO(tarn_buffer_clear) tarn_buffer edit = {.allocator = out->allocator};
    const uint64_t next_number = g->into.manifest.next_number + g->count;
    for (size_t i = 0; i < g->count; i++) {
        const move *m = &g->moves[i];
        if (edit.size == 0) {
            TARN_TRY(tarn__manifest_edit_begin(&edit, next_number, g->last_sequence));
        }
        TARN_TRY(tarn__manifest_edit_add(&edit, m->level, m->number, m->file->rest, m->is_due));
        if (i + 1 == g->count || g->moves[i + 1].family != m->family) {
            TARN_TRY(tarn__manifest_edit_end(&edit, m->family));
            TARN_TRY(tarn__manifest_frame(out, g->into.size + out->size, tarn_buffer_bytes(&edit)));
            edit.size = 0;
        }
    }
    return TARN_OK;
}

static void close_file(const int *file)
{
    if (*file >= 0) {
        (void)close(*file);
    }
}

/* Appends all or nothing. */
static tarn_status append(const tarn__rocks_listing *l, tarn_bytes bytes, tarn_error *error)
{
    TARN_AUTO(close_file) int file = open(l->path, O_WRONLY | O_CLOEXEC);
    if (file < 0) {
        return tarn__fail_errno(error, errno, "cannot open %s", l->path);
    }
    size_t done = 0;
    while (done < bytes.size) {
        const ssize_t written = pwrite(
            file, (const uint8_t *)bytes.data + done, bytes.size - done, (off_t)(l->size + done));
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            const int code = written < 0 ? errno : EIO;
            if (ftruncate(file, (off_t)l->size) != 0) {
                return tarn__fail_errno(error, errno, "cannot shorten %s", l->path);
            }
            return tarn__fail_errno(error, code, "cannot write %s", l->path);
        }
        done += (size_t)written;
    }
    return TARN_OK;
}

static tarn_status link_all(graft *g, tarn__rocks_grafted *visit, void *context, tarn_error *error)
{
    TARN_AUTO(tarn_buffer_clear) tarn_buffer edits = {.allocator = &g->account->face};
    for (size_t i = 0; i < g->count; i++) {
        TARN_TRY(link_one(g, &g->moves[i], visit, context, error));
    }
    if (write_edits(g, &edits) != TARN_OK) {
        return tarn__fail_no_memory(error, "an edit of a list of files", edits.size);
    }
    return append(&g->into, tarn_buffer_bytes(&edits), error);
}

tarn_status tarn__rocks_graft(
    const char *into,
    const char *from,
    tarn__account *account,
    tarn__rocks_grafted *visit,
    void *context,
    tarn_error *error)
{
    TARN_AUTO(close_graft) graft g = {.count = 0};
    TARN_TRY(open_graft(&g, into, from, account, error));
    TARN_TRY(plan(&g, error));
    const tarn_status status = link_all(&g, visit, context, error);
    if (status != TARN_OK) {
        unlink_all(&g);
    }
    return status;
}
