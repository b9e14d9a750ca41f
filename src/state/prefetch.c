/* prefetch.c - see prefetch.h. */
#include "state/prefetch_private.h"

#include <assert.h>

#include "base/options.h"
#include "cache/ahead.h"
#include "state/hot_list.h"
#include "state/hot_map_ahead.h"
#include "state/new_keys.h"

enum {
    FIRST_ROWS = 64,
    ROW_BYTES_MAX = 1 << 20,
    VALUE_BYTES_EXPECTED = 32, /* Of a state of which none was read yet. */
    ORDER_BYTES = 8,
};

/* ---- life ------------------------------------------------------------------------------- */

void tarn_prefetch_init(tarn_prefetch *prefetch, size_t struct_size)
{
    memset(prefetch, 0, struct_size);
    prefetch->struct_size = struct_size;
}

static tarn_status open_once(tarn_backend *backend, tarn_error *error)
{
    if (backend->prefetch != NULL) {
        return TARN_OK;
    }
    tarn__prefetch *prefetch = tarn__allocate_zeroed(backend->account, 1, sizeof *prefetch);
    if (prefetch == NULL) {
        return tarn__fail_no_memory(error, "a prefetch", sizeof *prefetch);
    }
    prefetch->backend = backend;
    prefetch->bytes.allocator = &backend->account->face;
    prefetch->contents.allocator = &backend->account->face;
    (void)pthread_mutex_init(&prefetch->mutex, NULL);
    (void)pthread_cond_init(&prefetch->is_quiet, NULL);
    backend->prefetch = prefetch;
    return TARN_OK;
}

void tarn__prefetch_drop(tarn__prefetch *prefetch)
{
    if (prefetch == NULL || prefetch->count == 0) {
        return;
    }
    tarn__ahead_withdraw(prefetch);
    for (uint32_t i = 0; prefetch->is_sorted && i < prefetch->count; i++) {
        tarn__rocks_unpin(&prefetch->reads[i].pin);
    }
    prefetch->count = 0;
}

void tarn__prefetch_close(tarn__prefetch *prefetch)
{
    if (prefetch == NULL) {
        return;
    }
    tarn__prefetch_drop(prefetch);
    tarn__workers_close(prefetch->helper);
    (void)pthread_cond_destroy(&prefetch->is_quiet);
    (void)pthread_mutex_destroy(&prefetch->mutex);
    tarn_buffer_clear(&prefetch->bytes);
    tarn_buffer_clear(&prefetch->contents);
    tarn__release(prefetch->reads);
    tarn__release(prefetch->items);
    tarn__release(prefetch);
}

/* ---- taking in -------------------------------------------------------------------------- */

static tarn__hot_state state_of(const tarn__rocks_read *read)
{
    if (read->status == TARN_OK) {
        return TARN__HOT_CLEAN;
    }
    return read->status == TARN_NOT_FOUND ? TARN__HOT_ABSENT : TARN__HOT_FREE;
}

static tarn_status take_in_whole(tarn__prefetch *p, uint32_t index, tarn_error *error)
{
    const tarn__ahead_item *item = &p->items[index];
    tarn_keyed *keyed = item->keyed;
    const tarn_bytes row = tarn__ahead_row(p, item);
    const tarn_status outcome = p->reads[index].status;
    tarn_bytes content = {NULL, 0};
    if (outcome == TARN_OK && item->content_size > 0) {
        content = tarn_bytes_at(p->contents.data + item->content_at, item->content_size);
        keyed->value_bytes_seen = item->content_size;
    }
    return keyed->hot.is_of_blocks
               ? tarn__hot_map_fulfil(keyed, row, p->batch, outcome, content, error)
               : tarn__hot_list_fulfil(keyed, row, p->batch, outcome, content, error);
}

