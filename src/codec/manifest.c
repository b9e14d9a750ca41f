/* manifest.c - see manifest.h. */
#include "codec/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "codec/manifest_private.h"
#include "codec/varint.h"

enum {
    SEQUENCE_BYTES = 8, /* Behind the user key of an internal key: sequence number and type. */
    CAPACITY_MIN = 16,
    FAMILIES_MAX = 1 << 14,
};

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
    TAG_KEEPS_TIMESTAMPS = (1 << 13) + 9,
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
    if (m->family_count == FAMILIES_MAX) {
        return tarn__fail(
            error, TARN_NOT_SUPPORTED, "there are more than %d families", FAMILIES_MAX);
    }
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

static tarn_status drop_family(tarn__manifest *m, uint32_t id, tarn_error *error)
{
    for (size_t i = 0; i < m->family_count; i++) {
        if (m->families[i].id == id && !m->families[i].is_dropped) {
            m->families[i].is_dropped = true;
            return TARN_OK;
        }
    }
    return tarn__manifest_damaged(error, "a family is dropped that is not there");
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
    added->order = m->change_count++;
    added->smallest.data = tarn__arena_copy(&m->arena, file->smallest);
    added->largest.data = tarn__arena_copy(&m->arena, file->largest);
    added->rest.data = tarn__arena_copy(&m->arena, file->rest);
    if (added->smallest.data == NULL || added->largest.data == NULL || added->rest.data == NULL) {
        return no_memory(error);
    }
    m->file_count++;
    return TARN_OK;
}

static tarn_status add_removal(tarn__manifest *m, tarn__manifest_removal removal, tarn_error *error)
{
    tarn__manifest_removal *removals =
        grow(&m->arena, m->removals, m->removal_count, &m->removal_capacity, sizeof *m->removals);
    if (removals == NULL) {
        return no_memory(error);
    }
    removal.order = m->change_count++;
    m->removals = removals;
    m->removals[m->removal_count++] = removal;
    return TARN_OK;
}

/* ---- what is left ----------------------------------------------------------------------- */

static int compare_changes(uint64_t a, uint32_t a_order, uint64_t b, uint32_t b_order)
{
    return a != b ? (a > b) - (a < b) : (a_order > b_order) - (a_order < b_order);
}

static int compare_files(const void *a, const void *b)
{
    const tarn__manifest_file *x = a;
    const tarn__manifest_file *y = b;
    return compare_changes(x->number, x->order, y->number, y->order);
}

static int compare_removals(const void *a, const void *b)
{
    const tarn__manifest_removal *x = a;
    const tarn__manifest_removal *y = b;
    return compare_changes(x->number, x->order, y->number, y->order);
}

static int compare_families(const void *a, const void *b)
{
    const tarn__manifest_family *x = a;
    const tarn__manifest_family *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Numbers of families are not used again. */
static tarn_status sort_families(tarn__manifest *m, tarn_error *error)
{
    if (m->family_count > 1) {
        qsort(m->families, m->family_count, sizeof *m->families, compare_families);
    }
    for (size_t i = 1; i < m->family_count; i++) {
        if (m->families[i].id == m->families[i - 1].id) {
            return tarn__manifest_damaged(error, "two families have one number");
        }
    }
    return TARN_OK;
}

static bool is_dropped(const tarn__manifest *m, uint32_t id)
{
    const tarn__manifest_family wanted = {.id = id};
    const tarn__manifest_family *found =
        m->family_count == 0
            ? NULL
            : bsearch(&wanted, m->families, m->family_count, sizeof *m->families, compare_families);
    return found != NULL && found->is_dropped;
}

/*
 * Of a file's additions, as it goes from level to level, each but the last is followed by a removal
 * from there. Both lists are sorted by numbers, then by time.
 */
static tarn_status match_removals(tarn__manifest *m, tarn_error *error)
{
    size_t kept = 0;
    size_t next = 0; /* Removal. */
    for (size_t i = 0; i < m->file_count; i++) {
        const tarn__manifest_file *file = &m->files[i];
        const tarn__manifest_removal *removal = next < m->removal_count ? &m->removals[next] : NULL;
        const bool is_removed = removal != NULL && removal->number == file->number &&
                                removal->order > file->order && removal->level == file->level &&
                                removal->family == file->family;
        const bool is_again = i + 1 < m->file_count && m->files[i + 1].number == file->number;
        if (is_again && (!is_removed || m->files[i + 1].order < removal->order)) {
            return tarn__manifest_damaged(error, "a file is added twice");
        }
        next += is_removed ? 1 : 0;
        if (!is_removed && !is_dropped(m, file->family)) {
            m->files[kept++] = *file;
        }
    }
    m->file_count = kept;
    return next == m->removal_count
               ? TARN_OK
               : tarn__manifest_damaged(error, "a file is removed that was never added");
}

static tarn_status settle(tarn__manifest *m, tarn_error *error)
{
    if (m->file_count > 1) {
        qsort(m->files, m->file_count, sizeof *m->files, compare_files);
    }
    if (m->removal_count > 1) {
        qsort(m->removals, m->removal_count, sizeof *m->removals, compare_removals);
    }
    TARN_TRY(sort_families(m, error));
    return match_removals(m, error);
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

/* Only details that mean the same in a database whose log is off. */
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

static tarn_status take_details(cursor *c, bool *has_epoch, tarn_error *error)
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
        *has_epoch = *has_epoch || detail == DETAIL_EPOCH;
        (void)take_bytes(c);
    }
}

