/* pending.c - a checkpoint from begin to commit or abandon. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tarn/doubt.h"
#include "tarn/savepoint.h"
#include "tarn/version.h"

#include "base/random.h"
#include "base/try.h"
#include "snapshot/store_private.h"

/* --- Life --- */

static tarn_status take_id(tarn_checkpoint_store *store, uint64_t id, tarn_error *error)
{
    if (id > TARN__CHECKPOINT_ID_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "checkpoint id %" PRIu64 " is too large: at most %" PRIu64 " is allowed",
            id,
            TARN__CHECKPOINT_ID_MAX);
    }
    pthread_mutex_lock(&store->mutex);
    const uint64_t highest = store->highest_id;
    if (id > highest) {
        store->highest_id = id;
        store->is_inherited_pending = store->is_inherited_pending || id == store->inherited_id;
        store->pending_count++;
        store->held_count++;
    }
    pthread_mutex_unlock(&store->mutex);
    return id > highest ? TARN_OK
                        : tarn__fail(
                              error,
                              TARN_INVALID_ARGUMENT,
                              "checkpoint id %" PRIu64 " was used before; the next is %" PRIu64,
                              id,
                              highest + 1);
}

tarn_status tarn_checkpoint_begin(
    tarn_checkpoint_store *store, uint64_t id, tarn_pending_checkpoint **out, tarn_error *error)
{
    if (store == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", store == NULL ? "store" : "out");
    }
    tarn_pending_checkpoint *pending =
        tarn__allocate_zeroed(store->options.account, 1, sizeof *pending);
    if (pending == NULL) {
        return tarn__fail_no_memory(error, "a pending checkpoint", sizeof *pending);
    }
    pending->grave = tarn__retained_new(store->options.account, id, 0);
    tarn_status status = TARN_OK;
    if (pending->grave == NULL) {
        status = tarn__fail_no_memory(error, "a pending checkpoint", sizeof *pending->grave);
    }
    if (status == TARN_OK) {
        status = take_id(store, id, error);
    }
    if (status != TARN_OK) {
        tarn__release(pending->grave);
        tarn__release(pending);
        return status;
    }
    pending->store = store;
    pending->id = id;
    pthread_mutex_lock(&store->mutex);
    pending->attempt = (uint32_t)tarn__random_mix(store->token++) | 1;
    pthread_mutex_unlock(&store->mutex);
    pending->grave->attempt = pending->attempt;
    char name[TARN__CHECKPOINT_NAME_BYTES];
    tarn__store_name_directory(store, id, name);
    (void)snprintf(
        pending->path,
        sizeof pending->path,
        "%s%s%s",
        store->storage->address,
        name[0] != '\0' ? "/" : "",
        name);
    pending->reference_count = 1;
    pending->is_held = true;
    pending->begun_ns = tarn__clock_monotonic_ns(store->options.clock);
    pending->timestamp_ms = tarn__clock_wall_ms(store->options.clock);
    *out = pending;
    return TARN_OK;
}

uint64_t tarn_pending_checkpoint_id(const tarn_pending_checkpoint *checkpoint)
{
    return checkpoint->id;
}

static void free_part(tarn__part *part)
{
    tarn__metadata_clear(&part->metadata);
    tarn__release(part);
}

static const tarn__subtask *subtask_of(const tarn__part *part)
{
    return &part->metadata.subtasks[0];
}

const char *tarn_savepoint_path(const tarn_pending_checkpoint *checkpoint)
{
    return checkpoint->path;
}

/* --- Acknowledging --- */

/*
 * Makes sure that a shared file is stored: an acknowledgement from another process names files that
 * this one has not seen. The reference comes first, so that nobody deletes it meanwhile.
 */
