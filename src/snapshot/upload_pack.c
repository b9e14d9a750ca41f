/*
 * upload_pack.c - small files of a snapshot, many in one object.
 *
 *     plan: small? ── no ──► a unit of its own
 *             │ yes
 *             ├─ in the base, and its segment is in use enough: named again, no unit
 *             └─ otherwise ──► shared ones, then private ones, filled into segments in their order
 *
 *     segment: file, file, file ..  each with a digest of its own, and one over all, which names it
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "snapshot/checkpoint.h"
#include "snapshot/transfer.h"
#include "snapshot/upload_private.h"

static tarn_status load_codec(const tarn_config *config, tarn__codec *out, tarn_error *error)
{
    static const tarn__codec codecs[] = {TARN__CODEC_ZSTD, TARN__CODEC_LZ4};
    bool is_on = false;
    int choice = 0;
    TARN_TRY(tarn_config_get_bool(
        config, "execution.checkpointing.snapshot-compression", &is_on, NULL, error));
    TARN_TRY(
        tarn_config_get_enum(config, "tarn.checkpoint.compression-codec", &choice, NULL, error));
    *out = is_on ? codecs[choice] : TARN__CODEC_NONE;
    return TARN_OK;
}

tarn_status tarn__packing_load(const tarn_config *config, tarn__packing *out, tarn_error *error)
{
    int64_t small_bytes = 0;
    int64_t segment_bytes = 0;
    int64_t inline_bytes = 0;
    tarn__codec codec = TARN__CODEC_NONE;
    float waste_max = 0;
    TARN_TRY(tarn_config_get_memory(
        config, "tarn.checkpoint.packing-threshold", &small_bytes, NULL, error));
    TARN_TRY(tarn_config_get_memory(
        config, "tarn.checkpoint.segment-size", &segment_bytes, NULL, error));
    TARN_TRY(tarn_config_get_float(
        config,
        "execution.checkpointing.file-merging.max-space-amplification",
        &waste_max,
        NULL,
        error));
    TARN_TRY(tarn_config_get_memory(
        config, "execution.checkpointing.data-inline-threshold", &inline_bytes, NULL, error));
    bool may_link = false;
    TARN_TRY(load_codec(config, &codec, error));
    TARN_TRY(tarn_config_get_bool(config, "tarn.checkpoint.link-files", &may_link, NULL, error));
    *out = (tarn__packing){
        .inline_bytes = (uint64_t)inline_bytes,
        .codec = codec,
        .may_link = may_link,
        .small_bytes = (uint64_t)small_bytes,
        .segment_bytes = (uint64_t)segment_bytes,
        .waste_max = (double)waste_max,
    };
    return TARN_OK;
}

/* ---- planning --------------------------------------------------------------------------- */

/* A small file that the base has in a segment. */
typedef struct candidate {
    const tarn__base_file *known;
    uint32_t file;
} candidate;

/* A file that is moved alone. */
typedef struct large {
    uint64_t size; /* 0: not known. */
    uint32_t file;
} large;

typedef struct plan {
    tarn__upload *upload;
    bool *is_small;        /* [file_count] */
    bool *is_done;         /* [file_count]: named again, or inline. */
    candidate *candidates; /* [candidate_count] */
    uint32_t candidate_count;
    large *larges; /* [file_count] */
    uint32_t order_count;
} plan;

