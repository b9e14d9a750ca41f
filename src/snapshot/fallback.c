/* fallback.c - the newest checkpoint of a job that is whole, past those that are not. */
#include "tarn/fallback.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/try.h"
#include "env/env.h"
#include "snapshot/whole.h"

void tarn_fallback_options_init(tarn_fallback_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

typedef struct search {
    tarn_fallback_options options;
    tarn__storage_options how; /* All storages are opened like that. */
    tarn__account account;
    tarn__whole_options whole;
    tarn__checkpoint_place place;
    tarn_storage *storage; /* The directory of the job. */
} search;

static tarn_status open_if_whole(
    const search *s, const char *path, tarn_checkpoint **out, tarn_error *error)
{
    tarn_checkpoint *checkpoint = NULL;
    tarn__storage_options how = s->how;
    how.address = path;
    TARN_TRY(tarn__checkpoint_open_at(&how, s->options.allocator, &checkpoint, error));
    const tarn_status status = tarn__checkpoint_check_whole(checkpoint, &s->whole, error);
    if (status != TARN_OK) {
        tarn_checkpoint_free(checkpoint);
        return status;
    }
    *out = checkpoint;
    return TARN_OK;
}

/* A device or file system that says that it has lost something; other failures pass, or are ours.
 */
static bool is_of_the_device(const tarn_error *error)
{
    return error->system_code == EIO || error->system_code == EUCLEAN ||
           error->system_code == EBADMSG || error->system_code == EISDIR;
}

/* Whether an older checkpoint may be whole although this one cannot be opened. */
static bool is_of_the_checkpoint(tarn_status status, const tarn_error *error)
{
    return status == TARN_MISSING || status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED ||
           status == TARN_INCOMPATIBLE || (status == TARN_IO_ERROR && is_of_the_device(error));
}

static bool goes_on_past(
    const search *s, uint64_t id, const char *path, tarn_status status, const char *reason)
{
    const tarn_checkpoint_entry entry = {
        .path = path,
        .status = status,
        .reason = reason,
        .summary = {.id = id},
    };
    return s->options.skipped == NULL || s->options.skipped(&entry, s->options.context);
}

static tarn_status try_each(
    const search *s, const tarn__checkpoint_ids *ids, tarn_checkpoint **out, tarn_error *error)
{
    for (uint32_t i = ids->count; i > 0; i--) {
        const uint64_t id = ids->items[i - 1];
        char name[TARN__CHECKPOINT_NAME_BYTES];
        char path[sizeof s->place.job + sizeof name];
        tarn_error reason = {.status = TARN_OK};
        tarn__checkpoint_name(id, name);
        (void)snprintf(path, sizeof path, "%s/%s", s->place.job, name);
        const tarn_status status = open_if_whole(s, path, out, &reason);
        if (status == TARN_OK) {
            return TARN_OK;
        }
        if (!is_of_the_checkpoint(status, &reason) ||
            !goes_on_past(s, id, path, status, reason.message)) {
            if (error != NULL) {
                *error = reason;
            }
            return status;
        }
    }
    return tarn__fail(
        error, TARN_MISSING, "%.300s has no checkpoint that is whole", s->storage->address);
}

static tarn_status search_job(search *s, tarn_checkpoint **out, tarn_error *error)
{
    const tarn__checkpoint_place *place = &s->place;
    if (place->is_savepoint) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%.400s is a savepoint, which stands alone; give a job's directory or a checkpoint's",
            place->job);
    }
    tarn__checkpoint_ids ids;
    TARN_TRY(tarn__checkpoint_ids_list(s->storage, &s->account, &ids, error));
    while (place->has_id && ids.count > 0 && ids.items[ids.count - 1] > place->id) {
        ids.count--;
    }
    const tarn_status status = try_each(s, &ids, out, error);
    tarn__checkpoint_ids_clear(&ids);
    return status;
}

/* env NULL: without one, as far as that goes. */
static tarn_status open_whole(
    tarn_env *env,
    const char *address,
    const tarn_fallback_options *options,
    tarn_checkpoint **out,
    tarn_error *error)
{
    search s = {.how = {.address = address}};
    if (address == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", address == NULL ? "address" : "out");
    }
    TARN_TRY(
        tarn__options_copy("tarn_fallback_options", options, &s.options, sizeof s.options, error));
    if (s.options.depth != TARN_CHECKPOINT_LOOK && s.options.depth != TARN_CHECKPOINT_READ) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "depth %d is none", (int)s.options.depth);
    }
    tarn__account_init(&s.account, "checkpoints", s.options.allocator);
    s.whole = (tarn__whole_options){
        .reads = s.options.depth == TARN_CHECKPOINT_READ,
        .account = &s.account,
        .buffers = &s.account,
    };
    if (env != NULL) {
        TARN_TRY(tarn__env_storage(env, address, &s.how, error));
        s.whole.account = tarn__env_account(env);
        s.whole.buffers = tarn__env_transfer_account(env);
        s.whole.workers = tarn__env_workers(env);
    }
    TARN_TRY(tarn__checkpoint_locate(&s.how, &s.account, &s.place, &s.storage, error));
    const tarn_status status = search_job(&s, out, error);
    tarn__storage_free(s.storage);
    return status;
}

tarn_status tarn_checkpoint_open_whole(
    const char *address,
    const tarn_fallback_options *options,
    tarn_checkpoint **out,
    tarn_error *error)
{
    return open_whole(/* env= */ NULL, address, options, out, error);
}

tarn_status tarn_checkpoint_open_whole_in(
    tarn_env *env,
    const char *address,
    const tarn_fallback_options *options,
    tarn_checkpoint **out,
    tarn_error *error)
{
    if (env == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "env is missing");
    }
    return open_whole(env, address, options, out, error);
}
