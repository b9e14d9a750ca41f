/*
 * evict.c - which rows leave when memory is short.
 *
 * The hand of a clock goes from slot to slot. A hit warms a row, the hand cools it, and a cold row
 * goes: what is read once by a scan is gone at the next turn, what is hot stays for three. Cold
 * dirty rows are collected and written together. When the hand finds no slot of the wanted size for
 * long, a whole page is vacated and serves that size.
 *
 * While the store is held, dirty rows stay unless they are frozen. Those that go by a run stay
 * until it has landed; when nothing else leaves, a few of them are written here at a time, though
 * not for a single value that is only read; for maps and lists they are, read or not. When nothing
 * is left at all the store is released, which takes as long as it takes: back-pressure, not
 * failure.
 */
#include <assert.h>

#include "base/refusal.h"
#include "cache/workset_private.h"

enum {
    SWEEP_SLOTS_MAX = 4096,
    PRESSED_ROWS = 32, /* Written at once while a run may have them soon: others wait for it. */
};

static bool is_spared(const tarn__workset *set, uint32_t reference)
{
    return reference == set->held || reference == set->busy;
}

static bool has_spared(const tarn__workset *set, uint32_t page)
{
    return (set->held != 0 && tarn__slab_page_of(&set->slab, set->held) == page) ||
           (set->busy != 0 && tarn__slab_page_of(&set->slab, set->busy) == page);
}

static bool may_write(const tarn__workset *set, const tarn__hot_row *row)
{
    return tarn__workset_is_frozen(set, row) || !set->store.is_held(set->store.context);
}

/* Whether a dirty row is left to a run, which will have it soon. */
static bool is_left(const tarn__workset *set, const tarn__hot_row *row)
{
    return !set->is_pressed && set->is_draining && tarn__workset_is_sendable(set, row);
}

/* Writes the rows of the batch and evicts them. */
static tarn_status evict_batch(tarn__workset *set, tarn_error *error)
{
    const uint32_t count = set->batch_count;
    TARN_TRY(tarn__workset_batch_write(set, error));
    for (uint32_t i = 0; i < count; i++) {
        if (tarn__slab_at(&set->slab, set->batch[i])->state != TARN__HOT_FREE) {
            tarn__workset_forget(set, set->batch[i]);
            set->figures.evicted_count++;
        }
    }
    return TARN_OK;
}

/* Looks at a row under the hand. True: the batch is full. */
static bool judge(tarn__workset *set, uint32_t reference)
{
    tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
    if (row->state == TARN__HOT_FREE || is_spared(set, reference)) {
        return false;
    }
    if (row->heat > 0) {
        row->heat--;
        return false;
    }
    if (tarn__hot_row_is_dirty(row)) {
        return may_write(set, row) && !is_left(set, row) &&
               (tarn__workset_batch_add(set, reference) ||
                (set->is_pressed && set->batch_count >= PRESSED_ROWS));
    }
    if (tarn__workset_row_is_flying(set, row)) {
        return false;
    }
    tarn__workset_forget(set, reference);
    set->figures.evicted_count++;
    return false;
}

/* Goes on with the hand within a page. True: the batch is full. */
static bool sweep_page(tarn__workset *set, size_t bytes, uint32_t *slots_left)
{
    tarn__cursor *hand = &set->hand;
    if (hand->page >= set->slab.page_count) {
        *hand = (tarn__cursor){0};
    }
    const tarn__slab_page *page = &set->slab.pages[hand->page];
    const bool is_used = page->has_memory;
    while (is_used && page->units != 0 && hand->slot < page->slot_count) {
        const uint32_t reference = tarn__slab_reference(&set->slab, hand->page, hand->slot++);
        if (judge(set, reference)) {
            return true;
        }
        if (--*slots_left == 0 || tarn__slab_has_room(&set->slab, bytes)) {
            return false;
        }
    }
    *hand = (tarn__cursor){.page = hand->page + 1};
    return false;
}

/* Goes on with the hand until there is room, once around at most: no row is met twice. */
static tarn_status sweep(tarn__workset *set, size_t bytes, tarn_error *error)
{
    uint32_t slots_left = SWEEP_SLOTS_MAX;
    bool is_full = false;
    for (uint32_t i = 0; i < set->slab.page_count && slots_left > 0 && !is_full &&
                         !tarn__slab_has_room(&set->slab, bytes);
         i++) {
        is_full = sweep_page(set, bytes, &slots_left);
    }
    return evict_batch(set, error);
}

/* Whether all rows of a page may go. */
static bool may_vacate(const tarn__workset *set, uint32_t index)
{
    const tarn__slab_page *page = &set->slab.pages[index];
    if (!page->has_memory || page->units == 0 || has_spared(set, index)) {
        return false;
    }
    for (uint32_t slot = 0; slot < page->slot_count; slot++) {
        const tarn__hot_row *row =
            tarn__slab_at(&set->slab, tarn__slab_reference(&set->slab, index, slot));
        if (tarn__hot_row_is_dirty(row) ? !may_write(set, row) || is_left(set, row)
                                        : tarn__workset_row_is_flying(set, row)) {
            return false;
        }
    }
    return true;
}

