/*
 * env.h - what the backends, snapshots and stores of one process share.
 *
 *     config ──► plan ──► budget: heap | managed | network | off-heap
 *                            │                │
 *                            │                └─► rocks memory: one block cache, one write-buffer
 *     budget └─► owner "env" (heap), whose account everything small is charged to
 *     workers: threads for flushes' links, uploads, downloads
 *     errands: a thread for what nobody waits for, and one more of each checkpoint store
 *
 * Invariants
 *   - Children (backends, stores) are counted; an environment with children does not close.
 *   - The managed pool is reserved whole by "rocksdb" at open: nobody else plans with it.
 *
 * Thread: shared. All that is handed out lives as long as the environment.
 */
#ifndef TARN_ENV_ENV_H
#define TARN_ENV_ENV_H

#include "tarn/env.h"

#include "base/account.h"
#include "base/clock.h"
#include "base/errands.h"
#include "base/workers.h"
#include "storage/storage.h"

typedef struct tarn__rocks_memory tarn__rocks_memory; /* rocks/memory.h */

/* The account of the environment's own owner, in the heap pool. */
tarn__account *tarn__env_account(tarn_env *env);

/* The account of the buffers that files are moved through, in the off-heap pool. */
tarn__account *tarn__env_transfer_account(tarn_env *env);

const tarn__clock *tarn__env_clock(const tarn_env *env);
tarn__workers *tarn__env_workers(tarn_env *env);

/* Those of everybody who has none of its own, such as savepoints, which end in an errand. */
tarn__errands *tarn__env_errands(tarn_env *env);

/* A thread for the errands of one storage, so that no other's stand behind them. Close it. */
TARN_NODISCARD tarn_status
tarn__env_open_errands(tarn_env *env, tarn__errands **out, tarn_error *error);

/* The environment's own copy of its configuration. */
const tarn_config *tarn__env_config(const tarn_env *env);

tarn__rocks_memory *tarn__env_rocks_memory(tarn_env *env);

/*
 * Fills in what a storage is opened with: account, configuration, buffers, the application's
 * schemes, and for an address behind a network the HTTP client, which is made when it is first
 * needed.
 */
TARN_NODISCARD tarn_status tarn__env_storage(
    tarn_env *env, const char *address, tarn__storage_options *out, tarn_error *error);

/* Says something to the application's log hook; cut at 512 bytes. */
__attribute__((format(printf, 3, 4))) void tarn__env_log(
    tarn_env *env, tarn_log_level level, const char *format, ...);

/*
 * The heap of one slot: backends of several slots share the pool as those of Flink share managed
 * memory. TARN_UNLIMITED: the pool has no limit.
 */
uint64_t tarn__env_slot_heap(const tarn_env *env);

/* Likewise what memtables may hold; very much where that has no limit. */
uint64_t tarn__env_slot_memtables(const tarn_env *env);

/*
 * Counts what a working set may take of the heap, in the place of what it was before. Warns when
 * all of them together may take more than there is: who comes last keeps fewer rows then.
 */
void tarn__env_count_working_set(tarn_env *env, uint64_t before_bytes, uint64_t bytes);

/*
 * Counts work that goes on although what it was for is closed, such as taking an upload back:
 * expect() before its owner lets go, note_end() when it has touched the environment for the last
 * time. await_ends() waits for all of it, and for errands; closing does so when nothing is open.
 */
void tarn__env_expect_end(tarn_env *env);
void tarn__env_note_end(tarn_env *env);
void tarn__env_await_ends(tarn_env *env);

/* Counts a child in and out. The name is copied; it is what tarn_env_close() complains about. */
typedef struct tarn__env_child {
    struct tarn__env_child *previous;
    struct tarn__env_child *next;
    atomic_bool is_held; /* By the program; else it ends by itself, and closing waits for it. */
    char name[256];
} tarn__env_child;

__attribute__((format(printf, 3, 4))) void tarn__env_adopt(
    tarn_env *env, tarn__env_child *child, const char *format, ...);
void tarn__env_disown(tarn_env *env, tarn__env_child *child);

#endif
