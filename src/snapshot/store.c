/* store.c - a store's life, and the references that uploads take. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "base/try.h"
#include "snapshot/store_private.h"
#include "snapshot/tree.h"
#include "storage/give_up.h"
#include "storage/uri.h"

void tarn__store_log(tarn_checkpoint_store *store, const char *format, ...)
{
    if (store->options.log == NULL) {
        return;
    }
    char message[TARN_ERROR_MESSAGE_BYTES + 128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    store->options.log(message, store->options.log_context);
}

/* --- Retained checkpoints --- */

tarn__retained *tarn__retained_new(tarn__account *account, uint64_t id, uint64_t count)
{
    tarn__retained *record = NULL;
    if (count <= UINT32_MAX && count <= (SIZE_MAX - sizeof *record) / sizeof *record->contents) {
        record = tarn__allocate_zeroed(
            account, 1, sizeof *record + (size_t)count * sizeof *record->contents);
    }
    if (record != NULL) {
        record->id = id;
        record->address = "";
    }
    return record;
}

void tarn__retained_free(tarn__retained *record)
{
    if (record != NULL) {
        tarn__release(record->own_address);
        tarn__release(record);
    }
}

uint32_t tarn__subtask_shared_count(const tarn__subtask *subtask)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        count += subtask->files[i].is_shared ? 1 : 0;
    }
    return count;
}

void tarn__retained_add(tarn__retained *record, const tarn__subtask *subtask)
{
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        if (subtask->files[i].is_shared) {
            record->contents[record->count++] = *tarn__file_object(&subtask->files[i]);
        }
    }
}

tarn__retained *tarn__store_find_own(tarn_checkpoint_store *store, uint64_t id)
{
    tarn__retained *r = store->retained;
    while (r != NULL && (r->id != id || r->address[0] != '\0')) {
        r = r->next;
    }
    return r;
}

void tarn__store_retain(tarn_checkpoint_store *store, tarn__retained *record)
{
    tarn__retained **place = &store->retained;
    while (*place != NULL && (*place)->id < record->id) {
        place = &(*place)->next;
    }
    record->next = *place;
    *place = record;
    store->retained_count++;
}

/* --- Names --- */

void tarn__store_name_directory(
    const tarn_checkpoint_store *store, uint64_t id, char out[TARN__CHECKPOINT_NAME_BYTES])
{
    if (store->is_savepoint) {
        out[0] = '\0';
    } else {
        tarn__checkpoint_name(id, out);
    }
}

void tarn__store_name_metadata(
    const tarn_checkpoint_store *store, uint64_t id, char out[TARN__CHECKPOINT_NAME_BYTES])
{
    if (store->is_savepoint) {
        snprintf(out, TARN__CHECKPOINT_NAME_BYTES, "%s", TARN__METADATA_NAME);
    } else {
        tarn__checkpoint_metadata_name(id, out);
    }
}

/* --- Life --- */

static void free_records(tarn__retained *record)
{
    while (record != NULL) {
        tarn__retained *next = record->next;
        tarn__retained_free(record);
        record = next;
    }
}

void tarn__store_free(tarn_checkpoint_store *store)
{
    free_records(store->retained);
    free_records(store->condemned);
    tarn__registry_clear(&store->registry);
    tarn__release(store->doubts);
    tarn__storage_unlock(store->lock);
    tarn__storage_free(store->storage);
    pthread_cond_destroy(&store->settled);
    pthread_cond_destroy(&store->undoomed);
    pthread_mutex_destroy(&store->mutex);
    tarn__release(store);
}

static tarn_status check_options(const tarn__store_options *options, tarn_error *error)
{
    if (options->address == NULL || options->address[0] == '\0') {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "address is missing");
    }
    if (options->job == NULL || options->job[0] == '\0') {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "job is missing");
    }
    uint64_t id = 0;
    if (!tarn__storage_is_name(tarn_bytes_of(options->job)) || strchr(options->job, '/') != NULL ||
        tarn__checkpoint_parse_name(options->job, &id)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "job \"%.255s\" cannot name a directory: 1 to 255 bytes without '/', not of the form "
            "chk-N, \"..\" or .tarn-",
            options->job);
    }
    return TARN_OK;
}

/* Opens the directory name below the address. */
static tarn_status open_storage(tarn_checkpoint_store *store, const char *name, tarn_error *error)
{
    const tarn__store_options *options = &store->options;
    char address[TARN__CHECKPOINT_PATH_BYTES];
    const size_t size = tarn__uri_plain_size(options->address);
    const char *path = NULL;
    if (tarn__storage_is_local(options->address)) {
        TARN_TRY(tarn__storage_path_of(options->address, &path, error));
    }
    const int written = snprintf(
        address,
        sizeof address,
        "%.*s/%s",
        (int)(size < sizeof address ? size : sizeof address),
        options->address,
        name);
    if (written < 0 || (size_t)written >= sizeof address) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the address %.200s... has %zu bytes, %d are the limit",
            options->address,
            size,
            TARN__CHECKPOINT_PATH_BYTES - 1);
    }
    tarn__storage_options storage_options = options->remote;
    storage_options.address = address;
    storage_options.account = options->account;
    storage_options.calls = options->calls;
    return tarn__storage_open(&storage_options, &store->storage, error);
}

