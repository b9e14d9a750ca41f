/* content.c - a file of a checkpoint read from wherever it lies, and compared. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "snapshot/checkpoint.h"

enum { SHOWN_BYTES = 512 };

/* Where a file is: one of many in an object is named with it, and an inline one has no path. */
static const char *show(
    const tarn_storage *storage, const tarn__file_part *file, char out[SHOWN_BYTES])
{
    const bool is_one_of_many = file->place.is_packed && !file->is_inline;
    snprintf(
        out,
        SHOWN_BYTES,
        "%.60s%s%.200s/%.180s",
        is_one_of_many ? file->local_name : "",
        is_one_of_many ? " in " : "",
        storage->address,
        file->is_inline ? file->local_name : file->path);
    return out;
}

tarn_status tarn__checkpoint_check_content(
    const tarn_storage *storage,
    const tarn__file_part *file,
    const tarn__hasher *hasher,
    uint64_t size,
    tarn_error *error)
{
    char place[SHOWN_BYTES];
    if (size != file->content.size) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.380s has %" PRIu64 " bytes, and %" PRIu64 " in the checkpoint",
            show(storage, file, place),
            size,
            file->content.size);
    }
    const tarn__digest digest = tarn__hasher_digest(hasher);
    if (!tarn__digest_is_equal(&digest, &file->content.digest)) {
        char found[TARN__DIGEST_TEXT_BYTES];
        char expected[TARN__DIGEST_TEXT_BYTES];
        tarn__digest_encode(&digest, found);
        tarn__digest_encode(&file->content.digest, expected);
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.380s is damaged: its digest is %s, and %s in the checkpoint",
            show(storage, file, place),
            found,
            expected);
    }
    return TARN_OK;
}

/* A file being read. */
typedef struct reading {
    tarn_storage *storage;
    const tarn__file_part *file;
    tarn__checkpoint_take_fn *take; /* May be NULL. */
    void *context;
    tarn__hasher hasher;
    uint64_t size; /* Of what was taken. */
} reading;

static tarn_status read_stored(
    const reading *r, uint64_t offset, uint8_t *into, size_t wanted, size_t *got, tarn_error *error)
{
    const tarn__file_part *file = r->file;
    if (!file->is_inline) {
        return tarn__storage_read(
            r->storage, file->path, file->place.offset + offset, into, wanted, got, error);
    }
    const uint64_t left = offset < file->inlined.size ? file->inlined.size - offset : 0;
    *got = left < wanted ? (size_t)left : wanted;
    if (*got > 0) {
        memcpy(into, (const uint8_t *)file->inlined.data + offset, *got);
    }
    return TARN_OK;
}

tarn_status tarn__checkpoint_read_at(
    tarn_storage *storage,
    const tarn__file_part *file,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    assert(file->codec == TARN__CODEC_NONE);
    const reading r = {.storage = storage, .file = file};
    if (file->place.is_packed) { /* What follows in the segment is another file's. */
        const uint64_t left = offset < file->content.size ? file->content.size - offset : 0;
        size = left < size ? (size_t)left : size;
    }
    return read_stored(&r, offset, into, size, size_out, error);
}

bool tarn__file_is_table(const tarn__file_part *file)
{
    static const char suffix[] = ".sst";
    const size_t size = strlen(file->local_name);
    return size > sizeof suffix - 1 && file->codec == TARN__CODEC_NONE &&
           strcmp(file->local_name + size - (sizeof suffix - 1), suffix) == 0;
}

tarn__content tarn__file_identity(const tarn__file_part *file)
{
    if (!file->place.is_packed) {
        return file->content;
    }
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    const tarn__content *segment = &file->place.segment;
    tarn__hasher_update(
        &hasher, tarn_bytes_at(segment->digest.bytes, sizeof segment->digest.bytes));
    tarn__hasher_update(&hasher, tarn_bytes_at(&file->place.offset, sizeof file->place.offset));
    return (tarn__content){.digest = tarn__hasher_digest(&hasher), .size = file->content.size};
}

static tarn_status take_part(reading *r, tarn_bytes part, tarn_error *error)
{
    tarn__hasher_update(&r->hasher, part);
    r->size += part.size;
    if (r->size > r->file->content.size) {
        char place[SHOWN_BYTES];
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.380s has more than the %" PRIu64 " bytes of the checkpoint",
            show(r->storage, r->file, place),
            r->file->content.size);
    }
    return r->take != NULL && part.size > 0 ? r->take(part, r->context, error) : TARN_OK;
}

