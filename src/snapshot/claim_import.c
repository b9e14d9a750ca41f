/* claim_import.c - see claim_import.h. */
#include "snapshot/claim_import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"

enum { BUFFER_BYTES = 1 << 20 };

static const uint64_t PROGRESS_NS = (uint64_t)10 * 1000 * 1000 * 1000;

/* Files on their way. */
typedef struct importing {
    tarn_checkpoint_store *store;
    tarn_storage *from;
    const tarn__claim *claim;
    uint8_t *buffer; /* NULL until something has to be copied. */
    uint64_t said_ns;
    uint64_t linked_count;
    uint64_t copied_count;
    uint64_t copied_bytes;
} importing;

/* ---- what there is ---------------------------------------------------------------------- */

static int compare_contents(const void *a, const void *b)
{
    const tarn__content *x = a;
    const tarn__content *y = b;
    const int order = memcmp(x->digest.bytes, y->digest.bytes, sizeof x->digest.bytes);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

tarn_status tarn__import_list(
    const tarn__metadata *metadata, tarn__arena *arena, tarn__claim *claim, tarn_error *error)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        total += tarn__subtask_shared_count(&metadata->subtasks[i]);
    }
    tarn__content *contents = tarn__arena_allocate(arena, (size_t)total, sizeof *contents);
    if (contents == NULL) {
        return tarn__fail_no_memory(error, "the files of a claim", (size_t)total);
    }
    size_t count = 0;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        const tarn__subtask *subtask = &metadata->subtasks[i];
        for (uint32_t j = 0; j < subtask->file_count; j++) {
            if (subtask->files[j].is_shared) {
                contents[count++] = *tarn__file_object(&subtask->files[j]);
            }
        }
    }
    if (count > 1) {
        qsort(contents, count, sizeof *contents, compare_contents);
    }
    uint32_t unique = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || compare_contents(&contents[i - 1], &contents[i]) != 0) {
            contents[unique++] = contents[i];
        }
    }
    claim->contents = contents;
    claim->count = unique;
    return TARN_OK;
}

tarn_status tarn__import_check_idle(tarn_storage *storage, tarn_error *error)
{
    tarn_storage_lock *lock = NULL;
    if (storage->ops->lock == NULL) {
        return TARN_OK;
    }
    TARN_TRY(tarn__storage_lock(storage, &lock, error));
    tarn__storage_unlock(lock);
    return TARN_OK;
}

/* ---- one file --------------------------------------------------------------------------- */

static tarn_status copy_content(
    importing *m,
    const char *name,
    const tarn__content *content,
    tarn_storage_upload *upload,
    tarn_error *error)
{
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    uint64_t offset = 0;
    size_t got = BUFFER_BYTES;
    while (got == BUFFER_BYTES && offset <= content->size) {
        TARN_TRY(tarn__storage_read(m->from, name, offset, m->buffer, BUFFER_BYTES, &got, error));
        const tarn_bytes part = tarn_bytes_at(m->buffer, got);
        tarn__hasher_update(&hasher, part);
        if (got > 0) {
            TARN_TRY(tarn__storage_append(upload, part, error));
        }
        offset += got;
    }
    const tarn__digest digest = tarn__hasher_digest(&hasher);
    if (offset != content->size || !tarn__digest_is_equal(&digest, &content->digest)) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.200s/%s is damaged: it is not what its name says",
            m->from->address,
            name);
    }
    return TARN_OK;
}

static tarn_status copy_file(
    importing *m, const char *name, const tarn__content *content, tarn_error *error)
{
    if (m->buffer == NULL) {
        m->buffer = tarn__allocate(m->store->options.account, BUFFER_BYTES);
        if (m->buffer == NULL) {
            return tarn__fail_no_memory(error, "a buffer for files", BUFFER_BYTES);
        }
    }
    tarn_storage_upload *upload = NULL;
    TARN_TRY(tarn__storage_begin(m->store->storage, name, 0, &upload, error));
    const tarn_status status = copy_content(m, name, content, upload, error);
    if (status != TARN_OK) {
        tarn__storage_abandon(upload);
        return status;
    }
    TARN_TRY(tarn__storage_finish(upload, NULL, error));
    m->copied_count++;
    m->copied_bytes += content->size;
    return TARN_OK;
}

static tarn_status bring(importing *m, const tarn__content *content, tarn_error *error)
{
    char name[TARN__CONTENT_NAME_BYTES];
    tarn_storage_info info;
    tarn__content_name(content, name);
    TARN_TRY(tarn__storage_stat(m->from, name, &info, error));
    if (info.size != content->size) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.200s/%s has %" PRIu64 " bytes",
            m->from->address,
            name,
            info.size);
    }
    /* A copy is compared, and takes the place of what may be damaged. */
    const tarn_status linked = tarn__store_is_doubted(m->store, content)
                                   ? TARN_NOT_SUPPORTED
                                   : tarn__storage_link(m->from, m->store->storage, name, error);
    if (linked != TARN_NOT_SUPPORTED) {
        m->linked_count += linked == TARN_OK ? 1 : 0;
        return linked;
    }
    return copy_file(m, name, content, error);
}

static void show_progress(importing *m, uint32_t done)
{
    const uint64_t now_ns = tarn__clock_monotonic_ns(m->store->options.clock);
    if (now_ns - m->said_ns >= PROGRESS_NS) {
        m->said_ns = now_ns;
        tarn__store_log(
            m->store,
            "%" PRIu32 " of %" PRIu32 " shared files of %.300s are taken over",
            done,
            m->claim->count,
            m->claim->address);
    }
}

static tarn_status bring_all(importing *m, tarn__retained *record, tarn_error *error)
{
    for (uint32_t i = 0; i < m->claim->count; i++) {
        const tarn__content *content = &m->claim->contents[i];
        bool is_present = false;
        TARN_TRY(tarn__store_ref(m->store, content, &is_present, error));
        record->contents[record->count++] = *content;
        if (!is_present) {
            TARN_TRY(bring(m, content, error));
            tarn__store_confirm(m->store, content);
        }
        show_progress(m, i + 1);
    }
    return TARN_OK;
}

tarn_status tarn__import_all(
    tarn_checkpoint_store *store,
    tarn_storage *from,
    const tarn__claim *claim,
    tarn__retained *record,
    tarn_error *error)
{
    importing m = {
        .store = store,
        .from = from,
        .claim = claim,
        .said_ns = tarn__clock_monotonic_ns(store->options.clock),
    };
    const tarn_status status = bring_all(&m, record, error);
    tarn__release(m.buffer);
    if (status == TARN_OK && claim->count > 0) {
        tarn__store_log(
            store,
            "%.300s is taken over: %" PRIu64 " shared files linked, %" PRIu64 " copied (%" PRIu64
            " bytes)",
            claim->address,
            m.linked_count,
            m.copied_count,
            m.copied_bytes);
    }
    return status;
}
