/*
 * join.c - the table files of other old subtasks, as they are, added to a backend's database.
 *
 *     old 0: 0..42    old 1: 43..85   old 2: 86..127        new 0: 0..63 of three to two
 *     base            43..63          -
 *     db ◄─────────── source/1        a hard link for each file that has some of 43..63 (graft.h)
 *
 * So no row is read or written, and the first snapshot sends nothing of them. Rows beyond the kept
 * groups, as files at the border have, are covered as those of the base are. A part is left to
 * merge.c where
 *   - a file of it was fetched with holes: compactions would come upon them;
 *   - values have to be marked anew, as the subtasks count the schemas of a state differently;
 *   - files of it, or on its side of the database, have rows or range deletes beyond the groups
 * that their old subtask had, which are leftovers of an earlier restore;
 *   - the databases cannot be joined for another reason that rocks/graft.h has.
 * The database's groups stay one range: beyond a part that is left no other one is joined.
 */
#include <string.h>

#include "rocks/graft.h"
#include "state/descriptors.h"
#include "state/restore.h"

/* A part whose files are to be added. */
typedef struct joined {
    tarn__restore_part part;
    tarn__base *base; /* Owned. */
} joined;

typedef struct joining {
    const tarn__restore *restore;
    tarn_backend *backend;
    tarn__arena arena;
    joined *parts;        /* [count]: those below the base, the nearest first, */
    uint32_t below_count; /* so many, then those above. */
    uint32_t count;
    const tarn__base *source; /* Of the part whose files are being added. */
    tarn__base_file *known;   /* [known_count]: files that were added. */
    uint32_t known_count;
    uint32_t known_capacity;
} joining;

static void refuse(const joining *j, const tarn__restore_part *part, const char *reason)
{
    tarn__env_log(
        j->backend->env,
        TARN_LOG_INFO,
        "%s/%u takes over rows, not files, of old subtask %u: %s",
        j->backend->operator_name,
        j->backend->subtask_index,
        part->old_index,
        reason);
}

/* Whether a failure leaves the databases as they were, so that rows are taken over. */
static bool is_refusal(tarn_status status)
{
    return status == TARN_NOT_SUPPORTED || status == TARN_CORRUPTION || status == TARN_NO_MEMORY;
}

/* ---- leftovers -------------------------------------------------------------------------- */

/* Files with rows, or range deletes, on either side of an old subtask's own groups. */
typedef struct leftovers {
    uint8_t first[TARN__ROW_GROUP_BYTES];
    uint8_t beyond[TARN__ROW_GROUP_BYTES];
    bool is_below;
    bool is_beyond;
} leftovers;

static tarn_status look_at_table(const tarn__rocks_table *table, void *context, tarn_error *error)
{
    (void)error;
    leftovers *l = context;
    if (strcmp(table->family, TARN__ROCKS_DEFAULT_FAMILY) != 0) {
        const tarn_bytes first = tarn_bytes_at(l->first, sizeof l->first);
        const tarn_bytes beyond = tarn_bytes_at(l->beyond, sizeof l->beyond);
        l->is_below = l->is_below || tarn_bytes_compare(table->smallest, first) < 0;
        l->is_beyond = l->is_beyond || tarn_bytes_compare(table->largest, beyond) >= 0;
    }
    return TARN_OK;
}

/*
 * What covered leftovers may have been dropped as a file without kept groups, and what covers them
 * instead, once the restore is complete, spares the groups of parts that were joined.
 */
static tarn_status look_for_leftovers(
    tarn__rocks *rocks, const tarn__restore_part *part, leftovers *out, tarn_error *error)
{
    *out = (leftovers){.is_below = false};
    tarn__row_encode_group(out->first, part->stored.first);
    tarn__row_encode_group(out->beyond, part->stored.last + 1u);
    return tarn__rocks_visit_tables(rocks, look_at_table, out, error);
}

/* ---- which ------------------------------------------------------------------------------ */

static tarn_status compare_marks(
    const joining *j, tarn__rocks *source, bool *is_same, tarn_error *error)
{
    for (tarn__rocks_family *from = tarn__rocks_first_family(source); from != NULL && *is_same;
         from = from->next) {
        tarn__marking marking;
        TARN_TRY(tarn__marking_init(&marking, j->backend, source, from->name, error));
        *is_same = !marking.is_needed;
    }
    return TARN_OK;
}

