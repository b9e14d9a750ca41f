/* hot.c - see hot.h. */
#include "state/hot.h"

#include "codec/chunk.h"
#include "codec/reduction.h"
#include "state/hot_store.h"
#include "state/new_keys.h"
#include "state/prefetch.h"

/* ---- life ------------------------------------------------------------------------------- */

/* What it may become, beside those of other backends. */
static void count_capacity(tarn_backend *backend, uint64_t bytes)
{
    tarn__env_count_working_set(backend->env, backend->workset_bytes, bytes);
    backend->workset_bytes = bytes;
}

static void close_both(tarn_backend *backend)
{
    count_capacity(backend, 0);
    tarn__workset_close(backend->workset);
    backend->workset = NULL;
    tarn__hot_close_runs(backend);
}

static tarn_status open_of_bytes(tarn_backend *backend, uint64_t bytes, tarn_error *error)
{
    if (bytes == 0) {
        return TARN_OK;
    }
    TARN_TRY(tarn__hot_open_runs(backend, error));
    const tarn__workset_options options = {
        .account = backend->account,
        .store = tarn__hot_store(backend),
        .capacity_bytes = bytes,
        .runs = backend->runs,
    };
    const tarn_status status = tarn__workset_open(&options, &backend->workset, error);
    if (status != TARN_OK) {
        close_both(backend);
        return status;
    }
    count_capacity(backend, bytes);
    return TARN_OK;
}

tarn_status tarn__hot_open(tarn_backend *backend, const tarn_config *config, tarn_error *error)
{
    int64_t bytes = 0;
    float fraction = 0;
    bool is_set = false;
    tarn__rocks_batch_init(&backend->hot_batch);
    TARN_TRY(tarn_config_get_double(
        config, "tarn.working-set.drain-share", &backend->drain_share, &is_set, error));
    TARN_TRY(tarn__new_keys_set_up(backend, config, error));
    backend->shown.allocator = &backend->buffers->face;
    backend->hot_row.allocator = &backend->buffers->face;
    backend->hot_block.allocator = &backend->buffers->face;
    backend->hot_scanned.allocator = &backend->buffers->face;
    backend->hot_beyond.allocator = &backend->buffers->face;
    const tarn_status status =
        tarn_config_get_memory(config, "tarn.working-set.size", &bytes, &is_set, error);
    if (status != TARN_NOT_FOUND) {
        TARN_TRY(status);
        return open_of_bytes(backend, (uint64_t)bytes, error);
    }
    TARN_TRY(tarn_config_get_float(config, "tarn.working-set.fraction", &fraction, &is_set, error));
    const uint64_t heap_bytes = tarn__env_slot_heap(backend->env);
    if (!(fraction > 0) || heap_bytes == TARN_UNLIMITED) {
        return TARN_OK;
    }
    const double share = fraction < 1 ? (double)fraction : 1;
    return open_of_bytes(backend, (uint64_t)((double)heap_bytes * share), error);
}

tarn_status tarn__hot_configure(tarn_keyed *keyed, const tarn_config *options, tarn_error *error)
{
    return tarn__new_keys_configure(keyed, options, error);
}

void tarn__hot_quiet(tarn_backend *backend)
{
    tarn__tidier_stop_all(backend);
    tarn__new_keys_stop(backend);
    tarn__prefetch_drop(backend->prefetch);
    tarn__hot_land(backend);
}

void tarn__hot_close(tarn_backend *backend)
{
    tarn__prefetch_close(backend->prefetch);
    backend->prefetch = NULL;
    close_both(backend);
    tarn__rocks_batch_clear(&backend->hot_batch);
    tarn__new_keys_tear_down(backend);
    tarn_buffer_clear(&backend->shown);
    tarn_buffer_clear(&backend->hot_row);
    tarn_buffer_clear(&backend->hot_block);
    tarn_buffer_clear(&backend->hot_scanned);
    tarn_buffer_clear(&backend->hot_beyond);
}

static bool is_of_single_rows(tarn__state_kind kind)
{
    return kind == TARN__STATE_VALUE || kind == TARN__STATE_REDUCING ||
           kind == TARN__STATE_AGGREGATING;
}

