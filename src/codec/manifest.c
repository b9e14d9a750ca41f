/* manifest.c - see manifest.h. */
#include "codec/manifest.h"

#include <string.h>

#include "base/error.h"
#include "base/try.h"
#include "codec/crc32c.h"
#include "codec/varint.h"

enum {
    BLOCK_BYTES = 32 << 10,
    HEAD_BYTES = 7,
    SIZE_OFFSET = 4,
    KIND_OFFSET = 6,
    SEQUENCE_BYTES = 8, /* Behind the user key of an internal key: sequence number and type. */
    CAPACITY_MIN = 16,
};

/* Whether a piece of a record is all of it. Others are of files that are written over. */
typedef enum kind { KIND_FULL = 1, KIND_FIRST = 2, KIND_MIDDLE = 3, KIND_LAST = 4 } kind;

typedef enum field_tag {
    TAG_COMPARATOR = 1,
    TAG_LOG_NUMBER = 2,
    TAG_NEXT_NUMBER = 3,
    TAG_LAST_SEQUENCE = 4,
    TAG_COMPACT_CURSOR = 5,
    TAG_REMOVED = 6,
    TAG_PREVIOUS_LOG_NUMBER = 9,
    TAG_LEAST_LOG_NUMBER = 10,
    TAG_ADDED = 103,
    TAG_FAMILY = 200,
    TAG_FAMILY_ADDED = 201,
    TAG_FAMILY_DROPPED = 202,
    TAG_LARGEST_FAMILY = 203,
    TAG_DATABASE_ID = (1 << 13) + 1,
} field_tag;

/* Of what an added file says of itself behind its sequence numbers. */
typedef enum file_detail {
    DETAIL_END = 1,
    DETAIL_NEEDS_COMPACTION = 2,
    DETAIL_LEAST_LOG_NUMBER = 3,
    DETAIL_ANCESTOR_TIME = 5,
    DETAIL_CREATION_TIME = 6,
    DETAIL_CHECKSUM = 7,
    DETAIL_CHECKSUM_NAME = 8,
    DETAIL_UNIQUE_ID = 12,
    DETAIL_EPOCH = 13,
    DETAIL_RANGE_DELETION_BYTES = 14,
    DETAIL_TAIL_BYTES = 15,
} file_detail;

static const char COMPARATOR[] = "leveldb.BytewiseComparator";

static tarn_status damaged(tarn_error *error, const char *what)
{
    return tarn__fail(error, TARN_CORRUPTION, "the list of table files is damaged: %s", what);
}

static tarn_status no_memory(tarn_error *error)
{
    return tarn__fail_no_memory(error, "a list of table files", sizeof(tarn__manifest_file));
}

/* ---- growing ---------------------------------------------------------------------------- */

/* Room for one element more. What is outgrown stays in the arena, and is at most as large again. */
static void *grow(
    tarn__arena *arena, void *elements, size_t count, size_t *capacity, size_t element_bytes)
{
    if (count < *capacity) {
        return elements;
    }
    const size_t wanted = *capacity == 0 ? (size_t)CAPACITY_MIN : 2 * *capacity;
    void *grown = tarn__arena_allocate(arena, wanted, element_bytes);
    if (grown != NULL) {
        if (count > 0) {
            memcpy(grown, elements, count * element_bytes);
        }
        *capacity = wanted;
    }
    return grown;
}

static tarn_status add_family(tarn__manifest *m, uint32_t id, tarn_bytes name, tarn_error *error)
{
    tarn__manifest_family *families =
        grow(&m->arena, m->families, m->family_count, &m->family_capacity, sizeof *m->families);
    const char *copy = tarn__arena_copy(&m->arena, name);
    if (families == NULL || copy == NULL) {
        return no_memory(error);
    }
    m->families = families;
    m->families[m->family_count++] = (tarn__manifest_family){.id = id, .name = copy};
    return TARN_OK;
}

static void drop_family(tarn__manifest *m, uint32_t id)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->family_count; i++) {
        m->families[i].is_dropped = m->families[i].is_dropped || m->families[i].id == id;
    }
    for (size_t i = 0; i < m->file_count; i++) {
        if (m->files[i].family != id) {
            m->files[kept++] = m->files[i];
        }
    }
    m->file_count = kept;
}

