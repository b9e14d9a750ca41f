/*
 * memory.h - the RocksDB memory of one process: one block cache, one write-buffer budget.
 *
 *     total share of the managed pool
 *     |<------------- block cache ------------->|<---- memtables, at most 1.5 x capacity ---->|
 *                                                    |            |                        |
 *                                                    0      7/8 x capacity         hard limit
 *                                                           flush the largest      writers wait
 *
 * Who flushes and who waits is decided by Tarn's own watcher with every version of RocksDB. What
 * differs is the cache: from 8.9 on the C API binds RocksDB's write-buffer manager, which charges
 * memtables to the cache, so that the cache can have what memtables leave; its capacity is then
 * what Flink computes, and the manager is given a limit at which it never flushes by itself.
 * Before 8.9, or when the cache has no handle (high_priority_ratio), nothing is charged, and the
 * cache is smaller by all that memtables may take. Both keep cache and memtables within the total.
 *
 * The watcher. Each column family has a meter. The writer counts bytes into it without any atomic;
 * every few KiB it looks at the family's real figures (two property reads) and publishes them into
 * process-wide sums. Over the mutable limit the largest active memtable of the process is flushed,
 * whoever owns it, so that an idle state cannot keep memory from a busy one (RocksDB's own manager
 * only ever flushes the writing database). Over the hard limit the writer waits, as long as a
 * flush is under way, and counts the wait.
 *
 * Invariants
 *   - The sums are exactly the sums of the meters' published figures.
 *   - The mutex is a leaf: no call into RocksDB is made while it is held. A meter that another
 *     thread works on is pinned; closing a meter waits for its pins.
 *   - A writer waits only while a flush is running or queued and the database has no background
 *     error, and never longer than TARN__ROCKS_STALL_MS_MAX at a time: a full disk is reported by
 *     the write that fails, not by a wait without end.
 *
 * Thread: shared, but for tarn__rocks_meter_add(), which belongs to the family's writer.
 */
#ifndef TARN_ROCKS_MEMORY_H
#define TARN_ROCKS_MEMORY_H

#include <stdatomic.h>

#include "base/account.h"
#include "base/clock.h"

struct rocksdb_t;
struct rocksdb_column_family_handle_t;
struct rocksdb_options_t;

typedef struct tarn__rocks_memory tarn__rocks_memory;

enum { TARN__ROCKS_STALL_MS_MAX = 10000 };

typedef struct tarn__rocks_memory_options {
    tarn__account *account;
    const tarn__clock *clock;
    /* False: each family has a block cache of its own and memtables are not bounded together. */
    bool is_managed;
    uint64_t total_bytes;                 /* RocksDB's share of the managed pool. */
    uint64_t cache_capacity_bytes;        /* As Flink computes it: when memtables are charged. */
    uint64_t write_buffer_capacity_bytes; /* As Flink computes it. */
    uint64_t mutable_limit_bytes;         /* As Flink computes it: 7/8 of the capacity. */
    /* Share of the cache for index and filter blocks, at most 1. Negative: not set, RocksDB's own
     * 0.5. */
    double high_priority_ratio;
} tarn__rocks_memory_options;

/* Figures at one moment. Units: bytes unless the name says otherwise. */
typedef struct tarn__rocks_memory_stats {
    uint64_t cache_capacity_bytes;
    uint64_t cache_used_bytes;
    uint64_t cache_pinned_bytes;
    bool cache_has_memtables; /* Memtables are charged to the cache: a part of its bytes. */
    uint64_t memtable_active_bytes;
    uint64_t memtable_bytes; /* Active, immutable, and those that iterators keep. */
    uint64_t memtable_limit_bytes;
    uint64_t table_reader_bytes;
    uint64_t flush_count; /* Flushes that the watcher asked for. */
    uint64_t stall_count;
    uint64_t stall_ns;
} tarn__rocks_memory_stats;

