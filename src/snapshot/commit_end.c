/*
 * commit_end.c - what became of a commit whose last step failed.
 *
 *     finish _metadata: failed
 *         │
 *         ├─ local, or a savepoint ──► removed again ──► failed
 *         │
 *         └─ elsewhere ──► the mark takes the name, if that is free
 *                             ├─ taken ─────────────► failed, and what comes late finds the mark
 *                             ├─ not free: ours ────► committed
 *                             └─ else, or no answer ► in doubt
 *
 * Elsewhere another writer may have the number, and what was sent may still be under way, whatever
 * the last answer said: before that one there may have been attempts without any. So nothing is
 * removed: a removal could be overtaken, and bring a checkpoint back whose files have gone. In
 * doubt no shared file is deleted (doubt.c). The mark is no checkpoint (TARN_MISSING); it is left
 * to the garbage collection. What is local is locked, and a savepoint's directory is nobody else's.
 */
#include <inttypes.h>

#include "base/try.h"
#include "snapshot/store_private.h"

tarn_status tarn__commit_take_name(tarn_checkpoint_store *store, uint64_t id)
{
    char name[TARN__CHECKPOINT_NAME_BYTES];
    tarn__store_name_metadata(store, id, name);
    return tarn__storage_write(
        store->storage, name, TARN_UPLOAD_IF_ABSENT, tarn_bytes_of(TARN__METADATA_WITHDRAWN), NULL);
}

/* Private files have names by chance, so that no other writer has the same bytes. */
static bool is_ours(tarn_checkpoint_store *store, const char *name, tarn_bytes bytes)
{
    TARN_AUTO(tarn_buffer_clear)
    tarn_buffer found = {.allocator = &store->options.account->face};
    return tarn__checkpoint_read_object(store->storage, name, &found, NULL) == TARN_OK &&
           tarn_bytes_is_equal(tarn_buffer_bytes(&found), bytes);
}

static tarn__commit_end settle(
    tarn_checkpoint_store *store, uint64_t id, const char *name, tarn_bytes bytes)
{
    const tarn_status taken = tarn__commit_take_name(store, id);
    if (taken == TARN_BUSY && is_ours(store, name, bytes)) {
        return TARN__COMMIT_DONE;
    }
    if (taken != TARN_OK) {
        return TARN__COMMIT_IN_DOUBT;
    }
    tarn__store_log(
        store, "checkpoint %" PRIu64 " is withdrawn: its commit was refused or had no answer", id);
    pthread_mutex_lock(&store->mutex);
    tarn__predecessor_settled(store, id);
    pthread_mutex_unlock(&store->mutex);
    return TARN__COMMIT_FAILED;
}

static tarn__commit_end take_back(tarn_checkpoint_store *store, uint64_t id, tarn_status failure)
{
    return failure != TARN_BUSY && tarn__store_remove_metadata(store, id, NULL) == TARN_OK
               ? TARN__COMMIT_FAILED
               : TARN__COMMIT_IN_DOUBT;
}

tarn__commit_end tarn__commit_settle(
    tarn_checkpoint_store *store,
    uint64_t id,
    const char *name,
    tarn_bytes bytes,
    tarn_status failure)
{
    const bool is_alone = store->is_savepoint || tarn__storage_is_local(store->storage->address);
    const tarn__commit_end end =
        is_alone ? take_back(store, id, failure) : settle(store, id, name, bytes);
    if (end == TARN__COMMIT_IN_DOUBT) {
        tarn__doubt_note(store, id);
    }
    return end;
}
