/* table_part.c - see table_part.h. */
#include "snapshot/table_part.h"

#include <inttypes.h>
#include <string.h>

#include "base/try.h"

enum {
    TAIL_BYTES_MIN = 64 << 10,
    TAIL_BYTES_MAX = 32 << 20,
    TAIL_SHARE = 128,  /* Of most files the tail is a smaller share: one request. */
    SAVING_SHARE = 16, /* Less than that is not worth a request more. */
};

/* ---- the tail --------------------------------------------------------------------------- */

/* Has the tail begin at an offset: what is missing is read, what is too much is dropped. */
static tarn_status begin_tail_at(tarn__table_part *part, uint64_t offset, tarn_error *error)
{
    const uint64_t size = part->options.file->content.size;
    uint8_t *data = part->tail.data;
    if (offset >= part->tail_offset) {
        const size_t dropped = (size_t)(offset - part->tail_offset);
        part->tail.size -= dropped;
        memmove(data, data + dropped, part->tail.size);
        part->tail_offset = offset;
        return TARN_OK;
    }
    if (size - offset > TAIL_BYTES_MAX) {
        return TARN_OVER_BUDGET;
    }
    const size_t missing = (size_t)(part->tail_offset - offset);
    if (tarn_buffer_reserve(&part->tail, missing + part->tail.size) != TARN_OK) {
        return TARN_NO_MEMORY;
    }
    data = part->tail.data;
    memmove(data + missing, data, part->tail.size);
    size_t got = 0;
    TARN_TRY(tarn__storage_read(
        part->options.storage, part->options.file->path, offset, data, missing, &got, error));
    part->read_bytes += got;
    if (got != missing) {
        return TARN_CORRUPTION;
    }
    part->tail.size += missing;
    part->tail_offset = offset;
    return TARN_OK;
}

/* What the table's reader asks for: from the end backwards, then all of the index. */
static tarn_status read_tail(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error)
{
    tarn__table_part *part = context;
    if (offset < part->tail_offset) {
        TARN_TRY(begin_tail_at(part, offset, error));
    }
    const uint64_t left = part->options.file->content.size - offset;
    *size_out = left < size ? (size_t)left : size;
    memcpy(
        into, (const uint8_t *)part->tail.data + (size_t)(offset - part->tail_offset), *size_out);
    return TARN_OK;
}

/* ---- the plan --------------------------------------------------------------------------- */

/* Whether the blocks lie one behind the other, before what is no data block. */
static bool find_place(tarn__table_part *part)
{
    const tarn__table *table = &part->table;
    uint64_t at = table->block_count > 0 ? table->blocks[0].offset : 0;
    part->first = at;
    for (size_t i = 0; i < table->block_count; i++) {
        if (table->blocks[i].offset != at || table->blocks[i].size > table->data_size) {
            return false;
        }
        at += table->blocks[i].size + TARN__TABLE_TRAILER_BYTES;
    }
    part->end = at;
    return at <= table->data_size && table->data_size < part->options.file->content.size;
}

static tarn_status plan(tarn__table_part *part, bool *is_worth_out, tarn_error *error)
{
    tarn__table *table = &part->table;
    const tarn__table_options options = {
        .size = part->options.file->content.size,
        .read = read_tail,
        .context = part,
        .account = part->options.account,
        .is_bounded = true,
        .lower = part->options.lower,
        .upper = part->options.upper,
        .checks_blocks = true,
    };
    TARN_TRY(tarn__table_open(table, &options, error));
    if (!tarn__table_has_checks(&table->footer) || !find_place(part) ||
        table->data_size - (part->end - part->first) < options.size / SAVING_SHARE) {
        return TARN_OK;
    }
    TARN_TRY(begin_tail_at(part, table->data_size, error));
    *is_worth_out = true;
    return TARN_OK;
}

/* What reading the whole file gets over, or tells better. */
static bool is_for_whole(tarn_status status)
{
    return status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED ||
           status == TARN_OVER_BUDGET || status == TARN_NO_MEMORY;
}

/* How much the first request asks for. */
static uint64_t guess_tail(uint64_t size)
{
    const uint64_t share = size / TAIL_SHARE;
    const uint64_t least = share > TAIL_BYTES_MIN ? share : TAIL_BYTES_MIN;
    const uint64_t most = size < TAIL_BYTES_MAX ? size : TAIL_BYTES_MAX;
    return least < most ? least : most;
}

tarn_status tarn__table_part_plan(
    tarn__table_part *part,
    const tarn__table_part_options *options,
    bool *is_worth_out,
    tarn_error *error)
{
    const uint64_t size = options->file->content.size;
    *part = (tarn__table_part){
        .options = *options,
        .tail_offset = size,
        .tail = {.allocator = &options->account->face},
    };
    *is_worth_out = false;
    if (size < options->size_min) {
        return TARN_OK;
    }
    tarn_status status = begin_tail_at(part, size - guess_tail(size), error);
    if (status == TARN_OK) {
        status = plan(part, is_worth_out, error);
    }
    return is_for_whole(status) ? TARN_OK : status;
}

