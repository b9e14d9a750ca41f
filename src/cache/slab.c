/* slab.c - see slab.h. */
#include "cache/slab.h"

#include <assert.h>
#include <string.h>

#define NONE UINT32_MAX

enum { FIRST_PAGES = 16, STEPS_LOG2 = 3 };

bool tarn__slab_init(
    tarn__slab *slab, tarn__account *account, uint32_t page_bytes, uint64_t reach_bytes)
{
    assert((page_bytes & (page_bytes - 1)) == 0 && page_bytes <= TARN__SLAB_PAGE_BYTES_MAX);
    *slab = (tarn__slab){
        .account = account,
        .page_bytes = page_bytes,
        .first_free = NONE,
        .first_given = NONE,
    };
    while (((uint32_t)TARN__SLAB_UNIT << slab->unit_shift) < page_bytes) {
        slab->unit_shift++;
    }
    for (uint32_t i = 0; i < TARN__SLAB_CLASSES; i++) {
        slab->with_room[i] = NONE;
    }
    return tarn__region_open(&slab->region, reach_bytes, page_bytes);
}

void tarn__slab_clear(tarn__slab *slab)
{
    tarn__region_close(&slab->region);
    if (slab->memory_count > 0) {
        tarn__account_discharge(slab->account, (size_t)slab->memory_count * slab->page_bytes);
    }
    tarn__release(slab->pages);
    tarn__marks_clear(&slab->marks);
    slab->pages = NULL;
    slab->page_count = 0;
    slab->memory_count = 0;
}

/* ---- classes ---------------------------------------------------------------------------- */

/* The class of so many bytes, and the units of its slots. */
static uint32_t class_of(size_t bytes, uint32_t *units_out)
{
    const uint32_t units = (uint32_t)((bytes + TARN__SLAB_UNIT - 1) / TARN__SLAB_UNIT);
    if (units < 1u << STEPS_LOG2) {
        *units_out = units;
        return units;
    }
    const uint32_t log2 = 31 - (uint32_t)__builtin_clz(units);
    const uint32_t shift = log2 - STEPS_LOG2;
    const uint32_t steps = (units + (1u << shift) - 1) >> shift;
    *units_out = steps << shift;
    return (shift << STEPS_LOG2) + steps;
}

/* ---- lists of pages --------------------------------------------------------------------- */

static void link_page(tarn__slab *slab, uint32_t *head, uint32_t index)
{
    tarn__slab_page *page = &slab->pages[index];
    page->previous = NONE;
    page->next = *head;
    if (*head != NONE) {
        slab->pages[*head].previous = index;
    }
    *head = index;
}

static void unlink_page(tarn__slab *slab, uint32_t *head, uint32_t index)
{
    const tarn__slab_page *page = &slab->pages[index];
    if (page->previous != NONE) {
        slab->pages[page->previous].next = page->next;
    } else {
        *head = page->next;
    }
    if (page->next != NONE) {
        slab->pages[page->next].previous = page->previous;
    }
}

/* Cuts a page into free slots of a class. */
static void dedicate(tarn__slab *slab, uint32_t index, uint32_t class_index, uint32_t units)
{
    tarn__slab_page *page = &slab->pages[index];
    page->class_index = (uint16_t)class_index;
    page->units = (uint16_t)units;
    page->slot_count = (uint16_t)((1u << slab->unit_shift) / units);
    page->live_count = 0;
    page->free_slot = 0;
    for (uint32_t slot = page->slot_count; slot > 0; slot--) {
        const uint32_t reference = tarn__slab_reference(slab, index, slot - 1);
        tarn__hot_row *row = tarn__slab_at(slab, reference);
        *row = (tarn__hot_row){.epoch = page->free_slot, .state = TARN__HOT_FREE};
        page->free_slot = reference;
    }
}

/* ---- slots ------------------------------------------------------------------------------ */

bool tarn__slab_has_room(const tarn__slab *slab, size_t bytes)
{
    uint32_t units = 0;
    return slab->with_room[class_of(bytes, &units)] != NONE || slab->first_free != NONE;
}

uint32_t tarn__slab_take(tarn__slab *slab, size_t bytes)
{
    assert(bytes <= tarn__slab_slot_bytes_max(slab));
    uint32_t units = 0;
    const uint32_t class_index = class_of(bytes, &units);
    uint32_t index = slab->with_room[class_index];
    if (index == NONE) {
        index = slab->first_free;
        if (index == NONE) {
            return 0;
        }
        unlink_page(slab, &slab->first_free, index);
        dedicate(slab, index, class_index, units);
        link_page(slab, &slab->with_room[class_index], index);
    }
    tarn__slab_page *page = &slab->pages[index];
    const uint32_t reference = page->free_slot;
    page->free_slot = tarn__slab_at(slab, reference)->epoch;
    page->live_count++;
    if (page->free_slot == 0) {
        unlink_page(slab, &slab->with_room[class_index], index);
    }
    return reference;
}