static int compare_segments(const void *a, const void *b)
{
    const tarn__content *x = &((const candidate *)a)->known->place.segment;
    const tarn__content *y = &((const candidate *)b)->known->place.segment;
    const int order = memcmp(x->digest.bytes, y->digest.bytes, sizeof x->digest.bytes);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

/* Looks at the files; whose size cannot be told is moved alone, and fails there. */
static void find_small(plan *p)
{
    tarn__upload *upload = p->upload;
    for (uint32_t i = 0; i < upload->file_count; i++) {
        char path[PATH_MAX];
        tarn__local_identity *identity = &upload->known[i].identity;
        const char *name = upload->parts[i].local_name;
        if (p->is_done[i]) {
            continue;
        }
        const int size = snprintf(path, sizeof path, "%s/%s", upload->directory, name);
        if (size < 0 || (size_t)size >= sizeof path ||
            !tarn__local_identify_path(upload->options.calls, path, identity)) {
            continue;
        }
        const tarn__packing *packing = &upload->options.packing;
        p->is_small[i] =
            identity->size < packing->small_bytes && identity->size <= packing->segment_bytes;
        const tarn__base_file *known = p->is_small[i] && upload->parts[i].is_shared
                                           ? tarn__base_find(upload->base, name, identity)
                                           : NULL;
        if (known != NULL && known->place.is_packed) {
            p->candidates[p->candidate_count++] = (candidate){.known = known, .file = i};
        }
    }
}

/* Marks the files of segments of which too little is still in use. */
static void find_waste(plan *p)
{
    const double waste_max = p->upload->options.packing.waste_max;
    if (p->candidate_count > 1) {
        qsort(p->candidates, p->candidate_count, sizeof *p->candidates, compare_segments);
    }
    uint32_t next = 0;
    for (uint32_t i = 0; i < p->candidate_count; i = next) {
        uint64_t live = 0;
        for (next = i; next < p->candidate_count &&
                       compare_segments(&p->candidates[i], &p->candidates[next]) == 0;
             next++) {
            live += p->candidates[next].known->identity.size;
        }
        const double stored = (double)p->candidates[i].known->place.segment.size;
        for (uint32_t j = i; waste_max > 0 && stored > waste_max * (double)live && j < next; j++) {
            p->upload->is_wasteful[p->candidates[j].file] = true;
        }
    }
}

static void add_unit(plan *p, uint32_t first)
{
    p->upload->units[p->upload->unit_count++] =
        (tarn__upload_unit){.first = first, .count = p->order_count - first};
}

/* A private segment lies beside the directory of the private files that are not packed. */
static tarn_status name_private(plan *p, tarn_error *error)
{
    tarn__upload *upload = p->upload;
    for (uint32_t i = 0; i < upload->unit_count; i++) {
        const tarn__upload_unit *unit = &upload->units[i];
        if (unit->count == 1 || upload->parts[upload->order[unit->first]].is_shared) {
            continue;
        }
        char name[TARN__UPLOAD_DIRECTORY_BYTES + sizeof "-4294967295.segment"];
        snprintf(name, sizeof name, "%s-%" PRIu32 ".segment", upload->private_directory, i);
        const char *path = tarn__arena_copy(&upload->arena, tarn_bytes_of(name));
        if (path == NULL) {
            return tarn__fail_no_memory(error, "the path of a segment", sizeof name);
        }
        for (uint32_t j = 0; j < unit->count; j++) {
            upload->parts[upload->order[unit->first + j]].path = path;
        }
    }
    return TARN_OK;
}

static int compare_large(const void *a, const void *b)
{
    const large *x = a;
    const large *y = b;
    return x->size != y->size ? (x->size < y->size) - (x->size > y->size)
                              : (x->file > y->file) - (x->file < y->file);
}

/* The largest first: a large one that begins last would be waited for alone. */
static void add_large(plan *p)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->upload->file_count; i++) {
        if (!p->is_small[i] && !p->is_done[i]) {
            p->larges[count++] = (large){.size = p->upload->known[i].identity.size, .file = i};
        }
    }
    if (count > 1) {
        qsort(p->larges, count, sizeof *p->larges, compare_large);
    }
    for (uint32_t i = 0; i < count; i++) {
        p->upload->order[p->order_count++] = p->larges[i].file;
        add_unit(p, p->order_count - 1);
    }
}

/* Names again what can be, so that only what is to be sent is left. */
static void reuse_small(plan *p)
{
    tarn__upload *upload = p->upload;
    for (uint32_t i = 0; i < upload->file_count; i++) {
        if (p->is_small[i] && upload->parts[i].is_shared && !upload->is_wasteful[i] &&
            tarn__upload_reuse(upload, i)) {
            atomic_fetch_add(&upload->total_bytes, upload->known[i].identity.size);
            p->is_done[i] = true;
        }
    }
}

static void add_small(plan *p, bool is_shared)
{
    tarn__upload *upload = p->upload;
    uint32_t first = p->order_count;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < upload->file_count; i++) {
        if (!p->is_small[i] || p->is_done[i] || upload->parts[i].is_shared != is_shared) {
            continue;
        }
        const uint64_t size = upload->known[i].identity.size;
        if (p->order_count > first && size > upload->options.packing.segment_bytes - bytes) {
            add_unit(p, first);
            first = p->order_count;
            bytes = 0;
        }
        upload->order[p->order_count++] = i;
        bytes += size;
    }
    if (p->order_count > first) {
        add_unit(p, first);
    }
}

