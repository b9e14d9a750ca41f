/* store_env.c - a store opened by way of an environment: its memory, clock and log. */
#include <string.h>

#include "base/options.h"
#include "base/try.h"
#include "env/env.h"
#include "snapshot/store.h"

enum { RETAINED_COUNT_DEFAULT = 1 };

/* What the environment knows of a store. */
typedef struct membership {
    tarn_env *env;
    tarn__env_child child;
} membership;

static void log_warning(const char *message, void *context)
{
    const membership *m = context;
    tarn__env_log(m->env, TARN_LOG_WARNING, "%s", message);
}

static void leave(void *context)
{
    membership *m = context;
    tarn__env_disown(m->env, &m->child);
    tarn__release(m);
}

void tarn_checkpoint_store_options_init(tarn_checkpoint_store_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

tarn_status tarn_checkpoint_store_open(
    const tarn_checkpoint_store_options *options, tarn_checkpoint_store **out, tarn_error *error)
{
    tarn_checkpoint_store_options known;
    TARN_TRY(
        tarn__options_copy("tarn_checkpoint_store_options", options, &known, sizeof known, error));
    if (known.env == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", known.env == NULL ? "env" : "out");
    }
    tarn__account *account = tarn__env_account(known.env);
    membership *m = tarn__allocate_zeroed(account, 1, sizeof *m);
    if (m == NULL) {
        return tarn__fail_no_memory(error, "a checkpoint store", sizeof *m);
    }
    m->env = known.env;
    tarn__store_options store_options = {
        .address = known.address,
        .job = known.job,
        .retained_count =
            known.retained_count != 0 ? known.retained_count : (uint32_t)RETAINED_COUNT_DEFAULT,
        .account = account,
        .clock = tarn__env_clock(known.env),
        .log = log_warning,
        .log_context = m,
        .closed = leave,
        .closed_context = m,
    };
    tarn_status status = tarn__env_storage(known.env, known.address, &store_options.remote, error);
    if (status == TARN_OK) {
        status = tarn__store_open(&store_options, out, error);
    }
    if (status != TARN_OK) {
        tarn__release(m);
        return status;
    }
    tarn__env_adopt(known.env, &m->child, "checkpoint store %s/%s", known.address, known.job);
    return TARN_OK;
}
