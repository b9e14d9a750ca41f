/* upload.c - see upload.h. */
#include "snapshot/upload.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "snapshot/checkpoint.h"
#include "snapshot/transfer.h"
#include "snapshot/upload_private.h"
#include "storage/give_up.h"

enum { OPERATOR_BYTES = 40 }; /* Of an operator's name that are shown in its directory's. */

void tarn__upload_close(tarn__upload_source *source)
{
    if (source->file >= 0) {
        (void)source->calls->close(source->file, source->calls->context);
    }
}

/* --- Life --- */

/* "chk-7/aircraft-0-<token>": readable, and like no other attempt's, whoever made it. */
static void name_private_directory(tarn__upload *upload)
{
    char chk[TARN__CHECKPOINT_NAME_BYTES];
    char name[OPERATOR_BYTES + 1];
    const tarn__upload_options *options = &upload->options;
    const bool is_savepoint = tarn__metadata_is_savepoint(tarn__pending_kind(options->checkpoint));
    tarn__checkpoint_name(tarn_pending_checkpoint_id(options->checkpoint), chk);
    snprintf(name, sizeof name, "%s", options->operator_name);
    for (char *c = name; *c != '\0'; c++) {
        const bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                              (*c >= '0' && *c <= '9') || *c == '_';
        *c = is_plain ? *c : '_';
    }
    snprintf(
        upload->private_directory,
        sizeof upload->private_directory,
        "%s%s%s-%" PRIu32 "-%016" PRIx64,
        is_savepoint ? "" : chk,
        is_savepoint ? "" : "/",
        name,
        options->subtask_index,
        tarn__pending_token(options->checkpoint));
}

tarn_status tarn__upload_open(
    const tarn__upload_options *options, tarn__upload **out, tarn_error *error)
{
    tarn__upload *upload = tarn__allocate_zeroed(options->account, 1, sizeof *upload);
    if (upload == NULL) {
        return tarn__fail_no_memory(error, "an upload", sizeof *upload);
    }
    upload->options = *options;
    if (upload->options.calls == NULL) {
        upload->options.calls = tarn__file_calls_system();
    }
    tarn__arena_init(&upload->arena, options->account);
    const tarn_status status = tarn__transfer_buffer_new(options->buffers, &upload->buffer, error);
    if (status != TARN_OK) {
        tarn__release(upload);
        return status;
    }
    if (!tarn__pending_join(options->checkpoint)) {
        tarn__release(upload->buffer);
        tarn__release(upload);
        return tarn__fail(error, TARN_ABANDONED, "the checkpoint of the snapshot is over");
    }
    name_private_directory(upload);
    upload->options.operator_name = NULL; /* Borrowed until here. */
    *out = upload;
    return TARN_OK;
}

static void remove_private(tarn__upload *upload)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < upload->file_count; i++) {
        if (upload->private_names[i] != NULL) {
            upload->private_names[count++] = upload->private_names[i];
        }
    }
    tarn_checkpoint_store *store = tarn__pending_store(upload->options.checkpoint);
    if (count == 0 || !tarn__store_deletes(store)) {
        return; /* What stays goes with its checkpoint's directory, or is found as garbage. */
    }
    if (tarn__storage_remove(tarn__store_storage(store), upload->private_names, count, NULL) !=
        TARN_OK) {
        tarn__store_note_undeleted(store);
        tarn__pending_clean_again(upload->options.checkpoint);
    }
}

/* Collects the references into the grant, where they are handed over or given back from. */
static void collect_references(tarn__upload *upload)
{
    upload->grant->count = 0;
    for (uint32_t i = 0; i < upload->file_count; i++) {
        if (upload->has_reference[i]) {
            upload->grant->contents[upload->grant->count++] = *tarn__file_object(&upload->parts[i]);
        }
    }
}