static tarn_status open_job(tarn_checkpoint_store *store, tarn_error *error)
{
    store->storage = store->options.storage;
    if (store->storage == NULL) {
        TARN_TRY(open_storage(store, store->job, error));
    }
    /* Where there is no lock, writers are told apart when they commit: the second is refused. */
    if (store->storage->ops->lock != NULL) {
        TARN_TRY(tarn__storage_lock(store->storage, &store->lock, error));
    }
    return tarn__predecessor_adopt(store, error);
}

/* The random part keeps savepoints of several jobs and attempts apart. */
static tarn_status open_savepoint(tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    char name[TARN__CHECKPOINT_NAME_BYTES + 32];
    const uint64_t random = tarn__random_mix(store->token++) >> 16;
    (void)snprintf(name, sizeof name, "savepoint-%" PRIu64 "-%012" PRIx64, id, random);
    return open_storage(store, name, error);
}

static uint64_t seed_of(const tarn__clock *clock, const void *unique)
{
    const uint64_t now = tarn__random_mix(tarn__clock_monotonic_ns(clock));
    return tarn__random_mix(
        now ^ (uint64_t)tarn__clock_wall_ms(clock) ^ (uint64_t)(uintptr_t)unique);
}

static tarn_status new_store(
    const tarn__store_options *options, tarn_checkpoint_store **out, tarn_error *error)
{
    TARN_TRY(check_options(options, error));
    tarn_checkpoint_store *store = tarn__allocate_zeroed(options->account, 1, sizeof *store);
    if (store == NULL) {
        return tarn__fail_no_memory(error, "a checkpoint store", sizeof *store);
    }
    store->options = *options;
    if (store->options.clock == NULL) {
        store->options.clock = tarn__clock_system();
    }
    if (store->options.kind == 0) {
        store->options.kind = TARN__METADATA_CHECKPOINT;
    }
    store->is_savepoint = tarn__metadata_is_savepoint(store->options.kind);
    snprintf(store->job, sizeof store->job, "%s", options->job);
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->undoomed, NULL);
    pthread_cond_init(&store->settled, NULL);
    tarn__registry_init(&store->registry, options->account);
    store->token = options->token != 0 ? options->token : seed_of(store->options.clock, store);
    *out = store;
    return TARN_OK;
}

tarn_status tarn__store_open(
    const tarn__store_options *options, tarn_checkpoint_store **out, tarn_error *error)
{
    assert(options->retained_count >= 1);
    tarn_checkpoint_store *store = NULL;
    TARN_TRY(new_store(options, &store, error));
    const tarn_status status = open_job(store, error);
    if (status != TARN_OK) {
        store->storage = options->storage != NULL ? NULL : store->storage; /* Not ours yet. */
        tarn__store_free(store);
        return status;
    }
    *out = store;
    return TARN_OK;
}

/* Takes the directory of a savepoint away if it is empty, as that of an abandoned one is. */
static void remove_empty_root(const tarn_checkpoint_store *store)
{
    if (store->storage != NULL) {
        tarn__tree_remove_root(store->storage, store->options.calls);
    }
}

tarn_status tarn__savepoint_begin(
    const tarn__store_options *options,
    uint64_t id,
    tarn_pending_checkpoint **out,
    tarn_error *error)
{
    assert(tarn__metadata_is_savepoint(options->kind));
    tarn_checkpoint_store *store = NULL;
    TARN_TRY(new_store(options, &store, error));
    tarn_status status = open_savepoint(store, id, error);
    if (status == TARN_OK) {
        status = tarn_checkpoint_begin(store, id, out, error);
    }
    if (status != TARN_OK) {
        remove_empty_root(store);
        tarn__store_free(store);
    }
    return status;
}

void tarn__savepoint_end(tarn_checkpoint_store *store)
{
    const tarn__store_options options = store->options;
    remove_empty_root(store);
    tarn__store_free(store);
    if (options.closed != NULL) {
        options.closed(options.closed_context);
    }
}

/* Waits for what ends by itself. Answers how many pending checkpoints do not; then for none. */
static uint32_t await_pending(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    const uint32_t held_count = store->held_count;
    store->is_closing = held_count == 0;
    while (store->is_closing && store->pending_count > 0) {
        pthread_cond_wait(&store->settled, &store->mutex);
    }
    pthread_mutex_unlock(&store->mutex);
    return held_count;
}

