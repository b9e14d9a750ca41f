/* block.c - see block.h. */
#include "cache/block.h"

#include <assert.h>

void tarn__block_init(tarn__block *block, bool is_complete)
{
    *block = (tarn__block){.is_complete = is_complete};
}

/* ---- finding ---------------------------------------------------------------------------- */

static uint64_t read_number(const void *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return __builtin_bswap64(number);
}

static int compare(tarn_bytes a, tarn_bytes b)
{
    if (a.size == sizeof(uint64_t) && b.size == sizeof(uint64_t)) {
        const uint64_t x = read_number(a.data);
        const uint64_t y = read_number(b.data);
        return (x > y) - (x < y);
    }
    const size_t same = a.size < b.size ? a.size : b.size;
    const int order = same > 0 ? memcmp(a.data, b.data, same) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

bool tarn__block_find(const tarn__block *block, size_t size, tarn_bytes key, uint32_t *at)
{
    uint32_t low = 0;
    uint32_t high = block->count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const int order = compare(tarn__block_read(block, size, middle).key, key);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *at = low;
    return false;
}

/* ---- sizes ------------------------------------------------------------------------------ */

size_t tarn__block_packed_bytes(const tarn__block *block)
{
    return sizeof *block + (size_t)block->count * TARN__BLOCK_SLOT_BYTES + block->heap_bytes -
           block->garbage_bytes;
}

size_t tarn__block_dirty_bytes(const tarn__block *block, size_t size)
{
    size_t bytes = sizeof *block;
    for (uint32_t at = 0; at < block->count; at++) {
        const tarn__block_entry entry = tarn__block_read(block, size, at);
        if (entry.state >= TARN__ENTRY_DIRTY) {
            bytes += tarn__entry_bytes(entry.key.size, entry.value.size);
        }
    }
    return bytes;
}

/* ---- changing --------------------------------------------------------------------------- */

static void count_in(tarn__block *block, tarn__entry_state state)
{
    if (state >= TARN__ENTRY_DIRTY) {
        block->dirty_count++;
    }
    if (tarn__entry_has_value(state)) {
        block->value_count++;
    }
}

static void count_out(tarn__block *block, tarn__entry_state state)
{
    if (state >= TARN__ENTRY_DIRTY) {
        block->dirty_count--;
    }
    if (tarn__entry_has_value(state)) {
        block->value_count--;
    }
}

/* Writes an entry in front of all others; answers its slot. The value may be garbage already. */
static uint16_t write_entry(
    tarn__block *block, size_t size, tarn_bytes key, tarn_bytes value, tarn__entry_state state)
{
    const size_t bytes = TARN__BLOCK_ENTRY_BYTES + key.size + value.size;
    const uint16_t sizes[2] = {(uint16_t)key.size, (uint16_t)value.size};
    assert(tarn__block_room(block, size) >= bytes);
    block->heap_bytes = (uint16_t)(block->heap_bytes + bytes);
    uint8_t *entry = (uint8_t *)block + size - block->heap_bytes;
    memcpy(entry, sizes, sizeof sizes);
    entry[4] = (uint8_t)state;
    if (key.size > 0) {
        memcpy(entry + TARN__BLOCK_ENTRY_BYTES, key.data, key.size);
    }
    if (value.size > 0) {
        memcpy(entry + TARN__BLOCK_ENTRY_BYTES + key.size, value.data, value.size);
    }
    return block->heap_bytes;
}

void tarn__block_insert(
    tarn__block *block,
    size_t size,
    uint32_t at,
    tarn_bytes key,
    tarn_bytes value,
    tarn__entry_state state)
{
    uint16_t *slots = tarn__block_slots(block);
    const uint16_t slot = write_entry(block, size, key, value, state);
    memmove(slots + at + 1, slots + at, (block->count - at) * sizeof *slots);
    slots[at] = slot;
    block->count++;
    count_in(block, state);
}

size_t tarn__block_set_bytes(const tarn__block *block, size_t size, uint32_t at, size_t value_size)
{
    const tarn__block_entry entry = tarn__block_read(block, size, at);
    return value_size <= entry.value.size ? 0
                                          : TARN__BLOCK_ENTRY_BYTES + entry.key.size + value_size;
}

void tarn__block_set(
    tarn__block *block, size_t size, uint32_t at, tarn_bytes value, tarn__entry_state state)
{
    uint8_t *data = tarn__block_at(block, size, at);
    const tarn__block_entry entry = tarn__block_read(block, size, at);
    count_out(block, entry.state);
    count_in(block, state);
    if (value.size > entry.value.size) {
        const size_t left = TARN__BLOCK_ENTRY_BYTES + entry.key.size + entry.value.size;
        tarn__block_slots(block)[at] = write_entry(block, size, entry.key, value, state);
        block->garbage_bytes = (uint16_t)(block->garbage_bytes + left);
        return;
    }
    const uint16_t value_size = (uint16_t)value.size;
    block->garbage_bytes = (uint16_t)(block->garbage_bytes + entry.value.size - value.size);
    if (value.size > 0) {
        memmove(data + TARN__BLOCK_ENTRY_BYTES + entry.key.size, value.data, value.size);
    }
    memcpy(data + sizeof value_size, &value_size, sizeof value_size);
    data[4] = (uint8_t)state;
}

void tarn__block_unset(tarn__block *block, size_t size, uint32_t at, tarn__entry_state state)
{
    tarn__block_set(block, size, at, (tarn_bytes){NULL, 0}, state);
}

void tarn__block_remove(tarn__block *block, size_t size, uint32_t at)
{
    uint16_t *slots = tarn__block_slots(block);
    const tarn__block_entry entry = tarn__block_read(block, size, at);
    count_out(block, entry.state);
    block->garbage_bytes =
        (uint16_t)(block->garbage_bytes + TARN__BLOCK_ENTRY_BYTES + entry.key.size + entry.value.size);
    block->count--;
    memmove(slots + at, slots + at + 1, (block->count - at) * sizeof *slots);
    if (block->count == 0) {
        block->heap_bytes = 0;
        block->garbage_bytes = 0;
    }
}

/* ---- as a whole ------------------------------------------------------------------------- */

void tarn__block_pack(
    const tarn__block *block, size_t size, bool has_clean, tarn__block *out, size_t out_size)
{
    *out = (tarn__block){
        .is_complete = block->is_complete,
        .is_large = block->is_large,
        .miss_count = block->miss_count,
    };
    for (uint32_t at = 0; at < block->count; at++) {
        const tarn__block_entry entry = tarn__block_read(block, size, at);
        if (has_clean || entry.state >= TARN__ENTRY_DIRTY) {
            tarn__block_insert(out, out_size, out->count, entry.key, entry.value, entry.state);
        }
    }
}

void tarn__block_clean(tarn__block *block, size_t size)
{
    for (uint32_t at = block->count; at-- > 0;) {
        const tarn__block_entry entry = tarn__block_read(block, size, at);
        if (entry.state == TARN__ENTRY_CLEAN) {
            continue;
        }
        if (tarn__entry_has_value(entry.state)) {
            tarn__block_set(block, size, at, entry.value, TARN__ENTRY_CLEAN);
        } else if (block->is_complete) {
            tarn__block_remove(block, size, at);
        } else {
            tarn__block_unset(block, size, at, TARN__ENTRY_ABSENT);
        }
    }
}
