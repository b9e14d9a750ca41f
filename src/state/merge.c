/*
 * merge.c - the rows of another subtask, taken over in their order.
 *
 *     fetched files ──open──► iterate the kept groups ──► table file ──► taken in to its level
 *
 * RocksDB takes in only files that were written for that, so rows are read once and written once;
 * they go neither through a memtable nor through a compaction. What was added to a row by merge
 * operands is folded on the way. Table files end at a key group's border once they are large
 * enough, so that the next restore at another parallelism finds borders.
 */
#include <inttypes.h>

#include "state/descriptors.h"
#include "state/restore.h"

typedef struct merge {
    tarn_backend *backend;
    tarn__rocks *source;
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
} merge;

/* ---- descriptors ------------------------------------------------------------------------ */

/*
 * Takes over the descriptor of a state. Where both have it, they must be of the same state; the
 * schemas of values may differ, as rows of older ones go at different times.
 */
static tarn_status take_own_row(const merge *m, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    char name[TARN__ROCKS_NAME_BYTES_MAX + 1];
    uint8_t generations[256];
    const size_t size = key.size < sizeof name ? key.size : sizeof name - 1;
    memcpy(name, key.data, size);
    name[size] = '\0';
    return tarn__descriptor_take(m->backend, name, value, generations, error);
}

/* Names of states have no NUL: what begins with one is another mark, see sequence.c. */
static bool is_of_state(tarn_bytes key)
{
    return key.size > 0 && *(const uint8_t *)key.data != 0;
}

static tarn_status take_descriptors(const merge *m, tarn_error *error)
{
    static const uint8_t LOWEST = 0;
    static const uint8_t BEYOND_TEXT = UINT8_MAX;
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate(
        tarn__rocks_default_family(m->source),
        tarn_bytes_at(&LOWEST, 1),
        tarn_bytes_at(&BEYOND_TEXT, 1),
        &rows,
        error));
    tarn_status status;
    do {
        tarn_bytes key;
        tarn_bytes value;
        status = tarn__rocks_iterator_next(rows, &key, &value, error);
        if (status == TARN_OK && is_of_state(key)) {
            status = take_own_row(m, key, value, error);
        }
    } while (status == TARN_OK);
    tarn__rocks_iterator_close(rows);
    TARN_TRY(status == TARN_DONE ? TARN_OK : status);
    uint64_t mark = 0;
    TARN_TRY(tarn__sequence_read(m->source, &mark, error));
    return mark > 0 ? tarn__backend_raise_sequence(m->backend, mark, error) : TARN_OK;
}

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

static tarn_status take_family(const merge *m, tarn__rocks_family *from, tarn_error *error)
{
    tarn_backend *backend = m->backend;
    tarn__rocks_family *into = tarn__rocks_find_family(backend->rocks, from->name);
    if (into == NULL) {
        TARN_TRY(
            tarn__rocks_create_family(backend->rocks, from->name, backend->settings, &into, error));
    }
    tarn__marking marking;
    TARN_TRY(tarn__marking_init(&marking, backend, m->source, from->name, error));
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(
        from,
        tarn_bytes_at(m->lower, sizeof m->lower),
        tarn_bytes_at(m->upper, sizeof m->upper),
        &rows,
        error));
    const tarn_status status =
        write_runs(into, rows, backend->settings->target_file_bytes, &marking, error);
    tarn__rocks_iterator_close(rows);
    tarn_buffer_clear(&marking.value);
    return status;
}

static tarn_status take_all(const merge *m, tarn_error *error)
{
    TARN_TRY(take_descriptors(m, error));
    for (tarn__rocks_family *family = tarn__rocks_first_family(m->source); family != NULL;
         family = family->next) {
        TARN_TRY(take_family(m, family, error));
    }
    return TARN_OK;
}

tarn_status tarn__restore_merge(
    const tarn__restore *restore, const tarn__restore_part *part, tarn_error *error)
{
    tarn_backend *backend = restore->backend;
    const char *directory = backend->directory.source;
    TARN_TRY(tarn__restore_fetch_part(restore, part, directory, NULL, error));
    const tarn__rocks_open_options options = {
        .account = backend->account,
        .memory = tarn__env_rocks_memory(backend->env),
        .directory = directory,
        .settings = backend->settings,
        .use = TARN__ROCKS_USE_READ,
    };
    merge m = {.backend = backend};
    TARN_TRY(tarn__rocks_open(&options, &m.source, error));
    tarn__row_encode_group(m.lower, part->kept.first);
    tarn__row_encode_group(m.upper, part->kept.last + 1u);
    const tarn_status status = take_all(&m, error);
    tarn__rocks_close(m.source);
    TARN_TRY(status);
    return tarn__directory_remove(directory, error);
}
