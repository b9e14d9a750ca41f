/*
 * webhdfs_upload.c - a file on its way to HDFS, under a temporary name until it is whole.
 *
 * When the answer to an append is lost, the file's size tells how much of it arrived; when that to
 * the renaming is lost, or is none to it, the temporary name does: it is gone, and nobody else knew
 * it.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/try.h"
#include "storage/give_up.h"
#include "storage/name.h"
#include "storage/webhdfs_private.h"

enum { BUFFER_BYTES = 4 << 20, FIRST_BUFFER_BYTES = 64 << 10 };

typedef struct webhdfs_upload {
    tarn_storage_upload base;
    uint32_t flags;
    bool is_made;        /* The temporary file exists. */
    bool is_uncertain;   /* What was sent last may have arrived. */
    bool has_data_node;  /* What was sent last went to another server than the one that is asked. */
    uint64_t sent;       /* Bytes that are in the temporary file for certain. */
    size_t taken;        /* Bytes of the caller's part that a failed append() took already. */
    tarn_buffer pending; /* Bytes that are not. */
    char temporary[TARN__WEBHDFS_TEMPORARY_BYTES];
    char name[]; /* Empty: it comes with finish(). */
} webhdfs_upload;

static tarn__webhdfs *storage_of(const webhdfs_upload *upload)
{
    return (tarn__webhdfs *)upload->base.storage;
}

tarn_status tarn__webhdfs_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    tarn__webhdfs *self = (tarn__webhdfs *)base;
    const size_t name_size = name != NULL ? strlen(name) + 1 : 1;
    webhdfs_upload *upload = tarn__allocate_zeroed(self->account, 1, sizeof *upload + name_size);
    if (upload == NULL) {
        return tarn__fail_no_memory(error, "an upload", sizeof *upload + name_size);
    }
    upload->base.storage = base;
    upload->flags = flags;
    upload->pending.allocator = &self->buffers->face;
    memcpy(upload->name, name != NULL ? name : "", name_size);
    snprintf(
        upload->temporary,
        sizeof upload->temporary,
        ".tarn-tmp-%016" PRIx64 "-%" PRIu64,
        self->upload_token,
        (uint64_t)atomic_fetch_add(&self->next_upload, 1));
    *out = &upload->base;
    return TARN_OK;
}

/* After an answer that was lost: what did arrive counts as sent. */
static tarn_status reconcile(webhdfs_upload *upload, tarn_error *error)
{
    tarn__webhdfs *self = storage_of(upload);
    tarn__webhdfs_status there;
    if (!upload->is_uncertain || !upload->is_made) {
        return TARN_OK;
    }
    TARN_TRY(tarn__webhdfs_look(self, upload->temporary, /* is_alone= */ true, &there, error));
    if (there.size < upload->sent || there.size > upload->sent + upload->pending.size) {
        return tarn__fail(
            error,
            TARN_DECLINED,
            "%.200s/%s has %" PRIu64 " bytes where %" PRIu64 " were sent",
            self->base.address,
            upload->temporary,
            there.size,
            upload->sent + upload->pending.size);
    }
    const size_t arrived = (size_t)(there.size - upload->sent);
    memmove(upload->pending.data, upload->pending.data + arrived, upload->pending.size - arrived);
    upload->pending.size -= arrived;
    upload->sent += arrived;
    upload->is_uncertain = false;
    return TARN_OK;
}

