/*
 * manifest_records.c - the records of a MANIFEST, whatever is in them: see manifest.h.
 *
 * Each is whole, or in pieces of which every one but the last ends with its block.
 */
#include "base/try.h"
#include "codec/crc32c.h"
#include "codec/manifest_private.h"
#include "codec/varint.h"

enum {
    BLOCK_BYTES = 32 << 10,
    HEAD_BYTES = 7,
    SIZE_OFFSET = 4,
    KIND_OFFSET = 6,
};

/* Whether a piece of a record is all of it. Others are of files that are written over. */
typedef enum kind { KIND_FULL = 1, KIND_FIRST = 2, KIND_MIDDLE = 3, KIND_LAST = 4 } kind;

uint32_t tarn__manifest_check_of(uint8_t piece_kind, tarn_bytes bytes)
{
    enum { ROTATED_BITS = 15 };
    static const uint32_t ADDEND = 0xa282ead8;
    uint32_t check = tarn__crc32c(0, tarn_bytes_at(&piece_kind, 1));
    check = tarn__crc32c(check, bytes);
    return ((check >> ROTATED_BITS) | (check << (32 - ROTATED_BITS))) + ADDEND;
}

/* ---- reading ---------------------------------------------------------------------------- */

/* A MANIFEST being read. */
typedef struct reading {
    tarn__manifest_visit *visit;
    void *context;
    tarn_bytes bytes;
    size_t at;
    tarn_buffer begun; /* What is here of a record in pieces. */
    bool has_begun;
} reading;

/* Goes over what is left of a block behind its last piece. False: there is no piece any more. */
static bool find_piece(reading *r)
{
    const size_t left = BLOCK_BYTES - r->at % BLOCK_BYTES;
    r->at += left < HEAD_BYTES ? left : 0;
    return r->at < r->bytes.size;
}

static tarn_status take_piece(reading *r, uint8_t *kind_out, tarn_bytes *piece, tarn_error *error)
{
    const uint8_t *data = r->bytes.data;
    const size_t rest = r->bytes.size - r->at;
    const size_t in_block = BLOCK_BYTES - r->at % BLOCK_BYTES;
    const size_t most = rest < in_block ? rest : in_block;
    const uint8_t *head = data + r->at;
    const size_t size = most < HEAD_BYTES ? 0 : (size_t)tarn__number_load(head + SIZE_OFFSET, 2);
    if (most < HEAD_BYTES || size > most - HEAD_BYTES) {
        return tarn__manifest_damaged(error, "it ends within a record");
    }
    *piece = tarn_bytes_at(head + HEAD_BYTES, size);
    if (tarn__manifest_check_of(head[KIND_OFFSET], *piece) !=
        (uint32_t)tarn__number_load(head, SIZE_OFFSET)) {
        return tarn__manifest_damaged(error, "a record has another checksum");
    }
    *kind_out = head[KIND_OFFSET];
    r->at += HEAD_BYTES + size;
    return TARN_OK;
}

static tarn_status take_kind(reading *r, uint8_t piece_kind, tarn_bytes piece, tarn_error *error)
{
    const bool is_first = piece_kind == KIND_FULL || piece_kind == KIND_FIRST;
    if (piece_kind < KIND_FULL || piece_kind > KIND_LAST || is_first == r->has_begun) {
        return tarn__manifest_damaged(error, "the pieces of a record are not in order");
    }
    if (piece_kind == KIND_FULL) {
        return r->visit(r->context, piece, error);
    }
    if (tarn_buffer_append(&r->begun, piece) != TARN_OK) {
        return tarn__fail_no_memory(error, "a list of table files", piece.size);
    }
    r->has_begun = piece_kind != KIND_LAST;
    if (r->has_begun) {
        return TARN_OK;
    }
    TARN_TRY(r->visit(r->context, tarn_buffer_bytes(&r->begun), error));
    r->begun.size = 0;
    return TARN_OK;
}

static tarn_status take_all(reading *r, tarn_error *error)
{
    while (find_piece(r)) {
        uint8_t piece_kind = 0;
        tarn_bytes piece;
        TARN_TRY(take_piece(r, &piece_kind, &piece, error));
        TARN_TRY(take_kind(r, piece_kind, piece, error));
    }
    return r->has_begun ? tarn__manifest_damaged(error, "it ends within a record") : TARN_OK;
}

tarn_status tarn__manifest_visit_records(
    tarn_bytes bytes,
    tarn__account *account,
    tarn__manifest_visit *visit,
    void *context,
    tarn_error *error)
{
    reading r = {
        .visit = visit,
        .context = context,
        .bytes = bytes,
        .begun = {.allocator = &account->face},
    };
    const tarn_status status = take_all(&r, error);
    tarn_buffer_clear(&r.begun);
    return status;
}

/* ---- writing ---------------------------------------------------------------------------- */

static tarn_status put_piece(tarn_buffer *out, kind piece_kind, tarn_bytes piece)
{
    const uint32_t check = tarn__manifest_check_of((uint8_t)piece_kind, piece);
    uint8_t head[HEAD_BYTES];
    for (size_t i = 0; i < SIZE_OFFSET; i++) {
        head[i] = (uint8_t)(check >> (8 * i));
    }
    head[SIZE_OFFSET] = (uint8_t)piece.size;
    head[SIZE_OFFSET + 1] = (uint8_t)(piece.size >> 8);
    head[KIND_OFFSET] = (uint8_t)piece_kind;
    TARN_TRY(tarn_buffer_append(out, tarn_bytes_at(head, sizeof head)));
    return tarn_buffer_append(out, piece);
}

tarn_status tarn__manifest_frame(tarn_buffer *out, uint64_t manifest_bytes, tarn_bytes edit)
{
    static const uint8_t ZEROS[HEAD_BYTES] = {0};
    const uint8_t *data = edit.data;
    uint64_t at = manifest_bytes;
    size_t done = 0;
    bool is_first = true; /* A block's rest of 7 bytes takes a piece of none. */
    do {
        size_t left = BLOCK_BYTES - (size_t)(at % BLOCK_BYTES);
        if (left < HEAD_BYTES) {
            TARN_TRY(tarn_buffer_append(out, tarn_bytes_at(ZEROS, left)));
            at += left;
            left = BLOCK_BYTES;
        }
        const size_t room = left - HEAD_BYTES;
        const size_t size = edit.size - done < room ? edit.size - done : room;
        const bool is_last = done + size == edit.size;
        const kind piece_kind =
            is_first ? (is_last ? KIND_FULL : KIND_FIRST) : (is_last ? KIND_LAST : KIND_MIDDLE);
        TARN_TRY(put_piece(out, piece_kind, tarn_bytes_at(data + done, size)));
        at += HEAD_BYTES + size;
        done += size;
        is_first = false;
    } while (done < edit.size);
    return TARN_OK;
}
