/*
 * refuse.c - checkpoints that a restore passed over: kept until they are the oldest, not counted.
 *
 *     retained, 2 wanted:   1  2  3!        3 is refused, the job goes on from 2
 *                              2  3!  4     2 and 4 count
 *                                     4  5  3 has gone with 2
 *
 * What is damaged of it may be any of its shared files. Those that others name as well are taken
 * for whole, although whoever fell back has looked only as far down as the one that it goes on
 * from; the others are not counted on: who has the same content stores it again.
 */
#include <inttypes.h>

#include "tarn/fallback.h"

#include "base/try.h"
#include "snapshot/store_private.h"

/* Answers what is refused; and whether something is older. Under the mutex. */
static tarn__retained *find(tarn_checkpoint_store *store, uint64_t id, bool *has_older)
{
    tarn__retained *found = NULL;
    *has_older = false;
    for (tarn__retained *r = store->retained; r != NULL; r = r->next) {
        const bool is_good = !r->is_surplus && !r->is_refused;
        found = r->id == id && r->address[0] == '\0' && !r->is_surplus ? r : found;
        *has_older = *has_older || (is_good && r->id < id);
    }
    return found;
}

/* Under the mutex. */
static void doubt_contents(tarn_checkpoint_store *store, const tarn__retained *refused)
{
    for (uint32_t i = 0; i < refused->count; i++) {
        tarn__registry_doubt(&store->registry, &refused->contents[i]);
    }
    for (const tarn__retained *r = store->retained; r != NULL; r = r->next) {
        for (uint32_t i = 0; i < r->count && !r->is_refused; i++) {
            tarn__registry_confirm(&store->registry, &r->contents[i]);
        }
    }
}

tarn_status tarn_checkpoint_refuse(tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    if (store == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "store is missing");
    }
    bool has_older = false;
    pthread_mutex_lock(&store->mutex);
    tarn__retained *refused = find(store, id, &has_older);
    if (refused != NULL && has_older && !refused->is_refused) {
        refused->is_refused = true;
        doubt_contents(store, refused);
    }
    pthread_mutex_unlock(&store->mutex);
    if (refused == NULL) {
        return TARN_NOT_FOUND;
    }
    return has_older ? TARN_OK
                     : tarn__fail(
                           error,
                           TARN_INVALID_ARGUMENT,
                           "checkpoint %" PRIu64 " of job \"%.200s\" cannot be passed over: none "
                           "that is older is left",
                           id,
                           store->job);
}
