/* open.c - a checkpoint opened for reading, and what is asked of it. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tarn/savepoint.h"

#include "base/try.h"
#include "env/env.h"
#include "snapshot/checkpoint.h"
#include "storage/uri.h"

typedef tarn__checkpoint_place place;

/* Cuts the last part off an absolute path and answers it; "/" stays. */
static const char *cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    *slash = '\0';
    return slash + 1;
}

/* A directory of its own with metadata in it is a savepoint's, whatever its name. */
static bool has_metadata(const char *directory)
{
    char path[PATH_MAX + sizeof "/" TARN__METADATA_NAME];
    snprintf(path, sizeof path, "%s/" TARN__METADATA_NAME, directory);
    return access(path, F_OK) == 0;
}

/*
 * Resolves DIR/JOB, DIR/JOB/chk-N, a savepoint's directory, and _metadata in either of these. Links
 * are followed, so "latest" may be one.
 */
static tarn_status resolve(const char *address, place *out, tarn_error *error)
{
    const char *path = NULL;
    TARN_TRY(tarn__storage_path_of(address, &path, error));
    if (realpath(path, out->job) == NULL) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return tarn__fail(error, TARN_MISSING, "%.400s does not exist", path);
        }
        return tarn__fail_errno(error, errno, "cannot resolve %.400s", path);
    }
    char last[PATH_MAX];
    snprintf(last, sizeof last, "%s", strrchr(out->job, '/') + 1);
    const bool is_file = strcmp(last, "_metadata") == 0;
    if (is_file) {
        (void)cut_last(out->job);
        snprintf(last, sizeof last, "%s", strrchr(out->job, '/') + 1);
    }
    out->has_id = tarn__checkpoint_parse_name(last, &out->id);
    out->is_savepoint = !out->has_id && (is_file || has_metadata(out->job));
    if (out->has_id) {
        (void)cut_last(out->job);
        if (out->job[0] == '\0') {
            out->job[0] = '/';
            out->job[1] = '\0';
        }
    }
    return TARN_OK;
}

/*
 * Resolves an address behind a network, by its words alone: what follows the last "/chk-N", or
 * "/chk-N/_metadata", is not looked at.
 */
static tarn_status resolve_remote(const char *address, place *out, tarn_error *error)
{
    static const char file[] = "/_metadata";
    const size_t size = tarn__uri_plain_size(address);
    if (size >= sizeof out->job) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "the address %.200s... is too long", address);
    }
    memcpy(out->job, address, size);
    out->job[size] = '\0';
    const size_t file_size = sizeof file - 1;
    const bool is_file = size > file_size && strcmp(out->job + size - file_size, file) == 0;
    if (is_file) {
        out->job[size - file_size] = '\0';
    }
    const char *last = strrchr(out->job, '/') + 1;
    const size_t host_at = tarn__uri_scheme_size(out->job) + strlen("://");
    out->has_id =
        (size_t)(last - out->job) > host_at && tarn__checkpoint_parse_name(last, &out->id);
    out->is_savepoint = is_file && !out->has_id;
    if (out->has_id) {
        (void)cut_last(out->job);
    }
    return TARN_OK;
}

static tarn_status resolve_any(const char *address, place *out, tarn_error *error)
{
    return tarn__storage_is_local(address) ? resolve(address, out, error)
                                           : resolve_remote(address, out, error);
}

/* Opens the directory, and looks there whether it is a savepoint's where words do not tell. */
static tarn_status open_place(
    const tarn__storage_options *how,
    tarn__account *account,
    place *where,
    tarn_storage **out,
    tarn_error *error)
{
    tarn__storage_options options = *how;
    options.address = where->job;
    options.account = account;
    options.must_exist = true;
    TARN_TRY(tarn__storage_open(&options, out, error));
    tarn_storage_info info;
    where->is_savepoint = where->is_savepoint ||
                          (!where->has_id && !tarn__storage_is_local(where->job) &&
                           tarn__storage_stat(*out, TARN__METADATA_NAME, &info, NULL) == TARN_OK);
    return TARN_OK;
}