static tarn_status ref_file(
    tarn_checkpoint_store *store, const tarn__file_part *file, tarn_error *error)
{
    const tarn__content *object = tarn__file_object(file);
    bool is_present = false;
    TARN_TRY(tarn__store_ref(store, object, &is_present, error));
    if (is_present) {
        return TARN_OK;
    }
    tarn_storage_info info;
    tarn_status status = tarn__store_is_doubted(store, object)
                             ? tarn__fail(
                                   error,
                                   TARN_CORRUPTION,
                                   "%.200s/%.200s is of a checkpoint that was refused, and was not "
                                   "stored anew",
                                   store->storage->address,
                                   file->path)
                             : tarn__storage_stat(store->storage, file->path, &info, error);
    if (status == TARN_OK && info.size != object->size) {
        status = tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.200s/%.200s has %" PRIu64 " bytes instead of %" PRIu64,
            store->storage->address,
            file->path,
            info.size,
            object->size);
    }
    if (status != TARN_OK) {
        tarn__store_unref(store, object, 1);
        return status;
    }
    tarn__store_confirm(store, object);
    return TARN_OK;
}

/* Gives back the references of the first count files. */
static void unref_files(tarn_checkpoint_store *store, const tarn__subtask *subtask, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (subtask->files[i].is_shared) {
            tarn__store_unref(store, tarn__file_object(&subtask->files[i]), 1);
        }
    }
}

static tarn_status ref_files(
    tarn_checkpoint_store *store, const tarn__subtask *subtask, tarn_error *error)
{
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn_status status =
            subtask->files[i].is_shared ? ref_file(store, &subtask->files[i], error) : TARN_OK;
        if (status != TARN_OK) {
            unref_files(store, subtask, i);
            return status;
        }
    }
    return TARN_OK;
}

/* Under the mutex: where the subtask is among the parts, or where it belongs. */
static uint32_t find_part(const tarn_pending_checkpoint *pending, const tarn__subtask *subtask)
{
    uint32_t low = 0;
    uint32_t high = pending->part_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (tarn__subtask_compare(subtask_of(pending->parts[middle]), subtask) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Under the mutex. */
static tarn_status grow_parts(tarn_pending_checkpoint *pending, tarn_error *error)
{
    if (pending->part_count < pending->part_capacity) {
        return TARN_OK;
    }
    const uint32_t capacity = pending->part_capacity == 0 ? 16 : 2 * pending->part_capacity;
    tarn__part **parts = tarn__reallocate(
        pending->store->options.account, pending->parts, capacity * sizeof(tarn__part *));
    if (parts == NULL) {
        return tarn__fail_no_memory(
            error, "the parts of a checkpoint", capacity * sizeof(tarn__part *));
    }
    pending->parts = parts;
    pending->part_capacity = capacity;
    return TARN_OK;
}

/* Under the mutex: takes a part in, or says in *is_taken that it was there already. */
static tarn_status insert(
    tarn_pending_checkpoint *pending, tarn__part *part, bool *is_taken, tarn_error *error)
{
    const tarn__subtask *subtask = subtask_of(part);
    const uint32_t at = find_part(pending, subtask);
    *is_taken = false;
    if (pending->is_over) {
        return tarn__fail(
            error, TARN_ABANDONED, "checkpoint %" PRIu64 " is over already", pending->id);
    }
    if (at < pending->part_count &&
        tarn__subtask_compare(subtask_of(pending->parts[at]), subtask) == 0) {
        return TARN_OK;
    }
    if (at > 0) {
        TARN_TRY(tarn__subtask_check_pair(subtask_of(pending->parts[at - 1]), subtask, error));
    }
    if (at < pending->part_count) {
        TARN_TRY(tarn__subtask_check_pair(subtask, subtask_of(pending->parts[at]), error));
    }
    TARN_TRY(grow_parts(pending, error));
    memmove(
        pending->parts + at + 1,
        pending->parts + at,
        (pending->part_count - at) * sizeof(tarn__part *));
    pending->parts[at] = part;
    pending->part_count++;
    *is_taken = true;
    return TARN_OK;
}

static tarn_status take_part(
    tarn_pending_checkpoint *pending, tarn__part *part, bool *is_taken, tarn_error *error)
{
    tarn_checkpoint_store *store = pending->store;
    const tarn__subtask *subtask = subtask_of(part);
    if (part->metadata.head.checkpoint_id != pending->id) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "the acknowledgement of subtask %" PRIu32 " of operator \"%.100s\" is for checkpoint "
            "%" PRIu64 ", not %" PRIu64,
            subtask->subtask_index,
            subtask->operator_name,
            part->metadata.head.checkpoint_id,
            pending->id);
    }
    TARN_TRY(
        store->is_savepoint ? tarn__savepoint_check_paths(subtask, store->options.kind, error)
                            : tarn__checkpoint_check_paths(subtask, pending->id, error));
    TARN_TRY(ref_files(store, subtask, error));
    pthread_mutex_lock(&store->mutex);
    const tarn_status status = insert(pending, part, is_taken, error);
    pthread_mutex_unlock(&store->mutex);
    if (!*is_taken) {
        unref_files(store, subtask, subtask->file_count);
    }
    return status;
}

