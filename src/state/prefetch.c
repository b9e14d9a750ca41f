/* prefetch.c - see prefetch.h. */
#include "state/prefetch.h"

#include <assert.h>

#include "base/options.h"
#include "cache/ahead.h"

enum {
    FIRST_ROWS = 64,
    ROW_BYTES_MAX = 1 << 20,
    VALUE_BYTES_MAX = 4 << 20,
    VALUE_BYTES_EXPECTED = 32, /* Of a state of which none was read yet. */
    ORDER_BYTES = 8,
};

/* A row that is to be read. */
typedef struct item {
    tarn_keyed *keyed;
    uint64_t order; /* Its first bytes: they decide most comparisons. */
    uint32_t at;    /* In the batch's bytes. */
    uint32_t size;
} item;

struct tarn__prefetch {
    tarn_backend *backend;
    tarn__workers *helper; /* One thread. NULL: there is none. */
    uint32_t batch;        /* Its number. */
    tarn_buffer bytes;     /* Of its rows. */
    item *items;
    tarn__rocks_read *reads; /* In the order of items, once those are sorted. */
    uint32_t capacity;       /* Of both. */
    uint32_t count;

    pthread_mutex_t mutex; /* From here on: under it, as are items and reads while published. */
    pthread_cond_t is_quiet;
    bool is_sorted;
    uint32_t published_count; /* Rows that may be read. */
    uint32_t next;            /* The first one that nobody reads yet. */
    uint32_t reader_count;    /* Chunks that are being read. */
    uint64_t value_bytes;     /* Of what was read. */
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
    (void)pthread_mutex_init(&prefetch->mutex, NULL);
    (void)pthread_cond_init(&prefetch->is_quiet, NULL);
    backend->prefetch = prefetch;
    return TARN_OK;
}

/* Takes back what nobody reads yet, and waits for the rest. */
static void withdraw(tarn__prefetch *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->next = p->published_count;
    while (p->reader_count > 0) {
        (void)pthread_cond_wait(&p->is_quiet, &p->mutex);
    }
    p->published_count = 0;
    p->next = 0;
    (void)pthread_mutex_unlock(&p->mutex);
}

void tarn__prefetch_drop(tarn__prefetch *prefetch)
{
    if (prefetch == NULL || prefetch->count == 0) {
        return;
    }
    withdraw(prefetch);
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
    tarn__release(prefetch->reads);
    tarn__release(prefetch->items);
    tarn__release(prefetch);
}

/* ---- reading: any thread ---------------------------------------------------------------- */

static bool is_before(const tarn__prefetch *p, const item *a, const item *b)
{
    if (a->keyed != b->keyed) {
        return (uintptr_t)a->keyed < (uintptr_t)b->keyed;
    }
    if (a->order != b->order) {
        return a->order < b->order;
    }
    return tarn_bytes_compare(
               tarn_bytes_at(p->bytes.data + a->at, a->size),
               tarn_bytes_at(p->bytes.data + b->at, b->size)) < 0;
}

/* Shell's sort, as qsort() may allocate; and the reads in that order, which nobody began yet. */
static void sort(tarn__prefetch *p)
{
    static const uint32_t GAPS[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof GAPS / sizeof GAPS[0]; g++) {
        const uint32_t gap = GAPS[g];
        for (uint32_t i = gap; i < p->count; i++) {
            const item moved = p->items[i];
            uint32_t at = i;
            while (at >= gap && is_before(p, &moved, &p->items[at - gap])) {
                p->items[at] = p->items[at - gap];
                at -= gap;
            }
            p->items[at] = moved;
        }
    }
    for (uint32_t i = 0; i < p->count; i++) {
        p->reads[i] = (tarn__rocks_read){
            .key = tarn_bytes_at(p->bytes.data + p->items[i].at, p->items[i].size),
            .status = TARN_ABANDONED,
        };
    }
    p->is_sorted = true;
}

/* Takes rows of one state to read; none: there are no more, or their values take too much. */
static uint32_t claim(tarn__prefetch *p, uint32_t *first)
{
    uint32_t count = 0;
    (void)pthread_mutex_lock(&p->mutex);
    if (p->next < p->published_count && p->value_bytes < VALUE_BYTES_MAX) {
        if (!p->is_sorted) {
            sort(p);
        }
        *first = p->next;
        while (count < TARN__ROCKS_READS_MAX && p->next < p->published_count &&
               p->items[p->next].keyed == p->items[*first].keyed) {
            p->next++;
            count++;
        }
        p->reader_count++;
    }
    (void)pthread_mutex_unlock(&p->mutex);
    return count;
}

