/* metadata_check.c - what a subtask's part of a checkpoint must be like, on either side. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/backend.h"

#include "base/try.h"
#include "snapshot/metadata.h"
#include "snapshot/metadata_format.h"
#include "storage/name.h"

static int compare_states(const void *a, const void *b)
{
    return strcmp(((const tarn__state_part *)a)->name, ((const tarn__state_part *)b)->name);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(
        ((const tarn__file_part *)a)->local_name, ((const tarn__file_part *)b)->local_name);
}

static int compare_pieces(const void *a, const void *b)
{
    return strcmp(((const tarn__piece_part *)a)->name, ((const tarn__piece_part *)b)->name);
}

void tarn__subtask_sort(tarn__subtask *subtask)
{
    if (subtask->state_count > 1) {
        qsort(subtask->states, subtask->state_count, sizeof *subtask->states, compare_states);
    }
    if (subtask->file_count > 1) {
        qsort(subtask->files, subtask->file_count, sizeof *subtask->files, compare_files);
    }
    if (subtask->piece_count > 1) {
        qsort(subtask->pieces, subtask->piece_count, sizeof *subtask->pieces, compare_pieces);
    }
}

int tarn__subtask_compare(const tarn__subtask *a, const tarn__subtask *b)
{
    const int order = strcmp(a->operator_name, b->operator_name);
    if (order != 0) {
        return order;
    }
    return (a->subtask_index > b->subtask_index) - (a->subtask_index < b->subtask_index);
}

uint64_t tarn__subtask_bytes(const tarn__subtask *subtask)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        bytes += subtask->files[i].content.size;
    }
    for (uint32_t i = 0; i < subtask->piece_count; i++) {
        bytes += subtask->pieces[i].bytes.size;
    }
    return bytes;
}

static tarn_status refuse(tarn_error *error, const char *what, const char *name, const char *why)
{
    return tarn__fail(error, TARN_INVALID_ARGUMENT, "%s \"%.255s\" %s", what, name, why);
}

static tarn_status check_name(
    const char *name, size_t size_min, const char *what, tarn_error *error)
{
    const size_t size = strlen(name);
    if (size < size_min || size > TARN__METADATA_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s has %zu bytes, allowed are %zu to %d",
            what,
            size,
            size_min,
            TARN__METADATA_NAME_BYTES_MAX);
    }
    return TARN_OK;
}

/* NULL before: the first one. */
static tarn_status check_order(
    const char *before, const char *name, const char *what, tarn_error *error)
{
    if (before == NULL || strcmp(before, name) < 0) {
        return TARN_OK;
    }
    return refuse(
        error, what, name, strcmp(before, name) == 0 ? "is there twice" : "is not in its order");
}

static tarn_status check_states(const tarn__subtask *subtask, tarn_error *error)
{
    for (uint32_t i = 0; i < subtask->state_count; i++) {
        const tarn__state_part *state = &subtask->states[i];
        TARN_TRY(check_name(state->name, 1, "the name of a state", error));
        TARN_TRY(check_name(state->kind, 1, "the kind of a state", error));
        TARN_TRY(check_name(state->codec_name, 0, "the codec of a state", error));
        TARN_TRY(
            check_order(i > 0 ? subtask->states[i - 1].name : NULL, state->name, "state", error));
    }
    return TARN_OK;
}

static bool is_inside(const tarn__file_part *file)
{
    const tarn__place *place = &file->place;
    return !place->is_packed ||
           (place->segment.size <= (uint64_t)INT64_MAX && place->offset <= place->segment.size &&
            tarn__file_stored_size(file) <= place->segment.size - place->offset);
}

/* NULL: it is right. What is shared is named by content, and so it is stored as it is. */
static const char *check_compressed(const tarn__file_part *file)
{
    if (file->codec == TARN__CODEC_NONE) {
        return NULL;
    }
    if (file->codec != TARN__CODEC_ZSTD && file->codec != TARN__CODEC_LZ4) {
        return "has a codec that there is not";
    }
    if (file->is_shared) {
        return "is shared, but compressed";
    }
    return file->compressed_size <= (uint64_t)INT64_MAX &&
                   file->compressed_size >= TARN__FRAMES_HEADER_BYTES + TARN__FRAME_HEAD_BYTES
               ? NULL
               : "has an impossible compressed size";
}

static const char *check_inline(const tarn__file_part *file)
{
    if (file->is_shared || file->place.is_packed || file->path[0] != '\0') {
        return "is inline, but has a place elsewhere";
    }
    if (file->inlined.size != tarn__file_stored_size(file) ||
        file->inlined.size > TARN__METADATA_INLINE_BYTES_MAX) {
        return "has an impossible size for an inline file";
    }
    if (file->codec != TARN__CODEC_NONE) {
        return NULL; /* Its frames have checks, and its content is compared when it is used. */
    }
    const tarn__digest digest = tarn__digest_of(file->inlined);
    return tarn__digest_is_equal(&digest, &file->content.digest)
               ? NULL
               : "is inline, and its digest does not match";
}

static tarn_status check_storing(const tarn__file_part *file, tarn_error *error)
{
    const char *problem = check_compressed(file);
    if (problem == NULL && file->is_inline) {
        problem = check_inline(file);
    }
    if (problem != NULL) {
        return refuse(error, "file", file->local_name, problem);
    }
    if (!file->is_inline && !tarn__storage_is_name(tarn_bytes_of(file->path))) {
        return refuse(error, "path", file->path, "does not stay below the directory of the job");
    }
    return is_inside(file)
               ? TARN_OK
               : refuse(error, "file", file->local_name, "is not inside of what it is packed in");
}

