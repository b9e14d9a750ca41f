/*
 * predecessor.c - what the process before this one left: checkpoints, and commits that may still
 * come.
 *
 *     listed, with _metadata         adopted
 *     listed, without                the mark (commit_end.c) takes the name, if that is free
 *         taken                      a checkpoint of that number will never be
 *         not free                   it has come meanwhile, and is adopted
 *         no answer, or an odd one   a doubt: no shared file is deleted
 *     not listed, between others,    the same
 *         behind one that is
 *     not listed, after the newest   inherited: no shared file is deleted before a checkpoint of
 *                                    this process, or the mark, has that name
 *
 * A process that died with the request under way that makes its _metadata visible may have a
 * checkpoint after the next one has begun to delete what it names. What lies in a local directory
 * is there when the process is gone, and needs none of this. A store that only deletes in another
 * job's directory takes no name: its owner may be about to commit.
 *
 * A checkpoint whose private files are all in its _metadata leaves no trace before. Hence no commit
 * is sent unless something of its number is listed, or it is the only one under way and has the
 * number behind the newest that is listed: else (the one before was given up, or others are under
 * way) an object of its own goes first, and is removed behind it. So what a listing does not tell
 * is the number behind one that it does tell. That costs nothing as long as the first checkpoint of
 * a process succeeds: it has that number itself.
 *
 * Invariant: whatever arrives under such a number, all that it names is there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "snapshot/claim.h"
#include "snapshot/store_private.h"

/* --- Checkpoints that are there --- */

/* Takes the references of a checkpoint that an earlier process committed. */
static tarn_status adopt_metadata(
    tarn_checkpoint_store *store, const tarn__metadata *metadata, tarn_error *error)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        count += tarn__subtask_shared_count(&metadata->subtasks[i]);
    }
    tarn__retained *record =
        tarn__retained_new(store->options.account, metadata->head.checkpoint_id, count);
    if (record == NULL) {
        return tarn__fail_no_memory(error, "a retained checkpoint", (size_t)count);
    }
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        tarn__retained_add(record, &metadata->subtasks[i]);
    }
    for (uint32_t i = 0; i < record->count; i++) {
        tarn__content_state before = TARN__CONTENT_ABSENT;
        const tarn_status status =
            tarn__registry_ref(&store->registry, &record->contents[i], &before, error);
        if (status != TARN_OK) {
            tarn__release(record); /* The whole store goes now, with its registry. */
            return status;
        }
        tarn__registry_confirm(&store->registry, &record->contents[i]);
    }
    tarn__store_retain(store, record);
    return TARN_OK;
}

/* TARN_MISSING: there is none. */
static tarn_status adopt_present(
    tarn_checkpoint_store *store, uint64_t id, bool *is_withdrawn, tarn_error *error)
{
    tarn__metadata metadata;
    tarn_error reason;
    const tarn_status read = tarn__checkpoint_find_metadata(
        store->storage, id, store->options.account, is_withdrawn, &metadata, &reason);
    if (read == TARN_MISSING) {
        return TARN_MISSING;
    }
    if (tarn__is_of_memory(read)) {
        return tarn__fail(error, read, "%s", reason.message);
    }
    if (read != TARN_OK) {
        store->keeps_shared = true;
        tarn__store_log(
            store,
            "checkpoint %" PRIu64 " cannot be read and is kept, with every shared file: %s",
            id,
            reason.message);
        return TARN_OK;
    }
    const tarn_status status = adopt_metadata(store, &metadata, error);
    tarn__metadata_clear(&metadata);
    return status;
}

/* --- Commits that may still come --- */

/* Whether a request may be carried out after whoever sent it is gone. */
static bool is_late_possible(const tarn_checkpoint_store *store)
{
    return !store->is_savepoint && !store->options.is_guest &&
           !tarn__storage_is_local(store->storage->address);
}

static void log_withdrawn(tarn_checkpoint_store *store, uint64_t id)
{
    tarn__store_log(
        store, "checkpoint %" PRIu64 " is withdrawn: its process ended without committing it", id);
}

/* Unfinished, half deleted, or about to be committed. */
static tarn_status take_name_of(tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    bool is_withdrawn = false;
    const tarn_status taken = tarn__commit_take_name(store, id);
    if (taken == TARN_BUSY) {
        const tarn_status found = adopt_present(store, id, &is_withdrawn, error);
        if (found == TARN_MISSING && !is_withdrawn) {
            tarn__commit_note_doubt(store, id); /* Something is under way to that name. */
        }
        return found == TARN_MISSING ? TARN_OK : found;
    }
    if (taken == TARN_OK) {
        log_withdrawn(store, id);
    } else {
        tarn__commit_note_doubt(store, id);
    }
    return TARN_OK;
}

static tarn_status adopt(tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    bool is_withdrawn = false;
    const tarn_status status = adopt_present(store, id, &is_withdrawn, error);
    if (status != TARN_MISSING) {
        return status;
    }
    return is_withdrawn || !is_late_possible(store) ? TARN_OK : take_name_of(store, id, error);
}

static tarn_status adopt_all(tarn_checkpoint_store *store, tarn_error *error)
{
    tarn__checkpoint_ids ids;
    TARN_TRY(tarn__checkpoint_ids_list(store->storage, store->options.account, &ids, error));
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; status == TARN_OK && i < ids.count; i++) {
        store->highest_id = ids.items[i]; /* Ascending. */
        status = adopt(store, ids.items[i], error);
        const bool is_gap = i + 1 < ids.count && ids.items[i + 1] != ids.items[i] + 1;
        if (status == TARN_OK && is_gap && is_late_possible(store)) {
            status = take_name_of(store, ids.items[i] + 1, error);
        }
    }
    tarn__checkpoint_ids_clear(&ids);
    return status;
}

