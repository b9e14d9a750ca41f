#include "recovery.h"

#include <string.h>

#include <tarn/channel_state.h>
#include <tarn/key_group.h>

#include "failure.h"
#include "gate.h"
#include "operator_state.h"

/* One old worker, while what was in flight to it is applied. */
typedef struct old_worker {
    const recovery *recovery;
    watermarks watermarks;
    uint64_t late_count; /* Of messages that this worker has applied. */
} old_worker;

static bool is_own(const recovery *r, const message *m)
{
    const uint32_t group =
        tarn_key_group_of(tarn_hash_java_string(m->key, m->key_size), r->max_parallelism);
    return tarn_key_group_subtask(group, r->max_parallelism, r->worker_count) == r->index;
}

static tarn_status apply_message(old_worker *old, const message *m, tarn_error *error)
{
    const recovery *r = old->recovery;
    if (m->key_size > KEY_MAX) {
        return failure_set(
            error, TARN_CORRUPTION, 0, "a message in flight has a key of %u bytes", m->key_size);
    }
    if (!is_own(r, m)) {
        return TARN_OK;
    }
    old->late_count += watermarks_judge(&old->watermarks, m->scheduled_at);
    return states_apply(r->states, m, error);
}

/* One batch, as barriers_note_batch() has kept it: its watermark, its messages. */
static tarn_status apply_batch(uint32_t channel, tarn_bytes kept, void *context, tarn_error *error)
{
    old_worker *old = context;
    int64_t watermark = 0;
    message m;
    if (channel >= old->watermarks.channel_count || kept.size < sizeof watermark ||
        (kept.size - sizeof watermark) % sizeof m != 0) {
        return failure_set(
            error,
            TARN_CORRUPTION,
            0,
            "a batch in flight of channel %u has %zu bytes, and cannot be read",
            channel,
            kept.size);
    }
    const uint8_t *bytes = kept.data;
    memcpy(&watermark, bytes, sizeof watermark);
    for (size_t at = sizeof watermark; at < kept.size; at += sizeof m) {
        memcpy(&m, bytes + at, sizeof m);
        TRY(apply_message(old, &m, error));
    }
    watermarks_advance(&old->watermarks, channel, watermark);
    return TARN_OK;
}

static tarn_status read_watermarks(
    old_worker *old, const tarn_checkpoint *checkpoint, uint32_t subtask, tarn_error *error)
{
    tarn_bytes encoded;
    if (operator_state_find(checkpoint, subtask, WATERMARKS_STATE_NAME, &encoded) != TARN_OK) {
        return failure_set(
            error,
            TARN_INCOMPATIBLE,
            0,
            "the checkpoint %s has no watermarks of the worker %u",
            tarn_checkpoint_path(checkpoint),
            tarn_checkpoint_subtask_at(checkpoint, subtask).subtask_index);
    }
    return watermarks_restore(
        &old->watermarks, old->recovery->watermarks->channel_count, encoded, error);
}

static tarn_status takes_over(
    const recovery *r, const tarn_checkpoint_subtask *from, bool *out, tarn_error *error)
{
    tarn_key_group_range own;
    TRY(tarn_key_group_range_of(r->index, r->worker_count, r->max_parallelism, &own, error));
    *out = from->key_groups.first <= own.last && own.first <= from->key_groups.last;
    return TARN_OK;
}

static tarn_status recover_from(
    const recovery *r,
    const tarn_checkpoint *checkpoint,
    uint32_t subtask,
    bool *is_joined,
    tarn_error *error)
{
    const tarn_checkpoint_subtask from = tarn_checkpoint_subtask_at(checkpoint, subtask);
    old_worker old = {.recovery = r};
    TRY(read_watermarks(&old, checkpoint, subtask, error));
    /* What each has counted so far is counted on by one. */
    r->watermarks->late_count += r->index == 0 ? old.watermarks.late_count : 0;

    tarn_bytes kept;
    if (operator_state_find(checkpoint, subtask, TARN_CHANNEL_STATE_NAME, &kept) == TARN_OK) {
        TRY(tarn_channel_state_read(kept, apply_batch, &old, error));
    }
    r->watermarks->late_count += old.late_count;

    bool is_heir = false;
    TRY(takes_over(r, &from, &is_heir, error));
    if (is_heir) {
        const uint64_t late_count = r->watermarks->late_count;
        if (*is_joined) {
            watermarks_join(r->watermarks, &old.watermarks);
        } else {
            *r->watermarks = old.watermarks;
            r->watermarks->late_count = late_count;
        }
        *is_joined = true;
    }
    return TARN_OK;
}

tarn_status recovery_run(const recovery *r, const tarn_checkpoint *checkpoint, tarn_error *error)
{
    bool is_joined = false;
    const uint32_t count = tarn_checkpoint_summarize(checkpoint).subtask_count;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_subtask from = tarn_checkpoint_subtask_at(checkpoint, i);
        if (strcmp(from.operator_name, r->operator_name) == 0) {
            TRY(recover_from(r, checkpoint, i, &is_joined, error));
        }
    }
    return TARN_OK;
}
