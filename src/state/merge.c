/*
 * merge.c - the rows of another subtask, taken over in their order.
 *
 *                          ┌─ groups 64..70 of a state ──► table file ─┐
 *     fetched files ──open─┼─ groups 71..77            ──► table file ─┼──► taken in to its level
 *                          └─ ..                       ──► table file ─┘
 *
 * For parts whose files cannot be added as they are (join.c). RocksDB takes in only files that were
 * written for that, so rows are read once and written once; they go neither through a memtable nor
 * through a compaction. What was added to a row by merge operands is folded on the way. Slices of
 * key groups go to whichever thread is free. Table files end at a key group's border once they are
 * large enough, so that the next restore at another parallelism finds borders.
 */
#include <inttypes.h>

#include "snapshot/transfer.h"
#include "state/descriptors.h"
#include "state/restore.h"

enum {
    SLICES_MAX = 16,             /* Of one state. */
    READAHEAD_BYTES = 256 << 10, /* A thread has one for each level, and each file of level 0. */
};

/* Some key groups of one state: what a thread takes over at a time. */
typedef struct slice {
    tarn__rocks_family *from;
    tarn__rocks_family *into;
    uint32_t first; /* Key groups: from this one */
    uint32_t end;   /* to before this one. */
} slice;

typedef struct merge {
    tarn_backend *backend;
    tarn__rocks *source;
    tarn_key_group_range kept;
    slice *slices; /* [slice_count] */
    uint32_t slice_count;
} merge;

/* ---- rows ------------------------------------------------------------------------------- */

static tarn_status finish_run(tarn__rocks_run **run, tarn_error *error)
{
    const tarn_status status = *run != NULL ? tarn__rocks_run_finish(*run, error) : TARN_OK;
    tarn__rocks_run_close(run);
    return status;
}

/* Writes table files of at least so many bytes, but the last, until the rows end. */
static tarn_status write_runs(
    tarn__rocks_family *family,
    tarn__rocks_iterator *rows,
    uint64_t file_bytes,
    tarn__marking *marking,
    tarn_error *error)
{
    TARN_AUTO(tarn__rocks_run_close) tarn__rocks_run *run = NULL;
    uint8_t group[TARN__ROW_GROUP_BYTES] = {0};
    uint64_t run_bytes = 0;
    tarn_bytes key;
    tarn_bytes value;
    tarn_status status;
    while ((status = tarn__rocks_iterator_next(rows, &key, &value, error)) == TARN_OK) {
        if (key.size < sizeof group || memcmp(key.data, group, sizeof group) != 0) {
            if (key.size < sizeof group) {
                return tarn__fail(
                    error, TARN_CORRUPTION, "a row of state \"%s\" is cut short", family->name);
            }
            memcpy(group, key.data, sizeof group);
            if (run_bytes >= file_bytes) {
                TARN_TRY(finish_run(&run, error));
            }
        }
        if (run == NULL) {
            TARN_TRY(tarn__rocks_run_open(family, &run, error));
            run_bytes = 0;
        }
        TARN_TRY(tarn__marking_apply(marking, &value, error));
        TARN_TRY(tarn__rocks_run_put(run, key, value, error));
        run_bytes += key.size + value.size;
    }
    return status == TARN_DONE ? finish_run(&run, error) : status;
}

/* On any of the threads; the source is written by nobody. */
static tarn_status take_slice(void *context, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    const merge *m = context;
    const slice *s = &m->slices[item];
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    tarn__marking marking;
    tarn__rocks_iterator *rows = NULL;
    (void)buffer;
    TARN_TRY(tarn__marking_init(&marking, m->backend, m->source, s->from->name, error));
    tarn__row_encode_group(lower, s->first);
    tarn__row_encode_group(upper, s->end);
    const tarn__rocks_scan scan = {
        .lower = tarn_bytes_at(lower, sizeof lower),
        .upper = tarn_bytes_at(upper, sizeof upper),
        .readahead_bytes = READAHEAD_BYTES,
        .is_raw = true,
    };
    TARN_TRY(tarn__rocks_iterate_scan(s->from, &scan, &rows, error));
    const uint64_t file_bytes = m->backend->settings->target_file_bytes;
    const tarn_status status = write_runs(s->into, rows, file_bytes, &marking, error);
    tarn__rocks_iterator_close(rows);
    tarn_buffer_clear(&marking.value);
    return status;
}

/* ---- slices ----------------------------------------------------------------------------- */

