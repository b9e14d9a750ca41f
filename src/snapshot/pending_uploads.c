/*
 * pending_uploads.c - what a pending checkpoint and its uploads are to each other.
 *
 * A pending checkpoint is there until the last of its owner and its uploads has let go. It is held
 * as long as one of them is a call of the program's that is still to be ended; what is over, and
 * has only uploads that were left to the workers, ends by itself, and closing waits for that.
 */
#include <assert.h>

#include "base/random.h"
#include "snapshot/store_private.h"

bool tarn__pending_join(tarn_pending_checkpoint *pending)
{
    pthread_mutex_lock(&pending->store->mutex);
    const bool joins = !pending->is_over;
    pending->reference_count += joins ? 1 : 0;
    pthread_mutex_unlock(&pending->store->mutex);
    return joins;
}

void tarn__pending_note_held(tarn_pending_checkpoint *pending)
{
    const bool is_held = !pending->is_over || pending->reference_count > pending->left_count;
    if (is_held != pending->is_held) {
        pending->is_held = is_held;
        pending->store->held_count += is_held ? 1U : -1U;
        if (!is_held && pending->store->options.is_held != NULL) {
            atomic_store(pending->store->options.is_held, false); /* From now on. */
        }
    }
}

void tarn__pending_expect_leave(tarn_pending_checkpoint *pending)
{
    pthread_mutex_lock(&pending->store->mutex);
    pending->left_count++;
    pthread_cond_broadcast(&pending->store->undoomed); /* It may wait for a deletion. */
    tarn__pending_note_held(pending);
    pthread_mutex_unlock(&pending->store->mutex);
}

void tarn__pending_leave(tarn_pending_checkpoint *pending, bool was_left)
{
    tarn_checkpoint_store *store = pending->store;
    pthread_mutex_lock(&store->mutex);
    const bool is_last = --pending->reference_count == 0;
    pending->left_count -= was_left ? 1 : 0;
    tarn__pending_note_held(pending);
    store->pending_count -= is_last ? 1 : 0;
    if (is_last) {
        pthread_cond_broadcast(&store->settled);
    }
    const bool is_savepoint = store->is_savepoint; /* Once it has none, others may close it. */
    pthread_mutex_unlock(&store->mutex);
    if (is_last) {
        assert(pending->is_over && pending->part_count == 0 && pending->grants == NULL);
        tarn__release(pending->grave);
        tarn__release(pending->parts);
        tarn__release(pending);
        if (is_savepoint) {
            tarn__savepoint_end(store);
        }
    }
}

bool tarn__pending_is_over(tarn_pending_checkpoint *pending)
{
    pthread_mutex_lock(&pending->store->mutex);
    const bool is_over = pending->is_over;
    pthread_mutex_unlock(&pending->store->mutex);
    return is_over;
}

/* Without the memory for it they are garbage. */
void tarn__pending_clean_again(tarn_pending_checkpoint *pending)
{
    tarn_checkpoint_store *store = pending->store;
    tarn__retained *grave = tarn__retained_new(store->options.account, pending->id, 0);
    pthread_mutex_lock(&store->mutex);
    if (grave != NULL && pending->is_withdrawn) {
        grave->attempt = pending->attempt;
        grave->next = store->condemned;
        store->condemned = grave;
        grave = NULL;
    }
    pthread_mutex_unlock(&store->mutex);
    tarn__retained_free(grave);
}

bool tarn__pending_keep(tarn_pending_checkpoint *pending, tarn__grant *grant)
{
    pthread_mutex_lock(&pending->store->mutex);
    const bool is_kept = !pending->is_over;
    if (is_kept) {
        grant->next = pending->grants;
        pending->grants = grant;
    }
    pthread_mutex_unlock(&pending->store->mutex);
    return is_kept;
}

uint64_t tarn__pending_token(tarn_pending_checkpoint *pending)
{
    pthread_mutex_lock(&pending->store->mutex);
    const uint32_t own = (uint32_t)tarn__random_mix(pending->store->token++);
    pthread_mutex_unlock(&pending->store->mutex);
    return (uint64_t)pending->attempt << 32 | own;
}

tarn__metadata_kind tarn__pending_kind(const tarn_pending_checkpoint *pending)
{
    return pending->store->options.kind;
}

tarn_checkpoint_store *tarn__pending_store(tarn_pending_checkpoint *pending)
{
    return pending->store;
}

tarn__errands *tarn__pending_errands(const tarn_pending_checkpoint *pending)
{
    return pending->store->options.errands;
}
