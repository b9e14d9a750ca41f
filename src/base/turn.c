/* turn.c - see turn.h. */
#include "base/turn.h"

#include <sched.h>

#include "base/clock.h"

bool tarn__turn_look(tarn__turn *turn)
{
    const uint64_t now_ns = tarn__clock_monotonic_ns(tarn__clock_system());
    turn->step_count = 0;
    if (turn->begin_ns == 0) {
        turn->begin_ns = now_ns;
        return false;
    }
    if (now_ns - turn->begin_ns < TARN__TURN_NS) {
        return false;
    }
    (void)sched_yield();
    turn->begin_ns = tarn__clock_monotonic_ns(tarn__clock_system());
    return true;
}