static tarn_status add_file(tarn__manifest *m, const tarn__manifest_file *file, tarn_error *error)
{
    tarn__manifest_file *files =
        grow(&m->arena, m->files, m->file_count, &m->file_capacity, sizeof *m->files);
    if (files == NULL) {
        return no_memory(error);
    }
    m->files = files;
    tarn__manifest_file *added = &m->files[m->file_count];
    *added = *file;
    added->smallest.data = tarn__arena_copy(&m->arena, file->smallest);
    added->largest.data = tarn__arena_copy(&m->arena, file->largest);
    added->rest.data = tarn__arena_copy(&m->arena, file->rest);
    if (added->smallest.data == NULL || added->largest.data == NULL || added->rest.data == NULL) {
        return no_memory(error);
    }
    m->file_count++;
    return TARN_OK;
}

/* Looks from the end: compactions remove what was added last. */
static tarn_status remove_file(
    tarn__manifest *m, uint32_t family, uint64_t level, uint64_t number, tarn_error *error)
{
    for (size_t i = m->file_count; i > 0; i--) {
        const tarn__manifest_file *file = &m->files[i - 1];
        if (file->number == number && file->level == level && file->family == family) {
            m->files[i - 1] = m->files[--m->file_count];
            return TARN_OK;
        }
    }
    return damaged(error, "a file is removed that was never added");
}

/* ---- edits ------------------------------------------------------------------------------ */

/* An edit being read. at NULL: it ended within a field. */
typedef struct cursor {
    const uint8_t *at;
    const uint8_t *end;
} cursor;

static uint64_t take_number(cursor *c)
{
    uint64_t value = 0;
    c->at = tarn__varint_take(c->at, c->end, &value);
    return value;
}

static tarn_bytes take_bytes(cursor *c)
{
    const uint64_t size = take_number(c);
    if (c->at == NULL || size > (uint64_t)(c->end - c->at)) {
        c->at = NULL;
        return tarn_bytes_at("", 0);
    }
    const tarn_bytes bytes = tarn_bytes_at(c->at, (size_t)size);
    c->at += size;
    return bytes;
}

/* The user key of an internal one. */
static tarn_bytes take_key(cursor *c)
{
    tarn_bytes key = take_bytes(c);
    if (key.size < SEQUENCE_BYTES) {
        c->at = NULL;
        return key;
    }
    key.size -= SEQUENCE_BYTES;
    return key;
}

/* Only details whose meaning does not depend on the database. */
static bool is_known_detail(uint64_t detail)
{
    switch ((file_detail)detail) {
    case DETAIL_END:
        return false;
    case DETAIL_NEEDS_COMPACTION:
    case DETAIL_LEAST_LOG_NUMBER:
    case DETAIL_ANCESTOR_TIME:
    case DETAIL_CREATION_TIME:
    case DETAIL_CHECKSUM:
    case DETAIL_CHECKSUM_NAME:
    case DETAIL_UNIQUE_ID:
    case DETAIL_EPOCH:
    case DETAIL_RANGE_DELETION_BYTES:
    case DETAIL_TAIL_BYTES:
        return true;
    }
    return false;
}

static tarn_status take_details(cursor *c, tarn_error *error)
{
    for (;;) {
        const uint64_t detail = take_number(c);
        if (c->at == NULL || detail == DETAIL_END) {
            return TARN_OK;
        }
        if (!is_known_detail(detail)) {
            return tarn__fail(
                error,
                TARN_NOT_SUPPORTED,
                "a table file has the detail %llu",
                (unsigned long long)detail);
        }
        (void)take_bytes(c);
    }
}

static tarn_status take_file(
    cursor *c, uint32_t family, tarn__manifest_file *out, tarn_error *error)
{
    const uint64_t level = take_number(c);
    *out = (tarn__manifest_file){.family = family, .number = take_number(c)};
    if (c->at == NULL || level >= TARN__MANIFEST_LEVELS_MAX) {
        return damaged(error, "the level of a file");
    }
    out->level = (uint32_t)level;
    const uint8_t *rest = c->at;
    (void)take_number(c); /* Its size. */
    out->smallest = take_key(c);
    out->largest = take_key(c);
    (void)take_number(c); /* Its least sequence number. */
    out->largest_sequence = take_number(c);
    TARN_TRY(take_details(c, error));
    if (c->at == NULL) {
        return damaged(error, "an edit ends within a file");
    }
    out->rest = tarn_bytes_at(rest, (size_t)(c->at - rest));
    return TARN_OK;
}

static tarn_status refuse_tag(uint64_t tag, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_NOT_SUPPORTED,
        "the list of table files has an edit of kind %llu",
        (unsigned long long)tag);
}

static tarn_status check_comparator(tarn_bytes name, tarn_error *error)
{
    return tarn_bytes_is_equal(name, tarn_bytes_of(COMPARATOR))
               ? TARN_OK
               : tarn__fail(error, TARN_NOT_SUPPORTED, "rows have an order of their own");
}