/* Has a state's rows go through the working set that there is. is_empty: the store has none. */
static tarn_status join(tarn_keyed *keyed, bool is_empty, tarn_error *error)
{
    tarn__workset *set = keyed->backend->workset;
    if (set == NULL || !keyed->has_hot_rows) {
        return TARN_OK;
    }
    keyed->hot = (tarn__workset_family){
        .store_family = keyed->family,
        .suffix_bytes = keyed->hot_suffix_bytes,
        .is_of_blocks = keyed->has_hot_blocks,
        .value_shift = keyed->hot_value_shift,
        .is_dead = keyed->has_ttl ? tarn__keyed_is_dead : NULL,
        .context = keyed,
    };
    TARN_TRY(tarn__workset_add_family(set, &keyed->hot, error));
    keyed->workset = set;
    return tarn__new_keys_open(keyed, is_empty, error);
}

static void leave(tarn_keyed *keyed)
{
    if (keyed->workset != NULL) {
        tarn__new_keys_close(keyed);
        tarn__workset_remove_family(keyed->workset, &keyed->hot);
        keyed->workset = NULL;
    }
}

tarn_status tarn__hot_attach(tarn_keyed *keyed, tarn__state_kind kind, tarn_error *error)
{
    const bool is_list = kind == TARN__STATE_LIST;
    keyed->has_hot_rows = is_of_single_rows(kind) || is_list || kind == TARN__STATE_MAP;
    keyed->has_hot_blocks = kind == TARN__STATE_MAP || (is_list && keyed->has_ttl);
    keyed->hot_suffix_bytes = is_list && !keyed->has_ttl ? TARN__CHUNK_SEQUENCE_BYTES : 0;
    keyed->hot_value_shift = kind == TARN__STATE_VALUE && keyed->has_ttl ? TARN__STAMP_BYTES : 0;
    keyed->has_single_rows = is_of_single_rows(kind);
    keyed->is_map = kind == TARN__STATE_MAP;
    return join(keyed, keyed->is_created, error);
}

/* Writes what is dirty of a state. */
static tarn_status settle_state(tarn_keyed *keyed, tarn_error *error)
{
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(lower, keyed->backend->key_groups.first);
    tarn__row_encode_group(upper, keyed->backend->key_groups.last + 1u);
    return tarn__workset_settle(
        keyed->workset,
        &keyed->hot,
        tarn_bytes_at(lower, sizeof lower),
        tarn_bytes_at(upper, sizeof upper),
        error);
}

tarn_status tarn__hot_detach(tarn_keyed *keyed, tarn_error *error)
{
    if (keyed->workset == NULL) {
        return TARN_OK;
    }
    tarn__prefetch_drop(keyed->backend->prefetch);
    /* What a poisoned backend holds is not what was written, and its database may be gone. */
    const bool is_poisoned = keyed->backend->poison.status != TARN_OK;
    const tarn_status status = is_poisoned ? TARN_OK : settle_state(keyed, error);
    leave(keyed);
    return status;
}

/* ---- capacity --------------------------------------------------------------------------- */

static tarn_status switch_off(tarn_backend *backend, tarn_error *error)
{
    tarn__prefetch_drop(backend->prefetch);
    TARN_TRY(tarn__workset_settle(
        backend->workset, NULL, tarn_bytes_at(NULL, 0), tarn_bytes_at(NULL, 0), error));
    for (tarn__child *child = backend->first_child; child != NULL; child = child->next) {
        tarn_keyed *keyed = tarn__keyed_of_child(child);
        if (keyed != NULL) {
            leave(keyed);
        }
    }
    if (atomic_load(&backend->is_gate_shut)) {
        tarn__backend_wait_at_gate(backend); /* A snapshot's worker may wait for the runs. */
    }
    close_both(backend);
    return TARN_OK;
}

static tarn_status switch_on(tarn_backend *backend, uint64_t bytes, tarn_error *error)
{
    TARN_TRY(open_of_bytes(backend, bytes, error));
    tarn_status status = TARN_OK;
    for (tarn__child *child = backend->first_child; child != NULL && status == TARN_OK;
         child = child->next) {
        tarn_keyed *keyed = tarn__keyed_of_child(child);
        if (keyed != NULL) {
            status = join(keyed, /* is_empty= */ false, error);
        }
    }
    if (status != TARN_OK) {
        TARN_TRY(switch_off(backend, NULL)); /* It has no rows yet. */
    }
    return status;
}

