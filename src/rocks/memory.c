/* memory.c - see memory.h. */
#include "rocks/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <rocksdb/c.h>

#include "base/try.h"
#include "memory/plan_private.h"
#include "rocks/outcome.h"

enum {
    LOOK_BYTES_MIN = 4 << 10,
    LOOK_BYTES_MAX = 64 << 10,
    LOOKS_PER_LIMIT = 64,      /* A family is looked at that often within the mutable limit. */
    FLUSH_BYTES_MIN = 4 << 10, /* An empty memtable has about 2 KiB: nothing to flush. */
    /* A shard must hold the largest block, or that block is read from disk each time: the filter of
     * a table file of 64 MiB has 2 to 3 MiB. RocksDB's own choice goes down to half a MiB. */
    SHARD_BYTES_MIN = 8 << 20,
    SHARD_BITS_MAX = 6,
    ARENA_UNIT_BYTES = 4 << 10,  /* RocksDB rounds arena blocks to it. */
    WAIT_NS = 500 * 1000,        /* Between two looks of a writer that waits. */
    MUTABLE_LIMIT_SHARE_NUM = 7, /* Of the capacity, when the caller gave no limit. */
    MUTABLE_LIMIT_SHARE_DEN = 8,
};

struct tarn__rocks_memory {
    const tarn__clock *clock;
    bool is_managed;
    uint64_t mutable_limit_bytes;
    uint64_t hard_limit_bytes;
    uint64_t look_bytes;
    uint64_t cache_capacity_bytes;
    bool cache_has_memtables;

    rocksdb_options_t *base;
    rocksdb_cache_t *cache; /* NULL: made from text, or none; then read through a property. */
    rocksdb_flushoptions_t *no_wait;
#if TARN_HAVE_WRITE_BUFFER_MANAGER
    rocksdb_write_buffer_manager_t *manager;
#endif

    pthread_mutex_t mutex;
    pthread_cond_t unpinned;
    tarn__rocks_meter *first; /* Under the mutex. */

    atomic_uint_least64_t active_bytes;
    atomic_uint_least64_t all_bytes;
    atomic_uint_least64_t flush_count;
    atomic_uint_least64_t stall_count;
    atomic_uint_least64_t stall_ns;
};

/* ---- opening ---------------------------------------------------------------------------- */

static int shard_bits_of(uint64_t capacity)
{
    int bits = 0;
    while (bits < SHARD_BITS_MAX && (capacity >> (bits + 1)) >= SHARD_BYTES_MIN) {
        bits++;
    }
    return bits;
}

/*
 * The cache by a handle: it can be measured and resized at any time, and its pool of high priority
 * is RocksDB's built-in half, which keeps index and filter blocks in better than Flink's tenth.
 */
static void make_cache(tarn__rocks_memory *memory)
{
    rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(options, (size_t)memory->cache_capacity_bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(
        options, shard_bits_of(memory->cache_capacity_bytes));
    memory->cache = rocksdb_cache_create_lru_opts(options);
    rocksdb_lru_cache_options_destroy(options);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, memory->cache);
    rocksdb_options_set_block_based_table_factory(memory->base, table);
    rocksdb_block_based_options_destroy(table);
}

/*
 * The cache by a text: the only way of the C API to another share for high priority. Databases
 * share it through copies of the options. There is no handle: usage is read from a property.
 */
static tarn_status make_cache_with_ratio(
    tarn__rocks_memory *memory, double ratio, tarn_error *error)
{
    char text[160];
    (void)snprintf(
        text,
        sizeof text,
        "block_based_table_factory={block_cache={capacity=%llu;num_shard_bits=%d;"
        "high_pri_pool_ratio=%.6f}}",
        (unsigned long long)memory->cache_capacity_bytes,
        shard_bits_of(memory->cache_capacity_bytes),
        ratio);
    char *message = NULL;
    rocksdb_options_t *made = rocksdb_options_create();
    rocksdb_get_options_from_string(memory->base, text, made, &message);
    const tarn_status status = tarn__rocks_outcome("make", "the block cache", &message, error);
    if (status != TARN_OK) {
        rocksdb_options_destroy(made);
        return status;
    }
    rocksdb_options_destroy(memory->base);
    memory->base = made;
    return TARN_OK;
}

