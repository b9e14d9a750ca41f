/* tidy.c - see tidy.h. */
#include "state/tidy.h"

#include "state/backend.h"

/* What others have ended is begun again, but not for ever: the range deletes stay. */
enum { PASSES_MAX = 16 };

void tarn__tidier_init(tarn__tidier *tidier)
{
    (void)pthread_mutex_init(&tidier->mutex, NULL);
    (void)pthread_cond_init(&tidier->ended, NULL);
}

void tarn__tidier_clear(tarn__tidier *tidier)
{
    tarn__release(tidier->families);
    (void)pthread_cond_destroy(&tidier->ended);
    (void)pthread_mutex_destroy(&tidier->mutex);
}

/* ---- what there is ---------------------------------------------------------------------- */

/* The rows beside the key groups of a backend: lower <= row < first, and beyond <= row < upper. */
typedef struct sides {
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t first[TARN__ROW_GROUP_BYTES];
    uint8_t beyond[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
} sides;

static sides sides_of(const tarn_backend *backend)
{
    sides s;
    tarn__row_encode_group(s.lower, 0);
    tarn__row_encode_group(s.first, backend->key_groups.first);
    tarn__row_encode_group(s.beyond, backend->key_groups.last + 1u);
    tarn__row_encode_group(s.upper, UINT16_MAX);
    return s;
}

static tarn_bytes group_bytes(const uint8_t group[TARN__ROW_GROUP_BYTES])
{
    return tarn_bytes_at(group, TARN__ROW_GROUP_BYTES);
}

/* Of all states, or of the one that is named: files with rows, or range deletes, of others. */
typedef struct search {
    sides sides;
    const char *family;
    uint64_t bytes;
    uint32_t below_end; /* Key groups: those with rows below the backend's end before this one; */
    uint32_t beyond_first; /* those with rows beyond begin with this one. */
} search;

static uint32_t group_of(tarn_bytes row)
{
    const uint8_t *bytes = row.data;
    return row.size < TARN__ROW_GROUP_BYTES ? 0 : (uint32_t)bytes[0] << 8 | bytes[1];
}

static tarn_status add_table(const tarn__rocks_table *table, void *context, tarn_error *error)
{
    (void)error;
    search *s = context;
    const bool is_meant = s->family != NULL
                              ? strcmp(table->family, s->family) == 0
                              : strcmp(table->family, TARN__ROCKS_DEFAULT_FAMILY) != 0;
    const bool is_below = tarn_bytes_compare(table->smallest, group_bytes(s->sides.first)) < 0;
    const bool is_beyond = tarn_bytes_compare(table->largest, group_bytes(s->sides.beyond)) > 0;
    if (!is_meant || (!is_below && !is_beyond)) {
        return TARN_OK;
    }
    const uint32_t smallest = group_of(table->smallest);
    const uint32_t end = group_of(table->largest) + 1;
    s->bytes += table->size;
    s->below_end = is_below && end > s->below_end ? end : s->below_end;
    s->beyond_first = is_beyond && smallest < s->beyond_first ? smallest : s->beyond_first;
    return TARN_OK;
}

/* family NULL: of all states. */
static search look_for_foreign(tarn_backend *backend, const char *family)
{
    search s = {.sides = sides_of(backend), .family = family, .beyond_first = UINT16_MAX};
    const tarn_status status = tarn__rocks_visit_tables(backend->rocks, add_table, &s, NULL);
    (void)status; /* The visitor never fails. */
    return s;
}

/* ---- the job ---------------------------------------------------------------------------- */

/* First only what is beside the backend's own groups. */
static void compact_sides(tarn_backend *backend, tarn__rocks_family *family)
{
    const sides s = sides_of(backend);
    if (backend->key_groups.first > 0) {
        tarn__rocks_compact_covered(family, group_bytes(s.lower), group_bytes(s.first));
    }
    if (backend->key_groups.last + 1u < backend->max_parallelism) {
        tarn__rocks_compact_covered(family, group_bytes(s.beyond), group_bytes(s.upper));
    }
}

/*
 * Then the files at the borders as wide as they are. RocksDB drops a range delete only from a file
 * that has nothing below it, also where it deletes nothing; rows that were taken over lie in the
 * last level.
 */
static void compact_borders(tarn_backend *backend, tarn__rocks_family *family)
{
    const search s = look_for_foreign(backend, family->name);
    uint8_t group[TARN__ROW_GROUP_BYTES];
    if (s.below_end > 0) {
        tarn__row_encode_group(group, s.below_end);
        tarn__rocks_compact_covered(family, group_bytes(s.sides.lower), group_bytes(group));
    }
    if (s.beyond_first < UINT16_MAX) {
        tarn__row_encode_group(group, s.beyond_first);
        tarn__rocks_compact_covered(family, group_bytes(group), group_bytes(s.sides.upper));
    }
}

static bool has_more(const tarn__tidier *tidier)
{
    return !atomic_load(&tidier->is_cancelled) && tidier->next < tidier->count;
}

static void end(tarn_backend *backend)
{
    tarn__tidier *tidier = &backend->tidier;
    atomic_store(&tidier->foreign_bytes, look_for_foreign(backend, NULL).bytes);
    (void)pthread_mutex_lock(&tidier->mutex);
    atomic_store(&tidier->has_ended, true);
    (void)pthread_cond_broadcast(&tidier->ended);
    (void)pthread_mutex_unlock(&tidier->mutex);
}

/* A state, and behind what others have queued the next one. */
static void run(void *context)
{
    tarn_backend *backend = context;
    tarn__tidier *tidier = &backend->tidier;
    while (has_more(tidier)) {
        tarn__rocks_family *family = tidier->families[tidier->next++];
        if (look_for_foreign(backend, family->name).bytes > 0) {
            compact_sides(backend, family);
            compact_borders(backend, family);
        }
        if (has_more(tidier) &&
            tarn__workers_try_submit(tarn__env_workers(backend->env), run, backend)) {
            return;
        }
    }
    end(backend);
}

/* ---- beginning and end ------------------------------------------------------------------ */

tarn_status tarn__tidier_begin(tarn_backend *backend, tarn_error *error)
{
    tarn__tidier *tidier = &backend->tidier;
    const uint64_t bytes = look_for_foreign(backend, NULL).bytes;
    atomic_store(&tidier->foreign_bytes, bytes);
    if (bytes == 0) {
        return TARN_OK;
    }
    uint32_t count = 0;
    for (const tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks);
         family != NULL;
         family = family->next) {
        count++;
    }
    tidier->families = tarn__allocate(backend->account, count * sizeof *tidier->families);
    if (tidier->families == NULL) {
        return tarn__fail_no_memory(error, "states to tidy", count * sizeof *tidier->families);
    }
    for (tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks); family != NULL;
         family = family->next) {
        tidier->families[tidier->count++] = family;
    }
    return TARN_OK;
}