tarn_status tarn__checkpoint_locate(
    const tarn__storage_options *how,
    tarn__account *account,
    tarn__checkpoint_place *out,
    tarn_storage **storage,
    tarn_error *error)
{
    TARN_TRY(resolve_any(how->address, out, error));
    return open_place(how, account, out, storage, error);
}

/*
 * Adds to the reason why the newest is refused which older one could be taken instead. It is not
 * taken unasked: the job would go back further than its operator knows.
 */
static void name_good_one(
    tarn_checkpoint *checkpoint,
    const tarn__checkpoint_ids *ids,
    uint64_t damaged,
    tarn_error *error)
{
    for (uint32_t i = ids->count; i > 0; i--) {
        const uint64_t id = ids->items[i - 1];
        tarn__metadata metadata;
        if (id < damaged &&
            tarn__checkpoint_read_metadata(
                checkpoint->storage, id, &checkpoint->account, &metadata, NULL) == TARN_OK) {
            tarn__metadata_clear(&metadata);
            tarn__error_prefix(
                error,
                "checkpoint %" PRIu64 " is the newest and cannot be read; the newest that can is "
                "%.200s/chk-%" PRIu64,
                damaged,
                checkpoint->storage->address,
                id);
            return;
        }
    }
}

/* Reads the newest that is complete; one that is deleted meanwhile is passed over. */
static tarn_status read_newest(tarn_checkpoint *checkpoint, uint64_t *id_out, tarn_error *error)
{
    tarn__checkpoint_ids ids;
    TARN_TRY(tarn__checkpoint_ids_list(checkpoint->storage, &checkpoint->account, &ids, error));
    tarn_status status = TARN_MISSING;
    for (uint32_t i = ids.count; status == TARN_MISSING && i > 0; i--) {
        *id_out = ids.items[i - 1];
        status = tarn__checkpoint_read_metadata(
            checkpoint->storage, *id_out, &checkpoint->account, &checkpoint->metadata, error);
    }
    const uint32_t count = ids.count;
    if (status == TARN_CORRUPTION || status == TARN_INCOMPATIBLE || status == TARN_NOT_SUPPORTED) {
        name_good_one(checkpoint, &ids, *id_out, error);
    }
    tarn__checkpoint_ids_clear(&ids);
    if (status == TARN_MISSING) {
        return tarn__fail(
            error,
            TARN_MISSING,
            "%.300s has no complete checkpoint (%" PRIu32 " unfinished)",
            checkpoint->storage->address,
            count);
    }
    return status;
}

enum { KIND_OFFSET = 12 }; /* In any version's prologue. */

/* A checkpoint's metadata that was moved alone says so itself. */
static tarn_status read_savepoint(tarn_checkpoint *checkpoint, tarn_error *error)
{
    uint8_t kind = 0;
    size_t size = 0;
    if (tarn__storage_read(
            checkpoint->storage, TARN__METADATA_NAME, KIND_OFFSET, &kind, 1, &size, NULL) ==
            TARN_OK &&
        size == 1 && kind == TARN__METADATA_CHECKPOINT) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%.300s/" TARN__METADATA_NAME " is of a checkpoint, but is not in a directory chk-N; "
            "checkpoints are moved with the directory of their job",
            checkpoint->storage->address);
    }
    return tarn__savepoint_read_metadata(
        checkpoint->storage, &checkpoint->account, &checkpoint->metadata, error);
}

