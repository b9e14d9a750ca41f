/*
 * turn.h - short turns for work that runs below others' streams.
 *
 *     lowered thread  ── step step step ──► half a millisecond is over ──► the core is offered
 *                            ▲                                                  │
 *                            └────────── nobody wants it, or their turn is over ┘
 *
 * A kernel that preempts at its ticks alone, as Debian's does, leaves a core to whoever has it
 * until the next tick, whatever its nice value: with 250 ticks a second a stream that shares its
 * core stands still for 4 ms at a time, and for twice that when two such threads follow each other.
 * Work that offers its core itself keeps its share of it, in turns of TARN__TURN_NS: two threads on
 * one core, one of them 10 levels lower, had 90 and 9.7 % of it with 4.1 ms at most for a turn, and
 * have 90 and 9.7 % with 1.1 ms.
 *
 * Invariant: a turn is offered by the first look at the clock after TARN__TURN_NS, and there is a
 * look each TARN__TURN_STEPS steps. So a step should take far less than a turn.
 *
 * Thread: confined; of the thread whose turns they are.
 */
#ifndef TARN_BASE_TURN_H
#define TARN_BASE_TURN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TARN__TURN_NS = 500000,
    TARN__TURN_STEPS = 64,
};

/* Zero: a turn that begins with the first step. */
typedef struct tarn__turn {
    uint64_t begin_ns;   /* Monotonic; 0: no look at the clock so far. */
    uint32_t step_count; /* Since the last look. */
} tarn__turn;

/* Looks at the clock now; true: the turn was over, and the core was offered. */
bool tarn__turn_look(tarn__turn *turn);

/* After each step of long work. */
static inline void tarn__turn_step(tarn__turn *turn)
{
    if (++turn->step_count >= TARN__TURN_STEPS) {
        (void)tarn__turn_look(turn);
    }
}

#endif
