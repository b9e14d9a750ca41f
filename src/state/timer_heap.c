/* timer_heap.c - see timer_heap.h. */
#include "state/timer_heap.h"

#include <string.h>

enum { NOWHERE = -1 };

tarn_status tarn__timer_heap_init(
    tarn__timer_heap *heap, tarn__account *account, uint32_t group_count, tarn_error *error)
{
    const size_t bytes = sizeof(tarn__timer_node) + sizeof(uint32_t);
    uint8_t *memory = tarn__allocate(account, group_count * bytes);
    if (memory == NULL) {
        return tarn__fail_no_memory(error, "the order of key groups", group_count * bytes);
    }
    heap->nodes = (tarn__timer_node *)(void *)memory;
    heap->places = (uint32_t *)(void *)(memory + group_count * sizeof(tarn__timer_node));
    heap->count = 0;
    memset(heap->places, NOWHERE, group_count * sizeof(uint32_t));
    return TARN_OK;
}

void tarn__timer_heap_clear(tarn__timer_heap *heap)
{
    tarn__release(heap->nodes);
    *heap = (tarn__timer_heap){.nodes = NULL};
}

static void put(tarn__timer_heap *heap, uint32_t place, tarn__timer_node node)
{
    heap->nodes[place] = node;
    heap->places[node.group] = place;
}

static void sift_up(tarn__timer_heap *heap, uint32_t place, tarn__timer_node node)
{
    while (place > 0) {
        const uint32_t parent = (place - 1) / 2;
        if (heap->nodes[parent].time <= node.time) {
            break;
        }
        put(heap, place, heap->nodes[parent]);
        place = parent;
    }
    put(heap, place, node);
}

static void sift_down(tarn__timer_heap *heap, uint32_t place, tarn__timer_node node)
{
    for (;;) {
        uint32_t child = place * 2 + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && heap->nodes[child + 1].time < heap->nodes[child].time) {
            child++;
        }
        if (heap->nodes[child].time >= node.time) {
            break;
        }
        put(heap, place, heap->nodes[child]);
        place = child;
    }
    put(heap, place, node);
}

void tarn__timer_heap_set(tarn__timer_heap *heap, uint32_t group, uint64_t time)
{
    const tarn__timer_node node = {.time = time, .group = group};
    const uint32_t place = heap->places[group];
    if (place == UINT32_MAX) {
        heap->count++;
        sift_up(heap, heap->count - 1, node);
    } else if (time < heap->nodes[place].time) {
        sift_up(heap, place, node);
    } else {
        sift_down(heap, place, node);
    }
}

void tarn__timer_heap_remove(tarn__timer_heap *heap, uint32_t group)
{
    const uint32_t place = heap->places[group];
    if (place == UINT32_MAX) {
        return;
    }
    heap->places[group] = UINT32_MAX;
    heap->count--;
    if (place == heap->count) {
        return;
    }
    const tarn__timer_node last = heap->nodes[heap->count];
    if (place > 0 && heap->nodes[(place - 1) / 2].time > last.time) {
        sift_up(heap, place, last);
    } else {
        sift_down(heap, place, last);
    }
}
