/* new_keys.c - see new_keys.h. */
#include "state/new_keys.h"

#include <stddef.h>

#include "memory/budget.h"
#include "state/keyed.h"

enum {
    READS_PER_LOOK = 1024,    /* Reads of the store. */
    ABSENT_PER_LOOK_MIN = 64, /* So many of them found nothing: a filter pays. */
    ROWS_PER_SLICE = 50000,
    ROWS_HEADROOM = 4096,
    PAUSE_READS_MIN = 64 << 10, /* Of the store, between two builds. */
};

static const double BITS_DEFAULT = 10;

struct tarn__new_keys {
    tarn_keyed *keyed;
    tarn__filter filter;

    /* Since the last look. */
    uint32_t read_count;
    uint32_t absent_count;
    uint64_t pause_reads; /* Until the next build. */

    /* A build. The job has rows, row_count and has_failed until has_ended. */
    bool is_building;
    tarn__rocks_hold *hold;
    tarn__rocks_iterator *rows;
    uint64_t row_count;
    uint64_t row_count_max; /* More are too many for the layer. */
    bool has_failed;
    uint64_t last_hash; /* Of the row before: those of a map or a list lie together. */
    atomic_bool is_cancelled;
    atomic_bool has_ended;
    pthread_mutex_t mutex; /* For ended alone. */
    pthread_cond_t ended;
};

/* ---- configuration ---------------------------------------------------------------------- */

static tarn_status read_options(
    const tarn_config *config, bool *is_enabled, double *bits, tarn_error *error)
{
    bool is_set = false;
    bool enabled = false;
    double bits_read = 0;
    TARN_TRY(tarn_config_get_bool(config, "tarn.new-key-filter.enabled", &enabled, &is_set, error));
    if (is_set) {
        *is_enabled = enabled;
    }
    TARN_TRY(tarn_config_get_double(
        config, "tarn.new-key-filter.bits-per-key", &bits_read, &is_set, error));
    if (is_set) {
        *bits = bits_read;
    }
    return TARN_OK;
}

tarn_status tarn__new_keys_set_up(
    tarn_backend *backend, const tarn_config *config, tarn_error *error)
{
    float fraction = 0;
    bool is_set = false;
    backend->filters_enabled = true;
    backend->filter_bits = BITS_DEFAULT;
    TARN_TRY(read_options(config, &backend->filters_enabled, &backend->filter_bits, error));
    TARN_TRY(
        tarn_config_get_float(config, "tarn.new-key-filter.fraction", &fraction, &is_set, error));
    const uint64_t heap_bytes = tarn__env_slot_heap(backend->env);
    if (heap_bytes == TARN_UNLIMITED || !(fraction > 0)) {
        return TARN_OK;
    }
    backend->filter_share.limit_bytes = (uint64_t)((double)heap_bytes * (double)fraction);
    return tarn__owner_open(
        tarn_env_budget(backend->env),
        TARN_POOL_HEAP,
        &backend->filter_owner,
        error,
        "new-key filter of %s/%u",
        backend->operator_name,
        backend->subtask_index);
}

void tarn__new_keys_tear_down(tarn_backend *backend)
{
    /* All of its memory was given back with the states, so that it cannot be refused. */
    if (backend->filter_owner != NULL && tarn_owner_close(backend->filter_owner, NULL) == TARN_OK) {
        backend->filter_owner = NULL;
    }
}

tarn_status tarn__new_keys_configure(
    tarn_keyed *keyed, const tarn_config *options, tarn_error *error)
{
    keyed->has_filter = keyed->backend->filters_enabled;
    keyed->filter_bits = keyed->backend->filter_bits;
    return options != NULL ? read_options(options, &keyed->has_filter, &keyed->filter_bits, error)
                           : TARN_OK;
}

/* ---- life ------------------------------------------------------------------------------- */

tarn_status tarn__new_keys_open(tarn_keyed *keyed, bool is_empty, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    (void)error;
    if (!keyed->has_filter || backend->filter_owner == NULL) {
        return TARN_OK;
    }
    tarn__account *account = tarn__owner_account(backend->filter_owner);
    tarn__new_keys *keys = tarn__allocate_zeroed(account, 1, sizeof *keys);
    if (keys == NULL) {
        return TARN_OK; /* It goes without. */
    }
    keys->keyed = keyed;
    tarn__filter_init(&keys->filter, account, &backend->filter_share, keyed->filter_bits, is_empty);
    (void)pthread_mutex_init(&keys->mutex, NULL);
    (void)pthread_cond_init(&keys->ended, NULL);
    keyed->new_keys = keys;
    keyed->hot.filter = &keys->filter;
    return TARN_OK;
}

