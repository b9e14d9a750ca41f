/*
 * refusal.h - why the last allocation of this thread failed: a pool refused it.
 *
 *     pool: does not fit ──► tarn__refusal_note() ──► NULL ──► ... ──► tarn__fail_no_memory()
 *     allocator: none left ──► tarn__refusal_clear() ──► NULL ──► ...        │
 *                                                 TARN_OVER_BUDGET or TARN_NO_MEMORY
 *
 * An allocation answers NULL whoever refused it. The reason stays beside it, as errno stays beside
 * a failed system call, until who words the failure takes it: right behind the failure, in the same
 * thread. It never leaves the library that way: what the caller gets is a status and a tarn_error.
 *
 * Invariants
 *   - An allocation that succeeds does not come here; a buffer that grows does.
 *   - A note that was taken is gone: no later failure has the reason of an earlier one. Who goes on
 *     without the memory leaves a note behind; an allocator that has none left clears it.
 *
 * Thread: any; each has a note of its own.
 */
#ifndef TARN_BASE_REFUSAL_H
#define TARN_BASE_REFUSAL_H

#include "base/error.h"

enum { TARN__REFUSAL_OWNER_BYTES = 96 }; /* Longer names are cut. */

typedef struct tarn__refusal {
    const char *pool;   /* A literal such as "heap". NULL: none has refused. */
    const char *option; /* A literal: what sizes the pool. */
    uint64_t used_bytes;
    uint64_t limit_bytes;
    char owner[TARN__REFUSAL_OWNER_BYTES]; /* Who asked. */
} tarn__refusal;

/* Notes that a pool has refused, and for whom. pool and option are literals. */
void tarn__refusal_note(
    const char *pool, const char *option, uint64_t used_bytes, uint64_t limit_bytes);
void tarn__refusal_note_owner(const char *owner);

/* It was not a pool. */
void tarn__refusal_clear(void);

/*
 * Takes the note. There is one: answers TARN_OVER_BUDGET, and adds pool, owner and option to the
 * sentence of *error (may be NULL). Else, or when status is not TARN_NO_MEMORY: status.
 */
tarn_status tarn__refusal_explain(tarn_error *error, tarn_status status);

#endif