/* Reads a field; manifest NULL: only to go behind it. */
static tarn_status take_field(
    cursor *c, tarn__manifest *m, uint64_t tag, uint32_t *family, tarn_error *error)
{
    tarn__manifest_file file;
    uint64_t number = 0;
    tarn_bytes bytes;
    switch ((field_tag)tag) {
    case TAG_COMPARATOR:
        return check_comparator(take_bytes(c), error);
    case TAG_LOG_NUMBER:
    case TAG_PREVIOUS_LOG_NUMBER:
    case TAG_LEAST_LOG_NUMBER:
    case TAG_LARGEST_FAMILY:
        (void)take_number(c);
        return TARN_OK;
    case TAG_NEXT_NUMBER:
        number = take_number(c);
        if (m != NULL && number > m->next_number) {
            m->next_number = number;
        }
        return TARN_OK;
    case TAG_LAST_SEQUENCE:
        number = take_number(c);
        if (m != NULL && number > m->last_sequence) {
            m->last_sequence = number;
        }
        return TARN_OK;
    case TAG_COMPACT_CURSOR:
        (void)take_number(c);
        (void)take_bytes(c);
        return TARN_OK;
    case TAG_REMOVED:
        number = take_number(c);
        return m != NULL ? remove_file(m, *family, number, take_number(c), error)
                         : ((void)take_number(c), TARN_OK);
    case TAG_ADDED:
        TARN_TRY(take_file(c, *family, &file, error));
        return m != NULL ? add_file(m, &file, error) : TARN_OK;
    case TAG_FAMILY:
        *family = (uint32_t)take_number(c);
        return TARN_OK;
    case TAG_FAMILY_ADDED:
        bytes = take_bytes(c);
        return m != NULL ? add_family(m, *family, bytes, error) : TARN_OK;
    case TAG_FAMILY_DROPPED:
        if (m != NULL) {
            drop_family(m, *family);
        }
        return TARN_OK;
    case TAG_DATABASE_ID:
        (void)take_bytes(c);
        return TARN_OK;
    }
    return refuse_tag(tag, error);
}

static tarn_status take_fields(
    tarn_bytes edit, tarn__manifest *m, uint32_t *family, tarn_error *error)
{
    cursor c = {.at = edit.data, .end = (const uint8_t *)edit.data + edit.size};
    while (c.at < c.end) {
        const uint64_t tag = take_number(&c);
        if (c.at != NULL) {
            TARN_TRY(take_field(&c, m, tag, family, error));
        }
        if (c.at == NULL) {
            return damaged(error, "an edit ends within a field");
        }
    }
    return TARN_OK;
}

/* The family that an edit is of may stand last. */
static tarn_status take_edit(tarn__manifest *m, tarn_bytes edit, tarn_error *error)
{
    uint32_t family = 0;
    TARN_TRY(take_fields(edit, NULL, &family, error));
    return take_fields(edit, m, &family, error);
}

/* ---- records ---------------------------------------------------------------------------- */

static uint32_t check_of(uint8_t piece_kind, tarn_bytes bytes)
{
    enum { ROTATED_BITS = 15 };
    static const uint32_t ADDEND = 0xa282ead8;
    uint32_t check = tarn__crc32c(0, tarn_bytes_at(&piece_kind, 1));
    check = tarn__crc32c(check, bytes);
    return ((check >> ROTATED_BITS) | (check << (32 - ROTATED_BITS))) + ADDEND;
}

/* A MANIFEST being read. */
typedef struct reading {
    tarn__manifest *manifest;
    tarn_bytes bytes;
    size_t at;
    tarn_buffer begun; /* What is here of a record in pieces. */
    bool has_begun;
} reading;

/* The next piece of a record. *kind_out 0: there is none. */
static tarn_status take_piece(reading *r, uint8_t *kind_out, tarn_bytes *piece, tarn_error *error)
{
    const uint8_t *data = r->bytes.data;
    const size_t left = BLOCK_BYTES - r->at % BLOCK_BYTES;
    r->at += left < HEAD_BYTES ? left : 0;
    *kind_out = 0;
    if (r->at >= r->bytes.size) {
        return TARN_OK;
    }
    const size_t rest = r->bytes.size - r->at;
    const size_t in_block = BLOCK_BYTES - r->at % BLOCK_BYTES;
    const size_t most = rest < in_block ? rest : in_block;
    const uint8_t *head = data + r->at;
    const size_t size = most < HEAD_BYTES ? 0 : (size_t)tarn__number_load(head + SIZE_OFFSET, 2);
    if (most < HEAD_BYTES || size > most - HEAD_BYTES) {
        return damaged(error, "it ends within a record");
    }
    *piece = tarn_bytes_at(head + HEAD_BYTES, size);
    if (check_of(head[KIND_OFFSET], *piece) != (uint32_t)tarn__number_load(head, SIZE_OFFSET)) {
        return damaged(error, "a record has another checksum");
    }
    *kind_out = head[KIND_OFFSET];
    r->at += HEAD_BYTES + size;
    return TARN_OK;
}

