/* workset.c - opening, finding and changing rows. See workset.h. */
#include "cache/workset.h"

#include <assert.h>
#define XXH_INLINE_ALL /* A call would cost as much as the hash. */
#include <xxhash.h>

#include "cache/workset_private.h"

enum {
    FAMILIES_FIRST = 8,
    GIB_LOG2 = 30,
};

/* Of address space, which costs nothing: the most that a working set can become. */
static const uint64_t SLAB_REACH_BYTES = UINT64_C(64) << GIB_LOG2;
static const uint64_t INDEX_REACH_BYTES = UINT64_C(16) << GIB_LOG2;

/* ---- life ------------------------------------------------------------------------------- */

tarn_status tarn__workset_open(
    const tarn__workset_options *options, tarn__workset **out, tarn_error *error)
{
    tarn__workset *set = tarn__allocate_zeroed(options->account, 1, sizeof *set);
    if (set == NULL) {
        return tarn__fail_no_memory(error, "a working set", sizeof *set);
    }
    set->account = options->account;
    set->store = options->store;
    set->runs = options->runs;
    set->figures.capacity_bytes = options->capacity_bytes;
    set->has_given_pages = options->page_bytes != 0;
    const uint32_t page_bytes = set->has_given_pages
                                    ? options->page_bytes
                                    : tarn__workset_choose_page_bytes(options->capacity_bytes);
    tarn__index_init(&set->index, options->account, INDEX_REACH_BYTES);
    if (!tarn__slab_init(&set->slab, options->account, page_bytes, SLAB_REACH_BYTES)) {
        tarn__workset_close(set);
        return tarn__fail(
            error, TARN_NO_MEMORY, "there is no address space for the rows of a working set");
    }
    tarn__workset_choose_large_pages(set);
    if (set->runs != NULL) {
        tarn__workset_become_lender(set);
    }
    *out = set;
    return TARN_OK;
}

void tarn__workset_close(tarn__workset *set)
{
    if (set == NULL) {
        return;
    }
    tarn__index_clear(&set->index);
    tarn__slab_clear(&set->slab);
    tarn__ghosts_clear(&set->ghosts);
    tarn__release(set->families);
    tarn__release(set);
}

uint64_t tarn__workset_memory(const tarn__workset *set)
{
    return tarn__slab_memory(&set->slab) + set->index.memory;
}

void tarn__workset_measure(const tarn__workset *set, tarn__workset_figures *out)
{
    *out = set->figures;
    out->memory_bytes = tarn__workset_memory(set);
    out->is_aside = set->ghosts.tags != NULL;
}

/* ---- families --------------------------------------------------------------------------- */

tarn_status tarn__workset_add_family(
    tarn__workset *set, tarn__workset_family *family, tarn_error *error)
{
    uint32_t index = 0;
    while (index < set->family_capacity && set->families[index] != NULL) {
        index++;
    }
    if (index == set->family_capacity) {
        const uint32_t capacity = index == 0 ? FAMILIES_FIRST : index * 2;
        tarn__workset_family **families =
            tarn__reallocate(set->account, set->families, capacity * sizeof *families);
        if (families == NULL) {
            return tarn__fail_no_memory(error, "a working set", capacity * sizeof *families);
        }
        memset(families + index, 0, (capacity - index) * sizeof *families);
        set->families = families;
        set->family_capacity = capacity;
    }
    assert(index <= UINT16_MAX);
    family->index = (uint16_t)index;
    family->row_count = 0;
    family->dirty_count = 0;
    set->families[index] = family;
    return TARN_OK;
}

void tarn__workset_remove_family(tarn__workset *set, tarn__workset_family *family)
{
    tarn__cursor cursor = {0};
    uint32_t reference = 0;
    tarn__workset_settle_down(set); /* The store's family may be closed next. */
    while (family->row_count > 0 && (reference = tarn__workset_step(set, &cursor)) != 0) {
        const tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
        if (row->state != TARN__HOT_FREE && row->family == family->index) {
            tarn__workset_forget(set, reference);
        }
    }
    assert(family->row_count == 0);
    set->families[family->index] = NULL;
}

/* ---- finding ---------------------------------------------------------------------------- */

uint64_t tarn__workset_hash(const tarn__workset_family *family, tarn_bytes row)
{
    /* Odd, so that states differ in high and low bits. */
    return XXH3_64bits(row.data, row.size) + (uint64_t)family->index * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* As memcmp() == 0, without a call for what most rows are. */
static inline bool is_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    enum { WORD = sizeof(uint64_t) };
    if (__builtin_expect(size < WORD || size > 3 * WORD, 0)) {
        return memcmp(a, b, size) == 0;
    }
    const size_t last = size - WORD;
    const size_t middle = last < WORD ? last : WORD;
    return ((word_at(a) ^ word_at(b)) | (word_at(a + middle) ^ word_at(b + middle)) |
            (word_at(a + last) ^ word_at(b + last))) == 0;
}