void tarn__upload_free(tarn__upload *upload)
{
    if (upload == NULL) {
        return;
    }
    tarn_pending_checkpoint *pending = upload->options.checkpoint;
    const bool was_left = upload->is_left;
    if (upload->grant != NULL) {
        tarn_checkpoint_store *store = tarn__pending_store(pending);
        remove_private(upload);
        collect_references(upload);
        tarn__store_unref(store, upload->grant->contents, upload->grant->count);
        tarn__release(upload->grant);
        tarn__store_clean(store);
    }
    tarn__release(upload->buffer);
    tarn__arena_clear(&upload->arena);
    tarn__release(upload);
    tarn__pending_leave(pending, was_left);
}

/* --- One file --- */

tarn_status tarn__upload_check_wanted(const tarn__upload *upload, tarn_error *error)
{
    if (atomic_load_explicit(&upload->is_cancelled, memory_order_relaxed)) {
        return tarn__fail(
            error, TARN_ABANDONED, "the upload of %s was cancelled", upload->directory);
    }
    return TARN_OK;
}

void tarn__upload_count_reused(tarn__upload *upload, uint64_t size)
{
    atomic_fetch_add(&upload->reused_count, 1);
    atomic_fetch_add(&upload->reused_bytes, size);
}

void tarn__upload_count_uploaded(tarn__upload *upload, uint64_t size)
{
    atomic_fetch_add(&upload->uploaded_count, 1);
    atomic_fetch_add(&upload->new_bytes, size);
}

/* Starts an object and fills it; on success the caller ends *target. */
static tarn_status send(
    tarn__upload *upload,
    uint32_t i,
    const tarn__upload_source *s,
    const char *name,
    uint8_t *buffer,
    tarn_storage_upload **target,
    tarn_error *error)
{
    tarn_storage *storage = tarn__store_storage(tarn__pending_store(upload->options.checkpoint));
    tarn__upload_sink sink = {.target = NULL};
    TARN_TRY(tarn__storage_begin(storage, name, 0, &sink.target, error));
    const tarn_status status = tarn__upload_content(upload, i, s, buffer, &sink, error);
    if (status != TARN_OK) {
        tarn__storage_abandon(sink.target);
        return status;
    }
    *target = sink.target;
    return TARN_OK;
}

/*
 * Where a name must come first, the file is read twice; what is there already is not sent at all.
 * A link is such a place, too.
 */
static tarn_status upload_shared_named(
    tarn__upload *upload,
    uint32_t i,
    const tarn__upload_source *s,
    uint8_t *buffer,
    tarn_error *error)
{
    tarn_checkpoint_store *store = tarn__pending_store(upload->options.checkpoint);
    tarn__file_part *part = &upload->parts[i];
    const bool links = tarn__upload_links(upload);
    tarn__upload_sink nowhere = {.target = NULL, .is_progress = links};
    TARN_TRY(tarn__upload_content(upload, i, s, buffer, &nowhere, error));
    bool is_present = false;
    TARN_TRY(tarn__store_ref(store, &part->content, &is_present, error));
    upload->has_reference[i] = true;
    if (is_present) {
        tarn__upload_count_reused(upload, part->content.size);
        return TARN_OK;
    }
    tarn_status status = links ? tarn__upload_link(upload, i, s, error) : TARN_NOT_SUPPORTED;
    if (status == TARN_NOT_SUPPORTED) {
        status = tarn__upload_send_named(upload, s, &part->content, buffer, error);
    }
    TARN_TRY(status);
    tarn__store_confirm(store, &part->content);
    tarn__upload_count_uploaded(upload, part->content.size);
    return TARN_OK;
}

/* A shared file gets its name when its digest is known; if that is taken, the copy is dropped. */
static tarn_status upload_shared(
    tarn__upload *upload,
    uint32_t i,
    const tarn__upload_source *s,
    uint8_t *buffer,
    tarn_error *error)
{
    tarn_checkpoint_store *store = tarn__pending_store(upload->options.checkpoint);
    if ((tarn__store_storage(store)->features & TARN_STORAGE_LATE_NAMES) == 0 ||
        tarn__upload_links(upload)) {
        return upload_shared_named(upload, i, s, buffer, error);
    }
    tarn__file_part *part = &upload->parts[i];
    tarn_storage_upload *object = NULL;
    TARN_TRY(send(upload, i, s, NULL, buffer, &object, error));
    bool is_present = false;
    tarn_status status = tarn__store_ref(store, &part->content, &is_present, error);
    if (status != TARN_OK || is_present) {
        tarn__storage_abandon(object);
        upload->has_reference[i] = status == TARN_OK;
        if (status == TARN_OK) {
            tarn__upload_count_reused(upload, part->content.size);
        }
        return status;
    }
    upload->has_reference[i] = true;
    char name[TARN__CONTENT_NAME_BYTES];
    tarn__content_name(&part->content, name);
    status = tarn__storage_finish(object, name, error);
    if (status == TARN_OK) {
        tarn__store_confirm(store, &part->content);
        tarn__upload_count_uploaded(upload, part->content.size);
    }
    return status;
}

