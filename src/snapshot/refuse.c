/*
 * refuse.c - checkpoints that a restore passed over: kept until they are the oldest, not counted.
 *
 *     retained, 2 wanted:   1  2  3!        3 is refused, the job goes on from 2
 *                              2  3!  4     2 and 4 count
 *                                     4  5  3 has gone with 2
 *
 *                              3!           3 is refused, the job begins without it
 *                                     4     3 has gone when 4 was there
 *
 * What is damaged of it may be any of its shared files. Those that the checkpoint names which the
 * job goes on from are whole, as that has been looked at; the others, whoever else names them, are
 * not counted on: who has the same content stores it again.
 */
#include <inttypes.h>

#include "tarn/fallback.h"

#include "base/try.h"
#include "snapshot/store_private.h"

/* The one that the job goes on from; NULL: it is none of the directory. Under the mutex. */
static const tarn__retained *find_trusted(
    const tarn_checkpoint_store *store, uint64_t refused_id, uint64_t trusted_id)
{
    const tarn__retained *trusted = NULL;
    for (const tarn__retained *r = store->retained; r != NULL; r = r->next) {
        const bool is_good = r->address[0] == '\0' && !r->is_surplus && !r->is_refused;
        const bool is_it =
            trusted_id == TARN__TRUST_NEXT_OLDER ? r->id < refused_id : r->id == trusted_id;
        trusted = is_good && is_it ? r : trusted;
    }
    return trusted;
}

/* Under the mutex. */
static void doubt_contents(
    tarn_checkpoint_store *store, const tarn__retained *refused, uint64_t trusted_id)
{
    const tarn__retained *trusted = find_trusted(store, refused->id, trusted_id);
    for (uint32_t i = 0; i < refused->count; i++) {
        tarn__registry_doubt(&store->registry, &refused->contents[i]);
    }
    for (uint32_t i = 0; trusted != NULL && i < trusted->count; i++) {
        tarn__registry_confirm(&store->registry, &trusted->contents[i]);
    }
}

/* Whether one is left that counts, and stays. Under the mutex. */
static bool has_counted(const tarn_checkpoint_store *store)
{
    bool is_found = false;
    for (const tarn__retained *r = store->retained; r != NULL; r = r->next) {
        is_found = is_found || (!r->is_pinned && !r->is_refused && !r->is_surplus);
    }
    return is_found;
}

tarn_status tarn__store_refuse(
    tarn_checkpoint_store *store, uint64_t id, uint64_t trusted_id, tarn_error *error)
{
    if (id == trusted_id) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "checkpoint %" PRIu64 " of job \"%.200s\" is restored: it cannot be refused as well",
            id,
            store->job);
    }
    pthread_mutex_lock(&store->mutex);
    tarn__retained *refused = tarn__store_find_own(store, id);
    const bool is_there = refused != NULL && !refused->is_surplus;
    if (is_there && !refused->is_refused) {
        refused->is_refused = true;
        doubt_contents(store, refused, trusted_id);
        store->had_counted = store->had_counted && has_counted(store);
    }
    pthread_mutex_unlock(&store->mutex);
    return is_there ? TARN_OK : TARN_NOT_FOUND;
}

tarn_status tarn_checkpoint_refuse(tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    return store == NULL ? tarn__fail(error, TARN_INVALID_ARGUMENT, "store is missing")
                         : tarn__store_refuse(store, id, TARN__TRUST_NEXT_OLDER, error);
}