static inline bool is_row(const tarn__hot_row *row, const tarn__hot_key *key)
{
    return row->key_size == key->row.size && row->family == key->family->index &&
           is_same((const uint8_t *)(row + 1), key->row.data, key->row.size);
}

static inline tarn__hot_row *look_up(const tarn__workset *set, tarn__hot_key *key)
{
    const uint32_t tag = tarn__index_tag(key->hash);
    const tarn__index_table *table = tarn__index_table_of(&set->index, tag);
    if (__builtin_expect(table->slots == NULL, 0)) {
        return NULL;
    }
    const uint32_t home = tarn__index_home(table, tag);
    const tarn__index_slot *block = table->slots + (home & ~table->block_mask);
    for (uint32_t at = home;; at++) {
        const tarn__index_slot slot = block[at & table->block_mask];
        if (slot.reference == 0) {
            return NULL;
        }
        if (slot.tag == tag) {
            tarn__hot_row *row = tarn__slab_at(&set->slab, slot.reference);
            if (is_row(row, key)) {
                key->reference = slot.reference;
                return row;
            }
        }
    }
}

tarn__hot_row *tarn__workset_look_up(const tarn__workset *set, tarn__hot_key *key)
{
    return look_up(set, key);
}

/* Whoever wants a row that is still being read does not wait for it. */
static void give_up_pending(tarn__workset *set, tarn__hot_key *key)
{
    tarn__workset_forget(set, key->reference);
    key->reference = 0;
}

static tarn__hot_row *miss(tarn__workset *set, tarn__hot_key *key)
{
    tarn__filter *filter = key->family->filter;
    set->figures.miss_count++;
    key->is_new = filter != NULL && tarn__filter_is_new(filter, key->hash);
    return NULL;
}

tarn__hot_row *tarn__workset_find(
    tarn__workset *set, tarn__workset_family *family, tarn_bytes row, tarn__hot_key *key)
{
    *key = (tarn__hot_key){
        .family = family,
        .row = row,
        .hash = tarn__workset_hash(family, row),
    };
    tarn__hot_row *found = look_up(set, key);
    if (found == NULL) {
        return miss(set, key);
    }
    if (__builtin_expect(found->state == TARN__HOT_PENDING, 0)) {
        give_up_pending(set, key);
        return miss(set, key);
    }
    set->figures.hit_count++;
    if (found->heat < TARN__WORKSET_HEAT_MAX) {
        found->heat++;
    }
    return found;
}

bool tarn__workset_declines(tarn__workset *set, const tarn__hot_key *key)
{
    const tarn__ghost_view view = {
        .hit_count = set->figures.hit_count,
        .evicted_count = set->figures.evicted_count,
        .row_count = set->figures.row_count,
    };
    const bool is_declined =
        key->is_new || tarn__ghosts_decline(&set->ghosts, set->account, &view, key->hash);
    set->figures.declined_count += is_declined;
    return is_declined;
}

size_t tarn__workset_row_bytes_max(const tarn__workset *set)
{
    return tarn__slab_slot_bytes_max(&set->slab);
}

void tarn__workset_hold(tarn__workset *set, const tarn__hot_key *key)
{
    set->held = key->reference;
}

/* ---- changing --------------------------------------------------------------------------- */

void tarn__workset_unmark(tarn__workset *set, tarn__hot_row *row)
{
    if (!tarn__hot_row_is_dirty(row)) {
        return;
    }
    if (tarn__workset_is_frozen(set, row)) {
        set->figures.frozen_count--;
        set->is_draining = set->figures.frozen_count > 0;
    }
    set->families[row->family]->dirty_count--;
    set->figures.dirty_count--;
}

static void mark(tarn__workset *set, tarn__hot_row *row, tarn__hot_state state)
{
    const bool was_dirty = tarn__hot_row_is_dirty(row);
    const bool is_known_absent = row->state == TARN__HOT_ABSENT || row->is_new;
    assert(!tarn__workset_is_frozen(set, row));
    if (state == TARN__HOT_TOMBSTONE && is_known_absent) {
        state = TARN__HOT_ABSENT; /* The store need not hear of it. */
    }
    if (state >= TARN__HOT_DIRTY) {
        row->is_new = is_known_absent;
        row->epoch = set->epoch;
        if (!was_dirty) {
            set->families[row->family]->dirty_count++;
            set->figures.dirty_count++;
            tarn__slab_mark(&set->slab, row);
        }
    } else {
        tarn__workset_unmark(set, row);
        row->is_new = 0;
        if (was_dirty && row->is_sent) { /* Runs land in any order, and which one has it is lost. */
            row->is_sent = tarn__runs_is_busy(set->runs);
            row->epoch = TARN__RUN_UNKNOWN;
        }
    }
    row->state = (uint8_t)state;
}