tarn_status tarn_checkpoint_store_close(tarn_checkpoint_store *store, tarn_error *error)
{
    if (store == NULL) {
        return TARN_OK;
    }
    const uint32_t held_count = await_pending(store);
    if (held_count > 0) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "the checkpoint store of job \"%s\" has %" PRIu32
            " pending checkpoints or uploads; commit or abandon them first",
            store->job,
            held_count);
    }
    tarn__doubts_close(store);
    const tarn__store_options options = store->options;
    tarn__store_free(store);
    if (options.closed != NULL) {
        options.closed(options.closed_context);
    }
    return TARN_OK;
}

uint64_t tarn_checkpoint_store_next_id(tarn_checkpoint_store *store)
{
    pthread_mutex_lock(&store->mutex);
    const uint64_t id = store->highest_id + 1;
    pthread_mutex_unlock(&store->mutex);
    return id;
}

bool tarn__store_locate(
    tarn_checkpoint_store *store, uint64_t id, bool *is_owned, char *address, size_t address_bytes)
{
    bool is_found = false;
    pthread_mutex_lock(&store->mutex);
    for (const tarn__retained *r = store->retained; r != NULL && !is_found; r = r->next) {
        if (r->id == id && !r->is_refused) {
            is_found = true;
            *is_owned = !r->is_pinned;
            (void)snprintf(address, address_bytes, "%s", r->address);
        }
    }
    pthread_mutex_unlock(&store->mutex);
    return is_found;
}

uint64_t tarn__store_newest(tarn_checkpoint_store *store)
{
    uint64_t id = 0;
    pthread_mutex_lock(&store->mutex);
    for (const tarn__retained *r = store->retained; r != NULL; r = r->next) {
        id = r->address[0] == '\0' && !r->is_refused && r->id > id ? r->id : id;
    }
    pthread_mutex_unlock(&store->mutex);
    return id;
}

uint32_t tarn__store_list(tarn_checkpoint_store *store, uint64_t *ids, uint32_t capacity)
{
    uint32_t count = 0;
    pthread_mutex_lock(&store->mutex);
    for (const tarn__retained *r = store->retained; r != NULL; r = r->next) {
        if (count < capacity && !r->is_refused) {
            ids[count] = r->id;
        }
        count += r->is_refused ? 0 : 1;
    }
    pthread_mutex_unlock(&store->mutex);
    return count;
}

tarn_storage *tarn__store_storage(tarn_checkpoint_store *store)
{
    return store->storage;
}

/* --- References --- */

bool tarn__store_ref_present(tarn_checkpoint_store *store, const tarn__content *content)
{
    pthread_mutex_lock(&store->mutex);
    bool is_present = tarn__registry_state(&store->registry, content) == TARN__CONTENT_PRESENT;
    if (is_present) {
        tarn__content_state before = TARN__CONTENT_ABSENT;
        is_present = tarn__registry_ref(&store->registry, content, &before, NULL) == TARN_OK;
    }
    pthread_mutex_unlock(&store->mutex);
    return is_present;
}

tarn_status tarn__store_ref(
    tarn_checkpoint_store *store, const tarn__content *content, bool *is_present, tarn_error *error)
{
    tarn__content_state before = TARN__CONTENT_ABSENT;
    pthread_mutex_lock(&store->mutex);
    while (tarn__registry_state(&store->registry, content) == TARN__CONTENT_DOOMED) {
        if (tarn__is_given_up()) {
            pthread_mutex_unlock(&store->mutex);
            return tarn__fail(error, TARN_ABANDONED, "the upload was given up");
        }
        pthread_cond_wait(&store->undoomed, &store->mutex);
    }
    const tarn_status status = tarn__registry_ref(&store->registry, content, &before, error);
    pthread_mutex_unlock(&store->mutex);
    TARN_TRY(status);
    *is_present = before == TARN__CONTENT_PRESENT;
    return TARN_OK;
}

void tarn__store_confirm(tarn_checkpoint_store *store, const tarn__content *content)
{
    pthread_mutex_lock(&store->mutex);
    tarn__registry_confirm(&store->registry, content);
    pthread_mutex_unlock(&store->mutex);
}

bool tarn__store_is_doubted(tarn_checkpoint_store *store, const tarn__content *content)
{
    pthread_mutex_lock(&store->mutex);
    const bool is_doubted = tarn__registry_is_doubted(&store->registry, content);
    pthread_mutex_unlock(&store->mutex);
    return is_doubted;
}

bool tarn__store_may_link(const tarn_checkpoint_store *store)
{
    return !atomic_load(&store->takes_no_links);
}

void tarn__store_forbid_links(tarn_checkpoint_store *store)
{
    atomic_store(&store->takes_no_links, true);
}

void tarn__store_unref(tarn_checkpoint_store *store, const tarn__content *contents, uint32_t count)
{
    pthread_mutex_lock(&store->mutex);
    for (uint32_t i = 0; i < count; i++) {
        tarn__registry_unref(&store->registry, &contents[i]);
    }
    pthread_mutex_unlock(&store->mutex);
}
