/*
 * resize.c - the capacity of a working set, and the pages that it asks for.
 *
 * A page has slots of one size alone: there must be many of them, so that a small set has small
 * ones. When another capacity wants pages of another size, all rows leave; what is dirty is
 * written. That costs little: below 64 pages of the largest size the set is small, and above, all
 * capacities want the same.
 */
#include "cache/workset_private.h"

enum {
    PAGES_WANTED = 64,               /* So many at least, when pages are chosen by capacity. */
    LARGE_CAPACITY_BYTES = 32 << 20, /* From here on large pages lose little. */
};

uint32_t tarn__workset_choose_page_bytes(uint64_t capacity_bytes)
{
    uint32_t bytes = TARN__SLAB_PAGE_BYTES_MIN;
    while (bytes < TARN__SLAB_PAGE_BYTES_MAX && (uint64_t)bytes * PAGES_WANTED < capacity_bytes) {
        bytes *= 2;
    }
    return bytes;
}

void tarn__workset_choose_large_pages(tarn__workset *set)
{
    const bool is_large = set->slab.page_bytes == TARN__SLAB_PAGE_BYTES_MAX &&
                          set->figures.capacity_bytes >= LARGE_CAPACITY_BYTES;
    set->slab.is_large = is_large;
    set->index.is_large = is_large;
}

static void forget_all(tarn__workset *set)
{
    tarn__cursor cursor = {0};
    uint32_t reference = 0;
    while ((reference = tarn__workset_step(set, &cursor)) != 0) {
        if (tarn__slab_at(&set->slab, reference)->state != TARN__HOT_FREE) {
            tarn__workset_forget(set, reference);
            set->figures.evicted_count++;
        }
    }
}

/* Begins anew with pages of another size; without address space for them the old ones stay. */
static tarn_status replace_pages(tarn__workset *set, uint32_t page_bytes, tarn_error *error)
{
    tarn__slab slab;
    if (!tarn__slab_init(&slab, set->account, page_bytes, set->slab.region.size)) {
        return TARN_OK;
    }
    const tarn_bytes nothing = tarn_bytes_at(NULL, 0);
    const tarn_status status = tarn__workset_settle(set, NULL, nothing, nothing, error);
    if (status != TARN_OK) {
        tarn__slab_clear(&slab);
        return status;
    }
    forget_all(set);
    tarn__slab_clear(&set->slab);
    set->slab = slab;
    set->hand = (tarn__cursor){0};
    set->drain_begin = (tarn__cursor){0};
    return TARN_OK;
}

static tarn_status change_capacity(tarn__workset *set, tarn_error *error)
{
    const uint32_t page_bytes = tarn__workset_choose_page_bytes(set->figures.capacity_bytes);
    if (!set->has_given_pages && page_bytes != set->slab.page_bytes) {
        TARN_TRY(replace_pages(set, page_bytes, error));
    }
    tarn__workset_choose_large_pages(set);
    return tarn__workset_shrink(set, error);
}

tarn_status tarn__workset_resize(tarn__workset *set, uint64_t capacity_bytes, tarn_error *error)
{
    const uint64_t before = set->figures.capacity_bytes;
    set->figures.capacity_bytes = capacity_bytes;
    set->held = 0;
    const tarn_status status = change_capacity(set, error);
    if (status != TARN_OK) {
        set->figures.capacity_bytes = before;
    }
    tarn__workset_choose_large_pages(set);
    return status;
}
