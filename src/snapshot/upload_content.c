/*
 * upload_content.c - the bytes of a local file, read once: digested, compressed, sent or kept.
 *
 *     buffer  [raw: a frame's worth, or all of it][frame, when the file is compressed]
 */
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "snapshot/transfer.h"
#include "snapshot/upload_private.h"

enum { DIGEST_BYTES = 128 << 10 };

/* ---- into an object --------------------------------------------------------------------- */

static tarn_status send_part(
    tarn__upload *upload, tarn__upload_sink *sink, tarn_bytes part, tarn_error *error)
{
    if (sink->whole != NULL) {
        tarn__hasher_update(sink->whole, part);
    }
    sink->stored_bytes += part.size;
    if (sink->target != NULL && part.size > 0) {
        TARN_TRY(tarn__storage_append(sink->target, part, error));
    }
    if (sink->target != NULL || sink->is_progress) {
        atomic_fetch_add(&upload->uploaded_bytes, part.size);
    }
    return TARN_OK;
}

static tarn_status send_frame(
    tarn__upload *upload,
    tarn__codec codec,
    tarn_bytes raw,
    uint8_t *frame,
    tarn__upload_sink *sink,
    tarn_error *error)
{
    const size_t size = tarn__frame_encode(codec, raw, frame);
    return send_part(upload, sink, tarn_bytes_at(frame, size), error);
}

static bool is_compressed(const tarn__upload *upload, uint32_t i)
{
    return upload->options.packing.codec != TARN__CODEC_NONE && !upload->is_table[i] &&
           !upload->parts[i].is_shared &&
           upload->known[i].identity.size >= TARN__UPLOAD_COMPRESSED_BYTES_MIN;
}

/* How much is read at once. What goes nowhere is read in pieces that the processor's cache still
 * has when they are digested. */
static size_t chunk_of(tarn__codec codec, const tarn__upload_sink *sink)
{
    if (codec != TARN__CODEC_NONE) {
        return TARN__FRAME_RAW_BYTES_MAX;
    }
    return sink->target != NULL ? TARN__TRANSFER_BUFFER_BYTES : DIGEST_BYTES;
}

static tarn_status copy(
    tarn__upload *upload,
    tarn__codec codec,
    const tarn__upload_source *s,
    uint8_t *buffer,
    tarn__upload_sink *sink,
    tarn__content *out,
    tarn_error *error)
{
    const size_t chunk = chunk_of(codec, sink);
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    uint64_t offset = 0;
    size_t got = chunk;
    while (got == chunk) {
        TARN_TRY(tarn__upload_check_wanted(upload, error));
        TARN_TRY(tarn__file_read(s->calls, s->file, offset, buffer, chunk, &got, s->path, error));
        const tarn_bytes part = tarn_bytes_at(buffer, got);
        tarn__hasher_update(&hasher, part);
        if (codec == TARN__CODEC_NONE) {
            TARN_TRY(send_part(upload, sink, part, error));
        } else if (got > 0) {
            TARN_TRY(send_frame(upload, codec, part, buffer + chunk, sink, error));
        }
        offset += got;
    }
    *out = (tarn__content){.digest = tarn__hasher_digest(&hasher), .size = offset};
    return TARN_OK;
}

tarn_status tarn__upload_content(
    tarn__upload *upload,
    uint32_t i,
    const tarn__upload_source *source,
    uint8_t *buffer,
    tarn__upload_sink *sink,
    tarn_error *error)
{
    tarn__file_part *part = &upload->parts[i];
    if (!is_compressed(upload, i)) {
        return copy(upload, TARN__CODEC_NONE, source, buffer, sink, &part->content, error);
    }
    const tarn__codec codec = upload->options.packing.codec;
    uint8_t header[TARN__FRAMES_HEADER_BYTES];
    tarn__frames_encode_header(codec, header);
    TARN_TRY(send_part(upload, sink, tarn_bytes_at(header, sizeof header), error));
    TARN_TRY(copy(upload, codec, source, buffer, sink, &part->content, error));
    TARN_TRY(send_frame(upload, codec, tarn_bytes_at(NULL, 0), buffer, sink, error));
    part->codec = (uint8_t)codec;
    part->compressed_size = sink->stored_bytes;
    return TARN_OK;
}

/* ---- into the metadata ------------------------------------------------------------------ */

