/* trim.c - table files without a wanted key group are not fetched, other rows are covered. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "snapshot/download.h"
#include "state/restore.h"

enum { DIRECTORY_MODE = 0755 };

/* ---- key groups as bytes ---------------------------------------------------------------- */

/* The rows beside a range of key groups: lower <= row < first, and beyond <= row < upper. */
typedef struct outside {
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t first[TARN__ROW_GROUP_BYTES];
    uint8_t beyond[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
} outside;

static outside make_outside(const tarn_key_group_range *kept)
{
    outside o;
    tarn__row_encode_group(o.lower, 0);
    tarn__row_encode_group(o.first, kept->first);
    tarn__row_encode_group(o.beyond, kept->last + 1u);
    tarn__row_encode_group(o.upper, UINT16_MAX);
    return o;
}

static tarn_bytes group_bytes(const uint8_t group[TARN__ROW_GROUP_BYTES])
{
    return tarn_bytes_at(group, TARN__ROW_GROUP_BYTES);
}

/* ---- fetching --------------------------------------------------------------------------- */

/* A table file that is to be fetched. */
typedef struct table_name {
    const char *name;
    bool is_split; /* It has rows that are not kept, too. */
} table_name;

typedef struct table_names {
    tarn__arena arena;
    const outside *outside;
    table_name *items; /* [capacity]; sorted once all are there. */
    size_t count;
    size_t capacity;
} table_names;

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const table_name *)a)->name, ((const table_name *)b)->name);
}

static tarn_status count_table(const tarn__rocks_table *table, void *context, tarn_error *error)
{
    (void)table;
    (void)error;
    ((table_names *)context)->capacity++;
    return TARN_OK;
}

static tarn_status add_table(const tarn__rocks_table *table, void *context, tarn_error *error)
{
    table_names *names = context;
    const char *name = tarn__arena_copy(&names->arena, tarn_bytes_of(table->name));
    if (name == NULL) {
        return tarn__fail_no_memory(error, "the files of a subtask", strlen(table->name));
    }
    const outside *o = names->outside;
    names->items[names->count++] = (table_name){
        .name = name,
        .is_split = strcmp(table->family, TARN__ROCKS_DEFAULT_FAMILY) != 0 &&
                    (tarn_bytes_compare(table->smallest, group_bytes(o->first)) < 0 ||
                     tarn_bytes_compare(table->largest, group_bytes(o->beyond)) >= 0),
    };
    return TARN_OK;
}

static bool is_no_table(const tarn__file_part *file, void *context)
{
    (void)context;
    return !tarn__rocks_is_table_name(file->local_name);
}

static const table_name *find_name(const table_names *names, const tarn__file_part *file)
{
    const table_name wanted = {.name = file->local_name};
    return names->count == 0
               ? NULL
               : bsearch(
                     &wanted, names->items, names->count, sizeof names->items[0], compare_names);
}

static bool is_listed(const tarn__file_part *file, void *context)
{
    return find_name(context, file) != NULL;
}

static bool is_split(const tarn__file_part *file, void *context)
{
    const table_name *name = find_name(context, file);
    return name != NULL && name->is_split;
}

/* Drops the table files that have no kept group out of a database, and lists the others. */
static tarn_status drop_and_list(tarn__rocks *rocks, table_names *names, tarn_error *error)
{
    const outside *o = names->outside;
    for (tarn__rocks_family *family = tarn__rocks_first_family(rocks); family != NULL;
         family = family->next) {
        TARN_TRY(
            tarn__rocks_drop_files(family, group_bytes(o->lower), group_bytes(o->first), error));
        TARN_TRY(
            tarn__rocks_drop_files(family, group_bytes(o->beyond), group_bytes(o->upper), error));
    }
    TARN_TRY(tarn__rocks_visit_tables(rocks, count_table, names, error));
    names->items = tarn__arena_allocate(&names->arena, names->capacity, sizeof names->items[0]);
    if (names->items == NULL) {
        return tarn__fail_no_memory(
            error, "the files of a subtask", names->capacity * sizeof names->items[0]);
    }
    TARN_TRY(tarn__rocks_visit_tables(rocks, add_table, names, error));
    qsort(names->items, names->count, sizeof names->items[0], compare_names);
    return TARN_OK;
}