tarn_status tarn_backend_resize_working_set(
    tarn_backend *backend, uint64_t bytes, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    if (backend->workset == NULL) {
        return bytes > 0 ? switch_on(backend, bytes, error) : TARN_OK;
    }
    if (bytes == 0) {
        return switch_off(backend, error);
    }
    TARN_TRY(tarn__workset_resize(backend->workset, bytes, error));
    count_capacity(backend, bytes);
    return TARN_OK;
}

void tarn_backend_measure_working_set(const tarn_backend *backend, tarn_working_set_stats *out)
{
    tarn__workset_figures figures = {0};
    tarn__filter filters = {.memory_bytes = 0};
    if (backend->workset != NULL) {
        tarn__workset_measure(backend->workset, &figures);
    }
    for (tarn__child *child = backend->first_child; child != NULL; child = child->next) {
        const tarn_keyed *keyed = tarn__keyed_of_child(child);
        if (keyed != NULL) {
            tarn__new_keys_measure(keyed, &filters);
        }
    }
    const uint64_t absent_count = filters.read_count + filters.false_count;
    *out = (tarn_working_set_stats){
        .capacity_bytes = figures.capacity_bytes,
        .memory_bytes = figures.memory_bytes,
        .row_count = figures.row_count,
        .dirty_count = figures.dirty_count,
        .frozen_count = figures.frozen_count,
        .hit_count = figures.hit_count,
        .miss_count = figures.miss_count,
        .evicted_count = figures.evicted_count,
        .written_count = figures.written_count,
        .refused_count = figures.refused_count,
        .is_aside = figures.is_aside,
        .declined_count = figures.declined_count,
        .prefetched_count = figures.prefetched_count,
        .prefetch_lost_count = figures.prefetch_lost_count,
        .filter_bytes = filters.memory_bytes,
        .filter_new_count = filters.used_count,
        .filter_false_count = filters.false_count,
        .filter_false_rate =
            absent_count > 0 ? (double)filters.false_count / (double)absent_count : 0,
    };
}

/* ---- rows ------------------------------------------------------------------------------- */

static tarn_bytes value_of(const tarn_keyed *keyed, tarn__hot_row *row)
{
    return tarn_bytes_at(tarn__hot_row_value(&keyed->hot, row), row->value_size);
}

/* Reads a row of the store, unless it is known not to be there. */
static tarn_status look_up(
    tarn_keyed *keyed,
    const tarn__hot_key *key,
    tarn__rocks_pin *pin,
    tarn_bytes *out,
    tarn_error *error)
{
    if (tarn__hot_reads_new(key)) {
        return TARN_NOT_FOUND;
    }
    const tarn_status status = tarn__rocks_get(keyed->family, key->row, pin, out, error);
    tarn__new_keys_note_read(keyed, status != TARN_NOT_FOUND);
    return status;
}

/*
 * Reads a row of the store, and has the working set keep what is there or is not.
 *
 * is_only_read  It is not about to be changed: the working set may do without it.
 */
static tarn_status load(
    tarn_keyed *keyed,
    tarn__hot_key *key,
    bool is_only_read,
    tarn__rocks_pin *pin,
    tarn_bytes *out,
    tarn__hot_row **kept,
    tarn_error *error)
{
    tarn_bytes stored = {NULL, 0};
    const tarn_status status = look_up(keyed, key, pin, &stored, error);
    if (status != TARN_OK && status != TARN_NOT_FOUND) {
        return status;
    }
    const tarn__hot_state state = status == TARN_OK ? TARN__HOT_CLEAN : TARN__HOT_ABSENT;
    key->is_only_read = is_only_read;
    const tarn_status admitted =
        is_only_read && tarn__workset_declines(keyed->workset, key)
            ? TARN_OK
            : tarn__workset_set(keyed->workset, key, NULL, state, stored, kept, error);
    if (admitted != TARN_OK) {
        tarn__rocks_unpin(pin);
        return admitted;
    }
    if (status == TARN_OK) {
        *out = stored;
    }
    return status;
}

