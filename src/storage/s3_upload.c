/*
 * s3_upload.c - an object on its way to S3.
 *
 *     append ──► [filling] ──► [sending] [sending] [sending]     at most "parallel" slots
 *                                  │ failed: kept, and sent again when the caller asks again
 *                                  ▼
 *                               ETag of part n
 *     finish ──► one put, when the object fits one part; else the parts are put together
 *
 * Nothing is visible before the last request, which is conditional where the caller wants to be
 * first. When the answer to that request is lost, the next attempt may find an object there: it is
 * told from another writer's by a token that goes with each upload as the object's metadata.
 *
 * append() and try_finish() may be called again after a failure that may pass: what was sent stays
 * sent.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "base/try.h"
#include "storage/s3_private.h"

enum {
    FIRST_BUFFER_BYTES = 64 << 10,
    GROWTH_PARTS = 2500, /* Part sizes double after as many, so that 10,000 parts go a long way. */
    QUERY_BYTES = 3 * TARN__S3_UPLOAD_ID_BYTES + 64,
    PART_XML_BYTES = 2 * TARN__HTTP_ETAG_BYTES + 80,
};

typedef enum slot_state { SLOT_EMPTY, SLOT_FILLING, SLOT_SENDING, SLOT_FAILED } slot_state;

typedef struct slot {
    slot_state state;
    uint32_t number; /* Of the part, from 1. */
    uint8_t *data;   /* Owned; from the account of buffers. */
    size_t size;
    size_t capacity;
    tarn__s3_call *call; /* Owned; kept for the next part. */
    char query[QUERY_BYTES];
} slot;

typedef struct etag {
    char text[TARN__HTTP_ETAG_BYTES];
} etag;

typedef struct s3_upload {
    tarn_storage_upload base;
    uint32_t flags;
    size_t taken; /* Bytes of the caller's part that a failed append() took already. */
    slot slots[TARN__S3_PARALLEL_MAX];
    uint32_t next_slot;  /* Slots are used in turn, so the oldest is the one after the newest. */
    uint32_t part_count; /* Numbers given. */
    etag *etags;         /* [etag_capacity], owned. */
    uint32_t etag_capacity;
    char token_line[32 + TARN__S3_UPLOAD_TOKEN_BYTES];
    char id[TARN__S3_UPLOAD_ID_BYTES]; /* Of the multipart upload; empty: not begun. */
    char id_encoded[3 * TARN__S3_UPLOAD_ID_BYTES];
    char name[];
} s3_upload;

static tarn__s3 *storage_of(const s3_upload *upload)
{
    return (tarn__s3 *)upload->base.storage;
}

static const char *token_of(const s3_upload *upload)
{
    return strchr(upload->token_line, ' ') + 1;
}

tarn_status tarn__s3_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    tarn__s3 *self = (tarn__s3 *)base;
    char key[2 * TARN__URI_PATH_BYTES];
    if (!tarn__s3_key(self, name, key)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the key of \"%.200s\" in %.200s is longer than %d bytes",
            name,
            base->address,
            TARN__S3_KEY_NAME_BYTES_MAX);
    }
    const size_t name_size = strlen(name) + 1;
    s3_upload *upload = tarn__allocate_zeroed(self->account, 1, sizeof *upload + name_size);
    if (upload == NULL) {
        return tarn__fail_no_memory(error, "an upload", sizeof *upload + name_size);
    }
    upload->base.storage = base;
    upload->flags = flags;
    memcpy(upload->name, name, name_size);
    snprintf(
        upload->token_line,
        sizeof upload->token_line,
        "x-amz-meta-tarn-upload: %016" PRIx64 "%016" PRIx64,
        self->token,
        tarn__random_mix(self->token + atomic_fetch_add(&self->next_upload, 1)));
    *out = &upload->base;
    return TARN_OK;
}

/* --- Parts --- */

static uint64_t part_size(const tarn__s3 *self, uint32_t number)
{
    return self->part_bytes << ((number - 1) / GROWTH_PARTS);
}

/* Makes the call of a slot, when it has none yet. */
static tarn_status prepare_call(tarn__s3 *self, slot *s, tarn_error *error)
{
    if (s->call == NULL) {
        s->call = tarn__s3_call_new(self, error);
    }
    return s->call != NULL ? TARN_OK : TARN_NO_MEMORY;
}

