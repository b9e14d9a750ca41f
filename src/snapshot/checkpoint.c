/* checkpoint.c - names in a job's directory, and reading what is there. */
#include "snapshot/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/savepoint.h"

#include "base/try.h"

static const char PREFIX[] = "chk-";

void tarn__checkpoint_name(uint64_t id, char out[TARN__CHECKPOINT_NAME_BYTES])
{
    snprintf(out, TARN__CHECKPOINT_NAME_BYTES, "%s%" PRIu64, PREFIX, id);
}

void tarn__checkpoint_metadata_name(uint64_t id, char out[TARN__CHECKPOINT_NAME_BYTES])
{
    snprintf(out, TARN__CHECKPOINT_NAME_BYTES, "%s%" PRIu64 "/" TARN__METADATA_NAME, PREFIX, id);
}

bool tarn__checkpoint_parse_name(const char *name, uint64_t *id_out)
{
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0) {
        return false;
    }
    /* Written again it must be the same: no sign, no leading zero, no overflow. */
    const uint64_t id = strtoull(name + sizeof PREFIX - 1, NULL, 10);
    char again[TARN__CHECKPOINT_NAME_BYTES];
    tarn__checkpoint_name(id, again);
    if (id > TARN__CHECKPOINT_ID_MAX || strcmp(name, again) != 0) {
        return false;
    }
    *id_out = id;
    return true;
}

void tarn__content_name(const tarn__content *content, char out[TARN__CONTENT_NAME_BYTES])
{
    char text[TARN__DIGEST_TEXT_BYTES];
    tarn__digest_encode(&content->digest, text);
    snprintf(out, TARN__CONTENT_NAME_BYTES, "shared/%.2s/%s-%" PRIu64, text, text, content->size);
}

tarn_status tarn__checkpoint_check_paths(
    const tarn__subtask *subtask, uint64_t id, tarn_error *error)
{
    char directory[TARN__CHECKPOINT_NAME_BYTES];
    snprintf(directory, sizeof directory, "%s%" PRIu64 "/", PREFIX, id);
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn__file_part *file = &subtask->files[i];
        char name[TARN__CONTENT_NAME_BYTES];
        tarn__content_name(tarn__file_object(file), name);
        if (file->is_inline) {
            continue;
        }
        const bool is_right = file->is_shared
                                  ? strcmp(file->path, name) == 0
                                  : strncmp(file->path, directory, strlen(directory)) == 0;
        if (!is_right) {
            return tarn__fail(
                error,
                TARN_CORRUPTION,
                "subtask %" PRIu32 " of operator \"%.100s\": file %.100s has the path %.150s, but "
                "belongs at %s",
                subtask->subtask_index,
                subtask->operator_name,
                file->local_name,
                file->path,
                file->is_shared ? name : directory);
        }
    }
    return TARN_OK;
}

tarn_status tarn__savepoint_check_paths(
    const tarn__subtask *subtask, tarn__metadata_kind kind, tarn_error *error)
{
    const bool is_canonical = kind == TARN__METADATA_CANONICAL_SAVEPOINT;
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn__file_part *file = &subtask->files[i];
        if (is_canonical && (file->is_inline || file->codec != TARN__CODEC_NONE)) {
            return tarn__fail(
                error,
                TARN_CORRUPTION,
                "subtask %" PRIu32 " of operator \"%.100s\": file %.100s is not a file of rows of "
                "its own, as all of a canonical savepoint are",
                subtask->subtask_index,
                subtask->operator_name,
                file->local_name);
        }
        if (file->is_shared || strcmp(file->path, TARN__METADATA_NAME) == 0) {
            return tarn__fail(
                error,
                TARN_CORRUPTION,
                "subtask %" PRIu32 " of operator \"%.100s\": file %.100s has the path %.150s, "
                "which no file of a savepoint has",
                subtask->subtask_index,
                subtask->operator_name,
                file->local_name,
                file->path);
        }
    }
    return TARN_OK;
}

