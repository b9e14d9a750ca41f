/* budget.c - see budget.h and tarn/budget.h. */
#include "memory/budget.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/refusal.h"
#include "base/try.h"

enum { OWNER_NAME_BYTES = 256 }; /* Longer names are cut. */

typedef struct pool {
    tarn_pool kind;
    uint64_t limit; /* Units: bytes. Never changes. */
    atomic_uint_least64_t used;
    atomic_uint_least64_t peak;
    atomic_uint_least64_t refused_count;
    atomic_uint_least64_t waited_count;
    atomic_uint_least64_t waited_ns;
    atomic_uint waiters;
    pthread_mutex_t mutex; /* For released alone. */
    pthread_cond_t released;
} pool;

struct tarn_owner {
    tarn__account account;
    tarn_budget *budget;
    tarn_pool pool;
    uint64_t spare_bytes;              /* Held for when the pool has no room; 0: none. */
    atomic_uint_least64_t drawn_bytes; /* Of these, by blocks. */
    tarn_owner *previous;              /* In the order of opening; under the budget's mutex. */
    tarn_owner *next;
    char name[OWNER_NAME_BYTES];
};

struct tarn_budget {
    tarn__account outside;     /* The budget's own struct; counts only. */
    tarn__account bookkeeping; /* Owners' structs; in the heap pool. */
    pool pools[TARN_POOL_COUNT];
    pthread_mutex_t mutex; /* For the list of owners. A leaf: nothing is called under it but a
                              visitor, which must not call into the budget. */
    tarn_owner *first;
    tarn_owner *last;
};

const char *tarn_pool_name(tarn_pool pool_of)
{
    switch (pool_of) {
    case TARN_POOL_HEAP:
        return "heap";
    case TARN_POOL_MANAGED:
        return "managed";
    case TARN_POOL_NETWORK:
        return "network";
    case TARN_POOL_OFF_HEAP:
        return "off-heap";
    }
    return "?";
}

static void raise_peak(pool *p, uint64_t used)
{
    uint64_t peak = atomic_load_explicit(&p->peak, memory_order_relaxed);
    while (used > peak && !atomic_compare_exchange_weak(&p->peak, &peak, used)) {
    }
}

static bool try_charge(pool *p, uint64_t bytes)
{
    uint64_t used = atomic_load(&p->used);
    do {
        if (bytes > p->limit - used) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&p->used, &used, used + bytes));
    raise_peak(p, used + bytes);
    return true;
}

/* What sizes a pool. */
static const char *option_of(tarn_pool pool_of)
{
    switch (pool_of) {
    case TARN_POOL_HEAP:
        return "taskmanager.memory.task.heap.size";
    case TARN_POOL_MANAGED:
        return "taskmanager.memory.managed.size";
    case TARN_POOL_NETWORK:
        return "taskmanager.memory.network.max";
    case TARN_POOL_OFF_HEAP:
        return "taskmanager.memory.framework.off-heap.size";
    }
    return "?";
}

static void note_refusal(pool *p)
{
    atomic_fetch_add(&p->refused_count, 1);
    tarn__refusal_note(
        tarn_pool_name(p->kind), option_of(p->kind), atomic_load(&p->used), p->limit);
}

static bool charge(void *context, size_t bytes)
{
    pool *p = context;
    const bool fits = try_charge(p, bytes);
    if (!fits) {
        note_refusal(p);
    }
    return fits;
}

static void discharge(void *context, size_t bytes)
{
    pool *p = context;
    const uint64_t before = atomic_fetch_sub(&p->used, bytes);
    assert(before >= bytes);
    (void)before;
    /* A waiter raises waiters before it looks at used; both are sequentially consistent, so either
     * it sees the bytes released above or this thread sees the waiter. */
    if (atomic_load(&p->waiters) > 0) {
        pthread_mutex_lock(&p->mutex);
        pthread_cond_broadcast(&p->released);
        pthread_mutex_unlock(&p->mutex);
    }
}

/* ---- spares ------------------------------------------------------------------------------ */

static pool *pool_of_owner(const tarn_owner *owner)
{
    return &owner->budget->pools[owner->pool];
}