/* Folds what was added later into what was added earlier, as encoded in out. */
static tarn_status fold(
    const tarn_keyed *keyed,
    tarn_bytes earlier,
    tarn_bytes later,
    uint8_t out[TARN__REDUCTION_BYTES_MAX],
    size_t *size,
    tarn_error *error)
{
    tarn__reduction folded;
    tarn__reduction added;
    if (!tarn__reduction_decode(earlier, &folded) || !tarn__reduction_decode(later, &added) ||
        !tarn__reduction_fold(&folded, &added)) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "state \"%s\" holds %zu bytes that its reducer did not write",
            keyed->family->name,
            earlier.size);
    }
    *size = tarn__reduction_encode(&folded, out);
    return TARN_OK;
}

/* Makes a whole value of a partial and what the store has; a dirty one, when there is room. */
static tarn_status complete(
    tarn_keyed *keyed, tarn__hot_key *key, tarn__hot_row **row, tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    uint8_t bytes[TARN__REDUCTION_BYTES_MAX];
    tarn_bytes stored;
    TARN_TRY(tarn__workset_hand_over(keyed->workset, key, row, error));
    if (*row == NULL) {
        return TARN_OK; /* The store has all of it now. */
    }
    size_t size = (*row)->value_size;
    memcpy(bytes, tarn__hot_row_value(&keyed->hot, *row), size);
    const tarn_status status = look_up(keyed, key, &pin, &stored, error);
    if (status == TARN_OK) {
        TARN_TRY(fold(keyed, stored, tarn_bytes_at(bytes, size), bytes, &size, error));
    } else if (status != TARN_NOT_FOUND) {
        return status;
    }
    const tarn_bytes whole = tarn_bytes_at(bytes, size);
    TARN_TRY(tarn__workset_set(keyed->workset, key, *row, TARN__HOT_DIRTY, whole, row, error));
    if (*row != NULL) {
        return TARN_OK;
    }
    tarn__rocks_unpin(&pin);
    tarn__hot_pass_gate(keyed->backend);
    tarn__hot_note_put(keyed, key->hash);
    return tarn__backend_finish_write(
        keyed->backend, tarn__rocks_put(keyed->family, key->row, whole, error), error);
}

tarn_status tarn__hot_read(
    tarn_keyed *keyed, tarn_bytes row, tarn__rocks_pin *pin, tarn_bytes *out, tarn_error *error)
{
    tarn__hot_key key;
    tarn__hot_row *found = tarn__workset_find(keyed->workset, &keyed->hot, row, &key);
    if (found != NULL && __builtin_expect(found->state == TARN__HOT_PARTIAL, 0)) {
        TARN_TRY(complete(keyed, &key, &found, error));
    }
    if (__builtin_expect(found == NULL, 0)) {
        return load(keyed, &key, /* is_only_read= */ true, pin, out, &found, error);
    }
    if (!tarn__hot_row_has_value(found)) {
        return TARN_NOT_FOUND;
    }
    tarn__workset_hold(keyed->workset, &key);
    *out = value_of(keyed, found);
    return TARN_OK;
}

tarn_status tarn__hot_write(tarn_keyed *keyed, tarn_bytes row, tarn_bytes value, tarn_error *error)
{
    tarn__hot_key key;
    tarn__hot_row *kept = NULL;
    tarn__hot_row *found = tarn__workset_find(keyed->workset, &keyed->hot, row, &key);
    TARN_TRY(tarn__workset_set(keyed->workset, &key, found, TARN__HOT_DIRTY, value, &kept, error));
    if (__builtin_expect(kept != NULL, 1)) {
        return TARN_OK;
    }
    tarn__hot_pass_gate(keyed->backend);
    tarn__hot_note_put(keyed, key.hash);
    return tarn__backend_finish_write(
        keyed->backend, tarn__rocks_put(keyed->family, row, value, error), error);
}

