/* verify.c - every file of a checkpoint read and compared, each once, and its rows one by one. */
#include <string.h>

#include "tarn/savepoint.h"

#include "base/try.h"
#include "snapshot/checkpoint.h"
#include "snapshot/registry.h"
#include "snapshot/rows.h"
#include "snapshot/stored.h"
#include "snapshot/table_rows.h"

enum { BUFFER_BYTES = 1 << 20 };

typedef struct verifier {
    const tarn_checkpoint *checkpoint;
    bool reads_rows;
    tarn_checkpoint_verify_visit *visit;
    void *context;
    tarn__account account;
    tarn__registry seen;       /* Shared files that were read: several subtasks may name one. */
    tarn__table_states states; /* Of the subtask whose files are read. */
    uint8_t *buffer;
    tarn_checkpoint_verification result;
} verifier;

/* Reads the rows of a file of a canonical savepoint: each must be one of its state. */
static tarn_status verify_rows(
    verifier *v, const tarn__subtask *subtask, const tarn__file_part *part, tarn_error *error)
{
    TARN_AUTO(tarn__stored_clear) tarn__stored stored;
    tarn__stored_init(&stored, v->checkpoint->storage, part, &v->account, TARN__STORED_AHEAD_BYTES);
    const tarn__rows_options options = {
        .subtask = subtask,
        .file = part,
        .place = v->checkpoint->path,
        .read = tarn__stored_read,
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

static tarn_status verify_content(
    verifier *v, const tarn__subtask *subtask, const tarn__file_part *part, tarn_error *error)
{
    TARN_TRY(tarn__checkpoint_read_file(
        v->checkpoint->storage, part, v->buffer, BUFFER_BYTES, NULL, NULL, error));
    if (!v->reads_rows) {
        return TARN_OK;
    }
    if (v->checkpoint->summary.form == TARN_FORM_CANONICAL) {
        return verify_rows(v, subtask, part, error);
    }
    return tarn__file_is_table(part)
               ? tarn__verify_table(
                     &v->states, v->checkpoint->storage, part, &v->result.row_count, error)
               : TARN_OK;
}

/* A file that cannot be read is a finding; running out of memory is not. */
static tarn_status verify_file(
    verifier *v, uint32_t index, uint32_t number, bool *goes_on, tarn_error *error)
{
    const tarn__subtask *subtask = &v->checkpoint->metadata.subtasks[index];
    const tarn__file_part *part = &subtask->files[number];
    if (part->is_shared) {
        tarn__content_state before = TARN__CONTENT_ABSENT;
        const tarn__content key = tarn__file_identity(part);
        TARN_TRY(tarn__registry_ref(&v->seen, &key, &before, error));
        if (before != TARN__CONTENT_ABSENT) {
            return TARN_OK;
        }
    }
    tarn_error problem;
    const tarn_status status = verify_content(v, subtask, part, &problem);
    if (tarn__is_of_memory(status)) {
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
        if (v->reads_rows) {
            TARN_TRY(tarn__table_states_find(
                &v->states, v->checkpoint->storage, &metadata->subtasks[i], error));
        }
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
    return tarn__checkpoint_verify(checkpoint, /* reads_rows= */ true, visit, context, out, error);
}

tarn_status tarn__checkpoint_verify(
    const tarn_checkpoint *checkpoint,
    bool reads_rows,
    tarn_checkpoint_verify_visit *visit,
    void *context,
    tarn_checkpoint_verification *out,
    tarn_error *error)
{
    if (checkpoint == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "checkpoint is missing");
    }
    verifier v = {
        .checkpoint = checkpoint,
        .reads_rows = reads_rows,
        .visit = visit,
        .context = context,
    };
    /* An account of its own: the checkpoint is immutable. */
    tarn__account_init(&v.account, "verification", checkpoint->account.below);
    tarn__registry_init(&v.seen, &v.account);
    v.buffer = tarn__allocate(&v.account, BUFFER_BYTES);
    if (v.buffer == NULL) {
        return tarn__fail_no_memory(error, "a buffer for files", BUFFER_BYTES);
    }
    tarn__table_states_init(&v.states, &v.account);
    const tarn_status status = verify_all(&v, error);
    tarn__table_states_clear(&v.states);
    tarn__release(v.buffer);
    tarn__registry_clear(&v.seen);
    if (status == TARN_OK && out != NULL) {
        *out = v.result;
    }
    return status;
}