static tarn_status take_file(
    cursor *c, uint32_t family, tarn__manifest_file *out, tarn_error *error)
{
    const uint64_t level = take_number(c);
    *out = (tarn__manifest_file){.family = family, .number = take_number(c)};
    if (c->at == NULL || level >= TARN__MANIFEST_LEVELS_MAX) {
        return tarn__manifest_damaged(error, "the level of a file");
    }
    out->level = (uint32_t)level;
    const uint8_t *rest = c->at;
    (void)take_number(c); /* Its size. */
    out->smallest = take_key(c);
    out->largest = take_key(c);
    (void)take_number(c); /* Its least sequence number. */
    out->largest_sequence = take_number(c);
    TARN_TRY(take_details(c, &out->has_epoch, error));
    if (c->at == NULL) {
        return tarn__manifest_damaged(error, "an edit ends within a file");
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

/* Of keys without timestamps it says nothing, and is set. */
static tarn_status check_timestamps(tarn_bytes keeps, tarn_error *error)
{
    return keeps.size == 1 && *(const uint8_t *)keeps.data == 1
               ? TARN_OK
               : tarn__fail(error, TARN_NOT_SUPPORTED, "keys have timestamps");
}

/* Reads a field; manifest NULL: only to go behind it. */
static tarn_status take_field(
    cursor *c, tarn__manifest *m, uint64_t tag, uint32_t *family, tarn_error *error)
{
    tarn__manifest_file file;
    tarn__manifest_removal removal;
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
        removal = (tarn__manifest_removal){.family = *family, .level = take_number(c)};
        removal.number = take_number(c);
        return m != NULL ? add_removal(m, removal, error) : TARN_OK;
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
        return m != NULL ? drop_family(m, *family, error) : TARN_OK;
    case TAG_KEEPS_TIMESTAMPS:
        return check_timestamps(take_bytes(c), error);
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
            return tarn__manifest_damaged(error, "an edit ends within a field");
        }
    }
    return TARN_OK;
}

/* The family that an edit is of may stand last. */
static tarn_status take_edit(void *context, tarn_bytes edit, tarn_error *error)
{
    tarn__manifest *m = context;
    uint32_t family = 0;
    TARN_TRY(take_fields(edit, NULL, &family, error));
    return take_fields(edit, m, &family, error);
}

tarn_status tarn__manifest_open(
    tarn__manifest *manifest, tarn_bytes bytes, tarn__account *account, tarn_error *error)
{
    *manifest = (tarn__manifest){.next_number = 0};
    tarn__arena_init(&manifest->arena, account);
    if (bytes.size > TARN__MANIFEST_BYTES_MAX) {
        return tarn__fail(error, TARN_NOT_SUPPORTED, "it is too long");
    }
    TARN_TRY(tarn__manifest_visit_records(bytes, account, take_edit, manifest, error));
    return settle(manifest, error);
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