tarn_status tarn_checkpoint_acknowledge(
    tarn_pending_checkpoint *checkpoint, tarn_bytes acknowledgement, tarn_error *error)
{
    if (checkpoint == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "checkpoint is missing");
    }
    tarn__account *account = checkpoint->store->options.account;
    tarn__part *part = tarn__allocate_zeroed(account, 1, sizeof *part);
    if (part == NULL) {
        return tarn__fail_no_memory(error, "a part of a checkpoint", sizeof *part);
    }
    tarn_status status = tarn__metadata_decode(
        acknowledgement, TARN__METADATA_ACKNOWLEDGEMENT, account, &part->metadata, error);
    if (status != TARN_OK) {
        tarn__release(part);
        tarn__error_prefix(error, "acknowledgement");
        return status;
    }
    bool is_taken = false;
    status = take_part(checkpoint, part, &is_taken, error);
    if (!is_taken) {
        free_part(part);
    }
    return status;
}

/* --- The end --- */

/* No upload joins, no part comes in any more. */
static void close_pending(tarn_pending_checkpoint *pending)
{
    pthread_mutex_lock(&pending->store->mutex);
    assert(!pending->is_over);
    pending->is_over = true;
    tarn__pending_note_held(pending);
    pthread_mutex_unlock(&pending->store->mutex);
}

/* Gives back what uploads handed over; contents that no part names become garbage. */
static void release_grants(tarn_pending_checkpoint *pending)
{
    tarn__grant *grant = pending->grants;
    pending->grants = NULL;
    while (grant != NULL) {
        tarn__grant *next = grant->next;
        tarn__store_unref(pending->store, grant->contents, grant->count);
        tarn__release(grant);
        grant = next;
    }
}

/* Frees the parts; their references are given back, or belong to a retained checkpoint now. */
static void release_parts(tarn_pending_checkpoint *pending, bool keeps_references)
{
    for (uint32_t i = 0; i < pending->part_count; i++) {
        if (!keeps_references) {
            const tarn__subtask *subtask = subtask_of(pending->parts[i]);
            unref_files(pending->store, subtask, subtask->file_count);
        }
        free_part(pending->parts[i]);
    }
    pending->part_count = 0;
}

/* Now, unless somebody does it later; the store of a savepoint has no later. */
static void clean(tarn_checkpoint_store *store, bool cleans)
{
    if (cleans || store->is_savepoint) {
        tarn__store_clean(store);
    }
}

/* Under the mutex: the files of its attempt go, those of private names that no metadata has. */
static void bury(tarn_pending_checkpoint *pending)
{
    pending->grave->next = pending->store->condemned;
    pending->store->condemned = pending->grave;
    pending->grave = NULL;
}

/*
 * Takes a checkpoint back that was not committed. Its own files go even if uploads still run: they
 * delete what they write later.
 */
static void withdraw(tarn_pending_checkpoint *pending, bool is_in_doubt, bool cleans, bool was_left)
{
    tarn_checkpoint_store *store = pending->store;
    release_parts(pending, /* keeps_references= */ false);
    release_grants(pending);
    pthread_mutex_lock(&store->mutex);
    if (pending->id == store->inherited_id) {
        store->is_inherited_pending = false;
    }
    if (pending->id == store->unannounced_id) {
        store->unannounced_id = 0;
    }
    if (!is_in_doubt) {
        pending->is_withdrawn = true;
        bury(pending);
    }
    pthread_mutex_unlock(&store->mutex);
    clean(store, cleans);
    tarn__pending_leave(pending, was_left);
}

void tarn__checkpoint_abandon(tarn_pending_checkpoint *pending)
{
    if (pending != NULL) {
        close_pending(pending);
        withdraw(pending, /* is_in_doubt= */ false, /* cleans= */ true, /* was_left= */ false);
    }
}

