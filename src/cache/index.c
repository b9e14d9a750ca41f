/* index.c - see index.h. */
#include "cache/index.h"

#include <assert.h>
#include <string.h>

enum {
    FIRST_SLOTS = 8,
    BLOCK_SLOTS = 1 << TARN__INDEX_BLOCK_LOG2,
    TIGHT_SHARE = 8,           /* A table grows by one part in so many when memory is short. */
    INSERTIONS_PER_STEP = 256, /* The next table is there after a sixteenth more rows. */
    FULLER_INSERTIONS_PER_STEP = 32, /* The same where blocks would be full before. */
    BLOCKS_PER_STEP_MAX = 3,         /* That rows of one block go to: a table at most doubles. */
    SLOTS_PER_ROW_MAX = 16,
    SLOT_BYTES = sizeof(tarn__index_slot),
    BLOCK_BYTES = SLOT_BYTES << TARN__INDEX_BLOCK_LOG2,
    LARGE_TABLE_BYTES = 4 << 20, /* From here on large pages lose little. */
};

/* ---- tables ------------------------------------------------------------------------------ */

static bool is_small(uint32_t slots)
{
    return slots < BLOCK_SLOTS;
}

static uint32_t block_log2_of(uint32_t slots)
{
    return is_small(slots) ? 31 - (uint32_t)__builtin_clz(slots) : TARN__INDEX_BLOCK_LOG2;
}

static uint32_t blocks_of(const tarn__index_table *table)
{
    return table->slot_count >> table->block_log2;
}

static size_t bytes_of(uint32_t slots)
{
    return (size_t)SLOT_BYTES * slots;
}

/* The part in large pages: none of them goes beyond the table, where nothing is charged. */
static size_t large_bytes_of(uint32_t slots)
{
    return bytes_of(slots) / TARN__REGION_EXTENT_BYTES * TARN__REGION_EXTENT_BYTES;
}

/* Asks for the pages of a table. The region may have been another table's before. */
static void advise(tarn__region *region, uint32_t slots, bool is_large)
{
    const size_t bytes = bytes_of(slots);
    const size_t large_bytes = is_large ? large_bytes_of(slots) : 0;
    if (large_bytes > 0) {
        tarn__region_advise(region, 0, large_bytes, /* is_large= */ true);
    }
    if (bytes > large_bytes) {
        tarn__region_advise(region, large_bytes, bytes - large_bytes, /* is_large= */ false);
    }
}

/* In which units memory of a region is given back: large pages as a whole. */
static size_t given_unit_of(const tarn__index_table *table)
{
    return table->is_large ? (size_t)TARN__REGION_EXTENT_BYTES : (size_t)BLOCK_BYTES;
}

static void give_until(tarn__index *index, tarn__index_table *table, size_t bytes)
{
    if (bytes > table->given_bytes) {
        const size_t given = bytes - table->given_bytes;
        tarn__region_give(&index->regions[table->region], table->given_bytes, given);
        tarn__account_discharge(index->account, given);
        table->given_bytes = bytes;
        index->memory -= given;
    }
}

static void free_table(tarn__index *index, tarn__index_table *table)
{
    if (table->slots == NULL) {
        return;
    }
    index->memory -= blocks_of(table) * sizeof *table->counts;
    tarn__release(table->counts);
    if (is_small(table->slot_count)) {
        index->memory -= bytes_of(table->slot_count);
        tarn__release(table->slots);
    } else {
        give_until(index, table, table->charged_bytes);
    }
    *table = (tarn__index_table){.slots = NULL};
}

static bool has_region(tarn__index *index, uint32_t region, size_t bytes)
{
    tarn__region *wanted = &index->regions[region];
    return (wanted->base != NULL || tarn__region_open(wanted, index->reach_bytes, bytes)) &&
           bytes <= wanted->size;
}