static tarn_status read_checkpoint(
    tarn_checkpoint *checkpoint, place *where, const tarn__storage_options *how, tarn_error *error)
{
    TARN_TRY(open_place(how, &checkpoint->account, where, &checkpoint->storage, error));
    if (where->is_savepoint) {
        snprintf(checkpoint->path, sizeof checkpoint->path, "%s", where->job);
        TARN_TRY(read_savepoint(checkpoint, error));
        checkpoint->summary = tarn__checkpoint_summarize(&checkpoint->metadata);
        return TARN_OK;
    }
    uint64_t id = where->id;
    if (where->has_id) {
        TARN_TRY(tarn__checkpoint_read_metadata(
            checkpoint->storage, id, &checkpoint->account, &checkpoint->metadata, error));
    } else {
        TARN_TRY(read_newest(checkpoint, &id, error));
    }
    checkpoint->summary = tarn__checkpoint_summarize(&checkpoint->metadata);
    char name[TARN__CHECKPOINT_NAME_BYTES];
    tarn__checkpoint_name(id, name);
    const int size = snprintf(
        checkpoint->path,
        sizeof checkpoint->path,
        "%s/%s",
        strcmp(where->job, "/") == 0 ? "" : where->job,
        name);
    return size > 0 && (size_t)size < sizeof checkpoint->path
               ? TARN_OK
               : tarn__fail(
                     error, TARN_INVALID_ARGUMENT, "the path %.200s... is too long", where->job);
}

tarn_status tarn__checkpoint_open_at(
    const tarn__storage_options *how,
    const tarn_allocator *allocator,
    tarn_checkpoint **out,
    tarn_error *error)
{
    const char *address = how->address;
    if (address == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", address == NULL ? "address" : "out");
    }
    place where;
    TARN_TRY(resolve_any(address, &where, error));
    if (allocator == NULL) {
        allocator = tarn_allocator_default();
    }
    /* From below the account, which lives inside. */
    tarn_checkpoint *checkpoint = allocator->allocate(sizeof *checkpoint, allocator->context);
    if (checkpoint == NULL) {
        return tarn__fail_no_memory(error, "a checkpoint", sizeof *checkpoint);
    }
    memset(checkpoint, 0, sizeof *checkpoint);
    tarn__account_init(&checkpoint->account, "checkpoint", allocator);
    tarn__arena_init(&checkpoint->metadata.arena, &checkpoint->account);
    const tarn_status status = read_checkpoint(checkpoint, &where, how, error);
    if (status != TARN_OK) {
        tarn_checkpoint_free(checkpoint);
        return status;
    }
    *out = checkpoint;
    return TARN_OK;
}

tarn_status tarn__checkpoint_open(
    const char *address,
    const tarn_allocator *allocator,
    const tarn__file_calls *calls,
    tarn_checkpoint **out,
    tarn_error *error)
{
    const tarn__storage_options how = {.address = address, .calls = calls};
    return tarn__checkpoint_open_at(&how, allocator, out, error);
}

tarn_status tarn_checkpoint_open_in(
    tarn_env *env,
    const char *address,
    const tarn_allocator *allocator,
    tarn_checkpoint **out,
    tarn_error *error)
{
    if (env == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "env is missing");
    }
    tarn__storage_options how;
    TARN_TRY(tarn__env_storage(env, address, &how, error));
    return tarn__checkpoint_open_at(&how, allocator, out, error);
}

tarn_status tarn_checkpoint_open(
    const char *address, const tarn_allocator *allocator, tarn_checkpoint **out, tarn_error *error)
{
    return tarn__checkpoint_open(address, allocator, NULL, out, error);
}

void tarn_checkpoint_free(tarn_checkpoint *checkpoint)
{
    if (checkpoint == NULL) {
        return;
    }
    tarn__metadata_clear(&checkpoint->metadata);
    tarn__storage_free(checkpoint->storage);
    const tarn_allocator *allocator = checkpoint->account.below;
    allocator->release(checkpoint, allocator->context);
}

tarn_checkpoint_summary tarn_checkpoint_summarize(const tarn_checkpoint *checkpoint)
{
    return checkpoint->summary;
}

const char *tarn_checkpoint_job(const tarn_checkpoint *checkpoint)
{
    return checkpoint->metadata.head.job;
}