void tarn__table_part_clear(tarn__table_part *part)
{
    tarn__table_close(&part->table);
    tarn_buffer_clear(&part->tail);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Bytes of the blocks as they come, being compared. */
typedef struct reading {
    tarn__table_part *part;
    tarn__table_part_take *take;
    void *context;
    size_t next;       /* The block that is not compared yet; */
    tarn_buffer begun; /* what is here of it, if it came in pieces. */
} reading;

static size_t stored_size(const reading *r)
{
    return (size_t)r->part->table.blocks[r->next].size + TARN__TABLE_TRAILER_BYTES;
}

static tarn_status damaged(const reading *r, const char *what, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_CORRUPTION,
        "%.200s/%.200s is damaged at byte %" PRIu64 ": %.200s",
        r->part->options.storage->address,
        r->part->options.file->path,
        r->part->table.blocks[r->next].offset,
        what);
}

/* Compares the next block, which the bytes are. One that cannot be looked into has its checksum. */
static tarn_status check_block(reading *r, tarn_bytes block, tarn_error *error)
{
    tarn_error reason = {.status = TARN_OK};
    if (!tarn__table_check_block(block)) {
        return damaged(r, "its block there has another checksum", error);
    }
    const tarn_status placed = tarn__table_check_place(&r->part->table, r->next, block, &reason);
    if (placed == TARN_CORRUPTION) {
        return damaged(r, reason.message, error);
    }
    if (placed != TARN_OK && placed != TARN_NOT_SUPPORTED) {
        if (error != NULL) {
            *error = reason;
        }
        return placed;
    }
    r->next++;
    return TARN_OK;
}

/* Ends a block that the piece before had the beginning of; *used answers how much of this. */
static tarn_status go_on(reading *r, tarn_bytes piece, size_t *used, tarn_error *error)
{
    const uint64_t offset = r->part->table.blocks[r->next].offset;
    const size_t wanted = stored_size(r) - r->begun.size;
    *used = wanted < piece.size ? wanted : piece.size;
    if (tarn_buffer_append(&r->begun, tarn_bytes_at(piece.data, *used)) != TARN_OK) {
        return tarn__fail_no_memory(error, "a block of a table", stored_size(r));
    }
    if (*used < wanted) {
        return TARN_OK;
    }
    TARN_TRY(check_block(r, tarn_buffer_bytes(&r->begun), error));
    TARN_TRY(r->take(offset, tarn_buffer_bytes(&r->begun), r->context, error));
    r->begun.size = 0;
    return TARN_OK;
}

static tarn_status take_piece(void *context, tarn_bytes piece, tarn_error *error)
{
    reading *r = context;
    const uint8_t *data = piece.data;
    size_t at = 0;
    r->part->read_bytes += piece.size;
    if (r->begun.size > 0) {
        TARN_TRY(go_on(r, piece, &at, error));
    }
    const size_t whole = at; /* Of the blocks that lie in the piece as a whole. */
    const uint64_t offset =
        r->next < r->part->table.block_count ? r->part->table.blocks[r->next].offset : 0;
    while (r->next < r->part->table.block_count && r->begun.size == 0 &&
           stored_size(r) <= piece.size - at) {
        const size_t size = stored_size(r);
        TARN_TRY(check_block(r, tarn_bytes_at(data + at, size), error));
        at += size;
    }
    if (at > whole) {
        TARN_TRY(r->take(offset, tarn_bytes_at(data + whole, at - whole), r->context, error));
    }
    if (at < piece.size && r->next < r->part->table.block_count &&
        tarn_buffer_append(&r->begun, tarn_bytes_at(data + at, piece.size - at)) != TARN_OK) {
        return tarn__fail_no_memory(error, "a block of a table", piece.size - at);
    }
    return TARN_OK;
}

static tarn_status read_blocks(reading *r, uint8_t *buffer, size_t buffer_bytes, tarn_error *error)
{
    const tarn__table_part *part = r->part;
    if (part->table.block_count == 0) {
        return TARN_OK;
    }
    TARN_TRY(tarn__storage_get(
        part->options.storage,
        part->options.file->path,
        part->first,
        part->end - part->first,
        take_piece,
        r,
        buffer,
        buffer_bytes,
        error));
    return r->next == part->table.block_count
               ? TARN_OK
               : tarn__fail(
                     error,
                     TARN_CORRUPTION,
                     "%.200s/%.200s ends before its block at byte %" PRIu64,
                     part->options.storage->address,
                     part->options.file->path,
                     part->table.blocks[r->next].offset);
}

tarn_status tarn__table_part_read(
    tarn__table_part *part,
    uint8_t *buffer,
    size_t buffer_bytes,
    tarn__table_part_take *take,
    void *context,
    tarn_error *error)
{
    reading r = {
        .part = part,
        .take = take,
        .context = context,
        .begun = {.allocator = &part->options.account->face},
    };
    const tarn_status status = read_blocks(&r, buffer, buffer_bytes, error);
    tarn_buffer_clear(&r.begun);
    TARN_TRY(status);
    return take(part->tail_offset, tarn_buffer_bytes(&part->tail), context, error);
}