/* Begins an empty table of so many slots; of a region it has no memory yet. */
static bool begin_table(tarn__index *index, uint32_t slots, uint32_t region, tarn__index_table *out)
{
    tarn__index_table table = {
        .slot_count = slots,
        .block_log2 = block_log2_of(slots),
        .block_mask = (1u << block_log2_of(slots)) - 1,
        .region = region,
    };
    if (!is_small(slots) && !has_region(index, region, bytes_of(slots))) {
        return false;
    }
    table.counts = tarn__allocate_zeroed(index->account, blocks_of(&table), sizeof *table.counts);
    if (table.counts == NULL) {
        return false;
    }
    if (is_small(slots)) {
        table.slots = tarn__allocate_zeroed(index->account, slots, SLOT_BYTES);
        if (table.slots == NULL) {
            tarn__release(table.counts);
            return false;
        }
        index->memory += bytes_of(slots);
    } else {
        table.is_large = index->is_large && bytes_of(slots) >= LARGE_TABLE_BYTES;
        table.slots = (tarn__index_slot *)(void *)index->regions[region].base;
        advise(&index->regions[region], slots, table.is_large);
    }
    index->memory += blocks_of(&table) * sizeof *table.counts;
    *out = table;
    return true;
}

/* Has the table memory for its first bytes. */
static bool charge_until(tarn__index *index, tarn__index_table *table, size_t bytes)
{
    const size_t more = bytes > table->charged_bytes ? bytes - table->charged_bytes : 0;
    if (is_small(table->slot_count) || more == 0) {
        return true;
    }
    if (!tarn__account_charge(index->account, more)) {
        return false;
    }
    table->charged_bytes += more;
    index->memory += more;
    return true;
}

static void place(tarn__index_table *table, uint32_t tag, uint32_t reference)
{
    const uint32_t home = tarn__index_home(table, tag);
    tarn__index_slot *block = table->slots + (home & ~table->block_mask);
    uint32_t at = home & table->block_mask;
    while (block[at].reference != 0) {
        at = (at + 1) & table->block_mask;
    }
    block[at] = (tarn__index_slot){.tag = tag, .reference = reference};
    table->counts[home >> table->block_log2]++;
}

/* ---- life ------------------------------------------------------------------------------- */

void tarn__index_init(tarn__index *index, tarn__account *account, uint64_t reach_bytes)
{
    *index = (tarn__index){.account = account, .reach_bytes = reach_bytes};
}

void tarn__index_clear(tarn__index *index)
{
    free_table(index, &index->old);
    free_table(index, &index->table);
    for (uint32_t i = 0; i < 2; i++) {
        tarn__region_close(&index->regions[i]);
    }
}

/* ---- growing ---------------------------------------------------------------------------- */

static uint32_t tight_limit_of(uint32_t slots)
{
    return slots - slots / 16 * 3;
}

/* Rows at which a table is to grow. */
static uint32_t limit_of(const tarn__index *index)
{
    const uint32_t slots = index->table.slot_count;
    if (is_small(slots)) {
        return slots - slots / 8;
    }
    return index->is_tight ? tight_limit_of(slots) : slots - slots / 4;
}

/*
 * Of a block the limit is far above what it has when the table is at its own, in terms of how much
 * blocks differ: else one of thousands would be full early, and all before it were to be moved.
 */
static bool is_full(const tarn__index_table *table, uint32_t tag)
{
    const uint32_t slots = table->block_mask + 1;
    const uint32_t free_slots = is_small(slots) ? slots / 8 : slots / 16;
    return table->counts[tarn__index_home(table, tag) >> table->block_log2] >= slots - free_slots;
}

bool tarn__index_is_full(const tarn__index *index, uint64_t hash)
{
    const uint32_t tag = tarn__index_tag(hash);
    return index->table.slots == NULL || is_full(tarn__index_table_of(index, tag), tag);
}

bool tarn__index_is_due(const tarn__index *index, uint64_t hash)
{
    if (index->table.slots == NULL) {
        return true;
    }
    const bool is_wanted = index->old.slots != NULL || index->count >= limit_of(index);
    /* Hashes that are alike on purpose fill a block of whatever table: then it is not doubled. */
    const bool is_sparse = index->count < index->table.slot_count / SLOTS_PER_ROW_MAX;
    return (is_wanted && index->pause == 0) || (tarn__index_is_full(index, hash) && !is_sparse);
}

