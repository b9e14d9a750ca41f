/* write.c - how dirty rows come to the store: batches, runs, settling of ranges. */
#include <assert.h>

#include "cache/workset_private.h"

enum { RUN_ROW_BYTES = 64 }; /* What a run has beside a row's bytes, at most. */

_Static_assert(
    TARN__SLAB_PAGE_BYTES_MAX / 4 + RUN_ROW_BYTES <= TARN__RUN_BYTES_MIN,
    "the largest row has room in the smallest run");

/* ---- going through the slabs ------------------------------------------------------------ */

uint32_t tarn__workset_step(tarn__workset *set, tarn__cursor *cursor)
{
    const tarn__slab *slab = &set->slab;
    while (cursor->page < slab->page_count) {
        const tarn__slab_page *page = &slab->pages[cursor->page];
        if (page->has_memory && page->units != 0 && cursor->slot < page->slot_count) {
            return tarn__slab_reference(slab, cursor->page, cursor->slot++);
        }
        cursor->page++;
        cursor->slot = 0;
    }
    *cursor = (tarn__cursor){0};
    return 0;
}

/* ---- batches ---------------------------------------------------------------------------- */

bool tarn__workset_batch_add(tarn__workset *set, uint32_t reference)
{
    tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
    assert(set->batch_count < TARN__WORKSET_BATCH_ROWS && tarn__hot_row_is_dirty(row));
    set->batch[set->batch_count++] = reference;
    set->batch_bytes += row->key_size + row->value_size;
    return set->batch_count == TARN__WORKSET_BATCH_ROWS ||
           set->batch_bytes >= TARN__WORKSET_BATCH_BYTES;
}

static bool is_before(const tarn__workset *set, uint32_t left, uint32_t right)
{
    const tarn__hot_row *a = tarn__slab_at(&set->slab, left);
    const tarn__hot_row *b = tarn__slab_at(&set->slab, right);
    return a->family != b->family
               ? a->family < b->family
               : tarn_bytes_compare(tarn__hot_row_key(a), tarn__hot_row_key(b)) < 0;
}

/* Shell's sort, as qsort() may allocate. */
static void sort_batch(tarn__workset *set)
{
    static const uint32_t GAPS[] = {57, 23, 10, 4, 1};
    uint32_t *rows = set->batch;
    for (size_t g = 0; g < sizeof GAPS / sizeof GAPS[0]; g++) {
        const uint32_t gap = GAPS[g];
        for (uint32_t i = gap; i < set->batch_count; i++) {
            const uint32_t moved = rows[i];
            uint32_t at = i;
            while (at >= gap && is_before(set, moved, rows[at - gap])) {
                rows[at] = rows[at - gap];
                at -= gap;
            }
            rows[at] = moved;
        }
    }
}

/* Writes the changes that were collected. */
static tarn_status write_changes(tarn__workset *set, tarn_error *error)
{
    const uint32_t count = set->change_count;
    set->change_count = 0;
    if (count == 0) {
        return TARN_OK;
    }
    TARN_TRY(set->store.write(set->store.context, set->changes, count, error));
    set->figures.written_count += count;
    return TARN_OK;
}

static tarn_status add_change(tarn__workset *set, const tarn__change *change, tarn_error *error)
{
    if (set->change_count == TARN__WORKSET_BATCH_ROWS) {
        TARN_TRY(write_changes(set, error));
    }
    set->changes[set->change_count++] = *change;
    return TARN_OK;
}

static bool is_dead(const tarn__workset_family *family, tarn_bytes value, bool is_operand)
{
    return family->is_dead != NULL && family->is_dead(value, is_operand, family->context) &&
           !is_operand;
}