/* Lets go of what the store was held for. */
static void close_rows(tarn__new_keys *keys)
{
    tarn__rocks_iterator_close(keys->rows);
    tarn__rocks_hold_close(keys->hold);
    keys->rows = NULL;
    keys->hold = NULL;
}

/* Waits for the job, whose work is for nothing. */
static void cancel(tarn__new_keys *keys)
{
    if (!keys->is_building) {
        return;
    }
    atomic_store(&keys->is_cancelled, true);
    (void)pthread_mutex_lock(&keys->mutex);
    while (!atomic_load(&keys->has_ended)) {
        (void)pthread_cond_wait(&keys->ended, &keys->mutex);
    }
    (void)pthread_mutex_unlock(&keys->mutex);
    keys->is_building = false;
    tarn__filter_abandon(&keys->filter);
}

void tarn__new_keys_close(tarn_keyed *keyed)
{
    tarn__new_keys *keys = keyed->new_keys;
    if (keys == NULL) {
        return;
    }
    cancel(keys);
    tarn__filter_clear(&keys->filter);
    (void)pthread_cond_destroy(&keys->ended);
    (void)pthread_mutex_destroy(&keys->mutex);
    tarn__release(keys);
    keyed->new_keys = NULL;
    keyed->hot.filter = NULL;
}

void tarn__new_keys_stop(tarn_backend *backend)
{
    for (tarn__child *child = backend->first_child; child != NULL; child = child->next) {
        const tarn_keyed *keyed = tarn__keyed_of_child(child);
        if (keyed != NULL && keyed->new_keys != NULL) {
            cancel(keyed->new_keys);
        }
    }
}

/* ---- building --------------------------------------------------------------------------- */

static void announce_end(tarn__new_keys *keys)
{
    close_rows(keys);
    (void)pthread_mutex_lock(&keys->mutex);
    atomic_store(&keys->has_ended, true);
    (void)pthread_cond_broadcast(&keys->ended);
    (void)pthread_mutex_unlock(&keys->mutex);
}

/* The hash by which the row, or the map or list that it is of, is found in the working set. */
static uint64_t hash_of(const tarn_keyed *keyed, tarn_bytes row)
{
    tarn__row decoded;
    if (keyed->hot.is_of_blocks && tarn__row_decode_as(row, keyed->layout, &decoded)) {
        row.size -= decoded.user_key.size;
    } else if (row.size >= keyed->hot.suffix_bytes) {
        row.size -= keyed->hot.suffix_bytes;
    }
    return tarn__workset_hash(&keyed->hot, row);
}

/* True: there are more. */
static bool build_slice(tarn__new_keys *keys)
{
    for (uint32_t i = 0; i < ROWS_PER_SLICE; i++) {
        tarn_bytes row;
        tarn_bytes value;
        const tarn_status status = tarn__rocks_iterator_next(keys->rows, &row, &value, NULL);
        if (status == TARN_DONE) {
            return false;
        }
        if (status != TARN_OK || keys->row_count == keys->row_count_max ||
            ((i & 255) == 0 && atomic_load(&keys->is_cancelled))) {
            keys->has_failed = true;
            return false;
        }
        const uint64_t hash = hash_of(keys->keyed, row);
        if (keys->row_count == 0 || hash != keys->last_hash) {
            tarn__filter_build(&keys->filter, hash);
            keys->row_count++;
        }
        keys->last_hash = hash;
    }
    return true;
}

/* The job: a slice, and behind what others have queued the next one. */
static void build(void *context)
{
    tarn__new_keys *keys = context;
    while (build_slice(keys)) {
        if (tarn__workers_try_submit(tarn__env_workers(keys->keyed->backend->env), build, keys)) {
            return;
        }
    }
    announce_end(keys);
}

/* The rows of this moment: RocksDB's estimate, which counts what is written over twice. */
static uint64_t estimate_rows(const tarn_keyed *keyed)
{
    tarn__rocks_stats stats;
    tarn__rocks_measure_family(keyed->family, &stats);
    return stats.row_count_estimate + stats.row_count_estimate / 4 + ROWS_HEADROOM;
}

