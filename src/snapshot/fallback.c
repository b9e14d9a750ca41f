/* fallback.c - the newest checkpoint of a job that looks whole, past those that do not. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/try.h"
#include "tarn/fallback.h"

#include "snapshot/checkpoint.h"

typedef struct search {
    const tarn_allocator *allocator;
    tarn__account account;
    tarn_storage *storage; /* The directory of the job. */
    char job[PATH_MAX];
    tarn_checkpoint_list_visit *skipped;
    void *context;
} search;

static tarn_status check_file(tarn_storage *storage, const tarn__file_part *file, tarn_error *error)
{
    tarn_storage_info info;
    if (file->is_inline) {
        return TARN_OK;
    }
    TARN_TRY(tarn__storage_stat(storage, file->path, &info, error));
    const uint64_t size = tarn__file_object_size(file);
    if (info.size != size) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.200s/%.200s has %" PRIu64 " bytes instead of %" PRIu64,
            storage->address,
            file->path,
            info.size,
            size);
    }
    return TARN_OK;
}

static tarn_status check_files(const tarn_checkpoint *checkpoint, tarn_error *error)
{
    const tarn__metadata *metadata = &checkpoint->metadata;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        const tarn__subtask *subtask = &metadata->subtasks[i];
        for (uint32_t j = 0; j < subtask->file_count; j++) {
            TARN_TRY(check_file(checkpoint->storage, &subtask->files[j], error));
        }
    }
    return TARN_OK;
}

static tarn_status open_whole(
    const search *s, const char *path, tarn_checkpoint **out, tarn_error *error)
{
    tarn_checkpoint *checkpoint = NULL;
    TARN_TRY(tarn_checkpoint_open(path, s->allocator, &checkpoint, error));
    const tarn_status status = check_files(checkpoint, error);
    if (status != TARN_OK) {
        tarn_checkpoint_free(checkpoint);
        return status;
    }
    *out = checkpoint;
    return TARN_OK;
}

/* Whether an older checkpoint may be whole although this one cannot be opened. */
static bool is_of_the_checkpoint(tarn_status status)
{
    return status == TARN_MISSING || status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED ||
           status == TARN_INCOMPATIBLE || status == TARN_IO_ERROR;
}

static tarn_status try_each(
    search *s, const tarn__checkpoint_ids *ids, tarn_checkpoint **out, tarn_error *error)
{
    for (uint32_t i = ids->count; i > 0; i--) {
        char name[TARN__CHECKPOINT_NAME_BYTES];
        char path[PATH_MAX + sizeof name];
        tarn_error reason;
        tarn__checkpoint_name(ids->items[i - 1], name);
        (void)snprintf(path, sizeof path, "%s/%s", s->job, name);
        const tarn_status status = open_whole(s, path, out, &reason);
        if (status == TARN_OK) {
            return TARN_OK;
        }
        if (!is_of_the_checkpoint(status)) {
            return tarn__fail(error, status, "%s", reason.message);
        }
        const tarn_checkpoint_entry entry = {
            .path = path,
            .status = status,
            .reason = reason.message,
            .summary = {.id = ids->items[i - 1]},
        };
        if (s->skipped != NULL && !s->skipped(&entry, s->context)) {
            return tarn__fail(error, status, "%s", reason.message);
        }
    }
    return tarn__fail(
        error, TARN_MISSING, "%.300s has no checkpoint that is whole", s->storage->address);
}

static tarn_status search_job(
    search *s, bool has_id, uint64_t id, tarn_checkpoint **out, tarn_error *error)
{
    const tarn__storage_options options = {
        .address = s->job,
        .account = &s->account,
        .must_exist = true,
    };
    TARN_TRY(tarn__storage_open(&options, &s->storage, error));
    tarn__checkpoint_ids ids;
    tarn_status status = tarn__checkpoint_ids_list(s->storage, &s->account, &ids, error);
    if (status == TARN_OK) {
        while (has_id && ids.count > 0 && ids.items[ids.count - 1] > id) {
            ids.count--;
        }
        status = try_each(s, &ids, out, error);
        tarn__checkpoint_ids_clear(&ids);
    }
    tarn__storage_free(s->storage);
    return status;
}

tarn_status tarn_checkpoint_open_whole(
    const char *address,
    const tarn_allocator *allocator,
    tarn_checkpoint_list_visit *skipped,
    void *context,
    tarn_checkpoint **out,
    tarn_error *error)
{
    if (address == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", address == NULL ? "address" : "out");
    }
    search s = {
        .allocator = allocator != NULL ? allocator : tarn_allocator_default(),
        .skipped = skipped,
        .context = context,
    };
    bool has_id = false;
    uint64_t id = 0;
    TARN_TRY(tarn__checkpoint_locate(address, s.job, &has_id, &id, error));
    tarn__account_init(&s.account, "checkpoints", s.allocator);
    return search_job(&s, has_id, id, out, error);
}