void tarn__workset_forget(tarn__workset *set, uint32_t reference)
{
    tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
    tarn__workset_family *family = set->families[row->family];
    if (__builtin_expect(tarn__workset_row_is_flying(set, row), 0)) {
        tarn__workset_settle_down(set); /* Who reads the row next looks into the store. */
    }
    tarn__workset_unmark(set, row);
    tarn__index_replace(
        &set->index, tarn__workset_hash(family, tarn__hot_row_key(row)), reference, 0);
    tarn__slab_give(&set->slab, reference);
    family->row_count--;
    set->figures.row_count--;
}

tarn_status tarn__workset_hand_over(
    tarn__workset *set, const tarn__hot_key *key, tarn__hot_row **row, tarn_error *error)
{
    if (*row == NULL || __builtin_expect(!tarn__workset_is_frozen(set, *row), 1)) {
        return TARN_OK;
    }
    const bool is_partial = (*row)->state == TARN__HOT_PARTIAL;
    if (!tarn__workset_is_sendable(set, *row) ||
        !tarn__workset_send(set, key->reference, /* can_wait= */ false)) {
        TARN_TRY(tarn__workset_drain_row(set, key->reference, error));
    }
    *row = is_partial ? NULL : *row;
    return TARN_OK;
}

static bool fits(const tarn__workset *set, uint32_t reference, size_t needed)
{
    const size_t bytes = tarn__slab_slot_bytes(&set->slab, reference);
    return needed <= bytes && (needed * 4 >= bytes || bytes <= 8 * TARN__SLAB_UNIT);
}

/* Fills a slot with the row of a key, which has no value yet. */
static tarn__hot_row *begin_row(
    tarn__workset *set, const tarn__hot_key *key, uint32_t reference, const tarn__hot_row *before)
{
    tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
    if (before != NULL) {
        *row = *before;
        if (tarn__hot_row_is_dirty(row)) {
            tarn__slab_mark(&set->slab, row);
        }
    } else {
        *row = (tarn__hot_row){
            .key_size = (uint16_t)key->row.size,
            .family = key->family->index,
            .state = key->is_new ? TARN__HOT_ABSENT : TARN__HOT_CLEAN,
        };
    }
    if (before != NULL) {
        memcpy(row + 1, before + 1, key->row.size + key->family->suffix_bytes);
    } else {
        memcpy(row + 1, key->row.data, key->row.size);
    }
    return row;
}

/*
 * Finds a slot for the row of a key with so many bytes: the one it has, or a new one, in which it
 * has no value yet. *to is 0 when there is none.
 */
static tarn_status find_slot(
    tarn__workset *set,
    const tarn__hot_key *key,
    const tarn__hot_row *row,
    size_t needed,
    bool may_wait,
    uint32_t *to,
    tarn_error *error)
{
    bool has_room = false;
    *to = 0;
    if (row != NULL && fits(set, key->reference, needed)) {
        *to = key->reference;
        return TARN_OK;
    }
    if (needed > tarn__slab_slot_bytes_max(&set->slab)) {
        return TARN_OK;
    }
    set->busy = row != NULL ? key->reference : 0;
    const tarn_status status =
        tarn__workset_make_room(set, key, needed, may_wait, &has_room, error);
    set->busy = 0;
    TARN_TRY(status);
    if (has_room) {
        *to = tarn__slab_take(&set->slab, needed);
    } else if (row != NULL && needed <= tarn__slab_slot_bytes(&set->slab, key->reference)) {
        *to = key->reference; /* Too large a slot is better than none. */
    }
    return TARN_OK;
}

/* Lets the index know of the slot, and gives the old one back. */
static void settle_in(tarn__workset *set, const tarn__hot_key *key, uint32_t from, uint32_t to)
{
    if (from == to) {
        return;
    }
    if (from != 0) {
        tarn__index_replace(&set->index, key->hash, from, to);
        tarn__slab_give(&set->slab, from);
        return;
    }
    tarn__index_add(&set->index, key->hash, to);
    key->family->row_count++;
    set->figures.row_count++;
}

/* What finds no room is not here. */
static void refuse(tarn__workset *set, const tarn__hot_row *row, const tarn__hot_key *key)
{
    set->figures.refused_count++;
    if (row != NULL) {
        tarn__workset_forget(set, key->reference);
    }
}