/* What inline files of one subtask may have together, so that many fit into one metadata. */
static uint64_t inline_budget(const tarn__upload_options *options)
{
    const uint64_t share = TARN__UPLOAD_INLINE_OPERATOR_BYTES_MAX /
                           (options->parallelism > 0 ? options->parallelism : 1);
    return share < TARN__UPLOAD_INLINE_BYTES_MAX ? share : TARN__UPLOAD_INLINE_BYTES_MAX;
}

/* Compresses a whole file of raw bytes at buffer into out, behind it; answers the size. */
static size_t compress(tarn__codec codec, tarn_bytes raw, uint8_t *out)
{
    const uint8_t *data = raw.data;
    tarn__frames_encode_header(codec, out);
    size_t size = TARN__FRAMES_HEADER_BYTES;
    for (size_t at = 0; at < raw.size; at += TARN__FRAME_RAW_BYTES_MAX) {
        const size_t left = raw.size - at;
        const size_t part =
            left < TARN__FRAME_RAW_BYTES_MAX ? left : (size_t)TARN__FRAME_RAW_BYTES_MAX;
        size += tarn__frame_encode(codec, tarn_bytes_at(data + at, part), out + size);
    }
    return size + tarn__frame_encode(codec, tarn_bytes_at(NULL, 0), out + size);
}

enum {
    HALF_BYTES =
        TARN__TRANSFER_BUFFER_BYTES / 2, /* Of the file; the other half is of its frames, */
    RAW_BYTES_MAX = HALF_BYTES - 4096,   /* whose heads need room, too. */
};

static tarn_status keep(
    tarn__upload *upload, uint32_t i, const tarn__upload_source *s, tarn_error *error)
{
    tarn__file_part *part = &upload->parts[i];
    const uint64_t size = upload->known[i].identity.size;
    size_t got = 0;
    TARN_TRY(tarn__file_read(
        s->calls, s->file, 0, upload->buffer, (size_t)size + 1, &got, s->path, error));
    tarn_bytes stored = tarn_bytes_at(upload->buffer, got);
    part->content = (tarn__content){.digest = tarn__digest_of(stored), .size = got};
    TARN_TRY(tarn__upload_check_size(upload, i, s, error));
    if (is_compressed(upload, i)) {
        uint8_t *out = upload->buffer + HALF_BYTES;
        const size_t compressed = compress(upload->options.packing.codec, stored, out);
        if (compressed < stored.size) {
            stored = tarn_bytes_at(out, compressed);
            part->codec = (uint8_t)upload->options.packing.codec;
            part->compressed_size = compressed;
        }
    }
    const void *copy = tarn__arena_copy(&upload->arena, stored);
    if (copy == NULL) {
        return tarn__fail_no_memory(error, "an inline file", stored.size);
    }
    part->inlined = tarn_bytes_at(copy, stored.size);
    part->is_inline = true;
    part->path = "";
    upload->known[i].digest = part->content.digest;
    return TARN_OK;
}

static tarn_status keep_file(tarn__upload *upload, uint32_t i, uint64_t *left, tarn_error *error)
{
    tarn__local_identity *identity = &upload->known[i].identity;
    TARN_AUTO(tarn__upload_close) tarn__upload_source s = {.file = -1};
    TARN_TRY(tarn__upload_open_source(upload, i, &s, error));
    TARN_TRY(tarn__local_identify(s.calls, s.file, s.path, identity, error));
    if (identity->size > upload->options.packing.inline_bytes || identity->size > *left ||
        identity->size > RAW_BYTES_MAX) {
        return TARN_OK;
    }
    TARN_TRY(keep(upload, i, &s, error));
    const uint64_t stored = tarn__file_stored_size(&upload->parts[i]);
    *left -= stored;
    atomic_fetch_add(&upload->total_bytes, identity->size);
    atomic_fetch_add(&upload->uploaded_bytes, stored);
    tarn__upload_count_uploaded(upload, stored);
    return TARN_OK;
}

tarn_status tarn__upload_inline(tarn__upload *upload, bool *is_done, tarn_error *error)
{
    uint64_t left = inline_budget(&upload->options);
    for (uint32_t i = 0; upload->options.packing.inline_bytes > 0 && i < upload->file_count; i++) {
        if (!upload->parts[i].is_shared) {
            TARN_TRY(keep_file(upload, i, &left, error));
            is_done[i] = upload->parts[i].is_inline;
        }
    }
    return TARN_OK;
}