/* What is dirty of a block. A dead value becomes a tombstone, or what the store never heard of. */
static tarn_status add_block(
    tarn__workset *set, const tarn__workset_family *family, tarn__hot_row *row, tarn_error *error)
{
    tarn__block *block = (tarn__block *)(void *)tarn__hot_row_value(family, row);
    const size_t size = row->value_size;
    for (uint32_t at = 0; at < block->count && block->dirty_count > 0; at++) {
        tarn__block_entry entry = tarn__block_read(block, size, at);
        if ((entry.state == TARN__ENTRY_DIRTY || entry.state == TARN__ENTRY_NEW) &&
            is_dead(family, entry.value, false)) {
            entry.state =
                entry.state == TARN__ENTRY_NEW ? TARN__ENTRY_ABSENT : TARN__ENTRY_TOMBSTONE;
            tarn__block_unset(block, size, at, entry.state);
        }
        if (entry.state < TARN__ENTRY_DIRTY) {
            continue;
        }
        const bool is_put = entry.state != TARN__ENTRY_TOMBSTONE;
        const tarn__change change = {
            .family = family->store_family,
            .kind = is_put ? TARN__CHANGE_PUT : TARN__CHANGE_DELETE,
            .row = tarn__hot_row_key(row),
            .suffix = entry.key,
            .value = is_put ? entry.value : tarn_bytes_at(NULL, 0),
        };
        TARN_TRY(add_change(set, &change, error));
    }
    return TARN_OK;
}

/*
 * What a row that is no block comes to in the store. A dead value becomes a tombstone. False: the
 * store need not hear of it.
 */
static bool make_change(
    const tarn__workset_family *family, tarn__hot_row *row, tarn__change *change)
{
    const bool is_merged = row->state == TARN__HOT_PARTIAL && family->suffix_bytes == 0;
    *change = (tarn__change){
        .family = family->store_family,
        .kind = TARN__CHANGE_DELETE,
        .row = tarn_bytes_at(row + 1, (size_t)row->key_size + family->suffix_bytes),
    };
    const tarn_bytes value = tarn_bytes_at(tarn__hot_row_value(family, row), row->value_size);
    if (row->state != TARN__HOT_TOMBSTONE &&
        is_dead(family, value, row->state == TARN__HOT_PARTIAL)) {
        row->state = TARN__HOT_TOMBSTONE;
        if (row->is_new) {
            return false;
        }
    }
    if (row->state != TARN__HOT_TOMBSTONE) {
        change->kind = is_merged ? TARN__CHANGE_MERGE : TARN__CHANGE_PUT;
        change->value = value;
    }
    return true;
}

static tarn_status add_row(tarn__workset *set, tarn__hot_row *row, tarn_error *error)
{
    const tarn__workset_family *family = set->families[row->family];
    tarn__change change;
    if (family->is_of_blocks) {
        return add_block(set, family, row, error);
    }
    return make_change(family, row, &change) ? add_change(set, &change, error) : TARN_OK;
}

/* The store has the row now, or a run has it. */
static void clean(tarn__workset *set, uint32_t reference)
{
    tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
    const tarn__workset_family *family = set->families[row->family];
    if (family->filter != NULL && row->state != TARN__HOT_TOMBSTONE) {
        tarn__filter_add(family->filter, tarn__workset_hash(family, tarn__hot_row_key(row)));
    }
    if (row->state == TARN__HOT_PARTIAL) {
        tarn__workset_forget(set, reference); /* What the store made of it is not known. */
        return;
    }
    if (family->is_of_blocks) {
        tarn__block_clean((tarn__block *)(void *)tarn__hot_row_value(family, row), row->value_size);
    }
    tarn__workset_unmark(set, row);
    row->state = row->state == TARN__HOT_DIRTY ? TARN__HOT_CLEAN : TARN__HOT_ABSENT;
    row->is_new = 0;
    row->is_sent = 0;
}

