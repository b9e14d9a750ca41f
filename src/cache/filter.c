/* filter.c - see filter.h. */
#include "cache/filter.h"

#include <assert.h>
#include <string.h>

enum {
    WORDS_PER_BLOCK = 8,
    BLOCK_BITS = 512,
    BLOCK_BITS_LOG2 = 9,
    PROBES_MAX = 7, /* 9 bits of the hash each. */
    FIRST_ROWS = 2048,
    GROWTH = 3,             /* Few layers: each answers some rows wrongly, and is looked at. */
    LEAST_GROWTH = 8,       /* An eighth more at least. */
    OVERFULL = 3,           /* Times its capacity: it answers little then. */
    WORTH_BYTES = 64 << 10, /* A smaller one is not looked at. */
    QUESTIONS_PER_LOOK = 16384,
    USEFUL_SHARE = 64, /* One answer of so many is used at least, and one row of so many. */
};

static const double PROBES_PER_BIT = 0.69; /* ln 2. */

void tarn__filter_init(
    tarn__filter *filter,
    tarn__account *account,
    tarn__filter_share *share,
    double bits_per_row,
    bool is_complete)
{
    const double probes = bits_per_row * PROBES_PER_BIT + 0.5;
    *filter = (tarn__filter){
        .account = account,
        .share = share,
        .bits_per_row = bits_per_row,
        .probe_count = probes >= PROBES_MAX ? PROBES_MAX : (uint32_t)probes,
        .is_complete = is_complete,
    };
    filter->probe_count += filter->probe_count == 0;
}

/* ---- layers ----------------------------------------------------------------------------- */

static size_t memory_of(uint64_t block_count)
{
    return (size_t)(block_count + 1) * TARN__FILTER_BLOCK_BYTES; /* One more, to align them. */
}

static bool open_layer(tarn__filter *filter, tarn__filter_layer *layer, uint64_t rows)
{
    const double blocks = (double)rows * filter->bits_per_row / BLOCK_BITS;
    const uint64_t block_count = (uint64_t)blocks + 1;
    if (block_count > UINT32_MAX) {
        return false;
    }
    const size_t bytes = memory_of(block_count);
    tarn__filter_share *share = filter->share;
    if (bytes > share->limit_bytes || share->used_bytes > share->limit_bytes - bytes) {
        return false;
    }
    void *memory = tarn__allocate_zeroed(filter->account, 1, bytes);
    if (memory == NULL) {
        return false;
    }
    const uintptr_t begin = (uintptr_t)memory + TARN__FILTER_BLOCK_BYTES - 1;
    const uintptr_t offset = begin / TARN__FILTER_BLOCK_BYTES * TARN__FILTER_BLOCK_BYTES;
    *layer = (tarn__filter_layer){
        .memory = memory,
        .words = (uint64_t *)(void *)((uint8_t *)memory + (offset - (uintptr_t)memory)),
        .block_count = block_count,
        .capacity = rows,
    };
    share->used_bytes += bytes;
    filter->memory_bytes += bytes;
    return true;
}

static void close_layer(tarn__filter *filter, tarn__filter_layer *layer)
{
    if (layer->memory != NULL) {
        const size_t bytes = memory_of(layer->block_count);
        filter->share->used_bytes -= bytes;
        filter->memory_bytes -= bytes;
        tarn__release(layer->memory);
        layer->memory = NULL;
    }
}

static uint64_t *block_of(const tarn__filter_layer *layer, uint64_t hash)
{
    return layer->words + ((hash >> 32) * layer->block_count >> 32) * WORDS_PER_BLOCK;
}