static tarn_status take_in_row(tarn__prefetch *p, uint32_t index, tarn_error *error)
{
    const tarn__ahead_item *item = &p->items[index];
    tarn_keyed *keyed = item->keyed;
    const tarn__rocks_read *read = &p->reads[index];
    const tarn__hot_state state = state_of(read);
    const bool has_value = state == TARN__HOT_CLEAN;
    if (keyed->hot.is_of_blocks) {
        /* That there is no such entry does not tell whether it is new. */
        return tarn__hot_map_fulfil_entry(keyed, read->key, item->head_size, p->batch, read, error);
    }
    if (has_value) {
        keyed->value_bytes_seen = read->value.size < UINT32_MAX ? (uint32_t)read->value.size : 0;
    }
    if (state != TARN__HOT_FREE) {
        tarn__new_keys_note_read(keyed, has_value);
    }
    return tarn__workset_fulfil(
        keyed->workset,
        &keyed->hot,
        read->key,
        p->batch,
        state,
        has_value ? read->value : tarn_bytes_at(NULL, 0),
        error);
}

/* Ends the batch: what nobody has read yet is read here, and all of it goes into the set. */
static tarn_status take_in(tarn__prefetch *p, tarn_error *error)
{
    tarn_status status = TARN_OK;
    if (p->count == 0) {
        return TARN_OK;
    }
    tarn__ahead_read(p);
    tarn__ahead_withdraw(p);
    for (uint32_t i = 0; i < p->count; i++) {
        if (status == TARN_OK) {
            status = p->items[i].limit != 0 ? take_in_whole(p, i, error) : take_in_row(p, i, error);
        }
        tarn__rocks_unpin(&p->reads[i].pin);
    }
    p->count = 0;
    return status;
}

/* ---- beginning -------------------------------------------------------------------------- */

static tarn_status reserve_item(tarn__prefetch *p, tarn_error *error)
{
    if (p->count < p->capacity) {
        return TARN_OK;
    }
    tarn__account *account = p->backend->account;
    const uint32_t capacity = p->capacity == 0 ? FIRST_ROWS : p->capacity * 2;
    tarn__ahead_item *items = tarn__reallocate(account, p->items, capacity * sizeof *items);
    if (items != NULL) {
        p->items = items;
        tarn__rocks_read *reads = tarn__reallocate(account, p->reads, capacity * sizeof *reads);
        if (reads != NULL) {
            p->reads = reads;
            p->capacity = capacity;
            return TARN_OK;
        }
    }
    return tarn__fail_no_memory(
        error, "a prefetch", capacity * (sizeof *p->items + sizeof *p->reads));
}

/* Writes the row of a key and the state's namespace; answers its bytes. */
static size_t encode_row(const tarn_keyed *keyed, uint32_t group, tarn_bytes key, uint8_t *out)
{
    const tarn_bytes name_space = tarn_buffer_bytes(&keyed->name_space);
    const size_t size = tarn__row_encode_key(out, group, key);
    uint8_t *at = out + size;
    if (keyed->layout != TARN__ROW_KEY_FIRST) {
        at = out + TARN__ROW_GROUP_BYTES;
        memmove(at + name_space.size, at, size - TARN__ROW_GROUP_BYTES);
    }
    memcpy(at, name_space.data, name_space.size);
    return size + name_space.size;
}

static uint64_t order_of(const uint8_t *row, size_t size)
{
    uint64_t order = 0;
    for (size_t i = 0; i < ORDER_BYTES; i++) {
        order = order << 8 | (i < size ? row[i] : 0);
    }
    return order;
}

/* What of a key is to be read in a state. */
typedef struct wanted {
    tarn_keyed *keyed;
    uint32_t group;
    tarn_bytes key;
    bool is_entry;       /* Of a map; else all that the key has. */
    tarn_bytes user_key; /* Of the entry. */
} wanted;

/* Has the working set expect a row whose bytes are in the batch; an item of 0 bytes: it does not.
 */
