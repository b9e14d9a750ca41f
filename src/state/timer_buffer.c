/* timer_buffer.c - see timer_buffer.h. */
#include "state/timer_buffer.h"

#include <assert.h>
#include <string.h>

enum {
    CAPACITY_MIN = 64,
    RECORD_HEAD_BYTES = 8,
    /* Records take what tails of 56 bytes would: larger ones fill the buffer earlier. */
    RECORD_BYTES_PLANNED = 64,
    /* A table that holds this share of its slots or less is emptied entry by entry. */
    SPARSE_SHARE = 16,
    RUN_ENTRIES = 8, /* Sorted by insertion before they are merged. */
};

void tarn__timer_buffer_init(tarn__timer_buffer *buffer, tarn__account *account, uint32_t count_max)
{
    *buffer = (tarn__timer_buffer){
        .account = account,
        .records = {.allocator = &account->face},
        .count_max = count_max,
    };
}

void tarn__timer_buffer_clear(tarn__timer_buffer *buffer)
{
    tarn__release(buffer->entries);
    tarn__release(buffer->table);
    tarn_buffer_clear(&buffer->records);
    buffer->entries = NULL;
    buffer->table = NULL;
    buffer->count = 0;
    buffer->dead_count = 0;
    buffer->capacity = 0;
}

static uint32_t hash_of(const tarn__timer_buffer *buffer, const tarn__timer_entry *entry)
{
    uint32_t hash;
    memcpy(&hash, buffer->records.data + entry->record, sizeof hash);
    return hash;
}

tarn__timer tarn__timer_buffer_at(const tarn__timer_buffer *buffer, const tarn__timer_entry *entry)
{
    const uint8_t *record = buffer->records.data + entry->record;
    uint32_t size;
    memcpy(&size, record + sizeof(uint32_t), sizeof size);
    return (tarn__timer){
        .time = entry->time,
        .tail = tarn_bytes_at(record + RECORD_HEAD_BYTES, size),
    };
}

/* ---- the table -------------------------------------------------------------------------- */

static uint32_t table_mask(const tarn__timer_buffer *buffer)
{
    return buffer->capacity * 2 - 1;
}

static void enter(tarn__timer_buffer *buffer, uint32_t hash, uint32_t index)
{
    const uint32_t mask = table_mask(buffer);
    uint32_t slot = hash & mask;
    while (buffer->table[slot] != 0) {
        slot = (slot + 1) & mask;
    }
    buffer->table[slot] = index + 1;
}

tarn__timer_entry *tarn__timer_buffer_find(
    const tarn__timer_buffer *buffer, uint32_t hash, uint16_t group, const tarn__timer *timer)
{
    if (buffer->count == 0) {
        return NULL;
    }
    const uint32_t mask = table_mask(buffer);
    for (uint32_t slot = hash & mask; buffer->table[slot] != 0; slot = (slot + 1) & mask) {
        tarn__timer_entry *entry = &buffer->entries[buffer->table[slot] - 1];
        if (entry->is_dead || entry->group != group || entry->time != timer->time) {
            continue;
        }
        const tarn__timer there = tarn__timer_buffer_at(buffer, entry);
        if (tarn_bytes_is_equal(there.tail, timer->tail)) {
            return entry;
        }
    }
    return NULL;
}

static void empty_table(tarn__timer_buffer *buffer)
{
    const uint32_t mask = table_mask(buffer);
    if (buffer->count > buffer->capacity / SPARSE_SHARE) {
        memset(buffer->table, 0, ((size_t)mask + 1) * sizeof *buffer->table);
        return;
    }
    for (uint32_t i = 0; i < buffer->count; i++) {
        uint32_t slot = hash_of(buffer, &buffer->entries[i]) & mask;
        while (buffer->table[slot] != 0) {
            buffer->table[slot] = 0;
            slot = (slot + 1) & mask;
        }
    }
}

/* ---- adding and removing ---------------------------------------------------------------- */

static bool grow(tarn__timer_buffer *buffer)
{
    const uint32_t capacity = buffer->capacity == 0 ? CAPACITY_MIN : buffer->capacity * 2;
    uint32_t *table =
        tarn__allocate_zeroed(buffer->account, (size_t)capacity * 2, sizeof *buffer->table);
    if (table == NULL) {
        return false;
    }
    tarn__timer_entry *entries =
        tarn__reallocate(buffer->account, buffer->entries, (size_t)capacity * 2 * sizeof *entries);
    if (entries == NULL) {
        tarn__release(table);
        return false;
    }
    tarn__release(buffer->table);
    buffer->table = table;
    buffer->entries = entries;
    buffer->capacity = capacity;
    for (uint32_t i = 0; i < buffer->count; i++) {
        enter(buffer, hash_of(buffer, &entries[i]), i);
    }
    return true;
}