void tarn__tidier_note_snapshot(tarn_backend *backend)
{
    backend->tidier.is_due = true;
    tarn__tidier_resume(backend);
}

void tarn__tidier_resume(tarn_backend *backend)
{
    tarn__tidier *tidier = &backend->tidier;
    if (tidier->is_running && atomic_load(&tidier->has_ended)) {
        tarn__tidier_wait(backend);
    }
    if (!tidier->is_due || tidier->is_running || tidier->pass_count == PASSES_MAX ||
        atomic_load(&tidier->foreign_bytes) == 0) {
        return;
    }
    tidier->next = 0;
    tidier->pass_count++;
    atomic_store(&tidier->is_cancelled, false);
    atomic_store(&tidier->has_ended, false);
    tidier->is_running = tarn__workers_try_submit(tarn__env_workers(backend->env), run, backend);
}

void tarn__tidier_wait(tarn_backend *backend)
{
    tarn__tidier *tidier = &backend->tidier;
    if (!tidier->is_running) {
        return;
    }
    (void)pthread_mutex_lock(&tidier->mutex);
    while (!atomic_load(&tidier->has_ended)) {
        (void)pthread_cond_wait(&tidier->ended, &tidier->mutex);
    }
    (void)pthread_mutex_unlock(&tidier->mutex);
    tidier->is_running = false;
}

void tarn__tidier_stop(tarn_backend *backend)
{
    tarn__tidier *tidier = &backend->tidier;
    if (!tidier->is_running) {
        return;
    }
    atomic_store(&tidier->is_cancelled, true);
    tarn__rocks_cancel_cleaning(backend->rocks);
    tarn__tidier_wait(backend);
    tarn__rocks_allow_cleaning(backend->rocks);
}

void tarn__tidier_stop_all(tarn_backend *backend)
{
    tarn__cleaner_stop(backend);
    tarn__tidier_stop(backend);
}

void tarn__tidier_forget(tarn_backend *backend, const tarn__rocks_family *family)
{
    tarn__tidier *tidier = &backend->tidier;
    for (uint32_t i = 0; i < tidier->count; i++) {
        if (tidier->families[i] == family) {
            tidier->families[i] = tidier->families[--tidier->count];
            return;
        }
    }
}