static tarn_status start_multipart(s3_upload *upload, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    if (upload->id[0] != '\0') {
        return TARN_OK;
    }
    tarn__s3_call *call = tarn__s3_call_new(self, error);
    if (call == NULL) {
        return TARN_NO_MEMORY;
    }
    tarn_buffer document = {.allocator = &self->account->face};
    call->method = "POST";
    call->name = upload->name;
    call->query = "uploads=";
    call->header[0] = upload->token_line;
    call->has_body = true;
    call->buffer = &document;
    call->limit = TARN__S3_REPLY_BYTES_MAX;
    tarn_status status = tarn__s3_call_perform(self, call, error);
    if (status == TARN_OK && !tarn__s3_read_upload_id(tarn_buffer_bytes(&document), upload->id)) {
        status = tarn__fail(
            error,
            TARN_REMOTE_ERROR,
            "POST %.200s/%.200s: the answer has no id of an upload",
            self->base.address,
            upload->name);
    }
    document.size = 0;
    if (status == TARN_OK &&
        (tarn__uri_encode(&document, tarn_bytes_of(upload->id), /* keeps_slashes= */ false) !=
             TARN_OK ||
         document.size >= sizeof upload->id_encoded)) {
        upload->id[0] = '\0';
        status = tarn__fail_no_memory(error, "the id of an upload", document.size);
    }
    if (status == TARN_OK) {
        memcpy(upload->id_encoded, document.data, document.size);
        upload->id_encoded[document.size] = '\0';
    }
    tarn_buffer_clear(&document);
    tarn__s3_call_free(call);
    return status;
}

static tarn_status send_slot(s3_upload *upload, slot *s, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    TARN_TRY(start_multipart(upload, error));
    TARN_TRY(prepare_call(self, s, error));
    snprintf(
        s->query,
        sizeof s->query,
        "partNumber=%" PRIu32 "&uploadId=%s",
        s->number,
        upload->id_encoded);
    s->call->method = "PUT";
    s->call->name = upload->name;
    s->call->query = s->query;
    s->call->body = tarn_bytes_at(s->data, s->size);
    s->call->has_body = true;
    TARN_TRY(tarn__s3_call_start(self, s->call, error));
    s->state = SLOT_SENDING;
    return TARN_OK;
}

static tarn_status keep_etag(s3_upload *upload, const slot *s, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    if (s->number > upload->etag_capacity) {
        const uint32_t capacity = s->number + 64;
        etag *longer = tarn__reallocate(self->account, upload->etags, capacity * sizeof *longer);
        if (longer == NULL) {
            return tarn__fail_no_memory(error, "the parts of an upload", sizeof *longer);
        }
        upload->etags = longer;
        upload->etag_capacity = capacity;
    }
    upload->etags[s->number - 1] = (etag){.text = ""};
    snprintf(
        upload->etags[s->number - 1].text,
        TARN__HTTP_ETAG_BYTES,
        "%s",
        s->call->transfer.reply.head.etag);
    return TARN_OK;
}

/* Waits for a slot that is sending; on failure it keeps its bytes. */
static tarn_status reap(s3_upload *upload, slot *s, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    s->state = SLOT_FAILED;
    TARN_TRY(tarn__s3_call_wait(self, s->call, error));
    if (s->call->transfer.reply.head.etag[0] == '\0') {
        return tarn__fail(
            error,
            TARN_REMOTE_ERROR,
            "PUT %.200s/%.200s: the answer to part %" PRIu32 " has no ETag",
            self->base.address,
            upload->name,
            s->number);
    }
    TARN_TRY(keep_etag(upload, s, error));
    s->state = SLOT_EMPTY;
    s->size = 0;
    return TARN_OK;
}

/* Sends again what failed before. */
static tarn_status resend(s3_upload *upload, tarn_error *error)
{
    for (uint32_t i = 0; i < TARN__S3_PARALLEL_MAX; i++) {
        if (upload->slots[i].state == SLOT_FAILED) {
            TARN_TRY(send_slot(upload, &upload->slots[i], error));
        }
    }
    return TARN_OK;
}

/* Readies the next slot: it is filling, or empty and begins to; waits while it is sending. */
static tarn_status acquire(s3_upload *upload, slot *s, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    if (s->state == SLOT_SENDING) {
        TARN_TRY(reap(upload, s, error));
    }
    if (s->state == SLOT_EMPTY) {
        if (upload->part_count == TARN__S3_PARTS_MAX) {
            return tarn__fail(
                error,
                TARN_NOT_SUPPORTED,
                "%.200s/%.200s has more than %d parts; raise s3.upload.min.part.size",
                self->base.address,
                upload->name,
                TARN__S3_PARTS_MAX);
        }
        s->number = ++upload->part_count;
        s->size = 0;
        s->state = SLOT_FILLING;
    }
    return TARN_OK;
}

/* Gives the buffers of slots that are sending back, as far as they can be. True: one was. */
static bool free_buffers(s3_upload *upload, const slot *needy)
{
    bool is_freed = false;
    for (uint32_t i = 0; i < TARN__S3_PARALLEL_MAX; i++) {
        slot *s = &upload->slots[i];
        if (s == needy || s->data == NULL) {
            continue;
        }
        if (s->state == SLOT_SENDING && reap(upload, s, NULL) != TARN_OK) {
            continue;
        }
        if (s->state == SLOT_EMPTY) {
            tarn__release(s->data);
            s->data = NULL;
            s->capacity = 0;
            is_freed = true;
        }
    }
    return is_freed;
}