/* How the total is split between cache and memtables. */
static tarn_status split(
    tarn__rocks_memory *memory, const tarn__rocks_memory_options *options, tarn_error *error)
{
    const uint64_t capacity = options->write_buffer_capacity_bytes;
    if (options->high_priority_ratio > 1) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "state.backend.rocksdb.memory.high-prio-pool-ratio is %g; allowed are 0 to 1",
            options->high_priority_ratio);
    }
    memory->hard_limit_bytes = capacity + capacity / 2;
    memory->mutable_limit_bytes =
        options->mutable_limit_bytes != 0
            ? options->mutable_limit_bytes
            : capacity / MUTABLE_LIMIT_SHARE_DEN * MUTABLE_LIMIT_SHARE_NUM;
    if (memory->hard_limit_bytes >= options->total_bytes || capacity == 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "RocksDB's share of %llu bytes leaves no block cache beside memtables of up to %llu "
            "bytes (1.5 times the write-buffer capacity of %llu)",
            (unsigned long long)options->total_bytes,
            (unsigned long long)memory->hard_limit_bytes,
            (unsigned long long)capacity);
    }
    memory->cache_has_memtables =
        TARN_HAVE_WRITE_BUFFER_MANAGER && options->high_priority_ratio < 0;
    memory->cache_capacity_bytes = memory->cache_has_memtables
                                       ? options->cache_capacity_bytes
                                       : options->total_bytes - memory->hard_limit_bytes;
    uint64_t look = memory->mutable_limit_bytes / LOOKS_PER_LIMIT;
    look = look > LOOK_BYTES_MAX ? LOOK_BYTES_MAX : look;
    memory->look_bytes = look < LOOK_BYTES_MIN ? LOOK_BYTES_MIN : look;
    return TARN_OK;
}

static tarn_status set_up(
    tarn__rocks_memory *memory, const tarn__rocks_memory_options *options, tarn_error *error)
{
    if (!options->is_managed) {
        return TARN_OK;
    }
    TARN_TRY(split(memory, options, error));
    if (options->high_priority_ratio >= 0) {
        return make_cache_with_ratio(memory, options->high_priority_ratio, error);
    }
    make_cache(memory);
#if TARN_HAVE_WRITE_BUFFER_MANAGER
    /* It flushes at 7/8 of its size: beyond where the watcher has flushed already. */
    memory->manager = rocksdb_write_buffer_manager_create_with_cache(
        (size_t)memory->hard_limit_bytes, memory->cache, /* allow_stall= */ false);
    rocksdb_options_set_write_buffer_manager(memory->base, memory->manager);
#endif
    return TARN_OK;
}

tarn_status tarn__rocks_memory_open(
    const tarn__rocks_memory_options *options, tarn__rocks_memory **out, tarn_error *error)
{
    tarn__rocks_memory *memory = tarn__allocate_zeroed(options->account, 1, sizeof *memory);
    if (memory == NULL) {
        return tarn__fail_no_memory(error, "RocksDB's memory", sizeof *memory);
    }
    memory->clock = options->clock;
    memory->is_managed = options->is_managed;
    memory->look_bytes = UINT64_MAX;
    memory->base = rocksdb_options_create();
    memory->no_wait = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(memory->no_wait, 0);
    (void)pthread_mutex_init(&memory->mutex, NULL);
    (void)pthread_cond_init(&memory->unpinned, NULL);
    const tarn_status status = set_up(memory, options, error);
    if (status != TARN_OK) {
        tarn__rocks_memory_close(memory);
        return status;
    }
    *out = memory;
    return TARN_OK;
}

void tarn__rocks_memory_close(tarn__rocks_memory *memory)
{
    if (memory == NULL) {
        return;
    }
    assert(memory->first == NULL);
#if TARN_HAVE_WRITE_BUFFER_MANAGER
    if (memory->manager != NULL) {
        rocksdb_write_buffer_manager_destroy(memory->manager);
    }
#endif
    rocksdb_options_destroy(memory->base);
    if (memory->cache != NULL) {
        rocksdb_cache_destroy(memory->cache);
    }
    rocksdb_flushoptions_destroy(memory->no_wait);
    (void)pthread_cond_destroy(&memory->unpinned);
    (void)pthread_mutex_destroy(&memory->mutex);
    tarn__release(memory);
}

