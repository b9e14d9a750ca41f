/* acknowledgement.c - a subtask's part of a checkpoint as bytes. */
#include <string.h>

#include "tarn/version.h"

#include "base/try.h"
#include "snapshot/checkpoint.h"
#include "snapshot/store.h"

tarn_status tarn__acknowledgement_encode(
    uint64_t checkpoint_id, const tarn__subtask *subtask, tarn_buffer *out, tarn_error *error)
{
    const tarn__metadata_head head = {
        .kind = TARN__METADATA_ACKNOWLEDGEMENT,
        .checkpoint_id = checkpoint_id,
        .job = "",
        .version = tarn_version_string(),
    };
    return tarn__metadata_encode(&head, subtask, 1, out, error);
}

tarn_status tarn_acknowledgement_encode(
    uint64_t checkpoint_id,
    const char *operator_name,
    uint32_t subtask_index,
    uint32_t parallelism,
    const tarn_checkpoint_operator_state *states,
    uint32_t count,
    tarn_buffer *out,
    tarn_error *error)
{
    if (operator_name == NULL || out == NULL || (states == NULL && count > 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is missing",
            operator_name == NULL ? "operator_name" : (out == NULL ? "out" : "states"));
    }
    tarn__account account;
    tarn__account_init(&account, "acknowledgement", out->allocator);
    tarn__piece_part *pieces = NULL;
    if (count > 0) {
        pieces = tarn__allocate_zeroed(&account, count, sizeof *pieces);
        if (pieces == NULL) {
            return tarn__fail_no_memory(error, "an acknowledgement", count * sizeof *pieces);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (states[i].name == NULL) {
            tarn__release(pieces);
            return tarn__fail(error, TARN_INVALID_ARGUMENT, "states[%u].name is missing", i);
        }
        pieces[i] = (tarn__piece_part){.name = states[i].name, .bytes = states[i].bytes};
    }
    tarn__subtask subtask = {
        .operator_name = operator_name,
        .subtask_index = subtask_index,
        .parallelism = parallelism,
        .pieces = pieces,
        .piece_count = count,
    };
    tarn__subtask_sort(&subtask);
    const tarn_status status = tarn__acknowledgement_encode(checkpoint_id, &subtask, out, error);
    tarn__release(pieces);
    return status;
}
