/* claim.c - see claim.h. */
#include "snapshot/claim.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/claim.h"
#include "tarn/savepoint.h"

#include "base/try.h"
#include "snapshot/claim_import.h"
#include "snapshot/tree.h"

/* ---- records in the directory ----------------------------------------------------------- */

tarn_status tarn__claim_read(
    tarn_storage *storage,
    const char *name,
    tarn__arena *arena,
    tarn__claim *out,
    tarn_error *error)
{
    tarn_storage_info info;
    TARN_TRY(tarn__storage_stat(storage, name, &info, error));
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &arena->account->face};
    tarn_status status = TARN_CORRUPTION;
    if (info.size > TARN__CLAIM_BYTES_MAX) {
        tarn__fail(error, status, "it has %" PRIu64 " bytes", info.size);
    } else if (tarn_buffer_reserve(&bytes, (size_t)info.size + 1) != TARN_OK) {
        return tarn__fail_no_memory(error, "a claim", (size_t)info.size + 1);
    } else {
        status = tarn__storage_read(
            storage, name, 0, bytes.data, (size_t)info.size + 1, &bytes.size, error);
    }
    if (status == TARN_OK) {
        status = tarn__claim_decode(tarn_buffer_bytes(&bytes), arena, out, error);
    }
    if (status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED) {
        tarn__error_prefix(error, "%.300s/%s", storage->address, name);
    }
    return status;
}

static tarn_status write_record(
    tarn_checkpoint_store *store, const tarn__claim *claim, tarn_error *error)
{
    char name[TARN__CLAIM_NAME_BYTES];
    tarn__claim_name(claim->id, name);
    TARN_AUTO(tarn_buffer_clear)
    tarn_buffer bytes = {.allocator = &store->options.account->face};
    TARN_TRY(tarn__claim_encode(claim, &bytes, error));
    return tarn__storage_write(store->storage, name, 0, tarn_buffer_bytes(&bytes), error);
}

tarn_status tarn__claim_forget(tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    char name[TARN__CLAIM_NAME_BYTES];
    tarn__claim_name(id, name);
    const char *const names[] = {name};
    return tarn__storage_remove(store->storage, names, 1, error);
}

/* ---- opening ---------------------------------------------------------------------------- */

static tarn__retained *find_claimed(tarn_checkpoint_store *store, const char *address)
{
    tarn__retained *r = store->retained;
    while (r != NULL && (r->address[0] == '\0' || strcmp(r->address, address) != 0)) {
        r = r->next;
    }
    return r;
}

/* A record with room for the contents and a copy of the address, but none of the references. */
static tarn__retained *new_record(tarn_checkpoint_store *store, const tarn__claim *claim)
{
    tarn__retained *record = tarn__retained_new(store->options.account, claim->id, claim->count);
    char *address = tarn__allocate(store->options.account, strlen(claim->address) + 1);
    if (record == NULL || address == NULL) {
        tarn__release(record);
        tarn__release(address);
        return NULL;
    }
    memcpy(address, claim->address, strlen(claim->address) + 1);
    record->own_address = address;
    record->address = address;
    record->is_claimed_savepoint = claim->kind == TARN__CLAIM_SAVEPOINT;
    return record;
}

/* A file that is here is referenced; one that is not was never taken over, or not finished. */
static tarn_status ref_present(
    tarn_checkpoint_store *store,
    tarn__retained *record,
    const tarn__content *content,
    tarn_error *error)
{
    char name[TARN__CONTENT_NAME_BYTES];
    tarn_storage_info info;
    tarn__content_name(content, name);
    const tarn_status status = tarn__storage_stat(store->storage, name, &info, error);
    if (status == TARN_MISSING || (status == TARN_OK && info.size != content->size)) {
        return TARN_OK;
    }
    TARN_TRY(status);
    bool is_present = false;
    TARN_TRY(tarn__store_ref(store, content, &is_present, error));
    tarn__store_confirm(store, content);
    record->contents[record->count++] = *content;
    return TARN_OK;
}