static void run_errand(void *context)
{
    withdraw(context, /* is_in_doubt= */ false, /* cleans= */ true, /* was_left= */ true);
}

void tarn_checkpoint_abandon(tarn_pending_checkpoint *checkpoint)
{
    if (checkpoint == NULL) {
        return;
    }
    tarn__errands *errands = tarn__pending_errands(checkpoint);
    if (errands == NULL) {
        tarn__checkpoint_abandon(checkpoint);
        return;
    }
    checkpoint->errand = (tarn__errand){.run = run_errand, .context = checkpoint};
    close_pending(checkpoint);
    tarn__pending_expect_leave(checkpoint);
    tarn__errands_leave(errands, &checkpoint->errand);
}

/* Everybody of an operator must have acknowledged: parts are sorted, so gaps show. */
static tarn_status check_complete(const tarn_pending_checkpoint *pending, tarn_error *error)
{
    uint32_t expected = 0;
    for (uint32_t i = 0; i < pending->part_count; i++) {
        const tarn__subtask *subtask = subtask_of(pending->parts[i]);
        const bool is_last =
            i + 1 == pending->part_count ||
            strcmp(subtask->operator_name, subtask_of(pending->parts[i + 1])->operator_name) != 0;
        uint32_t missing = expected;
        bool is_missing = subtask->subtask_index != expected;
        expected = subtask->subtask_index + 1;
        if (!is_missing && is_last && expected != subtask->parallelism) {
            is_missing = true;
            missing = expected;
        }
        if (is_missing) {
            return tarn__fail(
                error,
                TARN_INCOMPATIBLE,
                "checkpoint %" PRIu64 " has no acknowledgement of subtask %" PRIu32
                " of operator \"%s\" (parallelism %" PRIu32 ")",
                pending->id,
                missing,
                subtask->operator_name,
                subtask->parallelism);
        }
        expected = is_last ? 0 : expected;
    }
    return TARN_OK;
}

/* What a commit needs, all of it made before the first byte of _metadata is written. */
typedef struct commit {
    tarn__metadata metadata; /* Its subtasks are borrowed from the parts. */
    tarn_buffer bytes;
    tarn__retained *record;
    bool is_in_doubt; /* _metadata may be there although the write failed. */
} commit;

static tarn_status prepare(tarn_pending_checkpoint *pending, commit *c, tarn_error *error)
{
    tarn_checkpoint_store *store = pending->store;
    tarn__account *account = store->options.account;
    const uint64_t now_ns = tarn__clock_monotonic_ns(store->options.clock);
    c->metadata.head = (tarn__metadata_head){
        .kind = store->options.kind,
        .checkpoint_id = pending->id,
        .timestamp_ms = pending->timestamp_ms,
        .duration_ms = (now_ns - pending->begun_ns) / 1000000,
        .job = store->job,
        .version = tarn_version_string(),
    };
    tarn__arena_init(&c->metadata.arena, account);
    c->metadata.subtasks =
        tarn__arena_allocate(&c->metadata.arena, pending->part_count, sizeof *c->metadata.subtasks);
    if (c->metadata.subtasks == NULL) {
        return tarn__fail_no_memory(
            error, "a commit", pending->part_count * sizeof *c->metadata.subtasks);
    }
    c->metadata.subtask_count = pending->part_count;
    uint64_t shared_count = 0;
    for (uint32_t i = 0; i < pending->part_count; i++) {
        c->metadata.subtasks[i] = *subtask_of(pending->parts[i]);
        c->metadata.head.new_bytes += c->metadata.subtasks[i].new_bytes;
        shared_count += tarn__subtask_shared_count(&c->metadata.subtasks[i]);
    }
    c->record = tarn__retained_new(account, pending->id, shared_count);
    if (c->record == NULL) {
        return tarn__fail_no_memory(error, "a retained checkpoint", (size_t)shared_count);
    }
    c->bytes.allocator = &account->face;
    return tarn__metadata_encode(
        &c->metadata.head, c->metadata.subtasks, c->metadata.subtask_count, &c->bytes, error);
}

