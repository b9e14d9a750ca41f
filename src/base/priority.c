/* priority.c - see priority.h. */
#include "base/priority.h"

#include <pthread.h>
#include <sys/resource.h>

typedef struct lowered {
    uint32_t levels;
    void (*run)(void *context);
    void *context;
} lowered;

static void *run_lowered(void *context)
{
    const lowered *what = context;
    /* Of this thread alone: who 0 is the caller, and Linux keeps the value by thread. */
    const int now = getpriority(PRIO_PROCESS, 0);
    (void)setpriority(PRIO_PROCESS, 0, now + (int)what->levels);
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