/* The bits within the block; those of the hash that choose the block do not choose them alone. */
static uint64_t probes_of(uint64_t hash)
{
    return (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static bool has_row(const tarn__filter *filter, const tarn__filter_layer *layer, uint64_t hash)
{
    const uint64_t *block = block_of(layer, hash);
    uint64_t probes = probes_of(hash);
    for (uint32_t i = 0; i < filter->probe_count; i++, probes >>= BLOCK_BITS_LOG2) {
        const uint64_t word = __atomic_load_n(&block[(probes >> 6) & 7], __ATOMIC_RELAXED);
        if ((word >> (probes & 63) & 1) == 0) {
            return false;
        }
    }
    return true;
}

/* Another thread may do the same to the layer. */
static void add_row(const tarn__filter *filter, const tarn__filter_layer *layer, uint64_t hash)
{
    uint64_t *block = block_of(layer, hash);
    uint64_t probes = probes_of(hash);
    for (uint32_t i = 0; i < filter->probe_count; i++, probes >>= BLOCK_BITS_LOG2) {
        (void)__atomic_fetch_or(
            &block[(probes >> 6) & 7], UINT64_C(1) << (probes & 63), __ATOMIC_RELAXED);
    }
}

static bool is_known(const tarn__filter *filter, uint64_t hash)
{
    for (uint32_t i = filter->layer_count; i > 0; i--) {
        if (has_row(filter, &filter->layers[i - 1], hash)) {
            return true;
        }
    }
    return false;
}

/* ---- rows ------------------------------------------------------------------------------- */

/* Whether it was used once in so many questions, or rows, since the last look. */
static bool is_useful(tarn__filter *filter, uint64_t count)
{
    const uint64_t used = filter->used_count - filter->used_before;
    filter->asked_before = filter->asked_count;
    filter->used_before = filter->used_count;
    return filter->memory_bytes <= WORTH_BYTES || used >= count / USEFUL_SHARE;
}

static void give_up(tarn__filter *filter)
{
    filter->drop_count++;
    tarn__filter_drop(filter);
}

bool tarn__filter_is_new(tarn__filter *filter, uint64_t hash)
{
    if (!filter->is_complete) {
        return false;
    }
    filter->asked_count++;
    if (filter->asked_count - filter->asked_before >= QUESTIONS_PER_LOOK &&
        !is_useful(filter, QUESTIONS_PER_LOOK)) {
        give_up(filter);
        return false;
    }
    return !is_known(filter, hash);
}

static uint64_t capacity_of(const tarn__filter *filter)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < filter->layer_count; i++) {
        rows += filter->layers[i].capacity;
    }
    return rows;
}

/* Begins a layer, three times as large as all others, or as large as may be. */
static bool grow(tarn__filter *filter)
{
    const uint64_t total = capacity_of(filter);
    uint64_t rows = total > 0 ? total * GROWTH : FIRST_ROWS;
    for (; rows >= FIRST_ROWS && rows >= total / LEAST_GROWTH; rows /= 2) {
        if (open_layer(filter, &filter->layers[filter->layer_count], rows)) {
            filter->layer_count++;
            return true;
        }
    }
    return false;
}

/* Begins another layer when the last one is full. False: there is none, or it is not worth it. */
static bool make_room(tarn__filter *filter)
{
    const tarn__filter_layer *last =
        filter->layer_count > 0 ? &filter->layers[filter->layer_count - 1] : NULL;
    if (last != NULL && last->count < last->capacity) {
        return true;
    }
    if (last != NULL && last->count == last->capacity && !is_useful(filter, last->capacity)) {
        return false;
    }
    if (filter->layer_count < TARN__FILTER_LAYERS_MAX && grow(filter)) {
        return true;
    }
    return last != NULL && last->count < last->capacity * OVERFULL;
}

void tarn__filter_add(tarn__filter *filter, uint64_t hash)
{
    if (filter->next.memory != NULL && !has_row(filter, &filter->next, hash)) {
        add_row(filter, &filter->next, hash);
        filter->next.count++;
    }
    if (!filter->is_complete || is_known(filter, hash)) {
        return;
    }
    if (!make_room(filter)) {
        give_up(filter);
        return;
    }
    tarn__filter_layer *last = &filter->layers[filter->layer_count - 1];
    add_row(filter, last, hash);
    last->count++;
}

static void close_layers(tarn__filter *filter)
{
    while (filter->layer_count > 0) {
        close_layer(filter, &filter->layers[--filter->layer_count]);
    }
}

void tarn__filter_drop(tarn__filter *filter)
{
    close_layers(filter);
    filter->is_complete = false;
}

void tarn__filter_clear(tarn__filter *filter)
{
    tarn__filter_drop(filter);
    tarn__filter_abandon(filter);
}

/* ---- building --------------------------------------------------------------------------- */

bool tarn__filter_begin(tarn__filter *filter, uint64_t row_count)
{
    assert(filter->next.memory == NULL);
    return open_layer(filter, &filter->next, row_count > FIRST_ROWS ? row_count : FIRST_ROWS);
}

void tarn__filter_build(tarn__filter *filter, uint64_t hash)
{
    add_row(filter, &filter->next, hash);
}

void tarn__filter_finish(tarn__filter *filter, uint64_t count)
{
    assert(filter->next.memory != NULL);
    close_layers(filter);
    filter->layers[0] = filter->next;
    filter->layers[0].count += count;
    filter->layer_count = 1;
    filter->next = (tarn__filter_layer){.memory = NULL};
    filter->is_complete = true;
}

void tarn__filter_abandon(tarn__filter *filter)
{
    close_layer(filter, &filter->next);
}