static tarn_status adopt_claim(
    tarn_checkpoint_store *store, const tarn__claim *claim, tarn_error *error)
{
    if (claim->kind == TARN__CLAIM_PIN) {
        tarn__retained *own = tarn__store_find_own(store, claim->id);
        if (own != NULL) {
            own->is_pinned = true;
            return TARN_OK;
        }
        return tarn__claim_forget(store, claim->id, error); /* Its owner has deleted it. */
    }
    tarn__retained *record = new_record(store, claim);
    if (record == NULL) {
        return tarn__fail_no_memory(error, "a claimed checkpoint", claim->count);
    }
    tarn__retained *twin = tarn__store_find_own(store, claim->id);
    if (twin != NULL) {
        twin->is_refused = true; /* It came after the claim, by a commit that was under way. */
    }
    tarn__store_retain(store, record); /* Goes with the store, should this fail. */
    store->highest_id = claim->id > store->highest_id ? claim->id : store->highest_id;
    for (uint32_t i = 0; i < claim->count; i++) {
        TARN_TRY(ref_present(store, record, &claim->contents[i], error));
    }
    return TARN_OK;
}

static tarn_status adopt_file(
    tarn_checkpoint_store *store, tarn__arena *arena, const char *name, tarn_error *error)
{
    tarn__claim claim;
    tarn_error reason;
    const tarn_status read = tarn__claim_read(store->storage, name, arena, &claim, &reason);
    if (tarn__is_of_memory(read)) {
        return tarn__fail(error, read, "%s", reason.message);
    }
    if (read != TARN_OK && read != TARN_MISSING) {
        store->keeps_shared = true;
        tarn__store_log(
            store, "a claim cannot be read; every shared file is kept: %s", reason.message);
        return TARN_OK;
    }
    return read == TARN_OK ? adopt_claim(store, &claim, error) : TARN_OK;
}

tarn_status tarn__claims_adopt(tarn_checkpoint_store *store, tarn_error *error)
{
    tarn__tree tree;
    TARN_TRY(tarn__tree_list(
        store->storage, store->options.account, TARN__CLAIMS_DIRECTORY, &tree, error));
    tarn__arena arena;
    tarn__arena_init(&arena, store->options.account);
    tarn_status status = TARN_OK;
    for (const tarn__tree_file *file = tree.files; status == TARN_OK && file != NULL;
         file = file->next) {
        status = adopt_file(store, &arena, file->name, error);
    }
    tarn__arena_clear(&arena);
    tarn__tree_clear(&tree);
    return status;
}

/* ---- claiming --------------------------------------------------------------------------- */

tarn_status tarn_claim_mode_from_config(
    const tarn_config *config, tarn_claim_mode *out, tarn_error *error)
{
    static const tarn_claim_mode modes[] = {TARN_CLAIM_MODE_CLAIM, TARN_CLAIM_MODE_NO_CLAIM};
    int choice = 0;
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    TARN_TRY(
        tarn_config_get_enum(config, "execution.state-recovery.claim-mode", &choice, NULL, error));
    if (choice >= (int)(sizeof modes / sizeof modes[0])) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "execution.state-recovery.claim-mode is LEGACY, in which nobody may delete the "
            "checkpoint although others build upon it; use CLAIM to take it over, or NO_CLAIM to "
            "leave it alone");
    }
    *out = modes[choice];
    return TARN_OK;
}

/* Compares where two storages are; directories by what their paths resolve to. */
static bool is_same_place(const char *a, const char *b)
{
    const char *path_a = NULL;
    const char *path_b = NULL;
    if (!tarn__storage_is_local(a) || !tarn__storage_is_local(b) ||
        tarn__storage_path_of(a, &path_a, NULL) != TARN_OK ||
        tarn__storage_path_of(b, &path_b, NULL) != TARN_OK) {
        return strcmp(a, b) == 0;
    }
    char real_a[PATH_MAX];
    char real_b[PATH_MAX];
    return realpath(path_a, real_a) != NULL && realpath(path_b, real_b) != NULL &&
           strcmp(real_a, real_b) == 0;
}

bool tarn__store_has(const tarn_checkpoint_store *store, const tarn_checkpoint *checkpoint)
{
    return checkpoint->summary.form == TARN_FORM_INCREMENTAL &&
           is_same_place(checkpoint->storage->address, store->storage->address);
}

