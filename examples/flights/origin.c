#include "origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tarn/fallback.h>

#include "failure.h"

static bool is_latest_wanted(const options *how)
{
    return how->restore != NULL && strcmp(how->restore, "latest") == 0;
}

/* Says which checkpoint is passed over, and why; more than can be told to the driver are too many.
 */
static bool pass_over(const tarn_checkpoint_entry *entry, void *context)
{
    origin *o = context;
    if (o->passed_over_count == PASSED_OVER_MAX) {
        o->has_given_up = true;
        return false;
    }
    o->passed_over[o->passed_over_count++] = entry->summary.id;
    fprintf(
        stderr,
        "flights: checkpoint %" PRIu64 " is passed over: %s\n",
        entry->summary.id,
        entry->reason);
    return true;
}

/* Every byte is read beforehand: a restore finds nothing then that could have been passed over. */
static tarn_status open_whole(
    origin *o,
    tarn_env *env,
    const char *address,
    const tarn_allocator *allocator,
    tarn_error *error)
{
    tarn_fallback_options fallback = TARN_FALLBACK_OPTIONS_INIT;
    fallback.depth = TARN_CHECKPOINT_READ;
    fallback.allocator = allocator;
    fallback.skipped = pass_over;
    fallback.context = o;
    const tarn_status status =
        tarn_checkpoint_open_whole_in(env, address, &fallback, &o->checkpoint, error);
    if (!o->has_given_up) {
        return status;
    }
    const tarn_error cause = *error;
    return failure_set(
        error,
        status,
        cause.system_code,
        "%u checkpoints are passed over, more cannot be, and the next one is not whole either: %s",
        PASSED_OVER_MAX,
        cause.message);
}

tarn_status origin_open(
    origin *o,
    const options *how,
    tarn_env *env,
    const tarn_allocator *allocator,
    tarn_error *error)
{
    const char *address = how->restore;
    if (address == NULL) {
        return TARN_OK;
    }
    char latest[PATH_MAX];
    o->is_latest = is_latest_wanted(how);
    if (o->is_latest) {
        snprintf(latest, sizeof latest, "%s/flights", how->checkpoint_dir);
        address = latest;
    }
    TRY(how->allows_older
            ? open_whole(o, env, address, allocator, error)
            : tarn_checkpoint_open_in(env, address, allocator, &o->checkpoint, error));
    o->id = tarn_checkpoint_summarize(o->checkpoint).id;
    return TARN_OK;
}

void origin_close(origin *o)
{
    tarn_checkpoint_free(o->checkpoint);
    o->checkpoint = NULL;
}

/* Whether something is wrong with the checkpoint; one that is not there at all has no number. */
static bool is_of_the_checkpoint(const origin *o, tarn_status status)
{
    return status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED ||
           (status == TARN_MISSING && o->id > 0);
}

tarn_status origin_explain(
    const origin *o, const options *how, tarn_status status, tarn_error *error)
{
    if (!o->is_latest || how->allows_older || !is_of_the_checkpoint(o, status)) {
        return status;
    }
    const tarn_error cause = *error;
    return failure_set(
        error,
        status,
        cause.system_code,
        "the latest checkpoint cannot be restored (--allow-older takes an older one): %s",
        cause.message);
}