static tarn_status upload_private(
    tarn__upload *upload,
    uint32_t i,
    const tarn__upload_source *s,
    uint8_t *buffer,
    tarn_error *error)
{
    tarn__file_part *part = &upload->parts[i];
    tarn_storage_upload *object = NULL;
    TARN_TRY(send(upload, i, s, part->path, buffer, &object, error));
    upload->private_names[i] = part->path; /* Also when finishing fails: it may be there. */
    TARN_TRY(tarn__storage_finish(object, NULL, error));
    tarn__upload_count_uploaded(upload, tarn__file_stored_size(part));
    return TARN_OK;
}

bool tarn__upload_reuse(tarn__upload *upload, uint32_t i)
{
    tarn__file_part *part = &upload->parts[i];
    tarn__base_file *own = &upload->known[i];
    const tarn__base_file *known = tarn__base_find(upload->base, part->local_name, &own->identity);
    if (known == NULL) {
        return false;
    }
    part->content = (tarn__content){.digest = known->digest, .size = own->identity.size};
    part->place = known->place;
    upload->has_reference[i] = tarn__store_ref_present(
        tarn__pending_store(upload->options.checkpoint), tarn__file_object(part));
    if (!upload->has_reference[i]) {
        part->place = (tarn__place){.is_packed = false};
        return false;
    }
    own->digest = known->digest;
    own->place = known->place;
    tarn__upload_count_reused(upload, part->content.size);
    return true;
}

tarn_status tarn__upload_check_size(
    const tarn__upload *upload, uint32_t i, const tarn__upload_source *s, tarn_error *error)
{
    const uint64_t had = upload->known[i].identity.size;
    const uint64_t has = upload->parts[i].content.size;
    return had == has
               ? TARN_OK
               : tarn__fail(
                     error,
                     TARN_IO_ERROR,
                     "%.300s changed while it was uploaded: %" PRIu64 " bytes, then %" PRIu64,
                     s->path,
                     had,
                     has);
}

static tarn_status upload_open_file(
    tarn__upload *upload,
    uint32_t i,
    const tarn__upload_source *s,
    uint8_t *buffer,
    tarn_error *error)
{
    tarn__base_file *known = &upload->known[i];
    tarn__file_part *part = &upload->parts[i];
    TARN_TRY(tarn__local_identify(s->calls, s->file, s->path, &known->identity, error));
    atomic_fetch_add(&upload->total_bytes, known->identity.size);
    if (part->is_shared && !upload->is_wasteful[i] && tarn__upload_reuse(upload, i)) {
        return TARN_OK;
    }
    TARN_TRY(
        part->is_shared ? upload_shared(upload, i, s, buffer, error)
                        : upload_private(upload, i, s, buffer, error));
    known->digest = part->content.digest;
    return tarn__upload_check_size(upload, i, s, error);
}

tarn_status tarn__upload_open_source(
    const tarn__upload *upload, uint32_t i, tarn__upload_source *s, tarn_error *error)
{
    *s = (tarn__upload_source){.calls = upload->options.calls, .file = -1};
    const int size =
        snprintf(s->path, sizeof s->path, "%s/%s", upload->directory, upload->parts[i].local_name);
    if (size < 0 || (size_t)size >= sizeof s->path) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the path %.200s... is too long", s->path);
    }
    return tarn__file_open(s->calls, AT_FDCWD, s->path, O_RDONLY, s->path, &s->file, error);
}