static tarn_status survey(
    const tarn_backend *backend, const char *directory, table_names *names, tarn_error *error)
{
    const tarn__rocks_open_options options = {
        .account = backend->account,
        .memory = tarn__env_rocks_memory(backend->env),
        .directory = directory,
        .settings = backend->settings,
        .use = TARN__ROCKS_USE_SURVEY,
    };
    tarn__rocks *rocks = NULL;
    TARN_TRY(tarn__rocks_open(&options, &rocks, error));
    const tarn_status status = drop_and_list(rocks, names, error);
    tarn__rocks_close(rocks);
    return status;
}

/*
 * Fetches what is no table file, learns from it which table files are needed, fetches those. Of one
 * that has other rows too, as all in level 0 have, only the kept ones are read: it is linked, or,
 * of a part that is only read, copied with holes.
 */
static tarn_status fetch_trimmed(
    const tarn__restore *restore,
    const tarn__restore_part *part,
    tarn__download_options *options,
    tarn__base **base_out,
    tarn_error *error)
{
    options->is_wanted = is_no_table;
    TARN_TRY(tarn__download_run(options, NULL, error));
    const outside o = make_outside(&part->kept);
    table_names names = {.outside = &o};
    tarn__arena_init(&names.arena, restore->backend->account);
    tarn_status status = survey(restore->backend, options->directory, &names, error);
    if (status == TARN_OK) {
        options->is_wanted = is_listed;
        options->is_wanted_context = &names;
        options->is_split = is_split;
        options->lower = group_bytes(o.first);
        options->upper = group_bytes(o.beyond);
        options->split_bytes_min = restore->backend->parts_bytes_min;
        status = tarn__download_run(options, base_out, error);
    }
    tarn__arena_clear(&names.arena);
    return status;
}

tarn_status tarn__restore_fetch_part(
    const tarn__restore *restore,
    const tarn__restore_part *part,
    const char *directory,
    atomic_bool *has_holes,
    tarn__base **base_out,
    tarn_error *error)
{
    tarn_backend *backend = restore->backend;
    if (mkdir(directory, DIRECTORY_MODE) != 0) {
        return tarn__fail_errno(error, errno, "cannot create %s", directory);
    }
    tarn__download_options options = {
        .checkpoint = restore->checkpoint,
        .subtask = part->position,
        .directory = directory,
        .account = tarn__env_account(backend->env),
        .buffers = tarn__env_transfer_account(backend->env),
        .workers = tarn__env_workers(backend->env),
        .progress = &backend->restored,
        .pool = &backend->pool,
        .may_link = backend->may_link,
        .may_have_holes = has_holes != NULL,
        .has_holes = has_holes,
    };
    const bool is_whole =
        part->kept.first == part->stored.first && part->kept.last == part->stored.last;
    return is_whole ? tarn__download_run(&options, base_out, error)
                    : fetch_trimmed(restore, part, &options, base_out, error);
}

/* ---- covering other rows ---------------------------------------------------------------- */

/* Whether a family has rows on either side of its kept groups. */
typedef struct foreign {
    const outside *outside;
    const char *family;
    bool is_below;
    bool is_beyond;
} foreign;

static tarn_status look_for_foreign(
    const tarn__rocks_table *table, void *context, tarn_error *error)
{
    (void)error;
    foreign *f = context;
    if (strcmp(table->family, f->family) == 0) {
        f->is_below =
            f->is_below || tarn_bytes_compare(table->smallest, group_bytes(f->outside->first)) < 0;
        f->is_beyond = f->is_beyond ||
                       tarn_bytes_compare(table->largest, group_bytes(f->outside->beyond)) >= 0;
    }
    return TARN_OK;
}

tarn_status tarn__restore_clip(
    tarn__rocks *rocks, const tarn_key_group_range *kept, tarn_error *error)
{
    const outside o = make_outside(kept);
    for (tarn__rocks_family *family = tarn__rocks_first_family(rocks); family != NULL;
         family = family->next) {
        foreign f = {.outside = &o, .family = family->name};
        TARN_TRY(tarn__rocks_visit_tables(rocks, look_for_foreign, &f, error));
        if (f.is_below) {
            TARN_TRY(tarn__rocks_delete_range(
                family, group_bytes(o.lower), group_bytes(o.first), error));
        }
        if (f.is_beyond) {
            TARN_TRY(tarn__rocks_delete_range(
                family, group_bytes(o.beyond), group_bytes(o.upper), error));
        }
    }
    return TARN_OK;
}