static tarn_status make_room(s3_upload *upload, slot *s, size_t wanted, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    if (s->size < s->capacity) {
        return TARN_OK;
    }
    const uint64_t limit = part_size(self, s->number);
    uint64_t capacity = s->capacity == 0 ? FIRST_BUFFER_BYTES : 2 * (uint64_t)s->capacity;
    while (capacity < s->size + wanted && capacity < limit) {
        capacity *= 2;
    }
    /* The second part tells that the object is large. */
    capacity = capacity > limit || s->number > 1 ? limit : capacity;
    uint8_t *data = tarn__reallocate(self->buffers, s->data, (size_t)capacity);
    if (data == NULL && free_buffers(upload, s)) {
        data = tarn__reallocate(self->buffers, s->data, (size_t)capacity);
    }
    if (data == NULL) {
        return tarn__fail_no_memory(error, "a part of an upload", (size_t)capacity);
    }
    s->data = data;
    s->capacity = (size_t)capacity;
    return TARN_OK;
}

static tarn_status take(s3_upload *upload, tarn_bytes part, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    while (upload->taken < part.size) {
        slot *s = &upload->slots[upload->next_slot];
        TARN_TRY(acquire(upload, s, error));
        if (s->size == part_size(self, s->number)) {
            TARN_TRY(send_slot(upload, s, error));
            upload->next_slot = (upload->next_slot + 1) % self->parallel;
            continue;
        }
        const size_t left = part.size - upload->taken;
        TARN_TRY(make_room(upload, s, left, error));
        const size_t room = s->capacity - s->size;
        const size_t count = left < room ? left : room;
        memcpy(s->data + s->size, (const uint8_t *)part.data + upload->taken, count);
        s->size += count;
        upload->taken += count;
    }
    return TARN_OK;
}

tarn_status tarn__s3_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    s3_upload *upload = (s3_upload *)base;
    TARN_TRY(resend(upload, error));
    TARN_TRY(take(upload, part, error));
    upload->taken = 0;
    return TARN_OK;
}

/* --- The end --- */

static void free_upload(s3_upload *upload)
{
    for (uint32_t i = 0; i < TARN__S3_PARALLEL_MAX; i++) {
        tarn__s3_call_free(upload->slots[i].call);
        tarn__release(upload->slots[i].data);
    }
    tarn__release(upload->etags);
    tarn__release(upload);
}

void tarn__s3_abandon(tarn_storage_upload *base)
{
    s3_upload *upload = (s3_upload *)base;
    tarn__s3 *self = storage_of(upload);
    for (uint32_t i = 0; i < TARN__S3_PARALLEL_MAX; i++) {
        if (upload->slots[i].call != NULL) {
            tarn__http_cancel(&upload->slots[i].call->transfer);
        }
    }
    tarn__s3_call *call = upload->id[0] != '\0' ? tarn__s3_call_new(self, NULL) : NULL;
    if (call != NULL) {
        char query[QUERY_BYTES];
        snprintf(query, sizeof query, "uploadId=%s", upload->id_encoded);
        call->method = "DELETE";
        call->is_parting = true;
        call->name = upload->name;
        call->query = query;
        /* At worst parts stay that no listing shows, until the bucket's own rule removes them. */
        (void)!tarn__s3_call_perform(self, call, NULL);
        tarn__s3_call_free(call);
    }
    free_upload(upload);
}

/* Tells whether the object under the upload's name is what this very upload made. */
static bool is_ours(s3_upload *upload)
{
    tarn__s3 *self = storage_of(upload);
    tarn__s3_call *call = tarn__s3_call_new(self, NULL);
    if (call == NULL) {
        return false;
    }
    call->method = "HEAD";
    call->name = upload->name;
    const bool answer = tarn__s3_call_perform(self, call, NULL) == TARN_OK &&
                        strcmp(call->transfer.reply.head.token, token_of(upload)) == 0;
    tarn__s3_call_free(call);
    return answer;
}

/* Judges the answer to the request that makes the object visible. */
static tarn_status judge(s3_upload *upload, tarn_status status)
{
    if (status == TARN_OK) {
        return TARN_OK;
    }
    /* It may have been sent before: by an earlier attempt, or by curl over a connection that had
     * died meanwhile. */
    const bool may_be_there = status == TARN_BUSY || status == TARN_MISSING;
    return may_be_there && is_ours(upload) ? TARN_OK : status;
}

