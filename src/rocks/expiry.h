/*
 * expiry.h - what compactions leave out of a column family: rows whose stamp says that they
 * expired. As the filter is where RocksDB's threads come by for each row, they take short turns
 * there, too (base/turn.h): of families without rules as well.
 *
 *     task thread ── now, rules ──► atomics ◄── read for each row ── RocksDB's threads
 *                                     │
 *                  oldest kept stamp, removed rows and bytes ──► task thread
 *
 * What RocksDB does with a filter, and what follows:
 *   - It is asked about a row's newest version within the files that are compacted, when that is a
 *     value. What it drops becomes a tombstone unless nothing can lie below, so that no older
 *     version comes back. Iterators and linked snapshots keep the files that they read.
 *   - Operands of a merge are never shown to a filter that comes from C, and what they fold to is
 *     not in the compaction that folds them. A value that expired by its own stamp may be young by
 *     an operand in a newer file or memtable. So rows that are folded (codec/reduction.h) go only
 *     in a clean-up (tarn__rocks_clean): that flushes and pushes everything down, so that all
 *     operands of before its time are in the values that it sees; and operands of later never fold
 *     to what was expired then (cleaned_ms below bounds their thresholds).
 *   - Rows in files that nothing compacts stay: periodic compaction and deadlines see to these.
 *
 * Invariants
 *   - A row that was not expired by the rules in force is kept; so is one that is too short for a
 *     stamp, and one without a known time.
 *   - While the rules change, everything is kept.
 *
 * Thread: shared: atomics only. tarn__expiry_set() and tarn__expiry_stop() are the task thread's.
 */
#ifndef TARN_ROCKS_EXPIRY_H
#define TARN_ROCKS_EXPIRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tarn/bytes.h"

#include "base/account.h"
#include "base/clock.h"

struct rocksdb_compactionfilterfactory_t;

typedef struct tarn__expiry_rules {
    int64_t ttl_ms;           /* Greater than 0. */
    bool is_folded;           /* Rows are reductions. */
    bool is_kept;             /* Rows are dropped only while a clean-up is under way. */
    const tarn__clock *clock; /* Whose wall time is now; NULL: the time that is published. */
    uint32_t query_every;     /* So many rows are judged by one look at the clock; at least 1. */
} tarn__expiry_rules;

typedef struct tarn__expiry {
    atomic_uint holder_count; /* The family, and each factory. */
    bool gives_way;           /* Compactions run below streams, and take short turns. */
    atomic_uint version;      /* Odd: there are no rules, or they are being changed. */
    atomic_int_least64_t ttl_ms;
    atomic_bool is_folded;
    atomic_bool is_kept;
    _Atomic(const tarn__clock *) clock;
    atomic_uint query_every;
    atomic_int_least64_t now_ms;
    atomic_int queries_left; /* Rows until the clock is asked again. */

    atomic_bool is_cleaning;         /* A clean-up is under way. */
    atomic_int_least64_t cleaned_ms; /* What had expired by then is gone, or goes. */

    atomic_int_least64_t kept_ms; /* The oldest stamp that a compaction kept; INT64_MAX: none. */
    atomic_uint_least64_t removed_count;
    atomic_uint_least64_t removed_bytes; /* Of keys and values, as they were. */
} tarn__expiry;

/* Without rules. */
TARN_NODISCARD tarn_status
tarn__expiry_open(tarn__account *account, bool gives_way, tarn__expiry **out, tarn_error *error);

/* Lets go: it stays, without rules, as long as a compaction may ask it. NULL does nothing. */
void tarn__expiry_close(tarn__expiry *expiry);

/* Puts rules in force; now_ms is the time until another is published. */
void tarn__expiry_set(tarn__expiry *expiry, const tarn__expiry_rules *rules, int64_t now_ms);

/* From here on nothing is dropped. */
void tarn__expiry_stop(tarn__expiry *expiry);

/* Says what time it is. */
static inline void tarn__expiry_publish(tarn__expiry *expiry, int64_t now_ms)
{
    atomic_store_explicit(&expiry->now_ms, now_ms, memory_order_relaxed);
}

/* A factory of filters, for a family's options to own. */
struct rocksdb_compactionfilterfactory_t *tarn__expiry_new_factory(tarn__expiry *expiry);

#endif