/* Evicts all rows of a page, hot or not. */
static tarn_status vacate(tarn__workset *set, uint32_t index, tarn_error *error)
{
    const tarn__slab_page *page = &set->slab.pages[index];
    const uint32_t slot_count = page->slot_count;
    const uint32_t units = page->units;
    for (uint32_t slot = 0; slot < slot_count && page->units == units; slot++) {
        const uint32_t reference = tarn__slab_reference(&set->slab, index, slot);
        tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
        row->heat = 0;
        if (judge(set, reference)) {
            TARN_TRY(evict_batch(set, error));
        }
    }
    return evict_batch(set, error);
}

/* Vacates the next page that may be, from the hand on. *did_out tells whether there was one. */
static tarn_status vacate_next(tarn__workset *set, bool *did_out, tarn_error *error)
{
    const uint32_t count = set->slab.page_count;
    *did_out = false;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t index = (set->hand.page + i) % count;
        if (may_vacate(set, index)) {
            set->hand = (tarn__cursor){.page = index + 1};
            *did_out = true;
            return vacate(set, index, error);
        }
    }
    return TARN_OK;
}

/* Gives pages back until so many more bytes fit into the capacity. */
static tarn_status free_memory(tarn__workset *set, uint64_t bytes, tarn_error *error)
{
    bool did = true;
    while (did && tarn__workset_memory(set) + bytes > set->figures.capacity_bytes) {
        if (!tarn__slab_remove_page(&set->slab)) {
            TARN_TRY(vacate_next(set, &did, error));
        }
    }
    return TARN_OK;
}

/* Whether so many more bytes are within the capacity. */
static bool is_within(const tarn__workset *set, uint64_t bytes)
{
    return tarn__workset_memory(set) + bytes <= set->figures.capacity_bytes;
}

/*
 * Whether rows need the memory more than the index does: before the table, twice as large, were
 * full again, there would be none left. A row takes about as much as four slots.
 */
static bool is_tight(const tarn__workset *set)
{
    return !is_within(set, 3 * tarn__index_bytes(&set->index));
}

/* Makes room in the index. */
static tarn_status reserve_index(
    tarn__workset *set, uint64_t hash, bool *has_room, tarn_error *error)
{
    tarn__index *index = &set->index;
    bool did = true;
    index->is_tight = is_tight(set);
    while (did && tarn__index_is_due(index, hash)) {
        const uint64_t growth = tarn__index_growth(index);
        TARN_TRY(free_memory(set, growth, error));
        /* It may be different now: rows have left. */
        did = is_within(set, tarn__index_growth(index)) && tarn__index_step(index);
    }
    if (!did) {
        tarn__index_put_off(index);
    }
    *has_room = !tarn__index_is_full(index, hash);
    return TARN_OK;
}

/* Makes room for a slot without releasing the store. */
static tarn_status reserve_slot(tarn__workset *set, size_t bytes, bool *has_room, tarn_error *error)
{
    tarn__slab *slab = &set->slab;
    bool did = false;
    *has_room = tarn__slab_has_room(slab, bytes) ||
                (is_within(set, tarn__slab_growth(slab)) && tarn__slab_add_page(slab));
    if (*has_room) {
        return TARN_OK;
    }
    TARN_TRY(sweep(set, bytes, error));
    if (!tarn__slab_has_room(slab, bytes)) {
        TARN_TRY(vacate_next(set, &did, error));
    }
    *has_room = tarn__slab_has_room(slab, bytes);
    return TARN_OK;
}

static tarn_status reserve(
    tarn__workset *set, uint64_t hash, size_t bytes, bool *has_room, tarn_error *error)
{
    TARN_TRY(reserve_index(set, hash, has_room, error));
    return *has_room ? reserve_slot(set, bytes, has_room, error) : TARN_OK;
}

/* The same; if nothing else does, what a run would have soon leaves too. */
static tarn_status press(
    tarn__workset *set, const tarn__hot_key *key, size_t bytes, bool *has_room, tarn_error *error)
{
    TARN_TRY(tarn__workset_check_runs(set, error));
    TARN_TRY(reserve(set, key->hash, bytes, has_room, error));
    if (*has_room || key->is_only_read || !set->is_draining || set->runs == NULL) {
        return TARN_OK;
    }
    set->is_pressed = true;
    const tarn_status status = reserve(set, key->hash, bytes, has_room, error);
    set->is_pressed = false;
    return status;
}

tarn_status tarn__workset_make_room(
    tarn__workset *set,
    const tarn__hot_key *key,
    size_t bytes,
    bool may_wait,
    bool *has_room,
    tarn_error *error)
{
    TARN_TRY(press(set, key, bytes, has_room, error));
    if (!*has_room && may_wait && set->store.is_held(set->store.context)) {
        TARN_TRY(set->store.release(set->store.context, error));
        TARN_TRY(press(set, key, bytes, has_room, error));
    }
    if (!*has_room) {
        tarn__refusal_clear(); /* Of a page, or of the index: it goes without. */
    }
    return TARN_OK;
}

tarn_status tarn__workset_shrink(tarn__workset *set, tarn_error *error)
{
    TARN_TRY(free_memory(set, 0, error));
    tarn__index_trim(&set->index);
    if (tarn__workset_memory(set) > set->figures.capacity_bytes &&
        set->store.is_held(set->store.context)) {
        TARN_TRY(set->store.release(set->store.context, error));
        TARN_TRY(free_memory(set, 0, error));
        tarn__index_trim(&set->index);
    }
    return TARN_OK;
}