/* What was drawn becomes the pool's, when that has room for it. */
static void refill(tarn_owner *owner)
{
    uint64_t drawn = atomic_load(&owner->drawn_bytes);
    if (drawn == 0 || !try_charge(pool_of_owner(owner), drawn)) {
        return;
    }
    if (atomic_compare_exchange_strong(&owner->drawn_bytes, &drawn, 0)) {
        tarn__account_count(&owner->account, (size_t)drawn);
    } else {
        discharge(pool_of_owner(owner), (size_t)drawn); /* Another thread drew, or gave back. */
    }
}

static bool draw(tarn_owner *owner, uint64_t bytes)
{
    uint64_t drawn = atomic_load(&owner->drawn_bytes);
    do {
        if (bytes > owner->spare_bytes - drawn) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&owner->drawn_bytes, &drawn, drawn + bytes));
    return true;
}

/* The account counts what it is charged with; of the spare it has been counted. */
static bool charge_spared(void *context, size_t bytes)
{
    tarn_owner *owner = context;
    refill(owner);
    if (try_charge(pool_of_owner(owner), bytes)) {
        return true;
    }
    if (draw(owner, bytes)) {
        atomic_fetch_sub(&owner->account.bytes, bytes);
        return true;
    }
    note_refusal(pool_of_owner(owner));
    return false;
}

static void discharge_spared(void *context, size_t bytes)
{
    tarn_owner *owner = context;
    uint64_t drawn = atomic_load(&owner->drawn_bytes);
    uint64_t back = 0;
    do {
        back = drawn < bytes ? drawn : bytes;
    } while (!atomic_compare_exchange_weak(&owner->drawn_bytes, &drawn, drawn - back));
    atomic_fetch_add(&owner->account.bytes, (size_t)back);
    if (bytes > back) {
        discharge(pool_of_owner(owner), bytes - (size_t)back);
    }
}

/* Gives the spare back, when nothing else is held. */
static void drop_spare(tarn_owner *owner)
{
    const uint64_t bytes = owner->spare_bytes;
    if (bytes > 0 && atomic_load(&owner->account.bytes) == bytes &&
        atomic_load(&owner->drawn_bytes) == 0) {
        owner->spare_bytes = 0;
        tarn__account_discharge(&owner->account, (size_t)bytes);
    }
}

/* ---- waiting ----------------------------------------------------------------------------- */

static struct timespec time_after_ms(uint32_t wait_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += wait_ms / 1000;
    at.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static bool charge_waiting(pool *p, uint64_t bytes, uint32_t wait_ms)
{
    if (try_charge(p, bytes)) {
        return true;
    }
    if (wait_ms == TARN_NO_WAIT || bytes > p->limit) {
        return false;
    }
    const uint64_t began_ns = tarn__clock_monotonic_ns(tarn__clock_system());
    const struct timespec deadline = time_after_ms(wait_ms);
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->waiters, 1);
    bool fits = try_charge(p, bytes);
    int code = 0;
    while (!fits && code == 0) {
        code = pthread_cond_timedwait(&p->released, &p->mutex, &deadline);
        fits = try_charge(p, bytes);
    }
    atomic_fetch_sub(&p->waiters, 1);
    pthread_mutex_unlock(&p->mutex);
    atomic_fetch_add(&p->waited_count, 1);
    atomic_fetch_add(&p->waited_ns, tarn__clock_monotonic_ns(tarn__clock_system()) - began_ns);
    return fits;
}

static void pool_init(pool *p, tarn_pool kind, uint64_t limit)
{
    p->kind = kind;
    p->limit = limit;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->released, &attributes);
    pthread_condattr_destroy(&attributes);
}