static tarn_status open_rows(tarn__new_keys *keys)
{
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    const tarn_backend *backend = keys->keyed->backend;
    tarn__row_encode_group(lower, backend->key_groups.first);
    tarn__row_encode_group(upper, backend->key_groups.last + 1u);
    keys->hold = NULL;
    keys->rows = NULL;
    TARN_TRY(tarn__rocks_hold_open(backend->rocks, &keys->hold, NULL));
    const tarn__rocks_scan scan = {
        .lower = tarn_bytes_at(lower, sizeof lower),
        .upper = tarn_bytes_at(upper, sizeof upper),
        .hold = keys->hold,
    };
    return tarn__rocks_iterate_scan(keys->keyed->family, &scan, &keys->rows, NULL);
}

/* Begins to build, if there is memory and a worker for it; else it is tried again later. */
static void begin_build(tarn__new_keys *keys)
{
    const tarn_backend *backend = keys->keyed->backend;
    const uint64_t rows = estimate_rows(keys->keyed);
    keys->pause_reads = PAUSE_READS_MIN + rows / 4;
    if (tarn__workset_is_flying(keys->keyed->workset)) {
        return; /* What was sent has been told to the filter, and the store may not have it yet. */
    }
    if (!tarn__filter_begin(&keys->filter, rows)) {
        if (!keys->filter.is_complete) {
            return;
        }
        tarn__filter_drop(&keys->filter); /* It answers little; the new one may have its place. */
        if (!tarn__filter_begin(&keys->filter, rows)) {
            return;
        }
    }
    keys->row_count = 0;
    keys->row_count_max = rows * 2;
    keys->has_failed = false;
    atomic_store(&keys->is_cancelled, false);
    atomic_store(&keys->has_ended, false);
    keys->is_building = open_rows(keys) == TARN_OK &&
                        tarn__workers_try_submit(tarn__env_workers(backend->env), build, keys);
    if (!keys->is_building) {
        close_rows(keys);
        tarn__filter_abandon(&keys->filter);
    }
}

/* Takes in what a build has made. */
static void finish_build(tarn__new_keys *keys)
{
    (void)pthread_mutex_lock(&keys->mutex); /* Whoever ended it has let go. */
    (void)pthread_mutex_unlock(&keys->mutex);
    keys->is_building = false;
    if (keys->has_failed) {
        tarn__filter_abandon(&keys->filter);
    } else {
        tarn__filter_finish(&keys->filter, keys->row_count);
    }
}

/* ---- what is seen ----------------------------------------------------------------------- */

static void renew(tarn__new_keys *keys)
{
    if (!keys->is_building) {
        begin_build(keys);
    } else if (atomic_load(&keys->has_ended)) {
        finish_build(keys);
    }
}

void tarn__new_keys_renew(tarn_keyed *keyed)
{
    if (keyed->new_keys != NULL) {
        renew(keyed->new_keys);
    }
}

/* Looks at what came since the last look. What a complete filter did not know was a false answer.
 */
static void look(tarn__new_keys *keys)
{
    const bool is_wanted = keys->absent_count >= ABSENT_PER_LOOK_MIN && keys->pause_reads == 0;
    if (keys->is_building || is_wanted) {
        renew(keys);
    }
    keys->read_count = 0;
    keys->absent_count = 0;
}

void tarn__new_keys_note_read(tarn_keyed *keyed, bool was_found)
{
    tarn__new_keys *keys = keyed->new_keys;
    if (keys == NULL) {
        return;
    }
    keys->read_count++;
    keys->pause_reads -= keys->pause_reads > 0;
    if (!was_found) {
        keys->absent_count++;
        keys->filter.false_count += keys->filter.is_complete;
    }
    if (keys->read_count >= READS_PER_LOOK) {
        look(keys);
    }
}

void tarn__new_keys_measure(const tarn_keyed *keyed, tarn__filter *sum)
{
    if (keyed->new_keys != NULL) {
        const tarn__filter *filter = &keyed->new_keys->filter;
        sum->memory_bytes += filter->memory_bytes;
        sum->used_count += filter->used_count;
        sum->read_count += filter->read_count;
        sum->false_count += filter->false_count;
    }
}
