/* verify.c - every file of a checkpoint read and compared, each once; canonical rows one by one. */
#include <string.h>

#include "tarn/savepoint.h"

#include "base/try.h"
#include "snapshot/checkpoint.h"
#include "snapshot/registry.h"
#include "snapshot/rows.h"

enum { BUFFER_BYTES = 1 << 20 };

typedef struct verifier {
    const tarn_checkpoint *checkpoint;
    tarn_checkpoint_verify_visit *visit;
    void *context;
    tarn__account account;
    tarn__registry seen; /* Shared files that were read: several subtasks may name one. */
    uint8_t *buffer;
    tarn_checkpoint_verification result;
} verifier;

/* A file that lies in a storage, for tarn__rows_open(). */
typedef struct stored_file {
    tarn_storage *storage;
    const tarn__file_part *part;
} stored_file;

static tarn_status read_stored(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error)
{
    const stored_file *file = context;
    const tarn__file_part *part = file->part;
    if (part->place.is_packed) { /* What follows in the segment is another file's. */
        const uint64_t left = offset < part->content.size ? part->content.size - offset : 0;
        size = left < size ? (size_t)left : size;
        offset += part->place.offset;
    }
    return tarn__storage_read(file->storage, part->path, offset, into, size, size_out, error);
}

/* Reads the rows of a file of a canonical savepoint: each must be one of its state. */
static tarn_status verify_rows(
    verifier *v, const tarn__subtask *subtask, const tarn__file_part *part, tarn_error *error)
{
    stored_file stored = {.storage = v->checkpoint->storage, .part = part};
    const tarn__rows_options options = {
        .subtask = subtask,
        .file = part,
        .place = v->checkpoint->path,
        .read = read_stored,
        .context = &stored,
        .wanted = subtask->key_groups,
        .account = &v->account,
    };
    TARN_AUTO(tarn__rows_close) tarn__rows rows;
    tarn_status status = tarn__rows_open(&rows, &options, error);
    tarn_bytes key;
    tarn_bytes value;
    while (status == TARN_OK) {
        status = tarn__rows_next(&rows, &key, &value, error);
        v->result.row_count += status == TARN_OK ? 1 : 0;
    }
    return status == TARN_DONE ? TARN_OK : status;
}

/* What tells a file from all others that are stored: its content, and the place of a packed one. */
static tarn__content identify(const tarn__file_part *part)
{
    if (!part->place.is_packed) {
        return part->content;
    }
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    const tarn__content *segment = &part->place.segment;
    tarn__hasher_update(
        &hasher, tarn_bytes_at(segment->digest.bytes, sizeof segment->digest.bytes));
    tarn__hasher_update(&hasher, tarn_bytes_at(&part->place.offset, sizeof part->place.offset));
    return (tarn__content){.digest = tarn__hasher_digest(&hasher), .size = part->content.size};
}

/* A file that cannot be read is a finding; running out of memory is not. */
static tarn_status verify_file(
    verifier *v, uint32_t index, uint32_t number, bool *goes_on, tarn_error *error)
{
    const tarn__subtask *subtask = &v->checkpoint->metadata.subtasks[index];
    const tarn__file_part *part = &subtask->files[number];
    if (part->is_shared) {
        tarn__content_state before = TARN__CONTENT_ABSENT;
        const tarn__content key = identify(part);
        TARN_TRY(tarn__registry_ref(&v->seen, &key, &before, error));
        if (before != TARN__CONTENT_ABSENT) {
            return TARN_OK;
        }
    }
    tarn_error problem;
    tarn_status status = tarn__checkpoint_read_file(
        v->checkpoint->storage, part, v->buffer, BUFFER_BYTES, NULL, NULL, &problem);
    if (status == TARN_OK && v->checkpoint->summary.form == TARN_FORM_CANONICAL) {
        status = verify_rows(v, subtask, part, &problem);
    }
    if (status == TARN_NO_MEMORY) {
        return tarn__fail(error, status, "%s", problem.message);
    }
    v->result.file_count++;
    if (status == TARN_OK) {
        v->result.verified_bytes += part->content.size;
    } else {
        v->result.bad_count++;
    }
    if (v->visit != NULL) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(v->checkpoint, index, number);
        *goes_on = v->visit(&file, status == TARN_OK ? NULL : problem.message, v->context);
    }
    return TARN_OK;
}

static tarn_status verify_all(verifier *v, tarn_error *error)
{
    const tarn__metadata *metadata = &v->checkpoint->metadata;
    bool goes_on = true;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        for (uint32_t j = 0; j < metadata->subtasks[i].file_count; j++) {
            TARN_TRY(verify_file(v, i, j, &goes_on, error));
            if (!goes_on) {
                return tarn__fail(error, TARN_ABANDONED, "the visitor stopped the verification");
            }
        }
    }
    return TARN_OK;
}

tarn_status tarn_checkpoint_verify(
    const tarn_checkpoint *checkpoint,
    tarn_checkpoint_verify_visit *visit,
    void *context,
    tarn_checkpoint_verification *out,
    tarn_error *error)
{
    if (checkpoint == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "checkpoint is missing");
    }
    verifier v = {.checkpoint = checkpoint, .visit = visit, .context = context};
    /* An account of its own: the checkpoint is immutable. */
    tarn__account_init(&v.account, "verification", checkpoint->account.below);
    tarn__registry_init(&v.seen, &v.account);
    v.buffer = tarn__allocate(&v.account, BUFFER_BYTES);
    if (v.buffer == NULL) {
        return tarn__fail_no_memory(error, "a buffer for files", BUFFER_BYTES);
    }
    const tarn_status status = verify_all(&v, error);
    tarn__release(v.buffer);
    tarn__registry_clear(&v.seen);
    if (status == TARN_OK && out != NULL) {
        *out = v.result;
    }
    return status;
}
