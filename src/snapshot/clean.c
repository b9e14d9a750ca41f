/*
 * clean.c - deleting: checkpoints beyond the retained, and shared files that nothing names.
 *
 * One thread cleans at a time; who comes meanwhile leaves a note, and the cleaner goes round again.
 * What cannot be deleted is logged, kept in mind and tried again the next time. While somebody
 * waits to close the store, nothing more is tried once something could not be deleted: it is
 * garbage then.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tarn/cleanup.h"

#include "base/try.h"
#include "snapshot/claim.h"
#include "snapshot/store_private.h"
#include "snapshot/tree.h"

enum { BATCH = 64 };

bool tarn__store_deletes(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    const bool deletes = !store->gives_up;
    pthread_mutex_unlock(&store->mutex);
    return deletes;
}

void tarn__store_note_undeleted(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->gives_up = store->is_closing;
    pthread_mutex_unlock(&store->mutex);
}

/* --- A checkpoint's directory --- */

tarn_status tarn__store_remove_metadata(
    tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    char name[TARN__CHECKPOINT_NAME_BYTES];
    tarn__store_name_metadata(store, id, name);
    const char *const names[] = {name};
    return tarn__storage_remove(store->storage, names, 1, error);
}

/* Whether a name has a token of an attempt: "chk-7/aircraft-0-<token>...". */
static bool is_of_attempt(const char *name, uint32_t attempt)
{
    char half[sizeof "-01234567"];
    (void)snprintf(half, sizeof half, "-%08" PRIx32, attempt);
    return strstr(name, half) != NULL;
}

/*
 * Removes what is in a checkpoint's directory. attempt: of one that was not committed; its files
 * and no others go, as where a storage has no lock another writer may have one of the same number,
 * and have committed it. 0: all of it.
 */
static tarn_status remove_files(
    tarn_checkpoint_store *store, uint64_t id, uint32_t attempt, tarn_error *error)
{
    char name[TARN__CHECKPOINT_NAME_BYTES];
    tarn__store_name_directory(store, id, name);
    tarn__tree tree;
    TARN_TRY(tarn__tree_list(store->storage, store->options.account, name, &tree, error));
    tarn__tree_file **place = &tree.files;
    while (*place != NULL) {
        if (attempt == 0 || is_of_attempt((*place)->name, attempt)) {
            place = &(*place)->next;
        } else {
            *place = (*place)->next;
        }
    }
    const tarn_status status = tarn__tree_remove(store->storage, tree.files, error);
    tarn__tree_clear(&tree);
    return status;
}

tarn_status tarn__store_remove_directory(
    tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    TARN_TRY(tarn__store_remove_metadata(store, id, error));
    return remove_files(store, id, /* attempt= */ 0, error);
}

/* --- Retention --- */

/*
 * Answers a checkpoint that is to go, or NULL: one that somebody wants removed, or that was refused
 * and is the oldest (unless none that counts was ever there: it is all that there is of the job),
 * else the oldest beyond the retained. Only the cleaner takes any out.
 */
static tarn__retained *find_surplus(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    tarn__retained *found = NULL;
    tarn__retained *oldest = NULL;
    uint32_t count = 0;
    for (tarn__retained *r = store->retained; r != NULL; r = r->next) {
        if (!r->is_put_off) {
            found = found == NULL && r->is_surplus ? r : found;
            oldest = oldest == NULL && !r->is_pinned ? r : oldest;
            const bool counts = !r->is_pinned && !r->is_refused;
            count += counts ? 1 : 0;
            store->had_counted = store->had_counted || (counts && !r->is_surplus);
        }
    }
    const bool is_last_refused = oldest != NULL && oldest->is_refused && store->had_counted;
    if (found == NULL && (is_last_refused || count > store->options.retained_count)) {
        found = oldest;
    }
    pthread_mutex_unlock(&store->mutex);
    return found;
}

void tarn__store_discard(tarn_checkpoint_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->mutex);
    for (tarn__retained *r = store->retained; r != NULL; r = r->next) {
        const bool is_ours = r->address[0] == '\0' || !r->is_pinned;
        r->is_surplus = r->is_surplus || (r->id == id && is_ours);
    }
    pthread_mutex_unlock(&store->mutex);
    tarn__store_clean(store);
}

static void condemn(tarn_checkpoint_store *store, tarn__retained *record)
{
    pthread_mutex_lock(&store->mutex);
    tarn__retained **place = &store->retained;
    while (*place != record) {
        place = &(*place)->next;
    }
    *place = record->next;
    store->retained_count--;
    for (uint32_t i = 0; i < record->count; i++) {
        tarn__registry_unref(&store->registry, &record->contents[i]);
    }
    record->count = 0;
    if (record->address[0] == '\0') {
        record->next = store->condemned;
        store->condemned = record;
        record = NULL;
    }
    pthread_mutex_unlock(&store->mutex);
    tarn__retained_free(record); /* Of a claimed one nothing is left to be deleted. */
}

/* Makes a checkpoint invisible, and a claimed one go altogether. */
static tarn_status withdraw(
    tarn_checkpoint_store *store, const tarn__retained *record, tarn_error *error)
{
    if (record->address[0] != '\0') {
        return tarn__claim_release(store, record, error);
    }
    TARN_TRY(tarn__store_remove_metadata(store, record->id, error));
    return record->is_pinned ? tarn__claim_forget(store, record->id, error) : TARN_OK;
}