/* Makes the temporary file with what is pending, or adds that to it. */
static tarn_status flush(webhdfs_upload *upload, tarn_error *error)
{
    tarn__webhdfs *self = storage_of(upload);
    TARN_TRY(reconcile(upload, error));
    if (upload->is_made && upload->pending.size == 0) {
        return TARN_OK;
    }
    tarn__webhdfs_call *call = NULL;
    TARN_TRY(tarn__webhdfs_call_new(self, &call, error));
    /* Making it again replaces it as a whole, so a lost answer to that needs no look. */
    call->method = upload->is_made ? "POST" : "PUT";
    call->name = upload->temporary;
    call->operation = upload->is_made ? "APPEND" : "CREATE&overwrite=true";
    call->body = tarn_buffer_bytes(&upload->pending);
    call->has_body = true;
    const tarn_status status = tarn__webhdfs_call_perform(self, call, error);
    upload->has_data_node = call->is_elsewhere;
    tarn__webhdfs_call_free(call);
    if (status != TARN_OK) {
        upload->is_uncertain = true;
        return status;
    }
    upload->is_made = true;
    upload->is_uncertain = false;
    upload->sent += upload->pending.size;
    upload->pending.size = 0;
    return TARN_OK;
}

static tarn_status take(webhdfs_upload *upload, tarn_bytes part, tarn_error *error)
{
    while (upload->taken < part.size) {
        if (upload->pending.size >= BUFFER_BYTES) {
            TARN_TRY(flush(upload, error));
        }
        const size_t left = part.size - upload->taken;
        const size_t room = BUFFER_BYTES - upload->pending.size;
        const size_t some = left < room ? left : room;
        const tarn_bytes bytes = tarn_bytes_at((const uint8_t *)part.data + upload->taken, some);
        if (tarn_buffer_append(&upload->pending, bytes) != TARN_OK) {
            return tarn__fail_no_memory(error, "a part of an upload", some);
        }
        upload->taken += some;
    }
    return TARN_OK;
}

tarn_status tarn__webhdfs_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    webhdfs_upload *upload = (webhdfs_upload *)base;
    TARN_TRY(take(upload, part, error));
    upload->taken = 0;
    return TARN_OK;
}

static void free_upload(webhdfs_upload *upload)
{
    tarn_buffer_clear(&upload->pending);
    tarn__release(upload);
}

/* At worst a temporary file stays that no listing shows. */
static void remove_temporary(const webhdfs_upload *upload)
{
    tarn__webhdfs *self = storage_of(upload);
    tarn__webhdfs_call *call = NULL;
    if (tarn__webhdfs_call_new(self, &call, NULL) == TARN_OK) {
        call->method = "DELETE";
        call->name = upload->temporary;
        call->operation = "DELETE";
        call->is_parting = true;
        (void)!tarn__webhdfs_call_perform(self, call, NULL);
        tarn__webhdfs_call_free(call);
    }
}

void tarn__webhdfs_abandon(tarn_storage_upload *base)
{
    webhdfs_upload *upload = (webhdfs_upload *)base;
    if (upload->is_made || upload->is_uncertain) {
        remove_temporary(upload);
    }
    free_upload(upload);
}

/* --- The name --- */

static tarn_status make_parent(tarn__webhdfs *self, const char *name, tarn_error *error)
{
    char parent[TARN__STORAGE_NAME_BYTES_MAX + 1];
    snprintf(parent, sizeof parent, "%s", name);
    bool is_made = false;
    return tarn__webhdfs_cut_to_parent(parent)
               ? tarn__webhdfs_ask(
                     self, "PUT", parent, "MKDIRS", /* is_alone= */ false, &is_made, error)
               : TARN_OK;
}

/* Reads what has a name into the buffer, which is free: what was uploaded is in the temporary file.
 * As it decides what stays, no answer to another request is taken for it. */
static tarn_status read_named(
    webhdfs_upload *upload, const char *name, uint64_t offset, size_t *got, tarn_error *error)
{
    tarn__webhdfs *self = storage_of(upload);
    tarn__webhdfs_call *call = NULL;
    TARN_TRY(tarn__webhdfs_call_new(self, &call, error));
    call->into = upload->pending.data;
    call->is_alone = true;
    const tarn_status status =
        tarn__webhdfs_open_range(self, call, name, offset, upload->pending.capacity, got, error);
    tarn__webhdfs_call_free(call);
    return status;
}