static tarn_status upload_unit(
    tarn__upload *upload, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    const tarn__upload_unit *unit = &upload->units[item];
    TARN_TRY(tarn__upload_check_wanted(upload, error));
    if (tarn__pending_is_over(upload->options.checkpoint)) {
        return tarn__fail(error, TARN_ABANDONED, "the checkpoint of the snapshot is over");
    }
    if (unit->count > 1) {
        return tarn__upload_segment(upload, unit, buffer, error);
    }
    const uint32_t i = upload->order[unit->first];
    TARN_AUTO(tarn__upload_close) tarn__upload_source s = {.file = -1};
    TARN_TRY(tarn__upload_open_source(upload, i, &s, error));
    return upload_open_file(upload, i, &s, buffer, error);
}

/* Its requests end when the upload is cancelled. */
static tarn_status upload_item(void *context, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    tarn__upload *upload = context;
    const atomic_bool *before = tarn__give_up_when(&upload->is_cancelled);
    const tarn_status status = upload_unit(upload, item, buffer, error);
    (void)tarn__give_up_when(before);
    if (status != TARN_OK) {
        TARN_TRY(tarn__upload_check_wanted(upload, error)); /* Which is why it failed. */
    }
    return status;
}

/* --- All files --- */

static const char *make_private_path(tarn__upload *upload, const char *name)
{
    char path[TARN__STORAGE_NAME_BYTES_MAX + 1];
    snprintf(path, sizeof path, "%s/%s", upload->private_directory, name);
    return tarn__arena_copy(&upload->arena, tarn_bytes_of(path));
}

/* The path of a shared file is known when its content is: name_shared(). */
static bool prepare_file(tarn__upload *upload, uint32_t i, const tarn__local_file *file)
{
    const char *name = tarn__arena_copy(&upload->arena, tarn_bytes_of(file->name));
    const bool is_shared = file->is_shared && !tarn__metadata_is_savepoint(
                                                  tarn__pending_kind(upload->options.checkpoint));
    const char *path = is_shared ? "" : make_private_path(upload, file->name);
    if (name == NULL || path == NULL) {
        return false;
    }
    upload->parts[i] = (tarn__file_part){.local_name = name, .path = path, .is_shared = is_shared};
    upload->known[i] = (tarn__base_file){.name = name};
    upload->is_table[i] = file->is_shared;
    return true;
}

static tarn_status prepare_files(
    tarn__upload *upload, const tarn__local_files *files, tarn_error *error)
{
    const uint32_t count = files->count;
    tarn__arena *arena = &upload->arena;
    upload->parts = tarn__arena_allocate(arena, count, sizeof *upload->parts);
    upload->known = tarn__arena_allocate(arena, count, sizeof *upload->known);
    upload->private_names = tarn__arena_allocate(arena, count, sizeof(char *));
    upload->has_reference = tarn__arena_allocate(arena, count, sizeof(bool));
    upload->is_table = tarn__arena_allocate(arena, count, sizeof(bool));
    upload->order = tarn__arena_allocate(arena, count, sizeof *upload->order);
    upload->units = tarn__arena_allocate(arena, count, sizeof *upload->units);
    bool is_prepared = upload->parts != NULL && upload->known != NULL &&
                       upload->private_names != NULL && upload->has_reference != NULL &&
                       upload->is_table != NULL && upload->order != NULL && upload->units != NULL;
    for (uint32_t i = 0; is_prepared && i < count; i++) {
        is_prepared = prepare_file(upload, i, &files->items[i]);
    }
    tarn__grant *grant = NULL;
    if (is_prepared) {
        grant = tarn__allocate_zeroed(
            upload->options.account, 1, sizeof *grant + count * sizeof grant->contents[0]);
    }
    if (grant == NULL) {
        return tarn__fail_no_memory(error, "the files of a snapshot", count * sizeof *grant);
    }
    upload->grant = grant;
    upload->file_count = count;
    atomic_store(&upload->total_count, count);
    return TARN_OK;
}