tarn_status tarn__workset_batch_write(tarn__workset *set, tarn_error *error)
{
    const uint32_t count = set->batch_count;
    set->batch_bytes = 0;
    if (count == 0) {
        return TARN_OK;
    }
    sort_batch(set);
    set->batch_count = 0;
    set->change_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        TARN_TRY(add_row(set, tarn__slab_at(&set->slab, set->batch[i]), error));
    }
    TARN_TRY(write_changes(set, error));
    for (uint32_t i = 0; i < count; i++) {
        clean(set, set->batch[i]);
    }
    return TARN_OK;
}

/* ---- runs ------------------------------------------------------------------------------- */

static bool add_to_run(
    tarn__workset *set, uint32_t reference, const tarn__change *change, bool can_wait)
{
    const uint32_t order = tarn__slab_at(&set->slab, reference)->family;
    return set->is_lending ? tarn__runs_lend(set->runs, change->row, reference, order)
                           : tarn__runs_add(set->runs, change, order, can_wait);
}

/* As it is in a run: the row is clean, and lies still. */
static tarn__change read_lent(const void *context, uint32_t reference)
{
    const tarn__workset *set = context;
    tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
    const tarn__workset_family *family = set->families[row->family];
    const bool is_put = row->state == TARN__HOT_CLEAN;
    return (tarn__change){
        .family = family->store_family,
        .kind = is_put ? TARN__CHANGE_PUT : TARN__CHANGE_DELETE,
        .row = tarn__hot_row_key(row),
        .value = is_put ? tarn_bytes_at(tarn__hot_row_value(family, row), row->value_size)
                        : tarn_bytes_at(NULL, 0),
    };
}

static const void *find_lent(const void *context, uint32_t reference)
{
    return tarn__slab_at(&((const tarn__workset *)context)->slab, reference);
}

void tarn__workset_become_lender(tarn__workset *set)
{
    const tarn__run_lender lender = {.find = find_lent, .read = read_lent, .context = set};
    tarn__runs_set_lender(set->runs, &lender);
}

bool tarn__workset_send(tarn__workset *set, uint32_t reference, bool can_wait)
{
    tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
    const tarn__workset_family *family = set->families[row->family];
    tarn__change change;
    const bool is_told = make_change(family, row, &change);
    if (is_told && !add_to_run(set, reference, &change, can_wait)) {
        return false;
    }
    clean(set, reference);
    if (is_told) {
        row->is_sent = 1;
        row->epoch = tarn__runs_number(set->runs);
        set->figures.written_count++;
        set->figures.sent_count++;
    }
    return true;
}

static tarn_status pass_on(tarn__workset *set, tarn_status status, tarn_error *error)
{
    return status != TARN_OK && set->store.fail != NULL
               ? set->store.fail(set->store.context, status, error)
               : status;
}

tarn_status tarn__workset_check_runs(tarn__workset *set, tarn_error *error)
{
    return set->runs != NULL ? pass_on(set, tarn__runs_check(set->runs, error), error) : TARN_OK;
}

bool tarn__workset_is_flying(const tarn__workset *set)
{
    return set->runs != NULL && tarn__runs_is_busy(set->runs);
}

tarn_status tarn__workset_land(tarn__workset *set, tarn_error *error)
{
    if (!tarn__workset_is_flying(set)) {
        return TARN_OK;
    }
    set->figures.land_count++;
    return pass_on(set, tarn__runs_finish(set->runs, error), error);
}

tarn_status tarn__workset_land_one(tarn__workset *set, tarn_error *error)
{
    set->figures.land_count++;
    return pass_on(set, tarn__runs_land_one(set->runs, error), error);
}

void tarn__workset_settle_down(tarn__workset *set)
{
    tarn_error error;
    const tarn_status status = tarn__workset_land(set, &error);
    (void)status;
}

tarn_status tarn__workset_expel(tarn__workset *set, const tarn__hot_key *key, tarn_error *error)
{
    const tarn__hot_row *row = tarn__slab_at(&set->slab, key->reference);
    const bool is_partial = row->state == TARN__HOT_PARTIAL;
    if (tarn__hot_row_is_dirty(row)) {
        (void)tarn__workset_batch_add(set, key->reference);
        TARN_TRY(tarn__workset_batch_write(set, error));
    }
    if (!is_partial) { /* Else it is gone. */
        tarn__workset_forget(set, key->reference);
    }
    return TARN_OK;
}

