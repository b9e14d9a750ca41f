/* restore.c - see restore.h. */
#include "state/restore.h"

#include <stdlib.h>

#include "snapshot/checkpoint.h"
#include "state/canonical.h"

enum { CUT_GROUP_BYTES_MIN = 4 << 20 };

static tarn_status check_numbers(
    const tarn_backend *backend,
    const tarn_checkpoint *checkpoint,
    const char *what,
    uint32_t stored,
    uint32_t wanted,
    tarn_error *error)
{
    if (stored == wanted) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "%s has %s %u for operator \"%s\"; it is opened with %u",
        tarn_checkpoint_path(checkpoint),
        what,
        stored,
        backend->operator_name,
        wanted);
}

static tarn_status check_subtask(
    const tarn_backend *backend,
    const tarn_checkpoint *checkpoint,
    uint32_t index,
    tarn_error *error)
{
    const tarn_checkpoint_subtask stored = tarn_checkpoint_subtask_at(checkpoint, index);
    if (!stored.has_keyed_state) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "operator \"%s\" has no keyed state in %s",
            backend->operator_name,
            tarn_checkpoint_path(checkpoint));
    }
    TARN_TRY(check_numbers(
        backend,
        checkpoint,
        "maximum parallelism",
        stored.max_parallelism,
        backend->max_parallelism,
        error));
    if (stored.key_hash != (uint32_t)backend->key_hash) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s assigns keys of \"%s\" by %s; it is opened with %s",
            tarn_checkpoint_path(checkpoint),
            backend->operator_name,
            tarn__key_hash_name(stored.key_hash),
            tarn__key_hash_name((uint32_t)backend->key_hash));
    }
    return TARN_OK;
}

tarn_status tarn__restore_find_part(
    const tarn__restore *restore, uint32_t old_index, tarn__restore_part *out, tarn_error *error)
{
    const tarn_backend *backend = restore->backend;
    uint32_t position = 0;
    if (tarn_checkpoint_find_subtask(
            restore->checkpoint, backend->operator_name, old_index, &position) != TARN_OK) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s has no subtask %u of operator \"%s\"",
            tarn_checkpoint_path(restore->checkpoint),
            old_index,
            backend->operator_name);
    }
    TARN_TRY(check_subtask(backend, restore->checkpoint, position, error));
    const tarn_key_group_range own = backend->key_groups;
    const tarn_key_group_range stored =
        tarn_checkpoint_subtask_at(restore->checkpoint, position).key_groups;
    *out = (tarn__restore_part){
        .position = position,
        .old_index = old_index,
        .stored = stored,
        .kept =
            {
                .first = stored.first > own.first ? stored.first : own.first,
                .last = stored.last < own.last ? stored.last : own.last,
            },
    };
    return TARN_OK;
}

/* The bytes that come from a part, if its groups are of one size. */
static uint64_t estimate_bytes(const tarn__restore *restore, const tarn__restore_part *part)
{
    const uint64_t total =
        tarn_checkpoint_subtask_at(restore->checkpoint, part->position).total_bytes;
    const uint64_t kept = (uint64_t)(part->kept.last - part->kept.first) + 1;
    const uint64_t stored = (uint64_t)(part->stored.last - part->stored.first) + 1;
    return total / stored * kept;
}

/* Small files cost reads more than they save a rescale: see docs/PERFORMANCE.md. */
static void choose_borders(tarn_backend *backend, uint64_t bytes)
{
    const uint64_t group_count = backend->key_groups.last - backend->key_groups.first + 1u;
    if (backend->cuts_by_size && bytes / group_count >= CUT_GROUP_BYTES_MIN) {
        backend->settings->is_cut_at_key_groups = true;
    }
}

