/*
 * predecessor.c - what the process before this one left: checkpoints, and commits that may still
 * come.
 *
 *     listed, with _metadata ──────────────► adopted
 *
 *     listed, without ───────────────────┐
 *                                        ├─► the mark takes the name (commit_end.c), if it is free
 *     not listed, behind one that is, ───┘      ├─ taken ─────► it will never be a checkpoint
 *     others are listed after it                ├─ not free ──► it has come, and is adopted
 *                                               └─ no answer ─► in doubt (doubt.c)
 *
 *     not listed, behind the newest ───────► inherited: nothing is deleted before a checkpoint of
 *                                            this process, or the mark, has that name (doubt.c)
 *
 * A process that died with the request under way that makes its _metadata visible may have a
 * checkpoint after the next one has begun to delete what it names. What lies in a local directory
 * is there when the process is gone, and needs none of this. A store that only deletes in another
 * job's directory takes no name: its owner may be about to commit. Once a storage has not answered,
 * it is not asked about the numbers that are left: they are in doubt.
 *
 * A checkpoint whose private files are all in its _metadata leaves no trace before. Hence no commit
 * is sent unless something of its number is listed, or it is the only one under way and has the
 * number behind the newest that is listed, which then stays until the commit has an end: else (the
 * one before was given up, or others are under way) an object of its own goes first, and is removed
 * behind it. So what a listing does not tell is the number behind one that it does tell. That costs
 * nothing as long as the first checkpoint of a process succeeds: it has that number itself.
 *
 * Invariant: whatever arrives under such a number, all that it names is there.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "snapshot/claim.h"
#include "snapshot/store_private.h"
#include "storage/shim.h"

/* --- Checkpoints that are there --- */

/* Under the mutex. One that came late may name what was deleted before: what is unknown is stored
 * anew by who needs it. */
static tarn_status ref_all(
    tarn_checkpoint_store *store, const tarn__retained *record, bool is_late, tarn_error *error)
{
    for (uint32_t i = 0; i < record->count; i++) {
        tarn__content_state before = TARN__CONTENT_ABSENT;
        const tarn_status status =
            tarn__registry_ref(&store->registry, &record->contents[i], &before, error);
        if (status != TARN_OK) {
            while (i-- > 0) {
                tarn__registry_unref(&store->registry, &record->contents[i]);
            }
            return status;
        }
        assert(before != TARN__CONTENT_DOOMED); /* Who deletes is who asks. */
        if (!is_late) {
            tarn__registry_confirm(&store->registry, &record->contents[i]);
        }
    }
    return TARN_OK;
}

tarn_status tarn__store_adopt(
    tarn_checkpoint_store *store, const tarn__metadata *metadata, bool is_late, tarn_error *error)
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
    record->is_pinned = is_late;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        tarn__retained_add(record, &metadata->subtasks[i]);
    }
    pthread_mutex_lock(&store->mutex);
    const tarn_status status = ref_all(store, record, is_late, error);
    if (status == TARN_OK) {
        tarn__store_retain(store, record);
    }
    pthread_mutex_unlock(&store->mutex);
    if (status != TARN_OK) {
        tarn__retained_free(record);
    }
    return status;
}

void tarn__store_keep_shared(tarn_checkpoint_store *store, uint64_t id, const tarn_error *why)
{
    pthread_mutex_lock(&store->mutex);
    store->keeps_shared = true;
    pthread_mutex_unlock(&store->mutex);
    tarn__store_log(
        store,
        "checkpoint %" PRIu64 " cannot be read and is kept, with every shared file: %s",
        id,
        why->message);
}

/* Whether a request may be carried out after whoever sent it is gone. */
static bool is_late_possible(const tarn_checkpoint_store *store)
{
    return !store->is_savepoint && !store->options.is_guest &&
           !tarn__storage_is_local(store->storage->address);
}

/* What is there, while it is opened. */
typedef struct adoption {
    tarn_checkpoint_store *store;
    bool is_silent; /* The storage has stopped answering: it is not asked about every number. */
} adoption;

static void note_doubt(adoption *a, uint64_t id, tarn_status why)
{
    a->is_silent = a->is_silent || tarn__retry_may_help(why);
    tarn__doubt_note(a->store, id);
}

