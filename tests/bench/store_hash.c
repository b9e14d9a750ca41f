/*
 * store_hash.c - see store.h: a hash table in memory, as fast as this is without any of a
 * backend's duties.
 *
 * Open addressing with linear probing over slots of one size: hash, key, value. A look-up of a
 * small row touches one cache line. Removal shifts the rest of the run back, so that there are no
 * tombstones; the table doubles at three quarters.
 */
#include <stdlib.h>
#include <string.h>

#include "store.h"

enum { FIRST_SLOTS = 1024, WORD = 8 };

typedef struct hash_table {
    bench_table base;
    uint8_t *slots; /* Of slot_bytes: hash with its lowest bit set or 0, key, value. */
    uint64_t mask;
    uint64_t used;
    size_t key_words; /* Rows of a table are of one shape; the first one decides. */
    size_t value_bytes;
    size_t value_words;
    size_t slot_bytes;
    uint8_t name_space[BENCH_KEY_BYTES_MAX];
    size_t name_space_size;
    uint64_t row[BENCH_KEY_BYTES_MAX * 2 / WORD]; /* Key and namespace, padded by zeros. */
} hash_table;

typedef struct hash_store {
    bench_store base;
    uint8_t key[BENCH_KEY_BYTES_MAX];
    size_t key_size;
    hash_table tables[BENCH_TABLES_MAX];
    uint32_t table_count;
} hash_store;

/* ---- the table -------------------------------------------------------------------------- */

static uint64_t hash_of(const uint64_t *words, size_t count)
{
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return hash | 1;
}

static uint8_t *slot_at(const hash_table *table, uint64_t index)
{
    return table->slots + (index & table->mask) * table->slot_bytes;
}

static uint64_t hash_at(const uint8_t *slot)
{
    uint64_t hash;
    memcpy(&hash, slot, sizeof hash);
    return hash;
}

/* The place in the table that a hash wants. Its lowest bit says nothing. */
static uint64_t home_of(uint64_t hash)
{
    return hash >> 1;
}

static size_t words_of(size_t bytes)
{
    return (bytes + WORD - 1) / WORD;
}

/* The row's slot, or the empty one where it belongs. */
static uint64_t find(const hash_table *table, uint64_t hash)
{
    uint64_t index = home_of(hash) & table->mask;
    for (;; index = (index + 1) & table->mask) {
        const uint8_t *slot = slot_at(table, index);
        const uint64_t found = hash_at(slot);
        if (found == 0 ||
            (found == hash && memcmp(slot + WORD, table->row, table->key_words * WORD) == 0)) {
            return index;
        }
    }
}

static void allocate_slots(hash_table *table, uint64_t count)
{
    table->mask = count - 1;
    table->slots = bench_allocate(count * table->slot_bytes);
}

static void grow(hash_table *table)
{
    uint8_t *old = table->slots;
    const uint64_t old_count = table->mask + 1;
    allocate_slots(table, old_count * 2);
    for (uint64_t i = 0; i < old_count; i++) {
        const uint8_t *slot = old + i * table->slot_bytes;
        uint64_t index = home_of(hash_at(slot)) & table->mask;
        if (hash_at(slot) == 0) {
            continue;
        }
        while (hash_at(slot_at(table, index)) != 0) {
            index = (index + 1) & table->mask;
        }
        memcpy(slot_at(table, index), slot, table->slot_bytes);
    }
    free(old);
}

static uint64_t build_row(hash_table *table)
{
    const hash_store *store = (const hash_store *)table->base.store;
    const size_t size = store->key_size + table->name_space_size;
    uint8_t *row = (uint8_t *)table->row;
    table->row[words_of(size) - 1] = 0;
    memcpy(row, store->key, store->key_size);
    memcpy(row + store->key_size, table->name_space, table->name_space_size);
    if (table->key_words == 0) {
        table->key_words = words_of(size);
    }
    return hash_of(table->row, table->key_words);
}

/* The value of the current row; NULL: there is none. */
static uint8_t *look_up(hash_table *table)
{
    const uint64_t hash = build_row(table);
    if (table->slots == NULL) {
        return NULL;
    }
    uint8_t *slot = slot_at(table, find(table, hash));
    return hash_at(slot) != 0 ? slot + WORD + table->key_words * WORD : NULL;
}

/* The value of the current row, zeroed if it is new. */
static uint8_t *insert(hash_table *table, size_t value_bytes)
{
    const uint64_t hash = build_row(table);
    if (table->slots == NULL) {
        table->value_bytes = value_bytes;
        table->value_words = words_of(value_bytes);
        table->slot_bytes = (1 + table->key_words + table->value_words) * WORD;
        allocate_slots(table, FIRST_SLOTS);
    }
    if (value_bytes != table->value_bytes) {
        bench_fail("the hash table has values of one size");
    }
    uint8_t *slot = slot_at(table, find(table, hash));
    if (hash_at(slot) == 0) {
        if (table->used + table->used / 3 >= table->mask) {
            grow(table);
            slot = slot_at(table, find(table, hash));
        }
        memcpy(slot, &hash, sizeof hash);
        memcpy(slot + WORD, table->row, table->key_words * WORD);
        table->used++;
    }
    return slot + WORD + table->key_words * WORD;
}