tarn_status tarn__upload_plan(tarn__upload *upload, tarn_error *error)
{
    const uint32_t count = upload->file_count;
    plan p = {
        .upload = upload,
        .is_small = tarn__arena_allocate(&upload->arena, count, sizeof(bool)),
        .is_done = tarn__arena_allocate(&upload->arena, count, sizeof(bool)),
        .candidates = tarn__arena_allocate(&upload->arena, count, sizeof(candidate)),
        .larges = tarn__arena_allocate(&upload->arena, count, sizeof(large)),
    };
    upload->is_wasteful = tarn__arena_allocate(&upload->arena, count, sizeof(bool));
    if (p.is_small == NULL || p.is_done == NULL || upload->is_wasteful == NULL ||
        p.candidates == NULL || p.larges == NULL) {
        return tarn__fail_no_memory(error, "the plan of an upload", count * sizeof(candidate));
    }
    TARN_TRY(tarn__upload_inline(upload, p.is_done, error));
    if (upload->options.packing.small_bytes > 0) {
        find_small(&p);
        find_waste(&p);
        reuse_small(&p);
    }
    add_large(&p);
    add_small(&p, /* is_shared= */ true);
    add_small(&p, /* is_shared= */ false);
    return name_private(&p, error);
}

/* ---- a segment -------------------------------------------------------------------------- */

/* A segment being read, and sent unless target is NULL. */
typedef struct segment {
    tarn__upload *upload;
    const tarn__upload_unit *unit;
    uint8_t *buffer;
    tarn_storage_upload *target;
    tarn__hasher hasher;
    uint64_t size;
} segment;

static tarn_status add_file(segment *g, uint32_t i, tarn_error *error)
{
    tarn__upload *upload = g->upload;
    tarn__file_part *part = &upload->parts[i];
    tarn__base_file *known = &upload->known[i];
    TARN_AUTO(tarn__upload_close) tarn__upload_source s = {.file = -1};
    TARN_TRY(tarn__upload_open_source(upload, i, &s, error));
    TARN_TRY(tarn__local_identify(s.calls, s.file, s.path, &known->identity, error));
    tarn__upload_sink sink = {.target = g->target, .whole = &g->hasher};
    TARN_TRY(tarn__upload_content(upload, i, &s, g->buffer, &sink, error));
    TARN_TRY(tarn__upload_check_size(upload, i, &s, error));
    known->digest = part->content.digest;
    part->place.offset = g->size;
    g->size += sink.stored_bytes;
    return TARN_OK;
}

/* Reads all files of the unit, into target if that is not NULL; answers what they are together. */
static tarn_status add_files(
    tarn__upload *upload,
    const tarn__upload_unit *unit,
    uint8_t *buffer,
    tarn_storage_upload *target,
    tarn__content *out,
    tarn_error *error)
{
    segment g = {.upload = upload, .unit = unit, .buffer = buffer, .target = target};
    tarn__hasher_init(&g.hasher);
    for (uint32_t i = 0; i < unit->count; i++) {
        TARN_TRY(add_file(&g, upload->order[unit->first + i], error));
    }
    *out = (tarn__content){.digest = tarn__hasher_digest(&g.hasher), .size = g.size};
    return TARN_OK;
}

static void place_files(
    tarn__upload *upload, const tarn__upload_unit *unit, const tarn__content *content)
{
    for (uint32_t j = 0; j < unit->count; j++) {
        const uint32_t i = upload->order[unit->first + j];
        upload->parts[i].place.segment = *content;
        upload->parts[i].place.is_packed = true;
        upload->known[i].place = upload->parts[i].place;
    }
}

/* A reference for each file, as each may be named without the others later. */
static tarn_status ref_all(
    tarn__upload *upload,
    const tarn__upload_unit *unit,
    const tarn__content *content,
    bool *is_present,
    tarn_error *error)
{
    tarn_checkpoint_store *store = tarn__pending_store(upload->options.checkpoint);
    place_files(upload, unit, content);
    *is_present = false;
    for (uint32_t j = 0; j < unit->count; j++) {
        bool is_stored = false;
        TARN_TRY(tarn__store_ref(store, content, &is_stored, error));
        upload->has_reference[upload->order[unit->first + j]] = true;
        *is_present = *is_present || is_stored;
    }
    return TARN_OK;
}

static void count_files(
    tarn__upload *upload, const tarn__upload_unit *unit, void (*count)(tarn__upload *, uint64_t))
{
    for (uint32_t j = 0; j < unit->count; j++) {
        count(upload, tarn__file_stored_size(&upload->parts[upload->order[unit->first + j]]));
    }
}

