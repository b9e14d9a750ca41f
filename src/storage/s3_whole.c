/*
 * s3_whole.c - objects from a source and into a sink, with one request each.
 *
 * Nothing is held in memory: the client's thread asks the source for what it sends next, and gives
 * the sink what has come. What is signed is read twice, as its digest stands in the head.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/try.h"
#include "storage/s3_private.h"

enum {
    WHOLE_BYTES_MAX = 128 << 20, /* Beyond this a lost connection costs more than parts do. */
    DIGEST_PIECE_BYTES = 256 << 10,
};

/* --- Sending --- */

static tarn_status digest_pieces(
    tarn__s3_call *call, tarn__sha256_stream *stream, uint8_t *piece, tarn_error *error)
{
    for (uint64_t offset = 0; offset < call->source_bytes;) {
        const uint64_t left = call->source_bytes - offset;
        const size_t wanted = left < DIGEST_PIECE_BYTES ? (size_t)left : DIGEST_PIECE_BYTES;
        size_t got = 0;
        TARN_TRY(call->source(call->source_context, offset, piece, wanted, &got, error));
        if (got < wanted) {
            return tarn__fail(error, TARN_IO_ERROR, "%.300s became shorter", call->name);
        }
        if (!tarn__sha256_update(stream, tarn_bytes_at(piece, got))) {
            return tarn__fail_no_memory(error, "a digest", got);
        }
        offset += got;
    }
    return TARN_OK;
}

static tarn_status digest_source(tarn__s3 *self, tarn__s3_call *call, tarn_error *error)
{
    uint8_t *piece = tarn__allocate(self->buffers, DIGEST_PIECE_BYTES);
    tarn__sha256_stream *stream = piece != NULL ? tarn__sha256_begin() : NULL;
    if (stream == NULL) {
        tarn__release(piece);
        return tarn__fail_no_memory(error, "a digest", DIGEST_PIECE_BYTES);
    }
    const tarn_status status = digest_pieces(call, stream, piece, error);
    const bool is_good = tarn__sha256_end(stream, status == TARN_OK ? call->digest : NULL);
    tarn__release(piece);
    TARN_TRY(status);
    return is_good ? TARN_OK : tarn__fail_no_memory(error, "a digest", sizeof call->digest);
}

tarn_status tarn__s3_put(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    uint64_t size,
    tarn_storage_source *source,
    void *context,
    tarn_error *error)
{
    tarn__s3 *self = (tarn__s3 *)base;
    if (size > WHOLE_BYTES_MAX || (flags & TARN_UPLOAD_IF_ABSENT) != 0) {
        /* Who is to be the first is told by a token, which an upload keeps over its attempts. */
        return TARN_NOT_SUPPORTED;
    }
    tarn__s3_call *call = NULL;
    TARN_TRY(tarn__s3_call_new(self, &call, error));
    call->method = "PUT";
    call->name = name;
    call->has_body = true;
    call->source = source;
    call->source_context = context;
    call->source_bytes = size;
    tarn_status status = TARN_OK;
    if (self->signs_payload || size < TARN__S3_SMALL_BODY_BYTES) {
        status = digest_source(self, call, error);
    }
    if (status == TARN_OK) {
        status = tarn__s3_call_perform(self, call, error);
    }
    tarn__s3_call_free(call);
    return status;
}

/* --- Receiving --- */

/* A 200 may be the answer to what the connection was used for before, come twice. */
static bool begins_at(const tarn__http_head *head, int status, const void *context)
{
    const uint64_t *offset = context;
    return status >= 300 || (status == 206 && head->has_range && head->range_begin == *offset);
}

static tarn_status end_get(
    tarn__s3 *self, tarn__s3_call *call, uint64_t offset, tarn_status status, tarn_error *error)
{
    const tarn__http_reply *reply = &call->transfer.reply;
    if (status != TARN_OK) {
        return reply->status == 416 && call->transfer.error.status == TARN_OK ? TARN_OK : status;
    }
    const bool is_whole = begins_at(&reply->head, reply->status, &offset) &&
                          reply->head.range_end - offset + 1 == reply->size;
    return is_whole ? TARN_OK
                    : tarn__fail(
                          error,
                          TARN_REMOTE_ERROR,
                          "GET %.200s/%.200s: the server sent other bytes than those at %" PRIu64,
                          self->base.address,
                          call->name,
                          offset);
}

tarn_status tarn__s3_get(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    uint64_t size,
    tarn_storage_sink *sink,
    void *context,
    tarn_error *error)
{
    tarn__s3 *self = (tarn__s3 *)base;
    if (size == 0 || offset > INT64_MAX - size) {
        return TARN_OK;
    }
    tarn__s3_call *call = NULL;
    TARN_TRY(tarn__s3_call_new(self, &call, error));
    char range[64];
    snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-%" PRIu64, offset, offset + size - 1);
    call->method = "GET";
    call->name = name;
    call->header[0] = range;
    call->sink = sink;
    call->sink_context = context;
    call->is_expected = begins_at;
    call->expected = &offset;
    call->limit = size;
    tarn_error own = {.status = TARN_OK};
    tarn_status status = tarn__s3_call_perform(self, call, &own);
    status = end_get(self, call, offset, status, &own);
    if (status == TARN_OK && offset == 0 && call->transfer.reply.size == 0) {
        status = tarn__s3_confirm_empty(self, name, &own);
    }
    if (status != TARN_OK && error != NULL) {
        *error = own;
    }
    tarn__s3_call_free(call);
    return status;
}
