/*
 * doubt.c - numbers of which nobody knows whether a checkpoint has them, or will.
 *
 *     inherited (predecessor.c) ──► passed over, or given up ─┐
 *                                                             ├─► before a deletion: the mark
 *     in doubt: no answer to a commit, or to the mark ────────┘   takes the name, if it is free
 *                                                                          │
 *         settled ◄── taken, or taken before ──────────────────────────────┤
 *         settled ◄── a checkpoint has it: what that names is kept ────────┤
 *         as before ◄── no answer, or neither of these ────────────────────┘
 *
 * What is open keeps every shared file, and the checkpoint behind which it comes, as a listing
 * tells of it by that one. What nobody answers to is asked again when something is to be deleted
 * the next time. A checkpoint that came so is kept as long as the process runs, and does not count
 * among the retained: this process has gone on from before it, and whoever wrote it may go on from
 * it. With one that is there and cannot be read nothing is deleted until the store is opened again.
 *
 * So many are kept in mind (DOUBTS_MAX). Those that are too many, or that there is no memory for,
 * are not asked about: no shared file is deleted until the store is opened again, nor the
 * checkpoint behind which one of them comes, from the least of their numbers to the greatest.
 *
 * Invariant: a shared file is deleted only while nothing is open.
 */
#include <assert.h>
#include <inttypes.h>

#include "snapshot/store_private.h"

enum { DOUBTS_MIN = 8, DOUBTS_MAX = 1024 };

/* --- What is open: under the mutex --- */

static bool is_in_doubt(const tarn_checkpoint_store *store, uint64_t id)
{
    for (uint32_t i = 0; i < store->doubt_count; i++) {
        if (store->doubts[i] == id) {
            return true;
        }
    }
    return false;
}

static bool is_forgotten(const tarn_checkpoint_store *store, uint64_t id)
{
    return store->has_forgotten && id >= store->forgotten_first && id <= store->forgotten_last;
}

/* There is no room for one: what it needs stays as long as the store does. */
static void forget(tarn_checkpoint_store *store, uint64_t id)
{
    const bool is_first = !store->has_forgotten || id < store->forgotten_first;
    const bool is_last = !store->has_forgotten || id > store->forgotten_last;
    store->forgotten_first = is_first ? id : store->forgotten_first;
    store->forgotten_last = is_last ? id : store->forgotten_last;
    store->has_forgotten = true;
    store->keeps_shared = true;
}

static bool add(tarn_checkpoint_store *store, uint64_t id)
{
    if (store->doubt_count == DOUBTS_MAX) {
        return false;
    }
    if (store->doubt_count == store->doubt_capacity) {
        const uint32_t capacity =
            store->doubt_capacity == 0 ? (uint32_t)DOUBTS_MIN : 2 * store->doubt_capacity;
        uint64_t *doubts =
            tarn__reallocate(store->options.account, store->doubts, capacity * sizeof *doubts);
        if (doubts == NULL) {
            return false;
        }
        store->doubts = doubts;
        store->doubt_capacity = capacity;
    }
    store->doubts[store->doubt_count++] = id;
    return true;
}

/* A number that is waited for is not asked about while this process may still have it. */
static bool may_settle(const tarn_checkpoint_store *store, uint64_t id)
{
    const bool is_passed = store->highest_id >= id && !store->is_inherited_pending;
    return id != store->inherited_id || is_passed || store->is_ending;
}

bool tarn__doubts_matter(const tarn_checkpoint_store *store)
{
    return (store->inherited_id != 0 || store->doubt_count > 0) &&
           store->registry.garbage_count > 0 && !store->keeps_shared;
}

void tarn__doubt_end(tarn_checkpoint_store *store, uint64_t id)
{
    for (uint32_t i = 0; i < store->doubt_count; i++) {
        if (store->doubts[i] == id) {
            store->doubts[i--] = store->doubts[--store->doubt_count];
        }
    }
    store->inherited_id = id == store->inherited_id ? 0 : store->inherited_id;
    store->unannounced_id = id == store->unannounced_id ? 0 : store->unannounced_id;
}