const rocksdb_options_t *tarn__rocks_memory_base(const tarn__rocks_memory *memory)
{
    return memory->base;
}

tarn_status tarn__rocks_memory_check_arena(
    const tarn__rocks_memory *memory, const char *state, uint64_t arena_bytes, tarn_error *error)
{
    if (!memory->is_managed || arena_bytes <= memory->mutable_limit_bytes) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "memtables of state \"%s\" would be flushed without end: one arena block of %llu bytes is "
        "more than the %llu bytes that all memtables may hold; lower "
        "state.backend.rocksdb.writebuffer.size or tarn.rocksdb.arena-block-size",
        state,
        (unsigned long long)arena_bytes,
        (unsigned long long)memory->mutable_limit_bytes);
}

uint64_t tarn__rocks_memory_fit_arena(const tarn__rocks_memory *memory, uint64_t arena_bytes)
{
    if (!memory->is_managed) {
        return arena_bytes;
    }
    uint64_t share = memory->mutable_limit_bytes / TARN__ROCKS_ARENA_SHARE;
    share -= share % ARENA_UNIT_BYTES;
    const uint64_t fitting =
        share < TARN__PLAN_ARENA_BYTES_MIN ? TARN__PLAN_ARENA_BYTES_MIN : share;
    return arena_bytes < fitting ? arena_bytes : fitting;
}

uint64_t tarn__rocks_memory_memtable_limit(const tarn__rocks_memory *memory)
{
    return memory->is_managed ? memory->hard_limit_bytes : UINT64_MAX;
}

bool tarn__rocks_memory_is_managed(const tarn__rocks_memory *memory)
{
    return memory->is_managed;
}

/* ---- meters ----------------------------------------------------------------------------- */

static uint64_t read_property(const tarn__rocks_meter *meter, const char *name)
{
    uint64_t value = 0;
    return rocksdb_property_int_cf(meter->db, meter->handle, name, &value) == 0 ? value : 0;
}

/* Replaces a published figure and moves the sum by the difference; sound from any thread. */
static void publish(atomic_uint_least64_t *figure, atomic_uint_least64_t *sum, uint64_t value)
{
    const uint64_t before = atomic_exchange(figure, value);
    atomic_fetch_add(sum, value - before);
}

static void refresh(tarn__rocks_meter *meter)
{
    tarn__rocks_memory *memory = meter->memory;
    publish(
        &meter->active_bytes,
        &memory->active_bytes,
        read_property(meter, "rocksdb.cur-size-active-mem-table"));
    publish(
        &meter->all_bytes, &memory->all_bytes, read_property(meter, "rocksdb.size-all-mem-tables"));
}

/* As refresh(), with what flush_largest() and wait_for_room() want to know besides. */
static void refresh_flushes(tarn__rocks_meter *meter)
{
    refresh(meter);
    const bool has_frozen = read_property(meter, "rocksdb.num-immutable-mem-table") > 0;
    const bool is_flushing = has_frozen &&
                             (read_property(meter, "rocksdb.mem-table-flush-pending") > 0 ||
                              read_property(meter, "rocksdb.num-running-flushes") > 0) &&
                             read_property(meter, "rocksdb.background-errors") == 0;
    atomic_store(&meter->has_frozen, has_frozen);
    atomic_store(&meter->is_flushing, is_flushing);
}

/* Takes the mutex. meter may be NULL. */
static void unpin(tarn__rocks_memory *memory, tarn__rocks_meter *meter)
{
    if (meter == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&memory->mutex);
    meter->pin_count--;
    if (meter->pin_count == 0) {
        (void)pthread_cond_broadcast(&memory->unpinned);
    }
    (void)pthread_mutex_unlock(&memory->mutex);
}

/* Steps to the meter after one that is pinned (NULL: the first), pins it and lets the other go. */
static tarn__rocks_meter *step(tarn__rocks_memory *memory, tarn__rocks_meter *pinned)
{
    (void)pthread_mutex_lock(&memory->mutex);
    tarn__rocks_meter *next = pinned == NULL ? memory->first : pinned->next;
    if (next != NULL) {
        next->pin_count++;
    }
    (void)pthread_mutex_unlock(&memory->mutex);
    unpin(memory, pinned);
    return next;
}

