/*
 * priority.h - threads that work beside others' streams, not against them.
 *
 * Linux gives each thread its own nice value, and a thread has its maker's to begin with. So what
 * starts threads is run in a thread that has lowered itself: that works for threads of libraries,
 * which cannot be asked.
 *
 * A lowered thread has a share of a busy core that is small, but a share: with 10 levels the kernel
 * weighs it 110 where an ordinary thread is 1024, so beside k busy ones it has 110/(1024 k + 110)
 * of the core: a tenth beside one, a fortieth beside four. So a lock that it holds when it is
 * preempted is held for some of its turns, not for ever. Who waits for the lock sleeps meanwhile;
 * that leaves the lowered thread all of the core only when nothing else is busy there. Where other
 * threads are, each waiter waits by that share: a program with more busy threads than cores may
 * want fewer levels, or none.
 *
 * Thread: any.
 */
#ifndef TARN_BASE_PRIORITY_H
#define TARN_BASE_PRIORITY_H

#include <stdint.h>

#include "base/error.h"

/*
 * Runs a function in a thread of its own whose nice value is that much above the caller's, and
 * waits. Threads that it starts have that nice value too. 0 levels: the caller runs it itself. A
 * system that refuses to lower a thread has it run as it is.
 */
TARN_NODISCARD tarn_status
tarn__run_lowered(uint32_t levels, void (*run)(void *context), void *context, tarn_error *error);

#endif