static tarn_status take_piece(void *context, tarn_bytes piece, tarn_error *error)
{
    return take_part(context, piece, error);
}

/* Of an object of its own a byte more is asked for than there should be, so that one that has grown
 * shows. */
static tarn_status read_plain(reading *r, uint8_t *buffer, size_t buffer_bytes, tarn_error *error)
{
    const tarn__file_part *file = r->file;
    if (file->is_inline) {
        return take_part(r, file->inlined, error);
    }
    return tarn__storage_get(
        r->storage,
        file->path,
        file->place.offset,
        file->content.size + (file->place.is_packed ? 0 : 1),
        take_piece,
        r,
        buffer,
        buffer_bytes,
        error);
}

/* Takes the frames that are whole; *used answers how much of the bytes that is. */
static tarn_status take_frames(
    reading *r, tarn_bytes bytes, uint8_t *raw, size_t *used, tarn_error *error)
{
    const uint8_t *data = bytes.data;
    tarn_status status = TARN_OK;
    while (status == TARN_OK) {
        size_t raw_size = 0;
        size_t consumed = 0;
        status = tarn__frame_decode(
            (tarn__codec)r->file->codec,
            tarn_bytes_at(data + *used, bytes.size - *used),
            raw,
            &raw_size,
            &consumed,
            error);
        *used += consumed;
        if (status == TARN_OK) {
            TARN_TRY(take_part(r, tarn_bytes_at(raw, raw_size), error));
        }
    }
    return status;
}

static tarn_status unpack(reading *r, uint8_t *buffer, size_t window, tarn_error *error)
{
    const uint64_t size = r->file->compressed_size;
    uint64_t offset = 0;
    for (;;) {
        const uint64_t left = size - offset;
        const size_t wanted = left < window ? (size_t)left : window;
        size_t got = 0;
        size_t used = 0;
        TARN_TRY(read_stored(r, offset, buffer, wanted, &got, error));
        if (offset == 0) {
            if (got < TARN__FRAMES_HEADER_BYTES) {
                return tarn__fail(error, TARN_CORRUPTION, "the file ends within its header");
            }
            TARN_TRY(tarn__frames_check_header((tarn__codec)r->file->codec, buffer, error));
            used = TARN__FRAMES_HEADER_BYTES;
        }
        const tarn_status status =
            take_frames(r, tarn_bytes_at(buffer, got), buffer + window, &used, error);
        offset += used;
        if (status == TARN_DONE && offset == size) {
            return TARN_OK;
        }
        if (status == TARN_DONE || (status == TARN_PENDING && (got < wanted || wanted == left))) {
            return tarn__fail(
                error,
                TARN_CORRUPTION,
                "byte %" PRIu64 ": %s",
                offset,
                status == TARN_DONE ? "bytes follow after the last frame"
                                    : "the file ends within a frame");
        }
        if (status != TARN_PENDING) {
            return status;
        }
    }
}

static tarn_status read_compressed(
    reading *r, uint8_t *buffer, size_t buffer_bytes, tarn_error *error)
{
    assert(buffer_bytes >= TARN__CHECKPOINT_BUFFER_BYTES_MIN);
    const tarn_status status = unpack(r, buffer, buffer_bytes - TARN__FRAME_RAW_BYTES_MAX, error);
    if (status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED) {
        char place[SHOWN_BYTES];
        tarn__error_prefix(error, "%.380s", show(r->storage, r->file, place));
    }
    return status;
}

tarn_status tarn__checkpoint_read_file(
    tarn_storage *storage,
    const tarn__file_part *file,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn__checkpoint_take_fn *take,
    void *context,
    tarn_error *error)
{
    reading r = {.storage = storage, .file = file, .take = take, .context = context};
    tarn__hasher_init(&r.hasher);
    TARN_TRY(
        file->codec != TARN__CODEC_NONE ? read_compressed(&r, buffer, buffer_bytes, error)
                                        : read_plain(&r, buffer, buffer_bytes, error));
    return tarn__checkpoint_check_content(storage, file, &r.hasher, r.size, error);
}