const char *tarn_checkpoint_path(const tarn_checkpoint *checkpoint)
{
    return checkpoint->path;
}

static const tarn__subtask *subtask_at(const tarn_checkpoint *checkpoint, uint32_t index)
{
    assert(index < checkpoint->metadata.subtask_count);
    return &checkpoint->metadata.subtasks[index];
}

tarn_checkpoint_subtask tarn_checkpoint_subtask_at(
    const tarn_checkpoint *checkpoint, uint32_t index)
{
    const tarn__subtask *subtask = subtask_at(checkpoint, index);
    return (tarn_checkpoint_subtask){
        .operator_name = subtask->operator_name,
        .subtask_index = subtask->subtask_index,
        .parallelism = subtask->parallelism,
        .has_keyed_state = subtask->has_keyed_state,
        .key_hash = subtask->key_hash,
        .max_parallelism = subtask->max_parallelism,
        .key_groups = subtask->key_groups,
        .state_count = subtask->state_count,
        .file_count = subtask->file_count,
        .operator_state_count = subtask->piece_count,
        .total_bytes = tarn__subtask_bytes(subtask),
    };
}

static int compare_subtasks(const void *a, const void *b)
{
    return tarn__subtask_compare(a, b);
}

tarn_status tarn_checkpoint_find_subtask(
    const tarn_checkpoint *checkpoint,
    const char *operator_name,
    uint32_t subtask_index,
    uint32_t *index_out)
{
    const tarn__metadata *metadata = &checkpoint->metadata;
    const tarn__subtask wanted = {.operator_name = operator_name, .subtask_index = subtask_index};
    const tarn__subtask *found = metadata->subtask_count > 0 ? bsearch(
                                                                   &wanted,
                                                                   metadata->subtasks,
                                                                   metadata->subtask_count,
                                                                   sizeof wanted,
                                                                   compare_subtasks)
                                                             : NULL;
    if (found == NULL) {
        return TARN_NOT_FOUND;
    }
    *index_out = (uint32_t)(found - metadata->subtasks);
    return TARN_OK;
}

tarn_checkpoint_state tarn_checkpoint_state_at(
    const tarn_checkpoint *checkpoint, uint32_t index, uint32_t state)
{
    const tarn__subtask *subtask = subtask_at(checkpoint, index);
    assert(state < subtask->state_count);
    const tarn__state_part *part = &subtask->states[state];
    return (tarn_checkpoint_state){
        .name = part->name,
        .kind = part->kind,
        .codec_name = part->codec_name,
        .codec_version = part->codec_version,
    };
}

tarn_checkpoint_file tarn_checkpoint_file_at(
    const tarn_checkpoint *checkpoint, uint32_t index, uint32_t file)
{
    const tarn__subtask *subtask = subtask_at(checkpoint, index);
    assert(file < subtask->file_count);
    const tarn__file_part *part = &subtask->files[file];
    return (tarn_checkpoint_file){
        .operator_name = subtask->operator_name,
        .subtask_index = subtask->subtask_index,
        .local_name = part->local_name,
        .path = part->path,
        .is_shared = part->is_shared,
        .size = part->content.size,
        .digest = part->digest_text,
        .is_packed = part->place.is_packed,
        .offset = part->place.offset,
        .is_inline = part->is_inline,
        .codec = tarn__codec_name((tarn__codec)part->codec),
        .stored_size = tarn__file_stored_size(part),
    };
}

tarn_checkpoint_operator_state tarn_checkpoint_operator_state_at(
    const tarn_checkpoint *checkpoint, uint32_t index, uint32_t state)
{
    const tarn__subtask *subtask = subtask_at(checkpoint, index);
    assert(state < subtask->piece_count);
    return (tarn_checkpoint_operator_state){
        .name = subtask->pieces[state].name,
        .bytes = subtask->pieces[state].bytes,
    };
}