static void refresh_all(tarn__rocks_memory *memory)
{
    tarn__rocks_meter *meter = step(memory, NULL);
    while (meter != NULL) {
        refresh_flushes(meter);
        meter = step(memory, meter);
    }
}

/* Finds and pins the meter with the largest active memtable that has none waiting to be flushed:
 * flushing another one of the same family would wait for the first. NULL: there is none. */
static tarn__rocks_meter *pin_largest(tarn__rocks_memory *memory)
{
    (void)pthread_mutex_lock(&memory->mutex);
    tarn__rocks_meter *largest = NULL;
    uint64_t largest_bytes = FLUSH_BYTES_MIN;
    for (tarn__rocks_meter *meter = memory->first; meter != NULL; meter = meter->next) {
        const uint64_t bytes = atomic_load(&meter->active_bytes);
        if (bytes > largest_bytes && !atomic_load(&meter->has_frozen)) {
            largest = meter;
            largest_bytes = bytes;
        }
    }
    if (largest != NULL) {
        largest->pin_count++;
    }
    (void)pthread_mutex_unlock(&memory->mutex);
    return largest;
}

/* Finds and pins a meter whose frozen memtables nobody flushes, as when a profile merges several
 * before it flushes them. NULL: there is none. */
static tarn__rocks_meter *pin_forgotten(tarn__rocks_memory *memory)
{
    (void)pthread_mutex_lock(&memory->mutex);
    tarn__rocks_meter *meter = memory->first;
    while (meter != NULL &&
           !(atomic_load(&meter->has_frozen) && !atomic_load(&meter->is_flushing))) {
        meter = meter->next;
    }
    if (meter != NULL) {
        meter->pin_count++;
    }
    (void)pthread_mutex_unlock(&memory->mutex);
    return meter;
}

/* Starts a flush of a pinned meter's family and unpins it. */
static void flush(tarn__rocks_memory *memory, tarn__rocks_meter *meter)
{
    if (meter == NULL) {
        return;
    }
    char *message = NULL;
    rocksdb_flush_cf(meter->db, memory->no_wait, meter->handle, &message);
    if (message != NULL) {
        rocksdb_free(message); /* A background error: the family's next write reports it. */
    } else {
        atomic_fetch_add(&memory->flush_count, 1);
    }
    refresh_flushes(meter);
    unpin(memory, meter);
}

static bool is_flush_under_way(tarn__rocks_memory *memory)
{
    (void)pthread_mutex_lock(&memory->mutex);
    bool found = false;
    for (const tarn__rocks_meter *meter = memory->first; meter != NULL; meter = meter->next) {
        found = found || atomic_load(&meter->is_flushing);
    }
    (void)pthread_mutex_unlock(&memory->mutex);
    return found;
}

/* Waits until memtables are below the hard limit again, as long as waiting helps. */
static void wait_for_room(tarn__rocks_memory *memory)
{
    const uint64_t begin_ns = tarn__clock_monotonic_ns(memory->clock);
    const uint64_t end_ns = begin_ns + (uint64_t)TARN__ROCKS_STALL_MS_MAX * 1000 * 1000;
    uint64_t now_ns = begin_ns;
    bool has_waited = false;
    while (now_ns < end_ns) {
        refresh_all(memory);
        if (atomic_load(&memory->all_bytes) <= memory->hard_limit_bytes) {
            break;
        }
        if (!is_flush_under_way(memory)) {
            tarn__rocks_meter *forgotten = pin_forgotten(memory);
            flush(memory, forgotten != NULL ? forgotten : pin_largest(memory));
            if (!is_flush_under_way(memory)) {
                break; /* Iterators keep the rest, or a background error does. */
            }
        }
        has_waited = true;
        tarn__clock_sleep(WAIT_NS, NULL);
        now_ns = tarn__clock_monotonic_ns(memory->clock);
    }
    if (has_waited) {
        atomic_fetch_add(&memory->stall_count, 1);
        atomic_fetch_add(&memory->stall_ns, tarn__clock_monotonic_ns(memory->clock) - begin_ns);
    }
}