/* Writes _metadata. When finishing failed, the name may be there all the same, or come later. */
static tarn_status write_metadata(tarn_pending_checkpoint *pending, commit *c, tarn_error *error)
{
    tarn_checkpoint_store *store = pending->store;
    char name[TARN__CHECKPOINT_NAME_BYTES];
    tarn__store_name_metadata(store, pending->id, name);
    tarn_storage_upload *upload = NULL;
    TARN_TRY(tarn__predecessor_show(pending, error));
    TARN_TRY(tarn__storage_begin(store->storage, name, TARN_UPLOAD_IF_ABSENT, &upload, error));
    tarn_status status = tarn__storage_append(upload, tarn_buffer_bytes(&c->bytes), error);
    if (status != TARN_OK) {
        tarn__storage_abandon(upload);
        return status;
    }
    status = tarn__storage_finish(upload, NULL, error);
    if (status == TARN_OK) {
        return TARN_OK;
    }
    const tarn__commit_end end =
        tarn__commit_settle(store, pending->id, name, tarn_buffer_bytes(&c->bytes), status);
    c->is_in_doubt = end == TARN__COMMIT_IN_DOUBT;
    return end == TARN__COMMIT_DONE ? TARN_OK : status;
}

static void conclude(tarn_pending_checkpoint *pending, commit *c, bool cleans)
{
    tarn_checkpoint_store *store = pending->store;
    for (uint32_t i = 0; i < c->metadata.subtask_count; i++) {
        tarn__retained_add(c->record, &c->metadata.subtasks[i]);
    }
    if (!store->is_savepoint) { /* A savepoint is its owner's from now on. */
        pthread_mutex_lock(&store->mutex);
        tarn__store_retain(store, c->record);
        tarn__predecessor_settled(store, pending->id);
        if (pending->is_announced) {
            bury(pending); /* It has no other private file, or there were no need. */
        }
        pthread_mutex_unlock(&store->mutex);
        c->record = NULL;
    }
    release_parts(pending, /* keeps_references= */ true);
    release_grants(pending);
    clean(store, cleans);
    tarn__pending_leave(pending, /* was_left= */ false);
}

tarn_status tarn__checkpoint_commit(
    tarn_pending_checkpoint *checkpoint,
    bool cleans,
    tarn_checkpoint_summary *summary,
    bool *is_in_doubt,
    tarn_error *error)
{
    close_pending(checkpoint);
    commit c = {.record = NULL};
    tarn_status status = check_complete(checkpoint, error);
    if (status == TARN_OK) {
        status = prepare(checkpoint, &c, error);
    }
    if (status == TARN_OK) {
        status = write_metadata(checkpoint, &c, error);
    }
    if (status == TARN_OK) {
        if (summary != NULL) {
            *summary = tarn__checkpoint_summarize(&c.metadata);
        }
        conclude(checkpoint, &c, cleans);
    } else {
        withdraw(checkpoint, c.is_in_doubt, cleans, /* was_left= */ false);
    }
    *is_in_doubt = c.is_in_doubt;
    tarn_buffer_clear(&c.bytes);
    tarn__arena_clear(&c.metadata.arena);
    tarn__release(c.record);
    return status;
}

tarn_status tarn_checkpoint_commit_or_doubt(
    tarn_pending_checkpoint *checkpoint,
    tarn_checkpoint_summary *summary,
    bool *is_in_doubt,
    tarn_error *error)
{
    if (checkpoint == NULL || is_in_doubt == NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is missing",
            checkpoint == NULL ? "checkpoint" : "is_in_doubt");
    }
    *is_in_doubt = false;
    if (checkpoint->part_count == 0) { /* It would take the place of those that hold something. */
        const uint64_t id = checkpoint->id;
        tarn_checkpoint_abandon(checkpoint);
        return tarn__fail(
            error, TARN_INCOMPATIBLE, "nobody has acknowledged checkpoint %" PRIu64, id);
    }
    return tarn__checkpoint_commit(checkpoint, /* cleans= */ true, summary, is_in_doubt, error);
}

tarn_status tarn_checkpoint_commit(
    tarn_pending_checkpoint *checkpoint, tarn_checkpoint_summary *summary, tarn_error *error)
{
    bool is_in_doubt = false;
    return tarn_checkpoint_commit_or_doubt(checkpoint, summary, &is_in_doubt, error);
}