tarn_status tarn__hot_erase(tarn_keyed *keyed, tarn_bytes row, tarn_error *error)
{
    tarn__hot_key key;
    tarn__hot_row *kept = NULL;
    tarn__hot_row *found = tarn__workset_find(keyed->workset, &keyed->hot, row, &key);
    if (tarn__hot_is_new(&key)) {
        return TARN_OK; /* The store need not hear of it. */
    }
    TARN_TRY(tarn__workset_set(
        keyed->workset, &key, found, TARN__HOT_TOMBSTONE, tarn_bytes_at(NULL, 0), &kept, error));
    if (kept != NULL) {
        return TARN_OK;
    }
    tarn__hot_pass_gate(keyed->backend);
    return tarn__backend_finish_write(
        keyed->backend, tarn__rocks_delete(keyed->family, row, error), error);
}

tarn_status tarn__hot_add(tarn_keyed *keyed, tarn_bytes row, tarn_bytes operand, tarn_error *error)
{
    tarn__hot_key key;
    uint8_t bytes[TARN__REDUCTION_BYTES_MAX];
    tarn__hot_row *kept = NULL;
    tarn__hot_row *found = tarn__workset_find(keyed->workset, &keyed->hot, row, &key);
    tarn__hot_state state = TARN__HOT_PARTIAL;
    TARN_TRY(tarn__workset_hand_over(keyed->workset, &key, &found, error));
    if (tarn__hot_is_new(&key) || (found != NULL && found->state != TARN__HOT_PARTIAL)) {
        state = TARN__HOT_DIRTY; /* What is there is known. */
    }
    if (found != NULL && (tarn__hot_row_has_value(found) || state == TARN__HOT_PARTIAL)) {
        size_t size = 0;
        TARN_TRY(fold(keyed, value_of(keyed, found), operand, bytes, &size, error));
        operand = tarn_bytes_at(bytes, size);
    }
    TARN_TRY(tarn__workset_set(keyed->workset, &key, found, state, operand, &kept, error));
    if (__builtin_expect(kept != NULL, 1)) {
        return TARN_OK;
    }
    tarn__hot_pass_gate(keyed->backend);
    tarn__hot_note_put(keyed, key.hash);
    const tarn_status status = state == TARN__HOT_PARTIAL
                                   ? tarn__rocks_merge(keyed->family, row, operand, error)
                                   : tarn__rocks_put(keyed->family, row, operand, error);
    return tarn__backend_finish_write(keyed->backend, status, error);
}

tarn_status tarn__hot_edit(
    tarn_keyed *keyed, tarn_bytes row, size_t size, void **out, tarn_error *error)
{
    tarn__hot_key key;
    tarn__hot_row *kept = NULL;
    tarn__hot_row *found = tarn__workset_find(keyed->workset, &keyed->hot, row, &key);
    if (__builtin_expect(found == NULL, 0)) {
        TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
        tarn_bytes stored;
        const tarn_status status =
            load(keyed, &key, /* is_only_read= */ false, &pin, &stored, &found, error);
        if (status != TARN_OK && status != TARN_NOT_FOUND) {
            return status;
        }
        if (found == NULL) {
            return TARN_OK;
        }
    }
    TARN_TRY(tarn__workset_edit(keyed->workset, &key, found, size, &kept, error));
    if (kept != NULL) {
        tarn__workset_hold(keyed->workset, &key);
        *out = tarn__hot_row_value(&keyed->hot, kept);
    }
    return TARN_OK;
}

bool tarn__hot_forget_expired(tarn_keyed *keyed, tarn_bytes row)
{
    tarn__hot_key key;
    if (keyed->workset == NULL) {
        return true;
    }
    if (keyed->hot.is_of_blocks) {
        return tarn__hot_map_forget_expired(keyed, row);
    }
    tarn__hot_row *found = tarn__workset_find(keyed->workset, &keyed->hot, row, &key);
    if (found != NULL && tarn__hot_row_is_dirty(found)) {
        return false;
    }
    if (found != NULL) {
        found->state = TARN__HOT_ABSENT; /* Where it is: its bytes may have been given out. */
        found->value_size = 0;
    }
    return true;
}

tarn_status tarn__hot_settle_adds(tarn_keyed *keyed, tarn_error *error)
{
    return keyed->workset != NULL && keyed->is_folded ? settle_state(keyed, error) : TARN_OK;
}
