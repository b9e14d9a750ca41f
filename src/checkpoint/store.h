/*
 * store.h - which completed checkpoints are retained, and what goes when another one comes.
 *
 * A pure list by ascending id. Nothing is deleted here: answers say what is to be.
 *
 *     add(9) ──► [ 5 | 7 | 8s | 9 ]      retained_count 3: 5 is subsumed and discarded
 *                        s: not owned; counts, is subsumed like the others, is never discarded
 *
 * Invariants
 *   - The newest entry stays, and so does the newest owned one, on which the next incremental
 *     checkpoint builds; after a savepoint that stops the job there is no next one.
 *   - What is subsumed is discarded once an owned checkpoint that is newer is retained, or the job
 *     ends and is not only SUSPENDED: until then it may be the last checkpoint that the job has.
 *   - At most max(retained_count, 2) entries once one was added. Before that all that were
 *     restored, of which there are more where fewer are to be retained than before, or where the
 *     process died between a commit and its deletions: as in Flink, they go with the next one.
 *
 * Source: Flink 1.20, CheckpointSubsumeHelper, CheckpointProperties; vectors/store_traces.jsonl.
 * Thread: pure.
 */
#ifndef TARN_CHECKPOINT_STORE_H
#define TARN_CHECKPOINT_STORE_H

#include "tarn/coordinator_types.h"

#include "base/account.h"

typedef struct tarn__store_entry {
    uint64_t id;
    bool is_owned;  /* Deleted when subsumed, and at the job's end by retention. */
    bool stops_job; /* A savepoint behind which the job stops. */
} tarn__store_entry;

typedef struct tarn__store {
    tarn_checkpoint_retention retention;
    uint32_t retained_count;
    uint32_t count;
    uint32_t capacity;
    uint32_t subsumed_count;  /* Of the last add(). */
    uint32_t discarded_count; /* Of the last add() or end(). */
    uint32_t waiting_count;
    tarn__store_entry *entries;   /* [capacity] by ascending id. */
    tarn__store_entry *subsumed;  /* [capacity]: no longer retained since the last add(). */
    tarn__store_entry *discarded; /* [2 * capacity]: to be deleted since the last call. */
    tarn__store_entry *waiting;   /* [capacity]: subsumed and not discarded yet. */
} tarn__store;

/* retained_count is at least 1; restored_count: how many are restored at most. */
TARN_NODISCARD tarn_status tarn__store_init(
    tarn__store *store,
    uint32_t retained_count,
    uint32_t restored_count,
    tarn_checkpoint_retention retention,
    tarn__account *account,
    tarn_error *error);
void tarn__store_clear(tarn__store *store);

/* Takes in a checkpoint that was retained before, after the older ones; nothing goes for it. */
void tarn__store_restore(tarn__store *store, tarn__store_entry entry);

/*
 * Adds a completed checkpoint, whose id must be above all others, and takes away what exceeds
 * retained_count: subsumed and discarded, oldest first, are valid until the next call.
 */
void tarn__store_add(tarn__store *store, tarn__store_entry entry);

/* Empties the store with the job; discarded is what the retention does not keep. */
void tarn__store_end(tarn__store *store, tarn_job_end end);

/* The newest id; 0: the store is empty. */
uint64_t tarn__store_latest_id(const tarn__store *store);

#endif