static tarn_status expect(
    tarn__prefetch *p, const wanted *what, tarn__ahead_item *item, tarn_error *error)
{
    tarn_keyed *keyed = what->keyed;
    const uint8_t *bytes = p->bytes.data + item->at;
    const tarn_bytes row = tarn_bytes_at(bytes, item->size);
    bool is_pending = false;
    if (keyed->has_single_rows) {
        const size_t value_bytes =
            keyed->value_bytes_seen != 0 ? keyed->value_bytes_seen : VALUE_BYTES_EXPECTED;
        TARN_TRY(tarn__workset_expect(
            keyed->workset, &keyed->hot, row, p->batch, value_bytes, &is_pending, error));
    } else if (!keyed->hot.is_of_blocks) {
        item->limit = TARN__HOT_LIST_WHOLE_BYTES_MAX;
        TARN_TRY(tarn__hot_list_expect(keyed, row, p->batch, &is_pending, error));
    } else {
        const tarn_bytes prefix = tarn_bytes_at(bytes, item->head_size);
        const uint32_t limit = tarn__hot_map_ahead_limit(keyed, prefix);
        const tarn_bytes suffix =
            what->is_entry ? tarn_bytes_at(bytes + item->head_size, item->size - item->head_size)
                           : tarn_bytes_at(NULL, 0);
        item->limit = what->is_entry ? 0 : limit;
        if (limit > 0) {
            TARN_TRY(tarn__hot_map_expect(keyed, prefix, suffix, p->batch, &is_pending, error));
        }
    }
    item->size = is_pending ? item->size : 0;
    return TARN_OK;
}

/* Puts the row behind all rows of a whole map or list behind its own. */
static void add_beyond(tarn__prefetch *p, tarn__ahead_item *item)
{
    uint8_t *beyond = p->bytes.data + item->at + item->size;
    memcpy(beyond, p->bytes.data + item->at, item->size);
    item->head_size = (uint32_t)tarn__row_successor(beyond, item->size);
}

static tarn_status add_row(tarn__prefetch *p, const wanted *what, tarn_error *error)
{
    const size_t at = p->bytes.size;
    const size_t row_bytes = TARN__ROW_GROUP_BYTES + TARN__ROW_VARINT_BYTES_MAX + what->key.size +
                             what->keyed->name_space.size + what->user_key.size;
    const size_t most = at + 2 * row_bytes; /* Of a whole one, with the row behind. */
    if (p->count == TARN_PREFETCH_ROWS_MAX || most > ROW_BYTES_MAX) {
        return TARN_OK;
    }
    TARN_TRY(reserve_item(p, error));
    if (tarn_buffer_reserve(&p->bytes, most) != TARN_OK) {
        return tarn__fail_no_memory(error, "a prefetch", most);
    }
    uint8_t *row = p->bytes.data + at;
    const size_t head_size = encode_row(what->keyed, what->group, what->key, row);
    if (what->user_key.size > 0) {
        memcpy(row + head_size, what->user_key.data, what->user_key.size);
    }
    const size_t size = head_size + what->user_key.size;
    tarn__ahead_item item = {
        .keyed = what->keyed,
        .order = order_of(row, size),
        .at = (uint32_t)at,
        .size = (uint32_t)size,
        .head_size = (uint32_t)head_size,
    };
    TARN_TRY(expect(p, what, &item, error));
    if (item.size == 0) {
        return TARN_OK;
    }
    p->bytes.size += item.size;
    if (item.limit != 0) {
        add_beyond(p, &item);
        p->bytes.size += item.head_size;
    }
    p->items[p->count++] = item;
    return TARN_OK;
}

static tarn_status group_of(
    const tarn_backend *backend,
    const tarn_prefetch *what,
    size_t index,
    uint32_t *out,
    tarn_error *error)
{
    const tarn_bytes key = what->keys[index];
    if (key.size > TARN__ROW_KEY_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a key to prefetch has %zu bytes; allowed are %d",
            key.size,
            TARN__ROW_KEY_BYTES_MAX);
    }
    if (what->hashes != NULL) {
        *out = tarn_key_group_of(what->hashes[index], backend->max_parallelism);
    } else {
        TARN_TRY(tarn__backend_group_of(backend, key, out, error));
    }
    if (*out < backend->key_groups.first || *out > backend->key_groups.last) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a key of group %u is to be prefetched by %s/%u, which owns the groups %u to %u",
            *out,
            backend->operator_name,
            backend->subtask_index,
            backend->key_groups.first,
            backend->key_groups.last);
    }
    return TARN_OK;
}

