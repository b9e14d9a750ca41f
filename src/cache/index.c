/* index.c - see index.h. */
#include "cache/index.h"

#include <assert.h>
#include <string.h>

enum { FIRST_SLOTS = 8 };

bool tarn__index_init(tarn__index *index, tarn__account *account, uint32_t segments_log2)
{
    const uint32_t count = 1u << segments_log2;
    *index = (tarn__index){
        .account = account,
        .shift = 64 - segments_log2,
        .memory = count * sizeof *index->segments,
    };
    index->segments = tarn__allocate_zeroed(account, count, sizeof *index->segments);
    return index->segments != NULL;
}

void tarn__index_clear(tarn__index *index)
{
    const uint64_t count = UINT64_C(1) << (64 - index->shift);
    for (uint64_t i = 0; index->segments != NULL && i < count; i++) {
        tarn__release(index->segments[i].slots);
    }
    tarn__release(index->segments);
    index->segments = NULL;
}

static uint32_t slots_of(const tarn__index_segment *segment)
{
    return segment->slots != NULL ? segment->mask + 1 : 0;
}

/* At most seven of eight slots are taken. */
static bool is_full(const tarn__index_segment *segment)
{
    const uint32_t slots = slots_of(segment);
    return segment->count >= slots - slots / 8;
}

static uint32_t grown(const tarn__index_segment *segment)
{
    const uint32_t slots = slots_of(segment);
    return slots == 0 ? FIRST_SLOTS : slots * 2;
}

uint64_t tarn__index_growth(const tarn__index *index, uint64_t hash)
{
    const tarn__index_segment *segment = tarn__index_segment_of(index, hash);
    return is_full(segment)
               ? (uint64_t)(grown(segment) - slots_of(segment)) * sizeof *segment->slots
               : 0;
}

static void place(tarn__index_segment *segment, uint32_t tag, uint32_t reference)
{
    uint32_t at = tag & segment->mask;
    while (segment->slots[at].reference != 0) {
        at = (at + 1) & segment->mask;
    }
    segment->slots[at] = (tarn__index_slot){.tag = tag, .reference = reference};
}

/* Moves a segment to so many slots; false: no memory. */
static bool rebuild(tarn__index *index, tarn__index_segment *segment, uint32_t slots)
{
    const tarn__index_segment before = *segment;
    tarn__index_slot *memory = NULL;
    if (slots > 0) {
        memory = tarn__allocate_zeroed(index->account, slots, sizeof *segment->slots);
        if (memory == NULL) {
            return false;
        }
    }
    index->memory += (uint64_t)slots * sizeof *memory;
    index->memory -= (uint64_t)slots_of(&before) * sizeof *memory;
    segment->slots = memory;
    segment->mask = slots > 0 ? slots - 1 : 0;
    for (uint32_t i = 0; i < slots_of(&before); i++) {
        if (before.slots[i].reference != 0) {
            place(segment, before.slots[i].tag, before.slots[i].reference);
        }
    }
    tarn__release(before.slots);
    return true;
}

bool tarn__index_reserve(tarn__index *index, uint64_t hash)
{
    tarn__index_segment *segment = tarn__index_segment_of(index, hash);
    return !is_full(segment) || rebuild(index, segment, grown(segment));
}

void tarn__index_trim(tarn__index *index)
{
    const uint64_t count = UINT64_C(1) << (64 - index->shift);
    for (uint64_t i = 0; i < count; i++) {
        tarn__index_segment *segment = &index->segments[i];
        uint32_t slots = segment->count == 0 ? 0 : FIRST_SLOTS;
        while (slots > 0 && segment->count >= slots / 2) {
            slots *= 2;
        }
        if (slots < slots_of(segment)) {
            (void)rebuild(index, segment, slots);
        }
    }
}

void tarn__index_add(tarn__index *index, uint64_t hash, uint32_t reference)
{
    tarn__index_segment *segment = tarn__index_segment_of(index, hash);
    assert(!is_full(segment));
    place(segment, (uint32_t)hash, reference);
    segment->count++;
}

/* Moves back what stands behind a gap and would not be found over it. */
static void close_gap(tarn__index_segment *segment, uint32_t gap)
{
    const uint32_t mask = segment->mask;
    uint32_t at = (gap + 1) & mask;
    while (segment->slots[at].reference != 0) {
        const uint32_t home = segment->slots[at].tag & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            segment->slots[gap] = segment->slots[at];
            gap = at;
        }
        at = (at + 1) & mask;
    }
    segment->slots[gap].reference = 0;
}

void tarn__index_replace(tarn__index *index, uint64_t hash, uint32_t from, uint32_t to)
{
    tarn__index_segment *segment = tarn__index_segment_of(index, hash);
    uint32_t at = (uint32_t)hash & segment->mask;
    while (segment->slots[at].reference != from) {
        assert(segment->slots[at].reference != 0);
        at = (at + 1) & segment->mask;
    }
    if (to != 0) {
        segment->slots[at].reference = to;
        return;
    }
    segment->count--;
    close_gap(segment, at);
}
