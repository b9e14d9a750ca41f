/*
 * give_up.h - requests that nobody wants any more end early.
 *
 *     worker   when(&flag) ─► begin, append, put, stat, .. ─► when(what it was)
 *                                  ▲
 *     another  flag = true ────────┘ a request under way ends, a wait does, none is tried again
 *
 * Operations of storages do not know who asks, and pass through shims that need not know either, so
 * the flag is the calling thread's for as long as it says so. Who asks there takes a failure for
 * what it is: a request that ended early may be carried out all the same, or later.
 *
 * A request that cleans up (parting, http.h) goes out all the same, and has a bounded time.
 * Storages of the application are asked nothing: a request to one takes as long as it takes.
 *
 * Thread: shared.
 */
#ifndef TARN_STORAGE_GIVE_UP_H
#define TARN_STORAGE_GIVE_UP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Has the calling thread's requests be given up once *flag is set; NULL: they are not. Answers what
 * it had said before. flag outlives the requests that begin meanwhile.
 */
const atomic_bool *tarn__give_up_when(const atomic_bool *flag);

/* What the calling thread has said. */
const atomic_bool *tarn__give_up_flag(void);

/* Whether the calling thread's requests are given up. */
bool tarn__is_given_up(void);

/* Waits; tests move a clock instead. Units: nanoseconds. */
typedef void tarn__sleep_fn(uint64_t ns, void *context);

/* Waits so long, or until requests are given up. */
void tarn__give_up_sleep(uint64_t ns, tarn__sleep_fn *sleep, void *context);

#endif
