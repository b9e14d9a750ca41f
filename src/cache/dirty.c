/*
 * dirty.c - goes from dirty row to dirty row, by the marks of the slabs.
 *
 * What is dirty may be one row of a hundred, each in a line of memory of its own: those that come
 * next are fetched ahead.
 */
#include "cache/workset_private.h"

enum {
    LINE_UNITS = (1 << TARN__MARKS_LINE_LOG2) / TARN__SLAB_UNIT,
    FETCHED_WORDS = 4, /* Of marks, ahead: some rows where few are dirty. */
};

/* The slots that begin in a line of a page. */
typedef struct slots {
    uint32_t begin;
    uint32_t end;
} slots;

static slots slots_of(const tarn__slab_page *page, uint32_t line)
{
    const uint32_t units = page->units;
    const uint32_t end = ((line + 1) * LINE_UNITS + units - 1) / units;
    return (slots){
        .begin = (line * LINE_UNITS + units - 1) / units,
        .end = end < page->slot_count ? end : page->slot_count,
    };
}

static bool is_dirty(const tarn__workset *set, uint32_t page, uint32_t slot)
{
    const uint32_t reference = tarn__slab_reference(&set->slab, page, slot);
    return tarn__hot_row_is_dirty(tarn__slab_at(&set->slab, reference));
}

static bool has_dirty(const tarn__workset *set, uint32_t page, slots in)
{
    bool has = false;
    for (uint32_t slot = in.begin; slot < in.end && !has; slot++) {
        has = is_dirty(set, page, slot);
    }
    return has;
}

static void fetch_ahead(const tarn__workset *set, tarn__cursor *cursor, uint32_t line)
{
    const uint32_t word = line >> TARN__MARKS_WORD_LOG2;
    if (cursor->fetched < word) {
        cursor->fetched = word;
    }
    for (; cursor->fetched <= word + FETCHED_WORDS; cursor->fetched++) {
        tarn__marks_fetch(&set->slab.marks, set->slab.region.base, cursor->fetched);
    }
}

/* The next one of the cursor's page; 0: none is left, or no look is. */
static uint32_t next_in_page(tarn__workset *set, tarn__cursor *cursor, uint64_t *looks_left)
{
    const tarn__slab_page *page = &set->slab.pages[cursor->page];
    const uint32_t line_count = set->slab.page_bytes >> TARN__MARKS_LINE_LOG2;
    const uint32_t first = cursor->page * line_count;
    const uint32_t end = first + line_count;
    uint32_t line = first + cursor->slot * page->units / LINE_UNITS;
    while (*looks_left > 0 && (line = tarn__marks_next(&set->slab.marks, line, end)) < end) {
        const slots all = slots_of(page, line - first);
        fetch_ahead(set, cursor, line);
        for (uint32_t slot = cursor->slot > all.begin ? cursor->slot : all.begin; slot < all.end;
             slot++) {
            if (is_dirty(set, cursor->page, slot)) {
                cursor->slot = slot + 1;
                --*looks_left;
                return tarn__slab_reference(&set->slab, cursor->page, slot);
            }
        }
        cursor->slot = all.end; /* Begins at the next line, or behind it. */
        if (!has_dirty(set, cursor->page, all)) {
            tarn__marks_unset(&set->slab.marks, line);
        }
        line++;
        --*looks_left;
    }
    return 0;
}

uint32_t tarn__workset_next_dirty(tarn__workset *set, tarn__cursor *cursor, uint64_t *looks_left)
{
    while (cursor->page<set->slab.page_count && * looks_left> 0) {
        const tarn__slab_page *page = &set->slab.pages[cursor->page];
        if (page->has_memory && page->units != 0) {
            const uint32_t reference = next_in_page(set, cursor, looks_left);
            if (reference != 0) {
                return reference;
            }
        }
        if (*looks_left > 0) {
            *cursor = (tarn__cursor){.page = cursor->page + 1, .fetched = cursor->fetched};
            --*looks_left;
        }
    }
    if (cursor->page >= set->slab.page_count) {
        *cursor = (tarn__cursor){0};
    }
    return 0;
}