/* The slots of the table that is, or would be, moved into. */
static uint32_t next_slots(const tarn__index *index)
{
    const uint32_t slots = index->table.slot_count;
    if (index->old.slots != NULL) {
        return slots;
    }
    if (index->table.slots == NULL) {
        return FIRST_SLOTS;
    }
    if (is_small(slots) || !index->is_tight) {
        return slots <= UINT32_MAX / 2 ? slots * 2 : slots;
    }
    const uint32_t share = slots / TIGHT_SHARE / BLOCK_SLOTS * BLOCK_SLOTS;
    const uint32_t more = share > 0 ? share : BLOCK_SLOTS;
    return more <= UINT32_MAX - slots ? slots + more : slots;
}

/* Where the part of the new table ends that a step moves into: with a block. */
static size_t end_of_step(const tarn__index *index)
{
    const tarn__index_table *from = index->old.slots != NULL ? &index->old : &index->table;
    const uint32_t moved = index->old.slots != NULL ? index->moved_count : 0;
    if (from->slots == NULL) {
        return 0;
    }
    const uint64_t slots = next_slots(index);
    const uint64_t end = ((uint64_t)(moved + 1) << from->block_log2) * slots;
    const uint64_t last = (end - 1) / from->slot_count;
    const uint32_t block_log2 = block_log2_of((uint32_t)slots);
    return (size_t)((last >> block_log2) + 1) * SLOT_BYTES << block_log2;
}

uint64_t tarn__index_growth(const tarn__index *index)
{
    const uint32_t slots = next_slots(index);
    const bool has_begun = index->old.slots != NULL;
    uint64_t bytes = has_begun ? 0 : sizeof(uint16_t) * (slots >> block_log2_of(slots));
    if (is_small(slots)) {
        return bytes + (has_begun ? 0 : bytes_of(slots));
    }
    const size_t charged = has_begun ? index->table.charged_bytes : 0;
    const size_t wanted = end_of_step(index);
    return bytes + (wanted > charged ? wanted - charged : 0);
}

/* Begins to move into a larger table. */
static bool begin_move(tarn__index *index)
{
    const uint32_t slots = next_slots(index);
    tarn__index_table next;
    if (slots <= index->table.slot_count ||
        !begin_table(index, slots, 1 - index->table.region, &next)) {
        return false;
    }
    index->old = index->table;
    index->table = next;
    index->moved_count = 0;
    return true;
}

/* The block of the new table where the part begins that the next block is moved into. */
static uint32_t begin_of_step(const tarn__index *index)
{
    const uint64_t slots = (uint64_t)index->moved_count << index->old.block_log2;
    return (
        uint32_t)(slots * index->table.slot_count / index->old.slot_count >> index->table.block_log2);
}

/* Whether the next block finds room in the new table, of whose blocks each keeps a free slot. */
static bool can_move(const tarn__index *index, const tarn__index_slot *block)
{
    const tarn__index_table *to = &index->table;
    const uint32_t first = begin_of_step(index);
    uint32_t added[BLOCKS_PER_STEP_MAX] = {0};
    if (to->slot_count % index->old.slot_count == 0) {
        return true; /* Its rows alone come there, and had room before. */
    }
    for (uint32_t i = 0; i <= index->old.block_mask; i++) {
        if (block[i].reference != 0) {
            added[(tarn__index_home(to, block[i].tag) >> to->block_log2) - first]++;
        }
    }
    for (uint32_t i = 0; i < BLOCKS_PER_STEP_MAX; i++) {
        if (added[i] > 0 && to->counts[first + i] + added[i] > to->block_mask) {
            return false;
        }
    }
    return true;
}

/* Moves a block of the old table; false: it finds no room. */
static bool move_block(tarn__index *index)
{
    tarn__index_table *old = &index->old;
    const uint32_t slots = old->block_mask + 1;
    const tarn__index_slot *block = old->slots + (size_t)index->moved_count * slots;
    if (!can_move(index, block)) {
        return false;
    }
    for (uint32_t i = 0; i < slots; i++) {
        if (block[i].reference != 0) {
            place(&index->table, block[i].tag, block[i].reference);
        }
    }
    index->moved_count++;
    if (index->moved_count == blocks_of(old)) {
        free_table(index, old);
    } else {
        const size_t unit = given_unit_of(old);
        give_until(index, old, (size_t)index->moved_count * slots * SLOT_BYTES / unit * unit);
    }
    return true;
}