/* ---- ranges ----------------------------------------------------------------------------- */

typedef struct range {
    const tarn__workset_family *family; /* NULL: all rows of all states. */
    tarn_bytes lower;
    tarn_bytes upper;
} range;

static bool is_within(const range *wanted, const tarn__hot_row *row)
{
    if (wanted->family == NULL) {
        return true;
    }
    const tarn_bytes key = tarn__hot_row_key(row);
    return row->family == wanted->family->index && tarn_bytes_compare(key, wanted->lower) >= 0 &&
           tarn_bytes_compare(key, wanted->upper) < 0;
}

/* The next dirty row of a range; 0: there is none. */
static uint32_t next_within(tarn__workset *set, const range *wanted, tarn__cursor *cursor)
{
    uint64_t looks = UINT64_MAX;
    uint32_t reference = 0;
    while ((reference = tarn__workset_next_dirty(set, cursor, &looks)) != 0) {
        if (is_within(wanted, tarn__slab_at(&set->slab, reference))) {
            return reference;
        }
    }
    return 0;
}

tarn_status tarn__workset_settle(
    tarn__workset *set,
    const tarn__workset_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn_error *error)
{
    const range wanted = {.family = family, .lower = lower, .upper = upper};
    tarn__cursor cursor = {0};
    if (family == NULL || tarn__workset_has_runs(set, family)) {
        TARN_TRY(tarn__workset_land(set, error)); /* Who settles looks into the store. */
    }
    if ((family != NULL ? family->dirty_count : set->figures.dirty_count) == 0 ||
        next_within(set, &wanted, &cursor) == 0) {
        return TARN_OK;
    }
    if (set->store.is_held(set->store.context)) {
        TARN_TRY(set->store.release(set->store.context, error));
    }
    cursor = (tarn__cursor){0};
    uint32_t reference = 0;
    while ((reference = next_within(set, &wanted, &cursor)) != 0) {
        if (tarn__workset_batch_add(set, reference)) {
            TARN_TRY(tarn__workset_batch_write(set, error));
        }
    }
    return tarn__workset_batch_write(set, error);
}

bool tarn__workset_drop_if(
    tarn__workset *set,
    const tarn__workset_family *family,
    tarn__workset_is_wanted *is_wanted,
    const void *context)
{
    const uint64_t count = family->row_count;
    tarn__cursor cursor = {0};
    uint32_t reference = 0;
    while (family->row_count > 0 && (reference = tarn__workset_step(set, &cursor)) != 0) {
        const tarn__hot_row *row = tarn__slab_at(&set->slab, reference);
        if (row->state != TARN__HOT_FREE && row->family == family->index &&
            is_wanted(tarn__hot_row_key(row), context)) {
            assert(!tarn__workset_is_frozen(set, row));
            tarn__workset_forget(set, reference);
        }
    }
    return family->row_count < count;
}

static bool is_between(tarn_bytes row, const void *context)
{
    const range *wanted = context;
    return tarn_bytes_compare(row, wanted->lower) >= 0 &&
           tarn_bytes_compare(row, wanted->upper) < 0;
}

bool tarn__workset_drop(
    tarn__workset *set, const tarn__workset_family *family, tarn_bytes lower, tarn_bytes upper)
{
    const range wanted = {.lower = lower, .upper = upper};
    return tarn__workset_drop_if(set, family, is_between, &wanted);
}

void tarn__workset_drop_row(tarn__workset *set, const tarn__hot_key *key)
{
    assert(!tarn__workset_is_frozen(set, tarn__slab_at(&set->slab, key->reference)));
    tarn__workset_forget(set, key->reference);
}