static void erase(hash_table *table)
{
    const uint64_t hash = build_row(table);
    if (table->slots == NULL) {
        return;
    }
    uint64_t hole = find(table, hash);
    if (hash_at(slot_at(table, hole)) == 0) {
        return;
    }
    table->used--;
    for (uint64_t next = (hole + 1) & table->mask;; next = (next + 1) & table->mask) {
        const uint8_t *slot = slot_at(table, next);
        const uint64_t home = home_of(hash_at(slot)) & table->mask;
        if (hash_at(slot) == 0) {
            break;
        }
        /* It may move back if its home does not lie between the hole and itself. */
        if (((next - home) & table->mask) >= ((next - hole) & table->mask)) {
            memcpy(slot_at(table, hole), slot, table->slot_bytes);
            hole = next;
        }
    }
    memset(slot_at(table, hole), 0, table->slot_bytes);
}

/* ---- operations ------------------------------------------------------------------------- */

static bench_store *open_store(const bench_options *options, const char *directory)
{
    (void)directory;
    hash_store *store = bench_allocate(sizeof *store);
    store->base = (bench_store){.ops = &BENCH_STORE_HASH, .options = options};
    return &store->base;
}

static void close_store(bench_store *base)
{
    hash_store *store = (hash_store *)base;
    for (uint32_t i = 0; i < store->table_count; i++) {
        free(store->tables[i].slots);
    }
    free(store);
}

static bench_table *open_table(bench_store *base, const bench_table_options *options)
{
    hash_store *store = (hash_store *)base;
    hash_table *table = &store->tables[store->table_count++];
    table->base = (bench_table){.store = base, .options = *options};
    return &table->base;
}

static void set_key(bench_store *base, const void *key, size_t size)
{
    hash_store *store = (hash_store *)base;
    memcpy(store->key, key, size);
    store->key_size = size;
}

static void set_namespace(bench_table *base, const void *name_space, size_t size)
{
    hash_table *table = (hash_table *)base;
    memcpy(table->name_space, name_space, size);
    table->name_space_size = size;
}

/* A value with a time to live has the time of its last write before it. */
static bool get(bench_table *base, tarn_bytes *out)
{
    hash_table *table = (hash_table *)base;
    const uint8_t *value = look_up(table);
    const size_t bytes = table->value_bytes;
    if (value == NULL) {
        return false;
    }
    if (base->options.ttl_ms == 0) {
        *out = tarn_bytes_at(value, bytes);
        return true;
    }
    int64_t written_ms;
    memcpy(&written_ms, value, sizeof written_ms);
    *out = tarn_bytes_at(value + WORD, bytes - WORD);
    return base->store->now_ms - written_ms < (int64_t)base->options.ttl_ms;
}

static void put(bench_table *base, tarn_bytes value)
{
    const size_t stamp = base->options.ttl_ms != 0 ? WORD : 0;
    uint8_t *slot = insert((hash_table *)base, value.size + stamp);
    if (stamp != 0) {
        memcpy(slot, &base->store->now_ms, WORD);
    }
    memcpy(slot + stamp, value.data, value.size);
}

static void *edit(bench_table *base, size_t size)
{
    return insert((hash_table *)base, size);
}

static void edited(bench_table *base, size_t size)
{
    (void)base;
    (void)size;
}

static void add(bench_table *base, int64_t amount)
{
    int64_t value;
    uint8_t *slot = insert((hash_table *)base, sizeof value);
    memcpy(&value, slot, sizeof value);
    value += amount;
    memcpy(slot, &value, sizeof value);
}

static int64_t sum(bench_table *base)
{
    int64_t value = 0;
    const uint8_t *slot = look_up((hash_table *)base);
    if (slot != NULL) {
        memcpy(&value, slot, sizeof value);
    }
    return value;
}

static void remove_all(bench_table *base)
{
    erase((hash_table *)base);
}

const bench_store_ops BENCH_STORE_HASH = {
    .name = "hash",
    .kinds = 1u << BENCH_VALUE | 1u << BENCH_SUM,
    .open = open_store,
    .close = close_store,
    .open_table = open_table,
    .set_key = set_key,
    .set_namespace = set_namespace,
    .get = get,
    .put = put,
    .edit = edit,
    .edited = edited,
    .add = add,
    .sum = sum,
    .remove = remove_all,
};
