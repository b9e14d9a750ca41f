/*
 * upload_named.c - files whose name comes before their bytes: digested first, they are read again
 * to be sent, and digested again on the way.
 */
#include "base/try.h"
#include "snapshot/checkpoint.h"
#include "snapshot/transfer.h"
#include "snapshot/upload_private.h"

/* A local file as the source of an object. */
typedef struct named_source {
    tarn__upload *upload;
    const tarn__upload_source *file;
    uint64_t furthest;   /* Bytes that were read, those that were read again once. */
    tarn__hasher hasher; /* Of the latest reading, from its beginning to at. */
    uint64_t at;
} named_source;

static tarn_status read_named(
    void *context, uint64_t offset, void *into, size_t size, size_t *got, tarn_error *error)
{
    named_source *n = context;
    const tarn__upload_source *s = n->file;
    TARN_TRY(tarn__upload_check_wanted(n->upload, error));
    TARN_TRY(tarn__file_read(s->calls, s->file, offset, into, size, got, s->path, error));
    if (offset == 0) {
        tarn__hasher_init(&n->hasher);
        n->at = 0;
    }
    if (offset == n->at) {
        tarn__hasher_update(&n->hasher, tarn_bytes_at(into, *got));
        n->at += *got;
    }
    if (offset + *got > n->furthest) {
        atomic_fetch_add(&n->upload->uploaded_bytes, offset + *got - n->furthest);
        n->furthest = offset + *got;
    }
    return TARN_OK;
}

/* What is sent must be what was digested before: an object's name is a promise to later
 * checkpoints.
 */
tarn_status tarn__upload_send_named(
    tarn__upload *upload,
    const tarn__upload_source *s,
    const tarn__content *content,
    uint8_t *buffer,
    tarn_error *error)
{
    tarn_storage *storage = tarn__store_storage(tarn__pending_store(upload->options.checkpoint));
    char name[TARN__CONTENT_NAME_BYTES];
    tarn__content_name(content, name);
    named_source source = {.upload = upload, .file = s};
    tarn__hasher_init(&source.hasher);
    TARN_TRY(tarn__storage_put(
        storage,
        name,
        0,
        content->size,
        read_named,
        &source,
        buffer,
        TARN__TRANSFER_BUFFER_BYTES,
        error));
    const tarn__digest sent = tarn__hasher_digest(&source.hasher);
    if (source.at == content->size && tarn__digest_is_equal(&sent, &content->digest)) {
        return TARN_OK;
    }
    /* It goes with the reference, unless it is sent anew. */
    return tarn__fail(
        error, TARN_CORRUPTION, "%.300s changed while it was being uploaded", s->path);
}