/* Whether what has the name already are the bytes that the name says. TARN_MISSING: it has gone. */
static tarn_status compare(
    webhdfs_upload *upload,
    const char *name,
    const tarn__webhdfs_status *there,
    bool *is_same,
    tarn_error *error)
{
    tarn__digest digest;
    tarn__hasher hasher;
    uint64_t size = 0;
    *is_same = false;
    if (!tarn__storage_is_content(name, &digest, &size) || there->size != size) {
        return TARN_OK;
    }
    tarn_buffer *buffer = &upload->pending;
    assert(buffer->size == 0);
    if (tarn_buffer_reserve(buffer, FIRST_BUFFER_BYTES) != TARN_OK) {
        return tarn__fail_no_memory(error, "a part of an upload", FIRST_BUFFER_BYTES);
    }
    tarn__hasher_init(&hasher);
    size_t got = buffer->capacity;
    for (uint64_t at = 0; at < size && got == buffer->capacity; at += got) {
        TARN_TRY(read_named(upload, name, at, &got, error));
        tarn__hasher_update(&hasher, tarn_bytes_at(buffer->data, got));
    }
    const tarn__digest found = tarn__hasher_digest(&hasher);
    *is_same = tarn__digest_is_equal(&found, &digest);
    return TARN_OK;
}

/* What there is of an upload that was to have its name. */
typedef struct findings {
    bool has_temporary;
    bool has_name;
    tarn__webhdfs_status temporary;
    tarn__webhdfs_status named;
} findings;

static tarn_status look_for(
    tarn__webhdfs *self, const char *name, bool *is_there, tarn__webhdfs_status *out, tarn_error *e)
{
    const tarn_status status = tarn__webhdfs_look(self, name, /* is_alone= */ true, out, e);
    *is_there = status == TARN_OK;
    return status == TARN_MISSING ? TARN_OK : status;
}

static tarn_status look_at_both(
    const webhdfs_upload *upload, const char *name, findings *out, tarn_error *error)
{
    tarn__webhdfs *self = storage_of(upload);
    TARN_TRY(look_for(self, upload->temporary, &out->has_temporary, &out->temporary, error));
    TARN_TRY(look_for(self, name, &out->has_name, &out->named, error));
    return out->has_temporary || out->has_name ? TARN_OK
                                               : tarn__fail(
                                                     error,
                                                     TARN_DECLINED,
                                                     "%.200s/%s has gone before it was named",
                                                     self->base.address,
                                                     upload->temporary);
}

/*
 * What a refusal means, which the two kinds of server word differently: the name is taken, a
 * directory has gone, or it was done before. *is_done: it was, or another writer did the same.
 *
 * A server that cannot replace in one step has none for a moment. Of a name that says its content
 * somebody may have told meanwhile that it is there, so what is there stays, if its bytes are what
 * the name says; that is read, as something damaged may have the size. Of any other, nothing is
 * given up from the removal on until the caller has named the new one.
 */
static tarn_status judge(webhdfs_upload *upload, const char *name, bool *is_done, tarn_error *error)
{
    tarn__webhdfs *self = storage_of(upload);
    findings found;
    TARN_TRY(look_at_both(upload, name, &found, error));
    *is_done = !found.has_temporary;
    if (*is_done || !found.has_name) {
        return TARN_OK;
    }
    if ((upload->flags & TARN_UPLOAD_IF_ABSENT) != 0) {
        return tarn__fail(
            error, TARN_BUSY, "%.200s/%.200s exists already", self->base.address, name);
    }
    if (found.named.size == found.temporary.size) {
        const tarn_status compared = compare(upload, name, &found.named, is_done, error);
        if (compared == TARN_MISSING) {
            return TARN_OK; /* Nothing is in the way any more. */
        }
        TARN_TRY(compared);
    }
    if (*is_done) {
        remove_temporary(upload);
        return TARN_OK;
    }
    bool is_removed = false;
    (void)tarn__give_up_when(NULL);
    return tarn__webhdfs_ask(
        self, "DELETE", name, "DELETE", /* is_alone= */ true, &is_removed, error);
}