static tarn_status take_states(
    const joining *j, tarn__rocks *source, bool *is_same, tarn_error *error)
{
    TARN_TRY(tarn__restore_take_descriptors(j->backend, source, error));
    for (tarn__rocks_family *from = tarn__rocks_first_family(source); from != NULL;
         from = from->next) {
        tarn__rocks_family *into = NULL;
        TARN_TRY(tarn__restore_find_into(j->backend, from, &into, error));
    }
    *is_same = true;
    return compare_marks(j, source, is_same, error);
}

static tarn_status look_at_source(
    const joining *j,
    const tarn__restore_part *part,
    tarn__rocks *source,
    bool *is_fit,
    tarn_error *error)
{
    leftovers found;
    TARN_TRY(take_states(j, source, is_fit, error));
    if (!*is_fit) {
        refuse(j, part, "its values have other marks");
        return TARN_OK;
    }
    TARN_TRY(look_for_leftovers(source, part, &found, error));
    if (found.is_below || found.is_beyond) {
        *is_fit = false;
        refuse(j, part, "it has leftovers of an earlier restore");
    }
    return TARN_OK;
}

/* Whether the files of a part that was fetched can be added. Whatever hinders it, rows remain. */
static tarn_status examine(
    const joining *j, const tarn__restore_part *part, bool *is_fit, tarn_error *error)
{
    tarn__rocks *source = NULL;
    char path[PATH_MAX];
    tarn_error reason;
    TARN_TRY(tarn__restore_open_source(j->backend, part->old_index, &source, error));
    const tarn_status status = look_at_source(j, part, source, is_fit, error);
    tarn__rocks_close(source);
    TARN_TRY(status);
    TARN_TRY(tarn__restore_name_source(j->backend, part->old_index, path, error));
    if (*is_fit && tarn__rocks_check_graft(
                       j->backend->directory.db, path, j->backend->account, &reason) != TARN_OK) {
        *is_fit = false;
        refuse(j, part, reason.message);
    }
    return TARN_OK;
}

static tarn_status try_part(joining *j, uint32_t old_index, bool *is_fit, tarn_error *error)
{
    joined *next = &j->parts[j->count];
    atomic_bool has_holes = false;
    *is_fit = false;
    TARN_TRY(tarn__restore_find_part(j->restore, old_index, &next->part, error));
    TARN_TRY(tarn__restore_fetch_source(j->restore, &next->part, &has_holes, &next->base, error));
    tarn_status status = TARN_OK;
    if (atomic_load(&has_holes)) {
        refuse(j, &next->part, "its files were read by parts");
    } else {
        status = examine(j, &next->part, is_fit, error);
    }
    if (*is_fit && status == TARN_OK) {
        j->count++;
    } else {
        tarn__base_free(next->base);
    }
    return status;
}

static tarn_status choose(joining *j, tarn_error *error)
{
    const tarn__restore *restore = j->restore;
    const uint32_t most = restore->last - restore->first;
    j->parts = tarn__arena_allocate(&j->arena, most, sizeof *j->parts);
    if (j->parts == NULL) {
        return tarn__fail_no_memory(error, "the parts of a backend", most * sizeof *j->parts);
    }
    tarn__restore_part base;
    leftovers found;
    TARN_TRY(tarn__restore_find_part(restore, restore->base, &base, error));
    TARN_TRY(look_for_leftovers(j->backend->rocks, &base, &found, error));
    bool is_fit = !found.is_below;
    for (uint32_t i = restore->base; i > restore->first && is_fit; i--) {
        TARN_TRY(try_part(j, i - 1, &is_fit, error));
    }
    j->below_count = j->count;
    is_fit = !found.is_beyond;
    for (uint32_t i = restore->base + 1; i <= restore->last && is_fit; i++) {
        TARN_TRY(try_part(j, i, &is_fit, error));
    }
    return TARN_OK;
}

/* ---- what uploads may build on ---------------------------------------------------------- */

static tarn_status reserve_known(joining *j, tarn_error *error)
{
    if (j->known_count < j->known_capacity) {
        return TARN_OK;
    }
    const uint32_t capacity = j->known_capacity == 0 ? 64 : 2 * j->known_capacity;
    tarn__base_file *known = tarn__arena_allocate(&j->arena, capacity, sizeof *known);
    if (known == NULL) {
        return tarn__fail_no_memory(error, "the files of a backend", capacity * sizeof *known);
    }
    if (j->known_count > 0) {
        memcpy(known, j->known, j->known_count * sizeof *known);
    }
    j->known = known;
    j->known_capacity = capacity;
    return TARN_OK;
}

