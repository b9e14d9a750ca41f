/* list.c - what a job's directory holds. */
#include <stdio.h>
#include <string.h>

#include "base/try.h"
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

tarn_status tarn_checkpoint_list(
    const char *address, tarn_checkpoint_list_visit *visit, void *context, tarn_error *error)
{
    if (address == NULL || visit == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", address == NULL ? "address" : "visit");
    }
    tarn__account account;
    tarn__account_init(&account, "checkpoint list", NULL);
    const tarn__storage_options options = {
        .address = address,
        .account = &account,
        .must_exist = true,
    };
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