/*
 * Opens the memory of a process.
 *
 * Errors: TARN_INVALID_ARGUMENT when the total has no room for a cache beside the memtables;
 * TARN_NO_MEMORY, TARN_OVER_BUDGET.
 */
TARN_NODISCARD tarn_status tarn__rocks_memory_open(
    const tarn__rocks_memory_options *options, tarn__rocks_memory **out, tarn_error *error);

/* Frees it. Every database is closed by then. NULL does nothing. */
void tarn__rocks_memory_close(tarn__rocks_memory *memory);

/* Measures now, by property reads of every open family. */
void tarn__rocks_memory_measure(tarn__rocks_memory *memory, tarn__rocks_memory_stats *out);

/*
 * The arena block for a family whose own is not configured: as Flink computes it, but at most the
 * part of the mutable limit that lets TARN__ROCKS_ARENA_SHARE memtables live side by side. Every
 * memtable takes a whole block with its first row; with blocks of 8 MiB the memtables of a few
 * states fill a small budget empty, and are flushed row by row.
 */
enum { TARN__ROCKS_ARENA_SHARE = 32 };
uint64_t tarn__rocks_memory_fit_arena(const tarn__rocks_memory *memory, uint64_t arena_bytes);

/* The options that every database and family starts from: they hold the shared cache. Borrowed. */
const struct rocksdb_options_t *tarn__rocks_memory_base(const tarn__rocks_memory *memory);
/* What memtables may hold together; UINT64_MAX: as much as they like. */
uint64_t tarn__rocks_memory_memtable_limit(const tarn__rocks_memory *memory);

bool tarn__rocks_memory_is_managed(const tarn__rocks_memory *memory);

/* Refuses an arena block that no budget of memtables can hold: they would flush without end. */
TARN_NODISCARD tarn_status tarn__rocks_memory_check_arena(
    const tarn__rocks_memory *memory, const char *state, uint64_t arena_bytes, tarn_error *error);

/* One column family under watch. Embedded in tarn__rocks_family; does not move. */
typedef struct tarn__rocks_meter {
    tarn__rocks_memory *memory;
    atomic_uint_least64_t unseen_bytes; /* Written since the last look; some may be missing. */
    uint64_t look_bytes;                /* When to look again. */

    struct rocksdb_t *db;
    struct rocksdb_column_family_handle_t *handle;
    struct tarn__rocks_meter *previous; /* previous, next, pin_count: under the mutex. */
    struct tarn__rocks_meter *next;
    uint32_t pin_count;

    atomic_uint_least64_t active_bytes; /* As published. */
    atomic_uint_least64_t all_bytes;
    atomic_bool is_flushing; /* At the last look a flush was running or queued. */
    atomic_bool has_frozen;  /* At the last look there were memtables yet to be flushed. */
} tarn__rocks_meter;

/* Puts a family under watch, and takes it away again. close() waits for the meter's pins. */
void tarn__rocks_meter_open(
    tarn__rocks_meter *meter,
    tarn__rocks_memory *memory,
    struct rocksdb_t *db,
    struct rocksdb_column_family_handle_t *handle);
void tarn__rocks_meter_close(tarn__rocks_meter *meter);

/* Looks at the real figures, and flushes or waits when they ask for it. Thread: any writer. */
void tarn__rocks_meter_look(tarn__rocks_meter *meter);

/*
 * Counts bytes about to be written. Cost: one add and one compare. Of what two threads count at
 * once one may get lost, which a look that comes later makes good.
 */
static inline void tarn__rocks_meter_add(tarn__rocks_meter *meter, uint64_t bytes)
{
    const uint64_t sum = atomic_load_explicit(&meter->unseen_bytes, memory_order_relaxed) + bytes;
    atomic_store_explicit(&meter->unseen_bytes, sum, memory_order_relaxed);
    if (__builtin_expect(sum >= meter->look_bytes, 0)) {
        tarn__rocks_meter_look(meter);
    }
}

#endif