void tarn__rocks_meter_look(tarn__rocks_meter *meter)
{
    tarn__rocks_memory *memory = meter->memory;
    atomic_store_explicit(&meter->unseen_bytes, 0, memory_order_relaxed);
    refresh(meter);
    if (atomic_load(&memory->active_bytes) > memory->mutable_limit_bytes) {
        refresh_all(memory);
        if (atomic_load(&memory->active_bytes) > memory->mutable_limit_bytes) {
            flush(memory, pin_largest(memory));
        }
    }
    if (atomic_load(&memory->all_bytes) > memory->hard_limit_bytes) {
        wait_for_room(memory);
    }
}

void tarn__rocks_meter_open(
    tarn__rocks_meter *meter,
    tarn__rocks_memory *memory,
    rocksdb_t *db,
    rocksdb_column_family_handle_t *handle)
{
    memset(meter, 0, sizeof *meter);
    meter->memory = memory;
    meter->look_bytes = memory->look_bytes; /* UINT64_MAX when nothing is managed. */
    meter->db = db;
    meter->handle = handle;
    (void)pthread_mutex_lock(&memory->mutex);
    meter->next = memory->first;
    if (meter->next != NULL) {
        meter->next->previous = meter;
    }
    memory->first = meter;
    (void)pthread_mutex_unlock(&memory->mutex);
    refresh(meter);
}

void tarn__rocks_meter_close(tarn__rocks_meter *meter)
{
    tarn__rocks_memory *memory = meter->memory;
    if (memory == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&memory->mutex);
    while (meter->pin_count > 0) {
        (void)pthread_cond_wait(&memory->unpinned, &memory->mutex);
    }
    if (meter->previous != NULL) {
        meter->previous->next = meter->next;
    } else {
        memory->first = meter->next;
    }
    if (meter->next != NULL) {
        meter->next->previous = meter->previous;
    }
    (void)pthread_mutex_unlock(&memory->mutex);
    publish(&meter->active_bytes, &memory->active_bytes, 0);
    publish(&meter->all_bytes, &memory->all_bytes, 0);
    meter->memory = NULL;
}

/* ---- figures ---------------------------------------------------------------------------- */

static uint64_t sum_property(tarn__rocks_memory *memory, const char *name)
{
    uint64_t sum = 0;
    for (tarn__rocks_meter *meter = step(memory, NULL); meter != NULL;
         meter = step(memory, meter)) {
        sum += read_property(meter, name);
    }
    return sum;
}

/* A property that every family answers alike, as they share the cache. 0: none is open. */
static uint64_t any_property(tarn__rocks_memory *memory, const char *name)
{
    tarn__rocks_meter *meter = step(memory, NULL);
    const uint64_t value = meter != NULL ? read_property(meter, name) : 0;
    unpin(memory, meter);
    return value;
}

static void measure_cache(tarn__rocks_memory *memory, tarn__rocks_memory_stats *out)
{
    out->cache_capacity_bytes = memory->cache_capacity_bytes;
    if (memory->cache != NULL) {
        out->cache_used_bytes = rocksdb_cache_get_usage(memory->cache);
        out->cache_pinned_bytes = rocksdb_cache_get_pinned_usage(memory->cache);
    } else if (memory->is_managed) {
        out->cache_used_bytes = any_property(memory, "rocksdb.block-cache-usage");
        out->cache_pinned_bytes = any_property(memory, "rocksdb.block-cache-pinned-usage");
    } else {
        out->cache_capacity_bytes = sum_property(memory, "rocksdb.block-cache-capacity");
        out->cache_used_bytes = sum_property(memory, "rocksdb.block-cache-usage");
        out->cache_pinned_bytes = sum_property(memory, "rocksdb.block-cache-pinned-usage");
    }
}

void tarn__rocks_memory_measure(tarn__rocks_memory *memory, tarn__rocks_memory_stats *out)
{
    refresh_all(memory);
    *out = (tarn__rocks_memory_stats){
        .memtable_active_bytes = atomic_load(&memory->active_bytes),
        .memtable_bytes = atomic_load(&memory->all_bytes),
        .cache_has_memtables = memory->cache_has_memtables,
        .memtable_limit_bytes = memory->hard_limit_bytes,
        .table_reader_bytes = sum_property(memory, "rocksdb.estimate-table-readers-mem"),
        .flush_count = atomic_load(&memory->flush_count),
        .stall_count = atomic_load(&memory->stall_count),
        .stall_ns = atomic_load(&memory->stall_ns),
    };
    measure_cache(memory, out);
}