tarn_status tarn_budget_open(const tarn_budget_options *given, tarn_budget **out, tarn_error *error)
{
    tarn_budget_options options;
    TARN_TRY(tarn__options_copy("tarn_budget_options", given, &options, sizeof options, error));
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    tarn__account outside;
    tarn__account_init(&outside, "budget", options.allocator);
    const tarn_allocator *below = outside.below;
    tarn_budget *budget = below->allocate(sizeof *budget, below->context);
    if (budget == NULL) {
        tarn__refusal_clear();
        return tarn__fail_no_memory(error, "a budget", sizeof *budget);
    }
    *budget = (tarn_budget){.first = NULL};
    tarn__account_init(&budget->outside, "budget", below);
    for (int i = 0; i < TARN_POOL_COUNT; i++) {
        pool_init(&budget->pools[i], (tarn_pool)i, options.limit_bytes[i]);
    }
    tarn__account_init(&budget->bookkeeping, "budget/owners", below);
    tarn__account_attach(&budget->bookkeeping, charge, discharge, &budget->pools[TARN_POOL_HEAP]);
    pthread_mutex_init(&budget->mutex, NULL);
    *out = budget;
    return TARN_OK;
}

static const tarn_owner *largest_owner(const tarn_budget *budget, int pool_of)
{
    const tarn_owner *largest = NULL;
    size_t most = 0;
    for (const tarn_owner *owner = budget->first; owner != NULL; owner = owner->next) {
        const size_t bytes = atomic_load(&owner->account.bytes);
        if ((pool_of < 0 || owner->pool == (tarn_pool)pool_of) &&
            (largest == NULL || bytes > most)) {
            largest = owner;
            most = bytes;
        }
    }
    return largest;
}

tarn_status tarn_budget_close(tarn_budget *budget, tarn_error *error)
{
    if (budget == NULL) {
        return TARN_OK;
    }
    pthread_mutex_lock(&budget->mutex);
    const tarn_owner *owner = largest_owner(budget, -1);
    size_t count = 0;
    for (const tarn_owner *each = budget->first; each != NULL; each = each->next) {
        count++;
    }
    tarn_status status = TARN_OK;
    if (owner != NULL) {
        status = tarn__fail(
            error,
            TARN_BUSY,
            "the budget has %zu open owner%s; the largest is %s with %zu bytes of the %s pool",
            count,
            count == 1 ? "" : "s",
            owner->name,
            atomic_load(&owner->account.bytes),
            tarn_pool_name(owner->pool));
    }
    pthread_mutex_unlock(&budget->mutex);
    TARN_TRY(status);

    for (int i = 0; i < TARN_POOL_COUNT; i++) {
        pthread_cond_destroy(&budget->pools[i].released);
        pthread_mutex_destroy(&budget->pools[i].mutex);
    }
    pthread_mutex_destroy(&budget->mutex);
    const tarn_allocator *below = budget->outside.below;
    below->release(budget, below->context);
    return TARN_OK;
}

tarn_pool_stats tarn_budget_pool(const tarn_budget *budget, tarn_pool pool_of)
{
    const pool *p = &budget->pools[pool_of];
    return (tarn_pool_stats){
        .limit_bytes = p->limit,
        .used_bytes = atomic_load(&p->used),
        .peak_bytes = atomic_load(&p->peak),
        .refused_count = atomic_load(&p->refused_count),
        .waited_count = atomic_load(&p->waited_count),
        .waited_ns = atomic_load(&p->waited_ns),
    };
}

void tarn_budget_visit(tarn_budget *budget, tarn_owner_visit *visit, void *context)
{
    pthread_mutex_lock(&budget->mutex);
    for (const tarn_owner *owner = budget->first; owner != NULL; owner = owner->next) {
        const tarn_owner_stats stats = {
            .name = owner->name,
            .pool = owner->pool,
            .used_bytes = atomic_load(&owner->account.bytes),
            .peak_bytes = atomic_load(&owner->account.bytes_peak),
            .block_count = atomic_load(&owner->account.block_count),
        };
        visit(&stats, context);
    }
    pthread_mutex_unlock(&budget->mutex);
}

static void link_last(tarn_budget *budget, tarn_owner *owner)
{
    pthread_mutex_lock(&budget->mutex);
    owner->previous = budget->last;
    if (budget->last != NULL) {
        budget->last->next = owner;
    } else {
        budget->first = owner;
    }
    budget->last = owner;
    pthread_mutex_unlock(&budget->mutex);
}

