/*
 * errands.h - one thread for work that nobody waits for, such as deleting.
 *
 *     leave ──► errand ─► errand ─► errand ──► the thread: errand.run(errand.context)
 *
 * It is a thread beside the workers: however long an errand takes, as where a storage does not
 * answer, no job stands behind it. Errands of several storages have a thread each, so that none
 * stands behind those of a storage that does not answer.
 *
 * Invariants
 *   - An errand that was left runs exactly once; they run one after the other, in the order in
 *     which they were left. close() runs all, then joins.
 *   - An errand waits for no room and is never refused: its memory is that of who leaves it.
 *   - What is left to others of the same whole is counted at the whole too, which outlives them.
 *
 * Thread: shared.
 */
#ifndef TARN_BASE_ERRANDS_H
#define TARN_BASE_ERRANDS_H

#include "base/account.h"

typedef struct tarn__errands tarn__errands;

typedef struct tarn__errand {
    void (*run)(void *context);
    void *context;
    struct tarn__errand *next; /* The thread's own. */
} tarn__errand;

/*
 * name   Of the thread, at most 15 bytes; shown by top and gdb.
 * whole  Whose await() waits for what is left here, too; itself no part of another. May be NULL.
 */
TARN_NODISCARD tarn_status tarn__errands_open(
    tarn__account *account,
    const char *name,
    tarn__errands *whole,
    tarn__errands **out,
    tarn_error *error);

/* Leaves an errand, which stays where it is until it begins to run. Never waits. */
void tarn__errands_leave(tarn__errands *errands, tarn__errand *errand);

/* Waits until all that was left has been run, here and to its parts. Not called by an errand. */
void tarn__errands_await(tarn__errands *errands);

/* Runs what was left, joins the thread and frees. NULL does nothing. */
void tarn__errands_close(tarn__errands *errands);

#endif