/* Its size is asked for first; one that changed meanwhile shows. */
tarn_status tarn__checkpoint_read_object(
    tarn_storage *storage, const char *name, tarn_buffer *out, tarn_error *error)
{
    tarn_storage_info info;
    TARN_TRY(tarn__storage_stat(storage, name, &info, error));
    if (info.size > TARN__METADATA_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "it has %" PRIu64 " bytes, %d are the limit",
            info.size,
            TARN__METADATA_BYTES_MAX);
    }
    /* One more, so that an object which has grown shows. */
    if (tarn_buffer_reserve(out, (size_t)info.size + 1) != TARN_OK) {
        return tarn__fail_no_memory(error, "the metadata of a checkpoint", (size_t)info.size + 1);
    }
    return tarn__storage_read(
        storage, name, 0, out->data, (size_t)info.size + 1, &out->size, error);
}

static tarn_status decode_metadata(
    tarn_bytes bytes, uint64_t id, tarn__account *account, tarn__metadata *out, tarn_error *error)
{
    tarn__metadata metadata;
    TARN_TRY(tarn__metadata_decode(bytes, TARN__METADATA_CHECKPOINT, account, &metadata, error));
    tarn_status status = TARN_OK;
    if (metadata.head.checkpoint_id != id) {
        status = tarn__fail(
            error,
            TARN_CORRUPTION,
            "it is of checkpoint %" PRIu64 ", but lies in chk-%" PRIu64,
            metadata.head.checkpoint_id,
            id);
    }
    for (uint32_t i = 0; status == TARN_OK && i < metadata.subtask_count; i++) {
        status = tarn__checkpoint_check_paths(&metadata.subtasks[i], id, error);
    }
    if (status != TARN_OK) {
        tarn__metadata_clear(&metadata);
        return status;
    }
    *out = metadata;
    return TARN_OK;
}

static tarn_status decode_savepoint(
    tarn_bytes bytes, tarn__account *account, tarn__metadata *out, tarn_error *error)
{
    tarn__metadata metadata;
    TARN_TRY(tarn__metadata_decode(bytes, TARN__METADATA_SAVEPOINT, account, &metadata, error));
    for (uint32_t i = 0; i < metadata.subtask_count; i++) {
        const tarn_status status =
            tarn__savepoint_check_paths(&metadata.subtasks[i], metadata.head.kind, error);
        if (status != TARN_OK) {
            tarn__metadata_clear(&metadata);
            return status;
        }
    }
    *out = metadata;
    return TARN_OK;
}

tarn_status tarn__savepoint_read_metadata(
    tarn_storage *storage, tarn__account *account, tarn__metadata *out, tarn_error *error)
{
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &account->face};
    tarn_status status = tarn__checkpoint_read_object(storage, TARN__METADATA_NAME, &bytes, error);
    if (status == TARN_OK) {
        status = decode_savepoint(tarn_buffer_bytes(&bytes), account, out, error);
    }
    if (status != TARN_OK && status != TARN_MISSING) {
        tarn__error_prefix(error, "%.300s/" TARN__METADATA_NAME, storage->address);
    }
    return status;
}

tarn_status tarn__checkpoint_find_metadata(
    tarn_storage *storage,
    uint64_t id,
    tarn__account *account,
    bool *is_withdrawn,
    tarn__metadata *out,
    tarn_error *error)
{
    char name[TARN__CHECKPOINT_NAME_BYTES];
    tarn__checkpoint_metadata_name(id, name);
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &account->face};
    tarn_status status = tarn__checkpoint_read_object(storage, name, &bytes, error);
    *is_withdrawn =
        status == TARN_OK &&
        tarn_bytes_is_equal(tarn_buffer_bytes(&bytes), tarn_bytes_of(TARN__METADATA_WITHDRAWN));
    if (*is_withdrawn) {
        return tarn__fail(
            error,
            TARN_MISSING,
            "checkpoint %" PRIu64 " of %.300s was withdrawn",
            id,
            storage->address);
    }
    if (status == TARN_OK) {
        status = decode_metadata(tarn_buffer_bytes(&bytes), id, account, out, error);
    }
    if (status != TARN_OK && status != TARN_MISSING) {
        tarn__error_prefix(error, "%.300s/%s", storage->address, name);
    }
    return status;
}