static tarn_status add_rows(tarn__prefetch *p, const tarn_prefetch *what, tarn_error *error)
{
    p->bytes.size = 0;
    p->batch++;
    for (size_t k = 0; k < what->key_count && p->count < TARN_PREFETCH_ROWS_MAX; k++) {
        uint32_t group = 0;
        TARN_TRY(group_of(p->backend, what, k, &group, error));
        for (size_t s = 0; s < what->state_count; s++) {
            const bool is_entry = what->states[s]->is_map && what->user_keys != NULL;
            const wanted row = {
                .keyed = what->states[s],
                .group = group,
                .key = what->keys[k],
                .is_entry = is_entry,
                .user_key = is_entry ? what->user_keys[k] : tarn_bytes_at(NULL, 0),
            };
            if (row.keyed->workset != NULL) {
                TARN_TRY(add_row(p, &row, error));
            }
        }
    }
    return TARN_OK;
}

/* ---- calls ------------------------------------------------------------------------------ */

static tarn_status check(const tarn_backend *backend, const tarn_prefetch *what, tarn_error *error)
{
    if ((what->states == NULL && what->state_count > 0) ||
        (what->keys == NULL && what->key_count > 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "tarn_prefetch.%s is missing",
            what->states == NULL && what->state_count > 0 ? "states" : "keys");
    }
    if ((what->hashes != NULL) != (backend->key_hash == TARN_KEY_HASH_CALLER) &&
        what->key_count > 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "tarn_prefetch.hashes are for TARN_KEY_HASH_CALLER, and for that alone");
    }
    for (size_t i = 0; i < what->state_count; i++) {
        const tarn_keyed *keyed = what->states[i];
        if (keyed == NULL || keyed->backend != backend) {
            return tarn__fail(
                error, TARN_INVALID_ARGUMENT, "state %zu to prefetch is not of this backend", i);
        }
        for (size_t k = 0; keyed->is_map && what->user_keys != NULL && k < what->key_count; k++) {
            TARN_TRY(tarn__keyed_check_user_key(keyed, what->user_keys[k].size, error));
        }
    }
    return TARN_OK;
}

/* Takes in the batch before, and makes one of what is wanted next. */
static tarn_status begin(tarn_backend *backend, const tarn_prefetch *what, tarn_error *error)
{
    tarn_prefetch known = TARN_PREFETCH_INIT;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    if (what != NULL) {
        TARN_TRY(tarn__options_copy("tarn_prefetch", what, &known, sizeof known, error));
        TARN_TRY(check(backend, &known, error));
    }
    tarn_status status = open_once(backend, error);
    if (status == TARN_OK) {
        status = take_in(backend->prefetch, error);
    }
    if (status == TARN_OK) {
        status = add_rows(backend->prefetch, &known, error);
    }
    if (status != TARN_OK) {
        if (backend->prefetch != NULL) {
            backend->prefetch->count = 0; /* Nothing of it was published. */
        }
        return status;
    }
    if (backend->prefetch->count > 0) {
        tarn__ahead_publish(backend->prefetch);
    }
    return TARN_OK;
}

tarn_status tarn_backend_prefetch(
    tarn_backend *backend, const tarn_prefetch *what, tarn_error *error)
{
    TARN_TRY(begin(backend, what, error));
    return take_in(backend->prefetch, error);
}

tarn_status tarn_backend_prefetch_ahead(
    tarn_backend *backend, const tarn_prefetch *what, tarn_error *error)
{
    TARN_TRY(begin(backend, what, error));
    tarn__prefetch *p = backend->prefetch;
    if (p->count == 0) {
        return TARN_OK;
    }
    const bool has_helper =
        p->helper != NULL ||
        tarn__workers_open(backend->account, 1, 1, "tarn-prefetch", &p->helper, NULL) == TARN_OK;
    if (has_helper) { /* No room: a job that has not begun yet does this batch too. */
        (void)tarn__workers_try_submit(p->helper, tarn__ahead_read, p);
    }
    return TARN_OK; /* Without one this thread reads, when it takes the rows in. */
}