static void unlink_owner(tarn_owner *owner)
{
    tarn_budget *budget = owner->budget;
    pthread_mutex_lock(&budget->mutex);
    if (owner->previous != NULL) {
        owner->previous->next = owner->next;
    } else {
        budget->first = owner->next;
    }
    if (owner->next != NULL) {
        owner->next->previous = owner->previous;
    } else {
        budget->last = owner->previous;
    }
    pthread_mutex_unlock(&budget->mutex);
}

tarn_status tarn__owner_open(
    tarn_budget *budget,
    tarn_pool pool_of,
    tarn_owner **out,
    tarn_error *error,
    const char *format,
    ...)
{
    tarn_owner *owner = tarn__allocate_zeroed(&budget->bookkeeping, 1, sizeof *owner);
    if (owner == NULL) {
        return tarn__fail_no_memory(error, "an owner of memory", sizeof *owner);
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(owner->name, sizeof owner->name, format, arguments);
    va_end(arguments);
    owner->budget = budget;
    owner->pool = pool_of;
    tarn__account_init(&owner->account, owner->name, budget->outside.below);
    tarn__account_attach(&owner->account, charge, discharge, &budget->pools[pool_of]);
    link_last(budget, owner);
    *out = owner;
    return TARN_OK;
}

tarn_status tarn_owner_open(
    tarn_budget *budget, tarn_pool pool_of, const char *name, tarn_owner **out, tarn_error *error)
{
    if (budget == NULL || name == NULL || out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "budget, name and out are required");
    }
    if ((unsigned)pool_of >= TARN_POOL_COUNT) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "there is no pool %d", (int)pool_of);
    }
    return tarn__owner_open(budget, pool_of, out, error, "%s", name);
}

tarn_status tarn_owner_close(tarn_owner *owner, tarn_error *error)
{
    if (owner == NULL) {
        return TARN_OK;
    }
    drop_spare(owner);
    const size_t bytes = atomic_load(&owner->account.bytes);
    if (bytes > 0) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "%s still holds %zu bytes of the %s pool",
            owner->name,
            bytes,
            tarn_pool_name(owner->pool));
    }
    unlink_owner(owner);
    tarn__release(owner);
    return TARN_OK;
}

static tarn_status refuse(tarn_owner *owner, uint64_t bytes, tarn_error *error)
{
    tarn_budget *budget = owner->budget;
    pool *p = &budget->pools[owner->pool];
    atomic_fetch_add(&p->refused_count, 1);
    pthread_mutex_lock(&budget->mutex);
    const tarn_owner *largest = largest_owner(budget, (int)owner->pool);
    const tarn_status status = tarn__fail(
        error,
        TARN_OVER_BUDGET,
        "%s cannot reserve %" PRIu64 " bytes: the %s pool has %" PRIu64 " of %" PRIu64
        " bytes in use, most by %s (%zu bytes)",
        owner->name,
        bytes,
        tarn_pool_name(owner->pool),
        (uint64_t)atomic_load(&p->used),
        p->limit,
        largest->name,
        atomic_load(&largest->account.bytes));
    pthread_mutex_unlock(&budget->mutex);
    return status;
}

tarn_status tarn_owner_reserve(
    tarn_owner *owner, uint64_t bytes, uint32_t wait_ms, tarn_error *error)
{
    pool *p = &owner->budget->pools[owner->pool];
    if (!charge_waiting(p, bytes, wait_ms)) {
        return refuse(owner, bytes, error);
    }
    tarn__account_count(&owner->account, (size_t)bytes);
    return TARN_OK;
}

tarn_status tarn__owner_hold_spare(tarn_owner *owner, uint64_t bytes, tarn_error *error)
{
    assert(atomic_load(&owner->account.bytes) == 0);
    TARN_TRY(tarn_owner_reserve(owner, bytes, TARN_NO_WAIT, error));
    owner->spare_bytes = bytes;
    owner->account.charge = charge_spared;
    owner->account.discharge = discharge_spared;
    owner->account.pool = owner;
    return TARN_OK;
}

void tarn_owner_release(tarn_owner *owner, uint64_t bytes)
{
    tarn__account_discharge(&owner->account, (size_t)bytes);
}

const tarn_allocator *tarn_owner_allocator(tarn_owner *owner)
{
    return &owner->account.face;
}

tarn__account *tarn__owner_account(tarn_owner *owner)
{
    return &owner->account;
}
