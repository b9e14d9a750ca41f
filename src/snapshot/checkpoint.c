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

tarn_status tarn__savepoint_check_paths(const tarn__subtask *subtask, tarn_error *error)
{
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn__file_part *file = &subtask->files[i];
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

/* Reads all of an object of which the size is known, or which changed meanwhile. */
static tarn_status read_whole(
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
        const tarn_status status = tarn__savepoint_check_paths(&metadata.subtasks[i], error);
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
    tarn_status status = read_whole(storage, TARN__METADATA_NAME, &bytes, error);
    if (status == TARN_OK) {
        status = decode_savepoint(tarn_buffer_bytes(&bytes), account, out, error);
    }
    if (status != TARN_OK && status != TARN_MISSING) {
        tarn__error_prefix(error, "%.300s/" TARN__METADATA_NAME, storage->address);
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
    char name[TARN__CHECKPOINT_NAME_BYTES];
    tarn__checkpoint_metadata_name(id, name);
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &account->face};
    tarn_status status = read_whole(storage, name, &bytes, error);
    if (status == TARN_OK) {
        status = decode_metadata(tarn_buffer_bytes(&bytes), id, account, out, error);
    }
    if (status != TARN_OK && status != TARN_MISSING) {
        tarn__error_prefix(error, "%.300s/%s", storage->address, name);
    }
    return status;
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

/* --- The content of a file --- */

tarn_status tarn__checkpoint_check_content(
    const tarn_storage *storage,
    const tarn__file_part *file,
    const tarn__hasher *hasher,
    uint64_t size,
    tarn_error *error)
{
    if (size != file->content.size) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.200s/%.200s has %" PRIu64 " bytes, and %" PRIu64 " in the checkpoint",
            storage->address,
            file->path,
            size,
            file->content.size);
    }
    const tarn__digest digest = tarn__hasher_digest(hasher);
    if (!tarn__digest_is_equal(&digest, &file->content.digest)) {
        char found[TARN__DIGEST_TEXT_BYTES];
        char expected[TARN__DIGEST_TEXT_BYTES];
        tarn__digest_encode(&digest, found);
        tarn__digest_encode(&file->content.digest, expected);
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.200s/%.200s is damaged: its digest is %s, and %s in the checkpoint",
            storage->address,
            file->path,
            found,
            expected);
    }
    return TARN_OK;
}

/* Reads a part of a segment, that is exactly the bytes of the file. */
static tarn_status read_packed(
    tarn_storage *storage,
    const tarn__file_part *file,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn__checkpoint_take_fn *take,
    void *context,
    tarn_error *error)
{
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    uint64_t offset = 0;
    bool is_at_end = false;
    while (!is_at_end && offset < file->content.size) {
        const uint64_t left = file->content.size - offset;
        const size_t wanted = left < buffer_bytes ? (size_t)left : buffer_bytes;
        size_t got = 0;
        TARN_TRY(tarn__storage_read(
            storage, file->path, file->place.offset + offset, buffer, wanted, &got, error));
        const tarn_bytes part = tarn_bytes_at(buffer, got);
        tarn__hasher_update(&hasher, part);
        offset += got;
        is_at_end = got < wanted;
        if (take != NULL && got > 0) {
            TARN_TRY(take(part, context, error));
        }
    }
    return tarn__checkpoint_check_content(storage, file, &hasher, offset, error);
}

/* A file on its way from its storage. */
typedef struct reading {
    tarn_storage *storage;
    const tarn__file_part *file;
    tarn__checkpoint_take_fn *take; /* May be NULL. */
    void *context;
    tarn__hasher hasher;
    uint64_t size; /* So far. */
} reading;

static tarn_status take_piece(void *context, tarn_bytes piece, tarn_error *error)
{
    reading *r = context;
    tarn__hasher_update(&r->hasher, piece);
    r->size += piece.size;
    if (r->size > r->file->content.size) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.200s/%.200s has more than the %" PRIu64 " bytes of the checkpoint",
            r->storage->address,
            r->file->path,
            r->file->content.size);
    }
    return r->take != NULL ? r->take(piece, r->context, error) : TARN_OK;
}

tarn_status tarn__checkpoint_read_file(
    tarn_storage *storage,
    const tarn__file_part *file,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn__checkpoint_take_fn *take,
    void *context,
    tarn_error *error)
{
    if (file->place.is_packed) {
        return read_packed(storage, file, buffer, buffer_bytes, take, context, error);
    }
    reading r = {.storage = storage, .file = file, .take = take, .context = context};
    tarn__hasher_init(&r.hasher);
    /* One byte more than there should be: what is longer is told from what is whole. */
    TARN_TRY(tarn__storage_get(
        storage,
        file->path,
        0,
        file->content.size + 1,
        take_piece,
        &r,
        buffer,
        buffer_bytes,
        error));
    return tarn__checkpoint_check_content(storage, file, &r.hasher, r.size, error);
}