/* After an answer that says neither: only what is there tells whether it was done. */
static tarn_status settle(const webhdfs_upload *upload, const char *name, tarn_error *error)
{
    findings found;
    TARN_TRY(look_at_both(upload, name, &found, error));
    return !found.has_temporary ? TARN_OK
                                : tarn__fail(
                                      error,
                                      TARN_REMOTE_ERROR,
                                      "RENAME %.200s/%.200s: the answer is none to what was asked",
                                      upload->base.storage->address,
                                      name);
}

typedef enum verdict { RENAMED, REFUSED, UNSAID } verdict;

/*
 * A name node has no word for a renaming with options that was done; HttpFS says a boolean. By a
 * connection of its own an empty answer is to this request, if a name node gives it.
 */
static verdict read_verdict(const webhdfs_upload *upload, const tarn__webhdfs_call *call)
{
    bool is_done = false;
    if (tarn__webhdfs_read_boolean(tarn_buffer_bytes(&call->reply), &is_done)) {
        return is_done ? RENAMED : REFUSED;
    }
    return upload->has_data_node && call->transfer.reply.status == 200 && call->reply.size == 0
               ? RENAMED
               : UNSAID;
}

static tarn_status ask_rename(
    const webhdfs_upload *upload, const char *name, verdict *out, tarn_error *error)
{
    tarn__webhdfs *self = storage_of(upload);
    tarn__webhdfs_call *call = NULL;
    TARN_TRY(tarn__webhdfs_call_new(self, &call, error));
    call->method = "PUT";
    call->name = upload->temporary;
    call->operation = (upload->flags & TARN_UPLOAD_IF_ABSENT) != 0
                          ? "RENAME&renameoptions=NONE"
                          : "RENAME&renameoptions=OVERWRITE";
    call->destination = name;
    call->is_alone = true;
    tarn_status status = tarn__webhdfs_call_perform(self, call, error);
    if (status == TARN_OK) {
        *out = read_verdict(upload, call);
    } else if (status == TARN_MISSING || status == TARN_BUSY) {
        *out = REFUSED;
        status = TARN_OK;
    }
    tarn__webhdfs_call_free(call);
    return status;
}

static tarn_status rename_to(webhdfs_upload *upload, const char *name, tarn_error *error)
{
    tarn__webhdfs *self = storage_of(upload);
    for (uint32_t i = 0; i < TARN__WEBHDFS_NAME_ATTEMPTS_MAX; i++) {
        TARN_TRY(make_parent(self, name, error));
        verdict said = UNSAID;
        TARN_TRY(ask_rename(upload, name, &said, error));
        if (said == UNSAID) {
            return settle(upload, name, error);
        }
        bool is_done = said == RENAMED;
        if (!is_done) {
            TARN_TRY(judge(upload, name, &is_done, error));
        }
        if (is_done) {
            return TARN_OK;
        }
    }
    return tarn__fail(
        error, TARN_REMOTE_ERROR, "%.200s/%.200s cannot be named", self->base.address, name);
}

tarn_status tarn__webhdfs_try_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    webhdfs_upload *upload = (webhdfs_upload *)base;
    TARN_TRY(flush(upload, error));
    const atomic_bool *flag = tarn__give_up_flag();
    const tarn_status status = rename_to(upload, name != NULL ? name : upload->name, error);
    (void)tarn__give_up_when(flag);
    TARN_TRY(status);
    free_upload(upload);
    return TARN_OK;
}

tarn_status tarn__webhdfs_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    const tarn_status status = tarn__webhdfs_try_finish(base, name, error);
    if (status != TARN_OK) {
        tarn__webhdfs_abandon(base);
    }
    return status;
}