/* Plans and moves all files, of which the caller holds the buffer. */
static tarn_status move_all(tarn__upload *upload, tarn_error *error)
{
    TARN_TRY(tarn__upload_plan(upload, error));
    const tarn__transfer_options transfer = {
        .account = upload->options.account,
        .buffers = upload->options.buffers,
        .workers = upload->options.workers,
        .parallelism_max = upload->options.parallelism_max,
        .item_count = upload->unit_count,
        .item = upload_item,
        .context = upload,
        .buffer = upload->buffer,
    };
    return tarn__transfer_run(&transfer, error);
}

static tarn_status name_shared(tarn__upload *upload, tarn_error *error)
{
    for (uint32_t i = 0; i < upload->file_count; i++) {
        tarn__file_part *part = &upload->parts[i];
        if (part->is_shared) {
            char name[TARN__CONTENT_NAME_BYTES];
            tarn__content_name(tarn__file_object(part), name);
            part->path = tarn__arena_copy(&upload->arena, tarn_bytes_of(name));
            if (part->path == NULL) {
                return tarn__fail_no_memory(error, "the path of a shared file", sizeof name);
            }
        }
    }
    return TARN_OK;
}

tarn_status tarn__upload_run(
    tarn__upload *upload,
    const char *directory,
    const tarn__local_files *files,
    const tarn__base *base,
    tarn_error *error)
{
    assert(upload->grant == NULL && !upload->is_run);
    TARN_TRY(prepare_files(upload, files, error));
    upload->directory = directory;
    upload->base = base;
    const tarn_status status = move_all(upload, error);
    upload->directory = NULL;
    upload->base = NULL;
    tarn__release(upload->buffer); /* The pool needs it more than an upload that has ended. */
    upload->buffer = NULL;
    TARN_TRY(status);
    TARN_TRY(name_shared(upload, error));
    upload->is_run = true;
    return TARN_OK;
}

void tarn__upload_cancel(tarn__upload *upload)
{
    atomic_store(&upload->is_cancelled, true);
}

void tarn__upload_leave(tarn__upload *upload)
{
    upload->is_left = true;
    tarn__upload_cancel(upload);
    tarn__pending_expect_leave(upload->options.checkpoint);
}

void tarn__upload_measure(const tarn__upload *upload, tarn__upload_progress *out)
{
    *out = (tarn__upload_progress){
        .file_count = atomic_load(&upload->total_count),
        .total_bytes = atomic_load(&upload->total_bytes),
        .uploaded_count = atomic_load(&upload->uploaded_count),
        .uploaded_bytes = atomic_load(&upload->uploaded_bytes),
        .linked_count = atomic_load(&upload->linked_count),
        .linked_bytes = atomic_load(&upload->linked_bytes),
        .reused_count = atomic_load(&upload->reused_count),
        .reused_bytes = atomic_load(&upload->reused_bytes),
    };
}

void tarn__upload_describe(const tarn__upload *upload, tarn__subtask *subtask)
{
    assert(upload->is_run);
    subtask->files = upload->parts;
    subtask->file_count = upload->file_count;
    subtask->new_bytes = atomic_load(&upload->new_bytes);
}

tarn_status tarn__upload_copy_base(
    const tarn__upload *upload, tarn__account *account, tarn__base **out, tarn_error *error)
{
    assert(upload->is_run);
    tarn__base_file *files = tarn__allocate_zeroed(account, upload->file_count + 1, sizeof *files);
    if (files == NULL) {
        return tarn__fail_no_memory(error, "a base", upload->file_count * sizeof *files);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < upload->file_count; i++) {
        if (!upload->parts[i].is_inline) { /* Which nobody looks for: the metadata has it. */
            files[count++] = upload->known[i];
        }
    }
    const tarn_status status = tarn__base_new(account, files, count, out, error);
    tarn__release(files);
    return status;
}

tarn_status tarn__upload_keep(tarn__upload *upload, tarn_error *error)
{
    assert(upload->is_run);
    collect_references(upload);
    if (!tarn__pending_keep(upload->options.checkpoint, upload->grant)) {
        return tarn__fail(
            error,
            TARN_ABANDONED,
            "checkpoint %" PRIu64 " was ended before its snapshot",
            tarn_pending_checkpoint_id(upload->options.checkpoint));
    }
    upload->grant = NULL;
    return TARN_OK;
}