/* A checkpoint of the store's own directory: it is the store's, or is pinned. */
static tarn_status claim_own(
    tarn_checkpoint_store *store, uint64_t id, tarn_claim_mode mode, tarn_error *error)
{
    const bool is_claimed = mode == TARN_CLAIM_MODE_CLAIM;
    pthread_mutex_lock(&store->mutex);
    const tarn__retained *own = tarn__store_find_own(store, id);
    const bool is_there = own != NULL && !own->is_surplus;
    const bool is_pinned = own != NULL && own->is_pinned;
    pthread_mutex_unlock(&store->mutex);
    if (!is_there) {
        return tarn__fail(
            error,
            TARN_MISSING,
            "the store of %.300s has no checkpoint %" PRIu64 " any more",
            store->storage->address,
            id);
    }
    if (mode == TARN_CLAIM_MODE_KEEP || is_pinned == !is_claimed) {
        return TARN_OK;
    }
    if (is_claimed) {
        TARN_TRY(tarn__claim_forget(store, id, error));
    } else {
        const tarn__claim pin = {.kind = TARN__CLAIM_PIN, .id = id, .address = ""};
        TARN_TRY(write_record(store, &pin, error));
    }
    pthread_mutex_lock(&store->mutex);
    tarn__retained *record = tarn__store_find_own(store, id);
    if (record != NULL) {
        record->is_pinned = !is_claimed;
    }
    pthread_mutex_unlock(&store->mutex);
    return TARN_OK;
}

static void retain(tarn_checkpoint_store *store, tarn__retained *record)
{
    pthread_mutex_lock(&store->mutex);
    tarn__store_retain(store, record);
    store->highest_id = record->id > store->highest_id ? record->id : store->highest_id;
    pthread_mutex_unlock(&store->mutex);
}

/* What is not claimed is remembered as what the job came from, and that only in memory. */
static tarn_status leave_alone(
    tarn_checkpoint_store *store, const tarn__claim *claim, tarn_error *error)
{
    if (tarn__store_newest(store) >= claim->id) {
        return TARN_OK; /* What the job goes on from has been overtaken here. */
    }
    const tarn__claim bare = {.kind = claim->kind, .id = claim->id, .address = claim->address};
    tarn__retained *record = new_record(store, &bare);
    if (record == NULL) {
        return tarn__fail_no_memory(error, "a restored checkpoint", strlen(claim->address));
    }
    record->is_pinned = true;
    retain(store, record);
    return TARN_OK;
}

/*
 * Answers the checkpoint of the directory that is in the way of a claim; 0: none is. One that was
 * refused is only if it has the number: both would be listed by it when the store is opened again,
 * as nothing tells of the refusal then.
 */
static uint64_t find_obstacle(tarn_checkpoint_store *store, uint64_t claimed_id)
{
    pthread_mutex_lock(&store->mutex);
    const bool has_number = tarn__store_find_own(store, claimed_id) != NULL;
    pthread_mutex_unlock(&store->mutex);
    const uint64_t newest = tarn__store_newest(store);
    return newest >= claimed_id ? newest : has_number ? claimed_id : 0;
}

static tarn_status take_over(
    tarn_checkpoint_store *store,
    const tarn_checkpoint *checkpoint,
    const tarn__claim *claim,
    tarn_error *error)
{
    const uint64_t obstacle = find_obstacle(store, claim->id);
    if (obstacle > 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%.200s has checkpoint %" PRIu64 " of its own, which is not older than %.200s; claim "
            "it into a directory without newer ones, remove that one first, or do not claim it",
            store->storage->address,
            obstacle,
            claim->address);
    }
    if (claim->kind == TARN__CLAIM_CHECKPOINT) {
        TARN_TRY(tarn__import_check_idle(checkpoint->storage, error));
    }
    tarn__retained *record = new_record(store, claim);
    if (record == NULL) {
        return tarn__fail_no_memory(error, "a claimed checkpoint", claim->count);
    }
    tarn_status status = write_record(store, claim, error);
    if (status == TARN_OK) {
        status = tarn__import_all(store, checkpoint->storage, claim, record, error);
    }
    if (status != TARN_OK) {
        /* Should the record stay, then the claim does: it is made whole by claiming again. */
        (void)!tarn__claim_forget(store, claim->id, NULL);
        tarn__store_unref(store, record->contents, record->count);
        tarn__retained_free(record);
        tarn__store_clean(store);
        return status;
    }
    retain(store, record);
    return TARN_OK;
}

