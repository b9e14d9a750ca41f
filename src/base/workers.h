/*
 * workers.h - a fixed number of threads over one bounded queue.
 *
 *     submit ──► [job][job][job] ──► thread 0 .. n-1: job.run(job.context)
 *
 * Invariants
 *   - A job that was accepted runs exactly once, unless it is withdrawn before it begins; close()
 *     runs what is queued, then joins.
 *   - submit() waits while the queue is full; it is never called by a worker itself, or the queue
 *     could wait for itself.
 *
 * What nobody waits for has a thread of its own (errands.h).
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

/* Runs what is queued, joins the threads and frees. NULL does nothing. */
void tarn__workers_close(tarn__workers *workers);

#endif