tarn_status tarn__workset_set(
    tarn__workset *set,
    tarn__hot_key *key,
    tarn__hot_row *row,
    tarn__hot_state state,
    tarn_bytes value,
    tarn__hot_row **kept,
    tarn_error *error)
{
    const size_t offset = tarn__hot_value_offset(key->family, key->row.size, value.size);
    const bool may_wait = state >= TARN__HOT_DIRTY;
    uint32_t to = 0;
    *kept = NULL;
    TARN_TRY(tarn__workset_hand_over(set, key, &row, error));
    TARN_TRY(find_slot(set, key, row, offset + value.size, may_wait, &to, error));
    if (to == 0) {
        refuse(set, row, key);
        return TARN_OK;
    }
    const uint32_t from = row != NULL ? key->reference : 0;
    tarn__hot_row *target = to != from ? begin_row(set, key, to, row) : row;
    if (value.size > 0) {
        memmove((uint8_t *)target + offset, value.data, value.size);
    }
    target->value_size = (uint16_t)value.size;
    mark(set, target, state);
    settle_in(set, key, from, to);
    key->reference = to;
    *kept = target;
    return TARN_OK;
}

tarn_status tarn__workset_edit(
    tarn__workset *set,
    tarn__hot_key *key,
    tarn__hot_row *row,
    size_t size,
    tarn__hot_row **kept,
    tarn_error *error)
{
    const size_t offset = tarn__hot_value_offset(key->family, key->row.size, size);
    uint32_t to = 0;
    *kept = NULL;
    TARN_TRY(tarn__workset_hand_over(set, key, &row, error));
    if (__builtin_expect(row->value_size == size && tarn__hot_row_has_value(row), 1)) {
        mark(set, row, TARN__HOT_DIRTY);
        *kept = row;
        return TARN_OK;
    }
    TARN_TRY(find_slot(set, key, row, offset + size, /* may_wait= */ true, &to, error));
    if (to == 0) {
        return TARN_OK; /* The row stays: its value is still to be read. */
    }
    const size_t before = tarn__hot_row_has_value(row) ? row->value_size : 0;
    const size_t same = before < size ? before : size;
    const uint8_t *from = tarn__hot_row_value(key->family, row);
    tarn__hot_row *target = to != key->reference ? begin_row(set, key, to, row) : row;
    memmove((uint8_t *)target + offset, from, same); /* Alignment may have changed. */
    memset((uint8_t *)target + offset + same, 0, size - same);
    target->value_size = (uint16_t)size;
    mark(set, target, TARN__HOT_DIRTY);
    settle_in(set, key, key->reference, to);
    key->reference = to;
    *kept = target;
    return TARN_OK;
}

/* Finds a slot for a row that will grow further. */
static tarn_status find_growing_slot(
    tarn__workset *set,
    const tarn__hot_key *key,
    const tarn__hot_row *row,
    size_t needed,
    uint32_t *to,
    tarn_error *error)
{
    if (row != NULL && needed <= tarn__slab_slot_bytes(&set->slab, key->reference)) {
        *to = key->reference;
        return TARN_OK;
    }
    const size_t wanted = needed + needed / 2;
    const size_t most = tarn__slab_slot_bytes_max(&set->slab);
    *to = 0;
    if (row != NULL && wanted <= most) {
        TARN_TRY(find_slot(set, key, row, wanted, /* may_wait= */ false, to, error));
    }
    return *to != 0 ? TARN_OK : find_slot(set, key, row, needed, /* may_wait= */ true, to, error);
}

tarn_status tarn__workset_extend(
    tarn__workset *set,
    tarn__hot_key *key,
    tarn__hot_row *row,
    tarn__hot_state state,
    tarn_bytes bytes,
    tarn__hot_row **kept,
    tarn_error *error)
{
    const bool has_bytes =
        row != NULL && (tarn__hot_row_has_value(row) || row->state == TARN__HOT_PARTIAL);
    const size_t before = has_bytes ? row->value_size : 0;
    const size_t size = before + bytes.size;
    const size_t offset = tarn__hot_value_offset(key->family, key->row.size, size);
    uint32_t to = 0;
    *kept = NULL;
    TARN_TRY(find_growing_slot(set, key, row, offset + size, &to, error));
    if (to == 0) {
        return TARN_OK;
    }
    const uint32_t from = row != NULL ? key->reference : 0;
    const uint8_t *own = before > 0 ? tarn__hot_row_value(key->family, row) : NULL;
    tarn__hot_row *target = to != from ? begin_row(set, key, to, row) : row;
    if (before > 0) {
        memmove((uint8_t *)target + offset, own, before); /* Alignment may have changed. */
    }
    memcpy((uint8_t *)target + offset + before, bytes.data, bytes.size);
    target->value_size = (uint16_t)size;
    mark(set, target, state);
    settle_in(set, key, from, to);
    key->reference = to;
    *kept = target;
    return TARN_OK;
}
