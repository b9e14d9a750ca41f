/* list.c - what a job's directory holds. */
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "env/env.h"
#include "snapshot/checkpoint.h"

static bool visit_one(
    tarn_storage *storage,
    tarn__account *account,
    uint64_t id,
    tarn_checkpoint_list_visit *visit,
    void *context)
{
    char name[TARN__CHECKPOINT_NAME_BYTES];
    char path[TARN__CHECKPOINT_PATH_BYTES];
    tarn__checkpoint_name(id, name);
    snprintf(path, sizeof path, "%s/%s", storage->address, name);

    tarn_error error;
    tarn__metadata metadata;
    tarn_checkpoint_entry entry = {.path = path, .summary = {.id = id}};
    entry.status = tarn__checkpoint_read_metadata(storage, id, account, &metadata, &error);
    if (entry.status == TARN_OK) {
        entry.summary = tarn__checkpoint_summarize(&metadata);
        tarn__metadata_clear(&metadata);
    } else if (entry.status == TARN_MISSING) {
        entry.reason = "it has no _metadata: unfinished, withdrawn, or being deleted";
    } else {
        entry.reason = error.message;
    }
    return visit(&entry, context);
}

static tarn_status check_arguments(
    const char *address, tarn_checkpoint_list_visit *visit, tarn_error *error)
{
    if (address == NULL || visit == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", address == NULL ? "address" : "visit");
    }
    return TARN_OK;
}

static tarn_status list_at(
    const tarn__storage_options *how,
    tarn_checkpoint_list_visit *visit,
    void *context,
    tarn_error *error)
{
    tarn__account account;
    tarn__account_init(&account, "checkpoint list", NULL);
    tarn__storage_options options = *how;
    options.account = &account;
    options.must_exist = true;
    tarn_storage *storage = NULL;
    TARN_TRY(tarn__storage_open(&options, &storage, error));
    tarn__checkpoint_ids ids;
    const tarn_status status = tarn__checkpoint_ids_list(storage, &account, &ids, error);
    if (status == TARN_OK) {
        bool goes_on = true;
        for (uint32_t i = 0; goes_on && i < ids.count; i++) {
            goes_on = visit_one(storage, &account, ids.items[i], visit, context);
        }
        tarn__checkpoint_ids_clear(&ids);
    }
    tarn__storage_free(storage);
    return status;
}

tarn_status tarn_checkpoint_list(
    const char *address, tarn_checkpoint_list_visit *visit, void *context, tarn_error *error)
{
    TARN_TRY(check_arguments(address, visit, error));
    const tarn__storage_options how = {.address = address};
    return list_at(&how, visit, context, error);
}

tarn_status tarn_checkpoint_list_in(
    tarn_env *env,
    const char *address,
    tarn_checkpoint_list_visit *visit,
    void *context,
    tarn_error *error)
{
    if (env == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "env is missing");
    }
    TARN_TRY(check_arguments(address, visit, error));
    tarn__storage_options how;
    TARN_TRY(tarn__env_storage(env, address, &how, error));
    return list_at(&how, visit, context, error);
}