void tarn__slab_give(tarn__slab *slab, uint32_t reference)
{
    const uint32_t index = tarn__slab_page_of(slab, reference);
    tarn__slab_page *page = &slab->pages[index];
    tarn__hot_row *row = tarn__slab_at(slab, reference);
    uint32_t *with_room = &slab->with_room[page->class_index];
    if (page->free_slot == 0) {
        link_page(slab, with_room, index);
    }
    row->state = TARN__HOT_FREE;
    row->epoch = page->free_slot;
    page->free_slot = reference;
    page->live_count--;
    if (page->live_count == 0) {
        unlink_page(slab, with_room, index);
        page->units = 0;
        link_page(slab, &slab->first_free, index);
    }
}

/* ---- pages ------------------------------------------------------------------------------ */

/* Pages that come at once: an extent of them, or one until an extent begins. */
static uint32_t pages_at_once(const tarn__slab *slab)
{
    const uint32_t count = TARN__REGION_EXTENT_BYTES / slab->page_bytes;
    return slab->is_large && slab->page_count % count == 0 ? count : 1;
}

/* Makes room for more pages to be known. */
static bool reserve_pages(tarn__slab *slab)
{
    const uint32_t wanted = slab->page_count + pages_at_once(slab);
    const uint32_t limit = UINT32_MAX >> slab->unit_shift; /* References have 32 bits. */
    if (wanted >= limit || (uint64_t)wanted * slab->page_bytes > slab->region.size) {
        return false;
    }
    if (wanted <= slab->page_capacity) {
        return true;
    }
    uint32_t capacity = slab->page_capacity == 0 ? FIRST_PAGES : slab->page_capacity * 2;
    capacity = capacity < wanted ? wanted : capacity;
    if (!tarn__marks_reserve(&slab->marks, slab->account, (uint64_t)capacity * slab->page_bytes)) {
        return false;
    }
    tarn__slab_page *pages =
        tarn__reallocate(slab->account, slab->pages, capacity * sizeof *slab->pages);
    if (pages == NULL) {
        return false;
    }
    slab->pages = pages;
    slab->page_capacity = capacity;
    return true;
}

size_t tarn__slab_growth(const tarn__slab *slab)
{
    return slab->first_given != NONE ? slab->page_bytes
                                     : (size_t)pages_at_once(slab) * slab->page_bytes;
}

static void make_free(tarn__slab *slab, uint32_t index)
{
    slab->pages[index] = (tarn__slab_page){.has_memory = true};
    link_page(slab, &slab->first_free, index);
    slab->memory_count++;
}

bool tarn__slab_add_page(tarn__slab *slab)
{
    const size_t growth = tarn__slab_growth(slab);
    if ((slab->first_given == NONE && !reserve_pages(slab)) ||
        !tarn__account_charge(slab->account, growth)) {
        return false;
    }
    const uint32_t given = slab->first_given;
    if (given != NONE) {
        unlink_page(slab, &slab->first_given, given);
        make_free(slab, given);
        return true;
    }
    const uint32_t count = pages_at_once(slab);
    if (count > 1) {
        slab->has_large = true;
        tarn__region_advise(
            &slab->region, (size_t)slab->page_count * slab->page_bytes, growth, true);
    }
    slab->page_count += count;
    for (uint32_t i = 1; i <= count; i++) { /* So that the first one is used first. */
        make_free(slab, slab->page_count - i);
    }
    return true;
}

bool tarn__slab_remove_page(tarn__slab *slab)
{
    const uint32_t index = slab->first_free;
    if (index == NONE) {
        return false;
    }
    const size_t offset = (size_t)index * slab->page_bytes;
    unlink_page(slab, &slab->first_free, index);
    if (slab->has_large) { /* Else the kernel might make the extent whole again. */
        tarn__region_advise(&slab->region, offset, slab->page_bytes, false);
    }
    tarn__region_give(&slab->region, offset, slab->page_bytes);
    tarn__account_discharge(slab->account, slab->page_bytes);
    slab->pages[index].has_memory = false;
    link_page(slab, &slab->first_given, index);
    slab->memory_count--;
    return true;
}

size_t tarn__slab_memory(const tarn__slab *slab)
{
    return (size_t)slab->memory_count * slab->page_bytes +
           (size_t)slab->page_capacity * sizeof *slab->pages +
           (size_t)slab->marks.word_count * sizeof *slab->marks.words;
}