static bool note_entry(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    *(bool *)context = true;
    return false;
}

/* Where there is no shared file, none is named by what may come: all of them are stored before. */
static tarn_status find_shared(tarn_checkpoint_store *store, bool *is_there, tarn_error *error)
{
    *is_there = false;
    return tarn__storage_list(store->storage, "shared", note_entry, is_there, error);
}

tarn_status tarn__predecessor_adopt(tarn_checkpoint_store *store, tarn_error *error)
{
    TARN_TRY(adopt_all(store, error));
    TARN_TRY(tarn__claims_adopt(store, error));
    store->listed_id = store->highest_id;
    bool inherits = is_late_possible(store);
    if (inherits && store->highest_id == 0) {
        TARN_TRY(find_shared(store, &inherits, error));
    }
    store->inherited_id = inherits ? store->highest_id + 1 : 0;
    return TARN_OK;
}

/* --- The number after the newest --- */

void tarn__predecessor_settled(tarn_checkpoint_store *store, uint64_t id)
{
    store->listed_id = id > store->listed_id ? id : store->listed_id;
    if (id == store->inherited_id) {
        store->inherited_id = 0;
    }
}

void tarn__predecessor_unlist(tarn_checkpoint_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->mutex);
    if (id == store->listed_id) {
        store->listed_id = 0;
        for (const tarn__retained *r = store->retained; r != NULL; r = r->next) {
            const bool is_here = r->address[0] == '\0' && r->id != id;
            store->listed_id = is_here && r->id > store->listed_id ? r->id : store->listed_id;
        }
    }
    pthread_mutex_unlock(&store->mutex);
}

/*
 * The number was given up by this process, or passed over, and something is to be deleted. What has
 * come under it is for the next process: this one has gone on from before it.
 */
static bool settle(tarn_checkpoint_store *store, uint64_t id)
{
    tarn__metadata metadata;
    bool is_withdrawn = false;
    tarn_status taken = tarn__commit_take_name(store, id);
    if (taken == TARN_BUSY) {
        const tarn_status found = tarn__checkpoint_find_metadata(
            store->storage, id, store->options.account, &is_withdrawn, &metadata, NULL);
        if (found == TARN_OK) {
            tarn__metadata_clear(&metadata);
        }
        taken = found == TARN_MISSING && is_withdrawn ? TARN_OK : TARN_BUSY;
    }
    if (taken == TARN_OK) {
        log_withdrawn(store, id);
    } else if (taken == TARN_BUSY) {
        tarn__commit_note_doubt(store, id);
    }
    if (taken != TARN_OK && taken != TARN_BUSY) {
        tarn__store_note_undeleted(store);
        return false;
    }
    pthread_mutex_lock(&store->mutex);
    tarn__predecessor_settled(store, id);
    pthread_mutex_unlock(&store->mutex);
    return true;
}

bool tarn__predecessor_matters(const tarn_checkpoint_store *store)
{
    return store->inherited_id != 0 && store->registry.garbage_count > 0 && !store->keeps_shared;
}

bool tarn__predecessor_lets_delete(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    const uint64_t id = store->inherited_id;
    const bool matters = tarn__predecessor_matters(store);
    const bool is_passed = store->highest_id >= id && !store->is_inherited_pending;
    const bool may_settle = is_passed || store->is_ending;
    pthread_mutex_unlock(&store->mutex);
    return !matters || (may_settle && settle(store, id));
}

void tarn__predecessor_end(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->is_ending = store->inherited_id != 0 && store->registry.garbage_count > 0;
    const bool is_ending = store->is_ending;
    pthread_mutex_unlock(&store->mutex);
    if (is_ending) {
        tarn__store_clean(store);
    }
}

/* --- That a listing tells of what is committed --- */

static bool is_shown(const tarn_pending_checkpoint *pending)
{
    for (uint32_t i = 0; i < pending->part_count; i++) {
        const tarn__subtask *subtask = &pending->parts[i]->metadata.subtasks[0];
        for (uint32_t j = 0; j < subtask->file_count; j++) {
            if (!subtask->files[j].is_shared && !subtask->files[j].is_inline) {
                return true;
            }
        }
    }
    return false;
}

tarn_status tarn__predecessor_show(tarn_pending_checkpoint *pending, tarn_error *error)
{
    static const char text[] = "tarn: commit under way\n";
    tarn_checkpoint_store *store = pending->store;
    pthread_mutex_lock(&store->mutex);
    const bool is_next = pending->id == store->listed_id + 1 && store->pending_count == 1;
    pthread_mutex_unlock(&store->mutex);
    if (is_next || !is_late_possible(store) || is_shown(pending)) {
        return TARN_OK;
    }
    char directory[TARN__CHECKPOINT_NAME_BYTES];
    char name[TARN__CHECKPOINT_NAME_BYTES + 16];
    tarn__checkpoint_name(pending->id, directory);
    (void)snprintf(name, sizeof name, "%s/commit-%08" PRIx32, directory, pending->attempt);
    pending->is_announced = true; /* Whatever the answer: it is removed later. */
    return tarn__storage_write(store->storage, name, 0, tarn_bytes_of(text), error);
}
