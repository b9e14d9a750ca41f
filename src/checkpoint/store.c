/* store.c - retained checkpoints as a list. */
#include <assert.h>
#include <string.h>

#include "base/try.h"

#include "checkpoint/store.h"

/* Room for the newest, the newest owned, and the one being added. */
enum { SPARE_ENTRIES = 2 };

/* entries, subsumed, waiting; and discarded, which may hold both of the latter. */
enum { LISTS = 5 };

tarn_status tarn__store_init(
    tarn__store *store,
    uint32_t retained_count,
    uint32_t restored_count,
    tarn_checkpoint_retention retention,
    tarn__account *account,
    tarn_error *error)
{
    assert(retained_count > 0);
    const uint32_t most = retained_count > restored_count ? retained_count : restored_count;
    const uint32_t capacity = most + SPARE_ENTRIES;
    tarn__store_entry *entries = tarn__allocate_zeroed(account, capacity, LISTS * sizeof *entries);
    if (entries == NULL) {
        return tarn__fail_no_memory(
            error, "retained checkpoints", capacity * LISTS * sizeof *entries);
    }
    *store = (tarn__store){
        .retention = retention,
        .retained_count = retained_count,
        .capacity = capacity,
        .entries = entries,
        .subsumed = entries + capacity,
        .waiting = entries + (size_t)2 * capacity,
        .discarded = entries + (size_t)3 * capacity,
    };
    return TARN_OK;
}

void tarn__store_clear(tarn__store *store)
{
    tarn__release(store->entries);
    *store = (tarn__store){.count = 0};
}

/* Position of the newest entry that is ours; count when there is none. */
static uint32_t newest_owned(const tarn__store *store)
{
    for (uint32_t i = store->count; i > 0; i--) {
        if (store->entries[i - 1].is_owned) {
            return i - 1;
        }
    }
    return store->count;
}

static void subsume_at(tarn__store *store, uint32_t position)
{
    const tarn__store_entry entry = store->entries[position];
    memmove(
        store->entries + position,
        store->entries + position + 1,
        (store->count - position - 1) * sizeof *store->entries);
    store->count--;
    store->subsumed[store->subsumed_count++] = entry;
    if (entry.is_owned) {
        assert(store->waiting_count < store->capacity);
        store->waiting[store->waiting_count++] = entry;
    }
}

/* Discards what waits and is older than every retained checkpoint of ours. */
static void discard_waiting(tarn__store *store)
{
    uint64_t oldest_id = 0;
    for (uint32_t i = store->count; i > 0; i--) {
        oldest_id = store->entries[i - 1].is_owned ? store->entries[i - 1].id : oldest_id;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < store->waiting_count; i++) {
        if (store->waiting[i].id < oldest_id) {
            store->discarded[store->discarded_count++] = store->waiting[i];
        } else {
            store->waiting[kept++] = store->waiting[i];
        }
    }
    store->waiting_count = kept;
}

void tarn__store_restore(tarn__store *store, tarn__store_entry entry)
{
    assert(store->count < store->capacity);
    assert(store->count == 0 || entry.id > tarn__store_latest_id(store));
    store->entries[store->count++] = entry;
}

void tarn__store_add(tarn__store *store, tarn__store_entry entry)
{
    tarn__store_restore(store, entry);
    store->subsumed_count = 0;
    store->discarded_count = 0;

    uint32_t position = 0;
    while (store->count > store->retained_count && position < store->count - 1) {
        const bool is_base = position == newest_owned(store) && !entry.stops_job;
        if (is_base) {
            position++;
        } else {
            subsume_at(store, position);
        }
    }
    discard_waiting(store);
}

static bool is_discarded_at_end(
    const tarn__store *store, const tarn__store_entry *entry, tarn_job_end end)
{
    if (!entry->is_owned) {
        return false;
    }
    if (end == TARN_JOB_FINISHED) {
        return true;
    }
    switch (store->retention) {
    case TARN_CHECKPOINT_RETAIN_NEVER:
        return true;
    case TARN_CHECKPOINT_RETAIN_ON_FAILURE:
        return end != TARN_JOB_FAILED;
    case TARN_CHECKPOINT_RETAIN_ON_CANCELLATION:
        return false;
    }
    return false;
}

void tarn__store_end(tarn__store *store, tarn_job_end end)
{
    store->discarded_count = 0;
    for (uint32_t i = 0; i < store->waiting_count && end != TARN_JOB_SUSPENDED; i++) {
        store->discarded[store->discarded_count++] = store->waiting[i];
    }
    for (uint32_t i = 0; i < store->count; i++) {
        if (is_discarded_at_end(store, &store->entries[i], end)) {
            store->discarded[store->discarded_count++] = store->entries[i];
        }
    }
    store->waiting_count = 0;
    store->count = 0;
}

uint64_t tarn__store_latest_id(const tarn__store *store)
{
    return store->count == 0 ? 0 : store->entries[store->count - 1].id;
}