static tarn_status take_kind(reading *r, uint8_t piece_kind, tarn_bytes piece, tarn_error *error)
{
    const bool is_first = piece_kind == KIND_FULL || piece_kind == KIND_FIRST;
    if (piece_kind < KIND_FULL || piece_kind > KIND_LAST || is_first == r->has_begun) {
        return damaged(error, "the pieces of a record are not in order");
    }
    if (piece_kind == KIND_FULL) {
        return take_edit(r->manifest, piece, error);
    }
    if (tarn_buffer_append(&r->begun, piece) != TARN_OK) {
        return no_memory(error);
    }
    r->has_begun = piece_kind != KIND_LAST;
    if (r->has_begun) {
        return TARN_OK;
    }
    TARN_TRY(take_edit(r->manifest, tarn_buffer_bytes(&r->begun), error));
    r->begun.size = 0;
    return TARN_OK;
}

static tarn_status take_all(reading *r, tarn_error *error)
{
    for (;;) {
        uint8_t piece_kind = 0;
        tarn_bytes piece;
        TARN_TRY(take_piece(r, &piece_kind, &piece, error));
        if (piece_kind == 0) {
            return r->has_begun ? damaged(error, "it ends within a record") : TARN_OK;
        }
        TARN_TRY(take_kind(r, piece_kind, piece, error));
    }
}

tarn_status tarn__manifest_open(
    tarn__manifest *manifest, tarn_bytes bytes, tarn__account *account, tarn_error *error)
{
    *manifest = (tarn__manifest){.next_number = 0};
    tarn__arena_init(&manifest->arena, account);
    reading r = {.manifest = manifest, .bytes = bytes, .begun = {.allocator = &account->face}};
    tarn_status status = bytes.size <= TARN__MANIFEST_BYTES_MAX
                             ? take_all(&r, error)
                             : tarn__fail(error, TARN_NOT_SUPPORTED, "it is too long");
    tarn_buffer_clear(&r.begun);
    return status;
}

void tarn__manifest_close(tarn__manifest *manifest)
{
    tarn__arena_clear(&manifest->arena);
}

const tarn__manifest_family *tarn__manifest_find_family(
    const tarn__manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->family_count; i++) {
        const tarn__manifest_family *family = &manifest->families[i];
        if (!family->is_dropped && strcmp(family->name, name) == 0) {
            return family;
        }
    }
    return NULL;
}

/* ---- writing ---------------------------------------------------------------------------- */

static tarn_status put_number(tarn_buffer *out, uint64_t value)
{
    uint8_t bytes[TARN__VARINT_BYTES_MAX];
    return tarn_buffer_append(out, tarn_bytes_at(bytes, tarn__varint_put(bytes, value)));
}

static tarn_status put_field(tarn_buffer *out, field_tag tag, uint64_t value)
{
    TARN_TRY(put_number(out, (uint64_t)tag));
    return put_number(out, value);
}

tarn_status tarn__manifest_edit_begin(
    tarn_buffer *edit, uint64_t next_number, uint64_t last_sequence)
{
    TARN_TRY(put_field(edit, TAG_NEXT_NUMBER, next_number));
    return put_field(edit, TAG_LAST_SEQUENCE, last_sequence);
}

tarn_status tarn__manifest_edit_add(
    tarn_buffer *edit, uint32_t level, uint64_t number, tarn_bytes rest, bool is_due)
{
    static const uint8_t DUE[] = {DETAIL_NEEDS_COMPACTION, 1, 1, DETAIL_END};
    TARN_TRY(put_field(edit, TAG_ADDED, level));
    TARN_TRY(put_number(edit, number));
    TARN_TRY(tarn_buffer_append(edit, rest));
    edit->size -= is_due ? 1 : 0; /* What ends the details comes again behind one more. */
    return tarn_buffer_append(edit, tarn_bytes_at(DUE, is_due ? sizeof DUE : 0));
}

tarn_status tarn__manifest_edit_end(tarn_buffer *edit, uint32_t family)
{
    return put_field(edit, TAG_FAMILY, family);
}

static tarn_status put_piece(tarn_buffer *out, kind piece_kind, tarn_bytes piece)
{
    const uint32_t check = check_of((uint8_t)piece_kind, piece);
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