static void set_condition(const s3_upload *upload, tarn__s3_call *call, uint32_t at)
{
    if ((upload->flags & TARN_UPLOAD_IF_ABSENT) != 0) {
        call->header[at] = "If-None-Match: *";
        call->is_alone = true;
    }
}

static tarn_status put_whole(s3_upload *upload, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    slot *s = &upload->slots[0];
    TARN_TRY(prepare_call(self, s, error));
    s->call->method = "PUT";
    s->call->name = upload->name;
    s->call->query = NULL;
    s->call->body = tarn_bytes_at(s->data, s->size);
    s->call->has_body = true;
    s->call->header[0] = upload->token_line;
    set_condition(upload, s->call, 1);
    return judge(upload, tarn__s3_call_perform(self, s->call, error));
}

static tarn_status append_part(tarn_buffer *out, uint32_t number, const char *text)
{
    /* An ETag has quotes, which XML bears in text; '<' and '&' have no business in it. */
    char line[PART_XML_BYTES];
    if (strpbrk(text, "<&") != NULL) {
        text = "";
    }
    snprintf(
        line,
        sizeof line,
        "<Part><PartNumber>%" PRIu32 "</PartNumber><ETag>%s</ETag></Part>",
        number,
        text);
    return tarn_buffer_append(out, tarn_bytes_of(line));
}

static tarn_status build_completion(const s3_upload *upload, tarn_buffer *out)
{
    TARN_TRY(tarn_buffer_append(out, tarn_bytes_of("<CompleteMultipartUpload>")));
    for (uint32_t i = 0; i < upload->part_count; i++) {
        TARN_TRY(append_part(out, i + 1, upload->etags[i].text));
    }
    return tarn_buffer_append(out, tarn_bytes_of("</CompleteMultipartUpload>"));
}

/* The answer may come late and be an error all the same, although its status was 200 by then. */
static tarn_status complete_once(
    s3_upload *upload,
    tarn__s3_call *call,
    tarn_buffer *request,
    tarn_buffer *answer,
    tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    if (build_completion(upload, request) != TARN_OK) {
        return tarn__fail_no_memory(error, "a request", request->size);
    }
    char query[QUERY_BYTES];
    snprintf(query, sizeof query, "uploadId=%s", upload->id_encoded);
    call->method = "POST";
    call->name = upload->name;
    call->query = query;
    call->body = tarn_buffer_bytes(request);
    call->has_body = true;
    call->buffer = answer;
    call->limit = TARN__S3_REPLY_BYTES_MAX;
    call->header[0] = "Content-Type: application/xml";
    set_condition(upload, call, 1);
    TARN_TRY(tarn__s3_call_perform(self, call, error));
    tarn__s3_problem problem;
    tarn__s3_read_problem(tarn_buffer_bytes(answer), &problem);
    return problem.code[0] == '\0' ? TARN_OK
                                   : tarn__s3_problem_fail(self, call, 200, &problem, error);
}

static tarn_status complete(s3_upload *upload, tarn_error *error)
{
    tarn__s3 *self = storage_of(upload);
    tarn__s3_call *call = tarn__s3_call_new(self, error);
    if (call == NULL) {
        return TARN_NO_MEMORY;
    }
    tarn_buffer request = {.allocator = &self->account->face};
    tarn_buffer answer = {.allocator = &self->account->face};
    const tarn_status status = complete_once(upload, call, &request, &answer, error);
    tarn_buffer_clear(&request);
    tarn_buffer_clear(&answer);
    tarn__s3_call_free(call);
    return judge(upload, status);
}

/* Waits for all parts; the first failure is the one that is answered. */
static tarn_status settle(s3_upload *upload, tarn_error *error)
{
    TARN_TRY(resend(upload, error));
    slot *last = &upload->slots[upload->next_slot];
    if (last->state == SLOT_FILLING) {
        TARN_TRY(send_slot(upload, last, error));
    }
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; i < TARN__S3_PARALLEL_MAX; i++) {
        slot *s = &upload->slots[i];
        if (s->state == SLOT_SENDING) {
            const tarn_status one = reap(upload, s, status == TARN_OK ? error : NULL);
            status = status == TARN_OK ? one : status;
        }
    }
    return status;
}

tarn_status tarn__s3_try_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    assert(name == NULL);
    (void)name;
    s3_upload *upload = (s3_upload *)base;
    tarn_status status = TARN_OK;
    if (upload->id[0] == '\0' && upload->part_count <= 1) {
        status = put_whole(upload, error);
    } else {
        TARN_TRY(settle(upload, error));
        status = complete(upload, error);
    }
    if (status == TARN_OK) {
        free_upload(upload);
    }
    return status;
}

tarn_status tarn__s3_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    const tarn_status status = tarn__s3_try_finish(base, name, error);
    if (status != TARN_OK) {
        tarn__s3_abandon(base);
    }
    return status;
}