/* By how full the blocks are that were not moved: whether memory is short may change meanwhile. */
void tarn__index_put_off(tarn__index *index)
{
    const tarn__index_table *from = index->old.slots != NULL ? &index->old : &index->table;
    const bool is_fuller = index->count >= tight_limit_of(from->slot_count);
    index->pause = is_fuller ? FULLER_INSERTIONS_PER_STEP : INSERTIONS_PER_STEP;
}

bool tarn__index_step(tarn__index *index)
{
    tarn__index_put_off(index);
    if (index->old.slots == NULL && !begin_move(index)) {
        return false;
    }
    if (index->old.slots == NULL) { /* It is the first table. */
        return true;
    }
    if (!charge_until(index, &index->table, end_of_step(index))) {
        return false;
    }
    return move_block(index);
}

/* ---- rows ------------------------------------------------------------------------------- */

void tarn__index_add(tarn__index *index, uint64_t hash, uint32_t reference)
{
    const uint32_t tag = tarn__index_tag(hash);
    tarn__index_table *table = tarn__index_is_old(index, tag) ? &index->old : &index->table;
    assert(!is_full(table, tag));
    place(table, tag, reference);
    index->count++;
    index->pause -= index->pause > 0 ? 1 : 0;
}

/* Moves back what stands behind a gap and would not be found over it. */
static void close_gap(const tarn__index_table *table, tarn__index_slot *block, uint32_t gap)
{
    const uint32_t mask = table->block_mask;
    uint32_t at = (gap + 1) & mask;
    while (block[at].reference != 0) {
        const uint32_t home = tarn__index_home(table, block[at].tag) & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            block[gap] = block[at];
            gap = at;
        }
        at = (at + 1) & mask;
    }
    block[gap].reference = 0;
}

void tarn__index_replace(tarn__index *index, uint64_t hash, uint32_t from, uint32_t to)
{
    const uint32_t tag = tarn__index_tag(hash);
    const tarn__index_table *table = tarn__index_table_of(index, tag);
    const uint32_t home = tarn__index_home(table, tag);
    tarn__index_slot *block = table->slots + (home & ~table->block_mask);
    uint32_t at = home & table->block_mask;
    while (block[at].reference != from) {
        assert(block[at].reference != 0);
        at = (at + 1) & table->block_mask;
    }
    if (to != 0) {
        block[at].reference = to;
        return;
    }
    index->count--;
    table->counts[home >> table->block_log2]--;
    close_gap(table, block, at);
}

/* ---- shrinking -------------------------------------------------------------------------- */

static bool finish_move(tarn__index *index)
{
    while (index->old.slots != NULL) {
        if (!tarn__index_step(index)) {
            return false;
        }
    }
    return true;
}

/* False: a block would be full. */
static bool copy_rows(const tarn__index_table *from, tarn__index_table *to)
{
    for (size_t i = 0; i < from->slot_count; i++) {
        const tarn__index_slot slot = from->slots[i];
        if (slot.reference != 0 && is_full(to, slot.tag)) {
            return false;
        }
        if (slot.reference != 0) {
            place(to, slot.tag, slot.reference);
        }
    }
    return true;
}

void tarn__index_trim(tarn__index *index)
{
    if (!finish_move(index) || index->table.slots == NULL) {
        return;
    }
    if (index->count == 0) {
        free_table(index, &index->table);
        return;
    }
    uint64_t wanted = FIRST_SLOTS;
    while (wanted / 2 < index->count) {
        wanted *= 2;
    }
    if (wanted >= index->table.slot_count) {
        return;
    }
    const uint32_t slots = (uint32_t)wanted;
    tarn__index_table next;
    if (!begin_table(index, slots, 1 - index->table.region, &next)) {
        return;
    }
    if (!charge_until(index, &next, bytes_of(slots))) {
        free_table(index, &next);
        return;
    }
    if (copy_rows(&index->table, &next)) {
        free_table(index, &index->table);
        index->table = next;
    } else {
        free_table(index, &next);
    }
}