static void finish_chunk(tarn__prefetch *p, const tarn__rocks_read *reads, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += reads[i].status == TARN_OK ? reads[i].value.size : 0;
    }
    (void)pthread_mutex_lock(&p->mutex);
    p->value_bytes += bytes;
    p->reader_count--;
    (void)pthread_cond_broadcast(&p->is_quiet);
    (void)pthread_mutex_unlock(&p->mutex);
}

/* Reads until there is nothing left. The helper's job, and the task thread's when it waits. */
static void read_rows(void *context)
{
    tarn__prefetch *p = context;
    uint32_t first = 0;
    uint32_t count = 0;
    while ((count = claim(p, &first)) > 0) {
        tarn__rocks_get_sorted(p->items[first].keyed->family, p->reads + first, count);
        finish_chunk(p, p->reads + first, count);
    }
}

/* ---- taking in -------------------------------------------------------------------------- */

static tarn__hot_state state_of(const tarn__rocks_read *read)
{
    if (read->status == TARN_OK) {
        return TARN__HOT_CLEAN;
    }
    return read->status == TARN_NOT_FOUND ? TARN__HOT_ABSENT : TARN__HOT_FREE;
}

static tarn_status take_in_row(tarn__prefetch *p, uint32_t index, tarn_error *error)
{
    tarn_keyed *keyed = p->items[index].keyed;
    const tarn__rocks_read *read = &p->reads[index];
    const tarn__hot_state state = state_of(read);
    const bool has_value = state == TARN__HOT_CLEAN;
    if (has_value) {
        keyed->value_bytes_seen = read->value.size < UINT32_MAX ? (uint32_t)read->value.size : 0;
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
    read_rows(p);
    withdraw(p);
    for (uint32_t i = 0; i < p->count; i++) {
        if (status == TARN_OK) {
            status = take_in_row(p, i, error);
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
    item *items = tarn__reallocate(account, p->items, capacity * sizeof *items);
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

static tarn_status add_row(
    tarn__prefetch *p, tarn_keyed *keyed, uint32_t group, tarn_bytes key, tarn_error *error)
{
    const size_t at = p->bytes.size;
    const size_t most =
        at + TARN__ROW_GROUP_BYTES + TARN__ROW_VARINT_BYTES_MAX + key.size + keyed->name_space.size;
    if (p->count == TARN_PREFETCH_ROWS_MAX || most > ROW_BYTES_MAX) {
        return TARN_OK;
    }
    TARN_TRY(reserve_item(p, error));
    if (tarn_buffer_reserve(&p->bytes, most) != TARN_OK) {
        return tarn__fail_no_memory(error, "a prefetch", most);
    }
    uint8_t *row = p->bytes.data + at;
    const size_t size = encode_row(keyed, group, key, row);
    const size_t value_bytes =
        keyed->value_bytes_seen != 0 ? keyed->value_bytes_seen : VALUE_BYTES_EXPECTED;
    bool is_pending = false;
    TARN_TRY(tarn__workset_expect(
        keyed->workset,
        &keyed->hot,
        tarn_bytes_at(row, size),
        p->batch,
        value_bytes,
        &is_pending,
        error));
    if (is_pending) {
        p->items[p->count++] = (item){keyed, order_of(row, size), (uint32_t)at, (uint32_t)size};
        p->bytes.size += size;
    }
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
            tarn_keyed *keyed = what->states[s];
            if (keyed->workset != NULL) {
                TARN_TRY(add_row(p, keyed, group, what->keys[k], error));
            }
        }
    }
    return TARN_OK;
}

static void publish(tarn__prefetch *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->is_sorted = false;
    p->value_bytes = 0;
    p->next = 0;
    p->published_count = p->count;
    (void)pthread_mutex_unlock(&p->mutex);
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
        if (!keyed->has_single_rows) {
            return tarn__fail(
                error,
                TARN_NOT_SUPPORTED,
                "state \"%s\" cannot be prefetched: a key has not one row in it",
                keyed->family->name);
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
    const uint64_t refused_count = tarn__backend_refused_count(backend);
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
        return tarn__backend_explain(backend, refused_count, status, error);
    }
    if (backend->prefetch->count > 0) {
        publish(backend->prefetch);
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
        (void)tarn__workers_try_submit(p->helper, read_rows, p);
    }
    return TARN_OK; /* Without one this thread reads, when it takes the rows in. */
}