static tarn_status check_files(const tarn__subtask *subtask, tarn_error *error)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn__file_part *file = &subtask->files[i];
        if (!tarn__storage_is_name(tarn_bytes_of(file->local_name)) ||
            strchr(file->local_name, '/') != NULL) {
            return refuse(error, "local file name", file->local_name, "is no name of a file");
        }
        if (file->content.size > (uint64_t)INT64_MAX - total) {
            return refuse(error, "file", file->local_name, "has an impossible size");
        }
        total += file->content.size;
        TARN_TRY(check_storing(file, error));
        TARN_TRY(check_order(
            i > 0 ? subtask->files[i - 1].local_name : NULL, file->local_name, "file", error));
    }
    return TARN_OK;
}

static tarn_status check_pieces(const tarn__subtask *subtask, tarn_error *error)
{
    for (uint32_t i = 0; i < subtask->piece_count; i++) {
        const tarn__piece_part *piece = &subtask->pieces[i];
        TARN_TRY(check_name(piece->name, 1, "the name of a piece of operator state", error));
        TARN_TRY(check_order(
            i > 0 ? subtask->pieces[i - 1].name : NULL, piece->name, "operator state", error));
        if (piece->bytes.size > TARN__METADATA_PIECE_BYTES_MAX) {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                "operator state \"%s\" has %zu bytes, %d are the limit",
                piece->name,
                piece->bytes.size,
                TARN__METADATA_PIECE_BYTES_MAX);
        }
    }
    return TARN_OK;
}

static tarn_status check_keyed(const tarn__subtask *subtask, tarn_error *error)
{
    const tarn_key_group_range groups = subtask->key_groups;
    if (!subtask->has_keyed_state) {
        const bool is_clean = subtask->key_hash == 0 && subtask->max_parallelism == 0 &&
                              groups.first == 0 && groups.last == 0 && subtask->state_count == 0 &&
                              subtask->file_count == 0;
        return is_clean ? TARN_OK
                        : refuse(
                              error,
                              "operator",
                              subtask->operator_name,
                              "has no keyed state, but parts of it");
    }
    if (subtask->max_parallelism > TARN_MAX_PARALLELISM_LIMIT || groups.first > groups.last ||
        groups.last >= subtask->max_parallelism) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "operator \"%s\" has key groups %u to %u of %u; at most %u groups, in order, are "
            "possible",
            subtask->operator_name,
            groups.first,
            groups.last,
            subtask->max_parallelism,
            TARN_MAX_PARALLELISM_LIMIT);
    }
    return TARN_OK;
}

tarn_status tarn__subtask_check(const tarn__subtask *subtask, tarn_error *error)
{
    TARN_TRY(check_name(subtask->operator_name, 1, "the name of an operator", error));
    if (subtask->parallelism == 0 || subtask->parallelism > TARN_MAX_PARALLELISM_LIMIT ||
        subtask->subtask_index >= subtask->parallelism) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "operator \"%s\" has subtask %" PRIu32 " of %" PRIu32 "; at most %u are possible",
            subtask->operator_name,
            subtask->subtask_index,
            subtask->parallelism,
            TARN_MAX_PARALLELISM_LIMIT);
    }
    TARN_TRY(check_keyed(subtask, error));
    TARN_TRY(check_states(subtask, error));
    TARN_TRY(check_files(subtask, error));
    return check_pieces(subtask, error);
}

const char *tarn__key_hash_name(uint32_t key_hash)
{
    switch ((tarn_key_hash)key_hash) {
    case TARN_KEY_HASH_BYTES:
        return "Tarn's byte hash";
    case TARN_KEY_HASH_JAVA_STRING:
        return "Java's String hash";
    case TARN_KEY_HASH_JAVA_INT:
        return "Java's int hash";
    case TARN_KEY_HASH_JAVA_LONG:
        return "Java's long hash";
    case TARN_KEY_HASH_JAVA_BYTES:
        return "Java's byte[] hash";
    case TARN_KEY_HASH_CALLER:
        return "the caller's hash";
    }
    return "an unknown hash";
}

tarn_status tarn__subtask_check_pair(
    const tarn__subtask *before, const tarn__subtask *after, tarn_error *error)
{
    if (strcmp(before->operator_name, after->operator_name) == 0) {
        if (before->parallelism != after->parallelism) {
            return tarn__fail(
                error,
                TARN_INCOMPATIBLE,
                "operator \"%s\": subtask %" PRIu32 " has parallelism %" PRIu32 ", subtask %" PRIu32
                " has %" PRIu32,
                after->operator_name,
                before->subtask_index,
                before->parallelism,
                after->subtask_index,
                after->parallelism);
        }
        if (before->max_parallelism != after->max_parallelism) {
            return tarn__fail(
                error,
                TARN_INCOMPATIBLE,
                "operator \"%s\": subtask %" PRIu32 " has maximum parallelism %" PRIu32
                ", subtask %" PRIu32 " has %" PRIu32,
                after->operator_name,
                before->subtask_index,
                before->max_parallelism,
                after->subtask_index,
                after->max_parallelism);
        }
        if (before->key_hash != after->key_hash) {
            return tarn__fail(
                error,
                TARN_INCOMPATIBLE,
                "operator \"%s\": subtask %" PRIu32 " has %s, subtask %" PRIu32 " has %s",
                after->operator_name,
                before->subtask_index,
                tarn__key_hash_name(before->key_hash),
                after->subtask_index,
                tarn__key_hash_name(after->key_hash));
        }
    }
    if (tarn__subtask_compare(before, after) >= 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "subtask %" PRIu32 " of operator \"%s\" is there twice or not in its order",
            after->subtask_index,
            after->operator_name);
    }
    return TARN_OK;
}
