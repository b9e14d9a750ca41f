/* priority.c - see priority.h. */
#include "base/priority.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/turn.h"

/* Source: sched_setattr(2). Debian 12's libc has no declaration. */
typedef struct schedule {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns;
    uint64_t deadline_ns;
    uint64_t period_ns;
} schedule;

enum { KEEP_POLICY = 8 };

typedef struct lowered {
    uint32_t levels;
    void (*run)(void *context);
    void *context;
} lowered;

/*
 * Tells the kernel how long the turns are that the thread takes (base/turn.h), so that one that it
 * gives up early is charged as that, and not as one of the usual length. Kernels before 6.12 take
 * no notice.
 */
static void announce_turns(void)
{
#ifdef SYS_sched_setattr
    const schedule wanted = {
        .size = sizeof wanted,
        .flags = KEEP_POLICY,
        .nice = getpriority(PRIO_PROCESS, 0),
        .runtime_ns = TARN__TURN_NS,
    };
    (void)syscall(SYS_sched_setattr, 0, &wanted, 0);
#endif
}

static void *run_lowered(void *context)
{
    const lowered *what = context;
    /* Of this thread alone: who 0 is the caller, and Linux keeps the value by thread. */
    const int now = getpriority(PRIO_PROCESS, 0);
    (void)setpriority(PRIO_PROCESS, 0, now + (int)what->levels);
    announce_turns();
    what->run(what->context);
    return NULL;
}

tarn_status tarn__run_lowered(
    uint32_t levels, void (*run)(void *context), void *context, tarn_error *error)
{
    if (levels == 0) {
        run(context);
        return TARN_OK;
    }
    lowered what = {.levels = levels, .run = run, .context = context};
    pthread_t thread;
    const int code = pthread_create(&thread, NULL, run_lowered, &what);
    if (code != 0) {
        return tarn__fail_errno(error, code, "cannot start a thread of lower priority");
    }
    (void)pthread_join(thread, NULL);
    return TARN_OK;
}
