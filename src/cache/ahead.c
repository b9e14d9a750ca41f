/* ahead.c - see ahead.h. */
#include "cache/ahead.h"

#include "cache/workset_private.h"

enum { VALUE_BYTES_MAX = 1024 }; /* Set aside for a value that is not known yet. */

static tarn__hot_key key_of(tarn__workset_family *family, tarn_bytes row)
{
    return (tarn__hot_key){
        .family = family,
        .row = row,
        .hash = tarn__workset_hash(family, row),
    };
}

tarn__hot_row *tarn__workset_peek(
    tarn__workset *set, tarn__workset_family *family, tarn_bytes row, tarn__hot_key *key)
{
    *key = key_of(family, row);
    return tarn__workset_look_up(set, key);
}

tarn__hot_row *tarn__workset_peek_expected(
    tarn__workset *set,
    tarn__workset_family *family,
    tarn_bytes row,
    uint32_t batch,
    tarn__hot_key *key)
{
    tarn__hot_row *found = tarn__workset_peek(set, family, row, key);
    const bool is_wanted =
        found != NULL &&
        (found->state == TARN__HOT_PENDING ? found->epoch == batch : found->is_expected != 0);
    return is_wanted ? found : NULL;
}

void tarn__workset_note_ahead(tarn__workset *set, bool is_taken)
{
    set->figures.prefetched_count += is_taken;
    set->figures.prefetch_lost_count += !is_taken;
}

tarn_status tarn__workset_expect(
    tarn__workset *set,
    tarn__workset_family *family,
    tarn_bytes row,
    uint32_t batch,
    size_t value_bytes,
    bool *is_pending,
    tarn_error *error)
{
    static const uint8_t NOTHING[VALUE_BYTES_MAX];
    tarn__hot_key key;
    tarn__hot_row *kept = tarn__workset_peek(set, family, row, &key);
    *is_pending = false;
    if (kept != NULL && kept->state == TARN__HOT_PENDING && kept->epoch != batch) {
        kept->epoch = batch; /* Of a batch that came to nothing. */
        *is_pending = true;
    }
    if (kept != NULL) {
        if (kept->heat == 0) {
            kept->heat = 1; /* It is wanted soon. */
        }
        return TARN_OK;
    }
    if (family->filter != NULL && tarn__filter_is_new(family->filter, key.hash)) {
        if (family->is_of_blocks) {
            return TARN_OK; /* Who looks for it is told the same. */
        }
        tarn__filter_note_read(family->filter);
        key.is_new = true;
        set->figures.prefetched_count++;
        return tarn__workset_set(
            set, &key, NULL, TARN__HOT_ABSENT, tarn_bytes_at(NULL, 0), &kept, error);
    }
    const tarn_bytes room =
        tarn_bytes_at(NOTHING, value_bytes < sizeof NOTHING ? value_bytes : sizeof NOTHING);
    TARN_TRY(tarn__workset_set(set, &key, NULL, TARN__HOT_PENDING, room, &kept, error));
    if (kept != NULL) {
        kept->epoch = batch;
        kept->heat = 1; /* Else it could be gone before it is used once. */
        *is_pending = true;
    }
    return TARN_OK;
}

tarn_status tarn__workset_fulfil(
    tarn__workset *set,
    tarn__workset_family *family,
    tarn_bytes row,
    uint32_t batch,
    tarn__hot_state state,
    tarn_bytes value,
    tarn_error *error)
{
    tarn__hot_key key;
    tarn__hot_row *found = tarn__workset_peek(set, family, row, &key);
    tarn__hot_row *kept = NULL;
    const bool is_ours =
        found != NULL && found->state == TARN__HOT_PENDING && found->epoch == batch;
    if (is_ours && state == TARN__HOT_FREE) {
        tarn__workset_forget(set, key.reference);
    } else if (is_ours) {
        TARN_TRY(tarn__workset_set(set, &key, found, state, value, &kept, error));
    }
    tarn__workset_note_ahead(set, kept != NULL);
    return TARN_OK;
}
