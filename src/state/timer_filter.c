/* timer_filter.c - see timer_filter.h. */
#include "state/timer_filter.h"

#include <assert.h>

enum {
    BUCKETS_MIN = 64,
    LOAD_MAX = 12, /* Hashes a bucket, on average: beyond it runs of full buckets grow long. */
};

_Static_assert(sizeof(tarn__timer_bucket) == 64, "a bucket is one cache line");

tarn_status tarn__timer_filter_init(
    tarn__timer_filter *filter, tarn__account *account, uint64_t bytes_max, tarn_error *error)
{
    tarn__timer_bucket *buckets =
        tarn__allocate_zeroed(account, BUCKETS_MIN, sizeof(tarn__timer_bucket));
    if (buckets == NULL) {
        return tarn__fail_no_memory(
            error, "a filter of timers", BUCKETS_MIN * sizeof(tarn__timer_bucket));
    }
    *filter = (tarn__timer_filter){
        .account = account,
        .buckets = buckets,
        .mask = BUCKETS_MIN - 1,
        .bytes_max = bytes_max,
    };
    return TARN_OK;
}

void tarn__timer_filter_clear(tarn__timer_filter *filter)
{
    tarn__release(filter->buckets);
    *filter = (tarn__timer_filter){.buckets = NULL};
}

static bool bucket_has(const tarn__timer_bucket *bucket, uint32_t hash)
{
    for (uint32_t i = 0; i < bucket->used; i++) {
        if (bucket->hashes[i] == hash) {
            return true;
        }
    }
    return false;
}

bool tarn__timer_filter_may_have(const tarn__timer_filter *filter, uint32_t hash)
{
    if (filter->lost_count > 0) {
        return true;
    }
    uint32_t index = hash & filter->mask;
    for (uint32_t step = 0; step <= filter->mask; step++) {
        const tarn__timer_bucket *bucket = &filter->buckets[index];
        if (bucket_has(bucket, hash)) {
            return true;
        }
        if (bucket->passed == 0) {
            return false;
        }
        index = (index + 1) & filter->mask;
    }
    return false;
}

static void place(tarn__timer_bucket *buckets, uint32_t mask, uint32_t hash)
{
    uint32_t index = hash & mask;
    while (buckets[index].used == TARN__TIMER_FILTER_SLOTS) {
        if (buckets[index].passed < UINT16_MAX) {
            buckets[index].passed++;
        }
        index = (index + 1) & mask;
    }
    buckets[index].hashes[buckets[index].used++] = hash;
}

/* Doubles the buckets, if the bound and the account allow it. */
static void grow(tarn__timer_filter *filter)
{
    const uint64_t count = ((uint64_t)filter->mask + 1) * 2;
    if (count * sizeof(tarn__timer_bucket) > filter->bytes_max || count > UINT32_MAX) {
        return;
    }
    tarn__timer_bucket *buckets =
        tarn__allocate_zeroed(filter->account, count, sizeof(tarn__timer_bucket));
    if (buckets == NULL) {
        return;
    }
    const uint32_t mask = (uint32_t)(count - 1);
    for (uint32_t i = 0; i <= filter->mask; i++) {
        const tarn__timer_bucket *bucket = &filter->buckets[i];
        for (uint32_t slot = 0; slot < bucket->used; slot++) {
            place(buckets, mask, bucket->hashes[slot]);
        }
    }
    tarn__release(filter->buckets);
    filter->buckets = buckets;
    filter->mask = mask;
}

void tarn__timer_filter_add(tarn__timer_filter *filter, uint32_t hash)
{
    const uint64_t limit = ((uint64_t)filter->mask + 1) * LOAD_MAX;
    if (__builtin_expect(filter->count >= limit, 0)) {
        if (filter->lost_count == 0) {
            grow(filter); /* Once something was lost, it would stay so. */
        }
        if (filter->count >= ((uint64_t)filter->mask + 1) * LOAD_MAX) {
            filter->lost_count++;
            return;
        }
    }
    place(filter->buckets, filter->mask, hash);
    filter->count++;
}

/* Takes a hash out of the bucket that is step buckets behind its home. */
static void take(tarn__timer_filter *filter, uint32_t home, uint32_t step, uint32_t slot)
{
    tarn__timer_bucket *bucket = &filter->buckets[(home + step) & filter->mask];
    bucket->used--;
    bucket->hashes[slot] = bucket->hashes[bucket->used];
    for (uint32_t i = 0; i < step; i++) {
        tarn__timer_bucket *before = &filter->buckets[(home + i) & filter->mask];
        if (before->passed < UINT16_MAX) {
            before->passed--;
        }
    }
    filter->count--;
}

void tarn__timer_filter_remove(tarn__timer_filter *filter, uint32_t hash)
{
    const uint32_t home = hash & filter->mask;
    for (uint32_t step = 0; step <= filter->mask; step++) {
        const tarn__timer_bucket *bucket = &filter->buckets[(home + step) & filter->mask];
        for (uint32_t slot = 0; slot < bucket->used; slot++) {
            if (bucket->hashes[slot] == hash) {
                take(filter, home, step, slot);
                return;
            }
        }
        if (bucket->passed == 0) {
            break;
        }
    }
    /* One of equal hashes was lost: which of their timers it was makes no difference. */
    assert(filter->lost_count > 0);
    filter->lost_count--;
}