void tarn__doubt_note(tarn_checkpoint_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->mutex);
    const bool is_kept_in_mind = is_in_doubt(store, id) || add(store, id);
    if (!is_kept_in_mind) {
        forget(store, id);
    }
    pthread_mutex_unlock(&store->mutex);
    tarn__store_log(
        store,
        "nobody knows whether checkpoint %" PRIu64 " was written; shared files are kept until %s",
        id,
        is_kept_in_mind ? "the storage tells" : "the store is opened again");
}

/* --- Settling --- */

/* A checkpoint is there that this process does not go on from. */
static tarn_status keep(tarn_checkpoint_store *store, const tarn__metadata *metadata)
{
    tarn_error error;
    const tarn_status status = tarn__store_adopt(store, metadata, /* is_late= */ true, &error);
    if (status == TARN_OK) {
        tarn__store_log(
            store,
            "checkpoint %" PRIu64 " was written all the same; it is kept",
            metadata->head.checkpoint_id);
    }
    return status;
}

/* The mark was refused: looks what is there. */
static tarn_status look(tarn_checkpoint_store *store, uint64_t id)
{
    tarn__metadata metadata;
    tarn_error error;
    bool is_withdrawn = false;
    tarn_status status = tarn__checkpoint_find_metadata(
        store->storage, id, store->options.account, &is_withdrawn, &metadata, &error);
    if (status == TARN_OK) {
        status = keep(store, &metadata);
        tarn__metadata_clear(&metadata);
    } else if (status == TARN_MISSING && is_withdrawn) {
        status = TARN_OK;
    } else if (status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED) {
        tarn__store_keep_shared(store, id, &error);
        status = TARN_OK;
    }
    return status;
}

/* False: it stays open. */
static bool settle(tarn_checkpoint_store *store, uint64_t id)
{
    tarn_status status = tarn__commit_take_name(store, id);
    if (status == TARN_OK) {
        tarn__store_log(store, "checkpoint %" PRIu64 " is withdrawn: nobody has committed it", id);
    } else if (status == TARN_BUSY) {
        status = look(store, id);
    }
    if (status != TARN_OK) {
        tarn__store_note_undeleted(store);
        return false;
    }
    pthread_mutex_lock(&store->mutex);
    tarn__predecessor_settled(store, id);
    pthread_mutex_unlock(&store->mutex);
    return true;
}

/* --- Deleting --- */

bool tarn__doubts_let_delete(tarn_checkpoint_store *store)
{
    uint64_t id = 0;
    bool may = true;
    do {
        pthread_mutex_lock(&store->mutex);
        const uint64_t first = store->doubt_count > 0 ? store->doubts[0] : store->inherited_id;
        id = tarn__doubts_matter(store) ? first : 0;
        may = may_settle(store, id);
        pthread_mutex_unlock(&store->mutex);
    } while (id != 0 && may && settle(store, id));
    return id == 0;
}

bool tarn__doubts_let_remove(tarn_checkpoint_store *store, uint64_t id)
{
    const uint64_t next = id + 1;
    bool is_open = false;
    bool may = true;
    do {
        pthread_mutex_lock(&store->mutex);
        is_open = next == store->inherited_id || next == store->unannounced_id ||
                  is_in_doubt(store, next) || is_forgotten(store, next);
        may =
            next != store->unannounced_id && may_settle(store, next) && !is_forgotten(store, next);
        if (!is_open) {
            tarn__predecessor_unlist(store, id);
        }
        pthread_mutex_unlock(&store->mutex);
    } while (is_open && may && settle(store, next));
    return !is_open;
}

static bool has_put_off(const tarn_checkpoint_store *store)
{
    const tarn__retained *r = store->retained;
    while (r != NULL && !r->is_put_off) {
        r = r->next;
    }
    return r != NULL;
}

void tarn__doubts_close(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->is_ending =
        store->inherited_id != 0 && (store->registry.garbage_count > 0 || has_put_off(store));
    const bool is_ending = store->is_ending;
    pthread_mutex_unlock(&store->mutex);
    if (is_ending) {
        tarn__store_clean(store);
    }
}