tarn_status tarn__checkpoint_read_metadata(
    tarn_storage *storage,
    uint64_t id,
    tarn__account *account,
    tarn__metadata *out,
    tarn_error *error)
{
    bool is_withdrawn = false;
    return tarn__checkpoint_find_metadata(storage, id, account, &is_withdrawn, out, error);
}

static tarn_checkpoint_form form_of(tarn__metadata_kind kind)
{
    switch (kind) {
    case TARN__METADATA_SAVEPOINT:
        return TARN_FORM_NATIVE;
    case TARN__METADATA_CANONICAL_SAVEPOINT:
        return TARN_FORM_CANONICAL;
    case TARN__METADATA_CHECKPOINT:
    case TARN__METADATA_ACKNOWLEDGEMENT:
        return TARN_FORM_INCREMENTAL;
    }
    return TARN_FORM_INCREMENTAL;
}

tarn_checkpoint_summary tarn__checkpoint_summarize(const tarn__metadata *metadata)
{
    tarn_checkpoint_summary summary = {
        .id = metadata->head.checkpoint_id,
        .form = form_of(metadata->head.kind),
        .timestamp_ms = metadata->head.timestamp_ms,
        .duration_ms = metadata->head.duration_ms,
        .subtask_count = metadata->subtask_count,
        .new_bytes = metadata->head.new_bytes,
    };
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        const tarn__subtask *subtask = &metadata->subtasks[i];
        if (i == 0 || strcmp(subtask->operator_name, subtask[-1].operator_name) != 0) {
            summary.operator_count++;
        }
        if (subtask->max_parallelism > summary.max_parallelism) {
            summary.max_parallelism = subtask->max_parallelism;
        }
        summary.file_count += subtask->file_count;
        summary.total_bytes += tarn__subtask_bytes(subtask);
    }
    return summary;
}

/* --- The ids of a directory --- */

static bool add_id(const tarn_storage_entry *entry, void *context)
{
    tarn__checkpoint_ids *ids = context;
    uint64_t id = 0;
    if (!entry->is_directory || !tarn__checkpoint_parse_name(entry->name, &id)) {
        return true;
    }
    if (ids->count == ids->capacity) {
        const uint32_t capacity = ids->capacity == 0 ? 16 : 2 * ids->capacity;
        uint64_t *items = tarn__reallocate(ids->account, ids->items, capacity * sizeof *items);
        if (items == NULL) {
            ids->is_out_of_memory = true;
            return false;
        }
        ids->items = items;
        ids->capacity = capacity;
    }
    ids->items[ids->count++] = id;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

tarn_status tarn__checkpoint_ids_list(
    tarn_storage *storage, tarn__account *account, tarn__checkpoint_ids *out, tarn_error *error)
{
    tarn__checkpoint_ids ids = {.account = account};
    tarn_status status = tarn__storage_list(storage, "", add_id, &ids, error);
    if (status == TARN_OK && ids.is_out_of_memory) {
        status = tarn__fail_no_memory(error, "a list of checkpoints", 2 * ids.count * 8u);
    }
    if (status != TARN_OK) {
        tarn__checkpoint_ids_clear(&ids);
        return status;
    }
    if (ids.count > 1) {
        qsort(ids.items, ids.count, sizeof *ids.items, compare_ids);
    }
    *out = ids;
    return TARN_OK;
}

void tarn__checkpoint_ids_clear(tarn__checkpoint_ids *ids)
{
    tarn__release(ids->items);
    *ids = (tarn__checkpoint_ids){.account = ids->account};
}