/* Chooses the old subtasks; together they must have every key group of the backend. */
static tarn_status choose_parts(tarn__restore *restore, tarn_error *error)
{
    const tarn_backend *backend = restore->backend;
    uint32_t position = 0;
    if (tarn_checkpoint_find_subtask(restore->checkpoint, backend->operator_name, 0, &position) !=
        TARN_OK) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s has no operator \"%s\"",
            tarn_checkpoint_path(restore->checkpoint),
            backend->operator_name);
    }
    TARN_TRY(check_subtask(backend, restore->checkpoint, position, error));
    const uint32_t parallelism =
        tarn_checkpoint_subtask_at(restore->checkpoint, position).parallelism;
    restore->first =
        tarn_key_group_subtask(backend->key_groups.first, backend->max_parallelism, parallelism);
    restore->last =
        tarn_key_group_subtask(backend->key_groups.last, backend->max_parallelism, parallelism);
    uint32_t next = backend->key_groups.first;
    uint64_t most = 0;
    uint64_t total = 0;
    for (uint32_t i = restore->first; i <= restore->last; i++) {
        tarn__restore_part part;
        TARN_TRY(tarn__restore_find_part(restore, i, &part, error));
        if (part.kept.first != next || part.kept.last < part.kept.first) {
            return tarn__fail(
                error,
                TARN_INCOMPATIBLE,
                "%s has the key groups %u to %u for %s/%u, which is not the range of that subtask",
                tarn_checkpoint_path(restore->checkpoint),
                part.stored.first,
                part.stored.last,
                backend->operator_name,
                i);
        }
        next = part.kept.last + 1u;
        const uint64_t bytes = estimate_bytes(restore, &part);
        total += bytes;
        if (i == restore->first || bytes > most) {
            restore->base = i;
            most = bytes;
        }
    }
    choose_borders(restore->backend, total);
    return TARN_OK;
}

static tarn_status fetch(
    tarn_backend *backend, const tarn_checkpoint *checkpoint, tarn__restore *out, tarn_error *error)
{
    tarn__restore restore = {.backend = backend, .checkpoint = checkpoint};
    TARN_TRY(choose_parts(&restore, error));
    tarn__restore_part part;
    TARN_TRY(tarn__restore_find_part(&restore, restore.base, &part, error));
    TARN_TRY(tarn__restore_fetch_part(
        &restore,
        &part,
        backend->directory.db,
        /* has_holes= */ NULL,
        &backend->bases.completed,
        error));
    *out = restore;
    return TARN_OK;
}

static tarn_status complete(const tarn__restore *restore, tarn_error *error)
{
    tarn__restore_part part;
    TARN_TRY(tarn__restore_find_part(restore, restore->base, &part, error));
    tarn_key_group_range covered = part.kept;
    TARN_TRY(tarn__restore_join(restore, &covered, error));
    TARN_TRY(tarn__restore_clip(restore->backend->rocks, &covered, error));
    for (uint32_t i = restore->first; i <= restore->last; i++) {
        TARN_TRY(tarn__restore_find_part(restore, i, &part, error));
        const bool is_joined = part.kept.first >= covered.first && part.kept.last <= covered.last;
        if (!is_joined) {
            TARN_TRY(tarn__restore_merge(restore, &part, error));
        }
        tarn__env_log(
            restore->backend->env,
            TARN_LOG_INFO,
            "%s/%u has the key groups %u to %u of old subtask %u, whose %s it took over",
            restore->backend->operator_name,
            restore->backend->subtask_index,
            part.kept.first,
            part.kept.last,
            i,
            is_joined ? "files" : "rows");
    }
    return tarn__directory_remove(restore->backend->directory.source, error);
}

tarn_status tarn__restore_open_database(
    tarn_backend *backend, bool holds_compactions, tarn_error *error)
{
    const tarn__rocks_open_options options = {
        .account = backend->account,
        .memory = tarn__env_rocks_memory(backend->env),
        .directory = backend->directory.db,
        .settings = backend->settings,
        .holds_compactions = holds_compactions,
    };
    return tarn__rocks_open(&options, &backend->rocks, error);
}

static tarn_status note_number(const tarn__rocks_table *table, void *context, tarn_error *error)
{
    uint64_t *next = context;
    const uint64_t number = strtoull(table->name, NULL, 10);
    (void)error;
    *next = number < *next ? *next : number + 1;
    return TARN_OK;
}

tarn_status tarn__restore_open(
    tarn_backend *backend, const tarn_backend_options *options, tarn_error *error)
{
    if (options->restore == NULL) {
        return tarn__restore_open_database(backend, false, error);
    }
    if (tarn__canonical_is(options->restore)) {
        TARN_TRY(tarn__restore_open_database(backend, false, error));
        return tarn__canonical_restore(backend, options->restore, options->moves_keys, error);
    }
    tarn__restore restore;
    TARN_TRY(fetch(backend, options->restore, &restore, error));
    /* They would take the processors from who takes rows over. */
    TARN_TRY(tarn__restore_open_database(backend, restore.last > restore.first, error));
    TARN_TRY(complete(&restore, error));
    /* What was fetched is not synchronised: a loss of power costs the directory, too. */
    TARN_TRY(tarn__rocks_visit_tables(backend->rocks, note_number, &backend->first_durable, error));
    TARN_TRY(tarn__rocks_release_compactions(backend->rocks, error));
    return tarn__tidier_begin(backend, error);
}