/* Starts an object and fills it; on success the caller ends *target. */
static tarn_status send_files(
    tarn__upload *upload,
    const tarn__upload_unit *unit,
    const char *name,
    uint8_t *buffer,
    tarn_storage_upload **target,
    tarn__content *content,
    tarn_error *error)
{
    tarn_storage *storage = tarn__store_storage(tarn__pending_store(upload->options.checkpoint));
    tarn_storage_upload *object = NULL;
    TARN_TRY(tarn__storage_begin(storage, name, 0, &object, error));
    const tarn_status status = add_files(upload, unit, buffer, object, content, error);
    if (status != TARN_OK) {
        tarn__storage_abandon(object);
        return status;
    }
    *target = object;
    return TARN_OK;
}

static tarn_status finish_shared(
    tarn__upload *upload,
    const tarn__upload_unit *unit,
    const tarn__content *content,
    tarn_storage_upload *object,
    const char *name,
    tarn_error *error)
{
    TARN_TRY(tarn__storage_finish(object, name, error));
    tarn__store_confirm(tarn__pending_store(upload->options.checkpoint), content);
    count_files(upload, unit, tarn__upload_count_uploaded);
    return TARN_OK;
}

/* Where a name must come first, the files are read twice. */
static tarn_status upload_named(
    tarn__upload *upload, const tarn__upload_unit *unit, uint8_t *buffer, tarn_error *error)
{
    tarn__content content;
    bool is_present = false;
    TARN_TRY(add_files(upload, unit, buffer, NULL, &content, error));
    TARN_TRY(ref_all(upload, unit, &content, &is_present, error));
    if (is_present) {
        count_files(upload, unit, tarn__upload_count_reused);
        return TARN_OK;
    }
    char name[TARN__CONTENT_NAME_BYTES];
    tarn__content_name(&content, name);
    tarn_storage_upload *object = NULL;
    tarn__content sent;
    TARN_TRY(send_files(upload, unit, name, buffer, &object, &sent, error));
    if (sent.size != content.size || !tarn__digest_is_equal(&sent.digest, &content.digest)) {
        tarn__storage_abandon(object);
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "a file of %.300s changed while it was uploaded",
            upload->directory);
    }
    return finish_shared(upload, unit, &content, object, NULL, error);
}

static tarn_status upload_shared(
    tarn__upload *upload, const tarn__upload_unit *unit, uint8_t *buffer, tarn_error *error)
{
    tarn_checkpoint_store *store = tarn__pending_store(upload->options.checkpoint);
    if ((tarn__store_storage(store)->features & TARN_STORAGE_LATE_NAMES) == 0) {
        return upload_named(upload, unit, buffer, error);
    }
    tarn_storage_upload *object = NULL;
    tarn__content content;
    TARN_TRY(send_files(upload, unit, NULL, buffer, &object, &content, error));
    bool is_present = false;
    const tarn_status status = ref_all(upload, unit, &content, &is_present, error);
    if (status != TARN_OK || is_present) {
        tarn__storage_abandon(object);
        if (status == TARN_OK) {
            count_files(upload, unit, tarn__upload_count_reused);
        }
        return status;
    }
    char name[TARN__CONTENT_NAME_BYTES];
    tarn__content_name(&content, name);
    return finish_shared(upload, unit, &content, object, name, error);
}

static tarn_status upload_private(
    tarn__upload *upload, const tarn__upload_unit *unit, uint8_t *buffer, tarn_error *error)
{
    const uint32_t first = upload->order[unit->first];
    const char *path = upload->parts[first].path;
    tarn_storage_upload *object = NULL;
    tarn__content content;
    TARN_TRY(send_files(upload, unit, path, buffer, &object, &content, error));
    upload->private_names[first] = path; /* Also when finishing fails: it may be there. */
    TARN_TRY(tarn__storage_finish(object, NULL, error));
    place_files(upload, unit, &content);
    count_files(upload, unit, tarn__upload_count_uploaded);
    return TARN_OK;
}

tarn_status tarn__upload_segment(
    tarn__upload *upload, const tarn__upload_unit *unit, uint8_t *buffer, tarn_error *error)
{
    const uint32_t first = upload->order[unit->first];
    uint64_t total = 0;
    for (uint32_t j = 0; j < unit->count; j++) {
        total += upload->known[upload->order[unit->first + j]].identity.size;
    }
    atomic_fetch_add(&upload->total_bytes, total);
    return upload->parts[first].is_shared ? upload_shared(upload, unit, buffer, error)
                                          : upload_private(upload, unit, buffer, error);
}