/* TARN_MISSING: there is none. */
static tarn_status adopt_present(adoption *a, uint64_t id, bool *is_withdrawn, tarn_error *error)
{
    tarn_checkpoint_store *store = a->store;
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
    if (tarn__retry_may_help(read) && is_late_possible(store)) {
        note_doubt(a, id, read);
        return TARN_OK;
    }
    if (read != TARN_OK) {
        tarn__store_keep_shared(store, id, &reason);
        return TARN_OK;
    }
    const tarn_status status = tarn__store_adopt(store, &metadata, /* is_late= */ false, error);
    tarn__metadata_clear(&metadata);
    return status;
}

/* --- Commits that may still come --- */

/* Unfinished, half deleted, or about to be committed. */
static tarn_status take_name_of(adoption *a, uint64_t id, tarn_error *error)
{
    bool is_withdrawn = false;
    const tarn_status taken = tarn__commit_take_name(a->store, id);
    if (taken == TARN_BUSY) {
        const tarn_status found = adopt_present(a, id, &is_withdrawn, error);
        if (found == TARN_MISSING && !is_withdrawn) {
            note_doubt(a, id, TARN_BUSY); /* Something is under way to that name. */
        }
        return found == TARN_MISSING ? TARN_OK : found;
    }
    if (taken == TARN_OK) {
        tarn__store_log(
            a->store,
            "checkpoint %" PRIu64 " is withdrawn: its process ended without committing it",
            id);
    } else {
        note_doubt(a, id, taken);
    }
    return TARN_OK;
}

static tarn_status adopt(adoption *a, uint64_t id, tarn_error *error)
{
    bool is_withdrawn = false;
    const tarn_status status = adopt_present(a, id, &is_withdrawn, error);
    if (status != TARN_MISSING) {
        return status;
    }
    return is_withdrawn || !is_late_possible(a->store) ? TARN_OK : take_name_of(a, id, error);
}

/* A number that is listed, or one behind that is not. */
static tarn_status take_in(adoption *a, uint64_t id, bool is_listed, tarn_error *error)
{
    if (a->is_silent) {
        tarn__doubt_note(a->store, id);
        return TARN_OK;
    }
    return is_listed ? adopt(a, id, error) : take_name_of(a, id, error);
}

static tarn_status adopt_all(tarn_checkpoint_store *store, tarn_error *error)
{
    tarn__checkpoint_ids ids;
    TARN_TRY(tarn__checkpoint_ids_list(store->storage, store->options.account, &ids, error));
    adoption a = {.store = store};
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; status == TARN_OK && i < ids.count; i++) {
        store->highest_id = ids.items[i]; /* Ascending. */
        status = take_in(&a, ids.items[i], /* is_listed= */ true, error);
        const bool is_gap = i + 1 < ids.count && ids.items[i + 1] != ids.items[i] + 1;
        if (status == TARN_OK && is_gap && is_late_possible(store)) {
            status = take_in(&a, ids.items[i] + 1, /* is_listed= */ false, error);
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

/* --- That a listing tells of what is committed --- */

void tarn__predecessor_settled(tarn_checkpoint_store *store, uint64_t id)
{
    store->listed_id = id > store->listed_id ? id : store->listed_id;
    tarn__doubt_end(store, id);
}

void tarn__predecessor_unlist(tarn_checkpoint_store *store, uint64_t id)
{
    if (id == store->listed_id) {
        store->listed_id = 0;
        for (const tarn__retained *r = store->retained; r != NULL; r = r->next) {
            const bool is_here = r->address[0] == '\0' && r->id != id;
            store->listed_id = is_here && r->id > store->listed_id ? r->id : store->listed_id;
        }
    }
}

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
    if (!is_late_possible(store) || is_shown(pending)) {
        return TARN_OK;
    }
    pthread_mutex_lock(&store->mutex);
    const bool is_next = pending->id == store->listed_id + 1 && store->pending_count == 1;
    store->unannounced_id = is_next ? pending->id : store->unannounced_id;
    pthread_mutex_unlock(&store->mutex);
    if (is_next) {
        return TARN_OK;
    }
    char directory[TARN__CHECKPOINT_NAME_BYTES];
    char name[TARN__CHECKPOINT_NAME_BYTES + 16];
    tarn__checkpoint_name(pending->id, directory);
    (void)snprintf(name, sizeof name, "%s/commit-%08" PRIx32, directory, pending->attempt);
    pending->is_announced = true; /* Whatever the answer: it is removed later. */
    return tarn__storage_write(store->storage, name, 0, tarn_bytes_of(text), error);
}