static void put_off(tarn_checkpoint_store *store, tarn__retained *record)
{
    pthread_mutex_lock(&store->mutex);
    record->is_put_off = true;
    pthread_mutex_unlock(&store->mutex);
}

/* What an earlier cleaning put off is tried again. */
static void forget_put_off(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    for (tarn__retained *r = store->retained; r != NULL; r = r->next) {
        r->is_put_off = false;
    }
    pthread_mutex_unlock(&store->mutex);
}

/* One that cannot go keeps no other from going. */
static void condemn_surplus(tarn_checkpoint_store *store)
{
    tarn__retained *oldest = NULL;
    forget_put_off(store);
    while (tarn__store_deletes(store) && (oldest = find_surplus(store)) != NULL) {
        tarn_error error;
        const bool is_here = oldest->address[0] == '\0';
        if (is_here && !tarn__doubts_let_remove(store, oldest->id)) {
            put_off(store, oldest);
        } else if (withdraw(store, oldest, &error) != TARN_OK) {
            tarn__store_log(
                store, "checkpoint %" PRIu64 " is deleted later: %s", oldest->id, error.message);
            tarn__store_note_undeleted(store);
            put_off(store, oldest);
        } else {
            condemn(store, oldest);
        }
    }
}

/* Deletes what is left of one; false: it is kept in mind. */
static bool execute(tarn_checkpoint_store *store, const tarn__retained *record)
{
    tarn_error error;
    if (!tarn__store_deletes(store)) {
        return false;
    }
    const tarn_status removed = record->attempt != 0
                                    ? remove_files(store, record->id, record->attempt, &error)
                                    : tarn__store_remove_directory(store, record->id, &error);
    if (removed != TARN_OK) {
        tarn__store_note_undeleted(store);
        tarn__store_log(
            store,
            "files of checkpoint %" PRIu64 " are deleted later: %s",
            record->id,
            error.message);
    }
    return removed == TARN_OK;
}

static void execute_condemned(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    tarn__retained *record = store->condemned;
    store->condemned = NULL;
    pthread_mutex_unlock(&store->mutex);
    while (record != NULL) {
        tarn__retained *next = record->next;
        if (execute(store, record)) {
            tarn__retained_free(record);
        } else {
            pthread_mutex_lock(&store->mutex);
            record->next = store->condemned;
            store->condemned = record;
            pthread_mutex_unlock(&store->mutex);
        }
        record = next;
    }
}

/* --- Shared files --- */

static tarn_status remove_contents(
    tarn_checkpoint_store *store, const tarn__content *contents, uint32_t count)
{
    char texts[BATCH][TARN__CONTENT_NAME_BYTES];
    const char *names[BATCH];
    for (uint32_t i = 0; i < count; i++) {
        tarn__content_name(&contents[i], texts[i]);
        names[i] = texts[i];
    }
    tarn_error error;
    const tarn_status status = tarn__storage_remove(store->storage, names, count, &error);
    if (status != TARN_OK) {
        tarn__store_note_undeleted(store);
        tarn__store_log(store, "shared files are deleted later: %s", error.message);
    }
    return status;
}

static void collect_garbage(tarn_checkpoint_store *store)
{
    tarn_status status = TARN_OK;
    while (status == TARN_OK && tarn__store_deletes(store) && tarn__doubts_let_delete(store)) {
        tarn__content contents[BATCH];
        pthread_mutex_lock(&store->mutex);
        if (tarn__doubts_matter(store)) { /* What was given back since asks anew. */
            pthread_mutex_unlock(&store->mutex);
            continue;
        }
        const uint32_t count = tarn__registry_doom(&store->registry, contents, BATCH);
        const bool keeps_shared = store->keeps_shared;
        pthread_mutex_unlock(&store->mutex);
        if (count == 0) {
            return;
        }
        /* With a checkpoint that cannot be read, files are forgotten, not deleted. */
        status = keeps_shared ? TARN_OK : remove_contents(store, contents, count);
        pthread_mutex_lock(&store->mutex);
        for (uint32_t i = 0; i < count; i++) {
            if (status == TARN_OK) {
                tarn__registry_forget(&store->registry, &contents[i]);
            } else {
                tarn__registry_spare(&store->registry, &contents[i]);
            }
        }
        pthread_cond_broadcast(&store->undoomed);
        pthread_mutex_unlock(&store->mutex);
    }
}

void tarn__store_clean(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    const bool is_mine = !store->is_cleaning;
    store->is_cleaning = true;
    store->must_clean_again = !is_mine;
    pthread_mutex_unlock(&store->mutex);
    bool goes_on = is_mine;
    while (goes_on) {
        condemn_surplus(store);
        execute_condemned(store);
        collect_garbage(store);
        pthread_mutex_lock(&store->mutex);
        goes_on = store->must_clean_again;
        store->must_clean_again = false;
        store->is_cleaning = goes_on;
        pthread_mutex_unlock(&store->mutex);
    }
}

tarn_status tarn_checkpoint_remove(tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    if (store == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "store is missing");
    }
    pthread_mutex_lock(&store->mutex);
    const tarn__retained *record = store->retained;
    while (record != NULL && (record->id != id || record->is_surplus)) {
        record = record->next;
    }
    pthread_mutex_unlock(&store->mutex);
    if (record == NULL) {
        return TARN_NOT_FOUND;
    }
    tarn__store_discard(store, id);
    return TARN_OK;
}
