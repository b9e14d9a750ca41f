/*
 * commit_end.c - what became of a commit whose last step failed.
 *
 *     finish _metadata: failed
 *         │
 *         ├─ local, or a savepoint ──► removed again ──► failed; else in doubt (doubt.c), of a
 *         │                            savepoint only said: it shares nothing
 *         │
 *         └─ elsewhere ──► the mark takes the name, if that is free
 *                             ├─ taken ─────────────► failed, and what comes late finds the mark
 *                             ├─ ours is there ─────► committed
 *                             ├─ another's is ──────► failed; no shared file is deleted any more
 *                             └─ no answer, or what the process before left ► in doubt (doubt.c)
 *
 * Elsewhere another writer may have the number, and what was sent may still be under way, whatever
 * the last answer said: before that one there may have been attempts without any. So nothing is
 * removed: a removal could be overtaken, and bring a checkpoint back whose files have gone. The
 * mark is no checkpoint (TARN_MISSING); it is left to the garbage collection. What is local is
 * locked, and a savepoint's directory is nobody else's.
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

/* What has the name. */
typedef enum holder { HOLDER_UNKNOWN, HOLDER_OURS, HOLDER_MARK, HOLDER_ANOTHER } holder;

/* Private files have names by chance, so that no other writer has the same bytes. */
static holder find_holder(tarn_checkpoint_store *store, const char *name, tarn_bytes bytes)
{
    TARN_AUTO(tarn_buffer_clear)
    tarn_buffer found = {.allocator = &store->options.account->face};
    if (tarn__checkpoint_read_object(store->storage, name, &found, NULL) != TARN_OK) {
        return HOLDER_UNKNOWN;
    }
    const tarn_bytes there = tarn_buffer_bytes(&found);
    if (tarn_bytes_is_equal(there, bytes)) {
        return HOLDER_OURS;
    }
    return tarn_bytes_is_equal(there, tarn_bytes_of(TARN__METADATA_WITHDRAWN)) ? HOLDER_MARK
                                                                               : HOLDER_ANOTHER;
}

/*
 * Whether it shows that somebody else writes to the directory. A checkpoint with the inherited
 * number may be that of the process before; a mark may be ours, unless the commit was refused. One
 * with the inherited number may be a late one of the process before, too, but also that of a
 * successor, which takes this process for dead: it is taken for that, which costs files that are
 * kept, where the other guess would delete what the successor names.
 */
static bool is_rivals(tarn_checkpoint_store *store, uint64_t id, holder found, tarn_status failure)
{
    pthread_mutex_lock(&store->mutex);
    const bool is_inherited = id == store->inherited_id;
    pthread_mutex_unlock(&store->mutex);
    return (found == HOLDER_ANOTHER && !is_inherited) ||
           (found == HOLDER_MARK && failure == TARN_BUSY);
}

/* What the other one names, this process does not know. */
static void give_way(tarn_checkpoint_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->mutex);
    store->keeps_shared = true;
    pthread_mutex_unlock(&store->mutex);
    tarn__store_log(
        store,
        "another process has taken the number of checkpoint %" PRIu64 ": two write to one "
        "directory; no shared file is deleted until the store is opened again",
        id);
}

static tarn__commit_end settle(
    tarn_checkpoint_store *store,
    uint64_t id,
    const char *name,
    tarn_bytes bytes,
    tarn_status failure)
{
    const tarn_status taken = tarn__commit_take_name(store, id);
    const holder found = taken == TARN_BUSY ? find_holder(store, name, bytes) : HOLDER_UNKNOWN;
    if (found == HOLDER_OURS) {
        return TARN__COMMIT_DONE;
    }
    if (is_rivals(store, id, found, failure)) {
        give_way(store, id);
    } else if (taken == TARN_OK || found == HOLDER_MARK) {
        tarn__store_log(
            store,
            "checkpoint %" PRIu64 " is withdrawn: its commit was refused or had no answer",
            id);
    } else {
        return TARN__COMMIT_IN_DOUBT;
    }
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
        is_alone ? take_back(store, id, failure) : settle(store, id, name, bytes, failure);
    if (end == TARN__COMMIT_IN_DOUBT && store->is_savepoint) {
        tarn__store_log(
            store,
            "nobody knows whether the savepoint %.300s was written: it could neither be confirmed "
            "nor taken back; look whether it can be restored, or remove it",
            store->storage->address);
    } else if (end == TARN__COMMIT_IN_DOUBT) {
        tarn__doubt_note(store, id);
    }
    return end;
}
