/*
 * block.h - rows of the store that begin alike, as one value of the working set.
 *
 *     [header][slot][slot] ...  free  ... [entry][entry][entry]
 *      slot     how many bytes before the end its entry begins; sorted by the entries' keys
 *      entry    [key size u16][value size u16][state u8][key][value]
 *
 * A key is what the row has behind that by which the block is found. Entries lie in any order, so
 * that one more moves slots alone; what an entry leaves behind is garbage until the block is
 * packed.
 *
 * A block that is complete has all rows of the store that begin so, but for tombstones. Another one
 * has some of them.
 *
 * Invariants
 *   - Keys are distinct, and slots are in the order of their bytes.
 *   - size, which each function is given, is that of the whole block: at most
 * TARN__BLOCK_BYTES_MAX.
 *
 * Thread: pure.
 */
#ifndef TARN_CACHE_BLOCK_H
#define TARN_CACHE_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tarn/bytes.h"

enum {
    TARN__BLOCK_BYTES_MAX = UINT16_MAX,
    TARN__BLOCK_SLOT_BYTES = 2,
    TARN__BLOCK_ENTRY_BYTES = 5, /* Before its key. */
};

typedef enum tarn__entry_state {
    TARN__ENTRY_CLEAN,     /* The store has this value. */
    TARN__ENTRY_ABSENT,    /* The store has no such row. In blocks that are not complete. */
    TARN__ENTRY_DIRTY,     /* A value that the store has not got. From here on: dirty. */
    TARN__ENTRY_NEW,       /* Likewise, and the store has no such row. */
    TARN__ENTRY_TOMBSTONE, /* A removal that the store has not got. */
} tarn__entry_state;

typedef struct tarn__block {
    uint16_t count;         /* Of entries. */
    uint16_t dirty_count;   /* Of these, dirty ones. */
    uint16_t value_count;   /* Of these, such with a value. */
    uint16_t heap_bytes;    /* From the first entry to the end, garbage included. */
    uint16_t garbage_bytes; /* Of these. */
    uint8_t is_complete;
    uint8_t is_large;   /* The store has more rows than a block holds. */
    uint8_t miss_count; /* Reads of what was not here, up to 255. */
    uint8_t unused[3];
} tarn__block;

_Static_assert(sizeof(tarn__block) == 16, "a header is one unit");

typedef struct tarn__block_entry {
    tarn_bytes key;
    tarn_bytes value;
    tarn__entry_state state;
} tarn__block_entry;

static inline bool tarn__entry_has_value(tarn__entry_state state)
{
    return state == TARN__ENTRY_CLEAN || state == TARN__ENTRY_DIRTY || state == TARN__ENTRY_NEW;
}

/* What an entry takes of a block, its slot included. */
static inline size_t tarn__entry_bytes(size_t key_size, size_t value_size)
{
    return TARN__BLOCK_SLOT_BYTES + TARN__BLOCK_ENTRY_BYTES + key_size + value_size;
}

/* An empty block. */
void tarn__block_init(tarn__block *block, bool is_complete);

static inline uint16_t *tarn__block_slots(const tarn__block *block)
{
    return (uint16_t *)(uintptr_t)(block + 1);
}

static inline uint8_t *tarn__block_at(const tarn__block *block, size_t size, uint32_t at)
{
    return (uint8_t *)(uintptr_t)block + size - tarn__block_slots(block)[at];
}

/* Reads an entry; its views lie in the block. at < count. */
static inline tarn__block_entry tarn__block_read(const tarn__block *block, size_t size, uint32_t at)
{
    const uint8_t *entry = tarn__block_at(block, size, at);
    uint16_t sizes[2];
    memcpy(sizes, entry, sizeof sizes);
    return (tarn__block_entry){
        .key = {entry + TARN__BLOCK_ENTRY_BYTES, sizes[0]},
        .value = {entry + TARN__BLOCK_ENTRY_BYTES + sizes[0], sizes[1]},
        .state = (tarn__entry_state)entry[4],
    };
}

/* Finds a key: *at is the place of its entry, or of the first that is not less. */
bool tarn__block_find(const tarn__block *block, size_t size, tarn_bytes key, uint32_t *at);

/* Bytes that are neither header, slot nor entry, garbage aside. */
static inline size_t tarn__block_room(const tarn__block *block, size_t size)
{
    return size - sizeof *block - (size_t)block->count * TARN__BLOCK_SLOT_BYTES - block->heap_bytes;
}

/* The bytes of the block with all its entries, packed; with the dirty ones alone. */
size_t tarn__block_packed_bytes(const tarn__block *block);
size_t tarn__block_dirty_bytes(const tarn__block *block, size_t size);

/* Adds an entry at its place, for which there is room: tarn__entry_bytes(). */
void tarn__block_insert(
    tarn__block *block,
    size_t size,
    uint32_t at,
    tarn_bytes key,
    tarn_bytes value,
    tarn__entry_state state);

/* The room that setting an entry's value takes. */
size_t tarn__block_set_bytes(const tarn__block *block, size_t size, uint32_t at, size_t value_size);

/* Gives an entry a value and a state; the value may lie in the block. There is room. */
void tarn__block_set(
    tarn__block *block, size_t size, uint32_t at, tarn_bytes value, tarn__entry_state state);

/* Gives an entry a state without a value, or takes it out. */
void tarn__block_unset(tarn__block *block, size_t size, uint32_t at, tarn__entry_state state);
void tarn__block_remove(tarn__block *block, size_t size, uint32_t at);

/*
 * Copies a block into another place, which does not overlap it and has room, without its garbage.
 *
 * has_clean  False: only what is dirty is copied.
 */
void tarn__block_pack(
    const tarn__block *block, size_t size, bool has_clean, tarn__block *out, size_t out_size);

/* The store has all that was dirty. */
void tarn__block_clean(tarn__block *block, size_t size);

#endif
