/*
 * workers.h - a fixed number of threads over one bounded queue.
 *
 *     submit ──► [job][job][job] ──► thread 0 .. n-1: job.run(job.context)
 *     leave  ──► errand ─► errand ──► one of them at a time
 *
 * Invariants
 *   - A job that was accepted runs exactly once, unless it is withdrawn before it begins; close()
 *     runs what is queued, then joins.
 *   - submit() waits while the queue is full; it is never called by a worker itself, or the queue
 *     could wait for itself.
 *   - An errand, which is for when there is time, waits for no room and is never refused: its
 *     memory is that of who leaves it. All errands together hold one thread at most.
 *
 * Thread: shared.
 */
#ifndef TARN_BASE_WORKERS_H
#define TARN_BASE_WORKERS_H

#include "base/account.h"

typedef struct tarn__workers tarn__workers;
typedef void tarn__job_fn(void *context);

/*
 * thread_count    1 .. 256.
 * queue_capacity  Jobs that wait at most; at least 1.
 * name            Of the threads, at most 15 bytes; shown by top and gdb.
 */
TARN_NODISCARD tarn_status tarn__workers_open(
    tarn__account *account,
    uint32_t thread_count,
    uint32_t queue_capacity,
    const char *name,
    tarn__workers **out,
    tarn_error *error);

/* Queues a job; waits while the queue is full. */
void tarn__workers_submit(tarn__workers *workers, tarn__job_fn *run, void *context);

/* Queues a job if there is room, and answers whether it did. Never waits, so workers may call it.
 */
bool tarn__workers_try_submit(tarn__workers *workers, tarn__job_fn *run, void *context);

/*
 * Takes a job back that no thread has begun; false: there is none that is queued. Who waits for a
 * job runs it itself then, rather than wait for those before it. Never waits.
 */
bool tarn__workers_withdraw(tarn__workers *workers, tarn__job_fn *run, void *context);

/* Work that nobody waits for, such as deleting. */
typedef struct tarn__errand {
    tarn__job_fn *run;
    void *context;
    struct tarn__errand *next; /* The threads' own. */
} tarn__errand;

/* Leaves an errand, which stays where it is until it begins to run. Never waits. */
void tarn__workers_leave(tarn__workers *workers, tarn__errand *errand);

/* Runs what is queued, and the errands, joins the threads and frees. NULL does nothing. */
void tarn__workers_close(tarn__workers *workers);

#endif