/* Sees to it that a record fits. */
static bool reserve_record(tarn__timer_buffer *buffer, size_t bytes)
{
    tarn_buffer *records = &buffer->records;
    const size_t needed = records->size + bytes;
    if (needed <= records->capacity) {
        return true;
    }
    const size_t bytes_max = (size_t)buffer->count_max * RECORD_BYTES_PLANNED;
    if (buffer->count > 0 && needed > bytes_max) {
        return false;
    }
    const size_t planned = (size_t)buffer->capacity * RECORD_BYTES_PLANNED / 2;
    size_t wanted = records->capacity * 2 > planned ? records->capacity * 2 : planned;
    wanted = wanted > bytes_max ? bytes_max : wanted;
    return tarn_buffer_reserve(records, wanted > needed ? wanted : needed) == TARN_OK;
}

bool tarn__timer_buffer_add(
    tarn__timer_buffer *buffer, uint32_t hash, uint16_t group, const tarn__timer *timer)
{
    const uint32_t size = (uint32_t)timer->tail.size;
    if (buffer->count >= buffer->count_max ||
        (buffer->count == buffer->capacity && !grow(buffer)) ||
        !reserve_record(buffer, RECORD_HEAD_BYTES + timer->tail.size)) {
        return false;
    }
    tarn_buffer *records = &buffer->records;
    buffer->entries[buffer->count] = (tarn__timer_entry){
        .time = timer->time,
        .record = (uint32_t)records->size,
        .group = group,
    };
    uint8_t *record = records->data + records->size;
    memcpy(record, &hash, sizeof hash);
    memcpy(record + sizeof hash, &size, sizeof size);
    memcpy(record + RECORD_HEAD_BYTES, timer->tail.data, size);
    records->size += RECORD_HEAD_BYTES + size;
    enter(buffer, hash, buffer->count);
    buffer->count++;
    return true;
}

void tarn__timer_buffer_remove(tarn__timer_buffer *buffer, tarn__timer_entry *entry)
{
    assert(!entry->is_dead);
    entry->is_dead = 1;
    buffer->dead_count++;
}

void tarn__timer_buffer_empty(tarn__timer_buffer *buffer)
{
    if (buffer->count > 0) {
        empty_table(buffer);
    }
    buffer->count = 0;
    buffer->dead_count = 0;
    buffer->records.size = 0;
}

/* ---- sorting ---------------------------------------------------------------------------- */

static bool is_before(
    const tarn__timer_buffer *buffer, const tarn__timer_entry *a, const tarn__timer_entry *b)
{
    if (a->group != b->group) {
        return a->group < b->group;
    }
    if (a->time != b->time) {
        return a->time < b->time;
    }
    const tarn__timer left = tarn__timer_buffer_at(buffer, a);
    const tarn__timer right = tarn__timer_buffer_at(buffer, b);
    return tarn_bytes_compare(left.tail, right.tail) < 0;
}

static void sort_run(
    const tarn__timer_buffer *buffer, tarn__timer_entry *entries, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin + 1; i < end; i++) {
        const tarn__timer_entry moved = entries[i];
        uint32_t at = i;
        while (at > begin && is_before(buffer, &moved, &entries[at - 1])) {
            entries[at] = entries[at - 1];
            at--;
        }
        entries[at] = moved;
    }
}

static void merge_runs(
    const tarn__timer_buffer *buffer,
    const tarn__timer_entry *from,
    tarn__timer_entry *to,
    uint32_t begin,
    uint32_t middle,
    uint32_t end)
{
    uint32_t left = begin;
    uint32_t right = middle;
    for (uint32_t at = begin; at < end; at++) {
        const bool takes_left =
            left < middle && (right >= end || !is_before(buffer, &from[right], &from[left]));
        to[at] = takes_left ? from[left++] : from[right++];
    }
}

static uint32_t smaller(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

void tarn__timer_buffer_sort(tarn__timer_buffer *buffer)
{
    const uint32_t count = buffer->count;
    tarn__timer_entry *from = buffer->entries;
    tarn__timer_entry *to = buffer->entries + buffer->capacity;
    for (uint32_t begin = 0; begin < count; begin += RUN_ENTRIES) {
        sort_run(buffer, from, begin, smaller((uint64_t)begin + RUN_ENTRIES, count));
    }
    for (uint64_t run = RUN_ENTRIES; run < count; run *= 2) {
        for (uint64_t begin = 0; begin < count; begin += run * 2) {
            merge_runs(
                buffer,
                from,
                to,
                (uint32_t)begin,
                smaller(begin + run, count),
                smaller(begin + run * 2, count));
        }
        tarn__timer_entry *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != buffer->entries && count > 0) {
        memcpy(buffer->entries, from, (size_t)count * sizeof *from);
    }
}
