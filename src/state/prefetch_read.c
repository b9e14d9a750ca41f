/* prefetch_read.c - reading a batch of rows, by the helper and the task. See prefetch.h. */
#include "codec/chunk.h"
#include "state/hot_list.h"
#include "state/hot_map_private.h"
#include "state/prefetch_private.h"

enum {
    VALUE_BYTES_MAX = 4 << 20,
    SCANS_MAX = 8, /* Whole maps and lists that are claimed at once. */
    CONTENT_ALIGNMENT = 16,
};

void tarn__ahead_publish(tarn__prefetch *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->is_sorted = false;
    p->value_bytes = 0;
    p->contents.size = 0;
    p->next = 0;
    p->published_count = p->count;
    (void)pthread_mutex_unlock(&p->mutex);
}

void tarn__ahead_withdraw(tarn__prefetch *p)
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

/* ---- reading: any thread ---------------------------------------------------------------- */

static bool is_before(const tarn__prefetch *p, const tarn__ahead_item *a, const tarn__ahead_item *b)
{
    if (a->keyed != b->keyed) {
        return (uintptr_t)a->keyed < (uintptr_t)b->keyed;
    }
    if (a->order != b->order) {
        return a->order < b->order;
    }
    return tarn_bytes_compare(tarn__ahead_row(p, a), tarn__ahead_row(p, b)) < 0;
}

/* Shell's sort, as qsort() may allocate; and the reads in that order, which nobody began yet. */
static void sort(tarn__prefetch *p)
{
    static const uint32_t GAPS[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof GAPS / sizeof GAPS[0]; g++) {
        const uint32_t gap = GAPS[g];
        for (uint32_t i = gap; i < p->count; i++) {
            const tarn__ahead_item moved = p->items[i];
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
            .key = tarn__ahead_row(p, &p->items[i]),
            .status = TARN_ABANDONED,
        };
    }
    p->is_sorted = true;
}

static uint32_t most_at_once(const tarn__ahead_item *item)
{
    return item->limit != 0 ? SCANS_MAX : TARN__ROCKS_READS_MAX;
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
        const uint32_t most = most_at_once(&p->items[*first]);
        while (count < most && p->next < p->published_count &&
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

/* ---- whole maps and lists ---- */

/* Keeps what was read of a whole one in the contents. */
static tarn_status keep_content(tarn__prefetch *p, tarn__ahead_item *item, tarn_bytes content)
{
    tarn_status status = TARN_NO_MEMORY;
    (void)pthread_mutex_lock(&p->mutex);
    const size_t at = (p->contents.size + CONTENT_ALIGNMENT - 1) & ~(size_t)(CONTENT_ALIGNMENT - 1);
    if (tarn_buffer_reserve(&p->contents, at + content.size) == TARN_OK) {
        if (content.size > 0) {
            memcpy(p->contents.data + at, content.data, content.size);
        }
        p->contents.size = at + content.size;
        p->value_bytes += content.size;
        item->content_at = (uint32_t)at;
        item->content_size = (uint32_t)content.size;
        status = TARN_OK;
    }
    (void)pthread_mutex_unlock(&p->mutex);
    return status;
}

/* The row behind all rows of a whole one. */
static tarn_bytes beyond_of(const tarn__prefetch *p, const tarn__ahead_item *item)
{
    return tarn_bytes_at(p->bytes.data + item->at + item->size, item->head_size);
}

static tarn_status scan_map(tarn__prefetch *p, tarn__ahead_item *item)
{
    _Alignas(CONTENT_ALIGNMENT) uint8_t bytes[2][TARN__HOT_MAP_BYTES_MAX];
    tarn__block *block = (tarn__block *)(void *)bytes[0];
    tarn__block *packed = (tarn__block *)(void *)bytes[1];
    const size_t size = item->limit;
    bool fits = false;
    TARN_TRY(tarn__hot_map_scan(
        item->keyed->family,
        tarn__ahead_row(p, item),
        beyond_of(p, item),
        /* is_ahead= */ true,
        block,
        size,
        &fits,
        NULL));
    if (!fits) {
        return TARN_DONE;
    }
    const size_t needed = tarn__block_packed_bytes(block);
    tarn__block_pack(block, size, /* has_clean= */ true, packed, needed);
    return keep_content(p, item, tarn_bytes_at(packed, needed));
}

static tarn_status scan_list(tarn__prefetch *p, tarn__ahead_item *item)
{
    tarn_buffer read = {.allocator = &p->backend->account->face};
    bool is_whole = false;
    tarn_status status = tarn__hot_list_scan(
        item->keyed->family, tarn__ahead_row(p, item), beyond_of(p, item), &read, &is_whole, NULL);
    if (status == TARN_OK) {
        status = is_whole ? keep_content(p, item, tarn_buffer_bytes(&read)) : TARN_DONE;
    }
    tarn_buffer_clear(&read);
    return status;
}

static void scan(tarn__prefetch *p, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        tarn__ahead_item *item = &p->items[i];
        p->reads[i].status = item->keyed->hot.is_of_blocks ? scan_map(p, item) : scan_list(p, item);
    }
}

void tarn__ahead_read(void *prefetch)
{
    tarn__prefetch *p = prefetch;
    uint32_t first = 0;
    uint32_t count = 0;
    while ((count = claim(p, &first)) > 0) {
        if (p->items[first].limit != 0) {
            scan(p, first, count);
        } else {
            tarn__rocks_get_sorted(p->items[first].keyed->family, p->reads + first, count);
        }
        finish_chunk(p, p->reads + first, count);
    }
}
