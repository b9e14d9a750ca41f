/* store_env.c - a store opened by way of an environment: its memory, clock and log. */
#include <string.h>

#include "tarn/savepoint.h"

#include "base/options.h"
#include "base/try.h"
#include "env/env.h"
#include "snapshot/store.h"

enum { RETAINED_COUNT_DEFAULT = 1 };

/* What the environment knows of a store. */
typedef struct membership {
    tarn_env *env;
    tarn__errands *errands; /* Its own. NULL: it has none. */
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
    tarn__errands_close(m->errands); /* They were run; the last one may be about to end. */
    tarn__env_disown(m->env, &m->child);
    tarn__release(m);
}

void tarn_checkpoint_store_options_init(tarn_checkpoint_store_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

/* What an environment gives to a store; *out is its membership, to be adopted or released. */
static tarn_status begin_membership(
    tarn_env *env, tarn__store_options *options, membership **out, tarn_error *error)
{
    TARN_TRY(tarn__env_storage(env, options->address, &options->remote, error));
    tarn__account *account = tarn__env_account(env);
    membership *m = tarn__allocate_zeroed(account, 1, sizeof *m);
    if (m == NULL) {
        return tarn__fail_no_memory(error, "a checkpoint store", sizeof *m);
    }
    m->env = env;
    options->account = account;
    options->clock = tarn__env_clock(env);
    options->log = log_warning;
    options->log_context = m;
    options->closed = leave;
    options->closed_context = m;
    options->errands = tarn__env_errands(env);
    *out = m;
    return TARN_OK;
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
    tarn__store_options store_options = {
        .address = known.address,
        .job = known.job,
        .retained_count =
            known.retained_count != 0 ? known.retained_count : (uint32_t)RETAINED_COUNT_DEFAULT,
    };
    membership *m = NULL;
    TARN_TRY(begin_membership(known.env, &store_options, &m, error));
    tarn_status status = tarn__env_open_errands(known.env, &m->errands, error);
    if (status == TARN_OK) {
        store_options.errands = m->errands;
        status = tarn__store_open(&store_options, out, error);
    }
    if (status != TARN_OK) {
        tarn__errands_close(m->errands);
        tarn__release(m);
        return status;
    }
    tarn__env_adopt(known.env, &m->child, "checkpoint store %s/%s", known.address, known.job);
    return TARN_OK;
}

void tarn_savepoint_options_init(tarn_savepoint_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

static tarn_status check_form(
    tarn_checkpoint_form form, tarn__metadata_kind *out, tarn_error *error)
{
    switch (form) {
    case TARN_FORM_INCREMENTAL: /* Zero: the default. */
    case TARN_FORM_CANONICAL:
        *out = TARN__METADATA_CANONICAL_SAVEPOINT;
        return TARN_OK;
    case TARN_FORM_NATIVE:
        *out = TARN__METADATA_SAVEPOINT;
        return TARN_OK;
    }
    return tarn__fail(error, TARN_INVALID_ARGUMENT, "form %d is no savepoint's", (int)form);
}

tarn_status tarn_savepoint_begin(
    const tarn_savepoint_options *options, tarn_pending_checkpoint **out, tarn_error *error)
{
    tarn_savepoint_options known;
    TARN_TRY(tarn__options_copy("tarn_savepoint_options", options, &known, sizeof known, error));
    if (known.env == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", known.env == NULL ? "env" : "out");
    }
    tarn__store_options store_options = {.address = known.address, .job = known.job};
    TARN_TRY(check_form(known.form, &store_options.kind, error));
    membership *m = NULL;
    TARN_TRY(begin_membership(known.env, &store_options, &m, error));
    tarn_pending_checkpoint *pending = NULL;
    store_options.is_held = &m->child.is_held;
    const tarn_status status =
        tarn__savepoint_begin(&store_options, known.id == 0 ? 1 : known.id, &pending, error);
    if (status != TARN_OK) {
        tarn__release(m);
        return status;
    }
    tarn__env_adopt(known.env, &m->child, "savepoint %s", tarn_savepoint_path(pending));
    *out = pending;
    return TARN_OK;
}