static tarn_status add_known(
    joining *j, const tarn__base_file *file, const char *name, tarn_error *error)
{
    TARN_TRY(reserve_known(j, error));
    const char *copy = tarn__arena_copy(&j->arena, tarn_bytes_of(name));
    if (copy == NULL) {
        return tarn__fail_no_memory(error, "the name of a file", strlen(name) + 1);
    }
    j->known[j->known_count] = *file;
    j->known[j->known_count++].name = copy;
    return TARN_OK;
}

/* Files of one checkpoint alone are not known, and sent with the next one. */
static tarn_status note_file(
    const char *from_name, const char *into_name, void *context, tarn_error *error)
{
    joining *j = context;
    j->backend->joined_file_count++;
    const tarn__base_file *file = tarn__base_find_name(j->source, from_name);
    return file != NULL ? add_known(j, file, into_name, error) : TARN_OK;
}

/* What was known of the base, and the files that were added. */
static tarn_status unite_known(joining *j, tarn_error *error)
{
    tarn__bases *bases = &j->backend->bases;
    tarn__base *united = NULL;
    for (uint32_t i = 0; bases->completed != NULL && i < bases->completed->count; i++) {
        TARN_TRY(add_known(j, &bases->completed->files[i], bases->completed->files[i].name, error));
    }
    TARN_TRY(tarn__base_new(
        tarn__env_account(j->backend->env), j->known, j->known_count, &united, error));
    tarn__base_free(bases->completed);
    bases->completed = united;
    return TARN_OK;
}

/* ---- adding ----------------------------------------------------------------------------- */

static tarn_status add_part(joining *j, const joined *added, bool *is_added, tarn_error *error)
{
    tarn_backend *backend = j->backend;
    char path[PATH_MAX];
    tarn_error reason;
    const uint32_t known_count = j->known_count;
    const uint64_t file_count = backend->joined_file_count;
    *is_added = false;
    TARN_TRY(tarn__restore_name_source(backend, added->part.old_index, path, error));
    j->source = added->base;
    const tarn_status status =
        tarn__rocks_graft(backend->directory.db, path, backend->account, note_file, j, &reason);
    *is_added = status == TARN_OK;
    if (*is_added) {
        return tarn__directory_remove(path, error);
    }
    j->known_count = known_count;
    backend->joined_file_count = file_count;
    if (is_refusal(status)) {
        refuse(j, &added->part, reason.message);
        return TARN_OK;
    }
    if (error != NULL) {
        *error = reason;
    }
    return status;
}

static tarn_status add_parts(joining *j, tarn_key_group_range *covered, tarn_error *error)
{
    bool is_added = true;
    for (uint32_t i = 0; i < j->below_count && is_added; i++) {
        TARN_TRY(add_part(j, &j->parts[i], &is_added, error));
        covered->first = is_added ? j->parts[i].part.kept.first : covered->first;
    }
    is_added = true;
    for (uint32_t i = j->below_count; i < j->count && is_added; i++) {
        TARN_TRY(add_part(j, &j->parts[i], &is_added, error));
        covered->last = is_added ? j->parts[i].part.kept.last : covered->last;
    }
    return unite_known(j, error);
}

static tarn_status join(joining *j, tarn_key_group_range *covered, tarn_error *error)
{
    tarn_backend *backend = j->backend;
    TARN_TRY(choose(j, error));
    if (j->count == 0) {
        return TARN_OK;
    }
    TARN_TRY(tarn__rocks_flush(backend->rocks, error)); /* What was taken of the descriptors. */
    tarn__rocks_close(backend->rocks);
    backend->rocks = NULL;
    TARN_TRY(add_parts(j, covered, error));
    return tarn__restore_open_database(backend, /* holds_compactions= */ true, error);
}

tarn_status tarn__restore_join(
    const tarn__restore *restore, tarn_key_group_range *covered, tarn_error *error)
{
    tarn_backend *backend = restore->backend;
    if (restore->first == restore->last || backend->settings->style != TARN__ROCKS_STYLE_LEVEL) {
        return TARN_OK;
    }
    joining j = {.restore = restore, .backend = backend};
    tarn__arena_init(&j.arena, backend->account);
    const tarn_status status = join(&j, covered, error);
    for (uint32_t i = 0; i < j.count; i++) {
        tarn__base_free(j.parts[i].base);
    }
    tarn__arena_clear(&j.arena);
    return status;
}