static bool is_any_doubted(tarn_checkpoint_store *store, const tarn__retained *record)
{
    for (uint32_t i = 0; i < record->count; i++) {
        if (tarn__store_is_doubted(store, &record->contents[i])) {
            return true;
        }
    }
    return false;
}

/* A claim of an earlier process, or of this one: what it did not take over then is now, and what a
 * refused checkpoint names as well is brought anew. */
static tarn_status claim_again(
    tarn_checkpoint_store *store,
    const tarn_checkpoint *checkpoint,
    const tarn__claim *claim,
    tarn__retained *before,
    tarn_error *error)
{
    if (before->is_pinned || (before->count == claim->count && !is_any_doubted(store, before))) {
        return TARN_OK;
    }
    tarn__retained *record = new_record(store, claim);
    if (record == NULL) {
        return tarn__fail_no_memory(error, "a claimed checkpoint", claim->count);
    }
    const tarn_status status = tarn__import_all(store, checkpoint->storage, claim, record, error);
    if (status != TARN_OK) {
        tarn__store_unref(store, record->contents, record->count);
        tarn__retained_free(record);
        return status;
    }
    pthread_mutex_lock(&store->mutex);
    tarn__retained **place = &store->retained;
    while (*place != before) {
        place = &(*place)->next;
    }
    record->next = before->next;
    *place = record;
    pthread_mutex_unlock(&store->mutex);
    tarn__store_unref(store, before->contents, before->count);
    tarn__retained_free(before);
    return TARN_OK;
}

static tarn_status claim_foreign(
    tarn_checkpoint_store *store,
    const tarn_checkpoint *checkpoint,
    bool is_claimed,
    tarn_error *error)
{
    tarn__claim claim = {
        .kind = checkpoint->summary.form == TARN_FORM_INCREMENTAL ? TARN__CLAIM_CHECKPOINT
                                                                  : TARN__CLAIM_SAVEPOINT,
        .id = checkpoint->summary.id,
        .address = checkpoint->path,
    };
    pthread_mutex_lock(&store->mutex);
    tarn__retained *before = find_claimed(store, claim.address);
    pthread_mutex_unlock(&store->mutex);
    if (before != NULL && before->is_pinned == is_claimed) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%.300s was %s already, which cannot be taken back",
            claim.address,
            is_claimed ? "left alone" : "claimed");
    }
    tarn__arena arena;
    tarn__arena_init(&arena, store->options.account);
    tarn_status status = TARN_OK;
    if (is_claimed) {
        status = tarn__import_list(&checkpoint->metadata, &arena, &claim, error);
    }
    if (status == TARN_OK && before != NULL) {
        status = claim_again(store, checkpoint, &claim, before, error);
    } else if (status == TARN_OK) {
        status = is_claimed ? take_over(store, checkpoint, &claim, error)
                            : leave_alone(store, &claim, error);
    }
    tarn__arena_clear(&arena);
    return status;
}

tarn_status tarn_checkpoint_claim(
    tarn_checkpoint_store *store,
    const tarn_checkpoint *checkpoint,
    tarn_claim_mode mode,
    tarn_error *error)
{
    if (store == NULL || checkpoint == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", store == NULL ? "store" : "checkpoint");
    }
    if (mode != TARN_CLAIM_MODE_DEFAULT && mode != TARN_CLAIM_MODE_NO_CLAIM &&
        mode != TARN_CLAIM_MODE_CLAIM && mode != TARN_CLAIM_MODE_KEEP) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "there is no claim mode %d", (int)mode);
    }
    if (tarn__store_has(store, checkpoint)) {
        return claim_own(store, checkpoint->summary.id, mode, error);
    }
    if (mode == TARN_CLAIM_MODE_KEEP) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%.200s is no checkpoint of %.200s: say whether it is claimed",
            checkpoint->path,
            store->storage->address);
    }
    return claim_foreign(store, checkpoint, mode == TARN_CLAIM_MODE_CLAIM, error);
}