/* So many that each has a table file's worth of bytes. */
static uint32_t count_slices(const merge *m, const tarn__rocks_family *from)
{
    tarn__rocks_stats stats;
    tarn__rocks_measure_family(from, &stats);
    const uint32_t group_count = m->kept.last - m->kept.first + 1u;
    const uint64_t wanted = 1 + stats.live_file_bytes / m->backend->settings->target_file_bytes;
    const uint32_t count = wanted < SLICES_MAX ? (uint32_t)wanted : SLICES_MAX;
    return count < group_count ? count : group_count;
}

static tarn_status add_slices(merge *m, tarn__rocks_family *from, tarn_error *error)
{
    tarn__rocks_family *into = NULL;
    TARN_TRY(tarn__restore_find_into(m->backend, from, &into, error));
    const uint32_t count = count_slices(m, from);
    const uint32_t group_count = m->kept.last - m->kept.first + 1u;
    for (uint32_t i = 0; i < count; i++) {
        m->slices[m->slice_count++] = (slice){
            .from = from,
            .into = into,
            .first = m->kept.first + group_count * i / count,
            .end = m->kept.first + group_count * (i + 1) / count,
        };
    }
    return TARN_OK;
}

static tarn_status make_slices(merge *m, tarn__arena *arena, tarn_error *error)
{
    uint32_t most = 0;
    for (const tarn__rocks_family *family = tarn__rocks_first_family(m->source); family != NULL;
         family = family->next) {
        most += SLICES_MAX;
    }
    m->slices = tarn__arena_allocate(arena, most, sizeof *m->slices);
    if (m->slices == NULL) {
        return tarn__fail_no_memory(error, "the states of a subtask", most * sizeof *m->slices);
    }
    for (tarn__rocks_family *family = tarn__rocks_first_family(m->source); family != NULL;
         family = family->next) {
        TARN_TRY(add_slices(m, family, error));
    }
    return TARN_OK;
}

static tarn_status take_slices(merge *m, tarn_error *error)
{
    tarn_env *env = m->backend->env;
    const tarn__transfer_options options = {
        .account = tarn__env_account(env),
        .buffers = tarn__env_transfer_account(env),
        .workers = tarn__env_workers(env),
        .item_count = m->slice_count,
        .item = take_slice,
        .context = m,
    };
    return tarn__transfer_run(&options, error);
}

static tarn_status take_all(merge *m, tarn_error *error)
{
    tarn__arena arena;
    TARN_TRY(tarn__restore_take_descriptors(m->backend, m->source, error));
    tarn__arena_init(&arena, m->backend->account);
    tarn_status status = make_slices(m, &arena, error);
    if (status == TARN_OK) {
        status = take_slices(m, error);
    }
    tarn__arena_clear(&arena);
    return status;
}

/* Fetches a part and takes its rows over. */
static tarn_status merge_part(
    const tarn__restore *restore,
    const tarn__restore_part *part,
    bool may_have_holes,
    tarn_error *error)
{
    atomic_bool has_holes = false;
    merge m = {.backend = restore->backend, .kept = part->kept};
    TARN_TRY(
        tarn__restore_fetch_source(restore, part, may_have_holes ? &has_holes : NULL, NULL, error));
    TARN_TRY(tarn__restore_open_source(m.backend, part->old_index, &m.source, error));
    const tarn_status status = take_all(&m, error);
    tarn__rocks_close(m.source);
    return status;
}

/*
 * What looks damaged may be whole: RocksDB seeks the rows below a range delete at its end, also
 * where that lies beyond the upper bound, and so may read a block that was left out. And a block
 * that was read from a damaged copy (cache.c) comes from the storage when the whole file is read.
 * Rows that were taken over before are taken over again, with the same values.
 */
tarn_status tarn__restore_merge(
    const tarn__restore *restore, const tarn__restore_part *part, tarn_error *error)
{
    tarn_backend *backend = restore->backend;
    char directory[PATH_MAX];
    tarn_error reason;
    TARN_TRY(tarn__restore_name_source(backend, part->old_index, directory, error));
    tarn_status status = merge_part(restore, part, /* may_have_holes= */ true, &reason);
    if (status == TARN_CORRUPTION) {
        tarn__env_log(
            backend->env,
            TARN_LOG_WARNING,
            "%s/%u reads the files of old subtask %u as a whole: %s",
            backend->operator_name,
            backend->subtask_index,
            part->old_index,
            reason.message);
        TARN_TRY(tarn__directory_remove(directory, error));
        status = merge_part(restore, part, /* may_have_holes= */ false, &reason);
    }
    if (status != TARN_OK) {
        if (error != NULL) {
            *error = reason;
        }
        return status;
    }
    return tarn__directory_remove(directory, error);
}
