/*
 * commit_end.c - what became of a commit whose last step failed.
 *
 *     finish _metadata: failed ──► answered?  yes ──► removed again ──► failed
 *                                             no ───► the name is taken by a mark, if it is free
 *                                                      ├─ taken ──► withdrawn: what comes late
 * finds │            the mark, and is refused └─ not free ─► ours lies there: committed
 *
 * A removal would not do where there was no answer: what is still under way could come after it,
 * and bring a checkpoint back whose files have gone. Whatever else happens leaves a doubt, in which
 * no shared file is deleted. The mark is no checkpoint (TARN_MISSING); it is left to the garbage
 * collection. A savepoint's directory is nobody else's, and its _metadata is removed in any case.
 */
#include <inttypes.h>

#include "base/try.h"
#include "snapshot/store_private.h"

static bool is_unanswered(tarn_status status)
{
    return status == TARN_REMOTE_ERROR || status == TARN_TIMED_OUT;
}

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
        store, "checkpoint %" PRIu64 " is withdrawn: there was no answer to its commit", id);
    pthread_mutex_lock(&store->mutex);
    tarn__predecessor_settled(store, id);
    pthread_mutex_unlock(&store->mutex);
    return TARN__COMMIT_FAILED;
}

void tarn__commit_note_doubt(tarn_checkpoint_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->mutex);
    store->keeps_shared = true;
    pthread_mutex_unlock(&store->mutex);
    tarn__store_log(
        store,
        "nobody knows whether checkpoint %" PRIu64 " was written; shared files are kept until "
        "the store is opened again",
        id);
}

tarn__commit_end tarn__commit_settle(
    tarn_checkpoint_store *store,
    uint64_t id,
    const char *name,
    tarn_bytes bytes,
    tarn_status failure)
{
    tarn__commit_end end = TARN__COMMIT_IN_DOUBT;
    if (is_unanswered(failure) && !store->is_savepoint) {
        end = settle(store, id, name, bytes);
    } else if (failure != TARN_BUSY && tarn__store_remove_metadata(store, id, NULL) == TARN_OK) {
        end = TARN__COMMIT_FAILED;
    }
    if (end == TARN__COMMIT_IN_DOUBT) {
        tarn__commit_note_doubt(store, id);
    }
    return end;
}