/* ---- releasing -------------------------------------------------------------------------- */

static tarn_status open_there(
    tarn_checkpoint_store *store, const char *address, tarn_storage **out, tarn_error *error)
{
    tarn__storage_options options = store->options.remote;
    options.address = address;
    options.account = store->options.account;
    options.calls = store->options.calls;
    options.must_exist = true;
    return tarn__storage_open(&options, out, error);
}

/* _metadata goes first; then what it named, and nothing else that somebody keeps there. */
static tarn_status remove_named(
    tarn_checkpoint_store *store,
    tarn_storage *storage,
    const tarn__metadata *metadata,
    tarn_error *error)
{
    static const char *const first[] = {TARN__METADATA_NAME};
    TARN_TRY(tarn__storage_remove(storage, first, 1, error));
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        const tarn__subtask *subtask = &metadata->subtasks[i];
        for (uint32_t j = 0; j < subtask->file_count; j++) {
            const char *const names[] = {subtask->files[j].path};
            if (!subtask->files[j].is_inline) {
                TARN_TRY(tarn__storage_remove(storage, names, 1, error));
            }
        }
    }
    tarn__tree_remove_root(storage, store->options.calls);
    return TARN_OK;
}

static tarn_status remove_savepoint(
    tarn_checkpoint_store *store, const char *address, tarn_error *error)
{
    tarn_storage *storage = NULL;
    const tarn_status opened = open_there(store, address, &storage, error);
    if (opened == TARN_MISSING) {
        return TARN_OK;
    }
    TARN_TRY(opened);
    tarn__metadata metadata;
    tarn_status status =
        tarn__savepoint_read_metadata(storage, store->options.account, &metadata, error);
    if (status == TARN_OK) {
        status = remove_named(store, storage, &metadata, error);
        tarn__metadata_clear(&metadata);
    }
    tarn__storage_free(storage);
    return status == TARN_MISSING ? TARN_OK : status;
}

/* By a store of the other directory, which knows what else there names its files. */
static tarn_status remove_checkpoint(
    tarn_checkpoint_store *store, const tarn__retained *record, tarn_error *error)
{
    char job[TARN__CHECKPOINT_PATH_BYTES];
    snprintf(job, sizeof job, "%s", record->address);
    char *chk = strrchr(job, '/');
    if (chk == NULL) {
        return TARN_OK;
    }
    *chk = '\0';
    tarn_storage *storage = NULL;
    const tarn_status opened = open_there(store, job, &storage, error);
    if (opened == TARN_MISSING) {
        return TARN_OK;
    }
    TARN_TRY(opened);
    const tarn__store_options options = {
        .address = job,
        .job = "claimed",
        .retained_count = UINT32_MAX,
        .account = store->options.account,
        .clock = store->options.clock,
        .calls = store->options.calls,
        .remote = store->options.remote,
        .storage = storage,
        .is_guest = true,
        .log = store->options.log,
        .log_context = store->options.log_context,
    };
    tarn_checkpoint_store *other = NULL;
    tarn_status status = tarn__store_open(&options, &other, error);
    if (status != TARN_OK) {
        tarn__storage_free(storage);
        return status;
    }
    /* First its _metadata, so that it is gone for certain; the rest may be found as garbage. */
    status = tarn__store_remove_metadata(other, record->id, error);
    if (status == TARN_OK) {
        tarn__store_discard(other, record->id);
        status = tarn__store_remove_directory(other, record->id, error);
    }
    tarn__store_free(other);
    return status;
}

tarn_status tarn__claim_release(
    tarn_checkpoint_store *store, const tarn__retained *record, tarn_error *error)
{
    TARN_TRY(
        record->is_claimed_savepoint ? remove_savepoint(store, record->address, error)
                                     : remove_checkpoint(store, record, error));
    return tarn__claim_forget(store, record->id, error);
}
